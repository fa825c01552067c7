//! What a failure of the journal leads to: topics as they were, and authors who are told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::Engine;
use super::cell::TopicCell;
use super::queue::{Accepted, Unavailable, Waiting};
use crate::journal::CommitError;
use crate::topic::{ChangeId, TopicName, Version};

/// How long after a failure the journal is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// What failed, until the journal has cut it off.
#[derive(Default)]
pub(super) struct Failed {
    waiting: Vec<Waiting>,
    /// The durable heads of the topics that the journal may hold more of.
    heads: Vec<(TopicName, Version)>,
}

impl Engine {
    /// Takes back all that was accepted and cannot be made durable, and tells its authors.
    pub(super) fn fail(&self, group: Vec<Waiting>, error: &CommitError) {
        tracing::error!(%error, "the journal failed; changes are turned away until it works again");
        self.queue.go_down(error.to_string());
        let (kept, mut failing): (Vec<_>, Vec<_>) = group.into_iter().partition(Waiting::is_kept);
        let mut affected: BTreeMap<TopicName, Arc<TopicCell>> = BTreeMap::new();
        loop {
            failing.extend(self.queue.take_failing());
            let before = affected.len();
            affected.extend(failing.iter().flat_map(Waiting::cells).map(|cell| {
                let cell = cell.clone();
                (cell.name().clone(), cell)
            }));
            // Who was in the midst of a decision when the journal failed may still have added to these.
            let cells: Vec<_> = affected.values().cloned().collect();
            let mut guards: Vec<_> = cells.iter().map(|cell| cell.lock()).collect();
            if affected.len() > before || self.queue.has_failing() {
                continue;
            }
            for (name, version) in fall_back_to(&failing) {
                // It is one of the affected.
                let Some(slot) = affected.keys().position(|it| it == name) else { continue };
                guards[slot].fall_back(version);
            }
            break;
        }
        affected.extend(kept.iter().flat_map(Waiting::cells).map(|cell| {
            let cell = cell.clone();
            (cell.name().clone(), cell)
        }));
        self.queue.put_back(kept);
        let journalled = affected.into_iter().filter(|(_, cell)| cell.is_journalled());
        let heads = journalled.map(|(name, cell)| (name, cell.lock().durable)).collect();
        *self.failed.lock() = Failed { waiting: failing, heads };
        self.queue.settled();
        self.observe(|observer| observer.journal(Err(&error.to_string())));
        // A full disk still reads.
        self.try_journal();
    }

    /// Tells those whose changes failed. Not before it is certain that nothing of them is left: a sync
    /// that failed may have written all the same, and a crash would bring back what was refused.
    fn tell_failed(&self, waiting: Vec<Waiting>) {
        let reason = self.queue.down_reason().unwrap_or_default();
        for waiting in waiting {
            match waiting {
                Waiting::Accepted(Accepted { deferred: Some((by, item)), .. }) => {
                    if let Some(origin) = by.origin {
                        origin.unavailable(&item, &reason);
                    }
                }
                Waiting::Then(then) => then(Err(Unavailable)),
                _ => {}
            }
        }
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

/// The version that each topic falls back to: that before the first failing change.
fn fall_back_to(failing: &[Waiting]) -> BTreeMap<&TopicName, Version> {
    let mut heads = BTreeMap::new();
    for waiting in failing {
        let Waiting::Accepted(accepted) = waiting else { continue };
        for (cell, before) in accepted.cells.iter().zip(&accepted.before) {
            heads.entry(cell.name()).or_insert(*before);
        }
    }
    heads
}
