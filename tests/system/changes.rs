//! Changes: the published form of each, who is told of it, ids, bases, and why one is sent back.

use serde_json::{Value, json};

use super::common::*;

/// Makes `sent` on a topic that holds `before`: it has to be published as `published` to a subscriber of
/// either encoding, and to leave `after`.
async fn check(topic_type: &str, before: Value, sent: Value, published: Value, after: Value) {
    let server = TestServer::start();
    for encoding in Encoding::ALL {
        let name = format!("{encoding:?}");
        let mut author = server.client_in(encoding).await;
        author.subscribe(&name, topic_type).await;
        author.changed(&name, json!({"type": "set", "value": before})).await;
        let mut others = [server.client().await, server.client_in(Encoding::MessagePack).await];
        for other in &mut others {
            assert_eq!(other.value(&name).await, before);
        }
        let id = author.change(&name, sent.clone()).await;
        let expected = json!({"type": "update", "content": {"topic_name": name, "version": 2,
            "author": author.id, "snapshot": null}});
        for client in others.iter_mut().chain([&mut author]) {
            let update = client.expect(expected.clone()).await;
            let expected = with(published.clone(), json!({"id": id}));
            assert!(same(&update["content"]["change"], &expected), "{sent}: {update}");
        }
        assert!(same(&others[0].value(&name).await, &after), "{sent}");
    }
}

/// Equal, whole floats to their ints too, as MessagePack and JSON clients may not tell them apart.
fn same(a: &Value, b: &Value) -> bool {
    matches(a, b) && matches(b, a)
}

#[tokio::test]
async fn numbers_and_flags_are_set_and_added_to() {
    let set = |value: Value| json!({"type": "set", "value": value});
    check(
        "generic",
        json!(1),
        set(json!({"a": [null, 2.5]})),
        set(json!({"a": [null, 2.5]})),
        json!({"a": [null, 2.5]}),
    )
    .await;
    check("bool", json!(false), set(json!(true)), set(json!(true)), json!(true)).await;
    check("int", json!(1), set(json!(7)), set(json!(7)), json!(7)).await;
    check(
        "int",
        json!(1),
        json!({"type": "add", "value": -3}),
        json!({"type": "add", "value": -3}),
        json!(-2),
    )
    .await;
    check("float", json!(1.5), set(json!(7.25)), set(json!(7.25)), json!(7.25)).await;
    check(
        "float",
        json!(1.5),
        json!({"type": "add", "value": 1}),
        json!({"type": "add", "value": 1}),
        json!(2.5),
    )
    .await;
}

#[tokio::test]
async fn whole_floats_are_published_as_ints_where_an_int_is_meant() {
    let server = TestServer::start();
    let mut client = server.client().await;
    client.subscribe("n", "int").await;
    client.subscribe("l", "list").await;
    let is_int = |value: &Value| value.is_i64() || value.is_u64();
    for change in ["set", "add"] {
        let update = client.changed("n", json!({"type": change, "value": 2.0})).await;
        assert!(is_int(&update["change"]["value"]), "{update}");
    }
    let update = client.changed("l", json!({"type": "insert", "position": 0.0, "item": "x"})).await;
    assert!(is_int(&update["change"]["position"]), "{update}");
    let update = client.changed("l", json!({"type": "pop", "position": 0.0})).await;
    assert!(is_int(&update["change"]["position"]), "{update}");
    assert!(is_int(&client.value("n").await));
}

