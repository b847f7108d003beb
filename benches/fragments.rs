//! What a fragment costs, in processor time: `cargo bench --bench fragments`. Each case sends a fragment after the
//! other into a table that is full, as a flood leaves it.

use sockeye::{
    buf::Packet,
    ip::reassembly::{Datagram, Reassembly},
    rng::{Key, SeededRng},
    time::Instant,
};
use std::{hint::black_box, net::IpAddr};

/// Fragments sent before the measurement, and measured.
const FRAGMENTS: u32 = 20_000;

/// The source of number `n`.
fn source(n: u32) -> IpAddr {
    IpAddr::V4(std::net::Ipv4Addr::from(0x0b00_0000 + n))
}

/// Whose a fragment is, and where in its datagram it belongs.
type Fragment = (Datagram, usize, bool);

fn of(src: IpAddr, id: u32) -> Datagram {
    Datagram { src, dst: source(u32::MAX >> 8), protocol: 17, id }
}

/// Each fragment is of a datagram, and a source, of its own.
fn everywhere(n: u32) -> Fragment {
    (of(source(n), n), 0, true)
}

/// Every second one is of one source, which has more than it may.
fn mixed(n: u32) -> Fragment {
    if n.is_multiple_of(2) { everywhere(n) } else { (of(source(1), n), 0, true) }
}

/// Tiny pieces of a few datagrams, each between two others.
fn tiny(n: u32) -> Fragment {
    let place = usize::try_from((n % 4096).reverse_bits() >> 20).unwrap_or(0);
    (of(source(n / 65_536), n / 4096), place * 16, true)
}

/// What honest hosts send: two fragments each, which come together.
fn honest(n: u32) -> Fragment {
    let is_first = n.is_multiple_of(2);
    (of(source(1), n / 2), if is_first { 0 } else { 1480 }, is_first)
}

/// The processor time this thread has used, nanoseconds: other work on the machine does not count.
fn used() -> u128 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place for a timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec.unsigned_abs() as u128 * 1_000_000_000 + time.tv_nsec.unsigned_abs() as u128
}

fn nanoseconds(name: &str, payload: usize, fragment: fn(u32) -> Fragment) {
    let mut table = Reassembly::new(Key::random(&mut SeededRng::new([1, 2])));
    let bytes = vec![0; 20 + payload];
    let mut feed = |n| {
        let (datagram, offset, more) = fragment(n);
        black_box(table.on_fragment(datagram, offset, more, Packet::copy_from(&bytes), 20, Instant::ZERO));
    };
    (0..FRAGMENTS).for_each(&mut feed);
    let began = used();
    (FRAGMENTS..2 * FRAGMENTS).for_each(&mut feed);
    let each = (used() - began) / u128::from(FRAGMENTS);
    println!("{name:<44} {each:>8} ns a fragment");
}

fn main() {
    nanoseconds("two that come together, 1480 bytes", 1480, honest);
    nanoseconds("from everywhere, 8 bytes", 8, everywhere);
    nanoseconds("from everywhere, 1480 bytes", 1480, everywhere);
    nanoseconds("from everywhere and from one source, 8 bytes", 8, mixed);
    nanoseconds("tiny pieces out of order, 8 bytes", 8, tiny);
}
