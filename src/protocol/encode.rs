//! Messages to frames.
//!
//! A message is encoded once and may then go to thousands of sessions, alone or in an array with
//! others: [`join`] makes a frame of many encoded messages without looking into them.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::Encoding;
use super::message::*;
use crate::topic::{ActionId, ChangeId, ClientId, Version};
use crate::value::{Fields, Value};

/// Encodes one message.
pub fn encode<M: Serialize>(message: &M, encoding: Encoding) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(192);
    encode_into(message, encoding, &mut bytes);
    bytes
}

/// Appends an encoded message to `bytes`.
pub fn encode_into<M: Serialize>(message: &M, encoding: Encoding, bytes: &mut Vec<u8>) {
    // Messages are maps with string keys and finite numbers, and a vector takes all that is written:
    // there is nothing to fail.
    match encoding {
        Encoding::Json => serde_json::to_writer(bytes, message).expect("a message encodes"),
        Encoding::MessagePack => message
            .serialize(&mut rmp_serde::Serializer::new(bytes).with_struct_map())
            .expect("a message encodes"),
    }
}

/// One frame of many encoded messages: an array of them.
pub fn join<'a>(messages: impl ExactSizeIterator<Item = &'a [u8]>, encoding: Encoding) -> Vec<u8> {
    let mut frame = Vec::with_capacity(messages.len() * 192);
    array_start(messages.len(), encoding, &mut frame);
    for (index, message) in messages.enumerate() {
        array_separator(index, encoding, &mut frame);
        frame.extend_from_slice(message);
    }
    array_end(encoding, &mut frame);
    frame
}

/// Appends the beginning of an array of `len` messages.
pub(crate) fn array_start(len: usize, encoding: Encoding, frame: &mut Vec<u8>) {
    match encoding {
        Encoding::Json => frame.push(b'['),
        Encoding::MessagePack => match len {
            0..=15 => frame.push(0x90 | len as u8),
            16..=0xffff => {
                frame.push(0xdc);
                frame.extend_from_slice(&(len as u16).to_be_bytes());
            }
            _ => {
                frame.push(0xdd);
                frame.extend_from_slice(&(len as u32).to_be_bytes());
            }
        },
    }
}

/// Appends what stands before the message at `index` of an array.
pub(crate) fn array_separator(index: usize, encoding: Encoding, frame: &mut Vec<u8>) {
    if encoding == Encoding::Json && index > 0 {
        frame.push(b',');
    }
}

/// Appends the end of an array.
pub(crate) fn array_end(encoding: Encoding, frame: &mut Vec<u8>) {
    if encoding == Encoding::Json {
        frame.push(b']');
    }
}

/// `{"type": …, "content": …}`.
fn message<S: Serializer>(
    serializer: S,
    message_type: &'static str,
    content: &impl Serialize,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(2))?;
    map.serialize_entry("type", message_type)?;
    map.serialize_entry("content", content)?;
    map.end()
}

impl Serialize for ServerMessage {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            ServerMessage::Hello(hello) => message(s, "hello", hello),
            ServerMessage::Subscribed(subscribed) => message(s, "subscribed", subscribed),
            ServerMessage::Update(update) => message(s, "update", update),
            ServerMessage::Action(action) => message(s, "action", action),
            ServerMessage::RejectUpdate(reject) => message(s, "reject_update", reject),
            ServerMessage::Unsubscribed { topic_name } => {
                message(s, "unsubscribed", &OfTopic { topic_name })
            }
            ServerMessage::Registered { service_name } => {
                message(s, "registered", &OfService { service_name })
            }
            ServerMessage::Unregistered { service_name } => {
                message(s, "unregistered", &OfService { service_name })
            }
            ServerMessage::Request { service_name, args, request_id, client_id } => {
                let client_id = Some(*client_id);
                let timeout_ms = None;
                message(
                    s,
                    "request",
                    &Request { service_name, args, request_id, client_id, timeout_ms },
                )
            }
            ServerMessage::Response { request_id, outcome } => {
                message(s, "response", &Response::of(request_id, outcome))
            }
            ServerMessage::Error(error) => message(s, "error", error),
        }
    }
}

