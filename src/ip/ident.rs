//! The identification field (RFC 6864). It must not repeat for one source, destination and protocol while fragments may
//! live, and must not tell an observer how much we send to others (RFC 7739): counters chosen by a keyed hash.

use crate::rng::{Key, Rng};
use std::net::IpAddr;

/// Number of counters. Destinations that share one skip numbers, which is harmless.
const COUNTERS: usize = 256;

/// The counters.
pub struct Idents {
    key: Key,
    counters: Box<[u16; COUNTERS]>,
}

impl Idents {
    /// Counters that start at random numbers.
    pub fn new(rng: &mut dyn Rng) -> Self {
        let mut counters = Box::new([0; COUNTERS]);
        counters.fill_with(|| rng.u32() as u16);
        Self { key: Key::random(rng), counters }
    }

    /// The first of `count` fresh numbers for datagrams of `protocol` from `src` to `dst`.
    pub fn take(&mut self, src: IpAddr, dst: IpAddr, protocol: u8, count: u16) -> u16 {
        let counter = &mut self.counters[self.key.hash(&(src, dst, protocol)) as usize % COUNTERS];
        let first = *counter;
        *counter = counter.wrapping_add(count.max(1));
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::SeededRng;

    #[test]
    fn one_destination_sees_consecutive_numbers_and_the_next_first_skips_a_batch() {
        let mut idents = Idents::new(&mut SeededRng::new([1, 2]));
        let (a, b) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let first = idents.take(a, b, 17, 1);
        assert_eq!(idents.take(a, b, 17, 5), first.wrapping_add(1));
        assert_eq!(idents.take(a, b, 17, 1), first.wrapping_add(6));
    }
}
