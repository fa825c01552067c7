//! Reads of one topic's log, each within one read transaction of its caller.
//!
//! Versions have no gaps: whoever reads a stretch of them finds a run that is missing.

use rusqlite::{Connection, Row};

use super::bytes::{Malformed, Reader};
use super::fault::{Fault, at, damage};
use super::packed::unpack;
use super::rows::{Log, bound, check_sum, number, one, text};
use super::run::{self, Span, take_value};
use super::sum::Sum;
use crate::journal::{Checkpoint, Logged, Stamp};
use crate::topic::{ClientId, CommitNumber, Moment, Timestamp, Version};
use crate::value::limits::NESTING_MAX;

/// The columns of a run but its data, checked.
pub(super) struct RunHead {
    pub span: Span,
    /// Numbers of clients, ascending, with spaces between them.
    pub authors: String,
}

/// In the order of [`RunHead::of_row`] and [`run_data`].
macro_rules! select_runs {
    ($rest:literal) => {
        concat!(
            "SELECT first, last, first_commit, first_time, authors, crc, data_crc, data FROM runs ",
            $rest
        )
    };
}

pub(super) fn run_sum(topic: i64, span: Span, authors: &str) -> Sum {
    let sum = Sum::of("runs").number(topic as u64).number(span.first.0).number(span.last.0);
    sum.number(span.commit.0).number(span.time.0).bytes(authors.as_bytes())
}

pub(super) fn run_data_sum(topic: i64, first: Version, data: &[u8]) -> Sum {
    Sum::of("data").number(topic as u64).number(first.0).bytes(data)
}

pub(super) fn checkpoint_sum(topic: i64, version: Version, data: &[u8]) -> Sum {
    Sum::of("checkpoints").number(topic as u64).number(version.0).bytes(data)
}

fn place(first: Version, last: Version) -> String {
    format!("versions {first} to {last}")
}

fn missing(first: Version, last: Version) -> Fault {
    damage(place(first, last), "they are missing")
}

impl RunHead {
    fn of_row(topic: i64, row: &Row) -> Result<RunHead, Fault> {
        let span = Span {
            first: Version(number(row, 0)?),
            last: Version(number(row, 1)?),
            commit: CommitNumber(number(row, 2)?),
            time: Timestamp(number(row, 3)?),
        };
        let authors = text(row, 4)?;
        check_sum(row, 5, run_sum(topic, span, authors), &place(span.first, span.last))?;
        if span.last < span.first || span.last.0 > i64::MAX as u64 {
            return Err(damage(place(span.first, span.last), "there are no such versions"));
        }
        Ok(RunHead { span, authors: authors.to_owned() })
    }

    fn is_by(&self, author: ClientId) -> bool {
        self.authors.split(' ').any(|it| it.parse() == Ok(author.0))
    }
}

/// What `decode` makes of the data in the row of `head`.
fn run_data<T>(
    topic: i64,
    head: &RunHead,
    row: &Row,
    decode: impl FnOnce(Span, &[u8]) -> Result<T, Malformed>,
) -> Result<T, Fault> {
    let RunHead { span, .. } = head;
    let place = || place(span.first, span.last);
    let data = row.get_ref(7)?.as_blob().map_err(rusqlite::Error::from)?;
    check_sum(row, 6, run_data_sum(topic, span.first, data), &place())?;
    unpack(data, |bytes| decode(*span, bytes)).map_err(at(place))
}

/// The changes after version `after` up to `to`, as far as they are kept.
pub(super) fn changes(
    connection: &Connection,
    log: &Log,
    after: Version,
    to: Version,
) -> Result<Vec<Logged>, Fault> {
    let (after, to) = (after.max(log.oldest), to.min(log.head));
    if after >= to {
        return Ok(Vec::new());
    }
    let mut statement = connection.prepare_cached(select_runs!(
        "WHERE topic = ?1 AND first <= ?3 AND first >= coalesce( \
         (SELECT max(first) FROM runs WHERE topic = ?1 AND first <= ?2), ?2) ORDER BY first"
    ))?;
    let from = after.next();
    let mut rows = statement.query((log.id, bound(from), bound(to)))?;
    let mut changes = Vec::new();
    let mut next = from;
    while let Some(row) = rows.next()? {
        let head = RunHead::of_row(log.id, row)?;
        let Span { first, last, .. } = head.span;
        // The first run may begin before what is wanted, the others where the one before ends.
        if first > next || (first < next && next != from) {
            return Err(missing(next, first));
        }
        let run = run_data(log.id, &head, row, run::decode)?.into_iter();
        changes.extend(run.filter(|change| after < change.version && change.version <= to));
        next = next.max(last.next());
    }
    if next <= to { Err(missing(next, to)) } else { Ok(changes) }
}

