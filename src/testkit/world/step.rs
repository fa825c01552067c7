//! What can happen in a world, one thing at a time, and how it is written in a script.

use std::fmt;

use ecow::EcoString;
use serde::de::IgnoredAny;

use crate::journal::Fault;
use crate::testkit::checks::{fields_from_json, value_from_json};
use crate::topic::{Durability, TopicName};
use crate::value::{Fields, Value};

/// What happens next.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// What one client does, or what is done with its messages. Clients are counted from 1.
    Client(usize, ClientStep),
    /// Every connection publishes what was accepted on it.
    Publish,
    /// The journal takes what waits for it.
    Commit,
    /// The journal fails, having written or not, and works again.
    Fail(Fault),
    /// The server crashes and is started again from its journal; the clients lose their connections.
    Crash,
    /// The server stops in good order and is started again.
    Stop,
    /// From the next start on, topics that do not say otherwise have this durability.
    Default(Durability),
    /// The server's tick comes, and with it the updates of `latest` topics.
    Tick,
    /// A validator refuses the next change.
    Refuse,
    /// A validator panics at the next change.
    Panic,
    /// The server has no room for the next submission.
    Busy,
    /// The worker runs the oldest job that waits for it.
    Work,
    /// Topics that nobody uses leave memory.
    Evict,
    /// What is under way arrives, then so many milliseconds pass.
    Pass(u64),
    /// So many milliseconds pass; what is under way stays there. As long only as a broken connection may go
    /// unnoticed.
    Idle(u64),
    /// The wall clock jumps by so many milliseconds, while the time goes on as ever.
    Jump(i64),
    /// A cut of all topics is kept, to be compared with what it is later.
    Cut,
}

/// What happens with one client.
#[derive(Debug, Clone, PartialEq)]
pub enum ClientStep {
    /// It makes changes; as an action, if they are several.
    Change(Vec<PlannedChange>),
    /// It asks to have its newest action undone.
    Undo,
    /// It asks to have its newest undo taken back.
    Redo,
    /// It hands what it has to say to its connection.
    Send,
    /// The server reads its next frame, and handles nothing of it yet.
    Read,
    /// The server handles its next message.
    Take,
    /// The server handles its next message twice, if it accepts it: it was sent again.
    TakeTwice,
    /// The server writes one frame to it.
    Write,
    /// So many messages arrive at it.
    Receive(usize),
    /// The next message arrives at it twice, if it is a published change.
    ReceiveTwice,
    /// It loses its connection, and with it what is on the way both ways. The server notices.
    Disconnect,
    /// It loses its connection, and the server does not notice yet.
    Vanish,
    /// It closes its connection and does not mean to come back. What it sent before arrives.
    Goodbye,
    /// It has a connection again, and resumes its session.
    Connect,
    /// The server handles the next message of its oldest connection that is lost unnoticed.
    OldTake,
    /// The server writes one frame to its oldest connection that is lost unnoticed.
    OldWrite,
    /// The server notices the loss of its oldest connection.
    OldClose,
    /// The server gives up its session.
    Forget,
    /// It ends its subscription.
    Leave(TopicName),
    /// It takes a subscription up again.
    Join(TopicName),
    /// It sends again what the server had no room for.
    Retry,
    /// It wants this entry of its own in a presence topic.
    Show(TopicName, Value),
    /// It wants no entry of its own in a presence topic.
    Hide(TopicName),
    /// It asks a service.
    Ask(EcoString, Value),
    /// It asks again what it asked before and was answered: the question of this number, counted from 0.
    AskAgain(usize),
    /// It offers a service.
    Offer(EcoString),
    /// It offers a service no longer.
    Withdraw(EcoString),
    /// It answers the oldest request of others that waits for it.
    Answer,
    /// It sends a message of no replica's making. In its texts, `$me` stands for the client's id.
    Say(Value),
}

/// How steps are written that are always the same.
const STEPS: [(&str, Step); 18] = [
    ("the server publishes", Step::Publish),
    ("the journal commits", Step::Commit),
    ("the journal is full, and works again", Step::Fail(Fault::Full)),
    ("the journal cannot sync, and works again", Step::Fail(Fault::Unsynced)),
    ("the journal takes it and does not answer", Step::Fail(Fault::UnansweredAndThere)),
    ("the journal takes nothing and does not answer", Step::Fail(Fault::Unanswered)),
    ("the server crashes and restarts", Step::Crash),
    ("the server stops and restarts", Step::Stop),
    ("the next default durability is commit", Step::Default(Durability::Commit)),
    ("the next default durability is relaxed", Step::Default(Durability::Relaxed)),
    ("the next default durability is memory", Step::Default(Durability::Memory)),
    ("the server ticks", Step::Tick),
    ("a validator refuses the next change", Step::Refuse),
    ("a validator panics at the next change", Step::Panic),
    ("the server is busy for the next message", Step::Busy),
    ("the worker runs a job", Step::Work),
    ("idle topics leave memory", Step::Evict),
    ("a cut is kept", Step::Cut),
];

