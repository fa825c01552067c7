//! `list`: values in a row.
//!
//! Every change but `set` is a taking out, a putting in, or both, so that all rebasing comes down to
//! two functions: how a *gap* (a place between items) and how an *item* move over one of them.

use super::alike::{Common, in_common};
use super::place::Place;
use super::{Composed, Conflict, Parts, Rebased, TopicType, Writes, check_item, unknown_change};
use crate::value::{Fields, Invalid, List as ListValue, Value};

/// The type of a topic that holds values in a row.
pub struct List;

/// A change of a list.
#[derive(Debug, Clone, PartialEq)]
pub enum ListChange {
    /// Puts another list in the place of all.
    Set(ListValue<Value>),
    /// Puts `item` before the item at `position`.
    Insert {
        /// The gap that it goes into.
        position: Place,
        /// The new item.
        item: Value,
    },
    /// Takes out the item at `position`.
    Pop {
        /// Where the item is.
        position: Place,
    },
    /// Puts `item` in the place of the one at `position`.
    Replace {
        /// Where the old item is.
        position: Place,
        /// The new item.
        item: Value,
    },
    /// Takes out the item at `from`, then puts it before the item that is at `to` by then.
    Move {
        /// Where the item is.
        from: Place,
        /// The gap that it goes into, counted without it.
        to: Place,
    },
}

use ListChange::{Insert, Move, Pop, Replace};
use Place::At;

/// A gap's position after the item at `popped` was taken out.
fn gap_over_pop(gap: usize, popped: usize) -> usize {
    if popped < gap { gap - 1 } else { gap }
}

/// A gap's position after an item was put in at `inserted`; of two at one place, the newcomer's is to
/// the left.
fn gap_over_insert(gap: usize, inserted: usize, newcomer: bool) -> usize {
    let moves = if newcomer { inserted < gap } else { inserted <= gap };
    if moves { gap + 1 } else { gap }
}

/// An item's position after another item was put in at `inserted`.
fn item_over_insert(item: usize, inserted: usize) -> usize {
    if inserted <= item { item + 1 } else { item }
}

/// An item's position after another item, the one at `popped`, was taken out.
fn item_over_pop(item: usize, popped: usize) -> usize {
    if popped < item { item - 1 } else { item }
}

/// A position as the other side's change leaves it.
#[derive(Clone, Copy)]
enum Motion {
    Insert(usize),
    Pop(usize),
    Move { from: usize, to: usize },
}

impl Motion {
    /// Where the item at `item` is after this; `None` if this took it out.
    fn item(self, item: usize) -> Option<usize> {
        match self {
            Motion::Insert(at) => Some(item_over_insert(item, at)),
            Motion::Pop(at) if at == item => None,
            Motion::Pop(at) => Some(item_over_pop(item, at)),
            Motion::Move { from, to } if from == item => Some(to),
            Motion::Move { from, to } => Some(item_over_insert(item_over_pop(item, from), to)),
        }
    }

    /// Where the gap at `gap` is after this, `newcomer` telling whose gap it is.
    fn gap(self, gap: usize, newcomer: bool) -> usize {
        match self {
            Motion::Insert(at) => gap_over_insert(gap, at, newcomer),
            Motion::Pop(at) => gap_over_pop(gap, at),
            Motion::Move { from, to } => gap_over_insert(gap_over_pop(gap, from), to, newcomer),
        }
    }

    /// This as it is once the item at `popped` is out of the list, which is not the one it takes.
    fn without(self, popped: usize) -> Motion {
        match self {
            Motion::Insert(at) => Motion::Insert(gap_over_pop(at, popped)),
            Motion::Pop(at) => Motion::Pop(item_over_pop(at, popped)),
            Motion::Move { from, to } => {
                // `to` counts without the moved item, so the popped one is looked for there too.
                let from_after = item_over_pop(from, popped);
                Motion::Move { from: from_after, to: gap_over_pop(to, item_over_pop(popped, from)) }
            }
        }
    }
}

/// How `change` moves positions; `None` if it does not, or not before it is resolved.
fn motion(change: &ListChange) -> Option<Motion> {
    match *change {
        Insert { position: At(at), .. } => Some(Motion::Insert(at)),
        Pop { position: At(at) } => Some(Motion::Pop(at)),
        Move { from: At(from), to: At(to) } => Some(Motion::Move { from, to }),
        _ => None,
    }
}

