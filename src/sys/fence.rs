//! The fence that closes the kernel's network to this process and all it becomes ([`sockeye_shim::fence`]).

use sockeye_shim::fence::{self, Raised};
use std::{
    io,
    os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
};

pub use sockeye_shim::fence::{gains_no_rights, is_raised};

/// Raises it around this thread and all it will start. Returns the descriptor that hangs up when the last of them has
/// ended; there is none where another filter with a listener was here before.
///
/// # Errors
/// Those of seccomp(2).
pub fn raise() -> io::Result<Option<OwnedFd>> {
    match fence::raise(false).map_err(|errno| io::Error::from_raw_os_error(errno.0))? {
        // SAFETY: the kernel has just made it, for us alone.
        Raised::Held(listener) => Ok(Some(unsafe { OwnedFd::from_raw_fd(listener) })),
        Raised::Unheld => Ok(None),
    }
}

/// Asks a listener whether a call waits that is reported under this number (SECCOMP_IOCTL_NOTIF_ID_VALID of
/// linux/seccomp.h).
pub const ID_VALID: libc::c_ulong = 0x4008_2102;

/// Whether a descriptor is a fence's, which tells the end of those behind it.
pub fn is_listener(descriptor: &impl AsFd) -> bool {
    let none = u64::MAX;
    // SAFETY: a listener reads 8 bytes; what is none refuses the request.
    let answer = unsafe { libc::syscall(libc::SYS_ioctl, descriptor.as_fd().as_raw_fd(), ID_VALID, &raw const none) };
    answer == -1 && io::Error::last_os_error().raw_os_error() == Some(libc::ENOENT)
}
