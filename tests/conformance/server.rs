//! The server's side of a case: the real hub and its connections, without sockets. Nothing here reads a clock
//! or chance, so every run of a script gives the same messages.
//!
//! What a case shall hold is decided by the script, so three things are steered from outside the session core: submissions
//! that are turned away as `busy` never come as far; subscriptions that the log does not reach back for, and
//! snapshots that jump ahead, are made at the border where items become frames. And what a case shall not hold, as it
//! is none of a replica's business, is evened out: the commits of the server's own changes, and whose name it does them
//! in.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};

use ecow::EcoString;
use parking_lot::Mutex;
use topicsync::engine::{
    Author, CatchUp, ChangeBody, Decision, EngineConfig, Group, Observer, Outcome, Submission,
    Submitted, TopicCell,
};
use topicsync::protocol::encode;
use topicsync::protocol::{ClientMessage, Part, RejectUpdate, TopicChange};
use topicsync::protocol::{Encoding, ErrorCode, RejectCode, ServerMessage};
use topicsync::protocol::{RawMessage, decode_text};
use topicsync::session::{
    Attachment, Connection, Frame, Frames, Hub, Native, Outgoing, Peer, Refused, SessionConfig,
    Worker, item_message,
};
use topicsync::topic::{
    ActionId, ChangeId, ClientId, CommitNumber, Epoch, Timestamp, TopicName, TopicOptions, Uptime,
    Version,
};
use topicsync::value::{Dict, Fields, Value};

thread_local! {
    /// The engine takes plain functions; a script lives on one thread.
    static EPOCHS: Cell<u64> = const { Cell::new(0) };
    /// So many changes more are refused by the validator.
    static REFUSALS: Cell<u32> = const { Cell::new(0) };
    /// Subscriptions are answered by snapshots alone.
    static FORGETFUL: Cell<bool> = const { Cell::new(false) };
}

/// The client id of the somebody else of a script, who is no replica.
const SOMEBODY: ClientId = ClientId(900);

fn next_epoch() -> Epoch {
    EPOCHS.set(EPOCHS.get() + 1);
    Epoch::new(format!("epoch{}", EPOCHS.get())).expect("it is short")
}

/// Runs everything at once.
struct AtOnce;

impl Worker for AtOnce {
    fn run(&self, job: Box<dyn FnOnce() + Send>) {
        job();
    }

    fn drive(&self, mut future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        // A service of a script's is ready at once.
        let _ = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    }
}

/// What the clients see of changes that are not theirs: numbers without the server's own between them.
#[derive(Default)]
struct Names(Mutex<NamesState>);

#[derive(Default)]
struct NamesState {
    commits: BTreeMap<CommitNumber, CommitNumber>,
    ids: BTreeMap<ChangeId, ChangeId>,
}

impl Observer for Names {
    fn decided(&self, decision: &Decision<'_>) {
        let Outcome::Accepted(item) = &decision.outcome else { return };
        if item.parts.iter().any(|part| part.topic.name().is_special()) {
            return;
        }
        let mut names = self.0.lock();
        let commit = CommitNumber(names.commits.len() as u64 + 1);
        names.commits.insert(item.commit, commit);
        if [ClientId::SERVER, SOMEBODY].contains(&decision.author.id()) {
            for id in item.parts.iter().filter_map(|part| part.id.clone()) {
                let name = format!("{SOMEBODY}_s{}", names.ids.len());
                names.ids.insert(id, ChangeId::new(name).expect("it is short"));
            }
        }
    }
}

/// The vocabulary of `docs/protocol.md`, but for subscriptions that a forgetful server answers.
struct Played {
    native: Native,
    written: Written,
}

/// Of each frame that is written and not yet taken: whether it is a publication.
type Written = Rc<RefCell<VecDeque<bool>>>;

impl Peer for Played {
    type Message = RawMessage;

    fn encoding(&self) -> Encoding {
        self.native.encoding()
    }

    fn read(
        &mut self,
        attachment: &Attachment,
        frame: Frame,
        inbox: &mut VecDeque<RawMessage>,
    ) -> Result<(), Refused> {
        self.native.read(attachment, frame, inbox)
    }

    fn handle(&mut self, attachment: &mut Attachment, now: Uptime, message: RawMessage) {
        self.native.handle(attachment, now, message);
    }

