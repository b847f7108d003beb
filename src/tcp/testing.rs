//! Connections under test: one against a script ([`Tester`]), and two against each other over a bad link ([`Pair`]).
//! Sequence numbers are shown relative to each side's initial one, time stamps are left out unless asked for.

use super::{Connection, Path, RecvFlags, SendFlags, Settings, State};
use crate::{
    addr::{Endpoint, Flow},
    buf::{Frame, Packet},
    counters::Counters,
    cx::Cx,
    error::Result,
    ready::Ready,
    rng::{Key, Rng, SeededRng},
    time::{Duration, Instant},
    wire::{
        seq::SeqNum,
        tcp::{Flags, Header, SackBlocks, Timestamps},
    },
};
use std::{
    collections::BTreeMap,
    io::{IoSlice, IoSliceMut},
};

pub const MS: Duration = Duration::from_millis(1);

/// The peer's initial sequence number in scripts.
const PEER_ISS: u32 = 0xffff_fff0;

pub fn flow() -> Flow {
    let end = |addr: &str, port| Endpoint::new(addr.parse().unwrap(), port);
    Flow { local: end("10.0.0.1", 1000), remote: end("10.0.0.2", 2000) }
}

pub fn ethernet() -> Path {
    Path { mtu: 1500, link_mtu: 1500, max_frame: 1500 }
}

/// The world a connection lives in.
pub struct World {
    pub now: Instant,
    pub rng: SeededRng,
    pub mib: Counters,
}

impl World {
    pub fn new(seed: u64) -> Self {
        Self { now: Instant::ZERO + 1000 * MS, rng: SeededRng::new([seed, 1]), mib: Counters::default() }
    }

    pub fn cx(&mut self) -> Cx<'_> {
        Cx { now: self.now, rng: &mut self.rng, mib: &mut self.mib }
    }
}

/// A segment as the script sends it.
#[derive(Clone, Debug)]
pub struct Seg {
    pub header: Header,
    pub payload: Vec<u8>,
    pub gso_size: u16,
    pub ecn: u8,
}

/// A segment of the peer: flags as in packet scripts (`S`, `.`, `F`, `R`, `P`, `U`), relative sequence number and
/// acknowledgement, so many bytes.
pub fn seg(flags: &str, seq: u32, ack: u32, len: usize) -> Seg {
    let bits = flags.chars().fold(Flags::default(), |bits, c| {
        bits.with(match c {
            'S' => Flags::SYN,
            '.' => Flags::ACK,
            'F' => Flags::FIN,
            'R' => Flags::RST,
            'P' => Flags::PSH,
            'U' => Flags::URG,
            'E' => Flags::ECE,
            'W' => Flags::CWR,
            'A' => Flags::AE,
            _ => panic!("no flag is called {c}"),
        })
    });
    let header = Header {
        src_port: 2000,
        dst_port: 1000,
        seq: SeqNum(seq),
        ack: SeqNum(ack),
        flags: bits,
        window: 65_535,
        ..Header::default()
    };
    Seg { header, payload: (0..len).map(|i| pattern(u64::from(seq) + i as u64)).collect(), gso_size: 0, ecn: 0 }
}

/// The byte at a position of a stream.
pub fn pattern(position: u64) -> u8 {
    (position.wrapping_mul(31) >> 3 ^ position) as u8
}

impl Seg {
    pub fn win(mut self, window: u16) -> Self {
        self.header.window = window;
        self
    }

    pub fn mss(mut self, mss: u16) -> Self {
        self.header.options.mss = Some(mss);
        self
    }

    pub fn wscale(mut self, shift: u8) -> Self {
        self.header.options.window_scale = Some(shift);
        self
    }

    pub fn sack_ok(mut self) -> Self {
        self.header.options.sack_permitted = true;
        self
    }

    pub fn sack(mut self, blocks: &[(u32, u32)]) -> Self {
        let mut sack = SackBlocks::default();
        blocks.iter().for_each(|&(start, end)| assert!(sack.push(SeqNum(start), SeqNum(end))));
        self.header.options.sack = sack;
        self
    }

    pub fn ts(mut self, val: u32, ecr: u32) -> Self {
        self.header.options.timestamps = Some(Timestamps { val, ecr });
        self
    }

