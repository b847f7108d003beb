//! One end: a connection, and the application that uses it as its plan says.

use super::segment::{Segment, seal};
use sockeye::{
    addr::Flow,
    buf::{Frame, Packet, Pool},
    cx::Cx,
    error::Error,
    ready::Ready,
    rng::{Key, Rng},
    tcp::{
        BufferSize, Connection, Knobs, Path, RecvFlags, SendFlags, Settings, Shutdown, State, TimeWait,
        TimeWaitVerdict, info::Info,
    },
    time::{Duration, Instant},
    wire::{
        seq::SeqNum,
        tcp::{self, Flags, Header},
    },
};
use std::{
    collections::HashSet,
    io::{IoSlice, IoSliceMut},
    sync::OnceLock,
};

/// What the application does.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Bytes to send.
    total: usize,
    /// Bytes of one call.
    chunk: usize,
    /// Between two reads.
    pause: Duration,
    /// Acts on edges only (EPOLLET), not on the present readiness.
    edges: bool,
    /// Waits for the peer's end of data before it finishes its own.
    pub finish_last: bool,
    /// Opens actively (the server too: a simultaneous open).
    pub opens: bool,
    /// Resets the connection after so many bytes were received or sent.
    pub abort_after: Option<usize>,
    settings: Settings,
    /// The device takes super-frames.
    super_frames: bool,
    /// The device reads into buffers that take a super-frame, however small what it reads.
    large_buffers: bool,
}

fn pick<T: Copy>(rng: &mut dyn Rng, choices: &[T]) -> T {
    choices[rng.below(choices.len() as u32) as usize]
}

impl Plan {
    pub fn random(rng: &mut dyn Rng) -> Self {
        let buffer = |rng: &mut dyn Rng| match rng.below(4) {
            0 => BufferSize::Fixed(pick(rng, &[2_304, 5_000, 20_000, 300_000])),
            _ => BufferSize::Auto { max: 1 << 20 },
        };
        let settings = Settings {
            nodelay: rng.chance(0.5),
            quickack: rng.chance(0.7),
            send_buffer: buffer(rng),
            recv_buffer: buffer(rng),
            // An orphan gives up after 100 s otherwise, which a link that loses a tenth can well take to get one
            // answer.
            user_timeout: Duration::from_secs(7200),
            // As many SYNs in a row are not lost.
            syn_retries: Some(16),
            congestion: pick(rng, &["cubic", "cubic", "reno", "bbr"]),
            knobs: Knobs { ecn: pick(rng, &[2, 2, 1]), ..Knobs::default() }.into(),
            max_pacing_rate: if rng.chance(0.1) { 1_000_000 } else { u64::MAX },
            maxseg: rng.chance(0.1).then(|| pick(rng, &[88, 536, 1000])),
            ..Settings::default()
        };
        let largest = 2 << rng.below(21);
        let pause = Duration::from_micros(pick(rng, &[0, 0, 0, 100, 10_000]));
        let smallest = if pause.is_zero() { 1 } else { 500 };
        Self {
            total: if rng.chance(0.1) { 0 } else { rng.below(largest) as usize },
            chunk: pick(rng, &[0, 0, 8_000, 99_000]) + smallest + rng.below(1_000) as usize,
            pause,
            edges: rng.chance(0.5),
            finish_last: rng.chance(0.3),
            opens: rng.chance(0.05),
            abort_after: None,
            settings,
            super_frames: rng.chance(0.5),
            large_buffers: rng.chance(0.5),
        }
    }

    /// Sends without end, or for so many bytes.
    pub fn sender(congestion: &'static str, super_frames: bool, total: usize) -> Self {
        let settings = Settings { congestion, ..Settings::default() };
        Self {
            total,
            chunk: 16_384,
            pause: Duration::ZERO,
            edges: false,
            finish_last: false,
            opens: false,
            abort_after: None,
            settings,
            super_frames,
            large_buffers: false,
        }
    }

    /// Opens the connection and takes what comes.
    pub fn receiver(congestion: &'static str, super_frames: bool) -> Self {
        Self { opens: true, finish_last: true, chunk: 65_536, ..Self::sender(congestion, super_frames, 0) }
    }

