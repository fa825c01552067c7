//! One topic as a client of the dialect was told of it, and how it is told of changes.
//!
//! What the dialect says of a change takes the value before it: the old value of what is set, positions in
//! UTF-16 units, the items that a list's changes move. So each connection keeps the value that it told
//! last, which is a pointer to what the topic holds itself.

use std::sync::Arc;

use ecow::{EcoString, eco_format};

use super::kind::Kind;
use super::list;
use super::names::{Names, Told};
use super::text::{self, Single};
use super::wire;
use crate::engine::{Body, CatchUp, Item, Part, TopicCell};
use crate::topic::Version;
use crate::types::dict::{Dict, DictChange};
use crate::types::event::{Emit, Event};
use crate::types::float::{Float, FloatChange};
use crate::types::int::{Int, IntChange};
use crate::types::list::{List, ListChange};
use crate::types::place::Place;
use crate::types::set::{Set, SetChange};
use crate::types::string::{String as TextType, StringChange};
use crate::types::{AnyChange, AnyValue};
use crate::value::{Fields, Value, limits};

/// A topic as one client has it.
pub struct Mirror {
    pub topic: Arc<TopicCell>,
    kind: Kind,
    /// The version that was told last, and the value there.
    pub version: Version,
    value: AnyValue,
    /// Of a text, what the client calls it.
    name: EcoString,
}

/// The fields of one change in the making, and what comes first in all of them.
struct Changes<'a> {
    topic_name: &'a str,
    topic_type: &'static str,
    /// What names the change, unless it came to several.
    id: Value,
    made: Vec<Fields>,
}

impl Changes<'_> {
    fn new<'a>(mirror: &'a Mirror, id: Value) -> Changes<'a> {
        let (topic_name, topic_type) = (mirror.topic.name(), mirror.kind.name());
        Changes { topic_name, topic_type, id, made: Vec::new() }
    }

    fn push(&mut self, change_type: &str, rest: impl IntoIterator<Item = (&'static str, Value)>) {
        let id = match (self.made.len(), self.id.as_text()) {
            (0, _) => self.id.clone(),
            (count, Some(id)) => eco_format!("{id}_{}", count + 1).into(),
            (count, None) => eco_format!("0_{}", count + 1).into(),
        };
        let mut fields = Fields::default();
        fields.push("topic_name".into(), self.topic_name.into());
        fields.push("topic_type".into(), self.topic_type.into());
        fields.push("type".into(), change_type.into());
        rest.into_iter().for_each(|(field, value)| fields.push(field.into(), value));
        fields.push("id".into(), id);
        self.made.push(fields);
    }
}

fn position(position: usize) -> Value {
    Value::Int(position as i64)
}

fn at(place: Place) -> usize {
    match place {
        Place::At(position) => position,
        // What is published is exact.
        Place::End => 0,
    }
}

/// A float as the dialect writes it: a whole number without a fraction.
fn number(float: f64) -> Value {
    limits::whole(float).map_or(Value::Float(float), Value::Int)
}

impl Mirror {
    /// A topic whose value is told for the first time, or again; `None` if the dialect has not its type.
    pub fn new(names: &Names, topic: Arc<TopicCell>, catch_up: &CatchUp) -> Option<Mirror> {
        let kind = Kind::of(topic.kind())?;
        let snapshot = catch_up.items.iter().flat_map(|item| &item.parts).next();
        let value = match snapshot.map(|part| &part.body) {
            Some(Body::Snapshot(value)) => value.clone(),
            _ => topic.kind().initial(),
        };
        let version = catch_up.version;
        let name = names.text_at(&topic, version);
        Some(Mirror { topic, kind, version, value, name })
    }

    fn is_list(&self) -> bool {
        **self.topic.name() == *list::TOPIC_LIST
    }

    /// A value of the topic as the dialect writes it.
    fn written(&self, names: &Names, value: &AnyValue) -> Value {
        match (value.get::<Float>(), value.get::<Dict>()) {
            (Some(float), _) => number(*float),
            (_, Some(entries)) if self.is_list() => list::whole(names, entries),
            _ => self.topic.kind().encode_value(value),
        }
    }

    /// The whole value, as a message.
    pub fn init(&self, names: &Names) -> String {
        let id = (self.kind == Kind::String).then_some(&*self.name);
        wire::init(self.topic.name(), &self.written(names, &self.value), id)
    }

