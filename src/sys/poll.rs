//! Where threads sleep. Both calls are cancellation points (pthreads(7)): a thread cancelled here leaves by unwinding,
//! after `on_cancel` has run. Frames between here and the C caller hold nothing with a destructor.

use crate::time::Duration;
use std::{ffi::c_void, ptr};

/// What runs when the sleeping thread is cancelled.
pub type OnCancel = extern "C" fn(*mut c_void);

/// How a sleep ended.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Slept {
    /// This many descriptors are ready.
    Ready(usize),
    /// A signal handler ran.
    Interrupted,
}

/// glibc's `struct _pthread_cleanup_buffer`.
#[repr(C)]
struct CleanupBuffer {
    routine: OnCancel,
    arg: *mut c_void,
    cancel_type: libc::c_int,
    prev: *mut Self,
}

unsafe extern "C" {
    fn _pthread_cleanup_push(buffer: *mut CleanupBuffer, routine: OnCancel, arg: *mut c_void);
    fn _pthread_cleanup_pop(buffer: *mut CleanupBuffer, execute: libc::c_int);
}

unsafe extern "C-unwind" {
    fn ppoll(
        fds: *mut libc::pollfd,
        n: libc::nfds_t,
        timeout: *const libc::timespec,
        sigmask: *const libc::sigset_t,
    ) -> libc::c_int;
    fn read(fd: libc::c_int, buf: *mut c_void, len: libc::size_t) -> libc::ssize_t;
}

/// Runs `sleep` with `on_cancel` registered as the thread's innermost cleanup handler.
fn with_cleanup<R>(on_cancel: OnCancel, sleep: impl FnOnce() -> R) -> R {
    let mut buffer = CleanupBuffer { routine: on_cancel, arg: ptr::null_mut(), cancel_type: 0, prev: ptr::null_mut() };
    // SAFETY: the buffer outlives the pair of calls, and `sleep` does not unwind but by cancellation, which pops it.
    unsafe { _pthread_cleanup_push(&raw mut buffer, on_cancel, ptr::null_mut()) };
    let result = sleep();
    // SAFETY: pops what was pushed above, in the same frame.
    unsafe { _pthread_cleanup_pop(&raw mut buffer, 0) };
    result
}

/// ppoll(2). `None` as timeout sleeps without limit.
pub fn sleep(
    fds: &mut [libc::pollfd],
    timeout: Option<Duration>,
    sigmask: Option<&libc::sigset_t>,
    on_cancel: OnCancel,
) -> Slept {
    let ts = timeout.map(|t| libc::timespec {
        tv_sec: libc::time_t::try_from(t.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: t.subsec_nanos().into(),
    });
    let ts = ts.as_ref().map_or(ptr::null(), ptr::from_ref);
    let mask = sigmask.map_or(ptr::null(), ptr::from_ref);
    let (at, n) = (fds.as_mut_ptr(), fds.len() as libc::nfds_t);
    // SAFETY: `fds` is a slice of pollfd; the other pointers are null or valid for the call.
    let ready = with_cleanup(on_cancel, || unsafe { ppoll(at, n, ts, mask) });
    usize::try_from(ready).map_or(Slept::Interrupted, Slept::Ready)
}

/// Sleeps until the event of descriptor `fd` is signalled and resets it. The kernel restarts this call after a
/// handler with SA_RESTART (signal(7)).
pub fn sleep_restartable(fd: libc::c_int, on_cancel: OnCancel) -> Slept {
    let mut count = 0u64;
    let at = (&raw mut count).cast();
    // SAFETY: eight writable bytes.
    match with_cleanup(on_cancel, || unsafe { read(fd, at, 8) }) {
        8 => Slept::Ready(1),
        _ => Slept::Interrupted,
    }
}
