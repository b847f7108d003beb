//! UDP, IP, ICMP and ARP of two whole stacks on a wire.

mod wire_pair;

use sockeye::{
    error::Error,
    ready::Ready,
    stack::{Medium, MtuDiscover, Protocol, SendTo},
    tcp::{RecvFlags, SendFlags, Shutdown},
    time::Duration,
    udp::error_queue::Origin,
    wire::{checksum, ethernet, ipv4},
};
use std::{
    io::{IoSlice, IoSliceMut},
    net::{IpAddr, Ipv4Addr},
};
use wire_pair::{Pair, Side, Side::A, Side::B, Wire, any, at, end};

/// Frames of this EtherType that a side has sent.
fn frames(pair: &Pair, side: Side, ether_type: ethernet::EtherType) -> usize {
    let is = |bytes: &[u8]| ethernet::Header::parse(bytes).unwrap().ether_type == ether_type;
    pair.sent.iter().filter(|(from, bytes)| *from == side && is(bytes)).count()
}

/// An Ethernet frame from A to B with an IPv4 datagram.
fn datagram(header: ipv4::Header, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 34];
    let (dst, src) = (ethernet::MacAddr(B.mac()), ethernet::MacAddr(A.mac()));
    ethernet::Header { dst, src, ether_type: ethernet::EtherType::IPV4 }.emit(&mut bytes);
    let defaults = ipv4::Header {
        total_len: 20 + payload.len() as u16,
        src: Ipv4Addr::new(10, 0, 0, 1),
        dst: Ipv4Addr::new(10, 0, 0, 2),
        ..header
    };
    defaults.emit(&mut bytes[14..]);
    bytes.extend_from_slice(payload);
    bytes
}

/// A UDP datagram from port 5 to `port`, without checksum.
fn udp_bytes(port: u16, data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 5];
    bytes.extend_from_slice(&port.to_be_bytes());
    bytes.extend_from_slice(&(8 + data.len() as u16).to_be_bytes());
    bytes.extend_from_slice(&[0, 0]);
    bytes.extend_from_slice(data);
    bytes
}

#[test]
fn a_datagram_waits_for_arp_and_its_echo_comes_back() {
    let mut pair = Pair::new();
    let (client, server) = (pair.open(A, Protocol::Udp), pair.udp(B, 7));
    assert_eq!(pair.send_to(A, client, b"hello", Some(end(B, 7))), Ok(5));
    pair.run();
    let (data, meta) = pair.recv_from(B, server).unwrap();
    assert_eq!((data.as_slice(), meta.to, meta.ttl), (b"hello".as_slice(), Some(B.addr()), 64));
    pair.send_to(B, server, b"world", meta.from).unwrap();
    pair.run();
    let (data, meta) = pair.recv_from(A, client).unwrap();
    assert_eq!((data.as_slice(), meta.from), (b"world".as_slice(), Some(end(B, 7))));
    assert_eq!(frames(&pair, A, ethernet::EtherType::ARP), 1, "one request");
    assert_eq!(frames(&pair, B, ethernet::EtherType::ARP), 1, "one reply, and B learnt A from the request");
    assert!(pair.events.contains(&(B, server, Ready::IN | Ready::RDNORM)));
}

#[test]
fn a_tun_needs_no_arp() {
    let mut pair = Pair::on(Wire { medium: Medium::Ip, ..Wire::default() });
    let (client, server) = (pair.open(A, Protocol::Udp), pair.udp(B, 7));
    pair.send_to(A, client, b"hello", Some(end(B, 7))).unwrap();
    pair.run();
    assert_eq!((pair.recv(B, server).unwrap(), pair.sent.len()), (b"hello".to_vec(), 1));
}

#[test]
fn the_largest_datagram_goes_in_fragments_and_a_larger_one_does_not_go() {
    let mut pair = Pair::new();
    let (client, server) = (pair.open(A, Protocol::Udp), pair.udp(B, 7));
    let data: Vec<u8> = (0..65_507u32).map(|i| (i * 31 % 251) as u8).collect();
    assert_eq!(pair.send_to(A, client, &data, Some(end(B, 7))), Ok(65_507));
    pair.run();
    assert!(pair.recv(B, server).unwrap() == data);
    assert_eq!((pair.a.counters().ip_frag_creates, pair.b.counters().ip_reasm_oks), (45, 1));
    assert_eq!(pair.send_to(A, client, &[0; 65_508], Some(end(B, 7))), Err(Error::MessageTooLong));
}

