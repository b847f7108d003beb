//! TCP segments (RFC 9293 section 3.1) and their options (RFC 9293 3.2, 7323, 2018, 7413).

use super::seq::SeqNum;
use std::net::IpAddr;

/// Control bits of a segment (RFC 9293 section 3.1; NS/AE, CWR and ECE from RFC 3168 and 9768).
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub u16);

impl Flags {
    /// No more data from the sender.
    pub const FIN: Self = Self(0x001);
    /// Synchronize sequence numbers.
    pub const SYN: Self = Self(0x002);
    /// Reset the connection.
    pub const RST: Self = Self(0x004);
    /// Push.
    pub const PSH: Self = Self(0x008);
    /// The acknowledgement field is significant.
    pub const ACK: Self = Self(0x010);
    /// The urgent pointer is significant.
    pub const URG: Self = Self(0x020);
    /// ECN echo.
    pub const ECE: Self = Self(0x040);
    /// Congestion window reduced.
    pub const CWR: Self = Self(0x080);
    /// Accurate ECN.
    pub const AE: Self = Self(0x100);

    /// Whether all bits of `other` are set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The bits of both.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// RFC 7323 timestamps: TSval and TSecr.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Timestamps {
    /// The sender's clock.
    pub val: u32,
    /// The peer's clock as last seen by the sender.
    pub ecr: u32,
}

/// Up to four SACK blocks, each `[start, end)` (RFC 2018 section 3).
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct SackBlocks {
    blocks: [(SeqNum, SeqNum); 4],
    len: u8,
}

impl SackBlocks {
    /// Appends a block; false when there are four already.
    pub fn push(&mut self, start: SeqNum, end: SeqNum) -> bool {
        let Some(slot) = self.blocks.get_mut(usize::from(self.len)) else { return false };
        *slot = (start, end);
        self.len += 1;
        true
    }

    /// The blocks in the order of the option.
    pub fn as_slice(&self) -> &[(SeqNum, SeqNum)] {
        &self.blocks[..usize::from(self.len)]
    }
}

/// The options of a segment. Unknown ones are skipped, malformed ones end the list.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Maximum segment size (SYN only).
    pub mss: Option<u16>,
    /// Window scale shift count as sent, not yet limited to 14 (SYN only).
    pub window_scale: Option<u8>,
    /// SACK permitted (SYN only).
    pub sack_permitted: bool,
    /// Timestamps.
    pub timestamps: Option<Timestamps>,
    /// SACK blocks.
    pub sack: SackBlocks,
}

/// A TCP header in host order.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// Sequence number of the first byte (or of the SYN).
    pub seq: SeqNum,
    /// Acknowledgement number; meaningful if [`Flags::ACK`] is set.
    pub ack: SeqNum,
    /// Control bits.
    pub flags: Flags,
    /// Window as on the wire, not scaled.
    pub window: u16,
    /// Urgent pointer.
    pub urgent: u16,
    /// Options.
    pub options: Options,
}

impl Header {
    /// Parses the header at the front of `segment`; returns it with its length in bytes (20 to 60).
    pub fn parse(_segment: &[u8]) -> Option<(Self, usize)> {
        unimplemented!()
    }

    /// Length of the header with its options, a multiple of four.
    pub fn len(&self) -> usize {
        unimplemented!()
    }

    /// Writes the header into `out`, which has [`Header::len`] bytes, in the order and with the padding Linux uses.
    /// The checksum field is left 0.
    pub fn emit(&self, _out: &mut [u8]) {
        unimplemented!()
    }
}

/// Whether the checksum of `segment` (header and payload) is right.
pub fn verify(_src: IpAddr, _dst: IpAddr, _segment: &[u8]) -> bool {
    unimplemented!()
}
