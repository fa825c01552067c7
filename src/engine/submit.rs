//! The decision on a change or action: accepted as what, or rejected why.
//!
//! An action is decided under the locks of all its topics, taken in the order of their names. Its
//! changes are rebased as one run a topic, then applied in the order in which they were made; the first
//! that fails fails them all, and every topic gets back the value that it had, which is a pointer.

use std::sync::Arc;

use ecow::eco_format;
use smallvec::SmallVec;

use super::ahead::{self, Ahead};
use super::author::{Author, Done};
use super::cell::{State, TopicCell};
use super::draft::{Cells, ChangeSource, Draft, Drafts, Failure, Guards, Heads, Receipt};
use super::guard::guarded;
use super::policy::{Denied, Operation};
use super::publication::{Item, Part, Publication};
use super::queue::{Accepted, Appended, Asker, OnDurable, Waiting};
use super::{Asked, Decision, Engine, Group, Outcome, Validated, deliver, past};
use crate::topic::ids::Counter;
use crate::topic::{
    ActionId, ActionMark, ChangeId, ClientId, CommitNumber, Delivery, Durability, Entry, Epoch,
    Rejection, Timestamp, TopicName, TopicOptions, Version,
};
use crate::types::{AnyChange, AnyValue, TopicType, TypeRef};
use crate::value::{Fields, Invalid};

/// What an author wants to have accepted: one change, or an action of several.
pub struct Submission {
    /// Set for an action.
    pub action_id: Option<ActionId>,
    /// The changes, in the order made; each sees the effect of those before it.
    pub changes: SmallVec<[Submitted; 1]>,
}

/// One change, as its author made it.
pub struct Submitted {
    /// The name of the topic.
    pub topic: TopicName,
    /// The life of the topic that the author knew.
    pub epoch: Option<Epoch>,
    /// The change.
    pub change: ChangeBody,
    /// The id of the change; without one, the engine makes one.
    pub id: Option<ChangeId>,
    /// The version that the author had seen; `None` for whatever is there.
    pub base: Option<Version>,
}

/// A change that is still to be read, or one that a program made.
pub enum ChangeBody {
    /// The fields of a change as they were sent.
    Fields(Fields),
    /// A change of the topic's type.
    Typed(AnyChange),
    /// A program's change that breaks a limit.
    Malformed(Invalid),
}

impl Submitted {
    /// A change that a program makes, on whatever the value is.
    pub fn typed<T: TopicType>(topic: TopicName, change: T::Change) -> Submitted {
        let change = ChangeBody::Typed(AnyChange::new::<T>(change));
        Submitted { topic, epoch: None, change, id: None, base: None }
    }
}

/// A submission that was sent back, whole, and which of its changes failed.
pub struct Rejected {
    /// What was submitted.
    pub submission: Submission,
    /// Which of the changes failed.
    pub index: usize,
    /// Why.
    pub rejection: Rejection,
    /// The version that the change lost to, if it lost to one; see [`Rejection::against`].
    pub against: Option<Version>,
    /// The head of the failed change's topic, if there is one.
    pub head: Option<Version>,
}

impl From<Denied> for Rejection {
    fn from(denied: Denied) -> Rejection {
        Rejection::Forbidden(denied.reason)
    }
}

impl Engine {
    /// Decides a change or action. If it is accepted, the topics that now have something to publish are
    /// added to `group`.
    ///
    /// A resend of what was accepted before changes nothing: its author is told again.
    ///
    /// # Errors
    /// The first change that fails, and why; nothing happened.
    pub fn submit(
        &self,
        author: &Author,
        submission: Submission,
        group: &mut Group,
    ) -> Result<Receipt, Box<Rejected>> {
        match self.decide(author, &submission, group, &mut None) {
            Ok(receipt) => Ok(receipt),
            Err(failure) => Err(self.rejected(author, submission, failure)),
        }
    }

