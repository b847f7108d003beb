//! BBR against a bottleneck in a few lines: what is sent waits in a queue that is served at a rate, and comes back
//! after the round trip. The numbers follow from the draft's gains.

mod rules;

use super::*;
use crate::tcp::rate::RateSample;
use std::collections::VecDeque;

const MSS: u32 = 1000;
const MS: Duration = Duration::from_millis(1);

/// A segment on its way: when it is acknowledged, when it was sent, and how things stood then.
struct Flight {
    back: Instant,
    sent: Instant,
    delivered: u64,
    delivered_at: Instant,
    first_sent: Instant,
    in_flight: u32,
    lost: u32,
}

/// A sender with enough to send, and its path.
struct Path {
    bbr: Bbr,
    now: Instant,
    rtt: Duration,
    /// Bytes a second.
    rate: u64,
    /// Bytes that wait at most; one segment in so many is lost beside (0: none).
    queue: u64,
    lose: u64,
    busy_until: Instant,
    next_send: Instant,
    flights: VecDeque<Flight>,
    in_flight: u32,
    delivered: u64,
    delivered_at: Instant,
    first_sent: Instant,
    lost: u32,
    sampled_lost: u32,
    sent: u64,
    /// The states it was in, and since when.
    states: Vec<(State, u128)>,
    most_queued: u64,
}

impl Path {
    fn new(rate: u64, rtt: Duration, queue: u64) -> Self {
        let now = Instant::from_nanos(1_000_000_000);
        Self {
            bbr: Bbr::new(MSS as u16),
            now,
            rtt,
            rate,
            queue,
            lose: 0,
            busy_until: now,
            next_send: now,
            flights: VecDeque::new(),
            in_flight: 0,
            delivered: 0,
            delivered_at: now,
            first_sent: now,
            lost: 0,
            sampled_lost: 0,
            sent: 0,
            states: vec![(State::Startup, 0)],
            most_queued: 0,
        }
    }

    fn send(&mut self) {
        while self.in_flight + MSS <= self.bbr.window() && self.next_send <= self.now {
            if self.in_flight == 0 {
                (self.first_sent, self.delivered_at) = (self.now, self.now);
            }
            let pace = Duration::from_nanos(u64::from(MSS) * 1_000_000_000 / self.bbr.pacing_rate().unwrap());
            self.next_send = self.next_send.max(self.now) + pace;
            self.sent += 1;
            let waiting = self.busy_until.since(self.now).as_nanos() as u64 * self.rate / 1_000_000_000;
            self.most_queued = self.most_queued.max(waiting);
            if waiting > self.queue || (self.lose > 0 && self.sent.is_multiple_of(self.lose)) {
                // Lost; it is noticed at once, which is early but harmless here.
                self.lost += MSS;
                continue;
            }
            let took = Duration::from_nanos(u64::from(MSS) * 1_000_000_000 / self.rate);
            self.busy_until = self.busy_until.max(self.now) + took;
            self.in_flight += MSS;
            self.flights.push_back(Flight {
                back: self.busy_until + self.rtt,
                sent: self.now,
                delivered: self.delivered,
                delivered_at: self.delivered_at,
                first_sent: self.first_sent,
                in_flight: self.in_flight,
                lost: self.lost,
            });
        }
    }

    fn acknowledge(&mut self, flight: &Flight) {
        let before = self.in_flight;
        self.in_flight -= MSS;
        self.delivered += u64::from(MSS);
        let interval = self.now.since(flight.delivered_at).max(flight.sent.since(flight.first_sent));
        (self.delivered_at, self.first_sent) = (self.now, flight.sent);
        let rate = RateSample {
            delivered_total: self.delivered,
            prior_delivered: flight.delivered,
            delivered: (self.delivered - flight.delivered) as u32,
            interval,
            app_limited: false,
            tx_in_flight: flight.in_flight,
            lost: self.lost - flight.lost,
            newly_lost: self.lost - self.sampled_lost,
            newly_acked: MSS,
        };
        if rate.newly_lost > 0 {
            self.bbr.on_loss(before, self.now);
        }
        self.sampled_lost = self.lost;
        let rtt = Some(self.now.since(flight.sent));
        let ack = AckSample {
            acked: MSS,
            advanced: true,
            in_flight: before,
            rtt,
            min_rtt: Some(self.rtt),
            rate,
            now: self.now,
            ..AckSample::default()
        };
        self.bbr.on_ack(&ack);
        if rate.newly_lost == 0 && self.bbr.0.in_recovery {
            self.bbr.on_recovered(self.now);
        }
        let state = self.bbr.0.state;
        if self.states.last().is_none_or(|(last, _)| *last != state) {
            self.states.push((state, self.elapsed().as_millis()));
        }
    }

