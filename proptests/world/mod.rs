//! A whole system without sockets: a real engine, real replicas, and a network between them.
//!
//! ```text
//!   client 0 ── up ──►┐                    ┌── Record: every log and value, whole
//!            ◄─ wire ─┤ sessions ─ Engine ─┤
//!   client 1 ── up ──►┤                    └── clock and epochs of the world's own
//!            ◄─ wire ─┘
//! ```
//!
//! Each client has a link of its own, along which messages wait until a [`Step`] moves them: late, and
//! in any order between clients, never within one. A lost connection takes with it what is on the way
//! both ways. Nothing here reads a clock or chance: the steps, and the choices that go with them, are
//! all there is, so every run repeats exactly.
//!
//! | module | holds |
//! |---|---|
//! | here | [`World`]: what each step does, and the checks once all is quiet |
//! | [`server`] | sessions over the engine, as the real server has them around sockets |
//! | [`client`] | a replica, and a program that believes what it is told |
//! | [`record`] | what the server did, noted as it happened |

// Each of those who include this file uses a part of it.
#![allow(dead_code)]

pub mod client;
pub mod record;
pub mod server;

use std::collections::BTreeSet;
use std::fmt::{Debug, Display, Write};

use topicsync::client::{Footing, LocalChange};
use topicsync::engine::{Author, ChangeBody, Submission, Submitted};
use topicsync::journal::Fault;
use topicsync::protocol::{Encoding, ServerMessage};
use topicsync::topic::{ClientId, Delivery, Entry, Rejection, TopicName, TopicOptions, Version};
use topicsync::types::{AnyChange, AnyValue, TypeRef};
use topicsync::value::Fields;

use crate::generate::{Choices, Ends, Generate};
use client::Client;
use record::TopicRecord;
use server::Server;

/// What a check found.
pub type Checked<T = ()> = Result<T, String>;

/// Fails with `what` and both sides unless they are equal.
pub fn same<T: PartialEq + Debug + ?Sized>(what: impl Display, left: &T, right: &T) -> Checked {
    if left == right { Ok(()) } else { Err(format!("{what}:\n  {left:?}\n  {right:?}")) }
}

/// A type, and how to make its changes.
#[derive(Clone, Copy)]
pub struct Kind {
    pub of: TypeRef,
    pub change: fn(&mut dyn Choices, &AnyValue, Ends) -> AnyChange,
}

impl Kind {
    pub fn of<T: Generate>() -> Kind {
        let change = |choices: &mut dyn Choices, value: &AnyValue, ends| {
            let value = value.get::<T>().expect("a value of its own type");
            AnyChange::new::<T>(T::change(choices, value, ends))
        };
        Kind { of: TypeRef::of::<T>(), change }
    }
}

/// Every built-in type.
pub fn kinds() -> Vec<Kind> {
    use topicsync::types::{bool, dict, event, float, generic, int, list, set, string};
    vec![
        Kind::of::<generic::Generic>(),
        Kind::of::<bool::Bool>(),
        Kind::of::<int::Int>(),
        Kind::of::<float::Float>(),
        Kind::of::<string::String>(),
        Kind::of::<list::List>(),
        Kind::of::<set::Set>(),
        Kind::of::<dict::Dict>(),
        Kind::of::<event::Event>(),
    ]
}

pub fn kind(name: &str) -> Kind {
    kinds().into_iter().find(|kind| kind.of.name() == name).expect("a built-in type")
}

/// A topic that every client subscribes to from the beginning.
#[derive(Clone)]
pub struct Topic {
    pub name: TopicName,
    pub kind: Kind,
    pub options: TopicOptions,
}

impl Topic {
    pub fn new(name: &str, kind: Kind) -> Topic {
        let name = TopicName::new(name).expect("a name");
        Topic { name, kind, options: TopicOptions::default() }
    }

    #[must_use]
    pub fn with(self, options: TopicOptions) -> Topic {
        Topic { options, ..self }
    }
}

/// What a world is made of.
#[derive(Clone)]
pub struct Setup {
    pub clients: usize,
    pub topics: Vec<Topic>,
    /// How long a session outlives its connection.
    pub session_ms: u64,
    /// How long a topic remembers a change at least, whatever it keeps.
    pub resumable_ms: u64,
    /// From how many publications in its queue on a connection lags.
    pub queue_max: usize,
    /// Whether every message goes through an encoding.
    pub encodings: bool,
    /// How many versions, and commits, lie between two looks into the past.
    pub stride: usize,
}

