//! ICMP: echo, and the path MTU.

use crate::{
    kernel,
    netns::{KERNEL, Namespace, OURS},
    program::Puppet,
    stream,
};
use std::{
    net::{TcpListener, UdpSocket},
    time::Duration,
};

/// An echo request (RFC 792) with the first `len` bytes of the stream.
fn echo_request(len: usize, sequence: u8) -> Vec<u8> {
    let mut message = vec![8, 0, 0, 0, 0x12, 0x34, 0, sequence];
    message.extend(stream::bytes(len));
    let sum: u32 =
        message.chunks(2).map(|pair| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |&low| low.into())).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    message
}

#[test]
fn we_answer_the_kernels_ping_at_every_size() {
    for more in ["", ",offload=off"] {
        let namespace = Namespace::new();
        let _app = Puppet::new(&namespace, more);
        let socket = kernel::icmp(&namespace);
        for (len, sequence) in [0, 1, 56, 1471, 1472, 1473, 8000, 65_507].into_iter().zip(1..) {
            let request = echo_request(len, sequence);
            socket.send(&request).unwrap();
            let mut reply = vec![0; 66_000];
            let got = socket.recv(&mut reply).unwrap_or_else(|error| panic!("{len} bytes: {error}"));
            let reply = &reply[20..got];
            assert_eq!((reply[0], reply[1]), (0, 0), "an echo reply");
            assert!(reply[4..] == request[4..], "the reply to {len} bytes has others");
        }
    }
}

/// Our network and, behind a router whose far link is narrow, a server's: MTU 1300 on the way there.
fn narrow_path() -> (Namespace, Namespace) {
    let (router, server) = (Namespace::new(), Namespace::bare());
    router.sysctl("ipv4/ip_forward", "1");
    router.sysctl("ipv4/icmp_ratemask", "0");
    router.join(&server, ("far", 1300, "10.98.0.1/24"), ("eth0", 1500, "10.98.0.2/24"));
    server.ip("route add default via 10.98.0.1");
    (router, server)
}

#[test]
fn a_narrow_path_is_found_by_tcp() {
    for more in ["", ",offload=off"] {
        let (router, server) = narrow_path();
        let listener = server.inside(|| TcpListener::bind("10.98.0.2:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut app = Puppet::new(&router, &format!(",gw={KERNEL}{more}"));
        let fd = app.number("socket tcp");
        app.gives(format!("connect {fd} 10.98.0.2 {port}"), "0");
        let mut peer = kernel::accepted(&listener);
        app.begin(format!("sendn {fd} 3000000"));
        assert_eq!(stream::receive(&mut peer, 3_000_000).unwrap(), app.answer());
        let mss = app.number(format!("get {fd} maxseg"));
        assert!((1200..=1260).contains(&mss), "segments of {mss} over a path of 1300{more}");
        app.gives(format!("get {fd} mtu"), "1300");
    }
}

#[test]
fn a_narrow_path_is_found_by_udp() {
    let (router, server) = narrow_path();
    let peer = server.inside(|| UdpSocket::bind("10.98.0.2:99")).unwrap();
    peer.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut app = Puppet::new(&router, &format!(",gw={KERNEL}"));
    let fd = app.number("socket udp");
    app.gives(format!("connect {fd} 10.98.0.2 99"), "0");
    app.gives(format!("sendto {fd} 10.98.0.2 99 1400"), "1400");
    // The first is lost on the way and the socket is told; from then on it is known, and fragments are sent.
    app.gives(format!("poll 5000 {fd}:in"), format!("{fd}:err"));
    app.gives(format!("get {fd} error"), "EMSGSIZE");
    app.gives(format!("get {fd} mtu"), "1300");
    app.gives(format!("sendto {fd} 10.98.0.2 99 1401"), "1401");
    let mut buf = vec![0; 2000];
    let (len, from) = peer.recv_from(&mut buf).unwrap();
    assert!(buf[..len] == stream::bytes(1401));
    assert!(from.to_string().starts_with(OURS));
}
