//! `export`, `import`, `fork`: histories to and from text, and new topics out of old versions.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use topicsync::replay;
use topicsync::topic::{Epoch, TopicName};

use super::Context;
use super::out::{CommandError, json_line, progress, stdout};
use super::source::{Source, open_text, open_to_write, topic_name};
use super::verify::count;
use super::when::When;

#[derive(Debug, Args)]
pub struct Export {
    /// Only these topics
    #[arg(value_name = "TOPIC", value_parser = topic_name)]
    topics: Vec<TopicName>,
    /// Write to a file instead of standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    source: Source,
    /// Print JSON; an export is JSON anyway
    #[arg(long)]
    json: bool,
}

impl Export {
    pub fn run(&self, context: &Context<'_>) -> Result<(), CommandError> {
        let opened = self.source.open(context)?;
        let scope = opened.scope(&self.topics)?;
        let create = |path: &PathBuf| {
            let cannot = |source| CommandError::Create { path: path.clone(), source };
            File::create(path).map_err(cannot).map(|file| Box::new(file) as Box<dyn Write>)
        };
        let to: Box<dyn Write> = match &self.output {
            Some(path) => create(path)?,
            None => Box::new(io::stdout()),
        };
        let (journal, registry) = (&*opened.journal, &opened.registry);
        let bar = progress(scope.changes(), "exporting", false);
        let mut set = |changes: u64| {
            if changes.is_multiple_of(256) {
                bar.set_position(changes);
            }
        };
        let exported = replay::export(journal, registry, &scope, &mut BufWriter::new(to), &mut set);
        bar.finish_and_clear();
        exported?;
        Ok(())
    }
}

#[derive(Debug, Args)]
pub struct Import {
    /// An exported history; - is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Put this before each topic's name
    #[arg(long = "as", value_name = "PREFIX", default_value = "")]
    prefix: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Import {
    pub fn run(&self, context: &Context<'_>) -> Result<(), CommandError> {
        let (mut input, len) = open_text(&self.file)?;
        let was_there = context.data.exists();
        let journal = open_to_write(context.data)?;
        let bar = progress(len, "importing", true);
        let how = replay::Import {
            registry: context.registry,
            prefix: &self.prefix,
            epochs: &mut random_epoch,
            progress: &mut |read| bar.inc(read),
        };
        let imported = replay::import(&mut input, &*journal, how);
        bar.finish_and_clear();
        if imported.is_err() && !was_there {
            drop(journal);
            remove_new(context.data);
        }
        let wrong = |source| CommandError::Import { path: self.file.clone(), source };
        let imported = imported.map_err(wrong)?;
        let mut out = stdout();
        let replay::Imported { topics, commits, changes, moved_up } = imported;
        if self.json {
            let line = json!({
                "topics": topics, "commits": commits, "changes": changes, "moved_up": moved_up,
            });
            json_line(&mut out, &line)?;
            return Ok(out.flush()?);
        }
        let (topics, changes) = (count(topics, "topic"), count(changes, "change"));
        writeln!(out, "imported {topics} with {changes} in {}", count(commits, "commit"))?;
        if moved_up > 0 {
            writeln!(out, "commit numbers were moved up by {moved_up}, behind those given before")?;
        }
        Ok(out.flush()?)
    }
}

#[derive(Debug, Args)]
pub struct Fork {
    /// The topic to fork, and the version to start at, or another moment
    #[arg(value_name = "TOPIC@VERSION")]
    from: String,
    /// The name of the new topic
    #[arg(value_name = "NEW", value_parser = topic_name)]
    new: TopicName,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Fork {
    pub fn run(&self, context: &Context<'_>) -> Result<(), CommandError> {
        let usage = |why: String| CommandError::Usage(format!("{:?}: {why}", self.from));
        let (name, at) = self.from.rsplit_once('@').ok_or_else(|| {
            usage("write TOPIC@VERSION, as in nodes@42 or nodes@commit:8412".into())
        })?;
        let name = topic_name(name).map_err(usage)?;
        let when: When = at.parse().map_err(usage)?;
        let journal = open_to_write(context.data)?;
        let moment = when.of(&*journal, std::slice::from_ref(&name))?;
        let version =
            replay::fork(&*journal, context.registry, (&name, moment), &self.new, random_epoch())?;
        let mut out = stdout();
        if self.json {
            json_line(&mut out, &json!({"topic": &*self.new, "version": version.0}))?
        } else {
            writeln!(out, "{} starts at version {version} of {name}", self.new)?
        }
        Ok(out.flush()?)
    }
}

/// Removes a folder that was made for an import which failed. What is in the way stays.
fn remove_new(folder: &Path) {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    for file in files.filter(|file| file.file_type().is_ok_and(|it| it.is_file())) {
        let _ = fs::remove_file(file.path());
    }
    let _ = fs::remove_dir(folder);
}

/// 64 random bits, from the operating system by way of the hasher that the standard library seeds.
fn random_epoch() -> Epoch {
    use std::hash::{BuildHasher, Hasher};
    let bits = std::collections::hash_map::RandomState::new().build_hasher().finish();
    Epoch::new(format!("{bits:016x}")).expect("16 bytes are short enough")
}
