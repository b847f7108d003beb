//! TCP Fast Open of two whole stacks on a wire: cookies, trust, and the queue of those who are not confirmed.

mod wire_pair;

use sockeye::{
    error::Error,
    stack::{Begun, Protocol, SocketId},
    tcp::fastopen::FastOpenSettings,
    time::Duration,
    wire::tcp::{Flags, Header},
};
use wire_pair::{Pair, Side::A, Side::B, end};

/// A listener of B that opens fast, with room for so many.
fn listener(pair: &mut Pair, queue: u32) -> SocketId {
    pair.b.knobs_mut().set("tcp_fastopen", 3).unwrap();
    let id = pair.listen(B, 80, 8);
    pair.b.tcp_settings(id).unwrap().fast_open = Some(Box::new(FastOpenSettings { queue, ..Default::default() }));
    id
}

/// Connects from A with data, as sendto(2) with MSG_FASTOPEN does.
fn open(pair: &mut Pair, data: &[u8]) -> (SocketId, bool) {
    let id = pair.open(A, Protocol::Tcp);
    let now = pair.now;
    let with_syn = pair.a.connect_fast(id, end(B, 80), now).unwrap() == Begun::Waits;
    if with_syn {
        assert_eq!(pair.send(A, id, data), Ok(data.len()));
    }
    (id, with_syn)
}

/// The lengths of the data in the SYNs that A sent.
fn syn_data(pair: &Pair) -> Vec<usize> {
    let syns = pair.sent.iter().filter_map(|(side, bytes)| {
        let tcp = (*side == A && bytes.get(12..14) == Some(&[8, 0]) && bytes[23] == 6).then(|| &bytes[34..])?;
        let (header, len) = Header::parse(tcp).unwrap();
        header.flags.contains(Flags::SYN).then(|| tcp.len() - len)
    });
    syns.collect()
}

#[test]
fn the_second_connection_to_a_server_has_its_data_in_the_syn() {
    let mut pair = Pair::new();
    let listener = listener(&mut pair, 5);
    assert!(!open(&mut pair, b"").1, "there is no cookie yet");
    pair.run();
    let (client, with_syn) = open(&mut pair, b"hello");
    assert!(with_syn);
    pair.run();
    assert_eq!(syn_data(&pair), [0, 5]);
    let now = pair.now;
    let _first = pair.b.accept(listener, now).unwrap();
    let (server, _) = pair.b.accept(listener, now).unwrap();
    assert_eq!(pair.recv(B, server), Ok(b"hello".to_vec()));
    assert_eq!(pair.send(B, server, b"world"), Ok(5));
    pair.run();
    assert_eq!(pair.recv(A, client), Ok(b"world".to_vec()));
    let (a, b) = (pair.a.counters(), pair.b.counters());
    assert_eq!((a.tcp_fast_open_active, b.tcp_fast_open_passive, b.tcp_fast_open_cookie_reqd), (1, 1, 1));
}

#[test]
fn a_server_that_changed_its_key_gives_a_new_cookie_and_the_data_goes_the_slow_way() {
    let mut pair = Pair::new();
    let listener = listener(&mut pair, 5);
    open(&mut pair, b"");
    pair.run();
    pair.b.tcp_settings(listener).unwrap().fast_open.as_mut().unwrap().keys = vec![[9; 16]];
    open(&mut pair, b"hello");
    pair.run();
    open(&mut pair, b"again");
    pair.run();
    let now = pair.now;
    let accepted: Vec<_> = (0..3).map(|_| pair.b.accept(listener, now).unwrap().0).collect();
    assert_eq!(pair.recv(B, accepted[1]), Ok(b"hello".to_vec()));
    assert_eq!(pair.recv(B, accepted[2]), Ok(b"again".to_vec()));
    let (a, b) = (pair.a.counters(), pair.b.counters());
    assert_eq!((a.tcp_fast_open_active_fail, b.tcp_fast_open_passive_fail, b.tcp_fast_open_passive), (1, 1, 1));
}

#[test]
fn a_full_queue_and_one_filled_by_resets_open_slowly() {
    let mut pair = Pair::new();
    let _listener = listener(&mut pair, 1);
    open(&mut pair, b"");
    pair.run();
    // Whose address was forged resets what it has not begun.
    let (victim, _) = open(&mut pair, b"spoofed");
    pair.filter = Some(Box::new(move |side, _: &mut Vec<u8>| side == A));
    pair.run_for(Duration::from_millis(1));
    pair.filter = None;
    let now = pair.now;
    pair.a.disconnect(victim, now).unwrap();
    pair.run_for(Duration::from_secs(2));
    open(&mut pair, b"honest");
    pair.run_for(Duration::from_secs(1));
    let passive = |pair: &Pair| pair.b.counters().tcp_fast_open_passive;
    assert_eq!((passive(&pair), pair.b.counters().tcp_fast_open_listen_overflow), (1, 1));
    pair.run_for(Duration::from_secs(61));
    open(&mut pair, b"later");
    pair.run_for(Duration::from_secs(1));
    assert_eq!(passive(&pair), 2);
}

#[test]
fn where_it_is_switched_off_nothing_is_fast() {
    let mut pair = Pair::new();
    pair.a.knobs_mut().set("tcp_fastopen", 0).unwrap();
    let id = pair.open(A, Protocol::Tcp);
    let now = pair.now;
    assert_eq!(pair.a.connect_fast(id, end(B, 80), now), Err(Error::NotSupported));
}
