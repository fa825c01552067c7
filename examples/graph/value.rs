//! The value of a graph topic: nodes with typed ports, and the edges between them.
//!
//! Maps are persistent: a clone is three pointers, and a change copies the paths to what it touches.
//! Beside the edges stand *links*, an ordered set with each edge under both of its ports: what is
//! attached to a node or a port is a range of it, found without a look at the other edges.
//!
//! What always holds, whatever was applied (`tests/invariants.rs` asserts this very list):
//!
//! - an edge has both its ends: it goes from an output to an input, of nodes that are there;
//! - the types of its ports match;
//! - an input takes at most one edge;
//! - the links are those of the edges;
//! - there is no cycle, where that is asked for.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use im::{OrdMap, OrdSet};
use topicsync::value::{Dict, Invalid, Key};

/// The type of a port that takes, or gives, whatever comes.
pub const ANY: &str = "any";

/// Ports by name, each with its type.
pub type Ports = OrdMap<Key, Key>;

/// Edges by their id.
pub type Edges = OrdMap<Key, Edge>;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Node {
    /// What the editor knows it by: `"number"`, `"add"`, …
    pub kind: Key,
    pub x: f64,
    pub y: f64,
    /// What its author set in it, by key.
    pub data: Dict,
    pub inputs: Ports,
    pub outputs: Ports,
}

impl Node {
    pub fn ports(&self, side: Side) -> &Ports {
        match side {
            Side::Input => &self.inputs,
            Side::Output => &self.outputs,
        }
    }

    fn ports_mut(&mut self, side: Side) -> &mut Ports {
        match side {
            Side::Input => &mut self.inputs,
            Side::Output => &mut self.outputs,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    Input,
    Output,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Side::Input => "input",
            Side::Output => "output",
        })
    }
}

/// A port of a node; its side follows from where it is named.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Port {
    pub node: Key,
    pub port: Key,
}

impl Port {
    pub fn new(node: impl Into<Key>, port: impl Into<Key>) -> Port {
        Port { node: node.into(), port: port.into() }
    }
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.node, self.port)
    }
}

/// As people say it: `input "a" of node "n1"`.
pub fn name_of(side: Side, port: &Port) -> String {
    format!("{side} {:?} of node {:?}", port.port, port.node)
}

/// From an output to an input.
#[derive(Clone, PartialEq, Eq)]
pub struct Edge {
    pub from: Port,
    pub to: Port,
}

impl fmt::Debug for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} → {:?}", self.from, self.to)
    }
}

impl Edge {
    pub fn end(&self, side: Side) -> &Port {
        match side {
            Side::Input => &self.to,
            Side::Output => &self.from,
        }
    }
}

/// What edges hang on, and what takes them along when it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    Node(Key),
    Port(Side, Port),
}

impl Part {
    /// Whether `edge` hangs on it.
    pub fn holds(&self, edge: &Edge) -> bool {
        match self {
            Part::Node(node) => edge.from.node == *node || edge.to.node == *node,
            Part::Port(side, port) => edge.end(*side) == port,
        }
    }

    /// The node that it is, or is of.
    pub fn node(&self) -> &Key {
        match self {
            Part::Node(node) => node,
            Part::Port(_, port) => &port.node,
        }
    }

    pub fn has_port(&self, side: Side, port: &Port) -> bool {
        match self {
            Part::Node(node) => port.node == *node,
            Part::Port(my_side, my_port) => *my_side == side && my_port == port,
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Node(node) => write!(f, "node {node:?}"),
            Part::Port(side, port) => f.write_str(&name_of(*side, port)),
        }
    }
}

/// An edge as one of its ports sees it. The order makes ranges of a node's and of a port's edges.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Link {
    pub node: Key,
    pub side: Side,
    pub port: Key,
    pub edge: Key,
}

impl Link {
    fn new(side: Side, port: &Port, edge: &Key) -> Link {
        Link { node: port.node.clone(), side, port: port.port.clone(), edge: edge.clone() }
    }
}

/// A graph. A clone is three pointers. In the costs below, n is the number of nodes and edges in it.
#[derive(Clone, Default, PartialEq)]
pub struct GraphValue {
    nodes: OrdMap<Key, Arc<Node>>,
    edges: Edges,
    /// Two for each edge: one for each end.
    links: OrdSet<Link>,
}

