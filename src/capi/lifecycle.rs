//! Opening, naming and connecting sockets; options.

use super::{
    address::{self, Given},
    call, int,
    message::{option_in, option_out},
    unit,
};
use crate::socket::{accept, bind, connect, open, options};
use libc::{sockaddr, socklen_t};
use std::ffi::{c_int, c_void};

/// The level of options that are this library's own, for sockeye_getsockopt() and sockeye_setsockopt().
pub const SOL_SOCKEYE: c_int = 0x5359;

/// At SOL_SOCKEYE, an int: whether the descriptor polls IN, OUT, RDHUP, HUP and ERR in the system's own poll, select
/// and epoll as the socket does, for event loops that know nothing of this library. The number stays; what it refers to
/// is replaced, so set it before the descriptor is duplicated or added anywhere. It is not inherited by accepted
/// sockets. Two further descriptors are used. All other calls on the socket must still be this library's.
///
/// It differs from a socket of the system in this: one that was never connected does not poll HUP, a datagram socket
/// polls IN where it has an error, and a connect() after a connection has ended gives the number a fresh descriptor,
/// which an epoll must be told of again. Urgent data does not show.
pub const SOCKEYE_POLLABLE: c_int = 1;

const _: () = assert!(SOL_SOCKEYE == options::SOL_SOCKEYE && SOCKEYE_POLLABLE == options::SOCKEYE_POLLABLE);

