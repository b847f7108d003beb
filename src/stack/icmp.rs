//! ICMP under the stack: echo, errors to their sockets, errors of our own.

use super::{
    SocketId, Stack,
    iface::IfaceId,
    journal::Kind,
    settings::{MtuDiscover, SocketSettings, Via},
    sockets::{Body, Entry},
};
use crate::{
    addr::{Endpoint, Flow},
    buf::{Frame, Packet},
    error::Error,
    icmp::errors::{self, Meaning},
    ip::{input::Cast, pmtu},
    ready::Ready,
    tcp::IcmpVerdict,
    time::Instant,
    udp::{
        Meta,
        error_queue::{Origin, Report},
    },
    wire::{
        icmpv4::{MAX_QUOTE, Message, ParseError, Quote, TimeExceeded, Unreachable},
        ipv4, protocol,
        seq::SeqNum,
        tcp::ports,
        udp,
    },
};
use std::net::{IpAddr, Ipv4Addr};

/// The type of service of an error about a datagram with `tos`: a network's own traffic (RFC 1812 section 4.3.2.5), as
/// Linux has it.
const fn error_tos(tos: u8) -> u8 {
    tos & 0x1e | 0xc0
}

impl Stack {
    /// An ICMP message came in, its IP header taken off.
    pub(super) fn on_icmp(&mut self, iface: IfaceId, header: &ipv4::Header, cast: Cast, packet: Packet, now: Instant) {
        self.world.mib.icmp_in_msgs += 1;
        let message = match Message::parse(packet.bytes()) {
            Ok(message) => message,
            Err(error) => {
                self.world.mib.icmp_in_errors += 1;
                self.world.mib.icmp_in_csum_errors += u64::from(error == ParseError::Checksum);
                return;
            }
        };
        // RFC 1122 section 3.2.2.6 lets us be silent to broadcasts: whoever answers those is an amplifier.
        if let Message::Echo { id, seq, data } = message
            && cast == Cast::Unicast
        {
            let reply = Message::EchoReply { id, seq, data };
            self.send_icmp(header.dst, header.src, header.tos, &reply, now);
        }
        let from = Endpoint::new(IpAddr::V4(header.src), 0);
        let meta = Meta { from, to: IpAddr::V4(header.dst), iface, ttl: header.ttl, tos: header.tos, at: now };
        self.on_error_message(&message, meta, now);
    }

    fn send_icmp(&mut self, src: Ipv4Addr, dst: Ipv4Addr, tos: u8, message: &Message<'_>, now: Instant) {
        let Ok(hop) = self.net.hop(IpAddr::V4(dst), Via::default(), now) else { return };
        let mut bytes = vec![0; message.len()];
        message.emit(&mut bytes);
        let mut frame = Frame::new();
        frame.push_bytes(&bytes);
        self.world.mib.icmp_out_msgs += 1;
        let end = |addr| Endpoint::new(IpAddr::V4(addr), 0);
        let flow = Flow { local: end(src), remote: end(dst) };
        let header = ipv4::Header { tos, protocol: protocol::ICMP, ..ipv4::Header::default() };
        let _lost = self.send_ip(frame, flow, header, &hop, MtuDiscover::Dont, now);
    }

    /// Sends an ICMP error about the datagram that starts with `bytes`, within the rate limit.
    pub(super) fn send_error_quoting<'a>(
        &mut self,
        header: &ipv4::Header,
        bytes: &'a [u8],
        now: Instant,
        message: impl FnOnce(&'a [u8]) -> Message<'a>,
    ) {
        let to = IpAddr::V4(header.src);
        // Errors to ourselves cost nobody anything, and connect(2) to a closed port of this host waits for them.
        if self.net.table.own(to).is_none() && !self.net.limiter.admits(to, now) {
            self.world.mib.icmp_out_rate_limited += 1;
            return;
        }
        let message = message(&bytes[..bytes.len().min(MAX_QUOTE)]);
        self.send_icmp(header.dst, header.src, error_tos(header.tos), &message, now);
    }

    /// Reassemblies that have waited too long (RFC 792: told only if the first fragment is here).
    pub(super) fn expire_reassemblies(&mut self, share: usize, now: Instant) {
        for _ in 0..share {
            let Some((_, quote)) = self.net.reassembly.poll_expired(now) else { return };
            self.world.mib.ip_reasm_timeout += 1;
            self.world.mib.ip_reasm_fails += 1;
            let Some(quote) = quote else { continue };
            let Some((header, _)) = ipv4::Header::parse_quoted(&quote) else { continue };
            if self.net.table.own(IpAddr::V4(header.dst)) == Some(Cast::Unicast) {
                let code = TimeExceeded::REASSEMBLY;
                self.send_error_quoting(&header, &quote, now, |quote| Message::TimeExceeded { code, quote });
            }
        }
    }

