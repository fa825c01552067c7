//! Values of every type with their quirks, and the topic list.

use serde_json::{Value as Json, json};

use crate::common::*;
use crate::old::*;

const TOPIC_LIST: &str = "_topicsync/topic_list";

/// A client on one topic of this type and value.
async fn on(server: &TestServer, kind: &str, value: Json) -> Old {
    let mut old = Old::connect(server).await;
    old.make("t", entry(kind, value)).await;
    old.subscribe("t").await;
    old
}

/// A change goes out with these fields, beside those that it was sent with.
async fn goes_out(old: &mut Old, kind: &str, change: Json, more: Json) {
    let told = old.change("t", kind, change.clone()).await;
    for (field, value) in change.as_object().unwrap() {
        if more.get(field).is_none() {
            assert!(is(value, &told[field]), "{field} of {told}");
        }
    }
    for (field, value) in more.as_object().unwrap() {
        assert!(is(value, &told[field]), "{field} of {told}, for {change}");
    }
}

#[tokio::test]
async fn a_fresh_topic_has_its_type_s_value() {
    let server = TestServer::start();
    let mut old = Old::connect(&server).await;
    let values = [
        ("generic", json!(null)),
        ("string", json!("")),
        ("int", json!(0)),
        ("float", json!(0.0)),
        ("set", json!([])),
        ("list", json!([])),
        ("dict", json!({})),
        ("event", json!(null)),
    ];
    for (kind, value) in values {
        old.make(kind, entry(kind, json!(null))).await;
        let mut init = json!({"topic_name": kind, "value": value});
        if kind == "string" {
            init["id"] = json!("string_init");
        }
        // Asked again, told again.
        for _ in 0..2 {
            let told = old.subscribe(kind).await;
            assert!(is(&init, &told), "{told}");
        }
    }
}

#[tokio::test]
async fn numbers_are_whole_in_an_int_and_no_booleans() {
    let server = TestServer::start();
    let mut old = on(&server, "int", json!(14)).await;
    goes_out(&mut old, "int", json!({"type": "set", "value": 50}), json!({"old_value": 14})).await;
    let lie = json!({"type": "set", "value": 50, "old_value": 7});
    goes_out(&mut old, "int", lie, json!({"old_value": 50})).await;
    goes_out(&mut old, "int", json!({"type": "add", "value": -8}), json!({})).await;
    for value in [json!("1"), json!(null), json!([]), json!(1.5), json!(3.0), json!(true)] {
        old.rejected("t", "int", json!({"type": "set", "value": value})).await;
    }
    old.rejected("t", "int", json!({"type": "add", "value": 0.5})).await;
    old.rejected("t", "int", json!({"type": "add", "value": 9_007_199_254_740_991_i64})).await;
    // It is not spoilt by what was rejected.
    goes_out(&mut old, "int", json!({"type": "add", "value": 1}), json!({})).await;
    assert_eq!(old.value("t").await, json!(43));
}

#[tokio::test]
async fn whole_floats_are_written_without_a_fraction() {
    let server = TestServer::start();
    let mut old = on(&server, "float", json!(3)).await;
    assert_eq!(old.value("t").await.to_string(), "3");
    let told = old.change("t", "float", json!({"type": "add", "value": 2})).await;
    assert_eq!(told["value"].to_string(), "2");
    let set = json!({"type": "set", "value": 0.5});
    goes_out(&mut old, "float", set, json!({"old_value": 5})).await;
    old.rejected("t", "float", json!({"type": "set", "value": true})).await;
    old.rejected("t", "float", json!({"type": "add", "value": "1"})).await;
    assert_eq!(old.value("t").await, json!(0.5));
}

