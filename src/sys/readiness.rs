//! What kernel descriptors are ready for, without waiting (one look by poll(2)) or with, and the kernel's own epoll(7).

use super::{clock, placeholder::checked};
use crate::error::Result;
use std::{
    ffi::{c_int, c_long},
    os::fd::{AsRawFd, BorrowedFd},
    time::Duration,
};

/// `struct pollfd`.
pub use libc::pollfd as PollFd;

/// One look at `fds`: sets their revents.
pub fn look(fds: &mut [PollFd]) {
    if fds.is_empty() {
        return;
    }
    let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let no_mask: *const libc::sigset_t = std::ptr::null();
    // SAFETY: `fds` is a slice of pollfd; a time-out of zero does not block, the raw call is no cancellation point.
    let result =
        unsafe { libc::syscall(libc::SYS_ppoll, fds.as_mut_ptr(), fds.len(), &raw const now, no_mask, 8usize) };
    if result < 0 {
        fds.iter_mut().for_each(|fd| fd.revents = 0);
    }
}

/// Waits until `fd` can be read, or has come to its end; false when the time is up.
pub fn wait_readable(fd: BorrowedFd<'_>, limit: Duration) -> bool {
    wait(&mut [libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 }], limit)
}

/// Waits until one of `fds` is ready, and sets their revents; false when the time is up.
pub fn wait(fds: &mut [PollFd], limit: Duration) -> bool {
    let until = clock::now() + limit;
    loop {
        let left = until.since(clock::now());
        let millis = c_int::try_from(left.as_micros().div_ceil(1000)).unwrap_or(c_int::MAX);
        // SAFETY: `fds` is a slice of pollfd.
        if unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, millis) } > 0 {
            return true;
        }
        // A signal may have come before the time was up.
        if left.is_zero() {
            fds.iter_mut().for_each(|fd| fd.revents = 0);
            return false;
        }
    }
}

/// A new epoll(7) instance.
///
/// # Errors
/// `TooManyFiles`, `FileTableFull`, `NoMemory`.
pub fn new(cloexec: bool) -> Result<c_int> {
    let flags = if cloexec { libc::EPOLL_CLOEXEC } else { 0 };
    // SAFETY: no pointers.
    checked(unsafe { libc::syscall(libc::SYS_epoll_create1, flags) })
}

/// epoll_ctl(2) on the kernel's instance.
///
/// # Errors
/// As epoll_ctl(2).
pub fn control(epoll: c_int, op: c_int, fd: c_int, mut event: libc::epoll_event) -> Result<()> {
    // SAFETY: `event` is a valid epoll_event.
    checked(unsafe { libc::syscall(libc::SYS_epoll_ctl, epoll, op, fd, &raw mut event) }).map(drop)
}

/// What the kernel's instance has ready now, at most as many as `out` holds.
///
/// # Errors
/// As epoll_wait(2).
pub fn take(epoll: c_int, out: &mut [libc::epoll_event]) -> Result<usize> {
    let room = c_int::try_from(out.len()).unwrap_or(c_int::MAX);
    let no_mask: *const libc::sigset_t = std::ptr::null();
    // SAFETY: `out` has room for `room` events; a time-out of zero does not block.
    checked(unsafe {
        libc::syscall(libc::SYS_epoll_pwait, epoll, out.as_mut_ptr(), room, 0 as c_long, no_mask, 8usize)
    })
    .map(|n| n.unsigned_abs() as usize)
}
