//! `set`: distinct values, in the order of values.

use im::OrdSet;

use super::{Composed, Conflict, Parts, Rebased, TopicType, Writes, check_item, unknown_change};
use crate::value::{Fields, Invalid, Value};

/// The type of a topic that holds distinct values.
pub struct Set;

/// A change of a set.
#[derive(Debug, Clone, PartialEq)]
pub enum SetChange {
    /// Puts another set in the place of all.
    Set(OrdSet<Value>),
    /// Puts an item in that is not there.
    Append(Value),
    /// Takes an item out that is there.
    Remove(Value),
}

use SetChange::{Append, Remove};

fn append(items: &mut OrdSet<Value>, item: &Value) -> Result<(), Invalid> {
    if items.contains(item) {
        Err(Invalid::ItemExists)
    } else {
        items.insert(item.clone());
        Ok(())
    }
}

/// Rebases an `append` or `remove` over a `set`: nothing is left to do if it is so already.
fn over_set(incoming: &SetChange, items: &OrdSet<Value>) -> Rebased<SetChange> {
    let mut both = items.clone();
    let left = Set::apply(&mut both, incoming).is_ok();
    Rebased { incoming: left.then(|| incoming.clone()), accepted: Some(SetChange::Set(both)) }
}

impl TopicType for Set {
    type Value = OrdSet<Value>;
    type Change = SetChange;

    const NAME: &'static str = "set";
    const PARTS: Parts = Parts::Members;

    fn initial() -> OrdSet<Value> {
        OrdSet::new()
    }

    fn decode_value(value: &Value) -> Result<OrdSet<Value>, Invalid> {
        let Value::List(list) = value else {
            return Err(Invalid::ValueType { expected: "a list", found: value.kind() });
        };
        let items: OrdSet<Value> = list.iter().cloned().collect();
        if items.len() == list.len() { Ok(items) } else { Err(Invalid::DuplicateItem) }
    }

    fn encode_value(value: &OrdSet<Value>) -> Value {
        Value::List(value.iter().cloned().collect())
    }

    fn decode_change(fields: &Fields) -> Result<SetChange, Invalid> {
        match fields.change_type() {
            "set" => Set::decode_value(fields.require("value")?).map(SetChange::Set),
            "append" => check_item(fields.require("item")?).map(Append),
            "remove" => check_item(fields.require("item")?).map(Remove),
            _ => Err(unknown_change::<Set>(fields)),
        }
    }

    fn encode_change(change: &SetChange) -> Fields {
        match change {
            SetChange::Set(items) => Fields::of_type("set").with("value", Set::encode_value(items)),
            Append(item) => Fields::of_type("append").with("item", item.clone()),
            Remove(item) => Fields::of_type("remove").with("item", item.clone()),
        }
    }

    fn apply(value: &mut OrdSet<Value>, change: &SetChange) -> Result<(), Invalid> {
        match change {
            SetChange::Set(items) => {
                *value = items.clone();
                Ok(())
            }
            Append(item) => append(value, item),
            Remove(item) => value.remove(item).map(drop).ok_or(Invalid::NoSuchItem),
        }
    }

    fn rebase(incoming: &SetChange, accepted: &SetChange) -> Result<Rebased<SetChange>, Conflict> {
        match (incoming, accepted) {
            (SetChange::Set(_), _) => Err(Conflict::Changed),
            (_, SetChange::Set(items)) => Ok(over_set(incoming, items)),
            (Append(a), Append(b)) | (Remove(a), Remove(b)) if a == b => {
                Ok(Rebased { incoming: None, accepted: None })
            }
            _ => Ok(Rebased::unaffected(incoming, accepted)),
        }
    }

    fn invert(change: &SetChange, before: &OrdSet<Value>) -> Option<SetChange> {
        Some(match change {
            SetChange::Set(_) => SetChange::Set(before.clone()),
            Append(item) => Remove(item.clone()),
            Remove(item) => Append(item.clone()),
        })
    }

    fn writes(change: &SetChange, _before: &OrdSet<Value>) -> Writes {
        match change {
            SetChange::Set(_) => Writes::Whole,
            Append(item) => Writes::Member(item.clone()),
            Remove(item) => Writes::MemberGone(item.clone()),
        }
    }

    fn differences(from: &OrdSet<Value>, to: &OrdSet<Value>) -> Option<Vec<SetChange>> {
        let gone = from.iter().filter(|item| !to.contains(*item)).cloned().map(Remove);
        let come = to.iter().filter(|item| !from.contains(*item)).cloned().map(Append);
        Some(gone.chain(come).collect())
    }

    fn compose(first: &SetChange, second: &SetChange) -> Composed<SetChange> {
        match (first, second) {
            (_, SetChange::Set(_)) => Composed::One(second.clone()),
            (SetChange::Set(items), _) => {
                let mut items = items.clone();
                match Set::apply(&mut items, second) {
                    Ok(()) => Composed::One(SetChange::Set(items)),
                    Err(_) => Composed::Separate,
                }
            }
            (Append(a), Remove(b)) | (Remove(a), Append(b)) if a == b => Composed::Nothing,
            _ => Composed::Separate,
        }
    }
}
