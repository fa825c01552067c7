//! The two times an engine goes by: that of the wall, which entries of the log bear, and that since the
//! process began, by which it forgets.

use std::time::Instant;

use crate::topic::{Timestamp, Uptime};

/// Tells the time. Handed in, so that tests and replays repeat exactly.
pub trait Clock: Send + Sync {
    /// The time of day. It may jump, forward and back.
    fn wall(&self) -> Timestamp;

    /// How long the process has been running. It never goes back, and does not jump with the wall clock.
    fn uptime(&self) -> Uptime;
}

/// The clocks of the operating system.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    began: Instant,
}

impl SystemClock {
    /// A clock whose uptime begins now.
    pub fn new() -> SystemClock {
        SystemClock { began: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> SystemClock {
        SystemClock::new()
    }
}

impl Clock for SystemClock {
    fn wall(&self) -> Timestamp {
        Timestamp::now()
    }

    fn uptime(&self) -> Uptime {
        Uptime(self.began.elapsed().as_millis() as u64)
    }
}

/// A function is a clock that never jumps: what it says counts as both times. For tests and replays.
impl<F: Fn() -> Timestamp + Send + Sync> Clock for F {
    fn wall(&self) -> Timestamp {
        self()
    }

    fn uptime(&self) -> Uptime {
        Uptime(self().0)
    }
}
