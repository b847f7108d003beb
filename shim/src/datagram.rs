//! Datagram sockets. Each datagram stands behind a header that says where it goes or came from; whoever sends puts it
//! there, and whoever receives takes it off.

use crate::{
    Errno, Result,
    address::Address,
    bind, control,
    format::{ASSOCIATE, CHECK, DISSOLVE, DatagramHeader, Op, Request},
    host::Host,
    kernel, narrow, open, sockaddr,
    tag::Tag,
};
use core::ptr::null_mut;

/// The largest payload over IPv4, bytes.
const LARGEST: usize = 65_507;
/// Pieces of a message that a small array holds, the header among them.
const FEW: usize = 17;
/// The same of the largest message (UIO_MAXIOV).
const MOST: usize = 1025;
const DOWN: Errno = Errno(libc::ENETDOWN);

/// bind(2).
///
/// # Errors
///
/// As bind(2); ENETDOWN without a host.
pub fn bind(fd: i32, tag: Tag, address: Address, host: &Host<'_>) -> Result<()> {
    attach(fd, tag, Some(address), host).map(drop)
}

/// Has the host join the program's end to one of its own, and bind the socket if an address is given.
fn attach(fd: i32, tag: Tag, address: Option<Address>, host: &Host<'_>) -> Result<Tag> {
    let mut request = Request { flags: bind::flags(fd, tag), ..Request::new(Op::Datagram, host.token) };
    if let Some(address) = address {
        (request.address, request.value) = (address, 1);
    }
    let response = host.ask_about(fd, &request)?;
    if tag.is(Tag::BOUND) {
        return Ok(tag);
    }
    let tag = if response.data.as_bytes() == [1] { tag.with(Tag::ROUTED) } else { tag }.with(Tag::BOUND);
    open::set_tag(fd, tag)?;
    Ok(tag)
}

/// connect(2); without an address there is no peer any more.
///
/// # Errors
///
/// As connect(2) of UDP; ENETDOWN without a host.
pub fn associate(fd: i32, tag: Tag, address: Option<Address>, host: &Host<'_>) -> Result<()> {
    let tag = match address {
        None if !tag.is(Tag::BOUND) => return Ok(()),
        _ if tag.is(Tag::BOUND) => tag,
        _ => attach(fd, tag, None, host)?,
    };
    let mut request = Request::new(Op::Associate, host.token);
    (request.address, request.value) = address.map_or((Address::NONE, DISSOLVE), |address| (address, ASSOCIATE));
    host.ask_about(fd, &request)?;
    open::set_tag(fd, if address.is_some() { tag.with(Tag::CONNECTED) } else { tag.without(Tag::CONNECTED) })
}

/// Why the kernel says `errno` of a datagram socket: a reset is the sign of an error that the host knows; what the
/// kernel says of an end without another means that the host is gone. 0: it has been told to somebody else.
pub fn reason(fd: i32, tag: Tag, errno: Errno, host: &Host<'_>) -> Errno {
    match errno {
        Errno(libc::ECONNRESET) if !is_known(fd, host) => {
            (host.say)(b"the stack's host is gone: nothing comes to this program's sockets any more");
            DOWN
        }
        Errno(libc::ECONNRESET) => {
            let mut request = Request::new(Op::GetOption, host.token);
            (request.level, request.name, request.value) = (libc::SOL_SOCKET, libc::SO_ERROR, 4);
            request.flags = u32::from(tag.flags);
            match host.ask_about(fd, &request) {
                Ok(response) => response.data.as_bytes().first_chunk().map_or(DOWN, |n| Errno(i32::from_ne_bytes(*n))),
                Err(errno) => errno,
            }
        }
        Errno(libc::ECONNREFUSED | libc::ENOTCONN) => DOWN,
        other => other,
    }
}

/// Whether the host that this socket came from is there: one that came after it does not know it.
fn is_known(fd: i32, host: &Host<'_>) -> bool {
    host.is_there() && host.ask_about(fd, &Request::new(Op::Names, host.token)).is_ok()
}

/// A message to be sent: the socket address as the program gave it, control messages, and where the payload is.
#[derive(Clone, Copy)]
pub struct Outgoing<'a> {
    /// Where to, if the program says so.
    pub name: Option<&'a [u8]>,
    /// Control messages.
    pub control: &'a [u8],
    /// The payload.
    pub pieces: &'a [libc::iovec],
}

