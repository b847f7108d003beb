//! Sequence numbers: 32 bits that wrap around (RFC 9293 section 3.4).

use std::{
    cmp::Ordering,
    ops::{Add, AddAssign, Sub},
};

/// A sequence number. Comparisons hold for numbers less than 2^31 apart.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct SeqNum(pub u32);

impl SeqNum {
    /// The larger of two.
    pub fn max(self, other: Self) -> Self {
        if self > other { self } else { other }
    }

    /// The smaller of two.
    pub fn min(self, other: Self) -> Self {
        if self < other { self } else { other }
    }
}

impl PartialOrd for SeqNum {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.0.wrapping_sub(other.0).cast_signed().cmp(&0))
    }
}

impl Add<u32> for SeqNum {
    type Output = Self;
    fn add(self, n: u32) -> Self {
        Self(self.0.wrapping_add(n))
    }
}

impl AddAssign<u32> for SeqNum {
    fn add_assign(&mut self, n: u32) {
        *self = *self + n;
    }
}

impl Sub<u32> for SeqNum {
    type Output = Self;
    fn sub(self, n: u32) -> Self {
        Self(self.0.wrapping_sub(n))
    }
}

/// The distance from `other` to `self`, modulo 2^32.
impl Sub for SeqNum {
    type Output = u32;
    fn sub(self, other: Self) -> u32 {
        self.0.wrapping_sub(other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_distance_survive_the_wrap() {
        let (before, after) = (SeqNum(u32::MAX - 1), SeqNum(3));
        assert!(before < after);
        assert!(after > before);
        assert_eq!(after - before, 5);
        assert_eq!(before + 5, after);
        assert_eq!(before.max(after), after);
    }
}
