//! Topics by name: made, loaded from the journal when somebody asks, evicted when nobody does, removed.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ecow::eco_format;
use parking_lot::Mutex;

use super::cell::{Identity, TopicCell};
use super::queue::Waiting;
use super::{Engine, LOADING_LOCKS, OpenError, PastError, past};
use crate::journal::{
    Checkpoint, CommitError, Extent, JournalError, Operation, Stamp, TopicRecord,
};
use crate::topic::{
    Durability, Epoch, Moment, Topic, TopicName, TopicOptions, Version, VersionLog,
};
use crate::types::{AnyValue, TypeRef};
use crate::value::Value;

impl Engine {
    /// The topic of this name; `None` if there is none, or if it cannot be read.
    pub fn get(&self, name: &TopicName) -> Option<Arc<TopicCell>> {
        self.find(name).unwrap_or_else(|error| {
            tracing::error!(topic = %name, %error, "the topic cannot be loaded");
            None
        })
    }

    /// The topic of this name, from the journal if it is not in memory.
    ///
    /// # Errors
    /// What the journal holds of it is damaged, cannot be read, or is of a type that is not registered.
    pub fn find(&self, name: &TopicName) -> Result<Option<Arc<TopicCell>>, OpenError> {
        self.find_as(name, None)
    }

    /// As [`find`](Self::find); if the topic is of type `known`, that need not be registered.
    fn find_as(
        &self,
        name: &TopicName,
        known: Option<TypeRef>,
    ) -> Result<Option<Arc<TopicCell>>, OpenError> {
        if let Some(cell) = self.in_memory(name) {
            return Ok(Some(cell));
        }
        // The server's own are never in the journal.
        if name.is_special() {
            return Ok(None);
        }
        let _loading = self.loading(name).lock();
        self.find_loading(name, known)
    }

    /// Held by whoever brings a topic of this name into memory.
    fn loading(&self, name: &TopicName) -> &Mutex<()> {
        &self.loading[self.topics.hasher().hash_one(name) as usize % LOADING_LOCKS]
    }

    /// As [`find_as`](Self::find_as), for one who holds the lock for [`loading`](Self::loading) it.
    fn find_loading(
        &self,
        name: &TopicName,
        known: Option<TypeRef>,
    ) -> Result<Option<Arc<TopicCell>>, OpenError> {
        if let Some(cell) = self.in_memory(name) {
            return Ok(Some(cell));
        }
        if name.is_special() {
            return Ok(None);
        }
        if self.removing.lock().contains_key(name) {
            return Ok(None);
        }
        let unreadable = |error: JournalError| {
            let error = OpenError::Unavailable(error.to_string());
            self.observe(|observer| observer.topic_failed(name, &error));
            error
        };
        let Some(record) = self.config.journal.topic(name).map_err(unreadable)? else {
            return Ok(None);
        };
        let loaded = self.load(record, known);
        let cell = Arc::new(loaded.inspect_err(|error| {
            self.observe(|observer| observer.topic_failed(name, error));
        })?);
        self.topics.insert(name.clone(), cell.clone());
        Ok(Some(cell))
    }

    fn in_memory(&self, name: &TopicName) -> Option<Arc<TopicCell>> {
        let cell = self.topics.get(name)?;
        cell.touch();
        Some(cell.clone())
    }

