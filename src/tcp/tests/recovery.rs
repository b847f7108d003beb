//! Losses: fast retransmit, NewReno, SACK, limited transmit, time-outs (RFC 5681, 6582, 6675, 3042, 6298, 3522).

use super::{sent, ten_out};
use crate::{
    tcp::{
        Settings,
        testing::{MS, Tester, seg},
    },
    time::Duration,
};

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
        // Ten were in flight, five are to be: one new segment for two that arrive until then, and one for one from
        // then on.
        let info = t.connection.info(t.world.now);
        assert_eq!((info.ca_state, info.snd_ssthresh), (3, 5), "sack {sack}");
        let more: Vec<_> = (4..=9).map(|n| sent(t.answer(duplicate(n))).len()).collect();
        assert_eq!(more, [0, 1, 0, 1, 0, 0], "sack {sack}");
        // Everything up to there arrives: recovery ends.
        t.inject(seg(".", 1, 14_001, 0));
        let info = t.connection.info(t.world.now);
        assert_eq!(info.ca_state, 0);
        assert!((5..=6).contains(&info.snd_cwnd), "{}", info.snd_cwnd);
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
    // The probe for a lost tail is new data; it brings nothing.
    assert_eq!(sent(t.wait(250 * MS)), ["10001:11001", "1:1001"]);
    let info = t.connection.info(t.world.now);
    assert_eq!((info.ca_state, info.snd_cwnd, info.snd_ssthresh, info.backoff), (4, 1, 5, 1));
    // New data asks whether the time-out was spurious; it was not.
    assert_eq!(sent(t.answer(seg(".", 1, 1001, 0))), ["11001:12001", "12001:13001"]);
    assert_eq!(sent(t.answer(seg(".", 1, 1001, 0).sack(&[(11_001, 12_001)]))), ["1001:2001"]);
    // Each acknowledgement brings the next ones, in slow start.
    assert_eq!(sent(t.answer(seg(".", 1, 2001, 0).sack(&[(11_001, 13_001)]))).len(), 4);
    // The rest had arrived after all.
    t.inject(seg(".", 1, 13_001, 0));
    assert_eq!(t.connection.info(t.world.now).ca_state, 0);
    assert_eq!(sent(t.output())[0], "13001:14001");
}

