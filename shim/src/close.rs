//! close(2): a hint to the host, which otherwise learns of a listener's end only by looking; and SO_LINGER's time.

use crate::{
    format::{Op, Request},
    host::Host,
    kernel,
    tag::Tag,
};

/// Whether the host wants to hear that a descriptor with this tag was closed.
pub fn is_of_interest(tag: Tag) -> bool {
    tag.id & Tag::GIVEN == 0
        && (!tag.is(Tag::CONNECTED) || tag.is(Tag::DATAGRAM))
        && (tag.is(Tag::BOUND) || tag.is(Tag::TOLD))
}

/// Tells the host that a descriptor of this socket was closed; another may still be open.
pub fn hint(tag: Tag, host: &Host<'_>) {
    // A host that is gone needs no hint, and none is started for one.
    if host.is_there() {
        let _ = host.tell(Request::new(Op::Closed, host.token, tag.id));
    }
}

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

/// Waits, after close(2), until all is acknowledged, the time is over or a signal came.
pub fn linger(tag: Tag, seconds: i32, host: &Host<'_>) {
    host.wait(&Request { value: seconds, ..Request::new(Op::Linger, host.token, tag.id) });
}