/// Changes in rows that were not yet sealed, up to `version`, and the length of their data.
pub(super) fn unsealed(
    connection: &Connection,
    log: &Log,
    version: Version,
) -> Result<(Vec<Logged>, u64), Fault> {
    let mut statement = connection.prepare_cached(select_runs!(
        "WHERE topic = ?1 AND first > ?2 AND last <= ?3 ORDER BY first"
    ))?;
    let mut rows = statement.query((log.id, bound(log.sealed), bound(version)))?;
    let (mut changes, mut bytes): (Vec<Logged>, u64) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let head = RunHead::of_row(log.id, row)?;
        if let Some(before) = changes.last()
            && before.version.next() != head.span.first
        {
            return Err(missing(before.version.next(), head.span.first));
        }
        changes.extend(run_data(log.id, &head, row, run::decode)?);
        bytes += row.get_ref(7)?.as_blob().map_or(0, <[u8]>::len) as u64;
    }
    Ok((changes, bytes))
}

/// The newest checkpoint that is not after `version`.
pub(super) fn checkpoint(
    connection: &Connection,
    log: &Log,
    version: Version,
) -> Result<Option<Checkpoint>, Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT version, crc, data FROM checkpoints WHERE topic = ?1 AND version <= ?2 \
         ORDER BY version DESC LIMIT 1",
    )?;
    let mut rows = statement.query((log.id, bound(version)))?;
    let Some(row) = rows.next()? else {
        let is_kept = log.based && version >= log.oldest;
        let missing =
            || damage(format!("the checkpoint at version {}", log.oldest), "it is missing");
        return if is_kept { Err(missing()) } else { Ok(None) };
    };
    let version = Version(number(row, 0)?);
    let place = || format!("the checkpoint at version {version}");
    let data = row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?;
    check_sum(row, 1, checkpoint_sum(log.id, version, data), &place())?;
    let read = unpack(data, |bytes| {
        let mut reader = Reader(bytes);
        let value = take_value(&mut reader, NESTING_MAX)?;
        // Format 1 had none.
        let stamp = match reader.end() {
            Ok(()) => None,
            Err(_) => {
                let (commit, time) = (reader.number()?, reader.number()?);
                Some(Stamp { commit: CommitNumber(commit), time: Timestamp(time) })
            }
        };
        reader.end()?;
        Ok((value, stamp))
    });
    let (value, stamp) = read.map_err(at(place))?;
    Ok(Some(Checkpoint { version, value, stamp }))
}

/// The version of the newest checkpoint that is not after `version`.
pub(super) fn checkpoint_version(
    connection: &Connection,
    log: &Log,
    version: Version,
) -> Result<Option<Version>, Fault> {
    let sql = "SELECT max(version) FROM checkpoints WHERE topic = ?1 AND version <= ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let newest =
        statement.query_row((log.id, bound(version)), |row| row.get::<_, Option<i64>>(0))?;
    Ok(newest.map(|newest| Version(newest as u64)))
}

/// The run that holds the change which made `version`, and what `read` makes of its data.
fn run_with<T>(
    connection: &Connection,
    log: &Log,
    version: Version,
    read: impl FnOnce(&RunHead, &Row) -> Result<T, Fault>,
) -> Result<(Span, T), Fault> {
    let mut statement = connection.prepare_cached(select_runs!(
        "WHERE topic = ?1 AND first <= ?2 ORDER BY first DESC LIMIT 1"
    ))?;
    let mut rows = statement.query((log.id, bound(version)))?;
    let row = rows.next()?.ok_or_else(|| missing(version, version))?;
    let head = RunHead::of_row(log.id, row)?;
    if head.span.last < version {
        return Err(missing(head.span.last.next(), version));
    }
    let read = read(&head, row)?;
    Ok((head.span, read))
}

