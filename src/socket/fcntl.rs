//! fcntl(2).

use super::{
    dup,
    table::{self, Entry},
};
use crate::error::{Error, Result};
use std::sync::atomic::Ordering;

/// Status flags F_SETFL changes. O_APPEND and O_NOATIME mean nothing to a socket, so that remembering them is all there
/// is to do; O_ASYNC is refused, for nobody would send the signal.
const CHANGEABLE: u32 = (libc::O_NONBLOCK | libc::O_APPEND | libc::O_NOATIME) as u32;

/// fcntl(2). `None`: the kernel's to answer, on this very descriptor.
///
/// # Errors
/// As fcntl(2); `Invalid` for commands a socket of ours does not have; `NetDown` for those that are about the socket
/// rather than the descriptor, once its stack was freed.
pub fn fcntl(fd: i32, command: i32, arg: i64) -> Result<Option<i32>> {
    let entry = table::entry(fd);
    match (command, entry) {
        (libc::F_DUPFD | libc::F_DUPFD_CLOEXEC, _) => {
            let min = i32::try_from(arg).map_err(|_| Error::Invalid)?;
            dup::dup(fd, min, command == libc::F_DUPFD_CLOEXEC).map(Some)
        }
        (_, Entry::Foreign | Entry::Epoll(..)) | (libc::F_GETFD | libc::F_SETFD, _) => Ok(None),
        (_, Entry::Socket(socket)) => {
            socket.live()?;
            let status = &socket.fields().status;
            match command {
                libc::F_GETFL => Ok(Some(libc::O_RDWR | status.load(Ordering::Relaxed) as i32)),
                libc::F_SETFL if arg & i64::from(libc::O_ASYNC | libc::O_DIRECT) != 0 => Err(Error::Invalid),
                libc::F_SETFL => {
                    status.store(arg as u32 & CHANGEABLE, Ordering::Relaxed);
                    Ok(Some(0))
                }
                libc::F_GETOWN => Ok(Some(0)),
                libc::F_SETOWN if arg == 0 => Ok(Some(0)),
                _ => Err(Error::Invalid),
            }
        }
    }
}
