//! Two connections over a link that loses, repeats and reorders: bytes arrive whole and in order, and both ends finish.
//! Each run is told by its seed.

use crate::{
    error::Error,
    tcp::{
        Path, Settings, Shutdown, State,
        testing::{Link, MS, Pair, pattern},
    },
    time::Duration,
};

/// How a run went.
#[derive(Debug)]
struct Run {
    took: Duration,
    retransmitted: u64,
    timeouts: u64,
}

/// Sends `sizes[i]` bytes from end `i` to the other, both at once, and closes.
fn run(seed: u64, link: Link, path: Path, settings: Settings, sizes: [u64; 2]) -> Run {
    let mut pair = Pair::new(seed, link, path, settings);
    let start = pair.world.now;
    let (mut written, mut read, mut finished, mut done) = ([0u64; 2], [0u64; 2], [false; 2], [false; 2]);
    let mut buffer = vec![0; 100_000];
    loop {
        for end in 0..2 {
            if !matches!(pair.state(end), Some(state) if state != State::SynSent && state != State::SynReceived) {
                continue;
            }
            while written[end] < sizes[end] {
                let n = (sizes[end] - written[end]).min(buffer.len() as u64) as usize;
                (0..n).for_each(|i| buffer[i] = pattern(written[end] + i as u64));
                match pair.send(end, &buffer[..n]) {
                    Ok(n) => written[end] += n as u64,
                    Err(Error::WouldBlock) => break,
                    Err(error) => panic!("seed {seed}: end {end} cannot send: {error}"),
                }
            }
            if written[end] == sizes[end] && !finished[end] {
                finished[end] = true;
                pair.shutdown(end, Shutdown::Write).unwrap();
            }
            while !done[end] {
                match pair.recv(end, &mut buffer) {
                    Ok(0) => done[end] = true,
                    Ok(n) => {
                        (0..n).for_each(|i| assert_eq!(buffer[i], pattern(read[end] + i as u64), "seed {seed}"));
                        read[end] += n as u64;
                    }
                    Err(Error::WouldBlock) => break,
                    Err(error) => panic!("seed {seed}: end {end} cannot receive: {error}"),
                }
            }
        }
        if done == [true; 2] && pair.ends.iter().flatten().all(|end| end.unacknowledged() == 0) {
            break;
        }
        assert!(pair.step(), "seed {seed}: stuck at {written:?} {read:?}: {:?}", pair.ends);
        assert!(pair.world.now.since(start) < Duration::from_secs(3600), "seed {seed}: hangs at {written:?} {read:?}");
    }
    assert_eq!(read, [sizes[1], sizes[0]], "seed {seed}");
    let took = pair.world.now.since(start);
    pair.close(0);
    pair.close(1);
    while pair.step() {}
    assert_eq!([pair.state(0), pair.state(1)], [Some(State::Closed); 2], "seed {seed}");
    let mib = &pair.world.mib;
    Run { took, retransmitted: mib.tcp_retrans_segs, timeouts: mib.tcp_timeouts }
}

const PLAIN: Path = Path { mtu: 1500, link_mtu: 1500, max_frame: 1500 };
const OFFLOAD: Path = Path { mtu: 1500, link_mtu: 1500, max_frame: 65_535 };

#[test]
fn a_clean_link_carries_everything_once() {
    for path in [PLAIN, OFFLOAD] {
        let run = run(1, Link::default(), path, Settings::default(), [3_000_000, 0]);
        assert_eq!((run.retransmitted, run.timeouts), (0, 0), "{run:?}");
        assert!(run.took < 300 * MS, "{run:?}");
    }
}

#[test]
fn both_directions_at_once() {
    let run = run(2, Link::default(), OFFLOAD, Settings::default(), [1_000_000, 2_000_000]);
    assert_eq!(run.retransmitted, 0, "{run:?}");
}

#[test]
fn bad_links_deliver_everything_in_order() {
    for seed in 0..60 {
        let path = if seed % 2 == 0 { PLAIN } else { OFFLOAD };
        let bad = Link {
            loss: [0.0, 0.01, 0.05, 0.2][seed as usize % 4],
            duplicate: [0.0, 0.05][seed as usize / 4 % 2],
            reorder: [0.0, 0.05, 0.3][seed as usize / 8 % 3],
            ..Link::default()
        };
        run(seed, bad, path, Settings::default(), [100_000 + seed * 1000, 50_000]);
    }
}

#[test]
fn a_connection_is_small() {
    let size = size_of::<crate::tcp::Connection>();
    assert!(size <= 1680, "{size} bytes");
}

/// Segments of a connection whose rate the user limits leave spread over the time, and timers fire once a millisecond
/// at most.
#[test]
fn a_rate_that_the_user_sets_is_kept_to() {
    for name in crate::tcp::congestion::NAMES {
        let settings = Settings { congestion: name, max_pacing_rate: 1_250_000, ..Settings::default() };
        let run = run(7, Link::default(), OFFLOAD, settings, [2_500_000, 0]);
        let rate = 20.0 / run.took.as_secs_f64();
        assert!((8.5..10.1).contains(&rate), "{name}: {rate:.2} Mbit/s");
        assert_eq!(run.retransmitted, 0);
    }
}

/// Megabits a second through a link of 100 Mbit/s and 20 ms with a queue of one bandwidth-delay product.
fn rate(congestion: &'static str, path: Path, loss: f64, reorder: f64, bytes: u64) -> f64 {
    let link = Link { delay: 10 * MS, loss, reorder, rate: 12_500_000, queue: 250_000, ..Link::default() };
    let settings = Settings { congestion, ..Settings::default() };
    let run = run(5, link, path, settings, [bytes, 0]);
    bytes as f64 * 8.0 / run.took.as_secs_f64() / 1e6
}

#[test]
fn a_bottleneck_is_filled_and_losses_cost_what_they_cost_reno() {
    for path in [PLAIN, OFFLOAD] {
        let table = [(0.0, 0.0, 60.0), (0.001, 0.0, 20.0), (0.01, 0.0, 5.0), (0.03, 0.0, 2.0), (0.0, 0.02, 25.0)];
        for (loss, reorder, least) in table {
            let rate = rate("reno", path, loss, reorder, 3_000_000);
            assert!(rate > least, "loss {loss}, reordered {reorder}: {rate:.1} Mbit/s with {path:?}");
        }
    }
}

#[test]
fn bbr_loses_little_of_a_bottleneck_to_losses_below_its_threshold() {
    for path in [PLAIN, OFFLOAD] {
        for (loss, least) in [(0.0, 60.0), (0.001, 60.0), (0.01, 55.0)] {
            let rate = rate("bbr", path, loss, 0.0, 12_000_000);
            assert!(rate > least, "loss {loss}: {rate:.1} Mbit/s with {path:?}");
        }
    }
}

#[test]
fn cubic_fills_a_bottleneck_and_gets_what_losses_leave() {
    for path in [PLAIN, OFFLOAD] {
        for (loss, least) in [(0.0, 60.0), (0.001, 25.0), (0.01, 6.0)] {
            let rate = rate("cubic", path, loss, 0.0, 12_000_000);
            assert!(rate > least, "loss {loss}: {rate:.1} Mbit/s with {path:?}");
        }
    }
}
