//! How much of the congestion window is used (RFC 2861 section 3, RFC 7661; Linux's tcp_cwnd_validate).

use crate::{
    time::{Duration, Instant},
    wire::seq::SeqNum,
};

/// What was made of the window, in this window of data and since it was last found full.
#[derive(Debug)]
pub struct WindowUse {
    /// Nothing but the window held the sender back.
    full: bool,
    /// The most that was out, bytes.
    most: u32,
    /// Both hold until this is acknowledged.
    until: SeqNum,
    /// Since when the window has not been full, milliseconds that wrap around.
    since_ms: u32,
}

/// What is out when something was sent, or could not be.
#[derive(Copy, Clone, Debug)]
pub struct Moment {
    /// Bytes sent and not acknowledged.
    pub outstanding: u32,
    /// The congestion window takes no more.
    pub full: bool,
    /// SND.UNA.
    pub una: SeqNum,
    /// SND.NXT.
    pub nxt: SeqNum,
    /// The congestion window; 0 outside of slow start.
    pub slow_start: u32,
}

impl WindowUse {
    /// Nothing was sent yet on a connection that begins at `iss`.
    pub fn new(iss: SeqNum) -> Self {
        Self { full: false, most: 0, until: iss, since_ms: 0 }
    }

    /// Whether an acknowledgement may make the window grow. In slow start, whose window is `slow_start` and not 0, half
    /// in use is enough, as in Linux: the other half is the growth of this round trip, which nobody had the time to use
    /// yet.
    pub fn is_used(&self, slow_start: u32) -> bool {
        self.full || slow_start / 2 < self.most && slow_start > 0
    }

    /// The window may have grown, or begins anew: it is not yet known to be too large.
    pub fn reset(&mut self, now: Instant) {
        self.since_ms = now.as_millis() as u32;
    }

    /// Data was sent, or the window kept it from being sent. If the window was not what held the sender back for a
    /// whole time-out, returns the most that was out in this window of data.
    pub fn on_sent(&mut self, moment: &Moment, rto: Duration, now: Instant) -> Option<u32> {
        let &Moment { outstanding, full, una, nxt, slow_start } = moment;
        if una >= self.until || full || (!self.full && outstanding > self.most) {
            (self.full, self.most, self.until) = (full, outstanding, nxt);
        }
        if self.is_used(slow_start) {
            self.reset(now);
            return None;
        }
        let unused_for = Duration::from_millis((now.as_millis() as u32).wrapping_sub(self.since_ms).into());
        if unused_for < rto {
            return None;
        }
        self.reset(now);
        Some(self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTO: Duration = Duration::from_secs(1);

    fn moment(outstanding: u32, full: bool, una: u32) -> Moment {
        Moment { outstanding, full, una: SeqNum(una), nxt: SeqNum(una + outstanding), slow_start: 0 }
    }

    fn at(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn a_window_once_full_counts_as_used_until_that_is_acknowledged() {
        let mut window = WindowUse::new(SeqNum(0));
        window.on_sent(&moment(10, true, 0), RTO, at(0));
        window.on_sent(&moment(5, false, 5), RTO, at(1));
        assert!(window.is_used(0));
        window.on_sent(&moment(5, false, 10), RTO, at(2));
        assert!(!window.is_used(0));
    }

    #[test]
    fn in_slow_start_half_a_window_is_enough() {
        let mut window = WindowUse::new(SeqNum(0));
        window.on_sent(&moment(9, false, 0), RTO, at(0));
        assert_eq!([0, 16, 18, 20].map(|cwnd| window.is_used(cwnd)), [false, true, false, false]);
    }

    #[test]
    fn a_time_out_without_a_full_window_tells_what_was_used_of_it() {
        let mut window = WindowUse::new(SeqNum(0));
        assert_eq!(window.on_sent(&moment(10, true, 0), RTO, at(1000)), None);
        assert_eq!(window.on_sent(&moment(7, false, 10), RTO, at(1500)), None);
        assert_eq!(window.on_sent(&moment(3, false, 20), RTO, at(2000)), Some(3));
        assert_eq!(window.on_sent(&moment(3, false, 30), RTO, at(2100)), None);
    }
}
