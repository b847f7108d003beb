//! The error queue of IP_RECVERR (ip(7)): each ICMP error and each datagram refused as too large, until it is taken.
//! The order of things, and what the pending error becomes, are those of Linux (net/core/skbuff.c,
//! sock_dequeue_err_skb).

use super::{Meta, OVERHEAD, Socket};
use crate::{addr::Endpoint, error::Error, ready::Ready};

/// Who found the error.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// This host, before the datagram was sent.
    Local,
    /// Who sent an ICMP message.
    Icmp {
        /// Its type.
        kind: u8,
        /// Its code.
        code: u8,
        /// What came with it; `from` is the offender.
        meta: Meta,
    },
}

/// One entry of the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The error.
    pub error: Error,
    /// Who found it.
    pub origin: Origin,
    /// What else is known: the MTU that the datagram exceeds, or where its header is wrong; else 0.
    pub info: u32,
    /// Where the datagram was going.
    pub dest: Endpoint,
    /// The front of its payload, as far as it was quoted.
    pub payload: Vec<u8>,
}

impl Report {
    fn is_icmp(&self) -> bool {
        matches!(self.origin, Origin::Icmp { .. })
    }

    fn cost(&self) -> usize {
        self.payload.len() + OVERHEAD
    }
}

impl Socket {
    /// Queues a report if it has room within `limit` bytes (SO_RCVBUF), which it shares with the datagrams.
    pub fn on_report(&mut self, report: Report, limit: usize) {
        let cost = report.cost();
        if self.footprint + cost < limit {
            self.footprint += cost;
            self.reports.push_back(report);
            self.events |= Ready::ERR;
        }
    }

    /// Takes the oldest report. The pending error is from then on that of the next.
    pub fn take_report(&mut self) -> Option<Report> {
        let report = self.reports.pop_front()?;
        self.footprint -= report.cost();
        match self.reports.front() {
            Some(next) if next.is_icmp() => self.error = Some(next.error),
            _ if report.is_icmp() => self.error = None,
            _ => {}
        }
        if !self.reports.is_empty() {
            self.events |= Ready::ERR;
        }
        Some(report)
    }

    /// IP_RECVERR was switched off: what waits is forgotten, and the pending error stays.
    pub fn forget_reports(&mut self) {
        self.footprint -= self.reports.drain(..).map(|report| report.cost()).sum::<usize>();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ip::IfaceId, time::Instant};

    fn report(error: Error, origin: Origin) -> Report {
        let dest = Endpoint::new("10.0.0.2".parse().unwrap(), 7);
        Report { error, origin, info: 0, dest, payload: vec![0; 100] }
    }

    fn icmp(error: Error) -> Report {
        let addr = "10.0.0.1".parse().unwrap();
        let from = Endpoint::new(addr, 0);
        let meta = Meta { from, to: addr, iface: IfaceId::DEVICE, ttl: 64, tos: 0, at: Instant::ZERO };
        report(error, Origin::Icmp { kind: 3, code: 3, meta })
    }

    #[test]
    fn the_pending_error_follows_the_queue() {
        let mut socket = Socket::default();
        socket.on_report(icmp(Error::ConnectionRefused), 10_000);
        socket.on_report(report(Error::MessageTooLong, Origin::Local), 10_000);
        socket.on_report(icmp(Error::HostUnreachable), 10_000);
        assert_eq!(socket.take_error(), None);
        let mut pending = || {
            let taken = socket.take_report().map(|report| report.error);
            (taken, socket.take_error(), socket.ready().contains(Ready::ERR))
        };
        assert_eq!(pending(), (Some(Error::ConnectionRefused), None, true));
        assert_eq!(pending(), (Some(Error::MessageTooLong), Some(Error::HostUnreachable), true));
        assert_eq!(pending(), (Some(Error::HostUnreachable), None, false));
        assert_eq!(pending(), (None, None, false));
    }

    #[test]
    fn reports_and_datagrams_share_the_buffer_and_give_it_back() {
        let mut socket = Socket::default();
        (0..50).for_each(|_| socket.on_report(icmp(Error::ConnectionRefused), 10_000));
        assert_eq!(socket.reports.len(), 16);
        assert!(socket.take_report().is_some());
        socket.forget_reports();
        assert_eq!((socket.footprint, socket.take_report()), (0, None));
    }
}
