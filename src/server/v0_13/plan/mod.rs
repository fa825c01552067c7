//! From the commands of an action to changes of this server's.
//!
//! The commands are tried one after the other on the values as they stand, which decides what each of
//! them means. Then the changes that they come to go to the engine as one action made on just those
//! values. If a value has moved by then in a way that leaves no room for the changes, the action is planned
//! anew: in 0.13, a change means "whatever the value is now".
//!
//! No lock is held from one look at a value to the next, so several clients plan at the same time. What
//! keeps them from harming each other is that the engine decides an action as a whole, and that what a
//! plan relied on is checked at that decision.
//!
//! A plan knows nothing of frames, subscriptions, or of what any client was told.
//!
//! | module | holds |
//! |---|---|
//! | here | an action, tried until it is done or rejected; changes of values |
//! | `texts` | edits of texts, rebased over what their author had not seen |
//! | `topics` | changes of the topic list |
//! | `submit` | the plan as an action of the engine's, and what is noted of it |

mod submit;
mod texts;
mod topics;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use ecow::EcoString;

use super::command::{Command, Reason, key_error, permission_error};
use super::kind::Kind;
use super::list::{self, TOPIC_LIST};
use super::names::{ClientWords, Names, SeenText};
use crate::engine::policy::{Denied, Operation};
use crate::engine::{Group, TopicCell};
use crate::session::{Hub, Session, UnlistedTopic};
use crate::topic::{Rejection, TopicName, Version};
use crate::types::{AnyChange, AnyValue, dict};
use crate::value::{Dict, Fields, Value};

/// How often an action is planned at most, as long as values move under its plans.
const TRIES_MAX: usize = 100;

/// An action, and who wants it.
pub(super) struct Action<'a> {
    pub session: &'a Session,
    pub commands: &'a [Dict],
    /// The author's name for the action.
    pub action_id: &'a Value,
    /// Which of the session's actions this is. No two of them have the same number.
    pub number: u64,
}

/// Why an action was not done.
pub(super) struct RejectedAction {
    pub reason: Reason,
    /// Texts of which the author no longer knows the version.
    pub texts: Vec<Arc<TopicCell>>,
}

/// Does an action: whole, or not at all. Gives how many changes it made.
///
/// # Errors
/// Why the action was not done.
pub(super) fn act(
    hub: &Arc<Hub>,
    names: &Names,
    action: &Action<'_>,
    group: &mut Group,
) -> Result<usize, RejectedAction> {
    sweep_if_due(hub, names);
    let mut new_topics = NewTopics::new();
    let outcome = decide(hub, names, action, &mut new_topics, group);
    outcome.map_err(|Failure { reason, unknown_version }| {
        // Topics come into being while the action is planned, so that its later commands can use them.
        for topic in new_topics.values().map(UnlistedTopic::topic) {
            hub.engine().remove_life(topic);
            names.forget(topic);
        }
        RejectedAction { texts: texts_to_reset(hub, action.commands, unknown_version), reason }
    })
}

/// The topics that an action makes. They are kept from one plan of the action to the next.
type NewTopics = HashMap<TopicName, UnlistedTopic>;

/// Why an action failed.
struct Failure {
    reason: Reason,
    /// Whether an edit named a version of its text that is not known.
    unknown_version: bool,
}

fn decide(
    hub: &Arc<Hub>,
    names: &Names,
    action: &Action<'_>,
    new_topics: &mut NewTopics,
    group: &mut Group,
) -> Result<usize, Failure> {
    let mut reason = Reason::new();
    for _ in 0..TRIES_MAX {
        let mut plan = Plan::new(hub, names, action, new_topics);
        if let Err(reason) = plan.commands(action.commands) {
            return Err(Failure { reason, unknown_version: plan.unknown_version });
        }
        let rejection = match plan.submit(group) {
            Ok(count) => return Ok(count),
            Err(rejection) => rejection,
        };
        reason = match &rejection {
            Rejection::Forbidden(why) => permission_error(why),
            other => format!("InvalidChangeError(\"{other}\")"),
        };
        // The changes fitted the values that they were planned on. If they do not fit now, values, or
        // topics, have moved: the next plan finds what the commands mean by now.
        let has_moved = rejection.is_stale()
            || matches!(rejection, Rejection::Invalid(_) | Rejection::UnknownTopic(_));
        if !has_moved {
            break;
        }
    }
    Err(Failure { reason, unknown_version: false })
}

