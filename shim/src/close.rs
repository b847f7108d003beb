//! close(2): a hint to the host, which otherwise learns of a listener's end only by looking.

use crate::{
    format::{Op, Request},
    host::Host,
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
