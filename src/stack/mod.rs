//! The stack: interfaces, routes, sockets and connections composed into one pure machine.
//!
//! | file | what |
//! |---|---|
//! | `config.rs` `settings.rs` `iface.rs` | what is given: the network, options, the device |
//! | `net.rs` `route.rs` | below the sockets: link, routes, neighbours, queues |
//! | `input.rs` `icmp.rs` `tcp.rs` `datagram.rs` | a frame's way up |
//! | `output.rs` | a segment's way down |
//! | `sockets.rs` `demux.rs` `ports.rs` `time_wait.rs` `timers.rs` | tables |
//! | `bind.rs` `connect.rs` `listener.rs` `fastopen.rs` `syncookie.rs` `io.rs` `info.rs` | socket calls |
//! | `memory.rs` | memory of all connections |
//! | `guard.rs` | what a mistake of ours ends |
//! | `journal.rs` | what there is to say in the log |
//! | `device.rs` | the device comes and goes, the clock moves |
#![forbid(unsafe_code)]

mod bands;
mod bind;
pub mod config;
mod connect;
mod datagram;
mod demux;
mod device;
pub mod diag;
mod family;
mod fastopen;
mod guard;
pub use fastopen::Begun;
mod icmp;
pub mod iface;
mod info;
mod input;
mod io;
pub mod journal;
mod listener;
pub mod memory;
mod net;
mod output;
mod ports;
mod route;
pub mod settings;
mod sockets;
mod syncookie;
mod sysctl;
mod tcp;
mod time_wait;
mod timers;

pub use bands::{WRBAND, with_bands};
pub use config::Config;
pub use iface::{Capabilities, IfaceId, Medium};
pub use settings::{IpSettings, Ipv6Settings, MtuDiscover, SocketSettings, Via};

use crate::{
    addr::Endpoint,
    counters::Counters,
    error::{Error, Result},
    ready::Ready,
    rng::{Key, Rng},
    tcp::Knobs,
    time::Instant,
};
use std::{
    collections::VecDeque,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

/// A socket of a stack. Never reused: a closed socket's id names nothing for ever.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct SocketId {
    index: u32,
    generation: u32,
}

impl SocketId {
    /// The id as a number, for tables of atomics.
    pub const fn to_bits(self) -> u64 {
        (self.generation as u64) << 32 | self.index as u64
    }

    /// The id that [`SocketId::to_bits`] made a number of.
    pub const fn from_bits(bits: u64) -> Self {
        Self { index: bits as u32, generation: (bits >> 32) as u32 }
    }
}

/// What a socket speaks.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// SOCK_STREAM
    Tcp,
    /// SOCK_DGRAM
    Udp,
}

/// The address family a socket was opened with.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// AF_INET
    V4,
    /// AF_INET6
    V6,
}

/// Where one datagram goes, when it differs from the socket's own settings (sendto(2), IP_PKTINFO, IP_TTL, IP_TOS).
#[derive(Copy, Clone, Debug, Default)]
pub struct SendTo {
    /// Destination; the connected peer if absent.
    pub dest: Option<Endpoint>,
    /// Source address (`ipi_spec_dst`).
    pub source: Option<IpAddr>,
    /// The interface it leaves by (`ipi_ifindex`).
    pub iface: Option<IfaceId>,
    /// Time to live.
    pub ttl: Option<u8>,
    /// Type of service.
    pub tos: Option<u8>,
}

/// What a receive call got.
#[derive(Copy, Clone, Debug, Default)]
pub struct Received {
    /// Bytes copied (for TCP with MSG_TRUNC: discarded).
    pub len: usize,
    /// Length of the whole datagram; equal to `len` for TCP.
    pub full_len: usize,
    /// What is left to be read, if TCP_INQ asks for it.
    pub inq: Option<u32>,
    /// The sender (datagram sockets).
    pub from: Option<Endpoint>,
    /// The destination address of the datagram's header (IP_PKTINFO).
    pub to: Option<IpAddr>,
    /// The interface it came in by.
    pub iface: Option<IfaceId>,
    /// Time to live of the datagram.
    pub ttl: u8,
    /// Type of service of the datagram.
    pub tos: u8,
    /// When it came.
    pub at: Instant,
}

/// What every protocol function needs of the world beside the time.
struct World {
    rng: Box<dyn Rng>,
    mib: Counters,
}

