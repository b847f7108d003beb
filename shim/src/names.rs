//! What is asked about a socket: getsockname(2), getpeername(2), the length of its queue.

use crate::{
    Errno, Result,
    address::Address,
    connect,
    format::{Op, Request},
    host::Host,
    kernel,
    name::{self, Meaning},
    sockaddr,
    tag::Tag,
};

/// What a bound socket's own path says.
pub(crate) fn bound(fd: i32) -> Option<Address> {
    name::bound(kernel::own_name(fd).ok()?.path()?)
}

/// The addresses of an accepted connection, from the name of the host's end: peer and local.
fn accepted(fd: i32, host: &Host<'_>) -> Option<(Address, Address)> {
    match Meaning::read(kernel::peer_name(fd).ok()?.name()?, host.stack)? {
        Meaning::Accepted { peer, local, .. } => Some((peer, local)),
        _ => None,
    }
}

/// Gives an end the name that says its addresses, peer's first, unless it has a name or path already.
pub(crate) fn remember(fd: i32, tag: Tag, (peer, local): (Address, Address), host: &Host<'_>) {
    if peer != Address::NONE
        && local != Address::NONE
        && let Some(name) = (Meaning::Made { id: tag.id, peer, local }).name(host.stack)
    {
        // Who has taken it before has every question asked, and nothing else.
        let _ = kernel::bind(fd, &name);
    }
}

/// The addresses of a connection that the program has made, peer's first: they are known by the name that its end was
/// given. Only an end that was bound before has a path already, and is asked for each time.
fn made(fd: i32, tag: Tag, host: &Host<'_>) -> Result<(Address, Address)> {
    if let Ok(own) = kernel::own_name(fd)
        && let Some(Meaning::Made { id, peer, local }) = own.name().and_then(|name| Meaning::read(name, host.stack))
        && id == tag.id
    {
        return Ok((peer, local));
    }
    let response = host.ask_about(fd, &Request::new(Op::Names, host.token))?;
    let (peer, local) = (response.remote, response.local);
    if !tag.is(Tag::DATAGRAM) {
        remember(fd, tag, (peer, local), host);
    }
    Ok((peer, local))
}

/// getsockname(2).
///
/// # Errors
///
/// ENETDOWN without a host, if only the host can tell.
pub fn local(fd: i32, tag: Tag, host: &Host<'_>) -> Result<Address> {
    if tag.id & Tag::GIVEN != 0 {
        if let Some((_, local)) = accepted(fd, host) {
            return Ok(local);
        }
    } else if tag.is(Tag::DATAGRAM) {
        if !tag.is(Tag::BOUND) {
            return Ok(sockaddr::any(tag));
        }
    } else if !tag.is(Tag::CONNECTED) && !tag.is(Tag::CONNECTING) {
        return Ok(bound(fd).unwrap_or(sockaddr::any(tag)));
    }
    made(fd, tag, host).map(|(_, local)| local)
}

/// getpeername(2).
///
/// # Errors
///
/// ENOTCONN; ENETDOWN without a host, if only the host can tell.
pub fn peer(fd: i32, tag: Tag, host: &Host<'_>) -> Result<Address> {
    const NOT_CONNECTED: Errno = Errno(libc::ENOTCONN);
    if tag.id & Tag::GIVEN != 0 {
        // A peer that is gone is a name that is gone: as getpeername(2) of a connection that was reset.
        return accepted(fd, host).map(|(peer, _)| peer).ok_or(NOT_CONNECTED);
    }
    if tag.is(Tag::CONNECTING) {
        connect::result(fd, tag, host).map_err(|_| NOT_CONNECTED)?;
    } else if !tag.is(Tag::CONNECTED) {
        return Err(NOT_CONNECTED);
    }
    if !tag.is(Tag::DATAGRAM) && kernel::ready(fd) & libc::POLLHUP != 0 {
        // What is over has no peer any more.
        return Err(NOT_CONNECTED);
    }
    match made(fd, tag, host) {
        Ok((peer, _)) if peer != Address::NONE => Ok(peer),
        Ok(_) | Err(Errno(libc::ENOENT)) => Err(NOT_CONNECTED),
        Err(errno) => Err(errno),
    }
}

/// SIOCOUTQ and SIOCOUTQNSD of a connection (tcp(7)): of its AF_UNIX socket they count the kernel's memory, not bytes.
///
/// # Errors
///
/// ENETDOWN without a host.
pub fn queued(fd: i32, request: i32, host: &Host<'_>) -> Result<i32> {
    let response = host.ask_about(fd, &Request { value: request, ..Request::new(Op::Queued, host.token) })?;
    Ok(response.data.as_bytes().first_chunk().map_or(0, |four| i32::from_ne_bytes(*four)))
}
