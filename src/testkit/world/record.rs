//! What the server did, noted as it happened: the witness of laws 7, 8 and 9.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::engine::history::TopicAt;
use crate::engine::{Engine, Receipt, TopicCell};
use crate::protocol::message::TopicChange;
use crate::topic::{
    ActionId, ChangeId, ClientId, CommitNumber, Entry, Moment, Rejection, TopicName, Version,
};
use crate::types::AnyValue;

use crate::testkit::broken::{Checked, same};

/// The id under which something was sent: an action's, or that of a lone change.
pub type SentId = std::string::String;

/// What all topics held at some commit.
type Cut = (CommitNumber, Vec<(TopicName, Version, AnyValue)>);

/// What clients sent and what became of it, and every topic's log and values, whole.
pub struct Record {
    topics: Vec<TopicRecord>,
    sent: HashMap<SentId, Sent>,
    /// Under what id each change was sent.
    sent_under: HashMap<ChangeId, SentId>,
    /// What a cut at the newest commit gave, while it was the newest.
    cuts: Vec<Cut>,
    /// How many changes met which fate.
    pub counts: Counts,
}

/// How many changes met which fate at the server.
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

/// One submission.
#[derive(Default)]
struct Sent {
    changes: Vec<(TopicName, ChangeId)>,
    accepted: Option<Receipt>,
    rejections: u64,
}

/// One topic, from its beginning.
pub struct TopicRecord {
    /// The topic in the engine.
    pub cell: Arc<TopicCell>,
    /// The whole log, whatever the topic keeps of it.
    pub entries: Vec<Entry>,
    /// The value at each version, as it was once it was the newest; `None` within an action.
    pub values: Vec<Option<AnyValue>>,
}

impl TopicRecord {
    fn new(cell: Arc<TopicCell>) -> TopicRecord {
        let values = vec![Some(cell.snapshot().value)];
        TopicRecord { cell, entries: Vec::new(), values }
    }

    fn update(&mut self) -> Checked {
        let head = self.cell.settled();
        let before = self.entries.len() as u64;
        if head.version.0 == before {
            return Ok(());
        }
        let read = self.cell.history(Version(before + 1), None, usize::MAX);
        let (entries, _) = read.map_err(|error| error.to_string())?;
        let kind = self.cell.kind();
        // After an action there is a value, and within it there is none.
        let mut value = self.values.last().cloned().flatten().ok_or("no value at the head")?;
        for action in entries.chunk_by(|a, b| a.commit == b.commit) {
            for change in action.iter().filter_map(|entry| entry.change.as_ref()) {
                kind.apply(&mut value, change).map_err(|error| format!("{change:?}: {error}"))?;
            }
            self.entries.extend_from_slice(action);
            self.values.resize(self.entries.len(), None);
            self.values.push(Some(value.clone()));
        }
        same("the log's value and the head's", &value, &head.value)?;
        same("the head and the length of the log", &head.version.0, &(self.entries.len() as u64))
    }
}

