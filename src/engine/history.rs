//! Past values and past changes of topics, over what their logs keep.

use std::sync::Arc;

use super::Engine;
use super::cell::{Snapshot, TopicCell};
use crate::topic::{CommitNumber, Entry, Moment, Timestamp, Version};

impl TopicCell {
    /// The value at some moment; `None` if the log does not hold it (any more, or yet).
    ///
    /// Costs the bounded number of changes between two checkpoints.
    pub fn value_at(&self, moment: Moment) -> Option<Snapshot> {
        let state = self.lock();
        let log = state.topic.log();
        let version = match moment {
            Moment::Version(version) => version,
            Moment::Commit(commit) => log.version_at_commit(commit),
            Moment::Time(time) => log.version_at_time(time),
        };
        let commit = log.entry(version).map_or(CommitNumber(0), |entry| entry.commit);
        Some(Snapshot { version, commit, value: log.value_at(version)? })
    }

    /// The kept entries from version `from` to `to`, both included, at most `limit` of them, and the
    /// version to go on from.
    pub fn history(
        &self,
        from: Version,
        to: Option<Version>,
        limit: usize,
    ) -> (Vec<Entry>, Option<Version>) {
        let state = self.lock();
        let log = state.topic.log();
        let to = to.unwrap_or(log.head()).min(log.head());
        let before = Version(from.0.saturating_sub(1)).max(log.base());
        let entries: Vec<Entry> = log
            .after(before)
            .take_while(|entry| entry.version <= to)
            .take(limit)
            .cloned()
            .collect();
        let last = entries.last().map(|entry| entry.version);
        (entries, last.filter(|last| *last < to).map(Version::next))
    }
}

impl Engine {
    /// All topics that `choose` picks, as they stood together at `commit`: no change of an action is
    /// there without the others. A topic whose log does not reach back is left out.
    pub fn cut(
        &self,
        commit: CommitNumber,
        choose: impl Fn(&TopicCell) -> bool,
    ) -> Vec<(Arc<TopicCell>, Snapshot)> {
        let mut topics = self.topics();
        topics.retain(|cell| choose(cell));
        topics.sort_by(|a, b| a.name().cmp(b.name()));
        // A commit number is taken under the locks of all its topics. Who holds a topic's lock finds
        // every lower commit of it settled.
        let at = |cell: Arc<TopicCell>| {
            let snapshot = cell.value_at(Moment::Commit(commit))?;
            Some((cell, snapshot))
        };
        topics.into_iter().filter_map(at).collect()
    }

    /// The newest commit that is not after `time`, as far as the logs tell.
    pub fn commit_at(&self, time: Timestamp) -> CommitNumber {
        let newest = |cell: Arc<TopicCell>| cell.value_at(Moment::Time(time)).map(|it| it.commit);
        self.topics().into_iter().filter_map(newest).max().unwrap_or_default()
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
