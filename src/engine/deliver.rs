//! Who gets an accepted submission, and when: with the topic's next publication, or, for an action
//! over several topics, at once, each subscriber the part of it that is for him.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use smallvec::SmallVec;

use super::Group;
use super::author::Author;
use super::cell::{TopicCell, Unpublished};
use super::publication::{Item, Part, Publication, Subscriber};
use super::submit::{Cells, Guards};
use crate::topic::{ClientId, Delivery};

/// Sees to it that `item` is published; topics that somebody has to publish are added to `group`.
pub(super) fn queue(
    author: &Author,
    cells: &Cells,
    guards: &mut Guards<'_>,
    mut item: Item,
    group: &mut Group,
) {
    if cells.len() > 1 {
        let (now, later) = item.parts.into_iter().partition(is_every);
        item.parts = now;
        publish_action(author, cells, guards, &item);
        for part in later {
            let item = Item { parts: SmallVec::from_iter([part]), ..item.clone() };
            queue_one(author, cells, guards, item, group);
        }
    } else {
        queue_one(author, cells, guards, item, group);
    }
}

fn is_every(part: &Part) -> bool {
    part.topic.options().delivery == Delivery::Every
}

/// Queues a message about one topic.
fn queue_one(
    author: &Author,
    cells: &Cells,
    guards: &mut Guards<'_>,
    item: Item,
    group: &mut Group,
) {
    let slot = slot_of(cells, &item.parts[0]);
    let author = author.subscriber.clone();
    if guards[slot].queue(Unpublished { item, author }) {
        group.0.push(cells[slot].clone());
    }
}

/// The index of a part's topic.
fn slot_of(cells: &Cells, part: &Part) -> usize {
    cells.partition_point(|cell| cell.name() < part.topic.name())
}

/// Gives an action over several topics to all subscribers of any of them, after what came before on
/// each, and to its author.
fn publish_action(author: &Author, cells: &Cells, guards: &mut Guards<'_>, item: &Item) {
    for (cell, state) in cells.iter().zip(guards.iter_mut()) {
        if cell.options().delivery == Delivery::Every {
            state.publish(cell);
            state.mark_published();
        }
    }
    let mut shared: HashMap<SmallVec<[usize; 4]>, Arc<Publication>> = HashMap::new();
    for (subscriber, slots) in recipients(author, cells, guards) {
        let publication = shared.entry(slots).or_insert_with_key(|slots| {
            let is_for = |part: &&Part| slots.contains(&slot_of(cells, part));
            let parts = item.parts.iter().filter(is_for).cloned().collect();
            Publication::new(vec![Item { parts, ..item.clone() }])
        });
        if !publication.items[0].parts.is_empty() {
            subscriber.deliver(publication);
        }
    }
}

/// Everybody who is to have some of an action, with the topics of which, ascending.
fn recipients(
    author: &Author,
    cells: &[Arc<TopicCell>],
    guards: &Guards<'_>,
) -> Vec<(Arc<dyn Subscriber>, SmallVec<[usize; 4]>)> {
    let mut recipients: BTreeMap<ClientId, (Arc<dyn Subscriber>, SmallVec<[usize; 4]>)> =
        BTreeMap::new();
    for (slot, state) in guards.iter().enumerate() {
        for subscriber in state.subscribers() {
            let entry = recipients.entry(subscriber.client_id());
            entry.or_insert_with(|| (subscriber.clone(), SmallVec::new())).1.push(slot);
        }
    }
    if let Some(subscriber) = &author.subscriber {
        let all = (0..cells.len()).collect();
        recipients.insert(author.id(), (subscriber.clone(), all));
    }
    recipients.into_values().collect()
}
