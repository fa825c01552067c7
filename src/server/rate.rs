//! How much one connection may ask for.

use std::time::{Duration, Instant};

/// For how long a connection may be over its limit.
const PATIENCE: Duration = Duration::from_secs(10);

/// Counts messages by the second.
pub(super) struct RateLimit {
    /// Messages a second; 0 for any number.
    max: u32,
    window_start: Instant,
    in_window: usize,
    /// Since when every second was over the limit.
    over_since: Option<Instant>,
}

impl RateLimit {
    pub(super) fn new(max: u32) -> RateLimit {
        RateLimit { max, window_start: Instant::now(), in_window: 0, over_since: None }
    }

    /// Notes that `count` messages came, and tells whether it has been too many for too long.
    pub(super) fn is_exceeded(&mut self, count: usize) -> bool {
        self.max > 0 && self.is_exceeded_at(count, Instant::now())
    }

    fn is_exceeded_at(&mut self, count: usize, now: Instant) -> bool {
        let window = now - self.window_start;
        if window >= Duration::from_secs(1) {
            let was_over = self.in_window as f64 > f64::from(self.max) * window.as_secs_f64();
            if !was_over {
                self.over_since = None;
            }
            (self.window_start, self.in_window) = (now, 0);
        }
        self.in_window += count;
        if self.in_window > self.max as usize {
            self.over_since.get_or_insert(now);
        }
        self.over_since.is_some_and(|since| now - since >= PATIENCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_fine_and_a_flood_is_not() {
        let mut rate = RateLimit::new(10);
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        assert!(!rate.is_exceeded_at(1000, at(0)));
        assert!(!rate.is_exceeded_at(1, at(5_000)));
        assert!(!rate.is_exceeded_at(1, at(12_000)));
        let flood = (0..120).any(|tenth| rate.is_exceeded_at(100, at(20_000 + tenth * 100)));
        assert!(flood);
    }
}
