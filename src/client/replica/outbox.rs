//! What goes out, and when.

use super::{Flight, Phase, Replica};
use crate::client::event::Event;
use crate::client::pending::{BatchId, Footing};
use crate::client::topic_replica::{Link, TopicReplica};
use crate::protocol::message::{ClientMessage, SentChange, TopicChange};
use crate::protocol::{Encoding, encode};
use crate::topic::{ActionId, ChangeId, ClientId, TopicName};

/// How many changes that waited go out as one batch at most.
const BATCH_CHANGES_MAX: usize = 1000;

/// How large such a batch gets, in bytes of JSON, before it is cut.
const BATCH_BYTES_MAX: usize = 256 * 1024;

impl Replica {
    /// The messages to be sent now, in order. Each is given once, and counts as sent.
    pub fn outbox(&mut self) -> Vec<ClientMessage> {
        match (&mut self.phase, self.client_id) {
            (Phase::Online, Some(client_id)) => self.online_outbox(client_id),
            (Phase::Resuming { asked, .. }, _) if !*asked => {
                *asked = true;
                let session = self.session.clone();
                session.map(|session| ClientMessage::Resume { session }).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }

    fn online_outbox(&mut self, client_id: ClientId) -> Vec<ClientMessage> {
        let mut messages = std::mem::take(&mut self.queue);
        messages.extend(self.offers_to_send());
        self.send_subscribes(&mut messages);
        self.send_again(&mut messages);
        // What turns out to be done stirs its topic again, for the next batch.
        while let Some(topic_name) = self.stirred.pop_first() {
            self.send_batch(&topic_name, client_id, &mut messages);
            self.close_if_done(&topic_name, &mut messages);
        }
        messages.extend(self.calls_to_send(client_id));
        messages
    }

    fn send_subscribes(&mut self, messages: &mut Vec<ClientMessage>) {
        for topic_name in &self.stirred {
            let Some(topic) = self.topics.get_mut(topic_name) else { continue };
            let needed = !topic.closing || !topic.pending.is_empty();
            if needed && matches!(topic.link, Link::Unasked { .. }) {
                messages.push(ClientMessage::Subscribe(topic.subscribe(topic_name)));
            }
        }
    }

    fn send_again(&mut self, messages: &mut Vec<ClientMessage>) {
        for id in std::mem::take(&mut self.resend) {
            let flight = self.batches.get(&id).and_then(|batch| batch.flight.as_ref());
            if let Some(flight) = flight.filter(|flight| !flight.orphaned) {
                messages.push(flight.message.clone());
            }
        }
    }

    /// Ends a subscription that is not wanted any more.
    fn close_if_done(&mut self, topic_name: &TopicName, messages: &mut Vec<ClientMessage>) {
        let done = |topic: &&mut TopicReplica| topic.closing && topic.pending.is_empty();
        let Some(topic) = self.topics.get_mut(topic_name).filter(done) else { return };
        if !matches!(topic.link, Link::Unasked { .. }) {
            messages.push(ClientMessage::Unsubscribe { topic_name: topic_name.clone() });
            *self.leaving.entry(topic_name.clone()).or_default() += 1;
        }
        self.topics.remove(topic_name);
        self.events.push(Event::Closed { topic_name: topic_name.clone(), error: None });
    }

    /// Sends the next batch of a topic, if nothing of it is in flight.
    fn send_batch(
        &mut self,
        topic_name: &TopicName,
        client_id: ClientId,
        messages: &mut Vec<ClientMessage>,
    ) {
        self.tend_presence(topic_name);
        let Some(topic) = self.topics.get(topic_name).filter(|topic| is_free(topic)) else {
            return;
        };
        let Some(first) = topic.pending.first().map(|first| first.batch) else { return };
        let action = self.batches.get(&first).is_some_and(|batch| batch.action);
        if !action {
            self.gather_singles(topic_name, first);
        } else if !self.action_is_ready(first) {
            // The topics that it waits for stir when they are free, and find it there.
            return;
        }
        messages.extend(self.launch(first, client_id, action));
    }

    fn action_is_ready(&self, id: BatchId) -> bool {
        let ready = |topic: &TopicReplica| {
            is_free(topic) && topic.pending.first().is_some_and(|first| first.batch == id)
        };
        let topics = self.batches.get(&id).map(|batch| &batch.topics[..]).unwrap_or_default();
        // A part of which nothing was left may be gone from its topic.
        topics.iter().all(|name| !self.holds(name, id) || self.topics.get(name).is_some_and(ready))
    }

    /// Makes one batch of the single changes that wait on a topic, as many as can go together.
    fn gather_singles(&mut self, topic_name: &TopicName, first: BatchId) {
        let Some(topic) = self.topics.get_mut(topic_name) else { return };
        let Some(footing) = topic.pending.first().map(|first| first.footing) else { return };
        let (mut bytes, mut gathered) = (0, Vec::new());
        let most = if self.composes { BATCH_CHANGES_MAX } else { 1 };
        for pending in topic.pending.iter_mut().take(most) {
            let single = self.batches.get(&pending.batch).is_some_and(|batch| !batch.action);
            if let Some(change) = pending.to_send() {
                let fields = topic.kind.encode_change(&change);
                bytes += encode::encode(&fields, Encoding::Json).len();
            }
            let full = bytes > BATCH_BYTES_MAX && !gathered.is_empty();
            if !single || full || pending.footing != footing {
                break;
            }
            gathered.push(std::mem::replace(&mut pending.batch, first));
        }
        for id in gathered.into_iter().filter(|id| *id != first) {
            let tickets = self.batches.remove(&id).map(|batch| batch.tickets).unwrap_or_default();
            if let Some(batch) = self.batches.get_mut(&first) {
                batch.tickets.extend(tickets);
            }
        }
    }

    /// Gives a batch its ids and puts it in flight. If nothing of it is left to do, it is done.
    fn launch(&mut self, id: BatchId, client_id: ClientId, action: bool) -> Option<ClientMessage> {
        let topics = self.batches.get(&id)?.topics.clone();
        let left: usize = topics.iter().map(|name| self.drop_what_is_done(name, id)).sum();
        if left == 0 {
            self.confirm(id);
            return None;
        }
        let action_id = (action || left > 1).then(|| ActionId::from(self.next_id(client_id)));
        let mut changes = Vec::with_capacity(left);
        for topic_name in &topics {
            let Some(topic) = self.topics.get_mut(topic_name) else { continue };
            let (epoch, version) = (topic.epoch.clone(), topic.version());
            for pending in topic.pending.iter_mut().take_while(|pending| pending.batch == id) {
                self.counter += 1;
                let change_id = ChangeId::of(client_id, self.counter);
                let Some(change) = pending.to_send() else { continue };
                pending.id = Some(change_id.clone());
                let fields = topic.kind.encode_change(&change);
                let base = (pending.footing == Footing::Seen).then_some(version);
                let change = SentChange { fields, id: Some(change_id), base };
                let (topic_name, epoch) = (topic_name.clone(), epoch.clone());
                changes.push(TopicChange { topic_name, epoch, change });
            }
        }
        let message = match action_id {
            Some(action_id) => ClientMessage::Action { action_id, changes },
            None => ClientMessage::Update(changes.pop()?),
        };
        let flight = Flight { message: message.clone(), orphaned: false };
        self.batches.get_mut(&id)?.flight = Some(flight);
        Some(message)
    }

    /// Takes changes of a waiting batch of which nothing is left out of a topic, and counts the others.
    fn drop_what_is_done(&mut self, topic_name: &TopicName, id: BatchId) -> usize {
        let Some(topic) = self.topics.get_mut(topic_name) else { return 0 };
        topic.pending.retain(|pending| pending.batch != id || pending.to_send().is_some());
        topic.pending.iter().filter(|pending| pending.batch == id).count()
    }
}

/// Whether a topic can take a batch: it is received, and nothing of it is in flight.
fn is_free(topic: &TopicReplica) -> bool {
    topic.link == Link::Live && !topic.has_in_flight()
}
