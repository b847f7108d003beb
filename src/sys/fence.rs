//! The fence that closes the kernel's network to this process and all it becomes ([`sockeye_shim::fence`]).

use sockeye_shim::fence::{self, Raised};
use std::{
    io,
    os::fd::{FromRawFd, OwnedFd},
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
