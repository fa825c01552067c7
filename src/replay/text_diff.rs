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
    /// The text that is gone.
    pub removed: EcoString,
    /// The text in its place.
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
        for (old_line, new_line) in paired(&old[old_lines.clone()], &new[new_lines.clone()]) {
            let (old_start, new_start) =
                (old_lines.start + old_line.start, new_lines.start + new_line.start);
            let old_line = &old[old_start..old_lines.start + old_line.end];
            let new_line = &new[new_start..new_lines.start + new_line.end];
            for (old_words, new_words) in differing(old_line, new_line, words) {
                hunks.push((shifted(old_words, old_start), shifted(new_words, new_start)));
            }
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

fn shifted(range: Range<usize>, by: usize) -> Range<usize> {
    range.start + by..range.end + by
}

/// The lines of two texts that have none in common, side by side, in bytes. Where one has more of them,
/// those at its end or at its beginning have no counterpart, whichever leaves the others more alike.
fn paired(old: &str, new: &str) -> Vec<(Range<usize>, Range<usize>)> {
    let (old_lines, new_lines) = (lines(old), lines(new));
    let (old_starts, new_starts) = (starts(&old_lines), starts(&new_lines));
    let count = old_lines.len().min(new_lines.len());
    let (old_more, new_more) = (old_lines.len() - count, new_lines.len() - count);
    let alike = |old_skipped: usize, new_skipped: usize| -> usize {
        let pairs = old_lines[old_skipped..].iter().zip(&new_lines[new_skipped..]);
        pairs.map(|(a, b)| common_ends(a, b)).map(|(before, after)| before + after).sum()
    };
    let rest_at_end = alike(0, 0) >= alike(old_more, new_more);
    let (old_skipped, new_skipped) = if rest_at_end { (0, 0) } else { (old_more, new_more) };
    let mut pairs = Vec::with_capacity(count + 1);
    if !rest_at_end {
        pairs.push((0..old_starts[old_more], 0..new_starts[new_more]));
    }
    pairs.extend((0..count).map(|at| {
        let (a, b) = (old_skipped + at, new_skipped + at);
        (old_starts[a]..old_starts[a + 1], new_starts[b]..new_starts[b + 1])
    }));
    if rest_at_end {
        pairs.push((old_starts[count]..old.len(), new_starts[count]..new.len()));
    }
    pairs
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

    #[test]
    fn lines_are_compared_with_those_they_are_like() {
        check(
            "the sea.\n",
            "the blue sea.\nThe end.\n",
            &[(4, "", "blue "), (14, "", "The end.\n")],
        );
        check("the sea.\n", "Once:\nthe blue sea.\n", &[(0, "", "Once:\n"), (10, "", "blue ")]);
        check("a b\nc d\n", "a x\nc y\n", &[(2, "b", "x"), (6, "d", "y")]);
    }
}
