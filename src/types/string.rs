//! `string`: a text that many hands edit at once.

use super::alike::{Common, in_common};
use super::edit::{Deletion, Edit, EditStep, decode_len};
use super::place::Place;
use super::{Composed, Conflict, Parts, Rebased, TopicType, Writes, unknown_change};
use crate::value::text::count_chars;
use crate::value::{Fields, Invalid, Key, Text, Value};

/// How many code points in a row two texts must have in common, once, for what lies around them to be told apart.
const ALIKE_RUN: usize = 8;

/// The type of a topic that holds text.
pub struct String;

/// A change of a text. An insertion or deletion is an [`Edit`] of one step, and goes out as one.
#[derive(Debug, Clone, PartialEq)]
pub enum StringChange {
    /// Puts another text in the place of all.
    Set(Text),
    /// Inserts and deletes.
    Edit(Edit),
    /// Puts a text at the end, wherever that is.
    Append(Key),
}

impl StringChange {
    /// Puts `text` before the code point at `position`.
    pub fn insert(position: usize, text: impl Into<Key>) -> StringChange {
        StringChange::Edit(Edit::insertion(position, text.into()))
    }

    /// Deletes `len` code points from `position` on.
    pub fn delete(position: usize, len: usize) -> StringChange {
        StringChange::Edit(Edit::deletion(position, Deletion::of_len(len)))
    }
}

fn decode_insert(fields: &Fields) -> Result<StringChange, Invalid> {
    let insertion = fields.require_key("insertion")?;
    Ok(match Place::decode(fields.require_int("position")?)? {
        Place::At(position) => StringChange::insert(position, insertion),
        Place::End => StringChange::Append(insertion),
    })
}

fn decode_delete(fields: &Fields) -> Result<StringChange, Invalid> {
    let position = decode_len(fields.require("position")?, "position")?;
    let deletion = match fields.get("deletion") {
        Some(Value::String(text)) => Deletion::of_text(Key::from(text)),
        Some(other) => {
            return Err(Invalid::FieldType {
                field: "deletion",
                expected: "a string",
                found: other.kind(),
            });
        }
        None => match fields.get("length") {
            Some(len) => Deletion::of_len(decode_len(len, "length")?),
            None => return Err(Invalid::MissingField { field: "deletion" }),
        },
    };
    Ok(StringChange::Edit(Edit::deletion(position, deletion)))
}

fn encode_edit(edit: &Edit) -> Fields {
    let (position, step) = match edit.steps() {
        [step] => (0, step),
        [EditStep::Retain(position), step] => (*position, step),
        _ => return Fields::of_type("edit").with("edit", edit.encode()),
    };
    let position = Value::Int(position as i64);
    match step {
        EditStep::Insert(text) => {
            Fields::of_type("insert").with("position", position).with("insertion", text.clone())
        }
        EditStep::Delete(deletion) => {
            let field = if deletion.text.is_some() { "deletion" } else { "length" };
            Fields::of_type("delete").with("position", position).with(field, deletion.encode())
        }
        EditStep::Retain(_) => Fields::of_type("edit").with("edit", edit.encode()),
    }
}

impl TopicType for String {
    type Value = Text;
    type Change = StringChange;

    const NAME: &'static str = "string";
    const PARTS: Parts = Parts::Positions;
    const REBASES_OVER_COMPOSED: bool = true;

    fn initial() -> Text {
        Text::new()
    }

    fn decode_value(value: &Value) -> Result<Text, Invalid> {
        match value {
            Value::String(text) => Ok(text.clone()),
            other => Err(Invalid::ValueType { expected: "a string", found: other.kind() }),
        }
    }

    fn encode_value(value: &Text) -> Value {
        Value::String(value.clone())
    }

    fn decode_change(fields: &Fields) -> Result<StringChange, Invalid> {
        match fields.change_type() {
            "set" => fields.require_text("value").map(StringChange::Set),
            "insert" => decode_insert(fields),
            "delete" => decode_delete(fields),
            "edit" => Edit::decode(fields.require("edit")?).map(StringChange::Edit),
            _ => Err(unknown_change::<String>(fields)),
        }
    }

    fn encode_change(change: &StringChange) -> Fields {
        match change {
            StringChange::Set(text) => Fields::of_type("set").with("value", text.clone()),
            StringChange::Edit(edit) => encode_edit(edit),
            StringChange::Append(text) => Fields::of_type("insert")
                .with("position", Place::End.encode())
                .with("insertion", text.clone()),
        }
    }

    fn takes_base(change: &StringChange) -> bool {
        !matches!(change, StringChange::Append(_))
    }

