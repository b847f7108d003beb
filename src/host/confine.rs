//! A host gives up what it needs no more once everything is open that it was told to open: it serves whoever has the
//! token, and reads what anybody sends. Whoever gets hold of it has then no more than its descriptors.
//!
//! | what is left | by |
//! |---|---|
//! | the user it was started by, none of that user's capabilities, none to be gained | [`rights`] |
//! | the root as its folder: the one it was started in may be unmounted | chdir(2) |
//! | no file, no TCP of the kernel's; sockets come and go in two folders | [`landlock`], where there is one |
//! | the calls of [`table`], on descriptors it has | [`seccomp`] |
//!
//! It keeps its user: by that programs know their host (SO_PEERCRED), and another that nobody else has is not to be had
//! without a right to it. What that user may do with files, processes and programs the filter takes away. What wants a
//! right later is the steward's ([`crate::sys::steward`]).
//!
//! A call that is in no table fails with EPERM, and the kernel logs it: every connection of every program hangs on this
//! process, and a C library that asks for something by the way, as other versions may, must not take them all. What is
//! refused is refused either way. A build with debug assertions, as the tests run it, is killed instead, so that what
//! is missing in the table is seen.

use crate::{
    stack::config::Kind,
    sys::{
        fence, landlock, rights,
        seccomp::{
            self, Otherwise, Rule,
            When::{self, Always, Is, Never, Own},
        },
    },
};
use sockeye_shim::narrow;
use std::{env, ffi::c_long, fmt::Display, path::PathBuf};

const OTHERWISE: Otherwise = if cfg!(debug_assertions) { Otherwise::Kill } else { Otherwise::Refuse };

/// All of an argument.
const ALL: u32 = u32::MAX;
const EXECUTABLE: u32 = libc::PROT_EXEC as u32;
const THREAD: u32 = libc::CLONE_THREAD as u32;

/// The calls of every host, those first that it makes most.
const COMMON: &[(c_long, When)] = &[
    // Waiting, and who is waited for.
    (libc::SYS_ppoll, Always),
    (libc::SYS_epoll_pwait, Always),
    (libc::SYS_epoll_create1, Always),
    (libc::SYS_epoll_ctl, Always),
    (libc::SYS_futex, Always),
    (libc::SYS_pidfd_open, Always),
    (libc::SYS_eventfd2, Always),
    // Programs' ends.
    (libc::SYS_recvfrom, Always),
    (libc::SYS_sendto, Always),
    (libc::SYS_recvmsg, Always),
    (libc::SYS_sendmsg, Always),
    (libc::SYS_accept4, Always),
    (libc::SYS_socket, Is(0, ALL, &[libc::AF_UNIX as u32])),
    (libc::SYS_connect, Always),
    (libc::SYS_bind, Always),
    (libc::SYS_listen, Always),
    (libc::SYS_shutdown, Always),
    (libc::SYS_getsockname, Always),
    (libc::SYS_getpeername, Always),
    (libc::SYS_getsockopt, Always),
    (libc::SYS_setsockopt, Is(1, ALL, &[libc::SOL_SOCKET as u32])),
    // The device, the capture, the log.
    (libc::SYS_read, Always),
    (libc::SYS_readv, Always),
    (libc::SYS_write, Always),
    (libc::SYS_writev, Always),
    (libc::SYS_close, Always),
    (
        libc::SYS_fcntl,
        Is(1, ALL, &[libc::F_GETFD as u32, libc::F_SETFD as u32, libc::F_GETFL as u32, libc::F_SETFL as u32]),
    ),
    (libc::SYS_lseek, Always),
    // The paths of programs' sockets, in the folders that landlock(7) leaves: also a folder is removed by this call
    // where there is no other, which landlock refuses.
    (libc::SYS_unlinkat, Is(2, ALL, &[0, libc::AT_REMOVEDIR as u32])),
    // When a program's socket is closed.
    (libc::SYS_inotify_init1, Always),
    (libc::SYS_inotify_add_watch, Always),
    (libc::SYS_inotify_rm_watch, Always),
    // What a descriptor is, and whether the log's file still has its name.
    (libc::SYS_fstat, Always),
    (libc::SYS_newfstatat, Always),
    (libc::SYS_statx, Always),
    // Memory, of which none can be executed.
    (libc::SYS_mmap, Is(2, EXECUTABLE, &[0])),
    (libc::SYS_mprotect, Is(2, EXECUTABLE, &[0])),
    (libc::SYS_munmap, Always),
    (libc::SYS_mremap, Always),
    (libc::SYS_madvise, Always),
    (libc::SYS_brk, Always),
    (libc::SYS_mlock, Always),
    // Threads, but no processes. What clone3(2) is to make is not seen here: libc then takes clone(2).
    (libc::SYS_clone, Is(0, THREAD, &[THREAD])),
    (libc::SYS_clone3, Never(libc::ENOSYS)),
    (libc::SYS_set_robust_list, Always),
    (libc::SYS_rseq, Always),
    (libc::SYS_sched_getaffinity, Always),
    (libc::SYS_sched_yield, Always),
    (libc::SYS_sigaltstack, Always),
    (libc::SYS_prctl, Is(0, ALL, &[libc::PR_SET_NAME as u32])),
    (libc::SYS_exit, Always),
    (libc::SYS_exit_group, Always),
    // Signals of its own: how a process aborts.
    (libc::SYS_rt_sigaction, Always),
    (libc::SYS_rt_sigprocmask, Always),
    (libc::SYS_rt_sigreturn, Always),
    (libc::SYS_tgkill, Own(0)),
    // Times, chance, and names that tell nothing.
    (libc::SYS_clock_gettime, Always),
    (libc::SYS_clock_nanosleep, Always),
    (libc::SYS_nanosleep, Always),
    (libc::SYS_restart_syscall, Always),
    (libc::SYS_getrandom, Always),
    (libc::SYS_uname, Always),
    (libc::SYS_getpid, Always),
    (libc::SYS_gettid, Always),
    (libc::SYS_getuid, Always),
    (libc::SYS_geteuid, Always),
    (libc::SYS_prlimit64, Is(0, ALL, &[0])),
    // The allocator wants to know of overcommitment, and a back trace where the program's file is.
    (libc::SYS_openat, Never(libc::EACCES)),
    (libc::SYS_readlinkat, Never(libc::EACCES)),
    (libc::SYS_getcwd, Never(libc::EACCES)),
];

