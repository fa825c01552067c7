//! Files that were damaged while nobody had them open: what is read is right, or an error.

use std::fs;

use topicsync::journal::{Journal, JournalError, MemoryJournal, SqliteJournal};
use topicsync::topic::Version;

use super::story::{Folder, all_of, append, checkpoint, groups, make, name, readings};
use super::vfs::quick;

type Readings = Vec<(String, Result<String, JournalError>)>;

fn story() -> (Folder, MemoryJournal) {
    let (folder, memory) = (Folder::new(), MemoryJournal::new());
    let journal = SqliteJournal::open(folder.path()).unwrap();
    for group in groups() {
        journal.commit(&group).unwrap();
        memory.commit(&group).unwrap();
    }
    (folder, memory)
}

/// Checks what is read of a damaged file against what was there.
///
/// An answer made of many topics leaves out those that are damaged, and a checkpoint that is missing gives
/// way to one before it: neither is wrong.
fn check_right_or_error(found: &Readings, right: &Readings, what: &str) {
    for ((reading, found), (_, right)) in found.iter().zip(right) {
        let (Ok(found), right) = (found, right) else {
            let is_sound = match found {
                Err(JournalError::UnknownTopic(_)) => {
                    matches!(right, Err(JournalError::UnknownTopic(_)))
                }
                _ => true,
            };
            assert!(is_sound, "{what}, {reading}: the topic is there");
            continue;
        };
        let Ok(right) = right else { panic!("{what}, {reading}: found {found}") };
        let is_partial = reading == "topics" || reading.starts_with("by ");
        let is_less = found.len() < right.len() && (is_partial || reading.contains("checkpoint"));
        assert!(found == right || is_less, "{what}, {reading}:\n{found}\n{right}");
    }
}

/// Reads a copy of the database with `bytes` in it, both ways in which it is opened.
fn readings_of(bytes: &[u8]) -> Vec<Readings> {
    let folder = Folder::made();
    fs::write(folder.database(), bytes).unwrap();
    let mut all = Vec::new();
    if let Ok(journal) = SqliteJournal::open_read_only_with(folder.database(), quick()) {
        all.push(readings(&journal));
    }
    if let Ok(journal) = SqliteJournal::open_with(folder.path(), quick()) {
        all.push(readings(&journal));
    }
    all
}

#[test]
fn a_flipped_bit_is_an_error_or_nothing() {
    let (folder, memory) = story();
    let right = readings(&memory);
    let bytes = fs::read(folder.database()).unwrap();
    let mut noticed = 0;
    let flips = (0..bytes.len()).filter(|at| bytes[*at] != 0 || at % 13 == 0);
    for at in flips.filter(|at| *at < 120 || at % 23 == 0) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        let all = readings_of(&damaged);
        noticed += usize::from(all.iter().flatten().any(|(_, it)| it.is_err()) || all.is_empty());
        for found in all {
            check_right_or_error(&found, &right, &format!("bit {} of byte {at}", at % 8));
        }
    }
    assert!(noticed > 100, "only {noticed} flips were noticed");
}

#[test]
fn a_page_that_is_gone_is_an_error() {
    let (folder, memory) = story();
    let right = readings(&memory);
    let bytes = fs::read(folder.database()).unwrap();
    for page in 0..bytes.len() / 4096 {
        for fill in [0x00, 0xff, 0x0d] {
            let mut damaged = bytes.clone();
            damaged[page * 4096..(page + 1) * 4096].fill(fill);
            for found in readings_of(&damaged) {
                check_right_or_error(&found, &right, &format!("page {page} of {fill}"));
            }
        }
    }
}

