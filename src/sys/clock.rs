//! The monotonic clock, and the one that stands in for it where time is virtual.

use crate::time::{Duration, Instant};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed, Ordering::SeqCst};

/// Where the clock stands, in nanoseconds, since it is moved by hand; 0 while it runs by itself.
static STANDS_AT: AtomicU64 = AtomicU64::new(0);

/// The clock of all engines of the process: CLOCK_MONOTONIC, unless it was [stopped](stop).
pub fn now() -> Instant {
    match STANDS_AT.load(Relaxed) {
        0 => monotonic(),
        nanos => Instant::from_nanos(nanos),
    }
}

/// CLOCK_MONOTONIC, whatever the engines' clock says.
pub fn monotonic() -> Instant {
    let mut ts = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `ts` is a valid place for a timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut ts) };
    Instant::from_nanos(ts.tv_sec.cast_unsigned() * 1_000_000_000 + ts.tv_nsec.cast_unsigned())
}

/// From here on the clock stands at `at`, and moves when it is told to only. Where it stands already it stays.
pub fn stop(at: Instant) {
    // It was running, or had been stopped: either is right.
    let _ = STANDS_AT.compare_exchange(0, at.as_nanos().max(1), SeqCst, SeqCst);
}

/// Whether the clock is moved by hand.
pub fn is_stopped() -> bool {
    STANDS_AT.load(Relaxed) != 0
}

/// Moves the stopped clock on to `at`, never back.
pub fn move_to(at: Instant) {
    STANDS_AT.fetch_max(at.as_nanos(), SeqCst);
}

/// Moves the stopped clock on by `time`; returns what it says then.
pub fn move_by(time: Duration) -> Instant {
    let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    Instant::from_nanos(STANDS_AT.fetch_add(nanos, SeqCst).saturating_add(nanos))
}
