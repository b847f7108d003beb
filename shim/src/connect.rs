//! connect(2).

use crate::{
    Errno, Result, accept,
    address::Address,
    bind, close,
    format::{ConnectHeader, Data, KEEPALIVE, Op, Request},
    host::Host,
    kernel,
    name::Meaning,
    names, open, options,
    tag::Tag,
};

/// Begins a connection; how it ends is seen by poll(2) for OUT and learned by [`result`].
///
/// # Errors
///
/// EISCONN, and for a connection that was begun before what [`result`] says of it; ENETDOWN without a host. Never
/// EINPROGRESS: `Ok` says how far it has come.
pub fn begin(fd: i32, mut tag: Tag, destination: Address, host: &Host<'_>) -> Result<Begun> {
    if kernel::option::<i32>(fd, libc::SO_ACCEPTCONN) == Ok(1) {
        return Err(Errno(libc::EISCONN));
    }
    if tag.is(Tag::CONNECTED) {
        if kernel::ready(fd) & libc::POLLHUP == 0 {
            return Err(Errno(libc::EISCONN));
        }
        // A connection that is over may be followed by another (tcp(7) does not say so, Linux does it).
        tag = renew(fd, tag, Identity::New)?;
    }
    if tag.is(Tag::CONNECTING) {
        return match result(fd, tag, host) {
            Err(Errno(libc::EINPROGRESS)) => Err(Errno(libc::EALREADY)),
            other => other.map(|()| Begun::Done),
        };
    }
    // The first request makes the host, should there be none; connect's own socket cannot.
    host.meet()?;
    tag = options::introduce(fd, tag, host)?;
    let name = Meaning::Connect.name(host.stack).ok_or(Errno(libc::ENETDOWN))?;
    let mut begun = kernel::connect_in_turn(fd, &name);
    if begun == Err(Errno(libc::EISCONN)) {
        // An earlier attempt failed, and an AF_UNIX socket connects once.
        tag = renew(fd, tag, Identity::Same)?;
        begun = kernel::connect_in_turn(fd, &name);
    }
    begun.map_err(|errno| if errno == Errno(libc::ECONNREFUSED) { Errno(libc::ENETDOWN) } else { errno })?;
    if !Host::is_ours(fd, kernel::geteuid()) {
        return Err(Errno(libc::ENETDOWN));
    }
    open::set_tag(fd, tag.with(Tag::CONNECTING))?;
    match fill(fd, tag, destination, host) {
        Ok(()) if is_reachable(fd, tag, destination, host) => Ok(Begun::InProgress),
        Ok(()) => Ok(Begun::Hopeless),
        Err(errno) => {
            // Nothing is under way: the host drops what it has when this end is closed or renewed.
            open::set_tag(fd, tag)?;
            Err(errno)
        }
    }
}

/// connect(2) to AF_UNSPEC: what the socket was connected to, or listened for, is over.
///
/// # Errors
///
/// What the kernel says to a new AF_UNIX socket.
pub fn dissolve(fd: i32, tag: Tag, host: &Host<'_>) -> Result<()> {
    if tag.is(Tag::CONNECTED) || tag.is(Tag::CONNECTING) || kernel::option::<i32>(fd, libc::SO_ACCEPTCONN) == Ok(1) {
        // Of a connection it is a reset (tcp_disconnect).
        if let Some(data) = Data::of([1i32.to_ne_bytes(), [0; 4]].as_flattened()) {
            let (level, name) = (libc::SOL_SOCKET, libc::SO_LINGER);
            host.tell(Request { level, name, data, ..Request::new(Op::SetOption, host.token, tag.id) })?;
        }
        renew(fd, tag.without(Tag::BOUND), Identity::New)?;
        if close::is_of_interest(tag) {
            close::hint(tag, host);
        }
    }
    Ok(())
}

/// Whose options and address a socket that takes another's place has with the host.
#[derive(PartialEq, Eq)]
pub(crate) enum Identity {
    Same,
    New,
}

/// Puts a new socket in the place of one that cannot connect again. Duplicates of the descriptor, and sets that
/// epoll(7) has it in, stay with the old one.
pub(crate) fn renew(fd: i32, tag: Tag, identity: Identity) -> Result<Tag> {
    // Of a new one the host has heard nothing.
    let known = if identity == Identity::New { Tag::TOLD } else { 0 };
    let flags = tag.flags & !(Tag::CONNECTED | Tag::CONNECTING | known);
    let name = kernel::own_name(fd)?;
    let new = open::socket(libc::SOCK_STREAM | libc::SOCK_CLOEXEC, flags)?;
    let mut renewed = open::tag(new).unwrap_or(tag);
    if identity == Identity::Same {
        renewed.id = tag.id;
    }
    accept::inherit(fd, new);
    if let Ok(reuse) = kernel::option::<i32>(fd, libc::SO_REUSEADDR) {
        let _ = kernel::set_option(new, libc::SO_REUSEADDR, &reuse.to_ne_bytes());
    }
    let replaced = open::set_tag(new, renewed).and_then(|()| kernel::replace(fd, new));
    let _ = kernel::close(new);
    replaced?;
    if renewed.is(Tag::BOUND) {
        kernel::bind_to(fd, &name)?;
    }
    Ok(renewed)
}

