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
    /// Takes a session back, first after `hello`.
    Resume {
        /// The session's token.
        session: EcoString,
    },
    /// Asks for a topic's value, and for every change from then on.
    Subscribe(Subscribe),
    /// Wants no more of a topic.
    Unsubscribe {
        /// The topic.
        topic_name: TopicName,
    },
    /// A change of one topic.
    Update(TopicChange),
    /// Changes that take effect together or not at all.
    Action {
        /// Chosen by the author.
        action_id: ActionId,
        /// In order; at least one.
        changes: Vec<TopicChange>,
    },
    /// Offers a service.
    RegisterService {
        /// Its name.
        service_name: EcoString,
    },
    /// Offers a service no longer.
    UnregisterService {
        /// Its name.
        service_name: EcoString,
    },
    /// Asks a service for something.
    Request {
        /// The service.
        service_name: EcoString,
        /// What it is asked for.
        args: Value,
        /// Comes back with the response.
        request_id: RequestId,
        /// How long the request waits for its response; the server's limit if not said.
        timeout_ms: Option<u64>,
    },
    /// Answers a request.
    Response {
        /// The request's id.
        request_id: RequestId,
        /// The answer, or why there is none.
        outcome: Outcome,
    },
}

/// What a `subscribe` asks for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Subscribe {
    /// The topic.
    pub topic_name: TopicName,
    /// Makes the topic if there is none.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub topic_type: Option<EcoString>,
    /// What the topic is made with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub options: Option<Value>,
    /// What the client has already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Since>,
}

/// A version that a client has, of one life of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Since {
    /// The life of the topic.
    pub epoch: Epoch,
    /// The version.
    pub version: Version,
}

/// A change as its author sends it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TopicChange {
    /// The topic.
    pub topic_name: TopicName,
    /// The life of the topic that the base is of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Epoch>,
    /// The change.
    pub change: SentChange,
}

/// A change's fields, and beside them what every change has.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SentChange {
    /// What its type makes of it.
    pub fields: Fields,
    /// The id under which it is sent, and sent again.
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
    /// What kind of error it is.
    pub code: ServiceErrorCode,
    /// What went wrong, in words.
    pub reason: EcoString,
}

impl ServiceError {
    /// An error with a reason in words.
    pub fn new(code: ServiceErrorCode, reason: impl Into<EcoString>) -> ServiceError {
        ServiceError { code, reason: reason.into() }
    }
}

/// What a server sends.
#[derive(Debug, Clone, PartialEq)]
pub enum ServerMessage {
    /// The first message of a connection.
    Hello(Hello),
    /// Answers a `subscribe`; the value or what was missed follows.
    Subscribed(Subscribed),
    /// A change of one topic that was published, or its whole value.
    Update(Update),
    /// Changes that were published together.
    Action(Action),
    /// A change was sent back to its author.
    RejectUpdate(RejectUpdate),
    /// Answers an `unsubscribe`.
    Unsubscribed {
        /// The topic.
        topic_name: TopicName,
    },
    /// Answers a `register_service`.
    Registered {
        /// The service.
        service_name: EcoString,
    },
    /// Answers an `unregister_service`.
    Unregistered {
        /// The service.
        service_name: EcoString,
    },
    /// A request to the provider of a service.
    Request {
        /// The service.
        service_name: EcoString,
        /// What it is asked for.
        args: Value,
        /// Comes back with the response; chosen by the server.
        request_id: RequestId,
        /// Who asks.
        client_id: ClientId,
    },
    /// The answer to a request, to who asked.
    Response {
        /// The request's id.
        request_id: RequestId,
        /// The answer, or why there is none.
        outcome: Outcome,
    },
    /// Something that a client sent cannot be done.
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

/// What a client is told first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Hello {
    /// The client's id.
    pub id: ClientId,
    /// The token by which the session is resumed.
    pub session: EcoString,
    /// Whether this is the session that was asked for.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub resumed: bool,
    /// The version of the protocol.
    pub protocol: u64,
    /// The server's name and version.
    pub server: EcoString,
    /// `message_bytes`, `subscriptions`, `name_bytes`, `nesting`.
    pub limits: Dict,
}

/// What a subscriber is told before the value.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Subscribed {
    /// The topic.
    pub topic_name: TopicName,
    /// The name of its type.
    #[serde(rename = "type")]
    pub topic_type: EcoString,
    /// What it was made with.
    pub options: Dict,
    /// The name of this life of it.
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
    /// The topic, the version and the change.
    pub part: Part,
    /// The number of its commit.
    pub commit: CommitNumber,
    /// Who made it; of a snapshot nobody.
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
    /// The topic.
    pub topic_name: TopicName,
    /// The version that the change made.
    pub version: Version,
    /// The change.
    pub change: PublishedChange,
}

/// A change as it was accepted.
#[derive(Debug, Clone, PartialEq)]
pub struct PublishedChange {
    /// What its type makes of it; `none` where a rebase left nothing to do.
    pub fields: Fields,
    /// Its id; several changes composed have none.
    pub id: Option<ChangeId>,
}

/// What a subscriber gets of an action.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Action {
    /// The id of the action.
    pub action_id: ActionId,
    /// The number of its commit.
    pub commit: CommitNumber,
    /// Who made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<ClientId>,
    /// The action or change that it takes back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undoes: Option<EcoString>,
    /// The action or change that it makes again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redoes: Option<EcoString>,
    /// Of the topics that are subscribed to, or all for its author.
    pub changes: Vec<Part>,
}

/// A change that was not accepted.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RejectUpdate {
    /// The topic.
    pub topic_name: EcoString,
    /// What kind of rejection it is.
    pub code: RejectCode,
    /// Why, in words.
    pub reason: EcoString,
    /// The topic's head.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// Of an action: its id, `change` being the one that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action_id: Option<EcoString>,
    /// The change, as it was sent.
    pub change: SentChange,
}

/// What cannot be done, and which message asked for it.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize)]
#[error("{code}: {reason}")]
pub struct ErrorMessage {
    /// What kind of error it is.
    pub code: ErrorCode,
    /// What is wrong, in words.
    pub reason: EcoString,
    /// The type of the message that this answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<EcoString>,
    /// The topic that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic_name: Option<EcoString>,
    /// The service that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_name: Option<EcoString>,
    /// The request that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<EcoString>,
}

impl ErrorMessage {
    /// An error in answer to a message of the type `to`.
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

    /// The error as one about a topic.
    #[must_use]
    pub fn topic(self, topic_name: impl Into<EcoString>) -> ErrorMessage {
        ErrorMessage { topic_name: Some(topic_name.into()), ..self }
    }

    /// The error as one about a service.
    #[must_use]
    pub fn service(self, service_name: impl Into<EcoString>) -> ErrorMessage {
        ErrorMessage { service_name: Some(service_name.into()), ..self }
    }

    /// The error as one about a request.
    #[must_use]
    pub fn request(self, request_id: impl Into<EcoString>) -> ErrorMessage {
        ErrorMessage { request_id: Some(request_id.into()), ..self }
    }
}
