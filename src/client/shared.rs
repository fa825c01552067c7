//! What handles and the connection share: the replica, and who waits for what.

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use ecow::EcoString;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::Instant;

use super::event::{CallError, Event, Rejection, Ticket};
use super::replica::{CallId, Replica};
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
    Connecting,
    Online,
    /// The connection is lost, and another attempt follows.
    Offline,
    /// There will be no other attempt: the client was closed, or its session resumed elsewhere.
    Closed,
}

/// A local action that did not come about, or may not have.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refused {
    #[error(transparent)]
    Rejected(#[from] Rejection),
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
    pub service_name: EcoString,
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
    /// Who waits for a local action's fate: the id that it was accepted under.
    pub tickets: HashMap<Ticket, oneshot::Sender<Result<Option<EcoString>, Refused>>>,
    pub calls: HashMap<CallId, oneshot::Sender<Result<Value, CallError>>>,
    pub ready: HashMap<TopicName, Vec<oneshot::Sender<Result<(), ErrorMessage>>>>,
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
    /// There may be something to send.
    pub outgoing: Notify,
    /// There are events for the program.
    heard: Notify,
    /// The program was told of events.
    told: Notify,
    pub status: watch::Sender<Status>,
    pub closing: watch::Sender<bool>,
    /// How many batches wait for their fate.
    pub pending: watch::Sender<usize>,
}

impl Shared {
    pub fn new() -> Shared {
        Shared {
            state: Mutex::new(State::default()),
            outgoing: Notify::new(),
            heard: Notify::new(),
            told: Notify::new(),
            status: watch::Sender::new(Status::Connecting),
            closing: watch::Sender::new(false),
            pending: watch::Sender::new(0),
        }
    }

    /// Reads or moves the state, and passes on what happened in it.
    pub fn with<R>(&self, work: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.state.lock();
        let result = work(&mut state);
        if state.settle() {
            self.heard.notify_one();
        }
        let pending = state.replica.pending_len();
        self.pending.send_if_modified(|old| std::mem::replace(old, pending) != pending);
        result
    }

    /// As [`with`](Self::with), for what may leave something to send.
    pub fn act<R>(&self, work: impl FnOnce(&mut State) -> R) -> R {
        let result = self.with(work);
        self.outgoing.notify_one();
        result
    }

    /// Waits while the program is far behind with its events.
    pub async fn keep_pace(&self) {
        while self.state.lock().events.len() > EVENTS_MAX {
            self.told.notified().await;
        }
    }

    /// Tells the program what happened, until the client is closed and all is told.
    pub async fn tell(self: Arc<Shared>) {
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

    /// Ends everything: who still waits is told so.
    pub fn close(&self) {
        self.status.send_replace(Status::Closed);
        let mut state = self.state.lock();
        state.tickets.clear();
        state.calls.clear();
        state.ready.clear();
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

impl State {
    pub fn listen(&mut self, topic_name: Option<TopicName>, callback: Callback) -> ListenerId {
        self.listeners_made += 1;
        let id = self.listeners_made;
        self.listeners.entry(topic_name).or_default().push((id, callback));
        id
    }

    pub fn stop_listening(&mut self, topic_name: &Option<TopicName>, id: ListenerId) {
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
            self.answer(event);
        }
        self.events.extend(events);
        any
    }

    fn answer(&mut self, event: &Event) {
        match event {
            Event::Confirmed { ticket, id } => self.fate(*ticket, Ok(id.clone())),
            Event::Rejected { ticket, rejection } => {
                self.fate(*ticket, Err(Refused::Rejected(rejection.clone())));
            }
            Event::Unknown { ticket } => self.fate(*ticket, Err(Refused::Unknown)),
            Event::Unsent { ticket } => self.fate(*ticket, Err(Refused::Unsent)),
            Event::Response { call, outcome } => {
                if let Some(asker) = self.calls.remove(call) {
                    let _ = asker.send(outcome.clone());
                }
            }
            Event::Ready { topic_name } => self.answer_ready(topic_name, &Ok(())),
            Event::Closed { topic_name, error: Some(error) } => {
                self.answer_ready(topic_name, &Err(error.clone()));
            }
            Event::Closed { topic_name, error: None } => drop(self.ready.remove(topic_name)),
            Event::Busy => self.busy_until = Some(Instant::now() + BUSY_DELAY),
            _ => {}
        }
    }

    // Who does not wait any more has dropped the other end; that is no failure.

    fn fate(&mut self, ticket: Ticket, fate: Result<Option<EcoString>, Refused>) {
        if let Some(author) = self.tickets.remove(&ticket) {
            let _ = author.send(fate);
        }
    }

    fn answer_ready(&mut self, topic_name: &TopicName, result: &Result<(), ErrorMessage>) {
        for waiting in self.ready.remove(topic_name).into_iter().flatten() {
            let _ = waiting.send(result.clone());
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
