//! Time stamps and protection against old duplicates (RFC 7323 sections 3, 4 and 5).

use crate::{
    time::{Duration, Instant},
    wire::{seq::SeqNum, tcp::Timestamps},
};

/// After so long without a segment TS.Recent is not trusted any more (RFC 7323 section 5.5).
const OUTDATED: Duration = Duration::from_secs(24 * 24 * 3600);

/// Whether a segment's time stamp shows it to be old.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum PawsVerdict {
    /// It may be handled.
    Fresh,
    /// It is an old duplicate.
    Old,
}

/// The time stamps of one connection.
#[derive(Copy, Clone, Debug)]
pub struct Clock {
    on: bool,
    /// Added to the clock, so that it tells strangers nothing (RFC 7323 section 7.1).
    offset: u32,
    /// TS.Recent and when it was set.
    recent: u32,
    recent_at: Instant,
}

impl Clock {
    /// A clock with this flow's offset; on until the peer turns out not to want it.
    pub fn new(offset: u32) -> Self {
        Self { on: true, offset, recent: 0, recent_at: Instant::ZERO }
    }

    /// Whether both sides use time stamps.
    pub fn is_on(&self) -> bool {
        self.on
    }

    /// The peer's SYN does not have them.
    pub fn turn_off(&mut self) {
        self.on = false;
    }

    /// The time stamp clock: milliseconds (RFC 7323 section 5.4).
    pub fn val(&self, now: Instant) -> u32 {
        (now.as_millis() as u32).wrapping_add(self.offset)
    }

    /// The flow's offset.
    pub fn offset(&self) -> u32 {
        self.offset
    }

    /// TS.Recent.
    pub fn recent(&self) -> u32 {
        self.recent
    }

    /// When TS.Recent was set.
    pub fn recent_at(&self) -> Instant {
        self.recent_at
    }

    /// The option of a segment sent now.
    pub fn option(&self, now: Instant) -> Option<Timestamps> {
        self.on.then(|| Timestamps { val: self.val(now), ecr: self.recent })
    }

    /// Whether an option echoes a clock between `since` and `now`. One without an echo says nothing against it.
    pub fn is_echo(&self, option: Option<Timestamps>, since: Option<Instant>, now: Instant) -> bool {
        let (Some(Timestamps { ecr, .. }), Some(since)) = (option, since) else { return true };
        let first = self.val(since);
        ecr == 0 || ecr.wrapping_sub(first) <= self.val(now).wrapping_sub(first)
    }

    /// Takes the time stamp of the peer's SYN.
    pub fn on_syn(&mut self, val: u32, now: Instant) {
        (self.recent, self.recent_at) = (val, now);
    }

    /// Judges a segment's time stamp (RFC 7323 section 5.3, R1).
    pub fn judge(&self, timestamps: Option<Timestamps>, now: Instant) -> PawsVerdict {
        // RFC 7323 section 3.2 would drop segments without the option; Linux handles them, because of boxes on the
        // way that strip it, and so do we.
        match timestamps {
            Some(Timestamps { val, .. })
                if self.on && SeqNum(val) < SeqNum(self.recent) && now.since(self.recent_at) < OUTDATED =>
            {
                PawsVerdict::Old
            }
            _ => PawsVerdict::Fresh,
        }
    }

    /// Takes the time stamp of an acceptable segment if it begins at or before what was acknowledged last (RFC 7323
    /// section 4.3, R3). Says whether it is a later one.
    pub fn update(&mut self, timestamps: Option<Timestamps>, seq: SeqNum, told: SeqNum, now: Instant) -> bool {
        if let Some(Timestamps { val, .. }) = timestamps
            && self.on
            && seq <= told
            && (SeqNum(val) >= SeqNum(self.recent) || now.since(self.recent_at) >= OUTDATED)
        {
            let is_later = SeqNum(val) > SeqNum(self.recent);
            (self.recent, self.recent_at) = (val, now);
            return is_later;
        }
        false
    }

    /// The round trip that an echoed time stamp tells, in the clock's milliseconds; `None` if the echo is from the
    /// future or from nowhere.
    pub fn echoed(&self, timestamps: Option<Timestamps>, now: Instant) -> Option<Duration> {
        let Timestamps { ecr, .. } = timestamps.filter(|_| self.on)?;
        let millis = self.val(now).wrapping_sub(ecr);
        (ecr != 0 && millis < 1 << 20).then(|| Duration::from_millis(u64::from(millis)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(val: u32) -> Option<Timestamps> {
        Some(Timestamps { val, ecr: 0 })
    }

    fn at(millis: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(millis)
    }

    #[test]
    fn an_older_stamp_is_an_old_duplicate_across_the_wrap() {
        let mut clock = Clock::new(0);
        clock.on_syn(u32::MAX - 5, at(0));
        assert_eq!(clock.judge(stamp(u32::MAX - 6), at(1)), PawsVerdict::Old);
        assert_eq!(clock.judge(stamp(3), at(1)), PawsVerdict::Fresh);
        assert_eq!(clock.judge(None, at(1)), PawsVerdict::Fresh);
    }

    #[test]
    fn after_twenty_four_days_any_stamp_is_fresh() {
        let mut clock = Clock::new(0);
        clock.on_syn(1000, at(0));
        let later = at(0) + OUTDATED;
        assert_eq!(clock.judge(stamp(5), later), PawsVerdict::Fresh);
        clock.update(stamp(5), SeqNum(0), SeqNum(0), later);
        assert_eq!(clock.recent(), 5);
    }

    #[test]
    fn only_segments_at_the_edge_of_what_was_acknowledged_set_the_echo() {
        let mut clock = Clock::new(0);
        clock.on_syn(10, at(0));
        clock.update(stamp(12), SeqNum(101), SeqNum(100), at(0));
        assert_eq!(clock.recent(), 10);
        clock.update(stamp(12), SeqNum(100), SeqNum(100), at(0));
        assert_eq!(clock.recent(), 12);
    }
}
