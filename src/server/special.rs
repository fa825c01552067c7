//! What the server shows and does under names of its own: `_topicsync/…`.

use std::sync::Arc;

use ecow::{EcoString, eco_format};

use super::hub::Hub;
use super::session::Session;
use crate::engine::history::Stood;
use crate::engine::undo::Reversed;
use crate::engine::{Direction, Engine, Group, PastError, TopicCell};
use crate::journal::JournalError;
use crate::protocol::ServiceErrorCode as Code;
use crate::protocol::message::{Outcome, ServiceError};
use crate::topic::{
    ClientId, CommitNumber, Entry, Epoch, Moment, Timestamp, TopicName, TopicOptions, Version,
};
use crate::types::TypeRef;
use crate::value::{Dict, Fields, Value};

/// The prefix of the topics with messages to one client.
pub const CLIENT_MESSAGE: &str = "_topicsync/client_message/";

/// How many entries `_topicsync/history` gives at most.
const HISTORY_LIMIT_MAX: u64 = 10_000;

/// The special topics that are always there.
pub struct Topics {
    pub server_status: Arc<TopicCell>,
    pub topic_list: Arc<TopicCell>,
    pub clients: Arc<TopicCell>,
}

impl Topics {
    pub fn make(engine: &Engine) -> Topics {
        let make = |name: &str, kind| {
            let name = TopicName::new(name).expect("our own names are names");
            let options = TopicOptions { no_history: true, ..TopicOptions::default() };
            engine.make(&name, kind, options).expect("a new engine has no topics")
        };
        let (text, dict) = (
            TypeRef::of::<crate::types::string::String>(),
            TypeRef::of::<crate::types::dict::Dict>(),
        );
        Topics {
            server_status: make("_topicsync/server_status", text),
            topic_list: make("_topicsync/topic_list", dict),
            clients: make("_topicsync/clients", dict),
        }
    }
}

/// What the topic list says of a topic.
pub fn topic_entry(type_name: &str, options: &TopicOptions, epoch: &Epoch) -> Value {
    Value::Dict(
        [
            ("type", type_name.into()),
            ("options", options.encode().into()),
            ("epoch", EcoString::from(epoch.clone()).into()),
        ]
        .into(),
    )
}

/// Whether `client` may read a topic: messages to one client are for it alone.
pub fn may_read(client: ClientId, name: &TopicName) -> bool {
    match name.strip_prefix(CLIENT_MESSAGE) {
        Some(of) => of == eco_format!("{client}"),
        None => true,
    }
}

/// What a request for a special service comes to.
pub enum Served {
    /// The outcome stands.
    Now(Outcome),
    /// It stands once what was accepted by now is durable.
    OnceDurable(Outcome),
    /// It is found out once what was accepted by now is durable and published. That may read the
    /// journal, and so is nothing for a connection's thread.
    Reads(Box<dyn FnOnce() -> Outcome + Send>),
}

/// Answers a request for a special service; `None` if there is none of this name.
pub fn serve(
    hub: &Arc<Hub>,
    session: &Session,
    service: &str,
    args: &Value,
    group: &mut Group,
) -> Option<Served> {
    let args = Args { hub: hub.clone(), client: session.id, args: args.clone() };
    let mut reverse = |direction| {
        let reversal = hub.engine.reverse(&session.author, direction, group);
        Served::OnceDurable(Ok(reversed(reversal)))
    };
    Some(match service.strip_prefix("_topicsync/")? {
        "value_at" => Served::Reads(Box::new(move || args.value_at())),
        "history" => Served::Reads(Box::new(move || args.history())),
        "cut" => Served::Reads(Box::new(move || args.cut())),
        "undo" => reverse(Direction::Undo),
        "redo" => reverse(Direction::Redo),
        "remove_topic" => Served::OnceDurable(args.remove_topic()),
        "stats" => Served::Now(Ok(stats(hub))),
        _ => return None,
    })
}

fn invalid(reason: impl Into<EcoString>) -> ServiceError {
    ServiceError::new(Code::Invalid, reason)
}

/// Why something of the past cannot be had.
fn unreadable(error: PastError) -> ServiceError {
    let code = match error {
        PastError::NotKept => Code::Invalid,
        PastError::Journal(_) | PastError::Change { .. } => Code::Failed,
    };
    ServiceError::new(code, eco_format!("{error}"))
}

/// The arguments of one request, and who makes it.
struct Args {
    hub: Arc<Hub>,
    client: ClientId,
    args: Value,
}

impl Args {
    fn get(&self, name: &str) -> Option<&Value> {
        match &self.args {
            Value::Dict(dict) => dict.get(name).filter(|value| **value != Value::Null),
            _ => None,
        }
    }

