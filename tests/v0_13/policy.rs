//! A host's policy is asked in the client's name on every way that a client of 0.13 has to a value.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use serde_json::json;
use topicsync::engine::policy::Operation;
use topicsync::engine::{Denied, EngineConfig, Policy, Principal, Rules};

use crate::direct::Place;
use crate::old::entry;

const TOPIC_LIST: &str = "_topicsync/topic_list";

/// Forbids clients what is on it: an operation and a topic.
#[derive(Default)]
struct Forbids(Mutex<HashSet<(&'static str, &'static str)>>);

impl Policy for Forbids {
    fn authorize(&self, principal: &Principal, operation: &Operation<'_>) -> Result<(), Denied> {
        let (word, topic) = match operation {
            Operation::Read { topic } => ("read", &***topic),
            Operation::Make { topic, .. } => ("make", &***topic),
            Operation::Remove { topic } => ("remove", &***topic),
            Operation::Change { topic, .. } => ("change", &**topic.name()),
            _ => return Rules.authorize(principal, operation),
        };
        let forbidden = self.0.lock().unwrap();
        if !principal.is_server() && forbidden.iter().any(|it| *it == (word, topic)) {
            return Err(Denied::new("forbidden"));
        }
        Rules.authorize(principal, operation)
    }
}

fn place(forbidden: &[(&'static str, &'static str)]) -> (Place, Arc<Forbids>) {
    let policy = Arc::new(Forbids(Mutex::new(forbidden.iter().copied().collect())));
    (Place::new(EngineConfig { policy: policy.clone(), ..EngineConfig::default() }), policy)
}

#[test]
fn topics_are_made_and_removed_only_by_who_may() {
    let (place, policy) = place(&[("make", "secret"), ("remove", "kept")]);
    let mut client = place.on(&[TOPIC_LIST]);
    let add = |key: &str| json!({"type": "add", "key": key, "value": entry("int", json!(1))});
    assert_eq!(client.change(TOPIC_LIST, "dict", add("secret")), ["reject"]);
    assert_eq!(client.change(TOPIC_LIST, "dict", add("kept")), ["update"]);
    let pop = json!({"type": "pop", "key": "kept"});
    assert_eq!(client.change(TOPIC_LIST, "dict", pop.clone()), ["reject"]);
    // Nor by setting the whole list.
    let own = json!({"type": "dict", "is_stateful": true, "boundary_value": {}});
    let (kept, secret) = (entry("int", json!(1)), entry("int", json!(2)));
    let more = json!({TOPIC_LIST: own, "kept": kept, "secret": secret, "other": kept});
    assert_eq!(
        client.change(TOPIC_LIST, "dict", json!({"type": "set", "value": more})),
        ["reject"]
    );
    let less = json!({TOPIC_LIST: own});
    assert_eq!(
        client.change(TOPIC_LIST, "dict", json!({"type": "set", "value": less})),
        ["reject"]
    );
    client.send("subscribe", json!({"topic_name": "kept"}));
    client.send("subscribe", json!({"topic_name": "secret"}));
    client.send("subscribe", json!({"topic_name": "other"}));
    assert_eq!(client.receive_types(), ["init kept"]);
    policy.0.lock().unwrap().clear();
    assert_eq!(client.change(TOPIC_LIST, "dict", pop), ["update"]);
    assert_eq!(client.change(TOPIC_LIST, "dict", add("secret")), ["update"]);
}

/// An action that changes the topic list is the server's: its other changes are the client's all the same.
#[test]
fn the_topic_list_is_no_way_around_the_policy() {
    let (place, policy) = place(&[]);
    let mut client = place.on(&[TOPIC_LIST]);
    let add = |key: &str| json!({"type": "add", "key": key, "value": entry("int", json!(1))});
    assert_eq!(client.change(TOPIC_LIST, "dict", add("n")), ["update"]);
    policy.0.lock().unwrap().insert(("change", "n"));
    let set = json!({"type": "set", "value": 7});
    let commands =
        [client.command(TOPIC_LIST, "dict", add("x")), client.command("n", "int", set.clone())];
    client.act(&commands);
    assert_eq!(client.receive_types(), ["reject"]);
    assert_eq!(client.change("n", "int", set), ["reject"]);
    // What does not fit the value is forbidden, too: nothing is learnt of the value.
    let unfit = client.command("n", "int", json!({"type": "set", "value": "x"}));
    client.act(&[unfit]);
    assert_eq!(client.receive()[0]["args"]["reason"], "PermissionError('forbidden')");
    let changed = json!({"type": "change_value", "key": "n", "value": entry("int", json!(9))});
    assert_eq!(client.change(TOPIC_LIST, "dict", changed), ["reject"]);
    // A topic whose initial value may not be set cannot be made with one.
    policy.0.lock().unwrap().insert(("change", "m"));
    assert_eq!(client.change(TOPIC_LIST, "dict", add("m")), ["reject"]);
    client.send("subscribe", json!({"topic_name": "x"}));
    client.send("subscribe", json!({"topic_name": "m"}));
    client.send("subscribe", json!({"topic_name": TOPIC_LIST}));
    let told = client.receive();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["args"]["value"]["n"], entry("int", json!(1)));
}

/// A subscription that goes on in a topic's next life is asked for as any other.
#[test]
fn a_topic_that_is_made_again_is_told_to_those_who_may_read_it() {
    let (place, policy) = place(&[]);
    let mut client = place.on(&[TOPIC_LIST]);
    let add = |key: &str| json!({"type": "add", "key": key, "value": entry("int", json!(1))});
    let pop = |key: &str| json!({"type": "pop", "key": key});
    for topic in ["a", "b"] {
        assert_eq!(client.change(TOPIC_LIST, "dict", add(topic)), ["update"]);
        client.send("subscribe", json!({"topic_name": topic}));
        assert_eq!(client.receive_types(), [format!("init {topic}")]);
        assert_eq!(client.change(TOPIC_LIST, "dict", pop(topic)), ["update"]);
    }
    policy.0.lock().unwrap().insert(("read", "a"));
    assert_eq!(client.change(TOPIC_LIST, "dict", add("a")), ["update"]);
    assert_eq!(client.change(TOPIC_LIST, "dict", add("b")), ["update", "init b"]);
}
