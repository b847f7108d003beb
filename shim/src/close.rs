//! close(2): SO_LINGER's time. The host learns by itself that a socket is closed.

use crate::{
    Result,
    format::{Op, Request},
    host::{Host, Wait},
    kernel,
    tag::Tag,
};

/// For how many seconds close(2) may wait for the peer: SO_LINGER of a connection, 0 if it does not wait.
pub fn lingers(fd: i32, tag: Tag) -> i32 {
    // The option is among those that leave a mark, so that no other close(2) pays for it.
    if !tag.is(Tag::GENEROUS) || !tag.is(Tag::CONNECTED) || tag.is(Tag::DATAGRAM) {
        return 0;
    }
    match kernel::option::<[i32; 2]>(fd, libc::SO_LINGER) {
        Ok([on, seconds]) if on != 0 => seconds.max(0),
        _ => 0,
    }
}

/// To be called before close(2); what it returns waits, after it, until all is acknowledged, the time is over or a
/// signal came.
///
/// # Errors
///
/// Those of [`Host::announce`]: there is nothing to wait for.
pub fn linger(fd: i32, seconds: i32, host: &Host<'_>) -> Result<Wait> {
    host.announce(fd, &Request { value: seconds, ..Request::new(Op::Linger, host.token) })
}
