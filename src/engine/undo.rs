//! Undo and redo of an author's own actions.

use std::sync::Arc;

use smallvec::SmallVec;

use super::ahead::PIECE;
use super::author::{Author, Direction, Done, Past};
use super::cell::{State, TopicCell};
use super::draft::{Cells, Draft, Drafts, Guards};
use super::guard::guarded;
use super::past::{self, PastError, Snapshot};
use super::policy::Operation;
use super::submit::has_undo;
use super::{Asked, Engine, Group};
use crate::journal::Logged;
use crate::topic::undo::Reversal;
use crate::topic::{
    ActionId, ActionMark, ClientId, CommitNumber, Entry, Moment, Rejection, Reverses, TopicName,
    Version, VersionLog, undo,
};
use crate::types::{AnyValue, run};
use crate::value::Fields;

/// How many of its newest changes are looked at for what an author can take back after a restart.
const RESTORED_CHANGES_MAX: usize = 10_000;
/// How many later changes there may be of what is taken back.
const REVERSED_READ_MAX: u64 = 250_000;

/// What an undo or redo came to.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reversed {
    /// The new action; `None` if nothing was left to do, or there was nothing to take back.
    pub action_id: Option<ActionId>,
    /// What was done, by topic.
    pub done: Vec<(TopicName, Fields)>,
    /// What could not be taken back, and why.
    pub skipped: Vec<Skipped>,
    /// Whether any of it has to be made durable.
    pub waits: bool,
}

/// A change that could not be taken back.
#[derive(Debug, Clone, PartialEq)]
pub struct Skipped {
    /// The topic of the change.
    pub topic: TopicName,
    /// What would have taken it back.
    pub change: Option<Fields>,
    /// Why, in words for a person.
    pub reason: String,
}

impl Skipped {
    fn gone(topic: &TopicName) -> Skipped {
        let reason = "the topic no longer holds it".into();
        Skipped { topic: topic.clone(), change: None, reason }
    }
}

/// How many actions that leave nothing to take back are passed over, at most.
const PASSED_OVER_MAX: usize = 100;

/// After how many tries what came meanwhile is gone over under the locks, however much it is.
const TRIES_MAX: usize = 4;

/// How many changes that came meanwhile are gone over under a topic's lock.
const LOCKED_MAX: u64 = 64;

/// What takes back one topic's part of an action, as it stands at some version.
struct Prepared {
    /// `None` if the topic no longer holds the action.
    reversal: Option<Reversal>,
    /// The version that it stands at, its commit and its value.
    at: Version,
    commit: CommitNumber,
    value: AnyValue,
}

/// What an attempt to take back one action came to.
enum Attempt {
    Done(ActionId, CommitNumber),
    /// Nothing of it is left to take back.
    Nothing,
    /// It could be taken back, and was refused.
    Refused,
    /// It cannot be taken back now, as the journal takes nothing.
    Unavailable,
}

impl Engine {
    /// Takes back the author's newest action, or makes again what it last took back, as a new action
    /// rebased over what others did since. What cannot be rebased is skipped, and said to be. If nothing
    /// is left of the newest to take back, it is passed over, and the one before is next.
    pub fn reverse(&self, author: &Author, direction: Direction, group: &mut Group) -> Reversed {
        self.restore_undo(author);
        let mut reversed = Reversed::default();
        for _ in 0..PASSED_OVER_MAX {
            let Some(done) = author.take(direction) else { break };
            match self.reverse_one(author, direction, &done, group, &mut reversed) {
                Attempt::Done(action_id, commit) => {
                    author.reversed(direction, Done { commit, ..done });
                    reversed.action_id = Some(action_id);
                    break;
                }
                Attempt::Nothing => {}
                Attempt::Refused => break,
                Attempt::Unavailable => {
                    author.put_back(direction, done);
                    break;
                }
            }
        }
        reversed
    }

    fn reverse_one(
        &self,
        author: &Author,
        direction: Direction,
        done: &Done,
        group: &mut Group,
        reversed: &mut Reversed,
    ) -> Attempt {
        let mut cells: Cells = SmallVec::new();
        for topic in &done.topics {
            match self.get(topic) {
                Some(cell) => cells.push(cell),
                None => reversed.skipped.push(Skipped::gone(topic)),
            }
        }
        cells.sort_by(|a, b| a.name().cmp(b.name()));
        let mut tries = 0;
        // The log is read, and what would take the action back is worked out, without the locks.
        let (mut prepared, mut guards) = loop {
            tries += 1;
            let prepared: SmallVec<[Prepared; 1]> =
                cells.iter().map(|cell| prepare(cell, author, done.commit)).collect();
            let guards: Guards = cells.iter().map(|cell| cell.lock()).collect();
            let mut both = prepared.iter().zip(&guards);
            if both.all(|(prepared, state)| prepared.is_near(state, author.id(), tries)) {
                break (prepared, guards);
            }
        };
        if let Some(cell) = cells.iter().find(|cell| cell.is_journalled())
            && let Some(reason) = self.queue.down_reason()
        {
            reversed.skipped.push(Skipped { topic: cell.name().clone(), change: None, reason });
            return Attempt::Unavailable;
        }
        let (mut drafts, mut refused): (Drafts, _) = (SmallVec::new(), false);
        for (slot, prepared) in prepared.iter_mut().enumerate() {
            refused |= self.reverse_topic(
                author,
                prepared,
                (slot, &cells[slot], &mut guards[slot]),
                &mut drafts,
                reversed,
            );
        }
        if drafts.is_empty() {
            return if refused { Attempt::Refused } else { Attempt::Nothing };
        }
        let action_id = ActionId::from(author.fresh_id());
        let redo = direction == Direction::Redo;
        let reverses = Reverses { commit: done.commit, original: done.original.clone(), redo };
        let mark = Arc::new(ActionMark { id: action_id.clone(), reverses: Some(reverses) });
        let asked = Asked::Reversal(direction);
        reversed.waits |= cells.iter().any(|cell| cell.is_journalled());
        let receipt =
            self.append(author, asked, Some(mark), &cells, guards, drafts, group, &mut None);
        Attempt::Done(action_id, receipt.commit)
    }

