//! What was found: the law, the shortest script that shows it, and the test that plays it again.

use std::fmt;

use proptest::test_runner::Config;

use super::case::Case;
use super::cases::{Cases, Source};
use super::choices::{Choices, Random};
use super::law::Law;
use super::script::{self, Script, json};
use super::simulation;
use super::world::{Kind, kinds};
use crate::types::TopicType;

/// A law that does not hold, and the shortest script found that shows it.
///
/// Its text is for a person: the values that differ, and a test that plays the script again.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The law; `None` if the strategies are at fault, or the simulator.
    pub law: Option<Law>,
    /// The type whose law it is, or the types of the world.
    pub types: String,
    /// What differs, or what panicked.
    pub what: String,
    /// What happened, a step each line; lines that begin with `#` say what came of it.
    pub script: String,
    /// How many steps that are.
    pub steps: usize,
    /// The seed of the case as it was found, where the script's text does not say all: an encoding that
    /// loses something loses it in the script too.
    pub seed: Option<u64>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.law {
            Some(law) => writeln!(f, "{law}, is broken by {}: {}", self.types, self.what)?,
            None => return writeln!(f, "{}: {}", self.types, self.what),
        }
        let steps = if self.steps == 1 { "1 step".into() } else { format!("{} steps", self.steps) };
        if let (Some(law), Some(seed)) = (self.law, self.seed) {
            writeln!(f, "\nThe shortest script that was found, of {steps}:\n")?;
            self.script.lines().try_for_each(|line| writeln!(f, "    {line}"))?;
            writeln!(
                f,
                "\nIts encoding does not say all, so this test plays it again from its seed:\n"
            )?;
            return writeln!(
                f,
                "    #[test]\n    fn it_holds() {{\n        \
                 topicsync::testkit::replay_seed(&cases(), topicsync::testkit::Law::{law:?}, {seed});\n    }}"
            );
        }
        let quote = if self.script.contains("\"#") { "##" } else { "#" };
        writeln!(
            f,
            "\nThis test plays it again, by the shortest script that was found, of {steps}:\n"
        )?;
        writeln!(f, "    #[test]\n    fn it_holds() {{")?;
        writeln!(f, "        topicsync::testkit::replay(&cases(), r{quote}\"")?;
        self.script.lines().try_for_each(|line| writeln!(f, "            {line}"))?;
        writeln!(f, "        \"{quote});\n    }}")
    }
}

impl std::error::Error for Failure {}

/// Panics with the failure's text, as a test does.
///
/// # Panics
/// If a law does not hold.
pub fn must_hold(found: Result<(), Box<Failure>>) {
    if let Err(failure) = found {
        panic!("{failure}");
    }
}

/// Checks one law of a type on random cases: as many as proptest runs, 256 or `PROPTEST_CASES`.
///
/// # Errors
/// The shortest case that breaks it.
///
/// # Panics
/// If it is a law of the whole system: those are [`Simulation`](super::Simulation)'s.
pub fn check_law<T: TopicType>(cases: &Cases<T>, law: Law) -> Result<(), Box<Failure>> {
    assert!(Law::OF_TYPES.contains(&law), "{law}, is for a simulation to check");
    let (count, mut seeds, mut spoke) = (Config::default().cases, Random(any_seed()), 0);
    for _ in 0..count {
        let seed = (&mut seeds as &mut dyn Choices).next_64();
        let case = made(cases, law, seed)?;
        match case.check(law) {
            Ok(said) => spoke += u32::from(said),
            Err(_) => return Err(Box::new(shortened(cases, law, case, seed))),
        }
    }
    if cases.is_to_speak(law) && spoke < count / 64 {
        let what = format!(
            "{law}, had something to say in only {spoke} of {count} cases; the strategies make too few \
             changes that meet, or too many that conflict"
        );
        return Err(Box::new(blameless::<T>(what)));
    }
    Ok(())
}

/// The seed that a hunt begins with: the same one each time, so that a test that passed passes again; that
/// of `TOPICSYNC_SEED`, or with `TOPICSYNC_SEED=any` one that no run had before, unless chance wills it.
pub(super) fn first_seed() -> u64 {
    match std::env::var("TOPICSYNC_SEED") {
        Ok(seed) => seed.parse().unwrap_or_else(|_| any_seed()),
        Err(_) => 1,
    }
}

/// A seed that no run had before, unless chance wills it.
pub(super) fn any_seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

fn blameless<T: TopicType>(what: String) -> Failure {
    let types = T::NAME.to_owned();
    Failure { law: None, types, what, script: String::new(), steps: 0, seed: None }
}

