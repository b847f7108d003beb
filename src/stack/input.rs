//! Frames and datagrams on their way in.

use super::{
    Stack,
    iface::{IfaceId, Medium},
    journal::Kind,
};
use crate::{
    buf::Packet,
    icmp::answer,
    ip::{
        input::{self, Cast},
        reassembly::{self, Datagram},
    },
    neigh::arp,
    tcp::ecn::codepoint,
    time::Instant,
    wire::{
        arp::Packet as ArpPacket,
        ethernet::{self, EtherType},
        icmpv4::{Message, Unreachable},
        ipv4, protocol,
    },
};
use std::net::IpAddr;

impl Stack {
    /// A frame came in. `packet` starts with what the device's frames start with.
    pub fn receive(&mut self, iface: IfaceId, packet: Packet, now: Instant) {
        self.guarded_for_nobody(|stack| match stack.net.medium() {
            Some(Medium::Ethernet) if iface != IfaceId::LOOPBACK => stack.on_ethernet(packet, now),
            _ => stack.on_ip(iface, false, packet, now),
        });
        self.settle(now);
    }

    fn on_ethernet(&mut self, mut packet: Packet, now: Instant) {
        let Some(header) = ethernet::Header::parse(packet.bytes()) else {
            self.world.mib.dev_rx_dropped += 1;
            return;
        };
        let to_many = header.dst.is_multicast();
        if !to_many && header.dst != self.net.mac() {
            self.world.mib.dev_rx_dropped += 1;
            return;
        }
        packet.advance(ethernet::HEADER);
        packet.meta.link_broadcast = to_many;
        match header.ether_type {
            EtherType::IPV4 => self.on_ip(IfaceId::DEVICE, false, packet, now),
            EtherType::ARP => self.on_arp(packet.bytes(), now),
            _ => self.world.mib.dev_rx_dropped += 1,
        }
    }

    fn on_arp(&mut self, bytes: &[u8], now: Instant) {
        self.world.mib.arp_in += 1;
        let Some(packet) = ArpPacket::parse(bytes) else {
            self.world.mib.dev_rx_dropped += 1;
            return;
        };
        let arp::Verdict { learn, reply, conflict } =
            arp::judge(&packet, self.net.mac(), |addr| self.net.standing(addr));
        let mut cx = self.world.cx(now);
        if let Some(addr) = conflict {
            if !self.net.claims.is_tentative(addr) {
                let other = packet.sender_mac;
                self.journal.say(Kind::Conflict, now, || {
                    format!("{addr} is used by {other} too; give one of the two another address (ip=)")
                });
            }
            self.net.claims.on_conflict(addr, packet.sender_mac, now);
        }
        if let Some(how) = learn {
            let (sender, mac) = (IpAddr::V4(packet.sender_ip), packet.sender_mac);
            if self.net.neighbours.on_heard(sender, mac, how, cx.rng, now) && self.net.table.is_gateway(sender) {
                self.journal.say(Kind::Gateway, now, || format!("the gateway {sender} is at {mac}"));
            }
        }
        if reply {
            let answer = arp::reply(self.net.mac(), &packet);
            self.net.send_arp(&answer, packet.sender_mac, &mut cx);
        }
        self.net.pump_neighbours(&mut cx);
    }

    /// A datagram came in by `iface`, from the device or (`looped`) from ourselves.
    pub(super) fn on_ip(&mut self, iface: IfaceId, looped: bool, mut packet: Packet, now: Instant) {
        self.world.mib.ip_in_receives += 1;
        let (header, len) = match ipv4::Header::parse(packet.bytes()) {
            Ok(parsed) => parsed,
            Err(error) => return self.on_bad_header(error, packet, now),
        };
        packet.truncate(usize::from(header.total_len));
        self.count_ecn(header.tos);
        let link_broadcast = packet.meta.link_broadcast;
        if !looped && self.net.claims.is_tentative(header.dst) {
            self.world.mib.ip_in_addr_errors += 1;
            return;
        }
        let own = |addr| self.net.table.own(addr);
        let cast = match input::judge(header.src, header.dst, looped, link_broadcast, own) {
            input::Verdict::Deliver(cast) => cast,
            input::Verdict::NotOurs | input::Verdict::Martian => {
                self.world.mib.ip_in_addr_errors += 1;
                return;
            }
        };
        if header.is_fragment() {
            return self.on_fragment(iface, header, len, cast, packet, now);
        }
        self.deliver(iface, &header, len, cast, packet, now);
    }

