//! Rights that a process gives up for good: capabilities(7), those that exec could give, and being looked into by
//! others (prctl(2)).

use sockeye_shim::kernel;
use std::io;

/// Gives up all rights of the calling thread but those of its user. The process leaves no core, and only root sees what
/// it has in memory and open.
///
/// To be called by the only thread of a process: others would keep theirs.
///
/// # Errors
/// The kernel refuses; some may be gone then.
pub fn give_up() -> io::Result<()> {
    clear_bounding_set()?;
    // SAFETY: no pointers. A kernel without ambient capabilities (before Linux 4.3) has none to clear.
    unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) };
    clear_capabilities()?;
    kernel::give_up_new_rights().map_err(|errno| io::Error::from_raw_os_error(errno.0))?;
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a valid rlimit, and numbers.
    let done = unsafe {
        libc::setrlimit(libc::RLIMIT_CORE, &raw const none) == 0 && libc::prctl(libc::PR_SET_DUMPABLE, 0) == 0
    };
    if done { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn clear_capabilities() -> io::Result<()> {
    // linux/capability.h: version 3, for the calling thread; effective, permitted and inheritable, twice 32 of each.
    const VERSION: u32 = 0x2008_0522;
    let (header, none) = ([VERSION, 0], [0u32; 6]);
    // SAFETY: a header, and sets as long as its version has them.
    match unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), none.as_ptr()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// What no exec can give any more. Only who has CAP_SETPCAP may take from it; for others that exec gives nothing
/// (PR_SET_NO_NEW_PRIVS) says the same.
fn clear_bounding_set() -> io::Result<()> {
    for capability in 0..64 {
        // SAFETY: no pointers.
        if unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) } == 0 {
            continue;
        }
        return match io::Error::last_os_error() {
            // The kernel has no more, or this process must not.
            error if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EPERM)) => Ok(()),
            error => Err(error),
        };
    }
    Ok(())
}
