//! libc's names that packetdrill calls itself, past its interface: getsockopt(2) in code blocks, close(2) at the end of
//! a script, sendfile(2). The library is preloaded for them. Descriptors that are not ours go on to the kernel, without
//! a word of libc's: its own functions of these names would be ours again.

use libc::{off_t, size_t, socklen_t, ssize_t};
use sockeye::{
    capi,
    engine::virtual_time,
    socket::table::{self, Entry},
};
use std::ffi::{c_int, c_void};

fn is_ours(fd: c_int) -> bool {
    !matches!(table::entry(fd), Entry::Foreign)
}

/// getsockopt(2)
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn getsockopt(
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *mut c_void,
    len: *mut socklen_t,
) -> c_int {
    if is_ours(fd) {
        // SAFETY: the caller's own arguments.
        return virtual_time::call(|| unsafe { capi::sockeye_getsockopt(fd, level, name, value, len) });
    }
    // SAFETY: the caller's own arguments.
    unsafe { libc::syscall(libc::SYS_getsockopt, fd, level, name, value, len) as c_int }
}

/// setsockopt(2)
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn setsockopt(
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *const c_void,
    len: socklen_t,
) -> c_int {
    if is_ours(fd) {
        // SAFETY: the caller's own arguments.
        return virtual_time::call(|| unsafe { capi::sockeye_setsockopt(fd, level, name, value, len) });
    }
    // SAFETY: the caller's own arguments.
    unsafe { libc::syscall(libc::SYS_setsockopt, fd, level, name, value, len) as c_int }
}

/// close(2)
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn close(fd: c_int) -> c_int {
    if is_ours(fd) {
        return virtual_time::call(|| capi::sockeye_close(fd));
    }
    // SAFETY: no pointers.
    unsafe { libc::syscall(libc::SYS_close, fd) as c_int }
}

/// sendfile(2)
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sendfile(out: c_int, input: c_int, offset: *mut off_t, count: size_t) -> ssize_t {
    if is_ours(out) || is_ours(input) {
        // SAFETY: the caller's own arguments.
        return virtual_time::call(|| unsafe { capi::sockeye_sendfile(out, input, offset, count) });
    }
    // SAFETY: the caller's own arguments.
    unsafe { libc::syscall(libc::SYS_sendfile, out, input, offset, count) as ssize_t }
}

/// sendfile(2), as programs call it that were compiled for offsets of 64 bits.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sendfile64(out: c_int, input: c_int, offset: *mut off_t, count: size_t) -> ssize_t {
    // SAFETY: the caller's own arguments.
    unsafe { sendfile(out, input, offset, count) }
}
