//! Laws 1 to 6 of topic types, and those of runs of changes: a test for each law, for both types.

use std::cell::Cell;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use topicsync::types::run::MaybeChange;
use topicsync::types::{AnyChange, AnyValue, TopicType, TypeRef};

use super::checks::{self, Checked};
use super::invariants::assert_invariants;
use super::strategies::{Tape, change, pick, tape, value};
use crate::change::GraphChange;
use crate::graph::Graph;
use crate::value::GraphValue;

/// Runs a check on random cases. A check gives whether its law had something to say; it must have, often
/// enough.
fn check<S: Strategy>(strategy: S, check: impl Fn(S::Value) -> Result<bool, String>) {
    let config = Config { failure_persistence: None, ..Config::default() };
    let (cases, counted) = (config.cases, Cell::new(0_u32));
    let result = TestRunner::new(config).run(&strategy, |case| {
        let said_something = check(case).map_err(TestCaseError::fail)?;
        counted.set(counted.get() + u32::from(said_something));
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
    assert!(counted.get() >= cases / 64, "only {} of {cases} cases say something", counted.get());
}

fn always(checked: Checked) -> Result<bool, String> {
    checked.map(|()| true)
}

fn with_change<const A: bool>() -> impl Strategy<Value = (GraphValue, GraphChange)> {
    value::<A>().prop_flat_map(|graph| (Just(graph.clone()), change::<A>(&graph)))
}

/// A change that fits some other graph.
fn wild_change<const A: bool>() -> impl Strategy<Value = GraphChange> {
    with_change::<A>().prop_map(|(_, change)| change)
}

/// Up to `max` changes in a row, each made on what the one before leaves, in the form that takes a base.
fn run<const A: bool>(graph: &GraphValue, tapes: Vec<Tape>) -> Vec<GraphChange> {
    let mut graph = graph.clone();
    let make = |mut tape| {
        let picked = pick::<A>(&graph, &mut tape);
        let exact = Graph::<A>::resolve(&picked, &graph).unwrap().unwrap_or(picked);
        Graph::<A>::apply(&mut graph, &exact).unwrap();
        exact
    };
    tapes.into_iter().map(make).collect()
}

fn tapes(max: usize) -> impl Strategy<Value = Vec<Tape>> {
    prop::collection::vec(tape(), 0..=max)
}

fn with_run<const A: bool>(max: usize) -> impl Strategy<Value = (GraphValue, Vec<GraphChange>)> {
    (value::<A>(), tapes(max)).prop_map(|(graph, tapes)| {
        let changes = run::<A>(&graph, tapes);
        (graph, changes)
    })
}

fn with_two_runs<const A: bool>(
    max: usize,
) -> impl Strategy<Value = (GraphValue, Vec<GraphChange>, Vec<GraphChange>)> {
    (value::<A>(), tapes(max), tapes(max)).prop_map(|(graph, first, second)| {
        let (first, second) = (run::<A>(&graph, first), run::<A>(&graph, second));
        (graph, first, second)
    })
}

fn erased<const A: bool>(changes: Vec<GraphChange>) -> Vec<AnyChange> {
    changes.into_iter().map(AnyChange::new::<Graph<A>>).collect()
}

fn erased_run<const A: bool>(changes: Vec<GraphChange>) -> Vec<MaybeChange> {
    erased::<A>(changes).into_iter().map(Some).collect()
}

fn law_1<const A: bool>() {
    check(with_change::<A>(), |(graph, change)| {
        always(checks::apply_is_a_function::<Graph<A>>(&graph, &change))
    });
}

fn law_1_wild<const A: bool>() {
    check((value::<A>(), wild_change::<A>()), |(graph, change)| {
        always(checks::apply_is_a_function::<Graph<A>>(&graph, &change))
    });
}

fn law_2<const A: bool>() {
    check(with_change::<A>(), |(graph, change)| {
        always(checks::inverse_restores::<Graph<A>>(&graph, &change))
    });
}

fn law_3<const A: bool>() {
    check((wild_change::<A>(), wild_change::<A>()), |(incoming, accepted)| {
        always(checks::rebase_is_total::<Graph<A>>(&incoming, &accepted))
    });
}

/// And what comes out keeps the invariants.
fn law_4<const A: bool>() {
    check(with_two_runs::<A>(1), |(graph, incoming, accepted)| {
        let ([incoming], [accepted]) = (&incoming[..], &accepted[..]) else { return Ok(false) };
        let closes = checks::square_closes::<Graph<A>>(&graph, incoming, accepted)?;
        if let Ok(rebased) = Graph::<A>::rebase(incoming, accepted) {
            let mut after = graph;
            Graph::<A>::apply(&mut after, accepted).unwrap();
            let _ = rebased.incoming.map(|carried| Graph::<A>::apply(&mut after, &carried));
            assert_invariants(&after, A);
        }
        Ok(closes)
    });
}

fn law_5<const A: bool>() {
    check(with_run::<A>(2), |(graph, changes)| match &changes[..] {
        [first, second] => checks::compose_agrees::<Graph<A>>(&graph, first, second),
        _ => Ok(false),
    });
}

fn law_6<const A: bool>() {
    check(value::<A>(), |graph| always(checks::value_survives::<Graph<A>>(&graph)));
    check(wild_change::<A>(), |change| always(checks::change_survives::<Graph<A>>(&change)));
    check(with_two_runs::<A>(1), |(graph, incoming, accepted)| {
        let ([incoming], [accepted]) = (&incoming[..], &accepted[..]) else { return Ok(false) };
        always(checks::what_follows_survives::<Graph<A>>(&graph, incoming, accepted))
    });
}

fn resolving<const A: bool>() {
    check(with_change::<A>(), |(graph, change)| {
        always(checks::resolving_keeps_the_effect::<Graph<A>>(&graph, &change))
    });
}

fn run_square<const A: bool>() {
    check(with_two_runs::<A>(3), |(graph, run, accepted)| {
        let (run, accepted) = (erased_run::<A>(run), erased_run::<A>(accepted));
        let graph = AnyValue::new::<Graph<A>>(graph);
        checks::run_square_closes(TypeRef::of::<Graph<A>>(), &graph, &run, &accepted)
    });
}

fn rest_of_run<const A: bool>() {
    check(with_two_runs::<A>(4), |(graph, run, accepted)| {
        let (run, mut accepted) = (erased_run::<A>(run), erased_run::<A>(accepted));
        let (kind, graph) = (TypeRef::of::<Graph<A>>(), AnyValue::new::<Graph<A>>(graph));
        let accepted = accepted.first_mut().and_then(Option::take);
        always(checks::rest_of_run_closes(kind, &graph, &run, &accepted).map(drop))
    });
}

fn first_taken_out<const A: bool>() {
    check(with_run::<A>(4), |(graph, run)| {
        let Some((first, rest)) = run.split_first() else { return Ok(false) };
        let inverse = Graph::<A>::invert(first, &graph).map(AnyChange::new::<Graph<A>>);
        let mut after = graph;
        Graph::<A>::apply(&mut after, first).map_err(|error| error.to_string())?;
        let (kind, after) = (TypeRef::of::<Graph<A>>(), AnyValue::new::<Graph<A>>(after));
        let rest = erased_run::<A>(rest.to_vec());
        always(checks::rest_of_run_closes(kind, &after, &rest, &inverse).map(drop))
    });
}

fn composing_all<const A: bool>() {
    check(with_run::<A>(9), |(graph, changes)| {
        let (kind, graph) = (TypeRef::of::<Graph<A>>(), AnyValue::new::<Graph<A>>(graph));
        always(checks::composing_all_agrees(kind, &graph, &erased::<A>(changes)))
    });
}

macro_rules! laws {
    ($($name:ident: $acyclic:literal,)*) => {
        $(laws!(@tests $name $acyclic:
            law_1_apply_is_a_function = law_1,
            law_1_a_failed_apply_leaves_the_value = law_1_wild,
            law_2_the_inverse_restores = law_2,
            law_3_rebase_is_total = law_3,
            law_4_the_square_closes = law_4,
            law_5_compose_agrees = law_5,
            law_6_changes_and_values_survive_every_encoding = law_6,
            resolving_keeps_the_effect = resolving,
            the_square_of_a_run_closes = run_square,
            the_square_of_the_rest_of_a_run_closes = rest_of_run,
            a_change_can_be_taken_out_of_a_run = first_taken_out,
            composing_a_list_of_changes_agrees = composing_all,
        );)*
    };
    (@tests $name:ident $acyclic:literal: $($test:ident = $law:ident,)*) => {
        mod $name {
            $(
                #[test]
                fn $test() {
                    super::$law::<$acyclic>();
                }
            )*
        }
    };
}

laws! {
    graph: false,
    acyclic_graph: true,
}
