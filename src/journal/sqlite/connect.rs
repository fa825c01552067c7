//! Connections to the database: one that writes, some that read.

use std::path::Path;
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::{Connection, OpenFlags};

use super::fault::Fault;
use super::folder::Place;
use super::schema;
use crate::journal::JournalError;

/// How long to wait for somebody who looks into the file with other tools.
const BUSY: Duration = Duration::from_secs(5);

/// How many connections wait for the next reader; more are opened when more read at once.
const READERS_KEPT_MAX: usize = 8;

/// More than there are different statements.
const STATEMENTS_MAX: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Makes the file if it is not there.
    Create,
    Write,
    /// Beside the writer, in its process.
    Read,
    /// From a process that never writes.
    ReadOnly,
    /// The same, of a file that nobody else has open and that lies where nothing can be written.
    Immutable,
}

fn open(place: &Place, path: &Path, mode: Mode) -> rusqlite::Result<Connection> {
    let access = match mode {
        Mode::Create => OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
        Mode::Write | Mode::Read => OpenFlags::SQLITE_OPEN_READ_WRITE,
        Mode::ReadOnly => OpenFlags::SQLITE_OPEN_READ_ONLY,
        Mode::Immutable => OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI,
    };
    // A connection is used by one thread at a time: `Connection` cannot be shared.
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let path = if mode == Mode::Immutable { immutable(path) } else { path.into() };
    match &place.settings.vfs {
        Some(vfs) => Connection::open_with_flags_and_vfs(path, flags, vfs.as_str()),
        None => Connection::open_with_flags(path, flags),
    }
}

/// The path as a URI that says so.
fn immutable(path: &Path) -> std::path::PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.into());
    let path = path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    format!("file:{path}?immutable=1").into()
}

/// Opens a connection and sets it up, without a look at what is in the file.
pub(super) fn connect(place: &Place, path: &Path, mode: Mode) -> Result<Connection, Fault> {
    let connection = open(place, path, mode)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    // A damaged file is not to be trusted with more than it needs.
    connection.execute_batch("PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON")?;
    match mode {
        Mode::Write => {
            let wal = "PRAGMA journal_mode = WAL";
            let found = connection.query_row(wal, (), |row| row.get::<_, String>(0))?;
            if found != "wal" {
                return Err(Fault::Closed(format!("its file system lets SQLite use {found} only")));
            }
            // The log is cut back when a burst has made it long. On macOS a plain fsync leaves the
            // data in the drive's cache.
            connection.execute_batch(
                "PRAGMA synchronous = FULL; PRAGMA fullfsync = ON; \
                 PRAGMA checkpoint_fullfsync = ON; PRAGMA journal_size_limit = 67108864; \
                 PRAGMA cache_size = -16384; PRAGMA temp_store = MEMORY",
            )?;
            if let Some(pages) = place.settings.log_pages {
                connection.pragma_update(None, "wal_autocheckpoint", pages)?;
            }
        }
        Mode::Create => connection.execute_batch("PRAGMA synchronous = FULL")?,
        _ => connection.execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -4096")?,
    }
    Ok(connection)
}

/// Checks that the file is a journal, of a format that this program knows.
pub(super) fn check(place: &Place, connection: &Connection) -> Result<(), JournalError> {
    let path = || place.path.clone();
    let early = || "the database ends too early".to_owned();
    let failed = |fault: Fault| fault.of_journal(&place.path);
    let header = schema::header(connection).map_err(failed)?;
    match header.format {
        // What is shorter than a page is an empty database to SQLite; to us it has lost everything.
        _ if place.ends_early(512) => Err(JournalError::Corrupt { path: path(), reason: early() }),
        _ if header.application_id != schema::APPLICATION_ID => {
            Err(JournalError::Foreign { path: path() })
        }
        found if found > schema::FORMAT => {
            Err(JournalError::Newer { path: path(), found, supported: schema::FORMAT })
        }
        _ if place.ends_early(header.page_size) => {
            Err(JournalError::Corrupt { path: path(), reason: early() })
        }
        _ => schema::check(connection).map_err(failed),
    }
}

/// Connections that read.
pub(super) struct Readers {
    place: Place,
    mode: Mode,
    idle: Mutex<Vec<Connection>>,
    /// Always open while the journal is: the last connection to close would copy the log into the
    /// database, and the next to open would read the log anew, a failed commit's pages with it.
    anchor: Mutex<Connection>,
}

impl Readers {
    pub(crate) fn open(place: Place, mode: Mode) -> Result<Readers, JournalError> {
        let anchor = connect(&place, &place.database, mode);
        let anchor = anchor.map_err(|fault| fault.of_journal(&place.path))?;
        check(&place, &anchor)?;
        Ok(Readers { place, mode, idle: Mutex::default(), anchor: Mutex::new(anchor) })
    }

    /// Takes hold of the log, once a writer is there: a new file has none before.
    pub(crate) fn hold(&self) -> Result<(), Fault> {
        schema::header(&self.anchor.lock()).map(drop)
    }

    /// Reads what was committed by now, and nothing of what is committed meanwhile.
    pub(crate) fn read<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let idle = self.idle.lock().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => connect(&self.place, &self.place.database, self.mode)?,
        };
        let transaction = connection.unchecked_transaction()?;
        let result = read(&transaction);
        let ended = transaction.commit();
        let can_stay = ended.is_ok() && result.as_ref().err().is_none_or(Fault::is_harmless);
        let mut idle = self.idle.lock();
        if can_stay && idle.len() < READERS_KEPT_MAX {
            idle.push(connection);
        }
        result
    }
}
