//! What two sequences have in common, as far as differences go by it.

use std::collections::BTreeMap;

/// In how long a middle, between what two sequences share at their ends, more is looked for.
const MIDDLE_MAX: usize = 1 << 20;

/// A stretch that two sequences have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Common {
    /// Where it begins in the old one.
    pub old: usize,
    /// Where it begins in the new one.
    pub new: usize,
    pub len: usize,
}

/// The stretches that two sequences have in common, in order: their ends, and between these what is
/// found by runs of `run` items that stand in both middles once.
///
/// This is the patience diff (B. Cohen, in Bazaar, 2005), with runs of items for its unique lines, done
/// once: what lies between two stretches is not looked into again. O(n log n).
pub(super) fn in_common<T: Ord>(old: &[T], new: &[T], run: usize) -> Vec<Common> {
    let start = old.iter().zip(new).take_while(|(old, new)| old == new).count();
    let backward = old[start..].iter().rev().zip(new[start..].iter().rev());
    let end = backward.take_while(|(old, new)| old == new).count();
    let (old_end, new_end) = (old.len() - end, new.len() - end);
    let mut found = vec![Common { old: 0, new: 0, len: start }];
    let (mut a, mut b) = (start, start);
    for (i, j) in ascending(&pairs(&old[start..old_end], &new[start..new_end], run)) {
        let (mut i, mut j) = (start + i, start + j);
        if i < a || j < b {
            // The stretch before was widened over it.
            continue;
        }
        while i > a && j > b && old[i - 1] == new[j - 1] {
            (i, j) = (i - 1, j - 1);
        }
        let alike = old[i..old_end].iter().zip(&new[j..new_end]);
        let len = alike.take_while(|(old, new)| old == new).count();
        found.push(Common { old: i, new: j, len });
        (a, b) = (i + len, j + len);
    }
    found.push(Common { old: old_end, new: new_end, len: end });
    found
}

/// Where the runs stand that both sequences have once, in the order of the first.
fn pairs<T: Ord>(old: &[T], new: &[T], run: usize) -> Vec<(usize, usize)> {
    if old.len().max(new.len()) > MIDDLE_MAX {
        return Vec::new();
    }
    /// A run's place; `None` once it was met a second time.
    fn once<T: Ord>(items: &[T], run: usize) -> BTreeMap<&[T], Option<usize>> {
        let mut places = BTreeMap::new();
        for (place, run) in items.windows(run).enumerate() {
            places.entry(run).and_modify(|place| *place = None).or_insert(Some(place));
        }
        places
    }
    let there = once(new, run);
    let both = once(old, run).into_iter().filter_map(|(run, place)| {
        let there = there.get(run).copied().flatten();
        place.zip(there)
    });
    let mut pairs: Vec<(usize, usize)> = both.collect();
    pairs.sort_unstable();
    pairs
}

/// As many of the pairs as ascend on both sides, found by patience sorting: each goes on the leftmost pile
/// whose top is behind it, and remembers the top of the pile before.
fn ascending(pairs: &[(usize, usize)]) -> Vec<(usize, usize)> {
    let mut tops: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = Vec::with_capacity(pairs.len());
    for (at, (_, there)) in pairs.iter().enumerate() {
        let pile = tops.partition_point(|top| pairs[*top].1 < *there);
        before.push(pile.checked_sub(1).map(|pile| tops[pile]));
        match tops.get_mut(pile) {
            Some(top) => *top = at,
            None => tops.push(at),
        }
    }
    let mut chain = Vec::with_capacity(tops.len());
    let mut next = tops.last().copied();
    while let Some(at) = next {
        chain.push(pairs[at]);
        next = before[at];
    }
    chain.reverse();
    chain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(old: &str, new: &str, run: usize, expected: &[&str]) {
        let (old, new): (Vec<char>, Vec<char>) = (old.chars().collect(), new.chars().collect());
        let found = in_common(&old, &new, run);
        let texts = found.iter().map(|it| {
            assert_eq!(old[it.old..it.old + it.len], new[it.new..it.new + it.len]);
            new[it.new..it.new + it.len].iter().collect::<String>()
        });
        assert_eq!(texts.filter(|it| !it.is_empty()).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn ends_are_found_and_what_stands_once_between_them() {
        check("abcdef", "abXef", 3, &["ab", "ef"]);
        check("a1234z", "a-1234-z", 3, &["a", "1234", "z"]);
        check("one two three", "ONE two THREE", 3, &[" two "]);
        check("aaaa", "aa", 2, &["aa"]);
        check("", "abc", 2, &[]);
    }

    #[test]
    fn of_what_changed_places_the_longer_row_is_kept() {
        check("-11111.22222.33333-", "-22222.33333.11111-", 3, &["-", "22222.33333", "-"]);
    }
}
