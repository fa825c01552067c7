//! The server's side of a session, over a real engine: what the server does around sockets,
//! without them and step by step.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use crate::engine::{
    Author, Direction, Engine, EngineConfig, Group, Item, Origin, Publication, Receipt, Submission,
    Subscriber, TopicCell,
};
use crate::journal::{Fault, Journal, MemoryJournal, Operation, SessionRecord};
use crate::protocol::message::{
    ClientMessage, ErrorMessage, Hello, RejectUpdate, Subscribe, TopicChange,
};
use crate::protocol::{ErrorCode, RejectCode, ServerMessage};
use crate::session as exchange;
use crate::topic::{
    ActionId, ClientId, Durability, Epoch, Rejection, Timestamp, TopicName, TopicOptions, Version,
};
use crate::types::Registry;
use crate::value::Dict;
use parking_lot::Mutex;

use super::Setup;
use super::record::{Record, SentId};
use crate::testkit::broken::Found;

/// What an engine of a world hears of time and chance: both are the world's own.
#[derive(Debug, Clone)]
pub struct Outside {
    ms: Arc<AtomicU64>,
    epochs: Arc<AtomicU64>,
    /// So many changes more are refused by the validator.
    refusals: Arc<AtomicU32>,
}

impl Outside {
    fn new() -> Outside {
        Outside {
            ms: Arc::new(AtomicU64::new(1)),
            epochs: Arc::default(),
            refusals: Arc::default(),
        }
    }

    /// The time within the world, in milliseconds.
    pub fn now(&self) -> Timestamp {
        Timestamp(self.ms.load(Relaxed))
    }

    /// So many milliseconds pass.
    pub fn pass(&self, ms: u64) {
        self.ms.fetch_add(ms, Relaxed);
    }

    /// An engine whose clock and epochs are the world's, and the sessions that its journal holds.
    fn engine(
        &self,
        registry: Registry,
        resumable_ms: u64,
        journal: Arc<dyn Journal>,
    ) -> (Engine, Vec<SessionRecord>) {
        let (clock, epochs, refusals) = (self.clone(), self.epochs.clone(), self.refusals.clone());
        let config = EngineConfig {
            registry,
            validators: vec![Arc::new(move |_| {
                let less = |left: u32| left.checked_sub(1);
                match refusals.fetch_update(Relaxed, Relaxed, less) {
                    Ok(_) => Err("refused".into()),
                    Err(_) => Ok(()),
                }
            })],
            resumable_ms,
            clock: Arc::new(move || clock.now()),
            epochs: Arc::new(move || {
                let number = epochs.fetch_add(1, Relaxed) + 1;
                Epoch::new(format!("epoch{number}")).expect("it is short")
            }),
            journal,
            ..EngineConfig::default()
        };
        Engine::begin(config).expect("the journal in memory works")
    }
}

/// A new engine of a world of its own, with a journal in memory.
pub fn new_engine(resumable_ms: u64) -> (Engine, Outside) {
    let (outside, journal) = (Outside::new(), Arc::new(MemoryJournal::new()));
    let (engine, _) = outside.engine(Registry::default(), resumable_ms, journal);
    (engine, outside)
}

/// A queue to one connection's socket, as `server::outbox`: published changes are bounded, and thrown
/// away when there are too many; answers stay.
struct Outbox {
    client: ClientId,
    changes_max: usize,
    state: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    outgoing: VecDeque<Outgoing>,
    changes: usize,
    lagging: bool,
}

enum Outgoing {
    Changes(Arc<Publication>),
    Answer(ServerMessage),
    CatchUp { topic: Arc<TopicCell>, since: Option<Version> },
    Unsubscribe(TopicName),
}

impl Outbox {
    fn push(&self, outgoing: Outgoing) {
        self.state.lock().outgoing.push_back(outgoing);
    }
}

impl Subscriber for Outbox {
    fn client_id(&self) -> ClientId {
        self.client
    }