    /// A frame of ours found no neighbour: its socket hears what a router would have told it.
    pub(super) fn on_neighbour_failed(&mut self, frame: &Frame, now: Instant) {
        self.world.mib.arp_failed += 1;
        let bytes = frame.to_vec();
        let Some((header, _)) = ipv4::Header::parse_quoted(&bytes) else { return };
        let dest = header.dst;
        self.journal.say(Kind::Unreachable, now, || format!("nobody answers on the link for packets to {dest}"));
        let (code, quote) = (Unreachable::HOST, &bytes[..bytes.len().min(MAX_QUOTE)]);
        let (to, iface, tos) = (IpAddr::V4(header.src), IfaceId::DEVICE, error_tos(header.tos));
        let meta = Meta { from: Endpoint::new(to, 0), to, iface, ttl: ipv4::Header::default().ttl, tos, at: now };
        self.on_error_message(&Message::Unreachable { code, mtu: 0, quote }, meta, now);
    }

    /// If `message` is an error about a datagram of ours, its socket is told.
    fn on_error_message(&mut self, message: &Message<'_>, meta: Meta, now: Instant) {
        let (Some(meaning), Some(Quote { header, payload })) = (errors::meaning(message), message.quoted()) else {
            return;
        };
        let Some((src_port, dst_port)) = ports(payload).filter(|_| header.fragment_offset == 0) else { return };
        let flow = Flow {
            local: Endpoint::new(IpAddr::V4(header.src), src_port),
            remote: Endpoint::new(IpAddr::V4(header.dst), dst_port),
        };
        match header.protocol {
            protocol::TCP => {
                let Some(id) = self.demux.connection(&flow) else { return };
                self.guarded(id, now, |stack| stack.on_tcp_error(id, meaning, &header, payload, now));
            }
            protocol::UDP => self.on_udp_error(message, meaning, meta, flow, payload, now),
            _ => {}
        }
    }

    fn on_tcp_error(&mut self, id: SocketId, meaning: Meaning, header: &ipv4::Header, payload: &[u8], now: Instant) {
        let Some(&[a, b, c, d]) = payload.get(4..8).and_then(|seq| seq.first_chunk()) else { return };
        let seq = SeqNum(u32::from_be_bytes([a, b, c, d]));
        let Some(Entry { body: Body::Connection(connection), settings, .. }) = self.sockets.lookup_mut(id) else {
            return;
        };
        let believes = matches!(settings.ip.mtu_discover, MtuDiscover::Want | MtuDiscover::Do | MtuDiscover::Probe);
        let mut cx = self.world.cx(now);
        match meaning {
            // Who sets IP_RECVERR on a stream hears of errors that a connection outlives, too (ip(7)).
            Meaning::Error { error, .. } => {
                if connection.on_icmp(IcmpVerdict::Error(error), seq, &mut cx) && settings.ip.recverr {
                    connection.keep_error(error);
                    self.announce(id, Ready::ERR);
                }
            }
            Meaning::TooBig(field) => {
                let mtu = u32::from(field);
                let verdict = IcmpVerdict::PacketTooBig(if believes { mtu.max(pmtu::MIN_PMTU) } else { u32::MAX });
                // The connection believes only what quotes a segment in flight (RFC 5927 section 7.2); so do others,
                // whose segments may be larger than this one's.
                if connection.on_icmp(verdict, seq, &mut cx) {
                    self.learn_path_mtu(IpAddr::V4(header.dst), mtu, now);
                }
            }
        }
        self.after(id, now);
    }

    fn on_udp_error(
        &mut self,
        message: &Message<'_>,
        meaning: Meaning,
        meta: Meta,
        flow: Flow,
        payload: &[u8],
        now: Instant,
    ) {
        let Some(id) = self.demux.datagram(&flow, meta.iface) else { return };
        let Some(entry) = self.sockets.lookup_mut(id) else { return };
        let Body::Datagram(socket) = &mut entry.body else { return };
        let SocketSettings { ref ip, recv_buffer, .. } = entry.settings;
        let (error, hard) = match meaning {
            Meaning::Error { error, hard } => (Some(error), hard),
            Meaning::TooBig(_) => {
                let told = ip.mtu_discover != MtuDiscover::Dont;
                (told.then_some(Error::MessageTooLong), true)
            }
        };
        // Linux: without IP_RECVERR only connected sockets hear of errors, and only of those that will not pass.
        if let Some(error) = error
            && (ip.recverr || (hard && socket.remote.is_some()))
        {
            if ip.recverr {
                let (kind, code, _) = message.front();
                let info = match *message {
                    Message::Unreachable { mtu, .. } => mtu.into(),
                    Message::ParameterProblem { pointer, .. } => pointer.into(),
                    _ => 0,
                };
                let payload = payload.get(udp::HEADER..).unwrap_or_default().to_vec();
                let origin = Origin::Icmp { kind, code, meta };
                socket.on_report(Report { error, origin, info, dest: flow.remote, payload }, recv_buffer);
            }
            socket.on_error(error);
            let events = socket.poll_events();
            self.announce(id, events);
        }
        if let Meaning::TooBig(field) = meaning {
            self.learn_path_mtu(flow.remote.addr, u32::from(field), now);
        }
    }

    fn learn_path_mtu(&mut self, dest: IpAddr, mtu: u32, now: Instant) {
        if self.net.path_mtus.on_too_big(dest, mtu, now) {
            self.net.on_routes_changed();
        }
    }
}
