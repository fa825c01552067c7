//! What does it cost to come back late? Changes made on an old base, carried over all that was
//! accepted since.
//!
//! Others typed at random places of a text, or put items into a list. What comes back is one insert,
//! or a batch of 1,000 edits of one author, composed into one change as a client sends it.

mod common;

use common::Random;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use topicsync::topic::{Topic, Version};
use topicsync::types::Place;
use topicsync::types::run::{MaybeChange, compose_all};
use topicsync::types::{AnyChange, TypeRef};
use topicsync::types::{List, ListChange};
use topicsync::types::{String as Text, StringChange};
use topicsync::value::Value;

/// The length of the text before anything is missed.
const TEXT_LEN: usize = 10_000;

/// An insert of a letter, or a delete of one, anywhere in a text of `len` code points.
fn edit(random: &mut Random, len: &mut usize) -> AnyChange {
    let position = random.below(*len);
    let delete = random.below(4) == 0;
    *len = if delete { *len - 1 } else { *len + 1 };
    AnyChange::new::<Text>(match delete {
        true => StringChange::delete(position, 1),
        false => StringChange::insert(position, "x"),
    })
}

/// A text, at version 1 when the absence begins, and `missed` edits on.
fn text(missed: usize) -> Topic {
    let mut topic = Topic::new(TypeRef::of::<Text>());
    let text = StringChange::insert(0, "a".repeat(TEXT_LEN));
    common::accept(&mut topic, AnyChange::new::<Text>(text));
    let (mut random, mut len) = (Random::new(), TEXT_LEN);
    for _ in 0..missed {
        let change = edit(&mut random, &mut len);
        common::accept(&mut topic, change);
    }
    topic
}

/// As [`text`]: a list, and `missed` inserts on.
fn list(missed: usize) -> Topic {
    let mut topic = Topic::new(TypeRef::of::<List>());
    let items = (0..1_000).map(|_| Value::Null).collect();
    common::accept(&mut topic, AnyChange::new::<List>(ListChange::Set(items)));
    let mut random = Random::new();
    for len in (1_000..).take(missed) {
        let position = Place::At(random.below(len));
        let change = ListChange::Insert { position, item: Value::Int(1) };
        common::accept(&mut topic, AnyChange::new::<List>(change));
    }
    topic
}

/// What an author made alone in the meantime, as one change.
fn batch(edits: usize) -> AnyChange {
    let (mut random, mut len) = (Random::new(), TEXT_LEN);
    let edits: Vec<AnyChange> = (0..edits).map(|_| edit(&mut random, &mut len)).collect();
    compose_all(TypeRef::of::<Text>(), &edits).pop().unwrap()
}

fn rebase(criterion: &mut Criterion) {
    let insert = Some(AnyChange::new::<Text>(StringChange::insert(TEXT_LEN / 2, "y")));
    for missed in [10, 1_000, 100_000] {
        measure(criterion, "text insert over", &text(missed), &insert);
    }
    measure_first(criterion, "text insert, the first, over", &text(100_000), &insert);
    let batch = Some(batch(1_000));
    for missed in [1_000, 10_000] {
        measure(criterion, "1000 composed edits over", &text(missed), &batch);
    }
    let insert = ListChange::Insert { position: Place::At(500), item: Value::Int(2) };
    let insert = Some(AnyChange::new::<List>(insert));
    measure(criterion, "list insert over", &list(10_000), &insert);
}

/// Carries a change over all that `topic` has after version 1, again and again.
fn measure(criterion: &mut Criterion, name: &str, topic: &Topic, change: &MaybeChange) {
    let missed = topic.head().0 - 1;
    let mut group = criterion.benchmark_group("rebase");
    group.throughput(Throughput::Elements(missed));
    group.bench_function(BenchmarkId::new(name, missed), |bencher| {
        bencher.iter_batched(
            || [change.clone()],
            |mut run| {
                topic.rebase(&mut run, Version(1)).unwrap();
                run
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

/// As [`measure`], on a topic over whose log nothing was carried yet: it is composed as well.
fn measure_first(criterion: &mut Criterion, name: &str, topic: &Topic, change: &MaybeChange) {
    let missed = topic.head().0 - 1;
    let mut group = criterion.benchmark_group("rebase");
    group.sample_size(10).throughput(Throughput::Elements(missed));
    group.bench_function(BenchmarkId::new(name, missed), |bencher| {
        bencher.iter_batched(
            || (topic.clone(), [change.clone()]),
            |(topic, mut run)| {
                topic.rebase(&mut run, Version(1)).unwrap();
                (topic, run)
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group! { name = benches; config = common::criterion(); targets = rebase }
criterion_main!(benches);
