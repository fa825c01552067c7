//! The named parts of one encoded change: what a message holds before its topic's type is known.
//!
//! A message may name its topic after the change, so a change is first read as fields, and decoded by
//! its topic's type later. Encoding goes the other way through the same fields, which is why a type
//! never sees JSON or MessagePack.

use std::fmt;

use serde::Serialize;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde::ser::Serializer;

use super::decode::{KeySeed, ValueSeed};
use super::{Invalid, Key, LimitError, Text, Value};

/// A change as named values, in the order of the wire; `type` is one of them.
///
/// There are a handful at most in a sound change, so finding one is a scan.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fields(Vec<(Key, Value)>);

/// How many fields one change may have; more are not worth reading.
const FIELDS_MAX: usize = 64;

impl Fields {
    /// The fields of a change of type `change_type`.
    pub fn of_type(change_type: &str) -> Fields {
        let mut fields = Vec::with_capacity(4);
        fields.push((Key::from("type"), change_type.into()));
        Fields(fields)
    }

    /// These fields and one more.
    #[must_use]
    pub fn with(mut self, field: &'static str, value: impl Into<Value>) -> Fields {
        self.0.push((field.into(), value.into()));
        self
    }

    /// Appends a field.
    pub fn push(&mut self, field: Key, value: Value) {
        self.0.push((field, value));
    }

    /// The value of a field.
    pub fn get(&self, field: &str) -> Option<&Value> {
        self.0.iter().find(|(name, _)| name == field).map(|(_, value)| value)
    }

    /// Names and values, in the order of the wire.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Key, &Value)> {
        self.0.iter().map(|(name, value)| (name, value))
    }

    /// The change's type, or the empty string where there is none.
    pub fn change_type(&self) -> &str {
        self.get("type").and_then(Value::as_text).and_then(Text::as_str).unwrap_or("")
    }

    /// Checks the values in it against the limits every value keeps.
    ///
    /// # Errors
    /// The first limit that one breaks.
    pub fn check(&self) -> Result<(), LimitError> {
        self.0.iter().try_for_each(|(_, value)| value.check())
    }

    /// Takes a field out, if it is there.
    pub fn take(&mut self, field: &str) -> Option<Value> {
        let index = self.0.iter().position(|(name, _)| name == field)?;
        Some(self.0.swap_remove(index).1)
    }

    /// A field that has to be there.
    ///
    /// # Errors
    /// [`Invalid::MissingField`].
    pub fn require(&self, field: &'static str) -> Result<&Value, Invalid> {
        self.get(field).ok_or(Invalid::MissingField { field })
    }

    /// A field that is a string.
    ///
    /// # Errors
    /// The field is missing or no string.
    pub fn require_text(&self, field: &'static str) -> Result<Text, Invalid> {
        match self.require(field)? {
            Value::String(text) => Ok(text.clone()),
            other => Err(field_type(field, "a string", other)),
        }
    }

    /// A field that is a key.
    ///
    /// # Errors
    /// The field is missing or no string.
    pub fn require_key(&self, field: &'static str) -> Result<Key, Invalid> {
        match self.require(field)? {
            Value::String(text) => Ok(text.into()),
            other => Err(field_type(field, "a string", other)),
        }
    }

    /// A field that is a whole number; a float without a fraction is one.
    ///
    /// # Errors
    /// The field is missing or no whole number.
    pub fn require_int(&self, field: &'static str) -> Result<i64, Invalid> {
        let value = self.require(field)?;
        value.as_int().ok_or_else(|| field_type(field, "a whole number", value))
    }

    /// A field that is a number.
    ///
    /// # Errors
    /// The field is missing or no number.
    pub fn require_float(&self, field: &'static str) -> Result<f64, Invalid> {
        let value = self.require(field)?;
        value.as_float().ok_or_else(|| field_type(field, "a number", value))
    }

    /// Reads all fields as a type that has `Deserialize`, for hosts whose change is a derived enum
    /// (`#[serde(tag = "type")]`).
    ///
    /// # Errors
    /// What serde says.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, Invalid> {
        Value::Dict(self.0.iter().cloned().collect()).parse()
    }

    /// The fields of a change that has `Serialize`; the counterpart of [`parse`](Self::parse).
    ///
    /// # Errors
    /// What serde says, or that it does not serialize as a map.
    pub fn from_serialize(change: &impl Serialize) -> Result<Fields, Invalid> {
        match Value::from_serialize(change)? {
            Value::Dict(dict) => {
                Ok(Fields(dict.iter().map(|(key, value)| (key.clone(), value.clone())).collect()))
            }
            other => Err(Invalid::ValueType { expected: "a map", found: other.kind() }),
        }
    }
}

fn field_type(field: &'static str, expected: &'static str, found: &Value) -> Invalid {
    Invalid::FieldType { field, expected, found: found.kind() }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

/// Reads the fields of a change leniently, as [`ValueSeed`] reads a value.
pub struct FieldsSeed<'a> {
    /// The first limit that was broken.
    pub problem: &'a mut Option<LimitError>,
}

impl<'de> DeserializeSeed<'de> for FieldsSeed<'_> {
    type Value = Fields;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Fields, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for FieldsSeed<'_> {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a change")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
        let mut fields = Fields(Vec::with_capacity(8));
        while let Some(name) = map.next_key_seed(KeySeed)? {
            let value = map.next_value_seed(ValueSeed::new(self.problem))?;
            if fields.get(&name).is_some() {
                self.problem.get_or_insert(LimitError::DuplicateKey);
            } else if fields.0.len() < FIELDS_MAX {
                fields.0.push((name, value));
            }
        }
        Ok(fields)
    }
}
