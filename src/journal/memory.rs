//! A journal in memory: what it holds is gone with the process, and lives as long as somebody holds it.
//!
//! Simulations restart their server from it, and have it [`fail`](MemoryJournal::fail); exported files
//! are read into it.

use std::collections::{BTreeMap, VecDeque};

use parking_lot::Mutex;

use super::{
    Append, Beginning, Checkpoint, CommitError, Extent, Found, Head, Journal, JournalError, Logged,
    Numbers, Operation, SessionRecord, TopicRecord,
};
use crate::topic::{
    ClientId, CommitNumber, Durability, Epoch, Moment, Timestamp, TopicName, Version,
};

/// A journal in memory.
#[derive(Default)]
pub struct MemoryJournal(Mutex<State>);

#[derive(Default, Clone)]
struct State {
    topics: BTreeMap<TopicName, Log>,
    sessions: BTreeMap<ClientId, SessionRecord>,
    numbers: Numbers,
    /// Set while the present life has not ended: how durable it is.
    open: Option<Durability>,
    unclean_life: u64,
    last_written: Timestamp,
    fault: Option<Fault>,
}

/// How a commit fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing of it is there, as on a full disk.
    Full,
    /// It is there, and may be gone after the next crash, as when the sync fails.
    Unsynced,
    /// It is not there, and nobody knows: the next commit alone ends so.
    Unanswered,
    /// It is there, and nobody knows: the next commit alone ends so.
    UnansweredAndThere,
}

#[derive(Clone)]
struct Log {
    record: TopicRecord,
    oldest: Version,
    changes: VecDeque<Logged>,
    checkpoints: BTreeMap<Version, Checkpoint>,
}

impl Log {
    fn head(&self) -> Version {
        Version(self.oldest.0 + self.changes.len() as u64)
    }

    /// How many of the changes make versions up to `version`.
    fn index(&self, version: Version) -> usize {
        (version.0.saturating_sub(self.oldest.0) as usize).min(self.changes.len())
    }

    fn trim(&mut self, oldest: Version) {
        let newest = self.checkpoints.range(..=oldest).next_back();
        let Some(oldest) = newest.map(|(version, _)| *version) else { return };
        self.changes.drain(..self.index(oldest));
        self.oldest = oldest;
        self.checkpoints = self.checkpoints.split_off(&oldest);
    }
}

impl State {
    fn topic(&self, name: &TopicName) -> Result<&Log, JournalError> {
        self.topics.get(name).ok_or_else(|| JournalError::UnknownTopic(name.clone()))
    }

