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
//! both ways. Nothing here reads a clock or chance: the steps are all there is, so every run
//! repeats exactly.
//!
//! | module | holds |
//! |---|---|
//! | here | [`World`]: what each step does, and the checks once all is quiet |
//! | [`server`] | sessions over the engine, as the real server has them around sockets |
//! | [`client`] | a replica, and a program that believes what it is told |
//! | [`record`] | what the server did, noted as it happened |

pub mod client;
pub mod record;
pub mod server;
pub mod setup;
pub mod step;

use std::collections::BTreeSet;

use super::broken::{Breaks, Checked, Found, same};
use super::choices::Choices;
use super::law::Law;
use crate::client::LocalChange;
use crate::engine::{Author, ChangeBody, Submission, Submitted};
use crate::journal::Fault;
use crate::protocol::message::{ClientMessage, Part};
use crate::protocol::{Encoding, ServerMessage};
use crate::topic::{ClientId, Delivery, Entry, Rejection, TopicName, Version};
use crate::types::{AnyChange, AnyValue, TypeRef};
use crate::value::Fields;
use client::Client;
use record::TopicRecord;
use server::Server;

pub use setup::{Kind, Setup, Topic, kind, kinds};
pub use step::{Deed, Made, Step};

/// A server, its clients and the network between them, moved on step by step.
pub struct World {
    /// The server, with what it did.
    pub server: Server,
    /// The clients, in the order of their numbers.
    pub clients: Vec<Client>,
    topics: Vec<Topic>,
    topic_names: Vec<TopicName>,
    /// Whether a look is taken at every message that arrives, or at every 16th.
    pub thorough: bool,
    stride: usize,
    looks: u64,
    /// What happened so far, if that is asked for.
    pub story: Option<Vec<std::string::String>>,
    /// How many changes clients made.
    pub made: u64,
    /// Some subscription was interrupted: its client may have missed events.
    has_toggled: bool,
}

impl World {
    /// A world in which every client has subscribed to every topic, and all is quiet.
    ///
    /// # Errors
    /// A law that does not even hold so far.
    pub fn new(setup: &Setup) -> Checked<World> {
        let encodings = [None, Some(Encoding::Json), Some(Encoding::MessagePack)];
        let encoding = |client| if setup.encodings { encodings[client % 3] } else { None };
        let mut world = World {
            server: Server::new(setup),
            clients: (0..setup.clients).map(|client| Client::new(encoding(client))).collect(),
            topics: setup.topics.clone(),
            topic_names: setup.topics.iter().map(|topic| topic.name.clone()).collect(),
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
            story.push(line());
        }
    }

    /// The names of its topics.
    pub fn topic_names(&self) -> &[TopicName] {
        &self.topic_names
    }

    /// What was told since this was last asked.
    pub(super) fn told(&mut self) -> impl Iterator<Item = std::string::String> + use<> {
        self.story.as_mut().map(std::mem::take).unwrap_or_default().into_iter()
    }

    /// Plays one step. One that makes no sense at this point does nothing.
    ///
    /// # Errors
    /// A law that turned out not to hold.
    pub fn play(&mut self, step: &Step) -> Checked {
        match step {
            Step::Client(client, deed) => match client.checked_sub(1) {
                Some(number) if number < self.clients.len() => self.play_deed(number, deed)?,
                _ => {}
            },
            Step::Publish => self.server.publish(),
            Step::Commit => self.commit(None)?,
            Step::Fail(fault) => self.commit(Some(*fault))?,
            Step::Crash => self.crash()?,
            Step::Tick => self.server.tick(),
            Step::Refuse => self.server.refuse(1),
            Step::Busy => self.server.busy += 1,
            Step::Pass(ms) => {
                self.drain()?;
                self.server.pass_time(*ms);
            }
            Step::Cut => {
                // A cut is given once every lower commit is settled.
                self.commit(None)?;
                self.server.record.cut(&self.server.engine);
            }
        }
        Ok(())
    }

