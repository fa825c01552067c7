//! Looking into the past: answers that are final, and that are there though the journal is down.

use super::*;
use crate::engine::history::CutError;

fn names_at(engine: &Engine, commit: CommitNumber) -> Vec<String> {
    let cut = engine.cut(commit, |_| true).unwrap();
    cut.iter().map(|at| format!("{} {}", at.name, at.snapshot.version)).collect()
}

#[test]
fn a_cut_is_refused_or_waits_until_it_is_final() {
    let engine = engine(Arc::new(MemoryJournal::new()), Durability::Commit);
    let memory = TopicOptions { durability: Some(Durability::Memory), ..TopicOptions::default() };
    engine.open(&name("m"), Some("int"), memory).unwrap();
    let (a, author) = (int(&engine, "a"), Author::new(ClientId(1), None));
    add(&engine, &author, None, &[("a", 1)]).unwrap();
    engine.settle();
    let settled = engine.commit();
    // Half of it is in memory alone: it waits with the other half.
    add(&engine, &author, None, &[("a", 10), ("m", 10)]).unwrap();
    let newest = engine.commit();
    let at = |commit| engine.cut(commit, |_| true);
    assert!(matches!(at(newest), Err(CutError::Unsettled { .. })));
    assert!(matches!(a.value_at(Moment::Commit(newest)), Err(PastError::Unsettled)));
    assert!(matches!(at(CommitNumber(newest.0 + 1)), Err(CutError::NotYet { .. })));
    assert_eq!(names_at(&engine, settled), ["a 1", "m 0"]);
    engine.settle();
    assert_eq!(names_at(&engine, newest), ["a 2", "m 1"]);
    assert_eq!(names_at(&engine, settled), ["a 1", "m 0"]);
    assert!(matches!(
        engine.settled_value_at(&a, Moment::Commit(CommitNumber(newest.0 + 1))),
        Err(PastError::NotKept)
    ));
}

#[test]
fn who_waits_for_a_cut_gets_the_one_that_stays() {
    let engine = Arc::new(engine(Arc::new(MemoryJournal::new()), Durability::Commit));
    int(&engine, "a");
    int(&engine, "b");
    let journal = {
        let engine = engine.clone();
        std::thread::spawn(move || engine.run_journal())
    };
    let writer = {
        let engine = engine.clone();
        std::thread::spawn(move || {
            let author = Author::new(ClientId(1), None);
            for _ in 0..400 {
                add(&engine, &author, None, &[("a", 1), ("b", 1)]).unwrap();
            }
        })
    };
    let mut cuts = Vec::new();
    while !writer.is_finished() {
        let commit = engine.commit();
        let cut = engine.settled_cut(commit, |_| true).unwrap();
        let versions: Vec<_> = cut.iter().map(|at| at.snapshot.version).collect();
        assert!(versions.windows(2).all(|pair| pair[0] == pair[1]), "whole actions: {versions:?}");
        cuts.push((commit, versions));
    }
    writer.join().unwrap();
    for (commit, versions) in cuts {
        let cut = engine.settled_cut(commit, |_| true).unwrap();
        let again: Vec<_> = cut.iter().map(|at| at.snapshot.version).collect();
        assert_eq!(again, versions, "at {commit}");
    }
    engine.stop_journal();
    journal.join().unwrap();
}

#[test]
fn a_fork_was_not_there_before_it_was_made() {
    let journal = Arc::new(MemoryJournal::new());
    let (before, after) = {
        let engine = engine(journal.clone(), Durability::Commit);
        let (a, author) = (int(&engine, "a"), Author::new(ClientId(1), None));
        add(&engine, &author, None, &[("a", 1)]).unwrap();
        engine.settle();
        let before = engine.commit();
        engine.fork(&a, Version(1), &name("fork")).unwrap();
        engine.settle();
        assert_eq!(names_at(&engine, before), ["a 1"]);
        assert_eq!(names_at(&engine, engine.commit()), ["a 1", "fork 1"]);
        let time = Timestamp(NOW.load(Ordering::Relaxed) - 1);
        add(&engine, &author, None, &[("fork", 1)]).unwrap();
        engine.settle();
        let fork = engine.get(&name("fork")).unwrap();
        assert_eq!(fork.value_at(Moment::Time(time)).unwrap().version, Version(1));
        assert!(fork.value_at(Moment::Time(Timestamp(1))).is_err());
        (before, engine.commit())
    };
    let engine = engine(journal, Durability::Commit);
    for _ in 0..2 {
        assert_eq!(names_at(&engine, before), ["a 1"]);
        assert_eq!(names_at(&engine, after), ["a 1", "fork 2"]);
        engine.get(&name("fork")).unwrap();
    }
}

