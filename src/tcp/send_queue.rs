//! The send queue: the bytes the application has written and the peer has not acknowledged, with a record of every
//! stretch of them that was sent. The records are what loss detection judges (RFC 6675; the time stamps are RACK's).

pub mod by_time;

use super::rate::{DeliveryRate, Stamp};
use crate::{
    buf::{Rope, Slice},
    time::Instant,
    wire::seq::SeqNum,
};
use by_time::{Heard, Order};
use std::collections::VecDeque;

/// Where a sent stretch is, as far as we know. Exactly one holds at a time.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Sent once and presumed on its way.
    InFlight,
    /// The peer has it out of order (RFC 2018).
    Sacked,
    /// Presumed lost, to be sent again.
    Lost,
    /// Was lost and has been sent again.
    Resent,
}

/// A stretch of sequence space that was sent in one go.
#[derive(Copy, Clone, Debug)]
pub struct Sent {
    /// First sequence number.
    pub start: SeqNum,
    /// Behind the last one; a FIN counts.
    pub end: SeqNum,
    /// When it was sent last.
    pub at: Instant,
    /// What became of it.
    pub fate: Fate,
    /// Whether it was ever sent again: no round trip can be measured by it (Karn's algorithm, RFC 6298 section 3).
    pub retransmitted: bool,
    /// Its end is pushed (PSH), whenever it is sent.
    pub pushed: bool,
    /// How the delivery stood when it was sent last.
    pub stamp: Stamp,
}

/// What `start..end` covers of `sent`, without the segments of which it has a part only: no receiver tells of those (as
/// Linux, tcp_match_skb_to_sack).
fn whole_segments(sent: &Sent, start: SeqNum, end: SeqNum, mss: u32) -> Option<(SeqNum, SeqNum)> {
    let mss = mss.max(1);
    let from = if start > sent.start { sent.start + (start - sent.start).div_ceil(mss) * mss } else { sent.start };
    let to = if end < sent.end { sent.start + (end - sent.start) / mss * mss } else { sent.end };
    (from < to).then_some((from, to))
}

impl Sent {
    /// Sequence numbers it covers.
    pub fn span(&self) -> u32 {
        self.end - self.start
    }
}

/// What an acknowledgement released.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Released {
    /// Sequence numbers acknowledged, a FIN counted.
    pub bytes: u32,
    /// Of these, those the peer had not reported by SACK before.
    pub unsacked: u32,
    /// When the oldest of it was sent, if none of it was ever retransmitted.
    pub sent_at: Option<Instant>,
    /// Whether some of it had been retransmitted.
    pub retransmitted: bool,
}

/// Most records a queue keeps beside one for every segment in flight: a peer that reports single bytes by SACK must
/// not make us keep a record for each.
const SPARE_RECORDS: usize = 64;
/// Records an empty queue keeps room for, so that a request and its answer allocate nothing.
const KEPT_RECORDS: usize = 4;

/// Bytes and a FIN on their way to the peer.
#[derive(Debug)]
pub struct SendQueue {
    rope: Rope,
    una: SeqNum,
    nxt: SeqNum,
    end: SeqNum,
    fin: Option<SeqNum>,
    sent: VecDeque<Sent>,
    sacked: u32,
    lost: u32,
    resent: u32,
    /// What was delivered, and how fast.
    pub rate: DeliveryRate,
    /// The records in the order they were sent.
    order: Order,
    /// What was delivered since this was taken.
    pub heard: Heard,
}

impl SendQueue {
    /// An empty queue whose first byte has the number `first`.
    pub fn new(first: SeqNum) -> Self {
        Self {
            rope: Rope::default(),
            una: first,
            nxt: first,
            end: first,
            fin: None,
            sent: VecDeque::new(),
            sacked: 0,
            lost: 0,
            resent: 0,
            rate: DeliveryRate::default(),
            order: Order::new(first),
            heard: Heard::default(),
        }
    }

    /// SND.UNA: the oldest number not acknowledged.
    pub fn una(&self) -> SeqNum {
        self.una
    }

