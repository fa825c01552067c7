//! Plays random clients against the algebra of each topic type, long enough to meet what is rare.
//!
//! ```text
//! cargo run --release --example converge -- --changes 10000000 [--type string] [--seed 7]
//! ```
//!
//! There is no engine here and no network, only what convergence rests on: a server with a version
//! log, which rebases what comes in, and clients with a confirmed value, one pending change each, and
//! delays. It checks
//!
//! - on every rebase of a pending change: that the square closes (law 4);
//! - on every change that comes back to its author: that it showed just what the server made of it;
//! - on every accepted change: that its inverse restores (law 2);
//! - on some: that they and the value survive an encoding (law 6);
//! - every [`SYNC_EVERY`] changes: that all replicas hold the server's value, to the last byte (law 7).
//!
//! A run is cut into worlds of [`WORLD`] changes, each with a seed of its own, so that a failure is
//! found again in a moment: what it prints starts with just that world.

#[path = "../proptests/generate.rs"]
mod generate;

use std::collections::VecDeque;
use std::fmt::Debug;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use generate::{Choices, Ends, Generate};
use topicsync::types::run::MaybeChange;
use topicsync::types::{AnyChange, AnyValue, TypeRef};
use topicsync::value::Invalid;

/// How many changes one world sees.
const WORLD: u64 = 10_000;

/// After how many changes all clients catch up and are compared.
const SYNC_EVERY: u64 = 500;

/// How many changes behind a client may fall, at most.
const LAG_MAX: u64 = 64;

#[derive(Parser)]
#[command(about = "Plays random clients against the algebra of each topic type.")]
struct Options {
    /// How many changes clients make, for each type.
    #[arg(long, default_value_t = 1_000_000)]
    changes: u64,
    /// Only this type.
    #[arg(long = "type")]
    topic_type: Option<String>,
    /// The seed of the first world; the next one has the next.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// S. Vigna's splitmix64.
struct Random(u64);

impl Choices for Random {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 32) as u32
    }
}

/// A type, and how to make its changes.
#[derive(Clone, Copy)]
struct Kind {
    of: TypeRef,
    change: fn(&mut dyn Choices, &AnyValue, Ends) -> AnyChange,
}

impl Kind {
    fn of<T: Generate>() -> Kind {
        let change = |choices: &mut dyn Choices, value: &AnyValue, ends| {
            let value = value.get::<T>().expect("a value of its own type");
            AnyChange::new::<T>(T::change(choices, value, ends))
        };
        Kind { of: TypeRef::of::<T>(), change }
    }
}

fn kinds() -> Vec<Kind> {
    use topicsync::types::{bool, dict, event, float, generic, int, list, set, string};
    vec![
        Kind::of::<generic::Generic>(),
        Kind::of::<bool::Bool>(),
        Kind::of::<int::Int>(),
        Kind::of::<float::Float>(),
        Kind::of::<string::String>(),
        Kind::of::<list::List>(),
        Kind::of::<set::Set>(),
        Kind::of::<dict::Dict>(),
        Kind::of::<event::Event>(),
    ]
}

/// What became of the changes.
#[derive(Default)]
struct Counts {
    accepted: u64,
    /// Accepted, with nothing left to do.
    none: u64,
    /// Sent back: a conflict, or a change without a base that did not fit.
    rejected: u64,
    /// How often a pending change was carried over an accepted one, with the square checked.
    squares: u64,
}

impl Counts {
    fn changes(&self) -> u64 {
        self.accepted + self.none + self.rejected
    }
}

/// How something went wrong.
type Checked<T = ()> = Result<T, String>;

fn same<T: PartialEq + Debug>(what: &str, left: &T, right: &T) -> Checked {
    if left == right { Ok(()) } else { Err(format!("{what}:\n  {left:?}\n  {right:?}")) }
}

struct Server {
    value: AnyValue,
    /// The accepted changes behind version `oldest`.
    log: VecDeque<MaybeChange>,
    oldest: u64,
}

