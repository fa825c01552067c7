//! A history as text: the same bytes for the same history, on every machine.

use std::io::Write;

use serde::Serialize;

use crate::journal::{Journal, TopicRecord};
use crate::topic::{CommitNumber, Version};
use crate::types::Registry;
use crate::value::Value;

use super::format::{CommitLine, HeaderLine, TopicLine};
use super::{Commits, ReplayError, Scope};

/// What was exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Exported {
    /// How many topics there were.
    pub topics: u64,
    /// How many commits.
    pub commits: u64,
    /// How many changes.
    pub changes: u64,
}

/// Writes the histories of the topics in `scope`, as [`format`](super::format) says, and calls
/// `progress` with the number of changes written so far, after each line.
///
/// # Errors
/// The journal cannot be read, or `out` not be written.
pub fn export(
    journal: &dyn Journal,
    registry: &Registry,
    scope: &Scope,
    out: &mut dyn Write,
    progress: &mut dyn FnMut(u64),
) -> Result<Exported, ReplayError> {
    let mut exported = Exported { topics: scope.topics.len() as u64, ..Exported::default() };
    write_line(out, &HeaderLine::new())?;
    for (record, extent) in &scope.topics {
        write_line(out, &topic_line(journal, registry, record, extent.oldest)?)?;
    }
    for commit in Commits::after(journal, scope, CommitNumber(0))? {
        let commit = commit?;
        write_line(out, &CommitLine::of(&commit))?;
        exported.commits += 1;
        exported.changes += commit.changes.len() as u64;
        progress(exported.changes);
    }
    out.flush()?;
    Ok(exported)
}

fn topic_line(
    journal: &dyn Journal,
    registry: &Registry,
    record: &TopicRecord,
    oldest: Version,
) -> Result<TopicLine, ReplayError> {
    let name = &record.name;
    let start = journal.checkpoint(name, oldest)?.filter(|start| start.version == oldest);
    if start.is_none() && oldest > Version(0) {
        let topic = name.clone();
        return Err(ReplayError::NotKept { topic, version: oldest, oldest });
    }
    let initial = registry.get(&record.type_name).filter(|_| oldest == Version(0));
    let initial = initial.map(|kind| kind.encode_value(&kind.initial()));
    Ok(TopicLine {
        topic: name.clone().into(),
        type_name: record.type_name.clone(),
        options: Value::Dict(record.options.encode()),
        oldest: oldest.0,
        value: start.map(|start| start.value).filter(|value| Some(value) != initial.as_ref()),
    })
}

fn write_line(out: &mut dyn Write, line: &impl Serialize) -> Result<(), ReplayError> {
    serde_json::to_writer(&mut *out, line).map_err(std::io::Error::from)?;
    Ok(out.write_all(b"\n")?)
}
