//! Waiting: the stack's descriptors and the kernel's in one poll or epoll set; many threads.

use crate::{
    kernel,
    netns::{KERNEL, Namespace},
    program::Puppet,
    stream,
};
use std::{
    io::{Read, Write},
    thread::{self, sleep},
    time::Duration,
};

#[test]
fn poll_waits_for_the_stacks_and_the_kernels_descriptors_at_once() {
    let namespace = Namespace::new();
    let mut app = Puppet::new(&namespace, "");
    let (listener, port) = kernel::listener(&namespace);
    let fd = app.connected(port);
    let mut peer = kernel::accepted(&listener);
    let pipe = app.ask("pipe");
    let (read_end, write_end) = pipe.split_once(' ').unwrap();
    let both = format!("{fd}:in {read_end}:in");
    app.gives(format!("poll 200 {both}"), "nothing");
    // The stack's wakes it.
    app.begin(format!("poll 10000 {both}"));
    sleep(Duration::from_millis(200));
    peer.write_all(b"x").unwrap();
    assert_eq!(app.answer(), format!("{fd}:in"));
    // Both are there.
    app.gives(format!("write {write_end} y"), "1");
    app.gives(format!("poll 10000 {both}"), format!("{fd}:in {read_end}:in"));
    app.gives(format!("recv {fd} 1"), "1 x");
    app.gives(format!("poll 10000 {both}"), format!("{read_end}:in"));
    // The kernel's wakes it: the puppet's own standard input.
    app.begin(format!("poll 10000 {fd}:in 0:in"));
    sleep(Duration::from_millis(200));
    app.begin("fds");
    assert_eq!(app.answer(), "0:in");
    app.answer();
}

#[test]
fn epoll_waits_for_the_stacks_and_the_kernels_descriptors_at_once() {
    let namespace = Namespace::new();
    let mut app = Puppet::new(&namespace, "");
    let listener = app.listening(7, 5);
    let ep = app.number("epoll");
    app.gives(format!("watch {ep} {listener} in"), "0");
    app.gives(format!("watch {ep} 0 in"), "0");
    app.gives(format!("wait {ep} 200"), "nothing");
    app.begin(format!("wait {ep} 10000"));
    sleep(Duration::from_millis(200));
    let mut peer = kernel::connected(&namespace, 7);
    assert_eq!(app.answer(), format!("{listener}:in"));
    let fd = app.number(format!("accept {listener}"));
    app.gives(format!("watch {ep} {fd} in|rdhup"), "0");
    app.begin(format!("wait {ep} 10000"));
    sleep(Duration::from_millis(200));
    peer.write_all(b"x").unwrap();
    assert_eq!(app.answer(), format!("{fd}:in"));
    app.begin(format!("wait {ep} 10000"));
    app.begin("fds");
    let answer = app.answer();
    assert!(answer == format!("0:in {fd}:in") || answer == format!("{fd}:in"), "{answer}");
    app.answer();
    drop(peer);
    sleep(Duration::from_millis(200));
    app.gives(format!("wait {ep} 10000"), format!("{fd}:in|rdhup"));
    app.gives(format!("recv {fd} 10"), "1 x");
    app.gives(format!("close {fd}"), "0");
    app.gives(format!("wait {ep} 100"), "nothing");
    // Nothing but the kernel's is there, and it wakes.
    app.begin(format!("wait {ep} 10000"));
    sleep(Duration::from_millis(200));
    app.begin("fds");
    assert_eq!(app.answer(), "0:in");
    app.answer();
}

#[test]
fn an_epoll_server_serves_many_kernel_clients_while_its_timer_ticks() {
    const CLIENTS: usize = 16;
    const ROUNDS: usize = 50;
    const BYTES: usize = 20_000;
    let namespace = Namespace::new();
    let mut app = Puppet::new(&namespace, "");
    let listener = app.listening(7, 128);
    app.begin(format!("loop {listener}"));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let mut peer = kernel::connected(&namespace, 7);
            thread::spawn(move || {
                let data = stream::bytes(BYTES);
                let mut back = vec![0; BYTES];
                for _ in 0..ROUNDS {
                    peer.write_all(&data).unwrap();
                    peer.read_exact(&mut back).unwrap();
                    assert!(back == data);
                }
            })
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().unwrap());
    // Idle, only the timer wakes it.
    sleep(Duration::from_millis(500));
    app.begin("fds");
    let told = app.answer();
    let (all, ticks) = told.rsplit_once(' ').unwrap();
    assert_eq!(all, format!("taken {CLIENTS} ended {CLIENTS} bytes {} ticks", CLIENTS * ROUNDS * BYTES));
    assert!(ticks.parse::<u32>().unwrap() >= 30, "the timer ticked {ticks} times");
}

#[test]
fn many_threads_converse_with_the_kernel() {
    let namespace = Namespace::new();
    let mut app = Puppet::new(&namespace, "");
    let (listener, port) = kernel::listener(&namespace);
    kernel::echo(listener);
    app.begin(format!("threads 32 300 {KERNEL} {port}"));
    assert_eq!(app.answer_within(Duration::from_secs(120)), (32 * 300).to_string());
}
