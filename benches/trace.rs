//! How fast is typing? The automerge-paper editing trace, 259,778 keystrokes in one text, each a
//! change that is versioned and logged.
//!
//! `topic` decides each change at the topic; `engine, typed` submits and publishes it, with nobody
//! subscribed; `engine, fields` also reads it from the fields of a message. What a keystroke is made
//! of is read from the trace beforehand; that the log is dropped is not counted.

mod common;
#[path = "common/workloads.rs"]
mod workloads;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use smallvec::SmallVec;
use topicsync::engine::{Author, ChangeBody, Engine, EngineConfig, Submission, Submitted};
use topicsync::topic::{ClientId, Topic, TopicName, TopicOptions};
use topicsync::types::String as TextType;
use topicsync::types::{AnyChange, AnyValue, TopicType, TypeRef};
use topicsync::value::Fields;
use workloads::Trace;

fn check(trace: &Trace, value: &AnyValue) {
    assert!(*value.get::<TextType>().unwrap() == *trace.end_content.as_str());
}

/// An engine with one text in it, and somebody to change it.
struct Host {
    engine: Engine,
    author: Author,
    topic: TopicName,
}

impl Host {
    fn new() -> Host {
        let engine = Engine::new(EngineConfig::default());
        let topic = TopicName::new("text").unwrap();
        engine.open(&topic, Some("string"), TopicOptions::default()).unwrap();
        Host { engine, author: Author::new(ClientId(1), None), topic }
    }

    fn submit(&self, change: ChangeBody) {
        let topic = self.topic.clone();
        let change = Submitted { topic, epoch: None, change, id: None, base: None };
        let changes = SmallVec::from_iter([change]);
        let submission = Submission { action_id: None, changes };
        assert!(self.engine.submit_now(&self.author, submission).is_ok());
    }

    fn value(&self) -> AnyValue {
        self.engine.get(&self.topic).unwrap().snapshot().value
    }
}

fn typing(criterion: &mut Criterion) {
    let Some(trace) = Trace::read() else { return };
    let changes = trace.changes();
    let fields: Vec<Fields> = changes.iter().map(TextType::encode_change).collect();

    let mut group = criterion.benchmark_group("trace");
    group.sample_size(10).throughput(Throughput::Elements(changes.len() as u64));
    group.bench_function("topic", |bencher| {
        bencher.iter_batched(
            || changes.clone(),
            |changes| {
                let mut topic = Topic::new(TypeRef::of::<TextType>());
                for change in changes {
                    common::accept(&mut topic, AnyChange::new::<TextType>(change));
                }
                check(&trace, topic.value());
                topic
            },
            BatchSize::PerIteration,
        );
    });
    group.bench_function("engine, typed", |bencher| {
        bencher.iter_batched(
            || changes.clone(),
            |changes| {
                let host = Host::new();
                for change in changes {
                    host.submit(ChangeBody::Typed(AnyChange::new::<TextType>(change)));
                }
                check(&trace, &host.value());
                host
            },
            BatchSize::PerIteration,
        );
    });
    group.bench_function("engine, fields", |bencher| {
        bencher.iter_batched(
            || fields.clone(),
            |fields| {
                let host = Host::new();
                for fields in fields {
                    host.submit(ChangeBody::Fields(fields));
                }
                check(&trace, &host.value());
                host
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group! { name = benches; config = common::criterion(); targets = typing }
criterion_main!(benches);
