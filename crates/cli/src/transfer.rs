//! `export`, `import`, `fork`: histories to and from text, and new topics out of old versions.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use topicsync::replay;
use topicsync::topic::{Epoch, TopicName};
use topicsync::types::Registry;

use super::out::{CommandError, json_line, progress, stdout};
use super::source::{Folder, Source, open_to_write, topic_name};
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
    pub fn run(&self, registry: &Registry) -> Result<(), CommandError> {
        let opened = self.source.open(registry)?;
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
    #[command(flatten)]
    folder: Folder,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Import {
    pub fn run(&self, registry: &Registry) -> Result<(), CommandError> {
        let (mut input, len): (Box<dyn BufRead>, u64) = match self.file.to_str() {
            Some("-") => (Box::new(io::stdin().lock()), 0),
            _ => {
                let cannot = |source| CommandError::Open { path: self.file.clone(), source };
                let file = File::open(&self.file).map_err(cannot)?;
                let len = file.metadata().map_or(0, |it| it.len());
                (Box::new(BufReader::new(file)), len)
            }
        };
        let journal = open_to_write(&self.folder.data)?;
        let bar = progress(len, "importing", true);
        let how = replay::Import {
            registry,
            prefix: &self.prefix,
            epochs: &mut random_epoch,
            progress: &mut |read| bar.inc(read),
        };
        let imported = replay::import(&mut input, &*journal, how);
        bar.finish_and_clear();
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
    #[command(flatten)]
    folder: Folder,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Fork {
    pub fn run(&self, registry: &Registry) -> Result<(), CommandError> {
        let usage = |why: String| CommandError::Usage(format!("{:?}: {why}", self.from));
        let (name, at) = self.from.rsplit_once('@').ok_or_else(|| {
            usage("write TOPIC@VERSION, as in nodes@42 or nodes@commit:8412".into())
        })?;
        let name = topic_name(name).map_err(usage)?;
        let When(moment) = at.parse().map_err(usage)?;
        let journal = open_to_write(&self.folder.data)?;
        let version =
            replay::fork(&*journal, registry, (&name, moment), &self.new, random_epoch())?;
        let mut out = stdout();
        match self.json {
            true => json_line(&mut out, &json!({"topic": &*self.new, "version": version.0}))?,
            false => writeln!(out, "{} starts at version {version} of {name}", self.new)?,
        }
        Ok(out.flush()?)
    }
}

/// 64 random bits, from the operating system by way of the hasher that the standard library seeds.
fn random_epoch() -> Epoch {
    use std::hash::{BuildHasher, Hasher};
    let bits = std::collections::hash_map::RandomState::new().build_hasher().finish();
    Epoch::new(format!("{bits:016x}")).expect("16 bytes are short enough")
}
