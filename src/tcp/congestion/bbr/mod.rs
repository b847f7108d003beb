//! BBR version 3 (draft-ietf-ccwg-bbr): a model of the path, its bandwidth and its shortest round trip, says how fast
//! to send and how much may be in flight. Losses and marks bound the model; they are not what drives it.
//!
//! | file | what | section of the draft |
//! |---|---|---|
//! | `mod` | the state, the rate and the window that follow from it | 5.6 |
//! | `model` | bandwidth, bounds, bunched acknowledgements | 5.5 |
//! | `startup` | Startup and Drain | 5.3.1, 5.3.2 |
//! | `probe_bw` | ProbeBW: Down, Cruise, Refill, Up | 5.3.3 |
//! | `probe_rtt` | the shortest round trip and ProbeRTT | 5.3.4, 5.5.7 |
//! | `filter` | the largest of a while | 2.11 |
//! | `marks` | what counted marks say about bounds | none |

mod filter;
mod marks;
mod model;
mod probe_bw;
mod probe_rtt;
mod startup;
#[cfg(test)]
mod tests;

use super::{AckSample, Controller, MAX_WINDOW, initial_window};
use crate::time::{Duration, Instant};
use filter::WindowedMax;

/// What is not bounded, bytes and bytes a second.
const NO_BOUND: u32 = u32::MAX;
const NO_RATE_BOUND: u64 = u64::MAX;
/// The pacing rate stays so many percent below the bandwidth, so that queues drain (BBR.PacingMarginPercent).
const MARGIN: u64 = 1;
/// Segments that keep a path going (BBR.MinPipeCwnd).
const MIN_SEGMENTS: u32 = 4;
/// What a loss leaves of a bound, percent (BBR.Beta).
const BETA: u64 = 70;
/// Losses above this are too many, percent of what was in flight (BBR.LossThresh).
const LOSS_THRESHOLD: u64 = 2;
/// Percent of the bound left to others (BBR.Headroom).
const HEADROOM: u64 = 15;

/// The states (section 5.3). Gains are percent.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum State {
    Startup,
    Drain,
    Down,
    Cruise,
    Refill,
    Up,
    ProbeRtt,
}

impl State {
    /// What the bandwidth is multiplied by to pace (section 5.6.1).
    const fn pacing_gain(self) -> u64 {
        match self {
            // 4 ln 2: the least that doubles the rate in each round trip.
            Self::Startup => 277,
            Self::Drain => 50,
            Self::Down => 90,
            Self::Cruise | Self::Refill | Self::ProbeRtt => 100,
            Self::Up => 125,
        }
    }

    /// What the bandwidth-delay product is multiplied by for the window.
    const fn window_gain(self) -> u64 {
        match self {
            Self::Up => 225,
            Self::ProbeRtt => 50,
            _ => 200,
        }
    }

    /// Whether this is a phase of ProbeBW.
    const fn is_probe_bw(self) -> bool {
        matches!(self, Self::Down | Self::Cruise | Self::Refill | Self::Up)
    }

    /// Whether more than is known to fit is being sent on purpose: then losses do not bound the model at once.
    const fn is_probing(self) -> bool {
        matches!(self, Self::Startup | Self::Refill | Self::Up)
    }
}

/// What the acknowledgements that come now say about probing (BBR.ack_phase).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum AckPhase {
    Steady,
    Refilling,
    ProbeStarting,
    ProbeFeedback,
    ProbeStopping,
}

/// What to go back to when a loss was none (section 5.5.10.4).
#[derive(Copy, Clone, Debug)]
struct Undo {
    state: State,
    bw_short: u64,
    inflight_short: u32,
    inflight_long: u32,
}

/// The state of the algorithm. Amounts are bytes, rates bytes a second.
#[derive(Clone, Debug)]
pub struct Model {
    mss: u32,
    state: State,
    cwnd: u32,
    pacing_rate: u64,
    /// The window before recovery or ProbeRTT.
    prior_cwnd: u32,
    in_recovery: bool,
    /// Losses and marks say something about the path.
    heeds_losses: bool,
    undo: Option<Undo>,

    // Round trips counted by what is delivered (section 5.5.1).
    next_round: u64,
    rounds: u32,
    round_start: bool,

    // Bandwidth (sections 5.5.5, 5.5.6).
    max_bw: WindowedMax<2>,
    /// Counts the probings, which are the time of `max_bw`.
    cycle: u32,
    bw: u64,

