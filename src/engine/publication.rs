//! What subscribers are given: accepted changes, and snapshots, in the order of their topics.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use ecow::EcoString;
use smallvec::SmallVec;

use super::cell::TopicCell;
use crate::topic::{ActionMark, ChangeId, ClientId, CommitNumber, Entry, Rejection, Version};
use crate::types::AnyValue;
use crate::types::run::MaybeChange;
use crate::value::Fields;

/// Messages that were published together, shared by all who get them.
pub struct Publication {
    /// The messages, in the order of their topics.
    pub items: Vec<Item>,
    /// The forms that subscribers send, one for each encoding a server has. The first subscriber that
    /// needs a form makes it; all others share it. The engine does not look into them.
    pub encoded: [OnceLock<Encoded>; 2],
}

/// A publication as one frame of bytes, and what a subscriber has to know of the frame without decoding it.
#[derive(Debug)]
pub struct Encoded {
    /// All messages: an array of them if there are several.
    pub bytes: Bytes,
    /// Where each message lies in `bytes`, for subscribers that take one message a frame.
    pub ranges: SmallVec<[(usize, usize); 1]>,
    /// The topics of the messages, and the version to which the messages bring each of them.
    pub leads_to: SmallVec<[(Arc<TopicCell>, Version); 1]>,
}

impl Publication {
    /// A publication whose forms are not made yet.
    pub fn new(items: Vec<Item>) -> Arc<Publication> {
        Arc::new(Publication { items, encoded: Default::default() })
    }
}

/// One message: a change, an action (or the part of it that somebody subscribes to), or a snapshot.
#[derive(Debug, Clone)]
pub struct Item {
    /// The place in the server-wide order; of a snapshot, that of its version.
    pub commit: CommitNumber,
    /// `None` for a snapshot that is nobody's change.
    pub author: Option<ClientId>,
    /// Set if the changes came as an action.
    pub action: Option<Arc<ActionMark>>,
    /// The changes, in the order made; of a snapshot, just one.
    pub parts: SmallVec<[Part; 1]>,
    /// Set where several changes were composed into one.
    pub composed: Option<Box<Composed>>,
}

/// A change of one topic.
#[derive(Debug, Clone)]
pub struct Part {
    /// The topic, in the life that was changed.
    pub topic: Arc<TopicCell>,
    /// The version that the change made.
    pub version: Version,
    /// The id of the change; `None` for a snapshot.
    pub id: Option<ChangeId>,
    /// The change, or the whole value.
    pub body: Body,
}

/// What one part of a message holds.
#[derive(Debug, Clone)]
pub enum Body {
    /// A change; `None` where the rebase left nothing to do.
    Change(MaybeChange),
    /// The whole value at this version.
    Snapshot(AnyValue),
}

/// What a composed change stands for.
#[derive(Debug, Clone, PartialEq)]
pub struct Composed {
    /// The version before the first change.
    pub since: Version,
    /// The ids of the changes, in the order accepted.
    pub ids: Vec<ChangeId>,
}

impl Part {
    /// The part that tells of one entry of a log.
    pub fn of_entry(topic: &Arc<TopicCell>, entry: &Entry) -> Part {
        Part {
            topic: topic.clone(),
            version: entry.version,
            id: Some(entry.id.clone()),
            body: Body::Change(entry.change.clone()),
        }
    }

    /// The fields of the change, as the wire has them.
    pub fn fields(&self) -> Fields {
        let kind = self.topic.kind();
        match &self.body {
            Body::Change(None) => Fields::of_type("none"),
            Body::Change(Some(change)) => kind.encode_change(change),
            Body::Snapshot(value) => Fields::of_type("set").with("value", kind.encode_value(value)),
        }
    }
}

impl Item {
    /// The message for a run of entries of one topic that share a commit.
    pub fn of_entries<'a>(
        topic: &Arc<TopicCell>,
        entries: impl IntoIterator<Item = &'a Entry>,
    ) -> Option<Item> {
        let mut entries = entries.into_iter();
        let first = entries.next()?;
        let mut item = Item {
            commit: first.commit,
            author: Some(first.author),
            action: first.action.clone(),
            parts: SmallVec::new(),
            composed: None,
        };
        item.parts.push(Part::of_entry(topic, first));
        item.parts.extend(entries.map(|entry| Part::of_entry(topic, entry)));
        Some(item)
    }

    /// The message that tells of a whole value.
    pub fn snapshot(
        topic: &Arc<TopicCell>,
        commit: CommitNumber,
        version: Version,
        value: AnyValue,
    ) -> Item {
        let body = Body::Snapshot(value);
        let part = Part { topic: topic.clone(), version, id: None, body };
        Item {
            commit,
            author: None,
            action: None,
            parts: SmallVec::from_iter([part]),
            composed: None,
        }
    }

    /// Whether this is a whole value rather than a change.
    pub fn is_snapshot(&self) -> bool {
        matches!(self.parts.first(), Some(Part { body: Body::Snapshot(_), .. }))
    }

    /// What an undo takes back, as the wire names it: the field and the original's id.
    pub fn reverses(&self) -> Option<(&'static str, EcoString)> {
        let reverses = self.action.as_ref()?.reverses.as_ref()?;
        let field = if reverses.redo { "redoes" } else { "undoes" };
        Some((field, reverses.original.clone().into()))
    }
}

/// Who is given what a topic publishes.
///
/// Both functions are called under the topic's lock, so that all subscribers see one order: they must
/// neither block nor call the engine.
pub trait Subscriber: Send + Sync {
    /// Whose subscription it is: a topic has one subscriber a client.
    fn client_id(&self) -> ClientId;

    /// Takes messages in the order of their topics.
    fn deliver(&self, publication: &Arc<Publication>);

    /// Learns that a topic is no more.
    fn topic_removed(&self, topic: &Arc<TopicCell>);
}

/// Who hears that its own changes were accepted, where it does not subscribe to their topics.
pub trait Origin: Send + Sync {
    /// Called under the topic's lock, as [`Subscriber::deliver`].
    fn confirm(&self, publication: &Arc<Publication>);

    /// Learns that changes which were accepted are as if they had never been, and why: they could not be
    /// made durable, or have to be sent again.
    fn lost(&self, item: &Item, rejection: &Rejection);
}
