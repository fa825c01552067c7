//! The engine over a journal: what is published when, what a failure leaves, what a restart finds.

mod lives;
mod locks;
mod observing;
mod past;
mod policing;
mod sharing;
mod subscribing;
mod timing;
mod trouble;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::*;
use crate::journal::{Fault, Operation, SessionRecord};
use crate::topic::{ActionId, ChangeId, Keep, Moment, Rejection, TopicOptions, Version};
use crate::types::TypeRef;
use crate::types::dict::{Dict, DictChange};
use crate::types::int::{Int, IntChange};
use crate::types::string::{String as Text, StringChange};

/// What somebody heard, in words.
#[derive(Default)]
struct Ears {
    id: ClientId,
    heard: Mutex<Vec<String>>,
}

impl Ears {
    fn new(id: u64) -> Arc<Ears> {
        Arc::new(Ears { id: ClientId(id), heard: Mutex::default() })
    }

    fn hear(&self, publication: &Publication) {
        for part in publication.items.iter().flat_map(|item| &item.parts) {
            self.heard.lock().push(format!("{} {}", part.topic.name(), part.version));
        }
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.heard.lock())
    }
}

impl Subscriber for Ears {
    fn client_id(&self) -> ClientId {
        self.id
    }

    fn deliver(&self, publication: &Arc<Publication>) {
        self.hear(publication);
    }

    fn topic_removed(&self, topic: &Arc<TopicCell>) {
        self.heard.lock().push(format!("{} removed", topic.name()));
    }
}

impl Origin for Ears {
    fn confirm(&self, publication: &Arc<Publication>) {
        self.hear(publication);
    }

    fn lost(&self, item: &Item, rejection: &Rejection) {
        let ids = item.parts.iter().filter_map(|part| part.id.clone());
        let what = if *rejection == Rejection::Busy { "busy" } else { "unavailable" };
        self.heard.lock().extend(ids.map(|id| format!("{id} {what}")));
    }
}

/// A clock that goes on by a millisecond each time it is looked at.
static NOW: AtomicU64 = AtomicU64::new(1_000_000);

fn config(journal: Arc<dyn Journal>, durability: Durability) -> EngineConfig {
    EngineConfig {
        journal,
        durability,
        clock: Arc::new(|| Timestamp(NOW.fetch_add(1, Ordering::Relaxed))),
        resumable_ms: 1_000,
        ..EngineConfig::default()
    }
}

fn engine(journal: Arc<dyn Journal>, durability: Durability) -> Engine {
    Engine::begin(config(journal, durability)).unwrap().0
}

fn name(name: &str) -> TopicName {
    TopicName::new(name).unwrap()
}

fn int(engine: &Engine, topic: &str) -> Arc<TopicCell> {
    engine.open(&name(topic), Some("int"), TopicOptions::default()).unwrap()
}

fn value(cell: &TopicCell) -> i64 {
    *cell.snapshot().value.get::<Int>().unwrap()
}

/// Adds to numbers as one action; under an id, if there is one.
fn add(engine: &Engine, author: &Author, id: Option<u64>, topics: &[(&str, i64)]) -> Made {
    let change = |(at, (topic, by)): (usize, &(&str, i64))| {
        let mut change = Submitted::typed::<Int>(name(topic), IntChange::Add(*by));
        change.id = id.map(|id| ChangeId::of(author.id(), 100 * id + at as u64));
        change
    };
    let action_id = (topics.len() > 1).then(|| ActionId::new("action").unwrap());
    let changes = topics.iter().enumerate().map(change).collect();
    let receipt = engine.submit_now(author, Submission { action_id, changes });
    receipt.map(|receipt| receipt.versions.to_vec()).map_err(|rejected| rejected.rejection)
}

type Made = Result<Vec<Version>, Rejection>;

