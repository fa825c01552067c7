//! The lines of an exported history: one JSON object each.
//!
//! ```text
//! {"topicsync":"export","format":1}
//! {"topic":"nodes","type":"dict","options":{},"oldest":0}
//! {"commit":7,"time":1764000000000,"author":3,"changes":[{"topic":"nodes","version":1,"id":"3_0","change":{…}}]}
//! ```
//!
//! First the header, then the topics by name, each with its value at the oldest version (`"value"`) if
//! that is not its type's initial one at version 0. Then the commits in their order, an action in one
//! line, so that the first lines of a file are the whole workspace as it was at some commit. Epochs are
//! not in it: they name a life in one server.

use std::fmt;
use std::sync::Arc;

use ecow::EcoString;
use serde::de::{DeserializeSeed, Deserializer, Error as _, Visitor};
use serde::{Deserialize, Serialize};

use crate::journal::Logged;
use crate::topic::{
    ActionId, ActionMark, ChangeId, ClientId, CommitNumber, NameError, Reverses, Timestamp,
    TopicName, Version,
};
use crate::value::fields::FieldsSeed;
use crate::value::limits::INT_MAX;
use crate::value::{Fields, Value};

use super::Commit;

/// The format that this program writes, and the newest that it reads.
pub const FORMAT: u32 = 1;

/// What kind of file the header says it is.
pub const KIND: &str = "export";

/// The first line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeaderLine {
    /// What kind of file it is: [`KIND`].
    pub topicsync: EcoString,
    /// The format that it is written in.
    pub format: u32,
}

impl HeaderLine {
    /// The first line of a file that this program writes.
    pub fn new() -> HeaderLine {
        HeaderLine { topicsync: KIND.into(), format: FORMAT }
    }
}

impl Default for HeaderLine {
    fn default() -> HeaderLine {
        HeaderLine::new()
    }
}

/// A topic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopicLine {
    /// The topic's name.
    pub topic: EcoString,
    /// The name of its type.
    #[serde(rename = "type")]
    pub type_name: EcoString,
    /// What it was made with.
    pub options: Value,
    /// The oldest version that is kept.
    pub oldest: u64,
    /// The value at the oldest version.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
}

/// What was accepted at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommitLine {
    /// The number of the commit.
    pub commit: u64,
    /// When it was accepted, in milliseconds since 1970.
    pub time: u64,
    /// The client that made it.
    pub author: u64,
    /// Set for an action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action_id: Option<EcoString>,
    /// What it took back, if it is an undo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<ReversesLine>,
    /// What it made again, if it is a redo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redoes: Option<ReversesLine>,
    /// The changes, by topic and version.
    pub changes: Vec<ChangeLine>,
}

/// The commit that an undo or redo took back, and the action that was first made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReversesLine {
    /// The number of that commit.
    pub commit: u64,
    /// The id of the action that was first made.
    pub action_id: EcoString,
}

/// One change of a commit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeLine {
    /// The topic's name.
    pub topic: EcoString,
    /// The version that it made.
    pub version: u64,
    /// The id of the change.
    pub id: EcoString,
    /// `null` where rebasing left nothing to do.
    #[serde(deserialize_with = "maybe_fields")]
    pub change: Option<Fields>,
}

impl CommitLine {
    /// The line of a commit.
    pub fn of(commit: &Commit) -> CommitLine {
        let mark = commit.action.as_deref();
        let reverses = |redo: bool| {
            let reverses = mark?.reverses.as_ref().filter(|it| it.redo == redo)?;
            let action_id = reverses.original.clone().into();
            Some(ReversesLine { commit: reverses.commit.0, action_id })
        };
        let change = |(topic, change): &(TopicName, Logged)| ChangeLine {
            topic: topic.clone().into(),
            version: change.version.0,
            id: change.id.clone().into(),
            change: change.change.clone(),
        };
        CommitLine {
            commit: commit.number.0,
            time: commit.time.0,
            author: commit.author.0,
            action_id: mark.map(|mark| mark.id.clone().into()),
            undoes: reverses(false),
            redoes: reverses(true),
            changes: commit.changes.iter().map(change).collect(),
        }
    }

    /// The commit that the line tells of.
    ///
    /// # Errors
    /// What cannot be, in words.
    pub fn into_commit(self) -> Result<Commit, String> {
        for (field, number) in
            [("commit", self.commit), ("time", self.time), ("author", self.author)]
        {
            check_number(field, number)?;
        }
        let action = match (self.action_id, self.undoes, self.redoes) {
            (None, None, None) => None,
            (None, ..) => return Err("an undo or redo has an action_id".to_owned()),
            (_, Some(_), Some(_)) => return Err("both \"undoes\" and \"redoes\"".to_owned()),
            (Some(id), undoes, redoes) => {
                let redo = redoes.is_some();
                let reverses =
                    undoes.or(redoes).map(|line| line.into_reverses(redo)).transpose()?;
                Some(Arc::new(ActionMark { id: ActionId::new(id).map_err(words)?, reverses }))
            }
        };
        let (number, time) = (CommitNumber(self.commit), Timestamp(self.time));
        let author = ClientId(self.author);
        let change = |line: ChangeLine| {
            check_number("version", line.version)?;
            let logged = Logged {
                version: Version(line.version),
                commit: number,
                change: line.change,
                author,
                id: ChangeId::new(line.id).map_err(words)?,
                action: action.clone(),
                time,
            };
            Ok((TopicName::new(line.topic).map_err(words)?, logged))
        };
        let changes = self.changes.into_iter().map(change).collect::<Result<Vec<_>, String>>()?;
        Ok(Commit { number, time, author, action, changes })
    }
}

impl ReversesLine {
    fn into_reverses(self, redo: bool) -> Result<Reverses, String> {
        check_number("commit", self.commit)?;
        let original = ActionId::new(self.action_id).map_err(words)?;
        Ok(Reverses { commit: CommitNumber(self.commit), original, redo })
    }
}

fn words(error: NameError) -> String {
    error.to_string()
}

/// Checks a number that every client has to be able to hold.
pub(super) fn check_number(field: &str, number: u64) -> Result<(), String> {
    if number <= INT_MAX as u64 {
        Ok(())
    } else {
        Err(format!("{field} {number} is beyond 2^53 − 1"))
    }
}

/// A field that is there, though it may be `null`.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// The fields of a change, or `null`.
fn maybe_fields<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Fields>, D::Error> {
    deserializer.deserialize_option(MaybeFields)
}

struct MaybeFields;

impl<'de> Visitor<'de> for MaybeFields {
    type Value = Option<Fields>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a change or null")
    }

    fn visit_none<E>(self) -> Result<Option<Fields>, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Option<Fields>, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<Fields>, D::Error> {
        let mut problem = None;
        let fields = FieldsSeed { problem: &mut problem }.deserialize(deserializer)?;
        problem.map_or(Ok(Some(fields)), |problem| Err(D::Error::custom(problem)))
    }
}
