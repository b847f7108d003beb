//! A program's part, played over AF_UNIX against a host whose stack has a loopback only.

mod by_hand;

use super::{Options, run};
use crate::sys::{
    clock,
    unix::{self, Kind},
};
use sockeye_shim::{
    Errno,
    address::Address,
    format::{Data, DatagramHeader, NO_REPLY, Op, Request, Response},
    host::Host,
    kernel::{lend, network_of},
    name::Meaning,
    path::Path,
    tag::Tag,
};
use std::{
    os::fd::{AsFd, AsRawFd, OwnedFd},
    thread,
    time::Duration,
};

const TOKEN: [u8; 16] = [5; 16];
/// The host panics over a request that says this.
pub const UNLUCKY: u64 = 13_131_313;

/// A program and the name of its stack.
struct Program {
    stack: Vec<u8>,
    /// The thread of its host, if that has one.
    host: Option<thread::JoinHandle<()>>,
}

impl Drop for Program {
    fn drop(&mut self) {
        // What a host leaves in the file system goes with it.
        if let Some(host) = self.host.take()
            && !thread::panicking()
        {
            self.ask(&Request::new(Op::Stop, TOKEN));
            host.join().unwrap();
        }
    }
}

/// Polls a descriptor once, `millis` at most: what it is ready for.
fn poll(fd: &OwnedFd, events: i16, millis: u64) -> i16 {
    let until = clock::now() + Duration::from_millis(millis);
    loop {
        let mut fds = [libc::pollfd { fd: fd.as_raw_fd(), events, revents: 0 }];
        crate::sys::readiness::look(&mut fds);
        if fds[0].revents != 0 || clock::now() > until {
            return fds[0].revents;
        }
        thread::sleep(Duration::from_micros(200));
    }
}

fn read(fd: &OwnedFd, room: usize) -> Result<Vec<u8>, i32> {
    poll(fd, libc::POLLIN, 5000);
    let mut bytes = vec![0; room];
    let n = unix::recv(fd.as_fd(), &mut bytes, 0).map_err(|error| error.raw_os_error().unwrap_or(0))?;
    bytes.truncate(n);
    Ok(bytes)
}

fn read_all(fd: &OwnedFd) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        match read(fd, 65536) {
            Ok(bytes) if !bytes.is_empty() => all.extend(bytes),
            _ => return all,
        }
    }
}

fn write_all(fd: &OwnedFd, mut data: &[u8]) {
    while !data.is_empty() {
        match unix::send(fd.as_fd(), data, 0) {
            Ok(n) => data = &data[n..],
            Err(_) => assert_eq!(poll(fd, libc::POLLOUT, 5000), libc::POLLOUT),
        }
    }
}

/// Accepts as the shim does: with the byte that the host leaves unread.
fn accept(listener: &OwnedFd) -> OwnedFd {
    let fd = unix::accept(listener.as_fd()).unwrap();
    unix::send(fd.as_fd(), &[0], 0).unwrap();
    fd
}

#[test]
fn only_what_tells_the_end_of_a_tree_is_taken_for_it() {
    let program = Program::new("tree");
    let stack = &program.stack;
    let host =
        Host { stack, token: TOKEN, network: 0, congestion: b"", start: || Err(Errno(libc::ENETDOWN)), say: |_| {} };
    let another = unix::open(Kind::Stream).unwrap();
    assert_eq!(host.hold(another.as_raw_fd()), Err(Errno(libc::EINVAL)));
}

impl Program {
    /// A program on a stack of its own.
    fn new(name: &str) -> Self {
        let stack = format!("{}-{name}", std::process::id());
        let options = Options { name: stack.clone(), net: "null:".to_owned(), token: Some(TOKEN) };
        let host = thread::spawn(move || _ = run(&options).unwrap());
        let program = Self { stack: stack.into_bytes(), host: Some(host) };
        let until = clock::now() + Duration::from_secs(5);
        while program.control().is_none() {
            assert!(clock::now() < until, "no host");
            thread::sleep(Duration::from_millis(1));
        }
        program
    }

    fn name(&self, meaning: Meaning) -> Vec<u8> {
        meaning.name(&self.stack).unwrap().as_bytes().to_vec()
    }

    fn control(&self) -> Option<OwnedFd> {
        let fd = unix::open(Kind::Packets).unwrap();
        unix::connect(fd.as_fd(), &self.name(Meaning::Control)).ok().map(|()| fd)
    }

