//! Urgent data (RFC 9293 section 3.8.5, RFC 6093), as Linux.

use crate::{
    error::Error,
    tcp::{
        RecvFlags, SendFlags,
        testing::{Tester, seg},
    },
};

const OOB: RecvFlags = RecvFlags { oob: true, peek: false, trunc: false };

#[test]
fn an_urgent_byte_is_announced_and_leaves_with_its_pointer() {
    let mut t = Tester::established();
    t.write_flags(b"abc", SendFlags { oob: true, ..SendFlags::default() }).unwrap();
    assert_eq!(t.output(), ["PU. 1:4(3) ack 1 urg 3"]);
    t.inject(seg(".", 1, 4, 0));
    t.write(10).unwrap();
    assert_eq!(t.output(), ["P. 4:14(10) ack 1"]);
}

#[test]
fn the_urgent_byte_is_read_out_of_band_and_left_out_of_the_stream() {
    let mut t = Tester::established();
    t.inject(seg("PU.", 1, 1, 0).bytes(b"ab!cd").urg(3));
    assert_eq!((t.ready().as_str(), t.connection.readable()), ("in pri out", 2));
    assert!(t.events().contains("pri"));
    assert_eq!(t.read(10).unwrap(), b"ab");
    assert!(t.connection.is_at_mark());
    assert_eq!(t.read_flags(1, OOB).unwrap(), b"!");
    assert_eq!(t.read_flags(1, OOB), Err(Error::Invalid));
    assert_eq!(t.ready(), "in out");
    assert_eq!(t.read(10).unwrap(), b"cd");
    assert!(!t.connection.is_at_mark());
}

#[test]
fn in_line_it_is_a_byte_like_others_behind_a_stop() {
    let mut t = Tester::established();
    t.connection.settings.oob_inline = true;
    t.inject(seg("PU.", 1, 1, 0).bytes(b"ab!cd").urg(3));
    assert_eq!(t.read(10).unwrap(), b"ab");
    assert!(t.connection.is_at_mark());
    assert_eq!(t.read_flags(1, OOB), Err(Error::Invalid));
    assert_eq!(t.read(10).unwrap(), b"!cd");
}

#[test]
fn the_pointer_may_come_before_the_byte() {
    let mut t = Tester::established();
    t.inject(seg("PU.", 1, 1, 0).bytes(b"ab").urg(3));
    assert_eq!(t.read_flags(1, OOB), Err(Error::WouldBlock));
    assert_eq!(t.read(10).unwrap(), b"ab");
    t.inject(seg("PU.", 3, 1, 0).bytes(b"!").urg(1));
    assert_eq!(t.read_flags(1, RecvFlags { peek: true, ..OOB }).unwrap(), b"!");
    assert_eq!(t.read_flags(1, OOB).unwrap(), b"!");
    assert_eq!(t.read(10), Err(Error::WouldBlock));
}

#[test]
fn only_the_last_urgent_byte_counts() {
    let mut t = Tester::established();
    t.inject(seg("PU.", 1, 1, 0).bytes(b"1").urg(1));
    t.inject(seg("PU.", 2, 1, 0).bytes(b"x2").urg(2));
    assert_eq!(t.read_flags(1, OOB).unwrap(), b"2");
    assert_eq!(t.read(10).unwrap(), b"x");
}

#[test]
fn without_urgent_data_there_is_none_to_read() {
    let mut t = Tester::established();
    assert_eq!(t.read_flags(1, OOB), Err(Error::Invalid));
}
