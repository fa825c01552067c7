//! Where version logs are made durable.
//!
//! A [`Journal`] keeps what a restart must not lose: which topics there are, their accepted changes,
//! values along the way, the sessions that clients may resume, and the numbers that must never be given
//! twice. It writes whole groups of [`Operation`]s, each group there altogether or not at all, and reads
//! back ranges. It never interprets a change: it sees names and plain values, so it can hold topics
//! whose type the program does not know.
//!
//! A journal does not wait for work or start threads: the engine collects what is to be written, and
//! one [`commit`](Journal::commit) makes it durable.
//!
//! | module | holds |
//! |---|---|
//! | `record` | what is written and read |
//! | `memory` | [`MemoryJournal`], for tests, simulations and exported files |
//! | `sqlite` | `SqliteJournal`, the embedded one, in a folder |

#[cfg(test)]
mod contract;
pub(crate) mod memory;
pub(crate) mod record;
#[cfg(feature = "journal")]
pub(crate) mod sqlite;

use std::path::PathBuf;

use thiserror::Error;

use crate::topic::{ClientId, Moment, TopicName, Version};

pub use memory::{Fault, MemoryJournal};
pub use record::{
    Append, Beginning, Checkpoint, Extent, Head, Logged, Numbers, Operation, SessionRecord, Stamp,
    TopicRecord,
};
/// The bytes of runs, for fuzzers.
#[cfg(feature = "journal")]
#[doc(hidden)]
pub use sqlite::run as sqlite_run;
#[cfg(feature = "journal")]
pub use sqlite::{Settings, SqliteJournal};

/// How many changes lie between two checkpoints in a journal, at least.
pub const CHECKPOINT_EVERY: u64 = 1_024;

/// How many changes lie between two checkpoints in a journal, and are applied to read any value, at most;
/// one action more.
pub const CHECKPOINT_EVERY_MAX: u64 = 8_192;

/// How many bytes of a value are one change more until its next checkpoint: so checkpoints of large values
/// take up no more than the changes between them, by and large.
pub const CHECKPOINT_BYTES_A_CHANGE: u64 = 64;

/// Keeps version logs.
///
/// Reading may go on beside writing, from any thread. What is read is what was committed.
pub trait Journal: Send + Sync + 'static {
    /// Begins a new life of the server: from here on, and until [`Operation::Close`], a stop counts as
    /// unclean. To be called once, by whoever is going to commit, who then says with
    /// [`Operation::Open`] how durable the life is; until then it is taken to lose what the life before
    /// may have lost.
    ///
    /// # Errors
    /// The journal cannot be read or written.
    fn begin(&self) -> Result<Beginning, JournalError>;

    /// Makes a group of operations durable, in order: all of them or none.
    ///
    /// # Errors
    /// [`CommitError::Fenced`] if somebody else has written to a topic of the group: nothing of the group
    /// is there, and the journal goes on. After [`CommitError::Unknown`] the group is there or not, which
    /// [`renew`](Self::renew) makes certain. After [`CommitError::Failed`] the journal takes nothing more
    /// until it is [`reopen`](Self::reopen)ed.
    fn commit(&self, group: &[Operation]) -> Result<(), CommitError>;

    /// Sees to it that a group whose commit ended with [`CommitError::Unknown`] is there by now, or never
    /// will be. Which of both, reading tells.
    ///
    /// # Errors
    /// That is still not certain.
    fn renew(&self) -> Result<(), JournalError> {
        Ok(())
    }

    /// Calls `work`, and has all groups that it commits be durable together: all of them if it gives `true`,
    /// none if it gives `false` or the process ends before. Reads do not see them until then. Gives what
    /// `work` gave.
    ///
    /// For work on a journal that nobody else writes to: an import.
    ///
    /// # Errors
    /// The groups could not be made durable; none of them is there. A journal need not be able to do this:
    /// then it says so, and does not call `work`.
    fn together(&self, _work: &mut dyn FnMut() -> bool) -> Result<bool, CommitError> {
        let reason = "it cannot make several groups durable together".to_owned();
        Err(JournalError::Storage { path: "the journal".into(), reason }.into())
    }

    /// Opens again after a failed commit, and cuts each of `heads` back to the version that is known to
    /// be durable: of what failed nothing is left.
    ///
    /// # Errors
    /// The journal still cannot be read or written.
    fn reopen(&self, heads: &[Head]) -> Result<(), JournalError>;

    /// All topics, by name.
    ///
    /// # Errors
    /// The journal cannot be read.
    fn topics(&self) -> Result<Vec<TopicRecord>, JournalError>;

    /// # Errors
    /// The journal cannot be read, or the record is damaged.
    fn topic(&self, name: &TopicName) -> Result<Option<TopicRecord>, JournalError>;

    /// How far a topic's log reaches. O(1) in the length of the log.
    ///
    /// # Errors
    /// The journal cannot be read, or there is no such topic.
    fn extent(&self, name: &TopicName) -> Result<Extent, JournalError>;

    /// The changes after version `after` up to `to`, oldest first, as far as they are kept.
    ///
    /// # Errors
    /// The journal cannot be read; some of the changes are damaged or missing.
    fn read(
        &self,
        name: &TopicName,
        after: Version,
        to: Version,
    ) -> Result<Vec<Logged>, JournalError>;

    /// The newest checkpoint that is not after `version`; there is one for every version that is kept,
    /// but for those before the first checkpoint of a topic that began with its type's initial value.
    ///
    /// # Errors
    /// The journal cannot be read, or the checkpoint is damaged.
    fn checkpoint(
        &self,
        name: &TopicName,
        version: Version,
    ) -> Result<Option<Checkpoint>, JournalError>;

    /// The newest version, among those kept, that is not after `moment`. O(log n) or better in the length
    /// of the log, but for one stretch between two checkpoints.
    ///
    /// # Errors
    /// The journal cannot be read.
    fn version_at(&self, name: &TopicName, moment: Moment) -> Result<Version, JournalError>;

    /// The newest `limit` changes by one author, over all topics, by commit, the newest last.
    ///
    /// # Errors
    /// The journal cannot be read.
    fn by_author(
        &self,
        author: ClientId,
        limit: usize,
    ) -> Result<Vec<(TopicName, Logged)>, JournalError>;
}

