//! What repairing losses counts and allows, one acknowledgement at a time (RFC 2883, 5682, 6582, 8985, 9937; tcp_info).

use super::{sent, ten_out};
use crate::{
    tcp::{
        Settings,
        recovery::{
            AckNews, Phase,
            frto::{Frto, Verdict},
        },
        testing::{MS, Tester, seg},
    },
    wire::seq::SeqNum,
};

/// In fast recovery with SACK: seven of the first ten segments are lost, the first is sent again, and two new ones and
/// that are in flight.
fn seven_lost() -> Tester {
    let mut t = ten_out(true);
    t.wait(10 * MS);
    assert_eq!(sent(t.answer(seg(".", 1, 1, 0).sack(&[(7001, 8001)]))), ["10001:11001"]);
    assert_eq!(sent(t.answer(seg(".", 1, 1, 0).sack(&[(7001, 9001)]))), ["11001:12001"]);
    t.wait(MS);
    assert_eq!(sent(t.answer(seg(".", 1, 1, 0).sack(&[(7001, 10_001)]))), ["1:1001"]);
    t.wait(MS);
    t
}

#[test]
fn below_the_target_recovery_sends_one_more_only_for_an_acknowledgement_of_new_data() {
    // What is reported beyond the holes is replaced (RFC 9937, PRR-CRB) ...
    let mut t = seven_lost();
    assert_eq!(sent(t.answer(seg(".", 1, 1, 0).sack(&[(7001, 11_001)]))), ["1001:2001"]);
    // ... and what was repaired as well, with one more while nothing else is lost (PRR-SSRB).
    let mut t = seven_lost();
    assert_eq!(sent(t.answer(seg(".", 1, 1001, 0).sack(&[(7001, 10_001)]))), ["1001:2001", "2001:3001"]);
}

#[test]
fn time_outs_are_counted_and_an_acknowledgement_begins_their_row_anew() {
    let mut t = ten_out(true);
    t.wait(1000 * MS);
    let info = t.connection.info(t.world.now);
    assert_eq!((t.world.mib.tcp_timeouts, info.retransmits, info.total_rto), (2, 2, 2));
    assert_eq!((info.total_rto_recoveries, info.ca_state), (1, 4));
    let nxt = t.connection.snd.nxt() - t.iss;
    t.answer(seg(".", 1, nxt, 0));
    let info = t.connection.info(t.world.now);
    assert_eq!((info.retransmits, info.backoff, info.ca_state), (0, 0, 0));
    // And the end of a flight is probed again rather than timed out.
    t.world.mib.tcp_loss_probes = 0;
    t.wait(150 * MS);
    assert_eq!((t.world.mib.tcp_loss_probes, t.world.mib.tcp_timeouts), (1, 2));
}

#[test]
fn what_is_sent_again_is_counted_by_what_made_it_so() {
    let mut t = seven_lost();
    let mib = &t.world.mib;
    assert_eq!((mib.tcp_fast_retrans, mib.tcp_slow_start_retrans, mib.tcp_retrans_segs), (1, 0, 1));
    assert_eq!((mib.tcp_sack_recovery, mib.tcp_reno_recovery), (1, 0));
    t.wait(400 * MS);
    let mib = &t.world.mib;
    assert_eq!((mib.tcp_fast_retrans, mib.tcp_slow_start_retrans, mib.tcp_retrans_segs), (1, 1, 2));
    let info = t.connection.info(t.world.now);
    assert_eq!((info.total_retrans, info.bytes_retrans), (2, 2000));
}

/// A connection that has sent the first of ten segments again, and got them all acknowledged.
fn sent_again() -> Tester {
    let mut t = ten_out(true);
    t.wait(10 * MS);
    t.answer(seg(".", 1, 1, 0).sack(&[(1001, 5001)]));
    assert_eq!(t.world.mib.tcp_fast_retrans, 1);
    t
}

#[test]
fn a_duplicate_below_the_acknowledgement_is_told_from_one_beyond_it() {
    let mut t = sent_again();
    t.inject(seg(".", 1, 5001, 0).sack(&[(1, 1001)]));
    assert_eq!((t.world.mib.tcp_dsack_recv, t.world.mib.tcp_dsack_ofo_recv), (1, 0));
    assert_eq!(t.connection.info(t.world.now).dsack_dups, 1);
    let mut t = sent_again();
    t.inject(seg(".", 1, 1, 0).sack(&[(2001, 3001), (1001, 6001)]));
    assert_eq!((t.world.mib.tcp_dsack_recv, t.world.mib.tcp_dsack_ofo_recv), (0, 1));
}

