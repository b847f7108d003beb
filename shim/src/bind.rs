//! bind(2) and listen(2).

use crate::{
    Errno, Result,
    address::Address,
    connect, datagram,
    format::{Op, REUSEADDR, Request},
    host::Host,
    kernel,
    name::Meaning,
    open, options, sockaddr,
    tag::Tag,
};

/// The flags that a request or a header carries for a socket.
pub(crate) fn flags(fd: i32, tag: Tag) -> u32 {
    let reuse = kernel::option::<i32>(fd, libc::SO_REUSEADDR).is_ok_and(|set| set != 0);
    u32::from(tag.flags) | if reuse { REUSEADDR } else { 0 }
}

/// bind(2).
///
/// # Errors
///
/// As bind(2); ENETDOWN without a host.
pub fn bind(fd: i32, mut tag: Tag, address: Address, host: &Host<'_>) -> Result<()> {
    if tag.is(Tag::DATAGRAM) {
        return datagram::bind(fd, tag, address, host);
    }
    if tag.is(Tag::BOUND) || tag.is(Tag::CONNECTED) || tag.is(Tag::CONNECTING) {
        return Err(Errno(libc::EINVAL));
    }
    tag = options::introduce(fd, tag, host)?;
    let request = Request { flags: flags(fd, tag), address, ..Request::new(Op::Bind, host.token, tag.id) };
    let local = host.ask(&request)?.local;
    let bound = Meaning::Bound { id: tag.id, local }.name(host.stack).ok_or(Errno(libc::ENETDOWN));
    let bound = bound.and_then(|name| kernel::bind(fd, &name)).and_then(|()| open::set_tag(fd, tag.with(Tag::BOUND)));
    if bound.is_err() {
        let _ = host.tell(Request::new(Op::Closed, host.token, tag.id));
    }
    bound
}

/// listen(2), on any port if the socket is not bound.
///
/// # Errors
///
/// As listen(2); ENETDOWN without a host.
pub fn listen(fd: i32, mut tag: Tag, backlog: i32, host: &Host<'_>) -> Result<()> {
    if tag.is(Tag::DATAGRAM) {
        return Err(Errno(libc::EOPNOTSUPP));
    }
    if tag.is(Tag::CONNECTED) || tag.is(Tag::CONNECTING) {
        return Err(Errno(libc::EINVAL));
    }
    if !tag.is(Tag::BOUND) {
        bind(fd, tag, sockaddr::any(tag), host)?;
        tag = tag.with(Tag::BOUND);
    }
    let was_listening = kernel::option::<i32>(fd, libc::SO_ACCEPTCONN) == Ok(1);
    kernel::listen(fd, backlog)?;
    let request = Request { flags: flags(fd, tag), value: backlog, ..Request::new(Op::Listen, host.token, tag.id) };
    let listening = host.ask(&request).map(drop);
    if listening.is_err() && !was_listening {
        // There is no other way back for a socket of the kernel's.
        connect::renew(fd, tag, connect::Identity::Same)?;
    }
    listening
}
