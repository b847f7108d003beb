//! Descriptor numbers: each of our sockets holds a real descriptor of the process, so that its number is low, unique
//! and the kernel's to give. What it refers to is of no use to anybody: a file in memory without a byte, opened by
//! O_PATH. Every read, write or poll that by-passes this library says EBADF; it is no folder that files could be opened
//! from, in whatever root the process is by then; and lsof(8) says what it is. One such file is opened once; a
//! descriptor is a duplicate of it (0.35 us).
//!
//! All by raw system calls: none is a cancellation point, none is ever intercepted by ourselves.

use crate::error::{Error, Result};
use sockeye_shim::narrow;
use std::{
    ffi::{CStr, c_int, c_long},
    sync::atomic::{AtomicI32, Ordering},
};

const UNOPENED: c_int = -1;
/// The file that descriptors are duplicates of.
static TEMPLATE: AtomicI32 = AtomicI32::new(UNOPENED);
/// Descriptors of the library itself stay out of the low numbers, which programs count on.
const HIGH: c_int = 512;

/// A descriptor that close-on-exec is set on or not.
///
/// # Errors
/// `TooManyFiles`, `FileTableFull`, `NoMemory`.
pub fn new(cloexec: bool) -> Result<c_int> {
    let duplicate = |template| dup(template, 0, cloexec);
    match TEMPLATE.load(Ordering::Relaxed) {
        UNOPENED => duplicate(open_template(UNOPENED)?),
        template => match duplicate(template) {
            // A program that closes all descriptors it does not know has closed this one too.
            Err(Error::BadDescriptor) => duplicate(open_template(template)?),
            result => result,
        },
    }
}

#[cold]
fn open_template(stale: c_int) -> Result<c_int> {
    let fd = heightened(nameless()?);
    match TEMPLATE.compare_exchange(stale, fd, Ordering::Relaxed, Ordering::Relaxed) {
        Ok(_) => Ok(fd),
        Err(winner) => {
            close(fd);
            Ok(winner)
        }
    }
}

/// Opens `path` close-on-exec, at a high number where the limit allows one.
///
/// # Errors
/// `TooManyFiles` and the like; `NotFound`, `AccessDenied`.
pub fn open_high(path: &CStr, flags: c_int) -> Result<c_int> {
    // SAFETY: `path` is a C string.
    let fd = checked(unsafe {
        libc::syscall(libc::SYS_openat, libc::AT_FDCWD, path.as_ptr(), flags | libc::O_CLOEXEC, 0 as c_long)
    })?;
    Ok(heightened(fd))
}

/// Moves a descriptor to a high number where the limit allows one.
fn heightened(fd: c_int) -> c_int {
    match dup(fd, HIGH, true) {
        Ok(high) => {
            close(fd);
            high
        }
        Err(_) => fd,
    }
}

/// What placeholders refer to: an O_PATH descriptor of a file that only it refers to.
fn nameless() -> Result<c_int> {
    // SAFETY: a C string, and a flag.
    let file = checked(unsafe { libc::syscall(libc::SYS_memfd_create, c"sockeye".as_ptr(), libc::MFD_CLOEXEC) })?;
    let flags = narrow!(libc::OPEN_TREE_CLOEXEC => c_int) | libc::AT_EMPTY_PATH;
    // SAFETY: an empty C string: the file itself is meant.
    let path = checked(unsafe { libc::syscall(libc::SYS_open_tree, file, c"".as_ptr(), flags) });
    // Containers may refuse open_tree(2); chroot(2) may have left proc(5) behind.
    let path = path.or_else(|_| reopened(file));
    close(file);
    path
}

/// An O_PATH descriptor of what `fd` refers to, by way of proc(5).
fn reopened(fd: c_int) -> Result<c_int> {
    let link = format!("/proc/self/fd/{fd}\0");
    let flags = libc::O_PATH | libc::O_CLOEXEC;
    // SAFETY: a string with its NUL.
    checked(unsafe { libc::syscall(libc::SYS_openat, libc::AT_FDCWD, link.as_ptr(), flags, 0 as c_long) })
}

/// The lowest free descriptor from `min` on, made a duplicate of `fd`.
///
/// # Errors
/// `BadDescriptor`, `Invalid` (a `min` beyond the limit), `TooManyFiles`.
pub fn dup(fd: c_int, min: c_int, cloexec: bool) -> Result<c_int> {
    let command = if cloexec { libc::F_DUPFD_CLOEXEC } else { libc::F_DUPFD };
    fcntl(fd, command, min)
}

