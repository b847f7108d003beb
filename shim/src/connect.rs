//! connect(2).

use crate::{
    Errno, Result, accept,
    address::Address,
    bind,
    format::{Data, KEEPALIVE, Op, Request},
    host::Host,
    kernel, names, open, options,
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
    let [_, peer, _] = kernel::option::<[u32; 3]>(fd, libc::SO_PEERCRED)?;
    if peer != u32::MAX {
        // An earlier attempt failed, and an AF_UNIX socket connects once.
        tag = renew(fd, tag, Identity::Same(host))?;
    }
    tag = options::introduce(fd, tag, host)?;
    let keepalive = kernel::option::<i32>(fd, libc::SO_KEEPALIVE).is_ok_and(|set| set != 0);
    let flags = bind::flags(fd, tag) | if keepalive { KEEPALIVE } else { 0 };
    // Before the host has done it: who waits for the socket elsewhere sees what comes of it.
    open::set_tag(fd, tag.with(Tag::CONNECTING))?;
    let request = Request { flags, address: destination, ..Request::new(Op::Connect, host.token) };
    match host.ask_about(fd, &request) {
        Ok(response) => {
            names::remember(fd, tag, (response.remote, response.local), host);
            Ok(Begun::InProgress)
        }
        Err(errno) => {
            // Nothing is under way; the host keeps the socket's options for another attempt.
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
            host.tell_about(fd, Request { level, name, data, ..Request::new(Op::SetOption, host.token) })?;
        }
        renew(fd, tag, Identity::New)?;
    }
    Ok(())
}

/// Whose options and address a socket that takes another's place has with the host.
#[derive(Clone, Copy)]
enum Identity<'a> {
    /// The other's, which the host is told.
    Same(&'a Host<'a>),
    New,
}

/// Puts a new socket in the place of one that cannot connect again. Duplicates of the descriptor, and sets that
/// epoll(7) has it in, stay with the old one.
fn renew(fd: i32, tag: Tag, identity: Identity<'_>) -> Result<Tag> {
    // Of a new one the host has heard nothing.
    let known = if matches!(identity, Identity::New) { Tag::TOLD | Tag::BOUND } else { 0 };
    let flags = tag.flags & !(Tag::CONNECTED | Tag::CONNECTING | known);
    let new = open::socket(libc::SOCK_STREAM | libc::SOCK_CLOEXEC, flags)?;
    accept::inherit(fd, new);
    if let Ok(reuse) = kernel::option::<i32>(fd, libc::SO_REUSEADDR) {
        let _ = kernel::set_option(new, libc::SO_REUSEADDR, &reuse.to_ne_bytes());
    }
    let told = match identity {
        Identity::Same(host) => host.ask_with(&[fd, new], &Request::new(Op::Succeed, host.token)).map(drop),
        Identity::New => Ok(()),
    };
    let replaced = told.and_then(|()| kernel::replace(fd, new)).and_then(|()| open::tag(new).ok_or(Errno(libc::EBADF)));
    let _ = kernel::close(new);
    replaced
}

/// What connect(2) has come to so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    /// The host is at it.
    InProgress,
    /// A connection that was begun before is made.
    Done,
}

/// Why a connection failed, or that it was made and has ended since.
fn failure(fd: i32, host: &Host<'_>) -> Result<()> {
    // A host that is gone leaves nothing to ask for, and one that came after it knows nothing.
    if !host.is_there() {
        return Err(Errno(libc::ENETDOWN));
    }
    match host.ask_about(fd, &Request::new(Op::Result, host.token)) {
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
        failure(fd, host)
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
