//! The route table: longest prefix first, for both families (RFC 1122 section 3.3.1, RFC 1812 section 5.2.4.3).

use super::{config::Config, iface::IfaceId};
use crate::{
    addr::{Cidr, width},
    ip::input::Cast,
};
use std::net::{IpAddr, Ipv4Addr};

/// What kind of destination a route leads to.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Ourselves.
    Local,
    /// A host on the link.
    OnLink,
    /// A host behind this gateway.
    Gateway(IpAddr),
    /// All hosts on the link.
    Broadcast,
    /// A group on the link.
    Multicast,
}

/// A route.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Destinations it is for.
    pub to: Cidr,
    /// How they are reached.
    pub reach: Reach,
    /// The way out.
    pub iface: IfaceId,
    /// The source address to prefer.
    pub source: IpAddr,
}

/// All routes and own addresses.
pub struct Table {
    /// Longest prefix first; of equal ones the first given.
    routes: Vec<Route>,
    addresses: Vec<Cidr>,
}

const LOCALHOST: Cidr = Cidr { addr: IpAddr::V4(Ipv4Addr::LOCALHOST), prefix: 8 };
/// The broadcast address of the loopback's network.
const ALL_LOCALHOSTS: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 255, 255, 255));

/// The route to one address alone.
const fn host(addr: IpAddr) -> Cidr {
    Cidr { addr, prefix: width(addr) }
}

impl Table {
    /// The routes that follow from a configuration; without a device only those to ourselves.
    pub fn new(config: &Config, has_device: bool) -> Self {
        let addresses = config.addresses.clone();
        let mut table = Self { routes: Vec::new(), addresses };
        table.add(LOCALHOST, Reach::Local, LOCALHOST.addr);
        table.add(host(ALL_LOCALHOSTS), Reach::Broadcast, LOCALHOST.addr);
        for own in &config.addresses {
            table.add(host(own.addr), Reach::Local, own.addr);
            if !has_device {
                continue;
            }
            table.add(*own, Reach::OnLink, own.addr);
            if let Some(broadcast) = own.broadcast() {
                table.add(host(IpAddr::V4(broadcast)), Reach::Broadcast, own.addr);
            }
        }
        if has_device {
            let is_v4 = |own: &&Cidr| own.addr.is_ipv4();
            if let Some(first) = config.addresses.iter().find(is_v4) {
                table.add(host(IpAddr::V4(Ipv4Addr::BROADCAST)), Reach::Broadcast, first.addr);
                let groups = Cidr { addr: IpAddr::V4(Ipv4Addr::new(224, 0, 0, 0)), prefix: 4 };
                table.add(groups, Reach::Multicast, first.addr);
            }
            for route in &config.routes {
                table.add_gateway(route.to, route.via);
            }
            for &via in &config.gateways {
                table.add_gateway(Cidr { addr: crate::addr::unspecified(via), prefix: 0 }, via);
            }
        }
        table
    }

    fn add(&mut self, to: Cidr, reach: Reach, source: IpAddr) {
        let is_inside = reach == Reach::Local || LOCALHOST.contains(to.addr);
        let iface = if is_inside { IfaceId::LOOPBACK } else { IfaceId::DEVICE };
        let at = self.routes.partition_point(|route| route.to.prefix >= to.prefix);
        self.routes.insert(at, Route { to, reach, iface, source });
    }

    /// A route by a gateway: its source is our address in the gateway's network, else the first of the family.
    fn add_gateway(&mut self, to: Cidr, via: IpAddr) {
        let near = self.addresses.iter().find(|own| own.contains(via));
        let family = self.addresses.iter().find(|own| width(own.addr) == width(via));
        if let Some(source) = near.or(family).map(|own| own.addr) {
            self.add(to, Reach::Gateway(via), source);
        }
    }

    /// The route to `dest`.
    pub fn lookup(&self, dest: IpAddr) -> Option<&Route> {
        self.routes.iter().find(|route| route.to.contains(dest))
    }

    /// The route to `dest`, by `iface` if one is asked for. As on Linux our own addresses are reached inside the stack
    /// by any interface, those of the loopback's network by the loopback alone, and groups by either. Unlike Linux
    /// nothing is taken to be on the link for want of a route.
    pub fn lookup_by(&self, dest: IpAddr, iface: Option<IfaceId>) -> Option<Route> {
        let route = self.lookup(dest).copied();
        match iface {
            None => route,
            Some(iface @ IfaceId::LOOPBACK) if dest.is_multicast() => {
                Some(Route { to: host(dest), reach: Reach::Multicast, iface, source: LOCALHOST.addr })
            }
            Some(IfaceId::LOOPBACK) => route.filter(|route| route.iface == IfaceId::LOOPBACK),
            Some(_) => route.filter(|_| !LOCALHOST.contains(dest)),
        }
    }

