//! What the benchmarks share: the server's allocator, short runs, and a topic to push changes to.

use std::time::Duration;

use criterion::Criterion;
use topicsync::topic::{ChangeId, ClientId, CommitNumber, Entry, Timestamp, Topic};
use topicsync::types::AnyChange;

// Figures are of what the server does, and it allocates with this.
#[cfg(feature = "server")]
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

/// Numbers that look random and are the same on every run (S. Vigna's SplitMix64).
#[allow(dead_code, reason = "not every benchmark has use for chance")]
pub struct Random(u64);

#[allow(dead_code, reason = "not every benchmark has use for chance")]
impl Random {
    pub fn new() -> Random {
        Random(1)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }
}
