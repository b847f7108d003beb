//! CUBIC (RFC 9438): after a loss the window grows as a cubic function of time, quickly back to near where the loss
//! was, slowly around there, and quickly again beyond; never more slowly than Reno would. Slow start is HyStart++'s
//! (RFC 9406).
//!
//! As Linux, a loss reduces the congestion window itself, not what was in flight (RFC 9438 section 4.6 allows that
//! where the window does not grow while it is not used), and the round trip of the target is the shortest one.

use super::{
    AckSample, Controller,
    hystart::{GROWTH_DIVISOR, HyStart, Verdict},
    window::{Phase, Window},
};
use crate::time::{Duration, Instant};

/// C: how fast the window grows, segments per second cubed (RFC 9438 section 5).
const C: f64 = 0.4;
/// Beta: what a loss leaves of the window, in tenths (section 4.6).
const BETA_TENTHS: u32 = 7;
/// Alpha: segments a round trip that make a Reno with this beta as fast as one that halves (section 4.3).
const ALPHA: f64 = 3.0 * (1.0 - 0.7) / (1.0 + 0.7);

/// The present stage of congestion avoidance, in bytes and seconds.
#[derive(Copy, Clone, Debug)]
struct Epoch {
    /// When it began; what was not used of it is not counted (section 5.8). The far future before it begins.
    start: Instant,
    /// W_max: where the plateau is.
    plateau: u32,
    /// The window before the last reduction (cwnd_prior).
    prior: u32,
    /// K: how long it takes to get to the plateau.
    k: f32,
    /// W_est: what Reno would have.
    reno: f64,
}

impl Epoch {
    /// None has begun and no loss is known.
    const NONE: Self = Self { start: Instant::FAR_FUTURE, plateau: 0, prior: 0, k: 0.0, reno: 0.0 };
}

/// What has to be remembered.
#[derive(Clone, Debug)]
enum Past {
    /// In the first slow start: the round trips.
    Start(HyStart),
    /// Later: the epoch before the last loss, to go back there if it was none.
    Loss(Epoch),
}

impl Default for Past {
    fn default() -> Self {
        Self::Start(HyStart::default())
    }
}

/// The state of the algorithm.
#[derive(Clone, Debug)]
pub struct Cubic {
    window: Window,
    epoch: Epoch,
    past: Past,
    /// A part of a byte by which the window should be larger.
    fraction: f32,
    /// The time of the last acknowledgement.
    acked_at: Instant,
}

impl Cubic {
    /// The state at the start of a connection.
    pub fn new(mss: u16) -> Self {
        Self {
            window: Window::new(mss),
            epoch: Epoch::NONE,
            past: Past::default(),
            fraction: 0.0,
            acked_at: Instant::ZERO,
        }
    }

    /// Beta of the window.
    fn reduced(&self) -> u32 {
        self.window.cwnd / 10 * BETA_TENTHS + self.window.cwnd % 10 * BETA_TENTHS / 10
    }

    /// A loss or a mark: notes where it was. The plateau is where the loss was, or lower if it has come down since the
    /// last one: another flow wants room (fast convergence, section 4.7).
    fn on_reduction(&mut self) {
        if self.window.phase == Phase::Open {
            self.past = Past::Loss(self.epoch);
        }
        let cwnd = self.window.cwnd;
        let yields = cwnd < self.epoch.plateau;
        let plateau = if yields { cwnd / 20 * (10 + BETA_TENTHS) } else { cwnd };
        self.epoch = Epoch { plateau, prior: cwnd, ..Epoch::NONE };
        self.fraction = 0.0;
    }

    /// Slow start, with an eye on the round trip while it is the first one. Returns what is left of the acknowledged
    /// bytes.
    fn slow_start(&mut self, ack: &AckSample) -> u32 {
        let Past::Start(hystart) = &mut self.past else { return self.window.slow_start(ack.acked) };
        match hystart.on_ack(ack) {
            Verdict::Fast => self.window.slow_start(ack.acked),
            Verdict::Conservative => self.window.slow_start(ack.acked / GROWTH_DIVISOR),
            Verdict::Leave => {
                self.window.ssthresh = self.window.cwnd;
                self.past = Past::Loss(Epoch::NONE);
                ack.acked
            }
        }
    }

