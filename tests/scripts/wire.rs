//! Between bytes on the wire and packets as scripts write them: numbers relative to the start of a connection.

use super::script::{ACK, Body, Icmp, Ip, Packet, SYN, Segment, TcpOption};
use sockeye::wire::{checksum, icmpv4, ipv4, protocol};
use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr},
};

/// The number that scripts call 0 in what the peer sends: every script sees the numbers wrap around.
const PEER_BASE: u32 = 0xffff_f000;
/// The same of ours, in a connection the stack never opened.
const NO_BASE: u32 = 0x5000_0000;
/// The experiment identifier of fast open (RFC 7413 appendix A).
const FAST_OPEN_MAGIC: [u8; 2] = [0xf9, 0x89];

mod kind {
    pub const END: u8 = 0;
    pub const NOP: u8 = 1;
    pub const MSS: u8 = 2;
    pub const WSCALE: u8 = 3;
    pub const SACK_OK: u8 = 4;
    pub const SACK: u8 = 5;
    pub const TIMESTAMPS: u8 = 8;
    pub const FAST_OPEN: u8 = 34;
    pub const ACCECN_0: u8 = 172;
    pub const ACCECN_1: u8 = 174;
    pub const EXPERIMENT: u8 = 254;
}

/// The byte at a position of every stream, so that misplaced data is seen.
pub fn pattern(position: u64) -> u8 {
    (position.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
}

/// What a script's numbers mean in one connection.
#[derive(Clone, Debug)]
pub struct Flow {
    pub local_port: u16,
    pub remote_port: u16,
    /// The sequence number a script calls 0.
    local_base: Option<u32>,
    /// What the script calls the first numbers of the stack and of the peer; other segments count from them.
    isns: (u32, u32),
    /// The sequence number of the peer's latest SYN, as the script has it.
    peer_syn: Option<u32>,
    /// What is added to a script's time stamps.
    stamps: Option<u32>,
    /// Time stamps of the stack that a script has named.
    named: HashMap<u32, u32>,
}

impl Flow {
    pub fn new(local_port: u16, remote_port: u16) -> Self {
        Self {
            local_port,
            remote_port,
            local_base: None,
            isns: (0, 0),
            peer_syn: None,
            stamps: None,
            named: HashMap::new(),
        }
    }

    /// A new connection between the same ports begins: our numbers are not known.
    pub fn restart(&mut self) {
        self.local_base = None;
        self.isns = (0, 0);
        self.stamps = None;
        self.named.clear();
    }
}

/// The two ends.
#[derive(Copy, Clone, Debug)]
pub struct Ends {
    pub local: Ipv4Addr,
    pub remote: Ipv4Addr,
    /// A router that sends ICMP errors.
    pub gateway: Ipv4Addr,
}

/// A packet the stack sent, taken apart.
#[derive(Clone, Debug)]
pub struct Sent {
    pub ip: ipv4::Header,
    /// TCP or UDP ports; 0 for others.
    pub ports: (u16, u16),
    pub payload: Vec<u8>,
    /// The transport header.
    header: Vec<u8>,
}

impl Sent {
    /// Checks everything a receiver would.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let (ip, at) = ipv4::Header::parse(bytes).map_err(|error| format!("a bad IP header: {error:?}"))?;
        let segment = &bytes[at..usize::from(ip.total_len).min(bytes.len())];
        let (src, dst) = (IpAddr::V4(ip.src), IpAddr::V4(ip.dst));
        let sum = checksum::pseudo_header(src, dst, ip.protocol, segment.len());
        let len = match ip.protocol {
            protocol::TCP if segment.len() >= 20 => usize::from(segment[12] >> 4) * 4,
            protocol::UDP if segment.len() >= 8 => 8,
            protocol::ICMP if segment.len() >= 8 => 8,
            other => return Err(format!("a packet of protocol {other} with {} bytes", segment.len())),
        };
        let is_valid = match ip.protocol {
            protocol::ICMP => checksum::is_valid(0, segment),
            _ => checksum::is_valid(sum, segment),
        };
        if !is_valid || len > segment.len() {
            return Err("a bad checksum or header length".into());
        }
        let ports = match ip.protocol {
            protocol::ICMP => (0, 0),
            _ => (u16_at(segment, 0), u16_at(segment, 2)),
        };
        Ok(Self { ip, ports, payload: segment[len..].to_vec(), header: segment[..len].to_vec() })
    }

    fn flags(&self) -> u16 {
        if self.ip.protocol == protocol::TCP { u16_at(&self.header, 12) & 0x1ff } else { 0 }
    }

    pub fn is_tcp(&self) -> bool {
        self.ip.protocol == protocol::TCP
    }

    /// Takes the data of the packet that follows this one, as if both had been one; gives it back if it does not.
    pub fn join(&mut self, next: Self) -> Result<(), Self> {
        let end = u32_at(&self.header, 4).wrapping_add(self.payload.len() as u32);
        // What may differ: the number, the push flag, the checksum.
        let rest = |sent: &Self| (sent.flags() & !8, sent.header[8..12].to_vec(), sent.header[20..].to_vec());
        let follows = self.is_tcp() && next.is_tcp() && self.ports == next.ports && self.ip.tos == next.ip.tos;
        if !follows || u32_at(&next.header, 4) != end || next.payload.is_empty() || rest(self) != rest(&next) {
            return Err(next);
        }
        self.payload.extend(next.payload);
        self.header[13] = next.header[13];
        Ok(())
    }

    /// Whether it opens a connection.
    pub fn is_syn(&self) -> bool {
        self.flags() & (SYN | ACK) == SYN
    }

    /// The packet as a script would describe it, as closely as `expected` does, beside which time stamps may be so many
    /// ticks off.
    pub fn describe(&self, flow: Option<&Flow>, expected: Option<(&Packet, Option<u32>)>) -> Packet {
        let (expected, ticks) = expected.map_or((None, None), |(packet, ticks)| (Some(packet), ticks));
        let expected_ip = expected.map_or_else(Ip::default, |packet| packet.ip);
        let ip = Ip {
            ecn: expected_ip.ecn.map(|_| self.ip.tos & 3),
            tos: expected_ip.tos.map(|_| self.ip.tos),
            ttl: expected_ip.ttl.map(|_| self.ip.ttl),
        };
        let ports = if expected.is_some_and(|packet| packet.ports.is_none()) { None } else { Some(self.ports) };
        let body = match self.ip.protocol {
            protocol::TCP => {
                let segment = match expected.map(|packet| &packet.body) {
                    Some(Body::Tcp(segment)) => Some(segment),
                    _ => None,
                };
                Body::Tcp(self.segment(flow, segment, ticks))
            }
            protocol::UDP => Body::Udp(self.payload.len() as u16),
            _ => Body::Icmp(Icmp { kind: self.header[0], code: self.header[1], mtu: None, quote: None }),
        };
        Packet { ip, ports, body }
    }

    fn segment(&self, flow: Option<&Flow>, expected: Option<&Segment>, ticks: Option<u32>) -> Segment {
        let (flags, seq) = (self.flags(), u32_at(&self.header, 4));
        let local_base = flow.and_then(|flow| flow.local_base);
        let guess = expected.map_or(0, |segment| segment.seq);
        let isns = flow.map_or((0, 0), |flow| flow.isns);
        let is_syn = flags & SYN != 0;
        let base = local_base.unwrap_or(seq.wrapping_sub(guess)).wrapping_sub(if is_syn { isns.0 } else { 0 });
        let peer_base = PEER_BASE.wrapping_add(if is_syn { 0 } else { isns.1 });
        let mut options = Some(self.options(flow));
        if let (Some(wanted), Some(found)) = (expected, options.as_mut()) {
            match &wanted.options {
                None => options = None,
                Some(wanted) => blur_stamps(wanted, found, ticks),
            }
        }
        let wants = |what: fn(&Segment) -> bool| expected.is_none_or(what);
        Segment {
            flags,
            seq: seq.wrapping_sub(base),
            len: self.payload.len() as u32,
            ack: (flags & ACK != 0).then(|| u32_at(&self.header, 8).wrapping_sub(peer_base)),
            win: wants(|segment| segment.win.is_some()).then(|| u16_at(&self.header, 14)),
            urg: (flags & 32 != 0 && wants(|segment| segment.urg.is_some())).then(|| u16_at(&self.header, 18)),
            options,
        }
    }

    fn options(&self, flow: Option<&Flow>) -> Vec<TcpOption> {
        let stamps = flow.and_then(|flow| flow.stamps);
        let peer_base = PEER_BASE.wrapping_add(flow.map_or(0, |flow| flow.isns.1));
        parse_options(&self.header[20..], peer_base)
            .into_iter()
            .map(|option| match option {
                TcpOption::Timestamps(Some(val), ecr) => {
                    TcpOption::Timestamps(Some(val.wrapping_sub(stamps.unwrap_or(0))), ecr)
                }
                option => option,
            })
            .collect()
    }

    /// Takes what a script knows of the packet: where numbers start, which time stamp is meant.
    pub fn learn(&self, flow: &mut Flow, expected: &Segment) {
        let seq = u32_at(&self.header, 4);
        if flow.local_base.is_none() {
            // The number of a SYN is a name; what follows counts from there.
            let isn = if self.flags() & SYN != 0 { expected.seq } else { 0 };
            flow.isns.0 = isn;
            flow.local_base = Some(seq.wrapping_sub(expected.seq).wrapping_add(isn));
        }
        let live = parse_options(&self.header[20..], PEER_BASE).into_iter().find_map(|option| match option {
            TcpOption::Timestamps(val, _) => val,
            _ => None,
        });
        let named = expected.options.iter().flatten().find_map(|option| match option {
            TcpOption::Timestamps(val, _) => *val,
            _ => None,
        });
        if let (Some(live), Some(named)) = (live, named) {
            flow.stamps.get_or_insert(live.wrapping_sub(named));
            flow.named.insert(named, live);
        }
    }

    /// The first byte of the payload that is not the one of its place.
    pub fn misplaced(&self, flow: &Flow) -> Option<u64> {
        let base = flow.local_base?;
        let seq = u32_at(&self.header, 4).wrapping_sub(base);
        let first = if self.flags() & SYN != 0 { 0 } else { u64::from(seq.wrapping_sub(1)) };
        let wrong = |(at, byte): &(usize, &u8)| **byte != pattern(first + *at as u64);
        self.payload.iter().enumerate().find(wrong).map(|(at, _)| first + at as u64)
    }
}

