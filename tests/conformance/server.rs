//! The server's side of a case: a real engine, and sessions over it without sockets. Nothing here reads
//! a clock or chance, so every run of a script gives the same messages.

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use topicsync::engine::{
    Author, ChangeBody, Direction, Engine, EngineConfig, Group, Item, Origin, Publication,
    Submission, Submitted, Subscriber, TopicCell,
};
use topicsync::protocol::message::{
    ClientMessage, ErrorMessage, Hello, RejectUpdate, Subscribe, TopicChange,
};
use topicsync::protocol::{ErrorCode, RejectCode, ServerMessage};
use topicsync::session as exchange;
use topicsync::topic::{ActionId, ClientId, Epoch, Timestamp, TopicName, TopicOptions, Version};
use topicsync::value::{Dict, Fields, Value};

thread_local! {
    /// The engine takes plain functions; a script lives on one thread.
    static EPOCHS: Cell<u64> = const { Cell::new(0) };
    /// So many changes more are refused by the validator.
    static REFUSALS: Cell<u32> = const { Cell::new(0) };
}

/// The client id of the somebody else of a script, who is no replica.
const SOMEBODY: ClientId = ClientId(900);

fn next_epoch() -> Epoch {
    EPOCHS.set(EPOCHS.get() + 1);
    Epoch::new(format!("epoch{}", EPOCHS.get())).expect("it is short")
}

fn new_engine() -> Engine {
    EPOCHS.set(0);
    REFUSALS.set(0);
    Engine::new(EngineConfig {
        validators: vec![Arc::new(|_| match REFUSALS.get() {
            0 => Ok(()),
            left => {
                REFUSALS.set(left - 1);
                Err("the host refuses it".into())
            }
        })],
        clock: Arc::new(|| Timestamp(1)),
        epochs: Arc::new(next_epoch),
        ..EngineConfig::default()
    })
}

/// What waits for one connection's socket.
#[derive(Default)]
struct Outbox {
    client: ClientId,
    queue: Mutex<VecDeque<Outgoing>>,
}

enum Outgoing {
    Changes(Arc<Publication>),
    Answer(ServerMessage),
    CatchUp {
        topic: Arc<TopicCell>,
        since: Option<Version>,
    },
    /// The whole value, though the connection has one already.
    Jump(Arc<TopicCell>),
    Unsubscribe(TopicName),
}

impl Outbox {
    fn push(&self, outgoing: Outgoing) {
        self.queue.lock().push_back(outgoing);
    }
}

impl Subscriber for Outbox {
    fn client_id(&self) -> ClientId {
        self.client
    }

    fn deliver(&self, publication: &Arc<Publication>) {
        self.push(Outgoing::Changes(publication.clone()));
    }

    fn topic_removed(&self, topic: &Arc<TopicCell>) {
        let error = ErrorMessage::new(ErrorCode::TopicRemoved, "", "the topic was removed");
        self.push(Outgoing::Answer(ServerMessage::Error(error.topic(topic.name().clone()))));
    }
}

/// The way to a session's client: its connection, if there is one.
#[derive(Default)]
struct Link(Mutex<Option<Arc<Outbox>>>);

impl Origin for Link {
    fn confirm(&self, publication: &Arc<Publication>) {
        if let Some(outbox) = &*self.0.lock() {
            for item in &publication.items {
                outbox.push(Outgoing::Answer(exchange::item_message(item)));
            }
        }
    }

    fn lost(&self, _: &Item, _: &topicsync::topic::Rejection) {}
}

/// One client's session, which outlives its connections.
struct Session {
    author: Author,
    link: Arc<Link>,
}

impl Session {
    fn new(id: ClientId) -> Session {
        let link = Arc::new(Link::default());
        Session { author: Author::new(id, Some(link.clone())), link }
    }
}

/// One connection, from its client's hello to its loss.
struct Connection {
    session: ClientId,
    outbox: Arc<Outbox>,
    /// Each topic, and the version that was last written.
    subscriptions: BTreeMap<TopicName, (Arc<TopicCell>, Version)>,
    /// Written to the socket, and not yet received.
    wire: VecDeque<ServerMessage>,
}