    /// As [`submit`](Self::submit), and calls `then` once what is accepted is durable, or known never to
    /// be. Its topics in memory alone have nothing to wait for. If the submission is rejected, `then` is
    /// not called.
    ///
    /// # Errors
    /// As [`submit`](Self::submit).
    pub fn submit_then(
        &self,
        author: &Author,
        submission: Submission,
        group: &mut Group,
        then: OnDurable,
    ) -> Result<Receipt, Box<Rejected>> {
        let mut then = Some(then);
        let receipt = match self.decide(author, &submission, group, &mut then) {
            Ok(receipt) => receipt,
            Err(failure) => return Err(self.rejected(author, submission, failure)),
        };
        // Nobody took it along: nothing of it has to wait for the journal.
        if let Some(then) = then {
            then(Ok(receipt.clone()));
        }
        Ok(receipt)
    }

    /// A submission as it is sent back.
    #[cold]
    fn rejected(
        &self,
        author: &Author,
        submission: Submission,
        (index, rejection): Failure,
    ) -> Box<Rejected> {
        let topic = submission.changes.get(index).map(|change| &change.topic);
        let head = topic.and_then(|topic| self.get(topic)).map(|cell| cell.head());
        let against = rejection.against();
        self.observe(|observer| {
            let outcome = Outcome::Rejected { index, rejection: &rejection, against };
            let asked = Asked::Submission(&submission);
            observer.decided(&Decision { author, asked, outcome });
        });
        Box::new(Rejected { submission, index, rejection, against, head })
    }

    /// As [`submit`](Self::submit), and publishes at once: for a program that has just this to do.
    ///
    /// # Errors
    /// As [`submit`](Self::submit).
    pub fn submit_now(
        &self,
        author: &Author,
        submission: Submission,
    ) -> Result<Receipt, Box<Rejected>> {
        let mut group = Group::default();
        let result = self.submit(author, submission, &mut group);
        self.publish(&mut group);
        result
    }

    /// Takes the entries of `gone`, whose session is over, out of all presence topics, in `author`'s
    /// name.
    pub fn leave(&self, gone: &Author, author: &Author, group: &mut Group) {
        for cell in gone.take_presence() {
            let Some(change) = cell.kind().removal(&cell.snapshot().value, &gone.id().to_string())
            else {
                continue;
            };
            let topic = cell.name().clone();
            let change = ChangeBody::Typed(change);
            let change = Submitted { topic, epoch: None, change, id: None, base: None };
            let changes = SmallVec::from_iter([change]);
            // Should the entry be gone by now, that is what was wanted.
            let _ = self.submit(author, Submission { action_id: None, changes }, group);
        }
    }

    /// Publishes what was accepted on other topics than that of a new submission: what somebody makes on
    /// several topics is published in the order made, and what is made on one topic goes out together.
    fn keep_order(&self, cells: &Cells, group: &mut Group) {
        let Some(last) = group.0.last() else { return };
        if cells.len() > 1 || !Arc::ptr_eq(last, &cells[0]) {
            self.publish(group);
        }
    }

    fn decide(
        &self,
        author: &Author,
        submission: &Submission,
        group: &mut Group,
        then: &mut Option<OnDurable>,
    ) -> Result<Receipt, Failure> {
        self.restore_undo(author);
        let (cells, mut drafts) = self.draft(author, submission)?;
        self.keep_order(&cells, group);
        let asked = Asked::Submission(submission);
        let mut ahead: Option<Box<Ahead>> = None;
        // What takes long is done without the locks, as often as it takes until the rest is short.
        let mut guards = loop {
            let mut guards: Guards = cells.iter().map(|cell| cell.lock()).collect();
            self.check_journal(&cells, &drafts)?;
            if let Some(index) = drafts.iter().position(|draft| guards[draft.slot].is_removed()) {
                let topic = submission.changes[index].topic.clone();
                return Err((index, Rejection::UnknownTopic(topic)));
            }
            match confirm_again(author, &cells, &mut guards, &drafts, ahead.as_deref())? {
                Known::No => {}
                Known::Confirmed(receipt) => {
                    let outcome = Outcome::Known(&receipt);
                    self.observe(|it| it.decided(&Decision { author, asked, outcome }));
                    // Should it not be durable yet, that is known once all is that was accepted by now.
                    let settled = |(draft, version): (&Draft, &Version)| {
                        *version <= guards[draft.slot].settled()
                    };
                    let all_settled = drafts.iter().zip(&receipt.versions).all(settled);
                    drop(guards);
                    if let Some(then) = then.take_if(|_| !all_settled) {
                        let asker = Asker { receipt: receipt.clone(), then };
                        self.after_commit(asker.into_then());
                    }
                    return Ok(receipt);
                }
                Known::InJournal(slot, version) => {
                    drop(guards);
                    let entry = read_entry(&cells[slot], version)?;
                    ahead.get_or_insert_default().older.push((slot, entry));
                    continue;
                }
            }
            check(author, &cells, submission, &drafts)?;
            if ahead::rebase_locked(&mut ahead, &cells, &guards, &mut drafts)? {
                break guards;
            }
            drop(guards);
            ahead.get_or_insert_default().rebase(&cells, &drafts)?;
        };
        self.apply(author, &cells, &mut guards, &mut drafts)?;
        let mark = |id: &ActionId| Arc::new(ActionMark { id: id.clone(), reverses: None });
        let action = submission.action_id.as_ref().map(mark);
        let original = match &submission.action_id {
            Some(id) => id.clone(),
            None => drafts[0].id.clone().into(),
        };
        let receipt = self.append(author, asked, action, &cells, guards, drafts, group, then);
        note_done(author, receipt.commit, original, &cells);
        Ok(receipt)
    }

