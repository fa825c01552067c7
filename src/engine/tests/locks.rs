//! What is done without a topic's lock: reading the journal, and long rebases.

use super::*;
use crate::journal::{Checkpoint, CommitError, Extent, Head, Logged, TopicRecord};

/// A journal that looks, at every reading, whether the topic that is read is locked.
#[derive(Default)]
struct Watchful {
    journal: MemoryJournal,
    cell: Mutex<Option<Arc<TopicCell>>>,
    reads: AtomicU64,
}

impl Watchful {
    fn look(&self, name: &TopicName) {
        if let Some(cell) = self.cell.lock().as_ref().filter(|cell| cell.name() == name) {
            self.reads.fetch_add(1, Ordering::Relaxed);
            assert!(cell.try_lock(), "the journal is read under the topic's lock");
        }
    }
}

impl Journal for Watchful {
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

    fn topic(&self, name: &TopicName) -> Result<Option<TopicRecord>, JournalError> {
        self.look(name);
        self.journal.topic(name)
    }

    fn extent(&self, name: &TopicName) -> Result<Extent, JournalError> {
        self.look(name);
        self.journal.extent(name)
    }

    fn read(
        &self,
        name: &TopicName,
        after: Version,
        to: Version,
    ) -> Result<Vec<Logged>, JournalError> {
        self.look(name);
        self.journal.read(name, after, to)
    }

    fn checkpoint(
        &self,
        name: &TopicName,
        version: Version,
    ) -> Result<Option<Checkpoint>, JournalError> {
        self.look(name);
        self.journal.checkpoint(name, version)
    }