    /// Asks for explicit congestion notification.
    pub fn ask_for_ecn(&mut self) {
        self.settings.knobs = Knobs { ecn: 1, ..Knobs::default() }.into();
    }

    /// A dead peer is noticed.
    pub fn keep_alive(&mut self) {
        self.settings.keepalive = true;
        self.settings.keep_idle = Duration::from_secs(5);
        self.settings.keep_interval = Duration::from_secs(1);
    }

    /// A peer that does not acknowledge is given up after so long.
    pub fn give_up_after(&mut self, time: Duration) {
        self.settings.user_timeout = time;
    }

    /// What is rarely asked for: marks, counted or not, a search for the path's MTU, a rate of the user's.
    pub fn vary(&mut self, rng: &mut dyn Rng) {
        let knobs = Knobs { ecn: pick(rng, &[2, 1, 3]), mtu_probing: pick(rng, &[0, 2]), ..Knobs::default() };
        self.settings.knobs = knobs.into();
        self.settings.syn_retries = Some(16);
        if rng.chance(0.2) {
            self.settings.max_pacing_rate = pick(rng, &[1_000, 1_000_000, 50_000_000_000]);
        }
    }

    /// A link that loses much takes long.
    pub fn send_at_most(&mut self, total: usize) {
        self.total = self.total.min(total);
    }

    pub fn read_slowly(&mut self, pause: Duration) {
        self.pause = pause;
        self.total = self.total.min(60_000);
        self.chunk = self.chunk.max(1_000);
        self.settings.recv_buffer = BufferSize::Fixed(3_000);
    }
}

/// What there is of the connection.
enum Life {
    /// The server before the SYN.
    Unborn,
    Open(Box<Connection>),
    TimeWait(TimeWait),
    Gone,
}

/// One end of the connection.
pub struct End {
    name: &'static str,
    number: usize,
    flow: Flow,
    plan: Plan,
    secret: Key,
    path: Path,
    life: Life,
    buffers: Buffers,
    /// The application has looked at the connection since it is established.
    looked: bool,
    sent: usize,
    pub received: usize,
    /// What was read last.
    out: Vec<u8>,
    may_read: bool,
    may_write: bool,
    read_at: Instant,
    wrote_end: bool,
    read_end: bool,
    closed: bool,
    failure: Option<Error>,
}

/// The device's buffers.
struct Buffers {
    pool: Pool,
    /// The addresses of all there are.
    all: HashSet<usize>,
}

impl Buffers {
    fn new() -> Self {
        Self { pool: Pool::new(65_600), all: HashSet::new() }
    }

    /// A packet in a large buffer.
    fn packet(&mut self, bytes: &[u8]) -> Packet {
        let mut buf = self.pool.take();
        self.all.insert(buf.as_ptr() as usize);
        buf[..bytes.len()].copy_from_slice(bytes);
        Packet::new(buf, 0..bytes.len())
    }

    /// Whether all have come back: otherwise the pool has to make another.
    fn are_back(&self) -> bool {
        let taken: Vec<_> = self.all.iter().map(|_| self.pool.take()).collect();
        taken.iter().all(|buf| self.all.contains(&(buf.as_ptr() as usize)))
    }
}

/// After so many bytes the same come again: a prime number, so that nothing else repeats with them.
const PERIOD: usize = 65_521;

/// `len` of the bytes that the owner of a port sends, from `position` on.
fn bytes(port: u16, position: usize, len: usize) -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    let mixed = |n: usize| ((n % PERIOD) as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56;
    let all = BYTES.get_or_init(|| (0..PERIOD * 4).map(|n| mixed(n) as u8).collect());
    let from = (position % PERIOD + usize::from(port) * 7) % PERIOD;
    &all[from..from + len]
}

