//! The records of what was sent in the order of sending (RFC 8985 section 5.1), so that loss detection looks only at
//! what is old enough to be lost, never at the whole window.
//!
//! What was sent once stands in the queue in the order it was sent: a mark that only moves forward divides what was
//! judged from what is still in flight. What was sent again is listed by time.

use super::{Fate, SendQueue, Sent};
use crate::{time::Instant, wire::seq::SeqNum};
use std::collections::VecDeque;

/// A stretch that was sent again.
#[derive(Copy, Clone, Debug)]
struct Again {
    start: SeqNum,
    end: SeqNum,
    at: Instant,
}

/// Where to look.
#[derive(Debug)]
pub(super) struct Order {
    /// No record before this is in flight for the first time.
    fresh: SeqNum,
    /// No record before this is lost.
    lost: SeqNum,
    /// What was sent again, the oldest first. Entries whose records have another fate by now are skipped.
    again: VecDeque<Again>,
}

impl Order {
    pub(super) fn new(first: SeqNum) -> Self {
        Self { fresh: first, lost: first, again: VecDeque::new() }
    }

    pub(super) fn on_resent(&mut self, start: SeqNum, end: SeqNum, at: Instant) {
        self.again.push_back(Again { start, end, at });
    }

    /// Everything before `una` is gone; `resent` bytes that were sent again are still out.
    pub(super) fn on_ack(&mut self, una: SeqNum, resent: u32) {
        self.fresh = self.fresh.max(una);
        self.lost = self.lost.max(una);
        if resent == 0 && !self.again.is_empty() {
            self.again = VecDeque::new();
        }
    }

    pub(super) fn on_fate(&mut self, start: SeqNum, fate: Fate) {
        match fate {
            Fate::InFlight => self.fresh = self.fresh.min(start),
            Fate::Lost => self.lost = self.lost.min(start),
            Fate::Sacked | Fate::Resent => {}
        }
    }
}

/// What acknowledgements, cumulative or selective, have told to be delivered.
#[derive(Copy, Clone, Debug, Default)]
pub struct Heard {
    /// When the latest of what was sent only once was sent, and where it ends.
    pub original: Option<(Instant, SeqNum)>,
    /// The same of what was sent again.
    pub resent: Option<(Instant, SeqNum)>,
    /// The lowest stretch delivered by its only transmission.
    pub lowest: Option<(SeqNum, SeqNum)>,
    /// Behind the highest number delivered.
    pub highest: Option<SeqNum>,
    /// When the highest was sent; of what was acknowledged cumulatively, if anything was.
    pub last_at: Instant,
    /// Whether that was sent again.
    pub is_last_again: bool,
    /// Something was acknowledged cumulatively.
    pub is_acked: bool,
}

impl Heard {
    /// `sent` was acknowledged cumulatively.
    pub(super) fn on_acked(&mut self, sent: &Sent) {
        self.on_delivered(sent);
        (self.last_at, self.is_last_again) = (sent.at, sent.retransmitted);
        self.is_acked = true;
    }

    /// `sent` was reported by SACK.
    pub(super) fn on_sacked(&mut self, sent: &Sent) {
        self.on_delivered(sent);
        if !self.is_acked {
            (self.last_at, self.is_last_again) = (sent.at, sent.retransmitted);
        }
    }

    fn on_delivered(&mut self, sent: &Sent) {
        let end = sent.end;
        let latest = if sent.retransmitted { &mut self.resent } else { &mut self.original };
        if latest.is_none_or(|(at, upto)| sent.at > at || (sent.at == at && end > upto)) {
            *latest = Some((sent.at, end));
        }
        if !sent.retransmitted && self.lowest.is_none_or(|(start, _)| sent.start < start) {
            self.lowest = Some((sent.start, end));
        }
        self.highest = Some(self.highest.map_or(end, |highest| highest.max(end)));
    }
}

/// What may be judged: all that was sent before the latest transmission known to be delivered.
#[derive(Copy, Clone, Debug)]
pub struct Horizon {
    /// When that was sent.
    pub at: Instant,
    /// Where it ends; among what was sent at the same time the sequence decides.
    pub end: SeqNum,
    /// What was sent at or before this time is lost.
    pub due: Instant,
}

impl Horizon {
    fn is_before(&self, at: Instant, end: SeqNum) -> bool {
        at < self.at || (at == self.at && end < self.end)
    }
}

/// What judging came to.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// Bytes found lost.
    pub lost: u32,
    /// Of these, bytes whose retransmission is lost.
    pub lost_again: u32,
    /// Something will be lost if it is not delivered in time: when the oldest of it was sent.
    pub waiting: Option<Instant>,
}

impl SendQueue {
    /// The first lost stretch.
    pub fn next_lost(&mut self) -> Option<Sent> {
        if self.lost == 0 {
            return None;
        }
        let mark = self.order.lost;
        let from = self.sent.partition_point(|sent| sent.end <= mark);
        let found = self.sent.iter().skip(from).find(|sent| sent.fate == Fate::Lost).copied();
        if let Some(found) = found {
            self.order.lost = found.start;
        }
        found
    }

    /// Marks what is lost by `horizon`.
    pub fn mark_before(&mut self, horizon: &Horizon) -> Judged {
        let mut judged = Judged::default();
        self.judge_originals(horizon, &mut judged);
        self.judge_resent(horizon, &mut judged);
        judged
    }

    fn judge_originals(&mut self, horizon: &Horizon, judged: &mut Judged) {
        let mark = self.order.fresh;
        let mut index = self.sent.partition_point(|sent| sent.end <= mark);
        while let Some(sent) = self.sent.get(index) {
            if sent.fate == Fate::InFlight {
                if !horizon.is_before(sent.at, sent.end) {
                    break;
                }
                if sent.at > horizon.due {
                    judged.waiting = Some(sent.at);
                    break;
                }
                judged.lost += self.set_fate(index, Fate::Lost);
            }
            index += 1;
        }
        self.order.fresh = self.sent.get(index).map_or(self.nxt, |sent| sent.start);
    }

