//! TCP of two whole stacks on a wire: who gets which segment, queues, ports, ends.

mod wire_pair;

use sockeye::{
    error::Error,
    ready::Ready,
    stack::{Protocol, SocketId},
    tcp::{Shutdown, State, memory::Limits},
    time::Duration,
    wire::{checksum, ipv4, tcp::Flags, tcp::Header},
};
use std::collections::HashSet;
use wire_pair::{Pair, Side, Side::A, Side::B, Wire, any, at, end};

/// The TCP header in an Ethernet frame.
fn segment(bytes: &[u8]) -> Option<Header> {
    (bytes.get(12..14) == Some(&[8, 0]) && bytes[23] == 6).then(|| Header::parse(&bytes[34..]).unwrap().0)
}

fn accept(pair: &mut Pair, side: Side, listener: SocketId) -> Result<SocketId, Error> {
    let now = pair.now;
    pair.stack(side).accept(listener, now).map(|(id, _)| id)
}

/// Begins a connection from A to a port of B.
fn start(pair: &mut Pair, port: u16) -> SocketId {
    let id = pair.open(A, Protocol::Tcp);
    assert_eq!(pair.connect(A, id, end(B, port)), Err(Error::InProgress));
    id
}

/// Sends `data` from one socket to another and returns what arrived.
fn transfer(pair: &mut Pair, from: (Side, SocketId), to: (Side, SocketId), data: &[u8]) -> Vec<u8> {
    let (mut sent, mut got) = (0, Vec::new());
    pair.run_until(Duration::from_secs(60), |pair| {
        if sent < data.len() {
            match pair.send(from.0, from.1, &data[sent..]) {
                Ok(n) => sent += n,
                Err(error) => assert_eq!(error, Error::WouldBlock),
            }
        }
        while let Ok(bytes) = pair.recv(to.0, to.1) {
            got.extend_from_slice(&bytes);
            if bytes.is_empty() {
                break;
            }
        }
        got.len() >= data.len()
    });
    got
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

#[test]
fn a_connection_carries_bytes_both_ways_and_ends() {
    let mut pair = Pair::new();
    let (client, server) = pair.connected(A, 80);
    let data = pattern(300_000);
    assert!(transfer(&mut pair, (A, client), (B, server), &data) == data);
    assert!(transfer(&mut pair, (B, server), (A, client), &data) == data);
    assert_eq!(pair.a.remote_endpoint(client), Ok(end(B, 80)));
    pair.close(A, client);
    pair.run();
    assert_eq!(pair.recv(B, server), Ok(Vec::new()));
    pair.close(B, server);
    pair.run_for(Duration::from_secs(1));
    assert_eq!((pair.a.is_draining(), pair.b.is_draining()), (false, false));
    pair.run_for(Duration::from_secs(61));
    assert_eq!(pair.a.next_deadline(), None, "nothing is left");
    assert_eq!(pair.b.next_deadline(), None, "nothing is left");
}

#[test]
fn super_frames_pass_whole() {
    let mut pair = Pair::on(Wire { max_frame: 65_535, ..Wire::default() });
    let (client, server) = pair.connected(A, 80);
    let data = pattern(2_000_000);
    assert!(transfer(&mut pair, (A, client), (B, server), &data) == data);
    assert!(pair.sent.iter().any(|(_, bytes)| bytes.len() > 30_000));
}

#[test]
fn connect_tells_its_progress_as_linux_does() {
    let mut pair = Pair::new();
    let listener = pair.listen(B, 80, 8);
    let client = start(&mut pair, 80);
    assert_eq!(pair.connect(A, client, end(B, 80)), Err(Error::Already));
    pair.run();
    assert!(pair.events.iter().any(|(side, id, ready)| (*side, *id) == (A, client) && ready.contains(Ready::OUT)));
    assert!(pair.events.contains(&(B, listener, Ready::IN | Ready::RDNORM)));
    assert_eq!(pair.connect(A, client, end(B, 80)), Ok(()));
    assert_eq!(pair.connect(A, client, end(B, 80)), Err(Error::IsConnected));
    assert_eq!(pair.connect(B, listener, end(A, 80)), Err(Error::IsConnected));
}

#[test]
fn a_refused_connection_says_so_once_and_can_be_tried_again() {
    let mut pair = Pair::new();
    let client = start(&mut pair, 80);
    pair.run();
    assert_eq!(pair.connect(A, client, end(B, 80)), Err(Error::ConnectionRefused));
    let listener = pair.listen(B, 80, 8);
    assert_eq!(pair.connect(A, client, end(B, 80)), Err(Error::InProgress));
    pair.run();
    assert_eq!(pair.connect(A, client, end(B, 80)), Ok(()));
    assert!(accept(&mut pair, B, listener).is_ok());
}

#[test]
fn a_host_that_is_not_there_is_unreachable() {
    let mut pair = Pair::new();
    let client = pair.open(A, Protocol::Tcp);
    assert_eq!(pair.connect(A, client, at("10.0.0.77:80")), Err(Error::InProgress));
    pair.run_for(Duration::from_secs(4));
    assert_eq!(pair.a.take_error(client), Ok(Some(Error::HostUnreachable)));
    assert_eq!(pair.connect(A, client, end(B, 80)), Err(Error::ConnectionAborted), "SO_ERROR has taken the reason");
}

#[test]
fn the_accept_queue_holds_one_more_than_the_backlog_and_then_the_handshake_waits() {
    let mut pair = Pair::new();
    let listener = pair.listen(B, 80, 1);
    let clients: Vec<_> = (0..4).map(|_| start(&mut pair, 80)).collect();
    pair.run();
    assert!(pair.b.counters().tcp_listen_overflows > 0);
    let accepted: HashSet<_> = std::iter::from_fn(|| accept(&mut pair, B, listener).ok()).collect();
    assert_eq!(accepted.len(), 2);
    pair.run_for(Duration::from_secs(10));
    let later: HashSet<_> = std::iter::from_fn(|| accept(&mut pair, B, listener).ok()).collect();
    assert_eq!(later.len(), 2, "retransmissions bring the rest in");
    assert!(clients.iter().all(|&id| pair.a.state(id) == State::Established));
}

#[test]
fn connections_are_accepted_in_the_order_they_came() {
    let mut pair = Pair::new();
    let listener = pair.listen(B, 80, 8);
    let mut ports = Vec::new();
    for _ in 0..3 {
        let id = start(&mut pair, 80);
        pair.run();
        ports.push(pair.a.local_endpoint(id).unwrap().port);
    }
    let now = pair.now;
    let accepted: Vec<_> = (0..3).map(|_| pair.b.accept(listener, now).unwrap().1.remote.port).collect();
    assert_eq!(accepted, ports);
    assert_eq!(accept(&mut pair, B, listener), Err(Error::WouldBlock));
}

#[test]
fn a_listener_that_closes_resets_what_nobody_accepted() {
    let mut pair = Pair::new();
    let listener = pair.listen(B, 80, 8);
    let client = start(&mut pair, 80);
    pair.run();
    assert_eq!(pair.connect(A, client, end(B, 80)), Ok(()));
    pair.close(B, listener);
    pair.run();
    assert_eq!(pair.recv(A, client), Err(Error::ConnectionReset));
    assert_eq!(pair.b.ready(listener), Ready::ERR | Ready::HUP);
    let late = start(&mut pair, 80);
    pair.run();
    assert_eq!(pair.connect(A, late, end(B, 80)), Err(Error::ConnectionRefused));
}

#[test]
fn a_flood_of_syns_is_bounded() {
    let mut pair = Pair::new();
    pair.listen(B, 80, 8);
    pair.filter = Some(Box::new(|from, bytes| from == A || segment(bytes).is_none()));
    for _ in 0..300 {
        start(&mut pair, 80);
        pair.run();
    }
    let counters = pair.b.counters();
    let by_cookie = counters.tcp_syncookies_sent;
    assert_eq!((counters.tcp_in_segs, counters.tcp_listen_drops, by_cookie), (300, 0, 172));
}

#[test]
fn a_deferred_connection_is_accepted_with_its_data_or_when_its_time_is_up() {
    let mut pair = Pair::new();
    let listener = pair.listen(B, 80, 8);
    pair.b.tcp_settings(listener).unwrap().defer_accept = Duration::from_secs(3);
    let (chatty, silent) = (start(&mut pair, 80), start(&mut pair, 80));
    pair.run();
    assert_eq!(accept(&mut pair, B, listener), Err(Error::WouldBlock));
    pair.send(A, chatty, b"GET").unwrap();
    pair.run();
    let server = accept(&mut pair, B, listener).unwrap();
    assert_eq!(pair.recv(B, server), Ok(b"GET".to_vec()));
    assert_eq!(accept(&mut pair, B, listener), Err(Error::WouldBlock));
    pair.run_for(Duration::from_secs(4));
    assert!(accept(&mut pair, B, listener).is_ok());
    assert_eq!(pair.a.state(silent), State::Established);
}

#[test]
fn accepted_sockets_inherit_the_listeners_options() {
    let mut pair = Pair::new();
    let listener = pair.listen(B, 80, 8);
    pair.b.tcp_settings(listener).unwrap().nodelay = true;
    pair.b.settings(listener).unwrap().ip.ttl = 33;
    start(&mut pair, 80);
    pair.run();
    let server = accept(&mut pair, B, listener).unwrap();
    assert!(pair.b.tcp_settings(server).unwrap().nodelay);
    assert_eq!(pair.b.settings(server).unwrap().ip.ttl, 33);
    assert!(pair.sent.iter().any(|(side, bytes)| *side == B && segment(bytes).is_some() && bytes[22] == 33));
}

#[test]
fn a_group_of_listeners_shares_the_connections() {
    let mut pair = Pair::new();
    let listeners: Vec<_> = (0..2)
        .map(|_| {
            let id = pair.open(B, Protocol::Tcp);
            pair.b.settings(id).unwrap().reuse_port = true;
            pair.bind(B, id, 80).unwrap();
            let now = pair.now;
            pair.b.listen(id, 100, now).unwrap();
            id
        })
        .collect();
    for _ in 0..60 {
        start(&mut pair, 80);
    }
    pair.run();
    let counts: Vec<_> =
        listeners.iter().map(|&listener| std::iter::from_fn(|| accept(&mut pair, B, listener).ok()).count()).collect();
    assert!(counts.iter().sum::<usize>() == 60 && counts.iter().all(|&count| count >= 15), "{counts:?}");
}

#[test]
fn a_port_in_time_wait_needs_reuse_addr() {
    let mut pair = Pair::new();
    let (client, server) = pair.connected(A, 80);
    pair.close(B, server); // B closes first and waits
    pair.run();
    pair.close(A, client);
    pair.run();
    let id = pair.open(B, Protocol::Tcp);
    assert_eq!(pair.bind(B, id, 80), Err(Error::AddrInUse));
    pair.run_for(Duration::from_secs(61));
    assert_eq!(pair.bind(B, id, 80), Ok(()));
    assert_eq!(pair.b.counters().tcp_time_waited, 1);
}

#[test]
fn listen_without_bind_takes_an_ephemeral_port() {
    let mut pair = Pair::new();
    let (now, id) = (pair.now, pair.open(B, Protocol::Tcp));
    pair.b.listen(id, 5, now).unwrap();
    let local = pair.b.local_endpoint(id).unwrap();
    assert!((32_768..=60_999).contains(&local.port) && local.addr.is_unspecified());
    let client = pair.open(A, Protocol::Tcp);
    pair.connect(A, client, end(B, local.port)).unwrap_err();
    pair.run();
    assert!(accept(&mut pair, B, id).is_ok());
}

#[test]
fn a_bound_port_is_the_connections_port_and_the_flow_is_unique() {
    let mut pair = Pair::new();
    pair.listen(B, 80, 8);
    let now = pair.now;
    let ids: Vec<_> = (0..2)
        .map(|_| {
            let id = pair.open(A, Protocol::Tcp);
            pair.a.settings(id).unwrap().reuse_addr = true;
            pair.a.bind(id, any(5000), now).unwrap();
            id
        })
        .collect();
    assert_eq!(pair.connect(A, ids[0], end(B, 80)), Err(Error::InProgress));
    assert_eq!(pair.connect(A, ids[1], end(B, 80)), Err(Error::AddrNotAvailable));
    pair.run();
    assert_eq!(pair.a.local_endpoint(ids[0]), Ok(end(A, 5000)));
}

#[test]
fn a_thousand_connections_have_a_thousand_ports() {
    let mut pair = Pair::new();
    let listener = pair.listen(B, 80, 2000);
    let mut ports = HashSet::new();
    for _ in 0..1000 {
        let id = start(&mut pair, 80);
        pair.run();
        ports.insert(pair.a.local_endpoint(id).unwrap().port);
    }
    assert_eq!(ports.len(), 1000);
    assert_eq!(std::iter::from_fn(|| accept(&mut pair, B, listener).ok()).count(), 1000);
}

#[test]
fn a_stack_connects_to_itself() {
    let mut pair = Pair::new();
    for addr in ["127.0.0.1:80", "10.0.0.1:80"] {
        let listener = pair.listen(A, 80, 8);
        let client = pair.open(A, Protocol::Tcp);
        pair.connect(A, client, at(addr)).unwrap_err();
        assert_eq!(pair.connect(A, client, at(addr)), Ok(()), "no frame, no waiting");
        let server = accept(&mut pair, A, listener).unwrap();
        let data = pattern(1_000_000);
        assert!(transfer(&mut pair, (A, client), (A, server), &data) == data);
        pair.close(A, client);
        pair.run();
        assert_eq!(pair.recv(A, server), Ok(Vec::new()));
        pair.close(A, server);
        pair.close(A, listener);
        pair.run_for(Duration::from_secs(61));
    }
    assert!(pair.sent.is_empty());
}

#[test]
fn disconnect_resets_and_the_socket_connects_again() {
    let mut pair = Pair::new();
    let (client, server) = pair.connected(A, 80);
    let now = pair.now;
    pair.a.disconnect(client, now).unwrap();
    pair.run();
    assert_eq!(pair.recv(B, server), Err(Error::ConnectionReset));
    assert_eq!(pair.a.local_endpoint(client), Ok(any(0)));
    pair.listen(B, 81, 8);
    assert_eq!(pair.connect(A, client, end(B, 81)), Err(Error::InProgress));
    pair.run();
    assert_eq!(pair.connect(A, client, end(B, 81)), Ok(()));
}

#[test]
fn shutting_a_listener_down_wakes_and_refuses() {
    let mut pair = Pair::new();
    let listener = pair.listen(B, 80, 8);
    let now = pair.now;
    assert_eq!(pair.b.shutdown(listener, Shutdown::Write, now), Ok(()));
    assert_eq!(pair.b.state(listener), State::Listen);
    assert_eq!(pair.b.shutdown(listener, Shutdown::Read, now), Ok(()));
    assert_eq!(accept(&mut pair, B, listener), Err(Error::Invalid));
    pair.pump();
    assert!(pair.events.iter().any(|(_, id, ready)| *id == listener && ready.contains(Ready::IN | Ready::HUP)));
    assert_eq!(pair.b.listen(listener, 8, now), Ok(()), "and it can listen again");
}

#[test]
fn a_listener_ignores_what_opens_nothing() {
    let mut pair = Pair::new();
    pair.listen(B, 80, 8);
    let client = start(&mut pair, 80);
    pair.run();
    let (_, frame) = pair.sent.iter().find(|(side, bytes)| *side == A && segment(bytes).is_some()).unwrap().clone();
    for (flags, answered) in [
        (Flags::RST, false),
        (Flags::SYN.with(Flags::FIN), false),
        (Flags::FIN, false),
        (Flags::ACK, true),
        (Flags::SYN.with(Flags::ACK), true),
    ] {
        let mut bytes = frame.clone();
        let end_of_header = bytes.len();
        bytes[34..36].copy_from_slice(&[0, 99]);
        bytes[47] = flags.0 as u8;
        bytes[50..52].fill(0);
        let (src, dst) = (A.addr(), B.addr());
        let sum = checksum::transport(src, dst, ipv4::protocol::TCP, &bytes[34..end_of_header]);
        bytes[50..52].copy_from_slice(&sum.to_be_bytes());
        let before = pair.b.counters().tcp_out_rsts;
        pair.inject(A, &bytes);
        pair.run();
        assert_eq!(pair.b.counters().tcp_out_rsts > before, answered, "{flags:?}");
    }
    assert_eq!(pair.a.state(client), State::Established);
}

#[test]
fn without_a_device_connections_end_and_loopback_lives() {
    let mut pair = Pair::new();
    let (client, _) = pair.connected(A, 80);
    let listener = pair.listen(A, 90, 8);
    let now = pair.now;
    pair.a.on_device_gone(now);
    assert_eq!(pair.send(A, client, b"x"), Err(Error::NetDown));
    assert_eq!(pair.recv(A, client), Err(Error::NetDown));
    assert_eq!(accept(&mut pair, A, listener), Err(Error::NetDown));
    let fresh = pair.open(A, Protocol::Tcp);
    assert_eq!(pair.connect(A, fresh, end(B, 80)), Err(Error::NetDown));
    pair.close(A, client);
    pair.run();
}

#[test]
fn aborting_all_resets_every_peer() {
    let mut pair = Pair::new();
    let (_, server) = pair.connected(A, 80);
    let now = pair.now;
    pair.a.abort_all(now);
    pair.run();
    assert_eq!(pair.recv(B, server), Err(Error::ConnectionReset));
}

#[test]
fn an_owner_that_goes_leaves_the_connection_to_finish() {
    let mut pair = Pair::new();
    let (client, server) = pair.connected(A, 80);
    let data = pattern(100_000);
    let mut sent = 0;
    while let Ok(n) = pair.send(A, client, &data[sent..]) {
        sent += n;
        if sent == data.len() {
            break;
        }
    }
    pair.close(A, client);
    assert_eq!((pair.a.is_draining(), sent), (true, 100_000));
    let got = transfer(&mut pair, (B, server), (A, client), &[]);
    assert!(got.is_empty());
    let mut all = Vec::new();
    pair.run_until(Duration::from_secs(10), |pair| match pair.recv(B, server) {
        Ok(bytes) if bytes.is_empty() => true,
        Ok(bytes) => {
            all.extend_from_slice(&bytes);
            false
        }
        Err(_) => false,
    });
    assert!(all == data);
    pair.run_for(Duration::from_secs(1));
    assert!(!pair.a.is_draining());
}

#[test]
fn many_small_exchanges_leave_nothing_behind() {
    let mut pair = Pair::new();
    pair.keep_sent = false;
    let listener = pair.listen(B, 80, 8);
    for _ in 0..2000 {
        let client = start(&mut pair, 80);
        pair.run();
        let server = accept(&mut pair, B, listener).unwrap();
        pair.send(A, client, b"ping").unwrap();
        pair.run();
        assert_eq!(pair.recv(B, server), Ok(b"ping".to_vec()));
        pair.close(B, server);
        pair.run();
        assert_eq!(pair.recv(A, client), Ok(Vec::new()));
        pair.close(A, client);
        pair.run();
    }
    pair.run_for(Duration::from_secs(70));
    pair.close(B, listener);
    assert_eq!((pair.a.next_deadline(), pair.b.next_deadline()), (None, None));
    assert_eq!(pair.b.counters().tcp_time_waited, 2000);
}

/// An ICMP error from a router to A about the frame `about`, which A sent.
fn icmp_error(kind: u8, code: u8, mtu: u16, about: &[u8]) -> Vec<u8> {
    let mut message = vec![kind, code, 0, 0, 0, 0];
    message.extend_from_slice(&mtu.to_be_bytes());
    message.extend_from_slice(&about[14..14 + 28]);
    let sum = !checksum::fold(checksum::add(0, &message));
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let mut frame = [&A.mac()[..], &B.mac(), &[8, 0], &[0; 20]].concat();
    let header = ipv4::Header {
        total_len: 20 + message.len() as u16,
        protocol: ipv4::protocol::ICMP,
        src: [10, 0, 0, 254].into(),
        dst: [10, 0, 0, 1].into(),
        ..ipv4::Header::default()
    };
    header.emit(&mut frame[14..]);
    frame.extend_from_slice(&message);
    frame
}

#[test]
fn an_icmp_error_ends_an_attempt_and_not_a_connection() {
    let mut pair = Pair::new();
    pair.filter = Some(Box::new(|_, bytes| segment(bytes).is_none()));
    let client = start(&mut pair, 80);
    pair.run();
    let (_, syn) = pair.sent.iter().find(|(_, bytes)| segment(bytes).is_some()).unwrap().clone();
    let mut stale = syn.clone();
    stale[38] ^= 1; // another sequence number: not ours
    pair.inject(B, &icmp_error(3, 1, 0, &stale));
    pair.run();
    assert_eq!(pair.connect(A, client, end(B, 80)), Err(Error::Already));
    pair.inject(B, &icmp_error(3, 13, 0, &syn));
    pair.run();
    assert_eq!(pair.connect(A, client, end(B, 80)), Err(Error::HostUnreachable));

    pair.filter = None;
    let (client, server) = pair.connected(A, 80);
    pair.sent.clear();
    pair.send(A, client, b"x").unwrap();
    pair.pump();
    let about = pair.sent[0].1.clone();
    pair.inject(B, &icmp_error(3, 1, 0, &about));
    pair.run();
    assert_eq!(pair.recv(B, server), Ok(b"x".to_vec()));
    assert_eq!(pair.a.state(client), State::Established);
}

#[test]
fn a_smaller_path_mtu_is_learnt_from_what_is_in_flight_and_remembered_for_others() {
    let mut pair = Pair::new();
    let (client, server) = pair.connected(A, 80);
    pair.run();
    pair.sent.clear();
    let data = pattern(5000);
    pair.filter = Some(Box::new(|_, bytes| bytes.len() <= 1014));
    assert_eq!(pair.send(A, client, &data), Ok(5000));
    pair.pump();
    let about = pair.sent[0].1.clone();
    pair.inject(B, &icmp_error(3, 4, 1000, &about));
    let mut got = Vec::new();
    pair.run_until(Duration::from_secs(5), |pair| {
        got.extend(pair.recv(B, server).unwrap_or_default());
        got.len() == 5000
    });
    assert!(got == data);
    assert_eq!(pair.a.path_mtu(client), Ok(1000));
    pair.filter = None;
    let (other, _) = pair.connected(A, 81);
    assert_eq!(pair.a.path_mtu(other), Ok(1000));
}

#[test]
fn a_path_mtu_is_remembered_though_the_connection_that_learnt_it_needs_no_smaller_segments() {
    let mut pair = Pair::new();
    let (client, server) = pair.connected(A, 80);
    pair.a.tcp_settings(client).unwrap().maxseg = Some(500);
    let now = pair.now;
    pair.a.on_settings_changed(client, now);
    for (claim, path) in [(1000, 1000), (300, 552)] {
        pair.sent.clear();
        pair.send(A, client, b"x").unwrap();
        pair.pump();
        let about = pair.sent[0].1.clone();
        pair.inject(B, &icmp_error(3, 4, claim, &about));
        pair.run();
        assert_eq!(pair.recv(B, server), Ok(b"x".to_vec()));
        assert_eq!((pair.a.mss(client), pair.a.path_mtu(client)), (Ok(488), Ok(path)), "{claim}");
        let other = pair.open(A, Protocol::Udp);
        pair.connect(A, other, end(B, 7)).unwrap();
        assert_eq!(pair.a.path_mtu(other), Ok(path));
    }
}

#[test]
fn a_flow_in_time_wait_is_opened_anew_by_a_later_syn() {
    let mut pair = Pair::new();
    let listener = pair.listen(B, 80, 8);
    for round in 0..3 {
        let (now, client) = (pair.now, pair.open(A, Protocol::Tcp));
        pair.a.bind(client, any(5000), now).unwrap();
        assert_eq!(pair.connect(A, client, end(B, 80)), Err(Error::InProgress), "round {round}");
        pair.run_for(Duration::from_secs(2));
        let server = accept(&mut pair, B, listener).unwrap();
        pair.close(B, server); // B waits
        pair.run();
        pair.close(A, client);
        pair.run_for(Duration::from_secs(2));
    }
}

#[test]
fn a_socket_connects_to_itself() {
    let mut pair = Pair::new();
    let (now, id) = (pair.now, pair.open(A, Protocol::Tcp));
    pair.a.bind(id, at("127.0.0.1:5000"), now).unwrap();
    assert_eq!(pair.connect(A, id, at("127.0.0.1:5000")), Err(Error::InProgress));
    assert_eq!(pair.connect(A, id, at("127.0.0.1:5000")), Ok(()));
    pair.send(A, id, b"me").unwrap();
    assert_eq!(pair.recv(A, id), Ok(b"me".to_vec()));
}

#[test]
fn a_destination_of_many_is_refused() {
    let mut pair = Pair::new();
    let id = pair.open(A, Protocol::Tcp);
    for to in ["10.0.0.255:80", "255.255.255.255:80", "224.0.0.1:80"] {
        assert_eq!(pair.connect(A, id, at(to)), Err(Error::NetUnreachable), "{to}");
    }
}

#[test]
fn marks_on_the_way_halve_the_window_and_lose_nothing() {
    let mut pair = Pair::new();
    pair.a.knobs_mut().set("tcp_ecn", 1).unwrap();
    let (client, server) = pair.connected(A, 80);
    let mut n = 0;
    pair.filter = Some(Box::new(move |side, bytes: &mut Vec<u8>| {
        // Every hundredth capable segment is marked; the header's checksum changes by as much (RFC 1624).
        if side == A && segment(bytes).is_some() && bytes[15] & 3 == 2 {
            n += 1;
            if n % 100 == 0 {
                bytes[15] |= 3;
                bytes[24..26].fill(0);
                let sum = !checksum::fold(checksum::add(0, &bytes[14..34]));
                bytes[24..26].copy_from_slice(&sum.to_be_bytes());
            }
        }
        true
    }));
    let data = pattern(2_000_000);
    assert!(transfer(&mut pair, (A, client), (B, server), &data) == data);
    let now = pair.now;
    let info = pair.a.tcp_info(client, now).unwrap();
    assert!(info.delivered_ce > 0 && info.snd_ssthresh < 0x7fff_ffff && info.total_retrans == 0);
    assert!(pair.b.counters().ip_in_ce_pkts > 5 && pair.b.counters().ip_in_ect0_pkts > 500);
    let told = pair.sent.iter().filter_map(|(_, bytes)| segment(bytes));
    assert!(told.filter(|header| header.flags.contains(Flags::CWR) && !header.flags.contains(Flags::SYN)).count() > 3);
}

#[test]
fn many_unread_connections_hold_no_more_memory_than_all_together_may() {
    let mut pair = Pair::on(Wire { memory: Limits::at_most(1 << 20), ..Wire::default() });
    pair.keep_sent = false;
    let listener = pair.listen(B, 80, 100);
    let ours: Vec<_> = (0..64).map(|_| start(&mut pair, 80)).collect();
    pair.run_for(Duration::from_millis(50));
    let theirs: Vec<_> = ours.iter().map(|_| accept(&mut pair, B, listener).unwrap()).collect();
    let data = pattern(60_000);
    let mut sent = vec![0; ours.len()];
    let mut most = 0;
    for _ in 0..100 {
        for (id, sent) in ours.iter().zip(&mut sent) {
            *sent += pair.send(A, *id, &data[*sent..]).unwrap_or(0);
        }
        pair.run_for(Duration::from_millis(10));
        most = most.max(pair.b.tcp_memory()).max(pair.a.tcp_memory());
    }
    assert!((700_000..1_500_000).contains(&most), "{most}");
    assert_eq!(pair.b.counters().tcp_memory_pressures, 1);
    assert!(pair.b.counters().tcp_rcv_pruned > 0);
    // With readers everything arrives, and nothing is held.
    let mut got = vec![Vec::new(); theirs.len()];
    let whole = pair.run_until(Duration::from_secs(300), |pair| {
        for (id, sent) in ours.iter().zip(&mut sent) {
            *sent += pair.send(A, *id, &data[*sent..]).unwrap_or(0);
        }
        for (id, got) in theirs.iter().zip(&mut got) {
            while let Ok(bytes) = pair.recv(B, *id) {
                got.extend(bytes);
            }
        }
        got.iter().all(|got| got.len() == data.len())
    });
    assert!(whole && got.iter().all(|got| *got == data));
    pair.run_for(Duration::from_secs(1));
    assert_eq!((pair.a.tcp_memory(), pair.b.tcp_memory()), (0, 0));
}
