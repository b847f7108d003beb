//! Reno (RFC 5681): slow start, congestion avoidance and halving, with growth counted in bytes (RFC 3465; without its
//! limit of two segments an acknowledgement, as Linux: receivers that coalesce acknowledge dozens at once).

use super::{AckSample, Controller, MAX_WINDOW, initial_window};
use crate::time::{Duration, Instant};

/// Where the connection stands after a loss.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Phase {
    /// No loss is being repaired.
    Open,
    /// Fast recovery: the window stays as the loss set it.
    Recovery,
    /// After a time-out: slow start, while what was in flight is not yet acknowledged.
    Loss,
}

/// The state of the algorithm.
#[derive(Clone, Debug)]
pub struct Reno {
    cwnd: u32,
    ssthresh: u32,
    /// Bytes acknowledged in congestion avoidance that have not yet made the window grow.
    credit: u32,
    mss: u16,
    phase: Phase,
    /// Window and threshold before the loss that is being repaired.
    before: (u32, u32),
}

impl Reno {
    /// The state at the start of a connection.
    pub fn new(mss: u16) -> Self {
        let mss = mss.max(1);
        let cwnd = initial_window(mss);
        Self { cwnd, ssthresh: u32::MAX, credit: 0, mss, phase: Phase::Open, before: (cwnd, u32::MAX) }
    }

    /// Half of what was in flight, but two segments at least (RFC 5681 equation 4).
    fn halved(&self, in_flight: u32) -> u32 {
        (in_flight / 2).max(2 * u32::from(self.mss))
    }

    /// Whether the window was in use, so that it may grow (RFC 7661 section 4.1). In slow start half in use is enough,
    /// as in Linux: the other half is the growth of this round trip, which nobody had the time to use yet.
    fn is_validated(&self, ack: &AckSample) -> bool {
        !ack.app_limited || (self.cwnd < self.ssthresh && self.cwnd / 2 < ack.in_flight)
    }
}

impl Controller for Reno {
    fn window(&self) -> u32 {
        self.cwnd
    }

    fn ssthresh(&self) -> u32 {
        self.ssthresh
    }

    fn on_ack(&mut self, ack: &AckSample) {
        if self.phase == Phase::Recovery || !self.is_validated(ack) {
            return;
        }
        // Slow start up to the threshold (RFC 5681 equation 2, RFC 3465 section 2.2) ...
        let slow = ack.acked.min(self.ssthresh.saturating_sub(self.cwnd));
        self.cwnd = self.cwnd.saturating_add(slow).min(MAX_WINDOW);
        // ... and what is left of the acknowledgement counts for avoidance: one segment a window (RFC 3465 section 2.1).
        self.credit = self.credit.saturating_add(ack.acked - slow);
        let windows = self.credit / self.cwnd;
        if windows > 0 && self.cwnd >= self.ssthresh {
            self.credit -= windows * self.cwnd;
            self.cwnd = self.cwnd.saturating_add(windows.saturating_mul(u32::from(self.mss))).min(MAX_WINDOW);
        }
    }

    fn on_loss(&mut self, in_flight: u32, _now: Instant) {
        if self.phase == Phase::Open {
            self.before = (self.cwnd, self.ssthresh);
        }
        self.ssthresh = self.halved(in_flight);
        self.cwnd = self.ssthresh;
        self.credit = 0;
        self.phase = Phase::Recovery;
    }

    fn on_recovered(&mut self, _now: Instant) {
        self.phase = Phase::Open;
    }

    fn on_rto(&mut self, in_flight: u32, _now: Instant) {
        if self.phase == Phase::Open {
            self.before = (self.cwnd, self.ssthresh);
        }
        // Of several time-outs in a row the first sets the threshold (RFC 5681 section 3.1), and one within recovery
        // does not halve again what the loss has halved.
        if self.phase == Phase::Open {
            self.ssthresh = self.halved(in_flight);
        }
        self.cwnd = u32::from(self.mss);
        self.credit = 0;
        self.phase = Phase::Loss;
    }

    fn undo(&mut self, _now: Instant) {
        let (cwnd, ssthresh) = self.before;
        self.cwnd = self.cwnd.max(cwnd);
        self.ssthresh = self.ssthresh.max(ssthresh);
        self.phase = Phase::Open;
    }

    fn on_idle(&mut self, idle: Duration, rto: Duration) {
        // RFC 5681 section 4.1 restarts at once from the initial window; as Linux, the window is halved for each time-out
        // of silence down to that, and the threshold remembers three quarters of it (RFC 2861 section 2.2).
        let restart = initial_window(self.mss).min(self.cwnd);
        if rto.is_zero() || idle <= rto {
            return;
        }
        self.ssthresh = self.ssthresh.max(self.cwnd / 4 * 3);
        let halvings = (idle.as_nanos() / rto.as_nanos()).min(31) as u32;
        self.cwnd = (self.cwnd >> halvings).max(restart);
        self.credit = 0;
    }

    fn on_handshake_lost(&mut self) {
        self.cwnd = u32::from(self.mss);
    }

