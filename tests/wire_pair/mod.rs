//! Two stacks on one Ethernet wire, in virtual time: what one sends the other receives a little later.
#![allow(dead_code)] // each test file uses its part

use sockeye::{
    addr::{Cidr, Endpoint},
    buf::{Frame, Packet},
    error::{Error, Result},
    ready::Ready,
    rng::SeededRng,
    stack::{Capabilities, Config, Family, IfaceId, Medium, Protocol, Received, SendTo, SocketId, Stack, config::Kind},
    tcp::{RecvFlags, SendFlags, memory::Limits},
    time::{Duration, Instant},
    wire::checksum,
};
use std::{
    collections::VecDeque,
    io::{IoSlice, IoSliceMut},
    net::IpAddr,
};

/// One of the two stacks.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Side {
    /// 10.0.0.1
    A,
    /// 10.0.0.2
    B,
}

impl Side {
    pub const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    pub fn addr(self) -> IpAddr {
        match self {
            Self::A => IpAddr::from([10, 0, 0, 1]),
            Self::B => IpAddr::from([10, 0, 0, 2]),
        }
    }

    pub const fn mac(self) -> [u8; 6] {
        [2, 0, 0, 0, 0, self as u8 + 1]
    }
}

/// How the wire is.
#[derive(Copy, Clone, Debug)]
pub struct Wire {
    pub medium: Medium,
    pub mtu: u32,
    /// Largest super-frame; those arrive whole, as over a TAP with offloads. Equal to `mtu`: none.
    pub max_frame: u32,
    pub delay: Duration,
    pub seed: u64,
    /// Memory that a stack's connections may hold.
    pub memory: Limits,
}

impl Default for Wire {
    fn default() -> Self {
        Self {
            medium: Medium::Ethernet,
            mtu: 1500,
            max_frame: 1500,
            delay: Duration::from_micros(100),
            seed: 1,
            memory: Limits::default(),
        }
    }
}

/// Decides about each frame: to be changed, and delivered if true. The side is the sender's.
pub type Filter = Box<dyn FnMut(Side, &mut Vec<u8>) -> bool>;

/// The two stacks and what is between them.
pub struct Pair {
    pub a: Stack,
    pub b: Stack,
    pub now: Instant,
    /// Every frame sent, before the filter.
    pub sent: Vec<(Side, Vec<u8>)>,
    /// Whether `sent` is kept.
    pub keep_sent: bool,
    pub filter: Option<Filter>,
    /// Readiness edges so far, to be taken by the test.
    pub events: Vec<(Side, SocketId, Ready)>,
    wire: Wire,
    in_flight: VecDeque<(Instant, Side, Packet)>,
}

/// A configuration for one address of a /24 network with its gateway at .254.
pub fn config(addr: IpAddr, mac: [u8; 6]) -> Config {
    let gateway = match addr {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            IpAddr::from([a, b, c, 254])
        }
        IpAddr::V6(_) => addr,
    };
    Config {
        addresses: vec![Cidr { addr, prefix: 24 }],
        gateways: vec![gateway],
        mac: Some(mac),
        offload: false,
        ..Config::new(Kind::Tap, "wire")
    }
}

impl Pair {
    pub fn new() -> Self {
        Self::on(Wire::default())
    }

    pub fn on(wire: Wire) -> Self {
        let caps = Capabilities { medium: wire.medium, mtu: wire.mtu, max_frame: wire.max_frame, tx_checksum: false };
        let now = Instant::ZERO + Duration::from_secs(1000);
        let stack = |side: Side| {
            let rng = Box::new(SeededRng::new([wire.seed, side as u64]));
            Stack::new(&Config { memory: Some(wire.memory), ..config(side.addr(), side.mac()) }, Some(caps), rng, now)
        };
        Self {
            a: stack(Side::A),
            b: stack(Side::B),
            now,
            sent: Vec::new(),
            keep_sent: true,
            filter: None,
            events: Vec::new(),
            wire,
            in_flight: VecDeque::new(),
        }
    }

    pub fn stack(&mut self, side: Side) -> &mut Stack {
        match side {
            Side::A => &mut self.a,
            Side::B => &mut self.b,
        }
    }

    /// Puts what both stacks have to send on the wire, and takes their events.
    pub fn pump(&mut self) {
        for side in [Side::A, Side::B] {
            let now = self.now;
            while let Some(frame) = self.stack(side).poll_transmit(now) {
                self.put(side, frame);
            }
            while let Some((id, ready)) = self.stack(side).poll_event() {
                self.events.push((side, id, ready));
            }
        }
    }

    fn put(&mut self, side: Side, mut frame: Frame) {
        let whole = frame.gso.map(|_| frame.to_packet().meta);
        checksum::finish(&mut frame);
        let mut bytes = frame.to_vec();
        let link = if self.wire.medium == Medium::Ethernet { 14 } else { 0 };
        assert!(bytes.len() <= self.wire.max_frame as usize + link, "a frame of {} bytes", bytes.len());
        if self.keep_sent {
            self.sent.push((side, bytes.clone()));
        }
        if self.filter.as_mut().is_none_or(|filter| filter(side, &mut bytes)) {
            let mut packet = Packet::copy_from(&bytes);
            packet.meta = whole.unwrap_or_default();
            self.in_flight.push_back((self.now + self.wire.delay, side.other(), packet));
        }
    }

    /// Puts a frame on the wire by hand, as `side` would have sent it.
    pub fn inject(&mut self, side: Side, bytes: &[u8]) {
        self.in_flight.push_back((self.now + self.wire.delay, side.other(), Packet::copy_from(bytes)));
    }

