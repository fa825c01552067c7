//! `show`: values, now or at any moment.

use std::io::Write;

use clap::Args;
use topicsync::replay::state;
use topicsync::replay::{At, Stage};
use topicsync::topic::{Moment, TopicName};

use super::Context;
use super::out::{BOLD, CommandError, DIM, plain, stdout};
use super::pretty::pretty;
use super::source::{Source, topic_name};
use super::when::{HELP, When};

#[derive(Debug, Args)]
pub struct Show {
    /// One topic; without it, the whole workspace
    #[arg(value_name = "TOPIC", value_parser = topic_name)]
    topic: Option<TopicName>,
    /// The moment to show
    #[arg(long, value_name = "MOMENT", default_value = "head", long_help = HELP)]
    at: When,
    #[command(flatten)]
    source: Source,
    /// Print JSON: the topic's value, or an object of values by topic
    #[arg(long)]
    json: bool,
}

impl Show {
    pub fn run(&self, context: &Context<'_>) -> Result<(), CommandError> {
        let opened = self.source.open(context)?;
        let names: Vec<TopicName> = self.topic.iter().cloned().collect();
        let scope = opened.known_scope(&names)?;
        let moment = self.at.of(&*opened.journal, &names)?;
        // What a running server writes meanwhile is not shown of one topic and left out of another.
        let moment = match moment {
            Moment::Commit(commit) => Moment::Commit(commit.min(scope.newest)),
            other => other,
        };
        let mut stage = Stage::new(&*opened.journal, &opened.registry);
        let mut topics: Vec<At> = Vec::new();
        for (record, _) in &scope.topics {
            topics.push(stage.at(&record.name, moment)?.clone());
        }
        let mut out = stdout();
        match (&self.topic, topics.first()) {
            (Some(_), Some(at)) if self.json => writeln!(out, "{}", pretty(&at.plain()))?,
            (None, _) if self.json => writeln!(out, "{}", pretty(&state(&topics)))?,
            _ => print(&mut out, &topics)?,
        }
        Ok(out.flush()?)
    }
}

fn print(out: &mut dyn Write, topics: &[At]) -> Result<(), CommandError> {
    for at in topics {
        let At { name, kind, version, .. } = at;
        writeln!(out, "{BOLD}{name}{BOLD:#}  {DIM}{} at version {version}{DIM:#}", kind.name())?;
        if kind.stateful() {
            writeln!(out, "{}", plain(&at.plain()))?;
        }
    }
    Ok(())
}