#[test]
fn a_socket_that_forbids_fragments_hears_what_is_too_large() {
    let mut pair = Pair::new();
    let client = pair.open(A, Protocol::Udp);
    pair.a.settings(client).unwrap().ip.mtu_discover = MtuDiscover::Do;
    assert_eq!(pair.send_to(A, client, &[0; 1473], Some(end(B, 7))), Err(Error::MessageTooLong));
    assert_eq!(pair.send_to(A, client, &[0; 1472], Some(end(B, 7))), Ok(1472));
}

#[test]
fn overlapping_fragments_deliver_nothing() {
    let mut pair = Pair::new();
    let server = pair.udp(B, 7);
    let whole = udp_bytes(7, &[b'x'; 24]);
    let part = |offset: usize, end: usize| {
        let header = ipv4::Header {
            id: 9,
            protocol: 17,
            more_fragments: end < whole.len(),
            fragment_offset: offset as u16,
            ..ipv4::Header::default()
        };
        datagram(header, &whole[offset..end])
    };
    for bytes in [part(0, 16), part(8, 24), part(16, 32)] {
        pair.inject(A, &bytes);
    }
    pair.run();
    assert_eq!(pair.recv(B, server), Err(Error::WouldBlock));
    let mut good = [part(0, 16), part(16, 32)];
    good.iter_mut().for_each(|bytes| {
        bytes[19] = 10; // another identification: the first is poisoned
        bytes[24..26].fill(0);
        let sum = !checksum::fold(checksum::add(0, &bytes[14..34]));
        bytes[24..26].copy_from_slice(&sum.to_be_bytes());
    });
    good.iter().for_each(|bytes| pair.inject(A, bytes));
    pair.run();
    assert_eq!(pair.recv(B, server), Ok(vec![b'x'; 24]));
}

#[test]
fn a_reassembly_that_times_out_tells_the_sender_if_the_first_fragment_came() {
    let mut pair = Pair::new();
    pair.udp(B, 7);
    let header = ipv4::Header { id: 9, protocol: 17, more_fragments: true, ..ipv4::Header::default() };
    pair.inject(A, &datagram(header, &udp_bytes(7, &[0; 24])));
    pair.run_for(Duration::from_secs(29));
    assert_eq!(pair.b.counters().icmp_out_msgs, 0);
    pair.run_for(Duration::from_secs(2));
    assert_eq!((pair.b.counters().icmp_out_msgs, pair.b.counters().ip_reasm_timeout), (1, 1));
}

#[test]
fn a_closed_port_refuses_a_connected_socket_and_only_that() {
    let mut pair = Pair::new();
    let (connected, loose, chatty) =
        (pair.open(A, Protocol::Udp), pair.open(A, Protocol::Udp), pair.open(A, Protocol::Udp));
    pair.a.settings(chatty).unwrap().ip.recverr = true;
    pair.connect(A, connected, end(B, 99)).unwrap();
    pair.send(A, connected, b"x").unwrap();
    pair.send_to(A, loose, b"x", Some(end(B, 99))).unwrap();
    pair.send_to(A, chatty, b"x", Some(end(B, 99))).unwrap();
    pair.run();
    assert!(pair.a.ready(connected).contains(Ready::ERR));
    assert_eq!(pair.recv(A, connected), Err(Error::ConnectionRefused));
    assert_eq!(pair.recv(A, connected), Err(Error::WouldBlock));
    assert_eq!(pair.recv(A, loose), Err(Error::WouldBlock));
    assert_eq!(pair.a.take_error(chatty), Ok(Some(Error::ConnectionRefused)));
}