    fn play_deed(&mut self, number: usize, deed: &Deed) -> Checked {
        match deed {
            Deed::Change(made) => self.change(number, made)?,
            Deed::Undo => drop(self.clients[number].replica.undo()),
            Deed::Redo => drop(self.clients[number].replica.redo()),
            Deed::Send => self.send(number)?,
            Deed::Take => drop(self.serve(number, false)?),
            Deed::TakeTwice => drop(self.serve(number, true)?),
            Deed::Receive(count) => {
                for _ in 0..*count {
                    self.deliver(number, false)?;
                }
            }
            Deed::ReceiveTwice => drop(self.deliver(number, true)?),
            Deed::Disconnect => self.disconnect(number)?,
            Deed::Connect => self.connect(number),
            Deed::Forget => self.forget(number),
            Deed::Leave(topic) => self.leave(number, topic)?,
            Deed::Join(topic) => self.join(number, topic)?,
            Deed::Retry => {
                self.clients[number].replica.resend_busy();
                self.send(number)?;
            }
        }
        Ok(())
    }

    /// The journal takes what waits for it, or fails.
    fn commit(&mut self, fault: Option<Fault>) -> Checked {
        self.server.commit(fault).breaks(Law::EveryChangeHasOneFate)
    }

    /// Chooses so many changes for a client, of any topics, each on top of those before it. There may
    /// be fewer, or none.
    pub fn plan(&self, client: usize, changes: usize, choices: &mut dyn Choices) -> Deed {
        let mut made = Vec::with_capacity(changes);
        let replica = &self.clients[client - 1].replica;
        let mut views: Vec<Option<AnyValue>> = vec![None; self.topics.len()];
        for _ in 0..changes {
            let index = choices.below(self.topics.len());
            let Topic { name, kind, .. } = &self.topics[index];
            let Some(view) = replica.view(name) else { continue };
            let overwriting = choices.once_in(8);
            let view = views[index].get_or_insert_with(|| view.clone());
            let Some(change) = kind.change(choices, view) else { continue };
            if kind.of.apply(view, &change).is_ok() {
                let change = kind.of.encode_change(&change);
                made.push(Made { topic: name.clone(), change, overwriting });
            }
        }
        Deed::Change(made)
    }

    fn change(&mut self, number: usize, made: &[Made]) -> Checked {
        let client = &mut self.clients[number];
        let changes = made.iter().map(|made| {
            let change = LocalChange::new(made.topic.clone(), made.change.clone());
            if made.overwriting { change.overwriting() } else { change }
        });
        // In a shortened script it may fit no longer.
        let Ok(ticket) = client.replica.local(changes.collect()) else {
            self.tell(|| "which does not fit what it sees: nothing happens".into());
            return Ok(());
        };
        client.made(ticket).breaks(Law::EveryChangeHasOneFate)?;
        self.made += made.len() as u64;
        if self.story.is_some() {
            let mut topics: Vec<&TopicName> = made.iter().map(|made| &made.topic).collect();
            topics.sort_unstable();
            topics.dedup();
            for name in topics {
                let line = self.clients[number].replica.topic(name).map(|replica| {
                    let view = plain(replica.kind(), replica.view());
                    format!("at version {}; it sees {view}", replica.version())
                });
                self.tell(|| line.unwrap_or_default());
            }
        }
        Ok(())
    }

    /// A client hands what it has to say to its link; without one, to nobody.
    fn send(&mut self, number: usize) -> Checked {
        let client = &mut self.clients[number];
        let messages = client.replica.outbox();
        client.hear()?;
        if client.connected {
            client.up.extend(messages);
        }
        Ok(())
    }

    /// The server takes one message of a client, `twice` if it is accepted; `false` if there is none.
    fn serve(&mut self, number: usize, twice: bool) -> Checked<bool> {
        let client = &mut self.clients[number];
        let Some(message) = client.up.pop_front() else { return Ok(false) };
        let message = client.encoded(message)?;
        let again = twice.then(|| message.clone());
        let accepted = self.receive(number, message)?;
        if let Some(message) = again.filter(|_| accepted) {
            self.receive(number, message)?;
        }
        Ok(true)
    }

