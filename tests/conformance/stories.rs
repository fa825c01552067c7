//! Sessions and lost connections, rejections, batches and actions, undo, snapshots, presence, services:
//! each case a story of who did what when.

use serde_json::{Value as Json, json};

use super::script::Script;

pub fn cases() -> Vec<String> {
    [
        beginnings(),
        batches(),
        rejections(),
        connections(),
        sessions(),
        lives(),
        actions(),
        snapshots(),
        latest(),
        reversals(),
        own_order(),
        many(),
        requests(),
        endings(),
        presence(),
        services(),
        nonsense(),
    ]
    .concat()
}

fn add(number: i64) -> Json {
    json!({"type": "add", "value": number})
}

fn put(key: &str, value: i64) -> Json {
    json!({"type": "add", "key": key, "value": value})
}

fn drag(key: &str, value: i64) -> Json {
    json!({"type": "change_value", "key": key, "value": value})
}

fn remove(key: &str) -> Json {
    json!({"type": "remove", "key": key})
}

fn insert(position: usize, insertion: &str) -> Json {
    json!({"type": "insert", "position": position, "insertion": insertion})
}

fn item(position: usize, item: &str) -> Json {
    json!({"type": "insert", "position": position, "item": item})
}

fn beginnings() -> Vec<String> {
    let mut cases = Vec::new();
    for kind in ["generic", "bool", "int", "float", "string", "list", "set", "dict", "event"] {
        let mut script = Script::new(format!("begin/{kind}"));
        script.subscribe("topic", kind);
        script.connect();
        script.exchange();
        cases.push(script.converged());
    }
    let mut script = Script::new("begin/changes-before-the-first-hello-wait");
    script.server.make("nodes", "dict", Default::default());
    script.somebody("nodes", put("a", 1));
    script.subscribe("nodes", "dict");
    script.local("nodes", put("b", 2));
    script.local("nodes", put("a", 2));
    script.send();
    script.connect();
    cases.push(script.converged());
    let mut script = Script::new("begin/what-simply-wins-waits-too");
    script.server.make("nodes", "dict", Default::default());
    script.somebody("nodes", put("a", 1));
    script.subscribe("nodes", "dict");
    script.local("nodes", put("b", 2));
    script.overwrite("nodes", drag("b", 3));
    script.overwrite("nodes", json!({"type": "set", "value": {"z": 1}}));
    script.connect();
    cases.push(script.converged());
    let mut script = Script::online("begin/subscribed-later", &[("one", "int")]);
    script.subscribe_with("two", "list", json!({"history": false}));
    script.local("two", item(0, "early"));
    cases.push(script.converged());
    let mut script = Script::online("begin/subscribed-twice", &[("one", "int")]);
    script.local("one", add(1));
    script.subscribe("one", "int");
    script.subscribe("one", "list");
    cases.push(script.converged());
    let mut script = Script::new("begin/another-type");
    script.server.make("it", "int", Default::default());
    script.subscribe("it", "list");
    script.local("it", item(0, "never"));
    script.connect();
    script.exchange();
    cases.push(script.line());
    let mut script = Script::online("begin/left-once-nothing-is-pending", &[("count", "int")]);
    script.local("count", add(5));
    script.unsubscribe("count");
    cases.push(script.converged());
    let mut script =
        Script::online("begin/left-and-taken-up-before-the-answer", &[("count", "int")]);
    for _ in 0..2 {
        script.unsubscribe("count");
        script.send();
        script.subscribe("count", "int");
        script.send();
    }
    script.exchange();
    script.local("count", add(5));
    cases.push(script.converged());
    let mut script =
        Script::online("begin/left-while-away", &[("count", "int"), ("text", "string")]);
    script.cut();
    script.unsubscribe("count");
    script.local("text", insert(0, "x"));
    script.unsubscribe("text");
    script.reconnect();
    cases.push(script.converged());
    cases
}

/// At most one batch is in flight; what is made meanwhile goes out as one.
fn batches() -> Vec<String> {
    let mut cases = Vec::new();
    let mut script = Script::online("batch/one-in-flight", &[("text", "string")]);
    script.local("text", insert(0, "h"));
    script.send();
    for (position, letter) in ["e", "l", "l", "o"].into_iter().enumerate() {
        script.local("text", insert(position + 1, letter));
        script.send();
    }
    cases.push(script.converged());
    let mut script = Script::online("batch/not-composed-goes-as-an-action", &[("nodes", "dict")]);
    script.local("nodes", put("a", 1));
    script.local("nodes", put("b", 1));
    script.local("nodes", drag("a", 2));
    cases.push(script.converged());
    let mut script =
        Script::online("batch/taken-back-is-never-sent", &[("nodes", "dict"), ("set", "set")]);
    script.local("nodes", put("a", 1));
    script.local("nodes", remove("a"));
    script.local("set", json!({"type": "append", "item": 1}));
    script.local("set", json!({"type": "remove", "item": 1.0}));
    cases.push(script.converged());
    let mut script = Script::online("batch/dragging-offline", &[("nodes", "dict")]);
    script.act(&[("nodes", put("a", 0)), ("nodes", put("b", 0)), ("nodes", put("c", 0))]);
    script.exchange();
    script.cut();
    for frame in 0..4 {
        for key in ["a", "b", "c"] {
            script.overwrite("nodes", drag(key, frame));
        }
    }
    script.somebody("nodes", drag("b", 77));
    script.reconnect();
    cases.push(script.converged());
    let mut script = Script::online("batch/with-and-without-a-base", &[("nodes", "dict")]);
    script.local("nodes", put("a", 0));
    script.overwrite("nodes", drag("a", 1));
    script.local("nodes", drag("a", 2));
    script.overwrite("nodes", json!({"type": "set", "value": {"b": 1}}));
    script.local("nodes", remove("b"));
    cases.push(script.converged());
    let mut script = Script::online(
        "batch/ints-and-registers",
        &[("count", "int"), ("it", "generic"), ("f", "float")],
    );
    for number in [1, 2, -3] {
        script.local("count", add(number));
        script.overwrite("f", json!({"type": "add", "value": 0.5}));
        script.local("it", json!({"type": "set", "value": number}));
    }
    script.local("count", json!({"type": "set", "value": 9}));
    script.local("count", add(1));
    cases.push(script.converged());
    let mut script = Script::starting_with(
        "batch/list",
        &[("items", "list")],
        &[("items", json!(["a", "b", "c"]))],
    );
    script.local("items", item(1, "x"));
    script.local("items", json!({"type": "replace", "position": 1, "item": "y"}));
    script.local("items", json!({"type": "move", "from": 1, "to": 3}));
    script.local("items", json!({"type": "move", "from": 3, "to": 0}));
    script.local("items", json!({"type": "pop", "position": 0}));
    script.local("items", json!({"type": "replace", "position": 2, "item": "z"}));
    script.somebody("items", item(0, "theirs"));
    script.deliver();
    cases.push(script.converged());
    let mut script = Script::online("batch/events-each-go-alone", &[("bell", "event")]);
    for number in 0..3 {
        script.local("bell", json!({"type": "emit", "args": {"n": number}}));
    }
    script.send();
    script.somebody("bell", json!({"type": "emit", "args": {"by": "them"}}));
    script.deliver();
    script.local("bell", json!({"type": "emit", "args": {}}));
    cases.push(script.converged());
    cases
}

