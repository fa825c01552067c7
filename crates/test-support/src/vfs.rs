//! A disk that fails on purpose: an SQLite VFS around the usual one.
//!
//! It fails the write or sync that a test chose, and keeps in mind what was written to each file since
//! that was last synced, so that a test can have what would be left after the power failed: any part of
//! the unsynced writes, some of them torn.
//!
//! `unsafe` throughout: SQLite calls through tables of C functions. Each of ours finds its
//! `File` where `xOpen` made it, and hands on to the real file that lies behind it in one allocation
//! of SQLite's.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use rusqlite::ffi;
use topicsync::journal::Settings;

/// What goes wrong, at the chosen call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A write does nothing.
    Write,
    /// A write stops half way.
    ShortWrite,
    /// So does a write, and no other succeeds until the disk is healed: it is full.
    Full,
    /// A sync does nothing.
    Sync,
    /// So does a sync, and what was written since the last one is gone from the disk, as when a kernel
    /// gave up on it; it can still be read, from memory.
    LostSync,
    /// The memory that connections share cannot be made.
    SharedMemory,
}

#[derive(Default)]
struct State {
    /// How many more calls that could fail succeed, and how the next one then fails.
    plan: Option<(u64, Kind)>,
    /// Whether the plan's fault has happened.
    happened: bool,
    is_full: bool,
    /// Whether what was written is kept in mind.
    remembers: bool,
    images: BTreeMap<PathBuf, Image>,
}

/// A file as it is on disk for sure, and what was done to it since.
#[derive(Default, Clone)]
struct Image {
    synced: Vec<u8>,
    unsynced: Vec<Edit>,
}

#[derive(Clone)]
enum Edit {
    Write(usize, Vec<u8>),
    Truncate(usize),
}

impl Edit {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Edit::Write(at, written) => {
                bytes.resize(bytes.len().max(at + written.len()), 0);
                bytes[*at..at + written.len()].copy_from_slice(written);
            }
            Edit::Truncate(len) => bytes.truncate(*len),
        }
    }
}

/// A disk of its own for one test.
pub struct Disk {
    name: String,
    state: Arc<Mutex<State>>,
}

/// What the VFS and each of its files have in hand.
struct Context {
    state: Arc<Mutex<State>>,
    real: *mut ffi::sqlite3_vfs,
}

impl Context {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

#[repr(C)]
struct File {
    base: ffi::sqlite3_file,
    context: *const Context,
    /// Set for files whose content outlives a crash. Made by `Box::into_raw`.
    path: *mut PathBuf,
}

/// One that never fails, and does not wait for the real one either.
pub fn quick() -> Settings {
    static DISK: OnceLock<Disk> = OnceLock::new();
    let make = || {
        let disk = Disk::new();
        disk.state.lock().unwrap().remembers = false;
        disk
    };
    DISK.get_or_init(make).settings()
}

impl Default for Disk {
    fn default() -> Disk {
        Disk::new()
    }
}

impl Disk {
    pub fn new() -> Disk {
        static MADE: AtomicU64 = AtomicU64::new(0);
        let name = format!("faulty-{}", MADE.fetch_add(1, Ordering::Relaxed));
        let state = State { remembers: true, ..State::default() };
        let state = Arc::new(Mutex::new(state));
        // SAFETY: initializing twice is allowed, and makes the default VFS known.
        let real = unsafe {
            ffi::sqlite3_initialize();
            ffi::sqlite3_vfs_find(std::ptr::null())
        };
        assert!(!real.is_null());
        let context = Box::new(Context { state: state.clone(), real });
        // SAFETY: the default VFS is there for as long as the process. What is not overridden below
        // either does not look at its VFS, or only at fields that are copied.
        let mut vfs = unsafe { std::ptr::read(real) };
        let size = size_of::<File>() as c_int + vfs.szOsFile;
        (vfs.szOsFile, vfs.pNext) = (size, std::ptr::null_mut());
        vfs.zName = CString::new(name.as_str()).unwrap().into_raw();
        vfs.pAppData = Box::into_raw(context).cast();
        vfs.xOpen = Some(open);
        vfs.xDelete = Some(delete);
        // SAFETY: the table and all it points to are leaked, as a VFS stays registered.
        let code = unsafe { ffi::sqlite3_vfs_register(Box::into_raw(Box::new(vfs)), 0) };
        assert_eq!(code, ffi::SQLITE_OK);
        Disk { name, state }
    }

    pub fn settings(&self) -> Settings {
        Settings { vfs: Some(self.name.clone()), ..Settings::default() }
    }

