//! The laws as checks of given values and changes: `Err` says how a law is broken.
//!
//! `v · c` stands for the value `v` with the change `c` applied.

use std::fmt::{Debug, Write};

use crate::types::run::{self, MaybeChange};
use crate::types::{
    AnyChange, AnyValue, Composed, Conflict, Rebased, Splice, TopicType, TypeRef, Writes,
};
use crate::value::decode::ValueSeed;
use crate::value::fields::FieldsSeed;
use crate::value::{Fields, Invalid, LimitError, Value};
use serde::de::DeserializeSeed;

use super::broken::{Found, same};

fn applied<T: TopicType>(value: &T::Value, change: &T::Change) -> Result<T::Value, Invalid> {
    let mut value = value.clone();
    T::apply(&mut value, change)?;
    Ok(value)
}

/// `v · c`, where the law says that `c` applies.
fn must_apply<T: TopicType>(value: &T::Value, change: &T::Change) -> Result<T::Value, String> {
    applied::<T>(value, change)
        .map_err(|error| format!("{change:?} does not apply to {value:?}: {error}"))
}

/// As [`must_apply`], for what may be no change at all.
fn maybe_apply<T: TopicType>(
    value: &T::Value,
    change: Option<&T::Change>,
) -> Result<T::Value, String> {
    change.map_or_else(|| Ok(value.clone()), |change| must_apply::<T>(value, change))
}

/// Law 1: the same value and change give the same result, whatever they went through before; a
/// change that does not apply leaves the value as it was.
pub fn apply_is_a_function<T: TopicType>(value: &T::Value, change: &T::Change) -> Found {
    let json = |value: &T::Value| serde_json::to_string(&T::encode_value(value)).unwrap();
    let before = json(value);
    let once = applied::<T>(value, change);
    same("applied twice", &once, &applied::<T>(value, change))?;
    same("the value applied to, after it", &before, &json(value))?;

    let deep_copy = T::decode_value(&serde_json::from_str(&before).unwrap()).map_err(debug)?;
    let text = serde_json::to_string(&T::encode_change(change)).unwrap();
    let decoded = T::decode_change(&fields_from_json(&text)?).map_err(debug)?;
    let mut of_copy = deep_copy;
    let result = T::apply(&mut of_copy, &decoded);
    match once {
        Ok(once) => {
            result.map_err(|error| format!("applies, but not to a copy: {error}"))?;
            same("applied to a copy", &once, &of_copy)?;
            same("applied to a copy, encoded", &json(&once), &json(&of_copy))
        }
        Err(error) => {
            same("applied to a copy", &Err(error), &result)?;
            same("a value that a change did not apply to", &before, &json(&of_copy))
        }
    }
}

/// Law 2: `v · c · invert(c, v) = v`. No inverse means that `v · c = v`.
pub fn inverse_restores<T: TopicType>(value: &T::Value, change: &T::Change) -> Found {
    let after = must_apply::<T>(value, change)?;
    let inverse = T::invert(change, value);
    let restored = maybe_apply::<T>(&after, inverse.as_ref())?;
    same(format_args!("{change:?}, then its inverse {inverse:?}"), value, &restored)
}

/// Law 3: a rebase answers any pair, always the same, and never with a panic. So do the others that
/// need no value.
pub fn rebase_is_total<T: TopicType>(incoming: &T::Change, accepted: &T::Change) -> Found {
    let answer = T::rebase(incoming, accepted);
    same("rebased twice", &answer, &T::rebase(incoming, accepted))?;
    let composed = T::compose(incoming, accepted);
    same("composed twice", &composed, &T::compose(incoming, accepted))
}

/// Law 4: `v · a · c' = v · c · a'`, where a rebase carried the two; both are made on `v`. Gives
/// whether it did.
pub fn square_closes<T: TopicType>(
    value: &T::Value,
    incoming: &T::Change,
    accepted: &T::Change,
) -> Result<bool, String> {
    let Ok(rebased) = T::rebase(incoming, accepted) else { return Ok(false) };
    let over_accepted = must_apply::<T>(value, accepted)?;
    let left = match &rebased.incoming {
        None => over_accepted.clone(),
        Some(carried) => match applied::<T>(&over_accepted, carried) {
            // The author is told that it is stale.
            Err(invalid) if invalid.is_of_the_whole_value() => return Ok(true),
            result => result.map_err(|error| {
                format!("c' = {carried:?} does not apply to v · a = {over_accepted:?}: {error}")
            })?,
        },
    };
    let over_incoming = must_apply::<T>(value, incoming)?;
    let right = maybe_apply::<T>(&over_incoming, rebased.accepted.as_ref())?;
    let Rebased { incoming, accepted } = &rebased;
    let what = format!("c' = {incoming:?}, a' = {accepted:?}; v · a · c', then v · c · a'");
    same(&what, &left, &right)?;
    Ok(true)
}

