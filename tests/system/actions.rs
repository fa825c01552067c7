//! Actions: changes of one or more topics that take effect together or not at all.

use serde_json::{Value, json};

use super::common::*;

fn part(topic_name: &str, change: Value) -> Value {
    json!({"topic_name": topic_name, "change": change})
}

fn add(topic_name: &str, value: i64) -> Value {
    part(topic_name, json!({"type": "add", "value": value}))
}

async fn make_ints(client: &mut Client, names: &[&str]) {
    for name in names {
        client.subscribe(name, "int").await;
    }
}

async fn act(client: &mut Client, action_id: &str, changes: Vec<Value>) {
    client.send("action", json!({"action_id": action_id, "changes": changes})).await;
}

#[tokio::test]
async fn an_action_is_one_message_with_the_topics_that_its_reader_subscribes_to() {
    let server = TestServer::start();
    for encoding in Encoding::ALL {
        let names = ["a", "b", "c"].map(|name| format!("{name} {encoding:?}"));
        let [a, b, c] = names.each_ref().map(|name| name.as_str());
        let mut author = server.client_in(encoding).await;
        make_ints(&mut author, &[a]).await;
        let mut readers: Vec<(Client, Vec<u64>)> = Vec::new();
        for (subscriptions, versions) in
            [(vec![a, b, c], vec![1, 1, 2, 1]), (vec![b], vec![1, 2]), (vec![c], vec![1])]
        {
            let mut reader = server.client_in(encoding).await;
            make_ints(&mut reader, &subscriptions).await;
            readers.push((reader, versions));
        }
        let changes = vec![add(a, 1), add(b, 2), add(b, 3), add(c, 4)];
        act(&mut author, "my action", changes).await;
        let all = author
            .expect_type("action", json!({"action_id": "my action", "author": author.id}))
            .await;
        let versions = |action: &Value| -> Vec<u64> {
            let changes = action["changes"].as_array().unwrap();
            changes.iter().map(|it| it["version"].as_u64().unwrap()).collect()
        };
        assert_eq!(versions(&all), [1, 1, 2, 1], "the author gets all of it");
        for change in all["changes"].as_array().unwrap() {
            let id = change["change"]["id"].as_str().unwrap();
            assert!(id.starts_with(&format!("{}_", author.id)));
        }
        author.expect_nothing().await;
        for (mut reader, expected) in readers {
            let same = json!({"action_id": "my action", "commit": all["commit"]});
            let action = reader.expect_type("action", same).await;
            assert_eq!(versions(&action), expected);
            reader.expect_nothing().await;
        }
    }
}

#[tokio::test]
async fn an_action_of_one_change_is_an_action() {
    let server = TestServer::start();
    let mut client = server.client().await;
    make_ints(&mut client, &["a"]).await;
    act(&mut client, "one", vec![add("a", 1)]).await;
    let part = json!({"topic_name": "a", "version": 1, "change": {"type": "add", "value": 1}});
    client.expect_type("action", json!({"action_id": "one", "changes": [part]})).await;
}

#[tokio::test]
async fn an_action_happens_whole_or_not_at_all() {
    let server = TestServer::start();
    for encoding in Encoding::ALL {
        let (mut client, mut other) =
            (server.client_in(encoding).await, server.client_in(encoding).await);
        make_ints(&mut client, &["a", "b"]).await;
        make_ints(&mut other, &["a", "b"]).await;
        for (bad, code) in [
            (part("b", json!({"type": "add", "value": "x"})), "invalid"),
            (part("b", json!({"type": "no such"})), "invalid"),
            (part("nowhere", json!({"type": "add", "value": 1})), "unknown_topic"),
            (part("_topicsync/clients", json!({"type": "set", "value": {}})), "forbidden"),
            (part("b", json!({"type": "add", "value": 1, "id": "0_1"})), "forbidden"),
            (part("b", json!({"type": "add", "value": 1, "base": 77})), "stale"),
            (part("b", json!({"type": "set", "value": 9_007_199_254_740_993_i64})), "invalid"),
        ] {
            let name = bad["topic_name"].clone();
            act(&mut client, "act", vec![add("a", 1), bad, add("a", 2)]).await;
            let rejected = client
                .expect_type("reject_update", json!({"code": code, "action_id": "act"}))
                .await;
            assert!(rejected["topic_name"] == name || rejected["topic_name"] == "a", "{rejected}");
        }
        client.expect_nothing().await;
        other.expect_nothing().await;
        assert_eq!((other.value("a").await, other.value("b").await), (json!(0), json!(0)));
    }
}

#[tokio::test]
async fn the_change_that_failed_is_named() {
    let server = TestServer::start();
    let mut client = server.client().await;
    make_ints(&mut client, &["a", "b"]).await;
    let ids = [client.next_id(), client.next_id(), client.next_id()];
    let with_id = |change: Value, id: &String| {
        part(
            change["topic_name"].as_str().unwrap(),
            with(change["change"].clone(), json!({"id": id})),
        )
    };
    for bad in [
        json!({"type": "add", "value": "x"}),
        json!({"type": "set", "value": 1_u64 << 53}),
        json!({"type": "add", "value": 1, "base": -1}),
        json!({"type": "add", "value": 1, "base": 9}),
    ] {
        let changes = vec![
            with_id(add("a", 1), &ids[0]),
            with_id(part("b", bad), &ids[1]),
            with_id(add("a", 1), &ids[2]),
        ];
        act(&mut client, "act", changes).await;
        let named = json!({"topic_name": "b", "action_id": "act", "change": {"id": ids[1]}});
        client.expect_type("reject_update", named).await;
    }
}