    fn resolve(change: &StringChange, text: &Text) -> Result<Option<StringChange>, Invalid> {
        match change {
            StringChange::Set(_) => Ok(None),
            StringChange::Edit(edit) => Ok(edit.resolve(text)?.map(StringChange::Edit)),
            StringChange::Append(end) => {
                Ok(Some(StringChange::insert(text.len_chars(), end.clone())))
            }
        }
    }

    fn apply(text: &mut Text, change: &StringChange) -> Result<(), Invalid> {
        match change {
            StringChange::Set(new) => *text = new.clone(),
            StringChange::Edit(edit) => edit.apply(text)?,
            StringChange::Append(end) => text.insert(text.len_chars(), end),
        }
        Ok(())
    }

    fn rebase(
        incoming: &StringChange,
        accepted: &StringChange,
    ) -> Result<Rebased<StringChange>, Conflict> {
        match (incoming, accepted) {
            (StringChange::Set(_), _) => Err(Conflict::Changed),
            (_, StringChange::Set(_)) => Err(Conflict::Overwritten),
            (StringChange::Edit(incoming), StringChange::Edit(accepted)) => {
                let Rebased { incoming, accepted } = Edit::rebase(incoming, accepted);
                Ok(Rebased {
                    incoming: incoming.map(StringChange::Edit),
                    accepted: accepted.map(StringChange::Edit),
                })
            }
            // The end moves with whatever the other does.
            (StringChange::Append(_), _) | (_, StringChange::Append(_)) => {
                Ok(Rebased::unaffected(incoming, accepted))
            }
        }
    }

    fn invert(change: &StringChange, before: &Text) -> Option<StringChange> {
        Some(match change {
            StringChange::Set(_) => StringChange::Set(before.clone()),
            StringChange::Edit(edit) => StringChange::Edit(edit.invert(before)),
            StringChange::Append(text) => StringChange::Edit(Edit::deletion(
                before.len_chars(),
                Deletion::of_text(text.clone()),
            )),
        })
    }

    fn writes(change: &StringChange, before: &Text) -> Writes {
        match change {
            StringChange::Set(_) => Writes::Whole,
            StringChange::Edit(edit) => Writes::Splices(edit.splices().collect()),
            StringChange::Append(end) => Writes::splice(before.len_chars(), 0, count_chars(end)),
        }
    }

    fn differences(from: &Text, to: &Text) -> Option<Vec<StringChange>> {
        let chars = |text: &Text| text.chunks().flat_map(str::chars).collect::<Vec<char>>();
        let (old, new) = (chars(from), chars(to));
        let mut edit = Edit::default();
        let (mut gone, mut come) = (0, 0);
        for Common { old: old_start, new: new_start, len } in in_common(&old, &new, ALIKE_RUN) {
            edit.insert(new[come..new_start].iter().collect::<std::string::String>().into());
            edit.delete(Deletion::of_text(from.slice(gone..old_start)));
            edit.retain(len);
            (gone, come) = (old_start + len, new_start + len);
        }
        Some(vec![StringChange::Edit(edit.finish())])
    }