impl Server {
    fn head(&self) -> u64 {
        self.oldest + self.log.len() as u64
    }
}

struct Client {
    confirmed: AnyValue,
    version: u64,
    pending: Option<Pending>,
}

/// A client's own change on its way.
struct Pending {
    sent: AnyChange,
    /// The version it was made on; `None` if it goes without.
    base: Option<u64>,
    /// The change as the client has carried it so far, and what it shows. `Err` once it conflicted.
    carried: Result<(MaybeChange, AnyValue), ()>,
    fate: Fate,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    InFlight,
    /// As this version.
    Accepted(u64),
    Rejected,
}

struct World {
    kind: Kind,
    random: Random,
    server: Server,
    clients: Vec<Client>,
    counts: Counts,
}

impl World {
    fn new(kind: Kind, seed: u64) -> World {
        let mut random = Random(seed);
        let choices: &mut dyn Choices = &mut random;
        let clients = 2 + choices.below(4);
        let value = kind.of.initial();
        let client = || Client { confirmed: value.clone(), version: 0, pending: None };
        let clients = (0..clients).map(|_| client()).collect();
        let server = Server { value, log: VecDeque::new(), oldest: 0 };
        World { kind, random, server, clients, counts: Counts::default() }
    }

    fn below(&mut self, bound: usize) -> usize {
        let choices: &mut dyn Choices = &mut self.random;
        choices.below(bound)
    }

    /// Runs until so many changes have met their fate.
    fn run(&mut self, changes: u64) -> Checked {
        let mut synced = 0;
        while self.counts.changes() < changes {
            self.step()?;
            if self.counts.changes() / SYNC_EVERY > synced {
                synced = self.counts.changes() / SYNC_EVERY;
                self.check_converged()?;
            }
        }
        self.check_converged()
    }

    fn step(&mut self) -> Checked {
        let client = self.below(self.clients.len());
        let pending = self.clients[client].pending.as_ref();
        let in_flight = pending.is_some_and(|pending| pending.fate == Fate::InFlight);
        if self.server.head() - self.clients[client].version >= LAG_MAX {
            return self.receive(client, LAG_MAX / 2);
        }
        match self.below(4) {
            0 => {
                let upto = 1 + self.below(8) as u64;
                self.receive(client, upto)
            }
            _ if self.clients[client].pending.is_none() => self.edit(client),
            _ if in_flight => self.accept(client),
            _ => self.receive(client, 1),
        }
    }

    /// A client makes a change on what it shows, and sends it.
    fn edit(&mut self, client: usize) -> Checked {
        let kind = self.kind;
        // Without a base: names the end perhaps, or shall simply win.
        let no_base = self.below(8) == 0;
        let ends = if no_base { Ends::Allowed } else { Ends::Never };
        let client = &mut self.clients[client];
        let change = (kind.change)(&mut self.random, &client.confirmed, ends);
        let mut shown = client.confirmed.clone();
        kind.of.apply(&mut shown, &change).map_err(|error| format!("{change:?}: {error}"))?;
        client.pending = Some(Pending {
            sent: change.clone(),
            base: (!no_base).then_some(client.version),
            carried: if no_base { Err(()) } else { Ok((Some(change), shown)) },
            fate: Fate::InFlight,
        });
        Ok(())
    }

    /// The server decides on a client's pending change.
    fn accept(&mut self, client: usize) -> Checked {
        let pending = self.clients[client].pending.as_mut().expect("a change in flight");
        let decided = decide(self.kind.of, &self.server, &pending.sent, pending.base)?;
        let Some((change, value)) = decided else {
            self.counts.rejected += 1;
            pending.fate = Fate::Rejected;
            return Ok(());
        };
        pending.fate = Fate::Accepted(self.server.head() + 1);
        match &change {
            Some(_) => self.counts.accepted += 1,
            None => self.counts.none += 1,
        }
        if let Some(change) = &change
            && self.counts.accepted.is_multiple_of(64)
        {
            check_encodings(self.kind.of, change, &value)?;
        }
        self.server.value = value;
        self.server.log.push_back(change);
        self.forget();
        Ok(())
    }

