//! When to acknowledge: at once, with the next segment, or after 40 ms (RFC 9293 section 3.8.6.3, RFC 5681 section 4.2;
//! quick acknowledgements and the interactive mode follow Linux).

use crate::{
    time::{Duration, Instant},
    wire::seq::SeqNum,
};

/// How long an acknowledgement waits for company at least, and at first (Linux's TCP_ATO_MIN and TCP_DELACK_MIN).
pub const DELAY: Duration = Duration::from_millis(40);
/// What a timer that is to fire at once takes on Linux.
const TICK: Duration = Duration::from_millis(1);
/// The longest it waits (Linux's TCP_DELACK_MAX; RFC 9293 section 3.8.6.3, MUST-40, allows 500 ms).
const LONGEST: Duration = Duration::from_millis(200);
/// Acknowledgements sent at once while the peer's slow start is young, at most (Linux's TCP_MAX_QUICKACKS).
const QUICK: u32 = 16;
/// And at least, however small the window.
const QUICK_LEAST: u32 = 2;

/// Whether an acknowledgement is owed.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Owed {
    /// None.
    Nothing,
    /// One that may wait for data or the delay.
    Delayed,
    /// One at once.
    Now,
}

/// The acknowledging side of a connection.
#[derive(Debug)]
pub struct Acks {
    owed: Owed,
    /// Quick acknowledgements left.
    quick: u8,
    /// The application answers what it gets: acknowledgements ride on its answers.
    interactive: bool,
    /// RCV.NXT as last told to the peer (RFC 7323's Last.ACK.sent).
    told: SeqNum,
    /// The peer's segment size as seen.
    rcv_mss: u16,
    /// When data came last.
    heard: Instant,
    /// What came twice and was not yet reported (RFC 2883).
    pub duplicate: Option<(SeqNum, SeqNum)>,
    /// The peer's pace: about how long its next segment takes to come (Linux's `ato`); zero before the first.
    ato: Duration,
}

/// Data as it came in.
#[derive(Copy, Clone, Debug)]
pub struct Arrival {
    /// Largest segment in it, bytes.
    pub segment: u16,
    /// How far RCV.NXT has come.
    pub rcv_nxt: SeqNum,
    /// It left or filled a gap, or was there already: the peer wants to know at once (RFC 5681 section 4.2).
    pub irregular: bool,
    /// The reader has kept up: acknowledging now would not tell of a smaller window.
    pub window_kept: bool,
    /// The last offer, bytes.
    pub offer: u32,
    /// Less than half of the receive buffer is free.
    pub crowded: bool,
}

impl Acks {
    /// A connection whose peer begins at `rcv_nxt`.
    pub fn new(rcv_nxt: SeqNum, now: Instant) -> Self {
        Self {
            owed: Owed::Nothing,
            quick: 0,
            interactive: false,
            told: rcv_nxt,
            rcv_mss: 536,
            heard: now,
            duplicate: None,
            ato: Duration::ZERO,
        }
    }

    /// What is owed.
    pub fn owed(&self) -> Owed {
        self.owed
    }

    /// RCV.NXT as last told to the peer.
    pub fn told(&self) -> SeqNum {
        self.told
    }

    /// The peer's segment size as seen, bytes.
    pub fn rcv_mss(&self) -> u16 {
        self.rcv_mss
    }

    /// When data came last.
    pub fn heard(&self) -> Instant {
        self.heard
    }

    /// The peer's pace as TCP_INFO tells it (tcpi_ato).
    pub fn ato(&self) -> Duration {
        self.ato
    }

    /// How long an acknowledgement waits now: as long as the peer's pace gives hope of company, but no longer than a
    /// round trip, or 40 ms where that is shorter (Linux's tcp_send_delayed_ack).
    pub fn delay(&self, srtt: Option<Duration>) -> Duration {
        if self.ato.is_zero() {
            // No data has come yet that shows a pace.
            return TICK;
        }
        self.ato.min(srtt.unwrap_or(LONGEST)).clamp(DELAY, LONGEST)
    }

    /// Whether acknowledgements ride on answers (TCP_QUICKACK reads 0).
    pub fn is_interactive(&self) -> bool {
        self.interactive
    }

    /// TCP_QUICKACK was set or cleared.
    pub fn set_interactive(&mut self, interactive: bool) {
        if self.interactive && !interactive && self.owed == Owed::Delayed {
            self.owed = Owed::Now;
        }
        self.interactive = interactive;
    }

