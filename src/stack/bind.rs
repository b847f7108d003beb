//! bind(2), and the claims of sockets on their ports.

use super::{
    Protocol, SocketId, SocketSettings, Stack, family,
    ports::Binding,
    sockets::{Body, Entry, Owner, Phase},
};
use crate::{
    addr::{Endpoint, unspecified},
    error::{Error, Result},
    time::Instant,
};

impl Stack {
    /// bind(2).
    ///
    /// # Errors
    /// `AddrInUse`, `AddrNotAvailable`, `Invalid` (bound already, and as [`family::may_bind`] says),
    /// `FamilyNotSupported`; `NetDown`: the device is gone.
    pub fn bind(&mut self, id: SocketId, local: Endpoint, now: Instant) -> Result<()> {
        let entry = self.sockets.owned(id)?;
        if entry.bound.addr.is_ipv4() && local.addr.is_ipv6() {
            return Err(Error::FamilyNotSupported);
        }
        let is_fresh = matches!(entry.body, Body::Idle(_) | Body::Datagram(_));
        if !is_fresh || entry.local.port != 0 || entry.phase != Phase::Unconnected {
            return Err(Error::Invalid);
        }
        let protocol = if matches!(entry.body, Body::Datagram(_)) { Protocol::Udp } else { Protocol::Tcp };
        family::may_bind(local.addr, &entry.settings, protocol)?;
        // Broadcasts and groups too, and streams as well as datagrams (Linux's inet_addr_valid_or_nonlocal).
        if self.net.is_foreign(local.addr) && !entry.settings.ip.freebind {
            return Err(Error::AddrNotAvailable);
        }
        self.may_serve(id, local.addr)?;
        let entry = self.sockets.owned(id)?;
        if local.port == 0 && entry.settings.ip.bind_address_no_port {
            let entry = self.sockets.owned_mut(id)?;
            (entry.local, entry.bound) = (local, local);
            return Ok(());
        }
        self.bind_to(id, local, now)?;
        self.sockets.owned_mut(id)?.bound = local;
        Ok(())
    }

    /// A datagram socket without a port gets one: a send does that first, whatever comes of it (Linux's inet_autobind).
    ///
    /// # Errors
    /// `WouldBlock` when none is free; `BadDescriptor`.
    pub fn bind_implicitly(&mut self, id: SocketId, now: Instant) -> Result<()> {
        let entry = self.sockets.owned(id)?;
        if entry.binding.is_some() || !matches!(entry.body, Body::Datagram(_)) {
            return Ok(());
        }
        self.bind_to(id, entry.bound, now).map_err(|_| Error::WouldBlock)
    }

    /// Claims `local` for a socket without a claim; chooses the port if it is 0.
    pub(super) fn bind_to(&mut self, id: SocketId, local: Endpoint, _now: Instant) -> Result<()> {
        let mut binding = self.claim(id, local, false).ok_or(Error::BadDescriptor)?;
        if local.port == 0 {
            binding.port = self.ports.choose(&binding, &mut *self.world.rng).ok_or(Error::AddrInUse)?;
        } else if !self.ports.admits(&binding) {
            return Err(Error::AddrInUse);
        }
        self.ports.add(binding);
        let local = Endpoint::new(local.addr, binding.port);
        let entry = self.sockets.lookup_mut(id).ok_or(Error::BadDescriptor)?;
        entry.local = local;
        entry.binding = Some(binding);
        self.place_datagrams(id);
        Ok(())
    }

    /// The claim a socket would make on `local`.
    pub(super) fn claim(&self, id: SocketId, local: Endpoint, implicit: bool) -> Option<Binding> {
        let entry = self.sockets.lookup(id)?;
        let protocol = if matches!(entry.body, Body::Datagram(_)) { Protocol::Udp } else { Protocol::Tcp };
        Some(Binding {
            protocol,
            port: local.port,
            addr: local.addr,
            v6only: entry.settings.v6only,
            iface: entry.settings.iface,
            reuse_addr: entry.settings.reuse_addr,
            reuse_port: entry.settings.reuse_port,
            listening: matches!(entry.body, Body::Listener(_)),
            implicit,
        })
    }

