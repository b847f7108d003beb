//! A process that takes over the descriptors of this one when it ends, however it ends.
//!
//! It shares the descriptors (CLONE_FILES) and nothing else: what this process had open stays open until the heir, too,
//! has ended. It costs a sleeping process whose memory is that of its parent. Beside it sleeps another of the kind, its
//! substitute: should one of the two be killed, the other makes a new one, and should the heir be stopped when it is
//! wanted, the substitute ends it and does its work.

use super::{rights, threads, unix};
use std::{
    fs, io, mem,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd},
    ptr,
    time::Duration,
};

/// A substitute is told by this signal that its heir has ended (PR_SET_PDEATHSIG).
const ORPHANED: libc::c_int = libc::SIGTERM;
/// How long an heir may stand still when it is wanted, before its substitute does its work.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often it is looked whether it has ended, and how soon one is made in the place of one that was killed.
const STEP: Duration = Duration::from_millis(20);

/// Starts an heir: it sleeps until this process has ended, then does `last` with all its descriptors, and ends.
///
/// To be called by the main thread of a process that has no other, as another's lock would stay locked in the heir.
///
/// # Errors
/// This is not the main thread of a process without others; those of clone(2) and pidfd_open(2).
pub fn appoint(last: impl FnOnce(Vec<OwnedFd>)) -> io::Result<()> {
    if !threads::is_alone() {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let served = unix::watch_process(own_pid())?;
    // Its end is told by no signal.
    match share(0)? {
        0 => {
            // What it does later is done with what it has. Should the kernel refuse, it is no worse than its parent.
            let _ = rights::give_up();
            settle();
            // SAFETY: it is open in the descriptors that are shared until everybody who has them has ended.
            keep_watch(unsafe { BorrowedFd::borrow_raw(served.into_raw_fd()) });
            last(inheritance());
            // SAFETY: ends the process at once: nothing of the parent's is to run here at exit.
            unsafe { libc::_exit(0) }
        }
        _ => {
            // The heir's, in the same table.
            let _ = served.into_raw_fd();
            Ok(())
        }
    }
}

fn own_pid() -> libc::pid_t {
    // SAFETY: no pointers; it cannot fail.
    unsafe { libc::getpid() }
}

fn parent() -> libc::pid_t {
    // SAFETY: no pointers; it cannot fail.
    unsafe { libc::getppid() }
}

/// As fork(2), but for the descriptors: a copy of this process goes on from here, on a copy of this stack. Its end is
/// told by that signal.
fn share(signal: libc::c_int) -> io::Result<libc::pid_t> {
    // SAFETY: no pointers.
    match unsafe { libc::syscall(libc::SYS_clone, libc::CLONE_FILES | signal, 0, 0, 0, 0) } {
        -1 => Err(io::Error::last_os_error()),
        pid => libc::pid_t::try_from(pid).map_err(io::Error::other),
    }
}

/// Takes the name, and makes sure that no signal but SIGKILL ends this process: those that tell something interrupt
/// [`await_end`], all others are left alone.
fn settle() {
    extern "C" fn wake(_: libc::c_int) {}
    // SAFETY: strings; sets and an action that are valid; the handler does nothing.
    unsafe {
        libc::prctl(libc::PR_SET_NAME, c"sockeye-heir".as_ptr());
        // No folder is in use because of it.
        libc::chdir(c"/".as_ptr());
        let mut all = mem::zeroed();
        libc::sigfillset(&mut all);
        libc::sigprocmask(libc::SIG_SETMASK, &all, ptr::null_mut());
        let mut action: libc::sigaction = mem::zeroed();
        action.sa_sigaction = wake as extern "C" fn(libc::c_int) as usize;
        for signal in [ORPHANED, libc::SIGCHLD] {
            libc::sigaction(signal, &action, ptr::null_mut());
        }
    }
}

/// Sleeps until the process has ended whose end that descriptor tells, or was closed by who has seen it first: true.
/// False after a signal that tells something.
fn await_end(served: BorrowedFd<'_>, limit: Option<Duration>) -> bool {
    let mut poll = libc::pollfd { fd: served.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let limit = limit.map(|limit| libc::timespec { tv_sec: 0, tv_nsec: limit.subsec_nanos().into() });
    let limit = limit.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: a place for the result, a time, and a set that is filled.
    unsafe {
        let mut others = mem::zeroed();
        libc::sigfillset(&mut others);
        libc::sigdelset(&mut others, ORPHANED);
        libc::sigdelset(&mut others, libc::SIGCHLD);
        libc::ppoll(&raw mut poll, 1, limit, &others) == 1
    }
}

/// Returns in the one process that is to do the last things, when they are to be done.
fn keep_watch(served: BorrowedFd<'_>) {
    loop {
        let heir = own_pid();
        match share(libc::SIGCHLD) {
            Ok(0) => {
                if substitute(served, heir) {
                    return;
                }
                // It is the heir now.
            }
            Ok(substitute) => {
                if attend(served, substitute) {
                    return;
                }
                if await_end(served, Some(STEP)) {
                    return;
                }
            }
            // Alone it is as good as long as nobody kills it.
            Err(_) => {
                while !await_end(served, None) {}
                return;
            }
        }
    }
}

/// What the heir does: true when the process that it serves has ended, false when its substitute has.
fn attend(served: BorrowedFd<'_>, substitute: libc::pid_t) -> bool {
    loop {
        if await_end(served, None) {
            return true;
        }
        // SAFETY: no pointers; it is a child of this process.
        if unsafe { libc::waitpid(substitute, ptr::null_mut(), libc::WNOHANG) } != 0 {
            return false;
        }
    }
}

/// What the substitute does: true when the process that they serve has ended and so has the heir, which may have done
/// its work; false when the heir alone has.
fn substitute(served: BorrowedFd<'_>, heir: libc::pid_t) -> bool {
    // SAFETY: numbers.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, ORPHANED) };
    while parent() == heir {
        if !await_end(served, None) {
            continue;
        }
        let mut stood_still = Duration::ZERO;
        while parent() == heir {
            std::thread::sleep(STEP);
            stood_still = if is_stopped(heir) { stood_still + STEP } else { Duration::ZERO };
            if stood_still >= PATIENCE {
                // What it has not done is to be done here, and not twice.
                // SAFETY: no pointers; it is this process's parent still, so nobody else has its number.
                unsafe { libc::kill(heir, libc::SIGKILL) };
            }
        }
        return true;
    }
    // Both may have ended.
    await_end(served, Some(Duration::ZERO))
}

/// Whether a process was stopped, by a signal or by who traces it (proc_pid_stat(5)).
fn is_stopped(pid: libc::pid_t) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, state)| state.starts_with(['T', 't']))
}

/// All descriptors but the standard ones.
fn inheritance() -> Vec<OwnedFd> {
    let Ok(listing) = fs::read_dir("/proc/self/fd") else { return Vec::new() };
    let numbers: Vec<RawFd> =
        listing.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(|fd| *fd > 2).collect();
    // The listing's own is closed by now.
    // SAFETY: no pointers.
    let is_open = |fd: &RawFd| unsafe { libc::fcntl(*fd, libc::F_GETFD) } >= 0;
    // SAFETY: whoever had them has ended, or does nothing more with them: they are nobody else's.
    numbers.into_iter().filter(is_open).map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }).collect()
}
