//! Persistent values: what topics hold and changes carry.
//!
//! A [`Value`] is a tree of lists, dicts, strings and scalars whose copies share structure: a clone is
//! a pointer, and an edit of a large value copies only the path to what it touches. This floor knows
//! nothing of changes, topics or time, and never reads or writes anything by itself.
//!
//! | module | holds |
//! |---|---|
//! | `list` | [`List`], a counted B+ tree |
//! | `text` | [`Text`], a string: inline, shared, or a rope |
//! | `dict` | [`Dict`], an ordered map from [`Key`] to [`Value`] |
//! | `fields` | [`Fields`], the named parts of one encoded change |
//! | `decode` | values out of JSON and MessagePack, within the [`limits`] |
//! | `json` | to and from `serde_json::Value`, for hosts |
//! | `wide` | whole numbers in JSON that do not fit in 64 bits |

pub(crate) mod decode;
pub(crate) mod dict;
pub(crate) mod fields;
pub(crate) mod json;
pub mod limits;
pub(crate) mod list;
pub(crate) mod text;
pub(crate) mod wide;

use std::cmp::Ordering;
use std::fmt;

use serde::ser::{Serialize, SerializeSeq, Serializer};

pub use decode::ValueSeed;
pub use dict::{Dict, Key};
pub use fields::{Fields, FieldsSeed};
pub use limits::{Allowed, Invalid, LimitError};
pub use list::{Iter as ListIter, List, OutOfBounds};
pub use text::Text;

/// Any value that a topic can hold, in 24 bytes.
///
/// Equality and order are by content, and numbers compare by value: `1` equals `1.0`. The order is
/// total and the same everywhere: null, booleans, numbers, strings, lists, dicts. It is what sorts a set.
///
/// A value that came through [`ValueSeed`] or [`Value::check`] holds whole numbers within ±(2^53 − 1),
/// finite floats, and at most [`limits::NESTING_MAX`] nested containers.
#[derive(Clone, Default)]
pub enum Value {
    /// Nothing.
    #[default]
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number within ±(2^53 − 1).
    Int(i64),
    /// A finite number.
    Float(f64),
    /// A text.
    String(Text),
    /// Values in a row.
    List(List<Value>),
    /// Values by key.
    Dict(Dict),
}

const _: () = assert!(size_of::<Value>() == 24);

impl Value {
    /// How many containers nest in this value: 0 for a scalar, 1 for a list of scalars.
    ///
    /// Runs in O(n), n being the number of values in it.
    pub fn nesting(&self) -> usize {
        match self {
            Value::List(list) => 1 + list.iter().map(Value::nesting).max().unwrap_or(0),
            Value::Dict(dict) => 1 + dict.values().map(Value::nesting).max().unwrap_or(0),
            _ => 0,
        }
    }

    /// How many bytes this value takes up when it is encoded, about.
    ///
    /// Runs in O(n), n being the number of values in it.
    pub fn bytes_about(&self) -> usize {
        match self {
            Value::String(text) => 1 + text.len_bytes(),
            Value::List(list) => 1 + list.iter().map(Value::bytes_about).sum::<usize>(),
            Value::Dict(dict) => {
                let entry = |(key, value): (&Key, &Value)| 1 + key.len() + value.bytes_about();
                1 + dict.iter().map(entry).sum::<usize>()
            }
            Value::Float(_) => 9,
            Value::Int(_) => 5,
            Value::Null | Value::Bool(_) => 1,
        }
    }

    /// Checks a value that did not come off the wire against the limits every value keeps.
    ///
    /// Runs in O(n), n being the number of values in it.
    ///
    /// # Errors
    /// The first limit that it breaks; see [`LimitError`].
    pub fn check(&self) -> Result<(), LimitError> {
        self.check_within(limits::NESTING_MAX)
    }

    /// As [`check`](Self::check), with at most `nesting_max` nested containers.
    ///
    /// # Errors
    /// The first limit that it breaks.
    pub fn check_within(&self, nesting_max: usize) -> Result<(), LimitError> {
        let inner = || nesting_max.checked_sub(1).ok_or(LimitError::Nesting);
        match self {
            Value::Int(int) => limits::check_int(*int).map(drop),
            Value::Float(float) => limits::check_float(*float).map(drop),
            Value::List(list) => {
                let inner = inner()?;
                list.iter().try_for_each(|item| item.check_within(inner))
            }
            Value::Dict(dict) => {
                let inner = inner()?;
                dict.values().try_for_each(|value| value.check_within(inner))
            }
            Value::Null | Value::Bool(_) | Value::String(_) => Ok(()),
        }
    }