    fn deliver(&self, publication: &Arc<Publication>) {
        let mut queue = self.state.lock();
        if queue.lagging {
            return;
        }
        if queue.changes == self.changes_max {
            queue.outgoing.retain(|outgoing| !matches!(outgoing, Outgoing::Changes(_)));
            (queue.changes, queue.lagging) = (0, true);
        } else {
            queue.changes += 1;
            queue.outgoing.push_back(Outgoing::Changes(publication.clone()));
        }
    }

    fn topic_removed(&self, topic: &Arc<TopicCell>) {
        let error = ErrorMessage::new(ErrorCode::TopicRemoved, "", "the topic was removed");
        self.push(Outgoing::Answer(ServerMessage::Error(error.topic(topic.name().clone()))));
    }
}

/// What a message came to.
#[derive(Debug)]
pub enum Outcome {
    /// A message that is no submission.
    Taken,
    /// A session goes on.
    Resumed,
    /// A session cannot go on.
    SessionOver,
    /// A submission was accepted.
    Accepted(SentId, Receipt),
    /// A submission was rejected.
    Rejected(SentId, Rejection),
    /// There was no room for a submission.
    Busy(SentId),
    /// So many changes were made by an undo or redo.
    Reversed(Direction, usize),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Accepted(id, receipt) => {
                let versions: Vec<_> = receipt.versions.iter().map(Version::to_string).collect();
                write!(f, "accepts {id} as version {}", versions.join(", "))
            }
            Outcome::Rejected(id, why) => write!(f, "rejects {id}: {why}"),
            Outcome::Busy(id) => write!(f, "has no room for {id}"),
            Outcome::Reversed(Direction::Undo, count) => write!(f, "undoes {count} changes"),
            Outcome::Reversed(Direction::Redo, count) => write!(f, "redoes {count} changes"),
            Outcome::Resumed => f.write_str("resumes the session"),
            Outcome::SessionOver => f.write_str("knows the session no more"),
            Outcome::Taken => f.write_str("takes a message"),
        }
    }
}

/// One client's session, which outlives its connections.
struct Session {
    author: Author,
    link: Arc<Link>,
    /// The journal knows of it, or is about to.
    recorded: Cell<bool>,
}

/// The way to a session's client: its connection, if there is one.
#[derive(Default)]
struct Link(Mutex<LinkState>);

#[derive(Default)]
struct LinkState {
    outbox: Option<Arc<Outbox>>,
    /// Answers that came while the client was away.
    backlog: Vec<ServerMessage>,
    away_since: Option<Timestamp>,
}

impl Origin for Link {
    fn confirm(&self, publication: &Arc<Publication>) {
        if let Some(outbox) = &self.0.lock().outbox {
            for message in messages(publication) {
                outbox.push(Outgoing::Answer(message));
            }
        }
    }

    fn lost(&self, item: &Item, rejection: &Rejection) {
        let reject = exchange::lost(item, rejection).map(ServerMessage::RejectUpdate);
        if let (Some(outbox), Some(reject)) = (&self.0.lock().outbox, reject) {
            outbox.push(Outgoing::Answer(reject));
        }
    }
}

impl Session {
    fn new(id: ClientId) -> Session {
        let link = Arc::new(Link::default());
        Session { author: Author::new(id, Some(link.clone())), link, recorded: Cell::new(false) }
    }

    /// One from before a crash, whose client is away.
    fn from_before(id: ClientId, life: u64, now: Timestamp) -> Session {
        let link = Arc::new(Link::default());
        link.0.lock().away_since = Some(now);
        let author = Author::from_before(id, Some(link.clone()), life);
        Session { author, link, recorded: Cell::new(true) }
    }

    fn answer(&self, message: ServerMessage) {
        let mut link = self.link.0.lock();
        match &link.outbox {
            Some(outbox) => outbox.push(Outgoing::Answer(message)),
            None => link.backlog.push(message),
        }
    }
}

