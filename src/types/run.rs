//! Runs of changes: several by one author, each made on the value the one before leaves.
//!
//! An action that edits a topic three times, a replica's pending changes and an undo are all runs.
//! Rebasing a run over an accepted change walks along it: `(c1', a1) = rebase(c1, a)`, then
//! `(c2', a2) = rebase(c2, a1)`, and so on. In a run, `None` is a change of which nothing is left.

use super::{AnyChange, AnyValue, Composed, Conflict, TypeRef};

/// A change, or none: what `none` is on the wire.
pub type MaybeChange = Option<AnyChange>;

/// Rebases `run` over `accepted`, and gives `accepted` rebased over the run.
///
/// # Errors
/// The conflict of the first change that cannot be rebased, with its index; the run is then of no
/// further use.
pub fn rebase_run(
    kind: TypeRef,
    run: &mut [MaybeChange],
    accepted: MaybeChange,
) -> Result<MaybeChange, (usize, Conflict)> {
    let mut accepted = accepted;
    for (index, slot) in run.iter_mut().enumerate() {
        accepted = rebase_one(kind, slot, accepted).map_err(|conflict| (index, conflict))?;
    }
    Ok(accepted)
}

/// Rebases one change over `accepted`, and gives `accepted` rebased over the change.
///
/// # Errors
/// Their conflict; `change` is then as it was.
pub fn rebase_one(
    kind: TypeRef,
    change: &mut MaybeChange,
    accepted: MaybeChange,
) -> Result<MaybeChange, Conflict> {
    match (&*change, &accepted) {
        (Some(incoming), Some(first)) => {
            let rebased = kind.rebase(incoming, first)?;
            *change = rebased.incoming;
            Ok(rebased.accepted)
        }
        _ => Ok(accepted),
    }
}

/// A change that was dropped from a run, by its index in the run, and why.
pub type Dropped = (usize, Conflict);

/// Rebases `run`, made on `base`, over `accepted`. Instead of failing, a change that cannot be rebased is
/// dropped: it becomes `None` and is reported, and the changes behind it are rebased over its inverse.
///
/// Gives `accepted` rebased over what is left of the run.
pub fn rebase_or_drop(
    kind: TypeRef,
    run: &mut [MaybeChange],
    base: &AnyValue,
    accepted: MaybeChange,
) -> (MaybeChange, Vec<Dropped>) {
    let (mut value, mut accepted, mut dropped) = (base.clone(), accepted, Vec::new());
    for index in 0..run.len() {
        let original = run[index].clone();
        match rebase_one(kind, &mut run[index], accepted.clone()) {
            Ok(rebased) => {
                match original.map_or(Ok(()), |change| kind.apply(&mut value, &change)) {
                    Ok(()) => accepted = rebased,
                    // A change that was dropped before this one kept a number within its range. So this
                    // one is dropped too, and `accepted` is not rebased over it.
                    Err(error) => {
                        run[index] = None;
                        dropped.push((index, Conflict::Other(error.to_string())));
                    }
                }
            }
            Err(conflict) => {
                dropped.push((index, conflict));
                dropped.extend(drop_from(kind, run, index, &value));
            }
        }
    }
    (accepted, dropped)
}

/// Drops the change at `index` from a run, `value` being what that change was made on. The changes behind
/// it are rebased over its inverse; those that cannot be are dropped too, and reported.
pub fn drop_from(
    kind: TypeRef,
    run: &mut [MaybeChange],
    index: usize,
    value: &AnyValue,
) -> Vec<Dropped> {
    let Some(change) = run[index].take() else { return Vec::new() };
    let inverse = kind.invert(&change, value);
    let mut after = value.clone();
    if kind.apply(&mut after, &change).is_err() {
        return Vec::new();
    }
    let (_, dropped) = rebase_or_drop(kind, &mut run[index + 1..], &after, inverse);
    dropped.into_iter().map(|(behind, conflict)| (index + 1 + behind, conflict)).collect()
}

/// Composes `changes` into as few as their type makes of them, in O(n log n) compositions of two.
pub fn compose_all(kind: TypeRef, changes: &[AnyChange]) -> Vec<AnyChange> {
    if changes.len() < 2 {
        return changes.to_vec();
    }
    let (left, right) = changes.split_at(changes.len() / 2);
    let mut composed = compose_all(kind, left);
    for change in compose_all(kind, right) {
        push_composed(kind, &mut composed, change);
    }
    composed
}

/// Appends `change` to a run, composed with the last change of the run where the type can.
pub fn push_composed(kind: TypeRef, run: &mut Vec<AnyChange>, change: AnyChange) {
    let composed = run.last().map(|last| kind.compose(last, &change));
    match composed {
        None | Some(Composed::Separate) => run.push(change),
        Some(Composed::Nothing) => drop(run.pop()),
        Some(Composed::One(one)) => {
            run.pop();
            run.push(one);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::int::{Int, IntChange};
    use crate::value::limits::INT_MAX;

    #[test]
    fn a_change_that_no_longer_applies_is_dropped_and_moves_nothing() {
        let (kind, base) = (TypeRef::of::<Int>(), AnyValue::new::<Int>(1));
        let change = |change| Some(AnyChange::new::<Int>(change));
        // Without the first, the second leaves the range.
        let mut run = [change(IntChange::Set(-INT_MAX)), change(IntChange::Add(INT_MAX))];
        let accepted = change(IntChange::Set(-5));
        let (rebased, dropped) = rebase_or_drop(kind, &mut run, &base, accepted.clone());
        assert_eq!(run, [None, None]);
        assert_eq!(rebased, accepted);
        assert_eq!(dropped.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [0, 1]);
    }
}