    /// Connects by the secret path, if there is room in its queue.
    fn enter(&self) -> Option<OwnedFd> {
        let fd = unix::open(Kind::Packets).unwrap();
        let path = Path::of(&self.stack, &TOKEN, network_of(fd.as_raw_fd())).unwrap();
        unix::connect_path(fd.as_fd(), path.as_bytes()).ok().map(|()| fd)
    }

    fn ask(&self, request: &Request) -> Response {
        self.ask_with(&[], request)
    }

    /// Asks about a socket.
    fn ask_about(&self, fd: &OwnedFd, request: &Request) -> Response {
        self.ask_with(&[fd.as_raw_fd()], request)
    }

    fn ask_with(&self, lent: &[i32], request: &Request) -> Response {
        let fd = self.enter().unwrap();
        lend(fd.as_raw_fd(), &request.to_bytes(), lent).unwrap();
        if request.flags & NO_REPLY != 0 {
            return Response::new(0);
        }
        Response::from_bytes(&read(&fd, Response::SIZE).unwrap()).unwrap()
    }

    fn listen(&self, port: u16, backlog: i32) -> (OwnedFd, Address) {
        let fd = unix::open(Kind::Stream).unwrap();
        let address = Address::v4([127, 0, 0, 1], port);
        let bound = self.ask_about(&fd, &Request { address, ..Request::new(Op::Bind, TOKEN) });
        assert_eq!(bound.errno, 0);
        let listening = self.ask_about(&fd, &Request { value: backlog, ..Request::new(Op::Listen, TOKEN) });
        assert_eq!(listening.errno, 0);
        (fd, bound.local)
    }

    /// A new socket, and why it cannot be connected, 0 if it may be.
    fn connect(&self, address: Address) -> (OwnedFd, i32) {
        let fd = unix::open(Kind::Stream).unwrap();
        let begun = self.ask_about(&fd, &Request { address, ..Request::new(Op::Connect, TOKEN) });
        (fd, begun.errno)
    }

    fn result(&self, fd: &OwnedFd) -> Response {
        self.ask_about(fd, &Request::new(Op::Result, TOKEN))
    }

    /// Two ends of a connection: the one that connected, and the one that was accepted.
    fn pair(&self, listener: &(OwnedFd, Address)) -> (OwnedFd, OwnedFd) {
        let (client, errno) = self.connect(listener.1);
        assert_eq!(errno, 0);
        assert_eq!(poll(&client, libc::POLLOUT, 5000), libc::POLLOUT);
        assert_eq!(self.result(&client).errno, 0);
        assert_eq!(poll(&listener.0, libc::POLLIN, 5000), libc::POLLIN);
        (client, accept(&listener.0))
    }
}

#[test]
fn bytes_and_ends_go_both_ways() {
    let program = Program::new("both");
    let listener = program.listen(0, 8);
    let (client, server) = program.pair(&listener);
    let names = program.result(&client);
    assert_eq!(names.remote, listener.1);
    write_all(&client, b"question");
    assert_eq!(read(&server, 100).unwrap(), b"question");
    write_all(&server, b"answer");
    assert_eq!(read(&client, 100).unwrap(), b"answer");
    unix::shutdown_write(client.as_fd()).unwrap();
    assert_eq!(read(&server, 100).unwrap(), b"");
    write_all(&server, b"after the end");
    drop(server);
    assert_eq!(read_all(&client), b"after the end");
    assert_eq!(unix::take_error(client.as_fd()), 0);
}

#[test]
fn a_megabyte_arrives_whole_while_another_goes_the_other_way() {
    let program = Program::new("bulk");
    let listener = program.listen(0, 8);
    let (client, server) = program.pair(&listener);
    let data: Vec<u8> = (0..3_000_000u32).map(|n| ((n * 7) >> 3) as u8).collect();
    thread::scope(|scope| {
        for (from, to) in [(&client, &server), (&server, &client)] {
            let data = &data;
            scope.spawn(move || {
                write_all(from, data);
                unix::shutdown_write(from.as_fd()).unwrap();
            });
            scope.spawn(move || assert!(read_all(to) == *data));
        }
    });
}

