//! When we acknowledge (RFC 9293 section 3.8.6.3, RFC 5681 section 4.2) and what we report by SACK (RFC 2018).

use crate::tcp::{
    Settings,
    testing::{MS, Tester, seg},
};

#[test]
fn a_lone_segment_waits_forty_milliseconds() {
    let mut t = Tester::calm();
    assert_eq!(t.answer(seg("P.", 17, 1, 100)), [""; 0]);
    assert_eq!(t.wait_timed(100 * MS), ["40 . 1:1(0) ack 117"]);
    assert_eq!(t.world.mib.tcp_delayed_acks, 1);
}

#[test]
fn the_second_full_segment_is_acknowledged_at_once() {
    let mut t = Tester::calm();
    t.inject(seg(".", 17, 1, 1000));
    t.read(5000).unwrap();
    assert_eq!(t.output(), [""; 0]);
    t.inject(seg(".", 1017, 1, 1000));
    t.read(5000).unwrap();
    assert_eq!(t.output(), [". 1:1(0) ack 2017"]);
}

#[test]
fn a_coalesced_packet_counts_as_its_segments() {
    let mut t = Tester::calm();
    t.inject(seg(".", 17, 1, 8000).gso(1000));
    t.read(10_000).unwrap();
    assert_eq!(t.output(), [". 1:1(0) ack 8017"]);
    assert_eq!(t.connection.acks.rcv_mss(), 1000);
}

#[test]
fn data_carries_the_acknowledgement() {
    let mut t = Tester::calm();
    t.inject(seg("P.", 17, 1, 100));
    t.write(10).unwrap();
    assert_eq!(t.output(), ["P. 1:11(10) ack 117"]);
    t.inject(seg(".", 117, 11, 0));
    assert_eq!(t.wait(1000 * MS), [""; 0]);
}

#[test]
fn a_dialogue_has_no_bare_acknowledgements() {
    let mut t = Tester::established();
    t.inject(seg("P.", 1, 1, 100));
    t.read(100).unwrap();
    t.write(10).unwrap();
    // The first one was quick; it rides on the answer all the same.
    assert_eq!(t.output(), ["P. 1:11(10) ack 101"]);
    assert!(!t.connection.settings.quickack);
    assert_eq!(t.answer(seg("P.", 101, 11, 100)), [""; 0]);
    t.read(100).unwrap();
    t.write(10).unwrap();
    assert_eq!(t.output(), ["P. 11:21(10) ack 201"]);
}

#[test]
fn quickack_ends_the_dialogue_mode() {
    let mut t = Tester::established();
    t.inject(seg("P.", 1, 1, 100));
    t.write(10).unwrap();
    t.output();
    t.inject(seg("P.", 101, 11, 100));
    assert_eq!(t.output(), [""; 0]);
    t.connection.settings.quickack = true;
    t.connection.on_settings_changed(&mut t.world.cx());
    assert_eq!(t.output(), [". 11:11(0) ack 201"]);
}

#[test]
fn gaps_are_reported_at_once_the_latest_first() {
    let mut t = Tester::calm();
    assert_eq!(t.answer(seg(".", 1017, 1, 1000)), [". 1:1(0) ack 17 <sack 1017:2017>"]);
    assert_eq!(
        t.answer(seg(".", 4017, 1, 1000)),
        [". 1:1(0) ack 17 <sack 4017:5017,1017:2017>".replace(",1017", " 1017")]
    );
    assert_eq!(t.answer(seg(".", 2017, 1, 1000)), [". 1:1(0) ack 17 <sack 1017:3017 4017:5017>"]);
    // Filling a gap is acknowledged at once too.
    assert_eq!(t.answer(seg(".", 17, 1, 1000)), [". 1:1(0) ack 3017 <sack 4017:5017>"]);
    assert_eq!(t.answer(seg(".", 3017, 1, 1000)), [". 1:1(0) ack 5017"]);
}

#[test]
fn with_time_stamps_three_blocks_fit() {
    let mut t = Tester::established_with(Settings::default(), seg("S.", 0, 1, 0).mss(1000).sack_ok().ts(9, 0));
    for n in [2, 4, 6, 8] {
        t.inject(seg(".", 1 + n * 1000, 1, 1000).ts(9, 0));
    }
    assert_eq!(t.output(), [". 1:1(0) ack 1 <sack 8001:9001 6001:7001 4001:5001>"]);
}

#[test]
fn what_came_before_is_acknowledged_again() {
    let mut t = Tester::calm();
    assert_eq!(t.answer(seg("P.", 1, 1, 16)), [". 1:1(0) ack 17 <sack 1:17>"]);
    assert_eq!(t.answer(seg("P.", 16, 1, 1)), [". 1:1(0) ack 17 <sack 16:17>"]);
    assert_eq!(t.connection.readable(), 0);
    // Half old, half new.
    t.inject(seg("P.", 7, 1, 20));
    assert_eq!(t.read(100).unwrap().len(), 10);
}

#[test]
fn a_keepalive_of_the_peer_is_answered() {
    let mut t = Tester::calm();
    assert_eq!(t.answer(seg(".", 16, 1, 0)), [". 1:1(0) ack 17"]);
}

#[test]
fn bare_acknowledgements_are_not_acknowledged() {
    let mut t = Tester::established();
    for _ in 0..10 {
        assert_eq!(t.answer(seg(".", 1, 1, 0)), [""; 0]);
    }
    assert_eq!(t.wait(1000 * MS), [""; 0]);
}
