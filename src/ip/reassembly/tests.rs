//! Fragments in every order, hostile ones, and what all of them cost.

use super::*;
use crate::rng::{Key, SeededRng};

const SRC: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
const DST: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));

fn datagram(id: u32) -> Datagram {
    Datagram { src: SRC, dst: DST, protocol: 17, id }
}

fn setup() -> Reassembly {
    Reassembly::new(Key::random(&mut SeededRng::new([9, 9])))
}

fn feed(r: &mut Reassembly, id: u32, offset: usize, bytes: &[u8], more: bool) -> Verdict {
    let packet = Packet::copy_from(&[b"head", bytes].concat());
    r.on_fragment(datagram(id), offset, more, packet, 4, Instant::ZERO)
}

fn is_clean(r: &Reassembly) -> bool {
    r.waiting.is_clean()
}

#[test]
fn fragments_come_together_in_any_order() {
    let parts: [(usize, &[u8], bool); 3] = [(0, b"abcdefgh", true), (8, b"ijklmnop", true), (16, b"qr", false)];
    for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2], [2, 0, 1]] {
        let mut r = setup();
        let last = order.map(|i| feed(&mut r, 1, parts[i].0, parts[i].1, parts[i].2)).into_iter().next_back();
        let Some(Verdict::Complete(packet)) = last else { panic!("complete in order {order:?}") };
        assert_eq!(packet.bytes(), b"headabcdefghijklmnopqr");
        assert!(is_clean(&r));
    }
}

#[test]
fn an_overlap_drops_the_datagram_with_the_fragments_still_to_come() {
    let mut r = setup();
    feed(&mut r, 1, 0, b"abcdefgh", true);
    assert!(matches!(feed(&mut r, 1, 0, b"ABCDEFGHIJKLMNOP", true), Verdict::Dropped));
    assert!(matches!(feed(&mut r, 1, 8, b"ij", false), Verdict::Dropped));
    assert!(matches!(feed(&mut r, 1, 0, b"abcdefgh", true), Verdict::Dropped));
    assert_eq!(r.poll_expired(Instant::ZERO + TIMEOUT), Some((datagram(1), None)));
    assert!(is_clean(&r));
}

#[test]
fn an_exact_duplicate_changes_nothing() {
    let mut r = setup();
    feed(&mut r, 1, 0, b"abcdefgh", true);
    feed(&mut r, 1, 0, b"abcdefgh", true);
    assert!(matches!(feed(&mut r, 1, 8, b"ij", false), Verdict::Complete(..)));
}

#[test]
fn impossible_fragments_are_refused() {
    let mut r = setup();
    assert!(matches!(feed(&mut r, 1, 0, b"", true), Verdict::Dropped));
    assert!(matches!(feed(&mut r, 1, 0, b"abc", true), Verdict::Dropped));
    assert!(matches!(feed(&mut r, 1, 65_528, &[0; 100], false), Verdict::Dropped));
    assert!(is_clean(&r));
    feed(&mut r, 2, 16, b"qr", false);
    assert!(matches!(feed(&mut r, 2, 24, b"beyond the end..", true), Verdict::Dropped));
    assert!(matches!(feed(&mut r, 2, 0, b"abcdefgh", true), Verdict::Dropped));
}

#[test]
fn what_waits_too_long_is_told_with_its_first_fragment() {
    let mut r = setup();
    feed(&mut r, 1, 0, b"abcdefgh", true);
    feed(&mut r, 2, 8, b"abcdefgh", true);
    assert_eq!(r.poll_deadline(), Some(Instant::ZERO + TIMEOUT));
    assert_eq!(r.poll_expired(Instant::ZERO), None);
    let later = Instant::ZERO + TIMEOUT;
    assert_eq!(r.poll_expired(later), Some((datagram(1), Some(b"headabcdefgh".to_vec()))));
    assert_eq!(r.poll_expired(later), Some((datagram(2), None)));
    assert_eq!(r.poll_expired(later), None);
    assert!(is_clean(&r));
}

#[test]
fn one_source_and_all_together_hold_bounded_memory() {
    let mut r = setup();
    (0..1000).for_each(|id| drop(feed(&mut r, id, 0, &[0; 1480], true)));
    assert!((SOURCE_LIMIT - 4096..=SOURCE_LIMIT).contains(&r.memory()), "{}", r.memory());
    for host in 0..100u32 {
        let src = IpAddr::V4(std::net::Ipv4Addr::from(0x0b00_0000 + host));
        for id in 0..200 {
            let datagram = Datagram { src, dst: DST, protocol: 17, id };
            r.on_fragment(datagram, 0, true, Packet::copy_from(&[0; 1484]), 4, Instant::ZERO);
        }
    }
    assert!((TOTAL_LIMIT - 4096..=TOTAL_LIMIT).contains(&r.memory()), "{}", r.memory());
    while r.poll_expired(Instant::FAR_FUTURE).is_some() {}
    assert!(is_clean(&r));
}

/// The source of number `n`.
fn source(n: u32) -> IpAddr {
    IpAddr::V4(std::net::Ipv4Addr::from(0x0b00_0000 + n))
}

/// The most slots that one of `fragments` fragments had looked at, once the tables are full; `of` says whose each is,
/// and where in it.
fn most_work(fragments: u32, of: impl Fn(u32) -> (Datagram, usize)) -> usize {
    let (mut r, mut most) = (setup(), 0);
    for n in 0..fragments {
        let (datagram, offset) = of(n);
        r.waiting.work = 0;
        r.on_fragment(datagram, offset, true, Packet::copy_from(&[0; 28]), 20, Instant::ZERO);
        most = most.max(r.waiting.work);
    }
    most
}

#[test]
fn a_fragment_has_as_little_looked_at_in_a_flood_as_without() {
    let from_everywhere = |n| (Datagram { src: source(n), dst: DST, protocol: 17, id: n }, 0);
    let from_one = |n| (Datagram { src: SRC, dst: DST, protocol: 17, id: n }, 8);
    // The oldest of the one source stand behind all of the others.
    let from_both = |n| if n % 2 == 0 { from_everywhere(n) } else { from_one(n) };
    assert!(most_work(40_000, from_everywhere) <= 3);
    assert!(most_work(40_000, from_one) <= 3);
    assert!(most_work(40_000, from_both) <= 4);
}

#[test]
fn what_one_source_sends_does_not_make_others_datagrams_go() {
    let mut r = setup();
    let honest = Datagram { src: source(1), dst: DST, protocol: 17, id: 1 };
    r.on_fragment(honest, 0, true, Packet::copy_from(b"headabcdefgh"), 4, Instant::ZERO);
    (0..100_000).for_each(|id| drop(feed(&mut r, id, 0, &[0; 1480], true)));
    let last = r.on_fragment(honest, 8, false, Packet::copy_from(b"headij"), 4, Instant::ZERO);
    assert!(matches!(last, Verdict::Complete(packet) if packet.bytes() == b"headabcdefghij"));
}

#[test]
fn tiny_fragments_of_one_datagram_are_bounded_too() {
    let mut r = setup();
    // Every second one: nothing comes together, and each comes in between two others.
    for n in 0..4000u32 {
        let offset = usize::try_from(n.reverse_bits() >> 20).unwrap() * 16;
        feed(&mut r, 1, offset, &[0; 8], true);
        assert!(r.memory() <= SOURCE_LIMIT);
    }
}
