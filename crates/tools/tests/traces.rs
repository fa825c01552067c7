//! Real editing, played through a running server over real sockets: everybody ends with the text that
//! the recording ends with.
//!
//! Unoptimized builds play the beginning of the long recordings, up to which a plain `String` tells
//! the text; the one by two authors at once is always played whole.

use std::path::Path;

use topicsync::protocol::Encoding;
use topicsync_tools::play::server::LocalServer;
use topicsync_tools::play::trace::Trace;
use topicsync_tools::play::{Setup, play};

/// How much of a sequential recording is played.
const TXNS: usize = if cfg!(debug_assertions) { 20_000 } else { usize::MAX };

async fn check_trace(name: &str, encoding: Encoding) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/traces");
    let path = folder.join(format!("{name}.json.gz"));
    if !path.exists() {
        eprintln!("skipped: there is no trace {name}");
        return;
    }
    let trace = Trace::read(&path).expect("the trace reads").first(TXNS);
    let server = LocalServer::start().expect("there is a free port");
    let url = server.url().to_owned();
    let played = play(&trace, &Setup { url, encoding, readers: 3 }).await;
    match played {
        Ok(report) => println!("{name}: {report}"),
        Err(error) => panic!("{name}: {error}"),
    }
    server.stop().await.expect("the server stops");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paper_typed_alone_reads_the_same_to_all() {
    check_trace("automerge-paper", Encoding::Json).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_edited_in_several_places_at_once_reads_the_same_to_all() {
    check_trace("sveltecomponent", Encoding::MessagePack).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_essay_of_two_told_as_one_reads_the_same_to_all() {
    check_trace("friendsforever_flat", Encoding::MessagePack).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_essay_of_two_at_once_ends_as_they_left_it() {
    check_trace("friendsforever", Encoding::Json).await;
}
