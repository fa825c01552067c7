//! One topic as one client of 0.13 has it, and how the client is told of changes.
//!
//! To tell of a change as 0.13 does takes the value before the change: the old value of what is set,
//! positions in UTF-16 units, the items that a list's changes move. So each connection keeps, for each
//! topic, the value that it told last. That is a pointer to what the topic holds itself.
//!
//! A mirror follows what is published. It does not know who may see what, and it never looks at the
//! topic's newest value, but for a client that is to be told everything again.

use std::sync::Arc;

use ecow::{EcoString, eco_format};

use super::kind::Kind;
use super::list;
use super::names::{ClientWords, Names};
use super::text::{self, SingleEdit};
use crate::engine::{Body, CatchUp, Item, Part, TopicCell};
use crate::topic::{ChangeId, ClientId, Epoch, Version};
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
pub(super) struct Mirror {
    /// The topic, in the life that the client was told of.
    pub topic: Arc<TopicCell>,
    kind: Kind,
    /// The version that was told last, and the value there.
    pub version: Version,
    value: AnyValue,
    /// Of a text, what this client was told that its version is called.
    text_name: EcoString,
}

/// What a published change is called where the client is told of it.
struct Naming {
    /// What its author said of it, if that speaks 0.13.
    words: Option<ClientWords>,
    /// The change's id.
    id: Value,
    /// The name of the text that the change leads to.
    text_name: EcoString,
}

/// Changes of 0.13 in the making: one change of this server's can come to several.
struct Changes<'a> {
    topic_name: &'a str,
    topic_type: &'static str,
    /// The id of the first; those of the others are made from it.
    id: Value,
    made: Vec<Fields>,
}

impl Changes<'_> {
    fn new<'a>(mirror: &'a Mirror, id: Value) -> Changes<'a> {
        let (topic_name, topic_type) = (mirror.topic.name(), mirror.kind.client_name());
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

/// The position that a place in a list stands for. What is published bears positions alone.
fn index(place: Place) -> usize {
    match place {
        Place::At(position) => position,
        Place::End => 0,
    }
}

/// A float as 0.13 writes it: a whole number without a fraction.
fn number(float: f64) -> Value {
    limits::whole(float).map_or(Value::Float(float), Value::Int)
}

/// What the author of a published change said of it, if that speaks 0.13. Of changes that were composed
/// into one, the last one's words hold.
fn words_of(names: &Names, item: &Item, part: &Part) -> Option<ClientWords> {
    let last_composed = || item.composed.as_ref()?.ids.last();
    names.words(&part.topic, part.id.as_ref().or_else(last_composed)?)
}

/// The action that a published change is part of, as clients of 0.13 are told of it.
pub(super) struct ActionName {
    /// The author's name for the action, if that speaks 0.13.
    pub id: Value,
    /// The author, if that speaks 0.13 and awaits an answer under this id.
    pub author: Option<ClientId>,
}

/// The name of the action that a published change is part of.
pub(super) fn action_name(names: &Names, item: &Item, part: &Part) -> ActionName {
    if item.composed.is_some() {
        return ActionName { id: "clock".into(), author: None };
    }
    match words_of(names, item, part) {
        Some(words) => ActionName { id: words.action_id, author: Some(words.client) },
        None => ActionName { id: "".into(), author: None },
    }
}

/// The name of a text at a published version: that which the author of the change gave it, if the log
/// still tells whose change it was.
fn text_name_at(names: &Names, topic: &TopicCell, version: Version) -> EcoString {
    let by_author = || {
        let id = change_at(topic, version)?;
        names.words(topic, &id)?.text_at(version).cloned()
    };
    by_author().unwrap_or_else(|| names.name_of(topic, version))
}

/// The id of the change that made a version, if the topic still has it.
fn change_at(topic: &TopicCell, version: Version) -> Option<ChangeId> {
    let before = Version(version.0.checked_sub(1)?);
    let (_, entries) = topic.accepted(before).ok()?;
    entries.into_iter().next().map(|entry| entry.id)
}

