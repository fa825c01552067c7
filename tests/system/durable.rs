//! Data in a folder: what a restart keeps, and what happens when the folder or its disk is not as it
//! should be.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use topicsync::engine::EngineConfig;
use topicsync::journal::SqliteJournal;
use topicsync::server::{BindError, Server, ServerConfig};
use topicsync::topic::{Durability, TopicName};
use topicsync::types::{Conflict, Rebased, TopicType};
use topicsync::value::{Fields, Invalid, Value};

use super::common::*;

fn engine(folder: &Path) -> EngineConfig {
    let journal = Arc::new(SqliteJournal::open(folder).unwrap());
    EngineConfig { journal, durability: Durability::Commit, ..EngineConfig::default() }
}

fn start(folder: &Path) -> TestServer {
    TestServer::with_engine(ServerConfig::default(), engine(folder))
}

#[tokio::test]
async fn a_session_is_resumed_across_a_restart() {
    let folder = TempDir::new().unwrap();
    let server = start(folder.path());
    let (mut client, mut other) = server.two_clients().await;
    let (subscribed, _) = client.subscribe("a", "int").await;
    client.changed("a", json!({"type": "add", "value": 1})).await;
    client.send("register_service", json!({"service_name": "solve"})).await;
    client.expect_type("registered", json!({"service_name": "solve"})).await;
    let id = client.change("a", json!({"type": "add", "value": 10})).await;
    client.expect_type("update", json!({"version": 2, "change": {"id": id}})).await;
    other.check_works().await;
    server.stop().await;

    let server = start(folder.path());
    let (mut watcher, mut other) = server.two_clients().await;
    assert!(watcher.id > client.id, "no id is given twice");
    let listed = watcher.value("_topicsync/clients").await;
    assert_eq!(listed[client.id.to_string()]["connected"], false);
    watcher.drain().await;
    let topics = other.value("_topicsync/topic_list").await;
    assert_eq!(topics["a"]["epoch"], subscribed["epoch"]);
    let mut client = client.resumed(&server).await;
    // What was in flight is sent again, and was accepted.
    let change = json!({"topic_name": "a", "change": {"type": "add", "value": 10, "id": id}});
    client.send("update", change).await;
    client.expect_type("update", json!({"version": 2, "change": {"id": id}})).await;
    let since = json!({"epoch": subscribed["epoch"], "version": 1});
    client.send("subscribe", json!({"topic_name": "a", "since": since})).await;
    client.expect_type("subscribed", json!({"version": 2, "since": 1})).await;
    client.expect_type("update", json!({"version": 2})).await;
    assert_eq!(other.value("a").await, 11);
    // Its service is still its own.
    let call = json!({"service_name": "solve", "args": 5, "request_id": "1"});
    other.send("request", call).await;
    let request = client.expect_type("request", json!({"service_name": "solve", "args": 5})).await;
    let answer = json!({"request_id": request["request_id"], "response": 25});
    client.send("response", answer).await;
    other.expect_type("response", json!({"request_id": "1", "response": 25})).await;
    // And so is what it did.
    let undone = client.call("_topicsync/undo", json!({})).await;
    assert_eq!(undone["response"]["undone"][0]["change"]["value"], -10);
    assert_eq!(server.client().await.value("a").await, 1);
}

#[tokio::test]
async fn what_is_in_memory_alone_is_gone_and_the_rest_is_not() {
    let folder = TempDir::new().unwrap();
    let server = start(folder.path());
    let mut client = server.client().await;
    for (name, durability) in [("kept", "commit"), ("soon", "relaxed"), ("gone", "memory")] {
        let options = json!({"durability": durability});
        let content = json!({"topic_name": name, "type": "int", "options": options});
        client.subscribe_with(content).await;
        client.changed(name, json!({"type": "add", "value": 7})).await;
    }
    server.stop().await;
    let server = start(folder.path());
    let mut client = server.client().await;
    assert_eq!((client.value("kept").await, client.value("soon").await), (json!(7), json!(7)));
    client.send("subscribe", json!({"topic_name": "gone"})).await;
    client.skip_to(json!({"type": "error", "content": {"code": "unknown_topic"}})).await;
}

