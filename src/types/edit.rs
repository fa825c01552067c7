//! An edit of a text: what to keep, insert and delete, from its beginning to its end.
//!
//! Its algebra (apply, compose, rebase) walks two edits side by side. The representation is that of
//! Google Wave's operations (D. Wang, A. Mah, S. Lassen, "Google Wave Operational Transformation",
//! 2010), with one departure: inserts and deletes at one place keep the order in which they came.
//! `[delete 3, insert "x"]` leaves the same text as `[insert "x", delete 3]`, but says that the
//! insert came after the deleted range. Because of it, rebasing over a composition gives exactly what
//! rebasing over its parts in turn gives.

use std::iter::Peekable;

use ecow::EcoString;
use smallvec::SmallVec;

use super::{Rebased, Splice};
use crate::value::text::count_chars;
use crate::value::{Allowed, Invalid, Text, Value};

/// One step through a text. Lengths count code points.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EditStep {
    /// Keeps so many code points.
    Retain(usize),
    /// Puts in a text.
    Insert(EcoString),
    /// Takes out code points.
    Delete(Deletion),
}

/// What a step deletes: its length, and its text where that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletion {
    /// How many code points are deleted.
    pub len: usize,
    /// Which.
    pub text: Option<EcoString>,
}

impl Deletion {
    /// A deletion of this text.
    pub fn of_text(text: EcoString) -> Deletion {
        Deletion { len: count_chars(&text), text: Some(text) }
    }

    /// A deletion of so many code points, whichever they are.
    pub fn of_len(len: usize) -> Deletion {
        Deletion { len, text: None }
    }
}

/// A walk through a text. What lies behind the last step is kept.
///
/// Neighbouring steps differ in kind, none is empty, and the last is no `Retain`: one edit has one
/// form, but for the order of inserts and deletes at one place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edit {
    steps: SmallVec<[EditStep; 2]>,
}

impl Edit {
    /// Inserts `text` before the code point at `position`.
    pub fn insertion(position: usize, text: EcoString) -> Edit {
        let mut edit = Edit::default();
        edit.retain(position);
        edit.insert(text);
        edit.finish()
    }

    /// Deletes from `position` on.
    pub fn deletion(position: usize, deletion: Deletion) -> Edit {
        let mut edit = Edit::default();
        edit.retain(position);
        edit.delete(deletion);
        edit.finish()
    }

    /// The steps from the beginning of the text on.
    pub fn steps(&self) -> &[EditStep] {
        &self.steps
    }

    /// Whether the edit leaves every text as it is.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Appends a step that keeps `len` code points. They only count once a step follows.
    pub fn retain(&mut self, len: usize) {
        match self.steps.last_mut() {
            _ if len == 0 => {}
            Some(EditStep::Retain(last)) => *last += len,
            _ => self.steps.push(EditStep::Retain(len)),
        }
    }

    /// Appends a step that inserts `text`.
    pub fn insert(&mut self, text: EcoString) {
        match self.steps.last_mut() {
            _ if text.is_empty() => {}
            Some(EditStep::Insert(last)) => last.push_str(&text),
            _ => self.steps.push(EditStep::Insert(text)),
        }
    }

    /// Appends a step that deletes.
    pub fn delete(&mut self, deletion: Deletion) {
        match self.steps.last_mut() {
            _ if deletion.len == 0 => {}
            Some(EditStep::Delete(last)) => {
                last.len += deletion.len;
                match (&mut last.text, deletion.text) {
                    (Some(text), Some(more)) => text.push_str(&more),
                    (text, _) => *text = None,
                }
            }
            _ => self.steps.push(EditStep::Delete(deletion)),
        }
    }

    /// The edit as it was built, without what it keeps at the end.
    pub fn finish(mut self) -> Edit {
        if let Some(EditStep::Retain(_)) = self.steps.last() {
            self.steps.pop();
        }
        self
    }

    /// Applies the edit to `text`. O(s · log n), s being the number of steps.
    ///
    /// # Errors
    /// It reaches beyond the end, or a deleted text is another; `text` is then as it was.
    pub fn apply(&self, text: &mut Text) -> Result<(), Invalid> {
        self.check(text)?;
        let mut position = 0;
        for step in &self.steps {
            match step {
                EditStep::Retain(len) => position += len,
                EditStep::Insert(insertion) => {
                    text.insert(position, insertion);
                    position += count_chars(insertion);
                }
                EditStep::Delete(deletion) => text.remove(position..position + deletion.len),
            }
        }
        Ok(())
    }

