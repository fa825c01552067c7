//! Clients of 0.13 on a hub without sockets: each is driven by whichever thread holds it.

use std::pin::Pin;
use std::sync::Arc;

use serde_json::{Value as Json, json};
use topicsync::engine::EngineConfig;
use topicsync::server::V0_13Clients;
use topicsync::session::{Connection, Frame, Hub, Peer, SessionConfig, Worker};
use topicsync::topic::Uptime;

/// Nothing here takes long.
struct NoWorker;

impl Worker for NoWorker {
    fn run(&self, _: Box<dyn FnOnce() + Send>) {}

    fn drive(&self, _: Pin<Box<dyn Future<Output = ()> + Send>>) {}
}

/// A hub, and what its clients of 0.13 share.
#[derive(Clone)]
pub struct Place {
    pub hub: Arc<Hub>,
    clients: Arc<V0_13Clients>,
}

impl Place {
    pub fn new(engine: EngineConfig) -> Place {
        let config = SessionConfig::new(Arc::new(|| "token".into()), Arc::new(NoWorker));
        let hub = Hub::begin(config, engine, Uptime(0)).unwrap();
        Place { hub, clients: Arc::default() }
    }

    /// A client, after its hello.
    pub fn connect(&self) -> Direct<impl Peer<Message: Send> + Send + use<>> {
        let connection = self.clients.connect(&self.hub, Uptime(0)).unwrap();
        let mut direct = Direct { connection, id: 0, counter: 0 };
        let hello = direct.receive();
        direct.id = hello[0]["args"]["id"].as_u64().unwrap();
        direct
    }

    /// A client that subscribes to these topics, and what their `init`s say.
    pub fn on(&self, topics: &[&str]) -> Direct<impl Peer<Message: Send> + Send + use<>> {
        let mut direct = self.connect();
        for topic in topics {
            direct.send("subscribe", json!({"topic_name": topic}));
        }
        assert_eq!(direct.receive().len(), topics.len());
        direct
    }
}

pub struct Direct<P: Peer> {
    connection: Connection<P>,
    pub id: u64,
    counter: u64,
}

impl<P: Peer> Direct<P> {
    /// Sends a message, and returns once it is done.
    pub fn send(&mut self, kind: &str, args: Json) {
        let text = json!({"type": kind, "args": args}).to_string();
        self.connection.receive(Frame::Text(text.into())).unwrap();
        self.connection.handle(Uptime(0));
        self.connection.publish();
    }

    /// All that the server has to say by now.
    pub fn receive(&mut self) -> Vec<Json> {
        let mut messages = Vec::new();
        while let Some(frame) = self.connection.poll_outgoing() {
            let (Frame::Text(bytes) | Frame::Binary(bytes)) = frame;
            messages.push(serde_json::from_slice(&bytes).unwrap());
        }
        messages
    }

    /// As [`receive`](Self::receive): the types of the messages, and the topics that `init`s are of.
    pub fn receive_types(&mut self) -> Vec<String> {
        let name = |message: Json| match &message["args"]["topic_name"] {
            Json::String(topic) => format!("{} {topic}", message["type"].as_str().unwrap()),
            _ => message["type"].as_str().unwrap().to_owned(),
        };
        self.receive().into_iter().map(name).collect()
    }

    pub fn next_id(&mut self) -> String {
        self.counter += 1;
        format!("{}_{}", self.id, self.counter)
    }

    /// One change of a topic, under an id of its own.
    pub fn command(&mut self, topic: &str, kind: &str, change: Json) -> Json {
        let mut command = json!({"topic_name": topic, "topic_type": kind, "id": self.next_id()});
        command.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        command
    }

    /// Sends an action, and gives its id.
    pub fn act(&mut self, commands: &[Json]) -> String {
        let action_id = self.next_id();
        self.send("action", json!({"action_id": action_id, "commands": commands}));
        action_id
    }

    /// Makes one change, and gives the types of all messages that have come by then.
    pub fn change(&mut self, topic: &str, kind: &str, change: Json) -> Vec<String> {
        let command = self.command(topic, kind, change);
        self.act(&[command]);
        self.receive_types()
    }
}