#[test]
fn after_a_time_out_what_was_reported_is_not_sent_again() {
    let mut t = ten_out(true);
    t.inject(seg(".", 1, 1, 0).sack(&[(1001, 3001)]));
    t.output();
    // The reordering window passes, then the time-out.
    assert_eq!(sent(t.wait(4 * MS)), ["1:1001"]);
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
    // A probe first, in place of the time-out; from there on the time-outs.
    let rto = times[0];
    assert!((200..=230).contains(&rto), "{times:?}");
    assert_eq!(times[1..4], [2 * rto, 4 * rto, 8 * rto], "{times:?}");
    assert_eq!(times.len(), 16, "{times:?}");
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

#[test]
fn what_overtook_is_waited_for_a_quarter_of_a_round_trip() {
    let mut t = ten_out(true);
    t.wait(10 * MS);
    t.inject(seg(".", 1, 1, 0).sack(&[(1001, 2001)]));
    assert_eq!(sent(t.output()), ["10001:11001"]);
    assert_eq!(t.wait_timed(10 * MS), ["2 . 1:1001(1000) ack 1"]);
    assert_eq!(t.world.mib.tcp_sack_recovery, 1);
}

#[test]
fn a_lost_retransmission_is_seen_without_a_time_out() {
    let mut t = ten_out(true);
    t.wait(10 * MS);
    t.inject(seg(".", 1, 1, 0).sack(&[(1001, 7001)]));
    assert_eq!(sent(t.output())[0], "1:1001");
    t.inject(seg(".", 1, 1, 0).sack(&[(1001, 10_001)]));
    let new = sent(t.output());
    assert_eq!(new[0], "11001:12001", "{new:?}");
    t.wait(10 * MS);
    // What was sent after the retransmission arrives; the retransmission does not.
    t.write(3000).unwrap();
    t.inject(seg(".", 1, 1, 0).sack(&[(1001, 12_001)]));
    assert!(sent(t.output()).contains(&"1:1001".to_owned()));
    assert_eq!((t.world.mib.tcp_lost_retransmit, t.world.mib.tcp_timeouts), (1, 0));
}

#[test]
fn a_lost_tail_is_probed_after_two_round_trips_and_repaired() {
    let mut t = Tester::established();
    t.write(3000).unwrap();
    assert_eq!(t.output().len(), 3);
    assert_eq!(t.wait_timed(40 * MS), ["22 P. 2001:3001(1000) ack 1"]);
    // The probe arrives: what lies before it was lost.
    t.inject(seg(".", 1, 1, 0).sack(&[(2001, 3001)]));
    t.output();
    t.wait(5 * MS);
    let mib = &t.world.mib;
    assert_eq!((mib.tcp_loss_probes, mib.tcp_sack_recovery, mib.tcp_timeouts), (1, 1, 0));
    assert_eq!(t.connection.info(t.world.now).ca_state, 3);
}

#[test]
fn only_one_probe_is_sent_and_then_the_time_out_comes() {
    let mut t = Tester::established();
    t.write(3000).unwrap();
    t.output();
    let lines = t.wait_timed(600 * MS);
    assert_eq!(lines[0], "22 P. 2001:3001(1000) ack 1");
    assert_eq!(lines[1], "232 . 1:1001(1000) ack 1");
    assert_eq!((lines.len(), t.world.mib.tcp_loss_probes), (2, 1));
}

#[test]
fn a_lost_last_segment_that_the_probe_repairs_halves_the_window() {
    let mut t = ten_out(true);
    t.inject(seg(".", 1, 10_001, 0));
    t.output();
    t.wait(10 * MS);
    t.inject(seg(".", 1, 29_001, 0));
    t.output();
    let before = t.connection.info(t.world.now).snd_cwnd;
    assert_eq!(sent(t.wait(240 * MS)), ["29001:30001"]);
    t.inject(seg(".", 1, 30_001, 0));
    t.write(1000).unwrap();
    t.output();
    t.inject(seg(".", 1, 31_001, 0));
    assert_eq!((t.world.mib.tcp_loss_probe_recovery, t.world.mib.tcp_timeouts), (1, 0));
    assert!(t.connection.info(t.world.now).snd_cwnd < before);
}

#[test]
fn a_probe_whose_original_arrived_changes_nothing() {
    let mut t = Tester::established();
    t.write(3000).unwrap();
    t.output();
    assert_eq!(sent(t.wait(30 * MS)), ["2001:3001"]);
    t.inject(seg(".", 1, 3001, 0));
    t.inject(seg(".", 1, 3001, 0).sack(&[(2001, 3001)]));
    t.write(1000).unwrap();
    t.output();
    t.inject(seg(".", 1, 4001, 0));
    let info = t.connection.info(t.world.now);
    assert_eq!((info.snd_ssthresh, info.dsack_dups, t.world.mib.tcp_loss_probe_recovery), (0x7fff_ffff, 1, 0));
}

#[test]
fn needless_retransmissions_reported_as_duplicates_are_undone() {
    let mut t = ten_out(true);
    t.wait(10 * MS);
    t.inject(seg(".", 1, 1, 0).sack(&[(1001, 4001)]));
    assert_eq!(sent(t.output())[0], "1:1001");
    t.inject(seg(".", 1, 10_001, 0));
    t.output();
    assert_eq!(t.connection.info(t.world.now).snd_ssthresh, 5);
    t.inject(seg(".", 1, 10_001, 0).sack(&[(1, 1001)]));
    let info = t.connection.info(t.world.now);
    assert_eq!((info.snd_ssthresh, t.world.mib.tcp_dsack_undo), (0x7fff_ffff, 1));
    assert!(info.snd_cwnd >= 10);
}

#[test]
fn a_time_out_that_only_came_too_early_is_undone() {
    let mut t = ten_out(true);
    assert_eq!(sent(t.wait(250 * MS)), ["10001:11001", "1:1001"]);
    // The first segment may be either copy; the second was sent only once.
    assert_eq!(sent(t.answer(seg(".", 1, 1001, 0))), ["11001:12001", "12001:13001"]);
    t.inject(seg(".", 1, 2001, 0));
    let info = t.connection.info(t.world.now);
    assert_eq!((info.ca_state, info.lost, info.snd_ssthresh), (0, 0, 0x7fff_ffff));
    assert_eq!(t.world.mib.tcp_spurious_rtos, 1);
}

#[test]
fn a_peer_that_reneges_has_half_a_round_trip_to_explain_itself() {
    let mut t = ten_out(true);
    t.inject(seg(".", 1, 1, 0).sack(&[(1001, 10_001)]));
    t.output();
    t.inject(seg(".", 1, 1001, 0));
    assert_eq!(t.wait_timed(20 * MS)[0], "10 . 1001:2001(1000) ack 1");
    assert_eq!(t.world.mib.tcp_sack_reneging, 1);
}