    /// The next `count` acknowledgements go out at once: something is amiss (Linux's tcp_enter_quickack_mode).
    pub fn be_quick(&mut self, count: u8) {
        self.quick = self.quick.max(count);
        self.interactive = false;
    }

    /// The next acknowledgement goes out at once.
    pub fn owe_now(&mut self) {
        self.owed = Owed::Now;
    }

    /// Data came in.
    pub fn on_data(&mut self, arrival: Arrival, rto: Duration, now: Instant) {
        let Arrival { segment, rcv_nxt, irregular, window_kept, offer, crowded } = arrival;
        if segment >= self.rcv_mss || segment >= 536 {
            self.rcv_mss = segment;
        }
        self.follow_pace(now.since(self.heard), rto, offer);
        self.heard = now;
        let unacknowledged = rcv_nxt - self.told;
        if crowded && unacknowledged > u32::from(self.rcv_mss) {
            self.slow_down();
        }
        if irregular || (self.quick > 0 && !self.interactive) {
            self.owed = Owed::Now;
        } else if unacknowledged > u32::from(self.rcv_mss) && window_kept {
            // At least every second full-sized segment (RFC 9293 SHLD-19). When the reader lags, its reading will
            // send this acknowledgement together with the larger window (as Linux does).
            self.owed = Owed::Now;
        } else if self.owed == Owed::Nothing {
            self.owed = Owed::Delayed;
        }
    }

    /// Data is about to be sent: it acknowledges.
    pub fn await_answer(&mut self, now: Instant) {
        self.owed = Owed::Delayed;
        (self.ato, self.heard) = (DELAY, now);
    }

    /// What came was the peer's SYN with its data, which shows no pace.
    pub fn forget_pace(&mut self) {
        self.ato = Duration::ZERO;
    }

    /// The peer's FIN came while we may still send: our own soon follows, and acknowledges it (Linux's tcp_fin).
    /// Nothing is missing any more.
    pub fn on_fin(&mut self) {
        self.duplicate = None;
        self.interactive = true;
        if self.owed == Owed::Nothing {
            self.owed = Owed::Delayed;
        }
    }

    /// As many acknowledgements are quick as let the peer's window grow to half of the `offer` (Linux's
    /// tcp_incr_quickack).
    fn help_slow_start(&mut self, offer: u32) {
        let count = (offer / (2 * u32::from(self.rcv_mss.max(1)))).clamp(QUICK_LEAST, QUICK);
        self.quick = self.quick.max(count as u8);
    }

    /// Less than half of the buffer is free: the peer is not to be hurried (Linux's __tcp_select_window).
    pub fn slow_down(&mut self) {
        self.quick = 0;
    }

    /// `gap` since the last data (Linux's tcp_event_data_recv).
    fn follow_pace(&mut self, gap: Duration, rto: Duration, offer: u32) {
        if self.ato.is_zero() {
            self.ato = DELAY;
            self.help_slow_start(offer);
        } else if gap <= DELAY / 2 {
            self.ato = self.ato / 2 + DELAY / 2;
        } else if gap < self.ato {
            self.ato = (self.ato / 2 + gap).min(rto);
        } else if gap > rto {
            // After a pause the peer starts slowly again and needs its acknowledgements.
            self.help_slow_start(offer);
        }
    }

    /// The application has read: an acknowledgement of more than a segment that waited for this goes out.
    pub fn on_read(&mut self, rcv_nxt: SeqNum, emptied: bool) {
        if self.owed == Owed::Delayed
            && (rcv_nxt - self.told > u32::from(self.rcv_mss) || (emptied && self.quick > 0 && !self.interactive))
        {
            self.owed = Owed::Now;
        }
    }

    /// A segment that acknowledges up to `rcv_nxt` is on its way.
    pub fn on_told(&mut self, rcv_nxt: SeqNum) {
        if self.owed != Owed::Nothing {
            self.quick = self.quick.saturating_sub(1);
        }
        self.owed = Owed::Nothing;
        self.told = rcv_nxt;
    }

    /// The application's data is on its way: soon after the peer's, by its pace, it is an answer. Before the peer's
    /// first data it is none (Linux's tcp_event_data_sent).
    pub fn on_data_sent(&mut self, now: Instant) {
        if now.since(self.heard) < self.ato {
            self.interactive = true;
        }
    }

