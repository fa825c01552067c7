//! The special services that look into the past, and the one that goes on from it.

use ecow::{EcoString, eco_format};

use super::args::{Args, invalid, unreadable};
use super::fields_value;
use crate::engine::history::{CutError, TopicAt};
use crate::engine::policy::Operation;
use crate::engine::{OpenError, TopicCell};
use crate::journal::JournalError;
use crate::protocol::ServiceErrorCode as Code;
use crate::protocol::message::{Outcome, ServiceError};
use crate::replay::{Blamed, Blamer, Difference, diff_of};
use crate::topic::{CommitNumber, Entry, Moment, Timestamp, TopicName, Version};
use crate::value::{Dict, Fields, Value};

/// How many entries `_topicsync/history` gives at most.
const HISTORY_LIMIT_MAX: u64 = 10_000;
/// How many entries are read at a time for `_topicsync/blame`.
const BLAME_PIECE: usize = 1_024;

impl Args {
    pub(super) fn value_at(&self) -> Outcome {
        let topic = self.topic()?;
        let snapshot =
            self.hub.engine().settled_value_at(&topic, self.moment()?).map_err(unreadable)?;
        let value = topic.kind().encode_value(&snapshot.value);
        Ok(Value::Dict(
            [
                ("version", Value::Int(snapshot.version.0 as i64)),
                ("commit", Value::Int(snapshot.commit.0 as i64)),
                ("value", value),
            ]
            .into(),
        ))
    }

    pub(super) fn history(&self) -> Outcome {
        let topic = self.topic()?;
        let from = Version(self.number("from")?.unwrap_or(1));
        let to = self.number("to")?.map(Version);
        let limit = self.number("limit")?.unwrap_or(1_000).min(HISTORY_LIMIT_MAX);
        if limit == 0 {
            return Err(invalid("\"limit\" must be at least 1"));
        }
        let (entries, next) = topic.history(from, to, limit as usize).map_err(unreadable)?;
        let entries = entries.iter().map(|entry| history_entry(&topic, entry)).collect();
        let next = next.map_or(Value::Null, |version| Value::Int(version.0 as i64));
        Ok(Value::Dict([("entries", Value::List(entries)), ("next", next)].into()))
    }

    pub(super) fn cut(&self) -> Outcome {
        let engine = &self.hub.engine();
        let failed = |error: JournalError| ServiceError::new(Code::Failed, eco_format!("{error}"));
        let prefix = self.text("prefix")?;
        let names = self.topic_names()?;
        let choose = |name: &TopicName| {
            // The server's own topics have no past, and what may not be read is as if it were not there.
            !name.is_special()
                && self.authorize(&Operation::ReadPast { topic: name }).is_ok()
                && prefix.as_ref().is_none_or(|prefix| name.starts_with(prefix.as_str()))
                && names.as_ref().is_none_or(|names| names.iter().any(|it| **it == **name))
        };
        let commit = match (self.number("commit")?, self.number("time")?) {
            (Some(commit), None) => CommitNumber(commit),
            (None, Some(time)) => engine.commit_at(Timestamp(time), choose).map_err(failed)?,
            _ => return Err(invalid("either \"commit\" or \"time\" says when")),
        };
        let cut = engine.settled_cut(commit, choose).map_err(|error| match error {
            CutError::Journal(error) => failed(error),
            error => invalid(eco_format!("{error}")),
        })?;
        let topic_entry = |TopicAt { name, kind, snapshot }: TopicAt| {
            let entry = [
                ("type", kind.name().into()),
                ("version", Value::Int(snapshot.version.0 as i64)),
                ("value", kind.encode_value(&snapshot.value)),
            ];
            (EcoString::from(name), Value::Dict(entry.into()))
        };
        let topics: Dict = cut.into_iter().map(topic_entry).collect();
        Ok(Value::Dict(
            [("commit", Value::Int(commit.0 as i64)), ("topics", Value::Dict(topics))].into(),
        ))
    }

