//! IPv4 headers (RFC 791, RFC 1122 section 3.2.1, RFC 2474 and 3168 for the former type of service).

use super::checksum;
use std::{fmt, net::Ipv4Addr};

pub use super::protocol;

/// Length of a header without options.
pub const MIN_HEADER: usize = 20;
/// Length of the longest header.
pub const MAX_HEADER: usize = 60;

const DONT_FRAGMENT: u16 = 0x4000;
const MORE_FRAGMENTS: u16 = 0x2000;
const OFFSET: u16 = 0x1fff;

/// A header in host order. Options of received packets are checked and skipped; none are sent.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Type of service: DSCP and ECN.
    pub tos: u8,
    /// Length of header and payload in bytes.
    pub total_len: u16,
    /// Identification: the same in all fragments of a datagram.
    pub id: u16,
    /// Routers may not fragment the datagram.
    pub dont_fragment: bool,
    /// This is not the last fragment.
    pub more_fragments: bool,
    /// Where this fragment's payload belongs, in bytes, a multiple of eight.
    pub fragment_offset: u16,
    /// Time to live.
    pub ttl: u8,
    /// What follows: one of [`protocol`].
    pub protocol: u8,
    /// Source.
    pub src: Ipv4Addr,
    /// Destination.
    pub dst: Ipv4Addr,
}

impl Default for Header {
    fn default() -> Self {
        Self {
            tos: 0,
            total_len: u16::try_from(MIN_HEADER).unwrap_or(u16::MAX),
            id: 0,
            dont_fragment: false,
            more_fragments: false,
            fragment_offset: 0,
            ttl: 64,
            protocol: 0,
            src: Ipv4Addr::UNSPECIFIED,
            dst: Ipv4Addr::UNSPECIFIED,
        }
    }
}

/// Why a packet was refused. RFC 1122 asks that all but a bad option be dropped without a word.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum ParseError {
    /// Shorter than its header, or than its header says.
    Truncated,
    /// Not version 4, a header shorter than 20 bytes, or a total length shorter than the header.
    Malformed,
    /// The header's checksum is wrong.
    Checksum,
    /// An option runs over the header's end; its offset from the header's start is the pointer of the parameter problem
    /// to be sent (RFC 1122 section 3.2.1.8).
    Option(u8),
}

/// Checks that each option ends within `options`; `Err` is the offset of the one that does not.
fn check_options(options: &[u8]) -> Result<(), usize> {
    let mut at = 0;
    while let Some(kind) = options.get(at) {
        at += match (kind, options.get(at + 1)) {
            (0, _) => return Ok(()),
            (1, _) => 1,
            (_, Some(len)) if *len >= 2 && at + usize::from(*len) <= options.len() => usize::from(*len),
            _ => return Err(at),
        };
    }
    Ok(())
}

impl Header {
    /// Parses and checks the header at the front of `packet`; returns it with its length in bytes (20 to 60). Bytes
    /// behind [`Header::total_len`] are the link's padding.
    ///
    /// # Errors
    /// What is wrong with the packet.
    pub fn parse(packet: &[u8]) -> Result<(Self, usize), ParseError> {
        let fixed: &[u8; MIN_HEADER] = packet.first_chunk().ok_or(ParseError::Truncated)?;
        let (header, len) = Self::fields(fixed).ok_or(ParseError::Malformed)?;
        if packet.len() < usize::from(header.total_len) {
            return Err(ParseError::Truncated);
        }
        if usize::from(header.total_len) < len {
            return Err(ParseError::Malformed);
        }
        if !checksum::is_valid(0, &packet[..len]) {
            return Err(ParseError::Checksum);
        }
        check_options(&packet[MIN_HEADER..len])
            .map_err(|at| ParseError::Option(u8::try_from(MIN_HEADER + at).unwrap_or(u8::MAX)))?;
        Ok((header, len))
    }