/// What is rejected leaves the view, and what stands on it goes with it or is carried.
fn rejections() -> Vec<String> {
    let mut cases = Vec::new();
    let mut script = Script::online("reject/what-stands-on-it-goes-too", &[("nodes", "dict")]);
    script.somebody("nodes", put("n1", 1));
    script.local("nodes", put("n1", 2));
    script.send();
    script.local("nodes", drag("n1", 3));
    script.local("nodes", put("n2", 1));
    cases.push(script.converged());
    let mut script = Script::online("reject/by-a-validator", &[("text", "string")]);
    script.server.refuse(1);
    script.local("text", insert(0, "refused"));
    script.send();
    script.local("text", insert(7, " and kept"));
    script.local("text", insert(3, "-"));
    cases.push(script.converged());
    let mut script = Script::starting_with(
        "reject/list",
        &[("items", "list")],
        &[("items", json!(["a", "b", "c"]))],
    );
    script.server.refuse(1);
    script.local("items", item(1, "mine"));
    script.send();
    script.local("items", json!({"type": "replace", "position": 1, "item": "on top"}));
    script.local("items", json!({"type": "replace", "position": 3, "item": "beside"}));
    script.local("items", item(4, "last"));
    cases.push(script.converged());
    let mut script =
        Script::online("reject/an-action-over-topics", &[("nodes", "dict"), ("edges", "list")]);
    script.server.refuse(1);
    script.act(&[("nodes", put("n1", 1)), ("edges", item(0, "n1"))]);
    script.send();
    script.local("edges", item(1, "after"));
    script.local("nodes", drag("n1", 2));
    cases.push(script.converged());
    let mut script =
        Script::starting_with("reject/stale-set", &[("count", "int")], &[("count", json!(5))]);
    script.local("count", json!({"type": "set", "value": 6}));
    script.send();
    script.local("count", add(1));
    script.somebody("count", add(10));
    script.deliver();
    cases.push(script.converged());
    let mut script = Script::starting_with(
        "reject/on-top-over-several-topics",
        &[("nodes", "dict"), ("edges", "list"), ("count", "int")],
        &[("nodes", json!({"n1": 1}))],
    );
    script.somebody("nodes", remove("n1"));
    script.local("nodes", drag("n1", 2));
    script.send();
    script.act(&[("nodes", drag("n1", 3)), ("edges", item(0, "n1")), ("count", add(1))]);
    script.act(&[("edges", item(1, "kept")), ("count", add(10))]);
    cases.push(script.converged());
    for code in ["too_large", "forbidden", "unavailable", "unknown_topic"] {
        let mut script = Script::online(format!("reject/{code}"), &[("text", "string")]);
        script.local("text", insert(0, "x"));
        script.send();
        script.receive(
            json!([{"type": "reject_update", "content": {"topic_name": "text", "code": code,
            "reason": "because", "change": {"type": "insert", "id": "1_1", "base": 0}}}]),
        );
        cases.push(script.line());
    }
    let mut script = Script::online("reject/something-never-sent", &[("text", "string")]);
    script.local("text", insert(0, "x"));
    script.send();
    script.receive(
        json!([{"type": "reject_update", "content": {"topic_name": "text", "code": "stale",
        "reason": "because", "change": {"type": "insert", "id": "7_1"}}}]),
    );
    cases.push(script.converged());
    let mut script = Script::online("reject/busy", &[("count", "int"), ("text", "string")]);
    script.server.busy = 2;
    script.local("count", add(5));
    script.act(&[("text", insert(0, "a")), ("text", insert(1, "b"))]);
    script.send();
    script.serve();
    script.deliver();
    script.local("count", add(1));
    script.send();
    script.step("resend_busy", &json!({}));
    cases.push(script.converged());
    let mut script = Script::online("reject/busy-and-then-disconnected", &[("count", "int")]);
    script.server.busy = 1;
    script.local("count", add(5));
    script.send();
    script.serve();
    script.deliver();
    script.cut();
    script.step("resend_busy", &json!({}));
    script.reconnect();
    cases.push(script.converged());
    cases
}

fn connections() -> Vec<String> {
    let mut cases = Vec::new();
    let mut script = Script::online("connection/lost-before-it-is-served", &[("text", "string")]);
    script.local("text", insert(0, "hello"));
    script.send();
    script.local("text", insert(5, " world"));
    script.cut();
    script.local("text", insert(0, "> "));
    script.somebody("text", insert(0, "theirs "));
    script.reconnect();
    cases.push(script.converged());
    let mut script = Script::online("connection/lost-before-the-answer", &[("text", "string")]);
    script.local("text", insert(0, "hello"));
    script.send();
    script.serve();
    script.local("text", insert(5, " world"));
    script.cut();
    script.somebody("text", insert(0, "theirs "));
    script.reconnect();
    cases.push(script.converged());
    let mut script =
        Script::online("connection/an-action-sent-again", &[("nodes", "dict"), ("edges", "list")]);
    script.act(&[("nodes", put("n1", 1)), ("edges", item(0, "n1"))]);
    script.send();
    script.serve();
    script.cut();
    script.reconnect();
    script.act(&[("nodes", drag("n1", 2)), ("edges", item(1, "n1"))]);
    script.send();
    script.cut();
    script.reconnect();
    cases.push(script.converged());
    let mut script = Script::online("connection/lost-three-times", &[("count", "int")]);
    for number in 1..=3 {
        script.local("count", add(number));
        script.send();
        if number == 2 {
            script.serve();
        }
        script.cut();
        script.connect();
        script.send();
        script.cut();
    }
    script.reconnect();
    cases.push(script.converged());
    let mut script = Script::new("connection/lost-before-the-snapshot");
    script.server.make("text", "string", Default::default());
    script.somebody("text", insert(0, "theirs"));
    script.subscribe("text", "string");
    script.connect();
    script.send();
    script.serve();
    script.deliver_some(1);
    script.local("text", insert(0, "mine "));
    script.cut();
    script.reconnect();
    cases.push(script.converged());
    let mut script = Script::online("connection/lost-while-catching-up", &[("text", "string")]);
    script.cut();
    for letter in ["a", "b", "c"] {
        script.somebody("text", insert(0, letter));
    }
    script.local("text", insert(0, "mine"));
    script.connect();
    script.send();
    script.serve();
    script.deliver_some(1);
    script.send();
    script.serve();
    script.deliver_some(2);
    script.cut();
    script.somebody("text", insert(3, "!"));
    script.reconnect();
    cases.push(script.converged());
    let mut script =
        Script::online("connection/lost-before-another-snapshot", &[("text", "string")]);
    script.local("text", insert(0, "mine"));
    script.exchange();
    script.cut();
    script.somebody("text", insert(4, " theirs"));
    script.connect();
    script.send();
    script.serve();
    script.deliver();
    script.send();
    // The server cannot go on from what the client has: a snapshot would come next, and never does.
    let subscribed = json!({"type": "subscribed", "content": {"topic_name": "text",
        "type": "string", "options": {}, "epoch": "epoch1", "version": 2}});
    script.receive(json!([subscribed]));
    script.local("text", insert(0, "more, "));
    script.cut();
    script.reconnect();
    cases.push(script.converged());
    let mut script = Script::online("connection/what-falls-while-away", &[("nodes", "dict")]);
    script.cut();
    script.local("nodes", put("n1", 1));
    script.local("nodes", put("n2", 1));
    script.somebody("nodes", put("n1", 2));
    script.reconnect();
    cases.push(script.converged());
    let mut script =
        Script::online("connection/known-versions-are-passed-over", &[("count", "int")]);
    script.local("count", add(1));
    script.exchange();
    let update = json!({"type": "update", "content": {"topic_name": "count", "version": 1, "commit": 1,
        "author": 1, "change": {"type": "add", "value": 1, "id": "1_1"}}});
    script.receive(json!([update, update]));
    cases.push(script.converged());
    cases
}

