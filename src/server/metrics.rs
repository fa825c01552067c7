//! Counters of what a server does, for `/metrics` and `_topicsync/stats`.

use prometheus::{Encoder, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};

use crate::protocol::RejectCode;

/// What a server counts. Counters only ever go up while it runs.
pub struct Metrics {
    registry: Registry,
    pub sessions: IntGauge,
    pub connections: IntGauge,
    pub topics: IntGauge,
    pub changes: IntCounter,
    pub rejects: IntCounterVec,
    pub messages_in: IntCounter,
    pub bytes_in: IntCounter,
    pub bytes_out: IntCounter,
    pub requests: IntCounter,
    pub lags: IntCounter,
    pub queue_depth: IntGauge,
    pub topics_in_memory: IntGauge,
    pub journal_works: IntGauge,
    pub journal_waiting: IntGauge,
    pub journal_groups: IntGauge,
}

impl Metrics {
    pub fn new() -> Metrics {
        let registry = Registry::new();
        let gauge = |name: &str, help: &str| {
            // Names are our own and distinct: registering them cannot fail.
            let gauge = IntGauge::new(name, help).expect("a valid name");
            registry.register(Box::new(gauge.clone())).expect("a new name");
            gauge
        };
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(name, help).expect("a valid name");
            registry.register(Box::new(counter.clone())).expect("a new name");
            counter
        };
        let rejects = IntCounterVec::new(
            Opts::new("topicsync_rejects_total", "Changes sent back"),
            &["code"],
        )
        .expect("a valid name");
        registry.register(Box::new(rejects.clone())).expect("a new name");
        for code in RejectCode::ALL {
            rejects.with_label_values(&[code.as_str()]);
        }
        Metrics {
            sessions: gauge("topicsync_sessions", "Sessions, those away included"),
            connections: gauge("topicsync_connections", "Open WebSocket connections"),
            topics: gauge("topicsync_topics", "Topics"),
            changes: counter("topicsync_changes_total", "Changes accepted"),
            rejects,
            messages_in: counter("topicsync_messages_received_total", "Messages received"),
            bytes_in: counter("topicsync_received_bytes_total", "Payload bytes received"),
            bytes_out: counter("topicsync_sent_bytes_total", "Payload bytes sent"),
            requests: counter("topicsync_requests_total", "Service requests received"),
            lags: counter("topicsync_lags_total", "Times a connection fell behind"),
            queue_depth: gauge("topicsync_queue_messages", "Messages waiting for sockets"),
            topics_in_memory: gauge("topicsync_topics_in_memory", "Topics that are in memory"),
            journal_works: gauge(
                "topicsync_journal_works",
                "1 if the journal can be written, else 0",
            ),
            journal_waiting: gauge("topicsync_journal_waiting", "Submissions not yet durable"),
            journal_groups: gauge("topicsync_journal_groups", "Commit groups written"),
            registry,
        }
    }

    /// All counters in the Prometheus text format.
    pub fn text(&self) -> String {
        let mut text = Vec::new();
        // Writing to a vector does not fail, and the format is text.
        TextEncoder::new().encode(&self.registry.gather(), &mut text).expect("it encodes");
        String::from_utf8(text).expect("it is text")
    }
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics::new()
    }
}
