//! The send queue's bytes: written once, shared with the frames that carry them, released when acknowledged.

use super::{Buf, Pool};
use std::{
    collections::VecDeque,
    io::IoSliceMut,
    ops::Deref,
    sync::{Arc, OnceLock},
};

/// Size of a full block: one super-frame's worth of payload.
const BLOCK: usize = 64 * 1024;
/// Size of a block for a first small write, so that an idle connection that sent a little holds a little.
const SMALL: usize = 2 * 1024;

/// Size of a block for more than that and less than a full one's worth.
const MEDIUM: usize = 8 * 1024;

/// A block with less than this in it is not worth handing over whole.
const WORTHY: usize = BLOCK / 4;

/// A block for `len` bytes, or the first of them, from the pools for all ropes of the process.
fn block_for(len: usize) -> Buf {
    static POOLS: [OnceLock<Pool>; 3] = [const { OnceLock::new() }; 3];
    let sizes = [SMALL, MEDIUM, BLOCK];
    let fits = sizes.iter().position(|size| len <= *size).unwrap_or(sizes.len() - 1);
    POOLS[fits].get_or_init(|| Pool::new(sizes[fits])).take()
}

/// Bytes that are written once: the filled part of a block never changes while a [`Slice`] of it lives.
#[derive(Debug)]
struct Block {
    bytes: Buf,
    filled: usize,
}

/// A shared view of bytes of a rope. It stays valid after the rope has released them.
#[derive(Clone, Debug)]
pub struct Slice {
    block: Arc<Block>,
    start: u32,
    end: u32,
}

impl Slice {
    /// A slice with a copy of `bytes`.
    pub fn copy_from(bytes: &[u8]) -> Self {
        let block = Arc::new(Block { bytes: Buf::from(bytes.to_vec()), filled: bytes.len() });
        Self { block, start: 0, end: bytes.len() as u32 }
    }

    /// The part `start..end` of this slice.
    ///
    /// # Panics
    /// When it is not within the slice.
    pub fn part(&self, start: usize, end: usize) -> Self {
        assert!(start <= end && end <= self.len(), "a part lies within its slice");
        Self { block: Arc::clone(&self.block), start: self.start + start as u32, end: self.start + end as u32 }
    }
}

impl Deref for Slice {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.block.bytes[self.start as usize..self.end as usize]
    }
}

/// A queue of bytes: pushed at the back, read anywhere, released at the front.
#[derive(Debug, Default)]
pub struct Rope {
    /// Blocks with the position of their first byte, counted from the first byte ever pushed.
    blocks: VecDeque<(u64, Arc<Block>)>,
    /// Memory of all blocks.
    footprint: usize,
    /// Position of the first byte that is not released.
    head: u64,
    /// Position behind the last byte.
    tail: u64,
}

impl Rope {
    /// Bytes in the queue.
    pub fn len(&self) -> usize {
        (self.tail - self.head) as usize
    }

    /// Whether the queue is empty.
    pub fn is_empty(&self) -> bool {
        self.head == self.tail
    }

    /// Memory held, in bytes.
    pub fn footprint(&self) -> usize {
        self.footprint
    }

    /// Adds a block at the back.
    fn add(&mut self, block: Arc<Block>) {
        let filled = block.filled;
        self.footprint += block.bytes.len();
        self.blocks.push_back((self.tail, block));
        self.tail += filled as u64;
    }

