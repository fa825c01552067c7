//! The rows that have a type of their own: read with their checksum checked, written with it made.

use ecow::EcoString;
use rusqlite::{Connection, OptionalExtension, Row};

use super::fault::{Fault, damage};
use super::sum::Sum;
use crate::journal::{Numbers, SessionRecord, TopicRecord};
use crate::topic::{
    ClientId, CommitNumber, Durability, Epoch, Timestamp, TopicName, TopicOptions, Version,
};
use crate::value::Value;

/// Numbers are kept as SQLite has them, with a sign: what is beyond comes back as it was.
pub(super) fn column(number: u64) -> i64 {
    number as i64
}

/// A bound of a query: what is beyond any number that can be kept is the largest of those.
pub(super) fn bound(version: Version) -> i64 {
    i64::try_from(version.0).unwrap_or(i64::MAX)
}

pub(super) fn number(row: &Row, index: usize) -> Result<u64, rusqlite::Error> {
    Ok(row.get::<_, i64>(index)? as u64)
}

/// A column of text, without an allocation of its own.
pub(super) fn text<'a>(row: &'a Row, index: usize) -> Result<&'a str, rusqlite::Error> {
    Ok(row.get_ref(index)?.as_str()?)
}

pub(super) fn check_sum(row: &Row, index: usize, sum: Sum, place: &str) -> Result<(), Fault> {
    if row.get::<_, i64>(index)? == sum.column() {
        return Ok(());
    }
    Err(damage(place, "its checksum does not match"))
}

/// What the whole journal knows of itself. One row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Meta {
    pub numbers: Numbers,
    /// 0 once the present life has ended; before, how durable it is, as [`open`] has it.
    pub open: u64,
    pub unclean_life: u64,
    pub last_written: Timestamp,
    pub topics: Tally,
    /// Of the pairs of an author and a topic.
    pub authors: Tally,
}

/// What the column `open` says while a life has not ended.
pub(super) fn open(durability: Durability) -> u64 {
    match durability {
        Durability::Commit => 2,
        Durability::Relaxed => 3,
        Durability::Memory => 4,
    }
}

/// How durable a life is that has not ended; `None` if it has. Format 1 had 1 for all that had not.
pub(super) fn opened(column: u64) -> Option<Durability> {
    match column {
        0 => None,
        2 => Some(Durability::Commit),
        4 => Some(Durability::Memory),
        _ => Some(Durability::Relaxed),
    }
}

/// How many rows there are in a table, and the sum of what makes each one up, so that one which is
/// missing is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Tally {
    count: u64,
    sum: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, row: Sum) {
        self.count += 1;
        self.sum = self.sum.wrapping_add(row.column() as u64);
    }

    pub(crate) fn remove(&mut self, row: Sum) {
        self.count = self.count.saturating_sub(1);
        self.sum = self.sum.wrapping_sub(row.column() as u64);
    }
}

/// What [`Meta::topics`] counts.
pub(super) fn topic_sum(id: i64, name: &str) -> Sum {
    Sum::of("names").number(id as u64).bytes(name.as_bytes())
}

/// What [`Meta::authors`] counts.
pub(super) fn author_sum(author: ClientId, topic: i64) -> Sum {
    Sum::of("authors").number(author.0).number(topic as u64)
}

impl Meta {
    fn columns(&self) -> [u64; 10] {
        let Numbers { life, commit, client } = self.numbers;
        let (open, last_written) = (self.open, self.last_written.0);
        let (topics, authors) = (self.topics, self.authors);
        let tallies = [topics.count, topics.sum, authors.count, authors.sum];
        let [a, b, c, d] = tallies;
        [life, open, self.unclean_life, commit.0, client.0, last_written, a, b, c, d]
    }

    fn sum(&self) -> Sum {
        self.columns().into_iter().fold(Sum::of("meta"), Sum::number)
    }

    pub(crate) fn read(connection: &Connection) -> Result<Meta, Fault> {
        let mut statement = connection.prepare_cached(
            "SELECT life, open, unclean_life, last_commit, last_client, last_written, topics, \
             topics_sum, authors, authors_sum, crc FROM meta WHERE one = 1",
        )?;
        let mut rows = statement.query(())?;
        let row = rows.next()?.ok_or_else(|| damage("the table meta", "its row is missing"))?;
        let numbers = Numbers {
            life: number(row, 0)?,
            commit: CommitNumber(number(row, 3)?),
            client: ClientId(number(row, 4)?),
        };
        let meta = Meta {
            numbers,
            open: number(row, 1)?,
            unclean_life: number(row, 2)?,
            last_written: Timestamp(number(row, 5)?),
            topics: Tally { count: number(row, 6)?, sum: number(row, 7)? },
            authors: Tally { count: number(row, 8)?, sum: number(row, 9)? },
        };
        check_sum(row, 10, meta.sum(), "the table meta")?;
        Ok(meta)
    }

