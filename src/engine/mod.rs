//! The engine: topics by name, and one order for all that changes them.
//!
//! A topic is changed under its own lock, and nothing else is global: an action locks its topics in
//! the order of their names. The engine knows nothing of messages, sockets or sessions; those it gives
//! publications to are [`Subscriber`]s.
//!
//! ```text
//! submit ──► lock ──► rebase, apply, validate, append ──► unlock        (one change, or an action)
//! commit ──► all accepted since the last time, as one group, to the journal
//! publish ─► lock ──► all that is durable since the last time, as one publication, to every subscriber
//! ```
//!
//! Accepting and publishing are two steps. A change of a topic that asks for it is published once the
//! journal has it. Where none need be waited for, whoever submits collects the topics it touched in a
//! [`Group`] and publishes them when it has no more to do, so that a burst of changes goes out together.
//!
//! Topics come into memory when somebody asks for them, and leave when nobody does.
//!
//! | module | holds |
//! |---|---|
//! | [`topics`] | topics by name: made, loaded, evicted, removed |
//! | [`cell`] | [`TopicCell`]: a topic, its lock, its subscribers |
//! | [`submit`], `draft` | the decision on a change or action, and what it has in hand |
//! | `ahead`, `guard` | what of it needs no lock; panics in others' code |
//! | `deliver` | who is given what was accepted |
//! | [`commit`], [`queue`], `failure`, `fence` | from accepted to durable to published, or back |
//! | `numbers` | commit numbers and client ids, never given twice |
//! | [`clock`], `resend` | the time; how long what may be sent again is remembered |
//! | [`publication`] | what subscribers are given |
//! | [`author`], [`undo`] | who makes changes, and takes them back |
//! | [`policy`] | who may do what |
//! | [`observer`] | what the engine tells of itself |
//! | [`history`], [`past`] | past values; the part of a log that is in the journal alone |

mod ahead;
pub mod author;
pub mod cell;
pub mod clock;
pub mod commit;
mod deliver;
mod draft;
mod failure;
mod fence;
mod guard;
pub mod history;
mod numbers;
pub mod observer;
pub mod past;
pub mod policy;
pub mod publication;
pub mod queue;
mod resend;
pub mod submit;
#[cfg(test)]
mod tests;
pub mod topics;
pub mod undo;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::time::Duration;

use dashmap::DashMap;
use foldhash::fast::RandomState;
use parking_lot::Mutex;
use smallvec::SmallVec;
use thiserror::Error;

use crate::journal::{Beginning, Journal, JournalError, MemoryJournal, SessionRecord};
use crate::topic::{
    ClientId, CommitNumber, Delivery, Durability, Epoch, Moment, OptionError, Timestamp, TopicName,
};
use crate::types::{AnyChange, AnyValue, Registry};

pub use author::{Author, Direction};
pub use cell::{CatchUp, TopicCell};
pub use clock::{Clock, SystemClock};
pub use commit::JournalState;
pub use draft::Receipt;
pub use observer::{Asked, Decision, Observer, Outcome};
pub use past::{PastError, Snapshot};
pub use policy::{Denied, Policy, Principal, Rules};
pub use publication::{Body, Encoded, Item, Origin, Part, Publication, Subscriber};
pub use queue::{OnDurable, Then, Unavailable};
pub use submit::{ChangeBody, Rejected, Submission, Submitted};

/// Looks at a topic's value after a change, and refuses it with a reason.
///
/// Called under the topic's lock: it should be quick, and must not call the engine.
pub type Validator = Arc<dyn Fn(&Validated<'_>) -> Result<(), String> + Send + Sync>;

/// A change that is about to be accepted, and what it leads to.
pub struct Validated<'a> {
    /// On whose behalf the change is made.
    pub principal: &'a Principal,
    /// The topic that is changed.
    pub topic: &'a TopicCell,
    /// The value after the change.
    pub value: &'a AnyValue,
    /// The change as it is after the rebase.
    pub change: &'a AnyChange,
}