/// What connect(2) has come to so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    /// The host is at it.
    InProgress,
    /// No packet will go there: the host says why as soon as it has looked, so that even who does not block waits for
    /// it.
    Hopeless,
    /// A connection that was begun before is made.
    Done,
}

/// Whether the stack speaks the destination's family, as far as the socket does: IPv4, and `::` from an address of
/// IPv4.
fn is_reachable(fd: i32, tag: Tag, destination: Address, host: &Host<'_>) -> bool {
    match destination.to_v4() {
        Some(_) => !tag.is(Tag::V6ONLY),
        None if destination.is_unspecified() => names::bound(fd, host).is_some_and(|own| own.to_v4().is_some()),
        None => false,
    }
}

/// Sends the header, and enough behind it that the socket cannot be written to. The kernel takes that in pieces, and
/// the host may have looked at the first, refused, and closed its end before the last: how it ended is asked for later.
///
/// # Errors
///
/// ENETDOWN: the host does not take connections. ENOBUFS: the kernel has no memory for it.
fn fill(fd: i32, tag: Tag, destination: Address, host: &Host<'_>) -> Result<()> {
    // An AF_UNIX socket can be written to while at most a quarter of its buffer is taken (unix_writable).
    let buffer = kernel::option::<i32>(fd, libc::SO_SNDBUF)?.clamp(4608, 8 << 20) as usize;
    let total = buffer / 4 + 64;
    let keepalive = kernel::option::<i32>(fd, libc::SO_KEEPALIVE).is_ok_and(|set| set != 0);
    let header = ConnectHeader {
        filled: total as u32,
        token: host.token,
        id: tag.id,
        flags: bind::flags(fd, tag) | if keepalive { KEEPALIVE } else { 0 },
        destination,
        source: if tag.is(Tag::BOUND) { names::bound(fd, host).unwrap_or(Address::NONE) } else { Address::NONE },
    };
    // The last byte goes by itself: the host leaves it unread, and it shall not keep the others.
    let mut sent = match kernel::send_filled(fd, &header.to_bytes(), total - 1) {
        Ok(sent) => sent,
        Err(_) => return Err(Errno(libc::ENETDOWN)),
    };
    while sent < total {
        let piece = if sent < total - 1 { total - 1 - sent } else { 1 };
        match kernel::send_filled(fd, &[], piece) {
            Ok(more) => sent += more,
            Err(Errno(libc::EPIPE | libc::ECONNRESET)) => break,
            Err(_) => return Err(Errno(libc::ENOBUFS)),
        }
    }
    Ok(())
}

/// Why a connection failed, or that it was made and has ended since.
fn failure(tag: Tag, host: &Host<'_>) -> Result<()> {
    // A host that is gone leaves nothing to ask for, and one that came after it knows nothing.
    if !host.is_there() {
        return Err(Errno(libc::ENETDOWN));
    }
    match host.ask(&Request::new(Op::Result, host.token, tag.id)) {
        Err(Errno(libc::EINPROGRESS)) => Err(Errno(libc::ENETDOWN)),
        other => other.map(drop),
    }
}

/// How a connection that was begun has ended, and remembers it. Asks the host only for the reason of a failure.
///
/// # Errors
///
/// EINPROGRESS while it has not; otherwise why it failed, as connect(2).
pub fn result(fd: i32, tag: Tag, host: &Host<'_>) -> Result<()> {
    let ready = kernel::ready(fd);
    let verdict = if ready & (libc::POLLERR | libc::POLLHUP) != 0 {
        failure(tag, host)
    } else if ready & libc::POLLOUT != 0 {
        Ok(())
    } else {
        Err(Errno(libc::EINPROGRESS))
    };
    match verdict {
        Ok(()) => open::set_tag(fd, tag.without(Tag::CONNECTING).with(Tag::CONNECTED))?,
        Err(Errno(libc::EINPROGRESS)) => {}
        Err(_) => {
            // The kernel's own ECONNRESET is the sign of the failure, and not to be seen besides the reason.
            let _ = kernel::option::<i32>(fd, libc::SO_ERROR);
            // The host keeps the socket's options for another attempt.
            open::set_tag(fd, tag.without(Tag::CONNECTING).with(Tag::TOLD))?;
        }
    }
    verdict
}