    fn number(&self, name: &str) -> Result<Option<u64>, ServiceError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        match value.as_int().map(u64::try_from) {
            Some(Ok(number)) => Ok(Some(number)),
            _ => Err(invalid(eco_format!("{name:?} must be a whole number from 0"))),
        }
    }

    fn text(&self, name: &str) -> Result<Option<EcoString>, ServiceError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.into())),
            Some(_) => Err(invalid(eco_format!("{name:?} must be a string"))),
        }
    }

    fn topic_name(&self) -> Result<TopicName, ServiceError> {
        let name = self.text("topic_name")?.ok_or_else(|| invalid("\"topic_name\" is missing"))?;
        let name = TopicName::new(name).map_err(|error| invalid(eco_format!("{error}")))?;
        match may_read(self.client, &name) {
            true => Ok(name),
            false => Err(ServiceError::new(Code::Forbidden, "that is another client's")),
        }
    }

    fn topic(&self) -> Result<Arc<TopicCell>, ServiceError> {
        let name = self.topic_name()?;
        match self.hub.engine.find(&name) {
            Ok(Some(topic)) => Ok(topic),
            Ok(None) => {
                let reason = eco_format!("there is no topic {name:?}");
                Err(ServiceError::new(Code::UnknownTopic, reason))
            }
            Err(error) => Err(ServiceError::new(Code::Failed, eco_format!("{error}"))),
        }
    }

    fn moment(&self) -> Result<Moment, ServiceError> {
        let version = self.number("version")?.map(|it| Moment::Version(Version(it)));
        let commit = self.number("commit")?.map(|it| Moment::Commit(CommitNumber(it)));
        let time = self.number("time")?.map(|it| Moment::Time(Timestamp(it)));
        let mut moments = [version, commit, time].into_iter().flatten();
        match (moments.next(), moments.next()) {
            (Some(moment), None) => Ok(moment),
            _ => Err(invalid("one of \"version\", \"commit\" and \"time\" says when")),
        }
    }

    fn value_at(&self) -> Outcome {
        let topic = self.topic()?;
        let snapshot = topic.value_at(self.moment()?).map_err(unreadable)?;
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

    fn history(&self) -> Outcome {
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

    fn cut(&self) -> Outcome {
        let engine = &self.hub.engine;
        let failed = |error: JournalError| ServiceError::new(Code::Failed, eco_format!("{error}"));
        let prefix = self.text("prefix")?;
        let names = self.topic_names()?;
        let choose = |name: &TopicName| {
            !name.is_special()
                && prefix.as_ref().is_none_or(|prefix| name.starts_with(prefix.as_str()))
                && names.as_ref().is_none_or(|names| names.iter().any(|it| **it == **name))
        };
        let commit = match (self.number("commit")?, self.number("time")?) {
            (Some(commit), None) => CommitNumber(commit),
            (None, Some(time)) => engine.commit_at(Timestamp(time), choose).map_err(failed)?,
            _ => return Err(invalid("either \"commit\" or \"time\" says when")),
        };
        if commit > engine.commit() {
            return Err(invalid("that commit is not there yet"));
        }
        let cut = engine.cut(commit, choose).map_err(failed)?;
        let topic_entry = |Stood { name, kind, snapshot }: Stood| {
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

    fn topic_names(&self) -> Result<Option<Vec<EcoString>>, ServiceError> {
        let name = |name: &Value| name.as_text().map(EcoString::from);
        match self.get("topic_names") {
            None => Ok(None),
            Some(Value::List(names)) => {
                let names: Option<Vec<EcoString>> = names.iter().map(name).collect();
                names.map(Some).ok_or_else(|| invalid("\"topic_names\" must be strings"))
            }
            Some(_) => Err(invalid("\"topic_names\" must be a list")),
        }
    }

    fn remove_topic(&self) -> Outcome {
        let name = self.topic_name()?;
        if name.is_special() {
            return Err(ServiceError::new(Code::Forbidden, "special topics are the server's"));
        }
        match self.hub.engine.remove(&name) {
            true => Ok(Value::Dict(Dict::new())),
            false => {
                let reason = eco_format!("there is no topic {name:?}");
                Err(ServiceError::new(Code::UnknownTopic, reason))
            }
        }
    }
}

fn fields_value(fields: &Fields) -> Value {
    Value::Dict(fields.iter().map(|(key, value)| (key.clone(), value.clone())).collect())
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

fn reversed(reversed: Reversed) -> Value {
    let name = |topic: &TopicName| Value::from(EcoString::from(topic.clone()));
    let done = reversed.done.iter().map(|(topic, fields)| {
        Value::Dict([("topic_name", name(topic)), ("change", fields_value(fields))].into())
    });
    let skipped = reversed.skipped.iter().map(|skipped| {
        let change = skipped.change.as_ref().map(fields_value);
        Value::Dict(
            [
                ("topic_name", name(&skipped.topic)),
                ("change", change.into()),
                ("reason", skipped.reason.as_str().into()),
            ]
            .into(),
        )
    });
    Value::Dict(
        [
            ("action_id", reversed.action_id.clone().map(EcoString::from).into()),
            ("undone", Value::List(done.collect())),
            ("skipped", Value::List(skipped.collect())),
        ]
        .into(),
    )
}

fn stats(hub: &Hub) -> Value {
    let (metrics, sessions) = (&hub.metrics, hub.sessions.all());
    let rejects: u64 = crate::protocol::RejectCode::ALL
        .iter()
        .map(|code| metrics.rejects.with_label_values(&[code.as_str()]).get())
        .sum();
    let depths: Vec<(usize, u64)> = sessions.iter().map(|session| session.queue_depth()).collect();
    let int = |number: u64| Value::Int(number as i64);
    Value::Dict(
        [
            ("topics", int(hub.engine.topics_len() as u64)),
            ("sessions", int(sessions.len() as u64)),
            ("connections", int(metrics.connections.get() as u64)),
            ("services", int(hub.services.len() as u64)),
            ("commit", int(hub.engine.commit().0)),
            ("changes", int(metrics.changes.get())),
            ("rejects", int(rejects)),
            ("requests", int(metrics.requests.get())),
            ("bytes_received", int(metrics.bytes_in.get())),
            ("bytes_sent", int(metrics.bytes_out.get())),
            ("lags", int(metrics.lags.get())),
            ("queue_depth", int(depths.iter().map(|(depth, _)| *depth as u64).sum())),
            (
                "queue_depth_max",
                int(depths.iter().map(|(depth, _)| *depth as u64).max().unwrap_or(0)),
            ),
        ]
        .into_iter()
        .map(|(key, value)| (EcoString::from(key), value))
        .collect(),
    )
}
