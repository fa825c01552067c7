//! From accepted to durable to published: what waits for the journal, and what becomes of it.
//!
//! ```text
//! submit ──► waiting ──► write: one group, one commit ──► settle: publish, in the order of acceptance
//!                                    │
//!                                    ├─ failed ──► fall back: every topic as it was, every author told
//!                                    ├─ fenced ──► fall back on the topics that somebody else wrote to,
//!                                    │             read what was missed, tell the authors to send again
//!                                    └─ unknown ─► once it is certain, what is not there is tried again
//! ```
//!
//! The queue is filled under the topics' locks, so its order is that of every topic. All that waits is
//! one group: the longer a commit takes, the more the next one holds. What need not be durable before
//! it is published (`relaxed`) waits here too, but nobody waits for it.
//!
//! The engine starts no threads. A server runs [`Engine::run_journal`] on one of its own; a simulation
//! calls [`Engine::settle`] when it is time.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};

use super::cell::TopicCell;
use super::draft::Guards;
use super::failure::RETRY_AFTER;
use super::queue::{Accepted, Appended, Then, Waiting};
use super::{Engine, Group, deliver};
use crate::journal::{
    Append, CHECKPOINT_BYTES_A_CHANGE, CHECKPOINT_EVERY, CHECKPOINT_EVERY_MAX, Checkpoint,
    CommitError, JournalError, Logged, Operation, Stamp,
};
use crate::topic::{ClientId, Delivery, Entry, Keep, Moment, Timestamp, Version};

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
                        // What falls back does so behind all that was written before.
                        self.queue.wait_for_others();
                        self.not_written(group, &error);
                        if self.queue.is_down() {
                            self.wait_for_journal();
                        } else if self.in_doubt.load(Ordering::Relaxed) {
                            self.wait_for_certainty();
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
        self.config.journal.commit(&[self.numbers.release(), Operation::Close])
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
                Err(error) => self.not_written(group, &error),
            }
            if self.queue.is_down() || self.in_doubt.load(Ordering::Relaxed) {
                return;
            }
        }
    }

    /// Deals with a group that the journal did not take.
    fn not_written(&self, group: Vec<Waiting>, error: &CommitError) {
        match error {
            CommitError::Failed(_) => self.fail(group, error),
            CommitError::Fenced { topic, found } => self.meet_other_writer(group, topic, *found),
            CommitError::Unknown(error) => {
                tracing::warn!(%error, "no answer came from the journal; what waits goes on waiting");
                self.in_doubt.store(true, Ordering::Relaxed);
                self.queue.put_back(group);
                self.queue.end_group();
            }
        }
    }

    /// Calls `then` once all that is accepted by now is durable and published.
    pub fn after_commit(&self, then: Then) {
        match self.queue.is_idle() {
            true => then(Ok(())),
            false => self.queue.push(Waiting::Then(then)),
        }
    }

    /// Calls `read` once all that is accepted by now is published or taken back. Unlike
    /// [`after_commit`](Self::after_commit) that does not wait for a journal that failed: readers are
    /// answered all the while.
    pub fn before_reading(&self, read: Box<dyn FnOnce() + Send>) {
        if let Err(read) = self.queue.push_read(read) {
            read();
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
        let doubtful = self.in_doubt.load(Ordering::Relaxed);
        if doubtful {
            self.config.journal.renew().map_err(CommitError::Unknown)?;
        }
        let mut operations = Vec::with_capacity(group.len());
        for waiting in group {
            match waiting {
                // It was there all along, and only the answer got lost.
                Waiting::Accepted(accepted) if doubtful && self.is_there(accepted)? => {}
                Waiting::Accepted(accepted) => self.add_operations(accepted, &mut operations),
                Waiting::Operation(operation) => operations.push(operation.clone()),
                Waiting::Removal(cell) => {
                    let (topic, epoch) = (cell.name().clone(), cell.recorded().cloned());
                    operations.push(Operation::Remove { topic, epoch });
                }
                Waiting::Then(_) | Waiting::Read(_) => {}
            }
        }
        self.in_doubt.store(false, Ordering::Relaxed);
        if operations.is_empty() {
            return Ok(());
        }
        self.note_time();
        self.config.journal.commit(&operations)?;
        self.queue.groups.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Whether the journal holds what a submission appended, each change at its place.
    fn is_there(&self, accepted: &Accepted) -> Result<bool, CommitError> {
        for Appended { slot, entries, .. } in &accepted.appended {
            let (name, after) = (accepted.cells[*slot].name(), accepted.before[*slot]);
            let (Some(first), Some(last)) = (entries.first(), entries.last()) else { continue };
            let found = match self.config.journal.read(name, after, last.version) {
                Ok(found) => found,
                Err(JournalError::UnknownTopic(_)) => return Ok(false),
                Err(error) => return Err(CommitError::Unknown(error)),
            };
            // All or none of it is there.
            let same = |it: &Logged| (it.version, it.commit) == (first.version, first.commit);
            return Ok(found.first().is_some_and(|it| same(it) && it.id == first.id));
        }
        Ok(false)
    }

    /// Waits until it is certain what became of a group, or the engine is to stop.
    fn wait_for_certainty(&self) {
        while let Err(error) = self.config.journal.renew() {
            tracing::warn!(%error, "the journal still does not answer");
            if self.queue.wait_for_stop(RETRY_AFTER) {
                // Nothing more can be done for what waits.
                self.in_doubt.store(false, Ordering::Relaxed);
                return self.queue.clear();
            }
        }
    }

    /// Publishes a group that is durable.
    fn publish_durable(&self, group: Vec<Waiting>) {
        let (mut publishing, mut askers) = (Group::default(), Vec::new());
        let mut last_topics = LastTopics::default();
        for waiting in group {
            match waiting {
                Waiting::Accepted(mut accepted) => {
                    askers.extend(accepted.asker.take());
                    last_topics.keep_order(&accepted);
                    self.publish_accepted(accepted, &mut publishing);
                }
                Waiting::Operation(operation) => self.numbers.reserved(&operation),
                Waiting::Removal(cell) => self.end_removal(&cell),
                Waiting::Then(then) => {
                    self.publish(&mut publishing);
                    then(Ok(()));
                }
                Waiting::Read(read) => {
                    self.publish(&mut publishing);
                    read();
                }
            }
        }
        self.publish(&mut publishing);
        askers.into_iter().for_each(|asker| asker.tell(Ok(())));
        self.queue.end_group();
    }

    fn publish_accepted(&self, accepted: Accepted, publishing: &mut Group) {
        let Accepted { cells, appended, deferred, .. } = accepted;
        let mut guards: Guards = cells.iter().map(|cell| cell.lock()).collect();
        for Appended { slot, entries, .. } in &appended {
            let state = &mut guards[*slot];
            state.durable = entries.last().map_or(state.durable, |newest| newest.version);
        }
        let Some((source, item)) = deferred else { return };
        guards.iter_mut().for_each(|state| state.deferred -= 1);
        deliver::queue(&source, &cells, &mut guards, item, publishing);
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
            let (version, value) = (newest.version, kind.encode_value(value));
            let stamp = Some(Stamp { commit: newest.commit, time: newest.time });
            let checkpoint = Checkpoint { version, value, stamp };
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

/// The topic on which each author has something that is durable and not published yet, while a group is
/// published.
#[derive(Default)]
struct LastTopics(HashMap<ClientId, Arc<TopicCell>>);

impl LastTopics {
    /// Publishes what the author of `accepted` made before on another topic: what somebody makes on several
    /// topics is published in the order made, and what a group holds of one topic goes out together.
    fn keep_order(&mut self, accepted: &Accepted) {
        let Some((source, _)) = &accepted.deferred else { return };
        let cells = &accepted.cells;
        let before = match &cells[..] {
            [cell] if cell.options().delivery == Delivery::Every => {
                self.0.insert(source.id, cell.clone())
            }
            // An action over several topics is published at once, and what waits for a tick has its own time.
            _ => self.0.remove(&source.id),
        };
        let goes_on = |before: &Arc<TopicCell>| cells.iter().any(|cell| Arc::ptr_eq(cell, before));
        if let Some(before) = before.filter(|before| !goes_on(before)) {
            before.publish();
        }
    }
}