    /// Goes to the value as it is by now, and tells that as a change: a client that shows changes ahead of
    /// the server takes them back for it, all of them, which it does not for an `init`. `None` for what has
    /// no value.
    pub fn tell_anew(&mut self, names: &Names) -> Option<Fields> {
        let fresh = Mirror::new(names, self.topic.clone(), &self.topic.catch_up(None))?;
        let old = std::mem::replace(self, fresh);
        let id = match self.kind {
            Kind::Event => return None,
            Kind::String => self.name.clone(),
            _ => eco_format!("0_{}", self.version),
        };
        self.told_set(names, &old.value, &Told::default(), id.into()).pop()
    }

    /// Whether a part follows on what the client was told.
    pub fn follows(&self, item: &Item, part: &Part) -> bool {
        let since = match &item.composed {
            Some(composed) => composed.since,
            None => Version(part.version.0.saturating_sub(1)),
        };
        since == self.version
    }

    /// Goes on by one published change, and tells it.
    pub fn tell(&mut self, names: &Names, part: &Part) -> Vec<Fields> {
        let told = names.told(&self.topic, part.version).cloned().unwrap_or_default();
        let name = names.text_at(&self.topic, part.version);
        let own_id = || match &part.id {
            Some(id) => Value::from(id.to_string()),
            None => eco_format!("0_{}", part.version).into(),
        };
        let id = told.id.clone().unwrap_or_else(own_id);
        let made = match &part.body {
            Body::Snapshot(value) => {
                let old = std::mem::replace(&mut self.value, value.clone());
                self.told_set(
                    names,
                    &old,
                    &told,
                    if self.kind == Kind::String { name.clone().into() } else { id },
                )
            }
            Body::Change(None) => self.told_nothing(&told, &name, id),
            Body::Change(Some(change)) => {
                let old = self.value.clone();
                if self.topic.kind().apply(&mut self.value, change).is_err() {
                    // What is published fits what was published before.
                    tracing::error!(topic = %self.topic.name(), "a published change does not fit");
                }
                self.told_change(names, change, &old, &told, &name, id)
            }
        };
        (self.version, self.name) = (part.version, name);
        made
    }

    /// A change of which nothing is left. A text's version moves all the same.
    fn told_nothing(&self, told: &Told, name: &EcoString, id: Value) -> Vec<Fields> {
        if self.kind != Kind::String {
            return Vec::new();
        }
        let text = self.value.get::<TextType>().cloned().unwrap_or_default();
        let (change, at) = told.nothing.unwrap_or(("insert", 0));
        let at = at.min(text.units_before(usize::MAX));
        let mut changes = Changes::new(self, id);
        let field = if change == "insert" { "insertion" } else { "deletion" };
        changes.push(
            change,
            [
                ("topic_version", self.name.clone().into()),
                ("position", position(at)),
                (field, "".into()),
                ("result_topic_version", name.clone().into()),
            ],
        );
        changes.made
    }

    /// The value was set: it is what the mirror holds by now.
    fn told_set(&self, names: &Names, old: &AnyValue, told: &Told, id: Value) -> Vec<Fields> {
        let value = told.entry.clone().unwrap_or_else(|| self.written(names, &self.value));
        let mut changes = Changes::new(self, id);
        changes.push("set", [("value", value), ("old_value", self.written(names, old))]);
        changes.made
    }

    fn told_change(
        &self,
        names: &Names,
        change: &AnyChange,
        old: &AnyValue,
        told: &Told,
        name: &EcoString,
        id: Value,
    ) -> Vec<Fields> {
        let mut changes = Changes::new(self, id.clone());
        match self.kind {
            Kind::Generic | Kind::Bool => return self.told_set(names, old, told, id),
            Kind::Int => match change.get::<Int>() {
                Some(IntChange::Add(summand)) => {
                    changes.push("add", [("value", Value::Int(*summand))]);
                }
                _ => return self.told_set(names, old, told, id),
            },
            Kind::Float => match change.get::<Float>() {
                Some(FloatChange::Add(summand)) => {
                    changes.push("add", [("value", number(*summand))])
                }
                _ => return self.told_set(names, old, told, id),
            },
            Kind::Set => match change.get::<Set>() {
                Some(SetChange::Append(item)) => changes.push("append", [("item", item.clone())]),
                Some(SetChange::Remove(item)) => changes.push("remove", [("item", item.clone())]),
                _ => return self.told_set(names, old, told, id),
            },
            Kind::Event => {
                if let Some(Emit(args)) = change.get::<Event>() {
                    changes.push("emit", [("args", args.clone().into())]);
                }
            }
            Kind::List => match change.get::<List>() {
                Some(ListChange::Set(_)) | None => return self.told_set(names, old, told, id),
                Some(change) => tell_list(&mut changes, change, old),
            },
            Kind::Dict => match change.get::<Dict>() {
                Some(DictChange::Set(_)) | None => return self.told_set(names, old, told, id),
                Some(change) => self.tell_dict(names, &mut changes, change, old, told),
            },
            Kind::String => match change.get::<TextType>() {
                // The id of what sets a text is its name from then on.
                Some(StringChange::Set(_)) => {
                    return self.told_set(names, old, told, name.clone().into());
                }
                Some(StringChange::Edit(edit)) if !edit.is_empty() => {
                    let text = old.get::<TextType>().cloned().unwrap_or_default();
                    self.tell_edit(&mut changes, text::singles(edit, &text), name);
                }
                _ => return self.told_nothing(told, name, id),
            },
        }
        changes.made
    }

