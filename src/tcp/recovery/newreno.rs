//! Losses as duplicate and partial acknowledgements tell them, for peers without SACK (RFC 5681 section 3.2, NewReno:
//! RFC 6582).

use super::AckNews;
use crate::tcp::{Connection, sack::DUP_THRESH};

impl Connection {
    /// Keeps the count of what has left the network when there is no SACK to tell; returns how many bytes this
    /// acknowledgement tells of (RFC 9937 section 6.2, DeliveredData without SACK).
    pub(super) fn count_departures(&mut self, news: &AckNews) -> u32 {
        if self.opening.sack {
            return 0;
        }
        let mss = u32::from(self.segment_size());
        let before = self.recovery.departed;
        let departed = &mut self.recovery.departed;
        if news.advanced > 0 {
            // One segment filled the hole; the others were counted when they were announced.
            *departed = departed.saturating_sub(news.advanced.saturating_sub(mss));
            if self.recovery.phase == super::Phase::Open || self.snd.unacked() == 0 {
                *departed = 0;
            }
        } else if news.repeats {
            *departed += mss;
        }
        *departed = (*departed).min(self.snd.pipe());
        let now = self.recovery.departed;
        if news.advanced > 0 {
            news.advanced.saturating_sub(before.saturating_sub(now))
        } else {
            now.saturating_sub(before)
        }
    }

    /// Whether duplicate acknowledgements show the first segment to be lost. Those that repeat where the last recovery
    /// ended were caused by it (RFC 6582 section 3.2, step 2).
    pub(super) fn lost_first(&mut self) -> bool {
        self.recovery.dup_acks >= DUP_THRESH
            && self.snd.una() > self.recovery.recover
            && self.snd.mark_first_lost(u32::from(self.segment_size())) > 0
    }

    /// A partial acknowledgement: the next hole begins right there (RFC 6582 section 3.2, step 3).
    pub(super) fn lost_next(&mut self) -> u32 {
        let lost = self.snd.mark_first_lost(u32::from(self.segment_size()));
        self.recovery.retransmit_now = lost > 0;
        lost
    }
}
