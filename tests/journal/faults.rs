//! Disks that fail: what was acknowledged stays, what failed is not there.

use topicsync::journal::Settings;
use topicsync::journal::{CommitError, Journal, JournalError, MemoryJournal, SqliteJournal};

use super::story::{Folder, all_of, groups, heads};
use super::vfs::{Disk, Kind, quick};

/// The log is copied into the database every few groups.
const LOG_PAGES: u32 = 12;

fn open(folder: &Folder, disk: &Disk) -> Result<SqliteJournal, JournalError> {
    let settings = Settings { log_pages: Some(LOG_PAGES), ..disk.settings() };
    SqliteJournal::open_with(folder.path(), settings)
}

fn begin_both(memory: &MemoryJournal, sqlite: &SqliteJournal) {
    assert_eq!(memory.begin().unwrap(), sqlite.begin().unwrap());
}

/// Plays the story with one fault, goes on after it, and checks everything on the way. Tells whether the
/// fault came.
fn check_fault(kind: Kind, after: u64) -> bool {
    let (folder, disk) = (Folder::new(), Disk::new());
    let memory = MemoryJournal::new();
    let sqlite = open(&folder, &disk).unwrap();
    begin_both(&memory, &sqlite);
    disk.fail(kind, after);
    let mut happened = false;
    for group in groups() {
        if let Err(error) = sqlite.commit(&group) {
            let is_full = matches!(error, CommitError::Failed(JournalError::Full { .. }));
            assert_eq!(is_full, kind == Kind::Full, "{error}");
            assert_eq!(
                all_of(&memory),
                all_of(&sqlite),
                "{kind:?} {after}: readers see nothing of it"
            );
            assert!(sqlite.commit(&group).is_err(), "nothing is written before it is opened again");
            if kind == Kind::Full {
                let reopened = sqlite.reopen(&heads(&memory));
                assert!(matches!(reopened, Err(JournalError::Full { .. })), "{reopened:?}");
            }
            happened |= disk.heal();
            sqlite.reopen(&heads(&memory)).unwrap();
            assert_eq!(all_of(&memory), all_of(&sqlite), "{kind:?} {after}: it left nothing");
            check_crash(&disk, &memory, &format!("{kind:?} {after}"));
            sqlite.commit(&group).unwrap();
        }
        memory.commit(&group).unwrap();
    }
    check_crash(&disk, &memory, &format!("{kind:?} {after}"));
    happened |= disk.heal();
    drop(sqlite);
    let sqlite = SqliteJournal::open_with(folder.path(), quick()).unwrap();
    assert_eq!(all_of(&memory), all_of(&sqlite), "{kind:?} {after}");
    begin_both(&memory, &sqlite);
    happened
}

/// If the power failed now, whatever was not synced, everything acknowledged would be there.
fn check_crash(disk: &Disk, memory: &MemoryJournal, when: &str) {
    for keeps in [0, 1, 2] {
        let folder = Folder::made();
        disk.crash(folder.path(), || keeps);
        let sqlite = SqliteJournal::open_with(folder.path(), quick()).unwrap();
        assert_eq!(all_of(memory), all_of(&sqlite), "{when}, keeping {keeps}");
    }
}

/// Goes through the calls that could fail: the first ones, then some of them.
fn check_faults(kind: Kind) {
    let mut after = 0;
    while check_fault(kind, after) {
        after += 1 + after / 12;
    }
    assert!(after > 9, "only {after} calls could fail");
}

#[test]
fn what_is_acknowledged_is_synced() {
    let (folder, disk) = (Folder::new(), Disk::new());
    let memory = MemoryJournal::new();
    let sqlite = open(&folder, &disk).unwrap();
    begin_both(&memory, &sqlite);
    for group in groups().into_iter().chain([vec![]]) {
        check_crash(&disk, &memory, "before a group");
        sqlite.commit(&group).unwrap();
        memory.commit(&group).unwrap();
    }
}

