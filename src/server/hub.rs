//! What all connections of a server share, and what happens to a session beyond one connection.

use std::sync::atomic::{AtomicBool, Ordering};

use std::sync::{Arc, OnceLock, Weak};

use ecow::{EcoString, eco_format};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::config::ServerConfig;
use super::dialect;
use super::metrics::Metrics;
use super::outbox::{End, Outbox};
use super::services::{Provider, Services};
use super::session::{Session, Sessions};
use super::special;
use crate::engine::{
    Author, Decision, Engine, EngineConfig, Group, Observer, OpenError, Submission, Submitted,
    TopicCell, Unavailable,
};
use crate::journal::{JournalError, Operation, SessionRecord, TopicRecord};
use crate::topic::{ClientId, Timestamp, TopicName, TopicOptions};
use crate::types::TypeRef;
use crate::types::dict::{Dict, DictChange};
use crate::types::string::{String as Text, StringChange};
use crate::value::Value;

/// Keeps the server's own topics true to what happens in the engine, and passes all of it on to the
/// observer that the server was set up with.
struct Watching {
    hub: Arc<OnceLock<Weak<Hub>>>,
    also: Option<Arc<dyn Observer>>,
}

impl Watching {
    fn both(&self, own: impl FnOnce(&Hub), pass_on: impl FnOnce(&dyn Observer)) {
        if let Some(hub) = self.hub.get().and_then(Weak::upgrade) {
            own(&hub);
        }
        if let Some(also) = &self.also {
            pass_on(&**also);
        }
    }
}

impl Observer for Watching {
    fn topic_made(&self, topic: &Arc<TopicCell>) {
        self.both(|hub| hub.list_topic(topic, true), |also| also.topic_made(topic));
    }

    fn topic_removed(&self, topic: &Arc<TopicCell>) {
        self.both(|hub| hub.list_topic(topic, false), |also| also.topic_removed(topic));
    }

    fn topic_evicted(&self, name: &TopicName) {
        self.both(|_| (), |also| also.topic_evicted(name));
    }

    fn topic_failed(&self, name: &TopicName, error: &OpenError) {
        self.both(|_| (), |also| also.topic_failed(name, error));
    }

    fn journal(&self, state: Result<(), &str>) {
        self.both(|hub| hub.tell_of_journal(state), |also| also.journal(state));
    }

    fn decided(&self, decision: &Decision<'_>) {
        if let Some(also) = &self.also {
            also.decided(decision);
        }
    }
}

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
    /// What those who speak the dialect of topicsync 0.13 share.
    pub dialect: dialect::Shared,
    special: special::Topics,
    going_down: AtomicBool,
    /// Where listeners of the host program run, whichever thread it calls from.
    runtime: tokio::runtime::Handle,
}

impl Hub {
    /// A hub that goes on from what the engine's journal holds.
    ///
    /// # Errors
    /// The journal cannot be read or written.
    pub fn begin(config: ServerConfig, engine: EngineConfig) -> Result<Arc<Hub>, JournalError> {
        // The engine tells of what happens in it before, and after, there is a hub.
        let later: Arc<OnceLock<Weak<Hub>>> = Arc::default();
        let observer = Watching { hub: later.clone(), also: engine.observer.clone() };
        // A connection that broke without a word is found out by silence, and a timer.
        let unnoticed = config.silence_max + config.ping_interval;
        let (engine, sessions) = Engine::begin(EngineConfig {
            resumable_ms: (config.session_timeout + unnoticed).as_millis() as u64,
            observer: Some(Arc::new(observer)),
            ..engine
        })?;
        let special = special::Topics::make(&engine);
        let hub = Arc::new(Hub {
            config,
            author: Author::server(engine.life()),
            engine,
            sessions: Sessions::default(),
            services: Services::default(),
            metrics: Metrics::new(),
            shutdown: CancellationToken::new(),
            tasks: TaskTracker::new(),
            dialect: dialect::Shared::default(),
            special,
            going_down: AtomicBool::new(false),
            runtime: tokio::runtime::Handle::current(),
        });
        // It is set just here.
        let _ = later.set(Arc::downgrade(&hub));
        hub.list_topics()?;
        sessions.into_iter().for_each(|session| hub.restore_session(session));
        Ok(hub)
    }

