//! What goes out, and when (R18).

use super::queue::Batch;
use super::{InFlight, Phase, Replica};
use crate::client::event::Event;
use crate::client::pending::Base;
use crate::client::topic_replica::{Link, TopicReplica};
use crate::protocol::message::{ClientMessage, SentChange, TopicChange};
use crate::topic::{ActionId, ChangeId, ClientId, TopicName};

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
        let mut messages = std::mem::take(&mut self.messages);
        messages.extend(self.offers_to_send());
        self.send_subscribes(&mut messages);
        self.send_again(&mut messages);
        self.send_queue(client_id, &mut messages);
        while let Some(topic_name) = self.dirty.pop_first() {
            self.send_presence(&topic_name, client_id, &mut messages);
            self.close_if_done(&topic_name, &mut messages);
        }
        messages.extend(self.requests_to_send(client_id));
        // What was made after an undo that has just gone out (R16).
        self.send_queue(client_id, &mut messages);
        messages
    }

    fn send_subscribes(&mut self, messages: &mut Vec<ClientMessage>) {
        for topic_name in &self.dirty {
            let Some(topic) = self.topics.get_mut(topic_name) else { continue };
            let needed = !topic.closing || !topic.pending.is_empty();
            if needed && matches!(topic.link, Link::Unasked { .. }) {
                messages.push(ClientMessage::Subscribe(topic.subscribe(topic_name)));
            }
        }
    }

    fn send_again(&mut self, messages: &mut Vec<ClientMessage>) {
        for batch in std::mem::take(&mut self.resend) {
            let in_flight = self.in_flight.get(&batch).filter(|it| !it.orphaned);
            messages.extend(in_flight.map(|it| it.message.clone()));
        }
    }

    /// Sends what waits on logged topics, as far as it can go out.
    fn send_queue(&mut self, client_id: ClientId, messages: &mut Vec<ClientMessage>) {
        while self.can_flush() {
            let flush = self.next_flush();
            if flush.is_empty() {
                return;
            }
            // Of some nothing may be left to do, and what waited behind them can go out too.
            for batch in flush {
                messages.extend(self.send_batch(batch, client_id));
            }
        }
    }

    /// Sends what waits on a presence topic, if nothing of it is in flight.
    fn send_presence(
        &mut self,
        topic_name: &TopicName,
        client_id: ClientId,
        messages: &mut Vec<ClientMessage>,
    ) {
        self.tend_presence(topic_name);
        if !self.topics.get(topic_name).is_some_and(|topic| topic.options.presence) {
            return;
        }
        while let Some(batch) = self.next_presence_batch(topic_name) {
            messages.extend(self.send_batch(batch, client_id));
        }
    }

    /// Ends a subscription that is not wanted any more (R33).
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

    /// Gives a batch its ids and puts it in flight. If nothing of it is left to do, it is done (R19).
    fn send_batch(&mut self, batch: Batch, client_id: ClientId) -> Option<ClientMessage> {
        let Batch { members, several, .. } = batch;
        let mut topics: Vec<TopicName> = Vec::new();
        for order in &members {
            topics.extend(self.actions.get(order)?.topics.iter().cloned());
            if self.waiting.remove(*order) {
                self.unbind(*order);
            }
        }
        topics.sort_unstable();
        topics.dedup();
        let is_member = |order| members.binary_search(&order).is_ok();
        let mut left = 0;
        for topic_name in &topics {
            let Some(topic) = self.topics.get_mut(topic_name) else { continue };
            topic.compose_tails();
            topic.pending.retain(|it| !is_member(it.order) || it.to_send().is_some());
            left += topic.pending.iter().take_while(|it| is_member(it.order)).count();
        }
        if left == 0 {
            members.into_iter().for_each(|order| self.confirm_unsent(order));
            return None;
        }
        let action_id = (several || left > 1).then(|| ActionId::from(self.next_id(client_id)));
        let changes = self.changes_to_send(&topics, is_member, client_id);
        let message = match action_id {
            Some(action_id) => ClientMessage::Action { action_id, changes },
            None => ClientMessage::Update(changes.into_iter().next()?),
        };
        let id = *members.first()?;
        for order in &members {
            self.actions.get_mut(order)?.batch = Some(id);
        }
        if members.len() > 1 && !self.is_presence(&topics) {
            self.joined = Some(id);
        }
        let in_flight = InFlight { message: message.clone(), members, topics, orphaned: false };
        self.in_flight.insert(id, in_flight);
        Some(message)
    }

    /// The changes of a batch, topic by topic, under new ids: they are in flight from now on.
    fn changes_to_send(
        &mut self,
        topics: &[TopicName],
        is_member: impl Fn(u64) -> bool,
        client_id: ClientId,
    ) -> Vec<TopicChange> {
        let mut changes = Vec::new();
        for topic_name in topics {
            let Some(topic) = self.topics.get_mut(topic_name) else { continue };
            let (epoch, version) = (topic.epoch.clone(), topic.version());
            for pending in topic.pending.iter_mut().take_while(|it| is_member(it.order)) {
                let Some(change) = pending.to_send() else { continue };
                self.counter += 1;
                let id = ChangeId::of(client_id, self.counter);
                pending.id = Some(id.clone());
                let fields = topic.kind.encode_change(&change);
                let base = (pending.base == Base::Seen).then_some(version);
                let change = SentChange { fields, id: Some(id), base };
                let (topic_name, epoch) = (topic_name.clone(), epoch.clone());
                changes.push(TopicChange { topic_name, epoch, change });
            }
        }
        changes
    }
}