#[test]
fn a_change_is_published_once_it_is_durable() {
    let engine = engine(Arc::new(MemoryJournal::new()), Durability::Commit);
    let (cell, ears) = (int(&engine, "a"), Ears::new(7));
    cell.attach(ears.clone());
    let author = Author::new(ClientId(1), None);
    add(&engine, &author, None, &[("a", 5)]).unwrap();
    assert_eq!((value(&cell), cell.settled().version), (5, Version(0)));
    assert!(cell.value_at(Moment::Version(Version(1))).is_err(), "nobody has seen it yet");
    assert_eq!(cell.catch_up(None).version, Version(0));
    assert_eq!(ears.take(), [""; 0]);
    engine.settle();
    assert_eq!(ears.take(), ["a 1"]);
    assert_eq!(cell.settled().version, Version(1));
}

#[test]
fn an_action_waits_for_all_its_topics_and_what_comes_behind_it_waits_too() {
    let engine = engine(Arc::new(MemoryJournal::new()), Durability::Memory);
    let durable = TopicOptions { durability: Some(Durability::Commit), ..TopicOptions::default() };
    let b = engine.open(&name("b"), Some("int"), durable).unwrap();
    let (a, ears) = (int(&engine, "a"), Ears::new(7));
    a.attach(ears.clone());
    b.attach(ears.clone());
    let author = Author::new(ClientId(1), None);
    add(&engine, &author, None, &[("a", 1)]).unwrap();
    assert_eq!(ears.take(), ["a 1"], "in memory alone, there is nothing to wait for");
    add(&engine, &author, None, &[("a", 1), ("b", 1)]).unwrap();
    add(&engine, &author, None, &[("a", 1)]).unwrap();
    assert_eq!(ears.take(), [""; 0]);
    engine.settle();
    assert_eq!(ears.take(), ["a 2", "b 1", "a 3"]);
    add(&engine, &author, None, &[("a", 1)]).unwrap();
    assert_eq!(ears.take(), ["a 4"]);
}

fn check_failure(fault: Fault) {
    let journal = Arc::new(MemoryJournal::new());
    let engine = engine(journal.clone(), Durability::Commit);
    let (a, ears) = (int(&engine, "a"), Ears::new(7));
    let b = int(&engine, "b");
    a.attach(ears.clone());
    let own = Ears::new(1);
    let author = Author::new(ClientId(1), Some(own.clone()));
    add(&engine, &author, Some(1), &[("a", 1)]).unwrap();
    engine.settle();
    assert_eq!((ears.take(), own.take()), (vec!["a 1".into()], vec!["a 1".into()]));

    journal.fail(Some(fault));
    add(&engine, &author, Some(2), &[("a", 10)]).unwrap();
    add(&engine, &author, Some(3), &[("a", 100), ("b", 100)]).unwrap();
    engine.settle();
    assert_eq!((value(&a), value(&b)), (1, 0));
    assert_eq!((a.head(), b.head()), (Version(1), Version(0)));
    assert_eq!(ears.take(), [""; 0], "nobody ever saw it");
    assert_eq!(own.take(), [""; 0], "a crash might bring it back");
    let failing = add(&engine, &author, Some(2), &[("a", 10)]);
    assert!(matches!(failing, Err(Rejection::Busy)), "nobody knows yet what became of it");
    let refused = add(&engine, &author, Some(4), &[("a", 1)]).unwrap_err();
    assert!(matches!(&refused, Rejection::Unavailable(why) if why.contains("disk")), "{refused}");
    assert!(a.value_at(Moment::Version(Version(1))).is_ok(), "what was committed can be read");

    journal.fail(None);
    engine.settle();
    assert_eq!(own.take(), ["1_200 unavailable", "1_300 unavailable", "1_301 unavailable"]);
    add(&engine, &author, Some(2), &[("a", 10)]).unwrap();
    engine.settle();
    assert_eq!(ears.take(), ["a 2"]);
    assert_eq!(journal.extent(&name("a")).unwrap().head, a.head());
    assert_eq!(journal.extent(&name("b")).unwrap().head, Version(0));
}

#[test]
fn what_cannot_be_made_durable_is_as_if_it_had_never_been() {
    check_failure(Fault::Full);
}

#[test]
fn a_sync_that_failed_is_no_success() {
    check_failure(Fault::Unsynced);
}

