//! proptest strategies for values and changes of the built-in types, to be composed into those of
//! others.
//!
//! They favour what makes changes meet: small positions, equal items, a few keys, and now and then an
//! edge.
//!
//! ```
//! use proptest::prelude::*;
//! use topicsync::testkit::strategies;
//! use topicsync::types::List;
//! use topicsync::value::List as ListValue;
//!
//! // A board: a title, and a list that changes as list topics do.
//! let board = (strategies::typed(), strategies::value::<List>());
//! let change = strategies::change::<List>(&ListValue::new());
//! # let _ = (board, change);
//! ```

use proptest::prelude::*;

use super::cases::Cases;
use super::choices::tape;
use super::generate::{self, Generate};
use crate::value::{Key, Value};

/// A value of a built-in type.
pub fn value<T: Generate>() -> impl Strategy<Value = T::Value> + Clone {
    tape().prop_map(|mut tape| T::value(&mut tape))
}

/// A change of a built-in type that fits `value`.
pub fn change<T: Generate>(value: &T::Value) -> impl Strategy<Value = T::Change> + Clone + use<T> {
    let value = value.clone();
    tape().prop_map(move |mut tape| T::change(&mut tape, &value))
}

/// A change of a built-in type that may fit no value at hand.
pub fn wild_change<T: Generate>() -> impl Strategy<Value = T::Change> + Clone {
    (tape(), any::<bool>()).prop_map(|(mut tape, wild)| {
        if wild {
            return T::wild_change(&mut tape);
        }
        let value = T::value(&mut tape);
        T::change(&mut tape, &value)
    })
}

/// All that the laws need of a built-in type.
pub fn cases<T: Generate>() -> Cases<T> {
    let cases = Cases::new(value::<T>(), |value| change::<T>(value)).wild(wild_change::<T>());
    T::SPEAKS.iter().fold(cases, |cases, law| cases.must_speak(*law))
}

/// Any plain value, of up to `depth` nested containers, and rarely about 90.
pub fn any_value(depth: usize) -> impl Strategy<Value = Value> + Clone {
    tape().prop_map(move |mut tape| generate::any_value(&mut tape, depth))
}

/// A key of a dict: mostly one of a few.
pub fn key() -> impl Strategy<Value = Key> + Clone {
    tape().prop_map(|mut tape| generate::key(&mut tape))
}

/// What somebody types: a few letters, emoji and accents, now and then nothing.
pub fn typed() -> impl Strategy<Value = Key> + Clone {
    tape().prop_map(|mut tape| generate::typed(&mut tape))
}

/// A whole number within the range, often at an edge.
pub fn int() -> impl Strategy<Value = i64> + Clone {
    tape().prop_map(|mut tape| generate::int(&mut tape))
}

/// A finite number, often at an edge.
pub fn float() -> impl Strategy<Value = f64> + Clone {
    tape().prop_map(|mut tape| generate::float(&mut tape))
}

/// A multiple of 1/1024 small enough for every sum of some to be exact: for types that add, whose laws
/// rounding would break.
pub fn dyadic() -> impl Strategy<Value = f64> + Clone {
    tape().prop_map(|mut tape| generate::dyadic(&mut tape))
}
