//! Clients of both vocabularies on the same topics.

use serde_json::{Value as Json, json};

use crate::common::*;
use crate::old::*;

const TOPIC_LIST: &str = "_topicsync/topic_list";

/// What a change of ours is to a client of 0.13: its changes, without ids and names.
async fn told(old: &mut Old) -> Vec<Json> {
    let update = old.receive().await;
    assert_eq!((&update["type"], &update["args"]["action_id"]), (&json!("update"), &json!("")));
    let mut changes = update["args"]["changes"].as_array().unwrap().clone();
    for change in &mut changes {
        let change = change.as_object_mut().unwrap();
        assert!(change.remove("id").is_some_and(|id| id.is_string()));
        change.remove("topic_name").zip(change.remove("topic_type")).unwrap();
    }
    changes
}

#[tokio::test]
async fn changes_of_ours_are_told_as_0_13_has_them() {
    let server = TestServer::start();
    let mut native = server.client().await;
    for kind in ["generic", "bool", "int", "float", "set", "list", "dict", "event"] {
        native.send("subscribe", json!({"topic_name": kind, "type": kind})).await;
        native.skip_to(json!({"type": "subscribed", "content": {"topic_name": kind}})).await;
    }
    let mut old = Old::connect(&server).await;
    for kind in ["generic", "bool", "int", "float", "set", "list", "dict", "event"] {
        old.subscribe(kind).await;
    }
    let list = json!(["a", "b", "c"]);
    let table = [
        (
            "generic",
            json!({"type": "set", "value": [1]}),
            json!([{"type": "set", "value": [1], "old_value": null}]),
        ),
        (
            "bool",
            json!({"type": "set", "value": true}),
            json!([{"type": "set", "value": true, "old_value": false}]),
        ),
        ("int", json!({"type": "add", "value": 2}), json!([{"type": "add", "value": 2}])),
        (
            "float",
            json!({"type": "set", "value": 2.0}),
            json!([{"type": "set", "value": 2, "old_value": 0}]),
        ),
        ("set", json!({"type": "append", "item": "a"}), json!([{"type": "append", "item": "a"}])),
        ("set", json!({"type": "remove", "item": "a"}), json!([{"type": "remove", "item": "a"}])),
        (
            "list",
            json!({"type": "set", "value": list}),
            json!([{"type": "set", "value": list, "old_value": []}]),
        ),
        (
            "list",
            json!({"type": "insert", "position": -1, "item": "d"}),
            json!([{"type": "insert", "position": 3, "item": "d"}]),
        ),
        ("list", json!({"type": "pop", "position": -1}), json!([{"type": "pop", "position": 3}])),
        (
            "list",
            json!({"type": "replace", "position": 1, "item": "B"}),
            json!([{"type": "pop", "position": 1}, {"type": "insert", "position": 1, "item": "B"}]),
        ),
        (
            "list",
            json!({"type": "move", "from": 0, "to": 2}),
            json!([{"type": "pop", "position": 0}, {"type": "insert", "position": 2, "item": "a"}]),
        ),
        (
            "dict",
            json!({"type": "add", "key": "k", "value": 1}),
            json!([{"type": "add", "key": "k", "value": 1}]),
        ),
        (
            "dict",
            json!({"type": "change_value", "key": "k", "value": 2}),
            json!([{"type": "change_value", "key": "k", "value": 2, "old_value": 1}]),
        ),
        ("dict", json!({"type": "remove", "key": "k"}), json!([{"type": "pop", "key": "k"}])),
        (
            "event",
            json!({"type": "emit", "args": {"n": 1}}),
            json!([{"type": "emit", "args": {"n": 1}}]),
        ),
    ];
    for (topic, change, expected) in table {
        native.change(topic, change.clone()).await;
        let found = json!(told(&mut old).await);
        assert!(is(&expected, &found), "{change} is told as {found}");
    }
}

#[tokio::test]
async fn an_edit_of_ours_is_told_step_by_step() {
    let server = TestServer::start();
    let mut native = server.client().await;
    native.subscribe("t", "string").await;
    native.changed("t", json!({"type": "set", "value": "a😀bcd"})).await;
    let mut old = Old::on(&server, &["t"]).await;
    let edit = json!({"type": "edit", "edit": [1, "x", {"d": 1}, 1, {"d": "c"}, "yz"]});
    native.change("t", edit).await;
    let changes = told(&mut old).await;
    let steps: Vec<Json> = changes
        .iter()
        .map(|it| json!([it["type"], it["position"], it.get("insertion").or(it.get("deletion"))]))
        .collect();
    let expected =
        json!([["insert", 1, "x"], ["delete", 2, "😀"], ["delete", 3, "c"], ["insert", 3, "yz"]]);
    assert_eq!(json!(steps), expected);
    let init = old.subscribe("t").await;
    assert_eq!(init["value"], "axbyzd");
    let mut version = changes[0]["topic_version"].clone();
    for change in &changes {
        assert_eq!(change["topic_version"], version);
        version = change["result_topic_version"].clone();
    }
    assert_eq!(init["id"], version);
}

