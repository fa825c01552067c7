//! What one connection owes its client: the witness of law 10, and of the order of what is written.
//!
//! Whatever the server handles on a connection that is its session's is noted here, and whatever is written on it
//! is struck out. Once all is quiet nothing is left.

use std::collections::HashMap;

use ecow::EcoString;

use super::record::{Record, changes_of, is_servers};
use crate::protocol::message::{Action, ClientMessage, ErrorMessage, Part, RejectUpdate, Update};
use crate::protocol::{ErrorCode, RejectCode, ServerMessage};
use crate::testkit::broken::{Breaks, Checked, Found, same};
use crate::testkit::law::Law;
use crate::topic::{ChangeId, ClientId, Epoch, TopicName, Version};
use crate::value::Fields;

/// What one connection owes its client.
#[derive(Debug, Default)]
pub struct Ledger {
    /// The client's id, as the newest hello says.
    client: ClientId,
    /// Changes that are to be confirmed or rejected, and how often each was sent.
    changes: HashMap<ChangeId, Owed>,
    /// How many changes without an id are to be confirmed or rejected.
    unnamed: i64,
    /// Anything else that is to be answered, and how often.
    others: HashMap<(Kind, EcoString), i64>,
    /// What the client subscribes to, by what was written.
    streams: HashMap<TopicName, Stream>,
    /// How often each subscription began: a change of the client's own may come again with each.
    begun: HashMap<TopicName, usize>,
}

#[derive(Debug, Default)]
struct Owed {
    sent: usize,
    answered: usize,
}

/// What an answer is to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Subscribe,
    Unsubscribe,
    Register,
    Unregister,
    Request,
    Resume,
}

/// A subscription, as far as it is written.
#[derive(Debug)]
pub struct Stream {
    /// The life of the topic.
    pub epoch: Epoch,
    /// The version that the client has; `None` until the snapshot comes.
    pub version: Option<Version>,
}

impl Ledger {
    /// Notes a message that the server handled on this connection.
    pub fn handled(&mut self, message: &ClientMessage) {
        for change in changes_of(message) {
            match change.change.id.as_ref().filter(|id| !is_servers(id)) {
                Some(id) => self.changes.entry(id.clone()).or_default().sent += 1,
                None => self.unnamed += 1,
            }
        }
        let (kind, name) = match message {
            ClientMessage::Subscribe(it) => (Kind::Subscribe, it.topic_name.clone().into()),
            ClientMessage::Unsubscribe { topic_name } => {
                (Kind::Unsubscribe, topic_name.clone().into())
            }
            ClientMessage::RegisterService { service_name } => {
                (Kind::Register, service_name.clone())
            }
            ClientMessage::UnregisterService { service_name } => {
                (Kind::Unregister, service_name.clone())
            }
            ClientMessage::Request { request_id, .. } => (Kind::Request, request_id.clone()),
            ClientMessage::Resume { .. } => (Kind::Resume, EcoString::new()),
            _ => return,
        };
        *self.others.entry((kind, name)).or_default() += 1;
    }

    /// Takes a message that is written to the client.
    ///
    /// # Errors
    /// It answers what nobody asked, a second time what was answered, or is not what comes next.
    pub fn written(&mut self, message: &ServerMessage, record: &Record) -> Checked {
        match message {
            ServerMessage::Hello(hello) => {
                self.client = hello.id;
                if hello.resumed {
                    self.answered(Kind::Resume, "")?;
                }
                Ok(())
            }
            ServerMessage::Subscribed(subscribed) => {
                let name = &subscribed.topic_name;
                self.answered(Kind::Subscribe, name)?;
                *self.begun.entry(name.clone()).or_default() += 1;
                let (epoch, version) = (subscribed.epoch.clone(), subscribed.since);
                // What has no value sends none.
                let stateful = record.life(name, &epoch).is_none_or(|life| life.kind.stateful());
                let version = if stateful { version } else { version.or(Some(subscribed.version)) };
                self.streams.insert(name.clone(), Stream { epoch, version });
                Ok(())
            }
            ServerMessage::Unsubscribed { topic_name } => {
                self.streams.remove(topic_name);
                self.answered(Kind::Unsubscribe, topic_name)
            }
            ServerMessage::Registered { service_name } => {
                self.answered(Kind::Register, service_name)
            }
            ServerMessage::Unregistered { service_name } => {
                self.answered(Kind::Unregister, service_name)
            }
            ServerMessage::Response { request_id, .. } => {
                // What was asked on an older connection of the session may be answered here.
                let owed = self.others.get_mut(&(Kind::Request, request_id.clone()));
                owed.into_iter().for_each(|owed| *owed -= 1);
                Ok(())
            }
            ServerMessage::Request { .. } => Ok(()),
            ServerMessage::Update(update) => self.update(update, record),
            ServerMessage::Action(action) => self.action(action, record),
            ServerMessage::RejectUpdate(reject) => self.rejected(reject, record),
            ServerMessage::Error(error) => self.error(error),
        }
    }

