//! errno, as C has it.

pub use crate::socket::errno::of;

use crate::error::Error;

/// Sets the calling thread's errno.
pub fn set(error: Error) {
    // SAFETY: errno's place is the calling thread's own.
    unsafe { *libc::__errno_location() = of(error) };
}