/// `change` rebased over `motion`; `None` if the item that it is about was taken out.
fn over_motion(change: &ListChange, motion: Motion, newcomer: bool) -> Option<ListChange> {
    Some(match change {
        Insert { position: At(gap), item } => {
            Insert { position: At(motion.gap(*gap, newcomer)), item: item.clone() }
        }
        Pop { position: At(at) } => Pop { position: At(motion.item(*at)?) },
        Replace { position: At(at), item } => {
            Replace { position: At(motion.item(*at)?), item: item.clone() }
        }
        Move { from: At(from), to: At(to) } => {
            let moved = motion.item(*from)?;
            // The same item moved by both: this one's target stands, and it counts without the item.
            let to = match motion {
                Motion::Move { from: other, .. } if other == *from => *to,
                _ => motion.without(*from).gap(*to, newcomer),
            };
            Move { from: At(moved), to: At(to) }
        }
        // A `set` is dealt with before, and what names the end moves with it.
        _ => change.clone(),
    })
}

/// The item that `change` is about.
fn subject(change: &ListChange) -> Option<usize> {
    match *change {
        Pop { position: At(at) } | Replace { position: At(at), .. } | Move { from: At(at), .. } => {
            Some(at)
        }
        _ => None,
    }
}

impl TopicType for List {
    type Value = ListValue<Value>;
    type Change = ListChange;

    const NAME: &'static str = "list";
    const PARTS: Parts = Parts::Positions;

    fn initial() -> ListValue<Value> {
        ListValue::new()
    }

    fn decode_value(value: &Value) -> Result<ListValue<Value>, Invalid> {
        match value {
            Value::List(list) => Ok(list.clone()),
            other => Err(Invalid::ValueType { expected: "a list", found: other.kind() }),
        }
    }

    fn encode_value(value: &ListValue<Value>) -> Value {
        Value::List(value.clone())
    }

    fn decode_change(fields: &Fields) -> Result<ListChange, Invalid> {
        let place = |field| fields.require_int(field).and_then(Place::decode);
        match fields.change_type() {
            "set" => List::decode_value(fields.require("value")?).map(ListChange::Set),
            "insert" => Ok(Insert {
                position: place("position")?,
                item: check_item(fields.require("item")?)?,
            }),
            "pop" => Ok(Pop { position: place("position")? }),
            "replace" => Ok(Replace {
                position: place("position")?,
                item: check_item(fields.require("item")?)?,
            }),
            "move" => Ok(Move { from: place("from")?, to: place("to")? }),
            _ => Err(unknown_change::<List>(fields)),
        }
    }

    fn encode_change(change: &ListChange) -> Fields {
        match change {
            ListChange::Set(list) => Fields::of_type("set").with("value", list.clone()),
            Insert { position, item } => Fields::of_type("insert")
                .with("position", position.encode())
                .with("item", item.clone()),
            Pop { position } => Fields::of_type("pop").with("position", position.encode()),
            Replace { position, item } => Fields::of_type("replace")
                .with("position", position.encode())
                .with("item", item.clone()),
            Move { from, to } => {
                Fields::of_type("move").with("from", from.encode()).with("to", to.encode())
            }
        }
    }

    fn takes_base(change: &ListChange) -> bool {
        match change {
            ListChange::Set(_) => true,
            Insert { position, .. } | Pop { position } | Replace { position, .. } => {
                *position != Place::End
            }
            Move { from, to } => *from != Place::End && *to != Place::End,
        }
    }

    fn resolve(
        change: &ListChange,
        list: &ListValue<Value>,
    ) -> Result<Option<ListChange>, Invalid> {
        if List::takes_base(change) {
            return Ok(None);
        }
        let len = list.len();
        Ok(Some(match change {
            ListChange::Set(_) => change.clone(),
            Insert { item, .. } => Insert { position: At(len), item: item.clone() },
            Pop { position } => Pop { position: At(position.item(len)?) },
            Replace { position, item } => {
                Replace { position: At(position.item(len)?), item: item.clone() }
            }
            Move { from, to } => Move { from: At(from.item(len)?), to: At(to.item(len)?) },
        }))
    }

    fn apply(list: &mut ListValue<Value>, change: &ListChange) -> Result<(), Invalid> {
        let len = list.len();
        match change {
            ListChange::Set(new) => *list = new.clone(),
            Insert { position, item } => {
                list.insert(position.gap(len)?, item.clone())?;
            }
            Pop { position } => {
                list.remove(position.item(len)?)?;
            }
            Replace { position, item } => {
                list.replace(position.item(len)?, item.clone())?;
            }
            Move { from, to } => {
                let (from, to) = (from.item(len)?, to.item(len)?);
                let item = list.remove(from)?;
                list.insert(to, item)?;
            }
        }
        Ok(())
    }

