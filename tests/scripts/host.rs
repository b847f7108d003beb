//! The machine a script runs on: one stack behind a device that keeps what it is given, in virtual time, and the
//! descriptors of the one program there.

use super::{assertions::Value, wire::Ends};
use sockeye::{
    addr::{Cidr, Endpoint},
    buf::Packet,
    counters::Counters,
    device::segment,
    error::Error,
    ready::Ready,
    rng::SeededRng,
    stack::{Capabilities, Config, IfaceId, Medium, Protocol, SocketId, Stack, config::Kind},
    time::{Duration, Instant},
    wire::checksum,
};
use std::{
    collections::{BTreeMap, VecDeque},
    net::{IpAddr, Ipv4Addr},
};

/// Bytes of headers without options.
const HEADERS: usize = 40;

/// What the lines at the top of a script may change.
#[derive(Clone, Debug)]
pub struct Setup {
    pub ends: Ends,
    pub prefix: u8,
    pub mtu: u32,
    /// What `...` binds to.
    pub bind_port: u16,
    /// What `...` connects to.
    pub connect_port: u16,
    /// How far a time stamp may be from the one named, ticks; `None`: time stamps are not looked at.
    pub stamp_tolerance: Option<u32>,
    /// How far from its time a packet may leave, or a call return.
    pub tolerance: Duration,
    /// The device takes frames of many segments (`--tso=on`).
    pub tso: bool,
    /// How long the segments are that the peer's packets were merged from, if they are longer.
    pub segment: u16,
    /// The script was written for the kernel.
    pub foreign: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            ends: Ends {
                local: Ipv4Addr::new(192, 168, 0, 1),
                remote: Ipv4Addr::new(192, 0, 2, 1),
                gateway: Ipv4Addr::new(192, 168, 0, 254),
            },
            prefix: 16,
            mtu: 1500,
            bind_port: 8080,
            connect_port: 8080,
            stamp_tolerance: Some(1),
            tolerance: Duration::from_millis(4),
            tso: false,
            foreign: false,
            segment: u16::MAX,
        }
    }
}

/// What a descriptor is.
#[derive(Debug)]
pub enum File {
    Socket(Socket),
    Epoll(BTreeMap<i64, Watch>),
}

#[derive(Debug)]
pub struct Socket {
    pub id: SocketId,
    pub protocol: Protocol,
    pub nonblock: bool,
    pub cloexec: bool,
    /// SO_RCVTIMEO and SO_SNDTIMEO.
    pub recv_timeout: Option<Duration>,
    pub send_timeout: Option<Duration>,
    pub recv_lowat: usize,
    pub linger: Option<Duration>,
    /// Bytes written to it and read from it so far.
    pub written: u64,
    pub read: u64,
}

/// An entry of an epoll instance.
#[derive(Clone, Debug)]
pub struct Watch {
    pub id: SocketId,
    pub protocol: Protocol,
    pub events: u32,
    /// The field of epoll_data that was set, and its value.
    pub data: (String, i64),
    /// Something came up since it was last reported.
    pub edge: bool,
    /// EPOLLONESHOT has been used up.
    pub spent: bool,
}

pub struct Host {
    pub setup: Setup,
    pub stack: Stack,
    /// Where counters stood when they were last set to nothing.
    pub counted: Counters,
    /// Names that code blocks have given values.
    pub names: BTreeMap<String, Value>,
    pub now: Instant,
    pub start: Instant,
    /// What left the stack, and when.
    pub sent: VecDeque<(Instant, Vec<u8>)>,
    pub files: BTreeMap<i64, File>,
    /// Whether data is checked to be that of its position.
    pub is_checked: bool,
    /// The socket that was made last.
    pub latest: Option<SocketId>,
    /// A connect() was called whose SYN the script has not seen.
    pub is_connecting: bool,
}