#[tokio::test]
async fn texts_are_published_with_positions_and_what_was_deleted() {
    let text = |after: &'static str, sent, published| async move {
        check("string", json!("hällo 🌍!"), sent, published, json!(after)).await;
    };
    text("x", json!({"type": "set", "value": "x"}), json!({"type": "set", "value": "x"})).await;
    let insert = |position: i64, text: &str| json!({"type": "insert", "position": position, "insertion": text});
    text("häxllo 🌍!", insert(2, "x"), insert(2, "x")).await;
    text("hällo 🌍!?", insert(-1, "?"), insert(8, "?")).await;
    let deleted = json!({"type": "delete", "position": 6, "deletion": "🌍"});
    text("hällo !", deleted.clone(), deleted.clone()).await;
    text("hällo !", json!({"type": "delete", "position": 6, "length": 1}), deleted.clone()).await;
    text("hällo !", json!({"type": "edit", "edit": [6, {"d": 1}]}), deleted).await;
    let edit = json!({"type": "edit", "edit": [1, "XY", 1, {"d": 3}]});
    let exact = json!({"type": "edit", "edit": [1, "XY", 1, {"d": "llo"}]});
    text("hXYä 🌍!", edit, exact.clone()).await;
    text("hXYä 🌍!", exact.clone(), exact).await;
}

#[tokio::test]
async fn lists_are_published_with_positions_from_the_front() {
    let list =
        |sent, published, after| check("list", json!(["a", "b", "c"]), sent, published, after);
    let set = json!({"type": "set", "value": [1]});
    list(set.clone(), set, json!([1])).await;
    let insert = |position: i64| json!({"type": "insert", "position": position, "item": {"k": 1}});
    list(insert(0), insert(0), json!([{"k": 1}, "a", "b", "c"])).await;
    list(insert(-1), insert(3), json!(["a", "b", "c", {"k": 1}])).await;
    let pop = |position: i64| json!({"type": "pop", "position": position});
    list(pop(1), pop(1), json!(["a", "c"])).await;
    list(pop(-1), pop(2), json!(["a", "b"])).await;
    let replace = |position: i64| json!({"type": "replace", "position": position, "item": "x"});
    list(replace(0), replace(0), json!(["x", "b", "c"])).await;
    list(replace(-1), replace(2), json!(["a", "b", "x"])).await;
    let a_move = |from: i64, to: i64| json!({"type": "move", "from": from, "to": to});
    list(a_move(0, 1), a_move(0, 1), json!(["b", "a", "c"])).await;
    list(a_move(0, -1), a_move(0, 2), json!(["b", "c", "a"])).await;
    list(a_move(-1, 0), a_move(2, 0), json!(["c", "a", "b"])).await;
}

#[tokio::test]
async fn sets_and_dicts_are_published_in_their_own_words() {
    let set = |sent, published, after| check("set", json!([1, 2]), sent, published, after);
    let append = json!({"type": "append", "item": 3});
    set(append.clone(), append, json!([1, 2, 3])).await;
    let remove = json!({"type": "remove", "item": 1});
    set(remove.clone(), remove, json!([2])).await;
    let all = json!({"type": "set", "value": []});
    set(all.clone(), all, json!([])).await;

    let dict = |sent, published, after| check("dict", json!({"a": 1}), sent, published, after);
    let all = json!({"type": "set", "value": {"x": null}});
    dict(all.clone(), all, json!({"x": null})).await;
    let add = json!({"type": "add", "key": "b", "value": [2]});
    dict(add.clone(), add, json!({"a": 1, "b": [2]})).await;
    let remove = json!({"type": "remove", "key": "a"});
    dict(remove.clone(), remove.clone(), json!({})).await;
    dict(json!({"type": "pop", "key": "a"}), remove, json!({})).await;
    let change = json!({"type": "change_value", "key": "a", "value": "x"});
    dict(change.clone(), change, json!({"a": "x"})).await;
}

#[tokio::test]
async fn an_emit_takes_a_version_like_any_change() {
    let server = TestServer::start();
    for encoding in Encoding::ALL {
        let mut client = server.client_in(encoding).await;
        let name = format!("{encoding:?}");
        client.send("subscribe", json!({"topic_name": name, "type": "event"})).await;
        client.expect_type("subscribed", json!({})).await;
        for (version, args) in [(1, json!({})), (2, json!({"a": [1]}))] {
            let update = client.changed(&name, json!({"type": "emit", "args": args})).await;
            assert!(matches(
                &json!({"version": version, "change": {"type": "emit", "args": args}}),
                &update
            ));
        }
        client.rejected(&name, json!({"type": "emit", "args": 1}), "invalid").await;
        client.rejected(&name, json!({"type": "set", "value": null}), "invalid").await;
    }
}