/// A server whose clients are numbered from 0.
pub struct Server {
    engine: Engine,
    sessions: BTreeMap<ClientId, Session>,
    connections: BTreeMap<usize, Connection>,
    somebody: Author,
    group: Group,
    /// So many submissions more are answered with `busy`.
    pub busy: u32,
    /// Subscriptions are answered by snapshots alone.
    pub forgetful: bool,
    /// `message_bytes` and its like, as the hello says them.
    pub limits: Dict,
}

impl Server {
    pub fn new() -> Server {
        Server {
            engine: new_engine(),
            sessions: BTreeMap::new(),
            connections: BTreeMap::new(),
            somebody: Author::new(SOMEBODY, None),
            group: Group::default(),
            busy: 0,
            forgetful: false,
            limits: Dict::new(),
        }
    }

    /// The next `count` changes that come to the validator are refused.
    pub fn refuse(&mut self, count: u32) {
        REFUSALS.set(count);
    }

    /// Makes a topic, if there is none.
    pub fn make(&mut self, topic: &str, kind: &str, options: TopicOptions) {
        let opened = self.engine.open(&name(topic), Some(kind), options);
        opened.expect("the script's topics are sound");
    }

    /// A topic loses all and begins a new life. Nobody may be connected.
    pub fn new_life(&mut self, topic: &str) {
        let cell = self.engine.get(&name(topic)).expect("a topic of the script");
        let (kind, options) = (cell.kind().name(), cell.options().clone());
        self.engine.remove(cell.name());
        self.make(topic, kind, options);
    }

    pub fn remove(&mut self, topic: &str) {
        self.engine.remove(&name(topic));
    }

    /// Somebody else makes an action, on whatever is there.
    pub fn somebody(&mut self, changes: Vec<(TopicName, Fields)>) {
        let action_id = (changes.len() > 1).then(|| ActionId::new("somebody").expect("short"));
        let submitted = |(topic, fields)| {
            let change = ChangeBody::Fields(fields);
            Submitted { topic, epoch: None, change, id: None, base: None }
        };
        let changes = changes.into_iter().map(submitted).collect();
        let submission = Submission { action_id, changes };
        let result = self.engine.submit(&self.somebody, submission, &mut self.group);
        if let Err(rejected) = result {
            panic!("the script's own change does not fit: {}", rejected.rejection);
        }
        self.publish();
    }

    pub fn publish(&mut self) {
        self.engine.publish(&mut self.group);
    }

    /// The tick of `latest` topics.
    pub fn tick(&mut self) {
        self.publish();
        self.engine.tick();
    }

    /// A client's socket is there: a new session is offered.
    pub fn connect(&mut self, client: usize) {
        let id = self.engine.next_client().expect("ids in memory do not end");
        self.sessions.insert(id, Session::new(id));
        self.go_on_with(client, id, false);
    }

    pub fn is_connected(&self, client: usize) -> bool {
        self.connections.contains_key(&client)
    }

    fn go_on_with(&mut self, client: usize, id: ClientId, resumed: bool) {
        let outbox = Arc::new(Outbox { client: id, queue: Mutex::default() });
        *self.sessions[&id].link.0.lock() = Some(outbox.clone());
        outbox.push(Outgoing::Answer(ServerMessage::Hello(Hello {
            id,
            session: format!("token{id}").into(),
            resumed,
            protocol: 1,
            server: "topicsync".into(),
            limits: self.limits.clone(),
        })));
        let (subscriptions, wire) = (BTreeMap::new(), VecDeque::new());
        let connection = Connection { session: id, outbox, subscriptions, wire };
        self.connections.insert(client, connection);
    }

    /// A client's socket is lost, and with it what was on the way to it. The session stays.
    pub fn disconnect(&mut self, client: usize) {
        let Some(connection) = self.connections.remove(&client) else { return };
        for (topic, _) in connection.subscriptions.into_values() {
            topic.detach(&*connection.outbox);
        }
        if let Some(session) = self.sessions.get(&connection.session) {
            *session.link.0.lock() = None;
        }
        self.publish();
    }

    /// The server gives up the session of a client that is away.
    pub fn forget(&mut self, session: ClientId) {
        if let Some(gone) = self.sessions.remove(&session) {
            self.engine.leave(&gone.author, &self.somebody, &mut self.group);
            self.publish();
        }
    }

