//! A replayed history as a test: an exported file, and the state that it has to end in.
//!
//! ```
//! # fn main() {
//! topicsync::assert_replays!("../../examples/regression/history.jsonl", "../../examples/regression/expected.json");
//! # }
//! ```

use std::fmt::Write;

use crate::topic::{CommitNumber, Moment};
use crate::types::Registry;
use crate::value::wide::narrowed;
use crate::value::{Dict, Value};

use super::import::open_export;
use super::{At, PathStep, What, cut, diff};

/// Replays an exported history and compares where it ends with `expected`, a JSON object of values by
/// topic: what `topicsync show --json` prints.
///
/// # Errors
/// What is different, topic by topic, in words.
pub fn check_replays(history: &[u8], expected: &[u8], registry: &Registry) -> Result<(), String> {
    let mut history = history;
    let journal = open_export(&mut history, registry, &mut |_| {})
        .map_err(|error| format!("the history cannot be read: {error}"))?;
    let expected: Value = serde_json::from_slice(&narrowed(expected))
        .map_err(|error| format!("the expected state is no JSON: {error}"))?;
    let end = Moment::Commit(CommitNumber(u64::MAX));
    let topics = cut(&journal, registry, end, |_| true).map_err(|error| error.to_string())?;
    let differences = diff(&expected, &state(&topics));
    if differences.is_empty() { Ok(()) } else { Err(differences.iter().map(in_words).collect()) }
}

/// Values by topic, without those topics that have none.
pub fn state(topics: &[At]) -> Value {
    let stateful = topics.iter().filter(|at| at.kind.stateful());
    let entries = stateful.map(|at| (ecow::EcoString::from(at.name.clone()), at.plain()));
    Value::Dict(entries.collect::<Dict>())
}

fn in_words(difference: &super::Difference) -> String {
    let mut words = String::from("  ");
    for (depth, step) in difference.path.iter().enumerate() {
        let _ = match step {
            PathStep::Key(name) if depth == 0 => write!(words, "topic {name:?}"),
            PathStep::Key(key) => write!(words, "[{key:?}]"),
            PathStep::Index(index) => write!(words, "[{index}]"),
        };
    }
    let _ = match &difference.what {
        What::Added(value) => write!(words, " is {value:?}, and should not be there"),
        What::Removed(value) => write!(words, " should be {value:?}, and is not there"),
        What::Changed { from, to } => write!(words, " should be {from:?}, and is {to:?}"),
        What::Edited(edits) => edits.iter().try_for_each(|edit| {
            let (should, is) = (&edit.removed, &edit.inserted);
            match (should.is_empty(), is.is_empty()) {
                (true, _) => write!(words, " has {is:?} at {}, and should not;", edit.at),
                (_, true) => write!(words, " lacks {should:?} at {};", edit.at),
                _ => write!(words, " should have {should:?} at {}, and has {is:?};", edit.at),
            }
        }),
    };
    words.push('\n');
    words
}

/// Asserts that an exported history ends in the state that is expected of it. Both are files, beside the
/// one that this stands in; a third argument gives the [`Registry`], if it holds types of one's own.
///
/// # Panics
/// If it does not, with what is different, topic by topic.
#[macro_export]
macro_rules! assert_replays {
    ($history:expr, $expected:expr $(,)?) => {
        $crate::assert_replays!($history, $expected, &$crate::types::Registry::default())
    };
    ($history:expr, $expected:expr, $registry:expr $(,)?) => {
        let (history, expected) = (include_bytes!($history), include_bytes!($expected));
        if let Err(why) = $crate::replay::check_replays(history, expected, $registry) {
            panic!("{} does not end as {} says:\n{why}", $history, $expected);
        }
    };
}
