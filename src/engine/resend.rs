//! How long the ids of accepted changes are remembered, so that a change which is sent again is known.
//!
//! A client may be away for a set time and then send again what it got no answer to. That time is counted
//! by the process's own uptime: the wall clock may jump. Commit numbers ascend, so it is enough to note
//! now and then which was the newest by then:
//!
//! ```text
//! uptime   0 ────── 4 s ────── 8 s ─ ··· ─ 64 s ────── 68 s = now
//! commit   900      950        950         1,200
//!                   └ 64 s ago: changes of commits up to this are not sent again
//! ```

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::topic::{CommitNumber, Uptime};

/// Into how many steps the time that a client may be away is divided, at most.
const STEPS: u64 = 16;

/// Which changes may still be sent again.
pub(super) struct ResendWindow {
    /// How long a client may be away, in milliseconds.
    away_ms: u64,
    /// Nothing of a commit up to this one is sent again; 0 as long as even what was accepted before the
    /// process began may be.
    forgotten: AtomicU64,
    /// The newest commit number at some moments, both ascending.
    marks: Mutex<VecDeque<(Uptime, CommitNumber)>>,
}

impl ResendWindow {
    /// The window of a process that begins now, `commit` being the newest of its predecessors.
    pub(super) fn new(away_ms: u64, now: Uptime, commit: CommitNumber) -> ResendWindow {
        let marks = Mutex::new(VecDeque::from([(now, commit)]));
        ResendWindow { away_ms, forgotten: AtomicU64::new(0), marks }
    }

    /// Notes that all commits up to `newest` were given by now.
    pub(super) fn note(&self, now: Uptime, newest: CommitNumber) {
        let mut marks = self.marks.lock();
        let last = marks.back().map_or(Uptime(0), |(at, _)| *at);
        if marks.is_empty() || now.0.saturating_sub(last.0) >= self.away_ms / STEPS {
            marks.push_back((now, newest));
        }
        while let Some((_, commit)) =
            marks.pop_front_if(|(at, _)| at.0.saturating_add(self.away_ms) <= now.0)
        {
            self.forgotten.store(commit.0, Ordering::Relaxed);
        }
    }

    /// Nothing of a commit up to this one is sent again; 0 if all may be.
    pub(super) fn forgotten(&self) -> CommitNumber {
        CommitNumber(self.forgotten.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_younger_than_the_window_is_never_forgotten() {
        let window = ResendWindow::new(1_600, Uptime(0), CommitNumber(50));
        for at in 0..100_u64 {
            window.note(Uptime(at * 40), CommitNumber(50 + at));
            let forgotten = window.forgotten().0;
            // The commit of step s was given by s * 40.
            match (at * 40).checked_sub(1_600) {
                None => assert_eq!(forgotten, 0),
                Some(since) => {
                    assert!(forgotten <= 50 + since / 40, "at {at}");
                    assert!(forgotten + 4 >= 50 + since / 40, "at {at}");
                }
            }
        }
        assert!(window.marks.lock().len() <= STEPS as usize + 2);
    }
}