fn sessions() -> Vec<String> {
    let mut cases = Vec::new();
    let mut script =
        Script::online("session/gone-and-what-was-accepted-shows", &[("text", "string")]);
    script.local("text", insert(0, "hello"));
    script.send();
    script.serve();
    script.local("text", insert(5, " world"));
    script.cut();
    script.forget_session();
    script.reconnect();
    cases.push(script.converged());
    let mut script =
        Script::online("session/gone-and-what-was-in-flight-is-unknown", &[("count", "int")]);
    script.local("count", add(5));
    script.send();
    script.local("count", add(1));
    script.cut();
    script.forget_session();
    script.reconnect();
    cases.push(script.converged());
    let mut script =
        Script::online("session/gone-with-an-action", &[("nodes", "dict"), ("edges", "list")]);
    script.act(&[("nodes", put("n1", 1)), ("edges", item(0, "n1"))]);
    script.send();
    script.act(&[("nodes", drag("n1", 2)), ("edges", item(1, "n1"))]);
    script.local("edges", item(0, "alone"));
    script.cut();
    script.forget_session();
    script.somebody("edges", item(0, "theirs"));
    script.reconnect();
    cases.push(script.converged());
    let mut script = Script::online(
        "session/gone-with-an-action-that-was-accepted",
        &[("nodes", "dict"), ("edges", "list")],
    );
    script.act(&[("nodes", put("n1", 1)), ("edges", item(0, "n1"))]);
    script.send();
    script.serve();
    script.act(&[("nodes", drag("n1", 2)), ("edges", item(1, "n1"))]);
    script.cut();
    script.forget_session();
    script.reconnect();
    cases.push(script.converged());
    let mut script = Script::online("session/gone-and-the-log-too", &[("count", "int")]);
    script.local("count", add(5));
    script.send();
    script.serve();
    script.local("count", add(1));
    script.cut();
    script.forget_session();
    script.server.forgetful = true;
    script.reconnect();
    cases.push(script.converged());
    let mut script = Script::online("session/gone-before-anything-was-sent", &[("count", "int")]);
    script.cut();
    script.local("count", add(5));
    script.forget_session();
    script.reconnect();
    script.local("count", add(6));
    cases.push(script.converged());
    let mut script = Script::online("session/gone-and-asked-twice", &[("count", "int")]);
    script.local("count", add(5));
    script.send();
    script.cut();
    script.forget_session();
    script.connect();
    script.send();
    script.cut();
    script.reconnect();
    cases.push(script.converged());
    cases
}

/// Epochs: a topic loses all and begins again.
fn lives() -> Vec<String> {
    let mut cases = Vec::new();
    let mut script = Script::online("life/new-while-away", &[("count", "int"), ("other", "int")]);
    script.local("count", add(5));
    script.exchange();
    script.local("count", add(1));
    script.send();
    script.act(&[("count", add(1)), ("other", add(1))]);
    script.local("other", add(2));
    script.cut();
    script.server.new_life("count");
    script.reconnect();
    cases.push(script.converged());
    let mut script = Script::online("life/new-and-changed-before-the-value", &[("text", "string")]);
    script.local("text", insert(0, "old"));
    script.exchange();
    script.cut();
    script.server.new_life("text");
    script.somebody("text", insert(0, "theirs"));
    script.connect();
    script.send();
    script.serve();
    script.deliver_some(1);
    script.send();
    script.serve();
    script.deliver_some(1);
    script.local("text", insert(0, "new "));
    cases.push(script.converged());
    let mut script = Script::online("life/an-event-topic", &[("bell", "event")]);
    script.local("bell", json!({"type": "emit", "args": {}}));
    script.exchange();
    script.cut();
    script.server.new_life("bell");
    script.local("bell", json!({"type": "emit", "args": {"n": 1}}));
    script.reconnect();
    cases.push(script.converged());
    let mut script = Script::online("life/removed", &[("count", "int"), ("text", "string")]);
    script.local("count", add(5));
    script.send();
    script.act(&[("count", add(1)), ("text", insert(0, "with it"))]);
    script.local("text", insert(0, "alone"));
    script.server.remove("count");
    script.deliver();
    script.send();
    cases.push(script.line());
    cases
}

