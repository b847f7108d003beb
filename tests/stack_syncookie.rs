//! SYN cookies of two whole stacks on a wire.

mod wire_pair;

use sockeye::{
    stack::{Protocol, SocketId},
    time::Duration,
    wire::{
        checksum,
        tcp::{Flags, Header},
    },
};
use wire_pair::{Pair, Side::A, Side::B, end};

/// The TCP header in an Ethernet frame.
fn segment(bytes: &[u8]) -> Option<Header> {
    (bytes.get(12..14) == Some(&[8, 0]) && bytes[23] == 6).then(|| Header::parse(&bytes[34..]).unwrap().0)
}

fn start(pair: &mut Pair) -> SocketId {
    let id = pair.open(A, Protocol::Tcp);
    let _in_progress = pair.connect(A, id, end(B, 80));
    id
}

#[test]
fn a_connection_by_cookie_has_the_options_it_was_begun_with() {
    let mut pair = Pair::new();
    pair.a.knobs_mut().set("tcp_ecn", 1).unwrap();
    pair.b.knobs_mut().set("tcp_syncookies", 2).unwrap();
    let listener = pair.listen(B, 80, 8);
    let client = start(&mut pair);
    pair.run();
    let now = pair.now;
    let (server, _) = pair.b.accept(listener, now).unwrap();
    let (ours, theirs) = (pair.a.tcp_info(client, now).unwrap(), pair.b.tcp_info(server, now).unwrap());
    // Time stamps, SACK, window scale, ECN.
    assert_eq!((ours.options & 15, theirs.options & 15), (15, 15));
    assert_eq!(ours.wscale.rotate_left(4), theirs.wscale);
    assert_eq!(pair.send(A, client, b"hello"), Ok(5));
    assert_eq!(pair.send(B, server, b"world"), Ok(5));
    pair.run();
    assert_eq!(pair.recv(B, server), Ok(b"hello".to_vec()));
    assert_eq!(pair.recv(A, client), Ok(b"world".to_vec()));
    let mib = pair.b.counters();
    assert_eq!((mib.tcp_syncookies_sent, mib.tcp_syncookies_recv, mib.tcp_syncookies_failed), (1, 1, 0));
    assert_eq!((mib.tcp_passive_opens, mib.tcp_req_q_full_do_cookies), (1, 0));
}

#[test]
fn a_listener_flooded_by_syns_still_takes_connections() {
    for (syncookies, taken) in [(1, true), (0, false)] {
        let mut pair = Pair::new();
        pair.b.knobs_mut().set("tcp_syncookies", syncookies).unwrap();
        let listener = pair.listen(B, 80, 8);
        // The first makes the two neighbours known to each other.
        start(&mut pair);
        pair.run();
        let now = pair.now;
        assert!(pair.b.accept(listener, now).is_ok());
        // The answers to these are lost, as if nobody were there.
        pair.filter = Some(Box::new(|side, bytes: &mut Vec<u8>| side == A || segment(bytes).is_none()));
        for _ in 0..200 {
            start(&mut pair);
            pair.run();
        }
        pair.filter = None;
        let client = start(&mut pair);
        pair.run_for(Duration::from_millis(100));
        pair.send(A, client, b"x").unwrap_or(0);
        pair.run_for(Duration::from_millis(100));
        let now = pair.now;
        assert_eq!(pair.b.accept(listener, now).is_ok(), taken, "tcp_syncookies={syncookies}");
        let mib = pair.b.counters();
        assert_eq!(mib.tcp_syncookies_sent, if taken { 73 } else { 0 });
        assert_eq!(mib.tcp_req_q_full_drop, if taken { 0 } else { 73 });
    }
}

#[test]
fn what_is_no_cookie_is_reset_and_counted() {
    let mut pair = Pair::new();
    pair.b.knobs_mut().set("tcp_syncookies", 2).unwrap();
    let _listener = pair.listen(B, 80, 8);
    // The cookie is spoilt on its way.
    pair.filter = Some(Box::new(|side, bytes: &mut Vec<u8>| {
        if side == A && segment(bytes).is_some_and(|header| header.flags == Flags::ACK) {
            bytes[42] ^= 0x55;
            bytes[50..52].fill(0);
            let sum = checksum::transport(A.addr(), B.addr(), 6, &bytes[34..]);
            bytes[50..52].copy_from_slice(&sum.to_be_bytes());
        }
        true
    }));
    start(&mut pair);
    pair.run();
    let mib = pair.b.counters();
    assert_eq!((mib.tcp_syncookies_sent, mib.tcp_syncookies_recv), (1, 0));
    assert!(mib.tcp_syncookies_failed >= 1 && mib.tcp_out_rsts >= 1);
}
