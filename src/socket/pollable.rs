//! Sockets that the kernel's own poll(2) and epoll(7) see: their descriptor becomes one end of a [`Doorbell`], which
//! shows what the socket is ready for. For event loops that know nothing of this library.
//!
//! Conditions come up in [`Watcher::on_ready`], for whoever drives; they go away when a call has used them up
//! ([`refresh`], after every call on the socket). The two may cross: a look counts, so that one that something happened
//! after is not believed. Locks: none is held while the stack is asked; the bell's own is the innermost.

use super::{file::Handle, options, poll::without_bands, table};
use crate::{
    engine::ready::Watcher,
    error::{Error, Result},
    ready::Ready,
    stack::Protocol,
    sys::{doorbell::Doorbell, placeholder},
    tcp::State,
};
use parking_lot::Mutex;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// What the kernel is shown of a socket.
const SHOWN: Ready = Ready(Ready::IN.0 | Ready::OUT.0 | Ready::RDHUP.0 | Ready::HUP.0 | Ready::ERR.0);
/// Conditions with no way back for the descriptor.
const FINAL: Ready = Ready(Ready::RDHUP.0 | Ready::HUP.0 | Ready::ERR.0);

/// What is shown of one socket.
pub struct Bell {
    socket: Handle,
    /// Counts looks and events.
    turns: AtomicU64,
    face: Mutex<Face>,
}

struct Face {
    doorbell: Doorbell,
    shown: Ready,
    /// Conditions with no way back that were shown once.
    spent: Ready,
}

/// A condition of datagram sockets that a doorbell cannot show without an end to everything becomes one it can: a call
/// that receives takes the error.
fn judge(ready: Ready, protocol: Protocol) -> Ready {
    let ready = match protocol {
        Protocol::Udp if ready.intersects(Ready::ERR) => ready & !Ready::ERR | Ready::IN,
        _ => ready,
    };
    // A socket that was never connected is hung up on Linux, and is not any more once it is: it must be able to go
    // back.
    let is_over = ready.intersects(Ready::RDHUP | Ready::ERR);
    (if is_over { ready } else { ready & !Ready::HUP }) & SHOWN
}

impl Face {
    /// Shows conditions that came up: an edge, whether they were there or not.
    fn raise(&mut self, ready: Ready) {
        let new = ready & !self.shown;
        if ready.intersects(Ready::IN) {
            self.doorbell.ring(self.shown.intersects(Ready::IN));
        }
        if new.intersects(Ready::OUT) {
            // The kernel refuses this to nobody.
            let _ = self.doorbell.set_room(true);
        }
        let first = new & !self.spent;
        if first.intersects(Ready::ERR) {
            self.doorbell.fail();
        } else if first.intersects(Ready::HUP) {
            self.doorbell.hang_up();
        } else if first.intersects(Ready::RDHUP) {
            self.doorbell.end_of_input();
        }
        self.spent |= ready & FINAL;
        self.shown |= ready;
    }

    /// Shows what there is, and nothing else as far as there is a way back.
    fn show(&mut self, ready: Ready) {
        let gone = self.shown & !ready;
        if gone.intersects(Ready::IN) {
            self.doorbell.silence();
        }
        if gone.intersects(Ready::OUT) {
            let _ = self.doorbell.set_room(false);
        }
        if gone.intersects(Ready::ERR) {
            self.doorbell.take_error();
        }
        self.shown = self.shown & ready;
        self.raise(ready & !self.shown);
    }
}

impl Watcher for Bell {
    fn on_ready(&self, _token: u64, ready: Ready) {
        self.turns.fetch_add(1, Ordering::SeqCst);
        self.face.lock().raise(judge(ready, self.socket.protocol));
    }
}

