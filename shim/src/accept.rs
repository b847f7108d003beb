//! accept(2): what the kernel accepted becomes a socket of the stack's.

use crate::{
    Errno, Result,
    address::Address,
    host::Host,
    kernel::{self, UnixAddress},
    name::Meaning,
    open,
    tag::Tag,
};

/// Takes over a descriptor that accept4(2) returned for a listener with this tag, and the name that came with it.
/// Returns the peer's address.
///
/// # Errors
///
/// EPERM, and the descriptor is closed, if the other end is not our host's: the caller accepts again.
pub fn adopt(listener: i32, tag: Tag, fd: i32, from: &UnixAddress, stack: &[u8]) -> Result<Address> {
    let adopted = take(listener, tag, fd, from, stack);
    if adopted.is_none() {
        let _ = kernel::close(fd);
    }
    adopted.ok_or(Errno(libc::EPERM))
}

fn take(listener: i32, tag: Tag, fd: i32, from: &UnixAddress, stack: &[u8]) -> Option<Address> {
    let Some(Meaning::Accepted { id, peer, .. }) = Meaning::read(from.name()?, stack) else { return None };
    // A listener's own credentials are those of who called listen(2): its workers may have become somebody else.
    let [_, trusted, _] = kernel::option::<[u32; 3]>(listener, libc::SO_PEERCRED).ok()?;
    if !Host::is_ours(fd, trusted) {
        return None;
    }
    let kept = tag.flags & (Tag::V6 | Tag::V6ONLY | Tag::NODELAY | Tag::REUSEPORT);
    open::set_tag(fd, Tag { id, flags: kept | Tag::CONNECTED }).ok()?;
    Some(peer)
}
