//! What one transaction writes, topic by topic: runs, checkpoints, and what is known of them.

use std::collections::{BTreeSet, HashSet};

use rusqlite::Connection;

use super::bytes::put_number;
use super::fault::Fault;
use super::packed::{Effort, pack};
use super::read::{self, checkpoint_sum, run_data_sum, run_sum};
use super::rows::{Log, Meta, TopicRow, author_sum, bound, column, one, topic_sum};
use super::run::{self, Span, put_value};
use crate::journal::{Checkpoint, Logged, Stamp, TopicRecord};
use crate::topic::{ClientId, CommitNumber, Timestamp, TopicName, Version};

/// Longer runs are cut: a run is read as a whole.
const RUN_CHANGES_MAX: usize = 4_096;
/// Runs of more bytes are cut as long as they hold more than one change.
const RUN_BYTES_MAX: usize = 8 << 20;

/// An open transaction.
pub(super) struct Store<'a> {
    pub connection: &'a Connection,
    pub meta: Meta,
    /// Authors known to be noted with a topic, by its number. `None` once a topic was removed: its
    /// number may be given again.
    pub noted: Option<&'a HashSet<(ClientId, i64)>>,
    pub newly_noted: Vec<(ClientId, i64)>,
}

impl Store<'_> {
    fn execute(&self, sql: &str, parameters: impl rusqlite::Params) -> Result<usize, Fault> {
        Ok(self.connection.prepare_cached(sql)?.execute(parameters)?)
    }

    /// A new topic, in place of one of that name.
    pub(crate) fn make(
        &mut self,
        record: &TopicRecord,
        start: Option<&Checkpoint>,
    ) -> Result<Log, Fault> {
        let oldest = start.map_or(Version(0), |start| start.version);
        let newest = one(self.connection, "SELECT coalesce(max(topic), 0) FROM logs", ())?;
        let mut log = Log {
            id: newest.unwrap_or(0) + 1,
            oldest,
            based: start.is_some(),
            head: oldest,
            commit: CommitNumber(0),
            time: Timestamp(0),
            sealed: oldest,
            bytes: 0,
        };
        TopicRow { id: log.id, record: record.clone() }.write(self.connection)?;
        if let Some(start) = start {
            self.put_checkpoint(&mut log, start)?;
        }
        log.write(self.connection, &record.name)?;
        self.meta.topics.add(topic_sum(log.id, &record.name));
        Ok(log)
    }

    /// Removes all that is said of a topic. O(n), n being its runs and checkpoints.
    pub(crate) fn remove(&mut self, name: &TopicName, log: &Log) -> Result<(), Fault> {
        self.execute("DELETE FROM runs WHERE topic = ?1", [log.id])?;
        self.execute("DELETE FROM checkpoints WHERE topic = ?1", [log.id])?;
        for author in read::authors_of(self.connection, log.id)? {
            let parameters = (column(author.0), log.id);
            self.execute("DELETE FROM authors WHERE author = ?1 AND topic = ?2", parameters)?;
            self.meta.authors.remove(author_sum(author, log.id));
        }
        self.execute("DELETE FROM logs WHERE topic = ?1", [log.id])?;
        self.execute("DELETE FROM topics WHERE name = ?1", [&**name])?;
        self.noted = None;
        self.newly_noted.clear();
        self.meta.topics.remove(topic_sum(log.id, name));
        Ok(())
    }

    /// Writes consecutive changes, in one row if they are not too many.
    pub(crate) fn put_run(
        &mut self,
        log: &mut Log,
        changes: &[&Logged],
        effort: Effort,
    ) -> Result<(), Fault> {
        for changes in changes.chunks(RUN_CHANGES_MAX) {
            self.put_chunk(log, changes, effort)?;
        }
        Ok(())
    }

    fn put_chunk(
        &mut self,
        log: &mut Log,
        changes: &[&Logged],
        effort: Effort,
    ) -> Result<(), Fault> {
        let Some(span) = Span::of(changes) else { return Ok(()) };
        let bytes = run::encode(changes)?;
        if bytes.len() > RUN_BYTES_MAX && changes.len() > 1 {
            let (first, second) = changes.split_at(changes.len() / 2);
            self.put_chunk(log, first, effort)?;
            return self.put_chunk(log, second, effort);
        }
        let data = pack(&bytes, effort);
        let authors = self.note_authors(log.id, changes)?;
        let crc = run_sum(log.id, span, &authors).column();
        let data_crc = run_data_sum(log.id, span.first, &data).column();
        let (first, last) = (column(span.first.0), column(span.last.0));
        let (commit, time) = (column(span.commit.0), column(span.time.0));
        self.execute(
            "INSERT INTO runs (topic, first, last, first_commit, first_time, authors, crc, data_crc, \
             data) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            (log.id, first, last, commit, time, authors, crc, data_crc, &data),
        )?;
        log.bytes += data.len() as u64;
        Ok(())
    }

    /// Notes who made changes of a topic, and gives them as a run's row has them.
    fn note_authors(&mut self, topic: i64, changes: &[&Logged]) -> Result<String, Fault> {
        let authors: BTreeSet<ClientId> = changes.iter().map(|change| change.author).collect();
        for author in &authors {
            let pair = (*author, topic);
            let is_noted = self.noted.is_some_and(|noted| noted.contains(&pair));
            if !is_noted && !self.newly_noted.contains(&pair) {
                let note = "INSERT OR IGNORE INTO authors (author, topic) VALUES (?1, ?2)";
                if self.execute(note, (column(author.0), topic))? > 0 {
                    self.meta.authors.add(author_sum(*author, topic));
                }
                self.newly_noted.push(pair);
            }
        }
        let mut numbers = String::new();
        for author in authors {
            if !numbers.is_empty() {
                numbers.push(' ');
            }
            numbers.push_str(itoa::Buffer::new().format(author.0));
        }
        Ok(numbers)
    }

    pub(crate) fn put_checkpoint(
        &mut self,
        log: &mut Log,
        checkpoint: &Checkpoint,
    ) -> Result<(), Fault> {
        checkpoint.value.check()?;
        let mut bytes = Vec::new();
        put_value(&mut bytes, &checkpoint.value);
        if let Some(Stamp { commit, time }) = checkpoint.stamp {
            put_number(&mut bytes, commit.0);
            put_number(&mut bytes, time.0);
        }
        let data = pack(&bytes, Effort::Lasting);
        let version = bound(checkpoint.version);
        let sql = "SELECT length(data) FROM checkpoints WHERE topic = ?1 AND version = ?2";
        let before = one(self.connection, sql, (log.id, version))?.unwrap_or(0);
        let crc = checkpoint_sum(log.id, checkpoint.version, &data).column();
        self.execute(
            "INSERT OR REPLACE INTO checkpoints (topic, version, crc, data) VALUES (?1, ?2, ?3, ?4)",
            (log.id, version, crc, &data),
        )?;
        log.bytes = log.bytes.saturating_sub(before as u64) + data.len() as u64;
        log.based |= checkpoint.version == log.oldest;
        Ok(())
    }

    /// Makes one compressed run of all up to `version` that is not sealed yet: what lies in rows, and
    /// `pending`, which ends there or before.
    pub(crate) fn seal(
        &mut self,
        log: &mut Log,
        version: Version,
        pending: &[&Logged],
    ) -> Result<(), Fault> {
        let (rows, bytes) = read::unsealed(self.connection, log, version)?;
        let changes: Vec<&Logged> = rows.iter().chain(pending.iter().copied()).collect();
        let Some(span) = Span::of(&changes) else { return Ok(()) };
        // What is read again gets its versions by counting.
        if span.last.0 - span.first.0 != changes.len() as u64 - 1 {
            return Err(super::fault::damage("its newest runs", "versions are missing"));
        }
        self.execute(
            "DELETE FROM runs WHERE topic = ?1 AND first > ?2 AND last <= ?3",
            (log.id, bound(log.sealed), bound(version)),
        )?;
        log.bytes = log.bytes.saturating_sub(bytes);
        self.put_run(log, &changes, Effort::Lasting)?;
        log.sealed = span.last;
        Ok(())
    }

    /// Forgets what is before the newest checkpoint that is not after `version`.
    pub(crate) fn trim(&mut self, log: &mut Log, version: Version) -> Result<(), Fault> {
        let newest = read::checkpoint_version(self.connection, log, version)?;
        let Some(oldest) = newest.filter(|newest| *newest > log.oldest) else { return Ok(()) };
        let bounds = (log.id, bound(oldest));
        let runs = "runs WHERE topic = ?1 AND first <= ?2 AND last <= ?2";
        let checkpoints = "checkpoints WHERE topic = ?1 AND version < ?2";
        for rows in [runs, checkpoints] {
            let bytes = format!("SELECT coalesce(sum(length(data)), 0) FROM {rows}");
            let bytes = one(self.connection, &bytes, bounds)?.unwrap_or(0);
            log.bytes = log.bytes.saturating_sub(bytes as u64);
            self.execute(&format!("DELETE FROM {rows}"), bounds)?;
        }
        (log.oldest, log.based) = (oldest, true);
        if log.oldest == log.head {
            (log.commit, log.time) = (CommitNumber(0), Timestamp(0));
        }
        Ok(())
    }

    /// Forgets what is after `head`.
    pub(crate) fn cut(&mut self, log: &mut Log, head: Version) -> Result<(), Fault> {
        let head = head.max(log.oldest);
        if head > log.oldest {
            let (span, changes) = read::run_at(self.connection, log, head)?;
            let first = span.first;
            let kept = changes.iter().filter(|change| change.version <= head).collect::<Vec<_>>();
            let last = kept.last().map(|last| (last.commit, last.time));
            (log.commit, log.time) = last.unwrap_or((log.commit, log.time));
            if kept.len() < changes.len() {
                self.execute(
                    "DELETE FROM runs WHERE topic = ?1 AND first = ?2",
                    (log.id, bound(first)),
                )?;
                self.put_run(log, &kept, Effort::Lasting)?;
            }
        } else {
            (log.commit, log.time) = (CommitNumber(0), Timestamp(0));
        }
        let bounds = (log.id, bound(head));
        self.execute("DELETE FROM runs WHERE topic = ?1 AND first > ?2", bounds)?;
        self.execute("DELETE FROM checkpoints WHERE topic = ?1 AND version > ?2", bounds)?;
        (log.head, log.sealed) = (head, log.sealed.min(head));
        log.bytes = read::bytes(self.connection, log)?;
        Ok(())
    }
}