/// What an engine is made with.
#[derive(Clone)]
pub struct EngineConfig {
    /// The topic types that topics can be made of.
    pub registry: Registry,
    /// Looks at changes before they are accepted, in this order.
    pub validators: Vec<Validator>,
    /// Who may do what.
    pub policy: Arc<dyn Policy>,
    /// How long after its last change a topic without history still remembers it, in milliseconds: as
    /// long as a client may be away and resume.
    pub resumable_ms: u64,
    /// Tells the time. Handed in, so that tests and replays repeat exactly.
    pub clock: Arc<dyn Clock>,
    /// Makes the epoch of a new topic.
    pub epochs: Epochs,
    /// Learns what happens in the engine.
    pub observer: Option<Arc<dyn Observer>>,
    /// Where logs are made durable.
    pub journal: Arc<dyn Journal>,
    /// When a change is published, on topics that do not say.
    pub durability: Durability,
    /// How long `relaxed` changes gather before they are written.
    pub relaxed_interval: Duration,
}

/// Makes epochs, no two of them alike.
pub type Epochs = Arc<dyn Fn() -> Epoch + Send + Sync>;

impl Default for EngineConfig {
    /// In memory alone.
    fn default() -> EngineConfig {
        EngineConfig {
            registry: Registry::default(),
            validators: Vec::new(),
            policy: Arc::new(Rules),
            resumable_ms: 60_000,
            clock: Arc::new(SystemClock::new()),
            epochs: Arc::new(random_epoch),
            observer: None,
            journal: Arc::new(MemoryJournal::new()),
            durability: Durability::Memory,
            relaxed_interval: Duration::from_millis(100),
        }
    }
}

/// 64 random bits, from the operating system by way of the hasher that the standard library seeds.
fn random_epoch() -> Epoch {
    use std::hash::{BuildHasher, Hasher};
    let bits = std::collections::hash_map::RandomState::new().build_hasher().finish();
    Epoch::new(ecow::eco_format!("{bits:016x}")).expect("16 bytes are short enough")
}

/// Why a topic could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OpenError {
    /// There is no topic of this name, and no type was given to make it with.
    #[error("there is no topic {0:?}, and no type to make it with")]
    UnknownTopic(TopicName),
    /// No topic type of this name is registered; the name is cut to 64 characters.
    #[error("there is no topic type {0:?}")]
    UnknownType(String),
    /// The topic is of another type than was asked for.
    #[error("the topic's type is {is}, not {asked}")]
    WrongType {
        /// The topic's type.
        is: &'static str,
        /// The type that was asked for, cut to 64 characters.
        asked: String,
    },
    /// There is a topic of this name, where there must be none.
    #[error("there is a topic {0:?} already")]
    Exists(TopicName),
    /// A presence topic cannot be forked: its entries belong to sessions.
    #[error("topic {0:?} holds entries of sessions, which a fork would keep for ever")]
    Presence(TopicName),
    /// The options do not fit the type.
    #[error(transparent)]
    Options(#[from] OptionError),
    /// It cannot be read, or what is new cannot be made durable, for this reason.
    #[error("{0}")]
    Unavailable(String),
}

/// Topics whose accepted changes are still to be published.
#[derive(Default)]
pub struct Group(SmallVec<[Arc<TopicCell>; 4]>);

impl Group {
    /// Whether there is nothing to publish.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// All topics of a server.
pub struct Engine {
    config: EngineConfig,
    /// Those in memory.
    topics: DashMap<TopicName, Arc<TopicCell>, RandomState>,
    /// How many there are, those included that are in the journal alone.
    topics_len: AtomicUsize,
    numbers: numbers::NumberSource,
    /// What waits for the journal.
    queue: queue::CommitQueue,
    /// The journal did not answer: some of what waits may be there.
    in_doubt: AtomicBool,
    /// What failed, until the journal has cut it off.
    failed: Mutex<failure::Failed>,
    /// Held while topics are made or removed, so that the observer hears of it in that order. No change
    /// takes it.
    making: Mutex<()>,
    /// Held while a topic is loaded, so that it is loaded once; which one, its name decides.
    loading: [Mutex<()>; LOADING_LOCKS],
    /// Topics whose removal is not durable yet, and how many of one name.
    removing: Mutex<HashMap<TopicName, usize>>,
    /// `latest` topics with changes for the next tick.
    ticking: Mutex<Vec<Arc<TopicCell>>>,
    /// When the journal was last written to before this life.
    last_written: Timestamp,
    /// What may be sent again.
    resend: resend::ResendWindow,
}

/// After how many commits the time is noted, at the latest.
const TIME_NOTED_EVERY: u64 = 256;

/// How many topics can be loaded at a time, at most.
const LOADING_LOCKS: usize = 64;

impl Engine {
    /// An engine in memory alone, or over a new journal in memory.
    ///
    /// # Panics
    /// If the journal of `config` cannot be read or written, which that in memory always can.
    pub fn new(config: EngineConfig) -> Engine {
        let (engine, _) = Engine::begin(config).expect("the journal can be read and written");
        engine
    }

