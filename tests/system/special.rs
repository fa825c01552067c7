//! The server's own topics and services, under `_topicsync/`.

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use topicsync::topic::ClientId;

use super::common::*;

#[tokio::test]
async fn the_topic_list_follows_making_and_removing() {
    let server = TestServer::start();
    let (mut watcher, mut client) = server.two_clients().await;
    let list = "_topicsync/topic_list";
    assert_eq!(watcher.value(list).await, json!({}));
    let options = json!({"history": false});
    let content = json!({"topic_name": "a", "type": "int", "options": options});
    let (subscribed, _) = client.subscribe_with(content).await;
    let entry = json!({"type": "int", "options": options, "epoch": subscribed["epoch"]});
    let added = json!({"topic_name": list, "change": {"type": "add", "key": "a", "value": entry}});
    watcher.expect_type("update", added).await;
    client.subscribe("a", "int").await;
    client.ask("_topicsync/remove_topic", json!({"topic_name": "a"})).await;
    let removed = json!({"topic_name": list, "change": {"type": "remove", "key": "a"}});
    watcher.expect_type("update", removed).await;
    watcher.expect_nothing().await;
}

#[tokio::test]
async fn clients_are_listed_until_their_session_is_over() {
    let server = TestServer::start();
    let mut watcher = server.client().await;
    let clients = "_topicsync/clients";
    let listed = watcher.value(clients).await;
    assert_eq!(listed[watcher.id.to_string()]["connected"], true);
    let mut client = server.client().await;
    let change = |change: Value| json!({"topic_name": clients, "change": change});
    let key = client.id.to_string();
    let added = json!({"type": "add", "key": key, "value": {"connected": true}});
    let entry = watcher.expect_type("update", change(added)).await;
    assert!(entry["change"]["value"]["since"].as_u64().unwrap() > 1_600_000_000_000);
    client.close(CloseCode::Away).await;
    let away = json!({"type": "change_value", "key": key, "value": {"connected": false}});
    watcher.expect_type("update", change(away)).await;
    let mut client = client.resumed(&server).await;
    let back = json!({"type": "change_value", "key": key, "value": {"connected": true}});
    watcher.skip_to(json!({"content": change(back)})).await;
    client.close(CloseCode::Normal).await;
    let removed = json!({"content": change(json!({"type": "remove", "key": key}))});
    watcher.skip_to(removed).await;
}

#[tokio::test]
async fn server_status_says_what_happened_last() {
    let server = TestServer::start();
    let mut client = server.client().await;
    assert_eq!(client.value("_topicsync/server_status").await, "the server is up");
    server.hub.announce("tea is ready");
    client.expect_type("update", json!({"change": {"type": "set", "value": "tea is ready"}})).await;
}

#[tokio::test]
async fn messages_to_a_client_are_for_it_alone() {
    let server = TestServer::start();
    let (mut a, mut b) = server.two_clients().await;
    server.hub.tell(ClientId(a.id), "psst");
    let name = format!("_topicsync/client_message/{}", a.id);
    assert_eq!(a.value(&name).await, "psst");
    server.hub.tell(ClientId(a.id), "again");
    a.expect_type("update", json!({"topic_name": name, "change": {"value": "again"}})).await;
    let padded = format!("_topicsync/client_message/0{}", a.id);
    for name in [&name, &padded, "_topicsync/client_message/", "_topicsync/client_message/99"] {
        b.send("subscribe", json!({"topic_name": name, "type": "string"})).await;
        b.expect_type("error", json!({"code": "forbidden", "topic_name": name})).await;
        for (service, args) in [
            ("value_at", json!({"topic_name": name, "version": 1})),
            ("history", json!({"topic_name": name})),
            ("remove_topic", json!({"topic_name": name})),
        ] {
            let answer = b.call(&format!("_topicsync/{service}"), args).await;
            assert_eq!(answer["error"]["code"], "forbidden", "{service}");
        }
    }
    b.rejected(&name, json!({"type": "set", "value": "x"}), "forbidden").await;
    // Its own is there before anything was said, and nobody but the server writes it.
    let own = format!("_topicsync/client_message/{}", b.id);
    assert_eq!(b.value(&own).await, "");
    b.rejected(&own, json!({"type": "set", "value": "x"}), "forbidden").await;
}

#[tokio::test]
async fn clients_do_not_write_or_remove_special_topics() {
    let server = TestServer::start();
    let mut client = server.client().await;
    for name in ["_topicsync/clients", "_topicsync/topic_list", "_topicsync/server_status"] {
        client.rejected(name, json!({"type": "set", "value": {}}), "forbidden").await;
        let answer = client.call("_topicsync/remove_topic", json!({"topic_name": name})).await;
        assert_eq!(answer["error"]["code"], "forbidden");
        client.value(name).await;
        client.drain().await;
    }
}

