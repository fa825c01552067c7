//! Texts, numbers, and changes that do not fit.

use serde_json::{Value as Json, json};

use super::script::Script;

/// The largest whole number that every client can hold.
const MAX: i64 = (1 << 53) - 1;

pub fn cases() -> Vec<String> {
    [texts(), ends(), numbers(), equalities(), misfits()].concat()
}

fn insert(position: i64, insertion: &str) -> Json {
    json!({"type": "insert", "position": position, "insertion": insertion})
}

fn delete(position: i64, length: i64) -> Json {
    json!({"type": "delete", "position": position, "length": length})
}

/// Positions count code points: not bytes, not UTF-16 units, not what shows as one letter.
fn texts() -> Vec<String> {
    const TEXTS: [(&str, &str); 7] = [
        ("emoji", "a😀b"),
        ("family", "👩\u{200d}👩\u{200d}👧x"),
        ("combining", "e\u{301}o\u{308}n"),
        ("flags", "🇩🇪🇫🇷"),
        ("last-code-point", "\u{10ffff}\u{ffff}\u{d7ff}"),
        ("line-ends", "\r\n\n\0\t"),
        ("right-to-left", "שלום\u{200f}!"),
    ];
    let mut cases = Vec::new();
    for (case, start) in TEXTS {
        let len = start.chars().count() as i64;
        for (change, incoming) in [
            ("insert-1", insert(1, "😀")),
            ("insert-end", insert(len, "\u{301}")),
            ("delete-1", delete(1, 1)),
            ("delete-last", delete(len - 1, 1)),
        ] {
            let mut script = Script::starting_with(
                format!("text/{case}/{change}"),
                &[("text", "string")],
                &[("text", json!(start))],
            );
            script.local("text", incoming);
            script.send();
            script.local("text", insert(2, "𝄞"));
            script.somebody("text", insert(1, "é👍"));
            script.deliver();
            cases.push(script.converged());
        }
    }
    let mut script = Script::online("text/edit-in-code-points", &[("text", "string")]);
    script.local("text", json!({"type": "set", "value": "😀😁😂🤣"}));
    script.exchange();
    script.local("text", json!({"type": "edit", "edit": [1, "é", {"d": 1}, 1, {"d": "🤣"}, "!"]}));
    cases.push(script.converged());
    let mut script = Script::online("text/typed-letter-by-letter", &[("text", "string")]);
    for (position, letter) in "h😀y e\u{301}!".chars().enumerate() {
        script.local("text", insert(position as i64, &letter.to_string()));
    }
    script.local("text", delete(1, 2));
    cases.push(script.converged());
    let mut script = Script::online("text/typed-over-several-batches", &[("text", "string")]);
    for (position, letter) in "several".chars().enumerate() {
        script.local("text", insert(position as i64, &letter.to_string()));
        if position % 3 == 0 {
            script.send();
        }
    }
    cases.push(script.converged());
    let mut script = Script::online("text/nothing-inserted", &[("text", "string")]);
    script.local("text", insert(0, ""));
    script.exchange();
    script.local("text", json!({"type": "edit", "edit": []}));
    cases.push(script.converged());
    let long: String = "a long text 😀 ".repeat(40);
    let mut script =
        Script::starting_with("text/long", &[("text", "string")], &[("text", json!(long))]);
    script.local("text", insert(300, "in the middle"));
    script.local("text", delete(0, 12));
    script.send();
    script.somebody("text", delete(280, 40));
    cases.push(script.converged());
    cases
}

