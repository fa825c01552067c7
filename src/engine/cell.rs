//! One topic in the engine: its value and log under its own lock, and who subscribes to it.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, MutexGuard};
use smallvec::SmallVec;

use super::guard::guarded;
use super::past::{self, PastError, Snapshot};
use super::publication::{Body, Composed, Item, Origin, Part, Publication, Subscriber};
use crate::journal::{CHECKPOINT_EVERY, Journal};
use crate::topic::{
    ChangeId, ClientId, Delivery, Durability, Entry, Epoch, Rejection, Topic, TopicName,
    TopicOptions, Version,
};
use crate::types::{TypeRef, run};

/// A topic, what it was made with, and its state under its own lock. Nothing else is locked to change
/// it.
pub struct TopicCell {
    name: TopicName,
    kind: TypeRef,
    options: TopicOptions,
    epoch: Epoch,
    /// The epoch under which the journal knows the topic; `None` if it does not.
    recorded: Option<Epoch>,
    durability: Durability,
    /// Where the part of the log is that is not in memory, if the topic is not in memory alone.
    pub(super) journal: Arc<dyn Journal>,
    /// Somebody asked for the topic since it was last looked whether it is idle.
    used: AtomicBool,
    state: Mutex<State>,
}

/// What a topic's lock guards.
///
/// ```text
///            oldest        log's base     published       settled          head
/// ──────────────┼───────────────┼──────────────┼──────────────┼──────────────┤
///   forgotten   │ journal alone │                  in memory                 │
///                               │  given out   │ unpublished  │   deferred   │
/// ```
///
/// *Settled* is what is as durable as the topic asks for: of what comes after, nobody hears, and it may still
/// be taken back. What is settled and not yet published is in `unpublished`, so how far it reaches need not
/// be kept. `durable` lies after `settled` under durability `commit`, before it under `relaxed`, and not
/// before the log's base under either; `checkpointed` lies before `durable`, or is about to.
pub(super) struct State {
    /// The value at the head, and the log: all of it, or its newest part.
    pub topic: Topic,
    /// By client id, ascending.
    subscribers: Vec<Arc<dyn Subscriber>>,
    /// Settled, and not yet given to anybody; in order.
    unpublished: SmallVec<[Unpublished; 1]>,
    /// The newest version that subscribers were given.
    pub published: Version,
    /// How many submissions wait to be durable before they are settled.
    pub deferred: usize,
    /// The newest version that the journal holds. Of no meaning for a topic in memory alone.
    pub durable: Version,
    /// The newest version that the journal has, or is about to have, a checkpoint of.
    pub checkpointed: Version,
    /// How many changes lie between two checkpoints in the journal: more if the value is large.
    pub checkpoint_every: u64,
    /// The oldest version that is kept, here or in the journal.
    pub oldest: Version,
    /// No longer in the engine: every change is refused.
    removed: bool,
}

/// One message, and its author where it wants a confirmation.
pub(super) struct Unpublished {
    pub item: Item,
    pub author: ClientId,
    pub origin: Option<Arc<dyn Origin>>,
}

/// What a topic has to say to somebody who knows it up to some version.
#[derive(Debug)]
pub struct CatchUp {
    /// The version that the items lead to.
    pub version: Version,
    /// The messages, in the order of their versions.
    pub items: Vec<Item>,
    /// The items go on from the version that was asked for; else they begin with a snapshot.
    pub continues: bool,
    /// What can be given in their place, where they are changes: the value that they lead to.
    pub snapshot: Option<Item>,
}

/// What a topic is known by when it comes into the engine.
pub(super) struct Identity {
    pub name: TopicName,
    pub kind: TypeRef,
    pub options: TopicOptions,
    pub epoch: Epoch,
    pub recorded: Option<Epoch>,
    pub durability: Durability,
}