/// Each change has to be `invalid` on a topic that holds `value`, and to leave it alone.
async fn check_invalid(topic_type: &str, value: Value, changes: &[Value]) {
    let server = TestServer::start();
    for encoding in Encoding::ALL {
        let mut client = server.client_in(encoding).await;
        let name = format!("{encoding:?}");
        client.subscribe(&name, topic_type).await;
        client.changed(&name, json!({"type": "set", "value": value})).await;
        for change in changes {
            let rejected = client.rejected(&name, change.clone(), "invalid").await;
            assert_eq!(rejected["version"].as_u64().unwrap_or(1), 1, "{rejected}");
            assert!(!rejected["reason"].as_str().unwrap().is_empty());
        }
        assert_eq!(client.value(&name).await, value);
    }
}

#[tokio::test]
async fn what_does_not_fit_is_invalid() {
    let huge = 9_007_199_254_740_992_i64;
    let any = |more: &[Value]| {
        let of_every_type = [
            json!({"type": "none"}),
            json!({"type": "no such"}),
            json!({"type": 7}),
            json!({}),
            json!({"type": "set"}),
            json!({"type": "set", "value": huge}),
        ];
        [&of_every_type, more].concat()
    };
    let set = |value: Value| json!({"type": "set", "value": value});
    check_invalid(
        "int",
        json!(5),
        &any(&[
            set(json!(true)),
            set(json!("5")),
            set(json!(5.5)),
            set(json!(null)),
            json!({"type": "add", "value": huge - 1}),
            json!({"type": "add", "value": false}),
        ]),
    )
    .await;
    check_invalid(
        "float",
        json!(1e308),
        &any(&[set(json!(true)), set(json!("5")), json!({"type": "add", "value": 1e308})]),
    )
    .await;
    check_invalid("bool", json!(true), &any(&[set(json!(1)), json!({"type": "add", "value": 1})]))
        .await;
    check_invalid(
        "string",
        json!("abc"),
        &any(&[
            set(json!(1)),
            json!({"type": "insert", "position": 4, "insertion": "x"}),
            json!({"type": "insert", "position": -2, "insertion": "x"}),
            json!({"type": "insert", "position": 0.5, "insertion": "x"}),
            json!({"type": "insert", "position": huge - 1, "insertion": "x"}),
            json!({"type": "insert", "position": true, "insertion": "x"}),
            json!({"type": "insert", "position": -1, "insertion": "x", "base": 1}),
            json!({"type": "delete", "position": 0, "deletion": "x"}),
            json!({"type": "delete", "position": 1, "length": 3}),
            json!({"type": "delete", "position": -1, "length": 1}),
            json!({"type": "delete", "position": 1, "length": huge - 1}),
            json!({"type": "delete", "position": 0}),
            json!({"type": "delete", "position": 0, "deletion": "x", "base": 1}),
            json!({"type": "edit", "edit": [huge - 1, {"d": huge - 1}]}),
            json!({"type": "edit", "edit": [4, "x"]}),
            json!({"type": "edit", "edit": [{"d": "x"}]}),
            json!({"type": "edit", "edit": [-1, "x"]}),
            json!({"type": "edit", "edit": "x"}),
            json!({"type": "edit", "edit": [[]]}),
        ]),
    )
    .await;
    check_invalid(
        "list",
        json!([1, 2]),
        &any(&[
            set(json!({})),
            json!({"type": "insert", "position": 3, "item": 1}),
            json!({"type": "insert", "position": 0}),
            json!({"type": "pop", "position": 2}),
            json!({"type": "pop", "position": -2}),
            json!({"type": "pop", "position": -1, "base": 1}),
            json!({"type": "replace", "position": huge - 1, "item": 1}),
            json!({"type": "replace", "position": -1, "item": 1, "base": 1}),
            json!({"type": "move", "from": 0, "to": 2}),
            json!({"type": "move", "from": -1, "to": 0, "base": 1}),
            json!({"type": "move", "from": 0, "to": -1, "base": 1}),
        ]),
    )
    .await;
    check_invalid(
        "set",
        json!([1, 2]),
        &any(&[
            set(json!([1, 1])),
            set(json!([1, 1.0])),
            set(json!({})),
            json!({"type": "append", "item": 1}),
            json!({"type": "append", "item": 1.0}),
            json!({"type": "remove", "item": 3}),
        ]),
    )
    .await;
    check_invalid(
        "dict",
        json!({"a": 1}),
        &any(&[
            set(json!([])),
            json!({"type": "add", "key": "a", "value": 2}),
            json!({"type": "add", "key": 5, "value": 2}),
            json!({"type": "add", "key": "b"}),
            json!({"type": "remove", "key": "b"}),
            json!({"type": "pop", "key": "b"}),
            json!({"type": "change_value", "key": "b", "value": 1}),
        ]),
    )
    .await;
}

