//! Folders of all kinds: one's own, another's, none.

use std::fs;

use topicsync::journal::{Journal, JournalError, MemoryJournal, SqliteJournal};

use super::story::{Folder, all_of, groups};
use super::vfs::{Disk, Kind};

/// A journal with a story in it, and what can be read of it.
fn filled(folder: &Folder) -> String {
    let journal = SqliteJournal::open(folder.path()).unwrap();
    let memory = MemoryJournal::new();
    for group in groups() {
        journal.commit(&group).unwrap();
        memory.commit(&group).unwrap();
    }
    assert_eq!(all_of(&memory), all_of(&journal));
    all_of(&memory)
}

fn open_error(folder: &Folder) -> JournalError {
    SqliteJournal::open(folder.path()).err().unwrap()
}

fn read_only_error(folder: &Folder) -> JournalError {
    SqliteJournal::open_read_only(folder.path()).err().unwrap()
}

fn run_sql(folder: &Folder, sql: &str) {
    rusqlite::Connection::open(folder.database()).unwrap().execute_batch(sql).unwrap();
}

#[test]
fn a_second_server_is_told_who_uses_the_folder() {
    let folder = Folder::new();
    let journal = SqliteJournal::open(folder.path()).unwrap();
    let error = open_error(&folder);
    let own = std::process::id();
    assert!(matches!(error, JournalError::InUse { pid: Some(pid), .. } if pid == own), "{error}");
    drop(journal);
    SqliteJournal::open(folder.path()).unwrap();
}

#[test]
fn a_folder_with_other_things_in_it_is_left_alone() {
    let folder = Folder::made();
    fs::write(folder.path().join("thesis.txt"), "irreplaceable").unwrap();
    assert!(matches!(open_error(&folder), JournalError::Foreign { .. }));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    assert!(matches!(read_only_error(&folder), JournalError::NotThere { .. }));
}

#[test]
fn a_database_of_another_program_is_left_alone() {
    let folder = Folder::made();
    run_sql(&folder, "CREATE TABLE theses (text); PRAGMA user_version = 3");
    let before = fs::read(folder.database()).unwrap();
    assert!(matches!(open_error(&folder), JournalError::Foreign { .. }));
    assert!(matches!(read_only_error(&folder), JournalError::Foreign { .. }));
    assert_eq!(fs::read(folder.database()).unwrap(), before);
}

#[test]
fn a_newer_format_is_refused() {
    let folder = Folder::new();
    filled(&folder);
    run_sql(&folder, "PRAGMA user_version = 3");
    for error in [open_error(&folder), read_only_error(&folder)] {
        assert!(matches!(error, JournalError::Newer { found: 3, supported: 2, .. }), "{error}");
    }
}

#[test]
fn what_an_older_format_says_is_read_as_it_was() {
    let folder = Folder::new();
    let everything = filled(&folder);
    run_sql(&folder, "PRAGMA user_version = 1");
    assert_eq!(all_of(&SqliteJournal::open_read_only(folder.path()).unwrap()), everything);
    assert_eq!(all_of(&SqliteJournal::open(folder.path()).unwrap()), everything);
}

#[cfg(unix)]
#[test]
fn a_folder_that_is_removed_under_its_server_takes_nothing_more() {
    let folder = Folder::new();
    let (mut groups, server) = (groups().into_iter(), SqliteJournal::open(folder.path()).unwrap());
    server.commit(&groups.next().unwrap()).unwrap();
    fs::remove_dir_all(folder.path()).unwrap();
    let error = server.commit(&groups.next().unwrap()).unwrap_err();
    assert!(error.to_string().contains("was removed or replaced"), "{error}");
    // Another server begins there: that one's folder is not to be written to.
    let other = SqliteJournal::open(folder.path()).unwrap();
    assert!(server.reopen(&[]).is_err());
    assert!(server.commit(&[]).is_err());
    assert_eq!(other.topics().unwrap(), []);
}

#[test]
fn tables_that_are_not_ours_are_refused() {
    let folder = Folder::new();
    filled(&folder);
    run_sql(&folder, "ALTER TABLE runs RENAME COLUMN data TO date");
    assert!(matches!(open_error(&folder), JournalError::Corrupt { .. }));
}

#[test]
fn what_is_not_there_cannot_be_read() {
    let folder = Folder::new();
    assert!(matches!(read_only_error(&folder), JournalError::NotThere { .. }));
    assert!(!folder.path().exists());
    let folder = Folder::made();
    assert!(matches!(read_only_error(&folder), JournalError::NotThere { .. }));
}

#[test]
fn a_file_is_no_folder() {
    let folder = Folder::made();
    let file = folder.path().join("file");
    fs::write(&file, "text").unwrap();
    let error = SqliteJournal::open(&file).err().unwrap();
    assert!(matches!(error, JournalError::Folder { action: "make", .. }), "{error}");
    let error = SqliteJournal::open_read_only(&file).err().unwrap();
    assert!(matches!(error, JournalError::Corrupt { .. }), "{error}");
}

#[test]
fn reading_goes_on_beside_a_server() {
    let folder = Folder::new();
    let server = SqliteJournal::open(folder.path()).unwrap();
    let reader = SqliteJournal::open_read_only(folder.path()).unwrap();
    for group in groups() {
        server.commit(&group).unwrap();
        assert_eq!(all_of(&reader), all_of(&server));
    }
    let everything = all_of(&server);
    drop(server);
    assert_eq!(all_of(&reader), everything);
    // And when another server has begun since.
    let server = SqliteJournal::open(folder.path()).unwrap();
    server.begin().unwrap();
    assert_eq!(all_of(&reader), everything);
}

#[test]
fn nothing_is_written_through_a_reader() {
    let folder = Folder::new();
    filled(&folder);
    let reader = SqliteJournal::open_read_only(folder.path()).unwrap();
    assert!(reader.begin().is_err());
    assert!(reader.commit(&groups()[0]).is_err());
    assert!(reader.reopen(&[]).is_err());
}

#[test]
fn a_copied_database_can_be_read_by_itself() {
    let (folder, copy) = (Folder::new(), Folder::made());
    let everything = filled(&folder);
    let file = copy.path().join("of yesterday #2? 100%.db");
    fs::copy(folder.database(), &file).unwrap();
    assert_eq!(all_of(&SqliteJournal::open_read_only(&file).unwrap()), everything);
}

/// Where nothing can be written, SQLite cannot make the file through which connections share a database.
#[test]
fn a_stopped_journal_can_be_read_where_nothing_can_be_written() {
    let (folder, disk) = (Folder::new(), Disk::new());
    let everything = filled(&folder);
    let open = || {
        disk.fail(Kind::SharedMemory, 0);
        SqliteJournal::open_read_only_with(folder.path(), disk.settings())
    };
    assert_eq!(all_of(&open().unwrap()), everything);
    assert!(disk.has_failed());
    let server = SqliteJournal::open(folder.path()).unwrap();
    server.begin().unwrap();
    let error = open().err().unwrap();
    assert!(error.to_string().contains("copy all of it to another folder"), "{error}");
}
