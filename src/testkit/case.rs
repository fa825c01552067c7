//! One case of a law of types: a value, and changes made on it.

use std::fmt::{self, Debug};
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::broken::Found;
use super::cases::{Cases, Source};
use super::checks;
use super::law::Law;
use super::{quiet, simpler};
use crate::types::run::MaybeChange;
use crate::types::{AnyChange, AnyValue, TopicType, TypeRef};

/// A value, and what two sides made of it: the one whose changes were accepted first, and the newcomer.
pub(super) struct Case<T: TopicType> {
    pub start: T::Value,
    /// In a row, each made on what the one before leaves.
    pub changes: Vec<T::Change>,
    /// In a row too, on the start, accepted before those.
    pub accepted: Vec<T::Change>,
}

impl<T: TopicType> Clone for Case<T> {
    fn clone(&self) -> Case<T> {
        let (changes, accepted) = (self.changes.clone(), self.accepted.clone());
        Case { start: self.start.clone(), changes, accepted }
    }
}

impl<T: TopicType> PartialEq for Case<T> {
    fn eq(&self, other: &Case<T>) -> bool {
        let parts = |it: &Case<T>| (it.start.clone(), it.changes.clone(), it.accepted.clone());
        parts(self) == parts(other)
    }
}

impl<T: TopicType> Debug for Case<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (&self.start, &self.changes, &self.accepted).fmt(f)
    }
}

/// What a case of a law is made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    /// How many changes there are at most.
    pub changes: usize,
    /// How many were accepted meanwhile at most.
    pub accepted: usize,
    /// The changes need not fit.
    pub wild: bool,
    /// The changes are exact: they can be made on a base.
    pub exact: bool,
}

impl Law {
    pub(super) fn shape(self) -> Shape {
        let shape = |changes, accepted, exact| Shape { changes, accepted, wild: false, exact };
        match self {
            Law::AFailedApplyLeavesTheValue => Shape { wild: true, ..shape(1, 0, false) },
            Law::RebaseIsTotal => Shape { wild: true, ..shape(1, 1, false) },
            Law::TheSquareCloses => shape(1, 1, true),
            Law::ComposeAgrees => shape(2, 0, false),
            Law::EveryEncodingRoundTrips => shape(1, 1, false),
            Law::RebasingOverACompositionIsOverItsParts => shape(1, 2, true),
            Law::TheSquareOfARunCloses => shape(3, 3, true),
            Law::TheRestOfARunCloses => shape(4, 1, true),
            Law::AChangeCanBeTakenBack => shape(4, 0, true),
            Law::ComposingAListAgrees => shape(9, 0, false),
            Law::DifferencesLeadThere => shape(4, 0, false),
            _ => shape(1, 0, false),
        }
    }
}

impl<T: TopicType> Case<T> {
    /// A case of this shape. Sometimes it has fewer changes.
    pub(super) fn made(cases: &Cases<T>, shape: Shape, source: &mut Source) -> Case<T> {
        let start = source.make(&cases.value);
        let mut side = |max: usize| {
            let count = if max > 2 { 1 + source.number() as usize % max } else { max };
            let mut value = start.clone();
            let mut changes = Vec::with_capacity(count);
            for _ in 0..count {
                let change = match shape.wild && source.number().is_multiple_of(2) {
                    true => source.wild(cases),
                    false => match source.fitting(cases, &value) {
                        Some(change) if shape.exact => exact::<T>(change, &value),
                        Some(change) => change,
                        None => break,
                    },
                };
                let _ = T::apply(&mut value, &change);
                changes.push(change);
            }
            changes
        };
        let (changes, accepted) = (side(shape.changes), side(shape.accepted));
        Case { start, changes, accepted }
    }

    /// Whether the case is one of this shape: a shortened one need not be.
    pub(super) fn fits(&self, shape: Shape) -> bool {
        let side = |changes: &[T::Change], max: usize| {
            let mut value = self.start.clone();
            let each = |change| {
                let exact = !shape.exact || T::takes_base(change);
                exact && (T::apply(&mut value, change).is_ok() || shape.wild)
            };
            changes.len() <= max && changes.iter().all(each)
        };
        side(&self.changes, shape.changes) && side(&self.accepted, shape.accepted)
    }

    /// What a law has to say of this case: `false` if nothing, and how it is broken.
    pub(super) fn check(&self, law: Law) -> Result<bool, String> {
        let checked = quiet::quietly(|| catch_unwind(AssertUnwindSafe(|| self.say(law))));
        checked.unwrap_or_else(|panic| Err(format!("a panic: {}", quiet::text(&panic))))
    }

