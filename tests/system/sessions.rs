//! Sessions outlive connections; presence leaves with them. And `latest` delivery, `history`, `keep`.

use std::time::Duration;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use topicsync::server::ServerConfig;

use super::common::*;

fn session_timeout(ms: u64) -> ServerConfig {
    ServerConfig { session_timeout: Duration::from_millis(ms), ..ServerConfig::default() }
}

async fn sessions_are(server: &TestServer, count: usize) {
    until("the number of sessions", async || server.hub.sessions().len() == count).await;
}

#[tokio::test]
async fn a_resumed_session_goes_on_with_its_changes_confirmed_by_resend() {
    let server = TestServer::start();
    let mut client = server.client().await;
    let (subscribed, _) = client.subscribe("a", "int").await;
    client.changed("a", json!({"type": "add", "value": 1})).await;
    let id = client.change("a", json!({"type": "add", "value": 1})).await;
    // It is decided, and its confirmation is lost with the connection.
    until("it is accepted", async || {
        let name = topicsync::topic::TopicName::new("a").unwrap();
        server.hub.engine().get(&name).unwrap().head().0 == 2
    })
    .await;
    let mut other = server.client().await;
    let mut client = client.vanish().resumed(&server).await;
    other.changed("a", json!({"type": "add", "value": 1})).await;
    // Nothing is sent for a topic until the client subscribes again, but for confirmations.
    client.expect_nothing().await;
    let change = json!({"topic_name": "a", "change": {"type": "add", "value": 1, "id": id}});
    client.send("update", change).await;
    client
        .expect_type("update", json!({"version": 2, "author": client.id, "change": {"id": id}}))
        .await;
    client.changed("a", json!({"type": "add", "value": 1})).await;
    let since = json!({"epoch": subscribed["epoch"], "version": 1});
    client.send("subscribe", json!({"topic_name": "a", "since": since})).await;
    client.expect_type("subscribed", json!({"version": 4, "since": 1})).await;
    for version in 2..=4 {
        client.expect_type("update", json!({"version": version})).await;
    }
    assert_eq!(other.value("a").await, 4);
}

#[tokio::test]
async fn an_older_connection_of_a_resumed_session_is_closed_with_4001() {
    let server = TestServer::start();
    for encoding in Encoding::ALL {
        let mut older = server.client_in(encoding).await;
        let mut newer = older.resumed(&server).await;
        assert_eq!(older.expect_close().await.0, 4001);
        newer.check_works().await;
    }
}

#[tokio::test]
async fn an_unknown_session_is_an_error_and_the_new_one_stays() {
    let server = TestServer::start();
    for token in ["never there", ""] {
        let mut client = server.client().await;
        client.send("resume", json!({"session": token})).await;
        client.expect_type("error", json!({"code": "session_unknown", "to": "resume"})).await;
        client.check_works().await;
    }
    let mut client = server.client().await;
    client.send("resume", json!({"session": 7})).await;
    client.expect_type("error", json!({"code": "malformed", "to": "resume"})).await;
}

#[tokio::test]
async fn resume_comes_first_or_not_at_all() {
    let server = TestServer::start();
    let gone = server.client().await.vanish();
    let mut client = server.client().await;
    client.check_works().await;
    client.send("resume", json!({"session": gone.session})).await;
    client.expect_type("error", json!({"code": "invalid", "to": "resume"})).await;
    client.check_works().await;
}

#[tokio::test]
async fn a_goodbye_ends_the_session_at_once_and_anything_else_does_not() {
    let server = TestServer::start();
    let mut client = server.client().await;
    client.close(CloseCode::Normal).await;
    sessions_are(&server, 0).await;
    let mut again = server.client().await;
    again.send("resume", json!({"session": client.session})).await;
    again.expect_type("error", json!({"code": "session_unknown"})).await;
    again.close(CloseCode::Normal).await;
    for code in [CloseCode::Away, CloseCode::Error, CloseCode::Library(4000)] {
        let mut client = server.client().await;
        client.close(code).await;
        client.resumed(&server).await.close(CloseCode::Normal).await;
    }
    let client = server.client().await;
    client.vanish().resumed(&server).await;
}

#[tokio::test]
async fn a_session_is_over_after_its_timeout() {
    let server = TestServer::with(session_timeout(50));
    let (client, watcher) = server.two_clients().await;
    let gone = client.vanish();
    sessions_are(&server, 1).await;
    let mut client = server.client().await;
    client.send("resume", json!({"session": gone.session})).await;
    client.expect_type("error", json!({"code": "session_unknown"})).await;
    drop(watcher);
}