    /// Each step leads from one name of the text to the next, the last to the name of the version.
    fn tell_edit(&self, changes: &mut Changes<'_>, singles: Vec<Single>, name: &EcoString) {
        let count = singles.len();
        let mut from = self.name.clone();
        for (index, single) in singles.into_iter().enumerate() {
            let to = match index + 1 == count {
                true => name.clone(),
                false => eco_format!("{name}.{index}"),
            };
            let (change, at, field, text) = match single {
                Single::Insert { position, insertion } => {
                    ("insert", position, "insertion", insertion)
                }
                Single::Delete { position, deletion } => ("delete", position, "deletion", deletion),
            };
            changes.push(
                change,
                [
                    ("topic_version", from.into()),
                    ("position", position(at)),
                    (field, text.into()),
                    ("result_topic_version", to.clone().into()),
                ],
            );
            from = to;
        }
    }

    fn tell_dict(
        &self,
        names: &Names,
        changes: &mut Changes<'_>,
        change: &DictChange,
        old: &AnyValue,
        told: &Told,
    ) {
        // Of the topic list, an entry is the dialect's; those of types that it has not are not told.
        let shown = |key: &str, value: &Value| match self.is_list() {
            true => list::entry(names, key, value),
            false => Some(value.clone()),
        };
        let new = |key: &str, value: &Value| told.entry.clone().or_else(|| shown(key, value));
        let before = |key: &str| {
            let entries = old.get::<Dict>()?;
            shown(key, entries.get(key)?)
        };
        match change {
            DictChange::Add { key, value } => {
                if let Some(value) = new(key, value) {
                    changes.push("add", [("key", key.clone().into()), ("value", value)]);
                }
            }
            DictChange::Remove { key } => {
                if before(key).is_some() {
                    changes.push("pop", [("key", key.clone().into())]);
                }
            }
            DictChange::ChangeValue { key, value } => {
                if let (Some(value), Some(old)) = (new(key, value), before(key)) {
                    let key = key.clone().into();
                    changes
                        .push("change_value", [("key", key), ("value", value), ("old_value", old)]);
                }
            }
            DictChange::Set(_) => {}
        }
    }

    /// The topics that a change of the topic list has put on it.
    pub fn listed_by(part: &Part) -> Vec<EcoString> {
        match &part.body {
            Body::Change(Some(change)) => match change.get::<Dict>() {
                Some(DictChange::Add { key, .. }) => vec![key.clone()],
                Some(DictChange::Set(entries)) => entries.keys().cloned().collect(),
                _ => Vec::new(),
            },
            _ => Vec::new(),
        }
    }
}

/// A list there has `insert` and `pop` alone.
fn tell_list(changes: &mut Changes<'_>, change: &ListChange, old: &AnyValue) {
    let item_at = |at: usize| {
        let items = old.get::<List>();
        items.and_then(|items| items.get(at).cloned()).unwrap_or_default()
    };
    let insert = |item: Value, at: usize| [("item", item), ("position", position(at))];
    match change {
        ListChange::Insert { position, item } => {
            changes.push("insert", insert(item.clone(), at(*position)));
        }
        ListChange::Pop { position: place } => {
            changes.push("pop", [("position", position(at(*place)))])
        }
        ListChange::Replace { position: place, item } => {
            changes.push("pop", [("position", position(at(*place)))]);
            changes.push("insert", insert(item.clone(), at(*place)));
        }
        ListChange::Move { from, to } => {
            changes.push("pop", [("position", position(at(*from)))]);
            changes.push("insert", insert(item_at(at(*from)), at(*to)));
        }
        ListChange::Set(_) => {}
    }
}

/// The id of the action that a change is of: its author's, if that speaks the dialect.
pub fn action_id(names: &Names, item: &Item, part: &Part) -> Value {
    match names.told(&part.topic, part.version) {
        _ if item.composed.is_some() => "clock".into(),
        Some(told) => told.action_id.clone(),
        None => "".into(),
    }
}
