//! The data folder: what is in it, and whose it is.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::Settings;
use super::fault::Fault;
use crate::journal::JournalError;

const DATABASE: &str = "topicsync.db";
const LOCK: &str = "lock";

/// Where a journal lies, and how its files are reached.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// The folder, or the database itself if that was given; what messages name.
    pub path: PathBuf,
    pub database: PathBuf,
    pub settings: Settings,
    /// The file that was opened for writing, once it was.
    opened: OnceLock<FileId>,
}

/// Tells one file of this machine from others.
type FileId = (u64, u64);

#[cfg(unix)]
fn file_id(path: &Path) -> io::Result<FileId> {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).map(|file| (file.dev(), file.ino()))
}

/// Elsewhere, a file that is open cannot be removed or replaced.
#[cfg(not(unix))]
fn file_id(path: &Path) -> io::Result<FileId> {
    fs::metadata(path).map(|_| (0, 0))
}

impl Place {
    /// The place of a journal that may be written; its folder is made if need be.
    pub(crate) fn for_writing(path: &Path, settings: Settings) -> Result<Place, JournalError> {
        let (database, opened) = (path.join(DATABASE), OnceLock::new());
        let place = Place { path: path.into(), database, settings, opened };
        make_folder(path).map_err(|source| place.cannot("make", source))?;
        let is_there = place.database.try_exists();
        if !is_there.map_err(|source| place.cannot("read", source))? {
            place.check_empty()?;
        }
        Ok(place)
    }

    /// The place of a journal that is there: a folder, or the database in a file.
    pub(crate) fn for_reading(path: &Path, settings: Settings) -> Result<Place, JournalError> {
        let database = if path.is_dir() { path.join(DATABASE) } else { path.to_path_buf() };
        let place = Place { path: path.into(), database, settings, opened: OnceLock::new() };
        match place.database.try_exists() {
            Ok(true) => Ok(place),
            Ok(false) => Err(JournalError::NotThere { path: place.database }),
            Err(source) => Err(place.cannot("read", source)),
        }
    }

    /// Notes which file is written to from here on.
    pub(crate) fn note_opened(&self) {
        if let Ok(id) = file_id(&self.database) {
            let _ = self.opened.set(id);
        }
    }

    /// Checks that the file that is written to still is the one in the folder: what is written to one that
    /// was removed is gone with the process.
    pub(crate) fn check_there(&self) -> Result<(), Fault> {
        let Some(opened) = self.opened.get() else { return Ok(()) };
        match file_id(&self.database) {
            Ok(found) if found == *opened => Ok(()),
            _ => {
                let database = self.database.display();
                let reason = format!("{database} was removed or replaced while it was in use");
                Err(Fault::Closed(reason))
            }
        }
    }

    pub(crate) fn cannot(&self, action: &'static str, source: io::Error) -> JournalError {
        if source.kind() == io::ErrorKind::StorageFull {
            return JournalError::Full { path: self.path.clone() };
        }
        JournalError::Folder { action, path: self.path.clone(), source }
    }

    /// Whether changes lie beside the database that have not been copied into it.
    pub(crate) fn has_wal(&self) -> bool {
        let mut wal = self.database.clone().into_os_string();
        wal.push("-wal");
        fs::metadata(wal).is_ok_and(|wal| wal.len() > 0)
    }

    /// Whether the database does not end with a page's end, and no log could make it whole.
    pub(crate) fn ends_early(&self, page_size: u64) -> bool {
        let len = fs::metadata(&self.database).map_or(0, |database| database.len());
        let is_whole = len > 0 && len.is_multiple_of(page_size.max(1));
        !is_whole && !self.has_wal()
    }

    /// A database that is being made, and not yet one.
    pub(crate) fn unfinished(&self) -> PathBuf {
        self.path.join("topicsync.db.new")
    }

    /// A folder without a database must hold nothing that somebody may miss.
    fn check_empty(&self) -> Result<(), JournalError> {
        let entries = fs::read_dir(&self.path).map_err(|source| self.cannot("read", source))?;
        for entry in entries {
            let name = entry.map_err(|source| self.cannot("read", source))?.file_name();
            let name = name.to_string_lossy();
            // What an earlier try may have left, and what a new disk is born with.
            let is_known =
                name == LOCK || name == "lost+found" || name.starts_with("topicsync.db.new");
            if !is_known {
                return Err(JournalError::Foreign { path: self.path.clone() });
            }
        }
        Ok(())
    }

    /// Puts what was made or renamed in the folder on disk.
    pub(crate) fn sync_folder(&self) -> Result<(), JournalError> {
        sync_folder(&self.path).map_err(|source| self.cannot("sync", source))
    }
}

fn sync_folder(path: &Path) -> io::Result<()> {
    // Elsewhere a folder cannot be opened as a file, and need not be.
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}

fn make_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(path)?;
    match path.parent() {
        Some(parent) if parent != Path::new("") => sync_folder(parent),
        _ => sync_folder(Path::new(".")),
    }
}

/// Held by the one writer of a folder, until it is dropped or its process ends.
pub(super) struct Lock(#[expect(dead_code, reason = "what counts is that it is open")] File);

impl Lock {
    pub(crate) fn take(place: &Place) -> Result<Lock, JournalError> {
        let path = place.path.join(LOCK);
        let mut options = File::options();
        let options = options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(path).map_err(|source| place.cannot("write to", source))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let read = file.read_to_string(&mut holder);
                let pid = read.ok().and_then(|_| holder.trim().parse().ok());
                return Err(JournalError::InUse { path: place.path.clone(), pid });
            }
            Err(TryLockError::Error(source)) => return Err(place.cannot("lock", source)),
        }
        write_pid(&mut file).map_err(|source| place.cannot("write to", source))?;
        Ok(Lock(file))
    }
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}