#[tokio::test]
async fn an_empty_list_has_no_last_item() {
    check_invalid(
        "list",
        json!([]),
        &[
            json!({"type": "pop", "position": -1}),
            json!({"type": "replace", "position": -1, "item": 1}),
            json!({"type": "move", "from": -1, "to": -1}),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_value_nests_at_most_100_containers() {
    let nested = |depth: usize| (1..depth).fold(json!([]), |inner, _| json!([inner]));
    let server = TestServer::start();
    for encoding in Encoding::ALL {
        let mut client = server.client_in(encoding).await;
        let (any, list) = (format!("any {encoding:?}"), format!("list {encoding:?}"));
        client.subscribe(&any, "generic").await;
        client.subscribe(&list, "list").await;
        client.changed(&any, json!({"type": "set", "value": nested(100)})).await;
        client.rejected(&any, json!({"type": "set", "value": nested(101)}), "invalid").await;
        client.changed(&list, json!({"type": "insert", "position": 0, "item": nested(99)})).await;
        client
            .rejected(
                &list,
                json!({"type": "insert", "position": 0, "item": nested(100)}),
                "invalid",
            )
            .await;
    }
}

#[tokio::test]
async fn the_author_is_told_subscribed_or_not_and_others_only_if_subscribed() {
    let server = TestServer::start();
    for encoding in Encoding::ALL {
        let name = format!("{encoding:?}");
        let (mut author, mut other) =
            (server.client_in(encoding).await, server.client_in(encoding).await);
        other.subscribe(&name, "list").await;
        let update =
            author.changed(&name, json!({"type": "insert", "position": -1, "item": 1})).await;
        assert!(matches(&json!({"version": 1, "change": {"position": 0}}), &update), "{update}");
        assert!(update["commit"].as_u64().unwrap() > 0);
        other.expect_type("update", update).await;
        other.send("unsubscribe", json!({"topic_name": name})).await;
        other.expect_type("unsubscribed", json!({})).await;
        author.changed(&name, json!({"type": "pop", "position": 0})).await;
        author.expect_nothing().await;
        other.expect_nothing().await;
    }
}

#[tokio::test]
async fn a_change_is_confirmed_whatever_its_author_does_with_the_subscription_meanwhile() {
    let server = TestServer::start();
    let mut client = server.client().await;
    for (case, before, after) in [
        ("unsubscribed before", json!([{"type": "unsubscribe"}]), json!([])),
        ("unsubscribed after", json!([]), json!([{"type": "unsubscribe"}])),
        ("subscribed before", json!([{"type": "subscribe"}]), json!([])),
        ("subscribed after", json!([]), json!([{"type": "subscribe"}])),
        ("both", json!([{"type": "unsubscribe"}, {"type": "subscribe"}]), json!([])),
        ("both after", json!([]), json!([{"type": "unsubscribe"}, {"type": "subscribe"}])),
    ] {
        client.subscribe(case, "int").await;
        client.changed(case, json!({"type": "add", "value": 1})).await;
        let id = client.next_id();
        let update = json!({"type": "update", "content":
            {"topic_name": case, "change": {"type": "add", "value": 1, "id": id}}});
        let name =
            |message: &Value| with(message.clone(), json!({"content": {"topic_name": case}}));
        let messages: Vec<Value> = before
            .as_array()
            .unwrap()
            .iter()
            .map(name)
            .chain([update])
            .chain(after.as_array().unwrap().iter().map(name))
            .collect();
        client.send_json(json!(messages)).await;
        let came = client.drain().await;
        let told = |it: &&Value| it["content"]["change"]["id"] == id.as_str();
        assert!(came.iter().find(told).is_some(), "{case}: {came:?}");
    }
}

#[tokio::test]
async fn a_change_without_an_id_gets_one_from_the_server() {
    let server = TestServer::start();
    let mut client = server.client().await;
    client.subscribe("a", "int").await;
    let mut ids = std::collections::HashSet::new();
    for version in 1..=3 {
        client
            .send("update", json!({"topic_name": "a", "change": {"type": "add", "value": 1}}))
            .await;
        let update =
            client.expect_type("update", json!({"version": version, "author": client.id})).await;
        let id = update["change"]["id"].as_str().unwrap().to_owned();
        assert!(id.starts_with(&format!("{}_", client.id)), "{id}");
        assert!(ids.insert(id));
    }
}

#[tokio::test]
async fn ids_are_the_author_s_own() {
    let server = TestServer::start();
    let (mut client, other) = server.two_clients().await;
    client.subscribe("a", "int").await;
    let add =
        |id: Value| json!({"topic_name": "a", "change": {"type": "add", "value": 1, "id": id}});
    for id in [format!("{}_1", other.id), "0_1".into(), format!("{}_1", u64::MAX)] {
        client.send("update", add(id.clone().into())).await;
        client
            .expect_type("reject_update", json!({"code": "forbidden", "change": {"id": id}}))
            .await;
    }
    let long = format!("{}_{}", client.id, "x".repeat(128));
    for id in [json!("x"), json!(""), json!("1"), json!("_1"), json!(5), json!(long)] {
        client.send("update", add(id)).await;
        client.expect_type("reject_update", json!({"code": "invalid", "topic_name": "a"})).await;
    }
    assert_eq!(client.value("a").await, 0);
}

#[tokio::test]
async fn a_resent_change_is_applied_once_and_confirmed_again_to_its_sender_alone() {
    let server = TestServer::start();
    for encoding in Encoding::ALL {
        let name = format!("{encoding:?}");
        let (mut author, mut other) =
            (server.client_in(encoding).await, server.client_in(encoding).await);
        author.subscribe(&name, "list").await;
        other.subscribe(&name, "list").await;
        let change = json!({"type": "insert", "position": -1, "item": "x", "id": author.next_id()});
        let content = json!({"topic_name": name, "change": change});
        author.send("update", content.clone()).await;
        let first = author.expect_type("update", json!({"version": 1})).await;
        author.changed(&name, json!({"type": "insert", "position": 0, "item": "y"})).await;
        author.send("update", content.clone()).await;
        assert_eq!(author.expect_type("update", json!({})).await, first);
        // In one frame with another, and both at once.
        let fresh =
            json!({"topic_name": name, "change": with(change, json!({"id": author.next_id()}))});
        let update = |content: &Value| json!({"type": "update", "content": content});
        author.send_json(json!([update(&fresh), update(&content), update(&fresh)])).await;
        let ids: Vec<_> =
            author.drain().await.iter().map(|it| it["content"]["version"].as_u64()).collect();
        assert!(ids.contains(&Some(1)) && ids.contains(&Some(3)), "{ids:?}");
        for version in 1..=3 {
            other.expect_type("update", json!({"version": version})).await;
        }
        other.expect_nothing().await;
        assert_eq!(other.value(&name).await, json!(["y", "x", "x"]));
    }
}

#[tokio::test]
async fn a_change_with_a_base_is_carried_over_what_came_since() {
    let server = TestServer::start();
    let (mut a, mut b) = server.two_clients().await;
    a.subscribe("t", "string").await;
    a.changed("t", json!({"type": "set", "value": "abc"})).await;
    a.changed("t", json!({"type": "insert", "position": 0, "insertion": "12"})).await;
    let update =
        b.changed("t", json!({"type": "insert", "position": 3, "insertion": "x", "base": 1})).await;
    assert!(matches(&json!({"version": 3, "change": {"position": 5, "base": null}}), &update));
    assert_eq!(b.value("t").await, "12abcx");
    // Of what both delete, once is enough; what is left to do is nothing, and takes a version.
    a.expect_type("update", update).await;
    a.subscribe("s", "set").await;
    a.changed("s", json!({"type": "append", "item": 1})).await;
    let update = b.changed("s", json!({"type": "append", "item": 1, "base": 0})).await;
    assert!(matches(&json!({"version": 2, "change": {"type": "none"}}), &update), "{update}");
}

#[tokio::test]
async fn a_base_that_cannot_be_carried_is_stale() {
    let server = TestServer::start();
    for encoding in Encoding::ALL {
        let (mut a, mut b) = (server.client_in(encoding).await, server.client_in(encoding).await);
        let name = format!("{encoding:?}");
        let (subscribed, _) = a.subscribe(&name, "dict").await;
        a.changed(&name, json!({"type": "add", "key": "k", "value": 1})).await;
        a.changed(&name, json!({"type": "remove", "key": "k"})).await;
        let change = json!({"type": "change_value", "key": "k", "value": 2, "base": 1});
        let rejected = b.rejected(&name, change.clone(), "stale").await;
        assert!(matches(&json!({"version": 2, "change": change}), &rejected), "{rejected}");
        b.rejected(&name, json!({"type": "add", "key": "x", "value": 2, "base": 3}), "stale").await;
        b.rejected(
            &name,
            json!({"type": "add", "key": "x", "value": 2, "base": (1_u64 << 53) - 1}),
            "stale",
        )
        .await;
        b.rejected(&name, json!({"type": "set", "value": {}, "base": 1}), "stale").await;
        // Without a base it is what the value is now that counts.
        b.rejected(&name, json!({"type": "change_value", "key": "k", "value": 2}), "invalid").await;
        for base in [json!(-1), json!(1.5), json!("1"), json!(true)] {
            b.rejected(&name, json!({"type": "set", "value": {}, "base": base}), "invalid").await;
        }
        for epoch in [json!("another"), json!("")] {
            let change = json!({"type": "set", "value": {}, "id": b.next_id()});
            b.send("update", json!({"topic_name": name, "epoch": epoch, "change": change})).await;
            b.expect_type("reject_update", json!({"code": "stale"})).await;
        }
        let change = json!({"type": "set", "value": {}, "base": 2, "id": b.next_id()});
        b.send(
            "update",
            json!({"topic_name": name, "epoch": subscribed["epoch"], "change": change}),
        )
        .await;
        b.expect_type("update", json!({"version": 3})).await;
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_change_is_said_by_reject_update_if_it_can_be_read_so_far() {
    let server = TestServer::start();
    let mut client = server.client().await;
    client.rejected("nowhere", json!({"type": "set", "value": 1}), "unknown_topic").await;
    client.rejected("_topicsync/clients", json!({"type": "set", "value": {}}), "forbidden").await;
    client
        .rejected("_topicsync/server_status", json!({"type": "set", "value": "x"}), "forbidden")
        .await;
    for content in [
        json!({"topic_name": "a"}),
        json!({"change": {"type": "set", "value": 1}}),
        json!({"topic_name": 7, "change": {"type": "set", "value": 1}}),
        json!({"topic_name": "a", "change": [1]}),
        json!({"topic_name": "x".repeat(600), "change": {"type": "set", "value": 1}}),
        json!([]),
    ] {
        client.send("update", content).await;
        client.expect_type("error", json!({"code": "malformed", "to": "update"})).await;
    }
    let named = json!({"topic_name": "a\nb", "change": {"type": "set", "value": 1}});
    client.send("update", named).await;
    client.expect_type("reject_update", json!({"topic_name": "a\nb", "code": "invalid"})).await;
}
