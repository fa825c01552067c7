//! `verify`: folds every log and checks it against its checkpoints.

use std::io::Write;

use clap::Args;
use serde_json::json;
use topicsync::replay::verify_all;
use topicsync::replay::{ReplayError, Verified};
use topicsync::topic::TopicName;

use super::Context;
use super::out::{ADDED, BOLD, CHANGED, CommandError, DIM, REMOVED, json_line, progress, stdout};
use super::source::{Source, topic_name};

#[derive(Debug, Args)]
pub struct Verify {
    /// Only these topics
    #[arg(value_name = "TOPIC", value_parser = topic_name)]
    topics: Vec<TopicName>,
    #[command(flatten)]
    source: Source,
    /// Print JSON, an object for each topic in a line
    #[arg(long)]
    json: bool,
}

impl Verify {
    pub fn run(&self, context: &Context<'_>) -> Result<(), CommandError> {
        let opened = self.source.open(context)?;
        let mut records = opened.journal.topics()?;
        if let Some(missing) =
            self.topics.iter().find(|it| !records.iter().any(|has| has.name == **it))
        {
            return Err(ReplayError::UnknownTopic(missing.clone()).into());
        }
        records.retain(|record| self.topics.is_empty() || self.topics.contains(&record.name));
        // What cannot be read is told below.
        let extents = records.iter().filter_map(|record| opened.journal.extent(&record.name).ok());
        let changes = extents.map(|extent| extent.head.0 - extent.oldest.0).sum();
        let bar = progress(changes, "verifying", false);
        let mut found = Vec::new();
        let missing = verify_all(
            &*opened.journal,
            &opened.registry,
            &records,
            &mut |verified| found.push(verified),
            &mut |changes| bar.inc(changes),
        );
        bar.finish_and_clear();
        let missing = missing?;
        let mut out = stdout();
        for verified in &found {
            self.print(&mut out, verified)?;
        }
        for record in &missing {
            let (name, kind) = (&record.name, &record.type_name);
            let line = json!({"topic": &**name, "unknown_type": &**kind});
            if self.json {
                json_line(&mut out, &line)?
            } else {
                writeln!(
                    out,
                    "{CHANGED}not checked{CHANGED:#}  {BOLD}{name}{BOLD:#}: \
                 its type {kind:?} is not known here"
                )?
            }
        }
        out.flush()?;
        let damaged = found.iter().filter(|verified| verified.problem.is_some()).count();
        match damaged {
            0 => Ok(()),
            _ => Err(CommandError::Usage(format!(
                "{damaged} of {} topics are damaged; `topicsync export TOPIC…` saves the others",
                found.len() + missing.len()
            ))),
        }
    }

    fn print(&self, out: &mut dyn Write, verified: &Verified) -> Result<(), CommandError> {
        let Verified { topic, changes, checkpoints, problem } = verified;
        if self.json {
            let problem = problem.as_ref().map(
                |problem| json!({"version": problem.version.map(|it| it.0), "what": problem.what}),
            );
            let line = json!({
                "topic": &**topic, "changes": changes, "checkpoints": checkpoints, "problem": problem,
            });
            return Ok(json_line(out, &line)?);
        }
        let (changes, checkpoints) = (count(*changes, "change"), count(*checkpoints, "checkpoint"));
        match problem {
            None => writeln!(
                out,
                "{ADDED}sound{ADDED:#}    {BOLD}{topic}{BOLD:#}  {DIM}{changes}, {checkpoints}{DIM:#}"
            )?,
            Some(problem) => {
                writeln!(out, "{REMOVED}damaged{REMOVED:#}  {BOLD}{topic}{BOLD:#}  {problem}")?;
            }
        }
        Ok(())
    }
}

/// So many things, in words.
pub fn count(number: u64, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}
