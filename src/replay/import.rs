//! An exported history into a journal.
//!
//! Lines are read one by one and committed in groups, so that a large file does not have to fit into
//! memory; what is kept beside them is the present value of each topic, of which checkpoints are made.
//! Every change is applied on the way, so that a history that does not fold is told by its line. All groups
//! become durable together: of an import that meets a bad line, or is killed, nothing is there.

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;
use std::sync::Arc;

use thiserror::Error;

use crate::journal::{
    Append, Beginning, CHECKPOINT_EVERY, Checkpoint, CommitError, Journal, JournalError, Logged,
    MemoryJournal, Numbers, Operation, TopicRecord,
};
use crate::topic::{
    ActionMark, ClientId, CommitNumber, Epoch, Reverses, TopicName, TopicOptions, Version,
};
use crate::types::{AnyValue, Registry, TypeRef};
use crate::value::limits::INT_MAX;

use super::Commit;
use super::format::{TopicLine, check_number};
use super::lines::{Line, Lines};

/// How many changes make a group, and how many bytes of text: large ones, as a journal writes what a group
/// has of one topic in one piece, and waits for the disk once.
const GROUP: usize = 16_384;
const GROUP_BYTES: usize = 8 << 20;

/// How a history is imported.
pub struct Import<'a> {
    /// The topic types that are known.
    pub registry: &'a Registry,
    /// Goes before each topic's name.
    pub prefix: &'a str,
    /// Makes the epoch of a topic.
    pub epochs: &'a mut dyn FnMut() -> Epoch,
    /// Is told how many bytes were read since the last time.
    pub progress: &'a mut dyn FnMut(u64),
}

/// What was imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Imported {
    /// How many topics there were.
    pub topics: u64,
    /// How many commits.
    pub commits: u64,
    /// How many changes.
    pub changes: u64,
    /// By how much commit numbers were moved up, to come after those that were there.
    pub moved_up: u64,
}

/// Why a history could not be imported. Nothing of it is in the journal.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the message of each variant says what it is")]
pub enum ImportError {
    #[error("line {line}: {what}")]
    Line { line: u64, what: String },
    #[error("cannot read: {0}")]
    Read(#[from] std::io::Error),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("cannot write to the journal: {0}")]
    Commit(#[from] CommitError),
}

/// Reads an exported history into a journal in memory, to be looked at.
///
/// # Errors
/// A line is wrong, or the file cannot be read.
pub fn open_export(
    input: &mut dyn BufRead,
    registry: &Registry,
    progress: &mut dyn FnMut(u64),
) -> Result<MemoryJournal, ImportError> {
    let journal = MemoryJournal::new();
    // Nobody meets an epoch of a journal that lives as long as one command.
    let epochs: &mut dyn FnMut() -> Epoch =
        &mut || Epoch::new("file").expect("4 bytes are short enough");
    import(input, &journal, Import { registry, prefix: "", epochs, progress })?;
    Ok(journal)
}

/// Imports an exported history into a journal that no server has open. Versions, ids and times stay as
/// they are. In a journal that is not new, commit numbers are moved up behind those given before.
///
/// # Errors
/// A line is wrong, one of the topics is there already, or something cannot be read or written. Then, and
/// if the process ends before, nothing is imported.
pub fn import<'a>(
    input: &mut dyn BufRead,
    journal: &'a dyn Journal,
    how: Import<'a>,
) -> Result<Imported, ImportError> {
    let mut how = Some(how);
    let mut outcome = None;
    let kept = journal.together(&mut || {
        let Some(how) = how.take() else { return false };
        let imported = import_all(input, journal, how);
        let is_whole = imported.is_ok();
        outcome = Some(imported);
        is_whole
    });
    // Where a line was wrong and the journal failed too, the line says why.
    match (outcome, kept) {
        (Some(Err(error)), _) => Err(error),
        (_, Err(error)) => Err(error.into()),
        (Some(Ok(imported)), Ok(_)) => Ok(imported),
        (None, Ok(_)) => unreachable!("a journal calls the work that it is given"),
    }
}

fn import_all<'a>(
    input: &mut dyn BufRead,
    journal: &'a dyn Journal,
    how: Import<'a>,
) -> Result<Imported, ImportError> {
    let beginning = journal.begin()?;
    let mut importer = Importer::new(journal, how, &beginning);
    importer.run(input)?;
    journal.commit(&[Operation::Close])?;
    Ok(importer.imported)
}

