//! What a decision does before it takes its topics' locks: reading the journal, and long rebases.
//!
//! Nobody waits for a topic while its log is read or a long run is rebased. That is done on copies, a piece at
//! a time; then the locks are taken, and what came meanwhile, which is short, is rebased over under them.
//!
//! ```text
//! base ────────────────► at ─────► head
//!   └ journal, copies ──┘└ locked ┘
//! ```
//!
//! What was rebased over may fall back if the journal fails. The commit of the version that a run has come
//! to tells: commit numbers are not given twice.

use super::cell::{State, TopicCell};
use super::draft::{Cells, Drafts, Failure, Guards};
use super::guard::guarded;
use super::past;
use crate::topic::log::CHECKPOINT_EVERY;
use crate::topic::rebase::{self, STEPS_MAX};
use crate::topic::{Budget, CommitNumber, Entry, Missed, Rejection, Version};
use crate::types::TypeRef;
use crate::types::run::MaybeChange;
use smallvec::SmallVec;

/// How many steps of a rebase are made under a topic's lock, a step being one change over one: about a
/// millisecond at most.
const LOCKED_STEPS_MAX: u64 = 1_024;

/// After how many rebases outside the locks the rest is done under them, however long it is.
const ROUNDS_MAX: usize = 4;

/// How many changes are copied in one hold of a topic's lock, or read at a time.
pub(super) const PIECE: u64 = 2_048;

/// How many missed changes are read from the journal to rebase over. What is older is stale.
const MISSED_READ_MAX: u64 = 250_000;

/// What was found out outside the locks.
#[derive(Default)]
pub(super) struct Ahead {
    /// Runs that are on their way to the head of their topic, with its index.
    runs: Vec<(usize, Rebasing)>,
    /// Entries that are in the journal alone, with the index of their topic.
    pub older: Vec<(usize, Entry)>,
    rounds: usize,
}

/// A run of changes of one topic, as far as it has come.
struct Rebasing {
    run: Vec<MaybeChange>,
    at: Version,
    /// That made `at`.
    commit: CommitNumber,
    budget: Budget,
}

/// As [`guarded`], of code that tells which change of a run failed.
fn guarded_run<T>(kind: TypeRef, run: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    guarded(kind, run).map_err(|rejection| (0, rejection)).flatten()
}

/// Rebases what was made on a base below the head onto the head, a run a topic. `false` if that takes longer
/// than it may under the locks: then [`Ahead::rebase`] comes first.
pub(super) fn rebase_locked(
    ahead: &mut Option<Box<Ahead>>,
    cells: &Cells,
    guards: &Guards<'_>,
    drafts: &mut Drafts,
) -> Result<bool, Failure> {
    // Most are one change, made on the head or a little before.
    if let ([draft], None) = (&mut drafts[..], &ahead) {
        let (state, Some(base)) = (&guards[draft.slot], draft.base) else { return Ok(true) };
        let head = state.topic.head();
        if base == head {
            return Ok(true);
        }
        if base < head && base >= state.topic.log().base() && head.0 - base.0 <= LOCKED_STEPS_MAX {
            let run = std::slice::from_mut(&mut draft.change);
            guarded_run(cells[draft.slot].kind(), || state.topic.rebase(run, base))?;
            return Ok(true);
        }
    }
    let has_base = drafts.iter().any(|draft| draft.base.is_some());
    if !has_base {
        return Ok(true);
    }
    ahead.get_or_insert_default().rebase_locked(cells, guards, drafts)
}

impl Ahead {
    /// As [`rebase_locked`], for whatever number of changes and topics.
    pub(super) fn rebase_locked(
        &mut self,
        cells: &Cells,
        guards: &Guards<'_>,
        drafts: &mut Drafts,
    ) -> Result<bool, Failure> {
        let mut all_short = true;
        for slot in 0..cells.len() {
            let Some((index, base)) = base_of(slot, drafts) else { continue };
            let state = &guards[slot];
            state.check_base(base).map_err(|rejection| (index, rejection))?;
            let at = self.come_to(slot, state, base);
            let missed = state.topic.head().0 - at.0;
            let steps = missed * len_of(slot, drafts) as u64;
            let is_short = steps <= LOCKED_STEPS_MAX || self.rounds >= ROUNDS_MAX;
            all_short &= at >= state.topic.log().base() && is_short;
        }
        if !all_short {
            return Ok(false);
        }
        for (slot, state) in guards.iter().enumerate() {
            let Some((_, base)) = base_of(slot, drafts) else { continue };
            let (mut run, at): (SmallVec<[MaybeChange; 1]>, _) = match self.take_run(slot) {
                Some(rebasing) => (rebasing.run.into(), rebasing.at),
                None if base == state.topic.head() => continue,
                None => {
                    let of_slot = drafts.iter_mut().filter(|draft| draft.slot == slot);
                    (of_slot.map(|draft| draft.change.take()).collect(), base)
                }
            };
            guarded_run(cells[slot].kind(), || state.topic.rebase(&mut run, at))
                .map_err(|(at, rejection)| (nth_of(slot, at, drafts), rejection))?;
            for (draft, change) in drafts.iter_mut().filter(|draft| draft.slot == slot).zip(run) {
                draft.change = change;
            }
        }
        Ok(true)
    }

