//! Pending changes, and how they follow when the value below them moves.

use crate::topic::ChangeId;
use crate::types::run::{MaybeChange, carry_one, push_composed};
use crate::types::{AnyChange, AnyValue, Conflict, TypeRef};

/// What was made as one, or is sent as one.
pub(super) type BatchId = u64;

/// What a change is meant on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Footing {
    /// On what the author had seen. Others' changes carry it along, or reject it.
    #[default]
    Seen,
    /// On whatever is there: it simply wins.
    Anything,
}

/// One change that is not confirmed.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    pub batch: BatchId,
    /// Given when it is sent: what has one is in flight.
    pub id: Option<ChangeId>,
    pub footing: Footing,
    /// As it was made. What stands on anything is sent as this.
    pub made: AnyChange,
    /// As it stands in the view, exact; `None` if it does nothing there.
    pub form: MaybeChange,
    /// In flight and kept out of the view until it is answered.
    pub hidden: bool,
}

impl Pending {
    pub fn in_flight(&self) -> bool {
        self.id.is_some()
    }

    /// The change to send; `None` if nothing is left to do.
    pub fn to_send(&self) -> MaybeChange {
        match self.footing {
            Footing::Seen => self.form.clone(),
            Footing::Anything => Some(self.made.clone()),
        }
    }
}

/// Steps composed into as few as can be.
fn composed(kind: TypeRef, steps: impl IntoIterator<Item = AnyChange>) -> Vec<AnyChange> {
    let mut run = Vec::new();
    steps.into_iter().for_each(|step| push_composed(kind, &mut run, step));
    run
}

/// A walk along a run of pending changes whose ground moves from `old` to `new`.
///
/// ```text
///   old · bridge = new        holds before each step and after it
/// ```
///
/// At the end `new` is the view, and `bridge` is what the view was changed by.
pub(super) struct Walk {
    kind: TypeRef,
    old: AnyValue,
    pub new: AnyValue,
    pub bridge: Vec<AnyChange>,
}

impl Walk {
    pub fn new(kind: TypeRef, old: AnyValue, new: AnyValue, bridge: Vec<AnyChange>) -> Walk {
        Walk { kind, old, new, bridge }
    }

    /// Walks the whole run. What `leaves` says goes out of it; so does a waiting change that cannot
    /// be carried, which is reported. One in flight that cannot is hidden: the server will say so too.
    pub fn run(
        &mut self,
        run: &mut Vec<Pending>,
        leaves: impl Fn(&Pending) -> bool,
    ) -> Vec<(BatchId, Conflict)> {
        let mut fallen = Vec::new();
        run.retain_mut(|pending| {
            if leaves(pending) {
                self.leave(pending);
                return false;
            }
            let Err(conflict) = self.follow(pending) else { return true };
            self.leave(pending);
            (pending.form, pending.hidden) = (None, true);
            if !pending.in_flight() {
                fallen.push((pending.batch, conflict));
            }
            pending.in_flight()
        });
        fallen
    }

    fn follow(&mut self, pending: &mut Pending) -> Result<(), Conflict> {
        match (pending.footing, &pending.form) {
            (_, None) if pending.hidden => Ok(()),
            (Footing::Seen, None) => Ok(()),
            (Footing::Seen, Some(form)) => {
                let form = form.clone();
                pending.form = self.carry(form)?;
                Ok(())
            }
            (Footing::Anything, _) => {
                self.reapply(pending);
                Ok(())
            }
        }
    }

    /// Carries a change over the bridge, and the bridge over it.
    fn carry(&mut self, form: AnyChange) -> Result<MaybeChange, Conflict> {
        let (carried, bridge) = self.carried(&form)?;
        let new = self.applied(&self.new, carried.as_ref())?;
        let old = self.applied(&self.old, Some(&form))?;
        // One step leads there by the laws.
        let bridge = match bridge.len() < 2 || self.is_way_from(&old, &bridge) {
            true => bridge,
            false => self.detour(Some(&form), carried.as_ref()),
        };
        (self.old, self.new, self.bridge) = (old, new, bridge);
        Ok(carried)
    }

    fn carried(&self, form: &AnyChange) -> Result<(MaybeChange, Vec<AnyChange>), Conflict> {
        let mut carried = Some(form.clone());
        let mut bridge = Vec::with_capacity(self.bridge.len());
        for step in &self.bridge {
            bridge.extend(carry_one(self.kind, &mut carried, Some(step.clone()))?);
        }
        Ok((carried, bridge))
    }

    fn applied(&self, to: &AnyValue, change: Option<&AnyChange>) -> Result<AnyValue, Conflict> {
        let mut value = to.clone();
        match change.map(|change| self.kind.apply(&mut value, change)) {
            None | Some(Ok(())) => Ok(value),
            Some(Err(invalid)) => Err(Conflict::Other(invalid.to_string())),
        }
    }

