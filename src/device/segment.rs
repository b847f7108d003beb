//! What a network card with offloads does, in software: finishing partial checksums and splitting frames that are
//! larger than the link's MTU (TSO for TCP, USO for UDP), for devices and links that cannot.

use crate::{
    buf::{Frame, Gso, Packet, Slice},
    stack::Medium,
    wire::checksum,
};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::Range,
};

const TCP: u8 = 6;
const UDP: u8 = 17;
const ETHERNET: usize = 14;
/// FIN and PSH: of the last segment only.
const LAST_ONLY: u8 = 0x01 | 0x08;
/// CWR: of the first segment only (RFC 3168 section 6.1.2: once for each reduction of the window).
const FIRST_ONLY: u8 = 0x80;

/// Where the headers of a frame lie, by offset from its front.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The IP header.
    pub network: usize,
    /// The TCP or UDP header.
    pub transport: usize,
    /// The first byte of payload.
    pub payload: usize,
    /// The network header is IPv6.
    pub ipv6: bool,
    /// TCP, otherwise UDP.
    pub tcp: bool,
}

impl Layout {
    /// Finds the headers at the front of `bytes`. `None` for what is not TCP or UDP whole in one IP packet with its
    /// headers in `bytes`: nothing else has an offload.
    pub fn of(bytes: &[u8], medium: Medium) -> Option<Self> {
        let network = match medium {
            Medium::Ip => 0,
            Medium::Ethernet if matches!(bytes.get(12..ETHERNET)?, [0x08, 0x00] | [0x86, 0xdd]) => ETHERNET,
            Medium::Ethernet => return None,
        };
        let ip = bytes.get(network..)?;
        let (ipv6, header, protocol) = match ip.first()? >> 4 {
            4 => {
                let is_fragment = u16::from_be_bytes([*ip.get(6)?, *ip.get(7)?]) & 0x3fff != 0;
                let header = usize::from(ip[0] & 0x0f) * 4;
                if is_fragment || header < 20 || ip.len() < header {
                    return None;
                }
                (false, header, ip[9])
            }
            6 => (true, 40, *ip.get(6)?),
            _ => return None,
        };
        let segment = ip.get(header..)?;
        let (tcp, length) = match protocol {
            TCP => (true, usize::from(segment.get(12)? >> 4) * 4),
            UDP => (false, 8),
            _ => return None,
        };
        if segment.len() < length || (tcp && length < 20) {
            return None;
        }
        let transport = network + header;
        Some(Self { network, transport, payload: transport + length, ipv6, tcp })
    }

    /// Offset of the checksum field from the transport header.
    fn checksum_field(&self) -> usize {
        if self.tcp { 16 } else { 6 }
    }

    /// The folded sum of the pseudo-header for `len` bytes of transport header and payload.
    fn pseudo_sum(&self, headers: &[u8], len: usize) -> u16 {
        let ip = &headers[self.network..self.transport];
        let (src, dst): (IpAddr, IpAddr) = if self.ipv6 {
            let half = |range: Range<usize>| <[u8; 16]>::try_from(&ip[range]).unwrap_or_default();
            (Ipv6Addr::from(half(8..24)).into(), Ipv6Addr::from(half(24..40)).into())
        } else {
            let half = |range: Range<usize>| <[u8; 4]>::try_from(&ip[range]).unwrap_or_default();
            (Ipv4Addr::from(half(12..16)).into(), Ipv4Addr::from(half(16..20)).into())
        };
        checksum::fold(checksum::pseudo_header(src, dst, if self.tcp { TCP } else { UDP }, len))
    }

    /// Writes the lengths that follow from `len` bytes of transport header and payload, the identification (IPv4) and
    /// the header checksum.
    fn set_lengths(&self, headers: &mut [u8], len: usize, nth: u16) {
        let (ip, transport) = headers[self.network..].split_at_mut(self.transport - self.network);
        let put = |bytes: &mut [u8], at: usize, value: u16| bytes[at..at + 2].copy_from_slice(&value.to_be_bytes());
        if self.ipv6 {
            put(ip, 4, (ip.len() - 40 + len) as u16);
        } else {
            put(ip, 2, (ip.len() + len) as u16);
            // Linux counts up even where DF makes the value meaningless (RFC 6864 section 4.1 allows any).
            put(ip, 4, u16::from_be_bytes([ip[4], ip[5]]).wrapping_add(nth));
            put(ip, 10, 0);
            put(ip, 10, !checksum::fold(checksum::add(0, ip)));
        }
        if !self.tcp {
            put(transport, 4, len as u16);
        }
    }
}

/// Finishes a partial checksum: the sum runs over head and body from where the frame says.
pub fn complete(frame: &mut Frame) {
    let Some((start, field)) = frame.partial_checksum() else { return };
    let Some(rest) = frame.head().get(start..) else { return };
    let mut sum = checksum::add(0, rest);
    let mut is_odd = rest.len() % 2 == 1;
    for slice in frame.body() {
        // RFC 1071 section 2(B): the sum of bytes at an odd offset is the swapped sum.
        let part = checksum::fold(checksum::add(0, slice));
        sum += u64::from(if is_odd { part.swap_bytes() } else { part });
        is_odd ^= slice.len() % 2 == 1;
    }
    if let Some(bytes) = frame.head_mut().get_mut(start + field..start + field + 2) {
        bytes.copy_from_slice(&finished(sum).to_be_bytes());
    }
    frame.clear_partial_checksum();
}

