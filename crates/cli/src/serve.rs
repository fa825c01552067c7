//! `serve`: the server.

use std::io::{self, IsTerminal};
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use topicsync::engine::EngineConfig;
use topicsync::journal::SqliteJournal;
use topicsync::server::{Server, ServerConfig};
use topicsync::topic::Durability;
use tracing_subscriber::EnvFilter;

use super::{CliError, Context};

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
pub struct Serve {
    /// Address or host name, and port, to listen on; port 0 picks a free one
    #[arg(
        long,
        env = "TOPICSYNC_LISTEN",
        value_name = "ADDR:PORT",
        default_value = "127.0.0.1:8765",
        value_parser = address
    )]
    listen: SocketAddr,

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

    /// Bytes of requests and responses that wait for a client that is away
    #[arg(long, env = "TOPICSYNC_BACKLOG_BYTES", value_name = "BYTES", default_value_t = 4 << 20)]
    backlog_bytes: usize,

    /// Services that one session may offer
    #[arg(long, env = "TOPICSYNC_SERVICES", value_name = "N", default_value_t = 1_000)]
    services: usize,

    /// Requests of one session that may wait for their answers
    #[arg(long, env = "TOPICSYNC_REQUESTS", value_name = "N", default_value_t = 1_000)]
    requests: usize,

    /// Seconds between two pings of a connection
    #[arg(long, env = "TOPICSYNC_PING_INTERVAL", value_name = "SECONDS", default_value_t = 20,
          value_parser = clap::value_parser!(u64).range(1..))]
    ping_interval: u64,

    /// Seconds after which a client that is silent is gone
    #[arg(long, env = "TOPICSYNC_SILENCE", value_name = "SECONDS", default_value_t = 60,
          value_parser = clap::value_parser!(u64).range(1..))]
    silence: u64,

    /// Milliseconds between two updates of a topic that delivers the latest only
    #[arg(long, env = "TOPICSYNC_TICK", value_name = "MS", default_value_t = 50,
          value_parser = clap::value_parser!(u64).range(1..))]
    tick: u64,

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

/// Reads an address; of those that a host name has, the first of IPv4, else the first.
fn address(text: &str) -> Result<SocketAddr, String> {
    let addresses = text.to_socket_addrs().map_err(|error| {
        format!("{error}; an address is as 127.0.0.1:8765, [::1]:8765 or localhost:8765")
    })?;
    let addresses: Vec<SocketAddr> = addresses.collect();
    let first = addresses.iter().find(|it| it.is_ipv4()).or(addresses.first());
    first.copied().ok_or_else(|| format!("{text} has no address"))
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
            backlog_bytes_max: self.backlog_bytes,
            services_max: self.services,
            requests_max: self.requests,
            ping_interval: Duration::from_secs(self.ping_interval),
            silence_max: Duration::from_secs(self.silence),
            tick: Duration::from_millis(self.tick),
        }
    }

    pub fn run(&self, context: &Context<'_>) -> Result<(), CliError> {
        start_logging(&self.log)?;
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        if self.threads > 0 {
            runtime.worker_threads(self.threads);
        }
        runtime.enable_all().build()?.block_on(self.serve(context))
    }

    async fn serve(&self, context: &Context<'_>) -> Result<(), CliError> {
        let journal = SqliteJournal::open(context.data)?;
        let engine = EngineConfig {
            journal: Arc::new(journal),
            registry: context.registry.clone(),
            durability: match self.durability {
                DurabilityArg::Commit => Durability::Commit,
                DurabilityArg::Relaxed => Durability::Relaxed,
                DurabilityArg::Memory => Durability::Memory,
            },
            relaxed_interval: Duration::from_millis(self.relaxed_interval),
            ..EngineConfig::default()
        };
        let server = Server::bind(self.config(), engine)?;
        tracing::info!("data in {}", context.data.display());
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

/// Is done when the process is asked to stop: by Ctrl-C, by `kill`, or as its terminal is closed.
fn stop_signal() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    // A program that nohup started goes on without its terminal.
    let mut hangup = if ignores_hangup() { None } else { Some(signal(SignalKind::hangup())?) };
    Ok(async move {
        let hung_up = async {
            match &mut hangup {
                Some(hangup) => drop(hangup.recv().await),
                None => std::future::pending().await,
            }
        };
        let name = tokio::select! {
            _ = interrupt.recv() => "SIGINT",
            _ = terminate.recv() => "SIGTERM",
            () = hung_up => "SIGHUP",
        };
        tracing::info!("{name}: telling clients, writing what waits for them");
    })
}

/// Whether whoever started this process had it ignore SIGHUP, as far as the system tells (Linux does).
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // SIGHUP is signal 1, and so the lowest bit.
    ignored
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & 1 == 1)
}