/// Forgets the names of topics that are gone, from time to time.
fn sweep_if_due(hub: &Hub, names: &Names) {
    if !names.sweep_is_due() {
        return;
    }
    let topic_list = TopicName::new(TOPIC_LIST).ok().and_then(|name| hub.engine().get(&name));
    let Some(snapshot) = topic_list.map(|topic| topic.snapshot()) else { return };
    let listed = snapshot.value.get::<dict::Dict>();
    names.sweep(|name, epoch| {
        let entry = listed.and_then(|listed| listed.get(&EcoString::from(name.clone())));
        entry.and_then(list::epoch_of).is_some_and(|listed| listed == *epoch)
    });
}

/// The texts that the author of a rejected action has to be told again: those that it has set, as it
/// forgets their version when it takes that back; all of them if it named a version that is not known.
fn texts_to_reset(hub: &Hub, commands: &[Dict], unknown_version: bool) -> Vec<Arc<TopicCell>> {
    let (mut texts, mut seen) = (Vec::new(), HashSet::new());
    for command in commands.iter().filter_map(|command| Command::read(command).ok()) {
        let is_text = command.topic_type == Kind::String.client_name();
        if is_text
            && (unknown_version || command.change == "set")
            && let Ok(name) = TopicName::new(command.topic_name)
            && seen.insert(name.clone())
        {
            texts.extend(hub.engine().get(&name));
        }
    }
    texts
}

/// One topic in a plan.
struct Draft {
    topic: Arc<TopicCell>,
    kind: Kind,
    /// The version that the plan begins at.
    head: Version,
    /// The value as the commands so far leave it.
    value: AnyValue,
    /// The changes that the commands so far came to.
    changes: Vec<AnyChange>,
    /// The texts that the author named, by their names.
    texts: HashMap<EcoString, KnownText>,
    /// Whether a command has removed the topic.
    removed: bool,
}

/// A text that the author of an action named.
struct KnownText {
    seen: SeenText,
    /// How many changes of the draft `seen.missing` has taken in.
    after: usize,
    /// Whether a change of this very action leads to the text.
    own: bool,
}

/// One change of a plan.
struct PlannedChange {
    /// The index of the topic's draft.
    draft: usize,
    change: AnyChange,
    /// `None` for a change that the author does not know of.
    words: Option<ClientWords>,
    /// The text that the author sees after the change, and what it is missing of the value there.
    text: Option<(EcoString, SeenText)>,
}

/// The changes that an action comes to, on the values as they were looked at.
struct Plan<'a> {
    hub: &'a Arc<Hub>,
    names: &'a Names,
    action: &'a Action<'a>,
    drafts: Vec<Draft>,
    draft_by_name: HashMap<TopicName, usize>,
    changes: Vec<PlannedChange>,
    /// The topics that the action makes. They are there already.
    new_topics: &'a mut NewTopics,
    /// What clients are to be shown as the initial values of topics, once the action is accepted.
    boundaries: Vec<(Arc<TopicCell>, Value)>,
    /// Whether an edit named a version of its text that is not known.
    unknown_version: bool,
}

