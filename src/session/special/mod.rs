//! What the server shows and does under names of its own: `_topicsync/…`.
//!
//! | module | holds |
//! |---|---|
//! | here | the topics, which service is which, and those that steer |
//! | `args` | the arguments of a request |
//! | `past` | the services that look into the past |

mod args;
mod past;

use std::sync::Arc;

use ecow::{EcoString, eco_format};

use super::hub::Hub;
use super::session::Session;
use crate::engine::policy::Operation;
use crate::engine::undo::Reversed;
use crate::engine::{Direction, Engine, Group, TopicCell};
use crate::protocol::ServiceErrorCode as Code;
use crate::protocol::message::{Outcome, ServiceError};
use crate::topic::{Epoch, TopicName, TopicOptions};
use crate::types::TypeRef;
use crate::value::{Dict, Fields, Value};
use args::Args;

/// The special topics that are always there.
pub(crate) struct Topics {
    pub server_status: Arc<TopicCell>,
    pub topic_list: Arc<TopicCell>,
    pub clients: Arc<TopicCell>,
}

impl Topics {
    pub(crate) fn make(engine: &Engine) -> Topics {
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
pub(crate) fn topic_entry(type_name: &str, options: &TopicOptions, epoch: &Epoch) -> Value {
    Value::Dict(
        [
            ("type", type_name.into()),
            ("options", options.encode().into()),
            ("epoch", EcoString::from(epoch.clone()).into()),
        ]
        .into(),
    )
}

/// Whether an entry of the topic list is of the topic's life with this epoch.
pub(crate) fn lists_epoch(entry: &Value, epoch: &Epoch) -> bool {
    let listed = match entry {
        Value::Dict(entry) => entry.get("epoch").and_then(Value::as_text).map(EcoString::from),
        _ => None,
    };
    listed.is_some_and(|listed| *listed == **epoch)
}

/// What a request for a special service comes to.
pub(crate) enum Served {
    /// The outcome stands.
    Now(Outcome),
    /// It stands once what was accepted by now is durable.
    OnceDurable(Outcome),
    /// It is found out once what was accepted by now is durable and published. That may read the
    /// journal, and so is nothing for a connection's thread.
    Reads(Box<dyn FnOnce() -> Outcome + Send>),
    /// As that, and then it stands once what it did is durable.
    ReadsThenDurable(Box<dyn FnOnce() -> Outcome + Send>),
}

/// Answers a request for a special service; `None` if there is none of this name.
pub(crate) fn serve(
    hub: &Arc<Hub>,
    session: &Session,
    service: &str,
    args: &Value,
    group: &mut Group,
) -> Option<Served> {
    let principal = session.author.principal().clone();
    let args = Args { hub: hub.clone(), principal, args: args.clone() };
    let mut reverse = |direction| {
        let reversal = hub.engine().reverse(&session.author, direction, group);
        let waits = reversal.waits;
        let outcome = Ok(reversed(reversal));
        // Where nothing was done, there is nothing to wait for, though the journal may be down.
        if waits { Served::OnceDurable(outcome) } else { Served::Now(outcome) }
    };
    Some(match service.strip_prefix("_topicsync/")? {
        "value_at" => Served::Reads(Box::new(move || args.value_at())),
        "history" => Served::Reads(Box::new(move || args.history())),
        "cut" => Served::Reads(Box::new(move || args.cut())),
        "diff" => Served::Reads(Box::new(move || args.diff())),
        "blame" => Served::Reads(Box::new(move || args.blame())),
        "fork" => Served::ReadsThenDurable(Box::new(move || args.fork())),
        "undo" => reverse(Direction::Undo),
        "redo" => reverse(Direction::Redo),
        "remove_topic" => Served::OnceDurable(args.remove_topic()),
        "stats" => Served::Now(Ok(stats(hub))),
        _ => return None,
    })
}

impl Args {
    fn remove_topic(&self) -> Outcome {
        let name = self.name_of("topic_name")?;
        self.authorize(&Operation::Remove { topic: &name })?;
        match self.hub.engine().remove(&name) {
            true => Ok(Value::Dict(Dict::new())),
            false => match self.hub.engine().find(&name) {
                Err(error) => Err(ServiceError::new(Code::Failed, eco_format!("{error}"))),
                Ok(_) => {
                    let reason = eco_format!("there is no topic {name:?}");
                    Err(ServiceError::new(Code::UnknownTopic, reason))
                }
            },
        }
    }
}

fn fields_value(fields: &Fields) -> Value {
    Value::Dict(fields.iter().map(|(key, value)| (key.clone(), value.clone())).collect())
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
    let (counters, sessions) = (hub.counters(), hub.sessions().all());
    let rejects: u64 = counters.rejects().map(|(_, count)| count).sum();
    let depths: Vec<usize> = sessions.iter().map(|session| session.queue_depth().0).collect();
    let bytes: usize = sessions.iter().map(|session| session.queue_bytes()).sum();
    let journal = hub.engine().journal_state();
    let (services, requests_waiting) = hub.services_and_requests();
    let int = |number: u64| Value::Int(number as i64);
    let count = |number: usize| Value::Int(number as i64);
    Value::Dict(
        [
            ("topics", count(hub.engine().topics_len())),
            ("sessions", count(sessions.len())),
            ("connections", int(counters.connections.get())),
            ("services", count(services)),
            ("requests_waiting", count(requests_waiting)),
            ("commit", int(hub.engine().commit().0)),
            ("changes", int(counters.changes.get())),
            ("rejects", int(rejects)),
            ("requests", int(counters.requests.get())),
            ("bytes_received", int(counters.bytes_in.get())),
            ("bytes_sent", int(counters.bytes_out.get())),
            ("lags", int(counters.lags.get())),
            ("topics_in_memory", count(hub.engine().topics_in_memory_len())),
            ("journal_works", journal.works.into()),
            ("journal_waiting", count(journal.waiting)),
            ("queue_bytes", count(bytes)),
            ("queue_depth", count(depths.iter().sum())),
            ("queue_depth_max", count(depths.iter().max().copied().unwrap_or(0))),
        ]
        .into_iter()
        .map(|(key, value)| (EcoString::from(key), value))
        .collect(),
    )
}
