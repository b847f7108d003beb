//! The Internet checksum (RFC 1071).

use std::net::IpAddr;

/// The ones'-complement sum of `bytes` (an odd last byte is padded with zero), added to `sum`; not folded, not inverted.
pub fn add(_sum: u64, _bytes: &[u8]) -> u64 {
    unimplemented!()
}

/// A sum folded to 16 bits, not inverted.
pub fn fold(_sum: u64) -> u16 {
    unimplemented!()
}

/// The sum of the pseudo-header of `protocol` with `len` bytes of transport header and payload (RFC 9293 section 3.1,
/// RFC 768; RFC 8200 section 8.1 for IPv6).
pub fn pseudo_header(_src: IpAddr, _dst: IpAddr, _protocol: u8, _len: u32) -> u64 {
    unimplemented!()
}