impl Bell {
    /// Looks at the socket until nothing has happened since, and shows what was seen.
    fn refresh(&self) {
        let socket = &self.socket;
        loop {
            let turn = self.turns.fetch_add(1, Ordering::SeqCst) + 1;
            let ready = socket.engine.with(|stack, _| stack.ready(socket.id));
            let mut face = self.face.lock();
            if self.turns.load(Ordering::SeqCst) == turn {
                return face.show(judge(ready, socket.protocol));
            }
        }
    }
}

/// The file's last descriptor is closed, or it is pollable no more.
pub(super) fn end(bell: &Arc<Bell>) {
    let watcher: Arc<dyn Watcher> = Arc::clone(bell) as _;
    bell.socket.engine.unwatch(bell.socket.id, 0, &watcher);
    bell.socket.engine.rely_on_helper(false);
}

/// A call on the socket is over: what it used up is shown no more.
#[inline]
pub(super) fn refresh(socket: &Handle) {
    if socket.fields().is_pollable.load(Ordering::Relaxed) {
        let bell = socket.fields().bell.lock().clone();
        if let Some(bell) = bell {
            bell.refresh();
        }
    }
}

/// Whether the descriptor's socket is pollable.
pub(super) fn is_on(socket: &Handle) -> bool {
    socket.fields().is_pollable.load(Ordering::Relaxed)
}

/// Sets or ends it, for `fd` and descriptors duplicated from it later.
///
/// # Errors
/// Out of descriptors or memory; `Invalid` for no int.
pub(super) fn set(fd: i32, socket: &Handle, value: &[u8]) -> Result<()> {
    match (options::int(value)? != 0, is_on(socket)) {
        (true, false) => {
            install(fd, socket)?;
            socket.engine.rely_on_helper(true);
            Ok(())
        }
        (false, true) => {
            let plain = placeholder::new(true)?;
            let flags = placeholder::fcntl(fd, libc::F_GETFD, 0)?;
            let replaced = placeholder::dup_onto(plain, fd, flags & libc::FD_CLOEXEC != 0);
            placeholder::close(plain);
            replaced?;
            socket.fields().is_pollable.store(false, Ordering::Relaxed);
            if let Some(bell) = socket.fields().bell.lock().take() {
                end(&bell);
            }
            Ok(())
        }
        (_, _) => Ok(()),
    }
}

/// Gives `fd` a bell; the one before, if there was one, is told nothing any more.
fn install(fd: i32, socket: &Handle) -> Result<()> {
    let doorbell = Doorbell::new()?;
    doorbell.install(fd)?;
    // The descriptor may have been given away meanwhile: then what it is now is the other's, and this call came too
    // late.
    if table::file(fd) != Some(socket.file) {
        return Err(Error::BadDescriptor);
    }
    let face = Mutex::new(Face { doorbell, shown: Ready::NONE, spent: Ready::NONE });
    let bell = Arc::new(Bell { socket: *socket, turns: AtomicU64::new(0), face });
    socket.engine.watch(socket.id, without_bands(SHOWN), 0, Arc::clone(&bell) as _);
    let before = socket.fields().bell.lock().replace(Arc::clone(&bell));
    if let Some(before) = before {
        let watcher: Arc<dyn Watcher> = before;
        socket.engine.unwatch(socket.id, 0, &watcher);
    }
    socket.fields().is_pollable.store(true, Ordering::Relaxed);
    bell.refresh();
    Ok(())
}

/// A socket whose last connection is over is about to be connected again: a descriptor that shows the end of the last
/// one takes no other, so that it gets a fresh one. (A poll or epoll has to be told of that again.)
///
/// # Errors
/// Out of descriptors or memory.
pub(super) fn on_connect(fd: i32, socket: &Handle) -> Result<()> {
    if !is_on(socket) {
        return Ok(());
    }
    let bell = socket.fields().bell.lock().clone();
    let is_spent = bell.is_some_and(|bell| !bell.face.lock().spent.is_empty());
    let is_over =
        socket.protocol == Protocol::Tcp && socket.with(|stack, id, _| Ok(stack.state(id) == State::Closed))?;
    if is_spent && is_over { install(fd, socket) } else { Ok(()) }
}