    /// The server takes a message; gives whether it is a submission that it accepted.
    fn receive(&mut self, number: usize, message: ClientMessage) -> Checked<bool> {
        let outcome = self.server.receive(number, message).breaks(Law::EveryChangeHasOneFate)?;
        if !matches!(outcome, server::Outcome::Taken) {
            self.tell(|| format!("the server {outcome}, for {}", who(number)));
        }
        Ok(matches!(outcome, server::Outcome::Accepted(..)))
    }

    /// A client gets one message, `twice` if it is a published change; `false` if there is none.
    fn deliver(&mut self, number: usize, twice: bool) -> Checked<bool> {
        let Some(message) = self.server.next_for(number) else { return Ok(false) };
        let message = self.clients[number].decoded(message)?;
        if let Some(line) = self.story.as_ref().and_then(|_| told(&message)) {
            self.tell(|| format!("{} gets {line}", who(number)));
        }
        self.looks += 1;
        if self.thorough {
            self.check_published(&message).breaks(Law::ReplicasConverge)?;
        }
        let look = self.thorough || self.looks.is_multiple_of(16);
        let topics = if look { topics_of(&message) } else { Vec::new() };
        let client = &mut self.clients[number];
        let is_published = matches!(message, ServerMessage::Update(_) | ServerMessage::Action(_));
        let again = (twice && is_published).then(|| message.clone());
        for message in std::iter::once(message).chain(again) {
            client.replica.receive(message);
            client.hear().breaks(Law::ReplicasConverge)?;
        }
        let confirmed = topics.iter().try_for_each(|name| self.check_confirmed(number, name));
        confirmed.breaks(Law::ReplicasConverge)?;
        Ok(true)
    }