#[test]
fn relaxed_changes_outlive_a_failure_of_the_journal() {
    let journal = Arc::new(MemoryJournal::new());
    let engine = engine(journal.clone(), Durability::Relaxed);
    let (a, ears) = (int(&engine, "a"), Ears::new(7));
    engine.settle();
    a.attach(ears.clone());
    let author = Author::new(ClientId(1), None);
    journal.fail(Some(Fault::Full));
    add(&engine, &author, None, &[("a", 1)]).unwrap();
    assert_eq!(ears.take(), ["a 1"], "it is published at once");
    engine.settle();
    assert!(add(&engine, &author, None, &[("a", 1)]).is_err(), "no more for now");
    journal.fail(None);
    engine.settle();
    assert_eq!(journal.extent(&name("a")).unwrap().head, Version(1));
    assert_eq!(value(&a), 1);
}

#[test]
fn a_restart_finds_what_was_durable_and_knows_what_is_sent_again() {
    let journal = Arc::new(MemoryJournal::new());
    let author = Author::new(ClientId(1), None);
    let (epoch, commit) = {
        let engine = engine(journal.clone(), Durability::Commit);
        let a = int(&engine, "a");
        add(&engine, &author, Some(1), &[("a", 1)]).unwrap();
        engine.settle();
        add(&engine, &author, Some(2), &[("a", 10)]).unwrap();
        (a.epoch().clone(), engine.commit())
    };
    let engine = engine(journal, Durability::Commit);
    assert_eq!(engine.topics_len(), 1);
    let a = engine.get(&name("a")).unwrap();
    assert_eq!((value(&a), a.epoch()), (1, &epoch), "the second was never durable");
    let own = Ears::new(1);
    let author = Author::from_before(ClientId(1), Some(own.clone()), engine.life());
    let again = add(&engine, &author, Some(1), &[("a", 1)]);
    assert_eq!((again, own.take()), (Ok(vec![Version(1)]), vec!["a 1".into()]));
    let again = add(&engine, &author, Some(2), &[("a", 10)]);
    engine.settle();
    assert_eq!((again, own.take()), (Ok(vec![Version(2)]), vec!["a 2".into()]));
    assert_eq!(value(&a), 11);
    assert!(a.snapshot().commit > commit, "no commit number is given twice");
    assert!(engine.next_client().unwrap() > ClientId(1));
}

#[test]
fn a_topic_that_may_have_lost_its_end_gets_another_epoch() {
    let journal = Arc::new(MemoryJournal::new());
    let epochs = |durability| {
        let engine = engine(journal.clone(), durability);
        let epoch = int(&engine, "a").epoch().clone();
        engine.settle();
        (epoch, engine)
    };
    let (first, engine) = epochs(Durability::Relaxed);
    engine.close().unwrap();
    let (second, engine) = epochs(Durability::Relaxed);
    assert_eq!(first, second, "it was closed in good order");
    drop(engine);
    let (third, engine) = epochs(Durability::Relaxed);
    assert_ne!(second, third);
    drop(engine);
    let (_, engine) = epochs(Durability::Commit);
    drop(engine);
    let (kept, engine) = epochs(Durability::Commit);
    drop(engine);
    assert_eq!(epochs(Durability::Commit).0, kept, "`commit` loses nothing");
}

#[test]
fn what_was_done_before_a_restart_can_be_undone_and_redone() {
    let journal = Arc::new(MemoryJournal::new());
    let reverse = |engine: &Engine, author: &Author, direction| {
        let mut group = Group::default();
        let reversed = engine.reverse(author, direction, &mut group);
        engine.publish(&mut group);
        engine.settle();
        reversed.done.len()
    };
    {
        let engine = engine(journal.clone(), Durability::Commit);
        let (a, author) = (int(&engine, "a"), Author::new(ClientId(1), None));
        int(&engine, "b");
        add(&engine, &author, None, &[("a", 1)]).unwrap();
        add(&engine, &author, None, &[("a", 10), ("b", 10)]).unwrap();
        add(&engine, &author, None, &[("a", 100)]).unwrap();
        assert_eq!(reverse(&engine, &author, Direction::Undo), 1);
        assert_eq!(value(&a), 11);
    }
    let engine = engine(journal, Durability::Commit);
    let author = Author::from_before(ClientId(1), None, engine.life());
    let (a, b) = (engine.get(&name("a")).unwrap(), engine.get(&name("b")).unwrap());
    assert_eq!(reverse(&engine, &author, Direction::Redo), 1);
    assert_eq!(value(&a), 111);
    for (undone, left) in [(1, (11, 10)), (2, (1, 0)), (1, (0, 0)), (0, (0, 0))] {
        assert_eq!(reverse(&engine, &author, Direction::Undo), undone);
        assert_eq!((value(&a), value(&b)), left);
    }
}

