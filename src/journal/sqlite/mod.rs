//! The embedded journal: a folder with an SQLite database in it.
//!
//! A commit group is one transaction, synced before [`commit`](Journal::commit) returns. The changes that
//! a group appends to a topic are one row, a *run*; at each checkpoint the small runs before it are
//! *sealed*, that is packed into one. Each row carries a checksum of its own over all it says: a flipped
//! bit is an error that names the topic, never another value. `docs/format.md` describes the tables, the
//! bytes of a run, and what is assumed of the disk.
//!
//! One process writes: it holds a lock on the folder, and one connection, which only `begin`, `commit` and
//! `reopen` use. Reads go through connections of their own and wait for nobody. After a failed commit
//! nothing is written until [`reopen`](Journal::reopen). A group that was written to a database which is no
//! longer in its folder counts as failed.
//!
//! It never interprets a change, and never starts a thread.
//!
//! | module | holds |
//! |---|---|
//! | `folder`, `connect` | the files: whose they are, and how they are opened |
//! | `schema`, `rows` | the tables, and their rows with a type of their own |
//! | `write`, `store` | groups, and what they write for one topic |
//! | `read`, `indexes` | what is read of one topic, and whether what is not found is not there |
//! | [`run`], `packed`, `bytes`, `sum` | encoding, compression, checksums |

mod bytes;
mod connect;
mod fault;
mod folder;
mod indexes;
mod packed;
mod read;
mod rows;
pub mod run;
mod schema;
mod store;
mod sum;
mod write;

use std::path::Path;

use parking_lot::{Mutex, MutexGuard};
use rusqlite::Connection;

use super::{
    Beginning, Checkpoint, CommitError, Extent, Head, Journal, JournalError, Logged, Operation,
    TopicRecord,
};
use crate::topic::{ClientId, Moment, TopicName, Version};
use connect::{Mode, Readers, connect};
use fault::Fault;
use folder::{Lock, Place};
use indexes::Indexes;
use rows::{Log, Meta, TopicRow};
use write::Writer;

/// How a journal is opened.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// For tests: the name of an SQLite VFS, through which the database's files are reached.
    pub vfs: Option<String>,
    /// How many pages of 4 KiB SQLite's log holds before it is copied into the database; 1,000 if not
    /// said. Fewer make restarts after a crash quicker, and commits slower.
    pub log_pages: Option<u32>,
}

/// A journal in a folder.
pub struct SqliteJournal {
    place: Place,
    readers: Readers,
    indexes: Indexes,
    /// `None` in a journal that was opened for reading.
    writer: Option<Mutex<WriterState>>,
    /// The last field, so that the lock is given up when all else is closed.
    _lock: Option<Lock>,
}

enum WriterState {
    Open(Box<Writer>),
    /// Nothing is written until it is opened again, for this reason.
    Failed(String),
}

impl SqliteJournal {
    /// Opens the journal in a folder for its one writer, and makes both if they are not there.
    ///
    /// # Errors
    /// Another server uses the folder; it holds something else; it, or its disk, cannot be used.
    pub fn open(folder: impl AsRef<Path>) -> Result<SqliteJournal, JournalError> {
        SqliteJournal::open_with(folder, Settings::default())
    }

    /// As [`open`](Self::open), otherwise than usual.
    ///
    /// # Errors
    /// As those of [`open`](Self::open).
    pub fn open_with(
        folder: impl AsRef<Path>,
        settings: Settings,
    ) -> Result<SqliteJournal, JournalError> {
        let place = Place::for_writing(folder.as_ref(), settings)?;
        let lock = Lock::take(&place)?;
        let failed = |fault: Fault| fault.of_journal(&place.path);
        if !place.database.exists() {
            make(&place)?;
        }
        place.note_opened();
        // Before anything is written: it may be somebody else's.
        let readers = Readers::open(place.clone(), Mode::Read)?;
        let writer = Writer::open(&place).map_err(failed)?;
        readers.hold().map_err(failed)?;
        Ok(SqliteJournal {
            place,
            readers,
            indexes: Indexes::default(),
            writer: Some(Mutex::new(WriterState::Open(Box::new(writer)))),
            _lock: Some(lock),
        })
    }

    /// Opens a journal for reading: the folder, or its database alone. A server may be writing to it.
    ///
    /// # Errors
    /// There is none; it holds something else; it cannot be read.
    pub fn open_read_only(path: impl AsRef<Path>) -> Result<SqliteJournal, JournalError> {
        SqliteJournal::open_read_only_with(path, Settings::default())
    }

