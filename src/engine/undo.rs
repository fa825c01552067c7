//! Undo and redo of an author's own actions.

use std::sync::Arc;

use smallvec::SmallVec;

use super::author::{Author, Direction, Done};
use super::submit::{Cells, Draft, Drafts, Guards, apply_one};
use super::{Engine, Group};
use crate::topic::{ActionId, ActionMark, Reverses, TopicName, undo};
use crate::types::run;
use crate::value::Fields;

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

impl Engine {
    /// Takes back the author's newest action, or makes again what it last took back, as a new action
    /// rebased over what others did since. What cannot be carried is skipped.
    pub fn reverse(&self, author: &Author, direction: Direction, group: &mut Group) -> Reversed {
        let Some(done) = author.take(direction) else { return Reversed::default() };
        let mut cells: Cells = done.topics.clone();
        cells.sort_by(|a, b| a.name().cmp(b.name()));
        let mut guards: Guards = cells.iter().map(|cell| cell.lock()).collect();

        let mut reversed = Reversed::default();
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
        let receipt = self.append(author, Some(mark), &cells, guards, drafts, group);
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
        let reversal = match state.is_removed() {
            true => None,
            false => undo::reverse(&state.topic, author.id(), done.commit),
        };
        let Some(mut reversal) = reversal else {
            reversed.skipped.push(skip(None, "the topic no longer holds it".into()));
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
            match apply_one(&self.config.validators, cell, state, &mut draft) {
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
}
