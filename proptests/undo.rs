//! Undo and redo, straight on the engine: an author goes back and forth while others work.
//!
//! Whatever was done, skipped or undone before, by whomever: undoing as much as one likes and redoing
//! it leads exactly back; alone, each undo leads exactly to what was before its action; and others'
//! work stays.

use proptest::prelude::*;
use topicsync::engine::{Author, ChangeBody, Direction, Engine, Submission, Submitted, TopicCell};
use topicsync::topic::{ActionId, ClientId, TopicName, TopicOptions};
use topicsync::types::{AnyChange, AnyValue};
use topicsync::value::Value;

use crate::hunt::{hunt, kind};
use topicsync::testkit::Found;
use topicsync::testkit::Kind;
use topicsync::testkit::broken::same;
use topicsync::testkit::choices::{Choices, Tape, tape};
use topicsync::testkit::world::{kinds, server};

/// Who undoes.
const ME: ClientId = ClientId(1);
/// The others, as one.
const OTHERS: ClientId = ClientId(2);

/// What happens next.
#[derive(Debug, Clone)]
enum Step {
    /// An action of so many changes, by me or by others.
    Act {
        mine: bool,
        changes: usize,
        tape: Tape,
    },
    Undo,
    Redo,
}

fn step(others: bool) -> impl Strategy<Value = Step> {
    let act = (any::<bool>(), 1..4_usize, tape())
        .prop_map(move |(mine, changes, tape)| Step::Act { mine: mine || !others, changes, tape });
    prop_oneof![5 => act, 3 => Just(Step::Undo), 2 => Just(Step::Redo)]
}

fn steps(others: bool) -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(others), 1..24)
}

/// An engine with a topic of each of some types, and two authors.
struct Desk {
    engine: Engine,
    kinds: Vec<Kind>,
    topics: Vec<std::sync::Arc<TopicCell>>,
    me: Author,
    others: Author,
    actions: u64,
}

impl Desk {
    fn new(kinds: &[Kind]) -> Desk {
        let (engine, _) = server::new_engine(60_000);
        let make = |kind: &Kind| {
            let name = TopicName::new(kind.of.name()).expect("a name");
            engine.make(&name, kind.of, TopicOptions::default()).expect("a new engine")
        };
        let topics = kinds.iter().map(make).collect();
        let (me, others) = (Author::new(ME, None), Author::new(OTHERS, None));
        Desk { engine, kinds: kinds.to_vec(), topics, me, others, actions: 0 }
    }

    fn values(&self) -> Vec<AnyValue> {
        self.topics.iter().map(|topic| topic.snapshot().value).collect()
    }

    /// Makes changes of one or more topics, as an action, on what is there.
    fn act(&mut self, mine: bool, changes: Vec<(usize, AnyChange)>) -> Found {
        let author = if mine { &self.me } else { &self.others };
        self.actions += 1;
        let submitted = |(topic, change): (usize, AnyChange)| Submitted {
            topic: self.topics[topic].name().clone(),
            epoch: None,
            change: ChangeBody::Typed(change),
            id: None,
            base: None,
        };
        let action_id = ActionId::new(format!("{}_a{}", author.id(), self.actions));
        let action_id = Some(action_id.expect("it is short"));
        let changes = changes.into_iter().map(submitted).collect();
        let done = self.engine.submit_now(author, Submission { action_id, changes });
        done.map(drop).map_err(|rejected| format!("rejected: {}", rejected.rejection))
    }

    fn act_at_random(&mut self, mine: bool, changes: usize, tape: &Tape) -> Found {
        let mut tape = tape.clone();
        let choices: &mut dyn Choices = &mut tape;
        let mut values = self.values();
        let planned = (0..changes).map(|_| {
            let topic = choices.below(self.topics.len());
            let change =
                self.kinds[topic].change(choices, &values[topic]).expect("a built-in type has one");
            let applied = self.kinds[topic].of.apply(&mut values[topic], &change);
            applied.expect("a change made for the value applies to it");
            (topic, change)
        });
        let planned = planned.collect();
        self.act(mine, planned)
    }

    /// Undoes or redoes; tells whether anything was done.
    fn reverse(&self, direction: Direction) -> bool {
        let mut group = topicsync::engine::Group::default();
        let reversed = self.engine.reverse(&self.me, direction, &mut group);
        self.engine.publish(&mut group);
        reversed.action_id.is_some()
    }

