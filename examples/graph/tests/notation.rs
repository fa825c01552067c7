//! Changes as lines of text, and a graph to make them on.

use topicsync::types::TopicType;
use topicsync::value::Key;

use crate::change::GraphChange::{self, *};
use crate::graph::Graph;
use crate::value::{ANY, Edge, Edges, GraphValue, Node, Port, Ports, Side};

/// Reads a line: what a change is called, then its parts. A node is put with inputs `a` and `b` and the
/// output `out`; what is put with edges has them at its end.
///
/// ```text
/// add_node n4 e9 n4.out n2.b
/// add_edge e2 n1.out n3.a
/// ```
pub fn change(line: &str) -> GraphChange {
    let words: Vec<&str> = line.split(' ').collect();
    let key = |at: usize| Key::from(words[at]);
    let number = |at: usize| words[at].parse().unwrap();
    match words[0] {
        "set" => Set(GraphValue::default()),
        "add_node" => AddNode { node: key(1), value: node(), edges: edges(&words[2..]) },
        "remove_node" => RemoveNode { node: key(1) },
        "move_node" => MoveNode { node: key(1), x: number(2), y: number(3) },
        "set_data" => SetData { node: key(1), key: key(2), value: Some(words[3].into()) },
        "add_port" => AddPort {
            side: side(words[1]),
            port: port(words[2]),
            port_type: ANY.into(),
            edges: edges(&words[3..]),
        },
        "remove_port" => RemovePort { side: side(words[1]), port: port(words[2]) },
        "add_edge" => AddEdge { edge: key(1), ends: ends(&words[2..]) },
        "remove_edge" => RemoveEdge { edge: key(1), ends: Some(ends(&words[2..])) },
        "disconnect" => Disconnect { input: port(words[1]) },
        other => panic!("there is no change {other:?}"),
    }
}

/// Nodes `n1`, `n2`, `n3`; the edge `e1` from the first to input `a` of the second.
pub fn graph() -> GraphValue {
    let lines = ["add_node n1", "add_node n2", "add_node n3", "add_edge e1 n1.out n2.a"];
    let mut graph = GraphValue::default();
    for line in lines {
        Graph::<true>::apply(&mut graph, &change(line)).unwrap();
    }
    graph
}

pub fn node() -> Node {
    let ports = |names: &[&str]| -> Ports {
        names.iter().map(|name| (Key::from(*name), Key::from(ANY))).collect()
    };
    let (inputs, outputs) = (ports(&["a", "b"]), ports(&["out"]));
    Node { kind: "add".into(), inputs, outputs, ..Node::default() }
}

fn side(word: &str) -> Side {
    match word {
        "input" => Side::Input,
        "output" => Side::Output,
        other => panic!("there is no side {other:?}"),
    }
}

fn port(word: &str) -> Port {
    let (node, port) = word.split_once('.').unwrap();
    Port::new(node, port)
}

fn ends(words: &[&str]) -> Edge {
    Edge { from: port(words[0]), to: port(words[1]) }
}

fn edges(words: &[&str]) -> Edges {
    words.chunks(3).map(|words| (Key::from(words[0]), ends(&words[1..]))).collect()
}
