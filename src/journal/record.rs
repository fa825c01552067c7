//! What a journal writes and reads: plain data, whatever the topic's type.

use std::sync::Arc;

use ecow::EcoString;

use crate::topic::{
    ActionMark, ChangeId, ClientId, CommitNumber, Durability, Entry, Epoch, Timestamp, TopicName,
    TopicOptions, Version,
};
use crate::types::TypeRef;
use crate::value::{Fields, Invalid, Value};

/// A topic, without its log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicRecord {
    /// The topic's name.
    pub name: TopicName,
    /// The name of its type, which need not be known here.
    pub type_name: EcoString,
    /// What it was made with.
    pub options: TopicOptions,
    /// The name of this life of the topic.
    pub epoch: Epoch,
    /// The life of the server in which the topic got its epoch; see [`Numbers::life`].
    pub life: u64,
}

/// How far a topic's log reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Extent {
    /// The oldest version whose value is kept.
    pub oldest: Version,
    /// The newest version.
    pub head: Version,
    /// Of the newest change; 0 if there is none.
    pub commit: CommitNumber,
    /// Of the newest change; 0 if there is none.
    pub time: Timestamp,
    /// How much the log and its checkpoints take up, about, in bytes.
    pub bytes: u64,
}

/// One accepted change, as it is kept: an [`Entry`] whose change is not yet read.
#[derive(Debug, Clone, PartialEq)]
pub struct Logged {
    /// The version that the change made.
    pub version: Version,
    /// The number of its commit.
    pub commit: CommitNumber,
    /// `None` where rebasing left nothing to do.
    pub change: Option<Fields>,
    /// Who made it.
    pub author: ClientId,
    /// The id under which its author sent it.
    pub id: ChangeId,
    /// The action that it is of.
    pub action: Option<Arc<ActionMark>>,
    /// When it was accepted.
    pub time: Timestamp,
}

impl Logged {
    /// An entry of a topic's log, in plain fields.
    pub fn of_entry(kind: TypeRef, entry: &Entry) -> Logged {
        Logged {
            version: entry.version,
            commit: entry.commit,
            change: entry.change.as_ref().map(|change| kind.encode_change(change)),
            author: entry.author,
            id: entry.id.clone(),
            action: entry.action.clone(),
            time: entry.time,
        }
    }

    /// The entry of a topic of type `kind`.
    ///
    /// # Errors
    /// The change is none of that type.
    pub fn into_entry(self, kind: TypeRef) -> Result<Entry, Invalid> {
        let change = match &self.change {
            Some(fields) => Some(kind.decode_change(fields)?),
            None => None,
        };
        Ok(Entry {
            version: self.version,
            commit: self.commit,
            change,
            author: self.author,
            id: self.id,
            action: self.action,
            time: self.time,
        })
    }
}

/// A value kept at some version.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// The version that the value is of.
    pub version: Version,
    /// The plain form of the value.
    pub value: Value,
    /// When the version was made: by a change, or by a fork that begins with it. `None` if that is not
    /// known, as in what was imported.
    pub stamp: Option<Stamp>,
}

/// When something was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stamp {
    /// The number of its commit.
    pub commit: CommitNumber,
    /// The time.
    pub time: Timestamp,
}

/// Up to which version a topic is known to be durable.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Head {
    /// The topic.
    pub topic: TopicName,
    /// Which life of the topic is meant; `None` for whichever there is.
    pub epoch: Option<Epoch>,
    /// The version.
    pub version: Version,
}

/// Changes to be added to one topic's log.
#[derive(Debug, Clone, PartialEq)]
pub struct Append {
    /// The topic that is appended to.
    pub topic: TopicName,
    /// The head that the first of them follows.
    pub after: Version,
    /// At least one, without gaps.
    pub changes: Vec<Logged>,
}

/// A session that its client can resume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRecord {
    /// The client's id.
    pub id: ClientId,
    /// The client's secret.
    pub token: EcoString,
    /// When the session began.
    pub since: Timestamp,
    /// What it provides.
    pub services: Vec<EcoString>,
}

/// Numbers that are never given twice in the life of a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Numbers {
    /// How often a server began on this journal, this time included.
    pub life: u64,
    /// Every commit number up to this one may have been given.
    pub commit: CommitNumber,
    /// Every client id up to this one may have been given.
    pub client: ClientId,
}

/// What a server starts from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Beginning {
    /// The numbers that are given from here on.
    pub numbers: Numbers,
    /// The newest life that did not end with [`Operation::Close`]; 0 if all did.
    pub unclean_life: u64,
    /// Set if the life before this one did not end with [`Operation::Close`]: how durable its changes
    /// were on topics that do not say, `Relaxed` if that is not known.
    pub unclean: Option<Durability>,
    /// When the journal was last written to; 0 if never.
    pub last_written: Timestamp,
    /// The sessions that have not ended.
    pub sessions: Vec<SessionRecord>,
}

/// One thing to be made durable. What is said of a topic that is not there, but for an append, is
/// nothing to do; so is what was done already by the same operation, but for an append.
#[derive(Debug, Clone, PartialEq)]
pub enum Operation {
    /// A new topic. If there is another life of it, the group is fenced.
    Make {
        /// The topic.
        record: TopicRecord,
        /// The value it begins with and its version; `None` for its type's initial value at version 0.
        start: Option<Checkpoint>,
    },
    /// The topic gets another epoch.
    Renew {
        /// The topic.
        topic: TopicName,
        /// The new epoch.
        epoch: Epoch,
        /// The life of the journal in which it began.
        life: u64,
    },
    /// The topic, of this life if it is said, is no more.
    Remove {
        /// The topic.
        topic: TopicName,
        /// Which life of it; `None` for whichever there is.
        epoch: Option<Epoch>,
    },
    /// Appends changes to a topic's log.
    Append(Append),
    /// Keeps a value, which is that of the topic's head, or of an older version.
    Checkpoint {
        /// The topic.
        topic: TopicName,
        /// The value and its version.
        checkpoint: Checkpoint,
    },
    /// Forgets what is before the newest checkpoint that is not after this version.
    Trim {
        /// The topic.
        topic: TopicName,
        /// The oldest version that is wanted.
        oldest: Version,
    },
    /// A session, or what it is by now.
    Session(SessionRecord),
    /// Forgets a session.
    EndSession(ClientId),
    /// Numbers up to these may be given from here on. `life` is not looked at.
    Reserve(Numbers),
    /// Of the numbers up to `reserved`, which this life reserved, those after `used` were not given, and
    /// are free again; unless somebody has reserved more since. `life` is not looked at.
    Release {
        /// The newest that were given.
        used: Numbers,
        /// The newest that were reserved.
        reserved: Numbers,
    },
    /// From here on the present life's changes are this durable on topics that do not say, and what the
    /// life before may have lost is dealt with.
    Open(Durability),
    /// The server stops in good order.
    Close,
}