/// Opens a socket of the default stack, which the first call makes as SOCKEYE_NET describes. See socket(2).
///
/// @param domain    AF_INET; or AF_INET6, which takes :: and mapped IPv4 addresses, and fails with EADDRNOTAVAIL
///                  for most others, as there is no IPv6 on the wire
/// @param type      SOCK_STREAM or SOCK_DGRAM, with SOCK_NONBLOCK and SOCK_CLOEXEC
/// @param protocol  0, or IPPROTO_TCP or IPPROTO_UDP
/// @return a descriptor, or -1 with errno ENETDOWN (no stack: sockeye_last_error() says why), EAFNOSUPPORT,
///         EPROTONOSUPPORT, ESOCKTNOSUPPORT, EINVAL, EMFILE, ENFILE, ENOBUFS
#[unsafe(no_mangle)]
pub extern "C-unwind" fn sockeye_socket(domain: c_int, r#type: c_int, protocol: c_int) -> c_int {
    int(call(|| open::socket(domain, r#type, protocol)))
}

/// Gives a socket a local address. See bind(2).
///
/// @param fd    a socket
/// @param addr  its address, a struct sockaddr_in or sockaddr_in6
/// @param len   the address's length
/// @return 0, or -1 with errno EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT, EINVAL, EFAULT, EBADF, ENOTSOCK
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockeye_bind(fd: c_int, addr: *const sockaddr, len: socklen_t) -> c_int {
    unit(call(|| bind::bind(fd, Given::read(addr as usize, len)?.bytes())))
}

/// Makes a socket wait for connections. See listen(2).
///
/// @param fd       a stream socket
/// @param backlog  how many connections may wait to be accepted
/// @return 0, or -1 with errno EADDRINUSE, EINVAL (connected), EOPNOTSUPP, EBADF, ENOTSOCK
#[unsafe(no_mangle)]
pub extern "C-unwind" fn sockeye_listen(fd: c_int, backlog: c_int) -> c_int {
    unit(call(|| bind::listen(fd, backlog)))
}

/// Takes a connection that was made to a listening socket. See accept(2). A cancellation point.
///
/// @param fd    a listening socket
/// @param addr  where the peer's address goes, or NULL
/// @param len   the room there; receives the length of the whole address
/// @return a descriptor, or -1 with errno EAGAIN, EINTR, EINVAL (not listening), EMFILE (the connection stays queued),
///         EOPNOTSUPP, EFAULT, EBADF, ENOTSOCK
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockeye_accept(fd: c_int, addr: *mut sockaddr, len: *mut socklen_t) -> c_int {
    int(accept_to(fd, addr as usize, len as usize, 0))
}

/// Like sockeye_accept(), with SOCK_NONBLOCK and SOCK_CLOEXEC for the new descriptor. See accept4(2).
///
/// @param fd     a listening socket
/// @param addr   where the peer's address goes, or NULL
/// @param len    the room there; receives the length of the whole address
/// @param flags  0, SOCK_NONBLOCK, SOCK_CLOEXEC
/// @return as sockeye_accept(); EINVAL also for other flags
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockeye_accept4(
    fd: c_int,
    addr: *mut sockaddr,
    len: *mut socklen_t,
    flags: c_int,
) -> c_int {
    int(accept_to(fd, addr as usize, len as usize, flags))
}

/// As on Linux a connection whose address has nowhere to go is lost.
fn accept_to(fd: c_int, addr: usize, len: usize, flags: c_int) -> crate::error::Result<c_int> {
    let (accepted, peer) = accept::accept(fd, flags)?;
    if addr != 0
        && let Err(error) = address::write(Some(&peer), addr, len)
    {
        // It is ours: it was made just now.
        let _ = crate::socket::close::close(accepted);
        return Err(error);
    }
    Ok(accepted)
}

/// Connects a socket. AF_UNSPEC disconnects it. See connect(2). A cancellation point.
///
/// @param fd    a socket
/// @param addr  the peer's address
/// @param len   the address's length
/// @return 0, or -1 with errno EINPROGRESS, EALREADY, EISCONN, ECONNREFUSED, ETIMEDOUT, ENETUNREACH, EHOSTUNREACH,
///         EADDRNOTAVAIL, EAFNOSUPPORT, EINTR, EINVAL, EFAULT, EBADF, ENOTSOCK
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockeye_connect(fd: c_int, addr: *const sockaddr, len: socklen_t) -> c_int {
    let connected = Given::read(addr as usize, len).and_then(|addr| connect::connect(fd, addr.bytes()));
    unit(connected)
}

/// Ends one or both directions of a connection. See shutdown(2).
///
/// @param fd   a connected socket
/// @param how  SHUT_RD, SHUT_WR or SHUT_RDWR
/// @return 0, or -1 with errno ENOTCONN, EINVAL, EBADF, ENOTSOCK
#[unsafe(no_mangle)]
pub extern "C-unwind" fn sockeye_shutdown(fd: c_int, how: c_int) -> c_int {
    unit(call(|| bind::shutdown(fd, how)))
}

/// The local address of a socket. See getsockname(2).
///
/// @param fd    a socket
/// @param addr  where the address goes
/// @param len   the room there; receives the length of the whole address
/// @return 0, or -1 with errno EINVAL, EFAULT, EBADF, ENOTSOCK
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockeye_getsockname(fd: c_int, addr: *mut sockaddr, len: *mut socklen_t) -> c_int {
    unit(call(|| address::write(Some(&bind::local_address(fd)?), addr as usize, len as usize)))
}

/// The address of a socket's peer. See getpeername(2).
///
/// @param fd    a connected socket
/// @param addr  where the address goes
/// @param len   the room there; receives the length of the whole address
/// @return 0, or -1 with errno ENOTCONN, EINVAL, EFAULT, EBADF, ENOTSOCK
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockeye_getpeername(fd: c_int, addr: *mut sockaddr, len: *mut socklen_t) -> c_int {
    unit(call(|| address::write(Some(&bind::peer_address(fd)?), addr as usize, len as usize)))
}

/// Reads an option of SOL_SOCKET, IPPROTO_IP or IPPROTO_TCP. See getsockopt(2), socket(7), ip(7), tcp(7).
///
/// @param fd     a socket
/// @param level  the option's level
/// @param name   the option
/// @param value  where its value goes
/// @param len    the room there; receives the length of what was written
/// @return 0, or -1 with errno ENOPROTOOPT (no such option), EOPNOTSUPP (no such level), EINVAL, EFAULT, EBADF,
///         ENOTSOCK, or the option's own
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockeye_getsockopt(
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *mut c_void,
    len: *mut socklen_t,
) -> c_int {
    unit(call(|| option_out(fd, level, name, value as usize, len as usize)))
}

/// Sets an option of SOL_SOCKET, IPPROTO_IP or IPPROTO_TCP. What is not honoured fails. See setsockopt(2).
///
/// @param fd     a socket
/// @param level  the option's level
/// @param name   the option
/// @param value  its value
/// @param len    the value's length
/// @return 0, or -1 with errno ENOPROTOOPT, EINVAL, EPERM, EDOM, EFAULT, EBADF, ENOTSOCK, or the option's own
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockeye_setsockopt(
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *const c_void,
    len: socklen_t,
) -> c_int {
    unit(call(|| option_in(fd, level, name, value as usize, len)))
}
