//! What all sessions of a server share, and what happens to a session beyond one connection.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use ecow::{EcoString, eco_format};
use parking_lot::Mutex;

use super::attachment::Attachment;
use super::config::SessionConfig;
use super::counters::Counters;
use super::outbox::{End, Outbox};
use super::requests::{HostService, Provider, Requests};
use super::session::{Session, Sessions};
use super::special;
use crate::engine::policy::CLIENT_MESSAGE;
use crate::engine::{
    Author, Clock, Decision, Engine, EngineConfig, Group, Observer, OpenError, Submission,
    Submitted, TopicCell, Unavailable,
};
use crate::journal::{JournalError, Operation, SessionRecord, TopicRecord};
use crate::protocol::message::Hello;
use crate::protocol::{Encoding, ServerMessage};
use crate::topic::{ClientId, TopicName, TopicOptions, Uptime};
use crate::types::TypeRef;
use crate::types::dict::{Dict, DictChange};
use crate::types::string::{String as Text, StringChange};
use crate::value::{Value, limits};

/// Keeps the server's own topics true to what happens in the engine, and passes all of it on to the
/// observer that the server was set up with.
struct Listing {
    hub: Arc<OnceLock<Weak<Hub>>>,
    also: Option<Arc<dyn Observer>>,
}

impl Listing {
    fn both(&self, own: impl FnOnce(&Hub), pass_on: impl FnOnce(&dyn Observer)) {
        if let Some(hub) = self.hub.get().and_then(Weak::upgrade) {
            own(&hub);
        }
        if let Some(also) = &self.also {
            pass_on(&**also);
        }
    }
}

impl Observer for Listing {
    fn topic_made(&self, topic: &Arc<TopicCell>) {
        self.both(|hub| hub.list_topic(topic, Existence::Made), |also| also.topic_made(topic));
    }