#[test]
fn what_is_trimmed_is_not_taken_for_older_than_it_is() {
    let journal = Arc::new(MemoryJournal::new());
    let commit_of_6000 = {
        let engine = Engine::new(EngineConfig {
            resumable_ms: 0,
            ..config(journal.clone(), Durability::Commit)
        });
        let keep = TopicOptions { keep: Keep::Versions(500), ..TopicOptions::default() };
        engine.open(&name("t"), Some("string"), keep).unwrap();
        let cell = long_text(&engine, 6_000);
        cell.snapshot().commit
    };
    let engine = engine(journal.clone(), Durability::Commit);
    let oldest = journal.extent(&name("t")).unwrap().oldest;
    assert!(oldest > Version(3_000), "{oldest}");
    let at = |version: Version| CommitNumber(commit_of_6000.0 - (6_000 - version.0));
    for _ in 0..2 {
        // First from the journal alone, then in memory.
        assert_eq!(names_at(&engine, at(oldest)), [format!("t {oldest}")]);
        assert_eq!(names_at(&engine, CommitNumber(at(oldest).0 - 1)), [""; 0]);
        let cell = engine.get(&name("t")).unwrap();
        assert!(cell.value_at(Moment::Commit(CommitNumber(5))).is_err());
    }
}

#[test]
fn a_presence_topic_is_not_forked() {
    let engine = engine(Arc::new(MemoryJournal::new()), Durability::Memory);
    let presence = TopicOptions { presence: true, ..TopicOptions::default() };
    let here = engine.open(&name("here"), Some("dict"), presence).unwrap();
    let forked = engine.fork(&here, Version(0), &name("there"));
    assert!(matches!(forked, Err(OpenError::Presence(_))));
    assert!(engine.get(&name("there")).is_none());
}

#[test]
fn readers_are_answered_while_the_journal_is_down() {
    let journal = Arc::new(MemoryJournal::new());
    let engine = engine(journal.clone(), Durability::Commit);
    let (a, author) = (int(&engine, "a"), Author::new(ClientId(1), None));
    add(&engine, &author, None, &[("a", 1)]).unwrap();
    engine.settle();
    let answered = Arc::new(AtomicU64::new(0));
    let ask = || {
        let (answered, a) = (answered.clone(), a.clone());
        engine.before_reading(Box::new(move || {
            assert_eq!(a.value_at(Moment::Version(Version(1))).unwrap().version, Version(1));
            answered.fetch_add(1, Ordering::Relaxed);
        }));
    };
    journal.fail(Some(Fault::Full));
    add(&engine, &author, None, &[("a", 10)]).unwrap();
    ask();
    assert_eq!(answered.load(Ordering::Relaxed), 0, "what was accepted before is not settled");
    engine.settle();
    assert_eq!(answered.load(Ordering::Relaxed), 1);
    // A new client tries a change: its session is to be recorded, once there is space again.
    let session = SessionRecord {
        id: ClientId(3),
        token: "secret".into(),
        since: Timestamp(5),
        services: Vec::new(),
    };
    engine.keep(Operation::Session(session));
    assert!(add(&engine, &author, None, &[("a", 1)]).is_err());
    ask();
    assert_eq!(answered.load(Ordering::Relaxed), 2);
    let undone = engine.reverse(&author, Direction::Undo, &mut Group::default());
    assert_eq!((undone.action_id, undone.waits, undone.skipped.len()), (None, false, 1));
    journal.fail(None);
    engine.settle();
    let undone = engine.reverse(&author, Direction::Undo, &mut Group::default());
    assert!(undone.action_id.is_some() && undone.waits, "it is still there to be undone");
    assert_eq!(value(&a), 0);
}