    /// Undoes all that there is, and redoes as much: `check` looks at what is there in between.
    fn check_there_and_back(&self, check: impl FnOnce(&Desk) -> Found) -> Found {
        let before = self.values();
        // More often than there are actions, as one that came to nothing takes a turn too.
        let undone = (0..self.actions).filter(|_| self.reverse(Direction::Undo)).count();
        check(self)?;
        for index in 0..undone {
            if !self.reverse(Direction::Redo) {
                return Err(format!("{undone} actions were undone, {index} redone"));
            }
        }
        same("before all was undone, and after all was redone", &before, &self.values())
    }
}

/// Alone, every undo and redo leads exactly where one was.
fn check_alone(kinds: &[Kind], steps: &[Step]) -> Found {
    let mut desk = Desk::new(kinds);
    let (mut behind, mut ahead) = (Vec::new(), Vec::new());
    for step in steps {
        let before = desk.values();
        match step {
            Step::Act { changes, tape, .. } => {
                desk.act_at_random(true, *changes, tape)?;
                behind.push(before);
                ahead.clear();
            }
            Step::Undo => {
                let done = desk.reverse(Direction::Undo);
                let Some(expected) = undoable(&mut behind, &before, done) else { continue };
                same("after an undo", &desk.values(), &expected)?;
                ahead.push(before);
            }
            Step::Redo => {
                let Some(expected) = ahead.pop() else { continue };
                same("whether a redo did anything", &desk.reverse(Direction::Redo), &true)?;
                same("after a redo", &desk.values(), &expected)?;
                behind.push(before);
            }
        }
    }
    let start = behind.first().cloned();
    desk.check_there_and_back(|desk| match start {
        Some(start) => same("after all was undone", &desk.values(), &start),
        None => Ok(()),
    })
}

/// Where an undo should lead. One that did nothing takes an action that changed nothing, of types
/// that have no undo say, out of the stack.
fn undoable(
    behind: &mut Vec<Vec<AnyValue>>,
    now: &Vec<AnyValue>,
    done: bool,
) -> Option<Vec<AnyValue>> {
    let expected = behind.pop()?;
    (done || expected != *now).then_some(expected)
}

/// Among others' work: there and back leads exactly back, whatever came before.
fn check_among_others(kinds: &[Kind], steps: &[Step]) -> Found {
    let mut desk = Desk::new(kinds);
    for step in steps {
        match step {
            Step::Act { mine, changes, tape } => desk.act_at_random(*mine, *changes, tape)?,
            Step::Undo => drop(desk.reverse(Direction::Undo)),
            Step::Redo => drop(desk.reverse(Direction::Redo)),
        }
    }
    desk.check_there_and_back(|_| Ok(()))
}

fn alone(kinds: &[Kind]) {
    hunt("undo", steps(false), |steps| check_alone(kinds, steps));
}

fn among_others(kinds: &[Kind]) {
    hunt("undo", steps(true), |steps| check_among_others(kinds, steps));
}

macro_rules! of_types {
    ($($test:ident = $type_name:literal,)*) => {
        mod alone {
            $(
                #[test]
                fn $test() {
                    super::alone(&[super::kind($type_name)]);
                }
            )*
        }
        mod among_others {
            $(
                #[test]
                fn $test() {
                    super::among_others(&[super::kind($type_name)]);
                }
            )*
        }
    };
}

of_types! {
    a_generic = "generic", a_bool = "bool", an_int = "int", a_float = "float",
    a_string = "string", a_list = "list", a_set = "set", a_dict = "dict",
}

/// All types that have an undo.
fn stateful() -> Vec<Kind> {
    kinds().into_iter().filter(|kind| kind.of.stateful()).collect()
}

#[test]
fn actions_over_all_types_are_undone_exactly() {
    alone(&stateful());
}

#[test]
fn actions_over_all_types_are_undone_exactly_among_others() {
    among_others(&stateful());
}

/// Somebody's own letters, items or entries, which only they touch.
#[derive(Debug, Clone)]
enum Token {
    /// A new one is put in at some place.
    Put {
        mine: bool,
        place: u32,
    },
    /// One of theirs that is there is taken out.
    Take {
        mine: bool,
        which: u32,
    },
    Undo,
    Redo,
}