impl Mirror {
    /// A topic whose value is to be told as a whole; `None` if 0.13 does not have its type.
    pub(super) fn new(names: &Names, topic: Arc<TopicCell>, catch_up: &CatchUp) -> Option<Mirror> {
        let kind = Kind::of(topic.kind())?;
        let snapshot = catch_up.items.iter().flat_map(|item| &item.parts).next();
        let value = match snapshot.map(|part| &part.body) {
            Some(Body::Snapshot(value)) => value.clone(),
            // An event has no value.
            _ => topic.kind().initial(),
        };
        let version = catch_up.version;
        let text_name = match kind {
            Kind::String => text_name_at(names, &topic, version),
            _ => EcoString::new(),
        };
        Some(Mirror { topic, kind, version, value, text_name })
    }

    fn is_topic_list(&self) -> bool {
        **self.topic.name() == *list::TOPIC_LIST
    }

    /// The life of a topic that the client has on its topic list, which this is the mirror of.
    pub(super) fn listed_life(&self, topic_name: &str) -> Option<Epoch> {
        list::epoch_of(self.value.get::<Dict>()?.get(topic_name)?)
    }

    /// A value of the topic as 0.13 writes it.
    fn encode(&self, names: &Names, value: &AnyValue) -> Value {
        match (value.get::<Float>(), value.get::<Dict>()) {
            (Some(float), _) => number(*float),
            (_, Some(entries)) if self.is_topic_list() => list::client_list(names, entries),
            _ => self.topic.kind().encode_value(value),
        }
    }

    /// The value for an `init`, and a text's version.
    pub(super) fn init(&self, names: &Names) -> (Value, Option<&str>) {
        let text_name = (self.kind == Kind::String).then_some(&*self.text_name);
        (self.encode(names, &self.value), text_name)
    }

    /// Goes to the value that is published by now, and gives the change that sets the client's value to
    /// it. `None` if the topic has no value.
    ///
    /// For a change, a client takes back all that it shows ahead of the server; for an `init` it does not.
    pub(super) fn reset(&mut self, names: &Names) -> Option<Fields> {
        let fresh = Mirror::new(names, self.topic.clone(), &self.topic.catch_up(None))?;
        let old = std::mem::replace(self, fresh);
        let id = match self.kind {
            Kind::Event => return None,
            Kind::String => self.text_name.clone(),
            _ => eco_format!("0_{}", self.version),
        };
        self.set_change(names, &old.value, id.into()).pop()
    }

    /// Whether a published change follows on what the client was told.
    pub(super) fn is_followed_by(&self, item: &Item, part: &Part) -> bool {
        let since = match &item.composed {
            Some(composed) => composed.since,
            None => Version(part.version.0.saturating_sub(1)),
        };
        since == self.version
    }

    /// Goes on by one published change, and gives what the client is told of it.
    pub(super) fn advance(&mut self, names: &Names, item: &Item, part: &Part) -> Vec<Fields> {
        let naming = self.naming(names, item, part);
        let changes = match &part.body {
            Body::Snapshot(value) => {
                let old = std::mem::replace(&mut self.value, value.clone());
                self.set_change(names, &old, self.set_id(&naming))
            }
            Body::Change(None) => self.empty_change(&naming),
            Body::Change(Some(change)) => {
                let old = self.value.clone();
                if self.topic.kind().apply(&mut self.value, change).is_err() {
                    // What is published fits what was published before.
                    tracing::error!(topic = %self.topic.name(), "a published change does not fit");
                }
                self.change(names, change, &old, &naming)
            }
        };
        (self.version, self.text_name) = (part.version, naming.text_name);
        changes
    }

    /// What to call a published change: by its author's words, as far as they hold at the version that
    /// the change made.
    fn naming(&self, names: &Names, item: &Item, part: &Part) -> Naming {
        let words = words_of(names, item, part);
        let by_author = words.as_ref().and_then(|words| words.id_at(part.version));
        let id = by_author.unwrap_or_else(|| match &part.id {
            Some(id) => Value::from(id.to_string()),
            None => eco_format!("0_{}", part.version).into(),
        });
        let text_name = words.as_ref().and_then(|words| words.text_at(part.version)).cloned();
        let text_name = text_name.unwrap_or_else(|| names.name_of(&self.topic, part.version));
        Naming { words, id, text_name }
    }

