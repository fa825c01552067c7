//! What handles and the connection share: the replica, and who waits for what.

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use ecow::EcoString;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::{Instant, timeout, timeout_at};

use super::connection::ClientConfig;
use super::event::{CallError, Event, Rejection, Ticket};
use super::replica::{CallId, Replica, Unfinished};
use crate::protocol::ServiceErrorCode;
use crate::protocol::message::{ErrorMessage, ServiceError};
use crate::topic::{ClientId, TopicName};
use crate::value::Value;

/// How many events wait for the program's callbacks before the socket is left waiting too.
const EVENTS_MAX: usize = 4096;
/// How long to wait before what the server had no room for is sent again.
const BUSY_DELAY: Duration = Duration::from_millis(250);

/// Where a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// A first or another attempt is made.
    Connecting,
    /// A session is in force.
    Online,
    /// The connection is lost, and another attempt follows.
    Offline,
    /// There will be no other attempt: the client was closed, or its session resumed elsewhere.
    Closed,
}

/// What was waited for and did not come (R40).
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum WaitError {
    /// The server refused it.
    #[error("{what}: {error}")]
    Refused {
        /// What was waited for: a topic, a service.
        what: String,
        /// Why.
        error: ErrorMessage,
    },
    /// Nothing came within the client's own limit, [`ClientConfig::request_timeout`](super::ClientConfig).
    #[error("{what}: it did not come within {limit:?}")]
    TimedOut {
        /// What was waited for.
        what: String,
        /// How long.
        limit: Duration,
    },
    /// The client is closed, or the topic or service was given up.
    #[error("{what}: it will not come any more")]
    Closed {
        /// What was waited for.
        what: String,
    },
}

/// A local action that did not come about, or may not have.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refused {
    /// It came back, and has left the view.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// Whether it was accepted cannot be known.
    #[error("the answer was lost, with the session or with the topic's life")]
    Unknown,
    /// It was never sent.
    #[error("the client was closed before it was sent")]
    Unsent,
    /// There is no client any more.
    #[error("the client is closed")]
    Closed,
}

/// A request to a service of this client.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// What is asked.
    pub service_name: EcoString,
    /// With what.
    pub args: Value,
    /// Who asks.
    pub client_id: ClientId,
}

/// What a service answers: a value, or the reason of its failure.
pub type Answer = Result<Value, String>;

pub(super) type Callback = Arc<dyn Fn(&Event) + Send + Sync>;
pub(super) type Provider =
    Arc<dyn Fn(Request) -> Pin<Box<dyn Future<Output = Answer> + Send>> + Send + Sync>;
pub(super) type ListenerId = u64;

/// Everything that is behind one lock. It is held for the moment of a call of the replica, never
/// while waiting or calling the program.
#[derive(Default)]
pub(super) struct State {
    pub replica: Replica,
    /// Who waits for a local action's outcome: the id that it was accepted under.
    pub tickets: HashMap<Ticket, oneshot::Sender<Result<Option<EcoString>, Refused>>>,
    pub calls: HashMap<CallId, oneshot::Sender<Result<Value, CallError>>>,
    pub ready: HashMap<TopicName, Vec<oneshot::Sender<Result<(), ErrorMessage>>>>,
    /// Who waits for a service to be registered.
    pub registering: HashMap<EcoString, Vec<oneshot::Sender<Result<(), ErrorMessage>>>>,
    /// Services that the server refused, until they are offered again.
    pub refused_services: HashMap<EcoString, ErrorMessage>,
    /// What failed unheard was said in the log (R44).
    warned: bool,
    pub providers: HashMap<EcoString, Provider>,
    /// By the topic that they listen to; those to everything under `None`.
    listeners: HashMap<Option<TopicName>, Vec<(ListenerId, Callback)>>,
    listeners_made: ListenerId,
    /// What the program is yet to be told.
    events: VecDeque<Event>,
    /// When to send again what the server had no room for.
    pub busy_until: Option<Instant>,
}

pub(super) struct Shared {
    state: Mutex<State>,
    pub config: ClientConfig,
    /// There may be something to send.
    pub outgoing: Notify,
    /// There are events for the program.
    heard: Notify,
    /// The program was told of events.
    told: Notify,
    pub status: watch::Sender<Status>,
    /// Until when a client that is told to close waits for answers.
    closing: watch::Sender<Option<Instant>>,
    /// Whether everything made, asked and offered has its outcome.
    pub settled: watch::Sender<bool>,
    /// What a close left behind.
    unfinished: Mutex<Unfinished>,
}

impl Shared {
    pub(super) fn new(config: ClientConfig) -> Shared {
        Shared {
            state: Mutex::new(State::default()),
            config,
            outgoing: Notify::new(),
            heard: Notify::new(),
            told: Notify::new(),
            status: watch::Sender::new(Status::Connecting),
            closing: watch::Sender::new(None),
            settled: watch::Sender::new(true),
            unfinished: Mutex::new(Unfinished::default()),
        }
    }

