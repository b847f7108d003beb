//! UDP under the stack.

use super::{
    Received, SendTo, SocketId, Stack,
    family::{self, Call},
    iface::IfaceId,
    net::Hop,
    route::Reach,
    settings::Via,
    sockets::{Body, Entry},
};
use crate::{
    addr::{Endpoint, Flow},
    buf::{Frame, Packet},
    error::{Error, Result},
    ip::input::Cast,
    tcp::{RecvFlags, SendFlags},
    time::Instant,
    udp::{
        self, Target,
        error_queue::{Origin, Report},
    },
    wire::{
        checksum,
        icmpv4::{Message, Unreachable},
        ipv4, protocol, udp as wire_udp,
    },
};
use std::{
    io::{IoSlice, IoSliceMut},
    net::IpAddr,
};

/// The part of what connections may hold that waits in all datagram sockets together at most: a quarter.
const DATAGRAMS: usize = 4;

impl Stack {
    /// A UDP datagram came in; `packet` starts with its IP header of `len` bytes.
    pub(super) fn on_udp(
        &mut self,
        iface: IfaceId,
        header: &ipv4::Header,
        len: usize,
        cast: Cast,
        mut packet: Packet,
        now: Instant,
    ) {
        let (src, dst) = (IpAddr::V4(header.src), IpAddr::V4(header.dst));
        let bytes = &packet.bytes()[len..];
        let Some(udp) = wire_udp::Header::parse(bytes) else {
            self.world.mib.udp_in_errors += 1;
            return;
        };
        if !packet.meta.checksum_ok && !wire_udp::verify(src, dst, &bytes[..usize::from(udp.len)]) {
            self.world.mib.udp_in_csum_errors += 1;
            self.world.mib.udp_in_errors += 1;
            return;
        }
        let flow = Flow { local: Endpoint::new(dst, udp.dst_port), remote: Endpoint::new(src, udp.src_port) };
        let meta = udp::Meta { from: flow.remote, to: dst, iface, ttl: header.ttl, tos: header.tos, at: now };
        let receivers = if cast == Cast::Unicast {
            match self.demux.datagram(&flow, iface) {
                Some(id) => {
                    packet.truncate(len + usize::from(udp.len));
                    packet.advance(len + wire_udp::HEADER);
                    return self.deliver_datagram(id, meta, packet);
                }
                None => Vec::new(),
            }
        } else {
            self.demux.datagram_to_many(&flow, iface)
        };
        if receivers.is_empty() {
            self.world.mib.udp_no_ports += 1;
            let code = Unreachable::PORT;
            self.send_icmp_error(header, cast, &packet, now, |quote| Message::Unreachable { code, mtu: 0, quote });
        }
        let payload = len + wire_udp::HEADER..len + usize::from(udp.len);
        for id in receivers {
            self.deliver_datagram(id, meta, Packet::copy_from(&packet.bytes()[payload.clone()]));
        }
    }

    fn deliver_datagram(&mut self, id: SocketId, meta: udp::Meta, packet: Packet) {
        let Some(entry) = self.sockets.lookup_mut(id) else { return };
        let Body::Datagram(socket) = &mut entry.body else { return };
        // All together hold no more than a part; each gets one datagram in whatever the others hold.
        let is_full = self.datagram_memory >= self.memory.limits().high / DATAGRAMS;
        let (limit, before) = (if is_full { 0 } else { entry.settings.recv_buffer }, socket.footprint());
        let is_taken = socket.on_datagram(meta, packet, limit);
        self.datagram_memory += socket.footprint() - before;
        if is_taken {
            self.world.mib.udp_in_datagrams += 1;
        } else {
            self.world.mib.udp_rcvbuf_errors += 1;
            self.world.mib.udp_in_errors += 1;
        }
        let events = socket.poll_events();
        self.announce(id, events);
    }