/// One connection, from its client's hello to its loss.
struct Connection {
    session: ClientId,
    outbox: Arc<Outbox>,
    subscriptions: BTreeMap<TopicName, Subscription>,
    /// Written to the socket, and not yet received.
    wire: VecDeque<ServerMessage>,
}

struct Subscription {
    topic: Arc<TopicCell>,
    /// The version that was last written.
    written: Version,
}

/// A server whose clients are numbered from 0.
pub struct Server {
    /// The real one.
    pub engine: Engine,
    /// What it did so far.
    pub record: Record,
    sessions: HashMap<ClientId, Session>,
    connections: Vec<Option<Connection>>,
    journal: Arc<MemoryJournal>,
    outside: Outside,
    registry: Registry,
    resumable_ms: u64,
    /// Accepted, and maybe not yet durable.
    undurable: Vec<(SentId, Receipt)>,
    /// Accepted, and not made durable; their authors do not know yet.
    failed: Vec<(SentId, Receipt)>,
    group: Group,
    changes_max: usize,
    session_ms: u64,
    /// So many submissions more are answered with `busy`.
    pub busy: u32,
}

impl Server {
    /// A server with the topics of a world.
    pub fn new(setup: &Setup) -> Server {
        let journal = Arc::new(MemoryJournal::new());
        let outside = Outside::new();
        let kinds = setup.topics.iter().map(|topic| topic.kind.of);
        let registry = kinds.fold(Registry::default(), Registry::with_type);
        let (engine, _) = outside.engine(registry.clone(), setup.resumable_ms, journal.clone());
        let cells = setup.topics.iter().map(|topic| {
            let made = engine.make(&topic.name, topic.kind.of, topic.options.clone());
            made.expect("a new engine has no topics")
        });
        let record = Record::new(cells.collect());
        Server {
            engine,
            record,
            sessions: HashMap::new(),
            connections: (0..setup.clients).map(|_| None).collect(),
            journal,
            outside,
            registry,
            resumable_ms: setup.resumable_ms,
            undurable: Vec::new(),
            failed: Vec::new(),
            group: Group::default(),
            changes_max: setup.queue_max,
            session_ms: setup.session_ms,
            busy: 0,
        }
    }

    /// So many milliseconds pass.
    pub fn pass_time(&self, ms: u64) {
        self.outside.pass(ms);
    }

    /// The next `count` changes that come to the validator are refused.
    pub fn refuse(&self, count: u32) {
        self.outside.refusals.fetch_add(count, Relaxed);
    }

    /// Whether it refuses nothing out of hand.
    pub fn is_at_ease(&self) -> bool {
        self.busy == 0 && self.outside.refusals.load(Relaxed) == 0
    }

    /// Takes everything again from now on.
    pub fn be_at_ease(&mut self) {
        self.busy = 0;
        self.outside.refusals.store(0, Relaxed);
    }

    /// A client's socket is there: a new session is offered.
    pub fn connect(&mut self, client: usize) {
        let id = self.engine.next_client().expect("a journal that works reserves ids");
        self.sessions.insert(id, Session::new(id));
        self.go_on_with(client, id, false);
    }

    fn go_on_with(&mut self, client: usize, id: ClientId, resumed: bool) {
        let state = Mutex::default();
        let outbox = Arc::new(Outbox { client: id, changes_max: self.changes_max, state });
        let link = &self.sessions[&id].link;
        link.0.lock().outbox = Some(outbox.clone());
        outbox.push(Outgoing::Answer(hello(id, resumed)));
        let backlog = std::mem::take(&mut link.0.lock().backlog);
        backlog.into_iter().for_each(|message| outbox.push(Outgoing::Answer(message)));
        let (subscriptions, wire) = (BTreeMap::new(), VecDeque::new());
        self.connections[client] = Some(Connection { session: id, outbox, subscriptions, wire });
    }

