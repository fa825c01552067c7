//! The order in which local actions go out, over all logged topics, and which go out together.
//!
//! What the program does in one order is accepted, published and undone in that order (R12). Actions wait in
//! one queue. They go out in flushes: as many as can be in flight together, in the order made.

use std::collections::{BTreeMap, VecDeque};

use super::{LocalAction, Replica};
use crate::client::pending::{Base, Order};
use crate::client::topic_replica::Link;
use crate::protocol::{Encoding, encode};
use crate::topic::TopicName;

/// How many changes go out as one batch at most, of those that the replica puts together.
const JOINED_CHANGES_MAX: usize = 1000;

/// How large such a batch gets, in bytes of JSON, before it is cut.
const JOINED_BYTES_MAX: usize = 256 * 1024;

/// What waits, in the order made.
#[derive(Debug, Default)]
pub(super) struct Queue(VecDeque<Order>);

impl Queue {
    /// Adds an action: mostly the newest, and what comes back in its old place.
    pub(super) fn insert(&mut self, order: Order) {
        let place = self.before(order);
        if self.0.get(place) != Some(&order) {
            self.0.insert(place, order);
        }
    }

    /// Takes an action out; tells whether it was there.
    pub(super) fn remove(&mut self, order: Order) -> bool {
        let place = self.before(order);
        let there = self.0.get(place) == Some(&order);
        if there {
            self.0.remove(place);
        }
        there
    }

    pub(super) fn contains(&self, order: Order) -> bool {
        self.0.get(self.before(order)) == Some(&order)
    }

    /// How many were made before.
    fn before(&self, order: Order) -> usize {
        self.0.partition_point(|it| *it < order)
    }

    /// Those from one on.
    fn from(&self, order: Order) -> impl DoubleEndedIterator<Item = Order> + ExactSizeIterator {
        self.0.range(self.before(order)..).copied()
    }
}

/// A batch to be sent.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// In the order made.
    pub members: Vec<Order>,
    /// An action of several changes.
    pub several: bool,
    /// How large a joined batch is, in bytes of JSON.
    bytes: usize,
}

/// The batches of one flush, in the making.
#[derive(Default)]
struct Flush {
    batches: Vec<Batch>,
    /// Where each topic stands: its batch in `batches`.
    topics: BTreeMap<TopicName, Standing>,
    /// The last batch is a joined one: all that follows joins it.
    joined: bool,
}

/// A topic in a flush.
struct Standing {
    batch: usize,
    base: Base,
}

impl Replica {
    /// Whether a new single may be composed with an earlier action (R7, R9, R10).
    pub(super) fn may_join(&self, new: &LocalAction, earlier: Order) -> bool {
        let Some(action) = self.actions.get(&earlier) else { return false };
        let singles = !action.several && !new.several && action.batch.is_none();
        let asked_between = self.requests.last_barrier().is_some_and(|barrier| earlier <= barrier);
        if !self.composes || !singles || asked_between {
            return false;
        }
        !self.waiting.contains(earlier) || self.may_bind(new, earlier)
    }

    /// Whether all that was made from an action on may be bound to go out as one batch with a new single.
    fn may_bind(&self, new: &LocalAction, earlier: Order) -> bool {
        if !self.has_others_behind(earlier, &new.topics[0]) {
            return true;
        }
        let start = match self.bound_around(earlier) {
            // All behind it is bound already, so nothing is added to what is bound.
            Some((_, end)) if self.waiting.0.back().is_some_and(|last| *last <= end) => {
                return true;
            }
            Some((start, _)) => start,
            None => earlier,
        };
        let mut bound = self.waiting.from(start);
        if bound.len() > JOINED_CHANGES_MAX {
            return false;
        }
        let mut bases = BTreeMap::from([(&new.topics[0], new.base)]);
        bound.all(|order| {
            let action = &self.actions[&order];
            let base = *bases.entry(&action.topics[0]).or_insert(action.base);
            !action.several && base == action.base
        })
    }

