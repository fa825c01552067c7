//! Pending changes, and how they are rebased when the value below them changes.

use crate::topic::ChangeId;
use crate::types::run::{MaybeChange, push_composed, rebase_one};
use crate::types::{AnyChange, AnyValue, Composed, Conflict, TypeRef};

/// The place of a local action in the order made, over all topics (R12).
pub(super) type Order = u64;

/// The value that a change is meant for (R4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Base {
    /// What its author saw: others' changes carry it along, or reject it.
    #[default]
    Seen,
    /// Whatever is there when it is accepted: it simply wins.
    Latest,
}

/// One change that is not confirmed.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    /// The action that it is of.
    pub order: Order,
    /// Given when it is sent: a change that has one is in flight.
    pub id: Option<ChangeId>,
    pub base: Base,
    /// As it was made. With [`Base::Latest`] it is sent as this.
    pub made: AnyChange,
    /// As it stands in the view, exact; `None` if it does nothing there.
    pub form: MaybeChange,
    /// In flight, and kept out of the view until it is answered.
    pub hidden: bool,
    /// How many changes `form` is composed of.
    pub weight: usize,
    /// What comes behind `form` and is not composed with it yet, each with its weight.
    pub tail: Vec<(AnyChange, usize)>,
}

/// How many changes are composed at once. Those that hold as many wait until there are two of one weight.
const WEIGHT_MIN: usize = 64;

impl Pending {
    pub(super) fn new(order: Order, base: Base, made: AnyChange, form: MaybeChange) -> Pending {
        Pending { order, id: None, base, made, form, hidden: false, weight: 1, tail: Vec::new() }
    }

    /// Takes a change into the tail, where composing each with all before would cost the more the more there
    /// is (R46): a change of a type that composes any two. `false` if it is still cheap to compose it at once.
    pub(super) fn push_tail(&mut self, kind: TypeRef, change: &AnyChange) -> bool {
        let full = self.weight >= WEIGHT_MIN || !self.tail.is_empty();
        if !full || self.base != Base::Seen || !kind.rebases_over_composed() {
            return false;
        }
        let last = self.tail.pop();
        let part = match &last {
            Some((part, weight)) if *weight < WEIGHT_MIN => match kind.compose(part, change) {
                Composed::One(part) => Some((part, weight + 1)),
                Composed::Nothing => None,
                Composed::Separate => {
                    self.tail.extend(last);
                    Some((change.clone(), 1))
                }
            },
            _ => {
                self.tail.extend(last);
                Some((change.clone(), 1))
            }
        };
        self.tail.extend(part);
        // As in a binary counter, so that each change is composed with others log n times.
        while let [.., (first, light), (second, heavy)] = &self.tail[..]
            && *heavy >= WEIGHT_MIN
            && heavy >= light
        {
            let weight = light + heavy;
            let composed = match kind.compose(first, second) {
                Composed::One(composed) => Some((composed, weight)),
                Composed::Nothing => None,
                Composed::Separate => break,
            };
            self.tail.truncate(self.tail.len() - 2);
            self.tail.extend(composed);
        }
        true
    }

    /// Composes the tail with the rest: gives the change as one, or as several in a row if its type is
    /// wrong about itself. There is none if all of it took itself back.
    pub(super) fn composed(mut self, kind: TypeRef) -> Vec<Pending> {
        let tail = std::mem::take(&mut self.tail);
        let mut parts: Vec<AnyChange> = self.form.take().into_iter().collect();
        parts.extend(tail.iter().map(|(part, _)| part.clone()));
        let weight = self.weight + tail.iter().map(|(_, weight)| weight).sum::<usize>();
        // From the light end, so that the heavy parts are walked once.
        let (mut run, mut behind) = (Vec::new(), None);
        while let Some(part) = parts.pop() {
            let Some(next) = behind.take() else {
                behind = Some(part);
                continue;
            };
            behind = match kind.compose(&part, &next) {
                Composed::One(one) => Some(one),
                Composed::Nothing => None,
                Composed::Separate => {
                    run.push(next);
                    Some(part)
                }
            };
        }
        run.extend(behind);
        let one = |form: AnyChange| Pending {
            made: form.clone(),
            form: Some(form),
            weight,
            ..self.clone()
        };
        run.into_iter().rev().map(one).collect()
    }