/// Law 5: `v · compose(a, b) = v · a · b`. Gives whether they compose.
pub fn compose_agrees<T: TopicType>(
    value: &T::Value,
    first: &T::Change,
    second: &T::Change,
) -> Result<bool, String> {
    let in_turn = must_apply::<T>(&must_apply::<T>(value, first)?, second)?;
    let composed = match T::compose(first, second) {
        Composed::Separate => return Ok(false),
        Composed::Nothing => None,
        Composed::One(change) => Some(change),
    };
    let at_once = maybe_apply::<T>(value, composed.as_ref())?;
    same(format_args!("composed to {composed:?}"), &at_once, &in_turn)?;
    Ok(true)
}

/// What `REBASES_OVER_COMPOSED` promises: carried over `compose(a1, a2)`, a change is what it is
/// carried over `a1`, then `a2`, and the accepted sides lead to one value. Where the two cancel out,
/// one carried in turn must do what it did.
pub fn rebases_over_composed<T: TopicType>(
    value: &T::Value,
    incoming: &T::Change,
    first: &T::Change,
    second: &T::Change,
) -> Result<bool, String> {
    let in_turn = in_turn::<T>(incoming, first, second);
    let over_incoming = must_apply::<T>(value, incoming)?;
    let composed = match T::compose(first, second) {
        Composed::Separate => return Ok(false),
        Composed::One(composed) => composed,
        Composed::Nothing => {
            let Ok((carried, [first, second])) = in_turn else { return Ok(true) };
            same("nothing", &maybe_apply::<T>(value, carried.as_ref())?, &over_incoming)?;
            let accepted = maybe_apply::<T>(&over_incoming, first.as_ref())?;
            let accepted = maybe_apply::<T>(&accepted, second.as_ref())?;
            same("nothing, carried", &accepted, &over_incoming)?;
            return Ok(true);
        }
    };
    if let Ok((_, accepted)) = &in_turn
        && breaks_a_rule::<T>(&over_incoming, accepted)
    {
        // The incoming change is stale, or would be if it had been rebased over the first alone.
        return Ok(true);
    }
    match (T::rebase(incoming, &composed), in_turn) {
        (Err(at_once), Err(in_turn)) => same("the conflict", &at_once, &in_turn)?,
        (Ok(at_once), Ok((carried, [first, second]))) => {
            same("at once, in turn", &at_once.incoming, &carried)?;
            let left = maybe_apply::<T>(&over_incoming, at_once.accepted.as_ref())?;
            let right = maybe_apply::<T>(&over_incoming, first.as_ref())?;
            let right = maybe_apply::<T>(&right, second.as_ref())?;
            same("the accepted side, at once and in turn", &left, &right)?;
        }
        // All it had to do was done, before everything was set.
        (Err(Conflict::Overwritten), Ok((None, _))) => {}
        (at_once, in_turn) => return Err(format!("at once {at_once:?}, in turn {in_turn:?}")),
    }
    Ok(true)
}

/// Whether the changes do not apply in a row, for what the whole value decides.
fn breaks_a_rule<T: TopicType>(value: &T::Value, changes: &[Option<T::Change>]) -> bool {
    let mut value = value.clone();
    let applied = changes.iter().flatten().try_for_each(|change| T::apply(&mut value, change));
    applied.is_err_and(|invalid| invalid.is_of_the_whole_value())
}

/// `incoming` carried over two changes, and both carried over it.
type InTurn<C> = Result<(Option<C>, [Option<C>; 2]), Conflict>;

fn in_turn<T: TopicType>(
    incoming: &T::Change,
    first: &T::Change,
    second: &T::Change,
) -> InTurn<T::Change> {
    let over_first = T::rebase(incoming, first)?;
    Ok(match over_first.incoming {
        None => (None, [over_first.accepted, Some(second.clone())]),
        Some(carried) => {
            let Rebased { incoming, accepted } = T::rebase(&carried, second)?;
            (incoming, [over_first.accepted, accepted])
        }
    })
}

