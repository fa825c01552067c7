//! What can happen in a world, one thing at a time, and how it is written in a script.

use std::fmt;

use serde::de::IgnoredAny;

use crate::journal::Fault;
use crate::testkit::checks::fields_from_json;
use crate::topic::TopicName;
use crate::value::Fields;

/// What happens next.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// What one client does, or what is done with its messages. Clients are counted from 1.
    Client(usize, Deed),
    /// The server publishes what it accepted.
    Publish,
    /// The journal takes what waits for it.
    Commit,
    /// The journal fails, having written or not, and works again.
    Fail(Fault),
    /// The server crashes and is started again from its journal; the clients lose their connections.
    Crash,
    /// The server's tick comes, and with it the updates of `latest` topics.
    Tick,
    /// A validator refuses the next change.
    Refuse,
    /// The server has no room for the next submission.
    Busy,
    /// What is under way arrives, then so many milliseconds pass.
    Pass(u64),
    /// A cut of all topics is kept, to be compared with what it is later.
    Cut,
}

/// What happens with one client.
#[derive(Debug, Clone, PartialEq)]
pub enum Deed {
    /// It makes changes; as an action, if they are several.
    Change(Vec<Made>),
    /// It asks to have its newest action undone.
    Undo,
    /// It asks to have its newest undo taken back.
    Redo,
    /// It hands what it has to say to its link.
    Send,
    /// The server takes its next message.
    Take,
    /// The server takes its next message twice, if it accepts it: it was sent again.
    TakeTwice,
    /// So many messages arrive at it.
    Receive(usize),
    /// The next message arrives at it twice, if it is a published change.
    ReceiveTwice,
    /// It loses its connection, and with it what is on the way both ways.
    Disconnect,
    /// It has a connection again, and resumes its session.
    Connect,
    /// The server gives up its session; it is away.
    Forget,
    /// It ends its subscription.
    Leave(TopicName),
    /// It takes a subscription up again.
    Join(TopicName),
    /// It sends again what the server had no room for.
    Retry,
}

/// How steps are written that are always the same.
const STEPS: [(&str, Step); 9] = [
    ("the server publishes", Step::Publish),
    ("the journal commits", Step::Commit),
    ("the journal is full, and works again", Step::Fail(Fault::Full)),
    ("the journal cannot sync, and works again", Step::Fail(Fault::Unsynced)),
    ("the server crashes and restarts", Step::Crash),
    ("the server ticks", Step::Tick),
    ("a validator refuses the next change", Step::Refuse),
    ("the server is busy for the next message", Step::Busy),
    ("a cut is kept", Step::Cut),
];

/// How deeds are written that are always the same, behind the client's name.
const DEEDS: [(&str, Deed); 10] = [
    ("undoes", Deed::Undo),
    ("redoes", Deed::Redo),
    ("sends", Deed::Send),
    ("is heard by the server", Deed::Take),
    ("is heard twice by the server", Deed::TakeTwice),
    ("receives 1 twice", Deed::ReceiveTwice),
    ("loses its connection", Deed::Disconnect),
    ("connects", Deed::Connect),
    ("is forgotten by the server", Deed::Forget),
    ("tries again", Deed::Retry),
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
            let deed = Deed::parse(what).map_err(|why| format!("{why}: {line:?}"))?;
            return Ok(Step::Client(client, deed));
        }
        if let Some((_, step)) = STEPS.iter().find(|(text, _)| *text == line) {
            return Ok(step.clone());
        }
        let ms = line.strip_suffix(" ms pass").and_then(|it| it.parse().ok());
        ms.map(Step::Pass).ok_or_else(unknown)
    }
}

impl Deed {
    fn parse(what: &str) -> Result<Deed, String> {
        if let Some((_, deed)) = DEEDS.iter().find(|(text, _)| *text == what) {
            return Ok(deed.clone());
        }
        let topic = |name: &str| {
            let name: String = serde_json::from_str(name).map_err(|error| error.to_string())?;
            TopicName::new(name).map_err(|error| error.to_string())
        };
        match what.split_once(' ') {
            Some(("leaves", name)) => Ok(Deed::Leave(topic(name)?)),
            Some(("joins", name)) => Ok(Deed::Join(topic(name)?)),
            Some(("receives", count)) => {
                let count = count.parse().map_err(|_| "no number of messages".to_owned())?;
                Ok(Deed::Receive(count))
            }
            Some(("changes" | "overwrites", _)) => {
                let (mut made, mut rest) = (Vec::new(), what);
                while !rest.is_empty() {
                    let (one, behind) = Made::parse(rest)?;
                    made.push(one);
                    rest = behind.strip_prefix(AND_THEN).unwrap_or(behind);
                }
                Ok(Deed::Change(made))
            }
            _ => Err("not a step".into()),
        }
    }
}

/// What stands between the changes of an action.
const AND_THEN: &str = " and then ";

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
        match self {
            Step::Client(client, deed) => write!(f, "client {client} {deed}"),
            Step::Pass(ms) => write!(f, "{ms} ms pass"),
            other => match STEPS.iter().find(|(_, step)| step == other) {
                Some((text, _)) => f.write_str(text),
                None => Err(fmt::Error),
            },
        }
    }
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |topic: &TopicName| serde_json::to_string(&**topic).map_err(|_| fmt::Error);
        match self {
            Deed::Change(made) => {
                for (index, made) in made.iter().enumerate() {
                    let and = if index > 0 { AND_THEN } else { "" };
                    write!(f, "{and}{made}")?;
                }
                Ok(())
            }
            Deed::Receive(count) => write!(f, "receives {count}"),
            Deed::Leave(topic) => write!(f, "leaves {}", name(topic)?),
            Deed::Join(topic) => write!(f, "joins {}", name(topic)?),
            other => match DEEDS.iter().find(|(_, deed)| deed == other) {
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
        let made = |overwriting| Made {
            topic: topic(),
            change: Fields::of_type("set").with("value", "a by and then b"),
            overwriting,
        };
        let deeds = [
            Deed::Change(vec![made(false)]),
            Deed::Change(vec![made(true), made(false)]),
            Deed::Receive(7),
            Deed::Leave(topic()),
            Deed::Join(topic()),
        ];
        let deeds = deeds.into_iter().chain(DEEDS.map(|(_, deed)| deed));
        let steps = deeds.map(|deed| Step::Client(12, deed));
        let steps = steps.chain(STEPS.map(|(_, step)| step)).chain([Step::Pass(40)]);
        for step in steps {
            assert_eq!(Step::parse(&step.to_string()), Ok(step.clone()), "{step}");
        }
        for line in ["", "client 1", "client 0 sends", "client x sends", "client 1 receives", "no"]
        {
            assert!(Step::parse(line).is_err(), "{line}");
        }
    }
}