/// Why a journal cannot be opened, read or written.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the message of each variant says what it is")]
pub enum JournalError {
    #[error("there is no topic {0:?}")]
    UnknownTopic(TopicName),
    /// One topic cannot be served; the others can.
    #[error("the record of topic {topic:?} is damaged at {place}: {reason}")]
    Damaged { topic: TopicName, place: String, reason: String },
    #[error("{path} holds no topicsync data, and is not empty: choose another folder with --data")]
    Foreign { path: PathBuf },
    #[error(
        "{path} was written by a newer topicsync (format {found}, this program reads up to \
         {supported}): use that program, or another folder"
    )]
    Newer { path: PathBuf, found: u32, supported: u32 },
    #[error(
        "{path} is in use by another server{}: stop that one, or choose another folder with --data",
        process(.pid)
    )]
    InUse { path: PathBuf, pid: Option<u32> },
    #[error("{path} is not there")]
    NotThere { path: PathBuf },
    #[error("cannot {action} {path}: {source}; check the folder's permissions and its disk")]
    Folder { action: &'static str, path: PathBuf, source: std::io::Error },
    #[error("the disk of {path} is full: free some space there; what was committed is safe")]
    Full { path: PathBuf },
    #[error(
        "{path} is damaged: {reason}; see with `topicsync verify` what can still be read, save it with \
         `topicsync export`, and import that into a new folder"
    )]
    Corrupt { path: PathBuf, reason: String },
    #[error("{path} cannot be read or written: {reason}")]
    Storage { path: PathBuf, reason: String },
}

fn process(pid: &Option<u32>) -> String {
    pid.map_or_else(String::new, |pid| format!(" (process {pid})"))
}

/// Why a group was not committed, or is not known to be.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the message of each variant says what it is")]
pub enum CommitError {
    /// Another writer was first. Nothing of the group is there.
    #[error("another writer was first: topic {topic:?} {found}")]
    Fenced { topic: TopicName, found: Found },
    /// No answer came: the group is there, or not, or will be.
    #[error("it is not known what became of a group: {0}")]
    Unknown(JournalError),
    /// It could not be written. Nothing of the group is there once the journal is open again.
    #[error(transparent)]
    Failed(#[from] JournalError),
}

/// What was found in place of the topic that a group expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[allow(missing_docs, reason = "the message of each variant says what it is")]
pub enum Found {
    #[error("is at version {head}, not {expected}")]
    Head { expected: Version, head: Version },
    #[error("is there already, in another life")]
    OtherLife,
    #[error("is not there")]
    Nothing,
}
