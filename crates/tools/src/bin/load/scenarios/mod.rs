//! What is measured: each scenario sets itself up on a fresh server, runs for a set time, checks that nothing was lost,
//! and says what it saw.
//!
//! All connections of a scenario live in one thread on a core of its own, so their clocks are one clock and a counter
//! needs no lock.

mod flow;
mod idle;
mod join;
mod list;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use tokio::task::JoinSet;

use crate::Result;
use crate::connection::{Connection, Endpoint, Scratch};
use crate::process::{Cores, core_busy_seconds, cpu_seconds};
use crate::report::Outcome;
use crate::wire::{Encoding, Framing};

/// What is not measured at first: queues fill, memory is warmed.
const WARM_UP: Duration = Duration::from_millis(500);
/// How long what is under way may take to arrive when a scenario has stopped writing.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(20);
/// What others may take of a core before it is told.
const OTHERS_SHARE_MAX: f64 = 0.05;
/// A writer has at most this many changes in flight.
const WINDOW: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// One writer and 10 subscribers of one topic, deliveries a second.
    #[value(name = "fanout-10")]
    FanOut10,
    /// One writer and 100 subscribers of one topic, deliveries a second.
    #[value(name = "fanout-100")]
    FanOut100,
    /// One writer and 500 subscribers of one topic, deliveries a second.
    #[value(name = "fanout-500")]
    FanOut500,
    /// 50 topics with a writer and a subscriber each, changes a second.
    #[value(name = "pairs-50")]
    Pairs50,
    /// 20 writers on one list, accepted changes a second.
    #[value(name = "list-20")]
    List20,
    /// 100 changes a second to 100 subscribers, milliseconds from sending to receiving.
    #[value(name = "latency")]
    Latency,
    /// 10,000 sessions that only listen, memory of each.
    #[value(name = "idle-10000")]
    Idle10000,
    /// Joining a list of 100,000 items, milliseconds.
    #[value(name = "join-100k")]
    Join100k,
}

/// A server to run a scenario on.
pub struct Bench {
    pub address: SocketAddr,
    /// Of the server, if this process started it.
    pub pid: Option<u32>,
    /// If both sides are held to their cores.
    pub cores: Option<Cores>,
    pub encoding: Encoding,
    pub framing: Framing,
    pub seconds: f64,
    pub value_bytes: usize,
    /// Keeps topics of earlier runs on the same server apart.
    pub nonce: u32,
    pub scratch: Scratch,
}

impl Scenario {
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// What the relay must be started with; none if it cannot play the scenario, as it would take state.
    pub fn relay_arguments(self) -> Option<Vec<String>> {
        match self {
            Scenario::List20 => None,
            Scenario::Join100k => Some(vec!["--snapshot-items".into(), join::ITEMS.to_string()]),
            // What a frugal server would choose; it reads next to nothing here.
            Scenario::Idle10000 => Some(vec!["--read-buffer".into(), "4096".into()]),
            _ => Some(Vec::new()),
        }
    }

    /// How many files this process and the server need open.
    pub fn open_files(self) -> u64 {
        match self {
            Scenario::Idle10000 => idle::SESSIONS as u64 + 100,
            _ => 1000,
        }
    }

    pub async fn run(self, bench: &Bench) -> Result<Outcome> {
        let fan_out = |subscribers| flow::Flow { topics: 1, subscribers, pace: flow::Pace::Window };
        match self {
            Scenario::FanOut10 => flow::run_fan_out(bench, fan_out(10)).await,
            Scenario::FanOut100 => flow::run_fan_out(bench, fan_out(100)).await,
            Scenario::FanOut500 => flow::run_fan_out(bench, fan_out(500)).await,
            Scenario::Pairs50 => flow::run_pairs(bench, 50).await,
            Scenario::List20 => list::run(bench, 20).await,
            Scenario::Latency => flow::run_latency(bench, 100, Duration::from_millis(10)).await,
            Scenario::Idle10000 => idle::run(bench).await,
            Scenario::Join100k => join::run(bench).await,
        }
    }

    /// Longer than a run of it can take if all is well.
    pub fn time_limit(self, seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds) + Duration::from_secs(120)
    }
}

impl Bench {
    /// The name of a topic of this run, and where to connect for it: the relay takes the path for the topic.
    fn topic(&self, number: usize) -> (String, Endpoint) {
        let name = format!("load-{:08x}-{number:02}", self.nonce);
        let path = format!("/{name}");
        let endpoint = Endpoint {
            address: self.address,
            path,
            encoding: self.encoding,
            scratch: Scratch::clone(&self.scratch),
        };
        (name, endpoint)
    }

    async fn open(&self, endpoint: &Endpoint) -> Result<Connection> {
        Connection::open(endpoint, None).await
    }

    fn window(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    /// Reads all that is counted over a stretch of time.
    fn sample(&self, count: u64) -> Sample {
        Sample {
            at: Instant::now(),
            count,
            server_cpu: self.pid.and_then(cpu_seconds),
            load_cpu: cpu_seconds(std::process::id()),
            server_core: self.cores.and_then(|cores| core_busy_seconds(cores.server)),
            load_core: self.cores.and_then(|cores| core_busy_seconds(cores.load)),
        }
    }
}

/// Counters at one moment.
#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Instant,
    count: u64,
    server_cpu: Option<f64>,
    load_cpu: Option<f64>,
    server_core: Option<f64>,
    load_core: Option<f64>,
}

/// What happened between two samples.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    count: u64,
    seconds: f64,
    server_cpu: Option<f64>,
    load_cpu: Option<f64>,
    server_core: Option<f64>,
    load_core: Option<f64>,
}

impl Sample {
    fn until(self, end: Sample) -> Stretch {
        let spent =
            |start: Option<f64>, end: Option<f64>| end.zip(start).map(|(end, start)| end - start);
        Stretch {
            count: end.count - self.count,
            seconds: (end.at - self.at).as_secs_f64(),
            server_cpu: spent(self.server_cpu, end.server_cpu),
            load_cpu: spent(self.load_cpu, end.load_cpu),
            server_core: spent(self.server_core, end.server_core),
            load_core: spent(self.load_core, end.load_core),
        }
    }
}

impl Stretch {
    fn per_second(&self) -> f64 {
        self.count as f64 / self.seconds
    }

    /// An outcome that tells what the stretch cost and has no figures yet.
    fn outcome(&self) -> Outcome {
        Outcome {
            cpu_seconds_per_million: self
                .server_cpu
                .filter(|_| self.count > 0)
                .map(|cpu| cpu / self.count as f64 * 1e6),
            server_busy: self.server_cpu.map(|cpu| cpu / self.seconds),
            load_busy: self.load_cpu.map(|cpu| cpu / self.seconds),
            notes: self.disturbance().into_iter().collect(),
            ..Outcome::default()
        }
    }

    /// Says so if others used the cores too; the figures are then too low.
    fn disturbance(&self) -> Option<String> {
        let others = |core: Option<f64>, own: Option<f64>| Some((core? - own?) / self.seconds);
        let server = others(self.server_core, self.server_cpu)?;
        let load = others(self.load_core, self.load_cpu)?;
        let percent = |share: f64| (share * 100.0).max(0.0);
        (server.max(load) > OTHERS_SHARE_MAX).then(|| {
            let (server, load) = (percent(server), percent(load));
            format!("others took {server:.0} % of the server's core and {load:.0} % of the load's, so it is too low")
        })
    }
}

/// Fails as soon as one of the tasks does; they go on until they are dropped.
async fn first_failure(tasks: &mut JoinSet<Result<()>>) -> Result<()> {
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    std::future::pending().await
}
