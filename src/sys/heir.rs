//! A process that takes over the descriptors of this one when it ends, however it ends.
//!
//! It shares the descriptors (CLONE_FILES) and nothing else: what this process had open stays open until the heir, too,
//! has ended. It costs a sleeping process whose memory is that of its parent.

use super::{rights, threads};
use std::{
    fs, io,
    os::fd::{FromRawFd, OwnedFd, RawFd},
    ptr,
};

/// The parent's end is told by this signal (PR_SET_PDEATHSIG). Any other wakes the heir for nothing.
const END: libc::c_int = libc::SIGTERM;

/// Starts an heir: it sleeps until this process has ended, then does `last` with all its descriptors, and ends.
///
/// To be called by the main thread of a process that has no other, as another's lock would stay locked in the heir.
///
/// # Errors
/// This is not the main thread of a process without others; those of clone(2).
pub fn appoint(last: impl FnOnce(Vec<OwnedFd>)) -> io::Result<()> {
    if !threads::is_alone() {
        return Err(io::ErrorKind::Unsupported.into());
    }
    // SAFETY: no pointers; it cannot fail.
    let own = unsafe { libc::getpid() };
    // SAFETY: as fork(2), but for the descriptors: a copy of this process goes on from here, on a copy of this stack.
    // Its end is told by no signal.
    match unsafe { libc::syscall(libc::SYS_clone, libc::CLONE_FILES, 0, 0, 0, 0) } {
        0 => {
            // What it does later is done with what it has. Should the kernel refuse, it is no worse than its parent.
            let _ = rights::give_up();
            sleep(own);
            last(inheritance());
            // SAFETY: ends the process at once: nothing of the parent's is to run here at exit.
            unsafe { libc::_exit(0) }
        }
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Sleeps until the parent has ended. No signal but SIGKILL ends the heir before.
fn sleep(parent: libc::pid_t) {
    // SAFETY: system calls with pointers to locals alone.
    unsafe {
        libc::prctl(libc::PR_SET_NAME, c"sockeye-heir".as_ptr());
        // No folder is in use because of it.
        libc::chdir(c"/".as_ptr());
        let mut all = std::mem::zeroed();
        libc::sigfillset(&mut all);
        libc::sigprocmask(libc::SIG_SETMASK, &all, ptr::null_mut());
        libc::prctl(libc::PR_SET_PDEATHSIG, END);
        while libc::getppid() == parent {
            libc::sigwaitinfo(&all, ptr::null_mut());
        }
    }
}

/// All descriptors but the standard ones.
fn inheritance() -> Vec<OwnedFd> {
    let Ok(listing) = fs::read_dir("/proc/self/fd") else { return Vec::new() };
    let numbers: Vec<RawFd> =
        listing.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(|fd| *fd > 2).collect();
    // The listing's own is closed by now.
    // SAFETY: no pointers.
    let is_open = |fd: &RawFd| unsafe { libc::fcntl(*fd, libc::F_GETFD) } >= 0;
    // SAFETY: whoever had them has ended, and this process has one thread: they are nobody else's.
    numbers.into_iter().filter(is_open).map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }).collect()
}
