//! How actions end: confirmed, rejected, unknown or unsent (R25).

use std::collections::BTreeSet;

use ecow::{EcoString, eco_format};

use super::{InFlight, Replica};
use crate::client::event::{Event, Origin, Rejection};
use crate::client::pending::{Base, Order};
use crate::client::topic_replica::Moved;
use crate::protocol::RejectCode;
use crate::protocol::message::ClientMessage;
use crate::topic::{ChangeId, TopicName};
use crate::types::Conflict;

/// Why an action left the views.
#[derive(Debug, Clone)]
pub(super) enum Dropped {
    Rejected(Rejection),
    Unknown,
}

impl Dropped {
    pub(super) fn rejected(
        topic_name: &str,
        code: RejectCode,
        reason: impl Into<EcoString>,
    ) -> Dropped {
        let (topic_name, reason) = (topic_name.into(), reason.into());
        Dropped::Rejected(Rejection { topic_name, code, reason })
    }
}

impl InFlight {
    /// The id that the batch is known by: the action's, or that of its one change.
    fn id(&self) -> Option<EcoString> {
        match &self.message {
            ClientMessage::Action { action_id, .. } => Some(action_id.clone().into()),
            ClientMessage::Update(update) => update.change.id.clone().map(Into::into),
            _ => None,
        }
    }
}

impl Replica {
    /// Tells the program that a batch is accepted (R20). It is forgotten once no topic waits for its part.
    pub(super) fn confirm(&mut self, batch: Order) {
        let Some(in_flight) = self.in_flight.get(&batch) else { return };
        let id = in_flight.id();
        let (members, topics) = (in_flight.members.clone(), in_flight.topics.clone());
        for member in &members {
            self.tell_confirmed(*member, id.as_ref());
        }
        let is_of_batch = |order: Order| members.binary_search(&order).is_ok();
        let waits = |topic_name: &TopicName| {
            let topic = self.topics.get(topic_name);
            topic.is_some_and(|topic| topic.in_flight().any(|pending| is_of_batch(pending.order)))
        };
        if !topics.iter().any(waits) {
            self.forget_batch(batch);
            members.iter().for_each(|member| drop(self.actions.remove(member)));
        }
        self.dirty.extend(topics);
    }

    /// Tells the program that nothing of an action was left to send (R19).
    pub(super) fn confirm_unsent(&mut self, order: Order) {
        self.tell_confirmed(order, None);
        self.waiting.remove(order);
        if let Some(action) = self.actions.remove(&order) {
            self.dirty.extend(action.topics);
        }
    }

    fn tell_confirmed(&mut self, order: Order, id: Option<&EcoString>) {
        let Some(action) = self.actions.get_mut(&order) else { return };
        let tickets = std::mem::take(&mut action.tickets).into_iter();
        self.events.extend(tickets.map(|ticket| Event::Confirmed { ticket, id: id.cloned() }));
    }

    fn forget_batch(&mut self, batch: Order) -> Option<InFlight> {
        self.resend.remove(&batch);
        self.busy.remove(&batch);
        self.joined = self.joined.filter(|joined| *joined != batch);
        self.in_flight.remove(&batch)
    }

    /// Takes a batch in flight out of all its topics, and tells the program.
    pub(super) fn drop_batch(&mut self, batch: Order, why: Dropped) {
        if let Some(in_flight) = self.forget_batch(batch) {
            self.drop_actions(in_flight.members, why);
        }
    }

    /// Takes actions out of all their topics, and tells the program. What was made on top of them and
    /// conflicts without them goes too.
    pub(super) fn drop_actions(&mut self, orders: Vec<Order>, why: Dropped) {
        let mut left = vec![(orders, why)];
        while let Some((orders, why)) = left.pop() {
            for topic_name in self.tell_dropped(&orders, &why) {
                let Some(topic) = self.topics.get_mut(&topic_name) else { continue };
                let leaves = |order: Order| orders.binary_search(&order).is_ok();
                let mut moved = topic.remove(|pending| leaves(pending.order));
                let dropped = std::mem::take(&mut moved.dropped);
                left.extend(dropped.into_iter().map(|it| conflicting(&topic_name, it)));
                self.tell_moved(&topic_name, moved, Origin::Correction);
                self.dirty.insert(topic_name);
            }
        }
    }

