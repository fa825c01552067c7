//! Any bytes as frames of two clients of topicsync 0.13: nothing panics, and what the clients make of what
//! they are told is what the server has.
//!
//! Lines are frames. The first byte of a line says which client sends it, and whether the client reads
//! before.

#![no_main]

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use libfuzzer_sys::fuzz_target;
use serde_json::{Value as Json, json};
use topicsync::engine::EngineConfig;
use topicsync::server::V0_13Clients;
use topicsync::session::{Connection, Frame, Hub, Peer, SessionConfig, Worker};
use topicsync::topic::{Epoch, Timestamp, Uptime};
use topicsync::value::Value;

/// How many frames one input sends at most.
const FRAMES_MAX: usize = 64;
const TOPIC_LIST: &str = "_topicsync/topic_list";

fuzz_target!(|bytes: &[u8]| {
    let jobs = Arc::new(Jobs::default());
    let hub = hub(&jobs);
    let clients: Arc<V0_13Clients> = Arc::default();
    let connect = |_| Client::new(clients.connect(&hub, Uptime(0)).expect("there is room"));
    let mut sides = [0, 1].map(connect);
    for line in bytes.split(|byte| *byte == b'\n').take(FRAMES_MAX) {
        let Some((first, frame)) = line.split_first() else { continue };
        let side = &mut sides[usize::from(first & 1)];
        if first & 2 != 0 {
            side.read();
        }
        side.send(frame);
        jobs.run_all();
    }
    // Buffered topics tell what they are by now, and then both clients know all there is.
    hub.engine().tick();
    sides.iter_mut().for_each(Client::read);
    sides.iter_mut().for_each(Client::check);
});

/// What takes long is done between two frames.
#[derive(Default)]
struct Jobs(Mutex<Vec<Box<dyn FnOnce() + Send>>>);

impl Jobs {
    fn run_all(&self) {
        let jobs = std::mem::take(&mut *self.0.lock().unwrap());
        jobs.into_iter().for_each(|job| job());
    }
}

struct JobQueue(Arc<Jobs>);

impl Worker for JobQueue {
    fn run(&self, job: Box<dyn FnOnce() + Send>) {
        self.0.0.lock().unwrap().push(job);
    }

    fn drive(&self, _: Pin<Box<dyn Future<Output = ()> + Send>>) {}
}

/// A hub that does the same for the same input.
fn hub(jobs: &Arc<Jobs>) -> Arc<Hub> {
    let epochs = AtomicU64::new(0);
    let next_epoch = move || Epoch::new(epochs.fetch_add(1, Ordering::Relaxed).to_string());
    let engine = EngineConfig {
        clock: Arc::new(|| Timestamp(1)),
        epochs: Arc::new(move || next_epoch().expect("a number is short")),
        ..EngineConfig::default()
    };
    let worker = Arc::new(JobQueue(jobs.clone()));
    let config = SessionConfig::new(Arc::new(|| "token".into()), worker);
    Hub::begin(config, engine, Uptime(0)).expect("a journal in memory can be read")
}

/// A topic as a client has it.
#[derive(Debug)]
struct Topic {
    value: Json,
    /// Of a text.
    version: Json,
}

/// A client that applies whatever it is told.
struct Client<P: Peer> {
    /// `None` once the server has closed it.
    connection: Option<Connection<P>>,
    topics: BTreeMap<String, Topic>,
}

impl<P: Peer> Client<P> {
    fn new(connection: Connection<P>) -> Client<P> {
        let mut client = Client { connection: Some(connection), topics: BTreeMap::new() };
        client.subscribe(TOPIC_LIST);
        client
    }

    fn subscribe(&mut self, topic: &str) {
        let message = json!({"type": "subscribe", "args": {"topic_name": topic}});
        self.send(message.to_string().as_bytes());
        self.read();
    }

    fn send(&mut self, frame: &[u8]) {
        let message: Json = serde_json::from_slice(frame).unwrap_or_default();
        let unsubscribes = message["type"] == "unsubscribe";
        if unsubscribes {
            self.read();
        }
        let Some(connection) = &mut self.connection else { return };
        if connection.receive(Frame::Text(frame.to_vec().into())).is_err() {
            self.connection = None;
            return;
        }
        connection.handle(Uptime(0));
        connection.publish();
        if unsubscribes {
            self.read();
            self.topics.remove(message["args"]["topic_name"].as_str().unwrap_or_default());
        }
    }

