//! Loads a server with what many clients do, and a bare relay with the same, and prints what each reached.
//!
//! ```text
//! cargo build --release && cargo run --release -p topicsync-tools --bin load
//! ```
//!
//! Each scenario has a fresh server, on one core, and all of the load on another. Everything stops by itself, and what
//! was started is killed. Progress goes to standard error, the table in Markdown to standard output; the exit code is 1
//! if a scenario failed. `--help` names the scenarios.
//!
//! ```text
//! main ──▶ scenarios ──▶ connection ──▶ wire
//!   │          └──▶ report
//!   ├──▶ process    starts and pins the server, or this program again as the relay
//!   └──▶ relay      the limit: frames to all, and no state
//! ```

mod connection;
mod process;
mod relay;
mod report;
mod scenarios;
mod wire;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Parser, Subcommand, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::LocalSet;
use tokio::time::{sleep, timeout};
use topicsync_tools::sibling;

use crate::process::{Cores, Server};
use crate::relay::RelayArgs;
use crate::report::{Outcome, Row};
use crate::scenarios::{Bench, Scenario};
use crate::wire::{Encoding, Framing, Template};

/// How long a process takes at most from closing its connections to its end.
const ENDING: Duration = Duration::from_millis(200);

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Loads a topicsync server, and a bare relay for comparison, and prints what each reached.
#[derive(Debug, Parser)]
#[command(name = "load", args_conflicts_with_subcommands = true)]
struct Args {
    #[command(subcommand)]
    mode: Option<Mode>,
    #[command(flatten)]
    plan: Plan,
}

#[derive(Debug, Subcommand)]
enum Mode {
    /// Be the relay: send each frame to all connections on the same path.
    Relay(RelayArgs),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Side {
    Server,
    Relay,
    Both,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Durability {
    /// At once, as the relay does.
    Memory,
    Relaxed,
    /// Once it is on disk.
    Commit,
}

#[derive(Debug, clap::Args)]
struct Plan {
    /// What to run; may be repeated. All if not given.
    #[arg(long = "scenario", value_enum)]
    scenarios: Vec<Scenario>,
    /// How long each is measured.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// How often each is run on each side, in turn; the table has the medians.
    #[arg(long, default_value_t = 1)]
    rounds: usize,
    #[arg(long, value_enum, default_value = "json")]
    encoding: Encoding,
    /// How writers send several changes at once.
    #[arg(long, value_enum, default_value = "array")]
    framing: Framing,
    /// Bytes of the value that a change sets, at least 17; the default makes a change about 100 bytes.
    #[arg(long, default_value_t = 48)]
    value_bytes: usize,
    #[arg(long, value_enum, default_value = "both")]
    side: Side,
    /// When the server publishes a change.
    #[arg(long, value_enum, default_value = "memory")]
    durability: Durability,
    /// How to start the server, split at spaces; {address} stands for where it is to listen, {data} for a new
    /// folder. If not given, the topicsync built beside this program.
    #[arg(long)]
    server_command: Option<String>,
    /// A server that runs already, as ws://ADDRESS:PORT, in place of one started here.
    #[arg(long, conflicts_with = "server_command")]
    url: Option<String>,
    /// The core that the server is held to.
    #[arg(long, default_value_t = 0)]
    server_core: usize,
    /// The core that the load is held to.
    #[arg(long, default_value_t = 1)]
    load_core: usize,
    /// Shows what the server writes to standard error.
    #[arg(long)]
    server_log: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match args.mode {
        Some(Mode::Relay(relay)) => {
            run_until_signal(async { relay::serve(relay).await.map(|()| true) })
        }
        None => {
            // Before the runtime, so that all of its threads are held to the core too.
            let cores =
                process::pin(Cores { server: args.plan.server_core, load: args.plan.load_core });
            run_until_signal(run_plan(args.plan, cores))
        }
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs on one thread, until it is done or told to stop; either way children are dropped, and so killed.
fn run_until_signal(work: impl Future<Output = Result<bool>>) -> Result<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            done = work => done,
            _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
            _ = terminate.recv() => Err("told to stop".into()),
        }
    })
}

/// Runs all scenarios and prints the table. Whether none failed is returned.
async fn run_plan(plan: Plan, cores: Option<Cores>) -> Result<bool> {
    let chosen = match &plan.scenarios[..] {
        [] => Scenario::value_variants().to_vec(),
        chosen => chosen.to_vec(),
    };
    let mut rows = Vec::new();
    for scenario in chosen {
        rows.push(run_scenario(scenario, &plan, cores).await);
    }
    println!("{}\n\n{}", setting(&plan, cores)?, report::table(&rows));
    Ok(rows.iter().all(|row| row.failures.is_empty()))
}

