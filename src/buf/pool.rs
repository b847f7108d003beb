//! Buffers that go back where they came from. A 64 KiB buffer from the allocator costs sixteen page faults; from here,
//! none. The pool's lock is a leaf held for a push or a pop: the device takes buffers, the stack drops them.

use parking_lot::Mutex;
use std::{
    mem,
    ops::{Deref, DerefMut},
    sync::{Arc, Weak},
};

/// All pools of the process.
static SHELVES: Mutex<Vec<Weak<Shelf>>> = Mutex::new(Vec::new());

/// Gives the buffers that nobody uses back to the allocator: those of all pools.
pub fn trim() {
    SHELVES.lock().retain(|shelf| {
        let Some(shelf) = shelf.upgrade() else { return false };
        // Dropped after the lock.
        let _free = mem::take(&mut *shelf.free.lock());
        true
    });
}

/// A set of equally large buffers.
#[derive(Clone)]
pub struct Pool {
    shelf: Arc<Shelf>,
}

struct Shelf {
    size: usize,
    keep: usize,
    free: Mutex<Vec<Box<[u8]>>>,
}

impl Pool {
    /// A pool of buffers of `size` bytes that keeps at most `keep` of them while nobody uses them.
    pub fn new(size: usize, keep: usize) -> Self {
        let shelf = Arc::new(Shelf { size, keep, free: Mutex::new(Vec::new()) });
        SHELVES.lock().push(Arc::downgrade(&shelf));
        Self { shelf }
    }

    /// A buffer of the pool's size. What it holds is whatever its last user left there.
    pub fn take(&self) -> Buf {
        let bytes = self.shelf.free.lock().pop().unwrap_or_else(|| vec![0; self.shelf.size].into_boxed_slice());
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
            if free.len() < home.keep {
                free.push(mem::take(&mut self.bytes));
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

    #[test]
    fn a_dropped_buffer_comes_back_and_no_more_than_keep_are_kept() {
        let pool = Pool::new(8, 1);
        let (mut a, b) = (pool.take(), pool.take());
        a[0] = 42;
        drop(a);
        drop(b);
        let (a, b) = (pool.take(), pool.take());
        assert_eq!((a[0], b[0]), (42, 0));
        drop(a);
        trim();
        assert_eq!(pool.take()[0], 0);
    }
}