    /// Runs until nothing is on the wire and nobody has anything to send; timers do not fire.
    pub fn run(&mut self) {
        self.pump();
        while let Some((at, to, packet)) = self.in_flight.pop_front() {
            self.now = self.now.max(at);
            let now = self.now;
            self.stack(to).receive(IfaceId::DEVICE, packet, now);
            self.pump();
        }
    }

    /// When the next thing happens: a frame arrives or a timer fires.
    pub fn next_event(&self) -> Option<Instant> {
        let arrival = self.in_flight.front().map(|(at, ..)| *at);
        [arrival, self.a.next_deadline(), self.b.next_deadline()].into_iter().flatten().min()
    }

    /// Lets the next thing happen; false if there is none before `until`.
    pub fn step(&mut self, until: Instant) -> bool {
        self.pump();
        let Some(next) = self.next_event().filter(|next| *next <= until) else { return false };
        self.now = self.now.max(next);
        let now = self.now;
        while self.in_flight.front().is_some_and(|(at, ..)| *at <= now) {
            let (_, to, packet) = self.in_flight.pop_front().unwrap();
            self.stack(to).receive(IfaceId::DEVICE, packet, now);
        }
        for side in [Side::A, Side::B] {
            if self.stack(side).next_deadline().is_some_and(|deadline| deadline <= now) {
                self.stack(side).on_timer(now);
            }
        }
        self.pump();
        true
    }

    /// Lets time pass.
    pub fn run_for(&mut self, time: Duration) {
        let until = self.now + time;
        while self.step(until) {}
        self.now = until;
    }

    /// Lets time pass until `done`, at most `limit`; whether it came to that.
    pub fn run_until(&mut self, limit: Duration, mut done: impl FnMut(&mut Self) -> bool) -> bool {
        let until = self.now + limit;
        loop {
            if done(self) {
                return true;
            }
            if !self.step(until) {
                return done(self);
            }
        }
    }

    // ---- socket calls with less to write ----

    pub fn open(&mut self, side: Side, protocol: Protocol) -> SocketId {
        self.stack(side).open(Family::V4, protocol).unwrap()
    }

    /// A datagram socket on `port` of all addresses.
    pub fn udp(&mut self, side: Side, port: u16) -> SocketId {
        let id = self.open(side, Protocol::Udp);
        self.bind(side, id, port).unwrap();
        id
    }

    pub fn bind(&mut self, side: Side, id: SocketId, port: u16) -> Result<()> {
        let now = self.now;
        self.stack(side).bind(id, any(port), now)
    }

    /// A listening socket on `port` of all addresses.
    pub fn listen(&mut self, side: Side, port: u16, backlog: usize) -> SocketId {
        let id = self.open(side, Protocol::Tcp);
        self.bind(side, id, port).unwrap();
        let now = self.now;
        self.stack(side).listen(id, backlog, now).unwrap();
        id
    }

    pub fn connect(&mut self, side: Side, id: SocketId, to: Endpoint) -> Result<()> {
        let now = self.now;
        self.stack(side).connect(id, to, now)
    }

    /// A connection from `side` to `port` of the other: its socket there and the accepted one.
    pub fn connected(&mut self, side: Side, port: u16) -> (SocketId, SocketId) {
        let listener = self.listen(side.other(), port, 8);
        let client = self.open(side, Protocol::Tcp);
        assert_eq!(self.connect(side, client, end(side.other(), port)), Err(Error::InProgress));
        self.run();
        assert_eq!(self.connect(side, client, end(side.other(), port)), Ok(()));
        let now = self.now;
        let (server, _) = self.stack(side.other()).accept(listener, now).unwrap();
        self.stack(side.other()).close(listener, now);
        (client, server)
    }

    pub fn send(&mut self, side: Side, id: SocketId, data: &[u8]) -> Result<usize> {
        self.send_to(side, id, data, None)
    }

    pub fn send_to(&mut self, side: Side, id: SocketId, data: &[u8], dest: Option<Endpoint>) -> Result<usize> {
        let (now, to) = (self.now, SendTo { dest, ..SendTo::default() });
        self.stack(side).send(id, &[IoSlice::new(data)], &to, SendFlags::default(), now)
    }

    pub fn recv_from(&mut self, side: Side, id: SocketId) -> Result<(Vec<u8>, Received)> {
        let now = self.now;
        let mut bytes = vec![0; 65_536];
        let out = &mut [IoSliceMut::new(&mut bytes)];
        let received = self.stack(side).recv(id, out, RecvFlags::default(), now)?;
        bytes.truncate(received.len);
        Ok((bytes, received))
    }

    pub fn recv(&mut self, side: Side, id: SocketId) -> Result<Vec<u8>> {
        self.recv_from(side, id).map(|(bytes, _)| bytes)
    }

    pub fn close(&mut self, side: Side, id: SocketId) {
        let now = self.now;
        self.stack(side).close(id, now);
    }
}

/// `port` of a side's address.
pub fn end(side: Side, port: u16) -> Endpoint {
    Endpoint::new(side.addr(), port)
}

/// `port` of all addresses.
pub fn any(port: u16) -> Endpoint {
    Endpoint::new(IpAddr::from([0, 0, 0, 0]), port)
}

/// An endpoint from its text.
pub fn at(text: &str) -> Endpoint {
    let addr: std::net::SocketAddr = text.parse().unwrap();
    Endpoint::new(addr.ip(), addr.port())
}
