//! One TCP connection.

use super::{RecvFlags, SendFlags, Settings, Shutdown, State, TimeWait};
use crate::{
    addr::Flow,
    buf::{Frame, Packet},
    cx::Cx,
    error::{Error, Result},
    ready::Ready,
    rng::Key,
    time::Instant,
    wire::{seq::SeqNum, tcp::Header},
};
use std::io::{IoSlice, IoSliceMut};

/// What the network layer knows of the way to the peer.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// Largest IP packet that fits, bytes.
    pub mtu: u32,
    /// Largest IP packet the device takes as one super-frame and splits itself, bytes; equal to `mtu` when it does not.
    pub max_frame: u32,
}

/// What an ICMP error about one of our segments means (RFC 1122 section 4.2.3.9, RFC 5927, RFC 1191).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum IcmpVerdict {
    /// Ends a connection attempt; kept as a soft error by an established one.
    Error(Error),
    /// The path takes packets of this many bytes at most.
    PacketTooBig(u32),
}

/// One TCP connection, pure: segments, time and the application's calls go in, segments and readiness come out.
pub struct Connection {
    /// The values of the socket's options. After changing any call [`Connection::on_settings_changed`].
    pub settings: Settings,
}

#[allow(unused_variables, clippy::unimplemented)]
impl Connection {
    /// Starts an active open: SYN-SENT, the SYN comes out of [`Connection::poll_transmit`]. `secret` keys the initial
    /// sequence number (RFC 6528) and the timestamp offset.
    pub fn connect(flow: Flow, settings: Settings, path: Path, secret: &Key, cx: &mut Cx<'_>) -> Self {
        unimplemented!()
    }

    /// Answers a SYN that came to a listener: SYN-RECEIVED, the SYN-ACK comes out of [`Connection::poll_transmit`].
    pub fn accept(flow: Flow, syn: &Header, settings: Settings, path: Path, secret: &Key, cx: &mut Cx<'_>) -> Self {
        unimplemented!()
    }

    /// A segment of this flow came in, its checksum verified; `payload` has had the header taken off.
    pub fn on_segment(&mut self, seg: &Header, payload: Packet, cx: &mut Cx<'_>) {
        unimplemented!()
    }

    /// An ICMP error came in that quotes our segment with sequence number `seq`; ignored unless `seq` is in flight.
    pub fn on_icmp(&mut self, verdict: IcmpVerdict, seq: SeqNum, cx: &mut Cx<'_>) {
        unimplemented!()
    }

    /// The route or the device changed.
    pub fn on_path_changed(&mut self, path: Path, cx: &mut Cx<'_>) {
        unimplemented!()
    }

    /// The application changed [`Connection::settings`].
    pub fn on_settings_changed(&mut self, cx: &mut Cx<'_>) {
        unimplemented!()
    }

    /// The time of [`Connection::poll_deadline`] has come.
    pub fn on_timer(&mut self, cx: &mut Cx<'_>) {
        unimplemented!()
    }

    /// Takes the next segment to be sent, if any: appends TCP header and payload to the empty `out`, with a partial
    /// checksum (the pseudo-header's sum) and segmentation left to the device if the payload is larger than the MSS.
    #[must_use]
    pub fn poll_transmit(&mut self, out: &mut Frame, cx: &mut Cx<'_>) -> bool {
        unimplemented!()
    }

    /// When [`Connection::on_timer`] wants to be called next.
    #[must_use]
    pub fn poll_deadline(&self) -> Option<Instant> {
        unimplemented!()
    }

    /// Takes the readiness that came up since the last call, also where it was set before (edges, for EPOLLET: new
    /// data is a new IN; OUT only after the buffer had been too full to write).
    #[must_use]
    pub fn poll_events(&mut self) -> Ready {
        unimplemented!()
    }

    /// Present readiness, as Linux's tcp_poll computes it.
    pub fn ready(&self) -> Ready {
        unimplemented!()
    }

    /// The state.
    pub fn state(&self) -> State {
        unimplemented!()
    }

    /// The two ends.
    pub fn flow(&self) -> Flow {
        unimplemented!()
    }

    /// Queues as much of `data` as there is room for; returns how many bytes.
    ///
    /// # Errors
    /// As send(2): `WouldBlock` when there is no room or the handshake is not complete, `BrokenPipe` after our own shutdown or a reset,
    /// the pending error once.
    pub fn send(&mut self, data: &[IoSlice<'_>], flags: SendFlags, cx: &mut Cx<'_>) -> Result<usize> {
        unimplemented!()
    }

    /// Copies received bytes to `out`; 0 means the peer has finished (or we shut our reading side down).
    ///
    /// # Errors
    /// As recv(2): `WouldBlock` when nothing is there, the pending error once; with MSG_OOB `Invalid` when there is no
    /// urgent byte.
    pub fn recv(&mut self, out: &mut [IoSliceMut<'_>], flags: RecvFlags, cx: &mut Cx<'_>) -> Result<usize> {
        unimplemented!()
    }

    /// shutdown(2).
    ///
    /// # Errors
    /// `NotConnected` when there is no connection.
    pub fn shutdown(&mut self, how: Shutdown, cx: &mut Cx<'_>) -> Result<()> {
        unimplemented!()
    }

    /// The application has let go of the socket: sends what is queued and a FIN, or a reset if received data was left
    /// unread or SO_LINGER is zero. The connection lives on without an owner until [`Connection::is_finished`].
    pub fn close(&mut self, cx: &mut Cx<'_>) {
        unimplemented!()
    }

    /// Ends the connection with a reset (RFC 9293 section 3.10.5).
    pub fn abort(&mut self, cx: &mut Cx<'_>) {
        unimplemented!()
    }

    /// Takes the pending error (SO_ERROR).
    pub fn take_error(&mut self) -> Option<Error> {
        unimplemented!()
    }

    /// Bytes that can be read (SIOCINQ).
    pub fn readable(&self) -> usize {
        unimplemented!()
    }

    /// Bytes sent or queued and not acknowledged, our FIN included (SIOCOUTQ).
    pub fn unacknowledged(&self) -> usize {
        unimplemented!()
    }

    /// Whether the next byte to be read is the urgent one (SIOCATMARK).
    pub fn is_at_mark(&self) -> bool {
        unimplemented!()
    }

    /// The TCP_INFO of this connection, in Linux's layout (`struct tcp_info`).
    pub fn info(&self, now: Instant) -> super::info::Info {
        unimplemented!()
    }

    /// The present maximum segment size for sending, bytes (TCP_MAXSEG).
    pub fn mss(&self) -> u16 {
        unimplemented!()
    }

    /// Whether nothing is left to be done: closed, all segments taken, and (after [`Connection::close`]) ready to be forgotten.
    pub fn is_finished(&self) -> bool {
        unimplemented!()
    }

    /// What is left of an ownerless connection in TIME-WAIT: the stack keeps this instead.
    pub fn to_time_wait(&self) -> Option<TimeWait> {
        unimplemented!()
    }
}
