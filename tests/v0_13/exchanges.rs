//! Recorded exchanges, frames, services, events, and what fails.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use futures_util::SinkExt;
use topicsync::engine::EngineConfig;
use topicsync::server::ServerConfig;
use topicsync::topic::Durability;

use crate::common::*;
use crate::old::*;

const TOPIC_LIST: &str = "_topicsync/topic_list";

#[tokio::test]
async fn a_whole_exchange_goes_as_recorded() {
    check_exchange(TestServer::start()).await;
}

/// The same where everything is durable before anyone hears of it.
#[tokio::test]
async fn a_whole_exchange_goes_as_recorded_over_a_journal() {
    let engine = EngineConfig { durability: Durability::Commit, ..EngineConfig::default() };
    check_exchange(TestServer::with_engine(ServerConfig::default(), engine)).await;
}

async fn check_exchange(server: TestServer) {
    let mut old = Old::connect(&server).await;
    old.send("subscribe", json!({"topic_name": TOPIC_LIST})).await;
    let own = json!({"type": "dict", "is_stateful": true, "boundary_value": {}});
    let value = json!({TOPIC_LIST: own});
    old.expect("init", json!({"topic_name": TOPIC_LIST, "value": value})).await;

    let made = entry("string", json!("hi"));
    let add = json!({"topic_name": TOPIC_LIST, "topic_type": "dict", "type": "add", "key": "made",
        "id": "1_2", "value": made});
    old.send("action", json!({"action_id": "1_1", "commands": [add]})).await;
    old.send("subscribe", json!({"topic_name": "made"})).await;
    old.expect("update", json!({"action_id": "1_1", "changes": [add]})).await;
    old.expect("init", json!({"topic_name": "made", "value": "hi", "id": "made_init"})).await;

    let insert = json!({"topic_name": "made", "topic_type": "string", "type": "insert",
        "topic_version": "made_init", "position": 2, "insertion": "!", "result_topic_version": "1_4",
        "id": "1_5"});
    old.send("action", json!({"action_id": "1_3", "commands": [insert]})).await;
    old.expect("update", json!({"action_id": "1_3", "changes": [insert]})).await;
    assert_eq!(
        old.subscribe("made").await,
        json!({"topic_name": "made", "value": "hi!", "id": "1_4"})
    );
}

#[tokio::test]
async fn hello_bears_both_vocabularies_and_the_first_message_decides() {
    let server = TestServer::start();
    let (mut socket, _) = open(server.address, None, None).await;
    let hello = futures_util::StreamExt::next(&mut socket).await.unwrap().unwrap();
    let hello: serde_json::Value = serde_json::from_str(hello.to_text().unwrap()).unwrap();
    assert_eq!(hello["content"]["id"], hello["args"]["id"]);
    assert_eq!(hello["content"]["protocol"], 1);
    // Ours, without a subprotocol.
    let subscribe = json!({"type": "subscribe", "content": {"topic_name": "t", "type": "int"}});
    socket.send(Message::text(subscribe.to_string())).await.unwrap();
    let answer = futures_util::StreamExt::next(&mut socket).await.unwrap().unwrap();
    assert!(answer.to_text().unwrap().contains("\"subscribed\""), "{answer}");
}

#[tokio::test]
async fn what_is_no_message_closes_with_1000_and_what_is_not_known_is_passed_over() {
    let server = TestServer::start();
    for nonsense in ["{", "7", r#"{"type":"action"}"#, r#"{"args":{}}"#] {
        let mut old = Old::connect(&server).await;
        old.expect_nothing().await;
        old.send_text(nonsense).await;
        assert_eq!(old.expect_close().await, 1000, "{nonsense}");
    }
    let mut old = Old::connect(&server).await;
    old.send("dance", json!({"with": "me"})).await;
    old.send("response", json!({"response": 1, "request_id": "x"})).await;
    old.send("subscribe", json!({})).await;
    old.send("subscribe", json!({"topic_name": 7})).await;
    old.send("unsubscribe", json!({"topic_name": "nothing"})).await;
    old.send("request", json!({"service_name": "s"})).await;
    old.send("subscribe", json!({"topic_name": "not there"})).await;
    old.expect_nothing().await;
}

#[tokio::test]
async fn json_in_binary_frames_is_read_and_text_is_answered() {
    let server = TestServer::start();
    let mut old = Old::connect(&server).await;
    let message = json!({"type": "subscribe", "args": {"topic_name": TOPIC_LIST}});
    old.socket.send(Message::binary(message.to_string().into_bytes())).await.unwrap();
    old.expect("init", json!({"topic_name": TOPIC_LIST, "value": ANY})).await;
}

