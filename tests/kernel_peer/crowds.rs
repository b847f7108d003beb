//! Many connections at once, and one after another.

use crate::{
    bulk::turn,
    kernel,
    netns::{KERNEL, Namespace},
    program::Puppet,
};
use std::{
    io::{Read, Write},
    net::TcpStream,
    thread,
    time::Duration,
};

const MANY: usize = 10_000;
/// Data goes over every so many-th of the many.
const STEP: usize = 97;
const CHURN: usize = 20_000;

const LONG: Duration = Duration::from_secs(240);

/// Sends one number back on every `STEP`th connection, in turn; the puppet's `echo` asks in that order.
fn echo_sample(peers: &mut [TcpStream]) {
    for peer in peers.iter_mut().step_by(STEP) {
        let number = kernel::read(peer, 8);
        peer.write_all(&number).unwrap();
    }
}

/// Data on a sample while all are open, and then all end.
fn try_and_hang_up(app: &mut Puppet, mut peers: Vec<TcpStream>) {
    assert_eq!(peers.len(), MANY);
    app.begin(format!("echo {STEP}"));
    echo_sample(&mut peers);
    assert_eq!(app.answer(), MANY.div_ceil(STEP).to_string());
    app.begin("hangup");
    assert_eq!(app.answer_within(LONG), MANY.to_string());
    for mut peer in peers {
        assert_eq!(kernel::read_all(&mut peer).unwrap(), b"");
    }
}

/// What was opened is closed again. The library may have opened a descriptor or two for itself.
fn is_as_before(app: &mut Puppet, open: i64) {
    let now = app.number("fds");
    assert!((open..=open + 2).contains(&now), "{open} descriptors have become {now}");
}

fn hungry(namespace: &Namespace) -> (Puppet, i64) {
    kernel::raise_descriptor_limit();
    let mut app = Puppet::new(namespace, "");
    app.gives("nofile", "0");
    let open = app.number("fds");
    (app, open)
}

#[test]
fn ten_thousand_connections_that_we_made_are_open_at_once() {
    let _turn = turn();
    let namespace = Namespace::new();
    let (mut app, open) = hungry(&namespace);
    let (listener, port) = kernel::listener(&namespace);
    kernel::backlog(&listener, 4096);
    app.begin(format!("dial {MANY} {KERNEL} {port}"));
    let peers = (0..MANY).map(|_| kernel::accepted(&listener)).collect();
    assert_eq!(app.answer_within(LONG), MANY.to_string());
    try_and_hang_up(&mut app, peers);
    is_as_before(&mut app, open);
}

#[test]
fn ten_thousand_connections_that_the_kernel_made_are_open_at_once() {
    let _turn = turn();
    let namespace = Namespace::new();
    let (mut app, open) = hungry(&namespace);
    let listener = app.listening(7, 4096);
    app.begin(format!("take {listener} {MANY}"));
    let peers = kernel::connect_many(&namespace, 7, MANY);
    assert_eq!(app.answer_within(LONG), MANY.to_string());
    try_and_hang_up(&mut app, peers);
    app.gives(format!("close {listener}"), "0");
    is_as_before(&mut app, open);
}

#[test]
fn we_connect_twenty_thousand_times() {
    let _turn = turn();
    let namespace = Namespace::new();
    let (mut app, open) = hungry(&namespace);
    let (listener, port) = kernel::listener(&namespace);
    app.begin(format!("churn {CHURN} {KERNEL} {port}"));
    let server = thread::spawn(move || {
        for _ in 0..CHURN {
            let mut peer = kernel::accepted(&listener);
            let number = kernel::read(&mut peer, 8);
            peer.write_all(&number).unwrap();
            assert_eq!(kernel::read_all(&mut peer).unwrap(), b"");
        }
    });
    assert_eq!(app.answer_within(LONG), CHURN.to_string());
    server.join().unwrap();
    is_as_before(&mut app, open);
}

#[test]
fn the_kernel_connects_twenty_thousand_times() {
    let _turn = turn();
    let namespace = Namespace::new();
    let (mut app, open) = hungry(&namespace);
    let listener = app.listening(7, 128);
    app.begin(format!("serve {listener} {CHURN}"));
    kernel::connect_each(&namespace, 7, CHURN, |mut peer| {
        peer.write_all(b"question").unwrap();
        let mut answer = [0; 8];
        peer.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"question");
    });
    assert_eq!(app.answer_within(LONG), CHURN.to_string());
    app.gives(format!("close {listener}"), "0");
    is_as_before(&mut app, open);
}