impl Serialize for ClientMessage {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            ClientMessage::Resume { session } => message(s, "resume", &Resume { session }),
            ClientMessage::Subscribe(subscribe) => message(s, "subscribe", subscribe),
            ClientMessage::Unsubscribe { topic_name } => {
                message(s, "unsubscribe", &OfTopic { topic_name })
            }
            ClientMessage::Update(change) => message(s, "update", change),
            ClientMessage::Action { action_id, changes } => {
                message(s, "action", &SentAction { action_id, changes })
            }
            ClientMessage::RegisterService { service_name } => {
                message(s, "register_service", &OfService { service_name })
            }
            ClientMessage::UnregisterService { service_name } => {
                message(s, "unregister_service", &OfService { service_name })
            }
            ClientMessage::Request { service_name, args, request_id, timeout_ms } => {
                let (client_id, timeout_ms) = (None, *timeout_ms);
                message(
                    s,
                    "request",
                    &Request { service_name, args, request_id, client_id, timeout_ms },
                )
            }
            ClientMessage::Response { request_id, outcome } => {
                message(s, "response", &Response::of(request_id, outcome))
            }
        }
    }
}

#[derive(Serialize)]
struct OfTopic<'a> {
    topic_name: &'a str,
}

#[derive(Serialize)]
struct OfService<'a> {
    service_name: &'a str,
}

#[derive(Serialize)]
struct Resume<'a> {
    session: &'a str,
}

#[derive(Serialize)]
struct SentAction<'a> {
    action_id: &'a ActionId,
    changes: &'a [TopicChange],
}

#[derive(Serialize)]
struct Request<'a> {
    service_name: &'a str,
    args: &'a Value,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<ClientId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_ms: Option<u64>,
}

#[derive(Serialize)]
struct Response<'a> {
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ServiceErrorContent<'a>>,
}

#[derive(Serialize)]
struct ServiceErrorContent<'a> {
    code: &'static str,
    reason: &'a str,
}

impl<'a> Response<'a> {
    fn of(request_id: &'a str, outcome: &'a Outcome) -> Response<'a> {
        let error = outcome
            .as_ref()
            .err()
            .map(|error| ServiceErrorContent { code: error.code.as_str(), reason: &error.reason });
        Response { request_id, response: outcome.as_ref().ok(), error }
    }
}

/// A change's fields with its id, and for a change on its way to the server its base.
fn change<S: Serializer>(
    serializer: S,
    fields: &Fields,
    id: Option<&ChangeId>,
    base: Option<Version>,
) -> Result<S::Ok, S::Error> {
    let len = fields.iter().len() + usize::from(id.is_some()) + usize::from(base.is_some());
    let mut map = serializer.serialize_map(Some(len))?;
    for (name, value) in fields.iter() {
        map.serialize_entry(name, value)?;
    }
    if let Some(id) = id {
        map.serialize_entry("id", id)?;
    }
    if let Some(base) = base {
        map.serialize_entry("base", &base)?;
    }
    map.end()
}

impl Serialize for SentChange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        change(serializer, &self.fields, self.id.as_ref(), self.base)
    }
}

impl Serialize for PublishedChange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        change(serializer, &self.fields, self.id.as_ref(), None)
    }
}

impl Serialize for Update {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let optional =
            [self.author.is_some(), self.snapshot, self.since.is_some(), !self.ids.is_empty()];
        let len = 4 + optional.iter().filter(|is_there| **is_there).count();
        let mut map = serializer.serialize_map(Some(len))?;
        map.serialize_entry("topic_name", &self.part.topic_name)?;
        map.serialize_entry("version", &self.part.version)?;
        map.serialize_entry("commit", &self.commit)?;
        if let Some(author) = &self.author {
            map.serialize_entry("author", author)?;
        }
        if self.snapshot {
            map.serialize_entry("snapshot", &true)?;
        }
        if let Some(since) = &self.since {
            map.serialize_entry("since", since)?;
        }
        if !self.ids.is_empty() {
            map.serialize_entry("ids", &self.ids)?;
        }
        map.serialize_entry("change", &self.part.change)?;
        map.end()
    }
}
