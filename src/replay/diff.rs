//! What is different between two values: added, removed and changed, with the path to it.
//!
//! It works on plain values, whatever the topic's type: dicts differ by key, lists as sequences, texts by
//! stretch, each as deep as they nest. What two versions share in memory is not looked at.

use std::collections::BTreeMap;

use similar::{Algorithm, DiffOp, capture_diff_slices};

use ecow::EcoString;

use crate::journal::Journal;
use crate::topic::{Moment, TopicName, Version};
use crate::types::{Parts, Registry, TypeRef};
use crate::value::{Dict, Key, List, Text, Value};

use super::ReplayError;
use super::past::Past;
use super::text_diff::{TextEdit, edits};

/// One thing that is different.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// From the whole value to what is different. Empty for the value itself, and for members of a set.
    pub path: Vec<PathStep>,
    /// What is different there.
    pub what: What,
}

/// One step on the way to a part of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathStep {
    /// Into a dict, to the value under a key.
    Key(Key),
    /// Counts in the new list; for what was removed, in the old one.
    Index(usize),
}

/// How it is different.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// It is there now.
    Added(Value),
    /// It is gone.
    Removed(Value),
    /// It is another.
    Changed {
        /// What it was.
        from: Value,
        /// What it is.
        to: Value,
    },
    /// A text that is partly the same.
    Edited(Vec<TextEdit>),
}

impl Difference {
    /// Its plain form: `{"path": […], "added": …}`, `"removed"`, `"from"` and `"to"`, or `"edits"`.
    pub fn to_value(&self) -> Value {
        let path = self.path.iter().map(|step| match step {
            PathStep::Key(key) => key.clone().into(),
            PathStep::Index(index) => Value::Int(*index as i64),
        });
        let path = Value::List(path.collect());
        let dict: Dict = match &self.what {
            What::Added(value) => [("path", path), ("added", value.clone())].into(),
            What::Removed(value) => [("path", path), ("removed", value.clone())].into(),
            What::Changed { from, to } => {
                [("path", path), ("from", from.clone()), ("to", to.clone())].into()
            }
            What::Edited(edits) => {
                let edits = edits.iter().map(TextEdit::to_value).collect();
                [("path", path), ("edits", Value::List(edits))].into()
            }
        };
        Value::Dict(dict)
    }
}

/// What is different between two plain values. Nothing, if they are equal.
pub fn diff(from: &Value, to: &Value) -> Vec<Difference> {
    let mut walk = Walk { path: Vec::new(), found: Vec::new() };
    walk.values(from, to);
    walk.found
}

/// What is different between two plain values of a type: as [`diff`], but sets differ by members.
pub fn diff_of(kind: TypeRef, from: &Value, to: &Value) -> Vec<Difference> {
    match (kind.parts(), from, to) {
        (Parts::Members, Value::List(from), Value::List(to)) => members(from, to),
        _ => diff(from, to),
    }
}

/// What is different between two moments of a topic, and the versions that they are.
///
/// # Errors
/// There is no such topic or version, its type is missing, or the journal is damaged.
pub fn diff_versions(
    journal: &dyn Journal,
    registry: &Registry,
    name: &TopicName,
    from: Moment,
    to: Moment,
) -> Result<(Version, Version, Vec<Difference>), ReplayError> {
    let past = Past::open(journal, registry, name)?;
    let (from, to) = (past.version_at(from)?, past.version_at(to)?);
    let (old, new) = (past.at(from)?.plain(), past.at(to)?.plain());
    Ok((from, to, diff_of(past.kind(), &old, &new)))
}

/// Both lists have each member once, sorted.
fn members(from: &List<Value>, to: &List<Value>) -> Vec<Difference> {
    let here = |what| Difference { path: Vec::new(), what };
    let (old, new): (Vec<&Value>, Vec<&Value>) = (from.iter().collect(), to.iter().collect());
    let lacks = |set: &[&Value], member: &Value| set.binary_search(&member).is_err();
    let gone = old.iter().filter(|it| lacks(&new, it)).map(|it| here(What::Removed((*it).clone())));
    let come = new.iter().filter(|it| lacks(&old, it)).map(|it| here(What::Added((*it).clone())));
    gone.chain(come).collect()
}

/// The way to where two values are compared, and what was found so far.
struct Walk {
    path: Vec<PathStep>,
    found: Vec<Difference>,
}

impl Walk {
    fn note(&mut self, what: What) {
        self.found.push(Difference { path: self.path.clone(), what });
    }

    fn within(&mut self, step: PathStep, look: impl FnOnce(&mut Walk)) {
        self.path.push(step);
        look(self);
        self.path.pop();
    }

    fn values(&mut self, from: &Value, to: &Value) {
        match (from, to) {
            (Value::Dict(from), Value::Dict(to)) => self.dicts(from, to),
            (Value::List(from), Value::List(to)) => self.lists(from, to),
            (Value::String(old), Value::String(new)) => self.texts(old, new),
            _ if from == to => {}
            _ => self.note(What::Changed { from: from.clone(), to: to.clone() }),
        }
    }

