//! The topic list as the dialect has it: an entry has `type`, `boundary_value`, `is_stateful` and
//! `order_strict`, and the list itself is in it.

use ecow::EcoString;

use super::kind::Kind;
use super::names::Names;
use crate::topic::{Delivery, TopicName, TopicOptions};
use crate::value::{Dict, Value};

/// The topic's name, here and there.
pub const TOPIC_LIST: &str = "_topicsync/topic_list";

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

/// Our entry of a topic as the dialect's; `None` if it is of a type that the dialect has not.
pub fn entry(names: &Names, topic_name: &str, ours: &Value) -> Option<Value> {
    let Value::Dict(ours) = ours else { return None };
    let kind = Kind::of_our(&EcoString::from(ours.get("type")?.as_text()?))?;
    let options = ours.get("options").and_then(|options| TopicOptions::decode(options).ok());
    let options = options.unwrap_or_default();
    let name = TopicName::new(topic_name).ok()?;
    Some(Value::Dict(
        [
            ("type", kind.name().into()),
            ("boundary_value", names.boundary(&name)),
            ("is_stateful", (!options.no_history).into()),
            ("order_strict", (options.delivery == Delivery::Every).into()),
        ]
        .into(),
    ))
}

/// Our list as the dialect's.
pub fn whole(names: &Names, ours: &Dict) -> Value {
    let entries = ours.iter().filter_map(|(key, it)| Some((key.clone(), entry(names, key, it)?)));
    let own = (TOPIC_LIST.into(), own_entry());
    Value::Dict(entries.chain([own]).collect())
}

/// What a topic is to be made with.
#[derive(Debug, PartialEq)]
pub struct Wanted {
    pub kind: Kind,
    pub options: TopicOptions,
    /// The initial value, if it is not the type's.
    pub boundary: Option<Value>,
}

/// Reads an entry that makes a topic.
///
/// # Errors
/// A field is missing or wrong. A missing `order_strict` counts as true.
pub fn wanted(entry: &Value) -> Result<Wanted, String> {
    let Value::Dict(entry) = entry else { return Err("TypeError('an entry is an object')".into()) };
    let field = |field: &str| entry.get(field).ok_or_else(|| format!("KeyError('{field}')"));
    let name = field("type")?.as_text().map(EcoString::from).unwrap_or_default();
    let kind = Kind::of_their(&name).ok_or_else(|| format!("KeyError('{name}')"))?;
    let flag = |field: &'static str, value: &Value| match value {
        Value::Bool(flag) => Ok(*flag),
        _ => Err(format!("TypeError('{field} is true or false')")),
    };
    let no_history = !flag("is_stateful", field("is_stateful")?)?;
    let strict = entry.get("order_strict").map_or(Ok(true), |it| flag("order_strict", it))?;
    let boundary = Some(field("boundary_value")?.clone()).filter(|value| *value != Value::Null);
    // An event is told at once whatever it asks for: it has no latest value.
    let delivery = match strict || kind == Kind::Event {
        true => Delivery::Every,
        false => Delivery::Latest,
    };
    Ok(Wanted {
        kind,
        options: TopicOptions { no_history, delivery, ..TopicOptions::default() },
        boundary,
    })
}