    /// Reads or changes the state, and passes on what happened in it.
    pub(super) fn with<R>(&self, work: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.state.lock();
        let result = work(&mut state);
        if state.settle() {
            self.heard.notify_one();
        }
        let settled = state.replica.is_settled();
        self.settled.send_if_modified(|old| std::mem::replace(old, settled) != settled);
        result
    }

    /// As [`with`](Self::with), for what may leave something to send.
    pub(super) fn act<R>(&self, work: impl FnOnce(&mut State) -> R) -> R {
        let result = self.with(work);
        self.outgoing.notify_one();
        result
    }

    /// Waits while the program is far behind with its events.
    pub(super) async fn keep_pace(&self) {
        while self.state.lock().events.len() > EVENTS_MAX {
            self.told.notified().await;
        }
    }

    /// Tells the program what happened, until the client is closed and all is told.
    pub(super) async fn tell(self: Arc<Shared>) {
        loop {
            let next = self.state.lock().next_event();
            match next {
                Some((event, callbacks)) => {
                    for callback in callbacks {
                        call(&callback, &event);
                    }
                    self.serve(event);
                    self.told.notify_one();
                }
                // What callbacks hold is let go.
                None if *self.status.borrow() == Status::Closed => {
                    let listeners = std::mem::take(&mut self.state.lock().listeners);
                    return drop(listeners);
                }
                None => self.heard.notified().await,
            }
        }
    }

    /// Has a service of the program answer a request.
    fn serve(self: &Arc<Shared>, event: Event) {
        let Event::Request { service_name, args, request_id, client_id } = event else { return };
        let provider = self.state.lock().providers.get(&service_name).cloned();
        let shared = self.clone();
        tokio::spawn(async move {
            let failed = |reason: String| ServiceError::new(ServiceErrorCode::Failed, reason);
            let outcome = match provider {
                Some(provider) => {
                    provider(Request { service_name, args, client_id }).await.map_err(failed)
                }
                None => Err(failed("it is not offered any more".to_owned())),
            };
            shared.act(|state| state.replica.respond(request_id, outcome));
        });
    }

    /// Takes no more of the program, and lets the connection end once all is answered, or the limit has
    /// passed (R38).
    pub(super) fn begin_close(&self) {
        let until = Instant::now() + self.config.close_timeout;
        self.act(|state| state.replica.close());
        self.closing.send_if_modified(|closing| closing.replace(until).is_none());
    }

    /// Waits until a client that was told to close has nothing to wait for any more.
    pub(super) async fn over(&self) {
        let (mut closing, mut settled) = (self.closing.subscribe(), self.settled.subscribe());
        // The senders live as long as this.
        let until = closing.wait_for(Option::is_some).await.map(|until| *until);
        let Ok(Some(until)) = until else { return std::future::pending().await };
        let _ = timeout_at(until, settled.wait_for(|settled| *settled)).await;
    }

    /// Waits for something, within the client's own limit (R40).
    pub(super) async fn in_time<T>(
        &self,
        what: String,
        waiting: impl Future<Output = T>,
    ) -> Result<T, WaitError> {
        let limit = self.config.request_timeout;
        timeout(limit, waiting).await.map_err(|_| WaitError::TimedOut { what, limit })
    }

    /// Waits for what the server says to something.
    pub(super) async fn answered(
        &self,
        what: String,
        answer: oneshot::Receiver<Result<(), ErrorMessage>>,
    ) -> Result<(), WaitError> {
        match self.in_time(what.clone(), answer).await? {
            Ok(answer) => answer.map_err(|error| WaitError::Refused { what, error }),
            Err(_) => Err(WaitError::Closed { what }),
        }
    }

    /// What a close left behind.
    pub(super) fn unfinished(&self) -> Unfinished {
        self.unfinished.lock().clone()
    }

    /// Ends everything: who still waits is told so.
    pub(super) fn close(&self) {
        *self.unfinished.lock() = self.with(|state| {
            let unfinished = state.replica.unfinished();
            state.replica.end();
            unfinished
        });
        self.status.send_replace(Status::Closed);
        let mut state = self.state.lock();
        state.tickets.clear();
        state.calls.clear();
        state.ready.clear();
        state.registering.clear();
        let providers = std::mem::take(&mut state.providers);
        drop(state);
        // They may hold handles of this client, whose end needs the lock.
        drop(providers);
        self.heard.notify_one();
    }
}

/// Calls the program. A panic there is its own affair, and takes nothing else with it.
fn call(callback: &Callback, event: &Event) {
    if catch_unwind(AssertUnwindSafe(|| callback(event))).is_err() {
        tracing::error!("a callback panicked");
    }
}

