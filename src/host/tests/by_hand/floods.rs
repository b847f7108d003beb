//! Each of a host's sources is flooded by threads that never rest, and a byte of somebody else passes meanwhile: in how
//! many turns is counted, and time is not looked at.

use super::*;
use crate::{
    addr::Endpoint,
    socket::detached::Detached,
    stack::{Family, Protocol, SendTo},
    tcp::SendFlags,
};
use sockeye_shim::format::DatagramHeader;
use std::{
    io::IoSlice,
    net::{IpAddr, Ipv4Addr},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
};

/// How often a flood comes through at most: it ends, lest a test go on for ever that fails.
const FLOOD: usize = 500_000;
/// Bytes that pass beside a flood, one after the other.
const TRIPS: usize = 30;
/// In how many turns each must have passed, there and back. Without a flood four are enough: up and down, twice.
const TURNS: usize = 16;
const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

impl Hand {
    /// What the host does between two sleeps: a turn, or, where there is nothing to do, what it sleeps on. Whether it
    /// was a turn.
    fn step(&mut self) -> bool {
        let is_turn = self.host.go_round(&mut self.round);
        if !is_turn {
            self.host.engine.tend();
            self.host.on_time();
        }
        is_turn
    }

    /// In how many turns a byte passes, and one back: with one way alone each would wait for the delayed
    /// acknowledgement of the one before.
    fn trip(&mut self, (client, server): &(OwnedFd, OwnedFd)) -> usize {
        let (mut turns, end) = (0, clock::now() + Duration::from_secs(20));
        for (from, to) in [(client, server), (server, client)] {
            send(from, b"x");
            while unix::recv(to.as_fd(), &mut [0], 0).is_err() {
                turns += usize::from(self.step());
                assert!(clock::now() < end, "a byte does not pass in {turns} turns");
            }
        }
        turns
    }

    /// Bytes pass while two threads do something again and again, which says whether it came through.
    #[track_caller]
    fn beside(&mut self, flood: impl Fn() -> bool + Sync) {
        let listener = self.listen(8);
        let pair = self.pair(&listener);
        let quiet = (0..TRIPS).map(|_| self.trip(&pair)).max().unwrap();
        let (is_over, came) = (AtomicBool::new(false), AtomicUsize::new(0));
        let turns: Vec<usize> = thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !is_over.load(SeqCst) && came.load(SeqCst) < FLOOD {
                        if flood() {
                            came.fetch_add(1, SeqCst);
                        } else {
                            thread::yield_now();
                        }
                    }
                });
            }
            // They may take their time to begin.
            while came.load(SeqCst) < 50 {
                self.step();
            }
            let mut turns = Vec::new();
            let mut before = came.load(SeqCst);
            while turns.len() < TRIPS {
                let took = self.trip(&pair);
                // Only what the flood has come through in counts.
                let now = came.load(SeqCst);
                if now > before || now == FLOOD {
                    turns.push(took);
                }
                before = now;
            }
            is_over.store(true, SeqCst);
            turns
        });
        let came = came.load(SeqCst);
        assert!(came < FLOOD, "the flood has ended while bytes waited, in {turns:?} turns");
        assert!(turns.iter().all(|turns| *turns <= TURNS), "{turns:?} turns, without the flood {quiet}");
    }

    /// A datagram socket of a program's, and its address.
    fn datagrams(&mut self) -> (OwnedFd, Address) {
        let fd = unix::open(Kind::Datagrams).unwrap();
        let address = Address::v4([127, 0, 0, 1], 0);
        let flags = u32::from(Tag::DATAGRAM);
        let opened = self.ask(&fd, &Request { flags, value: 1, address, ..Request::new(Op::Datagram, TOKEN) });
        assert_eq!(opened.errno, 0);
        (fd, opened.local)
    }

    /// A socket of the stack's own.
    fn detached(&self, protocol: Protocol) -> Detached {
        Detached::open(self.host.stack, Family::V4, protocol).unwrap()
    }
}

fn endpoint(address: Address) -> Endpoint {
    Endpoint::new(LOCALHOST, address.port)
}

/// Sends a datagram; whether it went.
fn sent(from: &Detached, to: Endpoint) -> bool {
    let to = SendTo { dest: Some(to), ..SendTo::default() };
    from.with(|stack, id, now| stack.send(id, &[IoSlice::new(&[7; 100])], &to, SendFlags::default(), now)).is_ok()
}

#[test]
fn connections_that_come_without_an_end() {
    let mut hand = Hand::new("accepts");
    let (listener, local) = hand.listen(64);
    let stack = hand.host.stack;
    hand.beside(|| {
        let client = Detached::open(stack, Family::V4, Protocol::Tcp).unwrap();
        let _under_way = client.with(|stack, id, now| stack.connect(id, endpoint(local), now));
        unix::accept(listener.as_fd()).is_ok()
    });
}

#[test]
fn connections_that_wait_are_delivered_in_shares() {
    let mut hand = Hand::new("shares");
    let (listener, local) = hand.listen(400);
    // None is looked at while they come.
    let clients: Vec<Detached> = (0..200).map(|_| hand.detached(Protocol::Tcp)).collect();
    for client in &clients {
        let _under_way = client.with(|stack, id, now| stack.connect(id, endpoint(local), now));
    }
    let accepted = || std::iter::from_fn(|| unix::accept(listener.as_fd()).ok()).count();
    let mut shares = Vec::new();
    while shares.iter().sum::<usize>() < clients.len() {
        assert!(shares.len() < 1000, "{shares:?}");
        hand.step();
        shares.push(accepted());
    }
    assert!(shares.iter().all(|share| *share <= 64) && shares.contains(&64), "{shares:?}");
}