    /// The delay is over.
    pub fn on_delay_over(&mut self, rto: Duration) {
        // Nobody answered: this is not a dialogue. Or it was none, and the peer is slower than was thought (Linux's
        // tcp_delack_timer_handler).
        self.ato = if self.interactive { DELAY } else { (self.ato * 2).min(rto) };
        self.interactive = false;
        if self.owed == Owed::Delayed {
            self.owed = Owed::Now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTO: Duration = Duration::from_millis(200);

    fn arrival(rcv_nxt: u32) -> Arrival {
        Arrival {
            segment: 1000,
            rcv_nxt: SeqNum(rcv_nxt),
            irregular: false,
            window_kept: true,
            offer: 60_000,
            crowded: false,
        }
    }

    fn calm() -> Acks {
        let mut acks = Acks::new(SeqNum(0), Instant::ZERO);
        acks.ato = DELAY;
        acks
    }

    #[test]
    fn the_first_segments_are_acknowledged_at_once() {
        let mut acks = Acks::new(SeqNum(0), Instant::ZERO);
        for n in 1..=20 {
            acks.on_data(arrival(n * 10), RTO, Instant::ZERO);
            assert_eq!(acks.owed(), if n <= 16 { Owed::Now } else { Owed::Delayed }, "segment {n}");
            acks.on_told(SeqNum(n * 10));
        }
    }

    #[test]
    fn as_many_are_quick_as_fill_half_of_the_window() {
        for (offer, segment, count) in [(64_240, 1460, 16), (20_000, 1000, 10), (20_000, 9000, 2), (0, 1460, 2)] {
            let mut acks = Acks::new(SeqNum(0), Instant::ZERO);
            acks.on_data(Arrival { segment, offer, ..arrival(10) }, RTO, Instant::ZERO);
            assert_eq!(acks.quick, count, "{offer} bytes offered, segments of {segment}");
            acks.slow_down();
            assert_eq!(acks.quick, 0);
        }
    }

    #[test]
    fn every_second_full_segment_is_acknowledged() {
        let mut acks = calm();
        acks.on_data(arrival(1000), RTO, Instant::ZERO);
        assert_eq!(acks.owed(), Owed::Delayed);
        acks.on_data(arrival(2000), RTO, Instant::ZERO);
        assert_eq!(acks.owed(), Owed::Now);
    }

    #[test]
    fn with_a_slow_reader_the_acknowledgement_waits_for_the_reading() {
        let mut acks = calm();
        acks.on_data(Arrival { window_kept: false, ..arrival(5000) }, RTO, Instant::ZERO);
        assert_eq!(acks.owed(), Owed::Delayed);
        acks.on_read(SeqNum(5000), true);
        assert_eq!(acks.owed(), Owed::Now);
    }

    #[test]
    fn an_answer_makes_the_connection_interactive_until_one_is_missed() {
        let mut acks = Acks::new(SeqNum(0), Instant::ZERO);
        acks.on_data(arrival(10), RTO, Instant::ZERO);
        acks.on_data_sent(Instant::ZERO + Duration::from_millis(1));
        acks.on_told(SeqNum(10));
        acks.on_data(arrival(20), RTO, Instant::ZERO);
        assert_eq!(acks.owed(), Owed::Delayed);
        acks.on_delay_over(RTO);
        assert_eq!(acks.owed(), Owed::Now);
        assert!(!acks.is_interactive());
    }

    #[test]
    fn the_delay_follows_the_peers_pace_between_40_and_200_milliseconds() {
        let (slow, far) = (Duration::from_secs(3), Some(Duration::from_secs(1)));
        let ms = |n| Instant::ZERO + Duration::from_millis(n);
        let mut acks = calm();
        acks.on_data(arrival(10), slow, ms(0));
        assert_eq!(acks.delay(far), DELAY);
        // Twice nobody came in time: longer; not longer than a round trip, and never than 200 ms.
        acks.on_delay_over(slow);
        acks.on_delay_over(slow);
        assert_eq!(acks.delay(far), Duration::from_millis(160));
        assert_eq!(acks.delay(Some(Duration::from_millis(90))), Duration::from_millis(90));
        assert_eq!(acks.delay(Some(Duration::from_millis(1))), DELAY);
        acks.on_delay_over(slow);
        assert_eq!(acks.delay(far), LONGEST);
        // 320 ms so far, data after 100: half of the old and the new.
        acks.on_data(arrival(20), slow, ms(100));
        acks.on_data(arrival(30), slow, ms(100));
        acks.on_data(arrival(40), slow, ms(100));
        assert_eq!(acks.delay(far), Duration::from_millis(95));
    }

    #[test]
    fn a_gap_is_reported_at_once() {
        let mut acks = calm();
        acks.on_data(Arrival { irregular: true, ..arrival(0) }, RTO, Instant::ZERO);
        assert_eq!(acks.owed(), Owed::Now);
    }
}