    /// Whether an action of several changes, or anything on another logged topic, was made after an action
    /// that waits.
    pub(super) fn has_others_behind(&self, order: Order, topic_name: &TopicName) -> bool {
        // Mostly the answer is at the end of the queue.
        self.waiting.from(order + 1).rev().any(|order| {
            let action = &self.actions[&order];
            action.several || action.topics[0] != *topic_name
        })
    }

    /// What is bound with an action: from the first to the last.
    fn bound_around(&self, order: Order) -> Option<(Order, Order)> {
        let (start, end) = self.bound.range(..=order).next_back()?;
        (order <= *end).then_some((*start, *end))
    }

    /// Binds all from one action to another: they go out as one batch (R10).
    pub(super) fn bind(&mut self, first: Order, last: Order) {
        let (mut start, mut end) = (first, last);
        if let Some((before, behind)) = self.bound_around(first) {
            (start, end) = (before, end.max(behind));
        }
        let inside: Vec<Order> = self.bound.range(start..=end).map(|(start, _)| *start).collect();
        for inner in inside {
            end = end.max(self.bound.remove(&inner).unwrap_or_default());
        }
        self.bound.insert(start, end);
    }

    /// Forgets what was bound up to an action that goes out.
    pub(super) fn unbind(&mut self, last: Order) {
        while self.bound.first_key_value().is_some_and(|(start, _)| *start <= last) {
            self.bound.pop_first();
        }
    }

    /// Whether the first of the queue can go out.
    pub(super) fn can_flush(&self) -> bool {
        // A joined batch can come back in part, as can one that the server had no room for: what is made
        // later must not be before them (R15).
        let held = self.joined.is_some_and(|batch| !self.in_flight[&batch].orphaned);
        let first = self.waiting.0.front().copied();
        !held && self.busy.is_empty() && first.is_some_and(|order| self.can_go(order))
    }

    /// What can go out now, in order (R13, R14).
    pub(super) fn next_flush(&self) -> Vec<Batch> {
        let mut batches = self.put_together().batches;
        // Which go together does not depend on what is free: or what is made in turn on two topics would
        // go out one by one, each waiting for the other's answer.
        let ready = batches.iter().take_while(|batch| self.is_ready(batch)).count();
        batches.truncate(ready);
        batches
    }

    /// The batches of the next flush, whether or not their topics are free.
    fn put_together(&self) -> Flush {
        let mut flush = Flush::default();
        let barrier = self.requests.first_barrier().unwrap_or(Order::MAX);
        let mut next = self.waiting.0.front().copied();
        while let Some(order) = next.filter(|order| *order <= barrier) {
            let last = self.bound_around(order).map_or(order, |(_, end)| end);
            let together = self.waiting.from(order).take_while(|it| *it <= last).collect();
            if !self.add(&mut flush, together) {
                break;
            }
            next = self.waiting.from(last + 1).next();
        }
        flush
    }

    /// Adds an action, or several that are bound, to a flush. `false` if the flush ends before them.
    fn add(&self, flush: &mut Flush, together: Vec<Order>) -> bool {
        let topics = |order: &Order| self.actions[order].topics.iter();
        if !together.iter().flat_map(topics).all(|name| self.is_live(name)) {
            return false;
        }
        let several = self.actions[&together[0]].several;
        let standing = together.iter().flat_map(topics).filter_map(|name| flush.topics.get(name));
        let first = standing.map(|it| it.batch).min();
        if flush.joined || first.is_some() || together.len() > 1 {
            if several || !self.join(flush, first, &together) {
                return false;
            }
        } else {
            flush.batches.push(Batch { members: together.clone(), several, bytes: 0 });
        }
        let batch = flush.batches.len() - 1;
        for order in &together {
            let action = &self.actions[order];
            for topic_name in &action.topics {
                flush.topics.insert(topic_name.clone(), Standing { batch, base: action.base });
            }
        }
        true
    }

    fn is_live(&self, topic_name: &TopicName) -> bool {
        self.topics.get(topic_name).is_none_or(|topic| topic.link == Link::Live)
    }

