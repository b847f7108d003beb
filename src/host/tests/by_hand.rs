//! A host whose rounds the test makes one by one, so that a program can do something at a moment of the test's choice:
//! between two words of a conversation, or together with one. Each row of the table in `slot.rs` is forced here.

use super::{Program, TOKEN, poll};
use crate::{
    host::{
        gate::{Claim, Gate},
        serve::Round,
        slot::{Host, Item},
    },
    socket::stacks,
    sys::{
        clock,
        unix::{self, Kind},
    },
};
use sockeye_shim::{
    address::Address,
    format::{ConnectHeader, Data, NO_REPLY, Op, Request, Response},
    name::Meaning,
};
use std::{
    os::fd::{AsFd, OwnedFd},
    thread,
    time::Duration,
};

/// What a program writes before its connection's own bytes.
const FILLED: usize = 64 * 1024;
/// Nobody listens there.
const NOBODY: Address = Address::v4([127, 0, 0, 1], 9);

/// A host without a thread, and a program of its stack.
struct Hand {
    host: Host,
    round: Round,
    program: Program,
}

impl Drop for Hand {
    fn drop(&mut self) {
        let _freed_once = stacks::free(self.host.stack, Some(Duration::ZERO));
    }
}

impl Hand {
    fn new(name: &str) -> Self {
        let stack = format!("{}-hand-{name}", std::process::id()).into_bytes();
        let Ok(Claim::Ours(gate)) = Gate::claim(&stack) else { panic!("the name is taken") };
        gate.open().unwrap();
        let number = stacks::open("null:").unwrap().start(None).unwrap();
        let config = stacks::describe("null:", |_| None).unwrap();
        let engine = stacks::engine(number).unwrap();
        let host = Host::new(number, engine, (stack.clone(), config), gate, Some(TOKEN)).unwrap();
        engine.reside();
        Self { host, round: Round::default(), program: Program { stack } }
    }

    /// Makes rounds until nothing is left to do.
    fn rounds(&mut self) {
        while self.host.go_round(&mut self.round) {}
        self.host.engine.tend();
        self.host.on_time();
    }

    /// Makes rounds until something is so.
    #[track_caller]
    fn until(&mut self, what: &str, mut is_so: impl FnMut(&mut Host) -> bool) {
        let end = clock::now() + Duration::from_secs(20);
        loop {
            self.rounds();
            if is_so(&mut self.host) {
                return;
            }
            assert!(clock::now() < end, "not so: {what}; ids {:?}, slots {:?}", self.host.ids, self.host.slots.keys());
            thread::sleep(Duration::from_micros(200));
        }
    }

    fn ask(&mut self, request: &Request) -> Response {
        let fd = self.program.control().unwrap();
        unix::send(fd.as_fd(), &request.to_bytes(), 0).unwrap();
        let mut bytes = [0; Response::SIZE];
        let mut got = Ok(0);
        self.until("an answer", |_| {
            got = unix::recv(fd.as_fd(), &mut bytes, 0);
            got.is_ok()
        });
        Response::from_bytes(&bytes[..got.unwrap()]).unwrap()
    }

    fn tell(&self, request: Request) {
        let fd = self.program.control().unwrap();
        unix::send(fd.as_fd(), &Request { flags: NO_REPLY, ..request }.to_bytes(), 0).unwrap();
    }

    fn listen(&mut self, id: u64, backlog: i32) -> (OwnedFd, Address) {
        let address = Address::v4([127, 0, 0, 1], 0);
        let bound = self.ask(&Request { address, ..Request::new(Op::Bind, TOKEN, id) });
        let fd = unix::open(Kind::Stream).unwrap();
        unix::bind(fd.as_fd(), &self.program.name(Meaning::Bound { id, local: bound.local })).unwrap();
        unix::listen(fd.as_fd(), backlog).unwrap();
        assert_eq!(self.ask(&Request { value: backlog, ..Request::new(Op::Listen, TOKEN, id) }).errno, 0);
        (fd, bound.local)
    }

    /// An end that is connected to the host, which has accepted it and waits for its header.
    fn accepted(&mut self) -> OwnedFd {
        let fd = self.reached();
        self.rounds();
        fd
    }

    /// An end that is connected to the host, which has not looked yet.
    fn reached(&self) -> OwnedFd {
        let fd = unix::open(Kind::Stream).unwrap();
        unix::connect(fd.as_fd(), &self.program.name(Meaning::Connect)).unwrap();
        fd
    }