#[tokio::test]
async fn topics_that_nobody_uses_leave_memory_and_come_back() {
    let folder = TempDir::new().unwrap();
    let idle_after = Duration::from_millis(30);
    let config = ServerConfig { idle_after, ..ServerConfig::default() };
    let server = TestServer::with_engine(config, engine(folder.path()));
    let mut client = server.client().await;
    client.subscribe("a", "int").await;
    client.changed("a", json!({"type": "add", "value": 7})).await;
    let is_in_memory = || {
        let cells = server.hub.engine().topics_in_memory();
        cells.iter().any(|cell| **cell.name() == *"a")
    };
    tokio::time::sleep(4 * idle_after).await;
    assert!(is_in_memory(), "somebody is subscribed");
    client.send("unsubscribe", json!({"topic_name": "a"})).await;
    client.expect_type("unsubscribed", json!({})).await;
    until("it is let go", async || !is_in_memory()).await;
    assert_eq!(server.hub.engine().topics_len(), 1);
    client.send("update", json!({"topic_name": "a", "change": {"type": "add", "value": 1}})).await;
    client.expect_type("update", json!({"version": 2})).await;
    assert_eq!(client.value("a").await, 8);
}

#[tokio::test]
async fn a_damaged_topic_is_set_aside_and_the_others_are_served() {
    let folder = TempDir::new().unwrap();
    let server = start(folder.path());
    let mut client = server.client().await;
    for (name, text) in [("sound", "all is well"), ("broken", "DAMAGE ME HERE")] {
        client.subscribe(name, "string").await;
        client.changed(name, json!({"type": "insert", "position": 0, "insertion": text})).await;
    }
    server.stop().await;
    let database = folder.path().join("topicsync.db");
    let mut bytes = fs::read(&database).unwrap();
    let text = b"DAMAGE ME HERE";
    let at = bytes.windows(text.len()).position(|it| it == text).expect("it is in the file");
    bytes[at + 3] ^= 1;
    fs::write(&database, bytes).unwrap();

    let server = start(folder.path());
    let mut client = server.client().await;
    client.send("subscribe", json!({"topic_name": "broken", "type": "string"})).await;
    let error = client.expect_type("error", json!({"code": "unavailable"})).await;
    assert!(error["reason"].as_str().unwrap().contains("damaged"), "{error}");
    let reject =
        client.rejected("broken", json!({"type": "set", "value": "x"}), "unavailable").await;
    assert!(reject["reason"].as_str().unwrap().contains("\"broken\""), "{reject}");
    assert_eq!(client.value("sound").await, "all is well");
    // Whoever runs the server can let go of it.
    client.drain().await;
    let removed = client.call("_topicsync/remove_topic", json!({"topic_name": "broken"})).await;
    assert_eq!(removed["response"], json!({}));
    client.subscribe("broken", "string").await;
    client.check_works().await;
}

#[tokio::test]
async fn a_second_server_on_a_folder_is_an_error_that_says_what_to_do() {
    let folder = TempDir::new().unwrap();
    let _server = start(folder.path());
    let Err(error) = Server::builder().listen(([127, 0, 0, 1], 0)).data(folder.path()) else {
        panic!("two servers share a folder");
    };
    let words = BindError::from(error).to_string();
    assert!(words.contains("in use") && words.contains("--data"), "{words}");
}