    /// Forgets actions and tells the program why. Gives their topics.
    fn tell_dropped(&mut self, orders: &[Order], why: &Dropped) -> BTreeSet<TopicName> {
        let mut topics = BTreeSet::new();
        for order in orders {
            self.waiting.remove(*order);
            let Some(action) = self.actions.remove(order) else { continue };
            topics.extend(action.topics);
            self.events.extend(action.tickets.into_iter().map(|ticket| match why {
                Dropped::Rejected(rejection) => {
                    Event::Rejected { ticket, rejection: rejection.clone() }
                }
                Dropped::Unknown => Event::Unknown { ticket },
            }));
        }
        topics
    }

    /// Drops what a rejection of a batch is about. Of a joined batch that is the change that it names, if
    /// the change itself is at fault; the others wait again (R22).
    pub(super) fn reject_batch(
        &mut self,
        batch: Order,
        change_id: Option<&ChangeId>,
        rejection: Rejection,
    ) {
        let topic_name = TopicName::new(rejection.topic_name.clone()).ok();
        let topic = topic_name.and_then(|topic_name| self.topics.get(&topic_name));
        let named = topic.zip(change_id).and_then(|(topic, id)| topic.order_of(id));
        let of_change = matches!(
            rejection.code,
            RejectCode::Stale
                | RejectCode::Invalid
                | RejectCode::Forbidden
                | RejectCode::WrongType
                | RejectCode::UnknownTopic
        );
        let members = self.in_flight.get(&batch).map(|it| &it.members[..]).unwrap_or_default();
        let joined = members.len() > 1;
        match named.filter(|order| of_change && joined && members.contains(order)) {
            Some(order) => self.take_back(batch, order, rejection),
            None => self.drop_batch(batch, Dropped::Rejected(rejection)),
        }
    }

    /// Lets a joined batch wait again, without the action that was rejected.
    fn take_back(&mut self, batch: Order, rejected: Order, rejection: Rejection) {
        let Some(in_flight) = self.forget_batch(batch) else { return };
        // What is hidden and based has no form any more that could be sent.
        let mut lost = BTreeSet::new();
        for topic in in_flight.topics.iter().filter_map(|name| self.topics.get(name)) {
            let based = topic.in_flight().filter(|it| it.hidden && it.base == Base::Seen);
            lost.extend(based.map(|it| it.order));
        }
        lost.remove(&rejected);
        let mut leaving = lost.clone();
        leaving.insert(rejected);
        self.tell_dropped(&[rejected], &Dropped::Rejected(rejection));
        for order in lost {
            let topic_name = self.actions.get(&order).and_then(|it| it.topics.first().cloned());
            let topic_name = topic_name.as_deref().unwrap_or_default();
            let reason = "not sent again: it conflicts with what came meanwhile";
            let why = Dropped::rejected(topic_name, RejectCode::Stale, reason);
            self.tell_dropped(&[order], &why);
        }
        let back = in_flight.members.iter().filter(|order| !leaving.contains(order));
        for order in back.clone() {
            if let Some(action) = self.actions.get_mut(order) {
                action.batch = None;
                self.waiting.insert(*order);
            }
        }
        // They were made as one queue and may have been composed across each other (R10).
        if let (Some(first), Some(last)) = (back.clone().min(), back.max())
            && first < last
        {
            self.bind(*first, *last);
        }
        for topic_name in in_flight.topics {
            let Some(topic) = self.topics.get_mut(&topic_name) else { continue };
            let moved = topic.take_back(|pending| leaving.contains(&pending.order));
            self.moved(&topic_name, moved, Origin::Correction);
            self.dirty.insert(topic_name);
        }
    }

    /// Tells the program how a view moved, and drops what conflicts.
    pub(super) fn moved(&mut self, topic_name: &TopicName, mut moved: Moved, origin: Origin) {
        let dropped = std::mem::take(&mut moved.dropped);
        self.tell_moved(topic_name, moved, origin);
        for (orders, why) in dropped.into_iter().map(|it| conflicting(topic_name, it)) {
            self.drop_actions(orders, why);
        }
    }

    fn tell_moved(&mut self, topic_name: &TopicName, moved: Moved, origin: Origin) {
        let Some(topic) = self.topics.get(topic_name) else { return };
        if moved.whole || !moved.changes.is_empty() {
            let (topic_name, value) = (topic_name.clone(), topic.view().clone());
            self.events.push(Event::Changed { topic_name, value, changes: moved.changes, origin });
        }
    }
}

/// What becomes of an action of which a waiting change conflicts (R21).
fn conflicting(
    topic_name: &TopicName,
    (order, conflict): (Order, Conflict),
) -> (Vec<Order>, Dropped) {
    let reason = eco_format!("not sent: {conflict}");
    (vec![order], Dropped::rejected(topic_name, RejectCode::Stale, reason))
}