fn actions() -> Vec<String> {
    let mut cases = Vec::new();
    let topics = [("nodes", "dict"), ("edges", "list"), ("count", "int")];
    let mut script = Script::online("action/over-three-topics", &topics);
    script.act(&[
        ("edges", item(0, "e")),
        ("nodes", put("n", 1)),
        ("count", add(1)),
        ("edges", item(1, "f")),
    ]);
    cases.push(script.converged());
    let mut script = Script::online("action/of-one-change", &topics);
    script.act(&[("count", add(1))]);
    cases.push(script.converged());
    let mut script = Script::online("action/waits-for-all-its-topics", &topics);
    script.local("edges", item(0, "first"));
    script.send();
    script.act(&[("edges", item(1, "e")), ("nodes", put("n", 1))]);
    script.local("nodes", put("m", 2));
    script.local("count", add(1));
    script.send();
    cases.push(script.converged());
    let mut script = Script::online("action/comes-topic-by-topic", &topics);
    script.act(&[("nodes", put("n", 1)), ("edges", item(0, "e")), ("count", add(1))]);
    script.send();
    script.serve();
    script.cut();
    script.connect();
    script.send();
    script.serve();
    // One topic after the other is caught up, and each brings its part.
    while script.deliver_some(1) > 0 {
        script.send();
        script.serve();
    }
    cases.push(script.converged());
    let mut script = Script::online("action/of-others-comes-in-parts", &topics);
    script.cut();
    script.somebody_acts(&[
        ("nodes", put("n", 1)),
        ("edges", item(0, "e")),
        ("nodes", drag("n", 2)),
    ]);
    script.local("nodes", put("m", 1));
    script.local("edges", item(0, "mine"));
    script.reconnect();
    cases.push(script.converged());
    let mut script = Script::online("action/in-part-by-a-snapshot", &topics);
    script.act(&[("nodes", put("n", 1)), ("count", add(5))]);
    script.send();
    script.serve();
    script.local("nodes", drag("n", 2));
    script.jump("nodes");
    script.deliver();
    cases.push(script.converged());
    let mut script =
        Script::online("action/known-in-part-after-a-new-life", &[("one", "int"), ("two", "int")]);
    script.act(&[("one", add(5)), ("two", add(5))]);
    script.send();
    script.serve();
    script.jump("one");
    script.jump("two");
    // A snapshot, and the confirmation of the one.
    script.deliver_some(2);
    script.cut();
    script.server.new_life("one");
    script.reconnect();
    cases.push(script.line());
    let mut script = Script::online("action/cannot-be-carried-and-leaves-all", &topics);
    script.cut();
    script.act(&[("nodes", put("n", 2)), ("edges", item(0, "n")), ("count", add(1))]);
    script.local("edges", item(0, "kept"));
    script.somebody("nodes", put("n", 1));
    script.reconnect();
    cases.push(script.converged());
    let mut script = Script::starting_with(
        "action/nothing-is-left-of-a-part",
        &[("set", "set"), ("count", "int")],
        &[],
    );
    script.act(&[("set", json!({"type": "append", "item": 1})), ("count", add(1))]);
    script.somebody("set", json!({"type": "append", "item": 1}));
    script.deliver();
    cases.push(script.converged());
    let mut script =
        Script::starting_with("action/nothing-is-left", &[("set", "set")], &[("set", json!([1]))]);
    script.act(&[
        ("set", json!({"type": "append", "item": 2})),
        ("set", json!({"type": "remove", "item": 1})),
    ]);
    script.somebody("set", json!({"type": "append", "item": 2}));
    script.somebody("set", json!({"type": "remove", "item": 1}));
    script.deliver();
    script.local("set", json!({"type": "append", "item": 3}));
    cases.push(script.converged());
    let mut script =
        Script::online("action/as-careful-as-its-most-careful-change", &[("nodes", "dict")]);
    script.step(
        "local",
        &json!([
            {"topic_name": "nodes", "change": put("a", 1), "overwriting": true},
            {"topic_name": "nodes", "change": put("b", 1)},
        ]),
    );
    cases.push(script.converged());
    let mut script = Script::starting_with(
        "action/overwriting",
        &[("nodes", "dict")],
        &[("nodes", json!({"a": 0, "b": 0}))],
    );
    script.step(
        "local",
        &json!([
            {"topic_name": "nodes", "change": drag("a", 1), "overwriting": true},
            {"topic_name": "nodes", "change": drag("b", 1), "overwriting": true},
        ]),
    );
    script.somebody("nodes", drag("a", 7));
    script.deliver();
    cases.push(script.converged());
    cases
}

/// Its name, the topic's type, its value, what is made here, and what others make meanwhile.
type Jump = (&'static str, &'static str, Json, Vec<Json>, Vec<Json>);

/// A value that jumps ahead: what waits is carried over the difference.
fn snapshots() -> Vec<String> {
    let stories: [Jump; 10] = [
        (
            "text",
            "string",
            json!("the quick fox"),
            vec![insert(13, " jumps"), insert(4, "very ")],
            vec![insert(0, "see "), json!({"type": "delete", "position": 8, "length": 6})],
        ),
        (
            "text-in-the-middle",
            "string",
            json!("abcdef"),
            vec![json!({"type": "delete", "position": 2, "length": 2})],
            vec![json!({"type": "edit", "edit": [1, {"d": 2}, "XYZ"]})],
        ),
        (
            "text-emoji",
            "string",
            json!("😀😁"),
            vec![insert(1, "a"), insert(3, "z")],
            vec![json!({"type": "edit", "edit": [1, "😂", {"d": 1}, "🤣"]})],
        ),
        (
            "list",
            "list",
            json!(["a", "b", "c", "d"]),
            vec![item(4, "e"), json!({"type": "replace", "position": 3, "item": "D"})],
            vec![json!({"type": "pop", "position": 1}), item(0, "0"), item(1, "1")],
        ),
        (
            "list-shorter",
            "list",
            json!([1, 2, 3, 4, 5]),
            vec![
                json!({"type": "move", "from": 4, "to": 0}),
                json!({"type": "pop", "position": 2}),
            ],
            vec![json!({"type": "pop", "position": 1}), json!({"type": "pop", "position": 1})],
        ),
        (
            "list-replaced",
            "list",
            json!([1, 2, 3]),
            vec![json!({"type": "replace", "position": 1, "item": "mine"}), item(3, "last")],
            vec![json!({"type": "replace", "position": 1, "item": "theirs"})],
        ),
        (
            "dict",
            "dict",
            json!({"a": 1, "b": 2, "c": 3}),
            vec![drag("a", 7), remove("b"), put("d", 4)],
            vec![remove("a"), drag("b", 20), put("e", 5)],
        ),
        (
            "set",
            "set",
            json!([1, 2, 3]),
            vec![json!({"type": "remove", "item": 1}), json!({"type": "append", "item": 4})],
            vec![json!({"type": "append", "item": 4}), json!({"type": "remove", "item": 2})],
        ),
        ("int", "int", json!(1), vec![add(10), add(100)], vec![add(5)]),
        (
            "generic",
            "generic",
            json!(1),
            vec![json!({"type": "set", "value": 2})],
            vec![json!({"type": "set", "value": 3})],
        ),
    ];
    let mut cases = Vec::new();
    for (case, kind, start, mine, theirs) in stories {
        for how in ["waiting", "in-flight", "overwriting", "away"] {
            let mut script = Script::starting_with(
                format!("jump/{case}/{how}"),
                &[("it", kind)],
                &[("it", start.clone())],
            );
            if how == "away" {
                script.cut();
            }
            for (index, change) in mine.iter().enumerate() {
                match how {
                    "overwriting" => script.overwrite("it", change.clone()),
                    _ => script.local("it", change.clone()),
                };
                if index == 0 && how == "in-flight" {
                    script.send();
                    script.serve();
                }
            }
            theirs.iter().for_each(|change| script.somebody("it", change.clone()));
            match how {
                "away" => {
                    script.server.forgetful = true;
                    script.reconnect();
                }
                _ => {
                    script.jump("it");
                    script.deliver_some(1);
                }
            }
            cases.push(script.converged());
        }
    }
    cases.extend(far_apart());
    let mut script = Script::online("jump/nothing-is-sent-twice", &[("count", "int")]);
    script.local("count", add(5));
    script.send();
    script.jump("count");
    script.deliver();
    // The answer comes for sure; were it a rejection, a second try might be accepted.
    script.send();
    cases.push(script.converged());
    let mut script = Script::online("jump/hides-what-is-in-flight", &[("count", "int")]);
    script.local("count", add(5));
    script.send();
    script.serve();
    script.jump("count");
    script.deliver_some(1);
    script.send();
    cases.push(script.converged());
    let mut script = Script::starting_with(
        "jump/shows-what-is-the-same-twice",
        &[("nodes", "dict")],
        &[("nodes", json!({"a": 1}))],
    );
    script.overwrite("nodes", drag("a", 2));
    script.send();
    script.local("nodes", put("b", 1));
    script.somebody("nodes", put("c", 3));
    script.jump("nodes");
    script.deliver_some(1);
    cases.push(script.converged());
    let mut script = Script::starting_with(
        "jump/to-the-same-value",
        &[("text", "string")],
        &[("text", json!("same"))],
    );
    script.local("text", insert(4, "!"));
    script.somebody("text", insert(0, "x"));
    script.somebody("text", json!({"type": "delete", "position": 0, "length": 1}));
    script.jump("text");
    script.deliver();
    cases.push(script.converged());
    cases
}

