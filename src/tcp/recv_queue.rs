//! The receive queue: bytes in order for the application, and what came before its turn (RFC 9293 section 3.10.7.4).

use super::{assembler::Assembler, run::Run};
use crate::{
    buf::Packet,
    wire::{seq::SeqNum, tcp::SackBlocks},
};
use std::io::IoSliceMut;

/// What became of a segment's payload.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Inserted {
    /// How far rcv_nxt moved, bytes: the payload's new bytes, and those that had waited for them.
    pub advanced: u32,
    /// The segment came before its turn: an immediate duplicate acknowledgement is due (RFC 5681 section 4.2).
    pub out_of_order: bool,
    /// The first part of it that had come before, `[start, end)`, for a D-SACK (RFC 2883).
    pub duplicate: Option<(SeqNum, SeqNum)>,
}

/// Received bytes of one connection.
#[derive(Debug)]
pub struct RecvQueue {
    rcv_nxt: SeqNum,
    /// Stream position of `rcv_nxt`: counted like it, in 64 bits.
    position: u64,
    ready: Run,
    /// There only while something waits for a gap to be filled.
    waiting: Option<Box<Assembler>>,
}

impl RecvQueue {
    /// An empty queue whose next byte has the number `rcv_nxt`.
    pub fn new(rcv_nxt: SeqNum) -> Self {
        Self { rcv_nxt, position: 0, ready: Run::default(), waiting: None }
    }

    /// The next sequence number expected.
    pub fn rcv_nxt(&self) -> SeqNum {
        self.rcv_nxt
    }

    /// Takes the payload of a segment that starts at `seq`, cut to the receive window by the caller.
    pub fn insert(&mut self, seq: SeqNum, mut payload: Packet) -> Inserted {
        let end = seq + payload.len() as u32;
        if payload.is_empty() {
            return Inserted::default();
        }
        if seq > self.rcv_nxt {
            let position = self.position + u64::from(seq - self.rcv_nxt);
            let placed = self.waiting.get_or_insert_default().insert(position, payload);
            let duplicate = placed.duplicate.map(|held| (self.seq_at(held.start), self.seq_at(held.end)));
            return Inserted { advanced: 0, out_of_order: true, duplicate };
        }
        let duplicate = (seq < self.rcv_nxt).then(|| (seq, end.min(self.rcv_nxt)));
        if end <= self.rcv_nxt {
            return Inserted { duplicate, ..Inserted::default() };
        }
        payload.advance((self.rcv_nxt - seq) as usize);
        let before = self.rcv_nxt;
        let held = self.push_in_order(payload);
        Inserted { advanced: self.rcv_nxt - before, out_of_order: false, duplicate: duplicate.or(held) }
    }

    /// Adds bytes whose turn it is, and those they make ready; returns the first part that was there already.
    fn push_in_order(&mut self, payload: Packet) -> Option<(SeqNum, SeqNum)> {
        let end = self.position + payload.len() as u64;
        let Some(mut waiting) = self.waiting.take() else {
            self.advance(payload.len());
            self.ready.push(payload);
            return None;
        };
        let mut duplicate = None;
        if waiting.first().is_some_and(|first| first < end) {
            let placed = waiting.insert(self.position, payload);
            duplicate = placed.duplicate.map(|held| (self.seq_at(held.start), self.seq_at(held.end)));
        } else {
            self.advance(payload.len());
            self.ready.push(payload);
        }
        if let Some(run) = waiting.take_run(self.position) {
            self.advance(run.len());
            self.ready.append(run);
        }
        self.waiting = Some(waiting).filter(|waiting| !waiting.is_empty());
        duplicate
    }

    /// The sequence number at a stream position.
    fn seq_at(&self, position: u64) -> SeqNum {
        // Modulo 2^32 the difference is right even if the position is before rcv_nxt.
        self.rcv_nxt + position.wrapping_sub(self.position) as u32
    }

    fn advance(&mut self, n: usize) {
        self.rcv_nxt += n as u32;
        self.position += n as u64;
    }

    /// Bytes the application can read.
    pub fn readable(&self) -> usize {
        self.ready.len()
    }

    /// Bytes that wait for a gap to be filled.
    pub fn out_of_order(&self) -> usize {
        self.waiting.as_ref().map_or(0, |waiting| waiting.len())
    }

    /// How far what came before its turn goes beyond RCV.NXT, bytes.
    pub fn ahead(&self) -> u32 {
        let end = self.waiting.as_ref().and_then(|waiting| waiting.end());
        end.map_or(0, |end| u32::try_from(end.saturating_sub(self.position)).unwrap_or(u32::MAX))
    }

    /// Memory held, in bytes, the cost of keeping things in order included.
    pub fn footprint(&self) -> usize {
        self.ready.footprint() + self.waiting.as_ref().map_or(0, |waiting| waiting.footprint() + size_of::<Assembler>())
    }

    /// Copies bytes into `out` and, unless this is a `peek`, takes them off the queue; returns how many.
    pub fn read(&mut self, out: &mut [IoSliceMut<'_>], peek: bool) -> usize {
        self.read_up_to(usize::MAX, out, peek)
    }

    /// As [`RecvQueue::read`], but `limit` bytes at most (a read stops before an urgent byte).
    pub fn read_up_to(&mut self, limit: usize, out: &mut [IoSliceMut<'_>], peek: bool) -> usize {
        let n = self.ready.copy_to(0, limit, out);
        if !peek {
            self.ready.consume(n);
        }
        n
    }

    /// Takes bytes in the packets they came in: whole ones, until there are `enough`.
    pub fn take(&mut self, enough: usize) -> Run {
        self.ready.split_front(enough)
    }

    /// Copies bytes from `offset` on into `out` and leaves them queued; returns how many.
    pub fn read_at(&self, offset: usize, out: &mut [IoSliceMut<'_>]) -> usize {
        self.ready.copy_to(offset, usize::MAX, out)
    }

    /// Drops up to `n` bytes the application could read; returns how many.
    pub fn skip(&mut self, n: usize) -> usize {
        self.ready.consume(n)
    }

    /// What waits, for the SACK option: the run that changed last first, four at most (RFC 2018 section 4).
    pub fn sack_blocks(&self) -> SackBlocks {
        let mut blocks = SackBlocks::default();
        for run in self.waiting.iter().flat_map(|waiting| waiting.reports()) {
            blocks.push(self.seq_at(run.start), self.seq_at(run.end));
        }
        blocks
    }

    /// Drops all data that waits for a gap to be filled (the peer may be told of it no more and will send it again,
    /// RFC 2018 section 8); returns how many bytes of memory that freed.
    pub fn prune(&mut self) -> usize {
        let held = self.footprint();
        self.waiting = None;
        held - self.footprint()
    }

    /// As [`RecvQueue::prune`], but only from the far end and until the queue holds at most `goal` bytes of memory.
    pub fn prune_to(&mut self, goal: usize) -> usize {
        let held = self.footprint();
        if let Some(waiting) = &mut self.waiting {
            waiting.prune(goal.saturating_sub(self.ready.footprint() + size_of::<Assembler>()));
            self.waiting.take_if(|waiting| waiting.is_empty());
        }
        held - self.footprint()
    }

    /// The peer's FIN, which is next, was taken: rcv_nxt moves past it, and what claims to lie behind it is dropped.
    pub fn advance_past_fin(&mut self) {
        self.advance(1);
        self.waiting = None;
    }
}

#[cfg(test)]
mod tests;
