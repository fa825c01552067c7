//! Clients of several languages edit the same topics on one server, over connections that are cut at
//! random; in the end all hold the server's values.
//!
//! ```text
//!  rust, in process ──┐
//!  node, a process  ──┼── relay, which cuts ──── topicsync, a process
//!  python, a process ─┘
//! ```
//!
//! A participant that is a process takes commands, a line each, and answers each with a line:
//!
//! | command | answer |
//! |---|---|
//! | `edit N` | `edited`, after N random edits of its own |
//! | `settle` | `settled`, once it is online and nothing is pending |
//! | `values` | its values, one JSON object of them by topic |
//! | `quit` | none: it ends, with code 0 |
//!
//! The clients of other languages have to be built for it, so their part runs only when it is asked for:
//! `TOPICSYNC_SOAK=1 cargo test --test soak`. `TOPICSYNC_SOAK_NODE` and `TOPICSYNC_SOAK_PYTHON` name
//! other commands for them, `TOPICSYNC_SOAK_ROUNDS` more rounds, `TOPICSYNC_SOAK_SEED` another seed.

mod participant;
mod program;
mod random;
mod relay;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value as Json;
use topicsync::client::Client;
use topicsync::topic::Timestamp;
use topicsync::value::{Dict, Value};
use topicsync_test_support::program::Program as Server;

use participant::RustClient;
use program::Program;
use relay::Relay;

/// How many edits each participant makes in a round.
const EDITS: usize = 60;
const ROUNDS: u64 = 8;
/// Longer than anything takes on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(60);

/// One who edits.
enum Participant {
    Rust(RustClient),
    Program(Program),
}

impl Participant {
    async fn edit(&mut self, count: usize) {
        match self {
            Participant::Rust(client) => client.edit(count).await,
            Participant::Program(program) => {
                program.expect(&format!("edit {count}"), "edited").await
            }
        }
    }

    async fn settle(&mut self) {
        match self {
            Participant::Rust(client) => client.settle().await,
            Participant::Program(program) => program.expect("settle", "settled").await,
        }
    }

    async fn values(&mut self) -> Json {
        match self {
            Participant::Rust(client) => client.values(),
            Participant::Program(program) => program.values().await,
        }
    }

    async fn quit(self) {
        match self {
            Participant::Rust(client) => client.quit().await,
            Participant::Program(program) => program.quit().await,
        }
    }
}

fn number(variable: &str, default: u64) -> u64 {
    let set = std::env::var(variable).ok();
    set.map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

/// Lets all edit, and checks what they hold.
async fn soak(start: impl FnOnce(&str, u64) -> Vec<Participant>) {
    let seed = number("TOPICSYNC_SOAK_SEED", 1);
    let command = Command::new(env!("CARGO_BIN_EXE_topicsync"));
    let server = Server::start(command, |line| eprintln!("server: {line}"));
    let relay = Relay::start(server.address, seed).await;
    let mut participants = start(&format!("ws://{}/", relay.address), seed);
    for round in 0..number("TOPICSYNC_SOAK_ROUNDS", ROUNDS) {
        let all = participants.iter_mut().map(|it| it.edit(EDITS));
        within("an edit", futures_util::future::join_all(all)).await;
        println!("round {round}: {} connections were cut", relay.cuts());
    }
    relay.hold();
    let all = participants.iter_mut().map(Participant::settle);
    within("settling", futures_util::future::join_all(all)).await;
    check(&server, &mut participants).await;
    assert!(relay.cuts() > 0, "no connection was cut: it was no test");
    for participant in participants {
        within("quitting", participant.quit()).await;
    }
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(done) => done,
        Err(_) => panic!("{what} did not end in {PATIENCE:?}"),
    }
}

