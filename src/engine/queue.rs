//! What waits for the journal, in the order of its acceptance.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};
use smallvec::SmallVec;

use super::cell::TopicCell;
use super::draft::{Cells, ChangeSource, Heads, Receipt};
use super::publication::Item;
use crate::journal::Operation;
use crate::topic::{Entry, Rejection};
use crate::types::AnyValue;

/// How many things one group holds at most.
const GROUP_MAX: usize = 8_192;
/// How many things may wait before more are turned away.
const WAITING_MAX: usize = 200_000;

/// Called once all that was accepted before is durable and published, or could not be made durable.
pub type Then = Box<dyn FnOnce(Result<(), Unavailable>) + Send>;

/// It could not be made durable, and is as if it had never been.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unavailable;

/// Called once what an accepted submission appended is durable, with the commit and versions that it has;
/// or with why it is as if it had never been. It is called once and on whichever thread, which it must not
/// keep for long; not at all if the engine ends before that is known.
pub type OnDurable = Box<dyn FnOnce(Result<Receipt, Rejection>) + Send>;

/// Somebody who wants to know what became of an accepted submission.
pub(super) struct Asker {
    pub receipt: Receipt,
    pub then: OnDurable,
}

impl Asker {
    pub(super) fn tell(self, result: Result<(), Rejection>) {
        (self.then)(result.map(|()| self.receipt));
    }

    /// As somebody who waits for all that was accepted.
    pub(super) fn into_then(self) -> Then {
        let lost = |_| Rejection::Unavailable("it could not be made durable".into());
        Box::new(move |settled| self.tell(settled.map_err(lost)))
    }
}

/// Something that waits for the journal.
pub(super) enum Waiting {
    Accepted(Accepted),
    /// Tried again until it is done.
    Operation(Operation),
    /// The topic's removal; tried again until it is done.
    Removal(Arc<TopicCell>),
    Then(Then),
    /// Called once what was accepted before is published or taken back, though the journal may have
    /// failed: a reader, who need not wait until it works again.
    Read(Box<dyn FnOnce() + Send>),
}

/// An accepted submission.
pub(super) struct Accepted {
    pub cells: Cells,
    /// The head of each topic before it.
    pub before: Heads,
    pub appended: SmallVec<[Appended; 1]>,
    /// What is to be published once it is durable, and whose it is; `None` if it is published already.
    pub deferred: Option<(ChangeSource, Item)>,
    /// Who wants to know what becomes of it.
    pub asker: Option<Box<Asker>>,
}

/// What a submission appended to one topic's log.
pub(super) struct Appended {
    pub slot: usize,
    pub entries: Vec<Entry>,
    /// The value at the last of them, if a checkpoint is due.
    pub checkpoint: Option<AnyValue>,
}

impl Waiting {
    /// Whether somebody waits for it.
    fn is_urgent(&self) -> bool {
        !matches!(self, Waiting::Accepted(Accepted { deferred: None, .. }))
    }

    /// Whether it is done, however long that takes, even if the journal fails.
    pub(super) fn is_kept(&self) -> bool {
        match self {
            Waiting::Accepted(accepted) => accepted.deferred.is_none(),
            Waiting::Operation(_) | Waiting::Removal(_) => true,
            Waiting::Then(_) | Waiting::Read(_) => false,
        }
    }
}

/// What waits for the journal.
#[derive(Default)]
pub(super) struct CommitQueue {
    state: Mutex<State>,
    changed: Condvar,
    /// The journal failed, and takes nothing for now.
    down: AtomicBool,
    /// More waits than should.
    full: AtomicBool,
    /// Groups committed.
    pub groups: AtomicU64,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Waiting>,
    urgent: usize,
    /// Groups that were taken and are not yet dealt with.
    in_hand: usize,
    stopping: bool,
    /// Why the journal failed.
    reason: String,
}

impl CommitQueue {
    pub(super) fn push(&self, waiting: Waiting) {
        self.push_to(self.state.lock(), waiting);
    }

    #[inline(always)]
    fn push_to(&self, mut state: MutexGuard<'_, State>, waiting: Waiting) {
        // Only whoever waits for work is to be woken.
        let wakes = state.waiting.is_empty() || (state.urgent == 0 && waiting.is_urgent());
        state.urgent += usize::from(waiting.is_urgent());
        state.waiting.push_back(waiting);
        self.note_len(&state);
        drop(state);
        if wakes {
            self.changed.notify_all();
        }
    }

    /// Adds a reader; gives it back if nothing is to be waited for: nothing is in hand, or the journal
    /// failed, which leaves only what readers do not see.
    pub(super) fn push_read(
        &self,
        read: Box<dyn FnOnce() + Send>,
    ) -> Result<(), Box<dyn FnOnce() + Send>> {
        let state = self.state.lock();
        let is_idle = state.waiting.is_empty() && state.in_hand == 0;
        // Whoever takes out what fails does so after the journal was found to be down.
        if is_idle || self.is_down() {
            return Err(read);
        }
        self.push_to(state, Waiting::Read(read));
        Ok(())
    }

    /// Keeps `full` true, whatever was done to what waits.
    fn note_len(&self, state: &State) {
        self.full.store(state.waiting.len() >= WAITING_MAX, Ordering::Relaxed);
    }

    pub(super) fn is_down(&self) -> bool {
        self.down.load(Ordering::Acquire)
    }

    pub(super) fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// From here on nothing new is accepted on a topic whose lock is taken after this.
    pub(super) fn go_down(&self, reason: String) {
        self.state.lock().reason = reason;
        self.down.store(true, Ordering::Release);
    }

