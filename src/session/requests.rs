//! Services, and requests under way: calls from one client to another, or to the host program, through
//! the server. Each request has a deadline and exactly one outcome.

use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use ecow::{EcoString, eco_format};
use futures_util::future::{AbortHandle, Abortable};
use parking_lot::Mutex;

use super::hub::Hub;
use super::session::{Session, Waiting};
use crate::protocol::message::{ErrorMessage, Outcome, RequestId, ServerMessage, ServiceError};
use crate::protocol::{ErrorCode, ServiceErrorCode as Code};
use crate::topic::{ClientId, Uptime};
use crate::value::Value;

/// The longest that a request may wait, whatever it says.
const REQUEST_TIMEOUT_MAX: Duration = Duration::from_secs(3600);

/// What a service of the host program returns.
pub type Answer = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// A service of the host program: arguments and caller to an outcome.
pub type HostService = Arc<dyn Fn(Value, ClientId) -> Answer + Send + Sync>;

/// Who answers requests for a service.
#[derive(Clone)]
pub enum Provider {
    /// A client.
    Session(Arc<Session>),
    /// The host program.
    Host(HostService),
}

/// A request as its client made it.
pub(crate) struct Request {
    pub service_name: EcoString,
    pub args: Value,
    pub request_id: RequestId,
    pub timeout_ms: Option<u64>,
}

/// Services by name, and requests that wait for an answer.
#[derive(Default)]
pub(super) struct Requests {
    providers: DashMap<EcoString, Provider>,
    pending: Mutex<AllPending>,
}

#[derive(Default)]
struct AllPending {
    by_number: HashMap<u64, Pending>,
    /// When each is to have its outcome, the next first.
    deadlines: BTreeSet<(Uptime, u64)>,
    last: u64,
}

/// A request under way.
struct Pending {
    /// The client that is to answer; `None` for the host program.
    provider: Option<ClientId>,
    requester: Waiting,
    /// As the requester named it: two clients may use the same.
    request_id: RequestId,
    deadline: Uptime,
    /// What was asked, as long as it may have to be asked of another provider.
    asked: Option<(EcoString, Value)>,
    /// What the host program does for it. Held here alone, so that it ends with the request.
    _running: Option<Running>,
}

/// A future of the host program's, which is dropped once this is.
struct Running(AbortHandle);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl AllPending {
    fn insert(&mut self, pending: Pending) -> u64 {
        self.last += 1;
        self.deadlines.insert((pending.deadline, self.last));
        self.by_number.insert(self.last, pending);
        self.last
    }

    fn remove(&mut self, number: u64) -> Option<Pending> {
        let pending = self.by_number.remove(&number)?;
        self.deadlines.remove(&(pending.deadline, number));
        Some(pending)
    }

    fn remove_if(&mut self, number: u64, is: impl Fn(&Pending) -> bool) -> Option<Pending> {
        self.by_number.get(&number).is_some_and(is).then(|| self.remove(number))?
    }
}

/// The id that a request bears at its provider.
fn id_of(number: u64) -> RequestId {
    eco_format!("s{number}")
}

fn number_of(id: &RequestId) -> Option<u64> {
    id.strip_prefix('s')?.parse().ok()
}

impl Requests {
    /// Gives a service a provider, unless another has it. Whoever has it may register it again; one that
    /// is away loses it to one that is not, and the requests that wait for it go to the new one.
    pub(super) fn register(&self, hub: &Hub, name: &EcoString, provider: Provider) -> bool {
        let displaced = match self.providers.entry(name.clone()) {
            Entry::Vacant(entry) => {
                entry.insert(provider);
                return true;
            }
            Entry::Occupied(mut entry) => match (entry.get(), &provider) {
                (Provider::Session(old), Provider::Session(new)) if old.id() == new.id() => {
                    return true;
                }
                (Provider::Session(old), _) if !old.is_connected() => {
                    let old = old.clone();
                    entry.insert(provider.clone());
                    old
                }
                _ => return false,
            },
        };
        displaced.services.lock().remove(name);
        hub.record_services(&displaced);
        // Should its client come back, it learns that the service is another's.
        let reason = "another client provides this service since this one was away";
        let error = ErrorMessage::new(ErrorCode::ServiceTaken, "register_service", reason);
        hub.answer(&displaced, ServerMessage::Error(error.service(name.clone())));
        self.ask_again(hub, &displaced, name);
        true
    }

