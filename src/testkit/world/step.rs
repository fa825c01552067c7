//! What can happen in a world, one thing at a time, and how it is written in a script.

use std::fmt;

use serde::de::IgnoredAny;

use crate::journal::Fault;
use crate::testkit::checks::fields_from_json;
use crate::topic::TopicName;
use crate::value::Fields;

/// What happens next. Clients are counted from 1.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// A client makes changes; as an action, if they are several.
    Change(usize, Vec<Made>),
    /// A client asks to have its newest action undone.
    Undo(usize),
    /// A client asks to have its newest undo taken back.
    Redo(usize),
    /// A client hands what it has to say to its link.
    Send(usize),
    /// The server takes the next message of a client.
    Take(usize),
    /// The server takes the next message of a client twice, if it accepts it: it was sent again.
    TakeTwice(usize),
    /// The server publishes what it accepted.
    Publish,
    /// So many messages arrive at a client.
    Receive(usize, usize),
    /// The next message arrives at a client twice, if it is a published change.
    ReceiveTwice(usize),
    /// The journal takes what waits for it.
    Commit,
    /// The journal fails, having written or not, and works again.
    Fail(Fault),
    /// The server crashes and is started again from its journal; the clients lose their connections.
    Crash,
    /// The server's tick comes, and with it the updates of `latest` topics.
    Tick,
    /// A client loses its connection, and with it what is on the way both ways.
    Disconnect(usize),
    /// A client has a connection again; it resumes its session.
    Connect(usize),
    /// The server gives up the session of a client that is away.
    Forget(usize),
    /// A client ends its subscription.
    Leave(usize, TopicName),
    /// A client takes a subscription up again.
    Join(usize, TopicName),
    /// A validator refuses the next change.
    Refuse,
    /// The server has no room for the next submission.
    Busy,
    /// A client sends again what the server had no room for.
    Retry(usize),
    /// What is under way arrives, then so many milliseconds pass.
    Pass(u64),
    /// A cut of all topics is kept, to be compared with what it is later.
    Cut,
}

/// A change that a client makes.
#[derive(Debug, Clone, PartialEq)]
pub struct Made {
    /// The topic that it changes.
    pub topic: TopicName,
    /// As on the wire, without id and base.
    pub change: Fields,
    /// It goes without a base, to win over whatever is there.
    pub overwriting: bool,
}

impl Step {
    /// The client who does it, if one does.
    pub fn client(&self) -> Option<usize> {
        match self {
            Step::Change(client, _)
            | Step::Undo(client)
            | Step::Redo(client)
            | Step::Send(client)
            | Step::Take(client)
            | Step::TakeTwice(client)
            | Step::ReceiveTwice(client)
            | Step::Receive(client, _)
            | Step::Disconnect(client)
            | Step::Connect(client)
            | Step::Forget(client)
            | Step::Leave(client, _)
            | Step::Join(client, _)
            | Step::Retry(client) => Some(*client),
            _ => None,
        }
    }

    /// The same, done by another.
    pub(crate) fn by(mut self, other: usize) -> Step {
        match &mut self {
            Step::Change(client, _)
            | Step::Undo(client)
            | Step::Redo(client)
            | Step::Send(client)
            | Step::Take(client)
            | Step::TakeTwice(client)
            | Step::ReceiveTwice(client)
            | Step::Receive(client, _)
            | Step::Disconnect(client)
            | Step::Connect(client)
            | Step::Forget(client)
            | Step::Leave(client, _)
            | Step::Join(client, _)
            | Step::Retry(client) => *client = other,
            _ => {}
        }
        self
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
            return parse_of_client(client, what).map_err(|why| format!("{why}: {line:?}"));
        }
        Ok(match line {
            "the server publishes" => Step::Publish,
            "the journal commits" => Step::Commit,
            "the journal is full, and works again" => Step::Fail(Fault::Full),
            "the journal cannot sync, and works again" => Step::Fail(Fault::Unsynced),
            "the server crashes and restarts" => Step::Crash,
            "the server ticks" => Step::Tick,
            "a validator refuses the next change" => Step::Refuse,
            "the server is busy for the next message" => Step::Busy,
            "a cut is kept" => Step::Cut,
            _ => {
                let ms = line.strip_suffix(" ms pass").and_then(|it| it.parse().ok());
                Step::Pass(ms.ok_or_else(unknown)?)
            }
        })
    }
}

