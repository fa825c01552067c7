//! From accepted to durable to published: what waits for the journal, and what becomes of it.
//!
//! ```text
//! submit ──► waiting ──► write: one group, one commit ──► settle: publish, in the order of acceptance
//!                                    │
//!                                    └─ failed ──► fall back: every topic as it was, every author told
//! ```
//!
//! The queue is filled under the topics' locks, so its order is that of every topic. All that waits is
//! one group: the longer a commit takes, the more the next one holds. What need not be durable before
//! it is published (`relaxed`) waits here too, but nobody waits for it.
//!
//! The engine starts no threads. A server runs [`Engine::run_journal`] on one of its own; a simulation
//! calls [`Engine::settle`] when it is time.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use smallvec::SmallVec;

use super::cell::TopicCell;
use super::publication::Item;
use super::submit::{By, Cells, Guards};
use super::{Engine, Existence, Group, deliver};
use crate::journal::{Append, Checkpoint, CommitError, Logged, Operation};
use crate::topic::{ChangeId, Entry, Keep, Moment, Timestamp, TopicName, Version};
use crate::types::AnyValue;

/// How many things one group holds at most.
const GROUP_MAX: usize = 8_192;
/// How many things may wait before more are turned away.
const WAITING_MAX: usize = 200_000;
/// How many durable groups may wait to be published before the journal waits for that.
const PUBLISHING_MAX: usize = 8;
/// How long after a failure the journal is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// Called once all that was accepted before is durable and published, or could not be made durable.
pub type Then = Box<dyn FnOnce(Result<(), Unavailable>) + Send>;

/// It could not be made durable, and is as if it had never been.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unavailable;

/// How the journal does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalState {
    /// It did not fail, or works again.
    pub works: bool,
    /// Groups committed.
    pub groups: u64,
    /// Submissions and other things that wait to be committed.
    pub waiting: usize,
}

/// Something that waits for the journal.
pub(super) enum Waiting {
    Accepted(Accepted),
    /// Tried again until it is done.
    Operation(Operation),
    /// The topic's removal; tried again until it is done.
    Removal(Arc<TopicCell>),
    Then(Then),
}

/// An accepted submission.
pub(super) struct Accepted {
    pub cells: Cells,
    /// The head of each topic before it.
    pub before: SmallVec<[Version; 1]>,
    pub appended: SmallVec<[Appended; 1]>,
    /// What is to be published once it is durable, and whose it is; `None` if it is published already.
    pub deferred: Option<(By, Item)>,
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
    fn is_kept(&self) -> bool {
        match self {
            Waiting::Accepted(accepted) => accepted.deferred.is_none(),
            Waiting::Operation(_) | Waiting::Removal(_) => true,
            Waiting::Then(_) => false,
        }
    }
}

/// What failed, until the journal has cut it off.
#[derive(Default)]
pub(super) struct Failed {
    waiting: Vec<Waiting>,
    /// The durable heads of the topics that the journal may hold more of.
    heads: Vec<(TopicName, Version)>,
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
    groups: AtomicU64,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Waiting>,
    urgent: usize,
    /// Groups that were taken and are not yet settled.
    unsettled: usize,
    stopping: bool,
    /// Why the journal failed.
    reason: String,
}

impl CommitQueue {
    pub fn push(&self, waiting: Waiting) {
        let mut state = self.state.lock();
        // Only whoever waits for work is to be woken.
        let wakes = state.waiting.is_empty() || (state.urgent == 0 && waiting.is_urgent());
        state.urgent += usize::from(waiting.is_urgent());
        state.waiting.push_back(waiting);
        self.full.store(state.waiting.len() >= WAITING_MAX, Ordering::Relaxed);
        drop(state);
        if wakes {
            self.changed.notify_all();
        }
    }

    pub fn is_down(&self) -> bool {
        self.down.load(Ordering::Acquire)
    }

    pub fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// Why the journal takes nothing, if it does not.
    pub fn down_reason(&self) -> Option<String> {
        self.is_down().then(|| self.state.lock().reason.clone())
    }

    /// Takes the next group; `None` if nothing waits.
    fn take(&self) -> Option<Vec<Waiting>> {
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
        state.unsettled += 1;
        self.full.store(state.waiting.len() >= WAITING_MAX, Ordering::Relaxed);
        Some(group)
    }

