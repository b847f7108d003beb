//! RACK: a segment is lost if one that was sent sufficiently later has arrived (RFC 8985 section 6). What was sent
//! again is judged like what was sent once, so that a lost retransmission needs no time-out.

use crate::{
    tcp::{
        Connection,
        sack::DUP_THRESH,
        send_queue::by_time::{Heard, Horizon, Judged},
        timer::Timer,
    },
    time::{Duration, Instant},
    wire::seq::SeqNum,
};

/// Recoveries without a needless retransmission after which the reordering window is again the smallest (RFC 8985
/// section 6.2, step 4).
const PERSIST: u8 = 16;
/// The most reordering that is reported (Linux's tcp_max_reordering).
const REORDERING_MAX: u32 = 300;

/// What was sent within this time is judged together (Linux's TCP_TIMEOUT_MIN).
const TOGETHER: Duration = Duration::from_millis(2);

/// The state of RACK.
#[derive(Clone, Debug)]
pub struct Rack {
    /// When the latest transmission known to be delivered was sent, and where it ends; time zero before there is one.
    at: Instant,
    end: SeqNum,
    /// Its round trip.
    rtt: Duration,
    /// Behind the highest number known to be delivered (RACK.fack).
    fack: SeqNum,
    /// Something once arrived that was sent before what had arrived already.
    reordering_seen: bool,
    /// What a quarter of the round trip is multiplied by.
    mult: u8,
    persist: u8,
    /// Duplicates reported before this is acknowledged make the window no larger.
    dsack_round: Option<SeqNum>,
    /// How far segments were seen to be reordered, and how often (tcpi_reordering, tcpi_reord_seen).
    pub reordering: u32,
    /// How often.
    pub reord_seen: u32,
}

impl Rack {
    /// Nothing was delivered yet.
    pub fn new(iss: SeqNum) -> Self {
        Self {
            at: Instant::ZERO,
            end: iss,
            rtt: Duration::ZERO,
            fack: iss,
            reordering_seen: false,
            mult: 1,
            persist: 0,
            dsack_round: None,
            reordering: DUP_THRESH,
            reord_seen: 0,
        }
    }

    /// Takes what an acknowledgement told (RFC 8985 section 6.2, steps 2 and 3).
    pub fn on_heard(&mut self, heard: &Heard, mss: u32, min_rtt: Option<Duration>, now: Instant) {
        if let Some((at, end)) = heard.original {
            self.on_delivered(at, end, now);
        }
        // What comes back sooner than any round trip was the answer to the first transmission. Time stamps say nothing
        // of it: an acknowledgement of out-of-order data echoes an old one.
        if let Some((at, end)) = heard.resent
            && min_rtt.is_none_or(|min| now.since(at) >= min)
        {
            self.on_delivered(at, end, now);
        }
        // The round trip is that of the highest, not of the latest (as in the RFC): what came with it may be as old.
        let rtt = now.since(heard.last_at);
        if heard.highest.is_some() && (!heard.is_last_again || min_rtt.is_none_or(|min| rtt >= min)) {
            self.rtt = rtt;
        }
        if let Some((start, end)) = heard.lowest
            && end < self.fack
        {
            self.reordering_seen = true;
            self.reord_seen = self.reord_seen.saturating_add(1);
            self.reordering = self.reordering.max((self.fack - start).div_ceil(mss.max(1))).min(REORDERING_MAX);
        }
        if let Some(highest) = heard.highest {
            self.fack = self.fack.max(highest);
        }
    }

    fn on_delivered(&mut self, at: Instant, end: SeqNum, now: Instant) {
        self.rtt = now.since(at);
        if at > self.at || (at == self.at && end > self.end) {
            (self.at, self.end) = (at, end);
        }
    }

    /// A retransmission was shown to be needless by its duplicate or its time stamp: what it repeated was late, not
    /// lost.
    pub fn on_late(&mut self) {
        self.reordering_seen = true;
    }

    /// A duplicate was reported: the window grows, once a round trip (RFC 8985 section 6.2, step 4).
    pub fn on_duplicate(&mut self, una: SeqNum, nxt: SeqNum) {
        if self.dsack_round.is_some_and(|round| una >= round) {
            self.dsack_round = None;
        }
        if self.dsack_round.is_none() {
            self.dsack_round = Some(nxt);
            self.mult = self.mult.saturating_add(1);
            self.persist = PERSIST;
        }
    }

    /// A recovery is over.
    pub fn on_recovered(&mut self) {
        self.persist = self.persist.saturating_sub(1);
        if self.persist == 0 {
            self.mult = 1;
        }
    }

    /// How long something may be late; `convinced` is whether losses are being repaired already, or as much has arrived
    /// behind a hole as shows a loss where nothing is reordered (RFC 8985 section 6.2, step 4).
    pub fn reordering_window(&self, convinced: bool, min_rtt: Option<Duration>, srtt: Option<Duration>) -> Duration {
        if !self.reordering_seen && convinced {
            return Duration::ZERO;
        }
        let window = min_rtt.unwrap_or_default() / 4 * u32::from(self.mult);
        window.min(srtt.unwrap_or_default())
    }

