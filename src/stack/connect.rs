//! connect(2) and its undoing.

use super::{
    Protocol, SocketId, Stack,
    family::{self, Call},
    net::Hop,
    ports::Binding,
    route::Reach,
    sockets::{Body, Entry, Owner, Phase},
};
use crate::{
    addr::{Endpoint, Flow},
    error::{Error, Result},
    tcp::{self, Connection, State},
    time::Instant,
};
use std::net::IpAddr;

impl Stack {
    /// connect(2). TCP: starts the handshake and says `InProgress`; called again says `Already`, `Ok` once when it is
    /// complete, the error once when it failed, then `IsConnected`. UDP: sets the peer.
    ///
    /// # Errors
    /// As connect(2).
    pub fn connect(&mut self, id: SocketId, remote: Endpoint, now: Instant) -> Result<()> {
        let entry = self.sockets.owned_mut(id)?;
        match (&mut entry.body, entry.phase) {
            (Body::Datagram(_), _) => self.connect_datagram(id, remote, now),
            (Body::Listener(_), _) | (_, Phase::Connected) => Err(Error::IsConnected),
            (Body::Connection(connection), Phase::Connecting) => match connection.state() {
                State::SynSent if connection.awaits_data() => Err(Error::IsConnected),
                State::SynSent | State::SynReceived => Err(Error::Already),
                State::Closed => {
                    let error = entry.error.take().or_else(|| connection.take_error());
                    self.make_idle(id, now);
                    Err(error.unwrap_or(Error::ConnectionAborted))
                }
                _ => {
                    entry.phase = Phase::Connected;
                    Ok(())
                }
            },
            (Body::Idle(_) | Body::Connection(_), _) => {
                self.make_idle(id, now);
                let entry = self.sockets.owned(id)?;
                let call = Call::Connect(Protocol::Tcp);
                let remote = family::destination(remote, entry.local.addr, &entry.settings, call)?;
                let result = self.start_connection(id, remote, now);
                self.settle(now);
                result
            }
        }
    }

    fn start_connection(&mut self, id: SocketId, remote: Endpoint, now: Instant) -> Result<()> {
        let entry = self.sockets.owned(id)?;
        let Body::Idle(settings) = &entry.body else { return Err(Error::Invalid) };
        if !self.memory.admits() {
            return Err(Error::NoBuffers);
        }
        let settings = tcp::Settings { knobs: self.knobs.clone(), ..(**settings).clone() };
        let local = entry.local;
        let hop = self.net.hop(remote.addr, entry.settings.via(remote.addr), now)?;
        if matches!(hop.reach, Reach::Broadcast | Reach::Multicast) {
            return Err(Error::NetUnreachable);
        }
        let source = self.source(entry, local.addr, remote.addr, &hop)?;
        let flow = self.choose_flow(id, Endpoint::new(source, local.port), remote, now)?;
        if let Some(waiting) = self.time_waits.remove(&flow) {
            waiting.binding.iter().for_each(|binding| self.ports.remove(binding));
            self.world.mib.tcp_time_wait_recycled += 1;
        }
        let mut cx = self.world.cx(now);
        let connection = Connection::connect(flow, settings, hop.path, &self.secret, &mut cx);
        let ident = cx.rng.u32() as u16;
        let entry = self.sockets.owned_mut(id)?;
        entry.local = flow.local;
        entry.hop = Some(hop);
        entry.ident = ident;
        entry.phase = Phase::Connecting;
        entry.body = Body::Connection(Box::new(connection));
        self.demux.add_connection(flow, id);
        self.open_fast(id, flow.remote.addr, self.fast_call);
        self.after(id, now);
        match &self.sockets.owned(id)?.body {
            Body::Connection(connection) if connection.awaits_data() => Ok(()),
            _ => Err(Error::InProgress),
        }
    }

