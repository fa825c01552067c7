//! What a change costs in memory: with the whole log there, and with all but its newest part in the
//! journal. And what the same takes on disk.
//!
//! ```text
//! cargo bench --bench memory
//! ```
//!
//! Counts the bytes that are asked for and not given back; what an allocator needs beside them comes on
//! top.

/// As in the other benchmarks, but for their allocator: this one counts.
mod common {
    #[path = "random.rs"]
    mod random;
    pub use random::Random;
}
#[path = "common/workloads.rs"]
mod workloads;

use std::sync::Arc;

use common::Random;
use topicsync::engine::{Author, ChangeBody, Engine, EngineConfig, Submission, Submitted};
use topicsync::journal::SqliteJournal;
use topicsync::topic::{ClientId, Durability, TopicName, TopicOptions};
use topicsync::types::AnyChange;
use topicsync::types::{String as TextType, StringChange};
use topicsync_test_support::allocator::Counting;
use workloads::{Nodes, Trace};

const MOVES: usize = 250_000;
/// After how many changes what waits is committed.
const GROUP: usize = 100;

#[global_allocator]
static ALLOCATOR: Counting = Counting::new();

fn main() {
    println!("| changes | log in memory | bytes of memory each | bytes on disk each |");
    println!("|---|---|--:|--:|");
    for workload in ["typing", "nodes"] {
        for durable in [false, true] {
            measure(workload, durable);
        }
    }
}

/// How many changes a workload is made of, and how to make each.
type Changes = (usize, Box<dyn FnMut(usize) -> AnyChange>);

fn changes(workload: &str) -> Changes {
    if workload == "typing" {
        let changes = Trace::read().map(|trace| trace.changes()).unwrap_or_default();
        let make = |change: &StringChange| AnyChange::new::<TextType>(change.clone());
        return (changes.len(), Box::new(move |at| make(&changes[at])));
    }
    let mut nodes = Nodes::new(Random::new());
    (MOVES, Box::new(move |_| nodes.change()))
}

fn measure(workload: &str, durable: bool) {
    let (count, mut make) = changes(workload);
    if count == 0 {
        return;
    }
    let folder = tempfile::TempDir::new_in(".").expect("the folder can be written");
    let mut config = EngineConfig { resumable_ms: 0, ..EngineConfig::default() };
    if durable {
        config.journal = Arc::new(SqliteJournal::open(folder.path()).expect("a new folder"));
        config.durability = Durability::Commit;
    }
    let engine = Engine::new(config);
    let name = TopicName::new(workload).expect("a name");
    let kind = if workload == "typing" { "string" } else { "dict" };
    let _topic = engine.open(&name, Some(kind), TopicOptions::default()).expect("a new topic");
    let author = Author::new(ClientId(1), None);
    let before = ALLOCATOR.bytes();
    for at in 0..count {
        let change = ChangeBody::Typed(make(at));
        let change = Submitted { topic: name.clone(), epoch: None, change, id: None, base: None };
        let submission = Submission { action_id: None, changes: [change].into_iter().collect() };
        assert!(engine.submit_now(&author, submission).is_ok());
        if at % GROUP == GROUP - 1 {
            engine.settle();
        }
    }
    engine.settle();
    let memory = ALLOCATOR.bytes().saturating_sub(before) as f64 / count as f64;
    let (log, disk) = match durable {
        true => {
            let extent = engine.journal().extent(&name).expect("it is there");
            ("its newest part", format!("{:.1}", extent.bytes as f64 / count as f64))
        }
        false => ("all of it", "–".into()),
    };
    println!("| {count} of {workload} | {log} | {memory:.0} | {disk} |");
}