#[tokio::test]
async fn the_past_can_be_asked_for_in_other_ways() {
    let folder = TempDir::new().unwrap();
    let server = start(folder.path());
    let (mut a, mut b) = server.two_clients().await;
    a.subscribe("nodes", "dict").await;
    a.changed("nodes", json!({"type": "add", "key": "n1", "value": {"x": 1, "y": 2}})).await;
    b.value("nodes").await;
    b.drain().await;
    b.changed("nodes", json!({"type": "change_value", "key": "n1", "value": {"x": 5, "y": 2}}))
        .await;
    b.changed("nodes", json!({"type": "add", "key": "n2", "value": 7})).await;
    b.drain().await;
    let args = json!({"topic_name": "nodes", "from": 1, "to": {"version": 3}});
    let diff = b.call("_topicsync/diff", args).await["response"].clone();
    assert_eq!((&diff["from"], &diff["to"]), (&json!(1), &json!(3)));
    let expected = json!([
        {"path": ["n1", "x"], "from": 1, "to": 5},
        {"path": ["n2"], "added": 7},
    ]);
    assert_eq!(diff["differences"], expected);

    let blame =
        b.call("_topicsync/blame", json!({"topic_name": "nodes"})).await["response"].clone();
    let by = |part: &serde_json::Value| {
        (part["key"].clone(), part["author"].clone(), part["version"].clone())
    };
    let parts: Vec<_> = blame["parts"].as_array().unwrap().iter().map(by).collect();
    assert_eq!(parts, [(json!("n1"), json!(b.id), json!(2)), (json!("n2"), json!(b.id), json!(3))]);
    let earlier = json!({"topic_name": "nodes", "version": 1});
    let blame = b.call("_topicsync/blame", earlier).await["response"].clone();
    assert_eq!(blame["parts"][0]["author"], a.id);

    let fork = json!({"topic_name": "nodes", "version": 1, "new_name": "try"});
    let forked = b.call("_topicsync/fork", fork.clone()).await["response"].clone();
    assert_eq!((&forked["topic_name"], &forked["version"]), (&json!("try"), &json!(1)));
    assert_eq!(b.value("try").await, json!({"n1": {"x": 1, "y": 2}}));
    b.drain().await;
    b.changed("try", json!({"type": "remove", "key": "n1"})).await;
    assert_eq!(b.call("_topicsync/fork", fork).await["error"]["code"], "invalid");
    for (service, args) in [
        ("diff", json!({"topic_name": "nodes"})),
        ("diff", json!({"topic_name": "nodes", "from": 99})),
        ("blame", json!({"topic_name": "nodes", "version": 99})),
        ("fork", json!({"topic_name": "nodes", "new_name": ""})),
        ("fork", json!({"topic_name": "nodes", "new_name": "x", "version": 99})),
    ] {
        let answer = b.call(&format!("_topicsync/{service}"), args.clone()).await;
        assert_eq!(answer["error"]["code"], "invalid", "{service} {args}");
    }
    server.stop().await;
    let server = start(folder.path());
    let mut client = server.client().await;
    assert_eq!(client.value("try").await, json!({}));
    assert!(server.hub.engine().get(&TopicName::new("try").unwrap()).unwrap().oldest().0 == 1);
}

/// A host's type with a bug: one of its changes cannot be written down.
struct Bomb;

impl TopicType for Bomb {
    type Value = i64;
    type Change = i64;
    const NAME: &'static str = "bomb";

    fn initial() -> i64 {
        0
    }

    fn decode_value(value: &Value) -> Result<i64, Invalid> {
        Ok(value.as_int().unwrap_or_default())
    }

    fn encode_value(value: &i64) -> Value {
        Value::Int(*value)
    }

    fn decode_change(fields: &Fields) -> Result<i64, Invalid> {
        fields.require_int("value")
    }

    fn encode_change(change: &i64) -> Fields {
        assert!(*change != 13, "the bug");
        Fields::of_type("set").with("value", *change)
    }

    fn apply(value: &mut i64, change: &i64) -> Result<(), Invalid> {
        *value = *change;
        Ok(())
    }

    fn rebase(incoming: &i64, accepted: &i64) -> Result<Rebased<i64>, Conflict> {
        Ok(Rebased::unaffected(incoming, accepted))
    }

    fn invert(_change: &i64, before: &i64) -> Option<i64> {
        Some(*before)
    }
}

#[tokio::test]
async fn a_server_whose_journal_panics_goes_down_rather_than_hang() {
    let folder = TempDir::new().unwrap();
    let mut config = engine(folder.path());
    config.registry = config.registry.with::<Bomb>();
    let server = TestServer::with_engine(ServerConfig::default(), config);
    let mut client = server.client().await;
    client.subscribe("a", "bomb").await;
    client.changed("a", json!({"type": "set", "value": 12})).await;
    client.change("a", json!({"type": "set", "value": 13})).await;
    assert_eq!(client.expect_close().await.0, 1001);
    drop(client);
    server.stop().await;
    let server = start(folder.path());
    assert!(server.hub.engine().topics_len() == 1, "what was committed before is there");
}
