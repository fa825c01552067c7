//! Somebody else has written to a topic: what was missed is read, and nothing of it is lost.
//!
//! Who shares a journal with others may find that a topic is not where an append expects it. What was
//! accepted on it here was decided on a head that there never was. So the topic falls back to what is
//! durable, takes over what the other has written, and goes on from there; the authors of what fell back are
//! told `busy`, on which their clients send it again, to be rebased over what was missed. An action stands
//! or falls as a whole, so its other topics fall back to before it, with all that came behind it.
//!
//! ```text
//! accepted here    x1   x2+y4   y5   z9        x is fenced: x1, x2+y4 and y5 fall back, z9 stands
//! durable          x1'  x2'                    x goes on at version 2 with the other's changes
//! ```

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::cell::{State, TopicCell, Unpublished};
use super::failure::{add_cells, fall_back_to, tell_lost};
use super::publication::Item;
use super::queue::{Accepted, Waiting};
use super::{Engine, Group, PastError, past};
use crate::journal::{Found, Operation};
use crate::topic::{CommitNumber, Entry, Rejection, TopicName};
use crate::value::Invalid;

impl Engine {
    /// Deals with a group that was fenced at the topic `name`, with which `found` was found.
    pub(super) fn meet_other_writer(&self, group: Vec<Waiting>, name: &TopicName, found: Found) {
        tracing::info!(topic = %name, %found, "another server has written to the topic");
        let Some(fenced) = fenced(&group, name, found, |name| self.topic_in_memory(name)) else {
            // Nothing that waits is about it: a removal, say, that is done by now.
            self.queue.put_back(group);
            return self.queue.end_group();
        };
        let missed = match self.missed(&fenced, found) {
            Ok(missed) => missed,
            Err(error) => {
                tracing::error!(topic = %name, %error, "what was missed cannot be read");
                self.observe(|observer| {
                    let error = super::OpenError::Unavailable(error.to_string());
                    observer.topic_failed(name, &error);
                });
                None
            }
        };
        let newest = missed.as_ref().and_then(|missed| missed.last());
        self.numbers.seen(newest.map_or(CommitNumber(0), |newest| newest.commit));

        let mut all = group;
        let (mut ended, mut publishing) = (Vec::new(), Group::default());
        let (kept, failing) = loop {
            all.extend(self.queue.take_all());
            let fails = failing(&all, &fenced);
            let mut cells = vec![fenced.clone()];
            let touched = all.iter().zip(&fails).filter(|(_, fails)| **fails);
            touched.for_each(|(waiting, _)| add_cells(&mut cells, std::slice::from_ref(waiting)));
            // Who was in the midst of a decision may have added to these meanwhile.
            let mut guards: Vec<_> = cells.iter().map(|cell| cell.lock()).collect();
            if self.queue.has_any_of(&cells) {
                continue;
            }
            let mut fails = fails.into_iter();
            let (failing, kept): (Vec<_>, Vec<_>) =
                all.into_iter().partition(|_| fails.next().unwrap_or(false));
            let fallen = fall_back_to(&failing);
            for (cell, state) in cells.iter().zip(&mut guards) {
                let left = kept.iter().filter(|it| is_deferred_on(it, cell)).count();
                let version = fallen.get(&Arc::as_ptr(cell)).copied();
                let version = version.unwrap_or_else(|| state.topic.head());
                // What was published without waiting for the journal cannot be taken back: this life of
                // the topic is over.
                let is_void = state.published > version;
                state.fall_back(version, left);
                let is_fenced = Arc::ptr_eq(cell, &fenced);
                let taken_over = match &missed {
                    Some(missed) if is_fenced => state.take_over(cell, missed, &mut publishing),
                    None if is_fenced => Ok(false),
                    _ => Ok(true),
                };
                // Another life of that name is not ours to renew.
                let renews = is_void && (!is_fenced || missed.is_some());
                match taken_over {
                    Ok(true) if !is_void => {}
                    Ok(_) => ended.push((cell.clone(), renews)),
                    Err(error) => {
                        tracing::error!(topic = %name, %error, "what was missed does not apply");
                        ended.push((cell.clone(), false));
                    }
                }
            }
            break (kept, failing);
        };
        let makes_ended = |waiting: &Waiting| match waiting {
            Waiting::Operation(Operation::Make { record, .. }) => {
                ended.iter().any(|(cell, _)| cell.recorded() == Some(&record.epoch))
            }
            _ => false,
        };
        let mut kept = kept;
        kept.retain(|waiting| !makes_ended(waiting));
        self.queue.put_back(kept);
        self.queue.end_group();
        for (cell, renews) in ended {
            self.end_life(&cell, renews, found);
        }
        self.publish(&mut publishing);
        tell_lost(failing, &Rejection::Busy);
    }

