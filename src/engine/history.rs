//! Past values and past changes of topics, over what their logs keep.

use std::sync::Arc;

use super::Engine;
use super::cell::{Snapshot, TopicCell};
use crate::topic::{CommitNumber, Entry, Timestamp, Version};

/// A point in a topic's past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    Version(Version),
    /// After the newest change that is not after this commit.
    Commit(CommitNumber),
    /// After the newest change that is not after this time.
    Time(Timestamp),
}

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