#[tokio::test]
async fn a_plain_get_gets_an_answer() {
    let server = TestServer::start();
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    within(stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 426"), "{answer}");
}

#[tokio::test]
async fn a_malformed_action_is_rejected() {
    let server = TestServer::start();
    let mut old = Old::connect(&server).await;
    old.make("n", entry("int", json!(1))).await;
    let set = json!({"topic_name": "n", "topic_type": "int", "type": "set", "value": 2});
    let without = |field: &str| {
        let mut command = set.clone();
        command.as_object_mut().unwrap().remove(field);
        json!([command])
    };
    let actions = [
        json!({"commands": [set]}),
        json!({"action_id": "1"}),
        json!({"action_id": "1", "commands": {}}),
        json!({"action_id": "1", "commands": [7]}),
        json!({"action_id": "1", "commands": without("type")}),
        json!({"action_id": "1", "commands": without("topic_type")}),
        json!({"action_id": "1", "commands": without("topic_name")}),
        json!({"action_id": "1", "commands": without("value")}),
    ];
    for action in actions {
        old.send("action", action.clone()).await;
        let reject = old.expect("reject", json!({"reason": ANY})).await;
        assert!(!reject["reason"].as_str().unwrap().is_empty(), "{action}");
    }
    for number in ["NaN", "1e999", "Infinity", "9007199254740993"] {
        old.send_text(&format!(
            r#"{{"type":"action","args":{{"action_id":"1","commands":[{{"topic_name":"n",
            "topic_type":"int","type":"set","value":{number}}}]}}}}"#
        ))
        .await;
        old.expect("reject", json!({"reason": ANY})).await;
    }
    old.send("action", json!({"action_id": "1", "commands": []})).await;
    old.expect_nothing().await;
    assert_eq!(old.value("n").await, json!(1));
}

#[tokio::test]
async fn an_action_that_fails_changes_nothing_and_only_its_author_hears_of_it() {
    let server = TestServer::start();
    let mut old = Old::connect(&server).await;
    old.make("n", entry("int", json!(1))).await;
    old.make("s", entry("set", json!(["a"]))).await;
    let mut other = Old::on(&server, &["n", "s"]).await;
    let mut author = Old::on(&server, &["n", "s"]).await;
    let commands = json!([
        author.command("n", "int", json!({"type": "add", "value": 5})),
        author.command("s", "set", json!({"type": "append", "item": "a"})),
        author.command("n", "int", json!({"type": "add", "value": 7})),
    ]);
    author.act(commands).await;
    let reject = author.expect("reject", json!({"reason": ANY})).await;
    assert!(reject["reason"].as_str().unwrap().contains("topic s"), "{reject}");
    // What was sent behind it is none the worse.
    let change = author.change("n", "int", json!({"type": "add", "value": 1})).await;
    assert_eq!(other.receive().await["args"]["changes"], json!([change]));
    other.expect_nothing().await;
    assert_eq!(author.value("n").await, json!(2));
    assert_eq!(author.value("s").await, json!(["a"]));
}

#[tokio::test]
async fn a_rejected_set_of_a_text_is_followed_by_its_version() {
    let server = TestServer::start();
    let mut old = Old::connect(&server).await;
    old.make("t", entry("string", json!("x"))).await;
    old.make("n", entry("int", json!(1))).await;
    old.subscribe("t").await;
    // A `set` to what is there: for that, a client takes back all that it shows ahead.
    let set = json!({"topic_name": "t", "topic_type": "string", "type": "set", "value": "x",
        "old_value": "x", "id": "t_init"});
    let anew = json!({"action_id": "", "changes": [set]});
    let commands = json!([
        old.command("t", "string", json!({"type": "set", "value": "y"})),
        old.command("n", "int", json!({"type": "add", "value": 0.5})),
    ]);
    old.act(commands).await;
    old.expect("reject", json!({"reason": ANY})).await;
    old.expect("update", anew.clone()).await;
    // So is an edit on a version that there never was.
    let edit = json!({"type": "insert", "topic_version": "9_9", "position": 0, "insertion": "!",
        "result_topic_version": "9_10"});
    let reason = old.rejected("t", "string", edit).await;
    assert!(reason.contains("Invalid base topic version"), "{reason}");
    old.expect("update", anew).await;
    old.expect_nothing().await;
}