#[test]
fn datagrams_that_a_program_has_sent_go_in_shares() {
    let mut hand = Hand::new("up-shares");
    let (fd, _) = hand.datagrams();
    hand.rounds();
    let peer = Address::v4([127, 0, 0, 1], 9);
    let header = DatagramHeader { peer, ..DatagramHeader::NONE }.to_bytes();
    // As many as the kernel keeps (net.unix.max_dgram_qlen).
    let waiting = std::iter::from_fn(|| unix::send(fd.as_fd(), &header, 0).ok()).count();
    assert!(waiting > 8, "{waiting} are no more than a share");
    let (mut shares, mut told) = (Vec::new(), hand.host.engine.counters().udp_out_datagrams);
    while shares.iter().sum::<u64>() < waiting as u64 {
        assert!(shares.len() < 1000, "{shares:?} of {waiting}");
        hand.step();
        let now = hand.host.engine.counters().udp_out_datagrams;
        shares.push(now - std::mem::replace(&mut told, now));
    }
    assert!(shares.iter().all(|share| *share <= 8) && shares.contains(&8), "{shares:?}");
}

#[test]
fn datagrams_that_wait_for_a_program_come_in_shares() {
    let mut hand = Hand::new("down-shares");
    let (fd, local) = hand.datagrams();
    hand.rounds();
    let from = hand.detached(Protocol::Udp);
    let count = (0..200).filter(|_| sent(&from, endpoint(local))).count() as u64;
    hand.host.engine.tend();
    let overflown = |hand: &Hand| hand.host.engine.counters().udp_rcvbuf_errors;
    let (mut shares, mut told) = (Vec::new(), overflown(&hand));
    assert_eq!((count, told), (200, 0), "all wait");
    while shares.iter().sum::<u64>() < count {
        assert!(shares.len() < 1000, "{shares:?}");
        hand.step();
        // Those that have come, and those for which the program's queue had no room.
        let come = std::iter::from_fn(|| unix::recv(fd.as_fd(), &mut [0; 200], 0).ok()).count() as u64;
        let now = overflown(&hand);
        shares.push(come + now - std::mem::replace(&mut told, now));
    }
    // The stack's word and the kernel's, that there is room, may each bring it a share in one turn.
    assert!(shares[0] == 64 && shares.iter().all(|share| *share <= 2 * 64), "{shares:?}");
}

#[test]
fn requests_without_an_end() {
    let mut hand = Hand::new("requests");
    let path = hand.host.gate.path(&hand.program.stack, &TOKEN).unwrap();
    hand.beside(|| {
        let fd = unix::open(Kind::Packets).unwrap();
        unix::connect_path(fd.as_fd(), path.as_bytes()).is_ok()
            && unix::send(fd.as_fd(), &Request::new(Op::Join, TOKEN).to_bytes(), 0).is_ok()
    });
}

#[test]
fn datagrams_of_a_program_without_an_end() {
    let mut hand = Hand::new("datagrams-up");
    let (fd, _) = hand.datagrams();
    let peer = Address::v4([127, 0, 0, 1], 9);
    let header = DatagramHeader { peer, ..DatagramHeader::NONE }.to_bytes();
    let datagram = [&header[..], &[7; 100]].concat();
    hand.beside(|| unix::send(fd.as_fd(), &datagram, 0).is_ok());
}

#[test]
fn datagrams_for_a_program_without_an_end() {
    let mut hand = Hand::new("datagrams-down");
    let (fd, local) = hand.datagrams();
    let from = hand.detached(Protocol::Udp);
    hand.beside(|| {
        while unix::recv(fd.as_fd(), &mut [0; 200], 0).is_ok() {}
        sent(&from, endpoint(local))
    });
}

#[test]
fn answers_of_a_name_server_that_are_none_without_an_end() {
    let mut hand = Hand::of_network("answers", "null:,dns=127.0.0.1");
    let server = hand.detached(Protocol::Udp);
    server.with(|stack, id, now| stack.bind(id, Endpoint::new(LOCALHOST, 53), now)).unwrap();
    let asker = hand.program.enter().unwrap();
    let data = Data::of(b"a.example").unwrap();
    let ask = Request { data, value: libc::AF_INET, ..Request::new(Op::Resolve, TOKEN) };
    unix::send(asker.as_fd(), &ask.to_bytes(), 0).unwrap();
    let mut asked = None;
    hand.until("a question", |_| {
        let received = server.with(|stack, id, now| {
            stack.recv(id, &mut [std::io::IoSliceMut::new(&mut [0; 600])], crate::tcp::RecvFlags::default(), now)
        });
        asked = received.ok().and_then(|received| received.from);
        asked.is_some()
    });
    let asked = asked.unwrap();
    hand.beside(|| sent(&server, asked));
    assert_eq!(poll(&asker, libc::POLLIN, 0), 0, "it still waits for the answer");
}

#[test]
fn one_connection_that_is_always_ready() {
    let mut hand = Hand::new("ready");
    let listener = hand.listen(8);
    let (client, server) = hand.pair(&listener);
    hand.beside(|| {
        let moved = |from: &OwnedFd, to: &OwnedFd| {
            let is_sent = unix::send(from.as_fd(), &[7; 1 << 16], 0).is_ok();
            while unix::recv(to.as_fd(), &mut [0; 1 << 16], 0).is_ok() {}
            is_sent
        };
        moved(&client, &server) | moved(&server, &client)
    });
}
