//! One datagram of which fragments are missing.

use super::Verdict;
use crate::{
    buf::{Packet, RxMeta},
    time::Instant,
};
use std::collections::VecDeque;

/// What a fragment is charged beside its buffer, bytes: its place among the others, of which a growing queue keeps up
/// to as many unused, and the allocator's own.
const PIECE: usize = 128;
/// What a datagram is charged beside its fragments, bytes: its slot, its entries in both tables and its links, of each
/// of which a table that has just grown keeps as many unused.
pub const DATAGRAM: usize = 640;

/// What is there of a datagram.
pub struct Partial {
    /// When its time is over.
    pub until: Instant,
    /// The fragments, in order, without gaps filled in. At most half of them move when one comes in between.
    pieces: VecDeque<Piece>,
    /// Payload bytes so far.
    filled: usize,
    /// Length of the payload, once the last fragment is here.
    len: Option<usize>,
    /// Bytes charged for it.
    footprint: usize,
    /// Fragments overlapped: nothing is kept, everything refused.
    is_poisoned: bool,
}

/// One fragment.
struct Piece {
    /// Where in the datagram's payload its own begins.
    start: usize,
    /// Bytes in front of its payload: the IP header, which the first fragment keeps.
    header: usize,
    packet: Packet,
}

impl Piece {
    fn payload(&self) -> &[u8] {
        &self.packet.bytes()[self.header..]
    }

    fn end(&self) -> usize {
        self.start + self.packet.len() - self.header
    }
}

/// What a fragment meant to its datagram.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was kept.
    Kept,
    /// It was the one that was missing.
    Completed,
    /// It was there already, or nothing of this datagram is taken any more.
    Refused,
    /// It contradicts the others: nothing is kept of the datagram, and its further fragments are refused.
    Poisoned,
}

impl Partial {
    /// A datagram of which nothing is there.
    pub fn new(until: Instant) -> Self {
        Self { until, pieces: VecDeque::new(), filled: 0, len: None, footprint: DATAGRAM, is_poisoned: false }
    }

    /// Bytes charged for it.
    pub fn footprint(&self) -> usize {
        self.footprint
    }

    /// A fragment: `packet` starts with its IP header of `header` bytes, behind which is at least one byte; its payload
    /// belongs at `start`.
    pub fn add(&mut self, start: usize, more: bool, mut packet: Packet, header: usize) -> Outcome {
        if self.is_poisoned {
            return Outcome::Refused;
        }
        // Only the first fragment's header is wanted later.
        let header = if start == 0 {
            header
        } else {
            packet.advance(header);
            0
        };
        packet.shrink();
        let piece = Piece { start, header, packet };
        let (end, at) = (piece.end(), self.pieces.partition_point(|other| other.start < start));
        let (before, after) = (at.checked_sub(1).and_then(|at| self.pieces.get(at)), self.pieces.get(at));
        if after.is_some_and(|twin| twin.start == start && twin.end() == end) {
            return Outcome::Refused; // An exact duplicate: the network's doing, not an attack.
        }
        let overlaps =
            before.is_some_and(|before| before.end() > start) || after.is_some_and(|after| after.start < end);
        let contradicts = match self.len {
            Some(len) => end > len || !more,
            None => !more && self.pieces.back().is_some_and(|last| last.end() > end),
        };
        if overlaps || contradicts {
            *self = Self { is_poisoned: true, ..Self::new(self.until) };
            return Outcome::Poisoned;
        }
        self.filled += end - start;
        self.footprint += piece.packet.footprint() + PIECE;
        if !more {
            self.len = Some(end);
        }
        if self.pieces.is_empty() {
            // Most of what an attacker sends stays alone.
            self.pieces.reserve_exact(1);
        }
        self.pieces.insert(at, piece);
        if self.len == Some(self.filled) { Outcome::Completed } else { Outcome::Kept }
    }

    /// The first fragment's IP header and 8 bytes more, which an ICMP error quotes; `None` while it is missing.
    pub fn quote(&self) -> Option<Vec<u8>> {
        let first = self.pieces.front().filter(|first| first.start == 0)?;
        let bytes = first.packet.bytes();
        Some(bytes[..bytes.len().min(first.header + 8)].to_vec())
    }

    /// All fragments in one packet, behind the first one's IP header.
    pub fn join(&self) -> Verdict {
        let Some(first) = self.pieces.front() else { return Verdict::Dropped };
        let mut bytes = Vec::with_capacity(first.header + self.filled);
        bytes.extend_from_slice(&first.packet.bytes()[..first.header]);
        let mut meta = RxMeta { checksum_ok: true, ..RxMeta::default() };
        for piece in &self.pieces {
            bytes.extend_from_slice(piece.payload());
            meta.checksum_ok &= piece.packet.meta.checksum_ok;
            meta.link_broadcast |= piece.packet.meta.link_broadcast;
        }
        let len = bytes.len();
        let mut packet = Packet::new(bytes.into(), 0..len);
        packet.meta = meta;
        Verdict::Complete(packet)
    }
}