    fn elapsed(&self) -> Duration {
        self.now.since(Instant::from_nanos(1_000_000_000))
    }

    /// Runs for a while; returns the share of the rate that was delivered, percent.
    fn run(&mut self, time: Duration) -> u64 {
        let (start, delivered) = (self.now, self.delivered);
        while self.now.since(start) < time {
            self.send();
            let back = self.flights.front().map(|flight| flight.back);
            let next = if self.in_flight + MSS <= self.bbr.window() { Some(self.next_send) } else { None };
            self.now = back.into_iter().chain(next).min().expect("something is always on its way").max(self.now);
            while self.flights.front().is_some_and(|flight| flight.back <= self.now) {
                let flight = self.flights.pop_front().unwrap();
                self.acknowledge(&flight);
            }
        }
        (self.delivered - delivered) * 100 / (self.rate * time.as_millis() as u64 / 1000)
    }

    fn went_through(&self, states: &[State]) -> bool {
        let all: Vec<_> = self.states.iter().map(|(state, _)| *state).collect();
        all.windows(states.len()).any(|window| window == states)
    }
}

/// 100 Mbit/s and 20 ms: the product is 250,000 bytes.
fn path() -> Path {
    Path::new(12_500_000, 20 * MS, 250_000)
}

#[test]
fn startup_finds_the_bandwidth_in_a_few_round_trips_and_drains_its_queue() {
    let mut path = path();
    path.run(Duration::from_millis(600));
    assert!(path.went_through(&[State::Startup, State::Drain, State::Cruise]), "{:?}", path.states);
    let model = &path.bbr.0;
    assert!(model.bw.abs_diff(12_500_000) < 400_000, "{}", model.bw);
    assert!(model.min_rtt.unwrap() < 21 * MS);
    let drained = path.states.iter().find(|(state, _)| *state == State::Cruise).unwrap().1;
    assert!(drained < 500, "{:?}", path.states);
}

#[test]
fn the_bottleneck_is_full_and_its_queue_nearly_empty() {
    // Probing upwards needs a queue of a little more than the product.
    let mut path = Path::new(12_500_000, 20 * MS, 500_000);
    path.run(Duration::from_secs(2));
    path.most_queued = 0;
    let share = path.run(Duration::from_secs(10));
    assert!(share >= 94, "{share} %: {:?}", path.states);
    assert!(path.most_queued < 330_000, "{}", path.most_queued);
    assert!(
        path.went_through(&[State::Down, State::Cruise, State::Refill, State::Up, State::Down]),
        "{:?}",
        path.states
    );
}

#[test]
fn losses_of_one_percent_leave_the_rate() {
    let mut path = path();
    path.lose = 100;
    path.run(Duration::from_secs(2));
    let share = path.run(Duration::from_secs(10));
    assert!(share >= 88, "{share} %: {:?}", path.states);
}

#[test]
fn losses_above_the_threshold_bring_the_rate_down() {
    let mut path = path();
    path.lose = 10;
    path.run(Duration::from_secs(2));
    let share = path.run(Duration::from_secs(10));
    assert!(share < 85, "{share} %");
    assert!(path.bbr.0.inflight_long != NO_BOUND || path.bbr.0.bw_short != NO_RATE_BOUND);
}

