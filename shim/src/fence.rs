//! The fence around a tree of programs: a seccomp(2) filter that closes the kernel's network to it, by whatever
//! instruction it is asked for. Programs reach the stack by names of libc; what does not call libc (inline system
//! calls, rings of io_uring, programs that the loader gives no library to) meets the fence.
//!
//! | asked for | answer |
//! |---|---|
//! | socket(2) of AF_UNIX or AF_NETLINK | the kernel's own |
//! | socketpair(2) of AF_UNIX | the kernel's own |
//! | socket(2) and socketpair(2) of any other family | EAFNOSUPPORT, as from a kernel without that family |
//! | io_uring_setup(2) | ENOSYS, as from a kernel without rings |
//! | a call of another architecture's numbers, x32 among them | ENOSYS, but such a program may end |
//! | anything else | the kernel's own |
//!
//! A filter stays with a process and all it starts until the last of them has ended. Its listener, a descriptor that
//! no call is ever reported on, hangs up then: who holds it knows exactly how long the tree lives.

use crate::{Errno, Result, kernel, narrow};
use libc::sock_filter;

/// The architecture whose calls are let through (linux/audit.h).
pub const ARCHITECTURE: u32 = if cfg!(target_arch = "x86_64") { 0xc000_003e } else { 0xc000_00b7 };
/// The one of 32-bit programs on such a machine, and its exit(2) and exit_group(2).
const NARROW: u32 = if cfg!(target_arch = "x86_64") { 0x4000_0003 } else { 0x4000_0028 };
const NARROW_EXIT: u32 = 1;
const NARROW_EXIT_GROUP: u32 = if cfg!(target_arch = "x86_64") { 252 } else { 248 };
/// The bit of the numbers of x32, whose calls have the same architecture.
const X32: u32 = 0x4000_0000;
/// Where `struct seccomp_data` has the call's number.
pub const NUMBER: u32 = 0;
/// Where it has the call's architecture.
pub const ARCH: u32 = 4;
/// Where it has the lower half of its first argument.
const FIRST_ARGUMENT: u32 = 16;
/// Where [`PROGRAM`] looks at a pair, at the end of an x32 program and at a foreign call; where it ends with ENOSYS,
/// and where it lets a call through.
const PAIR: u8 = 9;
const X32_CALL: u8 = 12;
const FOREIGN: u8 = 15;
const NO_CALL: u8 = 19;
const ALLOWED: u8 = 20;

/// One step of a filter: a jump goes on so many steps further, as its condition holds or not.
#[allow(clippy::cast_possible_truncation, reason = "linux/bpf_common.h has no code of more than a byte")]
pub const fn step(code: u32, k: u32, then: u8, otherwise: u8) -> sock_filter {
    sock_filter { code: code as u16, jt: then, jf: otherwise, k }
}

/// Loads 32 bits of `struct seccomp_data`.
pub const fn load(at: u32) -> sock_filter {
    step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, at, 0, 0)
}

/// In step `own`: on to `then` if the value loaded is `value`, else to the next.
const fn equal(own: u8, value: u32, then: u8) -> sock_filter {
    step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, value, then - own - 1, 0)
}

/// In step `own`: on to `otherwise` unless the value loaded is `value`.
const fn only(own: u8, value: u32, otherwise: u8) -> sock_filter {
    step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, value, 0, otherwise - own - 1)
}

/// In step `own`: on to `then` if the value loaded has any bit of `bits`.
const fn any(own: u8, bits: u32, then: u8) -> sock_filter {
    step(libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K, bits, then - own - 1, 0)
}

/// The filter's answer (SECCOMP_RET_*).
pub const fn verdict(verdict: u32) -> sock_filter {
    step(libc::BPF_RET | libc::BPF_K, verdict, 0, 0)
}

const fn refusal(errno: i32) -> sock_filter {
    verdict(libc::SECCOMP_RET_ERRNO | errno.cast_unsigned())
}

/// The filter. Each step's place is its number.
pub const PROGRAM: [sock_filter; 21] = [
    load(ARCH),
    only(1, ARCHITECTURE, FOREIGN),
    load(NUMBER),
    any(3, X32, X32_CALL),
    equal(4, narrow!(libc::SYS_io_uring_setup => u32), NO_CALL),
    equal(5, narrow!(libc::SYS_socketpair => u32), PAIR),
    only(6, narrow!(libc::SYS_socket => u32), ALLOWED),
    load(FIRST_ARGUMENT),
    equal(8, narrow!(libc::AF_NETLINK => u32), ALLOWED),
    load(FIRST_ARGUMENT),
    equal(10, narrow!(libc::AF_UNIX => u32), ALLOWED),
    refusal(libc::EAFNOSUPPORT),
    equal(12, X32 | narrow!(libc::SYS_exit => u32), ALLOWED),
    equal(13, X32 | narrow!(libc::SYS_exit_group => u32), ALLOWED),
    refusal(libc::ENOSYS),
    only(15, NARROW, NO_CALL),
    load(NUMBER),
    equal(17, NARROW_EXIT, ALLOWED),
    equal(18, NARROW_EXIT_GROUP, ALLOWED),
    refusal(libc::ENOSYS),
    verdict(libc::SECCOMP_RET_ALLOW),
];

