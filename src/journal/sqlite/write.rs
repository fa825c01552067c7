//! The one writer: commits groups, each in one transaction.
//!
//! What it knows of topics it learns from what was committed, and keeps only of what was committed.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Deref;

use rusqlite::{Connection, Savepoint, Transaction, TransactionBehavior};

use super::connect::{Mode, connect};
use super::fault::{Fault, damage};
use super::folder::Place;
use super::packed::Effort;
use super::rows::{self, Log, Meta, TopicRow};
use super::schema;
use super::store::Store;
use crate::journal::{Append, Beginning, Found, Head, Logged, Operation};
use crate::topic::{ClientId, Durability, Epoch, TopicName, Version};

/// How many pairs of an author and a topic are kept in memory, before they are looked up anew.
const NOTED_MAX: usize = 100_000;
/// How many logs are.
const LOGS_MAX: usize = 200_000;

pub(super) struct Writer {
    connection: Connection,
    meta: Meta,
    /// Of topics written to since the journal was opened.
    logs: HashMap<TopicName, Log>,
    noted: HashSet<(ClientId, i64)>,
    /// Whether all groups are parts of one transaction, until that ends.
    together: bool,
}

/// What a group is written in.
enum Scope<'a> {
    /// A transaction of its own.
    Own(Transaction<'a>),
    /// A part of the transaction that is open.
    Part(Savepoint<'a>),
}

impl<'a> Scope<'a> {
    fn begin(connection: &'a mut Connection, together: bool) -> rusqlite::Result<Scope<'a>> {
        if together {
            return connection.savepoint().map(Scope::Part);
        }
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map(Scope::Own)
    }

    fn commit(self) -> rusqlite::Result<()> {
        match self {
            Scope::Own(transaction) => transaction.commit(),
            Scope::Part(savepoint) => savepoint.commit(),
        }
    }
}

impl Deref for Scope<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        match self {
            Scope::Own(transaction) => transaction,
            Scope::Part(savepoint) => savepoint,
        }
    }
}

/// Why a group failed, and at which topic, if it was one.
pub(super) type Failure = (Fault, Option<TopicName>);

impl Writer {
    pub(crate) fn open(place: &Place) -> Result<Writer, Fault> {
        let connection = connect(place, &place.database, Mode::Write)?;
        schema::upgrade(&connection)?;
        let meta = Meta::read(&connection)?;
        let (logs, noted) = (HashMap::new(), HashSet::new());
        Ok(Writer { connection, meta, logs, noted, together: false })
    }

    /// Has all groups from here on be parts of one transaction.
    pub(crate) fn begin_together(&mut self) -> Result<(), Fault> {
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        self.together = true;
        Ok(())
    }

    /// Makes the groups since [`begin_together`](Self::begin_together) durable. Where they are not wanted,
    /// the writer is dropped instead, and opened again: what it knows is of groups that are gone.
    pub(crate) fn commit_together(&mut self) -> Result<(), Fault> {
        self.connection.execute_batch("COMMIT")?;
        self.together = false;
        Ok(())
    }

    pub(crate) fn begin(&mut self) -> Result<Beginning, Fault> {
        let mut meta = self.meta;
        let unclean = rows::opened(meta.open);
        if unclean.is_some() {
            meta.unclean_life = meta.numbers.life;
        }
        // A life that was not opened yet has lost nothing of its own.
        meta.open = rows::open(unclean.unwrap_or(Durability::Commit));
        meta.numbers.life += 1;
        let transaction = Scope::begin(&mut self.connection, self.together)?;
        meta.write(&transaction)?;
        let sessions = rows::sessions(&transaction)?;
        transaction.commit()?;
        self.meta = meta;
        let Meta { numbers, unclean_life, last_written, .. } = meta;
        Ok(Beginning { numbers, unclean_life, unclean, last_written, sessions })
    }

    pub(crate) fn commit(&mut self, operations: &[Operation]) -> Result<(), Failure> {
        let transaction = Scope::begin(&mut self.connection, self.together);
        let transaction = transaction.map_err(|error| (error.into(), None))?;
        let mut group = Group {
            store: Store {
                connection: &transaction,
                meta: self.meta,
                noted: Some(&self.noted),
                newly_noted: Vec::new(),
            },
            known: &self.logs,
            topics: BTreeMap::new(),
        };
        for operation in operations {
            group.apply(operation).map_err(|fault| (fault, topic_of(operation).cloned()))?;
        }
        let changed = group.finish(&self.meta)?;
        transaction.commit().map_err(|error| (error.into(), None))?;
        self.take(changed);
        Ok(())
    }

    /// Takes over what a group that was committed has changed.
    fn take(&mut self, changed: Changed) {
        self.meta = changed.meta;
        if changed.has_removed || self.noted.len() > NOTED_MAX {
            self.noted.clear();
        }
        self.noted.extend(changed.noted);
        if self.logs.len() > LOGS_MAX {
            self.logs.clear();
        }
        for (name, log) in changed.logs {
            match log {
                Some(log) => drop(self.logs.insert(name, log)),
                None => drop(self.logs.remove(&name)),
            }
        }
    }

