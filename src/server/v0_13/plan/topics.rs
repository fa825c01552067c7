//! Changes of the topic list: they make topics, and remove them.
//!
//! A topic is made while its action is planned, so that later commands can use it, and removed once its
//! action is accepted. Both are asked of the policy in the client's name.

use std::sync::Arc;

use super::Plan;
use crate::engine::policy::Operation;
use crate::engine::{OpenError, TopicCell};
use crate::server::v0_13::command::{Command, Reason, key_error, permission_error};
use crate::server::v0_13::kind::Kind;
use crate::server::v0_13::list::{self, TOPIC_LIST, TopicSpec};
use crate::session::special;
use crate::topic::{TopicName, Version};
use crate::types::{TypeRef, dict};
use crate::value::{Dict, Fields, Value};

impl Plan<'_> {
    /// A change of the topic list.
    pub(super) fn list(&mut self, command: &Command<'_>) -> Result<(), Reason> {
        let index = self.draft(TOPIC_LIST)?;
        if command.topic_type != Kind::Dict.client_name() {
            return Err(command.invalid("it is a dict topic"));
        }
        // Checks the form; what the fields mean is for this server's list to say.
        command.fields(Kind::Dict, &self.drafts[index].value)?;
        if command.change == "set" {
            return self.set_list(index, command);
        }
        let key = command.text("key")?;
        if key == TOPIC_LIST {
            return Err(command.invalid("the list itself stays in it"));
        }
        match &*command.change {
            "add" => self.add_to_list(index, &key, command),
            "pop" => {
                self.check_listed(index, &key, command)?;
                let fields = Fields::of_type("pop").with("key", &*key);
                self.add(index, command, fields, Some(self.words(command.id.clone())))?;
                self.remove_topic(&key)
            }
            _ => self.change_listed(index, &key, command),
        }
    }

    /// Makes a topic and puts it on the list.
    fn add_to_list(
        &mut self,
        index: usize,
        key: &str,
        command: &Command<'_>,
    ) -> Result<(), Reason> {
        let asked = command.value("value")?;
        let new = self.make_topic(key, asked)?;
        let fields = Fields::of_type("add").with("key", key).with("value", new.entry.clone());
        // What goes out is what the topic is. If that is not what the author shows, it has to replace it.
        let shown = list::client_entry(self.names, &new.entry);
        let id = command.id.clone().filter(|_| shown.as_ref() == Some(asked));
        self.add(index, command, fields, Some(self.words(id)))?;
        self.set_initial_value(command, new)
    }

    /// Changes the entry of a topic, which changes what is shown as the initial value and no more.
    fn change_listed(
        &mut self,
        index: usize,
        key: &str,
        command: &Command<'_>,
    ) -> Result<(), Reason> {
        let entry = self.check_listed(index, key, command)?;
        let listed = TopicName::new(key).ok().and_then(|name| self.hub.engine().get(&name));
        let Some(topic) = listed else { return Err(key_error(key)) };
        let operation = Operation::Change { topic: &topic, change: None };
        self.authorize(&operation).map_err(permission_error)?;
        if let Value::Dict(asked) = command.value("value")? {
            let boundary = asked.get("boundary_value").cloned().unwrap_or_default();
            self.boundaries.push((topic, boundary));
        }
        let fields = Fields::of_type("change_value").with("key", key).with("value", entry);
        // It goes out under an id of the server's: it need not be what its author shows.
        self.add(index, command, fields, Some(self.words(None)))
    }

    /// Sets the whole list: makes what is new, and removes what is not there any more.
    fn set_list(&mut self, index: usize, command: &Command<'_>) -> Result<(), Reason> {
        let asked = command.value("value")?;
        let Value::Dict(wanted) = asked else { return Err(command.invalid("Validator failed")) };
        if !wanted.contains_key(TOPIC_LIST) {
            return Err(command.invalid("the list itself stays in it"));
        }
        let before = self.listed(index);
        let mut after = Dict::new();
        for (key, entry) in before.iter() {
            // Topics of types that 0.13 does not have are not on its clients' list: they stay.
            let is_shown = list::client_entry(self.names, entry).is_some();
            if is_shown && !wanted.contains_key(key) {
                self.remove_topic(key)?;
            } else {
                after.insert(key.clone(), entry.clone());
            }
        }
        let mut made = Vec::new();
        for (key, entry) in wanted.iter().filter(|(key, _)| *key != TOPIC_LIST) {
            if !before.contains_key(key) {
                let new = self.make_topic(key, entry)?;
                after.insert(key.clone(), new.entry.clone());
                made.push(new);
            }
        }
        let shown = list::client_list(self.names, &after);
        let id = command.id.clone().filter(|_| shown == *asked);
        let fields = Fields::of_type("set").with("value", after);
        self.add(index, command, fields, Some(self.words(id)))?;
        made.into_iter().try_for_each(|new| self.set_initial_value(command, new))
    }

    /// This server's list, as the commands so far leave it.
    fn listed(&self, index: usize) -> Dict {
        let list = self.drafts[index].value.get::<dict::Dict>();
        list.cloned().unwrap_or_default()
    }

    /// This server's entry of a topic that clients of 0.13 have on their list.
    fn check_listed(
        &self,
        index: usize,
        key: &str,
        command: &Command<'_>,
    ) -> Result<Value, Reason> {
        let entry = self.listed(index).get(key).cloned();
        let shown = entry.filter(|entry| list::client_entry(self.names, entry).is_some());
        shown.ok_or_else(|| command.invalid(format_args!("{key} is not in it")))
    }

    /// Makes a topic as a client's entry says. The topic is on no list yet.
    fn make_topic(&mut self, key: &str, asked: &Value) -> Result<NewTopic, Reason> {
        let TopicSpec { kind, options, boundary } = list::topic_spec(asked)?;
        let name = TopicName::new(key).map_err(|error| format!("ValueError('{error}')"))?;
        if name.is_special() {
            return Err(exists(key));
        }
        let engine = self.hub.engine();
        let (type_name, options_asked) = (kind.server_name(), &options);
        let operation = Operation::Make { topic: &name, type_name, options: options_asked };
        self.authorize(&operation).map_err(permission_error)?;
        let topic = match self.new_topics.get(&name) {
            // An earlier plan of this action has made it.
            Some(made) => made.topic().clone(),
            None => {
                if engine.topics_len() >= self.hub.config().topics_max {
                    return Err("RuntimeError('the server has too many topics')".into());
                }
                let our_type = engine.registry().get(type_name);
                let our_type: TypeRef = our_type.ok_or_else(|| key_error(kind.client_name()))?;
                let made = self.hub.make_unlisted(&name, our_type, options);
                let made = made.map_err(|error| match error {
                    OpenError::Exists(_) => exists(key),
                    error => format!("RuntimeError('{error}')"),
                })?;
                let topic = made.topic().clone();
                self.new_topics.insert(name, made);
                topic
            }
        };
        let entry = special::topic_entry(topic.kind().name(), topic.options(), topic.epoch());
        // An initial value is set by the topic's first change; what that leads to is the text that
        // `<topic>_init` names.
        let has_value = boundary.is_some() && kind != Kind::Event;
        let init = Version(has_value.into());
        self.names.begin(&topic, init, boundary.clone().unwrap_or_default());
        Ok(NewTopic { topic, entry, value: boundary.filter(|_| has_value) })
    }

    /// Gives a topic that was made its initial value.
    fn set_initial_value(&mut self, command: &Command<'_>, new: NewTopic) -> Result<(), Reason> {
        let Some(value) = new.value else { return Ok(()) };
        let index = self.draft(new.topic.name())?;
        self.add(index, command, Fields::of_type("set").with("value", value), None)
    }

    /// Has a topic removed once the action is accepted.
    fn remove_topic(&mut self, key: &str) -> Result<(), Reason> {
        let index = self.draft(key)?;
        let name = self.drafts[index].topic.name().clone();
        self.authorize(&Operation::Remove { topic: &name }).map_err(permission_error)?;
        if self.new_topics.contains_key(&name) {
            return Err(format!("RuntimeError('{key} is made and removed in one action')"));
        }
        self.drafts[index].removed = true;
        Ok(())
    }
}

fn exists(key: &str) -> Reason {
    format!("InvalidChangeError(\"topic {key} already exists\")")
}

/// A topic that an action makes.
struct NewTopic {
    topic: Arc<TopicCell>,
    /// This server's entry of it on the topic list.
    entry: Value,
    /// The initial value, if it is not the type's.
    value: Option<Value>,
}
