//! What every journal keeps to: the same rules and the same random stories, for each of them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;

use super::*;
use crate::topic::{
    ActionId, ActionMark, ChangeId, CommitNumber, Durability, Epoch, Reverses, Timestamp,
    TopicOptions,
};
use crate::value::{Fields, Value};

/// A folder that is gone once it is dropped.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new() -> Folder {
        static MADE: AtomicU64 = AtomicU64::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("topicsync-journal-{}-{number}", std::process::id());
        Folder(std::env::temp_dir().join(name))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A journal under test, and how it comes back after its server stopped.
trait Kept {
    fn new() -> Self;
    fn journal(&self) -> &dyn Journal;
    fn restart(&mut self);
}

impl Kept for MemoryJournal {
    fn new() -> MemoryJournal {
        MemoryJournal::new()
    }

    fn journal(&self) -> &dyn Journal {
        self
    }

    fn restart(&mut self) {}
}

#[cfg(feature = "journal")]
struct InFolder {
    journal: Option<SqliteJournal>,
    folder: Folder,
}

#[cfg(feature = "journal")]
impl Kept for InFolder {
    fn new() -> InFolder {
        let folder = Folder::new();
        InFolder { journal: Some(SqliteJournal::open(folder.path()).unwrap()), folder }
    }

    fn journal(&self) -> &dyn Journal {
        self.journal.as_ref().unwrap()
    }

    fn restart(&mut self) {
        self.journal = None;
        self.journal = Some(SqliteJournal::open(self.folder.path()).unwrap());
    }
}