#[tokio::test]
async fn sets_hold_each_item_once() {
    let server = TestServer::start();
    let mut old = on(&server, "set", json!(["a"])).await;
    goes_out(&mut old, "set", json!({"type": "append", "item": {"x": 1, "y": [2]}}), json!({}))
        .await;
    old.rejected("t", "set", json!({"type": "append", "item": {"y": [2.0], "x": 1}})).await;
    old.rejected("t", "set", json!({"type": "append", "item": "a"})).await;
    old.rejected("t", "set", json!({"type": "remove", "item": "b"})).await;
    goes_out(&mut old, "set", json!({"type": "append", "item": 1}), json!({})).await;
    goes_out(&mut old, "set", json!({"type": "append", "item": true}), json!({})).await;
    goes_out(&mut old, "set", json!({"type": "remove", "item": 1.0}), json!({})).await;
    old.rejected("t", "set", json!({"type": "set", "value": [1, 1.0]})).await;
    old.rejected("t", "set", json!({"type": "set", "value": {}})).await;
    goes_out(&mut old, "set", json!({"type": "set", "value": [2, 3]}), json!({"old_value": ANY}))
        .await;
    assert_eq!(old.value("t").await, json!([2, 3]));
}

#[tokio::test]
async fn positions_in_lists_count_from_both_ends_and_go_out_as_they_are() {
    let server = TestServer::start();
    let mut old = on(&server, "list", json!(["a", "b", "c", "d", "e"])).await;
    let insert = |position: i64| json!({"type": "insert", "item": "z", "position": position});
    let pop = |position: i64| json!({"type": "pop", "position": position});
    for (change, position) in [
        (insert(-1), 5),
        (pop(-1), 5),
        (insert(-2), 4),
        (pop(4), 4),
        (insert(0), 0),
        (pop(-6), 0),
        (insert(-6), 0),
        (pop(0), 0),
        (insert(100), 5),
        (pop(5), 5),
    ] {
        goes_out(&mut old, "list", change, json!({"position": position})).await;
    }
    for change in [insert(-7), pop(5), pop(-6), pop(-10)] {
        old.rejected("t", "list", change).await;
    }
    old.rejected("t", "list", json!({"type": "insert", "item": 1, "position": 0.5})).await;
    old.rejected("t", "list", json!({"type": "insert", "item": 1})).await;
    old.rejected("t", "list", json!({"type": "set", "value": {}})).await;
    old.rejected("t", "list", json!({"type": "pop", "position": 0, "item": "a"})).await;
    let set = json!({"type": "set", "value": [1]});
    goes_out(&mut old, "list", set, json!({"old_value": ["a", "b", "c", "d", "e"]})).await;
}

#[tokio::test]
async fn a_change_of_a_dict_s_value_bears_the_true_old_one() {
    let server = TestServer::start();
    let mut old = on(&server, "dict", json!({"a": 1})).await;
    let change = |more: Json| {
        let mut change = json!({"type": "change_value", "key": "a", "value": 2});
        for (field, value) in more.as_object().unwrap() {
            change[field] = value.clone();
        }
        change
    };
    // It names what is there: it stays as it was sent.
    let command = old.command("t", "dict", change(json!({"old_value": 1})));
    old.act(json!([command])).await;
    assert_eq!(old.receive().await["args"]["changes"], json!([command]));
    // It does not: its author is to replace its preview.
    for more in [json!({}), json!({"old_value": 7})] {
        let command = old.command("t", "dict", change(more));
        old.act(json!([command])).await;
        let told = old.receive().await["args"]["changes"][0].clone();
        assert_eq!(told["old_value"], 2);
        assert_ne!(told["id"], command["id"]);
    }
    goes_out(&mut old, "dict", json!({"type": "add", "key": "", "value": null}), json!({})).await;
    goes_out(&mut old, "dict", json!({"type": "pop", "key": ""}), json!({})).await;
    old.rejected("t", "dict", json!({"type": "add", "key": "a", "value": 1})).await;
    old.rejected("t", "dict", json!({"type": "pop", "key": "b"})).await;
    old.rejected("t", "dict", json!({"type": "change_value", "key": "b", "value": 1})).await;
    old.rejected("t", "dict", json!({"type": "add", "key": 7, "value": 1})).await;
    let set = json!({"type": "set", "value": {"b": 1}});
    goes_out(&mut old, "dict", set, json!({"old_value": {"a": 2}})).await;
}

