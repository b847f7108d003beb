//! The delivery rate of small flights, worked out by hand.

use super::*;
use crate::tcp::send_queue::Fate;

const MS: Duration = Duration::from_millis(1);

fn at(ms: u64) -> Instant {
    Instant::from_nanos(ms * 1_000_000)
}

/// Sends 1000 bytes that end at `end`.
fn send(rate: &mut DeliveryRate, end: u32, in_flight: u32, ms: u64) -> Sent {
    let stamp = rate.on_sent(1000, in_flight, at(ms));
    let start = SeqNum(end - 1000);
    Sent { start, end: SeqNum(end), at: at(ms), fate: Fate::InFlight, retransmitted: false, pushed: false, stamp }
}

#[test]
fn a_flight_sent_slowly_is_measured_by_its_sending() {
    let mut rate = DeliveryRate::default();
    let flight: Vec<_> = (0..4).map(|n| send(&mut rate, (n + 1) * 1000, n * 1000, 10 * u64::from(n))).collect();
    // All are acknowledged at once: it took 30 ms to send three of them, but 70 until they were acknowledged.
    flight.iter().for_each(|sent| rate.on_delivered(sent, 1000));
    let sample = rate.take_sample(Some(40 * MS), at(70));
    assert_eq!((sample.delivered, sample.interval, sample.newly_acked), (4000, 70 * MS, 4000));
    assert_eq!((sample.prior_delivered, sample.tx_in_flight), (0, 4000));
    assert_eq!(rate.reported_rate(), 4000 * 1000 / 70);
}

#[test]
fn acknowledgements_that_come_bunched_do_not_make_the_path_look_faster() {
    let mut rate = DeliveryRate::default();
    let one = send(&mut rate, 1000, 0, 0);
    rate.on_delivered(&one, 1000);
    assert_eq!(rate.take_sample(None, at(40)).rate(), Some(25_000));
    // A second flight over 100 ms, acknowledged within 1 ms of the last sending.
    let flight: Vec<_> =
        (0..3).map(|n| send(&mut rate, (n + 2) * 1000, n * 1000 + 1000, 40 + 50 * u64::from(n))).collect();
    flight.iter().for_each(|sent| rate.on_delivered(sent, 1000));
    let sample = rate.take_sample(Some(MS), at(141));
    // From the sending of the first to that of the last: 140 ms.
    assert_eq!((sample.delivered, sample.interval), (3000, 140 * MS));
}

#[test]
fn a_sample_shorter_than_a_round_trip_says_nothing() {
    let mut rate = DeliveryRate::default();
    let one = send(&mut rate, 1000, 0, 0);
    rate.on_delivered(&one, 1000);
    let sample = rate.take_sample(Some(50 * MS), at(10));
    assert_eq!((sample.rate(), sample.delivered, rate.reported_rate()), (None, 1000, 0));
}

#[test]
fn what_is_sent_while_the_application_is_the_limit_is_marked_until_it_is_delivered() {
    let mut rate = DeliveryRate::default();
    let before = send(&mut rate, 1000, 0, 0);
    rate.on_app_limited(1000);
    let during = send(&mut rate, 2000, 1000, 10);
    rate.on_delivered(&before, 1000);
    assert!(!rate.take_sample(None, at(20)).app_limited);
    rate.on_delivered(&during, 1000);
    assert!(rate.take_sample(None, at(30)).app_limited);
    let after = send(&mut rate, 3000, 0, 40);
    rate.on_delivered(&after, 1000);
    assert!(!rate.take_sample(None, at(60)).app_limited);
}

#[test]
fn a_slower_rate_of_the_application_is_not_reported() {
    let mut rate = DeliveryRate::default();
    let one = send(&mut rate, 1000, 0, 0);
    rate.on_delivered(&one, 1000);
    rate.take_sample(None, at(10));
    rate.on_app_limited(0);
    let slow = send(&mut rate, 2000, 0, 100);
    rate.on_delivered(&slow, 1000);
    assert_eq!(rate.take_sample(None, at(200)).rate(), Some(10_000));
    assert_eq!((rate.reported_rate(), rate.is_reported_app_limited()), (100_000, false));
}

#[test]
fn losses_are_counted_since_the_sending_and_since_the_last_sample() {
    let mut rate = DeliveryRate::default();
    rate.on_lost(500);
    rate.take_sample(None, at(0));
    let one = send(&mut rate, 1000, 0, 0);
    rate.on_lost(3000);
    rate.on_delivered(&one, 1000);
    let sample = rate.take_sample(None, at(10));
    assert_eq!((sample.lost, sample.newly_lost), (3000, 3000));
    let nothing = rate.take_sample(None, at(11));
    assert_eq!((nothing.newly_lost, nothing.delivered, nothing.prior_delivered), (0, 0, 1000));
}

#[test]
fn the_counts_survive_four_gigabytes() {
    let mut rate = DeliveryRate { delivered: (1 << 33) - 500, lost: u32::MAX, ..DeliveryRate::default() };
    let one = send(&mut rate, 1000, 0, 0);
    rate.on_lost(2);
    rate.on_delivered(&one, 1000);
    let sample = rate.take_sample(None, at(10));
    assert_eq!((sample.delivered, sample.lost, sample.prior_delivered), (1000, 2, (1 << 33) - 500));
}
