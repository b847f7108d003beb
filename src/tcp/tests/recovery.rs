//! Losses: fast retransmit, NewReno, SACK, limited transmit, time-outs (RFC 5681, 6582, 6675, 3042, 6298, 3522).

use crate::{
    tcp::{
        Settings,
        testing::{MS, Tester, seg},
    },
    time::Duration,
};

/// An established connection with ten segments of 1000 bytes out; `sack` is whether the peer has SACK.
fn ten_out(sack: bool) -> Tester {
    let syn_ack = seg("S.", 0, 1, 0).mss(1000);
    let reno = Settings { congestion: "reno", ..Settings::default() };
    let mut t = Tester::established_with(reno, if sack { syn_ack.sack_ok() } else { syn_ack });
    t.write(30_000).unwrap();
    assert_eq!(t.output().len(), 10);
    t
}

/// The stretches sent, without the rest of the lines.
fn sent(lines: Vec<String>) -> Vec<String> {
    lines.iter().map(|line| line.split(['(', ' ']).nth(1).unwrap().to_owned()).collect()
}

#[test]
fn the_initial_window_is_ten_segments_and_doubles() {
    let mut t = ten_out(true);
    t.wait(10 * MS);
    assert_eq!(sent(t.answer(seg(".", 1, 2001, 0))).len(), 4);
    assert_eq!(sent(t.answer(seg(".", 1, 10_001, 0))).len(), 16);
}

#[test]
fn two_duplicates_let_two_new_segments_out_the_third_the_lost_one() {
    for sack in [false, true] {
        let mut t = ten_out(sack);
        t.wait(10 * MS);
        let duplicate = |n: u32| {
            let ack = seg(".", 1, 1, 0);
            if sack { ack.sack(&[(1001, 1001 + n * 1000)]) } else { ack }
        };
        assert_eq!(sent(t.answer(duplicate(1))), ["10001:11001"], "sack {sack}");
        assert_eq!(sent(t.answer(duplicate(2))), ["11001:12001"], "sack {sack}");
        assert_eq!(sent(t.answer(duplicate(3))), ["1:1001"], "sack {sack}");
        // Twelve were out: half of what was in flight goes on, so some duplicates later new data leaves.
        let info = t.connection.info(t.world.now);
        assert_eq!((info.ca_state, info.snd_cwnd), (3, 5), "sack {sack}");
        let more: Vec<_> = (4..=11).flat_map(|n| sent(t.answer(duplicate(n)))).collect();
        assert_eq!(more, ["12001:13001", "13001:14001", "14001:15001", "15001:16001"], "sack {sack}");
        // Everything up to there arrives: recovery ends, the window stays.
        t.inject(seg(".", 1, 16_001, 0));
        assert_eq!(t.connection.info(t.world.now).ca_state, 0);
    }
}

#[test]
fn without_sack_each_partial_acknowledgement_names_the_next_loss() {
    let mut t = ten_out(false);
    for _ in 0..3 {
        t.inject(seg(".", 1, 1, 0));
    }
    assert_eq!(sent(t.output()), ["1:1001"]);
    assert_eq!(sent(t.answer(seg(".", 1, 3001, 0)))[0], "3001:4001");
    assert_eq!(sent(t.answer(seg(".", 1, 5001, 0)))[0], "5001:6001");
    assert_eq!(t.world.mib.tcp_reno_recovery, 1);
}

#[test]
fn with_sack_only_the_holes_are_sent_again() {
    let mut t = ten_out(true);
    t.inject(seg(".", 1, 1, 0).sack(&[(1001, 2001)]));
    t.inject(seg(".", 1, 1, 0).sack(&[(3001, 4001), (1001, 2001)]));
    assert_eq!(sent(t.output()), ["10001:11001", "11001:12001"]);
    t.inject(seg(".", 1, 1, 0).sack(&[(3001, 10_001), (1001, 2001)]));
    assert_eq!(sent(t.output()), ["1:1001", "2001:3001", "12001:13001"]);
}

#[test]
fn a_sack_of_what_was_not_sent_is_not_believed() {
    let mut t = ten_out(true);
    t.inject(seg(".", 1, 1, 0).sack(&[(5001, 50_001), (9001, 8001), (0, 1001)]));
    assert_eq!(t.connection.info(t.world.now).sacked, 0);
}