    /// An engine that goes on from what its journal holds, and the sessions that can be resumed.
    ///
    /// # Errors
    /// The journal cannot be read or written.
    pub fn begin(config: EngineConfig) -> Result<(Engine, Vec<SessionRecord>), JournalError> {
        let Beginning { numbers, unclean, last_written, sessions, .. } = config.journal.begin()?;
        let (number_source, reserve) = numbers::NumberSource::begin(numbers);
        let engine = Engine {
            topics: DashMap::default(),
            topics_len: AtomicUsize::new(0),
            numbers: number_source,
            queue: queue::CommitQueue::default(),
            in_doubt: AtomicBool::new(false),
            failed: Mutex::default(),
            making: Mutex::new(()),
            loading: std::array::from_fn(|_| Mutex::new(())),
            removing: Mutex::default(),
            ticking: Mutex::new(Vec::new()),
            last_written,
            resend: resend::ResendWindow::new(
                config.resumable_ms,
                config.clock.uptime(),
                numbers.commit,
            ),
            config,
        };
        engine.begin_topics(unclean, reserve)?;
        Ok((engine, sessions))
    }

    /// The topic types that topics can be made of.
    pub fn registry(&self) -> &Registry {
        &self.config.registry
    }

    /// Where logs are made durable.
    pub fn journal(&self) -> &Arc<dyn Journal> {
        &self.config.journal
    }

    /// The newest commit number given out.
    pub fn commit(&self) -> CommitNumber {
        self.numbers.commit()
    }

    /// A client id that was never given before; `None` while the journal cannot say which those are.
    pub fn next_client(&self) -> Option<ClientId> {
        let (client, reserve) = self.numbers.next_client();
        reserve.into_iter().for_each(|operation| self.keep(operation));
        client
    }

    /// Whether `principal` may do that.
    ///
    /// # Errors
    /// Why not.
    pub fn authorize(
        &self,
        principal: &Principal,
        operation: &policy::Operation<'_>,
    ) -> Result<(), Denied> {
        self.config.policy.authorize(principal, operation)
    }

    /// Tells the observer, if there is one.
    fn observe(&self, tell: impl FnOnce(&dyn Observer)) {
        if let Some(observer) = &self.config.observer {
            tell(&**observer);
        }
    }

    fn next_commit(&self) -> CommitNumber {
        let (commit, reserve) = self.numbers.next_commit();
        reserve.into_iter().for_each(|operation| self.keep(operation));
        // For an engine in memory alone, which nobody may ever ask to settle or tick.
        if commit.0.is_multiple_of(TIME_NOTED_EVERY) {
            self.note_time();
        }
        commit
    }

    /// How often a server began on this journal, this time included.
    pub fn life(&self) -> u64 {
        self.numbers.life()
    }

    /// The moment up to which a topic's changes are not sent again.
    fn resumable_from(&self) -> Moment {
        match self.resend.forgotten() {
            // Who was connected when the server stopped has as long from when it is back. Of that time,
            // the wall clock is all there is to go by.
            CommitNumber(0) => Moment::Time(Timestamp(
                self.last_written.0.saturating_sub(self.config.resumable_ms),
            )),
            commit => Moment::Commit(commit),
        }
    }

    /// Has what is too old to be sent again forgotten, with time.
    fn note_time(&self) {
        self.resend.note(self.config.clock.uptime(), self.commit());
    }

    /// Publishes what was accepted on the topics of `group`, and empties it.
    pub fn publish(&self, group: &mut Group) {
        for cell in group.0.drain(..) {
            match cell.options().delivery {
                Delivery::Every => cell.publish(),
                Delivery::Latest => self.ticking.lock().push(cell),
            }
        }
    }

    /// Publishes what `latest` topics accepted since the last tick. To be called every 50 ms.
    pub fn tick(&self) {
        self.note_time();
        let ticking = std::mem::take(&mut *self.ticking.lock());
        for cell in ticking {
            cell.tick();
        }
    }
}