    pub fn urg(mut self, pointer: u16) -> Self {
        self.header.urgent = pointer;
        self
    }

    pub fn gso(mut self, size: u16) -> Self {
        self.gso_size = size;
        self
    }

    pub fn ecn(mut self, codepoint: u8) -> Self {
        self.ecn = codepoint;
        self
    }

    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self.payload = bytes.to_vec();
        self
    }
}

/// One connection and a script.
pub struct Tester {
    pub world: World,
    pub connection: Connection,
    /// Our initial number.
    pub iss: SeqNum,
    /// Show time stamps.
    pub show_ts: bool,
    /// Show windows other than those of SYNs.
    pub show_win: bool,
}

impl Tester {
    /// A connection in SYN-SENT.
    pub fn connecting(settings: Settings) -> Self {
        Self::connecting_over(settings, ethernet())
    }

    pub fn connecting_over(settings: Settings, path: Path) -> Self {
        let mut world = World::new(1);
        let key = Key::random(&mut world.rng);
        let connection = Connection::connect(flow(), settings, path, &key, &mut world.cx());
        Self { iss: connection.opening.iss, world, connection, show_ts: false, show_win: false }
    }

    /// A connection in SYN-RECEIVED that answers `syn`.
    pub fn accepting(settings: Settings, syn: Seg) -> Self {
        let mut world = World::new(1);
        let key = Key::random(&mut world.rng);
        let header = Header { seq: SeqNum(PEER_ISS) + syn.header.seq.0, ..syn.header };
        let mut connection = Connection::accept(flow(), &header, settings, ethernet(), &key, &mut world.cx());
        connection.note_syn_field(syn.ecn);
        Self { iss: connection.opening.iss, world, connection, show_ts: false, show_win: false }
    }

    /// An established connection without options but the MSS of 1000, SACK and no scaling.
    pub fn established() -> Self {
        Self::established_with(Settings::default(), seg("S.", 0, 1, 0).mss(1000).sack_ok())
    }

    pub fn established_with(settings: Settings, syn_ack: Seg) -> Self {
        Self::established_over(settings, syn_ack, ethernet())
    }

    pub fn established_over(settings: Settings, syn_ack: Seg, path: Path) -> Self {
        let mut tester = Self::connecting_over(settings, path);
        let _ = tester.output();
        tester.wait(10 * MS);
        tester.inject(syn_ack);
        let _ = tester.output();
        let _ = tester.connection.poll_events();
        assert_eq!(tester.connection.state(), State::Established);
        tester
    }

    /// An established connection in which no acknowledgement is quick any more.
    pub fn calm() -> Self {
        let mut tester = Self::established();
        tester.connection.acks.on_delay_over(MS);
        for n in 0..16 {
            tester.inject(seg("P.", 1 + n, 1, 1));
            let _ = tester.output();
            let _ = tester.read(10);
        }
        tester.wait(50 * MS);
        tester.world.mib = Counters::default();
        tester
    }

    /// Sends us a segment; numbers are relative.
    pub fn inject(&mut self, mut seg: Seg) {
        seg.header.seq = SeqNum(PEER_ISS) + seg.header.seq.0;
        seg.header.ack = self.iss + seg.header.ack.0;
        let blocks = seg.header.options.sack;
        let mut sack = SackBlocks::default();
        for (start, end) in blocks.as_slice() {
            sack.push(self.iss + start.0, self.iss + end.0);
        }
        seg.header.options.sack = sack;
        let mut payload = Packet::copy_from(&seg.payload);
        payload.meta.gso_size = seg.gso_size;
        payload.meta.ecn = seg.ecn;
        self.connection.on_segment(&seg.header, payload, &mut self.world.cx());
    }

    /// Sends us a segment and shows what we answer.
    pub fn answer(&mut self, seg: Seg) -> Vec<String> {
        self.inject(seg);
        self.output()
    }

