//! Every pair of changes of every type: one pending, the other accepted first, in both orders. What is
//! pending is in flight, and a second change waits that stands on it; or it waits itself, where that
//! ends in another way; or it goes without a base.

use serde_json::{Value as Json, json};

use super::script::Script;

/// A type, a value, and changes that each fit it, by name.
struct Table {
    kind: &'static str,
    start: Json,
    changes: Vec<(&'static str, Json)>,
    /// One more, which fits whatever the value is.
    then: Json,
}

fn tables() -> Vec<Table> {
    vec![
        Table {
            kind: "generic",
            start: json!({"a": 1}),
            changes: vec![("set", json!({"type": "set", "value": [1, 2]}))],
            then: json!({"type": "set", "value": "then"}),
        },
        Table {
            kind: "bool",
            start: json!(true),
            changes: vec![("set", json!({"type": "set", "value": false}))],
            then: json!({"type": "set", "value": true}),
        },
        Table {
            kind: "int",
            start: json!(10),
            changes: vec![
                ("set", json!({"type": "set", "value": 7})),
                ("add", json!({"type": "add", "value": 5})),
                ("add-less", json!({"type": "add", "value": -3})),
            ],
            then: json!({"type": "add", "value": 100}),
        },
        Table {
            kind: "float",
            start: json!(10.5),
            changes: vec![
                ("set", json!({"type": "set", "value": 7})),
                ("add", json!({"type": "add", "value": 0.25})),
                ("add-whole", json!({"type": "add", "value": -3.0})),
            ],
            then: json!({"type": "add", "value": 100.5}),
        },
        Table {
            kind: "string",
            start: json!("abcdef"),
            changes: vec![
                ("set", json!({"type": "set", "value": "xyz"})),
                ("insert-first", json!({"type": "insert", "position": 0, "insertion": "P"})),
                ("insert-2", json!({"type": "insert", "position": 2, "insertion": "QQ"})),
                ("insert-end", json!({"type": "insert", "position": 6, "insertion": "R"})),
                ("delete-bc", json!({"type": "delete", "position": 1, "deletion": "bc"})),
                ("delete-cd", json!({"type": "delete", "position": 2, "length": 2})),
                ("delete-all", json!({"type": "delete", "position": 0, "length": 6})),
                ("edit", json!({"type": "edit", "edit": [1, "S", {"d": 2}, 1, {"d": "e"}, "T"]})),
            ],
            then: json!({"type": "insert", "position": 0, "insertion": "then"}),
        },
        Table {
            kind: "list",
            start: json!(["a", "b", "c", "d"]),
            changes: vec![
                ("set", json!({"type": "set", "value": ["x"]})),
                ("insert-0", json!({"type": "insert", "position": 0, "item": "P"})),
                ("insert-1", json!({"type": "insert", "position": 1, "item": "Q"})),
                ("insert-4", json!({"type": "insert", "position": 4, "item": "R"})),
                ("pop-0", json!({"type": "pop", "position": 0})),
                ("pop-1", json!({"type": "pop", "position": 1})),
                ("pop-3", json!({"type": "pop", "position": 3})),
                ("replace-1", json!({"type": "replace", "position": 1, "item": "S"})),
                ("replace-2", json!({"type": "replace", "position": 2, "item": "T"})),
                ("move-0-2", json!({"type": "move", "from": 0, "to": 2})),
                ("move-1-3", json!({"type": "move", "from": 1, "to": 3})),
                ("move-3-1", json!({"type": "move", "from": 3, "to": 1})),
            ],
            then: json!({"type": "insert", "position": 0, "item": "then"}),
        },
        Table {
            kind: "set",
            start: json!([1, 2]),
            changes: vec![
                ("set", json!({"type": "set", "value": [2, 3]})),
                ("append-3", json!({"type": "append", "item": 3})),
                ("append-4", json!({"type": "append", "item": 4})),
                ("remove-1", json!({"type": "remove", "item": 1})),
                ("remove-2", json!({"type": "remove", "item": 2.0})),
            ],
            then: json!({"type": "append", "item": "then"}),
        },
        Table {
            kind: "dict",
            start: json!({"a": 1, "b": 2}),
            changes: vec![
                ("set", json!({"type": "set", "value": {"a": 1, "c": 3}})),
                ("add-c", json!({"type": "add", "key": "c", "value": 3})),
                ("add-d", json!({"type": "add", "key": "d", "value": 4})),
                ("remove-a", json!({"type": "remove", "key": "a"})),
                ("pop-b", json!({"type": "pop", "key": "b"})),
                ("change-a", json!({"type": "change_value", "key": "a", "value": [7]})),
                ("change-b", json!({"type": "change_value", "key": "b", "value": null})),
            ],
            then: json!({"type": "add", "key": "then", "value": true}),
        },
        Table {
            kind: "event",
            start: Json::Null,
            changes: vec![("emit", json!({"type": "emit", "args": {"n": 1}}))],
            then: json!({"type": "emit", "args": {}}),
        },
    ]
}

/// Those that are sent without a base as well.
const WITHOUT_A_BASE: [&str; 8] =
    ["set", "add", "insert-2", "delete-bc", "pop-1", "replace-1", "append-3", "change-a"];

pub fn cases() -> Vec<String> {
    let mut cases = Vec::new();
    for table in tables() {
        for pending in &table.changes {
            for accepted in &table.changes {
                // What can be carried is carried as when it is in flight.
                let waits = waiting(&table, pending, accepted);
                cases.extend(waits.contains("\"rejected\"").then_some(waits));
                cases.push(in_flight(&table, pending, accepted));
                if WITHOUT_A_BASE.contains(&pending.0) {
                    cases.push(overwriting(&table, pending, accepted));
                }
            }
        }
    }
    cases
}

type Change = (&'static str, Json);

fn begin(story: &str, table: &Table, pending: &Change, accepted: &Change) -> Script {
    let case = format!("{}/{}-over-{}/{story}", table.kind, pending.0, accepted.0);
    let start = [("t", table.start.clone())];
    let values = if table.kind == "event" { &[][..] } else { &start };
    Script::starting_with(case, &[("t", table.kind)], values)
}

/// The pending change is not sent when the other arrives.
fn waiting(table: &Table, pending: &Change, accepted: &Change) -> String {
    let mut script = begin("waiting", table, pending, accepted);
    script.local("t", pending.1.clone());
    script.somebody("t", accepted.1.clone());
    script.deliver();
    script.converged()
}

/// The pending change is under way when the other arrives, and a second one waits behind it.
fn in_flight(table: &Table, pending: &Change, accepted: &Change) -> String {
    let mut script = begin("in-flight", table, pending, accepted);
    script.local("t", pending.1.clone());
    script.send();
    script.local("t", table.then.clone());
    script.somebody("t", accepted.1.clone());
    script.deliver();
    script.converged()
}

/// The pending change goes without a base.
fn overwriting(table: &Table, pending: &Change, accepted: &Change) -> String {
    let mut script = begin("overwriting", table, pending, accepted);
    script.overwrite("t", pending.1.clone());
    script.somebody("t", accepted.1.clone());
    script.deliver();
    script.converged()
}
