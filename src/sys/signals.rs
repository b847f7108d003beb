//! Whether an interrupted wait is to be restarted. ppoll(2) never restarts by itself, and afterwards nobody can tell
//! which handler ran; so the handlers are looked at: if all have SA_RESTART the wait goes on, if none has it ends, and
//! where a program has both, waits are made with signals blocked and a signalfd, which tells who came.

use std::{mem::MaybeUninit, ptr};

/// What the handlers of this process ask for.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Every handler has SA_RESTART, or there is none.
    Restart,
    /// No handler has it.
    Interrupt,
    /// Some have it.
    Mixed,
}

/// The disposition of one signal: `None` without a handler, else whether it has SA_RESTART.
fn restarts(signal: libc::c_int) -> Option<bool> {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: only reads the disposition into a place large enough.
    let action = unsafe {
        if libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) != 0 {
            return None;
        }
        action.assume_init()
    };
    let handled = action.sa_sigaction != libc::SIG_DFL && action.sa_sigaction != libc::SIG_IGN;
    handled.then_some(action.sa_flags & libc::SA_RESTART != 0)
}

/// Looks at all handlers: about 60 system calls, so callers remember the answer for a while.
pub fn policy() -> Policy {
    let (mut some, mut none) = (false, false);
    for signal in 1..=libc::SIGRTMAX() {
        match restarts(signal) {
            Some(true) => some = true,
            Some(false) => none = true,
            None => {}
        }
    }
    match (some, none) {
        (true, true) => Policy::Mixed,
        (false, true) => Policy::Interrupt,
        _ => Policy::Restart,
    }
}

/// All signals of the calling thread, blocked until [`Blocked::restore`].
#[derive(Debug)]
pub struct Blocked {
    before: libc::sigset_t,
}

/// A set of all signals.
fn full() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigfillset initialises the set.
    unsafe {
        libc::sigfillset(set.as_mut_ptr());
        set.assume_init()
    }
}

impl Blocked {
    /// Blocks all signals.
    pub fn all() -> Self {
        let mut before = MaybeUninit::uninit();
        // SAFETY: both sets are valid for the call, which initialises `before`.
        let before = unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, &full(), before.as_mut_ptr());
            before.assume_init()
        };
        Self { before }
    }

    /// A signalfd for the signals that were not blocked before; -1 when there is none to be had.
    pub fn fd(&self) -> libc::c_int {
        let mut set = full();
        // SAFETY: the sets are initialised.
        unsafe {
            for signal in 1..=libc::SIGRTMAX() {
                if libc::sigismember(&self.before, signal) == 1 {
                    libc::sigdelset(&mut set, signal);
                }
            }
            libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
        }
    }

    /// Whether a pending signal will run a handler without SA_RESTART once [`Blocked::restore`] lets it.
    pub fn interrupts(&self) -> bool {
        let mut pending = MaybeUninit::uninit();
        // SAFETY: sigpending initialises the set.
        let pending = unsafe {
            libc::sigpending(pending.as_mut_ptr());
            pending.assume_init()
        };
        (1..=libc::SIGRTMAX()).any(|signal| {
            // SAFETY: both sets are initialised.
            let comes =
                unsafe { libc::sigismember(&pending, signal) == 1 && libc::sigismember(&self.before, signal) != 1 };
            comes && restarts(signal) == Some(false)
        })
    }

    /// Puts the thread's mask back; handlers of pending signals run in here.
    pub fn restore(self) {
        // SAFETY: `before` is the mask this thread had.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.before, ptr::null_mut()) };
    }
}

/// Closes a descriptor from [`Blocked::fd`].
pub fn close(fd: libc::c_int) {
    // SAFETY: the descriptor is ours.
    unsafe { libc::close(fd) };
}