    fn say(&self, law: Law) -> Result<bool, String> {
        let Case { start, changes, accepted } = self;
        let always = |checked: Found| checked.map(|()| true);
        let (kind, any) = (TypeRef::of::<T>(), || AnyValue::new::<T>(start.clone()));
        match (law, &changes[..], &accepted[..]) {
            (Law::TheSquareOfARunCloses, ..) => {
                checks::run_square_closes(kind, &any(), &run::<T>(changes), &run::<T>(accepted))
            }
            (Law::TheRestOfARunCloses, run_changes, [accepted]) => {
                let accepted = Some(AnyChange::new::<T>(accepted.clone()));
                let run = run::<T>(run_changes);
                always(checks::rest_of_run_closes(kind, &any(), &run, &accepted).map(drop))
            }
            (Law::AChangeCanBeTakenBack, [first, rest @ ..], _) => {
                always(checks::can_be_taken_back::<T>(start, first, &run::<T>(rest)))
            }
            (Law::ComposingAListAgrees, ..) => {
                let changes: Vec<AnyChange> =
                    changes.iter().cloned().map(AnyChange::new::<T>).collect();
                always(checks::composing_all_agrees(kind, &any(), &changes))
            }
            (Law::DifferencesLeadThere, ..) => checks::differences_lead_there::<T>(start, changes),
            (Law::ComposeAgrees, [first, second], _) => {
                checks::compose_agrees::<T>(start, first, second)
            }
            (Law::RebasingOverACompositionIsOverItsParts, [incoming], [first, second]) => {
                match T::REBASES_OVER_COMPOSED {
                    true => checks::rebases_over_composed::<T>(start, incoming, first, second),
                    false => Ok(false),
                }
            }
            (Law::RebaseIsTotal, [incoming], [accepted]) => {
                always(checks::rebase_is_total::<T>(incoming, accepted))
            }
            (Law::TheSquareCloses, [incoming], [accepted]) => {
                checks::square_closes::<T>(start, incoming, accepted)
            }
            (Law::EveryEncodingRoundTrips, ..) => {
                always(checks::round_trips::<T>(start, changes, accepted))
            }
            (_, [change], _) => match law {
                Law::TheInverseRestores => always(checks::inverse_restores::<T>(start, change)),
                Law::ResolvingKeepsTheEffect => {
                    always(checks::resolving_keeps_the_effect::<T>(start, change))
                }
                Law::WritesAreTrue => always(checks::writes_are_true::<T>(start, change)),
                _ => always(checks::apply_is_a_function::<T>(start, change)),
            },
            _ => Ok(false),
        }
    }

    /// Shorter and simpler cases, the shortest first.
    fn shorter(&self) -> impl Iterator<Item = Case<T>> + '_ {
        let without = |changes: &[T::Change]| simpler::fewer(changes);
        let fewer = without(&self.accepted)
            .into_iter()
            .map(|accepted| Case { accepted, ..self.clone() })
            .chain(
                without(&self.changes).into_iter().map(|changes| Case { changes, ..self.clone() }),
            );
        let starts = simpler::of_value(&T::encode_value(&self.start)).into_iter();
        let starts = starts.filter_map(|it| T::decode_value(&it).ok());
        // As it is, or with each position moved along.
        let starts = starts.flat_map(|start| {
            let less = |changes: &[T::Change]| {
                let less = |it| T::decode_change(&simpler::one_less(&T::encode_change(it)));
                changes.iter().map(less).collect::<Result<Vec<_>, _>>().ok()
            };
            let moved = less(&self.changes).zip(less(&self.accepted));
            let moved =
                moved.map(|(changes, accepted)| Case { start: start.clone(), changes, accepted });
            [Case { start, ..self.clone() }].into_iter().chain(moved)
        });
        let accepted = (0..self.accepted.len()).flat_map(move |index| {
            let simpler = simpler_changes::<T>(&self.accepted[index]);
            simpler.map(move |change| {
                let mut case = self.clone();
                case.accepted[index] = change;
                case
            })
        });
        let changes = (0..self.changes.len()).flat_map(move |index| {
            let simpler = simpler_changes::<T>(&self.changes[index]);
            simpler.map(move |change| {
                let mut case = self.clone();
                case.changes[index] = change;
                case
            })
        });
        fewer.chain(starts).chain(accepted).chain(changes)
    }

    /// The shortest case that breaks the law, found by shortening this one, which does.
    pub(super) fn shortest(self, law: Law) -> Case<T> {
        let (mut case, shape) = (self, law.shape());
        let mut checks_left = CHECKS_MAX;
        loop {
            let mut breaks = |shorter: &Case<T>| {
                checks_left = usize::saturating_sub(checks_left, 1);
                checks_left > 0
                    && *shorter != case
                    && shorter.fits_quietly(shape)
                    && shorter.check(law).is_err()
            };
            let shorter = case.shorter().find(|shorter| breaks(shorter));
            match shorter {
                Some(shorter) => case = shorter,
                None => return case,
            }
        }
    }

    fn fits_quietly(&self, shape: Shape) -> bool {
        let fits = quiet::quietly(|| catch_unwind(AssertUnwindSafe(|| self.fits(shape))));
        fits.unwrap_or(false)
    }
}

/// How many shorter cases are looked at in all.
const CHECKS_MAX: usize = 20_000;

fn simpler_changes<T: TopicType>(change: &T::Change) -> impl Iterator<Item = T::Change> + use<T> {
    let offers = simpler::of_fields(&T::encode_change(change)).into_iter();
    offers.filter_map(|fields| T::decode_change(&fields).ok())
}

fn exact<T: TopicType>(change: T::Change, value: &T::Value) -> T::Change {
    match T::takes_base(&change) {
        true => change,
        false => T::resolve(&change, value).ok().flatten().unwrap_or(change),
    }
}

fn run<T: TopicType>(changes: &[T::Change]) -> Vec<MaybeChange> {
    changes.iter().cloned().map(|change| Some(AnyChange::new::<T>(change))).collect()
}