    fn write(&mut self, attachment: &mut Attachment, outgoing: Outgoing, frames: &mut Frames) {
        let outgoing = match outgoing {
            Outgoing::Begin { topic, catch_up, .. } if FORGETFUL.get() => {
                let CatchUp { version, items, continues, snapshot } = catch_up;
                let items = snapshot.filter(|_| continues).map_or(items, |item| vec![item]);
                let own = topic.own_changes(attachment.session().id(), Version(0), version);
                let catch_up = CatchUp { version, items, continues: false, snapshot: None };
                Outgoing::Begin { topic, since: None, catch_up, own }
            }
            other => other,
        };
        let is_publication = matches!(outgoing, Outgoing::Changes(_));
        let before = frames.len();
        self.native.write(attachment, outgoing, frames);
        let written = frames.len() - before;
        self.written.borrow_mut().extend(std::iter::repeat_n(is_publication, written));
    }

    fn can_resume(&self) -> bool {
        true
    }
}

/// One connection, from its client's hello to its loss.
struct Link {
    connection: Connection<Played>,
    written: Written,
    /// Written to the socket, and not yet received.
    wire: VecDeque<ServerMessage>,
    /// The version of each topic that the client was given last.
    given: BTreeMap<TopicName, Version>,
}

/// A server whose clients are numbered from 0.
pub struct Server {
    hub: Arc<Hub>,
    names: Arc<Names>,
    links: BTreeMap<usize, Link>,
    somebody: Author,
    group: Group,
    /// What special services were asked that only read.
    asked: BTreeMap<EcoString, Value>,
    /// So many submissions more are answered with `busy`.
    pub busy: u32,
    /// Subscriptions are answered by snapshots alone.
    pub forgetful: bool,
    /// `message_bytes` and its like, as the hello says them.
    pub limits: Dict,
}

/// Nothing takes time in a script.
const NOW: Uptime = Uptime(0);

