//! How many ICMP errors we send (RFC 1812 section 4.3.2.8): token buckets with Linux's figures
//! (icmp_msgs_per_sec, icmp_msgs_burst, icmp_ratelimit).

use crate::{
    rng::Key,
    time::{Duration, Instant},
};
use std::{collections::HashMap, net::IpAddr};

/// Errors a second, and in a burst, to all.
const GLOBAL: Rate = Rate { interval: Duration::from_millis(1), burst: 50 };
/// Errors a second, and in a burst, to one destination.
const PER_DEST: Rate = Rate { interval: Duration::from_secs(1), burst: 6 };
/// Destinations watched at once.
const MAX_DESTS: usize = 1024;

#[derive(Copy, Clone)]
struct Rate {
    interval: Duration,
    burst: u32,
}

/// A token bucket, kept as the time at which it will be full: taking a token moves that time on by an interval.
#[derive(Copy, Clone)]
struct Bucket(Instant);

impl Bucket {
    /// When it will be full after a token was taken, if there is one.
    fn after(self, rate: Rate, now: Instant) -> Option<Instant> {
        let full_at = self.0.max(now) + rate.interval;
        (full_at.since(now) <= rate.interval * rate.burst).then_some(full_at)
    }

    fn has(self, rate: Rate, now: Instant) -> bool {
        self.after(rate, now).is_some()
    }

    fn take(&mut self, rate: Rate, now: Instant) -> bool {
        let after = self.after(rate, now);
        self.0 = after.unwrap_or(self.0);
        after.is_some()
    }
}

/// The rate limit of one stack.
pub struct Limiter {
    global: Bucket,
    by_dest: HashMap<IpAddr, Bucket, Key>,
    /// While all places are taken: before this none of them is free.
    full_until: Instant,
}

impl Limiter {
    /// All buckets are full.
    pub fn new(key: Key) -> Self {
        Self { global: Bucket(Instant::ZERO), by_dest: HashMap::with_hasher(key), full_until: Instant::ZERO }
    }

    /// Whether an error may be sent to `dest` now; if so, it counts as sent.
    pub fn admits(&mut self, dest: IpAddr, now: Instant) -> bool {
        // Nothing is gone through for who gets nothing.
        if !self.global.has(GLOBAL, now) {
            return false;
        }
        if self.by_dest.len() >= MAX_DESTS && !self.by_dest.contains_key(&dest) {
            if now < self.full_until {
                return false;
            }
            self.by_dest.retain(|_, bucket| bucket.0 > now);
            if self.by_dest.len() >= MAX_DESTS {
                self.full_until = self.by_dest.values().map(|bucket| bucket.0).min().unwrap_or(now);
                return false;
            }
        }
        self.by_dest.entry(dest).or_insert(Bucket(now)).take(PER_DEST, now) && self.global.take(GLOBAL, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::SeededRng;
    use std::net::Ipv4Addr;

    fn limiter() -> Limiter {
        Limiter::new(Key::random(&mut SeededRng::new([2, 2])))
    }

    fn at(ms: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(ms)
    }

    #[test]
    fn one_destination_gets_six_and_then_one_a_second() {
        let mut limiter = limiter();
        let dest = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
        assert_eq!((0..20).filter(|_| limiter.admits(dest, at(0))).count(), 6);
        assert!(!limiter.admits(dest, at(999)));
        assert!(limiter.admits(dest, at(1000)));
        assert!(!limiter.admits(dest, at(1000)));
        assert_eq!((0..20).filter(|_| limiter.admits(dest, at(60_000))).count(), 6);
    }

    #[test]
    fn all_together_get_fifty_and_then_one_a_millisecond_and_the_memory_is_bounded() {
        let mut limiter = limiter();
        let dest = |i: u32| IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + i));
        assert_eq!((0..200).filter(|&i| limiter.admits(dest(i), at(0))).count(), 50);
        assert!(limiter.admits(dest(1000), at(1)));
        assert!((0..5000).filter(|&i| limiter.admits(dest(i), at(2))).count() < 1024);
        assert!(limiter.by_dest.len() <= MAX_DESTS);
    }
}
