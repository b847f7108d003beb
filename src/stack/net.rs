//! Everything below the sockets: the link, the routes, the neighbours, and what is on its way out.

use super::{
    config::Config,
    iface::{Adapter, Capabilities, IfaceId, Medium},
    route::{Reach, Table},
    settings::Via,
};
use crate::{
    buf::{Frame, Packet},
    cx::Cx,
    error::{Error, Result},
    icmp::limit::Limiter,
    ip::{ident::Idents, input::Cast, pmtu::PathMtus, reassembly::Reassembly},
    neigh::{
        acd::Claims,
        arp,
        nud::{NeighbourId, Neighbours, Solicit},
    },
    rng::{Key, Rng},
    tcp::Path,
    time::Instant,
    wire::{
        arp::{self as wire_arp, Packet as ArpPacket},
        ethernet::{self, EtherType, MacAddr},
        ipv4,
    },
};
use std::{
    collections::VecDeque,
    net::{IpAddr, Ipv4Addr},
};

/// The largest datagram inside the stack, bytes.
const LOOPBACK_MTU: u32 = 65_535;
/// Frames that wait for [`super::Stack::poll_transmit`] at most, beside what connections still hold.
const MAX_OUT: usize = 4096;
/// Datagrams from ourselves to ourselves that wait at most.
const MAX_LOCAL: usize = 4096;

/// How a frame gets to the next hop.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// It never leaves the stack, and seems to come in by this interface.
    Loopback(IfaceId),
    /// It needs no address.
    Direct,
    /// To a station, or all of them.
    Station(MacAddr),
    /// To a neighbour, as soon as its address is known.
    Neighbour(NeighbourId),
}

impl Link {
    /// Whether frames stay inside the stack.
    pub const fn is_loopback(self) -> bool {
        matches!(self, Self::Loopback(_))
    }
}

/// The way to a destination.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// It is good while [`Net::epoch`] is this.
    pub epoch: u32,
    /// How frames get there.
    pub link: Link,
    /// Source address to prefer.
    pub source: IpAddr,
    /// What kind of destination it is.
    pub reach: Reach,
    /// The path MTU, and what the device takes.
    pub path: Path,
    /// DF must not be set: the path claims an MTU that is too small to be true.
    pub no_df: bool,
    /// A copy comes back to ourselves: we are among those it is for.
    pub echo: bool,
}

/// The network side of a stack.
pub struct Net {
    pub table: Table,
    pub neighbours: Neighbours,
    pub claims: Claims,
    pub path_mtus: PathMtus,
    pub idents: Idents,
    pub reassembly: Reassembly,
    pub limiter: Limiter,
    /// Datagrams from ourselves to ourselves, and the interface they seem to come in by.
    pub local: VecDeque<(IfaceId, Packet)>,
    /// Frames ready for the device.
    pub out: VecDeque<Frame>,
    /// Copies of what passed over the loopback, where a capture wants them.
    pub overheard: Option<VecDeque<Frame>>,
    mac: MacAddr,
    device: Option<Capabilities>,
    is_gone: bool,
    routes_epoch: u32,
}

impl Net {
    /// The network of a configuration.
    pub fn new(config: &Config, device: Option<Capabilities>, rng: &mut dyn Rng) -> Self {
        let device = device.map(|caps| {
            let mtu = config.mtu.unwrap_or(caps.mtu).clamp(68, 65_535);
            let max_frame = if caps.max_frame > caps.mtu { caps.max_frame.min(65_535) } else { mtu };
            Capabilities { mtu, max_frame, ..caps }
        });
        let mac = config.mac.map_or_else(|| random_mac(rng), MacAddr);
        let table = Table::new(config, device.is_some());
        let own = config.addresses.iter().filter_map(|own| v4(own.addr));
        Self {
            claims: Claims::new(mac, own),
            neighbours: Neighbours::new(Key::random(rng)),
            path_mtus: PathMtus::new(Key::random(rng)),
            idents: Idents::new(rng),
            reassembly: Reassembly::new(Key::random(rng)),
            limiter: Limiter::new(Key::random(rng)),
            local: VecDeque::new(),
            out: VecDeque::new(),
            overheard: config.pcap.is_some().then(VecDeque::new),
            table,
            mac,
            device,
            is_gone: false,
            routes_epoch: 0,
        }
    }

    /// Changes whenever a [`Hop`] may have become wrong.
    pub fn epoch(&self) -> u32 {
        self.routes_epoch.wrapping_add(self.neighbours.epoch())
    }

    /// Routes or path MTUs have changed.
    pub fn on_routes_changed(&mut self) {
        self.routes_epoch = self.routes_epoch.wrapping_add(1);
    }

    /// The device is gone.
    pub fn on_device_gone(&mut self) {
        self.is_gone = true;
        self.out.clear();
        self.on_routes_changed();
    }

    /// Whether the device is gone, and nothing comes or goes any more but what stays inside.
    pub fn is_gone(&self) -> bool {
        self.is_gone
    }

    /// What the device's frames start with; `None` without a device.
    pub fn medium(&self) -> Option<Medium> {
        self.device.map(|device| device.medium)
    }

