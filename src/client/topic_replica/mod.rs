//! One topic as one client sees it: what the server has confirmed, then what it has not.

mod snapshot;

use super::pending::{Base, BaseChange, Order, Pending, rebase_run};
use crate::protocol::message::{Since, Subscribe, Subscribed};
use crate::topic::{ChangeId, Epoch, TopicName, TopicOptions, Version};
use crate::types::run::{MaybeChange, compose_all};
use crate::types::{AnyChange, AnyValue, Composed, Conflict, TypeRef};
use crate::value::{Fields, Invalid, Value};

/// How far back a change looks for one of the same key to be composed with.
const COMPOSE_REACH: usize = 1024;

/// Where a subscription stands, on the present connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    /// Not asked for yet. The flag says whether to continue from the version that is here.
    Unasked {
        continue_here: bool,
    },
    Asked,
    /// `subscribed` came, and the whole value is next.
    Snapshot,
    /// Every version comes, in order.
    Live,
}

/// One topic's replica.
///
/// ```text
///   view = confirmed · in flight · waiting      (R1)
/// ```
///
/// Changes in flight come first in `pending`, and belong to one batch (R6). What waits is relative to
/// them: each change is made on the value that the one before leaves.
#[derive(Debug)]
pub struct TopicReplica {
    pub(super) kind: TypeRef,
    pub(super) options: TopicOptions,
    pub(super) link: Link,
    /// Names one life of the topic; `None` before the first `subscribed`.
    pub(super) epoch: Option<Epoch>,
    /// The last version received.
    version: Version,
    /// The head when the subscription began: from there on nothing is missing.
    pub(super) head: Version,
    /// Whether a first value was received.
    ready: bool,
    /// The value at `version`.
    confirmed: AnyValue,
    view: AnyValue,
    pub(super) pending: Vec<Pending>,
    /// Whether any of `pending` has a tail.
    has_tails: bool,
    /// To be unsubscribed once nothing is pending.
    pub(super) closing: bool,
    /// This client's entry in a presence topic, as the program wants it.
    pub(super) presence: Option<Value>,
}

/// What a published change is, to one topic.
pub(super) struct News<'a> {
    pub version: Version,
    /// The version before the first of several.
    pub since: Option<Version>,
    pub snapshot: bool,
    pub fields: Fields,
    /// Those that are this client's own.
    pub ids: &'a [ChangeId],
}

/// How a view moved.
#[derive(Debug, Default)]
pub(super) struct Moved {
    /// From the view as it was to the view as it is.
    pub changes: Vec<AnyChange>,
    /// The view is to be taken as a whole, `changes` being unknown.
    pub whole: bool,
    /// Actions of which a waiting change conflicts, and why.
    pub dropped: Vec<(Order, Conflict)>,
}

/// What became of published news.
pub(super) enum Taken {
    Moved(Moved),
    /// It was known, or cannot be taken now.
    Known,
    /// Versions are missing before it.
    Gap,
}

impl TopicReplica {
    pub(super) fn new(kind: TypeRef, options: TopicOptions) -> TopicReplica {
        TopicReplica {
            kind,
            options,
            link: Link::Unasked { continue_here: true },
            epoch: None,
            version: Version(0),
            head: Version(0),
            ready: false,
            confirmed: kind.initial(),
            view: kind.initial(),
            pending: Vec::new(),
            has_tails: false,
            closing: false,
            presence: None,
        }
    }

    /// The topic's type.
    pub fn kind(&self) -> TypeRef {
        self.kind
    }

    /// The topic's present life; `None` before the first `subscribed`.
    pub fn epoch(&self) -> Option<&Epoch> {
        self.epoch.as_ref()
    }

    /// The last version received.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The value at [`version`](Self::version), without what is pending.
    pub fn confirmed(&self) -> &AnyValue {
        &self.confirmed
    }

    /// The value as the program sees it: confirmed and pending.
    pub fn view(&self) -> &AnyValue {
        &self.view
    }

    /// Whether the topic's value has been received once. Before, it is the type's initial one.
    pub fn is_ready(&self) -> bool {
        self.ready
    }

