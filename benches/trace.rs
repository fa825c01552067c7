//! How fast is typing? The automerge-paper editing trace, 259,778 keystrokes in one text, each a
//! change that is versioned and logged.
//!
//! `topic` decides each change at the topic; `engine, typed` submits and publishes it, with nobody
//! subscribed; `engine, fields` also reads it from the fields of a message. What a keystroke is made
//! of is read from the trace beforehand; that the log is dropped is not counted.

mod common;

use std::fs::File;
use std::io::BufReader;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use flate2::bufread::GzDecoder;
use serde::Deserialize;
use smallvec::SmallVec;
use topicsync::engine::{Author, ChangeBody, Engine, EngineConfig, Submission, Submitted};
use topicsync::topic::{ClientId, Topic, TopicName, TopicOptions};
use topicsync::types::edit::{Deletion, Edit};
use topicsync::types::string::{String as TextType, StringChange};
use topicsync::types::{AnyChange, AnyValue, TopicType, TypeRef};
use topicsync::value::Fields;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/traces/automerge-paper.json.gz");

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Trace {
    end_content: String,
    txns: Vec<Transaction>,
}

#[derive(Deserialize)]
struct Transaction {
    /// Position, how many code points are deleted there, and what is inserted.
    patches: Vec<(usize, usize, String)>,
}

impl Trace {
    /// `None`, and a word on it, where the file is not there.
    fn read() -> Option<Trace> {
        let file = match File::open(PATH) {
            Ok(file) => file,
            Err(error) => {
                println!("trace: skipped, as the trace cannot be read ({PATH}: {error})");
                return None;
            }
        };
        let json = BufReader::new(GzDecoder::new(BufReader::new(file)));
        Some(serde_json::from_reader(json).expect("the trace is JSON of its known shape"))
    }

    fn changes(&self) -> Vec<StringChange> {
        let patches = self.txns.iter().flat_map(|transaction| &transaction.patches);
        let change = |(position, deleted, inserted): &(usize, usize, String)| {
            let mut edit = Edit::default();
            edit.retain(*position);
            edit.delete(Deletion::of_len(*deleted));
            edit.insert(inserted.as_str().into());
            StringChange::Edit(edit.finish())
        };
        patches.map(change).collect()
    }

    fn check(&self, value: &AnyValue) {
        assert!(*value.get::<TextType>().unwrap() == *self.end_content.as_str());
    }
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
                trace.check(topic.value());
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
                trace.check(&host.value());
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
                trace.check(&host.value());
                host
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group! { name = benches; config = common::criterion(); targets = typing }
criterion_main!(benches);
