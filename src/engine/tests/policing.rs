//! That the policy is asked on every way to a change, and validators know whose change they look at.

use std::sync::atomic::AtomicBool;

use super::*;
use crate::engine::policy::Operation as Deed;

/// Denies changes while it is told to.
#[derive(Default)]
struct Frozen(AtomicBool);

impl Policy for Frozen {
    fn authorize(&self, principal: &Principal, operation: &Deed<'_>) -> Result<(), Denied> {
        match operation {
            Deed::Change { .. } if self.0.load(Ordering::Relaxed) => Err(Denied::new("frozen")),
            _ => Rules.authorize(principal, operation),
        }
    }
}

#[test]
fn changes_undos_and_redos_are_authorized() {
    let policy = Arc::new(Frozen::default());
    let config = EngineConfig {
        policy: policy.clone(),
        ..config(Arc::new(MemoryJournal::new()), Durability::Memory)
    };
    let engine = Engine::new(config);
    let (a, author) = (int(&engine, "a"), Author::new(ClientId(1), None));
    add(&engine, &author, None, &[("a", 1)]).unwrap();
    let reverse = |direction| engine.reverse(&author, direction, &mut Group::default());
    reverse(Direction::Undo);
    add(&engine, &author, None, &[("a", 10)]).unwrap();

    policy.0.store(true, Ordering::Relaxed);
    assert_eq!(
        add(&engine, &author, None, &[("a", 1)]),
        Err(Rejection::Forbidden("frozen".into()))
    );
    let undone = reverse(Direction::Undo);
    assert_eq!((undone.action_id, undone.skipped.len()), (None, 1));
    assert_eq!((undone.skipped[0].reason.as_str(), value(&a)), ("frozen", 10));
}

#[test]
fn a_session_changes_only_its_own_entry_and_no_topic_of_the_servers() {
    let engine = engine(Arc::new(MemoryJournal::new()), Durability::Memory);
    let presence = TopicOptions { presence: true, ..TopicOptions::default() };
    engine.open(&name("here"), Some("dict"), presence).unwrap();
    engine.open(&name("_topicsync/list"), Some("dict"), TopicOptions::default()).unwrap();
    let submit = |author: &Author, topic: &str, key: &str| {
        let change = DictChange::Add { key: key.into(), value: crate::value::Value::Null };
        let change = Submitted::typed::<Dict>(name(topic), change);
        let changes = [change].into_iter().collect();
        let done = engine.submit_now(author, Submission { action_id: None, changes });
        done.map(drop).map_err(|rejected| rejected.rejection)
    };
    let client = Author::new(ClientId(7), None);
    assert!(submit(&client, "here", "7").is_ok());
    for (topic, key) in [("here", "8"), ("here", "07"), ("_topicsync/list", "7")] {
        assert!(matches!(submit(&client, topic, key), Err(Rejection::Forbidden(_))), "{topic}");
    }
    assert!(submit(&Author::server(1), "_topicsync/list", "7").is_ok());
}

#[test]
fn a_validator_knows_whose_change_it_looks_at() {
    let engine = Engine::new(EngineConfig {
        validators: vec![Arc::new(|validated: &Validated<'_>| match validated.principal.id() {
            ClientId(1) => Ok(()),
            other => Err(format!("{other} may not write {}", validated.topic.name())),
        })],
        ..EngineConfig::default()
    });
    int(&engine, "a");
    assert!(add(&engine, &Author::new(ClientId(1), None), None, &[("a", 1)]).is_ok());
    assert_eq!(
        add(&engine, &Author::new(ClientId(2), None), None, &[("a", 1)]),
        Err(Rejection::Refused("2 may not write a".into()))
    );
}
