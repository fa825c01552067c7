//! `generic`: a register that holds any value and is set as a whole.

use super::{Composed, Conflict, Rebased, TopicType, unknown_change};
use crate::value::{Fields, Invalid, Value};

/// The type of a topic that holds any value.
pub struct Generic;

/// The one change of a register: to this value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SetTo<V>(pub V);

impl TopicType for Generic {
    type Value = Value;
    type Change = SetTo<Value>;

    const NAME: &'static str = "generic";

    fn initial() -> Value {
        Value::Null
    }

    fn decode_value(value: &Value) -> Result<Value, Invalid> {
        Ok(value.clone())
    }

    fn encode_value(value: &Value) -> Value {
        value.clone()
    }

    fn decode_change(fields: &Fields) -> Result<SetTo<Value>, Invalid> {
        match fields.change_type() {
            "set" => fields.require("value").cloned().map(SetTo),
            _ => Err(unknown_change::<Generic>(fields)),
        }
    }

    fn encode_change(change: &SetTo<Value>) -> Fields {
        Fields::of_type("set").with("value", change.0.clone())
    }

    fn apply(value: &mut Value, change: &SetTo<Value>) -> Result<(), Invalid> {
        *value = change.0.clone();
        Ok(())
    }

    fn rebase(
        _incoming: &SetTo<Value>,
        _accepted: &SetTo<Value>,
    ) -> Result<Rebased<SetTo<Value>>, Conflict> {
        Err(Conflict::Changed)
    }

    fn invert(_change: &SetTo<Value>, before: &Value) -> Option<SetTo<Value>> {
        Some(SetTo(before.clone()))
    }

    fn compose(_first: &SetTo<Value>, second: &SetTo<Value>) -> Composed<SetTo<Value>> {
        Composed::One(second.clone())
    }
}