impl Server {
    pub fn new() -> Server {
        REFUSALS.set(0);
        let (names, tokens) = (Arc::new(Names::default()), Mutex::new(0));
        let engine = EngineConfig {
            validators: vec![Arc::new(|it| match REFUSALS.get() {
                left if left > 0 && !it.topic.name().is_special() => {
                    REFUSALS.set(left - 1);
                    Err("the host refuses it".into())
                }
                _ => Ok(()),
            })],
            clock: Arc::new(|| Timestamp(1)),
            epochs: Arc::new(next_epoch),
            observer: Some(names.clone()),
            ..EngineConfig::default()
        };
        // As many as sessions, whose ids are counted too.
        let tokens = move || {
            let mut made = tokens.lock();
            *made += 1;
            EcoString::from(format!("token{made}"))
        };
        let config = SessionConfig::new(Arc::new(tokens), Arc::new(AtOnce));
        let hub = Hub::begin(config, engine, NOW).expect("nothing is kept");
        hub.offer_service("echo", Arc::new(|args, _| Box::pin(async { Ok(args) })));
        hub.offer_service("nobody", Arc::new(|args, _| Box::pin(async { Ok(args) })));
        EPOCHS.set(0);
        Server {
            hub,
            names,
            links: BTreeMap::new(),
            somebody: Author::new(SOMEBODY, None),
            group: Group::default(),
            asked: BTreeMap::new(),
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
        let opened = self.hub.engine().open(&name(topic), Some(kind), options);
        opened.expect("the script's topics are sound");
    }

    /// A topic loses all and begins a new life. Nobody may be connected.
    pub fn new_life(&mut self, topic: &str) {
        let cell = self.topic(&name(topic));
        let (kind, options) = (cell.kind().name(), cell.options().clone());
        self.hub.engine().remove(cell.name());
        self.make(topic, kind, options);
    }

    pub fn remove(&mut self, topic: &str) {
        self.hub.engine().remove(&name(topic));
    }

    fn topic(&self, topic: &TopicName) -> Arc<TopicCell> {
        self.hub.engine().get(topic).expect("a topic of the script")
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
        let result = self.hub.engine().submit(&self.somebody, submission, &mut self.group);
        if let Err(rejected) = result {
            panic!("the script's own change does not fit: {}", rejected.rejection);
        }
        self.publish();
    }

    pub fn publish(&mut self) {
        self.hub.engine().publish(&mut self.group);
        self.links.values_mut().for_each(|link| link.connection.publish());
    }

    /// The tick of `latest` topics.
    pub fn tick(&mut self) {
        self.publish();
        self.hub.engine().tick();
    }

    /// A client's socket is there: a new session is offered.
    pub fn connect(&mut self, client: usize) {
        let written = Written::default();
        let peer = Played { native: Native::new(None), written: written.clone() };
        let connection = Connection::open(&self.hub, peer, NOW);
        let connection = connection.expect("ids in memory do not end");
        let (wire, given) = (VecDeque::new(), BTreeMap::new());
        self.links.insert(client, Link { connection, written, wire, given });
    }

    pub fn is_connected(&self, client: usize) -> bool {
        self.links.contains_key(&client)
    }

    /// A client's socket is lost, and with it what was on the way to it. The session stays.
    pub fn disconnect(&mut self, client: usize) {
        if let Some(link) = self.links.remove(&client) {
            link.connection.close(NOW, false);
        }
        self.publish();
    }

    /// The server gives up the session of a client that is away.
    pub fn forget(&mut self, session: ClientId) {
        self.hub.end(session, NOW);
        self.publish();
    }

    /// Takes one message of a client.
    pub fn receive(&mut self, client: usize, message: ClientMessage) {
        let Some(link) = self.links.get_mut(&client) else { return };
        if self.busy > 0
            && let Some(reject) = turned_away(&message)
        {
            self.busy -= 1;
            // Behind what is to be written before.
            self.write_all(client);
            let link = self.links.get_mut(&client).expect("it is there");
            return link.wire.push_back(ServerMessage::RejectUpdate(reject));
        }
        if let ClientMessage::Request { service_name, request_id, args, .. } = &message
            && service_name.starts_with("_topicsync/")
            && !service_name.ends_with("do")
        {
            self.asked.insert(request_id.clone(), args.clone());
        }
        let frame = Frame::Text(encode(&message, Encoding::Json).into());
        link.connection.receive(frame).expect("a replica writes messages");
        link.connection.handle_message(NOW);
    }

    /// What a client has not been given yet of a topic is thrown away, and its whole value given in its
    /// place.
    pub fn jump(&mut self, client: usize, topic: &str) {
        let Some(cell) = self.hub.engine().get(&name(topic)) else { return };
        // Its subscription may not have begun.
        let link = self.links.get(&client);
        if link.is_none_or(|link| !link.given.contains_key(cell.name())) {
            return;
        }
        let is_of = |message: &ServerMessage| match message {
            ServerMessage::Update(update) => update.part.topic_name == *cell.name(),
            ServerMessage::Action(action) => {
                action.changes.iter().all(|part| part.topic_name == *cell.name())
            }
            _ => false,
        };
        for (message, is_publication) in self.written(client) {
            let link = self.links.get_mut(&client).expect("something was written on it");
            if !is_publication || !is_of(&message) {
                link.note_given(&message);
                link.wire.push_back(message);
            }
        }
        let Some(link) = self.links.get_mut(&client) else { return };
        let Some(since) = link.given.get(cell.name()).copied() else { return };
        let CatchUp { version, items, .. } = cell.catch_up(None);
        let own = cell.own_changes(link.connection.session().id(), since, version);
        link.given.insert(cell.name().clone(), version);
        let items: Vec<_> = items.iter().chain(&own).map(item_message).collect();
        let items: Vec<_> = items.into_iter().map(|it| self.evened(it)).collect();
        self.links.get_mut(&client).expect("it is there").wire.extend(items);
    }

    fn write_all(&mut self, client: usize) {
        for (message, _) in self.written(client) {
            let link = self.links.get_mut(&client).expect("something was written on it");
            link.note_given(&message);
            link.wire.push_back(message);
        }
    }

    /// What the server has for a client, and whether each is a publication.
    fn written(&mut self, client: usize) -> Vec<(ServerMessage, bool)> {
        std::iter::from_fn(|| self.write(client)).collect()
    }

    fn write(&mut self, client: usize) -> Option<(ServerMessage, bool)> {
        let link = self.links.get_mut(&client)?;
        FORGETFUL.set(self.forgetful);
        let Frame::Text(bytes) = link.connection.poll_outgoing()? else {
            panic!("a binary frame in JSON");
        };
        let is_publication = link.written.borrow_mut().pop_front().unwrap_or(false);
        let text = std::str::from_utf8(&bytes).expect("a text frame holds text");
        let message = decode_text(text).expect("the server writes JSON").into_iter().next();
        let message = message.expect("a frame holds a message").server();
        Some((self.evened(message.expect("the server's messages are sound")), is_publication))
    }

    /// The next message to arrive at a client.
    pub fn next_for(&mut self, client: usize) -> Option<ServerMessage> {
        if let Some(message) = self.links.get_mut(&client)?.wire.pop_front() {
            return Some(message);
        }
        let (message, _) = self.write(client)?;
        self.links.get_mut(&client)?.note_given(&message);
        Some(message)
    }

    /// A message without what differs between servers.
    fn evened(&self, mut message: ServerMessage) -> ServerMessage {
        let names = self.names.0.lock();
        let commit = |commit: &mut CommitNumber| {
            *commit = names.commits.get(commit).copied().unwrap_or_default();
        };
        let id = |id: &mut ChangeId| {
            if let Some(name) = names.ids.get(id) {
                *id = name.clone();
            }
        };
        let author = |author: &mut Option<ClientId>| {
            *author = author.map(|it| if it == ClientId::SERVER { SOMEBODY } else { it });
        };
        let part = |part: &mut Part| part.change.id.iter_mut().for_each(id);
        match &mut message {
            ServerMessage::Hello(hello) => {
                (hello.server, hello.limits) = ("topicsync".into(), self.limits.clone());
            }
            ServerMessage::Update(update) => {
                commit(&mut update.commit);
                author(&mut update.author);
                part(&mut update.part);
                update.ids.iter_mut().for_each(id);
            }
            ServerMessage::Action(action) => {
                commit(&mut action.commit);
                author(&mut action.author);
                action.changes.iter_mut().for_each(part);
            }
            // What a topic held is a matter of the server's.
            ServerMessage::Response { request_id, outcome }
                if self.asked.contains_key(request_id) =>
            {
                *outcome = Ok(self.asked[request_id].clone());
            }
            // Of an undo, what a replica could not tell from elsewhere.
            ServerMessage::Response { outcome: Ok(Value::Dict(answer)), .. }
                if answer.contains_key("undone") =>
            {
                answer.remove("undone");
                answer.remove("skipped");
            }
            ServerMessage::Error(error) if error.code == ErrorCode::SessionUnknown => {
                error.reason = "it is over".into();
            }
            _ => {}
        }
        message
    }

    /// A topic's value as it is published.
    pub fn value(&self, topic: &TopicName) -> Value {
        let cell = self.topic(topic);
        cell.kind().encode_value(&cell.snapshot().value)
    }
}

impl Link {
    /// Notes up to which version a message leads.
    fn note_given(&mut self, message: &ServerMessage) {
        let mut lead = |part: &Part| {
            if let Some(given) = self.given.get_mut(&part.topic_name) {
                *given = part.version.max(*given);
            }
        };
        match message {
            ServerMessage::Subscribed(subscribed) => {
                self.given.insert(subscribed.topic_name.clone(), subscribed.version);
            }
            ServerMessage::Unsubscribed { topic_name } => drop(self.given.remove(topic_name)),
            ServerMessage::Update(update) => lead(&update.part),
            ServerMessage::Action(action) => action.changes.iter().for_each(lead),
            _ => {}
        }
    }
}

/// What the author of a submission is told for which there is no room.
fn turned_away(message: &ClientMessage) -> Option<RejectUpdate> {
    let (first, action_id) = match message {
        ClientMessage::Update(change) => (change, None),
        ClientMessage::Action { action_id, changes } => {
            (changes.first()?, Some(action_id.clone().into()))
        }
        _ => return None,
    };
    let TopicChange { topic_name, change, .. } = first.clone();
    let (code, reason, version) = (RejectCode::Busy, "later".into(), None);
    Some(RejectUpdate { topic_name: topic_name.into(), code, reason, version, action_id, change })
}

/// A topic's name as the script has it.
pub fn name(text: &str) -> TopicName {
    TopicName::new(text).expect("the script's names are sound")
}