    /// Makes rounds until the program's listener has a connection, and accepts it as the shim does.
    #[track_caller]
    fn accept(&mut self, listener: &OwnedFd) -> OwnedFd {
        let mut accepted = None;
        self.until("a connection", |_| {
            accepted = unix::accept(listener.as_fd()).ok();
            accepted.is_some()
        });
        let fd = accepted.unwrap();
        unix::send(fd.as_fd(), &[0], 0).unwrap();
        fd
    }

    /// What can be read until the end, or the error that comes instead of one.
    #[track_caller]
    fn read_all(&mut self, fd: &OwnedFd) -> Result<Vec<u8>, i32> {
        let (mut all, mut end) = (Vec::new(), None);
        self.until("the end of what can be read", |_| {
            let mut bytes = vec![0; 1 << 16];
            match unix::recv(fd.as_fd(), &mut bytes, 0) {
                Ok(0) => end = Some(Ok(())),
                Ok(n) => all.extend(&bytes[..n]),
                Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => {}
                Err(error) => end = Some(Err(error.raw_os_error().unwrap())),
            }
            end.is_some()
        });
        end.unwrap().map(|()| all)
    }

    /// Makes rounds until the host has nothing but these.
    #[track_caller]
    fn until_left(&mut self, count: usize) {
        // The processes that use the stack.
        let is_client = |item: &Item| matches!(item, Item::Client(..));
        let left = |host: &Host| host.slots.values().filter(|slot| !is_client(&slot.item)).count();
        self.until(&format!("{count} are left"), |host| left(host) == count && host.ids.len() == count);
    }

    /// Two ends of a connection: the one that connected, and the one that was accepted.
    fn pair(&mut self, listener: &(OwnedFd, Address), id: u64) -> (OwnedFd, OwnedFd) {
        let client = self.reached();
        send(&client, &filled(id, listener.1));
        let server = self.accept(&listener.0);
        self.until("a connection", |_| poll(&client, libc::POLLOUT, 0) == libc::POLLOUT);
        (client, server)
    }

    /// Has the host close a connection of a program's by a reset.
    fn reset(&mut self, fd: OwnedFd) {
        let id = match Meaning::read(&unix::peer_name(fd.as_fd()).unwrap(), &self.program.stack) {
            Some(Meaning::Accepted { id, .. }) => id,
            other => panic!("{other:?}"),
        };
        self.tell(linger(id));
        drop(fd);
    }
}

/// Header and zeros of a connection.
fn filled(id: u64, destination: Address) -> Vec<u8> {
    let header =
        ConnectHeader { filled: FILLED as u32, token: TOKEN, id, flags: 0, destination, source: Address::NONE };
    let mut bytes = header.to_bytes().to_vec();
    bytes.resize(FILLED, 0);
    bytes
}

/// SO_LINGER of zero: close(2) is a reset.
fn linger(id: u64) -> Request {
    let data = Data::of([1i32, 0].map(i32::to_ne_bytes).as_flattened()).unwrap();
    let (level, name) = (libc::SOL_SOCKET, libc::SO_LINGER);
    Request { level, name, data, ..Request::new(Op::SetOption, TOKEN, id) }
}

fn send(fd: &OwnedFd, bytes: &[u8]) {
    assert_eq!(unix::send(fd.as_fd(), bytes, 0).unwrap(), bytes.len());
}

#[test]
fn who_is_gone_together_with_its_header_leaves_a_connection_that_ends() {
    let mut hand = Hand::new("gone");
    let listener = hand.listen(1, 8);
    for has_accepted in [false, true] {
        let client = if has_accepted { hand.accepted() } else { hand.reached() };
        send(&client, &[&filled(2, listener.1)[..], b"a word"].concat());
        drop(client);
        let server = hand.accept(&listener.0);
        assert_eq!(hand.read_all(&server), Ok(b"a word".to_vec()), "accepted before: {has_accepted}");
        drop(server);
        hand.until_left(1);
    }
}

#[test]
fn who_says_nothing_and_is_gone_together_with_its_header_leaves_nothing() {
    let mut hand = Hand::new("silent");
    let listener = hand.listen(1, 8);
    for has_accepted in [false, true] {
        let client = if has_accepted { hand.accepted() } else { hand.reached() };
        send(&client, &filled(2, listener.1));
        drop(client);
        hand.until("nothing but the listener, or what it is to accept", |host| {
            !host.slots.values().any(|slot| matches!(slot.item, Item::Connecting(_) | Item::Header(_)))
        });
        // It was made before anybody could be seen to be gone, or was not.
        while let Ok(server) = unix::accept(listener.0.as_fd()) {
            unix::send(server.as_fd(), &[0], 0).unwrap();
            assert_eq!(hand.read_all(&server), Ok(Vec::new()));
        }
        hand.until_left(1);
    }
}

