//! Challenge acknowledgements (RFC 5961): what a segment that might be forged gets instead of what it asks for, and the
//! limit on how many (section 7). The same limit holds for answers to segments outside the window, so that two
//! confused ends do not acknowledge each other without end.

use crate::{
    time::{Duration, Instant},
    wire::seq::SeqNum,
};

/// The least time between two answers, if `tcp_invalid_ratelimit` does not say; RFC 5961 section 7 has ten in five
/// seconds.
#[cfg(test)]
pub const INTERVAL: Duration = Duration::from_millis(500);

/// What a reset that came in means (RFC 5961 section 3.2).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum ResetVerdict {
    /// It hits RCV.NXT exactly: the connection is gone.
    Genuine,
    /// It is within the window: ask the peer.
    Challenge,
    /// It is outside the window.
    Drop,
}

/// Judges a reset with sequence number `seq`.
pub fn judge_reset(seq: SeqNum, rcv_nxt: SeqNum, edge: SeqNum) -> ResetVerdict {
    if seq == rcv_nxt {
        ResetVerdict::Genuine
    } else if seq > rcv_nxt && seq < edge {
        ResetVerdict::Challenge
    } else {
        ResetVerdict::Drop
    }
}

/// What an acknowledgement number means (RFC 9293 section 3.10.7.4, RFC 5961 section 5.2).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum AckVerdict {
    /// It acknowledges something new.
    New,
    /// It repeats the last one, or is a little older.
    Old,
    /// It acknowledges what was never sent.
    Unsent,
    /// It is older than any window, or than all that was ever acknowledged: forged or very old.
    Challenge,
}

/// Judges acknowledgement number `ack`.
pub fn judge_ack(ack: SeqNum, una: SeqNum, nxt: SeqNum, max_window: u32) -> AckVerdict {
    if ack > nxt {
        AckVerdict::Unsent
    } else if ack < una - max_window {
        AckVerdict::Challenge
    } else if ack > una {
        AckVerdict::New
    } else {
        AckVerdict::Old
    }
}

/// How often a connection answers strange segments.
#[derive(Clone, Debug, Default)]
pub struct Limiter {
    last: Option<Instant>,
}

impl Limiter {
    /// Whether one more may be given now, the last one at least `interval` ago.
    pub fn allow(&mut self, now: Instant, interval: Duration) -> bool {
        let allowed = self.last.is_none_or(|last| now.since(last) >= interval);
        if allowed {
            self.last = Some(now);
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reset_must_hit_the_next_byte_exactly() {
        let judge = |seq| judge_reset(SeqNum(seq), SeqNum(100), SeqNum(200));
        assert_eq!(judge(100), ResetVerdict::Genuine);
        assert_eq!([judge(101), judge(199)], [ResetVerdict::Challenge; 2]);
        assert_eq!([judge(99), judge(200)], [ResetVerdict::Drop; 2]);
    }

    #[test]
    fn an_acknowledgement_far_from_what_was_sent_is_challenged() {
        let judge = |ack| judge_ack(SeqNum(ack), SeqNum(1000), SeqNum(2000), 500);
        assert_eq!(judge(2001), AckVerdict::Unsent);
        assert_eq!(judge(499), AckVerdict::Challenge);
        assert_eq!([judge(500), judge(1000)], [AckVerdict::Old; 2]);
        assert_eq!([judge(1001), judge(2000)], [AckVerdict::New; 2]);
    }

    #[test]
    fn one_answer_in_half_a_second_and_no_more() {
        let mut limiter = Limiter::default();
        let start = Instant::ZERO + Duration::from_secs(100);
        let ms = Duration::from_millis(1);
        assert_eq!((0..20).filter(|_| limiter.allow(start, INTERVAL)).count(), 1);
        assert_eq!(
            [499, 500, 999, 1000].map(|at| limiter.allow(start + ms * at, INTERVAL)),
            [false, true, false, true]
        );
    }
}