#[test]
fn refusals_are_rate_limited() {
    let mut pair = Pair::new();
    let client = pair.open(A, Protocol::Udp);
    for _ in 0..100 {
        pair.send_to(A, client, b"x", Some(end(B, 99))).unwrap();
        pair.run();
    }
    assert_eq!((pair.b.counters().icmp_out_msgs, pair.b.counters().icmp_out_rate_limited), (6, 94));
}

#[test]
fn a_host_that_is_not_there_is_unreachable_after_three_requests() {
    let mut pair = Pair::new();
    let client = pair.open(A, Protocol::Udp);
    pair.a.settings(client).unwrap().ip.recverr = true;
    pair.send_to(A, client, b"x", Some(at("10.0.0.77:7"))).unwrap();
    pair.run_for(Duration::from_millis(2900));
    assert_eq!(pair.a.take_error(client), Ok(None));
    pair.run_for(Duration::from_millis(200));
    let report = pair.a.take_error_report(client).unwrap();
    assert_eq!((report.error, report.dest, report.payload), (Error::HostUnreachable, at("10.0.0.77:7"), b"x".to_vec()));
    // As if a router had said so, and that router were this host.
    let Origin::Icmp { kind: 3, code: 1, meta } = report.origin else { panic!("{:?}", report.origin) };
    assert_eq!((meta.from.addr, meta.tos), ("10.0.0.1".parse().unwrap(), 0xc0));
    assert_eq!(pair.a.take_error(client), Ok(None));
    assert_eq!(pair.a.counters().arp_out, 3);
}

#[test]
fn a_ping_is_answered() {
    let mut pair = Pair::new();
    let mut echo = vec![8, 0, 0, 0, 1, 2, 0, 3, b'd', b'a', b't', b'a'];
    let sum = !checksum::fold(checksum::add(0, &echo));
    echo[2..4].copy_from_slice(&sum.to_be_bytes());
    pair.inject(A, &datagram(ipv4::Header { protocol: 1, ..ipv4::Header::default() }, &echo));
    pair.run();
    let (_, reply) =
        pair.sent.iter().rev().find(|(from, bytes)| *from == B && bytes[12] == 8 && bytes[13] == 0).unwrap();
    assert_eq!((reply[34], &reply[38..]), (0, &echo[4..]));
}

#[test]
fn a_packet_too_big_message_lowers_the_path_mtu_of_later_datagrams() {
    let mut pair = Pair::new();
    let client = pair.open(A, Protocol::Udp);
    pair.connect(A, client, end(B, 7)).unwrap();
    pair.send(A, client, &[0; 1400]).unwrap();
    pair.run();
    let quote = pair.sent.iter().rev().find(|(from, bytes)| *from == A && bytes.len() > 1400).unwrap().1[14..].to_vec();
    let mut error = vec![3, 4, 0, 0, 0, 0, 0x04, 0x00];
    error.extend_from_slice(&quote[..28]);
    let sum = !checksum::fold(checksum::add(0, &error));
    error[2..4].copy_from_slice(&sum.to_be_bytes());
    let mut frame = datagram(ipv4::Header { protocol: 1, ..ipv4::Header::default() }, &error);
    let (dst, src) = (ethernet::MacAddr(A.mac()), ethernet::MacAddr(B.mac()));
    ethernet::Header { dst, src, ether_type: ethernet::EtherType::IPV4 }.emit(&mut frame);
    frame[26..34].copy_from_slice(&[10, 0, 0, 254, 10, 0, 0, 1]);
    frame[24..26].fill(0);
    let sum = !checksum::fold(checksum::add(0, &frame[14..34]));
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
    pair.a.set_recverr(client, true).unwrap();
    pair.inject(B, &frame);
    pair.run();
    assert_eq!(pair.a.path_mtu(client), Ok(1024));
    assert_eq!(pair.a.take_error(client), Ok(Some(Error::MessageTooLong)));
    let report = pair.a.take_error_report(client).unwrap();
    assert_eq!((report.error, report.info, report.dest), (Error::MessageTooLong, 1024, end(B, 7)));
    assert!(
        matches!(report.origin, Origin::Icmp { kind: 3, code: 4, meta } if meta.from.addr == at("10.0.0.254:0").addr)
    );
    // What is refused here is told with the same MTU.
    pair.a.settings(client).unwrap().ip.mtu_discover = MtuDiscover::Do;
    assert_eq!(pair.send(A, client, &[0; 1400]), Err(Error::MessageTooLong));
    let report = pair.a.take_error_report(client).unwrap();
    assert_eq!((report.origin, report.info, report.dest), (Origin::Local, 1024, end(B, 7)));
    pair.a.settings(client).unwrap().ip.mtu_discover = MtuDiscover::Want;
    pair.sent.clear();
    pair.send(A, client, &[0; 1400]).unwrap();
    pair.run();
    assert_eq!(pair.a.counters().ip_frag_oks, 1);
    pair.run_for(Duration::from_secs(601));
    assert_eq!(pair.a.path_mtu(client), Ok(1500));
}

