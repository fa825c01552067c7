//! The tables, and what marks a file as ours. `docs/format.md` describes them.

use rusqlite::Connection;

use super::fault::{Fault, damage};

/// "tops", in the file's header.
pub(super) const APPLICATION_ID: i32 = 0x746f_7073;

/// The version of the format that this program writes, and the newest that it reads. It reads all before.
/// In format 1 checkpoints bore no stamps, and `open` did not tell how durable a life is.
pub(super) const FORMAT: u32 = 2;

/// Each as SQLite keeps it, so that a damaged one is noticed.
const TABLES: [(&str, &str); 8] = [
    (
        "meta",
        "CREATE TABLE meta (one INTEGER PRIMARY KEY, life INTEGER NOT NULL, open INTEGER NOT NULL, \
         unclean_life INTEGER NOT NULL, last_commit INTEGER NOT NULL, last_client INTEGER NOT NULL, \
         last_written INTEGER NOT NULL, topics INTEGER NOT NULL, topics_sum INTEGER NOT NULL, \
         authors INTEGER NOT NULL, authors_sum INTEGER NOT NULL, crc INTEGER NOT NULL) STRICT",
    ),
    (
        "topics",
        "CREATE TABLE topics (name TEXT PRIMARY KEY, id INTEGER NOT NULL, type TEXT NOT NULL, \
         options TEXT NOT NULL, epoch TEXT NOT NULL, life INTEGER NOT NULL, crc INTEGER NOT NULL) \
         STRICT, WITHOUT ROWID",
    ),
    (
        "logs",
        "CREATE TABLE logs (topic INTEGER PRIMARY KEY, name TEXT NOT NULL, oldest INTEGER NOT NULL, \
         based INTEGER NOT NULL, head INTEGER NOT NULL, last_commit INTEGER NOT NULL, \
         last_time INTEGER NOT NULL, sealed INTEGER NOT NULL, bytes INTEGER NOT NULL, \
         crc INTEGER NOT NULL) STRICT",
    ),
    (
        "runs",
        "CREATE TABLE runs (topic INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, \
         first_commit INTEGER NOT NULL, first_time INTEGER NOT NULL, authors TEXT NOT NULL, \
         crc INTEGER NOT NULL, data_crc INTEGER NOT NULL, data BLOB NOT NULL, \
         PRIMARY KEY (topic, first)) STRICT, WITHOUT ROWID",
    ),
    (
        "checkpoints",
        "CREATE TABLE checkpoints (topic INTEGER NOT NULL, version INTEGER NOT NULL, \
         crc INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (topic, version)) \
         STRICT, WITHOUT ROWID",
    ),
    (
        "authors",
        "CREATE TABLE authors (author INTEGER NOT NULL, topic INTEGER NOT NULL, \
         PRIMARY KEY (author, topic)) STRICT, WITHOUT ROWID",
    ),
    ("authors_by_topic", "CREATE INDEX authors_by_topic ON authors (topic)"),
    (
        "sessions",
        "CREATE TABLE sessions (id INTEGER PRIMARY KEY, token TEXT NOT NULL, since INTEGER NOT NULL, \
         services TEXT NOT NULL, crc INTEGER NOT NULL) STRICT",
    ),
];

/// Makes the tables in an empty database.
pub(super) fn create(connection: &Connection) -> Result<(), Fault> {
    for (_, sql) in TABLES {
        connection.execute_batch(sql)?;
    }
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    connection.pragma_update(None, "user_version", FORMAT)?;
    Ok(())
}

/// Makes a file of an older format one of this.
pub(super) fn upgrade(connection: &Connection) -> Result<(), Fault> {
    // The tables are the same: what was written in them before is read as what it is.
    if header(connection)?.format < FORMAT {
        connection.pragma_update(None, "user_version", FORMAT)?;
    }
    Ok(())
}

/// What a file's header says it is.
pub(super) struct Header {
    pub application_id: i32,
    pub format: u32,
    pub page_size: u64,
}

pub(super) fn header(connection: &Connection) -> Result<Header, Fault> {
    let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i32>(0));
    let (application_id, format) = (number("application_id")?, number("user_version")?);
    let page_size = number("page_size")? as u64;
    Ok(Header { application_id, format: format as u32, page_size })
}

/// Checks that the tables are those of this format.
pub(super) fn check(connection: &Connection) -> Result<(), Fault> {
    let mut statement = connection.prepare("SELECT name, sql FROM sqlite_schema ORDER BY rowid")?;
    let row = |row: &rusqlite::Row| Ok((row.get(0)?, row.get(1)?));
    let found = statement.query_map((), row)?.collect::<Result<Vec<(String, String)>, _>>()?;
    let found = found.iter().map(|(name, sql)| (name.as_str(), sql.as_str()));
    if found.eq(TABLES) {
        return Ok(());
    }
    Err(damage("the tables", "they are not those of this format"))
}