#[tokio::test]
async fn what_services_cannot_use_is_invalid() {
    let server = TestServer::start();
    let mut client = server.client().await;
    client.subscribe("a", "int").await;
    let huge = (1_u64 << 53) - 1;
    for (service, args, code) in [
        ("value_at", json!({}), "invalid"),
        ("value_at", json!([1]), "invalid"),
        ("value_at", json!({"topic_name": "none", "version": 1}), "unknown_topic"),
        ("value_at", json!({"topic_name": "a"}), "invalid"),
        ("value_at", json!({"topic_name": 5, "version": 0}), "invalid"),
        ("value_at", json!({"topic_name": "a", "version": -1}), "invalid"),
        ("value_at", json!({"topic_name": "a", "version": 1}), "invalid"),
        ("value_at", json!({"topic_name": "a", "version": huge}), "invalid"),
        ("value_at", json!({"topic_name": "a", "version": 0, "commit": 0}), "invalid"),
        ("history", json!({}), "invalid"),
        ("history", json!({"topic_name": "none"}), "unknown_topic"),
        ("history", json!({"topic_name": "a", "limit": 0}), "invalid"),
        ("history", json!({"topic_name": "a", "from": "x"}), "invalid"),
        ("cut", json!({}), "invalid"),
        ("cut", json!({"commit": huge}), "invalid"),
        ("cut", json!({"commit": 0, "time": 0}), "invalid"),
        ("cut", json!({"commit": 0, "topic_names": "a"}), "invalid"),
        ("cut", json!({"commit": 0, "topic_names": [1]}), "invalid"),
        ("cut", json!({"commit": 0, "prefix": 1}), "invalid"),
        ("remove_topic", json!({}), "invalid"),
        ("remove_topic", json!({"topic_name": "none"}), "unknown_topic"),
        ("remove_topic", json!({"topic_name": "a\nb"}), "invalid"),
    ] {
        let answer = client.call(&format!("_topicsync/{service}"), args.clone()).await;
        assert_eq!(answer["error"]["code"], code, "{service} {args}: {answer}");
        assert!(!answer["error"]["reason"].as_str().unwrap().is_empty());
    }
}

#[tokio::test]
async fn past_values_are_found_by_version_commit_and_time() {
    let server = TestServer::start();
    for encoding in Encoding::ALL {
        let mut client = server.client_in(encoding).await;
        let name = format!("{encoding:?}");
        client.subscribe(&name, "string").await;
        let mut commits = vec![0];
        for letter in ["a", "b", "c"] {
            let change = json!({"type": "insert", "position": -1, "insertion": letter});
            commits.push(client.changed(&name, change).await["commit"].as_u64().unwrap());
        }
        let args = json!({"topic_name": name});
        let history = client.ask("_topicsync/history", args.clone()).await;
        for (version, value) in ["", "a", "ab", "abc"].into_iter().enumerate() {
            let expected = json!({"version": version, "commit": commits[version], "value": value});
            let at = async |client: &mut Client, moment: Value| {
                client.ask("_topicsync/value_at", with(args.clone(), moment)).await
            };
            assert!(matches(&expected, &at(&mut client, json!({"version": version})).await));
            assert!(matches(
                &expected,
                &at(&mut client, json!({"commit": commits[version]})).await
            ));
        }
        let newest = history["entries"][2]["time"].as_u64().unwrap();
        let first = history["entries"][0]["time"].as_u64().unwrap();
        for (time, value) in
            [(newest, "abc"), (newest + 1_000_000, "abc"), (first - 1, ""), (0, "")]
        {
            let at = with(args.clone(), json!({"time": time}));
            assert_eq!(client.ask("_topicsync/value_at", at).await["value"], value);
        }
    }
}

