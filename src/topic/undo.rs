//! Taking back an author's own action, as it stands after all that others did since.
//!
//! The inverse of an old action cannot simply be rebased over everything that came later. An action
//! and its undo do not cancel under a plain rebase (text that is deleted and inserted again is another
//! text), so undo, undo, redo, redo would not lead back to where one was. Instead the inverse is
//! rebased over others' changes *as they would stand without the author's own later actions*, all of
//! which are undone by then:
//!
//! ```text
//! log        target   y   o1   o2   undo(y)          y: own, later, undone; o: others'
//!               │     └─────────────┘
//!               │      o1 and o2 are rebased over the inverse of y
//!               └──► inverse ──► over o1* ──► over o2* ──► the change to make now
//! ```
//!
//! Own later actions that are still in force (their undo was skipped in part, say) count as others'.

use std::collections::{HashMap, HashSet};

use super::{ClientId, CommitNumber, Entry};
use crate::types::run::{self, MaybeChange};
use crate::types::{AnyChange, AnyValue, Conflict, TypeRef};

/// What takes an action's changes of one topic back.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reversal {
    /// The changes to make, the last first; `None` where nothing is left to do, or where it cannot be
    /// done.
    pub run: Vec<MaybeChange>,
    /// Which of them cannot be done, by their index in `run`, and why.
    pub skipped: Vec<(usize, Conflict)>,
}

/// Inverts what `target`, a commit of `author`, did in a topic of type `kind`, and rebases that onto the
/// head. `value` is that before the commit, `entries` are all from there to the head: first those of the
/// commit, then those that came later.
///
/// O(n), n being the number of entries.
pub(crate) fn reverse(
    kind: TypeRef,
    mut value: AnyValue,
    entries: &[Entry],
    author: ClientId,
    target: CommitNumber,
) -> Reversal {
    let of_target = entries.partition_point(|entry| entry.commit <= target);
    let (targets, later) = entries.split_at(of_target);
    let inverses = invert_all(kind, &mut value, targets);
    let mut pairs = undone_pairs(later, author);
    loop {
        let mut walk = Walk::new(kind, value.clone(), inverses.clone());
        match walk.over(later, author, &pairs) {
            Ok(()) => return Reversal { run: walk.run, skipped: walk.skipped },
            // That one was not undone after all: start again with it in force. Each round takes one
            // out, so this ends.
            Err(StillInForce(commit)) => drop(pairs.remove(&commit)),
        }
    }
}

impl Reversal {
    /// Rebases this over one more change of somebody else's. `value` is that before it, and becomes that
    /// after it.
    pub(crate) fn over(&mut self, kind: TypeRef, value: &mut AnyValue, entry: &Entry) {
        let changed = |change: &AnyChange| kind.invert(change, value).is_some();
        let change = entry.change.clone().filter(changed);
        let (_, dropped) = run::rebase_or_drop(kind, &mut self.run, value, change);
        self.skipped.extend(dropped);
        entry.apply_to(kind, value);
    }
}

/// The inverses of `entries` in the order in which they are to be applied, `value` being that before
/// the first; it becomes that after the last.
fn invert_all(kind: TypeRef, value: &mut AnyValue, entries: &[Entry]) -> Vec<MaybeChange> {
    let mut inverses = Vec::with_capacity(entries.len());
    for entry in entries {
        let change = entry.change.as_ref();
        inverses.push(change.and_then(|change| kind.invert(change, value)));
        entry.apply_to(kind, value);
    }
    inverses.reverse();
    inverses
}

/// The author's own actions among `later` that were taken back again, each with what took it back.
fn undone_pairs(later: &[Entry], author: ClientId) -> HashMap<CommitNumber, CommitNumber> {
    let mut open = HashSet::new();
    let mut pairs = HashMap::new();
    for entry in later.iter().filter(|entry| entry.author == author) {
        match entry.action.as_ref().and_then(|action| action.reverses.as_ref()) {
            Some(reverses) if open.remove(&reverses.commit) => {
                pairs.insert(reverses.commit, entry.commit);
            }
            // Further entries of an action that closed its pair with its first.
            Some(reverses) if pairs.get(&reverses.commit) == Some(&entry.commit) => {}
            _ => drop(open.insert(entry.commit)),
        }
    }
    pairs
}