    /// Counts a datagram by its ECN field (RFC 3168 section 5).
    fn count_ecn(&mut self, tos: u8) {
        let mib = &mut self.world.mib;
        let counter = match tos & codepoint::MASK {
            codepoint::ECT_0 => &mut mib.ip_in_ect0_pkts,
            codepoint::ECT_1 => &mut mib.ip_in_ect1_pkts,
            codepoint::CE => &mut mib.ip_in_ce_pkts,
            _ => &mut mib.ip_in_no_ect_pkts,
        };
        *counter += 1;
    }

    /// RFC 1122 section 3.2.1.8: a bad option is told to the sender, everything else is dropped without a word.
    fn on_bad_header(&mut self, error: ipv4::ParseError, packet: Packet, now: Instant) {
        self.world.mib.ip_in_hdr_errors += 1;
        let ipv4::ParseError::Option(pointer) = error else { return };
        let Some((header, _)) = ipv4::Header::parse_quoted(packet.bytes()) else { return };
        let cast = match self.net.table.own(IpAddr::V4(header.dst)) {
            Some(cast) => cast,
            None => return,
        };
        self.send_icmp_error(&header, cast, &packet, now, |quote| Message::ParameterProblem {
            code: 0,
            pointer,
            quote,
        });
    }

    fn on_fragment(
        &mut self,
        iface: IfaceId,
        header: ipv4::Header,
        len: usize,
        cast: Cast,
        packet: Packet,
        now: Instant,
    ) {
        self.world.mib.ip_reasm_reqds += 1;
        let datagram = Datagram {
            src: IpAddr::V4(header.src),
            dst: IpAddr::V4(header.dst),
            protocol: header.protocol,
            id: u32::from(header.id),
        };
        let offset = usize::from(header.fragment_offset);
        match self.net.reassembly.on_fragment(datagram, offset, header.more_fragments, packet, len, now) {
            reassembly::Verdict::Waiting => {}
            reassembly::Verdict::Dropped => self.world.mib.ip_reasm_fails += 1,
            reassembly::Verdict::Complete(packet) => {
                self.world.mib.ip_reasm_oks += 1;
                let Some((first, len)) = ipv4::Header::parse_quoted(packet.bytes()) else { return };
                let header = ipv4::Header { more_fragments: false, fragment_offset: 0, ..first };
                self.deliver(iface, &header, len, cast, packet, now);
            }
        }
    }

    /// A whole datagram for us; `packet` starts with its IP header of `len` bytes.
    fn deliver(
        &mut self,
        iface: IfaceId,
        header: &ipv4::Header,
        len: usize,
        cast: Cast,
        mut packet: Packet,
        now: Instant,
    ) {
        self.world.mib.ip_in_delivers += 1;
        match header.protocol {
            protocol::TCP if cast == Cast::Unicast => {
                packet.advance(len);
                self.on_tcp(iface, header, packet, now);
            }
            protocol::TCP | protocol::IGMP => {}
            protocol::UDP => self.on_udp(iface, header, len, cast, packet, now),
            protocol::ICMP => {
                packet.advance(len);
                self.on_icmp(iface, header, cast, packet, now);
            }
            _ => {
                self.world.mib.ip_in_unknown_protos += 1;
                let code = Unreachable::PROTOCOL;
                self.send_icmp_error(header, cast, &packet, now, |quote| Message::Unreachable { code, mtu: 0, quote });
            }
        }
    }

    /// Sends an ICMP error about `packet`, which starts with its IP header, if one may be sent.
    pub(super) fn send_icmp_error<'a>(
        &mut self,
        header: &ipv4::Header,
        cast: Cast,
        packet: &'a Packet,
        now: Instant,
        message: impl FnOnce(&'a [u8]) -> Message<'a>,
    ) {
        let bytes = packet.bytes();
        let payload = &bytes[bytes.len().min(usize::from(bytes[0] & 0x0f) * 4)..];
        if answer::may_send_error(header, cast, packet.meta.link_broadcast, payload) {
            self.send_error_quoting(header, bytes, now, message);
        }
    }
}
