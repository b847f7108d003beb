//! connect(2).

use crate::{
    Errno, Result,
    address::Address,
    bind,
    format::{ConnectHeader, KEEPALIVE, Op, Request},
    host::Host,
    kernel,
    name::Meaning,
    names, open,
    tag::Tag,
};

/// Begins a connection; how it ends is seen by poll(2) for OUT and learned by [`result`].
///
/// # Errors
///
/// EISCONN, and for a connection that was begun before what [`result`] says of it; ENETDOWN without a host. Never
/// EINPROGRESS: `Ok` is "in progress", [`Begun::Done`] that the connection is made.
pub fn begin(fd: i32, tag: Tag, destination: Address, host: &Host<'_>) -> Result<Begun> {
    if tag.is(Tag::CONNECTED) || kernel::option::<i32>(fd, libc::SO_ACCEPTCONN) == Ok(1) {
        return Err(Errno(libc::EISCONN));
    }
    if tag.is(Tag::CONNECTING) {
        return match result(fd, tag, host) {
            Err(Errno(libc::EINPROGRESS)) => Err(Errno(libc::EALREADY)),
            other => other.map(|()| Begun::Done),
        };
    }
    // The first request makes the host, should there be none; connect's own socket cannot.
    if !host.is_there() {
        (host.start)()?;
    }
    let name = Meaning::Connect.name(host.stack).ok_or(Errno(libc::ENETDOWN))?;
    kernel::connect(fd, &name).map_err(|errno| match errno {
        // An earlier attempt failed, and an AF_UNIX socket connects once. POSIX leaves such a socket's state open.
        Errno(libc::EISCONN | libc::EINVAL) => Errno(libc::ECONNABORTED),
        Errno(libc::ECONNREFUSED) => Errno(libc::ENETDOWN),
        other => other,
    })?;
    if !Host::is_ours(fd, kernel::geteuid()) {
        return Err(Errno(libc::ENETDOWN));
    }
    open::set_tag(fd, tag.with(Tag::CONNECTING))?;
    fill(fd, tag, destination, host)?;
    Ok(Begun::InProgress)
}

/// What connect(2) has come to so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    /// The host is at it.
    InProgress,
    /// A connection that was begun before is made.
    Done,
}

/// Sends the header, and enough behind it that the socket cannot be written to.
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
    match kernel::send_filled(fd, &header.to_bytes(), total) {
        Ok(sent) if sent == total => Ok(()),
        Ok(_) => Err(Errno(libc::ENOBUFS)),
        Err(_) => Err(Errno(libc::ENETDOWN)),
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
        host.ask(&Request::new(Op::Result, host.token, tag.id)).map(drop)
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
            open::set_tag(fd, tag.without(Tag::CONNECTING))?;
        }
    }
    verdict
}