    /// Takes back what an action did in one topic, as far as can be. Tells whether some of it was refused.
    fn reverse_topic(
        &self,
        author: &Author,
        prepared: &mut Prepared,
        (slot, cell, state): (usize, &Arc<TopicCell>, &mut State),
        drafts: &mut Drafts,
        reversed: &mut Reversed,
    ) -> bool {
        let kind = cell.kind();
        let skip = |change: Option<Fields>, reason: String| Skipped {
            topic: cell.name().clone(),
            change,
            reason,
        };
        let Some(mut reversal) = prepared.come_to_head(cell, state) else {
            reversed.skipped.push(Skipped::gone(cell.name()));
            return false;
        };
        for (_, conflict) in reversal.skipped {
            reversed.skipped.push(skip(None, conflict.to_string()));
        }
        let mut refused = false;
        for index in 0..reversal.run.len() {
            let Some(change) = reversal.run[index].clone() else { continue };
            let before = state.topic.value().clone();
            let id = author.fresh_id();
            let mut draft = Draft { slot, change: Some(change.clone()), id, base: None };
            let apply = || {
                let operation = Operation::Change { topic: cell, change: Some(&change) };
                self.authorize(author.principal(), &operation)?;
                self.apply_one(author, cell, state, &mut draft)
            };
            match guarded(kind, apply).flatten() {
                Ok(()) => {
                    let fields = draft.change.as_ref().map(|change| kind.encode_change(change));
                    reversed.done.extend(fields.map(|fields| (cell.name().clone(), fields)));
                    drafts.push(draft);
                }
                Err(rejection) => {
                    refused |= !matches!(rejection, Rejection::Invalid(_));
                    let fields = kind.encode_change(&change);
                    reversed.skipped.push(skip(Some(fields), rejection.to_string()));
                    let drop = || run::drop_from(kind, &mut reversal.run, index, &before);
                    if guarded(kind, drop).is_err() {
                        // What stands behind it is not to be trusted any more.
                        reversal.run[index..].fill(None);
                    }
                    state.topic.restore(before);
                }
            }
        }
        refused
    }

    /// Puts on an author's stack what it did before the server's present life, if that is not there yet.
    pub(super) fn restore_undo(&self, author: &Author) {
        if !author.take_from_before() {
            return;
        }
        match self.config.journal.by_author(author.id(), RESTORED_CHANGES_MAX) {
            Ok(changes) => author.restore(self.past_actions(changes)),
            Err(error) => {
                tracing::error!(client = %author.id(), %error, "earlier actions cannot be undone");
            }
        }
    }

    /// The actions that some changes of one author belong to, by commit.
    fn past_actions(&self, changes: Vec<(TopicName, Logged)>) -> Vec<Past> {
        let mut actions: Vec<Past> = Vec::new();
        for (topic, logged) in changes {
            if !self.has_undo(&topic) {
                continue;
            }
            match actions.last_mut().filter(|past| past.done.commit == logged.commit) {
                Some(Past { done, .. }) if done.topics.contains(&topic) => {}
                Some(Past { done, .. }) => done.topics.push(topic),
                None => actions.push(past_action(topic, &logged)),
            }
        }
        actions
    }

    /// Whether what is done in a topic can be taken back.
    fn has_undo(&self, topic: &TopicName) -> bool {
        let Ok(Some(record)) = self.config.journal.topic(topic) else { return false };
        let kind = self.config.registry.get(&record.type_name);
        kind.is_some_and(|kind| has_undo(kind, &record.options))
    }
}

fn past_action(topic: TopicName, logged: &Logged) -> Past {
    let reverses = logged.action.as_ref().and_then(|action| action.reverses.as_ref());
    let original = match (reverses, &logged.action) {
        (Some(reverses), _) => reverses.original.clone(),
        (None, Some(action)) => action.id.clone(),
        (None, None) => logged.id.clone().into(),
    };
    let reversed = reverses.map(|reverses| match reverses.redo {
        true => Direction::Redo,
        false => Direction::Undo,
    });
    let topics = SmallVec::from_iter([topic]);
    Past { done: Done { commit: logged.commit, original, topics }, reversed }
}

