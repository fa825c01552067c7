//! A topic: a value and the version log that made it what it is.
//!
//! [`Topic`] decides whether a change is accepted and what becomes of it. It never waits, locks or
//! writes: the engine calls it under the topic's lock and sees to the rest.
//!
//! | module | holds |
//! |---|---|
//! | `ids` | names and numbers: [`TopicName`], [`Version`], [`ChangeId`], … |
//! | `options` | [`TopicOptions`] |
//! | `log` | [`VersionLog`] and its [`Entry`]s |
//! | `rebase` | runs of changes over what their author had missed |
//! | `rejection` | [`Rejection`] |
//! | `undo` | the inverse of an author's own action, as it stands today |

pub(crate) mod ids;
pub(crate) mod log;
pub(crate) mod options;
pub(crate) mod rebase;
pub(crate) mod rejection;
pub(crate) mod undo;

pub use ids::{
    ActionId, ChangeId, ClientId, CommitNumber, Epoch, Moment, NameError, Timestamp, TopicName,
    Uptime, Version,
};
pub use log::{ActionMark, Entry, Reverses, VersionLog};
pub use options::{Delivery, Durability, Keep, OptionError, TopicOptions};
pub use rebase::{Budget, Missed};
pub use rejection::Rejection;

use crate::types::run::MaybeChange;
use crate::types::{AnyChange, AnyValue, TypeRef};
use crate::value::Invalid;

/// How many of its newest changes a topic has in memory, even if they are elsewhere too; up to twice as
/// many, as they are evicted in strides.
const ENTRIES_IN_MEMORY_MIN: u64 = 2_048;

/// A value and its version log.
#[derive(Debug, Clone)]
pub struct Topic {
    kind: TypeRef,
    /// The value at the log's head, and what was tried on top of it within one decision.
    value: AnyValue,
    log: VersionLog,
}

impl Topic {
    /// A new topic, at version 0 of its type's initial value.
    pub fn new(kind: TypeRef) -> Topic {
        let value = kind.initial();
        Topic { kind, log: VersionLog::new(kind, Version(0), value.clone()), value }
    }

    /// The topic's type.
    pub fn kind(&self) -> TypeRef {
        self.kind
    }

    /// The value at the head. A clone of it is a pointer.
    pub fn value(&self) -> &AnyValue {
        &self.value
    }

    /// The changes that are kept.
    pub fn log(&self) -> &VersionLog {
        &self.log
    }

    /// The newest version.
    pub fn head(&self) -> Version {
        self.log.head()
    }

    /// A topic whose value and log go on from `log`, at whose head the value is `value`.
    pub fn of_log(kind: TypeRef, log: VersionLog, value: AnyValue) -> Topic {
        Topic { kind, value, log }
    }

    /// Says with which commit, and when, the value was taken that the log begins with.
    pub fn begin_at(&mut self, commit: CommitNumber, time: Timestamp) {
        self.log.set_base(Some((commit, time)));
    }

    /// Checks that a change can have this base.
    ///
    /// # Errors
    /// The base is not there yet, or no longer kept.
    pub fn check_base(&self, base: Version) -> Result<(), Rejection> {
        let (head, oldest) = (self.head(), self.log.base());
        if base > head {
            return Err(Rejection::BasePastHead { base, head });
        }
        if base < oldest {
            return Err(Rejection::BaseTooOld { base, oldest });
        }
        Ok(())
    }

    /// Rebases a run of changes made at `base` onto the head.
    ///
    /// # Errors
    /// The first change of the run that cannot be rebased, by its index, and why.
    pub fn rebase(&self, run: &mut [MaybeChange], base: Version) -> Result<(), (usize, Rejection)> {
        self.check_base(base).map_err(|rejection| (0, rejection))?;
        let mut budget = Budget::new(u64::MAX);
        for stretch in self.log.stretches_after(base) {
            let missed = stretch.entries().map(|entry| (entry.version, &entry.change));
            rebase::over(self.kind, run, missed, stretch.composed_slot(), &mut budget)?;
        }
        Ok(())
    }

    /// Makes the value anew from the log, when what was tried on top of it has broken it.
    pub fn rebuild(&mut self) {
        // The head's value is always known: the log begins at one that is.
        if let Some(value) = self.log.value_at(self.head()) {
            self.value = value;
        }
    }

    /// Applies a change to the value and gives it in its exact form. It counts once it is
    /// [`push`](Self::push)ed; until then [`restore`](Self::restore) takes it back.
    ///
    /// # Errors
    /// The change does not fit; the value is as it was.
    pub fn apply(&mut self, change: AnyChange) -> Result<AnyChange, Invalid> {
        let change = self.kind.resolve(change, &self.value)?;
        self.kind.apply(&mut self.value, &change)?;
        Ok(change)
    }