/// Law 6 for a change: it comes out of JSON and MessagePack as it went in, and a message can carry it.
pub fn change_survives<T: TopicType>(change: &T::Change) -> Found {
    let fields = T::encode_change(change);
    if let Some(field) = ["id", "base"].into_iter().find(|field| fields.get(field).is_some()) {
        return Err(format!("{change:?} has a field {field:?}, which is the protocol's own"));
    }
    if fields.change_type() == "none" {
        return Err(format!("{change:?} is called \"none\", which is no change on the wire"));
    }
    let text = serde_json::to_string(&fields).unwrap();
    let from_json = fields_from_json(&text)?;
    let from_msgpack = fields_from_msgpack(&rmp_serde::to_vec(&fields).unwrap())?;
    for decoded in [from_json, from_msgpack] {
        same("the fields", &fields, &decoded)?;
        let decoded = T::decode_change(&decoded).map_err(debug)?;
        same("the change", change, &decoded)?;
        // Numbers compare by value, their encoding tells 1 from 1.0.
        let again = serde_json::to_string(&T::encode_change(&decoded)).unwrap();
        same("the change, encoded again", &text, &again)?;
    }
    Ok(())
}

/// Law 6 for a value.
pub fn value_survives<T: TopicType>(value: &T::Value) -> Found {
    let plain = T::encode_value(value);
    plain.check().map_err(debug)?;
    let text = serde_json::to_string(&plain).unwrap();
    let from_json = value_from_json(&text)?;
    let from_msgpack = value_from_msgpack(&rmp_serde::to_vec(&plain).unwrap())?;
    for decoded in [from_json, from_msgpack] {
        same("the value, plain", &plain, &decoded)?;
        let decoded = T::decode_value(&decoded).map_err(debug)?;
        same("the value", value, &decoded)?;
        let again = serde_json::to_string(&T::encode_value(&decoded)).unwrap();
        same("the value, encoded again", &text, &again)?;
    }
    Ok(())
}

/// Law 6 for all that can follow from two changes made on one value: inverses, exact forms, what a
/// rebase and a composition make. All of these go over the wire.
pub fn what_follows_survives<T: TopicType>(
    value: &T::Value,
    incoming: &T::Change,
    accepted: &T::Change,
) -> Found {
    let mut follow = vec![incoming.clone(), accepted.clone()];
    follow.extend(T::invert(incoming, value));
    follow.extend(T::resolve(incoming, value).map_err(debug)?);
    if let Ok(rebased) = T::rebase(incoming, accepted) {
        follow.extend(rebased.incoming);
        follow.extend(rebased.accepted);
    }
    if let Composed::One(composed) = T::compose(incoming, accepted) {
        follow.push(composed);
    }
    follow.iter().try_for_each(change_survives::<T>)
}

/// Law 6 for a value, changes made on it, and all that can follow from them.
pub fn round_trips<T: TopicType>(
    value: &T::Value,
    changes: &[T::Change],
    accepted: &[T::Change],
) -> Found {
    value_survives::<T>(value)?;
    changes.iter().chain(accepted).try_for_each(change_survives::<T>)?;
    match (changes, accepted) {
        ([incoming], [accepted]) => what_follows_survives::<T>(value, incoming, accepted),
        _ => Ok(()),
    }
}

/// Takes `first` out of a run of which `rest` follows: what is left closes the square with its inverse.
pub fn can_be_taken_back<T: TopicType>(
    value: &T::Value,
    first: &T::Change,
    rest: &[MaybeChange],
) -> Found {
    let after = must_apply::<T>(value, first)?;
    let inverse = T::invert(first, value).map(AnyChange::new::<T>);
    let (kind, after) = (TypeRef::of::<T>(), AnyValue::new::<T>(after));
    rest_of_run_closes(kind, &after, rest, &inverse).map(drop)
}

/// `v · differences(v, w) = w`, `w` being what some changes make of `v`. Gives whether there are any.
pub fn differences_lead_there<T: TopicType>(
    value: &T::Value,
    changes: &[T::Change],
) -> Result<bool, String> {
    let mut target = value.clone();
    for change in changes {
        target = must_apply::<T>(&target, change)?;
    }
    let Some(differences) = T::differences(value, &target) else { return Ok(false) };
    let mut there = value.clone();
    for change in &differences {
        there = must_apply::<T>(&there, change)?;
    }
    same(format_args!("by {differences:?}"), &there, &target)?;
    Ok(!changes.is_empty())
}

