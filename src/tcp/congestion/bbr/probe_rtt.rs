//! The shortest round trip (section 5.5.7), and ProbeRTT (section 5.3.4), which lets the queue run empty for a moment
//! when no short round trip was seen for long.

use super::{AckPhase, Model, State, startup::in_flight};
use crate::{
    tcp::congestion::AckSample,
    time::{Duration, Instant},
};

/// How long a shortest round trip counts (BBR.MinRTTFilterLen).
const MIN_RTT_LASTS: Duration = Duration::from_secs(10);
/// After so long without a shorter one the queue is let run empty (BBR.ProbeRTTInterval) ...
const INTERVAL: Duration = Duration::from_secs(5);
/// ... for so long and a round trip (BBR.ProbeRTTDuration).
const DURATION: Duration = Duration::from_millis(200);

impl Model {
    /// Takes the round trip into the two minima.
    pub(super) fn update_min_rtt(&mut self, ack: &AckSample) {
        self.probe_rtt_expired = self.probe_rtt_min.is_some() && ack.now > self.probe_rtt_at + INTERVAL;
        if let Some(rtt) = ack.rtt
            && (self.probe_rtt_expired || self.probe_rtt_min.is_none_or(|least| rtt < least))
        {
            self.probe_rtt_min = Some(rtt);
            self.probe_rtt_at = ack.now;
        }
        let expired = ack.now > self.min_rtt_at + MIN_RTT_LASTS;
        if let Some(least) = self.probe_rtt_min
            && (expired || self.min_rtt.is_none_or(|known| least < known))
        {
            self.min_rtt = Some(least);
            self.min_rtt_at = self.probe_rtt_at;
        }
    }

    /// Enters ProbeRTT when it is time, and leaves it (BBRCheckProbeRTT).
    pub(super) fn check_probe_rtt(&mut self, ack: &AckSample) {
        if self.state != State::ProbeRtt && self.probe_rtt_expired && !self.idle_restart {
            self.save_window();
            self.state = State::ProbeRtt;
            self.probe_rtt_done = None;
            self.ack_phase = AckPhase::ProbeStopping;
            self.begin_round(ack.rate.delivered_total);
        }
        if self.state == State::ProbeRtt {
            self.stay_in_probe_rtt(ack);
        }
        if ack.rate.delivered > 0 {
            self.idle_restart = false;
        }
    }

    fn stay_in_probe_rtt(&mut self, ack: &AckSample) {
        // What is sent now is slower than the path would allow.
        self.limited_until = ack.rate.delivered_total + u64::from(in_flight(ack));
        match self.probe_rtt_done {
            None if in_flight(ack) <= self.probe_rtt_window() => {
                self.probe_rtt_done = Some(ack.now + DURATION);
                self.probe_rtt_round_done = false;
                self.begin_round(ack.rate.delivered_total);
            }
            None => {}
            Some(until) => {
                self.probe_rtt_round_done |= self.round_start;
                if self.probe_rtt_round_done && ack.now > until {
                    self.leave_probe_rtt(ack.rate.delivered_total, ack.now);
                }
            }
        }
    }

    fn leave_probe_rtt(&mut self, delivered: u64, now: Instant) {
        self.probe_rtt_at = now;
        self.reset_short_term();
        if self.full_bw_reached {
            self.start_down(delivered, now);
            self.state = State::Cruise;
        } else {
            self.state = State::Startup;
        }
        self.cwnd = self.cwnd.max(self.prior_cwnd);
    }
}