    // The pipe is full (section 5.3.1.2).
    full_bw: u64,
    full_bw_count: u8,
    full_bw_now: bool,
    full_bw_reached: bool,

    // Bounds by loss (section 5.5.10).
    bw_latest: u64,
    inflight_latest: u32,
    bw_short: u64,
    inflight_short: u32,
    inflight_long: u32,
    loss_round: u64,
    loss_round_start: bool,
    /// The path was congested in this round.
    loss_in_round: bool,
    /// Acknowledgements of this round that told of losses.
    loss_events: u32,
    lost_in_round: u32,

    marks: marks::Marks,

    // Bunched acknowledgements (section 5.5.9).
    extra_acked: WindowedMax<2>,
    extra_since: Option<Instant>,
    extra_delivered: u64,

    // Probing for bandwidth (section 5.3.3).
    ack_phase: AckPhase,
    cycle_at: Instant,
    probe_wait: Duration,
    rounds_since_probe: u32,
    /// Samples of the probing are still coming.
    probe_samples: bool,
    up_rounds: u32,
    up_acked: u32,
    up_count: u32,

    // The shortest round trip (sections 5.3.4, 5.5.7).
    min_rtt: Option<Duration>,
    min_rtt_at: Instant,
    probe_rtt_min: Option<Duration>,
    probe_rtt_at: Instant,
    probe_rtt_expired: bool,
    probe_rtt_done: Option<Instant>,
    probe_rtt_round_done: bool,
    /// Samples of what was sent before so much was delivered are not the path's.
    limited_until: u64,
    idle_restart: bool,
}

/// BBR version 3. On the heap: only connections that asked for it pay for it.
#[derive(Clone, Debug)]
pub struct Bbr(Box<Model>);

/// What TCP_CC_INFO tells of a connection under BBR: Linux's `struct tcp_bbr_info` (linux/inet_diag.h).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct BbrInfo {
    /// Bandwidth, bytes a second.
    pub bw: u64,
    /// The shortest round trip, microseconds.
    pub min_rtt: u32,
    /// Gains, times 256.
    pub pacing_gain: u32,
    /// The window's.
    pub cwnd_gain: u32,
}

impl BbrInfo {
    /// The bytes in Linux's layout: the bandwidth in halves, the low one first.
    pub fn to_bytes(self) -> [u8; 20] {
        let words = [self.bw as u32, (self.bw >> 32) as u32, self.min_rtt, self.pacing_gain, self.cwnd_gain];
        let mut bytes = [0; 20];
        for (to, word) in bytes.chunks_exact_mut(4).zip(words) {
            to.copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }
}

impl Bbr {
    /// The state at the start of a connection (section 5.2.1).
    pub fn new(mss: u16) -> Self {
        let cwnd = initial_window(mss.max(1));
        let mut model = Model {
            mss: u32::from(mss.max(1)),
            state: State::Startup,
            cwnd,
            pacing_rate: 0,
            prior_cwnd: cwnd,
            in_recovery: false,
            heeds_losses: true,
            undo: None,
            next_round: 0,
            rounds: 0,
            round_start: false,
            max_bw: WindowedMax::default(),
            cycle: 0,
            bw: 0,
            full_bw: 0,
            full_bw_count: 0,
            full_bw_now: false,
            full_bw_reached: false,
            bw_latest: 0,
            inflight_latest: 0,
            bw_short: NO_RATE_BOUND,
            inflight_short: NO_BOUND,
            inflight_long: NO_BOUND,
            loss_round: 0,
            loss_round_start: false,
            loss_in_round: false,
            loss_events: 0,
            lost_in_round: 0,
            marks: marks::Marks::default(),
            extra_acked: WindowedMax::default(),
            extra_since: None,
            extra_delivered: 0,
            ack_phase: AckPhase::Steady,
            cycle_at: Instant::ZERO,
            probe_wait: Duration::ZERO,
            rounds_since_probe: 0,
            probe_samples: false,
            up_rounds: 0,
            up_acked: 0,
            up_count: NO_BOUND,
            min_rtt: None,
            min_rtt_at: Instant::ZERO,
            probe_rtt_min: None,
            probe_rtt_at: Instant::ZERO,
            probe_rtt_expired: false,
            probe_rtt_done: None,
            probe_rtt_round_done: false,
            limited_until: 0,
            idle_restart: false,
        };
        model.init_pacing_rate(None);
        Self(Box::new(model))
    }

