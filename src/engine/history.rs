//! Past values and past changes of topics, over what their logs keep.

use super::cell::{Snapshot, State, TopicCell};
use super::{Engine, PastError, past};
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
    fn place(&self, moment: Moment) -> Result<Place, PastError> {
        let log = self.topic.log();
        let is_here = match moment {
            Moment::Version(version) if version > self.settled || version < self.oldest => {
                return Err(PastError::NotKept);
            }
            Moment::Version(version) => version >= log.base(),
            Moment::Commit(commit) => commit >= log.base_commit(),
            Moment::Time(time) => time >= log.base_time(),
        };
        let version = match moment {
            Moment::Version(version) => version,
            Moment::Commit(commit) => log.version_at_commit(commit),
            Moment::Time(time) => log.version_at_time(time),
        };
        match is_here {
            true => Ok(Place::Here(version.min(self.settled))),
            // All that is kept is here, and it is older.
            false if self.oldest >= log.base() => Err(PastError::NotKept),
            false => Ok(Place::Older),
        }
    }
}

impl TopicCell {
    /// The value at some moment, of what is settled.
    ///
    /// Costs the bounded number of changes between two checkpoints.
    ///
    /// # Errors
    /// It is not kept (any more, or yet), or the journal cannot be read.
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
            (state.oldest, state.settled)
        };
        let to = to.unwrap_or(settled).min(settled);
        let before = Version(from.0.saturating_sub(1)).max(oldest);
        let last = Version(before.0.saturating_add(limit as u64)).min(to);
        let entries = if before < last { self.entries(before, last)? } else { Vec::new() };
        let last = entries.last().map(|entry| entry.version);
        Ok((entries, last.filter(|last| *last < to).map(Version::next)))
    }
}

/// A topic as it stood at some commit.
pub struct Stood {
    pub name: TopicName,
    pub kind: TypeRef,
    pub snapshot: Snapshot,
}

impl Engine {
    /// All topics that `choose` picks, by name, as they stood together at `commit`: no change of an
    /// action is there without the others. A topic that was not there yet, or whose log does not reach
    /// back, is left out.
    ///
    /// All that is not after `commit` is to be published by then, which
    /// [`after_commit`](Self::after_commit) tells.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn cut(
        &self,
        commit: CommitNumber,
        choose: impl Fn(&TopicName) -> bool,
    ) -> Result<Vec<Stood>, JournalError> {
        // A commit number is taken under the locks of all its topics. Who holds a topic's lock finds
        // every lower commit of it settled.
        let at = |name: TopicName| self.stood(name, Moment::Commit(commit));
        Ok(self.chosen(choose)?.into_iter().filter_map(at).collect())
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
        let newest = |name: TopicName| Some(self.stood(name, Moment::Time(time))?.snapshot.commit);
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

    /// One topic at some moment, without bringing it into memory.
    fn stood(&self, name: TopicName, moment: Moment) -> Option<Stood> {
        let cell = self.topics.get(&name).map(|cell| cell.clone());
        if let Some(cell) = cell {
            let snapshot = cell.value_at(moment).ok()?;
            return Some(Stood { name, kind: cell.kind(), snapshot });
        }
        let journal = &*self.config.journal;
        let record = journal.topic(&name).ok()??;
        let kind = self.config.registry.get(&record.type_name)?;
        let snapshot = past::snapshot(journal, kind, &name, moment).ok()?;
        Some(Stood { name, kind, snapshot })
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