#[test]
fn a_header_in_pieces_is_waited_for_and_its_program_may_be_gone() {
    let mut hand = Hand::new("pieces");
    let listener = hand.listen(1, 8);
    let bytes = filled(2, listener.1);
    for (from, to) in [(0, 1), (1, ConnectHeader::SIZE), (ConnectHeader::SIZE, 2 * ConnectHeader::SIZE)] {
        // Those that go before they are understood.
        let client = hand.accepted();
        send(&client, &bytes[..to]);
        hand.rounds();
        drop(client);
        while let Ok(server) = unix::accept(listener.0.as_fd()) {
            unix::send(server.as_fd(), &[0], 0).unwrap();
            assert_eq!(hand.read_all(&server), Ok(Vec::new()));
        }
        hand.until_left(1);
        // And one that comes to a connection.
        let client = hand.accepted();
        for piece in [&bytes[..from], &bytes[from..to], &bytes[to..FILLED - 1], &bytes[FILLED - 1..]] {
            assert_eq!(poll(&client, libc::POLLERR | libc::POLLHUP, 0), 0, "{from}..{to}");
            send(&client, piece);
            hand.rounds();
        }
        let server = hand.accept(&listener.0);
        send(&client, b"question");
        drop(client);
        assert_eq!(hand.read_all(&server), Ok(b"question".to_vec()));
        drop(server);
        hand.until_left(1);
    }
}

#[test]
fn the_end_of_what_a_program_writes_may_come_with_its_header() {
    let mut hand = Hand::new("half");
    let listener = hand.listen(1, 8);
    let client = hand.accepted();
    send(&client, &[&filled(2, listener.1)[..], b"question"].concat());
    unix::shutdown_write(client.as_fd()).unwrap();
    let server = hand.accept(&listener.0);
    assert_eq!(hand.read_all(&server), Ok(b"question".to_vec()));
    send(&server, b"answer");
    drop(server);
    assert_eq!(hand.read_all(&client), Ok(b"answer".to_vec()));
    drop(client);
    hand.until_left(1);
}

#[test]
fn an_urgent_byte_may_come_with_the_header() {
    let mut hand = Hand::new("urgent");
    let listener = hand.listen(1, 8);
    let client = hand.accepted();
    send(&client, &filled(2, listener.1));
    assert_eq!(unix::send(client.as_fd(), b"!", libc::MSG_OOB).unwrap(), 1);
    let server = hand.accept(&listener.0);
    let mut byte = [0];
    hand.until("an urgent byte", |_| unix::recv(server.as_fd(), &mut byte, libc::MSG_OOB).is_ok());
    assert_eq!(byte, *b"!");
}

#[test]
fn nothing_is_kept_of_refused_connections_but_what_another_attempt_needs() {
    let mut hand = Hand::new("refused");
    let nodelay = |id| {
        let (level, name) = (libc::IPPROTO_TCP, libc::TCP_CONGESTION);
        Request { level, name, data: Data::of(b"reno").unwrap(), ..Request::new(Op::SetOption, TOKEN, id) }
    };
    for is_known in [false, true] {
        for is_gone in [false, true] {
            let id = 2 + u64::from(is_known) * 2 + u64::from(is_gone);
            if is_known {
                assert_eq!(hand.ask(&nodelay(id)).errno, 0);
            }
            let client = hand.accepted();
            send(&client, &filled(id, NOBODY));
            let client = Some(client).filter(|_| !is_gone);
            hand.until("an outcome", |host| host.outcomes.of(id).is_some() || is_gone);
            hand.until_left(usize::from(is_known && !is_gone));
            if let Some(client) = client {
                assert_eq!(poll(&client, libc::POLLOUT, 0) & libc::POLLHUP, libc::POLLHUP);
                assert_eq!(hand.ask(&Request::new(Op::Result, TOKEN, id)).errno, libc::ECONNREFUSED);
                hand.tell(Request::new(Op::Closed, TOKEN, id));
                hand.until_left(0);
            }
        }
    }
}

#[test]
fn nothing_is_kept_of_a_connection_that_is_given_up_while_it_waits_for_an_answer() {
    let mut hand = Hand::new("given-up");
    let listener = hand.listen(1, 1);
    // More than the two queues hold.
    let mut clients: Vec<OwnedFd> = (2..12).map(|_| hand.reached()).collect();
    for (id, client) in (2..).zip(&clients) {
        send(client, &filled(id, listener.1));
    }
    hand.rounds();
    let waits = |host: &Host| host.slots.values().filter(|slot| matches!(slot.item, Item::Connecting(_))).count();
    assert!(waits(&hand.host) > 0, "nobody waits for an answer");
    clients.clear();
    hand.until("nobody waits any more", |host| waits(host) == 0);
    assert_eq!(hand.host.outcomes.of(11), None);
}

