//! TCP Fast Open (RFC 7413).

use crate::{
    buf::Packet,
    tcp::{
        Settings, State,
        fastopen::{Lesson, Retry, Ticket},
        testing::{MS, Seg, Tester, seg},
    },
    wire::tcp::FastOpen,
};

fn cookie() -> FastOpen {
    FastOpen::new(&[0x11; 8], false)
}

/// A connection whose SYN waits for data.
fn waiting() -> Tester {
    let mut t = Tester::connecting(Settings::default());
    t.connection.open_fast(Ticket::Cookie(cookie()), 0);
    t
}

fn syn_ack(ack: u32) -> Seg {
    seg("S.", 0, ack, 0).mss(1000).sack_ok()
}

#[test]
fn without_a_cookie_the_syn_asks_for_one_and_keeps_what_comes() {
    let mut t = Tester::connecting(Settings::default());
    t.connection.open_fast(Ticket::Ask { experimental: false }, 0);
    assert_eq!(t.output(), ["S 0:0(0) win 64240 <mss 1460,sackOK,TS,wscale 10,FO>"]);
    let mut answer = syn_ack(1);
    answer.header.options.fast_open = Some(cookie());
    t.answer(answer);
    let lesson = Lesson { cookie: Some(cookie()), mss: 1000, retry: Retry::Usual };
    assert_eq!((t.connection.take_lesson(), t.connection.take_lesson()), (Some(lesson), None));
    assert_eq!(t.connection.info(t.world.now).flags >> 1, 1, "TFO_COOKIE_UNAVAILABLE");
}

#[test]
fn a_cookie_nobody_asked_for_is_ignored() {
    let mut t = Tester::connecting(Settings::default());
    t.output();
    let mut answer = syn_ack(1);
    answer.header.options.fast_open = Some(cookie());
    t.answer(answer);
    assert_eq!(t.connection.take_lesson(), None);
}

#[test]
fn with_a_cookie_the_syn_waits_for_data_and_takes_it_along() {
    let mut t = waiting();
    assert_eq!((t.output(), t.ready().as_str()), (vec![], "out"));
    assert_eq!(t.write(100), Ok(100));
    assert_eq!(t.output(), ["S 0:100(100) win 64240 <mss 1460,sackOK,TS,wscale 10,FO 1111111111111111>"]);
    assert_eq!(t.ready(), "");
    assert_eq!(t.answer(syn_ack(101)), [". 101:101(0) ack 1"]);
    let info = t.connection.info(t.world.now);
    assert_eq!((info.options & 32, info.total_retrans, t.world.mib.tcp_fast_open_active), (32, 0, 1));
    t.write(10).unwrap();
    assert_eq!(t.output(), ["P. 101:111(10) ack 1"]);
}

#[test]
fn the_syn_takes_a_segment_without_its_options_at_most() {
    let mut t = waiting();
    assert_eq!(t.write(5000), Ok(1420));
}

#[test]
fn data_that_the_syn_ack_does_not_acknowledge_is_sent_again_at_once() {
    let mut t = waiting();
    t.write(100).unwrap();
    t.output();
    t.wait(10 * MS);
    assert_eq!(t.answer(syn_ack(1)), ["P. 1:101(100) ack 1"]);
    let info = t.connection.info(t.world.now);
    assert_eq!((info.options & 32, info.flags >> 1, t.world.mib.tcp_fast_open_active_fail), (0, 2, 1));
    t.wait(10 * MS);
    t.answer(seg(".", 1, 101, 0));
    assert_eq!(t.connection.unacknowledged(), 0);
}

#[test]
fn a_syn_whose_data_is_swallowed_on_the_way_is_sent_again_without() {
    let mut t = waiting();
    t.write(100).unwrap();
    t.output();
    assert_eq!(t.wait(1100 * MS), ["S 0:0(0) win 64240 <mss 1460,sackOK,TS,wscale 10>"]);
    assert_eq!(t.answer(syn_ack(1)), ["P. 1:101(100) ack 1"]);
    assert_eq!(t.connection.info(t.world.now).flags >> 1, 3, "TFO_SYN_RETRANSMITTED");
}

#[test]
fn an_acknowledgement_of_more_than_was_sent_is_refused() {
    let mut t = waiting();
    t.write(100).unwrap();
    t.output();
    assert_eq!(t.answer(syn_ack(102)), ["R 102:102(0)"]);
    assert_eq!(t.state(), State::SynSent);
}

#[test]
fn a_trusted_syn_gives_its_data_before_the_handshake_is_complete_and_is_answered() {
    let mut t = Tester::accepting(Settings::default(), seg("S", 0, 0, 5).mss(1000).sack_ok());
    t.connection.accept_fast(Packet::copy_from(b"hello"), None, &mut t.world.cx());
    assert_eq!(t.output(), ["S. 0:0(0) ack 6 win 64240 <mss 1460,sackOK>"]);
    assert_eq!((t.state(), t.ready().as_str()), (State::SynReceived, "in out"));
    assert_eq!(t.read(100), Ok(b"hello".to_vec()));
    t.write(10).unwrap();
    assert_eq!(t.output(), ["P. 1:11(10) ack 6"]);
    assert_eq!(t.wait(1100 * MS)[0], "S. 0:0(0) ack 6 win 64240 <mss 1460,sackOK>", "the SYN-ACK is confirmed first");
    assert_eq!(t.answer(seg(".", 6, 11, 0)), [""; 0]);
    assert_eq!((t.state(), t.connection.unacknowledged()), (State::Established, 0));
}

#[test]
fn data_sent_before_the_handshake_is_complete_and_lost_is_sent_again() {
    let mut t = Tester::accepting(Settings::default(), seg("S", 0, 0, 5).mss(1000).sack_ok());
    t.connection.accept_fast(Packet::copy_from(b"hello"), None, &mut t.world.cx());
    t.write(10).unwrap();
    t.output();
    t.inject(seg(".", 6, 1, 0));
    assert_eq!(t.state(), State::Established);
    assert_eq!(t.wait(3000 * MS)[0], "P. 1:11(10) ack 6");
}

#[test]
fn a_reset_ends_a_fast_connection_before_its_handshake() {
    let mut t = Tester::accepting(Settings::default(), seg("S", 0, 0, 5).mss(1000));
    t.connection.accept_fast(Packet::copy_from(b"hello"), None, &mut t.world.cx());
    t.output();
    t.inject(seg("R", 6, 0, 0));
    assert_eq!(t.state(), State::Closed);
    assert_eq!(t.read(100), Ok(b"hello".to_vec()));
}
