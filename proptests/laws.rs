//! Laws 1 to 6, and those of runs of changes: a test for each law and each type.
//!
//! Where a law speaks of equality, floats are multiples of 1/1024, whose sums do not round; any
//! floats have a test of their own, up to rounding. Changes that name the end (-1) go without a base,
//! so they are never rebased: law 4 is of changes that take one.

use std::cell::Cell;

use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence, TestRunner};
use topicsync::types::float::{Float, FloatChange};
use topicsync::types::run::MaybeChange;
use topicsync::types::{AnyChange, AnyValue, TopicType, TypeRef};

use crate::checks::{self, Checked};
use crate::generate::{Ends, Generate};
use crate::strategies::{change, pair, run, two_runs, value, wild_change};

/// What the tests need to know of a type beside how to make its changes.
trait Lawful: Generate {
    /// Where cases that failed are kept.
    const REGRESSIONS: &'static str;

    /// Whether two changes of one value can both be kept, and whether two can be composed. It keeps
    /// those tests from holding for want of cases.
    const CARRIES: bool = true;
    const COMPOSES: bool = true;
}

/// Runs a check on random cases, and on those that failed before. A check gives whether its law had
/// something to say.
fn check<T: Lawful, S: Strategy>(
    strategy: S,
    expect_cases: bool,
    check: impl Fn(S::Value) -> Result<bool, String>,
) {
    let persistence = FileFailurePersistence::Direct(T::REGRESSIONS);
    let config = Config {
        failure_persistence: Some(Box::new(persistence)),
        source_file: Some(file!()),
        ..Config::default()
    };
    let cases = config.cases;
    let counted = Cell::new(0_u32);
    let result = TestRunner::new(config).run(&strategy, |case| {
        let said_something = check(case).map_err(TestCaseError::fail)?;
        counted.set(counted.get() + u32::from(said_something));
        Ok(())
    });
    if let Err(error) = result {
        panic!("{}: {error}", T::NAME);
    }
    let enough = !expect_cases || counted.get() >= cases / 64;
    assert!(enough, "the law had something to say in only {} of {cases} cases", counted.get());
}

fn always(checked: Checked) -> Result<bool, String> {
    checked.map(|()| true)
}

fn erased<T: TopicType>(changes: Vec<T::Change>) -> Vec<AnyChange> {
    changes.into_iter().map(AnyChange::new::<T>).collect()
}

fn erased_run<T: TopicType>(changes: Vec<T::Change>) -> Vec<MaybeChange> {
    erased::<T>(changes).into_iter().map(Some).collect()
}

fn law_1<T: Lawful>() {
    check::<T, _>(change::<T>(Ends::Allowed), true, |(value, change)| {
        always(checks::apply_is_a_function::<T>(&value, &change))
    });
}

fn law_1_of_changes_that_do_not_fit<T: Lawful>() {
    check::<T, _>((value::<T>(), wild_change::<T>()), true, |(value, change)| {
        always(checks::apply_is_a_function::<T>(&value, &change))
    });
}

fn law_2<T: Lawful>() {
    check::<T, _>(change::<T>(Ends::Allowed), true, |(value, change)| {
        always(checks::inverse_restores::<T>(&value, &change))
    });
}

fn law_3<T: Lawful>() {
    check::<T, _>((wild_change::<T>(), wild_change::<T>()), true, |(incoming, accepted)| {
        always(checks::rebase_is_total::<T>(&incoming, &accepted))
    });
}

fn law_4<T: Lawful>() {
    check::<T, _>(pair::<T>(Ends::Never), T::CARRIES, |(value, incoming, accepted)| {
        checks::square_closes::<T>(&value, &incoming, &accepted)
    });
}

fn law_5<T: Lawful>() {
    check::<T, _>(run::<T>(Ends::Allowed, 2), T::COMPOSES, |(value, changes)| match &changes[..] {
        [first, second] => checks::compose_agrees::<T>(&value, first, second),
        _ => Ok(false),
    });
}

fn law_6<T: Lawful>() {
    check::<T, _>(value::<T>(), true, |value| always(checks::value_survives::<T>(&value)));
    check::<T, _>(wild_change::<T>(), true, |change| always(checks::change_survives::<T>(&change)));
    check::<T, _>(pair::<T>(Ends::Allowed), true, |(value, incoming, accepted)| {
        always(checks::what_follows_survives::<T>(&value, &incoming, &accepted))
    });
}

fn resolving<T: Lawful>() {
    check::<T, _>(change::<T>(Ends::Allowed), true, |(value, change)| {
        always(checks::resolving_keeps_the_effect::<T>(&value, &change))
    });
}