#[test]
fn a_time_out_starts_from_one_segment() {
    let mut t = ten_out(true);
    assert_eq!(sent(t.wait(250 * MS)), ["1:1001"]);
    let info = t.connection.info(t.world.now);
    assert_eq!((info.ca_state, info.snd_cwnd, info.snd_ssthresh, info.backoff), (4, 1, 5, 1));
    // Each acknowledgement brings the next ones, in slow start.
    assert_eq!(sent(t.answer(seg(".", 1, 1001, 0))), ["1001:2001", "2001:3001"]);
    assert_eq!(sent(t.answer(seg(".", 1, 3001, 0))), ["3001:4001", "4001:5001", "5001:6001", "6001:7001"]);
    // The rest had arrived after all.
    t.inject(seg(".", 1, 10_001, 0));
    assert_eq!(t.connection.info(t.world.now).ca_state, 0);
    assert_eq!(sent(t.output())[0], "10001:11001");
}

#[test]
fn after_a_time_out_what_was_reported_is_not_sent_again() {
    let mut t = ten_out(true);
    t.inject(seg(".", 1, 1, 0).sack(&[(1001, 3001)]));
    t.output();
    assert_eq!(sent(t.wait(250 * MS)), ["1:1001"]);
    assert_eq!(sent(t.answer(seg(".", 1, 3001, 0)))[0], "3001:4001");
}

#[test]
fn a_peer_that_takes_its_report_back_gets_everything_again() {
    let mut t = ten_out(true);
    t.inject(seg(".", 1, 1, 0).sack(&[(1001, 10_001)]));
    t.output();
    // The first hole is filled, yet the acknowledgement stops at what was reported.
    t.inject(seg(".", 1, 1001, 0));
    t.output();
    let again = sent(t.wait(1000 * MS));
    assert_eq!(again[0], "1001:2001");
}

#[test]
fn time_outs_back_off_and_give_up_after_fifteen_minutes() {
    let mut t = Tester::established();
    t.write(10).unwrap();
    t.output();
    let lines = t.wait_timed(Duration::from_secs(2000));
    let times: Vec<u64> = lines.iter().map(|line| line.split(' ').next().unwrap().parse().unwrap()).collect();
    let rto = times[0];
    assert!((200..=230).contains(&rto), "{times:?}");
    assert!(times[1].abs_diff(3 * rto) <= 2 && times[2].abs_diff(7 * rto) <= 5, "{times:?}");
    assert_eq!(times.len(), 15, "{times:?}");
    assert_eq!(t.connection.take_error(), Some(crate::error::Error::TimedOut));
}

#[test]
fn a_spurious_retransmission_is_undone_by_the_time_stamps() {
    let mut t = Tester::established_with(Settings::default(), seg("S.", 0, 1, 0).mss(1012).sack_ok().ts(9, 0));
    t.write(30_000).unwrap();
    t.output();
    let early = t.connection.clock.val(t.world.now);
    t.wait(10 * MS);
    t.inject(seg(".", 1, 1, 0).sack(&[(1001, 4001)]).ts(10, early));
    assert_eq!(sent(t.output())[0], "1:1001");
    assert_eq!(t.connection.info(t.world.now).ca_state, 3);
    // The original was only late: its time stamp is echoed.
    t.inject(seg(".", 1, 4001, 0).ts(11, early));
    let info = t.connection.info(t.world.now);
    assert_eq!((info.ca_state, info.snd_ssthresh), (0, 0x7fff_ffff));
}

#[test]
fn a_retransmission_has_the_present_acknowledgement_and_window() {
    let mut t = Tester::established();
    t.write(10).unwrap();
    t.output();
    t.inject(seg("P.", 1, 1, 100));
    assert_eq!(t.wait(250 * MS).last().unwrap(), "P. 1:11(10) ack 101");
}

#[test]
fn after_a_pause_the_window_restarts() {
    let mut t = ten_out(true);
    t.inject(seg(".", 1, 10_001, 0));
    t.output();
    t.inject(seg(".", 1, 30_001, 0));
    let before = t.connection.info(t.world.now).snd_cwnd;
    t.wait(Duration::from_secs(10));
    t.write(60_000).unwrap();
    assert!(before > 20);
    assert_eq!(t.output().len(), 10);
}