#[test]
fn without_heed_of_losses_they_cost_no_more_than_themselves() {
    let mut path = path();
    path.bbr = Bbr::heedless(MSS as u16);
    path.lose = 10;
    path.run(Duration::from_secs(2));
    let share = path.run(Duration::from_secs(10));
    assert!(share >= 87, "{share} %: {:?}", path.states);
    assert_eq!((path.bbr.0.inflight_long, path.bbr.0.bw_short), (NO_BOUND, NO_RATE_BOUND));
}

#[test]
fn a_probing_that_only_the_rate_limits_ends_before_the_queue_overflows() {
    let mut path = path();
    path.run(Duration::from_secs(2));
    // As after losses: the bound is where the window is, and neither is in use.
    path.bbr.0.inflight_long = 500_000;
    let lost = path.lost;
    path.run(Duration::from_secs(3));
    assert!(path.went_through(&[State::Up, State::Down]), "{:?}", path.states);
    assert!(path.lost - lost <= 4 * MSS, "{} lost", path.lost - lost);
}

#[test]
fn fast_recovery_leaves_the_window_to_it() {
    assert!(!Bbr::new(MSS as u16).is_reduced_in_proportion());
}

#[test]
fn a_shallow_queue_is_not_overrun_for_long() {
    let mut path = Path::new(12_500_000, 20 * MS, 25_000);
    path.run(Duration::from_secs(2));
    let (sent, lost) = (path.sent, path.lost);
    let share = path.run(Duration::from_secs(10));
    let percent = u64::from((path.lost - lost) / MSS) * 100 / (path.sent - sent);
    assert!(percent <= 3, "{percent} % lost");
    assert!(share >= 80, "{share} %");
}

#[test]
fn the_queue_is_let_run_empty_every_few_seconds() {
    let mut path = path();
    path.run(Duration::from_secs(12));
    let times: Vec<_> = path.states.iter().filter(|(state, _)| *state == State::ProbeRtt).map(|(_, at)| *at).collect();
    assert!(matches!(times[..], [first, _, ..] if (5000..6500).contains(&first)), "{:?}", path.states);
    // It lasts 200 ms and a round trip.
    let at = path.states.iter().position(|(state, _)| *state == State::ProbeRtt).unwrap();
    let (next, left) = path.states[at + 1];
    assert!(next == State::Cruise && (200..300).contains(&(left - path.states[at].1)), "{:?}", path.states);
}

#[test]
fn more_bandwidth_is_found_within_two_probings() {
    let mut path = path();
    path.run(Duration::from_secs(4));
    path.rate *= 2;
    path.run(Duration::from_secs(12));
    let share = path.run(Duration::from_secs(5));
    assert!(share >= 85, "{share} %: {:?}", path.states);
}

#[test]
fn a_time_out_leaves_one_segment_and_recovery_gives_the_window_back() {
    let mut path = path();
    path.run(Duration::from_secs(3));
    let window = path.bbr.window();
    path.bbr.on_rto(window, path.now);
    assert_eq!(path.bbr.window(), MSS);
    path.bbr.on_recovered(path.now);
    assert_eq!(path.bbr.window(), window);
}

#[test]
fn a_spurious_loss_gives_the_bounds_back() {
    let mut path = path();
    path.run(Duration::from_secs(3));
    path.bbr.on_loss(1, path.now);
    (path.bbr.0.bw_short, path.bbr.0.inflight_short) = (1, 1);
    path.bbr.undo(path.now);
    assert_eq!((path.bbr.0.bw_short, path.bbr.0.inflight_short), (NO_RATE_BOUND, NO_BOUND));
}

#[test]
fn what_it_tells_has_the_layout_of_linux() {
    let info = BbrInfo { bw: 0x1_0000_0002, min_rtt: 3, pacing_gain: 4, cwnd_gain: 5 };
    let words: Vec<_> = info.to_bytes().chunks(4).map(|word| u32::from_ne_bytes(word.try_into().unwrap())).collect();
    assert_eq!(words, [2, 1, 3, 4, 5]);
    assert_eq!(Bbr::new(1000).info().pacing_gain, 709);
}