    /// BBR that does not take losses for congestion.
    pub(super) fn heedless(mss: u16) -> Self {
        let mut bbr = Self::new(mss);
        bbr.0.heeds_losses = false;
        bbr
    }

    /// What it tells of itself.
    pub fn info(&self) -> BbrInfo {
        let model = &self.0;
        BbrInfo {
            bw: model.bw,
            min_rtt: model.min_rtt.map_or(u32::MAX, |rtt| u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX)),
            pacing_gain: (model.state.pacing_gain() * 256 / 100) as u32,
            cwnd_gain: (model.state.window_gain() * 256 / 100) as u32,
        }
    }
}

impl Model {
    /// Before anything is delivered: the first window in each round trip, or in a millisecond (section 5.6.2).
    fn init_pacing_rate(&mut self, rtt: Option<Duration>) {
        let micros = rtt.map_or(1000, |rtt| rtt.as_micros() as u64).max(1);
        self.pacing_rate = u64::from(self.cwnd) * 1_000_000 / micros * State::Startup.pacing_gain() / 100;
    }

    /// The rate follows the bandwidth; before the pipe is full it only rises (section 5.6.2).
    fn set_pacing_rate(&mut self, gain: u64) {
        let rate = (u128::from(self.bw) * u128::from(gain * (100 - MARGIN)) / 10_000) as u64;
        if rate > 0 && (self.full_bw_reached || rate > self.pacing_rate) {
            self.pacing_rate = rate;
        }
    }

    /// Bytes that keep the path going however short it is.
    fn min_window(&self) -> u32 {
        MIN_SEGMENTS * self.mss
    }

    /// The bandwidth-delay product at `bw`, times a gain in percent (section 5.6.4.2).
    fn bdp(&self, bw: u64, gain: u64) -> u32 {
        let Some(rtt) = self.min_rtt else { return initial_window(self.mss as u16) };
        let bytes = u128::from(bw) * rtt.as_nanos() * u128::from(gain) / 100_000_000_000;
        u32::try_from(bytes).unwrap_or(MAX_WINDOW).min(MAX_WINDOW)
    }

    /// With what frames and the probing upwards need in addition (BBRQuantizationBudget).
    fn quantized(&self, bytes: u32) -> u32 {
        // Two segments may be more than the largest frame.
        let quantum = (self.pacing_rate / 1000).min(65_536).max(2 * u64::from(self.mss)) as u32;
        let up = if self.state == State::Up { 2 * self.mss } else { 0 };
        bytes.max(3 * quantum).max(self.min_window()).saturating_add(up)
    }

    /// What may be in flight for a bandwidth and a gain (BBRInflight).
    fn inflight(&self, bw: u64, gain: u64) -> u32 {
        self.quantized(self.bdp(bw, gain))
    }

    /// The long-term bound less what is left to others (section 5.6.4.7).
    fn inflight_with_headroom(&self) -> u32 {
        if self.inflight_long == NO_BOUND {
            return NO_BOUND;
        }
        let room = part(self.inflight_long, HEADROOM).max(self.mss);
        self.inflight_long.saturating_sub(room).max(self.min_window())
    }

    /// The window in ProbeRTT.
    fn probe_rtt_window(&self) -> u32 {
        self.bdp(self.bw, State::ProbeRtt.window_gain()).max(self.min_window())
    }

    /// The window (section 5.6.4.6).
    fn set_window(&mut self, acked: u32, delivered: u64) {
        let extra = u32::try_from(self.extra_acked.max()).unwrap_or(MAX_WINDOW);
        let most = self.quantized(self.bdp(self.bw, self.state.window_gain()).saturating_add(extra));
        let grown = self.cwnd.saturating_add(acked);
        if self.full_bw_reached {
            self.cwnd = grown.min(most);
        } else if self.cwnd < most || delivered < u64::from(initial_window(self.mss as u16)) {
            self.cwnd = grown;
        }
        self.cwnd = self.cwnd.min(MAX_WINDOW).max(self.min_window());
        if self.state == State::ProbeRtt {
            self.cwnd = self.cwnd.min(self.probe_rtt_window());
        }
        let bound = match self.state {
            State::Cruise | State::ProbeRtt => self.inflight_with_headroom(),
            state if state.is_probe_bw() => self.inflight_long,
            _ => NO_BOUND,
        };
        self.cwnd = self.cwnd.min(bound.min(self.inflight_short).max(self.min_window()));
    }

