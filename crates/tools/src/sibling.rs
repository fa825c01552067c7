//! The server that a tool starts: the `topicsync` built beside it.

use std::io;
use std::path::PathBuf;

/// Where that program is.
///
/// # Errors
/// It is not there: what to do to have it.
pub fn server() -> io::Result<PathBuf> {
    let server = std::env::current_exe()?.with_file_name("topicsync");
    if server.is_file() {
        return Ok(server);
    }
    let release = if cfg!(debug_assertions) { "" } else { " --release" };
    let missing = format!("there is no {}: run cargo build{release} first", server.display());
    Err(io::Error::new(io::ErrorKind::NotFound, missing))
}
