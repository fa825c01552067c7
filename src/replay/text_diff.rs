//! What is different between two texts: by lines first, then by words, then to the letter.
//!
//! The algorithm is that of Myers (E. Myers, "An O(ND) Difference Algorithm and Its Variations", 1986),
//! as the crate `similar` has it, with its bounds on texts that have little in common.

use std::ops::Range;

use ecow::EcoString;
use similar::{Algorithm, DiffOp, capture_diff_slices};

use crate::value::Value;
use crate::value::text::count_chars;

/// A stretch of text that gave way to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextEdit {
    /// Where, in code points of the new text: the edits before it are made.
    pub at: usize,
    pub removed: EcoString,
    pub inserted: EcoString,
}

impl TextEdit {
    /// Its plain form, for people and programs.
    pub fn to_value(&self) -> Value {
        let entries = [
            ("at", Value::Int(self.at as i64)),
            ("removed", self.removed.clone().into()),
            ("inserted", self.inserted.clone().into()),
        ];
        Value::Dict(entries.into())
    }
}

/// The edits that lead from `old` to `new`, first to last.
pub fn edits(old: &str, new: &str) -> Vec<TextEdit> {
    let mut hunks = Vec::new();
    for (old_lines, new_lines) in differing(old, new, lines) {
        let (old_part, new_part) = (&old[old_lines.clone()], &new[new_lines.clone()]);
        for (old_words, new_words) in differing(old_part, new_part, words) {
            let old_range = old_lines.start + old_words.start..old_lines.start + old_words.end;
            let new_range = new_lines.start + new_words.start..new_lines.start + new_words.end;
            hunks.push((old_range, new_range));
        }
    }
    let (mut seen, mut at) = (0, 0);
    let edits = hunks.into_iter().map(|(old_range, new_range)| {
        let (removed, inserted) = (&old[old_range], &new[new_range.clone()]);
        let (before, after) = common_ends(removed, inserted);
        let start = new_range.start + before;
        at += count_chars(&new[seen..start]);
        seen = start;
        TextEdit {
            at,
            removed: removed[before..removed.len() - after].into(),
            inserted: inserted[before..inserted.len() - after].into(),
        }
    });
    edits.collect()
}

/// Where the tokens of two texts differ, in bytes.
fn differing<'t>(
    old: &'t str,
    new: &'t str,
    split: fn(&'t str) -> Vec<&'t str>,
) -> Vec<(Range<usize>, Range<usize>)> {
    if old == new {
        return Vec::new();
    }
    let (old_tokens, new_tokens) = (split(old), split(new));
    let (old_starts, new_starts) = (starts(&old_tokens), starts(&new_tokens));
    let ops = capture_diff_slices(Algorithm::Myers, &old_tokens, &new_tokens);
    let differ = ops.into_iter().filter(|op| !matches!(op, DiffOp::Equal { .. }));
    let ranges = differ.map(|op| {
        let (old_range, new_range) = (op.old_range(), op.new_range());
        (
            old_starts[old_range.start]..old_starts[old_range.end],
            new_starts[new_range.start]..new_starts[new_range.end],
        )
    });
    ranges.collect()
}

/// Where each token starts, and where the last ends.
fn starts(tokens: &[&str]) -> Vec<usize> {
    let mut end = 0;
    let ends = tokens.iter().map(|token| {
        end += token.len();
        end
    });
    std::iter::once(0).chain(ends).collect()
}

fn lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

/// Runs of letters and digits, runs of spaces, and all else one by one.
fn words(text: &str) -> Vec<&str> {
    let class = |char: char| match char {
        _ if char.is_alphanumeric() => 1,
        _ if char.is_whitespace() => 2,
        _ => 0,
    };
    let (mut words, mut start, mut last) = (Vec::new(), 0, 0);
    for (at, char) in text.char_indices() {
        let class = class(char);
        if at > start && (class != last || class == 0) {
            words.push(&text[start..at]);
            start = at;
        }
        last = class;
    }
    if start < text.len() {
        words.push(&text[start..]);
    }
    words
}

/// How many bytes two texts have in common at their beginnings, and behind those at their ends.
fn common_ends(a: &str, b: &str) -> (usize, usize) {
    let same = |(a, b): &(char, char)| a == b;
    let len = |pairs: &mut dyn Iterator<Item = (char, char)>| {
        pairs.take_while(same).map(|(char, _)| char.len_utf8()).sum::<usize>()
    };
    let before = len(&mut a.chars().zip(b.chars()));
    let (a, b) = (&a[before..], &b[before..]);
    (before, len(&mut a.chars().rev().zip(b.chars().rev())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(old: &str, new: &str, expected: &[(usize, &str, &str)]) {
        let edits = edits(old, new);
        let found: Vec<_> =
            edits.iter().map(|it| (it.at, it.removed.as_str(), it.inserted.as_str())).collect();
        assert_eq!(found, expected, "{old:?} to {new:?}");
        let mut text = crate::value::Text::from(old);
        for edit in &edits {
            text.remove(edit.at..edit.at + count_chars(&edit.removed));
            text.insert(edit.at, &edit.inserted);
        }
        assert_eq!(text, new);
    }

    #[test]
    fn a_letter_is_an_edit_of_a_letter() {
        check("the wor is", "the word is", &[(7, "", "d")]);
        check("a😀b", "a😀éb", &[(2, "", "é")]);
        check("", "abc", &[(0, "", "abc")]);
        check("same", "same", &[]);
    }

    #[test]
    fn lines_that_stay_are_not_touched() {
        check("one\ntwo\nthree\n", "one\n2\nthree\nfour\n", &[(4, "two", "2"), (12, "", "four\n")]);
        check("a\nb\n", "b\n", &[(0, "a\n", "")]);
    }
}