    /// Puts the topics that the journal holds on `_topicsync/topic_list`.
    fn list_topics(&self) -> Result<(), JournalError> {
        let records = self.engine.records()?;
        if !records.is_empty() {
            let entry = |record: TopicRecord| {
                let entry = special::topic_entry(&record.type_name, &record.options, &record.epoch);
                (EcoString::from(record.name), entry)
            };
            let topics = records.into_iter().map(entry).collect();
            self.submit::<Dict>(&self.special.topic_list, DictChange::Set(topics));
        }
        Ok(())
    }

    /// A session from before the server's present life: its client has as long to come back as if its
    /// connection was lost just now.
    fn restore_session(self: &Arc<Self>, record: SessionRecord) {
        let session = self.sessions.add(Session::from_before(record, self.engine.life()));
        for name in session.services.lock().iter() {
            self.services.register(name.clone(), Provider::Session(session.clone()));
        }
        self.metrics.sessions.inc();
        self.list_client(&session, false, true);
        self.end_session_in_time(session, 0);
    }

    /// Says in `_topicsync/server_status` that the journal failed, or works again.
    fn tell_of_journal(&self, state: Result<(), &str>) {
        match state {
            Ok(()) => self.announce("the journal works again"),
            Err(reason) => self.announce(&format!("changes cannot be made durable: {reason}")),
        }
    }

    /// Has the session in the journal no later than what it is about to do.
    pub fn record_session(&self, session: &Session) {
        if let Some(operation) = session.record_once() {
            self.engine.keep(operation);
        }
    }

    /// Has the session's services in the journal as they are now.
    pub fn record_services(&self, session: &Session) {
        self.engine.keep(session.record());
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

    /// Is done once all that is accepted by now is durable and published.
    ///
    /// # Errors
    /// Some of it could not be made durable, and is undone.
    pub async fn settled(&self) -> Result<(), Unavailable> {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        // If nobody waits for it any more, there is nobody to tell.
        self.engine.after_commit(Box::new(|settled| {
            let _ = sender.send(settled);
        }));
        receiver.await.unwrap_or(Err(Unavailable))
    }

    /// Sets the gauges of what the engine knows.
    pub fn gauge_engine(&self) {
        let (journal, metrics) = (self.engine.journal_state(), &self.metrics);
        metrics.topics.set(self.engine.topics_len() as i64);
        metrics.topics_in_memory.set(self.engine.topics_in_memory_len() as i64);
        metrics.journal_works.set(journal.works.into());
        metrics.journal_waiting.set(journal.waiting as i64);
        metrics.journal_groups.set(journal.groups as i64);
    }

    /// Runs something that may take long or read the journal, off the connections' threads.
    pub fn spawn_reading(&self, read: impl FnOnce() + Send + 'static) {
        self.tasks.spawn_blocking_on(read, &self.runtime);
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
    fn list_topic(&self, topic: &TopicCell, is_made: bool) {
        if topic.name().is_special() || self.dialect.lists(topic.name()) {
            return;
        }
        let key = EcoString::from(topic.name().clone());
        self.submit::<Dict>(
            &self.special.topic_list,
            match is_made {
                true => {
                    let (kind, options) = (topic.kind().name(), topic.options());
                    DictChange::Add {
                        key,
                        value: special::topic_entry(kind, options, topic.epoch()),
                    }
                }
                false => DictChange::Remove { key },
            },
        );
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
        let id = self.engine.next_client()?;
        let session = self.sessions.add(Session::new(id, Timestamp::now()));
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
        if goodbye {
            self.end_session(session, connections);
            return;
        }
        self.list_client(session, false, false);
        self.end_session_in_time(session.clone(), connections);
    }

    /// Ends a session whose client is away, unless it comes back in time. The server's going down ends
    /// no session: it can be resumed once the server is back.
    fn end_session_in_time(self: &Arc<Self>, session: Arc<Session>, connections: u64) {
        let hub = self.clone();
        self.spawn(async move {
            tokio::time::sleep(hub.config.session_timeout).await;
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
        if session.is_recorded() {
            self.engine.keep(Operation::EndSession(session.id));
        }
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
