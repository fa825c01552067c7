//! The wire protocol: messages, and their form in JSON and MessagePack.
//!
//! This floor reads and writes; what a message leads to is decided above it. `docs/protocol.md` is the
//! protocol in words.
//!
//! | module | holds |
//! |---|---|
//! | `message` | the messages of both sides |
//! | `codes` | why something was refused |
//! | `decode` | frames to messages |
//! | `encode` | messages to frames |

pub(crate) mod codes;
pub(crate) mod decode;
pub(crate) mod encode;
pub(crate) mod message;
#[cfg(test)]
mod tests;

pub use codes::{ErrorCode, RejectCode, ServiceErrorCode};
pub use decode::{
    FRAME_MESSAGES_MAX, Frame, FrameError, Malformed, RawMessage, decode_binary, decode_text,
};
pub use encode::{encode, encode_into, join};
pub use message::{
    Action, ClientMessage, ErrorMessage, Hello, Outcome, Part, PublishedChange, RejectUpdate,
    RequestId, SentChange, ServerMessage, ServiceError, Since, Subscribe, Subscribed, TopicChange,
    Update,
};

/// How messages are written in frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// JSON in text frames.
    Json,
    /// MessagePack in binary frames, maps with string keys.
    MessagePack,
}

impl Encoding {
    /// Both.
    pub const ALL: [Encoding; 2] = [Encoding::Json, Encoding::MessagePack];

    /// The WebSocket subprotocol that chooses this encoding.
    pub fn subprotocol(self) -> &'static str {
        match self {
            Encoding::Json => "topicsync.v1.json",
            Encoding::MessagePack => "topicsync.v1.msgpack",
        }
    }

    /// The first encoding that `offered`, the value of `Sec-WebSocket-Protocol`, names.
    pub fn negotiate(offered: &str) -> Option<Encoding> {
        offered.split(',').map(str::trim).find_map(|name| {
            Encoding::ALL.into_iter().find(|encoding| encoding.subprotocol() == name)
        })
    }
}
