//! A subscriber that does not read costs the others nothing, and ends up right.

use serde_json::{Value, json};
use topicsync::server::ServerConfig;

use super::common::*;

const CHANGES: usize = 240;

fn small_queues() -> ServerConfig {
    ServerConfig { queue_bytes_max: 8 << 10, ..ServerConfig::default() }
}

/// What a subscriber knows of one topic, from its messages.
#[derive(Default)]
struct Known {
    version: u64,
    value: Value,
    own: std::collections::HashSet<String>,
    snapshots: usize,
}

impl Known {
    /// Takes in a message about a topic that is only ever `set`.
    fn take(&mut self, message: &Value, client: u64) {
        let content = &message["content"];
        if content["topic_name"] == FILLER {
            return;
        }
        assert_eq!(message["type"], "update", "{message}");
        if content["author"] == client {
            self.own.insert(content["change"]["id"].as_str().unwrap().to_owned());
        }
        let version = content["version"].as_u64().unwrap();
        if version <= self.version {
            return;
        }
        let snapshot = content["snapshot"] == true;
        self.snapshots += usize::from(snapshot);
        assert!(snapshot || version == self.version + 1, "{version} after {}", self.version);
        self.version = version;
        self.value = content["change"]["value"].clone();
    }
}

async fn check_slow(encoding: Encoding, options: Value) {
    let server = TestServer::with(small_queues());
    let mut slow = server.slow_client(encoding).await;
    let (mut writer, mut other) = server.two_clients().await;
    let content = json!({"topic_name": "a", "type": "generic", "options": options});
    slow.subscribe_with(content.clone()).await;
    slow.stop_reading(&mut other).await;
    writer.subscribe_with(content.clone()).await;
    other.subscribe_with(content).await;
    let mut own = std::collections::HashSet::new();
    for number in 0..CHANGES {
        let value = format!("{number} {}", "x".repeat(200));
        writer.changed_among_others("a", json!({"type": "set", "value": value})).await;
        // The slow one does not read; but it writes.
        if number % 24 == 0 {
            own.insert(slow.change("a", json!({"type": "set", "value": number})).await);
        }
    }
    let head = |server: &TestServer| {
        let name = topicsync::topic::TopicName::new("a").unwrap();
        server.hub.engine().get(&name).unwrap().head().0
    };
    let all = (CHANGES + own.len()) as u64;
    until("all is accepted", async || head(&server) == all).await;
    let mut known = Known::default();
    while known.version < all {
        known.take(&other.receive().await, other.id);
    }
    assert_eq!(known.snapshots, 0, "who reads gets every change");
    let last = known.value;

    let stats = other.ask("_topicsync/stats", json!({})).await;
    assert!(stats["queue_depth_max"].as_u64().unwrap() < 50, "{stats}");
    let mut known = Known::default();
    while known.version < all || known.own.len() < own.len() {
        known.take(&slow.receive().await, slow.id);
    }
    assert_eq!((known.value, known.own), (last, own));
    assert!(other.ask("_topicsync/stats", json!({})).await["lags"].as_u64().unwrap() > 0);
    slow.drain().await;
    slow.changed("a", json!({"type": "set", "value": "in step again"})).await;
}

#[tokio::test]
async fn who_fell_behind_is_brought_up_from_the_log() {
    check_slow(Encoding::Json, json!({})).await;
}

#[tokio::test]
async fn who_fell_behind_in_messagepack_is_brought_up_too() {
    check_slow(Encoding::MessagePack, json!({})).await;
}

#[tokio::test]
async fn who_fell_behind_what_is_kept_is_brought_up_by_a_snapshot() {
    let server = TestServer::forgetful(small_queues());
    let mut slow = server.slow_client(Encoding::Json).await;
    let mut writer = server.client().await;
    let options = json!({"keep": {"versions": 1}});
    let content = json!({"topic_name": "a", "type": "generic", "options": options});
    slow.subscribe_with(content.clone()).await;
    slow.stop_reading(&mut writer).await;
    let value = "x".repeat(200);
    for _ in 0..600 {
        writer.changed_among_others("a", json!({"type": "set", "value": value})).await;
    }
    writer.changed_among_others("a", json!({"type": "set", "value": "last"})).await;
    let mut known = Known::default();
    while known.version < 601 {
        known.take(&slow.receive().await, slow.id);
    }
    assert_eq!(known.value, "last");
    assert!(known.snapshots > 0);
}

#[tokio::test]
async fn a_client_that_asks_for_much_and_reads_nothing_is_given_little_at_a_time() {
    let server = TestServer::start();
    let mut slow = server.slow_client(Encoding::MessagePack).await;
    let mut other = server.client().await;
    other.subscribe("a", "string").await;
    let value = "x".repeat(1 << 20);
    other.changed("a", json!({"type": "set", "value": value})).await;
    // 1 GiB of snapshots, for 50 bytes each.
    let asks = json!({"type": "subscribe", "content": {"topic_name": "a"}});
    slow.send_json(json!(vec![asks; 1_000])).await;
    until("it is asked", async || server.hub.counters().messages_in.get() >= 1_000).await;
    let mut sent = 0;
    for _ in 0..20 {
        other.changed("a", json!({"type": "insert", "position": 0, "insertion": "y"})).await;
        sent = server.hub.counters().bytes_out.get();
    }
    assert!(sent < 64 << 20, "{sent} bytes for a client that reads nothing");
    for _ in 0..100 {
        slow.receive().await;
    }
}

#[tokio::test]
async fn who_fell_behind_is_brought_up_by_what_is_smaller() {
    let server = TestServer::with(small_queues());
    let mut slow = server.slow_client(Encoding::MessagePack).await;
    let mut writer = server.client().await;
    let content = json!({"topic_name": "a", "type": "generic"});
    slow.subscribe_with(content).await;
    slow.stop_reading(&mut writer).await;
    let value = "x".repeat(20_000);
    for _ in 0..200 {
        writer.changed_among_others("a", json!({"type": "set", "value": value})).await;
    }
    let mut known = Known::default();
    while known.version < 200 {
        known.take(&slow.receive().await, slow.id);
    }
    assert!(known.snapshots > 0, "4 MB of changes, where the value has 20 KB");
}