    /// Takes all that the server has to say.
    fn read(&mut self) {
        while let Some(frame) = self.connection.as_mut().and_then(Connection::poll_outgoing) {
            let (Frame::Text(bytes) | Frame::Binary(bytes)) = frame;
            let message: Json = serde_json::from_slice(&bytes).expect("the server writes JSON");
            let args = &message["args"];
            match message["type"].as_str() {
                Some("init") => {
                    let name = args["topic_name"].as_str().expect("a name").to_owned();
                    let (value, version) = (args["value"].clone(), args["id"].clone());
                    self.topics.insert(name, Topic { value, version });
                }
                Some("update") => {
                    for change in args["changes"].as_array().expect("changes") {
                        let name = change["topic_name"].as_str().expect("a name");
                        if let Some(topic) = self.topics.get_mut(name) {
                            topic.apply(change);
                        }
                    }
                }
                Some("hello" | "reject" | "response") => {}
                _ => panic!("the deployed client throws at {message}"),
            }
        }
    }

    /// Compares what the client has with what it is told when it asks.
    fn check(&mut self) {
        // Without the topic list, a client is not told of a topic that is made again.
        if !self.topics.contains_key(TOPIC_LIST) {
            return;
        }
        let own = std::mem::take(&mut self.topics);
        for (name, topic) in own {
            self.subscribe(&name);
            if let Some(told) = self.topics.get(&name) {
                assert!(topic.is_like(told), "{name}: {topic:?} here, {told:?} there");
            }
        }
    }
}

impl Topic {
    /// Whether both hold the same: numbers by value, sets in any order.
    fn is_like(&self, other: &Topic) -> bool {
        let sorted = |value: &Json| match Value::from(value.clone()) {
            Value::List(items) => {
                let mut items: Vec<Value> = items.iter().cloned().collect();
                items.sort();
                Value::List(items.into_iter().collect())
            }
            other => other,
        };
        self.version == other.version && sorted(&self.value) == sorted(&other.value)
    }

    fn apply(&mut self, change: &Json) {
        let field = |name: &str| change[name].clone();
        let key = || change["key"].as_str().expect("a key").to_owned();
        let at = || change["position"].as_u64().expect("a position") as usize;
        let kind = change["topic_type"].as_str().expect("a type");
        match (kind, change["type"].as_str().expect("a type"), &mut self.value) {
            (kind, "set", value) => {
                *value = field("value");
                if kind == "string" {
                    self.version = field("id");
                }
            }
            ("string", edit, Json::String(text)) => {
                assert_eq!(change["topic_version"], self.version, "the deployed client throws");
                let of = |name: &str| change[name].as_str().expect("a text").encode_utf16();
                let mut units: Vec<u16> = text.encode_utf16().collect();
                if edit == "insert" {
                    units.splice(at()..at(), of("insertion"));
                } else {
                    let deletion: Vec<u16> = of("deletion").collect();
                    let range = at()..at() + deletion.len();
                    assert_eq!(units[range.clone()], deletion, "{change}");
                    units.drain(range);
                }
                *text = String::from_utf16(&units).expect("no half characters");
                self.version = field("result_topic_version");
            }
            ("list", "insert", Json::Array(items)) => items.insert(at(), field("item")),
            ("list", "pop", Json::Array(items)) => drop(items.remove(at())),
            ("set", "append", Json::Array(items)) => items.push(field("item")),
            ("set", "remove", Json::Array(items)) => {
                let gone = Value::from(field("item"));
                items.retain(|item| Value::from(item.clone()) != gone);
            }
            ("dict", "pop", Json::Object(entries)) => {
                entries.remove(&key()).expect("the key is there");
            }
            ("dict", _, Json::Object(entries)) => drop(entries.insert(key(), field("value"))),
            ("int", "add", value) => {
                let sum = |value: &Json| value.as_i64().expect("a whole number");
                *value = json!(sum(value) + sum(&change["value"]));
            }
            ("float", "add", value) => {
                let sum = |value: &Json| value.as_f64().expect("a number");
                *value = json!(sum(value) + sum(&change["value"]));
            }
            ("event", "emit", _) => {}
            _ => panic!("a topic like {self:?} has no {change}"),
        }
    }
}
