//! A growing array that never moves nor frees its elements, so that they are found without a lock.

use std::sync::OnceLock;

/// Elements of the first chunk; each further chunk is twice as large.
const FIRST: usize = 64;
/// Enough chunks for 2^32 elements.
const CHUNKS: usize = 27;

/// The array. Elements come into being by [`Default`], a chunk at a time.
pub struct Shelf<T> {
    chunks: [OnceLock<Box<[T]>>; CHUNKS],
}

impl<T: Default> Shelf<T> {
    /// An empty one.
    pub const fn new() -> Self {
        Self { chunks: [const { OnceLock::new() }; CHUNKS] }
    }

    /// The element at `index`, which is made if it was not there.
    pub fn at(&self, index: u32) -> &T {
        let position = index as usize + FIRST;
        let chunk = (position.ilog2() - FIRST.ilog2()) as usize;
        let len = FIRST << chunk;
        &self.chunks[chunk].get_or_init(|| (0..len).map(|_| T::default()).collect())[position - len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn every_index_has_a_place_of_its_own() {
        let shelf: Shelf<AtomicU32> = Shelf::new();
        for i in 0..10_000 {
            shelf.at(i).store(i, Ordering::Relaxed);
        }
        assert!((0..10_000).all(|i| shelf.at(i).load(Ordering::Relaxed) == i));
    }
}
