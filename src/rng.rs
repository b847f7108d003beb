//! Randomness and keyed hashing for the core. The seed comes from outside: the operating system's in the product,
//! a printed number in tests.

/// For values that others compute too and compare with ours.
pub use sockeye_shim::siphash::siphash_2_4;
use std::hash::{Hash, Hasher};

/// A source of random numbers.
pub trait Rng: Send {
    /// 64 random bits.
    fn u64(&mut self) -> u64;

    /// 32 random bits.
    fn u32(&mut self) -> u32 {
        (self.u64() >> 32) as u32
    }

    /// A number in `0..bound`, uniform to within 2^-32; 0 when `bound` is 0.
    fn below(&mut self, bound: u32) -> u32 {
        ((u64::from(self.u32()) * u64::from(bound)) >> 32) as u32
    }

    /// True with probability `p` (0.0 to 1.0).
    fn chance(&mut self, p: f64) -> bool {
        ((self.u64() >> 11) as f64) / ((1u64 << 53) as f64) < p
    }
}

/// A keyed pseudo-random function (SipHash) over anything that implements `Hash`: initial sequence numbers
/// (RFC 6528), ephemeral ports (RFC 6056), hash tables that an attacker cannot fill one bucket of.
#[derive(Copy, Clone, Debug)]
pub struct Key([u64; 2]);

impl Key {
    /// A fresh key.
    pub fn random(rng: &mut dyn Rng) -> Self {
        Self([rng.u64(), rng.u64()])
    }

    /// The key that these bytes are.
    pub fn from_bytes(bytes: &[u8; 16]) -> Self {
        let bits = u128::from_be_bytes(*bytes);
        Self([(bits >> 64) as u64, bits as u64])
    }

    /// The keyed hash of `value`.
    pub fn hash(&self, value: &impl Hash) -> u64 {
        let mut hasher = self.hasher();
        value.hash(&mut hasher);
        hasher.finish()
    }

    fn hasher(&self) -> std::collections::hash_map::DefaultHasher {
        let mut hasher = std::collections::hash_map::DefaultHasher::new();
        hasher.write_u64(self.0[0]);
        hasher.write_u64(self.0[1]);
        hasher
    }
}

impl std::hash::BuildHasher for Key {
    type Hasher = std::collections::hash_map::DefaultHasher;
    fn build_hasher(&self) -> Self::Hasher {
        self.hasher()
    }
}

/// A generator that runs the keyed hash over a counter: unpredictable without the seed, the same for the same seed.
#[derive(Clone, Debug)]
pub struct SeededRng {
    key: Key,
    counter: u64,
}

impl SeededRng {
    /// A generator for `seed`. In the product the seed comes from getrandom(2).
    pub fn new(seed: [u64; 2]) -> Self {
        Self { key: Key(seed), counter: 0 }
    }
}

impl Rng for SeededRng {
    fn u64(&mut self) -> u64 {
        self.counter += 1;
        self.key.hash(&self.counter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers_and_another_seed_others() {
        let take = |seed| {
            let mut rng = SeededRng::new([seed, 0]);
            [rng.u64(), rng.u64(), rng.u64()]
        };
        assert_eq!(take(1), take(1));
        assert_ne!(take(1), take(2));
    }

    #[test]
    fn below_stays_below_its_bound() {
        let mut rng = SeededRng::new([7, 7]);
        assert!((0..1000).all(|_| rng.below(10) < 10));
        assert_eq!(rng.below(0), 0);
    }
}