impl End {
    pub fn new(name: &'static str, number: usize, flow: Flow, plan: Plan, secret: Key, mtu: u32) -> Self {
        let path = Path { mtu, link_mtu: mtu, max_frame: if plan.super_frames { 65_535 } else { mtu } };
        Self {
            name,
            number,
            flow,
            plan,
            secret,
            path,
            life: Life::Unborn,
            buffers: Buffers::new(),
            looked: false,
            sent: 0,
            received: 0,
            out: Vec::new(),
            may_read: false,
            may_write: false,
            read_at: Instant::ZERO,
            wrote_end: false,
            read_end: false,
            closed: false,
            failure: None,
        }
    }

    /// Takes a segment from the link; returns the answer of the stack when there is no connection to give one.
    pub fn receive(&mut self, segment: Segment, cx: &mut Cx<'_>) -> Option<Segment> {
        let Segment { bytes, gso_size, ecn, .. } = segment;
        let Flow { local, remote } = self.flow;
        if !tcp::verify(remote.addr, local.addr, &bytes) {
            return None;
        }
        let (header, header_len) = Header::parse(&bytes)?;
        let mut payload = if self.plan.large_buffers { self.buffers.packet(&bytes) } else { Packet::copy_from(&bytes) };
        payload.advance(header_len);
        payload.meta.gso_size = gso_size;
        payload.meta.ecn = ecn;
        payload.meta.checksum_ok = true;
        let reply = match &mut self.life {
            Life::Open(connection) => {
                connection.on_segment(&header, payload, cx);
                None
            }
            Life::Unborn if is_opening(header.flags) && !self.plan.opens => {
                let settings = self.plan.settings.clone();
                let connection = Connection::accept(self.flow, &header, settings, self.path, &self.secret, cx);
                self.life = Life::Open(Box::new(connection));
                None
            }
            Life::TimeWait(time_wait) => match time_wait.on_segment(&header, payload.len(), cx.now) {
                TimeWaitVerdict::Reply(reply) => Some(reply),
                TimeWaitVerdict::Drop | TimeWaitVerdict::Skip => None,
                TimeWaitVerdict::End => {
                    self.life = Life::Gone;
                    None
                }
                TimeWaitVerdict::Reopen(_) => panic!("an old SYN reopens the flow"),
            },
            Life::Unborn | Life::Gone => reset(&header, payload.len()),
        };
        let bytes = seal(&reply?, &[], self.flow);
        Some(Segment { flow: self.number, ecn: 0, gso_size: 0, bytes })
    }

    /// Runs what timers are due; returns how many times.
    pub fn run_timers(&mut self, cx: &mut Cx<'_>) -> u32 {
        let mut runs = 0;
        if let Life::TimeWait(time_wait) = &self.life
            && time_wait.until <= cx.now
        {
            self.life = Life::Gone;
        }
        if let Life::Open(connection) = &mut self.life {
            while connection.poll_deadline().is_some_and(|at| at <= cx.now) {
                connection.on_timer(cx);
                runs += 1;
                assert!(runs < 50, "{}: timers run again and again in {:?}", self.name, connection.state());
            }
        }
        runs
    }

    /// Takes all frames there are.
    pub fn transmit(&mut self, cx: &mut Cx<'_>) -> Vec<Frame> {
        let mut frames = Vec::new();
        if let Life::Open(connection) = &mut self.life {
            loop {
                let mut frame = Frame::new();
                if !connection.poll_transmit(&mut frame, cx) {
                    break;
                }
                let limit = if frame.gso.is_some() { self.path.max_frame } else { self.path.mtu };
                assert!(frame.len() + 20 <= limit as usize, "{}: {frame:?} is longer than {limit}", self.name);
                frames.push(frame);
                assert!(frames.len() < 20_000, "{}: sends without end", self.name);
            }
            if self.closed {
                if let Some(time_wait) = connection.to_time_wait() {
                    self.life = Life::TimeWait(time_wait);
                } else if connection.is_finished() {
                    assert_eq!(connection.poll_deadline(), None, "{}: a finished connection has a timer", self.name);
                    self.life = Life::Gone;
                }
            }
        }
        frames
    }

