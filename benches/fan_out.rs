//! What does it cost to tell everybody? Changes are submitted, published in groups and queued for
//! 1, 100 and 1,000 subscribers; each connection is then drained of its frames, as its socket would.
//!
//! Half of the subscribers read JSON, half MessagePack, so that each group is encoded twice. Sockets
//! are not part of it.

mod common;

use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use topicsync::engine::{Author, EngineConfig, Group, Submission, Submitted};
use topicsync::protocol::Encoding;
use topicsync::session::{Connection, Frame, Hub, Native, SessionConfig, Worker};
use topicsync::topic::{ClientId, Keep, TopicName, TopicOptions, Uptime};
use topicsync::types::{Dict, DictChange};
use topicsync::value::{Dict as DictValue, Value};

/// A topic of nodes that are dragged, and those who watch.
struct Scene {
    hub: Arc<Hub>,
    author: Author,
    topic: TopicName,
    connections: Vec<Connection<Native>>,
    moves: i64,
}

/// Nothing here takes long.
struct NoWorker;

impl Worker for NoWorker {
    fn run(&self, job: Box<dyn FnOnce() + Send>) {
        job();
    }

    fn drive(&self, _: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>) {}
}

impl Scene {
    fn new(subscribers: usize) -> Scene {
        let config = SessionConfig::new(Arc::new(|| "token".into()), Arc::new(NoWorker));
        let hub = Hub::begin(config, EngineConfig::default(), Uptime(0)).unwrap();
        let topic = TopicName::new("graph/nodes").unwrap();
        // The log is kept short, that memory does not grow with the time measured.
        let options = TopicOptions { keep: Keep::Versions(1_000), ..TopicOptions::default() };
        hub.engine().open(&topic, Some("dict"), options).unwrap();
        let connect = |index| {
            let encoding = Encoding::ALL[index % Encoding::ALL.len()];
            let peer = Native::new(Some(encoding));
            let mut connection = Connection::open(&hub, peer, Uptime(0)).unwrap();
            connection.receive(subscribe(encoding)).unwrap();
            connection.handle(Uptime(0));
            while connection.poll_outgoing().is_some() {}
            connection
        };
        let connections = (0..subscribers).map(connect).collect();
        let author = Author::new(ClientId(1 << 40), None);
        let mut scene = Scene { hub, author, topic, connections, moves: 0 };
        let mut group = Group::default();
        scene.submit(DictChange::Add { key: "node-17".into(), value: Value::Null }, &mut group);
        scene.hub.engine().publish(&mut group);
        scene.drain();
        scene
    }

    fn submit(&mut self, change: DictChange, group: &mut Group) {
        let change = Submitted::typed::<Dict>(self.topic.clone(), change);
        let submission = Submission { action_id: None, changes: [change].into_iter().collect() };
        assert!(self.hub.engine().submit(&self.author, submission, group).is_ok());
    }

    /// Drags a node through as many places, publishes these at once, and drains every connection.
    fn drag(&mut self, places: usize) {
        let mut group = Group::default();
        for _ in 0..places {
            self.moves += 1;
            let node = [("x", self.moves.into()), ("y", 96.25.into()), ("label", "Noise".into())];
            let value = Value::Dict(DictValue::from(node));
            self.submit(DictChange::ChangeValue { key: "node-17".into(), value }, &mut group);
        }
        self.hub.engine().publish(&mut group);
        self.drain();
    }

    fn drain(&mut self) {
        for connection in &mut self.connections {
            assert!(connection.poll_outgoing().is_some());
            while connection.poll_outgoing().is_some() {}
        }
    }
}

/// The frame by which a client subscribes.
fn subscribe(encoding: Encoding) -> Frame {
    let message =
        serde_json::json!({"type": "subscribe", "content": {"topic_name": "graph/nodes"}});
    match encoding {
        Encoding::Json => Frame::Text(message.to_string().into()),
        Encoding::MessagePack => Frame::Binary(rmp_serde::to_vec(&message).unwrap().into()),
    }
}

fn fan_out(criterion: &mut Criterion) {
    for places in [1, 64] {
        let mut group = criterion.benchmark_group(format!("fan_out, groups of {places}"));
        for subscribers in [1, 100, 1_000] {
            let mut scene = Scene::new(subscribers);
            group.throughput(Throughput::Elements((places * subscribers) as u64));
            group.bench_function(BenchmarkId::new("subscribers", subscribers), |bencher| {
                bencher.iter(|| scene.drag(places));
            });
        }
        group.finish();
    }
}

criterion_group! { name = benches; config = common::criterion(); targets = fan_out }
criterion_main!(benches);