    fn answered(&mut self, kind: Kind, name: &str) -> Checked {
        match self.others.get_mut(&(kind, name.into())) {
            Some(owed) if *owed > 0 => *owed -= 1,
            _ => {
                let what = format!("{kind:?} of {name:?} is answered more often than it came");
                return Err(what).breaks(Law::EverythingIsAnsweredOnce);
            }
        }
        Ok(())
    }

    fn error(&mut self, error: &ErrorMessage) -> Checked {
        let topic = error.topic_name.as_deref().unwrap_or_default();
        let service = error.service_name.as_deref().unwrap_or_default();
        match error.to.as_deref().unwrap_or_default() {
            "subscribe" => self.answered(Kind::Subscribe, topic)?,
            // Told unasked if another client took it over.
            "register_service" => drop(self.answered(Kind::Register, service)),
            "resume" => self.answered(Kind::Resume, "")?,
            _ => {}
        }
        // One that came too late says nothing of the subscription before it.
        if error.code == ErrorCode::TopicRemoved
            && error.to.is_none()
            && let Ok(name) = TopicName::new(topic)
        {
            self.streams.remove(&name);
        }
        Ok(())
    }

    fn rejected(&mut self, reject: &RejectUpdate, record: &Record) -> Checked {
        // What could not be made durable bears the name that the server gave it.
        let Some(id) = reject.change.id.as_ref().filter(|id| record.knows(id)) else {
            self.unnamed -= i64::from(reject.action_id.is_none());
            return Ok(());
        };
        // Of an action, one stands for all.
        let of_action = reject.action_id.as_deref().unwrap_or(id);
        for id in record.changes_sent_as(of_action) {
            self.answer_change(&id, None, true)?;
        }
        Ok(())
    }

    /// A change was confirmed, as part of what is known of `topic`, or rejected.
    fn answer_change(
        &mut self,
        id: &ChangeId,
        topic: Option<&TopicName>,
        rejected: bool,
    ) -> Checked {
        if let Some(owed) = self.changes.get_mut(id) {
            owed.answered += 1;
            let again = topic.and_then(|topic| self.begun.get(topic)).copied().unwrap_or_default();
            // Of an action of which a crash took a part, the other part was confirmed.
            if owed.answered > owed.sent + again && !rejected {
                let what = format!("{id} was sent {} times, and is answered again", owed.sent);
                return Err(what).breaks(Law::EverythingIsAnsweredOnce);
            }
        }
        Ok(())
    }

    /// A published change is the one in the log, and confirms the client's own.
    fn update(&mut self, update: &Update, record: &Record) -> Checked {
        let Update { part, author, snapshot, since, ids, .. } = update;
        let name = &part.topic_name;
        for id in ids.iter().chain(&part.change.id) {
            self.confirm(id, *author, name, record)?;
        }
        let own = ids.iter().any(|id| id.client() == self.client);
        if *snapshot || since.is_some() {
            let since = since.filter(|_| !*snapshot);
            self.advance(part, since, own, record)
        } else {
            self.entry(part, *author, record)
        }
        .breaks(Law::ReplicasConverge)
    }

    fn action(&mut self, action: &Action, record: &Record) -> Checked {
        let is_reversal = action.undoes.is_some() || action.redoes.is_some();
        for part in &action.changes {
            if let Some(id) = part.change.id.as_ref().filter(|_| !is_reversal) {
                self.confirm(id, action.author, &part.topic_name, record)?;
            }
            self.entry(part, action.author, record).breaks(Law::ReplicasConverge)?;
        }
        Ok(())
    }

    fn confirm(
        &mut self,
        id: &ChangeId,
        author: Option<ClientId>,
        topic: &TopicName,
        record: &Record,
    ) -> Checked {
        if id.client() != self.client {
            return Ok(());
        }
        if !record.knows(id) {
            // The server's own name for it, or an undo.
            let is_own = author.is_none_or(|author| author == self.client);
            self.unnamed -= i64::from(is_own && !record.is_reversal(topic, id));
            return Ok(());
        }
        self.answer_change(id, Some(topic), false)
    }