    /// The device's interface; `None` without a device, or when it is gone.
    pub fn adapter(&self) -> Option<Adapter> {
        let device = self.device.filter(|_| !self.is_gone)?;
        Some(Adapter { medium: device.medium, mtu: device.mtu, mac: self.mac.0 })
    }

    /// Our link-layer address.
    pub fn mac(&self) -> MacAddr {
        self.mac
    }

    /// The way to `dest`.
    ///
    /// # Errors
    /// `NetUnreachable`, `NetDown`.
    pub fn hop(&mut self, dest: IpAddr, Via { on_link, iface }: Via, now: Instant) -> Result<Hop> {
        let route = self.table.lookup_by(dest, iface).ok_or(Error::NetUnreachable)?;
        if route.iface == IfaceId::LOOPBACK {
            return Ok(Hop {
                epoch: self.epoch(),
                // As Linux's inet_iif: the interface that was asked for, or else the one that has the address.
                link: Link::Loopback(iface.unwrap_or_else(|| self.home(dest))),
                source: route.source,
                reach: route.reach,
                path: Path { mtu: LOOPBACK_MTU, link_mtu: LOOPBACK_MTU, max_frame: LOOPBACK_MTU },
                no_df: false,
                echo: false,
            });
        }
        let device = self.device.filter(|_| !self.is_gone).ok_or(Error::NetDown)?;
        if on_link && matches!(route.reach, Reach::Gateway(_)) {
            return Err(Error::NetUnreachable);
        }
        let link = match (device.medium, route.reach) {
            (Medium::Ip, _) => Link::Direct,
            (Medium::Ethernet, Reach::Broadcast) => Link::Station(MacAddr::BROADCAST),
            (Medium::Ethernet, Reach::Multicast) => Link::Station(multicast_mac(dest)),
            (Medium::Ethernet, Reach::Gateway(via)) => Link::Neighbour(self.neighbours.entry(via, now)),
            (Medium::Ethernet, Reach::OnLink | Reach::Local) => Link::Neighbour(self.neighbours.entry(dest, now)),
        };
        let known = self.path_mtus.lookup(dest);
        let mtu = known.map_or(device.mtu, |known| known.mtu.min(device.mtu));
        let max_frame = if device.max_frame > device.mtu { device.max_frame } else { mtu };
        Ok(Hop {
            epoch: self.epoch(),
            link,
            source: route.source,
            reach: route.reach,
            path: Path { mtu, link_mtu: device.mtu, max_frame },
            no_df: known.is_some_and(|known| known.locked),
            echo: matches!(self.table.own(dest), Some(Cast::Broadcast | Cast::Multicast)),
        })
    }

    /// The interface that has an address of ours.
    fn home(&self, addr: IpAddr) -> IfaceId {
        let is_devices = self.device.is_some() && self.table.addresses().iter().any(|own| own.addr == addr);
        if is_devices { IfaceId::DEVICE } else { IfaceId::LOOPBACK }
    }

    /// Sends a datagram on its way: gives the frame for the device, unless it stays in the stack or has to wait.
    #[must_use]
    pub fn forward(&mut self, frame: Frame, link: Link, cx: &mut Cx<'_>) -> Option<Frame> {
        match link {
            Link::Loopback(iface) => {
                if let Some(overheard) = &mut self.overheard {
                    overheard.push_back(frame.clone());
                }
                self.deliver_locally(&frame, iface, cx);
                None
            }
            Link::Direct => Some(frame),
            Link::Station(to) => self.dispatch(frame, to, cx),
            Link::Neighbour(id) => match self.neighbours.resolve(id, cx.now) {
                Some(to) => self.dispatch(frame, to, cx),
                None => {
                    let dropped = self.neighbours.enqueue(id, frame) as u64;
                    cx.mib.ip_out_discards += dropped;
                    cx.mib.arp_unresolved_discards += dropped;
                    self.pump_neighbours(cx);
                    None
                }
            },
        }
    }

    /// Addresses a datagram to a station, and gives it unless it has to wait until our addresses are ours.
    fn dispatch(&mut self, mut frame: Frame, to: MacAddr, cx: &mut Cx<'_>) -> Option<Frame> {
        self.address(&mut frame, to, EtherType::IPV4);
        if !self.claims.are_tentative() {
            return Some(frame);
        }
        cx.mib.ip_out_discards += u64::from(!self.claims.hold(frame));
        None
    }

    /// A copy of a datagram comes back to ourselves by `iface`.
    pub fn deliver_locally(&mut self, frame: &Frame, iface: IfaceId, cx: &mut Cx<'_>) {
        if self.local.len() < MAX_LOCAL {
            self.local.push_back((iface, frame.to_packet()));
        } else {
            cx.mib.ip_out_discards += 1;
        }
    }

    /// Puts a frame into the queue for the device.
    ///
    /// # Errors
    /// `NoBuffers` when it is full.
    pub fn push_out(&mut self, frame: Frame, cx: &mut Cx<'_>) -> Result<()> {
        if self.out.len() >= MAX_OUT {
            cx.mib.ip_out_discards += 1;
            return Err(Error::NoBuffers);
        }
        self.out.push_back(frame);
        Ok(())
    }

