//! ProbeBW (section 5.3.3): Down drains what probing left, Cruise leaves room for others, Refill fills the pipe without
//! a queue, Up tries for more.

use super::{AckPhase, Model, NO_BOUND, State, startup::in_flight};
use crate::{
    tcp::congestion::AckSample,
    time::{Duration, Instant},
};

/// Between two probings at least; up to a second more, so that flows do not probe at once.
const WAIT: Duration = Duration::from_secs(2);
/// A flow of Reno with this window would meet a loss after so many rounds: probe as often, but after so many at most.
const RENO_ROUNDS: u32 = 63;
/// How far the slope of probing doubles.
const MAX_UP_ROUNDS: u32 = 30;

impl Model {
    /// Down: less than the bandwidth.
    pub(super) fn start_down(&mut self, delivered: u64, now: Instant) {
        self.reset_signals();
        self.up_count = NO_BOUND;
        // No source of randomness is needed: times of acknowledgements differ by nanoseconds (Knuth's multiplier).
        let dice = now.as_nanos().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
        self.rounds_since_probe = (dice & 1) as u32;
        self.probe_wait = WAIT + Duration::from_millis((dice >> 1) % 1000);
        self.cycle_at = now;
        self.ack_phase = AckPhase::ProbeStopping;
        self.begin_round(delivered);
        self.state = State::Down;
    }

    /// Refill: at the bandwidth, without short-term bounds, for a round.
    fn start_refill(&mut self, delivered: u64) {
        self.reset_short_term();
        self.up_rounds = 0;
        self.up_acked = 0;
        self.ack_phase = AckPhase::Refilling;
        self.begin_round(delivered);
        self.state = State::Refill;
    }

    /// Up: a quarter more than the bandwidth.
    pub(super) fn start_up(&mut self, rate: u64, delivered: u64, now: Instant) {
        self.ack_phase = AckPhase::ProbeStarting;
        self.begin_round(delivered);
        self.reset_full_bw();
        self.full_bw = rate;
        self.cycle_at = now;
        self.state = State::Up;
        self.raise_slope();
    }

    /// Moves on within the cycle (BBRUpdateProbeBWCyclePhase).
    pub(super) fn update_cycle(&mut self, ack: &AckSample, rate: u64) {
        if !self.full_bw_reached {
            return;
        }
        self.adapt_long_term(ack);
        let delivered = ack.rate.delivered_total;
        match self.state {
            State::Down | State::Cruise if self.is_time_to_probe(ack.now) => self.start_refill(delivered),
            State::Down if self.is_time_to_cruise(ack) => self.state = State::Cruise,
            State::Refill if self.round_start => {
                self.probe_samples = true;
                self.start_up(rate, delivered, ack.now);
            }
            _ => {}
        }
        if self.state == State::Up && self.is_time_to_go_down(ack, rate) {
            self.start_down(delivered, ack.now);
        }
    }

    pub(super) fn is_time_to_probe(&self, now: Instant) -> bool {
        let reno = (self.target_inflight() / self.mss).min(RENO_ROUNDS);
        now.since(self.cycle_at) > self.probe_wait || self.rounds_since_probe >= reno.max(1)
    }

    pub(super) fn is_time_to_cruise(&self, ack: &AckSample) -> bool {
        let left = in_flight(ack);
        left <= self.inflight_with_headroom() && left <= self.inflight(self.max_bw.max(), 100)
    }

    /// While the bound is what holds the rate back, its not growing says nothing.
    pub(super) fn is_time_to_go_down(&mut self, ack: &AckSample, rate: u64) -> bool {
        if self.is_window_used(ack) && self.cwnd >= self.inflight_long {
            self.reset_full_bw();
            self.full_bw = rate;
            return false;
        }
        self.full_bw_now
    }

    /// Whether the window is what holds the sender back, rather than its rate or the application (C.is_cwnd_limited).
    fn is_window_used(&self, ack: &AckSample) -> bool {
        !ack.app_limited && ack.in_flight.saturating_add(2 * self.mss) > self.cwnd
    }

    /// The bound rises by a segment for each `up_count` bytes acknowledged (BBRProbeInflightLongtermUpward).
    pub(super) fn probe_upwards(&mut self, ack: &AckSample) {
        if !self.is_window_used(ack) || self.cwnd < self.inflight_long {
            return;
        }
        self.up_acked = self.up_acked.saturating_add(ack.rate.newly_acked);
        let steps = self.up_acked / self.up_count.max(1);
        self.up_acked -= steps * self.up_count;
        self.inflight_long = self.inflight_long.saturating_add(steps.saturating_mul(self.mss)).min(NO_BOUND - 1);
        if self.round_start {
            self.raise_slope();
        }
    }

    /// In each round the bound rises twice as fast (BBRRaiseInflightLongtermSlope).
    pub(super) fn raise_slope(&mut self) {
        let growth = 1u32 << self.up_rounds.min(MAX_UP_ROUNDS);
        self.up_rounds = (self.up_rounds + 1).min(MAX_UP_ROUNDS);
        self.up_count = (self.cwnd / growth).max(self.mss);
    }
}