/// An own action that was taken for undone, and is not.
struct StillInForce(CommitNumber);

/// An own later action whose undo has not come yet.
struct Open {
    commit: CommitNumber,
    /// Its inverses, as they stand at this point.
    inverses: Vec<MaybeChange>,
}

struct Walk {
    kind: TypeRef,
    /// The value as it was.
    actual: AnyValue,
    /// The value as it would be without the author's own later actions.
    without: AnyValue,
    open: Vec<Open>,
    run: Vec<MaybeChange>,
    skipped: Vec<(usize, Conflict)>,
}

impl Walk {
    fn new(kind: TypeRef, value: AnyValue, run: Vec<MaybeChange>) -> Walk {
        let (actual, without) = (value.clone(), value);
        Walk { kind, actual, without, open: Vec::new(), run, skipped: Vec::new() }
    }

    fn over(
        &mut self,
        later: &[Entry],
        author: ClientId,
        pairs: &HashMap<CommitNumber, CommitNumber>,
    ) -> Result<(), StillInForce> {
        for group in later.chunk_by(|a, b| a.commit == b.commit) {
            let commit = group[0].commit;
            let own = group[0].author == author;
            if own && pairs.contains_key(&commit) {
                let inverses = invert_all(self.kind, &mut self.actual, group);
                self.open.push(Open { commit, inverses });
            } else if own && self.open.last().is_some_and(|open| pairs[&open.commit] == commit) {
                self.close(group)?;
            } else {
                self.over_others(group)?;
            }
        }
        Ok(())
    }

