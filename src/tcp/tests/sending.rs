//! What leaves: how large, with which flags, and what is counted (RFC 9293 sections 3.8.6, 3.9.1; tcp_info).

use crate::tcp::{
    Path, Settings,
    testing::{MS, Tester, seg},
};

/// A device that takes frames of 64 KiB.
const OFFLOAD: Path = Path { mtu: 1500, link_mtu: 1500, max_frame: 65_535 };

/// One that takes segments.
const PLAIN: Path = Path { mtu: 1500, link_mtu: 1500, max_frame: 1500 };

fn established(path: Path, window: u16) -> Tester {
    let reno = Settings { congestion: "reno", ..Settings::default() };
    Tester::established_over(reno, seg("S.", 0, 1, 0).mss(1000).sack_ok().win(window), path)
}

/// The stretches sent, and how they are to be cut.
fn sizes(lines: &[String]) -> Vec<String> {
    let size = |line: &String| line.replace(" ack 1", "").split_once(' ').unwrap().1.to_owned();
    lines.iter().map(size).collect()
}

#[test]
fn one_segment_is_no_super_frame_and_one_byte_more_is() {
    let mut t = established(OFFLOAD, 65_535);
    t.write(1000).unwrap();
    assert_eq!(t.output(), ["P. 1:1001(1000) ack 1"]);
    t.connection.settings.nodelay = true;
    t.write(1001).unwrap();
    assert_eq!(t.output(), ["P. 1001:2002(1001) ack 1 gso 1000"]);
    let info = t.connection.info(t.world.now);
    assert_eq!((info.data_segs_out, info.bytes_sent), (3, 2001));
}

#[test]
fn frames_are_whole_segments_that_leave_in_a_millisecond_and_half_of_the_window_at_most() {
    let mut t = established(OFFLOAD, 65_535);
    t.write(100_000).unwrap();
    // Ten segments in each round trip of 10 ms, twice that in slow start: two in a millisecond.
    let pairs = [1, 2001, 4001, 6001, 8001].map(|at| format!("{at}:{}(2000) gso 1000", at + 2000));
    assert_eq!(sizes(&t.output()), pairs);
    let mut t = established(OFFLOAD, 7_500);
    t.write(100_000).unwrap();
    assert_eq!(sizes(&t.output()), [&pairs[..3], &["6001:7001(1000)".into()]].concat());
    let mut t = established(OFFLOAD, 3_999);
    t.write(3_000).unwrap();
    assert_eq!(sizes(&t.output()), ["1:1001(1000)", "1001:2001(1000)", "2001:3001(1000)"]);
}

#[test]
fn the_end_of_what_was_written_is_pushed_and_takes_the_fin_along_if_the_window_has_room_for_it() {
    for (window, lines) in [
        (1_000, &["P. 1:1001(1000) ack 1"][..]),
        (1_001, &["FP. 1:1001(1000) ack 1"][..]),
        (20_000, &["FP. 1:1001(1000) ack 1"][..]),
    ] {
        let mut t = established(OFFLOAD, window);
        t.write(1000).unwrap();
        assert_eq!(t.close(), lines, "window {window}");
    }
    let mut t = established(OFFLOAD, 1_000);
    t.write(1000).unwrap();
    t.close();
    assert_eq!(t.answer(seg(".", 1, 1001, 0).win(500)), ["F. 1001:1001(0) ack 1"]);
}

#[test]
fn a_peer_that_pulled_its_window_back_gets_again_only_what_it_takes_and_the_first() {
    for (window, lines) in [
        (2_001, &[". 1:1001(1000) ack 1", ". 1001:2001(1000) ack 1", ". 2001:3001(1000) ack 1"][..]),
        (2_000, &[". 1:1001(1000) ack 1", ". 1001:2001(1000) ack 1"][..]),
        (0, &[". 1:1001(1000) ack 1"][..]),
    ] {
        let mut t = established(PLAIN, 65_535);
        t.write(10_000).unwrap();
        assert_eq!(t.output().len(), 10);
        t.wait(10 * MS);
        assert_eq!(t.answer(seg(".", 1, 1, 0).sack(&[(7001, 10_001)]).win(window)), lines, "window {window}");
    }
}

