//! The Internet checksum (RFC 1071): the ones' complement of the ones'-complement sum of 16-bit words.

use super::protocol;
use crate::buf::Frame;
use std::net::IpAddr;

/// Bytes summed in one round of the inner loop: eight words of 32 bits, which compilers turn into vector additions.
const ROUND: usize = 32;

/// The sum of `bytes` in the machine's own byte order, folded to 16 bits. Words may be summed in either byte order and
/// in pieces of any even size (RFC 1071 section 2), so 32 bits are taken at a time into 64-bit lanes that cannot
/// overflow.
fn native_sum(bytes: &[u8]) -> u16 {
    let mut lanes = [0u64; ROUND / 4];
    let mut rounds = bytes.chunks_exact(ROUND);
    for round in &mut rounds {
        for (lane, word) in lanes.iter_mut().zip(round.as_chunks::<4>().0) {
            *lane += u64::from(u32::from_ne_bytes(*word));
        }
    }
    let mut sum: u64 = lanes.iter().map(|lane| (lane >> 32) + (lane & 0xffff_ffff)).sum();
    let (words, odd) = rounds.remainder().as_chunks::<2>();
    for word in words {
        sum += u64::from(u16::from_ne_bytes(*word));
    }
    if let [last] = odd {
        sum += u64::from(u16::from_ne_bytes([*last, 0]));
    }
    fold(sum)
}

/// The ones'-complement sum of `bytes` (an odd last byte is padded with zero), added to `sum`; not folded, not
/// inverted.
///
/// Parts may be chained if all but the last have an even length; [`add_parts`] takes parts of any lengths.
pub fn add(sum: u64, bytes: &[u8]) -> u64 {
    sum + u64::from(u16::from_be(native_sum(bytes)))
}

/// The sum of `parts` as if they were one piece, added to `sum`: a part that starts at an odd offset has its bytes in
/// the other halves of the words, which swaps its sum (RFC 1071 section 2 (B)).
pub fn add_parts<'a>(sum: u64, parts: impl IntoIterator<Item = &'a [u8]>) -> u64 {
    let mut odd = false;
    parts.into_iter().fold(sum, |sum, part| {
        let part_sum = u16::from_be(native_sum(part));
        let placed = if odd { part_sum.swap_bytes() } else { part_sum };
        odd ^= part.len() % 2 == 1;
        sum + u64::from(placed)
    })
}

