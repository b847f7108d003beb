//! Resets, forged segments, old duplicates (RFC 5961, RFC 7323 section 5) and the errors they leave.

use crate::{
    error::Error,
    tcp::{
        Settings, Shutdown, State,
        testing::{MS, Tester, seg},
    },
};

#[test]
fn a_reset_gives_queued_data_then_the_error_once_then_the_end() {
    let mut t = Tester::established();
    t.inject(seg("P.", 1, 1, 5));
    t.output();
    t.events();
    t.inject(seg("R.", 6, 1, 0));
    assert_eq!((t.state(), t.output()), (State::Closed, vec![]));
    assert_eq!(t.events(), "in out err hup rdhup");
    assert_eq!(t.ready(), "in out err hup rdhup");
    assert_eq!(t.read(10).map(|b| b.len()), Ok(5));
    assert_eq!(t.read(10), Err(Error::ConnectionReset));
    assert_eq!(t.read(10), Ok(vec![]));
    assert_eq!((t.write(1), t.ready().as_str()), (Err(Error::BrokenPipe), "in out hup rdhup"));
}

#[test]
fn a_send_after_a_reset_gets_the_error_once() {
    let mut t = Tester::established();
    t.inject(seg("R.", 1, 1, 0));
    assert_eq!([t.write(1), t.write(1)], [Err(Error::ConnectionReset), Err(Error::BrokenPipe)]);
    assert_eq!(t.read(1), Ok(vec![]));
}

#[test]
fn a_reset_in_close_wait_is_a_broken_pipe() {
    let mut t = Tester::established();
    t.inject(seg("F.", 1, 1, 0));
    t.inject(seg("R", 2, 0, 0));
    assert_eq!((t.read(1), t.connection.take_error()), (Ok(vec![]), Some(Error::BrokenPipe)));
}

#[test]
fn a_reset_ends_every_state() {
    type Reach = fn(&mut Tester);
    let closing: [(&str, Reach); 5] = [
        ("FinWait1", |t| drop(t.shutdown(Shutdown::Write))),
        ("FinWait2", |t| {
            t.shutdown(Shutdown::Write);
            t.inject(seg(".", 1, 2, 0));
        }),
        ("CloseWait", |t| t.inject(seg("F.", 1, 1, 0))),
        ("Closing", |t| {
            t.shutdown(Shutdown::Write);
            t.inject(seg("F.", 1, 1, 0));
        }),
        ("LastAck", |t| {
            t.inject(seg("F.", 1, 1, 0));
            t.shutdown(Shutdown::Write);
        }),
    ];
    for (name, reach) in closing {
        let mut t = Tester::established();
        reach(&mut t);
        t.output();
        assert_eq!(format!("{:?}", t.state()), name);
        let next = t.connection.rcv.rcv_nxt() - t.connection.opening.irs;
        assert_eq!(t.answer(seg("R", next, 0, 0)), [""; 0]);
        assert_eq!(t.state(), State::Closed, "{name}");
        assert_eq!(t.connection.poll_deadline(), None, "{name}");
    }
}

#[test]
fn a_reset_elsewhere_in_the_window_is_challenged_outside_ignored() {
    let mut t = Tester::established();
    assert_eq!(t.answer(seg("R", 2, 0, 0)), [". 1:1(0) ack 1"]);
    assert_eq!(t.answer(seg("R", 70_000, 0, 0)), [""; 0]);
    assert_eq!(t.answer(seg("R", 0, 0, 0)), [""; 0]);
    assert_eq!((t.state(), t.world.mib.tcp_challenge_ack), (State::Established, 1));
}

#[test]
fn a_syn_is_challenged() {
    let mut t = Tester::established();
    assert_eq!(t.answer(seg("S", 10, 0, 0)), [". 1:1(0) ack 1"]);
    t.wait(500 * MS);
    assert_eq!(t.answer(seg("S", 100_000, 0, 0)), [". 1:1(0) ack 1"]);
    assert_eq!((t.state(), t.world.mib.tcp_syn_challenge), (State::Established, 2));
}

#[test]
fn challenges_are_limited() {
    let mut t = Tester::established();
    assert_eq!((0..100).filter(|_| !t.answer(seg("R", 5, 0, 0)).is_empty()).count(), 1);
    assert_eq!((t.world.mib.tcp_challenge_ack, t.world.mib.tcp_ack_skipped_challenge), (1, 99));
    t.wait(500 * MS);
    assert_eq!(t.answer(seg("R", 5, 0, 0)).len(), 1);
}

#[test]
fn an_acknowledgement_of_the_future_is_challenged_and_one_of_the_far_past_too() {
    let mut t = Tester::established();
    assert_eq!(t.answer(seg("P.", 1, 100, 10)), [". 1:1(0) ack 1"]);
    t.wait(500 * MS);
    assert_eq!(t.answer(seg("P.", 1, 1u32.wrapping_sub(70_000), 10)), [". 1:1(0) ack 1"]);
    assert_eq!(t.connection.readable(), 0);
    // A little old is fine.
    t.inject(seg("P.", 1, 0, 10));
    assert_eq!(t.connection.readable(), 10);
}

#[test]
fn a_segment_without_an_acknowledgement_is_dropped() {
    let mut t = Tester::established();
    assert_eq!(t.answer(seg("P", 1, 0, 10)), [""; 0]);
    assert_eq!(t.connection.readable(), 0);
}

#[test]
fn an_old_duplicate_is_acknowledged_and_dropped() {
    let syn_ack = seg("S.", 0, 1, 0).mss(1000).ts(1000, 0);
    let mut t = Tester::established_with(Settings::default(), syn_ack);
    assert_eq!(t.answer(seg("P.", 1, 1, 10).ts(999, 0)), [". 1:1(0) ack 1"]);
    assert_eq!((t.connection.readable(), t.world.mib.tcp_paws_estab), (0, 1));
    // A reset is not subject to it.
    t.inject(seg("R", 1, 0, 0).ts(1, 0));
    assert_eq!(t.state(), State::Closed);
}

#[test]
fn a_closed_connection_resets_what_still_comes() {
    let mut t = Tester::established();
    t.inject(seg("R", 1, 0, 0));
    assert_eq!(t.answer(seg("P.", 1, 1, 10)), ["R 1:1(0)"]);
    assert_eq!(t.answer(seg("R", 1, 1, 0)), [""; 0]);
}

#[test]
fn abort_resets_and_tells_the_owner() {
    let mut t = Tester::established();
    t.write(10).unwrap();
    t.output();
    t.connection.abort(&mut t.world.cx());
    assert_eq!(t.output(), ["R. 11:11(0) ack 1"]);
    assert_eq!((t.state(), t.connection.is_finished()), (State::Closed, false));
    t.close();
    assert!(t.connection.is_finished());
}
