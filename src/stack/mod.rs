//! The stack: interfaces, routes, sockets and connections composed into one pure machine.
#![forbid(unsafe_code)]

pub mod config;
pub mod iface;
pub mod settings;

pub use config::Config;
pub use iface::{Capabilities, IfaceId, Medium};
pub use settings::{IpSettings, MtuDiscover, SocketSettings};

use crate::{
    addr::{Endpoint, Flow},
    buf::{Frame, Packet},
    counters::Counters,
    error::{Error, Result},
    ready::Ready,
    rng::Rng,
    tcp::{self, RecvFlags, SendFlags, Shutdown},
    time::Instant,
};
use std::{
    io::{IoSlice, IoSliceMut},
    net::IpAddr,
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

/// One TCP/IP stack, pure: frames, time and socket calls go in; frames, readiness and deadlines come out.
pub struct Stack {}

#[allow(unused_variables, clippy::unimplemented)]
impl Stack {
    /// A stack. `device` is absent for `null` stacks. `rng` is seeded by the operating system in the product.
    pub fn new(config: &Config, device: Option<Capabilities>, rng: Box<dyn Rng>, now: Instant) -> Self {
        unimplemented!()
    }

    // ---- network ----

    /// A frame came in. `packet` starts with what the device's frames start with.
    pub fn receive(&mut self, iface: IfaceId, packet: Packet, now: Instant) {
        unimplemented!()
    }

    /// Takes the next frame for the device (complete for its medium; checksum and segmentation may be left to do).
    #[must_use]
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Frame> {
        unimplemented!()
    }

    /// The device came up: announce the addresses again (RFC 5227).
    pub fn on_link_up(&mut self, now: Instant) {
        unimplemented!()
    }

    /// The device is gone: every socket that needs it gets `NetDown`.
    pub fn on_device_gone(&mut self, now: Instant) {
        unimplemented!()
    }

    /// An address conflict found on the link since the last call: the address and the MAC that claims it.
    pub fn poll_conflict(&mut self) -> Option<(IpAddr, [u8; 6])> {
        unimplemented!()
    }

    /// Starts probing for the own IPv4 addresses (RFC 5227 section 2.1.1): one ARP probe each.
    pub fn probe_addresses(&mut self, now: Instant) {
        unimplemented!()
    }

    /// Announces the own IPv4 addresses (RFC 5227 section 2.3).
    pub fn announce_addresses(&mut self, now: Instant) {
        unimplemented!()
    }

    /// The time of [`Stack::next_deadline`] has come.
    pub fn on_timer(&mut self, now: Instant) {
        unimplemented!()
    }

    /// When [`Stack::on_timer`] wants to be called.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        unimplemented!()
    }

    /// Takes the next readiness edge: a socket and what came up on it.
    #[must_use]
    pub fn poll_event(&mut self) -> Option<(SocketId, Ready)> {
        unimplemented!()
    }

    /// The counters.
    pub fn counters(&self) -> &Counters {
        unimplemented!()
    }

    // ---- sockets ----

    /// Opens a socket.
    ///
    /// # Errors
    /// `NoBuffers` at the limit of sockets; `FamilyNotSupported`.
    pub fn open(&mut self, family: Family, protocol: Protocol) -> Result<SocketId> {
        unimplemented!()
    }

    /// bind(2).
    ///
    /// # Errors
    /// `AddrInUse`, `AddrNotAvailable`, `Invalid` (bound already).
    pub fn bind(&mut self, id: SocketId, local: Endpoint, now: Instant) -> Result<()> {
        unimplemented!()
    }

    /// listen(2). A second call changes the backlog.
    ///
    /// # Errors
    /// `NotSupported` (datagram), `Invalid` (connected), `AddrInUse`.
    pub fn listen(&mut self, id: SocketId, backlog: usize, now: Instant) -> Result<()> {
        unimplemented!()
    }

    /// Takes a connection from a listener's accept queue.
    ///
    /// # Errors
    /// `WouldBlock`, `Invalid` (not listening), `NotSupported` (datagram).
    pub fn accept(&mut self, id: SocketId, now: Instant) -> Result<(SocketId, Flow)> {
        unimplemented!()
    }

    /// connect(2). TCP: starts the handshake and says `InProgress`; called again says `Already`, `Ok` once when it is
    /// complete, the error once when it failed, then `IsConnected`. UDP: sets the peer.
    ///
    /// # Errors
    /// As connect(2).
    pub fn connect(&mut self, id: SocketId, remote: Endpoint, now: Instant) -> Result<()> {
        unimplemented!()
    }

    /// connect(2) with AF_UNSPEC: a datagram socket has no peer any more, a TCP connection is reset and the socket can
    /// connect again.
    ///
    /// # Errors
    /// `BadDescriptor`.
    pub fn disconnect(&mut self, id: SocketId, now: Instant) -> Result<()> {
        unimplemented!()
    }

    /// Queues data (TCP) or sends one datagram (UDP).
    ///
    /// # Errors
    /// As send(2); see [`tcp::Connection::send`].
    pub fn send(
        &mut self,
        id: SocketId,
        data: &[IoSlice<'_>],
        to: &SendTo,
        flags: SendFlags,
        now: Instant,
    ) -> Result<usize> {
        unimplemented!()
    }

    /// Takes data (TCP) or one datagram (UDP).
    ///
    /// # Errors
    /// As recv(2); see [`tcp::Connection::recv`].
    pub fn recv(
        &mut self,
        id: SocketId,
        out: &mut [IoSliceMut<'_>],
        flags: RecvFlags,
        now: Instant,
    ) -> Result<Received> {
        unimplemented!()
    }

    /// shutdown(2).
    ///
    /// # Errors
    /// `NotConnected`.
    pub fn shutdown(&mut self, id: SocketId, how: Shutdown, now: Instant) -> Result<()> {
        unimplemented!()
    }

    /// The application has let go: the id names nothing from here on; a TCP connection finishes without an owner.
    /// SO_LINGER's waiting is the socket layer's (it waits for [`Stack::unacknowledged`] to become 0 first).
    pub fn close(&mut self, id: SocketId, now: Instant) {
        unimplemented!()
    }

    /// Present readiness; `ERR|HUP` for an id that names nothing.
    pub fn ready(&self, id: SocketId) -> Ready {
        unimplemented!()
    }

    /// getsockname(2): unspecified address and port 0 while unbound.
    ///
    /// # Errors
    /// `BadDescriptor`.
    pub fn local_endpoint(&self, id: SocketId) -> Result<Endpoint> {
        unimplemented!()
    }

    /// getpeername(2).
    ///
    /// # Errors
    /// `NotConnected`.
    pub fn remote_endpoint(&self, id: SocketId) -> Result<Endpoint> {
        unimplemented!()
    }

    /// Takes the pending error (SO_ERROR).
    ///
    /// # Errors
    /// `BadDescriptor`.
    pub fn take_error(&mut self, id: SocketId) -> Result<Option<Error>> {
        unimplemented!()
    }

    /// State of a TCP socket ([`tcp::State::Closed`] for others and before connect or listen).
    pub fn state(&self, id: SocketId) -> tcp::State {
        unimplemented!()
    }

    /// SIOCINQ: bytes to be read (TCP), or the length of the next datagram.
    ///
    /// # Errors
    /// `Invalid` for a listener.
    pub fn readable(&self, id: SocketId) -> Result<usize> {
        unimplemented!()
    }

    /// SIOCOUTQ: bytes not yet acknowledged (TCP, our FIN counted) or not yet sent (UDP).
    ///
    /// # Errors
    /// `Invalid` for a listener.
    pub fn unacknowledged(&self, id: SocketId) -> Result<usize> {
        unimplemented!()
    }

    /// SIOCATMARK.
    ///
    /// # Errors
    /// `BadDescriptor`.
    pub fn is_at_mark(&self, id: SocketId) -> Result<bool> {
        unimplemented!()
    }

    /// TCP_INFO.
    ///
    /// # Errors
    /// `NoProtocolOption` for other sockets.
    pub fn tcp_info(&self, id: SocketId, now: Instant) -> Result<tcp::info::Info> {
        unimplemented!()
    }

    /// TCP_MAXSEG as Linux reports it: the present MSS, or the user's before there is a connection.
    ///
    /// # Errors
    /// `BadDescriptor`.
    pub fn mss(&self, id: SocketId) -> Result<u16> {
        unimplemented!()
    }

    /// IP_MTU: the path MTU to the connected peer.
    ///
    /// # Errors
    /// `NotConnected`.
    pub fn path_mtu(&self, id: SocketId) -> Result<u32> {
        unimplemented!()
    }

    /// The values of the options every socket has.
    ///
    /// # Errors
    /// `BadDescriptor`.
    pub fn settings(&mut self, id: SocketId) -> Result<&mut SocketSettings> {
        unimplemented!()
    }

    /// The values of a TCP socket's options.
    ///
    /// # Errors
    /// `NoProtocolOption` for other sockets.
    pub fn tcp_settings(&mut self, id: SocketId) -> Result<&mut tcp::Settings> {
        unimplemented!()
    }

    /// The caller has changed settings: what they mean for the connection takes effect.
    pub fn on_settings_changed(&mut self, id: SocketId, now: Instant) {
        unimplemented!()
    }

    // ---- end of life ----

    /// Connections without an owner that still have data or a FIN unacknowledged.
    pub fn draining(&self) -> usize {
        unimplemented!()
    }

    /// Resets every connection that is not closed cleanly.
    pub fn abort_all(&mut self, now: Instant) {
        unimplemented!()
    }
}