    /// Lets the application do what it can; returns whether it did something.
    pub fn run_application(&mut self, cx: &mut Cx<'_>) -> bool {
        if self.plan.opens && matches!(self.life, Life::Unborn) {
            let settings = self.plan.settings.clone();
            let connection = Connection::connect(self.flow, settings, self.path, &self.secret, cx);
            self.life = Life::Open(Box::new(connection));
            return true;
        }
        if self.closed {
            return false;
        }
        let Life::Open(connection) = &mut self.life else { return false };
        let edges = connection.poll_events();
        if matches!(connection.state(), State::SynSent | State::SynReceived) {
            return false;
        }
        let looks = !self.plan.edges || !self.looked;
        self.looked = true;
        let events = if looks { connection.ready() } else { edges };
        let ends = Ready::HUP | Ready::ERR;
        self.may_read |= events.intersects(Ready::IN | Ready::RDHUP | ends);
        self.may_write |= events.intersects(Ready::OUT | ends);
        let mut busy = self.abort_if_planned(cx);
        busy |= self.write(cx);
        busy |= self.read(cx);
        busy | self.finish(cx)
    }

    fn abort_if_planned(&mut self, cx: &mut Cx<'_>) -> bool {
        let Life::Open(connection) = &mut self.life else { return false };
        let due = self.plan.abort_after.is_some_and(|after| self.sent + self.received >= after);
        if due {
            connection.abort(cx);
            connection.close(cx);
            self.closed = true;
        }
        due
    }

    fn write(&mut self, cx: &mut Cx<'_>) -> bool {
        let Life::Open(connection) = &mut self.life else { return false };
        let mut busy = false;
        while self.may_write && !self.closed && self.sent < self.plan.total {
            let n = self.plan.chunk.min(self.plan.total - self.sent);
            let port = self.flow.local.port;
            let (one, two) = bytes(port, self.sent, n).split_at(n / 3);
            let more = self.sent + n < self.plan.total && n.is_multiple_of(5);
            match connection.send(
                &[IoSlice::new(one), IoSlice::new(two)],
                SendFlags { more, ..SendFlags::default() },
                cx,
            ) {
                Ok(taken) => {
                    assert!(taken > 0 && taken <= n, "{}: send took {taken} of {n}", self.name);
                    self.sent += taken;
                    busy = true;
                }
                Err(Error::WouldBlock) => {
                    assert!(!connection.ready().intersects(Ready::OUT), "{}: ready, but send would block", self.name);
                    self.may_write = false;
                }
                Err(error) => {
                    self.fail(error, cx);
                    return true;
                }
            }
        }
        busy
    }

    fn read(&mut self, cx: &mut Cx<'_>) -> bool {
        let Life::Open(connection) = &mut self.life else { return false };
        let mut busy = false;
        while self.may_read && !self.closed && !self.read_end && self.read_at <= cx.now {
            self.out.resize(self.plan.chunk, 0);
            let (one, two) = self.out.split_at_mut(self.plan.chunk / 4);
            match connection.recv(&mut [IoSliceMut::new(one), IoSliceMut::new(two)], RecvFlags::default(), cx) {
                Ok(0) => (self.read_end, busy) = (true, true),
                Ok(n) => {
                    let port = self.flow.remote.port;
                    let right = self.out[..n] == *bytes(port, self.received, n);
                    assert!(right, "{}: wrong bytes from {} on", self.name, self.received);
                    self.received += n;
                    busy = true;
                    if !self.plan.pause.is_zero() {
                        self.read_at = cx.now + self.plan.pause;
                    }
                }
                Err(Error::WouldBlock) => {
                    assert!(!connection.ready().intersects(Ready::IN), "{}: ready, but recv would block", self.name);
                    self.may_read = false;
                }
                Err(error) => {
                    self.fail(error, cx);
                    return true;
                }
            }
        }
        busy
    }

    /// An error came: the application closes.
    fn fail(&mut self, error: Error, cx: &mut Cx<'_>) {
        self.failure = Some(error);
        if let Life::Open(connection) = &mut self.life {
            connection.close(cx);
        }
        self.closed = true;
    }

