//! The changes of many topics in one order: that of their commits, an action at a time.
//!
//! Each topic's log is read in pieces and the pieces are merged, so that a large folder does not have to
//! fit into memory.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use crate::journal::{Extent, Journal, JournalError, Logged, TopicRecord};
use crate::topic::{ActionMark, ClientId, CommitNumber, Moment, Timestamp, TopicName, Version};

/// How many changes all topics together have read ahead, about.
const READ_AHEAD: usize = 262_144;

/// What was accepted at once: one change, or those of an action.
#[derive(Debug, Clone, PartialEq)]
pub struct Commit {
    /// Its number.
    pub number: CommitNumber,
    /// When it was accepted.
    pub time: Timestamp,
    /// Who made it.
    pub author: ClientId,
    /// Set for an action.
    pub action: Option<Arc<ActionMark>>,
    /// By topic, then by version.
    pub changes: Vec<(TopicName, Logged)>,
}

impl Commit {
    fn takes(&self, change: &Logged) -> bool {
        (self.number, self.time, self.author) == (change.commit, change.time, change.author)
            && self.action == change.action
    }
}

/// Some topics, and how far they reached at one moment. What a server writes meanwhile is left out.
#[derive(Debug, Clone)]
pub struct Scope {
    /// By name.
    pub topics: Vec<(TopicRecord, Extent)>,
    /// The newest commit that is in scope.
    pub newest: CommitNumber,
}

impl Scope {
    /// The topics that `choose` picks.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn of(
        journal: &dyn Journal,
        choose: impl Fn(&TopicRecord) -> bool,
    ) -> Result<Scope, JournalError> {
        let mut records = journal.topics()?;
        records.retain(choose);
        let mut newest = CommitNumber(0);
        for record in &records {
            newest = newest.max(journal.extent(&record.name)?.commit);
        }
        // Read again: an action that was written while the first topics were looked at is now there in
        // all of its topics, or is newer.
        let extents = records.into_iter().map(|record| {
            let mut extent = journal.extent(&record.name)?;
            if extent.commit > newest {
                extent.head = journal.version_at(&record.name, Moment::Commit(newest))?;
            }
            Ok((record, extent))
        });
        Ok(Scope { topics: extents.collect::<Result<_, JournalError>>()?, newest })
    }

    /// How many changes are kept.
    pub fn changes(&self) -> u64 {
        self.topics.iter().map(|(_, extent)| extent.head.0 - extent.oldest.0).sum()
    }
}

/// The commits of a scope, oldest first.
pub struct Commits<'a> {
    journal: &'a dyn Journal,
    sources: Vec<Source>,
    /// The next commit of each source that has one, and its index.
    next: BinaryHeap<Reverse<(CommitNumber, usize)>>,
    piece: u64,
    failed: Option<JournalError>,
}

/// One topic's log.
struct Source {
    name: TopicName,
    piece: std::iter::Peekable<std::vec::IntoIter<Logged>>,
    /// The version that was read last.
    after: Version,
    head: Version,
}

impl Source {
    /// The commit of the next change.
    fn peek(&mut self, journal: &dyn Journal, piece: u64) -> Result<Option<&Logged>, JournalError> {
        if self.piece.peek().is_none() && self.after < self.head {
            let to = Version(self.after.0 + piece).min(self.head);
            self.piece = journal.read(&self.name, self.after, to)?.into_iter().peekable();
            self.after = to;
        }
        Ok(self.piece.peek())
    }
}

impl<'a> Commits<'a> {
    /// The commits after `after`.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn after(
        journal: &'a dyn Journal,
        scope: &Scope,
        after: CommitNumber,
    ) -> Result<Commits<'a>, JournalError> {
        let piece = (READ_AHEAD / scope.topics.len().max(1)).clamp(16, 1_024) as u64;
        let (mut sources, mut next) = (Vec::new(), BinaryHeap::new());
        for (record, extent) in &scope.topics {
            if extent.commit <= after {
                continue;
            }
            let name = record.name.clone();
            let from = match after {
                CommitNumber(0) => extent.oldest,
                _ => journal.version_at(&name, Moment::Commit(after))?,
            };
            let piece_read = Vec::new().into_iter().peekable();
            let mut source = Source { name, piece: piece_read, after: from, head: extent.head };
            if let Some(first) = source.peek(journal, piece)? {
                next.push(Reverse((first.commit, sources.len())));
                sources.push(source);
            }
        }
        Ok(Commits { journal, sources, next, piece, failed: None })
    }

    /// Moves what the source's log has of `commit` into it.
    fn take(&mut self, index: usize, commit: &mut Option<Commit>) -> Result<bool, JournalError> {
        let source = &mut self.sources[index];
        let mut took = false;
        while let Some(change) = source.peek(self.journal, self.piece)? {
            let commit = commit.get_or_insert_with(|| Commit {
                number: change.commit,
                time: change.time,
                author: change.author,
                action: change.action.clone(),
                changes: Vec::new(),
            });
            if !commit.takes(change) {
                self.next.push(Reverse((change.commit, index)));
                return Ok(took);
            }
            commit.changes.extend(source.piece.next().map(|change| (source.name.clone(), change)));
            took = true;
        }
        Ok(took)
    }

    fn next_commit(&mut self) -> Result<Option<Commit>, JournalError> {
        let mut commit = None;
        while let Some(Reverse((number, index))) = self.next.peek().copied() {
            if commit.as_ref().is_some_and(|commit: &Commit| commit.number != number) {
                break;
            }
            self.next.pop();
            if !self.take(index, &mut commit)? {
                break;
            }
        }
        Ok(commit)
    }
}

impl Iterator for Commits<'_> {
    type Item = Result<Commit, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed.is_some() {
            return None;
        }
        self.next_commit().transpose()
    }
}

/// A part of one topic's log.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// Oldest first.
    pub changes: Vec<Logged>,
    /// The version to go on after; `None` if that was all.
    pub next: Option<Version>,
}

/// At most `limit` changes of a topic after version `after`, oldest first.
///
/// # Errors
/// There is no such topic, or the journal cannot be read.
pub fn history(
    journal: &dyn Journal,
    name: &TopicName,
    after: Version,
    limit: u64,
) -> Result<Page, JournalError> {
    let extent = journal.extent(name)?;
    let to = Version(after.max(extent.oldest).0.saturating_add(limit)).min(extent.head);
    let changes = journal.read(name, after, to)?;
    Ok(Page { changes, next: (to < extent.head).then_some(to) })
}
