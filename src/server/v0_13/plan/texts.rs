//! Edits of texts: each made on the text that its author saw, and rebased over what that is missing.
//!
//! A client goes on editing before the server has answered, on a text that only it has ever seen. Such a
//! text is known by the name that the client gave it, together with what leads from it to the topic's
//! value:
//!
//! ```text
//!   the text that the author named · missing = the value as the plan has it
//! ```

use ecow::EcoString;

use super::{Draft, KnownText, Plan};
use crate::server::v0_13::command::{Command, Reason, TextEdit};
use crate::server::v0_13::kind::Kind;
use crate::server::v0_13::names::{ClientWords, EmptyEdit, NamedText, Names, SeenText};
use crate::server::v0_13::text;
use crate::topic::{Moment, Version};
use crate::types::AnyChange;
use crate::types::string::{String as TextType, StringChange};
use crate::value::{Text, Value};

/// How many changes may have come since the text that an edit was made on.
const MISSING_MAX: usize = 10_000;

impl Plan<'_> {
    /// Sets a text: a `set` wins over whatever is there. The id of the change becomes the name of the
    /// text.
    pub(super) fn set_text(&mut self, index: usize, command: &Command<'_>) -> Result<(), Reason> {
        let fields = command.fields(Kind::String, &self.drafts[index].value)?;
        let name = command.id.as_ref().and_then(Value::as_text).map(EcoString::from);
        let name = name.filter(|name| self.is_new_name(index, name));
        let id = name.clone().map(Value::from);
        let words = ClientWords { text_name: name.clone(), ..self.words(id) };
        self.add(index, command, fields, Some(words))?;
        let text = self.drafts[index].value.get::<TextType>().cloned();
        if let (Some(name), Some(text)) = (name, text) {
            self.name_text(index, name, text, Vec::new());
        }
        Ok(())
    }

    /// Whether no text of the topic was ever called that.
    fn is_new_name(&self, index: usize, name: &str) -> bool {
        let draft = &self.drafts[index];
        !name.is_empty()
            && !draft.texts.get(name).is_some_and(|known| known.own)
            && self.names.text(&draft.topic, name).is_none()
            && self.names.version_named(&draft.topic, name).is_none()
    }

    /// Notes what the author sees after the plan's newest change.
    fn name_text(&mut self, index: usize, name: EcoString, text: Text, missing: Vec<AnyChange>) {
        let draft = &mut self.drafts[index];
        let after = draft.changes.len();
        let seen = SeenText { text, missing, at: Version(draft.head.0 + after as u64) };
        draft.texts.insert(name.clone(), KnownText { seen: seen.clone(), after, own: true });
        if let Some(newest) = self.changes.last_mut() {
            newest.text = Some((name, seen));
        }
    }

    /// Edits a text: the edit is made on what its author saw, and rebased over what came in since.
    pub(super) fn edit_text(&mut self, index: usize, command: &Command<'_>) -> Result<(), Reason> {
        let edit = command.edit()?;
        let Some(SeenText { text, missing, .. }) = self.seen_text(index, &edit.version) else {
            self.unknown_version = true;
            let why = format_args!("Invalid base topic version: {}", edit.version);
            return Err(command.invalid(why));
        };
        let made = string_change(&edit, &text, command)?;
        let mut text_after = text;
        if let StringChange::Edit(made) = &made {
            made.apply(&mut text_after).map_err(|invalid| command.invalid(invalid))?;
        }
        let mut change = Some(AnyChange::new::<TextType>(made));
        let missing: Vec<AnyChange> =
            missing.into_iter().filter_map(|missed| text::rebase(&mut change, missed)).collect();
        let name = edit.result.clone().filter(|name| self.is_new_name(index, name));
        let words = ClientWords {
            text_name: name.clone(),
            empty_edit: Some(EmptyEdit { insert: edit.insert, position: edit.position }),
            // The author's names stand only if its text is the topic's value, and bears that name.
            as_made: missing.is_empty() && name == edit.result,
            ..self.words(command.id.clone())
        };
        // Where nothing is left of an edit, a version is made all the same: in 0.13 versions chain.
        let change =
            change.unwrap_or_else(|| AnyChange::new::<TextType>(StringChange::insert(0, "")));
        self.apply(index, command, change, Some(words))?;
        if let Some(name) = name {
            self.name_text(index, name, text_after, missing);
        }
        Ok(())
    }

    /// The text that the author means by a name, and what leads from it to the value as it stands: one
    /// change, if there is any. `None` if nobody knows the name (any more).
    fn seen_text(&mut self, index: usize, name: &str) -> Option<SeenText> {
        let draft = &mut self.drafts[index];
        if !draft.texts.contains_key(name) {
            let seen = seen_before(self.names, draft, name)?;
            draft.texts.insert(name.into(), KnownText { seen, after: 0, own: false });
        }
        let known = draft.texts.get_mut(name)?;
        // The changes of this action that the author made on other texts are missing from this one.
        let unseen = &draft.changes[known.after..];
        if !unseen.is_empty() {
            known.seen.missing.extend_from_slice(unseen);
            known.seen.missing = text::composed(&known.seen.missing);
            known.after = draft.changes.len();
        }
        Some(known.seen.clone())
    }
}

/// A text that was there before the action, and what leads from it to the value that the plan begins with.
fn seen_before(names: &Names, draft: &Draft, name: &str) -> Option<SeenText> {
    let mut seen = match names.text(&draft.topic, name) {
        Some(named) => named_by_client(draft, named)?,
        None => named_by_server(draft, names.version_named(&draft.topic, name)?)?,
    };
    if seen.missing.len() > MISSING_MAX {
        return None;
    }
    seen.missing = text::composed(&seen.missing);
    Some(seen)
}

/// A text under a name that a client gave it.
fn named_by_client(draft: &Draft, named: NamedText) -> Option<SeenText> {
    let NamedText { mut seen, change } = named;
    let before = Version(seen.at.0.checked_sub(1)?);
    let (_, since) = draft.topic.accepted(before).ok()?;
    let mut since = since.into_iter().filter(|entry| entry.version <= draft.head);
    // The name was noted before the change was decided. Only if the change made that version, the text
    // was ever there.
    since.next().filter(|entry| entry.id == change)?;
    seen.missing.extend(since.filter_map(|entry| entry.change));
    Some(seen)
}

/// The text at a version that was told under a name of the server's.
fn named_by_server(draft: &Draft, at: Version) -> Option<SeenText> {
    let value = if at == draft.head && draft.changes.is_empty() {
        draft.value.clone()
    } else {
        draft.topic.value_at(Moment::Version(at)).ok()?.value
    };
    let (_, since) = draft.topic.accepted(at).ok()?;
    let since = since.into_iter().filter(|entry| entry.version <= draft.head);
    let missing = since.filter_map(|entry| entry.change).collect();
    Some(SeenText { text: value.get::<TextType>()?.clone(), missing, at })
}

/// The change of this server's for an edit of `text`.
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
