//! read(2), write(2) and writev(2) without libc's wrappers: those are cancellation points (pthreads(7)), and a thread
//! must not be cancelled while it holds the stack's locks. The wrappers may also be interposed, these cannot.

use std::{
    io::{self, IoSlice},
    os::fd::{AsRawFd, BorrowedFd},
};

fn result(returned: libc::c_long) -> io::Result<usize> {
    usize::try_from(returned).map_err(|_| io::Error::last_os_error())
}

/// read(2).
///
/// # Errors
/// Those of read(2), `Interrupted` among them.
pub fn read(fd: BorrowedFd<'_>, into: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the kernel writes at most `into.len()` bytes to memory that is ours to write.
    result(unsafe { libc::syscall(libc::SYS_read, fd.as_raw_fd(), into.as_mut_ptr(), into.len()) })
}

/// write(2).
///
/// # Errors
/// Those of write(2), `Interrupted` among them.
pub fn write(fd: BorrowedFd<'_>, from: &[u8]) -> io::Result<usize> {
    // SAFETY: the kernel reads at most `from.len()` bytes of memory that is borrowed for the call.
    result(unsafe { libc::syscall(libc::SYS_write, fd.as_raw_fd(), from.as_ptr(), from.len()) })
}

/// writev(2). At most `IOV_MAX` (1024) slices.
///
/// # Errors
/// Those of writev(2), `Interrupted` among them.
pub fn writev(fd: BorrowedFd<'_>, from: &[IoSlice<'_>]) -> io::Result<usize> {
    // SAFETY: an IoSlice is laid out as struct iovec (std promises it), and each borrows its bytes for the call.
    result(unsafe { libc::syscall(libc::SYS_writev, fd.as_raw_fd(), from.as_ptr(), from.len()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn bytes_go_through_a_pipe_and_an_empty_one_would_block() {
        let (rx, tx) = std::os::unix::net::UnixStream::pair().unwrap();
        rx.set_nonblocking(true).unwrap();
        let mut bytes = [0; 8];
        assert_eq!(read(rx.as_fd(), &mut bytes).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert_eq!(write(tx.as_fd(), b"ab").unwrap(), 2);
        assert_eq!(writev(tx.as_fd(), &[IoSlice::new(b"c"), IoSlice::new(b""), IoSlice::new(b"de")]).unwrap(), 3);
        assert_eq!(read(rx.as_fd(), &mut bytes).unwrap(), 5);
        assert_eq!(&bytes[..5], b"abcde");
    }
}
