use super::*;
use crate::{buf::Gso, device::link::Link};
use std::sync::Arc;

const PLAIN: Capabilities = Capabilities { medium: Medium::Ip, mtu: 1500, max_frame: 1500, tx_checksum: false };
const OFFLOAD: Capabilities = Capabilities { max_frame: 65_535, tx_checksum: true, ..PLAIN };

/// An impaired end and the plain one it talks to.
fn link(text: &str) -> (Impair, Arc<Link>) {
    let (near, far) = Link::pair(PLAIN, PLAIN);
    (Impair::new(Box::new(near), Impairment::parse(text).unwrap()), Arc::new(far))
}

fn at(micros: u64) -> Instant {
    Instant::from_nanos(micros * 1000)
}

/// A frame of `len` bytes (16 at least) that carries a number.
fn numbered(number: u32, len: usize) -> Frame {
    let mut frame = Frame::new();
    frame.append(16)[12..].copy_from_slice(&number.to_be_bytes());
    frame.push_bytes(&vec![0; len - 16]);
    frame
}

fn number(packet: &Packet) -> u32 {
    u32::from_be_bytes(packet.bytes()[12..16].try_into().unwrap())
}

/// Runs the timers up to `until`: when each frame comes out at the far end, in microseconds, and its number.
fn run_until(near: &Impair, far: &Link, until: Instant) -> Vec<(u64, u32)> {
    let mut out = Vec::new();
    let mut now = Instant::ZERO;
    loop {
        while let Some(packet) = far.recv(now).unwrap() {
            out.push((now.as_micros(), number(&packet)));
        }
        match near.deadline().filter(|next| *next <= until) {
            Some(next) => now = now.max(next),
            None => return out,
        }
        near.on_timer(now).unwrap();
    }
}

fn outcome(near: &Impair, far: &Link) -> Vec<(u64, u32)> {
    run_until(near, far, Instant::FAR_FUTURE)
}

/// Sends a thousand frames, one each millisecond: when they come out, in microseconds, and their numbers.
fn one_each_millisecond(text: &str) -> Vec<(u64, u32)> {
    let (near, far) = link(text);
    let mut out = Vec::new();
    for n in 0..1000 {
        let now = at(u64::from(n) * 1000);
        out.extend(run_until(&near, &far, now));
        near.send(&numbered(n, 20), now).unwrap();
        while let Some(packet) = far.recv(now).unwrap() {
            out.push((now.as_micros(), number(&packet)));
        }
    }
    out.extend(outcome(&near, &far));
    out
}

#[test]
fn delay_is_exact() {
    let (near, far) = link("delay=20ms");
    near.send(&numbered(1, 100), at(0)).unwrap();
    near.send(&numbered(2, 100), at(500)).unwrap();
    assert_eq!(near.deadline(), Some(at(20_000)));
    near.on_timer(at(19_999)).unwrap();
    assert!(far.recv(at(19_999)).unwrap().is_none());
    assert_eq!(outcome(&near, &far), [(20_000, 1), (20_500, 2)]);
}

#[test]
fn what_comes_in_is_delayed_as_well() {
    let (near, far) = link("delay=20ms");
    far.send(&numbered(1, 100), at(0)).unwrap();
    assert!(near.recv(at(0)).unwrap().is_none());
    assert_eq!(near.deadline(), Some(at(20_000)));
    assert!(near.recv(at(19_999)).unwrap().is_none());
    assert_eq!(number(&near.recv(at(20_000)).unwrap().unwrap()), 1);
    assert_eq!(near.deadline(), None);
}

#[test]
fn rate_is_exact_and_the_queue_drops_what_it_cannot_hold() {
    let (near, far) = link("rate=8mbit,queue=5kb,delay=1ms");
    (0..8).for_each(|n| near.send(&numbered(n, 1000), at(0)).unwrap());
    let expected: Vec<_> = (0..5).map(|n| (1000 * (u64::from(n) + 1) + 1000, n)).collect();
    assert_eq!(outcome(&near, &far), expected);
}

#[test]
fn an_odd_rate_does_not_drift() {
    let (near, far) = link("rate=7mbit,queue=100mb");
    (0..7000).for_each(|n| near.send(&numbered(n, 1000), at(0)).unwrap());
    assert_eq!(outcome(&near, &far).last().unwrap().0, 8_000_000);
}

#[test]
fn loss_and_duplicates_come_near_their_share() {
    let (near, far) = link("loss=5%,seed=3");
    (0..10_000).for_each(|n| near.send(&numbered(n, 20), at(0)).unwrap());
    let came = outcome(&near, &far).len();
    assert!((9_400..9_600).contains(&came), "{came}");

    let (near, far) = link("duplicate=5%,seed=3");
    (0..10_000).for_each(|n| near.send(&numbered(n, 20), at(0)).unwrap());
    let came = outcome(&near, &far).len();
    assert!((10_400..10_600).contains(&came), "{came}");
}

