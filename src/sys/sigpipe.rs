//! SIGPIPE.

/// Sends SIGPIPE to the calling thread, as a write to a broken pipe does.
pub fn raise() {
    // SAFETY: a signal to the own thread.
    unsafe { libc::pthread_kill(libc::pthread_self(), libc::SIGPIPE) };
}
