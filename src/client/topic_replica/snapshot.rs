//! Snapshots: the first one, and later ones, which jump ahead.

use super::{Link, Moved, News, Taken, TopicReplica, is_one_of};
use crate::client::pending::{Base, BaseChange, Pending};
use crate::topic::ChangeId;
use crate::types::run::MaybeChange;
use crate::types::{AnyChange, AnyValue, Conflict, TypeRef};
use crate::value::Invalid;

impl TopicReplica {
    pub(super) fn take_snapshot(&mut self, news: News<'_>) -> Result<Taken, Invalid> {
        let value = self.kind.decode_value(news.fields.require("value")?)?;
        self.version = news.version;
        self.link = Link::Live;
        let first = !std::mem::replace(&mut self.ready, true);
        if first {
            return Ok(Taken::Moved(self.first_snapshot(value)));
        }
        Ok(Taken::Moved(self.later_snapshot(value, news.ids)))
    }

    /// Takes the first value (R27). What was made before it was made on nothing that anyone had seen: it
    /// is put on the value as it is, where it fits.
    fn first_snapshot(&mut self, value: AnyValue) -> Moved {
        self.view = value.clone();
        self.confirmed = value;
        let mut dropped = Vec::new();
        let (kind, view) = (self.kind, &mut self.view);
        self.pending.retain_mut(|pending| {
            let exact = match (pending.base, pending.form.take()) {
                (Base::Seen, form) => Ok(form),
                (Base::Latest, _) => kind.resolve(pending.made.clone(), view).map(Some),
            };
            let applied = exact.and_then(|form| {
                form.as_ref().map_or(Ok(()), |form| kind.apply(view, form))?;
                Ok(form)
            });
            match (applied, pending.base) {
                (Ok(form), _) => pending.form = form,
                (Err(_), Base::Latest) => {}
                (Err(invalid), Base::Seen) => {
                    dropped.push((pending.order, Conflict::Other(invalid.to_string())));
                    return false;
                }
            }
            true
        });
        Moved { changes: Vec::new(), whole: true, dropped }
    }

    /// Takes a value that jumps ahead (R29). Whether it holds what is in flight is not known, so that is
    /// hidden until it is answered, unless to apply it twice is the same as once. What waits is rebased
    /// over the difference between the value that it stood on and the one it comes to stand on.
    fn later_snapshot(&mut self, value: AnyValue, ids: &[ChangeId]) -> Moved {
        let mut waiting = self.pending.split_off(self.in_flight().count());
        let mut from = std::mem::replace(&mut self.confirmed, value.clone());
        for form in self.pending.iter().filter_map(|pending| pending.form.as_ref()) {
            // What is in flight applied when the view was made.
            let _ = self.kind.apply(&mut from, form);
        }
        self.pending.retain(|pending| !is_one_of(pending, ids));
        let mut to = value;
        for pending in &mut self.pending {
            pending.form = apply_if_idempotent(self.kind, pending, &mut to);
            pending.hidden = pending.form.is_none();
        }
        let transition = match waiting.is_empty() {
            true => None,
            false => difference(self.kind, &from, &to),
        };
        let whole = transition.is_none();
        let mut dropped = Vec::new();
        if whole {
            let based = waiting.extract_if(.., |it| it.base == Base::Seen);
            dropped.extend(based.map(|it| (it.order, Conflict::Overwritten)));
        }
        let mut base = BaseChange::new(self.kind, from, to, transition.unwrap_or_default());
        dropped.extend(base.rebase_all(&mut waiting, |_| false));
        self.view = base.new;
        self.pending.append(&mut waiting);
        // Without a transition to begin with, what came out does not lead from one view to the other.
        let changes = if whole { Vec::new() } else { base.transition };
        Moved { changes, whole, dropped }
    }
}

/// Changes that lead from `from` to `to`, as close to what others did as the two values tell (R30). The
/// server sees only what is rebased over them, which stands on the snapshot. `None` if the type has none, or
/// wrong ones.
fn difference(kind: TypeRef, from: &AnyValue, to: &AnyValue) -> Option<Vec<AnyChange>> {
    if from == to {
        return Some(Vec::new());
    }
    let changes = kind.differences(from, to)?;
    let mut value = from.clone();
    changes.iter().try_for_each(|change| kind.apply(&mut value, change)).ok()?;
    (value == *to).then_some(changes)
}

/// Applies a change to `value` if it is overwriting and does nothing when applied again.
fn apply_if_idempotent(kind: TypeRef, pending: &Pending, value: &mut AnyValue) -> MaybeChange {
    if pending.base != Base::Latest {
        return None;
    }
    let form = kind.resolve(pending.made.clone(), value).ok()?;
    let mut once = value.clone();
    kind.apply(&mut once, &form).ok()?;
    let mut twice = once.clone();
    kind.apply(&mut twice, &kind.resolve(pending.made.clone(), &once).ok()?).ok()?;
    if once != twice {
        return None;
    }
    *value = once;
    Some(form)
}
