//! Urgent data, both ways (RFC 6093: the sender's pointer and the receiver's mark as Linux has them).

use crate::{kernel, netns::Namespace, program::Puppet};
use std::{io::Write, thread::sleep, time::Duration};

#[test]
fn the_kernels_urgent_byte_comes_out_of_line() {
    let namespace = Namespace::new();
    let mut app = Puppet::new(&namespace, "");
    let (listener, port) = kernel::listener(&namespace);
    let fd = app.connected(port);
    let mut peer = kernel::accepted(&listener);
    app.gives(format!("recv {fd} 1 oob"), "-1 EINVAL");
    peer.write_all(b"before").unwrap();
    kernel::send_urgent(&peer, b'!');
    peer.write_all(b"after").unwrap();
    sleep(Duration::from_millis(200));
    app.gives(format!("poll 5000 {fd}:in|pri"), format!("{fd}:in|pri"));
    app.gives(format!("atmark {fd}"), "0");
    // A read stops at the mark.
    app.gives(format!("recv {fd} 100"), "6 before");
    app.gives(format!("atmark {fd}"), "1");
    app.gives(format!("recv {fd} 100 oob"), "1 !");
    app.gives(format!("recv {fd} 100 oob"), "-1 EINVAL");
    app.gives(format!("recv {fd} 100"), "5 after");
    app.gives(format!("atmark {fd}"), "0");
}

#[test]
fn the_kernels_urgent_byte_comes_in_line_where_asked_for() {
    let namespace = Namespace::new();
    let mut app = Puppet::new(&namespace, "");
    let (listener, port) = kernel::listener(&namespace);
    let fd = app.connected(port);
    app.gives(format!("set {fd} oobinline 1"), "0");
    let mut peer = kernel::accepted(&listener);
    peer.write_all(b"before").unwrap();
    kernel::send_urgent(&peer, b'!');
    peer.write_all(b"after").unwrap();
    sleep(Duration::from_millis(200));
    app.gives(format!("recv {fd} 100"), "6 before");
    app.gives(format!("atmark {fd}"), "1");
    app.gives(format!("recv {fd} 100"), "6 !after");
}

#[test]
fn our_urgent_byte_reaches_the_kernel() {
    let namespace = Namespace::new();
    let mut app = Puppet::new(&namespace, "");
    let (listener, port) = kernel::listener(&namespace);
    let fd = app.connected(port);
    let mut peer = kernel::accepted(&listener);
    app.gives(format!("send {fd} before"), "6");
    app.gives(format!("send {fd} ! oob"), "1");
    app.gives(format!("send {fd} after"), "5");
    assert_eq!(kernel::receive_urgent(&peer).unwrap(), b'!');
    sleep(Duration::from_millis(200));
    assert!(!kernel::is_at_mark(&peer));
    assert_eq!(kernel::read(&mut peer, 6), b"before");
    assert!(kernel::is_at_mark(&peer));
    assert_eq!(kernel::read(&mut peer, 5), b"after");
}
