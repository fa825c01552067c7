//! What does a change cost once it has to last? Durable changes a second, bytes on disk, and reads of the
//! past from a journal that was just opened.
//!
//! It prints tables, each figure beside what bounds it: commits beside how often the disk syncs at all.
//! `cargo bench --bench journal -- commits` runs one part: `commits`, `bytes`, `reads` or `topics`. The
//! folders are made where the build goes, on the disk that is measured.

mod common;
#[path = "common/workloads.rs"]
mod workloads;

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use common::Random;
use topicsync::journal::{
    Append, CHECKPOINT_EVERY, Checkpoint, Journal, Logged, Operation, SqliteJournal, TopicRecord,
};
use topicsync::topic::{
    ChangeId, ClientId, CommitNumber, Epoch, Timestamp, TopicName, TopicOptions, Version,
};
use topicsync::types::Dict as DictType;
use topicsync::types::String as TextType;
use topicsync::types::{AnyChange, AnyValue, TypeRef};
use workloads::{Nodes, Trace};

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|it| !it.starts_with('-')).collect();
    let parts: [(&str, fn()); 4] =
        [("commits", commits), ("bytes", bytes), ("reads", reads), ("topics", topics)];
    for (name, run) in parts {
        if wanted.is_empty() || wanted.iter().any(|it| it == name) {
            println!("\n{name}");
            run();
        }
    }
}

/// A folder that is gone once it is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or("target".into(), PathBuf::from);
        let path = target.join(format!("bench-journal-{name}"));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("the build's folder can be written");
        Folder(path)
    }

    fn bytes(&self) -> u64 {
        let files = fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().metadata().unwrap());
        files.map(|file| file.len()).sum()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn name(name: &str) -> TopicName {
    TopicName::new(name).unwrap()
}

fn make(topic: &str, kind: TypeRef) -> Operation {
    let (type_name, options) = (kind.name().into(), TopicOptions::default());
    let epoch = Epoch::new("epoch").unwrap();
    let record = TopicRecord { name: name(topic), type_name, options, epoch, life: 1 };
    Operation::Make { record, start: None }
}

/// The `version`th change, by one of four clients who take turns, ten changes a second.
fn logged(kind: TypeRef, version: u64, change: &AnyChange) -> Logged {
    let author = ClientId(1 + version / 40 % 4);
    Logged {
        version: Version(version),
        commit: CommitNumber(version + version / 9),
        change: Some(kind.encode_change(change)),
        author,
        id: ChangeId::of(author, version / 2),
        action: None,
        time: Timestamp(1_750_000_000_000 + version * 100 + version * 7919 % 83),
    }
}

/// A topic that is written change by change, with checkpoints, as the engine does.
struct Recorder<'a> {
    journal: &'a SqliteJournal,
    kind: TypeRef,
    topic: TopicName,
    value: AnyValue,
    head: u64,
    checkpoint: u64,
}

