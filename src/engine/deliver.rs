//! Who gets an accepted submission, and when: with the topic's next publication, or, for an action
//! over several topics, at once, each subscriber the part of it that is for him.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use smallvec::SmallVec;

use super::Group;
use super::cell::{TopicCell, Unpublished};
use super::draft::{Cells, ChangeSource, Guards};
use super::publication::{Item, Part, Publication, Subscriber};
use crate::topic::{ClientId, Delivery};

/// Sees to it that `item` is published; topics that somebody has to publish are added to `group`.
pub(super) fn queue(
    source: &ChangeSource,
    cells: &Cells,
    guards: &mut Guards<'_>,
    mut item: Item,
    group: &mut Group,
) {
    if cells.len() > 1 {
        let (now, later) = item.parts.into_iter().partition(|part| is_published_now(&part.topic));
        item.parts = now;
        publish_action(source, cells, guards, &item);
        for part in later {
            let item = Item { parts: SmallVec::from_iter([part]), ..item.clone() };
            queue_one(source, cells, guards, item, group);
        }
    } else {
        queue_one(source, cells, guards, item, group);
    }
}

/// Queues a message about one topic. The topic is added to `group` though somebody else may have it in
/// hand: whoever comes first publishes what both have accepted, and in the order of the group.
fn queue_one(
    source: &ChangeSource,
    cells: &Cells,
    guards: &mut Guards<'_>,
    item: Item,
    group: &mut Group,
) {
    let slot = slot_of(cells, &item.parts[0]);
    let (author, origin) = (source.id, source.origin.clone());
    let is_first = guards[slot].queue(Unpublished { item, author, origin });
    let cell = &cells[slot];
    let publishes = match cell.options().delivery {
        Delivery::Every => !group.0.last().is_some_and(|last| Arc::ptr_eq(last, cell)),
        // The tick does.
        Delivery::Latest => is_first,
    };
    if publishes {
        group.0.push(cell.clone());
    }
}

/// The index of a part's topic.
fn slot_of(cells: &Cells, part: &Part) -> usize {
    cells.partition_point(|cell| cell.name() < part.topic.name())
}

/// Gives an action over several topics to all subscribers of any of them, after what came before on
/// each, and to its author.
fn publish_action(source: &ChangeSource, cells: &Cells, guards: &mut Guards<'_>, item: &Item) {
    for (cell, state) in cells.iter().zip(guards.iter_mut()) {
        if is_published_now(cell) {
            state.publish(cell);
        }
    }
    for part in &item.parts {
        guards[slot_of(cells, part)].mark_published(part.version);
    }
    let mut shared: HashMap<Slots, Arc<Publication>> = HashMap::new();
    let mut publication = |slots: Slots| {
        let shared = shared.entry(slots).or_insert_with_key(|slots| {
            let is_for = |part: &&Part| slots.contains(&slot_of(cells, part));
            let parts = item.parts.iter().filter(is_for).cloned().collect();
            Publication::new(vec![Item { parts, ..item.clone() }])
        });
        shared.clone()
    };
    let mut recipients = recipients(cells, guards);
    // The author gets all of its action, whatever of it it subscribes to.
    let all: Slots = (0..cells.len()).filter(|slot| is_published_now(&cells[*slot])).collect();
    if let Some(origin) = &source.origin
        && recipients.get(&source.id).is_none_or(|(_, slots)| *slots != all)
    {
        recipients.remove(&source.id);
        if !all.is_empty() {
            origin.confirm(&publication(all));
        }
    }
    for (subscriber, slots) in recipients.into_values() {
        subscriber.deliver(&publication(slots));
    }
}

/// The indices of some of an action's topics, ascending.
type Slots = SmallVec<[usize; 4]>;

fn is_published_now(cell: &Arc<TopicCell>) -> bool {
    cell.options().delivery == Delivery::Every
}

/// Everybody who subscribes to some of an action's topics, and to which.
fn recipients(
    cells: &[Arc<TopicCell>],
    guards: &Guards<'_>,
) -> BTreeMap<ClientId, (Arc<dyn Subscriber>, Slots)> {
    let mut recipients = BTreeMap::new();
    for (slot, state) in
        guards.iter().enumerate().filter(|(slot, _)| is_published_now(&cells[*slot]))
    {
        for subscriber in state.subscribers() {
            let entry = recipients.entry(subscriber.client_id());
            entry.or_insert_with(|| (subscriber.clone(), Slots::new())).1.push(slot);
        }
    }
    recipients
}
