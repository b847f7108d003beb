//! Descriptors: closing, duplicating, flags. All work on every descriptor of the process.

use super::{call, errno, int};
use crate::{
    error::Result,
    socket::{close, dup, fcntl, ioctl},
    sys::kernel,
};
use std::ffi::{c_int, c_long, c_ulong, c_void};

/// Closes a descriptor; waits for SO_LINGER. See close(2). A cancellation point.
///
/// @param fd  a descriptor
/// @return 0, or -1 with errno EBADF; for other descriptors as close(2)
#[unsafe(no_mangle)]
pub extern "C-unwind" fn sockeye_close(fd: c_int) -> c_int {
    // SAFETY: no pointers.
    if close::close(fd) { 0 } else { unsafe { kernel::close(fd) } }
}

/// A second descriptor for the same open socket. See dup(2).
///
/// @param fd  a descriptor
/// @return the lowest free descriptor, or -1 with errno EBADF, EMFILE
#[unsafe(no_mangle)]
pub extern "C-unwind" fn sockeye_dup(fd: c_int) -> c_int {
    int(call(|| dup::dup(fd, 0, false)))
}

/// Like sockeye_dup(), to a number of choice, which is closed first. See dup2(2).
///
/// @param fd    a descriptor
/// @param onto  the new number
/// @return the new number, or -1 with errno EBADF
#[unsafe(no_mangle)]
pub extern "C-unwind" fn sockeye_dup2(fd: c_int, onto: c_int) -> c_int {
    int(dup::dup2(fd, onto))
}

/// Like sockeye_dup2(), with O_CLOEXEC. See dup3(2).
///
/// @param fd     a descriptor
/// @param onto   the new number, which must be another one
/// @param flags  0 or O_CLOEXEC
/// @return the new number, or -1 with errno EBADF, EINVAL
#[unsafe(no_mangle)]
pub extern "C-unwind" fn sockeye_dup3(fd: c_int, onto: c_int, flags: c_int) -> c_int {
    int(dup::dup3(fd, onto, flags))
}

/// Variadic in C: the argument, if there is one, is passed as this one is.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockeye_fcntl(fd: c_int, command: c_int, arg: c_long) -> c_int {
    // SAFETY: the caller's own arguments.
    or_kernel(call(|| fcntl::fcntl(fd, command, arg)), || unsafe { kernel::fcntl(fd, command, arg) })
}

/// Variadic in C: the argument, if there is one, is passed as this one is.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockeye_ioctl(fd: c_int, request: c_ulong, arg: *mut c_void) -> c_int {
    let result = call(|| ioctl::ioctl(fd, request, arg as usize));
    // SAFETY: the caller's own arguments.
    or_kernel(result, || unsafe { kernel::ioctl(fd, request, arg) })
}

/// Ours to answer, or the kernel's.
fn or_kernel(result: Result<Option<c_int>>, kernel: impl FnOnce() -> c_int) -> c_int {
    match result {
        Ok(Some(value)) => value,
        Ok(None) => kernel(),
        Err(error) => {
            errno::set(error);
            -1
        }
    }
}