    fn topic_removed(&self, topic: &Arc<TopicCell>) {
        self.both(
            |hub| hub.list_topic(topic, Existence::Removed),
            |also| also.topic_removed(topic),
        );
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

/// Whether a topic was made or removed.
enum Existence {
    Made,
    Removed,
}

/// A topic that was just made and is put on the topic list by who made it. Once this is dropped, the list
/// follows what happens to the topic by itself.
pub(crate) struct UnlistedTopic {
    hub: Arc<Hub>,
    topic: Arc<TopicCell>,
}

impl UnlistedTopic {
    /// The topic.
    pub(crate) fn topic(&self) -> &Arc<TopicCell> {
        &self.topic
    }
}

impl Drop for UnlistedTopic {
    fn drop(&mut self) {
        self.hub.list_again(self.topic.name(), Some(&self.topic));
        if self.topic.is_removed() {
            // Removed before it was put on the list: nobody takes it off.
            self.hub.list_topic(&self.topic, Existence::Removed);
        }
    }
}

/// What all sessions of a server share.
pub struct Hub {
    me: Weak<Hub>,
    config: SessionConfig,
    engine: Engine,
    /// The engine's; what is told here is the time of day.
    clock: Arc<dyn Clock>,
    sessions: Sessions,
    /// Sessions whose clients are away, by when they end. Locked after a session.
    away: Mutex<BTreeSet<(Uptime, ClientId)>>,
    requests: Requests,
    counters: Counters,
    /// Makes the server's own changes.
    author: Author,
    special: special::Topics,
    /// Held while the topic list is read and changed. Taken before a topic's lock.
    listing: Mutex<()>,
    /// The names of topics that are put on the topic list by who makes them, and the topics that were made
    /// under these names meanwhile.
    unlisted: Mutex<HashMap<TopicName, Vec<Arc<TopicCell>>>>,
    going_down: AtomicBool,
}

impl Hub {
    /// A hub that goes on from what the engine's journal holds.
    ///
    /// # Errors
    /// The journal cannot be read or written.
    pub fn begin(
        config: SessionConfig,
        engine: EngineConfig,
        now: Uptime,
    ) -> Result<Arc<Hub>, JournalError> {
        // The engine tells of what happens in it before, and after, there is a hub.
        let later: Arc<OnceLock<Weak<Hub>>> = Arc::default();
        let observer = Listing { hub: later.clone(), also: engine.observer.clone() };
        let clock = engine.clock.clone();
        let (engine, sessions) = Engine::begin(EngineConfig {
            resumable_ms: (config.session_timeout + config.unnoticed_max).as_millis() as u64,
            observer: Some(Arc::new(observer)),
            ..engine
        })?;
        let special = special::Topics::make(&engine);
        let hub = Arc::new_cyclic(|me| Hub {
            me: me.clone(),
            config,
            author: Author::server(engine.life()),
            engine,
            clock,
            sessions: Sessions::default(),
            away: Mutex::default(),
            requests: Requests::default(),
            counters: Counters::default(),
            special,
            listing: Mutex::new(()),
            unlisted: Mutex::default(),
            going_down: AtomicBool::new(false),
        });
        // It is set just here.
        let _ = later.set(Arc::downgrade(&hub));
        hub.list_topics()?;
        sessions.into_iter().for_each(|session| hub.restore_session(session, now));
        Ok(hub)
    }

    /// The limits of sessions.
    pub fn config(&self) -> &SessionConfig {
        &self.config
    }

    /// The topics, and the order of all that changes them.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// All sessions.
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// What is counted.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Who makes the server's own changes.
    pub fn author(&self) -> &Author {
        &self.author
    }

    pub(super) fn requests(&self) -> &Requests {
        &self.requests
    }

    pub(super) fn weak(&self) -> Weak<Hub> {
        self.me.clone()
    }

    /// How many services there are, and how many requests are under way.
    pub fn services_and_requests(&self) -> (usize, usize) {
        (self.requests.services_len(), self.requests.pending_len())
    }

    /// How many sessions wait for their clients.
    pub fn away_len(&self) -> usize {
        self.away.lock().len()
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

    /// Takes up a session from before the server's present life: its client has as long to come back as if
    /// its connection was lost just now.
    fn restore_session(&self, record: SessionRecord, now: Uptime) {
        let session = self.sessions.add(Session::from_before(record, self.engine.life()));
        let services: Vec<EcoString> = session.services.lock().iter().cloned().collect();
        for name in services {
            self.requests.register(self, &name, Provider::Session(session.clone()));
        }
        self.list_client(&session, false, true);
        let ends = now.after(self.config.session_timeout);
        if session.is_to_end(ends) {
            self.away.lock().insert((ends, session.id()));
        }
    }

    /// Says in `_topicsync/server_status` that the journal failed, or works again.
    fn tell_of_journal(&self, state: Result<(), &str>) {
        match state {
            Ok(()) => self.announce("the journal works again"),
            Err(reason) => self.announce(&format!("changes cannot be made durable: {reason}")),
        }
    }

    /// Has the session in the journal no later than what it is about to do.
    pub(crate) fn record_session(&self, session: &Session) {
        if let Some(operation) = session.record_once() {
            self.engine.keep(operation);
        }
    }

    /// Has the session's services in the journal as they are now.
    pub(super) fn record_services(&self, session: &Session) {
        self.engine.keep(session.record());
    }

    /// Offers a service of the host program. `false` if the name is taken.
    pub fn offer_service(&self, name: &str, service: HostService) -> bool {
        self.requests.register(self, &name.into(), Provider::Host(service))
    }

    /// Sends a session's client the answer to something that it asked for.
    pub(super) fn answer(&self, session: &Session, message: ServerMessage) {
        session.answer(message, self.config.backlog_bytes_max);
    }

    /// Makes a change of the server's own.
    pub(crate) fn submit<T: crate::types::TopicType>(&self, topic: &TopicCell, change: T::Change) {
        let changes = [Submitted::typed::<T>(topic.name().clone(), change)].into_iter().collect();
        let submission = Submission { action_id: None, changes };
        if let Err(rejected) = self.engine.submit_now(&self.author, submission) {
            tracing::error!(topic = %topic.name(), error = %rejected.rejection, "own change rejected");
        }
    }

    /// Keeps `_topicsync/topic_list` true.
    fn list_topic(&self, topic: &Arc<TopicCell>, existence: Existence) {
        let name = topic.name();
        if name.is_special() {
            return;
        }
        if matches!(existence, Existence::Made)
            && let Some(made) = self.unlisted.lock().get_mut(name)
        {
            made.push(topic.clone());
            return;
        }
        let _listing = self.listing.lock();
        let key = EcoString::from(name.clone());
        let list = self.special.topic_list.snapshot().value;
        let listed = list.get::<Dict>().and_then(|entries| entries.get(&key));
        let change = match (existence, listed) {
            // That it was made is told late: its removal is told by then, or will be.
            (Existence::Made, _) if topic.is_removed() => return,
            (Existence::Made, listed) => {
                let (kind, options) = (topic.kind().name(), topic.options());
                let value = special::topic_entry(kind, options, topic.epoch());
                match listed {
                    None => DictChange::Add { key, value },
                    Some(entry) if special::lists_epoch(entry, topic.epoch()) => return,
                    // Its life before this one is not yet told to be over.
                    Some(_) => DictChange::ChangeValue { key, value },
                }
            }
            (Existence::Removed, Some(entry)) if special::lists_epoch(entry, topic.epoch()) => {
                DictChange::Remove { key }
            }
            // Another life of the topic is listed by now.
            (Existence::Removed, _) => return,
        };
        self.submit::<Dict>(&self.special.topic_list, change);
    }

    /// Makes a topic that the caller puts on the topic list itself, as long as it keeps what this gives.
    ///
    /// # Errors
    /// There is a topic of this name, or one is just being made; else as [`Engine::make`].
    pub(crate) fn make_unlisted(
        self: &Arc<Self>,
        name: &TopicName,
        kind: TypeRef,
        options: TopicOptions,
    ) -> Result<UnlistedTopic, OpenError> {
        match self.unlisted.lock().entry(name.clone()) {
            Entry::Occupied(_) => return Err(OpenError::Exists(name.clone())),
            Entry::Vacant(vacant) => vacant.insert(Vec::new()),
        };
        let made = self.engine.make_new(name, kind, options);
        let hub = self.clone();
        made.map(|topic| UnlistedTopic { hub, topic }).inspect_err(|_| self.list_again(name, None))
    }

    /// Has topics of this name listed as usual again, and lists those that somebody else made meanwhile.
    fn list_again(&self, name: &TopicName, own: Option<&Arc<TopicCell>>) {
        let made = self.unlisted.lock().remove(name).unwrap_or_default();
        let is_other = |topic: &&Arc<TopicCell>| own.is_none_or(|own| !Arc::ptr_eq(own, topic));
        for topic in made.iter().filter(is_other) {
            self.list_topic(topic, Existence::Made);
        }
    }

    /// Says in `_topicsync/server_status` what happened, in words.
    pub fn announce(&self, event: &str) {
        self.submit::<Text>(&self.special.server_status, StringChange::Set(event.into()));
    }

    /// The topic of messages to one client, made when it is first needed.
    pub(super) fn client_messages(&self, client: ClientId) -> Arc<TopicCell> {
        let name = TopicName::new(eco_format!("{}{client}", CLIENT_MESSAGE))
            .expect("the prefix and a number are a name");
        let options = TopicOptions { no_history: true, ..TopicOptions::default() };
        let made = self.engine.make(&name, TypeRef::of::<Text>(), options);
        made.expect("only the server makes special topics")
    }

    /// Says something to one client, in its `_topicsync/client_message/<id>`.
    pub fn tell(&self, client: ClientId, words: &str) {
        self.submit::<Text>(&self.client_messages(client), StringChange::Set(words.into()));
    }

    /// A new session and a connection's hold on it; `None` if the server is full.
    pub(super) fn open_session(self: &Arc<Self>, encoding: Encoding) -> Option<Attachment> {
        if self.sessions.len() >= self.config.sessions_max {
            return None;
        }
        let id = self.engine.next_client()?;
        let session =
            self.sessions.add(Session::new(id, (self.config.tokens)(), self.clock.wall()));
        let (outbox, number) = self.connect(&session, encoding, false)?;
        tracing::debug!(client = %id, "session opened");
        Some(Attachment::new(self.clone(), session, number, outbox, encoding))
    }

    /// Gives a session a new connection, which greets its client. Gives the connection's outbox and number;
    /// `None` if the session is over.
    pub(super) fn connect(
        &self,
        session: &Session,
        encoding: Encoding,
        resumed: bool,
    ) -> Option<(Arc<Outbox>, u64)> {
        let config = &self.config;
        let limits = [
            ("message_bytes", Value::Int(config.message_bytes_max as i64)),
            ("subscriptions", Value::Int(config.subscriptions_max as i64)),
            ("name_bytes", Value::Int(TopicName::BYTES_MAX as i64)),
            ("nesting", Value::Int(limits::NESTING_MAX as i64)),
        ];
        let hello = Hello {
            id: session.id(),
            session: session.token().clone(),
            resumed,
            protocol: 1,
            server: concat!("topicsync ", env!("CARGO_PKG_VERSION")).into(),
            limits: limits.into(),
        };
        let outbox = Arc::new(Outbox::new(session.id(), encoding, config));
        outbox.answer(ServerMessage::Hello(hello));
        let connected = session.connect(&outbox)?;
        if let Some(ends) = connected.was_away {
            self.away.lock().remove(&(ends, session.id()));
        }
        self.list_client(session, true, !resumed);
        Some((outbox, connected.number))
    }

    /// Keeps `_topicsync/clients` true. To be called by who acts for the session.
    pub(super) fn list_client(&self, session: &Session, connected: bool, new: bool) {
        let key = EcoString::from(session.id().to_string());
        let since = Value::Int(session.since().0 as i64);
        let value = Value::Dict([("connected", connected.into()), ("since", since)].into());
        let change = match new {
            true => DictChange::Add { key, value },
            false => DictChange::ChangeValue { key, value },
        };
        self.submit::<Dict>(&self.special.clients, change);
    }

    /// A connection is gone. If it was the session's, the session waits to be resumed, or ends at once if
    /// the client said goodbye.
    pub(super) fn disconnected(
        &self,
        session: &Session,
        connection: u64,
        now: Uptime,
        goodbye: bool,
    ) {
        let ends = now.after(self.config.session_timeout);
        {
            let Some(_acting) = session.disconnect(connection, ends) else { return };
            if !goodbye {
                self.away.lock().insert((ends, session.id()));
                return self.list_client(session, false, false);
            }
        }
        self.end_session(session, ends);
    }

    /// Ends a session whose client is away and has until `ends`: its services, its presence, its place in
    /// the list. The server's going down ends no session: it can be resumed once the server is back.
    fn end_session(&self, session: &Session, ends: Uptime) {
        if !session.end_if_away(ends) {
            return;
        }
        tracing::debug!(client = %session.id(), "session over");
        self.sessions.forget(session);
        if session.is_recorded() {
            self.engine.keep(Operation::EndSession(session.id()));
        }
        self.requests.leave(self, session);
        let mut group = Group::default();
        self.engine.leave(&session.author, &self.author, &mut group);
        self.engine.publish(&mut group);
        let key = EcoString::from(session.id().to_string());
        self.submit::<Dict>(&self.special.clients, DictChange::Remove { key });
        let name = TopicName::new(eco_format!("{CLIENT_MESSAGE}{}", session.id()));
        if let Ok(name) = name {
            self.engine.remove(&name);
        }
    }

    /// Ends a session whatever its client does, as an administrator would: the session's connection ends as
    /// if the session had been resumed elsewhere. `false` if there is no such session.
    pub fn end(&self, id: ClientId, now: Uptime) -> bool {
        let Some(session) = self.sessions.get(id) else { return false };
        session.end_connection(End::Resumed);
        let ends = session.until_away(now);
        self.away.lock().remove(&(ends, id));
        self.end_session(&session, ends);
        true
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do next, as far as is known by now.
    pub fn next_timeout(&self) -> Option<Uptime> {
        let away = self.away.lock().first().map(|(ends, _)| *ends);
        away.into_iter().chain(self.requests.next_timeout()).min()
    }

    /// Ends what has waited for too long by `now`: sessions whose clients are away, requests without an
    /// answer.
    pub fn handle_timeout(&self, now: Uptime) {
        loop {
            let due = {
                let mut away = self.away.lock();
                match away.first() {
                    Some((ends, _)) if *ends <= now => away.pop_first(),
                    _ => None,
                }
            };
            let Some((ends, id)) = due else { break };
            if let Some(session) = self.sessions.get(id) {
                self.end_session(&session, ends);
            }
        }
        self.requests.handle_timeout(self, now);
    }

    /// Calls `then` once all that is accepted by now is durable and published, or could not be made durable.
    pub fn after_commit(&self, then: impl FnOnce(Result<(), Unavailable>) + Send + 'static) {
        self.engine.after_commit(Box::new(then));
    }

    /// Ends every connection, once what waits for it is written.
    pub fn go_down(&self) {
        if !self.going_down.swap(true, Ordering::AcqRel) {
            self.announce("the server is going down");
        }
        for session in self.sessions.all() {
            session.end_connection(End::GoingDown);
        }
    }

    /// Whether the server is going down.
    pub fn is_going_down(&self) -> bool {
        self.going_down.load(Ordering::Acquire)
    }
}
