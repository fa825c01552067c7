//! The least server that keeps the protocol: topics with whole logs, sessions, no journal.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::protocol::message::*;
use crate::protocol::{ErrorCode, RejectCode};
use crate::topic::*;
use crate::types::run::{MaybeChange, carry};
use crate::types::{AnyValue, Registry, TypeRef};
use crate::value::{Dict, Fields};

/// A connection's session.
pub type SessionNumber = u64;

#[derive(Default)]
pub struct Toy {
    pub topics: BTreeMap<TopicName, ToyTopic>,
    pub sessions: BTreeMap<SessionNumber, ToySession>,
    sessions_made: u64,
    commit: u64,
    /// Subscriptions are answered by snapshots alone.
    pub forgetful: bool,
    /// So many changes more are answered with `busy`.
    pub busy: usize,
}

#[derive(Clone)]
pub struct ToyTopic {
    pub kind: TypeRef,
    pub epoch: Epoch,
    pub value: AnyValue,
    pub log: Vec<Entry>,
}

#[derive(Clone)]
pub struct Entry {
    pub change: MaybeChange,
    pub id: ChangeId,
    author: ClientId,
    pub action_id: Option<ActionId>,
}

#[derive(Default)]
pub struct ToySession {
    subscribed: BTreeSet<TopicName>,
    pub out: VecDeque<ServerMessage>,
}

type Refusal = Box<(TopicChange, RejectCode, String)>;

impl ToyTopic {
    fn new(kind: TypeRef, epoch: u64) -> ToyTopic {
        let epoch = Epoch::new(format!("epoch{epoch}")).unwrap();
        ToyTopic { kind, epoch, value: kind.initial(), log: Vec::new() }
    }

    fn head(&self) -> Version {
        Version(self.log.len() as u64)
    }

    fn part(&self, topic_name: &TopicName, version: u64) -> Part {
        let entry = &self.log[version as usize - 1];
        let none = || Fields::of_type("none");
        let fields = entry.change.as_ref().map_or_else(none, |it| self.kind.encode_change(it));
        let change = PublishedChange { fields, id: Some(entry.id.clone()) };
        Part { topic_name: topic_name.clone(), version: Version(version), change }
    }

    fn snapshot(&self, topic_name: &TopicName) -> Part {
        let value = self.kind.encode_value(&self.value);
        let fields = Fields::of_type("set").with("value", value);
        let change = PublishedChange { fields, id: None };
        Part { topic_name: topic_name.clone(), version: self.head(), change }
    }

    /// The changes of one batch on this topic, carried to the head.
    fn carried(&self, changes: &[&TopicChange]) -> Result<Vec<MaybeChange>, (RejectCode, String)> {
        let invalid = |reason: String| (RejectCode::Invalid, reason);
        let stale = |reason: &str| (RejectCode::Stale, reason.to_owned());
        let base = changes[0].change.base;
        if changes.iter().any(|it| it.change.base != base) {
            return Err(invalid("bases differ".into()));
        }
        if changes.iter().any(|it| it.epoch.as_ref().is_some_and(|epoch| *epoch != self.epoch)) {
            return Err(stale("another epoch"));
        }
        let decode = |it: &&TopicChange| self.kind.decode_change(&it.change.fields).map(Some);
        let mut run = changes
            .iter()
            .map(decode)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| invalid(error.to_string()))?;
        let Some(base) = base else { return Ok(run) };
        if run.iter().flatten().any(|change| !self.kind.takes_base(change)) {
            return Err(invalid("goes without a base".into()));
        }
        let missed = self.log.get(base.0 as usize..).ok_or_else(|| stale("base past the head"))?;
        for entry in missed {
            carry(self.kind, &mut run, entry.change.clone())
                .map_err(|(_, conflict)| stale(&conflict.to_string()))?;
        }
        Ok(run)
    }
}

impl Toy {
    pub fn connect(&mut self) -> SessionNumber {
        self.sessions_made += 1;
        self.sessions.insert(self.sessions_made, ToySession::default());
        self.say(self.sessions_made, hello(self.sessions_made, false));
        self.sessions_made
    }

    fn say(&mut self, session: SessionNumber, message: ServerMessage) {
        if let Some(session) = self.sessions.get_mut(&session) {
            session.out.push_back(message);
        }
    }

    /// The connection is lost; its session stays.
    pub fn disconnect(&mut self, session: SessionNumber) {
        if let Some(session) = self.sessions.get_mut(&session) {
            *session = ToySession::default();
        }
    }

    /// Throws away what a session was to be told of its topics, and gives it snapshots instead.
    pub fn lag(&mut self, session: SessionNumber) {
        let Some(it) = self.sessions.get_mut(&session) else { return };
        let published =
            |it: &ServerMessage| matches!(it, ServerMessage::Update(_) | ServerMessage::Action(_));
        it.out.retain(|message| !published(message));
        for topic_name in it.subscribed.clone() {
            self.give_snapshot(session, &topic_name);
        }
    }

