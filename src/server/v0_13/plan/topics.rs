//! Changes of the topic list: they make topics, and remove them.

use super::Plan;
use crate::server::v0_13::command::{Command, Reason, key_error};
use crate::server::v0_13::kind::Kind;
use crate::server::v0_13::list::{self, TOPIC_LIST, Wanted};
use crate::server::v0_13::names::Told;
use crate::session::special;
use crate::topic::{TopicName, Version};
use crate::types::dict;
use crate::value::{Dict, Fields, Value};

impl Plan<'_> {
    /// A change of the topic list: it makes topics, and removes them.
    pub(super) fn list(&mut self, command: &Command<'_>) -> Result<(), Reason> {
        let index = self.draft(TOPIC_LIST)?;
        if command.topic_type != Kind::Dict.name() {
            return Err(command.invalid("it is a dict topic"));
        }
        let fields = command.fields(Kind::Dict, &self.drafts[index].value)?;
        let id = command.id();
        let told = |entry: Option<&Value>| Told {
            id: id.clone(),
            entry: entry.cloned(),
            ..Told::default()
        };
        if command.change == "set" {
            let value = command.value("value")?;
            let Value::Dict(wanted) = value else {
                return Err(command.invalid("Validator failed"));
            };
            return self.set_list(index, command, wanted, told(Some(value)));
        }
        let key = command.text("key")?;
        if key == TOPIC_LIST {
            return Err(command.invalid("the list itself stays in it"));
        }
        match &*command.change {
            "add" => {
                let entry = command.value("value")?;
                let made = self.add_topic(&key, entry)?;
                let fields =
                    Fields::of_type("add").with("key", key).with("value", made.entry.clone());
                self.make(index, command, fields, Some(told(Some(entry))))?;
                self.begin(command, made)
            }
            "pop" => {
                self.check_listed(index, &key, command)?;
                self.make(index, command, fields, Some(told(None)))?;
                self.remove_topic(&key)
            }
            _ => {
                let ours = self.check_listed(index, &key, command)?;
                let entry = command.value("value")?;
                if let (Ok(name), Value::Dict(entry)) = (TopicName::new(key.clone()), entry)
                    && let Some(topic) = self.hub.engine().get(&name)
                {
                    let boundary = entry.get("boundary_value").cloned();
                    self.names.of(&topic).boundary = boundary.unwrap_or_default();
                }
                let fields = Fields::of_type("change_value").with("key", key).with("value", ours);
                let told = Told { id: None, ..told(Some(entry)) };
                self.make(index, command, fields, Some(told))
            }
        }
    }

    fn listed(&self, index: usize) -> Dict {
        let list = self.drafts[index].value.get::<dict::Dict>();
        list.cloned().unwrap_or_default()
    }

    /// Our entry of a topic that the dialect has on its list.
    fn check_listed(
        &self,
        index: usize,
        key: &str,
        command: &Command<'_>,
    ) -> Result<Value, Reason> {
        let ours = self.listed(index).get(key).cloned();
        let shown = ours.filter(|ours| list::entry(self.names, key, ours).is_some());
        shown.ok_or_else(|| command.invalid(format_args!("{key} is not in it")))
    }

    /// Sets the whole list: makes what is new, and removes what is not there any more.
    fn set_list(
        &mut self,
        index: usize,
        command: &Command<'_>,
        wanted: &Dict,
        told: Told,
    ) -> Result<(), Reason> {
        if !wanted.contains_key(TOPIC_LIST) {
            return Err(command.invalid("the list itself stays in it"));
        }
        let before = self.listed(index);
        let mut after = Dict::new();
        let mut made = Vec::new();
        for (key, ours) in before.iter() {
            let shown = list::entry(self.names, key, ours).is_some();
            match shown && !wanted.contains_key(key) {
                true => self.remove_topic(key)?,
                false => drop(after.insert(key.clone(), ours.clone())),
            }
        }
        for (key, entry) in wanted.iter().filter(|(key, _)| *key != TOPIC_LIST) {
            if !before.contains_key(key) {
                let new = self.add_topic(key, entry)?;
                after.insert(key.clone(), new.entry.clone());
                made.push(new);
            }
        }
        let fields = Fields::of_type("set").with("value", after);
        self.make(index, command, fields, Some(told))?;
        made.into_iter().try_for_each(|made| self.begin(command, made))
    }

    /// Makes a topic. It is on no list yet.
    fn add_topic(&mut self, key: &str, entry: &Value) -> Result<Made, Reason> {
        let Wanted { kind, options, boundary } = list::wanted(entry)?;
        let name = TopicName::new(key).map_err(|error| format!("ValueError('{error}')"))?;
        let exists = || format!("InvalidChangeError(\"topic {key} already exists\")");
        if name.is_special() || self.removed.contains(&name) {
            return Err(exists());
        }
        let (engine, was_made) = (&self.hub.engine(), self.made.contains(&name));
        if !was_made {
            if engine.topics_len() >= self.hub.config().topics_max {
                return Err("RuntimeError('the server has too many topics')".into());
            }
            if !matches!(engine.find(&name), Ok(None)) {
                return Err(exists());
            }
            self.made.insert(name.clone());
        }
        let our_type =
            engine.registry().get(kind.our_name()).ok_or_else(|| key_error(kind.name()))?;
        let topic = self
            .hub
            .unlisted(&name, || engine.make(&name, our_type, options))
            .map_err(|error| format!("RuntimeError('{error}')"))?;
        let entry = special::topic_entry(topic.kind().name(), topic.options(), topic.epoch());
        let names = self.names.of(&topic);
        names.boundary = boundary.clone().unwrap_or_default();
        names.init = Version(boundary.is_some().into());
        Ok(Made { name, entry, boundary: boundary.filter(|_| kind != Kind::Event) })
    }

    /// Gives a topic that was made its initial value.
    fn begin(&mut self, command: &Command<'_>, made: Made) -> Result<(), Reason> {
        let Some(boundary) = made.boundary else { return Ok(()) };
        let index = self.draft(&made.name)?;
        self.make(index, command, Fields::of_type("set").with("value", boundary), None)
    }

    fn remove_topic(&mut self, key: &str) -> Result<(), Reason> {
        let index = self.draft(key)?;
        let draft = &mut self.drafts[index];
        draft.removed = true;
        let name = draft.topic.name().clone();
        match self.made.contains(&name) {
            true => Err(format!("RuntimeError('{key} is made and removed in one action')")),
            false => {
                self.removed.insert(name);
                Ok(())
            }
        }
    }
}

/// A topic that an action makes.
struct Made {
    name: TopicName,
    /// Our entry of it on the topic list.
    entry: Value,
    boundary: Option<Value>,
}