#[test]
fn idle_topics_leave_memory_and_come_back_unharmed() {
    let engine = engine(Arc::new(MemoryJournal::new()), Durability::Commit);
    let author = Author::new(ClientId(1), None);
    let memory = TopicOptions { durability: Some(Durability::Memory), ..TopicOptions::default() };
    engine.open(&name("m"), Some("int"), memory).unwrap();
    drop(int(&engine, "a"));
    add(&engine, &author, Some(1), &[("a", 5)]).unwrap();
    add(&engine, &author, Some(2), &[("m", 5)]).unwrap();
    engine.evict_idle();
    assert_eq!(engine.evict_idle(), 0, "it is not durable yet");
    engine.settle();
    let held = engine.get(&name("a")).unwrap();
    engine.evict_idle();
    assert_eq!(engine.evict_idle(), 0, "somebody has it");
    drop(held);
    engine.evict_idle();
    assert_eq!((engine.evict_idle(), engine.topics_in_memory().len()), (1, 1));
    assert_eq!(engine.topics_len(), 2);
    assert_eq!(
        add(&engine, &author, Some(1), &[("a", 5)]),
        Ok(vec![Version(1)]),
        "known by its id"
    );
    let (a, m) = (engine.get(&name("a")).unwrap(), engine.get(&name("m")).unwrap());
    assert_eq!((value(&a), value(&m)), (5, 5));
}

/// A text to which a letter was added often, so that most of its log is in the journal alone.
fn long_text(engine: &Engine, changes: usize) -> Arc<TopicCell> {
    let cell = engine.open(&name("t"), Some("string"), TopicOptions::default()).unwrap();
    let author = Author::new(ClientId(1), None);
    for at in 0..changes {
        let letter = char::from(b'a' + (at % 26) as u8).to_string();
        let change = StringChange::insert(at / 2, letter.as_str());
        let changes = [Submitted::typed::<Text>(name("t"), change)].into_iter().collect();
        assert!(engine.submit_now(&author, Submission { action_id: None, changes }).is_ok());
        if at % 100 == 0 {
            engine.settle();
        }
    }
    engine.settle();
    cell
}

#[test]
fn the_past_is_the_same_whether_it_is_in_memory_or_in_the_journal() {
    let changes = 9_000;
    let journal = Arc::new(MemoryJournal::new());
    let (long, short) = (
        engine(journal.clone(), Durability::Commit),
        engine(Arc::new(MemoryJournal::new()), Durability::Memory),
    );
    let (cell, whole) = (long_text(&long, changes), long_text(&short, changes));
    assert!(cell.lock().topic.log().base() > Version(4_000), "little is in memory");
    let checkpoints: Vec<_> = (0..changes as u64)
        .filter_map(|at| journal.checkpoint(&name("t"), Version(at)).unwrap())
        .collect();
    assert!(checkpoints.iter().any(|it| it.version > Version(6_000)));
    for at in (0..=changes as u64).step_by(371) {
        let moment = Moment::Version(Version(at));
        let (old, expected) = (cell.value_at(moment).unwrap(), whole.value_at(moment).unwrap());
        assert_eq!(old.value, expected.value, "version {at}");
        let again = cell.value_at(Moment::Commit(old.commit)).unwrap();
        assert_eq!((again.version, again.value), (Version(at), expected.value));
        let (entries, next) = cell.history(Version(at + 1), None, 500).unwrap();
        assert_eq!(entries.len(), 500.min(changes - at as usize));
        assert_eq!(next.is_none(), at as usize + 500 >= changes);
    }
    let missed = cell.catch_up(Some(Version(2)));
    assert!(missed.continues);
    assert_eq!(missed.items.len(), changes - 2);
}