    fn set_mss(&mut self, mss: u16) {
        let mss = mss.max(1);
        // A window that is still the first one is that of the new size; any other keeps its bytes (a path MTU that
        // shrinks says nothing about congestion, RFC 1191 section 6.4).
        if self.cwnd == initial_window(self.mss) && self.ssthresh == u32::MAX {
            self.cwnd = initial_window(mss);
        }
        self.mss = mss;
        self.cwnd = self.cwnd.max(u32::from(mss));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MSS: u32 = 1000;
    const NOW: Instant = Instant::ZERO;

    fn reno() -> Reno {
        Reno::new(MSS as u16)
    }

    /// An acknowledgement of `acked` bytes of a full window.
    fn ack(reno: &mut Reno, acked: u32) {
        let in_flight = reno.cwnd;
        reno.on_ack(&AckSample { acked, in_flight, app_limited: false, rtt: None, min_rtt: None, now: NOW });
    }

    #[test]
    fn slow_start_doubles_a_window_however_it_is_acknowledged() {
        let mut single = reno();
        (0..10).for_each(|_| ack(&mut single, MSS));
        let mut stretched = reno();
        ack(&mut stretched, 10 * MSS);
        assert_eq!((single.window(), stretched.window()), (20 * MSS, 20 * MSS));
    }

    #[test]
    fn avoidance_adds_one_segment_a_window() {
        let mut reno = reno();
        reno.on_loss(20 * MSS, NOW);
        reno.on_recovered(NOW);
        assert_eq!((reno.window(), reno.ssthresh()), (10 * MSS, 10 * MSS));
        (0..10).for_each(|_| ack(&mut reno, MSS));
        assert_eq!(reno.window(), 11 * MSS);
        ack(&mut reno, 11 * MSS);
        assert_eq!(reno.window(), 12 * MSS);
    }

    #[test]
    fn slow_start_stops_at_the_threshold_and_the_rest_counts_for_avoidance() {
        let mut reno = reno();
        reno.on_rto(16 * MSS, NOW);
        reno.on_recovered(NOW);
        ack(&mut reno, 7 * MSS);
        assert_eq!(reno.window(), 8 * MSS);
        ack(&mut reno, 4 * MSS);
        ack(&mut reno, 4 * MSS);
        assert_eq!(reno.window(), 9 * MSS);
    }

    #[test]
    fn the_window_does_not_move_in_recovery() {
        let mut reno = reno();
        reno.on_loss(40 * MSS, NOW);
        ack(&mut reno, 20 * MSS);
        assert_eq!(reno.window(), 20 * MSS);
    }

    #[test]
    fn a_loss_with_little_in_flight_leaves_two_segments() {
        let mut reno = reno();
        reno.on_loss(MSS, NOW);
        assert_eq!((reno.window(), reno.ssthresh()), (2 * MSS, 2 * MSS));
    }

    #[test]
    fn a_time_out_restarts_from_one_segment_and_the_second_keeps_the_threshold() {
        let mut reno = reno();
        reno.on_rto(30 * MSS, NOW);
        assert_eq!((reno.window(), reno.ssthresh()), (MSS, 15 * MSS));
        ack(&mut reno, MSS);
        assert_eq!(reno.window(), 2 * MSS);
        reno.on_rto(2 * MSS, NOW);
        assert_eq!((reno.window(), reno.ssthresh()), (MSS, 15 * MSS));
    }

    #[test]
    fn a_loss_that_was_none_is_undone() {
        let mut reno = reno();
        ack(&mut reno, 10 * MSS);
        reno.on_loss(20 * MSS, NOW);
        reno.on_rto(10 * MSS, NOW);
        reno.undo(NOW);
        assert_eq!((reno.window(), reno.ssthresh()), (20 * MSS, u32::MAX));
        ack(&mut reno, MSS);
        assert_eq!(reno.window(), 21 * MSS);
    }

    #[test]
    fn a_window_that_is_not_used_does_not_grow() {
        let mut reno = reno();
        let idle = AckSample { acked: MSS, in_flight: MSS, app_limited: true, rtt: None, min_rtt: None, now: NOW };
        (0..100).for_each(|_| reno.on_ack(&idle));
        assert_eq!(reno.window(), 10 * MSS);
        reno.on_ack(&AckSample { in_flight: 6 * MSS, ..idle });
        assert_eq!(reno.window(), 11 * MSS);
    }

    #[test]
    fn silence_halves_the_window_for_each_time_out_down_to_the_first() {
        let second = Duration::from_secs(1);
        let mut reno = reno();
        ack(&mut reno, 70 * MSS);
        reno.on_idle(second / 2, second);
        assert_eq!(reno.window(), 80 * MSS);
        reno.on_idle(2 * second, second);
        assert_eq!(reno.window(), 20 * MSS);
        reno.on_idle(Duration::from_secs(1 << 40), second);
        assert_eq!((reno.window(), reno.ssthresh()), (10 * MSS, u32::MAX));
    }

    #[test]
    fn another_segment_size_moves_only_the_first_window() {
        let mut reno = reno();
        reno.set_mss(500);
        assert_eq!(reno.window(), 5_000);
        ack(&mut reno, 500);
        reno.set_mss(400);
        assert_eq!(reno.window(), 5_500);
        reno.on_handshake_lost();
        assert_eq!(reno.window(), 400);
    }

    #[test]
    fn the_window_has_a_limit() {
        let mut reno = reno();
        (0..10).for_each(|_| ack(&mut reno, u32::MAX));
        assert_eq!(reno.window(), MAX_WINDOW);
        reno.on_loss(u32::MAX, NOW);
        (0..10).for_each(|_| ack(&mut reno, u32::MAX));
    }
}
