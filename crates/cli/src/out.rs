//! What commands print: colours on a terminal, plain text elsewhere, JSON where it is asked for.

use std::fmt;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::PathBuf;

use anstream::AutoStream;
use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressStyle};
use thiserror::Error;
use topicsync::journal::JournalError;
use topicsync::replay::{Commit, ImportError, ReplayError};
use topicsync::topic::Timestamp;
use topicsync::value::{Fields, Value};

use super::pretty::compact;

pub const BOLD: Style = Style::new().bold();
pub const DIM: Style = Style::new().dimmed();
pub const ADDED: Style = AnsiColor::Green.on_default();
pub const REMOVED: Style = AnsiColor::Red.on_default();
pub const CHANGED: Style = AnsiColor::Yellow.on_default();
pub const NUMBER: Style = AnsiColor::Cyan.on_default();

/// Why a command could not do its work.
#[derive(Debug, Error)]
pub enum CommandError {
    #[error(transparent)]
    Replay(#[from] ReplayError),
    #[error("cannot open {path}: {source}")]
    Open { path: PathBuf, source: io::Error },
    #[error("cannot write {path}: {source}")]
    Create { path: PathBuf, source: io::Error },
    #[error("{path}: {source}")]
    Import { path: PathBuf, source: ImportError },
    #[error("{0}")]
    Usage(String),
    #[error("cannot write: {0}")]
    Write(#[from] io::Error),
}

impl From<JournalError> for CommandError {
    fn from(error: JournalError) -> CommandError {
        match error {
            JournalError::UnknownTopic(topic) => ReplayError::UnknownTopic(topic).into(),
            error => ReplayError::from(error).into(),
        }
    }
}

impl CommandError {
    pub fn is_broken_pipe(&self) -> bool {
        match self {
            CommandError::Write(error) | CommandError::Replay(ReplayError::Write(error)) => {
                error.kind() == io::ErrorKind::BrokenPipe
            }
            _ => false,
        }
    }
}

/// Where a command prints to: colours are left out unless it is a terminal.
pub type Out = BufWriter<AutoStream<io::Stdout>>;

pub fn stdout() -> Out {
    BufWriter::new(anstream::stdout())
}

/// Prints one JSON object in a line.
pub fn json_line(out: &mut dyn Write, value: &impl serde::Serialize) -> io::Result<()> {
    writeln!(out, "{}", compact(value))
}

/// A time as RFC 3339 has it, in UTC.
pub fn time(time: Timestamp) -> String {
    let instant = jiff::Timestamp::from_millisecond(time.0 as i64);
    instant.map_or_else(|_| format!("{} ms", time.0), |instant| format!("{instant:.3}"))
}

/// A change in words: its type, then its fields.
pub fn change(change: Option<&Fields>) -> String {
    let Some(fields) = change else { return "nothing left to do".to_owned() };
    let mut words = clean(fields.change_type());
    for (name, value) in fields.iter().filter(|(name, _)| *name != "type") {
        words.push_str(&format!(" {}={}", clean(name), inline(value)));
    }
    words
}

/// A value as JSON in a line, for people.
pub fn inline(value: &impl serde::Serialize) -> String {
    clean(&compact(value))
}

/// Text without what would steer a terminal.
pub fn clean(text: &str) -> String {
    let escape = |char: char| match char {
        '\n' | '\t' => char.to_string(),
        _ if char.is_control() => char.escape_unicode().to_string(),
        _ => char.to_string(),
    };
    text.chars().map(escape).collect()
}

/// The first line about a commit: number, time, author, action.
pub struct Headline<'a>(pub &'a Commit);

impl fmt::Display for Headline<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Commit { number, time: at, author, action, .. } = self.0;
        write!(f, "{BOLD}commit {number}{BOLD:#}  {DIM}{}{DIM:#}  client {author}", time(*at))?;
        let Some(mark) = action else { return Ok(()) };
        match &mark.reverses {
            None => write!(f, "  {DIM}action {}{DIM:#}", clean(&mark.id)),
            Some(it) => {
                let verb = if it.redo { "redoes" } else { "undoes" };
                write!(f, "  {CHANGED}{verb} commit {}{CHANGED:#}", it.commit)
            }
        }
    }
}

/// Prints a commit with its changes.
pub fn commit(out: &mut dyn Write, commit: &Commit) -> io::Result<()> {
    writeln!(out, "{}", Headline(commit))?;
    for (topic, logged) in &commit.changes {
        let words = change(logged.change.as_ref());
        writeln!(out, "  {NUMBER}{topic}@{}{NUMBER:#}  {words}", logged.version)?;
    }
    Ok(())
}

/// A progress bar for long work, on a terminal; nothing elsewhere.
pub fn progress(len: u64, what: &'static str, bytes: bool) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let template = if bytes {
        "{msg} {bar:40} {bytes}/{total_bytes}, {eta} left"
    } else {
        "{msg} {bar:40} {human_pos}/{human_len} changes, {eta} left"
    };
    let style = ProgressStyle::with_template(template);
    let bar = ProgressBar::new(len).with_message(what);
    style.map_or_else(|_| bar.clone(), |style| bar.clone().with_style(style))
}

/// A number of bytes, for people.
pub fn bytes(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

/// Prints a value as it is shown to people: a text as it is, else JSON.
pub fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => clean(&text.to_string()),
        other => clean(&super::pretty::pretty(other)),
    }
}
