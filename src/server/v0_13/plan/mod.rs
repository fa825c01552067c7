//! From the commands of an action to changes of ours.
//!
//! The commands are done one after the other on the values as they stand, which decides what each of them
//! means. Then the changes that they came to go to the engine as one action made on just those values.
//! If a value has moved by then in a way that leaves no room for them, it is all planned again: here, a
//! change means "whatever the value is now".
//!
//! | module | holds |
//! |---|---|
//! | here | an action, tried until it is done or refused; changes of values |
//! | `texts` | edits of texts, carried over what their author had not seen |
//! | `topics` | changes of the topic list |
//! | `submit` | the plan as an action of ours, and what is noted of it |

mod submit;
mod texts;
mod topics;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use ecow::EcoString;

use super::command::{Command, Reason, key_error};
use super::kind::Kind;
use super::list::TOPIC_LIST;
use super::names::{Names, Seen, Told};
use crate::engine::{Group, TopicCell};
use crate::server::v0_13::Shared;
use crate::session::{Hub, Session};
use crate::topic::{ActionId, Rejection, TopicName, Version};
use crate::types::{AnyChange, AnyValue, dict};
use crate::value::{Dict, Fields, Value};

/// How often an action is planned anew at most.
const TRIES: usize = 100;

/// Why an action was not done.
pub struct Refusal {
    pub reason: Reason,
    /// Texts of which the author no longer knows the version.
    pub texts: Vec<Arc<TopicCell>>,
}

/// An action, and who wants it.
pub struct Action<'a> {
    pub session: &'a Session,
    pub commands: &'a [Dict],
    /// The author's name for it.
    pub action_id: &'a Value,
    /// Ours.
    pub name: ActionId,
}

/// Does an action: whole, or not at all. Gives how many changes it made.
///
/// # Errors
/// Why it was not done.
pub fn act(
    hub: &Arc<Hub>,
    shared: &Shared,
    action: &Action<'_>,
    group: &mut Group,
) -> Result<usize, Refusal> {
    // Held to the end: before somebody is told of a version, its name is there.
    let mut names = shared.names();
    let mut made = HashSet::new();
    let mut unknown_version = false;
    let mut outcome = Err("nothing was tried".to_owned());
    for _ in 0..TRIES {
        let mut plan = Plan::new(hub, &mut names, &mut made);
        outcome = plan.commands(action.commands);
        if outcome.is_err() {
            unknown_version = plan.unknown_version;
            break;
        }
        match plan.submit(action, group) {
            Ok(count) => return Ok(count),
            Err(rejection) => {
                outcome = Err(format!("InvalidChangeError(\"{rejection}\")"));
                // It fitted the value as it was planned: the value has moved.
                let moved = rejection.is_stale() || matches!(rejection, Rejection::Invalid(_));
                if !moved {
                    break;
                }
            }
        }
    }
    for topic in &made {
        hub.unlisted(topic, || hub.engine().remove(topic));
        names.forget(topic);
    }
    drop(names);
    let reason = outcome.err().unwrap_or_default();
    Err(Refusal { texts: texts_to_tell(hub, action.commands, unknown_version), reason })
}

/// The texts of which the author has to be told again: those that it has set, as it forgets their
/// version when it takes that back; all of them if it named a version that is not known.
fn texts_to_tell(hub: &Hub, commands: &[Dict], unknown_version: bool) -> Vec<Arc<TopicCell>> {
    let (mut texts, mut told) = (Vec::new(), HashSet::new());
    for command in commands.iter().filter_map(|command| Command::read(command).ok()) {
        let is_text = command.topic_type == Kind::String.name();
        if is_text
            && (unknown_version || command.change == "set")
            && let Ok(name) = TopicName::new(command.topic_name)
            && told.insert(name.clone())
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
    /// The changes that they came to.
    changes: Vec<AnyChange>,
    /// The texts that the author named, by what it calls them.
    known: HashMap<EcoString, Known>,
    removed: bool,
}

/// A text that the author of an action named.
struct Known {
    seen: Seen,
    /// How many changes of the draft `seen` has taken in, in what it says is missing.
    after: usize,
    /// A change of the action leads to it.
    own: bool,
}

impl Draft {
    fn know(&mut self, name: EcoString, known: Known) {
        self.known.insert(name, known);
    }
}

/// One change of a plan.
struct Step {
    draft: usize,
    change: AnyChange,
    told: Option<Told>,
    /// It is what its author made, on what its author saw.
    as_made: bool,
}

struct Plan<'a> {
    hub: &'a Arc<Hub>,
    names: &'a mut Names,
    drafts: Vec<Draft>,
    by_name: HashMap<TopicName, usize>,
    steps: Vec<Step>,
    /// The topics that the action makes. They are there already.
    made: &'a mut HashSet<TopicName>,
    removed: HashSet<TopicName>,
    /// An edit named a version of its text that is not known.
    unknown_version: bool,
}