/// What was changed here and there stands where it was put, over a difference of several places (R30).
fn far_apart() -> Vec<String> {
    let mut cases = Vec::new();
    let text = "It was a bright cold day in April, and the clocks were striking thirteen.";
    let mut script =
        Script::starting_with("jump/far-apart/text", &[("it", "string")], &[("it", json!(text))]);
    script.cut();
    script.local("it", insert(16, " and"));
    script.local("it", insert(32, "early "));
    script.local("it", json!({"type": "delete", "position": 44, "length": 4}));
    for (position, letters) in [(0, "Once more: "), (20, "(very) "), (90, "!"), (50, "all ")] {
        script.somebody("it", insert(position, letters));
    }
    script.server.forgetful = true;
    script.reconnect();
    cases.push(script.converged());
    // The middle changes places with the end; the longer row is kept.
    let text = ["<", "alpha-alpha-one", "|", "beta-beta-two", "|", "gamma-gamma-three", ">"];
    let mut script = Script::starting_with(
        "jump/far-apart/text-that-changed-places",
        &[("it", "string")],
        &[("it", json!(text.concat()))],
    );
    script.local("it", insert(8, "A"));
    script.local("it", insert(24, "B"));
    script.local("it", insert(40, "😀"));
    let moved = [text[0], text[3], text[2], text[5], text[2], text[1], text[6]].concat();
    script.somebody("it", json!({"type": "set", "value": moved}));
    script.jump("it");
    script.deliver();
    cases.push(script.converged());
    let letters: Vec<String> = ('a'..='p').map(|letter| letter.to_string()).collect();
    let mut script =
        Script::starting_with("jump/far-apart/list", &[("it", "list")], &[("it", json!(letters))]);
    script.local("it", item(4, "mine"));
    script.local("it", json!({"type": "replace", "position": 9, "item": "I"}));
    script.local("it", json!({"type": "pop", "position": 14}));
    script.somebody("it", item(0, "first"));
    script.somebody("it", json!({"type": "pop", "position": 3}));
    script.somebody("it", json!({"type": "replace", "position": 7, "item": 7}));
    script.somebody("it", item(12, "theirs"));
    script.somebody("it", json!({"type": "move", "from": 1, "to": 15}));
    script.jump("it");
    script.deliver();
    cases.push(script.converged());
    let repeated = json!([1, 2, 1.0, 3, 3, 4, "a", 1, 5, 6]);
    let mut script = Script::starting_with(
        "jump/far-apart/list-with-equals",
        &[("it", "list")],
        &[("it", repeated)],
    );
    script.local("it", item(5, "mine"));
    script.local("it", item(9, "and mine"));
    script.somebody(
        "it",
        json!({"type": "set", "value": [1, 9, 2.0, 1, 3, 4, 4, "a", "b", 5, 1, 6]}),
    );
    script.jump("it");
    script.deliver();
    cases.push(script.converged());
    cases
}

/// Topics with `"delivery": "latest"`.
fn latest() -> Vec<String> {
    let mut cases = Vec::new();
    let begin = |case: &str, kind: &str| {
        let mut script = Script::new(case);
        script.subscribe_with("slider", kind, json!({"delivery": "latest"}));
        script.subscribe("other", "int");
        script.connect();
        script.exchange();
        script
    };
    let set = |number: i64| json!({"type": "set", "value": number});
    let mut script = begin("latest/own-and-others-in-one", "int");
    script.overwrite("slider", set(1));
    script.send();
    script.serve();
    script.overwrite("slider", set(2));
    script.somebody("slider", add(10));
    script.server.tick();
    script.deliver();
    cases.push(script.converged());
    let mut script = begin("latest/others-alone", "dict");
    script.local("slider", put("mine", 1));
    for key in ["a", "b", "c"] {
        script.somebody("slider", put(key, 0));
    }
    script.server.tick();
    script.deliver();
    cases.push(script.converged());
    let mut script = begin("latest/text", "string");
    script.local("slider", insert(0, "mine"));
    script.send();
    script.serve();
    script.local("slider", insert(4, "!"));
    script.somebody("slider", insert(0, "theirs "));
    script.somebody("slider", insert(0, "> "));
    script.server.tick();
    script.deliver();
    cases.push(script.converged());
    let mut script = begin("latest/an-action-comes-in-parts", "int");
    script.act(&[("slider", add(1)), ("other", add(1))]);
    script.send();
    script.serve();
    script.deliver();
    script.local("other", add(10));
    script.send();
    script.somebody("slider", add(5));
    script.server.tick();
    script.deliver();
    cases.push(script.converged());
    let mut script = begin("latest/several-of-one-s-own", "list");
    script.act(&[("slider", item(0, "a")), ("slider", item(1, "b"))]);
    script.send();
    script.serve();
    script.somebody("slider", item(0, "theirs"));
    script.server.tick();
    script.deliver();
    cases.push(script.converged());
    let mut script = begin("latest/lost-before-the-tick", "int");
    script.overwrite("slider", set(1));
    script.send();
    script.serve();
    script.cut();
    script.server.tick();
    script.somebody("slider", add(1));
    script.reconnect();
    cases.push(script.converged());
    cases
}

