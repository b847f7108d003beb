//! One connection over any way there can be: bytes arrive whole and in order both ways, both sides end, nothing hangs,
//! no timer storms, nothing is left behind.

use super::{
    chain::Chain,
    end::{End, Plan},
    queue::Queue,
    seeds::for_seeds,
    world::{Device, World},
};
use sockeye::{
    error::Error,
    rng::{Rng, SeededRng},
    time::Duration,
};

/// No simulation takes longer: a lost FIN at the end of a back-off, and TIME-WAIT.
const LONGEST: Duration = Duration::from_secs(3600);

/// One of `choices`.
fn pick<T: Copy>(rng: &mut dyn Rng, choices: &[T]) -> T {
    choices[rng.below(choices.len() as u32) as usize]
}

/// A way; whether it is a bad one.
fn way(rng: &mut SeededRng, delay: Duration) -> (Chain, bool) {
    let mut bad = false;
    let mut chain = Chain::new();
    if rng.chance(0.3) {
        let limit = pick(rng, &[10_000, 70_000, 500_000]);
        let queue = match rng.below(4) {
            0 => Queue::codel(limit, false),
            1 => Queue::codel(limit, true),
            2 => Queue::marking(limit / 4, limit),
            _ => Queue::drop_tail(limit),
        };
        chain = chain.link(pick(rng, &[1, 10, 100]), queue);
    }
    match pick(rng, &[0.0, 0.0, 0.01, 0.03, 0.1]) {
        0.0 => {}
        p if p > 0.05 && rng.chance(0.5) => (chain, bad) = (chain.burst_loss(0.02, 0.5, 0.9), true),
        p => (chain, bad) = (chain.loss(p), p > 0.05),
    }
    chain = chain.delay(delay);
    if rng.chance(0.5) {
        chain = chain.jitter(delay * pick(rng, &[1, 3]) / 2);
    }
    for late in 1..=2 {
        chain = match pick(rng, &[0.0, 0.0, 0.02, 0.1]) {
            0.0 => chain,
            p => chain.reorder(p, (delay / 2 + Duration::from_micros(10)) * late),
        };
    }
    if rng.chance(0.4) {
        chain = chain.duplicate(pick(rng, &[0.02, 0.2]));
    }
    if rng.chance(0.3) {
        chain = chain.corrupt(0.01);
    }
    (chain, bad)
}

/// The world of `seed` with a perfect way or any, and one connection; `adjust` changes what its ends plan to do.
fn world(seed: u64, trace: bool, perfect: bool, adjust: impl FnOnce(&mut [Plan; 2])) -> World {
    let rng = &mut SeededRng::new([seed, 0x11c4]);
    let delay = Duration::from_micros(pick(rng, &[2, 20, 1_000, 10_000, 100_000]));
    let device = Device { mtu: pick(rng, &[576, 1500, 1500, 9000]), whole_frames: rng.chance(0.5) };
    let ways = [way(rng, delay), way(rng, delay)];
    let bad = ways.iter().any(|(_, bad)| *bad);
    let ways = ways.map(|(way, _)| if perfect { Chain::new().delay(delay) } else { way });
    let mut plans = [Plan::random(rng), Plan::random(rng)];
    plans[0].opens = true;
    // Two ends that both wait for the other's end would wait for ever.
    plans[0].finish_last &= !plans[1].finish_last;
    if bad {
        plans.iter_mut().for_each(|plan| plan.send_at_most(50_000));
    }
    adjust(&mut plans);
    let mut world = World::new(seed, device, ways);
    world.trace = trace;
    world.connect(plans, Duration::ZERO);
    world
}

#[test]
fn bytes_arrive_whole_and_in_order_over_any_link() {
    for_seeds(3000, |seed, trace| world(seed, trace, false, |_| ()).run_to_the_end(LONGEST));
}

#[test]
fn a_perfect_link_needs_no_retransmission() {
    for_seeds(60, |seed, trace| {
        let mut world = world(seed, trace, true, |plans| plans[1].opens = false);
        world.run_to_the_end(LONGEST);
        // A reader that lags delays acknowledgements by far more than two short round trips: that is probed, no more.
        for mib in &world.mib {
            let repaired =
                (mib.tcp_timeouts, mib.tcp_sack_recovery + mib.tcp_reno_recovery, mib.tcp_loss_probe_recovery);
            assert_eq!(repaired, (0, 0, 0), "{world}");
            assert!(mib.tcp_retrans_segs <= mib.tcp_loss_probes, "{world}");
        }
    });
}

#[test]
fn a_reset_ends_both_sides_however_much_is_lost() {
    for_seeds(200, |seed, trace| {
        let aborts = |plans: &mut [Plan; 2]| {
            plans[(seed % 2) as usize].abort_after = Some(seed as usize * 499);
            plans.iter_mut().for_each(Plan::keep_alive);
        };
        world(seed, trace, false, aborts).run_to_the_end(LONGEST);
    });
}

#[test]
fn a_link_that_dies_is_an_error_on_both_sides() {
    for_seeds(100, |seed, trace| {
        let device = Device { mtu: 1500, whole_frames: false };
        let way = || Chain::new().cut_after(10 + seed * 7).delay(Duration::from_millis(5));
        let mut world = World::new(seed, device, [way(), way()]);
        world.trace = trace;
        let mut plans = [Plan::receiver("cubic", true), Plan::sender("cubic", true, usize::MAX)];
        plans[0].keep_alive();
        plans[1].give_up_after(Duration::from_secs(30));
        world.connect(plans, Duration::ZERO);
        world.run_until(world.now + LONGEST);
        world.check_timers();
        let ends = || world.flows.iter().flatten();
        assert!(ends().all(End::is_over), "{world}");
        // The reset of the one that gives up first may be the last to get through.
        let fair = [Some(Error::TimedOut), Some(Error::ConnectionReset)];
        assert!(ends().all(|end| fair.contains(&end.failure())), "{:?}", ends().map(End::failure).collect::<Vec<_>>());
    });
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = |seed| {
        let mut world = world(seed, false, false, |_| ());
        world.run_to_the_end(LONGEST);
        (world.elapsed(), world.mib.map(|mib| mib.iter().collect::<Vec<_>>()))
    };
    for_seeds(20, |seed, _| assert_eq!(run(seed), run(seed)));
}

#[test]
fn a_slow_reader_is_waited_for_through_closed_windows() {
    for_seeds(100, |seed, trace| {
        let slow = |plans: &mut [Plan; 2]| {
            plans.iter_mut().for_each(|plan| plan.read_slowly(Duration::from_millis(400)));
        };
        world(seed, trace, false, slow).run_to_the_end(LONGEST);
    });
}