    /// Which positions the edit takes out and puts in, each splice on what the one before leaves.
    pub fn splices(&self) -> impl Iterator<Item = Splice> {
        let mut at = 0;
        self.steps.iter().filter_map(move |step| match step {
            EditStep::Retain(len) => {
                at += len;
                None
            }
            EditStep::Insert(text) => {
                let inserted = count_chars(text);
                at += inserted;
                Some(Splice { at: at - inserted, removed: 0, inserted })
            }
            EditStep::Delete(deletion) => Some(Splice { at, removed: deletion.len, inserted: 0 }),
        })
    }

    /// Checks that the edit fits `text`.
    fn check(&self, text: &Text) -> Result<(), Invalid> {
        let len = text.len_chars();
        let mut position = 0_usize;
        for step in &self.steps {
            let end = match step {
                EditStep::Retain(len) => position.saturating_add(*len),
                EditStep::Insert(_) => position,
                EditStep::Delete(deletion) => position.saturating_add(deletion.len),
            };
            if end > len {
                let (position, allowed) = (end as i64, Allowed::Edit);
                return Err(Invalid::OutOfBounds { position, len, allowed });
            }
            if let EditStep::Delete(Deletion { text: Some(deleted), .. }) = step
                && text.slice(position..end) != *deleted
            {
                return Err(Invalid::TextDiffers { position });
            }
            position = end;
        }
        Ok(())
    }

    /// The edit with every deleted text named; `None` if they all are.
    ///
    /// # Errors
    /// It does not fit `text`.
    pub fn resolve(&self, text: &Text) -> Result<Option<Edit>, Invalid> {
        let unknown =
            |step: &EditStep| matches!(step, EditStep::Delete(Deletion { text: None, .. }));
        if !self.steps.iter().any(unknown) {
            return Ok(None);
        }
        self.check(text)?;
        let mut position = 0;
        let mut resolved = self.clone();
        for step in &mut resolved.steps {
            match step {
                EditStep::Retain(len) => position += *len,
                EditStep::Insert(_) => {}
                EditStep::Delete(deletion) => {
                    let end = position + deletion.len;
                    deletion.text = Some(text.slice(position..end));
                    position = end;
                }
            }
        }
        Ok(Some(resolved))
    }

    /// The edit that takes this one back, `before` being the text it was applied to.
    pub fn invert(&self, before: &Text) -> Edit {
        let mut inverse = Edit::default();
        let mut position = 0;
        for step in &self.steps {
            match step {
                EditStep::Retain(len) => {
                    inverse.retain(*len);
                    position += len;
                }
                EditStep::Insert(text) => inverse.delete(Deletion::of_text(text.clone())),
                EditStep::Delete(deletion) => {
                    let end = position + deletion.len;
                    inverse.insert(before.slice(position..end));
                    position = end;
                }
            }
        }
        inverse.finish()
    }

    /// One edit that does what this and then `second` do. O(s + t), the numbers of steps.
    ///
    /// What this deletes at a place comes before what `second` inserts there.
    pub fn compose(&self, second: &Edit) -> Edit {
        let steps_max = self.steps.len() + second.steps.len();
        let mut composed = Edit { steps: SmallVec::with_capacity(steps_max) };
        let (mut a, mut b) = (Cursor::new(self), Cursor::new(second));
        loop {
            match (a.peek(), b.peek()) {
                (None, None) => return composed.finish(),
                (Some(EditStep::Delete(_)), _) => composed.delete(a.take_deletion(usize::MAX)),
                (_, Some(EditStep::Insert(_))) => composed.insert(b.take_insertion(usize::MAX)),
                (Some(EditStep::Insert(_)), second) => {
                    let deletes = matches!(second, Some(EditStep::Delete(_)));
                    let len = a.len().min(b.len());
                    let insertion = a.take_insertion(len);
                    b.skip(len);
                    if !deletes {
                        composed.insert(insertion);
                    }
                }
                (_, Some(EditStep::Delete(_))) => {
                    let len = a.len().min(b.len());
                    composed.delete(b.take_deletion(len));
                    a.skip(len);
                }
                _ => {
                    let len = a.len().min(b.len());
                    composed.retain(len);
                    a.skip(len);
                    b.skip(len);
                }
            }
        }
    }

