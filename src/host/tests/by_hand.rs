//! A host whose rounds the test makes one by one, so that a program can do something at a moment of the test's choice:
//! between two words of a conversation, or together with one. Each row of the table in `slot.rs` is forced here.

mod floods;
mod turns;

use super::{Program, TOKEN, poll};
use crate::{
    host::{
        directory::Directory,
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
    format::{Data, NO_REPLY, Op, Request, Response},
    kernel::lend,
    tag::Tag,
};
use std::{
    os::fd::{AsFd, AsRawFd, OwnedFd},
    thread,
    time::Duration,
};

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
        Self::of_network(name, "null:")
    }

    fn of_network(name: &str, network: &str) -> Self {
        let stack = format!("{}-hand-{name}", std::process::id()).into_bytes();
        let Ok(Claim::Ours(mut gate)) = Gate::claim(&stack) else { panic!("the name is taken") };
        gate.make_path(gate.path(&stack, &TOKEN).unwrap());
        gate.open().unwrap();
        let number = stacks::open(network).unwrap().start(None).unwrap();
        let config = stacks::describe(network, |_| None).unwrap();
        let engine = stacks::engine(number).unwrap();
        let served = (gate, Directory::make().unwrap());
        let host = Host::new(number, engine, (stack.clone(), config), served, TOKEN).unwrap();
        engine.reside();
        Self { host, round: Round::default(), program: Program { stack, host: None } }
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

    /// Asks about a socket.
    #[track_caller]
    fn ask(&mut self, about: &OwnedFd, request: &Request) -> Response {
        let fd = self.asked(about, request);
        let mut bytes = [0; Response::SIZE];
        let mut got = Ok(0);
        self.until("an answer", |_| {
            got = unix::recv(fd.as_fd(), &mut bytes, 0);
            got.is_ok()
        });
        Response::from_bytes(&bytes[..got.unwrap()]).unwrap()
    }

    /// A question about a socket that the host has not seen yet.
    fn asked(&self, about: &OwnedFd, request: &Request) -> OwnedFd {
        let fd = self.program.enter().unwrap();
        lend(fd.as_raw_fd(), &request.to_bytes(), &[about.as_raw_fd()]).unwrap();
        fd
    }

    fn tell(&self, about: &OwnedFd, request: Request) {
        drop(self.asked(about, &Request { flags: NO_REPLY, ..request }));
    }

    fn listen(&mut self, backlog: i32) -> (OwnedFd, Address) {
        let fd = unix::open(Kind::Stream).unwrap();
        let address = Address::v4([127, 0, 0, 1], 0);
        let bound = self.ask(&fd, &Request { address, ..Request::new(Op::Bind, TOKEN) });
        assert_eq!(self.ask(&fd, &Request { value: backlog, ..Request::new(Op::Listen, TOKEN) }).errno, 0);
        (fd, bound.local)
    }

    /// A socket and the question to connect it, which the host has not seen yet.
    fn begun(&self, address: Address) -> (OwnedFd, OwnedFd) {
        let fd = unix::open(Kind::Stream).unwrap();
        let asked = self.asked(&fd, &Request { address, ..Request::new(Op::Connect, TOKEN) });
        (fd, asked)
    }

    /// A socket that is being connected.
    #[track_caller]
    fn connect(&mut self, address: Address) -> OwnedFd {
        let fd = unix::open(Kind::Stream).unwrap();
        assert_eq!(self.ask(&fd, &Request { address, ..Request::new(Op::Connect, TOKEN) }).errno, 0);
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
    fn pair(&mut self, listener: &(OwnedFd, Address)) -> (OwnedFd, OwnedFd) {
        let client = self.connect(listener.1);
        let server = self.accept(&listener.0);
        self.until("a connection", |_| poll(&client, libc::POLLOUT, 0) == libc::POLLOUT);
        (client, server)
    }

    /// Has the host close a connection of a program's by a reset.
    fn reset(&mut self, fd: OwnedFd) {
        self.tell(&fd, linger());
        drop(fd);
    }
}

/// SO_LINGER of zero: close(2) is a reset.
fn linger() -> Request {
    let data = Data::of([1i32, 0].map(i32::to_ne_bytes).as_flattened()).unwrap();
    let (level, name) = (libc::SOL_SOCKET, libc::SO_LINGER);
    Request { level, name, data, ..Request::new(Op::SetOption, TOKEN) }
}

fn send(fd: &OwnedFd, bytes: &[u8]) {
    assert_eq!(unix::send(fd.as_fd(), bytes, 0).unwrap(), bytes.len());
}

#[test]
fn who_writes_and_is_gone_before_the_host_has_looked_leaves_a_connection_that_ends() {
    let mut hand = Hand::new("gone");
    let listener = hand.listen(8);
    let client = hand.connect(listener.1);
    hand.until("a connection", |_| poll(&client, libc::POLLOUT, 0) == libc::POLLOUT);
    send(&client, b"a word");
    drop(client);
    let server = hand.accept(&listener.0);
    assert_eq!(hand.read_all(&server), Ok(b"a word".to_vec()));
    drop(server);
    hand.until_left(1);
}

#[test]
fn who_is_gone_together_with_its_question_leaves_nothing() {
    let mut hand = Hand::new("silent");
    let listener = hand.listen(8);
    for waits in [false, true] {
        let (client, asked) = hand.begun(listener.1);
        if waits {
            // Its question is on its way, and has the last descriptor.
            drop(client);
            hand.rounds();
            drop(asked);
        } else {
            drop((client, asked));
        }
        hand.until("nothing but the listener, or what it is to accept", |host| {
            !host.slots.values().any(|slot| matches!(slot.item, Item::Connecting(_)))
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
fn a_socket_looks_as_one_that_is_connected_from_the_answer_on_in_all_its_duplicates() {
    let mut hand = Hand::new("looks");
    let listener = hand.listen(1);
    let fd = unix::open(Kind::Stream).unwrap();
    let (copy, mut seen) = (fd.try_clone().unwrap(), libc::epoll_event { events: 0, u64: 0 });
    let epoll = crate::sys::readiness::new(true).unwrap();
    let event = libc::epoll_event { events: (libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLET) as u32, u64: 7 };
    crate::sys::readiness::control(epoll, libc::EPOLL_CTL_ADD, copy.as_raw_fd(), event).unwrap();
    let mut look = || match crate::sys::readiness::take(epoll, std::slice::from_mut(&mut seen)) {
        Ok(1) => seen.events as i32,
        _ => 0,
    };
    assert_eq!(look(), libc::EPOLLOUT | libc::EPOLLHUP, "as of a socket of TCP that is not connected");
    // More than two queues hold: it waits.
    let crowd: Vec<OwnedFd> = (0..8).map(|_| hand.connect(listener.1)).collect();
    let connect = Request { address: listener.1, ..Request::new(Op::Connect, TOKEN) };
    assert_eq!(hand.ask(&fd, &connect).errno, 0);
    let all = libc::POLLIN | libc::POLLOUT | libc::POLLRDHUP;
    assert_eq!((poll(&fd, all, 0), poll(&copy, all, 0)), (0, 0));
    assert_eq!(hand.ask(&fd, &connect).errno, libc::EALREADY);
    look();
    drop(crowd);
    while poll(&copy, all, 0) == 0 {
        drop(hand.accept(&listener.0));
    }
    assert_eq!(poll(&copy, libc::POLLOUT, 0), libc::POLLOUT);
    assert_eq!(look() & libc::EPOLLOUT, libc::EPOLLOUT, "a set from before is told");
    assert_eq!(hand.ask(&copy, &connect).errno, libc::EISCONN);
    crate::sys::placeholder::close(epoll);
}

#[test]
fn the_end_of_what_a_program_writes_may_come_at_once() {
    let mut hand = Hand::new("half");
    let listener = hand.listen(8);
    let client = hand.connect(listener.1);
    hand.until("a connection", |_| poll(&client, libc::POLLOUT, 0) == libc::POLLOUT);
    send(&client, b"question");
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
fn an_urgent_byte_may_come_at_once() {
    let mut hand = Hand::new("urgent");
    let listener = hand.listen(8);
    let client = hand.connect(listener.1);
    hand.until("a connection", |_| poll(&client, libc::POLLOUT, 0) == libc::POLLOUT);
    assert_eq!(unix::send(client.as_fd(), b"!", libc::MSG_OOB).unwrap(), 1);
    let server = hand.accept(&listener.0);
    let mut byte = [0];
    hand.until("an urgent byte", |_| unix::recv(server.as_fd(), &mut byte, libc::MSG_OOB).is_ok());
    assert_eq!(byte, *b"!");
}

#[test]
fn nothing_is_kept_of_refused_connections_but_what_another_attempt_needs() {
    let mut hand = Hand::new("refused");
    let (level, name) = (libc::IPPROTO_TCP, libc::TCP_CONGESTION);
    let set = Request { level, name, data: Data::of(b"reno").unwrap(), ..Request::new(Op::SetOption, TOKEN) };
    let get = Request { level, name, value: 16, ..Request::new(Op::GetOption, TOKEN) };
    // A port that the stack has chosen is given back by a refusal, as on Linux.
    let bind = Request { address: Address::v4([127, 0, 0, 1], 5001), ..Request::new(Op::Bind, TOKEN) };
    let names = Request::new(Op::Names, TOKEN);
    for is_known in [false, true] {
        let client = unix::open(Kind::Stream).unwrap();
        let local = if is_known {
            assert_eq!(hand.ask(&client, &set).errno, 0);
            hand.ask(&client, &bind).local
        } else {
            Address::NONE
        };
        assert_eq!(hand.ask(&client, &Request { address: NOBODY, ..Request::new(Op::Connect, TOKEN) }).errno, 0);
        hand.until("a refusal", |_| poll(&client, libc::POLLOUT, 0) & libc::POLLHUP == libc::POLLHUP);
        hand.until_left(usize::from(is_known));
        assert_eq!(hand.ask(&client, &Request::new(Op::Result, TOKEN)).errno, libc::ECONNREFUSED);
        // What takes its place has what it had, which then knows nothing any more.
        let new = unix::open(Kind::Stream).unwrap();
        let asking = hand.program.enter().unwrap();
        let lent = [client.as_raw_fd(), new.as_raw_fd()];
        lend(asking.as_raw_fd(), &Request::new(Op::Succeed, TOKEN).to_bytes(), &lent).unwrap();
        hand.rounds();
        drop(client);
        hand.until_left(usize::from(is_known));
        if is_known {
            assert_eq!(hand.ask(&new, &get).data.as_bytes().get(..5), Some(&b"reno\0"[..]));
            assert_eq!(hand.ask(&new, &names).local, local);
            assert!(unix::own_path(new.as_fd()).is_some());
        }
        drop(new);
        hand.until_left(0);
    }
}

#[test]
fn nothing_is_kept_of_a_connection_that_is_given_up_while_it_waits_for_an_answer() {
    let mut hand = Hand::new("given-up");
    let listener = hand.listen(1);
    // More than the two queues hold.
    let mut clients: Vec<OwnedFd> = (0..10).map(|_| hand.connect(listener.1)).collect();
    let waits = |host: &Host| host.slots.values().filter(|slot| matches!(slot.item, Item::Connecting(_))).count();
    assert!(waits(&hand.host) > 0, "nobody waits for an answer");
    let last = unix::cookie(clients.last().unwrap().as_fd()).unwrap();
    clients.clear();
    hand.until("nobody waits any more", |host| waits(host) == 0);
    assert_eq!(hand.host.outcomes.of(last), None);
}

#[test]
fn who_waits_to_be_accepted_sees_a_reset_when_the_listener_goes() {
    let mut hand = Hand::new("unaccepted");
    // One is in the program's queue; or both queues are full, and one is between them.
    for count in [1, 7] {
        let (listener, local) = hand.listen(1);
        let clients: Vec<OwnedFd> = (0..count).map(|_| hand.connect(local)).collect();
        hand.rounds();
        let made: Vec<OwnedFd> =
            clients.into_iter().filter(|client| poll(client, libc::POLLOUT, 0) == libc::POLLOUT).collect();
        assert!(made.len() == count || made.len() > 3, "{} of {count} are made", made.len());
        send(&made[0], b"data");
        hand.rounds();
        drop(listener);
        for client in &made {
            assert_eq!(hand.read_all(client), Err(libc::ECONNRESET), "one of {count}");
        }
        drop(made);
        hand.until_left(0);
    }
}

#[test]
fn whoever_closes_is_seen_without_a_word() {
    let mut hand = Hand::new("closes");
    let bind = Request { address: Address::v4([127, 0, 0, 1], 0), ..Request::new(Op::Bind, TOKEN) };
    let datagram = Request { flags: u32::from(Tag::DATAGRAM), value: 1, op: Op::Datagram, ..bind };
    for (kind, request) in [(Kind::Stream, bind), (Kind::Datagrams, datagram)] {
        let fd = unix::open(kind).unwrap();
        let local = hand.ask(&fd, &request).local;
        let again = unix::open(kind).unwrap();
        let again_there = Request { address: local, ..request };
        assert_eq!(hand.ask(&again, &again_there).errno, libc::EADDRINUSE);
        hand.until_left(1);
        let copy = fd.try_clone().unwrap();
        drop(fd);
        assert_eq!(hand.ask(&again, &again_there).errno, libc::EADDRINUSE);
        drop(copy);
        // At once, also where the host has not been told yet.
        assert_eq!(hand.ask(&again, &again_there).errno, 0);
        hand.until_left(1);
        drop(again);
        hand.until_left(0);
    }
    let left: Vec<_> = std::fs::read_dir(hand.host.directory.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["host"], "and no file of theirs");
}

#[test]
fn who_neither_reads_nor_can_write_is_told_of_a_reset_and_reads_what_came_before() {
    let mut hand = Hand::new("unread");
    let listener = hand.listen(8);
    let (client, server) = hand.pair(&listener);
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
    let id = unix::cookie(client.as_fd()).unwrap();
    let info = hand.host.socket(id).unwrap().with(|stack, id, now| stack.tcp_info(id, now)).unwrap();
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