    /// Applies a change that stands on anything to the new ground.
    fn reapply(&mut self, pending: &mut Pending) {
        let resolved = self.kind.resolve(pending.made.clone(), &self.new).ok();
        let after =
            resolved.and_then(|form| Some((self.applied(&self.new, Some(&form)).ok()?, form)));
        let (new, form) = match after {
            Some((new, form)) => (new, Some(form)),
            None => (self.new.clone(), None),
        };
        let was = std::mem::replace(&mut pending.form, form);
        let (old, was) = match self.applied(&self.old, was.as_ref()) {
            Ok(old) => (old, was),
            Err(_) => (self.old.clone(), None),
        };
        let bridge = self.bridge_between(was.as_ref(), pending.form.as_ref(), &old, &new);
        (self.old, self.new, self.bridge) = (old, new, bridge);
    }

    /// The bridge behind a change that was `was` on the old ground, giving `old`, and is `form` on
    /// the new ground, giving `new`.
    fn bridge_between(
        &self,
        was: Option<&AnyChange>,
        form: Option<&AnyChange>,
        old: &AnyValue,
        new: &AnyValue,
    ) -> Vec<AnyChange> {
        let kept = was.zip(form).and_then(|(was, form)| {
            let as_newcomer = self.carried(was).ok();
            let found = |(carried, bridge)| (carried == Some(form.clone())).then_some(bridge);
            as_newcomer.and_then(found).or_else(|| self.carried_as_first(was).and_then(found))
        });
        match kept.filter(|bridge| self.is_way_from(old, bridge)) {
            Some(bridge) => bridge,
            None if old == new => Vec::new(),
            None => self.detour(was, form),
        }
    }

    /// Whether a carried bridge can be walked. It cannot where a number would leave its range on the
    /// way, or was kept at the edge.
    fn is_way_from(&self, value: &AnyValue, bridge: &[AnyChange]) -> bool {
        let mut value = value.clone();
        bridge.iter().all(|step| self.kind.apply(&mut value, step).is_ok())
    }

    /// The bridge behind a change, by way of the ground below it: takes back what was on the old one,
    /// and makes what is on the new one.
    fn detour(&self, was: Option<&AnyChange>, form: Option<&AnyChange>) -> Vec<AnyChange> {
        let back = was.and_then(|was| self.kind.invert(was, &self.old));
        let steps = back.into_iter().chain(self.bridge.iter().cloned());
        composed(self.kind, steps.chain(form.cloned()))
    }

    /// As [`carried`](Self::carried), the bridge being the newcomer: what is put at the end of a list
    /// goes behind what others put there.
    fn carried_as_first(&self, form: &AnyChange) -> Option<(MaybeChange, Vec<AnyChange>)> {
        let mut carried = Some(form.clone());
        let mut bridge = Vec::with_capacity(self.bridge.len());
        for step in &self.bridge {
            let mut step = Some(step.clone());
            carried = carry_one(self.kind, &mut step, carried).ok()?;
            bridge.extend(step);
        }
        Some((carried, bridge))
    }

    /// Goes past a change that is not on the new ground by itself any more: it was taken back, or the
    /// bridge has it.
    fn leave(&mut self, pending: &Pending) {
        let Some(form) = &pending.form else { return };
        let Ok(after) = self.applied(&self.old, Some(form)) else { return };
        let before = std::mem::replace(&mut self.old, after);
        let resolved = self.kind.resolve(form.clone(), &before).ok();
        let predicted = matches!(&self.bridge[..], [step] if Some(step) == resolved.as_ref());
        if predicted || self.old == self.new {
            self.bridge.clear();
        } else if let Some(back) = self.kind.invert(form, &before) {
            let steps = std::iter::once(back).chain(self.bridge.drain(..));
            self.bridge = composed(self.kind, steps);
        }
    }
}

/// Carries a run over one published change without looking at values: gives the run's forms, and
/// the change as it changes the view. `None` if that cannot be: then a [`Walk`] is needed.
pub(super) fn carry_all(
    kind: TypeRef,
    run: &[Pending],
    published: &AnyChange,
) -> Option<(Vec<MaybeChange>, MaybeChange)> {
    let mut accepted = Some(published.clone());
    let mut forms = Vec::with_capacity(run.len());
    for pending in run {
        let mut form = pending.form.clone();
        accepted = carry_one(kind, &mut form, accepted).ok()?;
        let as_made = form.as_ref() == Some(&pending.made);
        if pending.footing == Footing::Anything && !pending.hidden && !as_made {
            return None;
        }
        forms.push(form);
    }
    Some((forms, accepted))
}
