//! TCP segments (RFC 9293 section 3.1) and their options (RFC 9293 3.2, 7323, 2018, 7413, 9768).

mod accecn;

pub use accecn::{AccEcnOption, Order};

use super::{checksum, protocol, seq::SeqNum};
use std::{fmt, net::IpAddr};

/// Length of a header without options.
pub const MIN_HEADER: usize = 20;
/// Most bytes of options a header can have.
pub const MAX_OPTIONS: usize = 40;
/// Offset of the checksum field in the header.
pub const CHECKSUM_FIELD: usize = 16;

/// Control bits of a segment (RFC 9293 section 3.1; NS/AE, CWR and ECE from RFC 3168 and 9768).
#[derive(Copy, Clone, Default, PartialEq, Eq)]
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

/// The letters tcpdump gives the control bits, in its order.
const LETTERS: [(Flags, char); 9] = [
    (Flags::FIN, 'F'),
    (Flags::SYN, 'S'),
    (Flags::RST, 'R'),
    (Flags::PSH, 'P'),
    (Flags::ACK, '.'),
    (Flags::URG, 'U'),
    (Flags::ECE, 'E'),
    (Flags::CWR, 'W'),
    (Flags::AE, 'e'),
];

impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letters: String = LETTERS.iter().filter(|(flag, _)| self.contains(*flag)).map(|(_, c)| c).collect();
        f.pad(if letters.is_empty() { "none" } else { &letters })
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
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
    /// The first `count` of them.
    #[must_use]
    pub fn first(mut self, count: usize) -> Self {
        self.len = self.len.min(u8::try_from(count).unwrap_or(4));
        self
    }

    /// Appends a block; false when there are four already.
    pub fn push(&mut self, start: SeqNum, end: SeqNum) -> bool {
        let Some(slot) = self.blocks.get_mut(usize::from(self.len)) else { return false };
        *slot = (start, end);
        self.len += 1;
        true
    }

    /// Makes one number more a part of the blocks: of the one that ends there, or a last one of its own, if there is
    /// room.
    pub fn add(&mut self, number: SeqNum) {
        let len = usize::from(self.len);
        match self.blocks[..len].iter_mut().find(|(_, end)| *end == number) {
            Some((_, end)) => *end += 1,
            None => _ = self.push(number, number + 1),
        }
    }

    /// The blocks in the order of the option.
    pub fn as_slice(&self) -> &[(SeqNum, SeqNum)] {
        &self.blocks[..usize::from(self.len)]
    }
}

/// A Fast Open cookie of 4 to 16 bytes, or without bytes the request for one (RFC 7413 section 4.1.1).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct FastOpen {
    bytes: [u8; 16],
    len: u8,
    /// In the experimental option (RFC 6994) that came before the one of its own.
    pub experimental: bool,
}

impl FastOpen {
    /// The request for a cookie.
    pub const REQUEST: Self = Self { bytes: [0; 16], len: 0, experimental: false };

    /// A cookie of these bytes, 16 of them at most.
    pub fn new(cookie: &[u8], experimental: bool) -> Self {
        let mut bytes = [0; 16];
        bytes.iter_mut().zip(cookie).for_each(|(to, from)| *to = *from);
        Self { bytes, len: u8::try_from(cookie.len().min(16)).unwrap_or(16), experimental }
    }

    /// Whether it asks for a cookie.
    pub fn is_request(&self) -> bool {
        self.len == 0
    }

    /// The cookie.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// Takes the option's data; odd and other lengths say nothing (as Linux).
    fn parse(data: &[u8], experimental: bool) -> Option<Self> {
        matches!(data.len(), 0 | 4 | 6 | 8 | 10 | 12 | 14 | 16).then(|| Self::new(data, experimental))
    }

