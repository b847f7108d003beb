//! Reading files of the kernel at a place of choice, by raw calls: none is a cancellation point.

use super::placeholder::checked;
use crate::error::{Error, Result};
use std::{
    ffi::{c_int, c_long},
    mem::MaybeUninit,
};

/// pread(2).
///
/// # Errors
/// As pread(2).
pub fn read_at(fd: c_int, into: &mut [u8], offset: i64) -> Result<usize> {
    // SAFETY: the kernel writes at most `into.len()` bytes to memory that is ours to write.
    let read = unsafe { libc::syscall(libc::SYS_pread64, fd, into.as_mut_ptr(), into.len(), offset) };
    checked(read).map(|read| read.unsigned_abs() as usize)
}

/// Where the next read(2) of `fd` begins, bytes.
///
/// # Errors
/// `BadDescriptor`; `NotSeekable`.
pub fn position(fd: c_int) -> Result<i64> {
    seek(fd, 0, libc::SEEK_CUR)
}

/// Has the next read(2) of `fd` begin at `offset`.
///
/// # Errors
/// `BadDescriptor`; `NotSeekable`; `Invalid` for a negative offset.
pub fn set_position(fd: c_int, offset: i64) -> Result<()> {
    seek(fd, offset, libc::SEEK_SET).map(drop)
}

fn seek(fd: c_int, offset: i64, whence: c_int) -> Result<i64> {
    // SAFETY: no pointers.
    let at: c_long = unsafe { libc::syscall(libc::SYS_lseek, fd, offset, whence) };
    if at >= 0 { Ok(at) } else { Err(checked(at).err().unwrap_or(Error::Io)) }
}

/// The length of a regular file, bytes; 0 for what has none.
///
/// # Errors
/// `BadDescriptor`.
pub fn size(fd: c_int) -> Result<i64> {
    let mut stat = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: a place for the result.
    checked(unsafe { libc::fstat(fd, stat.as_mut_ptr()) }.into())?;
    // SAFETY: fstat has succeeded, so it has filled the place.
    Ok(unsafe { stat.assume_init() }.st_size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{io::Write, os::fd::AsRawFd};

    #[test]
    fn a_file_is_read_where_one_wants_and_its_position_is_its_own() {
        // SAFETY: a C string; the descriptor is owned by the file alone.
        let mut file = unsafe {
            use std::os::fd::FromRawFd;
            std::fs::File::from_raw_fd(libc::memfd_create(c"test".as_ptr(), libc::MFD_CLOEXEC))
        };
        file.write_all(b"hello").unwrap();
        let (fd, mut bytes) = (file.as_raw_fd(), [0; 9]);
        assert_eq!((read_at(fd, &mut bytes, 2), position(fd), size(fd)), (Ok(3), Ok(5), Ok(5)));
        assert_eq!(&bytes[..3], b"llo");
        assert_eq!((set_position(fd, 1), position(fd)), (Ok(()), Ok(1)));
        assert_eq!(set_position(fd, -1), Err(Error::Invalid));
        assert_eq!(position(-1), Err(Error::BadDescriptor));
    }
}