/// How steps of a client are written that are always the same, behind the client's name.
const CLIENT_STEPS: [(&str, ClientStep); 18] = [
    ("undoes", ClientStep::Undo),
    ("redoes", ClientStep::Redo),
    ("sends", ClientStep::Send),
    ("is read by the server", ClientStep::Read),
    ("is heard by the server", ClientStep::Take),
    ("is heard twice by the server", ClientStep::TakeTwice),
    ("is written to", ClientStep::Write),
    ("receives 1 twice", ClientStep::ReceiveTwice),
    ("loses its connection", ClientStep::Disconnect),
    ("loses its connection unnoticed", ClientStep::Vanish),
    ("says goodbye", ClientStep::Goodbye),
    ("connects", ClientStep::Connect),
    ("is heard on its older connection", ClientStep::OldTake),
    ("is written to on its older connection", ClientStep::OldWrite),
    ("has lost its older connection", ClientStep::OldClose),
    ("is forgotten by the server", ClientStep::Forget),
    ("tries again", ClientStep::Retry),
    ("answers a request", ClientStep::Answer),
];

impl Step {
    /// The client it is about, if it is about one.
    pub fn client(&self) -> Option<usize> {
        match self {
            Step::Client(client, _) => Some(*client),
            _ => None,
        }
    }

    /// Reads a step as it is written.
    ///
    /// # Errors
    /// What is not understood.
    pub fn parse(line: &str) -> Result<Step, String> {
        let unknown = || format!("not a step: {line:?}");
        if let Some(rest) = line.strip_prefix("client ") {
            let (number, what) = rest.split_once(' ').ok_or_else(unknown)?;
            let client = number.parse().ok().filter(|it| *it > 0).ok_or_else(unknown)?;
            let step = ClientStep::parse(what).map_err(|why| format!("{why}: {line:?}"))?;
            return Ok(Step::Client(client, step));
        }
        if let Some((_, step)) = STEPS.iter().find(|(text, _)| *text == line) {
            return Ok(step.clone());
        }
        if let Some(by) = line.strip_prefix("the clock jumps by ") {
            let ms = by.strip_suffix(" ms").and_then(|it| it.parse().ok());
            return ms.map(Step::Jump).ok_or_else(unknown);
        }
        if let Some(ms) = line.strip_suffix(" ms pass, and nothing arrives") {
            return ms.parse().map(Step::Idle).map_err(|_| unknown());
        }
        let ms = line.strip_suffix(" ms pass").and_then(|it| it.parse().ok());
        ms.map(Step::Pass).ok_or_else(unknown)
    }
}

impl ClientStep {
    fn parse(what: &str) -> Result<ClientStep, String> {
        if let Some((_, step)) = CLIENT_STEPS.iter().find(|(text, _)| *text == what) {
            return Ok(step.clone());
        }
        let text = |json: &str| -> Result<String, String> {
            serde_json::from_str(json).map_err(|error| error.to_string())
        };
        let topic = |json: &str| TopicName::new(text(json)?).map_err(|error| error.to_string());
        let number = |text: &str| text.parse().map_err(|_| "no number".to_owned());
        let named = |rest: &str| -> Result<(String, Value), String> {
            let (name, value) = json_first(rest).ok_or("no name")?;
            Ok((text(name)?, value_from_json(value.trim())?))
        };
        let (verb, rest) = what.split_once(' ').ok_or("not a step")?;
        Ok(match verb {
            "leaves" => ClientStep::Leave(topic(rest)?),
            "joins" => ClientStep::Join(topic(rest)?),
            "hides" => ClientStep::Hide(topic(rest.strip_prefix("in ").ok_or("no topic")?)?),
            "offers" => ClientStep::Offer(text(rest)?.into()),
            "withdraws" => ClientStep::Withdraw(text(rest)?.into()),
            "says" => ClientStep::Say(value_from_json(rest)?),
            "receives" => ClientStep::Receive(number(rest)?),
            "asks" => match rest.strip_prefix("again ") {
                Some(index) => ClientStep::AskAgain(number(index)?),
                None => {
                    let (service, args) = named(rest)?;
                    ClientStep::Ask(service.into(), args)
                }
            },
            "shows" => {
                let (name, entry) = named(rest)?;
                ClientStep::Show(TopicName::new(name).map_err(|it| it.to_string())?, entry)
            }
            "changes" | "overwrites" => {
                let (mut planned, mut rest) = (Vec::new(), what);
                while !rest.is_empty() {
                    let (one, behind) = PlannedChange::parse(rest)?;
                    planned.push(one);
                    rest = behind.strip_prefix(AND_THEN).unwrap_or(behind);
                }
                ClientStep::Change(planned)
            }
            _ => return Err("not a step".into()),
        })
    }
}

/// What stands between the changes of an action.
const AND_THEN: &str = " and then ";

/// A change that a client is to make.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedChange {
    /// The topic that it changes.
    pub topic: TopicName,
    /// As on the wire, without id and base.
    pub change: Fields,
    /// It goes without a base, to win over whatever is there.
    pub overwriting: bool,
}

