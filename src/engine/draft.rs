//! What a decision has in hand: the topics of a submission, their locks, and changes on their way through.

use std::sync::Arc;

use parking_lot::MutexGuard;
use smallvec::SmallVec;

use super::author::Author;
use super::cell::{State, TopicCell};
use super::publication::Origin;
use crate::topic::{ChangeId, ClientId, CommitNumber, Rejection, Version};
use crate::types::run::MaybeChange;

/// The topics of one submission, in the order of their names, each once.
pub(super) type Cells = SmallVec<[Arc<TopicCell>; 1]>;

/// Their locks, in the same order.
pub(super) type Guards<'a> = SmallVec<[MutexGuard<'a, State>; 1]>;

/// The head of each topic before a submission.
pub(super) type Heads = SmallVec<[Version; 1]>;

pub(super) type Drafts = SmallVec<[Draft; 1]>;

/// The index of the change that failed, and why.
pub(super) type Failure = (usize, Rejection);

/// A change on its way through the decision.
pub(super) struct Draft {
    /// Its topic, as an index into the cells.
    pub slot: usize,
    pub change: MaybeChange,
    pub id: ChangeId,
    pub base: Option<Version>,
}

/// Whose change it is.
#[derive(Clone)]
pub(super) struct ChangeSource {
    pub id: ClientId,
    /// Who hears of it, subscribed or not.
    pub origin: Option<Arc<dyn Origin>>,
}

impl ChangeSource {
    pub(super) fn of(author: &Author) -> ChangeSource {
        ChangeSource { id: author.id(), origin: author.origin.clone() }
    }
}

/// What a submission was accepted as. On topics that wait for the journal this is not certain until it is
/// durable, which [`Engine::submit_then`](super::Engine::submit_then) tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The place in the server-wide order.
    pub commit: CommitNumber,
    /// The version that each change made, in order.
    pub versions: SmallVec<[Version; 1]>,
}
