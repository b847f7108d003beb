//! SO_LINGER with a time: who closes a connection waits until the peer has acknowledged all of it.
//!
//! The program says which connection it means while it has it, closes it, and asks then: only so is it known whether
//! other descriptors of the connection are open. What it sent may not all be with the stack by then, or it may be long
//! acknowledged. So a connection that lingers is kept for its time when its bridge is over, until it is asked for or
//! has nothing left to wait for.

use super::{
    bridge::Bridge,
    end::End,
    slot::{Host, Item},
};
use crate::{
    socket::detached::Detached,
    sys::unix,
    tcp::Shutdown,
    time::{Duration, Instant},
};
use sockeye_shim::format::{Request, Response};
use std::{io, os::fd::AsFd};

/// Who waits for a connection that it has closed, and until when.
pub struct Closer {
    asker: End,
    until: Instant,
}

impl Drop for Closer {
    fn drop(&mut self) {
        // Whatever it waited for is over. It may have gone.
        let _ = unix::send(self.asker.as_fd(), &Response::new(0).to_bytes(), 0);
    }
}

impl Closer {
    /// Whether its time is over.
    pub fn is_late(&self, now: Instant) -> bool {
        self.until <= now
    }
}

/// What a program is about to close: the connection's id, and for how long it will wait.
#[derive(Clone, Copy)]
pub struct Leaving {
    id: u64,
    time: Duration,
}

/// A connection without a program's end, of which something is not acknowledged.
pub struct Lingering {
    socket: Detached,
    until: Instant,
    /// It is answered when this is dropped.
    closer: Option<Closer>,
}

impl Lingering {
    /// The connection.
    pub fn socket(&self) -> &Detached {
        &self.socket
    }

    fn is_done(&self, now: Instant) -> bool {
        let left = self.socket.with(|stack, id, _| stack.unacknowledged(id));
        self.until <= now || !matches!(left, Ok(1..))
    }
}

/// For how long a connection whose program has closed it is to be waited for. Data left unread means a reset, for which
/// nobody waits (Linux tcp_close; RFC 2525 section 2.17).
fn time(socket: &Detached) -> Option<Duration> {
    let time = socket.with(|stack, id, _| match stack.readable(id)? {
        0 => Ok(stack.tcp_settings(id)?.linger),
        _ => Ok(None),
    });
    time.ok().flatten().filter(|time| !time.is_zero())
}

impl Host {
    /// A program is about to close the connection `id`, and says so when it has.
    pub fn on_linger(&mut self, number: u64, asker: End, (request, id): (&Request, u64), is_new: bool) {
        let time = Duration::from_secs(u64::from(request.value.unsigned_abs()));
        if !is_new || self.interest.add(&asker, libc::EPOLLIN | libc::EPOLLRDHUP, number).is_ok() {
            self.hear_closer(number, asker, Leaving { id, time });
        }
    }

    /// Such a program has closed it, or is gone.
    pub fn hear_closer(&mut self, number: u64, asker: End, leaving: Leaving) {
        match unix::recv(asker.as_fd(), &mut [0], 0) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.put(number, Item::Closer(asker, leaving), None);
            }
            Ok(1..) => self.await_acknowledgement(asker, leaving),
            Ok(0) | Err(_) => {}
        }
    }

    /// A program has closed a connection and waits.
    fn await_acknowledgement(&mut self, asker: End, Leaving { id, time }: Leaving) {
        let until = self.engine.now() + time;
        let closer = Closer { asker, until };
        let Some(number) = self.ids.get(&id).copied() else { return };
        match self.slots.get_mut(&number).map(|slot| &mut slot.item) {
            Some(Item::Bridge(bridge)) => {
                // Otherwise somebody else has it open: nothing is over.
                bridge.end_mut().look();
                if !bridge.end().is_closed() {
                    return;
                }
                bridge.closer = Some(closer);
            }
            Some(Item::Lingering(lingering)) => lingering.closer = Some(closer),
            _ => return,
        }
        self.life.retry(number, until);
        self.again.push(number);
    }

    /// A bridge is over: what lingers is kept for its time, anything else closed.
    pub fn part_with(&mut self, number: u64, bridge: Bridge, id: Option<u64>) {
        if let Some(id) = id.filter(|_| bridge.end().is_closed()) {
            self.outcomes.forget(id);
        }
        let Bridge { socket, closer, .. } = bridge;
        if closer.is_some() {
            self.life.forget(number);
        }
        let Some(time) = time(&socket) else { return };
        if socket.with(|stack, id, now| stack.shutdown(id, Shutdown::Write, now)).is_ok() {
            let until = closer.as_ref().map_or(self.engine.now() + time, |closer| closer.until);
            self.life.retry(number, until);
            self.linger(number, Box::new(Lingering { socket, until, closer }), id);
        }
    }

    /// Something happened to a connection that lingers. Where nothing is to be waited for any more it is closed, and
    /// who waits is answered; what is not acknowledged still gets to the peer.
    pub fn linger(&mut self, number: u64, lingering: Box<Lingering>, id: Option<u64>) {
        if lingering.is_done(self.engine.now()) {
            self.life.forget(number);
        } else {
            self.put(number, Item::Lingering(lingering), id);
        }
    }
}