    fn dicts(&mut self, from: &Dict, to: &Dict) {
        if from.ptr_eq(to) {
            return;
        }
        // Both ascend by key: one walk through the two.
        let (mut old, mut new) = (from.iter().peekable(), to.iter().peekable());
        loop {
            let key = match (old.peek(), new.peek()) {
                (Some((a, _)), Some((b, _))) => Ord::min(*a, *b).clone(),
                (Some((key, _)), None) | (None, Some((key, _))) => (*key).clone(),
                (None, None) => break,
            };
            let before = old.next_if(|(it, _)| **it == key).map(|(_, value)| value);
            let after = new.next_if(|(it, _)| **it == key).map(|(_, value)| value);
            self.within(PathStep::Key(key), |walk| match (before, after) {
                (Some(before), Some(after)) => walk.values(before, after),
                (Some(before), None) => walk.note(What::Removed(before.clone())),
                (None, Some(after)) => walk.note(What::Added(after.clone())),
                (None, None) => {}
            });
        }
    }

    fn lists(&mut self, from: &List<Value>, to: &List<Value>) {
        if from.ptr_eq(to) {
            return;
        }
        let same = from.iter().zip(to.iter()).take_while(|(a, b)| a == b).count();
        // Equal items get equal numbers.
        let mut numbers: BTreeMap<&Value, usize> = BTreeMap::new();
        let mut number = |item| {
            let next = numbers.len();
            *numbers.entry(item).or_insert(next)
        };
        let old: Vec<usize> = from.iter_from(same).map(&mut number).collect();
        let new: Vec<usize> = to.iter_from(same).map(&mut number).collect();
        for op in capture_diff_slices(Algorithm::Myers, &old, &new) {
            if matches!(op, DiffOp::Equal { .. }) {
                continue;
            }
            let (old, new) = (op.old_range(), op.new_range());
            let changed = old.len().min(new.len());
            for (index, before) in old.clone().zip(from.iter_from(same + old.start)) {
                let index_new = new.start + index - old.start;
                match to.get(same + index_new).filter(|_| index - old.start < changed) {
                    Some(after) => self.within(PathStep::Index(same + index_new), |walk| {
                        walk.values(before, after);
                    }),
                    None => self.within(PathStep::Index(same + index), |walk| {
                        walk.note(What::Removed(before.clone()));
                    }),
                }
            }
            let added = new.start + changed..new.end;
            for (index, after) in added.clone().zip(to.iter_from(same + added.start)) {
                self.within(PathStep::Index(same + index), |walk| {
                    walk.note(What::Added(after.clone()));
                });
            }
        }
    }

    fn texts(&mut self, from: &Text, to: &Text) {
        if from == to {
            return;
        }
        let (old, new) = (EcoString::from(from), EcoString::from(to));
        let edits = edits(&old, &new);
        let whole = edits.len() == 1 && edits[0].removed == old && edits[0].inserted == new;
        self.note(if whole {
            What::Changed { from: from.clone().into(), to: to.clone().into() }
        } else {
            What::Edited(edits)
        });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    fn check(from: Json, to: Json, expected: Json) {
        let found = diff(&from.into(), &to.into());
        let found = Value::List(found.iter().map(Difference::to_value).collect());
        assert_eq!(found, Value::from(expected));
    }

    #[test]
    fn dicts_differ_by_key_with_the_path_to_it() {
        check(
            json!({"a": 1, "n": {"x": 10, "y": 20}, "gone": null}),
            json!({"a": 1, "n": {"x": 15, "y": 20}, "new": [1]}),
            json!([
                {"path": ["gone"], "removed": null},
                {"path": ["n", "x"], "from": 10, "to": 15},
                {"path": ["new"], "added": [1]},
            ]),
        );
        check(json!({"a": 1}), json!({"a": 1.0}), json!([]));
    }

    #[test]
    fn lists_differ_as_sequences() {
        check(
            json!(["a", "b", "c", {"k": 1}]),
            json!(["a", "c", {"k": 2}, "d"]),
            json!([
                {"path": [1], "removed": "b"},
                {"path": [2, "k"], "from": 1, "to": 2},
                {"path": [3], "added": "d"},
            ]),
        );
        check(json!([]), json!([0]), json!([{"path": [0], "added": 0}]));
    }

    #[test]
    fn texts_differ_by_stretch_or_as_a_whole() {
        let edit = json!({"at": 4, "removed": "old", "inserted": "new"});
        check(json!("the old way"), json!("the new way"), json!([{"path": [], "edits": [edit]}]));
        check(json!("milk"), json!("bread"), json!([{"path": [], "from": "milk", "to": "bread"}]));
    }

    #[test]
    fn sets_differ_by_members() {
        let kind = Registry::default().get("set").unwrap();
        let (from, to) = (Value::from(json!([1, 2, 3])), Value::from(json!([2, 4])));
        let found: Vec<What> = diff_of(kind, &from, &to).into_iter().map(|it| it.what).collect();
        let expected = [What::Removed(1.into()), What::Removed(3.into()), What::Added(4.into())];
        assert_eq!(found, expected);
    }
}