    /// What is different between two moments of a topic.
    pub(super) fn diff(&self) -> Outcome {
        let topic = self.topic()?;
        let from = self.moment_of("from")?.ok_or_else(|| invalid("\"from\" is missing"))?;
        let from = self.hub.engine().settled_value_at(&topic, from).map_err(unreadable)?;
        let to = match self.moment_of("to")? {
            Some(to) => self.hub.engine().settled_value_at(&topic, to).map_err(unreadable)?,
            None => topic.settled(),
        };
        let plain = |value| topic.kind().encode_value(value);
        let differences = diff_of(topic.kind(), &plain(&from.value), &plain(&to.value));
        let differences = differences.iter().map(Difference::to_value).collect();
        Ok(Value::Dict(
            [
                ("from", Value::Int(from.version.0 as i64)),
                ("to", Value::Int(to.version.0 as i64)),
                ("differences", Value::List(differences)),
            ]
            .into(),
        ))
    }

    /// Who last wrote each part of a topic's value, as far as the log tells.
    pub(super) fn blame(&self) -> Outcome {
        let topic = self.topic()?;
        let to = match self.optional_moment()? {
            Some(moment) => {
                self.hub.engine().settled_value_at(&topic, moment).map_err(unreadable)?.version
            }
            None => topic.settled().version,
        };
        let oldest = topic.oldest();
        let start = topic.value_at(Moment::Version(oldest)).map_err(unreadable)?;
        let mut blamer = Blamer::new(topic.kind(), start.value);
        let mut next = (oldest < to).then(|| oldest.next());
        while let Some(from) = next {
            let (entries, more) = topic.history(from, Some(to), BLAME_PIECE).map_err(unreadable)?;
            for entry in &entries {
                let broken = |reason| ServiceError::new(Code::Failed, eco_format!("{reason}"));
                blamer.push(entry).map_err(broken)?;
            }
            next = more;
        }
        let parts = blamer.finish().iter().map(Blamed::to_value).collect();
        Ok(Value::Dict(
            [("version", Value::Int(to.0 as i64)), ("parts", Value::List(parts))].into(),
        ))
    }

    /// Makes a topic that goes on from a past version of another.
    pub(super) fn fork(&self) -> Outcome {
        let topic = self.topic()?;
        let name = self.name_of("new_name")?;
        self.authorize(&Operation::Fork { from: topic.name(), to: &name })?;
        let (engine, max) = (&self.hub.engine(), self.hub.config().topics_max);
        if engine.topics_len() >= max {
            return Err(ServiceError::new(Code::Failed, "the server has too many topics"));
        }
        let version = match self.optional_moment()? {
            Some(moment) => {
                self.hub.engine().settled_value_at(&topic, moment).map_err(unreadable)?.version
            }
            None => topic.settled().version,
        };
        let made = engine.fork(&topic, version, &name).map_err(|error| {
            let code = match error {
                OpenError::Unavailable(_) => Code::Failed,
                _ => Code::Invalid,
            };
            ServiceError::new(code, eco_format!("{error}"))
        })?;
        Ok(Value::Dict(
            [
                ("topic_name", EcoString::from(name).into()),
                ("version", Value::Int(version.0 as i64)),
                ("epoch", EcoString::from(made.epoch().clone()).into()),
            ]
            .into(),
        ))
    }
}

fn history_entry(topic: &TopicCell, entry: &Entry) -> Value {
    let fields = match &entry.change {
        Some(change) => topic.kind().encode_change(change),
        None => Fields::of_type("none"),
    };
    let fields = fields.with("id", EcoString::from(entry.id.clone()));
    let action = entry.action.as_ref();
    let reverses = |redo| {
        let reverses = action.and_then(|action| action.reverses.as_ref());
        reverses.filter(|it| it.redo == redo).map(|it| EcoString::from(it.original.clone()))
    };
    Value::Dict(
        [
            ("version", Value::Int(entry.version.0 as i64)),
            ("commit", Value::Int(entry.commit.0 as i64)),
            ("change", fields_value(&fields)),
            ("author", Value::Int(entry.author.0 as i64)),
            ("action_id", action.map(|action| EcoString::from(action.id.clone())).into()),
            ("undoes", reverses(false).into()),
            ("redoes", reverses(true).into()),
            ("time", Value::Int(entry.time.0 as i64)),
        ]
        .into(),
    )
}
