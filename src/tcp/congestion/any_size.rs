//! Every algorithm over segments of 88 to 65,483 bytes and rates of 1 kbit/s to 400 Gbit/s, with anything that can
//! happen to it in any order: its window stays between a segment and the largest, and it paces at some rate.

use super::{AckSample, AnyController, Controller, MAX_WINDOW, NAMES};
use crate::{
    rng::{Rng, SeededRng},
    tcp::{
        rate::RateSample,
        recovery::prr::{Prr, Step},
    },
    time::{Duration, Instant},
};

const SEEDS: u64 = 2_000;
const EVENTS: u32 = 300;
/// The smallest and the largest segment, an Ethernet's, and where two of them are as large as the largest frame.
const SIZES: [u16; 8] = [88, 536, 1448, 8948, 32_756, 32_768, 32_769, 65_483];

/// A number of any magnitude between the two.
fn any(rng: &mut SeededRng, least: f64, most: f64) -> f64 {
    let part = f64::from(rng.u32()) / f64::from(u32::MAX);
    least * (most / least).powf(part)
}

/// What a path is like, and how far its connection has come.
struct Run {
    rng: SeededRng,
    now: Instant,
    delivered: u64,
    rate: f64,
    rtt: Duration,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut rng = SeededRng::new([seed, 0xcc]);
        let rate = any(&mut rng, 125.0, 50e9);
        let rtt = Duration::from_secs_f64(any(&mut rng, 1e-6, 200.0));
        Self { rng, now: Instant::from_nanos(1 << 40), delivered: 0, rate, rtt }
    }

    fn bytes(&mut self, most: u32) -> u32 {
        any(&mut self.rng, 1.0, f64::from(most.max(2))) as u32
    }

    /// An acknowledgement of part of what is in flight, or of next to nothing.
    fn acknowledgement(&mut self, window: u32) -> AckSample {
        let in_flight = self.bytes(window);
        let acked = self.bytes(in_flight);
        let interval = Duration::from_secs_f64(f64::from(acked) / self.rate);
        self.delivered += u64::from(acked);
        let lost = if self.rng.chance(0.2) { self.bytes(in_flight) } else { 0 };
        let rate = RateSample {
            delivered_total: self.delivered,
            prior_delivered: self.delivered.saturating_sub(u64::from(in_flight)),
            delivered: acked,
            interval,
            app_limited: self.rng.chance(0.1),
            tx_in_flight: in_flight,
            lost,
            newly_lost: lost,
            newly_acked: acked,
        };
        let rtt = self.rtt + Duration::from_secs_f64(f64::from(in_flight) / self.rate);
        self.now += interval.min(self.rtt);
        AckSample {
            acked,
            advanced: self.rng.chance(0.9),
            unused: self.rng.chance(0.1),
            in_flight,
            app_limited: self.rng.chance(0.2),
            marked: self.rng.chance(0.2).then_some(acked),
            rtt: self.rng.chance(0.9).then_some(rtt),
            min_rtt: Some(self.rtt),
            rate,
            now: self.now,
        }
    }

    fn happen(&mut self, algorithm: &mut AnyController) {
        let window = algorithm.window();
        let in_flight = self.bytes(window);
        match self.rng.below(60) {
            0 => algorithm.on_loss(in_flight, self.now),
            1 => algorithm.on_ecn(in_flight, self.now),
            2 => algorithm.on_rto(in_flight, self.now),
            3 => algorithm.undo(self.now),
            4 => algorithm.on_idle(self.rtt),
            5 => algorithm.on_restart(self.rtt * 7, self.rtt),
            6 => algorithm.on_unused(in_flight),
            7 => algorithm.on_handshake_lost(),
            8 => algorithm.set_mss(SIZES[self.rng.below(8) as usize]),
            9..=12 => algorithm.on_recovered(self.now),
            13 => self.now += self.rtt * self.rng.below(100),
            14 => self.rate = any(&mut self.rng, 125.0, 50e9),
            _ => {
                let ack = self.acknowledgement(window);
                algorithm.on_ack(&ack);
            }
        }
    }
}

#[test]
fn no_algorithm_takes_an_ethernet_for_granted() {
    for seed in 0..SEEDS {
        let name = NAMES[seed as usize % NAMES.len()];
        let mss = SIZES[seed as usize / NAMES.len() % SIZES.len()];
        let mut algorithm = AnyController::named(name, mss).unwrap();
        let mut run = Run::new(seed);
        for event in 0..EVENTS {
            run.happen(&mut algorithm);
            let window = algorithm.window();
            let fits = (88..=MAX_WINDOW).contains(&window);
            assert!(fits, "{name}, segments of {mss}, seed {seed}, event {event}: a window of {window}");
            assert_ne!(algorithm.pacing_rate(), Some(0), "{name}, segments of {mss}, seed {seed}, event {event}");
        }
    }
}

#[test]
fn a_reduction_in_proportion_lets_a_segment_of_any_size_out() {
    for mss in SIZES.map(u32::from) {
        for window in [mss, 4 * mss, MAX_WINDOW] {
            let mut prr = Prr::new(window);
            for in_flight in [window, window / 2, 0] {
                let step = Step { delivered: mss, safe: true, in_flight, ssthresh: (window / 2).max(2 * mss), mss };
                prr.on_step(&step);
                assert!(prr.window() >= in_flight, "segments of {mss}, a window of {window}");
                prr.on_sent(mss);
            }
        }
    }
}
