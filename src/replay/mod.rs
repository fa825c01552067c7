//! What was: past values, past changes, who made them and when, out of any journal.
//!
//! Pure functions over a [`Journal`](crate::journal::Journal) and a [`Registry`](crate::types::Registry).
//! Nothing here reads a clock or random numbers, opens a file or prints: what it reads from and writes to
//! is handed in. A topic whose type is not registered can be listed, logged, exported and imported; only
//! what needs its values says which type is missing.
//!
//! | module | holds |
//! |---|---|
//! | `past` | one topic's log: its value at any moment, its changes one by one |
//! | `commits` | the changes of many topics in one order, an action at a time |
//! | `cut` | all topics as they stood together |
//! | `diff`, `text_diff` | what is different between two values |
//! | `blame` | who last wrote what |
//! | [`mod@format`] | the lines of an exported history |
//! | `export`, `import`, `lines` | histories to and from such lines |
//! | `fork` | a new topic out of an old version |
//! | `verify` | folds every log and compares it with its checkpoints |
//! | `bisect` | the first commit at which something does not hold |
//! | `regression` | an exported history and its end as a test |

pub(crate) mod bisect;
pub(crate) mod blame;
pub(crate) mod commits;
pub(crate) mod cut;
pub(crate) mod diff;
pub(crate) mod export;
pub(crate) mod fork;
pub mod format;
pub(crate) mod import;
mod lines;
pub(crate) mod past;
pub(crate) mod regression;
#[cfg(test)]
mod tests;
pub(crate) mod text_diff;
pub(crate) mod verify;

use ecow::EcoString;
use thiserror::Error;

use crate::journal::{CommitError, JournalError};
use crate::topic::{TopicName, Version};
use crate::value::Invalid;

pub use bisect::{Bisected, bisect};
pub use blame::{Blamed, Blamer, Part, Written, blame};
pub use commits::{Commit, Commits, Page, Scope, history};
pub use cut::{Stage, cut};
pub use diff::{Difference, PathStep, What, diff, diff_of, diff_versions};
pub use export::{Exported, export};
pub use fork::fork;
pub use import::{Import, ImportError, Imported, import, open_export};
pub use past::{At, Past, value_at};
pub use regression::{check_replays, state};
pub use text_diff::{TextEdit, edits as text_edits};
pub use verify::{Problem, Verified, verify, verify_all};

/// Why the past could not be read.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the message of each variant says what it is")]
pub enum ReplayError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("there is no topic {0:?}; `topicsync topics` lists those that are there")]
    UnknownTopic(TopicName),
    #[error("there is a topic {0:?} already: choose another name")]
    TopicExists(TopicName),
    #[error(
        "topic {topic:?} is of type {type_name:?}, which this program does not know: read it with a \
         program in which that type is registered"
    )]
    MissingType { topic: TopicName, type_name: EcoString },
    #[error("topic {topic:?} has no version {version} yet, its head is {head}")]
    NotYet { topic: TopicName, version: Version, head: Version },
    #[error("version {version} of topic {topic:?} is no longer kept, the oldest is {oldest}")]
    NotKept { topic: TopicName, version: Version, oldest: Version },
    #[error(
        "the change that made version {version} of topic {topic:?} cannot be applied: {reason}"
    )]
    Broken { topic: TopicName, version: Version, reason: Invalid },
    #[error("the value of topic {topic:?} at version {version} is none of its type: {reason}")]
    BrokenValue { topic: TopicName, version: Version, reason: Invalid },
    #[error("cannot write to the journal: {0}")]
    Commit(#[from] CommitError),
    #[error("cannot write: {0}")]
    Write(#[from] std::io::Error),
}