    fn topic_in_memory(&self, name: &TopicName) -> Option<Arc<TopicCell>> {
        self.topics.get(name).map(|cell| cell.clone())
    }

    /// What somebody else has written to a topic; `None` if that life of it is over.
    fn missed(&self, cell: &TopicCell, found: Found) -> Result<Option<Vec<Entry>>, PastError> {
        let journal = &*self.config.journal;
        if !matches!(found, Found::Head { .. }) {
            return Ok(None);
        }
        let record = journal.topic(cell.name())?;
        if record.is_none_or(|record| Some(&record.epoch) != cell.recorded()) {
            return Ok(None);
        }
        let (durable, head) = (cell.lock().durable, journal.extent(cell.name())?.head);
        if head < durable {
            return Ok(None);
        }
        past::entries(journal, cell.kind(), cell.name(), durable, head).map(Some)
    }

    /// Takes a topic whose life is over out of service. If what was published of it is void, its life in
    /// the journal gets another epoch: nobody is to go on from there.
    fn end_life(&self, cell: &Arc<TopicCell>, renews: bool, found: Found) {
        let _making = self.making.lock();
        let removed = self.topics.remove_if(cell.name(), |_, it| Arc::ptr_eq(it, cell));
        if removed.is_some() && found == Found::Nothing {
            self.topics_len.fetch_sub(1, Ordering::Relaxed);
        }
        if renews {
            let (topic, epoch) = (cell.name().clone(), (self.config.epochs)());
            self.keep(Operation::Renew { topic, epoch, life: self.life() });
        }
        cell.begin_removal();
        cell.tell_removed();
        self.observe(|observer| observer.topic_removed(cell));
    }
}

/// The topic of `group` at which it was fenced.
fn fenced(
    group: &[Waiting],
    name: &TopicName,
    found: Found,
    in_memory: impl Fn(&TopicName) -> Option<Arc<TopicCell>>,
) -> Option<Arc<TopicCell>> {
    let cells = || group.iter().flat_map(Waiting::cells).filter(|cell| cell.name() == name);
    if found != Found::OtherLife {
        // Operations are checked in order, so it is the first.
        return cells().next().cloned();
    }
    let made = group.iter().find_map(|waiting| match waiting {
        Waiting::Operation(Operation::Make { record, .. }) if record.name == *name => {
            Some(&record.epoch)
        }
        _ => None,
    });
    let is_it = |cell: &Arc<TopicCell>| cell.recorded() == made;
    let of_memory = || in_memory(name).filter(is_it);
    cells().find(|cell| is_it(cell)).cloned().or_else(of_memory)
}

/// Which of all that waits cannot stand: what is about the fenced topic, what follows on that, and who waits
/// for it.
fn failing(all: &[Waiting], fenced: &Arc<TopicCell>) -> Vec<bool> {
    let (mut tainted, mut any) = (vec![fenced.clone()], false);
    let mut fails = |waiting: &Waiting| {
        let is_tainted = |cell: &Arc<TopicCell>| tainted.iter().any(|it| Arc::ptr_eq(it, cell));
        let fails = match waiting {
            Waiting::Accepted(accepted) => accepted.cells.iter().any(is_tainted),
            Waiting::Then(_) => any,
            Waiting::Operation(_) | Waiting::Removal(_) | Waiting::Read(_) => false,
        };
        if fails {
            any = true;
            add_cells(&mut tainted, std::slice::from_ref(waiting));
        }
        fails
    };
    all.iter().map(&mut fails).collect()
}

/// Whether a submission that waits to be published is about this topic.
fn is_deferred_on(waiting: &Waiting, cell: &Arc<TopicCell>) -> bool {
    let deferred = matches!(waiting, Waiting::Accepted(Accepted { deferred: Some(_), .. }));
    deferred && waiting.cells().iter().any(|it| Arc::ptr_eq(it, cell))
}

impl State {
    /// Goes on with entries that somebody else has made durable. Tells that it could.
    fn take_over(
        &mut self,
        cell: &Arc<TopicCell>,
        missed: &[Entry],
        publishing: &mut Group,
    ) -> Result<bool, Invalid> {
        for entries in missed.chunk_by(|a, b| a.commit == b.commit) {
            for entry in entries {
                self.topic.take_over(entry.clone())?;
            }
            self.topic.keep_checkpoint();
            let Some(item) = Item::of_entries(cell, entries) else { continue };
            let author = entries[0].author;
            if self.queue(Unpublished { item, author, origin: None }) {
                publishing.0.push(cell.clone());
            }
        }
        self.durable = self.topic.head();
        Ok(true)
    }
}
