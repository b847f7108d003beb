//! The memory of all connections, kept up to date and taken back (see [`crate::tcp::memory`]).

use super::{SocketId, Stack, sockets::Body};
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
    }

    /// Memory is short from here on: those who hold more than their share give back what is out of order. A walk over
    /// all sockets, and a rare one: as many bytes as lie between two thresholds must come before the next.
    #[cold]
    fn on_memory_pressure(&mut self, now: Instant) {
        self.world.mib.tcp_memory_pressures += 1;
        for entry in self.sockets.iter_mut() {
            if let Body::Connection(connection) = &mut entry.body {
                self.memory.inform(connection);
                connection.give_back(&mut self.world.cx(now));
                self.memory.settle(connection);
            }
        }
    }
}
