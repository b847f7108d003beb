//! Round-trip time and retransmission time-out (RFC 6298).
//!
//! Linux's variant is followed where it differs, for it has fewer spurious time-outs at the 200 ms it uses as the
//! minimum: the deviation is not let fall below that minimum (so the time-out is always at least 200 ms beyond the
//! mean), it grows at once but falls only once a round trip, and a sample below the mean moves it less than one above.

use crate::time::{Duration, Instant};

/// The least the variance part of the time-out becomes (RFC 6298 asks for a time-out of 1 s; Linux's TCP_RTO_MIN).
pub const RTO_MIN: Duration = Duration::from_millis(200);
/// The most the time-out becomes, back-off included (RFC 6298 rule 2.5; Linux's TCP_RTO_MAX).
pub const RTO_MAX: Duration = Duration::from_secs(120);
/// The time-out before the first sample (RFC 6298 rule 2.1).
pub const RTO_INITIAL: Duration = Duration::from_secs(1);
/// The time-out of data when the handshake timed out and gave no sample (RFC 6298 rule 5.7).
pub const RTO_FALLBACK: Duration = Duration::from_secs(3);
/// How long a minimum counts (Linux's tcp_min_rtt_wlen).
pub const MIN_RTT_WINDOW: Duration = Duration::from_secs(300);

/// Whole microseconds, saturated.
fn micros(d: Duration) -> u32 {
    u32::try_from(d.as_micros()).unwrap_or(u32::MAX)
}

/// A smoothed estimate of the round-trip time. All values are microseconds.
#[derive(Clone, Debug)]
pub struct RttEstimator {
    /// Eight times the smoothed round-trip time; 0 before the first sample.
    srtt8: u32,
    /// Four times the smoothed mean deviation.
    mdev4: u32,
    /// The largest `mdev4` of this round trip.
    mdev4_max: u32,
    /// What the time-out adds to the mean.
    margin: u32,
    /// The most the time-out becomes, milliseconds.
    most_ms: u32,
    /// Consecutive time-outs.
    back_offs: u8,
    /// The start of the round trip over which `mdev4_max` is taken.
    round_start: Instant,
    min: WindowedMin,
}

impl Default for RttEstimator {
    fn default() -> Self {
        Self::new()
    }
}

impl RttEstimator {
    /// No sample yet.
    pub const fn new() -> Self {
        Self {
            srtt8: 0,
            mdev4: 0,
            mdev4_max: 0,
            margin: RTO_INITIAL.as_micros() as u32,
            most_ms: RTO_MAX.as_millis() as u32,
            back_offs: 0,
            round_start: Instant::ZERO,
            min: WindowedMin { samples: [Sample { at: 0, rtt: 0 }; 3] },
        }
    }

    /// The same, but its time-out becomes `most` at most (Linux's tcp_rto_max_ms).
    pub fn limited_to(self, most: Duration) -> Self {
        Self { most_ms: u32::try_from(most.as_millis()).unwrap_or(u32::MAX), ..self }
    }

    /// The most the time-out becomes, back-off included.
    pub fn most(&self) -> Duration {
        Duration::from_millis(self.most_ms.into())
    }

    /// A round trip took `rtt`. The caller leaves out segments that were retransmitted, unless timestamps tell which
    /// transmission was acknowledged (Karn's algorithm, RFC 6298 section 3).
    pub fn on_sample(&mut self, rtt: Duration, now: Instant) {
        // Below 2^28 the eightfold value cannot overflow; no real path takes 268 s.
        let sample = micros(rtt).clamp(1, (1 << 28) - 1);
        self.min.on_sample(sample, now);
        if self.srtt8 == 0 {
            self.srtt8 = sample * 8;
            self.mdev4 = sample * 2;
            self.margin = self.mdev4.max(micros(RTO_MIN));
            self.mdev4_max = self.margin;
            self.round_start = now;
            return;
        }
        let error = i64::from(sample) - i64::from(self.srtt8 / 8);
        self.srtt8 = (i64::from(self.srtt8) + error).max(1) as u32;
        let growth = error.abs() - i64::from(self.mdev4 / 4);
        // A sample far below the mean says that the path got faster, not that it varies: an eighth of its weight.
        let growth = if error < 0 && growth > 0 { growth / 8 } else { growth };
        self.mdev4 = (i64::from(self.mdev4) + growth).max(0) as u32;
        self.mdev4_max = self.mdev4_max.max(self.mdev4);
        self.margin = self.margin.max(self.mdev4_max);
        // A round is over when something sent after its start is acknowledged. Neither mean nor minimum would do for
        // its length: the one is spoilt by a single late acknowledgement for long, the other too short where queues are
        // long.
        if now - rtt >= self.round_start {
            self.margin -= (self.margin - self.mdev4_max) / 4;
            self.mdev4_max = micros(RTO_MIN);
            self.round_start = now;
        }
    }

