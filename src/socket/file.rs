//! The open file behind descriptors: what dup(2)ed descriptors share. And [`Handle`], the copy of it a call works with.
//!
//! Files are never freed, only used again under a new generation, so that a look-up needs no lock and no count: it
//! reads the fields and then checks that the generation is still the one its descriptor was opened with.

use super::{
    epoll::Membership,
    pollable::{self, Bell},
    shelf::Shelf,
    stacks,
};
use crate::{
    engine::Engine,
    error::{Error, Result},
    ready::Ready,
    stack::{Family, Protocol, SocketId, Stack},
    time::{Duration, Instant},
};
use parking_lot::Mutex;
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering, fence},
};

/// What a file is; the low bits of [`File::kind`].
const SOCKET: u32 = 1;
const EPOLL: u32 = 2;
const UDP: u32 = 1 << 8;
const V6: u32 = 1 << 9;

/// In [`File::linger`]: SO_LINGER is on.
pub(super) const LINGER_ON: u64 = 1 << 32;

/// An open file. `Relaxed` accesses of its fields are ordered by `state` as the module says.
#[derive(Default)]
pub struct File {
    /// Generation in the upper half, number of descriptors in the lower.
    state: AtomicU64,
    /// The socket's number in its stack, or the number of the epoll instance.
    id: AtomicU64,
    kind: AtomicU32,
    stack: AtomicU32,
    /// O_NONBLOCK and the other status flags of F_SETFL.
    pub(super) status: AtomicU32,
    /// SO_RCVLOWAT.
    pub(super) recv_lowat: AtomicU32,
    /// SO_RCVTIMEO and SO_SNDTIMEO in nanoseconds; 0 is none.
    pub(super) recv_timeout: AtomicU64,
    pub(super) send_timeout: AtomicU64,
    /// SO_LINGER: seconds, and [`LINGER_ON`]. Switched off, the time stays.
    pub(super) linger: AtomicU64,
    /// SO_PRIORITY.
    pub(super) priority: AtomicU32,
    /// SO_MARK, by which nothing is routed or filtered here.
    pub(super) mark: AtomicU32,
    /// SO_BUSY_POLL, microseconds: no device is polled, as on Linux those without NAPI are not.
    pub(super) busy_poll: AtomicU32,
    /// Number of the SO_TIMESTAMP option in force; 0 is none.
    pub(super) timestamp: AtomicU8,
    /// SO_KEEPALIVE of a datagram socket, where it does nothing.
    pub(super) keepalive: AtomicBool,
    /// SO_OOBINLINE of a datagram socket, where it does nothing.
    pub(super) oob_inline: AtomicBool,
    /// SOCKEYE_POLLABLE: whether there is a bell to ask for.
    pub(super) is_pollable: AtomicBool,
    /// What the kernel is shown of the socket.
    pub(super) bell: Mutex<Option<Arc<Bell>>>,
    /// The epoll instances that have it in their interest list.
    pub(super) memberships: Mutex<Vec<Membership>>,
}

static FILES: Shelf<File> = Shelf::new();
/// Numbers of files to use again, and the first that was never used.
static FREE: Mutex<(Vec<u32>, u32)> = Mutex::new((Vec::new(), 0));

/// A file in one life of it.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct FileRef {
    index: u32,
    generation: u32,
}

/// What a file is.
#[derive(Copy, Clone, Debug)]
pub enum Object {
    /// A socket.
    Socket(Handle),
    /// An epoll instance, by its number.
    Epoll(u32),
}

/// A socket as one call sees it: a copy, so that nothing is held while a thread sleeps.
#[derive(Copy, Clone)]
pub struct Handle {
    /// The file.
    pub file: FileRef,
    /// The stack the socket is of.
    pub engine: &'static Engine,
    /// Its number there.
    pub id: SocketId,
    /// What it speaks.
    pub protocol: Protocol,
    /// Its address family.
    pub family: Family,
    /// O_NONBLOCK.
    pub nonblock: bool,
    /// The number of its stack in [`stacks`].
    pub stack: u32,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").field("file", &self.file).field("id", &self.id).finish_non_exhaustive()
    }
}

/// What is to be done when the last descriptor of a file is gone.
#[must_use]
#[derive(Copy, Clone, Debug)]
pub struct Last {
    /// What it was.
    pub object: Object,
    /// SO_LINGER.
    pub linger: Option<Duration>,
}

const fn generation(state: u64) -> u32 {
    (state >> 32) as u32
}

impl FileRef {
    /// As a number that is not 0.
    pub const fn to_bits(self) -> u64 {
        (self.generation as u64) << 32 | (self.index as u64 + 1)
    }

