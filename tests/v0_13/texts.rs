//! Texts: versions that are texts, edits made ahead of the server, UTF-16 units.

use serde_json::{Value as Json, json};

use crate::common::*;
use crate::old::*;

fn insert(version: &str, position: usize, insertion: &str, result: &str) -> Json {
    json!({"type": "insert", "topic_version": version, "position": position, "insertion": insertion,
        "result_topic_version": result})
}

fn delete(version: &str, position: usize, deletion: &str, result: &str) -> Json {
    json!({"type": "delete", "topic_version": version, "position": position, "deletion": deletion,
        "result_topic_version": result})
}

/// Two clients on one text.
async fn two_on(text: &str) -> (TestServer, Old, Old) {
    let server = TestServer::start();
    let mut old = Old::connect(&server).await;
    old.make("t", entry("string", json!(text))).await;
    let (a, b) = (Old::on(&server, &["t"]).await, Old::on(&server, &["t"]).await);
    (server, a, b)
}

/// What a client that applies whatever comes ends up with, as the deployed one does: a version that does
/// not chain is a fault.
fn applied(mut text: String, version: &mut String, update: &Json) -> String {
    for change in update["args"]["changes"].as_array().unwrap() {
        let string = |field: &str| change[field].as_str().unwrap().to_owned();
        if change["type"] == "set" {
            assert_eq!(change["old_value"], text);
            (text, *version) = (string("value"), string("id"));
            continue;
        }
        assert_eq!(change["topic_version"], version.as_str(), "{update}");
        let position = change["position"].as_u64().unwrap() as usize;
        let mut units: Vec<u16> = text.encode_utf16().collect();
        if change["type"] == "insert" {
            units.splice(position..position, string("insertion").encode_utf16());
        } else {
            let deletion: Vec<u16> = string("deletion").encode_utf16().collect();
            let range = position..position + deletion.len();
            assert_eq!(units[range.clone()], deletion, "{update}");
            units.drain(range);
        }
        text = String::from_utf16(&units).unwrap();
        *version = string("result_topic_version");
    }
    text
}

/// From `abcdef`, on one base: the first change, the second, and what comes of both. Where the Python
/// server dropped a text, it is kept here.
#[tokio::test]
async fn the_second_of_two_edits_is_carried_over_the_first() {
    let at = |position, text: &str| insert("t_init", position, text, "R");
    let gone = |position, text: &str| delete("t_init", position, text, "R");
    let set = |value: &str| json!({"type": "set", "value": value});
    let table = [
        (at(3, "XX"), at(3, "yy"), "abcyyXXdef"),
        (at(6, "XX"), at(6, "yy"), "abcdefyyXX"),
        (at(1, "XX"), at(4, "yy"), "aXXbcdyyef"),
        (gone(1, "bc"), at(5, "yy"), "adeyyf"),
        (gone(2, "cd"), at(2, "yy"), "abyyef"),
        (gone(1, "bcd"), at(2, "yy"), "ayyef"),
        (gone(1, "bcd"), at(4, "yy"), "ayyef"),
        (at(3, "XX"), gone(3, "de"), "abcXXf"),
        (at(3, "XX"), gone(2, "cd"), "abXXef"),
        (at(4, "XX"), gone(2, "cd"), "abXXef"),
        (gone(2, "cd"), gone(2, "cd"), "abef"),
        (gone(1, "bcd"), gone(3, "de"), "af"),
        (gone(3, "de"), gone(1, "bcd"), "af"),
        (gone(2, "cd"), gone(1, "bcde"), "af"),
        (set("qrs"), at(4, "yy"), "yyqrs"),
        (set("qrs"), gone(2, "cd"), "qrs"),
        (at(2, "XX"), set("qrs"), "qrs"),
    ];
    for (first, second, expected) in table {
        let (_server, mut a, mut b) = two_on("abcdef").await;
        let named = |client: &mut Old, mut change: Json| {
            if change.get("result_topic_version").is_some() {
                change["result_topic_version"] = json!(client.next_id());
            }
            client.command("t", "string", change)
        };
        let (first, second) = (named(&mut a, first), named(&mut b, second));
        a.act(json!([first])).await;
        let told_first = a.receive().await;
        assert!(is(&first["id"], &told_first["args"]["changes"][0]["id"]));
        b.act(json!([second])).await;
        for client in [&mut a, &mut b] {
            let (mut text, mut version) = ("abcdef".to_owned(), "t_init".to_owned());
            if client.id == b_id(&told_first, client.id) {
                text = applied(text, &mut version, &told_first);
            } else {
                let told = client.receive().await;
                text = applied(text, &mut version, &told);
            }
            let told = client.receive().await;
            text = applied(text, &mut version, &told);
            assert_eq!(text, expected, "{first} then {second}: {told}");
            let init = client.subscribe("t").await;
            assert_eq!(
                (init["value"].as_str(), init["id"].as_str()),
                (Some(expected), Some(&*version))
            );
        }
    }
}

