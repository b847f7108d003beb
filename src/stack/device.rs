//! The device comes and goes; the clock moves.

use super::{
    SocketId, Stack,
    iface::{Adapter, IfaceId, Medium},
    journal::Kind,
    sockets::{Body, Entry, Owner},
};
use crate::{
    error::{Error, Result},
    ready::Ready,
    tcp::State,
    time::Instant,
};
use std::net::IpAddr;

/// Sockets whose timers run in one call at most, and things of each other kind that are over: the rest is due at once,
/// and others may come in between.
const SHARE: usize = 256;

impl Stack {
    /// The device came up: announce the addresses again (RFC 5227), if they are ours.
    pub fn on_link_up(&mut self, now: Instant) {
        self.journal.say(Kind::Link, now, || "the link is up again".to_owned());
        if !self.net.claims.are_tentative() {
            self.announce_addresses(now);
        }
    }

    /// Starts probing for the own IPv4 addresses (RFC 5227 section 2.1.1). Until nobody has answered the last probe no
    /// frame leaves with one of them as its source, and none that comes for them is taken; then they are announced.
    pub fn probe_addresses(&mut self, now: Instant) {
        if self.net.medium() == Some(Medium::Ethernet) {
            self.net.claims.probe(now);
            self.net.pump_neighbours(&mut self.world.cx(now));
        } else {
            self.announce_addresses(now);
        }
    }

    /// Whether the own addresses are being probed for.
    pub fn is_probing(&self) -> bool {
        self.net.claims.is_probing()
    }

    /// Announces the own IPv4 addresses (RFC 5227 section 2.3).
    fn announce_addresses(&mut self, now: Instant) {
        self.net.claims.announce(now);
        if self.net.medium() == Some(Medium::Ethernet) {
            let (addresses, mac) = (self.net.table.addresses(), self.net.mac());
            addresses
                .iter()
                .for_each(|own| self.journal.say(Kind::Address, now, || format!("{own} is claimed as {mac}")));
        }
        self.net.pump_neighbours(&mut self.world.cx(now));
    }

    /// An own address that was probed for in vain, and the MAC of the host that has it; told once. Nothing leaves any
    /// more: whoever asked for the probes makes an end ([`Stack::on_device_gone`]).
    pub fn poll_lost_address(&mut self) -> Option<(IpAddr, [u8; 6])> {
        self.net.claims.poll_lost().map(|(addr, mac)| (IpAddr::V4(addr), mac.0))
    }

    /// The device's interface; `None` without a device, or when it is gone.
    pub fn adapter(&self) -> Option<Adapter> {
        self.net.adapter()
    }

    /// The device is gone: every socket that needs it gets `NetDown`.
    pub fn on_device_gone(&mut self, now: Instant) {
        self.net.on_device_gone();
        let cut: Vec<SocketId> =
            self.sockets.iter().filter(|(_, entry)| needs_device(entry)).map(|(id, _)| id).collect();
        for id in cut {
            let Some(entry) = self.sockets.lookup_mut(id) else { continue };
            entry.is_down = true;
            entry.error = Some(Error::NetDown);
            entry.hop = None;
            if entry.owner == Owner::Application {
                self.announce(id, Ready::IN | Ready::OUT | Ready::ERR | Ready::HUP);
            }
            self.guarded(id, now, |stack| stack.cut(id, now));
        }
        self.settle(now);
    }

    /// Whether a socket that is bound to `addr` could hear of anybody. As those that were bound when the device went
    /// ([`needs_device`]) it would wait for ever.
    ///
    /// # Errors
    /// `NetDown`.
    pub(super) fn may_serve(&self, id: SocketId, addr: IpAddr) -> Result<()> {
        let by = self.sockets.lookup(id).and_then(|entry| entry.settings.iface);
        if self.net.is_gone() && !is_inside(addr, by) { Err(Error::NetDown) } else { Ok(()) }
    }

    /// Resets a connection.
    pub(super) fn cut(&mut self, id: SocketId, now: Instant) {
        if let Some(Entry { body: Body::Connection(connection), .. }) = self.sockets.lookup_mut(id) {
            connection.abort(&mut self.world.cx(now));
        }
        self.after(id, now);
    }

    /// The time of [`Stack::next_deadline`] has come.
    pub fn on_timer(&mut self, now: Instant) {
        for _ in 0..self.timers.len().min(SHARE) {
            let Some(slot) = self.timers.poll_due(now) else { break };
            if let Some(id) = self.sockets.id_at(slot) {
                self.guarded(id, now, |stack| stack.on_connection_timer(id, now));
            }
        }
        self.journal.on_timer(now);
        if self.services_rest_until <= now {
            self.guarded_service(now, |stack| stack.serve(now));
        }
        self.settle(now);
    }

    /// Timers that belong to no socket.
    fn serve(&mut self, now: Instant) {
        self.net.neighbours.on_timer(now);
        if self.net.claims.on_timer(now) {
            self.announce_addresses(now);
        }
        if self.net.path_mtus.on_timer(now) {
            self.net.on_routes_changed();
        }
        self.net.pump_neighbours(&mut self.world.cx(now));
        self.expire_reassemblies(SHARE, now);
        self.expire_time_waits(SHARE, now);
    }

    /// When [`Stack::on_timer`] wants to be called.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        // More than one call's budget goes from ourselves to ourselves, leaves, or has found no neighbour.
        let has_moved = self.net.local.is_empty() && self.dirty_local.is_empty();
        let has_sent = self.net.out.is_empty() && self.dirty.is_empty();
        if !has_moved || !has_sent || self.net.neighbours.has_failed() {
            return Some(Instant::ZERO);
        }
        let services = self.net.poll_deadline().into_iter().chain(self.time_waits.poll_deadline()).min();
        let services = services.map(|at| at.max(self.services_rest_until));
        self.timers.poll_deadline().into_iter().chain(services).chain(self.journal.poll_deadline()).min()
    }
}

/// Whether a socket can do nothing more without the device. One bound to all addresses is of no use either: whoever
/// waits on it waits for the world.
fn needs_device(entry: &Entry) -> bool {
    match &entry.body {
        Body::Connection(connection) => {
            connection.state() != State::Closed && entry.hop.is_none_or(|hop| !hop.link.is_loopback())
        }
        Body::Datagram(socket) if socket.remote.is_some() => entry.hop.is_none_or(|hop| !hop.link.is_loopback()),
        Body::Datagram(_) | Body::Listener(_) => {
            entry.binding.is_some() && !is_inside(entry.local.addr, entry.settings.iface)
        }
        Body::Idle(_) => false,
    }
}

/// Whether what is bound to `addr`, and to an interface, is reached from inside alone.
fn is_inside(addr: IpAddr, iface: Option<IfaceId>) -> bool {
    addr.is_loopback() || iface == Some(IfaceId::LOOPBACK)
}
