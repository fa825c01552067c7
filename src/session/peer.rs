//! How one client's vocabulary becomes acts on a session, and what the session has for it becomes frames.

use std::collections::VecDeque;
use std::sync::Arc;

use super::attachment::Attachment;
use super::connection::Refused;
use super::frame::Frame;
use crate::engine::{CatchUp, Item, Publication, TopicCell};
use crate::protocol::{Encoding, ServerMessage};
use crate::topic::{TopicName, Uptime, Version};

/// Frames on their way out, in order.
pub type Frames = VecDeque<Frame>;

/// What a session has for its client, in order. A [`Peer`] puts it into frames.
pub enum Outgoing {
    /// A message for this client alone. The first one says who the client is.
    Message(ServerMessage),
    /// Published changes that the client does not have yet, of topics that it subscribes to.
    Changes(Arc<Publication>),
    /// The client's own changes, of topics that it does not subscribe to.
    Confirmation(Arc<Publication>),
    /// A subscription begins.
    Begin {
        /// The topic, in the life that is subscribed to.
        topic: Arc<TopicCell>,
        /// The version that the client has, if the catch-up continues from there.
        since: Option<Version>,
        /// What brings the client up to date.
        catch_up: CatchUp,
        /// The client's own changes that a snapshot jumped over.
        own: Vec<Item>,
    },
    /// Published changes were dropped: the subscription is brought up to date.
    CaughtUp {
        /// The topic, in the life that is subscribed to.
        topic: Arc<TopicCell>,
        /// What brings the client up to date.
        items: Vec<Item>,
        /// The client's own changes that a snapshot jumped over.
        own: Vec<Item>,
    },
    /// The client is to be told a topic's whole value again.
    Again(Arc<TopicCell>),
    /// A subscription ended at the client's wish.
    Unsubscribed(TopicName),
    /// A topic that the client subscribes to was removed.
    Removed(Arc<TopicCell>),
}

/// One client's vocabulary. It holds what it has to remember of the client, and takes no lock that is
/// held while the engine decides.
pub trait Peer {
    /// A message as it was read, before it is handled.
    type Message;

    /// The encoding in which published changes are measured and, where it can be, sent.
    fn encoding(&self) -> Encoding;

    /// Reads a frame; its messages are added to `inbox`. What is not understood is answered, or ends
    /// the connection.
    ///
    /// # Errors
    /// The connection is over.
    fn read(
        &mut self,
        attachment: &Attachment,
        frame: Frame,
        inbox: &mut VecDeque<Self::Message>,
    ) -> Result<(), Refused>;

    /// Does what a message asks for.
    fn handle(&mut self, attachment: &mut Attachment, now: Uptime, message: Self::Message);

    /// Puts what the session has for the client into frames.
    fn write(&mut self, attachment: &mut Attachment, outgoing: Outgoing, frames: &mut Frames);

    /// Whether the client can come back to its session once this connection is gone.
    fn can_resume(&self) -> bool;
}
