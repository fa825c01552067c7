//! What clients of 0.13 call things: their changes, their actions, and the versions of texts. All
//! connections share this table, as all of them are to be told the same.
//!
//! A version of a text has a name in 0.13, not a number: `<topic>_init`, the `result_topic_version` of an
//! edit, the `id` of a `set`, or one that the server makes, `0_<version>_<epoch>`.
//!
//! A plan notes what its client calls a change *before* the change is submitted, under the id that the
//! change is submitted with. So whoever is told of the change finds the words, however early. At that
//! time it is only *expected* which version the change makes. If another change comes first, the words no
//! longer describe what happened: then the change goes out under another id ([`ClientWords::id_at`]),
//! and its version under a name of the server's ([`ClientWords::text_at`]).
//!
//! The table's lock is held within single calls alone. Nothing here knows what a change means, and
//! nothing here calls the engine or takes a topic's lock.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Weak};

use ecow::{EcoString, eco_format};
use parking_lot::Mutex;

use crate::engine::TopicCell;
use crate::topic::{ChangeId, ClientId, Epoch, TopicName, Version};
use crate::types::AnyChange;
use crate::value::{Text, Value};

/// Of how many changes of a topic the words are kept.
const WORDS_MAX: usize = 1024;
/// How many topics' lives are noted before the first sweep.
const SWEEP_LIVES_MIN: usize = 1024;

/// What a client said of one of its changes.
#[derive(Debug, Clone, Default)]
pub(super) struct ClientWords {
    /// Who made the change. The server submits it where it is part of an action on the topic list.
    pub client: ClientId,
    /// The client's name of the action that the change is part of.
    pub action_id: Value,
    /// The client's name of the change; `None` if the server is to name it.
    pub id: Option<Value>,
    /// The client's name of the text that the change leads to; `None` if the server is to name it.
    pub text_name: Option<EcoString>,
    /// What the client wanted to edit, for an edit that came to nothing.
    pub empty_edit: Option<EmptyEdit>,
    /// Whether the planned change is the one that the client made, on what the client saw.
    pub as_made: bool,
    /// The version that the plan expects the change to make.
    pub expected: Version,
}

/// An edit of a text of which nothing is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EmptyEdit {
    /// The edit was to insert; else it was to delete.
    pub insert: bool,
    /// Where, in UTF-16 units.
    pub position: usize,
}

impl ClientWords {
    /// Whether the change did, as version `version`, just what its author shows ahead of the answer.
    fn hold_at(&self, version: Version) -> bool {
        self.as_made && version == self.expected
    }

    /// The id to tell the change under, if it made `version`: another one than the author's where the
    /// author has to replace what it shows.
    pub(super) fn id_at(&self, version: Version) -> Option<Value> {
        if self.hold_at(version) {
            return self.id.clone();
        }
        let id = self.id.as_ref()?.as_text().map(EcoString::from)?;
        Some(eco_format!("{id}_adjust").into())
    }

    /// The author's name of the text at `version`, if the change made that and the text is the one that
    /// the author sees.
    pub(super) fn text_at(&self, version: Version) -> Option<&EcoString> {
        self.text_name.as_ref().filter(|_| self.hold_at(version))
    }
}

/// A text as one client saw it.
#[derive(Debug, Clone)]
pub(super) struct SeenText {
    pub text: Text,
    /// What leads from `text` to the topic's value at version `at`.
    pub missing: Vec<AnyChange>,
    pub at: Version,
}

/// A text that a client gave a name.
#[derive(Debug, Clone)]
pub(super) struct NamedText {
    pub seen: SeenText,
    /// The change that is to make version `seen.at`. Until that version is this change's, the name means
    /// nothing: the change is still to be decided, or lost its place to another one.
    pub change: ChangeId,
}

/// What clients say of one life of a topic.
struct Life {
    name: TopicName,
    /// Alive as long as a connection can have something to tell of this life.
    topic: Weak<TopicCell>,
    /// The version that `<topic>_init` names.
    init: Version,
    /// The initial value, as a client gave it.
    boundary: Value,
    words: HashMap<ChangeId, ClientWords>,
    texts: HashMap<EcoString, NamedText>,
    /// The changes in `words` with the texts that they name, oldest first.
    order: VecDeque<(ChangeId, Option<EcoString>)>,
}