    /// Comes to the undo of the newest open action.
    fn close(&mut self, group: &[Entry]) -> Result<(), StillInForce> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let undone = group.iter().filter(|entry| entry.change.is_some()).count();
        if open.inverses.iter().flatten().count() != undone {
            return Err(StillInForce(open.commit));
        }
        for entry in group {
            entry.apply_to(self.kind, &mut self.actual);
        }
        Ok(())
    }

    fn over_others(&mut self, group: &[Entry]) -> Result<(), StillInForce> {
        let kind = self.kind;
        for entry in group {
            // What changed nothing has no inverse, so it cannot be undone, and needs to be rebased over
            // nothing. It would stand in the way of what conflicts with any change.
            let changed = |change: &AnyChange| kind.invert(change, &self.actual).is_some();
            let mut change = entry.change.clone().filter(changed);
            for open in self.open.iter_mut().rev() {
                change = run::rebase_run(kind, &mut open.inverses, change)
                    .map_err(|_| StillInForce(open.commit))?;
            }
            let (_, dropped) =
                run::rebase_or_drop(kind, &mut self.run, &self.without, change.clone());
            self.skipped.extend(dropped);
            entry.apply_to(self.kind, &mut self.actual);
            match (&self.open[..], change) {
                // Nothing was taken out: the two values are one.
                ([], _) => self.without = self.actual.clone(),
                (_, Some(change)) => {
                    if kind.apply(&mut self.without, &change).is_err() {
                        return Err(StillInForce(self.open[0].commit));
                    }
                }
                (_, None) => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::topic::{ActionId, ActionMark, ChangeId, Reverses, Timestamp, Topic};
    use crate::types::string::{String, StringChange};

    const ME: ClientId = ClientId(1);
    const OTHER: ClientId = ClientId(2);

    /// A text that two authors edit, one of whom goes back and forth.
    struct Story(Topic);

    impl Story {
        fn new(text: &str) -> Story {
            let mut story = Story(Topic::new(TypeRef::of::<String>()));
            story.edit(OTHER, StringChange::insert(0, text));
            story
        }

        fn accept(
            &mut self,
            author: ClientId,
            changes: &[MaybeChange],
            reverses: Option<Reverses>,
        ) -> u64 {
            let commit = CommitNumber(self.0.head().0 + 1);
            let id = ActionId::from(ChangeId::of(author, commit.0));
            for change in changes {
                let change = change.clone().map(|change| self.0.apply(change).unwrap());
                let version = self.0.head().next();
                self.0.push(Entry {
                    version,
                    commit,
                    change,
                    author,
                    id: ChangeId::of(author, version.0),
                    action: Some(Arc::new(ActionMark {
                        id: id.clone(),
                        reverses: reverses.clone(),
                    })),
                    time: Timestamp(0),
                });
            }
            commit.0
        }

        fn edit(&mut self, author: ClientId, change: StringChange) -> u64 {
            self.accept(author, &[Some(AnyChange::new::<String>(change))], None)
        }

        /// Takes back `commit`: an undo, or a redo where that was an undo.
        fn reverse(&mut self, commit: u64) -> u64 {
            let (kind, log, target) = (self.0.kind(), self.0.log(), CommitNumber(commit));
            let before = log.version_at_commit(CommitNumber(commit - 1));
            let entries: Vec<Entry> = log.after(before).cloned().collect();
            let value = log.value_at(before).unwrap();
            let reversal = super::reverse(kind, value, &entries, ME, target);
            let reverses = Reverses {
                commit: CommitNumber(commit),
                original: ActionId::new("1_1").unwrap(),
                redo: false,
            };
            self.accept(ME, &reversal.run, Some(reverses))
        }

        #[track_caller]
        fn expect(&self, text: &str) {
            assert_eq!(self.0.value().get::<String>().unwrap(), text);
        }
    }

    #[test]
    fn undo_undo_redo_redo_leads_back() {
        let mut story = Story::new("abc");
        let x = story.edit(ME, StringChange::insert(1, "X"));
        let y = story.edit(ME, StringChange::insert(2, "Y"));
        story.expect("aXYbc");
        let undo_y = story.reverse(y);
        let undo_x = story.reverse(x);
        story.expect("abc");
        story.reverse(undo_x);
        story.reverse(undo_y);
        story.expect("aXYbc");
    }

    #[test]
    fn others_work_in_between_stays() {
        let mut story = Story::new("abc");
        let x = story.edit(ME, StringChange::insert(1, "X"));
        story.edit(OTHER, StringChange::insert(0, "1"));
        let y = story.edit(ME, StringChange::insert(3, "Y"));
        story.edit(OTHER, StringChange::insert(4, "2"));
        story.expect("1aXY2bc");
        let undo_y = story.reverse(y);
        story.edit(OTHER, StringChange::insert(0, "0"));
        let undo_x = story.reverse(x);
        story.expect("01a2bc");
        story.edit(OTHER, StringChange::insert(6, "9"));
        let redo_x = story.reverse(undo_x);
        let redo_y = story.reverse(undo_y);
        story.expect("01aXY2bc9");
        story.reverse(redo_y);
        story.reverse(redo_x);
        story.expect("01a2bc9");
    }

    #[test]
    fn what_another_deleted_is_not_deleted_again() {
        let mut story = Story::new("abc");
        let x = story.edit(ME, StringChange::insert(1, "XYZ"));
        story.edit(OTHER, StringChange::delete(2, 1));
        story.reverse(x);
        story.expect("abc");
    }

    #[test]
    fn an_action_with_several_changes_goes_as_one() {
        let mut story = Story::new("abc");
        let change = |change| Some(AnyChange::new::<String>(change));
        let action = [
            change(StringChange::delete(0, 1)),
            change(StringChange::insert(2, "Z")),
            change(StringChange::delete(0, 1)),
        ];
        let x = story.accept(ME, &action, None);
        story.expect("cZ");
        let undo = story.reverse(x);
        story.expect("abc");
        story.reverse(undo);
        story.expect("cZ");
    }
}
