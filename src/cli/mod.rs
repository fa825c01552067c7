//! Flags, environment variables and commands.
//!
//! | module | holds |
//! |---|---|
//! | [`source`] | where a history is read from: a data folder or an exported file |
//! | [`out`], [`paint`], [`pretty`] | what is printed, and how it looks |
//! | [`when`] | moments, as people write them |
//! | [`topics`], [`log`], [`show`], [`diff`], [`blame`] | looking into histories |
//! | [`transfer`] | export, import, fork |
//! | [`verify`], [`bisect`] | checking histories |
//! | [`replay`] | stepping through them |

mod bisect;
mod blame;
mod diff;
mod log;
mod out;
mod paint;
mod pretty;
mod replay;
mod show;
mod source;
mod topics;
mod transfer;
mod verify;
mod when;

use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use thiserror::Error;
use topicsync::engine::EngineConfig;
use topicsync::journal::{JournalError, SqliteJournal};
use topicsync::server::{BindError, Server, ServerConfig};
use topicsync::topic::Durability;
use tracing_subscriber::EnvFilter;

/// A server for shared state: typed topics, one order, convergent clients.
///
/// Clients connect with a WebSocket, subscribe to topics by name, send typed changes, and see
/// everyone's changes in one order.
///
/// Start a server on 127.0.0.1:8765:          topicsync
/// On all addresses, with another port:       topicsync serve --listen 0.0.0.0:9000
/// See who changed what, and when:            topicsync log
/// Step through it:                           topicsync replay
#[derive(Debug, Parser)]
#[command(version, verbatim_doc_comment, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Serve,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server until SIGINT or SIGTERM (the default command)
    Serve(Box<Serve>),
    /// List topics with their type, head and size
    Topics(topics::Topics),
    /// Show who changed what and when, of some topics or all
    Log(log::Log),
    /// Show a topic's value, or the whole workspace, now or at any moment
    Show(show::Show),
    /// Show what is different between two versions of a topic
    Diff(diff::Diff),
    /// Show who last wrote each key, item or stretch of text of a topic
    Blame(blame::Blame),
    /// Step through a history in the terminal, forward and back
    Replay(replay::Replay),
    /// Write histories as text, one JSON object a line
    Export(transfer::Export),
    /// Read exported histories into a data folder
    Import(transfer::Import),
    /// Make a new topic that starts at a version of another
    Fork(transfer::Fork),
    /// Fold every log and check it against its checkpoints
    Verify(verify::Verify),
    /// Find the first commit at which a condition does not hold
    Bisect(bisect::Bisect),
}

/// When a change is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DurabilityArg {
    /// Once it is on disk: no crash loses what anybody has seen
    Commit,
    /// At once; the disk follows within --relaxed-interval, and a crash may lose so much
    Relaxed,
    /// At once; a restart forgets it
    Memory,
}

#[derive(Debug, Args)]
struct Serve {
    /// Address and port to listen on; port 0 picks a free one
    #[arg(
        long,
        env = "TOPICSYNC_LISTEN",
        value_name = "ADDR:PORT",
        default_value = "127.0.0.1:8765"
    )]
    listen: SocketAddr,

    /// Folder that keeps topics and their histories; made if it is not there
    #[arg(long, env = "TOPICSYNC_DATA", value_name = "DIR", default_value = "topicsync-data")]
    data: PathBuf,

    /// When a change counts as done and is shown to others, on topics that do not say
    #[arg(long, env = "TOPICSYNC_DURABILITY", value_enum, default_value = "commit")]
    durability: DurabilityArg,

    /// Milliseconds that relaxed changes gather before they are written
    #[arg(long, env = "TOPICSYNC_RELAXED_INTERVAL", value_name = "MS", default_value_t = 100)]
    relaxed_interval: u64,

    /// Seconds, about, that a topic which nobody uses stays in memory
    #[arg(long, env = "TOPICSYNC_IDLE_AFTER", value_name = "SECONDS", default_value_t = 60,
          value_parser = clap::value_parser!(u64).range(1..))]
    idle_after: u64,

    /// Seconds that a session outlives its connection, to be resumed
    #[arg(long, env = "TOPICSYNC_SESSION_TIMEOUT", value_name = "SECONDS", default_value_t = 60)]
    session_timeout: u64,

    /// Seconds that a service request waits for an answer, unless it says otherwise
    #[arg(long, env = "TOPICSYNC_REQUEST_TIMEOUT", value_name = "SECONDS", default_value_t = 30)]
    request_timeout: u64,

    /// Largest message that a client may send, in bytes
    #[arg(long, env = "TOPICSYNC_MESSAGE_BYTES", value_name = "BYTES", default_value_t = 4 << 20)]
    message_bytes: usize,

    /// Topics that one session may subscribe to
    #[arg(long, env = "TOPICSYNC_SUBSCRIPTIONS", value_name = "N", default_value_t = 10_000)]
    subscriptions: usize,

    /// Sessions at a time; a client beyond them is closed with 1013
    #[arg(long, env = "TOPICSYNC_SESSIONS", value_name = "N", default_value_t = 100_000)]
    sessions: usize,

    /// Topics at a time
    #[arg(long, env = "TOPICSYNC_TOPICS", value_name = "N", default_value_t = 1_000_000)]
    topics: usize,

    /// Bytes of changes that wait for a slow client before it is brought up by a snapshot instead
    #[arg(long, env = "TOPICSYNC_QUEUE_BYTES", value_name = "BYTES", default_value_t = 4 << 20)]
    queue_bytes: usize,

    /// Messages a second that a client may send; one that sends more for 10 s is closed with 1008.
    /// 0 is no limit
    #[arg(long, env = "TOPICSYNC_MESSAGE_RATE", value_name = "N", default_value_t = 0)]
    message_rate: u32,

    /// Worker threads; 0 is one a core
    #[arg(long, env = "TOPICSYNC_THREADS", value_name = "N", default_value_t = 0)]
    threads: usize,

    /// What to log: error, warn, info, debug, trace, or a filter such as topicsync=debug
    #[arg(long, env = "TOPICSYNC_LOG", value_name = "FILTER", default_value = "info")]
    log: String,
}

