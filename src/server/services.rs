//! Services: calls from one client to another, or to the host program, through the server.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use ecow::{EcoString, eco_format};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::session::{Session, Waiting};
use crate::protocol::ServiceErrorCode as Code;
use crate::protocol::message::{Outcome, RequestId, ServerMessage, ServiceError};
use crate::topic::ClientId;
use crate::value::Value;

/// What a service of the host program returns.
pub type Answer = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// A service of the host program: arguments and caller to an outcome.
pub type HostService = Arc<dyn Fn(Value, ClientId) -> Answer + Send + Sync>;

/// Who answers requests for a service.
#[derive(Clone)]
pub enum Provider {
    Session(Arc<Session>),
    Host(HostService),
}

/// Services by name, and requests that wait for an answer.
#[derive(Default)]
pub struct Services {
    providers: DashMap<EcoString, Provider>,
    pending: Mutex<HashMap<RequestId, Pending>>,
    last_request: AtomicU64,
}

/// A request on its way.
struct Pending {
    provider: ClientId,
    requester: Waiting,
    /// As the requester named it: two clients may use the same.
    request_id: RequestId,
    /// Dropped with this, which ends the timer.
    _answered: oneshot::Sender<()>,
}

/// A request that was passed on.
pub struct PassedOn {
    /// The id that it bears at the provider.
    pub id: RequestId,
    /// Done once it is answered, one way or another.
    pub answered: oneshot::Receiver<()>,
}

impl Services {
    /// Gives a service a provider, unless another has it. Whoever has it may register it again.
    pub fn register(&self, name: EcoString, provider: Provider) -> bool {
        match self.providers.entry(name) {
            Entry::Vacant(entry) => {
                entry.insert(provider);
                true
            }
            Entry::Occupied(entry) => match (entry.get(), &provider) {
                (Provider::Session(old), Provider::Session(new)) => old.id == new.id,
                _ => false,
            },
        }
    }

    /// Takes a service from a session, if it has it.
    pub fn unregister(&self, name: &str, session: &Session) {
        let is_of = |_: &EcoString, it: &Provider| matches!(it, Provider::Session(it) if it.id == session.id);
        self.providers.remove_if(name, is_of);
    }

    pub fn provider(&self, name: &str) -> Option<Provider> {
        self.providers.get(name).map(|provider| provider.clone())
    }

    /// Passes a request on to the session that provides the service.
    ///
    /// # Errors
    /// The provider has too much to do.
    pub fn pass_on(
        &self,
        provider: &Arc<Session>,
        requester: Waiting,
        service_name: EcoString,
        args: Value,
        request_id: RequestId,
    ) -> Result<PassedOn, ServiceError> {
        let number = self.last_request.fetch_add(1, Ordering::Relaxed) + 1;
        let id = eco_format!("s{number}");
        let client_id = requester.session().id;
        let (_answered, answered) = oneshot::channel();
        let pending = Pending { provider: provider.id, requester, request_id, _answered };
        self.pending.lock().insert(id.clone(), pending);
        let request =
            ServerMessage::Request { service_name, args, request_id: id.clone(), client_id };
        if provider.offer(request) {
            return Ok(PassedOn { id, answered });
        }
        self.pending.lock().remove(&id);
        Err(ServiceError::new(Code::Failed, "the provider does not keep up with its requests"))
    }

    /// Hands a provider's answer to who asked. `false` if there is no such request of this provider's.
    pub fn answer(&self, provider: ClientId, id: &RequestId, outcome: Outcome) -> bool {
        let mut pending = self.pending.lock();
        if pending.get(id).is_none_or(|pending| pending.provider != provider) {
            return false;
        }
        let answered = pending.remove(id);
        drop(pending);
        answered.into_iter().for_each(|pending| pending.respond(outcome.clone()));
        true
    }

    /// Tells the requester that no answer came in time, if none did.
    pub fn time_out(&self, id: &RequestId) {
        let pending = self.pending.lock().remove(id);
        if let Some(pending) = pending {
            pending.respond(Err(ServiceError::new(Code::Timeout, "no answer came in time")));
        }
    }

    /// Takes a session's services back, and tells those who wait for it.
    pub fn leave(&self, session: &Session) {
        for name in std::mem::take(&mut *session.services.lock()) {
            self.unregister(&name, session);
        }
        let mut pending = self.pending.lock();
        let waiting: Vec<Pending> = pending
            .extract_if(|_, pending| {
                pending.provider == session.id || pending.requester.session().id == session.id
            })
            .map(|(_, pending)| pending)
            .collect();
        drop(pending);
        for pending in waiting.into_iter().filter(|pending| pending.provider == session.id) {
            pending.respond(Err(ServiceError::new(Code::ProviderLeft, "its provider left")));
        }
    }

    pub fn len(&self) -> usize {
        self.providers.len()
    }

    pub fn is_empty(&self) -> bool {
        self.providers.is_empty()
    }
}

impl Pending {
    fn respond(self, outcome: Outcome) {
        self.requester
            .session()
            .answer(ServerMessage::Response { request_id: self.request_id, outcome });
    }
}
