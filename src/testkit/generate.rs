//! Values and changes of the built-in types, made out of choices.
//!
//! A generator asks for numbers below a bound and never where they come from. Mostly they are small,
//! equal, or at an edge, so that changes meet.

use super::choices::Choices;
use super::law::Law;
use crate::types::TopicType;
use crate::types::bool::Bool;
use crate::types::dict::{Dict, DictChange};
use crate::types::edit::{Deletion, Edit};
use crate::types::event::{Emit, Event};
use crate::types::float::{Float, FloatChange};
use crate::types::generic::{Generic, SetTo};
use crate::types::int::{Int, IntChange};
use crate::types::list::{List, ListChange};
use crate::types::place::Place;
use crate::types::set::{Set, SetChange};
use crate::types::string::{String, StringChange};
use crate::value::limits::INT_MAX;
use crate::value::{Dict as DictValue, Key, List as ListValue, Text, Value};

/// A type whose values and changes can be made: the built-in ones.
pub trait Generate: TopicType {
    /// The laws that must have something to say, as two changes can be kept, or composed.
    const SPEAKS: &[Law] = &[Law::TheSquareCloses, Law::TheSquareOfARunCloses, Law::ComposeAgrees];

    /// Any value.
    fn value(choices: &mut dyn Choices) -> Self::Value;

    /// A change that applies to `value`.
    fn change(choices: &mut dyn Choices, value: &Self::Value) -> Self::Change;

    /// A change that may fit no value at hand.
    fn wild_change(choices: &mut dyn Choices) -> Self::Change {
        let value = Self::value(choices);
        Self::change(choices, &value)
    }
}

/// Longer values than this are cut rather than added to, so that a long run stays fast.
const LONG: usize = 32;

/// How often a change sets the whole value: rarely, as that overwrites what else is going on.
const SET_ONCE_IN: usize = 24;

/// Pieces of text: one byte to four, more than one code point to what shows as one, the last code
/// point there is, line ends, NUL.
const PIECES: [&str; 16] = [
    "a",
    "b",
    "c",
    "xyz",
    " ",
    "\n",
    "\r\n",
    "\0",
    "é",
    "e\u{301}",
    "ß",
    "\u{feff}",
    "😀",
    "𝄞",
    "👩\u{200d}👧",
    "\u{10ffff}",
];

/// A text of so many pieces, each of one to three code points.
pub fn text(choices: &mut dyn Choices, pieces: usize) -> std::string::String {
    (0..pieces).map(|_| choices.pick(&PIECES)).collect()
}

/// What somebody types: mostly a few letters, now and then nothing.
pub(super) fn typed(choices: &mut dyn Choices) -> Key {
    let pieces = if choices.once_in(16) { 0 } else { 1 + choices.below(3) };
    text(choices, pieces).into()
}

/// A whole number, often at an edge.
pub fn int(choices: &mut dyn Choices) -> i64 {
    const EDGES: [i64; 12] =
        [0, 1, -1, 2, 127, -129, 1 << 16, -(1 << 31), 1 << 32, INT_MAX - 1, INT_MAX, -INT_MAX];
    match choices.below(2) {
        0 => choices.pick(&EDGES),
        _ => choices.next_64() as i64 % (INT_MAX + 1),
    }
}

/// A finite number, often at an edge.
pub fn float(choices: &mut dyn Choices) -> f64 {
    const EDGES: [f64; 14] = [
        0.0,
        -0.0,
        1.0,
        0.5,
        -1.5,
        0.1,
        1e21,
        5e-324,
        -2.3e-308,
        9_007_199_254_740_991.0,
        9_007_199_254_740_992.0,
        1.0e300,
        f64::MAX,
        f64::MIN,
    ];
    match choices.below(2) {
        0 => choices.pick(&EDGES),
        _ => Some(f64::from_bits(choices.next_64())).filter(|it| it.is_finite()).unwrap_or(0.1),
    }
}

/// A multiple of 1/1024 that is small enough for every sum of some to be exact. Where a law speaks of
/// equality, a float's rounding would break it, and only these are used.
pub fn dyadic(choices: &mut dyn Choices) -> f64 {
    f64::from(choices.next() as i32 >> 8) / 1024.0
}

/// Any value, with at most `depth` and rarely about 90 nested containers.
pub fn any_value(choices: &mut dyn Choices, depth: usize) -> Value {
    let kinds = if depth == 0 { 5 } else { 8 };
    match choices.below(kinds) {
        0 => Value::Null,
        1 => Value::Bool(choices.below(2) == 1),
        2 => Value::Int(int(choices)),
        3 => Value::Float(float(choices)),
        4 => {
            let pieces = choices.below(4);
            text(choices, pieces).into()
        }
        5 => {
            let len = choices.below(4);
            Value::List((0..len).map(|_| any_value(choices, depth - 1)).collect())
        }
        6 => {
            let len = choices.below(4);
            Value::Dict((0..len).map(|_| (key(choices), any_value(choices, depth - 1))).collect())
        }
        _ => {
            let deep = choices.once_in(16);
            let innermost = any_value(choices, depth - 1);
            let levels = if deep && innermost.nesting() < 5 { 90 } else { 1 };
            (0..levels).fold(innermost, |inner, _| Value::List([inner].into_iter().collect()))
        }
    }
}

