//! A socket without a descriptor in this process: what a host exports to other programs. It has all that a file has,
//! options above all, and is driven by whoever owns it.

use super::{
    ancillary::TCP_CM_INQ,
    file::{FileRef, Handle, Object},
    options, stacks,
};
use crate::{
    engine::Engine,
    error::{Error, Result},
    stack::{Family, Protocol, SocketId, Stack},
    time::{Duration, Instant},
};
use std::sync::atomic::Ordering;

/// A socket and the options that live outside the stack. It is closed when it is dropped; data that was sent still gets
/// to the peer.
#[derive(Debug)]
pub struct Detached {
    handle: Handle,
}

impl Detached {
    /// A new socket of the stack numbered `stack`.
    ///
    /// # Errors
    /// As socket(2).
    pub fn open(stack: u32, family: Family, protocol: Protocol) -> Result<Self> {
        let engine = stacks::engine(stack).ok_or(Error::NetDown)?;
        let id = engine.with(|stack, _| stack.open(family, protocol))?;
        Self::around(stack, engine, id, family, protocol)
    }

    fn around(stack: u32, engine: &'static Engine, id: SocketId, family: Family, protocol: Protocol) -> Result<Self> {
        let file = FileRef::of_socket(stack, id, family, protocol, true);
        match file.object() {
            Some(Object::Socket(handle)) => Ok(Self { handle }),
            _ => {
                engine.with(|stack, now| stack.close(id, now));
                Err(Error::NetDown)
            }
        }
    }

    /// The connection `id` that this listener has accepted; it inherits the listener's options (accept(2), NOTES), but
    /// SO_PRIORITY.
    ///
    /// # Errors
    /// `NetDown`: the stack is gone.
    pub fn accepted(&self, id: SocketId) -> Result<Self> {
        let Handle { stack, engine, family, protocol, .. } = self.handle;
        let child = Self::around(stack, engine, id, family, protocol)?;
        let (from, to) = (self.handle.fields(), child.handle.fields());
        to.recv_lowat.store(from.recv_lowat.load(Ordering::Relaxed), Ordering::Relaxed);
        to.linger.store(from.linger.load(Ordering::Relaxed), Ordering::Relaxed);
        to.mark.store(from.mark.load(Ordering::Relaxed), Ordering::Relaxed);
        to.busy_poll.store(from.busy_poll.load(Ordering::Relaxed), Ordering::Relaxed);
        Ok(child)
    }

    /// Its number in the stack.
    pub fn id(&self) -> SocketId {
        self.handle.id
    }

    /// The family its program opened it with.
    pub fn family(&self) -> Family {
        self.handle.family
    }

    /// What it speaks.
    pub fn protocol(&self) -> Protocol {
        self.handle.protocol
    }

    /// The engine that drives its stack.
    pub fn engine(&self) -> &'static Engine {
        self.handle.engine
    }

    /// Acts on the stack.
    ///
    /// # Errors
    /// Those of `act`; `Io` when it panics.
    pub fn with<R>(&self, act: impl FnOnce(&mut Stack, SocketId, Instant) -> Result<R>) -> Result<R> {
        self.handle.with(act)
    }

    /// getsockopt(2); `len` is the length of the program's buffer.
    ///
    /// # Errors
    /// As getsockopt(2).
    pub fn option(&self, level: i32, name: i32, len: i32) -> Result<options::Value> {
        options::get_of(&self.handle, level, name, len)
    }

    /// setsockopt(2).
    ///
    /// # Errors
    /// As setsockopt(2).
    pub fn set_option(&self, level: i32, name: i32, value: &[u8]) -> Result<()> {
        // Who reads from the other end is not told what is left here, and has no error queue.
        let is_not_told =
            matches!((level, name), (libc::IPPROTO_TCP, TCP_CM_INQ) | (libc::IPPROTO_IP, libc::IP_RECVERR));
        if is_not_told && value.iter().any(|byte| *byte != 0) {
            return Err(Error::NoProtocolOption);
        }
        options::set_of(&self.handle, level, name, value)
    }

    /// From here on closing it is a reset, as with SO_LINGER of zero: the program left data unread.
    pub fn reset_on_close(&self) {
        // A socket that has no such setting is not connected: there is nobody to reset.
        let _ = self.handle.with(|stack, id, now| {
            stack.tcp_settings(id)?.linger = Some(Duration::ZERO);
            stack.on_settings_changed(id, now);
            Ok(())
        });
    }
}

impl Drop for Detached {
    fn drop(&mut self) {
        // A panic in there has closed nothing that could be closed otherwise.
        let _ = self.handle.with(|stack, id, now| {
            stack.close(id, now);
            Ok(())
        });
        self.handle.engine.forget(self.handle.id);
        let _no_other_owner = self.handle.file.release();
    }
}