    fn rebase(
        incoming: &ListChange,
        accepted: &ListChange,
    ) -> Result<Rebased<ListChange>, Conflict> {
        match (incoming, accepted) {
            (ListChange::Set(_), _) => return Err(Conflict::Changed),
            (_, ListChange::Set(_)) => return Err(Conflict::Overwritten),
            _ => {}
        }
        let same = subject(incoming).filter(|_| subject(incoming) == subject(accepted));
        if let Some(position) = same {
            match (incoming, accepted) {
                (_, Pop { .. }) => return Err(Conflict::ItemRemoved { position }),
                (Replace { .. }, Replace { .. }) => {
                    return Err(Conflict::ItemReplaced { position });
                }
                // The newcomer's target stands.
                (Move { .. }, Move { .. }) => {
                    let incoming =
                        motion(accepted).and_then(|motion| over_motion(incoming, motion, true));
                    return Ok(Rebased { incoming, accepted: None });
                }
                _ => {}
            }
        }
        let over = |change: &ListChange, other: &ListChange, newcomer| match motion(other) {
            Some(motion) => over_motion(change, motion, newcomer),
            None => Some(change.clone()),
        };
        Ok(Rebased {
            incoming: over(incoming, accepted, true),
            accepted: over(accepted, incoming, false),
        })
    }

    fn invert(change: &ListChange, before: &ListValue<Value>) -> Option<ListChange> {
        // `before` took the change, so its positions are there.
        let len = before.len();
        let at = |position: &Place| position.item(len).unwrap_or(0);
        let old = |position: usize| before.get(position).cloned().unwrap_or_default();
        Some(match change {
            ListChange::Set(_) => ListChange::Set(before.clone()),
            Insert { position, .. } => Pop { position: At(position.gap(len).unwrap_or(len)) },
            Pop { position } => {
                let position = at(position);
                Insert { position: At(position), item: old(position) }
            }
            Replace { position, .. } => {
                let position = at(position);
                Replace { position: At(position), item: old(position) }
            }
            Move { from, to } => Move { from: At(at(to)), to: At(at(from)) },
        })
    }

    fn writes(change: &ListChange, before: &ListValue<Value>) -> Writes {
        // A position that is not there fits no value: it would not have been accepted.
        let at = |position: &Place| position.item(before.len()).unwrap_or(0);
        match change {
            ListChange::Set(_) => Writes::Whole,
            Insert { position, .. } => {
                Writes::splice(position.gap(before.len()).unwrap_or(0), 0, 1)
            }
            Pop { position } => Writes::splice(at(position), 1, 0),
            Replace { position, .. } => Writes::splice(at(position), 1, 1),
            Move { from, to } => Writes::Moved { from: at(from), to: at(to) },
        }
    }

    fn differences(from: &ListValue<Value>, to: &ListValue<Value>) -> Option<Vec<ListChange>> {
        let (old, new): (Vec<&Value>, Vec<&Value>) = (from.iter().collect(), to.iter().collect());
        let mut changes = Vec::new();
        let (mut gone, mut come) = (0, 0);
        // Everything before `come` is as it is to be.
        for Common { old: old_start, new: new_start, len } in in_common(&old, &new, 1) {
            let both = (old_start - gone).min(new_start - come);
            for (at, item) in new[come..new_start].iter().enumerate() {
                let (position, item) = (At(come + at), (*item).clone());
                changes.push(if at < both {
                    Replace { position, item }
                } else {
                    Insert { position, item }
                });
            }
            let pop = || Pop { position: At(come + both) };
            changes.extend(std::iter::repeat_with(pop).take(old_start - gone - both));
            (gone, come) = (old_start + len, new_start + len);
        }
        Some(changes)
    }

