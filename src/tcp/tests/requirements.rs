//! Requirements of RFC 9293 that no other test shows by itself (see docs/rfc9293.md).

use crate::{
    error::Error,
    tcp::{
        BufferSize, RecvFlags, Settings, State,
        testing::{Tester, seg},
    },
};

const OOB: RecvFlags = RecvFlags { oob: true, peek: false, trunc: false };

#[test]
fn a_window_is_an_unsigned_number() {
    // Section 3.8.6, MUST-1: 40000 would be negative in a signed field.
    let mut t = Tester::established_with(Settings::default(), seg("S.", 0, 1, 0).mss(1460).win(40_000));
    t.write(100_000).unwrap();
    let mut acked = 1;
    let mut most = 0;
    for _ in 0..20 {
        let sent = t.output().len();
        most = most.max(t.connection.snd.unacked());
        acked += 1460 * sent as u32;
        t.inject(seg(".", 1, acked.min(t.connection.snd.nxt() - t.iss), 0).win(40_000));
    }
    assert!((38_000..=40_000).contains(&most), "{most}");
}

#[test]
fn a_closed_window_still_takes_urgent_pointers() {
    // Section 3.8.6.1, MUST-66.
    let settings = Settings { recv_buffer: BufferSize::Fixed(1000), ..Settings::default() };
    let mut t = Tester::established_with(settings, seg("S.", 0, 1, 0).mss(1000));
    t.inject(seg(".", 1, 1, 1000));
    t.output();
    assert_eq!(t.connection.window.offered(t.connection.rcv.rcv_nxt()), 0);
    assert_eq!(t.read_flags(1, OOB), Err(Error::Invalid), "there is none");
    t.inject(seg("U.", 1001, 1, 0).urg(1));
    assert_eq!(t.read_flags(1, OOB), Err(Error::WouldBlock), "it is announced");
}

#[test]
fn a_reset_may_carry_data() {
    // Section 3.5.3, SHLD-2: such as its reason in words.
    let mut t = Tester::established();
    t.inject(seg("R", 1, 0, 0).bytes(b"out of order"));
    assert_eq!(t.state(), State::Closed);
    assert_eq!(t.connection.readable(), 0);
}

#[test]
fn segments_that_come_together_are_acknowledged_once() {
    // Section 3.8.6.3, MUST-58 and MUST-59.
    let mut t = Tester::established();
    for n in 0..10 {
        t.inject(seg(".", 1 + n * 1000, 1, 1000));
    }
    t.inject(seg("F.", 10_001, 1, 0));
    assert_eq!(t.output(), [". 1:1(0) ack 10002"]);
}

#[test]
fn urgent_data_may_be_of_any_length() {
    // Section 3.8.5, MUST-31: the pointer goes past all that is urgent.
    let mut t = Tester::established();
    let oob = crate::tcp::SendFlags { oob: true, ..Default::default() };
    t.write_flags(&[b'!'; 3000], oob).unwrap();
    let lines = t.output();
    assert_eq!(lines.len(), 3);
    assert!(lines[0].starts_with("U") && lines[0].ends_with("urg 3000"), "{}", lines[0]);
    assert!(lines[2].ends_with("urg 1000"), "{}", lines[2]);
}
