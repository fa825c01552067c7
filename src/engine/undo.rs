//! Undo and redo of an author's own actions.

use std::sync::Arc;

use smallvec::SmallVec;

use super::author::{Author, Direction, Done, Past};
use super::cell::{State, TopicCell};
use super::policy::Operation;
use super::submit::{Cells, Draft, Drafts, Guards, has_undo};
use super::{Asked, Engine, Group, past};
use crate::journal::Logged;
use crate::topic::undo::Reversal;
use crate::topic::{
    ActionId, ActionMark, CommitNumber, Moment, Rejection, Reverses, Topic, TopicName, Version,
    undo,
};
use crate::types::run;
use crate::value::Fields;

/// How many of its newest changes are looked at for what an author can take back after a restart.
const RESTORED_CHANGES_MAX: usize = 10_000;
/// How many changes are read from the journal to take one back.
const REVERSED_READ_MAX: u64 = 250_000;

/// What an undo or redo came to.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reversed {
    /// The new action; `None` if nothing was left to do, or there was nothing to take back.
    pub action_id: Option<ActionId>,
    /// What was done, by topic.
    pub done: Vec<(TopicName, Fields)>,
    pub skipped: Vec<Skipped>,
}

/// A change that could not be taken back.
#[derive(Debug, Clone, PartialEq)]
pub struct Skipped {
    pub topic: TopicName,
    /// What would have taken it back.
    pub change: Option<Fields>,
    pub reason: String,
}

impl Skipped {
    fn gone(topic: &TopicName) -> Skipped {
        let reason = "the topic no longer holds it".into();
        Skipped { topic: topic.clone(), change: None, reason }
    }
}

impl Engine {
    /// Takes back the author's newest action, or makes again what it last took back, as a new action
    /// rebased over what others did since. What cannot be carried is skipped.
    pub fn reverse(&self, author: &Author, direction: Direction, group: &mut Group) -> Reversed {
        self.restore_undo(author);
        let Some(done) = author.take(direction) else { return Reversed::default() };
        let mut reversed = Reversed::default();
        let mut cells: Cells = SmallVec::new();
        for topic in &done.topics {
            match self.get(topic) {
                Some(cell) => cells.push(cell),
                None => reversed.skipped.push(Skipped::gone(topic)),
            }
        }
        cells.sort_by(|a, b| a.name().cmp(b.name()));
        let mut guards: Guards = cells.iter().map(|cell| cell.lock()).collect();
        let mut drafts: Drafts = SmallVec::new();
        for slot in 0..cells.len() {
            self.reverse_topic(
                author,
                &done,
                slot,
                &cells,
                &mut guards,
                &mut drafts,
                &mut reversed,
            );
        }
        if drafts.is_empty() {
            return reversed;
        }
        let action_id = ActionId::from(author.fresh_id());
        let redo = direction == Direction::Redo;
        let reverses = Reverses { commit: done.commit, original: done.original.clone(), redo };
        let mark = Arc::new(ActionMark { id: action_id.clone(), reverses: Some(reverses) });
        let asked = Asked::Reversal(direction);
        let receipt =
            self.append(author, asked, Some(mark), &cells, guards, drafts, group, &mut None);
        author.reversed(direction, Done { commit: receipt.commit, ..done });
        reversed.action_id = Some(action_id);
        reversed
    }

    /// Takes back what `done` did in one topic, as far as can be.
    #[allow(clippy::too_many_arguments)]
    fn reverse_topic(
        &self,
        author: &Author,
        done: &Done,
        slot: usize,
        cells: &Cells,
        guards: &mut Guards<'_>,
        drafts: &mut Drafts,
        reversed: &mut Reversed,
    ) {
        let (cell, state) = (&cells[slot], &mut guards[slot]);
        let kind = cell.kind();
        let skip = |change: Option<Fields>, reason: String| Skipped {
            topic: cell.name().clone(),
            change,
            reason,
        };
        let Some(mut reversal) = reversal(cell, state, author, done.commit) else {
            reversed.skipped.push(Skipped::gone(cell.name()));
            return;
        };
        for (_, conflict) in reversal.skipped {
            reversed.skipped.push(skip(None, conflict.to_string()));
        }
        for index in 0..reversal.run.len() {
            let Some(change) = reversal.run[index].clone() else { continue };
            let before = state.topic.value().clone();
            let id = author.fresh_id();
            let mut draft = Draft { slot, change: Some(change.clone()), id, base: None };
            let permitted = self.authorize(
                author.principal(),
                &Operation::Change { topic: cell, change: Some(&change) },
            );
            let applied = permitted
                .map_err(Rejection::from)
                .and_then(|()| self.apply_one(author, cell, state, &mut draft));
            match applied {
                Ok(()) => {
                    let fields = draft.change.as_ref().map(|change| kind.encode_change(change));
                    reversed.done.extend(fields.map(|fields| (cell.name().clone(), fields)));
                    drafts.push(draft);
                }
                Err(rejection) => {
                    let fields = kind.encode_change(&change);
                    reversed.skipped.push(skip(Some(fields), rejection.to_string()));
                    run::drop_from(kind, &mut reversal.run, index, &before);
                    state.topic.restore(before);
                }
            }
        }
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

/// What takes a commit of `author` back in one topic; `None` if the topic no longer holds it.
fn reversal(
    cell: &TopicCell,
    state: &State,
    author: &Author,
    target: CommitNumber,
) -> Option<Reversal> {
    let log = state.topic.log();
    if state.is_removed() {
        return None;
    }
    if log.base_made().is_some_and(|(base, _)| target > base) || !cell.is_journalled() {
        return undo::reverse(&state.topic, author.id(), target);
    }
    let journal = &*cell.journal;
    let made = journal.version_at(cell.name(), Moment::Commit(target)).ok()?;
    // An action that changed one topic more often than that is not taken back: its changes are all
    // after one checkpoint at least.
    let before = Version(made.0.saturating_sub(crate::journal::CHECKPOINT_EVERY));
    if log.base().0.saturating_sub(before.0) > REVERSED_READ_MAX {
        return None;
    }
    let (mut longer, _) = past::log(journal, cell.kind(), cell.name(), before, log.base()).ok()?;
    let mut value = longer.value_at(log.base())?;
    for entry in log.after(log.base()) {
        log.apply(&mut value, entry);
        longer.push(entry.clone());
    }
    undo::reverse(&Topic::of_log(cell.kind(), longer, value), author.id(), target)
}
