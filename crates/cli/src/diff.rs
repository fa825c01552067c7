//! `diff`: what is different between two versions.

use std::io::{self, Write};

use clap::Args;
use topicsync::replay::{Difference, PathStep, What, diff_versions};
use topicsync::topic::TopicName;

use super::Context;
use super::out::{ADDED, BOLD, CHANGED, CommandError, DIM, REMOVED, inline, json_line, stdout};
use super::source::{Source, topic_name};
use super::when::{HELP, When};

#[derive(Debug, Args)]
pub struct Diff {
    #[arg(value_name = "TOPIC", value_parser = topic_name)]
    topic: TopicName,
    /// The moment before
    #[arg(value_name = "A", long_help = HELP)]
    from: When,
    /// The moment after
    #[arg(value_name = "B", default_value = "head", long_help = HELP)]
    to: When,
    #[command(flatten)]
    source: Source,
    /// Print JSON, an object for each difference in a line
    #[arg(long)]
    json: bool,
}

impl Diff {
    pub fn run(&self, context: &Context<'_>) -> Result<(), CommandError> {
        let opened = self.source.open(context)?;
        let (journal, topics) = (&*opened.journal, std::slice::from_ref(&self.topic));
        let (from, to) = (self.from.of(journal, topics)?, self.to.of(journal, topics)?);
        let (from, to, differences) =
            diff_versions(journal, &opened.registry, &self.topic, from, to)?;
        let mut out = stdout();
        if self.json {
            for difference in &differences {
                json_line(&mut out, &difference.to_value())?;
            }
            return Ok(out.flush()?);
        }
        let topic = &self.topic;
        writeln!(out, "{BOLD}{topic}{BOLD:#}  {DIM}version {from} to version {to}{DIM:#}")?;
        if differences.is_empty() {
            writeln!(out, "nothing is different")?;
        }
        for difference in &differences {
            print(&mut out, difference)?;
        }
        Ok(out.flush()?)
    }
}

/// The way to a part of a value, in words.
pub fn path(steps: &[PathStep]) -> String {
    let step = |step: &PathStep| match step {
        PathStep::Index(index) => format!("[{index}]"),
        PathStep::Key(key) => format!("[{}]", inline(key)),
    };
    steps.iter().map(step).collect()
}

/// Prints a difference in a line; of a text, each edit in one.
pub fn print(out: &mut dyn Write, difference: &Difference) -> io::Result<()> {
    let path = path(&difference.path);
    let path = if path.is_empty() { path } else { format!("{path} ") };
    match &difference.what {
        What::Added(value) => writeln!(out, "{ADDED}+ {path}{}{ADDED:#}", inline(value)),
        What::Removed(value) => writeln!(out, "{REMOVED}- {path}{}{REMOVED:#}", inline(value)),
        What::Changed { from, to } => {
            write!(out, "{CHANGED}~ {path}{CHANGED:#}")?;
            let (from, to) = (inline(from), inline(to));
            writeln!(out, "{REMOVED}{from}{REMOVED:#} {DIM}→{DIM:#} {ADDED}{to}{ADDED:#}")
        }
        What::Edited(edits) => edits.iter().try_for_each(|edit| {
            write!(out, "{CHANGED}~ {path}{CHANGED:#}{DIM}at {}{DIM:#}", edit.at)?;
            if !edit.removed.is_empty() {
                write!(out, " {REMOVED}-{}{REMOVED:#}", inline(&edit.removed))?;
            }
            if !edit.inserted.is_empty() {
                write!(out, " {ADDED}+{}{ADDED:#}", inline(&edit.inserted))?;
            }
            writeln!(out)
        }),
    }
}