/// A time stamp that is as near to the expected one as the clock's tick allows is the expected one.
fn blur_stamps(wanted: &[TcpOption], found: &mut [TcpOption], ticks: Option<u32>) {
    for (wanted, found) in wanted.iter().zip(found) {
        if let (TcpOption::Timestamps(val, ecr), TcpOption::Timestamps(found_val, found_ecr)) = (wanted, found) {
            let is_near = |a: u32, b: u32| ticks.is_none_or(|ticks| a.wrapping_sub(b).min(b.wrapping_sub(a)) <= ticks);
            match (*val, *found_val) {
                (None, _) => *found_val = None,
                (Some(a), Some(b)) if is_near(a, b) => *found_val = Some(a),
                _ => {}
            }
            if ecr.is_none() {
                *found_ecr = None;
            }
        }
    }
}

fn parse_options(mut bytes: &[u8], peer_base: u32) -> Vec<TcpOption> {
    let mut options = Vec::new();
    while let [kind, rest @ ..] = bytes {
        if *kind <= kind::NOP {
            options.push(if *kind == kind::NOP { TcpOption::Nop } else { TcpOption::Eol });
            bytes = rest;
            continue;
        }
        let len = rest.first().map_or(0, |len| usize::from(*len));
        if len < 2 || len > bytes.len() {
            options.push(TcpOption::Unknown(*kind, rest.to_vec()));
            break;
        }
        options.push(parse_option(*kind, &bytes[2..len], peer_base));
        bytes = &bytes[len..];
    }
    options
}

