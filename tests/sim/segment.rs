//! A TCP segment on its way, and what a device makes of a frame.

use sockeye::{
    addr::Flow,
    buf::Frame,
    wire::{
        checksum, protocol,
        seq::SeqNum,
        tcp::{CHECKSUM_FIELD, Flags, Header},
    },
};
use std::ops::Range;

/// What IP and Ethernet add to a segment on the wire: headers, check sequence, preamble and gap.
const AROUND: usize = 20 + 14 + 24;

/// A TCP segment, checksum included.
#[derive(Clone)]
pub struct Segment {
    /// The connection it belongs to.
    pub flow: usize,
    /// The IP header's ECN field.
    pub ecn: u8,
    /// The size of the segments it was put together from (0: just one).
    pub gso_size: u16,
    pub bytes: Vec<u8>,
}

impl Segment {
    /// Bytes that it takes on the wire.
    pub fn wire_len(&self) -> usize {
        let count = if self.gso_size == 0 { 1 } else { self.bytes.len().div_ceil(usize::from(self.gso_size)) };
        self.bytes.len() + count * AROUND
    }

    /// What the device of connection `number` makes of `frame`: one segment, or several if it does not pass
    /// super-frames on.
    pub fn of_frame(mut frame: Frame, number: usize, flow: Flow, mtu: u32, whole: bool) -> Vec<Self> {
        let gso = frame.gso.take();
        checksum::finish(&mut frame);
        let (bytes, ecn) = (frame.to_vec(), frame.ecn);
        let Some(gso) = gso else { return vec![Self { flow: number, ecn, gso_size: 0, bytes }] };
        let (header, header_len) = Header::parse(&bytes).expect("a segment we sent");
        let longest = 20 + header_len + usize::from(gso.size);
        assert!(longest <= mtu as usize, "segments of {longest} bytes with an MTU of {mtu}");
        if whole {
            return vec![Self { flow: number, ecn, gso_size: gso.size, bytes }];
        }
        let payload = &bytes[header_len..];
        let size = usize::from(gso.size);
        let part = |n: usize| n * size..payload.len().min((n + 1) * size);
        let parts = (0..payload.len().div_ceil(size)).map(|n| split(&header, payload, part(n), flow));
        parts.map(|bytes| Self { flow: number, ecn, gso_size: 0, bytes }).collect()
    }
}

impl std::fmt::Display for Segment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match Header::parse(&self.bytes) {
            Some((header, len)) => write!(f, "{} {header} ({})", self.flow, self.bytes.len() - len),
            None => f.write_str("not a segment"),
        }
    }
}

/// The part `range` of a super-frame as a segment of its own (what TSO does).
fn split(header: &Header, payload: &[u8], range: Range<usize>, flow: Flow) -> Vec<u8> {
    let last = range.end == payload.len();
    let cleared = if last { Flags::default() } else { Flags::FIN.with(Flags::PSH) };
    let header = Header {
        seq: SeqNum(header.seq.0.wrapping_add(range.start as u32)),
        flags: Flags(header.flags.0 & !cleared.0),
        ..*header
    };
    seal(&header, &payload[range], flow)
}

/// The bytes of a complete segment.
pub fn seal(header: &Header, payload: &[u8], flow: Flow) -> Vec<u8> {
    let mut bytes = vec![0; header.len()];
    header.emit(&mut bytes);
    bytes.extend_from_slice(payload);
    let sum = checksum::transport(flow.local.addr, flow.remote.addr, protocol::TCP, &bytes);
    bytes[CHECKSUM_FIELD..CHECKSUM_FIELD + 2].copy_from_slice(&sum.to_be_bytes());
    bytes
}
