//! Who makes changes: a session, the server, or the program it is embedded in; and what it can undo.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use smallvec::SmallVec;

use super::cell::TopicCell;
use super::publication::Origin;
use crate::topic::{ActionId, ChangeId, ClientId, CommitNumber};

/// How many actions an author can take back.
const UNDO_DEPTH_MAX: usize = 1_000;

/// One who makes changes under a client id.
pub struct Author {
    id: ClientId,
    /// Who hears of this author's own changes; nobody, for a program that looks at the values.
    pub(super) origin: Option<Arc<dyn Origin>>,
    /// Counts the ids that the engine makes in the author's name.
    counter: AtomicU64,
    undo: Mutex<UndoStack>,
    /// Presence topics in which the author has, or had, an entry.
    presence: Mutex<Vec<Arc<TopicCell>>>,
}

/// An author's own actions, newest last.
#[derive(Default)]
struct UndoStack {
    undoable: VecDeque<Done>,
    redoable: Vec<Done>,
}

/// An action in force, or the undo of one.
#[derive(Clone)]
pub(super) struct Done {
    pub commit: CommitNumber,
    /// The id of the action, or lone change, that was first made.
    pub original: ActionId,
    pub topics: SmallVec<[Arc<TopicCell>; 1]>,
}

/// Which way to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Undo,
    Redo,
}

impl Author {
    pub fn new(id: ClientId, origin: Option<Arc<dyn Origin>>) -> Author {
        Author {
            id,
            origin,
            counter: AtomicU64::new(0),
            undo: Mutex::default(),
            presence: Mutex::default(),
        }
    }

    pub fn id(&self) -> ClientId {
        self.id
    }

    /// A fresh id for a change or action that the engine makes in this author's name.
    pub(super) fn fresh_id(&self) -> ChangeId {
        let counter = self.counter.fetch_add(1, Ordering::Relaxed);
        ChangeId::of_server_for(self.id, counter)
    }

    /// Notes a presence topic that the author writes to.
    pub(super) fn note_presence(&self, topic: &Arc<TopicCell>) {
        let mut presence = self.presence.lock();
        if !presence.iter().any(|noted| Arc::ptr_eq(noted, topic)) {
            presence.push(topic.clone());
        }
    }

    /// The presence topics that the author wrote to, now forgotten.
    pub(super) fn take_presence(&self) -> Vec<Arc<TopicCell>> {
        std::mem::take(&mut self.presence.lock())
    }

    /// Notes a new action; what was undone before can no longer be redone.
    pub(super) fn did(&self, done: Done) {
        let mut stack = self.undo.lock();
        stack.redoable.clear();
        stack.push_undoable(done);
    }

    /// Takes the action that is next to be reversed.
    pub(super) fn take(&self, direction: Direction) -> Option<Done> {
        let mut stack = self.undo.lock();
        match direction {
            Direction::Undo => stack.undoable.pop_back(),
            Direction::Redo => stack.redoable.pop(),
        }
    }

    /// Notes the undo or redo that was made of what was [`take`](Self::take)n.
    pub(super) fn reversed(&self, direction: Direction, done: Done) {
        let mut stack = self.undo.lock();
        match direction {
            Direction::Undo => stack.redoable.push(done),
            Direction::Redo => stack.push_undoable(done),
        }
    }
}

impl UndoStack {
    fn push_undoable(&mut self, done: Done) {
        if self.undoable.len() == UNDO_DEPTH_MAX {
            self.undoable.pop_front();
        }
        self.undoable.push_back(done);
    }
}
