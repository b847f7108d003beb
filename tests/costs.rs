//! What a stack, a connection and a stranger cost in memory, measured at the allocator, against what docs/memory.md
//! says and what the stack charges.

#[path = "wire_pair/mod.rs"]
mod wire_pair;

use sockeye::{
    addr::Endpoint,
    buf::Packet,
    error::Error,
    ip::reassembly::{Datagram, Reassembly, TOTAL_LIMIT},
    rng::{Key, SeededRng},
    stack::{Family, Protocol, Stack, memory},
    tcp::memory::Limits,
    time::{Duration, Instant},
};
use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    net::{IpAddr, Ipv4Addr},
};
use wire_pair::{Pair, Side::A, Side::B, Wire, end};

/// The system's allocator, which counts what each thread holds.
struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
}

/// What the system's allocator adds to each piece, and rounds it up to, bytes.
fn real(size: usize) -> isize {
    ((size + 8).next_multiple_of(16) as isize).max(32)
}

fn count(bytes: isize) {
    let _ = HELD.try_with(|held| held.set(held.get() + bytes));
}

// SAFETY: every call is the system's allocator's own, with what it was given.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(real(layout.size()));
        // SAFETY: as the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        count(-real(layout.size()));
        // SAFETY: as the caller's.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes that the calling thread holds.
fn held() -> isize {
    HELD.get()
}

/// Bytes that what `act` makes holds, shared among `count`.
fn each<R>(count: usize, act: impl FnOnce() -> R) -> (usize, R) {
    let before = held();
    let result = act();
    (usize::try_from((held() - before).max(0)).unwrap() / count, result)
}

/// What docs/memory.md says of `what`, bytes.
fn documented(what: &str) -> usize {
    let text = include_str!("../docs/memory.md");
    let row = text.lines().find_map(|line| line.strip_prefix(&format!("| {what} | ")));
    let row = row.unwrap_or_else(|| panic!("docs/memory.md has no row `{what}`"));
    let figure = row.split(" |").next().unwrap();
    let (number, unit) = figure.split_once(' ').unwrap_or((figure, "B"));
    let scale = match unit {
        "B" => 1,
        "KB" => 1 << 10,
        "MB" => 1 << 20,
        _ => panic!("`{figure}`"),
    };
    number.parse::<usize>().unwrap_or_else(|_| panic!("`{figure}`")) * scale
}

/// What was measured is no more than the documentation says, and not so little that it says nothing.
#[track_caller]
fn is_as_documented(what: &str, measured: usize) {
    let most = documented(what);
    println!("{what}: {measured} of {most} bytes");
    assert!(measured <= most && measured >= most / 3, "{what}: {measured} bytes, documented are {most}");
}

fn quiet(memory: Limits) -> Pair {
    let mut pair = Pair::on(Wire { memory, ..Wire::default() });
    pair.keep_sent = false;
    pair
}

fn source(n: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from(0x0b00_0000 + n))
}

#[test]
fn a_stack_and_its_connections_cost_what_is_documented() {
    let (heap, mut pair) = each(2, || quiet(Limits::default()));
    is_as_documented("a stack at rest", heap + size_of::<Stack>());

    // Each connection has an end in both stacks.
    const MANY: usize = 2000;
    let listener = pair.listen(B, 80, MANY);
    let (connection, pairs) = each(2 * MANY, || {
        let clients: Vec<_> = (0..MANY)
            .map(|_| {
                let client = pair.open(A, Protocol::Tcp);
                assert_eq!(pair.connect(A, client, end(B, 80)), Err(Error::InProgress));
                pair.run();
                client
            })
            .collect();
        let now = pair.now;
        let servers: Vec<_> = (0..MANY).map(|_| pair.b.accept(listener, now).unwrap().0).collect();
        pair.events.clear();
        clients.into_iter().zip(servers).collect::<Vec<_>>()
    });
    is_as_documented("a connection at rest", connection);
    assert!(connection <= memory::CONNECTION, "{connection} bytes, charged are {}", memory::CONNECTION);

    // The server closes first, so that TIME-WAIT is its own.
    let (waits, ()) = each(1, || {
        for (client, server) in pairs {
            pair.close(B, server);
            pair.run();
            pair.close(A, client);
            pair.run();
        }
        pair.events = Vec::new();
    });
    assert_eq!(waits, 0, "all of them cost less than connections");
    let (later, ()) = each(1, || pair.run_for(Duration::from_secs(61)));
    assert_eq!(later, 0);
}

#[test]
fn who_waits_for_the_end_costs_little() {
    const MANY: usize = 2000;
    let mut pair = quiet(Limits::default());
    let listener = pair.listen(B, 80, 16);
    let before = held();
    for _ in 0..MANY {
        let client = pair.open(A, Protocol::Tcp);
        let _started = pair.connect(A, client, end(B, 80));
        pair.run();
        let now = pair.now;
        let server = pair.b.accept(listener, now).unwrap().0;
        pair.close(B, server);
        pair.run();
        pair.close(A, client);
        pair.run();
        pair.events.clear();
    }
    let each = usize::try_from(held() - before).unwrap() / MANY;
    is_as_documented("a connection in TIME-WAIT", each);
    assert!(each <= memory::TIME_WAIT);
    // Where the same ports come again and again nothing is added.
    pair.run_for(Duration::from_secs(61));
    pair.a.shrink();
    pair.b.shrink();
    assert!(held() - before < 200_000, "{}", held() - before);
}