    /// Drops what every client has, and every change in flight was made on.
    fn forget(&mut self) {
        if self.server.log.len() < 4 * LAG_MAX as usize {
            return;
        }
        let needed = self.clients.iter().map(|client| {
            let base = client.pending.as_ref().and_then(|pending| pending.base);
            client.version.min(base.unwrap_or(u64::MAX))
        });
        let needed = needed.min().unwrap_or(self.server.oldest);
        self.server.log.drain(..(needed - self.server.oldest) as usize);
        self.server.oldest = needed;
    }

    /// A client gets up to `upto` of the changes that it has not seen.
    fn receive(&mut self, client: usize, upto: u64) -> Checked {
        let (kind, server) = (self.kind.of, &self.server);
        let client = &mut self.clients[client];
        let end = (client.version + upto).min(server.head());
        while client.version < end {
            let accepted = &server.log[(client.version - server.oldest) as usize];
            client.version += 1;
            if let Some(change) = accepted {
                kind.apply(&mut client.confirmed, change)
                    .map_err(|error| format!("accepted, but {change:?} failed: {error}"))?;
            }
            let Some(pending) = &mut client.pending else { continue };
            if pending.fate == Fate::Accepted(client.version) {
                if let Ok((_, shown)) = &pending.carried {
                    same("what a client showed", shown, &client.confirmed)?;
                }
                client.pending = None;
            } else if let Some(accepted) = accepted {
                self.counts.squares += carry(kind, pending, &client.confirmed, accepted)?;
            }
        }
        if client.pending.as_ref().is_some_and(|pending| pending.fate == Fate::Rejected) {
            client.pending = None;
        }
        Ok(())
    }

    /// Law 7: once everybody has everything, all hold one value.
    fn check_converged(&mut self) -> Checked {
        for client in 0..self.clients.len() {
            self.receive(client, u64::MAX / 2)?;
            let confirmed = &self.clients[client].confirmed;
            let text = |value| serde_json::to_string(&self.kind.of.encode_value(value)).unwrap();
            same("a replica and the server", &text(confirmed), &text(&self.server.value))?;
        }
        Ok(())
    }
}

/// What the server makes of a change: the exact one and the value it leads to, or nothing if it is
/// rejected.
fn decide(
    kind: TypeRef,
    server: &Server,
    sent: &AnyChange,
    base: Option<u64>,
) -> Checked<Option<(MaybeChange, AnyValue)>> {
    let mut change = sent.clone();
    let missed = base.map_or(server.log.len(), |base| (base - server.oldest) as usize);
    for accepted in server.log.range(missed..).flatten() {
        match kind.rebase(&change, accepted) {
            Err(_) => return Ok(None),
            Ok(rebased) => match rebased.incoming {
                None => return Ok(Some((None, server.value.clone()))),
                Some(carried) => change = carried,
            },
        }
    }
    let mut value = server.value.clone();
    let exact = match kind.resolve(change, &value) {
        Ok(exact) => exact,
        Err(_) if base.is_none() => return Ok(None),
        Err(error) => return Err(format!("{sent:?} was carried, and not resolved: {error}")),
    };
    match kind.apply(&mut value, &exact) {
        Ok(()) => {}
        Err(Invalid::NumberRange) => return Ok(None),
        Err(_) if base.is_none() => return Ok(None),
        Err(error) => return Err(format!("{sent:?} was carried to {exact:?}: {error}")),
    }
    if let Some(inverse) = kind.invert(&exact, &server.value) {
        let mut restored = value.clone();
        kind.apply(&mut restored, &inverse).map_err(|error| format!("{inverse:?}: {error}"))?;
        same("after the inverse", &restored, &server.value)?;
    }
    Ok(Some((Some(exact), value)))
}

