//! The messages of both sides, as data.

use ecow::EcoString;
use serde::Serialize;
use thiserror::Error;

use super::codes::{ErrorCode, RejectCode, ServiceErrorCode};
use crate::topic::{ActionId, ChangeId, ClientId, CommitNumber, Epoch, TopicName, Version};
use crate::value::{Dict, Fields, Value};

/// What a client sends.
#[derive(Debug, Clone, PartialEq)]
pub enum ClientMessage {
    Resume { session: EcoString },
    Subscribe(Subscribe),
    Unsubscribe { topic_name: TopicName },
    Update(TopicChange),
    Action { action_id: ActionId, changes: Vec<TopicChange> },
    RegisterService { service_name: EcoString },
    UnregisterService { service_name: EcoString },
    Request { service_name: EcoString, args: Value, request_id: RequestId, timeout_ms: Option<u64> },
    Response { request_id: RequestId, outcome: Outcome },
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Subscribe {
    pub topic_name: TopicName,
    /// Makes the topic if there is none.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub topic_type: Option<EcoString>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub options: Option<Value>,
    /// What the client has already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Since>,
}

/// A version that a client has, of one life of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Since {
    pub epoch: Epoch,
    pub version: Version,
}

/// A change as its author sends it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TopicChange {
    pub topic_name: TopicName,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Epoch>,
    pub change: SentChange,
}

/// A change's fields, and beside them what every change has.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SentChange {
    pub fields: Fields,
    pub id: Option<ChangeId>,
    /// The version that the author had received.
    pub base: Option<Version>,
}

/// Chosen by who asks, and handed back.
pub type RequestId = EcoString;

/// What a service came to.
pub type Outcome = Result<Value, ServiceError>;

/// Why a request was not answered with a value.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{code}: {reason}")]
pub struct ServiceError {
    pub code: ServiceErrorCode,
    pub reason: EcoString,
}

impl ServiceError {
    pub fn new(code: ServiceErrorCode, reason: impl Into<EcoString>) -> ServiceError {
        ServiceError { code, reason: reason.into() }
    }
}

/// What a server sends.
#[derive(Debug, Clone, PartialEq)]
pub enum ServerMessage {
    Hello(Hello),
    Subscribed(Subscribed),
    Update(Update),
    Action(Action),
    RejectUpdate(RejectUpdate),
    Unsubscribed { topic_name: TopicName },
    Registered { service_name: EcoString },
    Unregistered { service_name: EcoString },
    Request { service_name: EcoString, args: Value, request_id: RequestId, client_id: ClientId },
    Response { request_id: RequestId, outcome: Outcome },
    Error(ErrorMessage),
}

impl ServerMessage {
    /// About how many bytes the message takes in memory, beside a constant. Walks the values in it.
    pub fn bytes_about(&self) -> usize {
        match self {
            ServerMessage::Request { service_name, args, request_id, .. } => {
                service_name.len() + request_id.len() + args.bytes_about()
            }
            ServerMessage::Response { request_id, outcome } => {
                let outcome = match outcome {
                    Ok(value) => value.bytes_about(),
                    Err(error) => error.reason.len(),
                };
                request_id.len() + outcome
            }
            ServerMessage::RejectUpdate(reject) => {
                let fields = reject.change.fields.iter();
                let fields = fields.map(|(key, value)| key.len() + value.bytes_about());
                reject.topic_name.len() + reject.reason.len() + fields.sum::<usize>()
            }
            ServerMessage::Error(error) => error.reason.len(),
            ServerMessage::Update(update) => part_bytes(&update.part),
            ServerMessage::Action(action) => action.changes.iter().map(part_bytes).sum(),
            // Names alone, which are short.
            _ => 128,
        }
    }
}

fn part_bytes(part: &Part) -> usize {
    let fields = part.change.fields.iter();
    fields.map(|(key, value)| key.len() + value.bytes_about()).sum()
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Hello {
    pub id: ClientId,
    /// The token by which the session is resumed.
    pub session: EcoString,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub resumed: bool,
    /// The version of the protocol.
    pub protocol: u64,
    pub server: EcoString,
    /// `message_bytes`, `subscriptions`, `name_bytes`, `nesting`.
    pub limits: Dict,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Subscribed {
    pub topic_name: TopicName,
    #[serde(rename = "type")]
    pub topic_type: EcoString,
    pub options: Dict,
    pub epoch: Epoch,
    /// The head.
    pub version: Version,
    /// What follows is what was missed since, and no snapshot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Version>,
}

/// One topic's change, as published, or its whole value.
#[derive(Debug, Clone, PartialEq)]
pub struct Update {
    pub part: Part,
    pub commit: CommitNumber,
    pub author: Option<ClientId>,
    /// The change is a `set` of the whole value at this version.
    pub snapshot: bool,
    /// Of several changes composed: the version before the first.
    pub since: Option<Version>,
    /// Of several changes composed: their ids.
    pub ids: Vec<ChangeId>,
}

/// A change of one topic, within an `update` or `action`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Part {
    pub topic_name: TopicName,
    pub version: Version,
    pub change: PublishedChange,
}

#[derive(Debug, Clone, PartialEq)]
pub struct PublishedChange {
    pub fields: Fields,
    pub id: Option<ChangeId>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Action {
    pub action_id: ActionId,
    pub commit: CommitNumber,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<ClientId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undoes: Option<EcoString>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redoes: Option<EcoString>,
    pub changes: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RejectUpdate {
    pub topic_name: EcoString,
    pub code: RejectCode,
    pub reason: EcoString,
    /// The topic's head.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// Of an action: its id, `change` being the one that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action_id: Option<EcoString>,
    pub change: SentChange,
}

#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize)]
#[error("{code}: {reason}")]
pub struct ErrorMessage {
    pub code: ErrorCode,
    pub reason: EcoString,
    /// The type of the message that this answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<EcoString>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic_name: Option<EcoString>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_name: Option<EcoString>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<EcoString>,
}

impl ErrorMessage {
    pub fn new(code: ErrorCode, to: &str, reason: impl Into<EcoString>) -> ErrorMessage {
        ErrorMessage {
            code,
            reason: reason.into(),
            to: Some(to.into()).filter(|to: &EcoString| !to.is_empty()),
            topic_name: None,
            service_name: None,
            request_id: None,
        }
    }

    #[must_use]
    pub fn topic(self, topic_name: impl Into<EcoString>) -> ErrorMessage {
        ErrorMessage { topic_name: Some(topic_name.into()), ..self }
    }

    #[must_use]
    pub fn service(self, service_name: impl Into<EcoString>) -> ErrorMessage {
        ErrorMessage { service_name: Some(service_name.into()), ..self }
    }

    #[must_use]
    pub fn request(self, request_id: impl Into<EcoString>) -> ErrorMessage {
        ErrorMessage { request_id: Some(request_id.into()), ..self }
    }
}