fn reversals() -> Vec<String> {
    let mut cases = Vec::new();
    let mut script = Script::online("undo/and-redo", &[("text", "string"), ("count", "int")]);
    script.local("text", insert(0, "hello"));
    script.exchange();
    script.act(&[("text", insert(5, " world")), ("count", add(1))]);
    script.exchange();
    for _ in 0..2 {
        script.undo();
        script.exchange();
    }
    script.undo();
    script.redo();
    script.exchange();
    script.redo();
    cases.push(script.converged());
    let mut script = Script::online("undo/waits-for-what-was-made-before", &[("text", "string")]);
    script.local("text", insert(0, "a"));
    script.send();
    script.local("text", insert(1, "b"));
    script.undo();
    script.send();
    script.local("text", insert(0, "after"));
    script.send();
    cases.push(script.converged());
    let mut script = Script::online(
        "undo/with-others-work-in-between",
        &[("text", "string"), ("nodes", "dict")],
    );
    script.act(&[("text", insert(0, "mine")), ("nodes", put("n", 1))]);
    script.exchange();
    script.somebody("text", insert(2, "THEIRS"));
    script.somebody("nodes", drag("n", 2));
    script.deliver();
    script.undo();
    script.exchange();
    script.redo();
    cases.push(script.converged());
    let mut script = Script::online("undo/over-what-is-pending", &[("items", "list")]);
    script.local("items", item(0, "a"));
    script.exchange();
    script.undo();
    script.send();
    script.local("items", item(1, "b"));
    script.local("items", item(0, "c"));
    cases.push(script.converged());
    let mut script = Script::online("undo/asked-while-away", &[("count", "int")]);
    script.local("count", add(1));
    script.exchange();
    script.cut();
    script.undo();
    script.reconnect();
    cases.push(script.converged());
    let mut script = Script::online("undo/lost-with-its-session", &[("count", "int")]);
    script.local("count", add(1));
    script.exchange();
    script.undo();
    script.send();
    script.cut();
    script.forget_session();
    script.reconnect();
    cases.push(script.converged());
    cases
}

/// What is made in one order on several topics goes out, is accepted and is undone in that order (R12 to R16).
fn own_order() -> Vec<String> {
    let mut cases = Vec::new();
    let topics = [("nodes", "dict"), ("edges", "list"), ("text", "string"), ("count", "int")];
    let mut script = Script::online("order/different-topics-are-in-flight-together", &topics);
    script.local("nodes", put("a", 1));
    script.local("text", insert(0, "x"));
    script.local("edges", item(0, "e"));
    script.send();
    script.local("count", add(1));
    script.send();
    cases.push(script.converged());
    // Move a node, move it again, draw an edge, undo.
    let mut script = Script::starting_with(
        "order/undo-takes-back-what-was-made-last",
        &topics,
        &[("nodes", json!({"n": 0}))],
    );
    script.overwrite("nodes", drag("n", 1));
    script.send();
    script.overwrite("nodes", drag("n", 2));
    script.local("edges", item(0, "n"));
    script.undo();
    script.send();
    cases.push(script.converged());
    let mut script = Script::online("order/nothing-overtakes-what-has-to-wait", &topics);
    script.local("nodes", put("a", 1));
    script.send();
    script.local("nodes", put("b", 1));
    script.local("count", add(1));
    script.send();
    script.local("text", insert(0, "x"));
    script.send();
    cases.push(script.converged());
    let mut script = Script::online("order/made-in-turn-goes-out-as-one", &topics);
    script.local("nodes", put("a", 1));
    script.local("edges", item(0, "a"));
    script.local("nodes", put("b", 1));
    script.local("edges", item(1, "b"));
    script.local("count", add(1));
    script.send();
    // Nothing goes out behind a batch that may come back in part.
    script.local("text", insert(0, "x"));
    script.send();
    cases.push(script.converged());
    let mut script = Script::online("order/what-comes-before-goes-out-alone", &topics);
    script.local("count", add(1));
    script.local("nodes", put("a", 1));
    script.local("edges", item(0, "a"));
    script.local("edges", item(0, "b"));
    script.local("text", insert(0, "x"));
    cases.push(script.converged());
    let mut script = Script::online("order/composed-past-another-topic-goes-out-with-it", &topics);
    script.local("count", add(1));
    script.send();
    for (position, letter) in ["a", "b", "c"].into_iter().enumerate() {
        script.local("text", insert(position, letter));
        script.local("count", add(10));
    }
    script.local("edges", item(0, "e"));
    cases.push(script.converged());
    let mut script = Script::online("order/made-offline", &topics);
    script.cut();
    for number in 0..3 {
        script.local("nodes", put(&format!("n{number}"), number));
        script.local("text", insert(number as usize, "x"));
        script.overwrite("nodes", drag(&format!("n{number}"), 10));
    }
    script.somebody("text", insert(0, "theirs"));
    script.reconnect();
    cases.push(script.converged());
    let mut script = Script::online("order/cut-with-several-in-flight", &topics);
    script.local("nodes", put("a", 1));
    script.local("text", insert(0, "x"));
    script.local("edges", item(0, "e"));
    script.send();
    script.serve_one();
    script.local("text", insert(1, "y"));
    script.local("count", add(1));
    script.cut();
    script.reconnect();
    cases.push(script.converged());
    let mut script = Script::online("order/action-with-others-around-it", &topics);
    script.local("text", insert(0, "x"));
    script.act(&[("nodes", put("a", 1)), ("edges", item(0, "a"))]);
    script.local("count", add(1));
    script.local("edges", item(1, "b"));
    script.local("text", insert(1, "y"));
    cases.push(script.converged());
    let mut script = Script::online("order/nothing-is-composed-past-an-action", &topics);
    script.local("text", insert(0, "x"));
    script.send();
    script.local("text", insert(1, "y"));
    script.act(&[("nodes", put("a", 1)), ("edges", item(0, "a"))]);
    script.local("text", insert(2, "z"));
    cases.push(script.converged());
    // On one topic alone, too: a change of a key stays behind the action that was made before it.
    let mut script =
        Script::online("order/nothing-is-composed-past-an-action-on-its-topic", &topics);
    script.local("nodes", put("a", 1));
    script.send();
    script.local("nodes", put("b", 1));
    script.act(&[("nodes", put("c", 1)), ("nodes", put("d", 1))]);
    script.local("nodes", drag("b", 2));
    cases.push(script.converged());
    let mut script = Script::starting_with(
        "order/based-and-overwriting-changes-stay-apart",
        &topics,
        &[("nodes", json!({"n": 0}))],
    );
    script.local("nodes", put("a", 1));
    script.local("text", insert(0, "x"));
    script.overwrite("nodes", drag("n", 1));
    script.local("text", insert(1, "y"));
    cases.push(script.converged());
    // To compose the text would make one batch of what is based and what is overwriting.
    let mut script = Script::starting_with(
        "order/not-composed-past-what-cannot-go-together",
        &topics,
        &[("nodes", json!({"n": 0}))],
    );
    script.cut();
    script.local("text", insert(0, "x"));
    script.local("nodes", put("a", 1));
    script.overwrite("nodes", drag("n", 1));
    script.local("text", insert(1, "y"));
    script.reconnect();
    cases.push(script.converged());
    for others in [false, true] {
        let how = if others { "and-others-are-kept" } else { "alone" };
        let mut script = Script::online(format!("order/rejected-in-a-joined-batch/{how}"), &topics);
        script.cut();
        script.local("nodes", put("a", 1));
        script.local("edges", item(0, "mine"));
        script.local("nodes", put("b", 1));
        script.local("text", insert(0, "mine"));
        script.connect();
        script.send();
        script.serve();
        script.deliver();
        script.send();
        script.serve();
        // Live by now, with the batch not sent; then it is, and loses to somebody else.
        script.somebody("nodes", put("b", 2));
        script.deliver_some(2);
        if others {
            script.somebody("edges", item(0, "theirs"));
            script.local("count", add(1));
            script.local("nodes", put("c", 1));
        }
        cases.push(script.converged());
    }
    let mut script = Script::online("order/a-joined-batch-is-sent-again-in-part", &topics);
    script.local("nodes", put("a", 1));
    script.local("edges", item(0, "mine"));
    script.local("nodes", put("b", 1));
    script.local("count", add(1));
    script.send();
    script.somebody("nodes", put("b", 2));
    script.serve();
    script.local("text", insert(0, "after"));
    script.local("count", add(10));
    script.send();
    cases.push(script.converged());
    let mut script = Script::online("order/all-of-a-joined-batch-is-rejected", &topics);
    script.local("nodes", put("a", 1));
    script.local("edges", item(0, "mine"));
    script.local("nodes", put("b", 1));
    script.send();
    script.receive(json!([{"type": "reject_update", "content": {"topic_name": "nodes",
        "code": "unavailable", "reason": "the disk is full", "action_id": "1_1",
        "change": {"type": "add", "id": "1_3", "base": 0}}}]));
    script.local("text", insert(0, "after"));
    script.send();
    cases.push(script.line());
    let mut script = Script::online("order/a-joined-batch-by-a-snapshot-and-back", &topics);
    script.local("nodes", put("a", 1));
    script.local("edges", item(0, "mine"));
    script.overwrite("count", add(5));
    script.local("nodes", put("b", 1));
    script.send();
    script.somebody("nodes", put("b", 2));
    script.somebody("count", add(1));
    script.jump("count");
    script.jump("edges");
    script.deliver();
    script.serve();
    cases.push(script.converged());
    let mut script = Script::online("order/busy-holds-up-what-is-made-later", &topics);
    script.server.busy = 1;
    script.local("nodes", put("a", 1));
    script.send();
    script.serve();
    script.deliver();
    script.local("text", insert(0, "later"));
    script.send();
    script.step("resend_busy", &json!({}));
    cases.push(script.converged());
    let mut script = Script::online("order/after-an-undo", &topics);
    script.local("text", insert(0, "a"));
    script.send();
    script.local("text", insert(1, "b"));
    script.undo();
    script.local("text", insert(2, "c"));
    script.local("count", add(1));
    script.send();
    cases.push(script.converged());
    let mut script = Script::new("order/a-topic-that-is-not-there-yet");
    script.subscribe("one", "int");
    script.connect();
    script.exchange();
    script.subscribe("two", "int");
    script.local("two", add(1));
    script.local("one", add(2));
    script.send();
    cases.push(script.converged());
    let mut script = Script::new("order/presence-may-overtake");
    script.subscribe("one", "int");
    script.subscribe_with("cursors", "dict", json!({"presence": true}));
    script.connect();
    script.exchange();
    script.local("one", add(1));
    script.send();
    script.local("one", add(2));
    script.presence("cursors", Some(json!(1)));
    script.send();
    cases.push(script.converged());
    let mut script = Script::online("order/without-composing", &topics);
    script.step("composes", &json!({"on": false}));
    for (position, letter) in ["a", "b"].into_iter().enumerate() {
        script.local("text", insert(position, letter));
        script.local("nodes", put(letter, 1));
    }
    script.somebody("text", insert(0, "> "));
    script.send();
    script.cut();
    script.reconnect();
    script.step("composes", &json!({"on": true}));
    script.local("text", insert(0, "x"));
    script.send();
    script.local("text", insert(1, "y"));
    script.local("text", insert(2, "z"));
    cases.push(script.converged());
    let mut script = Script::online("order/session-gone-with-several-in-flight", &topics);
    script.local("nodes", put("a", 1));
    script.local("text", insert(0, "x"));
    script.send();
    script.serve_one();
    script.local("text", insert(1, "y"));
    script.local("nodes", put("b", 1));
    script.cut();
    script.forget_session();
    script.reconnect();
    cases.push(script.converged());
    cases
}

