//! A frame to be sent: headers in a small array that grows at both ends, payload as shared slices. The device hands
//! both to writev(2), so payload is copied once, into the send queue.

use super::{Packet, RxMeta, Slice};

/// Room for all headers: virtio-net 12, Ethernet 14, IP 60, TCP 60, and a small payload beside them.
const ROOM: usize = 256;
/// Where the transport header starts, leaving room in front for IP, Ethernet and the device's own header.
const FRONT: usize = 96;

/// How the device (or the software that stands in for it) splits the payload of a frame larger than the link's MTU.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Gso {
    /// Payload bytes in each segment but the last.
    pub size: u16,
    /// TCP or UDP.
    pub tcp: bool,
    /// The network header is IPv6.
    pub ipv6: bool,
}

/// A frame on its way out. The transport layer appends its header and payload, IP and the link prepend theirs.
#[derive(Clone)]
pub struct Frame {
    head: [u8; ROOM],
    start: u16,
    end: u16,
    /// Payload: most frames need at most one slice, and that one needs no allocation.
    body: Option<Slice>,
    more: Vec<Slice>,
    body_len: u32,
    /// The transport header's place in `head`, and the offset of its checksum field, when the checksum still has to be
    /// finished over everything from the transport header to the end (the field holds the pseudo-header's sum).
    checksum: Option<(u16, u16)>,
    /// Segmentation left to the device.
    pub gso: Option<Gso>,
    /// The ECN field the IP header is to have (RFC 3168 section 5).
    pub ecn: u8,
}

impl Default for Frame {
    fn default() -> Self {
        Self::new()
    }
}

impl Frame {
    /// An empty frame.
    pub fn new() -> Self {
        Self {
            head: [0; ROOM],
            start: FRONT as u16,
            end: FRONT as u16,
            body: None,
            more: Vec::new(),
            body_len: 0,
            checksum: None,
            gso: None,
            ecn: 0,
        }
    }

    /// Grows the header by `n` zero bytes at its front and returns them.
    ///
    /// # Panics
    /// When the room in front is used up: a bug of the caller, whose headers have known sizes.
    pub fn prepend(&mut self, n: usize) -> &mut [u8] {
        let end = self.start as usize;
        self.start = u16::try_from(end.checked_sub(n).expect("headers fit in front")).expect("within the room");
        let bytes = &mut self.head[self.start as usize..end];
        bytes.fill(0);
        bytes
    }

    /// Grows the header by `n` zero bytes at its end and returns them.
    ///
    /// # Panics
    /// When the room is used up, or a payload has been added.
    pub fn append(&mut self, n: usize) -> &mut [u8] {
        assert!(self.body.is_none(), "headers come before the payload");
        let start = self.end as usize;
        self.end += n as u16;
        let bytes = &mut self.head[start..self.end as usize];
        bytes.fill(0);
        bytes
    }

    /// Appends a payload slice; a small one that fits is copied beside the headers.
    pub fn push(&mut self, slice: Slice) {
        if self.body.is_none() && slice.len() <= (ROOM - self.end as usize).min(96) {
            self.append(slice.len()).copy_from_slice(&slice);
            return;
        }
        self.body_len += slice.len() as u32;
        match self.body {
            None => self.body = Some(slice),
            Some(_) => self.more.push(slice),
        }
    }

    /// Appends a copy of `bytes`.
    pub fn push_bytes(&mut self, bytes: &[u8]) {
        if self.body.is_none() && bytes.len() <= ROOM - self.end as usize {
            self.append(bytes.len()).copy_from_slice(bytes);
        } else if !bytes.is_empty() {
            self.push(Slice::copy_from(bytes));
        }
    }

    /// Headers, and a small payload copied beside them.
    pub fn head(&self) -> &[u8] {
        &self.head[self.start as usize..self.end as usize]
    }

    /// The same, to be changed.
    pub fn head_mut(&mut self) -> &mut [u8] {
        &mut self.head[self.start as usize..self.end as usize]
    }

    /// The payload slices behind the head.
    pub fn body(&self) -> impl Iterator<Item = &Slice> {
        self.body.iter().chain(&self.more)
    }

    /// Bytes of head and body together.
    pub fn len(&self) -> usize {
        self.head().len() + self.body_len as usize
    }

    /// Whether the frame has no byte.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Says that the checksum at `field` bytes into a header that starts at the present front of the frame is partial:
    /// the field holds the folded (not inverted) sum of the pseudo-header.
    pub fn set_partial_checksum(&mut self, field: usize) {
        self.checksum = Some((self.start, field as u16));
    }

    /// Where a partial checksum has to be finished: the offset from the front of the frame at which summing starts,
    /// and the offset of the field from there.
    pub fn partial_checksum(&self) -> Option<(usize, usize)> {
        self.checksum.map(|(at, field)| (usize::from(at - self.start), usize::from(field)))
    }

    /// Says that the checksum is complete.
    pub fn clear_partial_checksum(&mut self) {
        self.checksum = None;
    }

    /// All bytes in one piece.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.len());
        bytes.extend_from_slice(self.head());
        self.body().for_each(|slice| bytes.extend_from_slice(slice));
        bytes
    }

    /// The frame as its receiver on the same stack sees it: one copy, no checksum to verify.
    pub fn to_packet(&self) -> Packet {
        let bytes = self.to_vec();
        let len = bytes.len();
        let mut packet = Packet::new(bytes.into(), 0..len);
        packet.meta = RxMeta { checksum_ok: true, gso_size: self.gso.map_or(0, |gso| gso.size), ..RxMeta::default() };
        packet
    }
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Frame({} + {} bytes, gso {:?})", self.head().len(), self.body_len, self.gso)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_grow_at_both_ends_and_the_checksum_place_moves_along() {
        let mut frame = Frame::new();
        frame.append(4).copy_from_slice(b"TCP.");
        frame.set_partial_checksum(2);
        frame.push_bytes(b"data");
        frame.prepend(2).copy_from_slice(b"IP");
        assert_eq!(frame.to_vec(), b"IPTCP.data");
        assert_eq!(frame.partial_checksum(), Some((2, 2)));
    }

    #[test]
    fn a_large_payload_is_shared_not_copied() {
        let slice = Slice::copy_from(&[7; 1000]);
        let mut frame = Frame::new();
        frame.append(20);
        frame.push(slice.clone());
        frame.push(slice.part(0, 10));
        assert_eq!(frame.body().next().unwrap().as_ptr(), slice.as_ptr());
        assert_eq!((frame.len(), frame.head().len()), (1030, 20));
    }
}
