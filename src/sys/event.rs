//! eventfd(2): a descriptor that one thread sleeps on and others write to. By raw calls, which are no cancellation
//! points: they are made under locks.

use super::placeholder;
use crate::error::{Error, Result};
use std::{
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
};

/// From where the library's own descriptors are numbered where that can be had.
const HIGH: RawFd = 512;

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

    /// A new one with a descriptor that is not among the low numbers, which programs count on.
    ///
    /// # Errors
    /// Out of descriptors or memory.
    pub fn out_of_the_way() -> Result<Self> {
        let low = Self::new().map_err(|error| match error.raw_os_error() {
            Some(libc::ENFILE) => Error::FileTableFull,
            Some(libc::EMFILE) => Error::TooManyFiles,
            _ => Error::NoMemory,
        })?;
        match placeholder::dup(low.fd(), HIGH, true) {
            // SAFETY: the descriptor was made just now and is owned by nobody else.
            Ok(high) => Ok(Self(unsafe { OwnedFd::from_raw_fd(high) })),
            Err(_) => Ok(low),
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
        unsafe { libc::syscall(libc::SYS_write, self.fd(), &raw const one, 8usize) };
    }

    /// Resets the count after the descriptor polled readable; false if it is there no more: a program has closed what
    /// it does not know (closefrom(3)).
    pub fn clear(&self) -> bool {
        let mut count = 0u64;
        // SAFETY: eight writable bytes; the caller saw it readable, so this does not block.
        let read = unsafe { libc::syscall(libc::SYS_read, self.fd(), &raw mut count, 8usize) };
        read == 8 || io::Error::last_os_error().raw_os_error() != Some(libc::EBADF)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_that_the_program_has_closed_is_told_from_one_that_is_there() {
        let event = Event::new().expect("a descriptor");
        event.signal();
        assert!(event.clear());
        // At a number that no other test's descriptor gets.
        let high = placeholder::dup(event.fd(), 1000, true).expect("a descriptor");
        // SAFETY: the number is nobody else's, and is not closed again.
        let closed = unsafe {
            libc::close(high);
            std::mem::ManuallyDrop::new(Event(OwnedFd::from_raw_fd(high)))
        };
        assert!(!closed.clear());
    }
}
