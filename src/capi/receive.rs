//! Receiving. All of these are cancellation points.

use super::{address, message::Header, size};
use crate::{
    error::{Error, Result},
    socket::{
        address::Address,
        recv::recv,
        table::{self, Entry},
    },
    sys::{kernel, user::Buffers},
};
use libc::{iovec, msghdr, sockaddr, socklen_t, ssize_t};
use std::ffi::{c_int, c_void};

/// Receives. See recv(2).
///
/// @param fd     a socket
/// @param buf    where the bytes go
/// @param len    the room there
/// @param flags  MSG_DONTWAIT, MSG_PEEK, MSG_WAITALL, MSG_TRUNC (a stream's bytes are discarded), MSG_OOB, MSG_ERRQUEUE
///               (what IP_RECVERR, SO_TIMESTAMPING and SO_ZEROCOPY have to report)
/// @return the number of bytes; 0 at the end of a stream; or -1 with errno EAGAIN, ECONNREFUSED, ECONNRESET, ENOTCONN,
///         EINTR, EINVAL, EOPNOTSUPP, EFAULT, EBADF, ENOTSOCK
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockeye_recv(fd: c_int, buf: *mut c_void, len: usize, flags: c_int) -> ssize_t {
    size(recv(fd, Buffers::one(buf as usize, len), flags).map(|message| message.len))
}

/// Receives, and tells a datagram's sender. See recvfrom(2).
///
/// @param fd        a socket
/// @param buf       where the bytes go
/// @param len       the room there
/// @param flags     as sockeye_recv()
/// @param addr      where the sender's address goes, or NULL
/// @param addr_len  the room there; receives the length of the whole address, 0 for a stream
/// @return as sockeye_recv()
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockeye_recvfrom(
    fd: c_int,
    buf: *mut c_void,
    len: usize,
    flags: c_int,
    addr: *mut sockaddr,
    addr_len: *mut socklen_t,
) -> ssize_t {
    size(recv_from(fd, Buffers::one(buf as usize, len), flags, addr as usize, addr_len as usize))
}

fn recv_from(fd: c_int, buffers: Buffers<'_>, flags: c_int, addr: usize, len: usize) -> Result<usize> {
    let socket = table::socket(fd)?;
    let message = recv(fd, buffers, flags)?;
    if addr != 0 {
        let from = message.from.map(|from| Address::new(from, socket.family));
        address::write(from.as_ref(), addr, len)?;
    }
    Ok(message.len)
}

/// Receives into several buffers, with control messages (SO_TIMESTAMP, IP_PKTINFO, IP_TTL, IP_TOS). See recvmsg(2).
///
/// @param fd     a socket
/// @param msg    the message; its lengths and msg_flags (MSG_TRUNC, MSG_CTRUNC, MSG_OOB) are set
/// @param flags  as sockeye_recv()
/// @return as sockeye_recv(); EMSGSIZE for more than IOV_MAX buffers
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockeye_recvmsg(fd: c_int, msg: *mut msghdr, flags: c_int) -> ssize_t {
    size(recv_message(fd, msg as usize, flags))
}

pub(super) fn recv_message(fd: c_int, msg: usize, flags: c_int) -> Result<usize> {
    let socket = table::socket(fd)?;
    let header = Header::read(msg)?;
    let message = recv(fd, header.buffers()?, flags)?;
    header.report(&message, socket.family, flags)?;
    Ok(message.len)
}

/// Reads from a socket, or from any other descriptor of the process. See read(2).
///
/// @param fd   a descriptor
/// @param buf  where the bytes go
/// @param len  the room there; a socket gives nothing for 0
/// @return as sockeye_recv(); for other descriptors as read(2)
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockeye_read(fd: c_int, buf: *mut c_void, len: usize) -> ssize_t {
    match table::entry(fd) {
        Entry::Socket(_) if len == 0 => 0,
        Entry::Socket(_) => size(recv(fd, Buffers::one(buf as usize, len), 0).map(|message| message.len)),
        // SAFETY: the caller's own arguments.
        _ => unsafe { kernel::read(fd, buf, len) },
    }
}

/// Like sockeye_read(), into several buffers. See readv(2).
///
/// @param fd     a descriptor
/// @param iov    the buffers
/// @param count  how many, at most IOV_MAX
/// @return as sockeye_read(); EINVAL for a bad count or length
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockeye_readv(fd: c_int, iov: *const iovec, count: c_int) -> ssize_t {
    match table::entry(fd) {
        Entry::Socket(_) => size(read_all(fd, iov as usize, count)),
        // SAFETY: the caller's own arguments.
        _ => unsafe { kernel::readv(fd, iov, count) },
    }
}

fn read_all(fd: c_int, iov: usize, count: c_int) -> Result<usize> {
    let buffers = Buffers::many(iov, count as isize, Error::Invalid)?;
    if buffers.is_empty() { Ok(0) } else { recv(fd, buffers, 0).map(|message| message.len) }
}