    /// SND.NXT: the next number to be sent for the first time.
    pub fn nxt(&self) -> SeqNum {
        self.nxt
    }

    /// Behind everything queued, the FIN included.
    pub fn end(&self) -> SeqNum {
        self.end
    }

    /// Behind the last data byte queued.
    pub fn data_end(&self) -> SeqNum {
        self.fin.unwrap_or(self.end)
    }

    /// Data bytes held.
    pub fn held(&self) -> usize {
        self.rope.len()
    }

    /// Memory held for data, bytes: the blocks it is in, however little of them is filled.
    pub fn memory(&self) -> usize {
        self.rope.footprint()
    }

    /// Memory held, bytes.
    pub fn footprint(&self) -> usize {
        self.rope.footprint() + self.sent.capacity() * size_of::<Sent>()
    }

    /// Numbers sent and not acknowledged.
    pub fn unacked(&self) -> u32 {
        self.nxt - self.una
    }

    /// Numbers queued and not sent.
    pub fn unsent(&self) -> u32 {
        self.end - self.nxt
    }

    /// Data bytes queued and not sent (without the FIN).
    pub fn unsent_data(&self) -> u32 {
        if self.data_end() > self.nxt { self.data_end() - self.nxt } else { 0 }
    }

    /// Bytes the peer reported out of order.
    pub fn sacked(&self) -> u32 {
        self.sacked
    }

    /// Bytes presumed lost and not sent again yet.
    pub fn lost(&self) -> u32 {
        self.lost
    }

    /// Bytes of which a second copy is on its way.
    pub fn resent(&self) -> u32 {
        self.resent
    }

    /// An estimate of what is in the network: all that is out but neither arrived nor lost (RFC 6675 section 3, pipe).
    pub fn pipe(&self) -> u32 {
        self.unacked() - self.sacked - self.lost
    }

    /// Whether our FIN is queued.
    pub fn has_fin(&self) -> bool {
        self.fin.is_some()
    }

    /// Whether our FIN has been sent.
    pub fn is_fin_sent(&self) -> bool {
        self.fin.is_some_and(|fin| self.nxt > fin)
    }

    /// Whether our FIN is acknowledged.
    pub fn is_fin_acked(&self) -> bool {
        self.fin.is_some_and(|fin| self.una > fin)
    }

    /// Copies `data` to the end. Nothing may follow the FIN.
    pub fn push(&mut self, data: &[u8]) {
        debug_assert!(self.fin.is_none(), "no data behind the FIN");
        self.rope.push(data);
        self.end += data.len() as u32;
    }

    /// Moves up to `room` bytes of `data` to the end; returns how many. Nothing may follow the FIN.
    pub fn take_from(&mut self, data: &mut Rope, room: usize) -> usize {
        debug_assert!(self.fin.is_none(), "no data behind the FIN");
        let taken = self.rope.take_from(data, room);
        self.end += taken as u32;
        taken
    }

    /// Puts the FIN behind the data.
    pub fn push_fin(&mut self) {
        if self.fin.is_none() {
            self.fin = Some(self.end);
            self.end += 1;
        }
    }

    /// Drops everything, as after a reset.
    pub fn clear(&mut self) {
        *self = Self::new(self.nxt);
    }

    /// The data bytes within `len` numbers from `seq` on, and whether the FIN is among these numbers.
    pub fn content(&self, seq: SeqNum, len: u32) -> (u32, bool) {
        let (data_end, end) = (self.data_end(), seq + len);
        let data = if seq < data_end { end.min(data_end) - seq } else { 0 };
        (data, end > data_end && self.fin.is_some())
    }

    /// Hands the `len` data bytes from `seq` on to `each`, in shared slices.
    pub fn slices(&self, seq: SeqNum, len: u32, each: impl FnMut(Slice)) {
        self.rope.slices((seq - self.una) as usize, len as usize, each);
    }

