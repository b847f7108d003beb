//! One connection with segments of any size over a link of any rate: 88 to 65,483 bytes, 1 kbit/s to 400 Gbit/s, under
//! every congestion control. Arithmetic that takes an Ethernet for granted overflows somewhere in there.

use super::{
    chain::Chain,
    end::Plan,
    queue::Queue,
    seeds::for_seeds,
    world::{Device, World},
};
use sockeye::{
    rng::{Rng, SeededRng},
    tcp::congestion::NAMES,
    time::Duration,
};

/// The IP packets that have the smallest and the largest segment, time stamps included in it.
const MTUS: [u32; 10] = [128, 256, 576, 1500, 9000, 16_424, 32_808, 32_820, 65_523, 65_535];
/// Bits a second.
const RATES: [u64; 10] = [1_000, 9_600, 64_000, 1_000_000, 10_000_000, 1 << 30, 10_000_000_000, 1 << 35, 1 << 38, RATE];
const RATE: u64 = 400_000_000_000;
const DELAYS: [u64; 5] = [1, 30, 1_000, 30_000, 300_000];
/// A window of the largest segments takes more than an hour at the lowest rate, and each is lost a few times.
const LONGEST: Duration = Duration::from_secs(3_000_000);

fn pick<T: Copy>(rng: &mut SeededRng, choices: &[T]) -> T {
    choices[rng.below(choices.len() as u32) as usize]
}

/// One of the sizes and rates of `seed`, which takes each combination of the two in turn, with anything else.
fn world(seed: u64, trace: bool) -> World {
    let rng = &mut SeededRng::new([seed, 0x517e]);
    let mtu = MTUS[seed as usize % MTUS.len()];
    let rate = RATES[seed as usize / MTUS.len() % RATES.len()];
    let delay = Duration::from_micros(pick(rng, &DELAYS));
    let loss = pick(rng, &[0.0, 0.0, 0.01, 0.05]);
    let product = (rate as f64 / 8.0 * 2.0 * delay.as_secs_f64()) as usize;
    let queue = product.min(1 << 28).max(4 * mtu as usize);
    let way = || Chain::new().loss(loss).link_of(rate, Queue::marking(queue / 2, queue)).delay(delay);
    let mut world = World::new(seed, Device { mtu, whole_frames: rng.chance(0.5) }, [way(), way()]);
    world.trace = trace;
    let congestion = pick(rng, NAMES);
    let segments = if rate < 1_000_000 { 30 } else { 3_000 };
    let total = (rng.below(segments) as usize * mtu as usize).min(20_000_000);
    let frames = rng.chance(0.7);
    let mut plans = [Plan::receiver(congestion, frames), Plan::sender(congestion, frames, total)];
    for plan in &mut plans {
        plan.give_up_after(LONGEST);
        plan.vary(rng);
    }
    world.connect(plans, Duration::ZERO);
    world
}

#[test]
fn segments_of_any_size_get_over_a_link_of_any_rate() {
    for_seeds(400, |seed, trace| world(seed, trace).run_to_the_end(LONGEST));
}