    /// One entry of a log, as it is: the next one of a subscription, or one of the client's own.
    fn entry(&mut self, part: &Part, author: Option<ClientId>, record: &Record) -> Found {
        let (name, version) = (&part.topic_name, part.version);
        let own = author == Some(self.client);
        let logged = |epoch: Option<&Epoch>| {
            let mut lives = record.lives().iter().rev().filter(|life| life.name == *name);
            lives.find_map(|life| {
                let is_of = epoch.is_none_or(|epoch| *epoch == life.epoch);
                let entry = life.entry(version).filter(|_| is_of)?;
                (entry.id == *part.change.id.as_ref()?).then_some((life, entry))
            })
        };
        let stream = self.streams.get_mut(name);
        let epoch = stream.as_ref().filter(|_| !own).map(|stream| &stream.epoch);
        let Some((life, entry)) = logged(epoch) else {
            return Err(format!("{version} of {name:?} is published, and in no log: {part:?}"));
        };
        let fields = match &entry.change {
            None => Fields::of_type("none"),
            Some(change) => life.kind.encode_change(change),
        };
        let what = format_args!("{version} of {name:?}, published, logged");
        same(what, &part.change.fields, &fields)?;
        match stream {
            Some(stream) if stream.epoch == life.epoch => match stream.version {
                Some(before) if version == before.next() => stream.version = Some(version),
                // It was jumped over, or is in one frame with news.
                Some(before) if version <= before => {}
                None if own => {}
                before => {
                    return Err(format!("{version} of {name:?} comes after {before:?}"));
                }
            },
            _ if own => {}
            _ => return Err(format!("{version} of {name:?} comes to one that does not subscribe")),
        }
        Ok(())
    }

    /// A snapshot, or several changes composed.
    fn advance(
        &mut self,
        part: &Part,
        since: Option<Version>,
        own: bool,
        record: &Record,
    ) -> Found {
        let (name, version) = (&part.topic_name, part.version);
        let Some(stream) = self.streams.get_mut(name) else {
            // What waited for the tick confirms the client's own.
            return match own {
                true => Ok(()),
                false => {
                    Err(format!("a snapshot of {name:?} comes to one that does not subscribe"))
                }
            };
        };
        match (since, stream.version) {
            // A confirmation that waited, of what a catch-up has brought since.
            (Some(_), Some(before)) if version <= before && own => return Ok(()),
            (Some(since), Some(before)) if since != before => {
                return Err(format!("{version} of {name:?} since {since} comes after {before}"));
            }
            (Some(since), None) => {
                return Err(format!("{version} of {name:?} since {since} comes before any value"));
            }
            (None, Some(before)) if version <= before && own => return Ok(()),
            (None, Some(before)) if version < before => {
                return Err(format!("a snapshot of {name:?} at {version} comes after {before}"));
            }
            _ => {}
        }
        if let Some(life) = record.life(name, &stream.epoch)
            && life.head() < version
        {
            return Err(format!("{version} of {name:?} is published, and past the log"));
        }
        stream.version = Some(version);
        Ok(())
    }

    /// What the client subscribes to, by what was written.
    pub fn streams(&self) -> &HashMap<TopicName, Stream> {
        &self.streams
    }

    /// Whether requests of the client's wait for their answers.
    pub fn waits_for_answers(&self) -> bool {
        let is_request =
            |((kind, _), owed): (&(Kind, EcoString), &i64)| *kind == Kind::Request && *owed > 0;
        self.others.iter().any(is_request)
    }

    /// Law 10: nothing is left to be answered.
    pub fn check_answered(&self) -> Found {
        let unanswered = |(_, owed): &(&ChangeId, &Owed)| owed.answered == 0;
        let mut changes: Vec<_> =
            self.changes.iter().filter(unanswered).map(|(id, _)| id.to_string()).collect();
        changes.sort();
        // One that is asked again on a new connection may be answered there for the older one too.
        let is_owed = |((kind, _), owed): &(&(Kind, EcoString), &i64)| {
            **owed > 0 || **owed < 0 && *kind != Kind::Request
        };
        let mut others: Vec<_> =
            self.others.iter().filter(is_owed).map(|it| format!("{it:?}")).collect();
        others.sort();
        same("changes without an answer", &changes, &Vec::new())?;
        same("what is not answered once", &others, &Vec::new())?;
        // One that came on an older connection may be confirmed on this one.
        same("changes without an id and an answer", &self.unnamed.max(0), &0)
    }
}

/// Whether a rejection is the last word on its change.
pub fn is_final(reject: &RejectUpdate) -> bool {
    reject.code != RejectCode::Busy
}
