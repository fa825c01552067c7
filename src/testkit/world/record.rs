//! What the server did, noted as it happened: the witness of laws 7 to 9 and of law 12.
//!
//! The record reads the topics' logs after everything that the server does, and keeps them whole, whatever the
//! topics keep. A topic that is removed and made again, or that begins a new epoch, has one [`TopicRecord`] for
//! each of these *lives*.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Weak};

use ecow::EcoString;

use crate::engine::history::TopicAt;
use crate::engine::{Engine, TopicCell};
use crate::protocol::message::{ClientMessage, TopicChange};
use crate::topic::{
    ChangeId, ClientId, CommitNumber, Durability, Entry, Epoch, Moment, TopicName, TopicOptions,
    Version,
};
use crate::types::{AnyValue, TypeRef};

use crate::testkit::broken::{Breaks, Checked, Found, same};
use crate::testkit::law::Law;

/// The id under which something was sent: an action's, or that of a lone change.
pub type SentId = EcoString;

/// What all topics held at some commit.
type Cut = (CommitNumber, Vec<(TopicName, Epoch, Version, AnyValue)>);

/// What clients sent, and every topic's log and values, whole.
#[derive(Default)]
pub struct Record {
    lives: Vec<TopicRecord>,
    /// The life of each topic that is there now.
    present: HashMap<TopicName, usize>,
    /// Lives that are over, and of which something accepted may still settle.
    ending: Vec<usize>,
    sent: HashMap<SentId, Vec<(TopicName, ChangeId)>>,
    /// Under what id each change was sent.
    sent_under: HashMap<ChangeId, SentId>,
    /// What the server sent back for good.
    rejected: HashSet<SentId>,
    /// What a cut at the newest commit gave, while it was the newest.
    cuts: Vec<Cut>,
    /// How many changes met which outcome.
    pub counts: Counts,
}

/// How many changes met which outcome at the server.
#[derive(Debug, Default, Clone, Copy)]
pub struct Counts {
    /// With something left to do.
    pub accepted: u64,
    /// Accepted, with nothing left to do.
    pub none: u64,
    /// Sent back.
    pub rejected: u64,
    /// Made by undos and redos.
    pub reversed: u64,
    /// Submissions that were sent again after they had been accepted.
    pub resent: u64,
}

impl Counts {
    /// Counts what another record has.
    pub fn add(&mut self, other: Counts) {
        self.accepted += other.accepted;
        self.none += other.none;
        self.rejected += other.rejected;
        self.reversed += other.reversed;
        self.resent += other.resent;
    }
}

/// One life of a topic, from its beginning.
pub struct TopicRecord {
    /// The topic's name.
    pub name: TopicName,
    /// The topic's type.
    pub kind: TypeRef,
    /// The topic's options.
    pub options: TopicOptions,
    /// Names the life.
    pub epoch: Epoch,
    /// When its changes were published.
    pub durability: Durability,
    /// The newest commit when the topic was first seen: what it holds in this life came after.
    pub made_after: CommitNumber,
    /// The version that it began with: that of the fork, or the oldest that was kept when it was first seen.
    pub start: Version,
    /// The log after `start`, whatever the topic keeps of it.
    pub entries: Vec<Entry>,
    /// The value at each version from `start` on, as it was once it was the newest; `None` within an action.
    pub values: Vec<Option<AnyValue>>,
    /// The topic was removed, or began another life.
    pub is_over: bool,
    cell: Weak<TopicCell>,
}

impl TopicRecord {
    fn new(cell: &Arc<TopicCell>, made_after: CommitNumber) -> Found<TopicRecord> {
        let start = cell.oldest();
        let value = cell.value_at(Moment::Version(start)).map_err(|error| error.to_string())?;
        Ok(TopicRecord {
            name: cell.name().clone(),
            kind: cell.kind(),
            options: cell.options().clone(),
            epoch: cell.epoch().clone(),
            durability: cell.durability(),
            made_after,
            start,
            entries: Vec::new(),
            values: vec![Some(value.value)],
            is_over: false,
            cell: Arc::downgrade(cell),
        })
    }

    /// The topic in the engine; `None` if it is not in memory.
    pub fn cell(&self) -> Option<Arc<TopicCell>> {
        self.cell.upgrade()
    }

    /// The newest version that is known.
    pub fn head(&self) -> Version {
        Version(self.start.0 + self.entries.len() as u64)
    }

    /// The newest value.
    pub fn newest(&self) -> &AnyValue {
        self.values.last().and_then(Option::as_ref).expect("after an action there is a value")
    }

