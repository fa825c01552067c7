//! The server of a world: a real [`Hub`] over a real engine, whose journal is in memory, and whose clocks,
//! epochs, tokens and threads are the world's own.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Waker};
use std::time::Duration;

use parking_lot::Mutex;

use super::Setup;
use super::record::Record;
use crate::engine::{Clock, Engine, EngineConfig};
use crate::journal::{Fault, Journal, MemoryJournal};
use crate::session::{Hub, SessionConfig, Worker};
use crate::testkit::broken::Found;
use crate::testkit::quiet;
use crate::topic::{ClientId, Durability, Epoch, Timestamp, TopicName, Uptime};
use crate::types::Registry;
use crate::value::Value;

/// What an engine of a world hears of time and chance: both are the world's own.
#[derive(Debug, Clone)]
pub struct Outside {
    /// The wall clock's time, in milliseconds.
    wall: Arc<AtomicU64>,
    /// How long the server has been running, in milliseconds.
    uptime: Arc<AtomicU64>,
    epochs: Arc<AtomicU64>,
    /// So many changes more are refused by the validator.
    refusals: Arc<AtomicU32>,
    /// So many changes more have the validator panic.
    panics: Arc<AtomicU32>,
}

impl Outside {
    fn new() -> Outside {
        Outside {
            // Far enough from the beginning of time for a clock to be put back.
            wall: Arc::new(AtomicU64::new(1_000_000)),
            uptime: Arc::default(),
            epochs: Arc::default(),
            refusals: Arc::default(),
            panics: Arc::default(),
        }
    }

    /// So many milliseconds pass.
    pub fn pass(&self, ms: u64) {
        self.wall.fetch_add(ms, Relaxed);
        self.uptime.fetch_add(ms, Relaxed);
    }

    /// The wall clock is put forward, or back.
    pub fn jump(&self, ms: i64) {
        self.wall.store(self.wall.load(Relaxed).saturating_add_signed(ms), Relaxed);
    }

    fn new_epoch(&self) -> Epoch {
        let number = self.epochs.fetch_add(1, Relaxed) + 1;
        Epoch::new(format!("epoch{number}")).expect("it is short")
    }

    /// An engine's settings whose clock, epochs and validators are the world's.
    fn engine(&self, registry: Registry, journal: Arc<dyn Journal>) -> EngineConfig {
        let (clock, epochs, validators) = (self.clone(), self.clone(), self.clone());
        EngineConfig {
            registry,
            // The server's own changes are not refused: it would have nobody to tell.
            validators: vec![Arc::new(move |it| match it.principal.is_server() {
                true => Ok(()),
                false => validators.validate(),
            })],
            clock: Arc::new(clock),
            epochs: Arc::new(move || epochs.new_epoch()),
            journal,
            ..EngineConfig::default()
        }
    }

    fn validate(&self) -> Result<(), std::string::String> {
        let take = |left: &AtomicU32| {
            left.load(Relaxed) > 0
                && left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok()
        };
        if take(&self.panics) {
            panic!("{VALIDATOR_PANIC}");
        }
        if take(&self.refusals) { Err("refused".into()) } else { Ok(()) }
    }
}

impl Clock for Outside {
    fn wall(&self) -> Timestamp {
        Timestamp(self.wall.load(Relaxed))
    }

    fn uptime(&self) -> Uptime {
        Uptime(self.uptime.load(Relaxed))
    }
}

/// What a validator says that is told to panic.
pub(super) const VALIDATOR_PANIC: &str = "the validator panics, as it was told to";

/// A new engine of a world of its own, with a journal in memory.
pub fn new_engine(resumable_ms: u64) -> (Engine, Outside) {
    let (outside, journal) = (Outside::new(), Arc::new(MemoryJournal::new()));
    let config = outside.engine(Registry::default(), journal);
    (Engine::new(EngineConfig { resumable_ms, ..config }), outside)
}

