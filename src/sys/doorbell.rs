//! A descriptor whose readiness is ours to set: one end of an AF_UNIX stream of the kernel. A byte in its queue is IN,
//! a send buffer that counts as full is no OUT, the other end's shutdown is RDHUP and HUP, and the other end closed
//! with bytes unread is ERR (unix(7); Linux unix_poll).
//!
//! All by raw calls: none is a cancellation point, none sleeps.

use super::placeholder::{self, checked};
use crate::error::{Error, Result};
use sockeye_shim::narrow;
use std::ffi::{c_int, c_long, c_void};

/// Send buffers that what lies unread in the other end's queue fills, and does not fill.
const FULL: c_int = 1;
const ROOMY: c_int = 32 * 1024;
/// Unread bytes of the other end, each in a buffer of its own: together more than a quarter of the smallest send
/// buffer.
const RETAINED: usize = 4;
/// The library's own descriptors stay out of the low numbers.
const HIGH: c_int = 512;

/// What is shown on the front end.
#[derive(Debug)]
pub struct Doorbell {
    /// A duplicate of the end that the application polls.
    front: c_int,
    /// The other end; -1 once it was closed.
    back: c_int,
}

fn high(fd: c_int) -> c_int {
    let high = placeholder::dup(fd, HIGH, true);
    high.inspect(|_| placeholder::close(fd)).unwrap_or(fd)
}

impl Doorbell {
    /// A doorbell that shows nothing.
    ///
    /// # Errors
    /// Out of descriptors or memory.
    pub fn new() -> Result<Self> {
        let mut pair: [c_int; 2] = [-1; 2];
        let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        // SAFETY: room for two descriptors.
        checked(unsafe { libc::syscall(libc::SYS_socketpair, libc::AF_UNIX, kind, 0 as c_long, pair.as_mut_ptr()) })?;
        let this = Self { front: high(pair[0]), back: high(pair[1]) };
        for _ in 0..RETAINED {
            send(this.front)?;
        }
        this.set_room(false)?;
        Ok(this)
    }

    /// Makes `fd` the end to poll, in place of what it is.
    ///
    /// # Errors
    /// As dup3(2) and fcntl(2).
    pub fn install(&self, fd: c_int) -> Result<()> {
        let flags = placeholder::fcntl(fd, libc::F_GETFD, 0)?;
        placeholder::dup_onto(self.front, fd, flags & libc::FD_CLOEXEC != 0)
    }

    /// IN; an edge also where it was shown.
    pub fn ring(&self, rung: bool) {
        if self.back >= 0 && send(self.back).is_ok() && rung {
            self.take_byte();
        }
    }

    /// No IN.
    pub fn silence(&self) {
        self.take_byte();
    }

    /// OUT, or not.
    ///
    /// # Errors
    /// None that the kernel documents for a socket that is open.
    pub fn set_room(&self, room: bool) -> Result<()> {
        let size = if room { ROOMY } else { FULL };
        // SAFETY: an int, with its length.
        checked(unsafe {
            libc::syscall(
                libc::SYS_setsockopt,
                self.front,
                libc::SOL_SOCKET,
                libc::SO_SNDBUF,
                &raw const size,
                size_of::<c_int>(),
            )
        })
        .map(drop)
    }

    /// RDHUP: the peer sends no more. There is no way back.
    pub fn end_of_input(&self) {
        self.shutdown(libc::SHUT_WR);
    }

    /// HUP: neither side sends. There is no way back.
    pub fn hang_up(&self) {
        self.shutdown(libc::SHUT_RDWR);
    }

    fn shutdown(&self, how: c_int) {
        // SAFETY: no pointers.
        unsafe { libc::syscall(libc::SYS_shutdown, self.back, how) };
    }

    /// ERR, and HUP. There is no way back, except to HUP alone.
    pub fn fail(&mut self) {
        // Where a forked child holds the other end too, closing it says nothing.
        self.hang_up();
        placeholder::close(std::mem::replace(&mut self.back, -1));
    }

    /// No ERR.
    pub fn take_error(&self) {
        let (mut error, mut len): (c_int, libc::socklen_t) = (0, narrow!(size_of::<c_int>() => libc::socklen_t));
        // SAFETY: an int, with its length.
        unsafe {
            libc::syscall(
                libc::SYS_getsockopt,
                self.front,
                libc::SOL_SOCKET,
                libc::SO_ERROR,
                &raw mut error,
                &raw mut len,
            )
        };
    }

    fn take_byte(&self) {
        let mut byte = 0u8;
        let none: *mut c_void = std::ptr::null_mut();
        // SAFETY: room for one byte; no address is asked for.
        unsafe { libc::syscall(libc::SYS_recvfrom, self.front, &raw mut byte, 1usize, libc::MSG_DONTWAIT, none, none) };
    }
}

impl Drop for Doorbell {
    fn drop(&mut self) {
        placeholder::close(self.front);
        if self.back >= 0 {
            placeholder::close(self.back);
        }
    }
}

/// Sends one byte.
fn send(fd: c_int) -> Result<()> {
    let byte = 1u8;
    let none: *const c_void = std::ptr::null();
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: one readable byte, no address.
    match checked(unsafe { libc::syscall(libc::SYS_sendto, fd, &raw const byte, 1usize, flags, none, 0usize) }) {
        Ok(1) => Ok(()),
        Ok(_) => Err(Error::Io),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::readiness::{PollFd, look};

    fn shown(bell: &Doorbell) -> i16 {
        let asked = libc::POLLIN | libc::POLLOUT | libc::POLLRDHUP;
        let mut fds = [PollFd { fd: bell.front, events: asked, revents: 0 }];
        look(&mut fds);
        fds[0].revents
    }

    #[test]
    fn every_condition_shows_and_those_that_have_a_way_back_go_away() {
        let mut bell = Doorbell::new().unwrap();
        assert_eq!(shown(&bell), 0);
        bell.set_room(true).unwrap();
        assert_eq!(shown(&bell), libc::POLLOUT);
        bell.ring(false);
        bell.ring(true);
        assert_eq!(shown(&bell), libc::POLLIN | libc::POLLOUT);
        bell.silence();
        bell.set_room(false).unwrap();
        assert_eq!(shown(&bell), 0);
        bell.end_of_input();
        assert_eq!(shown(&bell), libc::POLLIN | libc::POLLRDHUP);
        bell.set_room(true).unwrap();
        bell.hang_up();
        let over = libc::POLLIN | libc::POLLOUT | libc::POLLRDHUP | libc::POLLHUP;
        assert_eq!(shown(&bell), over);
        bell.fail();
        assert_eq!(shown(&bell), over | libc::POLLERR);
        bell.take_error();
        assert_eq!(shown(&bell), over);
    }
}
