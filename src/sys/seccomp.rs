//! A filter that a process puts itself under (seccomp(2)): the calls of its table are the kernel's, all others are
//! refused. Behind such a filter there is no way back.

use sockeye_shim::{fence, kernel, narrow};
use std::{
    ffi::{c_int, c_long},
    io,
};

/// Calls with higher numbers are newer than what the list of them was made from. A libc that tries one means to do
/// without where it is not there.
const LATEST: c_long = 462;
/// The bit of the numbers of x32.
const X32: u32 = 0x4000_0000;
/// Where `struct seccomp_data` has the arguments, 8 bytes each. The kernel itself looks at no more than the lower half
/// of those that tables judge.
const ARGUMENTS: u32 = 16;

/// A call of a table.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Its number.
    pub call: c_long,
    /// When it is the kernel's.
    pub when: When,
}

/// When a call is the kernel's.
#[derive(Clone, Copy, Debug)]
pub enum When {
    /// Always.
    Always,
    /// While this argument, of which the mask is looked at, is one of these.
    Is(u32, u32, &'static [u32]),
    /// While this argument is this process's number.
    Own(u32),
    /// Never, and the errno says so: libc asks for it by the way, and takes no for an answer.
    Never(c_int),
}

/// What becomes of a call that is in no table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Otherwise {
    /// It ends the process (SIGSYS).
    Kill,
    /// It fails with EPERM, and the kernel logs it (SECCOMP_FILTER_FLAG_LOG).
    Refuse,
}

impl Otherwise {
    const fn verdict(self) -> u32 {
        match self {
            Self::Kill => libc::SECCOMP_RET_KILL_PROCESS,
            Self::Refuse => libc::SECCOMP_RET_ERRNO | libc::EPERM as u32,
        }
    }
}

const EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
const GREATER: u32 = libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K;
const ANY: u32 = libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K;
const AND: u32 = libc::BPF_ALU | libc::BPF_AND | libc::BPF_K;

/// A call's number as the filter sees it; one that is none matches nothing.
fn number(call: c_long) -> u32 {
    u32::try_from(call).unwrap_or(u32::MAX)
}

/// The length of a jump.
///
/// # Panics
/// If it does not fit: a filter that went on elsewhere would let calls pass.
fn jump(steps: usize) -> u8 {
    u8::try_from(steps).expect("a rule of at most 250 values")
}

/// The filter of what libc may be told by the way. It is one of its own: of what it says the kernel's log is to know
/// nothing.
fn quiet(rules: &[Rule]) -> Vec<libc::sock_filter> {
    let refused = |errno: c_int| fence::verdict(libc::SECCOMP_RET_ERRNO | errno.unsigned_abs());
    let mut program = vec![fence::load(fence::NUMBER)];
    for Rule { call, when } in rules {
        if let When::Never(errno) = when {
            program.extend([fence::step(EQUAL, number(*call), 0, 1), refused(*errno)]);
        }
    }
    program.extend([fence::step(GREATER, narrow!(LATEST => u32), 0, 1), refused(libc::ENOSYS)]);
    program.push(fence::verdict(libc::SECCOMP_RET_ALLOW));
    program
}

/// The filter of the table. What is added for each rule ends by a verdict, or is passed over.
fn strict(rules: &[Rule], otherwise: Otherwise, own: u32) -> Vec<libc::sock_filter> {
    let allowed = || fence::verdict(libc::SECCOMP_RET_ALLOW);
    let mut program = vec![
        fence::load(fence::ARCH),
        fence::step(EQUAL, fence::ARCHITECTURE, 1, 0),
        fence::verdict(libc::SECCOMP_RET_KILL_PROCESS),
        fence::load(fence::NUMBER),
        fence::step(ANY, X32, 0, 1),
        fence::verdict(libc::SECCOMP_RET_KILL_PROCESS),
    ];
    for Rule { call, when } in rules {
        let judge = |argument: u32, mask: u32, of: &[u32]| {
            let mut steps = vec![fence::load(ARGUMENTS + 8 * argument), fence::step(AND, mask, 0, 0)];
            // Each that is equal goes to the last step, past the rest and the verdict between.
            let jumps = |(at, value): (usize, &u32)| fence::step(EQUAL, *value, jump(of.len() - at), 0);
            steps.extend(of.iter().enumerate().map(jumps));
            steps.extend([fence::verdict(otherwise.verdict()), allowed()]);
            steps
        };
        let steps = match when {
            // That never is [`quiet`] has said.
            When::Always | When::Never(_) => vec![allowed()],
            When::Is(argument, mask, of) => judge(*argument, *mask, of),
            When::Own(argument) => judge(*argument, u32::MAX, &[own]),
        };
        program.push(fence::step(EQUAL, number(*call), 0, jump(steps.len())));
        program.extend(steps);
    }
    program.extend([fence::step(GREATER, narrow!(LATEST => u32), 0, 1), allowed()]);
    program.push(fence::verdict(otherwise.verdict()));
    program
}

