//! The library catches its own panics, which neither end a run nor reach the fuzzer: its log alone tells of them.

use sockeye::sys::log;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Fails if the library has told of a mistake of its own since it was last asked. Before anything is done the log must
/// be kept ([`log::keep`]).
pub fn none_since() {
    static READ: AtomicU64 = AtomicU64::new(0);
    let (from, said) = log::read(READ.load(Relaxed), usize::MAX);
    READ.store(from + said.len() as u64, Relaxed);
    let said = String::from_utf8_lossy(&said);
    assert!(!said.contains("a mistake of ours"), "{said}");
}
