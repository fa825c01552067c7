//! Edits of texts: each on the text that its author saw, carried over what came in since.

use ecow::EcoString;

use super::{Draft, Known, Plan, Step};
use crate::server::v0_13::command::{Command, Reason, TextEdit};
use crate::server::v0_13::kind::Kind;
use crate::server::v0_13::names::{Named, Seen, Told};
use crate::server::v0_13::text;
use crate::topic::Moment;
use crate::types::AnyChange;
use crate::types::string::{String as TextType, StringChange};
use crate::value::{Text, Value};

/// How much may have happened since the text that an edit was made on.
const MISSING_MAX: usize = 10_000;

impl Plan<'_> {
    /// Sets a text: it wins over whatever is there. The change's id becomes the name of the text.
    pub(super) fn set_text(&mut self, index: usize, command: &Command<'_>) -> Result<(), Reason> {
        let fields = command.fields(Kind::String, &self.drafts[index].value)?;
        let name = command.id().as_ref().and_then(Value::as_text).map(EcoString::from);
        let name = name.filter(|name| self.is_new_name(index, name));
        let id = name.clone().map(Value::from);
        self.make(
            index,
            command,
            fields,
            Some(Told { id, text: name.clone(), ..Told::default() }),
        )?;
        let draft = &mut self.drafts[index];
        if let (Some(name), Some(text)) = (name, draft.value.get::<TextType>().cloned()) {
            let seen = Seen { text, at: draft.head, missing: Vec::new() };
            draft.know(name, Known { seen, after: draft.changes.len(), own: true });
        }
        Ok(())
    }

    /// Whether a text of this topic was never called that.
    fn is_new_name(&self, index: usize, name: &str) -> bool {
        let draft = &self.drafts[index];
        let here = draft.known.get(name).is_some_and(|known| known.own);
        !here && !name.is_empty() && self.names.find(&draft.topic, name).is_none()
    }

    /// Edits a text: what came in since its author saw it carries the edit along.
    pub(super) fn edit_text(&mut self, index: usize, command: &Command<'_>) -> Result<(), Reason> {
        let edit = command.edit()?;
        let Some(Seen { text, missing, at }) = self.seen(index, &edit.version) else {
            self.unknown_version = true;
            let why = format_args!("Invalid base topic version: {}", edit.version);
            return Err(command.invalid(why));
        };
        let made = string_change(&edit, &text, command)?;
        let mut seen_text = text.clone();
        if let StringChange::Edit(made) = &made {
            made.apply(&mut seen_text).map_err(|invalid| command.invalid(invalid))?;
        }
        let mut change = Some(AnyChange::new::<TextType>(made));
        let missing: Vec<AnyChange> =
            missing.into_iter().filter_map(|it| text::carry(&mut change, it)).collect();
        let name = edit.result.clone().filter(|name| self.is_new_name(index, name));
        let as_made = missing.is_empty() && name == edit.result;
        let nothing = Some((if edit.insert { "insert" } else { "delete" }, edit.position));
        let told = Told { id: command.id(), text: name.clone(), nothing, ..Told::default() };
        let draft = &mut self.drafts[index];
        let kind = draft.topic.kind();
        // Of an edit that came to nothing, a version is made all the same.
        let change =
            change.unwrap_or_else(|| AnyChange::new::<TextType>(StringChange::insert(0, "")));
        let change = kind.resolve(change, &draft.value).map_err(|it| command.invalid(it))?;
        kind.apply(&mut draft.value, &change).map_err(|invalid| command.invalid(invalid))?;
        draft.changes.push(change.clone());
        if let Some(name) = name {
            let seen = Seen { text: seen_text, at, missing };
            draft.know(name, Known { seen, after: draft.changes.len(), own: true });
        }
        self.steps.push(Step { draft: index, change, told: Some(told), as_made });
        Ok(())
    }

    /// The text that an author means by a name, and what leads from it to the value as it stands, as one
    /// change if there is any. `None` if nobody knows the name (any more).
    fn seen(&mut self, index: usize, name: &str) -> Option<Seen> {
        let draft = &mut self.drafts[index];
        if !draft.known.contains_key(name) {
            let seen = seen_before(draft, self.names.find(&draft.topic, name)?)?;
            draft.know(name.into(), Known { seen, after: 0, own: false });
        }
        let known = draft.known.get_mut(name)?;
        let own = &draft.changes[known.after..];
        if !own.is_empty() {
            known.seen.missing.extend_from_slice(own);
            known.seen.missing = text::composed(&known.seen.missing);
            known.after = draft.changes.len();
        }
        Some(known.seen.clone())
    }
}

/// A text that was there before the action, and what leads from it to the value that this began with.
fn seen_before(draft: &Draft, named: Named) -> Option<Seen> {
    let mut seen = match named {
        Named::Seen(seen) => seen,
        Named::Version(at) => {
            let value = match at == draft.head && draft.changes.is_empty() {
                true => draft.value.clone(),
                false => draft.topic.value_at(Moment::Version(at)).ok()?.value,
            };
            Seen { text: value.get::<TextType>()?.clone(), at, missing: Vec::new() }
        }
    };
    let (_, since) = draft.topic.accepted(seen.at).ok()?;
    let since = since.into_iter().filter(|entry| entry.version <= draft.head);
    seen.missing.extend(since.filter_map(|entry| entry.change));
    if seen.missing.len() > MISSING_MAX {
        return None;
    }
    seen.missing = text::composed(&seen.missing);
    Some(seen)
}

/// The change of ours for an edit of `text`.
fn string_change(
    edit: &TextEdit,
    text: &Text,
    command: &Command<'_>,
) -> Result<StringChange, Reason> {
    let at = |units: usize, what: &str| {
        text.position_after_units(units)
            .ok_or_else(|| command.invalid(format_args!("{what} invalid")))
    };
    if edit.insert {
        let position = at(edit.position, "Insertion")?;
        return Ok(StringChange::insert(position, edit.text.clone()));
    }
    let start = at(edit.position, "Deletion")?;
    let end = at(edit.position.saturating_add(text::units(&edit.text)), "Deletion")?;
    if end < start || text.slice(start..end) != edit.text {
        return Err(command.invalid("Deletion invalid: another text is there"));
    }
    Ok(StringChange::delete(start, end - start))
}