    /// The flow of a new connection; chooses and claims a port if none is bound.
    fn choose_flow(&mut self, id: SocketId, local: Endpoint, remote: Endpoint, now: Instant) -> Result<Flow> {
        let wanted = self.claim(id, local, true).ok_or(Error::BadDescriptor)?;
        let Self { demux, time_waits, ports, .. } = self;
        let is_free = |flow: &Flow| demux.connection(flow).is_none() && time_waits.admits(flow, now);
        if local.port != 0 {
            let flow = Flow { local, remote };
            return if is_free(&flow) { Ok(flow) } else { Err(Error::AddrNotAvailable) };
        }
        let flow = |port| Flow { local: Endpoint::new(local.addr, port), remote };
        let port = ports
            .choose_for(&(local.addr, remote), |ports, port| {
                ports.is_shareable(wanted.protocol, port) && is_free(&flow(port))
            })
            .ok_or(Error::AddrNotAvailable)?;
        let binding = Binding { port, ..wanted };
        self.ports.add(binding);
        self.sockets.owned_mut(id)?.binding = Some(binding);
        Ok(flow(port))
    }

    /// The source address of what goes to `dest` by `hop`: `bound`, if it can be one; what IP_MULTICAST_IF says; or
    /// what the route prefers.
    ///
    /// # Errors
    /// `Invalid`: loopback addresses do not leave the host (RFC 1122 section 3.2.1.3). `NetUnreachable`: IP_FREEBIND
    /// let it be bound to another host's address, and nothing is sent from there.
    pub(super) fn source(&self, entry: &Entry, bound: IpAddr, dest: IpAddr, hop: &Hop) -> Result<IpAddr> {
        let preferred = || entry.settings.multicast_source(dest).unwrap_or(hop.source);
        let source = if self.net.is_own(bound) { bound } else { preferred() };
        if self.net.is_foreign(bound) {
            return Err(Error::NetUnreachable);
        }
        if source.is_loopback() && !hop.link.is_loopback() { Err(Error::Invalid) } else { Ok(source) }
    }

    fn connect_datagram(&mut self, id: SocketId, remote: Endpoint, now: Instant) -> Result<()> {
        // The port comes first, whatever comes of the rest (Linux's inet_dgram_connect).
        self.bind_implicitly(id, now)?;
        let entry = self.sockets.owned(id)?;
        let call = Call::Connect(Protocol::Udp);
        let remote = family::destination(remote, entry.local.addr, &entry.settings, call)?;
        let hop = self.net.hop(remote.addr, entry.settings.via(remote.addr), now)?;
        if hop.reach == Reach::Broadcast && !entry.settings.broadcast {
            return Err(Error::AccessDenied);
        }
        let source = self.source(entry, entry.bound.addr, remote.addr, &hop)?;
        let entry = self.sockets.owned_mut(id)?;
        entry.local.addr = source;
        entry.hop = Some(hop);
        if let Body::Datagram(socket) = &mut entry.body {
            socket.remote = Some(remote);
        }
        self.place_datagrams(id);
        Ok(())
    }

    /// connect(2) with AF_UNSPEC: a datagram socket has no peer any more, a TCP connection is reset and the socket can
    /// connect again.
    ///
    /// # Errors
    /// `BadDescriptor`.
    pub fn disconnect(&mut self, id: SocketId, now: Instant) -> Result<()> {
        let entry = self.sockets.owned_mut(id)?;
        entry.error = None;
        match &mut entry.body {
            Body::Idle(_) => {}
            Body::Listener(_) => {
                self.stop_listening(id, now);
                self.release_implicit(id);
            }
            Body::Connection(connection) => {
                connection.abort(&mut self.world.cx(now));
                self.make_idle(id, now);
            }
            Body::Datagram(socket) => {
                socket.disconnect();
                entry.hop = None;
                let port = entry.local.port;
                self.release_implicit(id);
                self.demux.remove_datagrams(port, id);
                self.place_datagrams(id);
            }
        }
        self.settle(now);
        Ok(())
    }

    /// A connection has lost its owner: it finishes by itself.
    pub(super) fn disown(&mut self, id: SocketId, now: Instant) {
        let Some(entry) = self.sockets.lookup_mut(id) else { return };
        if entry.owner != Owner::Nobody {
            entry.owner = Owner::Nobody;
            self.orphans += 1;
        }
        if let Body::Connection(connection) = &mut entry.body {
            connection.close(&mut self.world.cx(now));
            // What was reset holds its port no longer, even if the reset is still to be sent.
            if connection.state() == State::Closed
                && let Some(binding) = entry.binding.take()
            {
                self.ports.remove(&binding);
            }
        }
        self.after(id, now);
    }
}