/// `-1` means the end, and goes without a base.
fn ends() -> Vec<String> {
    let changes: [(&str, &str, Json, Json, Json); 7] = [
        (
            "list-insert",
            "list",
            json!([1, 2]),
            json!({"type": "insert", "position": -1, "item": 3}),
            json!({"type": "insert", "position": -1, "item": "theirs"}),
        ),
        (
            "list-pop",
            "list",
            json!([1, 2]),
            json!({"type": "pop", "position": -1}),
            json!({"type": "insert", "position": -1, "item": "theirs"}),
        ),
        (
            "list-pop-twice",
            "list",
            json!([1]),
            json!({"type": "pop", "position": -1}),
            json!({"type": "pop", "position": -1}),
        ),
        (
            "list-replace",
            "list",
            json!([1, 2]),
            json!({"type": "replace", "position": -1, "item": 3}),
            json!({"type": "insert", "position": 0, "item": "theirs"}),
        ),
        (
            "list-move",
            "list",
            json!([1, 2, 3]),
            json!({"type": "move", "from": 0, "to": -1}),
            json!({"type": "insert", "position": -1, "item": "theirs"}),
        ),
        (
            "list-move-the-last",
            "list",
            json!([1, 2, 3]),
            json!({"type": "move", "from": -1, "to": 0}),
            json!({"type": "pop", "position": -1}),
        ),
        ("string-insert", "string", json!("ab"), insert(-1, "!"), insert(-1, "?")),
    ];
    let mut cases = Vec::new();
    for (case, kind, start, mine, theirs) in changes {
        for in_flight in [false, true] {
            let how = if in_flight { "in-flight" } else { "waiting" };
            let mut script = Script::starting_with(
                format!("end/{case}/{how}"),
                &[("topic", kind)],
                &[("topic", start.clone())],
            );
            script.local("topic", mine.clone());
            if in_flight {
                script.send();
            }
            script.somebody("topic", theirs.clone());
            script.deliver();
            script.local("topic", mine.clone());
            cases.push(script.converged());
        }
    }
    let mut script = Script::online("end/with-a-base-in-an-action", &[("items", "list")]);
    let at_the_end = json!({"type": "insert", "position": -1, "item": 2});
    let first = json!({"type": "insert", "position": 0, "item": 1});
    script.act(&[("items", at_the_end.clone()), ("items", first.clone())]);
    cases.push(script.converged());
    let mut script = Script::online("end/no-batch-with-and-without-a-base", &[("items", "list")]);
    script.local("items", first);
    script.local("items", at_the_end);
    cases.push(script.converged());
    cases
}

fn numbers() -> Vec<String> {
    let add = |number: Json| json!({"type": "add", "value": number});
    let set = |number: Json| json!({"type": "set", "value": number});
    let mut cases = Vec::new();
    let mut case = |name: &str, kind: &str, start: Json, changes: Vec<Json>, theirs: Json| {
        let mut script = Script::starting_with(
            format!("number/{name}"),
            &[("number", kind)],
            &[("number", start)],
        );
        for change in changes {
            script.local("number", change);
        }
        script.send();
        script.somebody("number", theirs);
        script.deliver();
        cases.push(script.converged());
    };
    case("int-largest", "int", json!(MAX - 1), vec![add(json!(1))], add(json!(-1)));
    case("int-beyond-the-largest", "int", json!(MAX), vec![add(json!(1))], add(json!(-1)));
    case("int-smallest", "int", json!(-MAX), vec![add(json!(MAX))], add(json!(MAX)));
    case("int-out-of-range-when-rebased", "int", json!(0), vec![add(json!(MAX))], add(json!(2)));
    case("int-set-to-2^53", "int", json!(0), vec![set(json!(MAX + 1))], add(json!(2)));
    case("int-whole-float", "int", json!(0), vec![set(json!(3.0)), add(json!(2.0))], add(json!(1)));
    case("int-fraction", "int", json!(0), vec![set(json!(3.5)), add(json!(0.5))], add(json!(1)));
    case("int-minus-zero", "int", json!(1), vec![set(json!(-0.0))], add(json!(1)));
    case("int-nothing-added", "int", json!(1), vec![add(json!(0))], add(json!(1)));
    case(
        "int-through-the-edge",
        "int",
        json!(0),
        vec![add(json!(-MAX)), add(json!(MAX)), add(json!(7))],
        add(json!(-5)),
    );
    case("float-whole", "float", json!(0), vec![add(json!(1)), add(json!(1.0))], add(json!(2)));
    case("float-0.1", "float", json!(0.1), vec![add(json!(0.2))], add(json!(0.5)));
    case("float-tiny", "float", json!(5e-324), vec![add(json!(-2.3e-308))], add(json!(0.0)));
    case("float-largest", "float", json!(f64::MAX), vec![add(json!(f64::MAX))], add(json!(-1e308)));
    case("float-minus-zero", "float", json!(-0.0), vec![set(json!(-0.0))], set(json!(0.0)));
    case("float-2^53", "float", json!(9_007_199_254_740_992.0), vec![add(json!(1))], add(json!(2)));
    case("float-1e21", "float", json!(1e21), vec![set(json!(1e21)), add(json!(1))], add(json!(1)));
    let of = |number: i64| ("number", add(json!(number)));
    let mut script = Script::online("number/an-action-that-leaves-the-range", &[("number", "int")]);
    script.act(&[of(-MAX), of(MAX), of(7)]);
    script.send();
    script.somebody("number", add(json!(-5)));
    script.deliver();
    cases.push(script.converged());
    let mut script = Script::online("number/added-below-the-largest", &[("number", "int")]);
    script.overwrite("number", set(json!(MAX)));
    script.somebody("number", add(json!(2)));
    script.deliver();
    cases.push(script.converged());
    // On the way from one view to the other, a number would leave its range.
    let mut script = Script::online("number/between-two-views", &[("number", "int")]);
    script.local("number", add(json!(2)));
    script.send();
    script.serve();
    let [a, b] = [3_862_406_969_767_429, 5_144_792_284_973_564];
    script.act(&[of(-a), of(MAX), of(-b)]);
    script.overwrite("number", add(json!(-MAX)));
    script.act(&[of(0), of(MAX), of(0)]);
    script.receive(json!([{"type": "update", "content": {"topic_name": "number", "version": 2,
        "commit": 2, "since": 0, "ids": ["1_1"],
        "change": {"type": "add", "value": a + 2 + 1_285_000_000}}}]));
    cases.push(script.line());
    cases
}

