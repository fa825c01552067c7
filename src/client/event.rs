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
    pub topic_name: EcoString,
    pub code: RejectCode,
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
    Remote { author: Option<ClientId> },
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
        client_id: ClientId,
        resumed: bool,
    },
    /// A topic has its first value, or the first one of a new life.
    Ready {
        topic_name: TopicName,
    },
    /// A topic's view moved.
    Changed {
        topic_name: TopicName,
        /// The view as it is now.
        value: AnyValue,
        /// What leads here from the view as it was, in order. Empty where that is not known, and the
        /// value is to be taken as a whole.
        changes: Vec<AnyChange>,
        origin: Origin,
    },
    /// A local action was accepted, under this action or change id. There is none if nothing was
    /// left to send: it took itself back, or others did the same before.
    Confirmed {
        ticket: Ticket,
        id: Option<EcoString>,
    },
    /// A local action was refused and has left the view.
    Rejected {
        ticket: Ticket,
        rejection: Rejection,
    },
    /// A local action has left the view, and whether it was accepted cannot be known: its session or
    /// its topic's life ended before the answer.
    Unknown {
        ticket: Ticket,
    },
    /// A local action was never sent: the client was closed before.
    Unsent {
        ticket: Ticket,
    },
    /// A topic is no longer subscribed, and why if the program did not ask for it.
    Closed {
        topic_name: TopicName,
        error: Option<ErrorMessage>,
    },
    /// Somebody asks a service of this client.
    Request {
        service_name: EcoString,
        args: Value,
        request_id: RequestId,
        client_id: ClientId,
    },
    /// What a request of this client came to.
    Response {
        call: CallId,
        outcome: Result<Value, CallError>,
    },
    Registered {
        service_name: EcoString,
    },
    Unregistered {
        service_name: EcoString,
    },
    /// The server took no more work: some changes are to be sent again after a while
    /// ([`resend_busy`](super::Replica::resend_busy)).
    Busy,
    /// The server complained, or sent what makes no sense.
    Error(ErrorMessage),
}