/// Why a command could not do its work.
#[derive(Debug, Error)]
pub enum CliError {
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("the log filter {filter:?} is none: {source}")]
    Log { filter: String, source: tracing_subscriber::filter::ParseError },
    #[error("cannot start: {0}")]
    Runtime(#[from] io::Error),
    #[error(transparent)]
    Command(#[from] out::CommandError),
}

/// Does what the command line asks for.
///
/// # Errors
/// What went wrong, in words for the person at the terminal.
pub fn run(cli: Cli) -> Result<(), CliError> {
    let result = match cli.command {
        None => return cli.serve.run(),
        Some(Command::Serve(serve)) => return serve.run(),
        Some(Command::Topics(topics)) => topics.run(),
        Some(Command::Log(log)) => log.run(),
        Some(Command::Show(show)) => show.run(),
        Some(Command::Diff(diff)) => diff.run(),
        Some(Command::Blame(blame)) => blame.run(),
        Some(Command::Replay(replay)) => replay.run(),
        Some(Command::Export(export)) => export.run(),
        Some(Command::Import(import)) => import.run(),
        Some(Command::Fork(fork)) => fork.run(),
        Some(Command::Verify(verify)) => verify.run(),
        Some(Command::Bisect(bisect)) => bisect.run(),
    };
    match result {
        // Whoever reads what is printed has had enough of it: `topicsync log | head`.
        Err(error) if error.is_broken_pipe() => Ok(()),
        result => Ok(result?),
    }
}

impl Serve {
    fn config(&self) -> ServerConfig {
        ServerConfig {
            listen: self.listen,
            session_timeout: Duration::from_secs(self.session_timeout),
            request_timeout: Duration::from_secs(self.request_timeout),
            message_bytes_max: self.message_bytes,
            subscriptions_max: self.subscriptions,
            sessions_max: self.sessions,
            topics_max: self.topics,
            idle_after: Duration::from_secs(self.idle_after),
            queue_bytes_max: self.queue_bytes,
            messages_per_second_max: self.message_rate,
            ..ServerConfig::default()
        }
    }

    fn run(&self) -> Result<(), CliError> {
        start_logging(&self.log)?;
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        if self.threads > 0 {
            runtime.worker_threads(self.threads);
        }
        runtime.enable_all().build()?.block_on(self.serve())
    }

    async fn serve(&self) -> Result<(), CliError> {
        let journal = SqliteJournal::open(&self.data)?;
        let engine = EngineConfig {
            journal: Arc::new(journal),
            durability: match self.durability {
                DurabilityArg::Commit => Durability::Commit,
                DurabilityArg::Relaxed => Durability::Relaxed,
                DurabilityArg::Memory => Durability::Memory,
            },
            relaxed_interval: Duration::from_millis(self.relaxed_interval),
            ..EngineConfig::default()
        };
        let server = Server::bind(self.config(), engine)?;
        tracing::info!("data in {}", self.data.display());
        tracing::info!("listening on ws://{}", server.address()?);
        server.run(stop_signal()?).await;
        tracing::info!("stopped");
        Ok(())
    }
}

fn start_logging(filter: &str) -> Result<(), CliError> {
    let env_filter = EnvFilter::try_new(filter)
        .map_err(|source| CliError::Log { filter: filter.to_owned(), source })?;
    tracing_subscriber::fmt()
        .with_env_filter(env_filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .init();
    Ok(())
}

/// Is done when the process is asked to stop.
fn stop_signal() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        let name = tokio::select! {
            _ = interrupt.recv() => "SIGINT",
            _ = terminate.recv() => "SIGTERM",
        };
        tracing::info!("{name}: telling clients, writing what waits for them");
    })
}
