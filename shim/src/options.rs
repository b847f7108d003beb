//! setsockopt(2) and getsockopt(2): which options the kernel's own socket serves, which its tag, which the host.

use crate::{
    Errno, Result, connect, datagram,
    format::{DATA, Data, Op, Request},
    host::Host,
    kernel, open, sockaddr,
    tag::Tag,
};

/// asm-generic/socket.h
const SO_BINDTOIFINDEX: i32 = 62;
/// A send buffer, as it is asked for, that lets the largest datagram through.
const SEND_BUFFER: i32 = 70_000;

/// A `struct ucred` without a process: pid 0, uid and gid -1.
const NOBODY: [u8; 12] = [0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255];

/// Options of the kernel's own socket that an accepted socket has of its listener.
const INHERITED: [i32; 6] =
    [libc::SO_KEEPALIVE, libc::SO_LINGER, libc::SO_OOBINLINE, libc::SO_RCVLOWAT, libc::SO_RCVTIMEO, libc::SO_SNDTIMEO];

/// Who sets an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setter {
    /// The kernel, for the AF_UNIX socket.
    Kernel,
    /// The kernel, and the host is told too.
    Both,
    /// As [`Setter::Both`], but the kernel's own stays large enough for the largest datagram.
    SendBuffer,
    /// A flag of the tag.
    Flag(u16),
    /// TCP_NODELAY: a flag of the tag before there is a connection, the host's after.
    NoDelay,
    /// The host, and nobody waits for it.
    Told,
    /// The host, whose answer is waited for.
    Asked,
}

/// Judges who sets an option of the stack's sockets.
pub fn setter(tag: Tag, level: i32, name: i32) -> Setter {
    let is_datagram = tag.is(Tag::DATAGRAM);
    match (level, name) {
        (libc::SOL_SOCKET, libc::SO_SNDBUF) if is_datagram => Setter::SendBuffer,
        (libc::SOL_SOCKET, libc::SO_BROADCAST | libc::SO_DONTROUTE) if is_datagram => Setter::Both,
        (libc::SOL_SOCKET, libc::SO_RXQ_OVFL | libc::SO_PASSCRED) if is_datagram => Setter::Asked,
        (libc::IPPROTO_TCP, _) if is_datagram => Setter::Asked,
        (libc::SOL_SOCKET, libc::SO_REUSEPORT) => Setter::Flag(Tag::REUSEPORT),
        (libc::SOL_SOCKET, libc::SO_MAX_PACING_RATE | libc::SO_BINDTODEVICE | SO_BINDTOIFINDEX) => Setter::Asked,
        (libc::SOL_SOCKET, libc::SO_MARK | libc::SO_BUSY_POLL | libc::SO_PRIORITY) => Setter::Asked,
        (libc::SOL_SOCKET, libc::SO_KEEPALIVE | libc::SO_LINGER) => Setter::Both,
        // The stack's are meant; that of the AF_UNIX socket is what the host needs.
        (libc::SOL_SOCKET, libc::SO_SNDBUF | libc::SO_RCVBUF) => Setter::Told,
        (libc::SOL_SOCKET, libc::SO_SNDBUFFORCE | libc::SO_RCVBUFFORCE) => Setter::Asked,
        (libc::SOL_SOCKET, _) => Setter::Kernel,
        (libc::IPPROTO_IPV6, libc::IPV6_V6ONLY) => Setter::Flag(Tag::V6ONLY),
        (libc::IPPROTO_TCP, libc::TCP_NODELAY) => Setter::NoDelay,
        (
            libc::IPPROTO_TCP,
            libc::TCP_CORK
            | libc::TCP_KEEPIDLE
            | libc::TCP_KEEPINTVL
            | libc::TCP_KEEPCNT
            | libc::TCP_QUICKACK
            | libc::TCP_DEFER_ACCEPT
            | libc::TCP_USER_TIMEOUT
            | libc::TCP_LINGER2,
        ) => Setter::Told,
        (libc::IPPROTO_IP, libc::IP_TOS | libc::IP_TTL) => Setter::Told,
        _ => Setter::Asked,
    }
}

