//! Publications as frames: encoded once for each encoding, and shared by all who get them.

use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use crate::engine::{Item, Publication, TopicCell};
use crate::exchange::item_message;
use crate::protocol::encode::{self, encode_into};
use crate::protocol::{Encoding, ServerMessage};
use crate::topic::Version;

/// A publication as one frame.
pub struct EncodedFrame {
    /// All messages: an array of them if there are several.
    pub frame: Message,
    /// Where each message lies in the frame, for those who take one a frame.
    ranges: SmallVec<[(usize, usize); 1]>,
    /// The topics in it, and to which version it brings each.
    pub leads_to: SmallVec<[(Arc<TopicCell>, Version); 1]>,
    pub bytes: usize,
}

impl EncodedFrame {
    /// The encoded form of `publication`, made by the first who asks.
    pub fn of(publication: &Publication, encoding: Encoding) -> Arc<EncodedFrame> {
        let slot = &publication.encoded[encoding as usize];
        let encoded =
            slot.get_or_init(|| Arc::new(EncodedFrame::new(&publication.items, encoding)));
        // Nothing else is put into the slots.
        encoded.clone().downcast().expect("the slot holds an encoded frame")
    }

    /// Encodes messages as one frame.
    pub fn new(items: &[Item], encoding: Encoding) -> EncodedFrame {
        let mut bytes = Vec::with_capacity(items.len() * 192);
        let mut ranges = SmallVec::with_capacity(items.len());
        let mut leads_to: SmallVec<[(Arc<TopicCell>, Version); 1]> = SmallVec::new();
        if items.len() != 1 {
            encode::array_start(items.len(), encoding, &mut bytes);
        }
        for (index, item) in items.iter().enumerate() {
            encode::array_separator(index, encoding, &mut bytes);
            let start = bytes.len();
            encode_into(&item_message(item), encoding, &mut bytes);
            ranges.push((start, bytes.len()));
            for part in &item.parts {
                match leads_to.iter_mut().find(|(topic, _)| Arc::ptr_eq(topic, &part.topic)) {
                    Some((_, version)) => *version = part.version,
                    None => leads_to.push((part.topic.clone(), part.version)),
                }
            }
        }
        if items.len() != 1 {
            encode::array_end(encoding, &mut bytes);
        }
        let len = bytes.len();
        EncodedFrame { frame: frame(bytes, encoding), ranges, leads_to, bytes: len }
    }

    /// Each message in a frame of its own.
    pub fn singles(&self) -> impl Iterator<Item = Message> + '_ {
        self.ranges.iter().map(|(start, end)| match &self.frame {
            // A message in an array of valid text begins and ends between characters.
            Message::Text(text) => Message::Text(text[*start..*end].into()),
            other => Message::Binary(other.clone().into_data().slice(*start..*end)),
        })
    }
}

/// One message as a frame.
pub fn encode_frame(message: &ServerMessage, encoding: Encoding) -> Message {
    frame(encode::encode(message, encoding), encoding)
}

fn frame(bytes: Vec<u8>, encoding: Encoding) -> Message {
    match encoding {
        Encoding::Json => {
            let text = Utf8Bytes::try_from(Bytes::from(bytes));
            Message::Text(text.expect("JSON is valid UTF-8"))
        }
        Encoding::MessagePack => Message::Binary(bytes.into()),
    }
}
