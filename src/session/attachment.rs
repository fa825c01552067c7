//! One connection's hold on a session, whatever vocabulary its client speaks: subscriptions, and how far
//! each of them is written.
//!
//! A subscription is to one *life* of a topic, which its `Arc<TopicCell>` stands for: a topic that was
//! removed and made again under its name is another one. Two maps say two different things:
//!
//! | map | what it says | changes when |
//! |---|---|---|
//! | `asked` | what the client subscribes to by what it sent | a message is handled |
//! | `written` | what the client subscribes to by what was written to it, and up to which version | an entry leaves the outbox |
//!
//! Between the two lie the entries that wait in the outbox.

use std::sync::Arc;

use foldhash::HashMap;

use super::frame::{encode_items, encoded_form};
use super::hub::Hub;
use super::outbox::{Entry, Outbox};
use super::peer::Outgoing;
use super::session::Session;
use crate::engine::policy::{Denied, Operation};
use crate::engine::{CatchUp, Group, Item, Publication, Subscriber, TopicCell};
use crate::protocol::message::ErrorMessage;
use crate::protocol::{Encoding, ErrorCode, ServerMessage};
use crate::topic::{Delivery, TopicName, Version};

/// One connection's hold on a session.
pub struct Attachment {
    pub(super) hub: Arc<Hub>,
    pub(super) session: Arc<Session>,
    /// Which of the session's connections this is; see [`Session::act`].
    number: u64,
    pub(super) outbox: Arc<Outbox>,
    pub(super) encoding: Encoding,
    /// What the client subscribes to, by what it sent.
    pub(super) asked: HashMap<TopicName, Arc<TopicCell>>,
    /// What the client subscribes to, by what was written to it.
    written: HashMap<TopicName, Written>,
    /// Topics with something to publish.
    pub(super) group: Group,
    /// Whether a message was handled: `resume` can only be the first.
    pub(super) started: bool,
}

/// How far a subscription is written.
struct Written {
    topic: Arc<TopicCell>,
    version: Version,
}

impl Attachment {
    pub(super) fn new(
        hub: Arc<Hub>,
        session: Arc<Session>,
        number: u64,
        outbox: Arc<Outbox>,
        encoding: Encoding,
    ) -> Attachment {
        Attachment {
            hub,
            session,
            number,
            outbox,
            encoding,
            asked: HashMap::default(),
            written: HashMap::default(),
            group: Group::default(),
            started: false,
        }
    }

    /// Goes on with another session. Gives the one before, and which of its connections this was.
    pub(super) fn take_over(
        &mut self,
        session: Arc<Session>,
        number: u64,
        outbox: Arc<Outbox>,
    ) -> (Arc<Session>, u64) {
        self.outbox = outbox;
        (std::mem::replace(&mut self.session, session), std::mem::replace(&mut self.number, number))
    }

    /// What all sessions share.
    pub fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// The session.
    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// Which of the session's connections this is; see [`Session::act`].
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Asks whether the client may do that.
    pub(crate) fn authorize(&self, operation: &Operation<'_>) -> Result<(), Denied> {
        self.hub.engine().authorize(self.session.author.principal(), operation)
    }

    /// Topics with something to publish; what is accepted is added to them.
    pub(crate) fn group(&mut self) -> &mut Group {
        &mut self.group
    }

    /// Publishes what was accepted, as far as it need not be durable first.
    pub(crate) fn publish(&mut self) {
        self.hub.engine().publish(&mut self.group);
    }

    /// Whether the client may subscribe to a topic of this name, by how many it subscribes to.
    pub(crate) fn has_room_for(&self, name: &TopicName) -> bool {
        self.asked.len() < self.hub.config().subscriptions_max || self.asked.contains_key(name)
    }

    /// Queues a message for the client.
    pub(crate) fn answer(&self, message: ServerMessage) {
        self.outbox.answer(message);
    }

    /// Queues an error for the client.
    pub(crate) fn error(&self, error: ErrorMessage) {
        self.outbox.answer(ServerMessage::Error(error));
    }

    /// Has the client told a topic's whole value again, where its vocabulary has that.
    pub(crate) fn tell_again(&self, topic: Arc<TopicCell>) {
        self.outbox.push(Entry::Again(topic));
    }