fn tokens() -> impl Strategy<Value = Vec<Token>> {
    let put = (any::<bool>(), any::<u32>()).prop_map(|(mine, place)| Token::Put { mine, place });
    let take = (any::<bool>(), any::<u32>()).prop_map(|(mine, which)| Token::Take { mine, which });
    let token = prop_oneof![6 => put, 2 => take, 4 => Just(Token::Undo), 3 => Just(Token::Redo)];
    prop::collection::vec(token, 1..40)
}

/// The tokens in a value, in their order: even ones are mine.
fn tokens_of(value: &Value) -> Vec<u32> {
    match value {
        Value::String(text) => {
            text.chunks().flat_map(str::chars).map(|it| it as u32 - FIRST).collect()
        }
        Value::List(items) => items.iter().filter_map(Value::as_int).map(|it| it as u32).collect(),
        Value::Dict(entries) => entries.keys().filter_map(|key| key.parse().ok()).collect(),
        other => panic!("no tokens in {other:?}"),
    }
}

/// Tokens are letters from here on in a text.
const FIRST: u32 = 0x4e00;

fn put(kind: &Kind, token: u32, position: usize) -> serde_json::Value {
    use serde_json::json;
    let letter = char::from_u32(FIRST + token).expect("a letter").to_string();
    match kind.of.name() {
        "string" => json!({"type": "insert", "position": position, "insertion": letter}),
        "list" => json!({"type": "insert", "position": position, "item": token}),
        "set" => json!({"type": "append", "item": token}),
        _ => json!({"type": "add", "key": token.to_string(), "value": token}),
    }
}

fn take(kind: &Kind, token: u32, position: usize) -> serde_json::Value {
    use serde_json::json;
    match kind.of.name() {
        "string" => json!({"type": "delete", "position": position, "length": 1}),
        "list" => json!({"type": "pop", "position": position}),
        "set" => json!({"type": "remove", "item": token}),
        _ => json!({"type": "remove", "key": token.to_string()}),
    }
}

fn is_mine(token: &u32) -> bool {
    token.is_multiple_of(2)
}

/// Others' tokens stay, in their order, whatever I do, undo and redo; all of mine go when all is
/// undone.
fn check_others_work_stays(kind: &Kind, tokens: &[Token]) -> Found {
    let mut desk = Desk::new(std::slice::from_ref(kind));
    let mut model = Vec::new();
    let theirs = |desk: &Desk| -> Vec<u32> {
        let all = tokens_of(&kind.of.encode_value(&desk.values()[0]));
        all.into_iter().filter(|token| !is_mine(token)).collect()
    };
    for (index, token) in tokens.iter().enumerate() {
        let there = tokens_of(&kind.of.encode_value(&desk.values()[0]));
        let (mine, change) = match token {
            Token::Put { mine, place } => {
                let (token, position) =
                    (2 * index as u32 + u32::from(!mine), *place as usize % (there.len() + 1));
                (*mine, put(kind, token, position))
            }
            Token::Take { mine, which } => {
                let own: Vec<usize> =
                    (0..there.len()).filter(|at| is_mine(&there[*at]) == *mine).collect();
                let Some(position) = own.get(*which as usize % own.len().max(1)) else { continue };
                (*mine, take(kind, there[*position], *position))
            }
            Token::Undo | Token::Redo => {
                let undo = matches!(token, Token::Undo);
                desk.reverse(if undo { Direction::Undo } else { Direction::Redo });
                same("others' work, after an undo or redo", &theirs(&desk), &model)?;
                continue;
            }
        };
        let fields = topicsync::value::Fields::from_serialize(&change).expect("fields");
        desk.act(mine, vec![(0, kind.of.decode_change(&fields).expect("a change"))])?;
        if mine {
            same("others' work, after mine", &theirs(&desk), &model)?;
        }
        model = theirs(&desk);
    }
    desk.check_there_and_back(|desk| {
        let left = tokens_of(&kind.of.encode_value(&desk.values()[0]));
        same("all that is left when all of mine is undone", &left, &model)
    })
}

macro_rules! others_work_stays {
    ($($test:ident = $type_name:literal,)*) => {
        mod others_work_stays {
            $(
                #[test]
                fn $test() {
                    let kind = super::kind($type_name);
                    super::hunt("undo", super::tokens(), |tokens| {
                        super::check_others_work_stays(&kind, tokens)
                    });
                }
            )*
        }
    };
}

others_work_stays! {
    in_a_string = "string", in_a_list = "list", in_a_set = "set", in_a_dict = "dict",
}
