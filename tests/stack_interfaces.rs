//! Sockets that keep to one interface (SO_BINDTODEVICE, IP_PKTINFO), and groups (IP_MULTICAST_IF).

mod wire_pair;

use sockeye::{
    error::Error,
    stack::{IfaceId, Protocol, SendTo, SocketId},
    tcp::SendFlags,
    time::Duration,
};
use std::{
    io::IoSlice,
    net::{IpAddr, Ipv4Addr},
};
use wire_pair::{Pair, Side, Side::A, Side::B, any, at, end};

const LOOPBACK: Option<IfaceId> = Some(IfaceId::LOOPBACK);
const DEVICE: Option<IfaceId> = Some(IfaceId::DEVICE);

fn bind_to(pair: &mut Pair, side: Side, id: SocketId, iface: Option<IfaceId>) {
    let now = pair.now;
    pair.stack(side).settings(id).unwrap().iface = iface;
    pair.stack(side).on_settings_changed(id, now);
}

/// A datagram socket of B on port 7, bound to an interface.
fn server(pair: &mut Pair, iface: Option<IfaceId>) -> SocketId {
    let id = pair.open(B, Protocol::Udp);
    bind_to(pair, B, id, iface);
    pair.bind(B, id, 7).unwrap();
    id
}

#[test]
fn datagram_sockets_of_two_interfaces_share_a_port_and_hear_their_own() {
    let mut pair = Pair::new();
    let (inside, outside) = (server(&mut pair, LOOPBACK), server(&mut pair, DEVICE));
    let (stranger, own) = (pair.open(A, Protocol::Udp), pair.open(B, Protocol::Udp));
    pair.send_to(A, stranger, b"by the wire", Some(end(B, 7))).unwrap();
    pair.send_to(B, own, b"from inside", Some(at("127.0.0.1:7"))).unwrap();
    // As on Linux: by the interface that has the address.
    pair.send_to(B, own, b"to the device's address", Some(end(B, 7))).unwrap();
    pair.run();
    let mut got = [pair.recv(B, outside).unwrap(), pair.recv(B, outside).unwrap()];
    got.sort_unstable();
    assert_eq!(got, [b"by the wire".to_vec(), b"to the device's address".to_vec()]);
    assert_eq!(pair.recv(B, inside), Ok(b"from inside".to_vec()));
    assert_eq!([inside, outside].map(|id| pair.recv(B, id)), [Err(Error::WouldBlock), Err(Error::WouldBlock)]);
}

#[test]
fn a_socket_bound_to_an_interface_finds_no_way_by_the_other() {
    let mut pair = Pair::new();
    for protocol in [Protocol::Udp, Protocol::Tcp] {
        for (iface, dest, error) in [
            (LOOPBACK, end(B, 7), Some(Error::NetUnreachable)),
            (DEVICE, at("127.0.0.1:7"), Some(Error::NetUnreachable)),
            (DEVICE, at("127.255.255.255:7"), Some(Error::NetUnreachable)),
            (LOOPBACK, at("127.0.0.1:7"), None),
            (DEVICE, end(B, 7), None),
        ] {
            let id = pair.open(A, protocol);
            bind_to(&mut pair, A, id, iface);
            let result = pair.connect(A, id, dest);
            assert_eq!(result.err().filter(|error| *error != Error::InProgress), error, "{iface:?} to {dest}");
        }
    }
}

#[test]
fn a_listener_bound_to_the_device_is_closed_to_the_loopback_and_its_connections_keep_to_the_device() {
    let mut pair = Pair::new();
    let listener = pair.listen(B, 80, 8);
    bind_to(&mut pair, B, listener, DEVICE);
    for (dest, outcome) in [(at("127.0.0.1:80"), Err(Error::ConnectionRefused)), (end(B, 80), Ok(()))] {
        let own = pair.open(B, Protocol::Tcp);
        assert_eq!(pair.connect(B, own, dest), Err(Error::InProgress));
        pair.run();
        assert_eq!(pair.connect(B, own, dest), outcome, "{dest}");
    }
    let now = pair.now;
    assert!(pair.b.accept(listener, now).is_ok(), "as on Linux the device's address is the device's");
    let stranger = pair.open(A, Protocol::Tcp);
    assert_eq!(pair.connect(A, stranger, end(B, 80)), Err(Error::InProgress));
    pair.run();
    assert_eq!(pair.connect(A, stranger, end(B, 80)), Ok(()));
    let now = pair.now;
    let (child, _) = pair.b.accept(listener, now).unwrap();
    assert_eq!(pair.b.settings(child).unwrap().iface, DEVICE);
}

#[test]
fn two_listeners_of_one_port_divide_the_interfaces() {
    let mut pair = Pair::new();
    let listeners = [LOOPBACK, DEVICE].map(|iface| {
        let id = pair.open(B, Protocol::Tcp);
        bind_to(&mut pair, B, id, iface);
        pair.bind(B, id, 80).unwrap();
        let now = pair.now;
        pair.b.listen(id, 8, now).unwrap();
        id
    });
    let third = pair.open(B, Protocol::Tcp);
    assert_eq!(pair.bind(B, third, 80), Err(Error::AddrInUse));
    let (own, stranger) = (pair.open(B, Protocol::Tcp), pair.open(A, Protocol::Tcp));
    assert_eq!(pair.connect(B, own, at("127.0.0.1:80")), Err(Error::InProgress));
    assert_eq!(pair.connect(A, stranger, end(B, 80)), Err(Error::InProgress));
    pair.run();
    let now = pair.now;
    let peers = listeners.map(|id| pair.b.accept(id, now).unwrap().1.remote.addr);
    assert_eq!(peers, [IpAddr::V4(Ipv4Addr::LOCALHOST), A.addr()]);
}

