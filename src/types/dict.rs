//! `dict`: values by key.

use super::{Composed, Conflict, Parts, Rebased, TopicType, Writes, check_item, unknown_change};
use crate::value::{Dict as DictValue, Fields, Invalid, Key, Value};

/// The type of a topic that holds values by key.
pub struct Dict;

/// A change of a dict.
#[derive(Debug, Clone, PartialEq)]
pub enum DictChange {
    /// Puts another dict in the place of all.
    Set(DictValue),
    /// Puts a value under a key that is not there.
    Add {
        /// The key.
        key: Key,
        /// The value under it.
        value: Value,
    },
    /// Takes out a key that is there.
    Remove {
        /// The key.
        key: Key,
    },
    /// Puts another value under a key that is there.
    ChangeValue {
        /// The key.
        key: Key,
        /// The new value under it.
        value: Value,
    },
}

use DictChange::{Add, ChangeValue, Remove};

impl DictChange {
    /// The key that the change touches; a `set` touches all.
    pub fn key(&self) -> Option<&Key> {
        match self {
            DictChange::Set(_) => None,
            Add { key, .. } | Remove { key } | ChangeValue { key, .. } => Some(key),
        }
    }
}

fn no_such_key(key: &Key) -> Invalid {
    Invalid::NoSuchKey { key: key.to_string() }
}

impl TopicType for Dict {
    type Value = DictValue;
    type Change = DictChange;

    const NAME: &'static str = "dict";
    const KEYED: bool = true;
    const PARTS: Parts = Parts::Keys;

    fn initial() -> DictValue {
        DictValue::new()
    }

    fn decode_value(value: &Value) -> Result<DictValue, Invalid> {
        match value {
            Value::Dict(dict) => Ok(dict.clone()),
            other => Err(Invalid::ValueType { expected: "a dict", found: other.kind() }),
        }
    }

    fn encode_value(value: &DictValue) -> Value {
        Value::Dict(value.clone())
    }

    fn decode_change(fields: &Fields) -> Result<DictChange, Invalid> {
        match fields.change_type() {
            "set" => Dict::decode_value(fields.require("value")?).map(DictChange::Set),
            "add" => Ok(Add {
                key: fields.require_key("key")?,
                value: check_item(fields.require("value")?)?,
            }),
            "remove" | "pop" => Ok(Remove { key: fields.require_key("key")? }),
            "change_value" => Ok(ChangeValue {
                key: fields.require_key("key")?,
                value: check_item(fields.require("value")?)?,
            }),
            _ => Err(unknown_change::<Dict>(fields)),
        }
    }

    fn encode_change(change: &DictChange) -> Fields {
        match change {
            DictChange::Set(dict) => Fields::of_type("set").with("value", dict.clone()),
            Add { key, value } => {
                Fields::of_type("add").with("key", key.clone()).with("value", value.clone())
            }
            Remove { key } => Fields::of_type("remove").with("key", key.clone()),
            ChangeValue { key, value } => Fields::of_type("change_value")
                .with("key", key.clone())
                .with("value", value.clone()),
        }
    }

    fn apply(dict: &mut DictValue, change: &DictChange) -> Result<(), Invalid> {
        match change {
            DictChange::Set(new) => *dict = new.clone(),
            Add { key, .. } if dict.contains_key(key) => {
                return Err(Invalid::KeyExists { key: key.to_string() });
            }
            ChangeValue { key, .. } if !dict.contains_key(key) => return Err(no_such_key(key)),
            Add { key, value } | ChangeValue { key, value } => {
                dict.insert(key.clone(), value.clone());
            }
            Remove { key } => {
                dict.remove(key).ok_or_else(|| no_such_key(key))?;
            }
        }
        Ok(())
    }

