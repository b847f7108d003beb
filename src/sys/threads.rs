//! What the threads of this process do, as proc(5) shows it.

use std::fs;

/// What a thread does.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It runs, or would if there were a processor.
    Running,
    /// It sleeps in the kernel until something wakes it, or was stopped.
    Asleep,
    /// It has ended.
    Gone,
}

/// The calling thread's number.
pub fn mine() -> i32 {
    // SAFETY: gettid has no preconditions.
    unsafe { libc::gettid() }
}

/// Whether the calling thread is its process's first and only one.
pub fn is_alone() -> bool {
    // SAFETY: no pointers; the calls cannot fail.
    let is_first = unsafe { libc::getpid() == libc::gettid() };
    is_first && fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() == 1)
}

/// What thread `id` does.
pub fn state(id: i32) -> State {
    let stat = fs::read(format!("/proc/self/task/{id}/stat")).unwrap_or_default();
    // The name, in parentheses, may have any character in it.
    let after_name = stat.iter().rposition(|byte| *byte == b')').map_or(stat.len(), |at| at + 2);
    match stat.get(after_name) {
        None | Some(b'Z' | b'X') => State::Gone,
        Some(b'S' | b'T' | b't') => State::Asleep,
        Some(_) => State::Running,
    }
}

/// Whether thread `id` sleeps until another thread wakes it: in futex(2).
pub fn waits_for_another(id: i32) -> bool {
    let call = fs::read_to_string(format!("/proc/self/task/{id}/syscall")).unwrap_or_default();
    call.split(' ').next().and_then(|number| number.parse().ok()) == Some(libc::SYS_futex)
}

/// Lets other threads run.
pub fn yield_now() {
    std::thread::yield_now();
}

unsafe extern "C" {
    fn pthread_setcancelstate(state: libc::c_int, before: *mut libc::c_int) -> libc::c_int;
}

/// Runs `act` in a time in which the calling thread cannot be cancelled (pthread_setcancelstate(3)).
pub fn without_cancellation<R>(act: impl FnOnce() -> R) -> R {
    /// PTHREAD_CANCEL_DISABLE.
    const DISABLE: libc::c_int = 1;
    /// The state to go back to, also from a panic.
    struct Before(libc::c_int);
    impl Drop for Before {
        fn drop(&mut self) {
            // SAFETY: a state that the call below gave; nobody wants to know the one before.
            unsafe { pthread_setcancelstate(self.0, std::ptr::null_mut()) };
        }
    }
    let mut before = Before(0);
    // SAFETY: the state before is written to an int of ours.
    unsafe { pthread_setcancelstate(DISABLE, &raw mut before.0) };
    act()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn a_thread_that_waits_for_another_is_told_from_one_that_runs_or_has_ended() {
        let (tell, told) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            tell.send(mine()).unwrap();
            released.recv().unwrap();
        });
        let id = told.recv().unwrap();
        assert_ne!(id, mine());
        assert_eq!(state(mine()), State::Running);
        assert!(!waits_for_another(mine()));
        while state(id) != State::Asleep || !waits_for_another(id) {
            yield_now();
        }
        release.send(()).unwrap();
        thread.join().unwrap();
        while state(id) != State::Gone {
            yield_now();
        }
    }
}