impl TopicCell {
    /// A topic as it stands at `topic`'s head, all of which is durable.
    pub(super) fn new(identity: Identity, journal: Arc<dyn Journal>, topic: Topic) -> TopicCell {
        let Identity { name, kind, options, epoch, recorded, durability } = identity;
        let (head, base) = (topic.head(), topic.log().base());
        let state = State {
            topic,
            subscribers: Vec::new(),
            unpublished: SmallVec::new(),
            published: head,
            deferred: 0,
            durable: head,
            checkpointed: base,
            checkpoint_every: CHECKPOINT_EVERY,
            oldest: base,
            removed: false,
        };
        let (used, state) = (AtomicBool::new(true), Mutex::new(state));
        TopicCell { name, kind, options, epoch, recorded, durability, journal, used, state }
    }

    /// The name.
    pub fn name(&self) -> &TopicName {
        &self.name
    }

    /// The type.
    pub fn kind(&self) -> TypeRef {
        self.kind
    }

    /// The options that the topic was made with.
    pub fn options(&self) -> &TopicOptions {
        &self.options
    }

    /// Names this life of the topic.
    pub fn epoch(&self) -> &Epoch {
        &self.epoch
    }

    /// The epoch under which the journal knows the topic; `None` if it does not.
    pub(super) fn recorded(&self) -> Option<&Epoch> {
        self.recorded.as_ref()
    }

    /// When a change of this topic is published.
    pub fn durability(&self) -> Durability {
        self.durability
    }

