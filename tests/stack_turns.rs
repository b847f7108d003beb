//! No call of the stack has more to do than its share, whatever others have brought: what is left is due at once, and
//! others come in between.

mod wire_pair;

use sockeye::{
    error::Error,
    stack::{IfaceId, Protocol},
    time::{Duration, Instant},
    wire::ethernet,
};
use wire_pair::{
    Pair,
    Side::{A, B},
    at, end,
};

/// Sockets, neighbours and datagrams of each flood.
const MANY: usize = 2000;
/// What one call does at most.
const SHARE: usize = 256;

fn quiet() -> Pair {
    let mut pair = Pair::new();
    pair.keep_sent = false;
    pair
}

/// Calls `A`'s timers until nothing is due, and gives what came of each call, as `count` finds it.
fn calls(pair: &mut Pair, mut count: impl FnMut(&mut Pair) -> usize) -> Vec<usize> {
    let now = pair.now;
    let mut counts = Vec::new();
    while pair.a.next_deadline().is_some_and(|at| at <= now) {
        assert!(counts.len() < MANY, "{counts:?}");
        pair.a.on_timer(now);
        counts.push(count(pair));
    }
    counts
}

#[test]
fn timers_that_are_due_together_run_in_shares() {
    let mut pair = quiet();
    let (client, _server) = pair.connected(A, 79);
    pair.filter = Some(Box::new(|side, _| side == B));
    for _ in 0..MANY {
        let client = pair.open(A, Protocol::Tcp);
        assert_eq!(pair.connect(A, client, end(B, 80)), Err(Error::InProgress));
    }
    pair.pump();
    // All SYNs are sent again at about the same time.
    pair.now += Duration::from_millis(1500);
    let now = pair.now;
    let frames = calls(&mut pair, |pair| std::iter::from_fn(|| pair.a.poll_transmit(now)).count());
    assert!(frames.iter().all(|frames| *frames <= SHARE + 1), "{frames:?}");
    assert!(frames.iter().sum::<usize>() >= MANY && frames.len() >= MANY / SHARE, "{frames:?}");
    assert_eq!(pair.send(A, client, b"in between"), Ok(10));
}

#[test]
fn what_waited_too_long_is_let_go_of_in_shares() {
    let mut pair = quiet();
    let mac = A.mac();
    for id in 0..MANY {
        // An IPv4 fragment of eight bytes, with more to come, of a datagram of its own.
        let id = u16::try_from(id).unwrap();
        let mut packet =
            [&mac[..], &B.mac(), &[8, 0], &[0x45, 0, 0, 28], &id.to_be_bytes(), &[0x20, 0, 64, 17, 0, 0]].concat();
        packet.extend([10, 0, 0, 2, 10, 0, 0, 1]);
        let header = ethernet::HEADER..ethernet::HEADER + 20;
        let sum = sockeye::wire::checksum::fold(sockeye::wire::checksum::add(0, &packet[header.clone()]));
        packet[header.start + 10..header.start + 12].copy_from_slice(&(!sum).to_be_bytes());
        packet.extend([0; 8]);
        let now = pair.now;
        pair.a.receive(IfaceId::DEVICE, sockeye::buf::Packet::copy_from(&packet), now);
    }
    let before = pair.a.counters().ip_reasm_fails;
    pair.now += Duration::from_secs(31);
    let mut told = before;
    let expired = calls(&mut pair, |pair| {
        let fails = pair.a.counters().ip_reasm_fails;
        let now = pair.now;
        while pair.a.poll_transmit(now).is_some() {}
        usize::try_from(fails - std::mem::replace(&mut told, fails)).unwrap()
    });
    assert!(expired.iter().all(|expired| *expired <= SHARE), "{expired:?}");
    // One source may not have them all.
    assert!(expired.iter().sum::<usize>() > SHARE && expired.len() > 1, "{expired:?}");
}

#[test]
fn connections_in_time_wait_end_in_shares() {
    let mut pair = quiet();
    let listener = pair.listen(B, 80, 16);
    for _ in 0..MANY {
        let client = pair.open(A, Protocol::Tcp);
        assert_eq!(pair.connect(A, client, end(B, 80)), Err(Error::InProgress));
        pair.run();
        let now = pair.now;
        let (server, _) = pair.b.accept(listener, now).unwrap();
        pair.close(A, client);
        pair.run();
        pair.close(B, server);
        pair.run();
    }
    let mut told = pair.a.counters().tcp_time_waited;
    pair.now += Duration::from_secs(70);
    let ended = calls(&mut pair, |pair| {
        let waited = pair.a.counters().tcp_time_waited;
        usize::try_from(waited - std::mem::replace(&mut told, waited)).unwrap()
    });
    assert!(ended.iter().all(|ended| *ended <= SHARE), "{ended:?}");
    assert_eq!(ended.iter().sum::<usize>(), MANY);
}

#[test]
fn frames_whose_neighbours_do_not_answer_come_back_in_shares() {
    let mut pair = quiet();
    pair.filter = Some(Box::new(|_, _| false));
    let sockets: Vec<_> = (0..100).map(|n| pair.udp(A, 2000 + n)).collect();
    for (n, id) in sockets.iter().enumerate() {
        let to = at(&format!("10.0.0.{}:9", 100 + n));
        (0..20).for_each(|_| assert_eq!(pair.send_to(A, *id, b"hello", Some(to)), Ok(5)));
    }
    pair.pump();
    let (mut told, mut seen) = (0, Vec::new());
    for _ in 0..5 {
        pair.now += Duration::from_secs(1);
        let now = pair.now;
        seen.extend(calls(&mut pair, |pair| {
            while pair.a.poll_transmit(now).is_some() {}
            let failed = pair.a.counters().arp_failed;
            usize::try_from(failed - std::mem::replace(&mut told, failed)).unwrap()
        }));
    }
    // One call to the timers, and what follows from looking for frames.
    assert!(seen.iter().all(|seen| *seen <= 2 * SHARE), "{seen:?}");
    assert!(seen.iter().sum::<usize>() == 2000 && seen.iter().filter(|seen| **seen > 0).count() > 3, "{seen:?}");
}

#[test]
fn a_stack_that_talks_to_itself_lets_others_in() {
    let mut pair = quiet();
    let now = pair.now;
    let receiver = pair.open(A, Protocol::Udp);
    pair.bind(A, receiver, 7).unwrap();
    // Each of many sockets of its own has a connection to the stack itself.
    let listener = pair.listen(A, 80, 4000);
    let mut clients = Vec::new();
    for _ in 0..200 {
        let client = pair.open(A, Protocol::Tcp);
        assert_eq!(pair.connect(A, client, at("127.0.0.1:80")), Err(Error::InProgress));
        pair.run();
        clients.push((client, pair.a.accept(listener, now).unwrap().0));
    }
    pair.events.clear();
    for (client, _) in &clients {
        let _ = pair.send(A, *client, &[0; 30_000]);
    }
    let told = |pair: &mut Pair| std::iter::from_fn(|| pair.a.poll_event()).count();
    told(&mut pair);
    let events = calls(&mut pair, told);
    // Not more than one for each datagram that one call moves.
    assert!(events.iter().all(|events| *events <= 256), "{events:?}");
    for (_, server) in clients {
        assert_eq!(pair.recv(A, server).map(|bytes| bytes.len()), Ok(30_000));
    }
    assert_eq!(pair.a.next_deadline().filter(|at| *at == Instant::ZERO), None);
}