#[test]
fn jitter_spreads_arrivals_and_keeps_their_order() {
    let out = one_each_millisecond("delay=10ms,jitter=500us,seed=1");
    assert!(out.iter().map(|(_, n)| *n).eq(0..1000));
    let delays: Vec<u64> = out.iter().map(|(when, n)| when - u64::from(*n) * 1000).collect();
    let (least, most) = (*delays.iter().min().unwrap(), *delays.iter().max().unwrap());
    assert!((9_500..9_520).contains(&least) && (10_480..=10_500).contains(&most), "{least} {most}");

    let out = one_each_millisecond("delay=10ms,jitter=5ms,seed=1");
    assert!(out.iter().map(|(_, n)| *n).eq(0..1000));
}

#[test]
fn a_frame_that_overtakes_skips_the_delay() {
    let out = one_each_millisecond("delay=10ms,reorder=10%,seed=1");
    let (early, on_time): (Vec<_>, Vec<_>) = out.into_iter().partition(|(when, n)| *when == u64::from(*n) * 1000);
    assert!((70..130).contains(&early.len()), "{}", early.len());
    assert!(on_time.is_sorted() && on_time.iter().all(|(when, n)| *when == u64::from(*n) * 1000 + 10_000));
}

#[test]
fn the_same_seed_gives_the_same_faults_and_another_setting_leaves_them() {
    let run = |text| {
        let (near, far) = link(text);
        (0..200).for_each(|n| near.send(&numbered(n, 20), at(0)).unwrap());
        outcome(&near, &far).into_iter().map(|(_, n)| n).collect::<Vec<_>>()
    };
    assert_eq!(run("loss=10%,seed=4"), run("loss=10%,seed=4"));
    assert_ne!(run("loss=10%,seed=4"), run("loss=10%,seed=5"));
    assert_eq!(run("loss=10%,seed=4"), run("loss=10%,seed=4,delay=5ms,jitter=1ms"));
}

#[test]
fn a_corrupt_frame_has_one_bit_flipped_and_its_checksum_says_so() {
    let (near, far) = Link::pair(OFFLOAD, OFFLOAD);
    let near = Impair::new(Box::new(near), Impairment::parse("corrupt=100%,seed=9").unwrap());
    let mut whole = Frame::new();
    whole.append(20)[12] = 0x50;
    whole.set_partial_checksum(16);
    let ip = whole.prepend(20);
    (ip[0], ip[9], ip[2], ip[3]) = (0x45, 6, 0, 140);
    whole.push_bytes(&[7; 100]);
    let mut right = whole.clone();
    segment::complete(&mut right);
    let differing = |bytes: &[u8]| -> u32 { bytes.iter().zip(right.to_vec()).map(|(a, b)| (a ^ b).count_ones()).sum() };

    near.send(&whole, at(0)).unwrap();
    let packet = far.recv(at(0)).unwrap().unwrap();
    assert_eq!((differing(packet.bytes()), packet.meta.checksum_ok), (1, false));
    near.recv(at(0)).unwrap();
}

#[test]
fn super_frames_are_split_before_faults_hit_them() {
    let (near, far) = Link::pair(OFFLOAD, OFFLOAD);
    let near = Impair::new(Box::new(near), Impairment::parse("loss=30%,seed=2").unwrap());
    assert_eq!(near.capabilities().max_frame, 1500);
    let mut whole = Frame::new();
    whole.append(20)[12] = 0x50;
    whole.set_partial_checksum(16);
    let ip = whole.prepend(20);
    (ip[0], ip[9]) = (0x45, 6);
    whole.push_bytes(&[7; 43_800]);
    whole.gso = Some(Gso { size: 1460, tcp: true, ipv6: false });

    near.send(&whole, at(0)).unwrap();
    let sent = std::iter::from_fn(|| far.recv(at(0)).unwrap()).map(|packet| packet.len()).collect::<Vec<_>>();
    assert!((15..28).contains(&sent.len()) && sent.iter().all(|len| *len == 1500), "{sent:?}");

    far.send(&whole, at(0)).unwrap();
    let came = std::iter::from_fn(|| near.recv(at(0)).unwrap()).map(|packet| packet.len()).collect::<Vec<_>>();
    assert!((15..28).contains(&came.len()) && came.iter().all(|len| *len == 1500), "{came:?}");
}

#[test]
fn without_faults_nothing_is_changed_nor_held() {
    let (near, far) = link("seed=1");
    near.send(&numbered(1, 100), at(5)).unwrap();
    assert_eq!(near.deadline(), None);
    assert_eq!(far.recv(at(5)).unwrap().unwrap().bytes(), numbered(1, 100).to_vec());
}
