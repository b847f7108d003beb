//! Buffers that go back where they came from. A 64 KiB buffer from the allocator costs sixteen page faults; from here,
//! none. The pool's lock is a leaf held for a push or a pop: the device takes buffers, the stack drops them.
//!
//! What nobody needed between two looks ([`tidy`]) goes back to the allocator, so that a pool keeps what the work of
//! the last seconds turned over, and nothing when there was none.

use parking_lot::Mutex;
use std::{
    mem,
    ops::{Deref, DerefMut},
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering},
    },
};

/// What each pool keeps at most of what nobody uses, bytes.
const KEEP: usize = 16 << 20;

/// All pools of the process.
static SHELVES: Mutex<Vec<Weak<Shelf>>> = Mutex::new(Vec::new());
/// The same, where memory is short.
static MOST: AtomicUsize = AtomicUsize::new(KEEP);
/// Bytes that went back to the allocator.
static RETURNED: AtomicUsize = AtomicUsize::new(0);

/// All pools that there are.
fn shelves() -> Vec<Arc<Shelf>> {
    let mut shelves = SHELVES.lock();
    shelves.retain(|shelf| shelf.strong_count() > 0);
    shelves.iter().filter_map(Weak::upgrade).collect()
}

/// Gives the buffers that nobody uses back to the allocator: those of all pools.
pub fn trim() {
    shelves().iter().for_each(|shelf| shelf.give_back(usize::MAX));
}

/// Gives those back that nobody has needed since the last call. True if there are others still, for a later look.
pub fn tidy() -> bool {
    // All of them, not up to the first that keeps something.
    shelves().iter().fold(false, |any, shelf| shelf.tidy() | any)
}

/// From here on each pool keeps at most `bytes` of what nobody uses, if that is less than before.
pub fn keep_at_most(bytes: usize) {
    MOST.fetch_min(bytes, Ordering::Relaxed);
}

/// Bytes of buffers that went back to the allocator since the process began.
pub fn returned() -> usize {
    RETURNED.load(Ordering::Relaxed)
}

/// A set of equally large buffers.
#[derive(Clone)]
pub struct Pool {
    shelf: Arc<Shelf>,
}

struct Shelf {
    size: usize,
    free: Mutex<Free>,
}

#[derive(Default)]
struct Free {
    buffers: Vec<Box<[u8]>>,
    /// The fewest there were since the last look: so many were not needed.
    least: usize,
}

impl Shelf {
    fn new(size: usize) -> Arc<Self> {
        Arc::new(Self { size, free: Mutex::default() })
    }

    /// Gives back what was not needed since the last call; true if something is left.
    fn tidy(&self) -> bool {
        let least = self.free.lock().least;
        self.give_back(least);
        let mut free = self.free.lock();
        free.least = free.buffers.len();
        free.least > 0
    }

    /// Gives up to `count` free buffers back to the allocator.
    fn give_back(&self, count: usize) {
        let mut free = self.free.lock();
        let kept = free.buffers.len().saturating_sub(count);
        let unneeded = free.buffers.split_off(kept);
        free.buffers.shrink_to(kept);
        free.least = free.least.min(kept);
        drop(free);
        RETURNED.fetch_add(unneeded.len() * self.size, Ordering::Relaxed);
    }
}

impl Pool {
    /// A pool of buffers of `size` bytes.
    pub fn new(size: usize) -> Self {
        let shelf = Shelf::new(size);
        SHELVES.lock().push(Arc::downgrade(&shelf));
        Self { shelf }
    }

    /// A buffer of the pool's size. What it holds is whatever its last user left there.
    pub fn take(&self) -> Buf {
        let mut free = self.shelf.free.lock();
        let kept = free.buffers.pop();
        free.least = free.least.min(free.buffers.len());
        drop(free);
        let bytes = kept.unwrap_or_else(|| vec![0; self.shelf.size].into_boxed_slice());
        Buf { bytes, home: Some(Arc::clone(&self.shelf)) }
    }
}

/// A buffer with one owner.
pub struct Buf {
    bytes: Box<[u8]>,
    home: Option<Arc<Shelf>>,
}

impl Buf {
    /// A buffer of `len` zero bytes that belongs to no pool.
    pub fn zeroed(len: usize) -> Self {
        Self { bytes: vec![0; len].into_boxed_slice(), home: None }
    }
}

impl From<Vec<u8>> for Buf {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes: bytes.into_boxed_slice(), home: None }
    }
}

impl Deref for Buf {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl DerefMut for Buf {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl Drop for Buf {
    fn drop(&mut self) {
        if let Some(home) = self.home.take() {
            let mut free = home.free.lock();
            if (free.buffers.len() + 1) * home.size <= MOST.load(Ordering::Relaxed) {
                free.buffers.push(mem::take(&mut self.bytes));
            } else {
                RETURNED.fetch_add(home.size, Ordering::Relaxed);
            }
        }
    }
}

impl std::fmt::Debug for Buf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Buf({} bytes)", self.bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pool that other tests' housekeeping does not know of.
    fn pool(size: usize) -> Pool {
        Pool { shelf: Shelf::new(size) }
    }

    fn kept(pool: &Pool) -> usize {
        pool.shelf.free.lock().buffers.len()
    }

    #[test]
    fn a_dropped_buffer_comes_back_and_no_more_than_a_pool_may_keep() {
        let pool = pool(KEEP / 2 + 1);
        let (mut a, b) = (pool.take(), pool.take());
        a[0] = 42;
        drop(a);
        drop(b);
        let (a, b) = (pool.take(), pool.take());
        assert_eq!((a[0], b[0]), (42, 0));
    }

    #[test]
    fn what_was_not_needed_between_two_looks_goes_back() {
        let pool = pool(64 << 10);
        let peak: Vec<Buf> = (0..100).map(|_| pool.take()).collect();
        drop(peak);
        assert!(pool.shelf.tidy());
        assert_eq!(kept(&pool), 100, "all of them were needed since the last look");
        let work: Vec<Buf> = (0..30).map(|_| pool.take()).collect();
        drop(work);
        assert!(pool.shelf.tidy());
        assert_eq!(kept(&pool), 30);
        let before = returned();
        assert!(!pool.shelf.tidy());
        assert_eq!(kept(&pool), 0);
        assert!(returned() >= before + 30 * (64 << 10));
    }

    #[test]
    fn every_pool_is_looked_at_while_it_is_there() {
        let pools = [Pool::new(8), Pool::new(9)];
        for give_back in [trim, || _ = (tidy(), tidy())] {
            pools.iter().for_each(|pool| drop(pool.take()));
            give_back();
            assert_eq!(pools.each_ref().map(kept), [0, 0]);
        }
        let listed = shelves().len();
        drop(pools);
        assert!(shelves().len() < listed + 2);
    }
}
