//! Connections are made, refused and found impossible, in both directions.

use crate::{
    kernel,
    netns::{KERNEL, Namespace, OURS},
    program::Puppet,
};
use std::{
    io::{ErrorKind, Write},
    time::{Duration, Instant},
};

#[test]
fn we_connect_and_both_sides_speak() {
    let namespace = Namespace::new();
    let (listener, port) = kernel::listener(&namespace);
    let mut app = Puppet::new(&namespace, "");
    let fd = app.connected(port);
    let mut peer = kernel::accepted(&listener);
    app.gives(format!("peer {fd}"), format!("{KERNEL}:{port}"));
    app.gives(format!("name {fd}"), peer.peer_addr().unwrap().to_string());
    app.gives(format!("send {fd} hello"), "5");
    assert_eq!(kernel::read(&mut peer, 5), b"hello");
    peer.write_all(b"world").unwrap();
    app.gives(format!("recv {fd} 100"), "5 world");
    drop(peer);
    app.gives(format!("recv {fd} 100"), "0");
    app.gives(format!("close {fd}"), "0");
}

#[test]
fn the_kernel_connects_and_both_sides_speak() {
    let namespace = Namespace::new();
    let mut app = Puppet::new(&namespace, "");
    let listener = app.listening(7, 5);
    let mut peer = kernel::connected(&namespace, 7);
    let fd = app.number(format!("accept {listener}"));
    app.gives(format!("peer {fd}"), peer.local_addr().unwrap().to_string());
    app.gives(format!("name {fd}"), format!("{OURS}:7"));
    peer.write_all(b"hello").unwrap();
    app.gives(format!("recv {fd} 100"), "5 hello");
    app.gives(format!("send {fd} world"), "5");
    assert_eq!(kernel::read(&mut peer, 5), b"world");
    app.gives(format!("close {fd}"), "0");
    assert_eq!(kernel::read_all(&mut peer).unwrap(), b"");
}

#[test]
fn a_connection_can_be_waited_for_with_poll() {
    let namespace = Namespace::new();
    let (_listener, port) = kernel::listener(&namespace);
    let mut app = Puppet::new(&namespace, "");
    let fd = app.number("socket tcp");
    app.gives(format!("nonblock {fd}"), "0");
    app.gives(format!("connect {fd} {KERNEL} {port}"), "-1 EINPROGRESS");
    app.gives(format!("poll 5000 {fd}:out|in"), format!("{fd}:out"));
    app.gives(format!("get {fd} error"), "0");
    app.gives(format!("peer {fd}"), format!("{KERNEL}:{port}"));
}

#[test]
fn accept_waits_for_the_kernel_to_connect() {
    let namespace = Namespace::new();
    let mut app = Puppet::new(&namespace, "");
    let listener = app.listening(7, 5);
    app.begin(format!("accept {listener}"));
    std::thread::sleep(Duration::from_millis(300));
    let peer = kernel::connected(&namespace, 7);
    let fd: i64 = app.answer().parse().expect("a descriptor");
    app.gives(format!("peer {fd}"), peer.local_addr().unwrap().to_string());
}

#[test]
fn the_kernel_refuses_us() {
    let namespace = Namespace::new();
    let (listener, port) = kernel::listener(&namespace);
    drop(listener);
    let mut app = Puppet::new(&namespace, "");
    let fd = app.number("socket tcp");
    app.gives(format!("connect {fd} {KERNEL} {port}"), "-1 ECONNREFUSED");
    // The socket may be used again (connect(2) leaves that open, Linux allows it).
    let (_listener, port) = kernel::listener(&namespace);
    app.gives(format!("connect {fd} {KERNEL} {port}"), "0");

    let fd = app.number("socket tcp");
    app.gives(format!("nonblock {fd}"), "0");
    app.gives(format!("connect {fd} {KERNEL} 9"), "-1 EINPROGRESS");
    app.gives(format!("poll 5000 {fd}:out"), format!("{fd}:out|err|hup"));
    app.gives(format!("get {fd} error"), "ECONNREFUSED");
}

