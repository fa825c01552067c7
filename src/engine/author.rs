//! Who makes changes: a session, the server, or the program it is embedded in; and what it can undo.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use smallvec::SmallVec;

use super::cell::TopicCell;
use super::policy::Principal;
use super::publication::Origin;
use crate::topic::{ActionId, ChangeId, ClientId, CommitNumber, TopicName};

/// How many actions an author can take back.
const UNDO_DEPTH_MAX: usize = 1_000;

/// One who makes changes under a client id.
pub struct Author {
    principal: Principal,
    /// Who hears of this author's own changes; nobody, for a program that looks at the values.
    pub(super) origin: Option<Arc<dyn Origin>>,
    /// Counts the ids that the engine makes in the author's name, in this life of the server.
    counter: AtomicU64,
    life: u64,
    undo: Mutex<UndoStack>,
    /// What the author did before the server's present life is not on the stack yet.
    from_before: AtomicBool,
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
    pub topics: SmallVec<[TopicName; 1]>,
}

/// Which way to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Take the newest action back.
    Undo,
    /// Make again what was last taken back.
    Redo,
}

impl Author {
    /// One who has made no change yet.
    pub fn new(id: ClientId, origin: Option<Arc<dyn Origin>>) -> Author {
        Author {
            principal: Principal::client(id),
            origin,
            counter: AtomicU64::new(0),
            life: 1,
            undo: Mutex::default(),
            from_before: AtomicBool::new(false),
            presence: Mutex::default(),
        }
    }

    /// One who made changes before the server's present life, as [`Engine::life`](super::Engine::life)
    /// counts them.
    pub fn from_before(id: ClientId, origin: Option<Arc<dyn Origin>>, life: u64) -> Author {
        let from_before = AtomicBool::new(true);
        Author { life, from_before, ..Author::new(id, origin) }
    }

    /// The server itself, in its present life.
    pub fn server(life: u64) -> Author {
        Author { life, ..Author::new(ClientId::SERVER, None) }
    }

    /// The client id that changes are made under; [`ClientId::SERVER`] for the server.
    pub fn id(&self) -> ClientId {
        self.principal.id()
    }

    /// On whose behalf this author acts.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// A fresh id for a change or action that the engine makes in this author's name.
    pub(super) fn fresh_id(&self) -> ChangeId {
        let counter = self.counter.fetch_add(1, Ordering::Relaxed);
        ChangeId::of_server_for(self.id(), self.life, counter)
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

    /// Whether what the author did before is to be put on the stack; `false` from then on.
    pub(super) fn take_from_before(&self) -> bool {
        self.from_before.load(Ordering::Acquire) && self.from_before.swap(false, Ordering::AcqRel)
    }

    /// Takes the action that is next to be reversed.
    pub(super) fn take(&self, direction: Direction) -> Option<Done> {
        let mut stack = self.undo.lock();
        match direction {
            Direction::Undo => stack.undoable.pop_back(),
            Direction::Redo => stack.redoable.pop(),
        }
    }

    /// Puts back what was [`take`](Self::take)n, and not reversed.
    pub(super) fn put_back(&self, direction: Direction, done: Done) {
        let mut stack = self.undo.lock();
        match direction {
            Direction::Undo => stack.push_undoable(done),
            Direction::Redo => stack.redoable.push(done),
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

/// An action as a log tells of it.
pub(super) struct Past {
    pub done: Done,
    /// What it reversed, if it was an undo or redo.
    pub reversed: Option<Direction>,
}

impl Author {
    /// Puts what the author did before on the stack, the oldest first.
    pub(super) fn restore(&self, past: impl IntoIterator<Item = Past>) {
        for Past { done, reversed } in past {
            match reversed {
                None => self.did(done),
                // What it took back is the newest of its kind, or the stack would not have given it.
                Some(direction) => {
                    self.take(direction);
                    self.reversed(direction, done);
                }
            }
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
