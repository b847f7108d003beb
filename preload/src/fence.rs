//! The fence around a program that was started by hand: `sockeye run` raises it before its program runs, and this
//! library as soon as the program has a host.

use crate::settings::{Settings, say};
use core::sync::atomic::{AtomicI32, Ordering};
use sockeye_shim::{
    Errno, Result,
    fence::{self, Raised},
    host::Host,
    kernel,
};

/// The process that is known to be behind the fence. A child of vfork shares it, and asks for itself.
static BEHIND: AtomicI32 = AtomicI32::new(0);

/// Raises the fence around all threads of this process, unless it is behind one or SOCKEYE_ALLOW_KERNEL is on. `host`
/// then lives as long as they and all they start.
///
/// # Errors
///
/// EMFILE, ENFILE; ENETDOWN, after one line that says why.
pub fn raise(settings: &Settings, host: &Host<'_>) -> Result<()> {
    // SAFETY: it takes nothing.
    let own = unsafe { libc::getpid() };
    if settings.allow_kernel || BEHIND.load(Ordering::Relaxed) == own {
        return Ok(());
    }
    if !fence::is_raised() {
        match fence::raise(true) {
            Ok(Raised::Held(tree)) => {
                let held = host.hold(tree);
                let _ = kernel::close(tree);
                if held.is_err() {
                    say(b"the stack's host has ended; start the program again");
                    return held;
                }
            }
            Ok(Raised::Unheld) => {}
            Err(errno @ Errno(libc::EMFILE | libc::ENFILE)) => return Err(errno),
            Err(_) => {
                say(b"seccomp(2) cannot close the kernel's network to this program; SOCKEYE_ALLOW_KERNEL=1 leaves it open");
                return Err(Errno(libc::ENETDOWN));
            }
        }
    }
    BEHIND.store(own, Ordering::Relaxed);
    Ok(())
}
