//! `bisect`: the first commit at which a condition does not hold.

use std::io::{self, Write};
use std::process::{Command, Stdio};

use clap::{ArgGroup, Args};
use serde_json::json;
use serde_json_path::JsonPath;
use topicsync::replay::format::CommitLine;
use topicsync::replay::state;
use topicsync::replay::{Bisected, Scope, Stage, bisect};
use topicsync::topic::{CommitNumber, Moment, TopicName};
use topicsync::value::Value;

use super::Context;
use super::out::{self, CommandError, DIM, REMOVED, json_line, stdout};
use super::pretty::compact;
use super::source::{Source, topic_name};
use super::when::{HELP, When};

/// The exit codes by which a shell says that a command could not be run.
const NOT_RUN: [i32; 2] = [126, 127];

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("condition").required(true)))]
pub struct Bisect {
    /// Only these topics are looked at
    #[arg(value_name = "TOPIC", value_parser = topic_name)]
    topics: Vec<TopicName>,
    /// It holds where this command exits with 0; it gets the state as JSON, an object of values by topic
    #[arg(long, value_name = "COMMAND", group = "condition")]
    run: Option<String>,
    /// It holds where this JSONPath (RFC 9535) selects something of the state
    #[arg(long, value_name = "JSONPATH", group = "condition")]
    selects: Option<String>,
    /// It holds where this JSONPath selects nothing of the state
    #[arg(long, value_name = "JSONPATH", group = "condition")]
    selects_nothing: Option<String>,
    /// A moment at which it holds
    #[arg(long, value_name = "MOMENT", default_value = "commit:0", long_help = HELP)]
    from: When,
    /// A moment at which it does not
    #[arg(long, value_name = "MOMENT", default_value = "head", long_help = HELP)]
    to: When,
    #[command(flatten)]
    source: Source,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What is asked at each commit.
enum Condition {
    Run(String),
    Selects(JsonPath, bool),
}

impl Bisect {
    pub fn run(&self, context: &Context<'_>) -> Result<(), CommandError> {
        let condition = self.condition()?;
        let opened = self.source.open(context)?;
        let scope = opened.known_scope(&self.topics)?;
        let commit = |when: When| when.commit(&*opened.journal, &scope, &self.topics);
        let (from, to) = (commit(self.from)?, commit(self.to)?.min(scope.newest));
        if from > to {
            return Err(CommandError::Usage(format!(
                "--from is commit {from}, which is after --to, commit {to}"
            )));
        }
        let bounds = (from, to);
        let mut stage = Stage::new(&*opened.journal, &opened.registry);
        let (mut out, mut asked) = (stdout(), 0);
        let mut holds = |commit: CommitNumber| {
            asked += 1;
            let state = state_at(&mut stage, &scope, commit)?;
            let holds = condition.holds(&state)?;
            if !self.json {
                let words = if holds { "holds" } else { "does not hold" };
                writeln!(out, "{DIM}at commit {commit} it {words}{DIM:#}")?;
                out.flush()?;
            }
            Ok(holds)
        };
        let found: Result<Bisected, CommandError> =
            bisect(&*opened.journal, &scope, bounds, &mut holds);
        self.print(&found?)
    }

    fn condition(&self) -> Result<Condition, CommandError> {
        let parse = |path: &String| {
            let wrong = |error| CommandError::Usage(format!("{path:?} is no JSONPath: {error}"));
            JsonPath::parse(path).map_err(wrong)
        };
        Ok(match (&self.run, &self.selects, &self.selects_nothing) {
            (Some(command), ..) => Condition::Run(command.clone()),
            (_, Some(path), _) => Condition::Selects(parse(path)?, true),
            (_, _, Some(path)) => Condition::Selects(parse(path)?, false),
            _ => return Err(CommandError::Usage("there is no condition".to_owned())),
        })
    }

    fn print(&self, found: &Bisected) -> Result<(), CommandError> {
        let mut out = stdout();
        match found {
            Bisected::Broke(commit) if self.json => {
                json_line(&mut out, &CommitLine::of(commit))?;
            }
            Bisected::Broke(commit) => {
                writeln!(out, "{REMOVED}the first commit at which it does not hold:{REMOVED:#}")?;
                out::commit(&mut out, commit)?;
            }
            Bisected::NeverHeld { at } => {
                return self.found_nothing(
                    &json!({"never_held": at.0}),
                    format!(
                        "nothing is found: it does not hold at commit {at} already, give a moment at which \
                         it does with --from"
                    ),
                );
            }
            Bisected::StillHolds { at } => {
                return self.found_nothing(
                    &json!({"still_holds": at.0}),
                    format!(
                        "nothing is found: it still holds at commit {at}, give a moment at which it does \
                         not with --to"
                    ),
                );
            }
        }
        Ok(out.flush()?)
    }

    /// That there is no such commit is a failure, for scripts that go on with what is found.
    fn found_nothing(&self, json: &serde_json::Value, words: String) -> Result<(), CommandError> {
        if self.json {
            let mut out = stdout();
            json_line(&mut out, json)?;
            out.flush()?;
        }
        Err(CommandError::Usage(words))
    }
}

/// The values of a scope's topics, as they stood together.
fn state_at(
    stage: &mut Stage<'_>,
    scope: &Scope,
    commit: CommitNumber,
) -> Result<Value, CommandError> {
    let mut topics = Vec::new();
    for (record, _) in &scope.topics {
        topics.push(stage.at(&record.name, Moment::Commit(commit))?.clone());
    }
    Ok(state(&topics))
}

impl Condition {
    fn holds(&self, state: &Value) -> Result<bool, CommandError> {
        match self {
            Condition::Run(command) => run(command, state),
            Condition::Selects(path, something) => {
                let json = serde_json::Value::from(state);
                Ok(path.query(&json).is_empty() != *something)
            }
        }
    }
}

fn run(command: &str, state: &Value) -> Result<bool, CommandError> {
    let cannot = |why: String| CommandError::Usage(format!("cannot run {command:?}: {why}"));
    let mut child = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::piped())
        .stdout(io::stderr())
        .spawn()
        .map_err(|error| cannot(error.to_string()))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A condition need not read all there is.
        let _ = stdin.write_all(compact(state).as_bytes());
    }
    let status = child.wait().map_err(|error| cannot(error.to_string()))?;
    match status.code() {
        Some(code) if !NOT_RUN.contains(&code) => Ok(code == 0),
        Some(code) => Err(cannot(format!("the shell says {code}"))),
        None => Err(cannot("it was killed".to_owned())),
    }
}
