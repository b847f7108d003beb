//! Several connections through one link, and one through a long fat one.

use super::{
    chain::Chain,
    end::Plan,
    queue::Queue,
    seeds::for_seeds,
    world::{Device, World},
};
use sockeye::{tcp::settings::MAX_BUFFER, time::Duration};

const MS: Duration = Duration::from_millis(1);
const DEVICE: Device = Device { mtu: 1500, whole_frames: false };

/// Connections that send as much as they can through one link with a queue of one bandwidth-delay product; the n-th
/// begins `apart` after the one before.
fn world(seed: u64, megabits: u64, delay: Duration, senders: &[&'static str], apart: Duration) -> World {
    let product = (megabits * 125_000) as f64 * 2.0 * delay.as_secs_f64();
    let way = || Chain::new().link(megabits, Queue::drop_tail(product as usize)).delay(delay);
    let mut world = World::new(seed, DEVICE, [way(), way()]);
    for (n, congestion) in (0..).zip(senders) {
        world.connect([Plan::receiver(congestion, true), Plan::sender(congestion, true, usize::MAX)], apart * n);
    }
    world
}

/// What each connection got in `time`, megabits a second.
fn rates(world: &mut World, time: Duration) -> Vec<f64> {
    let before: Vec<_> = world.flows.iter().map(|[receiver, _]| receiver.received).collect();
    world.run_for(time);
    world.check_timers();
    let got = world.flows.iter().zip(before).map(|([receiver, _], before)| receiver.received - before);
    got.map(|bytes| bytes as f64 * 8e-6 / time.as_secs_f64()).collect()
}

/// Jain's index of fairness: 1 if all are equal, 1/n if one has it all.
fn jain(rates: &[f64]) -> f64 {
    let sum: f64 = rates.iter().sum();
    sum * sum / (rates.len() as f64 * rates.iter().map(|rate| rate * rate).sum::<f64>())
}

#[test]
fn two_connections_share_a_link_fairly_whoever_came_first() {
    for name in ["reno", "cubic", "bbr"] {
        for_seeds(3, |seed, trace| {
            let mut world = world(seed, 100, 10 * MS, &[name, name], 2000 * MS);
            world.trace = trace;
            world.run_for(Duration::from_secs(12));
            let rates = rates(&mut world, Duration::from_secs(20));
            let (index, sum) = (jain(&rates), rates.iter().sum::<f64>());
            println!("{name} {seed}: {rates:.1?} index {index:.3} sum {sum:.1}");
            assert!(index >= 0.9 && sum >= 85.0, "{name}: {rates:.1?}, index {index:.3}\n{world}");
        });
    }
}

#[test]
fn sixty_four_connections_share_a_link_fairly() {
    for_seeds(3, |seed, trace| {
        let mut world = world(seed, 100, 10 * MS, &["cubic"; 64], 10 * MS);
        world.trace = trace;
        world.run_for(Duration::from_secs(5));
        let rates = rates(&mut world, Duration::from_secs(20));
        let (index, sum) = (jain(&rates), rates.iter().sum::<f64>());
        println!("{seed}: index {index:.3} sum {sum:.1}");
        assert!(index >= 0.95 && sum >= 85.0, "{rates:.2?}: index {index:.3}\n{world}");
    });
}

#[test]
fn a_long_fat_path_is_filled_within_five_seconds() {
    for name in ["cubic", "bbr"] {
        for_seeds(1, |seed, _| {
            let mut world = world(seed, 1000, 50 * MS, &[name], Duration::ZERO);
            let each: Vec<_> = (0..8).map(|_| rates(&mut world, Duration::from_secs(1))[0]).collect();
            println!("{name}: {each:.0?}");
            // Data is 94.1 % of what is on the wire; bbr lets the queue run empty once in five seconds.
            let mean = each[3..].iter().sum::<f64>() / 5.0;
            assert!(each[2..5].iter().all(|rate| *rate >= 900.0) && mean >= 900.0, "{name}: {each:.0?}\n{world}");
            let [receiver, sender] = [0, 1].map(|side| world.flows[0][side].info(world.now));
            let queued = (sender.unacked * sender.snd_mss + sender.notsent_bytes) as usize;
            assert!(queued <= MAX_BUFFER + 1448, "{queued} bytes queued");
            assert!(receiver.rcv_ssthresh as usize <= MAX_BUFFER, "a window of {}", receiver.rcv_ssthresh);
        });
    }
}
