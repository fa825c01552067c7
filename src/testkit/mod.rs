//! Proves a topic type: every law of [`TopicType`](crate::types::TopicType) as a test with a name of
//! its own, and a simulated server with clients on a network that misbehaves.
//!
//! Needs the feature `testkit`; there is nothing of the server in it.
//!
//! ```
//! use proptest::prelude::*;
//! use topicsync::testkit::Cases;
//! use topicsync::types::{Int, IntChange};
//!
//! fn cases() -> Cases<Int> {
//!     Cases::new(-9..9_i64, |_| (-9..9_i64).prop_map(IntChange::Add))
//! }
//!
//! topicsync::laws! {
//!     mod an_int = cases();
//! }
//! # fn main() {}
//! ```
//!
//! `cargo test` then runs `an_int::law_4_the_square_closes` and its like. A failure is a short **script**
//! of what happened, with the values that differ, and the line that plays it again as a test.
//!
//! | module | holds |
//! |---|---|
//! | [`law`] | the laws by name |
//! | [`cases`] | [`Cases`]: a type with its strategies |
//! | [`strategies`] | strategies for the built-in types, to be composed |
//! | [`checks`] | each law as a check of given values and changes |
//! | [`simulation`] | [`Simulation`]: plays random worlds |
//! | [`world`] | [`World`]: a server, clients and a network, step by step |
//! | [`failure`] | [`Failure`]: the law, the script and the line that plays it again |
//! | `case`, `script`, `simpler` | one case of a law; how scripts are written and shortened |
//! | [`generate`], [`choices`] | how the built-in types' cases are made |

pub mod broken;
mod case;
pub mod cases;
pub mod checks;
pub mod choices;
pub mod failure;
pub mod generate;
pub mod law;
mod quiet;
mod script;
mod simpler;
pub mod simulation;
pub mod strategies;
pub mod world;

pub use broken::{Broken, Checked, Found};
pub use cases::Cases;
pub use failure::{Failure, check_law, replay, replay_seed};
pub use law::Law;
pub use simulation::{Mix, Simulation};
pub use world::{ClientStep, Kind, Setup, Step, Topic, World};

/// Makes a module of tests, one for each law, out of [`Cases`]:
///
/// ```ignore
/// topicsync::laws! {
///     mod poll = cases();
/// }
/// ```
///
/// Each runs as many cases as proptest does: 256, or `PROPTEST_CASES`. What is in scope where the macro
/// stands is in scope of the expression.
#[macro_export]
macro_rules! laws {
    ($(mod $name:ident = $cases:expr;)+) => {
        $(mod $name {
            #[allow(unused_imports)]
            use super::*;
            $crate::laws! { @of_types $cases;
                law_1_apply_is_a_function = ApplyIsAFunction,
                law_1_a_failed_apply_leaves_the_value = AFailedApplyLeavesTheValue,
                law_2_the_inverse_restores = TheInverseRestores,
                law_3_rebase_is_total = RebaseIsTotal,
                law_4_the_square_closes = TheSquareCloses,
                law_5_compose_agrees = ComposeAgrees,
                law_6_every_encoding_round_trips = EveryEncodingRoundTrips,
                resolving_keeps_the_effect = ResolvingKeepsTheEffect,
                rebasing_over_a_composition_is_over_its_parts = RebasingOverACompositionIsOverItsParts,
                the_square_of_a_run_closes = TheSquareOfARunCloses,
                the_rest_of_a_run_closes = TheRestOfARunCloses,
                a_change_can_be_taken_back = AChangeCanBeTakenBack,
                composing_a_list_agrees = ComposingAListAgrees,
                differences_lead_there = DifferencesLeadThere,
                writes_are_true = WritesAreTrue,
            }
            $crate::laws! { @of_the_system $cases;
                law_7_replicas_converge = undoing,
                law_7_replicas_of_a_latest_topic_converge = latest,
                law_8_every_change_has_one_outcome = refusing,
                law_9_the_log_replays_after_crashes = crashing,
                law_10_everything_is_answered_once = resuming,
                law_12_the_past_is_final = looking_back,
                law_13_nothing_is_left = removing,
            }
        })+
    };
    (@of_types $cases:expr; $($test:ident = $law:ident,)+) => {
        $(#[test]
        fn $test() {
            $crate::testkit::failure::must_hold(
                $crate::testkit::check_law(&$cases, $crate::testkit::Law::$law),
            );
        })+
    };
    (@of_the_system $cases:expr; $($test:ident = $mix:ident,)+) => {
        $(#[test]
        fn $test() {
            $crate::testkit::failure::must_hold(
                $crate::testkit::Simulation::of(&$cases).$mix().run().map(drop),
            );
        })+
    };
}
