//! Closing (RFC 9293 section 3.6), each state and what comes in it.

use crate::{
    error::Error,
    tcp::{
        Knobs, Settings, Shutdown, State, TimeWaitVerdict,
        testing::{MS, Tester, seg},
    },
    time::Duration,
};

#[test]
fn we_close_first() {
    let mut t = Tester::established();
    assert_eq!(t.close(), ["F. 1:1(0) ack 1"]);
    assert_eq!(t.state(), State::FinWait1);
    assert_eq!(t.answer(seg(".", 1, 2, 0)), [""; 0]);
    assert_eq!(t.state(), State::FinWait2);
    assert_eq!(t.answer(seg("F.", 1, 2, 0)), [". 2:2(0) ack 2"]);
    assert_eq!(t.state(), State::TimeWait);
    assert!(t.connection.to_time_wait().is_some());
    t.wait(Duration::from_secs(61));
    assert!(t.connection.is_finished());
}

#[test]
fn the_peer_closes_first() {
    let mut t = Tester::established();
    assert_eq!(t.answer(seg("FP.", 1, 1, 3)), [". 1:1(0) ack 5"]);
    assert_eq!((t.state(), t.ready().as_str()), (State::CloseWait, "in out rdhup"));
    assert_eq!([t.read(10).map(|b| b.len()), t.read(10).map(|b| b.len())], [Ok(3), Ok(0)]);
    t.write(5).unwrap();
    assert_eq!(t.output(), ["P. 1:6(5) ack 5"]);
    assert_eq!(t.close(), ["F. 6:6(0) ack 5"]);
    assert_eq!(t.state(), State::LastAck);
    assert_eq!(t.answer(seg(".", 5, 7, 0)), [""; 0]);
    assert!(t.connection.is_finished());
}

#[test]
fn both_close_at_once() {
    let mut t = Tester::established();
    t.close();
    assert_eq!(t.answer(seg("F.", 1, 1, 0)), [". 2:2(0) ack 2"]);
    assert_eq!(t.state(), State::Closing);
    assert_eq!(t.answer(seg(".", 2, 2, 0)), [""; 0]);
    assert_eq!(t.state(), State::TimeWait);
}

#[test]
fn fin_and_acknowledgement_of_ours_in_one() {
    let mut t = Tester::established();
    t.close();
    assert_eq!(t.answer(seg("F.", 1, 2, 0)), [". 2:2(0) ack 2"]);
    assert_eq!(t.state(), State::TimeWait);
}

#[test]
fn the_fin_follows_the_data_and_rides_on_it() {
    let mut t = Tester::established();
    t.write(1500).unwrap();
    t.connection.shutdown(Shutdown::Write, &mut t.world.cx()).unwrap();
    assert_eq!(t.output(), [". 1:1001(1000) ack 1", "FP. 1001:1501(500) ack 1"]);
    assert_eq!(t.connection.unacknowledged(), 1501);
    assert_eq!(t.write(1), Err(Error::BrokenPipe));
}

#[test]
fn a_half_closed_connection_still_receives() {
    let mut t = Tester::established();
    assert_eq!(t.shutdown(Shutdown::Write), ["F. 1:1(0) ack 1"]);
    t.inject(seg(".", 1, 2, 0));
    assert_eq!((t.state(), t.ready().as_str()), (State::FinWait2, "out"));
    t.inject(seg("P.", 1, 2, 100));
    assert_eq!(t.read(1000).map(|b| b.len()), Ok(100));
    t.inject(seg("F.", 101, 2, 0));
    // As Linux, whose socket is in CLOSE while TIME-WAIT is kept elsewhere.
    assert_eq!((t.state(), t.ready().as_str()), (State::TimeWait, "in out hup rdhup"));
    assert_eq!((t.read(1), t.connection.info(t.world.now).state), (Ok(vec![]), 7));
    assert_eq!(t.connection.to_time_wait().map(|_| ()), None);
    t.close();
    t.output();
    assert!(t.connection.to_time_wait().is_some());
}

#[test]
fn a_fin_before_its_turn_waits_for_the_data() {
    let mut t = Tester::established();
    // It counts as a byte, in reports too.
    assert_eq!(t.answer(seg("F.", 101, 1, 100)), [". 1:1(0) ack 1 <sack 101:202>"]);
    assert_eq!(t.state(), State::Established);
    assert_eq!(t.answer(seg(".", 1, 1, 100)), [". 1:1(0) ack 202"]);
    assert_eq!(t.state(), State::CloseWait);
}

