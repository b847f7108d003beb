//! eventfd(2): a descriptor that one thread sleeps on and others write to.

use std::{
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
};

/// An event counter.
#[derive(Debug)]
pub struct Event(OwnedFd);

impl Event {
    /// A new one, with a count of 0.
    ///
    /// # Errors
    /// Out of descriptors or memory.
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointers; the result is checked and owned by nobody else.
        unsafe {
            match libc::eventfd(0, libc::EFD_CLOEXEC) {
                -1 => Err(io::Error::last_os_error()),
                fd => Ok(Self(OwnedFd::from_raw_fd(fd))),
            }
        }
    }

    /// The descriptor, to be polled.
    pub fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// Makes the descriptor readable and wakes its sleeper.
    pub fn signal(&self) {
        let one = 1u64;
        // SAFETY: eight readable bytes. The write cannot block: nobody counts to 2^64.
        unsafe { libc::write(self.fd(), (&raw const one).cast(), 8) };
    }

    /// Resets the count after the descriptor polled readable.
    pub fn clear(&self) {
        let mut count = 0u64;
        // SAFETY: eight writable bytes; the caller saw it readable, so this does not block.
        unsafe { libc::read(self.fd(), (&raw mut count).cast(), 8) };
    }
}
