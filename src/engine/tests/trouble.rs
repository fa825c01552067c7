//! Code of others that panics, ids that nobody may send, undos with nothing left to do.

use super::*;
use crate::types::{Conflict, Rebased, TopicType};
use crate::value::{Fields, Invalid, Value};

/// A list of numbers, whose own code panics on some of them.
struct Bomb;

/// Panics when it is applied, with half of it done.
const IN_APPLY: i64 = 13;
/// Panics when another change is rebased over it.
const IN_REBASE: i64 = 14;
const IN_DECODE: i64 = 15;
const IN_INVERT: i64 = 16;

impl TopicType for Bomb {
    type Value = Vec<i64>;
    type Change = i64;
    const NAME: &'static str = "bomb";

    fn initial() -> Vec<i64> {
        Vec::new()
    }

    fn decode_value(value: &Value) -> Result<Vec<i64>, Invalid> {
        value.parse()
    }

    fn encode_value(value: &Vec<i64>) -> Value {
        Value::from_serialize(value).unwrap()
    }

    fn decode_change(fields: &Fields) -> Result<i64, Invalid> {
        let number = fields.require("n")?.as_int().unwrap();
        assert_ne!(number, IN_DECODE, "in decode");
        Ok(number)
    }

    fn encode_change(change: &i64) -> Fields {
        Fields::of_type("push").with("n", *change)
    }

    fn apply(value: &mut Vec<i64>, change: &i64) -> Result<(), Invalid> {
        value.push(*change);
        assert_ne!(*change, IN_APPLY, "in apply");
        Ok(())
    }

    fn rebase(incoming: &i64, accepted: &i64) -> Result<Rebased<i64>, Conflict> {
        assert_ne!(*accepted, IN_REBASE, "in rebase");
        Ok(Rebased { incoming: Some(*incoming), accepted: Some(*accepted) })
    }

    fn invert(change: &i64, _before: &Vec<i64>) -> Option<i64> {
        assert_ne!(*change, IN_INVERT, "in invert");
        Some(-change)
    }
}

fn push(topic: &str, number: i64, base: Option<u64>) -> Submitted {
    let fields = Fields::of_type("push").with("n", number);
    let change = ChangeBody::Fields(fields);
    Submitted { topic: name(topic), epoch: None, change, id: None, base: base.map(Version) }
}

fn submit(engine: &Engine, author: &Author, changes: Vec<Submitted>) -> Result<(), Rejection> {
    let action_id = (changes.len() > 1).then(|| ActionId::new("several").unwrap());
    let done = engine.submit_now(author, Submission { action_id, changes: changes.into() });
    done.map(drop).map_err(|rejected| rejected.rejection)
}

#[test]
fn a_panic_in_a_types_code_rejects_the_change_and_leaves_everything_as_it_was() {
    for with_validator in [false, true] {
        let validators: Vec<Validator> = match with_validator {
            true => vec![Arc::new(|_| Ok(()))],
            false => Vec::new(),
        };
        let registry = Registry::default().with::<Bomb>();
        let engine = Engine::new(EngineConfig { registry, validators, ..EngineConfig::default() });
        let open =
            |topic| engine.open(&name(topic), Some("bomb"), TopicOptions::default()).unwrap();
        let (a, b, author) = (open("a"), open("b"), Author::new(ClientId(1), None));
        let panicked = |result| matches!(result, Err(Rejection::Panicked { type_name: "bomb" }));
        submit(&engine, &author, vec![push("a", 1, None)]).unwrap();
        submit(&engine, &author, vec![push("a", IN_REBASE, None)]).unwrap();
        let value = |cell: &TopicCell| cell.snapshot().value.get::<Bomb>().unwrap().clone();
        for changes in [
            vec![push("a", IN_APPLY, None)],
            vec![push("a", IN_DECODE, None)],
            vec![push("a", 2, Some(1))],
            vec![push("b", 5, None), push("a", 6, None), push("a", IN_APPLY, None)],
        ] {
            assert!(panicked(submit(&engine, &author, changes)));
            assert_eq!((value(&a), value(&b)), (vec![1, IN_REBASE], vec![]));
            assert_eq!((a.head(), b.head()), (Version(2), Version(0)));
        }
        submit(&engine, &author, vec![push("a", 3, Some(2)), push("b", 4, None)]).unwrap();
        submit(&engine, &author, vec![push("a", IN_INVERT, None)]).unwrap();
        let undone = engine.reverse(&author, Direction::Undo, &mut Group::default());
        // Nothing on a, where it cannot be worked out any more; of the action before, what it did on b.
        let skipped: Vec<_> = undone.skipped.iter().map(|it| it.topic.clone()).collect();
        assert_eq!((undone.done.len(), skipped), (1, vec![name("a"), name("a")]));
        assert_eq!((value(&a), value(&b)), (vec![1, IN_REBASE, 3, IN_INVERT], vec![4, -4]));
        submit(&engine, &author, vec![push("a", 4, None)]).unwrap();
    }
}

