//! Values out of any serde format, within the limits, at a cost bounded by the input.
//!
//! A message whose value breaks a limit must still be read to its end: its sender is told which change
//! it was. So reading is *lenient*: [`ValueSeed`] notes the first [`LimitError`], puts null in place
//! of what broke it, and goes on.

use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use super::{Dict, Key, LimitError, Value, limits};

/// How many items a length prefix makes us reserve at most: it may claim billions.
const RESERVE_MAX: usize = 1024;

/// Reads one value; what breaks a limit becomes null, and the first such limit is noted.
pub struct ValueSeed<'a> {
    /// The first limit that was broken.
    pub problem: &'a mut Option<LimitError>,
    /// How many more containers may nest.
    pub nesting: usize,
}

impl<'a> ValueSeed<'a> {
    /// Reads a value of as many nested containers as any may have.
    pub fn new(problem: &'a mut Option<LimitError>) -> ValueSeed<'a> {
        ValueSeed { problem, nesting: limits::NESTING_MAX }
    }

    fn problem(self, problem: LimitError) -> Value {
        self.problem.get_or_insert(problem);
        Value::Null
    }
}

impl<'de> DeserializeSeed<'de> for ValueSeed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, bool: bool) -> Result<Value, E> {
        Ok(Value::Bool(bool))
    }

    fn visit_i64<E: Error>(self, int: i64) -> Result<Value, E> {
        Ok(limits::check_int(int).map_or_else(|error| self.problem(error), Value::Int))
    }

    fn visit_u64<E: Error>(self, int: u64) -> Result<Value, E> {
        // What does not fit an `i64` is beyond the limit anyway.
        self.visit_i64(i64::try_from(int).unwrap_or(i64::MAX))
    }

    fn visit_f64<E>(self, float: f64) -> Result<Value, E> {
        Ok(limits::check_float(float).map_or_else(|error| self.problem(error), Value::Float))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_bytes<E>(self, _: &[u8]) -> Result<Value, E> {
        Ok(self.problem(LimitError::Binary))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let Some(nesting) = self.nesting.checked_sub(1) else {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(self.problem(LimitError::Nesting));
        };
        let mut items = Vec::with_capacity(seq.size_hint().unwrap_or(0).min(RESERVE_MAX));
        while let Some(item) =
            seq.next_element_seed(ValueSeed { problem: self.problem, nesting })?
        {
            items.push(item);
        }
        Ok(items.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let Some(nesting) = self.nesting.checked_sub(1) else {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(self.problem(LimitError::Nesting));
        };
        let mut entries = Vec::with_capacity(map.size_hint().unwrap_or(0).min(RESERVE_MAX));
        while let Some(key) = map.next_key_seed(KeySeed)? {
            let value = map.next_value_seed(ValueSeed { problem: self.problem, nesting })?;
            entries.push((key, value));
        }
        Ok(match Dict::from_entries(entries) {
            Ok(dict) => Value::Dict(dict),
            Err(_) => self.problem(LimitError::DuplicateKey),
        })
    }
}

/// Reads a key without an allocation of its own where it is short.
pub(crate) struct KeySeed;

impl<'de> DeserializeSeed<'de> for KeySeed {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Key, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySeed {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E>(self, text: &str) -> Result<Key, E> {
        Ok(text.into())
    }
}

impl<'de> Deserialize<'de> for Value {
    /// Strict: a value that breaks a limit is an error.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
        let mut problem = None;
        let value = ValueSeed::new(&mut problem).deserialize(deserializer)?;
        problem.map_or(Ok(value), |problem| Err(D::Error::custom(problem)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lenient(json: &str) -> (Value, Option<LimitError>) {
        let mut problem = None;
        let mut deserializer = serde_json::Deserializer::from_str(json);
        let value = ValueSeed::new(&mut problem).deserialize(&mut deserializer).unwrap();
        deserializer.end().unwrap();
        (value, problem)
    }

    #[test]
    fn what_breaks_a_limit_is_noted_and_read_past() {
        let (value, problem) = lenient("[1, 9007199254740992, 2]");
        assert_eq!(value, vec![1.into(), Value::Null, 2.into()].into());
        assert_eq!(problem, Some(LimitError::IntRange));
        assert_eq!(lenient("[18446744073709551615]").1, Some(LimitError::IntRange));
        assert_eq!(lenient(r#"{"a":1,"a":2}"#).1, Some(LimitError::DuplicateKey));
    }

    #[test]
    fn nesting_of_10000_is_read_past() {
        let json = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        assert_eq!(lenient(&json).1, Some(LimitError::Nesting));
        let deepest = format!("{}{}", "[".repeat(100), "]".repeat(100));
        assert_eq!(lenient(&deepest).1, None);
    }

    #[test]
    fn messagepack_can_carry_what_json_cannot() {
        let bytes = rmp_serde::to_vec(&(f64::NAN, 1)).unwrap();
        let mut problem = None;
        let mut deserializer = rmp_serde::Deserializer::from_read_ref(&bytes);
        ValueSeed::new(&mut problem).deserialize(&mut deserializer).unwrap();
        assert_eq!(problem, Some(LimitError::NotFinite));
        assert!(rmp_serde::from_slice::<Value>(&bytes).is_err());
    }

    #[test]
    fn a_length_that_lies_reserves_little() {
        // An array that claims 2^32 − 1 items and ends.
        assert!(rmp_serde::from_slice::<Value>(&[0xdd, 0xff, 0xff, 0xff, 0xff]).is_err());
    }
}
