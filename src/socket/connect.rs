//! connect(2).

use super::{
    address::{self, Unspec},
    bind::enter_scope,
    file::{Handle, Patience},
    pollable, table,
};
use crate::{
    addr::Endpoint,
    error::{Error, Result},
    ready::Ready,
    stack::Protocol,
};

/// connect(2). AF_UNSPEC disconnects.
///
/// # Errors
/// As connect(2). `Interrupted` and `InProgress` (after SO_SNDTIMEO) leave the attempt going on, as on Linux.
pub fn connect(fd: i32, addr: &[u8]) -> Result<()> {
    let socket = table::socket(fd)?;
    address::family(addr).ok_or(Error::Invalid)?;
    if address::is_unspecified(addr) {
        return socket.with(|stack, id, now| stack.disconnect(id, now));
    }
    let unspec = if socket.protocol == Protocol::Udp { Unspec::AsInet } else { Unspec::Refuse };
    let remote = address::parse(addr, socket.family, unspec)?;
    enter_scope(&socket, addr).map_err(|_| Error::AddrNotAvailable)?;
    pollable::on_connect(fd, &socket)?;
    let started = socket.with(|stack, id, now| stack.connect(id, remote, now));
    match (started, socket.protocol) {
        (Err(Error::InProgress | Error::Already), Protocol::Tcp) => {
            let patience = socket.send_patience(false);
            finish(&socket, remote, started, patience)
        }
        _ => started,
    }
}

/// Waits until an attempt that was started is decided.
pub(super) fn finish(socket: &Handle, remote: Endpoint, started: Result<()>, patience: Patience) -> Result<()> {
    if patience == Patience::None {
        return started;
    }
    let decided = socket.transfer(Ready::OUT, patience, |stack, id, now| match stack.connect(id, remote, now) {
        Err(Error::InProgress | Error::Already) => Err(Error::WouldBlock),
        decided => decided,
    });
    match decided {
        Err(Error::WouldBlock) => started,
        decided => decided,
    }
}
