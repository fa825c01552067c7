//! One writer, who types as fast as the protocol allows, and readers who follow.
//!
//! Everyone is a client with a connection of its own. The writer waits for nothing: what it types
//! while a batch is in flight is composed, and goes out as the next one.

use std::sync::{Arc, Mutex};

use super::trace::Sequential;
use super::*;
use topicsync::client::{Client, ClientConfig, Event, Listening, Origin, Topic};

pub async fn play(trace: &Sequential, setup: &Setup) -> Result<Report> {
    let topic_name = new_topic()?;
    let writer = Player::join("the writer", setup, &topic_name).await?;
    let mut readers = Vec::with_capacity(setup.readers);
    for number in 1..=setup.readers {
        readers.push(Player::join(&format!("reader {number}"), setup, &topic_name).await?);
    }
    let started = Instant::now();
    writer.write(trace).await?;
    due("the last confirmation", writer.client.settled()).await?;
    let versions = writer.version();
    for reader in &readers {
        due(&format!("{} to catch up", reader.whose), reader.catch_up(versions)).await?;
    }
    let took = started.elapsed();
    let mut jumps = 0;
    for player in std::iter::once(&writer).chain(&readers) {
        player.check(&trace.end)?;
        jumps += player.heard().snapshots.saturating_sub(1);
    }
    for player in std::iter::once(&writer).chain(&readers) {
        due("a close", player.client.close()).await?;
    }
    let patches: usize = trace.txns.iter().map(Vec::len).sum();
    let each = patches as f64 / versions.max(1) as f64;
    let notes = vec![
        format!("{each:.1} patches went out together on average"),
        format!("{jumps} times a reader fell behind, and was brought up by a snapshot"),
    ];
    let replicas = 1 + readers.len();
    Ok(Report { topic_name, txns: trace.txns.len(), patches, versions, replicas, took, notes })
}

/// A client of the topic.
struct Player {
    whose: String,
    client: Client,
    topic: Topic<StringType>,
    heard: Arc<Mutex<Heard>>,
    _listening: Listening,
}

/// What a player's events said.
#[derive(Clone, Default)]
struct Heard {
    /// How often a whole value came: once at first, and again after falling behind.
    snapshots: usize,
    /// The first thing that should not be.
    trouble: Option<String>,
}

impl Heard {
    fn hear(&mut self, event: &Event) {
        match event {
            Event::Changed { origin: Origin::Snapshot, .. } => self.snapshots += 1,
            Event::Changed { origin: Origin::Correction, .. }
            | Event::Rejected { .. }
            | Event::Unknown { .. }
            | Event::Closed { .. }
            | Event::Error(_) => {
                self.trouble.get_or_insert_with(|| format!("{event:?}"));
            }
            _ => {}
        }
    }
}

impl Player {
    async fn join(whose: &str, setup: &Setup, topic_name: &TopicName) -> Result<Player> {
        let mut config = ClientConfig::new(&*setup.url);
        config.encodings = vec![setup.encoding];
        let client = Client::with_config(config)?;
        let heard = Arc::new(Mutex::new(Heard::default()));
        let hearing = heard.clone();
        let listening = client.on_event(move |event| {
            hearing.lock().expect("no holder panics").hear(event);
        });
        let topic = client.string(topic_name)?;
        due(&format!("{whose} to join {}", setup.url), topic.ready()).await??;
        Ok(Player { whose: whose.to_owned(), client, topic, heard, _listening: listening })
    }

    /// Makes every patch a local change, and waits for nothing.
    async fn write(&self, trace: &Sequential) -> Result<()> {
        if !trace.start.is_empty() {
            self.topic.insert(0, &*trace.start)?;
        }
        for txn in &trace.txns {
            for patch in txn {
                // Its fate is told by an event.
                drop(self.topic.change(&patch.change())?);
            }
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    fn version(&self) -> u64 {
        let topic_name = self.topic.name();
        self.client.with_replica(|replica| replica.topic(topic_name).map_or(0, |it| it.version().0))
    }

    async fn catch_up(&self, version: u64) {
        while self.version() < version {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    fn heard(&self) -> Heard {
        self.heard.lock().expect("no holder panics").clone()
    }

    fn check(&self, expected: &str) -> Result<()> {
        if let Some(trouble) = self.heard().trouble {
            return Err(format!("{} heard {trouble}", self.whose).into());
        }
        let topic_name = self.topic.name();
        let values = self.client.with_replica(|replica| {
            let topic = replica.topic(topic_name)?;
            Some((topic.view().clone(), topic.confirmed().clone()))
        });
        let (view, confirmed) = values.ok_or_else(|| format!("{} has no topic", self.whose))?;
        check_text(&format!("what {} sees", self.whose), &view, expected)?;
        check_text(&format!("what {} has confirmed", self.whose), &confirmed, expected)
    }
}