    /// Turns away what could not be made durable.
    fn check_journal(&self, cells: &Cells, drafts: &Drafts) -> Result<(), Failure> {
        let waits_for_journal = || cells.iter().any(|cell| cell.is_journalled());
        if self.queue.is_down() && waits_for_journal() {
            if drafts.iter().any(|draft| self.is_failing(&draft.id)) {
                return Err((0, Rejection::Busy));
            }
            let reason = self.queue.down_reason().unwrap_or_default();
            return Err((0, Rejection::Unavailable(reason)));
        }
        match self.queue.is_full() && waits_for_journal() {
            true => Err((0, Rejection::Busy)),
            false => Ok(()),
        }
    }

    /// Reads every change and finds its topic, before anything is locked.
    pub(super) fn draft(
        &self,
        author: &Author,
        submission: &Submission,
    ) -> Result<(Cells, Drafts), Failure> {
        let changes = &submission.changes;
        if changes.is_empty() {
            return Err((0, Rejection::EmptyAction));
        }
        let mut cells: Cells = SmallVec::with_capacity(changes.len());
        let mut drafts: Drafts = SmallVec::with_capacity(changes.len());
        for (index, submitted) in changes.iter().enumerate() {
            let cell = match self.find(&submitted.topic) {
                Ok(Some(cell)) => cell,
                Ok(None) => {
                    return Err((index, Rejection::UnknownTopic(submitted.topic.clone())));
                }
                Err(error) => return Err((index, Rejection::Unavailable(error.to_string()))),
            };
            let read = self.read(author, submitted, &cell);
            let (change, id) = read.map_err(|why| (index, why))?;
            drafts.push(Draft { slot: index, change: Some(change), id, base: submitted.base });
            cells.push(cell);
        }
        if changes.len() > 1 {
            check_ids(&drafts)?;
            let of_change = cells.clone();
            cells.sort_by(|a, b| a.name().cmp(b.name()));
            cells.dedup_by(|a, b| Arc::ptr_eq(a, b));
            for (draft, cell) in drafts.iter_mut().zip(&of_change) {
                draft.slot = cells.partition_point(|it| it.name() < cell.name());
            }
        }
        Ok((cells, drafts))
    }

    /// Reads one change of `author`'s, and its id.
    fn read(
        &self,
        author: &Author,
        submitted: &Submitted,
        cell: &Arc<TopicCell>,
    ) -> Result<(AnyChange, ChangeId), Rejection> {
        let id = match &submitted.id {
            None => author.fresh_id(),
            Some(id) => match id.counter_of(author.id()) {
                None => {
                    let reason = "the id is not under the session's client id";
                    return Err(Rejection::Forbidden(reason.into()));
                }
                // The server makes such ids for changes that come without one.
                Some(Counter::OfServer) if author.id() != ClientId::SERVER => {
                    let reason = eco_format!("the id {id} is of a form that the server makes");
                    return Err(Rejection::Forbidden(reason));
                }
                Some(_) => id.clone(),
            },
        };
        let kind = cell.kind();
        let change = match &submitted.change {
            ChangeBody::Typed(change) => change.clone(),
            ChangeBody::Fields(fields) => match guarded(kind, || kind.decode_change(fields))? {
                Ok(change) => change,
                Err(invalid) => return Err(self.unreadable(author, cell, invalid)),
            },
            ChangeBody::Malformed(invalid) => {
                return Err(self.unreadable(author, cell, invalid.clone()));
            }
        };
        if submitted.base.is_some() && !kind.takes_base(&change) {
            return Err(self.unreadable(author, cell, Invalid::EndWithBase));
        }
        let operation = Operation::Change { topic: cell, change: Some(&change) };
        self.authorize(author.principal(), &operation)?;
        if cell.options().presence && author.id() != ClientId::SERVER {
            author.note_presence(cell);
        }
        Ok((change, id))
    }

