//! What all connections of a server share, and what happens to a session beyond one connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ecow::{EcoString, eco_format};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::config::ServerConfig;
use super::metrics::Metrics;
use super::outbox::{End, Outbox};
use super::services::Services;
use super::session::{Session, Sessions};
use super::special;
use crate::engine::{
    Author, Engine, EngineConfig, Existence, Group, Submission, Submitted, TopicCell,
};
use crate::topic::{ClientId, Timestamp, TopicName, TopicOptions};
use crate::types::TypeRef;
use crate::types::dict::{Dict, DictChange};
use crate::types::string::{String as Text, StringChange};
use crate::value::Value;

/// The state of a running server.
pub struct Hub {
    pub config: ServerConfig,
    pub engine: Engine,
    pub sessions: Sessions,
    pub services: Services,
    pub metrics: Metrics,
    /// Makes the server's own changes.
    pub author: Author,
    /// Cancelled when the server goes down.
    pub shutdown: CancellationToken,
    /// Every connection and timer.
    pub tasks: TaskTracker,
    special: special::Topics,
    going_down: AtomicBool,
    /// Where listeners of the host program run, whichever thread it calls from.
    runtime: tokio::runtime::Handle,
}

impl Hub {
    pub fn new(config: ServerConfig, engine: EngineConfig) -> Arc<Hub> {
        Arc::new_cyclic(|hub: &std::sync::Weak<Hub>| {
            let listener = hub.clone();
            // A connection that broke without a word is found out by silence, and a timer.
            let unnoticed = config.silence_max + config.ping_interval;
            let engine = Engine::new(EngineConfig {
                resumable_ms: (config.session_timeout + unnoticed).as_millis() as u64,
                on_topic: Some(Arc::new(move |topic, existence| {
                    if let Some(hub) = listener.upgrade() {
                        hub.list_topic(topic, existence);
                    }
                })),
                ..engine
            });
            let special = special::Topics::make(&engine);
            Hub {
                config,
                engine,
                sessions: Sessions::default(),
                services: Services::default(),
                metrics: Metrics::new(),
                author: Author::new(ClientId::SERVER, None),
                shutdown: CancellationToken::new(),
                tasks: TaskTracker::new(),
                special,
                going_down: AtomicBool::new(false),
                runtime: tokio::runtime::Handle::current(),
            }
        })
    }

    /// Runs something beside the connections until it is done or the server is gone.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let shutdown = self.shutdown.clone();
        self.tasks.spawn_on(
            async move {
                tokio::select! {
                    () = task => {}
                    () = shutdown.cancelled() => {}
                }
            },
            &self.runtime,
        );
    }

    /// Makes a change of the server's own.
    pub fn submit<T: crate::types::TopicType>(&self, topic: &TopicCell, change: T::Change) {
        let changes = [Submitted::typed::<T>(topic.name().clone(), change)].into_iter().collect();
        let submission = Submission { action_id: None, changes };
        if let Err(rejected) = self.engine.submit_now(&self.author, submission) {
            tracing::error!(topic = %topic.name(), error = %rejected.rejection, "own change rejected");
        }
    }

    /// Keeps `_topicsync/topic_list` true.
    fn list_topic(&self, topic: &TopicCell, existence: Existence) {
        if topic.name().is_special() {
            return;
        }
        let key = EcoString::from(topic.name().clone());
        self.submit::<Dict>(
            &self.special.topic_list,
            match existence {
                Existence::Made => DictChange::Add { key, value: special::topic_entry(topic) },
                Existence::Removed => DictChange::Remove { key },
            },
        );
        self.metrics.topics.set(self.engine.topics_len() as i64);
    }

    /// Says in `_topicsync/server_status` what happened, in words.
    pub fn announce(&self, event: &str) {
        self.submit::<Text>(&self.special.server_status, StringChange::Set(event.into()));
    }

    /// The topic of messages to one client, made when it is first needed.
    pub fn client_messages(&self, client: ClientId) -> Arc<TopicCell> {
        let name = TopicName::new(eco_format!("{}{client}", special::CLIENT_MESSAGE))
            .expect("the prefix and a number are a name");
        let options = TopicOptions { no_history: true, ..TopicOptions::default() };
        let made = self.engine.make(&name, TypeRef::of::<Text>(), options);
        made.expect("only the server makes special topics")
    }

    /// Says something to one client, in its `_topicsync/client_message/<id>`.
    pub fn tell(&self, client: ClientId, words: &str) {
        self.submit::<Text>(&self.client_messages(client), StringChange::Set(words.into()));
    }

    /// A new session for a connection; `None` if the server is full.
    pub fn open_session(
        &self,
        outbox: impl FnOnce(ClientId) -> Arc<Outbox>,
    ) -> Option<(Arc<Session>, Arc<Outbox>)> {
        if self.sessions.len() >= self.config.sessions_max {
            return None;
        }
        let session = self.sessions.make(Timestamp::now());
        let outbox = outbox(session.id);
        session.connect(&outbox);
        self.metrics.sessions.inc();
        tracing::debug!(client = %session.id, "session opened");
        self.list_client(&session, true, true);
        Some((session, outbox))
    }

    /// Keeps `_topicsync/clients` true.
    pub fn list_client(&self, session: &Session, connected: bool, new: bool) {
        let key = EcoString::from(session.id.to_string());
        let value = Value::Dict(
            [("connected", connected.into()), ("since", Value::Int(session.since.0 as i64))].into(),
        );
        self.submit::<Dict>(
            &self.special.clients,
            match new {
                true => DictChange::Add { key, value },
                false => DictChange::ChangeValue { key, value },
            },
        );
    }

    /// A connection is gone. Its session waits to be resumed, or ends at once if the client said goodbye.
    pub fn disconnected(
        self: &Arc<Self>,
        session: &Arc<Session>,
        outbox: &Arc<Outbox>,
        goodbye: bool,
    ) {
        let Some(connections) = session.disconnect(outbox) else { return };
        if goodbye || self.shutdown.is_cancelled() {
            self.end_session(session, connections);
            return;
        }
        self.list_client(session, false, false);
        let (hub, session) = (self.clone(), session.clone());
        self.tasks.spawn(async move {
            tokio::select! {
                () = tokio::time::sleep(hub.config.session_timeout) => {}
                () = hub.shutdown.cancelled() => {}
            }
            hub.end_session(&session, connections);
        });
    }

    /// Ends a session whose client is away: its services, its presence, its place in the list.
    pub fn end_session(&self, session: &Session, connections: u64) {
        if !session.end_if_away(connections) {
            return;
        }
        tracing::debug!(client = %session.id, "session over");
        self.sessions.forget(session);
        self.services.leave(session);
        let mut group = Group::default();
        self.engine.leave(&session.author, &self.author, &mut group);
        self.engine.publish(&mut group);
        self.metrics.sessions.dec();
        let key = EcoString::from(session.id.to_string());
        self.submit::<Dict>(&self.special.clients, DictChange::Remove { key });
        let name = TopicName::new(eco_format!("{}{}", special::CLIENT_MESSAGE, session.id));
        if let Ok(name) = name {
            self.engine.remove(&name);
        }
    }

    /// Ends every connection with 1001, once what waits for it is written.
    pub fn go_down(&self) {
        if !self.going_down.swap(true, Ordering::AcqRel) {
            self.announce("the server is going down");
        }
        self.shutdown.cancel();
        for session in self.sessions.all() {
            session.end_connection(End::GoingDown);
        }
    }

    pub fn is_going_down(&self) -> bool {
        self.going_down.load(Ordering::Acquire)
    }
}
