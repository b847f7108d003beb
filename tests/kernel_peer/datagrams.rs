//! UDP, both ways.

use crate::{
    kernel,
    netns::{KERNEL, Namespace, OURS},
    program::Puppet,
    stream,
};
use std::{io::ErrorKind, net::UdpSocket, time::Duration};

/// The largest datagram of IPv4: 65,535 less the headers of IP and UDP.
const LARGEST: usize = 65_507;

#[test]
fn datagrams_go_both_ways_at_every_size() {
    for more in ["", ",offload=off"] {
        let namespace = Namespace::new();
        let mut app = Puppet::new(&namespace, more);
        let (peer, port) = kernel::datagrams(&namespace);
        let fd = app.number("socket udp");
        app.gives(format!("bind {fd} {OURS} 7"), "0");
        // Around one packet's size, many fragments, and the largest.
        for size in [0, 1, 1471, 1472, 1473, 2960, 9000, 40_000, LARGEST - 1, LARGEST] {
            let data = stream::bytes(size);
            app.gives(format!("sendto {fd} {KERNEL} {port} {size}"), size.to_string());
            let mut buf = vec![0; LARGEST + 1];
            let (len, from) = peer.recv_from(&mut buf).unwrap_or_else(|error| panic!("{size} bytes: {error}"));
            assert!(buf[..len] == data, "{len} of {size} bytes, or wrong ones");
            assert_eq!(from.to_string(), format!("{OURS}:7"));
            peer.send_to(&data, (OURS, 7)).unwrap();
            app.gives(format!("recvfrom {fd}"), format!("{size} right from {KERNEL}:{port}"));
        }
        app.gives(format!("sendto {fd} {KERNEL} {port} {}", LARGEST + 1), "-1 EMSGSIZE");
    }
}

#[test]
fn a_closed_port_of_the_kernel_refuses_our_datagrams() {
    let namespace = Namespace::new();
    let mut app = Puppet::new(&namespace, "");
    let fd = app.number("socket udp");
    app.gives(format!("connect {fd} {KERNEL} 9"), "0");
    app.gives(format!("send {fd} anybody"), "7");
    app.gives(format!("poll 5000 {fd}:in"), format!("{fd}:err"));
    app.gives(format!("recv {fd} 100"), "-1 ECONNREFUSED");
    app.gives(format!("recv {fd} 100 dontwait"), "-1 EAGAIN");
    app.gives(format!("send {fd} anybody"), "7");
    app.gives(format!("poll 5000 {fd}:in"), format!("{fd}:err"));
    app.gives(format!("get {fd} error"), "ECONNREFUSED");
    app.gives(format!("get {fd} error"), "0");
    // An unconnected socket is not told (RFC 1122 section 4.1.3.3 would; Linux does not without IP_RECVERR).
    let fd = app.number("socket udp");
    app.gives(format!("sendto {fd} {KERNEL} 9 10"), "10");
    app.gives(format!("poll 300 {fd}:in"), "nothing");
}

#[test]
fn our_closed_port_refuses_the_kernels_datagrams() {
    let namespace = Namespace::new();
    let _app = Puppet::new(&namespace, "");
    let (peer, _) = kernel::datagrams(&namespace);
    peer.connect((OURS, 9)).unwrap();
    peer.send(b"anybody?").unwrap();
    assert_eq!(peer.recv(&mut [0; 10]).expect_err("nobody").kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn a_connected_socket_hears_its_peer_only() {
    let namespace = Namespace::new();
    let mut app = Puppet::new(&namespace, "");
    let (peer, port) = kernel::datagrams(&namespace);
    let (stranger, _) = kernel::datagrams(&namespace);
    let fd = app.number("socket udp");
    app.gives(format!("bind {fd} {OURS} 7"), "0");
    app.gives(format!("connect {fd} {KERNEL} {port}"), "0");
    stranger.send_to(b"strange", (OURS, 7)).unwrap();
    peer.send_to(b"known", (OURS, 7)).unwrap();
    app.gives(format!("recv {fd} 100"), "5 known");
    app.gives(format!("recv {fd} 100 dontwait"), "-1 EAGAIN");
    app.gives(format!("send {fd} hello"), "5");
    let mut buf = [0; 10];
    assert_eq!(peer.recv(&mut buf).unwrap(), 5);
}

#[test]
fn broadcasts_go_both_ways() {
    let namespace = Namespace::new();
    let mut app = Puppet::new(&namespace, ",gw=10.97.0.1");
    let peer = namespace.inside(|| UdpSocket::bind("0.0.0.0:99")).unwrap();
    peer.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    peer.set_broadcast(true).unwrap();
    let fd = app.number("socket udp");
    app.gives(format!("bind {fd} 0.0.0.0 7"), "0");
    app.gives(format!("sendto {fd} 10.97.0.255 99 10"), "-1 EACCES");
    app.gives(format!("set {fd} broadcast 1"), "0");
    for to in ["10.97.0.255", "255.255.255.255"] {
        app.gives(format!("sendto {fd} {to} 99 10"), "10");
        let (len, from) = peer.recv_from(&mut [0; 100]).unwrap_or_else(|error| panic!("{to}: {error}"));
        assert_eq!((len, from.to_string()), (10, format!("{OURS}:7")));
    }
    peer.send_to(&stream::bytes(20), "10.97.0.255:7").unwrap();
    app.gives(format!("recvfrom {fd}"), format!("20 right from {KERNEL}:99"));
}

#[test]
fn a_burst_of_datagrams_is_kept_up_to_the_buffers_size() {
    let namespace = Namespace::new();
    let mut app = Puppet::new(&namespace, "");
    let (peer, _) = kernel::datagrams(&namespace);
    let fd = app.number("socket udp");
    app.gives(format!("bind {fd} {OURS} 7"), "0");
    for _ in 0..100 {
        peer.send_to(&stream::bytes(100), (OURS, 7)).unwrap();
    }
    for _ in 0..100 {
        app.gives(format!("recvfrom {fd}"), format!("100 right from {}", peer.local_addr().unwrap()));
    }
}
