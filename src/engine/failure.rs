//! What a failure of the journal leads to: topics as they were, and authors who are told.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::Engine;
use super::cell::TopicCell;
use super::draft::ChangeSource;
use super::queue::{Accepted, Unavailable, Waiting};
use crate::journal::{CommitError, Head};
use crate::topic::{ChangeId, Rejection, Version};

/// How long after a failure the journal is tried again.
pub(super) const RETRY_AFTER: Duration = Duration::from_millis(500);

/// What failed, until the journal has cut it off.
#[derive(Default)]
pub(super) struct Failed {
    waiting: Vec<Waiting>,
    /// The durable heads of the topics that the journal may hold more of.
    heads: Vec<Head>,
}

impl Engine {
    /// Takes back all that was accepted and cannot be made durable, and tells its authors.
    pub(super) fn fail(&self, group: Vec<Waiting>, error: &CommitError) {
        tracing::error!(%error, "the journal failed; changes are turned away until it works again");
        self.queue.go_down(error.to_string());
        let (kept, mut failing): (Vec<_>, Vec<_>) = group.into_iter().partition(Waiting::is_kept);
        let mut affected: Vec<Arc<TopicCell>> = Vec::new();
        loop {
            failing.extend(self.queue.take_failing());
            let before = affected.len();
            add_cells(&mut affected, &failing);
            // Who was in the midst of a decision when the journal failed may still have added to these.
            let mut guards: Vec<_> = affected.iter().map(|cell| cell.lock()).collect();
            if affected.len() > before || self.queue.has_failing() {
                continue;
            }
            let fallen = fall_back_to(&failing);
            for (cell, state) in affected.iter().zip(&mut guards) {
                if let Some(version) = fallen.get(&Arc::as_ptr(cell)) {
                    state.fall_back(*version, 0);
                }
            }
            break;
        }
        // Readers see what is left, and need not wait for the journal.
        let (reads, failing): (Vec<_>, Vec<_>) =
            failing.into_iter().partition(|it| matches!(it, Waiting::Read(_)));
        add_cells(&mut affected, &kept);
        self.queue.put_back(kept);
        let journalled = affected.iter().filter(|cell| cell.is_journalled());
        let heads = journalled.map(|cell| Head {
            topic: cell.name().clone(),
            epoch: cell.recorded().cloned(),
            version: cell.lock().durable,
        });
        *self.failed.lock() = Failed { waiting: failing, heads: heads.collect() };
        self.queue.end_group();
        self.observe(|observer| observer.journal(Err(&error.to_string())));
        for waiting in reads {
            if let Waiting::Read(read) = waiting {
                read();
            }
        }
        // A full disk still reads.
        self.try_journal();
    }

    /// Tells those whose changes failed. Not before it is certain that nothing of them is left: a sync
    /// that failed may have written all the same, and a crash would bring back what was refused.
    fn tell_failed(&self, waiting: Vec<Waiting>) {
        let reason = self.queue.down_reason().unwrap_or_default();
        tell_lost(waiting, &Rejection::Unavailable(reason));
    }

    /// Whether it is not certain yet what became of a change that was accepted under this id.
    pub(super) fn is_failing(&self, id: &ChangeId) -> bool {
        self.failed.lock().waiting.iter().any(|waiting| match waiting {
            Waiting::Accepted(Accepted { deferred: Some((_, item)), .. }) => {
                item.parts.iter().any(|part| part.id.as_ref() == Some(id))
            }
            _ => false,
        })
    }

    /// Tries the journal again until it works, or the engine is to stop.
    pub(super) fn wait_for_journal(&self) {
        loop {
            let stopping = self.queue.wait_for_stop(RETRY_AFTER);
            if self.try_journal() {
                return;
            }
            if stopping {
                // Nothing more can be done for what waits.
                return self.queue.clear();
            }
        }
    }

    /// Opens the journal again; tells whether it works.
    pub(super) fn try_journal(&self) -> bool {
        let heads = self.failed.lock().heads.clone();
        if let Err(error) = self.config.journal.reopen(&heads) {
            tracing::warn!(%error, "the journal still fails");
            return false;
        }
        let Failed { waiting, .. } = std::mem::take(&mut *self.failed.lock());
        self.tell_failed(waiting);
        self.queue.come_up();
        tracing::info!("the journal works again");
        self.observe(|observer| observer.journal(Ok(())));
        true
    }
}

/// Adds the topics that `waiting` is about, in the order in which topics are locked. Two lives of one name
/// are two topics, which no decision locks together.
pub(super) fn add_cells(cells: &mut Vec<Arc<TopicCell>>, waiting: &[Waiting]) {
    cells.extend(waiting.iter().flat_map(Waiting::cells).cloned());
    cells.sort_by(|a, b| (a.name(), Arc::as_ptr(a)).cmp(&(b.name(), Arc::as_ptr(b))));
    cells.dedup_by(|a, b| Arc::ptr_eq(a, b));
}

/// The version that each topic falls back to: that before the first failing change.
pub(super) fn fall_back_to(failing: &[Waiting]) -> HashMap<*const TopicCell, Version> {
    let mut heads = HashMap::new();
    for waiting in failing {
        let Waiting::Accepted(accepted) = waiting else { continue };
        for (cell, before) in accepted.cells.iter().zip(&accepted.before) {
            heads.entry(Arc::as_ptr(cell)).or_insert(*before);
        }
    }
    heads
}

/// Tells those who wait for it that what was accepted is as if it had never been.
pub(super) fn tell_lost(waiting: Vec<Waiting>, rejection: &Rejection) {
    for waiting in waiting {
        match waiting {
            Waiting::Accepted(Accepted { deferred, asker, .. }) => {
                if let Some((ChangeSource { origin: Some(origin), .. }, item)) = deferred {
                    origin.lost(&item, rejection);
                }
                if let Some(asker) = asker {
                    asker.tell(Err(rejection.clone()));
                }
            }
            Waiting::Then(then) => then(Err(Unavailable)),
            Waiting::Read(read) => read(),
            Waiting::Operation(_) | Waiting::Removal(_) => {}
        }
    }
}
