//! `int`: a whole number within ±(2^53 − 1) that is set, or added to.

use super::{Composed, Conflict, Rebased, TopicType, unknown_change};
use crate::value::limits::{INT_MAX, check_int};
use crate::value::{Fields, Invalid, Value};

/// The type of a topic that holds a whole number.
pub struct Int;

/// A change of a whole number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntChange {
    /// Puts another number in its place.
    Set(i64),
    /// Adds, which commutes: two counters that count at once lose nothing.
    Add(i64),
}

/// The sum, if it is within the range. Operands within it cannot overflow an `i64`.
fn add(a: i64, b: i64) -> Result<i64, Invalid> {
    check_int(a.saturating_add(b)).map_err(|_| Invalid::NumberRange)
}

impl TopicType for Int {
    type Value = i64;
    type Change = IntChange;

    const NAME: &'static str = "int";

    fn initial() -> i64 {
        0
    }

    fn decode_value(value: &Value) -> Result<i64, Invalid> {
        let expected = "a whole number";
        value.as_int().ok_or_else(|| Invalid::ValueType { expected, found: value.kind() })
    }

    fn encode_value(value: &i64) -> Value {
        Value::Int(*value)
    }

    fn decode_change(fields: &Fields) -> Result<IntChange, Invalid> {
        match fields.change_type() {
            "set" => fields.require_int("value").map(IntChange::Set),
            "add" => fields.require_int("value").map(IntChange::Add),
            _ => Err(unknown_change::<Int>(fields)),
        }
    }

    fn encode_change(change: &IntChange) -> Fields {
        match change {
            IntChange::Set(value) => Fields::of_type("set").with("value", *value),
            IntChange::Add(value) => Fields::of_type("add").with("value", *value),
        }
    }

    fn apply(value: &mut i64, change: &IntChange) -> Result<(), Invalid> {
        *value = match change {
            IntChange::Set(new) => *new,
            IntChange::Add(summand) => add(*value, *summand)?,
        };
        Ok(())
    }

    fn rebase(incoming: &IntChange, accepted: &IntChange) -> Result<Rebased<IntChange>, Conflict> {
        match (incoming, accepted) {
            (IntChange::Set(_), _) => Err(Conflict::Changed),
            (IntChange::Add(summand), IntChange::Set(value)) => Ok(Rebased {
                incoming: Some(*incoming),
                // Out of range, the incoming change does not apply, and its author is told.
                accepted: Some(IntChange::Set(
                    value.saturating_add(*summand).clamp(-INT_MAX, INT_MAX),
                )),
            }),
            (IntChange::Add(_), IntChange::Add(_)) => Ok(Rebased::unaffected(incoming, accepted)),
        }
    }

    fn invert(change: &IntChange, before: &i64) -> Option<IntChange> {
        Some(match change {
            IntChange::Set(_) => IntChange::Set(*before),
            IntChange::Add(summand) => IntChange::Add(-summand),
        })
    }

    fn compose(first: &IntChange, second: &IntChange) -> Composed<IntChange> {
        let sum = match (first, second) {
            (_, IntChange::Set(_)) => return Composed::One(*second),
            (IntChange::Set(value), IntChange::Add(summand)) => {
                add(*value, *summand).map(IntChange::Set)
            }
            (IntChange::Add(a), IntChange::Add(b)) => add(*a, *b).map(IntChange::Add),
        };
        sum.map_or(Composed::Separate, Composed::One)
    }
}