/// Works out what takes a commit of `author` back in one topic, as it stands by now.
fn prepare(cell: &TopicCell, author: &Author, target: CommitNumber) -> Prepared {
    let Snapshot { version, commit, value } = cell.snapshot();
    let mut prepared = Prepared { reversal: None, at: version, commit, value };
    let Ok(Some((before, entries))) = since_before(cell, target) else { return prepared };
    let kind = cell.kind();
    let reverse = || {
        let mut value = before.clone();
        entries.iter().for_each(|entry| entry.apply_to(kind, &mut value));
        (undo::reverse(kind, before, &entries, author.id(), target), value)
    };
    if let (Ok((reversal, value)), Some(last)) = (guarded(kind, reverse), entries.last()) {
        (prepared.at, prepared.commit) = (last.version, last.commit);
        (prepared.value, prepared.reversal) = (value, Some(reversal));
    }
    prepared
}

/// The value before a commit, and all entries from it to the head. `None` if the topic no longer holds it,
/// or has gone on too far since.
fn since_before(
    cell: &TopicCell,
    target: CommitNumber,
) -> Result<Option<(AnyValue, Vec<Entry>)>, PastError> {
    let in_memory = {
        let state = cell.lock();
        let log = state.topic.log();
        if state.is_removed() {
            return Ok(None);
        }
        let is_here = log.base_made().is_some_and(|(base, _)| target > base);
        (is_here || !cell.is_journalled()).then(|| {
            let before = log.version_at_commit(CommitNumber(target.0.saturating_sub(1)));
            let holds = log.entry(before.next()).is_some_and(|entry| entry.commit == target);
            holds.then(|| log.value_at(before)).flatten().map(|value| (before, value))
        })
    };
    let (before, value) = match in_memory {
        Some(Some(found)) => found,
        Some(None) => return Ok(None),
        None => {
            let journal = &*cell.journal;
            let moment = Moment::Commit(CommitNumber(target.0.saturating_sub(1)));
            let before = journal.version_at(cell.name(), moment)?;
            (before, past::value_at(journal, cell.kind(), cell.name(), before)?)
        }
    };
    let Some(entries) = entries_to_head(cell, before)? else { return Ok(None) };
    let holds = entries.first().is_some_and(|entry| entry.commit == target);
    Ok(holds.then_some((value, entries)))
}

/// All entries after `before`, settled or not, a piece at a time; `None` if they are too many.
fn entries_to_head(cell: &TopicCell, before: Version) -> Result<Option<Vec<Entry>>, PastError> {
    let mut entries: Vec<Entry> = Vec::new();
    loop {
        let at = entries.last().map_or(before, |last| last.version);
        let older = {
            let state = cell.lock();
            let log = state.topic.log();
            // What was copied may have fallen back meanwhile.
            let is_there = |it: &Entry| at <= log.base() || log.commit_at(at) == Some(it.commit);
            if at > log.head() || !entries.last().is_none_or(is_there) {
                if entries.is_empty() {
                    return Ok(None);
                }
                entries.clear();
                continue;
            }
            if before.0 + REVERSED_READ_MAX < log.head().0 {
                return Ok(None);
            }
            if at >= log.base() {
                if at == log.head() {
                    return Ok(Some(entries));
                }
                entries.extend(log.after(at).take(PIECE as usize).cloned());
                None
            } else {
                Some(Version(log.base().0.min(at.0 + PIECE)))
            }
        };
        if let Some(to) = older {
            let read = past::entries(&*cell.journal, cell.kind(), cell.name(), at, to)?;
            entries.extend(read);
        }
    }
}

impl Prepared {
    /// Whether what came since can be gone over under the topic's lock.
    fn is_near(&self, state: &State, author: ClientId, tries: usize) -> bool {
        let log = state.topic.log();
        if self.reversal.is_none() || tries >= TRIES_MAX {
            return true;
        }
        // What the author did itself is not simply another's.
        self.is_at(log)
            && log.head().0 - self.at.0 <= LOCKED_MAX
            && log.after(self.at).all(|entry| entry.author != author)
    }

    /// Whether a log still holds the version that this stands at.
    fn is_at(&self, log: &VersionLog) -> bool {
        self.at == log.head() && self.commit == log.commit()
            || self.at >= log.base() && log.commit_at(self.at) == Some(self.commit)
    }

    /// Goes over what came since.
    fn come_to_head(&mut self, cell: &TopicCell, state: &State) -> Option<Reversal> {
        let (kind, log) = (cell.kind(), state.topic.log());
        let mut reversal = self.reversal.take()?;
        if state.is_removed() || !self.is_at(log) {
            return None;
        }
        let over = || {
            for entry in log.after(self.at) {
                reversal.over(kind, &mut self.value, entry);
            }
        };
        guarded(kind, over).ok()?;
        Some(reversal)
    }
}
