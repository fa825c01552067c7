//! Sessions and lost connections.

use super::fate::Loss;
use super::{Phase, Replica};
use crate::client::event::Event;
use crate::client::pending::BatchId;
use crate::client::topic_replica::Link;
use crate::protocol::message::Hello;
use crate::topic::TopicName;

impl Replica {
    /// The connection is lost. What was in flight will be sent again, just as it was.
    pub fn disconnected(&mut self) {
        self.phase = Phase::Offline;
        for (topic_name, topic) in &mut self.topics {
            if !matches!(topic.link, Link::Unasked { .. }) {
                topic.link = Link::Unasked { continue_here: topic.link != Link::Snapshot };
            }
            self.stirred.insert(topic_name.clone());
        }
        self.resend = self.in_flight().collect();
        self.busy.clear();
        self.leaving.clear();
    }

    /// The time has come to send again what the server had no room for.
    pub fn resend_busy(&mut self) {
        self.resend.append(&mut self.busy);
    }

    /// Whether a session is in force on the present connection.
    pub fn is_online(&self) -> bool {
        matches!(self.phase, Phase::Online)
    }

    pub(super) fn in_flight(&self) -> impl Iterator<Item = BatchId> {
        self.batches.iter().filter(|(_, batch)| batch.flight.is_some()).map(|(id, _)| *id)
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
        self.stirred.extend(self.topics.keys().cloned());
    }

    /// The old session is gone. What was never sent goes out under the new id. What was in flight
    /// cannot be sent again; if a topic can be continued, it shows yet whether it was accepted.
    pub(super) fn session_lost(&mut self) {
        if let Phase::Resuming { offered, .. } = &self.phase {
            let offered = offered.clone();
            for batch in self.batches.values_mut() {
                if let Some(flight) = &mut batch.flight {
                    flight.orphaned = true;
                }
            }
            self.queue.clear();
            self.resend.clear();
            self.calls_lost();
            self.go_online(offered);
        }
    }

    /// A topic has received all that was published before the new session began: an orphan that is
    /// still in flight there was not in it.
    pub(super) fn settle_orphan(&mut self, topic_name: &TopicName) {
        let Some(topic) = self.topics.get(topic_name).filter(|topic| topic.caught_up()) else {
            return;
        };
        let Some(id) = topic.in_flight_batch() else { return };
        let flight = self.batches.get(&id).and_then(|batch| batch.flight.as_ref());
        if flight.is_some_and(|flight| flight.orphaned) {
            self.lose(id, &Loss::Unknown);
        }
    }
}