    pub(super) fn come_up(&self) {
        self.down.store(false, Ordering::Release);
    }

    /// Has [`wait`](Self::wait) end once nothing is left.
    pub(super) fn stop(&self) {
        self.state.lock().stopping = true;
        self.changed.notify_all();
    }

    /// Waits until it is to stop, but for at most so long; tells whether it is.
    pub(super) fn wait_for_stop(&self, at_most: Duration) -> bool {
        let (mut state, deadline) = (self.state.lock(), Instant::now() + at_most);
        while !state.stopping && !self.changed.wait_until(&mut state, deadline).timed_out() {}
        state.stopping
    }

    /// Throws away what waits.
    pub(super) fn clear(&self) {
        let mut state = self.state.lock();
        state.waiting.clear();
        state.urgent = 0;
        self.note_len(&state);
    }

    pub(super) fn len(&self) -> usize {
        self.state.lock().waiting.len()
    }

    /// Whether all that was ever pushed is dealt with.
    pub(super) fn is_idle(&self) -> bool {
        let state = self.state.lock();
        state.waiting.is_empty() && state.in_hand == 0
    }

    /// Why the journal takes nothing, if it does not.
    pub(super) fn down_reason(&self) -> Option<String> {
        self.is_down().then(|| self.state.lock().reason.clone())
    }

    /// Takes the next group; `None` if nothing waits.
    pub(super) fn take(&self) -> Option<Vec<Waiting>> {
        let mut state = self.state.lock();
        self.take_from(&mut state)
    }

    fn take_from(&self, state: &mut State) -> Option<Vec<Waiting>> {
        if state.waiting.is_empty() {
            return None;
        }
        let len = state.waiting.len().min(GROUP_MAX);
        let group: Vec<Waiting> = state.waiting.drain(..len).collect();
        state.urgent -= group.iter().filter(|waiting| waiting.is_urgent()).count();
        state.in_hand += 1;
        self.note_len(state);
        Some(group)
    }

    /// Waits for the next group: for what somebody waits for, or for `relaxed` after the first of
    /// anything. `None` once it is to stop and nothing is left.
    pub(super) fn wait(&self, relaxed: Duration) -> Option<Vec<Waiting>> {
        let mut state = self.state.lock();
        while state.waiting.is_empty() {
            if state.stopping {
                return None;
            }
            self.changed.wait(&mut state);
        }
        let deadline = Instant::now() + relaxed;
        while state.urgent == 0 && !state.stopping {
            if self.changed.wait_until(&mut state, deadline).timed_out() {
                break;
            }
        }
        self.take_from(&mut state)
    }

    /// Notes that a group that was taken is dealt with.
    pub(super) fn end_group(&self) {
        self.state.lock().in_hand -= 1;
        self.changed.notify_all();
    }

    /// Waits until only the caller's own group is in hand.
    pub(super) fn wait_for_others(&self) {
        let mut state = self.state.lock();
        while state.in_hand > 1 {
            self.changed.wait(&mut state);
        }
    }

    /// Takes out everything that waits and is not to be tried again.
    pub(super) fn take_failing(&self) -> Vec<Waiting> {
        let mut state = self.state.lock();
        let all = std::mem::take(&mut state.waiting);
        let (kept, failing): (Vec<_>, Vec<_>) = all.into_iter().partition(Waiting::is_kept);
        state.waiting = kept.into();
        self.note_len(&state);
        state.urgent = state.waiting.iter().filter(|waiting| waiting.is_urgent()).count();
        failing
    }

    /// Takes out everything that waits.
    pub(super) fn take_all(&self) -> Vec<Waiting> {
        let mut state = self.state.lock();
        state.urgent = 0;
        let all = std::mem::take(&mut state.waiting).into();
        self.note_len(&state);
        all
    }

    /// Whether something that waits is about one of these topics.
    pub(super) fn has_any_of(&self, cells: &[Arc<TopicCell>]) -> bool {
        let is_one = |cell: &Arc<TopicCell>| cells.iter().any(|it| Arc::ptr_eq(it, cell));
        self.state.lock().waiting.iter().any(|waiting| waiting.cells().iter().any(is_one))
    }

    pub(super) fn put_back(&self, kept: Vec<Waiting>) {
        let mut state = self.state.lock();
        state.urgent += kept.iter().filter(|waiting| waiting.is_urgent()).count();
        for waiting in kept.into_iter().rev() {
            state.waiting.push_front(waiting);
        }
        self.note_len(&state);
        drop(state);
        self.changed.notify_all();
    }

    pub(super) fn has_failing(&self) -> bool {
        self.state.lock().waiting.iter().any(|waiting| !waiting.is_kept())
    }
}

impl Waiting {
    pub(super) fn cells(&self) -> &[Arc<TopicCell>] {
        match self {
            Waiting::Accepted(accepted) => &accepted.cells,
            _ => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A queue with as much in it as there is room for.
    fn full() -> CommitQueue {
        let queue = CommitQueue::default();
        for _ in 0..WAITING_MAX {
            assert!(!queue.is_full());
            queue.push(Waiting::Then(Box::new(|_| ())));
        }
        assert!(queue.is_full());
        queue
    }

    #[test]
    fn a_full_queue_has_room_again_however_it_was_emptied() {
        let taken = full();
        taken.take().unwrap();
        assert!(!taken.is_full());
        // Nothing is accepted while it is full, so nothing else would ever notice.
        let failed = full();
        assert_eq!(failed.take_failing().len(), WAITING_MAX);
        assert!(!failed.is_full());
        let cleared = full();
        cleared.clear();
        assert!(!cleared.is_full());
    }
}