    /// Rebases over what there is by now, without holding a lock for long.
    pub(super) fn rebase(&mut self, cells: &Cells, drafts: &Drafts) -> Result<(), Failure> {
        self.rounds += 1;
        for (slot, cell) in cells.iter().enumerate() {
            let Some((index, base)) = base_of(slot, drafts) else { continue };
            let of_slot = || drafts.iter().filter(|draft| draft.slot == slot);
            let original = || of_slot().map(|draft| draft.change.clone()).collect();
            // Up to the head as it is now: others may write faster than this goes.
            let mut target = None;
            loop {
                let piece = {
                    let state = cell.lock();
                    state.check_base(base).map_err(|rejection| (index, rejection))?;
                    let at = self.come_to(slot, &state, base);
                    match *target.get_or_insert(state.topic.head()) {
                        target if at >= target => break,
                        target => next_piece(&state, at, target),
                    }
                };
                let mut rebasing = self.take_run(slot).unwrap_or_else(|| Rebasing {
                    run: original(),
                    at: base,
                    commit: CommitNumber(0),
                    budget: Budget::new(STEPS_MAX),
                });
                let gone_on = rebasing.go_on(cell, piece);
                self.runs.push((slot, rebasing));
                gone_on.map_err(|(at, rejection)| (nth_of(slot, at, drafts), rejection))?;
            }
        }
        Ok(())
    }

    fn take_run(&mut self, slot: usize) -> Option<Rebasing> {
        let at = self.runs.iter().position(|(of, _)| *of == slot)?;
        Some(self.runs.swap_remove(at).1)
    }

    /// The entry that made a version of a topic, if it was read.
    pub(super) fn older(&self, slot: usize, version: Version) -> Option<&Entry> {
        let is_it = |(of, entry): &&(usize, Entry)| *of == slot && entry.version == version;
        self.older.iter().find(is_it).map(|(_, entry)| entry)
    }

    /// The version that a topic's run has come to. If what it was rebased over has fallen back, that is the
    /// base again.
    fn come_to(&mut self, slot: usize, state: &State, base: Version) -> Version {
        let run = self.runs.iter().find(|(of, _)| *of == slot);
        let Some((_, rebasing)) = run else { return base };
        let log = state.topic.log();
        let is_there =
            rebasing.at < log.base() || log.commit_at(rebasing.at) == Some(rebasing.commit);
        if rebasing.at > base && !is_there {
            self.take_run(slot);
            return base;
        }
        rebasing.at
    }
}

/// Some of what lies between a version and the head.
enum Piece {
    /// In memory: copies, the version that they lead to, and its commit.
    Here(Vec<Missed>, Version, CommitNumber),
    /// In the journal alone, up to this version.
    Older(Version),
}

/// What comes after `at`, which is before the head, at least up to one of `target` and [`PIECE`] more.
fn next_piece(state: &State, at: Version, target: Version) -> Piece {
    let log = state.topic.log();
    if at < log.base() {
        return Piece::Older(log.base());
    }
    let (mut missed, mut to) = (Vec::new(), at);
    for stretch in log.stretches_after(at) {
        to = Version(to.0 + stretch.entries().len() as u64);
        missed.push(stretch.to_missed());
        if to.0 - at.0 >= PIECE || to >= target {
            break;
        }
    }
    // It is that of an entry: the head is after `at`.
    Piece::Here(missed, to, log.commit_at(to).unwrap_or_default())
}

impl Rebasing {
    /// Rebases over one piece.
    fn go_on(&mut self, cell: &TopicCell, piece: Piece) -> Result<(), Failure> {
        let kind = cell.kind();
        let (run, budget) = (&mut self.run, &mut self.budget);
        let mut over =
            |missed: &Missed| guarded_run(kind, || rebase::over_missed(kind, run, missed, budget));
        match piece {
            Piece::Here(missed, to, commit) => {
                missed.iter().try_for_each(&mut over)?;
                (self.at, self.commit) = (to, commit);
            }
            Piece::Older(base) => {
                if base.0 - self.at.0 > MISSED_READ_MAX {
                    return Err((0, Rejection::TooFarBehind { run: self.run.len() }));
                }
                let to = Version(base.0.min(self.at.0 + PIECE));
                let read = past::entries(&*cell.journal, kind, cell.name(), self.at, to);
                let read = read.map_err(|error| (0, Rejection::Unavailable(error.to_string())))?;
                for entries in read.chunks(CHECKPOINT_EVERY as usize) {
                    over(&Missed::of_entries(entries))?;
                }
                self.at = to;
                self.commit = read.last().map_or(self.commit, |last| last.commit);
            }
        }
        Ok(())
    }
}

/// The index of the first change of a topic, and its base, if it has one.
fn base_of(slot: usize, drafts: &Drafts) -> Option<(usize, Version)> {
    let index = drafts.iter().position(|draft| draft.slot == slot)?;
    drafts[index].base.map(|base| (index, base))
}

fn len_of(slot: usize, drafts: &Drafts) -> usize {
    drafts.iter().filter(|draft| draft.slot == slot).count()
}

/// The index, among all changes, of the one that is number `nth` of its topic.
fn nth_of(slot: usize, nth: usize, drafts: &Drafts) -> usize {
    let of_slot = drafts.iter().enumerate().filter(|(_, draft)| draft.slot == slot);
    of_slot.map(|(index, _)| index).nth(nth).unwrap_or(0)
}