#[test]
fn a_database_that_ends_too_early_is_refused() {
    let (folder, _) = story();
    let bytes = fs::read(folder.database()).unwrap();
    let lens = [0, 1, 15, 16, 99, 100, 511, 512, 4095, 4096, 4097, 8192, bytes.len() - 1];
    for len in lens.into_iter().chain((0..bytes.len()).step_by(2048)) {
        fs::write(folder.database(), &bytes[..len]).unwrap();
        for opened in
            [SqliteJournal::open(folder.path()), SqliteJournal::open_read_only(folder.path())]
        {
            let error = opened.err().unwrap_or_else(|| panic!("{len} bytes are opened"));
            assert!(matches!(error, JournalError::Corrupt { .. }), "{len}: {error:?}");
        }
    }
}

/// The log may end anywhere: what is there is what was committed up to some group.
#[test]
fn a_log_that_ends_too_early_holds_whole_groups() {
    let folder = Folder::new();
    let journal = SqliteJournal::open(folder.path()).unwrap();
    let memory = MemoryJournal::new();
    let mut known = vec![all_of(&memory)];
    for group in groups() {
        journal.commit(&group).unwrap();
        memory.commit(&group).unwrap();
        known.push(all_of(&memory));
    }
    let database = fs::read(folder.database()).unwrap();
    let log = fs::read(folder.path().join("topicsync.db-wal")).unwrap();
    let mut found = 0;
    for len in (0..log.len()).step_by(509).chain([log.len()]) {
        let copy = Folder::made();
        fs::write(copy.database(), &database).unwrap();
        fs::write(copy.path().join("topicsync.db-wal"), &log[..len]).unwrap();
        let all = all_of(&SqliteJournal::open_with(copy.path(), quick()).unwrap());
        let at = known.iter().position(|known| *known == all).expect("as after some group");
        assert!(at >= found, "a longer log holds no less");
        found = at;
    }
    assert_eq!(found, known.len() - 1);
}

/// Damage within one topic's data is told by its name and place, and is nobody else's.
#[test]
fn damage_of_one_topic_is_its_own() {
    let folder = Folder::new();
    let journal = SqliteJournal::open(folder.path()).unwrap();
    journal.commit(&[make("a"), make("b"), append("a", 0, 9, 40), append("b", 0, 9, 41)]).unwrap();
    journal.commit(&[checkpoint("a", 9), checkpoint("b", 9), append("a", 9, 2, 40)]).unwrap();
    drop(journal);
    let database = rusqlite::Connection::open(folder.database()).unwrap();
    let run = |sql: &str| assert!(database.execute(sql, ()).is_ok());
    let error = |what: &str| {
        let journal = SqliteJournal::open(folder.path()).unwrap();
        assert_eq!(journal.read(&name("b"), Version(0), Version(9)).unwrap().len(), 9);
        let error = journal.read(&name("a"), Version(0), Version(11)).unwrap_err();
        assert!(
            matches!(&error, JournalError::Damaged { topic, .. } if **topic == *"a"),
            "{error}"
        );
        assert!(error.to_string().contains(what), "{error}");
    };
    run("CREATE TEMP TABLE kept AS SELECT * FROM runs");
    let restore = || run("INSERT OR REPLACE INTO runs SELECT * FROM kept");
    run("UPDATE runs SET data = x'00' WHERE topic = 1 AND first = 1");
    error("damaged at versions 1 to 9: its checksum does not match");
    restore();
    run("UPDATE runs SET last = 8 WHERE topic = 1 AND first = 1");
    error("damaged at versions 1 to 8");
    restore();
    run("DELETE FROM runs WHERE topic = 1 AND first = 1");
    error("damaged at versions 1 to 10: they are missing");
    restore();
    run("DELETE FROM runs WHERE topic = 1 AND first = 10");
    error("damaged at versions 10 to 11: they are missing");
    restore();
    run(
        "UPDATE runs SET data = (SELECT data FROM runs WHERE topic = 2) WHERE topic = 1 AND first = 1",
    );
    error("its checksum does not match");
    restore();
    run("DELETE FROM logs WHERE topic = 1");
    error("damaged at its extent: the row is missing");
}
