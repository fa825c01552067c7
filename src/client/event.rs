//! What a replica tells the program.

use std::time::Duration;

use ecow::EcoString;

use super::replica::CallId;
use crate::protocol::RejectCode;
use crate::protocol::message::{ErrorMessage, RequestId, ServiceError};
use crate::topic::{ClientId, TopicName};
use crate::types::{AnyChange, AnyValue};
use crate::value::Value;

/// Names one local action, from its making to its outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub(super) u64);

/// Why a local action was taken back.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{topic_name:?}: {code}: {reason}", code = code.as_str())]
pub struct Rejection {
    /// The topic that it is about; of an action, that of the change that failed.
    pub topic_name: EcoString,
    /// What kind of reason it is.
    pub code: RejectCode,
    /// The reason, in words.
    pub reason: EcoString,
}

/// How a request of this client failed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CallError {
    /// The server or the service said so.
    #[error("{service_name}: {error}")]
    Service {
        /// What was asked.
        service_name: EcoString,
        /// The answer.
        error: ServiceError,
    },
    /// The connection was lost before the answer. Whether it was done is not known.
    #[error("{service_name}: the connection was lost before the answer, and it may have been done")]
    Lost {
        /// What was asked.
        service_name: EcoString,
    },
    /// There was no answer in time. Whether it was done is not known.
    #[error("{service_name}: no answer within {limit:?}")]
    TimedOut {
        /// What was asked.
        service_name: EcoString,
        /// How long was waited.
        limit: Duration,
    },
    /// The client was closed, and it was not asked.
    #[error("{service_name}: the client was closed before it was asked")]
    Closed {
        /// What was to be asked.
        service_name: EcoString,
    },
}

impl CallError {
    /// One word for it: the server's code, or `lost`, `timeout` or `closed`.
    pub fn code(&self) -> &'static str {
        match self {
            CallError::Service { error, .. } => error.code.as_str(),
            CallError::Lost { .. } => "lost",
            CallError::TimedOut { .. } => "timeout",
            CallError::Closed { .. } => "closed",
        }
    }
}

/// What moved a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A change made here.
    Local,
    /// A published change of another client, or of this one made by the server: an undo, say.
    Remote {
        /// The other client, where it is one and known.
        author: Option<ClientId>,
    },
    /// A whole value: the first, or one that jumps ahead.
    Snapshot,
    /// The server took a change made here in another form than was predicted, or not at all.
    Correction,
}

/// Something that happened to a replica.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A session is in force.
    Online {
        /// Its id.
        client_id: ClientId,
        /// It is the one that was in force before.
        resumed: bool,
    },
    /// A topic has its first value, or the first one of a new life.
    Ready {
        /// The topic.
        topic_name: TopicName,
    },
    /// A topic's view moved.
    Changed {
        /// The topic.
        topic_name: TopicName,
        /// The view as it is now.
        value: AnyValue,
        /// What leads here from the view as it was, in order. Empty where that is not known, and the
        /// value is to be taken as a whole.
        changes: Vec<AnyChange>,
        /// What moved it.
        origin: Origin,
    },
    /// A local action was accepted.
    Confirmed {
        /// The action.
        ticket: Ticket,
        /// The action or change id that it was accepted under. There is none if nothing was left to send: it
        /// took itself back, or others did the same before.
        id: Option<EcoString>,
    },
    /// A local action was refused and has left the view.
    Rejected {
        /// The action.
        ticket: Ticket,
        /// Why.
        rejection: Rejection,
    },
    /// A local action has left the view, and whether it was accepted cannot be known: its session or
    /// its topic's life ended before the answer.
    Unknown {
        /// The action.
        ticket: Ticket,
    },
    /// A local action was never sent: the client was closed before.
    Unsent {
        /// The action.
        ticket: Ticket,
    },
    /// A topic is no longer subscribed.
    Closed {
        /// The topic.
        topic_name: TopicName,
        /// Why, if the program did not ask for it.
        error: Option<ErrorMessage>,
    },
    /// Somebody asks a service of this client.
    Request {
        /// What is asked.
        service_name: EcoString,
        /// With what.
        args: Value,
        /// Names the request in its answer.
        request_id: RequestId,
        /// Who asks.
        client_id: ClientId,
    },
    /// What a request of this client came to.
    Response {
        /// The request.
        call: CallId,
        /// The answer.
        outcome: Result<Value, CallError>,
    },
    /// The server has a service of this client: others can ask it.
    Registered {
        /// The service.
        service_name: EcoString,
    },
    /// The server has a service of this client no more.
    Unregistered {
        /// The service.
        service_name: EcoString,
    },
    /// The server took no more work: some changes are to be sent again after a while
    /// ([`resend_busy`](super::Replica::resend_busy)).
    Busy,
    /// The server complained, or sent what makes no sense.
    Error(ErrorMessage),
}