    /// The value at a version; `None` within an action, or if the version is not known.
    pub fn value(&self, version: Version) -> Option<&AnyValue> {
        self.values.get(version.0.checked_sub(self.start.0)? as usize)?.as_ref()
    }

    /// The entry that made a version.
    pub fn entry(&self, version: Version) -> Option<&Entry> {
        self.entries.get(version.0.checked_sub(self.start.0 + 1)? as usize)
    }

    /// The version after all that is not after a commit.
    pub fn version_at(&self, commit: CommitNumber) -> Version {
        let inside = self.entries.partition_point(|entry| entry.commit <= commit);
        Version(self.start.0 + inside as u64)
    }

    /// Takes up what has settled since the last time. Gives the new entries' place.
    fn update(&mut self) -> Found<std::ops::Range<usize>> {
        let known = self.entries.len();
        let nothing = known..known;
        let Some(cell) = self.cell() else { return Ok(nothing) };
        if cell.settled_version() == self.head() {
            return Ok(nothing);
        }
        let settled = cell.settled();
        if settled.version < self.head() {
            return Err(format!(
                "{cell:?} is at {}, and was at {} in the same epoch",
                settled.version,
                self.head()
            ));
        }
        let read = cell.history(self.head().next(), None, usize::MAX);
        let (entries, _) = read.map_err(|error| error.to_string())?;
        // After an action there is a value, and within it there is none.
        let mut value = self.newest().clone();
        for action in entries.chunk_by(|a, b| a.commit == b.commit) {
            for change in action.iter().filter_map(|entry| entry.change.as_ref()) {
                let applied = self.kind.apply(&mut value, change);
                applied.map_err(|error| format!("{change:?}: {error}"))?;
            }
            self.entries.extend_from_slice(action);
            self.values.resize(self.entries.len(), None);
            self.values.push(Some(value.clone()));
        }
        same("the log's value and the head's", &value, &settled.value)?;
        same("the head and the length of the log", &settled.version, &self.head())?;
        Ok(known..self.entries.len())
    }

    /// Goes on with the same life of the topic that came into memory anew: nothing of it may be gone.
    fn go_on(&mut self, cell: &Arc<TopicCell>) -> Found {
        self.cell = Arc::downgrade(cell);
        // What is durable was settled before, or settles now.
        let settled = cell.settled_version();
        if settled < self.head() {
            let (head, epoch) = (self.head(), &self.epoch);
            return Err(format!(
                "{cell:?} was at {head}, and is at {settled} in the same epoch {epoch}"
            ));
        }
        let oldest = cell.oldest().max(self.start);
        let kept = cell.history(oldest.next(), Some(self.head()), usize::MAX);
        let (kept, _) = kept.map_err(|error| error.to_string())?;
        let known = &self.entries[(oldest.0.min(self.head().0) - self.start.0) as usize..];
        same(format_args!("the log of {cell:?}, as it is and as it was"), &kept[..], known)
    }
}

impl Record {
    /// Looks which topics of these names are there, and in which life.
    pub fn look(&mut self, engine: &Engine, names: &[TopicName]) -> Found {
        for name in names {
            let cell = engine.get(name);
            let present = self.present.get(name).copied();
            let known = present.map(|index| (index, &mut self.lives[index]));
            match (cell, known) {
                (Some(cell), Some((_, life))) if life.epoch == *cell.epoch() => {
                    if life.cell().is_none_or(|known| !Arc::ptr_eq(&known, &cell)) {
                        life.go_on(&cell)?;
                    }
                }
                (cell, known) => {
                    if let Some((index, life)) = known {
                        life.is_over = true;
                        self.ending.push(index);
                        self.present.remove(name);
                    }
                    if let Some(cell) = cell {
                        self.present.insert(name.clone(), self.lives.len());
                        self.lives.push(TopicRecord::new(&cell, engine.commit())?);
                    }
                }
            }
        }
        self.update()
    }

    /// Takes up what has settled. Law 9, on the way: the log makes the value.
    pub fn update(&mut self) -> Found {
        for index in self.present.values() {
            let life = &mut self.lives[*index];
            let new = life.update()?;
            count(&mut self.counts, &life.entries[new]);
        }
        let mut ending = std::mem::take(&mut self.ending);
        for index in &ending {
            self.lives[*index].update()?;
        }
        ending.retain(|index| self.lives[*index].cell().is_some());
        self.ending = ending;
        Ok(())
    }

