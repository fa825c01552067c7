//! A topic that is removed and made again is another topic: each life is told as a thing of its own.

use serde_json::{Value as Json, json};
use topicsync::engine::EngineConfig;
use topicsync::topic::{TopicName, TopicOptions};
use topicsync::types::TypeRef;

use crate::direct::Place;
use crate::old::entry;

const TOPIC_LIST: &str = "_topicsync/topic_list";

fn add(key: &str, value: Json) -> Json {
    json!({"type": "add", "key": key, "value": entry("string", value)})
}

fn pop(key: &str) -> Json {
    json!({"type": "pop", "key": key})
}

/// Removed, made again and subscribed to in one burst: the new value is told once.
#[test]
fn who_asks_for_the_new_life_is_told_its_value_once() {
    let place = Place::new(EngineConfig::default());
    let mut client = place.on(&[TOPIC_LIST]);
    client.change(TOPIC_LIST, "dict", add("t", json!("one")));
    client.send("subscribe", json!({"topic_name": "t"}));
    assert_eq!(client.receive_types(), ["init t"]);
    let gone = client.command(TOPIC_LIST, "dict", pop("t"));
    let back = client.command(TOPIC_LIST, "dict", add("t", json!("two")));
    client.act(&[gone]);
    client.act(&[back]);
    client.send("subscribe", json!({"topic_name": "t"}));
    assert_eq!(client.receive_types(), ["update", "update", "init t"]);
    assert_eq!(client.receive_types(), Vec::<String>::new());

    // Told of the removal first, and asking for what it made again.
    client.change(TOPIC_LIST, "dict", pop("t"));
    let back = client.command(TOPIC_LIST, "dict", add("t", json!("three")));
    client.act(&[back]);
    client.send("subscribe", json!({"topic_name": "t"}));
    assert_eq!(client.receive_types(), ["update", "init t"]);

    // And not asking.
    client.change(TOPIC_LIST, "dict", pop("t"));
    let back = client.command(TOPIC_LIST, "dict", add("t", json!("four")));
    client.act(&[back]);
    let told = client.receive();
    assert_eq!((told.len(), &told[1]["args"]["value"]), (2, &json!("four")));
    assert_eq!(told[1]["args"]["id"], "t_init");
}

/// An action that changes a topic and removes it is answered as its author's own, whole.
#[test]
fn the_last_changes_of_a_life_are_told_as_their_authors_own() {
    let place = Place::new(EngineConfig::default());
    let (mut author, mut other) = (place.on(&[TOPIC_LIST]), place.on(&[TOPIC_LIST]));
    author.change(TOPIC_LIST, "dict", add("t", json!("one")));
    author.send("subscribe", json!({"topic_name": "t"}));
    other.send("subscribe", json!({"topic_name": "t"}));
    author.receive();
    other.receive();
    let insert = json!({"type": "insert", "topic_version": "t_init", "position": 3, "insertion": "!",
        "result_topic_version": "mine"});
    let commands = [
        author.command("t", "string", insert.clone()),
        author.command(TOPIC_LIST, "dict", pop("t")),
    ];
    let action_id = author.act(&commands);
    let back = author.command(TOPIC_LIST, "dict", add("t", json!("two")));
    let back_id = author.act(std::slice::from_ref(&back));
    for told in [author.receive(), other.receive()] {
        let update = |id: &str, changes: Json| json!({"type": "update", "args": {"action_id": id, "changes": changes}});
        assert_eq!(told[0], update(&action_id, json!(commands)));
        assert_eq!(told[1], update(&back_id, json!([back])));
        assert_eq!(told[2]["args"], json!({"topic_name": "t", "value": "two", "id": "t_init"}));
        assert_eq!(told.len(), 3);
    }
    // A name of the life before is no name of this one, and can be given again.
    let unknown = author.command(
        "t",
        "string",
        json!({"type": "insert", "topic_version": "mine",
        "position": 0, "insertion": "?", "result_topic_version": "other"}),
    );
    author.act(&[unknown]);
    assert_eq!(author.receive()[0]["type"], "reject");
    let command = author.command("t", "string", insert);
    author.act(std::slice::from_ref(&command));
    assert_eq!(author.receive().last().unwrap()["args"]["changes"], json!([command]));
}

/// A topic whose next life is not on the client's list yet is told once it is.
#[test]
fn a_new_life_is_told_after_the_list_has_shown_it() {
    let place = Place::new(EngineConfig::default());
    let mut client = place.on(&[TOPIC_LIST]);
    let name = TopicName::new("t").unwrap();
    let make = || {
        let kind = TypeRef::of::<topicsync::types::Int>();
        place.hub.engine().make(&name, kind, TopicOptions::default()).unwrap();
    };
    make();
    client.send("subscribe", json!({"topic_name": "t"}));
    assert_eq!(client.receive_types(), ["update", "init t"]);
    for _ in 0..3 {
        place.hub.engine().remove(&name);
        make();
    }
    let told = client.receive_types();
    assert_eq!(told.iter().filter(|it| *it == "init t").count(), 1, "{told:?}");
    assert_eq!(told.last().unwrap(), "init t");
    // Removed before the client is told of what it asked for: it is told of the next life.
    client.send("unsubscribe", json!({"topic_name": "t"}));
    client.send("subscribe", json!({"topic_name": "t"}));
    place.hub.engine().remove(&name);
    assert_eq!(client.receive_types(), ["update"]);
    make();
    assert_eq!(client.receive_types(), ["update", "init t"]);
}