/// What the server would give its threads: it waits until a step says so.
#[derive(Default)]
struct Jobs {
    blocking: Mutex<VecDeque<Box<dyn FnOnce() + Send>>>,
    futures: Mutex<Vec<Pin<Box<dyn Future<Output = ()> + Send>>>>,
}

impl Worker for Jobs {
    fn run(&self, job: Box<dyn FnOnce() + Send>) {
        self.blocking.lock().push_back(job);
    }

    fn drive(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        self.futures.lock().push(future);
    }
}

impl Jobs {
    /// Runs the oldest job, then gives every future a turn; `false` if there was nothing to do.
    fn work(&self) -> bool {
        let job = self.blocking.lock().pop_front();
        let any = job.is_some();
        job.into_iter().for_each(|job| job());
        let futures = std::mem::take(&mut *self.futures.lock());
        let waiting = futures.len();
        let left: Vec<_> = futures.into_iter().filter_map(polled).collect();
        let done = left.len() < waiting;
        self.futures.lock().extend(left);
        any || done
    }
}

type Driven = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Gives a future a turn; what panics is over, as a task of its own would be.
fn polled(mut future: Driven) -> Option<Driven> {
    let polled = quiet::caught(|| future.as_mut().poll(&mut Context::from_waker(Waker::noop())));
    polled.is_ok_and(|polled| polled.is_pending()).then_some(future)
}

/// The services of the host program: one that answers, one that never does, one that panics.
pub const HOST_SERVICES: [&str; 3] = ["host/echo", "host/never", "host/panics"];

/// How long a request waits for its answer.
pub const REQUEST_TIMEOUT_MS: u64 = 5_000;

/// The server of a world.
pub struct Server {
    /// The real one.
    pub hub: Arc<Hub>,
    /// What it did so far.
    pub record: Record,
    /// So many submissions more are answered with `busy`.
    pub busy: u32,
    /// The wall clock, epochs and validators.
    pub outside: Outside,
    jobs: Arc<Jobs>,
    journal: Arc<MemoryJournal>,
    registry: Registry,
    setup: Setup,
    /// The names of all topics that there may be.
    names: Vec<TopicName>,
    /// The default durability from the next start on.
    durability: Durability,
}

impl Server {
    /// A server with the topics of a world.
    pub fn new(setup: &Setup) -> Server {
        let journal = Arc::new(MemoryJournal::new());
        let outside = Outside::new();
        let kinds = setup.all_topics().map(|topic| topic.kind.of);
        let registry = kinds.fold(Registry::default(), Registry::with_type);
        let (jobs, durability) = (Arc::default(), Durability::Memory);
        let hub = start(setup, &outside, registry.clone(), &journal, &jobs, durability);
        for topic in &setup.topics {
            let made = hub.engine().make(&topic.name, topic.kind.of, topic.options.clone());
            made.expect("a new engine has no topics");
        }
        Server {
            hub,
            record: Record::default(),
            busy: 0,
            outside,
            jobs,
            journal,
            registry,
            setup: setup.clone(),
            names: setup.all_topics().map(|topic| topic.name.clone()).collect(),
            durability,
        }
    }

    /// The topics, and the order of all that changes them.
    pub fn engine(&self) -> &Engine {
        self.hub.engine()
    }

    /// The time since the server's start.
    pub fn now(&self) -> Uptime {
        self.outside.uptime()
    }

    /// So many milliseconds pass, by every clock.
    pub fn pass_time(&mut self, ms: u64) {
        self.outside.pass(ms);
        self.hub.handle_timeout(self.now());
    }

    /// The next change that comes to the validator is refused.
    pub fn refuse(&self) {
        self.outside.refusals.fetch_add(1, Relaxed);
    }

    /// The validator panics at the next change.
    pub fn panic(&self) {
        self.outside.panics.fetch_add(1, Relaxed);
    }

