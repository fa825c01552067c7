//! The first commit at which something does not hold, found by halving.

use crate::journal::Journal;
use crate::topic::CommitNumber;

use super::{Commit, Commits, ReplayError, Scope};

/// What a search found.
#[derive(Debug, Clone, PartialEq)]
pub enum Bisected {
    /// It does not hold from the start.
    NeverHeld {
        /// The start.
        at: CommitNumber,
    },
    /// It holds at the end.
    StillHolds {
        /// The end.
        at: CommitNumber,
    },
    /// It held before this commit and does not after it.
    Broke(Box<Commit>),
}

/// The first commit in `(from, to]` at which `holds` says no, given that it says yes at `from`: O(log n)
/// questions. If it changes its mind more than once, it is one of the commits at which it turned to no.
///
/// # Errors
/// Those of `holds`, and what keeps the journal from being read.
pub fn bisect<E: From<ReplayError>>(
    journal: &dyn Journal,
    scope: &Scope,
    (from, to): (CommitNumber, CommitNumber),
    holds: &mut dyn FnMut(CommitNumber) -> Result<bool, E>,
) -> Result<Bisected, E> {
    let to = to.min(scope.newest);
    if !holds(from)? {
        return Ok(Bisected::NeverHeld { at: from });
    }
    if to <= from || holds(to)? {
        return Ok(Bisected::StillHolds { at: to.max(from) });
    }
    let failed = |error| E::from(ReplayError::Journal(error));
    let mut numbers = Vec::new();
    for commit in Commits::after(journal, scope, from).map_err(failed)? {
        let number = commit.map_err(failed)?.number;
        if number > to {
            break;
        }
        if numbers.last() != Some(&number) {
            numbers.push(number);
        }
    }
    // It holds before the commit at `good`, and does not after the one at `bad`.
    let (mut good, mut bad) = (0, numbers.len().saturating_sub(1));
    while good < bad {
        let middle = good + (bad - good) / 2;
        if holds(numbers[middle])? { good = middle + 1 } else { bad = middle }
    }
    let before = numbers.get(good).map_or(from, |number| CommitNumber(number.0 - 1));
    let first = Commits::after(journal, scope, before).map_err(failed)?.next();
    Ok(match first.transpose().map_err(failed)? {
        Some(commit) => Bisected::Broke(Box::new(commit)),
        None => Bisected::StillHolds { at: to },
    })
}