    pub(crate) fn write(&self, connection: &Connection) -> Result<(), Fault> {
        let mut statement = connection.prepare_cached(
            "INSERT OR REPLACE INTO meta (one, life, open, unclean_life, last_commit, last_client, \
             last_written, topics, topics_sum, authors, authors_sum, crc) \
             VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?;
        let columns = self.columns().map(column).into_iter().chain([self.sum().column()]);
        statement.execute(rusqlite::params_from_iter(columns))?;
        Ok(())
    }
}

/// A topic's record and its number in this file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TopicRow {
    pub id: i64,
    pub record: TopicRecord,
}

impl TopicRow {
    fn sum(&self, options: &str) -> Sum {
        let TopicRecord { name, type_name, epoch, life, .. } = &self.record;
        let sum = Sum::of("topics").bytes(name.as_bytes()).number(self.id as u64);
        let sum = sum.bytes(type_name.as_bytes()).bytes(options.as_bytes());
        sum.bytes(epoch.as_bytes()).number(*life)
    }

    /// From all columns, in their order.
    pub(crate) fn of_row(row: &Row) -> Result<TopicRow, Fault> {
        let invalid = |what: &'static str| move || damage("its record", what);
        let name = TopicName::new(text(row, 0)?).ok().ok_or_else(invalid("the name is none"))?;
        let epoch = Epoch::new(text(row, 4)?).ok().ok_or_else(invalid("the epoch is none"))?;
        let options_text = text(row, 3)?;
        let options = serde_json::from_str::<Value>(options_text).ok();
        let options = options.and_then(|options| TopicOptions::decode(&options).ok());
        let options = options.ok_or_else(invalid("the options cannot be read"))?;
        let type_name = EcoString::from(text(row, 2)?);
        let record = TopicRecord { name, type_name, options, epoch, life: number(row, 5)? };
        let topic = TopicRow { id: row.get(1)?, record };
        check_sum(row, 6, topic.sum(options_text), "its record")?;
        Ok(topic)
    }

    pub(crate) fn find(
        connection: &Connection,
        name: &TopicName,
    ) -> Result<Option<TopicRow>, Fault> {
        let mut statement = connection.prepare_cached(
            "SELECT name, id, type, options, epoch, life, crc FROM topics WHERE name = ?1",
        )?;
        let mut rows = statement.query([&**name])?;
        rows.next()?.map(TopicRow::of_row).transpose()
    }

    /// Writes the row, new or changed.
    pub(crate) fn write(&self, connection: &Connection) -> Result<(), Fault> {
        let encoded = Value::Dict(self.record.options.encode());
        if TopicOptions::decode(&encoded).as_ref() != Ok(&self.record.options) {
            return Err(Fault::Unfit("its options cannot be read again".to_owned()));
        }
        let options = serde_json::to_string(&encoded).map_err(|it| Fault::Unfit(it.to_string()))?;
        let crc = self.sum(&options).column();
        let TopicRecord { name, type_name, epoch, life, .. } = &self.record;
        let mut statement = connection.prepare_cached(
            "INSERT OR REPLACE INTO topics (name, id, type, options, epoch, life, crc) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?;
        let (type_name, epoch) = (type_name.as_str(), &**epoch);
        statement.execute((&**name, self.id, type_name, options, epoch, column(*life), crc))?;
        Ok(())
    }
}

/// How far a topic's log reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Log {
    /// The topic's number in this file.
    pub id: i64,
    pub oldest: Version,
    /// Whether there is a checkpoint at `oldest`; else that is version 0, of the type's initial value.
    pub based: bool,
    pub head: Version,
    /// Of the newest change; 0 if there is none.
    pub commit: CommitNumber,
    /// Of the newest change; 0 if there is none.
    pub time: Timestamp,
    /// The runs up to this version were sealed.
    pub sealed: Version,
    /// The length of the data of its runs and checkpoints together.
    pub bytes: u64,
}

impl Log {
    fn columns(&self) -> [u64; 8] {
        let (oldest, head, sealed) = (self.oldest.0, self.head.0, self.sealed.0);
        let (commit, time) = (self.commit.0, self.time.0);
        [self.id as u64, oldest, self.based.into(), head, commit, time, sealed, self.bytes]
    }

    fn sum(&self, name: &str) -> Sum {
        let sum = Sum::of("logs").bytes(name.as_bytes());
        self.columns().into_iter().fold(sum, Sum::number)
    }