    /// Parses the header quoted in an ICMP error: as [`Header::parse`], but the packet is cut short, and its checksum
    /// and length fields may have been changed on the way.
    pub fn parse_quoted(quote: &[u8]) -> Option<(Self, usize)> {
        Self::fields(quote.first_chunk()?).filter(|(_, len)| *len <= quote.len())
    }

    /// The fields, and the length of the header; `None` if version or length cannot be.
    fn fields(fixed: &[u8; MIN_HEADER]) -> Option<(Self, usize)> {
        let u16_at = |at: usize| u16::from_be_bytes([fixed[at], fixed[at + 1]]);
        let addr = |at: usize| Ipv4Addr::new(fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]);
        let len = usize::from(fixed[0] & 0x0f) * 4;
        if fixed[0] >> 4 != 4 || len < MIN_HEADER {
            return None;
        }
        let fragment = u16_at(6);
        let header = Self {
            tos: fixed[1],
            total_len: u16_at(2),
            id: u16_at(4),
            dont_fragment: fragment & DONT_FRAGMENT != 0,
            more_fragments: fragment & MORE_FRAGMENTS != 0,
            fragment_offset: (fragment & OFFSET) << 3,
            ttl: fixed[8],
            protocol: fixed[9],
            src: addr(12),
            dst: addr(16),
        };
        Some((header, len))
    }

    /// Whether the packet is a part of a larger datagram.
    pub const fn is_fragment(&self) -> bool {
        self.more_fragments || self.fragment_offset != 0
    }

    /// Writes the header, without options and with its checksum, into the first [`MIN_HEADER`] bytes of `out`. The
    /// fragment offset is rounded down to a multiple of eight.
    ///
    /// # Panics
    /// When `out` is shorter.
    pub fn emit(&self, out: &mut [u8]) {
        let Self { tos, total_len, id, dont_fragment, more_fragments, fragment_offset, ttl, protocol, src, dst } = self;
        let fragment = fragment_offset >> 3
            | if *dont_fragment { DONT_FRAGMENT } else { 0 }
            | if *more_fragments { MORE_FRAGMENTS } else { 0 };
        out[0] = 0x45;
        out[1] = *tos;
        out[2..4].copy_from_slice(&total_len.to_be_bytes());
        out[4..6].copy_from_slice(&id.to_be_bytes());
        out[6..8].copy_from_slice(&fragment.to_be_bytes());
        out[8] = *ttl;
        out[9] = *protocol;
        out[10..12].fill(0);
        out[12..16].copy_from_slice(&src.octets());
        out[16..20].copy_from_slice(&dst.octets());
        let sum = !checksum::fold(checksum::add(0, &out[..MIN_HEADER]));
        out[10..12].copy_from_slice(&sum.to_be_bytes());
    }
}

impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} > {} ", self.src, self.dst)?;
        match protocol::name(self.protocol) {
            Some(name) => f.write_str(name)?,
            None => write!(f, "protocol {}", self.protocol)?,
        }
        write!(f, " len {} ttl {}", self.total_len, self.ttl)?;
        if self.is_fragment() {
            let more = if self.more_fragments { "+" } else { "" };
            write!(f, " frag {}@{}{more}", self.id, self.fragment_offset)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Rng, SeededRng};

    /// The header of a TCP SYN from Linux: DF, id 0x1c46, checksum 0xb1e6.
    const LINUX: [u8; 20] = [
        0x45, 0x00, 0x00, 0x3c, 0x1c, 0x46, 0x40, 0x00, 0x40, 0x06, 0xb1, 0xe6, 0xac, 0x10, 0x0a, 0x63, 0xac, 0x10,
        0x0a, 0x0c,
    ];

    fn linux() -> Header {
        Header {
            total_len: 60,
            id: 0x1c46,
            dont_fragment: true,
            protocol: protocol::TCP,
            src: Ipv4Addr::new(172, 16, 10, 99),
            dst: Ipv4Addr::new(172, 16, 10, 12),
            ..Header::default()
        }
    }

    fn packet(header: &[u8]) -> Vec<u8> {
        [header, &[0; 44]].concat()
    }

    /// A header with `options`, its lengths and checksum right.
    fn with_options(options: &[u8]) -> Vec<u8> {
        let mut bytes = LINUX.to_vec();
        bytes.extend_from_slice(options);
        bytes[0] = 0x40 | (bytes.len() / 4) as u8;
        bytes[10..12].fill(0);
        let sum = !checksum::fold(checksum::add(0, &bytes));
        bytes[10..12].copy_from_slice(&sum.to_be_bytes());
        packet(&bytes)
    }

    #[test]
    fn a_header_is_parsed_and_emitted() {
        assert_eq!(Header::parse(&packet(&LINUX)), Ok((linux(), 20)));
        let mut out = [0xee; 20];
        linux().emit(&mut out);
        assert_eq!(out, LINUX);
        assert_eq!(linux().to_string(), "172.16.10.99 > 172.16.10.12 tcp len 60 ttl 64");
    }

    #[test]
    fn wrong_versions_lengths_and_checksums_are_refused() {
        let table: &[(usize, u8, ParseError)] = &[
            (0, 0x65, ParseError::Malformed),
            (0, 0x44, ParseError::Malformed),
            (3, 19, ParseError::Malformed),
            (3, 65, ParseError::Truncated),
            (8, 63, ParseError::Checksum),
        ];
        for (at, value, error) in table {
            let mut bytes = packet(&LINUX);
            bytes[*at] = *value;
            assert_eq!(Header::parse(&bytes), Err(*error), "byte {at} = {value}");
        }
        assert_eq!(Header::parse(&LINUX[..19]), Err(ParseError::Truncated));
        assert_eq!(Header::parse(&packet(&LINUX)[..59]), Err(ParseError::Truncated));
    }

    #[test]
    fn options_are_skipped_and_one_that_overruns_is_pointed_at() {
        assert_eq!(Header::parse(&with_options(&[7, 7, 4, 0, 0, 0, 0, 0])), Ok((linux(), 28)));
        assert_eq!(Header::parse(&with_options(&[148, 4, 0, 0])), Ok((linux(), 24)));
        assert_eq!(Header::parse(&with_options(&[1, 7, 4, 0])), Err(ParseError::Option(21)));
        assert_eq!(Header::parse(&with_options(&[1, 1, 7, 1])), Err(ParseError::Option(22)));
        assert_eq!(Header::parse(&with_options(&[1, 1, 1, 7])), Err(ParseError::Option(23)));
    }

    #[test]
    fn fragments_count_their_offset_in_bytes() {
        let header = Header { more_fragments: true, dont_fragment: false, fragment_offset: 1480, ..linux() };
        let mut out = [0; 20];
        header.emit(&mut out);
        assert_eq!(out[6..8], [0x20, 185]);
        assert_eq!(Header::parse(&packet(&out)), Ok((header, 20)));
        assert!(header.is_fragment() && !linux().is_fragment());
        assert!(header.to_string().ends_with("frag 7238@1480+"));
    }

    #[test]
    fn a_quoted_header_may_be_cut_behind_itself_and_have_a_stale_checksum() {
        let mut quote = LINUX;
        quote[8] = 1;
        assert_eq!(Header::parse_quoted(&quote), Some((Header { ttl: 1, ..linux() }, 20)));
        quote[0] = 0x46;
        assert_eq!(Header::parse_quoted(&quote), None);
    }

    #[test]
    fn random_bytes_never_panic_and_what_is_emitted_is_parsed_back() {
        let mut rng = SeededRng::new([9, 1]);
        for _ in 0..20_000 {
            let mut bytes: Vec<u8> = (0..rng.below(90)).map(|_| rng.u64() as u8).collect();
            if let Some(first) = bytes.first_mut() {
                *first = 0x40 | *first & 0x0f;
            }
            let _ = Header::parse(&bytes);
            if let Some((mut header, _)) = Header::parse_quoted(&bytes) {
                header.total_len = header.total_len % 45 + 20;
                let mut out = vec![0; 64];
                header.emit(&mut out);
                assert_eq!(Header::parse(&out), Ok((header, 20)));
            }
        }
    }
}
