//! The path MTU of each destination that is smaller than the link's (RFC 1191).

use crate::{rng::Key, time::Duration, time::Instant};
use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
};

/// The least an ICMP message may bring the path MTU down to, bytes. RFC 1191 allows 68; Linux's min_pmtu is followed,
/// because a path that small is an attack.
pub const MIN_PMTU: u32 = 552;
/// How long a lowered path MTU is believed (RFC 1191 section 6.3).
const LIFETIME: Duration = Duration::from_secs(600);
/// Destinations remembered at most.
const LIMIT: usize = 4096;

/// What is known of one destination.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct PathMtu {
    /// Largest datagram that gets through, bytes.
    pub mtu: u32,
    /// The path claimed less than [`MIN_PMTU`]: DF must not be set (Linux's locked MTU).
    pub locked: bool,
    until: Instant,
}

/// The cache.
pub struct PathMtus {
    by_dest: HashMap<IpAddr, PathMtu, Key>,
    /// Which entry ends when.
    ends: BTreeSet<(Instant, IpAddr)>,
}

impl PathMtus {
    /// An empty cache.
    pub fn new(key: Key) -> Self {
        Self { by_dest: HashMap::with_hasher(key), ends: BTreeSet::new() }
    }

    /// What is known of `dest`.
    pub fn lookup(&self, dest: IpAddr) -> Option<PathMtu> {
        if self.by_dest.is_empty() { None } else { self.by_dest.get(&dest).copied() }
    }

    /// A router said that datagrams to `dest` may have `mtu` bytes. Returns whether that is news. One older than RFC
    /// 1191 says 0: where its section 7 guesses at common sizes, Linux is followed, to which 0 is too little as 68 is.
    pub fn on_too_big(&mut self, dest: IpAddr, mtu: u32, now: Instant) -> bool {
        let entry = PathMtu { mtu: mtu.max(MIN_PMTU), locked: mtu < MIN_PMTU, until: now + LIFETIME };
        if self.lookup(dest).is_some_and(|old| old.mtu <= entry.mtu && (old.locked || !entry.locked)) {
            return false;
        }
        if self.by_dest.len() >= LIMIT
            && !self.by_dest.contains_key(&dest)
            && let Some((_, oldest)) = self.ends.pop_first()
        {
            self.by_dest.remove(&oldest);
        }
        if let Some(old) = self.by_dest.insert(dest, entry) {
            self.ends.remove(&(old.until, dest));
        }
        self.ends.insert((entry.until, dest));
        true
    }

    /// Forgets what is too old. Returns whether anything was.
    pub fn on_timer(&mut self, now: Instant) -> bool {
        let before = self.by_dest.len();
        while let Some((until, dest)) = self.ends.first().copied()
            && until <= now
        {
            self.ends.pop_first();
            self.by_dest.remove(&dest);
        }
        self.by_dest.len() < before
    }

    /// When [`PathMtus::on_timer`] wants to be called.
    pub fn poll_deadline(&self) -> Option<Instant> {
        self.ends.first().map(|(until, _)| *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::SeededRng;

    const DEST: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn cache() -> PathMtus {
        PathMtus::new(Key::random(&mut SeededRng::new([1, 1])))
    }

    #[test]
    fn a_smaller_mtu_is_believed_for_ten_minutes() {
        let mut cache = cache();
        assert!(cache.on_too_big(DEST, 1400, Instant::ZERO));
        assert!(!cache.on_too_big(DEST, 1450, Instant::ZERO));
        assert_eq!(cache.lookup(DEST).unwrap().mtu, 1400);
        assert!(!cache.on_timer(Instant::ZERO + Duration::from_secs(599)));
        assert!(cache.on_timer(Instant::ZERO + Duration::from_secs(600)));
        assert_eq!((cache.lookup(DEST), cache.poll_deadline()), (None, None));
    }

    #[test]
    fn a_tiny_mtu_or_none_is_raised_to_the_minimum_and_forbids_df() {
        for mtu in [68, 0] {
            let mut cache = cache();
            cache.on_too_big(DEST, mtu, Instant::ZERO);
            let path = cache.lookup(DEST).unwrap();
            assert_eq!((path.mtu, path.locked), (552, true));
        }
    }

    #[test]
    fn the_cache_is_bounded() {
        let mut cache = cache();
        for i in 0..LIMIT as u32 + 10 {
            let now = Instant::ZERO + Duration::from_millis(u64::from(i));
            cache.on_too_big(IpAddr::V4(std::net::Ipv4Addr::from(0x0a00_0000 + i)), 1000, now);
        }
        assert_eq!((cache.by_dest.len(), cache.ends.len()), (LIMIT, LIMIT));
    }
}
