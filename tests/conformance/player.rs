//! Plays the steps of a case on a replica. It reads nothing but the case's JSON, as the runners of the
//! other languages do, and tells what a step led to.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value as Json;
use topicsync::client::{CallId, Event, LocalChange, Origin, Replica, Ticket};
use topicsync::protocol::ClientMessage;
use topicsync::protocol::decode_text;
use topicsync::topic::{Epoch, TopicName, TopicOptions, Version};
use topicsync::types::{Registry, TypeRef};
use topicsync::value::{Fields, Value};

/// What is wrong with a case, or with the replica.
pub type Played<T> = Result<T, String>;

/// What a step led to.
#[derive(Debug, Default, Serialize)]
pub struct Expect {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent: Option<Vec<ClientMessage>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub error: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fates: Vec<Fate>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<Changed>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub told: Vec<Told>,
    /// Every subscribed topic; left out if it is as after the step before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topics: Option<BTreeMap<TopicName, Topic>>,
}

/// What became of a local action.
#[derive(Debug, Serialize)]
pub struct Fate {
    ticket: usize,
    fate: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    /// Only where the server gave it: what a replica says of itself is its own matter.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// How a view moved.
#[derive(Debug, Serialize)]
pub struct Changed {
    topic_name: TopicName,
    changes: Vec<Fields>,
    origin: &'static str,
}

/// Anything else that the program is told.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Told {
    Online {
        client_id: u64,
        resumed: bool,
    },
    Ready {
        topic_name: TopicName,
    },
    Closed {
        topic_name: TopicName,
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<&'static str>,
    },
    Response {
        call: usize,
        #[serde(skip_serializing_if = "Option::is_none")]
        response: Option<Value>,
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<&'static str>,
    },
    Request {
        service_name: String,
        args: Value,
        request_id: String,
        client_id: u64,
    },
    Busy,
    Error {
        code: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        topic_name: Option<String>,
    },
}

/// One subscribed topic.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Topic {
    #[serde(rename = "type")]
    kind: &'static str,
    ready: bool,
    epoch: Option<Epoch>,
    version: Version,
    confirmed: Value,
    view: Value,
    pending: usize,
}

/// A replica, and what its program knows of it.
pub struct Player {
    pub replica: Replica,
    kinds: BTreeMap<TopicName, TypeRef>,
    /// Those of `local` steps; presence takes tickets of its own.
    tickets: BTreeMap<Ticket, usize>,
    calls: Vec<CallId>,
    /// The topics as they were after the step before.
    topics: BTreeMap<TopicName, Topic>,
}

impl Player {
    pub fn new() -> Player {
        Player {
            replica: Replica::new(),
            kinds: BTreeMap::new(),
            tickets: BTreeMap::new(),
            calls: Vec::new(),
            topics: BTreeMap::new(),
        }
    }

    /// The topics that were ever subscribed, with their types.
    pub fn topics(&self) -> impl Iterator<Item = (&TopicName, &TypeRef)> {
        self.kinds.iter()
    }

    /// Plays one step, and tells what it led to.
    ///
    /// # Errors
    /// The step cannot be read.
    pub fn play(&mut self, step: &Json) -> Played<Expect> {
        let step = step.as_object().ok_or("a step is an object")?;
        let mut kinds = step.iter().filter(|(key, _)| *key != "expect");
        let (kind, argument) = kinds.next().ok_or("a step has a kind")?;
        let mut expect = Expect::default();
        let mut reasons = Vec::new();
        match &**kind {
            "receive" => {
                let mut frame = Vec::new();
                for message in argument.as_array().ok_or("messages are a list")? {
                    reasons.extend(message["content"]["reason"].as_str());
                    let decoded = decode_text(&message.to_string());
                    let decoded = decoded.map_err(|error| error.to_string())?;
                    // What cannot be read, a client passes over.
                    frame.extend(decoded.into_iter().filter_map(|message| message.server().ok()));
                }
                self.replica.receive_frame(frame);
            }
            "subscribe" => self.subscribe(argument)?,
            "unsubscribe" => self.replica.unsubscribe(&topic_name(argument)?),
            "local" => expect.error = !self.local(argument)?,
            "presence" => self.presence(argument)?,
            "request" => self.request(argument)?,
            "disconnect" => self.replica.disconnected(),
            "composes" => self.replica.set_composes(argument["on"] == true),
            "close" => self.replica.close(),
            "end" => self.replica.end(),
            "send" => expect.sent = Some(self.replica.outbox()),
            "resend_busy" => self.replica.resend_busy(),
            other => return Err(format!("there is no step {other:?}")),
        }
        self.hear(&reasons, &mut expect);
        let topics = self.look();
        if topics != self.topics {
            self.topics.clone_from(&topics);
            expect.topics = Some(topics);
        }
        Ok(expect)
    }

    fn subscribe(&mut self, argument: &Json) -> Played<()> {
        let name = topic_name(argument)?;
        let kind = Registry::default().get(text(argument, "type")?).ok_or("an unknown type")?;
        let options = match &argument["options"] {
            Json::Null => TopicOptions::default(),
            options => TopicOptions::decode(&Value::from(options.clone()))
                .map_err(|error| error.to_string())?,
        };
        if self.replica.subscribe(&name, kind, options) {
            self.kinds.insert(name, kind);
        }
        Ok(())
    }

    /// `false` if the replica refuses.
    fn local(&mut self, argument: &Json) -> Played<bool> {
        let mut changes = Vec::new();
        for it in argument.as_array().ok_or("changes are a list")? {
            let change = LocalChange::new(topic_name(it)?, fields(&it["change"])?);
            let overwriting = it["overwriting"] == true;
            changes.push(if overwriting { change.overwriting() } else { change });
        }
        let Ok(ticket) = self.replica.local(changes) else { return Ok(false) };
        self.tickets.insert(ticket, self.tickets.len() + 1);
        Ok(true)
    }

