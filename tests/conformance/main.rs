//! The conformance file, `clients/conformance/cases.jsonl`: what a replica does, step by step, for the
//! replicas of every language. `clients/conformance/README.md` describes it.
//!
//! The file is written here, by the Rust replica and the real engine, and read here as by everyone
//! else: by a runner that sees the file alone.
//!
//! | module | holds |
//! |---|---|
//! | [`player`] | the runner: plays a case's JSON on a replica |
//! | [`server`] | a real engine and sessions over it, without sockets |
//! | [`script`] | writes a case, step by step |
//! | [`rules`] | every pair of changes of every type, in both orders |
//! | [`stories`] | sessions, rejections, actions, undo, snapshots, presence |
//! | [`edges`] | texts, numbers, and changes that do not fit |
//! | [`runs`] | recorded runs, at random |

mod cost;
mod edges;
mod order;
mod player;
mod rules;
mod runs;
mod script;
mod server;
mod stories;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use serde_json::Value;

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("clients/conformance/cases.jsonl")
}

/// All cases, a line each.
fn generate() -> Vec<String> {
    [rules::cases(), edges::cases(), stories::cases(), runs::cases()].concat()
}

fn read() -> Vec<Value> {
    let file = fs::read_to_string(path()).expect("the conformance file");
    file.lines().map(|line| serde_json::from_str(line).expect("a case is JSON")).collect()
}

#[test]
fn the_file_is_what_the_replica_does() {
    let cases = generate();
    if std::env::var_os("UPDATE_CONFORMANCE").is_some() {
        fs::write(path(), cases.join("\n") + "\n").expect("the file can be written");
        return;
    }
    let file = fs::read_to_string(path()).unwrap_or_default();
    let mut lines = file.lines();
    let hint = "if that is as it should be: UPDATE_CONFORMANCE=1 cargo test --test conformance";
    for case in &cases {
        let line = lines.next().unwrap_or("(no more)");
        assert!(line == case, "the file has\n{line}\nand the replica does\n{case}\n{hint}");
    }
    assert_eq!(lines.next(), None, "the file has more cases; {hint}");
}

#[test]
fn the_rust_replica_does_what_the_file_says() {
    let cases = read();
    let mut failed = Vec::new();
    for case in &cases {
        if let Err(what) = player::run_case(case) {
            failed.push(format!("{}: {what}", case["case"]));
        }
    }
    assert!(failed.is_empty(), "{} of {}: {}", failed.len(), cases.len(), failed[0]);
}

#[test]
fn every_case_has_a_name_of_its_own() {
    let cases = read();
    let names: BTreeSet<_> = cases.iter().map(|case| case["case"].as_str()).collect();
    assert_eq!(names.len(), cases.len());
}