    /// Puts back a value that was taken from [`value`](Self::value) before changes were applied.
    pub fn restore(&mut self, value: AnyValue) {
        self.value = value;
    }

    /// Appends the entry of a change that was applied, and that came alone.
    pub fn push(&mut self, entry: Entry) {
        self.push_one_of(entry);
        self.keep_checkpoint();
    }

    /// Appends one of the entries of an action, all of whose changes were applied.
    /// [`keep_checkpoint`](Self::keep_checkpoint) comes after the last.
    pub fn push_one_of(&mut self, entry: Entry) {
        self.log.push(entry);
    }

    /// Applies and appends an entry that was accepted elsewhere, on the value that is at the head here.
    ///
    /// # Errors
    /// It does not apply; the topic is as it was.
    pub fn take_over(&mut self, entry: Entry) -> Result<(), Invalid> {
        if let Some(change) = &entry.change {
            self.kind.apply(&mut self.value, change)?;
        }
        self.log.push(entry);
        Ok(())
    }

    /// Keeps a checkpoint of the value, if it is time for one. All that was applied is in the log.
    pub fn keep_checkpoint(&mut self) {
        self.log.keep_checkpoint(&self.value);
    }

    /// Takes back what was accepted after `head`, which the log still holds.
    pub fn fall_back(&mut self, head: Version) {
        if let Some(value) = self.log.value_at(head) {
            self.value = value;
            self.log.truncate(head);
        }
    }

    /// The oldest version that `options` keep, as far as the log tells; changes of commits after
    /// `forgotten` are kept in any case, as they may be sent again.
    pub fn oldest_kept(
        &self,
        options: &TopicOptions,
        now: Timestamp,
        forgotten: CommitNumber,
    ) -> Version {
        let log = &self.log;
        let bound = match options.keep {
            _ if options.no_history => log.head(),
            Keep::All => return Version(0),
            Keep::Versions(count) => Version(log.head().0.saturating_sub(count)),
            Keep::Seconds(seconds) => {
                let since = now.0.saturating_sub(seconds.saturating_mul(1000));
                log.version_at_time(Timestamp(since))
            }
        };
        // Whatever the options say: what may be sent again has to be known.
        bound.min(log.version_at_commit(forgotten))
    }

    /// Forgets what is before `oldest`, in strides, as each leaves a checkpoint.
    pub fn trim(&mut self, oldest: Version) {
        if oldest.0 >= self.log.base().0 + log::CHECKPOINT_EVERY {
            self.log.trim(oldest);
        }
    }

