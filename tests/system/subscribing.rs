//! Subscriptions: how topics are made, what follows `subscribed`, and how they end.

use std::time::Duration;

use serde_json::{Value, json};
use topicsync::server::ServerConfig;

use super::common::*;

#[tokio::test]
async fn subscribing_makes_the_topic_with_its_type_s_initial_value() {
    let server = TestServer::start();
    for encoding in Encoding::ALL {
        let mut client = server.client_in(encoding).await;
        let cases = [
            ("generic", json!(null)),
            ("bool", json!(false)),
            ("int", json!(0)),
            ("float", json!(0.0)),
            ("string", json!("")),
            ("list", json!([])),
            ("set", json!([])),
            ("dict", json!({})),
        ];
        for (topic_type, initial) in cases {
            let (subscribed, value) =
                client.subscribe(&format!("{encoding:?} {topic_type}"), topic_type).await;
            let made = json!({"type": topic_type, "options": {}, "version": 0, "since": null});
            assert!(matches(&made, &subscribed), "{subscribed}");
            assert!(!subscribed["epoch"].as_str().unwrap().is_empty());
            assert!(matches(&initial, &value), "{topic_type}: {value}");
        }
    }
}

#[tokio::test]
async fn an_event_topic_has_no_snapshot() {
    let server = TestServer::start();
    let mut client = server.client().await;
    client.send("subscribe", json!({"topic_name": "bell", "type": "event"})).await;
    client.expect_type("subscribed", json!({"topic_name": "bell", "version": 0})).await;
    client.expect_nothing().await;
    let emit = json!({"type": "emit", "args": {"tone": "c"}});
    let update = client.changed("bell", emit).await;
    assert!(matches(&json!({"version": 1, "change": {"args": {"tone": "c"}}}), &update));
    // Nor has it one for who comes later; but who knows a version gets what came since.
    let mut later = server.client().await;
    later.send("subscribe", json!({"topic_name": "bell"})).await;
    let subscribed = later.expect_type("subscribed", json!({"version": 1})).await;
    later.expect_nothing().await;
    let since = json!({"epoch": subscribed["epoch"], "version": 0});
    later.send("subscribe", json!({"topic_name": "bell", "since": since})).await;
    later.expect_type("subscribed", json!({"version": 1, "since": 0})).await;
    later.expect_type("update", json!({"version": 1, "change": {"type": "emit"}})).await;
}

/// Sends a `subscribe` that has to be an error of this code.
async fn check_refused(client: &mut Client, content: Value, code: &str) {
    client.send("subscribe", content.clone()).await;
    let refused = json!({"code": code, "to": "subscribe"});
    let error = client.expect_type("error", refused).await;
    assert!(!error["reason"].as_str().unwrap().is_empty(), "{content}");
    if content["topic_name"].as_str().is_some_and(|name| name.len() < 512) {
        assert_eq!(error["topic_name"], content["topic_name"]);
    }
}

#[tokio::test]
async fn what_cannot_be_subscribed_to_is_an_error_that_names_it() {
    let server = TestServer::start();
    for encoding in Encoding::ALL {
        let mut client = server.client_in(encoding).await;
        client.subscribe("number", "int").await;
        let long = "x".repeat(513);
        let cases = [
            (json!({"topic_name": "none"}), "unknown_topic"),
            (json!({"topic_name": "number", "type": "dict"}), "wrong_type"),
            (json!({"topic_name": "new", "type": "no such"}), "invalid"),
            (json!({"topic_name": "_topicsync/mine", "type": "int"}), "unknown_topic"),
            (json!({"topic_name": "_topicsync/topic_list", "type": "int"}), "wrong_type"),
            (json!({"topic_name": "", "type": "int"}), "malformed"),
            (json!({"topic_name": "a\u{7}b", "type": "int"}), "malformed"),
            (json!({"topic_name": long, "type": "int"}), "malformed"),
            (json!({"topic_name": 5, "type": "int"}), "malformed"),
            (json!({"type": "int"}), "malformed"),
            (json!({"topic_name": "new", "type": 5}), "malformed"),
            (json!({"topic_name": "number", "since": {"version": 1}}), "malformed"),
            (json!({"topic_name": "number", "since": {"epoch": "e", "version": -1}}), "malformed"),
        ];
        for (content, code) in cases {
            check_refused(&mut client, content, code).await;
        }
        client.check_works().await;
    }
}