    /// Rebases two edits of one text over each other. O(s + t), the numbers of steps.
    ///
    /// Inserted text is never lost: inside a deleted range it moves to where the range was, and a
    /// delete goes around it. Of two inserts at one place the incoming goes to the left.
    ///
    /// Deletes come out by length alone: what is left of them is named when they are resolved.
    pub fn rebase(incoming: &Edit, accepted: &Edit) -> Rebased<Edit> {
        let (mut c, mut a) = (Cursor::new(incoming), Cursor::new(accepted));
        let (mut over_accepted, mut over_incoming) = (Edit::default(), Edit::default());
        loop {
            match (c.peek(), a.peek()) {
                (None, None) => break,
                (Some(EditStep::Insert(_)), _) => {
                    over_incoming.retain(c.len());
                    over_accepted.insert(c.take_insertion(usize::MAX));
                }
                (_, Some(EditStep::Insert(_))) => {
                    over_accepted.retain(a.len());
                    over_incoming.insert(a.take_insertion(usize::MAX));
                }
                (mine, theirs) => {
                    let mine = matches!(mine, Some(EditStep::Delete(_)));
                    let theirs = matches!(theirs, Some(EditStep::Delete(_)));
                    let len = c.len().min(a.len());
                    match (mine, theirs) {
                        (true, true) => {}
                        (true, false) => over_accepted.delete(Deletion::of_len(len)),
                        (false, true) => over_incoming.delete(Deletion::of_len(len)),
                        (false, false) => {
                            over_accepted.retain(len);
                            over_incoming.retain(len);
                        }
                    }
                    c.skip(len);
                    a.skip(len);
                }
            }
        }
        let left = |edit: Edit| Some(edit.finish()).filter(|edit| !edit.is_empty());
        Rebased { incoming: left(over_accepted), accepted: left(over_incoming) }
    }

    /// Reads the wire's list: a number keeps, a string inserts, `{"d": …}` deletes so many code
    /// points, or that text.
    ///
    /// # Errors
    /// It is no such list, or reaches beyond what a text can have.
    pub fn decode(value: &Value) -> Result<Edit, Invalid> {
        let malformed = |found: &Value| Invalid::FieldType {
            field: "edit",
            expected: "a list of numbers, strings and {\"d\": …}",
            found: found.kind(),
        };
        let Value::List(steps) = value else { return Err(malformed(value)) };
        let mut edit = Edit::default();
        // What is read so far of the text. Each length fits, so that this cannot overflow.
        let mut reach = 0_usize;
        for step in steps {
            match step {
                Value::String(text) => edit.insert(text.into()),
                Value::Dict(dict) if dict.len() == 1 => match dict.get("d") {
                    Some(Value::String(text)) => {
                        let deletion = Deletion::of_text(text.into());
                        reach += deletion.len;
                        edit.delete(deletion);
                    }
                    Some(len) => {
                        let len = decode_len(len, "edit")?;
                        reach += len;
                        edit.delete(Deletion::of_len(len));
                    }
                    None => return Err(malformed(step)),
                },
                _ => {
                    let len = decode_len(step, "edit")?;
                    reach += len;
                    edit.retain(len);
                }
            }
            // Steps of one kind become one, whose length has to be readable too.
            if reach > LEN_MAX {
                return Err(Invalid::LengthRange { length: reach as i64 });
            }
        }
        Ok(edit.finish())
    }

    /// The wire's list.
    pub fn encode(&self) -> Value {
        let steps = self.steps.iter().map(|step| match step {
            EditStep::Retain(len) => Value::Int(*len as i64),
            EditStep::Insert(text) => text.clone().into(),
            EditStep::Delete(deletion) => Value::Dict([("d", deletion.encode())].into()),
        });
        Value::List(steps.collect())
    }
}

impl Deletion {
    /// The deleted text, or its length where that is all that is known.
    pub fn encode(&self) -> Value {
        match &self.text {
            Some(text) => text.clone().into(),
            None => Value::Int(self.len as i64),
        }
    }
}

