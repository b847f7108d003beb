//! When the option is sent (RFC 9768 section 3.2.3.3), and what it takes away from SACK where both do not fit.

use super::{AccEcn, counters::Seen, failure};
use crate::{
    tcp::{Connection, Knobs},
    time::{Duration, Instant},
    wire::tcp::{AccEcnOption, MAX_OPTIONS, Options},
};

/// SACK blocks that the option leaves (as Linux).
const LEAST_BLOCKS: usize = 2;

/// Bytes of the option with all counters, and of its padding.
const WHOLE: u16 = 12;

/// `tcp_ecn_option`.
mod mode {
    /// As little as the RFC asks for.
    pub const LEAST: u32 = 1;
    /// Wherever it fits.
    pub const FULL: u32 = 2;
    /// Even if it seems to be dropped.
    pub const PERSISTENT: u32 = 3;
}

impl AccEcn {
    /// Whether the next segment has it.
    fn is_wanted(&self, knobs: &Knobs, srtt: Option<Duration>, now: Instant) -> bool {
        let mode = knobs.ecn_option;
        mode >= mode::LEAST
            && self.is_accepted(mode)
            && (mode >= mode::FULL || self.demand > 0 || self.is_due(knobs.ecn_option_beacon, srtt, now))
    }

    /// Whether the peer gets it: one that sends none itself may not take one.
    fn is_accepted(&self, mode: u32) -> bool {
        self.seen != Seen::Nothing && (self.failed & failure::OPTION_SEND == 0 || mode >= mode::PERSISTENT)
    }

    /// Whether it was not sent for so long that it is: `beacon` times in a round trip.
    fn is_due(&self, beacon: u32, srtt: Option<Duration>, now: Instant) -> bool {
        let since = self.option_at.map_or(Duration::MAX, |at| now.since(at));
        beacon > 0 && since.saturating_mul(beacon) >= srtt.unwrap_or_default()
    }

    /// A segment left, with the option or without.
    fn on_sent(&mut self, with: bool, now: Instant) {
        self.option_sent = with;
        if with {
            self.needed = 0;
            self.option_at = Some(now);
            self.demand = self.demand.saturating_sub(1);
        }
    }
}

/// Adds as many counters as fit, `needed` at least: SACK blocks give way for them down to [`LEAST_BLOCKS`]. Says
/// whether there is an option now.
pub(super) fn fit(options: &mut Options, whole: AccEcnOption, needed: u8) -> bool {
    let blocks = options.sack_room();
    options.sack = options.sack.first(blocks);
    let give_way = if needed > 0 { LEAST_BLOCKS.min(blocks) } else { blocks };
    for kept in (give_way..=blocks).rev() {
        for fields in (needed..=3).rev() {
            let option = whole.shortened(fields);
            let tried = Options { sack: options.sack.first(kept), accecn: Some(option), ..*options };
            if tried.sack_room() == kept && tried.len() <= MAX_OPTIONS {
                *options = tried;
                return true;
            }
        }
    }
    false
}

impl Connection {
    /// Whether the administrator's settings hold for it as they are now: whether the option is sent is asked for each
    /// segment.
    pub fn follows_knobs(&self) -> bool {
        self.ecn.accecn.is_some()
    }

    /// Bytes of every segment that the option takes.
    pub(in crate::tcp) fn accecn_overhead(&self) -> u16 {
        let mode = self.settings.knobs.ecn_option;
        let is_constant = |accecn: &AccEcn| mode >= mode::FULL && accecn.is_accepted(mode);
        if self.ecn.accecn.as_deref().is_some_and(is_constant) { WHOLE } else { 0 }
    }

    /// Adds the option to those of a segment that is to leave now, if it is wanted and fits.
    pub(in crate::tcp) fn add_accecn_option(&self, options: &mut Options, now: Instant) {
        if let Some(accecn) = &self.ecn.accecn
            && accecn.is_wanted(&self.settings.knobs, self.rtt.srtt(), now)
        {
            fit(options, accecn.received.option(), accecn.needed);
        }
    }

    /// A segment with these options leaves.
    pub(in crate::tcp) fn on_accecn_sent(&mut self, options: &Options, now: Instant) {
        if let Some(accecn) = &mut self.ecn.accecn {
            accecn.on_sent(options.accecn.is_some(), now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        tcp::accecn::counters::ByteCounters,
        wire::{
            seq::SeqNum,
            tcp::{SackBlocks, Timestamps},
        },
    };

    fn options(blocks: u32, stamps: bool) -> Options {
        let mut sack = SackBlocks::default();
        (0..blocks).for_each(|n| _ = sack.push(SeqNum(n), SeqNum(n + 1)));
        Options { sack, timestamps: stamps.then_some(Timestamps { val: 1, ecr: 1 }), ..Options::default() }
    }

    /// Counters and blocks that are left.
    fn fitted(blocks: u32, stamps: bool, needed: u8) -> (Option<usize>, usize) {
        let mut options = options(blocks, stamps);
        fit(&mut options, ByteCounters::default().option(), needed);
        assert!(options.len() <= MAX_OPTIONS && options.len().is_multiple_of(4));
        (options.accecn.map(|option| option.counters().count()), options.sack.as_slice().len())
    }

    #[test]
    fn without_time_stamps_there_is_room_for_three_counters_and_three_blocks() {
        for needed in 0..=3 {
            assert_eq!(fitted(3, false, needed), (Some(3), 3));
        }
        assert_eq!(fitted(4, false, 0), (Some(1), 4), "what is over goes where NOPs were");
        assert_eq!(fitted(4, false, 3), (Some(3), 3), "a block gives way");
    }

    #[test]
    fn with_time_stamps_two_counters_and_two_blocks_fit() {
        assert_eq!(fitted(1, true, 3), (Some(3), 1));
        assert_eq!(fitted(2, true, 2), (Some(2), 2));
        assert_eq!(fitted(3, true, 1), (Some(2), 2), "a block gives way");
        assert_eq!(fitted(3, true, 0), (Some(0), 3), "two bytes stand where NOPs were");
        assert_eq!(fitted(3, true, 3), (None, 3), "not a second one");
    }
}