impl Host {
    pub fn new(setup: Setup) -> Self {
        let Setup { ends, prefix, mtu, tso, .. } = setup;
        let mut config = Config::new(Kind::Tun, "script");
        config.addresses = vec![Cidr { addr: IpAddr::V4(ends.local), prefix }];
        config.gateways = vec![IpAddr::V4(ends.gateway)];
        config.offload = tso;
        let max_frame = if tso { 65_535 } else { mtu };
        let caps = Capabilities { medium: Medium::Ip, mtu, max_frame, tx_checksum: false };
        let now = Instant::ZERO + Duration::from_secs(1000);
        let stack = Stack::new(&config, Some(caps), Box::new(SeededRng::new([7, 7])), now);
        let counted = stack.counters().clone();
        Self {
            setup,
            stack,
            counted,
            now,
            start: now,
            sent: VecDeque::new(),
            files: BTreeMap::new(),
            names: BTreeMap::new(),
            is_checked: true,
            latest: None,
            is_connecting: false,
        }
    }

    /// Takes what the stack has to send and to tell.
    pub fn pump(&mut self) {
        while let Some(frame) = self.stack.poll_transmit(self.now) {
            // A device with TSO cuts; the runner puts together what a script has as one.
            let cut = segment::split(&frame, Medium::Ip, &mut |part| {
                checksum::finish(part);
                self.sent.push_back((self.now, part.to_vec()));
                Ok(())
            });
            cut.expect("frames of the stack can be cut");
        }
        while let Some((id, ready)) = self.stack.poll_event() {
            let always = Ready::ERR | Ready::HUP;
            for file in self.files.values_mut() {
                let File::Epoll(watches) = file else { continue };
                for watch in watches.values_mut().filter(|watch| watch.id == id) {
                    watch.edge |= ready.intersects(Ready(watch.events) | always);
                }
            }
        }
    }

    /// A packet comes in.
    pub fn receive(&mut self, bytes: &[u8]) {
        let mut packet = Packet::copy_from(bytes);
        if bytes.len() > usize::from(self.setup.segment) + HEADERS {
            packet.meta.gso_size = self.setup.segment;
        }
        self.stack.receive(IfaceId::DEVICE, packet, self.now);
        self.pump();
    }

    /// The next timer, if it is due by `limit`.
    pub fn step(&mut self, limit: Instant) -> bool {
        match self.stack.next_deadline() {
            Some(next) if next <= limit => {
                self.now = self.now.max(next);
                self.stack.on_timer(self.now);
                self.pump();
                true
            }
            _ => false,
        }
    }

    pub fn socket(&mut self, fd: i64) -> Result<&mut Socket, Error> {
        match self.files.get_mut(&fd) {
            Some(File::Socket(socket)) => Ok(socket),
            Some(File::Epoll(_)) => Err(Error::NotSocket),
            None => Err(Error::BadDescriptor),
        }
    }

    /// Gives a new socket its descriptor's number, which the script chooses.
    pub fn install(&mut self, fd: i64, id: SocketId, protocol: Protocol, nonblock: bool) -> Result<(), String> {
        let socket = Socket {
            id,
            protocol,
            nonblock,
            cloexec: false,
            recv_timeout: None,
            send_timeout: None,
            recv_lowat: 1,
            linger: None,
            written: 0,
            read: 0,
        };
        self.latest = Some(id);
        self.install_file(fd, File::Socket(socket))
    }

    pub fn install_file(&mut self, fd: i64, file: File) -> Result<(), String> {
        if fd < 0 || self.files.contains_key(&fd) {
            return Err(format!("the script calls a new descriptor {fd}, which is taken"));
        }
        self.files.insert(fd, file);
        Ok(())
    }

    /// The descriptor of the socket with these ports.
    pub fn socket_of(&self, local_port: u16, remote_port: u16) -> Option<SocketId> {
        let is_it = |id: SocketId| {
            let local = self.stack.local_endpoint(id).is_ok_and(|end| end.port == local_port);
            local && self.stack.remote_endpoint(id).map_or(true, |end: Endpoint| end.port == remote_port)
        };
        let sockets = self.files.values().filter_map(|file| match file {
            File::Socket(socket) if socket.protocol == Protocol::Tcp => Some(socket.id),
            _ => None,
        });
        // Of a listener and its connection, the connection: it came later.
        sockets.filter(|id| is_it(*id)).max_by_key(|id| self.stack.remote_endpoint(*id).is_ok())
    }

    /// Seconds since the script began.
    pub fn seconds(&self, at: Instant) -> f64 {
        at.since(self.start).as_secs_f64()
    }
}
