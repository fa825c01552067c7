//! Changes made at once on a value of each type, alone and in runs: laws 3 and 4.

#![no_main]

use libfuzzer_sys::fuzz_target;
use topicsync::types::run::MaybeChange;
use topicsync::types::{AnyChange, AnyValue, TypeRef};
use topicsync::testkit::checks;
use topicsync::testkit::choices::Choices;
use topicsync::testkit::generate::Generate;
use topicsync_fuzz::{Bytes, TYPES, hold, with_type};

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = Bytes::new(bytes);
    let number = (&mut bytes as &mut dyn Choices).below(TYPES);
    with_type!(number, rebase_all(&mut bytes));
});

fn rebase_all<T: Generate>(bytes: &mut Bytes) {
    let value = T::value(bytes);
    let (ours, theirs) = (run::<T>(bytes, &value), run::<T>(bytes, &value));
    let (incoming, accepted) = (&ours[0], &theirs[0]);
    hold(checks::square_closes::<T>(&value, incoming, accepted));
    hold(checks::what_follows_survives::<T>(&value, incoming, accepted));
    if let [first, second, ..] = &theirs[..]
        && T::REBASES_OVER_COMPOSED
    {
        hold(checks::rebases_over_composed::<T>(&value, incoming, first, second));
    }
    // Pairs that no one value takes.
    let wild = T::wild_change(bytes);
    for change in ours.iter().chain(&theirs) {
        hold(checks::rebase_is_total::<T>(change, &wild));
        hold(checks::rebase_is_total::<T>(&wild, change));
    }
    let kind = TypeRef::of::<T>();
    let (value, ours, theirs) = (AnyValue::new::<T>(value), erased::<T>(ours), erased::<T>(theirs));
    hold(checks::run_square_closes(kind, &value, &ours, &theirs));
    hold(checks::rest_of_run_closes(kind, &value, &ours, &theirs[0]));
}

/// One to four changes, each made on what the one before leaves.
fn run<T: Generate>(bytes: &mut Bytes, value: &T::Value) -> Vec<T::Change> {
    let mut value = value.clone();
    let len = 1 + (bytes as &mut dyn Choices).below(4);
    let changes = (0..len).map(|_| {
        let change = T::change(bytes, &value);
        // "The end" goes without a base, so it is rebased as the position that it names.
        let exact = T::resolve(&change, &value).expect("made for this value");
        let change = exact.filter(|_| !T::takes_base(&change)).unwrap_or(change);
        T::apply(&mut value, &change).expect("made for this value");
        change
    });
    changes.collect()
}

fn erased<T: Generate>(changes: Vec<T::Change>) -> Vec<MaybeChange> {
    changes.into_iter().map(AnyChange::new::<T>).map(Some).collect()
}
