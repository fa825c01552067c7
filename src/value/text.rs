//! A persistent string whose positions count Unicode code points.
//!
//! Short texts are one shared allocation (or none, up to 15 bytes); longer ones are a rope, where an
//! edit copies the path it touches and a clone copies nothing. Which of the two a text is shows only
//! in its speed: equality, order and encoding go by content.

use std::cmp::Ordering;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use ecow::EcoString;
use ropey::Rope;
use ropey::str_utils::char_to_byte_idx;
use serde::ser::{Serialize, Serializer};

/// Texts up to this many bytes are kept flat: an empty rope alone costs 1 KiB.
const FLAT_BYTES_MAX: usize = 256;

/// A persistent string.
#[derive(Clone)]
pub struct Text(Repr);

#[derive(Clone)]
enum Repr {
    Flat(EcoString),
    Rope(Arc<Rope>),
}

impl Text {
    /// The empty text.
    pub fn new() -> Text {
        Text(Repr::Flat(EcoString::new()))
    }

    /// The number of code points. O(1) for long texts, O(n) up to 256 bytes.
    pub fn len_chars(&self) -> usize {
        match &self.0 {
            Repr::Flat(flat) => count_chars(flat),
            Repr::Rope(rope) => rope.len_chars(),
        }
    }

    /// The number of bytes in UTF-8. O(1).
    pub fn len_bytes(&self) -> usize {
        match &self.0 {
            Repr::Flat(flat) => flat.len(),
            Repr::Rope(rope) => rope.len_bytes(),
        }
    }

    /// Whether there are no code points. O(1).
    pub fn is_empty(&self) -> bool {
        self.len_bytes() == 0
    }

    /// The whole text if it lies in one piece, which every text up to 256 bytes does.
    pub fn as_str(&self) -> Option<&str> {
        match &self.0 {
            Repr::Flat(flat) => Some(flat),
            Repr::Rope(rope) => rope.slice(..).as_str(),
        }
    }

    /// Puts `insertion` before the code point at `position`. O(log n + m), m its length.
    ///
    /// # Panics
    /// If `position` is beyond the end; callers check it against [`len_chars`](Self::len_chars).
    pub fn insert(&mut self, position: usize, insertion: &str) {
        match &mut self.0 {
            Repr::Flat(flat) => {
                let at = byte_of_char(flat, position);
                let mut text = EcoString::with_capacity(flat.len() + insertion.len());
                text.push_str(&flat[..at]);
                text.push_str(insertion);
                text.push_str(&flat[at..]);
                *self = Text::from(text);
            }
            Repr::Rope(rope) => Arc::make_mut(rope).insert(position, insertion),
        }
    }

    /// Removes the code points in `range`. O(log n + m), m its length.
    ///
    /// # Panics
    /// If the range does not lie within the text.
    pub fn remove(&mut self, range: Range<usize>) {
        match &mut self.0 {
            Repr::Flat(flat) => {
                let start = byte_of_char(flat, range.start);
                let end = start + byte_of_char(&flat[start..], range.end - range.start);
                let mut text = EcoString::with_capacity(flat.len() - (end - start));
                text.push_str(&flat[..start]);
                text.push_str(&flat[end..]);
                *flat = text;
            }
            Repr::Rope(rope) => {
                Arc::make_mut(rope).remove(range);
                // Half the bound, so that a text that hovers about it does not change back and forth.
                if rope.len_bytes() <= FLAT_BYTES_MAX / 2 {
                    self.0 = Repr::Flat(rope.chunks().collect());
                }
            }
        }
    }

    /// The text of the code points in `range`. O(log n + m), m its length.
    ///
    /// # Panics
    /// If the range does not lie within the text.
    pub fn slice(&self, range: Range<usize>) -> EcoString {
        match &self.0 {
            Repr::Flat(flat) => {
                let start = byte_of_char(flat, range.start);
                let end = start + byte_of_char(&flat[start..], range.end - range.start);
                EcoString::from(&flat[start..end])
            }
            Repr::Rope(rope) => match in_one_chunk(rope, &range) {
                Some(text) => text.into(),
                None => rope.slice(range).chunks().collect(),
            },
        }
    }

