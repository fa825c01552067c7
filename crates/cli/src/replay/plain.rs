//! A replay as text: each step with what it changed.

use std::io::Write;
use std::thread::sleep;

use serde_json::json;
use topicsync::replay::Difference;
use topicsync::replay::format::CommitLine;
use topicsync::value::Value;

use super::pause;
use super::steps::{Steps, View};
use crate::diff;
use crate::out::{self, CommandError, DIM, NUMBER, json_line, stdout};

/// Prints the steps after position `start`, at once or at a speed.
pub fn run(
    steps: &mut Steps<'_>,
    start: usize,
    speed: Option<f64>,
    json: bool,
) -> Result<(), CommandError> {
    let mut out = stdout();
    for position in start + 1..=steps.len() {
        if let (Some(speed), Some(after)) = (speed, steps.time(position)) {
            out.flush()?;
            sleep(pause(steps.time(position - 1).unwrap_or(after), after, speed));
        }
        let view = steps.view(position)?;
        if json { print_json(&mut out, &view)? } else { print(&mut out, &view)? }
    }
    Ok(out.flush()?)
}

fn print(out: &mut dyn Write, view: &View) -> Result<(), CommandError> {
    let Some(commit) = &view.commit else { return Ok(()) };
    out::commit(out, commit)?;
    for seen in &view.topics {
        let (name, version) = (&seen.name, seen.version);
        if seen.differences.is_empty() {
            continue;
        }
        writeln!(out, "  {DIM}{name} is now{DIM:#} {NUMBER}@{version}{NUMBER:#}")?;
        for difference in &seen.differences {
            write!(out, "    ")?;
            diff::print(out, difference)?;
        }
    }
    Ok(())
}

fn print_json(out: &mut dyn Write, view: &View) -> Result<(), CommandError> {
    let Some(commit) = &view.commit else { return Ok(()) };
    let topics = view.topics.iter().map(|seen| {
        let differences: Vec<Value> = seen.differences.iter().map(Difference::to_value).collect();
        json!({"topic": &*seen.name, "version": seen.version.0, "differences": differences})
    });
    let topics: Vec<serde_json::Value> = topics.collect();
    json_line(out, &json!({"commit": CommitLine::of(commit), "topics": topics}))?;
    Ok(())
}