#[test]
fn a_socket_without_a_connection_costs_what_is_documented() {
    let mut pair = quiet(Limits::default());
    let (socket, _sockets) =
        each(2000, || (0..2000).map(|_| pair.a.open(Family::V4, Protocol::Tcp).unwrap()).collect::<Vec<_>>());
    is_as_documented("a socket without a connection", socket);
    assert!(socket <= memory::SOCKET);
}

#[test]
fn fragments_are_charged_what_they_cost() {
    for (payload, what) in [(8, "fragments of strangers, small ones"), (1480, "fragments of strangers, large ones")] {
        let mut table = Reassembly::new(Key::random(&mut SeededRng::new([1, 2])));
        let before = held();
        for n in 0..40_000 {
            let datagram = Datagram { src: source(n), dst: source(1 << 20), protocol: 17, id: n };
            table.on_fragment(datagram, 0, true, Packet::copy_from(&vec![0; 20 + payload]), 20, Instant::ZERO);
        }
        let real = usize::try_from(held() - before).unwrap();
        is_as_documented(what, real);
        assert!(real <= table.memory() && table.memory() <= TOTAL_LIMIT, "{real}, charged {}", table.memory());
        while table.poll_expired(Instant::FAR_FUTURE).is_some() {}
        assert!(held() - before < 200_000, "{} bytes are kept for nothing", held() - before);
    }
}

#[test]
fn datagrams_that_nobody_reads_are_bounded_for_all_sockets_together() {
    let limits = Limits::at_most(4 << 20);
    let mut pair = quiet(limits);
    let sender = pair.udp(A, 9);
    let sockets: Vec<_> = (0..100).map(|n| pair.udp(B, 1000 + n)).collect();
    let before = held();
    for n in 0..100 {
        for _ in 0..100 {
            pair.send_to(A, sender, &[0; 1400], Some(end(B, 1000 + n))).unwrap();
            pair.run();
        }
    }
    pair.events = Vec::new();
    let real = usize::try_from(held() - before).unwrap();
    // Each has one, whatever the others hold.
    let most = limits.high / 4 + 100 * 2048;
    assert!(real <= most && real > most / 2, "{real} of {most}");
    assert!(sockets.iter().all(|id| pair.recv(B, *id).is_ok_and(|bytes| bytes.len() == 1400)));
    sockets.iter().for_each(|id| pair.close(B, *id));
    assert!(pair.b.memory_used() == 0, "{}", pair.b.memory_used());
}

#[test]
fn connections_are_refused_before_they_cost_more_than_they_may() {
    let limits = Limits::at_most(2 << 20);
    let mut pair = quiet(limits);
    let listener = pair.listen(B, 80, 4000);
    let before = held();
    let mut clients = Vec::new();
    let refused = loop {
        match pair.a.open(Family::V4, Protocol::Tcp) {
            Ok(client) => clients.push(client),
            Err(error) => break error,
        }
        let client = clients[clients.len() - 1];
        assert_eq!(pair.connect(A, client, end(B, 80)), Err(Error::InProgress));
        pair.run();
    };
    assert_eq!(refused, Error::NoBuffers);
    assert!(pair.a.memory_used() <= limits.high && pair.b.memory_used() <= limits.high);
    let real = usize::try_from(held() - before).unwrap();
    assert!(real <= 2 * limits.high, "{real} bytes for both stacks");
    // Both are as full, so that every one was accepted but perhaps the last of them.
    let now = pair.now;
    let accepted = std::iter::from_fn(|| pair.b.accept(listener, now).ok()).count();
    assert!(accepted >= clients.len() - 2 && accepted > 100, "{accepted} of {}", clients.len());
    // One that ends makes room for another.
    pair.close(A, clients[0]);
    assert!(pair.a.open(Family::V4, Protocol::Tcp).is_err(), "its FIN is not acknowledged");
    pair.run_for(Duration::from_secs(100));
    assert!(pair.a.open(Family::V4, Protocol::Tcp).is_ok());
}

#[test]
fn a_flood_of_syns_costs_no_more_than_the_queue_and_leaves_room_for_who_is_there() {
    let limits = Limits::at_most(1 << 20);
    let mut pair = quiet(limits);
    let listener = pair.listen(B, 80, 4000);
    // Each knows where the other is.
    pair.connected(A, 79);
    let before = held();
    // Strangers whose answers go nowhere.
    pair.filter = Some(Box::new(|side, _| side == A));
    for _ in 0..3 {
        let mut clients = Vec::new();
        while let Ok(client) = pair.a.open(Family::V4, Protocol::Tcp) {
            assert_eq!(pair.connect(A, client, end(B, 80)), Err(Error::InProgress));
            clients.push(client);
        }
        pair.run();
        assert!(clients.len() > 50);
        let now = pair.now;
        clients.into_iter().for_each(|client| pair.a.close(client, now));
        pair.run();
    }
    let stats = pair.b.counters();
    assert!(stats.tcp_syncookies_sent > 50, "{}", stats.tcp_syncookies_sent);
    assert!(pair.b.memory_used() <= limits.high / 4 * 3, "{}", pair.b.memory_used());
    assert!(held() - before < 2 << 20, "{}", held() - before);
    // An honest one gets in by a cookie.
    pair.filter = None;
    let client = pair.open(A, Protocol::Tcp);
    assert_eq!(pair.connect(A, client, end(B, 80)), Err(Error::InProgress));
    pair.run();
    let now = pair.now;
    assert!(pair.b.accept(listener, now).is_ok());
    assert_eq!(pair.connect(A, client, Endpoint::new(B.addr(), 80)), Ok(()));
}
