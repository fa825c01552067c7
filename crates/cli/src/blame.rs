//! `blame`: who last wrote what.

use std::io::Write;

use clap::Args;
use topicsync::replay::{Blamed, Part, blame};
use topicsync::topic::TopicName;
use topicsync::value::Value;

use super::Context;
use super::out::{BOLD, CommandError, DIM, NUMBER, inline, json_line, stdout, time};
use super::source::{Source, topic_name};
use super::when::{HELP, When};

#[derive(Debug, Args)]
pub struct Blame {
    #[arg(value_name = "TOPIC", value_parser = topic_name)]
    topic: TopicName,
    /// The moment to look at
    #[arg(long, value_name = "MOMENT", default_value = "head", long_help = HELP)]
    at: When,
    #[command(flatten)]
    source: Source,
    /// Print JSON, an object for each part in a line
    #[arg(long)]
    json: bool,
}

impl Blame {
    pub fn run(&self, context: &Context<'_>) -> Result<(), CommandError> {
        let opened = self.source.open(context)?;
        let moment = self.at.of(&*opened.journal, std::slice::from_ref(&self.topic))?;
        let (version, parts) = blame(&*opened.journal, &opened.registry, &self.topic, moment)?;
        let mut out = stdout();
        if self.json {
            for part in &parts {
                json_line(&mut out, &part.to_value())?;
            }
            return Ok(out.flush()?);
        }
        writeln!(out, "{BOLD}{}{BOLD:#}  {DIM}at version {version}{DIM:#}", self.topic)?;
        let columns: Vec<[String; 4]> = parts.iter().map(columns).collect();
        let width = |column: usize| {
            columns.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)
        };
        let [version_width, author_width, time_width] = [0, 1, 2].map(width);
        for [version, author, time, part] in &columns {
            writeln!(
                out,
                "{NUMBER}{version:>version_width$}{NUMBER:#}  {author:author_width$}  \
                 {DIM}{time:time_width$}{DIM:#}  {part}",
            )?;
        }
        Ok(out.flush()?)
    }
}

/// Version, author, time and part, in words.
fn columns(blamed: &Blamed) -> [String; 4] {
    let value = inline(&blamed.value);
    let part = match &blamed.part {
        Part::Whole | Part::Member => value,
        Part::Key(key) => format!("{}: {value}", inline(key)),
        Part::Positions(range) if range.len() == 1 => {
            let item = match &blamed.value {
                Value::List(items) => items.get(0).map(inline),
                _ => None,
            };
            format!("[{}] {}", range.start, item.unwrap_or(value))
        }
        Part::Positions(range) => format!("[{}..{}] {value}", range.start, range.end),
    };
    match &blamed.written {
        Some(written) => {
            let author = format!("client {}", written.author);
            [format!("@{}", written.version), author, time(written.time), part]
        }
        None => ["-".to_owned(), "before the log".to_owned(), String::new(), part],
    }
}
