//! The changes of a graph, and how they and the value look on the wire.
//!
//! ```json
//! {"type": "add_node", "node": "sum", "value": {"kind": "add", "x": 200, "y": 40, "data": {},
//!   "inputs": {"a": "number", "b": "number"}, "outputs": {"out": "number"}}}
//! {"type": "add_edge", "edge": "e1", "from": {"node": "one", "port": "out"}, "to": {"node": "sum", "port": "a"}}
//! {"type": "move_node", "node": "sum", "x": 220, "y": 40}
//! {"type": "set_data", "node": "one", "key": "value", "value": 1}
//! {"type": "add_port", "side": "input", "node": "sum", "port": "c", "port_type": "number"}
//! {"type": "remove_port", "side": "input", "node": "sum", "port": "c"}
//! {"type": "disconnect", "node": "sum", "port": "a"}
//! {"type": "remove_edge", "edge": "e1"}
//! {"type": "remove_node", "node": "sum"}
//! {"type": "set", "value": {"nodes": {}, "edges": {}}}
//! ```
//!
//! No field is called `id` or `base`: those are the protocol's own.

use topicsync::types::TopicType;
use topicsync::value::limits::{NESTING_MAX, check_float};
use topicsync::value::{Dict, Fields, Invalid, Key, Value};

use super::value::{Edge, Edges, GraphValue, Node, Part, Port, Ports, Side};

/// How many containers hold a datum of a node: the value, its nodes, the node, its data.
const DATA_WITHIN: usize = 4;

#[derive(Debug, Clone, PartialEq)]
pub enum GraphChange {
    Set(GraphValue),
    /// Puts a node that is not there, and with it edges that hang on it. Their inputs must be free.
    AddNode {
        node: Key,
        value: Node,
        edges: Edges,
    },
    /// Takes out a node, and the edges that hang on it.
    RemoveNode {
        node: Key,
    },
    MoveNode {
        node: Key,
        x: f64,
        y: f64,
    },
    /// Puts a datum in a node, or takes it out if `value` is `None`.
    SetData {
        node: Key,
        key: Key,
        value: Option<Value>,
    },
    /// Puts a port that is not there, and with it edges that hang on it. Their inputs must be free.
    AddPort {
        side: Side,
        port: Port,
        port_type: Key,
        edges: Edges,
    },
    /// Takes out a port, and the edges that hang on it.
    RemovePort {
        side: Side,
        port: Port,
    },
    /// Puts an edge. If there is one into its input, that goes: an input takes one.
    AddEdge {
        edge: Key,
        ends: Edge,
    },
    /// Takes out an edge. Without its ends it goes without a base, as whether it hangs on something
    /// that others removed cannot be told.
    RemoveEdge {
        edge: Key,
        ends: Option<Edge>,
    },
    /// Takes out the edge into an input, whichever it is, if there is one.
    Disconnect {
        input: Port,
    },
}

use GraphChange::*;

impl GraphChange {
    /// The node or port that it takes out.
    pub fn removes(&self) -> Option<Part> {
        match self {
            RemoveNode { node } => Some(Part::Node(node.clone())),
            RemovePort { side, port } => Some(Part::Port(*side, port.clone())),
            _ => None,
        }
    }

    /// The node or port that it puts.
    pub fn puts(&self) -> Option<Part> {
        match self {
            AddNode { node, .. } => Some(Part::Node(node.clone())),
            AddPort { side, port, .. } => Some(Part::Port(*side, port.clone())),
            _ => None,
        }
    }

    /// The edges that it puts.
    pub fn edges(&self) -> Edges {
        match self {
            AddNode { edges, .. } | AddPort { edges, .. } => edges.clone(),
            AddEdge { edge, ends } => Edges::unit(edge.clone(), ends.clone()),
            _ => Edges::new(),
        }
    }

    /// A node or port put without some of its edges; another change as it is.
    #[must_use]
    pub fn keeping(&self, keep: impl Fn(&Edge) -> bool) -> GraphChange {
        let mut kept = self.clone();
        if let AddNode { edges, .. } | AddPort { edges, .. } = &mut kept
            && !edges.values().all(&keep)
        {
            let those = edges.iter().filter(|(_, edge)| keep(edge));
            *edges = those.map(|(id, edge)| (id.clone(), edge.clone())).collect();
        }
        kept
    }
}

