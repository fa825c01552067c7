//! The topic list as clients of 0.13 have it: an entry has `type`, `boundary_value`, `is_stateful` and
//! `order_strict`, and the list itself is in it.
//!
//! Entries are translated here, both ways. That a change of the list makes and removes topics is the
//! plan's business.

use ecow::EcoString;

use super::kind::Kind;
use super::names::Names;
use crate::topic::{Delivery, Epoch, TopicOptions};
use crate::value::{Dict, Value};

/// The topic's name, in both vocabularies.
pub(super) const TOPIC_LIST: &str = "_topicsync/topic_list";

/// The entry of the list itself, which nobody can change.
fn own_entry() -> Value {
    Value::Dict(
        [
            ("type", "dict".into()),
            ("is_stateful", true.into()),
            ("boundary_value", Dict::new().into()),
        ]
        .into(),
    )
}

/// The life of the topic that an entry of this server's list is about.
pub(super) fn epoch_of(server_entry: &Value) -> Option<Epoch> {
    let Value::Dict(entry) = server_entry else { return None };
    Epoch::new(EcoString::from(entry.get("epoch")?.as_text()?)).ok()
}

/// An entry of this server's list as clients of 0.13 have it; `None` if they do not have the topic's
/// type.
pub(super) fn client_entry(names: &Names, server_entry: &Value) -> Option<Value> {
    let boundary = epoch_of(server_entry).map(|epoch| names.boundary(&epoch)).unwrap_or_default();
    client_entry_with(server_entry, boundary)
}

/// As [`client_entry`], with this initial value.
pub(super) fn client_entry_with(server_entry: &Value, boundary: Value) -> Option<Value> {
    let Value::Dict(entry) = server_entry else { return None };
    let kind = Kind::by_server_name(&EcoString::from(entry.get("type")?.as_text()?))?;
    let options = entry.get("options").and_then(|options| TopicOptions::decode(options).ok());
    let options = options.unwrap_or_default();
    Some(Value::Dict(
        [
            ("type", kind.client_name().into()),
            ("boundary_value", boundary),
            ("is_stateful", (!options.no_history).into()),
            ("order_strict", (options.delivery == Delivery::Every).into()),
        ]
        .into(),
    ))
}

/// This server's list as clients of 0.13 have it.
pub(super) fn client_list(names: &Names, server_list: &Dict) -> Value {
    let entries = server_list
        .iter()
        .filter_map(|(key, entry)| Some((key.clone(), client_entry(names, entry)?)));
    let own = (TOPIC_LIST.into(), own_entry());
    Value::Dict(entries.chain([own]).collect())
}

/// What a client wants a topic to be made with.
#[derive(Debug, PartialEq)]
pub(super) struct TopicSpec {
    pub kind: Kind,
    pub options: TopicOptions,
    /// The initial value, if it is not the type's.
    pub boundary: Option<Value>,
}

/// Reads an entry that is to make a topic.
///
/// # Errors
/// A field is missing or wrong. A missing `order_strict` counts as true.
pub(super) fn topic_spec(entry: &Value) -> Result<TopicSpec, String> {
    let Value::Dict(entry) = entry else { return Err("TypeError('an entry is an object')".into()) };
    let field = |field: &str| entry.get(field).ok_or_else(|| format!("KeyError('{field}')"));
    let name = field("type")?.as_text().map(EcoString::from).unwrap_or_default();
    let kind = Kind::by_client_name(&name).ok_or_else(|| format!("KeyError('{name}')"))?;
    let flag = |field: &'static str, value: &Value| match value {
        Value::Bool(flag) => Ok(*flag),
        _ => Err(format!("TypeError('{field} is true or false')")),
    };
    let no_history = !flag("is_stateful", field("is_stateful")?)?;
    let strict = entry.get("order_strict").map_or(Ok(true), |it| flag("order_strict", it))?;
    let boundary = Some(field("boundary_value")?.clone()).filter(|value| *value != Value::Null);
    // An event is told at once whatever the entry asks for: it has no latest value.
    let delivery = if strict || kind == Kind::Event { Delivery::Every } else { Delivery::Latest };
    Ok(TopicSpec {
        kind,
        options: TopicOptions { no_history, delivery, ..TopicOptions::default() },
        boundary,
    })
}
