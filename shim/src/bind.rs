//! bind(2) and listen(2).

use crate::{
    Errno, Result,
    address::Address,
    datagram,
    format::{Op, REUSEADDR, Request},
    host::Host,
    kernel, open, options, sockaddr,
    tag::Tag,
};

/// The flags that a request carries for a socket.
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
    host.ask_about(fd, &Request { flags: flags(fd, tag), address, ..Request::new(Op::Bind, host.token) })?;
    open::set_tag(fd, tag.with(Tag::BOUND))
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
        tag = open::tag(fd).unwrap_or(tag).with(Tag::BOUND);
    }
    let request = Request { flags: flags(fd, tag), value: backlog, ..Request::new(Op::Listen, host.token) };
    host.ask_about(fd, &request).map(drop)
}