#[tokio::test]
async fn two_of_0_13_and_one_of_ours_edit_one_text() {
    let server = TestServer::start();
    let mut native = server.client().await;
    native.subscribe("t", "string").await;
    let (mut a, mut b) = (Old::on(&server, &["t"]).await, Old::on(&server, &["t"]).await);
    let insert = |version: &Json, position: usize, text: &str, result: &str| {
        json!({"type": "insert", "topic_version": version, "position": position, "insertion": text,
            "result_topic_version": result})
    };
    native.changed("t", json!({"type": "insert", "position": 0, "insertion": "middle"})).await;
    let version = a.receive().await["args"]["changes"][0]["result_topic_version"].clone();
    b.receive().await;
    // All three at once, on the same version.
    let left = a.command("t", "string", insert(&version, 0, "left ", "a1"));
    let right = b.command("t", "string", insert(&version, 6, " right", "b1"));
    a.act(json!([left])).await;
    b.act(json!([right])).await;
    let id = native.next_id();
    let change = json!({"type": "insert", "position": 6, "insertion": "!", "base": 1, "id": id});
    native.send("update", json!({"topic_name": "t", "change": change})).await;
    for client in [&mut a, &mut b] {
        for _ in 0..3 {
            assert_eq!(client.receive().await["type"], "update");
        }
    }
    let value = native.value_of("t").await;
    let text = value.as_str().unwrap();
    assert!(["left middle! right", "left middle right!"].contains(&text), "{text}");
    assert_eq!(a.value("t").await, value);
    assert_eq!(b.value("t").await, value);
}

trait ValueOf {
    async fn value_of(&mut self, topic: &str) -> Json;
}

impl ValueOf for Client {
    /// The value, whatever else has come.
    async fn value_of(&mut self, topic: &str) -> Json {
        let now = topicsync::topic::Timestamp::now().0;
        let args = json!({"topic_name": topic, "time": now});
        let answer = self.ask("_topicsync/value_at", args).await;
        answer["value"].clone()
    }
}