#[test]
fn broadcasts_need_permission_and_reach_every_socket() {
    let mut pair = Pair::new();
    let client = pair.open(A, Protocol::Udp);
    let servers = [pair.open(B, Protocol::Udp), pair.open(B, Protocol::Udp)];
    for server in servers {
        pair.b.settings(server).unwrap().reuse_addr = true;
        pair.bind(B, server, 67).unwrap();
    }
    let to = Some(at("10.0.0.255:67"));
    assert_eq!(pair.send_to(A, client, b"x", to), Err(Error::AccessDenied));
    pair.a.settings(client).unwrap().broadcast = true;
    pair.send_to(A, client, b"x", to).unwrap();
    pair.send_to(A, client, b"y", Some(at("255.255.255.255:67"))).unwrap();
    pair.run();
    for server in servers {
        assert_eq!((pair.recv(B, server), pair.recv(B, server)), (Ok(b"x".to_vec()), Ok(b"y".to_vec())));
    }
    pair.send_to(A, client, b"z", Some(end(B, 67))).unwrap();
    pair.run();
    assert_eq!(pair.recv(B, servers[1]), Ok(b"z".to_vec()), "unicast goes to the last that bound");
    assert_eq!(pair.recv(B, servers[0]), Err(Error::WouldBlock));
}

#[test]
fn a_group_of_reuse_port_sockets_shares_the_senders() {
    let mut pair = Pair::new();
    let servers: Vec<_> = (0..4)
        .map(|_| {
            let id = pair.open(B, Protocol::Udp);
            pair.b.settings(id).unwrap().reuse_port = true;
            pair.bind(B, id, 53).unwrap();
            id
        })
        .collect();
    let outsider = pair.open(B, Protocol::Udp);
    assert_eq!(pair.bind(B, outsider, 53), Err(Error::AddrInUse));
    for _ in 0..200 {
        let client = pair.open(A, Protocol::Udp);
        pair.send_to(A, client, b"q", Some(end(B, 53))).unwrap();
        pair.run();
    }
    let counts: Vec<_> = servers.iter().map(|&id| std::iter::from_fn(|| pair.recv(B, id).ok()).count()).collect();
    assert!(counts.iter().sum::<usize>() == 200 && counts.iter().all(|&count| count > 20), "{counts:?}");
}

#[test]
fn a_stack_talks_to_itself_by_every_address_of_its_own() {
    let mut pair = Pair::new();
    let (client, server) = (pair.open(A, Protocol::Udp), pair.udp(A, 7));
    for to in ["127.0.0.1:7", "127.9.9.9:7", "10.0.0.1:7", "0.0.0.0:7"] {
        pair.send_to(A, client, to.as_bytes(), Some(at(to))).unwrap();
        assert_eq!(pair.recv(A, server), Ok(to.as_bytes().to_vec()));
    }
    assert!(pair.sent.is_empty());
    let huge = vec![7; 65_507];
    pair.send_to(A, client, &huge, Some(at("127.0.0.1:7"))).unwrap();
    assert!(pair.recv(A, server) == Ok(huge));
}

#[test]
fn a_closed_port_of_our_own_refuses_at_once() {
    let mut pair = Pair::new();
    let client = pair.open(A, Protocol::Udp);
    pair.connect(A, client, at("127.0.0.1:9")).unwrap();
    pair.send(A, client, b"x").unwrap();
    assert_eq!(pair.recv(A, client), Err(Error::ConnectionRefused));
}