/// setsockopt(2); `Ok(false)`: the kernel is to do it, the descriptor is what it says.
///
/// # Errors
///
/// As setsockopt(2): EINVAL for a value too short, ENOPROTOOPT for an option that is not served; ENETDOWN without a
/// host.
pub fn set(fd: i32, tag: Tag, level: i32, name: i32, value: &[u8], host: &Host<'_>) -> Result<bool> {
    let number = || value.first_chunk().map(|four| i32::from_ne_bytes(*four)).ok_or(Errno(libc::EINVAL));
    let is_inherited = level == libc::SOL_SOCKET && INHERITED.contains(&name);
    let tag = if is_inherited && !tag.is(Tag::GENEROUS) {
        open::set_tag(fd, tag.with(Tag::GENEROUS))?;
        tag.with(Tag::GENEROUS)
    } else {
        tag
    };
    match setter(tag, level, name) {
        Setter::Kernel => return Ok(false),
        Setter::Both => {
            kernel::set_option(fd, name, value)?;
            forward(fd, tag, (level, name), value, host, false)?;
        }
        Setter::SendBuffer => {
            // What an AF_UNIX socket takes at once its send buffer must hold.
            kernel::set_option(fd, name, &number()?.max(SEND_BUFFER).to_ne_bytes())?;
            forward(fd, tag, (level, name), value, host, false)?;
        }
        Setter::Flag(Tag::V6ONLY) if !tag.is(Tag::V6) => return Err(Errno(libc::ENOPROTOOPT)),
        Setter::Flag(Tag::V6ONLY) if [Tag::BOUND, Tag::CONNECTED, Tag::CONNECTING].into_iter().any(|f| tag.is(f)) => {
            return Err(Errno(libc::EINVAL));
        }
        Setter::Flag(flag) => raise(fd, tag, flag, number()? != 0)?,
        Setter::NoDelay => {
            raise(fd, tag, Tag::NODELAY, number()? != 0)?;
            // A listener has been described to the host, with its flags, and gives them to what it accepts.
            if tag.is(Tag::CONNECTED) || tag.is(Tag::CONNECTING) || tag.is(Tag::BOUND) {
                forward(fd, open::tag(fd).unwrap_or(tag), (level, name), value, host, false)?;
            }
        }
        Setter::Told => {
            if !is_possible(level, name, value) {
                return Err(Errno(libc::EINVAL));
            }
            forward(fd, tag, (level, name), value, host, false)?;
        }
        Setter::Asked => forward(fd, tag, (level, name), value, host, true)?,
    }
    Ok(true)
}

/// An address that comes with its scope binds the socket to that interface (Linux's __inet6_bind, tcp_v6_connect). The
/// tag as it is then.
///
/// # Errors
///
/// ENODEV: there is no such interface; ENETDOWN without a host.
pub fn enter_scope(fd: i32, tag: Tag, address: &[u8], host: &Host<'_>) -> Result<Tag> {
    let Some(index) = sockaddr::scope(address).filter(|_| tag.is(Tag::V6)) else { return Ok(tag) };
    forward(fd, tag, (libc::SOL_SOCKET, SO_BINDTOIFINDEX), &index.to_ne_bytes(), host, true)?;
    Ok(open::tag(fd).unwrap_or(tag))
}

