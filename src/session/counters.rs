//! What sessions count, for `_topicsync/stats` and for whoever shows it.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::protocol::RejectCode;

/// A number that many threads count up, and some down.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `count`.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// Takes one away.
    pub fn decrement(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// The number by now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What sessions count. All but `connections` only ever go up.
#[derive(Debug, Default)]
pub struct Counters {
    /// Open connections.
    pub connections: Counter,
    /// Changes accepted.
    pub changes: Counter,
    /// Messages received.
    pub messages_in: Counter,
    /// Bytes of frames received.
    pub bytes_in: Counter,
    /// Bytes of frames sent.
    pub bytes_out: Counter,
    /// Service requests received.
    pub requests: Counter,
    /// Times a connection fell behind.
    pub lags: Counter,
    /// Changes rejected, in the order of [`RejectCode::ALL`].
    rejects: [Counter; RejectCode::ALL.len()],
}

impl Counters {
    /// Counts a rejected change.
    pub(crate) fn reject(&self, code: RejectCode) {
        if let Some(index) = RejectCode::ALL.iter().position(|it| *it == code) {
            self.rejects[index].add(1);
        }
    }

    /// How many changes were rejected, by code.
    pub fn rejects(&self) -> impl Iterator<Item = (RejectCode, u64)> + '_ {
        RejectCode::ALL.iter().copied().zip(self.rejects.iter().map(Counter::get))
    }
}
