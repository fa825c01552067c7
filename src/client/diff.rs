//! The changes between two values, where a snapshot jumped over how they came about.
//!
//! Pending changes are carried over them as over published ones: a guess at what others did, as close
//! as the values tell. The server sees only the outcome, which stands on the snapshot.

use crate::types::{AnyChange, AnyValue, TypeRef};
use crate::value::{Dict, Fields, List, Text, Value};

/// Changes that lead from `from` to `to`. `None` if the type has none that could.
///
/// O(n), n being the size of both.
pub(super) fn diff(kind: TypeRef, from: &AnyValue, to: &AnyValue) -> Option<Vec<AnyChange>> {
    if from == to {
        return Some(Vec::new());
    }
    let (old, new) = (kind.encode_value(from), kind.encode_value(to));
    let whole = || vec![Fields::of_type("set").with("value", new.clone())];
    let fields = match (kind.name(), &old, &new) {
        ("dict", Value::Dict(old), Value::Dict(new)) => of_dicts(old, new),
        ("list", Value::List(old), Value::List(new)) => of_lists(old, new),
        ("set", Value::List(old), Value::List(new)) => of_sets(old, new),
        ("string", Value::String(old), Value::String(new)) => of_texts(old, new),
        _ => whole(),
    };
    changes(kind, from, to, fields).or_else(|| changes(kind, from, to, whole()))
}

/// The changes of these fields, if they do lead from `from` to `to`.
fn changes(
    kind: TypeRef,
    from: &AnyValue,
    to: &AnyValue,
    fields: Vec<Fields>,
) -> Option<Vec<AnyChange>> {
    let changes: Vec<AnyChange> =
        fields.into_iter().map(|fields| kind.decode_change(&fields).ok()).collect::<Option<_>>()?;
    let mut value = from.clone();
    changes.iter().try_for_each(|change| kind.apply(&mut value, change)).ok()?;
    (value == *to).then_some(changes)
}

fn of_dicts(old: &Dict, new: &Dict) -> Vec<Fields> {
    let gone = old.keys().filter(|key| !new.contains_key(key));
    let removed = gone.map(|key| Fields::of_type("remove").with("key", key.clone()));
    let put = new.iter().filter_map(|(key, value)| {
        let change_type = match old.get(key) {
            Some(old) if old == value => return None,
            Some(_) => "change_value",
            None => "add",
        };
        Some(Fields::of_type(change_type).with("key", key.clone()).with("value", value.clone()))
    });
    removed.chain(put).collect()
}

fn of_sets(old: &List<Value>, new: &List<Value>) -> Vec<Fields> {
    // Both are sorted, as sets are encoded.
    let lacks = |set: &Vec<&Value>, item: &Value| set.binary_search(&item).is_err();
    let (olds, news): (Vec<&Value>, Vec<&Value>) = (old.iter().collect(), new.iter().collect());
    let gone = old.iter().filter(|item| lacks(&news, item));
    let come = new.iter().filter(|item| lacks(&olds, item));
    gone.map(|item| Fields::of_type("remove").with("item", item.clone()))
        .chain(come.map(|item| Fields::of_type("append").with("item", item.clone())))
        .collect()
}

/// How many items two sequences share at their beginnings, and then at their ends.
fn shared<T: PartialEq>(
    lens: (usize, usize),
    forward: impl Iterator<Item = (T, T)>,
    backward: impl Iterator<Item = (T, T)>,
) -> (usize, usize) {
    let shortest = lens.0.min(lens.1);
    let start = forward.take_while(|(old, new)| old == new).count();
    let end = backward.take(shortest - start).take_while(|(old, new)| old == new).count();
    (start, end)
}

fn of_lists(old: &List<Value>, new: &List<Value>) -> Vec<Fields> {
    let forward = old.iter().zip(new.iter());
    let backward = old.iter().rev().zip(new.iter().rev());
    let (start, end) = shared((old.len(), new.len()), forward, backward);
    let (gone, come) = (old.len() - start - end, new.len() - start - end);
    let at = |change_type, position: usize| {
        Fields::of_type(change_type).with("position", Value::Int(position as i64))
    };
    let both = gone.min(come);
    let items = |range: std::ops::Range<usize>| {
        new.iter_from(range.start).take(range.len()).cloned().zip(range)
    };
    items(start..start + both)
        .map(|(item, position)| at("replace", position).with("item", item))
        .chain((both..gone).map(|_| at("pop", start + both)))
        .chain(
            items(start + both..start + come)
                .map(|(item, position)| at("insert", position).with("item", item)),
        )
        .collect()
}

fn of_texts(old: &Text, new: &Text) -> Vec<Fields> {
    let chars = |text: &Text| text.chunks().flat_map(str::chars).collect::<Vec<char>>();
    let (old, new) = (chars(old), chars(new));
    let forward = old.iter().zip(&new);
    let backward = old.iter().rev().zip(new.iter().rev());
    let (start, end) = shared((old.len(), new.len()), forward, backward);
    let text = |chars: &[char]| Value::from(chars.iter().collect::<String>());
    let deleted = text(&old[start..old.len() - end]);
    let steps = [
        Value::Int(start as i64),
        text(&new[start..new.len() - end]),
        Value::Dict([("d", deleted)].into()),
    ];
    vec![Fields::of_type("edit").with("edit", steps.to_vec())]
}