    /// Notes that the next `len` numbers are being sent for the first time, with PSH if `pushed`.
    pub fn on_sent(&mut self, len: u32, pushed: bool, now: Instant) {
        let (start, end) = (self.nxt, self.nxt + len);
        let stamp = self.rate.on_sent(len, self.pipe(), now);
        self.sent.push_back(Sent { start, end, at: now, fate: Fate::InFlight, retransmitted: false, pushed, stamp });
        self.nxt = end;
    }

    /// Whether what was sent up to `end` ended with PSH there.
    pub fn is_pushed(&self, end: SeqNum) -> bool {
        let index = self.sent.partition_point(|sent| sent.end < end);
        self.sent.get(index).is_some_and(|sent| sent.end == end && sent.pushed)
    }

    /// Notes that `len` numbers from `seq`, within one stretch, are being sent again, with PSH if `pushed`.
    pub fn on_resent(&mut self, seq: SeqNum, len: u32, pushed: bool, now: Instant) {
        let mut index = self.sent.partition_point(|sent| sent.end <= seq);
        if self.split(index, seq) {
            index += 1;
        }
        self.split(index, seq + len);
        let stamp = self.rate.on_sent(len, self.pipe(), now);
        self.order.on_resent(seq, seq + len, now);
        self.set_fate(index, Fate::Resent);
        if let Some(sent) = self.sent.get_mut(index) {
            sent.at = now;
            sent.retransmitted = true;
            sent.pushed = pushed;
            sent.stamp = stamp;
        }
    }

    /// Releases what is acknowledged by `ack`, which is within what was sent.
    pub fn on_ack(&mut self, ack: SeqNum) -> Released {
        let mut released = Released { bytes: ack - self.una, ..Released::default() };
        while let Some(first) = self.sent.front().copied() {
            if first.start >= ack {
                break;
            }
            let upto = first.end.min(ack);
            let gone = upto - first.start;
            released.retransmitted |= first.retransmitted;
            if first.fate != Fate::Sacked {
                self.rate.on_delivered(&first, gone);
                self.heard.on_acked(&Sent { end: upto, ..first });
            }
            match first.fate {
                Fate::InFlight => released.unsacked += gone,
                Fate::Sacked => self.sacked -= gone,
                Fate::Lost => {
                    self.lost -= gone;
                    released.unsacked += gone;
                }
                Fate::Resent => {
                    self.resent -= gone;
                    released.unsacked += gone;
                }
            }
            // A stretch reported by SACK arrived long before this acknowledgement of it.
            if first.fate != Fate::Sacked && released.sent_at.is_none() {
                released.sent_at = Some(first.at);
            }
            if upto == first.end {
                self.sent.pop_front();
            } else if let Some(first) = self.sent.front_mut() {
                first.start = upto;
            }
        }
        if released.retransmitted {
            released.sent_at = None;
        }
        let data = if self.una < self.data_end() { ack.min(self.data_end()) - self.una } else { 0 };
        self.rope.release(data as usize);
        self.una = ack;
        self.order.on_ack(ack, self.resent);
        if self.sent.is_empty() && self.sent.capacity() > KEPT_RECORDS {
            self.sent = VecDeque::new();
        }
        released
    }

    /// Takes note of one SACK block; returns the bytes that are newly known to have arrived, and when the latest of
    /// them was sent if it was sent only once.
    pub fn on_sack(&mut self, start: SeqNum, end: SeqNum, mss: u32) -> (u32, Option<Instant>) {
        let (mut news, mut sent_at) = (0, None);
        let most = (self.unacked() / mss.max(1)) as usize * 2 + SPARE_RECORDS;
        let mut index = self.sent.partition_point(|sent| sent.end <= start);
        while let Some(sent) = self.sent.get(index).copied() {
            if sent.start >= end {
                break;
            }
            if sent.fate != Fate::Sacked {
                if (sent.start < start || sent.end > end) && self.sent.len() + 2 > most {
                    index += 1;
                    continue;
                }
                let Some((start, end)) = whole_segments(&sent, start, end, mss) else {
                    index += 1;
                    continue;
                };
                if self.split(index, start) {
                    index += 1;
                }
                self.split(index, end);
                let len = self.set_fate(index, Fate::Sacked);
                self.rate.on_delivered(&sent, len);
                news += len;
                self.heard.on_sacked(&Sent { start, end, ..sent });
                if !sent.retransmitted {
                    sent_at = Some(sent.at);
                }
                index = self.join_sacked(index);
            }
            index += 1;
        }
        (news, sent_at)
    }