    /// Asks a service's new provider what the one before has not answered.
    fn ask_again(&self, hub: &Hub, before: &Session, name: &EcoString) {
        let mut all = self.pending.lock();
        let waits = |pending: &Pending| {
            pending.provider == Some(before.id())
                && pending.asked.as_ref().is_some_and(|(asked, _)| asked == name)
        };
        let mut numbers: Vec<u64> =
            all.by_number.iter().filter(|(_, it)| waits(it)).map(|(number, _)| *number).collect();
        numbers.sort_unstable();
        let waiting: Vec<Pending> = numbers.into_iter().filter_map(|it| all.remove(it)).collect();
        drop(all);
        for pending in waiting {
            let provider = self.provider(name);
            let Some((service_name, args)) = pending.asked else { continue };
            let request_id = pending.request_id;
            let (requester, deadline) = (pending.requester, pending.deadline);
            self.ask(hub, provider, requester, service_name, args, request_id, deadline);
        }
    }

    /// Takes a service from a session, if the session has it.
    pub(super) fn unregister(&self, name: &str, session: &Session) {
        let is_of = |_: &EcoString, it: &Provider| matches!(it, Provider::Session(it) if it.id() == session.id());
        self.providers.remove_if(name, is_of);
    }

    fn provider(&self, name: &str) -> Option<Provider> {
        self.providers.get(name).map(|provider| provider.clone())
    }

    /// Passes a request on to who provides its service. Its outcome comes to the client in time.
    pub(super) fn request(&self, hub: &Hub, session: &Arc<Session>, now: Uptime, request: Request) {
        let Request { service_name, args, request_id, timeout_ms } = request;
        let timeout = timeout_ms.map_or(hub.config().request_timeout, Duration::from_millis);
        let deadline = now.after(timeout.min(REQUEST_TIMEOUT_MAX));
        let Some(requester) = Waiting::begin(session, hub.config().requests_max) else {
            let max = hub.config().requests_max;
            let reason =
                eco_format!("{max} requests of this session wait for their answers already");
            let outcome = Err(ServiceError::new(Code::Failed, reason));
            return hub.answer(session, ServerMessage::Response { request_id, outcome });
        };
        let provider = self.provider(&service_name);
        self.ask(hub, provider, requester, service_name, args, request_id, deadline);
    }

    #[allow(clippy::too_many_arguments)]
    fn ask(
        &self,
        hub: &Hub,
        provider: Option<Provider>,
        requester: Waiting,
        service_name: EcoString,
        args: Value,
        request_id: RequestId,
        deadline: Uptime,
    ) {
        let client_id = requester.session().id();
        let pending = |provider, asked, _running| Pending {
            provider,
            requester,
            request_id,
            deadline,
            asked,
            _running,
        };
        match provider {
            None => {
                let reason = eco_format!("nobody provides {service_name:?}");
                pending(None, None, None)
                    .respond(hub, Err(ServiceError::new(Code::NoSuchService, reason)));
            }
            Some(Provider::Host(service)) => {
                let (abort, registration) = AbortHandle::new_pair();
                let running = Some(Running(abort));
                let number = self.pending.lock().insert(pending(None, None, running));
                let reply = Reply { hub: hub.weak(), number };
                let answered = async move {
                    // Called within, so that a panic of the service's is in here whenever it comes.
                    let outcome = service(args, client_id).await;
                    reply.give(outcome);
                };
                let until_over = Abortable::new(answered, registration);
                hub.config().worker.drive(Box::pin(async { _ = until_over.await }));
            }
            Some(Provider::Session(provider)) => {
                // The arguments are a pointer, or shared with it.
                let asked = Some((service_name.clone(), args.clone()));
                let number = self.pending.lock().insert(pending(Some(provider.id()), asked, None));
                let request = ServerMessage::Request {
                    service_name,
                    args,
                    request_id: id_of(number),
                    client_id,
                };
                if !provider.offer(request, hub.config().backlog_bytes_max) {
                    let reason = "the provider does not keep up with its requests";
                    self.respond(hub, number, Err(ServiceError::new(Code::Failed, reason)));
                }
            }
        }
    }