impl<'a> Plan<'a> {
    fn new(hub: &'a Arc<Hub>, names: &'a mut Names, made: &'a mut HashSet<TopicName>) -> Plan<'a> {
        Plan {
            hub,
            names,
            drafts: Vec::new(),
            by_name: HashMap::new(),
            steps: Vec::new(),
            made,
            removed: HashSet::new(),
            unknown_version: false,
        }
    }

    fn commands(&mut self, commands: &[Dict]) -> Result<(), Reason> {
        for command in commands {
            let command = Command::read(command)?;
            match &*command.topic_name {
                TOPIC_LIST => self.list(&command)?,
                _ => self.change(&command)?,
            }
        }
        Ok(())
    }

    /// The draft of a topic, begun when it is first needed.
    fn draft(&mut self, name: &str) -> Result<usize, Reason> {
        let topic_name = TopicName::new(name).map_err(|_| key_error(name))?;
        if let Some(index) = self.by_name.get(&topic_name) {
            return match self.drafts[*index].removed {
                true => Err(key_error(name)),
                false => Ok(*index),
            };
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
            known: HashMap::new(),
            removed: false,
        });
        self.by_name.insert(topic_name, self.drafts.len() - 1);
        Ok(self.drafts.len() - 1)
    }

    /// A change of a topic that is not the list.
    fn change(&mut self, command: &Command<'_>) -> Result<(), Reason> {
        let index = self.draft(&command.topic_name)?;
        let draft = &self.drafts[index];
        if command.topic_type != draft.kind.name() {
            let is = draft.kind.name();
            return Err(command.invalid(format_args!("it is a {is} topic")));
        }
        match (draft.kind, &*command.change) {
            (Kind::String, "set") => self.set_text(index, command),
            (Kind::String, _) => self.edit_text(index, command),
            _ => {
                let fields = command.fields(draft.kind, &draft.value)?;
                let id = match &*command.change {
                    "change_value" => command.id().filter(|_| names_old_value(command, draft)),
                    _ => command.id(),
                };
                self.make(index, command, fields, Some(Told { id, ..Told::default() }))
            }
        }
    }

    /// Reads a change of ours, and makes it on the value as it stands.
    fn make(
        &mut self,
        index: usize,
        command: &Command<'_>,
        fields: Fields,
        told: Option<Told>,
    ) -> Result<(), Reason> {
        let draft = &mut self.drafts[index];
        let kind = draft.topic.kind();
        fields.check().map_err(|limit| command.invalid(limit))?;
        let change = kind.decode_change(&fields).map_err(|invalid| command.invalid(invalid))?;
        let change = kind.resolve(change, &draft.value).map_err(|it| command.invalid(it))?;
        kind.apply(&mut draft.value, &change).map_err(|invalid| command.invalid(invalid))?;
        draft.changes.push(change.clone());
        self.steps.push(Step { draft: index, change, told, as_made: true });
        Ok(())
    }
}

/// Whether a `change_value` says what is there. If not, its author's preview is to be replaced.
fn names_old_value(command: &Command<'_>, draft: &Draft) -> bool {
    let Some(key) = command.get("key").and_then(Value::as_text) else { return false };
    let entries = draft.value.get::<dict::Dict>();
    let old = entries.and_then(|entries| entries.get(&EcoString::from(key)));
    old.is_some() && old == command.get("old_value")
}