impl Setup {
    pub fn new(clients: usize, topics: Vec<Topic>) -> Setup {
        let (session_ms, resumable_ms) = (60_000, 61_000);
        Setup {
            clients,
            topics,
            session_ms,
            resumable_ms,
            queue_max: 64,
            encodings: true,
            stride: 1,
        }
    }
}

/// What happens next. What else there is to choose comes with it as [`Choices`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A client makes a change of some topic.
    Change(usize),
    /// A client makes so many changes, of any topics, as an action.
    Act(usize, usize),
    Undo(usize),
    Redo(usize),
    /// A client hands what it has to say to its link.
    Send(usize),
    /// The server takes the next message of a client, and publishes after it perhaps.
    Serve(usize),
    Publish,
    /// The journal takes what waits for it.
    Commit,
    /// The journal fails, having written or not, and works again.
    Fail(Fault),
    /// The server crashes and is started again; the clients lose their connections.
    Crash,
    /// The server's tick comes, and with it the updates of `latest` topics.
    Tick,
    /// So many messages arrive at a client.
    Deliver(usize, usize),
    Disconnect(usize),
    Connect(usize),
    /// The server gives up the session of a client that is away.
    Forget(usize),
    /// A client ends its subscription of some topic, or takes it up again.
    Toggle(usize),
    /// A validator refuses the next change.
    Refuse,
    /// The server has no room for the next submission.
    Busy,
    /// A client sends again what the server had no room for.
    Retry(usize),
    /// A client makes so many changes in a row, and hears of each before it makes the next.
    Burst(usize, usize),
    /// So many milliseconds pass. What is under way arrives long before.
    Pass(u64),
    /// A cut of all topics is kept, to be compared with what it is later.
    Cut,
}

pub struct World {
    pub server: Server,
    pub clients: Vec<Client>,
    topics: Vec<Topic>,
    /// Whether a look is taken at every message that arrives, or at every 16th.
    pub thorough: bool,
    stride: usize,
    looks: u64,
    /// What happened so far, if that is asked for.
    pub story: Option<std::string::String>,
    /// How many changes clients made.
    pub made: u64,
    /// Some subscription was interrupted: its client may have missed events.
    has_toggled: bool,
}

impl World {
    pub fn new(setup: &Setup) -> Checked<World> {
        let encodings = [None, Some(Encoding::Json), Some(Encoding::MessagePack)];
        let encoding = |client| if setup.encodings { encodings[client % 3] } else { None };
        let mut world = World {
            server: Server::new(setup),
            clients: (0..setup.clients).map(|client| Client::new(encoding(client))).collect(),
            topics: setup.topics.clone(),
            thorough: true,
            stride: setup.stride,
            looks: 0,
            story: None,
            made: 0,
            has_toggled: false,
        };
        for client in &mut world.clients {
            for topic in &world.topics {
                client.replica.subscribe(&topic.name, topic.kind.of, topic.options.clone());
            }
        }
        world.settle()?;
        Ok(world)
    }

    fn tell(&mut self, line: impl FnOnce() -> std::string::String) {
        if let Some(story) = &mut self.story {
            writeln!(story, "{}", line()).expect("a string takes all");
        }
    }

    /// Plays one step. One that makes no sense at this point does nothing.
    pub fn play(&mut self, step: Step, choices: &mut dyn Choices) -> Checked {
        match step {
            Step::Change(client) => self.act(client, 1, choices),
            Step::Act(client, changes) => self.act(client, changes, choices),
            Step::Undo(client) => {
                self.tell(|| format!("client {client} asks for an undo"));
                self.clients[client].replica.undo();
                Ok(())
            }
            Step::Redo(client) => {
                self.tell(|| format!("client {client} asks for a redo"));
                self.clients[client].replica.redo();
                Ok(())
            }
            Step::Send(client) => self.send(client),
            Step::Serve(client) => {
                self.serve(client)?;
                if choices.below(2) == 0 {
                    self.server.publish();
                }
                Ok(())
            }
            Step::Publish => {
                self.server.publish();
                Ok(())
            }
            Step::Commit => self.server.commit(None),
            Step::Fail(fault) => {
                self.tell(|| format!("the journal fails: {fault:?}"));
                self.server.commit(Some(fault))
            }
            Step::Crash => self.crash(),
            Step::Tick => {
                self.server.tick();
                Ok(())
            }
            Step::Deliver(client, messages) => {
                (0..messages).try_for_each(|_| self.deliver(client).map(drop))
            }
            Step::Disconnect(client) => self.disconnect(client),
            Step::Connect(client) => {
                self.connect(client);
                Ok(())
            }
            Step::Forget(client) => {
                self.forget(client);
                Ok(())
            }
            Step::Toggle(client) => self.toggle(client, choices),
            Step::Refuse => {
                self.server.refuse(1);
                Ok(())
            }
            Step::Busy => {
                self.server.busy += 1;
                Ok(())
            }
            Step::Retry(client) => {
                self.clients[client].replica.resend_busy();
                self.send(client)
            }
            Step::Burst(client, changes) => self.burst(client, changes, choices),
            Step::Pass(ms) => {
                self.drain()?;
                self.tell(|| format!("{ms} ms pass"));
                server::pass_time(ms);
                Ok(())
            }
            Step::Cut => {
                // A cut is given once every lower commit is settled.
                self.server.commit(None)?;
                self.server.record.cut(&self.server.engine);
                Ok(())
            }
        }
    }

