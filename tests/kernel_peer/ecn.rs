//! ECN with the kernel: who asks, who agrees, and that marks slow the sender down.

use crate::{
    kernel,
    netns::Namespace,
    program::{PATIENCE, Puppet},
};
use std::{io::Write, process::Command};

/// tcpi_options.
const AGREED: u8 = 8;
const SEEN: u8 = 16;
/// Bytes of a transfer.
const LEN: usize = 3_000_000;

#[test]
fn the_kernel_asks_and_we_agree() {
    for (ours, agreed) in [("", true), (",sysctl=tcp_ecn:0", false)] {
        let namespace = Namespace::new();
        namespace.sysctl("ipv4/tcp_ecn", "1");
        let mut app = Puppet::new(&namespace, ours);
        let listener = app.listening(7, 5);
        let mut peer = kernel::connected(&namespace, 7);
        let fd = app.number(format!("accept {listener}"));
        app.greets(fd, &mut peer);
        let options = kernel::tcp_info(&peer).options;
        assert_eq!((options & AGREED != 0, options & SEEN != 0), (agreed, agreed), "`{ours}`: {options:#x}");
    }
}

#[test]
fn we_ask_and_the_kernel_agrees() {
    let namespace = Namespace::new();
    for (theirs, agreed) in [("2", true), ("0", false)] {
        namespace.sysctl("ipv4/tcp_ecn", theirs);
        let (listener, port) = kernel::listener(&namespace);
        let mut app = Puppet::new(&namespace, ",sysctl=tcp_ecn:1");
        let fd = app.connected(port);
        let mut peer = kernel::accepted(&listener);
        app.gives(format!("send {fd} hello"), "5");
        assert_eq!(kernel::read(&mut peer, 5), b"hello");
        let options = kernel::tcp_info(&peer).options;
        assert_eq!((options & AGREED != 0, options & SEEN != 0), (agreed, agreed), "tcp_ecn={theirs}: {options:#x}");
    }
}

/// From here on the kernel marks every segment that passes it in this chain.
fn mark(namespace: &Namespace, chain: &str) {
    let rule = ["-t", "mangle", "-A", chain, "-p", "tcp", "-j", "TOS", "--or-tos", "3"];
    let added = namespace.inside(|| Command::new("iptables").args(rule).status()).expect("iptables");
    assert!(added.success(), "a rule that marks");
}

#[test]
fn what_is_marked_on_the_way_to_us_we_echo() {
    let namespace = Namespace::new();
    namespace.sysctl("ipv4/tcp_ecn", "1");
    let mut app = Puppet::new(&namespace, "");
    let listener = app.listening(7, 5);
    let mut peer = kernel::connected(&namespace, 7);
    let fd = app.number(format!("accept {listener}"));
    mark(&namespace, "OUTPUT");
    app.begin(format!("recvn {fd} {LEN}"));
    peer.write_all(&vec![b'x'; LEN]).unwrap();
    let _counted = app.answer_within(PATIENCE);
    // What the kernel makes of it is its own matter: it takes a smaller window back when it thinks of a time-out as
    // spurious, as on a device whose queue stands still for a while.
    assert!(kernel::tcp_info(&peer).delivered_ce > 0, "no echo");
}

#[test]
fn what_is_marked_on_the_way_to_the_kernel_arrives_all_the_same() {
    let namespace = Namespace::new();
    let (listener, port) = kernel::listener(&namespace);
    let mut app = Puppet::new(&namespace, ",sysctl=tcp_ecn:1");
    let fd = app.connected(port);
    let mut peer = kernel::accepted(&listener);
    mark(&namespace, "PREROUTING");
    app.begin(format!("sendn {fd} {LEN}"));
    assert_eq!(kernel::read(&mut peer, LEN).len(), LEN);
    let _counted = app.answer_within(PATIENCE);
}