    fn judge_resent(&mut self, horizon: &Horizon, judged: &mut Judged) {
        while let Some(Again { start, end, at }) = self.order.again.front().copied() {
            let mut index = self.sent.partition_point(|sent| sent.end <= start);
            while let Some(sent) = self.sent.get(index).filter(|sent| sent.start < end) {
                if sent.fate == Fate::Resent && sent.at == at {
                    if !horizon.is_before(at, sent.end) {
                        return;
                    }
                    if at > horizon.due {
                        judged.waiting = Some(judged.waiting.map_or(at, |other| other.min(at)));
                        return;
                    }
                    let len = self.set_fate(index, Fate::Lost);
                    judged.lost += len;
                    judged.lost_again += len;
                }
                index += 1;
            }
            self.order.again.pop_front();
        }
    }

    /// After a retransmission time-out: the first stretch is presumed lost, and with it all that was sent at or before
    /// `due` and not reported by SACK (RFC 6675 section 5.1, RFC 8985 section 6.3).
    pub fn mark_late_lost(&mut self, due: Instant) {
        for index in 0..self.sent.len() {
            let sent = &self.sent[index];
            if sent.fate != Fate::Sacked && (index == 0 || sent.at <= due) {
                self.set_fate(index, Fate::Lost);
            }
        }
    }

    /// Everything is presumed lost, what the peer reported included: it has thrown that away (RFC 2018 section 8).
    pub fn mark_all_lost(&mut self) {
        (0..self.sent.len()).for_each(|index| _ = self.set_fate(index, Fate::Lost));
        self.order.again.clear();
    }

    /// Takes back presumptions of loss about what was not sent again since: it was on its way after all.
    pub fn unmark_lost(&mut self) {
        for index in 0..self.sent.len() {
            if self.sent[index].fate == Fate::Lost {
                let fate = if self.sent[index].retransmitted { Fate::Resent } else { Fate::InFlight };
                self.set_fate(index, fate);
            }
        }
        let resent = self.sent.iter().filter(|sent| sent.fate == Fate::Resent);
        self.order.again = resent.map(|&Sent { start, end, at, .. }| Again { start, end, at }).collect();
        self.order.again.make_contiguous().sort_by_key(|again| again.at);
    }

    /// The stretch that was sent last of all in sequence.
    pub fn last(&self) -> Option<&Sent> {
        self.sent.back()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ns: u64) -> Instant {
        Instant::from_nanos(ns)
    }

    /// Ten stretches of 100 bytes, sent one nanosecond after the other from 1 on.
    fn ten() -> SendQueue {
        let mut queue = SendQueue::new(SeqNum(0));
        queue.push(&[0; 1000]);
        (1..=10).for_each(|n| queue.on_sent(100, false, at(n)));
        queue
    }

    fn horizon(sent: u64, end: u32, due: u64) -> Horizon {
        Horizon { at: at(sent), end: SeqNum(end), due: at(due) }
    }

    #[test]
    fn only_what_was_sent_before_the_delivered_and_is_old_enough_is_lost() {
        let mut queue = ten();
        queue.on_sack(SeqNum(400), SeqNum(500), 100);
        assert_eq!(queue.mark_before(&horizon(5, 500, 2)), Judged { lost: 200, lost_again: 0, waiting: Some(at(3)) });
        assert_eq!(queue.mark_before(&horizon(5, 500, 5)), Judged { lost: 200, lost_again: 0, waiting: None });
        assert_eq!(queue.mark_before(&horizon(5, 500, 9)), Judged::default());
        assert_eq!((queue.lost(), queue.pipe()), (400, 500));
    }

    #[test]
    fn what_was_sent_again_is_lost_again_when_something_sent_later_arrives() {
        let mut queue = ten();
        queue.on_sack(SeqNum(400), SeqNum(500), 100);
        queue.mark_before(&horizon(5, 500, 5));
        queue.on_resent(SeqNum(0), 100, false, at(20));
        queue.on_resent(SeqNum(100), 100, false, at(21));
        queue.on_sack(SeqNum(100), SeqNum(200), 100);
        assert_eq!(
            queue.mark_before(&horizon(21, 200, 19)),
            Judged { lost: 500, lost_again: 0, waiting: Some(at(20)) }
        );
        assert_eq!(queue.mark_before(&horizon(21, 200, 20)), Judged { lost: 100, lost_again: 100, waiting: None });
        assert_eq!(queue.next_lost().map(|sent| sent.start), Some(SeqNum(0)));
    }

    #[test]
    fn losses_that_were_none_can_be_judged_anew() {
        let mut queue = ten();
        queue.on_sack(SeqNum(900), SeqNum(1000), 100);
        queue.mark_before(&horizon(10, 1000, 10));
        queue.on_resent(SeqNum(0), 100, false, at(30));
        queue.unmark_lost();
        assert_eq!((queue.lost(), queue.resent(), queue.pipe()), (0, 100, 900));
        assert_eq!(queue.next_lost().map(|sent| sent.start), None);
        assert_eq!(queue.mark_before(&horizon(10, 1000, 10)).lost, 800);
    }

    #[test]
    fn what_arrived_side_by_side_is_one_record() {
        let mut queue = ten();
        for (start, end) in [(300, 400), (500, 600), (400, 500), (100, 200), (200, 300), (600, 1000)] {
            queue.on_sack(SeqNum(start), SeqNum(end), 100);
        }
        assert_eq!((queue.sent.len(), queue.sacked()), (2, 900));
    }
}
