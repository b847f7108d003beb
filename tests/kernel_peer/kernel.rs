//! The kernel's side: its sockets, with what the standard library does not offer of them.

use crate::{
    netns::{KERNEL, Namespace, OURS},
    program::PATIENCE,
};
use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    time::Duration,
};

/// A listener on a port of the kernel's choice, and the port.
pub fn listener(namespace: &Namespace) -> (TcpListener, u16) {
    let listener = namespace.inside(|| TcpListener::bind((KERNEL, 0))).expect("a listener");
    let port = listener.local_addr().expect("its address").port();
    (listener, port)
}

/// The next connection of a listener, with a time limit on it and on its calls.
pub fn accepted(listener: &TcpListener) -> TcpStream {
    wait_readable(listener, PATIENCE);
    limited(listener.accept().expect("a connection").0)
}

/// A connection to our port.
pub fn connected(namespace: &Namespace, port: u16) -> TcpStream {
    limited(connect(namespace, port).expect("a connection"))
}

/// Tries to connect to our port.
pub fn connect(namespace: &Namespace, port: u16) -> io::Result<TcpStream> {
    let ours: SocketAddr = format!("{OURS}:{port}").parse().expect("an address");
    namespace.inside(|| TcpStream::connect_timeout(&ours, PATIENCE))
}

fn limited(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
    stream.set_write_timeout(Some(PATIENCE)).expect("a time limit");
    stream
}

/// A UDP socket of the kernel on a port of its choice, and the port.
pub fn datagrams(namespace: &Namespace) -> (UdpSocket, u16) {
    let socket = namespace.inside(|| UdpSocket::bind((KERNEL, 0))).expect("a socket");
    socket.set_read_timeout(Some(PATIENCE)).expect("a time limit");
    let port = socket.local_addr().expect("its address").port();
    (socket, port)
}

/// Reads what there is up to the end.
pub fn read_all(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    stream.read_to_end(&mut all).map(|_| all)
}

/// Reads exactly `len` bytes.
pub fn read(stream: &mut TcpStream, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    stream.read_exact(&mut bytes).expect("bytes from our program");
    bytes
}

/// Sends back what comes on the listener's connections, each on a thread, for as long as the process lives.
pub fn echo(listener: TcpListener) {
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            std::thread::Builder::new()
                .stack_size(64 << 10)
                .spawn(move || {
                    let mut buf = [0; 16 << 10];
                    while let Ok(len @ 1..) = stream.read(&mut buf) {
                        if stream.write_all(&buf[..len]).is_err() {
                            return;
                        }
                    }
                })
                .expect("a thread");
        }
    });
}

/// Whether it becomes readable within the time.
pub fn is_readable(socket: &impl AsRawFd, limit: Duration) -> bool {
    has_event(socket, libc::POLLIN, limit)
}

/// Whether one of `events` (or an error) comes within the time.
pub fn has_event(socket: &impl AsRawFd, events: i16, limit: Duration) -> bool {
    let mut poll = libc::pollfd { fd: socket.as_raw_fd(), events, revents: 0 };
    // SAFETY: one pollfd, alive during the call.
    unsafe { libc::poll(&raw mut poll, 1, limit.as_millis() as i32) == 1 }
}

fn wait_readable(socket: &impl AsRawFd, limit: Duration) {
    assert!(is_readable(socket, limit), "nothing came within {limit:?}");
}

/// Sets an option whose value is of type `T`.
fn set<T>(socket: &impl AsRawFd, level: i32, name: i32, value: &T) {
    let len = size_of::<T>() as libc::socklen_t;
    // SAFETY: `value` has `len` bytes.
    let set = unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const *value).cast(), len) };
    assert_eq!(set, 0, "setsockopt: {}", io::Error::last_os_error());
}

/// Makes close(2) reset the connection.
pub fn reset_on_close(stream: &TcpStream) {
    set(stream, libc::SOL_SOCKET, libc::SO_LINGER, &libc::linger { l_onoff: 1, l_linger: 0 });
}

/// Makes the receive buffer (of a listener: of its connections) small.
pub fn receive_buffer(socket: &impl AsRawFd, bytes: i32) {
    set(socket, libc::SOL_SOCKET, libc::SO_RCVBUF, &bytes);
}

/// Gives up on data that is not acknowledged for so long.
pub fn user_timeout(stream: &TcpStream, milliseconds: i32) {
    set(stream, libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT, &milliseconds);
}

/// Changes the backlog of a listener.
pub fn backlog(listener: &TcpListener, backlog: i32) {
    // SAFETY: listen(2) has no memory arguments.
    assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), backlog) }, 0);
}

/// Sends one byte as urgent data.
pub fn send_urgent(stream: &TcpStream, byte: u8) {
    // SAFETY: one byte, alive during the call.
    let sent = unsafe { libc::send(stream.as_raw_fd(), (&raw const byte).cast(), 1, libc::MSG_OOB) };
    assert_eq!(sent, 1, "send: {}", io::Error::last_os_error());
}

/// The urgent byte, once it is there.
pub fn receive_urgent(stream: &TcpStream) -> io::Result<u8> {
    has_event(stream, libc::POLLPRI, PATIENCE);
    let mut byte = 0_u8;
    // SAFETY: one byte, alive during the call.
    let got = unsafe { libc::recv(stream.as_raw_fd(), (&raw mut byte).cast(), 1, libc::MSG_OOB | libc::MSG_DONTWAIT) };
    if got == 1 { Ok(byte) } else { Err(io::Error::last_os_error()) }
}

