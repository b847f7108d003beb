//! Flow control: a reader that sleeps stops the sender, and loses nothing.

use crate::{
    kernel,
    netns::Namespace,
    program::{PATIENCE, Puppet},
    stream,
};
use std::{thread, time::Duration};

const AMOUNT: u64 = 64 << 20;

#[test]
fn our_reader_sleeps_and_then_gets_everything() {
    let namespace = Namespace::new();
    let mut app = Puppet::new(&namespace, "");
    let (listener, port) = kernel::listener(&namespace);
    let fd = app.connected(port);
    let mut peer = kernel::accepted(&listener);
    let sender = thread::spawn(move || stream::send(&mut peer, AMOUNT));
    thread::sleep(Duration::from_secs(3));
    assert!(!sender.is_finished(), "the window did not close");
    let queued = app.number(format!("queued {fd}"));
    assert!((10_000..40 << 20).contains(&queued), "{queued} bytes are queued");
    app.begin(format!("recvn {fd} 1000000000"));
    let sent = sender.join().unwrap().expect("everything is taken");
    assert_eq!(app.answer(), sent);
}

#[test]
fn the_kernels_reader_sleeps_and_then_gets_everything() {
    let namespace = Namespace::new();
    let mut app = Puppet::new(&namespace, "");
    let (listener, port) = kernel::listener(&namespace);
    kernel::receive_buffer(&listener, 20_000);
    let fd = app.connected(port);
    let mut peer = kernel::accepted(&listener);
    app.begin(format!("sendn {fd} {AMOUNT}"));
    // Long enough for several zero-window probes.
    thread::sleep(Duration::from_secs(3));
    let received = stream::receive(&mut peer, AMOUNT).unwrap();
    assert_eq!(app.answer(), received);
    assert_eq!(received, stream::answer(AMOUNT));
}

#[test]
fn a_reader_that_takes_a_little_at_a_time_gets_everything() {
    let namespace = Namespace::new();
    let mut app = Puppet::new(&namespace, "");
    let (listener, port) = kernel::listener(&namespace);
    let fd = app.connected(port);
    let mut peer = kernel::accepted(&listener);
    app.gives(format!("set {fd} rcvbuf 8192"), "0");
    let sender = thread::spawn(move || stream::send(&mut peer, 1 << 20));
    for _ in 0..50 {
        thread::sleep(Duration::from_millis(5));
        app.begin(format!("recv {fd} 100 peek"));
        app.answer();
    }
    app.begin(format!("recvn {fd} 10000000"));
    let sent = sender.join().unwrap().expect("everything is taken");
    assert_eq!(app.answer_within(PATIENCE), sent);
}

#[test]
fn small_buffers_carry_large_transfers() {
    let namespace = Namespace::new();
    let mut app = Puppet::new(&namespace, "");
    let listener = app.number("socket tcp");
    app.gives(format!("set {listener} rcvbuf 4096"), "0");
    app.gives(format!("set {listener} sndbuf 4096"), "0");
    app.gives(format!("bind {listener} 0.0.0.0 7"), "0");
    app.gives(format!("listen {listener} 5"), "0");
    let mut peer = kernel::connected(&namespace, 7);
    let fd = app.number(format!("accept {listener}"));
    app.begin(format!("recvn {fd} 4000000"));
    let sent = stream::send(&mut peer, 4_000_000).unwrap();
    assert_eq!(app.answer(), sent);
    app.begin(format!("sendn {fd} 4000000"));
    assert_eq!(stream::receive(&mut peer, 4_000_000).unwrap(), sent);
    assert_eq!(app.answer(), sent);
}