/// Carries a pending change over an accepted one, `confirmed` being the value with it. Checks the
/// square, and gives how many that were.
fn carry(
    kind: TypeRef,
    pending: &mut Pending,
    confirmed: &AnyValue,
    accepted: &AnyChange,
) -> Checked<u64> {
    let Ok((carried, shown)) = &mut pending.carried else { return Ok(0) };
    let over_shown = match carried {
        None => Some(accepted.clone()),
        Some(change) => match kind.rebase(change, accepted) {
            Err(_) => {
                pending.carried = Err(());
                return Ok(0);
            }
            Ok(rebased) => {
                *carried = rebased.incoming;
                rebased.accepted
            }
        },
    };
    let mut left = confirmed.clone();
    if let Some(change) = carried {
        match kind.apply(&mut left, change) {
            Err(Invalid::NumberRange) => {
                pending.carried = Err(());
                return Ok(0);
            }
            result => result.map_err(|error| format!("carried to {change:?}: {error}"))?,
        }
    }
    if let Some(change) = &over_shown {
        kind.apply(shown, change).map_err(|error| format!("shown, {change:?}: {error}"))?;
    }
    same("the square", &left, shown)?;
    Ok(1)
}

/// Law 6: an accepted change and the value it led to come out of both encodings as they went in.
fn check_encodings(kind: TypeRef, change: &AnyChange, value: &AnyValue) -> Checked {
    let plain = kind.encode_value(value);
    let json = serde_json::to_string(&plain).unwrap();
    let decoded = serde_json::from_str(&json).map_err(|error| error.to_string())?;
    let decoded = kind.decode_value(&decoded).map_err(|error| error.to_string())?;
    same("the value from JSON", value, &decoded)?;
    let bytes = rmp_serde::to_vec(&plain).unwrap();
    let decoded = rmp_serde::from_slice(&bytes).map_err(|error| error.to_string())?;
    let decoded = kind.decode_value(&decoded).map_err(|error| error.to_string())?;
    same("the value from MessagePack", value, &decoded)?;
    let fields = kind.encode_change(change);
    let decoded = kind.decode_change(&fields).map_err(|error| error.to_string())?;
    same("the change", change, &decoded)
}

/// Plays so many changes against one type.
fn play(kind: Kind, changes: u64, seed: u64) -> Result<Counts, ()> {
    let mut total = Counts::default();
    let mut seed = seed;
    while total.changes() < changes {
        let mut world = World::new(kind, seed);
        let length = WORLD.min(changes - total.changes());
        if let Err(what) = world.run(length) {
            let (name, step) = (kind.of.name(), world.counts.changes());
            eprintln!("{name} diverged, seed {seed}, after {step} changes: {what}");
            eprintln!("again: --type {name} --seed {seed} --changes {length}");
            return Err(());
        }
        let Counts { accepted, none, rejected, squares } = world.counts;
        total.accepted += accepted;
        total.none += none;
        total.rejected += rejected;
        total.squares += squares;
        seed += 1;
    }
    Ok(total)
}

fn main() -> ExitCode {
    let options = Options::parse();
    let kinds = kinds();
    let wanted =
        |kind: &&Kind| options.topic_type.as_deref().is_none_or(|wanted| wanted == kind.of.name());
    let mut kinds = kinds.iter().filter(wanted).peekable();
    if kinds.peek().is_none() {
        eprintln!("no such type");
        return ExitCode::FAILURE;
    }
    println!(
        "{:<8} {:>11} {:>11} {:>9} {:>11} {:>11} {:>8} {:>10}",
        "type", "changes", "accepted", "none", "rejected", "squares", "seconds", "changes/s"
    );
    let mut sound = true;
    for kind in kinds {
        let start = Instant::now();
        let Ok(counts) = play(*kind, options.changes, options.seed) else {
            sound = false;
            continue;
        };
        let (name, changes, seconds) =
            (kind.of.name(), counts.changes(), start.elapsed().as_secs_f64());
        let Counts { accepted, none, rejected, squares } = counts;
        let rate = changes as f64 / seconds;
        println!(
            "{name:<8} {changes:>11} {accepted:>11} {none:>9} {rejected:>11} {squares:>11} \
             {seconds:>8.1} {rate:>10.0}"
        );
    }
    if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