    /// Checks that every topic of a group is as the group expects it.
    fn check(&self, group: &[Operation]) -> Result<(), CommitError> {
        // Head and life of the topics that the group has touched so far; `None` of those that it removed.
        let mut touched: BTreeMap<&TopicName, Option<(Version, &Epoch)>> = BTreeMap::new();
        let find =
            |touched: &BTreeMap<&TopicName, Option<_>>, name: &TopicName| match touched.get(name) {
                Some(found) => *found,
                None => self.topics.get(name).map(|log| (log.head(), &log.record.epoch)),
            };
        for operation in group {
            match operation {
                Operation::Make { record, start } => {
                    let oldest = start.as_ref().map_or(Version(0), |start| start.version);
                    let head = match find(&touched, &record.name) {
                        None => oldest,
                        Some((head, epoch)) if *epoch == record.epoch => head,
                        Some(_) => {
                            let (topic, found) = (record.name.clone(), Found::OtherLife);
                            return Err(CommitError::Fenced { topic, found });
                        }
                    };
                    touched.insert(&record.name, Some((head, &record.epoch)));
                }
                Operation::Renew { topic, epoch, .. } => {
                    if let Some((head, _)) = find(&touched, topic) {
                        touched.insert(topic, Some((head, epoch)));
                    }
                }
                Operation::Remove { topic, epoch } => {
                    let is_it = |of: &Epoch| epoch.as_ref().is_none_or(|epoch| epoch == of);
                    if find(&touched, topic).is_none_or(|(_, of)| is_it(of)) {
                        touched.insert(topic, None);
                    }
                }
                Operation::Append(Append { topic, after, changes }) => {
                    let (head, epoch) = find(&touched, topic).ok_or_else(|| {
                        let (topic, found) = (topic.clone(), Found::Nothing);
                        CommitError::Fenced { topic, found }
                    })?;
                    if head != *after {
                        let (topic, expected) = (topic.clone(), *after);
                        let found = Found::Head { expected, head };
                        return Err(CommitError::Fenced { topic, found });
                    }
                    let head = Version(head.0 + changes.len() as u64);
                    touched.insert(topic, Some((head, epoch)));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn works(&self) -> Result<(), JournalError> {
        match self.fault {
            Some(Fault::Full | Fault::Unsynced) => {
                Err(JournalError::Full { path: "(in memory)".into() })
            }
            _ => Ok(()),
        }
    }

    fn apply(&mut self, operation: &Operation) {
        match operation {
            // It is there already, in this life: the group was checked.
            Operation::Make { record, .. } if self.topics.contains_key(&record.name) => {}
            Operation::Make { record, start } => {
                let oldest = start.as_ref().map_or(Version(0), |start| start.version);
                let checkpoints = start.iter().map(|start| (oldest, start.clone())).collect();
                let (record, changes) = (record.clone(), VecDeque::new());
                let name = record.name.clone();
                self.topics.insert(name, Log { record, oldest, changes, checkpoints });
            }
            Operation::Renew { topic, epoch, life } => {
                if let Some(log) = self.topics.get_mut(topic) {
                    (log.record.epoch, log.record.life) = (epoch.clone(), *life);
                }
            }
            Operation::Remove { topic, epoch } => {
                let is_it = |log: &Log| epoch.as_ref().is_none_or(|it| *it == log.record.epoch);
                if self.topics.get(topic).is_some_and(is_it) {
                    self.topics.remove(topic);
                }
            }
            Operation::Append(append) => {
                if let Some(log) = self.topics.get_mut(&append.topic) {
                    log.changes.extend(append.changes.iter().cloned());
                }
                let times = append.changes.iter().map(|change| change.time);
                self.last_written = times.fold(self.last_written, Timestamp::max);
            }
            Operation::Checkpoint { topic, checkpoint } => {
                if let Some(log) = self.topics.get_mut(topic)
                    && (log.oldest..=log.head()).contains(&checkpoint.version)
                {
                    log.checkpoints.insert(checkpoint.version, checkpoint.clone());
                }
            }
            Operation::Trim { topic, oldest } => {
                if let Some(log) = self.topics.get_mut(topic) {
                    log.trim(*oldest);
                }
            }
            Operation::Session(session) => {
                self.sessions.insert(session.id, session.clone());
            }
            Operation::EndSession(id) => drop(self.sessions.remove(id)),
            Operation::Reserve(numbers) => {
                self.numbers.commit = self.numbers.commit.max(numbers.commit);
                self.numbers.client = self.numbers.client.max(numbers.client);
            }
            Operation::Release { used, reserved } => {
                let own = &mut self.numbers;
                if own.commit == reserved.commit {
                    own.commit = used.commit;
                }
                if own.client == reserved.client {
                    own.client = used.client;
                }
            }
            Operation::Open(durability) => self.open = Some(*durability),
            Operation::Close => self.open = None,
        }
    }
}

impl MemoryJournal {
    /// An empty journal.
    pub fn new() -> MemoryJournal {
        MemoryJournal::default()
    }

    /// Has every commit, and [`reopen`](Journal::reopen), fail from here on; or none.
    pub fn fail(&self, fault: Option<Fault>) {
        self.0.lock().fault = fault;
    }
}

impl Journal for MemoryJournal {
    fn begin(&self) -> Result<Beginning, JournalError> {
        let mut state = self.0.lock();
        let unclean = state.open;
        if unclean.is_some() {
            state.unclean_life = state.numbers.life;
        }
        // A life that was not opened yet has lost nothing of its own.
        state.open = Some(unclean.unwrap_or(Durability::Commit));
        state.numbers.life += 1;
        Ok(Beginning {
            numbers: state.numbers,
            unclean_life: state.unclean_life,
            unclean,
            last_written: state.last_written,
            sessions: state.sessions.values().cloned().collect(),
        })
    }

    fn commit(&self, group: &[Operation]) -> Result<(), CommitError> {
        let mut state = self.0.lock();
        state.check(group)?;
        let is_there = !matches!(state.fault, Some(Fault::Full | Fault::Unanswered));
        if is_there {
            group.iter().for_each(|operation| state.apply(operation));
        }
        if matches!(state.fault, Some(Fault::Unanswered | Fault::UnansweredAndThere)) {
            state.fault = None;
            let reason = "no answer came".to_owned();
            let path = "(in memory)".into();
            return Err(CommitError::Unknown(JournalError::Storage { path, reason }));
        }
        Ok(state.works()?)
    }

    fn together(&self, work: &mut dyn FnMut() -> bool) -> Result<bool, CommitError> {
        let before = self.0.lock().clone();
        let is_wanted = work();
        if !is_wanted {
            *self.0.lock() = before;
        }
        Ok(is_wanted)
    }

    fn reopen(&self, heads: &[Head]) -> Result<(), JournalError> {
        let mut state = self.0.lock();
        state.works()?;
        for Head { topic, epoch, version } in heads {
            if let Some(log) = state.topics.get_mut(topic)
                && epoch.as_ref().is_none_or(|epoch| *epoch == log.record.epoch)
            {
                let kept = log.index(*version);
                log.changes.truncate(kept);
                let head = log.head();
                log.checkpoints.retain(|version, _| *version <= head);
            }
        }
        Ok(())
    }

    fn topics(&self) -> Result<Vec<TopicRecord>, JournalError> {
        Ok(self.0.lock().topics.values().map(|log| log.record.clone()).collect())
    }

    fn topic(&self, name: &TopicName) -> Result<Option<TopicRecord>, JournalError> {
        Ok(self.0.lock().topics.get(name).map(|log| log.record.clone()))
    }

    fn extent(&self, name: &TopicName) -> Result<Extent, JournalError> {
        let state = self.0.lock();
        let log = state.topic(name)?;
        let last = log.changes.back();
        Ok(Extent {
            oldest: log.oldest,
            head: log.head(),
            commit: last.map_or(CommitNumber(0), |last| last.commit),
            time: last.map_or(Timestamp(0), |last| last.time),
            bytes: (log.changes.len() * size_of::<Logged>()) as u64,
        })
    }

    fn read(
        &self,
        name: &TopicName,
        after: Version,
        to: Version,
    ) -> Result<Vec<Logged>, JournalError> {
        let state = self.0.lock();
        let log = state.topic(name)?;
        let (from, to) = (log.index(after), log.index(to));
        Ok(log.changes.range(from..to.max(from)).cloned().collect())
    }

    fn checkpoint(
        &self,
        name: &TopicName,
        version: Version,
    ) -> Result<Option<Checkpoint>, JournalError> {
        let state = self.0.lock();
        let newest = state.topic(name)?.checkpoints.range(..=version).next_back();
        Ok(newest.map(|(_, checkpoint)| checkpoint.clone()))
    }

    fn version_at(&self, name: &TopicName, moment: Moment) -> Result<Version, JournalError> {
        let state = self.0.lock();
        let log = state.topic(name)?;
        let kept = match moment {
            Moment::Version(version) => log.index(version),
            Moment::Commit(commit) => log.changes.partition_point(|it| it.commit <= commit),
            Moment::Time(time) => log.changes.partition_point(|it| it.time <= time),
        };
        Ok(Version(log.oldest.0 + kept as u64))
    }

    fn by_author(
        &self,
        author: ClientId,
        limit: usize,
    ) -> Result<Vec<(TopicName, Logged)>, JournalError> {
        let state = self.0.lock();
        let mut changes: Vec<(TopicName, Logged)> = Vec::new();
        for (name, log) in &state.topics {
            let own = log.changes.iter().rev().filter(|it| it.author == author).take(limit);
            changes.extend(own.map(|it| (name.clone(), it.clone())));
        }
        changes.sort_by(|(a, x), (b, y)| (x.commit, a, x.version).cmp(&(y.commit, b, y.version)));
        Ok(changes.split_off(changes.len().saturating_sub(limit)))
    }
}
