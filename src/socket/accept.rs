//! accept(2).

use super::{
    address::Address,
    file::{FileRef, Handle},
    open::OpenFlags,
    table,
};
use crate::{
    addr::Flow,
    error::{Error, Result},
    ready::Ready,
    stack::{Protocol, SocketId},
    sys::placeholder,
    tcp::State,
};
use std::sync::atomic::Ordering;

/// accept4(2): the new descriptor and the peer's address.
///
/// # Errors
/// As accept(2). Without a descriptor to give (`TooManyFiles`) the connection stays in the queue.
pub fn accept(fd: i32, flags: i32) -> Result<(i32, Address)> {
    let flags = OpenFlags::parse(flags)?;
    let listener = table::socket(fd)?;
    if listener.protocol != Protocol::Tcp {
        return Err(Error::NotSupported);
    }
    let patience = listener.recv_patience(false);
    loop {
        listener.transfer(Ready::IN, patience, |stack, id, _| match stack.state(id) {
            State::Listen if stack.ready(id).intersects(Ready::IN) => Ok(()),
            State::Listen => Err(Error::WouldBlock),
            // A descriptor that is closed meanwhile says so.
            _ => stack.local_endpoint(id).and(Err(Error::Invalid)),
        })?;
        let fd = placeholder::new(flags.cloexec)?;
        match listener.with(|stack, id, now| stack.accept(id, now)) {
            Ok((id, flow)) => return install(&listener, fd, id, flow, flags),
            Err(error) => {
                placeholder::close(fd);
                // Another thread took it: a call that may sleep sleeps again.
                if error != Error::WouldBlock || listener.recv_patience(false) == super::file::Patience::None {
                    return Err(error);
                }
            }
        }
    }
}

/// The new socket has the options of its listener but for O_NONBLOCK (accept(2), NOTES) and SO_PRIORITY (Linux's
/// sk_clone_lock).
fn install(listener: &Handle, fd: i32, id: SocketId, flow: Flow, flags: OpenFlags) -> Result<(i32, Address)> {
    let file = FileRef::of_socket(listener.stack, id, listener.family, Protocol::Tcp, flags.nonblock);
    let (from, to) = (listener.fields(), file.file());
    to.recv_timeout.store(from.recv_timeout.load(Ordering::Relaxed), Ordering::Relaxed);
    to.send_timeout.store(from.send_timeout.load(Ordering::Relaxed), Ordering::Relaxed);
    to.recv_lowat.store(from.recv_lowat.load(Ordering::Relaxed), Ordering::Relaxed);
    to.linger.store(from.linger.load(Ordering::Relaxed), Ordering::Relaxed);
    to.mark.store(from.mark.load(Ordering::Relaxed), Ordering::Relaxed);
    to.busy_poll.store(from.busy_poll.load(Ordering::Relaxed), Ordering::Relaxed);
    to.timestamp.store(from.timestamp.load(Ordering::Relaxed), Ordering::Relaxed);
    table::add(fd, file).map(|fd| (fd, Address::new(flow.remote, listener.family)))
}