#[test]
fn nothing_is_taken_behind_the_fin() {
    let mut t = Tester::established();
    t.inject(seg("F.", 11, 1, 0));
    t.inject(seg(".", 1, 1, 30));
    assert_eq!((t.state(), t.read(100).map(|b| b.len())), (State::CloseWait, Ok(10)));
    t.output();
    assert_eq!(t.answer(seg("P.", 12, 1, 5)), [". 1:1(0) ack 12"]);
    assert_eq!(t.read(100).map(|b| b.len()), Ok(0));
}

#[test]
fn the_fin_is_sent_again() {
    let mut t = Tester::established();
    t.close();
    assert_eq!(t.wait(250 * MS), ["F. 1:1(0) ack 1"]);
    t.inject(seg(".", 1, 2, 0));
    assert_eq!(t.state(), State::FinWait2);
}

#[test]
fn close_with_unread_data_resets() {
    let mut t = Tester::established();
    t.inject(seg("P.", 1, 1, 10));
    t.output();
    assert_eq!(t.close(), ["R. 1:1(0) ack 11"]);
    assert!(t.connection.is_finished());
    assert_eq!(t.world.mib.tcp_abort_on_close, 1);
}

#[test]
fn close_with_linger_zero_resets_and_drops_what_was_not_sent() {
    let mut t =
        Tester::established_with(Settings { linger: Some(Duration::ZERO), ..Settings::default() }, seg("S.", 0, 1, 0));
    t.write(100).unwrap();
    assert_eq!(t.close(), ["R. 1:1(0) ack 1"]);
    assert!(t.connection.is_finished());
}

#[test]
fn data_that_comes_after_close_is_reset() {
    for fin_acked in [1, 2] {
        let mut t = Tester::established();
        t.close();
        let reset = format!("R {fin_acked}:{fin_acked}(0)");
        assert_eq!(t.answer(seg("P.", 1, fin_acked, 10)), [reset.as_str()]);
        assert!(t.connection.is_finished());
        assert_eq!(t.world.mib.tcp_abort_on_data, 1);
    }
}

#[test]
fn an_orphan_waits_for_the_fin_for_a_minute_an_owner_for_ever() {
    let mut t = Tester::established();
    t.close();
    t.inject(seg(".", 1, 2, 0));
    assert_eq!(t.wait(Duration::from_secs(59)), [""; 0]);
    assert_eq!(t.state(), State::FinWait2);
    t.wait(Duration::from_secs(2));
    assert!(t.connection.is_finished());
    let mut t = Tester::established();
    t.shutdown(Shutdown::Write);
    t.inject(seg(".", 1, 2, 0));
    t.wait(Duration::from_secs(1000));
    assert_eq!(t.state(), State::FinWait2);
    t.close();
    t.wait(Duration::from_secs(61));
    assert!(t.connection.is_finished());
}

#[test]
fn the_administrator_says_how_long_an_orphan_waits_for_the_peers_fin() {
    for (lingers, waits) in [(Duration::ZERO, 10), (Duration::from_secs(20), 20)] {
        let knobs = Knobs { fin_timeout: 10, ..Knobs::default() }.into();
        let settings = Settings { fin_timeout: Some(lingers), ..Settings::default() };
        let mut t = Tester::established_with(settings, seg("S.", 0, 1, 0).mss(1000));
        t.connection.settings.knobs = knobs;
        t.close();
        t.inject(seg(".", 1, 2, 0));
        t.wait(Duration::from_secs(waits - 1));
        assert!(!t.connection.is_finished());
        t.wait(Duration::from_secs(2));
        assert!(t.connection.is_finished());
    }
}

#[test]
fn without_lingering_the_orphan_is_reset() {
    let mut t =
        Tester::established_with(Settings { fin_timeout: None, ..Settings::default() }, seg("S.", 0, 1, 0).mss(1000));
    t.close();
    assert_eq!(t.answer(seg(".", 1, 2, 0)), ["R. 2:2(0) ack 1"]);
    assert!(t.connection.is_finished());
}

#[test]
fn shutdown_of_reading_gives_the_end_after_what_is_queued() {
    let mut t = Tester::established();
    t.inject(seg("P.", 1, 1, 3));
    t.output();
    assert_eq!(t.shutdown(Shutdown::Read), [""; 0]);
    assert_eq!(t.ready(), "in out rdhup");
    assert_eq!((t.read(10).map(|b| b.len()), t.read(10)), (Ok(3), Ok(vec![])));
    // As Linux: what still comes can be read.
    t.inject(seg("P.", 4, 1, 2));
    assert_eq!(t.read(10).map(|b| b.len()), Ok(2));
}

