//! Every law, for every built-in type: a test each, as a host has them for a type of its own.
//!
//! Where a law speaks of equality, floats are multiples of 1/1024, whose sums do not round; any
//! floats have a test of their own, up to rounding.

use proptest::prelude::*;
use topicsync::testkit::strategies::{cases, wild_change};
use topicsync::types::Bool;
use topicsync::types::Dict;
use topicsync::types::Event;
use topicsync::types::Generic;
use topicsync::types::Int;
use topicsync::types::List;
use topicsync::types::Set;
use topicsync::types::String;
use topicsync::types::TopicType;
use topicsync::types::{Float, FloatChange};

topicsync::laws! {
    mod generic = cases::<Generic>();
    mod bool = cases::<Bool>();
    mod int = cases::<Int>();
    mod float = cases::<Float>();
    mod string = cases::<String>();
    mod list = cases::<List>();
    mod set = cases::<Set>();
    mod dict = cases::<Dict>();
    mod event = cases::<Event>();
}

proptest! {
    /// Law 2, of floats whose sums round: within the last bit of the larger of the two.
    #[test]
    fn law_2_of_any_floats_holds_up_to_rounding(
        start in wild_change::<Float>(),
        change in wild_change::<Float>(),
    ) {
        let (FloatChange::Set(value) | FloatChange::Add(value)) = start;
        let mut after = value;
        if Float::apply(&mut after, &change).is_ok() {
            let inverse = Float::invert(&change, &value).expect("a float's change has an inverse");
            Float::apply(&mut after, &inverse).expect("it led from there");
            let (FloatChange::Set(by) | FloatChange::Add(by)) = change;
            let slack = value.abs().max(by.abs()) * f64::EPSILON;
            prop_assert!((after - value).abs() <= slack, "{value} became {after}");
        }
    }
}