/// Runs a scenario on both sides in turn, as often as the plan says.
async fn run_scenario(scenario: Scenario, plan: &Plan, cores: Option<Cores>) -> Row {
    let mut row = Row {
        scenario: scenario.name(),
        server: Vec::new(),
        relay: Vec::new(),
        failures: Vec::new(),
    };
    for _ in 0..plan.rounds {
        for side in [Side::Server, Side::Relay] {
            if plan.side != Side::Both && plan.side != side {
                continue;
            }
            eprintln!("load: {} on the {}", row.scenario, side.name());
            match run_side(scenario, side, plan, cores).await {
                Ok(Some(outcome)) if side == Side::Server => row.server.push(outcome),
                Ok(Some(outcome)) => row.relay.push(outcome),
                Ok(None) => {}
                Err(error) => {
                    eprintln!("load: {} on the {} FAILED: {error}", row.scenario, side.name());
                    row.failures.push(format!("on the {}: {error}", side.name()));
                }
            }
        }
    }
    row
}

/// Starts one side and runs a scenario on it; none if that side cannot play it.
async fn run_side(
    scenario: Scenario,
    side: Side,
    plan: &Plan,
    cores: Option<Cores>,
) -> Result<Option<Outcome>> {
    process::raise_open_files(scenario.open_files())?;
    let command = match (side, &plan.url) {
        (Side::Relay, _) => match scenario.relay_arguments() {
            Some(arguments) => Some(relay_command(arguments)?),
            None => return Ok(None),
        },
        (_, Some(_)) => None,
        (_, None) => Some(server_command(plan)?),
    };
    let mut server = match &command {
        Some(command) => {
            Some(Server::start(command, cores.map(|cores| cores.server), plan.server_log).await?)
        }
        None => None,
    };
    let address = match (&server, &plan.url) {
        (Some(server), _) => server.address,
        (None, url) => resolve(url.as_deref().unwrap_or_default()).await?,
    };
    let bench = Bench {
        address,
        pid: server.as_ref().map(Server::pid),
        cores,
        encoding: plan.encoding,
        framing: plan.framing,
        seconds: plan.seconds,
        value_bytes: plan.value_bytes,
        nonce: SystemTime::now().duration_since(UNIX_EPOCH)?.subsec_nanos(),
        scratch: connection::new_scratch(),
    };
    let outcome = timeout(scenario.time_limit(plan.seconds), scenario.run(&bench)).await;
    if let (Some(server), Ok(Err(_)) | Err(_)) = (&mut server, &outcome) {
        // That the server has ended says more than that connections to it broke, which may be seen a little earlier.
        sleep(ENDING).await;
        server.check_alive()?;
    }
    match outcome {
        Ok(outcome) => outcome.map(Some),
        Err(_) => Err("it took far longer than it may".into()),
    }
}

fn server_command(plan: &Plan) -> Result<Vec<String>> {
    if let Some(command) = &plan.server_command {
        return Ok(command.split_whitespace().map(str::to_owned).collect());
    }
    let program = sibling::server()?.display().to_string();
    let durability = plan.durability.name();
    let arguments =
        ["serve", "--listen", "{address}", "--data", "{data}", "--durability", durability];
    Ok(std::iter::once(program).chain(arguments.map(str::to_owned)).collect())
}

fn relay_command(arguments: Vec<String>) -> Result<Vec<String>> {
    let program = std::env::current_exe()?.display().to_string();
    let command = [program, "relay".to_owned(), "--listen".to_owned(), "{address}".to_owned()];
    Ok(command.into_iter().chain(arguments).collect())
}

/// The address in a `ws://` URL.
async fn resolve(url: &str) -> Result<SocketAddr> {
    let authority = url.strip_prefix("ws://").ok_or("the URL must begin with ws://")?;
    let authority = authority.split('/').next().unwrap_or_default();
    let mut found = tokio::net::lookup_host(authority).await?;
    found.next().ok_or_else(|| format!("{authority} has no address").into())
}

/// A sentence on how it was measured.
fn setting(plan: &Plan, cores: Option<Cores>) -> Result<String> {
    let template = Template::new(plan.encoding, "load-00000000-00", 1, plan.value_bytes, b"")?;
    let (seconds, rounds, bytes) = (plan.seconds, plan.rounds, template.message_bytes());
    let pinned = match cores {
        Some(Cores { load, .. }) if plan.url.is_some() => {
            format!("a server that ran already, load on core {load}")
        }
        Some(Cores { server, load }) => format!("server on core {server}, load on core {load}"),
        None => "not pinned to cores".to_owned(),
    };
    let (encoding, durability) = (plan.encoding.subprotocol(), plan.durability.name());
    let framing = match plan.framing {
        Framing::Array => "several changes sent at once in one frame",
        Framing::Single => "a frame for each change",
    };
    Ok(format!(
        "{seconds} s each, {rounds} round(s), durability {durability}, {encoding}, {framing}, a writer's message of {bytes} bytes, {pinned}. \
         In the last column more is better for what is counted by the second, less for times and memory."
    ))
}

impl Durability {
    fn name(self) -> &'static str {
        match self {
            Durability::Memory => "memory",
            Durability::Relaxed => "relaxed",
            Durability::Commit => "commit",
        }
    }
}

impl Side {
    fn name(self) -> &'static str {
        match self {
            Side::Server => "server",
            Side::Relay => "relay",
            Side::Both => "server and relay",
        }
    }
}