#[test]
fn a_duplicate_may_end_where_all_that_was_sent_ends_but_not_beyond() {
    for (end, believed) in [(0, 1), (1, 0)] {
        let mut t = sent_again();
        let nxt = t.connection.snd.nxt() - t.iss;
        t.inject(seg(".", 1, nxt, 0).sack(&[(nxt - 1000, nxt + end)]));
        assert_eq!(t.world.mib.tcp_dsack_recv, believed, "{end} beyond");
    }
}

#[test]
fn a_report_of_nothing_is_no_duplicate() {
    let mut t = sent_again();
    t.inject(seg(".", 1, 5001, 0).sack(&[(500, 500)]));
    t.inject(seg(".", 1, 5001, 0).sack(&[(600, 500)]));
    assert_eq!((t.world.mib.tcp_dsack_recv, t.world.mib.tcp_dsack_ofo_recv), (0, 0));
}

#[test]
fn a_duplicate_as_long_as_a_window_of_64_kib_is_believed_of_a_peer_with_a_small_one() {
    let syn_ack = seg("S.", 0, 1, 0).mss(1000).sack_ok().win(2000);
    let mut t = Tester::established_with(Settings::default(), syn_ack);
    t.write(10_000).unwrap();
    t.output();
    for ack in [2001, 4001, 6001] {
        t.answer(seg(".", 1, ack, 0).win(2000));
    }
    t.inject(seg(".", 1, 8001, 0).win(2000).sack(&[(1, 6001)]));
    assert_eq!(t.world.mib.tcp_dsack_recv, 1);
}

#[test]
fn without_sack_a_partial_acknowledgement_takes_back_what_it_acknowledges_but_one_segment() {
    let mut t = ten_out(false);
    t.wait(10 * MS);
    (0..6).for_each(|_| drop(t.answer(seg(".", 1, 1, 0))));
    assert_eq!((t.connection.recovery.phase, t.connection.recovery.departed), (Phase::Recovery, 6000));
    // The first and the second had arrived: five of the six that left are still somewhere behind the hole (RFC 6582
    // section 3.2, step 3, partial acknowledgement).
    t.inject(seg(".", 1, 2001, 0));
    assert_eq!(t.connection.recovery.departed, 5000);
    t.inject(seg(".", 1, 3001, 0));
    assert_eq!(t.connection.recovery.departed, 5000);
    // Everything: nothing is out of place any more.
    let recover = t.connection.recovery.recover - t.iss;
    t.inject(seg(".", 1, recover, 0));
    assert_eq!((t.connection.recovery.phase, t.connection.recovery.departed), (Phase::Open, 0));
}

#[test]
fn duplicates_of_where_the_last_recovery_ended_begin_no_other() {
    let mut t = ten_out(false);
    t.wait(10 * MS);
    (0..3).for_each(|_| drop(t.answer(seg(".", 1, 1, 0))));
    assert_eq!(t.world.mib.tcp_reno_recovery, 1);
    let recover = t.connection.recovery.recover - t.iss;
    t.answer(seg(".", 1, recover, 0));
    assert!(t.connection.snd.unacked() > 3000);
    // RFC 6582 section 3.2, step 2: what was sent again needlessly causes them.
    (0..4).for_each(|_| drop(t.answer(seg(".", 1, recover, 0))));
    assert_eq!(t.world.mib.tcp_reno_recovery, 1);
    t.answer(seg(".", 1, recover + 1000, 0));
    (0..3).for_each(|_| drop(t.answer(seg(".", 1, recover + 1000, 0))));
    assert_eq!(t.world.mib.tcp_reno_recovery, 2);
}

#[test]
fn a_report_that_begins_at_the_acknowledgement_is_no_duplicate() {
    let mut t = sent_again();
    t.inject(seg(".", 1, 5001, 0).sack(&[(5001, 6001)]));
    assert_eq!((t.world.mib.tcp_dsack_recv, t.world.mib.tcp_dsack_ofo_recv), (0, 0));
}