#[tokio::test]
async fn services_and_presence_survive_a_resume_and_leave_at_the_timeout() {
    let server = TestServer::with(session_timeout(400));
    let (mut client, mut other) = server.two_clients().await;
    let presence = json!({"topic_name": "who", "type": "dict", "options": {"presence": true}});
    client.subscribe_with(presence).await;
    let key = client.id.to_string();
    client.changed("who", json!({"type": "add", "key": key, "value": {"x": 1}})).await;
    client.send("register_service", json!({"service_name": "solve"})).await;
    client.expect_type("registered", json!({})).await;
    assert_eq!(other.value("who").await, json!({key.clone(): {"x": 1}}));
    let mut client = client.vanish().resumed(&server).await;
    assert_eq!(client.value("who").await, json!({key.clone(): {"x": 1}}));
    let asks = json!({"service_name": "solve", "request_id": "r", "timeout_ms": 20_000});
    other.send("request", asks.clone()).await;
    let asked = client.expect_type("request", json!({})).await;
    client.send("response", json!({"request_id": asked["request_id"], "response": 1})).await;
    other.expect_type("response", json!({"response": 1})).await;
    // What is asked while it is away waits for it.
    let gone = client.vanish();
    other.send("request", asks.clone()).await;
    let mut client = gone.resumed(&server).await;
    let asked = client.expect_type("request", json!({})).await;
    client.send("response", json!({"request_id": asked["request_id"], "response": 2})).await;
    other.expect_type("response", json!({"response": 2})).await;
    drop(client.vanish());
    other.send("request", asks).await;
    // Both are told once it does not come back, in either order.
    let mut told = [other.receive().await, other.receive().await];
    told.sort_by_key(|it| it["type"].to_string());
    let left = json!({"content": {"request_id": "r", "error": {"code": "provider_left"}}});
    let removed =
        json!({"content": {"topic_name": "who", "change": {"type": "remove", "key": key}}});
    assert!(matches(&left, &told[0]) && matches(&removed, &told[1]), "{told:?}");
    assert_eq!(other.value("who").await, json!({}));
}

#[tokio::test]
async fn in_a_presence_topic_a_session_touches_its_own_entry_only() {
    let server = TestServer::start();
    let (mut a, mut b) = server.two_clients().await;
    let presence = json!({"topic_name": "who", "type": "dict", "options": {"presence": true}});
    a.subscribe_with(presence).await;
    let own = a.id.to_string();
    a.changed("who", json!({"type": "add", "key": own, "value": 1})).await;
    a.changed("who", json!({"type": "change_value", "key": own, "value": 2})).await;
    let forged = [
        b.id.to_string(),
        format!("0{own}"),
        format!("+{own}"),
        format!(" {own}"),
        "x".into(),
        String::new(),
    ];
    for key in forged {
        let add = json!({"type": "add", "key": key, "value": 1});
        a.rejected("who", add, "forbidden").await;
    }
    a.rejected("who", json!({"type": "set", "value": {}}), "forbidden").await;
    b.rejected("who", json!({"type": "remove", "key": own}), "forbidden").await;
    b.rejected("who", json!({"type": "change_value", "key": own, "value": 9}), "forbidden").await;
    let change = json!({"topic_name": "who", "change": {"type": "remove", "key": own}});
    b.send("action", json!({"action_id": "x", "changes": [change]})).await;
    b.expect_type("reject_update", json!({"code": "forbidden", "action_id": "x"})).await;
    assert_eq!(b.value("who").await, json!({own.clone(): 2}));
    a.changed("who", json!({"type": "pop", "key": own})).await;
    b.expect_type("update", json!({"change": {"type": "remove"}})).await;
    // With its author's goodbye an entry is gone at once.
    a.changed("who", json!({"type": "add", "key": own, "value": 1})).await;
    b.expect_type("update", json!({"change": {"type": "add"}})).await;
    a.close(CloseCode::Normal).await;
    b.expect_type("update", json!({"author": 0, "change": {"type": "remove", "key": own}})).await;
}

/// A server whose ticks are as far apart as a test needs them.
fn ticking(ms: u64) -> TestServer {
    TestServer::with(ServerConfig { tick: Duration::from_millis(ms), ..ServerConfig::default() })
}

async fn make_latest(client: &mut Client, name: &str, topic_type: &str) {
    let options = json!({"delivery": "latest"});
    client
        .subscribe_with(json!({"topic_name": name, "type": topic_type, "options": options}))
        .await;
}