    /// The handshake timed out and gave no sample: data starts with [`RTO_FALLBACK`] and no back-off (RFC 6298 rule
    /// 5.7).
    pub fn on_handshake_timed_out(&mut self) {
        if self.srtt8 == 0 {
            self.margin = micros(RTO_FALLBACK);
            self.back_offs = 0;
        }
    }

    /// The time-out, back-off included.
    pub fn rto(&self) -> Duration {
        let base = u64::from(self.srtt8 / 8) + u64::from(self.margin);
        Duration::from_micros(base << self.back_offs.min(16)).min(self.most())
    }

    /// The time-out without back-off.
    pub fn base_rto(&self) -> Duration {
        Self { back_offs: 0, ..self.clone() }.rto()
    }

    /// The time-out ran out: doubles it (RFC 6298 rule 5.5).
    pub fn back_off(&mut self) {
        self.back_offs = self.back_offs.saturating_add(1);
    }

    /// How many times it was doubled.
    pub fn back_offs(&self) -> u32 {
        u32::from(self.back_offs)
    }

    /// New data was acknowledged: the back-off ends.
    pub fn reset_back_off(&mut self) {
        self.back_offs = 0;
    }

    /// The smoothed round-trip time.
    pub fn srtt(&self) -> Option<Duration> {
        (self.srtt8 != 0).then(|| Duration::from_micros(u64::from(self.srtt8 / 8)))
    }

    /// The smoothed mean deviation (tcpi_rttvar); zero before the first sample, and from then on never below the
    /// clock's granularity (RFC 6298 section 2), a microsecond.
    pub fn rttvar(&self) -> Duration {
        Duration::from_micros(u64::from((self.mdev4 / 4).max(self.srtt8.min(1))))
    }

    /// The shortest round trip of the last [`MIN_RTT_WINDOW`].
    pub fn min_rtt(&self) -> Option<Duration> {
        let [Sample { rtt, .. }, ..] = self.min.samples;
        (rtt != 0).then(|| Duration::from_micros(u64::from(rtt)))
    }
}

/// A round-trip time and when it was seen.
#[derive(Copy, Clone, Debug)]
struct Sample {
    /// Milliseconds, wrapping.
    at: u32,
    /// Microseconds; 0 means none.
    rtt: u32,
}

/// The minimum over a window, from three samples: the best, and the best of each younger part of the window, which
/// follow it when it leaves (the idea of Kathleen Nichols' filter in Linux's win_minmax).
#[derive(Clone, Debug)]
struct WindowedMin {
    samples: [Sample; 3],
}