    /// The name of this value's kind, for messages to people: `"int"`, `"dict"`, …
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Float(_) => "float",
            Value::String(_) => "string",
            Value::List(_) => "list",
            Value::Dict(_) => "dict",
        }
    }

    /// The text of a string value.
    pub fn as_text(&self) -> Option<&Text> {
        match self {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The whole number in this value; a float without a fraction counts as one.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Value::Int(int) => Some(*int),
            Value::Float(float) => limits::whole(*float),
            _ => None,
        }
    }

    /// The number in this value.
    pub fn as_float(&self) -> Option<f64> {
        match self {
            Value::Int(int) => Some(*int as f64),
            Value::Float(float) => Some(*float),
            _ => None,
        }
    }

    /// Ranks the kinds for [`Ord`]; the two kinds of number share a rank.
    fn rank(&self) -> u8 {
        match self {
            Value::Null => 0,
            Value::Bool(_) => 1,
            Value::Int(_) | Value::Float(_) => 2,
            Value::String(_) => 3,
            Value::List(_) => 4,
            Value::Dict(_) => 5,
        }
    }
}

impl Ord for Value {
    fn cmp(&self, other: &Self) -> Ordering {
        use Value::*;
        match (self, other) {
            (Bool(a), Bool(b)) => a.cmp(b),
            (Int(a), Int(b)) => a.cmp(b),
            (String(a), String(b)) => a.cmp(b),
            (List(a), List(b)) => a.cmp(b),
            (Dict(a), Dict(b)) => a.cmp(b),
            // Exact: ints within ±(2^53 − 1) are floats too. Adding zero makes −0.0 equal to 0.0.
            (Int(_) | Float(_), Int(_) | Float(_)) => {
                let number = |value: &Value| value.as_float().map_or(0.0, |float| float + 0.0);
                number(self).total_cmp(&number(other))
            }
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            // Lists and dicts have shortcuts for shared structure that an order cannot take.
            (Value::List(a), Value::List(b)) => a == b,
            (Value::Dict(a), Value::Dict(b)) => a == b,
            _ => self.cmp(other) == Ordering::Equal,
        }
    }
}

impl Eq for Value {}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str("null"),
            Value::Bool(bool) => bool.fmt(f),
            Value::Int(int) => int.fmt(f),
            Value::Float(float) => float.fmt(f),
            Value::String(text) => text.fmt(f),
            Value::List(list) => list.fmt(f),
            Value::Dict(dict) => dict.fmt(f),
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(bool) => serializer.serialize_bool(*bool),
            Value::Int(int) => serializer.serialize_i64(*int),
            Value::Float(float) => serializer.serialize_f64(*float),
            Value::String(text) => text.serialize(serializer),
            Value::List(list) => {
                let mut seq = serializer.serialize_seq(Some(list.len()))?;
                for item in list {
                    seq.serialize_element(item)?;
                }
                seq.end()
            }
            Value::Dict(dict) => dict.serialize(serializer),
        }
    }
}

macro_rules! value_from {
    ($($from:ty => |$it:ident| $value:expr),* $(,)?) => {
        $(impl From<$from> for Value {
            fn from($it: $from) -> Value {
                $value
            }
        })*
    };
}

value_from! {
    bool => |it| Value::Bool(it),
    i32 => |it| Value::Int(it.into()),
    u32 => |it| Value::Int(it.into()),
    i64 => |it| Value::Int(it),
    f64 => |it| Value::Float(it),
    &str => |it| Value::String(it.into()),
    String => |it| Value::String(it.into()),
    Text => |it| Value::String(it),
    Key => |it| Value::String(it.into()),
    List<Value> => |it| Value::List(it),
    Vec<Value> => |it| Value::List(it.into()),
    Dict => |it| Value::Dict(it),
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(it: Option<T>) -> Value {
        it.map_or(Value::Null, Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_compare_by_value() {
        assert_eq!(Value::Int(1), Value::Float(1.0));
        assert_eq!(Value::Float(0.0), Value::Float(-0.0));
        assert_eq!(Value::Int(0), Value::Float(-0.0));
        assert!(Value::Int(1) < Value::Float(1.5));
        assert!(Value::Float(1.5) < Value::Int(2));
        assert_ne!(Value::Bool(true), Value::Int(1));
    }

    #[test]
    fn kinds_have_one_order() {
        let sorted: [Value; 6] = [
            Value::Null,
            false.into(),
            7.into(),
            "a".into(),
            Vec::new().into(),
            Dict::default().into(),
        ];
        assert!(sorted.is_sorted());
        assert!(sorted.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn check_finds_what_no_value_may_hold() {
        assert_eq!(Value::Float(f64::NAN).check(), Err(LimitError::NotFinite));
        assert_eq!(Value::Int(1 << 53).check(), Err(LimitError::IntRange));
        let mut nested = Value::Null;
        for _ in 0..limits::NESTING_MAX {
            nested = vec![nested].into();
        }
        assert_eq!(nested.check(), Ok(()));
        assert_eq!(nested.nesting(), limits::NESTING_MAX);
        assert_eq!(Value::from(vec![nested]).check(), Err(LimitError::Nesting));
    }
}