    /// Law 7, on the way: a published change is the one in the log.
    fn check_published(&self, message: &ServerMessage) -> Found {
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
    fn check_confirmed(&self, number: usize, name: &TopicName) -> Found {
        let Some(replica) = self.clients[number].replica.topic(name) else { return Ok(()) };
        let version = replica.version();
        match self.record(name)?.values.get(version.0 as usize) {
            None => Err(format!("{} has {name:?} at {version}, past the head", who(number))),
            Some(Some(value)) if replica.is_ready() => {
                let what = format_args!("{name:?} at {version}, at {} and the server", who(number));
                same(what, replica.confirmed(), value)
            }
            Some(_) => Ok(()),
        }
    }

    fn record(&self, name: &TopicName) -> Found<&TopicRecord> {
        self.server.record.topic(name).ok_or_else(|| format!("no topic {name:?}"))
    }

    fn connect(&mut self, number: usize) {
        if !std::mem::replace(&mut self.clients[number].connected, true) {
            self.server.connect(number);
        }
    }

    fn disconnect(&mut self, number: usize) -> Checked {
        let client = &mut self.clients[number];
        if std::mem::take(&mut client.connected) {
            client.up.clear();
            client.replica.disconnected();
            client.hear()?;
            self.server.disconnect(number);
        }
        Ok(())
    }

    fn crash(&mut self) -> Checked {
        for client in &mut self.clients {
            if std::mem::take(&mut client.connected) {
                client.up.clear();
                client.replica.disconnected();
                client.hear()?;
            }
        }
        self.server.crash().breaks(Law::TheLogReplays)
    }

    fn forget(&mut self, number: usize) {
        let client = &self.clients[number];
        if let Some(id) = client.ids.last().copied().filter(|_| !client.connected) {
            self.server.forget(id);
        }
    }

    fn leave(&mut self, number: usize, topic: &TopicName) -> Checked {
        self.has_toggled = true;
        let client = &mut self.clients[number];
        client.replica.unsubscribe(topic);
        client.hear()
    }

    fn join(&mut self, number: usize, name: &TopicName) -> Checked {
        if let Some(topic) = self.topics.iter().find(|topic| topic.name == *name) {
            let client = &mut self.clients[number];
            client.replica.subscribe(name, topic.kind.of, topic.options.clone());
            client.hear()?;
        }
        Ok(())
    }

    /// Lets what is under way on connections that are there arrive.
    fn drain(&mut self) -> Checked<bool> {
        let mut any = false;
        for number in 0..self.clients.len() {
            while self.serve(number, false)? {
                any = true;
            }
        }
        self.commit(None)?;
        self.server.tick();
        for number in 0..self.clients.len() {
            while self.deliver(number, false)? {
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
    ///
    /// # Errors
    /// The first law that does not hold.
    pub fn check(&mut self) -> Checked {
        for client in &mut self.clients {
            for topic in &self.topics {
                client.replica.subscribe(&topic.name, topic.kind.of, topic.options.clone());
            }
        }
        self.tell(|| "then everything arrives".into());
        self.settle()?;
        self.check_converged().breaks(Law::ReplicasConverge)?;
        self.check_exactly_once().breaks(Law::EveryChangeHasOneFate)?;
        self.check_heard().breaks(Law::ReplicasConverge)?;
        let record = &self.server.record;
        record.check_replay(self.stride).breaks(Law::TheLogReplays)?;
        record.check_cuts(&self.server.engine, self.stride as u64).breaks(Law::TheLogReplays)
    }

    /// Law 7: all replicas hold the server's value, and nothing is pending. It is the same to the last
    /// byte, but for what was composed on the way: there 1 and 1.0 are one number.
    fn check_converged(&self) -> Found {
        for topic in self.server.record.topics() {
            let (name, kind) = (topic.cell.name(), topic.cell.kind());
            let text =
                |value: &AnyValue| serde_json::to_string(&kind.encode_value(value)).expect("JSON");
            let value = topic.cell.snapshot().value;
            for (number, client) in self.clients.iter().enumerate() {
                let replica = client.replica.topic(name).ok_or("a topic is not subscribed")?;
                let what = |of| format!("the {of} of {name:?}, at {} and the server", who(number));
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
    fn check_exactly_once(&self) -> Found {
        let record = &self.server.record;
        record.check_exactly_once()?;
        for (number, client) in self.clients.iter().enumerate() {
            client.check_fates().map_err(|what| format!("{}: {what}", who(number)))?;
            let mut confirmed = BTreeSet::new();
            for id in &client.confirmed {
                let sent = record.submission(id);
                confirmed.insert(sent.ok_or_else(|| format!("{id} is confirmed, and never came"))?);
            }
            let accepted = client.ids.iter().flat_map(|id| record.accepted_of(*id)).collect();
            let unsung = BTreeSet::difference(&accepted, &confirmed).count();
            if unsung > client.unknown || !confirmed.is_subset(&accepted) {
                let what = format!("{}, what it knows to be accepted, and what was", who(number));
                same(&what, &confirmed, &accepted)?;
            }
        }
        Ok(())
    }

    /// All who subscribe to an event topic from first to last hear the same events in one order: the
    /// log's, each without their own, of which they know before.
    fn check_heard(&self) -> Found {
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
                        format_args!("what {} heard, and what was emitted", who(number)),
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

/// A client as scripts name it.
fn who(number: usize) -> std::string::String {
    format!("client {}", number + 1)
}

/// A value as plain JSON.
fn plain(kind: TypeRef, value: &AnyValue) -> std::string::String {
    serde_json::to_string(&kind.encode_value(value)).expect("plain values are JSON")
}

/// What a message says of topics, for a story.
fn told(message: &ServerMessage) -> Option<std::string::String> {
    let part = |part: &Part| {
        let change = serde_json::to_string(&part.change.fields).expect("fields are JSON");
        format!("version {} of {:?}: {change}", part.version, &*part.topic_name)
    };
    match message {
        ServerMessage::Update(update) if update.snapshot => {
            Some(format!("a snapshot, {}", part(&update.part)))
        }
        ServerMessage::Update(update) => Some(part(&update.part)),
        ServerMessage::Action(action) => {
            Some(action.changes.iter().map(part).collect::<Vec<_>>().join(" and "))
        }
        ServerMessage::RejectUpdate(reject) => {
            Some(format!("a rejection, {}: {}", reject.code.as_str(), reject.reason))
        }
        ServerMessage::Error(error) => Some(format!("an error: {}", error.reason)),
        _ => None,
    }
}
