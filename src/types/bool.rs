//! `bool`: a register that holds true or false.

use super::generic::SetTo;
use super::{Composed, Conflict, Rebased, TopicType, unknown_change};
use crate::value::{Fields, Invalid, Value};

/// The type of a topic that holds a boolean.
pub struct Bool;

impl TopicType for Bool {
    type Value = bool;
    type Change = SetTo<bool>;

    const NAME: &'static str = "bool";

    fn initial() -> bool {
        false
    }

    fn decode_value(value: &Value) -> Result<bool, Invalid> {
        match value {
            Value::Bool(bool) => Ok(*bool),
            other => Err(Invalid::ValueType { expected: "a boolean", found: other.kind() }),
        }
    }

    fn encode_value(value: &bool) -> Value {
        Value::Bool(*value)
    }

    fn decode_change(fields: &Fields) -> Result<SetTo<bool>, Invalid> {
        match fields.change_type() {
            "set" => Bool::decode_value(fields.require("value")?).map(SetTo),
            _ => Err(unknown_change::<Bool>(fields)),
        }
    }

    fn encode_change(change: &SetTo<bool>) -> Fields {
        Fields::of_type("set").with("value", change.0)
    }

    fn apply(value: &mut bool, change: &SetTo<bool>) -> Result<(), Invalid> {
        *value = change.0;
        Ok(())
    }

    fn rebase(
        _incoming: &SetTo<bool>,
        _accepted: &SetTo<bool>,
    ) -> Result<Rebased<SetTo<bool>>, Conflict> {
        Err(Conflict::Changed)
    }

    fn invert(_change: &SetTo<bool>, before: &bool) -> Option<SetTo<bool>> {
        Some(SetTo(*before))
    }

    fn compose(_first: &SetTo<bool>, second: &SetTo<bool>) -> Composed<SetTo<bool>> {
        Composed::One(*second)
    }
}