    /// How many changes are not confirmed.
    pub fn pending_len(&self) -> usize {
        self.pending.len()
    }

    pub(super) fn subscribe(&mut self, topic_name: &TopicName) -> Subscribe {
        let since = match (self.link, &self.epoch) {
            (Link::Unasked { continue_here: true }, Some(epoch)) if self.ready => {
                Some(Since { epoch: epoch.clone(), version: self.version })
            }
            _ => None,
        };
        self.link = Link::Asked;
        let options = self.options.encode();
        Subscribe {
            topic_name: topic_name.clone(),
            topic_type: Some(self.kind.name().into()),
            options: (!options.is_empty()).then_some(Value::Dict(options)),
            since,
        }
    }

    /// Takes up a subscription of the life that is known, or of the first one.
    pub(super) fn subscribed(&mut self, subscribed: &Subscribed) {
        self.epoch = Some(subscribed.epoch.clone());
        self.head = subscribed.version;
        self.link = match subscribed.since {
            Some(_) if self.ready => Link::Live,
            _ if !self.kind.stateful() => {
                (self.version, self.ready) = (subscribed.version, true);
                Link::Live
            }
            _ => Link::Snapshot,
        };
    }

    /// Forgets all but what was asked for: the topic has a new life.
    pub(super) fn start_afresh(&mut self) {
        let presence = self.presence.take();
        let (closing, link) = (self.closing, self.link);
        *self = TopicReplica::new(self.kind, self.options.clone());
        (self.presence, self.closing, self.link) = (presence, closing, link);
    }

    /// Whether everything up to the head that the subscription began with was received.
    pub(super) fn caught_up(&self) -> bool {
        self.link == Link::Live && self.version >= self.head
    }

    /// Appends a local change that was made on the view and gives `view`. It is composed with an earlier
    /// one where that can be and `may_join` agrees (R7). Gives the action that it became part of, if that is
    /// an earlier one.
    pub(super) fn push(
        &mut self,
        pending: Pending,
        view: AnyValue,
        may_join: impl FnMut(Order) -> bool,
    ) -> Option<Order> {
        self.view = view;
        let joined = self.join(&pending, may_join);
        if joined.is_none() {
            self.pending.push(pending);
        }
        joined
    }

    /// Composes a change with a waiting one: the last, or the last of the same key if all between
    /// are of other keys, as those do not touch each other.
    fn join(&mut self, new: &Pending, mut may_join: impl FnMut(Order) -> bool) -> Option<Order> {
        let key = self.kind.key(&new.made);
        let last = self.pending.len().checked_sub(1)?;
        for index in (0..=last).rev().take(COMPOSE_REACH) {
            let earlier = &self.pending[index];
            let fits = !earlier.in_flight() && earlier.base == new.base;
            let form = earlier.form.as_ref().filter(|_| fits)?;
            let (order, earlier_key) = (earlier.order, self.kind.key(form));
            let (same_key, beside) = (key.is_some() && earlier_key == key, earlier_key.is_some());
            if key.is_none() && index == last && may_join(order) {
                let (kind, change) = (self.kind, new.form.as_ref()?);
                if self.pending[last].push_tail(kind, change) {
                    self.has_tails = true;
                    return Some(order);
                }
            }
            if same_key || index == last {
                // Asked only of a change that would be composed: the answer takes a look at the queue.
                let composed = self.compose(&self.pending[index], new);
                let composed = composed.filter(|_| may_join(order));
                if composed.is_some() || same_key {
                    return composed.map(|composed| self.put(index, composed));
                }
            }
            if key.is_none() || !beside {
                return None;
            }
        }
        None
    }

    /// What a change and the one that follows it were made as, and what they are in the view, as one.
    fn compose(&self, first: &Pending, second: &Pending) -> Option<Option<(AnyChange, AnyChange)>> {
        let form = self.kind.compose(first.form.as_ref()?, second.form.as_ref()?);
        let made = match first.base {
            Base::Seen => form.clone(),
            Base::Latest => self.kind.compose(&first.made, &second.made),
        };
        match (made, form) {
            (Composed::One(made), Composed::One(form)) => Some(Some((made, form))),
            (Composed::Nothing, Composed::Nothing) => Some(None),
            _ => None,
        }
    }

