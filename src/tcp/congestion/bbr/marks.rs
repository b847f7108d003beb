//! Marks that the peer counts (RFC 9768): the share of a round that was marked says how far the bound on what is in
//! flight comes down. The draft leaves marks open; this is what the authors' own implementation does, on short paths
//! only, where marks come from shallow queues and are many. On longer ones a mark is what RFC 3168 makes of it: as good
//! as a loss.

use super::{Model, NO_BOUND, State};
use crate::{tcp::congestion::AckSample, time::Duration};

/// The longest round trip of a short path.
const SHORT: Duration = Duration::from_millis(5);
/// All of a round, in fixed point.
const ONE: u64 = 1 << 16;
/// A round counts for this part of the average, as for DCTCP (RFC 8257 section 3.3).
const GAIN: u64 = 16;
/// A round with nothing but marks takes this part of the bound.
const FACTOR: u64 = 3;
/// Startup ends after so many rounds of which more than half was marked.
const FULL_ROUNDS: u8 = 2;

/// The marks of the rounds so far.
#[derive(Copy, Clone, Debug)]
pub(super) struct Marks {
    /// The peer counts them.
    is_counted: bool,
    /// The share of late rounds that was marked, averaged.
    share: u64,
    /// Bytes of this round, and those of them that were marked.
    delivered: u64,
    marked: u64,
    /// Rounds in a row of which more than half was marked.
    full: u8,
}

impl Default for Marks {
    fn default() -> Self {
        // The first mark is taken for the worst.
        Self { is_counted: false, share: ONE, delivered: 0, marked: 0, full: 0 }
    }
}

impl Model {
    /// Whether the bounds follow from the count of marks.
    pub(super) fn follows_marks(&self) -> bool {
        self.marks.is_counted && self.min_rtt.is_some_and(|rtt| rtt <= SHORT)
    }

    /// Takes the marks of an acknowledgement; at the end of a round the bounds follow.
    pub(super) fn update_marks(&mut self, ack: &AckSample) {
        let Some(marked) = ack.marked.filter(|_| self.heeds_losses) else { return };
        self.marks.is_counted = true;
        self.marks.delivered += u64::from(ack.rate.newly_acked);
        self.marks.marked += u64::from(marked);
        if !self.loss_round_start {
            return;
        }
        let Marks { share, delivered, marked, full, .. } = self.marks;
        if delivered == 0 {
            return;
        }
        let ratio = (marked.min(delivered) * ONE) / delivered;
        let share = share - share / GAIN + ratio / GAIN;
        let full = if ratio > ONE / 2 { full.saturating_add(1) } else { 0 };
        self.marks = Marks { is_counted: true, share, delivered: 0, marked: 0, full };
        if marked == 0 || !self.follows_marks() {
            return;
        }
        if !self.state.is_probing() {
            let bound = if self.inflight_short == NO_BOUND { self.cwnd } else { self.inflight_short };
            let less = (u64::from(bound) * share / ONE / FACTOR) as u32;
            self.inflight_short = bound.saturating_sub(less).max(self.min_window());
        }
        if full > 0 && self.probe_samples {
            self.on_inflight_too_high(self.inflight_latest, ack.rate.app_limited, ack.now);
        }
        if full >= FULL_ROUNDS && self.state == State::Startup {
            self.fill_pipe();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::{congestion::bbr::Bbr, rate::RateSample};

    fn model(rtt: Duration) -> Model {
        let mut model = *Bbr::new(1000).0;
        model.state = State::Cruise;
        model.cwnd = 100_000;
        model.min_rtt = Some(rtt);
        model
    }

    /// A round of 100 segments, so many of them marked.
    fn round(model: &mut Model, marked: u32) {
        model.loss_round_start = true;
        let rate = RateSample { newly_acked: 100_000, ..RateSample::default() };
        model.update_marks(&AckSample { rate, marked: Some(marked * 1000), ..AckSample::default() });
    }

    #[test]
    fn the_first_marks_take_nearly_a_third_and_steady_few_take_little() {
        let mut model = model(Duration::from_millis(1));
        round(&mut model, 1);
        assert_eq!(model.inflight_short, 68_730);
        for _ in 0..100 {
            model.inflight_short = NO_BOUND;
            round(&mut model, 1);
        }
        assert!((99_500..99_700).contains(&model.inflight_short), "{}", model.inflight_short);
    }

    #[test]
    fn no_marks_no_bound_and_never_less_than_keeps_the_path_going() {
        let mut model = model(Duration::from_millis(1));
        round(&mut model, 0);
        assert_eq!(model.inflight_short, NO_BOUND);
        for _ in 0..50 {
            round(&mut model, 100);
        }
        assert_eq!(model.inflight_short, model.min_window());
    }

    #[test]
    fn on_a_long_path_a_mark_is_as_good_as_a_loss() {
        let mut model = model(Duration::from_millis(50));
        round(&mut model, 10);
        assert_eq!((model.inflight_short, model.follows_marks()), (NO_BOUND, false));
    }

    #[test]
    fn two_rounds_full_of_marks_end_startup() {
        let mut model = model(Duration::from_millis(1));
        model.state = State::Startup;
        round(&mut model, 60);
        assert!(!model.full_bw_reached);
        round(&mut model, 60);
        assert!(model.full_bw_reached);
    }
}
