//! A plan becomes an action of ours, and what its author calls things is noted.

use ecow::{EcoString, eco_format};

use super::{Action, Draft, Plan, Step};
use crate::engine::{ChangeBody, Group, Receipt, Submission, Submitted};
use crate::server::v0_13::kind::Kind;
use crate::server::v0_13::list::TOPIC_LIST;
use crate::server::v0_13::names::{Seen, Told};
use crate::server::v0_13::text;
use crate::topic::{Rejection, Version};
use crate::types::AnyChange;
use crate::value::Value;

impl Plan<'_> {
    /// Hands the planned changes to the engine as one action.
    ///
    /// # Errors
    /// The engine's. A stale one is to be planned anew.
    pub(super) fn submit(
        mut self,
        action: &Action<'_>,
        group: &mut Group,
    ) -> Result<usize, Rejection> {
        if self.steps.is_empty() {
            return Ok(0);
        }
        let of_list = |step: &Step| **self.drafts[step.draft].topic.name() == *TOPIC_LIST;
        // The list is the server's: what changes it too is the server's action.
        let author = match self.steps.iter().any(of_list) {
            true => self.hub.author(),
            false => &action.session.author,
        };
        let as_server = std::ptr::eq(author, self.hub.author());
        if as_server && self.drafts.iter().any(|draft| draft.topic.options().presence) {
            return Err(Rejection::Forbidden("presence is changed in an action of its own".into()));
        }
        let submitted = |step: &Step| {
            let draft = &self.drafts[step.draft];
            Submitted {
                topic: draft.topic.name().clone(),
                epoch: Some(draft.topic.epoch().clone()),
                change: ChangeBody::Typed(step.change.clone()),
                id: None,
                // Only positions are carried along by what slips in.
                base: matches!(draft.kind, Kind::String | Kind::List).then_some(draft.head),
            }
        };
        let changes = self.steps.iter().map(submitted).collect();
        let action_id = (self.steps.len() > 1).then(|| action.name.clone());
        let submission = Submission { action_id, changes };
        let receipt = self.hub.engine().submit(author, submission, group);
        let receipt = receipt.map_err(|rejected| rejected.rejection)?;
        self.note(action, &receipt);
        for topic in &self.removed {
            self.hub.unlisted(topic, || self.hub.engine().remove(topic));
            self.names.forget(topic);
        }
        Ok(receipt.versions.len())
    }

    /// Notes what the author said of its changes, and calls the texts that it sees.
    fn note(&mut self, action: &Action<'_>, receipt: &Receipt) {
        let mut accepted: Vec<Vec<Version>> = vec![Vec::new(); self.drafts.len()];
        for (step, version) in self.steps.iter().zip(&receipt.versions) {
            accepted[step.draft].push(*version);
        }
        let slips: Vec<Option<Slips>> = self
            .drafts
            .iter()
            .zip(&accepted)
            .map(|(draft, versions)| Slips::before(draft, versions))
            .collect();
        let mut done = vec![0; self.drafts.len()];
        for (step, version) in self.steps.iter_mut().zip(&receipt.versions) {
            done[step.draft] += 1;
            let (draft, slips) = (&self.drafts[step.draft], &slips[step.draft]);
            let (Some(told), Some(slips)) = (step.told.take(), slips) else { continue };
            let as_made = step.as_made && slips.left_as_is(done[step.draft]);
            let told = match as_made {
                true => told,
                false => Told { id: adjusted(told.id), text: None, ..told },
            };
            let told = Told { action_id: action.action_id.clone(), ..told };
            self.names.of(&draft.topic).tell(*version, told);
        }
        for ((draft, versions), slips) in self.drafts.iter_mut().zip(&accepted).zip(&slips) {
            let Some(slips) = slips else { continue };
            for (name, known) in draft.known.drain().filter(|(_, known)| known.own) {
                let Seen { text, mut missing, .. } = known.seen;
                missing.extend_from_slice(slips.after(known.after));
                let seen = Seen { text, at: versions[known.after - 1], missing };
                self.names.of(&draft.topic).name(name, seen);
            }
        }
    }
}

/// What others did to a topic between the plan and its first change.
struct Slips {
    any: bool,
    /// Of a text: what they did, as it stands after so many changes of the plan. Empty if they did nothing.
    carried: Vec<Vec<AnyChange>>,
}

impl Slips {
    /// `None` if it cannot be known: then nothing is said of the changes, and their author is told of them
    /// as of another's.
    fn before(draft: &Draft, versions: &[Version]) -> Option<Slips> {
        let first = *versions.first()?;
        let any = draft.head.next() != first;
        if !any || draft.kind != Kind::String {
            return Some(Slips { any, carried: Vec::new() });
        }
        let (_, since) = draft.topic.accepted(draft.head).ok()?;
        let before = since.into_iter().take_while(|entry| entry.version < first);
        let mut slipped: Vec<AnyChange> = before.filter_map(|entry| entry.change).collect();
        slipped = text::composed(&slipped);
        let mut carried = vec![slipped.clone()];
        for change in &draft.changes {
            let mut change = Some(change.clone());
            slipped = slipped.into_iter().filter_map(|it| text::carry(&mut change, it)).collect();
            carried.push(slipped.clone());
        }
        Some(Slips { any, carried })
    }

    fn after(&self, changes: usize) -> &[AnyChange] {
        self.carried.get(changes).map_or(&[], |slipped| slipped)
    }

    /// Whether so many changes of the plan are as they were planned, and lead to what was planned.
    fn left_as_is(&self, changes: usize) -> bool {
        !self.any || (!self.carried.is_empty() && self.after(changes).is_empty())
    }
}

/// The id of a change that is not as its author made it.
fn adjusted(id: Option<Value>) -> Option<Value> {
    let id = id?.as_text().map(EcoString::from)?;
    Some(eco_format!("{id}_adjust").into())
}