    /// Lets the call fail that follows `after` others which could.
    pub fn fail(&self, kind: Kind, after: u64) {
        let mut state = self.state.lock().unwrap();
        (state.plan, state.happened) = (Some((after, kind)), false);
    }

    /// Nothing fails any more. Tells whether something did.
    pub fn heal(&self) -> bool {
        let mut state = self.state.lock().unwrap();
        (state.plan, state.is_full) = (None, false);
        std::mem::take(&mut state.happened)
    }

    pub fn has_failed(&self) -> bool {
        self.state.lock().unwrap().happened
    }

    /// Writes to `folder` what the files may hold after the power failed: for each write that was not
    /// synced, `keeps` tells how much of it got to the disk, from 0 (nothing) to 2 (all).
    pub fn crash(&self, folder: &Path, mut keeps: impl FnMut() -> u8) {
        for (path, image) in &self.state.lock().unwrap().images {
            let mut bytes = image.synced.clone();
            for edit in &image.unsynced {
                match (keeps(), edit) {
                    (0, _) => {}
                    (1, Edit::Write(at, written)) => {
                        let half = written[..written.len() / 2].to_vec();
                        Edit::Write(*at, half).apply(&mut bytes);
                    }
                    (_, edit) => edit.apply(&mut bytes),
                }
            }
            fs::write(folder.join(path.file_name().unwrap()), bytes).unwrap();
        }
    }
}

impl State {
    /// Whether the plan's fault comes now, if the call is one of those that it could come at.
    fn strikes(&mut self, could: impl Fn(Kind) -> bool) -> Option<Kind> {
        let (after, kind) = self.plan.as_mut().filter(|(_, kind)| could(*kind))?;
        if *after > 0 {
            *after -= 1;
            return None;
        }
        let kind = *kind;
        (self.plan, self.happened) = (None, true);
        Some(kind)
    }

    fn edit(&mut self, path: Option<&PathBuf>, edit: Edit) {
        if let Some(image) = path.and_then(|path| self.images.get_mut(path)) {
            image.unsynced.push(edit);
        }
    }
}

/// The file that SQLite means, its context, and the real one behind it.
///
/// # Safety
/// `file` was opened by [`open`].
unsafe fn parts<'a>(
    file: *mut ffi::sqlite3_file,
) -> (&'a File, &'a Context, *mut ffi::sqlite3_file) {
    // SAFETY: `open` filled in a `File` there, whose context is leaked, and opened the real file in the
    // memory that `szOsFile` asked for behind it.
    unsafe {
        let own = file.cast::<File>();
        (&*own, &*(*own).context, own.add(1).cast())
    }
}

impl File {
    fn path(&self) -> Option<&PathBuf> {
        // SAFETY: null, or from `Box::into_raw` and not freed before `close`.
        unsafe { self.path.as_ref() }
    }
}

unsafe extern "C" fn open(
    vfs: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: `vfs` is ours, and `file` has room for a `File` and the real one.
    unsafe {
        let context = (*vfs).pAppData.cast::<Context>().cast_const();
        let own = file.cast::<File>();
        let inner = own.add(1).cast::<ffi::sqlite3_file>();
        (*own).base.pMethods = std::ptr::null();
        let real = (*context).real;
        let code = (*real).xOpen.unwrap()(real, name, inner, flags, out_flags);
        if code != ffi::SQLITE_OK {
            return code;
        }
        let lasts = flags & (ffi::SQLITE_OPEN_MAIN_DB | ffi::SQLITE_OPEN_WAL) != 0;
        let path = (lasts && !name.is_null()).then(|| {
            let path = PathBuf::from(CStr::from_ptr(name).to_str().unwrap());
            let found = || Image { synced: fs::read(&path).unwrap_or_default(), unsynced: vec![] };
            let mut state = (*context).state();
            if state.remembers {
                state.images.entry(path.clone()).or_insert_with(found);
            }
            path
        });
        (*own).context = context;
        (*own).path = path.map_or(std::ptr::null_mut(), |path| Box::into_raw(Box::new(path)));
        (*own).base.pMethods = &METHODS;
        code
    }
}

unsafe extern "C" fn delete(vfs: *mut ffi::sqlite3_vfs, name: *const c_char, sync: c_int) -> c_int {
    // SAFETY: `vfs` is ours, and `name` is a C string.
    unsafe {
        let context = (*vfs).pAppData.cast::<Context>();
        let path = PathBuf::from(CStr::from_ptr(name).to_str().unwrap());
        (*context).state().images.remove(&path);
        let real = (*context).real;
        (*real).xDelete.unwrap()(real, name, sync)
    }
}

