//! Every law of topic types.

use std::sync::Arc;

use proptest::prelude::*;
use topicsync::testkit::Cases;
use topicsync::types::TopicType;

use super::sheet::SheetChange::{self, Offer, SignUp};
use super::sheet::{Sheet, SignUpSheet};

/// A sheet that keeps its rule.
fn value() -> impl Strategy<Value = Arc<Sheet>> {
    prop::collection::vec(change(), 0..12).prop_map(|changes| {
        let mut sheet = SignUpSheet::initial();
        // What does not fit is left out.
        changes.iter().for_each(|change| drop(SignUpSheet::apply(&mut sheet, change)));
        sheet
    })
}

/// A change of any sheet; it may not fit. Few names, so that changes meet.
fn change() -> impl Strategy<Value = SheetChange> {
    let day = prop::sample::select(vec!["monday", "friday"]).prop_map(str::to_owned);
    let person = prop::sample::select(vec!["ann", "bob", "cleo"]).prop_map(str::to_owned);
    prop_oneof![
        (day.clone(), prop::option::of(0..4_u32)).prop_map(|(day, seats)| Offer { day, seats }),
        (person, prop::option::of(day)).prop_map(|(person, day)| SignUp { person, day }),
    ]
}

fn cases() -> Cases<SignUpSheet> {
    Cases::new(value(), |_| change())
}

topicsync::laws! {
    mod laws = cases();
}

/// What a law once found, as it printed it: a sheet has no `set`, so a snapshot that jumps ahead leads
/// there by no changes.
#[test]
fn a_snapshot_that_jumps_ahead_is_taken_as_a_whole() {
    topicsync::testkit::replay(
        &cases(),
        r#"
        law 7, replicas converge
        clients 3
        topic "one" sign_up_sheet {"delivery":"latest"}
        client 1 changes "one" by {"day":"friday","seats":1,"type":"offer"}
        client 2 changes "one" by {"day":"","seats":0,"type":"offer"}
        client 3 changes "one" by {"day":"friday","seats":1,"type":"offer"}
        client 3 overwrites "one" by {"day":"friday","person":"","type":"sign_up"}
    "#,
    );
}

#[test]
fn a_day_that_is_full_says_so() {
    let offer = Offer { day: "monday".into(), seats: Some(1) };
    let mut sheet = SignUpSheet::initial();
    for change in [offer, super::sign_up("ann", "monday")] {
        SignUpSheet::apply(&mut sheet, &change).unwrap();
    }
    let error = SignUpSheet::apply(&mut sheet, &super::sign_up("bob", "monday")).unwrap_err();
    assert_eq!(error.to_string(), "not enough seats on monday: 1 for 2");
}