    fn compose(first: &ListChange, second: &ListChange) -> Composed<ListChange> {
        match (first, second) {
            (_, ListChange::Set(_)) => Composed::One(second.clone()),
            (ListChange::Set(list), _) => {
                let mut list = list.clone();
                match List::apply(&mut list, second) {
                    Ok(()) => Composed::One(ListChange::Set(list)),
                    Err(_) => Composed::Separate,
                }
            }
            (Insert { position: At(a), .. }, Pop { position: At(b) }) if a == b => {
                Composed::Nothing
            }
            (Insert { position: At(a), .. }, Replace { position: At(b), item }) if a == b => {
                Composed::One(Insert { position: At(*a), item: item.clone() })
            }
            (Insert { position: At(a), item }, Move { from: At(from), to }) if a == from => {
                Composed::One(Insert { position: *to, item: item.clone() })
            }
            (
                Replace { position: At(a), .. },
                Replace { position: At(b), .. } | Pop { position: At(b) },
            ) if a == b => Composed::One(second.clone()),
            (Move { from, to: At(a) }, Move { from: At(b), to }) if a == b => {
                Composed::One(Move { from: *from, to: *to })
            }
            (Move { from, to: At(a) }, Pop { position: At(b) }) if a == b => {
                Composed::One(Pop { position: *from })
            }
            _ => Composed::Separate,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> ListValue<Value> {
        text.chars().map(|item| item.to_string().into()).collect()
    }

    fn change(text: &str) -> ListChange {
        let words: Vec<&str> = text.split(' ').collect();
        let place = |index: usize| Place::decode(words[index].parse().unwrap()).unwrap();
        match words[0] {
            "insert" => Insert { position: place(1), item: words[2].into() },
            "replace" => Replace { position: place(1), item: words[2].into() },
            "pop" => Pop { position: place(1) },
            "move" => Move { from: place(1), to: place(2) },
            other => panic!("no change {other}"),
        }
    }

    fn applied(mut value: ListValue<Value>, changes: &[Option<ListChange>]) -> String {
        for change in changes.iter().flatten() {
            List::apply(&mut value, change).unwrap();
        }
        value.iter().map(|item| item.as_text().unwrap().to_string()).collect()
    }

    /// Both orders must lead to `expected`.
    fn check_rebase(start: &str, accepted: &str, incoming: &str, expected: &str) {
        let (accepted, incoming) = (change(accepted), change(incoming));
        let rebased = List::rebase(&incoming, &accepted).unwrap();
        assert_eq!(applied(list(start), &[Some(accepted), rebased.incoming]), expected);
        assert_eq!(applied(list(start), &[Some(incoming), rebased.accepted]), expected);
    }

    #[test]
    fn of_two_inserts_at_one_place_the_newcomer_goes_left() {
        check_rebase("abc", "insert 1 X", "insert 1 y", "ayXbc");
        check_rebase("abc", "insert 0 X", "insert 2 y", "Xabyc");
        check_rebase("abc", "insert 3 X", "insert 3 y", "abcyX");
    }

    #[test]
    fn positions_follow_their_items() {
        check_rebase("abcd", "insert 1 X", "pop 1", "aXcd");
        check_rebase("abcd", "pop 0", "replace 2 y", "byd");
        check_rebase("abcd", "move 0 3", "pop 0", "bcd");
        check_rebase("abcd", "move 0 3", "replace 0 y", "bcdy");
        check_rebase("abcd", "replace 1 X", "pop 1", "acd");
        check_rebase("abcd", "pop 3", "move 0 2", "bca");
    }

    #[test]
    fn of_two_moves_of_one_item_the_newcomers_stands() {
        check_rebase("abcd", "move 0 3", "move 0 1", "bacd");
    }

    #[test]
    fn moves_of_two_items_both_happen() {
        check_rebase("abcd", "move 0 3", "move 3 0", "dbca");
        check_rebase("abcd", "move 0 2", "move 1 2", "cbad");
    }

    #[test]
    fn an_item_that_is_gone_is_a_conflict() {
        for incoming in ["pop 1", "replace 1 x", "move 1 0"] {
            assert_eq!(
                List::rebase(&change(incoming), &change("pop 1")),
                Err(Conflict::ItemRemoved { position: 1 })
            );
        }
        assert_eq!(
            List::rebase(&change("replace 1 x"), &change("replace 1 y")),
            Err(Conflict::ItemReplaced { position: 1 })
        );
    }

    #[test]
    fn the_end_resolves_to_a_position() {
        let resolved = |text| List::resolve(&change(text), &list("abc"));
        assert_eq!(resolved("insert -1 X"), Ok(Some(change("insert 3 X"))));
        assert_eq!(resolved("pop -1"), Ok(Some(change("pop 2"))));
        assert_eq!(resolved("move 0 -1"), Ok(Some(change("move 0 2"))));
        assert_eq!(resolved("move -1 0"), Ok(Some(change("move 2 0"))));
        assert!(List::resolve(&change("pop -1"), &list("")).is_err());
    }
}