/// The case of a seed.
fn made<T: TopicType>(cases: &Cases<T>, law: Law, seed: u64) -> Result<Case<T>, Box<Failure>> {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    let make = || Case::made(cases, law.shape(), &mut Source::new(seed));
    catch_unwind(AssertUnwindSafe(make)).map_err(|panic| {
        let what = format!("a panic while a case was made: {}", super::quiet::text(&*panic));
        Box::new(blameless::<T>(what))
    })
}

fn shortened<T: TopicType>(cases: &Cases<T>, law: Law, case: Case<T>, seed: u64) -> Failure {
    let case = case.shortest(law);
    if replayed(&case, law).is_err() {
        return failure(law, &case, None);
    }
    // What breaks it is lost in the text: the case with the shortest one, of some more.
    let found = (seed..seed.saturating_add(512)).filter_map(|seed| {
        let case = made(cases, law, seed).ok()?;
        case.check(law).is_err().then_some((format!("{case:?}").len(), seed, case))
    });
    match found.min_by_key(|(len, ..)| *len) {
        Some((_, seed, case)) => failure(law, &case, Some(seed)),
        None => failure(law, &case, Some(seed)),
    }
}

fn failure<T: TopicType>(law: Law, case: &Case<T>, seed: Option<u64>) -> Failure {
    Failure {
        law: Some(law),
        types: T::NAME.to_owned(),
        what: case.check(law).err().unwrap_or_else(|| "it does not show each time".into()),
        script: case.script(law),
        steps: 1 + case.changes.len() + case.accepted.len(),
        seed,
    }
}

/// What the law says of the case that its script tells.
fn replayed<T: TopicType>(case: &Case<T>, law: Law) -> Result<bool, String> {
    match script::parse(&case.script(law), &[]) {
        Ok(Script::Case { start, changes, accepted, .. }) => {
            Case::<T>::read(&start, &changes, &accepted).map_or(Ok(true), |case| case.check(law))
        }
        _ => Ok(true),
    }
}

impl<T: TopicType> Case<T> {
    /// The case as a script.
    pub(super) fn script(&self, law: Law) -> String {
        let mut lines =
            vec![law.to_string(), format!("start {}", json(&T::encode_value(&self.start)))];
        for (word, changes) in [("accepted", &self.accepted), ("change", &self.changes)] {
            let mut value = self.start.clone();
            for change in changes {
                lines.push(format!("{word} {}", json(&T::encode_change(change))));
                let mut apply = || T::apply(&mut value, change).map_err(|error| error.to_string());
                let applied = super::quiet::quietly(|| {
                    std::panic::catch_unwind(std::panic::AssertUnwindSafe(&mut apply))
                });
                lines.push(match applied {
                    Ok(Ok(())) => format!("    # makes {}", json(&T::encode_value(&value))),
                    Ok(Err(why)) => format!("    # does not apply: {why}"),
                    Err(_) => "    # panics".into(),
                });
            }
        }
        lines.join("\n")
    }

    fn read(
        start: &crate::value::Value,
        changes: &[crate::value::Fields],
        accepted: &[crate::value::Fields],
    ) -> Result<Case<T>, String> {
        let read = |changes: &[crate::value::Fields]| {
            let changes = changes.iter().map(T::decode_change);
            changes.collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())
        };
        let start = T::decode_value(start).map_err(|error| error.to_string())?;
        Ok(Case { start, changes: read(changes)?, accepted: read(accepted)? })
    }
}

/// Plays a script again: the text that a [`Failure`] prints, or one that somebody wrote. `cases` says
/// which type is meant; its topics may be of a built-in type too.
///
/// # Panics
/// If the law does not hold still, with the failure as it is now; or if the script cannot be read.
pub fn replay<T: TopicType>(cases: &Cases<T>, script: &str) {
    let mut all: Vec<Kind> = vec![cases.kind()];
    all.extend(kinds());
    match script::parse(script, &all).unwrap_or_else(|why| panic!("the script: {why}")) {
        Script::Case { law, start, changes, accepted } => {
            let case = Case::<T>::read(&start, &changes, &accepted);
            let case = case.unwrap_or_else(|why| panic!("the script: {why}"));
            if case.check(law).is_err() {
                panic!("{}", failure(law, &case, None));
            }
        }
        Script::World { law, setup, steps } => {
            must_hold(simulation::replay(law, &setup, &steps).map_err(Box::new));
        }
    }
}

/// Plays the case of a seed again, where its script does not say all.
///
/// # Panics
/// If the law does not hold still.
pub fn replay_seed<T: TopicType>(cases: &Cases<T>, law: Law, seed: u64) {
    let found = made(cases, law, seed).and_then(|case| match case.check(law) {
        Ok(_) => Ok(()),
        Err(_) => Err(Box::new(failure(law, &case, Some(seed)))),
    });
    must_hold(found);
}
