//! A received packet: a window on the buffer it was read into. The layers narrow the window as they take their headers
//! off; what TCP queues is the same buffer, so bulk payload is not copied between the device and recv().

use super::Buf;
use std::ops::Range;

/// What the device knew about a packet.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct RxMeta {
    /// The transport checksum needs no check: the device verified it, or the bytes never left this machine.
    pub checksum_ok: bool,
    /// Payload bytes per segment when the device coalesced several TCP segments into this packet; 0 when it did not.
    pub gso_size: u16,
    /// The frame was sent to the link's broadcast or a multicast address.
    pub link_broadcast: bool,
    /// The ECN field of its IP header (RFC 3168 section 5), known above IP.
    pub ecn: u8,
}

/// A packet, or the part of it that is left.
#[derive(Debug)]
pub struct Packet {
    buf: Buf,
    start: u32,
    end: u32,
    /// What the device said of it.
    pub meta: RxMeta,
}

impl Packet {
    /// The bytes `range` of `buf`.
    ///
    /// # Panics
    /// When the range is not within the buffer.
    pub fn new(buf: Buf, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= buf.len(), "a packet lies within its buffer");
        Self { buf, start: range.start as u32, end: range.end as u32, meta: RxMeta::default() }
    }

    /// A packet with a copy of `bytes`, in a buffer just large enough.
    pub fn copy_from(bytes: &[u8]) -> Self {
        Self::new(Buf::from(bytes.to_vec()), 0..bytes.len())
    }

    /// The bytes that are left.
    pub fn bytes(&self) -> &[u8] {
        &self.buf[self.start as usize..self.end as usize]
    }

    /// The bytes that are left, to be changed.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.buf[self.start as usize..self.end as usize]
    }

    /// How many bytes are left.
    pub fn len(&self) -> usize {
        (self.end - self.start) as usize
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Takes `n` bytes off the front (all, if fewer are left).
    pub fn advance(&mut self, n: usize) {
        self.start += n.min(self.len()) as u32;
    }

    /// Keeps the first `n` bytes.
    pub fn truncate(&mut self, n: usize) {
        self.end = self.start + n.min(self.len()) as u32;
    }

    /// Appends a copy of `bytes` in the buffer's room behind the packet, which nobody else sees. Returns whether there
    /// was enough of it.
    pub fn append(&mut self, bytes: &[u8]) -> bool {
        let start = self.end as usize;
        let Some(room) = self.buf.get_mut(start..start + bytes.len()) else { return false };
        room.copy_from_slice(bytes);
        self.end += bytes.len() as u32;
        true
    }

    /// Memory this packet holds on to, in bytes: its whole buffer, however little of it is left.
    pub fn footprint(&self) -> usize {
        self.buf.len()
    }

    /// Moves the bytes into a buffer of their own size if they fill less than a quarter of the one they are in:
    /// a queue of small packets must not hold a queue of large buffers.
    pub fn shrink(&mut self) {
        if self.len() * 4 < self.footprint() {
            *self = Self { meta: self.meta, ..Self::copy_from(self.bytes()) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_appended_while_there_is_room_behind() {
        let mut packet = Packet::new(Buf::zeroed(10), 2..4);
        assert!(packet.append(b"abcd"));
        assert!(!packet.append(b"efg"));
        assert!(packet.append(b"ef"));
        assert_eq!(packet.bytes(), b"\0\0abcdef");
    }

    #[test]
    fn a_small_rest_lets_go_of_its_large_buffer() {
        let mut packet = Packet::new(Buf::zeroed(65_536), 100..110);
        packet.bytes_mut().copy_from_slice(b"0123456789");
        packet.advance(2);
        packet.truncate(3);
        packet.shrink();
        assert_eq!(packet.bytes(), b"234");
        assert_eq!(packet.footprint(), 3);
    }
}