fn parse_option(kind: u8, data: &[u8], peer_base: u32) -> TcpOption {
    match (kind, data.len()) {
        (kind::MSS, 2) => TcpOption::Mss(u16_at(data, 0)),
        (kind::WSCALE, 1) => TcpOption::Wscale(data[0]),
        (kind::SACK_OK, 0) => TcpOption::SackOk,
        (kind::SACK, len) if len % 8 == 0 => {
            let relative = |at: &[u8], i| u32_at(at, i).wrapping_sub(peer_base);
            TcpOption::Sack(data.chunks_exact(8).map(|block| (relative(block, 0), relative(block, 4))).collect())
        }
        (kind::TIMESTAMPS, 8) => TcpOption::Timestamps(Some(u32_at(data, 0)), Some(u32_at(data, 4))),
        (kind::FAST_OPEN, _) => TcpOption::FastOpen(data.to_vec()),
        (kind::ACCECN_0 | kind::ACCECN_1, 0 | 3 | 6 | 9) => {
            let counters = data.chunks_exact(3).map(|bytes| u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]));
            TcpOption::AccEcn(kind == kind::ACCECN_1, counters.collect())
        }
        (kind::EXPERIMENT, _) if data.starts_with(&FAST_OPEN_MAGIC) => TcpOption::FastOpenExp(data[2..].to_vec()),
        _ => TcpOption::Unknown(kind, data.to_vec()),
    }
}