/// Makes `onto` a duplicate of `fd`, closing what it was.
///
/// # Errors
/// `BadDescriptor`, `Invalid` (the same numbers), `Busy`.
pub fn dup_onto(fd: c_int, onto: c_int, cloexec: bool) -> Result<()> {
    let flags = if cloexec { libc::O_CLOEXEC } else { 0 };
    // SAFETY: no pointers.
    checked(unsafe { libc::syscall(libc::SYS_dup3, fd, onto, flags) }).map(drop)
}

/// Closes a descriptor.
pub fn close(fd: c_int) {
    // SAFETY: no pointers. On Linux the number is free afterwards whatever close(2) says.
    unsafe { libc::syscall(libc::SYS_close, fd) };
}

/// Whether `fd` is open.
pub fn is_open(fd: c_int) -> bool {
    fcntl(fd, libc::F_GETFD, 0).is_ok()
}

/// A descriptor flag call of fcntl(2) that takes an integer.
///
/// # Errors
/// As fcntl(2).
pub fn fcntl(fd: c_int, command: c_int, arg: c_int) -> Result<c_int> {
    // SAFETY: commands given here take an integer.
    checked(unsafe { libc::syscall(libc::SYS_fcntl, fd, command, c_long::from(arg)) })
}

/// The result of a raw system call.
pub(super) fn checked(result: c_long) -> Result<c_int> {
    // What succeeds here is a descriptor, or how many there are: an int of the kernel's.
    if let Ok(result @ 0..) = c_int::try_from(result) {
        return Ok(result);
    }
    // SAFETY: errno's place is the calling thread's own.
    Err(match unsafe { *libc::__errno_location() } {
        libc::EBADF => Error::BadDescriptor,
        libc::EINVAL => Error::Invalid,
        libc::EMFILE => Error::TooManyFiles,
        libc::ENFILE => Error::FileTableFull,
        libc::ENOMEM | libc::ENOSPC => Error::NoMemory,
        libc::EBUSY => Error::Busy,
        libc::EINTR => Error::Interrupted,
        libc::EPERM => Error::NotPermitted,
        libc::EACCES => Error::AccessDenied,
        libc::EEXIST => Error::Exists,
        libc::ENOENT => Error::NotFound,
        libc::ELOOP => Error::TooManyLevels,
        libc::EFAULT => Error::Fault,
        libc::ESPIPE => Error::NotSeekable,
        // What is no file to read from, as sendfile(2) calls it.
        libc::EISDIR => Error::Invalid,
        libc::EAGAIN => Error::WouldBlock,
        _ => Error::Io,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_descriptors_that_only_this_library_can_use() {
        let (a, b) = (new(true).unwrap(), new(false).unwrap());
        assert_ne!(a, b);
        assert_eq!(fcntl(a, libc::F_GETFD, 0), Ok(libc::FD_CLOEXEC));
        assert_eq!(fcntl(b, libc::F_GETFD, 0), Ok(0));
        let mut byte = 0u8;
        // SAFETY: a valid buffer of one byte.
        assert_eq!(unsafe { libc::read(a, (&raw mut byte).cast(), 1) }, -1);
        // SAFETY: valid strings.
        let (opened, linked) = unsafe {
            let mut link = [0u8; 64];
            let path = format!("/proc/self/fd/{a}\0");
            let len = libc::readlink(path.as_ptr().cast(), link.as_mut_ptr().cast(), link.len());
            (libc::openat(a, c"etc/passwd".as_ptr(), libc::O_RDONLY), link[..len.unsigned_abs()].to_vec())
        };
        assert_eq!((opened, std::io::Error::last_os_error().raw_os_error()), (-1, Some(libc::ENOTDIR)));
        assert!(linked.starts_with(b"/memfd:sockeye"), "{}", String::from_utf8_lossy(&linked));
        close(a);
        close(b);
        assert!(!is_open(1_000_000));
    }

    #[test]
    fn both_ways_to_the_file_of_placeholders_make_the_same() {
        let (file, flags) = (nameless().unwrap(), |fd| fcntl(fd, libc::F_GETFL, 0).map(|flags| flags & libc::O_PATH));
        let again = reopened(file).unwrap();
        for fd in [file, again] {
            assert_eq!((flags(fd), fcntl(fd, libc::F_GETFD, 0)), (Ok(libc::O_PATH), Ok(libc::FD_CLOEXEC)));
            close(fd);
        }
    }
}
