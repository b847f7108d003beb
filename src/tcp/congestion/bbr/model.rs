//! The model of the path: rounds, bandwidth, what losses say about bounds, and how acknowledgements bunch (section
//! 5.5).

use super::{AckPhase, BETA, LOSS_THRESHOLD, Model, NO_BOUND, NO_RATE_BOUND, State, part};
use crate::{tcp::congestion::AckSample, time::Instant};

/// How many rounds the bunching of acknowledgements is remembered for, in two halves (BBR.ExtraAckedFilterLen).
const EXTRA_ACKED_ROUNDS: u32 = 5;

impl Model {
    /// Takes an acknowledgement into the model and moves on to the state that follows (BBRUpdateModelAndState).
    pub(super) fn update(&mut self, ack: &AckSample) {
        let mut ack = *ack;
        ack.rate.app_limited |= ack.rate.prior_delivered < self.limited_until;
        let rate = ack.rate.rate().unwrap_or(0);
        if self.rounds == 0 && self.bw == 0 && ack.rtt.is_some() {
            self.init_pacing_rate(ack.rtt);
        }
        self.update_latest(&ack, rate);
        self.update_bandwidth(&ack, rate);
        self.update_bounds(&ack);
        self.update_marks(&ack);
        self.update_extra_acked(&ack);
        self.check_full_bw(&ack, rate);
        self.check_startup_done(&ack);
        self.check_drain_done(&ack);
        self.update_cycle(&ack, rate);
        self.update_min_rtt(&ack);
        self.check_probe_rtt(&ack);
        if self.loss_round_start {
            self.bw_latest = rate;
            self.inflight_latest = ack.rate.delivered;
        }
        self.bw = self.max_bw.max().min(self.bw_short);
    }

    /// The latest round's bandwidth and delivery (BBRUpdateLatestDeliverySignals).
    pub(super) fn update_latest(&mut self, ack: &AckSample, rate: u64) {
        self.bw_latest = self.bw_latest.max(rate);
        self.inflight_latest = self.inflight_latest.max(ack.rate.delivered);
        self.loss_round_start = ack.rate.newly_acked > 0 && ack.rate.prior_delivered >= self.loss_round;
        if self.loss_round_start {
            self.loss_round = ack.rate.delivered_total;
        }
    }

    /// A round begins with what is sent now.
    pub(super) fn begin_round(&mut self, delivered: u64) {
        self.next_round = delivered;
    }

    /// Rounds (section 5.5.1), and the largest bandwidth (section 5.5.5).
    pub(super) fn update_bandwidth(&mut self, ack: &AckSample, rate: u64) {
        self.round_start = ack.rate.newly_acked > 0 && ack.rate.prior_delivered >= self.next_round;
        if self.round_start {
            self.begin_round(ack.rate.delivered_total);
            self.rounds = self.rounds.wrapping_add(1);
            self.rounds_since_probe = self.rounds_since_probe.saturating_add(1);
        }
        if rate > 0 && (rate >= self.max_bw.max() || !ack.rate.app_limited) {
            self.max_bw.update(rate, self.cycle);
        }
    }

    /// What this round's losses do to the short-term bounds, once a round
    /// (BBRUpdateCongestionSignals).
    pub(super) fn update_bounds(&mut self, ack: &AckSample) {
        if ack.rate.newly_lost > 0 {
            self.loss_events = self.loss_events.saturating_add(1);
            self.lost_in_round = self.lost_in_round.saturating_add(ack.rate.newly_lost);
        }
        if !self.loss_round_start {
            return;
        }
        // The draft lowers the bounds for any loss. As they then follow what is delivered, which each round is less by
        // the losses and the pacing margin, a steady loss of 1 % would leave half of the rate: losses count above the
        // threshold.
        let sent = self.inflight_latest.saturating_add(self.lost_in_round);
        self.loss_in_round |= self.is_too_much(self.lost_in_round, sent);
        if self.loss_in_round && !self.state.is_probing() {
            if self.bw_short == NO_RATE_BOUND {
                self.bw_short = self.max_bw.max();
            }
            if self.inflight_short == NO_BOUND {
                self.inflight_short = self.cwnd;
            }
            let less = (u128::from(self.bw_short) * u128::from(BETA) / 100) as u64;
            self.bw_short = self.bw_latest.max(less);
            self.inflight_short = self.inflight_latest.max(part(self.inflight_short, BETA));
        }
        self.check_startup_losses(ack);
        self.loss_in_round = false;
        self.loss_events = 0;
        self.lost_in_round = 0;
    }

