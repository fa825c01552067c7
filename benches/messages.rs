//! What does a message cost? A change of about 150 bytes, read from a frame and written to one, in
//! both encodings.
//!
//! `decode` goes from the frame to the typed change of its topic, `encode` from a published item to
//! the frame that all its subscribers share.

mod common;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use topicsync::engine::{Body, Engine, EngineConfig, Item, Part};
use topicsync::protocol::{ClientMessage, SentChange, TopicChange};
use topicsync::protocol::{Encoding, encode};
use topicsync::protocol::{Frame, decode_binary, decode_text};
use topicsync::session::encode_items;
use topicsync::topic::{ChangeId, ClientId, CommitNumber, TopicName, TopicOptions, Version};
use topicsync::types::{AnyChange, TopicType, TypeRef};
use topicsync::types::{Dict, DictChange};
use topicsync::value::{Dict as DictValue, Value};

/// A node of an editor, as it is dragged.
fn node_moved() -> DictChange {
    let node = [("x", 412.5.into()), ("y", 96.25.into()), ("label", "Noise".into())];
    DictChange::ChangeValue { key: "node-17".into(), value: Value::Dict(DictValue::from(node)) }
}

fn topic_name() -> TopicName {
    TopicName::new("graph/nodes").unwrap()
}

fn frame(encoding: Encoding) -> Vec<u8> {
    let change = SentChange {
        fields: Dict::encode_change(&node_moved()),
        id: Some(ChangeId::of(ClientId(12), 1042)),
        base: None,
    };
    let update = TopicChange { topic_name: topic_name(), epoch: None, change };
    encode(&ClientMessage::Update(update), encoding)
}

fn decode(frame: &[u8], encoding: Encoding) -> AnyChange {
    let frame = match encoding {
        Encoding::Json => decode_text(std::str::from_utf8(frame).unwrap()),
        Encoding::MessagePack => decode_binary(frame),
    };
    let Ok(Frame::One(message)) = frame else { panic!("it is one message") };
    let Ok(ClientMessage::Update(update)) = message.client() else { panic!("it is an update") };
    TypeRef::of::<Dict>().decode_change(&update.change.fields).unwrap()
}

fn published() -> Item {
    let engine = Engine::new(EngineConfig::default());
    let topic = engine.open(&topic_name(), Some("dict"), TopicOptions::default()).unwrap();
    let part = Part {
        topic,
        version: Version(1043),
        id: Some(ChangeId::of(ClientId(12), 1042)),
        body: Body::Change(Some(AnyChange::new::<Dict>(node_moved()))),
    };
    Item {
        commit: CommitNumber(8412),
        author: Some(ClientId(12)),
        action: None,
        parts: [part].into_iter().collect(),
        composed: None,
    }
}

fn messages(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("messages");
    for (encoding, name) in [(Encoding::Json, "json"), (Encoding::MessagePack, "msgpack")] {
        let frame = frame(encoding);
        assert_eq!(decode(&frame, encoding).get::<Dict>(), Some(&node_moved()));
        group.throughput(Throughput::Bytes(frame.len() as u64));
        group.bench_function(format!("decode {name}"), |bencher| {
            bencher.iter(|| decode(black_box(&frame), encoding));
        });
        let items = [published()];
        group.throughput(Throughput::Bytes(encode_items(&items, encoding).bytes.len() as u64));
        group.bench_function(format!("encode {name}"), |bencher| {
            bencher.iter(|| encode_items(black_box(&items), encoding));
        });
    }
    group.finish();
}

criterion_group! { name = benches; config = common::criterion(); targets = messages }
criterion_main!(benches);
