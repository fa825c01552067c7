//! Many topics as they stood together, and going through them step by step.

use std::collections::BTreeMap;

use crate::journal::{CHECKPOINT_EVERY, Journal, TopicRecord};
use crate::topic::{Moment, TopicName};
use crate::types::Registry;

use super::past::{At, Past};
use super::{ReplayError, Scope};

/// All topics that `choose` picks, by name, as they stood together at `moment`: at a commit no change of
/// an action is there without the others. A topic is at its oldest kept version if that is newer.
///
/// # Errors
/// A type is missing, or the journal cannot be read.
pub fn cut(
    journal: &dyn Journal,
    registry: &Registry,
    moment: Moment,
    choose: impl Fn(&TopicRecord) -> bool,
) -> Result<Vec<At>, ReplayError> {
    let scope = Scope::of(journal, choose)?;
    // What was written since the scope was taken is in no cut.
    let moment = match moment {
        Moment::Commit(commit) => Moment::Commit(commit.min(scope.newest)),
        other => other,
    };
    let mut stage = Stage::new(journal, registry);
    let topics = scope.topics.iter();
    topics.map(|(record, _)| stage.at(&record.name, moment).cloned()).collect()
}

/// Topics that are gone through forward and back: each stays where it was last looked at, so that a
/// step costs what changed in it, and a jump what lies between two checkpoints.
pub struct Stage<'a> {
    journal: &'a dyn Journal,
    registry: &'a Registry,
    topics: BTreeMap<TopicName, (Past<'a>, At)>,
}

impl<'a> Stage<'a> {
    /// An empty stage, on which topics are read as they are asked for.
    pub fn new(journal: &'a dyn Journal, registry: &'a Registry) -> Stage<'a> {
        Stage { journal, registry, topics: BTreeMap::new() }
    }

    /// The topic at `moment`.
    ///
    /// # Errors
    /// There is no such topic or version, its type is missing, or the journal is damaged.
    pub fn at(&mut self, name: &TopicName, moment: Moment) -> Result<&At, ReplayError> {
        let (past, last) = match self.topics.remove(name) {
            Some((past, last)) => (past, Some(last)),
            None => (Past::open(self.journal, self.registry, name)?, None),
        };
        let version = past.version_at(moment)?;
        let near =
            |last: &At| last.version <= version && version.0 - last.version.0 <= CHECKPOINT_EVERY;
        let at = match last.filter(near) {
            Some(last) => past.forward(last, version)?,
            None => past.at(version)?,
        };
        let (_, at) = self.topics.entry(name.clone()).insert_entry((past, at)).into_mut();
        Ok(at)
    }

    /// Forgets how far the topics reach, so that what was written since is seen.
    pub fn refresh(&mut self) {
        self.topics.clear();
    }
}
