//! When another process's socket is closed for the last time: inotify(7) on the file itself, which tells of the last of
//! all its descriptors, in whichever process, also if that was killed. Who is told needs no descriptor of it.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
};

/// Files that are watched.
#[derive(Debug)]
pub struct LastClose(OwnedFd);

/// sizeof(struct inotify_event), without a name behind it.
const EVENT: usize = 16;

impl LastClose {
    /// Watches nothing yet.
    ///
    /// # Errors
    /// Those of inotify_init1(2).
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointers.
        let fd = unsafe { libc::inotify_init1(libc::IN_NONBLOCK | libc::IN_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just made it, for us alone.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Watches a file that this process has open for now. Returns a number that [`LastClose::take`] comes back with.
    ///
    /// # Errors
    /// Those of inotify_add_watch(2); there is no /proc.
    pub fn add(&self, file: BorrowedFd<'_>) -> io::Result<i32> {
        let path = std::ffi::CString::new(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
        // SAFETY: the path ends with a NUL.
        let watch = unsafe { libc::inotify_add_watch(self.0.as_raw_fd(), path.as_ptr(), libc::IN_CLOSE) };
        if watch < 0 { Err(io::Error::last_os_error()) } else { Ok(watch) }
    }

    /// The files that were closed, each once; what was kept for them is let go of.
    pub fn take(&self) -> Vec<i32> {
        let (mut closed, mut bytes) = (Vec::new(), [0u8; 64 * EVENT]);
        // SAFETY: the kernel writes at most as many bytes as there are.
        while let n @ 1.. = unsafe { libc::read(self.0.as_raw_fd(), bytes.as_mut_ptr().cast(), bytes.len()) } {
            // Files have no names here: each event is as long as its struct.
            for event in bytes.get(..n.unsigned_abs()).unwrap_or_default().chunks_exact(EVENT) {
                let [w0, w1, w2, w3, m0, m1, m2, m3, ..] = event else { continue };
                let watch = i32::from_ne_bytes([*w0, *w1, *w2, *w3]);
                if u32::from_ne_bytes([*m0, *m1, *m2, *m3]) & libc::IN_CLOSE != 0 {
                    self.remove(watch);
                    closed.push(watch);
                }
            }
        }
        closed
    }

    fn remove(&self, watch: i32) {
        // SAFETY: no pointers. A watch that is gone is as good as one that is removed.
        unsafe { libc::inotify_rm_watch(self.0.as_raw_fd(), watch) };
    }
}

impl AsFd for LastClose {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixDatagram;

    #[test]
    fn a_socket_is_told_of_once_when_its_last_descriptor_is_closed() {
        let closed = LastClose::new().unwrap();
        let (one, other) = (UnixDatagram::unbound().unwrap(), UnixDatagram::unbound().unwrap());
        let copy = one.try_clone().unwrap();
        let watch = closed.add(one.as_fd()).unwrap();
        assert_ne!(closed.add(other.as_fd()).unwrap(), watch);
        assert_eq!(closed.add(copy.as_fd()).unwrap(), watch, "the same file");
        drop(one);
        assert_eq!(closed.take(), Vec::<i32>::new());
        drop(copy);
        assert_eq!((closed.take(), closed.take()), (vec![watch], vec![]));
    }
}