impl WindowedMin {
    fn on_sample(&mut self, rtt: u32, now: Instant) {
        let new = Sample { at: now.as_millis() as u32, rtt };
        let age = |sample: Sample| new.at.wrapping_sub(sample.at);
        let window = MIN_RTT_WINDOW.as_millis() as u32;
        let [best, second, third] = &mut self.samples;
        if best.rtt == 0 || rtt <= best.rtt || age(*third) > window {
            self.samples = [new; 3];
            return;
        }
        if rtt <= second.rtt {
            [*second, *third] = [new; 2];
        } else if rtt <= third.rtt {
            *third = new;
        }
        if age(*best) > window {
            [*best, *second, *third] = [*second, *third, new];
            if age(*best) > window {
                [*best, *second] = [*second, *third];
            }
        } else if second.at == best.at && age(*second) > window / 4 {
            [*second, *third] = [new; 2];
        } else if third.at == second.at && age(*third) > window / 2 {
            *third = new;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// An estimator fed with `samples` of milliseconds, each taken a round trip after the other.
    fn fed(samples: &[u32]) -> RttEstimator {
        let mut rtt = RttEstimator::new();
        let mut now = Instant::ZERO;
        for sample in samples {
            now += MS * *sample;
            rtt.on_sample(MS * *sample, now);
        }
        rtt
    }

    #[test]
    fn the_first_sample_sets_mean_and_half_of_it_as_deviation() {
        let rtt = fed(&[400]);
        assert_eq!(rtt.srtt(), Some(400 * MS));
        assert_eq!(rtt.rttvar(), 200 * MS);
        assert_eq!(rtt.rto(), 1200 * MS);
    }

    #[test]
    fn without_a_sample_the_time_out_is_one_second_and_three_after_a_lost_handshake() {
        let mut rtt = RttEstimator::new();
        assert_eq!((rtt.rto(), rtt.srtt(), rtt.min_rtt()), (RTO_INITIAL, None, None));
        rtt.back_off();
        rtt.on_handshake_timed_out();
        assert_eq!(rtt.rto(), RTO_FALLBACK);
        rtt.on_sample(10 * MS, Instant::ZERO);
        assert_eq!(rtt.rto(), 210 * MS);
    }

    #[test]
    fn a_steady_path_converges_to_its_round_trip_and_200_ms() {
        let rtt = fed(&[50; 60]);
        assert_eq!(rtt.srtt(), Some(50 * MS));
        assert!(rtt.rto() >= 250 * MS && rtt.rto() < 251 * MS, "{:?}", rtt.rto());
        assert!(rtt.rttvar() < MS);
    }

    #[test]
    fn a_slower_round_trip_raises_the_time_out_at_once_a_faster_one_hardly() {
        let steady = fed(&[400; 40]);
        let slower = fed(&[[400; 40].as_slice(), &[4000]].concat());
        let faster = fed(&[[400; 40].as_slice(), &[4]].concat());
        assert!(slower.rto() > steady.rto() + 1000 * MS, "{:?}", slower.rto());
        assert!(faster.rto() <= steady.rto(), "{:?}", faster.rto());
    }

    #[test]
    fn back_off_doubles_up_to_two_minutes_and_ends() {
        let mut rtt = fed(&[50; 60]);
        let base = rtt.rto();
        rtt.back_off();
        rtt.back_off();
        assert_eq!((rtt.rto(), rtt.base_rto(), rtt.back_offs()), (base * 4, base, 2));
        (0..1000).for_each(|_| rtt.back_off());
        assert_eq!(rtt.rto(), RTO_MAX);
        rtt.reset_back_off();
        assert_eq!((rtt.rto(), rtt.back_offs()), (base, 0));
    }

    #[test]
    fn the_minimum_lasts_five_minutes_and_gives_way_to_the_next_best() {
        let mut rtt = RttEstimator::new();
        let at = |s: u64| Instant::from_nanos(s * 1_000_000_000);
        rtt.on_sample(10 * MS, at(0));
        for s in 1..=600 {
            rtt.on_sample(if s == 200 { 15 * MS } else { 20 * MS }, at(s));
            let expected = match s {
                ..=300 => 10,
                301..=500 => 15,
                _ => 20,
            };
            assert_eq!(rtt.min_rtt(), Some(expected * MS), "after {s} s");
        }
        rtt.on_sample(3 * MS, at(601));
        assert_eq!(rtt.min_rtt(), Some(3 * MS));
    }

    #[test]
    fn one_late_acknowledgement_is_forgotten_in_round_trips_not_in_its_own_time() {
        let mut rtt = fed(&[10; 50]);
        let mut now = Instant::ZERO + 60_000 * MS;
        rtt.on_sample(36_000 * MS, now);
        assert!(rtt.rto() > 30_000 * MS);
        for _ in 0..40 {
            now += 10 * MS;
            rtt.on_sample(10 * MS, now);
        }
        assert!(rtt.rto() < 1000 * MS, "{:?}", rtt.rto());
    }

    #[test]
    fn absurd_samples_do_no_harm() {
        let mut rtt = RttEstimator::new();
        for sample in [Duration::MAX, Duration::ZERO, Duration::MAX, Duration::from_nanos(1)] {
            rtt.on_sample(sample, Instant::ZERO);
            assert!(rtt.rto() <= RTO_MAX && rtt.rto() >= RTO_MIN);
        }
    }
}
