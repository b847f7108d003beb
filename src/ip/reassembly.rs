//! Putting fragments together (RFC 791 section 3.2, RFC 815). A datagram whose fragments overlap is dropped whole, with
//! all its fragments that are still to come (RFC 5722's rule, which Linux applies to IPv4 too): no honest sender makes
//! such, and those who do want a firewall to see other bytes than we do.

mod partial;
#[cfg(test)]
mod tests;
mod waiting;

use crate::{
    buf::Packet,
    rng,
    time::{Duration, Instant},
};
use partial::Outcome;
use std::net::IpAddr;
use waiting::Waiting;

/// How long a datagram waits for its missing fragments (Linux's ipfrag_time; RFC 1122 section 3.3.2 says 60 to 120 s,
/// but at today's rates the identification wraps much sooner).
const TIMEOUT: Duration = Duration::from_secs(30);
/// Memory all fragments may hold, bytes (Linux's ipfrag_high_thresh). Linux refuses new datagrams beyond it until
/// others are over; here the oldest goes, which an honest sender's is not for long. The low threshold is without
/// meaning there since 4.17, and here.
pub const TOTAL_LIMIT: usize = 4 << 20;
/// Memory the fragments of one source may hold, bytes: it takes sixteen to make the oldest of others go.
pub const SOURCE_LIMIT: usize = 256 << 10;
/// The largest payload of a datagram, bytes.
const MAX_PAYLOAD: usize = 65_535 - 20;

/// What fragments of one datagram have in common.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Datagram {
    /// Source.
    pub src: IpAddr,
    /// Destination.
    pub dst: IpAddr,
    /// Transport protocol.
    pub protocol: u8,
    /// Identification.
    pub id: u32,
}

/// What became of a fragment.
#[derive(Debug)]
pub enum Verdict {
    /// Others are missing.
    Waiting,
    /// The datagram is complete: the first fragment's IP header, and the whole payload behind it.
    Complete(Packet),
    /// The fragment was refused, or the whole datagram with it.
    Dropped,
}

/// Datagrams waiting for fragments.
pub struct Reassembly {
    waiting: Waiting,
}

impl Reassembly {
    /// Nothing waits.
    pub fn new(key: rng::Key) -> Self {
        Self { waiting: Waiting::new(key) }
    }

    /// Bytes of memory held, as they are charged.
    pub fn memory(&self) -> usize {
        self.waiting.total()
    }

    /// A fragment came in: `packet` starts with its IP header of `header_len` bytes; its payload belongs at `offset`.
    pub fn on_fragment(
        &mut self,
        datagram: Datagram,
        offset: usize,
        more: bool,
        packet: Packet,
        header_len: usize,
        now: Instant,
    ) -> Verdict {
        let len = packet.len().saturating_sub(header_len);
        if len == 0 || offset + len > MAX_PAYLOAD || (more && !len.is_multiple_of(8)) {
            return Verdict::Dropped;
        }
        let slot = self.waiting.place(datagram, now + TIMEOUT);
        let outcome = self.waiting.with(slot, |partial| partial.add(offset, more, packet, header_len));
        match outcome {
            None | Some(Outcome::Refused) => Verdict::Dropped,
            Some(Outcome::Completed) => {
                self.waiting.remove(slot).map_or(Verdict::Dropped, |(_, partial)| partial.join())
            }
            Some(Outcome::Kept) => {
                self.enforce_limits(datagram.src);
                Verdict::Waiting
            }
            Some(Outcome::Poisoned) => {
                self.enforce_limits(datagram.src);
                Verdict::Dropped
            }
        }
    }

    /// Drops the oldest datagrams of `source` while it holds too much, then the oldest of all while all do: as many
    /// bytes as the last fragment brought, so that no call has much to do.
    fn enforce_limits(&mut self, source: IpAddr) {
        while self.waiting.used_by(source) > SOURCE_LIMIT
            && let Some(oldest) = self.waiting.oldest_of(source)
        {
            self.waiting.remove(oldest);
        }
        while self.waiting.total() > TOTAL_LIMIT
            && let Some((oldest, _)) = self.waiting.oldest()
        {
            self.waiting.remove(oldest);
        }
    }

    /// Takes the next datagram that has waited too long: who sent it, and, if its first fragment is here, what an ICMP
    /// "time exceeded" quotes.
    pub fn poll_expired(&mut self, now: Instant) -> Option<(Datagram, Option<Vec<u8>>)> {
        let (oldest, _) = self.waiting.oldest().filter(|(_, until)| *until <= now)?;
        let (datagram, partial) = self.waiting.remove(oldest)?;
        Some((datagram, partial.quote()))
    }

    /// When [`Reassembly::poll_expired`] wants to be called.
    pub fn poll_deadline(&self) -> Option<Instant> {
        self.waiting.oldest().map(|(_, until)| until)
    }
}