/// An item of a list or set, or a value of a dict: mostly one of a few, so that equal ones meet, also
/// those that are equal by value only.
fn item(choices: &mut dyn Choices) -> Value {
    match choices.below(16) {
        15 => any_value(choices, 2),
        _ => match choices.below(12) {
            0 => Value::Int(1),
            1 => Value::Float(1.0),
            2 => Value::Float(-0.0),
            3 => "a".into(),
            4 => Value::Null,
            5 => Value::List([Value::Int(1)].into_iter().collect()),
            number => Value::Int(number as i64 - 6),
        },
    }
}

/// A key, mostly one of a few.
pub(super) fn key(choices: &mut dyn Choices) -> Key {
    const KEYS: [&str; 7] = ["a", "b", "c", "", "é😀", "a key beyond fifteen bytes", "type"];
    match choices.below(4) {
        3 => format!("k{}", choices.below(24)).into(),
        2 => choices.pick(&KEYS).into(),
        _ => choices.pick(&KEYS[..2]).into(),
    }
}

/// How long a value is: mostly a few items, now and then so many that it is kept in another way.
fn len(choices: &mut dyn Choices) -> usize {
    if choices.once_in(24) { choices.below(300) } else { choices.below(9) }
}

impl Generate for Generic {
    const SPEAKS: &[Law] = &[Law::ComposeAgrees];

    fn value(choices: &mut dyn Choices) -> Value {
        any_value(choices, 3)
    }

    fn change(choices: &mut dyn Choices, _: &Value) -> SetTo<Value> {
        SetTo(any_value(choices, 3))
    }
}

impl Generate for Bool {
    const SPEAKS: &[Law] = &[Law::ComposeAgrees];

    fn value(choices: &mut dyn Choices) -> bool {
        choices.below(2) == 1
    }

    fn change(choices: &mut dyn Choices, _: &bool) -> SetTo<bool> {
        SetTo(choices.below(2) == 1)
    }
}

impl Generate for Int {
    fn value(choices: &mut dyn Choices) -> i64 {
        int(choices)
    }

    fn change(choices: &mut dyn Choices, value: &i64) -> IntChange {
        let target = int(choices);
        match choices.below(4) {
            // Between the value and the target, so within the range.
            0..3 => IntChange::Add((target - value).clamp(-INT_MAX, INT_MAX)),
            _ => IntChange::Set(target),
        }
    }

    fn wild_change(choices: &mut dyn Choices) -> IntChange {
        IntChange::Add(int(choices))
    }
}

impl Generate for Float {
    fn value(choices: &mut dyn Choices) -> f64 {
        dyadic(choices)
    }

    fn change(choices: &mut dyn Choices, value: &f64) -> FloatChange {
        // Back towards 0, so that the value does not outgrow what sums exactly.
        let number = dyadic(choices).copysign(-value);
        match choices.below(4) {
            0..3 => FloatChange::Add(number),
            _ => FloatChange::Set(number),
        }
    }

    fn wild_change(choices: &mut dyn Choices) -> FloatChange {
        match choices.below(4) {
            0..3 => FloatChange::Add(float(choices)),
            _ => FloatChange::Set(float(choices)),
        }
    }
}

/// An edit of up to five parts, each of them keeping some, then inserting or deleting.
fn edit(choices: &mut dyn Choices, text: &Text) -> Edit {
    let (mut edit, mut position, len) = (Edit::default(), 0, text.len_chars());
    for _ in 0..1 + choices.below(5) {
        let kept = choices.below((len - position + 1).min(6));
        edit.retain(kept);
        position += kept;
        match choices.below(2) {
            0 => edit.insert(typed(choices)),
            _ => {
                let end = position + choices.below((len - position + 1).min(6));
                edit.delete(deletion(choices, text, position, end));
                position = end;
            }
        }
    }
    edit.finish()
}

/// The deletion of what is in `start..end`, which names its text or does not.
fn deletion(choices: &mut dyn Choices, text: &Text, start: usize, end: usize) -> Deletion {
    match choices.below(2) {
        0 => Deletion::of_len(end - start),
        _ => Deletion::of_text(text.slice(start..end)),
    }
}

impl Generate for String {
    fn value(choices: &mut dyn Choices) -> Text {
        let pieces = len(choices);
        text(choices, pieces).into()
    }

