//! What a server is run with: where it listens, its limits, and how long it waits.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// The settings of a server. Each is also a flag and an environment variable of the command line, where
/// the flag's description says so.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Where the server listens; port 0 picks a free one.
    pub listen: SocketAddr,
    /// How long a session outlives its connection.
    pub session_timeout: Duration,
    /// How long a request waits for its provider, unless it says otherwise.
    pub request_timeout: Duration,
    /// How often a connection is pinged.
    pub ping_interval: Duration,
    /// A peer that was silent for so long is gone.
    pub silence_max: Duration,
    /// How often `latest` topics publish.
    pub tick: Duration,
    /// The largest frame that is read, in bytes.
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
    /// Bytes of published changes that wait for one session's socket; beyond, it is lagging.
    pub queue_bytes_max: usize,
    /// Bytes of requests and responses that wait for a client that is away.
    pub backlog_bytes_max: usize,
    /// How long a topic that nobody uses stays in memory, about.
    pub idle_after: Duration,
    /// Messages that one session may send a second; 0 for any number.
    pub messages_per_second_max: u32,
}

impl Default for ServerConfig {
    fn default() -> ServerConfig {
        ServerConfig {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8765)),
            session_timeout: Duration::from_secs(60),
            request_timeout: Duration::from_secs(30),
            ping_interval: Duration::from_secs(20),
            silence_max: Duration::from_secs(60),
            tick: Duration::from_millis(50),
            message_bytes_max: 4 << 20,
            subscriptions_max: 10_000,
            sessions_max: 100_000,
            topics_max: 1_000_000,
            services_max: 1_000,
            requests_max: 1_000,
            queue_bytes_max: 4 << 20,
            backlog_bytes_max: 4 << 20,
            idle_after: Duration::from_secs(60),
            messages_per_second_max: 0,
        }
    }
}