    /// Whether the topic's log is in the journal.
    pub(super) fn is_journalled(&self) -> bool {
        self.durability != Durability::Memory
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Whether nobody holds the topic's lock.
    #[cfg(test)]
    pub(super) fn try_lock(&self) -> bool {
        self.state.try_lock().is_some()
    }

    /// Notes that somebody asked for the topic.
    pub(super) fn touch(&self) {
        // Only a store that is needed: the line is shared by all who use the topic.
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
    }

    /// Whether somebody asked for the topic since the last call.
    pub(super) fn take_used(&self) -> bool {
        self.used.swap(false, Ordering::Relaxed)
    }

    /// Whether nothing would be lost if the topic left memory: it is all in the journal, and nobody
    /// listens.
    pub(super) fn is_idle(&self) -> bool {
        let Some(state) = self.state.try_lock() else { return false };
        self.is_journalled()
            && state.subscribers.is_empty()
            && state.unpublished.is_empty()
            && state.durable == state.topic.head()
    }

    /// Whether the topic was removed; changes and subscriptions of it lead nowhere.
    pub fn is_removed(&self) -> bool {
        self.lock().removed
    }

    /// The value, version and commit at the head, on which the next change is decided. O(1).
    pub fn snapshot(&self) -> Snapshot {
        self.lock().snapshot()
    }

    /// The value, version and commit that subscribers were given by now. O(1), but while something waits
    /// to be published.
    pub fn published(&self) -> Snapshot {
        self.lock().published_snapshot()
    }

    /// The value, version and commit up to which all is as durable as the topic asks for. O(1), but
    /// while something waits to be durable.
    pub fn settled(&self) -> Snapshot {
        let state = self.lock();
        state.snapshot_at(state.settled())
    }

    /// The newest version, durable or not.
    pub fn head(&self) -> Version {
        self.lock().topic.head()
    }

    /// The version up to which all is as durable as the topic asks for.
    pub fn settled_version(&self) -> Version {
        self.lock().settled()
    }

    /// The oldest version that is kept.
    pub fn oldest(&self) -> Version {
        self.lock().oldest
    }

    /// Gives `subscriber` all that is published from here on, until it is [`detach`](Self::detach)ed or
    /// another of the same client takes its place; and gives back what brings one who has version
    /// `since` up to that point. `None` if the topic was removed.
    ///
    /// Each change is in what is given back, or delivered later, and in one of the two only.
    pub fn subscribe(
        self: &Arc<Self>,
        subscriber: Arc<dyn Subscriber>,
        since: Option<Version>,
    ) -> Option<CatchUp> {
        let mut state = self.lock();
        if state.removed {
            return None;
        }
        // What waits to be published goes to those who are there by now, and is part of what is missing.
        state.publish_due(self);
        state.attach(subscriber);
        Some(self.missing(state, since))
    }

    /// Gives `subscriber` all that is published from here on, as [`subscribe`](Self::subscribe) does.
    pub fn attach(&self, subscriber: Arc<dyn Subscriber>) {
        self.lock().attach(subscriber);
    }

    /// Takes out a subscriber, unless another of the same client has taken its place.
    pub fn detach(&self, subscriber: &dyn Subscriber) {
        let mut state = self.lock();
        if let Ok(index) = state.subscriber_index(subscriber.client_id())
            && std::ptr::addr_eq(&*state.subscribers[index], subscriber)
        {
            state.subscribers.remove(index);
        }
    }

    /// How many subscribe to the topic.
    pub fn subscribers_len(&self) -> usize {
        self.lock().subscribers.len()
    }

    /// What somebody who has version `since` is to be given to be up to date: the missing changes, or a
    /// snapshot where the log does not reach back or is long.
    ///
    /// What can be published by then is published first, so that what comes later follows on; what
    /// waits for a tick, or to be durable, still comes with that.
    pub fn catch_up(self: &Arc<Self>, since: Option<Version>) -> CatchUp {
        let mut state = self.lock();
        state.publish_due(self);
        self.missing(state, since)
    }

    /// What is missing to one who has version `since`, up to what is published. The lock is given back
    /// before anything is read from the journal.
    fn missing(self: &Arc<Self>, state: MutexGuard<'_, State>, since: Option<Version>) -> CatchUp {
        let version = state.published;
        let snapshot = self.kind.stateful().then(|| {
            let Snapshot { version, commit, value } = state.published_snapshot();
            Item::snapshot(self, commit, version, value)
        });
        let near = |since: &Version| {
            let missing = version.0.saturating_sub(since.0);
            missing <= CATCH_UP_CHANGES_MAX || snapshot.is_none()
        };
        let since = since.filter(|since| state.oldest <= *since && *since <= version).filter(near);
        let missed = since.and_then(|since| {
            let here = state.entries(since, version);
            let base = state.topic.log().base();
            drop(state);
            self.with_older(since, base, here).ok()
        });
        match missed {
            Some(missed) => {
                CatchUp { version, items: self.items(&missed), continues: true, snapshot }
            }
            None => {
                let items = snapshot.into_iter().collect();
                CatchUp { version, items, continues: false, snapshot: None }
            }
        }
    }

    /// The entries after `since`: those up to `base` from the journal, then those `here`.
    pub(super) fn with_older(
        &self,
        since: Version,
        base: Version,
        here: Vec<Entry>,
    ) -> Result<Vec<Entry>, PastError> {
        if since >= base {
            return Ok(here);
        }
        let mut entries = past::entries(&*self.journal, self.kind, &self.name, since, base)?;
        entries.extend(here);
        Ok(entries)
    }

    /// The settled entries after `since` up to `to`.
    ///
    /// # Errors
    /// Some are no longer kept, or the journal cannot be read.
    pub(super) fn entries(&self, since: Version, to: Version) -> Result<Vec<Entry>, PastError> {
        let (here, base) = {
            let state = self.lock();
            (state.entries(since, to.min(state.settled())), state.topic.log().base())
        };
        self.with_older(since, base.min(to), here)
    }

    /// The messages that confirm `client`'s own changes after `since` up to `to`, for one who was given
    /// a snapshot in place of them.
    pub fn own_changes(
        self: &Arc<Self>,
        client: ClientId,
        since: Version,
        to: Version,
    ) -> Vec<Item> {
        let since = since.max(self.lock().oldest);
        let mut own = self.entries(since, to).unwrap_or_else(|error| {
            tracing::error!(topic = %self.name, %error, "own changes cannot be confirmed");
            Vec::new()
        });
        own.retain(|entry| entry.author == client);
        self.items(&own)
    }

    /// The messages for some entries of this topic's log, one a commit.
    fn items(self: &Arc<Self>, entries: &[Entry]) -> Vec<Item> {
        entries
            .chunk_by(|a, b| a.commit == b.commit)
            .filter_map(|entries| Item::of_entries(self, entries))
            .collect()
    }

    /// Publishes what was accepted since the last time.
    pub(super) fn publish(self: &Arc<Self>) {
        self.lock().publish(self);
    }

    /// Publishes, composed into one, what a `latest` topic accepted since the last tick.
    pub(super) fn tick(self: &Arc<Self>) {
        self.lock().publish_latest(self);
    }

    /// Takes the topic out of service: what was accepted is still published, and nothing more is
    /// accepted.
    pub(super) fn begin_removal(self: &Arc<Self>) {
        let mut state = self.lock();
        state.publish(self);
        state.removed = true;
    }

    /// Tells the subscribers of a topic that is out of service.
    pub(super) fn tell_removed(self: &Arc<Self>) {
        let mut state = self.lock();
        state.publish(self);
        for subscriber in state.subscribers.drain(..) {
            subscriber.topic_removed(self);
        }
    }
}

/// How many missed changes are sent one by one; beyond, a snapshot is smaller.
const CATCH_UP_CHANGES_MAX: u64 = 10_000;

impl State {
    pub(super) fn is_removed(&self) -> bool {
        self.removed
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let (value, commit) = (self.topic.value().clone(), self.topic.log().commit());
        Snapshot { version: self.topic.head(), commit, value }
    }

