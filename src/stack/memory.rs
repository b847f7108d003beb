//! The memory of all connections, kept up to date and taken back (see [`crate::tcp::memory`]).

use super::{SocketId, Stack, journal::Kind, sockets::Body};
use crate::{
    shrink,
    tcp::{
        Connection,
        memory::{Account, Limits},
    },
    time::Instant,
};

/// What a connection costs in the stack before it holds data, bytes: itself, and its places among the sockets, the
/// flows, the ports and the deadlines, half of which a table may keep unused (`tests/costs.rs` measures it).
pub const CONNECTION: usize = size_of::<Connection>() + 1280;
/// What a socket without a connection costs, bytes.
pub const SOCKET: usize = 1024;
/// What a connection in TIME-WAIT costs, bytes.
pub const TIME_WAIT: usize = 512;

/// The account of a stack.
pub fn account(limits: Limits) -> Account {
    let mut account = Account::new(limits);
    account.charge_each(CONNECTION);
    account
}

impl Stack {
    /// Every connection costs `bytes` more than the stack knows: whoever moves its data has something of it.
    pub const fn charge_each_connection(&mut self, bytes: usize) {
        self.memory.charge_each(bytes);
    }

    /// Whoever moves the data of connection `id` holds `bytes` of it that the stack does not, in or out.
    pub fn note_outside(&mut self, id: SocketId, bytes: usize, now: Instant) {
        if let Some(Body::Connection(connection)) = self.sockets.lookup_mut(id).map(|entry| &mut entry.body) {
            connection.note_outside(bytes);
            self.settle_memory(id, now);
        }
    }

    /// The most that all connections may hold, bytes.
    pub const fn memory_limit(&self) -> usize {
        self.memory.limits().high
    }

    /// Bytes of memory that all connections hold for data and are made of, and what waits in datagram sockets.
    pub const fn memory_used(&self) -> usize {
        self.memory.total() + self.datagram_memory
    }

    /// What the queues and tables grew by in a rush is given back.
    pub fn shrink(&mut self) {
        shrink::queue(&mut self.net.out);
        shrink::queue(&mut self.net.local);
        shrink::queue(&mut self.dirty);
        shrink::queue(&mut self.dirty_local);
        shrink::queue(&mut self.events);
        self.sockets.shrink();
    }

    /// Whether a socket more leaves room for connections.
    pub(super) fn has_room_for_socket(&self) -> bool {
        self.memory.admits() && self.memory.admits_small(self.sockets.len(), SOCKET)
    }

    /// How many connections may be in TIME-WAIT: as many as the administrator says, if they fit in the memory.
    pub(super) fn time_wait_limit(&self) -> usize {
        (self.knobs.max_tw_buckets as usize).min(self.memory_limit() / 8 / TIME_WAIT)
    }

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