    fn act(&mut self, number: usize, changes: usize, choices: &mut dyn Choices) -> Checked {
        let mut planned = Vec::with_capacity(changes);
        let client = &self.clients[number];
        let mut views: Vec<Option<AnyValue>> = vec![None; self.topics.len()];
        for _ in 0..changes {
            let index = choices.below(self.topics.len());
            let Topic { name, kind, .. } = &self.topics[index];
            let Some(view) = client.replica.view(name) else { continue };
            // Without a base: names the end perhaps, or shall simply win.
            let overwriting = choices.once_in(8);
            let ends = if overwriting { Ends::Allowed } else { Ends::Never };
            let view = views[index].get_or_insert_with(|| view.clone());
            let change = (kind.change)(choices, view, ends);
            kind.of.apply(view, &change).map_err(|error| format!("{change:?}: {error}"))?;
            let change = LocalChange::new(name.clone(), kind.of.encode_change(&change));
            planned.push(if overwriting { change.overwriting() } else { change });
        }
        if planned.is_empty() {
            return Ok(());
        }
        self.made += planned.len() as u64;
        if let Some(story) = &mut self.story {
            for it in &planned {
                let json = serde_json::to_string(&it.fields).expect("fields are JSON");
                let base = match it.footing {
                    Footing::Seen => "",
                    Footing::Anything => ", on anything",
                };
                writeln!(story, "client {number} changes {}: {json}{base}", it.topic_name)
                    .expect("a string takes all");
            }
        }
        let client = &mut self.clients[number];
        let ticket = client.replica.local(planned).map_err(|error| error.to_string())?;
        client.made(ticket)
    }

    /// A client hands what it has to say to its link; without one, to nobody.
    pub fn send(&mut self, number: usize) -> Checked {
        let client = &mut self.clients[number];
        let messages = client.replica.outbox();
        client.hear()?;
        if client.connected {
            client.up.extend(messages);
        }
        Ok(())
    }

    /// The server takes one message of a client; `false` if there is none.
    pub fn serve(&mut self, number: usize) -> Checked<bool> {
        let client = &mut self.clients[number];
        let Some(message) = client.up.pop_front() else { return Ok(false) };
        let message = client.encoded(message)?;
        let outcome = self.server.receive(number, message)?;
        self.tell(|| format!("server, to client {number}: {outcome}"));
        Ok(true)
    }

    /// A client gets one message; `false` if there is none.
    pub fn deliver(&mut self, number: usize) -> Checked<bool> {
        let Some(message) = self.server.next_for(number) else { return Ok(false) };
        let message = self.clients[number].decoded(message)?;
        self.tell(|| format!("client {number} receives {message:?}"));
        self.looks += 1;
        if self.thorough {
            self.check_published(&message)?;
        }
        let look = self.thorough || self.looks.is_multiple_of(16);
        let topics = if look { topics_of(&message) } else { Vec::new() };
        let client = &mut self.clients[number];
        client.replica.receive(message);
        client.hear()?;
        topics.iter().try_for_each(|name| self.check_confirmed(number, name))?;
        Ok(true)
    }

    /// Law 7, on the way: a published change is the one in the log.
    fn check_published(&self, message: &ServerMessage) -> Checked {
        let parts = match message {
            ServerMessage::Update(update) if !update.snapshot && update.since.is_none() => {
                std::slice::from_ref(&update.part)
            }
            ServerMessage::Action(action) => &action.changes,
            _ => return Ok(()),
        };
        for part in parts {
            let topic = self.record(&part.topic_name)?;
            let entry = &topic.entries[part.version.0 as usize - 1];
            let fields = match &entry.change {
                None => Fields::of_type("none"),
                Some(change) => topic.cell.kind().encode_change(change),
            };
            let (version, id) = (part.version, part.change.id.as_ref());
            same(
                format_args!("{version} of {:?}, published, logged", topic.cell),
                &part.change.fields,
                &fields,
            )?;
            same("its id", &id, &Some(&entry.id))?;
        }
        Ok(())
    }

