//! What clients of the dialect call things: the versions of texts, their changes and actions. All
//! connections share it, as all of them are to be told the same.
//!
//! A text's version is a name there: `<topic>_init`, the `result_topic_version` of an edit, the `id` of a
//! `set`, or one of ours, `0_<version>_<epoch>`. A client edits on a name of its own before the server has
//! answered; what came in between is then missing from what it sees:
//!
//! ```text
//!   the text that the client named · missing = the topic's value at version `at`
//! ```

use std::collections::{BTreeMap, HashMap, VecDeque};

use ecow::{EcoString, eco_format};

use crate::engine::TopicCell;
use crate::topic::{Epoch, TopicName, Version};
use crate::types::AnyChange;
use crate::value::{Text, Value};

/// Of how many changes of a topic the clients' words are kept, and how many names of its texts.
const KEPT_MAX: usize = 1024;

/// A text as one client saw it.
#[derive(Debug, Clone)]
pub struct Seen {
    pub text: Text,
    pub at: Version,
    /// What leads from the text to the topic's value at that version.
    pub missing: Vec<AnyChange>,
}

/// What a client said of a change that became a version.
#[derive(Debug, Clone, Default)]
pub struct Told {
    pub action_id: Value,
    /// `None` if the change is to bear an id of the server's.
    pub id: Option<Value>,
    /// What the client called the text that it leads to; `None` if it is not that text.
    pub text: Option<EcoString>,
    /// An entry of the topic list, in the client's words.
    pub entry: Option<Value>,
    /// An edit of nothing: what it was, and where.
    pub nothing: Option<(&'static str, usize)>,
}

/// Where a name leads.
pub enum Named {
    Version(Version),
    Seen(Seen),
}

/// The names of one topic, in one life of it.
pub struct OfTopic {
    epoch: Epoch,
    /// The version that `<topic>_init` names.
    pub init: Version,
    /// The initial value, as it was given.
    pub boundary: Value,
    told: BTreeMap<Version, Told>,
    seen: HashMap<EcoString, Seen>,
    order: VecDeque<EcoString>,
}

impl OfTopic {
    fn new(epoch: Epoch) -> OfTopic {
        OfTopic {
            epoch,
            init: Version(0),
            boundary: Value::Null,
            told: BTreeMap::new(),
            seen: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    /// Notes what a client said of a change.
    pub fn tell(&mut self, version: Version, told: Told) {
        self.told.insert(version, told);
        if self.told.len() > KEPT_MAX {
            self.told.pop_first();
        }
    }

    /// Notes what a client calls a text that it sees.
    pub fn name(&mut self, name: EcoString, seen: Seen) {
        if self.seen.insert(name.clone(), seen).is_none() {
            self.order.push_back(name);
        }
        if self.order.len() > KEPT_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.seen.remove(&oldest);
        }
    }
}

/// The names of all topics that clients of the dialect have to do with.
#[derive(Default)]
pub struct Names(HashMap<TopicName, OfTopic>);

impl Names {
    /// The names of a topic, in its present life.
    pub fn of(&mut self, topic: &TopicCell) -> &mut OfTopic {
        let fresh = || OfTopic::new(topic.epoch().clone());
        let names = self.0.entry(topic.name().clone()).or_insert_with(fresh);
        if names.epoch != *topic.epoch() {
            *names = fresh();
        }
        names
    }

    fn get(&self, topic: &TopicCell) -> Option<&OfTopic> {
        self.0.get(topic.name()).filter(|names| names.epoch == *topic.epoch())
    }

    /// The topic is gone, or what was said of it does not hold.
    pub fn forget(&mut self, topic: &TopicName) {
        self.0.remove(topic);
    }

    /// What a client said of the change that made this version.
    pub fn told(&self, topic: &TopicCell, version: Version) -> Option<&Told> {
        self.get(topic)?.told.get(&version)
    }

    /// A topic's initial value, as a client gave it.
    pub fn boundary(&self, topic: &TopicName) -> Value {
        self.0.get(topic).map(|names| names.boundary.clone()).unwrap_or_default()
    }

    /// The name of a text at a version.
    pub fn text_at(&self, topic: &TopicCell, version: Version) -> EcoString {
        let names = self.get(topic);
        let told = names.and_then(|names| names.told.get(&version)?.text.clone());
        told.unwrap_or_else(|| match version == names.map_or(Version(0), |names| names.init) {
            true => eco_format!("{}_init", topic.name()),
            false => own_name(topic, version),
        })
    }

    /// What a name stands for; `None` if the topic never had it, or it is forgotten.
    pub fn find(&self, topic: &TopicCell, name: &str) -> Option<Named> {
        let names = self.get(topic);
        if let Some(seen) = names.and_then(|names| names.seen.get(name)) {
            return Some(Named::Seen(seen.clone()));
        }
        if name.strip_suffix("_init").is_some_and(|rest| *rest == **topic.name()) {
            return Some(Named::Version(names.map_or(Version(0), |names| names.init)));
        }
        let (version, epoch) = name.strip_prefix("0_")?.split_once('_')?;
        let version = version.parse().ok().filter(|_| *epoch == **topic.epoch())?;
        Some(Named::Version(Version(version)))
    }
}

/// The server's own name of a version.
fn own_name(topic: &TopicCell, version: Version) -> EcoString {
    eco_format!("0_{version}_{}", topic.epoch())
}
