//! Plays recorded editing through a running server, over real sockets.
//!
//! ```text
//! cargo run --release -p topicsync-tools --bin play -- TRACE.json.gz [--url ws://host:port] [--readers N]
//!     [--txns N] [--encoding json|msgpack]
//! ```
//!
//! A trace written by one hand is typed by one client as fast as the protocol allows, and followed by
//! readers. One written by two at once is typed by two clients, each of which knows at every moment
//! just what its author knew. In the end everybody has to hold the text that the trace ends with; if
//! not, the exit code is 1.
//!
//! A trace is gzipped JSON, as in <https://github.com/josephg/editing-traces>.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use topicsync::protocol::Encoding;
use topicsync_tools::play::server::LocalServer;
use topicsync_tools::play::trace::Trace;
use topicsync_tools::play::{Report, Result, Setup, play};

#[derive(Parser)]
#[command(about = "Plays recorded editing through a running server, over real sockets.")]
struct Options {
    /// The recording, as gzipped JSON.
    trace: PathBuf,
    /// The server, as ws://host:port; one is started in this process if not given.
    #[arg(long)]
    url: Option<String>,
    /// How many clients follow the writer of a trace that has but one.
    #[arg(long, default_value_t = 3)]
    readers: usize,
    /// Play only so many txns, if the trace has one writer.
    #[arg(long, default_value_t = usize::MAX, hide_default_value = true)]
    txns: usize,
    /// json or msgpack.
    #[arg(long, default_value = "json", value_parser = encoding)]
    encoding: Encoding,
}

fn encoding(name: &str) -> std::result::Result<Encoding, String> {
    match name {
        "json" => Ok(Encoding::Json),
        "msgpack" => Ok(Encoding::MessagePack),
        _ => Err("json or msgpack".to_owned()),
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    let name = options.trace.display().to_string();
    match run(options).await {
        Ok(report) => {
            println!("{name}: {report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<Report> {
    let Options { trace, url, readers, txns, encoding } = options;
    let trace = Trace::read(&trace)?.first(txns);
    match url {
        Some(url) => play(&trace, &Setup { url, encoding, readers }).await,
        None => {
            let server = LocalServer::start()?;
            let url = server.url().to_owned();
            let report = play(&trace, &Setup { url, encoding, readers }).await?;
            server.stop().await?;
            Ok(report)
        }
    }
}
