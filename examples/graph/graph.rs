//! The topic type of graphs: nodes, typed ports, edges.
//!
//! Registered twice: `graph`, in which edges may lead anywhere, and `acyclic_graph`, in which no way
//! leads from a node back to it. `value.rs` says what always holds, `change.rs` what the changes are,
//! `rebase.rs` how they pass each other.
//!
//! | change | costs, n being the nodes and edges of the graph |
//! |---|---|
//! | `move_node`, `set_data` | O(log n) |
//! | `add_edge`, `remove_edge`, `disconnect` | O(log n) |
//! | the others | O(log n) for each edge that they put or take out |
//! | edges put in an `acyclic_graph` | beside that O(m log n), m being the edges behind their node |
//! | `set` | O(1), and O(n log n) to read it, or to check it for cycles |
//!
//! Whether an edge closes a cycle shows in the graph alone: two edges that are fine each by itself can
//! close one together, and no rebase, which sees no graph, can tell. The later one then fails as
//! [`Invalid::Rule`], and is sent back as stale.

use std::fmt::Display;

use topicsync::types::{Composed, Conflict, Rebased, TopicType};
use topicsync::value::{Fields, Invalid, Key, Value};

use super::change::GraphChange::{self, *};
use super::change::{self, decode, encode};
use super::differences::differences;
use super::rebase::rebase;
use super::value::{Edge, Edges, GraphValue, Part, Side};

/// The type of a topic that holds a graph, `ACYCLIC` or not.
///
/// It is not keyed: a presence topic beside it, a dict, is the place for cursors and selections.
pub struct Graph<const ACYCLIC: bool>;

/// A graph without cycles.
pub type Acyclic = Graph<true>;

impl<const ACYCLIC: bool> TopicType for Graph<ACYCLIC> {
    type Value = GraphValue;
    type Change = GraphChange;

    const NAME: &'static str = if ACYCLIC { "acyclic_graph" } else { "graph" };

    fn initial() -> GraphValue {
        GraphValue::default()
    }

    fn decode_value(value: &Value) -> Result<GraphValue, Invalid> {
        let graph = change::decode_value(value)?;
        Self::check(&graph)?;
        Ok(graph)
    }

    fn encode_value(value: &GraphValue) -> Value {
        change::encode_value(value)
    }

    fn decode_change(fields: &Fields) -> Result<GraphChange, Invalid> {
        decode::<Self>(fields)
    }

    fn encode_change(change: &GraphChange) -> Fields {
        encode(change)
    }

    fn takes_base(change: &GraphChange) -> bool {
        !matches!(change, RemoveEdge { ends: None, .. })
    }

    fn resolve(change: &GraphChange, graph: &GraphValue) -> Result<Option<GraphChange>, Invalid> {
        match change {
            RemoveEdge { edge, ends: None } => match graph.edge(edge) {
                Some(ends) => Ok(Some(removal(edge, ends))),
                None => Err(no_edge(edge)),
            },
            _ => Ok(None),
        }
    }

