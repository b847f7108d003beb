//! What is asked about a socket: getsockname(2), getpeername(2), the length of its queue.

use crate::{
    Errno, Result,
    address::Address,
    connect,
    format::{Op, Request},
    host::Host,
    kernel,
    name::Meaning,
    sockaddr,
    tag::Tag,
};

/// What a bound socket's own name says.
pub(crate) fn bound(fd: i32, host: &Host<'_>) -> Option<Address> {
    match Meaning::read(kernel::own_name(fd).ok()?.name()?, host.stack)? {
        Meaning::Bound { local, .. } => Some(local),
        _ => None,
    }
}

/// The addresses of an accepted connection, from the name of the host's end: peer and local.
fn accepted(fd: i32, host: &Host<'_>) -> Option<(Address, Address)> {
    match Meaning::read(kernel::peer_name(fd).ok()?.name()?, host.stack)? {
        Meaning::Accepted { peer, local, .. } => Some((peer, local)),
        _ => None,
    }
}

/// The addresses of a connection that the program has made, peer's first: asked for once, and then known by the name that
/// its end is given. Only an end that was bound before has a name already, and is asked for each time.
fn made(fd: i32, tag: Tag, host: &Host<'_>) -> Result<(Address, Address)> {
    if let Ok(own) = kernel::own_name(fd)
        && let Some(Meaning::Made { id, peer, local }) = own.name().and_then(|name| Meaning::read(name, host.stack))
        && id == tag.id
    {
        return Ok((peer, local));
    }
    let response = host.ask(&Request::new(Op::Names, host.token, tag.id))?;
    let (peer, local) = (response.remote, response.local);
    if peer != Address::NONE
        && !tag.is(Tag::DATAGRAM)
        && let Some(name) = (Meaning::Made { id: tag.id, peer, local }).name(host.stack)
    {
        let _ = kernel::bind(fd, &name);
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
        return Ok(bound(fd, host).unwrap_or(sockaddr::any(tag)));
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
pub fn queued(tag: Tag, request: i32, host: &Host<'_>) -> Result<i32> {
    let response = host.ask(&Request { value: request, ..Request::new(Op::Queued, host.token, tag.id) })?;
    Ok(response.data.as_bytes().first_chunk().map_or(0, |four| i32::from_ne_bytes(*four)))
}