/// Whether the host, whom nobody waits for, will take a value: the limits of Linux.
fn is_possible(level: i32, name: i32, value: &[u8]) -> bool {
    let number = match (level, value) {
        // One byte will do (ip_setsockopt), and none is 0.
        (libc::IPPROTO_IP, [byte, ..]) if value.len() < 4 => i32::from(*byte),
        (libc::IPPROTO_IP, []) => 0,
        _ => match value.first_chunk() {
            Some(four) => i32::from_ne_bytes(*four),
            None => return false,
        },
    };
    match (level, name) {
        (libc::IPPROTO_TCP, libc::TCP_KEEPIDLE | libc::TCP_KEEPINTVL) => (1..=32767).contains(&number),
        (libc::IPPROTO_TCP, libc::TCP_KEEPCNT) => (1..=127).contains(&number),
        (libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT) => number >= 0,
        (libc::IPPROTO_IP, libc::IP_TTL) => number == -1 || (1..=255).contains(&number),
        _ => true,
    }
}

fn raise(fd: i32, tag: Tag, flag: u16, set: bool) -> Result<()> {
    open::set_tag(fd, if set { tag.with(flag) } else { tag.without(flag) })
}

/// What the host is told of a new socket before anything else: the congestion control that the environment asks for.
pub(crate) fn introduce(fd: i32, tag: Tag, host: &Host<'_>) -> Result<Tag> {
    let is_known =
        [Tag::TOLD, Tag::BOUND, Tag::CONNECTED, Tag::CONNECTING, Tag::DATAGRAM].into_iter().any(|flag| tag.is(flag));
    if host.congestion.is_empty() || is_known || tag.id & Tag::GIVEN != 0 {
        return Ok(tag);
    }
    let data = Data::of(host.congestion).ok_or(Errno(libc::EINVAL))?;
    let (level, name, flags) = (libc::IPPROTO_TCP, libc::TCP_CONGESTION, u32::from(tag.flags));
    host.tell_about(fd, Request { level, name, flags, data, ..Request::new(Op::SetOption, host.token) })?;
    open::set_tag(fd, tag.with(Tag::TOLD))?;
    Ok(tag.with(Tag::TOLD))
}

fn forward(fd: i32, tag: Tag, option: (i32, i32), value: &[u8], host: &Host<'_>, wait: bool) -> Result<()> {
    let tag = introduce(fd, tag, host)?;
    let data = Data::of(value.get(..value.len().min(DATA)).unwrap_or(value)).ok_or(Errno(libc::EINVAL))?;
    let mut request = Request { data, ..Request::new(Op::SetOption, host.token) };
    (request.level, request.name, request.flags) = (option.0, option.1, u32::from(tag.flags));
    if wait {
        host.ask_about(fd, &request).map(drop)?
    } else {
        host.tell_about(fd, request)?
    }
    if tag.id & Tag::GIVEN == 0 && (!tag.is(Tag::CONNECTED) || tag.is(Tag::DATAGRAM)) && !tag.is(Tag::TOLD) {
        open::set_tag(fd, tag.with(Tag::TOLD))?;
    }
    Ok(())
}

