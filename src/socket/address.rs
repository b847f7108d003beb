//! Socket addresses as bytes (`struct sockaddr_in`, `sockaddr_in6`; ip(7), ipv6(7)), judged as Linux does.

use crate::{
    addr::Endpoint,
    error::{Error, Result},
    stack::Family,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// sizeof(struct sockaddr_storage): the longest address a call takes.
pub const MAX_LEN: usize = 128;
/// sizeof(struct sockaddr_in)
const V4_LEN: usize = 16;
/// sizeof(struct sockaddr_in6)
const V6_LEN: usize = 28;
/// SIN6_LEN_RFC2133: sockaddr_in6 without its scope, which Linux accepts too.
const V6_SHORT_LEN: usize = 24;

const AF_UNSPEC: u16 = libc::AF_UNSPEC as u16;
const AF_INET: u16 = libc::AF_INET as u16;
const AF_INET6: u16 = libc::AF_INET6 as u16;

/// An address as it goes back to the application.
#[derive(Copy, Clone, Debug)]
pub struct Address {
    bytes: [u8; V6_LEN],
    len: usize,
}

impl Address {
    /// The address of an endpoint, for a socket of `family`.
    pub fn new(endpoint: Endpoint, family: Family) -> Self {
        let mut bytes = [0; V6_LEN];
        bytes[2..4].copy_from_slice(&endpoint.port.to_be_bytes());
        let v6 = match (family, endpoint.addr) {
            (Family::V4, IpAddr::V4(v4)) => {
                bytes[..2].copy_from_slice(&AF_INET.to_ne_bytes());
                bytes[4..8].copy_from_slice(&v4.octets());
                return Self { bytes, len: V4_LEN };
            }
            (_, IpAddr::V6(v6)) => v6,
            (Family::V6, IpAddr::V4(v4)) => v4.to_ipv6_mapped(),
        };
        bytes[..2].copy_from_slice(&AF_INET6.to_ne_bytes());
        bytes[8..24].copy_from_slice(&v6.octets());
        Self { bytes, len: V6_LEN }
    }

    /// The bytes of the structure.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// The family an address names; `None` when it is too short to name one.
pub fn family(bytes: &[u8]) -> Option<u16> {
    bytes.first_chunk().map(|family| u16::from_ne_bytes(*family))
}

/// Whether the address is AF_UNSPEC, which disconnects.
pub fn is_unspecified(bytes: &[u8]) -> bool {
    family(bytes) == Some(AF_UNSPEC)
}

/// How an address with the family AF_UNSPEC is taken where a real one is expected.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Unspec {
    /// As a wrong family (connect of a stream socket).
    Refuse,
    /// As AF_INET if the address is INADDR_ANY (bind(2), for the sake of old programs).
    IfAny,
    /// As AF_INET (sendto(2), and connect(2) of a datagram socket).
    AsInet,
}

/// Reads an address for a socket of `family`.
///
/// # Errors
/// `Invalid` when it is too short, `FamilyNotSupported` for another family.
pub fn parse(bytes: &[u8], socket: Family, unspec: Unspec) -> Result<Endpoint> {
    let port = |bytes: &[u8]| u16::from_be_bytes([bytes[2], bytes[3]]);
    match socket {
        Family::V4 => {
            let bytes: &[u8; V4_LEN] = bytes.first_chunk().ok_or(Error::Invalid)?;
            let addr = Ipv4Addr::new(bytes[4], bytes[5], bytes[6], bytes[7]);
            match (u16::from_ne_bytes([bytes[0], bytes[1]]), unspec) {
                (AF_INET, _) | (AF_UNSPEC, Unspec::AsInet) => {}
                (AF_UNSPEC, Unspec::IfAny) if addr.is_unspecified() => {}
                _ => return Err(Error::FamilyNotSupported),
            }
            Ok(Endpoint::new(IpAddr::V4(addr), port(bytes)))
        }
        // A datagram socket of AF_INET6 takes IPv4 addresses as they are, too (udpv6_sendmsg, ip6_datagram_connect).
        Family::V6 if family(bytes) == Some(AF_INET) && unspec == Unspec::AsInet => parse(bytes, Family::V4, unspec),
        Family::V6 => {
            let bytes: &[u8; V6_SHORT_LEN] = bytes.first_chunk().ok_or(Error::Invalid)?;
            if u16::from_ne_bytes([bytes[0], bytes[1]]) != AF_INET6 {
                return Err(Error::FamilyNotSupported);
            }
            let octets: [u8; 16] = bytes[8..24].try_into().map_err(|_| Error::Invalid)?;
            let v6 = Ipv6Addr::from(octets);
            let addr = v6.to_ipv4_mapped().map_or(IpAddr::V6(v6), IpAddr::V4);
            Ok(Endpoint::new(addr, port(bytes)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(text: &str, port: u16) -> Endpoint {
        Endpoint::new(text.parse().unwrap(), port)
    }

    #[test]
    fn addresses_of_both_families_come_back_as_they_went() {
        for (socket, text, len) in
            [(Family::V4, "10.1.2.3", 16), (Family::V6, "fd00::1", 28), (Family::V6, "1.2.3.4", 28)]
        {
            let address = Address::new(endpoint(text, 8080), socket);
            assert_eq!(address.bytes().len(), len);
            assert_eq!(parse(address.bytes(), socket, Unspec::Refuse), Ok(endpoint(text, 8080)));
        }
    }

    #[test]
    fn short_and_foreign_addresses_are_refused_as_linux_does() {
        let good = Address::new(endpoint("10.1.2.3", 80), Family::V4);
        assert_eq!(parse(&good.bytes()[..15], Family::V4, Unspec::Refuse), Err(Error::Invalid));
        assert_eq!(parse(&[], Family::V4, Unspec::Refuse), Err(Error::Invalid));
        assert_eq!(parse(&[0xff; 16], Family::V4, Unspec::AsInet), Err(Error::FamilyNotSupported));
        assert_eq!(parse(good.bytes(), Family::V6, Unspec::Refuse), Err(Error::Invalid));
        let mut unspec = [0u8; 16];
        assert!(is_unspecified(&unspec) && !is_unspecified(&[0]));
        assert_eq!(parse(&unspec, Family::V4, Unspec::IfAny), Ok(endpoint("0.0.0.0", 0)));
        unspec[7] = 1;
        assert_eq!(parse(&unspec, Family::V4, Unspec::IfAny), Err(Error::FamilyNotSupported));
        assert_eq!(parse(&unspec, Family::V4, Unspec::AsInet), Ok(endpoint("0.0.0.1", 0)));
    }
}
