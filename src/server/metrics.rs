//! What a server counts, in the Prometheus text format, for `/metrics`.

use prometheus::{Encoder, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};

use crate::session::Hub;

/// All counters and gauges as they are by now.
pub(super) fn text(hub: &Hub) -> String {
    // Names are our own and distinct, and the format is text: none of this can fail.
    written(hub).expect("metrics have valid names")
}

fn written(hub: &Hub) -> prometheus::Result<String> {
    let registry = Registry::new();
    let gauge = |name: &str, help: &str, value: usize| {
        let gauge = IntGauge::new(name, help)?;
        gauge.set(value as i64);
        registry.register(Box::new(gauge))
    };
    let counter = |name: &str, help: &str, value: u64| {
        let counter = IntCounter::new(name, help)?;
        counter.inc_by(value);
        registry.register(Box::new(counter))
    };
    let (counters, engine, sessions) = (hub.counters(), hub.engine(), hub.sessions().all());
    let (_, requests_waiting) = hub.services_and_requests();
    let journal = engine.journal_state();
    let waiting = sessions.iter().map(|it| it.queue_depth().0).sum();
    let waiting_bytes = sessions.iter().map(|it| it.queue_bytes()).sum();
    let connections = counters.connections.get() as usize;

    gauge("topicsync_sessions", "Sessions, those away included", sessions.len())?;
    gauge("topicsync_connections", "Open WebSocket connections", connections)?;
    gauge("topicsync_topics", "Topics", engine.topics_len())?;
    counter("topicsync_changes_total", "Changes accepted", counters.changes.get())?;
    let rejects = Opts::new("topicsync_rejects_total", "Changes sent back");
    let rejects = IntCounterVec::new(rejects, &["code"])?;
    for (code, count) in counters.rejects() {
        rejects.with_label_values(&[code.as_str()]).inc_by(count);
    }
    registry.register(Box::new(rejects))?;
    counter("topicsync_messages_received_total", "Messages received", counters.messages_in.get())?;
    counter("topicsync_received_bytes_total", "Payload bytes received", counters.bytes_in.get())?;
    counter("topicsync_sent_bytes_total", "Payload bytes sent", counters.bytes_out.get())?;
    counter("topicsync_requests_total", "Service requests received", counters.requests.get())?;
    gauge("topicsync_requests_waiting", "Requests without an outcome yet", requests_waiting)?;
    counter("topicsync_lags_total", "Times a connection fell behind", counters.lags.get())?;
    gauge("topicsync_queue_messages", "Messages waiting for clients", waiting)?;
    gauge("topicsync_queue_bytes", "Bytes waiting for clients", waiting_bytes)?;
    let in_memory = engine.topics_in_memory_len();
    gauge("topicsync_topics_in_memory", "Topics that are in memory", in_memory)?;
    let works = usize::from(journal.works);
    gauge("topicsync_journal_works", "1 if the journal can be written, else 0", works)?;
    gauge("topicsync_journal_waiting", "Submissions not yet durable", journal.waiting)?;
    gauge("topicsync_journal_groups", "Commit groups written", journal.groups as usize)?;

    let mut text = Vec::new();
    TextEncoder::new().encode(&registry.gather(), &mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}
