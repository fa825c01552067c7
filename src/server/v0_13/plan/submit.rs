//! A plan becomes an action of the engine's, and what its author calls things is noted.
//!
//! The author's words are noted before the engine decides, under ids that the plan gives its changes:
//! whoever is told of a change finds them, and may go on from the names in them, however soon. Only what
//! the decision itself brings to light is noted after it, by the author's own connection, which is the
//! only one that can need it before.

use std::collections::HashSet;

use ecow::eco_format;

use super::{Draft, Plan};
use crate::engine::policy::Operation;
use crate::engine::{ChangeBody, Group, Receipt, Submission, Submitted};
use crate::server::v0_13::kind::Kind;
use crate::server::v0_13::list::TOPIC_LIST;
use crate::server::v0_13::names::SeenText;
use crate::server::v0_13::text;
use crate::topic::{ActionId, ChangeId, ClientId, Rejection, Version};
use crate::types::AnyChange;
use crate::value::Value;

impl Plan<'_> {
    /// Hands the planned changes to the engine as one action. Gives how many there were.
    ///
    /// # Errors
    /// The engine's, or the policy's.
    pub(super) fn submit(self, group: &mut Group) -> Result<usize, Rejection> {
        if self.changes.is_empty() {
            return Ok(0);
        }
        let is_of_list = |draft: &Draft| **draft.topic.name() == *TOPIC_LIST;
        // The list is the server's: an action that changes it too is the server's action.
        let as_server = self.drafts.iter().any(is_of_list);
        if as_server {
            self.authorize_for_client()?;
        }
        let session_author = &self.action.session.author;
        let author = if as_server { self.hub.author() } else { session_author };

        let ids = self.change_ids(author.id())?;
        let submission = self.submission(&ids)?;
        let shown_before = self.note(&ids);
        let decided = self.hub.engine().submit(author, submission, group);
        let receipt = match decided {
            Ok(receipt) => receipt,
            Err(rejected) => {
                self.withdraw(&ids, shown_before);
                return Err(rejected.rejection);
            }
        };
        self.correct(&ids, &receipt);
        for draft in self.drafts.iter().filter(|draft| draft.removed) {
            self.hub.engine().remove_life(&draft.topic);
        }
        Ok(receipt.versions.len())
    }

    /// Asks the policy, in the client's name, for all that the action changes beside the topic list. The
    /// engine asks in the name of who submits, which is the server.
    fn authorize_for_client(&self) -> Result<(), Rejection> {
        for planned in &self.changes {
            let topic = &self.drafts[planned.draft].topic;
            if topic.options().presence {
                // The engine takes entries out again when their author leaves, which is not the server.
                let why = "presence is changed in an action of its own";
                return Err(Rejection::Forbidden(why.into()));
            }
            if **topic.name() != *TOPIC_LIST {
                let change = Some(&planned.change);
                self.authorize(&Operation::Change { topic, change })?;
            }
        }
        Ok(())
    }

    /// An id for each change, under the client id of who submits: no other change has it, as no other
    /// action of the session has the action's number. Clients cannot give such ids.
    fn change_ids(&self, author: ClientId) -> Result<Vec<ChangeId>, Rejection> {
        let number = self.action.number;
        let prefix = match self.action.session.id() {
            client if client == author => eco_format!("{author}_d{number}"),
            client => eco_format!("{author}_d{client}_{number}"),
        };
        let id = |index: usize| ChangeId::new(eco_format!("{prefix}_{index}"));
        let ids = (0..self.changes.len()).map(id).collect::<Result<_, _>>();
        // Four numbers are short enough.
        ids.map_err(|error| Rejection::Refused(error.to_string()))
    }

    fn submission(&self, ids: &[ChangeId]) -> Result<Submission, Rejection> {
        let changes = self.changes.iter().zip(ids).map(|(planned, id)| {
            let draft = &self.drafts[planned.draft];
            // Positions are rebased over what others do before the decision. A change of the topic list is
            // about the life of a topic that the plan found there: if the entry has changed, it is
            // planned anew. Everything else means the value as it is then.
            let has_base = matches!(draft.kind, Kind::String | Kind::List)
                || **draft.topic.name() == *TOPIC_LIST;
            Submitted {
                topic: draft.topic.name().clone(),
                epoch: Some(draft.topic.epoch().clone()),
                change: ChangeBody::Typed(planned.change.clone()),
                id: Some(id.clone()),
                base: has_base.then_some(draft.head),
            }
        });
        let changes = changes.collect();
        if self.changes.len() == 1 {
            return Ok(Submission { action_id: None, changes });
        }
        let name = eco_format!("{}_d{}", self.action.session.id(), self.action.number);
        let action_id = ActionId::new(name).map_err(|it| Rejection::Refused(it.to_string()))?;
        Ok(Submission { action_id: Some(action_id), changes })
    }

    /// Notes what the author says of its changes. Gives the initial values that were shown before.
    fn note(&self, ids: &[ChangeId]) -> Vec<Value> {
        let mut expected: Vec<Version> = self.drafts.iter().map(|draft| draft.head).collect();
        for (planned, id) in self.changes.iter().zip(ids) {
            let version = &mut expected[planned.draft];
            *version = version.next();
            let Some(mut words) = planned.words.clone() else { continue };
            words.expected = *version;
            let topic = &self.drafts[planned.draft].topic;
            self.names.note(topic, id, words, planned.text.clone());
        }
        let replace =
            |(topic, boundary): &(_, Value)| self.names.replace_boundary(topic, boundary.clone());
        self.boundaries.iter().map(replace).collect()
    }

    /// Takes back what was noted of changes that were not accepted.
    fn withdraw(&self, ids: &[ChangeId], shown_before: Vec<Value>) {
        let ids: HashSet<&ChangeId> = ids.iter().collect();
        self.drafts.iter().for_each(|draft| self.names.withdraw(&draft.topic, &ids));
        // The newest first, as one topic may be there twice.
        for ((topic, _), boundary) in self.boundaries.iter().zip(shown_before).rev() {
            self.names.replace_boundary(topic, boundary);
        }
    }

    /// Notes what the author sees of texts that others changed between the plan and its decision. Its own
    /// next edit may be made on that.
    fn correct(&self, ids: &[ChangeId], receipt: &Receipt) {
        let mut by_draft: Vec<Vec<usize>> = vec![Vec::new(); self.drafts.len()];
        for (index, planned) in self.changes.iter().enumerate() {
            by_draft[planned.draft].push(index);
        }
        for (draft, indices) in self.drafts.iter().zip(by_draft) {
            let Some(first) = indices.first().map(|first| receipt.versions[*first]) else {
                continue;
            };
            if draft.kind != Kind::String || draft.head.next() == first {
                continue;
            }
            let Some(unseen) = unseen_after_each(draft, first) else { continue };
            for (index, unseen) in indices.into_iter().zip(unseen) {
                let Some((name, seen)) = &self.changes[index].text else { continue };
                let mut missing = seen.missing.clone();
                missing.extend(unseen);
                let (text, at) = (seen.text.clone(), receipt.versions[index]);
                let seen = SeenText { text, missing, at };
                self.names.correct(&draft.topic, &ids[index], name, seen);
            }
        }
    }
}

/// What others did to a text between the plan's head and `first`, the version that the plan's first
/// change made: as it stands after each of the plan's changes. `None` if the log no longer tells; then the
/// author's names of these texts are not known.
fn unseen_after_each(draft: &Draft, first: Version) -> Option<Vec<Vec<AnyChange>>> {
    let (_, since) = draft.topic.accepted(draft.head).ok()?;
    let before = since.into_iter().take_while(|entry| entry.version < first);
    let unseen: Vec<AnyChange> = before.filter_map(|entry| entry.change).collect();
    let mut unseen = text::composed(&unseen);
    let after_each = draft.changes.iter().map(|change| {
        let mut change = Some(change.clone());
        unseen = std::mem::take(&mut unseen)
            .into_iter()
            .filter_map(|other| text::rebase(&mut change, other))
            .collect();
        unseen.clone()
    });
    Some(after_each.collect())
}