    /// Gives a session a topic's whole value, and after it its own changes, as their confirmations may
    /// have been thrown away.
    fn give_snapshot(&mut self, session: SessionNumber, topic_name: &TopicName) {
        let topic = &self.topics[topic_name];
        let snapshot = self.update(topic.snapshot(topic_name), None, true);
        let mut messages = vec![ServerMessage::Update(snapshot)];
        for (version, entry) in (1..).zip(&topic.log) {
            if entry.author == ClientId(session) {
                let part = topic.part(topic_name, version);
                messages.push(self.published(entry.author, entry.action_id.clone(), vec![part]));
            }
        }
        messages.into_iter().for_each(|it| self.say(session, it));
    }

    /// A topic loses all and begins a new life.
    pub fn new_life(&mut self, topic_name: &TopicName) {
        let epoch = self.sessions_made + self.commit + 1000;
        let topic = self.topics.get_mut(topic_name).unwrap();
        *topic = ToyTopic::new(topic.kind, epoch);
    }

    fn update(&self, part: Part, author: Option<ClientId>, snapshot: bool) -> Update {
        let commit = CommitNumber(self.commit);
        Update { part, commit, author, snapshot, since: None, ids: Vec::new() }
    }

    pub fn receive(&mut self, session: &mut SessionNumber, message: ClientMessage) {
        match message {
            ClientMessage::Resume { session: token } => self.resume(session, &token),
            ClientMessage::Subscribe(subscribe) => self.subscribe(*session, subscribe),
            ClientMessage::Unsubscribe { topic_name } => {
                self.sessions.get_mut(session).unwrap().subscribed.remove(&topic_name);
                self.say(*session, ServerMessage::Unsubscribed { topic_name });
            }
            ClientMessage::Update(change) => self.submit(*session, None, vec![change]),
            ClientMessage::Action { action_id, changes } => {
                self.submit(*session, Some(action_id), changes);
            }
            ClientMessage::RegisterService { service_name } => {
                self.say(*session, ServerMessage::Registered { service_name });
            }
            ClientMessage::Request { request_id, args, .. } => {
                self.say(*session, ServerMessage::Response { request_id, outcome: Ok(args) });
            }
            ClientMessage::UnregisterService { .. } | ClientMessage::Response { .. } => {}
        }
    }

    fn resume(&mut self, session: &mut SessionNumber, token: &str) {
        let old = token.trim_start_matches("token").parse().unwrap_or_default();
        if self.sessions.contains_key(&old) {
            self.sessions.remove(session);
            *session = old;
            self.say(old, hello(old, true));
        } else {
            let error = ErrorMessage::new(ErrorCode::SessionUnknown, "resume", "it is gone");
            self.say(*session, ServerMessage::Error(error));
        }
    }

    fn subscribe(&mut self, session: SessionNumber, subscribe: Subscribe) {
        let Subscribe { topic_name, topic_type, since, .. } = subscribe;
        let kind = Registry::default().get(&topic_type.unwrap()).unwrap();
        let epoch = self.topics.len() as u64;
        let topic =
            self.topics.entry(topic_name.clone()).or_insert_with(|| ToyTopic::new(kind, epoch));
        let continues = since
            .filter(|since| since.epoch == topic.epoch && !self.forgetful)
            .map(|it| it.version);
        let topic = topic.clone();
        self.sessions.get_mut(&session).unwrap().subscribed.insert(topic_name.clone());
        self.say(
            session,
            ServerMessage::Subscribed(Subscribed {
                topic_name: topic_name.clone(),
                topic_type: topic.kind.name().into(),
                options: Dict::new(),
                epoch: topic.epoch.clone(),
                version: topic.head(),
                since: continues,
            }),
        );
        match continues {
            Some(since) => {
                for version in since.0 + 1..=topic.head().0 {
                    let author = topic.log[version as usize - 1].author;
                    let update = self.update(topic.part(&topic_name, version), Some(author), false);
                    self.say(session, ServerMessage::Update(update));
                }
            }
            None if topic.kind.stateful() => self.give_snapshot(session, &topic_name),
            None => {}
        }
    }

    fn submit(
        &mut self,
        session: SessionNumber,
        action_id: Option<ActionId>,
        changes: Vec<TopicChange>,
    ) {
        if self.confirm_again(session, action_id.as_ref(), &changes) {
            return;
        }
        let refused = match self.busy.checked_sub(1) {
            Some(left) => {
                self.busy = left;
                Err(Box::new((changes[0].clone(), RejectCode::Busy, "later".to_owned())))
            }
            None => self.accept(session, action_id.as_ref(), &changes),
        };
        match refused {
            Ok(parts) => self.publish(session, action_id, &parts),
            Err(refusal) => {
                let (TopicChange { topic_name, change, .. }, code, reason) = *refusal;
                let (topic_name, reason) = (topic_name.into(), reason.into());
                let (version, action_id) = (None, action_id.map(Into::into));
                let reject = RejectUpdate { topic_name, code, reason, version, action_id, change };
                self.say(session, ServerMessage::RejectUpdate(reject));
            }
        }
    }