    /// Notes what the client asked for, and has the subscription begin.
    pub(crate) fn subscribe(&mut self, topic: Arc<TopicCell>, since: Option<Version>) {
        self.asked.insert(topic.name().clone(), topic.clone());
        self.outbox.push(Entry::Begin { topic, since });
    }

    /// As [`subscribe`](Self::subscribe), once all that is accepted by now is durable.
    pub(crate) fn subscribe_when_durable(&mut self, topic: Arc<TopicCell>) {
        self.asked.insert(topic.name().clone(), topic.clone());
        // What the client did before is published before.
        self.publish();
        let (hub, outbox) = (self.hub.clone(), self.outbox.clone());
        let begin = move |_| {
            if topic.options().delivery == Delivery::Latest {
                // What waits for the tick is part of the value that the client is told first.
                hub.engine().tick();
            }
            outbox.push(Entry::Begin { topic, since: None });
        };
        match self.hub.engine().unavailable() {
            None => self.hub.engine().after_commit(Box::new(begin)),
            // What is there can be read all the same.
            Some(_) => begin(Ok(())),
        }
    }

    /// Ends a subscription at the client's wish.
    pub(crate) fn unsubscribe(&mut self, topic_name: TopicName) {
        if let Some(topic) = self.asked.remove(&topic_name) {
            // From here on the client is told of its own changes as one that does not subscribe.
            topic.detach(&*self.outbox);
        }
        self.outbox.push(Entry::Unsubscribe(topic_name));
    }

    /// Takes what is written of every subscription, in no order.
    pub(super) fn written_topics(&self) -> Vec<Arc<TopicCell>> {
        self.written.values().map(|it| it.topic.clone()).collect()
    }

    /// Whether a topic is subscribed to in this life, by what was written.
    pub(crate) fn is_written(&self, topic: &Arc<TopicCell>) -> bool {
        self.written.get(topic.name()).is_some_and(|it| Arc::ptr_eq(&it.topic, topic))
    }

    /// Whether a topic is subscribed to in this life, by what the client sent.
    pub(crate) fn is_asked(&self, topic: &Arc<TopicCell>) -> bool {
        self.asked.get(topic.name()).is_some_and(|it| Arc::ptr_eq(it, topic))
    }

    /// What an entry of the outbox is to the client; `None` if there is nothing to tell.
    pub(super) fn take(&mut self, entry: Entry) -> Option<Outgoing> {
        match entry {
            Entry::Answer(message) => Some(Outgoing::Message(message)),
            Entry::Confirmation(publication) => Some(Outgoing::Confirmation(publication)),
            Entry::Changes(publication) => {
                self.is_news(&publication).then_some(Outgoing::Changes(publication))
            }
            Entry::Begin { topic, since } => self.begin(topic, since),
            Entry::Missed(topic) => self.catch_up(topic),
            Entry::Again(topic) => self.is_written(&topic).then_some(Outgoing::Again(topic)),
            Entry::Unsubscribe(topic_name) => {
                // One that the client has taken up again goes on: what is in the outbox of it counts.
                if let Some(written) = self.written.get(&topic_name)
                    && !self.is_asked(&written.topic)
                {
                    written.topic.detach(&*self.outbox);
                    self.written.remove(&topic_name);
                }
                Some(Outgoing::Unsubscribed(topic_name))
            }
            Entry::Removed(topic) => self.removed(topic),
        }
    }

    /// Whether published changes are news: a snapshot or the log may have brought them before.
    fn is_news(&mut self, publication: &Publication) -> bool {
        let mut news = false;
        for (topic, version) in &encoded_form(publication, self.encoding).leads_to {
            if let Some(written) = self.written.get_mut(topic.name())
                && Arc::ptr_eq(&written.topic, topic)
                && written.version < *version
            {
                written.version = *version;
                news = true;
            }
        }
        news
    }