    /// Takes one message of a client.
    pub fn receive(&mut self, client: usize, message: ClientMessage) {
        let Some(id) = self.connections.get(&client).map(|it| it.session) else { return };
        match message {
            ClientMessage::Resume { session } => self.resume(client, id, &session),
            ClientMessage::Subscribe(subscribe) => self.subscribe(client, subscribe),
            ClientMessage::Unsubscribe { topic_name } => {
                self.push(client, Outgoing::Unsubscribe(topic_name));
            }
            ClientMessage::Update(change) => self.submit(client, id, None, vec![change]),
            ClientMessage::Action { action_id, changes } => {
                self.submit(client, id, Some(action_id), changes);
            }
            ClientMessage::Request { service_name, request_id, args, .. } => {
                let direction = match &*service_name {
                    "_topicsync/undo" => Some(Direction::Undo),
                    "_topicsync/redo" => Some(Direction::Redo),
                    _ => None,
                };
                let outcome = Ok(direction.map_or(args, |it| self.reverse(id, it)));
                self.answer(client, ServerMessage::Response { request_id, outcome });
            }
            ClientMessage::RegisterService { service_name } => {
                self.answer(client, ServerMessage::Registered { service_name });
            }
            ClientMessage::UnregisterService { service_name } => {
                self.answer(client, ServerMessage::Unregistered { service_name });
            }
            ClientMessage::Response { .. } => {}
        }
    }

    fn push(&self, client: usize, outgoing: Outgoing) {
        if let Some(connection) = self.connections.get(&client) {
            connection.outbox.push(outgoing);
        }
    }

    fn answer(&self, client: usize, message: ServerMessage) {
        self.push(client, Outgoing::Answer(message));
    }

    fn resume(&mut self, client: usize, fresh: ClientId, token: &str) {
        let old = ClientId(token.trim_start_matches("token").parse().unwrap_or_default());
        if self.sessions.contains_key(&old) {
            self.sessions.remove(&fresh);
            self.go_on_with(client, old, true);
        } else {
            let error = ErrorMessage::new(ErrorCode::SessionUnknown, "resume", "it is over");
            self.answer(client, ServerMessage::Error(error));
        }
    }

    fn subscribe(&self, client: usize, subscribe: Subscribe) {
        let Subscribe { topic_name, topic_type, options, since } = subscribe;
        let options = options.map(|options| TopicOptions::decode(&options).expect("options"));
        let options = options.unwrap_or_default();
        match self.engine.open(&topic_name, topic_type.as_deref(), options) {
            Ok(topic) => {
                let since = since.filter(|since| since.epoch == *topic.epoch() && !self.forgetful);
                let since = since.map(|since| since.version);
                self.push(client, Outgoing::CatchUp { topic, since });
            }
            Err(error) => {
                let code = ErrorCode::WrongType;
                let error = ErrorMessage::new(code, "subscribe", error.to_string());
                self.answer(client, ServerMessage::Error(error.topic(topic_name)));
            }
        }
    }

    fn submit(
        &mut self,
        client: usize,
        id: ClientId,
        action_id: Option<ActionId>,
        changes: Vec<TopicChange>,
    ) {
        if self.busy > 0 {
            self.busy -= 1;
            let TopicChange { topic_name, change, .. } = changes[0].clone();
            let (topic_name, action_id) = (topic_name.into(), action_id.map(Into::into));
            let (code, reason, version) = (RejectCode::Busy, "later".into(), None);
            let reject = RejectUpdate { topic_name, code, reason, version, action_id, change };
            return self.answer(client, ServerMessage::RejectUpdate(reject));
        }
        let changes = changes.into_iter().map(exchange::submitted).collect();
        let submission = Submission { action_id, changes };
        let author = &self.sessions[&id].author;
        if let Err(rejected) = self.engine.submit(author, submission, &mut self.group) {
            let reject = exchange::reject_update(*rejected);
            self.answer(client, ServerMessage::RejectUpdate(reject));
        }
    }

