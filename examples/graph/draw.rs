//! A graph as text: each node, what is set in it, and what leads to and from it.

use std::fmt::{self, Display};

use crate::value::{GraphValue, Node, Part, Port, Side};

/// Shows a graph, the leftmost node first.
pub struct Drawing<'a>(pub &'a GraphValue);

impl Display for Drawing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut nodes: Vec<_> = self.0.nodes().collect();
        nodes.sort_by(|(_, a), (_, b)| (a.x, a.y).partial_cmp(&(b.x, b.y)).expect("finite"));
        for (id, node) in nodes {
            writeln!(f, "┌ {id}: {} at {}, {}", node.kind, node.x, node.y)?;
            for (key, value) in node.data.iter() {
                writeln!(f, "│ {key} = {value:?}")?;
            }
            self.ports(f, id, node, Side::Input)?;
            self.ports(f, id, node, Side::Output)?;
            writeln!(f, "└")?;
        }
        Ok(())
    }
}

impl Drawing<'_> {
    fn ports(&self, f: &mut fmt::Formatter<'_>, id: &str, node: &Node, side: Side) -> fmt::Result {
        for (name, port_type) in node.ports(side) {
            let port = Port::new(id, name.clone());
            let edges = self.0.edges_on(&Part::Port(side, port));
            let others = edges.values().map(|edge| match side {
                Side::Input => format!("{:?}", edge.from),
                Side::Output => format!("{:?}", edge.to),
            });
            let others = others.collect::<Vec<_>>().join(", ");
            match (side, others.is_empty()) {
                (Side::Input, true) => writeln!(f, "○ {name} ({port_type})")?,
                (Side::Input, false) => writeln!(f, "● {name} ({port_type}) ◄── {others}")?,
                (Side::Output, true) => writeln!(f, "│ {name} ({port_type}) ○")?,
                (Side::Output, false) => writeln!(f, "│ {name} ({port_type}) ●──► {others}")?,
            }
        }
        Ok(())
    }
}
