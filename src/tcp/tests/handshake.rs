//! Opening (RFC 9293 sections 3.5 and 3.10.7.3).

use crate::{
    error::Error,
    tcp::{
        Settings, State,
        testing::{MS, Tester, seg},
    },
    time::Duration,
};

#[test]
fn an_active_open_offers_what_linux_offers_in_its_order() {
    let mut t = Tester::connecting(Settings::default());
    assert_eq!(t.output(), ["S 0:0(0) win 64240 <mss 1460,sackOK,TS,wscale 10>"]);
    assert_eq!((t.state(), t.ready().as_str(), t.write(1)), (State::SynSent, "", Err(Error::WouldBlock)));
    assert_eq!(t.read(1), Err(Error::WouldBlock));
    let syn_ack = seg("S.", 0, 1, 0).mss(1460).sack_ok().wscale(7).ts(5, 0);
    assert_eq!(t.answer(syn_ack), [". 1:1(0) ack 1"]);
    assert_eq!((t.state(), t.ready().as_str(), t.events().as_str()), (State::Established, "out", "out"));
    assert_eq!(t.connection.mss(), 1448);
}

#[test]
fn options_the_peer_does_not_have_are_not_used() {
    let mut t = Tester::connecting(Settings::default());
    t.output();
    t.show_ts = true;
    assert_eq!(t.answer(seg("S.", 0, 1, 0)), [". 1:1(0) ack 1"]);
    // RFC 9293 section 3.7.1: no MSS option means 536.
    assert_eq!(t.connection.mss(), 536);
    t.inject(seg(".", 100, 1, 10));
    assert_eq!(t.output(), [". 1:1(0) ack 1"]);
}

#[test]
fn a_passive_open_answers_only_what_was_offered() {
    let mut t = Tester::accepting(Settings::default(), seg("S", 0, 0, 0).mss(1000).wscale(2));
    assert_eq!(t.output(), ["S. 0:0(0) ack 1 win 64240 <mss 1460,wscale 10>"]);
    assert_eq!((t.state(), t.ready().as_str()), (State::SynReceived, ""));
    assert_eq!(t.answer(seg(".", 1, 1, 0)), [""; 0]);
    assert_eq!((t.state(), t.events().as_str()), (State::Established, "out"));
    let mut t = Tester::accepting(Settings::default(), seg("S", 0, 0, 0).mss(1000).sack_ok().ts(1, 0));
    assert_eq!(t.output(), ["S. 0:0(0) ack 1 win 65160 <mss 1460,sackOK,TS>"]);
}

#[test]
fn data_and_fin_may_come_with_the_last_segment_of_the_handshake() {
    let mut t = Tester::accepting(Settings::default(), seg("S", 0, 0, 0).mss(1000));
    t.output();
    assert_eq!(t.answer(seg("FP.", 1, 1, 10)), [". 1:1(0) ack 12"]);
    assert_eq!((t.state(), t.read(100).map(|bytes| bytes.len())), (State::CloseWait, Ok(10)));
}

#[test]
fn both_sides_may_open_at_once() {
    let mut t = Tester::connecting(Settings::default());
    t.output();
    assert_eq!(t.answer(seg("S", 0, 0, 0).mss(1000)), ["S. 0:0(0) ack 1 win 64240 <mss 1460>"]);
    assert_eq!(t.state(), State::SynReceived);
    assert_eq!(t.answer(seg("S.", 0, 1, 0).mss(1000)), [". 1:1(0) ack 1"]);
    assert_eq!(t.state(), State::Established);
}

#[test]
fn a_syn_is_sent_eleven_times_and_then_the_connection_times_out() {
    let mut t = Tester::connecting(Settings::default());
    t.output();
    let lines = t.wait_timed(Duration::from_secs(200));
    let times: Vec<_> = lines.iter().map(|line| line.split(' ').next().unwrap()).collect();
    let seconds = [1, 2, 3, 4, 5, 7, 11, 19, 35, 67].map(|s| (s * 1000).to_string());
    assert_eq!(times, seconds);
    assert_eq!((t.state(), t.connection.take_error()), (State::Closed, Some(Error::TimedOut)));
    assert_eq!(t.world.mib.tcp_attempt_fails, 1);
}

#[test]
fn a_syn_ack_is_sent_six_times_and_nobody_is_told() {
    let mut t = Tester::accepting(Settings::default(), seg("S", 0, 0, 0));
    t.output();
    assert_eq!(t.wait(Duration::from_secs(200)).len(), 5);
    assert!(t.connection.is_finished());
}

