//! What does it cost to tell everybody? Changes are submitted, published in groups and queued for
//! 1, 100 and 1,000 subscribers; each then takes what waits for it, as its connection would.
//!
//! Half of the subscribers read JSON, half MessagePack, so that each group is encoded twice. Sockets
//! are not part of it.

mod common;

use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use topicsync::engine::{Author, Engine, EngineConfig, Group, Submission, Submitted};
use topicsync::protocol::Encoding;
use topicsync::server::outbox::{Outbox, Work};
use topicsync::topic::{ClientId, Keep, TopicName, TopicOptions};
use topicsync::types::dict::{Dict, DictChange};
use topicsync::value::{Dict as DictValue, Value};

/// What may wait for a subscriber; more than one group needs.
const QUEUE_BYTES: usize = 1 << 20;

/// A topic of nodes that are dragged, and those who watch.
struct Scene {
    engine: Engine,
    author: Author,
    topic: TopicName,
    outboxes: Vec<Arc<Outbox>>,
    moves: i64,
}

impl Scene {
    fn new(subscribers: usize) -> Scene {
        let engine = Engine::new(EngineConfig::default());
        let topic = TopicName::new("graph/nodes").unwrap();
        // The log is kept short, that memory does not grow with the time measured.
        let options = TopicOptions { keep: Keep::Versions(1_000), ..TopicOptions::default() };
        let cell = engine.open(&topic, Some("dict"), options).unwrap();
        let client = |index| ClientId(index as u64 + 2);
        let encoding = |index| Encoding::ALL[index % Encoding::ALL.len()];
        let outboxes: Vec<Arc<Outbox>> = (0..subscribers)
            .map(|index| Arc::new(Outbox::new(client(index), encoding(index), QUEUE_BYTES)))
            .collect();
        outboxes.iter().for_each(|outbox| cell.attach(outbox.clone()));
        let mut scene =
            Scene { engine, author: Author::new(ClientId(1), None), topic, outboxes, moves: 0 };
        let mut group = Group::default();
        scene.submit(DictChange::Add { key: "node-17".into(), value: Value::Null }, &mut group);
        scene.engine.publish(&mut group);
        scene.empty_queues();
        scene
    }

    fn submit(&mut self, change: DictChange, group: &mut Group) {
        let change = Submitted::typed::<Dict>(self.topic.clone(), change);
        let submission = Submission { action_id: None, changes: [change].into_iter().collect() };
        assert!(self.engine.submit(&self.author, submission, group).is_ok());
    }

    /// Drags a node through as many places, publishes these at once, and empties every queue.
    fn drag(&mut self, places: usize) {
        let mut group = Group::default();
        for _ in 0..places {
            self.moves += 1;
            let node = [("x", self.moves.into()), ("y", 96.25.into()), ("label", "Noise".into())];
            let value = Value::Dict(DictValue::from(node));
            self.submit(DictChange::ChangeValue { key: "node-17".into(), value }, &mut group);
        }
        self.engine.publish(&mut group);
        self.empty_queues();
    }

    fn empty_queues(&self) {
        for outbox in &self.outboxes {
            assert!(matches!(outbox.take(usize::MAX), Work::Write(frames) if !frames.is_empty()));
        }
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
