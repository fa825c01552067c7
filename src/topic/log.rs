//! The version log: a topic's accepted changes in order, and values kept along the way.
//!
//! The log is the source of truth; every value is derived from it. A checkpoint is kept every
//! [`CHECKPOINT_EVERY`] versions, or at the end of the action that comes by then, so that any past value
//! is a bounded number of changes away. A checkpoint is a pointer into persistent data: it costs what
//! changed since the one before.

use std::collections::vec_deque::Iter;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::rebase::{ComposedSlot, Missed};
use super::{ActionId, ChangeId, ClientId, CommitNumber, Timestamp, Version};
use crate::types::run::MaybeChange;
use crate::types::{AnyValue, TypeRef};

/// How many versions lie between two checkpoints, at least; one action more at most.
pub(crate) const CHECKPOINT_EVERY: u64 = 256;

/// One accepted change.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The version that this change made.
    pub version: Version,
    /// The number of its commit.
    pub commit: CommitNumber,
    /// The change as accepted; `None` where rebasing left nothing to do.
    pub change: MaybeChange,
    /// Who made it.
    pub author: ClientId,
    /// The id under which its author sent it.
    pub id: ChangeId,
    /// The action that it was part of, if it did not come alone.
    pub action: Option<Arc<ActionMark>>,
    /// When it was accepted.
    pub time: Timestamp,
}

impl Entry {
    /// Applies the change to the value before it.
    pub fn apply_to(&self, kind: TypeRef, value: &mut AnyValue) {
        if let Some(change) = &self.change {
            // It was applied to an equal value when it was accepted.
            kind.apply(value, change).expect("an accepted change applies");
        }
    }
}

/// What the entries of one action share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionMark {
    /// The id of the action.
    pub id: ActionId,
    /// Set for an undo or redo.
    pub reverses: Option<Reverses>,
}

/// What an undo or redo takes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reverses {
    /// The commit whose changes were inverted: for a redo, that of the undo.
    pub commit: CommitNumber,
    /// The id of the action (or lone change) that the author first made.
    pub original: ActionId,
    /// Whether it is a redo.
    pub redo: bool,
}

/// Accepted changes in order, from the oldest kept to the head.
#[derive(Debug, Clone)]
pub struct VersionLog {
    kind: TypeRef,
    /// Without gaps: the first makes version `base + 1`, the last makes the head.
    entries: VecDeque<Entry>,
    /// The oldest version whose value is known. There is a checkpoint at it.
    base: Version,
    /// Commit and time of what made `base`: a change, or a fork. Zeros at version 0, which was always
    /// there; `None` if it is not known.
    base_made: Option<(CommitNumber, Timestamp)>,
    /// Values at versions from `base` on, ascending.
    checkpoints: VecDeque<Checkpoint>,
    /// The versions of the kept entries, and of those in `remembered`, by their ids.
    ids: HashMap<ChangeId, Version, RandomState>,
    /// The ids of entries before `base` that may still be sent again, and their commits; oldest first.
    remembered: VecDeque<(CommitNumber, ChangeId)>,
}

/// A value kept at some version.
#[derive(Debug, Clone)]
struct Checkpoint {
    version: Version,
    value: AnyValue,
    /// The changes from here to the next checkpoint, composed; made when somebody first asks for it.
    composed: Arc<ComposedSlot>,
}

impl Checkpoint {
    fn new(version: Version, value: AnyValue) -> Checkpoint {
        Checkpoint { version, value, composed: Arc::default() }
    }
}

/// Entries one after the other, none of them beyond the next checkpoint.
pub struct Stretch<'a> {
    entries: Iter<'a, Entry>,
    /// The checkpoint at which it begins, if it also reaches to the next one.
    checkpoint: Option<&'a Checkpoint>,
}

impl<'a> Stretch<'a> {
    /// The entries, oldest first.
    pub fn entries(&self) -> Iter<'a, Entry> {
        self.entries.clone()
    }

    /// Where the composition of the entries is kept, if they reach from one checkpoint to the next.
    pub(super) fn composed_slot(&self) -> Option<&'a ComposedSlot> {
        self.checkpoint.map(|checkpoint| &*checkpoint.composed)
    }

    /// The changes by themselves.
    pub fn to_missed(&self) -> Missed {
        let changes = self.entries().map(|entry| (entry.version, entry.change.clone())).collect();
        Missed { changes, composed: self.checkpoint.map(|checkpoint| checkpoint.composed.clone()) }
    }
}

