//! accept(2): what the kernel accepted becomes a socket of the stack's.

use crate::{
    Errno, Result,
    address::Address,
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
/// EPERM, and the descriptor is closed, if the other end is not our host's: the caller accepts again. ENETDOWN, closed
/// too, if it is the word that the host is gone, which comes once.
pub fn adopt(listener: i32, tag: Tag, fd: i32, from: &UnixAddress, stack: &[u8]) -> Result<Address> {
    let adopted = take(listener, tag, fd, from, stack);
    if adopted.is_err() {
        let _ = kernel::close(fd);
    }
    adopted
}

const ANOTHERS: Errno = Errno(libc::EPERM);

fn take(listener: i32, tag: Tag, fd: i32, from: &UnixAddress, stack: &[u8]) -> Result<Address> {
    let meaning = from.name().and_then(|name| Meaning::read(name, stack));
    // A listener's own credentials are those of who called listen(2), which was the host.
    let [_, trusted, _] = kernel::option::<[u32; 3]>(listener, libc::SO_PEERCRED)?;
    let [_, other, _] = kernel::option::<[u32; 3]>(fd, libc::SO_PEERCRED)?;
    let (id, peer) = match meaning {
        _ if other != trusted => return Err(ANOTHERS),
        Some(Meaning::Accepted { id, peer, .. }) => (id, peer),
        Some(Meaning::Gone { .. }) => return Err(Errno(libc::ENETDOWN)),
        _ => return Err(ANOTHERS),
    };
    let id = Tag::GIVEN | id & (Tag::GIVEN - 1);
    let kept = tag.flags & (Tag::V6 | Tag::V6ONLY | Tag::NODELAY | Tag::REUSEPORT | Tag::GENEROUS);
    open::prepare(fd)?;
    open::set_tag(fd, Tag { id, flags: kept | Tag::CONNECTED })?;
    if tag.is(Tag::GENEROUS) {
        inherit(listener, fd);
    }
    // The byte that the host leaves unread, so that the connection can be shown to be reset. It may be so already.
    let _ = kernel::send(fd, &[0]);
    Ok(peer)
}

/// Gives an accepted socket the options that the kernel's own AF_UNIX socket serves and its listener has: TCP's are
/// inherited, those of AF_UNIX are not.
pub(crate) fn inherit(listener: i32, fd: i32) {
    for name in [libc::SO_KEEPALIVE, libc::SO_OOBINLINE, libc::SO_RCVLOWAT] {
        if let Ok(value) = kernel::option::<i32>(listener, name) {
            let _ = kernel::set_option(fd, name, &value.to_ne_bytes());
        }
    }
    if let Ok([on, seconds]) = kernel::option::<[i32; 2]>(listener, libc::SO_LINGER) {
        let _ = kernel::set_option(fd, libc::SO_LINGER, [on.to_ne_bytes(), seconds.to_ne_bytes()].as_flattened());
    }
    for name in [libc::SO_RCVTIMEO, libc::SO_SNDTIMEO] {
        if let Ok([seconds, micros]) = kernel::option::<[i64; 2]>(listener, name) {
            let _ = kernel::set_option(fd, name, [seconds.to_ne_bytes(), micros.to_ne_bytes()].as_flattened());
        }
    }
}
