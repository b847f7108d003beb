//! ARP for IPv4 over Ethernet (RFC 826; RFC 5227 for probes and announcements).

use super::ethernet::MacAddr;
use std::net::Ipv4Addr;

/// Length of a packet.
pub const LEN: usize = 28;

/// Hardware type Ethernet, protocol type IPv4, address lengths 6 and 4: how every packet we understand starts.
const ETHERNET_IPV4: [u8; 6] = [0, 1, 8, 0, 6, 4];

/// What a packet asks or says.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Who has the target address?
    Request,
    /// The sender has the sender address.
    Reply,
}

/// An ARP packet.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Request or reply.
    pub operation: Operation,
    /// The sender's link-layer address.
    pub sender_mac: MacAddr,
    /// The sender's address; unspecified in a probe (RFC 5227 section 1.1).
    pub sender_ip: Ipv4Addr,
    /// The target's link-layer address; unknown (zero) in a request.
    pub target_mac: MacAddr,
    /// The target's address.
    pub target_ip: Ipv4Addr,
}

impl Packet {
    /// Parses a packet; padding behind it is ignored. `None` for other hardware, other protocols, other operations and
    /// senders that are not one station.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; LEN] = bytes.first_chunk()?;
        if bytes[..6] != ETHERNET_IPV4 {
            return None;
        }
        let operation = match bytes[6..8] {
            [0, 1] => Operation::Request,
            [0, 2] => Operation::Reply,
            _ => return None,
        };
        let mac = |at: usize| bytes[at..].first_chunk().copied().map(MacAddr);
        let ip = |at: usize| bytes[at..].first_chunk::<4>().copied().map(Ipv4Addr::from);
        let packet = Self {
            operation,
            sender_mac: mac(8).filter(|sender| sender.is_unicast())?,
            sender_ip: ip(14)?,
            target_mac: mac(18)?,
            target_ip: ip(24)?,
        };
        Some(packet)
    }

    /// Writes the packet into the first [`LEN`] bytes of `out`.
    ///
    /// # Panics
    /// When `out` is shorter.
    pub fn emit(&self, out: &mut [u8]) {
        let Self { operation, sender_mac, sender_ip, target_mac, target_ip } = self;
        out[0..6].copy_from_slice(&ETHERNET_IPV4);
        out[6] = 0;
        out[7] = match operation {
            Operation::Request => 1,
            Operation::Reply => 2,
        };
        out[8..14].copy_from_slice(&sender_mac.0);
        out[14..18].copy_from_slice(&sender_ip.octets());
        out[18..24].copy_from_slice(&target_mac.0);
        out[24..28].copy_from_slice(&target_ip.octets());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Rng, SeededRng};

    const REQUEST: [u8; LEN] = [0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 97, 0, 1, 0, 0, 0, 0, 0, 0, 10, 97, 0, 2];

    #[test]
    fn a_request_is_parsed_and_emitted_and_padding_is_ignored() {
        let packet = Packet::parse(&[REQUEST.as_slice(), &[0; 18]].concat()).unwrap();
        let expected = Packet {
            operation: Operation::Request,
            sender_mac: MacAddr([2, 0, 0, 0, 0, 1]),
            sender_ip: Ipv4Addr::new(10, 97, 0, 1),
            target_mac: MacAddr::UNSPECIFIED,
            target_ip: Ipv4Addr::new(10, 97, 0, 2),
        };
        assert_eq!(packet, expected);
        let mut out = [0xee; LEN];
        packet.emit(&mut out);
        assert_eq!(out, REQUEST);
    }

    #[test]
    fn what_is_not_ethernet_and_ipv4_or_has_no_single_sender_is_refused() {
        for (at, value) in [(1, 6), (2, 0x86), (4, 8), (5, 16), (7, 3), (6, 1), (8, 0xff)] {
            let mut bytes = REQUEST;
            bytes[at] = value;
            assert_eq!(Packet::parse(&bytes), None, "byte {at} = {value}");
        }
        assert!((0..LEN).all(|len| Packet::parse(&REQUEST[..len]).is_none()));
    }

    #[test]
    fn random_bytes_never_panic_and_what_is_emitted_is_parsed_back() {
        let mut rng = SeededRng::new([5, 5]);
        for _ in 0..5_000 {
            let mut bytes: Vec<u8> = (0..rng.below(40)).map(|_| rng.u64() as u8).collect();
            if bytes.len() >= 8 && rng.chance(0.8) {
                bytes[..6].copy_from_slice(&ETHERNET_IPV4);
                bytes[6] = 0;
                bytes[7] &= 3;
            }
            if let Some(packet) = Packet::parse(&bytes) {
                let mut out = [0; LEN];
                packet.emit(&mut out);
                assert_eq!(Packet::parse(&out), Some(packet));
            }
        }
    }
}
