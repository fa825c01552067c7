//! Sessions and lost connections, and the end.

use ecow::EcoString;

use super::outcome::Dropped;
use super::{Phase, Replica};
use crate::client::event::{Event, Ticket};
use crate::client::topic_replica::Link;
use crate::protocol::message::Hello;
use crate::topic::TopicName;

/// What has no outcome when a client is closed (R38).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unfinished {
    /// In the order made.
    pub actions: Vec<UnfinishedAction>,
    /// The services that were asked and did not answer, in the order asked.
    pub requests: Vec<EcoString>,
}

/// A local action, or several that were composed, without an outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnfinishedAction {
    /// Those that name it in events.
    pub tickets: Vec<Ticket>,
    /// The topics that it changes.
    pub topic_names: Vec<TopicName>,
    /// It was sent, so it may have been accepted.
    pub sent: bool,
}

impl Unfinished {
    /// Whether everything had its outcome.
    pub fn is_empty(&self) -> bool {
        self.actions.is_empty() && self.requests.is_empty()
    }
}

impl Replica {
    /// The connection is lost. What was in flight will be sent again, just as it was (R28).
    pub fn disconnected(&mut self) {
        self.phase = Phase::Offline;
        for (topic_name, topic) in &mut self.topics {
            if !matches!(topic.link, Link::Unasked { .. }) {
                topic.link = Link::Unasked { continue_here: topic.link != Link::Snapshot };
            }
            self.dirty.insert(topic_name.clone());
        }
        self.resend = self.in_flight.keys().copied().collect();
        self.busy.clear();
        self.leaving.clear();
        self.requests_disconnected();
    }

    /// The time has come to send again what the server had no room for (R23).
    pub fn resend_busy(&mut self) {
        self.resend.append(&mut self.busy);
    }

    /// Whether a session is in force on the present connection.
    pub fn is_online(&self) -> bool {
        matches!(self.phase, Phase::Online)
    }

    /// Whether everything made, asked and offered here has its outcome.
    pub fn is_settled(&self) -> bool {
        self.actions.values().all(|action| action.tickets.is_empty()) && !self.has_open_requests()
    }

    /// Takes no more local actions and requests: the client is about to close (R38).
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// Whether it was told to close.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// What has no outcome yet.
    pub fn unfinished(&self) -> Unfinished {
        let open = self.actions.values().filter(|action| !action.tickets.is_empty());
        let actions = open.map(|action| UnfinishedAction {
            tickets: action.tickets.clone(),
            topic_names: action.topics.clone(),
            sent: action.batch.is_some(),
        });
        Unfinished { actions: actions.collect(), requests: self.open_requests() }
    }

    /// Gives up what has no outcome, and tells the program (R38): what was sent is unknown, and what was not is
    /// unsent. Views stay as they are.
    pub fn end(&mut self) {
        self.closed = true;
        for action in self.actions.values_mut() {
            let sent = action.batch.is_some();
            let tickets = std::mem::take(&mut action.tickets).into_iter();
            self.events.extend(tickets.map(|ticket| match sent {
                true => Event::Unknown { ticket },
                false => Event::Unsent { ticket },
            }));
        }
        self.end_requests();
    }

    pub(super) fn hello(&mut self, hello: Hello) {
        self.message_bytes_max = hello
            .limits
            .get("message_bytes")
            .and_then(|bytes| usize::try_from(bytes.as_int()?).ok());
        match (&self.phase, &self.session) {
            (Phase::Offline, Some(_)) => {
                self.phase = Phase::Resuming { offered: hello, asked: false };
            }
            _ => self.go_online(hello),
        }
    }

    fn go_online(&mut self, hello: Hello) {
        self.phase = Phase::Online;
        self.client_id = Some(hello.id);
        self.session = Some(hello.session);
        self.events.push(Event::Online { client_id: hello.id, resumed: hello.resumed });
        self.dirty.extend(self.topics.keys().cloned());
    }

    /// The old session is gone (R36). What was never sent goes out under the new id. What was in flight
    /// cannot be sent again; if a topic can be continued, it shows yet whether it was accepted.
    pub(super) fn session_lost(&mut self) {
        if let Phase::Resuming { offered, .. } = &self.phase {
            let offered = offered.clone();
            self.in_flight.values_mut().for_each(|batch| batch.orphaned = true);
            self.messages.clear();
            self.resend.clear();
            self.requests_session_lost();
            self.go_online(offered);
        }
    }

    /// A topic has received all that was published before the new session began: an orphan that is
    /// still in flight there was not in it.
    pub(super) fn settle_orphan(&mut self, topic_name: &TopicName) {
        let topic = self.topics.get(topic_name).filter(|topic| topic.caught_up());
        let first = topic.and_then(|topic| topic.in_flight().next());
        let batch = first.and_then(|first| self.actions.get(&first.order)?.batch);
        let orphan = batch.filter(|batch| self.in_flight.get(batch).is_some_and(|it| it.orphaned));
        if let Some(batch) = orphan {
            self.drop_batch(batch, Dropped::Unknown);
        }
    }
}