    pub(super) fn in_flight(&self) -> bool {
        self.id.is_some()
    }

    /// The change to send; `None` if nothing is left to do.
    pub(super) fn to_send(&self) -> MaybeChange {
        match self.base {
            Base::Seen => self.form.clone(),
            Base::Latest => Some(self.made.clone()),
        }
    }
}

/// Changes composed into as few as can be.
fn composed(kind: TypeRef, changes: impl IntoIterator<Item = AnyChange>) -> Vec<AnyChange> {
    let mut run = Vec::new();
    changes.into_iter().for_each(|change| push_composed(kind, &mut run, change));
    run
}

/// Rebases pending changes, one after the other, when the value that they stand on changes from `old` to
/// `new` (R21).
///
/// ```text
///   old · transition = new        holds before each pending change and behind it
/// ```
///
/// Behind the last one `new` is the view, and `transition` is what changed the view.
pub(super) struct BaseChange {
    kind: TypeRef,
    old: AnyValue,
    pub new: AnyValue,
    pub transition: Vec<AnyChange>,
}

impl BaseChange {
    pub(super) fn new(
        kind: TypeRef,
        old: AnyValue,
        new: AnyValue,
        transition: Vec<AnyChange>,
    ) -> BaseChange {
        BaseChange { kind, old, new, transition }
    }

    /// Rebases all of `run`, and takes out of it what `leaves` says. A waiting change that conflicts is
    /// dropped and reported; one in flight is hidden instead, as the server will reject it too.
    pub(super) fn rebase_all(
        &mut self,
        run: &mut Vec<Pending>,
        leaves: impl Fn(&Pending) -> bool,
    ) -> Vec<(Order, Conflict)> {
        let mut dropped = Vec::new();
        run.retain_mut(|pending| {
            if leaves(pending) {
                self.leave(pending);
                return false;
            }
            let Err(conflict) = self.rebase_one(pending) else { return true };
            self.leave(pending);
            (pending.form, pending.hidden) = (None, true);
            if !pending.in_flight() {
                dropped.push((pending.order, conflict));
            }
            pending.in_flight()
        });
        dropped
    }

    fn rebase_one(&mut self, pending: &mut Pending) -> Result<(), Conflict> {
        match (pending.base, &pending.form) {
            (_, None) if pending.hidden => Ok(()),
            (Base::Seen, None) => Ok(()),
            (Base::Seen, Some(form)) => {
                let form = form.clone();
                pending.form = self.rebase(form)?;
                Ok(())
            }
            (Base::Latest, _) => {
                self.make_again(pending);
                Ok(())
            }
        }
    }

    /// Rebases a change over the transition, and the transition over it.
    fn rebase(&mut self, form: AnyChange) -> Result<MaybeChange, Conflict> {
        let (rebased, transition) = self.rebased(&form)?;
        let new = self.applied(&self.new, rebased.as_ref())?;
        let old = self.applied(&self.old, Some(&form))?;
        // A transition of one change applies, by the laws of types.
        let transition = match transition.len() < 2 || self.leads_on(&old, &transition) {
            true => transition,
            false => self.around(Some(&form), rebased.as_ref()),
        };
        (self.old, self.new, self.transition) = (old, new, transition);
        Ok(rebased)
    }

    fn rebased(&self, form: &AnyChange) -> Result<(MaybeChange, Vec<AnyChange>), Conflict> {
        let mut rebased = Some(form.clone());
        let mut transition = Vec::with_capacity(self.transition.len());
        for step in &self.transition {
            transition.extend(rebase_one(self.kind, &mut rebased, Some(step.clone()))?);
        }
        Ok((rebased, transition))
    }

    fn applied(&self, to: &AnyValue, change: Option<&AnyChange>) -> Result<AnyValue, Conflict> {
        let mut value = to.clone();
        match change.map(|change| self.kind.apply(&mut value, change)) {
            None | Some(Ok(())) => Ok(value),
            Some(Err(invalid)) => Err(Conflict::Other(invalid.to_string())),
        }
    }