    /// Keeps in memory only the newest changes, those after `durable` in any case, as the others can be
    /// read elsewhere; the ids of those of commits after `forgotten` stay known.
    pub fn evict_prefix(&mut self, durable: Version, forgotten: CommitNumber) {
        let newest = Version(self.head().0.saturating_sub(ENTRIES_IN_MEMORY_MIN)).min(durable);
        if newest.0 >= self.log.base().0 + ENTRIES_IN_MEMORY_MIN {
            self.log.evict_prefix(newest);
        }
        self.log.forget_ids(forgotten);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::run;
    use crate::types::string::{String, StringChange};

    fn accept(topic: &mut Topic, change: StringChange) {
        let change = topic.apply(AnyChange::new::<String>(change)).unwrap();
        let version = topic.head().next();
        topic.push(Entry {
            version,
            commit: CommitNumber(version.0),
            change: Some(change),
            author: ClientId(1),
            id: ChangeId::of(ClientId(1), version.0),
            action: None,
            time: Timestamp(version.0 * 1000),
        });
    }

    /// A text to which a letter was added, again and again.
    fn topic(changes: u64) -> Topic {
        let mut topic = Topic::new(TypeRef::of::<String>());
        for _ in 0..changes {
            accept(&mut topic, StringChange::insert(0, "x"));
        }
        topic
    }

    fn text(topic: &Topic, version: u64) -> Option<std::string::String> {
        let value = topic.log().value_at(Version(version))?;
        Some(value.get::<String>().unwrap().to_string())
    }

    #[test]
    fn a_set_does_not_slip_over_changes_that_cancel_out() {
        let mut topic = Topic::new(TypeRef::of::<String>());
        for _ in 0..8 {
            accept(&mut topic, StringChange::insert(0, "x"));
            accept(&mut topic, StringChange::delete(0, 1));
        }
        let mut run = [Some(AnyChange::new::<String>(StringChange::Set("y".into())))];
        let rejected = topic.rebase(&mut run, Version(0)).unwrap_err();
        assert!(matches!(rejected, (0, Rejection::Conflict { version: Version(1), .. })));
    }

    #[test]
    fn rebasing_over_stretches_is_rebasing_one_by_one() {
        let mut topic = Topic::new(TypeRef::of::<String>());
        let letters = "abcdefgh".repeat(100);
        accept(&mut topic, StringChange::insert(0, letters.as_str()));
        for at in 0..3 * log::CHECKPOINT_EVERY as usize {
            let position = at * 7919 % (letters.len() / 2);
            accept(
                &mut topic,
                match at % 3 {
                    0 => StringChange::delete(position, 1),
                    _ => StringChange::insert(position, "xy"),
                },
            );
        }
        let check = |topic: &Topic, base: Version| {
            let insert = |position| AnyChange::new::<String>(StringChange::insert(position, "N"));
            let original = [Some(insert(0)), Some(insert(150)), Some(insert(301))];
            let (mut run, mut one_by_one) = (original.clone(), original);
            topic.rebase(&mut run, base).unwrap();
            for entry in topic.log().after(base) {
                run::rebase_run(topic.kind(), &mut one_by_one, entry.change.clone()).unwrap();
            }
            assert_eq!(run, one_by_one, "from {base}");
        };
        for base in [1, 2, 255, 256, 257, 500, 512, 700, 767, 768, 769] {
            check(&topic, Version(base));
            check(&topic, Version(base));
        }
        topic.log.trim(Version(300));
        for base in [300, 301, 512, 600] {
            check(&topic, Version(base));
        }
    }

    #[test]
    fn every_kept_version_can_be_read_and_trimming_changes_none() {
        let mut topic = topic(3 * log::CHECKPOINT_EVERY);
        let values: Vec<_> = (0..=topic.head().0).map(|version| text(&topic, version)).collect();
        assert!(values.iter().enumerate().all(|(at, text)| text.as_ref().unwrap().len() == at));
        let options = TopicOptions { keep: Keep::Versions(300), ..TopicOptions::default() };
        let now = Timestamp(3 * log::CHECKPOINT_EVERY * 1000);
        let oldest = topic.oldest_kept(&options, now, CommitNumber(0));
        assert_eq!(oldest, Version(0), "all may be sent again");
        topic.trim(topic.oldest_kept(&options, now, CommitNumber(u64::MAX)));
        assert_eq!(topic.log().base(), Version(3 * log::CHECKPOINT_EVERY - 300));
        for (version, value) in values.into_iter().enumerate() {
            let kept = version as u64 >= topic.log().base().0;
            assert_eq!(text(&topic, version as u64), value.filter(|_| kept));
        }
        let dropped = ChangeId::of(ClientId(1), 1);
        assert!(topic.log().version_of(&dropped).is_none(), "an id goes with its entry");
        assert!(topic.check_base(Version(1)).is_err());
    }

    #[test]
    fn what_is_evicted_is_still_known_by_its_id_for_a_while() {
        let mut topic = topic(5_000);
        topic.evict_prefix(Version(5_000), CommitNumber(0));
        assert_eq!(topic.log().base(), Version(5_000 - ENTRIES_IN_MEMORY_MIN));
        let (commit, _) = topic.log().base_made().unwrap();
        assert_eq!(commit, CommitNumber(topic.log().base().0));
        let id = ChangeId::of(ClientId(1), 1_000);
        assert_eq!(topic.log().version_of(&id), Some(Version(1_000)));
        topic.evict_prefix(Version(5_000), CommitNumber(1_000));
        assert_eq!(topic.log().version_of(&id), None);
        assert!(topic.log().version_of(&ChangeId::of(ClientId(1), 1_001)).is_some());
    }

    #[test]
    fn falling_back_leaves_nothing_of_what_came_after() {
        let (mut fallen, before) = (topic(600), topic(500));
        fallen.fall_back(Version(500));
        assert_eq!((fallen.head(), fallen.value()), (Version(500), before.value()));
        assert!(fallen.log().version_of(&ChangeId::of(ClientId(1), 501)).is_none());
        for _ in 0..100 {
            accept(&mut fallen, StringChange::insert(0, "y"));
        }
        let mut run = [Some(AnyChange::new::<String>(StringChange::insert(0, "N")))];
        fallen.rebase(&mut run, Version(300)).unwrap();
        assert_eq!(fallen.log().value_at(Version(600)).as_ref(), Some(fallen.value()));
    }

    #[test]
    fn a_past_moment_is_the_newest_version_before_it() {
        let topic = topic(10);
        assert_eq!(topic.log().version_at_time(Timestamp(4_500)), Version(4));
        assert_eq!(topic.log().version_at_commit(CommitNumber(99)), Version(10));
        assert_eq!(topic.log().version_at_commit(CommitNumber(0)), Version(0));
    }
}
