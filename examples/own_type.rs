//! A topic type of one's own: a poll, in which everybody has one vote.
//!
//! `cargo run --example own_type`
//!
//! The built-in types are written against the same trait. Two people who vote at once never conflict;
//! two votes of one person do what they say, the later one last.

use std::collections::BTreeMap;
use std::error::Error;

use serde::{Deserialize, Serialize};
use topicsync::server::Server;
use topicsync::types::{Conflict, Rebased, TopicType};
use topicsync::value::{Fields, Invalid, Value};

/// Who voted for what.
type Votes = BTreeMap<String, String>;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum PollChange {
    /// Somebody's vote; `None` takes it back.
    Vote { voter: String, option: Option<String> },
}

struct Poll;

impl TopicType for Poll {
    type Value = Votes;
    type Change = PollChange;
    const NAME: &'static str = "poll";

    fn initial() -> Votes {
        Votes::new()
    }

    fn decode_value(value: &Value) -> Result<Votes, Invalid> {
        value.parse()
    }

    fn encode_value(votes: &Votes) -> Value {
        Value::from_serialize(votes).expect("strings are values")
    }

    fn decode_change(fields: &Fields) -> Result<PollChange, Invalid> {
        fields.parse()
    }

    fn encode_change(change: &PollChange) -> Fields {
        Fields::from_serialize(change).expect("a tagged enum is a map")
    }

    fn apply(votes: &mut Votes, change: &PollChange) -> Result<(), Invalid> {
        let PollChange::Vote { voter, option } = change;
        match option {
            Some(option) => drop(votes.insert(voter.clone(), option.clone())),
            None => drop(votes.remove(voter)),
        }
        Ok(())
    }

    fn rebase(
        incoming: &PollChange,
        accepted: &PollChange,
    ) -> Result<Rebased<PollChange>, Conflict> {
        let (PollChange::Vote { voter: mine, .. }, PollChange::Vote { voter: theirs, .. }) =
            (incoming, accepted);
        let mut rebased = Rebased::unaffected(incoming, accepted);
        if mine == theirs {
            // The newcomer's vote stands: nothing is left of the other.
            rebased.accepted = None;
        }
        Ok(rebased)
    }

    fn invert(change: &PollChange, before: &Votes) -> Option<PollChange> {
        let PollChange::Vote { voter, .. } = change;
        Some(PollChange::Vote { voter: voter.clone(), option: before.get(voter).cloned() })
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Clients can now subscribe with `"type": "poll"`.
    let server = Server::builder().listen(([127, 0, 0, 1], 0)).topic_type::<Poll>().bind()?;
    let lunch = server.host().topic::<Poll>("lunch")?;
    for (voter, option) in [("ann", "soup"), ("bob", "pizza"), ("ann", "pizza")] {
        let (voter, option) = (voter.to_owned(), Some(option.to_owned()));
        lunch.change(PollChange::Vote { voter, option })?;
    }
    println!("after {} votes: {:?}", lunch.version(), lunch.value());
    assert_eq!(lunch.value()["ann"], "pizza");
    Ok(())
}