/// Links say nothing that the edges do not.
impl fmt::Debug for GraphValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.nodes()).entries(self.edges()).finish()
    }
}

impl GraphValue {
    /// The node of this id. O(log n).
    pub fn node(&self, id: &str) -> Option<&Node> {
        self.nodes.get(id).map(|node| &**node)
    }

    /// All nodes, in the order of their ids.
    pub fn nodes(&self) -> impl Iterator<Item = (&Key, &Node)> {
        self.nodes.iter().map(|(id, node)| (id, &**node))
    }

    /// The edge of this id. O(log n).
    pub fn edge(&self, id: &str) -> Option<&Edge> {
        self.edges.get(id)
    }

    /// All edges, in the order of their ids.
    pub fn edges(&self) -> impl Iterator<Item = (&Key, &Edge)> {
        self.edges.iter()
    }

    /// The edge into an input. O(log n).
    pub fn edge_into(&self, input: &Port) -> Option<(&Key, &Edge)> {
        let link = self.links_from(Side::Input, &input.node, &input.port).next()?;
        let is_there = link.node == input.node && link.side == Side::Input;
        if !is_there || link.port != input.port {
            return None;
        }
        self.edges.get_key_value(&link.edge)
    }

    /// What hangs on a node or port. O(log n) for each edge that does.
    pub fn edges_on(&self, part: &Part) -> Edges {
        let links: Vec<&Link> = match part {
            Part::Node(node) => {
                let links = self.links_from(Side::Input, node, "");
                links.take_while(|link| link.node == *node).collect()
            }
            Part::Port(side, port) => {
                let links = self.links_from(*side, &port.node, &port.port);
                let mine = |link: &&Link| {
                    link.node == port.node && link.side == *side && link.port == port.port
                };
                links.take_while(mine).collect()
            }
        };
        let edge = |link: &Link| Some((link.edge.clone(), self.edges.get(&link.edge)?.clone()));
        links.into_iter().filter_map(edge).collect()
    }

    /// The links in their order.
    #[cfg(test)]
    pub fn links(&self) -> impl Iterator<Item = &Link> {
        self.links.iter()
    }

    fn links_from(&self, side: Side, node: &str, port: &str) -> impl Iterator<Item = &Link> {
        let start = Link { node: node.into(), side, port: port.into(), edge: Key::new() };
        self.links.range(start..)
    }

    /// A way from a node back to it, named at both ends; `None` if there is none.
    ///
    /// O(m log n), m being the number of edges behind the node.
    pub fn cycle_through(&self, start: &Key) -> Option<Vec<Key>> {
        let mut came_from: HashMap<&Key, &Key> = HashMap::new();
        let mut open = vec![start];
        while let Some(node) = open.pop() {
            for edge in self.edges_out_of(node) {
                let next = &edge.to.node;
                if came_from.contains_key(next) {
                    continue;
                }
                came_from.insert(next, node);
                if next == start {
                    return Some(way_back(start, &came_from));
                }
                open.push(next);
            }
        }
        None
    }

    fn edges_out_of(&self, node: &str) -> impl Iterator<Item = &Edge> {
        let links = self.links_from(Side::Output, node, "");
        let mine = links.take_while(move |link| link.node == node);
        mine.filter_map(|link| self.edges.get(&link.edge))
    }

    /// Whether no way leads from a node back to it.
    ///
    /// O(n log n): takes away what nothing leads into, until nothing is left (A. B. Kahn, Topological
    /// sorting of large networks, CACM 1962).
    pub fn is_acyclic(&self) -> bool {
        let mut into: HashMap<&str, usize> = HashMap::new();
        for edge in self.edges.values() {
            *into.entry(&edge.to.node).or_default() += 1;
        }
        let mut free: Vec<&str> =
            self.nodes.keys().map(Key::as_str).filter(|id| !into.contains_key(id)).collect();
        let mut taken = 0;
        while let Some(node) = free.pop() {
            taken += 1;
            for edge in self.edges_out_of(node) {
                let Some(left) = into.get_mut(edge.to.node.as_str()) else { continue };
                *left -= 1;
                if *left == 0 {
                    free.push(&edge.to.node);
                }
            }
        }
        taken == self.nodes.len()
    }
}