#[test]
fn what_holds_the_sender_back_is_the_peers_window_only_where_it_is_the_smaller_one() {
    // Window, bytes written, milliseconds of 100 limited by the window.
    for (window, bytes, limited) in [(3_000, 10_000, 100), (3_000, 500, 0), (5_000, 4_999, 0), (65_535, 30_000, 0)] {
        let mut t = established(PLAIN, window);
        t.write(bytes).unwrap();
        t.output();
        t.world.now += 100 * MS;
        let info = t.connection.info(t.world.now);
        assert_eq!((info.busy_time, info.rwnd_limited), (100_000, limited * 1000), "{bytes} into {window}");
    }
}

#[test]
fn a_cork_that_ends_while_the_window_is_closed_sends_nothing_empty() {
    let mut t = established(OFFLOAD, 2_000);
    t.connection.settings.cork = true;
    t.connection.on_settings_changed(&mut t.world.cx());
    t.write(500).unwrap();
    assert_eq!(t.output(), [""; 0]);
    t.inject(seg(".", 1, 1, 0).win(0));
    let lines = t.wait(5000 * MS);
    assert!(!lines.is_empty() && lines.iter().all(|line| line == ". 0:0(0) ack 1"), "{lines:?}");
    assert_eq!(t.answer(seg(".", 1, 1, 0).win(2000)), ["P. 1:501(500) ack 1"]);
}

#[test]
fn a_syn_that_is_sent_again_counts_as_a_retransmission() {
    let mut t = Tester::connecting(Settings::default());
    assert_eq!(t.output().len(), 1);
    let info = t.connection.info(t.world.now);
    assert_eq!((t.world.mib.tcp_retrans_segs, info.total_retrans), (0, 0));
    for _ in 0..2 {
        let before = t.connection.info(t.world.now).total_retrans;
        let again = t.wait(2500 * MS).len() as u32;
        let total = t.connection.info(t.world.now).total_retrans;
        assert!(again > 0 && total == before + again && t.world.mib.tcp_retrans_segs == u64::from(total));
    }
}

#[test]
fn a_reset_counts_as_one_that_was_sent() {
    let mut t = established(OFFLOAD, 2_000);
    t.connection.abort(&mut t.world.cx());
    assert_eq!(t.output().len(), 1);
    assert_eq!((t.world.mib.tcp_out_rsts, t.connection.info(t.world.now).segs_out), (1, 3));
}

#[test]
fn much_in_flight_lets_small_frames_wait_for_more() {
    let mut t = established(OFFLOAD, 65_535);
    t.write(200_000).unwrap();
    let mut acked = 1;
    while t.connection.info(t.world.now).snd_cwnd < 40 {
        t.output();
        acked += 1000;
        t.inject(seg(".", 1, acked, 0));
    }
    t.output();
    let mut sizes = Vec::new();
    for _ in 0..20 {
        acked += 1000;
        let lines = t.answer(seg(".", 1, acked, 0));
        sizes.extend(lines.iter().map(|line| line.split(['(', ')']).nth(1).unwrap().parse::<u32>().unwrap()));
    }
    // In slow start each lets out two segments; an eighth of the window, which is 5 to 8 segments, is worth a frame.
    assert_eq!(sizes, [6000, 6000, 6000, 8000, 8000]);
}

#[test]
fn a_segment_that_carries_a_report_is_shorter_by_its_option() {
    let mut t = established(PLAIN, 65_535);
    t.answer(seg(".", 101, 1, 10));
    t.write(3_000).unwrap();
    let lines = t.output();
    assert!(lines[0].contains(" 1:989(988) ack 1 <") && lines[0].contains("sack 101:111"), "{lines:?}");
    assert_eq!(lines.len(), 4);
}