/// A sum folded to 16 bits, not inverted.
#[expect(clippy::cast_possible_truncation, reason = "what is folded often enough has 16 bits")]
pub fn fold(sum: u64) -> u16 {
    let sum = (sum >> 32) + (sum & 0xffff_ffff);
    let sum = (sum >> 32) + (sum & 0xffff_ffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    ((sum >> 16) + (sum & 0xffff)) as u16
}

/// Whether `bytes`, checksum field included, sum to what a right checksum makes of them.
pub fn is_valid(sum: u64, bytes: &[u8]) -> bool {
    fold(add(sum, bytes)) == 0xffff
}

/// The sum of the pseudo-header of `protocol` with `len` bytes of transport header and payload (RFC 9293 section 3.1,
/// RFC 768; RFC 8200 section 8.1 for IPv6).
pub fn pseudo_header(src: IpAddr, dst: IpAddr, protocol: u8, len: usize) -> u64 {
    let addr = |addr: IpAddr| match addr {
        IpAddr::V4(v4) => u64::from(u32::from(v4)),
        IpAddr::V6(v6) => add(0, &v6.octets()),
    };
    addr(src) + addr(dst) + u64::from(protocol) + len as u64
}

/// Completes the partial checksum of `frame` (see [`Frame::set_partial_checksum`]) in software; does nothing if it has
/// none. A result of zero is written as 0xffff: the same number in ones' complement, and in UDP the one that does not
/// mean "no checksum" (RFC 768).
pub fn finish(frame: &mut Frame) {
    let Some((start, field)) = frame.partial_checksum() else { return };
    frame.clear_partial_checksum();
    let head = frame.head().get(start..).unwrap_or_default();
    let sum = add_parts(0, std::iter::once(head).chain(frame.body().map(|slice| &**slice)));
    let checksum = match !fold(sum) {
        0 => 0xffff,
        checksum => checksum,
    };
    if let Some(field) = frame.head_mut().get_mut(start + field..start + field + 2) {
        field.copy_from_slice(&checksum.to_be_bytes());
    }
}

/// The transport checksum of a `segment` of `protocol` whose checksum field holds zero: the complement of the sum over
/// pseudo-header, header and payload, never zero.
pub fn transport(src: IpAddr, dst: IpAddr, protocol: u8, segment: &[u8]) -> u16 {
    debug_assert!(matches!(protocol, protocol::TCP | protocol::UDP | protocol::ICMPV6));
    match !fold(add(pseudo_header(src, dst, protocol, segment.len()), segment)) {
        0 => 0xffff,
        checksum => checksum,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        buf::Slice,
        rng::{Rng, SeededRng},
    };

    /// The definition, word by word.
    fn reference(bytes: &[u8]) -> u16 {
        let mut sum = 0u32;
        for word in bytes.chunks(2) {
            sum += u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0));
            sum = (sum >> 16) + (sum & 0xffff);
        }
        sum as u16
    }

    fn noise(len: usize, seed: u64) -> Vec<u8> {
        let mut rng = SeededRng::new([seed, 1]);
        (0..len).map(|_| rng.u64() as u8).collect()
    }

    #[test]
    fn the_example_of_rfc_1071_sums_to_ddf2() {
        assert_eq!(fold(add(0, &[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7])), 0xddf2);
    }

    #[test]
    fn every_length_agrees_with_the_definition() {
        for len in 0..300 {
            let bytes = noise(len, len as u64);
            assert_eq!(fold(add(0, &bytes)), reference(&bytes), "length {len}");
        }
        let ones = vec![0xff; 65_535];
        assert_eq!(fold(add(0, &ones)), reference(&ones));
    }

    #[test]
    fn even_parts_chain() {
        let bytes = noise(1001, 3);
        assert_eq!(fold(add(add(add(0, &bytes[..14]), &bytes[14..500]), &bytes[500..])), reference(&bytes));
    }

    #[test]
    fn scattered_parts_of_any_length_sum_as_one_piece() {
        let bytes = noise(2000, 4);
        let cuts = [0, 1, 2, 5, 40, 41, 41, 999, 1500, 1999, 2000];
        let parts = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]);
        assert_eq!(fold(add_parts(0, parts)), reference(&bytes));
    }

    #[test]
    fn large_running_sums_fold_right() {
        assert_eq!(fold(0), 0);
        assert_eq!(fold(0xffff), 0xffff);
        assert_eq!(fold(0x1_0000), 1);
        assert_eq!(fold(u64::MAX), 0xffff);
        assert_eq!(fold(0xffff_ffff_0000_0000), 0xffff);
    }

    #[test]
    fn pseudo_headers_of_both_families_count_addresses_protocol_and_length() {
        let v4 = pseudo_header("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap(), 6, 20);
        assert_eq!(fold(v4), reference(&[10, 0, 0, 1, 10, 0, 0, 2, 0, 6, 0, 20]));
        let v6 = pseudo_header("fd00::1".parse().unwrap(), "fd00::2".parse().unwrap(), 17, 0x1_0008);
        assert_eq!(fold(v6), fold(0xfd00 + 1 + 0xfd00 + 2 + 17 + 1 + 8));
    }

    #[test]
    fn a_partial_checksum_is_finished_over_scattered_odd_slices() {
        let body = noise(777, 5);
        let slice = Slice::copy_from(&body);
        let mut frame = Frame::new();
        frame.append(20).copy_from_slice(&noise(20, 6));
        frame.set_partial_checksum(16);
        let head = frame.head_mut();
        head[16..18].copy_from_slice(&0x1234u16.to_be_bytes());
        frame.push(slice.part(0, 301));
        frame.push(slice.part(301, 777));
        frame.prepend(20).fill(0x45);
        let whole = frame.to_vec();
        finish(&mut frame);
        assert_eq!(frame.partial_checksum(), None);
        let done = frame.to_vec();
        assert_eq!(done[36..38], (!reference(&whole[20..])).to_be_bytes());
    }
}