/// Reads a change from its fields.
///
/// # Errors
/// Its shape is wrong.
pub fn decode<T: TopicType<Value = GraphValue>>(fields: &Fields) -> Result<GraphChange, Invalid> {
    let port = || {
        Ok::<_, Invalid>(Port {
            node: fields.require_key("node")?,
            port: fields.require_key("port")?,
        })
    };
    let ends = || {
        let end = |field| decode_port(field, fields.require(field)?);
        Ok::<_, Invalid>(Edge { from: end("from")?, to: end("to")? })
    };
    let number = |field| Ok::<_, Invalid>(check_float(fields.require_float(field)?)?);
    Ok(match fields.change_type() {
        "set" => Set(T::decode_value(fields.require("value")?)?),
        "add_node" => AddNode {
            node: fields.require_key("node")?,
            value: decode_node(fields.require("value")?)?,
            edges: decode_edges(fields.get("edges"))?,
        },
        "remove_node" => RemoveNode { node: fields.require_key("node")? },
        "move_node" => {
            MoveNode { node: fields.require_key("node")?, x: number("x")?, y: number("y")? }
        }
        "set_data" => {
            let value = fields.get("value");
            value.map_or(Ok(()), |value| value.check_within(NESTING_MAX - DATA_WITHIN))?;
            SetData {
                node: fields.require_key("node")?,
                key: fields.require_key("key")?,
                value: value.cloned(),
            }
        }
        "add_port" => AddPort {
            side: decode_side(fields)?,
            port: port()?,
            port_type: fields.require_key("port_type")?,
            edges: decode_edges(fields.get("edges"))?,
        },
        "remove_port" => RemovePort { side: decode_side(fields)?, port: port()? },
        "add_edge" => AddEdge { edge: fields.require_key("edge")?, ends: ends()? },
        "remove_edge" => RemoveEdge {
            edge: fields.require_key("edge")?,
            ends: match (fields.get("from"), fields.get("to")) {
                (None, None) => None,
                _ => Some(ends()?),
            },
        },
        "disconnect" => Disconnect { input: port()? },
        other => {
            let (topic_type, change_type) = (T::NAME.to_owned(), other.to_owned());
            return Err(Invalid::ChangeType { topic_type, change_type });
        }
    })
}

/// The fields of a change.
pub fn encode(change: &GraphChange) -> Fields {
    let of =
        |change_type: &str, node: &Key| Fields::of_type(change_type).with("node", node.clone());
    let of_port = |change_type: &str, port: &Port| {
        of(change_type, &port.node).with("port", port.port.clone())
    };
    let with_ends = |fields: Fields, ends: &Edge| {
        fields.with("from", encode_port(&ends.from)).with("to", encode_port(&ends.to))
    };
    let with_edges = |fields: Fields, edges: &Edges| match edges.is_empty() {
        true => fields,
        false => fields.with("edges", encode_edges(edges)),
    };
    match change {
        Set(value) => Fields::of_type("set").with("value", encode_value(value)),
        AddNode { node, value, edges } => {
            with_edges(of("add_node", node).with("value", encode_node(value)), edges)
        }
        RemoveNode { node } => of("remove_node", node),
        MoveNode { node, x, y } => of("move_node", node).with("x", *x).with("y", *y),
        SetData { node, key, value } => {
            let fields = of("set_data", node).with("key", key.clone());
            match value {
                Some(value) => fields.with("value", value.clone()),
                None => fields,
            }
        }
        AddPort { side, port, port_type, edges } => {
            let fields = of_port("add_port", port).with("side", side.to_string());
            with_edges(fields.with("port_type", port_type.clone()), edges)
        }
        RemovePort { side, port } => of_port("remove_port", port).with("side", side.to_string()),
        AddEdge { edge, ends } => {
            with_ends(Fields::of_type("add_edge").with("edge", edge.clone()), ends)
        }
        RemoveEdge { edge, ends } => {
            let fields = Fields::of_type("remove_edge").with("edge", edge.clone());
            match ends {
                Some(ends) => with_ends(fields, ends),
                None => fields,
            }
        }
        Disconnect { input } => of_port("disconnect", input),
    }
}

/// Reads a graph: `{"nodes": {…}, "edges": {…}}`. O(n log n).
///
/// # Errors
/// It is none, or an edge breaks a rule.
pub fn decode_value(value: &Value) -> Result<GraphValue, Invalid> {
    let fields = dict("a graph", value)?;
    let mut graph = GraphValue::default();
    for (id, node) in entries("nodes", fields.get("nodes"))? {
        graph.put_node(id, decode_node(node)?)?;
    }
    for (id, edge) in entries("edges", fields.get("edges"))? {
        graph.put_edge(id, &decode_edge(edge)?)?;
    }
    Ok(graph)
}

pub fn encode_value(graph: &GraphValue) -> Value {
    let nodes: Dict = graph.nodes().map(|(id, node)| (id.clone(), encode_node(node))).collect();
    let edges: Dict = graph.edges().map(|(id, edge)| (id.clone(), encode_edge(edge))).collect();
    Dict::from([("nodes", nodes.into()), ("edges", edges.into())]).into()
}