    /// Law 7, on the way: a replica at some version holds what the server held there.
    fn check_confirmed(&self, number: usize, name: &TopicName) -> Checked {
        let Some(replica) = self.clients[number].replica.topic(name) else { return Ok(()) };
        let version = replica.version();
        match self.record(name)?.values.get(version.0 as usize) {
            None => Err(format!("client {number} has {name:?} at {version}, past the head")),
            Some(Some(value)) if replica.is_ready() => {
                let what = format_args!("{name:?} at {version}, at client {number} and the server");
                same(what, replica.confirmed(), value)
            }
            Some(_) => Ok(()),
        }
    }

    fn record(&self, name: &TopicName) -> Checked<&TopicRecord> {
        self.server.record.topic(name).ok_or_else(|| format!("no topic {name:?}"))
    }

    pub fn connect(&mut self, number: usize) {
        if !std::mem::replace(&mut self.clients[number].connected, true) {
            self.tell(|| format!("client {number} connects"));
            self.server.connect(number);
        }
    }

    pub fn disconnect(&mut self, number: usize) -> Checked {
        let client = &mut self.clients[number];
        if std::mem::take(&mut client.connected) {
            client.up.clear();
            client.replica.disconnected();
            client.hear()?;
            self.tell(|| format!("client {number} loses its connection"));
            self.server.disconnect(number);
        }
        Ok(())
    }

    fn crash(&mut self) -> Checked {
        self.tell(|| "the server crashes".into());
        for client in &mut self.clients {
            if std::mem::take(&mut client.connected) {
                client.up.clear();
                client.replica.disconnected();
                client.hear()?;
            }
        }
        self.server.crash()
    }

    fn forget(&mut self, number: usize) {
        let client = &self.clients[number];
        if let Some(id) = client.ids.last().copied().filter(|_| !client.connected) {
            self.tell(|| format!("the server forgets the session of client {number}"));
            self.server.forget(id);
        }
    }

    fn toggle(&mut self, number: usize, choices: &mut dyn Choices) -> Checked {
        self.has_toggled = true;
        let topic = &self.topics[choices.below(self.topics.len())];
        let client = &mut self.clients[number];
        match client.replica.topic(&topic.name) {
            Some(_) => client.replica.unsubscribe(&topic.name),
            None => {
                let _ = client.replica.subscribe(&topic.name, topic.kind.of, topic.options.clone());
            }
        }
        client.hear()
    }

    fn burst(&mut self, number: usize, changes: usize, choices: &mut dyn Choices) -> Checked {
        self.tell(|| format!("client {number} makes {changes} changes in a row"));
        let story = self.story.take();
        let played = (0..changes).try_for_each(|_| {
            self.act(number, 1, choices)?;
            self.send(number)?;
            while self.serve(number)? {}
            self.server.publish();
            while self.deliver(number)? {}
            Ok(())
        });
        self.story = story;
        played
    }

    /// Lets what is under way on connections that are there arrive.
    fn drain(&mut self) -> Checked<bool> {
        let mut any = false;
        for number in 0..self.clients.len() {
            while self.serve(number)? {
                any = true;
            }
        }
        self.server.commit(None)?;
        self.server.tick();
        for number in 0..self.clients.len() {
            while self.deliver(number)? {
                any = true;
            }
        }
        Ok(any)
    }

    /// Lets everything that is under way arrive, over connections that hold.
    pub fn settle(&mut self) -> Checked {
        for number in 0..self.clients.len() {
            self.connect(number);
        }
        self.server.be_at_ease();
        for _ in 0..1000 {
            for number in 0..self.clients.len() {
                self.clients[number].replica.resend_busy();
                self.send(number)?;
            }
            if !self.drain()? {
                return Ok(());
            }
        }
        Err("the network never becomes quiet".into())
    }

    /// Whether a change of somebody's with this base is refused because of its age. It may be accepted.
    pub fn is_too_old(&self, topic: &TopicRecord, base: Version) -> bool {
        let kind = topic.cell.kind();
        let value = kind.encode_value(&kind.initial());
        let submitted = Submitted {
            topic: topic.cell.name().clone(),
            epoch: None,
            change: ChangeBody::Fields(Fields::of_type("set").with("value", value)),
            id: None,
            base: Some(base),
        };
        let submission = Submission { action_id: None, changes: [submitted].into_iter().collect() };
        let author = Author::new(ClientId(u64::MAX), None);
        let result = self.server.engine.submit_now(&author, submission);
        result.is_err_and(|it| matches!(it.rejection, Rejection::BaseTooOld { .. }))
    }