/// Numbers are equal by value, whatever holds them; dicts, whatever the order of their keys.
fn equalities() -> Vec<String> {
    let mut cases = Vec::new();
    let items: [(&str, Json, Json); 6] = [
        ("1-and-1.0", json!(1), json!(1.0)),
        ("0-and-minus-0", json!(0), json!(-0.0)),
        ("1-and-true", json!(1), json!(true)),
        ("keys-in-any-order", json!({"a": 1, "b": [2.0]}), json!({"b": [2], "a": 1.0})),
        ("composed-and-combining", json!("é"), json!("e\u{301}")),
        ("null-and-nothing", json!(null), json!([])),
    ];
    for (case, mine, theirs) in items {
        let case = format!("equal/{case}");
        let mut script = Script::starting_with(
            case,
            &[("items", "set"), ("nodes", "dict")],
            &[("nodes", json!({"k": mine}))],
        );
        script.local("items", json!({"type": "append", "item": mine}));
        script.local("items", json!({"type": "append", "item": theirs}));
        script.send();
        script.somebody("items", json!({"type": "append", "item": theirs}));
        script.somebody("nodes", json!({"type": "change_value", "key": "k", "value": theirs}));
        script.deliver();
        script.local("items", json!({"type": "remove", "item": mine}));
        cases.push(script.converged());
    }
    let mut script = Script::online("equal/a-set-is-sorted", &[("items", "set")]);
    let mixed = json!([{"b": 1}, "b", [2], true, 2.5, null, "a", -1, {"a": 2}, [1, 2], false, "😀", "\u{ffff}"]);
    script.local("items", json!({"type": "set", "value": mixed}));
    script.local("items", json!({"type": "append", "item": 2}));
    cases.push(script.converged());
    let mut script = Script::online("equal/keys-of-all-kinds", &[("nodes", "dict")]);
    for key in ["", "type", "__proto__", "constructor", "1", "é😀", "-1", "a b"] {
        script.local("nodes", json!({"type": "add", "key": key, "value": key}));
    }
    script.exchange();
    script.local("nodes", json!({"type": "change_value", "key": "__proto__", "value": 2}));
    script.local("nodes", json!({"type": "remove", "key": "constructor"}));
    cases.push(script.converged());
    cases
}