#[tokio::test]
async fn any_value_passes_for_an_id_and_one_can_come_twice() {
    let server = TestServer::start();
    let mut old = on(&server, "int", json!(0)).await;
    for id in [json!("x"), json!("x"), json!(7), json!({"a": 1})] {
        let add =
            json!({"topic_name": "t", "topic_type": "int", "type": "add", "value": 1, "id": id});
        old.send("action", json!({"action_id": id, "commands": [add]})).await;
        old.expect("update", json!({"action_id": id, "changes": [add]})).await;
    }
    let add =
        json!({"topic_name": "t", "topic_type": "int", "type": "add", "value": 1, "id": null});
    old.send("action", json!({"action_id": "", "commands": [add]})).await;
    let told = old.receive().await["args"]["changes"][0].clone();
    assert!(told["id"].is_string(), "{told}");
    assert_eq!(old.value("t").await, json!(5));
}

#[tokio::test]
async fn another_type_s_changes_are_rejected() {
    let server = TestServer::start();
    let mut old = on(&server, "list", json!([])).await;
    for kind in ["set", "dict", "unknown", "nonsense"] {
        old.rejected("t", kind, json!({"type": "append", "item": 1})).await;
        old.rejected("t", kind, json!({"type": "set", "value": [1]})).await;
    }
    old.rejected("nowhere", "list", json!({"type": "pop", "position": 0})).await;
    old.rejected("_topicsync/clients", "dict", json!({"type": "pop", "key": "1"})).await;
    assert_eq!(old.value("t").await, json!([]));
}

#[tokio::test]
async fn topics_are_made_used_and_removed_in_actions() {
    let server = TestServer::start();
    let mut old = Old::on(&server, &[TOPIC_LIST]).await;
    let mut other = Old::on(&server, &[TOPIC_LIST]).await;
    let commands = json!([
        old.command(
            TOPIC_LIST,
            "dict",
            json!({"type": "add", "key": "a", "value": entry("list", json!(["x"]))})
        ),
        old.command("a", "list", json!({"type": "insert", "item": "y", "position": 1})),
        old.command(
            TOPIC_LIST,
            "dict",
            json!({"type": "add", "key": "b", "value": entry("int", json!(null))})
        ),
    ]);
    let action_id = old.act(commands.clone()).await;
    // What concerns their topics, in one update.
    let told = json!([commands[0], commands[2]]);
    old.expect("update", json!({"action_id": action_id, "changes": told})).await;
    other.expect("update", json!({"action_id": action_id, "changes": told})).await;
    assert_eq!(other.value("a").await, json!(["x", "y"]));

    let pop = old.command(TOPIC_LIST, "dict", json!({"type": "pop", "key": "a"}));
    let action_id = old.act(json!([pop])).await;
    old.expect("update", json!({"action_id": action_id, "changes": [pop]})).await;
    other.expect("update", json!({"action_id": action_id, "changes": [pop]})).await;
    old.rejected("a", "list", json!({"type": "pop", "position": 0})).await;
    // Made again, it is told to those who had it.
    let add = json!({"type": "add", "key": "a", "value": entry("int", json!(7))});
    let add = old.command(TOPIC_LIST, "dict", add);
    let action_id = old.act(json!([add])).await;
    old.expect("update", json!({"action_id": action_id, "changes": [add]})).await;
    other.expect("update", json!({"action_id": action_id, "changes": [add]})).await;
    other.expect("init", json!({"topic_name": "a", "value": 7})).await;
    old.expect_nothing().await;
    let list = old.value(TOPIC_LIST).await;
    assert_eq!(list["a"], entry("int", json!(7)));
    assert_eq!(list.as_object().unwrap().len(), 3);
}