    /// Marks the first segment, of at most `mss` bytes, as lost unless that is known.
    pub fn mark_first_lost(&mut self, mss: u32) -> u32 {
        match self.sent.front().copied() {
            Some(first) if matches!(first.fate, Fate::InFlight | Fate::Resent) => {
                self.split(0, first.start + mss);
                self.set_fate(0, Fate::Lost)
            }
            _ => 0,
        }
    }

    /// Marks as lost what is out, for the first time or again, in segments larger than `mss`, which the path turned out
    /// not to take: the next narrow hop may stop what was sent again because of the one before it.
    pub fn mark_oversized_lost(&mut self, mss: u32) {
        for index in 0..self.sent.len() {
            let Sent { fate, .. } = self.sent[index];
            if matches!(fate, Fate::InFlight | Fate::Resent) && self.sent[index].span() > mss {
                self.set_fate(index, Fate::Lost);
            }
        }
    }

    /// Whether the oldest outstanding stretch was reported by SACK, yet the acknowledgement stays before it: the peer
    /// has thrown it away (RFC 2018 section 8).
    pub fn is_reneged(&self) -> bool {
        self.sent.front().is_some_and(|first| first.fate == Fate::Sacked)
    }

    /// The oldest outstanding stretch.
    pub fn first(&self) -> Option<&Sent> {
        self.sent.front()
    }

    /// Makes `at` a border between two records, if it lies within record `index`; says whether it did.
    fn split(&mut self, index: usize, at: SeqNum) -> bool {
        if let Some(sent) = self.sent.get_mut(index)
            && sent.start < at
            && at < sent.end
        {
            let tail = Sent { start: at, ..*sent };
            sent.end = at;
            sent.pushed = false;
            self.sent.insert(index + 1, tail);
            return true;
        }
        false
    }

    /// Makes one record of `index`, which the peer has, and its neighbours if it has them too: what arrived is walked
    /// over but once. Returns the new record's index.
    fn join_sacked(&mut self, index: usize) -> usize {
        let is_sacked = |sent: Option<&Sent>| sent.is_some_and(|sent| sent.fate == Fate::Sacked);
        if is_sacked(self.sent.get(index + 1))
            && let Some(next) = self.sent.remove(index + 1)
        {
            self.sent[index].end = next.end;
            self.sent[index].pushed = next.pushed;
            self.sent[index].retransmitted |= next.retransmitted;
        }
        if index > 0
            && is_sacked(self.sent.get(index - 1))
            && let Some(this) = self.sent.remove(index)
        {
            self.sent[index - 1].end = this.end;
            self.sent[index - 1].pushed = this.pushed;
            self.sent[index - 1].retransmitted |= this.retransmitted;
            return index - 1;
        }
        index
    }