impl<'a> Plan<'a> {
    fn new(
        hub: &'a Arc<Hub>,
        names: &'a Names,
        action: &'a Action<'a>,
        new_topics: &'a mut NewTopics,
    ) -> Plan<'a> {
        Plan {
            hub,
            names,
            action,
            drafts: Vec::new(),
            draft_by_name: HashMap::new(),
            changes: Vec::new(),
            new_topics,
            boundaries: Vec::new(),
            unknown_version: false,
        }
    }

    /// Asks whether the action's author may do that. What is submitted in the server's name is asked for
    /// in the author's all the same.
    fn authorize(&self, operation: &Operation<'_>) -> Result<(), Denied> {
        self.hub.engine().authorize(self.action.session.author.principal(), operation)
    }

    /// Tries the commands in order, each on what those before it leave.
    fn commands(&mut self, commands: &[Dict]) -> Result<(), Reason> {
        for command in commands {
            let command = Command::read(command)?;
            if command.topic_name == TOPIC_LIST {
                self.list(&command)?;
                continue;
            }
            let index = self.draft(&command.topic_name)?;
            if let Err(reason) = self.change(index, &command) {
                // Who may not change a topic does not learn why a change would not fit it.
                let topic = &self.drafts[index].topic;
                let operation = Operation::Change { topic, change: None };
                return Err(self.authorize(&operation).err().map_or(reason, permission_error));
            }
        }
        Ok(())
    }

    /// The index of a topic's draft, which is begun when it is first needed.
    fn draft(&mut self, name: &str) -> Result<usize, Reason> {
        let topic_name = TopicName::new(name).map_err(|_| key_error(name))?;
        if let Some(index) = self.draft_by_name.get(&topic_name) {
            if self.drafts[*index].removed {
                return Err(key_error(name));
            }
            return Ok(*index);
        }
        let topic = self.hub.engine().get(&topic_name).ok_or_else(|| key_error(name))?;
        if topic.name().is_special() && name != TOPIC_LIST {
            return Err(key_error(name));
        }
        let kind = Kind::of(topic.kind()).ok_or_else(|| key_error(name))?;
        let snapshot = topic.snapshot();
        self.drafts.push(Draft {
            topic,
            kind,
            head: snapshot.version,
            value: snapshot.value,
            changes: Vec::new(),
            texts: HashMap::new(),
            removed: false,
        });
        self.draft_by_name.insert(topic_name, self.drafts.len() - 1);
        Ok(self.drafts.len() - 1)
    }

    /// A change of a topic that is not the list.
    fn change(&mut self, index: usize, command: &Command<'_>) -> Result<(), Reason> {
        let draft = &self.drafts[index];
        if command.topic_type != draft.kind.client_name() {
            let is = draft.kind.client_name();
            return Err(command.invalid(format_args!("it is a {is} topic")));
        }
        match (draft.kind, &*command.change) {
            (Kind::String, "set") => self.set_text(index, command),
            (Kind::String, _) => self.edit_text(index, command),
            _ => {
                let fields = command.fields(draft.kind, &draft.value)?;
                // A `change_value` that does not name the old value goes out under another id, so that
                // its author replaces what it shows.
                let is_as_shown =
                    command.change != "change_value" || names_old_value(command, draft);
                let id = command.id.clone().filter(|_| is_as_shown);
                self.add(index, command, fields, Some(self.words(id)))
            }
        }
    }

    /// The words for a change that is the one which its author made.
    fn words(&self, id: Option<Value>) -> ClientWords {
        ClientWords {
            client: self.action.session.id(),
            action_id: self.action.action_id.clone(),
            id,
            as_made: true,
            ..ClientWords::default()
        }
    }

    /// Adds a change to the plan, and makes it on the value as it stands.
    fn add(
        &mut self,
        index: usize,
        command: &Command<'_>,
        fields: Fields,
        words: Option<ClientWords>,
    ) -> Result<(), Reason> {
        fields.check().map_err(|limit| command.invalid(limit))?;
        let kind = self.drafts[index].topic.kind();
        let change = kind.decode_change(&fields).map_err(|invalid| command.invalid(invalid))?;
        self.apply(index, command, change, words)
    }

    fn apply(
        &mut self,
        index: usize,
        command: &Command<'_>,
        change: AnyChange,
        words: Option<ClientWords>,
    ) -> Result<(), Reason> {
        let draft = &mut self.drafts[index];
        let kind = draft.topic.kind();
        let change = kind.resolve(change, &draft.value).map_err(|it| command.invalid(it))?;
        kind.apply(&mut draft.value, &change).map_err(|invalid| command.invalid(invalid))?;
        draft.changes.push(change.clone());
        self.changes.push(PlannedChange { draft: index, change, words, text: None });
        Ok(())
    }
}

/// Whether a `change_value` names the value that is there.
fn names_old_value(command: &Command<'_>, draft: &Draft) -> bool {
    let Some(key) = command.get("key").and_then(Value::as_text) else { return false };
    let entries = draft.value.get::<dict::Dict>();
    let old = entries.and_then(|entries| entries.get(&EcoString::from(key)));
    old.is_some() && old == command.get("old_value")
}