/// The value of a checksum field. Zero is sent as 0xffff, the same number in ones' complement: for UDP zero means that
/// there is no checksum (RFC 768).
fn finished(sum: u64) -> u16 {
    match !checksum::fold(sum) {
        0 => 0xffff,
        value => value,
    }
}

/// Sets the transport checksum of a received frame that came without (its sender and we are on one machine).
/// UDP's zero, "no checksum", stays.
pub fn complete_received(bytes: &mut [u8], medium: Medium) {
    let Some(layout) = Layout::of(bytes, medium) else { return };
    // Ethernet pads short frames: the packet ends where IP says.
    let ip = &bytes[layout.network..];
    let end = if layout.ipv6 {
        40 + usize::from(u16::from_be_bytes([ip[4], ip[5]]))
    } else {
        usize::from(u16::from_be_bytes([ip[2], ip[3]]))
    };
    let end = (layout.network + end).min(bytes.len());
    let field = layout.transport + layout.checksum_field();
    if end < layout.payload || (!layout.tcp && bytes[field..field + 2] == [0, 0]) {
        return;
    }
    let pseudo = layout.pseudo_sum(bytes, end - layout.transport);
    bytes[field..field + 2].fill(0);
    let sum = checksum::add(u64::from(pseudo), &bytes[layout.transport..end]);
    bytes[field..field + 2].copy_from_slice(&finished(sum).to_be_bytes());
}

/// Calls `each` with the segments of `frame`, or with the frame itself if it asks for no segmentation. The payload of
/// the segments is shared with the frame; their checksums are partial.
///
/// # Errors
/// `WouldBlock` for a frame that cannot be split: it is dropped, as [`Device::send`](super::Device::send) says; those
/// of `each`, which ends the work.
pub fn split(frame: &Frame, medium: Medium, each: &mut dyn FnMut(&mut Frame) -> io::Result<()>) -> io::Result<()> {
    let Some(Gso { size, .. }) = frame.gso else { return each(&mut frame.clone()) };
    let layout = Layout::of(frame.head(), medium).ok_or(io::ErrorKind::WouldBlock)?;
    let (size, payload) = (usize::from(size), frame.len() - layout.payload);
    if size == 0 {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    let mut from = 0;
    let mut nth = 0_u16;
    loop {
        let to = payload.min(from + size);
        each(&mut segment(frame, &layout, from..to, nth, to == payload))?;
        if to == payload {
            return Ok(());
        }
        (from, nth) = (to, nth.wrapping_add(1));
    }
}

/// The segment of `frame` with the part `range` of its payload.
fn segment(frame: &Frame, layout: &Layout, range: Range<usize>, nth: u16, is_last: bool) -> Frame {
    let (headers, beside) = frame.head().split_at(layout.payload);
    let length = layout.payload - layout.transport + range.len();
    let mut out = Frame::new();
    let transport = out.append(layout.payload - layout.transport);
    transport.copy_from_slice(&headers[layout.transport..]);
    if layout.tcp {
        let seq = u32::from_be_bytes([transport[4], transport[5], transport[6], transport[7]]);
        transport[4..8].copy_from_slice(&seq.wrapping_add(range.start as u32).to_be_bytes());
        transport[13] &= !(if is_last { 0 } else { LAST_ONLY } | if nth == 0 { 0 } else { FIRST_ONLY });
    }
    let field = layout.checksum_field();
    transport[field..field + 2].copy_from_slice(&layout.pseudo_sum(headers, length).to_be_bytes());
    out.set_partial_checksum(field);
    out.prepend(layout.transport).copy_from_slice(&headers[..layout.transport]);
    layout.set_lengths(out.head_mut(), length, nth);

    let within = |place: usize, at: usize, len: usize| place.saturating_sub(at).min(len);
    let overlap = |len: usize, at: usize| within(range.start, at, len)..within(range.end, at, len);
    out.push_bytes(&beside[overlap(beside.len(), 0)]);
    let mut at = beside.len();
    for slice in frame.body() {
        let part = overlap(slice.len(), at);
        if !part.is_empty() {
            out.push(slice.part(part.start, part.end));
        }
        at += slice.len();
    }
    out
}

/// A received packet that holds several segments, as a frame that can be [`split`]. `None` if it is not one.
pub fn coalesced(packet: &Packet, medium: Medium) -> Option<Frame> {
    let size = packet.meta.gso_size;
    let layout = Layout::of(packet.bytes(), medium).filter(|_| size > 0)?;
    let (headers, payload) = packet.bytes().split_at(layout.payload);
    let mut frame = Frame::new();
    frame.push_bytes(headers);
    frame.push(Slice::copy_from(payload));
    frame.gso = Some(Gso { size, tcp: layout.tcp, ipv6: layout.ipv6 });
    Some(frame)
}

#[cfg(test)]
#[path = "segment/tests.rs"]
mod tests;
