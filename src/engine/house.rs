//! Housekeeping: what a rush has left behind is the machine's again within seconds. Whoever drives looks a second after
//! the stack was busy, and again each second until there is nothing more to give back; a stack at rest is left alone.

use super::Engine;
use crate::{
    buf::pool,
    sys::{clock, process},
    time::{Duration, Instant},
};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// How long after the stack was busy, and how often.
const LOOK: Duration = Duration::from_secs(1);
/// How much must have gone back to the allocator before it is asked to pass it on, bytes: it walks over all that it
/// has, the program's as well.
const WORTHY: usize = 4 << 20;
/// How often it is asked at most.
const REST: Duration = Duration::from_secs(3);

/// What had gone back from all pools when the allocator was last asked, and when that was, in nanoseconds.
static ASKED: (AtomicUsize, AtomicU64) = (AtomicUsize::new(0), AtomicU64::new(0));

/// When an engine looks next.
#[derive(Default)]
pub(super) struct House {
    /// Nanoseconds; 0 while there is nothing to do.
    at: AtomicU64,
    /// The most that connections held since the allocator was last asked, bytes.
    peak: AtomicUsize,
}

impl House {
    /// The stack did something: there will be a look. In time that is moved by hand nothing happens by itself.
    pub(super) fn stir(&self, now: Instant) {
        if self.at.load(Ordering::Relaxed) == 0 && !clock::is_stopped() {
            self.at.store((now + LOOK).as_nanos(), Ordering::Relaxed);
        }
    }

    /// Connections hold so many bytes.
    pub(super) fn note(&self, used: usize) {
        if used > self.peak.load(Ordering::Relaxed) {
            self.peak.store(used, Ordering::Relaxed);
        }
    }

    /// When to look.
    pub(super) fn deadline(&self) -> Option<Instant> {
        Some(self.at.load(Ordering::Relaxed)).filter(|at| *at != 0).map(Instant::from_nanos)
    }

    /// Whether to ask the allocator, and by that when to look again.
    fn judge(&self, found: &Found, now: Instant) -> bool {
        let dropped = self.peak.load(Ordering::Relaxed).saturating_sub(found.used);
        let is_worthy = dropped.saturating_add(found.returned) >= WORTHY;
        let asks = is_worthy && found.may_ask;
        if asks {
            self.peak.store(found.used, Ordering::Relaxed);
        }
        // What was asked for is done: the next look finds nothing, or what came since.
        let again = found.pools_keep || is_worthy;
        self.at.store(if again { (now + LOOK).as_nanos() } else { 0 }, Ordering::Relaxed);
        asks
    }
}

/// What a look finds.
struct Found {
    /// Bytes that connections hold.
    used: usize,
    /// Bytes that went back from pools since the allocator was last asked.
    returned: usize,
    /// It has not been asked for a while.
    may_ask: bool,
    /// Pools keep something for a later look.
    pools_keep: bool,
}

impl Engine {
    /// Gives memory back if it is time to. No lock is held.
    pub(super) fn keep_house(&self, now: Instant) {
        if self.house.deadline().is_none_or(|at| at > now) {
            return;
        }
        let pools_keep = pool::tidy();
        let used = {
            let mut inner = self.inner.lock();
            inner.stack.shrink();
            inner.stack.memory_used()
        };
        self.port.read_recursive().iter().for_each(super::Port::shrink);
        let (before, asked) = (ASKED.0.load(Ordering::Relaxed), ASKED.1.load(Ordering::Relaxed));
        let returned = pool::returned();
        let may_ask = asked == 0 || now.since(Instant::from_nanos(asked)) >= REST;
        let found = Found { used, returned: returned.wrapping_sub(before), may_ask, pools_keep };
        if self.house.judge(&found, now) {
            process::trim_memory();
            ASKED.0.store(returned, Ordering::Relaxed);
            ASKED.1.store(now.as_nanos(), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rush_is_followed_by_looks_until_nothing_is_left_and_then_by_none() {
        let (house, mut now) = (House::default(), Instant::from_nanos(1_000_000_000_000));
        assert_eq!(house.deadline(), None);
        house.stir(now);
        house.stir(now + LOOK / 2);
        assert_eq!(house.deadline(), Some(now + LOOK), "who is busy does not put it off");
        house.note(100 << 20);
        house.note(1 << 20);
        let found = Found { used: 100 << 20, returned: 0, may_ask: true, pools_keep: true };
        now += LOOK;
        assert!(!house.judge(&found, now), "connections hold what they held");
        assert_eq!(house.deadline(), Some(now + LOOK), "pools keep something");
        let gone = Found { used: 1 << 20, pools_keep: false, ..found };
        assert!(!house.judge(&Found { may_ask: false, ..gone }, now), "it was asked a moment ago");
        assert_eq!(house.deadline(), Some(now + LOOK));
        assert!(house.judge(&gone, now));
        assert!(!house.judge(&gone, now));
        assert_eq!(house.deadline(), None);
        assert!(house.judge(&Found { returned: WORTHY, ..gone }, now), "pools have given back as much");
    }
}
