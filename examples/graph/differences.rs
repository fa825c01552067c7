//! The changes between two graphs, where a snapshot jumped over how one became the other.
//!
//! A client that was away for long gets a snapshot, and carries what it has not sent yet over these: the
//! finer they are, the more of it survives.

use topicsync::types::TopicType;
use topicsync::value::Key;

use super::change::GraphChange::{self, *};
use super::value::{Edges, GraphValue, Node, Port, Side};

/// What leads from `from` to `to`: first all that goes, then nodes and ports, then edges. What stays in
/// between is in both, so no rule of either is broken on the way. O(n log n).
pub fn differences<T: TopicType<Value = GraphValue, Change = GraphChange>>(
    from: &GraphValue,
    to: &GraphValue,
) -> Option<Vec<GraphChange>> {
    let mut walk = Walk { now: from.clone(), changes: Vec::new() };
    for (node, old) in from.nodes() {
        match to.node(node).filter(|new| new.kind == old.kind) {
            None => walk.make::<T>(RemoveNode { node: node.clone() })?,
            Some(new) => walk.take_ports::<T>(node, old, new)?,
        }
    }
    for (edge, ends) in from.edges() {
        if walk.now.edge(edge).is_some() && to.edge(edge) != Some(ends) {
            walk.make::<T>(RemoveEdge { edge: edge.clone(), ends: Some(ends.clone()) })?;
        }
    }
    for (node, new) in to.nodes() {
        match walk.now.node(node).cloned() {
            None => {
                let (node, value) = (node.clone(), new.clone());
                walk.make::<T>(AddNode { node, value, edges: Edges::new() })?;
            }
            Some(old) => walk.write::<T>(node, &old, new)?,
        }
    }
    for (edge, ends) in to.edges() {
        if walk.now.edge(edge).is_none() {
            walk.make::<T>(AddEdge { edge: edge.clone(), ends: ends.clone() })?;
        }
    }
    Some(walk.changes)
}

struct Walk {
    now: GraphValue,
    changes: Vec<GraphChange>,
}

impl Walk {
    fn make<T: TopicType<Value = GraphValue, Change = GraphChange>>(
        &mut self,
        change: GraphChange,
    ) -> Option<()> {
        T::apply(&mut self.now, &change).ok()?;
        self.changes.push(change);
        Some(())
    }

    /// Takes out ports that are not in `new`, or have another type there.
    fn take_ports<T: TopicType<Value = GraphValue, Change = GraphChange>>(
        &mut self,
        node: &Key,
        old: &Node,
        new: &Node,
    ) -> Option<()> {
        for side in [Side::Input, Side::Output] {
            let stays = |(name, its): &(&Key, &Key)| new.ports(side).get(*name) == Some(its);
            for (name, _) in old.ports(side).iter().filter(|port| !stays(port)) {
                let port = Port::new(node.clone(), name.clone());
                self.make::<T>(RemovePort { side, port })?;
            }
        }
        Some(())
    }

    /// Puts a node's new ports, its position and its data.
    fn write<T: TopicType<Value = GraphValue, Change = GraphChange>>(
        &mut self,
        node: &Key,
        old: &Node,
        new: &Node,
    ) -> Option<()> {
        for side in [Side::Input, Side::Output] {
            let is_new = |name: &Key| !old.ports(side).contains_key(name);
            for (name, port_type) in new.ports(side).iter().filter(|(name, _)| is_new(name)) {
                let (port, port_type) = (Port::new(node.clone(), name.clone()), port_type.clone());
                self.make::<T>(AddPort { side, port, port_type, edges: Edges::new() })?;
            }
        }
        if (old.x, old.y) != (new.x, new.y) {
            self.make::<T>(MoveNode { node: node.clone(), x: new.x, y: new.y })?;
        }
        let gone = old.data.keys().filter(|key| !new.data.contains_key(key)).map(|key| (key, None));
        let put = new.data.iter().filter(|(key, value)| old.data.get(key) != Some(value));
        for (key, value) in gone.chain(put.map(|(key, value)| (key, Some(value.clone())))) {
            self.make::<T>(SetData { node: node.clone(), key: key.clone(), value })?;
        }
        Some(())
    }
}
