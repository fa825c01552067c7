//! What two sequences have in common at their ends, as far as differences go by it.

/// How many items two sequences share at their beginnings, and then at their ends. O(n).
pub(super) fn ends_in_common<T: PartialEq>(
    lens: (usize, usize),
    forward: impl Iterator<Item = (T, T)>,
    backward: impl Iterator<Item = (T, T)>,
) -> (usize, usize) {
    let shortest = lens.0.min(lens.1);
    let start = forward.take_while(|(old, new)| old == new).count();
    let end = backward.take(shortest - start).take_while(|(old, new)| old == new).count();
    (start, end)
}
