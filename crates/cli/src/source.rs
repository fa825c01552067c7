//! Where a history is read from: a data folder, of a server that runs or not, or an exported file.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use clap::Args;
use topicsync::journal::{Journal, JournalError, SqliteJournal, TopicRecord};
use topicsync::replay::{Scope, open_export};
use topicsync::topic::TopicName;
use topicsync::types::Registry;

use super::Context;
use super::out::{CommandError, progress};

/// A data folder or an exported file.
#[derive(Debug, Args)]
pub struct Source {
    /// Read an exported history instead of a data folder; - is standard input
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
}

/// A history that can be looked into.
pub struct Opened {
    pub journal: Box<dyn Journal>,
    pub registry: Registry,
}

/// Opens a data folder to read it, beside a server or not.
fn open_to_read(path: &Path) -> Result<Box<dyn Journal>, CommandError> {
    match SqliteJournal::open_read_only(path) {
        Ok(journal) => Ok(Box::new(journal)),
        Err(JournalError::NotThere { path }) => Err(CommandError::Usage(format!(
            "{} is not there: name the data folder with --data, or an exported history with --file",
            path.display()
        ))),
        Err(error) => Err(error.into()),
    }
}

/// Opens a data folder to write it, which no server must have open.
pub fn open_to_write(path: &Path) -> Result<Box<dyn Journal>, CommandError> {
    Ok(Box::new(SqliteJournal::open(path)?))
}

impl Source {
    pub fn open(&self, context: &Context<'_>) -> Result<Opened, CommandError> {
        let journal = match &self.file {
            Some(path) => open_file(path, context.registry)?,
            None => open_to_read(context.data)?,
        };
        Ok(Opened { journal, registry: context.registry.clone() })
    }
}

/// Opens an exported history, `-` being standard input; gives its length too, 0 if that is not known.
pub fn open_text(path: &Path) -> Result<(Box<dyn BufRead>, u64), CommandError> {
    if path == Path::new("-") {
        return Ok((Box::new(io::stdin().lock()), 0));
    }
    let file = File::open(path);
    let file = file.map_err(|source| CommandError::Open { path: path.to_owned(), source })?;
    let len = file.metadata().map_or(0, |it| it.len());
    Ok((Box::new(BufReader::new(file)), len))
}

fn open_file(path: &Path, registry: &Registry) -> Result<Box<dyn Journal>, CommandError> {
    let (mut text, len) = open_text(path)?;
    let bar = progress(len, "reading", true);
    let journal = open_export(&mut text, registry, &mut |read| bar.inc(read));
    bar.finish_and_clear();
    let wrong = |source| CommandError::Import { path: path.to_owned(), source };
    Ok(Box::new(journal.map_err(wrong)?))
}

impl Opened {
    /// The topics of these names, or all.
    pub fn scope(&self, names: &[TopicName]) -> Result<Scope, CommandError> {
        for name in names {
            // Says that there is no such topic.
            self.journal.extent(name)?;
        }
        Ok(Scope::of(&*self.journal, |record| names.is_empty() || names.contains(&record.name))?)
    }

    pub fn knows(&self, record: &TopicRecord) -> bool {
        self.registry.get(&record.type_name).is_some()
    }

    /// As [`scope`](Self::scope), without those topics, of all, whose type is missing: they are told.
    pub fn known_scope(&self, names: &[TopicName]) -> Result<Scope, CommandError> {
        let mut scope = self.scope(names)?;
        if names.is_empty() {
            let (known, missing): (Vec<_>, Vec<_>) =
                scope.topics.into_iter().partition(|(record, _)| self.knows(record));
            scope.topics = known;
            for (record, _) in missing {
                let TopicRecord { name, type_name, .. } = record;
                eprintln!("topicsync: left out {name:?}: its type {type_name:?} is not known here");
            }
        }
        Ok(scope)
    }
}

/// Reads a topic's name from the command line.
pub fn topic_name(name: &str) -> Result<TopicName, String> {
    TopicName::new(name).map_err(|error| error.to_string())
}
