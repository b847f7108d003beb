//! The virtio-net header in front of every frame of an offloading TAP or TUN device (virtio 1.2, section 5.1.6): what
//! is left to do on a frame that is sent, and what was left undone on one that came.

use super::segment::Layout;
use crate::{
    buf::{Frame, RxMeta},
    stack::Medium,
};

/// Bytes of the header in the form TUNSETVNETHDRSZ starts with (no `num_buffers`).
pub const LEN: usize = 10;

/// The checksum at `csum_start + csum_offset` is partial.
const NEEDS_CSUM: u8 = 1;
/// The checksum was verified.
const DATA_VALID: u8 = 2;

const GSO_NONE: u8 = 0;
const GSO_TCPV4: u8 = 1;
const GSO_TCPV6: u8 = 4;
const GSO_UDP_L4: u8 = 5;
/// Beside the type: CWR is set, and belongs on the first segment only.
const GSO_ECN: u8 = 0x80;

/// What a received frame holds.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Coalesced {
    /// One packet.
    No,
    /// TCP segments, which the stack takes as they are.
    Tcp,
    /// UDP datagrams, each with an end of its own: they must be taken apart.
    Udp,
}

/// The header, in host order.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    flags: u8,
    gso_type: u8,
    hdr_len: u16,
    gso_size: u16,
    csum_start: u16,
    csum_offset: u16,
}

impl Header {
    /// The header for a frame to be sent.
    pub fn for_frame(frame: &Frame, medium: Medium) -> Self {
        let mut header = Self { gso_type: GSO_NONE, ..Self::default() };
        if let Some((start, offset)) = frame.partial_checksum() {
            header.flags = NEEDS_CSUM;
            header.csum_start = start as u16;
            header.csum_offset = offset as u16;
        }
        if let Some((gso, layout)) = frame.gso.zip(Layout::of(frame.head(), medium)) {
            header.gso_size = gso.size;
            header.hdr_len = layout.payload as u16;
            header.gso_type = match (gso.tcp, gso.ipv6) {
                (true, false) => GSO_TCPV4,
                (true, true) => GSO_TCPV6,
                (false, _) => GSO_UDP_L4,
            };
            if gso.tcp && frame.head()[layout.transport + 13] & 0x80 != 0 {
                header.gso_type |= GSO_ECN;
            }
        }
        header
    }

    /// Reads the header at the front of `bytes`.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let [flags, gso_type, a, b, c, d, e, f, g, h] = *bytes.first_chunk::<LEN>()?;
        Some(Self {
            flags,
            gso_type,
            hdr_len: u16::from_le_bytes([a, b]),
            gso_size: u16::from_le_bytes([c, d]),
            csum_start: u16::from_le_bytes([e, f]),
            csum_offset: u16::from_le_bytes([g, h]),
        })
    }

    /// The bytes of the header.
    pub fn emit(self) -> [u8; LEN] {
        let Self { flags, gso_type, hdr_len, gso_size, csum_start, csum_offset } = self;
        let ([a, b], [c, d]) = (hdr_len.to_le_bytes(), gso_size.to_le_bytes());
        let ([e, f], [g, h]) = (csum_start.to_le_bytes(), csum_offset.to_le_bytes());
        [flags, gso_type, a, b, c, d, e, f, g, h]
    }

    /// What the stack is told of a received frame. A partial checksum is as good as a verified one: the bytes have not
    /// left this machine.
    pub fn meta(self) -> RxMeta {
        let gso_size = if self.coalesced() == Coalesced::No { 0 } else { self.gso_size };
        RxMeta { checksum_ok: self.flags & (NEEDS_CSUM | DATA_VALID) != 0, gso_size, ..RxMeta::default() }
    }

    /// Whether a received frame holds several packets.
    pub fn coalesced(self) -> Coalesced {
        match self.gso_type & !GSO_ECN {
            GSO_TCPV4 | GSO_TCPV6 if self.gso_size > 0 => Coalesced::Tcp,
            GSO_UDP_L4 if self.gso_size > 0 => Coalesced::Udp,
            _ => Coalesced::No,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buf::Gso;

    fn tcp_frame(flags: u8) -> Frame {
        let mut frame = Frame::new();
        let tcp = frame.append(32);
        tcp[12] = 0x80;
        tcp[13] = flags;
        frame.set_partial_checksum(16);
        let ip = frame.prepend(20);
        (ip[0], ip[9]) = (0x45, 6);
        frame.prepend(14)[12] = 0x08;
        frame
    }

    #[test]
    fn a_super_frame_says_where_its_headers_end_and_its_checksum_is() {
        let mut frame = tcp_frame(0x10);
        frame.push_bytes(&[0; 4000]);
        frame.gso = Some(Gso { size: 1448, tcp: true, ipv6: false });
        let bytes = Header::for_frame(&frame, Medium::Ethernet).emit();
        assert_eq!(bytes, [1, 1, 66, 0, 0xa8, 0x05, 34, 0, 16, 0]);
        assert_eq!(Header::for_frame(&tcp_frame(0), Medium::Ethernet).emit(), [1, 0, 0, 0, 0, 0, 34, 0, 16, 0]);
        frame = tcp_frame(0x80);
        frame.gso = Some(Gso { size: 1, tcp: true, ipv6: false });
        assert_eq!(Header::for_frame(&frame, Medium::Ethernet).gso_type, GSO_TCPV4 | GSO_ECN);
        frame = Frame::new();
        frame.append(42);
        assert_eq!(Header::for_frame(&frame, Medium::Ethernet).emit(), [0; LEN]);
    }

    #[test]
    fn what_came_says_whether_its_checksum_needs_a_look_and_what_it_holds() {
        for (bytes, checksum_ok, gso_size, coalesced) in [
            ([0, 0, 0, 0, 0, 0, 0, 0, 0, 0], false, 0, Coalesced::No),
            ([1, 0, 0, 0, 0, 0, 34, 0, 16, 0], true, 0, Coalesced::No),
            ([2, 0, 0, 0, 9, 9, 0, 0, 0, 0], true, 0, Coalesced::No),
            ([1, 1, 66, 0, 0xa8, 5, 34, 0, 16, 0], true, 1448, Coalesced::Tcp),
            ([1, 0x81, 66, 0, 0xa8, 5, 34, 0, 16, 0], true, 1448, Coalesced::Tcp),
            ([1, 5, 66, 0, 0xe8, 3, 34, 0, 6, 0], true, 1000, Coalesced::Udp),
            ([1, 1, 66, 0, 0, 0, 34, 0, 16, 0], true, 0, Coalesced::No),
        ] {
            let header = Header::parse(&bytes).unwrap();
            assert_eq!(header.emit(), bytes);
            assert_eq!(header.meta(), RxMeta { checksum_ok, gso_size, ..RxMeta::default() });
            assert_eq!(header.coalesced(), coalesced);
        }
        assert_eq!(Header::parse(&[0; 9]), None);
    }
}