/// So many changes that it matters how they are composed (R46, R47). What it comes to is the same.
fn many() -> Vec<String> {
    let mut cases = Vec::new();
    let mut script = Script::online("many/typed-here-and-there-offline", &[("text", "string")]);
    script.cut();
    for number in 0..150_usize {
        let position = (number * 7919) % (number + 1);
        let letter = char::from(b'a' + (number % 26) as u8).to_string();
        script.local("text", insert(position, &letter));
        if number % 9 == 8 {
            script.local("text", json!({"type": "delete", "position": position / 2, "length": 2}));
        }
    }
    script.somebody("text", insert(0, "theirs"));
    script.reconnect();
    cases.push(script.converged());
    for missed in [15_usize, 16, 40] {
        let mut script = Script::starting_with(
            format!("many/{missed}-missed-over-what-waits"),
            &[("text", "string"), ("count", "int")],
            &[("text", json!("abcdefgh"))],
        );
        script.cut();
        script.local("text", insert(4, "mine"));
        script.local("text", insert(0, "MINE"));
        script.local("count", add(1));
        for number in 0..missed {
            script.somebody("text", insert((number * 5) % (8 + number), "x"));
            if number % 2 == 0 {
                script.somebody("count", add(1));
            }
        }
        script.reconnect();
        cases.push(script.converged());
    }
    let mut script = Script::starting_with(
        "many/over-what-is-in-flight",
        &[("text", "string")],
        &[("text", json!("ab"))],
    );
    script.local("text", insert(1, "in flight"));
    script.send();
    script.local("text", insert(0, "waiting"));
    for number in 0..20 {
        script.somebody("text", insert(number, "x"));
    }
    script.serve();
    for number in 0..20 {
        script.somebody("text", insert(number, "y"));
    }
    script.deliver();
    cases.push(script.converged());
    let mut script = Script::starting_with(
        "many/that-conflict",
        &[("text", "string")],
        &[("text", json!("ab"))],
    );
    script.local("text", insert(1, "lost"));
    for number in 0..10 {
        script.somebody("text", insert(number, "x"));
    }
    script.somebody("text", json!({"type": "set", "value": "set"}));
    for number in 0..10 {
        script.somebody("text", insert(number % 3, "y"));
    }
    script.deliver();
    cases.push(script.converged());
    cases
}

/// Requests that are under way when the line is lost (R39).
fn requests() -> Vec<String> {
    let mut cases = Vec::new();
    let mut script = Script::online("request/lost-with-the-line", &[("count", "int")]);
    script.local("count", add(1));
    script.exchange();
    script.undo();
    script.request("echo", json!(1));
    script.send();
    script.request("echo", json!(2));
    script.cut();
    script.reconnect();
    cases.push(script.line());
    let mut script = Script::online("request/reading-is-asked-again", &[]);
    let at = json!({"topic_name": "nodes", "version": 3});
    script.request("_topicsync/value_at", at);
    script.request("_topicsync/stats", json!(null));
    script.send();
    script.cut();
    script.reconnect();
    cases.push(script.line());
    let mut script = Script::online("request/reading-in-a-new-session", &[]);
    script.request("_topicsync/history", json!({"topic_name": "nodes"}));
    script.send();
    script.cut();
    script.forget_session();
    script.request("_topicsync/cut", json!({"commit": 3}));
    script.reconnect();
    cases.push(script.line());
    cases
}

