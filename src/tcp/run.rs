//! A run of received bytes without a gap, in the packets they came in.

use crate::buf::{Buf, Packet};
use std::{collections::VecDeque, io::IoSliceMut};

/// A packet of fewer bytes is copied behind its predecessor rather than queued for itself.
const TINY: usize = 256;
/// The least and the most room a buffer for copied packets has.
const ROOM: (usize, usize) = (64, 16 * 1024);
/// What is left of a half-read packet moves out of its large buffer if it is no more than this: bounded work.
const REST: usize = 2 * 1024;
/// What the allocator adds to each buffer, about.
const PER_BUFFER: usize = 16;

/// Bytes in order. Large packets stay in the buffers they came in; small ones in large buffers, and tiny ones, are
/// copied together, so that memory is a small multiple of the bytes whatever their packets look like.
#[derive(Debug, Default)]
pub struct Run {
    packets: VecDeque<Packet>,
    len: usize,
    /// Memory of all buffers.
    buffers: usize,
}

impl Run {
    /// Bytes in the run.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Memory held, in bytes.
    pub fn footprint(&self) -> usize {
        self.buffers + self.packets.len() * PER_BUFFER + self.packets.capacity() * size_of::<Packet>()
    }

    /// Adds `packet` at the end.
    pub fn push(&mut self, mut packet: Packet) {
        let len = packet.len();
        let wasteful = len < TINY || len * 4 < packet.footprint();
        if wasteful && self.append_copy(packet.bytes()) {
            return;
        }
        if wasteful && !self.is_empty() {
            // Room for as much again as is queued: the waste is at most half, and the buffers are few.
            let room = self.len.clamp(ROOM.0, ROOM.1).max(len);
            let mut roomy = Packet::new(Buf::zeroed(room), 0..0);
            if roomy.append(packet.bytes()) {
                packet = roomy;
            }
        } else {
            packet.shrink();
        }
        self.len += len;
        self.buffers += packet.footprint();
        self.packets.push_back(packet);
    }

    /// Copies `bytes` behind the last packet, if its buffer has the room.
    fn append_copy(&mut self, bytes: &[u8]) -> bool {
        let done = self.packets.back_mut().is_some_and(|last| last.append(bytes));
        if done {
            self.len += bytes.len();
        }
        done
    }

    /// Adds the bytes of `other` at the end. Packets are moved from the side that has fewer.
    pub fn append(&mut self, mut other: Self) {
        let seam = other.packets.front().map_or(0, Packet::len);
        if seam < TINY && other.packets.front().is_some_and(|seam| self.append_copy(seam.bytes())) {
            other.consume(seam);
        }
        self.len += other.len;
        self.buffers += other.buffers;
        if self.packets.len() >= other.packets.len() {
            self.packets.append(&mut other.packets);
        } else {
            self.packets.drain(..).rev().for_each(|packet| other.packets.push_front(packet));
            self.packets = other.packets;
        }
    }

    /// Adds a run at the end if there is one.
    pub fn extend(&mut self, other: Option<Self>) {
        if let Some(other) = other {
            self.append(other);
        }
    }