#[test]
fn who_waits_to_be_accepted_sees_a_reset_when_the_listener_goes() {
    let mut hand = Hand::new("unaccepted");
    // One is in the program's queue; or both queues are full, and one is between them.
    for count in [1, 7] {
        let (listener, local) = hand.listen(1, 1);
        let clients: Vec<OwnedFd> = (0..count).map(|_| hand.accepted()).collect();
        for (id, client) in (2..).zip(&clients) {
            send(client, &filled(id, local));
            hand.rounds();
        }
        let made: Vec<OwnedFd> =
            clients.into_iter().filter(|client| poll(client, libc::POLLOUT, 0) == libc::POLLOUT).collect();
        assert!(made.len() == count || made.len() > 3, "{} of {count} are made", made.len());
        send(&made[0], b"data");
        hand.rounds();
        drop(listener);
        hand.tell(Request::new(Op::Closed, TOKEN, 1));
        for client in &made {
            assert_eq!(hand.read_all(client), Err(libc::ECONNRESET), "one of {count}");
        }
        drop(made);
        hand.until_left(0);
    }
}

#[test]
fn a_reset_shows_though_the_last_byte_before_the_data_comes_after_it() {
    let mut hand = Hand::new("late-byte");
    let listener = hand.listen(1, 8);
    let client = hand.reached();
    let bytes = filled(2, listener.1);
    send(&client, &bytes[..FILLED - 1]);
    let server = hand.accept(&listener.0);
    hand.reset(server);
    hand.rounds();
    hand.rounds();
    send(&client, &bytes[FILLED - 1..]);
    assert_eq!(hand.read_all(&client), Err(libc::ECONNRESET));
    drop(client);
    hand.until_left(1);
}

#[test]
fn who_neither_reads_nor_can_write_is_told_of_a_reset_and_reads_what_came_before() {
    let mut hand = Hand::new("unread");
    let listener = hand.listen(1, 8);
    let (client, server) = hand.pair(&listener, 2);
    for fd in [&server, &client] {
        // Full is what stays full.
        let (mut sent, mut idle) = (0, 0);
        while idle < 50 {
            idle += 1;
            while let Ok(n) = unix::send(fd.as_fd(), &[7; 1 << 16], 0) {
                (sent, idle) = (sent + n, 0);
            }
            hand.rounds();
            thread::sleep(Duration::from_millis(1));
        }
        assert!(sent > 600_000, "{sent} bytes");
    }
    assert_eq!(poll(&client, libc::POLLOUT, 0), 0, "it can be written to");
    let info = hand.host.socket(2).unwrap().with(|stack, id, now| stack.tcp_info(id, now)).unwrap();
    hand.reset(server);
    hand.until("OUT", |_| poll(&client, libc::POLLOUT, 0) & libc::POLLOUT != 0);
    // An ordinary user's host cannot have the kernel take all that came: writing then says EPIPE.
    let told = unix::send(client.as_fd(), b"x", 0).unwrap_err().raw_os_error().unwrap();
    assert!([libc::ECONNRESET, libc::EPIPE].contains(&told), "{told}");
    // The error is told once, as the kernel tells it.
    let (mut read, mut end) = (0, None);
    hand.until("the end of what came before", |_| {
        match unix::recv(client.as_fd(), &mut [0; 1 << 16], 0) {
            Ok(n @ 1..) => read += n,
            Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => {}
            last => end = Some(last.map_err(|error| error.raw_os_error())),
        }
        end.is_some()
    });
    assert_eq!(end, Some(if told == libc::ECONNRESET { Ok(0) } else { Err(Some(libc::ECONNRESET)) }));
    assert_eq!(read as u64, info.bytes_received);
    drop(client);
    hand.until_left(1);
}

#[test]
fn who_has_only_come_to_ask_does_not_make_the_host_stay_longer() {
    let mut hand = Hand::new("asked");
    hand.rounds();
    let end = hand.host.next_deadline();
    let asker = hand.program.control().unwrap();
    hand.rounds();
    assert!(!hand.host.slots.is_empty() && !hand.host.is_over());
    drop(asker);
    hand.rounds();
    assert!(hand.host.slots.is_empty() && !hand.host.is_over());
    assert_eq!(hand.host.next_deadline(), end);
}