#[test]
fn we_refuse_the_kernel() {
    let namespace = Namespace::new();
    let mut app = Puppet::new(&namespace, "");
    let refused = |port| kernel::connect(&namespace, port).expect_err("nobody listens").kind();
    assert_eq!(refused(7), ErrorKind::ConnectionRefused);
    let listener = app.listening(7, 5);
    drop(kernel::connected(&namespace, 7));
    app.gives(format!("close {listener}"), "0");
    assert_eq!(refused(7), ErrorKind::ConnectionRefused);
}

#[test]
fn a_host_that_is_not_there_is_unreachable() {
    let namespace = Namespace::new();
    let mut app = Puppet::new(&namespace, "");
    let fd = app.number("socket tcp");
    let begun = Instant::now();
    app.gives(format!("connect {fd} 10.97.0.77 7"), "-1 EHOSTUNREACH");
    let took = begun.elapsed();
    assert!((Duration::from_secs(1)..Duration::from_secs(10)).contains(&took), "three ARP requests took {took:?}");

    let fd = app.number("socket udp");
    app.gives(format!("connect {fd} 10.97.0.78 7"), "0");
    app.gives(format!("send {fd} hello"), "5");
    // Linux tells a datagram socket only if it asked to be told (IP_RECVERR).
    app.gives(format!("poll 5000 {fd}:in"), "nothing");
}

#[test]
fn without_a_route_the_network_is_unreachable_at_once() {
    let namespace = Namespace::new();
    let mut app = Puppet::new(&namespace, "");
    let begun = Instant::now();
    let fd = app.number("socket tcp");
    app.gives(format!("connect {fd} 192.0.2.1 7"), "-1 ENETUNREACH");
    let fd = app.number("socket udp");
    app.gives(format!("connect {fd} 192.0.2.1 7"), "-1 ENETUNREACH");
    app.gives(format!("sendto {fd} 192.0.2.1 7 10"), "-1 ENETUNREACH");
    assert!(begun.elapsed() < Duration::from_secs(1));
}

#[test]
fn what_a_router_says_of_a_destination_is_what_connect_says() {
    let namespace = Namespace::new();
    namespace.sysctl("ipv4/ip_forward", "1");
    namespace.sysctl("ipv4/icmp_ratemask", "0");
    namespace.ip("route add unreachable 192.0.2.0/24");
    namespace.ip("route add prohibit 198.51.100.0/24");
    let mut app = Puppet::new(&namespace, ",gw=10.97.0.1");
    // (destination, code of the router's message, errno as in the kernel's own table)
    for (to, error) in [("192.0.2.1", "EHOSTUNREACH"), ("198.51.100.1", "EHOSTUNREACH"), ("203.0.113.1", "ENETUNREACH")]
    {
        let begun = Instant::now();
        let fd = app.number("socket tcp");
        app.gives(format!("connect {fd} {to} 7"), format!("-1 {error}"));
        assert!(begun.elapsed() < Duration::from_secs(3), "{to} took {:?}", begun.elapsed());
        app.gives(format!("close {fd}"), "0");
    }
}

#[test]
fn a_burst_of_connections_waits_in_the_backlog() {
    let namespace = Namespace::new();
    kernel::raise_descriptor_limit();
    let mut app = Puppet::new(&namespace, "");
    app.gives("nofile", "0");
    let listener = app.listening(7, 1024);
    let peers = kernel::begin_connecting(&namespace, 7, 1000);
    peers.iter().for_each(kernel::finish_connecting);
    app.gives(format!("take {listener} 1000"), "1000");
    app.gives("hangup", "1000");
    for mut peer in peers {
        assert_eq!(kernel::read_all(&mut peer).unwrap(), b"");
    }
}

#[test]
fn who_finds_the_backlog_full_comes_in_later() {
    let namespace = Namespace::new();
    let mut app = Puppet::new(&namespace, "");
    let listener = app.listening(7, 4);
    let peers = kernel::begin_connecting(&namespace, 7, 40);
    std::thread::sleep(Duration::from_millis(200));
    app.begin(format!("take {listener} 40"));
    for mut peer in &peers {
        kernel::finish_connecting(peer);
        // An acknowledgement of the handshake that came to a full backlog is made up for by the first data.
        peer.write_all(b"hello").unwrap();
    }
    assert_eq!(app.answer_within(Duration::from_secs(60)), "40");
}
