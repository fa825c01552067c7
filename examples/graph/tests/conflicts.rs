//! The table of `rebase.rs`, line by line; and what a change is told that does not fit.

use topicsync::types::TopicType;

use super::notation::{change, graph};
use crate::change::GraphChange;
use crate::graph::{Acyclic, Graph};
use topicsync::testkit::checks;

/// Rebases `incoming` over `accepted`, both made on `graph()`. `result` is the conflict, or what the two
/// become, with a ` / ` in between: `same`, `nothing`, or a change.
#[track_caller]
fn check(incoming: &str, accepted: &str, result: &str) {
    let (incoming, accepted) = (change(incoming), change(accepted));
    let rebased = match Acyclic::rebase(&incoming, &accepted) {
        Err(conflict) => return assert_eq!(conflict.to_string(), result),
        Ok(rebased) => rebased,
    };
    let expected = |word: &str, was: &GraphChange| match word {
        "same" => Some(was.clone()),
        "nothing" => None,
        line => Some(change(line)),
    };
    let (left, right) = result.split_once(" / ").expect("a conflict was expected");
    assert_eq!(rebased.incoming, expected(left, &incoming), "incoming");
    assert_eq!(rebased.accepted, expected(right, &accepted), "accepted");
    assert_eq!(checks::square_closes::<Acyclic>(&graph(), &incoming, &accepted), Ok(true));
}

/// Applies the changes in turn; the last does not fit, for `reason`.
#[track_caller]
fn check_invalid(lines: &[&str], reason: &str) {
    let (last, first) = lines.split_last().unwrap();
    let mut graph = graph();
    first.iter().for_each(|line| Acyclic::apply(&mut graph, &change(line)).unwrap());
    let before = graph.clone();
    let error = Acyclic::apply(&mut graph, &change(last)).unwrap_err();
    assert_eq!(error.to_string(), reason);
    assert_eq!(graph, before);
}

