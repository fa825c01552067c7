//! One topic in the engine: its value and log under its own lock, and who subscribes to it.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use smallvec::SmallVec;

use super::publication::{Body, Composed, Item, Origin, Part, Publication, Subscriber};
use crate::topic::{
    ClientId, CommitNumber, Delivery, Entry, Epoch, Topic, TopicName, TopicOptions, Version,
};
use crate::types::{AnyValue, TypeRef, run};

/// A topic, what it was made with, and its state under its own lock. Nothing else is locked to change
/// it.
pub struct TopicCell {
    name: TopicName,
    kind: TypeRef,
    options: TopicOptions,
    epoch: Epoch,
    state: Mutex<State>,
}

/// What a topic's lock guards.
pub(super) struct State {
    pub topic: Topic,
    /// By client id, ascending.
    subscribers: Vec<Arc<dyn Subscriber>>,
    /// Accepted, and not yet given to anybody; in order.
    unpublished: SmallVec<[Unpublished; 1]>,
    /// The newest version that subscribers were given.
    published: Version,
    /// The newest commit in the log.
    pub commit: CommitNumber,
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
    pub items: Vec<Item>,
    /// The items go on from the version that was asked for; else they begin with a snapshot.
    pub continues: bool,
    /// What can be given in their place, where they are changes: the value that they lead to.
    pub snapshot: Option<Item>,
}

/// A view of a topic at its newest published version. A pointer.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub version: Version,
    pub commit: CommitNumber,
    pub value: AnyValue,
}

impl TopicCell {
    pub(super) fn new(
        name: TopicName,
        kind: TypeRef,
        options: TopicOptions,
        epoch: Epoch,
    ) -> TopicCell {
        let state = State {
            topic: Topic::new(kind),
            subscribers: Vec::new(),
            unpublished: SmallVec::new(),
            published: Version(0),
            commit: CommitNumber(0),
            removed: false,
        };
        TopicCell { name, kind, options, epoch, state: Mutex::new(state) }
    }

    pub fn name(&self) -> &TopicName {
        &self.name
    }

    pub fn kind(&self) -> TypeRef {
        self.kind
    }

    pub fn options(&self) -> &TopicOptions {
        &self.options
    }

