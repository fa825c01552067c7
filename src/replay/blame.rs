//! Who last wrote what: each key, member, item or stretch of text, with the change that wrote it.
//!
//! A fold over the log that keeps, beside the value, who wrote each of its parts. What a change writes
//! its type says ([`TopicType::writes`](crate::types::TopicType::writes)). Positions are kept in the
//! counted tree that lists are kept in, one element for each, so that a change costs O(log n) for every
//! position that it writes.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use crate::journal::Journal;
use crate::topic::{
    ChangeId, ClientId, CommitNumber, Entry, Moment, Timestamp, TopicName, Version,
};
use crate::types::{AnyValue, Parts, Registry, Splice, TypeRef, Writes};
use crate::value::{Dict, Invalid, Key, List, Text, Value};

use super::ReplayError;
use super::past::Past;

/// The change that wrote something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The version that the change made.
    pub version: Version,
    /// The number of its commit.
    pub commit: CommitNumber,
    /// Who made it.
    pub author: ClientId,
    /// When it was accepted.
    pub time: Timestamp,
    /// The id of the change.
    pub id: ChangeId,
}

impl Written {
    fn by(entry: &Entry) -> Written {
        Written {
            version: entry.version,
            commit: entry.commit,
            author: entry.author,
            time: entry.time,
            id: entry.id.clone(),
        }
    }
}

/// Who wrote a part; `None` if it was there before the log begins.
type Writer = Option<Arc<Written>>;

/// A part of a value.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// The value, which its type does not tell apart.
    Whole,
    /// The value under a key.
    Key(Key),
    /// The member that is the value.
    Member,
    /// Items, or code points, in a row.
    Positions(Range<usize>),
}

/// A part of a value, and who last wrote it.
#[derive(Debug, Clone, PartialEq)]
pub struct Blamed {
    /// The part.
    pub part: Part,
    /// What is there: for positions, a list of the items, or the stretch of text.
    pub value: Value,
    /// `None` if it was there before the log begins.
    pub written: Option<Arc<Written>>,
}

impl Blamed {
    /// Its plain form: `key`, or `from` and `to`; the value; and of who wrote it `version`, `commit`,
    /// `author`, `time` and `id`, which are missing where the log does not reach back.
    pub fn to_value(&self) -> Value {
        let number = |number: u64| Value::Int(number as i64);
        let mut dict: Dict = [("value", self.value.clone())].into();
        let mut put = |name: &str, value: Value| drop(dict.insert(name.into(), value));
        match &self.part {
            Part::Whole | Part::Member => {}
            Part::Key(key) => put("key", key.clone().into()),
            Part::Positions(range) => {
                put("from", number(range.start as u64));
                put("to", number(range.end as u64));
            }
        }
        if let Some(written) = &self.written {
            put("version", number(written.version.0));
            put("commit", number(written.commit.0));
            put("author", number(written.author.0));
            put("time", number(written.time.0));
            put("id", ecow::EcoString::from(written.id.clone()).into());
        }
        Value::Dict(dict)
    }
}

/// Who last wrote each part of a topic's value at `moment`, and the version that this is.
///
/// Reads the whole log up to there.
///
/// # Errors
/// There is no such topic or version, its type is missing, or the journal is damaged.
pub fn blame(
    journal: &dyn Journal,
    registry: &Registry,
    name: &TopicName,
    moment: Moment,
) -> Result<(Version, Vec<Blamed>), ReplayError> {
    let past = Past::open(journal, registry, name)?;
    let version = past.version_at(moment)?;
    let start = past.start(past.extent().oldest)?;
    let mut blamer = Blamer::new(past.kind(), start.value);
    for entry in past.entries(start.version, version) {
        let entry = entry?;
        blamer.push(&entry).map_err(|reason| past.broken(entry.version, reason))?;
    }
    Ok((version, blamer.finish()))
}

/// Takes a log's entries one by one and keeps who wrote what.
#[derive(Debug, Clone)]
pub struct Blamer {
    kind: TypeRef,
    value: AnyValue,
    writers: Writers,
}

/// The writer of each part.
#[derive(Debug, Clone)]
enum Writers {
    Whole(Writer),
    Keys(BTreeMap<Key, Writer>),
    Members(BTreeMap<Value, Writer>),
    Positions(List<Writer>),
}

impl Blamer {
    /// Starts from a value of which nobody knows who wrote it.
    pub fn new(kind: TypeRef, start: AnyValue) -> Blamer {
        let writers = Writers::all(kind, &start, None);
        Blamer { kind, value: start, writers }
    }

    /// Takes the next entry of the log.
    ///
    /// # Errors
    /// Its change does not apply.
    pub fn push(&mut self, entry: &Entry) -> Result<(), Invalid> {
        let Some(change) = &entry.change else { return Ok(()) };
        let writes = self.kind.writes(change, &self.value);
        self.kind.apply(&mut self.value, change)?;
        let writer = Some(Arc::new(Written::by(entry)));
        // What makes no sense of its type is taken as a write of all.
        if self.writers.note(writes, &writer).is_none() {
            self.writers = Writers::all(self.kind, &self.value, writer);
        }
        Ok(())
    }