/// All hold the server's values, to the last byte. What others made last may still be on its way.
async fn check(server: &Server, participants: &mut [Participant]) {
    let observer = Client::connect(format!("ws://{}/", server.address)).expect("an address");
    let start = Instant::now();
    loop {
        let expected = values_of(&observer).await;
        assert_eq!(expected.len(), participant::TOPICS.len(), "a topic is missing: {expected:?}");
        let mut apart = None;
        for (index, participant) in participants.iter_mut().enumerate() {
            let held = within("telling values", participant.values()).await;
            let held = canonical_values(&held);
            for (topic, value) in &expected {
                if held.get(topic) != Some(value) {
                    apart = Some(format!(
                        "participant {index} holds, as {topic},\n{:?}\nand the server\n{value}",
                        held.get(topic)
                    ));
                }
            }
        }
        match apart {
            None => return drop(observer.close().await),
            Some(what) if start.elapsed() > PATIENCE => panic!("{what}"),
            Some(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// The server's values of all topics, as they stand together by now.
async fn values_of(observer: &Client) -> BTreeMap<String, String> {
    let now = Value::from(Timestamp::now().0 as i64);
    let args = Dict::from([("prefix", "soak/".into()), ("time", now)]);
    let cut = observer.request("_topicsync/cut", args, None).await.expect("a cut");
    let cut = Json::from(&cut);
    let topics = cut["topics"].as_object().expect("topics by name");
    let values = topics.iter().map(|(name, topic)| (name.clone(), &topic["value"]));
    values.map(|(name, value)| (name.clone(), canonical_of(&name, value))).collect()
}

fn canonical_values(values: &Json) -> BTreeMap<String, String> {
    let values = values.as_object().expect("values by topic").iter();
    values.map(|(name, value)| (name.clone(), canonical_of(name, value))).collect()
}

/// A value as text: equal values have equal texts. A set comes in any order.
fn canonical_of(topic: &str, value: &Json) -> String {
    match value {
        Json::Array(items) if topic == "soak/set" => {
            let mut items: Vec<String> = items.iter().map(canonical).collect();
            items.sort_unstable();
            format!("[{}]", items.join(","))
        }
        other => canonical(other),
    }
}

fn canonical(value: &Json) -> String {
    match value {
        // A whole number is the same with and without a fraction.
        Json::Number(number) => Json::from(&normal(number)).to_string(),
        Json::Array(items) => {
            let items: Vec<String> = items.iter().map(canonical).collect();
            format!("[{}]", items.join(","))
        }
        Json::Object(entries) => {
            // By key, as the map is sorted.
            let entries = entries.iter();
            let entries =
                entries.map(|(key, it)| format!("{}:{}", Json::from(&**key), canonical(it)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
        }
        other => other.to_string(),
    }
}

fn normal(number: &serde_json::Number) -> Value {
    let value = Value::from(Json::Number(number.clone()));
    value.as_int().map_or(value, Value::Int)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rust_clients_hold_one_value_after_many_cuts() {
    soak(|url, seed| {
        (0..3).map(|index| Participant::Rust(RustClient::start(url, seed * 10 + index))).collect()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rust_node_and_python_clients_hold_one_value_after_many_cuts() {
    if std::env::var_os("TOPICSYNC_SOAK").is_none() {
        println!(
            "skipped: TOPICSYNC_SOAK=1 runs it, once the TypeScript and Python clients are built"
        );
        return;
    }
    let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../clients");
    let node = program::Recipe {
        variable: "TOPICSYNC_SOAK_NODE",
        program: "node".into(),
        script: clients.join("typescript/soak/participant.mjs"),
        needs: clients.join("typescript/dist"),
        hint: "clients/typescript/test builds it",
    };
    let python = program::Recipe {
        variable: "TOPICSYNC_SOAK_PYTHON",
        program: clients.join("python/.venv/bin/python"),
        script: clients.join("python/soak/participant.py"),
        needs: clients.join("python/.venv"),
        hint: "clients/python/test makes it",
    };
    soak(|url, seed| {
        vec![
            Participant::Rust(RustClient::start(url, seed * 10)),
            Participant::Program(Program::start(&node, url, seed * 10 + 1)),
            Participant::Program(Program::start(&python, url, seed * 10 + 2)),
        ]
    })
    .await;
}