#[tokio::test]
async fn unknown_and_ill_typed_options_are_invalid_for_old_and_new_topics() {
    let server = TestServer::start();
    let mut client = server.client().await;
    client.subscribe("old", "dict").await;
    let bad = [
        json!({"histroy": false}),
        json!({"history": 0}),
        json!({"keep": {"versions": 0}}),
        json!({"keep": 3}),
        json!({"delivery": "sometimes"}),
        json!({"durability": "iron"}),
        json!({"presence": "yes"}),
        json!([]),
    ];
    for options in bad {
        for name in ["old", "new"] {
            let content = json!({"topic_name": name, "type": "dict", "options": options});
            check_refused(&mut client, content, "invalid").await;
        }
    }
    check_refused(&mut client, json!({"topic_name": "new"}), "unknown_topic").await;
    let presence = json!({"topic_name": "new", "type": "int", "options": {"presence": true}});
    check_refused(&mut client, presence, "invalid").await;
}

#[tokio::test]
async fn options_are_shown_and_of_a_topic_that_exists_ignored() {
    let server = TestServer::start();
    let mut client = server.client().await;
    let options = json!({"history": false, "delivery": "latest", "durability": "memory"});
    let (subscribed, _) =
        client.subscribe_with(json!({"topic_name": "a", "type": "int", "options": options})).await;
    assert_eq!(subscribed["options"], options);
    let (again, _) = client
        .subscribe_with(json!({"topic_name": "a", "options": {"keep": {"versions": 3}}}))
        .await;
    assert_eq!(again["options"], options);
    let (keep, _) = client
        .subscribe_with(
            json!({"topic_name": "b", "type": "int", "options": {"keep": {"seconds": 9}}}),
        )
        .await;
    assert_eq!(keep["options"], json!({"keep": {"seconds": 9}}));
}

#[tokio::test]
async fn since_is_answered_by_what_was_missed_or_by_a_snapshot() {
    let server = TestServer::start();
    for encoding in Encoding::ALL {
        let name = format!("text {encoding:?}");
        let mut writer = server.client_in(encoding).await;
        let (subscribed, _) = writer.subscribe(&name, "string").await;
        for letter in ["a", "b", "c"] {
            writer
                .changed(&name, json!({"type": "insert", "position": -1, "insertion": letter}))
                .await;
        }
        let epoch = &subscribed["epoch"];
        let mut reader = server.client_in(encoding).await;
        let subscribe = |epoch: &Value, version: u64| json!({"topic_name": name, "since": {"epoch": epoch, "version": version}});
        reader.send("subscribe", subscribe(epoch, 1)).await;
        reader.expect_type("subscribed", json!({"version": 3, "since": 1})).await;
        for (version, letter) in [(2, "b"), (3, "c")] {
            let update = json!({"version": version, "snapshot": null, "author": writer.id,
                "change": {"type": "insert", "insertion": letter, "position": version - 1}});
            reader.expect_type("update", update).await;
        }
        reader.send("subscribe", subscribe(epoch, 3)).await;
        reader.expect_type("subscribed", json!({"version": 3, "since": 3})).await;
        reader.expect_nothing().await;
        for (epoch, version) in
            [(json!("another"), 1), (epoch.clone(), 4), (epoch.clone(), (1 << 53) - 1)]
        {
            let (subscribed, value) = reader.subscribe_with(subscribe(&epoch, version)).await;
            assert_eq!(subscribed.get("since"), None);
            assert_eq!(value, "abc");
        }
    }
}