fn parse_of_client(client: usize, what: &str) -> Result<Step, String> {
    let topic = |name: &str| {
        let name: String = serde_json::from_str(name).map_err(|error| error.to_string())?;
        TopicName::new(name).map_err(|error| error.to_string())
    };
    if what.starts_with("changes ") || what.starts_with("overwrites ") {
        let (mut made, mut rest) = (Vec::new(), what);
        while !rest.is_empty() {
            let (one, behind) = Made::parse(rest)?;
            made.push(one);
            rest = behind.strip_prefix(" and then ").unwrap_or(behind);
        }
        return Ok(Step::Change(client, made));
    }
    Ok(match what {
        "undoes" => Step::Undo(client),
        "redoes" => Step::Redo(client),
        "sends" => Step::Send(client),
        "is heard by the server" => Step::Take(client),
        "is heard twice by the server" => Step::TakeTwice(client),
        "receives 1 twice" => Step::ReceiveTwice(client),
        "loses its connection" => Step::Disconnect(client),
        "connects" => Step::Connect(client),
        "is forgotten by the server" => Step::Forget(client),
        "tries again" => Step::Retry(client),
        _ => match what.split_once(' ') {
            Some(("leaves", name)) => Step::Leave(client, topic(name)?),
            Some(("joins", name)) => Step::Join(client, topic(name)?),
            Some(("receives", count)) => {
                let count = count.parse().map_err(|_| "no number of messages".to_owned())?;
                Step::Receive(client, count)
            }
            _ => return Err("not a step".into()),
        },
    })
}

impl Made {
    /// Reads a change, and gives what stands behind it.
    fn parse(text: &str) -> Result<(Made, &str), String> {
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
        Ok((Made { topic, change: fields_from_json(change)?, overwriting }, rest))
    }
}

/// The JSON value that a text begins with, and what stands behind it.
fn json_first(text: &str) -> Option<(&str, &str)> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>();
    values.next()?.ok()?;
    Some(text.split_at(values.byte_offset()))
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.overwriting { "overwrites" } else { "changes" };
        let json = serde_json::to_string(&self.change).map_err(|_| fmt::Error)?;
        let topic = serde_json::to_string(&*self.topic).map_err(|_| fmt::Error)?;
        write!(f, "{verb} {topic} by {json}")
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(client) = self.client() {
            write!(f, "client {client} ")?;
        }
        match self {
            Step::Change(_, made) => {
                for (index, made) in made.iter().enumerate() {
                    let and = if index > 0 { " and then " } else { "" };
                    write!(f, "{and}{made}")?;
                }
                Ok(())
            }
            Step::Undo(_) => f.write_str("undoes"),
            Step::Redo(_) => f.write_str("redoes"),
            Step::Send(_) => f.write_str("sends"),
            Step::Take(_) => f.write_str("is heard by the server"),
            Step::TakeTwice(_) => f.write_str("is heard twice by the server"),
            Step::ReceiveTwice(_) => f.write_str("receives 1 twice"),
            Step::Publish => f.write_str("the server publishes"),
            Step::Receive(_, count) => write!(f, "receives {count}"),
            Step::Commit => f.write_str("the journal commits"),
            Step::Fail(Fault::Full) => f.write_str("the journal is full, and works again"),
            Step::Fail(Fault::Unsynced) => f.write_str("the journal cannot sync, and works again"),
            Step::Crash => f.write_str("the server crashes and restarts"),
            Step::Tick => f.write_str("the server ticks"),
            Step::Disconnect(_) => f.write_str("loses its connection"),
            Step::Connect(_) => f.write_str("connects"),
            Step::Forget(_) => f.write_str("is forgotten by the server"),
            Step::Leave(_, topic) => write!(f, "leaves {:?}", &**topic),
            Step::Join(_, topic) => write!(f, "joins {:?}", &**topic),
            Step::Refuse => f.write_str("a validator refuses the next change"),
            Step::Busy => f.write_str("the server is busy for the next message"),
            Step::Retry(_) => f.write_str("tries again"),
            Step::Pass(ms) => write!(f, "{ms} ms pass"),
            Step::Cut => f.write_str("a cut is kept"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_read_as_it_is_written() {
        let topic = || TopicName::new("one \"and\" then").unwrap();
        let made = |overwriting| Made {
            topic: topic(),
            change: Fields::of_type("set").with("value", "a by and then b"),
            overwriting,
        };
        let steps = [
            Step::Change(1, vec![made(false)]),
            Step::Change(2, vec![made(true), made(false)]),
            Step::Undo(3),
            Step::Redo(1),
            Step::Send(1),
            Step::Take(12),
            Step::TakeTwice(1),
            Step::ReceiveTwice(2),
            Step::Publish,
            Step::Receive(2, 7),
            Step::Commit,
            Step::Fail(Fault::Full),
            Step::Fail(Fault::Unsynced),
            Step::Crash,
            Step::Tick,
            Step::Disconnect(1),
            Step::Connect(1),
            Step::Forget(1),
            Step::Leave(1, topic()),
            Step::Join(1, topic()),
            Step::Refuse,
            Step::Busy,
            Step::Retry(1),
            Step::Pass(40),
            Step::Cut,
        ];
        for step in steps {
            assert_eq!(Step::parse(&step.to_string()), Ok(step.clone()), "{step}");
        }
        for line in ["", "client 1", "client 0 sends", "client x sends", "client 1 receives", "no"]
        {
            assert!(Step::parse(line).is_err(), "{line}");
        }
    }
}
