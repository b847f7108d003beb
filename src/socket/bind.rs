//! bind(2), listen(2), shutdown(2), getsockname(2) and getpeername(2): calls that never sleep.

use super::{
    address::{self, Address, Unspec},
    file::Handle,
    options, table,
};
use crate::{
    error::{Error, Result},
    stack::Family,
    tcp::Shutdown,
};
use sockeye_shim::sockaddr;

/// net.core.somaxconn.
const SOMAXCONN: i32 = 4096;

/// bind(2).
///
/// # Errors
/// As bind(2).
pub fn bind(fd: i32, addr: &[u8]) -> Result<()> {
    let socket = table::socket(fd)?;
    let local = address::parse(addr, socket.family, Unspec::IfAny)?;
    enter_scope(&socket, addr)?;
    socket.with(|stack, id, now| stack.bind(id, local, now))
}

/// An address that comes with its scope binds the socket to that interface (Linux's __inet6_bind, tcp_v6_connect).
///
/// # Errors
/// `NoDevice`: there is no such interface.
pub(super) fn enter_scope(socket: &Handle, addr: &[u8]) -> Result<()> {
    match sockaddr::scope(addr).filter(|_| socket.family == Family::V6) {
        Some(index) => options::bind_to_index(socket, index),
        None => Ok(()),
    }
}

/// listen(2). As on Linux a negative backlog means the most there can be.
///
/// # Errors
/// As listen(2).
pub fn listen(fd: i32, backlog: i32) -> Result<()> {
    let socket = table::socket(fd)?;
    let backlog = if (0..=SOMAXCONN).contains(&backlog) { backlog } else { SOMAXCONN };
    socket.with(|stack, id, now| stack.listen(id, backlog.unsigned_abs() as usize, now))
}

/// shutdown(2).
///
/// # Errors
/// As shutdown(2).
pub fn shutdown(fd: i32, how: i32) -> Result<()> {
    let socket = table::socket(fd)?;
    let how = match how {
        libc::SHUT_RD => Shutdown::Read,
        libc::SHUT_WR => Shutdown::Write,
        libc::SHUT_RDWR => Shutdown::Both,
        _ => return Err(Error::Invalid),
    };
    socket.with(|stack, id, now| stack.shutdown(id, how, now))
}

/// getsockname(2).
///
/// # Errors
/// As getsockname(2).
pub fn local_address(fd: i32) -> Result<Address> {
    let socket = table::socket(fd)?;
    socket.with(|stack, id, _| stack.local_endpoint(id)).map(|local| Address::new(local, socket.family))
}

/// getpeername(2).
///
/// # Errors
/// As getpeername(2).
pub fn peer_address(fd: i32) -> Result<Address> {
    let socket = table::socket(fd)?;
    socket.with(|stack, id, _| stack.remote_endpoint(id)).map(|remote| Address::new(remote, socket.family))
}
