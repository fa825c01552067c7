//! `topics`: what there is.

use std::io::Write;

use clap::Args;
use serde_json::json;
use topicsync::topic::TopicName;
use topicsync::value::Value;

use super::Context;
use super::out::{BOLD, CommandError, DIM, bytes, json_line, stdout, time};
use super::source::{Source, topic_name};

#[derive(Debug, Args)]
pub struct Topics {
    /// Only these topics
    #[arg(value_name = "TOPIC", value_parser = topic_name)]
    topics: Vec<TopicName>,
    #[command(flatten)]
    source: Source,
    /// Print JSON, an object a line
    #[arg(long)]
    json: bool,
}

impl Topics {
    pub fn run(&self, context: &Context<'_>) -> Result<(), CommandError> {
        let opened = self.source.open(context)?;
        let scope = opened.scope(&self.topics)?;
        let mut out = stdout();
        if self.json {
            for (record, extent) in &scope.topics {
                let line = json!({
                    "topic": &*record.name,
                    "type": &*record.type_name,
                    "options": serde_json::Value::from(&Value::Dict(record.options.encode())),
                    "version": extent.head.0,
                    "oldest": extent.oldest.0,
                    "commit": extent.commit.0,
                    "time": extent.time.0,
                    "bytes": extent.bytes,
                });
                json_line(&mut out, &line)?;
            }
            return Ok(out.flush()?);
        }
        let columns = |texts: [&str; 5]| texts.map(str::to_owned);
        let mut rows = vec![columns(["TOPIC", "TYPE", "VERSION", "SIZE", "LAST CHANGE"])];
        for (record, extent) in &scope.topics {
            let last = if extent.commit.0 == 0 { String::new() } else { time(extent.time) };
            let (name, kind) = (record.name.to_string(), record.type_name.to_string());
            rows.push([name, kind, extent.head.to_string(), bytes(extent.bytes), last]);
        }
        let width =
            |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let [name_width, type_width, version_width, size_width] = [0, 1, 2, 3].map(width);
        for (at, [name, kind, version, size, last]) in rows.iter().enumerate() {
            let style = if at == 0 { DIM } else { BOLD };
            writeln!(
                out,
                "{style}{name:name_width$}{style:#}  {kind:type_width$}  {version:>version_width$}  \
                 {size:>size_width$}  {DIM}{last}{DIM:#}",
            )?;
        }
        Ok(out.flush()?)
    }
}
