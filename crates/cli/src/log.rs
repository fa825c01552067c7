//! `log`: who changed what, and when.

use std::collections::VecDeque;
use std::io::Write;
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::Args;
use topicsync::journal::Logged;
use topicsync::replay::format::CommitLine;
use topicsync::replay::{Commit, Commits, ReplayError, Scope, Stage};
use topicsync::topic::{ClientId, CommitNumber, Moment, TopicName, Version};

use super::Context;
use super::out::{self, CommandError, Out, json_line, stdout};
use super::source::{Opened, Source, topic_name};
use super::when::{HELP, When};

/// How often a followed folder is looked at, at most.
const FOLLOW_EVERY: Duration = Duration::from_millis(200);

#[derive(Debug, Args)]
pub struct Log {
    /// Only these topics
    #[arg(value_name = "TOPIC", value_parser = topic_name)]
    topics: Vec<TopicName>,
    /// Only changes by this client, by its number
    #[arg(long, value_name = "CLIENT", value_parser = author)]
    author: Option<u64>,
    /// Only changes after this moment, which is left out itself
    #[arg(long, value_name = "MOMENT", long_help = HELP)]
    since: Option<When>,
    /// Only changes up to this moment, which is in it
    #[arg(long, value_name = "MOMENT", long_help = HELP)]
    until: Option<When>,
    /// Only changes that write this key of a dict
    #[arg(long, value_name = "KEY", allow_hyphen_values = true)]
    key: Option<String>,
    /// Only the last so many commits
    #[arg(long, short = 'n', value_name = "N")]
    last: Option<usize>,
    /// Go on with what a running server writes
    #[arg(long, short)]
    follow: bool,
    #[command(flatten)]
    source: Source,
    /// Print JSON: the commit lines of an exported history
    #[arg(long)]
    json: bool,
}

fn author(text: &str) -> Result<u64, String> {
    let number = text.parse();
    number
        .map_err(|_| "an author is the number of a client, as `topicsync log` shows it".to_owned())
}

impl Log {
    pub fn run(&self, context: &Context<'_>) -> Result<(), CommandError> {
        if self.follow && self.source.file.is_some() {
            let why = "an exported file does not grow: follow a data folder (--data)";
            return Err(CommandError::Usage(why.to_owned()));
        }
        let (opened, mut out) = (self.source.open(context)?, stdout());
        let scope = opened.scope(&self.topics)?;
        // Who follows a log may wait for a commit that is not there yet.
        for moment in [self.since, self.until].iter().flatten().filter(|_| !self.follow) {
            moment.of(&*opened.journal, &self.topics)?;
        }
        let after = match self.since {
            Some(When(Moment::Commit(commit))) => commit,
            _ => CommitNumber(0),
        };
        let mut stage = Stage::new(&*opened.journal, &opened.registry);
        let mut last: VecDeque<Commit> = VecDeque::new();
        for commit in Commits::after(&*opened.journal, &scope, after)? {
            let Some(commit) = self.choose(&mut stage, commit?)? else { continue };
            match self.last {
                None => self.print(&mut out, &commit)?,
                Some(count) => {
                    last.push_back(commit);
                    if last.len() > count {
                        last.pop_front();
                    }
                }
            }
        }
        for commit in &last {
            self.print(&mut out, commit)?;
        }
        out.flush()?;
        if self.follow { self.follow(&opened, &scope, &mut out) } else { Ok(()) }
    }

    fn follow(&self, opened: &Opened, scope: &Scope, out: &mut Out) -> Result<(), CommandError> {
        let mut newest = scope.newest;
        let mut stage = Stage::new(&*opened.journal, &opened.registry);
        let mut looked = Duration::ZERO;
        loop {
            // Of very many topics looking takes a while itself.
            sleep(FOLLOW_EVERY.max(looked * 4));
            let start = Instant::now();
            let names = &self.topics;
            let chosen =
                Scope::of(&*opened.journal, |it| names.is_empty() || names.contains(&it.name))?;
            looked = start.elapsed();
            if chosen.newest <= newest {
                continue;
            }
            stage.refresh();
            for commit in Commits::after(&*opened.journal, &chosen, newest)? {
                if let Some(commit) = self.choose(&mut stage, commit?)? {
                    self.print(out, &commit)?;
                }
            }
            out.flush()?;
            newest = chosen.newest;
        }
    }

    fn print(&self, out: &mut Out, commit: &Commit) -> Result<(), CommandError> {
        if self.json {
            json_line(out, &CommitLine::of(commit))?
        } else {
            out::commit(out, commit)?
        }
        Ok(())
    }

    /// What the filters leave of a commit, if that is anything.
    fn choose(
        &self,
        stage: &mut Stage<'_>,
        mut commit: Commit,
    ) -> Result<Option<Commit>, CommandError> {
        if self.author.is_some_and(|author| commit.author != ClientId(author)) {
            return Ok(None);
        }
        let mut changes = Vec::new();
        for (name, change) in commit.changes {
            let after = self.since.is_none_or(|since| !reached(&change, since));
            let before = self.until.is_none_or(|until| reached(&change, until));
            if after && before && self.touches(stage, &name, &change)? {
                changes.push((name, change));
            }
        }
        commit.changes = changes;
        Ok(Some(commit).filter(|commit| !commit.changes.is_empty()))
    }

    /// Whether a change writes the key that is asked for.
    fn touches(
        &self,
        stage: &mut Stage<'_>,
        name: &TopicName,
        change: &Logged,
    ) -> Result<bool, CommandError> {
        let Some(key) = &self.key else { return Ok(true) };
        let before = Moment::Version(Version(change.version.0 - 1));
        let at = match stage.at(name, before) {
            // What keys a change has nobody knows, without its type.
            Err(ReplayError::MissingType { .. }) if self.topics.is_empty() => return Ok(false),
            at => at?,
        };
        let Some(fields) = &change.change else { return Ok(false) };
        let broken = |reason| {
            let (topic, version) = (name.clone(), change.version);
            ReplayError::Broken { topic, version, reason }
        };
        let decoded = at.kind.decode_change(fields).map_err(broken)?;
        Ok(at.kind.writes(&decoded, &at.value).touches_key(key))
    }
}

/// Whether a change was made by then.
fn reached(change: &Logged, When(moment): When) -> bool {
    match moment {
        Moment::Version(version) => change.version <= version,
        Moment::Commit(commit) => change.commit <= commit,
        Moment::Time(time) => change.time <= time,
    }
}