    /// Congestion avoidance begins (section 4.2; after a time-out or without a loss section 4.8 and 4.10).
    fn begin(&mut self, now: Instant) {
        let Window { cwnd, mss, .. } = self.window;
        let plateau = self.epoch.plateau.max(cwnd);
        let missing = f64::from(plateau - cwnd) / f64::from(mss);
        let prior = self.epoch.prior.max(cwnd);
        self.epoch = Epoch { start: now, plateau, prior, k: (missing / C).cbrt() as f32, reno: f64::from(cwnd) };
    }

    /// W_cubic `after` the beginning of the epoch, bytes (section 4.2, figure 1).
    fn cubic(&self, after: Duration) -> f64 {
        let distance = after.as_secs_f64() - f64::from(self.epoch.k);
        f64::from(self.epoch.plateau) + C * distance.powi(3) * f64::from(self.window.mss)
    }

    /// Congestion avoidance (sections 4.2 to 4.5).
    fn avoid(&mut self, acked: u32, ack: &AckSample) {
        if self.epoch.start == Instant::FAR_FUTURE {
            self.begin(ack.now);
        }
        let cwnd = f64::from(self.window.cwnd);
        let windows = f64::from(acked) / cwnd;
        let alpha = if self.epoch.reno >= f64::from(self.epoch.prior) { 1.0 } else { ALPHA };
        self.epoch.reno += alpha * windows * f64::from(self.window.mss);
        let elapsed = ack.now.since(self.epoch.start);
        let growth = if self.cubic(elapsed) < self.epoch.reno {
            self.epoch.reno - cwnd - f64::from(self.fraction)
        } else {
            // At most one and a half windows a round trip.
            let target = self.cubic(elapsed + ack.min_rtt.unwrap_or_default()).min(cwnd * 1.5).max(cwnd);
            (target - cwnd) * windows.min(1.0)
        };
        let grown = (f64::from(self.fraction) + growth).max(0.0);
        self.fraction = grown.fract() as f32;
        self.window.grow(grown as u32);
    }
}

impl Controller for Cubic {
    fn window(&self) -> u32 {
        self.window.cwnd
    }

    fn ssthresh(&self) -> u32 {
        self.window.ssthresh
    }

    fn on_ack(&mut self, ack: &AckSample) {
        let quiet = ack.now.since(self.acked_at);
        self.acked_at = ack.now;
        if !self.window.may_grow(ack) {
            // Time in which the window was not used does not count (section 5.8).
            self.epoch.start += quiet;
            return;
        }
        let left = if self.window.is_slow_start() { self.slow_start(ack) } else { ack.acked };
        if left > 0 && !self.window.is_slow_start() {
            self.avoid(left, ack);
        }
    }

    fn on_loss(&mut self, _in_flight: u32, _now: Instant) {
        let reduced = self.reduced();
        self.on_reduction();
        self.window.on_loss(reduced);
    }

    fn on_ecn(&mut self, in_flight: u32, now: Instant) {
        // As for a loss (section 4.6).
        self.on_loss(in_flight, now);
    }

    fn on_recovered(&mut self, _now: Instant) {
        self.window.phase = Phase::Open;
    }

    fn on_rto(&mut self, _in_flight: u32, _now: Instant) {
        let reduced = self.reduced();
        if self.window.phase == Phase::Open {
            self.on_reduction();
        }
        self.window.on_rto(reduced);
        // Congestion avoidance will begin on a plateau (section 4.8).
        self.epoch = Epoch { prior: self.epoch.prior, ..Epoch::NONE };
    }

    fn undo(&mut self, _now: Instant) {
        // Section 4.9.1.
        if let Past::Loss(before) = self.past {
            self.epoch = before;
        }
        self.window.undo();
        if self.window.ssthresh == u32::MAX {
            self.past = Past::default();
        }
    }

    fn on_restart(&mut self, idle: Duration, rto: Duration) {
        self.window.on_restart(idle, rto);
    }

