//! Edits of texts as 0.13 has them: positions in UTF-16 units, one insertion or deletion at a time, and a
//! rebase that never conflicts.
//!
//! Nothing here knows of topics, names or clients.

use ecow::EcoString;

use crate::types::edit::{Edit, EditStep};
use crate::types::run::{MaybeChange, compose_all, rebase_one};
use crate::types::string::{String as TextType, StringChange};
use crate::types::{AnyChange, TypeRef};
use crate::value::Text;

/// How many UTF-16 units a text has.
pub(super) fn units(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

/// One insertion or deletion, its position in UTF-16 units.
pub(super) enum SingleEdit {
    Insert { position: usize, insertion: EcoString },
    Delete { position: usize, deletion: EcoString },
}

/// An edit of `text` as single insertions and deletions, each on the text that the one before leaves.
pub(super) fn single_edits(edit: &Edit, text: &Text) -> Vec<SingleEdit> {
    let mut singles = Vec::new();
    // `old` counts code points of the text before the edit, `new` counts UTF-16 units of the text that it
    // leads to.
    let (mut old, mut new) = (0, 0);
    for step in edit.steps() {
        match step {
            EditStep::Retain(len) => {
                new += text.units_before(old + len) - text.units_before(old);
                old += len;
            }
            EditStep::Insert(insertion) => {
                singles.push(SingleEdit::Insert { position: new, insertion: insertion.clone() });
                new += units(insertion);
            }
            EditStep::Delete(deletion) => {
                let end = (old + deletion.len).min(text.len_chars());
                let deletion = text.slice(old..end);
                singles.push(SingleEdit::Delete { position: new, deletion });
                old = end;
            }
        }
    }
    singles
}

/// Changes of a text as one, or none, so that an edit is rebased over them at once.
pub(super) fn composed(changes: &[AnyChange]) -> Vec<AnyChange> {
    compose_all(TypeRef::of::<TextType>(), changes)
}

/// Rebases an edit over a change that its author had not seen, and gives that change rebased over the
/// edit.
///
/// In 0.13 an edit never conflicts: over a `set`, what was to be inserted comes first in the new text, and
/// nothing is left of what was to be deleted.
pub(super) fn rebase(edit: &mut MaybeChange, accepted: AnyChange) -> MaybeChange {
    if let Ok(rebased) = rebase_one(TypeRef::of::<TextType>(), edit, Some(accepted.clone())) {
        return rebased;
    }
    let Some(StringChange::Set(text)) = accepted.get::<TextType>() else { return Some(accepted) };
    let inserted: EcoString = match edit.as_ref().and_then(|edit| edit.get::<TextType>()) {
        Some(StringChange::Edit(edit)) => inserted_by(edit),
        _ => EcoString::new(),
    };
    let mut set = text.clone();
    set.insert(0, &inserted);
    *edit = (!inserted.is_empty())
        .then(|| AnyChange::new::<TextType>(StringChange::insert(0, inserted)));
    Some(AnyChange::new::<TextType>(StringChange::Set(set)))
}

/// All that an edit inserts.
fn inserted_by(edit: &Edit) -> EcoString {
    let insertion = |step: &EditStep| match step {
        EditStep::Insert(text) => Some(text.clone()),
        _ => None,
    };
    edit.steps().iter().filter_map(insertion).collect::<Vec<_>>().concat().into()
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
        for single in single_edits(&edit.clone().finish(), &text) {
            match single {
                SingleEdit::Insert { position, insertion } => {
                    built.insert(built.position_after_units(position).unwrap(), &insertion);
                }
                SingleEdit::Delete { position, deletion } => {
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
