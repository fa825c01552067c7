//! The vocabulary of `docs/protocol.md`, in JSON or MessagePack.

use std::collections::VecDeque;

use super::attachment::Attachment;
use super::connection::Refused;
use super::frame::{Frame, encode_items, encoded_form};
use super::peer::{Frames, Outgoing, Peer};
use super::translate::subscribed_message;
use crate::engine::{Encoded, Item};
use crate::protocol::decode::{self, FrameError, RawMessage, decode_binary, decode_text};
use crate::protocol::message::ErrorMessage;
use crate::protocol::{Encoding, ErrorCode, ServerMessage};
use crate::topic::Uptime;

/// A client that speaks the vocabulary of `docs/protocol.md`.
#[derive(Debug, Clone, Copy)]
pub struct Native {
    encoding: Encoding,
    /// Whether a frame may hold many messages: a subprotocol was agreed on.
    arrays: bool,
}

impl Native {
    /// A client that agreed on `subprotocol`, or on none.
    pub fn new(subprotocol: Option<Encoding>) -> Native {
        let encoding = subprotocol.unwrap_or(Encoding::Json);
        Native { encoding, arrays: subprotocol.is_some() }
    }

    fn message(self, message: &ServerMessage, frames: &mut Frames) {
        frames.push_back(Frame::of_message(message, self.encoding));
    }

    fn items(self, items: &[Item], frames: &mut Frames) {
        if !items.is_empty() {
            self.encoded(&encode_items(items, self.encoding), frames);
        }
    }

    fn encoded(self, encoded: &Encoded, frames: &mut Frames) {
        if self.arrays || encoded.ranges.len() == 1 {
            frames.push_back(Frame::of(encoded.bytes.clone(), self.encoding));
        } else {
            self.singles(encoded, frames);
        }
    }

    /// Each message in a frame of its own. A message in an array of valid text begins and ends between
    /// characters.
    fn singles(self, encoded: &Encoded, frames: &mut Frames) {
        let single = |(start, end): &(usize, usize)| encoded.bytes.slice(*start..*end);
        frames.extend(encoded.ranges.iter().map(single).map(|it| Frame::of(it, self.encoding)));
    }

    /// Gives `each` the messages of a frame, in order. A frame that cannot be read is answered.
    ///
    /// # Errors
    /// As [`Peer::read`].
    pub fn read_each(
        self,
        attachment: &Attachment,
        frame: Frame,
        mut each: impl FnMut(RawMessage),
    ) -> Result<(), Refused> {
        let decoded = match (&frame, self.encoding) {
            (Frame::Text(bytes), Encoding::Json) => {
                decode_text(std::str::from_utf8(bytes).map_err(|_| Refused::NotUtf8)?)
            }
            (Frame::Binary(bytes), Encoding::MessagePack) => decode_binary(bytes),
            (Frame::Text(_), Encoding::MessagePack) => {
                Err(FrameError::Kind { came: "text", encoding: "MessagePack" })
            }
            (Frame::Binary(_), Encoding::Json) => {
                Err(FrameError::Kind { came: "binary", encoding: "JSON" })
            }
        };
        match decoded {
            Ok(decode::Frame::One(message)) => each(message),
            Ok(decode::Frame::Many(messages)) if self.arrays => messages.into_iter().for_each(each),
            Ok(decode::Frame::Many(_)) => malformed(attachment, &FrameError::Array),
            Err(error) => malformed(attachment, &error),
        }
        Ok(())
    }
}

fn malformed(attachment: &Attachment, error: &FrameError) {
    attachment.error(ErrorMessage::new(ErrorCode::Malformed, "", error.to_string()));
}

impl Peer for Native {
    type Message = RawMessage;

    fn encoding(&self) -> Encoding {
        self.encoding
    }

    fn read(
        &mut self,
        attachment: &Attachment,
        frame: Frame,
        inbox: &mut VecDeque<RawMessage>,
    ) -> Result<(), Refused> {
        self.read_each(attachment, frame, |message| inbox.push_back(message))
    }

    fn handle(&mut self, attachment: &mut Attachment, now: Uptime, message: RawMessage) {
        attachment.handle(now, message.client());
    }

    fn write(&mut self, _: &mut Attachment, outgoing: Outgoing, frames: &mut Frames) {
        match outgoing {
            Outgoing::Message(message) => self.message(&message, frames),
            Outgoing::Changes(publication) => {
                self.encoded(encoded_form(&publication, self.encoding), frames);
            }
            Outgoing::Confirmation(publication) => {
                self.singles(encoded_form(&publication, self.encoding), frames);
            }
            Outgoing::Begin { topic, since, catch_up, own } => {
                self.message(&subscribed_message(&topic, catch_up.version, since), frames);
                self.items(&catch_up.items, frames);
                self.items(&own, frames);
            }
            Outgoing::CaughtUp { items, own, .. } => {
                self.items(&items, frames);
                self.items(&own, frames);
            }
            // Only vocabularies whose clients forget ask for it.
            Outgoing::Again(_) => {}
            Outgoing::Unsubscribed(topic_name) => {
                self.message(&ServerMessage::Unsubscribed { topic_name }, frames);
            }
            Outgoing::Removed(topic) => {
                let error = ErrorMessage::new(ErrorCode::TopicRemoved, "", "the topic was removed");
                let error = error.topic(topic.name().clone());
                self.message(&ServerMessage::Error(error), frames);
            }
        }
    }

    fn can_resume(&self) -> bool {
        true
    }
}