/// Hands a call on to the real file.
macro_rules! hand_on {
    ($file:ident . $method:ident ($($argument:expr),*)) => {{
        // SAFETY: the file was opened by `open`, so the real one behind it is open, and its methods are
        // those of the default VFS, which has all of them.
        let (_, _, real) = unsafe { parts($file) };
        unsafe { (*(*real).pMethods).$method.unwrap()(real $(, $argument)*) }
    }};
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: closed once; the path is from `Box::into_raw`, or null.
    unsafe {
        let path = (*file.cast::<File>()).path;
        if !path.is_null() {
            drop(Box::from_raw(path));
        }
    }
    hand_on!(file.xClose())
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    bytes: *const c_void,
    len: c_int,
    at: ffi::sqlite3_int64,
) -> c_int {
    // SAFETY: the file is ours, and `bytes` are `len` long.
    let (own, context, written) = unsafe {
        let (own, context, _) = parts(file);
        (own, context, std::slice::from_raw_parts(bytes.cast::<u8>(), len as usize))
    };
    let mut state = context.state();
    let kinds = [Kind::Write, Kind::ShortWrite, Kind::Full];
    let kind = state.strikes(|kind| own.path().is_some() && kinds.contains(&kind));
    state.is_full |= kind == Some(Kind::Full);
    if state.is_full && kind.is_none() {
        return ffi::SQLITE_FULL;
    }
    let done = match kind {
        None => len,
        Some(Kind::Write) => return ffi::SQLITE_IOERR_WRITE,
        Some(_) => len / 2,
    };
    state.edit(own.path(), Edit::Write(at as usize, written[..done as usize].to_vec()));
    let code = hand_on!(file.xWrite(bytes, done, at));
    match kind {
        Some(Kind::Full) => ffi::SQLITE_FULL,
        Some(_) => ffi::SQLITE_IOERR_WRITE,
        None => code,
    }
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: ffi::sqlite3_int64) -> c_int {
    // SAFETY: the file is ours.
    let (own, context, _) = unsafe { parts(file) };
    context.state().edit(own.path(), Edit::Truncate(size as usize));
    hand_on!(file.xTruncate(size))
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, flags: c_int) -> c_int {
    // SAFETY: the file is ours.
    let (own, context, _) = unsafe { parts(file) };
    let Some(path) = own.path() else { return hand_on!(file.xSync(flags)) };
    let mut state = context.state();
    let kind = state.strikes(|kind| matches!(kind, Kind::Sync | Kind::LostSync));
    let image = state.images.get_mut(path);
    if let Some(image) = image {
        match kind {
            Some(Kind::LostSync) => image.unsynced.clear(),
            Some(_) => {}
            None => {
                let edits = std::mem::take(&mut image.unsynced);
                edits.iter().for_each(|edit| edit.apply(&mut image.synced));
            }
        }
    }
    // Whether the real disk has it changes nothing for the test, but takes time.
    if kind.is_some() { ffi::SQLITE_IOERR_FSYNC } else { ffi::SQLITE_OK }
}

unsafe extern "C" fn shm_map(
    file: *mut ffi::sqlite3_file,
    page: c_int,
    size: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    // SAFETY: the file is ours.
    let (_, context, _) = unsafe { parts(file) };
    if context.state().strikes(|kind| kind == Kind::SharedMemory).is_some() {
        return ffi::SQLITE_CANTOPEN;
    }
    hand_on!(file.xShmMap(page, size, extend, out))
}

/// Methods that only hand on.
macro_rules! handed_on {
    ($($name:ident = $method:ident($($argument:ident: $kind:ty),*) -> $result:ty;)*) => {
        $(unsafe extern "C" fn $name(file: *mut ffi::sqlite3_file $(, $argument: $kind)*) -> $result {
            hand_on!(file.$method($($argument),*))
        })*
    };
}

handed_on! {
    read = xRead(bytes: *mut c_void, len: c_int, at: ffi::sqlite3_int64) -> c_int;
    file_size = xFileSize(size: *mut ffi::sqlite3_int64) -> c_int;
    lock = xLock(level: c_int) -> c_int;
    unlock = xUnlock(level: c_int) -> c_int;
    check_reserved_lock = xCheckReservedLock(out: *mut c_int) -> c_int;
    file_control = xFileControl(operation: c_int, argument: *mut c_void) -> c_int;
    sector_size = xSectorSize() -> c_int;
    device_characteristics = xDeviceCharacteristics() -> c_int;
    shm_lock = xShmLock(offset: c_int, count: c_int, flags: c_int) -> c_int;
    shm_barrier = xShmBarrier() -> ();
    shm_unmap = xShmUnmap(delete: c_int) -> c_int;
}

/// Version 2: without memory mapped pages.
static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};
