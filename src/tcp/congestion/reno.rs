//! Reno (RFC 5681): slow start, congestion avoidance and halving, with growth counted in bytes (RFC 3465).

use super::{
    AckSample, Controller,
    window::{Phase, Window},
};
use crate::time::{Duration, Instant};

/// The state of the algorithm.
#[derive(Clone, Debug)]
pub struct Reno {
    window: Window,
    /// Bytes acknowledged in congestion avoidance that have not yet made the window grow.
    credit: u32,
}

impl Reno {
    /// The state at the start of a connection.
    pub fn new(mss: u16) -> Self {
        Self { window: Window::new(mss), credit: 0 }
    }
}

impl Controller for Reno {
    fn window(&self) -> u32 {
        self.window.cwnd
    }

    fn ssthresh(&self) -> u32 {
        self.window.ssthresh
    }

    fn on_ack(&mut self, ack: &AckSample) {
        if !self.window.may_grow(ack) {
            return;
        }
        // What slow start leaves of the acknowledgement counts for avoidance: one segment a window (RFC 3465 section
        // 2.1).
        let left = self.window.slow_start(ack.acked);
        self.credit = self.credit.saturating_add(left);
        let windows = self.credit / self.window.cwnd;
        if windows > 0 && !self.window.is_slow_start() {
            self.credit -= windows * self.window.cwnd;
            self.window.grow(windows.saturating_mul(self.window.segment()));
        }
    }

    fn on_loss(&mut self, in_flight: u32, _now: Instant) {
        // Half of what was in flight (RFC 5681 equation 4).
        self.window.on_loss(in_flight / 2);
        self.credit = 0;
    }

    fn on_ecn(&mut self, in_flight: u32, _now: Instant) {
        // As for a loss (RFC 3168 section 6.1.2).
        self.window.on_loss(in_flight / 2);
        self.credit = 0;
    }

    fn on_recovered(&mut self, _now: Instant) {
        self.window.phase = Phase::Open;
    }

    fn on_rto(&mut self, in_flight: u32, _now: Instant) {
        self.window.on_rto(in_flight / 2);
        self.credit = 0;
    }

    fn undo(&mut self, _now: Instant) {
        self.window.undo();
    }

    fn on_idle(&mut self, _idle: Duration) {}

    fn on_restart(&mut self, idle: Duration, rto: Duration) {
        self.window.on_restart(idle, rto);
    }

    fn on_unused(&mut self, used: u32) {
        self.window.on_unused(used);
    }

    fn on_handshake_lost(&mut self) {
        self.window.on_handshake_lost();
    }

    fn set_mss(&mut self, mss: u16) {
        self.window.set_mss(mss);
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
        let in_flight = reno.window();
        reno.on_ack(&AckSample { acked, in_flight, advanced: true, ..AckSample::default() });
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
        let idle = AckSample { acked: MSS, in_flight: MSS, advanced: true, unused: true, ..AckSample::default() };
        (0..100).for_each(|_| reno.on_ack(&idle));
        assert_eq!(reno.window(), 10 * MSS);
        reno.on_ack(&AckSample { unused: false, ..idle });
        assert_eq!(reno.window(), 11 * MSS);
    }

    #[test]
    fn silence_halves_the_window_for_each_time_out_down_to_the_first() {
        let second = Duration::from_secs(1);
        let mut reno = reno();
        ack(&mut reno, 70 * MSS);
        reno.on_restart(second / 2, second);
        assert_eq!(reno.window(), 80 * MSS);
        reno.on_restart(2 * second, second);
        assert_eq!(reno.window(), 20 * MSS);
        reno.on_restart(Duration::from_secs(1 << 40), second);
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
        assert_eq!(reno.window(), super::super::MAX_WINDOW);
        reno.on_loss(u32::MAX, NOW);
        (0..10).for_each(|_| ack(&mut reno, u32::MAX));
    }
}