    /// A log and its topic's name.
    fn of_row(row: &Row) -> Result<(Log, TopicName), Fault> {
        let log = Log {
            id: row.get(0)?,
            oldest: Version(number(row, 2)?),
            based: row.get::<_, i64>(3)? != 0,
            head: Version(number(row, 4)?),
            commit: CommitNumber(number(row, 5)?),
            time: Timestamp(number(row, 6)?),
            sealed: Version(number(row, 7)?),
            bytes: number(row, 8)?,
        };
        let name = text(row, 1)?;
        check_sum(row, 9, log.sum(name), "its extent")?;
        let name = TopicName::new(name).map_err(|_| damage("its extent", "the name is none"))?;
        Ok((log, name))
    }

    pub(crate) fn with_id(connection: &Connection, id: i64) -> Result<(Log, TopicName), Fault> {
        let mut statement = connection.prepare_cached(
            "SELECT topic, name, oldest, based, head, last_commit, last_time, sealed, bytes, crc \
             FROM logs WHERE topic = ?1",
        )?;
        let mut rows = statement.query([id])?;
        let row = rows.next()?.ok_or_else(|| damage("its extent", "the row is missing"))?;
        Log::of_row(row)
    }

    pub(crate) fn of_topic(connection: &Connection, topic: &TopicRow) -> Result<Log, Fault> {
        let (log, name) = Log::with_id(connection, topic.id)?;
        if name == topic.record.name {
            return Ok(log);
        }
        Err(damage("its extent", format!("the row is that of topic {name:?}")))
    }

    pub(crate) fn find(connection: &Connection, name: &TopicName) -> Result<Option<Log>, Fault> {
        let topic = TopicRow::find(connection, name)?;
        topic.map(|topic| Log::of_topic(connection, &topic)).transpose()
    }

    pub(crate) fn write(&self, connection: &Connection, name: &TopicName) -> Result<(), Fault> {
        let mut statement = connection.prepare_cached(
            "INSERT OR REPLACE INTO logs (topic, name, oldest, based, head, last_commit, last_time, \
             sealed, bytes, crc) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?;
        let [id, oldest, based, head, commit, time, sealed, bytes] = self.columns().map(column);
        let crc = self.sum(name).column();
        let name = &**name;
        statement.execute((id, name, oldest, based, head, commit, time, sealed, bytes, crc))?;
        Ok(())
    }
}

fn session_sum(id: ClientId, token: &str, since: Timestamp, services: &str) -> Sum {
    let sum = Sum::of("sessions").number(id.0).bytes(token.as_bytes());
    sum.number(since.0).bytes(services.as_bytes())
}

fn session_of_row(row: &Row) -> Result<SessionRecord, Fault> {
    let (id, since) = (ClientId(number(row, 0)?), Timestamp(number(row, 2)?));
    let (token, services_text) = (text(row, 1)?, text(row, 3)?);
    check_sum(row, 4, session_sum(id, token, since, services_text), "a session")?;
    let services = serde_json::from_str::<Vec<EcoString>>(services_text);
    let services = services.map_err(|error| damage("a session", error.to_string()))?;
    Ok(SessionRecord { id, token: token.into(), since, services })
}

/// All sessions that can be read. One that is damaged cannot be resumed, and its client starts afresh.
pub(super) fn sessions(connection: &Connection) -> Result<Vec<SessionRecord>, Fault> {
    let mut statement = connection
        .prepare_cached("SELECT id, token, since, services, crc FROM sessions ORDER BY id")?;
    let mut rows = statement.query(())?;
    let mut sessions = Vec::new();
    while let Some(row) = rows.next()? {
        match session_of_row(row) {
            Ok(session) => sessions.push(session),
            Err(fault) if fault.is_damage() => {
                tracing::warn!("the record of a session is damaged: it cannot be resumed");
            }
            Err(fault) => return Err(fault),
        }
    }
    Ok(sessions)
}

pub(super) fn write_session(connection: &Connection, session: &SessionRecord) -> Result<(), Fault> {
    let services = serde_json::to_string(&session.services);
    let services = services.map_err(|error| Fault::Unfit(error.to_string()))?;
    let crc = session_sum(session.id, &session.token, session.since, &services).column();
    let (id, since) = (column(session.id.0), column(session.since.0));
    let mut statement = connection.prepare_cached(
        "INSERT OR REPLACE INTO sessions (id, token, since, services, crc) \
         VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    statement.execute((id, session.token.as_str(), since, services, crc))?;
    Ok(())
}

pub(super) fn end_session(connection: &Connection, id: ClientId) -> Result<(), Fault> {
    let mut statement = connection.prepare_cached("DELETE FROM sessions WHERE id = ?1")?;
    statement.execute([column(id.0)])?;
    Ok(())
}

/// The one number that a query gives, if it gives one.
pub(super) fn one(
    connection: &Connection,
    sql: &str,
    parameters: impl rusqlite::Params,
) -> Result<Option<i64>, Fault> {
    let mut statement = connection.prepare_cached(sql)?;
    Ok(statement.query_row(parameters, |row| row.get(0)).optional()?)
}
