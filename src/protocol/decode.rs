//! Frames to messages.
//!
//! Reading goes in two steps. A frame becomes [`RawMessage`]s: a type, and whatever fields there are,
//! in any order and of any kind. Then [`RawMessage::client`] or [`RawMessage::server`] makes a typed
//! message of it, or says what is wrong ([`Malformed`]), with all that could be read: so a change that
//! cannot be taken is still answered under its own id.

use std::fmt;

use ecow::{EcoString, eco_format};
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use thiserror::Error;

use super::codes::{ErrorCode, RejectCode, ServiceErrorCode};
use super::message::*;
use crate::topic::{
    ActionId, ChangeId, ClientId, CommitNumber, Epoch, NameError, TopicName, Version,
};
use crate::value::decode::{KeySeed, ValueSeed};
use crate::value::fields::FieldsSeed;
use crate::value::limits::NESTING_MAX;
use crate::value::wide::narrowed_text;
use crate::value::{Dict, Fields, Key, LimitError, Value};

/// How many messages one frame holds at most.
pub const FRAME_MESSAGES_MAX: usize = 10_000;

/// How many containers nest in a frame at most: a topic's value, and the messages around it. Reading
/// recurses, and a thread's stack is small. JSON has this limit of itself.
const FRAME_NESTING_MAX: usize = 128;

/// How many containers nest in an answer of the server's: a value, in what says of which topic and
/// version it is.
const ANSWER_NESTING_MAX: usize = NESTING_MAX + 8;

/// Why a whole frame cannot be read.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the message of each variant says what it is")]
pub enum FrameError {
    #[error("not JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("not MessagePack: {0}")]
    MessagePack(#[from] rmp_serde::decode::Error),
    #[error("something follows the message")]
    Trailing,
    #[error("a frame holds at most {FRAME_MESSAGES_MAX} messages")]
    TooManyMessages,
    #[error("a frame holds one message without a subprotocol")]
    Array,
    #[error("a {came} frame came, and this connection speaks {encoding}")]
    Kind { came: &'static str, encoding: &'static str },
}

/// A message whose type and fields were read, and not yet looked at.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RawMessage {
    /// Empty where there was none.
    pub message_type: Key,
    content: Content,
}

/// The fields of a message, `change` and `changes` apart from the others.
#[derive(Debug, Clone, Default, PartialEq)]
struct Content {
    fields: Fields,
    change: Option<Fields>,
    changes: Option<Vec<Content>>,
    /// The first limit that a value in here broke.
    problem: Option<LimitError>,
}

/// A message that could be read and not understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Malformed {
    /// What kind of error it is.
    pub code: ErrorCode,
    /// What is wrong, in words.
    pub reason: EcoString,
    /// The message's type.
    pub to: EcoString,
    /// The topic that it names.
    pub topic_name: Option<EcoString>,
    /// The service that it names.
    pub service_name: Option<EcoString>,
    /// The request that it is, or answers.
    pub request_id: Option<EcoString>,
    /// The action that it is.
    pub action_id: Option<EcoString>,
    /// The change that is wrong, as far as it could be read.
    pub change: Option<SentChange>,
}

/// Reads a text frame: one message, or an array of them.
///
/// # Errors
/// The frame is not JSON, or holds too many messages.
pub fn decode_text(text: &str) -> Result<Frame, FrameError> {
    let text = narrowed_text(text);
    let mut deserializer = serde_json::Deserializer::from_str(&text);
    let frame = FrameSeed.deserialize(&mut deserializer)?;
    deserializer.end()?;
    frame.check()
}

/// Reads a binary frame: one message, or an array of them.
///
/// # Errors
/// The frame is not MessagePack, or holds too many messages.
pub fn decode_binary(bytes: &[u8]) -> Result<Frame, FrameError> {
    let mut deserializer = rmp_serde::Deserializer::from_read_ref(bytes);
    deserializer.set_max_depth(FRAME_NESTING_MAX);
    let frame = FrameSeed.deserialize(&mut deserializer)?;
    // The deserializer does not tell where it stopped, but it knows whether anything follows.
    match IgnoredAny::deserialize(&mut deserializer) {
        Err(rmp_serde::decode::Error::InvalidMarkerRead(error))
            if error.kind() == std::io::ErrorKind::UnexpectedEof =>
        {
            frame.check()
        }
        _ => Err(FrameError::Trailing),
    }
}