fn decode_node(value: &Value) -> Result<Node, Invalid> {
    let fields = dict("a node", value)?;
    let number = |field| match fields.get(field).map(|value| (value.as_float(), value)) {
        Some((Some(number), _)) => Ok(check_float(number)?),
        Some((None, other)) => {
            Err(Invalid::FieldType { field, expected: "a number", found: other.kind() })
        }
        None => Err(Invalid::MissingField { field }),
    };
    let data: Dict = entries("data", fields.get("data"))?
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    data.values().try_for_each(|value| value.check_within(NESTING_MAX - DATA_WITHIN))?;
    Ok(Node {
        kind: key("kind", fields.get("kind"))?,
        x: number("x")?,
        y: number("y")?,
        data,
        inputs: decode_ports("inputs", fields.get("inputs"))?,
        outputs: decode_ports("outputs", fields.get("outputs"))?,
    })
}

fn encode_node(node: &Node) -> Value {
    let ports = |ports: &Ports| -> Value {
        let entries =
            ports.iter().map(|(name, port_type)| (name.clone(), port_type.clone().into()));
        entries.collect::<Dict>().into()
    };
    Dict::from([
        ("kind", node.kind.clone().into()),
        ("x", node.x.into()),
        ("y", node.y.into()),
        ("data", node.data.clone().into()),
        ("inputs", ports(&node.inputs)),
        ("outputs", ports(&node.outputs)),
    ])
    .into()
}

fn decode_ports(field: &'static str, value: Option<&Value>) -> Result<Ports, Invalid> {
    let port = |(name, port_type): (&Key, &Value)| Ok((name.clone(), key(field, Some(port_type))?));
    entries(field, value)?.map(port).collect()
}

fn decode_edges(value: Option<&Value>) -> Result<Edges, Invalid> {
    let edge = |(id, edge): (&Key, &Value)| Ok((id.clone(), decode_edge(edge)?));
    entries("edges", value)?.map(edge).collect()
}

fn encode_edges(edges: &Edges) -> Value {
    edges.iter().map(|(id, edge)| (id.clone(), encode_edge(edge))).collect::<Dict>().into()
}

fn decode_edge(value: &Value) -> Result<Edge, Invalid> {
    let fields = dict("an edge", value)?;
    let end = |field| decode_port(field, fields.get(field).ok_or(Invalid::MissingField { field })?);
    Ok(Edge { from: end("from")?, to: end("to")? })
}

fn encode_edge(edge: &Edge) -> Value {
    Dict::from([("from", encode_port(&edge.from)), ("to", encode_port(&edge.to))]).into()
}

fn decode_port(field: &'static str, value: &Value) -> Result<Port, Invalid> {
    let Value::Dict(fields) = value else {
        return Err(Invalid::FieldType { field, expected: "a port", found: value.kind() });
    };
    Ok(Port { node: key("node", fields.get("node"))?, port: key("port", fields.get("port"))? })
}

fn encode_port(port: &Port) -> Value {
    Dict::from([("node", port.node.clone().into()), ("port", port.port.clone().into())]).into()
}

fn decode_side(fields: &Fields) -> Result<Side, Invalid> {
    match fields.require_key("side")?.as_str() {
        "input" => Ok(Side::Input),
        "output" => Ok(Side::Output),
        other => Err(Invalid::Other(format!("a side is \"input\" or \"output\", not {other:?}"))),
    }
}

fn dict<'a>(expected: &'static str, value: &'a Value) -> Result<&'a Dict, Invalid> {
    match value {
        Value::Dict(dict) => Ok(dict),
        other => Err(Invalid::ValueType { expected, found: other.kind() }),
    }
}

/// The entries of a dict that may be missing.
fn entries<'a>(
    field: &'static str,
    value: Option<&'a Value>,
) -> Result<impl Iterator<Item = (&'a Key, &'a Value)>, Invalid> {
    let dict = match value {
        None => None,
        Some(Value::Dict(dict)) => Some(dict.iter()),
        Some(other) => {
            return Err(Invalid::FieldType { field, expected: "a dict", found: other.kind() });
        }
    };
    Ok(dict.into_iter().flatten())
}

fn key(field: &'static str, value: Option<&Value>) -> Result<Key, Invalid> {
    match value {
        Some(Value::String(text)) => Ok(text.into()),
        Some(other) => Err(Invalid::FieldType { field, expected: "a string", found: other.kind() }),
        None => Err(Invalid::MissingField { field }),
    }
}