    fn version_at(&self, name: &TopicName, moment: Moment) -> Result<Version, JournalError> {
        self.look(name);
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
fn the_journal_is_never_read_under_a_topics_lock() {
    let watchful = Arc::new(Watchful::default());
    let config =
        EngineConfig { resumable_ms: 1_000_000, ..config(watchful.clone(), Durability::Commit) };
    let engine = Engine::new(config);
    let cell = engine.open(&name("t"), Some("string"), TopicOptions::default()).unwrap();
    let author = Author::new(ClientId(2), None);
    let submit = |base: Option<u64>, id: u64| {
        let mut change = Submitted::typed::<Text>(name("t"), StringChange::insert(0, "FIRST"));
        change.id = Some(ChangeId::of(ClientId(2), id));
        change.base = base.map(Version);
        let changes = [change].into_iter().collect();
        let done = engine.submit_now(&author, Submission { action_id: None, changes });
        assert!(done.is_ok());
        engine.settle();
    };
    submit(None, 1);
    long_text(&engine, 7_000);
    *watchful.cell.lock() = Some(cell.clone());
    let did_read = |what: &str| {
        assert!(watchful.reads.swap(0, Ordering::Relaxed) > 0, "{what} reads the journal");
    };
    submit(Some(1), 2);
    did_read("a change made on an old base");
    submit(None, 1);
    did_read("a change that is sent again");
    assert_eq!(cell.head(), Version(7_002));
    cell.catch_up(Some(Version(10)));
    did_read("catching up");
    cell.subscribe(Ears::new(7), Some(Version(10))).unwrap();
    did_read("subscribing");
    cell.value_at(Moment::Version(Version(10))).unwrap();
    did_read("looking into the past");
    for _ in 0..2 {
        engine.reverse(&author, Direction::Undo, &mut Group::default());
    }
    did_read("undoing an old action");
    assert_eq!(cell.snapshot().value.get::<Text>().unwrap().len_chars(), 7_000);
    engine.settle();
}

#[test]
fn a_long_rebase_goes_on_beside_others_changes() {
    // An action of many changes, over many that were missed: a rebase of some time.
    const MISSED: u64 = 3_000;
    let engine = Arc::new(engine(Arc::new(MemoryJournal::new()), Durability::Memory));
    let cell = engine.open(&name("t"), Some("list"), TopicOptions::default()).unwrap();
    let insert = |position: usize| {
        let item = crate::value::Value::Int(1);
        let position = crate::types::place::Place::At(position);
        crate::types::list::ListChange::Insert { position, item }
    };
    let list = |change| Submitted::typed::<crate::types::list::List>(name("t"), change);
    let other = Author::new(ClientId(9), None);
    let write = |engine: &Engine| {
        let changes = [list(insert(0))].into_iter().collect();
        assert!(engine.submit_now(&other, Submission { action_id: None, changes }).is_ok());
    };
    (0..MISSED).for_each(|_| write(&engine));
    let writer = {
        let engine = engine.clone();
        std::thread::spawn(move || {
            let author = Author::new(ClientId(1), None);
            let change = |_| {
                let mut change = list(insert(0));
                change.base = Some(Version(0));
                change
            };
            let changes = (0..100).map(change).collect();
            let action_id = Some(ActionId::new("long").unwrap());
            let receipt = engine.submit_now(&author, Submission { action_id, changes });
            receipt.map(|receipt| receipt.versions[0]).map_err(|rejected| rejected.rejection)
        })
    };
    // It takes a while, of which the others notice little: that most of it is not under the lock is seen by
    // how much they get done.
    let (began, mut written) = (std::time::Instant::now(), 0);
    while !writer.is_finished() {
        write(&engine);
        written += 1;
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    assert!(written > 3, "in {:?}", began.elapsed());
    let version = writer.join().unwrap().unwrap();
    assert!(version > Version(MISSED), "{version}");
    assert_eq!(
        cell.snapshot().value.get::<crate::types::list::List>().unwrap().len() as u64,
        cell.head().0
    );
}

#[test]
fn a_rebase_without_end_is_stale() {
    let engine = engine(Arc::new(MemoryJournal::new()), Durability::Memory);
    let cell = engine.open(&name("d"), Some("dict"), TopicOptions::default()).unwrap();
    let put = |key: String| {
        let change = DictChange::Add { key: key.into(), value: crate::value::Value::Null };
        Submitted::typed::<Dict>(name("d"), change)
    };
    let author = Author::new(ClientId(1), None);
    let many = |prefix: &str, base: Option<u64>| {
        let change = |at| {
            let mut change = put(format!("{prefix}{at}"));
            change.base = base.map(Version);
            change
        };
        let changes = (0..2_000).map(change).collect();
        let action_id = Some(ActionId::new("many").unwrap());
        let done = engine.submit_now(&author, Submission { action_id, changes });
        done.map(drop).map_err(|rejected| rejected.rejection)
    };
    assert!(many("a", None).is_ok());
    let too_far = many("b", Some(0)).unwrap_err();
    assert!(matches!(too_far, Rejection::TooFarBehind { run: 2_000 }) && too_far.is_stale());
    assert_eq!(cell.head(), Version(2_000));
    assert!(many("b", Some(1_900)).is_ok());
}

#[test]
fn what_fell_back_while_a_change_was_rebased_over_it_does_not_count() {
    let journal = Arc::new(MemoryJournal::new());
    let engine = engine(journal.clone(), Durability::Commit);
    let cell = engine.open(&name("t"), Some("string"), TopicOptions::default()).unwrap();
    let (me, other) = (Author::new(ClientId(1), None), Author::new(ClientId(2), None));
    let insert = |author: &Author, text: &str, position, base: Option<u64>| {
        let change = StringChange::insert(position, text);
        let mut change = Submitted::typed::<Text>(name("t"), change);
        change.base = base.map(Version);
        let changes = [change].into_iter().collect();
        engine.submit_now(author, Submission { action_id: None, changes })
    };
    assert!(insert(&other, "abc", 0, None).is_ok());
    engine.settle();
    for _ in 0..1_500 {
        assert!(insert(&other, "x", 0, None).is_ok());
    }
    // As a decision does it, step by step.
    let mut change = Submitted::typed::<Text>(name("t"), StringChange::insert(3, "!"));
    change.base = Some(Version(1));
    let submission = Submission { action_id: None, changes: [change].into_iter().collect() };
    let (cells, mut drafts) = engine.draft(&me, &submission).unwrap();
    let mut ahead = super::ahead::Ahead::default();
    ahead.rebase(&cells, &drafts).unwrap();
    journal.fail(Some(Fault::Full));
    engine.settle();
    journal.fail(None);
    engine.settle();
    assert_eq!(cell.head(), Version(1));
    assert!(insert(&other, "y", 0, None).is_ok());
    let mut guards: super::draft::Guards = cells.iter().map(|cell| cell.lock()).collect();
    assert!(ahead.rebase_locked(&cells, &guards, &mut drafts).unwrap());
    engine.apply(&me, &cells, &mut guards, &mut drafts).unwrap();
    assert_eq!(guards[0].topic.value().get::<Text>().unwrap(), "yabc!");
}
