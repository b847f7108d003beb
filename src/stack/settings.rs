//! What the application has asked of a socket below TCP and UDP: the values behind SOL_SOCKET and IPPROTO_IP options.

use super::iface::IfaceId;
use crate::tcp::Path;
use std::net::{IpAddr, Ipv4Addr};

/// IP_MTU_DISCOVER (ip(7)).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum MtuDiscover {
    /// IP_PMTUDISC_DONT: never set DF.
    Dont,
    /// IP_PMTUDISC_WANT: per route; fragment what is too large.
    Want,
    /// IP_PMTUDISC_DO: always DF, `MessageTooLong` for what is too large.
    Do,
    /// IP_PMTUDISC_PROBE: DF, but ignore the path MTU.
    Probe,
    /// IP_PMTUDISC_INTERFACE: the device's MTU, no DF, and no belief in what routers say.
    Interface,
    /// IP_PMTUDISC_OMIT: the same, and fragment what is too large.
    Omit,
}

impl MtuDiscover {
    /// The largest packet, bytes.
    pub const fn limit(self, path: &Path) -> u32 {
        match self {
            Self::Dont | Self::Want | Self::Do => path.mtu,
            Self::Probe | Self::Interface | Self::Omit => path.link_mtu,
        }
    }
}

/// Values of IPPROTO_IP options.
#[derive(Clone, Debug)]
pub struct IpSettings {
    /// IP_TTL.
    pub ttl: u8,
    /// IP_TOS.
    pub tos: u8,
    /// IP_MTU_DISCOVER.
    pub mtu_discover: MtuDiscover,
    /// IP_RECVTTL.
    pub recv_ttl: bool,
    /// IP_RECVTOS.
    pub recv_tos: bool,
    /// IP_PKTINFO.
    pub pktinfo: bool,
    /// IP_RECVERR: a datagram socket has an error queue, a stream hears of every ICMP error
    /// ([`super::Stack::set_recverr`]).
    pub recverr: bool,
    /// IP_MULTICAST_TTL.
    pub multicast_ttl: u8,
    /// IP_MULTICAST_LOOP.
    pub multicast_loop: bool,
    /// IP_MULTICAST_IF: the interface, and the source address if one was given.
    pub multicast_if: Option<(IfaceId, Ipv4Addr)>,
    /// IP_BIND_ADDRESS_NO_PORT.
    pub bind_address_no_port: bool,
    /// IP_FREEBIND: bind(2) takes addresses that are nobody's here.
    pub freebind: bool,
}

impl Default for IpSettings {
    fn default() -> Self {
        Self {
            ttl: 64,
            tos: 0,
            mtu_discover: MtuDiscover::Want,
            recv_ttl: false,
            recv_tos: false,
            pktinfo: false,
            recverr: false,
            multicast_ttl: 1,
            multicast_loop: true,
            multicast_if: None,
            bind_address_no_port: false,
            freebind: false,
        }
    }
}

/// Values of IPPROTO_IPV6 options that are only kept: what they steer are packets of IPv6.
#[derive(Clone, Debug)]
pub struct Ipv6Settings {
    /// IPV6_UNICAST_HOPS; -1 is the default.
    pub unicast_hops: i16,
    /// IPV6_MULTICAST_HOPS.
    pub multicast_hops: i16,
    /// IPV6_TCLASS.
    pub tclass: u8,
    /// IPV6_MTU_DISCOVER, as the application numbers it.
    pub mtu_discover: u8,
    /// IPV6_MULTICAST_IF, as the application numbers it.
    pub multicast_if: i32,
    /// Options that are on or off, by their numbers: those that are not what they are at first.
    pub switched: u128,
}

impl Default for Ipv6Settings {
    fn default() -> Self {
        Self { unicast_hops: -1, multicast_hops: 1, tclass: 0, mtu_discover: 1, multicast_if: 0, switched: 0 }
    }
}

/// Values of options every socket has.
#[derive(Clone, Debug)]
pub struct SocketSettings {
    /// SO_REUSEADDR.
    pub reuse_addr: bool,
    /// SO_REUSEPORT.
    pub reuse_port: bool,
    /// SO_BROADCAST.
    pub broadcast: bool,
    /// SO_BINDTODEVICE: the only interface it sends and receives by.
    pub iface: Option<IfaceId>,
    /// SO_DONTROUTE: only on-link destinations.
    pub dont_route: bool,
    /// SO_TIMESTAMP, SO_TIMESTAMPNS: deliver receive times.
    pub timestamp: bool,
    /// SO_RCVBUF of a datagram socket, bytes.
    pub recv_buffer: usize,
    /// SO_SNDBUF of a datagram socket, bytes.
    pub send_buffer: u32,
    /// IPPROTO_IP options.
    pub ip: IpSettings,
    /// IPV6_V6ONLY: its ports are of IPv6 alone, and no IPv4 address is reached.
    pub v6only: bool,
    /// Other IPPROTO_IPV6 options, once one was set.
    pub ipv6: Option<Box<Ipv6Settings>>,
}

impl Default for SocketSettings {
    /// Linux's defaults (net.core.rmem_default, wmem_default).
    fn default() -> Self {
        Self {
            reuse_addr: false,
            reuse_port: false,
            broadcast: false,
            iface: None,
            dont_route: false,
            timestamp: false,
            recv_buffer: 212_992,
            send_buffer: 212_992,
            ip: IpSettings::default(),
            v6only: false,
            ipv6: None,
        }
    }
}

/// Which ways out are open to a socket.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Via {
    /// No gateways (SO_DONTROUTE).
    pub on_link: bool,
    /// Only this interface.
    pub iface: Option<IfaceId>,
}

impl SocketSettings {
    /// The ways to `dest`: IP_MULTICAST_IF is for groups, SO_BINDTODEVICE comes before it.
    pub fn via(&self, dest: IpAddr) -> Via {
        let groups = self.ip.multicast_if.filter(|_| dest.is_multicast()).map(|(iface, _)| iface);
        Via { on_link: self.dont_route, iface: self.iface.or(groups) }
    }

    /// The source address for `dest`, if it is a group and IP_MULTICAST_IF has one.
    pub fn multicast_source(&self, dest: IpAddr) -> Option<IpAddr> {
        let chosen = self.ip.multicast_if.filter(|(_, addr)| dest.is_multicast() && !addr.is_unspecified());
        chosen.map(|(_, addr)| IpAddr::V4(addr))
    }
}
