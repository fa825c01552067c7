//! What clocks that jump do, and do not do.

use super::*;
use crate::topic::Uptime;

/// Clocks that stand where they are put.
#[derive(Default)]
struct Hands {
    wall: AtomicU64,
    uptime: AtomicU64,
}

impl Hands {
    fn put(&self, wall: u64, uptime: u64) {
        self.wall.store(wall, Ordering::Relaxed);
        self.uptime.store(uptime, Ordering::Relaxed);
    }
}

impl Clock for Hands {
    fn wall(&self) -> Timestamp {
        Timestamp(self.wall.load(Ordering::Relaxed))
    }

    fn uptime(&self) -> Uptime {
        Uptime(self.uptime.load(Ordering::Relaxed))
    }
}

const HOUR: u64 = 3_600_000;

fn with_hands(journal: Arc<dyn Journal>, durability: Durability) -> (Engine, Arc<Hands>) {
    let hands = Arc::new(Hands::default());
    hands.put(10 * HOUR, 5);
    let config = EngineConfig { clock: hands.clone(), ..config(journal, durability) };
    (Engine::begin(config).unwrap().0, hands)
}

fn many(engine: &Engine, author: &Author, count: u64) {
    for at in 0..count {
        add(engine, author, None, &[("a", 0)]).unwrap();
        if at % 50 == 0 {
            engine.settle();
            engine.tick();
        }
    }
    engine.settle();
}

#[test]
fn a_resend_is_known_though_the_wall_clock_jumped() {
    for durability in [Durability::Memory, Durability::Commit] {
        let (engine, hands) = with_hands(Arc::new(MemoryJournal::new()), durability);
        let brief = TopicOptions { no_history: true, ..TopicOptions::default() };
        let a = engine.open(&name("a"), Some("int"), brief).unwrap();
        let author = Author::new(ClientId(1), None);
        add(&engine, &author, Some(1), &[("a", 5)]).unwrap();
        hands.put(11 * HOUR, 900);
        many(&engine, &author, 6_000);
        let again = add(&engine, &author, Some(1), &[("a", 5)]);
        assert_eq!((again, value(&a)), (Ok(vec![Version(1)]), 5), "{durability:?}");
        if durability == Durability::Commit {
            drop(a);
            engine.evict_idle();
            engine.evict_idle();
            assert_eq!(engine.topics_in_memory_len(), 0);
            let again = add(&engine, &author, Some(1), &[("a", 5)]);
            assert_eq!(again, Ok(vec![Version(1)]), "after it was loaded again");
        }
        // By the process's own time it is long ago.
        for uptime in [9_000, 11_000] {
            hands.put(0, uptime);
            many(&engine, &author, 300);
        }
        assert_eq!(
            engine.get(&name("a")).unwrap().lock().version_of(&ChangeId::of(ClientId(1), 100)),
            None
        );
    }
}

#[test]
fn what_an_earlier_life_accepted_is_known_for_as_long_from_when_the_next_began() {
    let journal = Arc::new(MemoryJournal::new());
    let author = Author::new(ClientId(1), None);
    {
        let (engine, hands) = with_hands(journal.clone(), Durability::Commit);
        int(&engine, "a");
        add(&engine, &author, Some(1), &[("a", 5)]).unwrap();
        hands.put(10 * HOUR + 2_000, 2_005);
        add(&engine, &author, Some(2), &[("a", 5)]).unwrap();
        many(&engine, &author, 3_000);
    }
    let (engine, hands) = with_hands(journal, Durability::Commit);
    hands.put(20 * HOUR, 900);
    let known =
        |id| engine.get(&name("a")).unwrap().lock().version_of(&ChangeId::of(ClientId(1), id));
    assert_eq!((known(100), known(200)), (None, Some(Version(2))));
    many(&engine, &author, 3_000);
    assert_eq!(known(200), Some(Version(2)));
    hands.put(20 * HOUR, 1_010);
    many(&engine, &author, 3_000);
    assert_eq!(known(200), None);
}

#[test]
fn timestamps_of_a_log_do_not_go_back_with_the_wall_clock() {
    let (engine, hands) = with_hands(Arc::new(MemoryJournal::new()), Durability::Memory);
    let (a, author) = (int(&engine, "a"), Author::new(ClientId(1), None));
    for (wall, logged) in [(10, 10), (12, 12), (7, 12), (13, 13)] {
        hands.put(wall * HOUR, 5);
        add(&engine, &author, None, &[("a", 1)]).unwrap();
        assert_eq!(a.lock().topic.log().time(), Timestamp(logged * HOUR));
    }
}

#[test]
fn trimming_keeps_an_action_whole_or_not_at_all() {
    let config = EngineConfig {
        resumable_ms: 0,
        ..config(Arc::new(MemoryJournal::new()), Durability::Memory)
    };
    let engine = Engine::new(config);
    let keep = TopicOptions { keep: Keep::Versions(300), ..TopicOptions::default() };
    let a = engine.open(&name("a"), Some("int"), keep).unwrap();
    let (me, others) = (Author::new(ClientId(1), None), Author::new(ClientId(2), None));
    let undo = || {
        let mut group = Group::default();
        let undone = engine.reverse(&me, Direction::Undo, &mut group);
        engine.publish(&mut group);
        undone
    };
    many(&engine, &others, 251);
    add(&engine, &me, None, &[("a", 1); 10]).unwrap();
    many(&engine, &others, 297);
    let oldest = a.oldest();
    assert_eq!(oldest, Version(251), "not within the action");
    let undone = undo();
    assert_eq!((undone.done.len(), value(&a)), (10, 0));
    add(&engine, &me, None, &[("a", 1); 10]).unwrap();
    many(&engine, &others, 900);
    let undone = undo();
    assert_eq!((undone.done.len(), undone.skipped.len(), value(&a)), (0, 1, 10));
}
