//! What the benchmarks share: the server's allocator, short runs, and a topic to push changes to.

mod random;

use std::time::Duration;

use criterion::Criterion;
use topicsync::topic::{ChangeId, ClientId, CommitNumber, Entry, Timestamp, Topic};
use topicsync::types::AnyChange;

#[allow(unused_imports, reason = "not every benchmark has use for chance")]
pub use random::Random;

// Figures are of what the server does, and it allocates with this.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Runs short enough for all of `cargo bench` to take a few minutes.
#[allow(dead_code, reason = "not every benchmark is one of Criterion's")]
pub fn criterion() -> Criterion {
    Criterion::default()
        .without_plots()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
}

/// Applies a change of client 1's and appends it to the topic's log, as the engine does.
#[allow(dead_code, reason = "not every benchmark has a topic")]
pub fn accept(topic: &mut Topic, change: AnyChange) {
    let change = topic.apply(change).expect("the change fits");
    let (version, author) = (topic.head().next(), ClientId(1));
    topic.push(Entry {
        version,
        commit: CommitNumber(version.0),
        change: Some(change),
        author,
        id: ChangeId::of(author, version.0),
        action: None,
        time: Timestamp(version.0),
    });
}