    /// A client's socket is lost, and with it what was on the way to it. The session stays.
    pub fn disconnect(&mut self, client: usize) {
        let Some(connection) = self.connections[client].take() else { return };
        for subscription in connection.subscriptions.into_values() {
            subscription.topic.detach(&*connection.outbox);
        }
        let mut link = self.sessions[&connection.session].link.0.lock();
        (link.outbox, link.away_since) = (None, Some(self.outside.now()));
        drop(link);
        self.publish();
    }

    /// The server forgets a session.
    pub fn forget(&mut self, session: ClientId) {
        self.sessions.remove(&session);
    }

    /// Publishes what was accepted.
    pub fn publish(&mut self) {
        self.engine.publish(&mut self.group);
    }

    /// Publishes, then what `latest` topics have.
    pub fn tick(&mut self) {
        self.publish();
        self.engine.tick();
    }

    /// The journal takes what waits for it, or fails.
    pub fn commit(&mut self, fault: Option<Fault>) -> Found {
        self.journal.fail(fault);
        self.engine.settle();
        self.journal.fail(None);
        if self.engine.unavailable().is_some() {
            self.failed.append(&mut self.undurable);
            return Ok(());
        }
        for (sent, _) in self.failed.drain(..) {
            self.record.rejected(&sent, &Rejection::Unavailable(String::new()))?;
        }
        for (sent, receipt) in self.undurable.drain(..) {
            self.record.accepted(&sent, &receipt)?;
        }
        self.record.reversed()
    }

    /// The server's process is gone, with all that is not in the journal, and there is a new one. Every
    /// connection is lost.
    pub fn crash(&mut self) -> Found {
        self.connections.iter_mut().for_each(|connection| *connection = None);
        self.group = Group::default();
        let (engine, sessions) =
            self.outside.engine(self.registry.clone(), self.resumable_ms, self.journal.clone());
        let (life, now) = (engine.life(), self.outside.now());
        self.sessions =
            sessions.iter().map(|it| (it.id, Session::from_before(it.id, life, now))).collect();
        self.record.restarted(&engine);
        self.engine = engine;
        // Of what nobody was told, some may be there, though its commit failed.
        let undurable = self.undurable.drain(..).chain(self.failed.drain(..));
        for (sent, receipt) in undurable {
            if self.record.holds(&sent, &receipt)? {
                self.record.accepted(&sent, &receipt)?;
            }
        }
        self.record.reversed()
    }

    /// Takes one message of a client; tells what it came to.
    pub fn receive(&mut self, client: usize, message: ClientMessage) -> Found<Outcome> {
        let Some(id) = self.connections[client].as_ref().map(|it| it.session) else {
            return Err("a message came from a client that is away".into());
        };
        match message {
            ClientMessage::Resume { session } => return Ok(self.resume(client, id, &session)),
            ClientMessage::Subscribe(subscribe) => self.subscribe(client, subscribe),
            ClientMessage::Unsubscribe { topic_name } => {
                self.push(client, Outgoing::Unsubscribe(topic_name));
            }
            ClientMessage::Update(change) => return self.submit(id, None, vec![change]),
            ClientMessage::Action { action_id, changes } => {
                return self.submit(id, Some(action_id), changes);
            }
            ClientMessage::Request { service_name, request_id, .. } => {
                let direction = match &*service_name {
                    "_topicsync/undo" => Direction::Undo,
                    _ => Direction::Redo,
                };
                let told = self.reverse(id, direction)?;
                let outcome = Ok(crate::value::Value::Null);
                self.sessions[&id].answer(ServerMessage::Response { request_id, outcome });
                return Ok(told);
            }
            ClientMessage::RegisterService { .. }
            | ClientMessage::UnregisterService { .. }
            | ClientMessage::Response { .. } => {}
        }
        Ok(Outcome::Taken)
    }

