//! A new topic out of an old version of another.

use crate::journal::{Checkpoint, Journal, Operation, TopicRecord};
use crate::topic::{Epoch, Moment, TopicName, Version};
use crate::types::Registry;

use super::{ReplayError, value_at};

/// Makes the topic `new`, which begins with the value that `name` had at `moment`, at that version. What
/// came before stays with `name`. The journal is one that no server has open.
///
/// # Errors
/// There is no such topic or version, there is a topic `new` already, or the journal cannot be read or
/// written.
pub fn fork(
    journal: &dyn Journal,
    registry: &Registry,
    (name, moment): (&TopicName, Moment),
    new: &TopicName,
    epoch: Epoch,
) -> Result<Version, ReplayError> {
    let at = value_at(journal, registry, name, moment)?;
    if journal.topic(new)?.is_some() {
        return Err(ReplayError::TopicExists(new.clone()));
    }
    let record = journal.topic(name)?.ok_or_else(|| ReplayError::UnknownTopic(name.clone()))?;
    let life = journal.begin()?.numbers.life;
    let record = TopicRecord { name: new.clone(), epoch, life, ..record };
    let start = Some(Checkpoint { version: at.version, value: at.plain(), stamp: None });
    journal.commit(&[Operation::Make { record, start }, Operation::Close])?;
    Ok(at.version)
}
