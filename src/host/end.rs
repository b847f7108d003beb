//! The end of a program's socket that is ours, with what epoll(7) has said of it.
//!
//! The kernel tells of each change once, and to whatever the end is part of at that moment: a header that is read may
//! come together with the word that its program is gone, and the connection that is made of it would wait for that word
//! for ever. So what stays true is kept with the end, and goes with it from item to item (the table in `slot.rs`).

use crate::sys::readiness::{self, PollFd};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// What stays true once it was told. Whether there is something to read or room to write each item looks for itself.
const LASTING: u32 = (libc::EPOLLPRI | libc::EPOLLRDHUP | libc::EPOLLHUP) as u32;
/// What is asked of epoll(7) for a stream. HUP and ERR come unasked.
pub const EVENTS: i32 = libc::EPOLLIN | libc::EPOLLPRI | libc::EPOLLOUT | libc::EPOLLRDHUP;

/// Our end.
#[derive(Debug)]
pub struct End {
    fd: OwnedFd,
    told: u32,
}

impl End {
    /// An end of which nothing was told yet: the first events are still to come.
    pub fn new(fd: OwnedFd) -> Self {
        Self { fd, told: 0 }
    }

    /// Events of epoll(7) came.
    pub fn hear(&mut self, events: u32) {
        self.told |= events & LASTING;
    }

    /// Looks for what may not have been told yet.
    pub fn look(&mut self) {
        let mut look = [PollFd { fd: self.fd.as_raw_fd(), events: libc::POLLRDHUP, revents: 0 }];
        readiness::look(&mut look);
        self.hear(u32::from(look[0].revents.cast_unsigned()));
    }

    /// The program has closed its end. What it wrote before may still be there.
    pub fn is_closed(&self) -> bool {
        self.told & libc::EPOLLHUP as u32 != 0
    }

    /// The program writes no more. What it wrote before may still be there.
    pub fn is_ended(&self) -> bool {
        self.told & (libc::EPOLLRDHUP | libc::EPOLLHUP) as u32 != 0
    }

    /// Whether the program has sent an urgent byte since this was last asked.
    pub fn take_urgent(&mut self) -> bool {
        let is_urgent = self.told & libc::EPOLLPRI as u32 != 0;
        self.told &= !(libc::EPOLLPRI as u32);
        is_urgent
    }
}

impl From<End> for OwnedFd {
    fn from(end: End) -> Self {
        end.fd
    }
}

impl AsFd for End {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
