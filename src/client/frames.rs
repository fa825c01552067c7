//! What a replica has to send, as frames.

use ecow::eco_format;
use tokio_tungstenite::tungstenite::Message;

use super::replica::Replica;
use crate::protocol::message::{
    ClientMessage, RejectUpdate, ServerMessage, ServiceError, TopicChange,
};
use crate::protocol::{Encoding, RejectCode, ServiceErrorCode, encode};

/// How large a frame of many messages gets, in bytes.
const FRAME_BYTES_MAX: usize = 64 * 1024;
/// How many messages it holds at most.
const FRAME_MESSAGES_MAX: usize = 256;

/// How frames are written on a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wire {
    pub encoding: Encoding,
    /// Whether a frame may hold many messages.
    pub arrays: bool,
}

/// Takes what is to be sent. What is larger than the server takes is refused in its place: to send
/// it would only lose the connection, again and again.
pub(super) fn frames(replica: &mut Replica, wire: Wire) -> Vec<Message> {
    let bytes_max = replica.message_bytes_max().unwrap_or(usize::MAX);
    let mut frames = Vec::new();
    loop {
        let (mut encoded, mut refused) = (Vec::new(), Vec::new());
        for message in replica.outbox() {
            let bytes = encode::encode(&message, wire.encoding);
            match bytes.len() > bytes_max {
                true => refused.extend(refuse(message, bytes.len(), bytes_max)),
                false => encoded.push(bytes),
            }
        }
        pack(encoded, bytes_max.min(FRAME_BYTES_MAX), wire, &mut frames);
        if refused.is_empty() {
            return frames;
        }
        // What waited behind them can go out now.
        refused.into_iter().for_each(|refusal| replica.receive(refusal));
    }
}

/// What the server would say to a message that is too large.
fn refuse(message: ClientMessage, len: usize, bytes_max: usize) -> Option<ServerMessage> {
    let reason = eco_format!("the message has {len} bytes, at most {bytes_max} are allowed");
    let (first, action_id) = match message {
        ClientMessage::Update(change) => (change, None),
        ClientMessage::Action { action_id, changes } => {
            (changes.into_iter().next()?, Some(action_id.into()))
        }
        ClientMessage::Request { request_id, .. } => {
            let outcome = Err(ServiceError::new(ServiceErrorCode::Invalid, reason));
            return Some(ServerMessage::Response { request_id, outcome });
        }
        _ => return None,
    };
    let TopicChange { topic_name, change, .. } = first;
    let (topic_name, code, version) = (topic_name.into(), RejectCode::TooLarge, None);
    let reject = RejectUpdate { topic_name, code, reason, version, action_id, change };
    Some(ServerMessage::RejectUpdate(reject))
}

/// Puts encoded messages into as few frames as may be.
fn pack(encoded: Vec<Vec<u8>>, bytes_max: usize, wire: Wire, frames: &mut Vec<Message>) {
    let mut together: Vec<Vec<u8>> = Vec::new();
    let mut bytes = 0;
    for message in encoded {
        // An array adds a byte a message, and at most five around them.
        let full = bytes + message.len() + 6 > bytes_max || together.len() == FRAME_MESSAGES_MAX;
        if !together.is_empty() && (full || !wire.arrays) {
            frames.push(frame(std::mem::take(&mut together), wire.encoding));
            bytes = 0;
        }
        bytes += message.len() + 1;
        together.push(message);
    }
    if !together.is_empty() {
        frames.push(frame(together, wire.encoding));
    }
}

fn frame(mut messages: Vec<Vec<u8>>, encoding: Encoding) -> Message {
    let bytes = match messages.len() {
        1 => messages.remove(0),
        _ => encode::join(messages.iter().map(Vec::as_slice), encoding),
    };
    match encoding {
        // JSON is written as UTF-8.
        Encoding::Json => Message::Text(String::from_utf8_lossy(&bytes).into_owned().into()),
        Encoding::MessagePack => Message::Binary(bytes.into()),
    }
}