/// A change leaves what `writes` does not name: an entry under another key, another member, and as many
/// positions as the splices leave.
pub fn writes_are_true<T: TopicType>(value: &T::Value, change: &T::Change) -> Found {
    let resolved = T::resolve(change, value).map_err(debug)?;
    let change = resolved.as_ref().unwrap_or(change);
    let writes = T::writes(change, value);
    let before = T::encode_value(value);
    let after = T::encode_value(&must_apply::<T>(value, change)?);
    let what = format!("{change:?} writes {writes:?}");
    match (&writes, &before, &after) {
        (Writes::Whole, ..) => Ok(()),
        (Writes::Nothing, ..) => same(&what, &before, &after),
        (Writes::Key(key) | Writes::KeyGone(key), Value::Dict(before), Value::Dict(after)) => {
            let (mut before, mut after) = (before.clone(), after.clone());
            let is_there = after.remove(key).is_some();
            same(&what, &is_there, &matches!(writes, Writes::Key(_)))?;
            before.remove(key);
            same(&what, &before, &after)
        }
        (
            Writes::Member(item) | Writes::MemberGone(item),
            Value::List(before),
            Value::List(after),
        ) => {
            let others = |list: &crate::value::List<Value>| {
                list.iter().filter(|it| *it != item).cloned().collect::<Vec<_>>()
            };
            let is_there = after.iter().any(|it| it == item);
            same(&what, &is_there, &matches!(writes, Writes::Member(_)))?;
            same(&what, &others(before), &others(after))
        }
        (Writes::Splices(splices), ..) => {
            same(&what, &spliced(&positions(&before)?, splices)?, &positions(&after)?)
        }
        (Writes::Moved { from, to }, ..) => {
            let mut moved = positions(&before)?;
            let item = moved.get(*from).cloned().ok_or_else(|| what.clone())?;
            moved.remove(*from);
            moved.insert((*to).min(moved.len()), item);
            same(&what, &moved, &positions(&after)?)
        }
        _ => Err(format!("{what}, which a value such as {after:?} has none of")),
    }
}

/// What a positional value holds, a position each.
type Positions = Vec<Wild>;

/// A position, or one that may hold anything.
#[derive(Debug, Clone)]
enum Wild {
    Kept(Value),
    Written,
}

impl PartialEq for Wild {
    fn eq(&self, other: &Wild) -> bool {
        match (self, other) {
            (Wild::Kept(a), Wild::Kept(b)) => a == b,
            _ => true,
        }
    }
}

fn positions(value: &Value) -> Result<Positions, String> {
    match value {
        Value::List(list) => Ok(list.iter().cloned().map(Wild::Kept).collect()),
        Value::String(text) => {
            let chars = text.chunks().flat_map(str::chars);
            Ok(chars.map(|it| Wild::Kept(it.to_string().into())).collect())
        }
        other => Err(format!("{other:?} has no positions")),
    }
}

fn spliced(before: &Positions, splices: &[Splice]) -> Result<Positions, String> {
    let mut positions = before.clone();
    for Splice { at, removed, inserted } in splices {
        let end = at + removed;
        if end > positions.len() {
            return Err(format!("a splice at {at} takes out {removed} of {}", positions.len()));
        }
        positions.splice(*at..end, std::iter::repeat_n(Wild::Written, *inserted));
    }
    Ok(positions)
}

/// Making a change exact changes nothing about what it does; it takes a base then.
pub fn resolving_keeps_the_effect<T: TopicType>(value: &T::Value, change: &T::Change) -> Found {
    let resolved = T::resolve(change, value).map_err(debug)?;
    let exact = resolved.as_ref().unwrap_or(change);
    let effect = must_apply::<T>(value, change)?;
    same("the effect", &effect, &must_apply::<T>(value, exact)?)?;
    same("whether it takes a base", &true, &T::takes_base(exact))?;
    same("made exact twice", &None, &T::resolve(exact, value).map_err(debug)?)
}

/// `v` with each change of a run applied.
pub fn run_applied(
    kind: TypeRef,
    value: &AnyValue,
    run: &[MaybeChange],
) -> Result<AnyValue, Invalid> {
    let mut value = value.clone();
    for change in run.iter().flatten() {
        kind.apply(&mut value, change)?;
    }
    Ok(value)
}

/// A run carried over accepted changes: `v · a1 · a2 · run' = v · run · a1' · a2'`. Gives whether
/// all of it was carried.
pub fn run_square_closes(
    kind: TypeRef,
    value: &AnyValue,
    run: &[MaybeChange],
    accepted: &[MaybeChange],
) -> Result<bool, String> {
    let mut carried = run.to_vec();
    let mut over_run = Vec::new();
    for (index, change) in accepted.iter().enumerate() {
        match run::rebase_run(kind, &mut carried, change.clone()) {
            Ok(change) => over_run.push(change),
            Err(_) => return Ok(false),
        }
        let left = run_applied(kind, value, &[&accepted[..=index], &carried].concat());
        let right = run_applied(kind, value, &[run, &over_run].concat());
        if [&left, &right].into_iter().any(is_of_the_whole_value) {
            // On one of the two ways a number leaves its range, say: the run is stale, or would be if its
            // author had known no more than this. What follows is no prediction any more.
            return Ok(true);
        }
        same(format_args!("the square of {carried:?}, {over_run:?}"), &left, &right)?;
        left.map_err(debug)?;
    }
    Ok(true)
}

