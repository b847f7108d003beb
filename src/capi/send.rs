//! Sending. All of these are cancellation points.

use super::{address::Given, message::Header, size};
use crate::{
    error::{Error, Result},
    socket::{
        send::{Send, send},
        table::{self, Entry},
    },
    sys::{kernel, user::Buffers},
};
use libc::{iovec, msghdr, sockaddr, socklen_t, ssize_t};
use std::ffi::{c_int, c_void};

/// A call without address and control messages.
fn plain(fd: c_int, buffers: Result<Buffers<'_>>, flags: c_int) -> ssize_t {
    size(buffers.and_then(|buffers| send(fd, Send { buffers, flags, dest: None, control: &[] })))
}

/// Sends on a connected socket. See send(2).
///
/// @param fd     a connected socket
/// @param buf    what to send
/// @param len    how many bytes
/// @param flags  MSG_DONTWAIT, MSG_NOSIGNAL, MSG_MORE, MSG_OOB, MSG_DONTROUTE, MSG_EOR, MSG_CONFIRM
/// @return the number of bytes sent, or -1 with errno EAGAIN, EPIPE (with SIGPIPE unless MSG_NOSIGNAL), ECONNRESET,
///         ENOTCONN, EDESTADDRREQ, EMSGSIZE, EINTR, EOPNOTSUPP, EFAULT, EBADF, ENOTSOCK
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockeye_send(fd: c_int, buf: *const c_void, len: usize, flags: c_int) -> ssize_t {
    plain(fd, Ok(Buffers::one(buf as usize, len)), flags)
}

/// Sends, a datagram socket to the address given. See sendto(2).
///
/// @param fd        a socket
/// @param buf       what to send
/// @param len       how many bytes
/// @param flags     as sockeye_send()
/// @param addr      the destination, or NULL
/// @param addr_len  its length
/// @return as sockeye_send(); EINVAL and EAFNOSUPPORT for a bad address
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockeye_sendto(
    fd: c_int,
    buf: *const c_void,
    len: usize,
    flags: c_int,
    addr: *const sockaddr,
    addr_len: socklen_t,
) -> ssize_t {
    size(send_to(fd, Buffers::one(buf as usize, len), flags, addr as usize, addr_len))
}

fn send_to(fd: c_int, buffers: Buffers<'_>, flags: c_int, addr: usize, len: socklen_t) -> Result<usize> {
    if addr == 0 {
        return send(fd, Send { buffers, flags, dest: None, control: &[] });
    }
    let dest = Given::read(addr, len)?;
    send(fd, Send { buffers, flags, dest: Some(dest.bytes()), control: &[] })
}

/// Sends from several buffers, with control messages (IP_PKTINFO, IP_TTL, IP_TOS on datagram sockets). See sendmsg(2).
///
/// @param fd     a socket
/// @param msg    the message
/// @param flags  as sockeye_send()
/// @return as sockeye_sendto(); EINVAL for a bad control message
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockeye_sendmsg(fd: c_int, msg: *const msghdr, flags: c_int) -> ssize_t {
    size(table::socket(fd).and_then(|_| Header::read(msg as usize)).and_then(|header| header.send(fd, flags)))
}

/// Writes to a connected socket, or to any other descriptor of the process. See write(2).
///
/// @param fd   a descriptor
/// @param buf  what to write
/// @param len  how many bytes
/// @return as sockeye_send(); for other descriptors as write(2)
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockeye_write(fd: c_int, buf: *const c_void, len: usize) -> ssize_t {
    match table::entry(fd) {
        Entry::Socket(_) => plain(fd, Ok(Buffers::one(buf as usize, len)), 0),
        // SAFETY: the caller's own arguments.
        _ => unsafe { kernel::write(fd, buf, len) },
    }
}

/// Like sockeye_write(), from several buffers. See writev(2).
///
/// @param fd     a descriptor
/// @param iov    the buffers
/// @param count  how many, at most IOV_MAX
/// @return as sockeye_write(); EINVAL for a bad count or length
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockeye_writev(fd: c_int, iov: *const iovec, count: c_int) -> ssize_t {
    match table::entry(fd) {
        Entry::Socket(_) => plain(fd, Buffers::many(iov as usize, count as isize, Error::Invalid), 0),
        // SAFETY: the caller's own arguments.
        _ => unsafe { kernel::writev(fd, iov, count) },
    }
}
