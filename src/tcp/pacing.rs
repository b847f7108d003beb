//! Pacing: segments leave spread over time rather than in bursts (draft-ietf-ccwg-bbr section 5.6.2, as Linux's
//! internal pacing), and the size of frames that goes with it (Linux's tcp_tso_autosize).
//!
//! What was sent sets the time from which the next may leave, exactly; but sending may run ahead of that time by a
//! quantum of 1 ms, or two segments where these take longer. The timer so fires at most once a quantum however fast the
//! path is, and on a path shorter than the quantum never: there the window is used up first.

use super::{Connection, congestion::Controller, timer::Timer};
use crate::time::{Duration, Instant};

/// No limit (SO_MAX_PACING_RATE's default).
pub const UNLIMITED: u64 = u64::MAX;
/// What sending may run ahead of the rate.
const QUANTUM: Duration = Duration::from_millis(1);
/// The first segments of a connection are not paced (as Linux): nothing is known of the path yet.
const FREE_SEGMENTS: u32 = 10;
/// A frame takes what the rate lets out in about a millisecond: the rate shifted by this (Linux's sk_pacing_shift).
const FRAME_SHIFT: u32 = 10;
/// A frame is larger on a short path, where a burst is gone soon: by half of the largest one for each doubling of the
/// round trip below 512 us (Linux's tcp_tso_rtt_log).
const LOCAL_SHIFT: u32 = 9;
/// The largest frame.
const LARGEST: u64 = 65_536;

/// When the next segment may leave.
#[derive(Debug, Default)]
pub(super) struct Pacing {
    next: Instant,
}

impl Pacing {
    /// `bytes` left at `rate`.
    fn on_sent(&mut self, bytes: u32, rate: u64, now: Instant) {
        let nanos = u64::from(bytes).saturating_mul(1_000_000_000) / rate.max(1);
        self.next = self.next.max(now) + Duration::from_nanos(nanos);
    }

    /// Until when sending has to wait, if it has.
    fn waits_until(&self, rate: u64, segment: u32, now: Instant) -> Option<Instant> {
        let two = Duration::from_nanos(2 * u64::from(segment).saturating_mul(1_000_000_000) / rate.max(1));
        (self.next > now + QUANTUM && self.next >= now + two).then_some(self.next)
    }
}

/// Bytes that a frame should take at `rate`: what leaves within about a millisecond, more on a short path.
fn frame_goal(rate: u64, min_rtt: Option<Duration>) -> u32 {
    let halvings = min_rtt.map_or(u32::MAX, |rtt| u32::try_from(rtt.as_micros() >> LOCAL_SHIFT).unwrap_or(u32::MAX));
    let local = LARGEST.checked_shr(halvings).unwrap_or(0);
    (rate >> FRAME_SHIFT).saturating_add(local).min(LARGEST) as u32
}

impl Connection {
    /// Bytes a second at which this connection sends, were it paced: the algorithm's rate, or what its window is worth
    /// with some room to grow (twice in slow start, a fifth more later; Linux's tcp_update_pacing_rate). At most the
    /// user's.
    pub(super) fn pacing_rate(&self) -> u64 {
        let rate = self.cc.pacing_rate().or_else(|| {
            let window = u64::from(self.cc.window().max(self.snd.unacked()));
            let knobs = &self.settings.knobs;
            let is_slow_start = self.cc.window() < self.cc.ssthresh() / 2;
            let percent = u64::from(if is_slow_start { knobs.pacing_ss_ratio } else { knobs.pacing_ca_ratio });
            let srtt = self.rtt.srtt()?.as_micros() as u64;
            Some(window * (percent * 10_000) / srtt.max(1))
        });
        rate.unwrap_or(UNLIMITED).min(self.settings.max_pacing_rate)
    }

    /// Whether segments are spread over time: the algorithm or the user wants it.
    fn is_paced(&self) -> bool {
        (self.cc.pacing_rate().is_some() || self.settings.max_pacing_rate != UNLIMITED)
            && self.stats.data_segs_out >= FREE_SEGMENTS
    }

    /// Bytes of one frame that do not make too long a burst; two segments at least (`tcp_min_tso_segs`).
    pub(super) fn frame_goal(&self, segment: u32) -> u32 {
        frame_goal(self.pacing_rate(), self.rtt.min_rtt()).max(self.settings.knobs.min_tso_segs.saturating_mul(segment))
    }

    /// Whether data has to wait for its time; then the timer is set.
    pub(super) fn is_paced_out(&mut self, segment: u32, now: Instant) -> bool {
        if !self.is_paced() {
            return false;
        }
        let until = self.pacing.waits_until(self.pacing_rate(), segment, now);
        match until {
            Some(at) => self.timers.set(Timer::Pacing, at),
            None => self.timers.stop(Timer::Pacing),
        }
        until.is_some()
    }

    /// So many bytes of data left. Headers do not count (as Linux): the rates that algorithms measure have none either.
    pub(super) fn note_paced(&mut self, bytes: u32, now: Instant) {
        if self.is_paced() {
            self.pacing.on_sent(bytes, self.pacing_rate(), now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEGABYTE: u64 = 1_000_000;

    fn at(us: u64) -> Instant {
        Instant::from_nanos(us * 1000)
    }

    #[test]
    fn sending_runs_a_quantum_ahead_and_then_waits_for_its_time() {
        let mut pacing = Pacing::default();
        // A megabyte a second: 500 bytes take 500 us.
        for _ in 0..3 {
            assert_eq!(pacing.waits_until(MEGABYTE, 500, at(0)), None);
            pacing.on_sent(500, MEGABYTE, at(0));
        }
        assert_eq!(pacing.waits_until(MEGABYTE, 500, at(0)), Some(at(1500)));
        assert_eq!(pacing.waits_until(MEGABYTE, 500, at(500)), None);
    }

    #[test]
    fn time_in_which_nothing_was_sent_is_no_credit() {
        let mut pacing = Pacing::default();
        pacing.on_sent(500, MEGABYTE, at(0));
        pacing.on_sent(1500, MEGABYTE, at(90_000));
        assert_eq!(pacing.waits_until(MEGABYTE, 500, at(90_000)), Some(at(91_500)));
    }

    #[test]
    fn a_slow_rate_lets_two_segments_out_together() {
        let mut pacing = Pacing::default();
        pacing.on_sent(1000, 10_000, at(0));
        assert_eq!(pacing.waits_until(10_000, 1000, at(0)), None);
        pacing.on_sent(1001, 10_000, at(0));
        assert_eq!(pacing.waits_until(10_000, 1000, at(0)), Some(at(200_100)));
    }

    #[test]
    fn frames_are_a_millisecond_long_and_as_large_as_can_be_on_a_local_path() {
        let goal = |rate, us| frame_goal(rate, Some(Duration::from_micros(us)));
        assert_eq!(goal(12_500_000, 20_000), 12_207);
        assert_eq!(goal(1, 100), 65_536);
        assert_eq!(goal(1, 600), 32_768);
        assert_eq!(goal(1, 20_000), 0);
        assert_eq!(goal(u64::MAX, 1 << 40), 65_536);
        assert_eq!(frame_goal(0, None), 0);
    }
}