#[tokio::test]
async fn history_comes_in_pages() {
    let server = TestServer::start();
    let mut client = server.client().await;
    client.subscribe("a", "int").await;
    let mut ids = Vec::new();
    for value in 1..=5 {
        ids.push(client.change("a", json!({"type": "add", "value": value})).await);
    }
    let action = json!([{"topic_name": "a", "change": {"type": "add", "value": 6}}]);
    client.send("action", json!({"action_id": "act", "changes": action})).await;
    client.skip_to(json!({"type": "action"})).await;
    let history = async |client: &mut Client, args: Value| {
        client.ask("_topicsync/history", with(args, json!({"topic_name": "a"}))).await
    };
    let versions = |page: &Value| -> Vec<u64> {
        page["entries"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["version"].as_u64().unwrap())
            .collect()
    };
    let page = history(&mut client, json!({"limit": 4})).await;
    assert_eq!((versions(&page), &page["next"]), (vec![1, 2, 3, 4], &json!(5)));
    let page = history(&mut client, json!({"limit": 4, "from": 5})).await;
    assert_eq!((versions(&page), &page["next"]), (vec![5, 6], &json!(null)));
    let page = history(&mut client, json!({"from": 2, "to": 3})).await;
    assert_eq!((versions(&page), &page["next"]), (vec![2, 3], &json!(null)));
    let page = history(&mut client, json!({"from": 2, "to": 6, "limit": 5})).await;
    assert_eq!((versions(&page), &page["next"]), (vec![2, 3, 4, 5, 6], &json!(null)));
    for args in
        [json!({"from": 7}), json!({"from": 4, "to": 3}), json!({"from": (1_u64 << 53) - 1})]
    {
        let page = history(&mut client, args).await;
        assert_eq!((versions(&page), &page["next"]), (vec![], &json!(null)));
    }
    let all = history(&mut client, json!({})).await;
    let first = json!({"version": 1, "author": client.id, "action_id": null, "undoes": null,
        "redoes": null, "change": {"type": "add", "value": 1, "id": ids[0]}});
    assert!(matches(&first, &all["entries"][0]), "{all}");
    assert_eq!(all["entries"][5]["action_id"], "act");
}

#[tokio::test]
async fn a_cut_shows_actions_whole_or_not_at_all() {
    let server = TestServer::start();
    let (mut writer, mut reader) = server.two_clients().await;
    for name in ["x/a", "x/b", "y"] {
        writer.subscribe(name, "int").await;
        writer.send("unsubscribe", json!({"topic_name": name})).await;
        writer.expect_type("unsubscribed", json!({})).await;
    }
    let add = |name: &str| json!({"topic_name": name, "change": {"type": "add", "value": 1}});
    let mut commits = Vec::new();
    for number in 0..20 {
        let changes = json!([add("x/a"), add("x/b"), add("x/b")]);
        writer.send("action", json!({"action_id": number.to_string(), "changes": changes})).await;
        // Asked while others are being made.
        let stats = reader.ask("_topicsync/stats", json!({})).await;
        commits.push(stats["commit"].as_u64().unwrap());
    }
    let last = loop {
        let action = writer.expect_type("action", json!({})).await;
        if action["action_id"] == "19" {
            break action["commit"].as_u64().unwrap();
        }
    };
    commits.extend([0, last - 1, last]);
    for commit in commits {
        let cut = reader.ask("_topicsync/cut", json!({"commit": commit, "prefix": "x/"})).await;
        assert_eq!(cut["commit"], commit);
        let topics = cut["topics"].as_object().unwrap();
        assert_eq!(topics.len(), 2);
        let values = ["x/a", "x/b"].map(|name| topics[name]["value"].as_u64().unwrap());
        assert_eq!(values[0] * 2, values[1], "{cut}");
        assert_eq!(topics["x/b"]["version"], values[1]);
    }
    let named = json!({"commit": last, "topic_names": ["y", "none"]});
    let cut = reader.ask("_topicsync/cut", named).await;
    assert_eq!(cut["topics"], json!({"y": {"type": "int", "version": 0, "value": 0}}));
    let now = reader.ask("_topicsync/cut", json!({"time": (1_u64 << 53) - 1})).await;
    assert_eq!(now["topics"]["x/b"]["value"], 40);
    assert!(now["topics"].get("_topicsync/clients").is_none());
    let before = reader.ask("_topicsync/cut", json!({"time": 0})).await;
    assert_eq!(before["commit"], 0);
}

