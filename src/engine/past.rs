//! The part of a topic's log that is in the journal alone.

use thiserror::Error;

use crate::journal::{Journal, JournalError, Logged};
use crate::topic::{CommitNumber, Entry, Moment, Timestamp, TopicName, Version, VersionLog};
use crate::types::{AnyValue, TypeRef};
use crate::value::Invalid;

/// A topic's value at some version. A pointer.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The version.
    pub version: Version,
    /// The commit that made the version.
    pub commit: CommitNumber,
    /// The value at the version.
    pub value: AnyValue,
}

/// Why something of a topic's past cannot be had.
#[derive(Debug, Error)]
pub enum PastError {
    /// The version is not there, or no longer kept.
    #[error("that version is not there, or no longer kept")]
    NotKept,
    /// The answer would not be final: something that belongs to it is accepted and not yet durable.
    #[error("a change before that moment is not settled yet: ask again")]
    Unsettled,
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A change in the journal is damaged.
    #[error("version {version} of topic {topic:?} is damaged: {reason}")]
    Change {
        /// The topic.
        topic: TopicName,
        /// The version that the change made.
        version: Version,
        /// What is wrong with the change.
        reason: Invalid,
    },
}

/// The entries after version `after` up to `to`, all of them.
///
/// # Errors
/// Some are not kept, or cannot be read.
pub fn entries(
    journal: &dyn Journal,
    kind: TypeRef,
    name: &TopicName,
    after: Version,
    to: Version,
) -> Result<Vec<Entry>, PastError> {
    let logged = journal.read(name, after, to)?;
    if logged.len() as u64 != to.0.saturating_sub(after.0) {
        return Err(PastError::NotKept);
    }
    logged.into_iter().map(|logged| entry(kind, name, logged)).collect()
}

fn entry(kind: TypeRef, name: &TopicName, logged: Logged) -> Result<Entry, PastError> {
    let version = logged.version;
    logged.into_entry(kind).map_err(|reason| damaged(name, version, reason))
}

fn damaged(name: &TopicName, version: Version, reason: Invalid) -> PastError {
    PastError::Change { topic: name.clone(), version, reason }
}

/// The newest value kept by itself that is not after `version`, and its version.
fn checkpoint(
    journal: &dyn Journal,
    kind: TypeRef,
    name: &TopicName,
    version: Version,
) -> Result<(Version, AnyValue), PastError> {
    match journal.checkpoint(name, version)? {
        None => Ok((Version(0), kind.initial())),
        Some(checkpoint) => {
            let value = kind.decode_value(&checkpoint.value);
            let value = value.map_err(|reason| damaged(name, checkpoint.version, reason))?;
            Ok((checkpoint.version, value))
        }
    }
}

/// The value at `version`: that of the newest checkpoint before it, and the changes since.
///
/// # Errors
/// The version is not kept, or cannot be read.
pub fn value_at(
    journal: &dyn Journal,
    kind: TypeRef,
    name: &TopicName,
    version: Version,
) -> Result<AnyValue, PastError> {
    let (at, mut value) = checkpoint(journal, kind, name, version)?;
    for entry in entries(journal, kind, name, at, version)? {
        if let Some(change) = &entry.change {
            let applied = kind.apply(&mut value, change);
            applied.map_err(|reason| damaged(name, entry.version, reason))?;
        }
    }
    Ok(value)
}

/// The value at some moment, with its version and commit.
///
/// # Errors
/// The moment is before the oldest version that is kept, or that cannot be read.
pub fn snapshot(
    journal: &dyn Journal,
    kind: TypeRef,
    name: &TopicName,
    moment: Moment,
) -> Result<Snapshot, PastError> {
    let version = journal.version_at(name, moment)?;
    let made = made_at(journal, name, version)?;
    // Of the oldest version it may not be known when it was made. It may have been after the moment.
    let is_kept = match (moment, made) {
        (Moment::Version(asked), _) => version == asked,
        (Moment::Commit(asked), Some((commit, _))) => commit <= asked,
        (Moment::Time(asked), Some((_, time))) => time <= asked,
        (Moment::Commit(_) | Moment::Time(_), None) => false,
    };
    if !is_kept {
        return Err(PastError::NotKept);
    }
    let commit = made.unwrap_or_default().0;
    Ok(Snapshot { version, commit, value: value_at(journal, kind, name, version)? })
}

/// The log from the newest checkpoint that is not after `from` up to `to`, and the value there.
///
/// # Errors
/// The versions are not kept, or cannot be read.
pub fn log(
    journal: &dyn Journal,
    kind: TypeRef,
    name: &TopicName,
    from: Version,
    to: Version,
) -> Result<(VersionLog, AnyValue), PastError> {
    let (base, mut value) = checkpoint(journal, kind, name, from)?;
    let mut log = VersionLog::new(kind, base, value.clone());
    log.set_base(made_at(journal, name, base)?);
    let entries = entries(journal, kind, name, base, to)?;
    for commit in entries.chunk_by(|a, b| a.commit == b.commit) {
        for entry in commit {
            if let Some(change) = &entry.change {
                let applied = kind.apply(&mut value, change);
                applied.map_err(|reason| damaged(name, entry.version, reason))?;
            }
            log.push(entry.clone());
        }
        log.keep_checkpoint(&value);
    }
    Ok((log, value))
}

/// With which commit and when `version` was made, by a change or a fork. Zeros for version 0, which was
/// always there; `None` if it is not known.
fn made_at(
    journal: &dyn Journal,
    name: &TopicName,
    version: Version,
) -> Result<Option<(CommitNumber, Timestamp)>, PastError> {
    let Some(before) = version.0.checked_sub(1) else { return Ok(Some(Default::default())) };
    if let Some(change) = journal.read(name, Version(before), version)?.pop() {
        return Ok(Some((change.commit, change.time)));
    }
    let checkpoint = journal.checkpoint(name, version)?.filter(|it| it.version == version);
    let stamp = checkpoint.and_then(|checkpoint| checkpoint.stamp);
    Ok(stamp.map(|stamp| (stamp.commit, stamp.time)))
}