    /// Changes a socket's claim.
    ///
    /// # Errors
    /// `AddrInUse`: then it stays as it was.
    pub(super) fn rebind(&mut self, id: SocketId, change: impl FnOnce(&mut Binding)) -> Result<()> {
        let Some(Entry { binding: Some(old), .. }) = self.sockets.lookup(id) else { return Ok(()) };
        let (old, mut new) = (*old, *old);
        change(&mut new);
        self.ports.remove(&old);
        let admitted = self.ports.admits(&new);
        let binding = if admitted { new } else { old };
        self.ports.add(binding);
        if let Some(entry) = self.sockets.lookup_mut(id) {
            entry.binding = Some(binding);
        }
        if admitted { Ok(()) } else { Err(Error::AddrInUse) }
    }

    /// SO_REUSEADDR, SO_REUSEPORT or SO_BINDTODEVICE have changed: that is no request, so nothing can refuse it.
    pub(super) fn on_claim_changed(&mut self, id: SocketId) {
        let Some(entry) = self.sockets.lookup_mut(id) else { return };
        let Some(old) = entry.binding else { return };
        let SocketSettings { reuse_addr, reuse_port, iface, .. } = entry.settings;
        let new = Binding { reuse_addr, reuse_port, iface, ..old };
        if new == old {
            return;
        }
        entry.binding = Some(new);
        if matches!(entry.body, Body::Listener(_)) {
            let local = entry.local;
            self.demux.remove_listener(local.port, id);
            self.place_listener(id);
        }
        self.ports.remove(&old);
        self.ports.add(new);
        self.place_datagrams(id);
    }

    /// Gives a socket's claim up, unless the application made it.
    pub(super) fn release_implicit(&mut self, id: SocketId) {
        let Some(entry) = self.sockets.lookup_mut(id) else { return };
        if entry.bound.port == 0 {
            if let Some(binding) = entry.binding.take() {
                self.ports.remove(&binding);
            }
            entry.local = entry.bound;
        } else {
            entry.local.addr = entry.bound.addr;
        }
    }

    /// Puts a listener into the table of listeners. One of IPv6 alone is in none: there is no IPv6 that could reach it.
    pub(super) fn place_listener(&mut self, id: SocketId) {
        let Some(entry) = self.sockets.lookup(id) else { return };
        let SocketSettings { reuse_port, iface, .. } = entry.settings;
        if !entry.settings.v6only {
            self.demux.add_listener(entry.local, iface, reuse_port, id);
        }
    }

    /// Brings the table of datagram sockets up to date with a socket's ends.
    pub(super) fn place_datagrams(&mut self, id: SocketId) {
        let Some(entry) = self.sockets.lookup(id) else { return };
        let Body::Datagram(socket) = &entry.body else { return };
        self.demux.remove_datagrams(entry.local.port, id);
        if entry.binding.is_some() && !entry.settings.v6only {
            let SocketSettings { reuse_port, iface, .. } = entry.settings;
            self.demux.add_datagrams(entry.local, socket.remote, iface, reuse_port, id);
        }
    }

    /// A socket with a connection that is over, or cut off, can connect or listen again: what is left to be sent is
    /// sent by a socket without an owner.
    pub(super) fn make_idle(&mut self, id: SocketId, now: Instant) {
        let Some(entry) = self.sockets.lookup_mut(id) else { return };
        let Body::Connection(connection) = &entry.body else { return };
        let idle = Body::Idle(Box::new(connection.settings.clone()));
        let flow = connection.flow();
        let Body::Connection(mut connection) = std::mem::replace(&mut entry.body, idle) else { return };
        self.memory.release(&mut connection);
        entry.phase = Phase::Unconnected;
        let (hop, settings) = (entry.hop.take(), entry.settings.clone());
        self.demux.remove_connection(&flow, id);
        self.release_implicit(id);
        if connection.is_finished() {
            return;
        }
        let unbound = Endpoint::new(unspecified(flow.local.addr), 0);
        let rest = Entry { hop, settings, ..Entry::new(Owner::Nobody, unbound, Body::Connection(connection)) };
        if let Ok(rest) = self.sockets.insert(rest) {
            self.orphans += 1;
            self.disown(rest, now);
        }
    }
}
