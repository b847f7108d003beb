//! Ethernet II frames (RFC 894). VLAN tags are not taken off: a tagged frame has an EtherType nobody here handles.

use std::{fmt, str::FromStr};

/// Length of the header.
pub const HEADER: usize = 14;

/// A 48-bit link-layer address.
#[derive(Copy, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MacAddr(pub [u8; 6]);

impl MacAddr {
    /// All ones: every station of the link.
    pub const BROADCAST: Self = Self([0xff; 6]);
    /// All zeros: none; the unknown target of an ARP request.
    pub const UNSPECIFIED: Self = Self([0; 6]);

    /// Whether it is the broadcast address.
    pub fn is_broadcast(self) -> bool {
        self == Self::BROADCAST
    }

    /// Whether it names a group of stations, the broadcast address included (the I/G bit of IEEE 802).
    pub const fn is_multicast(self) -> bool {
        self.0[0] & 1 != 0
    }

    /// Whether it names one station.
    pub fn is_unicast(self) -> bool {
        !self.is_multicast() && self != Self::UNSPECIFIED
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not six pairs of hexadecimal digits with colons between.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct NotAMacAddr;

impl fmt::Display for NotAMacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a link-layer address such as 02:00:00:00:00:01")
    }
}

impl std::error::Error for NotAMacAddr {}

impl FromStr for MacAddr {
    type Err = NotAMacAddr;

    fn from_str(text: &str) -> Result<Self, NotAMacAddr> {
        let mut pairs = text.split(':');
        let mut bytes = [0; 6];
        for byte in &mut bytes {
            let pair = pairs.next().ok_or(NotAMacAddr)?;
            if pair.len() != 2 || !pair.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return Err(NotAMacAddr);
            }
            *byte = u8::from_str_radix(pair, 16).map_err(|_| NotAMacAddr)?;
        }
        if pairs.next().is_none() { Ok(Self(bytes)) } else { Err(NotAMacAddr) }
    }
}

/// What a frame carries (IANA "IEEE 802 Numbers"). Values below 1536 are the length of an IEEE 802.3 frame.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct EtherType(pub u16);

impl EtherType {
    /// IPv4.
    pub const IPV4: Self = Self(0x0800);
    /// ARP.
    pub const ARP: Self = Self(0x0806);
    /// IPv6.
    pub const IPV6: Self = Self(0x86dd);
}

/// The header of a frame.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// To whom.
    pub dst: MacAddr,
    /// From whom.
    pub src: MacAddr,
    /// What follows.
    pub ether_type: EtherType,
}

impl Header {
    /// Parses the [`HEADER`] bytes at the front of `frame`.
    pub fn parse(frame: &[u8]) -> Option<Self> {
        let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, t0, t1] = *frame.first_chunk::<HEADER>()?;
        Some(Self {
            dst: MacAddr([d0, d1, d2, d3, d4, d5]),
            src: MacAddr([s0, s1, s2, s3, s4, s5]),
            ether_type: EtherType(u16::from_be_bytes([t0, t1])),
        })
    }

    /// Writes the header into the first [`HEADER`] bytes of `out`.
    ///
    /// # Panics
    /// When `out` is shorter.
    pub fn emit(&self, out: &mut [u8]) {
        let Self { dst, src, ether_type } = self;
        out[0..6].copy_from_slice(&dst.0);
        out[6..12].copy_from_slice(&src.0);
        out[12..14].copy_from_slice(&ether_type.0.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: [u8; 16] = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 8, 6, 0, 1];

    #[test]
    fn a_header_is_parsed_and_emitted() {
        let header = Header::parse(&FRAME).unwrap();
        let src = MacAddr([2, 0, 0, 0, 0, 1]);
        assert_eq!(header, Header { dst: MacAddr::BROADCAST, src, ether_type: EtherType::ARP });
        let mut out = [0; HEADER];
        header.emit(&mut out);
        assert_eq!(out, FRAME[..HEADER]);
        assert!((0..HEADER).all(|len| Header::parse(&FRAME[..len]).is_none()));
    }

    #[test]
    fn addresses_know_their_kind() {
        let station = MacAddr([2, 0, 0, 0, 0, 1]);
        assert!(station.is_unicast() && !station.is_multicast() && !station.is_broadcast());
        assert!(MacAddr::BROADCAST.is_broadcast() && MacAddr::BROADCAST.is_multicast());
        assert!(MacAddr([1, 0, 0x5e, 0, 0, 1]).is_multicast());
        assert!(!MacAddr::UNSPECIFIED.is_unicast());
    }

    #[test]
    fn addresses_are_read_as_they_are_written() {
        let addr = MacAddr([2, 0, 0xab, 0xcd, 0xef, 9]);
        assert_eq!(addr.to_string(), "02:00:ab:cd:ef:09");
        assert_eq!("02:00:AB:cd:ef:09".parse(), Ok(addr));
        for wrong in
            ["", "02:00:ab:cd:ef", "02:00:ab:cd:ef:09:01", "2:0:ab:cd:ef:9", "02-00-ab-cd-ef-09", "+2:00:ab:cd:ef:09"]
        {
            assert_eq!(wrong.parse::<MacAddr>(), Err(NotAMacAddr), "{wrong}");
        }
    }
}