    /// Checks that a change can have this base.
    pub(super) fn check_base(&self, base: Version) -> Result<(), Rejection> {
        let (head, oldest) = (self.topic.head(), self.oldest);
        match () {
            () if base > head => Err(Rejection::BasePastHead { base, head }),
            () if base < oldest => Err(Rejection::BaseTooOld { base, oldest }),
            () => Ok(()),
        }
    }

    /// The value that subscribers have. A pointer, but while something waits to be published.
    fn published_snapshot(&self) -> Snapshot {
        self.snapshot_at(self.published)
    }

    /// The value at a version that is not before the published one.
    fn snapshot_at(&self, version: Version) -> Snapshot {
        let log = self.topic.log();
        if version == log.head() {
            return self.snapshot();
        }
        // The log reaches back to what is published.
        let value = log.value_at(version).unwrap_or_else(|| self.topic.value().clone());
        Snapshot { version, commit: log.commit_at(version).unwrap_or_default(), value }
    }

    /// The entries in memory after `since` up to `to`.
    fn entries(&self, since: Version, to: Version) -> Vec<Entry> {
        let later = self.topic.log().after(since);
        later.take_while(|entry| entry.version <= to).cloned().collect()
    }

    /// The version of the change with this id, if the topic still knows it.
    pub(super) fn version_of(&self, id: &ChangeId) -> Option<Version> {
        self.topic.log().version_of(id)
    }

    /// Takes back what was accepted after `head`; `deferred` submissions of what is left still wait.
    pub(super) fn fall_back(&mut self, head: Version, deferred: usize) {
        self.topic.fall_back(head);
        self.checkpointed = self.checkpointed.min(head);
        self.deferred = deferred;
    }

    fn attach(&mut self, subscriber: Arc<dyn Subscriber>) {
        match self.subscriber_index(subscriber.client_id()) {
            Ok(index) => self.subscribers[index] = subscriber,
            Err(index) => self.subscribers.insert(index, subscriber),
        }
    }

    fn subscriber_index(&self, client: ClientId) -> Result<usize, usize> {
        self.subscribers.binary_search_by_key(&client, |subscriber| subscriber.client_id())
    }

    pub(super) fn subscribers(&self) -> &[Arc<dyn Subscriber>] {
        &self.subscribers
    }

    pub(super) fn is_subscribed(&self, client: ClientId) -> bool {
        self.subscriber_index(client).is_ok()
    }