    /// Everything we want to send now, a line each: `flags start:end(len) ack N win N <options>`.
    pub fn output(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let mut frame = Frame::new();
            if !self.connection.poll_transmit(&mut frame, &mut self.world.cx()) {
                return lines;
            }
            lines.push(self.show(&frame));
            assert!(lines.len() < 300_000, "output without end: {:?}", &lines[..5]);
        }
    }

    fn show(&self, frame: &Frame) -> String {
        let bytes = frame.to_vec();
        let (header, len) = Header::parse(&bytes).expect("we send valid headers");
        let payload = bytes.len() - len;
        let has = |flag| header.flags.contains(flag);
        let mut flags = String::new();
        for (flag, letter) in [
            (Flags::SYN, 'S'),
            (Flags::FIN, 'F'),
            (Flags::RST, 'R'),
            (Flags::PSH, 'P'),
            (Flags::URG, 'U'),
            (Flags::ECE, 'E'),
            (Flags::CWR, 'W'),
            (Flags::AE, 'A'),
            (Flags::ACK, '.'),
        ] {
            if has(flag) {
                flags.push(letter);
            }
        }
        let start = if has(Flags::RST) && header.seq == SeqNum(0) { 0 } else { header.seq - self.iss };
        let mut line = format!("{flags} {}:{}({payload})", start as i32, start.wrapping_add(payload as u32) as i32);
        if has(Flags::ACK) {
            line += &format!(" ack {}", header.ack - SeqNum(PEER_ISS));
        }
        if has(Flags::SYN) || self.show_win {
            line += &format!(" win {}", header.window);
        }
        if has(Flags::URG) {
            line += &format!(" urg {}", header.urgent);
        }
        let mut options = header.options;
        if !self.show_ts {
            options.timestamps = options.timestamps.filter(|_| has(Flags::SYN)).map(|_| Timestamps { val: 0, ecr: 0 });
        }
        let mut blocks = SackBlocks::default();
        for (start, end) in header.options.sack.as_slice() {
            blocks.push(SeqNum(*start - SeqNum(PEER_ISS)), SeqNum(*end - SeqNum(PEER_ISS)));
        }
        options.sack = blocks;
        let text = options.to_string().replace("TS val 0 ecr 0", "TS");
        if !text.is_empty() {
            line += &format!(" <{text}>");
        }
        match frame.ecn {
            0 => {}
            1 => line += " ect1",
            2 => line += " ect0",
            _ => line += " ce",
        }
        if let Some(gso) = frame.gso {
            line += &format!(" gso {}", gso.size);
        }
        line
    }

    /// Lets time pass, timers included; shows what is sent meanwhile.
    pub fn wait(&mut self, duration: Duration) -> Vec<String> {
        let end = self.world.now + duration;
        let mut lines = Vec::new();
        while let Some(next) = self.connection.poll_deadline().filter(|&next| next <= end) {
            self.world.now = self.world.now.max(next);
            self.connection.on_timer(&mut self.world.cx());
            lines.extend(self.output());
        }
        self.world.now = end;
        lines
    }

    /// Like [`Tester::wait`], with the milliseconds since the start before each line.
    pub fn wait_timed(&mut self, duration: Duration) -> Vec<String> {
        let (start, end) = (self.world.now, self.world.now + duration);
        let mut lines = Vec::new();
        while let Some(next) = self.connection.poll_deadline().filter(|&next| next <= end) {
            self.world.now = self.world.now.max(next);
            self.connection.on_timer(&mut self.world.cx());
            let at = self.world.now.since(start).as_millis();
            lines.extend(self.output().into_iter().map(|line| format!("{at} {line}")));
        }
        self.world.now = end;
        lines
    }

    pub fn write(&mut self, len: usize) -> Result<usize> {
        self.connection.send(&[IoSlice::new(&vec![b'x'; len])], SendFlags::default(), &mut self.world.cx())
    }

    pub fn write_flags(&mut self, bytes: &[u8], flags: SendFlags) -> Result<usize> {
        self.connection.send(&[IoSlice::new(bytes)], flags, &mut self.world.cx())
    }

    pub fn read(&mut self, len: usize) -> Result<Vec<u8>> {
        self.read_flags(len, RecvFlags::default())
    }

    pub fn read_flags(&mut self, len: usize, flags: RecvFlags) -> Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        let n = self.connection.recv(&mut [IoSliceMut::new(&mut bytes)], flags, &mut self.world.cx())?;
        bytes.truncate(n);
        Ok(bytes)
    }

    pub fn shutdown(&mut self, how: super::Shutdown) -> Vec<String> {
        self.connection.shutdown(how, &mut self.world.cx()).unwrap();
        self.output()
    }

    pub fn close(&mut self) -> Vec<String> {
        self.connection.close(&mut self.world.cx());
        self.output()
    }

    pub fn state(&self) -> State {
        self.connection.state()
    }

    pub fn ready(&self) -> String {
        show_ready(self.connection.ready())
    }

    pub fn events(&mut self) -> String {
        show_ready(self.connection.poll_events())
    }
}

