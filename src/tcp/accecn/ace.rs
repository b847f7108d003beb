//! The ACE field: AE, CWR and ECE as one number of three bits (RFC 9768 section 3.2.2).

use crate::{tcp::ecn::codepoint, wire::tcp::Flags};

/// What the counter in the field begins with, so that a field that was zeroed is seen (RFC 9768 section 3.2.2.1).
const FIRST: u32 = 5;
/// The bits of the field.
pub const MASK: u32 = 7;
/// All three flags: a SYN's question (RFC 9768 section 3.1.1).
pub const ALL: Flags = Flags(Flags::AE.0 | Flags::CWR.0 | Flags::ECE.0);

/// The field of a header.
pub fn of(flags: Flags) -> u8 {
    let bit = |flag, bit| if flags.contains(flag) { bit } else { 0 };
    bit(Flags::AE, 4) | bit(Flags::CWR, 2) | bit(Flags::ECE, 1)
}

/// The flags of a field.
pub fn flags(field: u8) -> Flags {
    [(4, Flags::AE), (2, Flags::CWR), (1, Flags::ECE)]
        .into_iter()
        .filter(|(bit, _)| field & bit != 0)
        .fold(Flags::default(), |flags, (_, flag)| flags.with(flag))
}

/// The field that tells of so many marked segments.
pub fn counter(marked: u32) -> u8 {
    (marked.wrapping_add(FIRST) & MASK) as u8
}

/// How many more segments a field tells of than `told`, modulo eight (RFC 9768 appendix A.2.1).
pub fn more(field: u8, told: u32) -> u32 {
    u32::from(field).wrapping_sub(FIRST).wrapping_sub(told) & MASK
}

/// The field that tells of the codepoint of a SYN or SYN-ACK (RFC 9768 tables 2 and 3).
pub fn reflection(field: u8) -> u8 {
    match field & codepoint::MASK {
        codepoint::NOT_ECT => 0b010,
        codepoint::ECT_1 => 0b011,
        codepoint::ECT_0 => 0b100,
        _ => 0b110,
    }
}

/// The codepoint that a field tells of; `None` where the field has no such meaning.
pub fn reflected(field: u8) -> Option<u8> {
    [codepoint::NOT_ECT, codepoint::ECT_1, codepoint::ECT_0, codepoint::CE]
        .into_iter()
        .find(|codepoint| reflection(*codepoint) == field)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_and_field_are_the_same_thing() {
        for field in 0..8 {
            assert_eq!(of(flags(field)), field);
        }
        assert_eq!(of(ALL), 7);
    }

    #[test]
    fn the_counter_wraps_and_differences_are_told() {
        assert_eq!([0, 1, 2, 3, 8].map(counter), [5, 6, 7, 0, 5]);
        for told in [0, 5, 1000, u32::MAX] {
            for new in 0..8 {
                assert_eq!(more(counter(told.wrapping_add(new)), told), new);
            }
        }
    }

    #[test]
    fn four_fields_tell_of_codepoints() {
        assert_eq!([0, 1, 2, 3].map(reflection), [2, 3, 4, 6]);
        assert_eq!([0, 1, 5, 7].map(reflected), [None; 4]);
        assert_eq!([2, 3, 4, 6].map(reflected), [Some(0), Some(1), Some(2), Some(3)]);
    }
}
