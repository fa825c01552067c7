//! What always holds of a graph, computed anew by the plainest means after each step; and a graph as
//! plain maps beside the real one, which must come to the same.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use topicsync::types::TopicType;
use topicsync::value::Key;

use super::strategies::{pick, tape};
use crate::change::GraphChange::{self, *};
use crate::graph::Graph;
use crate::value::{ANY, Edge, GraphValue, Link, Node, Part, Ports, Side};

/// The list at the top of `value.rs`.
pub fn assert_invariants(graph: &GraphValue, acyclic: bool) {
    let mut links = BTreeSet::new();
    let mut inputs = BTreeSet::new();
    for (id, edge) in graph.edges() {
        let mut types = Vec::new();
        for side in [Side::Input, Side::Output] {
            let end = edge.end(side);
            let node = graph.node(&end.node).unwrap_or_else(|| panic!("{id} hangs on nothing"));
            types.push(
                node.ports(side).get(&end.port).unwrap_or_else(|| panic!("{id} has no port")),
            );
            let (node, port) = (end.node.clone(), end.port.clone());
            links.insert(Link { node, side, port, edge: id.clone() });
        }
        assert!(types[0] == types[1] || types.iter().any(|it| *it == ANY), "{id} joins {types:?}");
        assert!(inputs.insert(&edge.to), "two edges into {:?}", edge.to);
    }
    assert!(graph.links().eq(&links), "the links are not those of the edges");
    assert_eq!(graph.is_acyclic(), !has_cycle(graph));
    assert!(!acyclic || graph.is_acyclic(), "there is a cycle");
}

/// Takes out nodes that nothing leads into, one at a time, until none is left to take out.
fn has_cycle(graph: &GraphValue) -> bool {
    let mut nodes: BTreeSet<&Key> = graph.nodes().map(|(id, _)| id).collect();
    loop {
        let led_into = |node: &Key| {
            graph.edges().any(|(_, edge)| edge.to.node == *node && nodes.contains(&edge.from.node))
        };
        let Some(free) = nodes.iter().find(|node| !led_into(node)).copied() else {
            return !nodes.is_empty();
        };
        nodes.remove(free);
    }
}

/// Two maps, and a look at everything for each change.
#[derive(Debug, Clone, Default, PartialEq)]
struct Model {
    nodes: BTreeMap<Key, Node>,
    edges: BTreeMap<Key, Edge>,
}

impl Model {
    fn of(graph: &GraphValue) -> Model {
        Model {
            nodes: graph.nodes().map(|(id, node)| (id.clone(), node.clone())).collect(),
            edges: graph.edges().map(|(id, edge)| (id.clone(), edge.clone())).collect(),
        }
    }

    /// Applies a change that fits.
    fn apply(&mut self, change: &GraphChange) {
        match change {
            Set(graph) => *self = Model::of(graph),
            AddNode { node, value, edges } => {
                self.nodes.insert(node.clone(), value.clone());
                self.edges.extend(edges.clone());
            }
            RemoveNode { node } => {
                self.nodes.remove(node);
                self.edges.retain(|_, edge| !Part::Node(node.clone()).holds(edge));
            }
            MoveNode { node, x, y } => {
                let node = self.nodes.get_mut(node).unwrap();
                (node.x, node.y) = (*x, *y);
            }
            SetData { node, key, value } => {
                let data = &mut self.nodes.get_mut(node).unwrap().data;
                match value {
                    Some(value) => drop(data.insert(key.clone(), value.clone())),
                    None => drop(data.remove(key)),
                }
            }
            AddPort { side, port, port_type, edges } => {
                self.ports(*side, &port.node).insert(port.port.clone(), port_type.clone());
                self.edges.extend(edges.clone());
            }
            RemovePort { side, port } => {
                self.ports(*side, &port.node).remove(&port.port);
                self.edges.retain(|_, edge| edge.end(*side) != port);
            }
            AddEdge { edge, ends } => {
                self.edges.retain(|_, other| other.to != ends.to);
                self.edges.insert(edge.clone(), ends.clone());
            }
            RemoveEdge { edge, .. } => drop(self.edges.remove(edge)),
            Disconnect { input } => self.edges.retain(|_, edge| edge.to != *input),
        }
    }

    fn ports(&mut self, side: Side, node: &Key) -> &mut Ports {
        let node = self.nodes.get_mut(node).unwrap();
        match side {
            Side::Input => &mut node.inputs,
            Side::Output => &mut node.outputs,
        }
    }
}

/// Every third change was made for the graph two steps ago, and may fit no more.
fn keeps_them<const ACYCLIC: bool>(
    tapes: Vec<super::strategies::Tape>,
) -> Result<(), TestCaseError> {
    let mut graph = GraphValue::default();
    let (mut model, mut before) = (Model::default(), graph.clone());
    for (step, mut tape) in tapes.into_iter().enumerate() {
        let made_for = if step % 3 == 2 { before.clone() } else { graph.clone() };
        let change = pick::<ACYCLIC>(&made_for, &mut tape);
        before = graph.clone();
        match Graph::<ACYCLIC>::apply(&mut graph, &change) {
            Ok(()) => model.apply(&change),
            Err(_) => prop_assert!(step % 3 == 2),
        }
        assert_invariants(&graph, ACYCLIC);
        prop_assert_eq!(&Model::of(&graph), &model);
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_graph_does_what_two_maps_do(tapes in prop::collection::vec(tape(), 0..60)) {
        keeps_them::<false>(tapes)?;
    }

    #[test]
    fn an_acyclic_graph_does_what_two_maps_do(tapes in prop::collection::vec(tape(), 0..60)) {
        keeps_them::<true>(tapes)?;
    }
}