/// The changes of the run that holds the one which made `version`.
pub(super) fn run_at(
    connection: &Connection,
    log: &Log,
    version: Version,
) -> Result<(Span, Vec<Logged>), Fault> {
    run_with(connection, log, version, |head, row| run_data(log.id, head, row, run::decode))
}

/// The newest version, among those kept, that is not after `moment`.
pub(super) fn version_at(
    connection: &Connection,
    log: &Log,
    moment: Moment,
) -> Result<Version, Fault> {
    match moment {
        Moment::Version(version) => Ok(version.clamp(log.oldest, log.head)),
        Moment::Commit(commit) => newest(connection, log, |of, _| of <= commit),
        Moment::Time(time) => newest(connection, log, |_, of| of <= time),
    }
}

/// Goes by halves through the runs, then through the changes of one.
fn newest(
    connection: &Connection,
    log: &Log,
    is_before: impl Fn(CommitNumber, Timestamp) -> bool,
) -> Result<Version, Fault> {
    // Of these versions it is not known yet whether their runs begin by then.
    let (mut from, mut to) = (log.oldest.next(), log.head.next());
    let mut newest = None;
    while from < to {
        let middle = Version(from.0 + (to.0 - from.0) / 2);
        let (span, ()) = run_with(connection, log, middle, |_, _| Ok(()))?;
        if is_before(span.commit, span.time) {
            (from, newest) = (span.last.next(), Some(span));
        } else {
            to = span.first;
        }
    }
    let Some(span) = newest else { return Ok(log.oldest) };
    let moments = run_with(connection, log, span.first, |head, row| {
        run_data(log.id, head, row, run::moments)
    });
    let before = moments?.1.partition_point(|(commit, time)| is_before(*commit, *time)) as u64;
    Ok(Version((span.first.0 + before).saturating_sub(1)).max(log.oldest))
}

/// The newest `limit` changes by `author`, the newest first.
pub(super) fn by_author(
    connection: &Connection,
    log: &Log,
    author: ClientId,
    limit: usize,
) -> Result<Vec<Logged>, Fault> {
    let mut statement =
        connection.prepare_cached(select_runs!("WHERE topic = ?1 ORDER BY first DESC"))?;
    let mut rows = statement.query([log.id])?;
    let mut found = Vec::new();
    let mut before = log.head.next();
    while before > log.oldest.next() && found.len() < limit {
        let Some(row) = rows.next()? else {
            return Err(missing(log.oldest.next(), before));
        };
        let head = RunHead::of_row(log.id, row)?;
        if head.span.last.next() != before {
            return Err(missing(head.span.last.next(), before));
        }
        before = head.span.first;
        if head.is_by(author) {
            let own = |change: &Logged| change.author == author && change.version > log.oldest;
            found.extend(run_data(log.id, &head, row, run::decode)?.into_iter().rev().filter(own));
        }
    }
    found.truncate(limit);
    Ok(found)
}

/// Those who are noted as authors of a topic.
pub(super) fn authors_of(connection: &Connection, topic: i64) -> Result<Vec<ClientId>, Fault> {
    let mut statement = connection.prepare_cached("SELECT author FROM authors WHERE topic = ?1")?;
    let authors = statement.query_map([topic], |row| number(row, 0).map(ClientId))?;
    Ok(authors.collect::<Result<Vec<ClientId>, rusqlite::Error>>()?)
}

/// The length of the data of a topic's runs and checkpoints together. O(n), n being the rows.
pub(super) fn bytes(connection: &Connection, log: &Log) -> Result<u64, Fault> {
    let sum = "SELECT (SELECT coalesce(sum(length(data)), 0) FROM runs WHERE topic = ?1) + \
               (SELECT coalesce(sum(length(data)), 0) FROM checkpoints WHERE topic = ?1)";
    Ok(one(connection, sum, [log.id])?.unwrap_or(0) as u64)
}
