//! The topic type of a sign-up sheet: days with so many seats, and who takes part when.
//!
//! | incoming | accepted | result |
//! |---|---|---|
//! | `sign_up` | `sign_up` of the same person | the newcomer's stands, nothing is left of the other |
//! | `offer` | `offer` of the same day | conflict |
//! | any | any other | neither touches the other |
//!
//! That no day has more people than seats shows in the sheet alone. Two people can each take the last
//! seat; a rebase, which sees no sheet, carries the later one, which then fails as [`Invalid::Rule`] and is
//! sent back as stale.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use topicsync::types::{Composed, Conflict, Rebased, TopicType};
use topicsync::value::{Fields, Invalid, Value};

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Sheet {
    /// How many can take part, by day.
    pub seats: BTreeMap<String, u32>,
    /// The day that each person has chosen.
    pub people: BTreeMap<String, String>,
}

impl Sheet {
    fn check(&self) -> Result<(), Invalid> {
        let mut taken: BTreeMap<&str, u32> = BTreeMap::new();
        self.people.values().for_each(|day| *taken.entry(day).or_default() += 1);
        let seats = |day: &str| self.seats.get(day).copied().unwrap_or(0);
        match taken.into_iter().find(|(day, people)| *people > seats(day)) {
            Some((day, people)) => Err(Invalid::Rule(format!(
                "not enough seats on {day}: {} for {people}",
                seats(day)
            ))),
            None => Ok(()),
        }
    }
}

/// As JSON: `{"type": "sign_up", "person": "ann", "day": "monday"}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum SheetChange {
    /// Sets how many can take part on a day; `None` takes it off the sheet.
    Offer { day: String, seats: Option<u32> },
    /// Chooses a day; `None` chooses none.
    SignUp { person: String, day: Option<String> },
}

use SheetChange::{Offer, SignUp};

pub struct SignUpSheet;

impl TopicType for SignUpSheet {
    /// A clone is a pointer. A change copies the sheet, which is small.
    type Value = Arc<Sheet>;
    type Change = SheetChange;

    const NAME: &'static str = "sign_up_sheet";
    const REBASES_OVER_COMPOSED: bool = true;

    fn initial() -> Arc<Sheet> {
        Arc::default()
    }

    fn decode_value(value: &Value) -> Result<Arc<Sheet>, Invalid> {
        let sheet: Sheet = value.parse()?;
        sheet.check()?;
        Ok(Arc::new(sheet))
    }

    fn encode_value(sheet: &Arc<Sheet>) -> Value {
        Value::from_serialize(&**sheet).expect("strings and small numbers are values")
    }

    fn decode_change(fields: &Fields) -> Result<SheetChange, Invalid> {
        fields.parse()
    }

    fn encode_change(change: &SheetChange) -> Fields {
        Fields::from_serialize(change).expect("a tagged enum is a map")
    }

    fn apply(sheet: &mut Arc<Sheet>, change: &SheetChange) -> Result<(), Invalid> {
        let mut after = Sheet::clone(sheet);
        match change.clone() {
            Offer { day, seats: Some(seats) } => drop(after.seats.insert(day, seats)),
            Offer { day, seats: None } => drop(after.seats.remove(&day)),
            SignUp { person, day: Some(day) } => drop(after.people.insert(person, day)),
            SignUp { person, day: None } => drop(after.people.remove(&person)),
        }
        after.check()?;
        *sheet = Arc::new(after);
        Ok(())
    }

    fn rebase(
        incoming: &SheetChange,
        accepted: &SheetChange,
    ) -> Result<Rebased<SheetChange>, Conflict> {
        let unaffected = Rebased::unaffected(incoming, accepted);
        match (incoming, accepted) {
            (SignUp { person, .. }, SignUp { person: other, .. }) if person == other => {
                Ok(Rebased { accepted: None, ..unaffected })
            }
            (Offer { day, .. }, Offer { day: other, .. }) if day == other => {
                Err(Conflict::Other(format!("the seats of {day} were changed")))
            }
            _ => Ok(unaffected),
        }
    }

    fn invert(change: &SheetChange, before: &Arc<Sheet>) -> Option<SheetChange> {
        Some(match change {
            Offer { day, .. } => Offer { day: day.clone(), seats: before.seats.get(day).copied() },
            SignUp { person, .. } => {
                SignUp { person: person.clone(), day: before.people.get(person).cloned() }
            }
        })
    }

    fn compose(first: &SheetChange, second: &SheetChange) -> Composed<SheetChange> {
        match (first, second) {
            (Offer { day, .. }, Offer { day: again, .. }) if day == again => {
                Composed::One(second.clone())
            }
            (SignUp { person, .. }, SignUp { person: again, .. }) if person == again => {
                Composed::One(second.clone())
            }
            _ => Composed::Separate,
        }
    }
}
