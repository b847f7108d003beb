//! The C library's own calls, for descriptors that are not ours. They are cancellation points, so that they unwind.

use std::ffi::{c_int, c_long, c_ulong, c_void};

#[allow(missing_docs, reason = "those of the man pages")]
unsafe extern "C-unwind" {
    pub fn close(fd: c_int) -> c_int;
    pub fn read(fd: c_int, buf: *mut c_void, len: usize) -> isize;
    pub fn write(fd: c_int, buf: *const c_void, len: usize) -> isize;
    pub fn readv(fd: c_int, iov: *const libc::iovec, count: c_int) -> isize;
    pub fn writev(fd: c_int, iov: *const libc::iovec, count: c_int) -> isize;
    pub fn fcntl(fd: c_int, command: c_int, arg: c_long) -> c_int;
    pub fn ioctl(fd: c_int, request: c_ulong, arg: *mut c_void) -> c_int;
    pub fn sendfile(out: c_int, input: c_int, offset: *mut i64, count: usize) -> isize;
    pub fn epoll_pwait(
        epfd: c_int,
        events: *mut libc::epoll_event,
        max: c_int,
        timeout: c_int,
        mask: *const libc::sigset_t,
    ) -> c_int;
}
