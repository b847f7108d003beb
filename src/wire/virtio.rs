//! The header a TAP puts before every frame with IFF_VNET_HDR: `struct virtio_net_hdr` of virtio 1.3 section 5.1.6
//! without its last field, little-endian (TUNSETVNETLE), 10 bytes.

/// Length of the header.
pub const LEN: usize = 10;

/// The checksum has to be finished from `csum_start` on.
const NEEDS_CSUM: u8 = 1;
/// The checksum has been verified.
const DATA_VALID: u8 = 2;
/// The segments carry CWR as RFC 3168 asks.
const GSO_ECN: u8 = 0x80;

/// How a frame is to be split, or what it was put together from.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum GsoType {
    /// Not at all.
    #[default]
    None,
    /// TCP over IPv4.
    TcpV4,
    /// IPv4 fragments of one UDP datagram (UFO; no longer made by Linux).
    UdpFragments,
    /// TCP over IPv6.
    TcpV6,
    /// UDP datagrams of one size (USO).
    UdpL4,
}

impl GsoType {
    const fn parse(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::None,
            1 => Self::TcpV4,
            3 => Self::UdpFragments,
            4 => Self::TcpV6,
            5 => Self::UdpL4,
            _ => return None,
        })
    }

    const fn number(self) -> u8 {
        match self {
            Self::None => 0,
            Self::TcpV4 => 1,
            Self::UdpFragments => 3,
            Self::TcpV6 => 4,
            Self::UdpL4 => 5,
        }
    }
}

/// The header in host order.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// The checksum field holds the pseudo-header's sum, and is to be finished from `csum_start` on. On a received
    /// frame: the bytes never left this machine, or were verified, and nobody needs to.
    pub needs_csum: bool,
    /// The checksum has been verified.
    pub data_valid: bool,
    /// How to split the frame.
    pub gso_type: GsoType,
    /// The segments carry CWR (RFC 3168); goes with a TCP type.
    pub ecn: bool,
    /// Length of all headers: a hint.
    pub hdr_len: u16,
    /// Payload bytes of each segment but the last.
    pub gso_size: u16,
    /// Where summing starts, counted from the start of the frame.
    pub csum_start: u16,
    /// Where the checksum belongs, counted from `csum_start`.
    pub csum_offset: u16,
}

impl Header {
    /// Parses the header at the front of `bytes`; `None` if it is cut short or of an unknown type.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let [flags, gso, h0, h1, g0, g1, s0, s1, o0, o1] = *bytes.first_chunk::<LEN>()?;
        Some(Self {
            needs_csum: flags & NEEDS_CSUM != 0,
            data_valid: flags & DATA_VALID != 0,
            gso_type: GsoType::parse(gso & !GSO_ECN)?,
            ecn: gso & GSO_ECN != 0,
            hdr_len: u16::from_le_bytes([h0, h1]),
            gso_size: u16::from_le_bytes([g0, g1]),
            csum_start: u16::from_le_bytes([s0, s1]),
            csum_offset: u16::from_le_bytes([o0, o1]),
        })
    }

    /// The bytes of the header.
    pub fn emit(&self) -> [u8; LEN] {
        let Self { needs_csum, data_valid, gso_type, ecn, hdr_len, gso_size, csum_start, csum_offset } = *self;
        let flags = if needs_csum { NEEDS_CSUM } else { 0 } | if data_valid { DATA_VALID } else { 0 };
        let gso = gso_type.number() | if ecn { GSO_ECN } else { 0 };
        let [h0, h1] = hdr_len.to_le_bytes();
        let [g0, g1] = gso_size.to_le_bytes();
        let [s0, s1] = csum_start.to_le_bytes();
        let [o0, o1] = csum_offset.to_le_bytes();
        [flags, gso, h0, h1, g0, g1, s0, s1, o0, o1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Rng, SeededRng};

    #[test]
    fn a_tcp_super_frame_from_linux_is_parsed_and_emitted() {
        let bytes = [1, 1, 66, 0, 0xa8, 5, 34, 0, 16, 0];
        let header = Header {
            needs_csum: true,
            gso_type: GsoType::TcpV4,
            hdr_len: 66,
            gso_size: 1448,
            csum_start: 34,
            csum_offset: 16,
            ..Header::default()
        };
        assert_eq!(Header::parse(&bytes), Some(header));
        assert_eq!(header.emit(), bytes);
    }

    #[test]
    fn plain_frames_have_zeros_and_verified_ones_say_so() {
        assert_eq!(Header::parse(&[0; LEN]), Some(Header::default()));
        assert_eq!(Header::default().emit(), [0; LEN]);
        assert!(Header::parse(&[2, 0, 0, 0, 0, 0, 0, 0, 0, 0]).unwrap().data_valid);
    }

    #[test]
    fn cut_and_unknown_headers_are_refused() {
        assert_eq!(Header::parse(&[0; 9]), None);
        assert_eq!(Header::parse(&[0, 2, 0, 0, 0, 0, 0, 0, 0, 0]), None);
    }

    #[test]
    fn what_is_emitted_is_parsed_back() {
        let mut rng = SeededRng::new([13, 1]);
        for _ in 0..5_000 {
            let mut bytes = [0; LEN];
            bytes.fill_with(|| rng.u64() as u8);
            bytes[0] &= NEEDS_CSUM | DATA_VALID;
            bytes[1] &= GSO_ECN | 7;
            if let Some(header) = Header::parse(&bytes) {
                assert_eq!(header.emit(), bytes);
            }
        }
    }
}
