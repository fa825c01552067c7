//! proptest strategies: a graph, and a change that fits a graph.
//!
//! Both are read off a tape of numbers, which shrinks towards nothing; nothing reads as zeros, and 0 is
//! the simplest choice. Few names and few types, so that random changes meet.

use proptest::prelude::*;
use topicsync::types::TopicType;
use topicsync::value::{Dict, Key, Value};

use crate::change::GraphChange::{self, *};
use crate::graph::Graph;
use crate::value::{ANY, Edge, Edges, GraphValue, Node, Part, Port, Ports, Side};

/// Numbers to choose by.
#[derive(Debug, Clone)]
pub struct Tape(std::vec::IntoIter<u32>);

impl Tape {
    pub fn of(numbers: Vec<u32>) -> Tape {
        Tape(numbers.into_iter())
    }

    fn below(&mut self, end: u32) -> u32 {
        self.0.next().unwrap_or(0) % end
    }

    fn of_all<T: Clone>(&mut self, all: &[T]) -> Option<T> {
        let len = u32::try_from(all.len()).ok().filter(|len| *len > 0)?;
        Some(all[self.below(len) as usize].clone())
    }
}

pub fn tape() -> impl Strategy<Value = Tape> {
    prop::collection::vec(any::<u32>(), 0..16).prop_map(Tape::of)
}

/// A graph that keeps every rule.
pub fn value<const ACYCLIC: bool>() -> impl Strategy<Value = GraphValue> {
    prop::collection::vec(tape(), 0..16).prop_map(|tapes| {
        tapes
            .into_iter()
            .fold(GraphValue::default(), |graph, mut tape| grown::<ACYCLIC>(&graph, &mut tape))
    })
}

/// A change that fits `graph`.
pub fn change<const ACYCLIC: bool>(graph: &GraphValue) -> BoxedStrategy<GraphChange> {
    let graph = graph.clone();
    tape().prop_map(move |mut tape| pick::<ACYCLIC>(&graph, &mut tape)).boxed()
}

/// A change that fits `graph`, as the tape says.
pub fn pick<const ACYCLIC: bool>(graph: &GraphValue, tape: &mut Tape) -> GraphChange {
    let picked = match tape.below(20) {
        0..3 => add_node::<ACYCLIC>(graph, tape),
        3..5 => node(graph, tape).map(|node| RemoveNode { node }),
        5..7 => node(graph, tape).map(|node| MoveNode {
            node,
            x: coordinate(tape),
            y: coordinate(tape),
        }),
        7..9 => set_data(graph, tape),
        9..11 => add_port::<ACYCLIC>(graph, tape),
        11 => port(graph, tape).map(|(side, port)| RemovePort { side, port }),
        12..16 => add_edge::<ACYCLIC>(graph, tape),
        16..18 => edge(graph, tape).map(|(edge, ends)| {
            let ends = (tape.below(4) > 0).then_some(ends);
            RemoveEdge { edge, ends }
        }),
        18 => {
            let inputs: Vec<Port> = ports(graph)
                .into_iter()
                .filter(|(side, _)| *side == Side::Input)
                .map(|(_, port)| port)
                .collect();
            tape.of_all(&inputs).map(|input| Disconnect { input })
        }
        _ => {
            let start = if tape.below(2) == 0 { GraphValue::default() } else { graph.clone() };
            let grow = |graph, _| grown::<ACYCLIC>(&graph, tape);
            Some(Set((0..3).fold(start, grow)))
        }
    };
    // Where there is nothing to do it with.
    let fallback = || node(graph, &mut Tape::of(Vec::new())).map(|node| RemoveNode { node });
    picked
        .or_else(|| add_node::<ACYCLIC>(graph, &mut Tape::of(Vec::new())))
        .or_else(fallback)
        .unwrap_or(Set(GraphValue::default()))
}

/// The graph with a node, port, edge or datum more.
fn grown<const ACYCLIC: bool>(graph: &GraphValue, tape: &mut Tape) -> GraphValue {
    let change = match tape.below(10) {
        0..4 => add_node::<ACYCLIC>(graph, tape),
        4 => add_port::<ACYCLIC>(graph, tape),
        5 => set_data(graph, tape),
        _ => add_edge::<ACYCLIC>(graph, tape),
    };
    let mut graph = graph.clone();
    if let Some(change) = change {
        Graph::<ACYCLIC>::apply(&mut graph, &change).expect("a change made for the graph fits it");
    }
    graph
}

fn fresh(tape: &mut Tape, letter: &str, taken: impl Fn(&Key) -> bool) -> Option<Key> {
    let first = tape.below(5);
    let names = (0..5).map(|offset| Key::from(format!("{letter}{}", (first + offset) % 5)));
    names.into_iter().find(|name| !taken(name))
}

fn node(graph: &GraphValue, tape: &mut Tape) -> Option<Key> {
    tape.of_all(&graph.nodes().map(|(id, _)| id.clone()).collect::<Vec<_>>())
}

fn edge(graph: &GraphValue, tape: &mut Tape) -> Option<(Key, Edge)> {
    tape.of_all(&graph.edges().map(|(id, edge)| (id.clone(), edge.clone())).collect::<Vec<_>>())
}