    /// Waits for the next group: for what somebody waits for, or for `relaxed` after the first of
    /// anything. `None` once it is to stop and nothing is left.
    fn wait(&self, relaxed: Duration) -> Option<Vec<Waiting>> {
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

    fn settled(&self) {
        self.state.lock().unsettled -= 1;
        self.changed.notify_all();
    }

    /// Waits until only the caller's own group is not settled.
    fn wait_settled(&self) {
        let mut state = self.state.lock();
        while state.unsettled > 1 {
            self.changed.wait(&mut state);
        }
    }

    /// Takes out everything that waits and is not to be tried again.
    fn take_failing(&self) -> Vec<Waiting> {
        let mut state = self.state.lock();
        let all = std::mem::take(&mut state.waiting);
        let (kept, failing): (Vec<_>, Vec<_>) = all.into_iter().partition(Waiting::is_kept);
        state.waiting = kept.into();
        state.urgent = state.waiting.iter().filter(|waiting| waiting.is_urgent()).count();
        failing
    }

    fn put_back(&self, kept: Vec<Waiting>) {
        let mut state = self.state.lock();
        state.urgent += kept.iter().filter(|waiting| waiting.is_urgent()).count();
        for waiting in kept.into_iter().rev() {
            state.waiting.push_front(waiting);
        }
    }
}

impl Engine {
    /// Makes durable, and publishes, what is accepted, until [`stop_journal`](Self::stop_journal).
    /// Blocks: it is for a thread of its own.
    pub fn run_journal(&self) {
        let (sender, receiver) = mpsc::sync_channel::<Vec<Waiting>>(PUBLISHING_MAX);
        std::thread::scope(|scope| {
            // Publishing one group goes on beside the writing of the next.
            scope.spawn(move || receiver.into_iter().for_each(|group| self.publish_durable(group)));
            while let Some(group) = self.queue.wait(self.config.relaxed_interval) {
                match self.write(&group) {
                    // The other side takes groups until this one is dropped.
                    Ok(()) => drop(sender.send(group)),
                    Err(error) => {
                        self.queue.wait_settled();
                        self.fail(group, &error);
                        if self.queue.is_down() {
                            self.wait_for_journal();
                        }
                    }
                }
            }
            // The publisher ends once there is nobody to send to it, and the scope waits for that.
            drop(sender);
        });
    }

    /// Has [`run_journal`](Self::run_journal) return once nothing waits.
    pub fn stop_journal(&self) {
        self.queue.state.lock().stopping = true;
        self.queue.changed.notify_all();
    }

    /// Notes that the engine's life ends in good order, nothing being accepted any more.
    ///
    /// # Errors
    /// That could not be noted: the next life takes it for a crash.
    pub fn close(&self) -> Result<(), CommitError> {
        self.config.journal.commit(&[Operation::Close])
    }

    /// Makes durable, and publishes, all that was accepted. For those who do not
    /// [`run_journal`](Self::run_journal).
    pub fn settle(&self) {
        if self.queue.is_down() && !self.try_journal() {
            return;
        }
        while let Some(group) = self.queue.take() {
            match self.write(&group) {
                Ok(()) => self.publish_durable(group),
                Err(error) => return self.fail(group, &error),
            }
        }
    }

    /// Calls `then` once all that is accepted by now is durable and published.
    pub fn after_commit(&self, then: Then) {
        let state = self.queue.state.lock();
        let nothing_waits = state.waiting.is_empty() && state.unsettled == 0;
        drop(state);
        match nothing_waits {
            true => then(Ok(())),
            false => self.queue.push(Waiting::Then(then)),
        }
    }

    /// Has something made durable that changes no topic.
    pub fn keep(&self, operation: Operation) {
        self.queue.push(Waiting::Operation(operation));
    }

    /// How the journal does.
    pub fn journal_state(&self) -> JournalState {
        JournalState {
            works: !self.queue.is_down(),
            groups: self.queue.groups.load(Ordering::Relaxed),
            waiting: self.queue.state.lock().waiting.len(),
        }
    }

    /// Why changes cannot be made durable at present, if they cannot.
    pub fn unavailable(&self) -> Option<String> {
        self.queue.down_reason()
    }