#[test]
fn peek_truncation_and_corking_are_as_on_linux() {
    let mut pair = Pair::new();
    let (client, server) = (pair.open(A, Protocol::Udp), pair.udp(B, 7));
    pair.connect(A, client, end(B, 7)).unwrap();
    let now = pair.now;
    let more = SendFlags { more: true, ..SendFlags::default() };
    assert_eq!(pair.a.send(client, &[IoSlice::new(b"hel")], &SendTo::default(), more, now), Ok(3));
    assert_eq!(pair.a.unacknowledged(client), Ok(3));
    assert_eq!(pair.send(A, client, b"lo"), Ok(2));
    pair.run();
    let mut small = [0; 2];
    let peek = RecvFlags { peek: true, ..RecvFlags::default() };
    let got = pair.b.recv(server, &mut [IoSliceMut::new(&mut small)], peek, now).unwrap();
    assert_eq!((got.len, got.full_len, &small), (2, 5, b"he"));
    assert_eq!(pair.b.readable(server), Ok(5));
    assert_eq!(pair.recv(B, server), Ok(b"hello".to_vec()));
}

#[test]
fn connect_chooses_the_source_and_filters_the_senders() {
    let mut pair = Pair::new();
    let (client, stranger, server) = (pair.open(A, Protocol::Udp), pair.udp(B, 8), pair.udp(B, 7));
    pair.connect(A, client, end(B, 7)).unwrap();
    let local = pair.a.local_endpoint(client).unwrap();
    assert_eq!((local.addr, pair.a.remote_endpoint(client)), (A.addr(), Ok(end(B, 7))));
    pair.send_to(B, stranger, b"no", Some(local)).unwrap();
    pair.send_to(B, server, b"yes", Some(local)).unwrap();
    pair.run();
    assert_eq!(pair.recv(A, client), Ok(b"yes".to_vec()));
    assert_eq!(pair.recv(A, client), Err(Error::WouldBlock));
    let now = pair.now;
    pair.a.disconnect(client, now).unwrap();
    assert_eq!(pair.a.local_endpoint(client), Ok(any(0)));
    assert_eq!(pair.send(A, client, b"x"), Err(Error::DestinationRequired));
}

#[test]
fn the_rules_of_binding_are_kept() {
    let mut pair = Pair::new();
    let now = pair.now;
    let id = pair.open(A, Protocol::Udp);
    assert_eq!(pair.a.bind(id, at("10.0.0.9:5"), now), Err(Error::AddrNotAvailable));
    assert_eq!(pair.a.bind(id, at("[::1]:5"), now), Err(Error::FamilyNotSupported));
    assert_eq!(pair.a.bind(id, at("10.0.0.1:0"), now), Ok(()));
    let port = pair.a.local_endpoint(id).unwrap().port;
    assert!((32_768..=60_999).contains(&port));
    assert_eq!(pair.a.bind(id, any(5), now), Err(Error::Invalid));
    let other = pair.open(A, Protocol::Udp);
    assert_eq!(pair.a.bind(other, any(port), now), Err(Error::AddrInUse));
    assert_eq!(pair.a.bind(other, at("127.0.0.1:5"), now), Ok(()));
    assert_eq!(pair.send_to(A, other, b"x", Some(end(B, 7))), Err(Error::Invalid), "127/8 never leaves the host");
}

#[test]
fn a_shut_down_socket_ends_reading_and_writing() {
    let mut pair = Pair::new();
    let (now, id) = (pair.now, pair.udp(A, 7));
    assert_eq!(pair.a.shutdown(id, Shutdown::Both, now), Err(Error::NotConnected));
    assert_eq!(pair.recv(A, id), Ok(Vec::new()));
    assert_eq!(pair.send_to(A, id, b"x", Some(end(B, 7))), Err(Error::BrokenPipe));
}