#[tokio::test]
async fn events_reach_subscribers_and_leave_nothing() {
    let server = TestServer::start();
    let mut old = Old::connect(&server).await;
    old.make("e", entry("event", json!(null))).await;
    let (mut author, mut other) = (Old::on(&server, &["e"]).await, Old::on(&server, &["e"]).await);
    let emitted = author.change("e", "event", json!({"type": "emit", "args": {"n": 1}})).await;
    assert_eq!(emitted["args"], json!({"n": 1}));
    assert_eq!(other.receive().await["args"]["changes"], json!([emitted]));
    let emitted = author.change("e", "event", json!({"type": "emit", "args": null})).await;
    assert_eq!(emitted["args"], json!({}));
    let emitted = author.change("e", "event", json!({"type": "emit"})).await;
    assert_eq!(emitted["args"], json!({}));
    author.rejected("e", "event", json!({"type": "emit", "args": [1]})).await;
    author.rejected("e", "event", json!({"type": "set", "value": 1})).await;
    // Who does not subscribe hears nothing back.
    let emit = old.command("e", "event", json!({"type": "emit", "args": {}}));
    old.act(json!([emit])).await;
    old.expect_nothing().await;
    assert_eq!(author.receive().await["type"], "update");
    assert_eq!(author.value("e").await, json!(null));
}

#[tokio::test]
async fn services_answer_under_any_id_and_failures_are_a_text() {
    let server = TestServer::start();
    let mut provider = server.client().await;
    provider.send("register_service", json!({"service_name": "compat/add"})).await;
    provider.expect_type("registered", json!({"service_name": "compat/add"})).await;
    let mut old = Old::connect(&server).await;
    for request_id in [json!("1_8"), json!(7), json!(null), json!({"a": [1]})] {
        let args = json!({"service_name": "compat/add", "args": {"a": 2, "b": 3}, "request_id": request_id});
        old.send("request", args).await;
        let request = provider.expect_type("request", json!({"args": {"a": 2, "b": 3}})).await;
        assert_eq!(request["client_id"], old.id);
        let answer = json!({"request_id": request["request_id"], "response": 5});
        provider.send("response", answer).await;
        old.expect("response", json!({"response": 5, "request_id": request_id})).await;
    }
    old.send("request", json!({"service_name": "compat/add", "args": {}, "request_id": "1_9"}))
        .await;
    let request = provider.expect_type("request", json!({})).await;
    let error = json!({"code": "failed", "reason": "no"});
    provider.send("response", json!({"request_id": request["request_id"], "error": error})).await;
    old.expect("response", json!({"response": "request failed", "request_id": "1_9"})).await;
    // One that nobody provides is answered too, which `expect_nothing` relies on.
    old.expect_nothing().await;
}

#[tokio::test]
async fn a_client_that_leaves_is_gone_at_once() {
    let server = TestServer::start();
    let mut client = server.client().await;
    let (_, clients) = client.subscribe_with(json!({"topic_name": "_topicsync/clients"})).await;
    assert_eq!(clients.as_object().unwrap().len(), 1);
    let mut old = Old::connect(&server).await;
    old.expect_nothing().await;
    let id = old.id.to_string();
    drop(old);
    let gone = json!({"type": "update", "content": {"change": {"type": "remove", "key": id}}});
    client.skip_to(gone).await;
}

#[tokio::test]
async fn changes_of_buffered_topics_come_with_the_clock() {
    let server = TestServer::start();
    let mut old = Old::connect(&server).await;
    let buffered =
        json!({"type": "int", "boundary_value": 14, "is_stateful": false, "order_strict": false});
    old.make("i", buffered).await;
    old.make("n", entry("int", json!(0))).await;
    let mut author = Old::on(&server, &["i", "n"]).await;
    let commands = json!([
        author.command("i", "int", json!({"type": "set", "value": 50})),
        author.command("n", "int", json!({"type": "add", "value": 1})),
        author.command("i", "int", json!({"type": "add", "value": 1})),
    ]);
    let action_id = author.act(commands.clone()).await;
    author.expect("update", json!({"action_id": action_id, "changes": [commands[1]]})).await;
    let change = json!({"topic_name": "i", "topic_type": "int", "type": "set", "value": 51,
        "old_value": 14, "id": ANY});
    author.expect("update", json!({"action_id": "clock", "changes": [change]})).await;
    author.rejected("i", "int", json!({"type": "add", "value": 0.5})).await;
    assert_eq!(author.value("i").await, json!(51));
}