impl VersionLog {
    /// An empty log that starts from `value` at version `base`.
    pub fn new(kind: TypeRef, base: Version, value: AnyValue) -> VersionLog {
        VersionLog {
            kind,
            entries: VecDeque::new(),
            base,
            base_made: (base == Version(0)).then(Default::default),
            checkpoints: VecDeque::from([Checkpoint::new(base, value)]),
            ids: HashMap::default(),
            remembered: VecDeque::new(),
        }
    }

    /// Says with which commit and when [`base`](Self::base) was made, as far as that is known, where the
    /// log begins within a longer one or with a fork.
    pub fn set_base(&mut self, made: Option<(CommitNumber, Timestamp)>) {
        self.base_made = made;
    }

    /// Remembers the id of a change that was accepted before [`base`](Self::base), until
    /// [`forget_ids`](Self::forget_ids). To be told of the oldest first.
    pub fn remember(&mut self, id: ChangeId, version: Version, commit: CommitNumber) {
        self.ids.insert(id.clone(), version);
        self.remembered.push_back((commit, id));
    }

    /// The newest version.
    pub fn head(&self) -> Version {
        Version(self.base.0 + self.entries.len() as u64)
    }

    /// The oldest version whose value is known, and the oldest base that a change can have.
    pub fn base(&self) -> Version {
        self.base
    }

    /// The commit of the newest change; 0 if there is none.
    pub fn commit(&self) -> CommitNumber {
        match self.entries.back() {
            Some(newest) => newest.commit,
            None => self.base_made.unwrap_or_default().0,
        }
    }

    /// The commit and time of what made [`base`](Self::base); `None` if that is not known.
    pub fn base_made(&self) -> Option<(CommitNumber, Timestamp)> {
        self.base_made
    }

    /// When the newest change was accepted; 0 if there is none.
    pub fn time(&self) -> Timestamp {
        match self.entries.back() {
            Some(newest) => newest.time,
            None => self.base_made.unwrap_or_default().1,
        }
    }

    /// The commit of the change that made `version`; `None` if it is not kept.
    pub fn commit_at(&self, version: Version) -> Option<CommitNumber> {
        if version == self.base {
            self.base_made.map(|(commit, _)| commit)
        } else {
            self.entry(version).map(|entry| entry.commit)
        }
    }

    /// Appends an entry. O(1).
    ///
    /// # Panics
    /// If the entry's version does not follow the head.
    pub fn push(&mut self, entry: Entry) {
        assert_eq!(entry.version, self.head().next(), "versions have no gaps");
        self.ids.insert(entry.id.clone(), entry.version);
        self.entries.push_back(entry);
    }

    /// Keeps `value`, which is that of the head, if the newest checkpoint is `CHECKPOINT_EVERY`
    /// versions away. O(1).
    ///
    /// To be called once the last entry of an action is there: its changes were applied together, and
    /// there is no value in between.
    pub fn keep_checkpoint(&mut self, value: &AnyValue) {
        let newest = self.checkpoints.back().map_or(self.base, |newest| newest.version);
        if self.head().0 >= newest.0 + CHECKPOINT_EVERY {
            self.checkpoints.push_back(Checkpoint::new(self.head(), value.clone()));
        }
    }

    /// The entry that made `version`, if it is kept. O(1).
    pub fn entry(&self, version: Version) -> Option<&Entry> {
        let index = version.0.checked_sub(self.base.0 + 1)?;
        self.entries.get(usize::try_from(index).ok()?)
    }

    /// The version that the change with this id made, if it is kept or remembered. O(1).
    pub fn version_of(&self, id: &ChangeId) -> Option<Version> {
        self.ids.get(id).copied()
    }

    /// The entries after `version`, oldest first; all that are kept if it is older than those.
    pub fn after(
        &self,
        version: Version,
    ) -> impl DoubleEndedIterator<Item = &Entry> + ExactSizeIterator {
        let skipped = version.0.saturating_sub(self.base.0).min(self.entries.len() as u64);
        self.entries.range(skipped as usize..)
    }