/// Local changes that do not fit what is there are refused, and nothing happens.
fn misfits() -> Vec<String> {
    let nested = |levels: usize| (0..levels).fold(json!(1), |inner, _| json!([inner]));
    let of = |topic: &'static str, changes: Vec<Json>| (topic, changes);
    let tables = [
        of(
            "generic",
            vec![
                json!({"type": "set"}),
                json!({"type": "add", "value": 1}),
                json!({"type": "set", "value": MAX + 1}),
                json!({"type": "set", "value": nested(101)}),
                json!({"type": "none"}),
                json!({}),
            ],
        ),
        of("bool", vec![json!({"type": "set", "value": 1}), json!({"type": "set", "value": null})]),
        of(
            "int",
            vec![
                json!({"type": "set", "value": true}),
                json!({"type": "set", "value": "1"}),
                json!({"type": "add", "value": 1.5}),
                json!({"type": "add"}),
                json!({"type": "set", "value": -MAX - 1}),
            ],
        ),
        of(
            "float",
            vec![json!({"type": "set", "value": false}), json!({"type": "add", "value": null})],
        ),
        of(
            "string",
            vec![
                json!({"type": "set", "value": 1}),
                insert(4, "x"),
                insert(-2, "x"),
                json!({"type": "insert", "position": 0.5, "insertion": "x"}),
                json!({"type": "insert", "position": 0}),
                delete(0, 4),
                delete(-1, 1),
                json!({"type": "delete", "position": 0}),
                json!({"type": "delete", "position": 0, "deletion": "x"}),
                json!({"type": "edit", "edit": [4, "x"]}),
                json!({"type": "edit", "edit": [1, {"d": 3}]}),
                json!({"type": "edit", "edit": [{"d": "x"}]}),
                json!({"type": "edit", "edit": [-1, "x"]}),
                json!({"type": "edit", "edit": [true]}),
                json!({"type": "edit", "edit": "x"}),
            ],
        ),
        of(
            "list",
            vec![
                json!({"type": "set", "value": {}}),
                json!({"type": "insert", "position": 4, "item": 1}),
                json!({"type": "insert", "position": -2, "item": 1}),
                json!({"type": "insert", "position": 0}),
                json!({"type": "pop", "position": 3}),
                json!({"type": "pop"}),
                json!({"type": "replace", "position": 3, "item": 1}),
                json!({"type": "move", "from": 3, "to": 0}),
                json!({"type": "move", "from": 0, "to": 3}),
                json!({"type": "move", "from": "0", "to": 0}),
                json!({"type": "insert", "position": 0, "item": nested(100)}),
            ],
        ),
        of(
            "set",
            vec![
                json!({"type": "append", "item": 1.0}),
                json!({"type": "remove", "item": 3}),
                json!({"type": "set", "value": [1, 1.0]}),
                json!({"type": "set", "value": "ab"}),
                json!({"type": "append"}),
            ],
        ),
        of(
            "dict",
            vec![
                json!({"type": "add", "key": "a", "value": 1}),
                json!({"type": "remove", "key": "c"}),
                json!({"type": "change_value", "key": "c", "value": 1}),
                json!({"type": "add", "key": 1, "value": 1}),
                json!({"type": "add", "key": "c"}),
                json!({"type": "set", "value": [1]}),
                json!({"type": "add", "key": "c", "value": {"deep": nested(99)}}),
            ],
        ),
        of("event", vec![json!({"type": "set", "value": 1}), json!({"type": "emit", "args": []})]),
    ];
    let starts = [
        ("string", json!("abc")),
        ("list", json!([1, 2, 3])),
        ("set", json!([1, 2])),
        ("dict", json!({"a": 1, "b": 2})),
    ];
    let mut cases = Vec::new();
    for (kind, changes) in tables {
        let start = starts.iter().find(|(of, _)| *of == kind);
        let values: Vec<(&str, Json)> =
            start.map(|(_, value)| ("topic", value.clone())).into_iter().collect();
        let case = format!("misfit/{kind}");
        let mut script = Script::starting_with(case, &[("topic", kind)], &values);
        for change in changes {
            assert!(!script.local("topic", change.clone()), "{change} fits a {kind} topic");
        }
        cases.push(script.converged());
    }
    let mut script = Script::online("misfit/in-an-action", &[("nodes", "dict"), ("count", "int")]);
    let add = json!({"type": "add", "key": "a", "value": 1});
    let count = json!({"type": "add", "value": 1});
    assert!(!script.act(&[("count", count.clone()), ("nodes", add.clone()), ("nodes", add)]));
    assert!(!script.act(&[("count", count.clone()), ("nowhere", count.clone())]));
    assert!(!script.act(&[]));
    assert!(script.local("count", count));
    cases.push(script.converged());
    let mut script =
        Script::online("misfit/deepest-that-fits", &[("any", "generic"), ("items", "list")]);
    assert!(script.local("any", json!({"type": "set", "value": nested(100)})));
    assert!(script.local("items", json!({"type": "insert", "position": 0, "item": nested(99)})));
    cases.push(script.converged());
    cases
}
