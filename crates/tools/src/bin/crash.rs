//! Kills a server with SIGKILL at random moments while many clients edit, and checks that nothing which
//! anybody saw is lost.
//!
//! ```text
//! cargo build --release && cargo run --release -p topicsync-tools --bin crash
//! ```
//!
//! [`topicsync_tools::crash`] says what a round is and what is checked after each. The server is the
//! `topicsync` built beside this program.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use topicsync_tools::{crash, sibling};

#[derive(Parser)]
#[command(about = "Kills a server while many edit, and checks that nothing is lost.")]
struct Options {
    #[arg(long, default_value_t = 200)]
    rounds: usize,
    #[arg(long, default_value_t = 16)]
    clients: usize,
    /// Decides what clients do and how long the server lives; the moments themselves never repeat.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Keeps the data in this folder, which must be empty or not there.
    #[arg(long)]
    data: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Options { rounds, clients, seed, data } = Options::parse();
    match run(rounds, clients, seed, data).await {
        Ok(report) => {
            let crash::Report { kills, seen } = report;
            println!(
                "{rounds} rounds, {kills} kills, {seen} changes seen by clients: none was lost"
            );
            ExitCode::SUCCESS
        }
        Err(what) => {
            eprintln!("crash: {what}");
            ExitCode::FAILURE
        }
    }
}

async fn run(
    rounds: usize,
    clients: usize,
    seed: u64,
    data: Option<PathBuf>,
) -> Result<crash::Report, String> {
    let own = tempfile::TempDir::new().map_err(|error| error.to_string())?;
    let data = data.unwrap_or_else(|| own.path().join("data"));
    let progress =
        |round, seen, kills| eprintln!("round {round}: {kills} kills, {seen} changes seen");
    let server = sibling::server().map_err(|error| error.to_string())?;
    crash::run(crash::Plan { server, data, rounds, clients, seed, progress }).await
}