#[test]
fn a_wrong_checksum_is_dropped_and_none_is_accepted() {
    let mut pair = Pair::new();
    let server = pair.udp(B, 7);
    let mut bytes = udp_bytes(7, b"hello");
    pair.inject(A, &datagram(ipv4::Header { protocol: 17, ..ipv4::Header::default() }, &bytes));
    bytes[7] = 1;
    pair.inject(A, &datagram(ipv4::Header { protocol: 17, ..ipv4::Header::default() }, &bytes));
    pair.run();
    assert_eq!(pair.recv(B, server), Ok(b"hello".to_vec()));
    assert_eq!((pair.recv(B, server), pair.b.counters().udp_in_csum_errors), (Err(Error::WouldBlock), 1));
}

#[test]
fn an_address_that_two_use_is_defended() {
    let mut pair = Pair::new();
    let now = pair.now;
    pair.a.probe_addresses(now);
    pair.run_for(Duration::from_secs(3));
    assert_eq!(frames(&pair, A, ethernet::EtherType::ARP), 5, "three probes, two announcements");
    let mut claim = pair.sent.last().unwrap().1.clone();
    claim[6..12].copy_from_slice(&THIEF);
    claim[22..28].copy_from_slice(&THIEF);
    for _ in 0..3 {
        pair.inject(B, &claim);
    }
    pair.run();
    assert_eq!(pair.a.poll_lost_address(), None);
    assert_eq!(frames(&pair, A, ethernet::EtherType::ARP), 6, "defended once");
}

/// Whoever else wants an address.
const THIEF: [u8; 6] = [2, 0, 0, 0, 0, 66];

/// What `side` has sent: when our address is the sender's of it, and the others, which are probes.
fn by_sender(pair: &Pair, side: Side) -> (usize, usize) {
    let sender = |frame: &[u8]| match frame[12..14] {
        [8, 6] => frame[28..32].to_vec(),
        _ => frame[26..30].to_vec(),
    };
    let IpAddr::V4(own) = side.addr() else { unreachable!() };
    let sent: Vec<_> = pair.sent.iter().filter(|(from, _)| *from == side).map(|(_, frame)| sender(frame)).collect();
    let (ours, others): (Vec<_>, Vec<_>) = sent.into_iter().partition(|sender| *sender == own.octets());
    assert!(others.iter().all(|sender| *sender == [0; 4]), "{others:?}");
    (ours.len(), others.len())
}

#[test]
fn what_is_sent_leaves_when_the_address_is_ours_and_not_before() {
    let mut pair = Pair::new();
    let now = pair.now;
    pair.a.probe_addresses(now);
    let (server, client) = (pair.udp(B, 7), pair.udp(A, 9));
    assert_eq!(pair.send_to(A, client, b"x", Some(end(B, 7))), Ok(1));
    assert!(pair.a.is_draining(), "it waits");
    // To all, so that no neighbour is waited for.
    pair.a.settings(client).unwrap().broadcast = true;
    assert_eq!(pair.send_to(A, client, b"y", Some(at("10.0.0.255:7"))), Ok(1));
    // Who asks for the address, or sends to it, is not answered.
    assert_eq!(pair.send_to(B, server, b"z", Some(end(A, 9))), Ok(1));
    pair.run_for(Duration::from_millis(200));
    assert_eq!(by_sender(&pair, A), (0, 3));
    pair.run_for(Duration::from_millis(2));
    assert!(!pair.a.is_probing() && !pair.a.is_draining());
    let mut got = [pair.recv(B, server).unwrap(), pair.recv(B, server).unwrap()];
    got.sort_unstable();
    assert_eq!(got, [b"x".to_vec(), b"y".to_vec()]);
    assert_eq!(pair.recv(A, client), Ok(b"z".to_vec()), "the announcement was answer enough");
}

#[test]
fn of_a_burst_as_much_waits_for_a_neighbour_as_on_linux_and_the_rest_is_counted() {
    let mut pair = Pair::new();
    let client = pair.udp(A, 9);
    for _ in 0..1000 {
        assert_eq!(pair.send_to(A, client, &[0; 100], Some(end(B, 7))), Ok(100));
    }
    let counters = pair.a.counters();
    assert_eq!((counters.arp_unresolved_discards, counters.ip_out_discards), (744, 744));
    pair.run();
    assert_eq!(frames(&pair, A, ethernet::EtherType::IPV4), 256);
}

