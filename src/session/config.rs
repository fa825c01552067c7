//! What sessions are run with: limits, how long they wait, and what they take from outside.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use ecow::EcoString;

/// Limits and waits of sessions.
#[derive(Clone)]
pub struct SessionConfig {
    /// How long a session outlives its connection.
    pub session_timeout: Duration,
    /// How long a connection that broke without a word may go unnoticed.
    pub unnoticed_max: Duration,
    /// How long a request waits for its provider, unless the request says otherwise.
    pub request_timeout: Duration,
    /// The largest frame that is read, in bytes. Said in `hello`; whoever reads frames enforces it.
    pub message_bytes_max: usize,
    /// Topics that one session subscribes to.
    pub subscriptions_max: usize,
    /// Sessions in all, those included that wait to be resumed.
    pub sessions_max: usize,
    /// Topics in all.
    pub topics_max: usize,
    /// Services that one session provides.
    pub services_max: usize,
    /// Requests of one session that wait for their answers.
    pub requests_max: usize,
    /// Bytes of published changes that wait for one connection; beyond, the connection is lagging.
    pub queue_bytes_max: usize,
    /// From how many bytes of answers on a connection handles no more messages until some are written.
    pub answer_bytes_max: usize,
    /// Up to how many bytes missing changes are sent without a look at whether a snapshot is shorter.
    pub missed_bytes_always: usize,
    /// Bytes of requests and responses that wait for a client that is away.
    pub backlog_bytes_max: usize,
    /// Makes the token by which a session is resumed: a secret that nobody can guess.
    pub tokens: Arc<dyn Fn() -> EcoString + Send + Sync>,
    /// Runs what takes long.
    pub worker: Arc<dyn Worker>,
}

impl SessionConfig {
    /// The default limits, with what has none.
    pub fn new(
        tokens: Arc<dyn Fn() -> EcoString + Send + Sync>,
        worker: Arc<dyn Worker>,
    ) -> SessionConfig {
        SessionConfig {
            session_timeout: Duration::from_secs(60),
            unnoticed_max: Duration::from_secs(80),
            request_timeout: Duration::from_secs(30),
            message_bytes_max: 4 << 20,
            subscriptions_max: 10_000,
            sessions_max: 100_000,
            topics_max: 1_000_000,
            services_max: 1_000,
            requests_max: 1_000,
            queue_bytes_max: 4 << 20,
            answer_bytes_max: 1 << 20,
            missed_bytes_always: 64 << 10,
            backlog_bytes_max: 4 << 20,
            tokens,
            worker,
        }
    }
}

/// Runs what takes long, beside the connections.
pub trait Worker: Send + Sync {
    /// Runs a job that may read the journal, and so may block.
    fn run(&self, job: Box<dyn FnOnce() + Send>);

    /// Polls a future of the host program's until it is done.
    fn drive(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>);
}