/// asm-generic/sockios.h
const SIOCATMARK: libc::Ioctl = 0x8905;

/// Whether the next byte to read is the one after the urgent mark.
pub fn is_at_mark(stream: &TcpStream) -> bool {
    let mut at = 0_i32;
    // SAFETY: SIOCATMARK writes one int.
    assert_eq!(unsafe { libc::ioctl(stream.as_raw_fd(), SIOCATMARK, &raw mut at) }, 0);
    at != 0
}

/// Begins `count` connections to our port, without waiting for any.
pub fn begin_connecting(namespace: &Namespace, port: u16, count: usize) -> Vec<TcpStream> {
    let to = address_of_ours(port);
    let begin = || {
        let fd = socket(libc::SOCK_STREAM | libc::SOCK_NONBLOCK, 0);
        // SAFETY: `to` is a sockaddr_in of the length that is given.
        let begun =
            unsafe { libc::connect(fd.as_raw_fd(), (&raw const to).cast(), size_of_val(&to) as libc::socklen_t) };
        let error = io::Error::last_os_error();
        assert!(begun == 0 || error.raw_os_error() == Some(libc::EINPROGRESS), "connect: {error}");
        TcpStream::from(fd)
    };
    namespace.inside(|| (0..count).map(|_| begin()).collect())
}

/// Waits until a connection that was begun is there, and makes its calls block.
pub fn finish_connecting(stream: &TcpStream) {
    assert!(has_event(stream, libc::POLLOUT, PATIENCE), "not connected within {PATIENCE:?}");
    if let Some(error) = stream.take_error().expect("SO_ERROR") {
        panic!("not connected: {error}");
    }
    stream.set_nonblocking(false).expect("a mode");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
}

fn socket(kind: i32, protocol: i32) -> OwnedFd {
    // SAFETY: socket(2) has no memory arguments; its result is a fresh descriptor that nobody else owns.
    unsafe {
        let fd = libc::socket(libc::AF_INET, kind | libc::SOCK_CLOEXEC, protocol);
        assert!(fd >= 0, "socket: {}", io::Error::last_os_error());
        OwnedFd::from_raw_fd(fd)
    }
}

/// A raw ICMP socket of the kernel, connected to our address. What it receives begins with the IP header.
pub fn icmp(namespace: &Namespace) -> UdpSocket {
    let socket = namespace.inside(|| {
        let socket = UdpSocket::from(socket(libc::SOCK_RAW, libc::IPPROTO_ICMP));
        socket.connect((OURS, 0)).map(|()| socket)
    });
    let socket = socket.expect("a raw socket");
    socket.set_read_timeout(Some(PATIENCE)).expect("a time limit");
    socket
}

/// Raises the limit of open descriptors as far as it goes, once.
pub fn raise_descriptor_limit() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: one rlimit, alive during the calls.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit), 0);
        limit.rlim_cur = limit.rlim_max;
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit), 0);
    }
}

/// Connects to our port `count` times, one after another, and keeps the connections.
pub fn connect_many(namespace: &Namespace, port: u16, count: usize) -> Vec<TcpStream> {
    let mut all = Vec::with_capacity(count);
    connect_each(namespace, port, count, |stream| all.push(stream));
    all
}

/// Connects to our port `count` times, one after another.
pub fn connect_each(namespace: &Namespace, port: u16, count: usize, mut each: impl FnMut(TcpStream) + Send) {
    namespace.inside(|| {
        for i in 0..count {
            let stream = TcpStream::connect((OURS, port)).unwrap_or_else(|error| panic!("connection {i}: {error}"));
            each(limited(stream));
        }
    });
}

/// What the kernel tells of a connection (the layout is the kernel's own).
pub fn tcp_info(stream: &TcpStream) -> sockeye::tcp::info::Info {
    let mut info = sockeye::tcp::info::Info::default();
    let mut len = size_of_val(&info) as libc::socklen_t;
    // SAFETY: `info` has `len` bytes and is made of numbers only.
    let got = unsafe {
        let value = (&raw mut info).cast();
        libc::getsockopt(stream.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INFO, value, &raw mut len)
    };
    assert_eq!(got, 0, "getsockopt: {}", io::Error::last_os_error());
    info
}

/// Lets a listener take data in SYNs, of so many connections at once.
pub fn fast_open_queue(listener: &TcpListener, connections: i32) {
    set(listener, libc::IPPROTO_TCP, libc::TCP_FASTOPEN, &connections);
}

/// Connects to our port by sendto(2) with MSG_FASTOPEN.
pub fn send_fast(namespace: &Namespace, port: u16, data: &[u8]) -> TcpStream {
    let fd = namespace.inside(|| socket(libc::SOCK_STREAM, 0));
    let to = address_of_ours(port);
    // SAFETY: `data` has its length, and `to` is a sockaddr_in of the length that is given.
    let sent = unsafe {
        let len = size_of_val(&to) as libc::socklen_t;
        libc::sendto(fd.as_raw_fd(), data.as_ptr().cast(), data.len(), libc::MSG_FASTOPEN, (&raw const to).cast(), len)
    };
    assert_eq!(sent, data.len() as isize, "sendto: {}", io::Error::last_os_error());
    limited(TcpStream::from(fd))
}

fn address_of_ours(port: u16) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: port.to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(OURS.parse::<Ipv4Addr>().expect("an address").octets()) },
        sin_zero: [0; 8],
    }
}