#[test]
fn nobody_listening_is_a_refusal() {
    let program = Program::new("refused");
    let (client, errno) = program.connect(Address::v4([127, 0, 0, 1], 9));
    assert_eq!(errno, 0);
    assert!(poll(&client, libc::POLLOUT, 5000) & (libc::POLLERR | libc::POLLHUP) != 0);
    assert_eq!(program.result(&client).errno, libc::ECONNREFUSED);
    let (nowhere, errno) = program.connect(Address::v4([192, 0, 2, 1], 9));
    assert_eq!(errno, libc::ENETUNREACH);
    // It may try elsewhere.
    let again = Request { address: Address::v4([127, 0, 0, 1], 9), ..Request::new(Op::Connect, TOKEN) };
    assert_eq!(program.ask_about(&nowhere, &again).errno, 0);
}

#[test]
fn data_left_unread_is_a_reset_for_the_other_side() {
    let program = Program::new("reset");
    let listener = program.listen(0, 8);
    let (client, server) = program.pair(&listener);
    write_all(&client, b"q");
    assert_eq!(read(&server, 10).unwrap(), b"q");
    write_all(&server, b"answer");
    poll(&client, libc::POLLIN, 5000);
    drop(client);
    assert_eq!(read(&server, 10), Err(libc::ECONNRESET));
    let (client, server) = program.pair(&listener);
    write_all(&client, b"q");
    assert_eq!(read(&server, 10).unwrap(), b"q");
    drop(server);
    assert_eq!(read(&client, 10).unwrap(), b"", "an orderly close");
}

#[test]
fn what_a_program_could_not_see_of_its_socket_cannot_be_asked_for() {
    let program = Program::new("unseen");
    let fd = unix::open(Kind::Stream).unwrap();
    for (level, name) in [(libc::IPPROTO_IP, libc::IP_RECVERR), (libc::IPPROTO_TCP, 36)] {
        let set = |on: i32| {
            let data = Data::of(&on.to_ne_bytes()).unwrap();
            program.ask_about(&fd, &Request { level, name, data, ..Request::new(Op::SetOption, TOKEN) }).errno
        };
        assert_eq!((set(0), set(1)), (0, libc::ENOPROTOOPT), "{name}");
    }
}

#[test]
fn a_reset_is_told_from_an_end_even_after_bulk_and_before_a_word() {
    let program = Program::new("resets");
    let listener = program.listen(0, 8);
    let linger = Data::of([1i32, 0].map(i32::to_ne_bytes).as_flattened()).unwrap();
    let set = |fd: &OwnedFd| {
        let (level, name, data) = (libc::SOL_SOCKET, libc::SO_LINGER, linger);
        let request = Request { level, name, data, ..Request::new(Op::SetOption, TOKEN) };
        assert_eq!(program.ask_about(fd, &request).errno, 0);
    };
    for sent in [0, 10, 100_000] {
        let (client, server) = program.pair(&listener);
        write_all(&server, &vec![7; sent]);
        let mut got = 0;
        while got < sent {
            got += read(&client, 65536).unwrap().len();
        }
        set(&client);
        drop(client);
        assert_eq!(read(&server, 10), Err(libc::ECONNRESET), "{sent} bytes sent");
    }
}

#[test]
fn a_port_is_free_as_soon_as_its_listener_is_closed() {
    let program = Program::new("port");
    let (fd, local) = program.listen(0, 8);
    let again = Request { address: local, ..Request::new(Op::Bind, TOKEN) };
    let another = unix::open(Kind::Stream).unwrap();
    assert_eq!(program.ask_about(&another, &again).errno, libc::EADDRINUSE);
    let copy = fd.try_clone().unwrap();
    drop(fd);
    assert_eq!(program.ask_about(&another, &again).errno, libc::EADDRINUSE, "a duplicate has it");
    drop(copy);
    assert_eq!(program.ask_about(&another, &again).errno, 0);
    assert_eq!(program.ask_about(&another, &again).errno, libc::EINVAL, "bound already");
}

#[test]
fn a_full_queue_keeps_connections_waiting() {
    let program = Program::new("queue");
    let listener = program.listen(0, 1);
    let clients: Vec<_> = (0..6).map(|_| program.connect(listener.1).0).collect();
    let mut served = 0;
    while served < clients.len() && poll(&listener.0, libc::POLLIN, 3000) == libc::POLLIN {
        thread::sleep(Duration::from_millis(10));
        let server = accept(&listener.0);
        write_all(&server, b"!");
        served += 1;
    }
    assert_eq!(served, clients.len());
    clients.iter().for_each(|client| assert_eq!(read(client, 10).unwrap(), b"!"));
}

