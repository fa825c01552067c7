//! Plays random clients against a server until something rare goes wrong, or nothing does.
//!
//! ```text
//! cargo run --release -p topicsync-tools --bin converge -- --changes 10000000 [--type string] [--seed 7]
//! ```
//!
//! Everything is real but the network: the engine, the replicas, and between them the simulated links
//! of [`topicsync::testkit`], which delay, are lost and lag. It checks what the property tests check,
//! over many more and longer worlds:
//!
//! - at some messages that arrive: that the replica holds what the server held at that version;
//! - at every event: that the view moves just as the program is told;
//! - at every world's end, once all is quiet: that all replicas hold the server's value (law 7), that
//!   every change was accepted or rejected once and its author knows which (law 8), that the logs
//!   replay (law 9), and that cuts hold actions whole.
//!
//! `--type mixed` is a topic of each type, with actions over several of them, undo and redo.
//!
//! A run is cut into worlds of up to [`STEPS`] steps, each with a seed of its own. A failure is shortened
//! to the script that shows it, and printed with the test that plays it again.

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use topicsync::testkit::choices::{Choices, Random};
use topicsync::testkit::failure::Failure;
use topicsync::testkit::simulation::Report;
use topicsync::testkit::world::kinds;
use topicsync::testkit::world::record::Counts;
use topicsync::testkit::{Kind, Mix, Setup, Simulation, Topic};
use topicsync::topic::{Delivery, TopicOptions};

/// How many steps a world goes through at most.
const STEPS: usize = 10_000;

#[derive(Parser)]
#[command(about = "Plays random clients against a server, over a simulated network.")]
struct Options {
    /// How many changes clients make, for each type.
    #[arg(long, default_value_t = 1_000_000)]
    changes: u64,
    /// Only this type; `mixed` is all of them together.
    #[arg(long = "type")]
    topic_type: Option<String>,
    /// The seed of the first world; the next one has the next.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// What is played: one type alone, or all together.
struct Game {
    name: &'static str,
    topics: Vec<Topic>,
    undo: bool,
}

fn games() -> Vec<Game> {
    let topic = |kind: Kind| Topic::new(kind.of.name(), kind);
    let alone = kinds().into_iter().map(|kind| {
        let name = kind.of.name();
        Game { name, topics: vec![topic(kind)], undo: false }
    });
    let topics = kinds().into_iter().map(topic).collect();
    alone.chain([Game { name: "mixed", topics, undo: true }]).collect()
}

impl Game {
    /// The world of a seed: so many clients, and now and then topics that are delivered as `latest`, or
    /// connections that lag.
    fn simulation(&self, seed: u64) -> Simulation {
        let mut random = Random(seed);
        let choices: &mut dyn Choices = &mut random;
        let clients = 2 + choices.below(3);
        let latest = choices.once_in(4);
        let with_delivery = |topic: &Topic| {
            let latest = latest && topic.kind.of.stateful();
            let delivery = if latest { Delivery::Latest } else { Delivery::Every };
            topic.clone().with(TopicOptions { delivery, ..TopicOptions::default() })
        };
        let topics = self.topics.iter().map(with_delivery).collect();
        let queue_bytes = if choices.once_in(4) { 300 } else { 16_384 };
        let setup = Setup { queue_bytes, stride: 61, ..Setup::new(clients, topics) };
        let (undo, ticks) = (self.undo, latest);
        let mix = Mix { actions: true, breaks: true, undo, ticks, ..Mix::default() };
        Simulation::new(setup, mix).steps(STEPS).runs(1, seed)
    }

    /// Plays worlds until so many changes were made in all.
    fn play(&self, changes: u64, seed: u64) -> Result<Report, Box<Failure>> {
        let (mut total, mut seed) = (Report::default(), seed);
        while total.changes < changes {
            total.add(self.simulation(seed).run()?);
            seed += 1;
        }
        Ok(total)
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    let wanted = |game: &Game| options.topic_type.as_deref().is_none_or(|it| it == game.name);
    let games: Vec<Game> = games().into_iter().filter(wanted).collect();
    if games.is_empty() {
        eprintln!("no such type");
        return ExitCode::FAILURE;
    }
    println!(
        "{:<8} {:>10} {:>10} {:>9} {:>9} {:>9} {:>7} {:>8} {:>8} {:>10}",
        "type",
        "changes",
        "accepted",
        "none",
        "rejected",
        "joined",
        "resent",
        "undone",
        "seconds",
        "steps/min"
    );
    let mut sound = true;
    for game in games {
        let start = Instant::now();
        let report = match game.play(options.changes, options.seed) {
            Ok(report) => report,
            Err(failure) => {
                eprintln!("{failure}");
                sound = false;
                continue;
            }
        };
        let seconds = start.elapsed().as_secs_f64();
        let Report { steps, changes: made, counts, .. } = report;
        let (name, per_minute) = (game.name, steps as f64 / seconds * 60.0);
        let Counts { accepted, none, rejected, reversed, resent } = counts;
        // Composed with others before they were sent, or taken back.
        let joined = made.saturating_sub(accepted + none + rejected);
        println!(
            "{name:<8} {made:>10} {accepted:>10} {none:>9} {rejected:>9} {joined:>9} {resent:>7} \
             {reversed:>8} {seconds:>8.1} {per_minute:>10.0}"
        );
    }
    if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
