//! What a topic is made with: how long it remembers, and how its changes are delivered.

use thiserror::Error;

use crate::types::TypeRef;
use crate::value::{Dict, Value};

/// The options of a topic, as `subscribe` gives them when it makes one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TopicOptions {
    /// No log beyond what resuming needs, and no undo.
    pub no_history: bool,
    /// How much of the log is kept.
    pub keep: Keep,
    /// What subscribers get.
    pub delivery: Delivery,
    /// When a change counts as done; `None` means as the server does.
    pub durability: Option<Durability>,
    /// Entries belong to sessions and leave with them.
    pub presence: bool,
}

/// How much of a version log is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Keep {
    /// All of it.
    #[default]
    All,
    /// This many of the newest changes.
    Versions(u64),
    /// The changes of the last so many seconds.
    Seconds(u64),
}

/// How changes reach subscribers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Delivery {
    /// Each change, in order.
    #[default]
    Every,
    /// At most one update a tick: the changes since the last one, composed.
    Latest,
}

/// When a change is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Once its group is on disk.
    Commit,
    /// At once; the disk follows within a set interval.
    Relaxed,
    /// At once; it is never on disk.
    Memory,
}

impl Durability {
    /// Its name in a topic's options.
    pub fn name(self) -> &'static str {
        match self {
            Durability::Commit => "commit",
            Durability::Relaxed => "relaxed",
            Durability::Memory => "memory",
        }
    }

    /// The durability of this name.
    pub fn from_name(name: &str) -> Option<Durability> {
        [Durability::Commit, Durability::Relaxed, Durability::Memory]
            .into_iter()
            .find(|durability| durability.name() == name)
    }
}

/// An option that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs, reason = "the message of each variant says what it is")]
pub enum OptionError {
    #[error("there is no option {option:?}")]
    Unknown { option: String },
    #[error("option {option:?} must be {expected}")]
    Type { option: &'static str, expected: &'static str },
    #[error("options must be a dict, not {found}")]
    NoDict { found: &'static str },
    #[error("a {topic_type} topic has no entries that could belong to sessions")]
    NoPresence { topic_type: &'static str },
    #[error("a {topic_type} topic has no latest value to deliver")]
    NoLatest { topic_type: &'static str },
}

impl TopicOptions {
    /// Reads the wire's options.
    ///
    /// # Errors
    /// One of them is unknown or ill-typed.
    pub fn decode(value: &Value) -> Result<TopicOptions, OptionError> {
        let Value::Dict(dict) = value else {
            return Err(OptionError::NoDict { found: value.kind() });
        };
        let mut options = TopicOptions::default();
        for (option, value) in dict.iter() {
            match option.as_str() {
                "history" => options.no_history = !decode_bool("history", value)?,
                "presence" => options.presence = decode_bool("presence", value)?,
                "keep" => options.keep = decode_keep(value)?,
                "delivery" => options.delivery = decode_delivery(value)?,
                "durability" => options.durability = Some(decode_durability(value)?),
                _ => return Err(OptionError::Unknown { option: option.to_string() }),
            }
        }
        Ok(options)
    }

    /// The wire's options: those that are not as by default.
    pub fn encode(&self) -> Dict {
        let mut dict = Dict::new();
        let mut put = |option: &str, value: Value| drop(dict.insert(option.into(), value));
        if self.no_history {
            put("history", false.into());
        }
        match self.keep {
            Keep::All => {}
            Keep::Versions(count) => put("keep", bound("versions", count)),
            Keep::Seconds(seconds) => put("keep", bound("seconds", seconds)),
        }
        if self.delivery == Delivery::Latest {
            put("delivery", "latest".into());
        }
        if let Some(durability) = self.durability {
            put("durability", durability.name().into());
        }
        if self.presence {
            put("presence", true.into());
        }
        dict
    }

    /// Checks that a topic of type `kind` can have these options.
    ///
    /// # Errors
    /// An option that makes no sense for the type.
    pub fn check(&self, kind: TypeRef) -> Result<(), OptionError> {
        let topic_type = kind.name();
        if self.presence && !kind.keyed() {
            return Err(OptionError::NoPresence { topic_type });
        }
        if self.delivery == Delivery::Latest && !kind.stateful() {
            return Err(OptionError::NoLatest { topic_type });
        }
        Ok(())
    }
}

fn bound(unit: &str, count: u64) -> Value {
    Value::Dict([(unit, Value::Int(count as i64))].into())
}

fn decode_bool(option: &'static str, value: &Value) -> Result<bool, OptionError> {
    match value {
        Value::Bool(bool) => Ok(*bool),
        _ => Err(OptionError::Type { option, expected: "true or false" }),
    }
}

fn decode_keep(value: &Value) -> Result<Keep, OptionError> {
    let error = OptionError::Type {
        option: "keep",
        expected: "{\"versions\": N} or {\"seconds\": N}, N being at least 1",
    };
    let Value::Dict(dict) = value else { return Err(error) };
    let count = |unit| dict.get(unit).and_then(Value::as_int).filter(|count| *count > 0);
    match (dict.len(), count("versions"), count("seconds")) {
        (1, Some(count), None) => Ok(Keep::Versions(count as u64)),
        (1, None, Some(seconds)) => Ok(Keep::Seconds(seconds as u64)),
        _ => Err(error),
    }
}

fn decode_delivery(value: &Value) -> Result<Delivery, OptionError> {
    match value.as_text().and_then(|text| text.as_str()) {
        Some("every") => Ok(Delivery::Every),
        Some("latest") => Ok(Delivery::Latest),
        _ => Err(OptionError::Type { option: "delivery", expected: "\"every\" or \"latest\"" }),
    }
}

fn decode_durability(value: &Value) -> Result<Durability, OptionError> {
    value.as_text().and_then(|text| text.as_str()).and_then(Durability::from_name).ok_or(
        OptionError::Type {
            option: "durability",
            expected: "\"commit\", \"relaxed\" or \"memory\"",
        },
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn decode(json: serde_json::Value) -> Result<TopicOptions, OptionError> {
        TopicOptions::decode(&json.into())
    }

    #[test]
    fn options_survive_a_round_trip() {
        for json in [
            json!({}),
            json!({"history": false, "delivery": "latest", "durability": "memory"}),
            json!({"keep": {"versions": 7}}),
            json!({"keep": {"seconds": 60}, "presence": true}),
        ] {
            let options = decode(json.clone()).unwrap();
            let encoded = Value::Dict(options.encode());
            assert_eq!(encoded, Value::from(json));
        }
    }

    #[test]
    fn what_is_no_option_is_an_error() {
        for json in [
            json!([]),
            json!({"histroy": true}),
            json!({"history": 1}),
            json!({"keep": {}}),
            json!({"keep": {"versions": 0}}),
            json!({"keep": {"versions": 1, "seconds": 1}}),
            json!({"delivery": "sometimes"}),
            json!({"durability": null}),
        ] {
            assert!(decode(json.clone()).is_err(), "{json}");
        }
    }
}