/// A client that is told to close (R38).
fn endings() -> Vec<String> {
    let mut cases = Vec::new();
    let mut script =
        Script::online("close/what-has-no-outcome", &[("count", "int"), ("it", "int")]);
    script.local("count", add(1));
    script.exchange();
    script.local("count", add(2));
    script.request("echo", json!(1));
    script.send();
    script.local("count", add(3));
    script.act(&[("count", add(1)), ("it", add(1))]);
    script.undo();
    script.step("close", &json!({}));
    script.local("count", add(9));
    script.send();
    script.step("end", &json!({}));
    cases.push(script.line());
    let mut script = Script::online("close/waits-for-answers", &[("count", "int")]);
    script.local("count", add(1));
    script.send();
    script.local("count", add(2));
    script.step("close", &json!({}));
    script.exchange();
    script.step("end", &json!({}));
    cases.push(script.converged());
    cases
}

fn presence() -> Vec<String> {
    let mut cases = Vec::new();
    let begin = |case: &str| {
        let mut script = Script::new(case);
        script.subscribe_with("cursors", "dict", json!({"presence": true}));
        script.connect();
        script.exchange();
        script
    };
    let mut script = begin("presence/set-changed-and-left");
    script.presence("cursors", Some(json!({"x": 1})));
    script.exchange();
    script.presence("cursors", Some(json!({"x": 2})));
    script.presence("cursors", Some(json!({"x": 3})));
    script.exchange();
    script.presence("cursors", Some(json!({"x": 3.0})));
    script.exchange();
    script.presence("cursors", None);
    script.presence("cursors", None);
    cases.push(script.converged());
    let mut script = Script::new("presence/before-the-first-hello");
    script.subscribe_with("cursors", "dict", json!({"presence": true}));
    script.presence("cursors", Some(json!("here")));
    script.connect();
    cases.push(script.converged());
    let mut script = begin("presence/follows-from-session-to-session");
    script.presence("cursors", Some(json!(7)));
    script.exchange();
    script.cut();
    script.forget_session();
    script.presence("cursors", Some(json!(8)));
    script.reconnect();
    cases.push(script.converged());
    let mut script = begin("presence/after-a-new-life");
    script.presence("cursors", Some(json!(7)));
    script.exchange();
    script.cut();
    script.server.new_life("cursors");
    script.reconnect();
    cases.push(script.converged());
    let mut script = begin("presence/refused-is-not-tried-again");
    script.server.refuse(1);
    script.presence("cursors", Some(json!(7)));
    script.exchange();
    script.presence("cursors", Some(json!(8)));
    cases.push(script.converged());
    let mut script = begin("presence/beside-local-changes");
    script.subscribe("count", "int");
    script.presence("cursors", Some(json!(1)));
    script.local("count", add(1));
    script.presence("cursors", Some(json!(2)));
    script.local("count", add(2));
    cases.push(script.converged());
    cases
}

fn services() -> Vec<String> {
    let mut cases = Vec::new();
    let mut script = Script::online("service/asked", &[]);
    script.request("echo", json!({"deep": [1, 2.5, "😀"]}));
    script.request("echo", json!(null));
    cases.push(script.converged());
    let mut script = Script::online("service/failed", &[]);
    script.request("nobody", json!(1));
    script.send();
    script.receive(json!([
        {"type": "response", "content": {"request_id": "1_1",
            "error": {"code": "no_such_service", "reason": "nobody provides it"}}},
        {"type": "response", "content": {"request_id": "1_1", "response": "twice"}},
    ]));
    cases.push(script.line());
    let mut script = Script::online("service/lost-with-its-session", &[]);
    script.request("echo", json!(1));
    script.send();
    script.request("echo", json!(2));
    script.cut();
    script.forget_session();
    script.reconnect();
    cases.push(script.line());
    let mut script = Script::online("service/ids-share-one-counter", &[("count", "int")]);
    script.request("echo", json!(1));
    script.local("count", add(1));
    script.act(&[("count", add(2)), ("count", add(3))]);
    script.send();
    script.request("echo", json!(2));
    cases.push(script.converged());
    let mut script = Script::online("service/asked-of-this-client", &[]);
    script.receive(
        json!([{"type": "request", "content": {"service_name": "solve", "args": {"graph": "g"},
        "request_id": "s81", "client_id": 4}}]),
    );
    cases.push(script.line());
    cases
}

/// What no server of ours sends. The replica stays sound, and asks again where it has to.
fn nonsense() -> Vec<String> {
    let mut cases = Vec::new();
    let update = |version: u64, change: Json| json!({"type": "update", "content": {"topic_name": "it", "version": version, "commit": 9, "change": change}});
    let stories: [(&str, Json); 9] = [
        ("a-gap", json!([update(3, add(1))])),
        ("an-unknown-change", json!([update(1, json!({"type": "dance"}))])),
        ("a-change-that-does-not-fit", json!([update(1, json!({"type": "add", "value": "x"}))])),
        (
            "an-unknown-message",
            json!([{"type": "dance", "content": {}}, {"type": "update", "content": {}}]),
        ),
        (
            "an-unknown-topic",
            json!([{"type": "update", "content": {"topic_name": "nowhere", "version": 1,
            "commit": 1, "change": add(1)}}]),
        ),
        (
            "a-snapshot-of-another-type",
            json!([{"type": "update", "content": {"topic_name": "it", "version": 2,
            "commit": 1, "snapshot": true, "change": {"type": "set", "value": "no number"}}}]),
        ),
        (
            "an-old-snapshot",
            json!([update(1, add(1)), {"type": "update", "content": {"topic_name": "it", "version": 1,
            "commit": 1, "snapshot": true, "change": {"type": "set", "value": 9}}}]),
        ),
        (
            "an-unasked-unsubscribed",
            json!([{"type": "unsubscribed", "content": {"topic_name": "it"}}]),
        ),
        ("nothing-to-do", json!([update(1, json!({"type": "none"})), update(2, add(1))])),
    ];
    for (case, messages) in stories {
        let mut script = Script::online(format!("nonsense/{case}"), &[("it", "int")]);
        script.local("it", add(5));
        script.receive(messages);
        script.send();
        cases.push(script.line());
    }
    let mut script = Script::online("nonsense/unknown-fields-are-passed-over", &[("it", "int")]);
    script.receive(json!([{"type": "update", "and": 1, "content": {"topic_name": "it", "version": 1, "commit": 1,
        "mood": "fine", "change": {"type": "add", "value": 2, "why": ["who", "knows"]}}}]));
    cases.push(script.line());
    cases
}