#[test]
fn shutdown_without_a_connection_fails() {
    let mut t = Tester::established();
    t.inject(seg("R", 1, 0, 0));
    assert_eq!(t.connection.shutdown(Shutdown::Write, &mut t.world.cx()), Err(Error::NotConnected));
}

/// A connection in TIME-WAIT without an owner; both sides have time stamps if `ts`.
fn time_wait(ts: bool) -> (Tester, crate::tcp::TimeWait) {
    let stamp = |s: crate::tcp::testing::Seg| if ts { s.ts(1000, 0) } else { s };
    let mut t = Tester::established_with(Settings::default(), stamp(seg("S.", 0, 1, 0).mss(1000)));
    t.close();
    t.inject(stamp(seg("F.", 1, 2, 0)));
    t.output();
    let time_wait = t.connection.to_time_wait().expect("in TIME-WAIT");
    (t, time_wait)
}

/// What TIME-WAIT says to a segment.
fn judged(t: &Tester, time_wait: &mut crate::tcp::TimeWait, mut s: crate::tcp::testing::Seg) -> &'static str {
    s.header.seq = t.connection.rcv.rcv_nxt() - 2 + s.header.seq.0;
    match time_wait.on_segment(&s.header, s.payload.len(), t.world.now) {
        TimeWaitVerdict::End => "end",
        TimeWaitVerdict::Drop => "drop",
        TimeWaitVerdict::Skip => "skip",
        TimeWaitVerdict::Reply(_) => "reply",
        TimeWaitVerdict::Reopen(_) => "reopen",
    }
}

#[test]
fn time_wait_answers_the_fin_and_starts_anew() {
    let (mut t, mut tw) = time_wait(false);
    let until = tw.until;
    t.world.now += 1000 * MS;
    assert_eq!(judged(&t, &mut tw, seg("F.", 1, 2, 0)), "reply");
    assert_eq!(tw.until, until + 1000 * MS);
    assert_eq!(judged(&t, &mut tw, seg(".", 2, 2, 0)), "drop");
}

#[test]
fn time_wait_answers_all_but_what_is_bare_and_in_order_and_starts_anew_for_either() {
    let (mut t, mut tw) = time_wait(false);
    let table = [
        (seg("S.", 2, 2, 0), "reply"),
        (seg(".", 1, 2, 0), "skip"),
        (seg("P.", 2, 2, 10), "reply"),
        (seg("F.", 1, 2, 0), "reply"),
        (seg(".", 2, 2, 0), "drop"),
        (seg(".", 2, 7000, 0), "drop"),
    ];
    for (segment, verdict) in table {
        t.world.now += 100 * MS;
        assert_eq!(judged(&t, &mut tw, segment), verdict);
        assert_eq!(tw.until, t.world.now + crate::tcp::time_wait::LENGTH);
    }
    let until = tw.until;
    t.world.now += 1000 * MS;
    assert_eq!((judged(&t, &mut tw, seg("S", 1, 0, 0)), tw.until), ("reply", until));
}

#[test]
fn time_wait_does_not_fall_for_a_reset() {
    let (t, mut tw) = time_wait(false);
    assert_eq!(judged(&t, &mut tw, seg("R", 2, 0, 0)), "drop");
}

#[test]
fn a_later_syn_reopens_the_flow() {
    let (t, mut tw) = time_wait(false);
    assert_eq!(judged(&t, &mut tw, seg("S", 1, 0, 0)), "reply");
    assert_eq!(judged(&t, &mut tw, seg("S", 100, 0, 0)), "reopen");
    let (t, mut tw) = time_wait(true);
    assert_eq!(judged(&t, &mut tw, seg("S", 1, 0, 0).ts(1001, 0)), "reopen");
    assert_eq!(judged(&t, &mut tw, seg("S", 100, 0, 0).ts(999, 0)), "reply");
}

#[test]
fn our_own_new_connection_may_take_over_after_a_second_with_time_stamps() {
    let (t, tw) = time_wait(true);
    assert!(!tw.may_be_reused(t.world.now + 900 * MS) && tw.may_be_reused(t.world.now + 1100 * MS));
    let (t, tw) = time_wait(false);
    assert!(!tw.may_be_reused(t.world.now + 10_000 * MS));
}
