//! What does a change cost as values grow? Each type's hot change on values of 10, 1,000 and 100,000
//! items: applied in place, and with every version kept.
//!
//! A figure is for a change and the one that takes it back, so that the value keeps its size. Of the
//! versions kept, the thousand newest live: the price includes letting go of the oldest.

mod common;

use std::collections::VecDeque;

use common::Random;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use topicsync::types::Place;
use topicsync::types::{AnyChange, AnyValue, TopicType, TypeRef};
use topicsync::types::{Dict, DictChange};
use topicsync::types::{Int, IntChange};
use topicsync::types::{List, ListChange};
use topicsync::types::{Set, SetChange};
use topicsync::types::{String as Text, StringChange};
use topicsync::value::Value;

const SIZES: [usize; 3] = [10, 1_000, 100_000];
const VERSIONS_KEPT: usize = 1_000;

/// How many different pairs of changes are prepared; they are made over and over.
const PAIRS: usize = 1_024;

/// A change, and the one that takes it back.
type Pair = [AnyChange; 2];

fn pairs<T: TopicType>(mut pair: impl FnMut(&mut Random) -> [T::Change; 2]) -> Vec<Pair> {
    let mut random = Random::new();
    (0..PAIRS).map(|_| pair(&mut random).map(AnyChange::new::<T>)).collect()
}

fn measure<T: TopicType>(
    criterion: &mut Criterion,
    name: &str,
    sizes: &[usize],
    value: impl Fn(usize) -> T::Value,
    pair: impl Fn(usize, &mut Random) -> [T::Change; 2],
) {
    let kind = TypeRef::of::<T>();
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(2));
    for &size in sizes {
        let pairs = pairs::<T>(|random| pair(size, random));
        group.bench_function(BenchmarkId::new("in place", size), |bencher| {
            let mut value = AnyValue::new::<T>(value(size));
            let mut next = pairs.iter().cycle();
            bencher.iter(|| {
                for change in next.next().into_iter().flatten() {
                    kind.apply(&mut value, change).unwrap();
                }
            });
        });
        group.bench_function(BenchmarkId::new("every version kept", size), |bencher| {
            let mut value = AnyValue::new::<T>(value(size));
            let mut kept = VecDeque::from(vec![value.clone(); VERSIONS_KEPT]);
            let mut next = pairs.iter().cycle();
            bencher.iter(|| {
                for change in next.next().into_iter().flatten() {
                    kind.apply(&mut value, change).unwrap();
                    kept.pop_front();
                    kept.push_back(value.clone());
                }
            });
        });
    }
    group.finish();
}

fn number(number: usize) -> Value {
    Value::Int(number as i64)
}

fn key(number: usize) -> topicsync::value::Key {
    format!("node-{number}").into()
}

fn changes(criterion: &mut Criterion) {
    measure::<Int>(
        criterion,
        "int add",
        &SIZES[..1],
        |_| 0,
        |_, _| [IntChange::Add(1), IntChange::Add(-1)],
    );
    measure::<Text>(
        criterion,
        "string insert, delete",
        &SIZES,
        |size| "a".repeat(size).into(),
        |size, random| {
            let position = random.below(size);
            [StringChange::insert(position, "b"), StringChange::delete(position, 1)]
        },
    );
    measure::<List>(
        criterion,
        "list insert, pop",
        &SIZES,
        |size| (0..size).map(number).collect(),
        |size, random| {
            let position = Place::At(random.below(size));
            [ListChange::Insert { position, item: number(7) }, ListChange::Pop { position }]
        },
    );
    measure::<Set>(
        criterion,
        "set append, remove",
        &SIZES,
        |size| (0..size).map(|item| number(2 * item)).collect(),
        |size, random| {
            let item = number(2 * random.below(size) + 1);
            [SetChange::Append(item.clone()), SetChange::Remove(item)]
        },
    );
    measure::<Dict>(
        criterion,
        "dict change_value",
        &SIZES,
        |size| (0..size).map(|entry| (key(entry), number(0))).collect(),
        |size, random| {
            let key = key(random.below(size));
            let change = |value| DictChange::ChangeValue { key: key.clone(), value: number(value) };
            [change(1), change(0)]
        },
    );
}

criterion_group! { name = benches; config = common::criterion(); targets = changes }
criterion_main!(benches);
