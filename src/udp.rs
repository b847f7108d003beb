//! UDP (RFC 768): the receive queue, the pending error, the error queue and the corked datagram of one socket.
#![forbid(unsafe_code)]

pub mod error_queue;

use crate::{
    addr::Endpoint,
    buf::Packet,
    error::{Error, Result},
    ip::IfaceId,
    ready::Ready,
    time::Instant,
};
use std::{
    collections::VecDeque,
    io::{IoSlice, IoSliceMut},
    net::IpAddr,
};

/// The largest payload of a datagram over IPv4, bytes.
pub const MAX_PAYLOAD: usize = 65_535 - 20 - 8;
/// What a queued datagram costs beside its buffer (about what the kernel's does).
const OVERHEAD: usize = 512;
/// Readable.
const IN: Ready = Ready(Ready::IN.0 | Ready::RDNORM.0);
/// Writable.
const OUT: Ready = Ready(Ready::OUT.0 | Ready::WRNORM.0);

/// What came with a datagram.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// The sender.
    pub from: Endpoint,
    /// The destination in the datagram's header.
    pub to: IpAddr,
    /// The interface it came in by.
    pub iface: IfaceId,
    /// Time to live.
    pub ttl: u8,
    /// Type of service.
    pub tos: u8,
    /// When it came.
    pub at: Instant,
}

/// A datagram that is being put together by MSG_MORE.
#[derive(Debug, Default)]
pub struct Cork {
    /// Destination, source and header fields, fixed by the first part.
    pub to: Target,
    /// The payload so far.
    pub bytes: Vec<u8>,
}

/// Where a datagram goes and what its header says, where that differs from the socket's settings.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// Destination; the connected peer if absent.
    pub dest: Option<Endpoint>,
    /// Source address.
    pub source: Option<IpAddr>,
    /// The interface it leaves by.
    pub iface: Option<IfaceId>,
    /// Time to live.
    pub ttl: Option<u8>,
    /// Type of service.
    pub tos: Option<u8>,
}

/// A datagram socket.
#[derive(Debug, Default)]
pub struct Socket {
    /// The connected peer.
    pub remote: Option<Endpoint>,
    queue: VecDeque<(Meta, Packet)>,
    footprint: usize,
    error: Option<Error>,
    reports: VecDeque<error_queue::Report>,
    cork: Option<Box<Cork>>,
    read_shut: bool,
    write_shut: bool,
    events: Ready,
}

impl Socket {
    /// A datagram came in; false when there is no room for it within `limit` bytes (SO_RCVBUF). One datagram always
    /// has room, as on Linux.
    pub fn on_datagram(&mut self, meta: Meta, mut packet: Packet, limit: usize) -> bool {
        packet.shrink();
        let cost = packet.footprint() + OVERHEAD;
        if self.read_shut || (!self.queue.is_empty() && self.footprint + cost > limit) {
            return false;
        }
        self.footprint += cost;
        self.queue.push_back((meta, packet));
        self.events |= IN;
        true
    }

    /// Memory held by what waits, bytes, as it counts against SO_RCVBUF.
    pub fn footprint(&self) -> usize {
        self.footprint
    }

    /// An error concerns this socket: it is pending until a call takes it.
    pub fn on_error(&mut self, error: Error) {
        self.error = Some(error);
        self.events |= Ready::ERR;
    }

    /// Takes the next datagram, or looks at it: how many bytes were copied, its length, and what came with it. `None`
    /// after the reading side was shut down.
    ///
    /// # Errors
    /// The pending error once; `WouldBlock` when nothing is there.
    pub fn recv(&mut self, out: &mut [IoSliceMut<'_>], peek: bool) -> Result<Option<(usize, usize, Meta)>> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        let Some((meta, packet)) = self.queue.front() else {
            return if self.read_shut { Ok(None) } else { Err(Error::WouldBlock) };
        };
        let (meta, copied, full) = (*meta, scatter(packet.bytes(), out), packet.len());
        if !peek {
            self.pop();
        }
        Ok(Some((copied, full, meta)))
    }

    fn pop(&mut self) {
        if let Some((_, packet)) = self.queue.pop_front() {
            self.footprint -= packet.footprint() + OVERHEAD;
        }
        if self.queue.is_empty() {
            self.queue = VecDeque::new();
        }
    }

    /// Checks whether sending is possible at all.
    ///
    /// # Errors
    /// The pending error once; `BrokenPipe` after shutdown.
    pub fn may_send(&mut self) -> Result<()> {
        match self.error.take() {
            Some(error) => Err(error),
            None if self.write_shut => Err(Error::BrokenPipe),
            None => Ok(()),
        }
    }