/// A test of each rule for each journal.
macro_rules! rules {
    ($($rule:ident,)*) => {
        mod memory_journal {
            $(#[test] fn $rule() { super::$rule::<super::MemoryJournal>(); })*
        }

        #[cfg(feature = "journal")]
        mod sqlite_journal {
            $(#[test] fn $rule() { super::$rule::<super::InFolder>(); })*
        }
    };
}

rules! {
    a_group_is_there_or_not,
    an_append_that_is_late_is_fenced,
    each_life_of_a_topic_is_a_thing_of_its_own,
    numbers_that_were_not_given_are_free_again,
    what_was_committed_is_there_after_a_restart,
    a_life_that_did_not_close_is_unclean,
    a_topic_that_is_made_again_starts_afresh,
    trimming_leaves_a_checkpoint,
    a_cut_leaves_nothing_behind,
    an_authors_changes_are_found_in_all_topics,
    a_moment_is_the_newest_version_before_it,
    values_survive,
}

fn name(name: &str) -> TopicName {
    TopicName::new(name).unwrap()
}

fn record(topic: &str, life: u64) -> TopicRecord {
    TopicRecord {
        name: name(topic),
        type_name: "string".into(),
        options: TopicOptions { no_history: life.is_multiple_of(2), ..TopicOptions::default() },
        epoch: Epoch::new(format!("epoch {life}")).unwrap(),
        life,
    }
}

fn make(topic: &str) -> Operation {
    Operation::Make { record: record(topic, 1), start: None }
}

/// Version `version`, by client 1 or 2, of commit `10 * version`, at `100 * version`.
fn change(version: u64) -> Logged {
    let author = ClientId(1 + version % 2);
    Logged {
        version: Version(version),
        commit: CommitNumber(version * 10),
        change: Some(Fields::of_type("insert").with("position", 0).with("insertion", "x")),
        author,
        id: ChangeId::of(author, version),
        action: None,
        time: Timestamp(version * 100),
    }
}

fn append(topic: &str, after: u64, count: u64) -> Operation {
    let changes = (after + 1..=after + count).map(change).collect();
    Operation::Append(Append { topic: name(topic), after: Version(after), changes })
}

fn value(version: u64) -> Checkpoint {
    let text = "x".repeat(version as usize);
    let stamp = Stamp { commit: CommitNumber(version * 10), time: Timestamp(version * 100) };
    let stamp = (!version.is_multiple_of(3)).then_some(stamp);
    Checkpoint { version: Version(version), value: text.as_str().into(), stamp }
}

fn checkpoint(topic: &str, version: u64) -> Operation {
    Operation::Checkpoint { topic: name(topic), checkpoint: value(version) }
}

fn trim(topic: &str, oldest: u64) -> Operation {
    Operation::Trim { topic: name(topic), oldest: Version(oldest) }
}

fn read(journal: &dyn Journal, topic: &str, after: u64, to: u64) -> Vec<u64> {
    let changes = journal.read(&name(topic), Version(after), Version(to)).unwrap();
    let versions = changes.iter().map(|change| change.version.0).collect();
    assert!(changes.iter().all(|it| *it == change(it.version.0)), "{changes:?}");
    versions
}

fn extent(journal: &dyn Journal, topic: &str) -> (u64, u64) {
    let extent = journal.extent(&name(topic)).unwrap();
    (extent.oldest.0, extent.head.0)
}

fn a_group_is_there_or_not<J: Kept>() {
    let kept = J::new();
    let journal = kept.journal();
    journal.begin().unwrap();
    let failed = journal.commit(&[make("a"), append("a", 0, 2), append("none", 0, 1)]);
    assert_fenced(failed, "none", Found::Nothing);
    assert_eq!(journal.topics().unwrap(), []);
    journal.commit(&[make("b"), make("a"), append("a", 0, 2), append("a", 2, 1)]).unwrap();
    let names = journal.topics().unwrap().into_iter().map(|it| it.name).collect::<Vec<_>>();
    assert_eq!(names, [name("a"), name("b")]);
    assert_eq!(read(journal, "a", 0, 9), [1, 2, 3]);
    assert_eq!(read(journal, "a", 1, 2), [2]);
    assert_eq!(read(journal, "a", 2, 1), [0u64; 0]);
    assert_eq!(read(journal, "a", 3, u64::MAX), [0u64; 0]);
}

fn assert_fenced(result: Result<(), CommitError>, name: &str, with: Found) {
    let is_so = matches!(&result, Err(CommitError::Fenced { topic, found })
        if **topic == *name && *found == with);
    assert!(is_so, "{result:?}");
}

fn an_append_that_is_late_is_fenced<J: Kept>() {
    let kept = J::new();
    let journal = kept.journal();
    journal.commit(&[make("a"), make("b"), append("a", 0, 2)]).unwrap();
    let late = journal.commit(&[append("b", 0, 1), append("a", 1, 1)]);
    assert_fenced(late, "a", Found::Head { expected: Version(1), head: Version(2) });
    assert_eq!(extent(journal, "b"), (0, 0));
    journal.commit(&[append("b", 0, 1), append("a", 2, 1)]).unwrap();
    assert_eq!((extent(journal, "a"), extent(journal, "b")), ((0, 3), (0, 1)));
}

fn what_was_committed_is_there_after_a_restart<J: Kept>() {
    let mut kept = J::new();
    kept.journal().begin().unwrap();
    let session = SessionRecord {
        id: ClientId(7),
        token: "secret".into(),
        since: Timestamp(5),
        services: vec!["convert".into()],
    };
    let numbers = Numbers { life: 99, commit: CommitNumber(500), client: ClientId(8) };
    let group = [make("a"), append("a", 0, 3), checkpoint("a", 3), append("a", 3, 2)];
    kept.journal().commit(&group).unwrap();
    let group =
        [Operation::Session(session.clone()), Operation::Reserve(numbers), append("a", 5, 1)];
    kept.journal().commit(&group).unwrap();
    kept.restart();
    let journal = kept.journal();
    let beginning = journal.begin().unwrap();
    assert_eq!(beginning.numbers, Numbers { life: 2, ..numbers });
    assert_eq!(beginning.last_written, Timestamp(600));
    assert_eq!(beginning.sessions, [session]);
    assert_eq!(journal.topic(&name("a")).unwrap(), Some(record("a", 1)));
    assert_eq!(journal.topic(&name("b")).unwrap(), None);
    assert_eq!(read(journal, "a", 0, 9), [1, 2, 3, 4, 5, 6]);
    assert_eq!(journal.checkpoint(&name("a"), Version(2)).unwrap(), None);
    assert_eq!(journal.checkpoint(&name("a"), Version(9)).unwrap(), Some(value(3)));
    journal.commit(&[append("a", 6, 1), Operation::EndSession(ClientId(7))]).unwrap();
    kept.restart();
    assert_eq!(kept.journal().begin().unwrap().sessions, []);
    assert_eq!(extent(kept.journal(), "a"), (0, 7));
}

fn a_life_that_did_not_close_is_unclean<J: Kept>() {
    let mut kept = J::new();
    let mut begin = |opens: Option<Operation>, closes: bool| {
        let beginning = kept.journal().begin().unwrap();
        kept.journal().commit(opens.as_slice()).unwrap();
        if closes {
            kept.journal().commit(&[Operation::Close]).unwrap();
        }
        kept.restart();
        (beginning.numbers.life, beginning.unclean_life, beginning.unclean)
    };
    let opens = |durability| Some(Operation::Open(durability));
    let (commit, relaxed, memory) = (Durability::Commit, Durability::Relaxed, Durability::Memory);
    assert_eq!(begin(None, true), (1, 0, None));
    assert_eq!(begin(opens(relaxed), false), (2, 0, None));
    // This life stops before it says anything: what the one before may have lost is not dealt with.
    assert_eq!(begin(None, false), (3, 2, Some(relaxed)));
    assert_eq!(begin(opens(commit), false), (4, 3, Some(relaxed)));
    assert_eq!(begin(opens(memory), false), (5, 4, Some(commit)));
    assert_eq!(begin(opens(relaxed), true), (6, 5, Some(memory)));
    assert_eq!(begin(None, false), (7, 5, None));
    assert_eq!(begin(None, false), (8, 7, Some(commit)));
}

fn each_life_of_a_topic_is_a_thing_of_its_own<J: Kept>() {
    let kept = J::new();
    let journal = kept.journal();
    let remove =
        |life| Operation::Remove { topic: name("a"), epoch: Some(record("a", life).epoch) };
    let make = |life| Operation::Make { record: record("a", life), start: None };
    journal.commit(&[make(1), append("a", 0, 3)]).unwrap();
    // Done already, and not undone by doing it again.
    journal.commit(&[make(1)]).unwrap();
    assert_eq!(extent(journal, "a"), (0, 3));
    // Of a life that there is not.
    journal.commit(&[remove(2)]).unwrap();
    let head = |life: u64, version| Head {
        topic: name("a"),
        epoch: Some(record("a", life).epoch),
        version: Version(version),
    };
    journal.reopen(&[head(2, 0), head(1, 2)]).unwrap();
    assert_eq!(extent(journal, "a"), (0, 2));
    // Both lives in one group.
    journal.commit(&[remove(1), make(2), append("a", 0, 1)]).unwrap();
    assert_eq!(journal.topic(&name("a")).unwrap().unwrap().epoch, record("a", 2).epoch);
    journal.reopen(&[head(1, 2)]).unwrap();
    assert_eq!(extent(journal, "a"), (0, 1));
    assert_fenced(journal.commit(&[remove(1), make(3)]), "a", Found::OtherLife);
    journal.commit(&[remove(2), make(3)]).unwrap();
    assert_eq!(extent(journal, "a"), (0, 0));
}

fn numbers_that_were_not_given_are_free_again<J: Kept>() {
    let mut kept = J::new();
    let numbers = |commit, client| Numbers {
        life: 0,
        commit: CommitNumber(commit),
        client: ClientId(client),
    };
    let mut begin = |group: &[Operation]| {
        let Numbers { commit, client, .. } = kept.journal().begin().unwrap().numbers;
        kept.journal().commit(group).unwrap();
        kept.restart();
        (commit.0, client.0)
    };
    begin(&[Operation::Reserve(numbers(100, 50))]);
    let release = |used, reserved| Operation::Release { used, reserved };
    assert_eq!(begin(&[release(numbers(7, 3), numbers(100, 50))]), (100, 50));
    assert_eq!(begin(&[Operation::Reserve(numbers(200, 60))]), (7, 3));
    // Somebody else has reserved more commits since.
    assert_eq!(begin(&[release(numbers(9, 4), numbers(150, 60))]), (200, 60));
    assert_eq!(begin(&[]), (200, 4));
}

fn a_topic_that_is_made_again_starts_afresh<J: Kept>() {
    let mut kept = J::new();
    let journal = kept.journal();
    journal.commit(&[make("a"), append("a", 0, 3), checkpoint("a", 2)]).unwrap();
    let again = || Operation::Make { record: record("a", 2), start: Some(value(7)) };
    assert_fenced(journal.commit(&[again()]), "a", Found::OtherLife);
    let remove = || Operation::Remove { topic: name("a"), epoch: None };
    journal.commit(&[remove(), again(), append("a", 7, 1)]).unwrap();
    assert_eq!(extent(journal, "a"), (7, 8));
    assert_eq!(journal.topic(&name("a")).unwrap(), Some(record("a", 2)));
    assert_eq!(journal.checkpoint(&name("a"), Version(8)).unwrap(), Some(value(7)));
    assert_eq!(journal.checkpoint(&name("a"), Version(6)).unwrap(), None);
    let (epoch, life) = (Epoch::new("another").unwrap(), 5);
    let renew = |topic| Operation::Renew { topic: name(topic), epoch: epoch.clone(), life };
    journal.commit(&[renew("a"), renew("none")]).unwrap();
    kept.restart();
    let journal = kept.journal();
    let renewed = TopicRecord { epoch, life, ..record("a", 2) };
    assert_eq!(journal.topic(&name("a")).unwrap(), Some(renewed));
    let remove = |topic| Operation::Remove { topic: name(topic), epoch: None };
    journal.commit(&[remove("a"), remove("none"), trim("none", 1), checkpoint("a", 8)]).unwrap();
    assert_eq!(journal.topic(&name("a")).unwrap(), None);
    assert!(matches!(journal.extent(&name("a")), Err(JournalError::UnknownTopic(_))));
    assert_eq!(journal.by_author(ClientId(1), 9).unwrap(), []);
    let gone = journal.commit(&[make("a"), remove("a"), append("a", 0, 1)]);
    assert_fenced(gone, "a", Found::Nothing);
}

fn trimming_leaves_a_checkpoint<J: Kept>() {
    let mut kept = J::new();
    let journal = kept.journal();
    journal.commit(&[make("a"), append("a", 0, 9)]).unwrap();
    journal.commit(&[trim("a", 5)]).unwrap();
    assert_eq!(extent(journal, "a"), (0, 9), "no value to begin with would be left");
    journal.commit(&[checkpoint("a", 4), checkpoint("a", 8), trim("a", 7)]).unwrap();
    assert_eq!(extent(journal, "a"), (4, 9));
    assert_eq!(read(journal, "a", 0, 9), [5, 6, 7, 8, 9]);
    assert_eq!(journal.version_at(&name("a"), Moment::Version(Version(1))).unwrap(), Version(4));
    assert_eq!(
        journal.version_at(&name("a"), Moment::Commit(CommitNumber(1))).unwrap(),
        Version(4)
    );
    journal.commit(&[append("a", 9, 1), checkpoint("a", 10), trim("a", 99)]).unwrap();
    kept.restart();
    let journal = kept.journal();
    let extent = journal.extent(&name("a")).unwrap();
    assert_eq!((extent.oldest, extent.head), (Version(10), Version(10)));
    assert_eq!((extent.commit, extent.time), (CommitNumber(0), Timestamp(0)));
    assert_eq!(read(journal, "a", 0, 99), [0u64; 0]);
    assert_eq!(journal.checkpoint(&name("a"), Version(99)).unwrap(), Some(value(10)));
    journal.commit(&[append("a", 10, 1)]).unwrap();
    assert_eq!(read(journal, "a", 0, 99), [11]);
}

fn head(topic: &str, version: u64) -> Head {
    Head { topic: name(topic), epoch: None, version: Version(version) }
}

fn a_cut_leaves_nothing_behind<J: Kept>() {
    let mut kept = J::new();
    let journal = kept.journal();
    let group = [make("a"), make("b"), append("a", 0, 5), checkpoint("a", 5), append("b", 0, 2)];
    journal.commit(&group).unwrap();
    journal.commit(&[append("a", 5, 5), checkpoint("a", 10), append("a", 10, 1)]).unwrap();
    journal.reopen(&[head("a", 8), head("none", 3)]).unwrap();
    assert_eq!((extent(journal, "a"), extent(journal, "b")), ((0, 8), (0, 2)));
    assert_eq!(read(journal, "a", 3, 99), [4, 5, 6, 7, 8]);
    assert_eq!(journal.extent(&name("a")).unwrap().commit, CommitNumber(80));
    assert_eq!(journal.checkpoint(&name("a"), Version(99)).unwrap(), Some(value(5)));
    journal.commit(&[append("a", 8, 1)]).unwrap();
    journal.reopen(&[head("a", 5)]).unwrap();
    kept.restart();
    assert_eq!(extent(kept.journal(), "a"), (0, 5));
    kept.journal().commit(&[append("a", 5, 4), checkpoint("a", 9)]).unwrap();
    assert_eq!(read(kept.journal(), "a", 0, 99), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
}

fn an_authors_changes_are_found_in_all_topics<J: Kept>() {
    let kept = J::new();
    let journal = kept.journal();
    let group = [make("b"), make("a"), append("b", 0, 5), append("a", 0, 4), checkpoint("b", 3)];
    journal.commit(&group).unwrap();
    journal.commit(&[append("b", 5, 1)]).unwrap();
    let found = |limit| {
        let changes = journal.by_author(ClientId(1), limit).unwrap();
        let change = |(topic, change): (TopicName, Logged)| format!("{topic}{}", change.version);
        changes.into_iter().map(change).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(found(9), "a2 b2 a4 b4 b6");
    assert_eq!(found(3), "a4 b4 b6");
    assert_eq!(found(0), "");
    journal.commit(&[trim("b", 3)]).unwrap();
    assert_eq!(found(9), "a2 a4 b4 b6");
    assert_eq!(journal.by_author(ClientId(3), 9).unwrap(), []);
}

fn a_moment_is_the_newest_version_before_it<J: Kept>() {
    let kept = J::new();
    let journal = kept.journal();
    journal.commit(&[make("a"), append("a", 0, 7), checkpoint("a", 7)]).unwrap();
    (7..20).for_each(|at| journal.commit(&[append("a", at, 1)]).unwrap());
    let at = |moment| journal.version_at(&name("a"), moment).unwrap().0;
    for version in 0..=20 {
        assert_eq!(at(Moment::Version(Version(version))), version);
        assert_eq!(at(Moment::Commit(CommitNumber(version * 10))), version);
        assert_eq!(at(Moment::Commit(CommitNumber(version * 10 + 9))), version);
        assert_eq!(at(Moment::Time(Timestamp(version * 100))), version);
    }
    assert_eq!(at(Moment::Version(Version(u64::MAX))), 20);
    assert_eq!(at(Moment::Time(Timestamp(u64::MAX))), 20);
}

fn values_survive<J: Kept>() {
    let mut kept = J::new();
    let json = serde_json::json!({"a": [1, 1.0, -0.5, null, true, "é😀"], "": {"b": [[], {}]}});
    let long = "long ".repeat(100_000);
    let values = [Value::from(json), Value::Null, long.as_str().into(), Value::from(-0.0)];
    let changes = (1..=4).map(|version: u64| Logged {
        change: Some(Fields::of_type("set").with("value", values[version as usize - 1].clone())),
        ..change(version)
    });
    let changes: Vec<Logged> = changes.collect();
    let append = Append { topic: name("a"), after: Version(0), changes: changes.clone() };
    kept.journal().commit(&[make("a"), Operation::Append(append)]).unwrap();
    for (version, value) in (1..).map(Version).zip(values.clone()) {
        let checkpoint = Checkpoint { version, value, stamp: None };
        kept.journal().commit(&[Operation::Checkpoint { topic: name("a"), checkpoint }]).unwrap();
        kept.restart();
    }
    let read = kept.journal().read(&name("a"), Version(0), Version(4)).unwrap();
    assert_eq!(format!("{read:?}"), format!("{changes:?}"));
    for (version, value) in (1..).map(Version).zip(values) {
        let checkpoint = kept.journal().checkpoint(&name("a"), version).unwrap().unwrap();
        assert_eq!(format!("{:?}", checkpoint.value), format!("{value:?}"));
    }
}

/// One step of a random story, in numbers that are made to fit what is there.
#[derive(Debug, Clone)]
enum Step {
    Commit(Vec<Part>),
    Reopen(Vec<(u8, u64)>),
    Begin,
    Restart,
}

#[derive(Debug, Clone)]
enum Part {
    Make {
        topic: u8,
        start: Option<u64>,
    },
    Renew {
        topic: u8,
    },
    Remove {
        topic: u8,
    },
    /// `late` makes it follow another version than the head.
    Append {
        topic: u8,
        changes: Vec<(u64, u8)>,
        late: bool,
    },
    /// So many versions before the head.
    Checkpoint {
        topic: u8,
        back: u64,
    },
    Trim {
        topic: u8,
        back: u64,
    },
    Session {
        id: u64,
        ends: bool,
    },
    Reserve {
        commit: u64,
        client: u64,
    },
    Close,
}

const TOPICS: [&str; 3] = ["a", "b", "ä/long name of a topic"];

fn part() -> impl Strategy<Value = Part> {
    let topic = || 0..TOPICS.len() as u8;
    let changes = prop::collection::vec((0..3u64, any::<u8>()), 1..12);
    prop_oneof![
        2 => (topic(), prop::option::of(0..5u64)).prop_map(|(topic, start)| Part::Make { topic, start }),
        1 => topic().prop_map(|topic| Part::Renew { topic }),
        1 => topic().prop_map(|topic| Part::Remove { topic }),
        12 => (topic(), changes, prop::bool::weighted(0.03))
            .prop_map(|(topic, changes, late)| Part::Append { topic, changes, late }),
        4 => (topic(), prop_oneof![Just(0), 0..30u64])
            .prop_map(|(topic, back)| Part::Checkpoint { topic, back }),
        1 => (topic(), 0..30u64).prop_map(|(topic, back)| Part::Trim { topic, back }),
        1 => (0..4u64, any::<bool>()).prop_map(|(id, ends)| Part::Session { id, ends }),
        1 => (0..99u64, 0..99u64).prop_map(|(commit, client)| Part::Reserve { commit, client }),
        1 => Just(Part::Close),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => prop::collection::vec(part(), 1..6).prop_map(Step::Commit),
        1 => prop::collection::vec((0..3u8, 0..20u64), 0..4).prop_map(Step::Reopen),
        1 => Just(Step::Begin),
        1 => Just(Step::Restart),
    ]
}

/// What numbers come next in a story.
#[derive(Default)]
struct Clock {
    commit: u64,
    time: u64,
    counter: u64,
}

impl Clock {
    fn change(&mut self, version: u64, (author, of): (u64, u8)) -> Logged {
        self.commit += u64::from(of % 3);
        self.time += u64::from(of % 5) * 7;
        self.counter += 1;
        let author = ClientId(author);
        let id = |text: &str| ActionId::new(text).unwrap();
        let original = id("first");
        let commit = CommitNumber(self.commit / 2);
        let reverses = (of % 8 == 1).then_some(Reverses { commit, original, redo: of > 99 });
        let mark = Arc::new(ActionMark { id: id("act"), reverses });
        let fields = match of % 7 {
            0 => None,
            1 => Some(Fields::of_type("set").with("value", Value::Null)),
            2 => Some(Fields::of_type("add").with("value", f64::from(of))),
            _ => Some(
                Fields::of_type("insert").with("position", i64::from(of)).with("insertion", "é"),
            ),
        };
        Logged {
            version: Version(version),
            commit: CommitNumber(self.commit),
            change: fields,
            author,
            id: if of > 250 {
                ChangeId::new("9_other").unwrap()
            } else {
                ChangeId::of(author, self.counter)
            },
            action: (of % 4 == 1).then_some(mark),
            time: Timestamp(self.time),
        }
    }

    /// The operation that a part stands for, given the heads as they are by then.
    fn operation(&mut self, part: &Part, heads: &mut [Option<u64>]) -> Operation {
        let at = |topic: &u8| usize::from(*topic);
        let topic_name = |topic: &u8| name(TOPICS[at(topic)]);
        match part {
            // What is there is not made again, but now and then, which has to be refused.
            Part::Make { topic, start } if heads[at(topic)].is_some() && *start != Some(0) => {
                heads[at(topic)] = None;
                Operation::Remove { topic: topic_name(topic), epoch: None }
            }
            Part::Make { topic, start } => {
                heads[at(topic)] = Some(start.unwrap_or(0));
                let life = self.counter + 1;
                Operation::Make { record: record(TOPICS[at(topic)], life), start: start.map(value) }
            }
            Part::Renew { topic } => {
                let epoch = Epoch::new(format!("renewed {}", self.counter)).unwrap();
                Operation::Renew { topic: topic_name(topic), epoch, life: self.counter }
            }
            Part::Remove { topic } => {
                heads[at(topic)] = None;
                Operation::Remove { topic: topic_name(topic), epoch: None }
            }
            Part::Append { topic, changes, late } => {
                let after = heads[at(topic)].unwrap_or(0) + u64::from(*late);
                let changes = (after + 1..).zip(changes);
                let changes =
                    changes.map(|(version, of)| self.change(version, *of)).collect::<Vec<_>>();
                let head = after + changes.len() as u64;
                heads[at(topic)] = heads[at(topic)].map(|_| head);
                Operation::Append(Append {
                    topic: topic_name(topic),
                    after: Version(after),
                    changes,
                })
            }
            Part::Checkpoint { topic, back } => {
                let version = heads[at(topic)].unwrap_or(0).saturating_sub(*back);
                Operation::Checkpoint { topic: topic_name(topic), checkpoint: value(version) }
            }
            Part::Trim { topic, back } => {
                let oldest = Version(heads[at(topic)].unwrap_or(0).saturating_sub(*back));
                Operation::Trim { topic: topic_name(topic), oldest }
            }
            Part::Session { id, ends: true } => Operation::EndSession(ClientId(*id)),
            Part::Session { id, ends: false } => Operation::Session(SessionRecord {
                id: ClientId(*id),
                token: format!("token {}", self.counter).into(),
                since: Timestamp(self.time),
                services: vec!["a".into(); *id as usize],
            }),
            Part::Reserve { commit, client } => Operation::Reserve(Numbers {
                life: 0,
                commit: CommitNumber(*commit),
                client: ClientId(*client),
            }),
            Part::Close => Operation::Close,
        }
    }
}

/// All that can be read of a journal, as text.
fn all_of(journal: &dyn Journal) -> String {
    let mut all = format!("{:?}", journal.topics().unwrap());
    for topic in TOPICS.map(name) {
        all += &format!("\n{topic}: {:?}", journal.topic(&topic).unwrap());
        let Ok(extent) = journal.extent(&topic) else { continue };
        all += &format!("\n{:?}", Extent { bytes: 0, ..extent });
        let head = extent.head.0;
        for (after, to) in [(0, head), (0, u64::MAX), (head / 2, head), (head / 3, head / 2 + 1)] {
            let changes = journal.read(&topic, Version(after), Version(to)).unwrap();
            all += &format!("\n{after}..{to}: {changes:?}");
        }
        for version in 0..=head + 1 {
            let version = Version(version);
            let checkpoint = journal.checkpoint(&topic, version).unwrap().map(|it| it.version);
            let at = journal.version_at(&topic, Moment::Version(version)).unwrap();
            all += &format!("\n{version}: {checkpoint:?}, {at}");
        }
        for moment in 0..40 {
            let commit = journal.version_at(&topic, Moment::Commit(CommitNumber(moment)));
            let time = journal.version_at(&topic, Moment::Time(Timestamp(moment * 20)));
            all += &format!("\n{} {}", commit.unwrap(), time.unwrap());
        }
    }
    for (author, limit) in [(0, 3), (1, 100), (2, 7), (3, 1)] {
        all += &format!("\n{:?}", journal.by_author(ClientId(author), limit).unwrap());
    }
    all
}

#[cfg(feature = "journal")]
fn check_story(steps: &[Step]) -> Result<(), TestCaseError> {
    let (mut memory, mut sqlite) = (MemoryJournal::new(), InFolder::new());
    let mut clock = Clock::default();
    for step in steps {
        let both = [memory.journal(), sqlite.journal()];
        let head = |topic: &&str| both[0].extent(&name(topic)).ok().map(|extent| extent.head.0);
        let mut heads = TOPICS.iter().map(head).collect::<Vec<Option<u64>>>();
        match step {
            Step::Commit(parts) => {
                let group = parts.iter().map(|part| clock.operation(part, &mut heads));
                let group = group.collect::<Vec<_>>();
                let [a, b] =
                    both.map(|journal| journal.commit(&group).map_err(|it| it.to_string()));
                prop_assert_eq!(a, b, "{:?}", group);
            }
            Step::Reopen(cuts) => {
                let cut = |(topic, back): &(u8, u64)| {
                    let head = heads[usize::from(*topic)].unwrap_or(0).saturating_sub(*back);
                    Head { version: Version(head), ..self::head(TOPICS[usize::from(*topic)], 0) }
                };
                // A topic that stands there twice is cut to the first, then not less far.
                let mut cuts: Vec<Head> = cuts.iter().map(cut).collect();
                cuts.sort();
                cuts.dedup_by(|a, b| a.topic == b.topic);
                both.into_iter().for_each(|journal| journal.reopen(&cuts).unwrap());
            }
            Step::Begin => {
                let [a, b] = both.map(|journal| journal.begin().unwrap());
                prop_assert_eq!(a, b);
            }
            Step::Restart => sqlite.restart(),
        }
        memory.restart();
        prop_assert_eq!(all_of(memory.journal()), all_of(sqlite.journal()));
    }
    let bytes = |topic| {
        let journal = sqlite.journal.as_ref().unwrap();
        journal
            .extent(&name(topic))
            .map(|extent| (extent.bytes, journal.bytes(&name(topic)).unwrap()))
    };
    for (kept, counted) in TOPICS.into_iter().filter_map(|topic| bytes(topic).ok()) {
        prop_assert_eq!(kept, counted);
    }
    Ok(())
}

#[cfg(feature = "journal")]
proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_journals_tell_the_same(steps in prop::collection::vec(step(), 1..25)) {
        check_story(&steps)?;
    }
}
