//! Plays random clients against a server until something rare goes wrong, or nothing does.
//!
//! ```text
//! cargo run --release --example converge -- --changes 10000000 [--type string] [--seed 7]
//! ```
//!
//! Everything is real but the network: the engine, the replicas, and between them the simulated links
//! of the property tests, which delay, are lost and lag. It checks what those tests check
//! (`proptests/world`), over many more and longer worlds:
//!
//! - at some messages that arrive: that the replica holds what the server held at that version;
//! - at every event: that the view moves just as the program is told;
//! - at every world's end, once all is quiet: that all replicas hold the server's value (law 7), that
//!   every change was accepted or rejected once and its author knows which (law 8), that the logs
//!   replay (law 9), and that cuts hold actions whole.
//!
//! `--type mixed` is a topic of each type, with actions over several of them, undo and redo.
//!
//! A run is cut into worlds of [`WORLD`] changes, each with a seed of its own, so that a failure is
//! found again in a moment: what it prints plays just that world.

#[path = "../proptests/generate.rs"]
mod generate;
#[path = "../proptests/world/mod.rs"]
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use generate::{Choices, Random};
use topicsync::topic::{Delivery, TopicOptions};
use world::record::Counts;
use world::{Checked, Setup, Step, Topic, World, kinds};

/// How many changes one world sees.
const WORLD: u64 = 2_000;

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
    let topic = |kind: world::Kind| Topic::new(kind.of.name(), kind);
    let alone = kinds().into_iter().map(|kind| {
        let topics = vec![topic(kind)];
        Game { name: kind.of.name(), topics, undo: false }
    });
    let topics = kinds().into_iter().map(topic).collect();
    alone.chain([Game { name: "mixed", topics, undo: true }]).collect()
}

impl Game {
    /// The world of a seed: so many clients, and now and then topics that are delivered as `latest`, or
    /// connections that lag.
    fn setup(&self, random: &mut Random) -> Setup {
        let choices: &mut dyn Choices = random;
        let clients = 2 + choices.below(3);
        let latest = choices.once_in(4);
        let with_delivery = |topic: &Topic| {
            let latest = latest && topic.kind.of.stateful();
            let delivery = if latest { Delivery::Latest } else { Delivery::Every };
            topic.clone().with(TopicOptions { delivery, ..TopicOptions::default() })
        };
        let topics = self.topics.iter().map(with_delivery).collect();
        let queue_max = if choices.once_in(4) { 2 } else { 64 };
        Setup { queue_max, encodings: false, stride: 61, ..Setup::new(clients, topics) }
    }

    fn step(&self, world: &World, choices: &mut dyn Choices) -> Step {
        let client = choices.below(world.clients.len());
        if !world.clients[client].connected && choices.below(8) == 0 {
            return Step::Connect(client);
        }
        match choices.below(1000) {
            0..300 => Step::Change(client),
            300..330 => Step::Act(client, 2 + choices.below(3)),
            330..500 => Step::Send(client),
            500..660 => Step::Serve(client),
            660..700 => Step::Publish,
            700..940 => Step::Deliver(client, 1 + choices.below(8)),
            940..950 => Step::Tick,
            950..970 if self.undo => Step::Undo(client),
            970..980 if self.undo => Step::Redo(client),
            980..984 => Step::Refuse,
            984..988 => Step::Busy,
            988..994 => Step::Retry(client),
            994..996 => Step::Disconnect(client),
            996 => Step::Cut,
            997 => Step::Toggle(client),
            998 if choices.below(4) == 0 => Step::Forget(client),
            _ => Step::Deliver(client, 64),
        }
    }

    /// Plays one world until so many changes were made, and checks it.
    fn play(&self, changes: u64, seed: u64) -> Checked<(u64, Counts)> {
        let mut random = Random(seed);
        let mut world = World::new(&self.setup(&mut random))?;
        world.thorough = false;
        while world.made < changes {
            let step = self.step(&world, &mut random);
            world.play(step, &mut random)?;
        }
        world.check()?;
        Ok((world.made, world.server.record.counts))
    }

    /// Plays worlds until so many changes were made in all.
    fn play_all(&self, changes: u64, seed: u64) -> Result<(u64, Counts), ()> {
        let (mut made, mut total, mut seed) = (0, Counts::default(), seed);
        while made < changes {
            let length = WORLD.min(changes - made);
            let played = catch_unwind(AssertUnwindSafe(|| self.play(length, seed)));
            match played.unwrap_or_else(|_| Err("a panic, as told above".into())) {
                Ok((changes, counts)) => {
                    made += changes;
                    total.add(counts);
                }
                Err(what) => {
                    let name = self.name;
                    eprintln!("{name}, seed {seed}: {what}");
                    eprintln!("again: --type {name} --seed {seed} --changes {length}");
                    return Err(());
                }
            }
            seed += 1;
        }
        Ok((made, total))
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
        "changes/s"
    );
    let mut sound = true;
    for game in games {
        let start = Instant::now();
        let Ok((made, counts)) = game.play_all(options.changes, options.seed) else {
            sound = false;
            continue;
        };
        let seconds = start.elapsed().as_secs_f64();
        let (name, rate) = (game.name, made as f64 / seconds);
        let Counts { accepted, none, rejected, reversed, resent } = counts;
        // Composed with others before they were sent, or taken back.
        let joined = made.saturating_sub(accepted + none + rejected);
        println!(
            "{name:<8} {made:>10} {accepted:>10} {none:>9} {rejected:>9} {joined:>9} {resent:>7} \
             {reversed:>8} {seconds:>8.1} {rate:>10.0}"
        );
    }
    if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
