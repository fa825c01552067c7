//! The kit itself: it finds what is wrong with types that are wrong, says which law, and how, briefly.

mod guide;
mod wrong;

use std::panic::{AssertUnwindSafe, catch_unwind};

use proptest::prelude::*;
use topicsync::testkit::{Cases, Failure, Law, Simulation, check_law, replay, replay_seed};
use wrong::{Change, Flaw, Right, Row};

/// A script of more steps than this is none that a person sees through at a glance.
const STEPS_MAX: usize = 5;

fn cases<F: Flaw>() -> Cases<Row<F>> {
    let number = || prop_oneof![(0..9_i32).prop_map(f64::from), Just(0.5), Just(-2.25)];
    let change = move |row: &Vec<f64>| {
        let (len, put) = (row.len(), (0..=row.len(), number()));
        let put = put.prop_map(|(at, number)| Change::Put { at, number });
        let take = (0..len.max(1)).prop_map(|at| Change::Take { at });
        if len == 0 { put.boxed() } else { prop_oneof![put, take].boxed() }
    };
    Cases::new(prop::collection::vec(number(), 0..6), change)
}

topicsync::laws! {
    mod a_right_row = cases::<Right>();
}

/// What a failure says is enough to find it again.
fn check_can_be_replayed<F: Flaw>(failure: &Failure) {
    let again = catch_unwind(AssertUnwindSafe(|| match (failure.law, failure.seed) {
        (Some(law), Some(seed)) => replay_seed(&cases::<F>(), law, seed),
        _ => replay(&cases::<F>(), &failure.script),
    }));
    let panic = again.expect_err("the script shows it again");
    let text = panic.downcast_ref::<String>().expect("it says why");
    assert!(text.contains("is broken by row"), "{text}");
}

fn check_found<F: Flaw>() {
    let failure = check_law(&cases::<F>(), F::BREAKS).expect_err("it is wrong");
    let text = failure.to_string();
    assert_eq!(failure.law, Some(F::BREAKS), "{text}");
    assert!(failure.steps <= STEPS_MAX, "{} steps:\n{text}", failure.steps);
    assert!(text.contains(F::BREAKS.name()) && text.contains("fn it_holds()"), "{text}");
    check_can_be_replayed::<F>(&failure);
    // Nothing that is right is blamed on the way.
    let right = replay_of_right(&failure);
    assert!(right.is_ok() || failure.seed.is_some(), "{text}");
}

fn replay_of_right(failure: &Failure) -> Result<(), Box<dyn std::any::Any + Send>> {
    catch_unwind(AssertUnwindSafe(|| replay(&cases::<Right>(), &failure.script)))
}

/// Clients find it too, where it makes a difference to them.
fn check_found_by_clients<F: Flaw>(laws: &[Law]) {
    // From one seed on, until it is found: chance has no say in it.
    let found = Simulation::of(&cases::<F>()).runs(10_000, 1).run();
    let failure = found.expect_err("it is wrong");
    let law = failure.law.expect("a law");
    assert!(laws.contains(&law), "{failure}");
    assert!(failure.steps <= STEPS_MAX, "{} steps:\n{failure}", failure.steps);
    check_can_be_replayed::<F>(&failure);
    assert!(replay_of_right(&failure).is_ok(), "{failure}");
}

macro_rules! found {
    ($($test:ident = $flaw:ident,)+) => {
        $(#[test]
        fn $test() {
            check_found::<wrong::$flaw>();
        })+
    };
}

found! {
    a_rebase_that_forgets_a_tie_is_found = ForgetsTheTie,
    an_inverse_that_is_off_by_one_is_found = InvertsOffByOne,
    a_compose_that_drops_a_change_is_found = DropsAChange,
    an_apply_that_reads_the_clock_is_found = ReadsTheClock,
    an_encoding_that_loses_a_float_of_a_change_is_found = LosesAFloat,
    an_encoding_that_loses_a_float_of_a_value_is_found = LosesAFloatOfAValue,
    an_apply_that_spoils_what_it_fails_on_is_found = SpoilsTheValue,
    a_rebase_that_panics_is_found = Panics,
    a_resolve_that_does_something_else_is_found = ResolvesToSomethingElse,
    writes_that_are_not_true_are_found = WritesElsewhere,
    differences_that_lead_elsewhere_are_found = DiffersElsewhere,
}

/// By its name alone: a script cannot tell the field from the protocol's either.
#[test]
fn a_field_that_is_named_as_one_of_the_protocol_is_found() {
    let cases = cases::<wrong::NamesAFieldAsTheProtocolDoes>();
    let failure = check_law(&cases, Law::EveryEncodingRoundTrips).expect_err("it is wrong");
    assert!(failure.to_string().contains("has a field \"id\""), "{failure}");
}

#[test]
fn clients_diverge_where_apply_reads_the_clock() {
    check_found_by_clients::<wrong::ReadsTheClock>(&[Law::ReplicasConverge, Law::TheLogReplays]);
}

#[test]
fn clients_diverge_where_a_snapshot_loses_a_float() {
    check_found_by_clients::<wrong::LosesAFloatOfAValue>(&[Law::ReplicasConverge]);
}

#[test]
fn clients_find_a_rebase_that_panics() {
    check_found_by_clients::<wrong::Panics>(&[Law::ReplicasConverge]);
}
