//! The server that an example starts: the `topicsync` built beside it.

use std::io;
use std::path::{Path, PathBuf};

/// Where that program is.
///
/// # Errors
/// It is not there, and how to build it.
pub fn server() -> io::Result<PathBuf> {
    let example = std::env::current_exe()?;
    let folder = example.parent().and_then(Path::parent);
    let server = folder.map(|folder| folder.join("topicsync")).filter(|server| server.is_file());
    let missing =
        || io::Error::other("there is no topicsync beside this: run cargo build --release");
    server.ok_or_else(missing)
}
