//! What clients were told, to be held against what the journal says.

use std::collections::{BTreeMap, HashMap, HashSet};

use topicsync::journal::{Journal, Logged};
use topicsync::protocol::Part;
use topicsync::protocol::ServerMessage;
use topicsync::topic::{CommitNumber, Epoch, TopicName, Version};
use topicsync::value::Fields;

/// What a check found.
pub type Checked<T = ()> = Result<T, String>;

/// A published change, as whoever saw it first was told.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    id: String,
    commit: CommitNumber,
    fields: Fields,
}

/// All that any client ever saw.
#[derive(Default)]
pub struct Witness {
    epochs: HashMap<TopicName, Epoch>,
    seen: HashMap<TopicName, BTreeMap<Version, Seen>>,
    /// Ids under which a client was told that its change, or action, was accepted.
    confirmed: HashSet<String>,
    /// Ids of changes that were sent back.
    rejected: HashSet<String>,
    /// Up to where each log was checked.
    checked: BTreeMap<TopicName, Version>,
    /// The ids in the logs so far.
    logged: HashSet<String>,
    /// The ids of the logs' actions so far.
    actions: HashSet<String>,
}

impl Witness {
    /// Takes note of a message; it must not contradict an earlier one.
    pub fn see(&mut self, message: &ServerMessage) -> Checked {
        match message {
            ServerMessage::Subscribed(subscribed) => {
                let epoch = subscribed.epoch.clone();
                let first =
                    self.epochs.entry(subscribed.topic_name.clone()).or_insert(epoch.clone());
                if *first == epoch {
                    Ok(())
                } else {
                    Err(format!("{:?} has another life", subscribed.topic_name))
                }
            }
            ServerMessage::Update(update) if !update.snapshot => {
                self.see_part(&update.part, update.commit)
            }
            ServerMessage::Action(action) => {
                action.changes.iter().try_for_each(|part| self.see_part(part, action.commit))
            }
            ServerMessage::RejectUpdate(reject) => {
                let id = reject.change.id.as_ref().map(ToString::to_string);
                self.rejected.extend(id.filter(|_| reject.code.as_str() != "busy"));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn see_part(&mut self, part: &Part, commit: CommitNumber) -> Checked {
        let id =
            part.change.id.as_ref().map(ToString::to_string).ok_or("a change without an id")?;
        let seen = Seen { id, commit, fields: part.change.fields.clone() };
        let (topic, version) = (&part.topic_name, part.version);
        let first = self.seen.entry(topic.clone()).or_default();
        let first = first.entry(version).or_insert_with(|| seen.clone());
        if *first == seen {
            Ok(())
        } else {
            Err(format!("version {version} of {topic:?} was {first:?}, and is {seen:?}"))
        }
    }

    /// A client was told that its change, or action, was accepted.
    pub fn confirm(&mut self, id: String) {
        self.confirmed.insert(id);
    }

    /// How many published changes were seen.
    pub fn seen(&self) -> usize {
        self.seen.values().map(BTreeMap::len).sum()
    }

    /// Holds the logs against what was seen: all of it is there, in the same order with the same
    /// versions, exactly once.
    pub fn check(&mut self, journal: &dyn Journal) -> Checked {
        for name in self.seen.keys().cloned().collect::<Vec<_>>() {
            self.check_topic(journal, &name)?;
        }
        let is_logged = |id: &&String| self.logged.contains(*id) || self.actions.contains(*id);
        if let Some(lost) = self.confirmed.iter().find(|id| !is_logged(id)) {
            return Err(format!("{lost} was confirmed, and is not in any log"));
        }
        match self.rejected.iter().find(|id| self.logged.contains(*id)) {
            Some(id) => Err(format!("{id} was rejected, and is in a log")),
            None => Ok(()),
        }
    }

    fn check_topic(&mut self, journal: &dyn Journal, name: &TopicName) -> Checked {
        let head = journal.extent(name).map_err(|error| error.to_string())?.head;
        let seen = &self.seen[name];
        if let Some((last, _)) = seen.last_key_value().filter(|(last, _)| **last > head) {
            return Err(format!("version {last} of {name:?} was seen, and the log ends at {head}"));
        }
        let checked = self.checked.entry(name.clone()).or_default();
        let entries = journal.read(name, *checked, head).map_err(|error| error.to_string())?;
        for entry in entries {
            *checked = checked.next();
            if entry.version != *checked {
                return Err(format!("{name:?} has {} where {checked} should be", entry.version));
            }
            if !self.logged.insert(entry.id.to_string()) {
                return Err(format!("{} was accepted twice", entry.id));
            }
            self.actions.extend(entry.action.iter().map(|action| action.id.to_string()));
            if let Some(seen) = seen.get(&entry.version) {
                same(name, seen, &entry)?;
            }
        }
        if *checked == head {
            Ok(())
        } else {
            Err(format!("the log of {name:?} ends at {checked}, before its head {head}"))
        }
    }
}

fn same(name: &TopicName, seen: &Seen, entry: &Logged) -> Checked {
    let fields = entry.change.clone().unwrap_or_else(|| Fields::of_type("none"));
    let logged = Seen { id: entry.id.to_string(), commit: entry.commit, fields };
    if *seen == logged {
        Ok(())
    } else {
        Err(format!("{name:?} {}: seen {seen:?}, logged {logged:?}", entry.version))
    }
}