/// Why a line cannot be taken.
enum Wrong {
    Line(String),
    Journal(JournalError),
}

impl From<JournalError> for Wrong {
    fn from(error: JournalError) -> Wrong {
        Wrong::Journal(error)
    }
}

struct Importer<'a> {
    journal: &'a dyn Journal,
    how: Import<'a>,
    life: u64,
    /// Those made so far.
    topics: BTreeMap<TopicName, Topic>,
    /// Topics of the next group.
    made: Vec<Operation>,
    /// Changes of the next group.
    appends: BTreeMap<TopicName, Vec<Logged>>,
    pending: usize,
    pending_bytes: usize,
    newest: CommitNumber,
    client: ClientId,
    imported: Imported,
}

/// A topic, as far as it was imported.
struct Topic {
    kind: Option<TypeRef>,
    /// `None` if its type is missing.
    value: Option<AnyValue>,
    head: Version,
    checkpoint: Version,
}

impl<'a> Importer<'a> {
    fn new(journal: &'a dyn Journal, how: Import<'a>, beginning: &Beginning) -> Importer<'a> {
        let moved_up = beginning.numbers.commit.0;
        Importer {
            journal,
            how,
            life: beginning.numbers.life,
            topics: BTreeMap::new(),
            made: Vec::new(),
            appends: BTreeMap::new(),
            pending: 0,
            pending_bytes: 0,
            newest: CommitNumber(0),
            client: ClientId(0),
            imported: Imported { moved_up, ..Imported::default() },
        }
    }

    fn run(&mut self, input: &mut dyn BufRead) -> Result<(), ImportError> {
        let mut lines = Lines::new(input);
        let read = lines.header()?;
        (self.how.progress)(read as u64);
        while let Some((line, read)) = lines.next()? {
            let taken = match line {
                Line::Topic(topic) => self.topic(topic),
                Line::Commit(commit) => self.commit(commit),
            };
            taken.map_err(|wrong| match wrong {
                Wrong::Line(what) => lines.wrong(what),
                Wrong::Journal(error) => error.into(),
            })?;
            (self.how.progress)(read as u64);
            self.pending_bytes += read;
            if self.pending >= GROUP || self.pending_bytes >= GROUP_BYTES {
                self.flush()?;
            }
        }
        self.flush()
    }

    fn topic(&mut self, line: TopicLine) -> Result<(), Wrong> {
        let name = self.name(&line.topic)?;
        check_number("oldest", line.oldest).map_err(Wrong::Line)?;
        if self.topics.contains_key(&name) || self.journal.topic(&name)?.is_some() {
            return Err(Wrong::Line(format!(
                "there is a topic {name:?} already: import with another prefix (--as)"
            )));
        }
        let kind = self.how.registry.get(&line.type_name);
        let options = TopicOptions::decode(&line.options);
        let options = options.map_err(|error| Wrong::Line(error.to_string()))?;
        let oldest = Version(line.oldest);
        if line.value.is_none() && oldest > Version(0) {
            return Err(Wrong::Line(format!(
                "a log that begins at version {oldest} needs a value"
            )));
        }
        let decoded = match (&line.value, kind) {
            (Some(value), Some(kind)) => Some(kind.decode_value(value)).transpose(),
            (None, Some(kind)) => Ok(Some(kind.initial())),
            (_, None) => Ok(None),
        };
        let value = decoded.map_err(|error| Wrong::Line(error.to_string()))?;
        let start = line.value.map(|value| Checkpoint { version: oldest, value, stamp: None });
        let (epoch, life) = ((self.how.epochs)(), self.life);
        let record =
            TopicRecord { name: name.clone(), type_name: line.type_name, options, epoch, life };
        self.made.push(Operation::Make { record, start });
        self.topics.insert(name, Topic { kind, value, head: oldest, checkpoint: oldest });
        self.pending += 1;
        self.imported.topics += 1;
        Ok(())
    }

    fn name(&self, name: &str) -> Result<TopicName, Wrong> {
        let name = TopicName::new(format!("{}{name}", self.how.prefix));
        name.map_err(|error| Wrong::Line(error.to_string()))
    }

    /// Takes the changes of one line. The topics they are of end where none is between two changes of an
    /// action, so that checkpoints can be made there.
    fn commit(&mut self, mut commit: Commit) -> Result<(), Wrong> {
        if commit.number < self.newest {
            let (number, newest) = (commit.number, self.newest);
            return Err(Wrong::Line(format!("commit {number} comes after commit {newest}")));
        }
        self.newest = commit.number;
        self.client = self.client.max(commit.author);
        let action = commit.action.take().map(|mark| self.moved_up(&mark)).transpose()?;
        let number = self.number_moved_up(commit.number)?;
        let mut touched = BTreeSet::new();
        for (name, mut change) in commit.changes {
            let name = self.name(&name)?;
            (change.commit, change.action) = (number, action.clone());
            self.client = self.client.max(change.id.client());
            self.change(&name, &mut change)?;
            self.appends.entry(name.clone()).or_default().push(change);
            touched.insert(name);
            self.pending += 1;
            self.imported.changes += 1;
        }
        self.imported.commits += 1;
        touched.iter().for_each(|name| self.checkpoint(name));
        Ok(())
    }

    fn number_moved_up(&self, number: CommitNumber) -> Result<CommitNumber, Wrong> {
        let moved = number.0.saturating_add(self.imported.moved_up);
        check_number("commit", moved).map_err(Wrong::Line)?;
        Ok(CommitNumber(moved))
    }

    /// The mark of an action, what it reverses being moved up with the rest.
    fn moved_up(&self, mark: &ActionMark) -> Result<Arc<ActionMark>, Wrong> {
        let moved = |it: &Reverses| {
            self.number_moved_up(it.commit).map(|commit| Reverses { commit, ..it.clone() })
        };
        let reverses = mark.reverses.as_ref().map(moved).transpose()?;
        Ok(Arc::new(ActionMark { id: mark.id.clone(), reverses }))
    }

    /// Applies a change to its topic, and puts its fields into the form that a server would have logged: a
    /// file that was written by hand is exported in the same bytes as any other.
    fn change(&mut self, name: &TopicName, change: &mut Logged) -> Result<(), Wrong> {
        let Some(topic) = self.topics.get_mut(name) else {
            return Err(Wrong::Line(format!("topic {name:?} has no line above")));
        };
        let (version, head) = (change.version, topic.head);
        if version != head.next() {
            return Err(Wrong::Line(format!(
                "version {version} of topic {name:?} does not follow version {head}"
            )));
        }
        topic.head = version;
        if let (Some(kind), Some(value), Some(fields)) =
            (topic.kind, &mut topic.value, &mut change.change)
        {
            let applied = kind.decode_change(fields).and_then(|change| {
                kind.apply(value, &change)?;
                Ok(kind.encode_change(&change))
            });
            *fields = applied.map_err(|error| {
                Wrong::Line(format!("version {version} of topic {name:?} cannot be: {error}"))
            })?;
        }
        Ok(())
    }

    /// Keeps the topic's value, if it is time for that.
    fn checkpoint(&mut self, name: &TopicName) {
        let Some(topic) = self.topics.get_mut(name) else { return };
        let (Some(kind), Some(value)) = (topic.kind, &topic.value) else { return };
        if topic.head.0 < topic.checkpoint.0 + CHECKPOINT_EVERY {
            return;
        }
        topic.checkpoint = topic.head;
        let checkpoint =
            Checkpoint { version: topic.head, value: kind.encode_value(value), stamp: None };
        let topic = name.clone();
        self.made.push(Operation::Checkpoint { topic, checkpoint });
    }

    /// Commits what is pending: new topics, changes, then checkpoints.
    fn flush(&mut self) -> Result<(), ImportError> {
        let is_new = |it: &Operation| matches!(it, Operation::Make { .. });
        let (mut group, kept): (Vec<_>, Vec<_>) = self.made.drain(..).partition(is_new);
        for (topic, changes) in std::mem::take(&mut self.appends) {
            let first = changes.first().map_or(Version(1), |change| change.version);
            let after = Version(first.0 - 1);
            group.push(Operation::Append(Append { topic, after, changes }));
        }
        group.extend(kept);
        let commit = CommitNumber(self.newest.0.saturating_add(self.imported.moved_up));
        let client = ClientId(self.client.0.min(INT_MAX as u64));
        group.push(Operation::Reserve(Numbers { life: self.life, commit, client }));
        self.journal.commit(&group)?;
        (self.pending, self.pending_bytes) = (0, 0);
        Ok(())
    }
}