#[test]
fn the_same_syn_again_gets_the_syn_ack_again() {
    let mut t = Tester::accepting(Settings::default(), seg("S", 0, 0, 0).mss(1000));
    let first = t.output();
    assert_eq!(t.answer(seg("S", 0, 0, 0).mss(1000)), first);
}

#[test]
fn after_two_lost_syns_the_window_is_one_segment_and_no_round_trip_is_measured() {
    let mut t = Tester::connecting(Settings::default());
    t.output();
    t.wait(2000 * MS);
    t.inject(seg("S.", 0, 1, 0).mss(1000));
    t.write(5000).unwrap();
    assert_eq!(t.output(), [". 1:1001(1000) ack 1"]);
    assert_eq!(t.connection.info(t.world.now).rto, 3_000_000);
}

#[test]
fn a_wrong_acknowledgement_of_the_syn_is_reset_and_the_attempt_goes_on() {
    let mut t = Tester::connecting(Settings::default());
    t.output();
    assert_eq!(t.answer(seg("S.", 0, 77, 0)), ["R 77:77(0)"]);
    assert_eq!(t.answer(seg(".", 0, 0, 0)), ["R 0:0(0)"]);
    assert_eq!(t.state(), State::SynSent);
    assert_eq!(t.answer(seg("R.", 0, 77, 0)), [""; 0]);
    assert_eq!(t.answer(seg("F", 0, 0, 0)), [""; 0]);
    assert_eq!(t.state(), State::SynSent);
}

#[test]
fn a_reset_refuses_the_connection() {
    let mut t = Tester::connecting(Settings::default());
    t.output();
    assert_eq!(t.answer(seg("R", 0, 0, 0)), [""; 0]);
    assert_eq!(t.state(), State::SynSent);
    assert_eq!(t.answer(seg("R.", 0, 1, 0)), [""; 0]);
    assert_eq!((t.state(), t.ready().as_str()), (State::Closed, "in out err hup rdhup"));
    assert_eq!(t.connection.take_error(), Some(Error::ConnectionRefused));
    assert_eq!((t.write(1), t.read(1)), (Err(Error::BrokenPipe), Ok(vec![])));
}

#[test]
fn a_wrong_acknowledgement_in_syn_received_is_reset() {
    let mut t = Tester::accepting(Settings::default(), seg("S", 0, 0, 0));
    t.output();
    assert_eq!(t.answer(seg(".", 1, 2, 0)), ["R 2:2(0)"]);
    assert_eq!(t.state(), State::SynReceived);
}

#[test]
fn with_deferred_accept_the_bare_acknowledgement_is_not_enough() {
    let settings = Settings { defer_accept: Duration::from_secs(5), ..Settings::default() };
    let mut t = Tester::accepting(settings.clone(), seg("S", 0, 0, 0));
    t.output();
    t.inject(seg(".", 1, 1, 0));
    assert_eq!(t.state(), State::SynReceived);
    assert_eq!(t.wait(4 * 1000 * MS), [""; 0]);
    t.inject(seg("P.", 1, 1, 5));
    assert_eq!(t.state(), State::Established);
    let mut t = Tester::accepting(settings, seg("S", 0, 0, 0));
    t.output();
    t.inject(seg(".", 1, 1, 0));
    assert_eq!(t.wait(5 * 1000 * MS), ["S. 0:0(0) ack 1 win 64240 <mss 1460>"]);
    t.inject(seg(".", 1, 1, 0));
    assert_eq!(t.state(), State::Established);
}

#[test]
fn a_reset_in_syn_received_forgets_the_embryo() {
    let mut t = Tester::accepting(Settings::default(), seg("S", 0, 0, 0));
    t.output();
    t.inject(seg("R", 1, 0, 0));
    assert!(t.connection.is_finished());
}

#[test]
fn shutdown_of_an_attempt_ends_it() {
    let mut t = Tester::connecting(Settings::default());
    t.output();
    assert_eq!(t.shutdown(crate::tcp::Shutdown::Write), [""; 0]);
    assert_eq!((t.state(), t.connection.take_error()), (State::Closed, Some(Error::ConnectionReset)));
}

#[test]
fn hostile_options_do_no_harm() {
    let mut t = Tester::connecting(Settings::default());
    t.output();
    t.inject(seg("S.", 0, 1, 0).mss(0).wscale(255).ts(0, 0));
    t.write(100).unwrap();
    assert_eq!(t.connection.info(t.world.now).wscale & 15, 14);
    assert_eq!(t.output()[0], ". 1:37(36) ack 1");
}
