//! The engine: the only clock, locks and threads. It decides who drives the stack and who sleeps.

pub mod ready;

use crate::{
    device::Device,
    error::Result,
    ready::Ready,
    stack::{Config, SocketId, Stack},
    time::Instant,
};
use ready::Watcher;
use std::sync::Arc;

/// A stack with its device, clock and lock. Engines live as long as the process: handles to them are plain references.
pub struct Engine {}

/// How a wait ended.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Woke {
    /// Something may have changed: look again.
    Changed,
    /// The deadline has passed.
    TimedOut,
    /// A signal handler ran.
    Interrupted,
}

#[allow(unused_variables, clippy::unimplemented)]
impl Engine {
    /// Makes a stack for `config` on `device` (none for `null`) and starts its helper thread.
    pub fn start(config: Config, device: Option<Box<dyn Device>>) -> std::result::Result<&'static Self, String> {
        unimplemented!()
    }

    /// Stops the helper, aborts connections, lets go of the device. Later calls fail with `NetDown`.
    pub fn stop(&self) {
        unimplemented!()
    }

    /// The clock.
    pub fn now(&self) -> Instant {
        unimplemented!()
    }

    /// The only way into the stack: locks, acts, sends what came of it and wakes whom it concerns.
    /// `act` must not block nor call back.
    pub fn with<R>(&self, act: impl FnOnce(&mut Stack, Instant) -> R) -> R {
        unimplemented!()
    }

    /// Like [`Engine::with`] for a call that must not block: when it says `WouldBlock`, the device is looked at once
    /// and the call tried again.
    pub fn attempt<R>(&self, act: impl FnMut(&mut Stack, Instant) -> Result<R>) -> Result<R> {
        unimplemented!()
    }

    /// Runs `attempt` until it says something else than `WouldBlock`, sleeping in between until one of `mask` comes up
    /// on `id`. `restart`: a signal handler with SA_RESTART does not end the wait (recv, accept ...; not poll).
    ///
    /// A thread may be cancelled in here: the caller holds no guard and no allocation.
    ///
    /// # Errors
    /// Those of `attempt`; `WouldBlock` when `deadline` passes; `Interrupted`.
    pub fn block_on<R>(
        &'static self,
        id: SocketId,
        mask: Ready,
        deadline: Option<Instant>,
        attempt: impl FnMut(&mut Stack, Instant) -> Result<R>,
    ) -> Result<R> {
        unimplemented!()
    }

    /// Calls `watcher` with `token` whenever one of `mask` (or ERR, HUP) comes up on `id`, until [`Engine::unwatch`].
    /// Edges only: look at [`Stack::ready`] after registering.
    pub fn watch(&self, id: SocketId, mask: Ready, token: u64, watcher: Arc<dyn Watcher>) {
        unimplemented!()
    }

    /// Ends a [`Engine::watch`] of the same `token` and watcher.
    pub fn unwatch(&self, id: SocketId, token: u64, watcher: &Arc<dyn Watcher>) {
        unimplemented!()
    }

    /// The socket was closed: forget all who watch it.
    pub fn forget(&self, id: SocketId) {
        unimplemented!()
    }
}

/// Sleeps, driving `engines` if nobody else does, until something may have changed for the calling thread: a watcher
/// that wakes it (see [`ready::Parker`]) was called, one of `extra` is ready (its revents are set), the deadline
/// passed, or a signal came. Never restarts: for poll, select and epoll_wait. `sigmask` as in ppoll(2).
///
/// A thread may be cancelled in here: the caller holds no guard and no allocation.
#[allow(unused_variables, clippy::unimplemented)]
pub fn wait(
    engines: &[&'static Engine],
    extra: &mut [libc::pollfd],
    deadline: Option<Instant>,
    sigmask: Option<&libc::sigset_t>,
) -> Woke {
    unimplemented!()
}

/// One look at the devices of `engines` without sleeping (for poll with a time-out of zero).
#[allow(unused_variables, clippy::unimplemented)]
pub fn drive_once(engines: &[&'static Engine]) {
    unimplemented!()
}

/// The engine clock, the same for all engines.
#[allow(clippy::unimplemented)]
pub fn now() -> Instant {
    unimplemented!()
}
