//! Frames of bytes: publications encoded once for each encoding, and shared by all who get them.

use bytes::Bytes;
use smallvec::SmallVec;

use super::translate::item_message;
use crate::engine::{Encoded, Item, Publication};
use crate::protocol::encode::{self, encode_into};
use crate::protocol::{Encoding, ServerMessage};

/// What one WebSocket frame carries. A clone is a pointer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// Text: valid UTF-8.
    Text(Bytes),
    /// Anything.
    Binary(Bytes),
}

impl Frame {
    /// How many bytes the frame carries.
    pub fn len(&self) -> usize {
        match self {
            Frame::Text(bytes) | Frame::Binary(bytes) => bytes.len(),
        }
    }

    /// Whether the frame carries nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes in `encoding` as the kind of frame that carries it.
    pub(super) fn of(bytes: Bytes, encoding: Encoding) -> Frame {
        match encoding {
            Encoding::Json => Frame::Text(bytes),
            Encoding::MessagePack => Frame::Binary(bytes),
        }
    }

    /// One message in a frame of its own.
    pub(super) fn of_message(message: &ServerMessage, encoding: Encoding) -> Frame {
        Frame::of(encode::encode(message, encoding).into(), encoding)
    }
}

/// The encoded form of `publication`, made by the first who asks.
pub fn encoded_form(publication: &Publication, encoding: Encoding) -> &Encoded {
    publication.encoded[encoding as usize]
        .get_or_init(|| encode_items(&publication.items, encoding))
}

/// Encodes messages as one frame: an array, unless there is just one.
pub fn encode_items(items: &[Item], encoding: Encoding) -> Encoded {
    let mut bytes = Vec::with_capacity(items.len() * 192);
    let mut ranges = SmallVec::with_capacity(items.len());
    let mut leads_to: SmallVec<[_; 1]> = SmallVec::new();
    if items.len() != 1 {
        encode::array_start(items.len(), encoding, &mut bytes);
    }
    for (index, item) in items.iter().enumerate() {
        encode::array_separator(index, encoding, &mut bytes);
        let start = bytes.len();
        encode_into(&item_message(item), encoding, &mut bytes);
        ranges.push((start, bytes.len()));
        for part in &item.parts {
            match leads_to.iter_mut().find(|(topic, _)| std::sync::Arc::ptr_eq(topic, &part.topic))
            {
                Some((_, version)) => *version = part.version,
                None => leads_to.push((part.topic.clone(), part.version)),
            }
        }
    }
    if items.len() != 1 {
        encode::array_end(encoding, &mut bytes);
    }
    Encoded { bytes: bytes.into(), ranges, leads_to }
}
