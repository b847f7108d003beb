//! How much of the congestion window is used (RFC 2861 section 3, RFC 7661; Linux's tcp_cwnd_validate).

use crate::time::{Duration, Instant};

/// The most that was in flight since the window was last found full.
#[derive(Debug, Default)]
pub struct WindowUse {
    since: Instant,
    most: u32,
}

impl WindowUse {
    /// Begins anew.
    pub fn reset(&mut self, now: Instant) {
        *self = Self { since: now, most: 0 };
    }

    /// An acknowledgement came while `in_flight` bytes were in flight. If for a whole time-out the window was not what held
    /// the sender back, returns the most that was in flight in that time.
    pub fn on_ack(&mut self, in_flight: u32, app_limited: bool, rto: Duration, now: Instant) -> Option<u32> {
        if !app_limited {
            self.reset(now);
            return None;
        }
        self.most = self.most.max(in_flight);
        let most = self.most;
        if now.since(self.since) < rto {
            return None;
        }
        self.reset(now);
        Some(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_time_out_without_a_full_window_tells_what_was_used() {
        let (at, rto) = (|ms: u64| Instant::from_nanos(ms * 1_000_000), Duration::from_millis(200));
        let mut used = WindowUse::default();
        used.reset(at(0));
        assert_eq!(used.on_ack(5_000, true, rto, at(100)), None);
        assert_eq!(used.on_ack(7_000, false, rto, at(150)), None);
        assert_eq!(used.on_ack(3_000, true, rto, at(250)), None);
        assert_eq!(used.on_ack(2_000, true, rto, at(350)), Some(3_000));
        assert_eq!(used.on_ack(1_000, true, rto, at(360)), None);
    }
}