    pub fn epoch(&self) -> &Epoch {
        &self.epoch
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Whether the topic was removed; changes and subscriptions of it lead nowhere.
    pub fn is_removed(&self) -> bool {
        self.lock().removed
    }

    /// The value, version and commit at the head. O(1).
    pub fn snapshot(&self) -> Snapshot {
        self.lock().snapshot()
    }

    pub fn head(&self) -> Version {
        self.lock().topic.head()
    }

    /// Gives `subscriber` all that is published from here on, until it is [`detach`](Self::detach)ed or
    /// another of the same client takes its place.
    pub fn attach(&self, subscriber: Arc<dyn Subscriber>) {
        let mut state = self.lock();
        match state.subscriber_index(subscriber.client_id()) {
            Ok(index) => state.subscribers[index] = subscriber,
            Err(index) => state.subscribers.insert(index, subscriber),
        }
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
    /// All that is accepted by then is published first, so that what comes later follows on; what waits
    /// for a tick still comes with it.
    pub fn catch_up(self: &Arc<Self>, since: Option<Version>) -> CatchUp {
        let mut state = self.lock();
        if self.options.delivery == Delivery::Every {
            state.publish(self);
        }
        let version = state.published;
        let snapshot = self.kind.stateful().then(|| {
            let Snapshot { version, commit, value } = state.published_snapshot();
            Item::snapshot(self, commit, version, value)
        });
        let log = state.topic.log();
        if let Some(since) = since.filter(|since| log.base() <= *since && *since <= version) {
            let missing = (version.0 - since.0) as usize;
            if missing <= CATCH_UP_CHANGES_MAX || snapshot.is_none() {
                let entries: Vec<Entry> = log.after(since).take(missing).cloned().collect();
                drop(state);
                return CatchUp { version, items: self.items(&entries), continues: true, snapshot };
            }
        }
        CatchUp { version, items: snapshot.into_iter().collect(), continues: false, snapshot: None }
    }

    /// The messages that confirm `client`'s own changes after `since` up to `to`, for one who was given
    /// a snapshot in place of them.
    pub fn own_changes(
        self: &Arc<Self>,
        client: ClientId,
        since: Version,
        to: Version,
    ) -> Vec<Item> {
        let state = self.lock();
        let entries = state.topic.log().after(since).take_while(|entry| entry.version <= to);
        let own: Vec<Entry> = entries.filter(|entry| entry.author == client).cloned().collect();
        drop(state);
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

    /// Takes the topic out of service and tells its subscribers.
    pub(super) fn remove(self: &Arc<Self>) {
        let mut state = self.lock();
        state.publish(self);
        state.removed = true;
        for subscriber in state.subscribers.drain(..) {
            subscriber.topic_removed(self);
        }
    }
}

/// How many missed changes are sent one by one; beyond, a snapshot is smaller.
const CATCH_UP_CHANGES_MAX: usize = 10_000;

impl State {
    pub fn is_removed(&self) -> bool {
        self.removed
    }

    pub fn snapshot(&self) -> Snapshot {
        let value = self.topic.value().clone();
        Snapshot { version: self.topic.head(), commit: self.commit, value }
    }

    /// The value that subscribers have. A pointer, but for what waits for a tick.
    fn published_snapshot(&self) -> Snapshot {
        let log = self.topic.log();
        let version = self.published;
        if version == log.head() {
            return self.snapshot();
        }
        let commit = log.entry(version).map_or(CommitNumber(0), |entry| entry.commit);
        match log.value_at(version) {
            Some(value) => Snapshot { version, commit, value },
            None => self.snapshot(),
        }
    }

    fn subscriber_index(&self, client: ClientId) -> Result<usize, usize> {
        self.subscribers.binary_search_by_key(&client, |subscriber| subscriber.client_id())
    }

    pub fn subscribers(&self) -> &[Arc<dyn Subscriber>] {
        &self.subscribers
    }

    pub fn is_subscribed(&self, client: ClientId) -> bool {
        self.subscriber_index(client).is_ok()
    }

    /// Queues an accepted message. Tells whether it is the first: then somebody has to publish it.
    pub fn queue(&mut self, unpublished: Unpublished) -> bool {
        self.unpublished.push(unpublished);
        self.unpublished.len() == 1
    }

    /// Whether something was accepted that nobody was given yet.
    pub fn has_unpublished(&self) -> bool {
        !self.unpublished.is_empty()
    }

    /// Notes that what is in the log was given to all who are to have it.
    pub fn mark_published(&mut self) {
        debug_assert!(self.unpublished.is_empty(), "what was accepted before is published before");
        self.published = self.topic.head();
    }

    /// Gives what is queued to all subscribers, as one publication, and to its authors.
    pub fn publish(&mut self, topic: &Arc<TopicCell>) {
        if self.unpublished.is_empty() {
            return;
        }
        if topic.options.delivery == Delivery::Latest {
            return self.publish_latest(topic);
        }
        let unpublished = std::mem::take(&mut self.unpublished);
        self.mark_published();
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
        let unpublished = std::mem::take(&mut self.unpublished);
        let since = self.published;
        self.mark_published();
        let log = self.topic.log();
        let ids = log.after(since).map(|entry| entry.id.clone()).collect();
        let changes: Vec<_> = log.after(since).filter_map(|entry| entry.change.clone()).collect();
        let mut composed = run::compose_all(topic.kind, &changes);
        let version = self.published;
        let mut item = if composed.len() <= 1 {
            let body = Body::Change(composed.pop());
            let part = Part { topic: topic.clone(), version, id: None, body };
            let parts = [part].into_iter().collect();
            Item { commit: self.commit, author: None, action: None, parts, composed: None }
        } else {
            Item::snapshot(topic, self.commit, version, self.topic.value().clone())
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
