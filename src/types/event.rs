//! `event`: something that happens, in one order with all else, and leaves nothing behind.

use super::{Conflict, Rebased, TopicType, Writes, unknown_change};
use crate::value::{Dict, Fields, Invalid, Value};

/// The type of a topic that holds nothing and passes on what is emitted.
pub struct Event;

/// An event, with its arguments by name.
#[derive(Debug, Clone, PartialEq)]
pub struct Emit(pub Dict);

impl TopicType for Event {
    type Value = ();
    type Change = Emit;

    const NAME: &'static str = "event";
    const STATEFUL: bool = false;

    fn initial() {}

    fn decode_value(value: &Value) -> Result<(), Invalid> {
        match value {
            Value::Null => Ok(()),
            other => Err(Invalid::ValueType { expected: "null", found: other.kind() }),
        }
    }

    fn encode_value((): &()) -> Value {
        Value::Null
    }

    fn decode_change(fields: &Fields) -> Result<Emit, Invalid> {
        if fields.change_type() != "emit" {
            return Err(unknown_change::<Event>(fields));
        }
        match fields.get("args") {
            None | Some(Value::Null) => Ok(Emit(Dict::new())),
            Some(Value::Dict(args)) => Ok(Emit(args.clone())),
            Some(other) => {
                Err(Invalid::FieldType { field: "args", expected: "a dict", found: other.kind() })
            }
        }
    }

    fn encode_change(change: &Emit) -> Fields {
        Fields::of_type("emit").with("args", change.0.clone())
    }

    fn apply((): &mut (), _change: &Emit) -> Result<(), Invalid> {
        Ok(())
    }

    fn rebase(incoming: &Emit, accepted: &Emit) -> Result<Rebased<Emit>, Conflict> {
        Ok(Rebased::unaffected(incoming, accepted))
    }

    fn invert(_change: &Emit, (): &()) -> Option<Emit> {
        None
    }

    fn writes(_change: &Emit, (): &()) -> Writes {
        Writes::Nothing
    }
}
