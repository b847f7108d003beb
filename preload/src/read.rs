//! Reading and writing by functions that have no address: plain for all but datagram sockets.

use crate::{datagram, next::next, socket};
use core::{
    ffi::{c_int, c_void},
    ptr::null_mut,
};
use libc::{iovec, msghdr, size_t, ssize_t};

/// read(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn read(fd: c_int, to: *mut c_void, room: size_t) -> ssize_t {
    match datagram::tag(fd) {
        // SAFETY: the caller's own arguments.
        Some(tag) => unsafe { datagram::read(fd, tag, &iovec { iov_base: to, iov_len: room }, 1) },
        None => next!(c"read" as fn(c_int, *mut c_void, size_t) -> ssize_t, fd, to, room),
    }
}

/// write(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn write(fd: c_int, from: *const c_void, size: size_t) -> ssize_t {
    match datagram::tag(fd) {
        // SAFETY: the caller's own arguments.
        Some(tag) => unsafe { datagram::write(fd, tag, &iovec { iov_base: from.cast_mut(), iov_len: size }, 1) },
        None => next!(c"write" as fn(c_int, *const c_void, size_t) -> ssize_t, fd, from, size),
    }
}

/// readv(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn readv(fd: c_int, pieces: *const iovec, count: c_int) -> ssize_t {
    match datagram::tag(fd) {
        // SAFETY: the caller's own arguments.
        Some(tag) => unsafe { datagram::read(fd, tag, pieces, count) },
        None => next!(c"readv" as fn(c_int, *const iovec, c_int) -> ssize_t, fd, pieces, count),
    }
}

/// writev(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn writev(fd: c_int, pieces: *const iovec, count: c_int) -> ssize_t {
    match datagram::tag(fd) {
        // SAFETY: the caller's own arguments.
        Some(tag) => unsafe { datagram::write(fd, tag, pieces, count) },
        None => next!(c"writev" as fn(c_int, *const iovec, c_int) -> ssize_t, fd, pieces, count),
    }
}

/// recv(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn recv(fd: c_int, to: *mut c_void, room: size_t, flags: c_int) -> ssize_t {
    // SAFETY: the caller's own arguments.
    unsafe { socket::recvfrom(fd, to, room, flags, null_mut(), null_mut()) }
}

/// send(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn send(fd: c_int, from: *const c_void, size: size_t, flags: c_int) -> ssize_t {
    // SAFETY: the caller's own arguments.
    unsafe { socket::sendto(fd, from, size, flags, null_mut(), 0) }
}

/// sendmsg(2): a connected stream takes no notice of an address, where AF_UNIX says EISCONN.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sendmsg(fd: c_int, message: *const msghdr, flags: c_int) -> ssize_t {
    if !message.is_null()
        && let Some(tag) = datagram::tag(fd)
    {
        // SAFETY: the caller's own message.
        return match unsafe { datagram::send(fd, tag, &*message, flags) } {
            Ok(n) => n.cast_signed(),
            Err(errno) => crate::fail(errno) as ssize_t,
        };
    }
    next!(c"sendmsg" as fn(c_int, *const msghdr, c_int) -> ssize_t, fd, message, flags)
}

/// read(2) of a program compiled with _FORTIFY_SOURCE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __read_chk(fd: c_int, to: *mut c_void, room: size_t, size: size_t) -> ssize_t {
    check(room, size);
    // SAFETY: the caller's own arguments.
    unsafe { read(fd, to, room) }
}

/// recv(2) of a program compiled with _FORTIFY_SOURCE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __recv_chk(fd: c_int, to: *mut c_void, room: size_t, size: size_t, flags: c_int) -> ssize_t {
    check(room, size);
    // SAFETY: the caller's own arguments.
    unsafe { recv(fd, to, room, flags) }
}

/// recvfrom(2) of a program compiled with _FORTIFY_SOURCE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __recvfrom_chk(
    fd: c_int,
    to: *mut c_void,
    room: size_t,
    size: size_t,
    flags: c_int,
    at: *mut libc::sockaddr,
    len: *mut libc::socklen_t,
) -> ssize_t {
    check(room, size);
    // SAFETY: the caller's own arguments.
    unsafe { socket::recvfrom(fd, to, room, flags, at, len) }
}

/// A read of more than the buffer holds ends the program, as libc does it.
fn check(room: size_t, size: size_t) {
    if room > size {
        // SAFETY: abort takes nothing and does not return.
        unsafe { libc::abort() }
    }
}