/// Readiness in words, without the RDNORM and WRNORM that go with IN and OUT.
pub fn show_ready(ready: Ready) -> String {
    let names = [
        (Ready::IN, "in"),
        (Ready::PRI, "pri"),
        (Ready::OUT, "out"),
        (Ready::ERR, "err"),
        (Ready::HUP, "hup"),
        (Ready::RDHUP, "rdhup"),
    ];
    let words: Vec<_> = names.iter().filter(|(bit, _)| ready.contains(*bit)).map(|(_, name)| *name).collect();
    words.join(" ")
}

/// What the link between two connections does.
#[derive(Copy, Clone, Debug)]
pub struct Link {
    pub delay: Duration,
    pub loss: f64,
    pub duplicate: f64,
    pub reorder: f64,
    /// Bytes a second; 0 is no limit.
    pub rate: u64,
    /// Bytes that wait at most when there is a rate.
    pub queue: u64,
}

impl Default for Link {
    fn default() -> Self {
        Self { delay: 5 * MS, loss: 0.0, duplicate: 0.0, reorder: 0.0, rate: 0, queue: 1 << 20 }
    }
}

/// A segment on its way.
struct Flight {
    to: usize,
    header: Header,
    payload: Vec<u8>,
}

/// Two connections, `ends[0]` the active one, over a link in virtual time.
pub struct Pair {
    pub world: World,
    pub ends: [Option<Connection>; 2],
    pub link: Link,
    link_rng: SeededRng,
    settings: Settings,
    key: Key,
    path: Path,
    /// What is on its way, by arrival.
    flying: BTreeMap<(Instant, u64), Flight>,
    sent: u64,
    busy_until: [Instant; 2],
}

impl Pair {
    pub fn new(seed: u64, link: Link, path: Path, settings: Settings) -> Self {
        let mut world = World::new(seed);
        let key = Key::random(&mut world.rng);
        let active = Connection::connect(flow(), settings.clone(), path, &key, &mut world.cx());
        let now = world.now;
        Self {
            world,
            ends: [Some(active), None],
            link,
            link_rng: SeededRng::new([seed, 2]),
            settings,
            key,
            path,
            flying: BTreeMap::new(),
            sent: 0,
            busy_until: [now; 2],
        }
    }

    /// Splits what `from` sends into segments, as a device would, and puts them on the link.
    fn collect(&mut self, from: usize) {
        loop {
            let mut frame = Frame::new();
            let Some(connection) = &mut self.ends[from] else { return };
            if !connection.poll_transmit(&mut frame, &mut self.world.cx()) {
                return;
            }
            let bytes = frame.to_vec();
            assert!(bytes.len() + 20 <= self.path.max_frame as usize, "a frame larger than the device takes");
            let (header, len) = Header::parse(&bytes).expect("valid header");
            let size = frame.gso.map_or(usize::MAX, |gso| usize::from(gso.size));
            let payload = &bytes[len..];
            let mut offset = 0;
            loop {
                let n = size.min(payload.len() - offset);
                let last = offset + n == payload.len();
                let mut part = Header { seq: header.seq + offset as u32, ..header };
                if !last {
                    part.flags = Flags(part.flags.0 & !(Flags::FIN.0 | Flags::PSH.0));
                }
                assert!(len + n + 20 <= self.path.mtu as usize, "a segment larger than the MTU");
                self.fly(1 - from, part, &payload[offset..offset + n]);
                offset += n;
                if last {
                    break;
                }
            }
        }
    }