#[test]
fn options_are_kept_before_the_connection_and_read_after() {
    let program = Program::new("options");
    let listener = program.listen(0, 8);
    let data = Data::of(&1i32.to_ne_bytes()).unwrap();
    let (level, name) = (libc::IPPROTO_TCP, libc::TCP_NODELAY);
    let set = Request { level, name, data, flags: NO_REPLY, ..Request::new(Op::SetOption, TOKEN) };
    let client = unix::open(Kind::Stream).unwrap();
    assert_eq!(program.ask_about(&client, &set).errno, 0);
    let connect = Request { address: listener.1, ..Request::new(Op::Connect, TOKEN) };
    assert_eq!(program.ask_about(&client, &connect).errno, 0);
    assert_eq!(poll(&client, libc::POLLOUT, 5000), libc::POLLOUT);
    assert_eq!(poll(&listener.0, libc::POLLIN, 5000), libc::POLLIN);
    let server = accept(&listener.0);
    let get = Request { level, name, value: 4, ..Request::new(Op::GetOption, TOKEN) };
    assert_eq!(program.ask_about(&client, &get).data.as_bytes(), 1i32.to_ne_bytes());
    let fresh = unix::open(Kind::Stream).unwrap();
    assert_eq!(program.ask_about(&fresh, &get).data.as_bytes(), 0i32.to_ne_bytes());
    let info = Request { name: libc::TCP_INFO, value: 288, ..get };
    for end in [&client, &server] {
        let told = program.ask_about(end, &info).data;
        assert_eq!(told.as_bytes().first(), Some(&1), "established");
        assert_eq!(told.as_bytes().len(), size_of::<crate::tcp::info::Info>(), "all of it");
    }
}

#[test]
fn only_a_socket_itself_says_which_is_meant() {
    let program = Program::new("meant");
    let listener = program.listen(0, 8);
    let (client, server) = program.pair(&listener);
    let names = Request::new(Op::Names, TOKEN);
    let local = |fd: &OwnedFd| program.ask_about(fd, &names).local;
    assert_eq!((local(&server), local(&listener.0)), (listener.1, listener.1));
    let copy = server.try_clone().unwrap();
    assert_eq!(local(&copy), listener.1);
    // The other end of it is nobody's, once it is over.
    drop((client, server));
    assert_eq!(poll(&copy, libc::POLLRDHUP, 5000) & libc::POLLRDHUP, libc::POLLRDHUP);
    let (pipe, _end) = std::io::pipe().unwrap();
    assert_eq!(program.ask_about(&OwnedFd::from(pipe), &names).errno, libc::EINVAL);
    assert_eq!(program.ask(&names).errno, libc::EINVAL, "nothing is lent");
    let packets = unix::open(Kind::Packets).unwrap();
    assert_eq!(program.ask_about(&packets, &names).errno, libc::EINVAL);
    let datagrams = unix::open(Kind::Datagrams).unwrap();
    assert_eq!(program.ask_about(&datagrams, &Request::new(Op::Bind, TOKEN)).errno, libc::ENOENT, "no stream");
}

#[test]
fn a_panic_over_a_request_ends_the_request_alone() {
    let program = Program::new("panic");
    let listener = program.listen(0, 8);
    let (client, server) = program.pair(&listener);
    let requests: Vec<_> = (0..3).map(|_| program.control().unwrap()).collect();
    for fd in &requests {
        unix::send(fd.as_fd(), &Request { from: UNLUCKY, ..Request::new(Op::Interfaces, TOKEN) }.to_bytes(), 0)
            .unwrap();
    }
    for fd in &requests {
        assert_eq!(read(fd, Response::SIZE), Ok(Vec::new()), "it ends without an answer");
    }
    assert_eq!(program.ask(&Request::new(Op::Join, TOKEN)).errno, 0);
    write_all(&client, b"still here");
    assert_eq!(read(&server, 100).unwrap(), b"\0still here"[1..]);
}