#[tokio::test]
async fn latest_delivers_one_composed_update_a_tick_author_included() {
    let server = ticking(300);
    for encoding in Encoding::ALL {
        let name = format!("{encoding:?}");
        let (mut author, mut reader) =
            (server.client_in(encoding).await, server.client_in(encoding).await);
        make_latest(&mut author, &name, "float").await;
        make_latest(&mut reader, &name, "float").await;
        let messages: Vec<Value> = (1..=5)
            .map(|value| {
                let change =
                    json!({"type": "set", "value": value, "id": format!("{}_x{value}", author.id)});
                json!({"type": "update", "content": {"topic_name": name, "change": change}})
            })
            .collect();
        let ids: Vec<String> = (1..=5).map(|value| format!("{}_x{value}", author.id)).collect();
        author.send_json(json!(messages)).await;
        let composed = json!({"topic_name": name, "version": 5, "since": 0, "ids": ids,
            "change": {"type": "set", "value": 5}});
        author.expect_type("update", composed.clone()).await;
        reader.expect_type("update", composed).await;
        author.changed_latest(&name).await;
        reader
            .expect_type("update", json!({"version": 6, "since": 5, "change": {"type": "add"}}))
            .await;
        author.expect_nothing().await;
        // An author that does not subscribe gets the same.
        let mut stranger = server.client_in(encoding).await;
        stranger.changed_latest(&name).await;
        stranger.expect_nothing().await;
    }
}

#[tokio::test]
async fn latest_delivers_a_snapshot_where_changes_cannot_be_composed() {
    let server = ticking(200);
    let (mut author, mut reader) = server.two_clients().await;
    make_latest(&mut author, "d", "dict").await;
    make_latest(&mut reader, "d", "dict").await;
    let add = |key: &str| {
        json!({"type": "update", "content":
        {"topic_name": "d", "change": {"type": "add", "key": key, "value": 1}}})
    };
    author.send_json(json!([add("a"), add("b")])).await;
    let snapshot = json!({"version": 2, "since": 0, "snapshot": true,
        "change": {"type": "set", "value": {"a": 1, "b": 1}}});
    let update = reader.expect_type("update", snapshot).await;
    assert_eq!(update["ids"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn of_an_action_the_latest_part_comes_with_the_tick() {
    let server = ticking(200);
    let mut author = server.client().await;
    make_latest(&mut author, "slider", "float").await;
    author.subscribe("log", "list").await;
    let ids = [author.next_id(), author.next_id()];
    let changes = json!([
        {"topic_name": "slider", "change": {"type": "set", "value": 1.5, "id": ids[0]}},
        {"topic_name": "log", "change": {"type": "insert", "position": -1, "item": 1, "id": ids[1]}},
    ]);
    author.send("action", json!({"action_id": "act", "changes": changes})).await;
    let log = json!([{"topic_name": "log", "change": {"id": ids[1]}}]);
    author.expect_type("action", json!({"action_id": "act", "changes": log})).await;
    let slider = json!({"topic_name": "slider", "since": 0, "ids": [ids[0]], "version": 1});
    author.expect_type("update", slider).await;
    author.expect_nothing().await;
}

#[tokio::test]
async fn without_history_resending_still_is_harmless() {
    // Its clock stands nearly still: all this is within the time that sessions can be resumed.
    let server = TestServer::start();
    for options in [
        json!({"history": false}),
        json!({"keep": {"versions": 1}}),
        json!({"keep": {"seconds": 1}}),
    ] {
        let name = options.to_string();
        let mut client = server.client().await;
        let content = json!({"topic_name": name, "type": "int", "options": options});
        let (subscribed, _) = client.subscribe_with(content).await;
        let first = client.changed(&name, json!({"type": "add", "value": 1})).await;
        let add = json!({"type": "update", "content":
            {"topic_name": name, "change": {"type": "add", "value": 1}}});
        client.send_json(json!(vec![add; 999])).await;
        client.skip_to(json!({"content": {"version": 1000}})).await;
        let again = json!({"topic_name": name, "change": first["change"]});
        client.send("update", again).await;
        assert_eq!(client.expect_type("update", json!({})).await, first);
        let since = json!({"epoch": subscribed["epoch"], "version": 0});
        client.send("subscribe", json!({"topic_name": name, "since": since})).await;
        client.expect_type("subscribed", json!({"since": 0})).await;
    }
}

#[tokio::test]
async fn latest_delivers_one_update_a_tick_whoever_subscribes_meanwhile() {
    let server = ticking(2_000);
    let (mut author, mut reader) = server.two_clients().await;
    make_latest(&mut author, "a", "int").await;
    make_latest(&mut reader, "a", "int").await;
    for _ in 0..3 {
        author.change("a", json!({"type": "add", "value": 1})).await;
        server.client().await.value("a").await;
    }
    let update = reader.expect_type("update", json!({"since": 0})).await;
    assert_eq!(update["version"], 3);
}
