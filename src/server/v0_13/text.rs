//! Texts in the dialect: positions in UTF-16 units, and edits carried over what their author had not
//! seen.

use ecow::EcoString;

use crate::types::edit::{Edit, EditStep};
use crate::types::run::{MaybeChange, carry_one, compose_all};
use crate::types::string::{String as TextType, StringChange};
use crate::types::{AnyChange, TypeRef};
use crate::value::Text;

/// How many UTF-16 units a text has.
pub fn units(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

/// One step of an edit, as the dialect has it.
pub enum Single {
    Insert { position: usize, insertion: EcoString },
    Delete { position: usize, deletion: EcoString },
}

/// An edit of `text` as single steps, each on the text that the one before leaves, positions in UTF-16
/// units.
pub fn singles(edit: &Edit, text: &Text) -> Vec<Single> {
    let mut singles = Vec::new();
    // In code points of the text as it was, and in units of the text as it becomes.
    let (mut old, mut new) = (0, 0);
    for step in edit.steps() {
        match step {
            EditStep::Retain(len) => {
                new += text.units_before(old + len) - text.units_before(old);
                old += len;
            }
            EditStep::Insert(insertion) => {
                singles.push(Single::Insert { position: new, insertion: insertion.clone() });
                new += units(insertion);
            }
            EditStep::Delete(deletion) => {
                let end = (old + deletion.len).min(text.len_chars());
                singles.push(Single::Delete { position: new, deletion: text.slice(old..end) });
                old = end;
            }
        }
    }
    singles
}

fn kind() -> TypeRef {
    TypeRef::of::<TextType>()
}

/// Changes of a text as one, or none: what is carried over them is carried once.
pub fn composed(changes: &[AnyChange]) -> Vec<AnyChange> {
    compose_all(kind(), changes)
}

/// Carries an edit over a change that its author had not seen, and that over the edit. As the dialect has
/// it, an edit never conflicts: over a `set`, what was inserted comes first, and nothing is left to
/// delete.
pub fn carry(edit: &mut MaybeChange, accepted: AnyChange) -> MaybeChange {
    if let Ok(carried) = carry_one(kind(), edit, Some(accepted.clone())) {
        return carried;
    }
    let Some(StringChange::Set(text)) = accepted.get::<TextType>() else { return Some(accepted) };
    let mut set = text.clone();
    let inserted: EcoString = match edit.as_ref().and_then(|edit| edit.get::<TextType>()) {
        Some(StringChange::Edit(edit)) => inserted(edit),
        _ => EcoString::new(),
    };
    set.insert(0, &inserted);
    *edit = (!inserted.is_empty())
        .then(|| AnyChange::new::<TextType>(StringChange::insert(0, inserted)));
    Some(AnyChange::new::<TextType>(StringChange::Set(set)))
}

fn inserted(edit: &Edit) -> EcoString {
    let of = |step: &EditStep| match step {
        EditStep::Insert(text) => Some(text.clone()),
        _ => None,
    };
    edit.steps().iter().filter_map(of).collect::<Vec<_>>().concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_becomes_steps_of_which_each_stands_on_the_one_before() {
        let mut edit = Edit::default();
        edit.retain(1);
        edit.insert("é😀".into());
        edit.delete(crate::types::edit::Deletion::of_len(1));
        edit.retain(1);
        edit.delete(crate::types::edit::Deletion::of_len(1));
        let text = Text::from("😀bcd");
        let mut built = text.clone();
        for single in singles(&edit.clone().finish(), &text) {
            match single {
                Single::Insert { position, insertion } => {
                    built.insert(built.position_after_units(position).unwrap(), &insertion);
                }
                Single::Delete { position, deletion } => {
                    let at = built.position_after_units(position).unwrap();
                    let end = built.position_after_units(position + units(&deletion)).unwrap();
                    assert_eq!(built.slice(at..end), deletion);
                    built.remove(at..end);
                }
            }
        }
        let mut applied = text;
        edit.finish().apply(&mut applied).unwrap();
        assert_eq!(built, applied);
    }
}
