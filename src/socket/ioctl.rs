//! ioctl(2).

use super::{
    file::Handle,
    table::{self, Entry},
};
use crate::{
    error::{Error, Result},
    stack::{Protocol, SocketId, Stack},
    sys::{placeholder, user},
    time::Instant,
};
use std::sync::atomic::Ordering;

/// SIOCATMARK of linux/sockios.h.
const SIOCATMARK: u64 = 0x8905;
/// SIOCOUTQNSD of linux/sockios.h: bytes queued and not yet sent.
const SIOCOUTQNSD: u64 = 0x894b;

/// ioctl(2); `arg` is an address. `None`: the kernel's to answer, on this very descriptor.
///
/// # Errors
/// As ioctl(2), tcp(7), udp(7); `NotTty` for requests a socket of ours does not have.
pub fn ioctl(fd: i32, request: u64, arg: usize) -> Result<Option<i32>> {
    match table::entry(fd) {
        Entry::Socket(socket) => {
            super::enter()?;
            socket.live()?;
            on_socket(&socket, fd, request, arg).map(Some)
        }
        _ => Ok(None),
    }
}

fn on_socket(socket: &Handle, fd: i32, request: u64, arg: usize) -> Result<i32> {
    let give = |value: usize| user::write(arg, i32::try_from(value).unwrap_or(i32::MAX));
    match request {
        libc::FIONREAD => give(socket.with(|stack, id, _| stack.readable(id))?)?,
        libc::TIOCOUTQ => give(socket.with(|stack, id, _| stack.unacknowledged(id))?)?,
        SIOCOUTQNSD if socket.protocol == Protocol::Tcp => give(socket.with(unsent)?)?,
        SIOCATMARK if socket.protocol == Protocol::Tcp => {
            give(socket.with(|stack, id, _| stack.is_at_mark(id))?.into())?;
        }
        libc::FIONBIO => {
            let (status, bit) = (&socket.fields().status, libc::O_NONBLOCK as u32);
            match user::read::<i32>(arg)? {
                0 => status.fetch_and(!bit, Ordering::Relaxed),
                _ => status.fetch_or(bit, Ordering::Relaxed),
            };
        }
        libc::FIOCLEX => _ = placeholder::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC)?,
        libc::FIONCLEX => _ = placeholder::fcntl(fd, libc::F_SETFD, 0)?,
        libc::FIOASYNC if user::read::<i32>(arg)? == 0 => {}
        libc::FIOASYNC => return Err(Error::Invalid),
        _ => return Err(Error::NotTty),
    }
    Ok(0)
}

fn unsent(stack: &mut Stack, id: SocketId, now: Instant) -> Result<usize> {
    // A listener has no queue, and says so by the sibling request.
    stack.unacknowledged(id)?;
    stack.tcp_info(id, now).map(|info| info.notsent_bytes as usize)
}