    fn accept(
        &mut self,
        session: SessionNumber,
        action_id: Option<&ActionId>,
        changes: &[TopicChange],
    ) -> Result<Vec<Part>, Refusal> {
        let known = |it: &&TopicChange| {
            let log = &self.topics[&it.topic_name].log;
            log.iter().any(|entry| Some(&entry.id) == it.change.id.as_ref())
        };
        if let Some(known) = changes.iter().find(known) {
            return Err(Box::new((known.clone(), RejectCode::Invalid, "known in part".to_owned())));
        }
        let mut topics = self.topics.clone();
        let mut runs: BTreeMap<TopicName, VecDeque<MaybeChange>> = BTreeMap::new();
        for change in changes {
            let name = &change.topic_name;
            if runs.contains_key(name) {
                continue;
            }
            let of_topic: Vec<&TopicChange> =
                changes.iter().filter(|it| it.topic_name == *name).collect();
            let run = topics[name].carried(&of_topic);
            let run = run.map_err(|(code, reason)| Box::new((change.clone(), code, reason)))?;
            runs.insert(name.clone(), run.into());
        }
        let mut parts = Vec::new();
        for sent in changes {
            let topic = topics.get_mut(&sent.topic_name).unwrap();
            let run = runs.get_mut(&sent.topic_name).unwrap();
            let code =
                if sent.change.base.is_some() { RejectCode::Stale } else { RejectCode::Invalid };
            let refused =
                |error: crate::value::Invalid| Box::new((sent.clone(), code, error.to_string()));
            let mut change = run.pop_front().unwrap();
            if let Some(it) = &mut change {
                *it = topic.kind.resolve(it.clone(), &topic.value).map_err(refused)?;
                topic.kind.apply(&mut topic.value, it).map_err(refused)?;
            }
            let (id, author) = (sent.change.id.clone().unwrap(), ClientId(session));
            topic.log.push(Entry { change, id, author, action_id: action_id.cloned() });
            parts.push(topic.part(&sent.topic_name, topic.head().0));
        }
        self.topics = topics;
        Ok(parts)
    }

    fn publish(&mut self, session: SessionNumber, action_id: Option<ActionId>, parts: &[Part]) {
        self.commit += 1;
        let mut messages = Vec::new();
        for (number, it) in &self.sessions {
            let wanted =
                |part: &&Part| *number == session || it.subscribed.contains(&part.topic_name);
            let parts: Vec<Part> = parts.iter().filter(wanted).cloned().collect();
            if !parts.is_empty() {
                let author = ClientId(session);
                messages.push((*number, self.published(author, action_id.clone(), parts)));
            }
        }
        messages.into_iter().for_each(|(number, message)| self.say(number, message));
    }

    fn published(
        &self,
        author: ClientId,
        action_id: Option<ActionId>,
        mut changes: Vec<Part>,
    ) -> ServerMessage {
        let (author, commit) = (Some(author), CommitNumber(self.commit));
        match action_id {
            None => ServerMessage::Update(self.update(changes.remove(0), author, false)),
            Some(action_id) => {
                let (undoes, redoes) = (None, None);
                ServerMessage::Action(Action { action_id, commit, author, undoes, redoes, changes })
            }
        }
    }

    /// Answers a resend with what was published first, if it was accepted.
    fn confirm_again(
        &mut self,
        session: SessionNumber,
        action_id: Option<&ActionId>,
        changes: &[TopicChange],
    ) -> bool {
        let known = |change: &TopicChange| {
            let topic = &self.topics[&change.topic_name];
            let id = change.change.id.as_ref().unwrap();
            let index = topic.log.iter().position(|entry| entry.id == *id)?;
            assert_eq!(topic.log[index].action_id.as_ref(), action_id);
            Some(topic.part(&change.topic_name, index as u64 + 1))
        };
        let parts: Vec<Part> = changes.iter().filter_map(known).collect();
        // Those of which a part is known and a part is not are refused below.
        if parts.len() < changes.len() {
            return false;
        }
        let message = self.published(ClientId(session), action_id.cloned(), parts);
        self.say(session, message);
        true
    }
}

fn hello(session: SessionNumber, resumed: bool) -> ServerMessage {
    ServerMessage::Hello(Hello {
        id: ClientId(session),
        session: format!("token{session}").into(),
        resumed,
        protocol: 1,
        server: "toy".into(),
        limits: Dict::new(),
    })
}
