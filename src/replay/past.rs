//! One topic's past: its value at any moment, and its changes one by one.
//!
//! A value is folded from the nearest checkpoint before it; the log is read in pieces, so that a long
//! one need not fit into memory.

use crate::journal::{Extent, Journal, Logged, TopicRecord};
use crate::topic::{Entry, Moment, TopicName, Version};
use crate::types::{AnyValue, Registry, TypeRef};
use crate::value::Value;

use super::ReplayError;

/// How many changes are read at once.
const PIECE: u64 = 1_024;

/// A topic at some version.
#[derive(Debug, Clone, PartialEq)]
pub struct At {
    /// The topic's name.
    pub name: TopicName,
    /// Its type.
    pub kind: TypeRef,
    /// The version that the value is of.
    pub version: Version,
    /// The value.
    pub value: AnyValue,
}

impl At {
    /// The plain form of the value.
    pub fn plain(&self) -> Value {
        self.kind.encode_value(&self.value)
    }
}

/// The value of a topic at some moment, and the version that it is of. Before the oldest kept version it
/// is that one, unless a version was asked for.
///
/// Applies as many changes as lie between two checkpoints, at most.
///
/// # Errors
/// There is no such topic or version, its type is missing, or the journal is damaged.
pub fn value_at(
    journal: &dyn Journal,
    registry: &Registry,
    name: &TopicName,
    moment: Moment,
) -> Result<At, ReplayError> {
    let past = Past::open(journal, registry, name)?;
    let version = past.version_at(moment)?;
    past.at(version)
}

/// One topic's log, as far as it reached when it was opened.
pub struct Past<'a> {
    journal: &'a dyn Journal,
    record: TopicRecord,
    kind: TypeRef,
    extent: Extent,
}

impl<'a> Past<'a> {
    /// # Errors
    /// There is no such topic, its type is missing, or the journal cannot be read.
    pub fn open(
        journal: &'a dyn Journal,
        registry: &Registry,
        name: &TopicName,
    ) -> Result<Past<'a>, ReplayError> {
        let record = journal.topic(name)?.ok_or_else(|| ReplayError::UnknownTopic(name.clone()))?;
        let kind = kind(registry, &record)?;
        let extent = journal.extent(name)?;
        Ok(Past { journal, record, kind, extent })
    }

    /// What the topic was made with.
    pub fn record(&self) -> &TopicRecord {
        &self.record
    }

    /// The topic's type.
    pub fn kind(&self) -> TypeRef {
        self.kind
    }

    /// How far the topic's log reaches.
    pub fn extent(&self) -> &Extent {
        &self.extent
    }

    fn name(&self) -> &TopicName {
        &self.record.name
    }

    /// The version that was the head at `moment`, or the oldest that is kept.
    ///
    /// # Errors
    /// A version was asked for that is not kept, or not there yet; the journal cannot be read.
    pub fn version_at(&self, moment: Moment) -> Result<Version, ReplayError> {
        let Extent { oldest, head, .. } = self.extent;
        let topic = || self.name().clone();
        match moment {
            Moment::Version(version) if version > head => {
                Err(ReplayError::NotYet { topic: topic(), version, head })
            }
            Moment::Version(version) if version < oldest => {
                Err(ReplayError::NotKept { topic: topic(), version, oldest })
            }
            Moment::Version(version) => Ok(version),
            _ => Ok(self.journal.version_at(self.name(), moment)?.min(head)),
        }
    }

    /// The topic at a version that is kept.
    ///
    /// # Errors
    /// The journal is damaged.
    pub fn at(&self, version: Version) -> Result<At, ReplayError> {
        let start = self.start(version)?;
        self.forward(start, version)
    }

    /// The nearest kept value that is not after `version`.
    ///
    /// # Errors
    /// There is none, or it is damaged.
    pub fn start(&self, version: Version) -> Result<At, ReplayError> {
        let checkpoint = self.journal.checkpoint(self.name(), version)?;
        let (version, value) = match checkpoint {
            Some(checkpoint) => {
                let value = self.kind.decode_value(&checkpoint.value);
                let broken = |reason| ReplayError::BrokenValue {
                    topic: self.name().clone(),
                    version: checkpoint.version,
                    reason,
                };
                (checkpoint.version, value.map_err(broken)?)
            }
            None if self.extent.oldest > Version(0) => {
                let (topic, oldest) = (self.name().clone(), self.extent.oldest);
                return Err(ReplayError::NotKept { topic, version, oldest });
            }
            None => (Version(0), self.kind.initial()),
        };
        Ok(At { name: self.name().clone(), kind: self.kind, version, value })
    }

    /// The topic at `version`, folded forward from `at`, which is not after it.
    ///
    /// # Errors
    /// The journal is damaged.
    pub fn forward(&self, mut at: At, version: Version) -> Result<At, ReplayError> {
        for entry in self.entries(at.version, version) {
            let entry = entry?;
            self.apply(&mut at.value, &entry)?;
            at.version = entry.version;
        }
        Ok(at)
    }

    /// Applies an entry of this log to the value before it.
    ///
    /// # Errors
    /// It does not apply: the journal is damaged.
    pub fn apply(&self, value: &mut AnyValue, entry: &Entry) -> Result<(), ReplayError> {
        let Some(change) = &entry.change else { return Ok(()) };
        self.kind.apply(value, change).map_err(|reason| self.broken(entry.version, reason))
    }

    /// That the change of a version cannot be applied.
    pub(super) fn broken(&self, version: Version, reason: crate::value::Invalid) -> ReplayError {
        ReplayError::Broken { topic: self.name().clone(), version, reason }
    }

    /// The entries after version `after` up to `to`, oldest first.
    pub fn entries(
        &self,
        after: Version,
        to: Version,
    ) -> impl Iterator<Item = Result<Entry, ReplayError>> {
        let logged = Pieces { past: self, piece: Vec::new().into_iter(), after, to };
        logged.map(|logged| {
            let logged = logged?;
            let version = logged.version;
            logged.into_entry(self.kind).map_err(|reason| self.broken(version, reason))
        })
    }
}

/// The type of a topic.
pub(super) fn kind(registry: &Registry, record: &TopicRecord) -> Result<TypeRef, ReplayError> {
    registry.get(&record.type_name).ok_or_else(|| ReplayError::MissingType {
        topic: record.name.clone(),
        type_name: record.type_name.clone(),
    })
}

/// A log, read in pieces.
struct Pieces<'p, 'a> {
    past: &'p Past<'a>,
    piece: std::vec::IntoIter<Logged>,
    /// The version that was read last.
    after: Version,
    to: Version,
}

impl Iterator for Pieces<'_, '_> {
    type Item = Result<Logged, ReplayError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.after >= self.to {
            return None;
        }
        if self.piece.len() == 0 {
            let to = Version(self.after.0 + PIECE).min(self.to);
            match self.past.journal.read(self.past.name(), self.after, to) {
                Ok(piece) => self.piece = piece.into_iter(),
                Err(error) => {
                    self.after = self.to;
                    return Some(Err(error.into()));
                }
            }
        }
        let (expected, logged) = (self.after.next(), self.piece.next());
        match logged {
            Some(logged) if logged.version == expected => {
                self.after = expected;
                Some(Ok(logged))
            }
            // It was trimmed meanwhile, or cut off.
            other => {
                self.after = self.to;
                let oldest = other.map_or(expected, |logged| logged.version);
                let topic = self.past.name().clone();
                Some(Err(ReplayError::NotKept { topic, version: expected, oldest }))
            }
        }
    }
}