#[tokio::test]
async fn undo_takes_back_one_s_own_and_leaves_others_work() {
    let server = TestServer::start();
    for encoding in Encoding::ALL {
        let (mut a, mut b) = (server.client_in(encoding).await, server.client_in(encoding).await);
        let name = format!("{encoding:?}");
        a.subscribe(&name, "string").await;
        let insert = |position: i64, text: &str| json!({"type": "insert", "position": position, "insertion": text});
        let own = a.change(&name, insert(0, "mine")).await;
        a.expect_type("update", json!({})).await;
        b.changed(&name, insert(2, "[theirs]")).await;
        a.expect_type("update", json!({})).await;
        a.send("request", json!({"service_name": "_topicsync/undo", "request_id": "u"})).await;
        let action =
            a.expect_type("action", json!({"undoes": own, "redoes": null, "author": a.id})).await;
        let answer = a.expect_type("response", json!({"request_id": "u"})).await;
        let answer = &answer["response"];
        assert_eq!(answer["action_id"], action["action_id"]);
        assert_eq!(answer["skipped"], json!([]));
        assert_eq!(answer["undone"][0]["topic_name"], name.as_str());
        assert_eq!(b.value(&name).await, "[theirs]");
        a.send("request", json!({"service_name": "_topicsync/redo", "request_id": "u"})).await;
        a.expect_type("action", json!({"redoes": own, "undoes": null})).await;
        a.expect_type("response", json!({})).await;
        assert_eq!(a.value(&name).await, "mi[theirs]ne");
        // A new action of its own clears the redo side.
        a.ask("_topicsync/undo", json!({})).await;
        a.drain().await;
        a.changed(&name, insert(0, "new ")).await;
        let nothing = a.ask("_topicsync/redo", json!({})).await;
        assert!(matches(&json!({"action_id": null, "undone": [], "skipped": []}), &nothing));
        let entries = a.ask("_topicsync/history", json!({"topic_name": name})).await;
        assert_eq!(entries["entries"][2]["undoes"], own.as_str());
    }
}

#[tokio::test]
async fn an_undone_action_bears_the_action_s_id_and_what_cannot_be_carried_is_skipped() {
    let server = TestServer::start();
    let (mut a, mut b) = server.two_clients().await;
    a.subscribe("d", "dict").await;
    a.subscribe("n", "int").await;
    let changes = json!([
        {"topic_name": "d", "change": {"type": "add", "key": "k", "value": 1}},
        {"topic_name": "n", "change": {"type": "add", "value": 5}},
    ]);
    a.send("action", json!({"action_id": "act", "changes": changes})).await;
    a.expect_type("action", json!({})).await;
    a.changed("d", json!({"type": "change_value", "key": "k", "value": 2})).await;
    b.changed("d", json!({"type": "change_value", "key": "k", "value": 3})).await;
    // Of the newest nothing can be undone, so it is the one before that is.
    a.drain().await;
    a.send("request", json!({"service_name": "_topicsync/undo", "request_id": "u"})).await;
    a.skip_to(json!({"type": "action", "content": {"undoes": "act"}})).await;
    let answer = a.expect_type("response", json!({"request_id": "u"})).await;
    let skipped = &answer["response"]["skipped"][0];
    assert_eq!(skipped["topic_name"], "d");
    assert!(!skipped["reason"].as_str().unwrap().is_empty());
    assert_eq!(b.value("n").await, 0);
    let nothing = b.ask("_topicsync/redo", json!({})).await;
    assert_eq!(nothing["action_id"], json!(null));
}

#[tokio::test]
async fn topics_without_history_events_and_presence_are_not_undone() {
    let server = TestServer::start();
    let mut client = server.client().await;
    let no_history = json!({"topic_name": "a", "type": "int", "options": {"history": false}});
    client.subscribe_with(no_history).await;
    let presence = json!({"topic_name": "p", "type": "dict", "options": {"presence": true}});
    client.subscribe_with(presence).await;
    client.send("subscribe", json!({"topic_name": "e", "type": "event"})).await;
    client.expect_type("subscribed", json!({})).await;
    client.changed("a", json!({"type": "add", "value": 1})).await;
    let key = client.id.to_string();
    client.changed("p", json!({"type": "add", "key": key, "value": 1})).await;
    client.changed("e", json!({"type": "emit", "args": {}})).await;
    let nothing = client.ask("_topicsync/undo", json!({})).await;
    assert!(matches(&json!({"action_id": null, "undone": [], "skipped": []}), &nothing));
    client.expect_nothing().await;
}

#[tokio::test]
async fn undo_survives_a_resume() {
    let server = TestServer::start();
    let mut client = server.client().await;
    client.subscribe("a", "int").await;
    client.changed("a", json!({"type": "add", "value": 5})).await;
    let mut client = client.vanish().resumed(&server).await;
    client.ask("_topicsync/undo", json!({})).await;
    assert_eq!(client.value("a").await, 0);
}

#[tokio::test]
async fn stats_counts() {
    let server = TestServer::start();
    let mut client = server.client().await;
    client.subscribe("a", "int").await;
    client.changed("a", json!({"type": "add", "value": 5})).await;
    client.rejected("a", json!({"type": "add", "value": "x"}), "invalid").await;
    let stats = client.ask("_topicsync/stats", json!({})).await;
    let expected = json!({"sessions": 1, "connections": 1, "changes": 1, "rejects": 1, "lags": 0});
    assert!(matches(&expected, &stats), "{stats}");
    for field in ["topics", "bytes_received", "bytes_sent", "queue_depth", "queue_depth_max"] {
        assert!(stats[field].is_u64(), "{field}");
    }
}