    /// Cuts topics back to what is known to be durable, and makes sure that the disk is written to.
    pub(crate) fn cut(&mut self, heads: &[Head]) -> Result<(), Failure> {
        let failed = |fault: Fault| (fault, None);
        let behavior = TransactionBehavior::Immediate;
        let transaction = self.connection.transaction_with_behavior(behavior);
        let transaction = transaction.map_err(|error| failed(error.into()))?;
        let (noted, newly_noted) = (None, Vec::new());
        let mut store = Store { connection: &transaction, meta: self.meta, noted, newly_noted };
        for head in heads {
            cut(&mut store, head).map_err(|fault| (fault, Some(head.topic.clone())))?;
        }
        // Whatever a failed commit left behind the end of the log, this takes its place.
        store.meta.write(&transaction).map_err(failed)?;
        transaction.commit().map_err(|error| failed(error.into()))
    }
}

fn cut(store: &mut Store, head: &Head) -> Result<(), Fault> {
    let Head { topic: name, epoch, version: head } = head;
    let Some(mut log) = Log::find(store.connection, name)? else { return Ok(()) };
    if let Some(epoch) = epoch
        && TopicRow::find(store.connection, name)?.is_none_or(|row| row.record.epoch != *epoch)
    {
        return Ok(());
    }
    let head = *head;
    if log.head < head {
        let place = format!("versions {} to {head}", log.head.next());
        return Err(damage(place, "they were committed, and are not there any more"));
    }
    if log.head > head {
        store.cut(&mut log, head)?;
        log.write(store.connection, name)?;
    }
    Ok(())
}

fn topic_of(operation: &Operation) -> Option<&TopicName> {
    match operation {
        Operation::Make { record, .. } => Some(&record.name),
        Operation::Append(append) => Some(&append.topic),
        Operation::Renew { topic, .. }
        | Operation::Remove { topic, .. }
        | Operation::Checkpoint { topic, .. }
        | Operation::Trim { topic, .. } => Some(topic),
        Operation::Session(_) | Operation::EndSession(_) => None,
        Operation::Reserve(_) | Operation::Release { .. } => None,
        Operation::Open(_) | Operation::Close => None,
    }
}

/// A topic within a group.
struct Staged<'a> {
    /// As it will be; its head is that of the pending changes.
    log: Log,
    /// Changes that were appended and not yet written.
    pending: Vec<&'a Logged>,
}

/// A group that is being committed.
struct Group<'a> {
    store: Store<'a>,
    known: &'a HashMap<TopicName, Log>,
    /// The topics that the group is about; `None` for those that are not there.
    topics: BTreeMap<TopicName, Option<Staged<'a>>>,
}

/// What is different once a group is committed.
struct Changed {
    meta: Meta,
    logs: Vec<(TopicName, Option<Log>)>,
    noted: Vec<(ClientId, i64)>,
    has_removed: bool,
}

