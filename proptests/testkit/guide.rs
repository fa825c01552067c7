//! The failure that the guide shows, `docs/types.md`, is a real one: this is where it comes from.

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use topicsync::testkit::{Cases, Law, check_law};
use topicsync::types::{Conflict, Rebased, TopicType};
use topicsync::value::{Fields, Invalid, Value};

/// The seat of the documentation of [`TopicType`], whose author `HAS_FORGOTTEN` that two may take it at
/// once.
struct Seat<const HAS_FORGOTTEN: bool>;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum SeatChange {
    Take { by: String },
    Free { from: String },
}
use SeatChange::{Free, Take};

impl<const HAS_FORGOTTEN: bool> TopicType for Seat<HAS_FORGOTTEN> {
    type Value = Option<String>;
    type Change = SeatChange;
    const NAME: &'static str = "seat";

    fn initial() -> Option<String> {
        None
    }

    fn decode_value(value: &Value) -> Result<Option<String>, Invalid> {
        value.parse()
    }

    fn encode_value(value: &Option<String>) -> Value {
        Value::from_serialize(value).expect("a name is a plain value")
    }

    fn decode_change(fields: &Fields) -> Result<SeatChange, Invalid> {
        fields.parse()
    }

    fn encode_change(change: &SeatChange) -> Fields {
        Fields::from_serialize(change).expect("a change is a map")
    }

    fn apply(seat: &mut Option<String>, change: &SeatChange) -> Result<(), Invalid> {
        *seat = match (change, seat.as_deref()) {
            (Take { by }, None) if !by.is_empty() => Some(by.clone()),
            (Take { .. }, None) => return Err(Invalid::Other("nobody has no name".into())),
            (Take { .. }, Some(who)) => return Err(Invalid::Other(format!("{who} sits there"))),
            (Free { from }, Some(who)) if from == who => None,
            (Free { from }, _) => return Err(Invalid::Other(format!("{from} sits elsewhere"))),
        };
        Ok(())
    }

    fn rebase(
        incoming: &SeatChange,
        accepted: &SeatChange,
    ) -> Result<Rebased<SeatChange>, Conflict> {
        match (incoming, accepted) {
            (Free { .. }, Free { .. }) => Ok(Rebased { incoming: None, accepted: None }),
            _ if HAS_FORGOTTEN => Ok(Rebased::unaffected(incoming, accepted)),
            (_, Take { by }) => Err(Conflict::Other(format!("{by} took the seat"))),
            (_, Free { from }) => Err(Conflict::Other(format!("{from} freed the seat"))),
        }
    }

    fn invert(change: &SeatChange, _before: &Option<String>) -> Option<SeatChange> {
        Some(match change {
            Take { by } => Free { from: by.clone() },
            Free { from } => Take { by: from.clone() },
        })
    }
}

fn cases<const HAS_FORGOTTEN: bool>() -> Cases<Seat<HAS_FORGOTTEN>> {
    let name = || prop_oneof![Just("ann".to_owned()), Just("bob".to_owned())];
    Cases::new(prop::option::of(name()), move |seat: &Option<String>| match seat {
        None => name().prop_map(|by| Take { by }).boxed(),
        Some(who) => Just(Free { from: who.clone() }).boxed(),
    })
}

topicsync::laws! {
    mod the_seat = cases::<false>();
}

/// A client was told of changes that led elsewhere, where a snapshot jumped and the type has no `set`.
#[test]
fn a_view_that_jumps_without_a_set_is_told_as_a_whole() {
    topicsync::testkit::replay(
        &cases::<false>(),
        r#"
            law 7, replicas converge
            clients 2
            topic "one" seat {"delivery":"latest"}
            client 2 changes "one" by {"by":"bob","type":"take"} and then changes "one" by {"from":"bob","type":"free"}
            client 1 changes "one" by {"by":"ann","type":"take"} and then changes "one" by {"from":"ann","type":"free"} and then overwrites "one" by {"by":"n","type":"take"}
            client 2 overwrites "one" by {"by":"b","type":"take"}
        "#,
    );
}

#[test]
fn the_guide_shows_what_a_failure_prints() {
    let failure = check_law(&cases::<true>(), Law::TheSquareCloses).expect_err("it is wrong");
    let guide = include_str!("../../docs/types.md");
    assert!(guide.contains(&failure.to_string()), "the guide should say:\n{failure}");
}