impl<'a> Recorder<'a> {
    fn new(journal: &'a SqliteJournal, kind: TypeRef) -> Recorder<'a> {
        journal.commit(&[make("topic", kind)]).unwrap();
        let value = kind.initial();
        Recorder { journal, kind, topic: name("topic"), value, head: 0, checkpoint: 0 }
    }

    fn commit(&mut self, changes: &[AnyChange]) {
        let (after, topic) = (Version(self.head), self.topic.clone());
        let changes = changes.iter().zip(self.head + 1..);
        let changes: Vec<Logged> = changes
            .map(|(change, version)| {
                self.kind.apply(&mut self.value, change).expect("it fits");
                logged(self.kind, version, change)
            })
            .collect();
        self.head += changes.len() as u64;
        let mut group = vec![Operation::Append(Append { topic, after, changes })];
        if self.head >= self.checkpoint + CHECKPOINT_EVERY {
            self.checkpoint = self.head;
            let (version, value) = (Version(self.head), self.kind.encode_value(&self.value));
            let (topic, checkpoint) =
                (self.topic.clone(), Checkpoint { version, value, stamp: None });
            group.push(Operation::Checkpoint { topic, checkpoint });
        }
        self.journal.commit(&group).unwrap();
    }
}

fn commits() {
    let folder = Folder::new("commits");
    println!("  synced writes of 4 KiB, nothing else  {:>9.0} a second", syncs(&folder.0));
    for group in [1, 10, 100] {
        let folder = Folder::new("commits");
        let journal = SqliteJournal::open(&folder.0).unwrap();
        let mut recorder = Recorder::new(&journal, TypeRef::of::<DictType>());
        let mut nodes = Nodes::new(Random::new());
        let (start, mut took) = (Instant::now(), Vec::new());
        while start.elapsed() < Duration::from_secs(3) {
            let changes: Vec<AnyChange> = (0..group).map(|_| nodes.change()).collect();
            let start = Instant::now();
            recorder.commit(&changes);
            took.push(start.elapsed());
        }
        let rate = recorder.head as f64 / start.elapsed().as_secs_f64();
        println!(
            "  changes, {group:>3} to a group                {rate:>9.0} a second, {}",
            spread(&mut took)
        );
    }
}

/// How often this disk syncs a write in a second.
fn syncs(folder: &Path) -> f64 {
    let mut file = File::create(folder.join("raw")).unwrap();
    let (start, mut count) = (Instant::now(), 0);
    while start.elapsed() < Duration::from_secs(2) {
        file.write_all(&[7; 4096]).unwrap();
        file.sync_data().unwrap();
        count += 1;
    }
    f64::from(count) / start.elapsed().as_secs_f64()
}

fn spread(took: &mut [Duration]) -> String {
    took.sort();
    let at = |of: usize| took[(took.len() * of / 1000).min(took.len() - 1)];
    format!("p50 {:.2?}, p99 {:.2?}, slowest {:.2?}", at(500), at(990), at(1000))
}

/// `None`, and a word on it, where the trace is not there.
fn typing() -> Option<Vec<AnyChange>> {
    let changes = Trace::read()?.changes();
    Some(changes.into_iter().map(AnyChange::new::<TextType>).collect())
}

fn bytes() {
    if let Some(changes) = typing() {
        bytes_of("typing, the automerge-paper trace", TypeRef::of::<TextType>(), &changes);
    }
    let mut nodes = Nodes::new(Random::new());
    let changes: Vec<AnyChange> = (0..250_000).map(|_| nodes.change()).collect();
    bytes_of("moving 500 nodes about", TypeRef::of::<DictType>(), &changes);
}

fn bytes_of(what: &str, kind: TypeRef, changes: &[AnyChange]) {
    let folder = Folder::new("bytes");
    let journal = SqliteJournal::open(&folder.0).unwrap();
    let mut recorder = Recorder::new(&journal, kind);
    let start = Instant::now();
    changes.chunks(50).for_each(|changes| recorder.commit(changes));
    let took = start.elapsed();
    let kept = journal.extent(&recorder.topic).unwrap().bytes;
    drop(journal);
    let count = changes.len() as f64;
    println!(
        "  {what}: {count} changes, {:.1} bytes each on disk, {:.1} of them data ({took:.1?})",
        folder.bytes() as f64 / count,
        kept as f64 / count,
    );
}

/// A topic of a million changes.
fn reads() {
    const CHANGES: usize = 1_000_000;
    let folder = Folder::new("reads");
    let kind = TypeRef::of::<DictType>();
    {
        let journal = SqliteJournal::open(&folder.0).unwrap();
        let mut recorder = Recorder::new(&journal, kind);
        let mut nodes = Nodes::new(Random::new());
        for _ in 0..CHANGES / 500 {
            let changes: Vec<AnyChange> = (0..500).map(|_| nodes.change()).collect();
            recorder.commit(&changes);
        }
    }
    println!("  a topic of {CHANGES} changes, in {} MB", folder.bytes() >> 20);
    let mut random = Random::new();
    let (mut opens, mut cold, mut warm) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..200 {
        let start = Instant::now();
        let journal = SqliteJournal::open(&folder.0).unwrap();
        opens.push(start.elapsed());
        for round in 0..4 {
            let took = if round == 0 { &mut cold } else { &mut warm };
            let version = Version(random.below(CHANGES + 1) as u64);
            let start = Instant::now();
            let read = value_at(&journal, kind, version);
            took.push(start.elapsed());
            assert!(read <= CHECKPOINT_EVERY + 500);
        }
    }
    println!("  open                                 {}", spread(&mut opens));
    println!("  value at a version, the first read   {}", spread(&mut cold));
    println!("  value at a version, later reads      {}", spread(&mut warm));
    let journal = SqliteJournal::open(&folder.0).unwrap();
    let mut took = Vec::new();
    for _ in 0..200 {
        let version = Version(random.below(CHANGES - 4000) as u64 + 2500);
        let start = Instant::now();
        let checkpoint = journal.checkpoint(&name("topic"), version).unwrap().unwrap().version;
        let to = Version(checkpoint.0 + CHECKPOINT_EVERY);
        let changes = journal.read(&name("topic"), checkpoint, to).unwrap();
        took.push(start.elapsed());
        assert_eq!(changes.len() as u64, CHECKPOINT_EVERY);
    }
    println!("  a checkpoint and 1,024 changes       {}", spread(&mut took));
    let mut took = Vec::new();
    for _ in 0..1000 {
        let time = Timestamp(1_750_000_000_000 + random.below(CHANGES * 100) as u64);
        let start = Instant::now();
        journal.version_at(&name("topic"), topicsync::topic::Moment::Time(time)).unwrap();
        took.push(start.elapsed());
    }
    println!("  the version at a time                {}", spread(&mut took));
    let mut took = Vec::new();
    for author in 0..200 {
        let start = Instant::now();
        journal.by_author(ClientId(1 + author % 4), 100).unwrap();
        took.push(start.elapsed());
    }
    println!("  the newest 100 changes of an author  {}", spread(&mut took));
}

/// Reads the value at `version`, and tells how many changes were applied for it.
fn value_at(journal: &SqliteJournal, kind: TypeRef, version: Version) -> u64 {
    let topic = name("topic");
    let checkpoint = journal.checkpoint(&topic, version).unwrap();
    let (after, mut value) = match &checkpoint {
        Some(it) => (it.version, kind.decode_value(&it.value).unwrap()),
        None => (Version(0), kind.initial()),
    };
    for change in journal.read(&topic, after, version).unwrap() {
        let entry = change.into_entry(kind).unwrap();
        kind.apply(&mut value, &entry.change.unwrap()).unwrap();
    }
    std::hint::black_box(value);
    version.0 - after.0
}

/// A folder of many topics.
fn topics() {
    const TOPICS: usize = 100_000;
    let folder = Folder::new("topics");
    let kind = TypeRef::of::<DictType>();
    {
        let journal = SqliteJournal::open(&folder.0).unwrap();
        let all: Vec<usize> = (0..TOPICS).collect();
        let change = Nodes::new(Random::new()).change();
        for some in all.chunks(1000) {
            let topic = |at: &usize| {
                let topic = format!("workspace-{}/graph-{at}", at % 977);
                let changes = vec![logged(kind, 1, &change)];
                let append = Append { topic: name(&topic), after: Version(0), changes };
                [make(&topic, kind), Operation::Append(append)]
            };
            let group: Vec<Operation> = some.iter().flat_map(topic).collect();
            journal.commit(&group).unwrap();
        }
    }
    println!("  {TOPICS} topics of one change, in {} MB", folder.bytes() >> 20);
    let timed = |what: &str, run: &mut dyn FnMut()| {
        let start = Instant::now();
        run();
        println!("  {what:<36} {:.2?}", start.elapsed());
    };
    let mut journal = None;
    timed("open", &mut || journal = Some(SqliteJournal::open(&folder.0).unwrap()));
    let journal = journal.unwrap();
    timed("begin", &mut || drop(journal.begin().unwrap()));
    let known = name("workspace-5/graph-5");
    timed("find one, and how far it reaches", &mut || drop(journal.extent(&known)));
    timed("another", &mut || drop(journal.extent(&name("workspace-6/graph-6"))));
    timed("the first that is not there", &mut || drop(journal.topic(&name("new")).unwrap()));
    timed("the next", &mut || drop(journal.topic(&name("newer")).unwrap()));
    timed("list all", &mut || assert_eq!(journal.topics().unwrap().len(), TOPICS));
}
