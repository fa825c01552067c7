//! What all sockets of a server share.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use base64::Engine as _;
use ecow::EcoString;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::config::ServerConfig;
use super::v0_13;
use crate::engine::{Clock, EngineConfig, Unavailable};
use crate::journal::JournalError;
use crate::session::{Hub, SessionConfig, Worker};
use crate::topic::Uptime;

/// The state of a running server around its sessions.
pub struct Shared {
    /// The sessions and topics.
    pub hub: Arc<Hub>,
    /// The settings.
    pub config: ServerConfig,
    /// What clients of topicsync 0.13 share.
    pub(super) v0_13: Arc<v0_13::Clients>,
    /// Cancelled when the server goes down.
    pub(super) shutdown: CancellationToken,
    /// Every connection, and what runs beside them.
    pub(super) tasks: TaskTracker,
    /// The engine's clock, by whose uptime sessions go.
    clock: Arc<dyn Clock>,
    runtime: Handle,
}

/// Runs what takes long on tokio's threads.
struct TokioWorker {
    tasks: TaskTracker,
    shutdown: CancellationToken,
    runtime: Handle,
}

impl Worker for TokioWorker {
    fn run(&self, job: Box<dyn FnOnce() + Send>) {
        self.tasks.spawn_blocking_on(job, &self.runtime);
    }

    fn drive(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        let shutdown = self.shutdown.clone();
        let until_shutdown = async move {
            tokio::select! {
                () = future => {}
                () = shutdown.cancelled() => {}
            }
        };
        self.tasks.spawn_on(until_shutdown, &self.runtime);
    }
}

impl Shared {
    /// Goes on from what the engine's journal holds. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The journal cannot be read or written.
    pub(super) fn begin(
        config: ServerConfig,
        engine: EngineConfig,
    ) -> Result<Arc<Shared>, JournalError> {
        let (shutdown, tasks, runtime) =
            (CancellationToken::new(), TaskTracker::new(), Handle::current());
        let worker = TokioWorker {
            tasks: tasks.clone(),
            shutdown: shutdown.clone(),
            runtime: runtime.clone(),
        };
        let sessions = SessionConfig {
            session_timeout: config.session_timeout,
            // A connection that broke without a word is found out by silence, and a timer.
            unnoticed_max: config.silence_max + config.ping_interval,
            request_timeout: config.request_timeout,
            message_bytes_max: config.message_bytes_max,
            subscriptions_max: config.subscriptions_max,
            sessions_max: config.sessions_max,
            topics_max: config.topics_max,
            services_max: config.services_max,
            requests_max: config.requests_max,
            queue_bytes_max: config.queue_bytes_max,
            backlog_bytes_max: config.backlog_bytes_max,
            ..SessionConfig::new(Arc::new(random_token), Arc::new(worker))
        };
        let clock = engine.clock.clone();
        let hub = Hub::begin(sessions, engine, clock.uptime())?;
        let v0_13 = Arc::default();
        Ok(Arc::new(Shared { hub, config, v0_13, shutdown, tasks, clock, runtime }))
    }

    /// The time by which sessions go.
    pub(super) fn now(&self) -> Uptime {
        self.clock.uptime()
    }

    /// Runs something beside the connections until it is done or the server is gone.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let shutdown = self.shutdown.clone();
        let until_shutdown = async move {
            tokio::select! {
                () = task => {}
                () = shutdown.cancelled() => {}
            }
        };
        self.tasks.spawn_on(until_shutdown, &self.runtime);
    }

    /// Is done once all that is accepted by now is durable and published.
    ///
    /// # Errors
    /// Some of it could not be made durable, and is undone.
    pub async fn settled(&self) -> Result<(), Unavailable> {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        // If nobody waits for it any more, there is nobody to tell.
        self.hub.after_commit(|settled| {
            let _ = sender.send(settled);
        });
        receiver.await.unwrap_or(Err(Unavailable))
    }

    /// Ends every connection with 1001, once what waits for it is written.
    pub(super) fn go_down(&self) {
        self.shutdown.cancel();
        self.hub.go_down();
    }
}

/// 128 random bits that cannot be guessed.
fn random_token() -> EcoString {
    let mut bytes = [0; 16];
    // Without a source of randomness there are no secrets, and a server must not go on.
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes).into()
}