    /// Why a change that cannot be read is rejected. Who may not change the topic is told that, whatever else
    /// is wrong with the change.
    #[cold]
    fn unreadable(&self, author: &Author, cell: &TopicCell, invalid: Invalid) -> Rejection {
        let operation = Operation::Change { topic: cell, change: None };
        match self.authorize(author.principal(), &operation) {
            Ok(()) => invalid.into(),
            Err(denied) => denied.into(),
        }
    }

    /// Applies the changes in order and has them validated. If one fails, every topic is as it was.
    pub(super) fn apply(
        &self,
        author: &Author,
        cells: &Cells,
        guards: &mut Guards<'_>,
        drafts: &mut Drafts,
    ) -> Result<(), Failure> {
        // A lone change that fails to apply has left the value as it was. A pointer kept for nothing
        // would make the value shared, and every change copy its path.
        let may_roll_back = drafts.len() > 1 || !self.config.validators.is_empty();
        let before: SmallVec<[AnyValue; 1]> = match may_roll_back {
            true => guards.iter().map(|state| state.topic.value().clone()).collect(),
            false => SmallVec::new(),
        };
        for (index, draft) in drafts.iter_mut().enumerate() {
            let (cell, state) = (&cells[draft.slot], &mut guards[draft.slot]);
            let slot = draft.slot;
            let applied =
                guarded(cell.kind(), || self.apply_one(author, cell, state, draft)).flatten();
            let Err(rejection) = applied else { continue };
            if before.is_empty() && matches!(rejection, Rejection::Panicked { .. }) {
                // It may be half applied, and nobody has kept the value before it.
                guards[slot].topic.rebuild();
            }
            for (state, value) in guards.iter_mut().zip(before) {
                state.topic.restore(value);
            }
            return Err((index, rejection));
        }
        Ok(())
    }

    /// Applies one change and has it validated. If a validator refuses, the value stays changed: it is
    /// for the caller to put back.
    pub(super) fn apply_one(
        &self,
        author: &Author,
        cell: &TopicCell,
        state: &mut State,
        draft: &mut Draft,
    ) -> Result<(), Rejection> {
        let Some(change) = draft.change.take() else { return Ok(()) };
        let head = state.topic.head();
        let change = state.topic.apply(change).map_err(|invalid| match draft.base {
            Some(base) if base < head => Rejection::NoLongerFits { invalid, head },
            _ => Rejection::Invalid(invalid),
        })?;
        for validator in &self.config.validators {
            let (principal, value) = (author.principal(), state.topic.value());
            let validated = Validated { principal, topic: cell, value, change: &change };
            validator(&validated).map_err(Rejection::Refused)?;
        }
        draft.change = Some(change);
        Ok(())
    }