    fn put(&mut self, index: usize, composed: Option<(AnyChange, AnyChange)>) -> Order {
        let pending = &mut self.pending[index];
        let order = pending.order;
        match composed {
            Some((made, form)) => {
                (pending.made, pending.form) = (made, Some(form));
                pending.weight += 1;
            }
            None => drop(self.pending.remove(index)),
        }
        order
    }

    /// Composes what is pending as far as that was put off (R46).
    pub(super) fn compose_tails(&mut self) {
        if std::mem::take(&mut self.has_tails) {
            let kind = self.kind;
            let pending = std::mem::take(&mut self.pending).into_iter();
            self.pending = pending
                .flat_map(|pending| match pending.tail.is_empty() {
                    true => vec![pending],
                    false => pending.composed(kind),
                })
                .collect();
        }
    }

    /// Takes published news: in version order, each once.
    ///
    /// # Errors
    /// The change cannot be read, or does not fit the confirmed value.
    pub(super) fn take(&mut self, news: News<'_>) -> Result<Taken, Invalid> {
        self.compose_tails();
        let ahead = news.version > self.version;
        match self.link {
            Link::Snapshot if news.snapshot => self.take_snapshot(news),
            Link::Live if news.snapshot && ahead => self.take_snapshot(news),
            Link::Live if ahead && !news.snapshot => self.take_change(news),
            _ if !ahead && news.ids.iter().any(|id| self.holds(id)) => {
                Ok(Taken::Moved(self.remove(|pending| is_one_of(pending, news.ids))))
            }
            _ => Ok(Taken::Known),
        }
    }

    fn take_change(&mut self, news: News<'_>) -> Result<Taken, Invalid> {
        let since = news.since.unwrap_or(Version(news.version.0 - 1));
        if since != self.version {
            return Ok(Taken::Gap);
        }
        let mut confirmed = self.confirmed.clone();
        let mut change = None;
        if news.fields.change_type() != "none" {
            let exact = self.kind.resolve(self.kind.decode_change(&news.fields)?, &confirmed)?;
            self.kind.apply(&mut confirmed, &exact)?;
            change = Some(exact);
        }
        self.version = news.version;
        Ok(Taken::Moved(self.advance(confirmed, change, news.ids)))
    }

    /// Whether published changes are worth composing: something is pending, and its type lets it be rebased over
    /// all of them at once (R47).
    pub(super) fn takes_runs(&self) -> bool {
        self.link == Link::Live && !self.pending.is_empty() && self.kind.rebases_over_composed()
    }

    /// Takes published changes of others in a row, and rebases what is pending over all of them at once. `None`
    /// if one of them is not the next, or does not fit: then nothing was taken.
    pub(super) fn take_run(&mut self, run: &[(Version, &Fields)]) -> Option<Moved> {
        self.compose_tails();
        let (mut version, mut confirmed) = (self.version, self.confirmed.clone());
        let mut changes = Vec::with_capacity(run.len());
        for (next, fields) in run {
            if next.0 != version.0 + 1 {
                return None;
            }
            version = *next;
            if fields.change_type() != "none" {
                let change = self.kind.decode_change(fields).ok()?;
                let exact = self.kind.resolve(change, &confirmed).ok()?;
                self.kind.apply(&mut confirmed, &exact).ok()?;
                changes.push(exact);
            }
        }
        self.version = version;
        let before = std::mem::replace(&mut self.confirmed, confirmed);
        Some(self.change_base(before, compose_all(self.kind, &changes), |_| false))
    }