    /// Notes the window to go back to (BBRSaveCwnd).
    fn save_window(&mut self) {
        let keep = self.in_recovery || self.state == State::ProbeRtt;
        self.prior_cwnd = if keep { self.prior_cwnd.max(self.cwnd) } else { self.cwnd };
    }

    /// A loss, of which it may turn out that it was none.
    fn save_undo(&mut self) {
        if !self.in_recovery {
            let Self { state, bw_short, inflight_short, inflight_long, .. } = *self;
            self.undo = Some(Undo { state, bw_short, inflight_short, inflight_long });
        }
        self.save_window();
        self.in_recovery = true;
    }
}

/// `percent` of an amount.
fn part(bytes: u32, percent: u64) -> u32 {
    (u64::from(bytes) * percent / 100).min(u64::from(u32::MAX)) as u32
}

impl Controller for Bbr {
    fn window(&self) -> u32 {
        self.0.cwnd
    }

    fn ssthresh(&self) -> u32 {
        // There is none; Linux says the same.
        u32::MAX
    }

    fn on_ack(&mut self, ack: &AckSample) {
        let model = &mut *self.0;
        model.update(ack);
        model.set_pacing_rate(model.state.pacing_gain());
        model.set_window(ack.rate.newly_acked, ack.rate.delivered_total);
    }

    fn on_loss(&mut self, _in_flight: u32, _now: Instant) {
        // The bounds follow from the samples; the window is not reduced for a single loss.
        self.0.save_undo();
    }

    fn on_ecn(&mut self, _in_flight: u32, now: Instant) {
        // The draft leaves marks open: they bound the model as losses above the threshold do, unless they are counted.
        let model = &mut *self.0;
        if model.follows_marks() {
            return;
        }
        model.save_undo();
        model.loss_in_round = true;
        if model.probe_samples {
            model.on_inflight_too_high(model.inflight_latest, false, now);
        }
    }

    fn on_recovered(&mut self, _now: Instant) {
        let model = &mut *self.0;
        if !std::mem::take(&mut model.in_recovery) {
            return;
        }
        model.cwnd = model.cwnd.max(model.prior_cwnd);
    }

    fn on_rto(&mut self, _in_flight: u32, _now: Instant) {
        // Everything is presumed lost: one segment, and from there what is acknowledged lets out (section 5.6.4.4).
        let model = &mut *self.0;
        model.save_undo();
        model.cwnd = model.mss;
    }

    fn undo(&mut self, now: Instant) {
        let model = &mut *self.0;
        model.in_recovery = false;
        model.cwnd = model.cwnd.max(model.prior_cwnd);
        let Some(undo) = model.undo.take() else { return };
        model.loss_in_round = false;
        model.lost_in_round = 0;
        model.reset_full_bw();
        model.bw_short = model.bw_short.max(undo.bw_short);
        model.inflight_short = model.inflight_short.max(undo.inflight_short);
        model.inflight_long = model.inflight_long.max(undo.inflight_long);
        match undo.state {
            state if state == model.state || model.state == State::ProbeRtt => {}
            State::Startup => model.state = State::Startup,
            State::Up => model.start_up(model.bw_latest, model.next_round, now),
            _ => {}
        }
    }

    fn on_restart(&mut self, _idle: Duration, _rto: Duration) {}

    fn on_idle(&mut self, _idle: Duration) {
        // The model keeps; what was sent is paced, so no burst follows the silence (section 5.4.3).
        let model = &mut *self.0;
        model.idle_restart = true;
        model.extra_since = None;
        if model.state.is_probe_bw() {
            model.set_pacing_rate(100);
        }
    }

    fn on_unused(&mut self, _used: u32) {}

    fn on_handshake_lost(&mut self) {
        self.0.cwnd = self.0.mss;
    }

    fn set_mss(&mut self, mss: u16) {
        let model = &mut *self.0;
        if model.cwnd == initial_window(model.mss as u16) && model.rounds == 0 {
            model.cwnd = initial_window(mss.max(1));
        }
        model.mss = u32::from(mss.max(1));
    }

    fn is_reduced_in_proportion(&self) -> bool {
        false
    }

    fn pacing_rate(&self) -> Option<u64> {
        Some(self.0.pacing_rate)
    }
}