/// What one frame holds.
#[derive(Debug, PartialEq)]
pub enum Frame {
    /// A message.
    One(RawMessage),
    /// An array of messages, in order.
    Many(Vec<RawMessage>),
}

impl Frame {
    fn check(self) -> Result<Frame, FrameError> {
        match &self {
            Frame::Many(messages) if messages.len() > FRAME_MESSAGES_MAX => {
                Err(FrameError::TooManyMessages)
            }
            _ => Ok(self),
        }
    }
}

impl IntoIterator for Frame {
    type Item = RawMessage;
    type IntoIter = std::vec::IntoIter<RawMessage>;

    fn into_iter(self) -> Self::IntoIter {
        match self {
            Frame::One(message) => vec![message].into_iter(),
            Frame::Many(messages) => messages.into_iter(),
        }
    }
}

/// Implements `DeserializeSeed` by a visitor that is its own seed and takes whatever comes.
macro_rules! any_seed {
    ($seed:ty => $value:ty, $expecting:literal, { $($visit:item)* }) => {
        impl<'de> DeserializeSeed<'de> for $seed {
            type Value = $value;

            fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<$value, D::Error> {
                d.deserialize_any(self)
            }
        }

        impl<'de> Visitor<'de> for $seed {
            type Value = $value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($expecting)
            }

            $($visit)*
        }
    };
}

/// Visits of a scalar, each of which gives the default: a message, say, that is no map.
macro_rules! scalars_are_default {
    () => {
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(Default::default())
        }

        fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
            Ok(Default::default())
        }

        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
            Ok(Default::default())
        }

        fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
            Ok(Default::default())
        }

        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
            Ok(Default::default())
        }

        fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
            Ok(Default::default())
        }

        fn visit_bytes<E>(self, _: &[u8]) -> Result<Self::Value, E> {
            Ok(Default::default())
        }
    };
}

struct FrameSeed;

any_seed!(FrameSeed => Frame, "a message or an array of messages", {
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Frame, A::Error> {
        MessageSeed.visit_map(map).map(Frame::One)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Frame, A::Error> {
        let mut messages = Vec::new();
        while messages.len() <= FRAME_MESSAGES_MAX {
            match seq.next_element_seed(MessageSeed)? {
                Some(message) => messages.push(message),
                None => return Ok(Frame::Many(messages)),
            }
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Frame::Many(messages))
    }
});

struct MessageSeed;

any_seed!(MessageSeed => RawMessage, "a message", {
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawMessage, A::Error> {
        let mut message = RawMessage::default();
        while let Some(name) = map.next_key_seed(KeySeed)? {
            match name.as_str() {
                "type" => message.message_type = map.next_value_seed(TextSeed)?,
                "content" => message.content = map.next_value_seed(ContentSeed)?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(message)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<RawMessage, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(RawMessage::default())
    }

    scalars_are_default!();
});

struct ContentSeed;

any_seed!(ContentSeed => Content, "the content of a message", {
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Content, A::Error> {
        let mut content = Content::default();
        while let Some(name) = map.next_key_seed(KeySeed)? {
            match name.as_str() {
                "change" => content.change = map.next_value_seed(ChangeSeed(&mut content.problem))?,
                "changes" => content.changes = Some(map.next_value_seed(ChangesSeed)?),
                _ => {
                    let nesting = if name == "response" { ANSWER_NESTING_MAX } else { NESTING_MAX };
                    let problem = &mut content.problem;
                    let value = map.next_value_seed(ValueSeed { problem, nesting })?;
                    content.fields.push(name, value);
                }
            }
        }
        Ok(content)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Content, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Content::default())
    }

    scalars_are_default!();
});

struct ChangesSeed;

any_seed!(ChangesSeed => Vec<Content>, "the changes of an action", {
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<Content>, A::Error> {
        let mut changes = Vec::new();
        while let Some(change) = seq.next_element_seed(ContentSeed)? {
            changes.push(change);
        }
        Ok(changes)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<Content>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Vec::new())
    }

    scalars_are_default!();
});

struct ChangeSeed<'a>(&'a mut Option<LimitError>);