/// The client that was told already: the author of the first change.
fn b_id(told: &Json, id: u64) -> u64 {
    let own = told["args"]["action_id"].as_str().unwrap().starts_with(&format!("{id}_"));
    if own { id } else { 0 }
}

#[tokio::test]
async fn an_edit_that_had_to_be_carried_bears_another_id_and_a_version_of_the_server_s() {
    let (_server, mut a, mut b) = two_on("abcdef").await;
    let first = a.change("t", "string", insert("t_init", 0, "XX", "a1")).await;
    assert_eq!(
        (&first["topic_version"], &first["result_topic_version"]),
        (&json!("t_init"), &json!("a1"))
    );
    let command = b.command("t", "string", insert("t_init", 3, "y", "b1"));
    b.act(json!([command])).await;
    b.receive().await;
    let told = b.receive().await["args"]["changes"][0].clone();
    assert_eq!(told["topic_version"], "a1");
    assert_eq!(told["position"], 5);
    assert_eq!(told["id"], json!(format!("{}_adjust", command["id"].as_str().unwrap())));
    assert_ne!(told["result_topic_version"], "b1");
    // Who names the server's version has seen it all; who names `b1`, only b's own.
    let version = told["result_topic_version"].as_str().unwrap();
    let on_all = b.command("t", "string", insert(version, 6, "!", "b2"));
    b.act(json!([on_all])).await;
    let told = b.receive().await["args"]["changes"][0].clone();
    assert_eq!((&told["id"], &told["position"]), (&on_all["id"], &json!(6)));
    assert_eq!(b.value("t").await, json!("XXabcy!def"));
}

#[tokio::test]
async fn edits_made_ahead_stay_where_their_author_put_them() {
    let (_server, mut a, mut b) = two_on("0123456789").await;
    a.change("t", "string", insert("t_init", 0, "AAAA", "a1")).await;
    let (mut version, mut at) = ("t_init".to_owned(), 10);
    for letter in ["x", "y", "z"] {
        let result = b.next_id();
        let command = b.command("t", "string", insert(&version, at, letter, &result));
        b.act(json!([command])).await;
        (version, at) = (result, at + 1);
    }
    let (mut text, mut seen) = ("0123456789".to_owned(), "t_init".to_owned());
    for _ in 0..4 {
        let update = b.receive().await;
        text = applied(text, &mut seen, &update);
    }
    assert_eq!(text, "AAAA0123456789xyz");
    // More comes from both sides while b goes on typing on what it sees.
    let command = a.command("t", "string", delete(&seen, 4, "01", "a2"));
    a.act(json!([command])).await;
    until(&mut a, "a2").await;
    let result = b.next_id();
    let command = b.command("t", "string", insert(&version, at, "!", &result));
    b.act(json!([command])).await;
    for _ in 0..2 {
        let update = b.receive().await;
        text = applied(text, &mut seen, &update);
    }
    assert_eq!(text, "AAAA23456789xyz!");
    assert_eq!(b.subscribe("t").await["id"], json!(seen));
}

/// Reads until an edit that leads to this version was told.
async fn until(client: &mut Old, version: &str) {
    while client.receive().await["args"]["changes"][0]["result_topic_version"] != version {}
}

#[tokio::test]
async fn the_parts_of_an_edit_in_one_action_go_together() {
    let (_server, mut a, mut b) = two_on("hello world").await;
    a.change("t", "string", insert("t_init", 0, ">>> ", "a1")).await;
    // A text box replaces "world" by "there": it deletes and inserts.
    let commands = json!([
        b.command("t", "string", delete("t_init", 6, "world", "b1")),
        b.command("t", "string", insert("b1", 6, "there", "b2")),
        b.command("t", "string", insert("b2", 11, "!", "b3")),
    ]);
    b.act(commands).await;
    let (mut text, mut version) = ("hello world".to_owned(), "t_init".to_owned());
    for _ in 0..2 {
        let update = b.receive().await;
        text = applied(text, &mut version, &update);
    }
    assert_eq!(text, ">>> hello there!");
    // Unhindered, they go out as they came.
    let commands = json!([
        b.command("t", "string", delete(&version, 0, ">>> ", "b4")),
        b.command("t", "string", insert("b4", 0, "# ", "b5")),
    ]);
    let action_id = b.act(commands.clone()).await;
    b.expect("update", json!({"action_id": action_id, "changes": commands})).await;
    assert_eq!(b.value("t").await, json!("# hello there!"));
}

