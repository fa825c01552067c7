//! The steps of a replay, a commit each, and what each did.

use std::sync::Arc;

use topicsync::journal::Journal;
use topicsync::replay::{Commit, Commits, Difference, Scope, Stage, diff_of};
use topicsync::topic::{ActionMark, ClientId, CommitNumber, Moment, Timestamp, TopicName, Version};
use topicsync::types::Registry;
use topicsync::value::Value;

use crate::out::{CommandError, progress};

/// The steps of a workspace. At position 0 nothing has happened yet; position n is after n commits.
pub struct Steps<'a> {
    journal: &'a dyn Journal,
    stage: Stage<'a>,
    topics: Vec<TopicName>,
    commits: Vec<Step>,
}

/// What there is to know of a commit before it is looked at.
struct Step {
    number: CommitNumber,
    time: Timestamp,
    author: ClientId,
    action: Option<Arc<ActionMark>>,
    /// The topics, by their index, and the versions before and after.
    topics: Vec<(u32, Version, Version)>,
}

/// A topic, before and after a step.
pub struct Seen {
    pub name: TopicName,
    pub type_name: &'static str,
    pub version: Version,
    pub before: Value,
    pub after: Value,
    pub differences: Vec<Difference>,
    /// Whether there is a value to look at.
    pub stateful: bool,
}

/// What one step did.
pub struct View {
    /// `None` before the first.
    pub commit: Option<Commit>,
    pub topics: Vec<Seen>,
}

impl<'a> Steps<'a> {
    pub fn new(
        journal: &'a dyn Journal,
        registry: &'a Registry,
        scope: &Scope,
    ) -> Result<Steps<'a>, CommandError> {
        let topics: Vec<TopicName> =
            scope.topics.iter().map(|(record, _)| record.name.clone()).collect();
        let bar = progress(scope.changes(), "reading", false);
        let mut commits = Vec::new();
        for commit in Commits::after(journal, scope, CommitNumber(0))? {
            let Commit { number, time, author, action, changes } = commit?;
            bar.inc(changes.len() as u64);
            let mut touched: Vec<(u32, Version, Version)> = Vec::new();
            for (name, change) in &changes {
                let index = topics.partition_point(|it| it < name) as u32;
                match touched.last_mut().filter(|(last, ..)| *last == index) {
                    Some((.., to)) => *to = change.version,
                    None => {
                        let before = Version(change.version.0 - 1);
                        touched.push((index, before, change.version));
                    }
                }
            }
            commits.push(Step { number, time, author, action, topics: touched });
        }
        bar.finish_and_clear();
        Ok(Steps { journal, stage: Stage::new(journal, registry), topics, commits })
    }

    /// How many commits there are.
    pub fn len(&self) -> usize {
        self.commits.len()
    }

    pub fn topics(&self) -> &[TopicName] {
        &self.topics
    }

    /// When the commit that leads to a position was made.
    pub fn time(&self, position: usize) -> Option<Timestamp> {
        Some(self.commits.get(position.checked_sub(1)?)?.time)
    }

    /// The position at a moment; a version is one of the first topic.
    pub fn find(&self, moment: Moment) -> usize {
        self.commits.partition_point(|step| match moment {
            Moment::Version(version) => step.topics.first().is_some_and(|it| it.2 <= version),
            Moment::Commit(commit) => step.number <= commit,
            Moment::Time(time) => step.time <= time,
        })
    }

    /// What the step to a position did.
    pub fn view(&mut self, position: usize) -> Result<View, CommandError> {
        let Some(step) = position.checked_sub(1).and_then(|index| self.commits.get(index)) else {
            return Ok(View { commit: None, topics: self.start()? });
        };
        let (mut topics, mut changes) = (Vec::new(), Vec::new());
        for (index, from, to) in &step.topics {
            let name = &self.topics[*index as usize];
            let logged = self.journal.read(name, *from, *to)?;
            changes.extend(logged.into_iter().map(|change| (name.clone(), change)));
            let before = self.stage.at(name, Moment::Version(*from))?.plain();
            let at = self.stage.at(name, Moment::Version(*to))?;
            let after = at.plain();
            topics.push(Seen {
                name: name.clone(),
                type_name: at.kind.name(),
                version: *to,
                differences: diff_of(at.kind, &before, &after),
                before,
                after,
                stateful: at.kind.stateful(),
            });
        }
        let (number, time, author) = (step.number, step.time, step.author);
        let commit = Commit { number, time, author, action: step.action.clone(), changes };
        Ok(View { commit: Some(commit), topics })
    }

    /// The topics before anything happened, those that hold something.
    fn start(&mut self) -> Result<Vec<Seen>, CommandError> {
        let mut topics = Vec::new();
        for name in &self.topics {
            let at = self.stage.at(name, Moment::Commit(CommitNumber(0)))?;
            let value = at.plain();
            topics.push(Seen {
                name: name.clone(),
                type_name: at.kind.name(),
                version: at.version,
                before: value.clone(),
                after: value,
                differences: Vec::new(),
                stateful: at.kind.stateful(),
            });
        }
        Ok(topics)
    }
}