    fn reverse(&mut self, id: ClientId, direction: Direction) -> Value {
        self.publish();
        let author = &self.sessions[&id].author;
        let reversed = self.engine.reverse(author, direction, &mut self.group);
        self.publish();
        let action_id = reversed.action_id.map(|id| Value::from(id.to_string()));
        Value::Dict([("action_id", Value::from(action_id))].into())
    }

    /// What a client has not been given yet of a topic is thrown away, and its whole value given in its
    /// place.
    pub fn jump(&mut self, client: usize, topic: &str) {
        let Some(cell) = self.engine.get(&name(topic)) else { return };
        let Some(connection) = self.connections.get_mut(&client) else { return };
        let of_others = |publication: &Publication| {
            let mut parts = publication.items.iter().flat_map(|item| &item.parts);
            parts.any(|part| part.topic.name() != cell.name())
        };
        connection.outbox.queue.lock().retain(|outgoing| match outgoing {
            Outgoing::Changes(publication) => of_others(publication),
            _ => true,
        });
        if connection.subscriptions.contains_key(cell.name()) {
            connection.outbox.push(Outgoing::Jump(cell));
        }
    }

    /// The next message to arrive at a client.
    pub fn next_for(&mut self, client: usize) -> Option<ServerMessage> {
        let forgetful = self.forgetful;
        let connection = self.connections.get_mut(&client)?;
        while connection.wire.is_empty() {
            let outgoing = connection.outbox.queue.lock().pop_front()?;
            connection.write(outgoing, forgetful);
        }
        connection.wire.pop_front()
    }

    /// A topic's value as it is published.
    pub fn value(&self, topic: &TopicName) -> Value {
        let cell = self.engine.get(topic).expect("a topic of the script");
        cell.kind().encode_value(&cell.snapshot().value)
    }
}

impl Connection {
    fn write(&mut self, outgoing: Outgoing, forgetful: bool) {
        match outgoing {
            Outgoing::Answer(message) => self.wire.push_back(message),
            Outgoing::Changes(publication) => self.write_changes(&publication),
            Outgoing::CatchUp { topic, since } => self.begin(&topic, since, forgetful),
            Outgoing::Jump(topic) => self.jump(&topic),
            Outgoing::Unsubscribe(topic_name) => {
                if let Some((topic, _)) = self.subscriptions.remove(&topic_name) {
                    topic.detach(&*self.outbox);
                }
                self.wire.push_back(ServerMessage::Unsubscribed { topic_name });
            }
        }
    }

    /// Writes published changes, unless a snapshot or the log has brought them before.
    fn write_changes(&mut self, publication: &Publication) {
        let mut news = false;
        for part in publication.items.iter().flat_map(|item| &item.parts) {
            if let Some((_, written)) = self.subscriptions.get_mut(part.topic.name())
                && *written < part.version
            {
                (*written, news) = (part.version, true);
            }
        }
        if news {
            self.write_items(&publication.items);
        }
    }

    fn begin(&mut self, topic: &Arc<TopicCell>, since: Option<Version>, forgetful: bool) {
        topic.attach(self.outbox.clone());
        let catch_up = topic.catch_up(since);
        let continued = since.filter(|_| catch_up.continues);
        self.wire.push_back(exchange::subscribed_message(topic, catch_up.version, continued));
        self.subscriptions.insert(topic.name().clone(), (topic.clone(), catch_up.version));
        self.write_items(&catch_up.items);
        if continued.is_none() && forgetful {
            self.confirm_own(topic, Version(0), catch_up.version);
        }
    }

    fn jump(&mut self, topic: &Arc<TopicCell>) {
        let Some((_, written)) = self.subscriptions.get_mut(topic.name()) else { return };
        let catch_up = topic.catch_up(None);
        let since = std::mem::replace(written, catch_up.version);
        self.write_items(&catch_up.items);
        self.confirm_own(topic, since, catch_up.version);
    }

    fn confirm_own(&mut self, topic: &Arc<TopicCell>, since: Version, to: Version) {
        let own = topic.own_changes(self.session, since, to);
        self.write_items(&own);
    }

    fn write_items(&mut self, items: &[Item]) {
        self.wire.extend(items.iter().map(exchange::item_message));
    }
}

/// A topic's name as the script has it.
pub fn name(text: &str) -> TopicName {
    TopicName::new(text).expect("the script's names are sound")
}