/// What is left of a run once what conflicts with `accepted` fell out closes the square: `v · a ·
/// left' = v · left · a'`. Gives how many changes fell out.
pub fn rest_of_run_closes(
    kind: TypeRef,
    value: &AnyValue,
    run: &[MaybeChange],
    accepted: &MaybeChange,
) -> Result<usize, String> {
    let mut carried = run.to_vec();
    let (over_run, dropped) = run::rebase_or_drop(kind, &mut carried, value, accepted.clone());
    let out: Vec<usize> = dropped.iter().map(|(index, _)| *index).collect();
    for &index in &out {
        same("what fell out", &None, &carried[index])?;
    }
    // The same changes taken out of the run as it was, on its own base.
    let mut left = run.to_vec();
    for &index in &out {
        if left[index].is_some() {
            let base = run_applied(kind, value, &left[..index]).map_err(debug)?;
            run::drop_from(kind, &mut left, index, &base);
        }
    }
    let both = |first: &[MaybeChange], second: &[MaybeChange]| {
        run_applied(kind, value, &[first, second].concat())
    };
    let over_accepted = both(std::slice::from_ref(accepted), &carried);
    if is_of_the_whole_value(&over_accepted) {
        return Ok(out.len());
    }
    let over_left = both(&left, std::slice::from_ref(&over_run));
    same(format_args!("{carried:?} and {left:?}, {over_run:?}"), &over_accepted, &over_left)?;
    over_left.map_err(debug)?;
    Ok(out.len())
}

/// Composing a list of changes into as few as can be leads where applying them in turn does.
pub fn composing_all_agrees(kind: TypeRef, value: &AnyValue, changes: &[AnyChange]) -> Found {
    let composed = run::compose_all(kind, changes);
    let some = |changes: &[AnyChange]| changes.iter().cloned().map(Some).collect::<Vec<_>>();
    let in_turn = run_applied(kind, value, &some(changes)).map_err(debug)?;
    let at_once = run_applied(kind, value, &some(&composed)).map_err(debug)?;
    same(format_args!("composed to {composed:?}"), &at_once, &in_turn)?;
    if composed.len() > changes.len() {
        return Err(format!("{} changes became {}", changes.len(), composed.len()));
    }
    Ok(())
}

fn is_of_the_whole_value(applied: &Result<AnyValue, Invalid>) -> bool {
    applied.as_ref().is_err_and(Invalid::is_of_the_whole_value)
}

fn debug(error: impl Debug) -> String {
    let mut text = String::new();
    write!(text, "{error:?}").unwrap();
    text
}

fn sound<T>(decoded: Result<T, String>, problem: Option<LimitError>) -> Result<T, String> {
    problem.map_or(decoded, |problem| Err(problem.to_string()))
}

/// Reads the fields of a change from JSON, as the server does.
pub fn fields_from_json(text: &str) -> Result<Fields, String> {
    let mut problem = None;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let fields = FieldsSeed { problem: &mut problem }.deserialize(&mut deserializer);
    sound(fields.map_err(debug), problem)
}

/// Reads the fields of a change from MessagePack, as the server does.
pub fn fields_from_msgpack(bytes: &[u8]) -> Result<Fields, String> {
    let mut problem = None;
    let mut deserializer = rmp_serde::Deserializer::from_read_ref(bytes);
    let fields = FieldsSeed { problem: &mut problem }.deserialize(&mut deserializer);
    sound(fields.map_err(debug), problem)
}

/// Reads a plain value from JSON, as the server does.
pub fn value_from_json(text: &str) -> Result<Value, String> {
    let mut problem = None;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = ValueSeed::new(&mut problem).deserialize(&mut deserializer);
    sound(value.map_err(debug), problem)
}

/// Reads a plain value from MessagePack, as the server does.
pub fn value_from_msgpack(bytes: &[u8]) -> Result<Value, String> {
    let mut problem = None;
    let mut deserializer = rmp_serde::Deserializer::from_read_ref(bytes);
    let value = ValueSeed::new(&mut problem).deserialize(&mut deserializer);
    sound(value.map_err(debug), problem)
}