    fn presence(&mut self, argument: &Json) -> Played<()> {
        let entry = match argument["remove"] == true {
            true => None,
            false => Some(Value::from(argument["entry"].clone())),
        };
        self.replica.set_presence(&topic_name(argument)?, entry);
        Ok(())
    }

    fn request(&mut self, argument: &Json) -> Played<()> {
        let call = match text(argument, "service_name")? {
            "_topicsync/undo" => self.replica.undo(),
            "_topicsync/redo" => self.replica.redo(),
            other => self.replica.request(other, Value::from(argument["args"].clone()), None),
        };
        self.calls.push(call);
        Ok(())
    }

    fn hear(&mut self, reasons: &[&str], expect: &mut Expect) {
        for event in self.replica.events() {
            match event {
                Event::Changed { topic_name, changes, origin, .. } => {
                    let kind = self.kinds[&topic_name];
                    let changes = changes.iter().map(|it| kind.encode_change(it)).collect();
                    expect.changed.push(Changed { topic_name, changes, origin: word(origin) });
                }
                Event::Confirmed { ticket, id } => {
                    let id = id.map(Into::into);
                    self.meet(ticket, Fate { id, ..Fate::of("confirmed") }, expect);
                }
                Event::Rejected { ticket, rejection } => {
                    let code = Some(rejection.code.as_str());
                    let reason = Some(rejection.reason.to_string());
                    let reason = reason.filter(|reason| reasons.contains(&&**reason));
                    self.meet(ticket, Fate { code, reason, ..Fate::of("rejected") }, expect);
                }
                Event::Unknown { ticket } => self.meet(ticket, Fate::of("unknown"), expect),
                Event::Unsent { ticket } => self.meet(ticket, Fate::of("unsent"), expect),
                other => expect.told.extend(self.told(other)),
            }
        }
    }

    fn meet(&self, ticket: Ticket, fate: Fate, expect: &mut Expect) {
        if let Some(ticket) = self.tickets.get(&ticket) {
            expect.fates.push(Fate { ticket: *ticket, ..fate });
        }
    }

    fn told(&self, event: Event) -> Option<Told> {
        Some(match event {
            Event::Online { client_id, resumed } => {
                Told::Online { client_id: client_id.0, resumed }
            }
            Event::Ready { topic_name } => Told::Ready { topic_name },
            Event::Closed { topic_name, error } => {
                Told::Closed { topic_name, code: error.map(|error| error.code.as_str()) }
            }
            Event::Response { call, outcome } => {
                let call = self.calls.iter().position(|it| *it == call)? + 1;
                let code = outcome.as_ref().err().map(|error| error.code());
                Told::Response { call, response: outcome.ok(), code }
            }
            Event::Request { service_name, args, request_id, client_id } => Told::Request {
                service_name: service_name.into(),
                args,
                request_id: request_id.into(),
                client_id: client_id.0,
            },
            Event::Busy => Told::Busy,
            Event::Error(error) => {
                let topic_name = error.topic_name.map(Into::into);
                Told::Error { code: error.code.as_str(), topic_name }
            }
            _ => return None,
        })
    }

    fn look(&self) -> BTreeMap<TopicName, Topic> {
        let mut topics = BTreeMap::new();
        for name in self.kinds.keys() {
            let Some(topic) = self.replica.topic(name) else { continue };
            let kind = topic.kind();
            let seen = Topic {
                kind: kind.name(),
                ready: topic.is_ready(),
                epoch: topic.epoch().cloned(),
                version: topic.version(),
                confirmed: kind.encode_value(topic.confirmed()),
                view: kind.encode_value(topic.view()),
                pending: topic.pending_len(),
            };
            topics.insert(name.clone(), seen);
        }
        topics
    }
}

impl Fate {
    fn of(fate: &'static str) -> Fate {
        Fate { ticket: 0, fate, id: None, code: None, reason: None }
    }
}

fn word(origin: Origin) -> &'static str {
    match origin {
        Origin::Local => "local",
        Origin::Remote { .. } => "remote",
        Origin::Snapshot => "snapshot",
        Origin::Correction => "correction",
    }
}

/// A change written as on the wire.
pub fn fields(json: &Json) -> Played<Fields> {
    let mut fields = Fields::default();
    for (field, value) in json.as_object().ok_or("a change is an object")? {
        fields.push(field.as_str().into(), Value::from(value.clone()));
    }
    Ok(fields)
}

fn text<'a>(json: &'a Json, field: &str) -> Played<&'a str> {
    json[field].as_str().ok_or_else(|| format!("{field:?} must be a string"))
}

fn topic_name(json: &Json) -> Played<TopicName> {
    TopicName::new(text(json, "topic_name")?).map_err(|error| error.to_string())
}

/// Plays a whole case, and compares what each step leads to with what it says.
///
/// # Errors
/// The first step that leads to something else.
pub fn run_case(case: &Json) -> Played<()> {
    let mut player = Player::new();
    for (index, step) in case["steps"].as_array().ok_or("steps are a list")?.iter().enumerate() {
        let at = |what: String| format!("step {index}, {step}: {what}");
        let expect = player.play(step).map_err(at)?;
        let found = serde_json::to_value(&expect).map_err(|error| at(error.to_string()))?;
        for key in ["sent", "error", "fates", "changed", "told", "topics"] {
            // By value: 1 and 1.0 are one number.
            let (found, expected) = (&found[key], &step["expect"][key]);
            if Value::from(found.clone()) != Value::from(expected.clone()) {
                return Err(at(format!("{key} is\n  {found}\nand not\n  {expected}")));
            }
        }
    }
    Ok(())
}