#[tokio::test]
async fn an_action_that_fails_makes_and_removes_nothing() {
    let server = TestServer::start();
    let mut native = server.client().await;
    native.subscribe(TOPIC_LIST, "dict").await;
    let mut old = Old::on(&server, &[TOPIC_LIST]).await;
    let add = |old: &mut Old, key: &str, entry: Json| {
        old.command(TOPIC_LIST, "dict", json!({"type": "add", "key": key, "value": entry}))
    };
    let commands = json!([
        add(&mut old, "a", entry("int", json!(1))),
        old.command("a", "int", json!({"type": "add", "value": "x"})),
    ]);
    old.act(commands).await;
    old.expect("reject", json!({"reason": ANY})).await;
    for (key, entry) in [
        (
            "a",
            json!({"type": "bool", "boundary_value": null, "is_stateful": true, "order_strict": true}),
        ),
        ("a", json!({"type": "int", "is_stateful": true, "order_strict": true})),
        ("a", json!({"type": "int", "boundary_value": null})),
        ("a", entry("int", json!("x"))),
        ("a", entry("set", json!([1, 1]))),
        ("", entry("int", json!(null))),
        ("_topicsync/mine", entry("int", json!(null))),
        (TOPIC_LIST, entry("dict", json!(null))),
    ] {
        let command = add(&mut old, key, entry.clone());
        old.act(json!([command])).await;
        let reject = old.receive().await;
        assert_eq!(reject["type"], "reject", "{key} {entry}: {reject}");
    }
    for change in [
        json!({"type": "pop", "key": TOPIC_LIST}),
        json!({"type": "pop", "key": "nothing"}),
        json!({"type": "set", "value": {}}),
        json!({"type": "change_value", "key": TOPIC_LIST, "value": {}}),
    ] {
        old.rejected(TOPIC_LIST, "dict", change).await;
    }
    old.expect_nothing().await;
    native.expect_nothing().await;
    assert!(server.hub.engine().topics_in_memory().iter().all(|it| it.name().is_special()));
    // The name is free, and a missing `order_strict` counts as true.
    let command =
        add(&mut old, "a", json!({"type": "int", "boundary_value": 3, "is_stateful": true}));
    old.act(json!([command])).await;
    assert_eq!(old.receive().await["type"], "update");
    assert_eq!(old.value("a").await, json!(3));
    let again = add(&mut old, "a", entry("int", json!(4)));
    old.act(json!([again])).await;
    old.expect("reject", json!({"reason": ANY})).await;
}

#[tokio::test]
async fn the_list_set_as_a_whole_makes_and_removes_what_differs() {
    let server = TestServer::start();
    let mut old = Old::on(&server, &[TOPIC_LIST]).await;
    for (key, kind) in [("stays", "int"), ("goes", "list")] {
        let add = json!({"type": "add", "key": key, "value": entry(kind, json!(null))});
        old.change(TOPIC_LIST, "dict", add).await;
    }
    let mut native = server.client().await;
    native.subscribe("stays", "int").await;
    native.changed("stays", json!({"type": "add", "value": 9})).await;
    let before = old.value(TOPIC_LIST).await;
    let mut after = before.clone();
    after.as_object_mut().unwrap().remove("goes");
    after["comes"] = entry("string", json!("hi"));
    let told = old.change(TOPIC_LIST, "dict", json!({"type": "set", "value": after})).await;
    assert_eq!((&told["value"], &told["old_value"]), (&after, &before));
    assert_eq!(old.value(TOPIC_LIST).await, after);
    assert_eq!(old.value("comes").await, json!("hi"));
    assert_eq!(old.value("stays").await, json!(9));
    old.rejected("goes", "list", json!({"type": "pop", "position": 0})).await;
}

#[tokio::test]
async fn an_entry_can_be_changed_and_its_topic_stays_as_it_is() {
    let server = TestServer::start();
    let mut old = Old::on(&server, &[TOPIC_LIST]).await;
    let add = json!({"type": "add", "key": "a", "value": entry("int", json!(1))});
    old.change(TOPIC_LIST, "dict", add).await;
    let change = json!({"type": "change_value", "key": "a", "value": entry("int", json!(5))});
    let told = old.change(TOPIC_LIST, "dict", change).await;
    assert_eq!(told["value"], entry("int", json!(5)));
    assert_eq!(old.value(TOPIC_LIST).await["a"], entry("int", json!(5)));
    assert_eq!(old.value("a").await, json!(1));
}
