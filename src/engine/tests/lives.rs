//! Lives of servers and of topics: what a later one may take over from an earlier one, and what not.

use super::*;
use crate::journal::{Checkpoint, CommitError, Extent, Head, Logged, TopicRecord};

/// Plays lives of a server, each with its durability, whether it ends well, and a change in between; after
/// each, the epoch and head that a client could have seen.
fn play(lives: &[(Durability, bool)]) -> Vec<(Epoch, Version, Vec<i64>)> {
    let journal = Arc::new(MemoryJournal::new());
    let author = Author::new(ClientId(1), None);
    let mut seen = Vec::new();
    for (durability, ends_well) in lives {
        let engine = engine(journal.clone(), *durability);
        let a = int(&engine, "a");
        add(&engine, &author, None, &[("a", 1)]).unwrap();
        engine.settle();
        // Published at once where that is what relaxed means, and lost with a crash.
        if *durability == Durability::Relaxed && !ends_well {
            add(&engine, &author, None, &[("a", 100)]).unwrap();
        }
        let published = a.published();
        let values = (0..=published.version.0)
            .filter_map(|at| a.value_at(Moment::Version(Version(at))).ok())
            .map(|snapshot| *snapshot.value.get::<Int>().unwrap())
            .collect();
        seen.push((a.epoch().clone(), published.version, values));
        if *ends_well {
            engine.close().unwrap();
        }
    }
    seen
}

#[test]
fn a_version_of_an_epoch_never_has_another_value_in_a_later_life() {
    let durabilities = [Durability::Commit, Durability::Relaxed, Durability::Memory];
    let lives: Vec<_> = durabilities.iter().flat_map(|it| [(*it, true), (*it, false)]).collect();
    for first in &lives {
        for second in &lives {
            for third in &lives {
                let lives = [*first, *second, *third];
                let seen = play(&lives);
                for (at, (epoch, version, values)) in seen.iter().enumerate() {
                    for (later, head, later_values) in &seen[at + 1..] {
                        if epoch != later {
                            continue;
                        }
                        assert!(version <= head, "{lives:?}: {seen:?}");
                        assert_eq!(values[..], later_values[..values.len()], "{lives:?}: {seen:?}");
                    }
                }
                let all_safe = lives.iter().all(|(it, well)| {
                    *it == Durability::Commit || (*it == Durability::Relaxed && *well)
                });
                let is_one = seen.iter().all(|(epoch, ..)| *epoch == seen[0].0);
                assert!(is_one || !all_safe, "{lives:?}: clients start afresh for nothing");
            }
        }
    }
}

#[test]
fn a_life_that_ends_before_it_dealt_with_the_one_before_leaves_that_to_the_next() {
    let journal = Arc::new(MemoryJournal::new());
    let epoch = |durability| int(&engine(journal.clone(), durability), "a").epoch().clone();
    let first = engine(journal.clone(), Durability::Relaxed);
    let before = int(&first, "a").epoch().clone();
    first.settle();
    drop(first);
    // It reads the journal, and is killed.
    journal.begin().unwrap();
    assert_ne!(epoch(Durability::Commit), before);
}

#[test]
fn a_removal_in_a_life_in_memory_is_kept() {
    let journal = Arc::new(MemoryJournal::new());
    let first = engine(journal.clone(), Durability::Commit);
    int(&first, "a");
    first.settle();
    let second = engine(journal.clone(), Durability::Memory);
    assert!(second.remove(&name("a")));
    second.settle();
    assert!(second.get(&name("a")).is_none());
    assert_eq!(journal.topics().unwrap(), []);
}

#[test]
fn numbers_are_dense_after_a_clean_stop() {
    let journal = Arc::new(MemoryJournal::new());
    let author = Author::new(ClientId(1), None);
    let mut expected = (1, 1);
    for ends_well in [true, true, false, true] {
        let engine = engine(journal.clone(), Durability::Commit);
        int(&engine, "a");
        for _ in 0..5 {
            add(&engine, &author, None, &[("a", 1)]).unwrap();
        }
        engine.settle();
        let (client, commit) = (engine.next_client().unwrap().0, engine.commit().0);
        if ends_well {
            engine.close().unwrap();
        }
        assert!(client >= expected.0 && commit >= expected.1 + 4);
        if expected.0 < 1_000 {
            assert_eq!((client, commit), (expected.0, expected.1 + 4));
        }
        expected = match ends_well {
            true => (client + 1, commit + 1),
            false => (1 << 14, 1 << 20),
        };
    }
}