/// Puts the calling thread, and all threads it will start, under the filters. It must gain no rights any more
/// (PR_SET_NO_NEW_PRIVS).
///
/// # Errors
/// Those of seccomp(2): ENOSYS or EINVAL on a kernel without it.
pub fn install(rules: &[Rule], otherwise: Otherwise) -> io::Result<()> {
    let programs = [quiet(rules), strict(rules, otherwise, std::process::id())];
    let logs = if otherwise == Otherwise::Refuse { libc::SECCOMP_FILTER_FLAG_LOG } else { 0 };
    for (program, flags) in programs.iter().zip([0, logs]) {
        kernel::set_filter(program, flags).map_err(|errno| io::Error::from_raw_os_error(errno.0))?;
    }
    Ok(())
}

/// What a call did in a process of its own.
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It came back: what the kernel said is no matter, or this errno.
    Returned(c_int),
    /// This signal ended the process.
    Killed(c_int),
}

/// Makes a call in a child process that has put itself under a filter.
#[cfg(test)]
pub fn try_call(rules: &[Rule], otherwise: Otherwise, call: c_long, arguments: [usize; 6]) -> Outcome {
    // All that the child needs is made before: between fork and exit it makes system calls only.
    let (quiet, with_own) = (quiet(rules), |own| strict(rules, otherwise, own));
    let mut program = with_own(0);
    let places: Vec<usize> =
        with_own(1).iter().zip(&program).enumerate().filter(|(_, (a, b))| a.k != b.k).map(|(at, _)| at).collect();
    // SAFETY: fork in a process with threads: the child makes system calls and ends; waitpid writes an int.
    let status = unsafe {
        let child = libc::fork();
        assert!(child >= 0, "fork");
        if child == 0 {
            let own = libc::getpid() as u32;
            places.iter().for_each(|at| program[*at].k = own);
            let ready = kernel::give_up_new_rights()
                .and_then(|()| kernel::set_filter(&quiet, 0))
                .and_then(|_| kernel::set_filter(&program, 0));
            let errno = match ready.map(|_| kernel::call(call, arguments)) {
                Ok(Ok(_)) => 0,
                Ok(Err(errno)) => errno.0,
                Err(_) => 255,
            };
            libc::_exit(errno)
        }
        let mut status = 0;
        assert_eq!(libc::waitpid(child, &raw mut status, 0), child);
        status
    };
    if libc::WIFSIGNALED(status) {
        Outcome::Killed(libc::WTERMSIG(status))
    } else {
        Outcome::Returned(libc::WEXITSTATUS(status))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: [Rule; 6] = [
        Rule { call: libc::SYS_exit_group, when: When::Always },
        Rule { call: libc::SYS_getppid, when: When::Always },
        Rule { call: libc::SYS_socket, when: When::Is(0, u32::MAX, &[libc::AF_UNIX as u32, libc::AF_NETLINK as u32]) },
        Rule { call: libc::SYS_mprotect, when: When::Is(2, libc::PROT_EXEC as u32, &[0]) },
        Rule { call: libc::SYS_tgkill, when: When::Own(0) },
        Rule { call: libc::SYS_openat, when: When::Never(libc::EACCES) },
    ];

    #[test]
    fn the_table_is_the_kernels_and_nothing_else_is() {
        let tried = |call, arguments| try_call(&RULES, Otherwise::Kill, call, arguments);
        let socket = |family: c_int| tried(libc::SYS_socket, [family as usize, libc::SOCK_STREAM as usize, 0, 0, 0, 0]);
        let protect = |rights: c_int| tried(libc::SYS_mprotect, [0, 0, rights as usize, 0, 0, 0]);
        assert_eq!(tried(libc::SYS_getppid, [0; 6]), Outcome::Returned(0));
        assert_eq!(tried(libc::SYS_openat, [0; 6]), Outcome::Returned(libc::EACCES));
        assert_eq!(
            (socket(libc::AF_UNIX), socket(libc::AF_INET)),
            (Outcome::Returned(0), Outcome::Killed(libc::SIGSYS))
        );
        assert_eq!(protect(libc::PROT_READ | libc::PROT_WRITE), Outcome::Returned(0));
        assert_eq!(protect(libc::PROT_READ | libc::PROT_EXEC), Outcome::Killed(libc::SIGSYS));
        // Somebody else's process; a call that is in no table; one that is newer.
        assert_eq!(tried(libc::SYS_tgkill, [1, 1, 0, 0, 0, 0]), Outcome::Killed(libc::SIGSYS));
        assert_eq!(tried(libc::SYS_getpid, [0; 6]), Outcome::Killed(libc::SIGSYS));
        assert_eq!(tried(LATEST + 1, [0; 6]), Outcome::Returned(libc::ENOSYS));
    }

    #[test]
    fn what_is_refused_fails_with_eperm() {
        let tried = |call, arguments| try_call(&RULES, Otherwise::Refuse, call, arguments);
        assert_eq!(tried(libc::SYS_getpid, [0; 6]), Outcome::Returned(libc::EPERM));
        assert_eq!(tried(libc::SYS_socket, [libc::AF_INET as usize, 1, 0, 0, 0, 0]), Outcome::Returned(libc::EPERM));
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn another_architectures_numbers_end_the_process() {
        for otherwise in [Otherwise::Kill, Otherwise::Refuse] {
            let x32 = try_call(&RULES, otherwise, libc::SYS_getppid | c_long::from(X32), [0; 6]);
            assert_eq!(x32, Outcome::Killed(libc::SIGSYS));
        }
    }
}