impl<'a> Group<'a> {
    /// A topic as it is by now in this group, and what it is written to.
    fn staged(
        &mut self,
        name: &TopicName,
    ) -> Result<Option<(&mut Store<'a>, &mut Staged<'a>)>, Fault> {
        let staged = match self.topics.entry(name.clone()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let log = match self.known.get(name) {
                    Some(log) => Some(*log),
                    None => Log::find(self.store.connection, name)?,
                };
                entry.insert(log.map(|log| Staged { log, pending: Vec::new() }))
            }
        };
        Ok(staged.as_mut().map(|staged| (&mut self.store, staged)))
    }

    fn apply(&mut self, operation: &'a Operation) -> Result<(), Fault> {
        match operation {
            Operation::Make { record, start } => {
                match self.life(&record.name)? {
                    None => {}
                    Some(epoch) if epoch == record.epoch => return Ok(()),
                    Some(_) => return Err(Fault::Fenced(Found::OtherLife)),
                }
                if let Some(start) = start {
                    check_number(start.version.0)?;
                }
                let log = self.store.make(record, start.as_ref())?;
                let staged = Staged { log, pending: Vec::new() };
                self.topics.insert(record.name.clone(), Some(staged));
            }
            Operation::Renew { topic, epoch, life } => {
                let connection = self.store.connection;
                if let Some(mut row) = TopicRow::find(connection, topic)? {
                    (row.record.epoch, row.record.life) = (epoch.clone(), *life);
                    row.write(connection)?;
                }
            }
            Operation::Remove { topic, epoch } => {
                if epoch.is_none() || self.life(topic)? == *epoch {
                    self.remove(topic)?;
                }
            }
            Operation::Append(append) => self.append(append)?,
            Operation::Checkpoint { topic, checkpoint } => {
                let Some((store, staged)) = self.staged(topic)? else { return Ok(()) };
                let kept = staged.log.oldest..=staged.log.head;
                if kept.contains(&checkpoint.version) {
                    staged.seal(store, checkpoint.version)?;
                    store.put_checkpoint(&mut staged.log, checkpoint)?;
                }
            }
            Operation::Trim { topic, oldest } => {
                let Some((store, staged)) = self.staged(topic)? else { return Ok(()) };
                staged.flush(store)?;
                store.trim(&mut staged.log, *oldest)?;
            }
            Operation::Session(session) => rows::write_session(self.store.connection, session)?,
            Operation::EndSession(id) => rows::end_session(self.store.connection, *id)?,
            Operation::Reserve(numbers) => {
                let own = &mut self.store.meta.numbers;
                own.commit = own.commit.max(numbers.commit);
                own.client = own.client.max(numbers.client);
            }
            Operation::Release { used, reserved } => {
                let own = &mut self.store.meta.numbers;
                if own.commit == reserved.commit {
                    own.commit = used.commit;
                }
                if own.client == reserved.client {
                    own.client = used.client;
                }
            }
            Operation::Open(durability) => self.store.meta.open = rows::open(*durability),
            Operation::Close => self.store.meta.open = 0,
        }
        Ok(())
    }

    /// Which life of a topic there is by now; `None` if there is none.
    fn life(&mut self, name: &TopicName) -> Result<Option<Epoch>, Fault> {
        if self.staged(name)?.is_none() {
            return Ok(None);
        }
        let row = TopicRow::find(self.store.connection, name)?;
        Ok(row.map(|row| row.record.epoch))
    }

    fn remove(&mut self, name: &TopicName) -> Result<(), Fault> {
        if let Some((store, staged)) = self.staged(name)? {
            store.remove(name, &staged.log)?;
            self.topics.insert(name.clone(), None);
        }
        Ok(())
    }

    fn append(&mut self, append: &'a Append) -> Result<(), Fault> {
        let Some((store, staged)) = self.staged(&append.topic)? else {
            return Err(Fault::Fenced(Found::Nothing));
        };
        let (log, expected) = (&mut staged.log, append.after);
        if log.head != expected {
            return Err(Fault::Fenced(Found::Head { expected, head: log.head }));
        }
        for change in &append.changes {
            if change.version != log.head.next() {
                let (head, version) = (log.head, change.version);
                return Err(Fault::Unfit(format!("version {version} does not follow {head}")));
            }
            let numbers = [change.version.0, change.commit.0, change.time.0];
            numbers.into_iter().try_for_each(check_number)?;
            (log.head, log.commit, log.time) = (change.version, change.commit, change.time);
            store.meta.last_written = store.meta.last_written.max(change.time);
        }
        staged.pending.extend(&append.changes);
        Ok(())
    }

    /// Writes what is left to be written.
    fn finish(mut self, before: &Meta) -> Result<Changed, Failure> {
        let mut logs = Vec::with_capacity(self.topics.len());
        for (name, staged) in self.topics {
            let log = match staged {
                Some(mut staged) => {
                    let known = self.known.get(&name);
                    let written = staged.finish(&mut self.store, &name, known);
                    written.map_err(|fault| (fault, Some(name.clone())))?;
                    Some(staged.log)
                }
                None => None,
            };
            logs.push((name, log));
        }
        let Store { connection, meta, noted, newly_noted } = self.store;
        if meta != *before {
            meta.write(connection).map_err(|fault| (fault, None))?;
        }
        Ok(Changed { meta, logs, noted: newly_noted, has_removed: noted.is_none() })
    }
}

impl Staged<'_> {
    /// Writes the pending changes in a row of their own.
    fn flush(&mut self, store: &mut Store) -> Result<(), Fault> {
        store.put_run(&mut self.log, &self.pending, Effort::Passing)?;
        self.pending.clear();
        Ok(())
    }

    /// Seals what is up to `version`.
    fn seal(&mut self, store: &mut Store, version: Version) -> Result<(), Fault> {
        let sealed = self.pending.partition_point(|change| change.version <= version);
        match store.seal(&mut self.log, version, &self.pending[..sealed]) {
            Ok(()) => drop(self.pending.drain(..sealed)),
            // Rows that are damaged stay as they are: what can be read of them stays readable, and
            // nobody else's changes wait for it.
            Err(fault) if fault.is_damage() => {
                tracing::error!(?fault, "a topic's newest changes cannot be packed");
            }
            Err(fault) => return Err(fault),
        }
        Ok(())
    }

    fn finish(
        &mut self,
        store: &mut Store,
        name: &TopicName,
        known: Option<&Log>,
    ) -> Result<(), Fault> {
        self.flush(store)?;
        if known != Some(&self.log) {
            self.log.write(store.connection, name)?;
        }
        Ok(())
    }
}

/// SQLite's numbers have a sign, and these are compared in queries.
fn check_number(number: u64) -> Result<(), Fault> {
    match i64::try_from(number) {
        Ok(_) => Ok(()),
        Err(_) => Err(Fault::Unfit(format!("the number {number} is too large"))),
    }
}