#[test]
fn a_panic_in_a_validator_rejects_the_change_and_leaves_everything_as_it_was() {
    let validator: Validator = Arc::new(|validated: &Validated<'_>| {
        assert!(*validated.value.get::<Int>().unwrap() < 100, "too much");
        Ok(())
    });
    let engine =
        Engine::new(EngineConfig { validators: vec![validator], ..EngineConfig::default() });
    let (a, b, author) = (int(&engine, "a"), int(&engine, "b"), Author::new(ClientId(1), None));
    let own = add(&engine, &author, None, &[("a", 5)]);
    assert!(own.is_ok());
    for topics in [&[("a", 200)][..], &[("b", 1), ("a", 200)]] {
        let result = add(&engine, &author, None, topics);
        assert!(matches!(result, Err(Rejection::Panicked { .. })), "{result:?}");
        assert_eq!((value(&a), value(&b)), (5, 0));
    }
    assert!(add(&engine, &author, None, &[("a", 5), ("b", 5)]).is_ok());
}

#[test]
fn a_client_cannot_name_an_id_of_the_servers() {
    let engine = engine(Arc::new(MemoryJournal::new()), Durability::Memory);
    let (a, own) = (int(&engine, "a"), Ears::new(1));
    let author = Author::new(ClientId(1), Some(own.clone()));
    for id in ["1_s0", "1_s2.7"] {
        let mut change = Submitted::typed::<Int>(name("a"), IntChange::Add(5));
        change.id = Some(ChangeId::new(id).unwrap());
        let refused = submit(&engine, &author, vec![change]);
        assert!(matches!(refused, Err(Rejection::Forbidden(_))), "{id}");
    }
    add(&engine, &author, None, &[("a", 1)]).unwrap();
    assert_eq!((value(&a), own.take()), (1, vec!["a 1".to_owned()]));
}

#[test]
fn undo_goes_on_to_the_next_action_that_can_be_undone() {
    let journal = Arc::new(MemoryJournal::new());
    let keys = |cell: &TopicCell| {
        let snapshot = cell.snapshot().value;
        let mut keys: Vec<String> =
            snapshot.get::<Dict>().unwrap().iter().map(|(key, _)| key.to_string()).collect();
        keys.sort();
        keys.join(" ")
    };
    for restarts in [false, true] {
        let me = ClientId(1 + u64::from(restarts));
        let topic = if restarts { "later" } else { "d" };
        let mut engine = engine(journal.clone(), Durability::Commit);
        let mut author = Author::new(me, None);
        let change = |engine: &Engine, author: &Author, change| {
            let change = Submitted::typed::<Dict>(name(topic), change);
            submit(engine, author, vec![change]).unwrap();
        };
        let put = |key: &str| DictChange::Add { key: key.into(), value: Value::Null };
        let take = |key: &str| DictChange::Remove { key: key.into() };
        engine.open(&name(topic), Some("dict"), TopicOptions::default()).unwrap();
        ["x", "y", "z"].into_iter().for_each(|key| change(&engine, &author, put(key)));
        // Of the two newest, others have left nothing.
        let other = Author::new(ClientId(9), None);
        ["y", "z"].into_iter().for_each(|key| change(&engine, &other, take(key)));
        engine.settle();
        if restarts {
            engine = super::engine(journal.clone(), Durability::Commit);
            author = Author::from_before(me, None, engine.life());
        }
        let cell = engine.get(&name(topic)).unwrap();
        let undone = engine.reverse(&author, Direction::Undo, &mut Group::default());
        assert!(undone.action_id.is_some(), "{undone:?}");
        assert_eq!((undone.done.len(), keys(&cell)), (1, String::new()));
        engine.settle();
        let redone = engine.reverse(&author, Direction::Redo, &mut Group::default());
        assert_eq!((redone.done.len(), keys(&cell)), (1, "x".to_owned()));
        engine.settle();
    }
}