    /// As [`open_read_only`](Self::open_read_only), otherwise than usual.
    ///
    /// # Errors
    /// As those of [`open_read_only`](Self::open_read_only).
    pub fn open_read_only_with(
        path: impl AsRef<Path>,
        settings: Settings,
    ) -> Result<SqliteJournal, JournalError> {
        let place = Place::for_reading(path.as_ref(), settings)?;
        let readers = match Readers::open(place.clone(), Mode::ReadOnly) {
            // To share a database, SQLite makes a file beside it. Where it cannot, nobody can write
            // either, and the database may be read as it lies; but not without its log.
            Err(JournalError::Folder { .. }) if !place.has_wal() => {
                Readers::open(place.clone(), Mode::Immutable)
            }
            Err(JournalError::Folder { action, path, source }) => {
                let reason = "its newest changes lie in the -wal file, which can only be read where \
                              files can be made: copy all of it to another folder";
                let source = std::io::Error::new(source.kind(), format!("{source}: {reason}"));
                Err(JournalError::Folder { action, path, source })
            }
            other => other,
        }?;
        Ok(SqliteJournal { place, readers, indexes: Indexes::default(), writer: None, _lock: None })
    }

    fn writer(&self) -> Result<MutexGuard<'_, WriterState>, Fault> {
        let writer = self.writer.as_ref().map(Mutex::lock);
        writer.ok_or_else(|| Fault::Closed("it was opened for reading only".to_owned()))
    }

    /// Reads something of a topic that has to be there.
    fn read_topic<T>(
        &self,
        name: &TopicName,
        read: impl FnOnce(&Connection, &Log) -> Result<T, Fault>,
    ) -> Result<T, JournalError> {
        let read = self.readers.read(|connection| {
            let log = Log::find(connection, name)?;
            if log.is_none() {
                self.indexes.check_absent(connection, name)?;
            }
            read(connection, &log.ok_or(Fault::UnknownTopic)?)
        });
        read.map_err(|fault| fault.of_topic(&self.place.path, name))
    }

    fn failed(&self, fault: Fault) -> JournalError {
        fault.of_journal(&self.place.path)
    }

    /// What [`Extent::bytes`] should be, counted.
    #[cfg(test)]
    pub(super) fn bytes(&self, name: &TopicName) -> Result<u64, JournalError> {
        self.read_topic(name, read::bytes)
    }
}

/// Makes the database, under another name until it is whole: an empty one is never taken for new.
fn make(place: &Place) -> Result<(), JournalError> {
    let failed = |fault: Fault| fault.of_journal(&place.path);
    let unfinished = place.unfinished();
    for suffix in ["", "-journal"] {
        let mut path = unfinished.clone().into_os_string();
        path.push(suffix);
        match std::fs::remove_file(path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(place.cannot("write to", source));
            }
            _ => {}
        }
    }
    let connection = connect(place, &unfinished, Mode::Create).map_err(failed)?;
    fill(&connection).map_err(failed)?;
    connection.close().map_err(|(_, error)| failed(error.into()))?;
    let renamed = std::fs::rename(&unfinished, &place.database);
    renamed.map_err(|source| place.cannot("write to", source))?;
    place.sync_folder()
}

fn fill(connection: &Connection) -> Result<(), Fault> {
    let transaction = connection.unchecked_transaction()?;
    schema::create(&transaction)?;
    Meta::default().write(&transaction)?;
    Ok(transaction.commit()?)
}

impl Journal for SqliteJournal {
    fn begin(&self) -> Result<Beginning, JournalError> {
        let begin = || match &mut *self.writer()? {
            WriterState::Open(writer) => writer.begin(),
            WriterState::Failed(reason) => Err(Fault::Closed(reason.clone())),
        };
        begin().map_err(|fault| self.failed(fault))
    }

    fn commit(&self, group: &[Operation]) -> Result<(), CommitError> {
        let path = &self.place.path;
        let mut state = self.writer().map_err(|fault| fault.of_commit(path, None))?;
        let committed = match &mut *state {
            WriterState::Open(writer) => writer
                .commit(group)
                .and_then(|()| self.place.check_there().map_err(|fault| (fault, None))),
            WriterState::Failed(reason) => Err((Fault::Closed(reason.clone()), None)),
        };
        let Err((fault, topic)) = committed else { return Ok(()) };
        let is_open = matches!(&*state, WriterState::Open(_));
        // Who was fenced reads what it missed and tries again; nothing is wrong with the folder.
        if is_open && !matches!(fault, Fault::Fenced(_)) {
            let reason = format!("an earlier group could not be committed ({fault:?})");
            *state = WriterState::Failed(reason);
        }
        Err(fault.of_commit(path, topic.as_ref()))
    }

