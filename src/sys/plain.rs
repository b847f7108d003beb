//! Values that are nothing but their bytes.

use crate::tcp::info::Info;

/// A type every byte of which is initialised and that every pattern of bytes is a value of.
///
/// # Safety
/// The type has no padding, no pointers that Rust follows and no invalid values.
pub unsafe trait Plain: Copy {}

// SAFETY: integers.
unsafe impl Plain for u32 {}
// SAFETY: integers.
unsafe impl Plain for usize {}
// SAFETY: integers.
unsafe impl Plain for i32 {}
// SAFETY: integers.
unsafe impl Plain for i64 {}
// SAFETY: integers.
unsafe impl Plain for [libc::c_long; 2] {}
// SAFETY: integers, without padding on 64-bit Linux.
unsafe impl Plain for libc::timespec {}
// SAFETY: integers, without padding on 64-bit Linux.
unsafe impl Plain for libc::timeval {}
// SAFETY: integers, packed on x86_64; elsewhere read whole by nobody but the kernel's own layout.
unsafe impl Plain for libc::epoll_event {}
// SAFETY: an array of integers.
unsafe impl Plain for libc::sigset_t {}
// SAFETY: an array of integers.
unsafe impl Plain for libc::fd_set {}

/// The bytes of a TCP_INFO.
pub fn tcp_info_bytes(info: &Info) -> &[u8] {
    // SAFETY: `Info` has Linux's layout of integers, which leaves no gaps.
    unsafe { std::slice::from_raw_parts((info as *const Info).cast(), size_of::<Info>()) }
}
