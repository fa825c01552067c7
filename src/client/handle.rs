//! The client as a program holds it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use ecow::EcoString;
use tokio::sync::{oneshot, watch};

use super::connection::{AddressError, ClientConfig, run};
use super::event::{CallError, Event, Ticket};
use super::replica::{CallId, LocalChange, LocalError, Replica, Unfinished};
use super::shared::{
    Answer, Callback, ListenerId, Provider, Refused, Request, Shared, Status, WaitError,
};
use super::topic::{SubscribeError, Topic};
use crate::topic::{ClientId, TopicName, TopicOptions};
use crate::types::{TopicType, TypeRef, bool, dict, event, float, generic, int, list, set, string};
use crate::value::Value;

/// A client of a topicsync server. A clone is another handle to the same one.
///
/// It connects by itself, and again after a loss: what was changed meanwhile is sent then. It lives
/// until it is [closed](Self::close), or its last handle is dropped; handles that a callback or a
/// service holds count.
#[derive(Clone)]
pub struct Client {
    pub(super) shared: Arc<Shared>,
    _guard: Arc<Guard>,
}

/// Closes the client when the last handle goes. What is not answered by then is waited for, as by a close.
struct Guard(Arc<Shared>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.begin_close();
    }
}

impl Client {
    /// Starts a client of the server at `url`, `ws://host:port/`. It is there at once, and can be
    /// used before the server is. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// That is no address.
    pub fn connect(url: impl Into<String>) -> Result<Client, AddressError> {
        Client::with_config(ClientConfig::new(url))
    }

    /// As [`connect`](Self::connect), with settings.
    ///
    /// # Errors
    /// The address cannot be one.
    pub fn with_config(config: ClientConfig) -> Result<Client, AddressError> {
        config.check()?;
        let shared = Arc::new(Shared::new(config));
        tokio::spawn(run(shared.clone()));
        tokio::spawn(shared.clone().tell());
        Ok(Client { _guard: Arc::new(Guard(shared.clone())), shared })
    }