    /// How a datagram to `addr` is addressed to us, if it is.
    pub fn own(&self, addr: IpAddr) -> Option<Cast> {
        for own in &self.addresses {
            if own.addr == addr {
                return Some(Cast::Unicast);
            }
            if own.broadcast().is_some_and(|broadcast| IpAddr::V4(broadcast) == addr) {
                return Some(Cast::Broadcast);
            }
        }
        match addr {
            ALL_LOCALHOSTS => Some(Cast::Broadcast),
            IpAddr::V4(v4) if v4.is_loopback() => Some(Cast::Unicast),
            IpAddr::V4(Ipv4Addr::BROADCAST) => Some(Cast::Broadcast),
            // RFC 1112 section 4: every host is in the group of all hosts.
            IpAddr::V4(v4) if v4 == Ipv4Addr::new(224, 0, 0, 1) => Some(Cast::Multicast),
            _ => None,
        }
    }

    /// Own addresses with their networks.
    pub fn addresses(&self) -> &[Cidr] {
        &self.addresses
    }

    /// Whether `addr` is of a network on our link.
    pub fn is_on_link(&self, addr: IpAddr) -> bool {
        self.addresses.iter().any(|own| own.contains(addr)) || self.is_gateway(addr)
    }

    /// Whether a route goes by `addr`.
    pub fn is_gateway(&self, addr: IpAddr) -> bool {
        self.routes.iter().any(|route| route.reach == Reach::Gateway(addr))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::config::{Kind, StaticRoute};

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn cidr(addr: &str, prefix: u8) -> Cidr {
        Cidr { addr: ip(addr), prefix }
    }

    fn config() -> Config {
        Config {
            addresses: vec![cidr("10.0.0.2", 24), cidr("172.16.0.5", 16), cidr("fd00::2", 64)],
            gateways: vec![ip("10.0.0.1"), ip("fd00::1")],
            routes: vec![StaticRoute { to: cidr("192.168.0.0", 16), via: ip("172.16.0.1") }],
            offload: false,
            ..Config::new(Kind::Tap, "t0")
        }
    }

    #[test]
    fn the_longest_prefix_decides_the_way_and_the_source() {
        let table = Table::new(&config(), true);
        let way = |dest: &str| table.lookup(ip(dest)).map(|route| (route.reach, route.source.to_string()));
        let expect = |reach, source: &str| Some((reach, source.to_string()));
        assert_eq!(way("127.3.2.1"), expect(Reach::Local, "127.0.0.1"));
        assert_eq!(way("10.0.0.2"), expect(Reach::Local, "10.0.0.2"));
        assert_eq!(way("10.0.0.9"), expect(Reach::OnLink, "10.0.0.2"));
        assert_eq!(way("10.0.0.255"), expect(Reach::Broadcast, "10.0.0.2"));
        assert_eq!(way("255.255.255.255"), expect(Reach::Broadcast, "10.0.0.2"));
        assert_eq!(way("224.0.0.251"), expect(Reach::Multicast, "10.0.0.2"));
        assert_eq!(way("192.168.7.7"), expect(Reach::Gateway(ip("172.16.0.1")), "172.16.0.5"));
        assert_eq!(way("8.8.8.8"), expect(Reach::Gateway(ip("10.0.0.1")), "10.0.0.2"));
        assert_eq!(way("fd00::9"), expect(Reach::OnLink, "fd00::2"));
        assert_eq!(way("2001:db8::1"), expect(Reach::Gateway(ip("fd00::1")), "fd00::2"));
    }

    #[test]
    fn without_a_device_there_is_only_ourselves() {
        let table = Table::new(&config(), false);
        assert!(table.lookup(ip("10.0.0.2")).is_some() && table.lookup(ip("127.0.0.1")).is_some());
        assert_eq!(table.lookup(ip("10.0.0.9")), None);
    }

    #[test]
    fn own_addresses_are_told_by_how_they_address_us() {
        let table = Table::new(&config(), true);
        let table = [
            ("10.0.0.2", Some(Cast::Unicast)),
            ("127.0.0.9", Some(Cast::Unicast)),
            ("127.255.255.255", Some(Cast::Broadcast)),
            ("172.16.255.255", Some(Cast::Broadcast)),
            ("255.255.255.255", Some(Cast::Broadcast)),
            ("224.0.0.1", Some(Cast::Multicast)),
            ("224.0.0.2", None),
            ("10.0.0.3", None),
        ]
        .map(|(addr, cast)| (table.own(ip(addr)), cast));
        assert!(table.iter().all(|(is, should)| is == should));
    }
}