    /// Begins a subscription: attaches the connection to the topic, and brings the client up to date.
    fn begin(&mut self, topic: Arc<TopicCell>, since: Option<Version>) -> Option<Outgoing> {
        let before = self.written.get(topic.name());
        let before = before.filter(|it| Arc::ptr_eq(&it.topic, &topic)).map(|it| it.version);
        let stays = self.is_asked(&topic);
        let catch_up = if stays {
            // To attach is an act of the session's: of two connections, the topic is to know the one
            // that the session has.
            let session = self.session.clone();
            let _acting = session.act(self.number)?;
            topic.subscribe(self.outbox.clone(), since)
        } else {
            // The client has ended it by now, which is the next thing that it is told. It is not
            // attached: changes of its own are confirmed to it by themselves.
            (!topic.is_removed()).then(|| topic.catch_up(since))
        };
        let Some(catch_up) = catch_up else {
            // A subscription before this one goes on until its own end comes out of the outbox: changes of
            // the client's own may wait there before that.
            if self.is_asked(&topic) {
                self.asked.remove(topic.name());
            }
            let reason = "the topic was removed after this subscribe was queued";
            let error = ErrorMessage::new(ErrorCode::TopicRemoved, "subscribe", reason);
            let error = error.topic(topic.name().clone());
            return Some(Outgoing::Message(ServerMessage::Error(error)));
        };
        let CatchUp { version, continues, .. } = catch_up;
        if stays {
            let written = Written { topic: topic.clone(), version };
            if let Some(other) = self.written.insert(topic.name().clone(), written)
                && !Arc::ptr_eq(&other.topic, &topic)
            {
                // The client goes on to another life of the topic.
                other.topic.detach(&*self.outbox);
            }
        }
        // The client's own changes that a snapshot jumps over are confirmed by themselves. Those since
        // the subscription before this one are among them: the publications of them that wait in the
        // outbox are no news any more.
        let jumped_from = since.into_iter().chain(before).min().filter(|_| !continues);
        let own = jumped_from.map(|from| topic.own_changes(self.session.id(), from, version));
        let since = since.filter(|_| continues);
        Some(Outgoing::Begin { topic, since, catch_up, own: own.unwrap_or_default() })
    }

    /// Brings a subscription up to date after changes of it were dropped.
    pub(super) fn catch_up(&mut self, topic: Arc<TopicCell>) -> Option<Outgoing> {
        let from =
            self.written.get(topic.name()).filter(|it| Arc::ptr_eq(&it.topic, &topic))?.version;
        let (version, items, continues) = self.shorter(topic.catch_up(Some(from)));
        self.written.get_mut(topic.name())?.version = version;
        let own = match continues {
            true => Vec::new(),
            false => topic.own_changes(self.session.id(), from, version),
        };
        Some(Outgoing::CaughtUp { topic, items, own })
    }

    /// Of the missing changes and a snapshot, what takes fewer bytes; and whether that continues.
    fn shorter(&self, catch_up: CatchUp) -> (Version, Vec<Item>, bool) {
        let CatchUp { version, items, continues, snapshot } = catch_up;
        let Some(snapshot) = snapshot else { return (version, items, continues) };
        let missed_bytes = encode_items(&items, self.encoding).bytes.len();
        if missed_bytes > self.hub.config().missed_bytes_always {
            let snapshot = vec![snapshot];
            if encode_items(&snapshot, self.encoding).bytes.len() < missed_bytes {
                return (version, snapshot, false);
            }
        }
        (version, items, continues)
    }

    /// A topic was removed. The client is told if that life of the topic is what it has, and it has not
    /// asked for another one: the other's beginning then says enough.
    fn removed(&mut self, topic: Arc<TopicCell>) -> Option<Outgoing> {
        let told = self.is_written(&topic);
        let goes_on = self.asked.contains_key(topic.name()) && !self.is_asked(&topic);
        self.forget(&topic);
        (told && !goes_on).then_some(Outgoing::Removed(topic))
    }

    /// Forgets a life of a topic.
    fn forget(&mut self, topic: &Arc<TopicCell>) {
        if self.is_written(topic) {
            self.written.remove(topic.name());
        }
        if self.is_asked(topic) {
            self.asked.remove(topic.name());
        }
    }

    /// Takes this connection out of all topics.
    pub(super) fn detach_all(&mut self) {
        let subscriber: &dyn Subscriber = &*self.outbox;
        for Written { topic, .. } in self.written.values() {
            topic.detach(subscriber);
        }
        self.written.clear();
        self.asked.clear();
    }
}