any_seed!(ChangeSeed<'_> => Option<Fields>, "a change", {
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Option<Fields>, A::Error> {
        FieldsSeed { problem: self.0 }.visit_map(map).map(Some)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Option<Fields>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    scalars_are_default!();
});

/// A string, or the empty one in place of what is none.
struct TextSeed;

any_seed!(TextSeed => Key, "a string", {
    fn visit_unit<E>(self) -> Result<Key, E> {
        Ok(Key::new())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Key, E> {
        Ok(Key::new())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Key, E> {
        Ok(Key::new())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Key, E> {
        Ok(Key::new())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Key, E> {
        Ok(Key::new())
    }

    fn visit_str<E>(self, text: &str) -> Result<Key, E> {
        Ok(text.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Key, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Key::new())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Key, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Key::new())
    }
});

/// What is wrong with one field or name.
type Wrong = EcoString;

fn wrong(field: &str, expected: &str) -> Wrong {
    eco_format!("{field:?} must be {expected}")
}

fn name_error(error: NameError) -> Wrong {
    eco_format!("{error}")
}

impl Content {
    fn string(&self, field: &str) -> Result<EcoString, Wrong> {
        self.optional_string(field)?.ok_or_else(|| eco_format!("{field:?} is missing"))
    }

    fn optional_string(&self, field: &str) -> Result<Option<EcoString>, Wrong> {
        match self.fields.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.into())),
            Some(_) => Err(wrong(field, "a string")),
        }
    }

    fn number(&self, field: &str) -> Result<u64, Wrong> {
        self.optional_number(field)?.ok_or_else(|| eco_format!("{field:?} is missing"))
    }

    fn optional_number(&self, field: &str) -> Result<Option<u64>, Wrong> {
        match self.fields.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match value.as_int().map(u64::try_from) {
                Some(Ok(number)) => Ok(Some(number)),
                _ => Err(wrong(field, "a whole number from 0")),
            },
        }
    }

    fn flag(&self, field: &str) -> bool {
        matches!(self.fields.get(field), Some(Value::Bool(true)))
    }

    fn dict(&self, field: &str) -> Dict {
        match self.fields.get(field) {
            Some(Value::Dict(dict)) => dict.clone(),
            _ => Dict::new(),
        }
    }

    fn topic_name(&self) -> Result<TopicName, Wrong> {
        TopicName::new(self.string("topic_name")?).map_err(name_error)
    }

    fn service_name(&self) -> Result<EcoString, Wrong> {
        self.string("service_name")
            .and_then(|name| TopicName::new(name).map_err(name_error))
            .map(EcoString::from)
    }

    fn request_id(&self) -> Result<EcoString, Wrong> {
        let id = self.string("request_id")?;
        ActionId::new(id).map(EcoString::from).map_err(name_error)
    }

    /// The first limit that was broken anywhere in here.
    fn check_limits(&self) -> Result<(), Wrong> {
        self.problem.map_or(Ok(()), |problem| Err(eco_format!("{problem}")))
    }

    fn epoch(&self) -> Result<Option<Epoch>, Wrong> {
        self.optional_string("epoch")?.map(Epoch::new).transpose().map_err(name_error)
    }

    fn topic_change(&mut self) -> Result<TopicChange, Wrong> {
        let topic_name = self.topic_name()?;
        let epoch = self.epoch()?;
        self.check_limits()?;
        let change = self.take_change()?;
        Ok(TopicChange { topic_name, epoch, change })
    }

    /// Takes the change out, its `id` and `base` apart from the fields that are for the topic's type.
    /// On an error it stays where it is, to be named in the answer.
    fn take_change(&mut self) -> Result<SentChange, Wrong> {
        let fields = self.change.as_ref().ok_or("\"change\" must be a map")?;
        let id = match fields.get("id") {
            None | Some(Value::Null) => None,
            Some(Value::String(id)) => Some(ChangeId::new(id).map_err(name_error)?),
            Some(_) => return Err(wrong("id", "a string")),
        };
        let base = match fields.get("base") {
            None | Some(Value::Null) => None,
            Some(base) => match base.as_int().map(u64::try_from) {
                Some(Ok(base)) => Some(Version(base)),
                _ => return Err(wrong("base", "a version")),
            },
        };
        let mut fields = self.change.take().unwrap_or_default();
        fields.take("id");
        fields.take("base");
        Ok(SentChange { fields, id, base })
    }

    fn since(&self) -> Result<Option<Since>, Wrong> {
        match self.fields.get("since") {
            None | Some(Value::Null) => Ok(None),
            Some(since) => {
                let mut fields = Fields::default();
                if let Value::Dict(dict) = since {
                    dict.iter().for_each(|(key, value)| fields.push(key.clone(), value.clone()));
                }
                let content = Content { fields, ..Content::default() };
                let epoch = content.string("epoch")?;
                let version = Version(content.number("version")?);
                Ok(Some(Since { epoch: Epoch::new(epoch).map_err(name_error)?, version }))
            }
        }
    }

    fn subscribe(&mut self) -> Result<ClientMessage, Wrong> {
        self.check_limits()?;
        Ok(ClientMessage::Subscribe(Subscribe {
            topic_name: self.topic_name()?,
            topic_type: self.optional_string("type")?,
            options: self.fields.take("options"),
            since: self.since()?,
        }))
    }

    fn action(&mut self) -> Result<ClientMessage, Wrong> {
        let action_id = ActionId::new(self.string("action_id")?).map_err(name_error)?;
        self.check_limits()?;
        let changes = self.changes.as_mut().ok_or("\"changes\" is missing")?;
        let changes = changes.iter_mut().map(Content::topic_change).collect::<Result<_, _>>()?;
        Ok(ClientMessage::Action { action_id, changes })
    }

    fn request(&mut self) -> Result<ClientMessage, Wrong> {
        self.check_limits()?;
        Ok(ClientMessage::Request {
            service_name: self.service_name()?,
            args: self.fields.take("args").unwrap_or_default(),
            request_id: self.request_id()?,
            timeout_ms: self.optional_number("timeout_ms")?,
        })
    }

    fn outcome(&mut self, nesting_max: usize) -> Result<Outcome, Wrong> {
        self.check_limits()?;
        let Some(error) = self.fields.take("error").filter(|error| *error != Value::Null) else {
            let response = self.fields.take("response").unwrap_or_default();
            response.check_within(nesting_max).map_err(|problem| eco_format!("{problem}"))?;
            return Ok(Ok(response));
        };
        let text = |field: &str| match &error {
            Value::Dict(dict) => dict.get(field).and_then(Value::as_text).map(EcoString::from),
            _ => None,
        };
        let code = text("code").and_then(|code| ServiceErrorCode::from_code(&code));
        Ok(Err(ServiceError {
            code: code.unwrap_or(ServiceErrorCode::Failed),
            reason: text("reason").unwrap_or_default(),
        }))
    }
}