    /// Changes a fate and keeps the sums; returns the length of the stretch.
    fn set_fate(&mut self, index: usize, fate: Fate) -> u32 {
        let Some(sent) = self.sent.get_mut(index) else { return 0 };
        let (start, len) = (sent.start, sent.span());
        self.order.on_fate(start, fate);
        match std::mem::replace(&mut sent.fate, fate) {
            Fate::InFlight => {}
            Fate::Sacked => self.sacked -= len,
            Fate::Lost => self.lost -= len,
            Fate::Resent => self.resent -= len,
        }
        match fate {
            Fate::InFlight => {}
            Fate::Sacked => self.sacked += len,
            Fate::Lost => {
                self.lost += len;
                self.rate.on_lost(len);
            }
            Fate::Resent => self.resent += len,
        }
        len
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The records as one line: `0-100 100-200S 200-300L`.
    fn show(queue: &SendQueue) -> String {
        let mark = |fate| match fate {
            Fate::InFlight => "",
            Fate::Sacked => "S",
            Fate::Lost => "L",
            Fate::Resent => "R",
        };
        let lines: Vec<_> = queue.sent.iter().map(|s| format!("{}-{}{}", s.start.0, s.end.0, mark(s.fate))).collect();
        lines.join(" ")
    }

    fn queue(bytes: u32) -> SendQueue {
        let mut queue = SendQueue::new(SeqNum(0));
        queue.push(&vec![1; bytes as usize]);
        queue.on_sent(bytes, false, Instant::ZERO);
        queue
    }

    #[test]
    fn a_sack_block_cuts_out_what_arrived() {
        let mut queue = queue(1000);
        assert_eq!(queue.on_sack(SeqNum(300), SeqNum(500), 100).0, 200);
        assert_eq!(show(&queue), "0-300 300-500S 500-1000");
        assert_eq!(queue.on_sack(SeqNum(300), SeqNum(600), 100).0, 100);
        assert_eq!((queue.pipe(), queue.sacked()), (700, 300));
        queue.on_ack(SeqNum(550));
        assert_eq!(show(&queue), "550-600S 600-1000");
        assert_eq!((queue.pipe(), queue.sacked()), (400, 50));
    }

    #[test]
    fn a_lost_stretch_is_sent_again_in_pieces() {
        let mut queue = queue(1000);
        queue.on_sack(SeqNum(600), SeqNum(1000), 100);
        queue.mark_first_lost(600);
        assert_eq!(queue.next_lost().map(|s| (s.start.0, s.end.0)), Some((0, 600)));
        assert_eq!(queue.pipe(), 0);
        queue.on_resent(SeqNum(0), 200, false, Instant::ZERO);
        assert_eq!(show(&queue), "0-200R 200-600L 600-1000S");
        assert_eq!(queue.pipe(), 200);
        queue.mark_late_lost(Instant::FAR_FUTURE);
        assert_eq!(show(&queue), "0-200L 200-600L 600-1000S");
        queue.mark_all_lost();
        assert_eq!((queue.lost(), queue.pipe()), (1000, 0));
    }

    #[test]
    fn no_round_trip_is_measured_by_what_was_sent_twice() {
        let mut queue = queue(100);
        queue.push(&[0; 100]);
        queue.on_sent(100, false, Instant::from_nanos(5));
        queue.mark_first_lost(100);
        queue.on_resent(SeqNum(0), 100, false, Instant::from_nanos(9));
        assert_eq!(queue.on_ack(SeqNum(50)).sent_at, None);
        assert_eq!(queue.on_ack(SeqNum(200)).sent_at, None);
        queue.push(&[0; 10]);
        queue.on_sent(10, false, Instant::from_nanos(20));
        assert_eq!(queue.on_ack(SeqNum(210)).sent_at, Some(Instant::from_nanos(20)));
    }

    #[test]
    fn the_fin_takes_a_number_but_no_byte() {
        let mut queue = queue(10);
        queue.push_fin();
        assert_eq!((queue.unsent(), queue.unsent_data()), (1, 0));
        assert_eq!(queue.content(SeqNum(5), 6), (5, true));
        assert_eq!(queue.content(SeqNum(10), 1), (0, true));
        queue.on_sent(1, false, Instant::ZERO);
        queue.on_ack(SeqNum(10));
        assert!(queue.is_fin_sent() && !queue.is_fin_acked());
        assert_eq!(queue.on_ack(SeqNum(11)).bytes, 1);
        assert!(queue.is_fin_acked());
        assert_eq!((queue.held(), queue.unsent()), (0, 0));
    }

    #[test]
    fn reports_of_single_bytes_do_not_make_endless_records() {
        let mut queue = queue(100_000);
        for byte in 0..40_000 {
            queue.on_sack(SeqNum(byte * 2 + 1), SeqNum(byte * 2 + 2), 1000);
        }
        assert!(queue.sent.len() <= 2 * 100 + SPARE_RECORDS);
    }
}