    /// Makes an overwriting change once more, on the new value.
    fn make_again(&mut self, pending: &mut Pending) {
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
        let transition = self.transition_behind(was.as_ref(), pending.form.as_ref(), &old, &new);
        (self.old, self.new, self.transition) = (old, new, transition);
    }

    /// The transition behind a change that was `was` on the old value, giving `old`, and is `form` on
    /// the new value, giving `new`.
    fn transition_behind(
        &self,
        was: Option<&AnyChange>,
        form: Option<&AnyChange>,
        old: &AnyValue,
        new: &AnyValue,
    ) -> Vec<AnyChange> {
        let kept = was.zip(form).and_then(|(was, form)| {
            let as_newcomer = self.rebased(was).ok();
            let found =
                |(rebased, transition)| (rebased == Some(form.clone())).then_some(transition);
            as_newcomer.and_then(found).or_else(|| self.rebased_as_first(was).and_then(found))
        });
        match kept.filter(|transition| self.leads_on(old, transition)) {
            Some(transition) => transition,
            None if old == new => Vec::new(),
            None => self.around(was, form),
        }
    }

    /// Whether a rebased transition applies to `value`. It does not where a number would leave its range
    /// on the way, or was kept at the edge.
    fn leads_on(&self, value: &AnyValue, transition: &[AnyChange]) -> bool {
        let mut value = value.clone();
        transition.iter().all(|step| self.kind.apply(&mut value, step).is_ok())
    }

    /// The transition behind a change, by way of the value before it: takes back what the change was on the old
    /// value, and makes what it is on the new one.
    fn around(&self, was: Option<&AnyChange>, form: Option<&AnyChange>) -> Vec<AnyChange> {
        let back = was.and_then(|was| self.kind.invert(was, &self.old));
        let steps = back.into_iter().chain(self.transition.iter().cloned());
        composed(self.kind, steps.chain(form.cloned()))
    }

    /// As [`rebased`](Self::rebased), the transition being the newcomer: what is put at the end of a list
    /// goes behind what others put there.
    fn rebased_as_first(&self, form: &AnyChange) -> Option<(MaybeChange, Vec<AnyChange>)> {
        let mut rebased = Some(form.clone());
        let mut transition = Vec::with_capacity(self.transition.len());
        for step in &self.transition {
            let mut step = Some(step.clone());
            rebased = rebase_one(self.kind, &mut step, rebased).ok()?;
            transition.extend(step);
        }
        Some((rebased, transition))
    }

    /// Goes past a change that is not made on the new value any more: it was taken back, or the
    /// transition has it.
    fn leave(&mut self, pending: &Pending) {
        let Some(form) = &pending.form else { return };
        let Ok(after) = self.applied(&self.old, Some(form)) else { return };
        let before = std::mem::replace(&mut self.old, after);
        let resolved = self.kind.resolve(form.clone(), &before).ok();
        let predicted = matches!(&self.transition[..], [step] if Some(step) == resolved.as_ref());
        if predicted || self.old == self.new {
            self.transition.clear();
        } else if let Some(back) = self.kind.invert(form, &before) {
            let steps = std::iter::once(back).chain(self.transition.drain(..));
            self.transition = composed(self.kind, steps);
        }
    }
}

/// Rebases a run over one published change without looking at values: gives the run's forms, and
/// the change as it changes the view. `None` if that cannot be: then a [`BaseChange`] is needed.
pub(super) fn rebase_run(
    kind: TypeRef,
    run: &[Pending],
    published: &AnyChange,
) -> Option<(Vec<MaybeChange>, MaybeChange)> {
    let mut accepted = Some(published.clone());
    let mut forms = Vec::with_capacity(run.len());
    for pending in run {
        let mut form = pending.form.clone();
        accepted = rebase_one(kind, &mut form, accepted).ok()?;
        let as_made = form.as_ref() == Some(&pending.made);
        if pending.base == Base::Latest && !pending.hidden && !as_made {
            return None;
        }
        forms.push(form);
    }
    Some((forms, accepted))
}
