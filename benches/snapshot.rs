//! What does it cost to join? A list of 100,000 nodes: taking a snapshot of it, encoding that once
//! for all who join, and decoding it on a client.

mod common;

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use topicsync::engine::{Author, Engine, EngineConfig, Item, Submission, Submitted, TopicCell};
use topicsync::protocol::{Encoding, ServerMessage};
use topicsync::protocol::{Frame, decode_binary, decode_text};
use topicsync::session::encode_items;
use topicsync::topic::{ClientId, TopicName, TopicOptions};
use topicsync::types::{AnyValue, TypeRef};
use topicsync::types::{List, ListChange};
use topicsync::value::{Dict, Value};

const ITEMS: i64 = 100_000;

fn topic() -> Arc<TopicCell> {
    let engine = Engine::new(EngineConfig::default());
    let name = TopicName::new("graph/nodes").unwrap();
    let topic = engine.open(&name, Some("list"), TopicOptions::default()).unwrap();
    let node = |id: i64| Value::Dict(Dict::from([("id", id.into()), ("label", "Noise".into())]));
    let set = Submitted::typed::<List>(name, ListChange::Set((0..ITEMS).map(node).collect()));
    let submission = Submission { action_id: None, changes: [set].into_iter().collect() };
    assert!(engine.submit_now(&Author::new(ClientId::SERVER, None), submission).is_ok());
    topic
}

fn item(topic: &Arc<TopicCell>) -> Item {
    let snapshot = topic.snapshot();
    Item::snapshot(topic, snapshot.commit, snapshot.version, snapshot.value)
}

fn decode(frame: &[u8], encoding: Encoding) -> AnyValue {
    let frame = match encoding {
        Encoding::Json => decode_text(std::str::from_utf8(frame).unwrap()),
        Encoding::MessagePack => decode_binary(frame),
    };
    let Ok(Frame::One(message)) = frame else { panic!("it is one message") };
    let Ok(ServerMessage::Update(update)) = message.server() else { panic!("it is an update") };
    let value = update.part.change.fields.require("value").unwrap();
    TypeRef::of::<List>().decode_value(value).unwrap()
}

fn snapshot(criterion: &mut Criterion) {
    let topic = topic();
    let mut group = criterion.benchmark_group("snapshot");
    group.bench_function("take", |bencher| bencher.iter(|| black_box(&topic).snapshot()));
    for (encoding, name) in [(Encoding::Json, "json"), (Encoding::MessagePack, "msgpack")] {
        let items = [item(&topic)];
        let encoded = encode_items(&items, encoding);
        group.throughput(Throughput::Bytes(encoded.bytes.len() as u64));
        group.bench_function(format!("encode {name}"), |bencher| {
            bencher.iter(|| encode_items(black_box(&items), encoding));
        });
        let frame = encoded.bytes.clone();
        assert_eq!(decode(&frame, encoding), topic.snapshot().value);
        group.bench_function(format!("decode {name}"), |bencher| {
            bencher.iter_with_large_drop(|| decode(black_box(&frame), encoding));
        });
    }
    group.finish();
}

criterion_group! { name = benches; config = common::criterion(); targets = snapshot }
criterion_main!(benches);
