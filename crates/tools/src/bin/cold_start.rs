//! How long a server with a large folder takes from its start to its first answer, and what it then has
//! in memory.
//!
//! ```text
//! cargo build --release && cargo run --release -p topicsync-tools --bin cold_start -- [--topics 100000] [--changes 100]
//! ```
//!
//! Fills a folder through the journal, starts the `topicsync` built beside this program on it, and takes
//! the time until a subscriber has its first snapshot; then touches many topics, waits until they are
//! idle, and prints the memory at each point.

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clap::Parser;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value as Json, json};
use tokio::net::TcpStream;
use tokio::time::sleep;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use topicsync::journal::{Append, Journal, Logged, Numbers, Operation, SqliteJournal, TopicRecord};
use topicsync::topic::{
    ChangeId, ClientId, CommitNumber, Epoch, Timestamp, TopicName, TopicOptions, Version,
};
use topicsync::value::Fields;
use topicsync_tools::sibling;

type Done<T = ()> = Result<T, Box<dyn Error>>;

/// How many changes of a topic come together.
const RUN: u64 = 10;
/// How many operations are committed together.
const GROUP: usize = 10_000;
/// How many topics are subscribed to, to see what that takes.
const TOUCHED: u64 = 1_000;

#[derive(Parser)]
#[command(about = "Times the first answer of a server with a large folder.")]
struct Options {
    #[arg(long, default_value_t = 100_000)]
    topics: u64,
    /// How many changes each topic has.
    #[arg(long, default_value_t = 100)]
    changes: u64,
}

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only if it is gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::main]
async fn main() -> Done {
    let Options { topics, changes } = Options::parse();
    let folder = tempfile::TempDir::new()?;
    let filled = Instant::now();
    fill(folder.path(), topics, changes)?;
    let bytes = std::fs::metadata(folder.path().join("topicsync.db"))?.len();
    eprintln!("filled in {:.1} s, {} MB", filled.elapsed().as_secs_f64(), bytes >> 20);

    let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
    let started = Instant::now();
    let server = start(folder.path(), address)?;
    let mut socket = connect(address).await?;
    let value = subscribe(&mut socket, topics / 2).await?;
    let first = started.elapsed();
    assert_eq!(value, json!((changes * (changes + 1)) / 2), "the folded value");
    let pid = server.0.id();
    println!("{topics} topics, {} logged changes", topics * changes);
    println!("start to first snapshot: {} ms", first.as_millis());
    println!("memory then: {} MiB", memory_mib(pid)?);
    let touched = Instant::now();
    for at in 0..TOUCHED.min(topics) {
        subscribe(&mut socket, at * (topics / TOUCHED.min(topics))).await?;
    }
    let each = touched.elapsed().as_secs_f64() * 1e6 / TOUCHED.min(topics) as f64;
    println!("opening a cold topic: {each:.0} us, of which one round trip");
    println!("memory with {} topics in use: {} MiB", TOUCHED.min(topics), memory_mib(pid)?);
    Ok(())
}

fn name(topic: u64) -> TopicName {
    TopicName::new(format!("project-{}/node-{topic}", topic % 97)).expect("a name")
}

/// Numbers that were added to, `RUN` changes at a time.
fn fill(folder: &Path, topics: u64, changes: u64) -> Done {
    let journal = SqliteJournal::open(folder)?;
    let life = journal.begin()?.numbers.life;
    let mut group = Vec::with_capacity(GROUP);
    for topic in 0..topics {
        let record = TopicRecord {
            name: name(topic),
            type_name: "int".into(),
            options: TopicOptions::default(),
            epoch: Epoch::new(format!("epoch{topic}"))?,
            life,
        };
        push(&journal, &mut group, Operation::Make { record, start: None })?;
    }
    let mut commit = 0;
    for first in (0..changes).step_by(RUN as usize) {
        for topic in 0..topics {
            let last = (first + RUN).min(changes);
            let made = (first..last).map(|at| logged(at, commit + at - first));
            let append =
                Append { topic: name(topic), after: Version(first), changes: made.collect() };
            push(&journal, &mut group, Operation::Append(append))?;
            commit += last - first;
        }
    }
    let numbers = Numbers { life, commit: CommitNumber(commit), client: ClientId(1) };
    group.extend([Operation::Reserve(numbers), Operation::Close]);
    journal.commit(&group)?;
    Ok(())
}

fn push(journal: &SqliteJournal, group: &mut Vec<Operation>, operation: Operation) -> Done {
    group.push(operation);
    if group.len() == GROUP {
        journal.commit(group)?;
        group.clear();
    }
    Ok(())
}

fn logged(at: u64, commit: u64) -> Logged {
    Logged {
        version: Version(at + 1),
        commit: CommitNumber(commit + 1),
        change: Some(Fields::of_type("add").with("value", at as i64 + 1)),
        author: ClientId(1),
        id: ChangeId::of(ClientId(1), commit),
        action: None,
        time: Timestamp(1_700_000_000_000 + commit),
    }
}

fn start(folder: &Path, address: SocketAddr) -> Done<Server> {
    let mut command = Command::new(sibling::server()?);
    command.args(["serve", "--log", "error", "--listen", &address.to_string(), "--data"]);
    command.arg(folder).stdin(Stdio::null());
    Ok(Server(command.spawn()?))
}

async fn connect(address: SocketAddr) -> Done<WebSocketStream<TcpStream>> {
    loop {
        if let Ok(stream) = TcpStream::connect(address).await {
            let url = format!("ws://{address}/");
            return Ok(tokio_tungstenite::client_async(url, stream).await?.0);
        }
        sleep(Duration::from_millis(1)).await;
    }
}

/// Subscribes to a topic and gives its value.
async fn subscribe(socket: &mut WebSocketStream<TcpStream>, topic: u64) -> Done<Json> {
    let content = json!({"topic_name": *name(topic)});
    let message = json!({"type": "subscribe", "content": content}).to_string();
    socket.send(Message::text(message)).await?;
    loop {
        let frame = socket.next().await.ok_or("the connection is lost")??;
        let Message::Text(text) = frame else { continue };
        let message: Json = serde_json::from_str(&text)?;
        match message["type"].as_str() {
            Some("update") => return Ok(message["content"]["change"]["value"].clone()),
            Some("error") => return Err(message.to_string().into()),
            _ => {}
        }
    }
}

/// What a process has in memory of its own; Linux tells.
fn memory_mib(pid: u32) -> Done<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib: u64 = line.and_then(|it| it.split_whitespace().next()).ok_or("no RssAnon")?.parse()?;
    Ok(kib >> 10)
}
