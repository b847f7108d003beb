//! What a packet costs in the two stacks that it passes, in processor time and without a device: `cargo bench --bench
//! packets`. With `--config profile.bench.overflow-checks=false` it shows what the checks of arithmetic cost.
//! `packets CASE COUNT` runs one case so often and prints nothing: to count its instructions (valgrind
//! --tool=callgrind).

#[path = "../tests/wire_pair/mod.rs"]
mod wire_pair;

use sockeye::{error::Error, stack::Protocol, stack::SocketId};
use std::env;
use wire_pair::{
    Pair,
    Side::{A, B},
    Wire, end,
};

/// Bytes of a bulk transfer at once.
const BULK: usize = 128 << 10;

fn pair(max_frame: u32) -> Pair {
    let mut pair = Pair::on(Wire { max_frame, ..Wire::default() });
    pair.keep_sent = false;
    pair
}

/// A byte there and one back.
fn turns(pair: &mut Pair, (client, server): (SocketId, SocketId), count: usize) {
    for _ in 0..count {
        pair.send(A, client, b"x").expect("room");
        pair.run();
        pair.recv(B, server).expect("a byte");
        pair.send(B, server, b"y").expect("room");
        pair.run();
        pair.recv(A, client).expect("a byte");
        pair.events.clear();
    }
}

/// Bulk one way, as many packets of 1460 bytes.
fn bulk(pair: &mut Pair, (client, server): (SocketId, SocketId), count: usize) {
    let data = vec![7; BULK];
    let (mut left, mut got) = (count * 1460, 0);
    while got < count * 1460 {
        let n = pair.send(A, client, &data[..left.min(BULK)]).unwrap_or(0);
        left -= n;
        pair.run();
        while let Ok(bytes) = pair.recv(B, server) {
            got += bytes.len();
        }
        // Acknowledgements that wait for a timer.
        if n == 0 {
            let now = pair.now;
            pair.step(now + std::time::Duration::from_secs(1));
        }
        pair.events.clear();
    }
}

/// Connections that are made and ended.
fn connections(pair: &mut Pair, count: usize) {
    let listener = pair.listen(B, 81, 16);
    for _ in 0..count {
        let client = pair.open(A, Protocol::Tcp);
        assert_eq!(pair.connect(A, client, end(B, 81)), Err(Error::InProgress));
        pair.run();
        let now = pair.now;
        let (server, _) = pair.b.accept(listener, now).expect("a connection");
        pair.close(A, client);
        pair.run();
        pair.close(B, server);
        pair.run();
        pair.events.clear();
        // No longer than it takes until TIME-WAIT gives its port back.
        pair.now += std::time::Duration::from_millis(10);
    }
}

fn run(case: &str, count: usize) {
    let mut pair = pair(if case == "super" { 65_535 } else { 1500 });
    match case {
        "turns" => {
            let ends = pair.connected(A, 80);
            turns(&mut pair, ends, count);
        }
        "bulk" | "super" => {
            let ends = pair.connected(A, 80);
            bulk(&mut pair, ends, count);
        }
        _ => connections(&mut pair, count),
    }
}

/// The processor time this thread has used, nanoseconds: other work on the machine does not count.
fn used() -> u128 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place for a timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec.unsigned_abs() as u128 * 1_000_000_000 + time.tv_nsec.unsigned_abs() as u128
}

fn nanoseconds(case: &str, count: usize) -> u128 {
    let began = used();
    run(case, count);
    (used() - began) / count as u128
}

fn main() {
    let words: Vec<String> = env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    if let [case, count] = &words[..] {
        return run(case, count.parse().expect("a number"));
    }
    for (case, count) in [("turns", 50_000), ("bulk", 200_000), ("super", 1_000_000), ("connections", 10_000)] {
        let best = (0..5).map(|_| nanoseconds(case, count)).min().unwrap_or(0);
        println!("{case:<12} {best:>8} ns each");
    }
}
