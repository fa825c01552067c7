//! A whole system without sockets: the real server but for its sockets, real replicas, and a network between them.
//!
//! ```text
//!   client 0 ── up ───►┐                                  ┌── Record: every log and value, whole
//!             ◄─ down ─┤ session::Connection ─ Hub ─ Engine ┤
//!   client 1 ── up ───►┤   (several a client)               └── clocks, epochs, tokens and threads of the world's own
//!             ◄─ down ─┘
//! ```
//!
//! Each client has a link of its own, along which frames wait until a [`Step`] moves them: late, and
//! in any order between clients, never within one. A lost connection takes with it what is on the way
//! both ways; one that is lost unnoticed stays at the server, with all that it has read and not written. Nothing
//! here reads a clock or chance: the steps are all there is, so every run repeats exactly.
//!
//! | module | holds |
//! |---|---|
//! | here | [`World`]: what each step does |
//! | `check` | the laws, once all is quiet and once everybody is gone |
//! | [`server`] | a hub over an engine, and all that it takes from outside |
//! | [`link`] | one simulated socket |
//! | [`ledger`] | what one connection owes its client |
//! | [`client`] | a replica, and a program that believes what it is told |
//! | [`record`] | what the server did, noted as it happened |
//! | [`past`] | questions about the past, and their answers |
//! | `plan` | what may come next, by choice |

mod check;
pub mod client;
pub mod ledger;
pub mod link;
pub mod past;
mod plan;
pub mod record;
pub mod server;
pub mod setup;
pub mod step;

use std::sync::{Arc, Weak};

use ecow::EcoString;

use super::broken::{Breaks, Checked, Found, same};
use super::law::Law;
use super::quiet;
use crate::client::LocalChange;
use crate::journal::Fault;
use crate::protocol::ServerMessage;
use crate::protocol::decode::decode_text;
use crate::protocol::message::{ClientMessage, Part, Subscribe};
use crate::session::Session;
use crate::topic::TopicName;
use crate::types::{AnyValue, TypeRef};
use crate::value::Value;
use client::Client;
use link::{Handled, Link, Wire};
use past::{Answered, Question};
use record::changes_of;
use server::Server;

pub use setup::{Kind, Setup, Topic, kind, kinds};
pub use step::{ClientStep, PlannedChange, Step};

/// A server, its clients and the network between them, moved on step by step.
pub struct World {
    /// The server, with what it did.
    pub server: Server,
    /// The clients, in the order of their numbers.
    pub clients: Vec<Client>,
    setup: Setup,
    topic_names: Vec<TopicName>,
    /// Whether a look is taken at every message that arrives, or at every 16th.
    pub thorough: bool,
    looks: u64,
    /// What happened so far, if that is asked for.
    pub story: Option<Vec<std::string::String>>,
    /// How many changes clients made.
    pub made: u64,
    /// Some subscription was interrupted: its client may have missed events.
    is_interrupted: bool,
    /// The server turned something away, or a crash took it, that may come again, behind what was made after it.
    may_overtake: bool,
    /// How long nothing was made sure to arrive, in milliseconds.
    silent_ms: u64,
    /// Every session that there ever was: in the end nobody holds any.
    sessions: Vec<Weak<Session>>,
    /// Questions about the past that were answered.
    answered: Vec<Answered>,
    /// Answers are left for who asked.
    keeps_answers: bool,
}

/// How many answers about the past are remembered.
const ANSWERS_MAX: usize = 32;