/// One TCP/IP stack, pure: frames, time and socket calls go in; frames, readiness and deadlines come out.
pub struct Stack {
    world: World,
    net: net::Net,
    sockets: sockets::Sockets,
    demux: demux::Demux,
    ports: ports::Ports,
    time_waits: time_wait::TimeWaits,
    timers: timers::Timers,
    /// Sockets that may have something to send to the device, in turn.
    dirty: VecDeque<SocketId>,
    /// Sockets that may have something to send to ourselves, in turn.
    dirty_local: VecDeque<SocketId>,
    events: VecDeque<(SocketId, Ready)>,
    /// Keys initial sequence numbers.
    secret: Key,
    /// What the administrator has set for all connections, and what new sockets begin with.
    knobs: Arc<Knobs>,
    defaults: crate::tcp::Settings,
    /// Fast Open: what is known of servers, and the keys of the cookies for clients.
    servers: fastopen::Servers,
    fast_keys: Vec<[u8; 16]>,
    /// The connection being begun was asked for by MSG_FASTOPEN.
    fast_call: bool,
    /// Memory of all connections.
    memory: crate::tcp::memory::Account,
    /// Memory of what waits in all datagram sockets, bytes.
    datagram_memory: usize,
    /// Connections without an owner.
    orphans: usize,
    /// Those of them with something unacknowledged.
    draining: usize,
    /// Until when timers that belong to no socket do not run.
    services_rest_until: Instant,
    /// Lines of the log.
    journal: journal::Journal,
    /// Memory is short, as the log was told.
    is_short: bool,
}

impl Stack {
    /// A stack. `device` is absent for `null` stacks. `rng` is seeded by the operating system in the product.
    pub fn new(config: &Config, device: Option<Capabilities>, mut rng: Box<dyn Rng>, _now: Instant) -> Self {
        Self {
            net: net::Net::new(config, device, &mut *rng),
            sockets: sockets::Sockets::default(),
            demux: demux::Demux::new(Key::random(&mut *rng)),
            ports: ports::Ports::new(&mut *rng),
            time_waits: time_wait::TimeWaits::new(Key::random(&mut *rng)),
            timers: timers::Timers::default(),
            dirty: VecDeque::new(),
            dirty_local: VecDeque::new(),
            events: VecDeque::new(),
            secret: Key::random(&mut *rng),
            knobs: Arc::new(config.sysctl),
            defaults: crate::tcp::Settings::default(),
            servers: fastopen::Servers::default(),
            fast_keys: vec![(u128::from(rng.u64()) << 64 | u128::from(rng.u64())).to_be_bytes()],
            fast_call: false,
            memory: memory::account(config.memory.unwrap_or_default()),
            datagram_memory: 0,
            orphans: 0,
            draining: 0,
            services_rest_until: Instant::ZERO,
            journal: journal::Journal::default(),
            is_short: false,
            world: World { rng, mib: Counters::default() },
        }
    }

    /// What must stay a secret and does not lie in the stack itself: the generator that all keys come from, and the
    /// keys of Fast Open.
    pub fn secrets(&self) -> (&dyn Rng, &[[u8; 16]]) {
        (&*self.world.rng, &self.fast_keys)
    }

    /// Opens a socket.
    ///
    /// # Errors
    /// `NoBuffers` at the limit of sockets, and when there is no memory for another.
    pub fn open(&mut self, family: Family, protocol: Protocol) -> Result<SocketId> {
        if !self.has_room_for_socket() {
            return Err(Error::NoBuffers);
        }
        let addr = match family {
            Family::V4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Family::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        let body = match protocol {
            Protocol::Tcp => sockets::Body::Idle(Box::new(self.defaults.clone())),
            Protocol::Udp => sockets::Body::Datagram(Box::default()),
        };
        self.sockets.insert(sockets::Entry::new(sockets::Owner::Application, Endpoint::new(addr, 0), body))
    }

    /// Takes the next readiness edge: a socket and what came up on it.
    #[must_use]
    pub fn poll_event(&mut self) -> Option<(SocketId, Ready)> {
        self.events.pop_front()
    }

    /// What the administrator has set for all connections; a change is for those that begin later.
    pub fn knobs_mut(&mut self) -> &mut Knobs {
        Arc::make_mut(&mut self.knobs)
    }

    /// The counters.
    pub fn counters(&self) -> &Counters {
        &self.world.mib
    }
}