/// A change whose values broke a limit, or that is ill-formed otherwise: what of it can be repeated.
fn salvage(fields: &Fields) -> SentChange {
    let id = fields.get("id").and_then(Value::as_text).and_then(|id| ChangeId::new(id).ok());
    let base = fields.get("base").and_then(Value::as_int).and_then(|base| base.try_into().ok());
    let change_type: EcoString = fields.change_type().chars().take(64).collect();
    SentChange { fields: Fields::of_type(&change_type), id, base: base.map(Version) }
}

impl RawMessage {
    /// Reads this as a message of a client.
    ///
    /// # Errors
    /// What is wrong with it, and what it was about.
    pub fn client(mut self) -> Result<ClientMessage, Box<Malformed>> {
        let content = &mut self.content;
        let read = match self.message_type.as_str() {
            "update" => content.topic_change().map(ClientMessage::Update),
            "action" => content.action(),
            "subscribe" => content.subscribe(),
            "unsubscribe" => {
                content.topic_name().map(|topic_name| ClientMessage::Unsubscribe { topic_name })
            }
            "request" => content.request(),
            "response" => content.request_id().and_then(|request_id| {
                let outcome = content.outcome(NESTING_MAX)?;
                Ok(ClientMessage::Response { request_id, outcome })
            }),
            "register_service" => content
                .service_name()
                .map(|service_name| ClientMessage::RegisterService { service_name }),
            "unregister_service" => content
                .service_name()
                .map(|service_name| ClientMessage::UnregisterService { service_name }),
            "resume" => content.string("session").map(|session| ClientMessage::Resume { session }),
            _ => return Err(self.unknown_type()),
        };
        read.map_err(|reason| self.malformed(reason))
    }