    /// Appends what was applied to the logs, and sees to its being made durable and published.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn append(
        &self,
        author: &Author,
        asked: Asked<'_>,
        action: Option<Arc<ActionMark>>,
        cells: &Cells,
        mut guards: Guards<'_>,
        drafts: Drafts,
        group: &mut Group,
        then: &mut Option<OnDurable>,
    ) -> Receipt {
        let before: Heads = guards.iter().map(|state| state.topic.head()).collect();
        let newest = guards.iter().map(|state| state.topic.log().time()).max().unwrap_or_default();
        // Timestamps stay monotonic when the wall clock goes back.
        let (commit, time) = (self.next_commit(), self.config.clock.wall().max(newest));
        let mut receipt = Receipt { commit, versions: SmallVec::with_capacity(drafts.len()) };
        let mut parts: SmallVec<[Part; 1]> = SmallVec::with_capacity(drafts.len());
        for Draft { slot, change, id, .. } in drafts {
            let state = &mut guards[slot];
            let version = state.topic.head().next();
            let (author, action) = (author.id(), action.clone());
            let entry = Entry { version, commit, change, author, id, action, time };
            parts.push(Part::of_entry(&cells[slot], &entry));
            receipt.versions.push(version);
            state.topic.push_one_of(entry);
        }
        for (cell, state) in cells.iter().zip(&mut guards) {
            state.topic.keep_checkpoint();
            self.bound_log(cell, state, time);
        }
        let item = Item { commit, author: Some(author.id()), action, parts, composed: None };
        self.observe(|observer| {
            let outcome = Outcome::Accepted(&item);
            observer.decided(&Decision { author, asked, outcome });
        });
        let source = ChangeSource::of(author);
        self.enqueue_commit(source, cells, &mut guards, before, item, group, (&receipt, then));
        receipt
    }

    /// Lets go of what need not, or no longer, be in memory.
    fn bound_log(&self, cell: &TopicCell, state: &mut State, now: Timestamp) {
        if cell.is_journalled() {
            let durable = state.durable.min(state.published);
            return state.topic.evict_prefix(durable, self.resend.forgotten());
        }
        let oldest = state.topic.oldest_kept(cell.options(), now, self.resend.forgotten());
        state.topic.trim(oldest.min(state.published));
        state.oldest = state.topic.log().base();
    }

    #[allow(clippy::too_many_arguments)]
    /// Has an accepted submission made durable, where its topics ask for that, and published: now, or
    /// once it is durable.
    fn enqueue_commit(
        &self,
        source: ChangeSource,
        cells: &Cells,
        guards: &mut Guards<'_>,
        before: Heads,
        item: Item,
        group: &mut Group,
        (receipt, then): (&Receipt, &mut Option<OnDurable>),
    ) {
        // What comes behind something that waits, waits with it.
        let waits = cells
            .iter()
            .zip(guards.iter())
            .any(|(cell, state)| cell.durability() == Durability::Commit || state.deferred > 0);
        let appended = appended(cells, guards, &before);
        let deferred = match waits {
            true => {
                guards.iter_mut().for_each(|state| state.deferred += 1);
                Some((source, item))
            }
            false => {
                deliver::queue(&source, cells, guards, item, group);
                None
            }
        };
        if waits || !appended.is_empty() {
            let cells = cells.clone();
            let asker = then.take().map(|then| Box::new(Asker { receipt: receipt.clone(), then }));
            let accepted = Accepted { cells, before, appended, deferred, asker };
            self.queue.push(Waiting::Accepted(accepted));
        }
    }
}

/// What a submission appended to each log that is in the journal, and the checkpoints that are due.
fn appended(cells: &Cells, guards: &mut Guards<'_>, before: &Heads) -> SmallVec<[Appended; 1]> {
    let mut appended = SmallVec::new();
    for (slot, (cell, state)) in cells.iter().zip(guards.iter_mut()).enumerate() {
        let (head, after) = (state.topic.head(), before[slot]);
        if !cell.is_journalled() || head == after {
            continue;
        }
        let entries = state.topic.log().after(after).cloned().collect();
        let is_due = head.0 >= state.checkpointed.0 + state.checkpoint_every;
        let checkpoint = is_due.then(|| {
            state.checkpointed = head;
            state.topic.value().clone()
        });
        appended.push(Appended { slot, entries, checkpoint });
    }
    appended
}

/// In an action, each id stands once.
fn check_ids(drafts: &Drafts) -> Result<(), Failure> {
    let mut seen = std::collections::HashSet::with_capacity(drafts.len());
    match drafts.iter().position(|draft| !seen.insert(&draft.id)) {
        Some(index) => Err((index, Rejection::IdTwice(drafts[index].id.clone()))),
        None => Ok(()),
    }
}

/// Whether changes were accepted before, under the same ids.
enum Known {
    No,
    /// They were, and their author was told again.
    Confirmed(Receipt),
    /// The entry of a topic's version tells, which is to be read from the journal.
    InJournal(usize, Version),
}

