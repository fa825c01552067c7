//! The command line: reads flags and environment variables, and starts what they ask for.

mod cli;

use std::process::ExitCode;

use clap::Parser;

// The server allocates many small, shared nodes from many threads; the system's allocator is slower at
// it, and keeps more.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match cli::run(cli::Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("topicsync: {error}");
            ExitCode::FAILURE
        }
    }
}