/// getsockopt(2) with room for `room` bytes; `Ok(None)`: the kernel is to do it.
///
/// # Errors
///
/// As getsockopt(2): ENOPROTOOPT for an option that is not served; ENETDOWN without a host.
pub fn read(fd: i32, tag: Tag, level: i32, name: i32, room: usize, host: &Host<'_>) -> Result<Option<Data>> {
    let number = |value: i32| Ok(Data::of(&value.to_ne_bytes()));
    let flag = |flag: u16| number(i32::from(tag.is(flag)));
    if tag.is(Tag::DATAGRAM) {
        match (level, name) {
            (libc::SOL_SOCKET, libc::SO_PROTOCOL) => return number(libc::IPPROTO_UDP),
            (libc::SOL_SOCKET, libc::SO_ERROR) => {
                let Errno(errno) = match kernel::option::<i32>(fd, name)? {
                    0 => Errno(0),
                    errno => datagram::reason(fd, tag, Errno(errno), host),
                };
                return number(errno);
            }
            // What the kernel's are the host need not know, until it is told.
            (libc::SOL_SOCKET, libc::SO_SNDBUF | libc::SO_RCVBUF) if tag.is(Tag::TOLD) => {
                return ask(fd, tag, (level, name), room, host);
            }
            (libc::IPPROTO_TCP, _) => return ask(fd, tag, (level, name), room, host),
            _ => {}
        }
    }
    match (level, name) {
        (libc::SOL_SOCKET, libc::SO_DOMAIN) => number(if tag.is(Tag::V6) { libc::AF_INET6 } else { libc::AF_INET }),
        (libc::SOL_SOCKET, libc::SO_PROTOCOL) => number(libc::IPPROTO_TCP),
        (libc::SOL_SOCKET, libc::SO_REUSEPORT) => flag(Tag::REUSEPORT),
        (libc::SOL_SOCKET, libc::SO_ERROR) if tag.is(Tag::CONNECTING) => match connect::result(fd, tag, host) {
            Ok(()) | Err(Errno(libc::EINPROGRESS)) => number(0),
            Err(Errno(errno)) => number(errno),
        },
        // As of any TCP socket: nobody.
        (libc::SOL_SOCKET, libc::SO_PEERCRED) => Ok(Data::of(&NOBODY)),
        (libc::SOL_SOCKET, libc::SO_MAX_PACING_RATE | libc::SO_SNDBUF | libc::SO_RCVBUF) => {
            ask(fd, tag, (level, name), room, host)
        }
        (libc::SOL_SOCKET, libc::SO_BINDTODEVICE | SO_BINDTOIFINDEX) => ask(fd, tag, (level, name), room, host),
        (libc::SOL_SOCKET, libc::SO_MARK | libc::SO_BUSY_POLL | libc::SO_PRIORITY) => {
            ask(fd, tag, (level, name), room, host)
        }
        (libc::SOL_SOCKET, _) => Ok(None),
        (libc::IPPROTO_IPV6, libc::IPV6_V6ONLY) if tag.is(Tag::V6) => flag(Tag::V6ONLY),
        (libc::IPPROTO_TCP, libc::TCP_NODELAY) => flag(Tag::NODELAY),
        // No IP options ever come up (RFC 7126 lets hosts drop them): the answer of length 0 that sshd insists on.
        (libc::IPPROTO_IP, libc::IP_OPTIONS) => Ok(Some(Data::NONE)),
        (libc::IPPROTO_TCP, libc::TCP_CONGESTION) => ask(fd, introduce(fd, tag, host)?, (level, name), room, host),
        _ => ask(fd, tag, (level, name), room, host),
    }
}

fn ask(fd: i32, tag: Tag, option: (i32, i32), room: usize, host: &Host<'_>) -> Result<Option<Data>> {
    let mut request = Request::new(Op::GetOption, host.token);
    (request.level, request.name, request.flags) = (option.0, option.1, u32::from(tag.flags));
    request.value = i32::try_from(room.min(DATA)).unwrap_or(i32::MAX);
    host.ask_about(fd, &request).map(|response| Some(response.data))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TCP: Tag = Tag { id: 1, flags: 0 };

    #[test]
    fn what_servers_set_at_every_request_waits_for_nobody() {
        for name in [libc::TCP_CORK, libc::TCP_KEEPIDLE, libc::TCP_KEEPINTVL, libc::TCP_KEEPCNT, libc::TCP_QUICKACK] {
            assert_eq!(setter(TCP, libc::IPPROTO_TCP, name), Setter::Told);
        }
        assert_eq!(setter(TCP, libc::IPPROTO_TCP, libc::TCP_NODELAY), Setter::NoDelay);
        assert_eq!(setter(TCP, libc::SOL_SOCKET, libc::SO_KEEPALIVE), Setter::Both);
        assert_eq!(setter(TCP, libc::SOL_SOCKET, libc::SO_RCVTIMEO), Setter::Kernel);
        assert_eq!(setter(TCP, libc::IPPROTO_TCP, libc::TCP_CONGESTION), Setter::Asked);
        assert_eq!(setter(TCP, libc::SOL_SOCKET, libc::SO_MAX_PACING_RATE), Setter::Asked);
    }
}
