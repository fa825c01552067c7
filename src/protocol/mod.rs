//! The wire protocol: messages, and their form in JSON and MessagePack.
//!
//! This floor reads and writes; what a message leads to is decided above it. `docs/protocol.md` is the
//! protocol in words.
//!
//! | module | holds |
//! |---|---|
//! | [`message`] | the messages of both sides |
//! | [`codes`] | why something was refused |
//! | [`decode`] | frames to messages |
//! | [`encode`] | messages to frames |

pub mod codes;
pub mod decode;
pub mod encode;
pub mod message;
#[cfg(test)]
mod tests;

pub use codes::{ErrorCode, RejectCode, ServiceErrorCode};
pub use message::{ClientMessage, ServerMessage};

/// How messages are written in frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// JSON in text frames.
    Json,
    /// MessagePack in binary frames, maps with string keys.
    MessagePack,
}

impl Encoding {
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
