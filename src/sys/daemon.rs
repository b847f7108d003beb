//! A process that belongs to nobody: it outlives its starter, and has nothing of it but user, folder and environment.

use std::{
    fs::File,
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::{fs::FileTypeExt, process::CommandExt},
    },
    process::{ChildStderr, Command, Stdio},
};

/// Runs `command` as such a process: a session of its own, no terminal, no descriptor but its standard error, signals,
/// priority, affinity and umask as at the start of a system. What it writes on standard error comes out of the file,
/// and what it writes on standard output goes to this process's standard error if that is a terminal or a file.
///
/// It is no child of this process: whatever this one becomes by exec never waits for it.
///
/// # Errors
/// Those of fork(2), and of execve(2) in the new process.
pub fn spawn(command: Command) -> io::Result<File> {
    let words = begin(command, Stdio::piped())?.ok_or(io::ErrorKind::BrokenPipe)?;
    Ok(File::from(OwnedFd::from(words)))
}

/// As [`spawn`], with a given standard error.
///
/// # Errors
/// As [`spawn`].
pub fn spawn_to(command: Command, words: OwnedFd) -> io::Result<()> {
    begin(command, words.into()).map(drop)
}

fn begin(mut command: Command, words: Stdio) -> io::Result<Option<ChildStderr>> {
    command.stdin(Stdio::null()).stdout(lasting_stderr()).stderr(words);
    // SAFETY: between fork and exec `forget_origins` makes system calls only.
    unsafe { command.pre_exec(forget_origins) };
    let mut middle = command.spawn()?;
    let words = middle.stderr.take();
    middle.wait()?;
    Ok(words)
}

/// This process's standard error, if it may be held for as long as one likes: whoever reads a pipe waits for its end.
fn lasting_stderr() -> Stdio {
    let Ok(own) = io::stderr().as_fd().try_clone_to_owned() else { return Stdio::null() };
    let own = File::from(own);
    let lasts = own.metadata().is_ok_and(|file| file.is_file() || file.file_type().is_char_device());
    if lasts { own.into() } else { Stdio::null() }
}

/// In the child: only the child's child goes on.
fn forget_origins() -> io::Result<()> {
    // SAFETY: system calls without pointers, or with pointers to locals; what fails leaves things as they are.
    unsafe {
        libc::setsid();
        // The kernel's own sigaction of zeros is SIG_DFL, and its set of 8 bytes an empty one. libc would leave out the
        // signals it uses itself.
        let (nothing, ignored) = ([0u64; 4], std::ptr::null_mut::<u64>());
        for signal in 1..=64 {
            libc::syscall(libc::SYS_rt_sigaction, signal, nothing.as_ptr(), ignored, 8usize);
        }
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, nothing.as_ptr(), ignored, 8usize);
        libc::umask(0o022);
        libc::setpriority(libc::PRIO_PROCESS, 0, 0);
        let everywhere = [u64::MAX; 16];
        libc::syscall(libc::SYS_sched_setaffinity, 0, size_of_val(&everywhere), everywhere.as_ptr());
        // Not closed at once: one of them tells the starter how exec went.
        libc::syscall(libc::SYS_close_range, 3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
        match libc::fork() {
            0 => Ok(()),
            -1 => Err(io::Error::last_os_error()),
            _ => libc::_exit(0),
        }
    }
}