    fn push(&self, client: usize, outgoing: Outgoing) {
        if let Some(connection) = &self.connections[client] {
            connection.outbox.push(outgoing);
        }
    }

    fn resume(&mut self, client: usize, fresh: ClientId, token: &str) -> Outcome {
        let old = ClientId(token.trim_start_matches("token").parse().unwrap_or_default());
        let is_over = |session: &Session| {
            let now = self.outside.now();
            let away_since = session.link.0.lock().away_since.unwrap_or(now);
            now.0 - away_since.0 > self.session_ms
        };
        if self.sessions.get(&old).is_some_and(|session| !is_over(session)) {
            self.sessions.remove(&fresh);
            self.go_on_with(client, old, true);
            Outcome::Resumed
        } else {
            let error = ErrorMessage::new(ErrorCode::SessionUnknown, "resume", "it is over");
            self.push(client, Outgoing::Answer(ServerMessage::Error(error)));
            Outcome::SessionOver
        }
    }

    fn subscribe(&self, client: usize, subscribe: Subscribe) {
        let Subscribe { topic_name, topic_type, since, .. } = subscribe;
        let options = TopicOptions::default();
        match self.engine.open(&topic_name, topic_type.as_deref(), options) {
            Ok(topic) => {
                let since = since.filter(|since| since.epoch == *topic.epoch());
                let since = since.map(|since| since.version);
                self.push(client, Outgoing::CatchUp { topic, since });
            }
            Err(error) => {
                let error = ErrorMessage::new(ErrorCode::Invalid, "subscribe", error.to_string());
                let error = ServerMessage::Error(error.topic(topic_name));
                self.push(client, Outgoing::Answer(error));
            }
        }
    }

    fn submit(
        &mut self,
        id: ClientId,
        action_id: Option<ActionId>,
        changes: Vec<TopicChange>,
    ) -> Found<Outcome> {
        let session = &self.sessions[&id];
        let sent = self.record.sent(action_id.as_ref(), &changes);
        if self.busy > 0 {
            self.busy -= 1;
            let TopicChange { topic_name, change, .. } = changes.into_iter().next().expect("some");
            let (topic_name, action_id) = (topic_name.into(), action_id.map(Into::into));
            let (code, reason, version) = (RejectCode::Busy, "later".into(), None);
            let reject = RejectUpdate { topic_name, code, reason, version, action_id, change };
            session.answer(ServerMessage::RejectUpdate(reject));
            return Ok(Outcome::Busy(sent));
        }
        if !session.recorded.replace(true) {
            let (token, services) = (format!("token{id}").into(), Vec::new());
            let record = SessionRecord { id, token, since: self.outside.now(), services };
            self.engine.keep(Operation::Session(record));
        }
        let durable = |change: &TopicChange| {
            let topic = self.record.topic(&change.topic_name);
            topic.is_some_and(|it| it.cell.durability() != Durability::Memory)
        };
        let waits = changes.iter().any(durable);
        let changes = changes.into_iter().map(exchange::submitted).collect();
        let submission = Submission { action_id, changes };
        match self.engine.submit(&session.author, submission, &mut self.group) {
            Ok(receipt) => {
                match waits {
                    true => self.undurable.push((sent.clone(), receipt.clone())),
                    false => self.record.accepted(&sent, &receipt)?,
                }
                Ok(Outcome::Accepted(sent, receipt))
            }
            Err(rejected) => {
                let rejection = rejected.rejection.clone();
                self.record.rejected(&sent, &rejection)?;
                let reject = exchange::reject_update(*rejected);
                session.answer(ServerMessage::RejectUpdate(reject));
                Ok(Outcome::Rejected(sent, rejection))
            }
        }
    }

    /// Undoes or redoes a session's newest action.
    fn reverse(&mut self, id: ClientId, direction: Direction) -> Found<Outcome> {
        // What the client did before it asked is published before it is answered.
        self.publish();
        let author = &self.sessions[&id].author;
        let reversed = self.engine.reverse(author, direction, &mut self.group);
        self.record.reversed()?;
        self.publish();
        Ok(Outcome::Reversed(direction, reversed.done.len()))
    }

