//! The server: pumps bytes between WebSockets and the session core, serves pages, and is the way in for a
//! program that embeds it.
//!
//! It decides nothing about sessions: that is [`crate::session`], which it gives sockets, a clock,
//! threads and randomness.
//!
//! | module | holds |
//! |---|---|
//! | [`builder`], [`config`] | how a server is set up |
//! | [`host`] | topics and services for the program it is embedded in |
//! | `shared` | what all sockets share |
//! | `socket` | one socket: reads, writes, pings, closes |
//! | `peer`, `v0_13` | which vocabulary a client speaks; that of topicsync 0.13 |
//! | `http`, `metrics` | the port's pages |
//! | `rate` | how much one connection may ask for |

pub mod builder;
pub mod config;
pub mod host;
mod http;
mod metrics;
mod peer;
mod rate;
mod shared;
mod socket;
mod v0_13;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use thiserror::Error;
use tokio::net::TcpListener;

use crate::engine::EngineConfig;
use crate::journal::JournalError;
use crate::session::Hub;

pub use builder::ServerBuilder;
pub use config::ServerConfig;
pub use host::{Changed, Host, Listening, TopicHandle};
pub use shared::Shared;
#[doc(hidden)]
pub use v0_13::Clients as V0_13Clients;

/// How long connections have to take what waits for them when the server goes down.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);
/// How many connections wait to be accepted.
const BACKLOG: i32 = 4096;

/// Why a server cannot start.
#[derive(Debug, Error)]
pub enum BindError {
    /// The address cannot be bound.
    #[error("cannot listen on {address}: {source}{}", hint(.source))]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The journal cannot be read or written.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// What to do about an address that cannot be bound.
fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "; another program listens there, maybe another topicsync: choose another port with --listen"
        }
        io::ErrorKind::PermissionDenied => "; ports below 1024 need privileges: choose another one",
        _ => "",
    }
}

/// A server that listens, and does not yet serve.
pub struct Server {
    shared: Arc<Shared>,
    listener: TcpListener,
}

impl Server {
    /// Binds the address of `config`. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The address cannot be bound: it is taken, say; or the journal cannot be read or written.
    pub fn bind(config: ServerConfig, engine: EngineConfig) -> Result<Server, BindError> {
        let address = config.listen;
        let listener = listen(address).map_err(|source| BindError::Listen { address, source })?;
        Ok(Server { shared: Shared::begin(config, engine)?, listener })
    }

    /// Where it listens; the port chosen, if the configured one was 0.
    ///
    /// # Errors
    /// The operating system does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Sets a server up, step by step.
    pub fn builder() -> ServerBuilder {
        ServerBuilder::default()
    }

    /// The way in for the program that the server is embedded in.
    pub fn host(&self) -> Host {
        Host::new(self.shared.clone())
    }

    /// What all sessions share, for programs that look inside: counters, sessions, the engine.
    pub fn hub(&self) -> &Arc<Hub> {
        &self.shared.hub
    }

    /// Serves until `shutdown` is done; then tells every client, writes what waits for each, and
    /// returns.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send + 'static) {
        let Server { shared, listener } = self;
        let routes = http::routes(shared.clone());
        let stopped = shared.shutdown.clone().cancelled_owned();
        let http = tokio::spawn(warp::serve(routes).incoming(listener).graceful(stopped).run());
        let ticker = tokio::spawn(tick(shared.clone()));
        let sweeper = tokio::spawn(evict_idle(shared.clone()));
        let journal = JournalThread::start(shared.clone());
        shared.hub.announce("the server is up");
        tokio::select! {
            () = shutdown => {
                // What was accepted by now is published to those who are still there.
                let _ = tokio::time::timeout(SHUTDOWN_TIMEOUT, shared.settled()).await;
                shared.go_down();
            }
            () = shared.shutdown.cancelled() => {}
        }
        shared.tasks.close();
        if tokio::time::timeout(SHUTDOWN_TIMEOUT, shared.tasks.wait()).await.is_err() {
            tracing::warn!("some connections did not take their last messages in time");
        }
        ticker.abort();
        sweeper.abort();
        http.abort();
        if journal.stop().await
            && let Err(error) = shared.hub.engine().close()
        {
            tracing::error!(%error, "the journal was not closed in good order");
        }
    }
}

/// The thread that writes the journal; it stops when this is dropped, at the latest.
struct JournalThread {
    shared: Arc<Shared>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl JournalThread {
    fn start(shared: Arc<Shared>) -> JournalThread {
        let running = shared.clone();
        let thread = std::thread::Builder::new().name("journal".into());
        let thread = thread.spawn(move || {
            let _watch = Watch(running.clone());
            running.hub.engine().run_journal();
        });
        JournalThread { shared, thread: Some(thread.expect("the system gives a thread")) }
    }

    /// Has it write all that waits, and end. `false` if it panicked.
    async fn stop(mut self) -> bool {
        self.shared.hub.engine().stop_journal();
        let Some(thread) = self.thread.take() else { return false };
        let ended = tokio::task::spawn_blocking(move || thread.join()).await;
        ended.is_ok_and(|joined| joined.is_ok())
    }
}

impl Drop for JournalThread {
    fn drop(&mut self) {
        self.shared.hub.engine().stop_journal();
    }
}

/// Has the server go down if the thread that holds this panics: without its journal it would accept
/// changes that nobody ever sees.
struct Watch(Arc<Shared>);

impl Drop for Watch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!("the journal's thread panicked: the server goes down");
            self.0.go_down();
        }
    }
}

/// Evicts, from time to time, topics that nobody uses.
async fn evict_idle(shared: Arc<Shared>) {
    let mut interval = tokio::time::interval(shared.config.idle_after);
    loop {
        interval.tick().await;
        let hub = shared.hub.clone();
        let _ = tokio::task::spawn_blocking(move || hub.engine().evict_idle()).await;
    }
}

/// Once a tick, publishes what `latest` topics have, and ends what has waited for too long.
async fn tick(shared: Arc<Shared>) {
    let mut interval = tokio::time::interval(shared.config.tick);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        shared.hub.engine().tick();
        shared.hub.handle_timeout(shared.now());
    }
}

/// A listening socket whose connections do not wait to fill packets: accepted sockets inherit it.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A server that was just stopped can be started again.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}