    /// Copies `data` to the back of the queue.
    pub fn push(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            let taken = match self.blocks.back_mut().and_then(|(_, block)| Arc::get_mut(block)) {
                Some(block) if block.filled < block.bytes.len() => {
                    let taken = data.len().min(block.bytes.len() - block.filled);
                    block.bytes[block.filled..block.filled + taken].copy_from_slice(&data[..taken]);
                    block.filled += taken;
                    taken
                }
                _ => {
                    // Behind what is queued there will be more.
                    let bytes = block_for(self.len() + data.len());
                    self.add(Arc::new(Block { bytes, filled: 0 }));
                    0
                }
            };
            self.tail += taken as u64;
            data = &data[taken..];
        }
    }

    /// Lets `read` fill up to `want` bytes of new room at the back; it says how many bytes it has filled.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn fill<E>(
        &mut self,
        want: usize,
        read: impl FnOnce(&mut [IoSliceMut<'_>]) -> Result<usize, E>,
    ) -> Result<usize, E> {
        let mut blocks: Vec<Buf> = (0..want.div_ceil(BLOCK)).map(|_| block_for(want)).collect();
        let mut room = want;
        let mut slices = Vec::with_capacity(blocks.len());
        for block in &mut blocks {
            let n = room.min(block.len());
            slices.push(IoSliceMut::new(&mut block[..n]));
            room -= n;
        }
        let done = read(&mut slices)?.min(want);
        for (index, bytes) in blocks.into_iter().enumerate() {
            let filled = done.saturating_sub(index * BLOCK).min(BLOCK);
            if filled > 0 {
                self.add(Arc::new(Block { bytes, filled }));
            }
        }
        Ok(done)
    }

    /// Moves up to `room` bytes from the front of `other` to the back; returns how many. Blocks that are full enough
    /// move as they are.
    pub fn take_from(&mut self, other: &mut Self, room: usize) -> usize {
        let mut done = 0;
        while let Some((at, block)) = other.blocks.front() {
            let (skipped, left) = ((other.head - at) as usize, room - done);
            let n = (block.filled - skipped).min(left);
            if n == 0 {
                break;
            }
            if skipped == 0 && n == block.filled && n >= WORTHY {
                self.add(Arc::clone(block));
            } else {
                let block = Arc::clone(block);
                self.push(&block.bytes[skipped..skipped + n]);
            }
            other.release(n);
            done += n;
        }
        done
    }

    /// Releases `n` bytes at the front (all, if fewer are queued).
    pub fn release(&mut self, n: usize) {
        self.head += n.min(self.len()) as u64;
        while self.blocks.front().is_some_and(|(at, block)| at + block.filled as u64 <= self.head) {
            let block = self.blocks.pop_front();
            self.footprint -= block.map_or(0, |(_, block)| block.bytes.len());
        }
        if self.blocks.is_empty() {
            self.blocks = VecDeque::new();
        }
    }

    /// Calls `each` with the slices that make up the `len` bytes from `offset` (from the front of the queue) on.
    /// Bytes past the end are left out.
    pub fn slices(&self, offset: usize, len: usize, mut each: impl FnMut(Slice)) {
        let from = self.head + offset as u64;
        let to = self.tail.min(from + len as u64);
        let first = self.blocks.partition_point(|(at, _)| *at <= from).saturating_sub(1);
        for (at, block) in self.blocks.iter().skip(first).take_while(|(at, _)| *at < to) {
            let start = from.max(*at) - at;
            let end = (to - at).min(block.filled as u64);
            if start < end {
                each(Slice { block: Arc::clone(block), start: start as u32, end: end as u32 });
            }
        }
    }

    /// Copies bytes from `offset` on into `out`; returns how many there were.
    pub fn copy_to(&self, offset: usize, out: &mut [u8]) -> usize {
        let mut done = 0;
        self.slices(offset, out.len(), |slice| {
            out[done..done + slice.len()].copy_from_slice(&slice);
            done += slice.len();
        });
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(rope: &Rope, offset: usize, len: usize) -> Vec<u8> {
        let mut out = vec![0; len];
        let n = rope.copy_to(offset, &mut out);
        out.truncate(n);
        out
    }

    #[test]
    fn bytes_come_back_in_order_across_blocks_and_releases() {
        let data: Vec<u8> = (0..300_000u32).map(|i| (i * 7 % 251) as u8).collect();
        let mut rope = Rope::default();
        for part in data.chunks(12_345) {
            rope.push(part);
        }
        assert_eq!(read(&rope, 65_000, 2_000), data[65_000..67_000]);
        rope.release(100_001);
        assert_eq!(rope.len(), 199_999);
        assert_eq!(read(&rope, 0, 200_000), data[100_001..]);
        rope.release(usize::MAX);
        assert!(rope.is_empty());
        assert_eq!(rope.footprint(), 0);
    }

    #[test]
    fn full_blocks_move_from_rope_to_rope_and_what_does_not_fit_stays() {
        let data: Vec<u8> = (0..150_000u32).map(|i| (i * 11 % 249) as u8).collect();
        let (mut from, mut to) = (Rope::default(), Rope::default());
        let filled = from.fill(200_000, |room| {
            assert_eq!(room.iter().map(|part| part.len()).sum::<usize>(), 200_000);
            let mut rest = &data[..];
            for part in room {
                let n = part.len().min(rest.len());
                part[..n].copy_from_slice(&rest[..n]);
                rest = &rest[n..];
            }
            Ok::<_, ()>(data.len())
        });
        assert_eq!((filled, from.len()), (Ok(150_000), 150_000));
        to.push(b"first");
        assert_eq!(to.take_from(&mut from, 100_000), 100_000);
        assert_eq!(to.take_from(&mut from, 0), 0);
        assert_eq!(to.take_from(&mut from, 100_000), 50_000);
        assert!(from.is_empty() && read(&to, 0, 5) == b"first" && read(&to, 5, 200_000) == data);
        assert_eq!(from.fill(10, |_| Err("no")), Err("no"));
        assert_eq!(from.footprint(), 0);
    }

    #[test]
    fn little_is_held_for_little() {
        let mut rope = Rope::default();
        rope.push(&[1; 100]);
        assert_eq!(rope.footprint(), SMALL);
        rope.push(&[1; 4000]);
        assert_eq!(rope.footprint(), SMALL + MEDIUM);
        rope.push(&[1; 60_000]);
        assert_eq!((rope.len(), rope.footprint()), (64_100, SMALL + MEDIUM + BLOCK));
        rope.release(2000);
        assert_eq!(rope.footprint(), SMALL + MEDIUM + BLOCK);
        rope.release(48);
        assert_eq!(rope.footprint(), MEDIUM + BLOCK);
        let mut other = Rope::default();
        assert_eq!(other.fill(5000, |room| Ok::<_, ()>(room[0].len())), Ok(5000));
        assert_eq!(other.footprint(), MEDIUM);
        rope.release(usize::MAX);
        assert_eq!(rope.footprint(), 0);
    }

    #[test]
    fn a_slice_outlives_its_release_and_keeps_its_bytes_while_more_are_pushed() {
        let mut rope = Rope::default();
        rope.push(b"hello");
        let mut held = None;
        rope.slices(1, 3, |slice| held = Some(slice));
        rope.push(b" world");
        rope.release(5);
        rope.push(b"!");
        assert_eq!(&*held.unwrap(), b"ell");
        assert_eq!(read(&rope, 0, 100), b" world!");
    }
}