#[test]
fn a_broadcast_of_ours_comes_back_by_the_device() {
    let mut pair = Pair::new();
    let (outside, inside) = (server(&mut pair, DEVICE), server(&mut pair, LOOPBACK));
    let sender = pair.open(B, Protocol::Udp);
    pair.b.settings(sender).unwrap().broadcast = true;
    pair.send_to(B, sender, b"all", Some(at("10.0.0.255:7"))).unwrap();
    pair.send_to(B, sender, b"all here", Some(at("127.255.255.255:7"))).unwrap();
    pair.run();
    let (data, meta) = pair.recv_from(B, outside).unwrap();
    assert_eq!((data, meta.iface), (b"all".to_vec(), DEVICE));
    assert_eq!(pair.recv(B, inside), Ok(b"all here".to_vec()));
    assert_eq!(pair.recv(B, outside), Err(Error::WouldBlock));
}

/// Sends one datagram to `dest` by `iface`.
fn send_by(pair: &mut Pair, id: SocketId, dest: &str, iface: Option<IfaceId>) -> Result<usize, Error> {
    let (now, to) = (pair.now, SendTo { dest: Some(at(dest)), iface, ..SendTo::default() });
    pair.b.send(id, &[IoSlice::new(b"x")], &to, SendFlags::default(), now)
}

#[test]
fn one_datagram_goes_by_the_interface_it_is_told_to() {
    let mut pair = Pair::new();
    let id = pair.open(B, Protocol::Udp);
    assert_eq!(send_by(&mut pair, id, "127.0.0.1:7", DEVICE), Err(Error::NetUnreachable));
    assert_eq!(send_by(&mut pair, id, "10.0.0.1:7", LOOPBACK), Err(Error::NetUnreachable));
    assert_eq!(send_by(&mut pair, id, "10.0.0.1:7", DEVICE), Ok(1));
    pair.connect(B, id, end(A, 7)).unwrap();
    assert_eq!(send_by(&mut pair, id, "10.0.0.1:7", LOOPBACK), Err(Error::NetUnreachable), "nor by the way it knows");
}

#[test]
fn groups_leave_by_the_interface_and_from_the_address_asked_for() {
    let mut pair = Pair::new();
    let (group, hosts) = ("239.1.2.3:7", "224.0.0.1:7");
    let (id, hearer) = (pair.open(B, Protocol::Udp), pair.udp(B, 7));
    let stranger = pair.udp(A, 7);
    send_by(&mut pair, id, hosts, None).unwrap();
    pair.run();
    assert_eq!(pair.recv_from(A, stranger).unwrap().1.from.unwrap().addr, B.addr());
    assert_eq!(pair.recv_from(B, hearer).unwrap().1.iface, DEVICE, "we are of that group, too");

    pair.b.settings(id).unwrap().ip.multicast_if = Some((IfaceId::LOOPBACK, Ipv4Addr::new(127, 0, 0, 5)));
    pair.sent.clear();
    send_by(&mut pair, id, hosts, None).unwrap();
    send_by(&mut pair, id, group, None).unwrap();
    pair.run();
    assert!(pair.sent.is_empty());
    let heard = pair.recv_from(B, hearer).unwrap().1;
    assert_eq!((heard.iface, heard.from.unwrap().addr), (LOOPBACK, IpAddr::from([127, 0, 0, 5])));

    let settings = pair.b.settings(id).unwrap();
    settings.ip.multicast_if = Some((IfaceId::DEVICE, Ipv4Addr::UNSPECIFIED));
    settings.ip.multicast_loop = false;
    send_by(&mut pair, id, hosts, None).unwrap();
    pair.run();
    assert_eq!(pair.recv_from(A, stranger).unwrap().1.from.unwrap().addr, B.addr());
    assert_eq!(pair.recv(B, hearer), Err(Error::WouldBlock), "IP_MULTICAST_LOOP is off");
}

#[test]
fn a_connection_that_is_bound_to_the_other_interface_hears_its_peer_no_more() {
    let mut pair = Pair::new();
    let (client, server) = pair.connected(A, 80);
    bind_to(&mut pair, A, client, LOOPBACK);
    pair.send(B, server, b"x").unwrap();
    pair.run_for(Duration::from_millis(100));
    assert_eq!(pair.recv(A, client), Err(Error::WouldBlock));
    assert_eq!(pair.recv(B, server), Err(Error::ConnectionReset), "nobody is there");
}

#[test]
fn a_send_that_fails_has_bound_the_socket() {
    let mut pair = Pair::new();
    let (now, id) = (pair.now, pair.open(A, Protocol::Udp));
    assert_eq!(pair.send(A, id, b"x"), Err(Error::DestinationRequired));
    pair.a.bind_implicitly(id, now).unwrap();
    assert_ne!(pair.a.local_endpoint(id).unwrap(), any(0));
}

#[test]
fn only_our_own_addresses_are_sources() {
    let mut pair = Pair::new();
    let (now, id) = (pair.now, pair.open(A, Protocol::Udp));
    for (source, error) in [
        ("192.0.2.1", Error::NetUnreachable),
        ("10.0.0.255", Error::NetUnreachable),
        ("224.0.0.1", Error::Invalid),
        ("255.255.255.255", Error::Invalid),
        ("0.1.2.3", Error::Invalid),
        ("127.0.0.1", Error::Invalid),
    ] {
        let to = SendTo { dest: Some(end(B, 7)), source: Some(source.parse().unwrap()), ..SendTo::default() };
        let sent = pair.a.send(id, &[IoSlice::new(b"x")], &to, SendFlags::default(), now);
        assert_eq!(sent, Err(error), "{source}");
    }
}