    /// Adds `data` to the corked datagram, or begins one for `to`. Returns the datagram if it is complete, else how
    /// many bytes wait.
    ///
    /// # Errors
    /// `MessageTooLong`: then nothing was added.
    pub fn cork(&mut self, data: &[IoSlice<'_>], to: Target, more: bool) -> Result<Option<Box<Cork>>> {
        let len: usize = data.iter().map(|part| part.len()).sum();
        let cork = self.cork.get_or_insert_with(|| Box::new(Cork { to, bytes: Vec::new() }));
        if cork.bytes.len() + len > MAX_PAYLOAD {
            if cork.bytes.is_empty() {
                self.cork = None;
            }
            return Err(Error::MessageTooLong);
        }
        data.iter().for_each(|part| cork.bytes.extend_from_slice(part));
        Ok(if more { None } else { self.cork.take() })
    }

    /// Whether a datagram is being put together.
    pub fn is_corked(&self) -> bool {
        self.cork.is_some()
    }

    /// shutdown(2) of the sides given.
    pub fn shutdown(&mut self, read: bool, write: bool) {
        self.read_shut |= read;
        self.write_shut |= write;
        self.events |= self.ready();
    }

    /// Opens both sides again, without a peer (connect(2) with AF_UNSPEC).
    pub fn disconnect(&mut self) {
        self.remote = None;
        self.read_shut = false;
        self.write_shut = false;
        self.cork = None;
    }

    /// Takes the pending error (SO_ERROR).
    pub fn take_error(&mut self) -> Option<Error> {
        self.error.take()
    }

    /// Length of the next datagram (SIOCINQ).
    pub fn readable(&self) -> usize {
        self.queue.front().map_or(0, |(_, packet)| packet.len())
    }

    /// Bytes of the corked datagram (part of SIOCOUTQ).
    pub fn unsent(&self) -> usize {
        self.cork.as_ref().map_or(0, |cork| cork.bytes.len())
    }

    /// Present readiness, as Linux's datagram_poll computes it.
    pub fn ready(&self) -> Ready {
        let mut ready = OUT;
        if self.error.is_some() || !self.reports.is_empty() {
            ready |= Ready::ERR;
        }
        if self.read_shut {
            ready |= IN | Ready::RDHUP;
        }
        if self.read_shut && self.write_shut {
            ready |= Ready::HUP;
        }
        if !self.queue.is_empty() {
            ready |= IN;
        }
        ready
    }

    /// Takes the readiness that came up since the last call.
    pub fn poll_events(&mut self) -> Ready {
        std::mem::take(&mut self.events)
    }
}

/// Copies the front of `bytes` into `out`; returns how many fit.
pub fn scatter(mut bytes: &[u8], out: &mut [IoSliceMut<'_>]) -> usize {
    let len = bytes.len();
    for part in out {
        let n = part.len().min(bytes.len());
        part[..n].copy_from_slice(&bytes[..n]);
        bytes = &bytes[n..];
    }
    len - bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta() -> Meta {
        let addr = "10.0.0.1".parse().unwrap();
        Meta { from: Endpoint::new(addr, 53), to: addr, iface: IfaceId::DEVICE, ttl: 64, tos: 0, at: Instant::ZERO }
    }

    fn recv(socket: &mut Socket, size: usize, peek: bool) -> Result<(Vec<u8>, usize)> {
        let mut buf = vec![0; size];
        let (copied, full, _) = socket.recv(&mut [IoSliceMut::new(&mut buf)], peek)?.ok_or(Error::NotFound)?;
        buf.truncate(copied);
        Ok((buf, full))
    }

    #[test]
    fn a_datagram_is_looked_at_taken_and_cut_to_the_buffer() {
        let mut socket = Socket::default();
        assert_eq!(recv(&mut socket, 9, false), Err(Error::WouldBlock));
        assert!(socket.on_datagram(meta(), Packet::copy_from(b"hello"), 1 << 16));
        assert_eq!(socket.poll_events(), IN);
        assert_eq!(recv(&mut socket, 9, true), Ok((b"hello".to_vec(), 5)));
        assert_eq!(recv(&mut socket, 2, false), Ok((b"he".to_vec(), 5)));
        assert_eq!(recv(&mut socket, 9, false), Err(Error::WouldBlock));
    }

    #[test]
    fn the_queue_is_bounded_by_what_its_buffers_hold() {
        let mut socket = Socket::default();
        let fit = (0..100).filter(|_| socket.on_datagram(meta(), Packet::copy_from(&[0; 1488]), 20_000)).count();
        assert_eq!(fit, 10);
        recv(&mut socket, 0, false).unwrap();
        assert!(socket.on_datagram(meta(), Packet::copy_from(&[0; 1488]), 20_000));
    }

    #[test]
    fn one_datagram_has_room_however_small_the_limit() {
        let mut socket = Socket::default();
        assert!(socket.on_datagram(meta(), Packet::copy_from(&[0; 60_000]), 1));
        assert!(!socket.on_datagram(meta(), Packet::copy_from(&[]), 1));
    }

    #[test]
    fn an_error_is_told_once_before_the_data() {
        let mut socket = Socket::default();
        socket.on_datagram(meta(), Packet::copy_from(b"x"), 1000);
        socket.on_error(Error::ConnectionRefused);
        assert!(socket.ready().contains(Ready::ERR));
        assert_eq!(recv(&mut socket, 1, false), Err(Error::ConnectionRefused));
        assert!(recv(&mut socket, 1, false).is_ok());
    }

    #[test]
    fn parts_join_into_one_datagram_for_the_first_destination() {
        let mut socket = Socket::default();
        let first = Target { ttl: Some(3), ..Target::default() };
        assert!(socket.cork(&[IoSlice::new(b"ab")], first, true).unwrap().is_none());
        assert_eq!(socket.unsent(), 2);
        let huge = vec![0; MAX_PAYLOAD];
        assert_eq!(socket.cork(&[IoSlice::new(&huge)], first, true).unwrap_err(), Error::MessageTooLong);
        let whole = socket.cork(&[IoSlice::new(b"cd")], Target::default(), false).unwrap().unwrap();
        assert_eq!((whole.bytes.as_slice(), whole.to), (b"abcd".as_slice(), first));
        assert!(!socket.is_corked());
    }

    #[test]
    fn a_shut_down_socket_reads_nothing_and_does_not_write() {
        let mut socket = Socket::default();
        socket.shutdown(true, false);
        assert_eq!(socket.recv(&mut [], false), Ok(None));
        assert!(!socket.on_datagram(meta(), Packet::copy_from(b"x"), 1000));
        socket.shutdown(false, true);
        assert_eq!(socket.may_send(), Err(Error::BrokenPipe));
        assert!(socket.ready().contains(Ready::HUP | Ready::RDHUP));
    }
}