/// Sends a datagram by `run`, which is sendmsg(2). Returns the payload's length.
///
/// # Errors
///
/// As sendmsg(2) of UDP; ENETDOWN without a host.
pub fn send(
    fd: i32,
    tag: Tag,
    message: Outgoing<'_>,
    flags: i32,
    host: &Host<'_>,
    run: impl FnMut(&libc::msghdr, i32) -> Result<usize>,
) -> Result<usize> {
    let total = message.pieces.iter().try_fold(0usize, |sum, piece| sum.checked_add(piece.iov_len));
    if total.is_none_or(|total| total > LARGEST) {
        return Err(Errno(libc::EMSGSIZE));
    }
    if flags & libc::MSG_OOB != 0 {
        return Err(Errno(libc::EOPNOTSUPP));
    }
    let mut header = DatagramHeader::NONE;
    if let Some(name) = message.name {
        header.peer = destination(name, tag)?;
    } else if !tag.is(Tag::CONNECTED) {
        return Err(Errno(libc::EDESTADDRREQ));
    }
    control::parse(message.control, &mut header)?;
    header.flags |= if flags & libc::MSG_MORE != 0 { DatagramHeader::MORE } else { 0 };
    header.flags |= if flags & libc::MSG_DONTROUTE != 0 { DatagramHeader::DONTROUTE } else { 0 };
    let tag = if tag.is(Tag::BOUND) { tag } else { attach(fd, tag, None, host)? };
    if message.name.is_some() {
        check(fd, tag, header.peer, host)?;
    }
    let flags = flags & (libc::MSG_DONTWAIT | libc::MSG_CONFIRM) | libc::MSG_NOSIGNAL;
    match message.pieces.len() {
        ..FEW => put::<FEW>(fd, tag, header, message.pieces, flags, host, run),
        FEW..MOST => put::<MOST>(fd, tag, header, message.pieces, flags, host, run),
        _ => Err(Errno(libc::EMSGSIZE)),
    }
}

/// A function of its own per number of pieces: the array for the most is large and seldom needed.
#[inline(never)]
fn put<const N: usize>(
    fd: i32,
    tag: Tag,
    header: DatagramHeader,
    payload: &[libc::iovec],
    flags: i32,
    host: &Host<'_>,
    mut run: impl FnMut(&libc::msghdr, i32) -> Result<usize>,
) -> Result<usize> {
    let mut bytes = header.to_bytes();
    let mut pieces = [libc::iovec { iov_base: null_mut(), iov_len: 0 }; N];
    let message = message(&mut bytes, payload, &mut pieces);
    loop {
        match run(&message, flags) {
            Ok(sent) => return Ok(sent.saturating_sub(DatagramHeader::SIZE)),
            Err(errno) => match reason(fd, tag, errno, host) {
                Errno(0) => {}
                errno => return Err(errno),
            },
        }
    }
}

/// A message of a header and a payload, without name and control messages.
fn message(header: &mut [u8], payload: &[libc::iovec], pieces: &mut [libc::iovec]) -> libc::msghdr {
    if let Some((first, rest)) = pieces.split_first_mut() {
        *first = libc::iovec { iov_base: header.as_mut_ptr().cast(), iov_len: header.len() };
        rest.iter_mut().zip(payload).for_each(|(to, from)| *to = *from);
    }
    libc::msghdr {
        msg_name: null_mut(),
        msg_namelen: 0,
        msg_iov: pieces.as_mut_ptr(),
        msg_iovlen: payload.len() + 1,
        msg_control: null_mut(),
        msg_controllen: 0,
        msg_flags: 0,
    }
}

/// The destination that a program names. AF_UNSPEC is AF_INET here, as on Linux.
fn destination(name: &[u8], tag: Tag) -> Result<Address> {
    let mut bytes = [0; 28];
    let len = name.len().min(bytes.len());
    bytes[..len].copy_from_slice(&name[..len]);
    if !tag.is(Tag::V6) && len >= 16 && sockaddr::family(&bytes) == Some(libc::AF_UNSPEC) {
        bytes[..2].copy_from_slice(&narrow!(libc::AF_INET => u16).to_ne_bytes());
    }
    sockaddr::read_peer(&bytes[..len], tag)
}

