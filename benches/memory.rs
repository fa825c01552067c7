//! What a change costs in memory: with the whole log there, and with all but its newest part in the
//! journal. And what the same takes on disk.
//!
//! ```text
//! cargo bench --bench memory
//! ```
//!
//! Each case runs in a process of its own, which tells what it came to have of its own (Linux says so
//! in `/proc/self/status`) beyond what it had with the changes read and none made.

mod common;
#[path = "common/workloads.rs"]
mod workloads;

use std::process::Command;
use std::sync::Arc;

use common::Random;
use topicsync::engine::{Author, ChangeBody, Engine, EngineConfig, Submission, Submitted};
use topicsync::journal::SqliteJournal;
use topicsync::topic::{ClientId, Durability, TopicName, TopicOptions};
use topicsync::types::AnyChange;
use topicsync::types::string::String as TextType;
use workloads::{Nodes, Trace};

const MOVES: usize = 250_000;
/// After how many changes what waits is committed.
const GROUP: usize = 100;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [workload, durability, ..] = &args[..]
        && let Some(changes) = changes(workload)
    {
        return measure(&changes, workload, durability == "commit");
    }
    println!("| changes | log | bytes of memory each | bytes on disk each |");
    println!("|---|---|--:|--:|");
    for workload in ["typing", "nodes"] {
        for durability in ["memory", "commit"] {
            let program = std::env::current_exe().expect("it runs from a file");
            let ran = Command::new(program).args([workload, durability]).status();
            assert!(ran.expect("it can be started").success());
        }
    }
}

fn changes(workload: &str) -> Option<Vec<AnyChange>> {
    match workload {
        "typing" => {
            let changes = Trace::read().map(|trace| trace.changes()).unwrap_or_default();
            Some(changes.into_iter().map(AnyChange::new::<TextType>).collect())
        }
        "nodes" => {
            let mut nodes = Nodes::new(Random::new());
            Some((0..MOVES).map(|_| nodes.change()).collect())
        }
        _ => None,
    }
}

fn measure(changes: &[AnyChange], workload: &str, durable: bool) {
    if changes.is_empty() {
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
    let before = own_bytes();
    for (at, change) in changes.iter().enumerate() {
        let change = ChangeBody::Typed(change.clone());
        let change = Submitted { topic: name.clone(), epoch: None, change, id: None, base: None };
        let submission = Submission { action_id: None, changes: [change].into_iter().collect() };
        assert!(engine.submit_now(&author, submission).is_ok());
        if at % GROUP == GROUP - 1 {
            engine.settle();
        }
    }
    engine.settle();
    let count = changes.len();
    let memory = own_bytes().saturating_sub(before) / count;
    let (log, disk) = match durable {
        true => {
            let extent = engine.journal().extent(&name).expect("it is there");
            ("its newest part", (extent.bytes as usize / count).to_string())
        }
        false => ("all of it", "–".into()),
    };
    println!("| {count} of {workload} | {log} | {memory} | {disk} |");
}

/// What this process has in memory of its own; 0 where the system does not say.
fn own_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
    kib.unwrap_or_default() << 10
}
