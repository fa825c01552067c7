//! Undo and redo on the engine: an author goes back and forth while others work.
//!
//! Alone, each undo leads exactly to what was before its action. Among others, undoing all and redoing it
//! leads exactly back, whatever was done, skipped or undone before.

use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use topicsync::engine::{
    Author, ChangeBody, Direction, Engine, EngineConfig, Group, Submission, Submitted, TopicCell,
};
use topicsync::topic::{ActionId, ClientId, TopicName, TopicOptions};
use topicsync::types::{AnyChange, Registry, TopicType, TypeRef};

use super::invariants::assert_invariants;
use super::strategies::{Tape, pick, tape};
use crate::graph::Graph;
use crate::value::GraphValue;

/// What happens next.
#[derive(Debug, Clone)]
enum Step {
    /// An action of as many changes as there are tapes, by me or by others.
    Act {
        mine: bool,
        tapes: Vec<Tape>,
    },
    Undo,
    Redo,
}

fn steps(others: bool) -> impl Strategy<Value = Vec<Step>> {
    let act = (any::<bool>(), prop::collection::vec(tape(), 1..3))
        .prop_map(move |(mine, tapes)| Step::Act { mine: mine || !others, tapes });
    prop::collection::vec(
        prop_oneof![5 => act, 3 => Just(Step::Undo), 2 => Just(Step::Redo)],
        1..24,
    )
}

/// An engine with a graph, and two authors.
struct Desk<const A: bool> {
    engine: Engine,
    topic: Arc<TopicCell>,
    me: Author,
    others: Author,
    actions: u64,
}

impl<const A: bool> Desk<A> {
    fn new() -> Desk<A> {
        let registry = Registry::default().with::<Graph<A>>();
        let engine = Engine::new(EngineConfig { registry, ..EngineConfig::default() });
        let name = TopicName::new("patch").unwrap();
        let topic = engine.make(&name, TypeRef::of::<Graph<A>>(), TopicOptions::default()).unwrap();
        let (me, others) = (Author::new(ClientId(1), None), Author::new(ClientId(2), None));
        Desk { engine, topic, me, others, actions: 0 }
    }

    fn value(&self) -> GraphValue {
        self.topic.snapshot().value.get::<Graph<A>>().unwrap().clone()
    }

    fn act(&mut self, mine: bool, tapes: &[Tape]) {
        let author = if mine { &self.me } else { &self.others };
        self.actions += 1;
        let mut value = self.value();
        let submit = |tape: &Tape| {
            let change = pick::<A>(&value, &mut tape.clone());
            Graph::<A>::apply(&mut value, &change).unwrap();
            Submitted {
                topic: self.topic.name().clone(),
                epoch: None,
                change: ChangeBody::Typed(AnyChange::new::<Graph<A>>(change)),
                id: None,
                base: None,
            }
        };
        let changes = tapes.iter().map(submit).collect();
        let action_id = ActionId::new(format!("{}_a{}", author.id(), self.actions)).unwrap();
        let submission = Submission { action_id: Some(action_id), changes };
        assert!(self.engine.submit_now(author, submission).is_ok());
    }

    /// Undoes or redoes; tells whether anything was done.
    fn reverse(&self, direction: Direction) -> bool {
        let mut group = Group::default();
        let reversed = self.engine.reverse(&self.me, direction, &mut group);
        self.engine.publish(&mut group);
        assert_invariants(&self.value(), A);
        reversed.action_id.is_some()
    }

    fn check_there_and_back(&self) {
        let before = self.value();
        // More often than there are actions, as one that came to nothing takes a turn too.
        let undone = (0..self.actions).filter(|_| self.reverse(Direction::Undo)).count();
        for _ in 0..undone {
            assert!(self.reverse(Direction::Redo), "there is less to redo than was undone");
        }
        assert_eq!(self.value(), before, "after all was undone, and all was redone");
    }
}

fn alone<const A: bool>(steps: &[Step]) {
    let mut desk = Desk::<A>::new();
    let (mut behind, mut ahead) = (Vec::new(), Vec::new());
    for step in steps {
        let before = desk.value();
        match step {
            Step::Act { tapes, .. } => {
                desk.act(true, tapes);
                behind.push(before);
                ahead.clear();
            }
            Step::Undo => {
                let done = desk.reverse(Direction::Undo);
                let after = desk.value();
                // An action that left nothing to undo is passed over: the one before it is undone.
                while let Some(expected) = behind.pop() {
                    if expected == after && (done || expected != before) {
                        break;
                    }
                    assert_eq!(expected, before, "an undo passed over what can be undone");
                }
                // What came to nothing is not there to be redone.
                if done {
                    ahead.push(before);
                } else {
                    assert_eq!(after, before, "nothing was undone");
                }
            }
            Step::Redo => {
                let Some(expected) = ahead.pop() else { continue };
                desk.reverse(Direction::Redo);
                assert_eq!(desk.value(), expected, "after a redo");
                behind.push(before);
            }
        }
    }
    desk.check_there_and_back();
}

fn among_others<const A: bool>(steps: &[Step]) {
    let mut desk = Desk::<A>::new();
    for step in steps {
        match step {
            Step::Act { mine, tapes } => desk.act(*mine, tapes),
            Step::Undo => drop(desk.reverse(Direction::Undo)),
            Step::Redo => drop(desk.reverse(Direction::Redo)),
        }
    }
    desk.check_there_and_back();
}

fn check(others: bool, check: impl Fn(&[Step])) {
    let config = Config { failure_persistence: None, ..Config::default() };
    let checked = TestRunner::new(config).run(&steps(others), |steps| {
        check(&steps);
        Ok(())
    });
    checked.unwrap_or_else(|error| panic!("{error}"));
}

/// 19 sets the graph, to three nodes; 18 disconnects an input that is free.
#[test]
fn what_changed_nothing_stands_in_the_way_of_no_undo() {
    let act = |number| Step::Act { mine: true, tapes: vec![Tape::of(vec![number])] };
    alone::<false>(&[act(19), act(18), Step::Undo, Step::Undo]);
}

#[test]
fn a_graph_is_undone_exactly() {
    check(false, alone::<false>);
}

#[test]
fn an_acyclic_graph_is_undone_exactly() {
    check(false, alone::<true>);
}

#[test]
fn a_graph_is_undone_and_redone_exactly_among_others() {
    check(true, among_others::<false>);
}

#[test]
fn an_acyclic_graph_is_undone_and_redone_exactly_among_others() {
    check(true, among_others::<true>);
}