    /// Reads this as a message of a server.
    ///
    /// # Errors
    /// What is wrong with it; `unknown_type` is for a client to ignore.
    pub fn server(mut self) -> Result<ServerMessage, Box<Malformed>> {
        let content = &mut self.content;
        let read = match self.message_type.as_str() {
            "hello" => content.hello(),
            "subscribed" => content.subscribed(),
            "update" => content.update(),
            "action" => content.published_action(),
            "reject_update" => content.reject_update(),
            "unsubscribed" => {
                content.topic_name().map(|topic_name| ServerMessage::Unsubscribed { topic_name })
            }
            "registered" => content
                .service_name()
                .map(|service_name| ServerMessage::Registered { service_name }),
            "unregistered" => content
                .service_name()
                .map(|service_name| ServerMessage::Unregistered { service_name }),
            "request" => content.served_request(),
            "response" => content.request_id().and_then(|request_id| {
                let outcome = content.outcome(ANSWER_NESTING_MAX)?;
                Ok(ServerMessage::Response { request_id, outcome })
            }),
            "error" => content.error(),
            _ => return Err(self.unknown_type()),
        };
        read.map_err(|reason| self.malformed(reason))
    }

    fn unknown_type(&self) -> Box<Malformed> {
        match self.message_type.as_str() {
            "" => self.malformed("a message is {\"type\": …, \"content\": {…}}".into()),
            to => {
                let to: EcoString = to.chars().take(TYPE_CHARS_MAX).collect();
                let reason = eco_format!("there is no message {to:?}");
                Box::new(Malformed { code: ErrorCode::UnknownType, ..*self.malformed(reason) })
            }
        }
    }

    /// What of this message can be repeated to its sender.
    fn malformed(&self, reason: EcoString) -> Box<Malformed> {
        // Of an action, the first change that was not taken is the one that is wrong.
        let of_action = self.content.changes.iter().flatten().find(|part| part.change.is_some());
        let part = of_action.unwrap_or(&self.content);
        Box::new(Malformed {
            code: ErrorCode::Malformed,
            reason,
            to: self.message_type.chars().take(TYPE_CHARS_MAX).collect(),
            topic_name: part.repeatable("topic_name"),
            service_name: self.content.repeatable("service_name"),
            request_id: self.content.repeatable("request_id"),
            action_id: self.content.repeatable("action_id"),
            change: part.change.as_ref().map(salvage),
        })
    }
}

/// How much of an unknown message type is repeated.
const TYPE_CHARS_MAX: usize = 64;

impl Content {
    /// A string that is short enough to be repeated in an answer.
    fn repeatable(&self, field: &str) -> Option<EcoString> {
        let text = self.fields.get(field)?.as_text()?;
        (text.len_bytes() <= TopicName::BYTES_MAX).then(|| text.into())
    }
}

