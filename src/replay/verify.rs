//! Checks a history: every log folds without gaps, and to what its checkpoints say.

use crate::journal::{Journal, JournalError, TopicRecord};
use crate::topic::{CommitNumber, TopicName, Version};
use crate::types::Registry;

use super::ReplayError;
use super::past::Past;

/// What was found of one topic.
#[derive(Debug, Clone, PartialEq)]
pub struct Verified {
    /// The topic.
    pub topic: TopicName,
    /// How many changes were folded.
    pub changes: u64,
    /// How many checkpoints were compared.
    pub checkpoints: u64,
    /// What is wrong. Nothing behind the first thing was looked at, as it rests on it.
    pub problem: Option<Problem>,
}

/// Something wrong with a topic's log.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{}{what}", place(.version))]
pub struct Problem {
    /// `None` if the log cannot even be opened.
    pub version: Option<Version>,
    /// What is wrong, in words.
    pub what: String,
}

fn place(version: &Option<Version>) -> String {
    version.map_or_else(String::new, |version| format!("at version {version}: "))
}

/// Folds the log of a topic from its beginning, and compares it with its checkpoints. Calls `progress`
/// with the number of changes since the last call.
///
/// # Errors
/// The type is missing, or the journal cannot be opened at all; what is wrong with the log is no error
/// but a finding.
pub fn verify(
    journal: &dyn Journal,
    registry: &Registry,
    record: &TopicRecord,
    progress: &mut dyn FnMut(u64),
) -> Result<Verified, ReplayError> {
    let topic = record.name.clone();
    let mut verified = Verified { topic, changes: 0, checkpoints: 0, problem: None };
    let past = match Past::open(journal, registry, &record.name) {
        Ok(past) => past,
        Err(ReplayError::Journal(error @ JournalError::Damaged { .. })) => {
            verified.problem = Some(Problem { version: None, what: error.to_string() });
            return Ok(verified);
        }
        Err(error) => return Err(error),
    };
    if let Err((version, what)) = fold(journal, &past, &mut verified, progress) {
        verified.problem = Some(Problem { version: Some(version), what });
    }
    Ok(verified)
}

/// How many changes lie between two calls of `progress`.
const STRIDE: u64 = 1_024;

fn fold(
    journal: &dyn Journal,
    past: &Past<'_>,
    verified: &mut Verified,
    progress: &mut dyn FnMut(u64),
) -> Result<(), (Version, String)> {
    let (oldest, head) = (past.extent().oldest, past.extent().head);
    let mut checkpoints = checkpoints(journal, past)?;
    let mut at = past.start(oldest).map_err(|error| (oldest, error.to_string()))?;
    let mut last = CommitNumber(0);
    verified.checkpoints += u64::from(checkpoints.pop_if(|version| *version == oldest).is_some());
    for entry in past.entries(oldest, head) {
        let entry = entry.map_err(|error| (at.version.next(), error.to_string()))?;
        let fail = |what: String| Err((entry.version, what));
        if entry.commit < last {
            return fail(format!("commit {} comes after commit {last}", entry.commit));
        }
        last = entry.commit;
        past.apply(&mut at.value, &entry).map_err(|error| (entry.version, error.to_string()))?;
        at.version = entry.version;
        if checkpoints.pop_if(|version| *version == entry.version).is_some() {
            let kept = past.start(entry.version).map_err(|it| (entry.version, it.to_string()))?;
            if kept.value != at.value {
                return fail("the checkpoint is not what the log folds to".to_owned());
            }
            verified.checkpoints += 1;
        }
        verified.changes += 1;
        if verified.changes.is_multiple_of(STRIDE) {
            progress(STRIDE);
        }
    }
    progress(verified.changes % STRIDE);
    Ok(())
}

/// The versions of all checkpoints, newest first.
fn checkpoints(journal: &dyn Journal, past: &Past<'_>) -> Result<Vec<Version>, (Version, String)> {
    let (mut versions, mut to) = (Vec::new(), Some(past.extent().head));
    while let Some(version) = to {
        let newest = journal.checkpoint(&past.record().name, version);
        let Some(checkpoint) = newest.map_err(|error| (version, error.to_string()))? else { break };
        versions.push(checkpoint.version);
        to = checkpoint.version.0.checked_sub(1).map(Version);
    }
    Ok(versions)
}

/// Verifies every topic whose type is registered, and calls `found` with each; gives the others.
///
/// # Errors
/// As [`verify`].
pub fn verify_all(
    journal: &dyn Journal,
    registry: &Registry,
    records: &[TopicRecord],
    found: &mut dyn FnMut(Verified),
    progress: &mut dyn FnMut(u64),
) -> Result<Vec<TopicRecord>, ReplayError> {
    let mut missing = Vec::new();
    for record in records {
        match verify(journal, registry, record, progress) {
            Ok(verified) => found(verified),
            Err(ReplayError::MissingType { .. }) => missing.push(record.clone()),
            Err(error) => return Err(error),
        }
    }
    Ok(missing)
}
