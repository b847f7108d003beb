//! The memory of all connections, kept up to date and taken back (see [`crate::tcp::memory`]).

use super::{SocketId, Stack, journal::Kind, sockets::Body};
use crate::time::Instant;

impl Stack {
    /// Bytes of memory that all TCP connections hold for data (the `mem` of Linux's /proc/net/sockstat, in bytes).
    pub const fn tcp_memory(&self) -> usize {
        self.memory.used()
    }

    /// Something happened to a connection: what it holds may have changed.
    pub(super) fn settle_memory(&mut self, id: SocketId, now: Instant) {
        if let Some(entry) = self.sockets.lookup_mut(id)
            && let Body::Connection(connection) = &mut entry.body
            && self.memory.settle(connection)
        {
            self.on_memory_pressure(now);
        }
        self.note_relief(now);
    }

    /// Says that pressure is over, once.
    pub(super) fn note_relief(&mut self, now: Instant) {
        if self.is_short && !self.memory.is_pressed() {
            self.is_short = false;
            let used = self.memory.used();
            self.journal.say(Kind::Memory, now, || format!("memory pressure is over: connections hold {used} bytes"));
        }
    }

    /// Memory is short from here on: those who hold more than their share give back what is out of order. A walk over
    /// all sockets, and a rare one: as many bytes as lie between two thresholds must come before the next.
    #[cold]
    fn on_memory_pressure(&mut self, now: Instant) {
        self.world.mib.tcp_memory_pressures += 1;
        self.is_short = true;
        let used = self.memory.used();
        self.journal.say(Kind::Memory, now, || {
            format!("memory is short: connections hold {used} bytes, and buffers do not grow (mem=)")
        });
        for entry in self.sockets.iter_mut() {
            if let Body::Connection(connection) = &mut entry.body {
                self.memory.inform(connection);
                connection.give_back(&mut self.world.cx(now));
                self.memory.settle(connection);
            }
        }
    }
}