#[test]
fn two_writes_of_one_register_conflict() {
    check("move_node n1 1 1", "move_node n1 2 2", r#"node "n1" was moved"#);
    check("set_data n1 label a", "set_data n1 label b", r#""label" of node "n1" was changed"#);
    check(
        "add_edge e2 n3.out n2.b",
        "add_edge e3 n1.out n2.b",
        r#"input "b" of node "n2" was connected"#,
    );
    check("disconnect n2.a", "add_edge e2 n3.out n2.a", r#"input "a" of node "n2" was connected"#);
}

#[test]
fn writes_of_different_registers_do_not_touch_each_other() {
    check("move_node n1 1 1", "move_node n2 2 2", "same / same");
    check("move_node n1 1 1", "set_data n1 label b", "same / same");
    check("set_data n1 label a", "set_data n1 value b", "same / same");
    check("add_edge e2 n3.out n2.b", "add_edge e3 n1.out n3.b", "same / same");
}

#[test]
fn a_set_goes_with_nothing() {
    check("set", "move_node n1 1 1", "the value was changed");
    check("move_node n1 1 1", "set", "the whole value was set");
}

#[test]
fn what_is_meant_for_a_removed_node_conflicts() {
    let removed = r#"node "n2" was removed"#;
    check("move_node n2 1 1", "remove_node n2", removed);
    check("set_data n2 label a", "remove_node n2", removed);
    check("add_port input n2.c", "remove_node n2", removed);
    check("add_edge e2 n3.out n2.b", "remove_node n2", removed);
    check("add_edge e2 n2.out n3.b", "remove_node n2", removed);
    check(
        "add_edge e2 n1.out n2.b",
        "remove_port input n2.b",
        r#"input "b" of node "n2" was removed"#,
    );
    check(
        "add_edge e2 n2.out n3.b",
        "remove_port output n2.out",
        r#"output "out" of node "n2" was removed"#,
    );
}

#[test]
fn a_removal_takes_along_what_others_did_there() {
    check("remove_node n2", "move_node n2 1 1", "same / nothing");
    check("remove_node n2", "set_data n2 label a", "same / nothing");
    check("remove_node n2", "add_port input n2.c e9 n3.out n2.c", "same / nothing");
    check("remove_node n2", "remove_port input n2.a", "same / nothing");
    check("remove_node n2", "add_edge e2 n3.out n2.b", "same / nothing");
    check("remove_node n2", "remove_edge e1 n1.out n2.a", "same / nothing");
    check("remove_port input n2.a", "remove_edge e1 n1.out n2.a", "same / nothing");
    check("remove_node n2", "disconnect n2.a", "same / nothing");
}

#[test]
fn an_edge_that_replaced_another_and_goes_with_its_node_brings_nothing_back() {
    check("remove_node n3", "add_edge e2 n3.out n2.a", "same / disconnect n2.a");
    check("remove_port output n3.out", "add_edge e2 n3.out n2.a", "same / disconnect n2.a");
}

#[test]
fn what_is_gone_already_needs_no_removal() {
    check("remove_node n2", "remove_node n2", "nothing / nothing");
    check("remove_port input n2.a", "remove_node n2", "nothing / same");
    check("remove_edge e1 n1.out n2.a", "remove_node n1", "nothing / same");
    check("remove_edge e1 n1.out n2.a", "remove_port input n2.a", "nothing / same");
    check("remove_edge e1 n1.out n2.a", "remove_edge e1 n1.out n2.a", "nothing / nothing");
    check("remove_edge e1 n1.out n2.a", "add_edge e2 n3.out n2.a", "nothing / same");
    check("disconnect n2.a", "remove_edge e1 n1.out n2.a", "nothing / nothing");
    check("disconnect n2.a", "remove_node n2", "nothing / same");
    check("remove_node n1", "remove_node n2", "same / same");
}

#[test]
fn what_has_one_name_is_added_once() {
    check("add_node n4", "add_node n4", r#"node "n4" was added"#);
    check("add_port input n1.c", "add_port input n1.c", r#"input "c" of node "n1" was added"#);
    check("add_edge e2 n1.out n3.a", "add_edge e2 n1.out n3.b", r#"edge "e2" was added"#);
    check("add_node n4 e2 n4.out n2.b", "add_edge e2 n1.out n3.a", r#"edge "e2" was added"#);
    check("add_node n4", "add_node n5", "same / same");
}

#[test]
fn what_comes_back_leaves_edges_out_that_have_no_place() {
    check(
        "add_node n4 e2 n4.out n2.b e3 n1.out n4.a",
        "remove_node n2",
        "add_node n4 e3 n1.out n4.a / same",
    );
    check("add_node n4 e2 n4.out n2.b", "remove_port input n2.b", "add_node n4 / same");
    check("add_node n4 e2 n4.out n2.b", "add_edge e3 n3.out n2.b", "add_node n4 / same");
    check("add_port output n3.x e2 n3.x n2.b", "remove_node n2", "add_port output n3.x / same");
    check("remove_node n2", "add_node n4 e2 n4.out n2.b", "same / add_node n4");
    let connected = r#"input "b" of node "n2" was connected"#;
    check("add_node n4 e2 n4.out n2.b", "add_node n5 e3 n5.out n2.b", connected);
    check("add_edge e3 n3.out n2.b", "add_node n4 e2 n4.out n2.b", connected);
}

#[test]
fn an_input_that_others_freed_is_connected() {
    check("add_edge e2 n3.out n2.a", "remove_edge e1 n1.out n2.a", "same / nothing");
    check("add_edge e2 n3.out n2.a", "disconnect n2.a", "same / nothing");
    check("add_edge e2 n3.out n2.a", "remove_node n1", "same / same");
}

#[test]
fn what_does_not_fit_is_told_why() {
    check_invalid(&["move_node n9 1 1"], r#"node "n9" is not there"#);
    check_invalid(&["add_node n1"], r#"node "n1" is there already"#);
    check_invalid(&["add_edge e2 n1.x n2.b"], r#"output "x" of node "n1" is not there"#);
    check_invalid(&["add_edge e1 n1.out n3.b"], r#"edge "e1" is there already"#);
    check_invalid(&["add_edge e1 n3.out n2.a"], r#"edge "e1" is there already"#);
    check_invalid(&["remove_edge e9 n1.out n2.a"], r#"edge "e9" is not there"#);
    check_invalid(&["remove_edge e1 n3.out n2.a"], r#"edge "e1" has other ends"#);
    check_invalid(&["add_node n4 e2 n4.out n2.a"], r#"input "a" of node "n2" has edge "e1""#);
    check_invalid(&["add_node n4 e2 n1.out n2.b"], r#"edge "e2" does not hang on node "n4""#);
    check_invalid(
        &["add_edge e2 n2.out n3.a", "add_edge e3 n3.out n1.a"],
        r#"edge "e3" would close a cycle: n3 → n1 → n2 → n3"#,
    );
}

#[test]
fn ports_of_different_types_are_not_joined() {
    let mut graph = graph();
    for (side, port, port_type) in [("output", "n1.x", "number"), ("input", "n2.x", "text")] {
        let GraphChange::AddPort { side, port, edges, .. } =
            change(&format!("add_port {side} {port}"))
        else {
            unreachable!()
        };
        let add = GraphChange::AddPort { side, port, port_type: port_type.into(), edges };
        Acyclic::apply(&mut graph, &add).unwrap();
    }
    let mut connect = |line| Acyclic::apply(&mut graph, &change(line)).map_err(|it| it.to_string());
    let reason =
        r#"output "x" of node "n1" gives "number", and input "x" of node "n2" takes "text""#;
    assert_eq!(connect("add_edge e2 n1.x n2.x"), Err(reason.to_owned()));
    assert_eq!(connect("add_edge e2 n1.x n3.a"), Ok(()));
    assert_eq!(connect("add_edge e3 n3.out n2.x"), Ok(()));
}

#[test]
fn a_graph_that_may_have_cycles_takes_them() {
    let mut graph = graph();
    for line in ["add_edge e2 n2.out n1.a", "add_edge e3 n3.out n3.a"] {
        Graph::<false>::apply(&mut graph, &change(line)).unwrap();
    }
    let set = GraphChange::Set(graph.clone());
    let error = Acyclic::apply(&mut super::notation::graph(), &set).unwrap_err();
    assert_eq!(error.to_string(), "the edges of the graph close a cycle");
    assert_eq!(Acyclic::decode_value(&Acyclic::encode_value(&graph)), Err(error));
}