    /// Who last wrote each part of the value as it is now. Neighbours by one change are one stretch.
    pub fn finish(&self) -> Vec<Blamed> {
        let value = self.kind.encode_value(&self.value);
        match (&self.writers, &value) {
            (Writers::Whole(writer), _) => {
                vec![Blamed { part: Part::Whole, value, written: writer.clone() }]
            }
            (Writers::Keys(writers), Value::Dict(dict)) => {
                let blamed = |(key, value): (&Key, &Value)| Blamed {
                    part: Part::Key(key.clone()),
                    value: value.clone(),
                    written: writers.get(key).cloned().flatten(),
                };
                dict.iter().map(blamed).collect()
            }
            (Writers::Members(writers), Value::List(members)) => {
                let blamed = |member: &Value| Blamed {
                    part: Part::Member,
                    value: member.clone(),
                    written: writers.get(member).cloned().flatten(),
                };
                members.iter().map(blamed).collect()
            }
            (Writers::Positions(writers), _) => stretches(writers, &value),
            // A value that is not made of what its type says: nobody is known to have written it.
            _ => vec![Blamed { part: Part::Whole, value, written: None }],
        }
    }
}

impl Writers {
    /// All parts of a value, by one writer.
    fn all(kind: TypeRef, value: &AnyValue, writer: Writer) -> Writers {
        let by = |len: usize| Writers::Positions((0..len).map(|_| writer.clone()).collect());
        match (kind.parts(), kind.encode_value(value)) {
            (Parts::Keys, Value::Dict(dict)) => {
                Writers::Keys(dict.keys().map(|key| (key.clone(), writer.clone())).collect())
            }
            (Parts::Members, Value::List(members)) => {
                let members = members.iter().map(|member| (member.clone(), writer.clone()));
                Writers::Members(members.collect())
            }
            (Parts::Positions, Value::List(items)) => by(items.len()),
            (Parts::Positions, Value::String(text)) => by(text.len_chars()),
            _ => Writers::Whole(writer),
        }
    }

    /// Notes what was written. `None` if these parts cannot be written so.
    fn note(&mut self, writes: Writes, writer: &Writer) -> Option<()> {
        match (self, writes) {
            (_, Writes::Nothing) => {}
            (Writers::Keys(writers), Writes::Key(key)) => drop(writers.insert(key, writer.clone())),
            (Writers::Keys(writers), Writes::KeyGone(key)) => drop(writers.remove(&key)),
            (Writers::Members(writers), Writes::Member(member)) => {
                // The member as it was put in is the key, though an equal one was there before.
                writers.remove(&member);
                writers.insert(member, writer.clone());
            }
            (Writers::Members(writers), Writes::MemberGone(member)) => {
                drop(writers.remove(&member));
            }
            (Writers::Positions(writers), Writes::Splices(splices)) => {
                splices.into_iter().try_for_each(|splice| note_splice(writers, splice, writer))?;
            }
            (Writers::Positions(writers), Writes::Moved { from, to }) => {
                let moved = writers.remove(from).ok()?;
                writers.insert(to, moved).ok()?;
            }
            _ => return None,
        }
        Some(())
    }
}

fn note_splice(writers: &mut List<Writer>, splice: Splice, writer: &Writer) -> Option<()> {
    for _ in 0..splice.removed {
        writers.remove(splice.at).ok()?;
    }
    for _ in 0..splice.inserted {
        writers.insert(splice.at, writer.clone()).ok()?;
    }
    Some(())
}

/// Positions by the same writer, in one piece each.
fn stretches(writers: &List<Writer>, value: &Value) -> Vec<Blamed> {
    let version = |writer: &Writer| writer.as_ref().map(|written| written.version);
    let mut blamed: Vec<Blamed> = Vec::new();
    let mut start = 0;
    let mut iter = writers.iter().enumerate().peekable();
    while let Some((at, writer)) = iter.next() {
        if iter.peek().is_some_and(|(_, next)| version(next) == version(writer)) {
            continue;
        }
        let range = start..at + 1;
        start = range.end;
        let value = piece(value, &range);
        blamed.push(Blamed { part: Part::Positions(range), value, written: writer.clone() });
    }
    blamed
}

fn piece(value: &Value, range: &Range<usize>) -> Value {
    match value {
        Value::String(text) => {
            let end = range.end.min(text.len_chars());
            Text::from(text.slice(range.start.min(end)..end)).into()
        }
        Value::List(items) => {
            Value::List(items.iter_from(range.start).take(range.len()).cloned().collect())
        }
        _ => Value::Null,
    }
}