    /// What is lost now if `window` is allowed.
    fn horizon(&self, window: Duration, now: Instant) -> Horizon {
        Horizon { at: self.at, end: self.end, due: now - (self.rtt + window) }
    }

    /// When what was sent at `oldest` and before the latest delivered transmission is due, and with it what was sent
    /// soon after.
    fn deadline(&self, oldest: Instant, window: Duration) -> Instant {
        self.at.min(oldest + TOGETHER) + self.rtt + window
    }
}

impl Connection {
    /// What may be late now.
    fn reordering_window(&self) -> Duration {
        let enough = self.recovery.dup_acks >= DUP_THRESH
            || self.snd.sacked() > (DUP_THRESH - 1) * u32::from(self.segment_size());
        let convinced = enough || self.recovery.is_repairing();
        self.recovery.rack.reordering_window(convinced, self.rtt.min_rtt(), self.rtt.srtt())
    }

    /// Marks what is lost, and sets the timer for what may turn out so (RFC 8985 section 6.2, step 5).
    pub(in crate::tcp) fn detect_losses(&mut self, now: Instant) -> Judged {
        let window = self.reordering_window();
        let judged = self.snd.mark_before(&self.recovery.rack.horizon(window, now));
        if let Some(oldest) = judged.waiting {
            let at = self.recovery.rack.deadline(oldest, window).max(now + Duration::from_micros(1));
            self.timers.set(Timer::Reo, at);
        } else {
            self.timers.stop(Timer::Reo);
        }
        judged
    }

    /// What was sent until then is overdue when the retransmission timer runs out (RFC 8985 section 6.3).
    pub(in crate::tcp) fn overdue(&self, now: Instant) -> Instant {
        self.recovery.rack.horizon(self.reordering_window(), now).due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn rack() -> Rack {
        Rack::new(SeqNum(0))
    }

    fn at(ms: u32) -> Instant {
        Instant::ZERO + ms * MS
    }

    fn window(rack: &Rack, convinced: bool) -> Duration {
        rack.reordering_window(convinced, Some(40 * MS), Some(50 * MS))
    }

    #[test]
    fn without_reordering_conviction_needs_no_patience() {
        assert_eq!(window(&rack(), true), Duration::ZERO);
        assert_eq!(window(&rack(), false), 10 * MS);
    }

    #[test]
    fn what_arrives_behind_the_highest_by_its_only_transmission_is_reordering() {
        let mut rack = rack();
        let heard = |lowest, highest| Heard {
            lowest: Some((SeqNum(lowest), SeqNum(lowest + 100))),
            highest: Some(SeqNum(highest)),
            ..Heard::default()
        };
        rack.on_heard(&heard(0, 500), 100, None, at(1));
        assert!(!rack.reordering_seen);
        rack.on_heard(&heard(500, 1000), 100, None, at(2));
        assert_eq!((rack.reordering_seen, rack.reordering), (false, 3));
        rack.on_heard(&heard(300, 400), 100, None, at(3));
        assert_eq!((rack.reordering_seen, rack.reordering, rack.reord_seen), (true, 7, 1));
        assert_eq!(window(&rack, true), 10 * MS);
    }

    #[test]
    fn a_retransmission_answered_too_soon_says_nothing() {
        let mut rack = rack();
        let resent = Heard { resent: Some((at(100), SeqNum(100))), ..Heard::default() };
        rack.on_heard(&resent, 100, Some(40 * MS), at(139));
        assert_eq!(rack.at, Instant::ZERO);
        rack.on_heard(&resent, 100, Some(40 * MS), at(140));
        assert_eq!((rack.at, rack.rtt), (at(100), 40 * MS));
    }

    #[test]
    fn reported_duplicates_make_the_window_larger_once_a_round_trip_up_to_the_mean() {
        let mut rack = rack();
        rack.on_late();
        rack.on_duplicate(SeqNum(10), SeqNum(100));
        rack.on_duplicate(SeqNum(20), SeqNum(200));
        assert_eq!(window(&rack, true), 20 * MS);
        rack.on_duplicate(SeqNum(100), SeqNum(300));
        assert_eq!(window(&rack, true), 30 * MS);
        for round in 1..1000 {
            rack.on_duplicate(SeqNum(round * 300), SeqNum(round * 300 + 300));
        }
        assert_eq!(window(&rack, true), 50 * MS);
    }

    #[test]
    fn after_sixteen_recoveries_without_duplicates_the_window_is_the_smallest_again() {
        let mut rack = rack();
        rack.on_late();
        rack.on_duplicate(SeqNum(10), SeqNum(100));
        (0..15).for_each(|_| rack.on_recovered());
        assert_eq!(window(&rack, true), 20 * MS);
        rack.on_recovered();
        assert_eq!(window(&rack, true), 10 * MS);
    }
}
