//! Scripts: what happened, in lines that a person reads and [`replay`](super::replay) plays again.
//!
//! The first line names the law. A script of one case of a type goes on like this; `accepted` changes
//! came first, on the start, and `change`s were made on the start too, each on top of the one before:
//!
//! ```text
//! law 4, the square closes
//! start []
//! accepted {"type":"insert","position":0,"item":"a"}
//! change {"type":"insert","position":0,"item":"b"}
//! ```
//!
//! One of a world names who is there, then what happens, as [`Step`] writes it:
//!
//! ```text
//! law 7, replicas converge
//! clients 2
//! topic "one" list {}
//! client 1 changes "one" by {"type":"insert","position":0,"item":"a"}
//! client 2 receives 1
//! ```
//!
//! Blank lines are passed over, and so are those that begin with `#`: they tell what came of a step.

use std::fmt::Write;

use super::checks::{fields_from_json, value_from_json};
use super::law::Law;
use super::world::{Kind, Setup, Step, Topic};
use crate::topic::TopicOptions;
use crate::value::{Fields, Value};

/// A script, read.
#[derive(Debug)]
pub(super) enum Script {
    Case { law: Law, start: Value, changes: Vec<Fields>, accepted: Vec<Fields> },
    World { law: Law, setup: Setup, steps: Vec<Step> },
}

/// Writes JSON of what always is some.
pub(super) fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("plain values are JSON")
}

/// The first lines of a world's script.
pub(super) fn head(law: Law, setup: &Setup) -> String {
    let mut text = format!("{law}\nclients {}\n", setup.clients);
    for (word, topics) in [("topic", &setup.topics), ("apart", &setup.apart)] {
        for topic in topics {
            let (name, options) = (json(&&*topic.name), json(&topic.options.encode()));
            let _ = writeln!(text, "{word} {name} {} {options}", topic.kind.of.name());
        }
    }
    let usual = Setup::new(0, Vec::new());
    let numbers = [
        ("queue_bytes", setup.queue_bytes as u64, usual.queue_bytes as u64),
        ("answer_bytes", setup.answer_bytes as u64, usual.answer_bytes as u64),
        ("missed_bytes", setup.missed_bytes as u64, usual.missed_bytes as u64),
        ("session_ms", setup.session_ms, usual.session_ms),
        ("unnoticed_ms", setup.unnoticed_ms, usual.unnoticed_ms),
        ("stride", setup.stride as u64, usual.stride as u64),
    ];
    for (name, number, _) in numbers.iter().filter(|(_, number, usual)| number != usual) {
        let _ = writeln!(text, "{name} {number}");
    }
    text
}

/// Reads a script; `kinds` are the types that its topics may have.
///
/// # Errors
/// The line that is not understood.
pub(super) fn parse(text: &str, kinds: &[Kind]) -> Result<Script, String> {
    let mut lines = text.lines().map(str::trim).filter(|it| !it.is_empty() && !it.starts_with('#'));
    let first = lines.next().ok_or("the script is empty")?;
    let law = Law::named(first).ok_or_else(|| format!("no law is called {first:?}"))?;
    if Law::OF_TYPES.contains(&law) {
        parse_case(law, lines)
    } else {
        parse_world(law, lines, kinds)
    }
}

fn parse_case<'a>(law: Law, lines: impl Iterator<Item = &'a str>) -> Result<Script, String> {
    let (mut start, mut changes, mut accepted) = (None, Vec::new(), Vec::new());
    for line in lines {
        match line.split_once(' ') {
            Some(("start", value)) => start = Some(value_from_json(value)?),
            Some(("accepted", change)) => accepted.push(fields_from_json(change)?),
            Some(("change", change)) => changes.push(fields_from_json(change)?),
            _ => return Err(format!("neither start nor change: {line:?}")),
        }
    }
    let start = start.ok_or("the script has no start")?;
    Ok(Script::Case { law, start, changes, accepted })
}

fn parse_world<'a>(
    law: Law,
    lines: impl Iterator<Item = &'a str>,
    kinds: &[Kind],
) -> Result<Script, String> {
    let (mut setup, mut steps) = (Setup::new(1, Vec::new()), Vec::new());
    for line in lines {
        let number = |text: &str| text.parse().map_err(|_| format!("no number in {line:?}"));
        match line.split_once(' ') {
            Some(("clients", text)) => setup.clients = number(text)? as usize,
            Some(("queue_bytes", text)) => setup.queue_bytes = number(text)? as usize,
            Some(("answer_bytes", text)) => setup.answer_bytes = number(text)? as usize,
            Some(("missed_bytes", text)) => setup.missed_bytes = number(text)? as usize,
            Some(("session_ms", text)) => setup.session_ms = number(text)?,
            Some(("unnoticed_ms", text)) => setup.unnoticed_ms = number(text)?,
            Some(("stride", text)) => setup.stride = (number(text)? as usize).max(1),
            Some(("topic", text)) => setup.topics.push(parse_topic(text, kinds)?),
            Some(("apart", text)) => setup.apart.push(parse_topic(text, kinds)?),
            _ => steps.push(Step::parse(line)?),
        }
    }
    Ok(Script::World { law, setup, steps })
}

fn parse_topic(text: &str, kinds: &[Kind]) -> Result<Topic, String> {
    let bad = || format!("not a topic: {text:?}");
    let (head, options) = text.split_at(text.find('{').ok_or_else(bad)?);
    let (name, type_name) = head.trim().rsplit_once(' ').ok_or_else(bad)?;
    let name: String = serde_json::from_str(name).map_err(|_| bad())?;
    let kind = kinds.iter().find(|kind| kind.of.name() == type_name);
    let kind = kind.ok_or_else(|| format!("no type is called {type_name:?}"))?;
    let options = TopicOptions::decode(&value_from_json(options)?).map_err(|it| it.to_string())?;
    if crate::topic::TopicName::new(name.as_str()).is_err() {
        return Err(bad());
    }
    Ok(Topic::new(&name, kind.clone()).with(options))
}
