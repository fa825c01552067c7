//! The engine: topics by name, and one order for all that changes them.
//!
//! A topic is changed under its own lock, and nothing else is global: an action locks its topics in
//! the order of their names. The engine knows nothing of messages, sockets or sessions; those it gives
//! publications to are [`Subscriber`]s.
//!
//! ```text
//! submit ──► lock ──► rebase, apply, validate, append ──► unlock        (one change, or an action)
//! publish ─► lock ──► all accepted since the last time, as one publication, to every subscriber
//! ```
//!
//! Accepting and publishing are two steps, so that a burst of changes goes out together: whoever
//! submits collects the topics it touched in a [`Group`] and publishes them when it has no more to do.
//!
//! | module | holds |
//! |---|---|
//! | [`cell`] | [`TopicCell`]: a topic, its lock, its subscribers |
//! | [`submit`] | the decision on a change or action |
//! | [`publication`] | what subscribers are given |
//! | [`author`], [`undo`] | who makes changes, and takes them back |
//! | [`history`] | past values |

pub mod author;
pub mod cell;
mod deliver;
pub mod history;
pub mod publication;
pub mod submit;
#[cfg(test)]
mod tests;
pub mod undo;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;
use foldhash::fast::RandomState;
use parking_lot::Mutex;
use smallvec::SmallVec;
use thiserror::Error;

use crate::topic::{
    CommitNumber, Delivery, Epoch, OptionError, Timestamp, TopicName, TopicOptions,
};
use crate::types::{AnyChange, AnyValue, Registry, TypeRef};

pub use author::{Author, Direction};
pub use cell::{CatchUp, Snapshot, TopicCell};
pub use publication::{Body, Encoded, Item, Origin, Part, Publication, Subscriber};
pub use submit::{ChangeBody, Receipt, Rejected, Submission, Submitted};

/// Looks at a topic's value after a change, and refuses it with a reason.
///
/// Called under the topic's lock: it should be quick, and must not call the engine.
pub type Validator =
    Arc<dyn Fn(&TopicCell, &AnyValue, &AnyChange) -> Result<(), String> + Send + Sync>;

/// Learns of topics that come and go, in that order.
pub type TopicListener = Arc<dyn Fn(&Arc<TopicCell>, Existence) + Send + Sync>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existence {
    Made,
    Removed,
}

/// What an engine is made with.
#[derive(Clone)]
pub struct EngineConfig {
    pub registry: Registry,
    pub validators: Vec<Validator>,
    /// How long after its last change a topic without history still remembers it, in milliseconds: as
    /// long as a client may be away and resume.
    pub resumable_ms: u64,
    /// Tells the time. Handed in, so that tests and replays repeat exactly.
    pub clock: fn() -> Timestamp,
    /// Makes the epoch of a new topic.
    pub epochs: fn() -> Epoch,
    pub on_topic: Option<TopicListener>,
}

impl Default for EngineConfig {
    fn default() -> EngineConfig {
        EngineConfig {
            registry: Registry::default(),
            validators: Vec::new(),
            resumable_ms: 60_000,
            clock: Timestamp::now,
            epochs: random_epoch,
            on_topic: None,
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
    #[error("there is no topic {0:?}, and no type to make it with")]
    UnknownTopic(TopicName),
    #[error("there is no topic type {0:?}")]
    UnknownType(String),
    #[error("the topic's type is {is}, not {asked}")]
    WrongType { is: &'static str, asked: String },
    #[error(transparent)]
    Options(#[from] OptionError),
}

/// Topics whose accepted changes are still to be published.
#[derive(Default)]
pub struct Group(SmallVec<[Arc<TopicCell>; 4]>);

impl Group {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// All topics of a server.
pub struct Engine {
    config: EngineConfig,
    topics: DashMap<TopicName, Arc<TopicCell>, RandomState>,
    /// The newest commit number given out.
    commits: AtomicU64,
    /// Held while topics are made or removed, so that listeners hear of it in that order. No change
    /// takes it.
    making: Mutex<()>,
    /// `latest` topics with changes for the next tick.
    ticking: Mutex<Vec<Arc<TopicCell>>>,
}

impl Engine {
    pub fn new(config: EngineConfig) -> Engine {
        Engine {
            config,
            topics: DashMap::default(),
            commits: AtomicU64::new(0),
            making: Mutex::new(()),
            ticking: Mutex::new(Vec::new()),
        }
    }

    pub fn registry(&self) -> &Registry {
        &self.config.registry
    }

    /// The topic of this name.
    pub fn get(&self, name: &TopicName) -> Option<Arc<TopicCell>> {
        self.topics.get(name).map(|cell| cell.clone())
    }

    /// Every topic, in no order.
    pub fn topics(&self) -> Vec<Arc<TopicCell>> {
        self.topics.iter().map(|cell| cell.clone()).collect()
    }

    pub fn topics_len(&self) -> usize {
        self.topics.len()
    }

    /// The newest commit number given out.
    pub fn commit(&self) -> CommitNumber {
        CommitNumber(self.commits.load(Ordering::Acquire))
    }

    fn next_commit(&self) -> CommitNumber {
        CommitNumber(self.commits.fetch_add(1, Ordering::AcqRel) + 1)
    }

    /// The topic of this name, made with `topic_type` and `options` if there is none.
    ///
    /// # Errors
    /// There is none and no type to make it with; it is of another type; the options do not fit.
    pub fn open(
        &self,
        name: &TopicName,
        topic_type: Option<&str>,
        options: TopicOptions,
    ) -> Result<Arc<TopicCell>, OpenError> {
        if let Some(cell) = self.get(name) {
            return check_type(cell, topic_type);
        }
        let Some(asked) = topic_type else { return Err(OpenError::UnknownTopic(name.clone())) };
        let kind = self
            .config
            .registry
            .get(asked)
            .ok_or_else(|| OpenError::UnknownType(asked.chars().take(64).collect()))?;
        self.make(name, kind, options)
    }

    /// As [`open`](Self::open), with a type that need not be registered.
    ///
    /// # Errors
    /// It is of another type, or the options do not fit.
    pub fn make(
        &self,
        name: &TopicName,
        kind: TypeRef,
        options: TopicOptions,
    ) -> Result<Arc<TopicCell>, OpenError> {
        options.check(kind)?;
        let _making = self.making.lock();
        if let Some(cell) = self.get(name) {
            return check_type(cell, Some(kind.name()));
        }
        let epoch = (self.config.epochs)();
        let cell = Arc::new(TopicCell::new(name.clone(), kind, options, epoch));
        self.topics.insert(name.clone(), cell.clone());
        if let Some(listener) = &self.config.on_topic {
            listener(&cell, Existence::Made);
        }
        Ok(cell)
    }

    /// Removes a topic and tells its subscribers; `false` if there is none.
    pub fn remove(&self, name: &TopicName) -> bool {
        let _making = self.making.lock();
        let Some((_, cell)) = self.topics.remove(name) else { return false };
        cell.remove();
        if let Some(listener) = &self.config.on_topic {
            listener(&cell, Existence::Removed);
        }
        true
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
        let ticking = std::mem::take(&mut *self.ticking.lock());
        for cell in ticking {
            cell.tick();
        }
    }
}

fn check_type(cell: Arc<TopicCell>, asked: Option<&str>) -> Result<Arc<TopicCell>, OpenError> {
    match asked {
        Some(asked) if asked != cell.kind().name() => Err(OpenError::WrongType {
            is: cell.kind().name(),
            asked: asked.chars().take(64).collect(),
        }),
        _ => Ok(cell),
    }
}
