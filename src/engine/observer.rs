//! What an engine tells of itself: topics that come and go, how the journal does, every decision.
//!
//! Nothing is prepared for an [`Observer`] that is not there: without one, each event costs a branch.

use std::sync::Arc;

use super::OpenError;
use super::author::{Author, Direction};
use super::cell::TopicCell;
use super::draft::Receipt;
use super::publication::Item;
use super::submit::Submission;
use crate::topic::{Rejection, TopicName, Version};

/// Learns what happens in an engine. Every method does nothing unless it is implemented.
///
/// The methods are called on whichever thread the event happens: they must be quick. What each may call
/// is said beside it.
pub trait Observer: Send + Sync {
    /// A topic was made. Topics are made and removed one at a time, and told of in that order. May call
    /// the engine, but not make or remove topics.
    fn topic_made(&self, _topic: &Arc<TopicCell>) {}

    /// A topic was removed, and that is durable. May call the engine, but not
    /// [`settle`](super::Engine::settle).
    fn topic_removed(&self, _topic: &Arc<TopicCell>) {}

    /// A topic that nobody used left memory. It comes back when somebody asks for it. May call the
    /// engine.
    fn topic_evicted(&self, _name: &TopicName) {}

    /// A topic could not be loaded from the journal. Must not call the engine.
    fn topic_failed(&self, _name: &TopicName, _error: &OpenError) {}

    /// The journal failed, for this reason, or works again. May call the engine, but not
    /// [`settle`](super::Engine::settle).
    fn journal(&self, _state: Result<(), &str>) {}

    /// A change, action, undo or redo was decided.
    ///
    /// What was accepted is told under the locks of its topics, and so in the order of each topic's
    /// versions; it may still be taken back if the journal fails. Must not call the engine.
    fn decided(&self, _decision: &Decision<'_>) {}
}

/// One decision: who wanted what, and what became of it.
pub struct Decision<'a> {
    /// Who asked.
    pub author: &'a Author,
    /// What was asked for.
    pub asked: Asked<'a>,
    /// What became of it.
    pub outcome: Outcome<'a>,
}

/// What an author asked for.
#[derive(Clone, Copy)]
pub enum Asked<'a> {
    /// Changes as they were submitted, each with its base.
    Submission(&'a Submission),
    /// To take back, or make again, an earlier action.
    Reversal(Direction),
}

/// What a decision came to.
pub enum Outcome<'a> {
    /// Accepted: each change as it is after the rebase, with the version that it made.
    Accepted(&'a Item),
    /// Accepted before, under the same ids: it was sent again, and changed nothing.
    Known(&'a Receipt),
    /// Sent back; nothing changed.
    Rejected {
        /// Which change of the submission failed.
        index: usize,
        /// Why.
        rejection: &'a Rejection,
        /// The version that the change lost to; see [`Rejection::against`].
        against: Option<Version>,
    },
}