/// If the changes were accepted before under the same ids, tells their author again.
fn confirm_again(
    author: &Author,
    cells: &Cells,
    guards: &mut Guards<'_>,
    drafts: &Drafts,
    ahead: Option<&Ahead>,
) -> Result<Known, Failure> {
    let find = |draft: &Draft| Some((draft.slot, guards[draft.slot].version_of(&draft.id)?));
    if let [draft] = &drafts[..]
        && find(draft).is_none()
    {
        return Ok(Known::No);
    }
    let known: SmallVec<[(usize, Version); 1]> = drafts.iter().filter_map(find).collect();
    if known.is_empty() {
        return Ok(Known::No);
    }
    if known.len() < drafts.len() {
        return Err((0, Rejection::PartlyKnown));
    }
    let mut entries: SmallVec<[Entry; 1]> = SmallVec::with_capacity(known.len());
    for (slot, version) in &known {
        let here = guards[*slot].topic.log().entry(*version);
        match here.or_else(|| ahead?.older(*slot, *version)) {
            Some(entry) => entries.push(entry.clone()),
            None => return Ok(Known::InJournal(*slot, *version)),
        }
    }
    if entries.iter().any(|entry| entry.commit != entries[0].commit) {
        return Err((0, Rejection::PartlyKnown));
    }
    let parts = known.iter().zip(&entries);
    let item = Item {
        commit: entries[0].commit,
        author: Some(author.id()),
        action: entries[0].action.clone(),
        parts: parts.map(|((slot, _), entry)| Part::of_entry(&cells[*slot], entry)).collect(),
        composed: None,
    };
    let versions = known.iter().map(|(_, version)| *version).collect();
    let receipt = Receipt { commit: item.commit, versions };
    // What goes before it, goes out before it. What waits, for a tick or to be durable, comes with that.
    let mut waits = false;
    for (slot, version) in known {
        let (cell, state) = (&cells[slot], &mut guards[slot]);
        if cell.options().delivery == Delivery::Every {
            state.publish(cell);
        }
        waits |= version > state.published;
    }
    if let Some(origin) = author.origin.as_ref().filter(|_| !waits) {
        origin.confirm(&Publication::new(vec![item]));
    }
    Ok(Known::Confirmed(receipt))
}

/// The entry that made a version which is in the journal alone.
fn read_entry(cell: &TopicCell, version: Version) -> Result<Entry, Failure> {
    let before = Version(version.0.saturating_sub(1));
    let read = past::entries(&*cell.journal, cell.kind(), cell.name(), before, version);
    let entry = read.ok().and_then(|mut entries| entries.pop());
    // It was there when it was evicted.
    entry.ok_or_else(|| (0, Rejection::Unavailable("the journal cannot be read".into())))
}

/// Checks that the changes were made in the topics' present lives, and all of a topic on one base.
fn check(
    author: &Author,
    cells: &Cells,
    submission: &Submission,
    drafts: &Drafts,
) -> Result<(), Failure> {
    debug_assert!(author.id() == ClientId::SERVER || !cells[0].name().is_special());
    for (index, (draft, submitted)) in drafts.iter().zip(&submission.changes).enumerate() {
        let epoch = submitted.epoch.as_ref();
        if epoch.is_some_and(|epoch| epoch != cells[draft.slot].epoch()) {
            let is = cells[draft.slot].epoch().clone();
            let asked = epoch.unwrap_or(&is).clone();
            return Err((index, Rejection::OtherEpoch { asked, is }));
        }
        let mut before = drafts[..index].iter();
        if before.find(|other| other.slot == draft.slot).is_some_and(|it| it.base != draft.base) {
            return Err((index, Rejection::MixedBases));
        }
    }
    Ok(())
}

/// Whether what is done in a topic can be taken back.
pub(super) fn has_undo(kind: TypeRef, options: &TopicOptions) -> bool {
    kind.stateful() && !options.no_history && !options.presence
}

/// Puts an accepted action on its author's undo stack, if it can be taken back.
fn note_done(author: &Author, commit: CommitNumber, original: ActionId, cells: &Cells) {
    let has_undo = |cell: &&Arc<TopicCell>| has_undo(cell.kind(), cell.options());
    let topics: SmallVec<[TopicName; 1]> =
        cells.iter().filter(has_undo).map(|cell| cell.name().clone()).collect();
    if author.id() != ClientId::SERVER && !topics.is_empty() {
        author.did(Done { commit, original, topics });
    }
}