    /// Whether it refuses nothing out of hand.
    pub fn is_at_ease(&self) -> bool {
        self.busy == 0 && self.outside.refusals.load(Relaxed) == 0
    }

    /// Whether the validator may panic.
    pub fn may_panic(&self) -> bool {
        self.outside.panics.load(Relaxed) > 0
    }

    /// Takes everything again from now on.
    pub fn be_at_ease(&mut self) {
        self.busy = 0;
        self.outside.refusals.store(0, Relaxed);
        self.outside.panics.store(0, Relaxed);
    }

    /// From the next start on, topics that do not say otherwise have this durability.
    pub fn set_default(&mut self, durability: Durability) {
        self.durability = durability;
    }

    /// The server's tick.
    pub fn tick(&mut self) {
        self.engine().tick();
    }

    /// The journal takes what waits for it, or fails.
    pub fn commit(&mut self, fault: Option<Fault>) {
        self.journal.fail(fault);
        self.engine().settle();
        self.journal.fail(None);
    }

    /// Runs a job; `false` if there is none.
    pub fn work(&mut self) -> bool {
        self.jobs.work()
    }

    /// Topics that nobody uses leave memory.
    pub fn evict(&mut self) {
        // Once to see what is not used since, once to let go of it.
        self.engine().evict_idle();
        self.engine().evict_idle();
    }

    /// Notes what happened: which topics there are, and what was accepted.
    pub fn look(&mut self) -> Found {
        self.record.look(self.hub.engine(), &self.names)
    }

    /// Gives up a session, whatever its client does.
    pub fn forget(&mut self, session: ClientId) {
        self.hub.end(session, self.now());
    }

    /// Ends the server's life in good order. Every connection is to be closed by then.
    pub fn stop(&mut self) {
        self.engine().settle();
        while self.work() {
            self.engine().settle();
        }
        // Should the journal fail just now, this counts as a crash.
        let _ = self.engine().close();
    }

    /// The server's process is gone, with all that is not in the journal, and there is a new one. Every
    /// connection is to be gone by then.
    pub fn restart(&mut self) {
        self.jobs = Arc::default();
        self.outside.uptime.store(0, Relaxed);
        let (setup, registry) = (&self.setup, self.registry.clone());
        self.hub =
            start(setup, &self.outside, registry, &self.journal, &self.jobs, self.durability);
    }
}

fn start(
    setup: &Setup,
    outside: &Outside,
    registry: Registry,
    journal: &Arc<MemoryJournal>,
    jobs: &Arc<Jobs>,
    durability: Durability,
) -> Arc<Hub> {
    let tokens = AtomicU64::new(0);
    let life = outside.epochs.load(Relaxed);
    let tokens = move || {
        let number = tokens.fetch_add(1, Relaxed) + 1;
        ecow::eco_format!("token{life}.{number}")
    };
    let config = SessionConfig {
        session_timeout: Duration::from_millis(setup.session_ms),
        unnoticed_max: Duration::from_millis(setup.unnoticed_ms),
        request_timeout: Duration::from_millis(REQUEST_TIMEOUT_MS),
        subscriptions_max: setup.all_topics().count() + 3,
        queue_bytes_max: setup.queue_bytes,
        answer_bytes_max: setup.answer_bytes,
        missed_bytes_always: setup.missed_bytes,
        ..SessionConfig::new(Arc::new(tokens), jobs.clone())
    };
    let engine = outside.engine(registry, journal.clone());
    let hub = Hub::begin(config, EngineConfig { durability, ..engine }, Uptime(0));
    let hub = hub.expect("the journal in memory works");
    for name in HOST_SERVICES {
        hub.offer_service(name, Arc::new(move |args, _| Box::pin(host_service(name, args))));
    }
    hub
}

async fn host_service(name: &'static str, args: Value) -> crate::protocol::message::Outcome {
    match name {
        "host/never" => std::future::pending().await,
        "host/panics" => panic!("the service panics, as it always does"),
        _ => Ok(args),
    }
}