    /// The inverse of [`FileRef::to_bits`]; nothing for 0.
    pub const fn from_bits(bits: u64) -> Option<Self> {
        match bits as u32 {
            0 => None,
            index => Some(Self { index: index - 1, generation: (bits >> 32) as u32 }),
        }
    }

    /// A file that has one descriptor, with the options of a new socket.
    fn create(kind: u32, stack: u32, id: u64, nonblock: bool) -> Self {
        let index = {
            let mut free = FREE.lock();
            free.0.pop().unwrap_or_else(|| {
                free.1 += 1;
                free.1 - 1
            })
        };
        let file = FILES.at(index);
        let generation = generation(file.state.load(Ordering::Acquire));
        fence(Ordering::Release);
        file.id.store(id, Ordering::Relaxed);
        file.kind.store(kind, Ordering::Relaxed);
        file.stack.store(stack, Ordering::Relaxed);
        file.status.store(if nonblock { libc::O_NONBLOCK as u32 } else { 0 }, Ordering::Relaxed);
        file.recv_lowat.store(1, Ordering::Relaxed);
        for field in [&file.recv_timeout, &file.send_timeout, &file.linger] {
            field.store(0, Ordering::Relaxed);
        }
        for field in [&file.priority, &file.mark, &file.busy_poll] {
            field.store(0, Ordering::Relaxed);
        }
        for field in [&file.keepalive, &file.oob_inline, &file.is_pollable] {
            field.store(false, Ordering::Relaxed);
        }
        file.timestamp.store(0, Ordering::Relaxed);
        file.state.store(u64::from(generation) << 32 | 1, Ordering::Release);
        Self { index, generation }
    }

    /// A file for a socket of the stack numbered `stack`.
    pub fn of_socket(stack: u32, id: SocketId, family: Family, protocol: Protocol, nonblock: bool) -> Self {
        let udp = if protocol == Protocol::Udp { UDP } else { 0 };
        let v6 = if family == Family::V6 { V6 } else { 0 };
        Self::create(SOCKET | udp | v6, stack, id.to_bits(), nonblock)
    }

    /// A file for the epoll instance numbered `epoll`.
    pub fn of_epoll(epoll: u32) -> Self {
        Self::create(EPOLL, 0, u64::from(epoll), false)
    }

    /// The fields, of whichever life of the file it is by now.
    pub fn file(self) -> &'static File {
        FILES.at(self.index)
    }

    /// Whether this life of the file has not ended.
    pub fn is_alive(self) -> bool {
        let state = self.file().state.load(Ordering::Acquire);
        generation(state) == self.generation && state as u32 != 0
    }

    /// What the file is; `None` when its life has ended.
    pub fn object(self) -> Option<Object> {
        let file = self.file();
        let kind = file.kind.load(Ordering::Relaxed);
        let id = file.id.load(Ordering::Relaxed);
        let stack = file.stack.load(Ordering::Relaxed);
        let status = file.status.load(Ordering::Relaxed);
        fence(Ordering::Acquire);
        if generation(file.state.load(Ordering::Relaxed)) != self.generation {
            return None;
        }
        if kind & EPOLL != 0 {
            return Some(Object::Epoll(id as u32));
        }
        Some(Object::Socket(Handle {
            file: self,
            engine: stacks::engine(stack)?,
            id: SocketId::from_bits(id),
            protocol: if kind & UDP != 0 { Protocol::Udp } else { Protocol::Tcp },
            family: if kind & V6 != 0 { Family::V6 } else { Family::V4 },
            nonblock: status & libc::O_NONBLOCK as u32 != 0,
            stack,
        }))
    }

    /// One more descriptor. False when the file's life has ended.
    #[must_use]
    pub fn retain(self) -> bool {
        let alive = |state: u64| generation(state) == self.generation && state as u32 != 0;
        self.file()
            .state
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |state| alive(state).then_some(state + 1))
            .is_ok()
    }

    /// One descriptor less; the last one ends the file's life.
    pub fn release(self) -> Option<Last> {
        let file = self.file();
        let last = self.object().map(|object| Last {
            object,
            linger: match file.linger.load(Ordering::Relaxed) {
                linger if linger & LINGER_ON != 0 => Some(Duration::from_secs(linger & !LINGER_ON)),
                _ => None,
            },
        });
        let before = file.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, |state| {
            match (generation(state) == self.generation, state as u32) {
                (false, _) | (_, 0) => None,
                (true, 1) => Some(u64::from(self.generation.wrapping_add(1)) << 32),
                (true, _) => Some(state - 1),
            }
        });
        if before.ok()? as u32 != 1 {
            return None;
        }
        let memberships = std::mem::take(&mut *file.memberships.lock());
        if let Some(bell) = file.bell.lock().take() {
            pollable::end(&bell);
        }
        FREE.lock().0.push(self.index);
        for membership in memberships {
            membership.forget();
        }
        last
    }
}