    /// Bytes of the option with its padding.
    fn option_len(&self) -> usize {
        (usize::from(self.len) + if self.experimental { 4 } else { 2 }).next_multiple_of(4)
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
    /// Fast Open (SYN only).
    pub fast_open: Option<FastOpen>,
    /// Accurate ECN.
    pub accecn: Option<AccEcnOption>,
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

/// Kinds of options (IANA "TCP Option Kind Numbers").
mod kind {
    pub const END: u8 = 0;
    pub const NOP: u8 = 1;
    pub const MSS: u8 = 2;
    pub const WINDOW_SCALE: u8 = 3;
    pub const SACK_PERMITTED: u8 = 4;
    pub const SACK: u8 = 5;
    pub const TIMESTAMPS: u8 = 8;
    pub const FAST_OPEN: u8 = 34;
    pub const ACCECN_0: u8 = 172;
    pub const ACCECN_1: u8 = 174;
    pub const EXPERIMENT: u8 = 254;
}

/// What marks Fast Open among the experiments (RFC 6994, IANA "TCP Experimental Option Experiment Identifiers").
const FAST_OPEN_EXPERIMENT: u16 = 0xf989;

/// The 32-bit number at `at` in `bytes`, which is long enough.
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// The 16-bit number at `at` in `bytes`, which is long enough.
fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

impl Options {
    /// Parses the bytes behind the fixed header. As in Linux an option of the wrong length is skipped, and one that
    /// is shorter than itself or longer than what is left ends the list (RFC 9293 MUST-7: no crash, no reset). Options
    /// that belong on a SYN are ignored elsewhere.
    fn parse(mut bytes: &[u8], syn: bool) -> Self {
        let mut options = Self::default();
        // What nearly every data segment carries: two NOPs and timestamps (RFC 7323 appendix A).
        if bytes.len() == 12 && bytes[..4] == [kind::NOP, kind::NOP, kind::TIMESTAMPS, 10] {
            options.timestamps = Some(Timestamps { val: u32_at(bytes, 4), ecr: u32_at(bytes, 8) });
            return options;
        }
        while let [kind, rest @ ..] = bytes {
            let len = match (*kind, rest) {
                (kind::END, _) => break,
                (kind::NOP, _) => {
                    bytes = rest;
                    continue;
                }
                (_, [len, ..]) if *len >= 2 && usize::from(*len) <= bytes.len() => usize::from(*len),
                _ => break,
            };
            let (option, rest) = bytes.split_at(len);
            options.take(*kind, &option[2..], syn);
            bytes = rest;
        }
        options
    }

    /// Takes over one option with its `data`.
    fn take(&mut self, kind: u8, data: &[u8], syn: bool) {
        match (kind, data.len()) {
            // An MSS of zero says nothing (Linux does the same).
            (kind::MSS, 2) if syn => self.mss = Some(u16_at(data, 0)).filter(|mss| *mss != 0),
            (kind::WINDOW_SCALE, 1) if syn => self.window_scale = Some(data[0]),
            (kind::SACK_PERMITTED, 0) if syn => self.sack_permitted = true,
            (kind::TIMESTAMPS, 8) => {
                self.timestamps = Some(Timestamps { val: u32_at(data, 0), ecr: u32_at(data, 4) });
            }
            (kind::FAST_OPEN, _) if syn => self.fast_open = FastOpen::parse(data, false),
            (kind::EXPERIMENT, 2..) if syn && u16_at(data, 0) == FAST_OPEN_EXPERIMENT => {
                self.fast_open = FastOpen::parse(&data[2..], true);
            }
            (kind::ACCECN_0 | kind::ACCECN_1, _) => self.accecn = AccEcnOption::parse(kind, data),
            (kind::SACK, len) if !syn && len % 8 == 0 => {
                self.sack = SackBlocks::default();
                for block in data.chunks_exact(8) {
                    self.sack.push(SeqNum(u32_at(block, 0)), SeqNum(u32_at(block, 4)));
                }
            }
            _ => {}
        }
    }

    /// Bytes of the options other than SACK blocks, as [`Options::emit`] pads them.
    fn fixed_len(&self) -> usize {
        let timestamps = if self.timestamps.is_some() { 12 } else { 0 };
        let sack_permitted = if self.sack_permitted && self.timestamps.is_none() { 4 } else { 0 };
        let mss = if self.mss.is_some() { 4 } else { 0 };
        let window_scale = if self.window_scale.is_some() { 4 } else { 0 };
        let fast_open = self.fast_open.map_or(0, |option| option.option_len());
        mss + timestamps + sack_permitted + window_scale + fast_open
    }

    /// How many of the SACK blocks fit (three beside timestamps, four alone: RFC 2018 section 3).
    pub fn sack_room(&self) -> usize {
        let room = MAX_OPTIONS.saturating_sub(self.fixed_len() + self.accecn_len()).saturating_sub(4) / 8;
        room.min(self.sack.as_slice().len())
    }

    /// Bytes of padding that Accurate ECN's option may use, which comes before it: two NOPs before SACK's options, one
    /// before the window scale.
    fn padding(&self) -> usize {
        let sack_permitted = self.sack_permitted && self.timestamps.is_none();
        let used = self.fixed_len() + self.accecn.map_or(0, |option| option.added(2));
        let sack = !self.sack.as_slice().is_empty() && used + 12 <= MAX_OPTIONS;
        match () {
            () if sack_permitted || sack => 2,
            () if self.window_scale.is_some() => 1,
            () => 0,
        }
    }

    /// Bytes that Accurate ECN's option adds.
    fn accecn_len(&self) -> usize {
        self.accecn.map_or(0, |option| option.added(self.padding()))
    }

    /// Bytes the options take, a multiple of four and at most 40. SACK blocks that do not fit are left out.
    pub fn len(&self) -> usize {
        self.fixed_len()
            + self.accecn_len()
            + match self.sack_room() {
                0 => 0,
                blocks => 4 + 8 * blocks,
            }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes the options in Linux's order: MSS, timestamps (with SACK-permitted in place of the two NOPs when both are
    /// there), Accurate ECN, SACK-permitted, window scale, Fast Open, SACK blocks; each aligned to four bytes by NOPs
    /// in front, of which Accurate ECN takes what it needs.
    fn emit(&self, out: &mut [u8]) {
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            out[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        };
        if let Some(mss) = self.mss {
            put(&[kind::MSS, 4]);
            put(&mss.to_be_bytes());
        }
        match (self.sack_permitted, self.timestamps.is_some()) {
            (true, true) => put(&[kind::SACK_PERMITTED, 2]),
            (false, true) => put(&[kind::NOP, kind::NOP]),
            (_, false) => {}
        }
        if let Some(Timestamps { val, ecr }) = self.timestamps {
            put(&[kind::TIMESTAMPS, 10]);
            put(&val.to_be_bytes());
            put(&ecr.to_be_bytes());
        }
        // What is left of Accurate ECN's option after whole words.
        let mut rest = [kind::NOP; 2];
        let mut rest_len = 0;
        if let Some(option) = self.accecn {
            let (bytes, len) = (option.emit(), option.bytes());
            let whole = option.added(self.padding());
            put(&bytes[..whole.min(len)]);
            put(&[kind::NOP; 3][..whole.saturating_sub(len)]);
            rest_len = len.saturating_sub(whole);
            rest[..rest_len].copy_from_slice(&bytes[whole.min(len)..len]);
        }
        if self.sack_permitted && self.timestamps.is_none() {
            put(&std::mem::replace(&mut rest, [kind::NOP; 2]));
            put(&[kind::SACK_PERMITTED, 2]);
            rest_len = 0;
        }
        if let Some(shift) = self.window_scale {
            let pad = if rest_len == 1 { std::mem::replace(&mut rest[0], kind::NOP) } else { kind::NOP };
            put(&[pad, kind::WINDOW_SCALE, 3, shift]);
        }
        if let Some(option) = self.fast_open {
            let len = option.len + if option.experimental { 4 } else { 2 };
            put(&[if option.experimental { kind::EXPERIMENT } else { kind::FAST_OPEN }, len]);
            if option.experimental {
                put(&FAST_OPEN_EXPERIMENT.to_be_bytes());
            }
            put(option.bytes());
            put(&[kind::NOP; 4][..option.option_len() - usize::from(len)]);
        }
        let blocks = self.sack_room();
        if blocks > 0 {
            put(&rest);
            put(&[kind::SACK, 2 + 8 * u8::try_from(blocks).unwrap_or(4)]);
            for (start, end) in &self.sack.as_slice()[..blocks] {
                put(&start.0.to_be_bytes());
                put(&end.0.to_be_bytes());
            }
        }
    }
}

impl Header {
    /// Parses the header at the front of `segment`; returns it with its length in bytes (20 to 60).
    pub fn parse(segment: &[u8]) -> Option<(Self, usize)> {
        let fixed: &[u8; MIN_HEADER] = segment.first_chunk()?;
        let len = usize::from(fixed[12] >> 4) * 4;
        if len < MIN_HEADER || len > segment.len() {
            return None;
        }
        let flags = Flags(u16_at(fixed, 12) & 0x1ff);
        let header = Self {
            src_port: u16_at(fixed, 0),
            dst_port: u16_at(fixed, 2),
            seq: SeqNum(u32_at(fixed, 4)),
            ack: SeqNum(u32_at(fixed, 8)),
            flags,
            window: u16_at(fixed, 14),
            urgent: u16_at(fixed, 18),
            options: Options::parse(&segment[MIN_HEADER..len], flags.contains(Flags::SYN)),
        };
        Some((header, len))
    }

    /// Length of the header with its options, a multiple of four.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        MIN_HEADER + self.options.len()
    }

    /// Writes the header into `out`, which has [`Header::len`] bytes, in the order and with the padding Linux uses.
    /// The checksum field is left 0.
    pub fn emit(&self, out: &mut [u8]) {
        let Self { src_port, dst_port, seq, ack, flags, window, urgent, options } = self;
        let (fixed, rest) = out.split_at_mut(MIN_HEADER);
        let offset_and_flags = u16::try_from(self.len() / 4).unwrap_or(0xf) << 12 | flags.0 & 0x1ff;
        fixed[0..2].copy_from_slice(&src_port.to_be_bytes());
        fixed[2..4].copy_from_slice(&dst_port.to_be_bytes());
        fixed[4..8].copy_from_slice(&seq.0.to_be_bytes());
        fixed[8..12].copy_from_slice(&ack.0.to_be_bytes());
        fixed[12..14].copy_from_slice(&offset_and_flags.to_be_bytes());
        fixed[14..16].copy_from_slice(&window.to_be_bytes());
        fixed[16..18].fill(0);
        fixed[18..20].copy_from_slice(&urgent.to_be_bytes());
        options.emit(rest);
    }
}

/// The ports (source, destination) at the front of a TCP or UDP header, also of one cut short in an ICMP error.
pub fn ports(header: &[u8]) -> Option<(u16, u16)> {
    let ports: &[u8; 4] = header.first_chunk()?;
    Some((u16_at(ports, 0), u16_at(ports, 2)))
}

/// Whether the checksum of `segment` (header and payload) is right.
pub fn verify(src: IpAddr, dst: IpAddr, segment: &[u8]) -> bool {
    checksum::is_valid(checksum::pseudo_header(src, dst, protocol::TCP, segment.len()), segment)
}

/// One line in the manner of packet scripts: `40000 > 80 S 17 win 65535 <mss 1460,sackOK,TS val 5 ecr 0,wscale 7>`.
impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} > {} {} {}", self.src_port, self.dst_port, self.flags, self.seq.0)?;
        if self.flags.contains(Flags::ACK) {
            write!(f, " ack {}", self.ack.0)?;
        }
        write!(f, " win {}", self.window)?;
        if self.flags.contains(Flags::URG) {
            write!(f, " urg {}", self.urgent)?;
        }
        if !self.options.is_empty() {
            write!(f, " <{}>", self.options)?;
        }
        Ok(())
    }
}

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mss, window_scale, sack_permitted, timestamps, sack, fast_open, accecn } = self;
        let mut words = Vec::new();
        words.extend(mss.map(|mss| format!("mss {mss}")));
        words.extend(sack_permitted.then(|| "sackOK".to_owned()));
        words.extend(timestamps.map(|Timestamps { val, ecr }| format!("TS val {val} ecr {ecr}")));
        words.extend(window_scale.map(|shift| format!("wscale {shift}")));
        if !sack.as_slice().is_empty() {
            let blocks: Vec<_> = sack.as_slice().iter().map(|(start, end)| format!("{}:{}", start.0, end.0)).collect();
            words.push(format!("sack {}", blocks.join(" ")));
        }
        if let Some(option) = fast_open {
            let hex: String = option.bytes().iter().map(|byte| format!("{byte:02x}")).collect();
            let name = if option.experimental { "FOEXP" } else { "FO" };
            words.push(if hex.is_empty() { name.to_owned() } else { format!("{name} {hex}") });
        }
        words.extend(accecn.map(|option| option.to_string()));
        f.write_str(&words.join(","))
    }
}

#[cfg(test)]
mod tests;
