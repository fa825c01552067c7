//! Applying the differences of two values leads from one to the other.

use topicsync::replay::{Difference, PathStep, What, diff};
use topicsync::value::Value;

use crate::hunt::hunt;
use topicsync::testkit::Found;
use topicsync::testkit::broken::same;
use topicsync::testkit::choices::{Tape, tape};
use topicsync::testkit::generate::{Generate, any_value};

/// Applies differences to the value that they lead from.
fn patched(value: &Value, differences: &[(&[PathStep], &What)]) -> Result<Value, String> {
    if let [([], what)] = differences {
        return match what {
            What::Changed { from, to } => same("what changed", from, value).map(|()| to.clone()),
            What::Edited(edits) => {
                let Value::String(text) = value else { return Err("no text".to_owned()) };
                let mut text = text.clone();
                for edit in edits {
                    let end = edit.at + edit.removed.chars().count();
                    same("a removed text", &text.slice(edit.at..end), &edit.removed)?;
                    text.remove(edit.at..end);
                    text.insert(edit.at, &edit.inserted);
                }
                Ok(text.into())
            }
            other => Err(format!("{other:?} of a whole value")),
        };
    }
    match value {
        Value::Dict(dict) => {
            let (mut dict, mut rest) = (dict.clone(), differences);
            while let Some((path, what)) = rest.first() {
                let PathStep::Key(key) = &path[0] else { return Err("an index".to_owned()) };
                let many =
                    rest.iter().take_while(|(path, _)| path[0] == PathStep::Key(key.clone()));
                let (here, others) = rest.split_at(many.count());
                rest = others;
                match (path.len(), what) {
                    (1, What::Added(value)) => {
                        same(
                            "a key that is added",
                            &dict.insert(key.clone(), value.clone()),
                            &None,
                        )?;
                    }
                    (1, What::Removed(value)) => {
                        same("a removed value", &dict.remove(key), &Some(value.clone()))?;
                    }
                    _ => {
                        let old = dict.get(key).ok_or("no such key")?;
                        let new = patched(old, &inner(here))?;
                        dict.insert(key.clone(), new);
                    }
                }
            }
            Ok(dict.into())
        }
        Value::List(items) => patched_list(items.iter().cloned().collect(), differences),
        other if differences.is_empty() => Ok(other.clone()),
        other => Err(format!("{differences:?} of {other:?}")),
    }
}

fn inner<'a>(differences: &[(&'a [PathStep], &'a What)]) -> Vec<(&'a [PathStep], &'a What)> {
    differences.iter().map(|(path, what)| (&path[1..], *what)).collect()
}

/// First what is removed, counted in the old list; then what is added, then what is changed, in the new.
fn patched_list(mut items: Vec<Value>, all: &[(&[PathStep], &What)]) -> Result<Value, String> {
    let index = |path: &[PathStep]| match path[0] {
        PathStep::Index(index) => Ok(index),
        PathStep::Key(_) => Err("a key".to_owned()),
    };
    for (path, what) in all.iter().rev() {
        if let (1, What::Removed(value)) = (path.len(), what) {
            same("a removed item", &items.remove(index(path)?), value)?;
        }
    }
    for (path, what) in all {
        if let (1, What::Added(value)) = (path.len(), what) {
            items.insert(index(path)?, value.clone());
        }
    }
    for (at, item) in items.iter_mut().enumerate() {
        let is_change = |(path, what): &&(&[PathStep], &What)| {
            let whole = path.len() == 1 && matches!(what, What::Added(_) | What::Removed(_));
            path[0] == PathStep::Index(at) && !whole
        };
        let here: Vec<_> = all.iter().filter(is_change).copied().collect();
        if !here.is_empty() {
            *item = patched(item, &inner(&here))?;
        }
    }
    Ok(items.into())
}

fn check_diff(from: &Value, to: &Value) -> Found {
    let differences: Vec<Difference> = diff(from, to);
    let all: Vec<_> = differences.iter().map(|it| (it.path.as_slice(), &it.what)).collect();
    same(format!("after {differences:?}"), &patched(from, &all)?, to)?;
    same("nothing differs only from itself", &differences.is_empty(), &(from == to))
}

#[test]
fn differences_lead_from_one_value_to_the_other() {
    hunt("diff", (tape(), tape()), |(from, to)| {
        let (mut from, mut to) = (from.clone(), to.clone());
        check_diff(&any_value(&mut from, 4), &any_value(&mut to, 4))
    });
}

#[test]
fn differences_lead_from_one_version_to_another() {
    use topicsync::types::{Dict, List, String, TopicType};
    fn check<T: Generate>(name: &str) {
        let tapes = || proptest::collection::vec(tape(), 0..12);
        hunt(name, (tape(), tapes(), tapes()), |(value, one, other)| {
            let value = T::value(&mut value.clone());
            let end = |tapes: &[Tape]| {
                let mut value = value.clone();
                for tape in tapes {
                    let change = T::change(&mut tape.clone(), &value);
                    T::apply(&mut value, &change).expect("it was made for the value");
                }
                T::encode_value(&value)
            };
            check_diff(&end(one), &end(other))
        });
    }
    check::<String>(String::NAME);
    check::<List>(List::NAME);
    check::<Dict>(Dict::NAME);
}
