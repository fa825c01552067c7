//! Why a change was sent back.

use ecow::EcoString;
use thiserror::Error;

use super::{ChangeId, Epoch, TopicName, Version};
use crate::types::Conflict;
use crate::value::Invalid;

/// Why a change was not accepted. The topic is as it was.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs, reason = "the message of each variant says what it is")]
pub enum Rejection {
    // Stale: it was fine at its base.
    #[error("base {base} is past the head, version {head}")]
    BasePastHead { base: Version, head: Version },
    #[error("base {base} is older than version {oldest}, the oldest kept")]
    BaseTooOld { base: Version, oldest: Version },
    #[error("epoch mismatch: the change is for {asked}, the topic is at {is}")]
    OtherEpoch { asked: Epoch, is: Epoch },
    /// There is too much to rebase over.
    #[error(
        "rebasing {run} changes over all that came since their base would take more than {} steps",
        super::rebase::STEPS_MAX
    )]
    TooFarBehind { run: usize },
    #[error("{conflict} in version {version}")]
    Conflict { conflict: Conflict, version: Version },
    #[error("{}", no_longer_fits(.invalid))]
    NoLongerFits { invalid: Invalid, head: Version },

    // Invalid: it could not be applied where nothing came in between either.
    #[error("{0}")]
    Invalid(#[from] Invalid),
    /// A validator's word.
    #[error("{0}")]
    Refused(String),
    #[error("in an action, the changes of one topic bear the same base, or none does")]
    MixedBases,
    #[error("an action has at least one change")]
    EmptyAction,
    #[error("duplicate change id {0} in the action")]
    IdTwice(ChangeId),
    /// A panic in the code of the topic's type, or of a validator. The topic is as it was.
    #[error("the server's own code failed on this change of a {type_name} topic")]
    Panicked { type_name: &'static str },
    #[error("some changes of this action were accepted under these ids, and some were not")]
    PartlyKnown,

    /// It cannot be made durable, for this reason.
    #[error("{0}")]
    Unavailable(String),
    #[error("the server is over its limits; send it again later, under the same id")]
    Busy,

    #[error("there is no topic {0:?}")]
    UnknownTopic(TopicName),
    #[error("{0}")]
    Forbidden(EcoString),
}

impl Rejection {
    /// The version that the change lost to: the one that it conflicts with, or, if it no longer fits
    /// after all that came in between, the head.
    pub fn against(&self) -> Option<Version> {
        match self {
            Rejection::Conflict { version, .. } => Some(*version),
            Rejection::NoLongerFits { head, .. } => Some(*head),
            _ => None,
        }
    }

    /// Whether the change was fine at its base and cannot be rebased to the head.
    pub fn is_stale(&self) -> bool {
        use Rejection::*;
        matches!(
            self,
            BasePastHead { .. }
                | BaseTooOld { .. }
                | OtherEpoch { .. }
                | TooFarBehind { .. }
                | Conflict { .. }
                | NoLongerFits { .. }
        )
    }
}

/// What a type says of a rule of its own is a sentence for whoever made the change.
fn no_longer_fits(invalid: &Invalid) -> String {
    match invalid {
        Invalid::Rule(sentence) => sentence.clone(),
        other => format!("it no longer fits the value: {other}"),
    }
}