    /// Lets everything arrive, and checks all that then has to hold.
    pub fn check(&mut self) -> Checked {
        for client in &mut self.clients {
            for topic in &self.topics {
                client.replica.subscribe(&topic.name, topic.kind.of, topic.options.clone());
            }
        }
        self.settle()?;
        self.check_converged()?;
        self.check_exactly_once()?;
        self.check_heard()?;
        self.server.record.check_replay(self.stride)?;
        self.server.record.check_cuts(&self.server.engine, self.stride as u64)
    }

    /// Law 7: all replicas hold the server's value, and nothing is pending. It is the same to the last
    /// byte, but for what was composed on the way: there 1 and 1.0 are one number.
    fn check_converged(&self) -> Checked {
        for topic in self.server.record.topics() {
            let (name, kind) = (topic.cell.name(), topic.cell.kind());
            let text =
                |value: &AnyValue| serde_json::to_string(&kind.encode_value(value)).expect("JSON");
            let value = topic.cell.snapshot().value;
            for (number, client) in self.clients.iter().enumerate() {
                let replica = client.replica.topic(name).ok_or("a topic is not subscribed")?;
                let what = |of| format!("the {of} of {name:?}, at client {number} and the server");
                for (of, held) in
                    [("confirmed value", replica.confirmed()), ("view", replica.view())]
                {
                    same(what(of), held, &value)?;
                    if topic.cell.options().delivery == Delivery::Every {
                        same(what(of), &text(held), &text(&value))?;
                    }
                }
                same(what("version"), &replica.version(), &topic.cell.head())?;
                same(what("pending changes"), &replica.pending_len(), &0)?;
            }
        }
        Ok(())
    }

    /// Law 8: every change was accepted once or rejected once, and its author knows which.
    fn check_exactly_once(&self) -> Checked {
        let record = &self.server.record;
        record.check_exactly_once()?;
        for (number, client) in self.clients.iter().enumerate() {
            client.check_fates().map_err(|what| format!("client {number}: {what}"))?;
            let mut confirmed = BTreeSet::new();
            for id in &client.confirmed {
                let sent = record.submission(id);
                confirmed.insert(sent.ok_or_else(|| format!("{id} is confirmed, and never came"))?);
            }
            let accepted = client.ids.iter().flat_map(|id| record.accepted_of(*id)).collect();
            let unsung = BTreeSet::difference(&accepted, &confirmed).count();
            if unsung > client.unknown || !confirmed.is_subset(&accepted) {
                let what = format!("client {number}, what it knows to be accepted, and what was");
                same(&what, &confirmed, &accepted)?;
            }
        }
        Ok(())
    }

    /// All who subscribe to an event topic from first to last hear the same events in one order: the
    /// log's, each without their own, of which they know before.
    fn check_heard(&self) -> Checked {
        let events = self.server.record.topics().iter().filter(|it| !it.cell.kind().stateful());
        for topic in events {
            for (number, client) in self.clients.iter().enumerate() {
                let others = |entry: &&Entry| !client.ids.contains(&entry.author);
                let emitted = topic.entries.iter().filter(others);
                let emitted: Vec<_> = emitted.filter_map(|entry| entry.change.clone()).collect();
                let heard = client.heard.get(topic.cell.name()).map_or(&[][..], |it| &it[..]);
                let all = heard == emitted || self.has_toggled && is_within(heard, &emitted);
                if !all {
                    same(
                        format_args!("what client {number} heard, and what was emitted"),
                        heard,
                        &emitted,
                    )?;
                }
            }
        }
        Ok(())
    }
}

/// Whether `part` is `whole` with some left out.
fn is_within(part: &[AnyChange], whole: &[AnyChange]) -> bool {
    let mut rest = whole.iter();
    part.iter().all(|it| rest.any(|other| other == it))
}

/// The topics that a message may move.
fn topics_of(message: &ServerMessage) -> Vec<TopicName> {
    match message {
        ServerMessage::Update(update) => vec![update.part.topic_name.clone()],
        ServerMessage::Action(action) => {
            action.changes.iter().map(|part| part.topic_name.clone()).collect()
        }
        _ => Vec::new(),
    }
}