impl Life {
    fn new(topic: &Arc<TopicCell>) -> Life {
        Life {
            name: topic.name().clone(),
            topic: Arc::downgrade(topic),
            init: Version(0),
            boundary: Value::Null,
            words: HashMap::new(),
            texts: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    fn forget(&mut self, change: &ChangeId, text_name: Option<&EcoString>) {
        self.words.remove(change);
        if let Some(name) = text_name
            && self.texts.get(name).is_some_and(|text| text.change == *change)
        {
            self.texts.remove(name);
        }
    }
}

/// The names of all topics that clients of 0.13 have to do with.
#[derive(Default)]
pub(super) struct Names(Mutex<Lives>);

#[derive(Default)]
struct Lives {
    by_epoch: HashMap<Epoch, Life>,
    /// At how many lives the next sweep is due.
    sweep_at: usize,
}

impl Lives {
    /// The names of a topic in its present life.
    fn of(&mut self, topic: &Arc<TopicCell>) -> &mut Life {
        let life = self.by_epoch.entry(topic.epoch().clone()).or_insert_with(|| Life::new(topic));
        if life.topic.strong_count() == 0 {
            // The topic left memory and came back.
            life.topic = Arc::downgrade(topic);
        }
        life
    }

    fn get(&self, topic: &TopicCell) -> Option<&Life> {
        self.by_epoch.get(topic.epoch())
    }
}

impl Names {
    /// Notes what a client made a topic with.
    pub(super) fn begin(&self, topic: &Arc<TopicCell>, init: Version, boundary: Value) {
        let mut lives = self.0.lock();
        let life = lives.of(topic);
        (life.init, life.boundary) = (init, boundary);
    }

    /// Forgets a life that nobody was told of.
    pub(super) fn forget(&self, topic: &TopicCell) {
        self.0.lock().by_epoch.remove(topic.epoch());
    }

    /// Whether [`sweep`](Self::sweep) is due: enough lives have come since the last one.
    pub(super) fn sweep_is_due(&self) -> bool {
        let lives = self.0.lock();
        lives.by_epoch.len() >= lives.sweep_at.max(SWEEP_LIVES_MIN)
    }

    /// Forgets the lives that are over and that no connection can be told of any more. `is_listed` says
    /// whether a life is on the topic list.
    pub(super) fn sweep(&self, is_listed: impl Fn(&TopicName, &Epoch) -> bool) {
        let mut lives = self.0.lock();
        lives.by_epoch.retain(|epoch, life| {
            if life.topic.strong_count() > 0 {
                return true;
            }
            // The topic left memory, as nobody subscribes to it: its initial value is still shown.
            (life.words, life.texts, life.order) = Default::default();
            is_listed(&life.name, epoch)
        });
        lives.sweep_at = lives.by_epoch.len() * 2;
    }

    /// Notes what a client says of a change that is about to be submitted, and the text that it leads to.
    /// A text's name keeps its first meaning: if another change has taken it meanwhile, the version gets
    /// a name of the server's.
    pub(super) fn note(
        &self,
        topic: &Arc<TopicCell>,
        change: &ChangeId,
        mut words: ClientWords,
        text: Option<(EcoString, SeenText)>,
    ) {
        let mut lives = self.0.lock();
        let life = lives.of(topic);
        let free = text.filter(|(name, _)| !life.texts.contains_key(name));
        let text_name = free.as_ref().map(|(name, _)| name.clone());
        if text_name.is_none() && words.text_name.take().is_some() {
            words.as_made = false;
        }
        life.words.insert(change.clone(), words);
        life.order.push_back((change.clone(), text_name));
        if let Some((name, seen)) = free {
            life.texts.insert(name, NamedText { seen, change: change.clone() });
        }
        if life.order.len() > WORDS_MAX
            && let Some((oldest, text_name)) = life.order.pop_front()
        {
            life.forget(&oldest, text_name.as_ref());
        }
    }

    /// Takes back what was noted of changes that were not accepted.
    pub(super) fn withdraw(&self, topic: &TopicCell, changes: &HashSet<&ChangeId>) {
        let mut lives = self.0.lock();
        let Some(life) = lives.by_epoch.get_mut(topic.epoch()) else { return };
        let (gone, kept): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut life.order).into_iter().partition(|(it, _)| changes.contains(it));
        life.order = kept;
        gone.iter().for_each(|(change, text_name)| life.forget(change, text_name.as_ref()));
    }

    /// Notes that a change made another version than was expected, and what its author sees in place of
    /// the value there.
    pub(super) fn correct(
        &self,
        topic: &TopicCell,
        change: &ChangeId,
        name: &EcoString,
        seen: SeenText,
    ) {
        let mut lives = self.0.lock();
        let life = lives.by_epoch.get_mut(topic.epoch());
        let text = life.and_then(|life| life.texts.get_mut(name));
        if let Some(text) = text.filter(|text| text.change == *change) {
            text.seen = seen;
        }
    }

    /// What a client said of a change; `None` if no client of 0.13 made it, or it is forgotten.
    pub(super) fn words(&self, topic: &TopicCell, change: &ChangeId) -> Option<ClientWords> {
        self.0.lock().get(topic)?.words.get(change).cloned()
    }

    /// The text that a client gave this name.
    pub(super) fn text(&self, topic: &TopicCell, name: &str) -> Option<NamedText> {
        self.0.lock().get(topic)?.texts.get(name).cloned()
    }

    /// The version that `<topic>_init` names.
    pub(super) fn init(&self, topic: &TopicCell) -> Version {
        self.0.lock().get(topic).map_or(Version(0), |life| life.init)
    }

    /// The initial value of a topic's life, as a client gave it; null if none did.
    pub(super) fn boundary(&self, epoch: &Epoch) -> Value {
        let lives = self.0.lock();
        lives.by_epoch.get(epoch).map(|life| life.boundary.clone()).unwrap_or_default()
    }

    /// Puts another value in place of a topic's initial value, and gives the one before.
    pub(super) fn replace_boundary(&self, topic: &Arc<TopicCell>, boundary: Value) -> Value {
        std::mem::replace(&mut self.0.lock().of(topic).boundary, boundary)
    }

    /// The version that a name stands for which the server gave; `None` if it did not give it.
    pub(super) fn version_named(&self, topic: &TopicCell, name: &str) -> Option<Version> {
        if name.strip_suffix("_init").is_some_and(|rest| *rest == **topic.name()) {
            return Some(self.init(topic));
        }
        let (version, epoch) = name.strip_prefix("0_")?.split_once('_')?;
        version.parse().ok().filter(|_| *epoch == **topic.epoch()).map(Version)
    }

    /// The server's name of a version.
    pub(super) fn name_of(&self, topic: &TopicCell, version: Version) -> EcoString {
        if version == self.init(topic) {
            eco_format!("{}_init", topic.name())
        } else {
            eco_format!("0_{version}_{}", topic.epoch())
        }
    }
}