    /// Ends our data when all is sent, and lets go of the socket when the peer's has ended too.
    fn finish(&mut self, cx: &mut Cx<'_>) -> bool {
        let Life::Open(connection) = &mut self.life else { return false };
        if self.closed || self.sent < self.plan.total {
            return false;
        }
        let mut busy = false;
        if !self.wrote_end && (!self.plan.finish_last || self.read_end) {
            if let Err(error) = connection.shutdown(Shutdown::Write, cx) {
                self.fail(error, cx);
                return true;
            }
            (self.wrote_end, busy) = (true, true);
        }
        if self.wrote_end && self.read_end {
            assert!(self.buffers.are_back(), "{}: all is read, but a buffer is held", self.name);
            if let Life::Open(connection) = &mut self.life {
                connection.close(cx);
            }
            (self.closed, busy) = (true, true);
        }
        busy
    }

    /// The connection's TCP_INFO.
    pub fn info(&self, now: Instant) -> Info {
        match &self.life {
            Life::Open(connection) => connection.info(now),
            _ => Info::default(),
        }
    }

    /// The error that ended it.
    pub fn failure(&self) -> Option<Error> {
        self.failure
    }

    pub fn is_over(&self) -> bool {
        matches!(self.life, Life::Gone)
    }

    pub fn deadline(&self) -> Option<Instant> {
        let reading = (self.looked && self.may_read && !self.read_end && !self.closed).then_some(self.read_at);
        match &self.life {
            Life::Open(connection) => connection.poll_deadline().into_iter().chain(reading).min(),
            Life::TimeWait(time_wait) => Some(time_wait.until),
            Life::Unborn | Life::Gone => None,
        }
    }

    /// Checks that everything was sent and read, unless the plan was a reset.
    pub fn check(&self, peer: &Self) {
        let aborted = [self, peer].iter().any(|end| end.plan.abort_after.is_some());
        if !aborted {
            assert_eq!(self.failure, None, "{}", self.name);
            assert!(self.read_end, "{}: did not see the end", self.name);
            assert_eq!(self.received, peer.plan.total, "{}: bytes received", self.name);
        } else if let Some(error) = self.failure {
            // The last is what shutdown(2) says once a reset has come.
            let fair = [Error::ConnectionReset, Error::BrokenPipe, Error::TimedOut, Error::NotConnected];
            assert!(fair.contains(&error), "{}: {error}", self.name);
        }
    }
}

/// Whether these are the flags of a first segment, whatever it says of ECN.
fn is_opening(flags: Flags) -> bool {
    flags.contains(Flags::SYN) && !flags.contains(Flags::ACK) && !flags.contains(Flags::RST)
}

/// What a stack answers to a segment of no connection (RFC 9293 section 3.10.7.1).
fn reset(header: &Header, payload_len: usize) -> Option<Header> {
    if header.flags.contains(Flags::RST) {
        return None;
    }
    let counts = |flag| u32::from(header.flags.contains(flag));
    let answer = Header { src_port: header.dst_port, dst_port: header.src_port, ..Header::default() };
    Some(if header.flags.contains(Flags::ACK) {
        Header { seq: header.ack, flags: Flags::RST, ..answer }
    } else {
        let ack = header.seq + payload_len as u32 + counts(Flags::SYN) + counts(Flags::FIN);
        Header { seq: SeqNum(0), ack, flags: Flags::RST.with(Flags::ACK), ..answer }
    })
}

impl std::fmt::Debug for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let life = match &self.life {
            Life::Unborn => "unborn".to_owned(),
            Life::Open(connection) => format!(
                "{:?} readable {} unacknowledged {} deadline {:?} ready {:#x}",
                connection.state(),
                connection.readable(),
                connection.unacknowledged(),
                connection.poll_deadline(),
                connection.ready().0
            ),
            Life::TimeWait(time_wait) => format!("time-wait until {:?}", time_wait.until),
            Life::Gone => "gone".to_owned(),
        };
        write!(f, "{}: {life}; sent {} received {} ", self.name, self.sent, self.received)?;
        write!(f, "may_read {} may_write {} read_end {} ", self.may_read, self.may_write, self.read_end)?;
        write!(f, "wrote_end {} closed {} failure {:?}\n  {:?}", self.wrote_end, self.closed, self.failure, self.plan)
    }
}
