//! proptest strategies for cases of the laws: a tape of numbers, read by [`generate`](crate::generate).
//!
//! Each part of a case has a tape of its own, so that one can shrink while the others stay. A tape
//! shrinks towards zeros and towards nothing, which reads as zeros, and 0 is the simplest choice.

use proptest::prelude::*;
use topicsync::types::TopicType;

use crate::generate::{Choices, Ends, Generate};

/// Numbers to choose by.
#[derive(Debug, Clone)]
pub struct Tape(std::vec::IntoIter<u32>);

impl Choices for Tape {
    fn next(&mut self) -> u32 {
        self.0.next().unwrap_or(0)
    }
}

pub fn tape() -> impl Strategy<Value = Tape> {
    prop::collection::vec(any::<u32>(), 0..64).prop_map(|numbers| Tape(numbers.into_iter()))
}

/// A value of `T`.
pub fn value<T: Generate>() -> impl Strategy<Value = T::Value> {
    tape().prop_map(|mut tape| T::value(&mut tape))
}

/// A change of `T` that may fit no value at hand.
pub fn wild_change<T: Generate>() -> impl Strategy<Value = T::Change> {
    (tape(), any::<bool>()).prop_map(|(mut tape, wild)| {
        if wild {
            return T::wild_change(&mut tape);
        }
        let value = T::value(&mut tape);
        T::change(&mut tape, &value, Ends::Allowed)
    })
}

/// A value, and a change that fits it.
pub fn change<T: Generate>(ends: Ends) -> impl Strategy<Value = (T::Value, T::Change)> {
    (value::<T>(), tape()).prop_map(move |(value, mut tape)| {
        let change = T::change(&mut tape, &value, ends);
        (value, change)
    })
}

/// A value, and two changes made on it.
pub fn pair<T: Generate>(ends: Ends) -> impl Strategy<Value = (T::Value, T::Change, T::Change)> {
    (change::<T>(ends), tape()).prop_map(move |((value, first), mut tape)| {
        let second = T::change(&mut tape, &value, ends);
        (value, first, second)
    })
}

/// A value, and up to `max` changes in a row, each made on what the one before leaves.
pub fn run<T: Generate>(
    ends: Ends,
    max: usize,
) -> impl Strategy<Value = (T::Value, Vec<T::Change>)> {
    (value::<T>(), prop::collection::vec(tape(), 0..=max)).prop_map(move |(value, mut tapes)| {
        let changes = run_on::<T>(&value, &mut tapes, ends);
        (value, changes)
    })
}

/// A value, and two runs made on it, of up to `max` changes each.
pub fn two_runs<T: Generate>(
    ends: Ends,
    max: usize,
) -> impl Strategy<Value = (T::Value, Vec<T::Change>, Vec<T::Change>)> {
    (run::<T>(ends, max), prop::collection::vec(tape(), 0..=max)).prop_map(
        move |((value, first), mut tapes)| {
            let second = run_on::<T>(&value, &mut tapes, ends);
            (value, first, second)
        },
    )
}

fn run_on<T: Generate>(value: &T::Value, tapes: &mut [Tape], ends: Ends) -> Vec<T::Change> {
    let mut value = value.clone();
    let changes = tapes.iter_mut().map(|tape| {
        let change = T::change(tape, &value, ends);
        applied::<T>(&mut value, &change);
        change
    });
    changes.collect()
}

fn applied<T: TopicType>(value: &mut T::Value, change: &T::Change) {
    T::apply(value, change).expect("a change made for the value applies to it");
}