#[test]
fn when_the_journal_fails_two_lives_of_a_name_fall_back_each_for_itself() {
    for fault in [Fault::Full, Fault::Unsynced] {
        let journal = Arc::new(MemoryJournal::new());
        let engine = engine(journal.clone(), Durability::Commit);
        let (old, author) = (int(&engine, "a"), Author::new(ClientId(1), None));
        let other = int(&engine, "b");
        add(&engine, &author, None, &[("a", 1)]).unwrap();
        engine.settle();
        journal.fail(Some(fault));
        add(&engine, &author, None, &[("a", 10)]).unwrap();
        engine.remove(&name("a"));
        let new = int(&engine, "a");
        add(&engine, &author, None, &[("a", 100)]).unwrap();
        engine.settle();
        assert_eq!((old.head(), new.head()), (Version(1), Version(0)), "{fault:?}");
        journal.fail(None);
        engine.settle();
        add(&engine, &author, None, &[("a", 1_000), ("b", 1)]).unwrap();
        engine.settle();
        assert!(engine.journal_state().works);
        assert_eq!((new.settled().version, other.settled().version), (Version(1), Version(1)));
        assert_eq!(value(&new), 1_000);
        let record = journal.topic(&name("a")).unwrap().unwrap();
        assert_eq!(
            (record.epoch, journal.extent(&name("a")).unwrap().head),
            (new.epoch().clone(), Version(1))
        );
    }
}

/// A journal in which one lookup of a topic waits for the topic's making to be durable, if that comes soon.
#[derive(Default)]
struct Slow {
    journal: MemoryJournal,
    state: Mutex<Lookups>,
    changed: parking_lot::Condvar,
}

#[derive(Default)]
struct Lookups {
    begun: usize,
    is_made: bool,
}

impl Slow {
    /// Waits until `is_so`, but not for ever: it may rightly never be.
    fn wait(&self, is_so: impl Fn(&Lookups) -> bool) {
        let mut state = self.state.lock();
        while !is_so(&state) {
            let at_most = std::time::Duration::from_millis(300);
            if self.changed.wait_for(&mut state, at_most).timed_out() {
                break;
            }
        }
    }

    fn note(&self, note: impl FnOnce(&mut Lookups)) {
        note(&mut self.state.lock());
        self.changed.notify_all();
    }
}

impl Journal for Slow {
    fn topic(&self, name: &TopicName) -> Result<Option<TopicRecord>, JournalError> {
        let begun = self.state.lock().begun;
        self.note(|state| state.begun += 1);
        if begun == 1 {
            self.wait(|state| state.is_made);
        }
        self.journal.topic(name)
    }

    fn begin(&self) -> Result<Beginning, JournalError> {
        self.journal.begin()
    }

    fn commit(&self, group: &[Operation]) -> Result<(), CommitError> {
        self.journal.commit(group)
    }

    fn reopen(&self, heads: &[Head]) -> Result<(), JournalError> {
        self.journal.reopen(heads)
    }

    fn topics(&self) -> Result<Vec<TopicRecord>, JournalError> {
        self.journal.topics()
    }

    fn extent(&self, name: &TopicName) -> Result<Extent, JournalError> {
        self.journal.extent(name)
    }

    fn read(
        &self,
        name: &TopicName,
        after: Version,
        to: Version,
    ) -> Result<Vec<Logged>, JournalError> {
        self.journal.read(name, after, to)
    }

    fn checkpoint(
        &self,
        name: &TopicName,
        version: Version,
    ) -> Result<Option<Checkpoint>, JournalError> {
        self.journal.checkpoint(name, version)
    }

    fn version_at(&self, name: &TopicName, moment: Moment) -> Result<Version, JournalError> {
        self.journal.version_at(name, moment)
    }

    fn by_author(
        &self,
        author: ClientId,
        limit: usize,
    ) -> Result<Vec<(TopicName, Logged)>, JournalError> {
        self.journal.by_author(author, limit)
    }
}

#[test]
fn a_topic_that_is_made_while_somebody_looks_for_it_is_one() {
    let slow = Arc::new(Slow::default());
    let in_the_midst = slow.clone();
    let config = EngineConfig {
        // Between the look whether there is the topic and its coming into memory, somebody else looks.
        epochs: Arc::new(move || {
            in_the_midst.wait(|state| state.begun == 2);
            random_epoch()
        }),
        ..config(slow.clone(), Durability::Commit)
    };
    let engine = Arc::new(Engine::new(config));
    let made = {
        let (engine, slow) = (engine.clone(), slow.clone());
        std::thread::spawn(move || {
            let cell = int(&engine, "a");
            engine.settle();
            slow.note(|state| state.is_made = true);
            cell
        })
    };
    slow.wait(|state| state.begun == 1);
    let found = engine.find(&name("a")).unwrap();
    let made = made.join().unwrap();
    if let Some(found) = found {
        assert!(Arc::ptr_eq(&found, &made));
    }
    assert!(Arc::ptr_eq(&engine.get(&name("a")).unwrap(), &made));
}
