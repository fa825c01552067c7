//! Blame agrees with a naive model.

use proptest::prelude::*;
use topicsync::journal::Journal;
use topicsync::replay::{self, Blamed, Part};
use topicsync::topic::{Moment, Version};
use topicsync::types::{Registry, TypeRef};
use topicsync::value::{Fields, Value};

use super::live::{Live, Step, step};
use crate::hunt::{hunt, kind};
use topicsync::testkit::Found;
use topicsync::testkit::Kind;
use topicsync::testkit::broken::same;

/// The version that wrote each part of a value, kept the simplest way there is, from what the changes
/// look like on the wire.
#[derive(Default)]
struct Naive {
    value: Option<Value>,
    /// By key or member; for positions by their place.
    parts: Vec<(Value, u64)>,
}

impl Naive {
    /// What a value is made of.
    fn parts_of(kind: TypeRef, value: &Value) -> Vec<Value> {
        match (kind.name(), value) {
            ("string", Value::String(text)) => {
                text.to_string().chars().map(|char| char.to_string().into()).collect()
            }
            ("list" | "set", Value::List(items)) => items.iter().cloned().collect(),
            ("dict", Value::Dict(dict)) => dict.keys().map(|key| key.clone().into()).collect(),
            _ => vec![value.clone()],
        }
    }

    fn change(&mut self, kind: TypeRef, version: u64, change: &Fields, after: &Value) {
        let int = |field: &str| change.get(field).and_then(Value::as_int).unwrap_or(0) as usize;
        let field = |field: &str| change.get(field).cloned().unwrap_or_default();
        let chars = |value: &Value| match value {
            Value::String(text) => text.len_chars(),
            other => other.as_int().unwrap_or(0) as usize,
        };
        match (kind.name(), change.change_type()) {
            ("event", _) => {}
            ("string", "insert") => {
                self.splice(int("position"), 0, chars(&field("insertion")), version);
            }
            ("string", "delete") => {
                self.splice(int("position"), chars(&field("deletion")), 0, version);
            }
            ("string", "edit") => {
                let (Value::List(steps), mut at) = (field("edit"), 0) else { return };
                for step in &steps {
                    match step {
                        Value::String(_) => {
                            self.splice(at, 0, chars(step), version);
                            at += chars(step);
                        }
                        Value::Dict(dict) => self.splice(
                            at,
                            chars(&dict.get("d").cloned().unwrap_or_default()),
                            0,
                            version,
                        ),
                        kept => at += chars(kept),
                    }
                }
            }
            ("list", "insert") => self.splice(int("position"), 0, 1, version),
            ("list", "pop") => self.splice(int("position"), 1, 0, version),
            ("list", "replace") => self.splice(int("position"), 1, 1, version),
            ("list", "move") => {
                let moved = self.parts.remove(int("from"));
                self.parts.insert(int("to"), moved);
            }
            ("set", "append") => self.parts.push((field("item"), version)),
            ("set", "remove") => self.parts.retain(|(item, _)| *item != field("item")),
            ("dict", "add" | "change_value" | "remove") => {
                self.parts.retain(|(key, _)| *key != field("key"));
                if change.change_type() != "remove" {
                    self.parts.push((field("key"), version));
                }
            }
            _ => {
                let parts = Naive::parts_of(kind, after).into_iter();
                self.parts = parts.map(|part| (part, version)).collect();
            }
        }
        self.value = Some(after.clone());
    }

    fn splice(&mut self, at: usize, removed: usize, inserted: usize, version: u64) {
        let new = (0..inserted).map(|_| (Value::Null, version));
        self.parts.splice(at..at + removed, new);
    }
}

fn check_blame(kinds: &[Kind], steps: &[Step]) -> Found {
    let live = Live::played(kinds, steps);
    let journal = live.journal(3);
    for (topic, kind) in live.topics.iter().zip(&live.kinds) {
        let mut naive = Naive::default();
        let initial = kind.of.encode_value(&kind.of.initial());
        let parts = Naive::parts_of(kind.of, &initial).into_iter();
        naive.parts = parts.map(|part| (part, 0)).collect();
        let head = topic.head();
        for logged in journal.read(topic.name(), Version(0), head).expect("it is in memory") {
            let moment = Moment::Version(logged.version);
            let value = kind.of.encode_value(&topic.value_at(moment).expect("all is kept").value);
            if let Some(change) = &logged.change {
                naive.change(kind.of, logged.version.0, change, &value);
            }
            let blamed = replay::blame(&journal, &Registry::default(), topic.name(), moment)
                .map_err(|it| it.to_string())?;
            check_blamed(kind.of, &blamed.1, &naive, &value)?;
        }
    }
    Ok(())
}

fn check_blamed(kind: TypeRef, blamed: &[Blamed], naive: &Naive, value: &Value) -> Found {
    let version = |it: &Blamed| it.written.as_ref().map_or(0, |written| written.version.0);
    let mut found: Vec<(Value, u64)> = Vec::new();
    for it in blamed {
        match &it.part {
            Part::Whole => found.push((it.value.clone(), version(it))),
            Part::Member => found.push((it.value.clone(), version(it))),
            Part::Key(key) => found.push((key.clone().into(), version(it))),
            Part::Positions(range) => {
                let parts = Naive::parts_of(kind, &it.value);
                same("the length of a stretch", &parts.len(), &range.len())?;
                same("where a stretch begins", &range.start, &found.len())?;
                found.extend(parts.into_iter().map(|part| (part, version(it))));
            }
        }
    }
    let is_row = matches!(kind.name(), "string" | "list");
    let mut expected = naive.parts.clone();
    if is_row {
        let parts = Naive::parts_of(kind, value);
        same("how many positions there are", &parts.len(), &expected.len())?;
        expected = parts.into_iter().zip(expected).map(|(part, (_, by))| (part, by)).collect();
    } else if matches!(kind.name(), "set" | "dict") {
        expected.sort();
    } else {
        expected = vec![(value.clone(), naive.parts[0].1)];
    }
    same(format!("blame of a {}", kind.name()), &found, &expected)
}

#[test]
fn blame_agrees_with_a_naive_model() {
    let steps = || prop::collection::vec(step(), 1..20);
    for name in ["string", "list", "set", "dict", "generic", "int", "event"] {
        hunt("blame", steps(), |steps| check_blame(&[kind(name)], steps));
    }
}
