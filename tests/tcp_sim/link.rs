//! The link: loses, delays, reorders, duplicates and corrupts segments as its random numbers say.

use sockeye::{
    addr::Flow,
    buf::Frame,
    rng::Rng,
    time::{Duration, Instant},
    wire::{
        checksum, protocol,
        seq::SeqNum,
        tcp::{CHECKSUM_FIELD, Flags, Header},
    },
};
use std::{collections::BTreeMap, ops::Range};

/// A TCP segment on its way, checksum included, with the size of the segments it was put together from (0: just one).
#[derive(Clone)]
pub struct Segment {
    pub bytes: Vec<u8>,
    pub gso_size: u16,
}

impl std::fmt::Display for Segment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match Header::parse(&self.bytes) {
            Some((header, len)) => write!(f, "{header} ({})", self.bytes.len() - len),
            None => f.write_str("not a segment"),
        }
    }
}

/// A link between two ends, the same both ways.
#[derive(Clone)]
pub struct Link {
    pub mtu: u32,
    /// Prints every segment and its fate.
    pub trace: bool,
    /// Super-frames stay whole from end to end, as over a TAP; otherwise they are split.
    whole_frames: bool,
    delay: Duration,
    jitter: Duration,
    pub loss: f64,
    reorder: f64,
    duplicate: f64,
    corrupt: f64,
    /// Segments by time of arrival (and order of sending), with the side they go to.
    flying: BTreeMap<(Instant, u64), (usize, Segment)>,
    sent: u64,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { mtu, trace: _, whole_frames, delay, jitter, loss, reorder, duplicate, corrupt, flying, sent } = self;
        write!(
            f,
            "link: mtu {mtu} whole {whole_frames} delay {delay:?} jitter {jitter:?} loss {loss} reorder {reorder} "
        )?;
        write!(f, "duplicate {duplicate} corrupt {corrupt}; {sent} sent, {} flying", flying.len())
    }
}

/// One of `choices`.
fn pick<T: Copy>(rng: &mut dyn Rng, choices: &[T]) -> T {
    choices[rng.below(choices.len() as u32) as usize]
}

impl Link {
    pub fn random(rng: &mut dyn Rng) -> Self {
        let delay = Duration::from_micros(pick(rng, &[2, 20, 1_000, 10_000, 100_000]));
        Self {
            trace: false,
            mtu: pick(rng, &[576, 1500, 1500, 9000]),
            whole_frames: rng.chance(0.5),
            delay,
            jitter: delay * pick(rng, &[0, 0, 1, 3]) / 2,
            loss: pick(rng, &[0.0, 0.0, 0.01, 0.03, 0.1]),
            reorder: pick(rng, &[0.0, 0.0, 0.02, 0.2]),
            duplicate: pick(rng, &[0.0, 0.0, 0.02, 0.2]),
            corrupt: pick(rng, &[0.0, 0.0, 0.01]),
            flying: BTreeMap::new(),
            sent: 0,
        }
    }

    /// Takes all faults away.
    pub fn repair(&mut self) {
        self.jitter = Duration::ZERO;
        (self.loss, self.reorder, self.duplicate, self.corrupt) = (0.0, 0.0, 0.0, 0.0);
    }

    /// What a device makes of `frame`: one segment, or several if the link does not take super-frames.
    pub fn segments(&self, frame: &Frame, flow: Flow) -> Vec<Segment> {
        let mut frame = frame.clone();
        let gso = frame.gso.take();
        checksum::finish(&mut frame);
        let bytes = frame.to_vec();
        let Some(gso) = gso else { return vec![Segment { bytes, gso_size: 0 }] };
        let (header, header_len) = Header::parse(&bytes).expect("a segment we sent");
        let longest = 20 + header_len + usize::from(gso.size);
        assert!(longest <= self.mtu as usize, "segments of {longest} bytes with an MTU of {}", self.mtu);
        if self.whole_frames {
            return vec![Segment { bytes, gso_size: gso.size }];
        }
        let payload = &bytes[header_len..];
        let size = usize::from(gso.size);
        let part = |n: usize| n * size..payload.len().min((n + 1) * size);
        (0..payload.len().div_ceil(size)).map(|n| split(&header, payload, part(n), flow)).collect()
    }

    /// Sends `segment` to the side `to`.
    pub fn send(&mut self, to: usize, segment: Segment, now: Instant, rng: &mut dyn Rng) {
        let copies = if rng.chance(self.duplicate) { 2 } else { 1 };
        for _ in 0..copies {
            let lost = rng.chance(self.loss);
            if self.trace {
                let fate = if lost { " lost" } else { "" };
                println!("{:>16} {segment}{fate}", now.as_micros());
            }
            if lost {
                continue;
            }
            let mut segment = segment.clone();
            if rng.chance(self.corrupt) {
                let at = rng.below(segment.bytes.len() as u32) as usize;
                segment.bytes[at] ^= 1 << rng.below(8);
            }
            let late = if rng.chance(self.reorder) { 1 + u64::from(rng.below(4)) } else { 0 };
            let jitter = self.jitter.mul_f64(f64::from(rng.below(1000)) / 1000.0);
            let at = now + self.delay + jitter + (self.delay / 2 + Duration::from_micros(10)) * late as u32;
            self.sent += 1;
            self.flying.insert((at, self.sent), (to, segment));
        }
    }

    /// The next segment that has arrived by `now`, with the side it came to.
    pub fn deliver(&mut self, now: Instant) -> Option<(usize, Segment)> {
        self.flying.first_entry().filter(|entry| entry.key().0 <= now).map(|entry| entry.remove())
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.flying.first_key_value().map(|((at, _), _)| *at)
    }
}

/// The part `range` of a super-frame as a segment of its own (what TSO does).
fn split(header: &Header, payload: &[u8], range: Range<usize>, flow: Flow) -> Segment {
    let last = range.end == payload.len();
    let cleared = if last { Flags::default() } else { Flags::FIN.with(Flags::PSH) };
    let header = Header {
        seq: SeqNum(header.seq.0.wrapping_add(range.start as u32)),
        flags: Flags(header.flags.0 & !cleared.0),
        ..*header
    };
    seal(&header, &payload[range], flow)
}

/// A complete segment.
pub fn seal(header: &Header, payload: &[u8], flow: Flow) -> Segment {
    let mut bytes = vec![0; header.len()];
    header.emit(&mut bytes);
    bytes.extend_from_slice(payload);
    let sum = checksum::transport(flow.local.addr, flow.remote.addr, protocol::TCP, &bytes);
    bytes[CHECKSUM_FIELD..CHECKSUM_FIELD + 2].copy_from_slice(&sum.to_be_bytes());
    Segment { bytes, gso_size: 0 }
}
