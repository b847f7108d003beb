//! `libsockeye_preload.so`: the functions of libc by which a program reaches the network, for `LD_PRELOAD`.
//!
//! Each finds out by its tag whether a descriptor is one of the stack's, and then calls an operation of the shim, or
//! else does what libc would have done. No thread, no lock, no descriptor, no allocation, no thread-local storage:
//! these functions run in signal handlers, in the children of vfork, inside malloc, and before any constructor. (What
//! getifaddrs(3) and if_nameindex(3) hand out is allocated, for the program frees it.)
#![no_std]
#![cfg_attr(not(test), warn(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_possible_wrap))]

#[cfg(target_arch = "x86_64")]
#[macro_use]
mod registers;

mod datagram;
mod exec;
mod fence;
mod interface;
mod judge;
mod load;
mod namespace;
mod next;
mod nss;
mod read;
mod resolver;
mod settings;
mod socket;
mod start;
mod syscall;

use sockeye_shim::Errno;

/// A panic would be a mistake in this library: the program ends as by abort(3).
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: abort takes nothing and does not return.
    unsafe { libc::abort() }
}

/// Fails as a function of libc does.
fn fail(errno: Errno) -> libc::c_int {
    // SAFETY: errno is the calling thread's own.
    unsafe { *libc::__errno_location() = errno.0 };
    -1
}
