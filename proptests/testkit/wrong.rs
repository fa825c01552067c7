//! Types that are wrong, each in one way: what the kit must find.
//!
//! All are made from one right type, a row of numbers into which one can be put, whose every function
//! can be exchanged for a wrong one.

use std::fmt::Debug;
use std::marker::PhantomData;
use std::time::SystemTime;

use topicsync::testkit::Law;
use topicsync::types::{Composed, Conflict, Parts, Rebased, TopicType, Writes};
use topicsync::value::{Fields, Invalid, Value};

/// What is put in or taken out.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    Put { at: usize, number: f64 },
    Take { at: usize },
}

use Change::{Put, Take};

/// How a row is wrong. All of it is right, unless an implementation says otherwise.
pub trait Flaw: Send + Sync + 'static {
    /// The law that it breaks.
    const BREAKS: Law;

    /// What `put` puts in.
    fn number(number: f64) -> f64 {
        number
    }
    /// Whether a value that is to be changed is changed before it is known that it can be.
    fn spoils() -> bool {
        false
    }
    /// Where the newcomer of two that put in at one place goes: to the left.
    fn tie(at: usize) -> usize {
        at
    }
    /// What a rebase does before it answers.
    fn before_rebase(_incoming: &Change, _accepted: &Change) {}
    /// Where the inverse of a `put` takes out.
    fn inverse_at(at: usize) -> usize {
        at
    }
    /// What two changes compose to.
    fn composed(first: &Change, second: &Change) -> Composed<Change> {
        match (first, second) {
            (Put { at, .. }, Take { at: other }) if at == other => Composed::Nothing,
            _ => Composed::Separate,
        }
    }
    /// A number as it is written.
    fn written(number: f64) -> Value {
        number.into()
    }
    /// An item of a value as it is written.
    fn written_item(number: f64) -> Value {
        number.into()
    }
    /// What a change becomes before it is accepted.
    fn resolved(_change: &Change) -> Option<Change> {
        None
    }
    /// What a change writes.
    fn writes(change: &Change) -> Writes {
        match change {
            Put { at, .. } => Writes::splice(*at, 0, 1),
            Take { at } => Writes::splice(*at, 1, 0),
        }
    }
    /// How one value becomes another.
    fn differences(from: &[f64], to: &[f64]) -> Vec<Change> {
        let put = to.iter().enumerate().map(|(at, number)| Put { at, number: *number });
        from.iter().map(|_| Take { at: 0 }).chain(put).collect()
    }
}

/// A row that is right.
pub struct Right;

impl Flaw for Right {
    const BREAKS: Law = Law::ReplicasConverge;
}