/// Who does not wait any more has dropped the other end; that is no failure. Tells whether anybody heard it.
fn tell<T: Clone>(waiting: Option<Vec<oneshot::Sender<T>>>, what: &T) -> bool {
    let waiting = waiting.into_iter().flatten();
    waiting.map(|it| it.send(what.clone()).is_ok()).fold(false, |any, heard| any | heard)
}

impl State {
    pub(super) fn listen(
        &mut self,
        topic_name: Option<TopicName>,
        callback: Callback,
    ) -> ListenerId {
        self.listeners_made += 1;
        let id = self.listeners_made;
        self.listeners.entry(topic_name).or_default().push((id, callback));
        id
    }

    pub(super) fn stop_listening(&mut self, topic_name: &Option<TopicName>, id: ListenerId) {
        if let Some(listeners) = self.listeners.get_mut(topic_name) {
            listeners.retain(|(it, _)| *it != id);
            if listeners.is_empty() {
                self.listeners.remove(topic_name);
            }
        }
    }

    /// Answers who waits for what happened, and queues it for the callbacks. Tells whether anything did.
    fn settle(&mut self) -> bool {
        let events = self.replica.events();
        let any = !events.is_empty();
        for event in &events {
            if !self.answer(event) && !self.has_listeners(event) {
                self.warn(event);
            }
        }
        self.events.extend(events);
        any
    }

    /// Tells who waits for an event. `false` if it is a failure that nobody waited for.
    fn answer(&mut self, event: &Event) -> bool {
        match event {
            Event::Confirmed { ticket, id } => drop(self.outcome(*ticket, Ok(id.clone()))),
            Event::Rejected { ticket, rejection } => {
                return self.outcome(*ticket, Err(Refused::Rejected(rejection.clone())));
            }
            Event::Unknown { ticket } => return self.outcome(*ticket, Err(Refused::Unknown)),
            Event::Unsent { ticket } => return self.outcome(*ticket, Err(Refused::Unsent)),
            Event::Response { call, outcome } => {
                if let Some(asker) = self.calls.remove(call) {
                    let _ = asker.send(outcome.clone());
                }
            }
            Event::Ready { topic_name } => drop(tell(self.ready.remove(topic_name), &Ok(()))),
            Event::Closed { topic_name, error: Some(error) } => {
                return tell(self.ready.remove(topic_name), &Err(error.clone()));
            }
            Event::Closed { topic_name, error: None } => drop(self.ready.remove(topic_name)),
            Event::Registered { service_name } => {
                tell(self.registering.remove(service_name), &Ok(()));
            }
            Event::Error(error) => {
                let service = error.service_name.clone();
                let offered = error.to.as_deref() == Some("register_service");
                let Some(service_name) = service.filter(|_| offered) else { return false };
                self.refused_services.insert(service_name.clone(), error.clone());
                return tell(self.registering.remove(&service_name), &Err(error.clone()));
            }
            Event::Busy => self.busy_until = Some(Instant::now() + BUSY_DELAY),
            _ => {}
        }
        true
    }

    /// Tells the author of a local action its outcome. `false` if he does not wait for it.
    fn outcome(&mut self, ticket: Ticket, outcome: Result<Option<EcoString>, Refused>) -> bool {
        self.tickets.remove(&ticket).is_some_and(|author| author.send(outcome).is_ok())
    }

    fn has_listeners(&self, event: &Event) -> bool {
        self.listeners.contains_key(&None)
            || matches!(event, Event::Closed { topic_name, .. }
                if self.listeners.contains_key(&Some(topic_name.clone())))
    }

    /// Says in the log what failed unheard: the first time, so that a program that does not want to know is
    /// not drowned in it (R44).
    fn warn(&mut self, event: &Event) {
        let told = match event {
            Event::Rejected { rejection, .. } => format!("a change was rejected: {rejection}"),
            Event::Unknown { .. } => "whether a change was accepted cannot be known".to_owned(),
            Event::Unsent { .. } => "a change was never sent, as the client was closed".to_owned(),
            Event::Closed { topic_name, error: Some(error) } => {
                format!("topic {topic_name:?} is not subscribed: {error}")
            }
            Event::Error(error) => error.to_string(),
            _ => return,
        };
        match std::mem::replace(&mut self.warned, true) {
            false => tracing::warn!("{told}; nobody waits or listens, and more is said as debug"),
            true => tracing::debug!("{told}"),
        }
    }

    fn next_event(&mut self) -> Option<(Event, Vec<Callback>)> {
        let event = self.events.pop_front()?;
        let of_topic = match &event {
            Event::Changed { topic_name, .. }
            | Event::Ready { topic_name }
            | Event::Closed { topic_name, .. } => self.listeners.get(&Some(topic_name.clone())),
            _ => None,
        };
        let all = of_topic.into_iter().chain(self.listeners.get(&None)).flatten();
        let callbacks = all.map(|(_, callback)| callback.clone()).collect();
        Some((event, callbacks))
    }
}