    /// The id of a change that sets the value. The id of what sets a text is the text's name from then
    /// on.
    fn set_id(&self, naming: &Naming) -> Value {
        match self.kind {
            Kind::String => naming.text_name.clone().into(),
            _ => naming.id.clone(),
        }
    }

    /// A change of which nothing is left. A text's version moves all the same, and versions chain.
    fn empty_change(&self, naming: &Naming) -> Vec<Fields> {
        if self.kind != Kind::String {
            return Vec::new();
        }
        let text = self.value.get::<TextType>().cloned().unwrap_or_default();
        let wanted = naming.words.as_ref().and_then(|words| words.empty_edit);
        let (insert, at) = wanted.map_or((true, 0), |wanted| (wanted.insert, wanted.position));
        let at = at.min(text.units_before(usize::MAX));
        let (change, field) = if insert { ("insert", "insertion") } else { ("delete", "deletion") };
        let mut changes = Changes::new(self, naming.id.clone());
        changes.push(
            change,
            [
                ("topic_version", self.text_name.clone().into()),
                ("position", position(at)),
                (field, "".into()),
                ("result_topic_version", naming.text_name.clone().into()),
            ],
        );
        changes.made
    }

    /// The change that sets the value to what the mirror holds by now.
    fn set_change(&self, names: &Names, old: &AnyValue, id: Value) -> Vec<Fields> {
        let (value, old) = (self.encode(names, &self.value), self.encode(names, old));
        let mut changes = Changes::new(self, id);
        changes.push("set", [("value", value), ("old_value", old)]);
        changes.made
    }

    /// What a change of this server's, by which `old` became the mirror's value, is in 0.13.
    fn change(
        &self,
        names: &Names,
        change: &AnyChange,
        old: &AnyValue,
        naming: &Naming,
    ) -> Vec<Fields> {
        let set = || self.set_change(names, old, self.set_id(naming));
        let mut changes = Changes::new(self, naming.id.clone());
        match self.kind {
            Kind::Generic | Kind::Bool => return set(),
            Kind::Int => match change.get::<Int>() {
                Some(IntChange::Add(summand)) => {
                    changes.push("add", [("value", Value::Int(*summand))]);
                }
                _ => return set(),
            },
            Kind::Float => match change.get::<Float>() {
                Some(FloatChange::Add(summand)) => {
                    changes.push("add", [("value", number(*summand))]);
                }
                _ => return set(),
            },
            Kind::Set => match change.get::<Set>() {
                Some(SetChange::Append(item)) => changes.push("append", [("item", item.clone())]),
                Some(SetChange::Remove(item)) => changes.push("remove", [("item", item.clone())]),
                _ => return set(),
            },
            Kind::Event => {
                if let Some(Emit(args)) = change.get::<Event>() {
                    changes.push("emit", [("args", args.clone().into())]);
                }
            }
            Kind::List => match change.get::<List>() {
                Some(ListChange::Set(_)) | None => return set(),
                Some(change) => push_list_change(&mut changes, change, old),
            },
            Kind::Dict => match change.get::<Dict>() {
                Some(DictChange::Set(_)) | None => return set(),
                Some(change) if self.is_topic_list() => {
                    push_list_entry(names, &mut changes, change, old);
                }
                Some(change) => push_dict_change(&mut changes, change, old),
            },
            Kind::String => match change.get::<TextType>() {
                Some(StringChange::Set(_)) => return set(),
                Some(StringChange::Edit(edit)) if !edit.is_empty() => {
                    let text = old.get::<TextType>().cloned().unwrap_or_default();
                    let edits = text::single_edits(edit, &text);
                    self.push_edits(&mut changes, edits, &naming.text_name);
                }
                _ => return self.empty_change(naming),
            },
        }
        changes.made
    }

