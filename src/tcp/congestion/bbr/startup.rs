//! Startup, which finds the bandwidth by doubling, and Drain, which empties the queue that this left (sections 5.3.1
//! and 5.3.2).

use super::{LOSS_THRESHOLD, Model, NO_BOUND, State, part};
use crate::tcp::congestion::AckSample;

/// The pipe is full when so many rounds did not bring a quarter more.
const FULL_BW_ROUNDS: u8 = 3;
/// Losses at so many places in a round end Startup (BBR.StartupFullLossCnt).
const FULL_LOSSES: u32 = 6;

impl Model {
    /// Looks for growth again (BBRResetFullBW).
    pub(super) fn reset_full_bw(&mut self) {
        self.full_bw = 0;
        self.full_bw_count = 0;
        self.full_bw_now = false;
    }

    /// Whether the bandwidth has stopped growing (section 5.3.1.2).
    pub(super) fn check_full_bw(&mut self, ack: &AckSample, rate: u64) {
        if self.full_bw_now || !self.round_start || ack.rate.app_limited {
            return;
        }
        if rate >= self.full_bw + self.full_bw / 4 {
            self.reset_full_bw();
            self.full_bw = rate;
            return;
        }
        self.full_bw_count += 1;
        self.full_bw_now = self.full_bw_count >= FULL_BW_ROUNDS;
        self.full_bw_reached |= self.full_bw_now;
    }

    /// At the end of a round in recovery: many losses say that the pipe is full too (section 5.3.1.3).
    pub(super) fn check_startup_losses(&mut self, ack: &AckSample) {
        let many = self.loss_events >= FULL_LOSSES && self.lost_in_round > part(ack.rate.tx_in_flight, LOSS_THRESHOLD);
        if self.heeds_losses && self.state == State::Startup && self.in_recovery && many {
            self.fill_pipe();
        }
    }

    /// Losses or marks say that the pipe is full.
    pub(super) fn fill_pipe(&mut self) {
        if !self.full_bw_reached {
            self.full_bw_reached = true;
            let bound = self.bdp(self.max_bw.max(), 100).max(self.inflight_latest);
            self.inflight_long = if self.inflight_long == NO_BOUND { bound } else { self.inflight_long.min(bound) };
        }
    }

    /// The pipe is full: drains.
    pub(super) fn check_startup_done(&mut self, ack: &AckSample) {
        if self.state == State::Startup && self.full_bw_reached {
            self.state = State::Drain;
            self.cycle_at = ack.now;
        }
    }

    /// The queue is empty: goes on to ProbeBW.
    pub(super) fn check_drain_done(&mut self, ack: &AckSample) {
        if self.state == State::Drain && in_flight(ack) <= self.inflight(self.bw, 100) {
            self.start_down(ack.rate.delivered_total, ack.now);
        }
    }
}

/// What is in flight after an acknowledgement.
pub(super) fn in_flight(ack: &AckSample) -> u32 {
    ack.in_flight.saturating_sub(ack.rate.newly_acked).saturating_sub(ack.rate.newly_lost)
}
