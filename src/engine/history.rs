//! Past values and past changes of topics, over what their logs keep.

use thiserror::Error;

use super::Engine;
use super::cell::{State, TopicCell};
use super::past::{self, PastError, Snapshot};
use crate::journal::JournalError;
use crate::topic::{CommitNumber, Entry, Moment, Timestamp, TopicName, Version};
use crate::types::TypeRef;

/// Where a moment of a topic's past is.
enum Place {
    /// In the log in memory.
    Here(Version),
    /// In the journal alone.
    Older,
}

impl State {
    /// Where a moment is, if what was then is settled.
    fn place(&self, moment: Moment) -> Result<Place, PastError> {
        let (log, made) = (self.topic.log(), self.topic.log().base_made());
        let settled = self.settled();
        // The first change that is not settled. What falls back was never there, and what is accepted
        // later has a later commit: if this one comes after the moment, the answer is final.
        let unsettled = log.entry(settled.next());
        let (version, is_here, is_settled) = match moment {
            Moment::Version(version) if version > settled || version < self.oldest => {
                return Err(PastError::NotKept);
            }
            Moment::Version(version) => (version, version >= log.base(), true),
            Moment::Commit(commit) => {
                let is_here = made.is_some_and(|(base, _)| base <= commit);
                let is_settled = unsettled.is_none_or(|entry| entry.commit > commit);
                (log.version_at_commit(commit), is_here, is_settled)
            }
            Moment::Time(time) => {
                let is_here = made.is_some_and(|(_, base)| base <= time);
                let is_settled = unsettled.is_none_or(|entry| entry.time > time);
                (log.version_at_time(time), is_here, is_settled)
            }
        };
        match () {
            () if !is_settled => Err(PastError::Unsettled),
            () if is_here || version > log.base() => Ok(Place::Here(version)),
            // All that is kept is here, and it is older.
            () if self.oldest >= log.base() => Err(PastError::NotKept),
            () => Ok(Place::Older),
        }
    }
}

impl TopicCell {
    /// The value at some moment, of what is settled.
    ///
    /// Costs the bounded number of changes between two checkpoints. The answer is final for a version, and
    /// for a commit number that was given by now ([`Engine::check_commit`]).
    ///
    /// # Errors
    /// It is not kept (any more, or yet), something before it is not settled yet, or the journal cannot be
    /// read.
    pub fn value_at(&self, moment: Moment) -> Result<Snapshot, PastError> {
        {
            let state = self.lock();
            if let Place::Here(version) = state.place(moment)? {
                let log = state.topic.log();
                let value = log.value_at(version).ok_or(PastError::NotKept)?;
                let commit = log.commit_at(version).unwrap_or_default();
                return Ok(Snapshot { version, commit, value });
            }
        }
        past::snapshot(&*self.journal, self.kind(), self.name(), moment)
    }

    /// The head, and the entries after `since` that lead there, settled or not: for one who makes the
    /// next change of this topic. Nobody else is to be shown them.
    ///
    /// # Errors
    /// Some are no longer kept, or the journal cannot be read.
    pub fn accepted(&self, since: Version) -> Result<(Snapshot, Vec<Entry>), PastError> {
        let (head, here, base) = {
            let state = self.lock();
            if since < state.oldest || since > state.topic.head() {
                return Err(PastError::NotKept);
            }
            let here = state.topic.log().after(since).cloned().collect();
            (state.snapshot(), here, state.topic.log().base())
        };
        Ok((head, self.with_older(since, base, here)?))
    }

    /// The kept entries from version `from` to `to`, both included, at most `limit` of them, and the
    /// version to go on from.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn history(
        &self,
        from: Version,
        to: Option<Version>,
        limit: usize,
    ) -> Result<(Vec<Entry>, Option<Version>), PastError> {
        let (oldest, settled) = {
            let state = self.lock();
            (state.oldest, state.settled())
        };
        let to = to.unwrap_or(settled).min(settled);
        let before = Version(from.0.saturating_sub(1)).max(oldest);
        let last = Version(before.0.saturating_add(limit as u64)).min(to);
        let entries = if before < last { self.entries(before, last)? } else { Vec::new() };
        let last = entries.last().map(|entry| entry.version);
        Ok((entries, last.filter(|last| *last < to).map(Version::next)))
    }
}

/// Why there is no cut.
#[derive(Debug, Error)]
pub enum CutError {
    /// The commit is not there yet.
    #[error("commit {commit} is not there yet, the newest is {newest}")]
    NotYet {
        /// The commit that was asked for.
        commit: CommitNumber,
        /// The newest one given.
        newest: CommitNumber,
    },
    /// The commit may still be undone, as the journal has not taken it.
    #[error("a change up to commit {commit} is not settled yet: ask again")]
    Unsettled {
        /// The commit that was asked for.
        commit: CommitNumber,
    },
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// A topic as it stood at some commit.
pub struct TopicAt {
    /// The name of the topic.
    pub name: TopicName,
    /// The type of the topic.
    pub kind: TypeRef,
    /// The value, its version and its commit.
    pub snapshot: Snapshot,
}

impl Engine {
    /// Checks that a commit number was given by now: what is not after it can no longer change.
    ///
    /// # Errors
    /// It was not.
    pub fn check_commit(&self, commit: CommitNumber) -> Result<(), CutError> {
        let newest = self.commit();
        match commit > newest {
            true => Err(CutError::NotYet { commit, newest }),
            false => Ok(()),
        }
    }