    fn fly(&mut self, to: usize, header: Header, payload: &[u8]) {
        let copies = 1 + usize::from(self.link_rng.chance(self.link.duplicate));
        for _ in 0..copies {
            if self.link_rng.chance(self.link.loss) {
                continue;
            }
            let mut at = self.world.now + self.link.delay;
            if self.link.rate > 0 {
                let took = |bytes: u64| Duration::from_nanos(bytes * 1_000_000_000 / self.link.rate);
                let start = self.busy_until[to].max(self.world.now);
                if start.since(self.world.now) > took(self.link.queue) {
                    continue;
                }
                self.busy_until[to] = start + took(payload.len() as u64 + 78);
                at = self.busy_until[to] + self.link.delay;
            }
            if self.link_rng.chance(self.link.reorder) {
                at += self.link.delay / 2 + Duration::from_micros(u64::from(self.link_rng.below(2000)));
            }
            self.sent += 1;
            self.flying.insert((at, self.sent), Flight { to, header, payload: payload.to_vec() });
        }
    }

    /// When something happens next.
    fn next(&self) -> Option<Instant> {
        let flights = self.flying.first_key_value().map(|((at, _), _)| *at);
        let timers = self.ends.iter().flatten().filter_map(Connection::poll_deadline).min();
        flights.into_iter().chain(timers).min()
    }

    /// Sends what is to be sent, then lets the next thing happen; false when nothing ever will.
    pub fn step(&mut self) -> bool {
        self.collect(0);
        self.collect(1);
        let Some(next) = self.next() else { return false };
        self.world.now = self.world.now.max(next);
        for end in 0..2 {
            if let Some(connection) = &mut self.ends[end]
                && connection.poll_deadline().is_some_and(|at| at <= self.world.now)
            {
                let mut cx = Cx { now: self.world.now, rng: &mut self.world.rng, mib: &mut self.world.mib };
                connection.on_timer(&mut cx);
            }
        }
        while let Some(entry) = self.flying.first_entry().filter(|entry| entry.key().0 <= self.world.now) {
            let flight = entry.remove();
            self.arrive(flight);
            self.collect(0);
            self.collect(1);
        }
        true
    }

    fn arrive(&mut self, flight: Flight) {
        let Flight { to, header, payload, .. } = flight;
        let mut cx = Cx { now: self.world.now, rng: &mut self.world.rng, mib: &mut self.world.mib };
        match &mut self.ends[to] {
            Some(connection) => connection.on_segment(&header, Packet::copy_from(&payload), &mut cx),
            None if header.flags.contains(Flags::SYN) && !header.flags.contains(Flags::ACK) => {
                let flow = Flow { local: flow().remote, remote: flow().local };
                let settings = self.settings.clone();
                self.ends[to] = Some(Connection::accept(flow, &header, settings, self.path, &self.key, &mut cx));
            }
            None => {}
        }
    }

    pub fn send(&mut self, end: usize, bytes: &[u8]) -> Result<usize> {
        let mut cx = Cx { now: self.world.now, rng: &mut self.world.rng, mib: &mut self.world.mib };
        self.ends[end].as_mut().unwrap().send(&[IoSlice::new(bytes)], SendFlags::default(), &mut cx)
    }

    pub fn recv(&mut self, end: usize, bytes: &mut [u8]) -> Result<usize> {
        let mut cx = Cx { now: self.world.now, rng: &mut self.world.rng, mib: &mut self.world.mib };
        self.ends[end].as_mut().unwrap().recv(&mut [IoSliceMut::new(bytes)], RecvFlags::default(), &mut cx)
    }

    pub fn shutdown(&mut self, end: usize, how: super::Shutdown) -> Result<()> {
        let mut cx = Cx { now: self.world.now, rng: &mut self.world.rng, mib: &mut self.world.mib };
        self.ends[end].as_mut().unwrap().shutdown(how, &mut cx)
    }

    pub fn close(&mut self, end: usize) {
        let mut cx = Cx { now: self.world.now, rng: &mut self.world.rng, mib: &mut self.world.mib };
        self.ends[end].as_mut().unwrap().close(&mut cx);
    }

    pub fn state(&self, end: usize) -> Option<State> {
        self.ends[end].as_ref().map(Connection::state)
    }
}
