//! UDP headers (RFC 768; RFC 8200 section 8.1 over IPv6).

use super::{checksum, protocol};
use std::net::IpAddr;

/// Length of the header.
pub const HEADER: usize = 8;
/// Offset of the checksum field in the header.
pub const CHECKSUM_FIELD: usize = 6;

/// A header in host order.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Source port; zero if no answer is wanted.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// Length of header and payload in bytes.
    pub len: u16,
    /// Checksum as on the wire; zero if the sender made none.
    pub checksum: u16,
}

impl Header {
    /// Parses the header at the front of `datagram`. What is behind [`Header::len`] bytes does not belong to it. `None`
    /// if the length is less than the header's or more than what is there.
    pub fn parse(datagram: &[u8]) -> Option<Self> {
        let [s0, s1, d0, d1, l0, l1, c0, c1] = *datagram.first_chunk::<HEADER>()?;
        let header = Self {
            src_port: u16::from_be_bytes([s0, s1]),
            dst_port: u16::from_be_bytes([d0, d1]),
            len: u16::from_be_bytes([l0, l1]),
            checksum: u16::from_be_bytes([c0, c1]),
        };
        (HEADER..=datagram.len()).contains(&usize::from(header.len)).then_some(header)
    }

    /// Writes the header, checksum as given, into the first [`HEADER`] bytes of `out`.
    ///
    /// # Panics
    /// When `out` is shorter.
    pub fn emit(&self, out: &mut [u8]) {
        let Self { src_port, dst_port, len, checksum } = self;
        out[0..2].copy_from_slice(&src_port.to_be_bytes());
        out[2..4].copy_from_slice(&dst_port.to_be_bytes());
        out[4..6].copy_from_slice(&len.to_be_bytes());
        out[6..8].copy_from_slice(&checksum.to_be_bytes());
    }
}

/// Whether the checksum of `datagram` (header and payload, cut to the header's length) is right. Over IPv4 a checksum
/// of zero says that there is none, and is accepted; over IPv6 it is not.
pub fn verify(src: IpAddr, dst: IpAddr, datagram: &[u8]) -> bool {
    let absent = datagram.get(CHECKSUM_FIELD..HEADER) == Some(&[0, 0]);
    if absent {
        return src.is_ipv4();
    }
    checksum::is_valid(checksum::pseudo_header(src, dst, protocol::UDP, datagram.len()), datagram)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Rng, SeededRng};

    /// A datagram with "hello" from 10.0.0.1:4000 to 10.0.0.2:53, without checksum.
    const DATAGRAM: [u8; 13] = [0x0f, 0xa0, 0, 53, 0, 13, 0, 0, b'h', b'e', b'l', b'l', b'o'];

    fn ends() -> (IpAddr, IpAddr) {
        ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap())
    }

    #[test]
    fn a_header_is_parsed_and_emitted_and_padding_is_ignored() {
        let header = Header::parse(&[DATAGRAM.as_slice(), &[0; 9]].concat()).unwrap();
        assert_eq!(header, Header { src_port: 4000, dst_port: 53, len: 13, checksum: 0 });
        let mut out = [0xee; HEADER];
        header.emit(&mut out);
        assert_eq!(out, DATAGRAM[..HEADER]);
    }

    #[test]
    fn a_length_that_cannot_be_is_refused() {
        for len in [0, 7, 14, 255] {
            let mut bytes = DATAGRAM;
            bytes[5] = len;
            assert_eq!(Header::parse(&bytes), None, "length {len}");
        }
        assert_eq!(Header::parse(&DATAGRAM[..7]), None);
    }

    #[test]
    fn no_checksum_is_right_over_ipv4_and_wrong_over_ipv6() {
        let (src, dst) = ends();
        assert!(verify(src, dst, &DATAGRAM));
        assert!(!verify("fd00::1".parse().unwrap(), "fd00::2".parse().unwrap(), &DATAGRAM));
    }

    #[test]
    fn a_checksum_is_checked_with_the_pseudo_header() {
        let (src, dst) = ends();
        let mut bytes = DATAGRAM;
        let sum = checksum::transport(src, dst, protocol::UDP, &bytes);
        bytes[6..8].copy_from_slice(&sum.to_be_bytes());
        assert!(verify(src, dst, &bytes));
        assert!(!verify(src, "10.0.0.3".parse().unwrap(), &bytes));
        bytes[12] ^= 0x20;
        assert!(!verify(src, dst, &bytes));
    }

    #[test]
    fn a_sum_of_zero_is_sent_as_ones() {
        let (src, dst) = ends();
        let mut bytes = [0, 0, 0, 0, 0, 10, 0, 0, 0, 0];
        let rest = !checksum::fold(checksum::add(checksum::pseudo_header(src, dst, protocol::UDP, 10), &bytes));
        bytes[8..].copy_from_slice(&rest.to_be_bytes());
        assert_eq!(checksum::transport(src, dst, protocol::UDP, &bytes), 0xffff);
        bytes[6..8].fill(0xff);
        assert!(verify(src, dst, &bytes));
    }

    #[test]
    fn random_bytes_never_panic_and_what_is_emitted_is_parsed_back() {
        let mut rng = SeededRng::new([12, 1]);
        let (src, dst) = ends();
        for _ in 0..5_000 {
            let mut bytes: Vec<u8> = (0..rng.below(40)).map(|_| rng.u64() as u8).collect();
            if bytes.len() > 5 {
                bytes[4] = 0;
                bytes[5] %= 50;
            }
            verify(src, dst, &bytes);
            if let Some(header) = Header::parse(&bytes) {
                let mut out = bytes.clone();
                header.emit(&mut out);
                assert_eq!(out, bytes);
            }
        }
    }
}