impl TcpOption {
    /// Bytes of it.
    pub fn len(&self) -> usize {
        match self {
            Self::Nop | Self::Eol => 1,
            Self::Mss(_) => 4,
            Self::Wscale(_) => 3,
            Self::SackOk => 2,
            Self::Sack(blocks) => 2 + 8 * blocks.len(),
            Self::Timestamps(..) => 10,
            Self::FastOpen(cookie) => 2 + cookie.len(),
            Self::FastOpenExp(cookie) => 4 + cookie.len(),
            Self::AccEcn(_, counters) => 2 + 3 * counters.len(),
            Self::Unknown(_, data) => 2 + data.len(),
        }
    }

    fn emit(&self, flow: &Flow, out: &mut Vec<u8>) -> Result<(), String> {
        let mut put = |kind: u8, data: &[u8]| {
            out.extend_from_slice(&[kind, data.len() as u8 + 2]);
            out.extend_from_slice(data);
        };
        match self {
            Self::Nop => out.push(kind::NOP),
            Self::Eol => out.push(kind::END),
            Self::Mss(mss) => put(kind::MSS, &mss.to_be_bytes()),
            Self::Wscale(shift) => put(kind::WSCALE, &[*shift]),
            Self::SackOk => put(kind::SACK_OK, &[]),
            Self::Sack(blocks) => {
                let base = flow.local_base.unwrap_or(NO_BASE);
                let ends = blocks.iter().flat_map(|(start, end)| [*start, *end]);
                let bytes: Vec<_> = ends.flat_map(|end| base.wrapping_add(end).to_be_bytes()).collect();
                put(kind::SACK, &bytes);
            }
            Self::Timestamps(Some(val), Some(ecr)) => {
                let linear = ecr.wrapping_add(flow.stamps.unwrap_or(0));
                let ecr = flow.named.get(ecr).copied().unwrap_or(linear);
                put(kind::TIMESTAMPS, &[val.to_be_bytes(), ecr.to_be_bytes()].concat());
            }
            Self::Timestamps(..) => return Err("a time stamp to the stack needs its numbers".into()),
            Self::FastOpen(cookie) => put(kind::FAST_OPEN, cookie),
            Self::FastOpenExp(cookie) => put(kind::EXPERIMENT, &[&FAST_OPEN_MAGIC[..], cookie].concat()),
            Self::AccEcn(one_first, counters) => {
                let bytes: Vec<_> = counters.iter().flat_map(|counter| counter.to_be_bytes()[1..].to_vec()).collect();
                put(if *one_first { kind::ACCECN_1 } else { kind::ACCECN_0 }, &bytes);
            }
            Self::Unknown(kind, data) => put(*kind, data),
        }
        Ok(())
    }
}

