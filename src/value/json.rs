//! Values to and from `serde_json::Value`, so that a host can write `json!({…})` and use `derive`.
//!
//! Nothing on the server's way goes through here: messages decode into [`Value`] directly.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Dict, Invalid, List, Value};

impl From<serde_json::Value> for Value {
    /// Takes the value as it is, limits unchecked: what is made of it is checked where it is used.
    fn from(json: serde_json::Value) -> Value {
        match json {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::Bool(bool) => Value::Bool(bool),
            serde_json::Value::Number(number) => match number.as_i64() {
                Some(int) => Value::Int(int),
                // A `u64` beyond `i64` is beyond every limit of ours, and stays so.
                None if number.is_u64() => Value::Int(i64::MAX),
                None => Value::Float(number.as_f64().unwrap_or(f64::INFINITY)),
            },
            serde_json::Value::String(string) => string.into(),
            serde_json::Value::Array(items) => {
                Value::List(items.into_iter().map(Value::from).collect::<List<Value>>())
            }
            serde_json::Value::Object(entries) => Value::Dict(
                entries
                    .into_iter()
                    .map(|(key, value)| (key.into(), Value::from(value)))
                    .collect::<Dict>(),
            ),
        }
    }
}

impl From<&Value> for serde_json::Value {
    fn from(value: &Value) -> serde_json::Value {
        match value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(bool) => (*bool).into(),
            Value::Int(int) => (*int).into(),
            Value::Float(float) => (*float).into(),
            Value::String(text) => text.to_string().into(),
            Value::List(list) => list.iter().map(Self::from).collect(),
            Value::Dict(dict) => {
                dict.iter().map(|(key, value)| (key.to_string(), Self::from(value))).collect()
            }
        }
    }
}

impl Value {
    /// The value that a type's `Serialize` describes.
    ///
    /// # Errors
    /// What serde says, or a limit of values.
    pub fn from_serialize(it: &impl Serialize) -> Result<Value, Invalid> {
        let json = serde_json::to_value(it).map_err(|error| Invalid::Other(error.to_string()))?;
        let value = Value::from(json);
        value.check()?;
        Ok(value)
    }

    /// Reads this value as a type that has `Deserialize`.
    ///
    /// # Errors
    /// What serde says: a field that is missing, a type that does not fit.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, Invalid> {
        T::deserialize(serde_json::Value::from(self))
            .map_err(|error| Invalid::Other(error.to_string()))
    }
}
