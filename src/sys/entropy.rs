//! The operating system's randomness.

/// 128 random bits from getrandom(2).
///
/// # Panics
/// When the kernel has no random numbers, which does not happen after boot.
pub fn seed() -> [u64; 2] {
    let mut bytes = [0u8; 16];
    // SAFETY: the pointer and length are those of `bytes`.
    let n = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    assert_eq!(n, 16, "getrandom(2) gives 16 bytes at once");
    let half = |at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
    [half(0), half(8)]
}