#[test]
fn strangers_and_strange_bytes_get_nothing() {
    let program = Program::new("strange");
    assert_eq!(program.ask(&Request::new(Op::Join, [9; 16])).errno, libc::EACCES);
    assert_eq!(program.ask(&Request::new(Op::Join, [0; 16])).data.as_bytes(), TOKEN, "the own user");
    for bytes in [&b"x"[..], &[0; 400], &Request::new(Op::Join, TOKEN).to_bytes()[..40]] {
        let fd = program.control().unwrap();
        unix::send(fd.as_fd(), bytes, 0).unwrap();
        poll(&fd, libc::POLLIN, 1000);
    }
    // And what comes with them is let go of.
    let (mut reader, writer) = std::io::pipe().unwrap();
    let writer = OwnedFd::from(writer);
    for request in [Request::new(Op::Join, [9; 16]), Request::new(Op::Interfaces, TOKEN)] {
        program.ask_about(&writer, &request);
    }
    drop(writer);
    assert_eq!(std::io::Read::read(&mut reader, &mut [0]).unwrap(), 0);
    assert_eq!(program.ask(&Request::new(Op::Join, TOKEN)).errno, 0);
}

impl Program {
    /// A datagram socket bound to a port of 127.0.0.1.
    fn datagrams(&self) -> (OwnedFd, Address) {
        let fd = unix::open(Kind::Datagrams).unwrap();
        let flags = u32::from(Tag::DATAGRAM);
        let address = Address::v4([127, 0, 0, 1], 0);
        let opened = self.ask_about(&fd, &Request { flags, address, value: 1, ..Request::new(Op::Datagram, TOKEN) });
        assert_eq!(opened.errno, 0);
        (fd, opened.local)
    }
}

fn framed(peer: Address, payload: &[u8]) -> Vec<u8> {
    [&DatagramHeader { peer, ..DatagramHeader::NONE }.to_bytes()[..], payload].concat()
}

#[test]
fn datagrams_carry_their_addresses() {
    let program = Program::new("datagrams");
    let (a, from) = program.datagrams();
    let (b, to) = program.datagrams();
    let largest = vec![7; 65_507];
    for payload in [&b""[..], b"x", &largest] {
        unix::send(a.as_fd(), &framed(to, payload), 0).unwrap();
        let got = read(&b, 70_000).unwrap();
        let header = DatagramHeader::from_bytes(&got).unwrap();
        assert_eq!((header.peer, &got[DatagramHeader::SIZE..]), (from, payload));
    }
    let connect = Request { address: to, ..Request::new(Op::Associate, TOKEN) };
    assert_eq!(program.ask_about(&a, &connect).errno, 0);
    unix::send(a.as_fd(), b"plain, to the peer", 0).unwrap();
    assert_eq!(&read(&b, 100).unwrap()[DatagramHeader::SIZE..], b"plain, to the peer");
}

#[test]
fn a_refused_datagram_is_a_reset_with_a_reason_and_a_closed_socket_gives_its_port_back() {
    let program = Program::new("unreachable");
    let (a, _) = program.datagrams();
    let (b, nobody) = program.datagrams();
    drop(b);
    assert_eq!(program.ask_about(&a, &Request { address: nobody, ..Request::new(Op::Associate, TOKEN) }).errno, 0);
    unix::send(a.as_fd(), &framed(Address::NONE, b"x"), 0).unwrap();
    assert!(poll(&a, libc::POLLERR, 5000) & libc::POLLERR != 0);
    assert_eq!(unix::take_error(a.as_fd()), libc::ECONNRESET);
    let (level, name) = (libc::SOL_SOCKET, libc::SO_ERROR);
    let reason = program.ask_about(&a, &Request { level, name, value: 4, ..Request::new(Op::GetOption, TOKEN) });
    assert_eq!(reason.data.as_bytes(), libc::ECONNREFUSED.to_ne_bytes());
}

#[test]
fn names_that_nobody_needs_to_be_asked_for_are_answered_at_once() {
    let program = Program::new("names");
    let resolve = |name: &str| {
        let data = Data::of(name.as_bytes()).unwrap();
        program.ask(&Request { data, ..Request::new(Op::Resolve, TOKEN) })
    };
    let loopback = Address::v4([127, 0, 0, 1], 0);
    assert_eq!(resolve("localhost").data.as_bytes(), [&[1], &loopback.to_bytes()[..]].concat());
    assert_eq!(resolve("nowhere.test").errno, libc::ENOENT, "without a name server");
    assert_eq!(resolve("\u{1f41f}").errno, libc::ENOENT);
    let called = |address| program.ask(&Request { address, ..Request::new(Op::Reverse, TOKEN) });
    assert_eq!(called(loopback).data.as_bytes(), b"localhost");
    assert_eq!(called(Address::v4([192, 0, 2, 1], 0)).errno, libc::ENOENT);
    let stranger = program.ask(&Request::new(Op::Reverse, [9; 16]));
    assert_eq!(stranger.errno, libc::EACCES);
}