    fn change(choices: &mut dyn Choices, value: &Text) -> StringChange {
        if choices.once_in(SET_ONCE_IN) {
            return StringChange::Set(String::value(choices));
        }
        if choices.once_in(12) {
            return StringChange::Append(typed(choices));
        }
        let len = value.len_chars();
        let start = choices.below(len + 1);
        match choices.below(if len > LONG { 6 } else { 3 }) {
            0 => StringChange::insert(start, typed(choices)),
            1 => StringChange::Edit(edit(choices, value)),
            _ => {
                let end = start + choices.below(len - start + 1);
                let deletion = deletion(choices, value, start, end);
                StringChange::Edit(Edit::deletion(start, deletion))
            }
        }
    }

    fn wild_change(choices: &mut dyn Choices) -> StringChange {
        let position = wild_position(choices);
        match choices.below(8) {
            0 => return StringChange::insert(position, typed(choices)),
            1 => return StringChange::delete(position, wild_position(choices)),
            _ => {}
        }
        // One long step at most: longer edits cannot be read.
        let mut edit = Edit::default();
        edit.retain(position.min(u32::MAX as usize - 256));
        for _ in 0..choices.below(6) {
            let len = choices.below(12);
            match choices.below(4) {
                0 => edit.retain(len),
                1 => edit.insert(typed(choices)),
                2 => edit.delete(Deletion::of_len(len)),
                _ => edit.delete(Deletion::of_text(typed(choices))),
            }
        }
        StringChange::Edit(edit.finish())
    }
}

/// A position as the wire can give it: mostly a small one, or the largest.
fn wild_position(choices: &mut dyn Choices) -> usize {
    const EDGES: [usize; 4] = [0, 1, u32::MAX as usize - 1, u32::MAX as usize];
    if choices.once_in(8) { choices.pick(&EDGES) } else { choices.below(12) }
}

/// A position below `len`, or the end.
fn place(choices: &mut dyn Choices, len: usize) -> Place {
    // Half of them among the first, where changes meet.
    match choices.below(2) {
        _ if choices.once_in(12) => Place::End,
        0 => Place::At(choices.below(len.min(3))),
        _ => Place::At(choices.below(len)),
    }
}

impl Generate for List {
    fn value(choices: &mut dyn Choices) -> ListValue<Value> {
        let len = len(choices);
        (0..len).map(|_| item(choices)).collect()
    }

    fn change(choices: &mut dyn Choices, value: &ListValue<Value>) -> ListChange {
        if choices.once_in(SET_ONCE_IN) {
            return ListChange::Set(List::value(choices));
        }
        let len = value.len();
        let kind = choices.below(8);
        match kind {
            _ if len == 0 => {
                ListChange::Insert { position: place(choices, 1), item: item(choices) }
            }
            0..3 if len < LONG => {
                ListChange::Insert { position: place(choices, len + 1), item: item(choices) }
            }
            0..4 => ListChange::Pop { position: place(choices, len) },
            4 => ListChange::Replace { position: place(choices, len), item: item(choices) },
            _ => ListChange::Move { from: place(choices, len), to: place(choices, len) },
        }
    }

    fn wild_change(choices: &mut dyn Choices) -> ListChange {
        let position = Place::At(wild_position(choices));
        match choices.below(4) {
            0 => ListChange::Insert { position, item: item(choices) },
            1 => ListChange::Pop { position },
            2 => ListChange::Replace { position, item: item(choices) },
            _ => ListChange::Move { from: position, to: Place::At(wild_position(choices)) },
        }
    }
}

type Items = <Set as TopicType>::Value;

impl Generate for Set {
    fn value(choices: &mut dyn Choices) -> Items {
        let len = len(choices).min(LONG);
        (0..len).map(|_| item(choices)).collect()
    }

    fn change(choices: &mut dyn Choices, value: &Items) -> SetChange {
        if choices.once_in(SET_ONCE_IN) {
            return SetChange::Set(Set::value(choices));
        }
        let index = choices.below(value.len().max(LONG));
        if let Some(item) = value.iter().nth(index)
            && choices.once_in(4)
        {
            return SetChange::Remove(item.clone());
        }
        let item = item(choices);
        if value.contains(&item) { SetChange::Remove(item) } else { SetChange::Append(item) }
    }
}

impl Generate for Dict {
    fn value(choices: &mut dyn Choices) -> DictValue {
        let len = len(choices).min(LONG);
        (0..len).map(|_| (key(choices), item(choices))).collect()
    }

    fn change(choices: &mut dyn Choices, value: &DictValue) -> DictChange {
        if choices.once_in(SET_ONCE_IN) {
            return DictChange::Set(Dict::value(choices));
        }
        let key = key(choices);
        match choices.below(2) {
            _ if !value.contains_key(&key) => DictChange::Add { key, value: item(choices) },
            0 => DictChange::ChangeValue { key, value: item(choices) },
            _ => DictChange::Remove { key },
        }
    }
}

impl Generate for Event {
    const SPEAKS: &[Law] = &[Law::TheSquareCloses, Law::TheSquareOfARunCloses];

    fn value(_: &mut dyn Choices) {}

    fn change(choices: &mut dyn Choices, (): &()) -> Emit {
        Emit(Dict::value(choices))
    }
}