    fn rebase(
        incoming: &DictChange,
        accepted: &DictChange,
    ) -> Result<Rebased<DictChange>, Conflict> {
        match (incoming, accepted) {
            (DictChange::Set(_), _) => Err(Conflict::Changed),
            (_, DictChange::Set(_)) => Err(Conflict::Overwritten),
            _ if incoming.key() != accepted.key() => Ok(Rebased::unaffected(incoming, accepted)),
            (Add { key, .. }, Add { .. }) => Err(Conflict::KeyAdded { key: key.clone() }),
            (ChangeValue { key, .. }, ChangeValue { .. }) => {
                Err(Conflict::KeyChanged { key: key.clone() })
            }
            (ChangeValue { key, .. }, Remove { .. }) => {
                Err(Conflict::KeyRemoved { key: key.clone() })
            }
            (Remove { .. }, Remove { .. }) => Ok(Rebased { incoming: None, accepted: None }),
            (Remove { .. }, ChangeValue { .. }) => {
                Ok(Rebased { incoming: Some(incoming.clone()), accepted: None })
            }
            // One of these needs the key to be there and the other needs it not to be: no value
            // takes both.
            (Add { .. }, Remove { .. } | ChangeValue { .. })
            | (Remove { .. } | ChangeValue { .. }, Add { .. }) => {
                Ok(Rebased::unaffected(incoming, accepted))
            }
        }
    }

    fn invert(change: &DictChange, before: &DictValue) -> Option<DictChange> {
        // `before` took the change, so what it removes or changes is there.
        let old = |key: &Key| before.get(key).cloned().unwrap_or_default();
        Some(match change {
            DictChange::Set(_) => DictChange::Set(before.clone()),
            Add { key, .. } => Remove { key: key.clone() },
            Remove { key } => Add { key: key.clone(), value: old(key) },
            ChangeValue { key, .. } => ChangeValue { key: key.clone(), value: old(key) },
        })
    }

    fn key(change: &DictChange) -> Option<&str> {
        change.key().map(Key::as_str)
    }

    fn removal(value: &DictValue, key: &str) -> Option<DictChange> {
        value.contains_key(key).then(|| Remove { key: key.into() })
    }

    fn writes(change: &DictChange, _before: &DictValue) -> Writes {
        match change {
            DictChange::Set(_) => Writes::Whole,
            Add { key, .. } | ChangeValue { key, .. } => Writes::Key(key.clone()),
            Remove { key } => Writes::KeyGone(key.clone()),
        }
    }

    fn differences(from: &DictValue, to: &DictValue) -> Option<Vec<DictChange>> {
        let gone = from.keys().filter(|key| !to.contains_key(key));
        let gone = gone.map(|key| Remove { key: key.clone() });
        let put = to.iter().filter_map(|(key, value)| {
            let (key, value) = (key.clone(), value.clone());
            match from.get(&key) {
                Some(old) if *old == value => None,
                Some(_) => Some(ChangeValue { key, value }),
                None => Some(Add { key, value }),
            }
        });
        Some(gone.chain(put).collect())
    }

    fn compose(first: &DictChange, second: &DictChange) -> Composed<DictChange> {
        match (first, second) {
            (_, DictChange::Set(_)) => Composed::One(second.clone()),
            (DictChange::Set(dict), _) => {
                let mut dict = dict.clone();
                match Dict::apply(&mut dict, second) {
                    Ok(()) => Composed::One(DictChange::Set(dict)),
                    Err(_) => Composed::Separate,
                }
            }
            _ if first.key() != second.key() => Composed::Separate,
            (Add { .. }, ChangeValue { key, value }) => {
                Composed::One(Add { key: key.clone(), value: value.clone() })
            }
            (Add { .. }, Remove { .. }) => Composed::Nothing,
            (ChangeValue { .. }, ChangeValue { .. } | Remove { .. }) => {
                Composed::One(second.clone())
            }
            (Remove { .. }, Add { key, value }) => {
                Composed::One(ChangeValue { key: key.clone(), value: value.clone() })
            }
            // What remains cannot follow each other.
            _ => Composed::Separate,
        }
    }
}