    fn compose(first: &StringChange, second: &StringChange) -> Composed<StringChange> {
        match (first, second) {
            (_, StringChange::Set(_)) => Composed::One(second.clone()),
            (StringChange::Set(text), _) => {
                let mut text = text.clone();
                match String::apply(&mut text, second) {
                    Ok(()) => Composed::One(StringChange::Set(text)),
                    Err(_) => Composed::Separate,
                }
            }
            (StringChange::Edit(first), StringChange::Edit(second)) => {
                let composed = first.compose(second);
                if composed.is_empty() {
                    Composed::Nothing
                } else {
                    Composed::One(StringChange::Edit(composed))
                }
            }
            (StringChange::Append(first), StringChange::Append(second)) => {
                let mut text = first.clone();
                text.push_str(second);
                Composed::One(StringChange::Append(text))
            }
            _ => Composed::Separate,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(json: serde_json::Value) -> StringChange {
        let fields = Fields::from_serialize(&json).unwrap();
        String::decode_change(&fields).unwrap()
    }

    fn insert(position: usize, text: &str) -> StringChange {
        StringChange::insert(position, text)
    }

    fn delete(position: usize, len: usize) -> StringChange {
        StringChange::delete(position, len)
    }

    fn applied(start: &str, changes: &[Option<StringChange>]) -> std::string::String {
        let mut text = Text::from(start);
        for change in changes.iter().flatten() {
            String::apply(&mut text, change).unwrap();
        }
        text.to_string()
    }

    /// Both orders must lead to `expected`.
    fn check_rebase(accepted: StringChange, incoming: StringChange, expected: &str) {
        let rebased = String::rebase(&incoming, &accepted).unwrap();
        assert_eq!(applied("abcdef", &[Some(accepted), rebased.incoming]), expected);
        assert_eq!(applied("abcdef", &[Some(incoming), rebased.accepted]), expected);
    }

    #[test]
    fn of_two_inserts_at_one_place_the_newcomer_goes_left() {
        check_rebase(insert(3, "XX"), insert(3, "yy"), "abcyyXXdef");
        check_rebase(insert(6, "XX"), insert(6, "yy"), "abcdefyyXX");
        check_rebase(insert(1, "XX"), insert(4, "yy"), "aXXbcdyyef");
    }

    #[test]
    fn insert_inside_a_deleted_range_is_kept() {
        check_rebase(delete(1, 4), insert(3, "X"), "aXf");
        check_rebase(insert(3, "XX"), delete(2, 2), "abXXef");
    }

    #[test]
    fn overlapping_deletes_remove_each_character_once() {
        check_rebase(delete(1, 3), delete(3, 2), "af");
        check_rebase(delete(2, 2), delete(2, 2), "abef");
        let rebased = String::rebase(&delete(2, 2), &delete(2, 2)).unwrap();
        assert_eq!(rebased, Rebased { incoming: None, accepted: None });
    }

    #[test]
    fn inserting_or_deleting_nothing_is_the_empty_edit() {
        for nothing in [insert(3, ""), delete(3, 0)] {
            assert_eq!(nothing, StringChange::Edit(Edit::default()));
            assert_eq!(String::decode_change(&String::encode_change(&nothing)), Ok(nothing));
        }
    }

    #[test]
    fn positions_count_code_points() {
        let mut text = Text::from("a😀b");
        String::apply(&mut text, &insert(2, "é")).unwrap();
        assert_eq!(text, "a😀éb");
        let json = serde_json::json!({"type": "delete", "position": 1, "deletion": "😀é"});
        String::apply(&mut text, &change(json)).unwrap();
        assert_eq!(text, "ab");
    }

    #[test]
    fn another_text_is_not_deleted() {
        let json = serde_json::json!({"type": "delete", "position": 1, "deletion": "xy"});
        let result = String::apply(&mut Text::from("abc"), &change(json));
        assert_eq!(result, Err(Invalid::TextDiffers { position: 1 }));
    }

    #[test]
    fn a_length_becomes_the_text_deleted() {
        let json = serde_json::json!({"type": "edit", "edit": [1, "X", {"d": 2}, 1, {"d": "e"}]});
        let resolved = String::resolve(&change(json), &Text::from("abcdef")).unwrap().unwrap();
        let expected = serde_json::json!([1, "X", {"d": "bc"}, 1, {"d": "e"}]);
        let fields = String::encode_change(&resolved);
        assert_eq!(fields.get("edit"), Some(&expected.into()));
    }

    #[test]
    fn rebasing_over_a_composition_is_rebasing_over_its_parts() {
        let cases = [
            (delete(1, 3), insert(1, "X")),
            (insert(1, "X"), delete(2, 3)),
            (delete(1, 2), insert(1, "XY")),
        ];
        for (first, second) in cases {
            let Composed::One(both) = String::compose(&first, &second) else { panic!() };
            for position in 0..=6 {
                let incoming = insert(position, "n");
                let over_first = String::rebase(&incoming, &first).unwrap().incoming.unwrap();
                let in_turn = String::rebase(&over_first, &second).unwrap().incoming;
                let at_once = String::rebase(&incoming, &both).unwrap().incoming;
                assert_eq!(in_turn, at_once, "{first:?}, {second:?}, insert at {position}");
            }
        }
    }

    #[test]
    fn an_insert_stays_behind_what_its_author_deleted_before_it() {
        let json = serde_json::json!({"type": "edit", "edit": [1, {"d": 2}, 1, "X"]});
        let (incoming, first, second) = (change(json), delete(3, 1), insert(2, "q"));
        let Composed::One(both) = String::compose(&first, &second) else { panic!() };
        let at_once = String::rebase(&incoming, &both).unwrap().incoming;
        let over_first = String::rebase(&incoming, &first).unwrap().incoming.unwrap();
        let in_turn = String::rebase(&over_first, &second).unwrap().incoming;
        assert_eq!(applied("abcdef", &[Some(both), at_once]), "aqXef");
        assert_eq!(applied("abcdef", &[Some(first), Some(second), in_turn]), "aqXef");
    }
}
