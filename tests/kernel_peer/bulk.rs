//! Much data, each way, the hashes compared.

use crate::{kernel, netns::Namespace, program::Puppet, stream};
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// Tests that need the machine take turns.
pub fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// 10 GB unless `SOCKEYE_TEST_BYTES` says otherwise.
fn amount() -> u64 {
    let wanted = std::env::var("SOCKEYE_TEST_BYTES").ok();
    wanted.map_or(10_000_000_000, |bytes| bytes.parse().expect("SOCKEYE_TEST_BYTES is a number of bytes"))
}

/// Long enough for 10 MB/s.
fn limit(amount: u64) -> Duration {
    Duration::from_secs(60 + amount / 10_000_000)
}

fn report(what: &str, amount: u64, begun: Instant) {
    let seconds = begun.elapsed().as_secs_f64();
    println!("{what}: {amount} bytes in {seconds:.1} s, {:.2} Gbit/s", amount as f64 * 8e-9 / seconds);
}

fn send_to_the_kernel(more: &str, amount: u64) {
    let namespace = Namespace::new();
    let mut app = Puppet::new(&namespace, more);
    let (listener, port) = kernel::listener(&namespace);
    let fd = app.connected(port);
    let mut peer = kernel::accepted(&listener);
    let begun = Instant::now();
    app.begin(format!("sendn {fd} {amount}"));
    let received = stream::receive(&mut peer, amount).expect("all of it");
    assert_eq!(app.answer_within(limit(amount)), received);
    assert!(received.starts_with(&format!("{amount} ")), "{received} of {amount}");
    report(&format!("sent{more}"), amount, begun);
}

fn receive_from_the_kernel(more: &str, amount: u64) {
    let namespace = Namespace::new();
    let mut app = Puppet::new(&namespace, more);
    let listener = app.listening(7, 5);
    let mut peer = kernel::connected(&namespace, 7);
    let fd = app.number(format!("accept {listener}"));
    let begun = Instant::now();
    app.begin(format!("recvn {fd} {amount}"));
    let sent = thread::spawn(move || stream::send(&mut peer, amount).expect("all of it"));
    assert_eq!(app.answer_within(limit(amount)), sent.join().unwrap());
    report(&format!("received{more}"), amount, begun);
}

#[test]
fn ten_gigabytes_to_the_kernel_arrive_unchanged() {
    let _turn = turn();
    send_to_the_kernel("", amount());
}

#[test]
fn ten_gigabytes_from_the_kernel_arrive_unchanged() {
    let _turn = turn();
    receive_from_the_kernel("", amount());
}

#[test]
fn without_offload_everything_arrives_as_well() {
    let _turn = turn();
    send_to_the_kernel(",offload=off", amount() / 20);
    receive_from_the_kernel(",offload=off", amount() / 20);
}

#[test]
fn both_directions_of_a_connection_carry_much_at_once() {
    let _turn = turn();
    let amount = amount() / 20;
    let namespace = Namespace::new();
    let mut app = Puppet::new(&namespace, "");
    let (listener, port) = kernel::listener(&namespace);
    let fd = app.connected(port);
    let mut from = kernel::accepted(&listener);
    let mut to = from.try_clone().unwrap();
    app.begin(format!("duplex {fd} {amount}"));
    let sent = thread::spawn(move || stream::send(&mut to, amount).expect("all of it"));
    let received = stream::receive(&mut from, amount).expect("all of it");
    let sent = sent.join().unwrap();
    assert_eq!(app.answer_within(limit(amount)), format!("sent {received} received {sent}"));
}