#[tokio::test]
async fn changes_of_one_action_are_made_on_top_of_each_other() {
    let server = TestServer::start();
    let mut client = server.client().await;
    client.subscribe("l", "list").await;
    client.changed("l", json!({"type": "set", "value": ["a", "b", "c"]})).await;
    let mut other = server.client().await;
    other.changed("l", json!({"type": "insert", "position": 0, "item": "new"})).await;
    client.expect_type("update", json!({"version": 2})).await;
    // Both on base 1, the second on top of the first; the other's item came in between.
    let pop = |base: u64| part("l", json!({"type": "pop", "position": 0, "base": base}));
    act(&mut client, "pops", vec![pop(1), pop(1)]).await;
    let parts = json!([{"version": 3, "change": {"position": 1}}, {"version": 4, "change": {"position": 1}}]);
    client.expect_type("action", json!({"changes": parts})).await;
    assert_eq!(client.value("l").await, json!(["new", "c"]));
    for mixed in
        [vec![pop(4), pop(3)], vec![pop(4), part("l", json!({"type": "pop", "position": 0}))]]
    {
        act(&mut client, "mixed", mixed).await;
        client.expect_type("reject_update", json!({"code": "invalid", "action_id": "mixed"})).await;
    }
}

#[tokio::test]
async fn an_action_of_none_is_invalid_and_one_without_an_id_malformed() {
    let server = TestServer::start();
    let mut client = server.client().await;
    act(&mut client, "empty", vec![]).await;
    client.expect_type("error", json!({"code": "invalid", "to": "action"})).await;
    for content in [
        json!({"changes": []}),
        json!({"action_id": "x"}),
        json!({"action_id": "x", "changes": [7]}),
        json!({"action_id": "x".repeat(129), "changes": []}),
    ] {
        client.send("action", content).await;
        client.expect_type("error", json!({"code": "malformed", "to": "action"})).await;
    }
}

#[tokio::test]
async fn a_resent_action_is_confirmed_whole_and_applied_once() {
    let server = TestServer::start();
    let (mut client, mut other) = server.two_clients().await;
    make_ints(&mut client, &["a"]).await;
    make_ints(&mut other, &["a", "b"]).await;
    let ids = [client.next_id(), client.next_id(), client.next_id()];
    let change = |name: &str, id: &str| part(name, json!({"type": "add", "value": 1, "id": id}));
    let changes = vec![change("a", &ids[0]), change("b", &ids[1])];
    act(&mut client, "act", changes.clone()).await;
    let first = client.expect_type("action", json!({"action_id": "act"})).await;
    client.changed("a", json!({"type": "add", "value": 1})).await;
    act(&mut client, "act", changes.clone()).await;
    assert_eq!(client.expect_type("action", json!({})).await, first);
    // Some known, some not; and one twice.
    for bad in [
        vec![change("a", &ids[0]), change("b", &ids[2])],
        vec![change("a", &ids[2]), change("b", &ids[2])],
        vec![change("b", &ids[2]), change("a", &ids[0])],
    ] {
        act(&mut client, "bad", bad).await;
        client.expect_type("reject_update", json!({"code": "invalid", "action_id": "bad"})).await;
    }
    other.expect_type("action", json!({"action_id": "act"})).await;
    other.expect_type("update", json!({"version": 2})).await;
    other.expect_nothing().await;
}

#[tokio::test]
async fn order_within_each_topic_holds_around_actions() {
    let server = TestServer::start();
    let (mut client, mut other) = server.two_clients().await;
    make_ints(&mut client, &["a", "b"]).await;
    make_ints(&mut other, &["a", "b"]).await;
    let mut messages = Vec::new();
    for number in 0..40 {
        let name = if number % 2 == 0 { "a" } else { "b" };
        let content = match number % 3 {
            0 => {
                json!({"type": "action", "content": {"action_id": format!("{number}"), "changes": [add("a", 1), add("b", 1)]}})
            }
            _ => json!({"type": "update", "content": add(name, 1)}),
        };
        messages.push(content);
    }
    client.send_json(json!(messages)).await;
    for reader in [&mut client, &mut other] {
        let mut heads = std::collections::HashMap::from([("a".to_owned(), 0), ("b".to_owned(), 0)]);
        let mut left = 40 + 14;
        while left > 0 {
            let message = reader.receive().await;
            let content = &message["content"];
            let parts = content["changes"].as_array().cloned().unwrap_or(vec![content.clone()]);
            for part in parts {
                let head = heads.get_mut(part["topic_name"].as_str().unwrap()).unwrap();
                *head += 1;
                assert_eq!(part["version"].as_u64().unwrap(), *head, "{message}");
                left -= 1;
            }
        }
        reader.expect_nothing().await;
    }
}

#[tokio::test]
async fn catching_up_an_action_comes_in_parts_that_bear_its_id() {
    let server = TestServer::start();
    let (mut client, mut reader) = server.two_clients().await;
    make_ints(&mut client, &["a", "b"]).await;
    act(&mut client, "act", vec![add("a", 1), add("b", 1), add("a", 2)]).await;
    client.expect_type("action", json!({})).await;
    for (name, versions) in
        [("a", json!([{"version": 1}, {"version": 2}])), ("b", json!([{"version": 1}]))]
    {
        let (subscribed, _) = reader.subscribe_with(json!({"topic_name": name})).await;
        let since = json!({"epoch": subscribed["epoch"], "version": 0});
        reader.send("subscribe", json!({"topic_name": name, "since": since})).await;
        reader.expect_type("subscribed", json!({"since": 0})).await;
        reader.expect_type("action", json!({"action_id": "act", "changes": versions})).await;
    }
}