/// How many code points a text can have at most.
const LEN_MAX: usize = u32::MAX as usize;

/// Reads a length or position in a text, in code points.
///
/// # Errors
/// No whole number, negative, or beyond what a text can have.
pub(crate) fn decode_len(value: &Value, field: &'static str) -> Result<usize, Invalid> {
    let len = value.as_int().ok_or(Invalid::FieldType {
        field,
        expected: "a whole number",
        found: value.kind(),
    })?;
    u32::try_from(len).map(|len| len as usize).map_err(|_| Invalid::LengthRange { length: len })
}

/// Walks an edit, a part of a step at a time. Behind the last step it keeps on without end.
struct Cursor<'a> {
    steps: Peekable<std::slice::Iter<'a, EditStep>>,
    /// How many code points of the present step are done.
    done: usize,
    /// The same in bytes of the present step's text.
    done_bytes: usize,
}

impl<'a> Cursor<'a> {
    fn new(edit: &'a Edit) -> Cursor<'a> {
        Cursor { steps: edit.steps.iter().peekable(), done: 0, done_bytes: 0 }
    }

    fn peek(&mut self) -> Option<&'a EditStep> {
        self.steps.peek().copied()
    }

    /// How many code points are left of the present step.
    fn len(&mut self) -> usize {
        match self.peek() {
            None => usize::MAX,
            Some(EditStep::Retain(len)) => len - self.done,
            Some(EditStep::Insert(text)) => count_chars(&text[self.done_bytes..]),
            Some(EditStep::Delete(deletion)) => deletion.len - self.done,
        }
    }

    /// Goes on by `len` code points, at most what is left of the present step.
    fn skip(&mut self, len: usize) {
        match self.peek() {
            None => {}
            Some(EditStep::Insert(_)) => drop(self.take_insertion(len)),
            Some(EditStep::Delete(_)) => drop(self.take_deletion(len)),
            Some(EditStep::Retain(all)) => self.advance(len, 0, *all == self.done + len),
        }
    }

    /// Up to `len` code points of the present step's inserted text.
    fn take_insertion(&mut self, len: usize) -> EcoString {
        let Some(EditStep::Insert(text)) = self.peek() else { return EcoString::new() };
        if self.done_bytes == 0 && (len == usize::MAX || len >= text.len()) {
            self.advance(0, 0, true);
            return text.clone();
        }
        let (piece, last) = split(&text[self.done_bytes..], len);
        self.advance(0, piece.len(), last);
        piece.into()
    }

    /// Up to `len` code points of the present step's deletion.
    fn take_deletion(&mut self, len: usize) -> Deletion {
        let Some(EditStep::Delete(deletion)) = self.peek() else { return Deletion::of_len(0) };
        let len = len.min(deletion.len - self.done);
        let last = self.done + len == deletion.len;
        let text = deletion.text.as_ref().map(|text| split(&text[self.done_bytes..], len).0);
        self.advance(len, text.map_or(0, str::len), last);
        Deletion { len, text: text.map(EcoString::from) }
    }

    fn advance(&mut self, len: usize, bytes: usize, last: bool) {
        if last {
            self.steps.next();
            (self.done, self.done_bytes) = (0, 0);
        } else {
            self.done += len;
            self.done_bytes += bytes;
        }
    }
}

/// The first `len` code points of `text`, and whether that is all of it.
fn split(text: &str, len: usize) -> (&str, bool) {
    match text.char_indices().nth(len) {
        Some((byte, _)) => (&text[..byte], false),
        None => (text, true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(json: serde_json::Value) -> Result<Edit, Invalid> {
        Edit::decode(&json.into())
    }

    #[test]
    fn what_was_decoded_decodes_again_however_far_it_reaches() {
        let far = decoded(serde_json::json!([u32::MAX - 1, {"d": 1}])).unwrap();
        assert_eq!(Edit::decode(&far.encode()), Ok(far));
        let too_far = [
            serde_json::json!([u32::MAX, 1, "x"]),
            serde_json::json!([{"d": u32::MAX}, {"d": 1}]),
            serde_json::json!([u32::MAX, {"d": "x"}]),
        ];
        for json in too_far {
            assert!(matches!(decoded(json), Err(Invalid::LengthRange { .. })));
        }
    }
}