#[test]
fn a_write_that_fails_loses_nothing() {
    check_faults(Kind::Write);
}

#[test]
fn a_write_that_stops_half_way_loses_nothing() {
    check_faults(Kind::ShortWrite);
}

#[test]
fn a_full_disk_loses_nothing() {
    check_faults(Kind::Full);
}

#[test]
fn a_sync_that_fails_is_no_success() {
    check_faults(Kind::Sync);
    check_faults(Kind::LostSync);
}

/// The process ends right after the fault, and another begins on what it left.
#[test]
fn a_group_that_failed_is_there_as_a_whole_or_not_at_all() {
    for kind in [Kind::Write, Kind::ShortWrite, Kind::Full, Kind::Sync, Kind::LostSync] {
        for after in 0..60 {
            check_end(kind, after);
        }
    }
}

fn check_end(kind: Kind, after: u64) {
    let (folder, disk) = (Folder::new(), Disk::new());
    let memory = MemoryJournal::new();
    let sqlite = open(&folder, &disk).unwrap();
    begin_both(&memory, &sqlite);
    disk.fail(kind, after);
    for group in groups() {
        if sqlite.commit(&group).is_ok() {
            memory.commit(&group).unwrap();
            continue;
        }
        let acknowledged = all_of(&memory);
        memory.commit(&group).unwrap();
        let with_it = all_of(&memory);
        let mut seed = after;
        for _ in 0..8 {
            let left = Folder::made();
            disk.crash(left.path(), || {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (seed >> 33) as u8 % 3
            });
            let found = all_of(&SqliteJournal::open_with(left.path(), quick()).unwrap());
            assert!(found == acknowledged || found == with_it, "{kind:?} {after}");
        }
        return;
    }
}

/// While a group is being committed the power may fail at any time, with any part of it on disk.
#[test]
fn a_commit_that_is_cut_off_is_there_as_a_whole_or_not_at_all() {
    let (mut whole, mut nothing) = (0, 0);
    // A sync that does nothing is a good moment to look.
    for after in 0..12 {
        let (folder, disk) = (Folder::new(), Disk::new());
        let memory = MemoryJournal::new();
        let sqlite = open(&folder, &disk).unwrap();
        begin_both(&memory, &sqlite);
        disk.fail(Kind::Sync, after);
        let cut_off = groups().into_iter().find(|group| {
            let committed = sqlite.commit(group).is_ok();
            if committed {
                memory.commit(group).unwrap();
            }
            !committed
        });
        // A sync may also fail as the log is copied into the database, which loses nothing.
        let Some(group) = cut_off else { continue };
        let acknowledged = all_of(&memory);
        memory.commit(&group).unwrap();
        let with_it = all_of(&memory);
        for seed in 0..64u64 {
            let left = Folder::made();
            let mut at = 0;
            // Each pattern of writes that got there and writes that did not.
            disk.crash(left.path(), || {
                at += 1;
                if seed >> (at % 6) & 1 == 1 { 2 } else { 0 }
            });
            let found = all_of(&SqliteJournal::open_with(left.path(), quick()).unwrap());
            assert!(found == acknowledged || found == with_it, "{after} {seed}");
            *(if found == with_it { &mut whole } else { &mut nothing }) += 1;
        }
    }
    assert!(whole > 0 && nothing > 0, "{whole} {nothing}");
}

#[test]
fn a_journal_that_cannot_be_made_can_be_made_later() {
    for kind in [Kind::Write, Kind::Full, Kind::Sync] {
        for after in 0..40 {
            let (folder, disk) = (Folder::new(), Disk::new());
            disk.fail(kind, after);
            let opened = open(&folder, &disk);
            assert!(opened.is_ok() || disk.has_failed());
            drop(opened);
            disk.heal();
            let sqlite = open(&folder, &disk).unwrap();
            begin_both(&MemoryJournal::new(), &sqlite);
        }
    }
}
