//! The program `topicsync`: the server, and the commands that look into histories.
//!
//! A program with topic types of its own is the same program with a longer registry, and has every command
//! for them:
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! use topicsync::types::Registry;
//!
//! fn main() -> ExitCode {
//!     // As many as there are: `.with::<MyType>()`.
//!     let registry = Registry::default();
//!     topicsync_cli::run(&registry)
//! }
//! ```
//!
//! The program chooses its allocator itself; `topicsync` takes mimalloc.
//!
//! | module | holds |
//! |---|---|
//! | `serve` | the server's flags and environment variables |
//! | `source` | where a history is read from: a data folder or an exported file |
//! | `out`, `paint`, `pretty` | what is printed, and how it looks |
//! | `when` | moments, as people write them |
//! | `topics`, `log`, `show`, `diff`, `blame` | looking into histories |
//! | `transfer` | export, import, fork |
//! | `verify`, `bisect` | checking histories |
//! | `replay` | stepping through them |

mod bisect;
mod blame;
mod diff;
mod log;
mod out;
mod paint;
mod pretty;
mod replay;
mod serve;
mod show;
mod source;
mod topics;
mod transfer;
mod verify;
mod when;

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use thiserror::Error;
use topicsync::journal::JournalError;
use topicsync::server::BindError;
use topicsync::types::Registry;

use serve::Serve;

/// A server for shared state: typed topics, one order, convergent clients.
///
/// Clients connect with a WebSocket, subscribe to topics by name, send typed changes, and see
/// everyone's changes in one order.
///
/// Start a server on 127.0.0.1:8765:          topicsync
/// On all addresses, with another port:       topicsync serve --listen 0.0.0.0:9000
/// See who changed what, and when:            topicsync log
/// Step through it:                           topicsync replay
#[derive(Debug, Parser)]
#[command(name = "topicsync", version, verbatim_doc_comment)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Serve,
    /// The data folder: topics and their histories
    #[arg(
        long,
        global = true,
        env = "TOPICSYNC_DATA",
        value_name = "DIR",
        default_value = "topicsync-data"
    )]
    data: PathBuf,
}

/// What all commands have in hand.
struct Context<'a> {
    registry: &'a Registry,
    /// The data folder.
    data: &'a Path,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server until SIGINT or SIGTERM (the default command)
    Serve(Box<Serve>),
    /// List topics with their type, head and size
    Topics(topics::Topics),
    /// Show who changed what and when, of some topics or all
    Log(log::Log),
    /// Show a topic's value, or the whole workspace, now or at any moment
    Show(show::Show),
    /// Show what is different between two versions of a topic
    Diff(diff::Diff),
    /// Show who last wrote each key, item or stretch of text of a topic
    Blame(blame::Blame),
    /// Step through a history in the terminal, forward and back
    Replay(replay::Replay),
    /// Write histories as text, one JSON object a line
    Export(transfer::Export),
    /// Read exported histories into a data folder
    Import(transfer::Import),
    /// Make a new topic that starts at a version of another
    Fork(transfer::Fork),
    /// Fold every log and check it against its checkpoints
    Verify(verify::Verify),
    /// Find the first commit at which a condition does not hold
    Bisect(bisect::Bisect),
}

/// Why a command could not do its work.
#[derive(Debug, Error)]
enum CliError {
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("the log filter {filter:?} is none: {source}")]
    Log { filter: String, source: tracing_subscriber::filter::ParseError },
    #[error("cannot start: {0}")]
    Runtime(#[from] io::Error),
    #[error(transparent)]
    Command(#[from] out::CommandError),
}

/// Runs the program with the arguments of this process: the server, or the command that they name, for
/// the topic types of `registry`. What went wrong is told on standard error.
///
/// Wrong arguments, `--help` and `--version` end the process here.
pub fn run(registry: &Registry) -> ExitCode {
    match run_cli(&parse(), registry) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("topicsync: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Reads the arguments. Those of the server may stand alone, or behind `serve`; `--data` anywhere.
fn parse() -> Cli {
    let matches = Cli::command().get_matches();
    if let Some(command) = matches.subcommand_name() {
        let server_args = Serve::augment_args(clap::Command::new("serve"));
        let given = |arg: &&clap::Arg| {
            let source = matches.value_source(arg.get_id().as_str());
            source == Some(ValueSource::CommandLine)
        };
        if let Some(flag) = server_args.get_arguments().find(given).and_then(clap::Arg::get_long) {
            let why = if command == "serve" { "stands behind" } else { "is not for" };
            let words = format!("--{flag} {why} the subcommand '{command}'");
            Cli::command().error(ErrorKind::ArgumentConflict, words).exit();
        }
    }
    Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

fn run_cli(cli: &Cli, registry: &Registry) -> Result<(), CliError> {
    let context = &Context { registry, data: &cli.data };
    let result = match &cli.command {
        None => return cli.serve.run(context),
        Some(Command::Serve(serve)) => return serve.run(context),
        Some(Command::Topics(topics)) => topics.run(context),
        Some(Command::Log(log)) => log.run(context),
        Some(Command::Show(show)) => show.run(context),
        Some(Command::Diff(diff)) => diff.run(context),
        Some(Command::Blame(blame)) => blame.run(context),
        Some(Command::Replay(replay)) => replay.run(context),
        Some(Command::Export(export)) => export.run(context),
        Some(Command::Import(import)) => import.run(context),
        Some(Command::Fork(fork)) => fork.run(context),
        Some(Command::Verify(verify)) => verify.run(context),
        Some(Command::Bisect(bisect)) => bisect.run(context),
    };
    match result {
        // Whoever reads what is printed has had enough of it: `topicsync log | head`.
        Err(error) if error.is_broken_pipe() => Ok(()),
        result => Ok(result?),
    }
}