    /// Forgets the short-term bounds (BBRResetShortTermModel).
    pub(super) fn reset_short_term(&mut self) {
        self.bw_short = NO_RATE_BOUND;
        self.inflight_short = NO_BOUND;
    }

    /// Forgets what the present round said (BBRResetCongestionSignals).
    pub(super) fn reset_signals(&mut self) {
        self.loss_in_round = false;
        self.bw_latest = 0;
        self.inflight_latest = 0;
    }

    /// More was acknowledged than the bandwidth explains: acknowledgements come bunched (section 5.5.9).
    pub(super) fn update_extra_acked(&mut self, ack: &AckSample) {
        let since = *self.extra_since.get_or_insert(ack.now);
        let nanos = ack.now.since(since).as_nanos();
        let mut expected = (u128::from(self.bw) * nanos / 1_000_000_000).min(u128::from(u64::MAX)) as u64;
        if self.extra_delivered <= expected {
            self.extra_delivered = 0;
            self.extra_since = Some(ack.now);
            expected = 0;
        }
        self.extra_delivered += u64::from(ack.rate.newly_acked);
        let extra = self.extra_delivered.saturating_sub(expected).min(u64::from(self.cwnd));
        let length = if self.full_bw_reached { EXTRA_ACKED_ROUNDS } else { 1 };
        self.extra_acked.update(extra, self.rounds / length);
    }

    /// Whether so much of what was in flight was lost that it was too much (BBRIsInflightTooHigh).
    fn is_inflight_too_high(&self, ack: &AckSample) -> bool {
        self.is_too_much(ack.rate.lost, ack.rate.tx_in_flight)
    }

    /// Whether `lost` is above the threshold of what was `sent`, by more than chance: of 200 segments, of which 1 % get
    /// lost at random, 2 % do in every seventh flight. A few segments more are needed (not in the draft).
    fn is_too_much(&self, lost: u32, sent: u32) -> bool {
        self.heeds_losses && lost > part(sent, LOSS_THRESHOLD).saturating_add(self.min_window())
    }

    /// Too much was in flight: the long-term bound comes down (BBRHandleInflightTooHigh).
    pub(super) fn on_inflight_too_high(&mut self, tx_in_flight: u32, app_limited: bool, now: Instant) {
        self.probe_samples = false;
        if !app_limited {
            self.inflight_long = tx_in_flight.max(part(self.target_inflight(), BETA));
        }
        if self.state == State::Up {
            self.start_down(self.next_round, now);
        }
    }

    /// What the model wants in flight, as far as the window lets it (BBRTargetInflight).
    pub(super) fn target_inflight(&self) -> u32 {
        self.bdp(self.bw, 100).min(self.cwnd)
    }

    /// What probing says about the long-term bound (BBRAdaptLongTermModel).
    pub(super) fn adapt_long_term(&mut self, ack: &AckSample) {
        if self.round_start {
            match self.ack_phase {
                AckPhase::ProbeStarting => self.ack_phase = AckPhase::ProbeFeedback,
                AckPhase::ProbeStopping => {
                    // The samples of the last probing have come.
                    self.ack_phase = AckPhase::Steady;
                    self.probe_samples = false;
                    if self.state.is_probe_bw() && !ack.rate.app_limited {
                        self.cycle = self.cycle.wrapping_add(1);
                    }
                }
                AckPhase::Steady | AckPhase::Refilling | AckPhase::ProbeFeedback => {}
            }
        }
        if self.is_inflight_too_high(ack) {
            if self.probe_samples {
                self.on_inflight_too_high(ack.rate.tx_in_flight, ack.rate.app_limited, ack.now);
            }
            return;
        }
        if self.inflight_long == NO_BOUND {
            return;
        }
        self.inflight_long = self.inflight_long.max(ack.rate.tx_in_flight);
        if self.state == State::Up {
            self.probe_upwards(ack);
        }
    }
}