    /// A topic out of the journal: its newest checkpoint, the changes since, and the ids of what may be
    /// sent again.
    fn load(&self, record: TopicRecord, known: Option<TypeRef>) -> Result<TopicCell, OpenError> {
        let TopicRecord { name, type_name, options, epoch, .. } = record;
        let known = known.filter(|known| *known.name() == *type_name);
        let kind = known.or_else(|| self.config.registry.get(&type_name));
        let kind = kind.ok_or_else(|| OpenError::UnknownType(type_name.to_string()))?;
        let load = || -> Result<(Extent, VersionLog, AnyValue), PastError> {
            let journal = &*self.config.journal;
            let extent = journal.extent(&name)?;
            let (mut log, value) = past::log(journal, kind, &name, extent.head, extent.head)?;
            let resumable = journal.version_at(&name, self.resumable_from())?;
            for change in journal.read(&name, resumable, log.base())? {
                log.remember(change.id, change.version, change.commit);
            }
            Ok((extent, log, value))
        };
        let (extent, log, value) = load().map_err(|e| OpenError::Unavailable(e.to_string()))?;
        let durability = self.durability(&name, &options);
        let (epoch, recorded) = (self.epoch_in_use(epoch.clone(), durability), Some(epoch));
        let identity = Identity { name, kind, options, epoch, recorded, durability };
        let topic = Topic::of_log(kind, log, value);
        let cell = TopicCell::new(identity, self.config.journal.clone(), topic);
        cell.lock().oldest = extent.oldest;
        Ok(cell)
    }

    fn durability(&self, name: &TopicName, options: &TopicOptions) -> Durability {
        match options.presence || name.is_special() {
            true => Durability::Memory,
            false => options.durability.unwrap_or(self.config.durability),
        }
    }

    /// The epoch that a topic of the journal has in this life. One that is in memory alone now takes
    /// versions that a later life takes again: it has an epoch that no other life has.
    fn epoch_in_use(&self, recorded: Epoch, durability: Durability) -> Epoch {
        match durability {
            Durability::Commit | Durability::Relaxed => recorded,
            Durability::Memory => {
                let own = Epoch::new(eco_format!("{recorded}.{}", self.life()));
                own.unwrap_or_else(|_| (self.config.epochs)())
            }
        }
    }

    /// Counts the topics, gives those that may have lost the end of their log another epoch, and says how
    /// durable this life is: all at once, so that none of it is forgotten should it not come to that.
    pub(super) fn begin_topics(
        &self,
        unclean: Option<Durability>,
        reserve: Operation,
    ) -> Result<(), JournalError> {
        let records = self.config.journal.topics()?;
        self.topics_len.store(records.len(), Ordering::Relaxed);
        // By the settings of the life that did not end well, not those of today.
        let lost_its_end = |record: &&TopicRecord| {
            unclean.is_some_and(|unclean| {
                record.options.durability.unwrap_or(unclean) == Durability::Relaxed
            })
        };
        let renew = |record: &TopicRecord| Operation::Renew {
            topic: record.name.clone(),
            epoch: (self.config.epochs)(),
            life: self.life(),
        };
        let mut group: Vec<Operation> = records.iter().filter(lost_its_end).map(renew).collect();
        group.extend([reserve, Operation::Open(self.config.durability)]);
        self.config.journal.commit(&group).map_err(|error| match error {
            CommitError::Failed(error) | CommitError::Unknown(error) => error,
            CommitError::Fenced { topic, .. } => JournalError::UnknownTopic(topic),
        })
    }

