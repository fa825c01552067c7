//! What goes wrong below the trait, before it is known whom it concerns.

use std::io;
use std::path::Path;

use rusqlite::ffi::{self, ErrorCode};

use super::bytes::Malformed;
use crate::journal::{CommitError, Found, JournalError};
use crate::topic::TopicName;
use crate::value::LimitError;

#[derive(Debug)]
pub(super) enum Fault {
    Sqlite(rusqlite::Error),
    /// A row is not as it was written, or not there.
    Damage {
        place: String,
        reason: String,
    },
    UnknownTopic,
    /// Somebody else has written to the topic.
    Fenced(Found),
    /// What was to be written cannot be kept.
    Unfit(String),
    /// Nothing more is written, for this reason.
    Closed(String),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Fault {
        Fault::Sqlite(error)
    }
}

impl From<LimitError> for Fault {
    fn from(error: LimitError) -> Fault {
        Fault::Unfit(error.to_string())
    }
}

pub(super) fn damage(place: impl Into<String>, reason: impl Into<String>) -> Fault {
    Fault::Damage { place: place.into(), reason: reason.into() }
}

/// Makes the finding of a decoder a damage at some place.
pub(super) fn at(place: impl Fn() -> String) -> impl Fn(Malformed) -> Fault {
    move |malformed| damage(place(), malformed.to_string())
}

impl Fault {
    /// What it is to those who wanted something of `topic`.
    pub(crate) fn of_topic(self, path: &Path, topic: &TopicName) -> JournalError {
        let topic = topic.clone();
        match self {
            Fault::Damage { place, reason } => JournalError::Damaged { topic, place, reason },
            Fault::UnknownTopic => JournalError::UnknownTopic(topic),
            Fault::Unfit(reason) => {
                let reason = format!("a change of topic {topic:?} cannot be kept: {reason}");
                JournalError::Storage { path: path.into(), reason }
            }
            // SQLite came upon it on the way to this topic; another may well be reached.
            Fault::Sqlite(error) if is_damage(&error) => {
                let (place, reason) = ("its rows".to_owned(), error.to_string());
                JournalError::Damaged { topic, place, reason }
            }
            other => other.of_journal(path),
        }
    }

    /// What it is to all.
    pub(crate) fn of_journal(self, path: &Path) -> JournalError {
        let path = path.to_path_buf();
        let reason = match self {
            Fault::Sqlite(error) => return of_sqlite(error, &path),
            Fault::Damage { place, reason } => {
                return JournalError::Corrupt { path, reason: format!("{place}: {reason}") };
            }
            Fault::UnknownTopic => "a topic is not there".to_owned(),
            Fault::Fenced(found) => format!("a topic {found}"),
            Fault::Unfit(reason) | Fault::Closed(reason) => reason,
        };
        JournalError::Storage { path, reason }
    }

    /// What it is to somebody who wanted a group committed; `topic` is that of the failed operation.
    pub(crate) fn of_commit(self, path: &Path, topic: Option<&TopicName>) -> CommitError {
        match (self, topic) {
            (Fault::Fenced(found), Some(topic)) => {
                CommitError::Fenced { topic: topic.clone(), found }
            }
            (fault, Some(topic)) => CommitError::Failed(fault.of_topic(path, topic)),
            (fault, None) => CommitError::Failed(fault.of_journal(path)),
        }
    }

    /// Whether a connection that met it can be used again.
    pub(crate) fn is_harmless(&self) -> bool {
        !matches!(self, Fault::Sqlite(_))
    }

    pub(crate) fn is_damage(&self) -> bool {
        match self {
            Fault::Damage { .. } => true,
            Fault::Sqlite(error) => is_damage(error),
            _ => false,
        }
    }
}

fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::Error::*;
    match error {
        // Columns that are not of the type which is written there.
        FromSqlConversionFailure(..) | IntegralValueOutOfRange(..) | InvalidColumnType(..) => true,
        Utf8Error(..) => true,
        SqliteFailure(error, _) => error.code == ErrorCode::DatabaseCorrupt,
        _ => false,
    }
}

fn of_sqlite(error: rusqlite::Error, path: &Path) -> JournalError {
    let (path, reason) = (path.to_path_buf(), error.to_string());
    if is_damage(&error) {
        return JournalError::Corrupt { path, reason };
    }
    let folder = |kind: io::ErrorKind, action| {
        let source = io::Error::new(kind, reason.clone());
        JournalError::Folder { action, path: path.clone(), source }
    };
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => JournalError::Full { path },
        Some(ErrorCode::NotADatabase) => JournalError::Corrupt { path, reason },
        Some(ErrorCode::PermissionDenied) => folder(io::ErrorKind::PermissionDenied, "open"),
        Some(ErrorCode::CannotOpen) => folder(io::ErrorKind::Other, "open a file in"),
        Some(ErrorCode::ReadOnly) => folder(io::ErrorKind::ReadOnlyFilesystem, "write to"),
        _ => {
            let code = error.sqlite_error().map_or(0, |error| error.extended_code);
            JournalError::Storage { path, reason: format!("{reason}{}", operation(code)) }
        }
    }
}

/// What SQLite was doing when the system refused it.
fn operation(extended_code: i32) -> &'static str {
    match extended_code {
        ffi::SQLITE_IOERR_READ | ffi::SQLITE_IOERR_SHORT_READ => " while reading",
        ffi::SQLITE_IOERR_WRITE => " while writing",
        ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC => " while syncing to the disk",
        ffi::SQLITE_IOERR_TRUNCATE => " while truncating",
        _ => "",
    }
}
