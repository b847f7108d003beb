//! Data in and out of sockets, and their end: send, recv, shutdown, close.

use super::{
    Received, SendTo, SocketId, Stack,
    sockets::{Body, Entry, Owner},
};
use crate::{
    buf::Rope,
    error::{Error, Result},
    ready::Ready,
    tcp::{RecvFlags, SendFlags, Shutdown, State, reports::Report, run::Run},
    time::Instant,
};
use std::io::{IoSlice, IoSliceMut};

impl Stack {
    /// Queues data (TCP) or sends one datagram (UDP).
    ///
    /// # Errors
    /// As send(2); see [`crate::tcp::Connection::send`].
    pub fn send(
        &mut self,
        id: SocketId,
        data: &[IoSlice<'_>],
        to: &SendTo,
        flags: SendFlags,
        now: Instant,
    ) -> Result<usize> {
        let entry = self.sockets.owned_mut(id)?;
        let sent = match &mut entry.body {
            Body::Datagram(_) => self.send_datagram(id, data, to, flags, now),
            Body::Idle(_) | Body::Listener(_) => Err(Error::BrokenPipe),
            Body::Connection(_) if entry.is_down => Err(entry.error.take().unwrap_or(Error::NetDown)),
            Body::Connection(connection) => {
                self.memory.inform(connection);
                let sent = connection.send(data, flags, &mut self.world.cx(now));
                sent.iter().for_each(|taken| connection.on_written_by(*taken, flags));
                self.after(id, now);
                sent
            }
        };
        self.settle(now);
        sent
    }

    /// Queues a connection's data without copying most of it; what finds no room stays in `data`.
    ///
    /// # Errors
    /// As send(2); `Invalid` if it is no connection.
    pub fn send_rope(&mut self, id: SocketId, data: &mut Rope, now: Instant) -> Result<usize> {
        let entry = self.sockets.owned_mut(id)?;
        let Body::Connection(connection) = &mut entry.body else { return Err(Error::Invalid) };
        if entry.is_down {
            return Err(entry.error.take().unwrap_or(Error::NetDown));
        }
        self.memory.inform(connection);
        let sent = connection.send_rope(data, &mut self.world.cx(now));
        self.after(id, now);
        self.settle(now);
        sent
    }

    /// Takes data (TCP) or one datagram (UDP).
    ///
    /// # Errors
    /// As recv(2); see [`crate::tcp::Connection::recv`].
    pub fn recv(
        &mut self,
        id: SocketId,
        out: &mut [IoSliceMut<'_>],
        flags: RecvFlags,
        now: Instant,
    ) -> Result<Received> {
        let entry = self.sockets.owned_mut(id)?;
        let received = match &mut entry.body {
            Body::Datagram(_) => self.recv_datagram(id, out, flags),
            Body::Idle(_) | Body::Listener(_) => Err(Error::NotConnected),
            Body::Connection(connection) if entry.is_down && connection.readable() == 0 => {
                entry.error = None;
                Err(Error::NetDown)
            }
            Body::Connection(connection) => {
                self.memory.inform(connection);
                let received = connection.recv(out, flags, &mut self.world.cx(now));
                let inq = connection.inq();
                self.after(id, now);
                received.map(|len| Received { len, full_len: len, inq, ..Received::default() })
            }
        };
        self.settle(now);
        received
    }

    /// Takes the oldest report about a connection's data (MSG_ERRQUEUE).
    ///
    /// # Errors
    /// `WouldBlock`: there is none; `BadDescriptor`.
    pub fn take_report(&mut self, id: SocketId) -> Result<Report> {
        match &mut self.sockets.owned_mut(id)?.body {
            Body::Connection(connection) => connection.take_report().ok_or(Error::WouldBlock),
            _ => Err(Error::WouldBlock),
        }
    }

    /// SO_TIMESTAMPING has been set.
    pub fn on_stamping_set(&mut self, id: SocketId) {
        if let Ok(Body::Connection(connection)) = self.sockets.owned_mut(id).map(|entry| &mut entry.body) {
            connection.on_stamping_set();
        }
    }

    /// Whether an error is pending, which the socket's next call tells.
    pub fn has_error(&self, id: SocketId) -> bool {
        match self.sockets.owned(id).map(|entry| (&entry.body, entry.error.is_some())) {
            Ok((Body::Connection(connection), is_own)) => is_own || connection.has_failed(),
            _ => self.ready(id).intersects(Ready::ERR),
        }
    }

    /// What is left to be read, if TCP_INQ asks for it.
    ///
    /// # Errors
    /// `BadDescriptor`.
    pub fn inq(&self, id: SocketId) -> Result<Option<u32>> {
        match &self.sockets.owned(id)?.body {
            Body::Connection(connection) => Ok(connection.inq()),
            _ => Ok(None),
        }
    }

    /// Takes a connection's data in the packets it came in; see [`crate::tcp::Connection::recv_run`].
    ///
    /// # Errors
    /// As recv(2); `Invalid` if it is no connection.
    pub fn recv_run(&mut self, id: SocketId, enough: usize, now: Instant) -> Result<Run> {
        let entry = self.sockets.owned_mut(id)?;
        let Body::Connection(connection) = &mut entry.body else { return Err(Error::Invalid) };
        if entry.is_down && connection.readable() == 0 {
            entry.error = None;
            return Err(Error::NetDown);
        }
        self.memory.inform(connection);
        let received = connection.recv_run(enough, &mut self.world.cx(now));
        self.after(id, now);
        self.settle(now);
        received
    }

    /// shutdown(2).
    ///
    /// # Errors
    /// `NotConnected`.
    pub fn shutdown(&mut self, id: SocketId, how: Shutdown, now: Instant) -> Result<()> {
        let entry = self.sockets.owned_mut(id)?;
        let (read, write) = (how != Shutdown::Write, how != Shutdown::Read);
        let result = match &mut entry.body {
            Body::Idle(_) => Err(Error::NotConnected),
            Body::Listener(_) => {
                // Linux: SHUT_RD ends the listening, SHUT_WR alone does nothing.
                if read {
                    self.stop_listening(id, now);
                    let ready = self.ready(id);
                    self.announce(id, ready | Ready::IN);
                }
                Ok(())
            }
            Body::Connection(connection) => {
                let result = connection.shutdown(how, &mut self.world.cx(now));
                self.after(id, now);
                result
            }
            Body::Datagram(socket) => {
                // Linux: an unconnected socket is shut down and told that it was not connected.
                socket.shutdown(read, write);
                let connected = socket.remote.is_some();
                let events = socket.poll_events();
                self.announce(id, events);
                if connected { Ok(()) } else { Err(Error::NotConnected) }
            }
        };
        self.settle(now);
        result
    }

    /// The application has let go: the id names nothing from here on; a TCP connection finishes without an owner.
    /// SO_LINGER's waiting is the socket layer's (it waits for [`Stack::unacknowledged`] to become 0 first).
    pub fn close(&mut self, id: SocketId, now: Instant) {
        let Ok(entry) = self.sockets.owned_mut(id) else { return };
        match &mut entry.body {
            Body::Idle(_) | Body::Datagram(_) => self.free(id, now),
            Body::Listener(_) => {
                self.stop_listening(id, now);
                self.free(id, now);
            }
            Body::Connection(connection) => {
                let scarce = self.orphans >= self.knobs.max_orphans as usize || self.memory.is_exhausted();
                if scarce || entry.is_down {
                    self.world.mib.tcp_abort_on_memory += u64::from(scarce);
                    connection.abort(&mut self.world.cx(now));
                }
                self.disown(id, now);
            }
        }
        self.settle(now);
    }

    /// Whether something that was sent and closed has not arrived: connections without an owner that have data or a FIN
    /// unacknowledged, and what waits for a neighbour to answer.
    pub fn is_draining(&self) -> bool {
        self.draining > 0 || self.net.has_waiting()
    }

    /// Closes every socket of the application's, which learns so where it waits.
    pub fn close_all(&mut self, now: Instant) {
        let owned = |(id, entry): (SocketId, &Entry)| (entry.owner == Owner::Application).then_some(id);
        let open: Vec<_> = self.sockets.iter().filter_map(owned).collect();
        for id in open {
            self.close(id, now);
            self.announce(id, Ready::IN | Ready::OUT | Ready::ERR | Ready::HUP);
        }
    }

    /// Resets every connection that is not closed cleanly.
    pub fn abort_all(&mut self, now: Instant) {
        let is_open = |body: &Body| {
            matches!(body, Body::Connection(connection)
                if !matches!(connection.state(), State::Closed | State::TimeWait))
        };
        let open: Vec<_> = self.sockets.iter().filter(|(_, entry)| is_open(&entry.body)).map(|(id, _)| id).collect();
        for id in open {
            self.guarded(id, now, |stack| stack.cut(id, now));
        }
        self.settle(now);
    }
}