/// The bytes of a segment from the peer.
pub fn segment(packet: &Packet, segment: &Segment, flow: &mut Flow, ends: &Ends) -> Result<Vec<u8>, String> {
    if segment.flags & SYN != 0 {
        if flow.peer_syn.is_some_and(|before| before != segment.seq) {
            flow.restart();
        }
        flow.peer_syn = Some(segment.seq);
        flow.isns.1 = segment.seq;
    }
    if segment.ack.is_some() {
        flow.local_base.get_or_insert(NO_BASE);
    }
    let mut options = Vec::new();
    for option in segment.options.iter().flatten() {
        option.emit(flow, &mut options)?;
    }
    let is_syn = segment.flags & SYN != 0;
    let base = flow.local_base.unwrap_or(NO_BASE).wrapping_sub(if is_syn { flow.isns.0 } else { 0 });
    let peer_base = PEER_BASE.wrapping_add(if is_syn { 0 } else { flow.isns.1 });
    let mut bytes = Vec::new();
    bytes.extend_from_slice(&flow.remote_port.to_be_bytes());
    bytes.extend_from_slice(&flow.local_port.to_be_bytes());
    bytes.extend_from_slice(&peer_base.wrapping_add(segment.seq).to_be_bytes());
    bytes.extend_from_slice(&segment.ack.map_or(0, |ack| base.wrapping_add(ack)).to_be_bytes());
    let offset = ((20 + options.len()) as u16 / 4) << 12;
    bytes.extend_from_slice(&(offset | segment.flags).to_be_bytes());
    bytes.extend_from_slice(&segment.win.unwrap_or(0).to_be_bytes());
    bytes.extend_from_slice(&[0, 0]);
    bytes.extend_from_slice(&segment.urg.unwrap_or(0).to_be_bytes());
    bytes.extend_from_slice(&options);
    let first = if segment.flags & SYN != 0 { 0 } else { u64::from(segment.seq.wrapping_sub(1)) };
    bytes.extend((0..u64::from(segment.len)).map(|i| pattern(first.wrapping_add(i))));
    Ok(datagram(packet.ip, ends.remote, ends.local, protocol::TCP, bytes, Some(16)))
}

/// The bytes of a datagram from the peer.
pub fn udp(packet: &Packet, len: u16, ports: (u16, u16), ends: &Ends) -> Vec<u8> {
    let mut bytes = Vec::new();
    for field in [ports.0, ports.1, len + 8, 0] {
        bytes.extend_from_slice(&field.to_be_bytes());
    }
    bytes.extend((0..u64::from(len)).map(pattern));
    datagram(packet.ip, ends.remote, ends.local, protocol::UDP, bytes, Some(6))
}

/// The bytes of an ICMP error about a segment of ours.
pub fn icmp(packet: &Packet, icmp: &Icmp, flow: &Flow, ends: &Ends) -> Vec<u8> {
    let (seq, len) = icmp.quote.unwrap_or((0, 0));
    let total = (40 + len).min(65_535) as u16;
    let mut quote = vec![0; ipv4::MIN_HEADER];
    header(Ip::default(), ends.local, ends.remote, protocol::TCP, total).emit(&mut quote);
    quote.extend_from_slice(&flow.local_port.to_be_bytes());
    quote.extend_from_slice(&flow.remote_port.to_be_bytes());
    quote.extend_from_slice(&flow.local_base.unwrap_or(NO_BASE).wrapping_add(seq).to_be_bytes());
    let mut bytes = vec![icmp.kind, icmp.code, 0, 0, 0, 0];
    bytes.extend_from_slice(&icmp.mtu.unwrap_or(0).to_be_bytes());
    bytes.extend_from_slice(&quote);
    let sum = !checksum::fold(checksum::add(0, &bytes));
    bytes[2..4].copy_from_slice(&sum.to_be_bytes());
    debug_assert!(icmpv4::Message::parse(&bytes).is_ok());
    datagram(packet.ip, ends.gateway, ends.local, protocol::ICMP, bytes, None)
}

fn header(ip: Ip, src: Ipv4Addr, dst: Ipv4Addr, protocol: u8, total_len: u16) -> ipv4::Header {
    ipv4::Header {
        tos: ip.tos.unwrap_or(0) | ip.ecn.unwrap_or(0),
        total_len,
        id: 0,
        dont_fragment: true,
        more_fragments: false,
        fragment_offset: 0,
        ttl: ip.ttl.unwrap_or(255),
        protocol,
        src,
        dst,
    }
}

/// Puts the IP header in front, and the checksum at its place.
fn datagram(ip: Ip, src: Ipv4Addr, dst: Ipv4Addr, protocol: u8, mut body: Vec<u8>, field: Option<usize>) -> Vec<u8> {
    if let Some(field) = field {
        let sum = checksum::pseudo_header(IpAddr::V4(src), IpAddr::V4(dst), protocol, body.len());
        let sum = !checksum::fold(checksum::add(sum, &body));
        body[field..field + 2].copy_from_slice(&sum.to_be_bytes());
    }
    let mut bytes = vec![0; ipv4::MIN_HEADER];
    header(ip, src, dst, protocol, (ipv4::MIN_HEADER + body.len()) as u16).emit(&mut bytes);
    bytes.extend_from_slice(&body);
    bytes
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