#[test]
fn two_that_start_together_and_look_for_each_other_both_get_their_addresses() {
    let mut pair = Pair::new();
    let now = pair.now;
    pair.a.probe_addresses(now);
    pair.b.probe_addresses(now);
    let (a, b) = (pair.udp(A, 7), pair.udp(B, 7));
    assert_eq!(pair.send_to(A, a, b"a", Some(end(B, 7))), Ok(1));
    assert_eq!(pair.send_to(B, b, b"b", Some(end(A, 7))), Ok(1));
    pair.run_for(Duration::from_millis(300));
    assert_eq!((pair.a.poll_lost_address(), pair.b.poll_lost_address()), (None, None));
    assert_eq!((pair.recv(A, a), pair.recv(B, b)), (Ok(b"b".to_vec()), Ok(b"a".to_vec())));
}

#[test]
fn an_address_that_another_has_is_lost_and_nothing_ever_leaves() {
    let mut pair = Pair::new();
    let now = pair.now;
    pair.a.probe_addresses(now);
    let client = pair.udp(A, 9);
    assert_eq!(pair.send_to(A, client, b"x", Some(end(B, 7))), Ok(1));
    pair.run_for(Duration::from_millis(100));
    let mut claim = pair.sent.last().unwrap().1.clone();
    claim[6..12].copy_from_slice(&THIEF);
    claim[22..28].copy_from_slice(&THIEF);
    pair.inject(B, &claim);
    pair.run();
    assert_eq!(pair.a.poll_lost_address(), Some((A.addr(), THIEF)));
    let now = pair.now;
    pair.a.on_device_gone(now);
    assert_eq!(pair.recv(A, client), Err(Error::NetDown));
    pair.run_for(Duration::from_secs(10));
    assert_eq!((by_sender(&pair, A), pair.a.is_draining()), ((0, 2), false));
}

#[test]
fn without_a_device_everything_says_so() {
    let mut pair = Pair::new();
    let (local, remote) = (pair.udp(A, 7), pair.open(A, Protocol::Udp));
    pair.connect(A, remote, end(B, 7)).unwrap();
    let now = pair.now;
    pair.a.on_device_gone(now);
    assert!(pair.a.ready(remote).contains(Ready::ERR | Ready::HUP));
    assert_eq!(pair.recv(A, remote), Err(Error::NetDown));
    assert_eq!(pair.recv(A, local), Err(Error::NetDown));
    let fresh = pair.open(A, Protocol::Udp);
    assert_eq!(pair.send_to(A, fresh, b"x", Some(end(B, 7))), Err(Error::NetDown));
    assert_eq!(pair.send_to(A, fresh, b"x", Some(at("127.0.0.1:7"))), Ok(1));
}

#[test]
fn a_stack_survives_any_bytes() {
    use sockeye::rng::{Rng, SeededRng};
    let mut rng = SeededRng::new([77, 1]);
    let mut pair = Pair::new();
    pair.keep_sent = false;
    pair.udp(B, 7);
    pair.listen(B, 80, 4);
    for _ in 0..20_000 {
        let len = rng.below(120) as usize;
        let mut bytes: Vec<u8> = (0..len).map(|_| rng.u64() as u8).collect();
        if len >= 54 && rng.chance(0.9) {
            let protocol = [1, 6, 17, 2, 99][rng.below(5) as usize];
            let header = ipv4::Header {
                protocol,
                more_fragments: rng.chance(0.1),
                fragment_offset: if rng.chance(0.1) { 8 * rng.below(100) as u16 } else { 0 },
                ..ipv4::Header::default()
            };
            if protocol != 1 {
                bytes[0..2].copy_from_slice(&[0, 5]);
                bytes[2..4].copy_from_slice(if rng.chance(0.5) { &[0, 7] } else { &[0, 80] });
            }
            bytes = datagram(header, &bytes);
        }
        pair.inject(A, &bytes);
        pair.run();
    }
    pair.run_for(Duration::from_secs(100));
}
