//! Whole values: the first, and those that jump ahead.

use super::{Link, Moved, News, Taken, TopicReplica, is_one_of};
use crate::client::pending::{Footing, Pending, Walk};
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
            return Ok(Taken::Moved(self.land(value)));
        }
        Ok(Taken::Moved(self.jump(value, news.ids)))
    }

    /// Takes the first value. What was made before it was made on nothing that anyone had seen: it is
    /// put on the value as it is, where it fits.
    fn land(&mut self, value: AnyValue) -> Moved {
        self.view = value.clone();
        self.confirmed = value;
        let mut fallen = Vec::new();
        let (kind, view) = (self.kind, &mut self.view);
        self.pending.retain_mut(|pending| {
            let exact = match (pending.footing, pending.form.take()) {
                (Footing::Seen, form) => Ok(form),
                (Footing::Anything, _) => kind.resolve(pending.made.clone(), view).map(Some),
            };
            let applied = exact.and_then(|form| {
                form.as_ref().map_or(Ok(()), |form| kind.apply(view, form))?;
                Ok(form)
            });
            match (applied, pending.footing) {
                (Ok(form), _) => pending.form = form,
                (Err(_), Footing::Anything) => {}
                (Err(invalid), Footing::Seen) => {
                    fallen.push((pending.batch, Conflict::Other(invalid.to_string())));
                    return false;
                }
            }
            true
        });
        Moved { changes: Vec::new(), whole: true, fallen }
    }

    /// Takes a value that jumps ahead. Whether it holds what is in flight is not known, so that is
    /// hidden until it is answered, unless to apply it twice is the same as once. What waits is
    /// carried over the difference between the value that it stood on and the one it comes to stand on.
    fn jump(&mut self, value: AnyValue, ids: &[ChangeId]) -> Moved {
        let in_flight = self.pending.iter().take_while(|it| it.in_flight()).count();
        let mut waiting = self.pending.split_off(in_flight);
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
        let bridge = if waiting.is_empty() { None } else { bridge(self.kind, &from, &to) };
        let whole = bridge.is_none();
        let mut fallen = Vec::new();
        if whole {
            let based = waiting.extract_if(.., |it| it.footing == Footing::Seen);
            fallen.extend(based.map(|it| (it.batch, Conflict::Overwritten)));
        }
        let mut walk = Walk::new(self.kind, from, to, bridge.unwrap_or_default());
        fallen.extend(walk.run(&mut waiting, |_| false));
        self.view = walk.new;
        self.pending.append(&mut waiting);
        // Without a bridge to begin with, what the walk has is no way from one view to the other.
        let changes = if whole { Vec::new() } else { walk.bridge };
        Moved { changes, whole, fallen }
    }
}

/// Changes that lead from `from` to `to`, as close to what others did as the two values tell; the
/// server sees only the outcome, which stands on the snapshot. A type that is wrong about them has none.
fn bridge(kind: TypeRef, from: &AnyValue, to: &AnyValue) -> Option<Vec<AnyChange>> {
    if from == to {
        return Some(Vec::new());
    }
    let changes = kind.differences(from, to)?;
    let mut value = from.clone();
    changes.iter().try_for_each(|change| kind.apply(&mut value, change)).ok()?;
    (value == *to).then_some(changes)
}

/// Applies a change to `value` if it stands on anything and does nothing when applied again.
fn apply_if_idempotent(kind: TypeRef, pending: &Pending, value: &mut AnyValue) -> MaybeChange {
    if pending.footing != Footing::Anything {
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
