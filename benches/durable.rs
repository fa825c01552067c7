//! How many durable changes a second writers get who each wait for the last before they make the next:
//! one, ten and a hundred of them, beside the rate at which the disk syncs.
//!
//! ```text
//! cargo bench --bench durable
//! ```
//!
//! One commit group holds what all writers made while the last was synced, so a hundred writers should
//! be many times as fast as one. Prints a table rather than a distribution: a writer waits for the disk,
//! and what counts is the sum over all.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use topicsync::engine::{Author, Engine, EngineConfig, Submission, Submitted};
use topicsync::journal::SqliteJournal;
use topicsync::topic::{ClientId, Durability, TopicName, TopicOptions};
use topicsync::types::{Int, IntChange};

/// How long each is measured.
const SPAN: Duration = Duration::from_secs(2);
/// How much is written before each raw sync, in bytes: about what a commit group of one change takes.
const PAGE: usize = 4096;

fn main() {
    // `cargo test --benches` only wants to know that it runs.
    let span = if std::env::args().any(|arg| arg == "--bench") { SPAN } else { Duration::ZERO };
    let folder = tempfile::TempDir::new_in(".").expect("the folder can be written");
    let syncs = raw_syncs(folder.path(), span);
    println!("| writers | durable changes a second | to the disk's {syncs:.0} syncs a second |");
    println!("|--:|--:|--:|");
    for writers in [1, 10, 100] {
        let data = folder.path().join(writers.to_string());
        let rate = durable_changes(&data, writers, span);
        println!("| {writers} | {rate:.0} | {:.2} |", rate / syncs);
    }
}

/// How often a second a file can be appended to and synced.
fn raw_syncs(folder: &Path, span: Duration) -> f64 {
    let mut file = File::create(folder.join("raw")).expect("a file can be made");
    let (started, mut syncs) = (Instant::now(), 0);
    while syncs == 0 || started.elapsed() < span {
        file.write_all(&[0; PAGE]).and_then(|()| file.sync_data()).expect("it can be written");
        syncs += 1;
    }
    f64::from(syncs) / started.elapsed().as_secs_f64()
}

/// How many changes a second become durable, each writer waiting for its last one.
fn durable_changes(data: &Path, writers: u64, span: Duration) -> f64 {
    let journal = Arc::new(SqliteJournal::open(data).expect("a new folder"));
    let durability = Durability::Commit;
    let config = EngineConfig { journal, durability, ..EngineConfig::default() };
    let (engine, _) = Engine::begin(config).expect("a new journal");
    let (made, over) = (AtomicU64::new(0), AtomicBool::new(false));
    let mut took = Duration::ZERO;
    std::thread::scope(|scope| {
        scope.spawn(|| engine.run_journal());
        let started = Instant::now();
        let writing: Vec<_> = (1..=writers)
            .map(|writer| {
                scope.spawn({
                    let (engine, made, over) = (&engine, &made, &over);
                    move || write(engine, writer, made, over)
                })
            })
            .collect();
        std::thread::sleep(span);
        over.store(true, Ordering::Relaxed);
        writing.into_iter().for_each(|writer| writer.join().expect("a writer ends well"));
        took = started.elapsed();
        engine.stop_journal();
    });
    made.into_inner() as f64 / took.as_secs_f64()
}

/// Makes changes, each once the one before is durable.
fn write(engine: &Engine, writer: u64, made: &AtomicU64, over: &AtomicBool) {
    let name = TopicName::new(format!("topic {writer}")).expect("a name");
    engine.open(&name, Some("int"), TopicOptions::default()).expect("a new topic");
    let author = Author::new(ClientId(writer), None);
    loop {
        let change = Submitted::typed::<Int>(name.clone(), IntChange::Add(1));
        let submission = Submission { action_id: None, changes: [change].into_iter().collect() };
        assert!(engine.submit_now(&author, submission).is_ok());
        let (sender, receiver) = mpsc::channel();
        engine.after_commit(Box::new(move |durable| {
            // Who asked waits for it.
            let _ = sender.send(durable.is_ok());
        }));
        assert_eq!(receiver.recv(), Ok(true), "it is durable");
        made.fetch_add(1, Ordering::Relaxed);
        if over.load(Ordering::Relaxed) {
            return;
        }
    }
}