#[tokio::test]
async fn since_before_what_is_kept_is_answered_by_a_snapshot() {
    let server = TestServer::forgetful(ServerConfig::default());
    let mut client = server.client().await;
    let options = json!({"keep": {"versions": 1}});
    let content = json!({"topic_name": "a", "type": "int", "options": options});
    let (subscribed, _) = client.subscribe_with(content).await;
    for version in [300, 600] {
        for _ in 0..300 {
            client.change("a", json!({"type": "add", "value": 1})).await;
        }
        client.skip_to(json!({"content": {"version": version}})).await;
        // The server looks at the time with each tick.
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    let since = json!({"epoch": subscribed["epoch"], "version": 0});
    let (again, value) = client.subscribe_with(json!({"topic_name": "a", "since": since})).await;
    assert!(matches(&json!({"version": 600, "since": null}), &again));
    assert_eq!(value, 600);
    let rejected = json!({"type": "add", "value": 1, "base": 0});
    // Its own confirmations, as far as they are kept, come after the snapshot.
    client.drain().await;
    client.rejected("a", rejected, "stale").await;
    let answer = client.call("_topicsync/value_at", json!({"topic_name": "a", "version": 1})).await;
    assert_eq!(answer["error"]["code"], "invalid");
}

#[tokio::test]
async fn subscribing_again_is_answered_afresh_and_changes_still_come_once() {
    let server = TestServer::start();
    let (mut reader, mut writer) = server.two_clients().await;
    reader.subscribe("a", "int").await;
    for version in 1..=3 {
        writer.changed("a", json!({"type": "add", "value": 1})).await;
        reader.expect_type("update", json!({"version": version})).await;
        let (subscribed, value) = reader.subscribe("a", "int").await;
        assert_eq!((subscribed["version"].clone(), value), (version.into(), version.into()));
    }
    reader.expect_nothing().await;
}

#[tokio::test]
async fn subscribing_again_takes_no_place_of_another_subscription() {
    let config = ServerConfig { subscriptions_max: 2, ..ServerConfig::default() };
    let server = TestServer::with(config);
    let mut client = server.client().await;
    for _ in 0..5 {
        client.subscribe("a", "int").await;
    }
    client.subscribe("b", "int").await;
    let refused = |name: &str| json!({"topic_name": name, "type": "int"});
    check_refused(&mut client, refused("c"), "limit").await;
    client.subscribe("b", "int").await;
    // To unsubscribe what one has not makes no room; what one has, does.
    for name in ["x", "c", "x"] {
        client.send("unsubscribe", json!({"topic_name": name})).await;
        client.expect_type("unsubscribed", json!({"topic_name": name})).await;
    }
    check_refused(&mut client, refused("c"), "limit").await;
    client.send("unsubscribe", json!({"topic_name": "a"})).await;
    client.expect_type("unsubscribed", json!({"topic_name": "a"})).await;
    client.subscribe("c", "int").await;
    check_refused(&mut client, refused("a"), "limit").await;
    // A removed topic makes room too.
    let removed = json!({"topic_name": "b"});
    client
        .send(
            "request",
            json!({"service_name": "_topicsync/remove_topic", "args": removed, "request_id": "r"}),
        )
        .await;
    client.skip_to(json!({"type": "error", "content": {"code": "topic_removed"}})).await;
    client.drain().await;
    client.subscribe("a", "int").await;
}

#[tokio::test]
async fn after_unsubscribed_nothing_more_comes() {
    let server = TestServer::start();
    for encoding in Encoding::ALL {
        let (mut reader, mut writer) =
            (server.client_in(encoding).await, server.client_in(encoding).await);
        reader.subscribe("a", "int").await;
        reader.send("unsubscribe", json!({"topic_name": "a"})).await;
        reader.expect_type("unsubscribed", json!({"topic_name": "a"})).await;
        writer.changed("a", json!({"type": "add", "value": 1})).await;
        reader.expect_nothing().await;
        // What one has not is answered all the same.
        for name in ["a", "never there"] {
            reader.send("unsubscribe", json!({"topic_name": name})).await;
            reader.expect_type("unsubscribed", json!({"topic_name": name})).await;
        }
        reader.send("unsubscribe", json!({})).await;
        reader.expect_type("error", json!({"code": "malformed", "to": "unsubscribe"})).await;
    }
}

#[tokio::test]
async fn every_subscriber_gets_every_version_once_and_in_order() {
    let server = TestServer::start();
    let mut writers = [server.client().await, server.client_in(Encoding::MessagePack).await];
    let mut readers = [server.client().await, server.client_in(Encoding::MessagePack).await];
    writers[0].subscribe("a", "int").await;
    readers[0].subscribe("a", "int").await;
    for _ in 0..50 {
        for writer in &mut writers {
            writer.change("a", json!({"type": "add", "value": 1})).await;
        }
    }
    // One that joins in the middle goes on from its snapshot.
    let (subscribed, _) = readers[1].subscribe("a", "int").await;
    let mut next = [1, subscribed["version"].as_u64().unwrap() + 1];
    for (reader, next) in readers.iter_mut().zip(&mut next) {
        while *next <= 100 {
            reader.expect_type("update", json!({"topic_name": "a", "version": *next})).await;
            *next += 1;
        }
        reader.expect_nothing().await;
    }
}

#[tokio::test]
async fn a_removed_topic_is_told_to_its_subscribers_and_can_be_made_anew() {
    let server = TestServer::start();
    let (mut reader, mut other) = server.two_clients().await;
    let (before, _) = reader.subscribe("a", "int").await;
    reader.changed("a", json!({"type": "set", "value": 5})).await;
    assert_eq!(other.ask("_topicsync/remove_topic", json!({"topic_name": "a"})).await, json!({}));
    reader.expect_type("error", json!({"code": "topic_removed", "topic_name": "a"})).await;
    reader.rejected("a", json!({"type": "add", "value": 1}), "unknown_topic").await;
    let (after, value) = reader.subscribe("a", "string").await;
    assert_eq!(value, "");
    assert_ne!(before["epoch"], after["epoch"]);
    let old_life = json!({"topic_name": "a", "epoch": before["epoch"],
        "change": {"type": "set", "value": "x", "id": reader.next_id()}});
    reader.send("update", old_life).await;
    reader.expect_type("reject_update", json!({"code": "stale"})).await;
}