    /// One transaction, which waits for the disk once. Until it ends, the database's log grows by all that
    /// is written.
    fn together(&self, work: &mut dyn FnMut() -> bool) -> Result<bool, CommitError> {
        let path = &self.place.path;
        let failed = |fault: Fault| fault.of_commit(path, None);
        // The lock is free while `work` commits its groups.
        match &mut *self.writer().map_err(failed)? {
            WriterState::Open(writer) => writer.begin_together().map_err(failed)?,
            WriterState::Failed(reason) => return Err(failed(Fault::Closed(reason.clone()))),
        }
        let is_wanted = work();
        let mut state = self.writer().map_err(failed)?;
        let committed = match &mut *state {
            WriterState::Open(writer) if is_wanted => writer.commit_together(),
            WriterState::Open(_) => Ok(()),
            WriterState::Failed(reason) => Err(Fault::Closed(reason.clone())),
        };
        if is_wanted && committed.is_ok() {
            return Ok(true);
        }
        // Closing the connection takes all of it back.
        *state = WriterState::Failed("several groups were taken back".to_owned());
        *state = WriterState::Open(Box::new(Writer::open(&self.place).map_err(failed)?));
        committed.map_err(failed)?;
        Ok(false)
    }

    fn reopen(&self, heads: &[Head]) -> Result<(), JournalError> {
        let mut state = self.writer().map_err(|fault| self.failed(fault))?;
        // What lies there by now may be another server's.
        self.place.check_there().map_err(|fault| self.failed(fault))?;
        // The failed connection is closed before another is opened.
        *state = WriterState::Failed("it could not be opened again".to_owned());
        let mut writer = Writer::open(&self.place).map_err(|fault| self.failed(fault))?;
        writer.cut(heads).map_err(|(fault, topic)| match topic {
            Some(topic) => fault.of_topic(&self.place.path, &topic),
            None => self.failed(fault),
        })?;
        *state = WriterState::Open(Box::new(writer));
        Ok(())
    }

    /// Those whose record is damaged are left out; [`topic`](Self::topic) says so of each.
    fn topics(&self) -> Result<Vec<TopicRecord>, JournalError> {
        let read = |connection: &Connection| {
            let mut statement = connection.prepare_cached(
                "SELECT name, id, type, options, epoch, life, crc FROM topics ORDER BY name",
            )?;
            let mut rows = statement.query(())?;
            let mut topics = Vec::new();
            while let Some(row) = rows.next()? {
                match TopicRow::of_row(row) {
                    Ok(topic) => topics.push(topic.record),
                    Err(fault) if fault.is_damage() => {
                        tracing::error!(?fault, "a topic is left out of the list");
                    }
                    Err(fault) => return Err(fault),
                }
            }
            Ok(topics)
        };
        self.readers.read(read).map_err(|fault| self.failed(fault))
    }

    fn topic(&self, name: &TopicName) -> Result<Option<TopicRecord>, JournalError> {
        let read = self.readers.read(|connection| {
            let topic = TopicRow::find(connection, name)?;
            if topic.is_none() {
                self.indexes.check_absent(connection, name)?;
            }
            Ok(topic.map(|topic| topic.record))
        });
        read.map_err(|fault| fault.of_topic(&self.place.path, name))
    }

    fn extent(&self, name: &TopicName) -> Result<Extent, JournalError> {
        self.read_topic(name, |_, log| {
            let Log { oldest, head, commit, time, bytes, .. } = *log;
            Ok(Extent { oldest, head, commit, time, bytes })
        })
    }

    fn read(
        &self,
        name: &TopicName,
        after: Version,
        to: Version,
    ) -> Result<Vec<Logged>, JournalError> {
        self.read_topic(name, |connection, log| read::changes(connection, log, after, to))
    }

    fn checkpoint(
        &self,
        name: &TopicName,
        version: Version,
    ) -> Result<Option<Checkpoint>, JournalError> {
        self.read_topic(name, |connection, log| read::checkpoint(connection, log, version))
    }

    fn version_at(&self, name: &TopicName, moment: Moment) -> Result<Version, JournalError> {
        self.read_topic(name, |connection, log| read::version_at(connection, log, moment))
    }

    /// Without the changes of topics whose log is damaged.
    fn by_author(
        &self,
        author: ClientId,
        limit: usize,
    ) -> Result<Vec<(TopicName, Logged)>, JournalError> {
        let read = |connection: &Connection| {
            let mut changes = Vec::new();
            for id in self.indexes.topics_of(connection, author)? {
                let own = Log::with_id(connection, id).and_then(|(log, name)| {
                    Ok((name, read::by_author(connection, &log, author, limit)?))
                });
                match own {
                    Ok((name, own)) => changes.extend(own.into_iter().map(|it| (name.clone(), it))),
                    Err(fault) if fault.is_damage() => {
                        tracing::error!(?fault, topic = id, "a topic's log is damaged");
                    }
                    Err(fault) => return Err(fault),
                }
            }
            Ok(changes)
        };
        let mut changes = self.readers.read(read).map_err(|fault| self.failed(fault))?;
        changes.sort_by(|(a, x), (b, y)| (x.commit, a, x.version).cmp(&(y.commit, b, y.version)));
        Ok(changes.split_off(changes.len().saturating_sub(limit)))
    }
}