impl PlannedChange {
    /// Reads a change, and gives what stands behind it.
    fn parse(text: &str) -> Result<(PlannedChange, &str), String> {
        let bad = |what: &str| format!("{what} in {text:?}");
        let (verb, rest) = text.split_once(' ').ok_or_else(|| bad("no change"))?;
        let overwriting = match verb {
            "changes" => false,
            "overwrites" => true,
            _ => return Err(bad("neither changes nor overwrites")),
        };
        let (name, rest) = json_first(rest).ok_or_else(|| bad("no topic"))?;
        let name: String = serde_json::from_str(name).map_err(|_| bad("no topic"))?;
        let change = rest.strip_prefix(" by ").ok_or_else(|| bad("no \"by\""))?;
        let (change, rest) = json_first(change).ok_or_else(|| bad("no change"))?;
        let topic = TopicName::new(name).map_err(|error| error.to_string())?;
        Ok((PlannedChange { topic, change: fields_from_json(change)?, overwriting }, rest))
    }
}

/// The JSON value that a text begins with, and what stands behind it.
fn json_first(text: &str) -> Option<(&str, &str)> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>();
    values.next()?.ok()?;
    Some(text.split_at(values.byte_offset()))
}

/// Anything as JSON, to be shown.
fn json(value: &(impl serde::Serialize + ?Sized)) -> Result<String, fmt::Error> {
    serde_json::to_string(value).map_err(|_| fmt::Error)
}

impl fmt::Display for PlannedChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.overwriting { "overwrites" } else { "changes" };
        write!(f, "{verb} {} by {}", json(&*self.topic)?, json(&self.change)?)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Client(client, step) => write!(f, "client {client} {step}"),
            Step::Pass(ms) => write!(f, "{ms} ms pass"),
            Step::Idle(ms) => write!(f, "{ms} ms pass, and nothing arrives"),
            Step::Jump(ms) => write!(f, "the clock jumps by {ms} ms"),
            other => match STEPS.iter().find(|(_, step)| step == other) {
                Some((text, _)) => f.write_str(text),
                None => Err(fmt::Error),
            },
        }
    }
}

impl fmt::Display for ClientStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientStep::Change(planned) => {
                for (index, planned) in planned.iter().enumerate() {
                    let and = if index > 0 { AND_THEN } else { "" };
                    write!(f, "{and}{planned}")?;
                }
                Ok(())
            }
            ClientStep::Receive(count) => write!(f, "receives {count}"),
            ClientStep::Leave(topic) => write!(f, "leaves {}", json(&**topic)?),
            ClientStep::Join(topic) => write!(f, "joins {}", json(&**topic)?),
            ClientStep::Show(topic, entry) => {
                write!(f, "shows {} {}", json(&**topic)?, json(entry)?)
            }
            ClientStep::Hide(topic) => write!(f, "hides in {}", json(&**topic)?),
            ClientStep::Ask(service, args) => {
                write!(f, "asks {} {}", json(service.as_str())?, json(args)?)
            }
            ClientStep::AskAgain(index) => write!(f, "asks again {index}"),
            ClientStep::Offer(service) => write!(f, "offers {}", json(service.as_str())?),
            ClientStep::Withdraw(service) => write!(f, "withdraws {}", json(service.as_str())?),
            ClientStep::Say(message) => write!(f, "says {}", json(message)?),
            other => match CLIENT_STEPS.iter().find(|(_, step)| step == other) {
                Some((text, _)) => f.write_str(text),
                None => Err(fmt::Error),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_read_as_it_is_written() {
        let topic = || TopicName::new("e\u{301} \"and\" then").unwrap();
        let planned = |overwriting| PlannedChange {
            topic: topic(),
            change: Fields::of_type("set").with("value", "a by and then b"),
            overwriting,
        };
        let value = || Value::Dict([("a \"b\"", Value::Int(1))].into());
        let steps = [
            ClientStep::Change(vec![planned(false)]),
            ClientStep::Change(vec![planned(true), planned(false)]),
            ClientStep::Receive(7),
            ClientStep::Leave(topic()),
            ClientStep::Join(topic()),
            ClientStep::Show(topic(), value()),
            ClientStep::Hide(topic()),
            ClientStep::Ask("_topicsync/cut".into(), value()),
            ClientStep::AskAgain(3),
            ClientStep::Offer("a b".into()),
            ClientStep::Withdraw("a b".into()),
            ClientStep::Say(value()),
        ];
        let steps = steps.into_iter().chain(CLIENT_STEPS.map(|(_, step)| step));
        let steps = steps.map(|step| Step::Client(12, step));
        let steps = steps.chain(STEPS.map(|(_, step)| step));
        for step in steps.chain([Step::Pass(40), Step::Idle(3), Step::Jump(-7)]) {
            assert_eq!(Step::parse(&step.to_string()), Ok(step.clone()), "{step}");
        }
        for line in ["", "client 1", "client 0 sends", "client x sends", "client 1 receives", "no"]
        {
            assert!(Step::parse(line).is_err(), "{line}");
        }
    }
}