/// Calls into the stack come through here: a panic there ends as EIO for this call, and ends the connection. The thread
/// never sleeps inside `act`, so that no cancellation passes through.
fn guarded<R>(
    stack: &mut Stack,
    id: SocketId,
    now: Instant,
    act: impl FnOnce(&mut Stack, SocketId, Instant) -> Result<R>,
) -> Result<R> {
    stack.guarded(id, now, |stack| act(stack, id, now)).unwrap_or(Err(Error::Io))
}

/// How long a call may sleep.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Not at all: O_NONBLOCK or MSG_DONTWAIT.
    None,
    /// Until this time (SO_RCVTIMEO, SO_SNDTIMEO).
    Until(Instant),
    /// For ever.
    Endless,
}

impl Handle {
    /// The fields shared by all descriptors of the file.
    pub fn fields(&self) -> &'static File {
        self.file.file()
    }

    /// Whether the socket's stack is there.
    ///
    /// # Errors
    /// `NetDown` once the stack was freed.
    #[inline]
    pub fn live(&self) -> Result<()> {
        if self.engine.is_freed() { Err(Error::NetDown) } else { Ok(()) }
    }

    /// Acts on the stack.
    ///
    /// # Errors
    /// Those of `act`; `Io` when it panics; `NetDown` once the stack was freed.
    pub fn with<R>(&self, act: impl FnOnce(&mut Stack, SocketId, Instant) -> Result<R>) -> Result<R> {
        let act = |stack: &mut Stack, id, now| self.live().and_then(|()| act(stack, id, now));
        let result = self.engine.with(|stack, now| guarded(stack, self.id, now, act));
        pollable::refresh(self);
        result
    }

    /// Tries `act` until it says something else than `WouldBlock`, as long as `patience` lasts.
    /// Whoever calls this holds nothing that has a destructor.
    ///
    /// # Errors
    /// Those of `act`; `WouldBlock` when patience ends; `Interrupted`.
    pub fn transfer<R>(
        &self,
        mask: Ready,
        patience: Patience,
        mut act: impl FnMut(&mut Stack, SocketId, Instant) -> Result<R>,
    ) -> Result<R> {
        let id = self.id;
        let mut act = |stack: &mut Stack, id, now| self.live().and_then(|()| act(stack, id, now));
        let attempt = |stack: &mut Stack, now| guarded(stack, id, now, &mut act);
        let result = match patience {
            Patience::None => self.engine.attempt(attempt),
            Patience::Until(deadline) => self.engine.block_on(id, mask, Some(deadline), attempt),
            Patience::Endless => self.engine.block_on(id, mask, None, attempt),
        };
        pollable::refresh(self);
        result
    }

    fn patience(&self, timeout: &AtomicU64, dontwait: bool) -> Patience {
        match timeout.load(Ordering::Relaxed) {
            _ if dontwait || self.nonblock => Patience::None,
            0 => Patience::Endless,
            nanos => Patience::Until(self.engine.now() + Duration::from_nanos(nanos)),
        }
    }

    /// How long a call may sleep that has transferred something already: as long, but a signal ends it whatever the
    /// handler's SA_RESTART says, for there is something to return.
    pub fn once_begun(patience: Patience) -> Patience {
        if patience == Patience::Endless { Patience::Until(Instant::FAR_FUTURE) } else { patience }
    }

    /// How long a receiving call may sleep.
    pub fn recv_patience(&self, dontwait: bool) -> Patience {
        self.patience(&self.fields().recv_timeout, dontwait)
    }

    /// How long a sending or connecting call may sleep.
    pub fn send_patience(&self, dontwait: bool) -> Patience {
        self.patience(&self.fields().send_timeout, dontwait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_lives_as_long_as_its_descriptors_and_its_number_comes_back_under_a_new_generation() {
        let file = FileRef::of_epoll(77);
        assert!(matches!(file.object(), Some(Object::Epoll(77))));
        assert!(file.retain());
        assert!(file.release().is_none() && file.is_alive());
        assert!(matches!(file.release(), Some(Last { object: Object::Epoll(77), linger: None })));
        assert!(!file.is_alive() && !file.retain() && file.object().is_none());
        assert!(file.release().is_none());
        let next = FileRef::of_epoll(78);
        assert_ne!(file, next);
        assert_eq!(FileRef::from_bits(next.to_bits()), Some(next));
        assert!(next.release().is_some());
    }
}