#[test]
fn a_change_is_carried_over_what_is_in_the_journal_alone() {
    let engines = [Durability::Commit, Durability::Memory]
        .map(|durability| engine(Arc::new(MemoryJournal::new()), durability));
    let values = engines.each_ref().map(|engine| {
        let cell = long_text(engine, 6_000);
        let author = Author::new(ClientId(2), None);
        let mut change = Submitted::typed::<Text>(name("t"), StringChange::insert(3, "HERE"));
        change.base = Some(Version(7));
        let changes = [change].into_iter().collect();
        assert!(engine.submit_now(&author, Submission { action_id: None, changes }).is_ok());
        cell.snapshot().value
    });
    assert_eq!(values[0], values[1]);
}

#[test]
fn what_is_in_the_journal_alone_can_be_undone() {
    let engines = [Durability::Commit, Durability::Memory]
        .map(|durability| engine(Arc::new(MemoryJournal::new()), durability));
    let values = engines.each_ref().map(|engine| {
        let cell = engine.open(&name("t"), Some("string"), TopicOptions::default()).unwrap();
        let author = Author::new(ClientId(2), None);
        let change = Submitted::typed::<Text>(name("t"), StringChange::insert(0, "FIRST"));
        let changes = [change].into_iter().collect();
        assert!(engine.submit_now(&author, Submission { action_id: None, changes }).is_ok());
        long_text(engine, 6_000);
        let reversed = engine.reverse(&author, Direction::Undo, &mut Group::default());
        assert_eq!((reversed.done.len(), reversed.skipped.len()), (1, 0));
        cell.snapshot().value
    });
    assert_eq!(values[0], values[1]);
    assert_eq!(values[0].get::<Text>().unwrap().len_chars(), 6_000);
}

#[test]
fn removal_is_told_once_it_is_durable_and_the_name_is_free() {
    let journal = Arc::new(MemoryJournal::new());
    let engine = engine(journal.clone(), Durability::Commit);
    let (a, ears) = (int(&engine, "a"), Ears::new(7));
    engine.settle();
    a.attach(ears.clone());
    assert!(engine.remove(&name("a")));
    assert_eq!(ears.take(), [""; 0]);
    assert!(engine.get(&name("a")).is_none(), "though the journal still has it");
    let b = int(&engine, "a");
    assert_ne!(a.epoch(), b.epoch());
    engine.settle();
    assert_eq!(ears.take(), ["a removed"]);
    assert_eq!(journal.topic(&name("a")).unwrap().unwrap().epoch, *b.epoch());
    assert_eq!(engine.topics_len(), 1);
    // Twice before either is durable.
    for _ in 0..2 {
        assert!(engine.remove(&name("a")));
        assert!(engine.get(&name("a")).is_none());
        int(&engine, "a");
    }
    assert!(engine.remove(&name("a")));
    engine.settle();
    assert!(engine.get(&name("a")).is_none());
    assert_eq!((engine.topics_len(), journal.topics().unwrap().len()), (0, 0));
}

#[test]
fn trimming_forgets_what_is_not_kept_and_changes_nothing_later() {
    let journal = Arc::new(MemoryJournal::new());
    let engine = engine(journal.clone(), Durability::Commit);
    let keep = TopicOptions { keep: Keep::Versions(1_000), ..TopicOptions::default() };
    engine.open(&name("t"), Some("string"), keep).unwrap();
    // The clock goes on by a millisecond with each change: what is resumable is soon over.
    let cell = long_text(&engine, 9_000);
    let oldest = cell.lock().oldest;
    assert!(oldest > Version(5_000) && oldest <= Version(8_000), "{oldest}");
    assert!(matches!(
        cell.value_at(Moment::Version(Version(oldest.0 - 1))),
        Err(PastError::NotKept)
    ));
    assert!(journal.extent(&name("t")).unwrap().oldest > Version(4_000));
    for at in (oldest.0..=9_000).step_by(97) {
        let text = cell.value_at(Moment::Version(Version(at))).unwrap().value;
        assert_eq!(text.get::<Text>().unwrap().len_chars() as u64, at);
    }
}