    /// The next message to arrive at a client.
    pub fn next_for(&mut self, client: usize) -> Option<ServerMessage> {
        let connection = self.connections[client].as_mut()?;
        while connection.wire.is_empty() {
            if !connection.write() {
                return None;
            }
        }
        connection.wire.pop_front()
    }
}

impl Connection {
    /// Moves what waits to the wire, one piece at a time; `false` if there is none.
    fn write(&mut self) -> bool {
        let mut queue = self.outbox.state.lock();
        if std::mem::take(&mut queue.lagging) {
            drop(queue);
            self.catch_up();
            return true;
        }
        let Some(outgoing) = queue.outgoing.pop_front() else { return false };
        if matches!(outgoing, Outgoing::Changes(_)) {
            queue.changes -= 1;
        }
        drop(queue);
        match outgoing {
            Outgoing::Answer(message) => self.wire.push_back(message),
            Outgoing::Changes(publication) => self.write_changes(&publication),
            Outgoing::CatchUp { topic, since } => self.begin(&topic, since),
            Outgoing::Unsubscribe(topic_name) => {
                if let Some(subscription) = self.subscriptions.remove(&topic_name) {
                    subscription.topic.detach(&*self.outbox);
                }
                self.wire.push_back(ServerMessage::Unsubscribed { topic_name });
            }
        }
        true
    }

    /// Writes published changes, unless a snapshot or the log has brought them before.
    fn write_changes(&mut self, publication: &Publication) {
        let mut news = false;
        for part in publication.items.iter().flat_map(|item| &item.parts) {
            if let Some(subscription) = self.subscriptions.get_mut(part.topic.name())
                && subscription.written < part.version
            {
                subscription.written = part.version;
                news = true;
            }
        }
        if news {
            self.wire.extend(messages(publication));
        }
    }

    fn begin(&mut self, topic: &Arc<TopicCell>, since: Option<Version>) {
        let before = self.subscriptions.get(topic.name()).map(|before| before.written);
        topic.attach(self.outbox.clone());
        let catch_up = topic.catch_up(since);
        let continued = since.filter(|_| catch_up.continues);
        self.wire.push_back(exchange::subscribed_message(topic, catch_up.version, continued));
        let subscription = Subscription { topic: topic.clone(), written: catch_up.version };
        self.subscriptions.insert(topic.name().clone(), subscription);
        self.write_items(&catch_up.items);
        if !catch_up.continues
            && let Some(since) = since.into_iter().chain(before).min()
        {
            self.write_items(&topic.own_changes(self.session, since, catch_up.version));
        }
    }

    /// Brings every subscription up to date after changes were thrown away.
    fn catch_up(&mut self) {
        let mut items = Vec::new();
        for subscription in self.subscriptions.values_mut() {
            let (topic, written) = (&subscription.topic, subscription.written);
            let catch_up = topic.catch_up(Some(written));
            subscription.written = catch_up.version;
            items.extend(catch_up.items);
            if !catch_up.continues {
                items.extend(topic.own_changes(self.session, written, catch_up.version));
            }
        }
        self.write_items(&items);
    }

    fn write_items(&mut self, items: &[Item]) {
        self.wire.extend(items.iter().map(exchange::item_message));
    }
}

/// The messages of a publication.
fn messages(publication: &Publication) -> Vec<ServerMessage> {
    publication.items.iter().map(exchange::item_message).collect()
}

fn hello(id: ClientId, resumed: bool) -> ServerMessage {
    let (session, limits) = (format!("token{id}").into(), Dict::new());
    ServerMessage::Hello(Hello {
        id,
        session,
        resumed,
        protocol: 1,
        server: "world".into(),
        limits,
    })
}