#[tokio::test]
async fn an_action_of_0_13_is_an_action_of_ours() {
    let server = TestServer::start();
    let (mut native, mut old) = (server.client().await, Old::connect(&server).await);
    native.subscribe("nodes", "dict").await;
    native.subscribe("order", "list").await;
    let commands = json!([
        old.command("nodes", "dict", json!({"type": "add", "key": "n1", "value": {"x": 1}})),
        old.command("order", "list", json!({"type": "insert", "item": "n1", "position": -1})),
        old.command("nodes", "dict", json!({"type": "add", "key": "n2", "value": {"x": 2}})),
    ]);
    old.act(commands).await;
    let action = native.expect_type("action", json!({"author": old.id})).await;
    let changes: Vec<Json> = action["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["change"]["type"].clone())
        .collect();
    assert_eq!(json!(changes), json!(["add", "insert", "add"]));
    // And the other way round; the part of an action that concerns one, to that one.
    old.subscribe("order").await;
    let changes = json!([
        {"topic_name": "nodes", "change": {"type": "remove", "key": "n1"}},
        {"topic_name": "order", "change": {"type": "pop", "position": 0}},
    ]);
    native.send("action", json!({"action_id": "a", "changes": changes})).await;
    assert_eq!(told(&mut old).await, [json!({"type": "pop", "position": 0})]);
    old.expect_nothing().await;
}

#[tokio::test]
async fn topics_of_ours_are_on_the_list_and_theirs_on_ours() {
    let server = TestServer::start();
    let (mut native, mut old) = (server.client().await, Old::on(&server, &[TOPIC_LIST]).await);
    native.subscribe_with(json!({"topic_name": "mine", "type": "bool"})).await;
    let entry_of = |kind: &str, stateful: bool, strict: bool| json!({"type": kind, "boundary_value": null, "is_stateful": stateful, "order_strict": strict});
    let add = json!({"type": "add", "key": "mine", "value": entry_of("generic", true, true)});
    assert_eq!(told(&mut old).await, [add]);
    let options = json!({"history": false, "delivery": "latest"});
    native.subscribe_with(json!({"topic_name": "fast", "type": "int", "options": options})).await;
    let add = json!({"type": "add", "key": "fast", "value": entry_of("int", false, false)});
    assert_eq!(told(&mut old).await, [add]);
    native.ask("_topicsync/remove_topic", json!({"topic_name": "fast"})).await;
    assert_eq!(told(&mut old).await, [json!({"type": "pop", "key": "fast"})]);

    let (_, list) = native.subscribe_with(json!({"topic_name": TOPIC_LIST})).await;
    assert_eq!(list.as_object().unwrap().len(), 1);
    let theirs = json!({"type": "string", "boundary_value": "hi", "is_stateful": false, "order_strict": false});
    let add = json!({"type": "add", "key": "theirs", "value": theirs});
    let add = old.command(TOPIC_LIST, "dict", add);
    old.act(json!([add])).await;
    let change = native.skip_to(json!({"type": "action"})).await;
    let value = &change["content"]["changes"][0]["change"]["value"];
    assert_eq!((&value["type"], &value["options"]), (&json!("string"), &options));
    assert_eq!(native.value_of("theirs").await, json!("hi"));
    // Removed there, it is removed here.
    let pop = old.command(TOPIC_LIST, "dict", json!({"type": "pop", "key": "theirs"}));
    old.act(json!([pop])).await;
    native.skip_to(json!({"content": {"change": {"type": "remove", "key": "theirs"}}})).await;
}

#[tokio::test]
async fn an_undo_of_ours_is_told_as_the_server_s_own_change() {
    let server = TestServer::start();
    let mut native = server.client().await;
    native.subscribe("t", "string").await;
    native.subscribe("n", "int").await;
    let mut old = Old::on(&server, &["t", "n"]).await;
    native.changed("t", json!({"type": "insert", "position": 0, "insertion": "hello"})).await;
    old.receive().await;
    native.ask("_topicsync/undo", Json::Null).await;
    let update = old.receive().await;
    assert_eq!(update["args"]["action_id"], "");
    assert_eq!(
        (&update["args"]["changes"][0]["type"], &update["args"]["changes"][0]["deletion"]),
        (&json!("delete"), &json!("hello"))
    );
    native.ask("_topicsync/redo", Json::Null).await;
    assert_eq!(old.receive().await["args"]["changes"][0]["insertion"], "hello");
    // A client of 0.13 can undo what it did, too.
    old.change("n", "int", json!({"type": "add", "value": 5})).await;
    old.send("request", json!({"service_name": "_topicsync/undo", "args": {}, "request_id": "u"}))
        .await;
    let update = old.receive().await;
    assert_eq!(update["args"]["changes"][0]["value"], -5);
    assert_eq!(old.receive().await["args"]["request_id"], "u");
}

#[tokio::test]
async fn presence_is_there_to_see_and_only_one_s_own_to_change() {
    let server = TestServer::start();
    let mut native = server.client().await;
    let options = json!({"presence": true});
    native.subscribe_with(json!({"topic_name": "p", "type": "dict", "options": options})).await;
    let mine = native.id.to_string();
    native.changed("p", json!({"type": "add", "key": mine, "value": 1})).await;
    let mut old = Old::connect(&server).await;
    let entries = old.value("p").await;
    assert_eq!(entries.as_object().unwrap().len(), 1);
    old.rejected("p", "dict", json!({"type": "pop", "key": mine})).await;
    let own = old.id.to_string();
    old.change("p", "dict", json!({"type": "add", "key": own, "value": 2})).await;
    // Nor by way of an action that the topic list makes the server's.
    let commands = json!([
        old.command(
            TOPIC_LIST,
            "dict",
            json!({"type": "add", "key": "x", "value": entry("int", json!(null))})
        ),
        old.command("p", "dict", json!({"type": "pop", "key": mine})),
    ]);
    old.act(commands).await;
    old.expect("reject", json!({"reason": ANY})).await;
    drop(old);
    native.skip_to(json!({"content": {"change": {"type": "remove", "key": own}}})).await;
}

#[tokio::test]
async fn one_that_does_not_read_is_told_everything_anew() {
    let config =
        topicsync::server::ServerConfig { queue_bytes_max: 64 << 10, ..Default::default() };
    let server = TestServer::with(config);
    let mut native = server.client().await;
    native.subscribe("t", "string").await;
    native.subscribe("n", "int").await;
    let mut old = Old::on(&server, &["t", "n"]).await;
    let filler = "x".repeat(100_000);
    // More than the sockets and the queue hold.
    for round in 0..300 {
        native.changed("t", json!({"type": "set", "value": format!("{round}{filler}")})).await;
    }
    native.changed("n", json!({"type": "add", "value": 7})).await;
    let asked = json!({"service_name": "nobody's", "args": {}, "request_id": "last"});
    old.send("request", asked).await;
    let (mut told_anew, mut number) = (false, Json::Null);
    loop {
        let message = old.receive().await;
        if message["type"] == "response" {
            break;
        }
        for change in message["args"]["changes"].as_array().unwrap() {
            if change["topic_name"] == "n" {
                told_anew |= change["type"] == "set";
                number = change["value"].clone();
            }
        }
    }
    assert!(told_anew, "it never fell behind: it was no test");
    assert_eq!(number, json!(7));
    let init = old.subscribe("t").await;
    assert_eq!(init["value"], json!(format!("299{filler}")));
    let version = init["id"].as_str().unwrap();
    let edit = json!({"type": "insert", "topic_version": version, "position": 0, "insertion": "!",
        "result_topic_version": "v"});
    old.change("t", "string", edit).await;
}