    /// The entries after `version`, which is not older than [`base`](Self::base), in stretches.
    pub fn stretches_after(&self, version: Version) -> impl Iterator<Item = Stretch<'_>> {
        let index = |version: Version| (version.0 - self.base.0) as usize;
        let reached = self.checkpoints.partition_point(|it| it.version <= version);
        (reached.saturating_sub(1)..self.checkpoints.len()).map(move |at| {
            let (checkpoint, next) = (&self.checkpoints[at], self.checkpoints.get(at + 1));
            let start = checkpoint.version.max(version);
            let end = next.map_or(self.head(), |next| next.version);
            let is_whole = next.is_some() && start == checkpoint.version;
            Stretch {
                entries: self.entries.range(index(start)..index(end)),
                checkpoint: is_whole.then_some(checkpoint),
            }
        })
    }

    /// The value at `version`; `None` if that is not kept or not there yet.
    ///
    /// A pointer at a checkpoint; else the changes since the one before are applied.
    pub fn value_at(&self, version: Version) -> Option<AnyValue> {
        if version > self.head() || version < self.base {
            return None;
        }
        let index = self.checkpoints.partition_point(|it| it.version <= version);
        // There is one at `base`, which is not after `version`.
        let checkpoint = self.checkpoints.get(index.checked_sub(1)?)?;
        let (mut at, mut value) = (checkpoint.version, checkpoint.value.clone());
        while at < version {
            at = at.next();
            self.apply(&mut value, self.entry(at)?);
        }
        Some(value)
    }

    /// Applies an entry of this log to the value before it.
    pub fn apply(&self, value: &mut AnyValue, entry: &Entry) {
        entry.apply_to(self.kind, value);
    }

    /// The newest version not after `commit`, among those kept.
    pub fn version_at_commit(&self, commit: CommitNumber) -> Version {
        self.version_by(|entry| entry.commit <= commit)
    }

    /// The newest version not after `time`, among those kept.
    pub fn version_at_time(&self, time: Timestamp) -> Version {
        self.version_by(|entry| entry.time <= time)
    }

    fn version_by(&self, is_before: impl Fn(&Entry) -> bool) -> Version {
        Version(self.base.0 + self.entries.partition_point(is_before) as u64)
    }

    /// Forgets the entries up to `base`, or up to the action before if that is within one, and leaves a
    /// checkpoint there. Amortized O(1) an entry.
    pub fn trim(&mut self, base: Version) {
        self.drop_until(base, |log, entry| {
            log.ids.remove(&entry.id);
        });
    }

    /// As [`trim`](Self::trim), but the ids of what is forgotten are still known: the entries are kept
    /// elsewhere.
    pub fn evict_prefix(&mut self, base: Version) {
        self.drop_until(base, |log, entry| log.remembered.push_back((entry.commit, entry.id)));
    }

    /// Forgets the ids of changes before [`base`](Self::base) of commits up to `commit`.
    pub fn forget_ids(&mut self, commit: CommitNumber) {
        while let Some((_, id)) = self.remembered.pop_front_if(|(of, _)| *of <= commit) {
            self.ids.remove(&id);
        }
    }

    fn drop_until(&mut self, base: Version, mut forget: impl FnMut(&mut VersionLog, Entry)) {
        let mut base = base.min(self.head());
        // An action is kept whole or not at all: half of it could be neither undone nor told of.
        while base > self.base
            && let (Some(last), Some(next)) = (self.entry(base), self.entry(base.next()))
            && last.commit == next.commit
        {
            base = Version(base.0 - 1);
        }
        if base <= self.base {
            return;
        }
        let Some(value) = self.value_at(base) else { return };
        while self.checkpoints.front().is_some_and(|it| it.version <= base) {
            self.checkpoints.pop_front();
        }
        self.checkpoints.push_front(Checkpoint::new(base, value));
        for _ in self.base.0..base.0 {
            // The head is not before `base`.
            let entry = self.entries.pop_front().expect("an entry for each version up to the head");
            self.base_made = Some((entry.commit, entry.time));
            forget(self, entry);
        }
        self.base = base;
    }

    /// Takes the entries after `head` back, which is not before [`base`](Self::base).
    pub fn truncate(&mut self, head: Version) {
        let kept = (head.0.saturating_sub(self.base.0) as usize).min(self.entries.len());
        for entry in self.entries.drain(kept..) {
            self.ids.remove(&entry.id);
        }
        while self.checkpoints.back().is_some_and(|it| it.version > head) {
            self.checkpoints.pop_back();
        }
        // What it composed reached to a checkpoint that is gone.
        if let Some(newest) = self.checkpoints.back_mut() {
            newest.composed = Arc::default();
        }
    }
}