impl Record {
    /// A record of new topics.
    pub fn new(cells: Vec<Arc<TopicCell>>) -> Record {
        Record {
            topics: cells.into_iter().map(TopicRecord::new).collect(),
            sent: HashMap::new(),
            sent_under: HashMap::new(),
            cuts: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// Goes on with the topics of an engine that came after a crash.
    pub fn restarted(&mut self, engine: &Engine) {
        for topic in &mut self.topics {
            let name = topic.cell.name().clone();
            topic.cell = engine.get(&name).expect("its topics are durable");
        }
    }

    /// Whether the logs hold what was accepted in this submission.
    pub fn holds(&self, sent: &SentId, receipt: &Receipt) -> Checked<bool> {
        let submission = self.sent.get(sent).ok_or("nobody sent it")?;
        let mut changes = submission.changes.iter().zip(&receipt.versions);
        let held = changes.next().is_some_and(|((topic_name, id), version)| {
            let topic = self.topic(topic_name);
            let entry = topic.and_then(|topic| topic.cell.history(*version, None, 1).ok());
            entry.is_some_and(|(entries, _)| entries.first().is_some_and(|it| it.id == *id))
        });
        Ok(held)
    }

    /// All topics.
    pub fn topics(&self) -> &[TopicRecord] {
        &self.topics
    }

    /// The topic of this name.
    pub fn topic(&self, name: &TopicName) -> Option<&TopicRecord> {
        self.topics.iter().find(|topic| topic.cell.name() == name)
    }

    /// Notes a submission before it is decided.
    pub fn sent(&mut self, action_id: Option<&ActionId>, changes: &[TopicChange]) -> SentId {
        let id = |change: &TopicChange| change.change.id.clone().expect("clients give ids");
        let under = match action_id {
            Some(action_id) => action_id.to_string(),
            None => id(&changes[0]).to_string(),
        };
        if !self.sent.contains_key(&under) {
            let changes: Vec<(TopicName, ChangeId)> =
                changes.iter().map(|it| (it.topic_name.clone(), id(it))).collect();
            for (_, id) in &changes {
                self.sent_under.insert(id.clone(), under.clone());
            }
            self.sent.insert(under.clone(), Sent { changes, ..Sent::default() });
        }
        under
    }

    fn of_sent(&mut self, sent: &SentId) -> &mut Sent {
        self.sent.get_mut(sent).expect("it was noted when it came")
    }

    /// Law 8, at the server: what is accepted is accepted once.
    pub fn accepted(&mut self, sent: &SentId, receipt: &Receipt) -> Checked {
        let before = self.of_sent(sent).accepted.replace(receipt.clone());
        if let Some(before) = before {
            self.counts.resent += 1;
            return same(format_args!("{sent}, accepted again"), receipt, &before);
        }
        let changes = self.of_sent(sent).changes.clone();
        same("as many versions as changes", &receipt.versions.len(), &changes.len())?;
        self.update()?;
        for ((topic_name, id), version) in changes.iter().zip(&receipt.versions) {
            let topic = self.topic(topic_name).ok_or("an unknown topic was accepted")?;
            let entry = &topic.entries[version.0 as usize - 1];
            same("the id in the log", &entry.id, id)?;
            same("the commit in the log", &entry.commit, &receipt.commit)?;
            match entry.change.is_some() {
                true => self.counts.accepted += 1,
                false => self.counts.none += 1,
            }
        }
        Ok(())
    }

    /// Law 8, at the server: what was accepted is not rejected when it comes again.
    pub fn rejected(&mut self, sent: &SentId, rejection: &Rejection) -> Checked {
        let it = self.of_sent(sent);
        if it.accepted.is_some() {
            return Err(format!(
                "{sent} was accepted, and is rejected when sent again: {rejection}"
            )
            .into());
        }
        it.rejections += 1;
        if it.rejections == 1 {
            self.counts.rejected += self.sent[sent].changes.len() as u64;
        }
        self.update()
    }

    /// Takes up what an undo or redo brought.
    pub fn reversed(&mut self) -> Checked {
        let before = self.len();
        self.update()?;
        self.counts.reversed += self.len() - before;
        Ok(())
    }

    /// How many changes all logs hold.
    fn len(&self) -> u64 {
        self.topics.iter().map(|topic| topic.entries.len() as u64).sum()
    }

    fn update(&mut self) -> Checked {
        self.topics.iter_mut().try_for_each(TopicRecord::update)
    }

    /// Keeps a cut at the newest commit.
    pub fn cut(&mut self, engine: &Engine) {
        let commit = engine.commit();
        let cut = cut(engine, commit).into_iter();
        let cut =
            cut.map(|TopicAt { name, snapshot, .. }| (name, snapshot.version, snapshot.value));
        self.cuts.push((commit, cut.collect()));
    }

    /// The submissions of a client that were accepted, whatever it knows of it.
    pub fn accepted_of(&self, client: ClientId) -> impl Iterator<Item = &SentId> {
        let is_of = move |sent: &Sent| sent.changes[0].1.client() == client;
        let accepted = self.sent.iter().filter(move |(_, it)| it.accepted.is_some() && is_of(it));
        accepted.map(|(id, _)| id)
    }

    /// The submission that has this id, or a change with this id.
    pub fn submission(&self, id: &str) -> Option<&SentId> {
        let of_change = || self.sent_under.get(&ChangeId::new(id).ok()?);
        self.sent.get_key_value(id).map(|(id, _)| id).or_else(of_change)
    }

    /// Law 8: no id stands twice in the logs; what is there was accepted, whole and in one commit.
    pub fn check_exactly_once(&self) -> Checked {
        let mut commits: HashMap<&ChangeId, CommitNumber> = HashMap::new();
        for entry in self.topics.iter().flat_map(|topic| &topic.entries) {
            if commits.insert(&entry.id, entry.commit).is_some() {
                return Err(format!("{} was accepted twice", entry.id).into());
            }
            let is_reversal = entry.action.as_ref().is_some_and(|it| it.reverses.is_some());
            if !is_reversal && !self.sent_under.contains_key(&entry.id) {
                return Err(format!("{} was accepted, and nobody sent it", entry.id).into());
            }
        }
        for (id, sent) in &self.sent {
            let commit = sent.accepted.as_ref().map(|receipt| receipt.commit);
            for (_, change) in &sent.changes {
                let what = format_args!("the commit of {change}, sent as {id}");
                same(what, &commits.get(change).copied(), &commit)?;
            }
        }
        Ok(())
    }

    /// Law 9: every kept version is as it was when it was the newest, and as the log makes it; of
    /// those that are not kept there is nothing. `stride` is how many versions lie between two looks.
    pub fn check_replay(&self, stride: usize) -> Checked {
        for topic in &self.topics {
            topic.check_replay(stride).map_err(|what| format!("{:?}: {what}", topic.cell))?;
        }
        Ok(())
    }

    /// A cut holds an action whole or not at all, at every commit; and it stays what it was.
    pub fn check_cuts(&self, engine: &Engine, stride: u64) -> Checked {
        // There are gaps between commits, wide ones where a server crashed.
        let entries = self.topics.iter().flat_map(|topic| &topic.entries);
        let commits: BTreeSet<CommitNumber> =
            entries.map(|entry| entry.commit).chain([CommitNumber(0), engine.commit()]).collect();
        for commit in commits.into_iter().step_by(stride as usize) {
            for TopicAt { name, snapshot: at, .. } in cut(engine, commit) {
                let topic = self.topic(&name).ok_or("a topic that is not recorded")?;
                let cell = &topic.cell;
                let inside = topic.entries.partition_point(|entry| entry.commit <= commit);
                let kept = kept_from(cell) as usize;
                if inside < kept {
                    continue;
                }
                let what = format_args!("{cell:?} in the cut at {commit}");
                same(what, &at.version, &Version(inside as u64))?;
                same(what, topic.values[inside].as_ref().ok_or("cuts an action")?, &at.value)?;
            }
        }
        for (commit, noted) in &self.cuts {
            for TopicAt { name, snapshot: at, .. } in cut(engine, *commit) {
                let cell = &self.topic(&name).ok_or("a topic that is not recorded")?.cell;
                let noted = noted.iter().find(|(noted, ..)| *noted == name);
                let (_, version, value) = noted.ok_or("a topic that was not in the cut")?;
                if version.0 >= kept_from(cell) {
                    let what = format_args!("{cell:?} in the cut at {commit}, then and now");
                    same(what, &(version, value), &(&at.version, &at.value))?;
                }
            }
        }
        Ok(())
    }
}

/// All topics at a commit. Special ones there are none.
fn cut(engine: &Engine, commit: CommitNumber) -> Vec<TopicAt> {
    engine.cut(commit, |_| true).expect("a journal in memory can be read")
}

/// The oldest version that a topic keeps.
pub fn kept_from(cell: &TopicCell) -> u64 {
    let (first, _) = cell.history(Version(0), None, 1).expect("a journal in memory can be read");
    first.first().map_or(cell.head(), |first| Version(first.version.0 - 1)).0
}

impl TopicRecord {
    fn check_replay(&self, stride: usize) -> Checked {
        let (kind, base) = (self.cell.kind(), kept_from(&self.cell) as usize);
        let kept = self.cell.history(Version(0), None, usize::MAX);
        let (kept, _) = kept.map_err(|error| error.to_string())?;
        same("what is kept of the log", &kept[..], &self.entries[base..])?;
        let at = |version: usize| self.cell.value_at(Moment::Version(Version(version as u64)));
        let mut value =
            at(base).map_err(|error| format!("the oldest kept version: {error}"))?.value;
        for version in base..=self.entries.len() {
            if version > base
                && let Some(change) = &self.entries[version - 1].change
            {
                kind.apply(&mut value, change).map_err(|error| format!("{version}: {error}"))?;
            }
            if let Some(noted) = &self.values[version] {
                same(format_args!("version {version}, folded and as it was"), &value, noted)?;
            }
            if version % stride == 0 {
                let looked_up = at(version).map_err(|error| format!("a kept version: {error}"))?;
                same(format_args!("version {version}, looked up"), &looked_up.value, &value)?;
                same("the version looked up", &looked_up.version.0, &(version as u64))?;
            }
        }
        let gone = (0..base).step_by(stride).find(|version| at(*version).is_ok());
        gone.map_or(Ok(()), |version| {
            Err(format!("version {version} is not kept, and there").into())
        })
    }
}
