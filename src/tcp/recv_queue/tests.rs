use super::*;
use crate::{
    buf::Buf,
    rng::{Rng, SeededRng},
};

const START: SeqNum = SeqNum(u32::MAX - 99);

/// The stream: the byte at each offset from [`START`].
fn byte(offset: u32) -> u8 {
    (offset ^ offset >> 8) as u8
}

fn segment(offset: u32, len: u32) -> Packet {
    Packet::copy_from(&(offset..offset + len).map(byte).collect::<Vec<_>>())
}

fn insert(queue: &mut RecvQueue, offset: u32, len: u32) -> Inserted {
    queue.insert(START + offset, segment(offset, len))
}

fn read(queue: &mut RecvQueue, len: usize) -> Vec<u8> {
    let mut out = vec![0; len];
    let n = queue.read(&mut [IoSliceMut::new(&mut out)], false);
    out.truncate(n);
    out
}

fn stream(from: u32, to: u32) -> Vec<u8> {
    (from..to).map(byte).collect()
}

/// SACK blocks as offsets.
fn sacks(queue: &RecvQueue) -> Vec<(u32, u32)> {
    queue.sack_blocks().as_slice().iter().map(|(start, end)| (*start - START, *end - START)).collect()
}

fn in_order(advanced: u32) -> Inserted {
    Inserted { advanced, ..Inserted::default() }
}

fn duplicate(start: u32, end: u32) -> Option<(SeqNum, SeqNum)> {
    Some((START + start, START + end))
}

#[test]
fn bytes_in_order_are_ready_at_once() {
    let mut queue = RecvQueue::new(START);
    assert_eq!(insert(&mut queue, 0, 50), in_order(50));
    assert_eq!(insert(&mut queue, 50, 100), in_order(100));
    assert_eq!((queue.rcv_nxt(), queue.readable()), (START + 150, 150));
    assert_eq!(read(&mut queue, 70), stream(0, 70));
    assert_eq!(read(&mut queue, 1000), stream(70, 150));
    assert_eq!(queue.footprint(), 0);
}

#[test]
fn a_filled_gap_makes_ready_what_waited_across_the_wrap() {
    let mut queue = RecvQueue::new(START);
    let early = Inserted { out_of_order: true, ..Inserted::default() };
    assert_eq!(insert(&mut queue, 200, 50), early);
    assert_eq!(insert(&mut queue, 80, 40), early);
    assert_eq!(sacks(&queue), [(80, 120), (200, 250)]);
    assert_eq!((queue.readable(), queue.out_of_order()), (0, 90));
    assert_eq!(insert(&mut queue, 0, 80), in_order(120));
    assert_eq!(sacks(&queue), [(200, 250)]);
    assert_eq!(insert(&mut queue, 120, 80), in_order(130));
    assert_eq!((queue.out_of_order(), sacks(&queue).len()), (0, 0));
    assert_eq!(read(&mut queue, 1000), stream(0, 250));
    assert_eq!(queue.footprint(), 0);
}

#[test]
fn what_came_before_is_reported_and_kept_as_it_was() {
    let mut queue = RecvQueue::new(START);
    insert(&mut queue, 0, 100);
    assert_eq!(insert(&mut queue, 20, 50), Inserted { duplicate: duplicate(20, 70), ..Inserted::default() });
    assert_eq!(insert(&mut queue, 90, 20), Inserted { advanced: 10, duplicate: duplicate(90, 100), ..in_order(0) });
    insert(&mut queue, 200, 50);
    let again = insert(&mut queue, 210, 60);
    assert_eq!(again, Inserted { out_of_order: true, duplicate: duplicate(210, 250), advanced: 0 });
    // Other bytes for a place that is taken change nothing.
    let forged = queue.insert(START + 105, Packet::copy_from(&[0xff; 120]));
    assert_eq!(forged, Inserted { advanced: 160, out_of_order: false, duplicate: duplicate(105, 110) });
    let bytes = read(&mut queue, 1000);
    assert_eq!(bytes[..110], stream(0, 110));
    assert!(bytes[110..200].iter().all(|byte| *byte == 0xff));
    assert_eq!(bytes[200..], stream(200, 270));
}