    /// What the journal says of its topics, by name, with the epochs that they have in this life; those
    /// that are in memory alone are not among them.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn records(&self) -> Result<Vec<TopicRecord>, JournalError> {
        let mut records = self.config.journal.topics()?;
        for record in &mut records {
            let durability = self.durability(&record.name, &record.options);
            record.epoch = self.epoch_in_use(record.epoch.clone(), durability);
        }
        Ok(records)
    }

    /// The topics in memory, in no order.
    pub fn topics_in_memory(&self) -> Vec<Arc<TopicCell>> {
        self.topics.iter().map(|cell| cell.clone()).collect()
    }

    /// How many topics are in memory.
    pub fn topics_in_memory_len(&self) -> usize {
        self.topics.len()
    }

    /// How many topics there are, in memory or not.
    pub fn topics_len(&self) -> usize {
        self.topics_len.load(Ordering::Relaxed)
    }

    /// The topic of this name, made with `topic_type` and `options` if there is none.
    ///
    /// # Errors
    /// There is none and no type to make it with; it is of another type; the options do not fit; it
    /// cannot be read, or not be made durable.
    pub fn open(
        &self,
        name: &TopicName,
        topic_type: Option<&str>,
        options: TopicOptions,
    ) -> Result<Arc<TopicCell>, OpenError> {
        if let Some(cell) = self.find(name)? {
            return check_type(cell, topic_type);
        }
        let Some(asked) = topic_type else { return Err(OpenError::UnknownTopic(name.clone())) };
        let kind = self.config.registry.get(asked);
        let kind = kind.ok_or_else(|| OpenError::UnknownType(asked.chars().take(64).collect()))?;
        self.make(name, kind, options)
    }

    /// As [`open`](Self::open), with a type that need not be registered.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn make(
        &self,
        name: &TopicName,
        kind: TypeRef,
        options: TopicOptions,
    ) -> Result<Arc<TopicCell>, OpenError> {
        self.make_from(name, kind, options, None, false)
    }

    /// As [`make`](Self::make), where there must not be a topic of this name yet.
    ///
    /// # Errors
    /// As [`open`](Self::open); there is a topic of this name already.
    pub fn make_new(
        &self,
        name: &TopicName,
        kind: TypeRef,
        options: TopicOptions,
    ) -> Result<Arc<TopicCell>, OpenError> {
        self.make_from(name, kind, options, None, true)
    }

    /// Makes a topic that goes on from another one's past: its value at `version`, under that version.
    ///
    /// # Errors
    /// As [`open`](Self::open); there is a topic `name` already; the version is not there.
    pub fn fork(
        &self,
        from: &TopicCell,
        version: Version,
        name: &TopicName,
    ) -> Result<Arc<TopicCell>, OpenError> {
        if from.options().presence {
            return Err(OpenError::Presence(from.name().clone()));
        }
        let start = from.value_at(Moment::Version(version));
        let start = start.map_err(|error| OpenError::Unavailable(error.to_string()))?;
        let log = VersionLog::new(from.kind(), version, start.value.clone());
        let topic = Topic::of_log(from.kind(), log, start.value);
        self.make_from(name, from.kind(), from.options().clone(), Some(topic), true)
    }

    fn make_from(
        &self,
        name: &TopicName,
        kind: TypeRef,
        options: TopicOptions,
        start: Option<Topic>,
        new: bool,
    ) -> Result<Arc<TopicCell>, OpenError> {
        options.check(kind)?;
        if self.durability(name, &options) != Durability::Memory {
            // A program's options, which nobody has read before.
            TopicOptions::decode(&Value::Dict(options.encode()))?;
        }
        let _making = self.making.lock();
        // Until it is in memory: else somebody who looks for it now could read it from the journal, once it
        // is durable, and there were two.
        let loading = self.loading(name).lock();
        if let Some(cell) = self.find_loading(name, Some(kind))? {
            if new {
                return Err(OpenError::Exists(name.clone()));
            }
            return check_type(cell, Some(kind.name()));
        }
        let durability = self.durability(name, &options);
        if let Some(reason) = self.queue.down_reason()
            && durability != Durability::Memory
        {
            return Err(OpenError::Unavailable(reason));
        }
        let epoch = (self.config.epochs)();
        let recorded = (durability != Durability::Memory).then(|| epoch.clone());
        let identity = Identity { name: name.clone(), kind, options, epoch, recorded, durability };
        let is_fork = start.is_some();
        let topic = start.unwrap_or_else(|| Topic::new(kind));
        let cell = Arc::new(TopicCell::new(identity, self.config.journal.clone(), topic));
        // Locked until the commit of a fork is known, which is drawn when the topic can be found already:
        // so whoever looks at that commit finds it, and who looks at an earlier one does not.
        let mut state = cell.lock();
        self.topics.insert(name.clone(), cell.clone());
        let start = is_fork.then(|| {
            let stamp = Stamp { commit: self.next_commit(), time: self.config.clock.wall() };
            state.topic.begin_at(stamp.commit, stamp.time);
            let (version, value) = (state.topic.head(), kind.encode_value(state.topic.value()));
            Checkpoint { version, value, stamp: Some(stamp) }
        });
        if cell.is_journalled() {
            let record = self.record(&cell);
            self.keep(Operation::Make { record, start });
        }
        drop(state);
        drop(loading);
        if !name.is_special() {
            self.topics_len.fetch_add(1, Ordering::Relaxed);
        }
        self.observe(|observer| observer.topic_made(&cell));
        Ok(cell)
    }

    fn record(&self, cell: &TopicCell) -> TopicRecord {
        TopicRecord {
            name: cell.name().clone(),
            type_name: cell.kind().name().into(),
            options: cell.options().clone(),
            epoch: cell.epoch().clone(),
            life: self.life(),
        }
    }

    /// Removes a topic; its subscribers are told once that is durable. `false` if there is none.
    pub fn remove(&self, name: &TopicName) -> bool {
        let _making = self.making.lock();
        let Ok(Some(cell)) = self.find(name) else { return self.remove_unreadable(name) };
        self.remove_cell(cell);
        true
    }

    /// As [`remove`](Self::remove), if the topic of this name is still in this life.
    pub fn remove_life(&self, life: &TopicCell) -> bool {
        let _making = self.making.lock();
        match self.find(life.name()) {
            Ok(Some(cell)) if cell.epoch() == life.epoch() => self.remove_cell(cell),
            _ => return false,
        }
        true
    }

    /// Takes a topic out of the engine. To be called by who holds `making`.
    fn remove_cell(&self, cell: Arc<TopicCell>) {
        let name = cell.name();
        // Before it leaves the map: nobody is to load it again.
        *self.removing.lock().entry(name.clone()).or_default() += 1;
        self.topics.remove(name);
        if !name.is_special() {
            self.topics_len.fetch_sub(1, Ordering::Relaxed);
        }
        cell.begin_removal();
        match cell.recorded().is_some() {
            true => self.queue.push(Waiting::Removal(cell)),
            false => self.end_removal(&cell),
        }
    }

    /// Removes a topic whose log is damaged. One whose very record is, the journal does not find.
    fn remove_unreadable(&self, name: &TopicName) -> bool {
        let journal = &self.config.journal;
        if name.is_special() || self.removing.lock().contains_key(name) {
            return false;
        }
        let Ok(Some(record)) = journal.topic(name) else { return false };
        if journal.extent(name).is_err() {
            return false;
        }
        self.topics_len.fetch_sub(1, Ordering::Relaxed);
        self.keep(Operation::Remove { topic: name.clone(), epoch: Some(record.epoch) });
        true
    }

    /// Evicts topics that nobody asked for since the last call. They come back when somebody does. Gives how
    /// many went.
    pub fn evict_idle(&self) -> usize {
        let unused = |cell: &TopicCell| !cell.take_used() && cell.is_idle();
        let idle: Vec<TopicName> = self
            .topics
            .iter()
            .filter(|cell| Arc::strong_count(cell) == 1 && unused(cell))
            .map(|cell| cell.name().clone())
            .collect();
        // Whoever wants a topic clones the map's pointer under the map's lock, which this holds: who has
        // the only one has the topic to himself.
        let gone = |name: &TopicName| {
            let is_idle = |_: &TopicName, cell: &Arc<TopicCell>| {
                Arc::strong_count(cell) == 1 && cell.is_idle()
            };
            let gone = self.topics.remove_if(name, is_idle).is_some();
            if gone {
                self.observe(|observer| observer.topic_evicted(name));
            }
            gone
        };
        idle.iter().filter(|name| gone(name)).count()
    }
}

fn check_type(cell: Arc<TopicCell>, asked: Option<&str>) -> Result<Arc<TopicCell>, OpenError> {
    match asked {
        Some(asked) if asked != cell.kind().name() => Err(OpenError::WrongType {
            is: cell.kind().name(),
            asked: asked.chars().take(64).collect(),
        }),
        _ => Ok(cell),
    }
}