fn ports(graph: &GraphValue) -> Vec<(Side, Port)> {
    let of_node = |(id, node): (&Key, &Node)| {
        let of_side = |side: Side| -> Vec<(Side, Port)> {
            node.ports(side)
                .keys()
                .map(|port| (side, Port::new(id.clone(), port.clone())))
                .collect()
        };
        [of_side(Side::Input), of_side(Side::Output)].concat()
    };
    graph.nodes().flat_map(of_node).collect()
}

fn port(graph: &GraphValue, tape: &mut Tape) -> Option<(Side, Port)> {
    tape.of_all(&ports(graph))
}

fn coordinate(tape: &mut Tape) -> f64 {
    f64::from(tape.below(64)) / 4.0 - 4.0
}

fn port_type(tape: &mut Tape) -> Key {
    [ANY, "number", "text"][tape.below(3) as usize].into()
}

fn datum(tape: &mut Tape) -> Value {
    match tape.below(5) {
        0 => Value::Null,
        1 => 1.into(),
        2 => 1.5.into(),
        3 => "ü🙂".into(),
        _ => Dict::from([("list", vec![Value::Null, 2.into()].into())]).into(),
    }
}

fn set_data(graph: &GraphValue, tape: &mut Tape) -> Option<GraphChange> {
    let node = node(graph, tape)?;
    let key = ["value", "label"][tape.below(2) as usize].into();
    let value = (tape.below(4) > 0).then(|| datum(tape));
    Some(SetData { node, key, value })
}

fn some_ports(tape: &mut Tape, names: [&str; 2]) -> Ports {
    // An empty tape gives both, so that there is something to connect.
    let few = tape.below(3) as usize;
    names.iter().skip(few).map(|name| (Key::from(*name), port_type(tape))).collect()
}

fn add_node<const ACYCLIC: bool>(graph: &GraphValue, tape: &mut Tape) -> Option<GraphChange> {
    let id = fresh(tape, "n", |id| graph.node(id).is_some())?;
    let value = Node {
        kind: ["number", "add"][tape.below(2) as usize].into(),
        x: coordinate(tape),
        y: coordinate(tape),
        data: if tape.below(2) == 0 { Dict::new() } else { [("value", datum(tape))].into() },
        inputs: some_ports(tape, ["a", "b"]),
        outputs: some_ports(tape, ["out", "rest"]),
    };
    let add = |edges| AddNode { node: id.clone(), value: value.clone(), edges };
    Some(with_edges::<ACYCLIC>(graph, tape, &Part::Node(id.clone()), add))
}

fn add_port<const ACYCLIC: bool>(graph: &GraphValue, tape: &mut Tape) -> Option<GraphChange> {
    let node = node(graph, tape)?;
    let side = if tape.below(2) == 0 { Side::Input } else { Side::Output };
    let ports = graph.node(&node)?.ports(side);
    let port = Port { port: fresh(tape, "p", |name| ports.contains_key(name))?, node };
    let port_type = port_type(tape);
    let add = |edges| AddPort { side, port: port.clone(), port_type: port_type.clone(), edges };
    Some(with_edges::<ACYCLIC>(graph, tape, &Part::Port(side, port.clone()), add))
}

/// What puts `part` with up to two edges that hang on it.
fn with_edges<const ACYCLIC: bool>(
    graph: &GraphValue,
    tape: &mut Tape,
    part: &Part,
    add: impl Fn(Edges) -> GraphChange,
) -> GraphChange {
    let (mut edges, mut after) = (Edges::new(), graph.clone());
    let fits = "a node or port made for the graph fits it";
    Graph::<ACYCLIC>::apply(&mut after, &add(Edges::new())).expect(fits);
    for _ in 0..tape.below(3) {
        let free = |edge: &Edge| part.holds(edge) && after.edge_into(&edge.to).is_none();
        let Some(AddEdge { edge, ends }) = add_edge_where::<ACYCLIC>(&after, tape, free) else {
            break;
        };
        Graph::<ACYCLIC>::apply(&mut after, &AddEdge { edge: edge.clone(), ends: ends.clone() })
            .expect(fits);
        edges.insert(edge, ends);
    }
    add(edges)
}

fn add_edge<const ACYCLIC: bool>(graph: &GraphValue, tape: &mut Tape) -> Option<GraphChange> {
    let replacing = tape.below(2) == 1;
    let wanted = |edge: &Edge| !replacing || graph.edge_into(&edge.to).is_some();
    add_edge_where::<ACYCLIC>(graph, tape, wanted)
        .or_else(|| add_edge_where::<ACYCLIC>(graph, tape, |_| true))
}

/// Any edge that may be put, into a free input or in the place of another.
fn add_edge_where<const ACYCLIC: bool>(
    graph: &GraphValue,
    tape: &mut Tape,
    allowed: impl Fn(&Edge) -> bool,
) -> Option<GraphChange> {
    let id = fresh(tape, "e", |id| graph.edge(id).is_some())?;
    let all = ports(graph);
    let on = |side| all.iter().filter(move |(its, _)| *its == side).map(|(_, port)| port);
    let pairs = on(Side::Output).flat_map(|from| on(Side::Input).map(move |to| (from, to)));
    let edges = pairs.map(|(from, to)| Edge { from: from.clone(), to: to.clone() });
    let fits = |edge: &Edge| {
        let add = AddEdge { edge: id.clone(), ends: edge.clone() };
        allowed(edge) && Graph::<ACYCLIC>::apply(&mut graph.clone(), &add).is_ok()
    };
    let ends = tape.of_all(&edges.filter(fits).collect::<Vec<_>>())?;
    Some(AddEdge { edge: id, ends })
}