#[test]
fn a_fork_goes_on_from_a_past_version() {
    let engine = engine(Arc::new(MemoryJournal::new()), Durability::Commit);
    let cell = long_text(&engine, 20);
    let fork = engine.fork(&cell, Version(7), &name("fork")).unwrap();
    assert_eq!((fork.head(), fork.kind()), (Version(7), TypeRef::of::<Text>()));
    assert_eq!(fork.snapshot().value, cell.value_at(Moment::Version(Version(7))).unwrap().value);
    assert!(matches!(engine.fork(&cell, Version(7), &name("fork")), Err(OpenError::Exists(_))));
    assert!(engine.fork(&cell, Version(21), &name("other")).is_err());
    engine.settle();
    drop(fork);
    engine.evict_idle();
    engine.evict_idle();
    let fork = engine.get(&name("fork")).unwrap();
    assert_eq!((fork.head(), fork.lock().oldest), (Version(7), Version(7)));
}

#[test]
fn large_values_have_fewer_checkpoints() {
    let journal = Arc::new(MemoryJournal::new());
    let engine = engine(journal.clone(), Durability::Commit);
    for (topic, len) in [("small", 10), ("large", 200_000)] {
        engine.open(&name(topic), Some("string"), TopicOptions::default()).unwrap();
        let author = Author::new(ClientId(1), None);
        let insert = |text: &str| {
            let change = Submitted::typed::<Text>(name(topic), StringChange::insert(0, text));
            let changes = [change].into_iter().collect();
            assert!(engine.submit_now(&author, Submission { action_id: None, changes }).is_ok());
        };
        insert(&"x".repeat(len));
        for at in 0..5_000 {
            insert("y");
            if at % 100 == 0 {
                engine.settle();
            }
        }
        engine.settle();
    }
    let newest = |topic| journal.checkpoint(&name(topic), Version(5_000)).unwrap().unwrap().version;
    assert!(newest("small") > Version(4_000));
    // 1,024 changes, and then 200,000 bytes' worth.
    assert!(newest("large") > Version(4_000) && newest("large") < Version(4_300));
    let before = journal.checkpoint(&name("large"), Version(newest("large").0 - 1)).unwrap();
    assert!(before.unwrap().version < Version(1_200));
}

#[test]
fn options_that_could_not_be_read_again_are_refused_before_they_are_written() {
    let engine = engine(Arc::new(MemoryJournal::new()), Durability::Commit);
    let keep = TopicOptions { keep: Keep::Versions(0), ..TopicOptions::default() };
    assert!(matches!(engine.open(&name("a"), Some("int"), keep), Err(OpenError::Options(_))));
}

#[test]
fn sessions_are_kept_until_they_end() {
    let journal = Arc::new(MemoryJournal::new());
    let session = SessionRecord {
        id: ClientId(3),
        token: "secret".into(),
        since: Timestamp(5),
        services: vec!["solve".into()],
    };
    let begin =
        || Engine::begin(EngineConfig { journal: journal.clone(), ..EngineConfig::default() });
    let (engine, sessions) = begin().unwrap();
    assert_eq!(sessions, []);
    engine.keep(Operation::Session(session.clone()));
    engine.settle();
    let (engine, sessions) = begin().unwrap();
    assert_eq!(sessions, [session]);
    engine.keep(Operation::EndSession(ClientId(3)));
    engine.settle();
    assert_eq!(begin().unwrap().1, []);
}

#[test]
fn a_dict_comes_back_as_it_was() {
    let journal = Arc::new(MemoryJournal::new());
    let nodes = {
        let engine = engine(journal.clone(), Durability::Commit);
        let nodes = engine.open(&name("nodes"), Some("dict"), TopicOptions::default()).unwrap();
        for at in 0..3_000 {
            let (key, value) = (format!("n{at}").into(), crate::value::Value::Int(at));
            let change = Submitted::typed::<Dict>(name("nodes"), DictChange::Add { key, value });
            let changes = [change].into_iter().collect();
            let author = Author::new(ClientId(1), None);
            assert!(engine.submit_now(&author, Submission { action_id: None, changes }).is_ok());
        }
        engine.settle();
        nodes.snapshot()
    };
    let engine = engine(journal, Durability::Commit);
    let again = engine.get(&name("nodes")).unwrap().snapshot();
    assert_eq!(
        (again.version, again.commit, again.value),
        (nodes.version, nodes.commit, nodes.value)
    );
}