    fn apply(graph: &mut GraphValue, change: &GraphChange) -> Result<(), Invalid> {
        match change {
            Set(value) => {
                Self::check(value)?;
                *graph = value.clone();
            }
            MoveNode { node, x, y } => {
                let node = graph.node_mut(node)?;
                (node.x, node.y) = (*x, *y);
            }
            SetData { node, key, value } => {
                let data = &mut graph.node_mut(node)?.data;
                match value {
                    Some(value) => drop(data.insert(key.clone(), value.clone())),
                    None => drop(data.remove(key)),
                }
            }
            AddNode { node, value, edges } => {
                let mut after = graph.clone();
                after.put_node(node, value.clone())?;
                Self::put_edges(&mut after, &Part::Node(node.clone()), edges)?;
                *graph = after;
            }
            AddPort { side, port, port_type, edges } => {
                let mut after = graph.clone();
                after.put_port(*side, port, port_type)?;
                Self::put_edges(&mut after, &Part::Port(*side, port.clone()), edges)?;
                *graph = after;
            }
            RemoveNode { node } => graph.take_node(node)?,
            RemovePort { side, port } => graph.take_port(*side, port)?,
            AddEdge { edge, ends } => {
                let mut after = graph.clone();
                if let Some((replaced, _)) = graph.edge_into(&ends.to) {
                    // An edge of this id is none that it replaces: it would be the same one, changed.
                    if replaced != edge {
                        after.take_edge(replaced);
                    }
                }
                after.put_edge(edge, ends)?;
                let what = format_args!("edge {edge:?}");
                Self::check_cycle(&after, &ends.from.node, what)?;
                *graph = after;
            }
            RemoveEdge { edge, ends } => match (graph.edge(edge), ends) {
                (None, _) => return Err(no_edge(edge)),
                (Some(there), Some(ends)) if there != ends => {
                    return Err(Invalid::Other(format!("edge {edge:?} has other ends")));
                }
                _ => drop(graph.take_edge(edge)),
            },
            Disconnect { input } => {
                graph.port_type(Side::Input, input)?;
                let edge = graph.edge_into(input).map(|(edge, _)| edge.clone());
                edge.map(|edge| graph.take_edge(&edge));
            }
        }
        Ok(())
    }

    fn rebase(
        incoming: &GraphChange,
        accepted: &GraphChange,
    ) -> Result<Rebased<GraphChange>, Conflict> {
        rebase(incoming, accepted)
    }

    fn invert(change: &GraphChange, before: &GraphValue) -> Option<GraphChange> {
        let put_back =
            |(edge, ends): (&Key, &Edge)| AddEdge { edge: edge.clone(), ends: ends.clone() };
        // `before` took the change, so what it took out or wrote over is there.
        Some(match change {
            Set(_) => Set(before.clone()),
            AddNode { node, .. } => RemoveNode { node: node.clone() },
            RemoveNode { node } => AddNode {
                node: node.clone(),
                value: before.node(node)?.clone(),
                edges: before.edges_on(&Part::Node(node.clone())),
            },
            MoveNode { node, .. } => {
                let was = before.node(node)?;
                MoveNode { node: node.clone(), x: was.x, y: was.y }
            }
            SetData { node, key, .. } => SetData {
                node: node.clone(),
                key: key.clone(),
                value: before.node(node)?.data.get(key).cloned(),
            },
            AddPort { side, port, .. } => RemovePort { side: *side, port: port.clone() },
            RemovePort { side, port } => AddPort {
                side: *side,
                port: port.clone(),
                port_type: before.port_type(*side, port).ok()?.clone(),
                edges: before.edges_on(&Part::Port(*side, port.clone())),
            },
            AddEdge { edge, ends } => match before.edge_into(&ends.to) {
                Some(replaced) => put_back(replaced),
                None => removal(edge, ends),
            },
            RemoveEdge { edge, .. } => put_back((edge, before.edge(edge)?)),
            Disconnect { input } => put_back(before.edge_into(input)?),
        })
    }

    fn differences(from: &GraphValue, to: &GraphValue) -> Option<Vec<GraphChange>> {
        differences::<Self>(from, to)
    }

    fn compose(first: &GraphChange, second: &GraphChange) -> Composed<GraphChange> {
        compose::<Self>(first, second)
    }
}

impl<const ACYCLIC: bool> Graph<ACYCLIC> {
    fn check(graph: &GraphValue) -> Result<(), Invalid> {
        match ACYCLIC && !graph.is_acyclic() {
            true => Err(Invalid::Rule("the edges of the graph close a cycle".into())),
            false => Ok(()),
        }
    }