    /// The number of UTF-16 units before the code point at `position`, or in all if that is beyond the
    /// end. O(log n), O(n) up to 256 bytes.
    pub fn units_before(&self, position: usize) -> usize {
        match &self.0 {
            Repr::Flat(flat) => flat.chars().take(position).map(char::len_utf16).sum(),
            Repr::Rope(rope) => rope.char_to_utf16_cu(position.min(rope.len_chars())),
        }
    }

    /// The position of the code point that so many UTF-16 units come before; `None` if there is none.
    /// O(log n), O(n) up to 256 bytes.
    pub fn position_after_units(&self, units: usize) -> Option<usize> {
        let position = match &self.0 {
            Repr::Rope(rope) if units > rope.len_utf16_cu() => return None,
            Repr::Rope(rope) => rope.utf16_cu_to_char(units),
            Repr::Flat(flat) => {
                let mut before = 0;
                let fits = |char: &char| {
                    before += char.len_utf16();
                    before <= units
                };
                flat.chars().take_while(fits).count()
            }
        };
        (self.units_before(position) == units).then_some(position)
    }

    /// The pieces of the text in order, none empty.
    pub fn chunks(&self) -> impl Iterator<Item = &str> {
        let (flat, rope) = match &self.0 {
            Repr::Flat(flat) => (Some(flat.as_str()).filter(|text| !text.is_empty()), None),
            Repr::Rope(rope) => (None, Some(rope.chunks())),
        };
        flat.into_iter().chain(rope.into_iter().flatten())
    }

    /// Whether both are the same allocation, and so surely equal.
    pub fn ptr_eq(&self, other: &Text) -> bool {
        match (&self.0, &other.0) {
            (Repr::Rope(a), Repr::Rope(b)) => Arc::ptr_eq(a, b) || a.is_instance(b),
            _ => false,
        }
    }
}

/// The number of code points in `text`: O(n), at several bytes a nanosecond.
pub(crate) fn count_chars(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.chars().count() }
}

/// The byte offset of the code point at `position`, or the end.
fn byte_of_char(text: &str, position: usize) -> usize {
    if text.is_ascii() {
        return position;
    }
    text.char_indices().nth(position).map_or(text.len(), |(byte, _)| byte)
}

/// The code points in `range`, if they lie in one chunk of the rope, as few of them mostly do: one way
/// down the tree, where a slice goes four.
fn in_one_chunk<'a>(rope: &'a Rope, range: &Range<usize>) -> Option<&'a str> {
    let (chunk, _, chunk_start, _) = rope.chunk_at_char(range.start);
    let from_start = &chunk[char_to_byte_idx(chunk, range.start - chunk_start)..];
    // The end of the chunk, if the range ends there or beyond.
    let text = &from_start[..char_to_byte_idx(from_start, range.len())];
    (text.len() < from_start.len() || count_chars(text) == range.len()).then_some(text)
}