/// Calls that only this architecture has: older forms, which its libc still makes.
#[cfg(target_arch = "x86_64")]
const OLDER: &[(c_long, When)] = &[
    (libc::SYS_poll, Always),
    (libc::SYS_epoll_wait, Always),
    (libc::SYS_unlink, Always),
    (libc::SYS_rmdir, Never(libc::EACCES)),
    (libc::SYS_readlink, Never(libc::EACCES)),
    (libc::SYS_open, Never(libc::EACCES)),
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &[(c_long, When)] = &[];

/// How much waits in a program's end; whether a descriptor is a fence's; that the way to syslog(3) holds nobody up.
const QUEUED: u32 = narrow!(libc::FIONREAD => u32);
const FENCE: u32 = narrow!(fence::ID_VALID => u32);
const NO_WAIT: u32 = narrow!(libc::FIONBIO => u32);
/// Whether a TAP or TUN device is up.
const IS_UP: u32 = narrow!(libc::SIOCGIFFLAGS => u32);

/// The calls of a host with such a device.
fn table(kind: Kind) -> Vec<Rule> {
    let requests: &[u32] = match kind {
        Kind::Tap | Kind::Tun => &[QUEUED, FENCE, NO_WAIT, IS_UP],
        Kind::Null => &[QUEUED, FENCE, NO_WAIT],
    };
    [COMMON, OLDER, &[(libc::SYS_ioctl, Is(1, ALL, requests))]]
        .concat()
        .into_iter()
        .map(|(call, when)| Rule { call, when })
        .collect()
}

/// Gives up everything but what a host with such a device needs to serve. To be called by the only thread of a process,
/// with all open that it was told to open. Beneath `folders` sockets may still be made and removed.
///
/// # Errors
/// A line: something cannot be given up.
pub fn give_up(kind: Kind, folders: &[PathBuf]) -> Result<(), String> {
    let failed = |what: &str, error: &dyn Display| format!("the host cannot give up its rights: {what}: {error}");
    env::set_current_dir("/").map_err(|error| failed("its folder", &error))?;
    rights::give_up().map_err(|error| failed("capabilities", &error))?;
    if !landlock::shut_out(folders).map_err(|error| failed("landlock", &error))? {
        log::debug!("the kernel has no Landlock: the host shuts itself out of files by its filter of calls alone");
    }
    seccomp::install(&table(kind), OTHERWISE).map_err(|error| failed("seccomp", &error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::seccomp::{Outcome, try_call};

    const KINDS: [Kind; 3] = [Kind::Null, Kind::Tap, Kind::Tun];

    /// What hosts do not do, whoever makes them try. Where the kernel would refuse the call anyway it must not come so
    /// far.
    #[test]
    fn a_forbidden_call_ends_the_host() {
        let none = [0; 6];
        let socket = |family: i32| [family as usize, libc::SOCK_STREAM as usize, 0, 0, 0, 0];
        let protected = |rights: i32| [0, 0, rights as usize, 0, 0, 0];
        let forbidden = [
            (libc::SYS_execve, none),
            (libc::SYS_execveat, none),
            (libc::SYS_clone, [libc::SIGCHLD as usize, 0, 0, 0, 0, 0]),
            (libc::SYS_kill, [0; 6]),
            (libc::SYS_tgkill, [1, 1, 0, 0, 0, 0]),
            (libc::SYS_pidfd_send_signal, none),
            (libc::SYS_pidfd_getfd, none),
            (libc::SYS_ptrace, none),
            (libc::SYS_process_vm_writev, none),
            (libc::SYS_socket, socket(libc::AF_INET)),
            (libc::SYS_socket, socket(libc::AF_PACKET)),
            (libc::SYS_socket, socket(libc::AF_NETLINK)),
            (libc::SYS_io_uring_setup, none),
            (libc::SYS_mmap, [0, 4096, (libc::PROT_READ | libc::PROT_EXEC) as usize, 0x22, usize::MAX, 0]),
            (libc::SYS_mprotect, protected(libc::PROT_EXEC)),
            (libc::SYS_ioctl, [0, libc::TUNSETIFF as usize, 0, 0, 0, 0]),
            (libc::SYS_ioctl, [0, libc::TIOCSTI as usize, 0, 0, 0, 0]),
            (libc::SYS_prctl, [libc::PR_SET_DUMPABLE as usize, 1, 0, 0, 0, 0]),
            (libc::SYS_setuid, none),
            (libc::SYS_unshare, none),
            (libc::SYS_mount, none),
            (libc::SYS_bpf, none),
            (libc::SYS_openat2, none),
            (libc::SYS_unlinkat, [0, 0, libc::AT_SYMLINK_NOFOLLOW as usize, 0, 0, 0]),
            (libc::SYS_renameat2, none),
            (libc::SYS_mkdirat, none),
            (libc::SYS_fchmod, none),
            (libc::SYS_fchmodat, none),
            (libc::SYS_setsockopt, [0, libc::SOL_TCP as usize, 0, 0, 0, 0]),
        ];
        for kind in KINDS {
            for (call, arguments) in forbidden {
                let outcome = try_call(&table(kind), Otherwise::Kill, call, arguments);
                assert_eq!(outcome, Outcome::Killed(libc::SIGSYS), "call {call} {arguments:x?} of {kind:?}");
            }
        }
    }

    #[test]
    fn what_libc_tries_by_the_way_is_no_end() {
        for (call, errno) in [(libc::SYS_openat, libc::EACCES), (libc::SYS_clone3, libc::ENOSYS)] {
            assert_eq!(try_call(&table(Kind::Null), Otherwise::Kill, call, [0; 6]), Outcome::Returned(errno));
        }
    }

    #[test]
    fn a_device_is_asked_whether_it_is_up_where_there_is_one() {
        let asks = [usize::MAX, libc::SIOCGIFFLAGS as usize, 0, 0, 0, 0];
        let tried = |kind| try_call(&table(kind), Otherwise::Kill, libc::SYS_ioctl, asks);
        assert_eq!(tried(Kind::Null), Outcome::Killed(libc::SIGSYS));
        assert_eq!(
            (tried(Kind::Tap), tried(Kind::Tun)),
            (Outcome::Returned(libc::EBADF), Outcome::Returned(libc::EBADF))
        );
    }
}