#[test]
fn peeking_leaves_the_bytes_and_reading_can_stop_early() {
    let mut queue = RecvQueue::new(START);
    insert(&mut queue, 0, 100);
    let mut out = [0; 40];
    assert_eq!(queue.read(&mut [IoSliceMut::new(&mut out)], true), 40);
    assert_eq!(queue.read_at(90, &mut [IoSliceMut::new(&mut out)]), 10);
    assert_eq!(out[..10], stream(90, 100));
    assert_eq!(queue.readable(), 100);
    assert_eq!(queue.read_up_to(5, &mut [IoSliceMut::new(&mut out)], false), 5);
    assert_eq!(queue.skip(10), 10);
    assert_eq!(read(&mut queue, 100), stream(15, 100));
    assert_eq!(queue.skip(10), 0);
}

#[test]
fn a_fin_takes_a_number_and_ends_the_stream() {
    let mut queue = RecvQueue::new(START);
    insert(&mut queue, 0, 100);
    insert(&mut queue, 150, 10);
    queue.advance_past_fin();
    assert_eq!((queue.rcv_nxt(), queue.out_of_order(), queue.readable()), (START + 101, 0, 100));
}

#[test]
fn pruning_frees_what_waits_and_nothing_else() {
    let mut queue = RecvQueue::new(START);
    insert(&mut queue, 0, 1000);
    let ready = queue.footprint();
    insert(&mut queue, 2000, 1000);
    let with_one = queue.footprint();
    insert(&mut queue, 4000, 1000);
    assert!(queue.prune_to(with_one) >= 1000);
    assert_eq!(sacks(&queue), [(2000, 3000)]);
    assert_eq!(queue.prune(), with_one - ready);
    assert_eq!((queue.out_of_order(), queue.readable(), queue.footprint()), (0, 1000, ready));
    assert_eq!((queue.prune(), queue.prune_to(0)), (0, 0));
}

#[test]
fn large_buffers_with_little_in_them_are_let_go() {
    let mut queue = RecvQueue::new(START);
    queue.insert(START, Packet::new(Buf::zeroed(65_536), 0..10));
    queue.insert(START + 100, Packet::new(Buf::zeroed(65_536), 0..10));
    assert!(queue.footprint() < 1500, "{}", queue.footprint());
}

#[test]
fn thousands_of_gaps_are_filled_in_any_order() {
    let n = 20_000;
    let mut queue = RecvQueue::new(START);
    (1..n).step_by(2).for_each(|i| _ = insert(&mut queue, i * 10, 10));
    (0..n).step_by(2).rev().for_each(|i| _ = insert(&mut queue, i * 10, 10));
    assert_eq!(queue.readable(), 10 * n as usize);
    assert_eq!(read(&mut queue, 1 << 20), stream(0, 10 * n));
}

#[test]
fn random_segments_agree_with_a_model() {
    for seed in 0..200 {
        let mut rng = SeededRng::new([seed, 8]);
        let total = 2_000u32;
        let mut have = vec![false; total as usize];
        let mut queue = RecvQueue::new(START);
        let mut taken = Vec::new();
        for _ in 0..400 {
            let offset = rng.below(total);
            let longest = if rng.chance(0.1) { 600 } else { 40 };
            let len = 1 + rng.below(longest).min(total - offset - 1);
            let next = queue.rcv_nxt() - START;
            let held = (offset..offset + len).find(|at| have[*at as usize]);
            let inserted = insert(&mut queue, offset, len);
            assert_eq!(inserted.duplicate.map(|(start, _)| start - START), held, "seed {seed}");
            assert_eq!(inserted.out_of_order, offset > next, "seed {seed}");
            have[offset as usize..(offset + len) as usize].fill(true);
            let expected = have.iter().take_while(|have| **have).count() as u32;
            assert_eq!((queue.rcv_nxt() - START, inserted.advanced), (expected, expected - next), "seed {seed}");
            let waiting = have[expected as usize..].iter().filter(|have| **have).count();
            assert_eq!(queue.out_of_order(), waiting, "seed {seed}");
            for (start, end) in sacks(&queue) {
                assert!((start..end).all(|at| have[at as usize]), "seed {seed}");
                assert!(!have[start as usize - 1] && have.get(end as usize) != Some(&true), "seed {seed}");
            }
            if offset > next {
                let (start, end) = sacks(&queue)[0];
                assert!((start..end).contains(&offset), "seed {seed}: the first block holds the last segment");
            }
            let want = rng.below(100) as usize;
            taken.extend(read(&mut queue, want));
        }
        taken.extend(read(&mut queue, total as usize));
        assert_eq!(taken, stream(0, queue.rcv_nxt() - START), "seed {seed}");
    }
}