    /// The newest version that is as durable as the topic asks for.
    pub(super) fn settled(&self) -> Version {
        let newest = self.unpublished.last().and_then(|newest| newest.item.parts.last());
        newest.map_or(self.published, |newest| newest.version)
    }

    /// Queues a message that is settled, to be published by whoever queued it. Tells whether it is the first
    /// that waits.
    pub(super) fn queue(&mut self, unpublished: Unpublished) -> bool {
        self.unpublished.push(unpublished);
        self.unpublished.len() == 1
    }

    /// Notes that what made versions up to `version` was given to all who are to have it.
    pub(super) fn mark_published(&mut self, version: Version) {
        debug_assert!(self.unpublished.is_empty(), "what was accepted before is published before");
        self.published = self.published.max(version);
    }

    /// Takes what is to be published, and marks it as that.
    fn take_unpublished(&mut self) -> SmallVec<[Unpublished; 1]> {
        let unpublished = std::mem::take(&mut self.unpublished);
        let newest = unpublished.last().and_then(|newest| newest.item.parts.last());
        if let Some(newest) = newest {
            self.mark_published(newest.version);
        }
        unpublished
    }

    /// Publishes what is queued and need not wait for a tick.
    fn publish_due(&mut self, topic: &Arc<TopicCell>) {
        if topic.options.delivery == Delivery::Every {
            self.publish(topic);
        }
    }

    /// Gives what is queued to all subscribers, as one publication, and to its authors.
    pub(super) fn publish(&mut self, topic: &Arc<TopicCell>) {
        if self.unpublished.is_empty() {
            return;
        }
        if topic.options.delivery == Delivery::Latest {
            return self.publish_latest(topic);
        }
        let unpublished = self.take_unpublished();
        let mut alone = Vec::new();
        for Unpublished { item, author, origin } in &unpublished {
            if let Some(origin) = origin.as_ref().filter(|_| !self.is_subscribed(*author)) {
                alone.push((origin.clone(), item.clone()));
            }
        }
        if !self.subscribers.is_empty() {
            let publication = Publication::new(unpublished.into_iter().map(|it| it.item).collect());
            for subscriber in &self.subscribers {
                subscriber.deliver(&publication);
            }
        }
        for (origin, item) in alone {
            origin.confirm(&Publication::new(vec![item]));
        }
    }

    /// Gives what is queued to all subscribers, and to its authors, as one composed change; as a
    /// snapshot where there is none.
    fn publish_latest(&mut self, topic: &Arc<TopicCell>) {
        if self.unpublished.is_empty() {
            return;
        }
        let since = self.published;
        let unpublished = self.take_unpublished();
        let version = self.published;
        let news = self.entries(since, version);
        let ids = news.iter().map(|entry| entry.id.clone()).collect();
        let changes: Vec<_> = news.into_iter().filter_map(|entry| entry.change).collect();
        // If the type's own code fails on it, a snapshot says the same.
        let compose = || run::compose_all(topic.kind, &changes);
        let composed = guarded(topic.kind, compose).ok().filter(|composed| composed.len() <= 1);
        let Snapshot { commit, value, .. } = self.published_snapshot();
        let mut item = if let Some(mut composed) = composed {
            let body = Body::Change(composed.pop());
            let part = Part { topic: topic.clone(), version, id: None, body };
            let parts = [part].into_iter().collect();
            Item { commit, author: None, action: None, parts, composed: None }
        } else {
            Item::snapshot(topic, commit, version, value)
        };
        item.composed = Some(Box::new(Composed { since, ids }));
        let publication = Publication::new(vec![item]);
        for subscriber in &self.subscribers {
            subscriber.deliver(&publication);
        }
        let mut told = HashSet::new();
        for Unpublished { author, origin, .. } in unpublished {
            if let Some(origin) =
                origin.filter(|_| !self.is_subscribed(author) && told.insert(author))
            {
                origin.confirm(&publication);
            }
        }
    }
}

impl fmt::Debug for TopicCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} topic {:?}", self.kind.name(), &*self.name)
    }
}
