//! Rebasing a run of changes over what its author had missed.
//!
//! Where the type rebases over compositions, what was missed is composed a stretch at a time: then it takes
//! O(m) for m missed changes once each stretch was composed, however many edits a change of the run is made
//! of. Else it takes O(r · m) for a run of r changes.
//!
//! Small pieces are rebased over where they lie, long ones are copied out as [`Missed`] first, so that
//! nobody waits for the rebase.

use std::sync::{Arc, OnceLock};

use super::{Entry, Rejection, Version};
use crate::types::run::{self, MaybeChange};
use crate::types::{AnyChange, TypeRef};

/// From how many missed changes on they are composed before a change is rebased over them.
const COMPOSE_MISSED_MIN: usize = 8;

/// How many steps one rebase may take, a step being one change over one: about a second.
pub(crate) const STEPS_MAX: u64 = 1_000_000;

/// The changes of a stretch, composed; made when somebody first asks for it.
pub(super) type ComposedSlot = OnceLock<Arc<[AnyChange]>>;

/// The first change of a run that cannot be rebased, by its index, and why.
pub(crate) type Failure = (usize, Rejection);

/// Accepted changes, one after the other, none of them beyond the next checkpoint of their log.
pub struct Missed {
    pub(super) changes: Vec<(Version, MaybeChange)>,
    /// Set if these are all changes from one checkpoint to the next.
    pub(super) composed: Option<Arc<ComposedSlot>>,
}

impl Missed {
    /// Entries that do not lie in a log.
    pub fn of_entries(entries: &[Entry]) -> Missed {
        let changes = entries.iter().map(|entry| (entry.version, entry.change.clone())).collect();
        Missed { changes, composed: None }
    }
}

/// What a rebase may still take.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    steps: u64,
}

impl Budget {
    /// So many steps, which are all that may be taken.
    pub fn new(steps: u64) -> Budget {
        Budget { steps }
    }

    fn take(&mut self, run: usize, over: usize) -> Result<(), Failure> {
        let steps = run as u64 * over as u64;
        match self.steps.checked_sub(steps) {
            Some(left) => {
                self.steps = left;
                Ok(())
            }
            None => Err((0, Rejection::TooFarBehind { run })),
        }
    }
}

/// Rebases a run over one piece of what was missed.
///
/// # Errors
/// The first change of the run that cannot be rebased, by its index, and why; or `budget` is used up. The
/// run is then of no further use.
pub(crate) fn over_missed(
    kind: TypeRef,
    run: &mut [MaybeChange],
    missed: &Missed,
    budget: &mut Budget,
) -> Result<(), Failure> {
    let changes = missed.changes.iter().map(|(version, change)| (*version, change));
    over(kind, run, changes, missed.composed.as_deref(), budget)
}

/// As [`over_missed`], over changes wherever they are. `slot` is where their composition is kept.
pub(super) fn over<'a>(
    kind: TypeRef,
    run: &mut [MaybeChange],
    missed: impl ExactSizeIterator<Item = (Version, &'a MaybeChange)> + Clone,
    slot: Option<&ComposedSlot>,
    budget: &mut Budget,
) -> Result<(), Failure> {
    if kind.rebases_over_composed() && missed.len() >= COMPOSE_MISSED_MIN {
        let compose = || -> Arc<[AnyChange]> {
            let changes: Vec<_> = missed.clone().filter_map(|(_, change)| change.clone()).collect();
            run::compose_all(kind, &changes).into()
        };
        let composed = match slot {
            Some(slot) => slot.get_or_init(compose).clone(),
            None => compose(),
        };
        budget.take(run.len(), composed.len())?;
        if over_composed(kind, run, &composed) {
            return Ok(());
        }
        // A conflict, maybe: going one by one tells with which version.
    }
    budget.take(run.len(), missed.len())?;
    for (version, change) in missed {
        run::rebase_run(kind, run, change.clone())
            .map_err(|(index, conflict)| (index, Rejection::Conflict { conflict, version }))?;
    }
    Ok(())
}

/// Rebases a run over composed changes. If it tells `false`, something may be in conflict, and the run is as
/// it was.
fn over_composed(kind: TypeRef, run: &mut [MaybeChange], composed: &[AnyChange]) -> bool {
    // What cancelled out has still changed the value: a `set` must not slip through.
    if composed.is_empty() {
        return false;
    }
    let mut attempt = run.to_vec();
    let mut rebase =
        |accepted: &AnyChange| run::rebase_run(kind, &mut attempt, Some(accepted.clone())).is_ok();
    let rebased = composed.iter().all(&mut rebase);
    if rebased {
        run.clone_from_slice(&attempt);
    }
    rebased
}