    /// Puts actions into one batch with all from the batch at `first` on. `false` if that cannot be.
    fn join(&self, flush: &mut Flush, first: Option<usize>, together: &[Order]) -> bool {
        let joined = flush.joined.then(|| flush.batches.len() - 1);
        let from = first.into_iter().chain(joined).min().unwrap_or(flush.batches.len());
        let old = &flush.batches[from..];
        let mixed = |order: &Order| {
            let LocalAction { topics, base, .. } = &self.actions[order];
            flush.topics.get(&topics[0]).is_some_and(|it| it.base != *base)
        };
        let apart = old.iter().any(|batch| batch.several) || together.iter().any(mixed);
        if apart || (!self.composes && !old.is_empty()) {
            return false;
        }
        let size = |orders: &[Order]| orders.iter().map(|order| self.bytes(*order)).sum::<usize>();
        let bytes =
            |batch: &Batch| if batch.bytes > 0 { batch.bytes } else { size(&batch.members) };
        let bytes = old.iter().map(bytes).sum::<usize>() + size(together);
        let changes = old.iter().map(|it| it.members.len()).sum::<usize>() + together.len();
        // What is bound goes out whatever it comes to, or it never would.
        let at_the_front = flush.batches.is_empty();
        if !at_the_front && (changes > JOINED_CHANGES_MAX || bytes > JOINED_BYTES_MAX) {
            return false;
        }
        if joined != Some(from) {
            flush.topics.values_mut().for_each(|it| it.batch = it.batch.min(from));
        }
        let mut members: Vec<Order> =
            flush.batches.drain(from..).flat_map(|it| it.members).collect();
        members.extend(together);
        flush.batches.push(Batch { members, several: false, bytes });
        flush.joined = true;
        true
    }

    /// Whether all topics of a batch can take it now.
    fn is_ready(&self, batch: &Batch) -> bool {
        batch.members.iter().all(|order| self.can_go(*order))
    }

    /// Whether all topics of an action are free.
    fn can_go(&self, order: Order) -> bool {
        let action = &self.actions[&order];
        action.topics.iter().all(|topic_name| {
            let Some(topic) = self.topics.get(topic_name) else { return true };
            // A part of which nothing was left may be gone from its topic.
            let Some(part) = topic.of_action(order).first() else { return true };
            // Presence has no queue, so a part there may have others before it.
            let presence = action.several && topic.options.presence;
            topic.is_free() && (!presence || topic.pending[0].order == part.order)
        })
    }

    /// How large the change of a single is, in bytes of JSON.
    fn bytes(&self, order: Order) -> usize {
        let topic = self.topics.get(&self.actions[&order].topics[0]);
        let changes = topic.into_iter().flat_map(|topic| {
            let pending = topic.of_action(order).iter();
            // What is yet to be composed is counted in parts, which is about as much.
            let tails = pending.clone().flat_map(|it| it.tail.iter().map(|(part, _)| part.clone()));
            let changes = pending.filter_map(|it| it.to_send()).chain(tails);
            changes.map(|change| topic.kind.encode_change(&change))
        });
        changes.map(|fields| encode::encode(&fields, Encoding::Json).len()).sum()
    }

    /// Singles of a presence topic that go out as one batch, if it can take one.
    pub(super) fn next_presence_batch(&self, topic_name: &TopicName) -> Option<Batch> {
        let topic = self.topics.get(topic_name).filter(|topic| topic.is_free())?;
        let first = topic.pending.first()?;
        let fits = |order: &Order| {
            let action = self.actions.get(order);
            action.is_some_and(|it| !it.several && it.base == first.base)
        };
        if !fits(&first.order) {
            // An action of several changes stands in the queue of logged topics, or is all presence.
            let goes = !self.waiting.contains(first.order) && self.can_go(first.order);
            let members = vec![first.order];
            return goes.then_some(Batch { members, several: true, bytes: 0 });
        }
        let most = if self.composes { JOINED_CHANGES_MAX } else { 1 };
        let mut bytes = 0;
        let orders = topic.pending.iter().map(|pending| pending.order).take(most);
        let members = orders.enumerate().take_while(|(index, order)| {
            bytes += self.bytes(*order);
            fits(order) && (*index == 0 || bytes <= JOINED_BYTES_MAX)
        });
        Some(Batch { members: members.map(|(_, order)| order).collect(), several: false, bytes: 0 })
    }
}
