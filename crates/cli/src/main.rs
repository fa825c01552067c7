//! The server and its commands, for the built-in topic types.

use std::process::ExitCode;

use topicsync::types::Registry;

// The server allocates many small, shared nodes from many threads; the system's allocator is slower at
// it, and keeps more.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    topicsync_cli::run(&Registry::default())
}
