//! `float`: a finite number that is set, or added to.

use super::{Composed, Conflict, Rebased, TopicType, unknown_change};
use crate::value::limits::check_float;
use crate::value::{Fields, Invalid, Value};

/// The type of a topic that holds a number.
pub struct Float;

/// A change of a number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FloatChange {
    /// Puts another number in its place.
    Set(f64),
    /// Adds. The order of additions shows in the last bits only, and the server decides it.
    Add(f64),
}

fn add(a: f64, b: f64) -> Result<f64, Invalid> {
    check_float(a + b).map_err(|_| Invalid::NumberRange)
}

impl TopicType for Float {
    type Value = f64;
    type Change = FloatChange;

    const NAME: &'static str = "float";

    fn initial() -> f64 {
        0.0
    }

    fn decode_value(value: &Value) -> Result<f64, Invalid> {
        let expected = "a number";
        value.as_float().ok_or_else(|| Invalid::ValueType { expected, found: value.kind() })
    }

    fn encode_value(value: &f64) -> Value {
        Value::Float(*value)
    }

    fn decode_change(fields: &Fields) -> Result<FloatChange, Invalid> {
        match fields.change_type() {
            "set" => fields.require_float("value").map(FloatChange::Set),
            "add" => fields.require_float("value").map(FloatChange::Add),
            _ => Err(unknown_change::<Float>(fields)),
        }
    }

    fn encode_change(change: &FloatChange) -> Fields {
        match change {
            FloatChange::Set(value) => Fields::of_type("set").with("value", *value),
            FloatChange::Add(value) => Fields::of_type("add").with("value", *value),
        }
    }

    fn apply(value: &mut f64, change: &FloatChange) -> Result<(), Invalid> {
        *value = match change {
            FloatChange::Set(new) => *new,
            FloatChange::Add(summand) => add(*value, *summand)?,
        };
        Ok(())
    }

    fn rebase(
        incoming: &FloatChange,
        accepted: &FloatChange,
    ) -> Result<Rebased<FloatChange>, Conflict> {
        match (incoming, accepted) {
            (FloatChange::Set(_), _) => Err(Conflict::Changed),
            (FloatChange::Add(summand), FloatChange::Set(value)) => Ok(Rebased {
                incoming: Some(*incoming),
                // Out of range, the incoming change does not apply, and its author is told.
                accepted: Some(FloatChange::Set(add(*value, *summand).unwrap_or(*value))),
            }),
            (FloatChange::Add(_), FloatChange::Add(_)) => {
                Ok(Rebased::unaffected(incoming, accepted))
            }
        }
    }

    fn invert(change: &FloatChange, before: &f64) -> Option<FloatChange> {
        Some(match change {
            FloatChange::Set(_) => FloatChange::Set(*before),
            FloatChange::Add(summand) => FloatChange::Add(-summand),
        })
    }

    /// Two additions stay two: their sum, added at once, may round to another value.
    fn compose(first: &FloatChange, second: &FloatChange) -> Composed<FloatChange> {
        match (first, second) {
            (_, FloatChange::Set(_)) => Composed::One(*second),
            (FloatChange::Set(value), FloatChange::Add(summand)) => add(*value, *summand)
                .map_or(Composed::Separate, |sum| Composed::One(FloatChange::Set(sum))),
            (FloatChange::Add(_), FloatChange::Add(_)) => Composed::Separate,
        }
    }
}
