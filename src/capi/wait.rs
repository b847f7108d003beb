//! Waiting: poll, select and epoll, over sockets of stacks and descriptors of the kernel alike. All but
//! sockeye_epoll_create1 and sockeye_epoll_ctl are cancellation points.

use super::{call, count, int, unit, waiting};
use crate::{
    error::{Error, Result},
    socket::{
        epoll,
        poll::{self, Timeout},
    },
    sys::{kernel, process, user},
};
use libc::{epoll_event, fd_set, nfds_t, pollfd, sigset_t, timespec, timeval};
use std::ffi::c_int;

/// Waits until one of several descriptors is ready. See poll(2).
///
/// @param fds      the descriptors, with what is asked of each; receives what each is ready for
/// @param nfds     how many
/// @param timeout  milliseconds to wait at most; negative for ever
/// @return how many are ready, 0 when the time has passed, or -1 with errno EINTR, EINVAL, EFAULT
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockeye_poll(fds: *mut pollfd, nfds: nfds_t, timeout: c_int) -> c_int {
    count(poll_at(fds as usize, nfds, Ok(Timeout::from_millis(timeout)), 0))
}

/// Like sockeye_poll(), with a signal mask in force while it waits. See ppoll(2).
///
/// @param fds      as sockeye_poll()
/// @param nfds     how many
/// @param timeout  the time to wait at most; NULL for ever
/// @param sigmask  the signal mask, or NULL
/// @return as sockeye_poll()
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockeye_ppoll(
    fds: *mut pollfd,
    nfds: nfds_t,
    timeout: *const timespec,
    sigmask: *const sigset_t,
) -> c_int {
    count(poll_at(fds as usize, nfds, waiting::timespec(timeout as usize), sigmask as usize))
}

fn poll_at(fds: usize, nfds: nfds_t, timeout: Result<Timeout>, mask: usize) -> Result<usize> {
    let nfds = usize::try_from(nfds).ok().filter(|nfds| *nfds <= process::descriptor_limit()).ok_or(Error::Invalid)?;
    poll::poll(user::view_slice(fds, nfds)?, timeout?, waiting::mask(mask)?.as_ref())
}

/// Waits until descriptors of three sets are ready. See select(2).
///
/// @param nfds       one more than the highest descriptor in the sets, at most FD_SETSIZE
/// @param readfds    to be readable, or NULL; receives those that are
/// @param writefds   to be writable, or NULL; receives those that are
/// @param exceptfds  to have urgent data, or NULL; receives those that have
/// @param timeout    the time to wait at most, NULL for ever; receives what is left of it
/// @return how many are in the sets, 0 when the time has passed, or -1 with errno EBADF, EINTR, EINVAL, EFAULT
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockeye_select(
    nfds: c_int,
    readfds: *mut fd_set,
    writefds: *mut fd_set,
    exceptfds: *mut fd_set,
    timeout: *mut timeval,
) -> c_int {
    count(waiting::select_at(nfds, [readfds as usize, writefds as usize, exceptfds as usize], timeout as usize))
}

/// Like sockeye_select(), with a signal mask in force while it waits, and the time left as it was. See pselect(2).
///
/// @param nfds       as sockeye_select()
/// @param readfds    as sockeye_select()
/// @param writefds   as sockeye_select()
/// @param exceptfds  as sockeye_select()
/// @param timeout    the time to wait at most; NULL for ever
/// @param sigmask    the signal mask, or NULL
/// @return as sockeye_select()
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockeye_pselect(
    nfds: c_int,
    readfds: *mut fd_set,
    writefds: *mut fd_set,
    exceptfds: *mut fd_set,
    timeout: *const timespec,
    sigmask: *const sigset_t,
) -> c_int {
    let sets = [readfds as usize, writefds as usize, exceptfds as usize];
    count(waiting::pselect_at(nfds, sets, timeout as usize, sigmask as usize))
}

/// Makes an epoll instance that holds sockets of stacks and descriptors of the kernel. See epoll_create1(2).
///
/// @param flags  0 or EPOLL_CLOEXEC
/// @return a descriptor, or -1 with errno EINVAL, EMFILE, ENFILE, ENOMEM
#[unsafe(no_mangle)]
pub extern "C-unwind" fn sockeye_epoll_create1(flags: c_int) -> c_int {
    int(call(|| epoll::create(flags)))
}

/// Adds, changes or deletes an entry of an epoll instance. See epoll_ctl(2).
///
/// @param epfd   an epoll instance
/// @param op     EPOLL_CTL_ADD, EPOLL_CTL_MOD or EPOLL_CTL_DEL
/// @param fd     the entry's descriptor
/// @param event  what is asked, and the data that comes back; not used by EPOLL_CTL_DEL
/// @return 0, or -1 with errno EEXIST, ENOENT, EPERM, EBADF, EFAULT, ELOOP, or EINVAL (also for a descriptor of this
///         library in an instance of the system's, which takes pollable sockets by its own epoll_ctl())
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockeye_epoll_ctl(epfd: c_int, op: c_int, fd: c_int, event: *mut epoll_event) -> c_int {
    unit(call(|| {
        let event = if op == libc::EPOLL_CTL_DEL { None } else { Some(user::read(event as usize)?) };
        epoll::control(epfd, op, fd, event)
    }))
}

/// Waits for events of an epoll instance. See epoll_wait(2).
///
/// @param epfd       an epoll instance
/// @param events     where the events go
/// @param maxevents  the room there, more than 0
/// @param timeout    milliseconds to wait at most; negative for ever
/// @return the number of events, 0 when the time has passed, or -1 with errno EINTR, EINVAL, EFAULT, EBADF
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockeye_epoll_wait(
    epfd: c_int,
    events: *mut epoll_event,
    maxevents: c_int,
    timeout: c_int,
) -> c_int {
    epoll_wait_at(epfd, events, maxevents, timeout, std::ptr::null())
}

/// Like sockeye_epoll_wait(), with a signal mask in force while it waits. See epoll_pwait(2).
///
/// @param epfd       an epoll instance
/// @param events     where the events go
/// @param maxevents  the room there, more than 0
/// @param timeout    milliseconds to wait at most; negative for ever
/// @param sigmask    the signal mask, or NULL
/// @return as sockeye_epoll_wait()
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockeye_epoll_pwait(
    epfd: c_int,
    events: *mut epoll_event,
    maxevents: c_int,
    timeout: c_int,
    sigmask: *const sigset_t,
) -> c_int {
    epoll_wait_at(epfd, events, maxevents, timeout, sigmask)
}

fn epoll_wait_at(fd: c_int, events: *mut epoll_event, max: c_int, timeout: c_int, mask: *const sigset_t) -> c_int {
    match wait_in_ours(fd, events as usize, max, timeout, mask as usize) {
        // SAFETY: the caller's own arguments.
        Ok(None) => unsafe { kernel::epoll_pwait(fd, events, max, timeout, mask) },
        Ok(Some(found)) => count(Ok(found)),
        Err(error) => count(Err(error)),
    }
}

fn wait_in_ours(fd: c_int, events: usize, max: c_int, timeout: c_int, mask: usize) -> Result<Option<usize>> {
    if !epoll::is_ours(fd) {
        return Ok(None);
    }
    let max = usize::try_from(max).ok().filter(|max| *max > 0).ok_or(Error::Invalid)?;
    epoll::wait(fd, user::view_slice(events, max)?, Timeout::from_millis(timeout), waiting::mask(mask)?.as_ref())
}
