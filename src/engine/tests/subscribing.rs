//! Subscribing: what a subscriber is brought up with, and what is delivered to it after.

use super::*;

#[test]
fn every_change_is_in_the_catch_up_or_delivered_after_it_and_never_both() {
    const CHANGES: u64 = 3_000;
    let engine = Arc::new(engine(Arc::new(MemoryJournal::new()), Durability::Memory));
    let a = int(&engine, "a");
    let writer = {
        let engine = engine.clone();
        std::thread::spawn(move || {
            let author = Author::new(ClientId(1), None);
            for _ in 0..CHANGES {
                add(&engine, &author, None, &[("a", 1)]).unwrap();
            }
        })
    };
    let mut since = Vec::new();
    for id in 10..60 {
        let ears = Ears::new(id);
        let caught_up = a.subscribe(ears.clone(), Some(Version(0))).unwrap();
        since.push((caught_up, ears));
    }
    writer.join().unwrap();
    for (caught_up, ears) in since {
        let part = |item: &Item| item.parts[0].version;
        let mut got: Vec<String> =
            caught_up.items.iter().map(|item| format!("a {}", part(item))).collect();
        got.extend(ears.take());
        let all: Vec<String> = (1..=CHANGES).map(|version| format!("a {version}")).collect();
        assert!(got == all, "up to {}", caught_up.version);
    }
}

#[test]
fn what_waits_to_be_published_goes_to_those_before_and_is_caught_up_by_the_new_one() {
    let engine = engine(Arc::new(MemoryJournal::new()), Durability::Memory);
    let (a, author) = (int(&engine, "a"), Author::new(ClientId(1), None));
    let (before, new) = (Ears::new(7), Ears::new(8));
    assert!(a.subscribe(before.clone(), None).is_some());
    let change = Submitted::typed::<Int>(name("a"), IntChange::Add(1));
    let submission = Submission { action_id: None, changes: [change].into_iter().collect() };
    let mut group = Group::default();
    assert!(engine.submit(&author, submission, &mut group).is_ok());
    let caught_up = a.subscribe(new.clone(), None).unwrap();
    assert_eq!((caught_up.version, caught_up.continues), (Version(1), false));
    engine.publish(&mut group);
    assert_eq!((before.take(), new.take()), (vec!["a 1".to_owned()], vec![]));
    engine.remove(&name("a"));
    assert!(a.subscribe(new, None).is_none());
}