impl World {
    /// A world in which every client has subscribed to every topic, and all is quiet.
    ///
    /// # Errors
    /// A law that does not even hold so far.
    pub fn new(setup: &Setup) -> Checked<World> {
        let clients = (0..setup.clients).map(|number| Client::new(Wire::of_client(number)));
        let mut world = World {
            server: Server::new(setup),
            clients: clients.collect(),
            topic_names: setup.all_topics().map(|topic| topic.name.clone()).collect(),
            setup: setup.clone(),
            thorough: true,
            looks: 0,
            story: None,
            made: 0,
            is_interrupted: false,
            may_overtake: false,
            silent_ms: 0,
            sessions: Vec::new(),
            answered: Vec::new(),
            keeps_answers: false,
        };
        world.server.look()?;
        for client in &mut world.clients {
            for topic in &setup.topics {
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

    /// The names of all topics that there may be.
    pub fn topic_names(&self) -> &[TopicName] {
        &self.topic_names
    }

    fn topic(&self, name: &TopicName) -> Option<&Topic> {
        self.setup.all_topics().find(|topic| topic.name == *name)
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
        self.may_overtake |= matches!(
            step,
            Step::Busy | Step::Refuse | Step::Panic | Step::Fail(_) | Step::Crash | Step::Stop
        );
        match step {
            Step::Client(client, step) => match client.checked_sub(1) {
                Some(number) if number < self.clients.len() => {
                    self.play_client(number, step)?;
                }
                _ => {}
            },
            Step::Publish => self.publish()?,
            Step::Commit => self.commit(None)?,
            Step::Fail(fault) => self.commit(Some(*fault))?,
            Step::Crash => self.crash()?,
            Step::Stop => self.stop()?,
            Step::Default(durability) => {
                self.is_interrupted = true;
                self.server.set_default(*durability);
            }
            Step::Tick => {
                self.publish()?;
                self.server.tick();
            }
            Step::Refuse => self.server.refuse(),
            Step::Panic => self.server.panic(),
            Step::Busy => self.server.busy += 1,
            Step::Work => drop(self.work()?),
            Step::Evict => {
                self.server.evict();
                self.look()?;
            }
            Step::Pass(ms) => self.pass(*ms)?,
            Step::Idle(ms) => self.idle(*ms)?,
            Step::Jump(ms) => self.server.outside.jump(*ms),
            Step::Cut => {
                // A cut is given once every lower commit is settled.
                self.commit(None)?;
                let Server { hub, record, .. } = &mut self.server;
                record.cut(hub.engine());
            }
        }
        Ok(())
    }

    fn play_client(&mut self, number: usize, step: &ClientStep) -> Checked {
        let client = &mut self.clients[number];
        match step {
            ClientStep::Change(planned) => self.change(number, planned)?,
            ClientStep::Undo => drop(client.replica.undo()),
            ClientStep::Redo => drop(client.replica.redo()),
            ClientStep::Send => self.send(number)?,
            ClientStep::Read => drop(self.read(number)?),
            ClientStep::Take => drop(self.serve(number)?),
            ClientStep::TakeTwice => self.serve_twice(number)?,
            ClientStep::Write => {
                if let Some(link) = &mut client.link {
                    link.write(&mut self.server.record)?;
                }
            }
            ClientStep::Receive(count) => {
                for _ in 0..*count {
                    self.deliver(number, false)?;
                }
            }
            ClientStep::ReceiveTwice => drop(self.deliver(number, true)?),
            ClientStep::Disconnect => self.lose(number, End::Noticed)?,
            ClientStep::Vanish => self.lose(number, End::Unnoticed)?,
            ClientStep::Goodbye => self.lose(number, End::Goodbye)?,
            ClientStep::Connect => self.connect(number)?,
            ClientStep::OldTake => self.serve_older(number)?,
            ClientStep::OldWrite => {
                if let Some(link) = client.older.front_mut() {
                    // It is written into the void.
                    link.write(&mut self.server.record)?;
                }
            }
            ClientStep::OldClose => {
                if let Some(link) = client.older.pop_front() {
                    self.close(link, false)?;
                }
            }
            ClientStep::Forget => {
                if let Some(id) = client.ids.last().copied() {
                    self.server.forget(id);
                    self.look()?;
                }
            }
            ClientStep::Leave(topic) => self.leave(number, topic)?,
            ClientStep::Join(topic) => self.join(number, topic)?,
            ClientStep::Retry => {
                client.replica.resend_busy();
                self.send(number)?;
            }
            ClientStep::Show(topic, entry) => {
                client.replica.set_presence(topic, Some(entry.clone()));
                client.hear()?;
            }
            ClientStep::Hide(topic) => {
                client.replica.set_presence(topic, None);
                client.hear()?;
            }
            ClientStep::Ask(service, args) => self.ask(number, service.clone(), args.clone()),
            ClientStep::AskAgain(index) => {
                if let Some(answered) = self.answered.get(*index) {
                    let Question { service, args, .. } = answered.question.clone();
                    self.ask(number, service, args);
                }
            }
            ClientStep::Offer(service) => client.replica.register_service(service.clone()),
            ClientStep::Withdraw(service) => client.replica.unregister_service(service),
            ClientStep::Answer => {
                if let Some((request, args)) = client.requests.pop_front() {
                    client.replica.respond(request, Ok(args));
                }
            }
            ClientStep::Say(message) => self.say(number, message)?,
        }
        Ok(())
    }

    /// Notes what the server did.
    fn look(&mut self) -> Checked {
        self.server.look().breaks(Law::TheLogReplays)
    }

    /// As [`look`](Self::look), where no topic was made or removed.
    fn note(&mut self) -> Checked {
        self.server.record.update().breaks(Law::TheLogReplays)
    }

    fn publish(&mut self) -> Checked {
        for client in &mut self.clients {
            client.link.iter_mut().chain(&mut client.older).for_each(|it| it.connection.publish());
        }
        self.note()
    }

    /// The journal takes what waits for it, or fails.
    fn commit(&mut self, fault: Option<Fault>) -> Checked {
        self.server.commit(fault);
        self.look()
    }

    fn work(&mut self) -> Checked<bool> {
        let any = self.server.work();
        if any {
            self.look()?;
        }
        Ok(any)
    }

    fn pass(&mut self, ms: u64) -> Checked {
        for number in 0..self.clients.len() {
            self.close_older(number)?;
        }
        self.drain()?;
        self.silent_ms = 0;
        self.server.pass_time(ms);
        self.look()
    }

    fn idle(&mut self, ms: u64) -> Checked {
        if self.silent_ms + ms <= self.setup.unnoticed_ms {
            self.silent_ms += ms;
            self.server.pass_time(ms);
            self.look()?;
        }
        Ok(())
    }

    fn change(&mut self, number: usize, planned: &[PlannedChange]) -> Checked {
        let client = &mut self.clients[number];
        let changes = planned.iter().map(|planned| {
            let change = LocalChange::new(planned.topic.clone(), planned.change.clone());
            if planned.overwriting { change.overwriting() } else { change }
        });
        // In a shortened script it may fit no longer.
        let Ok(ticket) = client.replica.local(changes.collect()) else {
            self.tell(|| "which does not fit what it sees: nothing happens".into());
            return Ok(());
        };
        client.made(ticket)?;
        self.made += planned.len() as u64;
        if self.story.is_some() {
            let mut topics: Vec<&TopicName> = planned.iter().map(|it| &it.topic).collect();
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
        if let Some(link) = &mut client.link {
            link.send(messages);
        }
        Ok(())
    }

    fn ask(&mut self, number: usize, service: EcoString, args: Value) {
        let client = &mut self.clients[number];
        let question = Question::new(service.clone(), args.clone(), &self.server.record);
        // Half as long as the server would wait.
        let call = client.replica.request(service, args, Some(server::REQUEST_TIMEOUT_MS / 2));
        client.questions.insert(call, question);
    }

    /// A client sends a message that its replica knows nothing of.
    fn say(&mut self, number: usize, message: &Value) -> Checked {
        let client = &mut self.clients[number];
        let (Some(link), Some(id)) = (&mut client.link, client.replica.client_id()) else {
            return Ok(());
        };
        if !client.replica.is_online() {
            return Ok(());
        }
        let text = serde_json::to_string(message).expect("a plain value is JSON");
        let text = text.replace("$me", &id.to_string());
        let Ok(frame) = decode_text(&text) else { return Ok(()) };
        for message in frame {
            // What a server cannot read either is none of the world's business; and a subscription of
            // the replica's own is not to be taken from it.
            match message.client() {
                Ok(
                    ClientMessage::Unsubscribe { topic_name }
                    | ClientMessage::Subscribe(Subscribe { topic_name, .. }),
                ) if client.replica.topic(&topic_name).is_some() => {}
                Ok(ClientMessage::Resume { .. }) | Err(_) => {}
                Ok(message) => {
                    client.has_said = true;
                    self.made += changes_of(&message).len() as u64;
                    link.send(vec![message]);
                }
            }
        }
        Ok(())
    }

    /// The server reads the next frame of a client; `false` if there is none.
    fn read(&mut self, number: usize) -> Checked<bool> {
        let Server { record, busy, .. } = &mut self.server;
        match &mut self.clients[number].link {
            Some(link) => link.read(record, busy),
            None => Ok(false),
        }
    }

    /// The server handles one message of a client; `false` if there is none.
    fn serve(&mut self, number: usize) -> Checked<bool> {
        Ok(self.serve_one(number)?.is_some())
    }

    fn serve_one(&mut self, number: usize) -> Checked<Option<Handled>> {
        let has_read = self.clients[number].link.as_ref().is_some_and(Link::has_read);
        if !has_read && !self.read(number)? {
            return Ok(None);
        }
        let Some(link) = self.clients[number].link.take() else { return Ok(None) };
        let (link, handled) = self.handle(number, link)?;
        match link {
            Some(link) => self.clients[number].link = Some(link),
            None => self.disconnected(number)?,
        }
        // A frame that was turned away has nothing to handle.
        Ok(handled)
    }

    /// Has the server handle a message of a link. The link is lost if it panics.
    fn handle(
        &mut self,
        number: usize,
        mut link: Link,
    ) -> Checked<(Option<Link>, Option<Handled>)> {
        let Server { hub, .. } = &self.server;
        let now = self.server.now();
        let handled = if self.server.may_panic() {
            match quiet::caught(|| link.handle(hub, now)) {
                Ok(handled) => handled,
                Err(panic) if quiet::text(&*panic) == server::VALIDATOR_PANIC => {
                    drop(link);
                    self.look()?;
                    return Ok((None, None));
                }
                Err(panic) => std::panic::resume_unwind(panic),
            }
        } else {
            link.handle(hub, now)
        };
        let Some(message) = &handled.message else { return Ok((Some(link), None)) };
        if let ClientMessage::Resume { .. } = message {
            self.sessions.push(Arc::downgrade(link.connection.session()));
        }
        match message {
            ClientMessage::Subscribe(_) | ClientMessage::Request { .. } => self.look()?,
            _ => self.note()?,
        }
        if let Some(line) = self.story.as_ref().and_then(|_| outcome(&handled)) {
            self.tell(|| format!("the server {line}, for {}", who(number)));
        }
        Ok((Some(link), Some(handled)))
    }

    fn serve_twice(&mut self, number: usize) -> Checked {
        let doubled = self.clients[number].link.as_mut().is_some_and(Link::double_next);
        let handled = self.serve_one(number)?;
        if !doubled {
            return Ok(());
        }
        if handled.is_some_and(|handled| handled.accepted > 0) {
            self.server.record.counts.resent += 1;
            self.serve_one(number)?;
        } else if let Some(link) = &mut self.clients[number].link {
            link.drop_next();
        }
        Ok(())
    }

    /// The server handles a message that came on a connection whose client is long elsewhere.
    fn serve_older(&mut self, number: usize) -> Checked {
        let Some(mut link) = self.clients[number].older.pop_front() else { return Ok(()) };
        if !link.has_read() {
            let Server { record, busy, .. } = &mut self.server;
            link.read(record, busy)?;
        }
        let (link, _) = self.handle(number, link)?;
        if let Some(link) = link {
            self.clients[number].older.push_front(link);
        }
        Ok(())
    }

    /// A client gets one message, `twice` if it is a published change; `false` if there is none.
    fn deliver(&mut self, number: usize, twice: bool) -> Checked<bool> {
        let Some(link) = &mut self.clients[number].link else { return Ok(false) };
        let Some(message) = link.receive(&mut self.server.record)? else { return Ok(false) };
        if let Some(line) = self.story.as_ref().and_then(|_| told(&message)) {
            self.tell(|| format!("{} gets {line}", who(number)));
        }
        self.looks += 1;
        let look = self.thorough || self.looks.is_multiple_of(16);
        let topics = if look { topics_of(&message) } else { Vec::new() };
        let client = &mut self.clients[number];
        let is_published = matches!(message, ServerMessage::Update(_) | ServerMessage::Action(_));
        let again = (twice && is_published).then(|| message.clone());
        for message in std::iter::once(message).chain(again) {
            client.replica.receive(message);
            client.hear()?;
        }
        let confirmed = topics.iter().try_for_each(|name| self.check_confirmed(number, name));
        confirmed.breaks(Law::ReplicasConverge)?;
        self.take_answers(number)?;
        Ok(true)
    }

    /// The program looks at what its services answered.
    fn take_answers(&mut self, number: usize) -> Checked {
        if self.keeps_answers {
            return Ok(());
        }
        for (call, outcome) in std::mem::take(&mut self.clients[number].answers) {
            let Some(question) = self.clients[number].questions.remove(&call) else { continue };
            let known = self.answered.iter().find(|known| {
                known.question.service == question.service && known.question.args == question.args
            });
            if let (Some(known), Ok(_)) = (known, &outcome) {
                known.check(&outcome, &self.server.record).breaks(Law::ThePastIsFinal)?;
            }
            let is_new = known.is_none();
            let answered = question.answered(outcome, &self.server.record);
            let answered = answered.breaks(Law::ThePastIsFinal)?;
            if is_new && self.answered.len() < ANSWERS_MAX {
                self.answered.extend(answered);
            }
        }
        Ok(())
    }

    /// Law 7, on the way: a replica at some version holds what the server held there.
    fn check_confirmed(&self, number: usize, name: &TopicName) -> Found {
        let Some(replica) = self.clients[number].replica.topic(name) else { return Ok(()) };
        let Some(epoch) = replica.epoch().filter(|_| replica.is_ready()) else { return Ok(()) };
        let version = replica.version();
        let life = self.server.record.life(name, epoch);
        let life = life.ok_or_else(|| format!("{name:?} never had the epoch {epoch}"))?;
        if life.head() < version {
            return Err(format!("{} has {name:?} at {version}, past the head", who(number)));
        }
        let Some(value) = life.value(version) else { return Ok(()) };
        let what = format_args!("{name:?} at {version}, at {} and the server", who(number));
        same(what, replica.confirmed(), value)
    }

    fn connect(&mut self, number: usize) -> Checked {
        let client = &mut self.clients[number];
        if client.link.is_none() {
            client.link = Link::open(&self.server.hub, client.wire, self.server.now());
            let session = client.link.as_ref().map(|link| link.connection.session());
            self.sessions.extend(session.map(Arc::downgrade));
        }
        Ok(())
    }

    fn lose(&mut self, number: usize, end: End) -> Checked {
        let Some(mut link) = self.clients[number].link.take() else { return Ok(()) };
        match end {
            End::Noticed => self.close(link, false)?,
            End::Unnoticed => self.clients[number].older.push_back(link),
            End::Goodbye => {
                let Server { record, busy, .. } = &mut self.server;
                while link.read(record, busy)? {}
                self.close(link, true)?;
            }
        }
        self.disconnected(number)
    }

    fn disconnected(&mut self, number: usize) -> Checked {
        let client = &mut self.clients[number];
        client.requests.clear();
        client.replica.disconnected();
        client.hear()
    }

    /// The server learns that a connection is over. Law 10: what it has read is decided all the same.
    fn close(&mut self, link: Link, goodbye: bool) -> Checked {
        let (hub, now) = (self.server.hub.clone(), self.server.now());
        let decided = || {
            let rejected = hub.counters().rejects().map(|(_, count)| count).sum::<u64>();
            hub.counters().changes.get() + rejected
        };
        let before = decided();
        let closed = quiet::caught(|| link.close(now, goodbye));
        let unhandled = match closed {
            Ok(unhandled) => unhandled,
            Err(panic) if quiet::text(&*panic) == server::VALIDATOR_PANIC => Vec::new(),
            Err(panic) => std::panic::resume_unwind(panic),
        };
        let submissions = unhandled.iter().filter(|it| !changes_of(it).is_empty()).count() as u64;
        self.look()?;
        if decided() < before + submissions {
            let what = format!("of {submissions} submissions that were read, not all are decided");
            return Err(what).breaks(Law::EverythingIsAnsweredOnce);
        }
        Ok(())
    }

    fn close_older(&mut self, number: usize) -> Checked {
        while let Some(link) = self.clients[number].older.pop_front() {
            self.close(link, false)?;
        }
        Ok(())
    }

    fn crash(&mut self) -> Checked {
        self.is_interrupted = true;
        for number in 0..self.clients.len() {
            // Dropped, they act on an engine that is gone.
            self.clients[number].older.clear();
            if self.clients[number].link.take().is_some() {
                self.disconnected(number)?;
            }
        }
        self.server.restart();
        // What waited for the journal may hold them for ever, in a process that is gone.
        self.sessions.clear();
        self.look()
    }

    /// Every connection is told, and what waits for it is written, before the server is gone.
    fn stop(&mut self) -> Checked {
        self.is_interrupted = true;
        self.commit(None)?;
        self.server.hub.go_down();
        for number in 0..self.clients.len() {
            self.close_older(number)?;
            while self.deliver(number, false)? {}
            self.lose(number, End::Noticed)?;
        }
        self.server.stop();
        self.look()?;
        self.server.restart();
        self.look()
    }

    fn leave(&mut self, number: usize, topic: &TopicName) -> Checked {
        self.is_interrupted = true;
        let client = &mut self.clients[number];
        client.replica.unsubscribe(topic);
        client.hear()
    }

    fn join(&mut self, number: usize, name: &TopicName) -> Checked {
        if let Some(topic) = self.setup.all_topics().find(|topic| topic.name == *name) {
            let client = &mut self.clients[number];
            client.replica.subscribe(name, topic.kind.of, topic.options.clone());
            client.hear()?;
        }
        Ok(())
    }

    /// The server closes connections that are their sessions' no more.
    fn close_superseded(&mut self) -> Checked<bool> {
        let mut any = false;
        for number in 0..self.clients.len() {
            let link = self.clients[number].link.as_ref();
            if link.is_some_and(|link| !link.is_present()) {
                self.lose(number, End::Noticed)?;
                any = true;
            }
        }
        Ok(any)
    }

    /// Lets what is under way on connections that are there arrive.
    fn drain(&mut self) -> Checked<bool> {
        let mut any = self.close_superseded()?;
        for number in 0..self.clients.len() {
            while self.has_unhandled(number) {
                any = true;
                if !self.serve(number)? && self.has_unhandled(number) {
                    // No room for the answer, until some are written.
                    break;
                }
            }
        }
        self.publish()?;
        self.commit(None)?;
        while self.work()? {
            any = true;
            self.commit(None)?;
        }
        self.server.tick();
        self.note()?;
        for number in 0..self.clients.len() {
            while self.deliver(number, false)? {
                any = true;
            }
        }
        Ok(any)
    }

    fn has_unhandled(&self, number: usize) -> bool {
        self.clients[number].link.as_ref().is_some_and(Link::has_unhandled)
    }

    /// Lets everything that is under way arrive, over connections that hold.
    pub fn settle(&mut self) -> Checked {
        for number in 0..self.clients.len() {
            self.close_older(number)?;
            self.connect(number)?;
        }
        self.server.be_at_ease();
        self.silent_ms = 0;
        for _ in 0..1000 {
            for number in 0..self.clients.len() {
                let client = &mut self.clients[number];
                client.replica.resend_busy();
                for (request, args) in client.requests.drain(..) {
                    client.replica.respond(request, Ok(args));
                }
                self.connect(number)?;
                self.send(number)?;
            }
            if self.drain()? {
                continue;
            }
            let mut links = self.clients.iter().filter_map(|client| client.link.as_ref());
            if !links.any(|link| link.ledger.waits_for_answers()) {
                return Ok(());
            }
            // Somebody may wait for a service that does not answer.
            self.server.pass_time(server::REQUEST_TIMEOUT_MS);
        }
        Err("the network never becomes quiet".into())
    }
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Noticed,
    Unnoticed,
    Goodbye,
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

/// What the server did with a submission, for a story.
fn outcome(handled: &Handled) -> Option<std::string::String> {
    match handled.message.as_ref()? {
        message if changes_of(message).is_empty() => None,
        _ if !handled.acted => Some("passes over what an older connection sent".into()),
        _ if handled.rejected > 0 => Some("rejects it".into()),
        _ => Some("accepts it".into()),
    }
}