/// Whether a datagram may be sent there, which the host is asked unless it is plain: it is unicast of IPv4 for certain
/// and there is a route to all, or it was asked the last time. What was answered last is in SO_INCOMING_CPU, which
/// means nothing on an AF_UNIX socket: an address's network, or all of one that may be for broadcasts.
fn check(fd: i32, tag: Tag, peer: Address, host: &Host<'_>) -> Result<()> {
    let request = Request { address: peer, value: CHECK, ..Request::new(Op::Associate, host.token) };
    let ip = match peer.to_v4() {
        Some(ip) if peer.port != 0 && !tag.is(Tag::V6ONLY) => ip,
        _ => return host.ask_about(fd, &request).map(drop),
    };
    let number = u32::from_be_bytes(ip);
    // A broadcast address ends in ones, two of them at least (RFC 1122 section 3.2.1.3, RFC 3021).
    let is_plain = number & 3 != 3 && (1..224).contains(&ip[0]);
    if is_plain && tag.is(Tag::ROUTED) {
        return Ok(());
    }
    let key = if is_plain { number >> 8 } else { number | 1 << 31 }.cast_signed();
    if key != -1 && kernel::option::<i32>(fd, libc::SO_INCOMING_CPU) == Ok(key) {
        return Ok(());
    }
    host.ask_about(fd, &request)?;
    let _ = kernel::set_option(fd, libc::SO_INCOMING_CPU, &key.to_ne_bytes());
    Ok(())
}

/// What was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// The payload's length: what was copied, or all with MSG_TRUNC.
    pub len: usize,
    /// The sender; `None` at the end of a socket that was shut down.
    pub peer: Option<Address>,
    /// As msg_flags.
    pub flags: i32,
    /// Bytes of control messages.
    pub control: usize,
}

/// Receives a datagram by `run`, which is recvmsg(2), into `pieces`, with room for control messages.
///
/// # Errors
///
/// As recvmsg(2) of UDP.
pub fn receive(
    fd: i32,
    tag: Tag,
    pieces: &[libc::iovec],
    control: &mut [u8],
    flags: i32,
    host: &Host<'_>,
    run: impl FnMut(&mut libc::msghdr, i32) -> Result<usize>,
) -> Result<Incoming> {
    // Nothing is ever queued there: IP_RECVERR is refused, and ICMP errors come by the socket's pending error.
    if flags & libc::MSG_ERRQUEUE != 0 {
        return Err(Errno(libc::EAGAIN));
    }
    // A datagram socket has no urgent data and passes over the flag.
    let flags = flags & !libc::MSG_OOB;
    match pieces.len() {
        ..FEW => take::<FEW>(fd, tag, pieces, control, flags, host, run),
        FEW..MOST => take::<MOST>(fd, tag, pieces, control, flags, host, run),
        _ => Err(Errno(libc::EMSGSIZE)),
    }
}

#[inline(never)]
fn take<const N: usize>(
    fd: i32,
    tag: Tag,
    payload: &[libc::iovec],
    control: &mut [u8],
    flags: i32,
    host: &Host<'_>,
    mut run: impl FnMut(&mut libc::msghdr, i32) -> Result<usize>,
) -> Result<Incoming> {
    let mut bytes = [0; DatagramHeader::SIZE];
    let mut pieces = [libc::iovec { iov_base: null_mut(), iov_len: 0 }; N];
    loop {
        let mut message = message(&mut bytes, payload, &mut pieces);
        (message.msg_control, message.msg_controllen) = (control.as_mut_ptr().cast(), control.len());
        match run(&mut message, flags) {
            // Of the network nothing comes without a header, not even an empty datagram.
            Ok(0) => return Ok(Incoming { len: 0, peer: None, flags: 0, control: 0 }),
            Ok(got) => {
                let header = DatagramHeader::from_bytes(&bytes).map_err(|_| Errno(libc::EPROTO))?;
                let used = message.msg_controllen.min(control.len());
                let (control, is_cut) = control::emit(&header, tag, control, used);
                let flags = message.msg_flags | if is_cut { libc::MSG_CTRUNC } else { 0 };
                let len = got.saturating_sub(DatagramHeader::SIZE);
                return Ok(Incoming { len, peer: Some(header.peer), flags, control });
            }
            Err(errno) => match reason(fd, tag, errno, host) {
                Errno(0) => {}
                errno => return Err(errno),
            },
        }
    }
}
