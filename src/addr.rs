//! Addresses, the same for IPv4 and IPv6 everywhere above the wire.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

/// An address and a port.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    /// The address; unspecified (`0.0.0.0`, `::`) means any.
    pub addr: IpAddr,
    /// The port in host order; 0 means none yet.
    pub port: u16,
}

impl Endpoint {
    /// An endpoint from its parts.
    pub const fn new(addr: IpAddr, port: u16) -> Self {
        Self { addr, port }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::new(self.addr, self.port).fmt(f)
    }
}

/// The two ends of a connection, seen from here.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    /// Our end.
    pub local: Endpoint,
    /// The peer's.
    pub remote: Endpoint,
}

/// An address with the length of its network prefix in bits.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cidr {
    /// The address; its host bits are kept.
    pub addr: IpAddr,
    /// Prefix length: at most 32 for IPv4, 128 for IPv6.
    pub prefix: u8,
}

/// The address as a number of 128 bits, left-aligned, so that prefixes of both families compare alike.
fn aligned(addr: IpAddr) -> u128 {
    match addr {
        IpAddr::V4(v4) => u128::from(u32::from(v4)) << 96,
        IpAddr::V6(v6) => u128::from(v6),
    }
}

/// Bits in an address of `addr`'s family.
pub const fn width(addr: IpAddr) -> u8 {
    match addr {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// The unspecified address of the same family.
pub const fn unspecified(like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    }
}

impl Cidr {
    /// Whether `addr` is of this family and within the prefix.
    pub fn contains(&self, addr: IpAddr) -> bool {
        let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
        width(addr) == width(self.addr) && (aligned(addr) ^ aligned(self.addr)) & mask == 0
    }

    /// The directed broadcast address of an IPv4 network with host bits to spare (RFC 919; none for /31 and /32).
    pub fn broadcast(&self) -> Option<Ipv4Addr> {
        match self.addr {
            IpAddr::V4(v4) if self.prefix <= 30 => Some(Ipv4Addr::from(u32::from(v4) | (u32::MAX >> self.prefix))),
            _ => None,
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_holds_its_addresses_and_no_others() {
        let net = Cidr { addr: "10.97.0.2".parse().unwrap(), prefix: 24 };
        assert!(net.contains("10.97.0.255".parse().unwrap()));
        assert!(!net.contains("10.97.1.1".parse().unwrap()));
        assert!(!net.contains("::1".parse().unwrap()));
        assert_eq!(net.broadcast(), Some("10.97.0.255".parse().unwrap()));
        assert!(Cidr { prefix: 0, ..net }.contains("8.8.8.8".parse().unwrap()));
        assert!(Cidr { addr: "fd00::1".parse().unwrap(), prefix: 64 }.contains("fd00::9".parse().unwrap()));
    }
}