    /// The topics that are there.
    pub fn topics(&self) -> impl Iterator<Item = &TopicRecord> {
        self.lives.iter().filter(|life| !life.is_over)
    }

    /// All lives of all topics.
    pub fn lives(&self) -> &[TopicRecord] {
        &self.lives
    }

    /// The topic of this name, if it is there.
    pub fn topic(&self, name: &TopicName) -> Option<&TopicRecord> {
        self.present.get(name).map(|index| &self.lives[*index])
    }

    /// The life of a topic that this epoch names.
    pub fn life(&self, name: &TopicName, epoch: &Epoch) -> Option<&TopicRecord> {
        self.lives.iter().rev().find(|life| life.epoch == *epoch && life.name == *name)
    }

    /// Notes a submission that comes to the server; `None` if the message is none, or bears no ids.
    pub fn sent(&mut self, message: &ClientMessage) -> Option<SentId> {
        let under: SentId = match message {
            ClientMessage::Action { action_id, .. } => action_id.clone().into(),
            ClientMessage::Update(change) => change.change.id.clone()?.into(),
            _ => return None,
        };
        if !self.sent.contains_key(&under) {
            let id = |it: &TopicChange| Some((it.topic_name.clone(), it.change.id.clone()?));
            let changes: Vec<_> = changes_of(message).iter().filter_map(id).collect();
            for (_, id) in changes.iter().filter(|(_, id)| !is_servers(id)) {
                self.sent_under.insert(id.clone(), under.clone());
            }
            self.sent.insert(under.clone(), changes);
        }
        Some(under)
    }

    /// Law 8: what the server sends back for good is in no log. Of a topic that is over, nobody can tell.
    pub fn rejected(&mut self, id: &str, changes: u64) {
        if let Some(sent) = self.submission(id).cloned()
            && self.rejected.insert(sent)
        {
            self.counts.rejected += changes;
        }
    }

    /// The submission that has this id, or a change with this id.
    pub fn submission(&self, id: &str) -> Option<&SentId> {
        let of_change = || self.sent_under.get(&ChangeId::new(id).ok()?);
        self.sent.get_key_value(id).map(|(id, _)| id).or_else(of_change)
    }

    /// The changes that were sent together under this id; the change itself, if the id is one's.
    pub fn changes_sent_as(&self, id: &str) -> Vec<ChangeId> {
        let sent = self.submission(id).and_then(|id| self.sent.get(id));
        sent.map(|sent| sent.iter().map(|(_, id)| id.clone()).collect()).unwrap_or_default()
    }

    /// The commit at which a submission was accepted; `None` if that is not known, or of presence.
    pub fn commit_of(&self, id: &str) -> Option<CommitNumber> {
        let (topic, change) = self.sent.get(self.submission(id)?)?.first()?;
        let lives = self.lives.iter().filter(|it| it.name == *topic && !it.options.presence);
        let mut entries = lives.flat_map(|life| &life.entries);
        Some(entries.find(|entry| entry.id == *change)?.commit)
    }

    /// Whether the change of this id is an undo's, or a redo's.
    pub fn is_reversal(&self, topic: &TopicName, id: &ChangeId) -> bool {
        let lives = self.lives.iter().rev().filter(|life| life.name == *topic);
        let entry = lives.flat_map(|life| life.entries.iter().rev()).find(|entry| entry.id == *id);
        let action = entry.and_then(|entry| entry.action.as_ref());
        action.is_some_and(|action| action.reverses.is_some())
    }

    /// Whether a change with this id was sent by a client.
    pub fn knows(&self, id: &ChangeId) -> bool {
        self.sent_under.contains_key(id)
    }

    /// Where each change stands: in the logs of topics that are there, or of those that are over.
    fn places(&self, over: bool) -> HashMap<&ChangeId, &Entry> {
        let lives = self.lives.iter().filter(|life| life.is_over == over);
        lives.flat_map(|life| &life.entries).map(|entry| (&entry.id, entry)).collect()
    }

    /// The submissions of a client that are in the log of a topic that is there, and those that are in any.
    pub fn accepted_of(&self, clients: &[ClientId]) -> (BTreeSet<&SentId>, BTreeSet<&SentId>) {
        let (mut there, mut any) = (BTreeSet::new(), BTreeSet::new());
        for life in &self.lives {
            let own = life.entries.iter().filter(|entry| clients.contains(&entry.author));
            for sent in own.filter_map(|entry| self.sent_under.get(&entry.id)) {
                any.insert(sent);
                if !life.is_over {
                    there.insert(sent);
                }
            }
        }
        (there, any)
    }