    /// Where the connection stands, now and from now on.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.shared.status.subscribe()
    }

    /// Waits until the client is online.
    ///
    /// # Errors
    /// It is not within [`ClientConfig::request_timeout`], or was closed.
    pub async fn online(&self) -> Result<(), WaitError> {
        let what = || format!("the server at {}", self.shared.config.url);
        let mut status = self.status();
        let over = |it: &Status| matches!(it, Status::Online | Status::Closed);
        let online = async { status.wait_for(over).await.is_ok_and(|it| *it == Status::Online) };
        match self.shared.in_time(what(), online).await? {
            true => Ok(()),
            false => Err(WaitError::Closed { what: what() }),
        }
    }

    /// The id of the session in force; `None` before the first.
    pub fn id(&self) -> Option<ClientId> {
        self.shared.with(|state| state.replica.client_id())
    }

    /// Waits until everything that was made, asked and offered here has its outcome, or the client is closed.
    pub async fn settled(&self) {
        let (mut settled, mut status) = (self.shared.settled.subscribe(), self.status());
        // The senders live as long as this handle.
        tokio::select! {
            _ = settled.wait_for(|settled| *settled) => {}
            _ = status.wait_for(|status| *status == Status::Closed) => {}
        }
    }

    /// Closes the client, and with it the session. It takes no more from here on; what was made and asked before
    /// is sent and waited for, up to [`ClientConfig::close_timeout`]. Gives what has no outcome then.
    pub async fn close(&self) -> Unfinished {
        self.shared.begin_close();
        let _ = self.status().wait_for(|status| *status == Status::Closed).await;
        self.shared.unfinished()
    }

    /// Looks into the replica.
    pub fn with_replica<R>(&self, look: impl FnOnce(&Replica) -> R) -> R {
        self.shared.with(|state| look(&state.replica))
    }

    /// Calls back for every event, in order, until the answer is dropped. Callbacks run one after the
    /// other in a task of the client's own; a slow one holds up the others, and in the end the socket.
    pub fn on_event(&self, callback: impl Fn(&Event) + Send + Sync + 'static) -> Listening {
        self.listen(None, Arc::new(callback))
    }

    pub(super) fn listen(&self, topic_name: Option<TopicName>, callback: Callback) -> Listening {
        let id = self.shared.with(|state| state.listen(topic_name.clone(), callback));
        Listening { shared: self.shared.clone(), topic_name, id, kept: false }
    }

    /// Makes changes of one or more topics that take effect together or not at all.
    ///
    /// # Errors
    /// One does not fit; then none happened.
    pub fn action(
        &self,
        changes: impl IntoIterator<Item = LocalChange>,
    ) -> Result<Pending, LocalError> {
        let changes = changes.into_iter().collect();
        let (outcome, answer) = oneshot::channel();
        let ticket = self.shared.act(|state| {
            let ticket = state.replica.local(changes)?;
            state.tickets.insert(ticket, outcome);
            Ok(ticket)
        })?;
        Ok(Pending { ticket, answer })
    }

    /// Undoes this client's newest action, others' later work staying as it is.
    ///
    /// # Errors
    /// What the server says, or that there was no answer: then it may have been done.
    pub async fn undo(&self) -> Result<Value, CallError> {
        self.call("_topicsync/undo", None, Replica::undo).await
    }

    /// Redoes what was undone last.
    ///
    /// # Errors
    /// As [`undo`](Self::undo).
    pub async fn redo(&self) -> Result<Value, CallError> {
        self.call("_topicsync/redo", None, Replica::redo).await
    }

    /// Asks a service. Without a timeout, that of [`ClientConfig::request_timeout`] holds here, and the
    /// server's there.
    ///
    /// # Errors
    /// It is not there, failed, or did not answer. If the connection was lost meanwhile, it may have been done;
    /// what only reads is asked again.
    pub async fn request(
        &self,
        service_name: &str,
        args: impl Into<Value>,
        timeout: Option<Duration>,
    ) -> Result<Value, CallError> {
        let timeout_ms = timeout.map(|timeout| timeout.as_millis() as u64);
        let args = args.into();
        let ask = |replica: &mut Replica| replica.request(service_name, args, timeout_ms);
        self.call(service_name, timeout, ask).await
    }

    async fn call(
        &self,
        service_name: &str,
        timeout: Option<Duration>,
        ask: impl FnOnce(&mut Replica) -> CallId,
    ) -> Result<Value, CallError> {
        let limit = timeout.unwrap_or(self.shared.config.request_timeout);
        let (outcome, answer) = oneshot::channel();
        let call = self.shared.act(|state| {
            let call = ask(&mut state.replica);
            state.calls.insert(call, outcome);
            call
        });
        let service_name = service_name.into();
        match tokio::time::timeout(limit, answer).await {
            Ok(outcome) => outcome.unwrap_or(Err(CallError::Closed { service_name })),
            Err(_) => {
                // An undo, say, must not be done when nobody expects it any more.
                self.shared.act(|state| {
                    state.replica.forget_call(call);
                    state.calls.remove(&call);
                });
                Err(CallError::TimedOut { service_name, limit })
            }
        }
    }

    /// Offers a service, in this session and every later one. Whether the server took the offer is an
    /// event, and can be waited for: see [`registered`](Self::registered).
    pub fn register_service<F>(
        &self,
        service_name: &str,
        service: impl Fn(Request) -> F + Send + Sync + 'static,
    ) where
        F: Future<Output = Answer> + Send + 'static,
    {
        let provider: Provider = Arc::new(move |request| Box::pin(service(request)));
        self.shared.act(|state| {
            state.providers.insert(service_name.into(), provider);
            state.refused_services.remove(service_name);
            state.replica.register_service(service_name);
        });
    }

    /// Waits until the server has taken a service that is offered here: from then on others can ask it.
    ///
    /// # Errors
    /// The server refused it, as somebody else offers it, say; or did not answer in time.
    pub async fn registered(&self, service_name: &str) -> Result<(), WaitError> {
        let what = format!("service {service_name:?}");
        let (registered, answer) = oneshot::channel();
        let refused = self.shared.with(|state| {
            if state.replica.is_registered(service_name) {
                let _ = registered.send(Ok(()));
            } else if state.providers.contains_key(service_name) {
                state.registering.entry(service_name.into()).or_default().push(registered);
            }
            state.refused_services.get(service_name).cloned()
        });
        if let Some(error) = refused {
            return Err(WaitError::Refused { what, error });
        }
        self.shared.answered(what, answer).await
    }

    /// Takes back the offer of a service.
    pub fn unregister_service(&self, service_name: &str) {
        self.shared.act(|state| {
            state.providers.remove(service_name);
            state.registering.remove(service_name);
            state.replica.unregister_service(service_name);
        });
    }

    /// A topic of any type. It is subscribed to, and made if there is none.
    ///
    /// # Errors
    /// The name cannot be one, or is subscribed here with another type.
    pub fn topic<T: TopicType>(
        &self,
        topic_name: &str,
        options: TopicOptions,
    ) -> Result<Topic<T>, SubscribeError> {
        let name = TopicName::new(topic_name)?;
        let fits =
            self.shared.act(|state| state.replica.subscribe(&name, TypeRef::of::<T>(), options));
        match fits {
            true => Ok(Topic::new(self.clone(), name)),
            false => Err(SubscribeError::AnotherType { topic_name: name, topic_type: T::NAME }),
        }
    }
}

macro_rules! topics {
    ($($name:ident: $kind:ty,)*) => {
        /// Topics of the built-in types, with the options that are so by default.
        impl Client {
            $(
                #[doc = concat!("A topic of type `", stringify!($name), "`, which is subscribed to.")]
                ///
                /// # Errors
                /// As [`topic`](Self::topic).
                pub fn $name(&self, topic_name: &str) -> Result<Topic<$kind>, SubscribeError> {
                    self.topic(topic_name, TopicOptions::default())
                }
            )*
        }
    };
}

topics! {
    generic: generic::Generic,
    bool: bool::Bool,
    int: int::Int,
    float: float::Float,
    string: string::String,
    list: list::List,
    set: set::Set,
    dict: dict::Dict,
    event: event::Event,
}

/// A local action on its way. It shows already; awaited, it tells its outcome. It may be dropped.
pub struct Pending {
    ticket: Ticket,
    answer: oneshot::Receiver<Result<Option<EcoString>, Refused>>,
}

impl Pending {
    /// What names the action in events.
    pub fn ticket(&self) -> Ticket {
        self.ticket
    }
}

impl Future for Pending {
    /// The id of the action or change; none if nothing was left to send.
    type Output = Result<Option<EcoString>, Refused>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = Pin::new(&mut self.answer).poll(context);
        answer.map(|answer| answer.unwrap_or(Err(Refused::Closed)))
    }
}

/// Keeps a callback; dropped, it calls no more.
#[must_use = "a callback lasts as long as this"]
pub struct Listening {
    shared: Arc<Shared>,
    topic_name: Option<TopicName>,
    id: ListenerId,
    kept: bool,
}

impl Listening {
    /// Keeps the callback as long as the client is.
    pub fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        if !self.kept {
            self.shared.with(|state| state.stop_listening(&self.topic_name, self.id));
        }
    }
}
