//! HyStart++ (RFC 9406): leaves the first slow start when the round trip grows, before the queue overflows.
//!
//! Rounds are counted by what was delivered rather than by sequence numbers, which is the same: a round ends when
//! something that was sent after its start is acknowledged. The limit of eight segments an acknowledgement (L, section
//! 4.3) is not there, as in Linux: acknowledgements of super-frames cover dozens.

use super::AckSample;

/// Bounds of the increase that matters (MIN_RTT_THRESH and MAX_RTT_THRESH), microseconds.
const THRESHOLD: (u32, u32) = (4_000, 16_000);
/// The increase that matters is this part of the round trip (MIN_RTT_DIVISOR).
const DIVISOR: u32 = 8;
/// A round's minimum counts after so many samples (N_RTT_SAMPLE).
const SAMPLES: u8 = 8;
/// Conservative slow start grows so many times more slowly (CSS_GROWTH_DIVISOR).
pub const GROWTH_DIVISOR: u32 = 4;
/// Conservative slow start lasts so many rounds (CSS_ROUNDS).
const CONSERVATIVE_ROUNDS: u8 = 5;
/// No round trip is known.
const NONE: u32 = u32::MAX;

/// What slow start should do with an acknowledgement.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Grow by what was acknowledged.
    Fast,
    /// Grow by a quarter of it: conservative slow start.
    Conservative,
    /// Slow start is over.
    Leave,
}

/// The state; times are microseconds.
#[derive(Clone, Debug)]
pub struct HyStart {
    /// The shortest round trip of the round before and of this one.
    last: u32,
    current: u32,
    /// Against which conservative slow start decides whether it began for nothing; [`NONE`] outside of it.
    baseline: u32,
    /// What had been delivered when this round began.
    round_start: u64,
    samples: u8,
    /// Rounds of conservative slow start.
    rounds: u8,
}

impl Default for HyStart {
    fn default() -> Self {
        Self { last: NONE, current: NONE, baseline: NONE, round_start: 0, samples: 0, rounds: 0 }
    }
}

impl HyStart {
    /// Judges an acknowledgement in slow start (RFC 9406 section 4.2).
    pub fn on_ack(&mut self, ack: &AckSample) -> Verdict {
        let over =
            if ack.rate.prior_delivered >= self.round_start { self.on_round(ack.rate.delivered_total) } else { false };
        if over {
            return Verdict::Leave;
        }
        if let Some(rtt) = ack.rtt {
            self.current = self.current.min(u32::try_from(rtt.as_micros()).unwrap_or(NONE - 1));
            self.samples = self.samples.saturating_add(1);
        }
        if self.samples >= SAMPLES && self.current != NONE {
            if self.baseline != NONE {
                if self.current < self.baseline {
                    // The round trip became shorter again: it began for nothing.
                    self.baseline = NONE;
                }
            } else if self.last != NONE {
                let threshold = (self.last / DIVISOR).clamp(THRESHOLD.0, THRESHOLD.1);
                if self.current >= self.last.saturating_add(threshold) {
                    self.baseline = self.current;
                    self.rounds = 0;
                }
            }
        }
        if self.baseline == NONE { Verdict::Fast } else { Verdict::Conservative }
    }

    /// A round begins. Says whether conservative slow start has lasted long enough.
    fn on_round(&mut self, delivered: u64) -> bool {
        self.round_start = delivered;
        self.last = self.current;
        self.current = NONE;
        self.samples = 0;
        if self.baseline == NONE {
            return false;
        }
        self.rounds += 1;
        self.rounds >= CONSERVATIVE_ROUNDS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{tcp::rate::RateSample, time::Duration};

    /// Feeds rounds of ten acknowledgements with these round trips in milliseconds; returns the last verdict of each.
    fn verdicts(rounds: &[u64]) -> Vec<Verdict> {
        let mut hystart = HyStart::default();
        let mut last = Vec::new();
        for (round, &rtt) in (0..).zip(rounds) {
            let mut verdict = Verdict::Fast;
            for n in 1..=10 {
                // What is acknowledged in this round was sent in the one before.
                let rate = RateSample {
                    delivered_total: round * 10 + n,
                    prior_delivered: (round * 10 + n).saturating_sub(10),
                    ..RateSample::default()
                };
                let rtt = Some(Duration::from_millis(rtt));
                let ack = AckSample { rtt, rate, ..AckSample::default() };
                verdict = hystart.on_ack(&ack);
                if verdict == Verdict::Leave {
                    break;
                }
            }
            last.push(verdict);
        }
        last
    }

    use Verdict::{Conservative, Fast, Leave};

    #[test]
    fn a_steady_round_trip_goes_on_fast() {
        assert_eq!(verdicts(&[100; 12]), [Fast; 12]);
    }

    #[test]
    fn an_eighth_more_between_4_and_16_ms_is_an_increase() {
        for (from, to, verdict) in [
            (100, 112, Fast),
            (100, 113, Conservative),
            (10, 13, Fast),
            (10, 14, Conservative),
            (1000, 1015, Fast),
            (1000, 1016, Conservative),
        ] {
            assert_eq!(verdicts(&[from, from, to])[2], verdict, "{from} to {to} ms");
        }
    }

    #[test]
    fn conservative_slow_start_ends_after_five_rounds() {
        let (verdicts, slow) = (verdicts(&[100, 120, 120, 120, 120, 120, 120]), [Conservative; 5]);
        assert_eq!((verdicts[0], &verdicts[1..6], verdicts[6]), (Fast, &slow[..], Leave));
    }

    #[test]
    fn a_shorter_round_trip_resumes() {
        assert_eq!(verdicts(&[100, 120, 110, 110]), [Fast, Conservative, Fast, Fast]);
    }
}