    /// Law 8: no id stands twice in a topic's log; what is there was sent, whole and in one commit; and
    /// what was rejected is not there.
    pub fn check_exactly_once(&self) -> Found {
        for life in &self.lives {
            let mut ids = HashSet::new();
            for entry in &life.entries {
                if !ids.insert(&entry.id) {
                    return Err(format!("{} was accepted twice by {:?}", entry.id, life.name));
                }
                if !self.is_explained(entry) {
                    return Err(format!("{} was accepted, and nobody sent it", entry.id));
                }
            }
        }
        let (there, over) = (self.places(false), self.places(true));
        for (id, changes) in &self.sent {
            let mut found = changes.iter().filter_map(|(_, change)| there.get(change));
            let Some(commit) = found.next().map(|entry| entry.commit) else { continue };
            if self.rejected.contains(id) && !changes.iter().any(|(topic, _)| self.may_lose(topic))
            {
                return Err(format!("{id} was rejected, and is in the log"));
            }
            for (topic, change) in changes {
                match there.get(change) {
                    Some(entry) => {
                        same(
                            format_args!("the commit of {change}, sent as {id}"),
                            &entry.commit,
                            &commit,
                        )?;
                    }
                    None if over.contains_key(change) || self.may_lose(topic) => {}
                    None => return Err(format!("{id} was accepted without its change {change}")),
                }
            }
        }
        Ok(())
    }

    fn is_explained(&self, entry: &Entry) -> bool {
        let is_reversal = entry.action.as_ref().is_some_and(|it| it.reverses.is_some());
        // The server names what comes without an id, and makes changes of its own.
        is_reversal || is_servers(&entry.id) || self.sent_under.contains_key(&entry.id)
    }

    /// Whether a crash may take accepted changes of a topic with it.
    fn may_lose(&self, topic: &TopicName) -> bool {
        let mut lives = self.lives.iter().filter(|life| life.name == *topic);
        lives.any(|life| life.is_over || life.durability != Durability::Commit)
    }

    /// Keeps a cut at the newest commit.
    pub fn cut(&mut self, engine: &Engine) {
        let commit = engine.commit();
        let kept = cut(engine, commit).into_iter().filter_map(|it| {
            let epoch = self.topic(&it.name)?.epoch.clone();
            Some((it.name, epoch, it.snapshot.version, it.snapshot.value))
        });
        let kept = kept.collect();
        self.cuts.push((commit, kept));
    }

    /// Law 9: every kept version is as it was when it was the newest, and as the log makes it; of
    /// those that are not kept there is nothing. `stride` is how many versions lie between two looks.
    pub fn check_replay(&self, stride: usize) -> Found {
        for topic in self.topics() {
            topic.check_replay(stride).map_err(|what| format!("{:?}: {what}", topic.name))?;
        }
        Ok(())
    }

    /// Law 12: a cut holds an action whole or not at all, at every commit; and it stays what it was.
    pub fn check_cuts(&self, engine: &Engine, stride: u64) -> Checked {
        // There are gaps between commits, wide ones where a server crashed.
        let entries = self.topics().flat_map(|topic| &topic.entries);
        let commits: BTreeSet<CommitNumber> =
            entries.map(|entry| entry.commit).chain([CommitNumber(0), engine.commit()]).collect();
        for commit in commits.into_iter().step_by(stride as usize) {
            let stood = cut(engine, commit);
            for topic in self.topics().filter(|topic| commit > topic.made_after) {
                let version = topic.version_at(commit);
                let is_kept = version > Version(0) && version >= topic.kept_from()?;
                if is_kept && !stood.iter().any(|stood| stood.name == topic.name) {
                    let what = format!("the cut at {commit} lacks {:?} at {version}", topic.name);
                    return Err(what).breaks(Law::ThePastIsFinal);
                }
            }
            for TopicAt { name, snapshot: at, .. } in stood {
                let Some(topic) = self.topic(&name) else { continue };
                topic.check_at_commit(commit, at.version, &at.value).breaks(Law::ThePastIsFinal)?;
            }
        }
        for (commit, noted) in &self.cuts {
            for TopicAt { name, snapshot: at, .. } in cut(engine, *commit) {
                let Some(topic) = self.topic(&name) else { continue };
                let of_life = |(noted, epoch, ..): &&(TopicName, Epoch, _, _)| {
                    *noted == name && *epoch == topic.epoch
                };
                let Some((.., version, value)) = noted.iter().find(of_life) else { continue };
                let what = format_args!("{name:?} in the cut at {commit}, then and now");
                let is_same = same(what, &(version, value), &(&at.version, &at.value));
                if version.0 >= topic.kept_from()?.0 {
                    is_same.breaks(Law::ThePastIsFinal)?;
                }
            }
        }
        Ok(())
    }
}