fn over_composed<T: Lawful>() {
    if !T::REBASES_OVER_COMPOSED {
        return;
    }
    check::<T, _>(two_runs::<T>(Ends::Never, 2), true, |(value, incoming, accepted)| {
        match (&incoming[..], &accepted[..]) {
            ([incoming, ..], [first, second]) => {
                checks::rebases_over_composed::<T>(&value, incoming, first, second)
            }
            _ => Ok(false),
        }
    });
}

fn run_square<T: Lawful>() {
    check::<T, _>(two_runs::<T>(Ends::Never, 3), T::CARRIES, |(value, run, accepted)| {
        let (run, accepted) = (erased_run::<T>(run), erased_run::<T>(accepted));
        let value = AnyValue::new::<T>(value);
        checks::run_square_closes(TypeRef::of::<T>(), &value, &run, &accepted)
    });
}

fn rest_of_run<T: Lawful>() {
    check::<T, _>(two_runs::<T>(Ends::Never, 4), true, |(value, run, accepted)| {
        let (run, mut accepted) = (erased_run::<T>(run), erased_run::<T>(accepted));
        let (kind, value) = (TypeRef::of::<T>(), AnyValue::new::<T>(value));
        let accepted = accepted.first_mut().and_then(Option::take);
        always(checks::rest_of_run_closes(kind, &value, &run, &accepted).map(drop))
    });
}

/// Takes the first change out of a run: the others are carried over its inverse.
fn first_taken_out<T: Lawful>() {
    check::<T, _>(run::<T>(Ends::Never, 4), true, |(value, run)| {
        let Some((first, rest)) = run.split_first() else { return Ok(false) };
        let mut after = value.clone();
        T::apply(&mut after, first).map_err(|error| error.to_string())?;
        let inverse = T::invert(first, &value).map(AnyChange::new::<T>);
        let (kind, after) = (TypeRef::of::<T>(), AnyValue::new::<T>(after));
        let rest = erased_run::<T>(rest.to_vec());
        always(checks::rest_of_run_closes(kind, &after, &rest, &inverse).map(drop))
    });
}

fn composing_all<T: Lawful>() {
    check::<T, _>(run::<T>(Ends::Allowed, 9), true, |(value, changes)| {
        let (kind, value) = (TypeRef::of::<T>(), AnyValue::new::<T>(value));
        always(checks::composing_all_agrees(kind, &value, &erased::<T>(changes)))
    });
}

macro_rules! laws_of {
    ($($name:ident: $type:ident $(, $const:ident = $value:literal)*;)*) => {
        $(
            impl Lawful for topicsync::types::$name::$type {
                const REGRESSIONS: &'static str =
                    concat!("proptests/regressions/", stringify!($name), ".txt");
                $(const $const: bool = $value;)*
            }
            laws_of!(@tests $name $type:
                law_1_apply_is_a_function = law_1,
                law_1_a_failed_apply_leaves_the_value = law_1_of_changes_that_do_not_fit,
                law_2_the_inverse_restores = law_2,
                law_3_rebase_is_total = law_3,
                law_4_the_square_closes = law_4,
                law_5_compose_agrees = law_5,
                law_6_changes_and_values_survive_every_encoding = law_6,
                resolving_keeps_the_effect = resolving,
                rebasing_over_a_composition_is_rebasing_over_its_parts = over_composed,
                the_square_of_a_run_closes = run_square,
                the_square_of_the_rest_of_a_run_closes = rest_of_run,
                a_change_can_be_taken_out_of_a_run = first_taken_out,
                composing_a_list_of_changes_agrees = composing_all,
            );
        )*
    };
    (@tests $name:ident $type:ident: $($test:ident = $law:ident,)*) => {
        mod $name {
            $(
                #[test]
                fn $test() {
                    super::$law::<topicsync::types::$name::$type>();
                }
            )*
        }
    };
}

laws_of! {
    generic: Generic, CARRIES = false;
    bool: Bool, CARRIES = false;
    int: Int;
    float: Float;
    string: String;
    list: List;
    set: Set;
    dict: Dict;
    event: Event, COMPOSES = false;
}

/// Law 2, of floats whose sums round: within the last bit of the larger of the two.
#[test]
fn law_2_of_any_floats_holds_up_to_rounding() {
    check::<Float, _>((wild_change::<Float>(), wild_change::<Float>()), true, |(start, change)| {
        let (FloatChange::Set(value) | FloatChange::Add(value)) = start;
        let mut after = value;
        if Float::apply(&mut after, &change).is_err() {
            return Ok(true);
        }
        let inverse = Float::invert(&change, &value).ok_or("no inverse")?;
        Float::apply(&mut after, &inverse).map_err(|error| error.to_string())?;
        let (FloatChange::Set(by) | FloatChange::Add(by)) = change;
        let slack = value.abs().max(by.abs()) * f64::EPSILON;
        match (after - value).abs() <= slack {
            true => Ok(true),
            false => Err(format!("{value} became {after}")),
        }
    });
}
