//! Changes in a row on a value of each type, some of which do not fit it: laws 1, 2, 5 and 6.

#![no_main]

use libfuzzer_sys::fuzz_target;
use topicsync::types::{AnyChange, AnyValue, TypeRef};
use topicsync::testkit::checks;
use topicsync::testkit::choices::Choices;
use topicsync::testkit::generate::Generate;
use topicsync_fuzz::{Bytes, TYPES, hold, with_type};

/// How many changes one input makes at most.
const CHANGES_MAX: usize = 64;

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = Bytes::new(bytes);
    let number = (&mut bytes as &mut dyn Choices).below(TYPES);
    with_type!(number, apply_in_turn(&mut bytes));
});

fn apply_in_turn<T: Generate>(bytes: &mut Bytes) {
    let start = T::value(bytes);
    hold(checks::value_survives::<T>(&start));
    let mut value = start.clone();
    let mut changes: Vec<T::Change> = Vec::new();
    while !bytes.is_empty() && changes.len() < CHANGES_MAX {
        if (bytes as &mut dyn Choices).once_in(8) {
            let wild = T::wild_change(bytes);
            hold(checks::change_survives::<T>(&wild));
            hold(checks::apply_is_a_function::<T>(&value, &wild));
        }
        let before = value.clone();
        let change = T::change(bytes, &value);
        hold(checks::change_survives::<T>(&change));
        hold(checks::apply_is_a_function::<T>(&value, &change));
        hold(checks::inverse_restores::<T>(&value, &change));
        hold(checks::resolving_keeps_the_effect::<T>(&value, &change));
        T::apply(&mut value, &change).expect("made for this value");
        if (bytes as &mut dyn Choices).once_in(4) {
            let second = T::change(bytes, &value);
            hold(checks::compose_agrees::<T>(&before, &change, &second));
        }
        changes.push(change);
    }
    hold(checks::value_survives::<T>(&value));
    let changes: Vec<_> = changes.into_iter().map(AnyChange::new::<T>).collect();
    let (kind, start) = (TypeRef::of::<T>(), AnyValue::new::<T>(start));
    hold(checks::composing_all_agrees(kind, &start, &changes));
}
