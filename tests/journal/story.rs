//! What the tests have a journal do, and all that can be read of it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use topicsync::journal::{
    Append, Checkpoint, Extent, Head, Journal, JournalError, Logged, Numbers, Operation,
    SessionRecord, TopicRecord,
};
use topicsync::topic::{
    ChangeId, ClientId, CommitNumber, Epoch, Moment, Timestamp, TopicName, TopicOptions, Version,
};
use topicsync::value::Fields;

/// A folder that is gone once it is dropped.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Folder {
        static MADE: AtomicU64 = AtomicU64::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("topicsync-journal-test-{}-{number}", std::process::id());
        Folder(std::env::temp_dir().join(name))
    }

    /// One that is there, and empty.
    pub fn made() -> Folder {
        let folder = Folder::new();
        std::fs::create_dir(&folder.0).unwrap();
        folder
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn database(&self) -> PathBuf {
        self.0.join("topicsync.db")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub const TOPICS: [&str; 3] = ["a", "b", "c"];

pub fn name(name: &str) -> TopicName {
    TopicName::new(name).unwrap()
}

pub fn make(topic: &str) -> Operation {
    let (type_name, options) = ("string".into(), TopicOptions::default());
    let epoch = Epoch::new(format!("epoch of {topic}")).unwrap();
    let record = TopicRecord { name: name(topic), type_name, options, epoch, life: 1 };
    Operation::Make { record, start: None }
}

/// Text that does not compress.
fn noise(seed: u64, len: usize) -> String {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut letter = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b' ' + (state >> 32) as u8 % 95)
    };
    (0..len).map(|_| letter()).collect()
}

pub fn change(version: u64, len: usize) -> Logged {
    let author = ClientId(1 + version % 3);
    Logged {
        version: Version(version),
        commit: CommitNumber(version * 2),
        change: Some(
            Fields::of_type("insert")
                .with("position", version as i64)
                .with("insertion", noise(version, len)),
        ),
        author,
        id: ChangeId::of(author, version),
        action: None,
        time: Timestamp(version * 50),
    }
}

pub fn append(topic: &str, after: u64, count: u64, len: usize) -> Operation {
    let changes = (after + 1..=after + count).map(|version| change(version, len)).collect();
    Operation::Append(Append { topic: name(topic), after: Version(after), changes })
}

pub fn checkpoint(topic: &str, version: u64) -> Operation {
    let value = noise(version, 300).into();
    let checkpoint = Checkpoint { version: Version(version), value, stamp: None };
    Operation::Checkpoint { topic: name(topic), checkpoint }
}

/// Groups of every kind.
pub fn groups() -> Vec<Vec<Operation>> {
    let session = |id: u64, token: &str| {
        let (id, token) = (ClientId(id), token.into());
        Operation::Session(SessionRecord { id, token, since: Timestamp(id.0), services: vec![] })
    };
    let numbers = |commit| Numbers { life: 0, commit: CommitNumber(commit), client: ClientId(9) };
    vec![
        vec![make("a"), make("b"), append("a", 0, 3, 40), session(1, "one")],
        vec![append("a", 3, 1, 40), append("b", 0, 2, 40)],
        vec![append("a", 4, 2, 40), checkpoint("a", 6), Operation::Reserve(numbers(100))],
        vec![append("b", 2, 9, 40), session(2, "two"), Operation::EndSession(ClientId(1))],
        vec![append("a", 6, 4, 40), make("c"), append("c", 0, 1, 40)],
        vec![checkpoint("b", 11), Operation::Trim { topic: name("b"), oldest: Version(11) }],
        vec![append("a", 10, 1, 40), checkpoint("a", 11), append("b", 11, 1, 40)],
        vec![
            Operation::Remove { topic: name("c"), epoch: None },
            session(2, "three"),
            append("a", 11, 1, 40),
        ],
        vec![make("c"), append("c", 0, 5, 40), Operation::Reserve(numbers(200))],
        vec![append("a", 12, 1, 40), append("b", 12, 1, 40), append("c", 5, 1, 40)],
    ]
}

/// The heads of all topics that are there.
pub fn heads(journal: &dyn Journal) -> Vec<Head> {
    let topics = journal.topics().unwrap().into_iter();
    topics
        .map(|topic| {
            let version = journal.extent(&topic.name).unwrap().head;
            Head { topic: topic.name, epoch: Some(topic.epoch), version }
        })
        .collect()
}

/// All that can be read, a line for each reading, with its name: what an error is told by says only
/// `error`.
pub fn readings(journal: &dyn Journal) -> Vec<(String, Result<String, JournalError>)> {
    let mut all = vec![("topics".to_owned(), journal.topics().map(|it| format!("{it:?}")))];
    for topic in TOPICS {
        let name = name(topic);
        let mut put = |what: String, it: Result<String, JournalError>| all.push((what, it));
        put(format!("{topic} topic"), journal.topic(&name).map(|it| format!("{it:?}")));
        let extent = journal.extent(&name).map(|it| format!("{:?}", Extent { bytes: 0, ..it }));
        put(format!("{topic} extent"), extent);
        for (after, to) in [(0, 99), (2, 5), (9, 11)] {
            let changes = journal.read(&name, Version(after), Version(to));
            put(format!("{topic} read {after}..{to}"), changes.map(|it| format!("{it:?}")));
        }
        for version in [3, 6, 11, 99] {
            let checkpoint = journal.checkpoint(&name, Version(version));
            let checkpoint = checkpoint.map(|it| format!("{it:?}"));
            put(format!("{topic} checkpoint {version}"), checkpoint);
        }
        for time in [0, 120, 333, 9999] {
            let version = journal.version_at(&name, Moment::Time(Timestamp(time)));
            put(format!("{topic} at {time}"), version.map(|it| format!("{it:?}")));
        }
    }
    for author in 1..=3 {
        let changes = journal.by_author(ClientId(author), 7);
        all.push((format!("by {author}"), changes.map(|it| format!("{it:?}"))));
    }
    all
}

/// All that can be read, where nothing is damaged: an unknown topic is one for every journal.
pub fn all_of(journal: &dyn Journal) -> String {
    let text = |(what, it): (String, Result<String, JournalError>)| match it {
        Ok(it) => format!("{what}: {it}\n"),
        Err(JournalError::UnknownTopic(topic)) => format!("{what}: no {topic}\n"),
        Err(error) => panic!("{what}: {error}"),
    };
    readings(journal).into_iter().map(text).collect()
}