#[test]
fn the_longest_duplicate_that_is_believed_of_a_peer_without_scaling_is_64_kib() {
    for (len, believed) in [(65_536, 1), (65_537, 0)] {
        let mut t = Tester::established();
        t.write(200_000).unwrap();
        while t.connection.snd.una() - t.iss < 80_000 {
            t.output();
            let nxt = t.connection.snd.nxt() - t.iss;
            t.inject(seg(".", 1, nxt, 0));
            t.wait(MS);
        }
        let una = t.connection.snd.una() - t.iss;
        t.inject(seg(".", 1, una, 0).sack(&[(una - len, una)]));
        assert_eq!(t.world.mib.tcp_dsack_recv, believed, "{len} bytes");
    }
}

#[test]
fn a_time_out_with_nothing_new_to_send_is_not_asked_about_any_more_after_an_acknowledgement() {
    let news = |advanced, sacked, repeats| AckNews { advanced, sacked, repeats, ..AckNews::default() };
    for (news, asks) in [
        (news(100, 0, false), Frto::Off),
        (news(0, 100, false), Frto::Off),
        (news(0, 0, true), Frto::Off),
        (news(0, 0, false), Frto::First),
    ] {
        let mut frto = Frto::First;
        assert_eq!(frto.on_ack(&news, true, SeqNum(1000), true, false), Verdict::Repair);
        assert_eq!(frto, asks, "{news:?}");
    }
}

#[test]
fn in_recovery_the_time_out_counts_from_the_first_segment_and_no_probe_delays_it() {
    let mut t = seven_lost();
    let rto = t.connection.rtt.rto().as_millis();
    t.wait(9 * MS);
    assert_eq!(sent(t.answer(seg(".", 1, 1, 0).sack(&[(7001, 11_001)]))), ["1001:2001"]);
    // The second retransmission does not put off the time-out of the first, 10 ms older (RFC 6298 section 5).
    let lines = t.wait_timed(1000 * MS);
    assert_eq!(lines[0], format!("{} . 1:1001(1000) ack 1", rto - 10));
    // Progress does; with no report out and all but the end acknowledged there is still no probe before it.
    let mut t = seven_lost();
    t.answer(seg(".", 1, 10_001, 0));
    assert_eq!((t.connection.recovery.phase, t.connection.snd.sacked()), (Phase::Recovery, 0));
    let rto = t.connection.rtt.rto().as_millis();
    assert!(t.wait_timed(1000 * MS)[0].starts_with(&format!("{rto} . 10001:11001")));
}

#[test]
fn after_a_reduction_was_taken_back_duplicates_begin_another() {
    let syn_ack = seg("S.", 0, 1, 0).mss(1012).ts(9, 0);
    let reno = Settings { congestion: "reno", ..Settings::default() };
    let mut t = Tester::established_with(reno, syn_ack);
    t.write(30_000).unwrap();
    t.output();
    let early = t.connection.clock.val(t.world.now);
    t.wait(20 * MS);
    (0..3).for_each(|_| drop(t.answer(seg(".", 1, 1, 0).ts(10, early))));
    assert_eq!((t.connection.recovery.phase, t.world.mib.tcp_reno_recovery), (Phase::Recovery, 1));
    t.answer(seg(".", 1, 1001, 0).ts(11, early));
    assert_eq!((t.connection.recovery.phase, t.world.mib.tcp_partial_undo), (Phase::Open, 1));
    (0..3).for_each(|_| drop(t.answer(seg(".", 1, 1001, 0).ts(12, early))));
    assert_eq!((t.connection.recovery.phase, t.world.mib.tcp_reno_recovery), (Phase::Recovery, 2));
}

#[test]
fn original_and_probe_that_both_arrive_are_no_loss_even_if_nobody_says_so() {
    for twice in [true, false] {
        let mut t = Tester::established();
        t.write(3_000).unwrap();
        t.output();
        assert_eq!(sent(t.wait(100 * MS)), ["2001:3001"]);
        assert_eq!(t.world.mib.tcp_loss_probes, 1);
        t.answer(seg(".", 1, 3001, 0));
        t.write(3_000).unwrap();
        t.output();
        // The acknowledgement of the second copy of the last segment (RFC 8985 section 7.4.2).
        if twice {
            t.answer(seg(".", 1, 3001, 0));
        }
        t.answer(seg(".", 1, 6001, 0));
        assert_eq!(t.world.mib.tcp_loss_probe_recovery, u64::from(!twice), "{twice}");
    }
}