    /// All topics that `choose` picks, by name, as they stood together at `commit`: no change of an
    /// action is there without the others. A topic whose log does not reach back, or that was forked
    /// later, is left out; one that had no change by then has its type's initial value.
    ///
    /// The answer is final: asked again, it is the same. A commit number is drawn under the locks of all
    /// its topics, which are held until its changes are in their logs. So whoever holds a topic's lock
    /// sees every commit of the topic up to the newest number given before, and whether it is settled.
    ///
    /// # Errors
    /// The number was not given yet; a change up to it is not settled yet, for which
    /// [`settled_cut`](Self::settled_cut) waits; the journal cannot be read.
    pub fn cut(
        &self,
        commit: CommitNumber,
        choose: impl Fn(&TopicName) -> bool,
    ) -> Result<Vec<TopicAt>, CutError> {
        // Before the topics are listed: each that has such a commit is there by now.
        self.check_commit(commit)?;
        let mut cut = Vec::new();
        for name in self.chosen(choose)? {
            match self.topic_at(name, Moment::Commit(commit)) {
                Ok(at) => cut.extend(at),
                Err(PastError::Unsettled) => return Err(CutError::Unsettled { commit }),
                Err(error) => tracing::debug!(%error, "a topic is left out of a cut"),
            }
        }
        Ok(cut)
    }

    /// As [`cut`](Self::cut), and waits for what is not settled yet. Blocks; somebody else has to
    /// [`run_journal`](Self::run_journal).
    ///
    /// # Errors
    /// The number was not given yet; the journal cannot be read.
    pub fn settled_cut(
        &self,
        commit: CommitNumber,
        choose: impl Fn(&TopicName) -> bool,
    ) -> Result<Vec<TopicAt>, CutError> {
        loop {
            match self.cut(commit, &choose) {
                Err(CutError::Unsettled { .. }) => self.wait_settled(),
                cut => return cut,
            }
        }
    }

    /// As [`TopicCell::value_at`], and waits for what is not settled yet; a commit number has to have been
    /// given by now. Blocks; somebody else has to [`run_journal`](Self::run_journal).
    ///
    /// # Errors
    /// As those of [`TopicCell::value_at`]; the number was not given yet.
    pub fn settled_value_at(
        &self,
        cell: &TopicCell,
        moment: Moment,
    ) -> Result<Snapshot, PastError> {
        if let Moment::Commit(commit) = moment
            && self.check_commit(commit).is_err()
        {
            return Err(PastError::NotKept);
        }
        loop {
            match cell.value_at(moment) {
                Err(PastError::Unsettled) => self.wait_settled(),
                value => return value,
            }
        }
    }

    /// Waits until all that is accepted by now is settled.
    fn wait_settled(&self) {
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        self.before_reading(Box::new(move || {
            let _ = sender.send(());
        }));
        // An error means that the engine ends: then nothing is waited for any more.
        let _ = receiver.recv();
        // Where nothing was to be waited for, somebody is in the midst of a decision, or of taking back
        // what failed.
        std::thread::yield_now();
    }

    /// The newest commit on the topics that `choose` picks which is not after `time`.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn commit_at(
        &self,
        time: Timestamp,
        choose: impl Fn(&TopicName) -> bool,
    ) -> Result<CommitNumber, JournalError> {
        let newest = |name: TopicName| {
            let at = self.topic_at(name, Moment::Time(time)).ok().flatten();
            at.map(|at| at.snapshot.commit)
        };
        Ok(self.chosen(choose)?.into_iter().filter_map(newest).max().unwrap_or_default())
    }

    fn chosen(&self, choose: impl Fn(&TopicName) -> bool) -> Result<Vec<TopicName>, JournalError> {
        let in_memory = self.topics_in_memory();
        let mut names: Vec<TopicName> = in_memory.iter().map(|cell| cell.name().clone()).collect();
        names.extend(self.records()?.into_iter().map(|record| record.name));
        names.retain(choose);
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// One topic at some moment, without bringing it into memory; `None` if it is of no type that is
    /// known, or gone.
    fn topic_at(&self, name: TopicName, moment: Moment) -> Result<Option<TopicAt>, PastError> {
        let cell = self.topics.get(&name).map(|cell| cell.clone());
        if let Some(cell) = cell {
            let snapshot = cell.value_at(moment)?;
            return Ok(Some(TopicAt { name, kind: cell.kind(), snapshot }));
        }
        let journal = &*self.config.journal;
        let Some(record) = journal.topic(&name)? else { return Ok(None) };
        let Some(kind) = self.config.registry.get(&record.type_name) else { return Ok(None) };
        let snapshot = past::snapshot(journal, kind, &name, moment)?;
        Ok(Some(TopicAt { name, kind, snapshot }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Author, EngineConfig, Submission, Submitted};
    use crate::topic::log::CHECKPOINT_EVERY;
    use crate::topic::{ActionId, ClientId, TopicName, TopicOptions};
    use crate::types::TypeRef;
    use crate::types::string::{String, StringChange};

    #[test]
    fn a_version_within_an_action_has_its_own_value() {
        let engine = Engine::new(EngineConfig::default());
        let name = TopicName::new("text").unwrap();
        let kind = TypeRef::of::<String>();
        let cell = engine.make(&name, kind, TopicOptions::default()).unwrap();
        let changes = CHECKPOINT_EVERY + 9;
        let insert = |_| Submitted::typed::<String>(name.clone(), StringChange::insert(0, "x"));
        let submission = Submission {
            action_id: Some(ActionId::new("long").unwrap()),
            changes: (0..changes).map(insert).collect(),
        };
        let author = Author::new(ClientId(1), None);
        assert!(engine.submit_now(&author, submission).is_ok());
        for version in 0..=changes {
            let snapshot = cell.value_at(Moment::Version(Version(version))).unwrap();
            let text = snapshot.value.get::<String>().unwrap();
            assert_eq!(text.len_chars() as u64, version);
        }
    }
}