/// The way that `came_from` leads back from `end` to where it was before, and to `end` again.
fn way_back(end: &Key, came_from: &HashMap<&Key, &Key>) -> Vec<Key> {
    let mut way = vec![end.clone()];
    let mut node = end;
    while let Some(before) = came_from.get(node) {
        way.push((*before).clone());
        if *before == end {
            break;
        }
        node = before;
    }
    way.reverse();
    way
}

/// What changes are made of. Each leaves the value sound or fails, and some leave it half-way then: who
/// needs more than one of them works on a clone.
impl GraphValue {
    /// # Errors
    /// There is no such node.
    pub fn node_mut(&mut self, id: &Key) -> Result<&mut Node, Invalid> {
        self.nodes.get_mut(id).map(Arc::make_mut).ok_or_else(|| no_node(id))
    }

    /// # Errors
    /// There is one of this id.
    pub fn put_node(&mut self, id: &Key, node: Node) -> Result<(), Invalid> {
        if self.nodes.contains_key(id) {
            return Err(Invalid::Other(format!("node {id:?} is there already")));
        }
        self.nodes.insert(id.clone(), Arc::new(node));
        Ok(())
    }

    /// Takes out a node with its edges.
    ///
    /// # Errors
    /// There is no such node.
    pub fn take_node(&mut self, id: &Key) -> Result<(), Invalid> {
        self.nodes.get(id).ok_or_else(|| no_node(id))?;
        self.take_edges_on(&Part::Node(id.clone()));
        self.nodes.remove(id);
        Ok(())
    }

    /// # Errors
    /// The node is not there, or has a port of this name.
    pub fn put_port(&mut self, side: Side, port: &Port, port_type: &Key) -> Result<(), Invalid> {
        let ports = self.node_mut(&port.node)?.ports_mut(side);
        if ports.contains_key(&port.port) {
            return Err(Invalid::Other(format!("{} is there already", name_of(side, port))));
        }
        ports.insert(port.port.clone(), port_type.clone());
        Ok(())
    }

    /// Takes out a port with its edges.
    ///
    /// # Errors
    /// There is no such port.
    pub fn take_port(&mut self, side: Side, port: &Port) -> Result<(), Invalid> {
        self.port_type(side, port)?;
        self.take_edges_on(&Part::Port(side, port.clone()));
        self.node_mut(&port.node)?.ports_mut(side).remove(&port.port);
        Ok(())
    }

    /// Puts an edge between ports that are there and match, into an input that is free.
    ///
    /// # Errors
    /// One of these is not so; or there is one of this id.
    pub fn put_edge(&mut self, id: &Key, edge: &Edge) -> Result<(), Invalid> {
        if self.edges.contains_key(id) {
            return Err(Invalid::Other(format!("edge {id:?} is there already")));
        }
        let from = self.port_type(Side::Output, &edge.from)?;
        let to = self.port_type(Side::Input, &edge.to)?;
        if from != to && from != ANY && to != ANY {
            return Err(Invalid::Other(format!(
                "{} gives {from:?}, and {} takes {to:?}",
                name_of(Side::Output, &edge.from),
                name_of(Side::Input, &edge.to)
            )));
        }
        if let Some((other, _)) = self.edge_into(&edge.to) {
            let input = name_of(Side::Input, &edge.to);
            return Err(Invalid::Other(format!("{input} has edge {other:?}")));
        }
        self.edges.insert(id.clone(), edge.clone());
        for side in [Side::Input, Side::Output] {
            self.links.insert(Link::new(side, edge.end(side), id));
        }
        Ok(())
    }

    /// Takes out an edge, if it is there.
    pub fn take_edge(&mut self, id: &Key) -> Option<Edge> {
        let edge = self.edges.remove(id)?;
        for side in [Side::Input, Side::Output] {
            self.links.remove(&Link::new(side, edge.end(side), id));
        }
        Some(edge)
    }

    fn take_edges_on(&mut self, part: &Part) {
        for id in self.edges_on(part).keys() {
            self.take_edge(id);
        }
    }

    /// # Errors
    /// The node or its port is not there.
    pub fn port_type(&self, side: Side, port: &Port) -> Result<&Key, Invalid> {
        let node = self.node(&port.node).ok_or_else(|| no_node(&port.node))?;
        let no_port = || Invalid::Other(format!("{} is not there", name_of(side, port)));
        node.ports(side).get(&port.port).ok_or_else(no_port)
    }
}

fn no_node(id: &Key) -> Invalid {
    Invalid::Other(format!("node {id:?} is not there"))
}