fn count(counts: &mut Counts, entries: &[Entry]) {
    for entry in entries {
        let is_reversal = entry.action.as_ref().is_some_and(|it| it.reverses.is_some());
        let count = match (is_reversal, &entry.change) {
            (true, _) => &mut counts.reversed,
            (false, Some(_)) => &mut counts.accepted,
            (false, None) => &mut counts.none,
        };
        *count += 1;
    }
}

/// Whether an id has the form that the server gives its own.
pub fn is_servers(id: &ChangeId) -> bool {
    id.split_once('_').is_some_and(|(_, id)| id.starts_with('s'))
}

/// The changes of a submission; none of any other message.
pub fn changes_of(message: &ClientMessage) -> &[TopicChange] {
    match message {
        ClientMessage::Update(change) => std::slice::from_ref(change),
        ClientMessage::Action { changes, .. } => changes,
        _ => &[],
    }
}

/// All topics of clients at a commit.
fn cut(engine: &Engine, commit: CommitNumber) -> Vec<TopicAt> {
    let cut = engine.cut(commit, |name| !name.is_special());
    cut.expect("a journal in memory can be read")
}

/// The oldest version that a topic keeps.
pub fn kept_from(cell: &TopicCell) -> u64 {
    let (first, _) = cell.history(Version(0), None, 1).expect("a journal in memory can be read");
    first.first().map_or(cell.head(), |first| Version(first.version.0 - 1)).0
}

impl TopicRecord {
    /// The oldest version that is kept.
    pub fn kept_from(&self) -> Found<Version> {
        let cell = self.cell().ok_or_else(|| format!("{:?} is not in memory", self.name))?;
        Ok(Version(kept_from(&cell)))
    }

    /// Law 12: at a commit the topic stood so: the version after all that is not after the commit.
    pub fn check_at_commit(
        &self,
        commit: CommitNumber,
        version: Version,
        value: &AnyValue,
    ) -> Found {
        let what = format_args!("{:?} at commit {commit}", self.name);
        if commit < self.made_after && self.start > Version(0) && version == self.start {
            return Err(format!(
                "{:?} is there at commit {commit}, and was made after {}",
                self.name, self.made_after
            ));
        }
        let inside = self.version_at(commit);
        if self.kept_from().is_ok_and(|kept| inside < kept) {
            return Ok(());
        }
        same(what, &version, &inside)?;
        same(what, value, self.value(inside).ok_or("it cuts an action")?)
    }

    fn check_replay(&self, stride: usize) -> Found {
        let cell = self.cell().ok_or("it is not in memory")?;
        let (kind, base) = (self.kind, self.kept_from()?);
        let kept = cell.history(Version(0), None, usize::MAX);
        let (kept, _) = kept.map_err(|error| error.to_string())?;
        let from = base.max(self.start);
        same(
            "what is kept of the log",
            &kept[(from.0 - base.0) as usize..],
            &self.entries[(from.0 - self.start.0) as usize..],
        )?;
        let at = |version: u64| cell.value_at(Moment::Version(Version(version)));
        let mut value =
            at(from.0).map_err(|error| format!("the oldest kept version: {error}"))?.value;
        for version in from.0..=self.head().0 {
            if version > from.0
                && let Some(change) = self.entry(Version(version)).and_then(|it| it.change.as_ref())
            {
                kind.apply(&mut value, change).map_err(|error| format!("{version}: {error}"))?;
            }
            if let Some(noted) = self.value(Version(version)) {
                same(format_args!("version {version}, folded and as it was"), &value, noted)?;
            }
            if version.is_multiple_of(stride as u64) {
                let looked_up = at(version).map_err(|error| format!("a kept version: {error}"))?;
                same(format_args!("version {version}, looked up"), &looked_up.value, &value)?;
                same("the version looked up", &looked_up.version.0, &version)?;
            }
        }
        let gone = (0..base.0).step_by(stride).find(|version| at(*version).is_ok());
        gone.map_or(Ok(()), |version| Err(format!("version {version} is not kept, and there")))
    }
}