    fn on_idle(&mut self, idle: Duration) {
        self.epoch.start += idle;
        self.acked_at += idle;
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
    const RTT: Duration = Duration::from_millis(100);

    fn at(ms: u64) -> Instant {
        Instant::from_nanos(1_000_000_000 + ms * 1_000_000)
    }

    /// An acknowledgement of `acked` bytes of a full window.
    fn ack(cubic: &mut Cubic, acked: u32, now: Instant) {
        let in_flight = cubic.window();
        let (rtt, min_rtt) = (Some(RTT), Some(RTT));
        cubic.on_ack(&AckSample { acked, in_flight, advanced: true, rtt, min_rtt, now, ..AckSample::default() });
    }

    /// A window of so many segments just after a loss that made it so.
    fn after_loss(segments: u32) -> Cubic {
        let mut cubic = Cubic::new(MSS as u16);
        cubic.window.cwnd = segments * MSS;
        cubic.on_loss(segments * MSS, at(0));
        cubic.on_recovered(at(0));
        cubic
    }

    /// Acknowledges whole windows, ten times each round trip, from one time to another.
    fn run(cubic: &mut Cubic, from: u64, to: u64) {
        for ms in (from..to).step_by(10) {
            ack(cubic, cubic.window() / 10, at(ms));
        }
    }

    #[test]
    fn a_loss_leaves_seven_tenths_and_never_less_than_two_segments() {
        for (before, after) in [(100, 70), (10, 7), (3, 2), (2, 2), (1, 2)] {
            let cubic = after_loss(before);
            assert_eq!((cubic.window() / MSS, cubic.ssthresh() / MSS), (after, after), "{before} segments");
        }
    }

    #[test]
    fn the_plateau_is_reached_after_k_and_left_as_it_was_approached() {
        // 30 of 100 segments are missing: K is the cube root of 30 / 0.4, 4.217 s (RFC 9438 figure 2).
        let mut cubic = after_loss(100);
        ack(&mut cubic, 1, at(0));
        assert!((cubic.epoch.k - 4.217).abs() < 0.001, "{}", cubic.epoch.k);
        let after = |s: f64| (cubic.cubic(Duration::from_secs_f64(s)) / f64::from(MSS) * 100.0).round() / 100.0;
        assert_eq!([0.0, 1.0, 2.0, 4.217, 6.0, 8.4].map(after), [70.0, 86.68, 95.64, 100.0, 102.27, 129.27]);
    }

    #[test]
    fn the_window_follows_the_curve_on_a_long_path() {
        let mut cubic = after_loss(1000);
        // K is 9.086 s. Reno would need 300 / 0.53 round trips to be back: the cubic leads all the way.
        run(&mut cubic, 0, 3000);
        let segments = cubic.window() / MSS;
        assert!((905..=912).contains(&segments), "{segments} after 3 s");
        run(&mut cubic, 3000, 9000);
        let segments = cubic.window() / MSS;
        assert!((998..=1000).contains(&segments), "{segments} after 9 s");
        run(&mut cubic, 9000, 14_000);
        let segments = cubic.window() / MSS;
        assert!((1040..=1056).contains(&segments), "{segments} after 14 s");
    }

    #[test]
    fn on_a_short_path_it_grows_as_reno_would() {
        // Ten segments, a round trip of 1 ms: each adds 0.53 segments until the window before the loss is reached, then
        // 1.
        let mut cubic = after_loss(20);
        let mut now = at(0);
        let mut grown = Vec::new();
        for round in 0..=16 {
            if round % 4 == 0 {
                grown.push(cubic.window() / 100);
            }
            let window = cubic.window();
            for _ in 0..10 {
                let rtt = Some(Duration::from_millis(1));
                let (acked, in_flight) = (window / 10, window);
                cubic.on_ack(&AckSample {
                    acked,
                    in_flight,
                    advanced: true,
                    min_rtt: rtt,
                    now,
                    ..AckSample::default()
                });
                now += Duration::from_micros(100);
            }
        }
        assert_eq!(grown[0], 140);
        assert!((159..=161).contains(&grown[1]) && (179..=182).contains(&grown[2]), "{grown:?}");
        assert!((237..=246).contains(&grown[4]), "{grown:?}");
    }

    #[test]
    fn a_second_loss_below_the_plateau_makes_room_for_others() {
        let mut cubic = after_loss(100);
        run(&mut cubic, 0, 500);
        let window = cubic.window();
        assert!(window < 100 * MSS);
        cubic.on_loss(window, at(500));
        assert_eq!(cubic.epoch.plateau, window / 20 * 17);
        assert_eq!(cubic.epoch.prior, window);
    }

    #[test]
    fn after_a_time_out_it_slow_starts_and_begins_on_a_plateau() {
        let mut cubic = after_loss(100);
        run(&mut cubic, 0, 500);
        let window = cubic.window();
        cubic.on_rto(window, at(500));
        assert_eq!(
            (cubic.window(), cubic.ssthresh()),
            (MSS, cubic.reduced().max(window / 10 * 7 + window % 10 * 7 / 10))
        );
        cubic.on_recovered(at(600));
        let threshold = cubic.ssthresh();
        ack(&mut cubic, threshold, at(700));
        assert_eq!((cubic.epoch.plateau, cubic.epoch.k), (threshold, 0.0));
    }

    #[test]
    fn a_spurious_loss_or_time_out_leaves_no_trace() {
        let mut cubic = after_loss(1000);
        run(&mut cubic, 0, 3000);
        let (window, threshold, k) = (cubic.window(), cubic.ssthresh(), cubic.epoch.k);
        cubic.on_loss(window, at(3000));
        cubic.on_rto(window, at(3200));
        cubic.undo(at(3300));
        assert_eq!((cubic.window(), cubic.ssthresh(), cubic.epoch.k), (window, threshold, k));
        run(&mut cubic, 3300, 9000);
        assert!((998..=1000).contains(&(cubic.window() / MSS)));
    }

    #[test]
    fn time_without_use_of_the_window_does_not_count() {
        let mut idle = after_loss(1000);
        run(&mut idle, 0, 3000);
        let mut busy = idle.clone();
        idle.on_idle(Duration::from_secs(6));
        run(&mut idle, 9000, 10_000);
        run(&mut busy, 3000, 4000);
        assert_eq!(idle.window(), busy.window());
        let mut limited = busy.clone();
        for ms in (4000..20_000).step_by(100) {
            let sample = AckSample {
                acked: MSS,
                in_flight: MSS,
                advanced: true,
                unused: true,
                now: at(ms),
                ..AckSample::default()
            };
            limited.on_ack(&sample);
        }
        run(&mut limited, 20_000, 21_000);
        run(&mut busy, 4000, 5000);
        assert!(limited.window().abs_diff(busy.window()) < 2 * MSS);
    }

    #[test]
    fn slow_start_doubles_and_ends_when_the_round_trip_has_grown_for_five_rounds() {
        let mut cubic = Cubic::new(MSS as u16);
        let (mut delivered, mut now, mut ended) = (0u64, at(0), None);
        for round in 0..12u64 {
            let window = cubic.window();
            let rtt = Some(Duration::from_millis(if round < 3 { 100 } else { 130 }));
            for _ in 0..10 {
                let prior_delivered = delivered.saturating_sub(u64::from(window - window / 10));
                delivered += u64::from(window / 10);
                let rate =
                    crate::tcp::rate::RateSample { delivered_total: delivered, prior_delivered, ..Default::default() };
                let acked = window / 10;
                now += Duration::from_millis(10);
                cubic.on_ack(&AckSample {
                    acked,
                    in_flight: window,
                    advanced: true,
                    rtt,
                    min_rtt: rtt,
                    rate,
                    now,
                    ..AckSample::default()
                });
            }
            if round == 2 {
                assert_eq!(cubic.window(), 80 * MSS);
            }
            if cubic.ssthresh() != u32::MAX {
                ended = ended.or(Some(round));
            }
        }
        assert!(matches!(ended, Some(7..=9)), "{ended:?}");
    }
}