/// The messages of a server, for clients.
impl Content {
    fn hello(&mut self) -> Result<ServerMessage, Wrong> {
        Ok(ServerMessage::Hello(Hello {
            id: ClientId(self.number("id")?),
            session: self.string("session")?,
            resumed: self.flag("resumed"),
            protocol: self.optional_number("protocol")?.unwrap_or(1),
            server: self.optional_string("server")?.unwrap_or_default(),
            limits: self.dict("limits"),
        }))
    }

    fn subscribed(&mut self) -> Result<ServerMessage, Wrong> {
        Ok(ServerMessage::Subscribed(Subscribed {
            topic_name: self.topic_name()?,
            topic_type: self.string("type")?,
            options: self.dict("options"),
            epoch: Epoch::new(self.string("epoch")?).map_err(name_error)?,
            version: Version(self.number("version")?),
            since: self.optional_number("since")?.map(Version),
        }))
    }

    fn part(&mut self) -> Result<Part, Wrong> {
        let SentChange { fields, id, .. } = self.take_change()?;
        Ok(Part {
            topic_name: self.topic_name()?,
            version: Version(self.number("version")?),
            change: PublishedChange { fields, id },
        })
    }

    fn author(&self) -> Result<Option<ClientId>, Wrong> {
        Ok(self.optional_number("author")?.map(ClientId))
    }

    fn update(&mut self) -> Result<ServerMessage, Wrong> {
        let ids = match self.fields.take("ids") {
            Some(Value::List(ids)) => {
                ids.iter().filter_map(|id| ChangeId::new(id.as_text()?).ok()).collect()
            }
            _ => Vec::new(),
        };
        Ok(ServerMessage::Update(Update {
            part: self.part()?,
            commit: CommitNumber(self.number("commit")?),
            author: self.author()?,
            snapshot: self.flag("snapshot"),
            since: self.optional_number("since")?.map(Version),
            ids,
        }))
    }

    fn published_action(&mut self) -> Result<ServerMessage, Wrong> {
        let changes = self.changes.as_mut().ok_or("\"changes\" is missing")?;
        let changes = changes.iter_mut().map(Content::part).collect::<Result<_, _>>()?;
        Ok(ServerMessage::Action(Action {
            action_id: ActionId::new(self.string("action_id")?).map_err(name_error)?,
            commit: CommitNumber(self.number("commit")?),
            author: self.author()?,
            undoes: self.optional_string("undoes")?,
            redoes: self.optional_string("redoes")?,
            changes,
        }))
    }

    fn reject_update(&mut self) -> Result<ServerMessage, Wrong> {
        let code = self.string("code")?;
        let change = self.change.is_some().then(|| self.take_change()).transpose()?;
        Ok(ServerMessage::RejectUpdate(RejectUpdate {
            topic_name: self.string("topic_name")?,
            code: RejectCode::from_code(&code).ok_or_else(|| wrong("code", "a code"))?,
            reason: self.optional_string("reason")?.unwrap_or_default(),
            version: self.optional_number("version")?.map(Version),
            action_id: self.optional_string("action_id")?,
            change: change.unwrap_or_default(),
        }))
    }

    fn served_request(&mut self) -> Result<ServerMessage, Wrong> {
        Ok(ServerMessage::Request {
            service_name: self.service_name()?,
            args: self.fields.take("args").unwrap_or_default(),
            request_id: self.request_id()?,
            client_id: ClientId(self.number("client_id")?),
        })
    }

    fn error(&mut self) -> Result<ServerMessage, Wrong> {
        let code = self.string("code")?;
        Ok(ServerMessage::Error(ErrorMessage {
            code: ErrorCode::from_code(&code).ok_or_else(|| wrong("code", "a code"))?,
            reason: self.optional_string("reason")?.unwrap_or_default(),
            to: self.optional_string("to")?,
            topic_name: self.optional_string("topic_name")?,
            service_name: self.optional_string("service_name")?,
            request_id: self.optional_string("request_id")?,
        }))
    }
}