    /// Puts edges that hang on `part`, of a node that every cycle leads through which they close.
    fn put_edges(graph: &mut GraphValue, part: &Part, edges: &Edges) -> Result<(), Invalid> {
        for (id, edge) in edges {
            if !part.holds(edge) {
                return Err(Invalid::Other(format!("edge {id:?} does not hang on {part}")));
            }
            graph.put_edge(id, edge)?;
        }
        Self::check_cycle(graph, part.node(), part)
    }

    /// Checks that no cycle leads through a node, once `what` was put.
    fn check_cycle(graph: &GraphValue, node: &Key, what: impl Display) -> Result<(), Invalid> {
        let cycle = if ACYCLIC { graph.cycle_through(node) } else { None };
        cycle.map_or(Ok(()), |cycle| {
            let way = cycle.join(" → ");
            Err(Invalid::Rule(format!("{what} would close a cycle: {way}")))
        })
    }
}

fn removal(edge: &Key, ends: &Edge) -> GraphChange {
    RemoveEdge { edge: edge.clone(), ends: Some(ends.clone()) }
}

fn no_edge(edge: &Key) -> Invalid {
    Invalid::Other(format!("edge {edge:?} is not there"))
}

/// A drag is one move, what is typed into a field is one datum, and what is removed needs nothing done to
/// it before.
fn compose<T: TopicType<Value = GraphValue, Change = GraphChange>>(
    first: &GraphChange,
    second: &GraphChange,
) -> Composed<GraphChange> {
    match (first, second) {
        (_, Set(_)) => Composed::One(second.clone()),
        (Set(graph), _) => {
            let mut graph = graph.clone();
            match T::apply(&mut graph, second) {
                Ok(()) => Composed::One(Set(graph)),
                Err(_) => Composed::Separate,
            }
        }
        (MoveNode { node, .. }, MoveNode { node: again, .. }) if node == again => {
            Composed::One(second.clone())
        }
        (SetData { node, key, .. }, SetData { node: again, key: key_again, .. })
            if (node, key) == (again, key_again) =>
        {
            Composed::One(second.clone())
        }
        (AddNode { node, value, edges }, MoveNode { node: moved, x, y }) if node == moved => {
            let mut value = value.clone();
            (value.x, value.y) = (*x, *y);
            Composed::One(AddNode { node: node.clone(), value, edges: edges.clone() })
        }
        (AddNode { node, value, edges }, SetData { node: written, key, value: datum })
            if node == written =>
        {
            let mut value = value.clone();
            match datum {
                Some(datum) => drop(value.data.insert(key.clone(), datum.clone())),
                None => drop(value.data.remove(key)),
            }
            Composed::One(AddNode { node: node.clone(), value, edges: edges.clone() })
        }
        // It replaces what is taken out here, unless it is that very edge with other ends.
        (RemoveEdge { edge, ends: Some(gone) }, AddEdge { edge: put, ends })
            if gone.to == ends.to =>
        {
            match (edge == put, gone == ends) {
                (true, true) => Composed::Nothing,
                (true, false) => Composed::Separate,
                (false, _) => Composed::One(second.clone()),
            }
        }
        _ => match (second.removes(), first) {
            (Some(gone), _) if first.puts() == Some(gone.clone()) => Composed::Nothing,
            (Some(Part::Node(gone)), MoveNode { node, .. } | SetData { node, .. })
                if gone == *node =>
            {
                Composed::One(second.clone())
            }
            (Some(gone), AddPort { side, port, .. } | RemovePort { side, port })
                if gone.has_port(*side, port) =>
            {
                Composed::One(second.clone())
            }
            (Some(gone), RemoveEdge { ends: Some(ends), .. }) if gone.holds(ends) => {
                Composed::One(second.clone())
            }
            // What it replaced hung on the same input.
            (Some(gone), AddEdge { ends, .. }) if gone.has_port(Side::Input, &ends.to) => {
                Composed::One(second.clone())
            }
            (Some(gone), Disconnect { input }) if gone.has_port(Side::Input, input) => {
                Composed::One(second.clone())
            }
            _ => Composed::Separate,
        },
    }
}