#[tokio::test]
async fn positions_count_utf16_units() {
    let (_server, mut a, mut b) = two_on("a😀b").await;
    let told = a.change("t", "string", insert("t_init", 4, "!", "a1")).await;
    assert_eq!(told["position"], 4);
    let update = b.receive().await;
    let (mut text, mut version) = ("a😀b".to_owned(), "t_init".to_owned());
    text = applied(text, &mut version, &update);
    assert_eq!(text, "a😀b!");
    b.change("t", "string", delete("a1", 1, "😀", "b1")).await;
    assert_eq!(b.value("t").await, json!("ab!"));
    // Within a character there is no position; the connection stays.
    let (_server, mut a, _b) = two_on("a😀b").await;
    a.rejected("t", "string", insert("t_init", 2, "!", "a1")).await;
    a.send_text(
        r#"{"type":"action","args":{"action_id":"x","commands":[{"topic_name":"t","topic_type":"string",
        "type":"insert","topic_version":"t_init","position":1,"insertion":"\ud83d",
        "result_topic_version":"a2","id":"a3"}]}}"#,
    )
    .await;
    a.expect("reject", json!({"reason": ANY})).await;
    assert_eq!(a.value("t").await, json!("a😀b"));
}

#[tokio::test]
async fn edits_of_nothing_make_their_version() {
    let (_server, mut a, mut b) = two_on("abc").await;
    let command = a.command("t", "string", insert("t_init", 1, "", "a1"));
    a.act(json!([command])).await;
    assert_eq!(a.receive().await["args"]["changes"], json!([command]));
    b.receive().await;
    let command = b.command("t", "string", delete("a1", 2, "", "b1"));
    b.act(json!([command])).await;
    assert_eq!(b.receive().await["args"]["changes"], json!([command]));
    b.change("t", "string", insert("b1", 3, "!", "b2")).await;
    assert_eq!(b.value("t").await, json!("abc!"));
}

#[tokio::test]
async fn what_does_not_fit_the_text_that_its_author_saw_is_rejected() {
    let (_server, mut a, _b) = two_on("abc").await;
    for change in [
        insert("t_init", 4, "x", "a1"),
        delete("t_init", 0, "x", "a1"),
        delete("t_init", 2, "cd", "a1"),
        json!({"type": "insert", "topic_version": "t_init", "position": -1, "insertion": "x"}),
        json!({"type": "insert", "topic_version": "t_init", "position": 0}),
        json!({"type": "insert", "position": 0, "insertion": "x"}),
        json!({"type": "append", "item": "x"}),
    ] {
        a.rejected("t", "string", change).await;
    }
    assert_eq!(a.value("t").await, json!("abc"));
    // Without a name of its own, the version gets one of the server's.
    let told = a
        .change(
            "t",
            "string",
            json!({"type": "insert", "topic_version": "t_init", "position": 3,
            "insertion": "d", "result_topic_version": null}),
        )
        .await;
    let version = told["result_topic_version"].as_str().unwrap().to_owned();
    a.change("t", "string", insert(&version, 4, "e", "a9")).await;
    assert_eq!(a.value("t").await, json!("abcde"));
}

#[tokio::test]
async fn a_name_that_was_given_before_is_not_given_again() {
    let (_server, mut a, mut b) = two_on("abc").await;
    a.change("t", "string", insert("t_init", 3, "d", "same")).await;
    b.receive().await;
    let command = b.command("t", "string", insert("same", 4, "e", "same"));
    b.act(json!([command])).await;
    let told = b.receive().await["args"]["changes"][0].clone();
    assert_ne!(told["result_topic_version"], "same");
    assert_ne!(told["id"], command["id"]);
    // It still means what it meant.
    b.act(json!([b_command(&b, insert("same", 4, "!", "other"))])).await;
    b.receive().await;
    assert_eq!(b.value("t").await, json!("abcd!e"));
}

fn b_command(client: &Old, change: Json) -> Json {
    let mut command = change;
    command["topic_name"] = json!("t");
    command["topic_type"] = json!("string");
    command["id"] = json!(format!("{}_900", client.id));
    command
}

#[tokio::test]
async fn a_set_always_wins_and_names_the_text() {
    let (_server, mut a, mut b) = two_on("abc").await;
    a.change("t", "string", insert("t_init", 0, "x", "a1")).await;
    b.receive().await;
    let set = b.change("t", "string", json!({"type": "set", "value": "new"})).await;
    assert_eq!(set["old_value"], "xabc");
    let version = set["id"].as_str().unwrap().to_owned();
    let told = b.change("t", "string", insert(&version, 3, "!", "b9")).await;
    assert_eq!(told["topic_version"], json!(version));
    // Setting it to what is there is told as well.
    let set = b.change("t", "string", json!({"type": "set", "value": "new!"})).await;
    assert_eq!((&set["value"], &set["old_value"]), (&json!("new!"), &json!("new!")));
    assert_eq!(b.subscribe("t").await["id"], set["id"]);
}