    /// Each edit leads from one name of the text to the next, the last one to the name of the version.
    fn push_edits(&self, changes: &mut Changes<'_>, edits: Vec<SingleEdit>, name: &EcoString) {
        let count = edits.len();
        let mut from = self.text_name.clone();
        for (index, edit) in edits.into_iter().enumerate() {
            let is_last = index + 1 == count;
            let to = if is_last { name.clone() } else { eco_format!("{name}.{index}") };
            let (change, at, field, text) = match edit {
                SingleEdit::Insert { position, insertion } => {
                    ("insert", position, "insertion", insertion)
                }
                SingleEdit::Delete { position, deletion } => {
                    ("delete", position, "deletion", deletion)
                }
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

    /// The topics that a published change of the topic list shows in a life that is new on it.
    pub(super) fn listed_by(part: &Part) -> Vec<EcoString> {
        let Body::Change(Some(change)) = &part.body else { return Vec::new() };
        match change.get::<Dict>() {
            Some(DictChange::Add { key, .. } | DictChange::ChangeValue { key, .. }) => {
                vec![key.clone()]
            }
            Some(DictChange::Set(entries)) => entries.keys().cloned().collect(),
            _ => Vec::new(),
        }
    }
}

fn push_dict_change(changes: &mut Changes<'_>, change: &DictChange, old: &AnyValue) {
    match change {
        DictChange::Add { key, value } => {
            changes.push("add", [("key", key.clone().into()), ("value", value.clone())]);
        }
        DictChange::Remove { key } => changes.push("pop", [("key", key.clone().into())]),
        DictChange::ChangeValue { key, value } => {
            let entries = old.get::<Dict>();
            let old = entries.and_then(|entries| entries.get(key).cloned()).unwrap_or_default();
            push_change_value(changes, key, value.clone(), old);
        }
        DictChange::Set(_) => {}
    }
}

fn push_change_value(changes: &mut Changes<'_>, key: &EcoString, value: Value, old: Value) {
    let key = key.clone().into();
    changes.push("change_value", [("key", key), ("value", value), ("old_value", old)]);
}

/// A change of the topic list: entries go out as 0.13 has them, and those of types that it does not have
/// do not go out.
fn push_list_entry(names: &Names, changes: &mut Changes<'_>, change: &DictChange, old: &AnyValue) {
    let (DictChange::Add { key, .. }
    | DictChange::Remove { key }
    | DictChange::ChangeValue { key, .. }) = change
    else {
        return;
    };
    let old = old.get::<Dict>().and_then(|entries| entries.get(key));
    let new = match change {
        DictChange::Add { value, .. } | DictChange::ChangeValue { value, .. } => Some(value),
        _ => None,
    };
    let is_same_life = old.and_then(list::epoch_of) == new.and_then(list::epoch_of);
    let shown = |entry: &Value| list::client_entry(names, entry);
    match (old.and_then(shown), new.and_then(shown)) {
        (Some(old), Some(new)) if is_same_life => push_change_value(changes, key, new, old),
        // To its clients, a topic in another life is another topic.
        (old, new) => {
            if old.is_some() {
                changes.push("pop", [("key", key.clone().into())]);
            }
            if let Some(new) = new {
                changes.push("add", [("key", key.clone().into()), ("value", new)]);
            }
        }
    }
}

/// A change of a list, which in 0.13 has `insert` and `pop` alone.
fn push_list_change(changes: &mut Changes<'_>, change: &ListChange, old: &AnyValue) {
    let item_at = |at: usize| {
        let items = old.get::<List>();
        items.and_then(|items| items.get(at).cloned()).unwrap_or_default()
    };
    let insert = |item: Value, at: usize| [("item", item), ("position", position(at))];
    match change {
        ListChange::Insert { position, item } => {
            changes.push("insert", insert(item.clone(), index(*position)));
        }
        ListChange::Pop { position: place } => {
            changes.push("pop", [("position", position(index(*place)))]);
        }
        ListChange::Replace { position: place, item } => {
            changes.push("pop", [("position", position(index(*place)))]);
            changes.push("insert", insert(item.clone(), index(*place)));
        }
        ListChange::Move { from, to } => {
            changes.push("pop", [("position", position(index(*from)))]);
            changes.push("insert", insert(item_at(index(*from)), index(*to)));
        }
        ListChange::Set(_) => {}
    }
}