    /// Gives a request its outcome, if it has none yet.
    fn respond(&self, hub: &Hub, number: u64, outcome: Outcome) {
        let pending = self.pending.lock().remove(number);
        if let Some(pending) = pending {
            pending.respond(hub, outcome);
        }
    }

    /// Hands a provider's answer to who asked. `false` if no such request waits for this provider.
    pub(super) fn answer(
        &self,
        hub: &Hub,
        provider: ClientId,
        id: &RequestId,
        outcome: Outcome,
    ) -> bool {
        let is_of = |pending: &Pending| pending.provider == Some(provider);
        let pending = number_of(id).and_then(|it| self.pending.lock().remove_if(it, is_of));
        let waited = pending.is_some();
        if let Some(pending) = pending {
            pending.respond(hub, outcome);
        }
        waited
    }

    /// When the next request is to have its outcome.
    pub(super) fn next_timeout(&self) -> Option<Uptime> {
        self.pending.lock().deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// Tells those whose time is over that no answer came.
    pub(super) fn handle_timeout(&self, hub: &Hub, now: Uptime) {
        loop {
            let mut all = self.pending.lock();
            let Some((deadline, number)) = all.deadlines.first().copied() else { return };
            if deadline > now {
                return;
            }
            let pending = all.remove(number);
            drop(all);
            if let Some(pending) = pending {
                pending
                    .respond(hub, Err(ServiceError::new(Code::Timeout, "no answer came in time")));
            }
        }
    }

    /// Takes back the services of a session that is over, and tells those who wait for it.
    pub(super) fn leave(&self, hub: &Hub, session: &Session) {
        for name in std::mem::take(&mut *session.services.lock()) {
            self.unregister(&name, session);
        }
        let mut all = self.pending.lock();
        let concerns = |pending: &Pending| {
            pending.provider == Some(session.id())
                || pending.requester.session().id() == session.id()
        };
        let numbers: Vec<u64> =
            all.by_number.iter().filter(|(_, it)| concerns(it)).map(|(it, _)| *it).collect();
        let waiting: Vec<Pending> = numbers.into_iter().filter_map(|it| all.remove(it)).collect();
        drop(all);
        for pending in waiting.into_iter().filter(|it| it.provider == Some(session.id())) {
            pending.respond(hub, Err(ServiceError::new(Code::ProviderLeft, "its provider left")));
        }
    }

    /// How many services there are.
    pub(super) fn services_len(&self) -> usize {
        self.providers.len()
    }

    /// How many requests are under way.
    pub(super) fn pending_len(&self) -> usize {
        self.pending.lock().by_number.len()
    }
}

impl Pending {
    fn respond(self, hub: &Hub, outcome: Outcome) {
        let response = ServerMessage::Response { request_id: self.request_id, outcome };
        hub.answer(self.requester.session(), response);
    }
}

/// The outcome of a host program's service. Dropped without one, because the service panicked say, the
/// request has failed.
struct Reply {
    hub: Weak<Hub>,
    number: u64,
}

impl Reply {
    fn give(self, outcome: Outcome) {
        if let Some(hub) = self.hub.upgrade() {
            hub.requests().respond(&hub, self.number, outcome);
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if let Some(hub) = self.hub.upgrade() {
            // After an outcome was given, there is nothing left to answer.
            let reason = "the service ended without an answer";
            hub.requests().respond(&hub, self.number, Err(ServiceError::new(Code::Failed, reason)));
        }
    }
}
