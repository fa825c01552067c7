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

use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};

use super::cell::TopicCell;
use super::queue::{Accepted, Appended, Then, Waiting};
use super::submit::Guards;
use super::{Engine, Group, deliver};
use crate::journal::{
    Append, CHECKPOINT_BYTES_A_CHANGE, CHECKPOINT_EVERY, CHECKPOINT_EVERY_MAX, Checkpoint,
    CommitError, Logged, Operation,
};
use crate::topic::{Entry, Keep, Moment, Timestamp, Version};

/// How many durable groups may wait to be published before the journal waits for that.
const PUBLISHING_MAX: usize = 8;

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
        self.queue.stop();
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
        match self.queue.is_settled() {
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
            waiting: self.queue.len(),
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
        self.note_time();
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
        self.observe(|observer| observer.topic_removed(cell));
    }

    fn add_operations(&self, accepted: &Accepted, operations: &mut Vec<Operation>) {
        for Appended { slot, entries, checkpoint } in &accepted.appended {
            let (cell, after) = (&accepted.cells[*slot], accepted.before[*slot]);
            let (topic, kind) = (cell.name().clone(), cell.kind());
            let changes = entries.iter().map(|entry| Logged::of_entry(kind, entry)).collect();
            operations.push(Operation::Append(Append { topic: topic.clone(), after, changes }));
            let (Some(value), Some(newest)) = (checkpoint, entries.last()) else { continue };
            let checkpoint =
                Checkpoint { version: newest.version, value: kind.encode_value(value) };
            let changes = checkpoint.value.bytes_about() as u64 / CHECKPOINT_BYTES_A_CHANGE;
            cell.lock().checkpoint_every = changes.clamp(CHECKPOINT_EVERY, CHECKPOINT_EVERY_MAX);
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
        let before = |moment: Moment| {
            self.config.journal.version_at(cell.name(), moment).unwrap_or_default()
        };
        let oldest = match cell.options().keep {
            _ if cell.options().no_history => newest.version,
            Keep::All => return None,
            Keep::Versions(count) => Version(newest.version.0.saturating_sub(count)),
            Keep::Seconds(seconds) => {
                let since = newest.time.0.saturating_sub(seconds.saturating_mul(1000));
                before(Moment::Time(Timestamp(since)))
            }
        };
        // Whatever the options say: what may be sent again has to be known.
        Some(oldest.min(before(self.resumable_from())))
    }
}
