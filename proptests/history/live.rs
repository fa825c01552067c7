//! A live engine that authors work on, and what its topics held after each commit.

use proptest::prelude::*;
use topicsync::engine::{
    Author, ChangeBody, Direction, Engine, Group, Submission, Submitted, TopicCell,
};
use topicsync::journal::{
    Append, Checkpoint, Journal, Logged, MemoryJournal, Operation, TopicRecord,
};
use topicsync::topic::{
    ActionId, ClientId, CommitNumber, Epoch, Moment, TopicName, TopicOptions, Version,
};
use topicsync::value::Value;

use topicsync::testkit::Kind;
use topicsync::testkit::choices::{Choices, Tape, tape};
use topicsync::testkit::world::server;

/// What happens next.
#[derive(Debug, Clone)]
pub enum Step {
    /// One change, made so many versions ago.
    Change {
        author: usize,
        missed: u64,
        tape: Tape,
    },
    /// An action of so many changes.
    Act {
        author: usize,
        changes: usize,
        tape: Tape,
    },
    Undo(usize),
    Redo(usize),
}

const AUTHORS: usize = 3;

pub fn step() -> impl Strategy<Value = Step> {
    let author = || 0..AUTHORS;
    prop_oneof![
        6 => (author(), 0..4_u64, tape())
            .prop_map(|(author, missed, tape)| Step::Change { author, missed, tape }),
        3 => (author(), 1..5_usize, tape())
            .prop_map(|(author, changes, tape)| Step::Act { author, changes, tape }),
        2 => author().prop_map(Step::Undo),
        1 => author().prop_map(Step::Redo),
    ]
}

/// Every topic's version and value at some commit.
pub type State = Vec<(Version, Value)>;

/// An engine, and what its topics held after each commit.
pub struct Live {
    engine: Engine,
    pub kinds: Vec<Kind>,
    pub topics: Vec<std::sync::Arc<TopicCell>>,
    authors: Vec<Author>,
    actions: u64,
    pub states: Vec<(CommitNumber, State)>,
}

impl Live {
    pub fn played(kinds: &[Kind], steps: &[Step]) -> Live {
        let (engine, outside) = server::new_engine(60_000);
        let make = |(at, kind): (usize, &Kind)| {
            let name = TopicName::new(format!("{}/{at}", kind.of.name())).expect("a name");
            engine.make(&name, kind.of, TopicOptions::default()).expect("a new engine")
        };
        let mut topics: Vec<_> = kinds.iter().enumerate().map(make).collect();
        let mut kinds = kinds.to_vec();
        // As scopes have them.
        topics.sort_by(|a, b| a.name().cmp(b.name()));
        kinds.sort_by_key(|kind| kind.of.name());
        let authors = (1..=AUTHORS as u64).map(|id| Author::new(ClientId(id), None)).collect();
        let states = Vec::new();
        let mut live = Live { engine, kinds, topics, authors, actions: 0, states };
        live.note();
        for step in steps {
            live.step(step);
            live.note();
            outside.pass(7);
        }
        live
    }

    fn state(&self) -> State {
        let plain = |(topic, kind): (&std::sync::Arc<TopicCell>, &Kind)| {
            let snapshot = topic.snapshot();
            (snapshot.version, kind.of.encode_value(&snapshot.value))
        };
        self.topics.iter().zip(&self.kinds).map(plain).collect()
    }

    fn note(&mut self) {
        self.states.push((self.engine.commit(), self.state()));
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Change { author, missed, tape } => {
                let mut tape = tape.clone();
                let choices: &mut dyn Choices = &mut tape;
                let at = choices.below(self.topics.len());
                let base = Version(self.topics[at].head().0.saturating_sub(*missed));
                let old = self.topics[at].value_at(Moment::Version(base)).expect("all is kept");
                let change =
                    self.kinds[at].change(choices, &old.value).expect("a built-in type has one");
                let base = self.kinds[at].of.takes_base(&change).then_some(base);
                let submitted = self.submitted(at, ChangeBody::Typed(change), base);
                let changes = [submitted].into_iter().collect();
                // What cannot be carried leaves nothing behind.
                let _ = self
                    .engine
                    .submit_now(&self.authors[*author], Submission { action_id: None, changes });
            }
            Step::Act { author, changes, tape } => self.act(*author, *changes, tape.clone()),
            Step::Undo(author) => self.reverse(*author, Direction::Undo),
            Step::Redo(author) => self.reverse(*author, Direction::Redo),
        }
    }

    fn submitted(&self, at: usize, change: ChangeBody, base: Option<Version>) -> Submitted {
        let topic = self.topics[at].name().clone();
        Submitted { topic, epoch: None, change, id: None, base }
    }

    fn act(&mut self, author: usize, changes: usize, mut tape: Tape) {
        let choices: &mut dyn Choices = &mut tape;
        let mut values: Vec<_> = self.topics.iter().map(|it| it.snapshot().value).collect();
        let planned = (0..changes).map(|_| {
            let at = choices.below(self.topics.len());
            let change =
                self.kinds[at].change(choices, &values[at]).expect("a built-in type has one");
            self.kinds[at].of.apply(&mut values[at], &change).expect("it was made for the value");
            self.submitted(at, ChangeBody::Typed(change), None)
        });
        let changes = planned.collect();
        self.actions += 1;
        let action_id = Some(ActionId::new(format!("a{}", self.actions)).expect("it is short"));
        let done = self.engine.submit_now(&self.authors[author], Submission { action_id, changes });
        assert!(done.is_ok(), "an action made for the values is accepted");
    }

    fn reverse(&self, author: usize, direction: Direction) {
        let mut group = Group::default();
        self.engine.reverse(&self.authors[author], direction, &mut group);
        self.engine.publish(&mut group);
    }

    /// The history as a server would have written it, with checkpoints here and there.
    pub fn journal(&self, every: u64) -> MemoryJournal {
        let journal = MemoryJournal::new();
        for (topic, kind) in self.topics.iter().zip(&self.kinds) {
            let record = TopicRecord {
                name: topic.name().clone(),
                type_name: kind.of.name().into(),
                options: topic.options().clone(),
                epoch: Epoch::new("e").expect("it is short"),
                life: 1,
            };
            let (entries, _) =
                topic.history(Version(0), None, usize::MAX).expect("all is in memory");
            let changes: Vec<_> =
                entries.iter().map(|entry| Logged::of_entry(kind.of, entry)).collect();
            let topic_name = topic.name().clone();
            let mut group = vec![Operation::Make { record, start: None }];
            if !changes.is_empty() {
                let append = Append { topic: topic_name.clone(), after: Version(0), changes };
                group.push(Operation::Append(append));
            }
            for version in (1..=topic.head().0).filter(|version| version.is_multiple_of(every)) {
                let snapshot =
                    topic.value_at(Moment::Version(Version(version))).expect("all is kept");
                let value = kind.of.encode_value(&snapshot.value);
                let checkpoint = Checkpoint { version: Version(version), value, stamp: None };
                group.push(Operation::Checkpoint { topic: topic_name.clone(), checkpoint });
            }
            journal.commit(&group).expect("a new journal");
        }
        journal
    }
}
