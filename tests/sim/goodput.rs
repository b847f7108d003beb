//! What is left of 100 Mbit/s and 20 ms with a queue of one bandwidth-delay product under each impairment.

use crate::{
    chain::Chain,
    end::Plan,
    queue::Queue,
    seeds::{map, number},
    world::{Device, World},
};
use sockeye::{tcp::congestion::NAMES, time::Duration};

const MS: Duration = Duration::from_millis(1);
const TIME: Duration = Duration::from_secs(8);
const DEVICE: Device = Device { mtu: 1500, whole_frames: false };

/// A case: its name, and what happens on the ways of data and of acknowledgements in front of the link and behind it.
type Case = (&'static str, fn(Chain) -> Chain, fn(Chain) -> Chain, fn(Chain) -> Chain);

fn as_is(chain: Chain) -> Chain {
    chain
}

const CASES: &[Case] = &[
    ("clean", as_is, as_is, as_is),
    ("loss 0.1 %", |way| way.loss(0.001), as_is, as_is),
    ("loss 1 %", |way| way.loss(0.01), as_is, as_is),
    ("loss 3 %", |way| way.loss(0.03), as_is, as_is),
    ("reordering 2 %", as_is, as_is, |way| way.reorder(0.02, 4 * MS)),
    ("ACK loss 3 %", as_is, |way| way.loss(0.03), as_is),
    ("loss 1 % both ways", |way| way.loss(0.01), |way| way.loss(0.01), as_is),
];

/// The result of a run.
#[derive(Copy, Clone, Debug)]
struct Row {
    megabits: f64,
    resent: u64,
    needless: u64,
    timeouts: u64,
}

fn run(case: &Case, congestion: &'static str, super_frames: bool, seed: u64) -> Row {
    let (_, data, acks, behind) = case;
    let way =
        |front: fn(Chain) -> Chain| behind(front(Chain::new()).link(100, Queue::drop_tail(250_000)).delay(10 * MS));
    // Site 0 opens and receives, as a client that fetches something.
    let mut world = World::new(seed, DEVICE, [way(*data), way(*acks)]);
    let plans = [Plan::receiver(congestion, super_frames), Plan::sender(congestion, super_frames, usize::MAX)];
    world.connect(plans, Duration::ZERO);
    world.trace = number("SOCKEYE_SEED").is_some();
    world.run_for(TIME);
    world.check_timers();
    let [receiver, sender] = &world.mib;
    Row {
        megabits: world.flows[0][0].received as f64 * 8e-6 / TIME.as_secs_f64(),
        resent: sender.tcp_retrans_segs,
        needless: receiver.tcp_dsack_old_sent + receiver.tcp_dsack_ofo_sent,
        timeouts: sender.tcp_timeouts,
    }
}

#[test]
fn table() {
    let seeds = number("SOCKEYE_SEEDS").unwrap_or(9);
    for super_frames in [false, true] {
        for case in CASES {
            for name in NAMES {
                if std::env::var("ONLY").is_ok_and(|only| !format!("{} {name} {super_frames}", case.0).contains(&only))
                {
                    continue;
                }
                let mut rows = map(seeds, |seed| run(case, name, super_frames, seed));
                let all: Vec<_> = rows.iter().map(|row| row.megabits.round()).collect();
                rows.sort_by(|a, b| a.megabits.total_cmp(&b.megabits));
                println!("{} {name} {super_frames} {:?} {all:?}", case.0, rows[rows.len() / 2]);
            }
        }
    }
}