    /// Copies up to `limit` bytes from `offset` on into `out`; returns how many.
    pub fn copy_to(&self, mut offset: usize, limit: usize, out: &mut [IoSliceMut<'_>]) -> usize {
        let mut done = 0;
        let mut packets = self.packets.iter().map(Packet::bytes);
        let mut rest: &[u8] = &[];
        for slice in out {
            let mut filled = 0;
            while filled < slice.len() && done < limit {
                if rest.is_empty() {
                    let Some(bytes) = packets.next() else { return done };
                    let skipped = offset.min(bytes.len());
                    offset -= skipped;
                    rest = &bytes[skipped..];
                    continue;
                }
                let n = rest.len().min(slice.len() - filled).min(limit - done);
                slice[filled..filled + n].copy_from_slice(&rest[..n]);
                rest = &rest[n..];
                filled += n;
                done += n;
            }
        }
        done
    }

    /// Drops `n` bytes at the front (all, if there are fewer); returns how many. An empty run holds no memory.
    pub fn consume(&mut self, n: usize) -> usize {
        let n = n.min(self.len);
        self.len -= n;
        if self.len == 0 {
            *self = Self::default();
            return n;
        }
        let mut left = n;
        while let Some(first) = self.packets.front_mut() {
            if left < first.len() {
                let held = first.footprint();
                first.advance(left);
                if left > 0 && first.len() <= REST {
                    first.shrink();
                }
                self.buffers -= held - first.footprint();
                break;
            }
            left -= first.len();
            self.buffers -= first.footprint();
            self.packets.pop_front();
        }
        n
    }

    /// Takes whole packets off the front until there are `enough` bytes, or all.
    pub fn split_front(&mut self, enough: usize) -> Self {
        let mut front = Self::default();
        while front.len < enough
            && let Some(packet) = self.packets.pop_front()
        {
            front.len += packet.len();
            front.buffers += packet.footprint();
            front.packets.push_back(packet);
        }
        self.len -= front.len;
        self.buffers -= front.buffers;
        if self.len == 0 {
            *self = Self::default();
        }
        front
    }

    /// The bytes, packet by packet.
    pub fn slices(&self) -> impl Iterator<Item = &[u8]> {
        self.packets.iter().map(Packet::bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(run: &Run, offset: usize, len: usize) -> Vec<u8> {
        let mut out = vec![0; len];
        let n = run.copy_to(offset, usize::MAX, &mut [IoSliceMut::new(&mut out)]);
        out.truncate(n);
        out
    }

    fn run_of(parts: &[&[u8]]) -> Run {
        let mut run = Run::default();
        parts.iter().for_each(|part| run.push(Packet::copy_from(part)));
        run
    }

    #[test]
    fn bulk_packets_stay_in_their_buffers() {
        let bulk = Packet::copy_from(&[7; 1448]);
        let at = bulk.bytes().as_ptr();
        let mut run = run_of(&[b"x"]);
        run.push(bulk);
        assert_eq!(run.packets[1].bytes().as_ptr(), at);
        assert_eq!(run.len(), 1449);
    }

    #[test]
    fn the_front_is_split_off_between_packets_and_takes_its_memory_along() {
        let mut run = run_of(&[&[1; 1000], &[2; 1000], &[3; 1000]]);
        let held = run.footprint();
        let front = run.split_front(1001);
        assert_eq!((front.len(), run.len()), (2000, 1000));
        assert!(run.footprint() < held && front.slices().map(<[u8]>::len).eq([1000, 1000]));
        assert_eq!(run.split_front(usize::MAX).len(), 1000);
        assert_eq!((run.len(), run.footprint(), run.split_front(1).len()), (0, 0, 0));
    }

    #[test]
    fn many_tiny_packets_in_large_buffers_take_little_memory() {
        let mut run = Run::default();
        for byte in 0..20_000u32 {
            let mut packet = Packet::new(Buf::zeroed(65_536), 0..1);
            packet.bytes_mut()[0] = byte as u8;
            run.push(packet);
        }
        assert!(run.footprint() < 3 * run.len(), "{}", run.footprint());
        assert_eq!(read(&run, 19_990, 100), (19_990..20_000u32).map(|byte| byte as u8).collect::<Vec<_>>());
    }

    #[test]
    fn runs_join_from_either_side() {
        let mut left = run_of(&[b"abc"]);
        left.append(run_of(&[b"def", &[b'x'; 300], &[b'y'; 300]]));
        assert_eq!((left.len(), read(&left, 0, 8)), (606, b"abcdefxx".to_vec()));
        left.append(run_of(&[b"z"]));
        assert_eq!(read(&left, 605, 10), b"yz");
        let mut empty = Run::default();
        empty.append(left);
        assert_eq!(empty.len(), 607);
    }

    #[test]
    fn copies_scatter_over_slices_and_stop_at_the_limit() {
        let run = run_of(&[b"hello ", &[b'-'; 300], b"world"]);
        let (mut a, mut b, mut c) = ([0; 4], [0; 0], [0; 400]);
        let mut out = [IoSliceMut::new(&mut a), IoSliceMut::new(&mut b), IoSliceMut::new(&mut c)];
        assert_eq!(run.copy_to(0, usize::MAX, &mut out), 311);
        assert_eq!((&a[..], &c[..3], &c[302..307]), (&b"hell"[..], &b"o -"[..], &b"world"[..]));
        let mut out = [0; 10];
        assert_eq!(run.copy_to(1, 3, &mut [IoSliceMut::new(&mut out)]), 3);
        assert_eq!(&out[..4], b"ell\0");
        assert_eq!(run.copy_to(400, 3, &mut [IoSliceMut::new(&mut out)]), 0);
    }

    #[test]
    fn what_is_consumed_is_gone_and_an_empty_run_holds_nothing() {
        let mut run = run_of(&[&[1; 1000], &[2; 1000], &[3; 1000]]);
        assert_eq!(run.consume(1500), 1500);
        assert_eq!((run.len(), read(&run, 499, 2)), (1500, vec![2, 3]));
        assert_eq!(run.consume(5000), 1500);
        assert_eq!((run.footprint(), run.packets.capacity()), (0, 0));
    }

    #[test]
    fn the_rest_of_a_super_frame_does_not_hold_its_buffer() {
        let mut run = Run::default();
        run.push(Packet::new(Buf::zeroed(65_536), 0..65_000));
        run.consume(64_000);
        assert!(run.footprint() < 2_000, "{}", run.footprint());
    }
}