    /// Sends one datagram, or a part of one.
    pub(super) fn send_datagram(
        &mut self,
        id: SocketId,
        data: &[IoSlice<'_>],
        to: &SendTo,
        flags: SendFlags,
        now: Instant,
    ) -> Result<usize> {
        let sent = self.take_datagram(id, data, to, flags, now);
        if sent == Err(Error::MessageTooLong) {
            self.report_too_long(id, data.iter().map(|part| part.len()).sum(), to, now);
        }
        sent
    }

    /// A datagram is too large, which the error queue says with the MTU, if it is wanted. As on Linux nothing is
    /// pending, the port is that of the peer, if there is one, and what no datagram could hold is not worth a report.
    fn report_too_long(&mut self, id: SocketId, len: usize, to: &SendTo, now: Instant) {
        let Ok(Entry { body: Body::Datagram(socket), settings, local, .. }) = self.sockets.owned(id) else { return };
        let (peer, discover, limit) = (socket.remote, settings.ip.mtu_discover, settings.recv_buffer);
        let Some(dest) = to.dest.or(peer).filter(|_| settings.ip.recverr && len <= usize::from(u16::MAX)) else {
            return;
        };
        let Ok(dest) = family::destination(dest, local.addr, settings, Call::Send) else { return };
        let Ok(hop) = self.datagram_hop(id, dest, to.iface, now) else { return };
        let (error, origin, info) = (Error::MessageTooLong, Origin::Local, discover.limit(&hop.path));
        let dest = Endpoint { port: peer.map_or(0, |peer| peer.port), ..dest };
        let Ok(Entry { body: Body::Datagram(socket), .. }) = self.sockets.owned_mut(id) else { return };
        socket.on_report(Report { error, origin, info, dest, payload: Vec::new() }, limit);
        let events = socket.poll_events();
        self.announce(id, events);
    }

    /// Takes the oldest entry of a datagram socket's error queue (MSG_ERRQUEUE).
    ///
    /// # Errors
    /// `WouldBlock`: there is none; `BadDescriptor`.
    pub fn take_error_report(&mut self, id: SocketId) -> Result<Report> {
        let Body::Datagram(socket) = &mut self.sockets.owned_mut(id)?.body else { return Err(Error::WouldBlock) };
        let report = socket.take_report().ok_or(Error::WouldBlock)?;
        let events = socket.poll_events();
        self.announce(id, events);
        Ok(report)
    }

    /// IP_RECVERR. Switched off, the error queue is emptied.
    ///
    /// # Errors
    /// `BadDescriptor`.
    pub fn set_recverr(&mut self, id: SocketId, on: bool) -> Result<()> {
        let entry = self.sockets.owned_mut(id)?;
        entry.settings.ip.recverr = on;
        if let Body::Datagram(socket) = &mut entry.body
            && !on
        {
            socket.forget_reports();
        }
        Ok(())
    }

    fn take_datagram(
        &mut self,
        id: SocketId,
        data: &[IoSlice<'_>],
        to: &SendTo,
        flags: SendFlags,
        now: Instant,
    ) -> Result<usize> {
        let entry = self.sockets.owned_mut(id)?;
        let Body::Datagram(socket) = &mut entry.body else { return Err(Error::NotSupported) };
        if flags.oob {
            return Err(Error::NotSupported);
        }
        socket.may_send()?;
        if entry.is_down {
            return Err(Error::NetDown);
        }
        let len: usize = data.iter().map(|part| part.len()).sum();
        if len > udp::MAX_PAYLOAD {
            return Err(Error::MessageTooLong);
        }
        let SendTo { dest, source, iface, ttl, tos } = *to;
        let dest = dest.or(socket.remote).ok_or(Error::DestinationRequired)?;
        let dest = family::destination(dest, entry.local.addr, &entry.settings, Call::Send)?;
        let target = Target { dest: Some(dest), source, iface, ttl, tos };
        if flags.more || socket.is_corked() {
            if let Some(whole) = socket.cork(data, target, flags.more)? {
                self.transmit_datagram(id, &[IoSlice::new(&whole.bytes)], whole.to, now)?;
            }
        } else {
            self.transmit_datagram(id, data, target, now)?;
        }
        Ok(len)
    }

    fn transmit_datagram(&mut self, id: SocketId, data: &[IoSlice<'_>], to: Target, now: Instant) -> Result<()> {
        let remote = to.dest.ok_or(Error::DestinationRequired)?;
        let mut hop = self.datagram_hop(id, remote, to.iface, now)?;
        let entry = self.sockets.owned(id)?;
        if hop.reach == Reach::Broadcast && !entry.settings.broadcast {
            return Err(Error::AccessDenied);
        }
        let source = self.datagram_source(entry, to.source, remote.addr, &hop)?;
        self.bind_implicitly(id, now)?;
        let entry = self.sockets.owned(id)?;
        let flow = Flow { local: Endpoint::new(source, entry.local.port), remote };
        let ip = &entry.settings.ip;
        let ttl = if hop.reach == Reach::Multicast { ip.multicast_ttl } else { ip.ttl };
        hop.echo &= ip.multicast_loop || hop.reach != Reach::Multicast;
        let header = ipv4::Header {
            tos: to.tos.unwrap_or(ip.tos),
            ttl: to.ttl.unwrap_or(ttl),
            protocol: protocol::UDP,
            ..ipv4::Header::default()
        };
        let discover = ip.mtu_discover;
        self.send_ip(datagram_frame(&flow, data), flow, header, &hop, discover, now)?;
        self.world.mib.udp_out_datagrams += 1;
        Ok(())
    }

    /// A datagram that was received here found no room further on.
    pub fn count_overflow(&mut self) {
        self.world.mib.udp_rcvbuf_errors += 1;
        self.world.mib.udp_in_errors += 1;
    }

    /// Whether a datagram may be sent to `remote`; none is.
    ///
    /// # Errors
    /// `AccessDenied`: a broadcast that SO_BROADCAST does not allow. `NetUnreachable`, `NetDown`, `AddrNotAvailable`;
    /// `Invalid`: not from the address that the socket is bound to, or to port 0.
    pub fn way(&mut self, id: SocketId, remote: Endpoint, now: Instant) -> Result<()> {
        let entry = self.sockets.owned(id)?;
        let remote = family::destination(remote, entry.local.addr, &entry.settings, Call::Send)?.addr;
        let via = entry.settings.via(remote);
        let hop = self.net.hop(remote, via, now)?;
        let entry = self.sockets.owned(id)?;
        if hop.reach == Reach::Broadcast && !entry.settings.broadcast {
            return Err(Error::AccessDenied);
        }
        self.source(entry, entry.local.addr, remote, &hop).map(drop)
    }

    /// The way to `remote`, by `iface` if one is asked for: the cached one for the connected peer.
    fn datagram_hop(&mut self, id: SocketId, remote: Endpoint, iface: Option<IfaceId>, now: Instant) -> Result<Hop> {
        let epoch = self.net.epoch();
        let entry = self.sockets.owned_mut(id)?;
        let Body::Datagram(socket) = &entry.body else { return Err(Error::NotSupported) };
        // MSG_DONTROUTE and IP_PKTINFO are for one datagram: its way is nobody else's.
        let is_peer = socket.remote == Some(remote) && iface.is_none() && !entry.settings.dont_route;
        if let Some(hop) = entry.hop.filter(|hop| is_peer && hop.epoch == epoch) {
            return Ok(hop);
        }
        let via = entry.settings.via(remote.addr);
        let hop = self.net.hop(remote.addr, Via { iface: iface.or(via.iface), ..via }, now)?;
        if is_peer {
            entry.hop = Some(hop);
        }
        Ok(hop)
    }

    /// The source address: what the call asks for, or what [`Stack::source`] says. Errors as Linux's
    /// ip_route_output_key_hash_rcu: what can be nobody's source is invalid, what is not ours leads nowhere.
    fn datagram_source(&self, entry: &Entry, asked: Option<IpAddr>, dest: IpAddr, hop: &Hop) -> Result<IpAddr> {
        match asked.filter(|addr| !addr.is_unspecified()) {
            Some(addr) if !self.net.is_own(addr) => Err(match addr {
                IpAddr::V4(v4) if v4.is_multicast() || v4.is_broadcast() || v4.octets()[0] == 0 => Error::Invalid,
                _ => Error::NetUnreachable,
            }),
            Some(addr) => self.source(entry, addr, dest, hop),
            None => self.source(entry, entry.local.addr, dest, hop),
        }
    }

    /// Takes one datagram.
    pub(super) fn recv_datagram(
        &mut self,
        id: SocketId,
        out: &mut [IoSliceMut<'_>],
        flags: RecvFlags,
    ) -> Result<Received> {
        let entry = self.sockets.owned_mut(id)?;
        let Body::Datagram(socket) = &mut entry.body else { return Err(Error::NotSupported) };
        if flags.oob {
            return Err(Error::NotSupported);
        }
        let is_down = entry.is_down;
        let down = |error| if error == Error::WouldBlock && is_down { Error::NetDown } else { error };
        let before = socket.footprint();
        let received = socket.recv(out, flags.peek);
        self.datagram_memory -= before - socket.footprint();
        let Some((len, full_len, meta)) = received.map_err(down)? else {
            return Ok(Received::default());
        };
        let udp::Meta { from, to, iface, ttl, tos, at } = meta;
        Ok(Received { len, full_len, from: Some(from), to: Some(to), iface: Some(iface), ttl, tos, at, inq: None })
    }
}

/// UDP header and payload, with a partial checksum.
fn datagram_frame(flow: &Flow, data: &[IoSlice<'_>]) -> Frame {
    let payload: usize = data.iter().map(|part| part.len()).sum();
    let len = (wire_udp::HEADER + payload).min(65_535) as u16;
    let sum = checksum::pseudo_header(flow.local.addr, flow.remote.addr, protocol::UDP, usize::from(len));
    let (src_port, dst_port) = (flow.local.port, flow.remote.port);
    let mut frame = Frame::new();
    let header = wire_udp::Header { src_port, dst_port, len, checksum: checksum::fold(sum) };
    header.emit(frame.append(wire_udp::HEADER));
    frame.set_partial_checksum(wire_udp::CHECKSUM_FIELD);
    match data {
        [one] => frame.push_bytes(one),
        parts => {
            let mut bytes = Vec::with_capacity(payload);
            parts.iter().for_each(|part| bytes.extend_from_slice(part));
            frame.push_bytes(&bytes);
        }
    }
    frame
}
