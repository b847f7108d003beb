//! A panic is a mistake of ours: it ends the one connection that was being worked for, and nothing else. Its peer gets
//! a reset and its program EIO; a datagram or frame that belongs to no connection is dropped.

use super::{
    SocketId, Stack,
    sockets::{Body, Owner},
};
use crate::time::{Duration, Instant};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// How long the timers that belong to no socket rest after a panic in one of them: its time may have come again at
/// once.
const REST: Duration = Duration::from_secs(1);

/// What `act` says, or `None` if it panicked. What it was changing is for the caller to give up.
fn attempt<R>(act: impl FnOnce() -> R) -> Option<R> {
    catch_unwind(AssertUnwindSafe(act)).ok()
}

impl Stack {
    /// Does something for the socket `id`. `None` if it panicked: a connection is then over; other sockets stay, for
    /// what they hold is not in the midst of a change for long, and a listener has many to serve.
    pub fn guarded<R>(&mut self, id: SocketId, now: Instant, act: impl FnOnce(&mut Self) -> R) -> Option<R> {
        let done = attempt(|| act(self));
        if done.is_none() && attempt(|| self.give_up(id, now)).is_none() {
            // Even that is not possible: its tables forget it, and its memory is lost.
            std::mem::forget(self.sockets.remove(id));
        }
        done
    }

    /// Does what is for no socket in particular; a panic ends that alone.
    pub(super) fn guarded_for_nobody(&mut self, act: impl FnOnce(&mut Self)) {
        let _panicked = attempt(|| act(self));
    }

    /// Runs timers that belong to no socket.
    pub(super) fn guarded_service(&mut self, now: Instant, act: impl FnOnce(&mut Self)) {
        if attempt(|| act(self)).is_none() {
            self.services_rest_until = now + REST;
        }
    }

    /// In the place of a connection that cannot go on stands one that has failed, from where all goes its usual way.
    #[cold]
    fn give_up(&mut self, id: SocketId, now: Instant) {
        let Some(entry) = self.sockets.lookup_mut(id) else { return };
        let Body::Connection(connection) = &mut entry.body else { return };
        let is_orphan = entry.owner == Owner::Nobody;
        let failed = connection.failed_successor(is_orphan, &self.secret, now);
        let mut broken = std::mem::replace(&mut **connection, failed);
        // It may have been taken out of its queue before.
        entry.dirty = false;
        self.memory.release(&mut broken);
        let flow = broken.flow();
        let reset = attempt(|| broken.parting_reset(now)).flatten();
        attempt(|| drop(broken));
        if let Some(reset) = reset {
            self.world.mib.tcp_out_rsts += 1;
            self.send_segment(flow, &reset, now);
        }
        self.after(id, now);
    }
}

#[cfg(test)]
#[path = "guard/tests.rs"]
mod tests;