    fn advance(&mut self, confirmed: AnyValue, change: MaybeChange, ids: &[ChangeId]) -> Moved {
        let moved = match self.as_predicted(&change, ids) {
            true => {
                self.pending.remove(0);
                Some(Vec::new())
            }
            false if ids.iter().any(|id| self.holds(id)) => None,
            false => self.rebase_pending(&confirmed, change.as_ref()),
        };
        let before = std::mem::replace(&mut self.confirmed, confirmed);
        let moved = match moved {
            Some(changes) => Moved { changes, ..Moved::default() },
            None => {
                let transition = change.into_iter().collect();
                self.change_base(before, transition, |it| is_one_of(it, ids))
            }
        };
        if self.pending.is_empty() {
            self.view = self.confirmed.clone();
        }
        moved
    }

    /// Whether a published change is the next one in flight, in just the form that it has in the view.
    fn as_predicted(&self, change: &MaybeChange, ids: &[ChangeId]) -> bool {
        let Some(first) = self.pending.first().filter(|first| is_one_of(first, ids)) else {
            return false;
        };
        let others = ids.iter().filter(|id| self.holds(id)).count() > 1;
        let exact = first.form.clone().map(|form| self.kind.resolve(form, &self.confirmed));
        !others && exact.transpose().is_ok_and(|form| form == *change)
    }

    /// Rebases what is pending over another's change, where that is all there is to do.
    fn rebase_pending(
        &mut self,
        confirmed: &AnyValue,
        change: Option<&AnyChange>,
    ) -> Option<Vec<AnyChange>> {
        let Some(change) = change else { return Some(Vec::new()) };
        let (forms, accepted) = rebase_run(self.kind, &self.pending, change)?;
        let mut view = confirmed.clone();
        for form in forms.iter().flatten() {
            // On the way, a number may leave its range.
            self.kind.apply(&mut view, form).ok()?;
        }
        self.view = view;
        self.pending.iter_mut().zip(forms).for_each(|(pending, form)| pending.form = form);
        Some(accepted.into_iter().collect())
    }

    /// Takes changes out of what is pending; those behind them are rebased over their inverse.
    pub(super) fn remove(&mut self, leaves: impl Fn(&Pending) -> bool) -> Moved {
        self.compose_tails();
        self.change_base(self.confirmed.clone(), Vec::new(), leaves)
    }

    /// What is in flight waits again, without ids, but for what `leaves` says (R22). What was hidden shows
    /// again, if it is overwriting.
    pub(super) fn take_back(&mut self, leaves: impl Fn(&Pending) -> bool) -> Moved {
        for pending in self.pending.iter_mut().take_while(|pending| pending.in_flight()) {
            pending.id = None;
            pending.hidden = false;
        }
        self.remove(leaves)
    }

    fn change_base(
        &mut self,
        from: AnyValue,
        transition: Vec<AnyChange>,
        leaves: impl Fn(&Pending) -> bool,
    ) -> Moved {
        let mut base = BaseChange::new(self.kind, from, self.confirmed.clone(), transition);
        let dropped = base.rebase_all(&mut self.pending, leaves);
        self.view = base.new;
        Moved { changes: base.transition, whole: false, dropped }
    }

    /// Whether a change in flight has this id.
    pub(super) fn holds(&self, id: &ChangeId) -> bool {
        self.order_of(id).is_some()
    }

    /// The action of which the change in flight with this id is one.
    pub(super) fn order_of(&self, id: &ChangeId) -> Option<Order> {
        self.in_flight().find(|pending| pending.id.as_ref() == Some(id)).map(|it| it.order)
    }

    /// What is in flight.
    pub(super) fn in_flight(&self) -> impl Iterator<Item = &Pending> {
        self.pending.iter().take_while(|pending| pending.in_flight())
    }

    /// The pending changes of an action; they stand in the order made.
    pub(super) fn of_action(&self, order: Order) -> &[Pending] {
        let start = self.pending.partition_point(|pending| pending.order < order);
        let len = self.pending[start..].partition_point(|pending| pending.order == order);
        &self.pending[start..start + len]
    }

    /// Whether a batch can be sent: the topic is received, and nothing of it is in flight (R13).
    pub(super) fn is_free(&self) -> bool {
        self.link == Link::Live && self.in_flight().next().is_none()
    }
}

fn is_one_of(pending: &Pending, ids: &[ChangeId]) -> bool {
    pending.id.as_ref().is_some_and(|id| ids.contains(id))
}