    fn write(&self, group: &[Waiting]) -> Result<(), CommitError> {
        let mut operations = Vec::with_capacity(group.len());
        for waiting in group {
            match waiting {
                Waiting::Accepted(accepted) => self.add_operations(accepted, &mut operations),
                Waiting::Operation(operation) => operations.push(operation.clone()),
                Waiting::Removal(cell) => {
                    operations.push(Operation::Remove { topic: cell.name().clone() });
                }
                Waiting::Then(_) => {}
            }
        }
        if operations.is_empty() {
            return Ok(());
        }
        self.config.journal.commit(&operations)?;
        self.queue.groups.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Publishes a group that is durable.
    fn publish_durable(&self, group: Vec<Waiting>) {
        let mut publishing = Group::default();
        for waiting in group {
            match waiting {
                Waiting::Accepted(accepted) => self.publish_accepted(accepted, &mut publishing),
                Waiting::Operation(operation) => self.numbers.reserved(&operation),
                Waiting::Removal(cell) => self.end_removal(&cell),
                Waiting::Then(then) => {
                    self.publish(&mut publishing);
                    then(Ok(()));
                }
            }
        }
        self.publish(&mut publishing);
        self.queue.settled();
    }

    fn publish_accepted(&self, accepted: Accepted, publishing: &mut Group) {
        let Accepted { cells, appended, deferred, .. } = accepted;
        let mut guards: Guards = cells.iter().map(|cell| cell.lock()).collect();
        for Appended { slot, entries, .. } in &appended {
            let state = &mut guards[*slot];
            state.durable = entries.last().map_or(state.durable, |newest| newest.version);
        }
        let Some((by, item)) = deferred else { return };
        guards.iter_mut().for_each(|state| state.deferred -= 1);
        deliver::queue(&by, &cells, &mut guards, item, publishing);
    }

    pub(super) fn end_removal(&self, cell: &Arc<TopicCell>) {
        cell.tell_removed();
        let mut removing = self.removing.lock();
        if let Some(others) = removing.get_mut(cell.name()) {
            *others -= 1;
            if *others == 0 {
                removing.remove(cell.name());
            }
        }
        drop(removing);
        if let Some(listener) = &self.config.on_topic {
            listener(cell, Existence::Removed);
        }
    }

    /// Takes back all that was accepted and cannot be made durable, and tells its authors.
    fn fail(&self, group: Vec<Waiting>, error: &CommitError) {
        tracing::error!(%error, "the journal failed; changes are turned away until it works again");
        self.queue.state.lock().reason = error.to_string();
        // From here on nothing new is accepted on a topic whose lock is taken after this.
        self.queue.down.store(true, Ordering::Release);
        let (kept, mut failing): (Vec<_>, Vec<_>) = group.into_iter().partition(Waiting::is_kept);
        let mut affected: BTreeMap<TopicName, Arc<TopicCell>> = BTreeMap::new();
        loop {
            failing.extend(self.queue.take_failing());
            let before = affected.len();
            affected.extend(failing.iter().flat_map(Waiting::cells).map(|cell| {
                let cell = cell.clone();
                (cell.name().clone(), cell)
            }));
            // Who was in the midst of a decision when the journal failed may still have added to these.
            let cells: Vec<_> = affected.values().cloned().collect();
            let mut guards: Vec<_> = cells.iter().map(|cell| cell.lock()).collect();
            if affected.len() > before || self.queue.has_failing() {
                continue;
            }
            for (name, version) in fall_back_to(&failing) {
                // It is one of the affected.
                let Some(slot) = affected.keys().position(|it| it == name) else { continue };
                guards[slot].fall_back(version);
            }
            break;
        }
        affected.extend(kept.iter().flat_map(Waiting::cells).map(|cell| {
            let cell = cell.clone();
            (cell.name().clone(), cell)
        }));
        self.queue.put_back(kept);
        let journalled = affected.into_iter().filter(|(_, cell)| cell.is_journalled());
        let heads = journalled.map(|(name, cell)| (name, cell.lock().durable)).collect();
        *self.failed.lock() = Failed { waiting: failing, heads };
        self.queue.settled();
        if let Some(listener) = &self.config.on_journal {
            listener(Err(&error.to_string()));
        }
        // A full disk still reads.
        self.try_journal();
    }

    /// Tells those whose changes failed. Not before it is certain that nothing of them is left: a sync
    /// that failed may have written all the same, and a crash would bring back what was refused.
    fn tell_failed(&self, waiting: Vec<Waiting>) {
        let reason = self.queue.state.lock().reason.clone();
        for waiting in waiting {
            match waiting {
                Waiting::Accepted(Accepted { deferred: Some((by, item)), .. }) => {
                    if let Some(origin) = by.origin {
                        origin.unavailable(&item, &reason);
                    }
                }
                Waiting::Then(then) => then(Err(Unavailable)),
                _ => {}
            }
        }
    }

    /// Whether it is not certain yet what became of a change that was accepted under this id.
    pub(super) fn is_failing(&self, id: &ChangeId) -> bool {
        self.failed.lock().waiting.iter().any(|waiting| match waiting {
            Waiting::Accepted(Accepted { deferred: Some((_, item)), .. }) => {
                item.parts.iter().any(|part| part.id.as_ref() == Some(id))
            }
            _ => false,
        })
    }

    /// Tries the journal again until it works, or the engine is to stop.
    fn wait_for_journal(&self) {
        loop {
            let mut state = self.queue.state.lock();
            let deadline = Instant::now() + RETRY_AFTER;
            while !state.stopping
                && !self.queue.changed.wait_until(&mut state, deadline).timed_out()
            {}
            let stopping = state.stopping;
            drop(state);
            if self.try_journal() {
                return;
            }
            if stopping {
                // Nothing more can be done for what waits.
                self.queue.state.lock().waiting.clear();
                return;
            }
        }
    }

    /// Opens the journal again; tells whether it works.
    fn try_journal(&self) -> bool {
        let heads = self.failed.lock().heads.clone();
        if let Err(error) = self.config.journal.reopen(&heads) {
            tracing::warn!(%error, "the journal still fails");
            return false;
        }
        let Failed { waiting, .. } = std::mem::take(&mut *self.failed.lock());
        self.tell_failed(waiting);
        self.queue.down.store(false, Ordering::Release);
        tracing::info!("the journal works again");
        if let Some(listener) = &self.config.on_journal {
            listener(Ok(()));
        }
        true
    }
}

impl CommitQueue {
    fn has_failing(&self) -> bool {
        self.state.lock().waiting.iter().any(|waiting| !waiting.is_kept())
    }
}

impl Waiting {
    fn cells(&self) -> &[Arc<TopicCell>] {
        match self {
            Waiting::Accepted(accepted) => &accepted.cells,
            _ => &[],
        }
    }
}

/// The version that each topic falls back to: that before the first failing change.
fn fall_back_to(failing: &[Waiting]) -> BTreeMap<&TopicName, Version> {
    let mut heads = BTreeMap::new();
    for waiting in failing {
        let Waiting::Accepted(accepted) = waiting else { continue };
        for (cell, before) in accepted.cells.iter().zip(&accepted.before) {
            heads.entry(cell.name()).or_insert(*before);
        }
    }
    heads
}

impl Engine {
    fn add_operations(&self, accepted: &Accepted, operations: &mut Vec<Operation>) {
        for Appended { slot, entries, checkpoint } in &accepted.appended {
            let (cell, after) = (&accepted.cells[*slot], accepted.before[*slot]);
            let (topic, kind) = (cell.name().clone(), cell.kind());
            let changes = entries.iter().map(|entry| Logged::of_entry(kind, entry)).collect();
            operations.push(Operation::Append(Append { topic: topic.clone(), after, changes }));
            let (Some(value), Some(newest)) = (checkpoint, entries.last()) else { continue };
            let checkpoint =
                Checkpoint { version: newest.version, value: kind.encode_value(value) };
            operations.push(Operation::Checkpoint { topic: topic.clone(), checkpoint });
            // With each checkpoint, as trimming goes from one to another.
            if let Some(oldest) = self.oldest_kept(cell, newest) {
                let mut state = cell.lock();
                state.oldest = state.oldest.max(oldest);
                drop(state);
                operations.push(Operation::Trim { topic, oldest });
            }
        }
    }

    /// The oldest version that the options of a topic in the journal keep, `newest` being its head;
    /// `None` if they keep all.
    fn oldest_kept(&self, cell: &TopicCell, newest: &Entry) -> Option<Version> {
        let before = |time: Timestamp| {
            self.config.journal.version_at(cell.name(), Moment::Time(time)).unwrap_or_default()
        };
        let oldest = match cell.options().keep {
            _ if cell.options().no_history => newest.version,
            Keep::All => return None,
            Keep::Versions(count) => Version(newest.version.0.saturating_sub(count)),
            Keep::Seconds(seconds) => {
                before(Timestamp(newest.time.0.saturating_sub(seconds.saturating_mul(1000))))
            }
        };
        // Whatever the options say: what may be sent again has to be known.
        Some(oldest.min(before(self.resumable_since(newest.time))))
    }
}