    fn address(&self, frame: &mut Frame, dst: MacAddr, ether_type: EtherType) {
        ethernet::Header { dst, src: self.mac, ether_type }.emit(frame.prepend(ethernet::HEADER));
    }

    /// Sends what our addresses need to be ours, the requests of the neighbour cache, and the frames that need to wait
    /// no longer.
    pub fn pump_neighbours(&mut self, cx: &mut Cx<'_>) {
        while let Some(packet) = self.claims.poll_transmit() {
            self.send_arp(&packet, MacAddr::BROADCAST, cx);
        }
        // A request has our address as its sender. Without one it is a probe, and another host that probes for the same
        // address, the one we look for, would give it up (RFC 5227 section 2.1.1): requests wait, too.
        if self.claims.are_tentative() {
            return;
        }
        while let Some(frame) = self.claims.poll_released() {
            let _full = self.push_out(frame, cx);
        }
        while let Some(Solicit { target, to }) = self.neighbours.poll_solicit() {
            let source = self.table.lookup(target).map(|route| route.source);
            if let (Some(target), Some(source)) = (v4(target), source.and_then(v4)) {
                self.send_arp(&arp::request(self.mac, source, target), to.unwrap_or(MacAddr::BROADCAST), cx);
            }
        }
        while let Some((mut frame, to)) = self.neighbours.poll_released() {
            self.address(&mut frame, to, EtherType::IPV4);
            let _full = self.push_out(frame, cx);
        }
    }

    /// Sends an ARP packet.
    pub fn send_arp(&mut self, packet: &ArpPacket, to: MacAddr, cx: &mut Cx<'_>) {
        if self.is_gone || self.medium() != Some(Medium::Ethernet) {
            return;
        }
        let mut frame = Frame::new();
        packet.emit(frame.append(wire_arp::LEN));
        self.address(&mut frame, to, EtherType::ARP);
        if self.push_out(frame, cx).is_ok() {
            cx.mib.arp_out += 1;
        }
    }

    /// Whether `addr` is ours alone, so that it can be a source.
    pub fn is_own(&self, addr: IpAddr) -> bool {
        self.table.own(addr) == Some(Cast::Unicast)
    }

    /// Whether a frame waits for a neighbour, or until our addresses are ours.
    pub fn has_waiting(&self) -> bool {
        self.neighbours.has_waiting() || self.claims.holds_frames()
    }

    /// Whether `addr` is another host's: neither ours, nor a group's, nor unspecified.
    pub fn is_foreign(&self, addr: IpAddr) -> bool {
        !addr.is_unspecified() && !addr.is_multicast() && self.table.own(addr).is_none()
    }

    /// What an address is to us, for ARP.
    pub fn standing(&self, addr: Ipv4Addr) -> arp::Standing {
        let ip = IpAddr::V4(addr);
        if self.table.addresses().iter().any(|own| own.addr == ip) {
            if self.claims.is_tentative(addr) { arp::Standing::Tentative } else { arp::Standing::Own }
        } else if self.table.own(ip).is_none() && !addr.is_unspecified() && self.table.is_on_link(ip) {
            arp::Standing::OnLink
        } else {
            arp::Standing::Foreign
        }
    }

    /// The earliest time at which something here wants to be called.
    pub fn poll_deadline(&self) -> Option<Instant> {
        let deadlines = [
            self.neighbours.poll_deadline(),
            self.claims.poll_deadline(),
            self.path_mtus.poll_deadline(),
            self.reassembly.poll_deadline(),
        ];
        deadlines.into_iter().flatten().min()
    }
}

/// The address as one of IPv4.
pub fn v4(addr: IpAddr) -> Option<Ipv4Addr> {
    match addr {
        IpAddr::V4(v4) => Some(v4),
        IpAddr::V6(_) => None,
    }
}

/// A random locally administered address of one station.
fn random_mac(rng: &mut dyn Rng) -> MacAddr {
    let [a, b, c, d, e, f, ..] = rng.u64().to_be_bytes();
    MacAddr([a & 0xfc | 2, b, c, d, e, f])
}

/// The link-layer address of a group (RFC 1112 section 6.4; RFC 2464 section 7).
fn multicast_mac(group: IpAddr) -> MacAddr {
    match group {
        IpAddr::V4(v4) => {
            let [_, b, c, d] = v4.octets();
            MacAddr([1, 0, 0x5e, b & 0x7f, c, d])
        }
        IpAddr::V6(v6) => {
            let [.., a, b, c, d] = v6.octets();
            MacAddr([0x33, 0x33, a, b, c, d])
        }
    }
}

/// Puts an IPv4 header in front of `frame`, whose length it takes over.
pub fn prepend_ipv4(frame: &mut Frame, header: ipv4::Header) {
    let total_len = (frame.len() + ipv4::MIN_HEADER).min(65_535) as u16;
    ipv4::Header { total_len, ..header }.emit(frame.prepend(ipv4::MIN_HEADER));
}
