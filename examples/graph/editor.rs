//! What a node editor does, as it sees the graph.
//!
//! A drag, and what is typed into a field, simply win: they go without a base. All else goes with one, so
//! that a wire is never put on what somebody else has just removed or connected.

use std::error::Error;

use topicsync::client::{Client, LocalError, Pending, Topic};
use topicsync::topic::TopicOptions;
use topicsync::value::{Key, Value};

use crate::change::GraphChange::{self, *};
use crate::graph::Acyclic;
use crate::value::{Edge, Edges, Node, Port};

type Made = Result<Pending, LocalError>;

/// One person's editor of one graph.
pub struct Editor {
    pub client: Client,
    pub graph: Topic<Acyclic>,
}

impl Editor {
    /// # Errors
    /// The topic has another type, or cannot be had.
    pub async fn open(url: &str, topic: &str) -> Result<Editor, Box<dyn Error>> {
        let client = Client::connect(url)?;
        let graph = client.topic(topic, TopicOptions::default())?;
        graph.ready().await?;
        Ok(Editor { client, graph })
    }

    pub fn add(&self, id: &str, node: Node) -> Made {
        self.make(AddNode { node: id.into(), value: node, edges: Edges::new() })
    }

    pub fn remove(&self, node: &str) -> Made {
        self.make(RemoveNode { node: node.into() })
    }

    pub fn drag(&self, node: &str, x: f64, y: f64) -> Made {
        self.graph.overwrite(&MoveNode { node: node.into(), x, y })
    }

    pub fn write(&self, node: &str, key: &str, value: impl Into<Value>) -> Made {
        let value = Some(value.into());
        self.graph.overwrite(&SetData { node: node.into(), key: key.into(), value })
    }

    /// Puts a wire, named after its input: `connect("sum.out", "show.in")`.
    pub fn connect(&self, from: &str, to: &str) -> Made {
        let ends = Edge { from: port(from), to: port(to) };
        self.make(AddEdge { edge: Key::from(format!("{from}-{to}")), ends })
    }

    fn make(&self, change: GraphChange) -> Made {
        self.graph.change(&change)
    }
}

fn port(name: &str) -> Port {
    let (node, port) = name.split_once('.').unwrap_or((name, ""));
    Port::new(node, port)
}