impl From<EcoString> for Text {
    fn from(text: EcoString) -> Text {
        if text.len() <= FLAT_BYTES_MAX {
            Text(Repr::Flat(text))
        } else {
            Text(Repr::Rope(Arc::new(Rope::from_str(&text))))
        }
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Text {
        if text.len() <= FLAT_BYTES_MAX {
            Text(Repr::Flat(text.into()))
        } else {
            Text(Repr::Rope(Arc::new(Rope::from_str(text))))
        }
    }
}

impl From<String> for Text {
    fn from(text: String) -> Text {
        text.as_str().into()
    }
}

impl From<&Text> for EcoString {
    fn from(text: &Text) -> EcoString {
        match &text.0 {
            Repr::Flat(flat) => flat.clone(),
            Repr::Rope(rope) => rope.chunks().collect(),
        }
    }
}

impl Default for Text {
    fn default() -> Text {
        Text::new()
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.chunks().try_for_each(|chunk| f.write_str(chunk))
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_string().fmt(f)
    }
}

impl Ord for Text {
    /// By code points, which is also by bytes of UTF-8.
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.0, &other.0) {
            (Repr::Flat(a), Repr::Flat(b)) => a.cmp(b),
            _ if self.ptr_eq(other) => Ordering::Equal,
            _ => {
                let bytes =
                    |text: &'_ Text| text.chunks().flat_map(str::bytes).collect::<Vec<u8>>();
                bytes(self).cmp(&bytes(other))
            }
        }
    }
}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.len_bytes() == other.len_bytes() && self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Text {}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        match &self.0 {
            Repr::Flat(flat) => flat == other,
            Repr::Rope(rope) => **rope == *other,
        }
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.as_str() {
            Some(text) => serializer.serialize_str(text),
            None => serializer.collect_str(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_count_code_points() {
        let mut text = Text::from("a😀b");
        assert_eq!(text.len_chars(), 3);
        text.insert(2, "é");
        assert_eq!(text, "a😀éb");
        text.remove(1..3);
        assert_eq!(text, "ab");
    }

    #[test]
    fn utf16_units_lead_to_code_points_and_back() {
        for text in ["", "a😀b", "é𝄞", &"a😀bé".repeat(100)] {
            let text = Text::from(text);
            let mut units = 0;
            for (position, char) in text.to_string().chars().enumerate() {
                assert_eq!(text.units_before(position), units);
                assert_eq!(text.position_after_units(units), Some(position));
                if char.len_utf16() == 2 {
                    assert_eq!(text.position_after_units(units + 1), None);
                }
                units += char.len_utf16();
            }
            assert_eq!(text.units_before(usize::MAX), units);
            assert_eq!(text.position_after_units(units), Some(text.len_chars()));
            assert_eq!(text.position_after_units(units + 1), None);
        }
    }

    #[test]
    fn long_texts_edit_like_short_ones_and_share() {
        let long = "0123456789é".repeat(100);
        let text = Text::from(long.as_str());
        let mut edited = text.clone();
        edited.insert(500, "XY");
        edited.remove(0..3);
        let mut model: Vec<char> = long.chars().collect();
        model.splice(500..500, "XY".chars());
        model.drain(0..3);
        assert_eq!(edited.to_string(), model.iter().collect::<String>());
        assert_eq!(text, long.as_str());
        assert_ne!(edited, text);
    }

    #[test]
    fn a_slice_ends_where_its_chunk_does_or_in_another() {
        let long = "0123é56789".repeat(300);
        let (text, model) = (Text::from(long.as_str()), long.chars().collect::<Vec<char>>());
        let mut ends = vec![0];
        for chunk in text.chunks() {
            ends.push(ends[ends.len() - 1] + chunk.chars().count());
        }
        assert!(ends.len() > 3, "several chunks");
        for end in ends {
            for start in end.saturating_sub(3)..(end + 3).min(model.len()) {
                for end in [start, start + 1, start + 2, start + 1500] {
                    let end = end.min(model.len());
                    let expected: String = model[start..end].iter().collect();
                    assert_eq!(text.slice(start..end), expected.as_str());
                }
            }
        }
    }

    #[test]
    fn a_text_equals_its_other_representation() {
        let long = "x".repeat(FLAT_BYTES_MAX);
        let flat = Text::from(long.as_str());
        let mut rope = Text::from(format!("{long}y"));
        assert!(matches!((&flat.0, &rope.0), (Repr::Flat(_), Repr::Rope(_))));
        rope.remove(FLAT_BYTES_MAX..FLAT_BYTES_MAX + 1);
        assert_eq!(flat, rope);
        assert_eq!(flat.cmp(&rope), Ordering::Equal);
    }

    #[test]
    fn a_rope_that_shrinks_becomes_flat_again() {
        let mut text = Text::from("ab".repeat(FLAT_BYTES_MAX));
        text.remove(2..2 * FLAT_BYTES_MAX);
        assert_eq!(text.as_str(), Some("ab"));
        assert!(matches!(text.0, Repr::Flat(_)));
    }
}