macro_rules! flaws {
    ($($(#[$doc:meta])* $name:ident breaks $law:ident: $function:item)+) => {
        $(
            $(#[$doc])*
            pub struct $name;

            impl Flaw for $name {
                const BREAKS: Law = Law::$law;
                $function
            }
        )+
    };
}

flaws! {
    /// Of two that are put in at one place, both go to the right.
    ForgetsTheTie breaks TheSquareCloses: fn tie(at: usize) -> usize {
        at + 1
    }
    InvertsOffByOne breaks TheInverseRestores: fn inverse_at(at: usize) -> usize {
        at + 1
    }
    DropsAChange breaks ComposeAgrees: fn composed(_: &Change, second: &Change) -> Composed<Change> {
        Composed::One(second.clone())
    }
    ReadsTheClock breaks ApplyIsAFunction: fn number(number: f64) -> f64 {
        number + SystemTime::UNIX_EPOCH.elapsed().map_or(0.0, |it| it.as_secs_f64())
    }
    LosesAFloat breaks EveryEncodingRoundTrips: fn written(number: f64) -> Value {
        Value::Int(number as i64)
    }
    LosesAFloatOfAValue breaks EveryEncodingRoundTrips: fn written_item(number: f64) -> Value {
        Value::Int(number as i64)
    }
    SpoilsTheValue breaks AFailedApplyLeavesTheValue: fn spoils() -> bool {
        true
    }
    Panics breaks RebaseIsTotal: fn before_rebase(incoming: &Change, accepted: &Change) {
        assert!(incoming != accepted, "that cannot be");
    }
    ResolvesToSomethingElse breaks ResolvingKeepsTheEffect: fn resolved(change: &Change) -> Option<Change> {
        match change {
            Put { number, .. } => Some(Put { at: 0, number: *number }),
            Take { .. } => None,
        }
    }
    WritesElsewhere breaks WritesAreTrue: fn writes(_: &Change) -> Writes {
        Writes::Nothing
    }
    DiffersElsewhere breaks DifferencesLeadThere: fn differences(_: &[f64], to: &[f64]) -> Vec<Change> {
        to.iter().map(|number| Put { at: 0, number: *number }).collect()
    }
}

/// The row with a flaw.
pub struct Row<F>(PhantomData<F>);

fn invalid(what: &str) -> Invalid {
    Invalid::Other(what.into())
}

impl<F: Flaw> TopicType for Row<F> {
    type Value = Vec<f64>;
    type Change = Change;

    const NAME: &'static str = "row";
    const PARTS: Parts = Parts::Positions;

    fn initial() -> Vec<f64> {
        Vec::new()
    }

    fn decode_value(value: &Value) -> Result<Vec<f64>, Invalid> {
        let Value::List(list) = value else { return Err(invalid("no list")) };
        list.iter().map(|it| it.as_float().ok_or_else(|| invalid("no number"))).collect()
    }

    fn encode_value(value: &Vec<f64>) -> Value {
        Value::List(value.iter().map(|number| F::written_item(*number)).collect())
    }

    fn decode_change(fields: &Fields) -> Result<Change, Invalid> {
        let at = usize::try_from(fields.require_int("at")?).map_err(|_| invalid("negative"))?;
        match fields.change_type() {
            "put" => Ok(Put { at, number: fields.require_float("number")? }),
            "take" => Ok(Take { at }),
            _ => Err(invalid("neither put nor take")),
        }
    }

    fn encode_change(change: &Change) -> Fields {
        match change {
            Put { at, number } => {
                Fields::of_type("put").with("at", *at as i64).with("number", F::written(*number))
            }
            Take { at } => Fields::of_type("take").with("at", *at as i64),
        }
    }

    fn resolve(change: &Change, _value: &Vec<f64>) -> Result<Option<Change>, Invalid> {
        Ok(F::resolved(change))
    }

    fn apply(value: &mut Vec<f64>, change: &Change) -> Result<(), Invalid> {
        if F::spoils() {
            value.push(0.0);
        }
        match change {
            Put { at, number } if *at <= value.len() => value.insert(*at, F::number(*number)),
            Take { at } if *at < value.len() => drop(value.remove(*at)),
            _ => return Err(invalid("there is no such place")),
        }
        if F::spoils() {
            value.pop();
        }
        Ok(())
    }

    fn rebase(incoming: &Change, accepted: &Change) -> Result<Rebased<Change>, Conflict> {
        F::before_rebase(incoming, accepted);
        let moved = |change: &Change, over: &Change, newcomer: bool| -> Option<Change> {
            let at = match (change, over) {
                (Put { at, .. }, Put { at: other, .. }) if at == other => match newcomer {
                    true => F::tie(*at),
                    false => at + 1,
                },
                (Take { at }, Put { at: other, .. }) if other <= at => at + 1,
                (Put { at, .. }, Put { at: other, .. }) if other < at => at + 1,
                (Take { at }, Take { at: other }) if at == other => return None,
                (Put { at, .. } | Take { at }, Take { at: other }) if other < at => at - 1,
                (Put { at, .. } | Take { at }, _) => *at,
            };
            Some(match change {
                Put { number, .. } => Put { at, number: *number },
                Take { .. } => Take { at },
            })
        };
        Ok(Rebased {
            incoming: moved(incoming, accepted, true),
            accepted: moved(accepted, incoming, false),
        })
    }

    fn invert(change: &Change, before: &Vec<f64>) -> Option<Change> {
        Some(match change {
            Put { at, .. } => Take { at: F::inverse_at(*at) },
            Take { at } => Put { at: *at, number: before[*at] },
        })
    }

    fn compose(first: &Change, second: &Change) -> Composed<Change> {
        F::composed(first, second)
    }

    fn writes(change: &Change, _before: &Vec<f64>) -> Writes {
        F::writes(change)
    }

    fn differences(from: &Vec<f64>, to: &Vec<f64>) -> Option<Vec<Change>> {
        Some(F::differences(from, to))
    }
}