/// A fence that was raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Raised {
    /// The descriptor that hangs up when the last process behind the fence has ended. It is closed on exec.
    Held(i32),
    /// There is no such descriptor: another filter with a listener was here before, and there can be one only.
    Unheld,
}

/// Whether the kernel's network is closed to this process. Makes no socket: a kernel without the fence has nothing
/// against the family, and refuses the type.
pub fn is_raised() -> bool {
    const NO_TYPE: i32 = 0xf;
    match kernel::socket(libc::AF_INET, NO_TYPE, 0) {
        Err(errno) => errno == Errno(libc::EAFNOSUPPORT),
        Ok(fd) => kernel::close(fd).is_err(),
    }
}

/// Whether programs that this thread executes gain no rights, once it has raised the fence if it `will_raise` it.
pub fn gains_no_rights(will_raise: bool) -> bool {
    kernel::gains_no_rights() || will_raise && !is_raised() && !kernel::is_administrator()
}

/// Raises the fence around this thread and all it will start, or with `all_threads` around the whole process. A process
/// without CAP_SYS_ADMIN gives up gaining rights by exec (PR_SET_NO_NEW_PRIVS), as the kernel demands.
///
/// # Errors
///
/// Those of seccomp(2): ENOSYS or EINVAL on a kernel without it, ESRCH when a thread has a filter of its own.
pub fn raise(all_threads: bool) -> Result<Raised> {
    let threads = if all_threads { libc::SECCOMP_FILTER_FLAG_TSYNC | libc::SECCOMP_FILTER_FLAG_TSYNC_ESRCH } else { 0 };
    let install = |flags| match kernel::set_filter(&PROGRAM, flags) {
        Err(Errno(libc::EACCES)) => {
            kernel::give_up_new_rights()?;
            kernel::set_filter(&PROGRAM, flags)
        }
        other => other,
    };
    match install(threads | libc::SECCOMP_FILTER_FLAG_NEW_LISTENER) {
        Ok(listener) => Ok(Raised::Held(listener)),
        Err(Errno(libc::EBUSY)) => install(threads).map(|_| Raised::Unheld),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the filter says to a call, by running it as the kernel would.
    fn judge(arch: u32, number: u32, family: u32) -> u32 {
        let (mut at, mut loaded) = (0, 0);
        loop {
            let sock_filter { code, jt, jf, k } = PROGRAM[at];
            let jump = |is: bool| usize::from(if is { jt } else { jf }) + 1;
            match u32::from(code) {
                code if code == libc::BPF_LD | libc::BPF_W | libc::BPF_ABS => {
                    loaded = match k {
                        NUMBER => number,
                        ARCH => arch,
                        FIRST_ARGUMENT => family,
                        other => panic!("nothing is loaded from {other}"),
                    };
                    at += 1;
                }
                code if code == libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K => at += jump(loaded == k),
                code if code == libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K => at += jump(loaded & k != 0),
                code if code == libc::BPF_RET | libc::BPF_K => return k,
                other => panic!("no such step: {other:#x}"),
            }
        }
    }

    #[test]
    fn nothing_but_local_sockets_and_netlink_is_let_through() {
        let errno = |errno: i32| libc::SECCOMP_RET_ERRNO | errno as u32;
        let (socket, pair) = (libc::SYS_socket as u32, libc::SYS_socketpair as u32);
        for family in 0..50 {
            let wanted = match family as i32 {
                libc::AF_UNIX | libc::AF_NETLINK => libc::SECCOMP_RET_ALLOW,
                _ => errno(libc::EAFNOSUPPORT),
            };
            assert_eq!(judge(ARCHITECTURE, socket, family), wanted, "family {family}");
            let wanted = if family as i32 == libc::AF_UNIX { wanted } else { errno(libc::EAFNOSUPPORT) };
            assert_eq!(judge(ARCHITECTURE, pair, family), wanted, "a pair of family {family}");
            assert_eq!(judge(ARCHITECTURE, socket | X32, family), errno(libc::ENOSYS));
            assert_eq!(judge(NARROW, 359, family), errno(libc::ENOSYS), "32 bits");
        }
        assert_eq!(judge(ARCHITECTURE, socket, u32::MAX), errno(libc::EAFNOSUPPORT));
        assert_eq!(judge(ARCHITECTURE, libc::SYS_io_uring_setup as u32, 1), errno(libc::ENOSYS));
        let ends = [libc::SYS_exit as u32, libc::SYS_exit_group as u32];
        for (arch, number) in
            ends.map(|end| (ARCHITECTURE, X32 | end)).into_iter().chain([(NARROW, 1), (NARROW, NARROW_EXIT_GROUP)])
        {
            assert_eq!(judge(arch, number, 7), libc::SECCOMP_RET_ALLOW, "the end of a foreign program");
        }
        assert_eq!(judge(NARROW + 1, 1, 7), errno(libc::ENOSYS), "another machine's");
        let judged = [socket, pair, libc::SYS_io_uring_setup as u32];
        for number in (0..470).filter(|number| !judged.contains(number)) {
            assert_eq!(judge(ARCHITECTURE, number, libc::AF_INET as u32), libc::SECCOMP_RET_ALLOW, "call {number}");
        }
    }
}
