//! What the fuzz targets share: the checks and generators of the property tests, fed from bytes.
//!
//! ```text
//! mkdir -p fuzz/target/corpus/TARGET
//! cargo fuzz run -s none TARGET fuzz/target/corpus/TARGET fuzz/corpus/TARGET -- -max_total_time=60
//! ```
//!
//! What a run finds worth keeping goes to the first folder; `fuzz/corpus` holds the seeds alone, as
//! `fuzz/seeds.py` writes them. `-s none` does without a sanitizer, which would need a nightly
//! compiler.

use arbitrary::Unstructured;
use serde::Serialize;
use topicsync::protocol::Encoding;
use topicsync::protocol::{Frame, FrameError, RawMessage, decode_binary, decode_text};
use topicsync::protocol::encode;
use topicsync::testkit::{Found, checks};
use topicsync::testkit::choices::Choices;
use topicsync::types::{Registry, TypeRef};
use topicsync::value::{Fields, Value};

/// Choices out of a fuzzer's bytes: one byte each, as few of them are of more than 256 things.
pub struct Bytes<'a>(pub Unstructured<'a>);

impl<'a> Bytes<'a> {
    pub fn new(bytes: &'a [u8]) -> Bytes<'a> {
        Bytes(Unstructured::new(bytes))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Choices for Bytes<'_> {
    fn next(&mut self) -> u32 {
        match self.0.arbitrary::<u8>() {
            // The largest one announces a whole number.
            Ok(u8::MAX) => self.0.arbitrary().unwrap_or(0),
            Ok(byte) => byte.into(),
            Err(_) => 0,
        }
    }
}

/// Calls a generic function with the built-in type that `$number` names.
#[macro_export]
macro_rules! with_type {
    ($number:expr, $function:ident($($argument:expr),*)) => {{
        use topicsync::types;
        match $number {
            0 => $function::<types::String>($($argument),*),
            1 => $function::<types::List>($($argument),*),
            2 => $function::<types::Dict>($($argument),*),
            3 => $function::<types::Set>($($argument),*),
            4 => $function::<types::Int>($($argument),*),
            5 => $function::<types::Float>($($argument),*),
            6 => $function::<types::Generic>($($argument),*),
            7 => $function::<types::Bool>($($argument),*),
            _ => $function::<types::Event>($($argument),*),
        }
    }};
}

/// How many types [`with_type`] knows.
pub const TYPES: usize = 9;

/// Stops the fuzzer where a law is broken.
pub fn hold<T>(checked: Result<T, String>) -> T {
    checked.unwrap_or_else(|broken| panic!("{broken}"))
}

/// Checks that a value which was read is within its limits, and is read again as it was written.
pub fn check_value(value: &Value) -> Found {
    value.check().map_err(|error| error.to_string())?;
    let text = serde_json::to_string(value).map_err(|error| error.to_string())?;
    let again = checks::value_from_json(&text)?;
    equal(&text, &serde_json::to_string(&again).unwrap())?;
    let bytes = rmp_serde::to_vec(value).map_err(|error| error.to_string())?;
    let again = checks::value_from_msgpack(&bytes)?;
    equal(&text, &serde_json::to_string(&again).unwrap())?;
    for kind in kinds() {
        if let Ok(decoded) = kind.decode_value(value) {
            let encoded = kind.encode_value(&decoded);
            let again = kind.decode_value(&encoded).map_err(|error| error.to_string())?;
            equal(&decoded, &again)?;
        }
    }
    Ok(())
}

/// Checks that every type reads these fields or refuses them, and reads what it read as it wrote it.
pub fn check_fields(fields: &Fields) -> Found {
    for kind in kinds() {
        let Ok(change) = kind.decode_change(fields) else { continue };
        let encoded = kind.encode_change(&change);
        let text = serde_json::to_string(&encoded).map_err(|error| error.to_string())?;
        let bytes = rmp_serde::to_vec(&encoded).map_err(|error| error.to_string())?;
        for again in [checks::fields_from_json(&text)?, checks::fields_from_msgpack(&bytes)?] {
            let again = kind.decode_change(&again).map_err(|error| format!("{text}: {error}"))?;
            equal(&change, &again)?;
            equal(&text, &serde_json::to_string(&kind.encode_change(&again)).unwrap())?;
        }
    }
    Ok(())
}

fn kinds() -> impl Iterator<Item = TypeRef> {
    let registry = Registry::default();
    let names: Vec<_> = registry.names().collect();
    names.into_iter().filter_map(move |name| registry.get(name))
}

fn equal<T: PartialEq + std::fmt::Debug>(left: &T, right: &T) -> Found {
    if left == right { Ok(()) } else { Err(format!("not the same:\n  {left:?}\n  {right:?}")) }
}

/// Checks that each message of a frame is understood by one side or refused, and that what was
/// understood is read as it is written, in both encodings.
pub fn check_frame(frame: Frame) -> Found {
    for message in frame {
        if let Ok(message) = message.clone().client() {
            for again in encoded_again(&message)? {
                equal(&Ok(&message), &again.client().as_ref())?;
            }
        }
        if let Ok(message) = message.server() {
            for again in encoded_again(&message)? {
                equal(&Ok(&message), &again.server().as_ref())?;
            }
        }
    }
    Ok(())
}

/// A message out of what it is written as, in each encoding.
fn encoded_again(message: &impl Serialize) -> Result<[RawMessage; 2], String> {
    let text = String::from_utf8(encode(message, Encoding::Json));
    let text = decode_text(&text.map_err(|error| error.to_string())?);
    let bytes = decode_binary(&encode(message, Encoding::MessagePack));
    let one = |frame: Result<Frame, FrameError>| match frame {
        Ok(Frame::One(message)) => Ok(message),
        other => Err(format!("{other:?}")),
    };
    Ok([one(text)?, one(bytes)?])
}
