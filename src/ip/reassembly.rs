//! Putting fragments together (RFC 791 section 3.2, RFC 815). A datagram whose fragments overlap is dropped whole, with
//! all its fragments that are still to come (RFC 5722's rule, which Linux applies to IPv4 too): no honest sender makes
//! such, and those who do want a firewall to see other bytes than we do.

use crate::{
    buf::{Packet, RxMeta},
    rng,
    time::{Duration, Instant},
};
use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
};

/// How long a datagram waits for its missing fragments (Linux's ipfrag_time; RFC 1122 section 3.3.2 says 60 to 120 s,
/// but at today's rates the identification wraps much sooner).
const TIMEOUT: Duration = Duration::from_secs(30);
/// Memory all fragments may hold, bytes (Linux's ipfrag_high_thresh).
const TOTAL_LIMIT: usize = 4 << 20;
/// Memory the fragments of one source may hold, bytes.
const SOURCE_LIMIT: usize = 256 << 10;
/// What a fragment, or a datagram of which no fragment is kept, costs beside its bytes.
const OVERHEAD: usize = 128;
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

struct Partial {
    until: Instant,
    /// Offset and bytes of each fragment, in order, without gaps filled in.
    pieces: Vec<(usize, Packet)>,
    /// Payload bytes so far.
    filled: usize,
    /// Length of the payload, once the last fragment is here.
    len: Option<usize>,
    /// Header of the first fragment and 8 bytes more, what an ICMP error quotes.
    quote: Vec<u8>,
    /// Length of that header alone.
    header_len: usize,
    footprint: usize,
    /// Fragments overlapped: nothing is kept, everything refused.
    poisoned: bool,
}

/// Datagrams waiting for fragments.
pub struct Reassembly {
    partials: HashMap<Datagram, Partial, rng::Key>,
    /// Every partial datagram, oldest first; those that are complete are passed over.
    order: VecDeque<(Instant, Datagram)>,
    by_source: HashMap<IpAddr, usize, rng::Key>,
    total: usize,
}

impl Reassembly {
    /// Nothing waits.
    pub fn new(key: rng::Key) -> Self {
        Self {
            partials: HashMap::with_hasher(key),
            order: VecDeque::new(),
            by_source: HashMap::with_hasher(key),
            total: 0,
        }
    }

    /// A fragment came in: `packet` starts with its IP header of `header_len` bytes; its payload belongs at `offset`.
    pub fn on_fragment(
        &mut self,
        datagram: Datagram,
        offset: usize,
        more: bool,
        mut packet: Packet,
        header_len: usize,
        now: Instant,
    ) -> Verdict {
        let quote = if offset == 0 { packet.bytes()[..packet.len().min(header_len + 8)].to_vec() } else { Vec::new() };
        packet.advance(header_len);
        let end = offset + packet.len();
        if packet.is_empty() || end > MAX_PAYLOAD || (more && !packet.len().is_multiple_of(8)) {
            return Verdict::Dropped;
        }
        packet.shrink();
        self.begin(datagram, now);
        let Some(partial) = self.partials.get_mut(&datagram) else { return Verdict::Dropped };
        if partial.poisoned {
            return Verdict::Dropped;
        }
        let at = partial.pieces.partition_point(|(start, _)| *start < offset);
        if partial.pieces.get(at).is_some_and(|(start, piece)| *start == offset && piece.len() == packet.len()) {
            return Verdict::Dropped; // An exact duplicate: the network's doing, not an attack.
        }
        let before = at.checked_sub(1).map_or(0, |i| partial.pieces[i].0 + partial.pieces[i].1.len());
        let after = partial.pieces.get(at).map_or(usize::MAX, |(start, _)| *start);
        let last_end = partial.pieces.last().map_or(0, |(start, piece)| start + piece.len());
        let contradicts = match partial.len {
            Some(len) => end > len || !more,
            None => !more && last_end > end,
        };
        if before > offset || end > after || contradicts {
            self.poison(datagram);
            return Verdict::Dropped;
        }
        let footprint = packet.footprint() + OVERHEAD;
        partial.filled += packet.len();
        partial.footprint += footprint;
        if !more {
            partial.len = Some(end);
        }
        if offset == 0 {
            partial.quote = quote;
            partial.header_len = header_len;
        }
        partial.pieces.insert(at, (offset, packet));
        let complete = partial.len == Some(partial.filled);
        self.charge(datagram.src, footprint);
        if complete {
            return self.remove(&datagram).map_or(Verdict::Dropped, Partial::join);
        }
        self.enforce_limits(datagram.src);
        Verdict::Waiting
    }

    /// Makes a place for a datagram that was not seen before.
    fn begin(&mut self, datagram: Datagram, now: Instant) {
        if self.partials.contains_key(&datagram) {
            return;
        }
        let until = now + TIMEOUT;
        self.partials.insert(datagram, Partial::new(until, false));
        self.order.push_back((until, datagram));
        self.charge(datagram.src, OVERHEAD);
    }

    /// Drops what is kept of a datagram, and remembers to drop the rest.
    fn poison(&mut self, datagram: Datagram) {
        let Some(partial) = self.remove(&datagram) else { return };
        self.partials.insert(datagram, Partial::new(partial.until, true));
        self.charge(datagram.src, OVERHEAD);
    }

    fn charge(&mut self, source: IpAddr, bytes: usize) {
        self.total += bytes;
        *self.by_source.entry(source).or_default() += bytes;
    }

    /// Takes a datagram out, and out of the accounts.
    fn remove(&mut self, datagram: &Datagram) -> Option<Partial> {
        let partial = self.partials.remove(datagram)?;
        self.total = self.total.saturating_sub(partial.footprint);
        if let Some(used) = self.by_source.get_mut(&datagram.src) {
            *used = used.saturating_sub(partial.footprint);
            if *used == 0 {
                self.by_source.remove(&datagram.src);
            }
        }
        Some(partial)
    }

    /// Drops the oldest datagrams of `source` while it holds too much, then the oldest of all while all do.
    fn enforce_limits(&mut self, source: IpAddr) {
        while self.by_source.get(&source).is_some_and(|used| *used > SOURCE_LIMIT) {
            let oldest =
                self.order.iter().find(|(until, datagram)| datagram.src == source && self.is_current(*until, datagram));
            let Some(&(_, datagram)) = oldest else { break };
            self.remove(&datagram);
        }
        while self.total > TOTAL_LIMIT {
            let Some((until, datagram)) = self.order.pop_front() else { break };
            if self.is_current(until, &datagram) {
                self.remove(&datagram);
            }
        }
        // What is complete leaves its place in the order behind: not for ever.
        if self.order.len() > 2 * self.partials.len() + 64 {
            let partials = &self.partials;
            self.order
                .retain(|(until, datagram)| partials.get(datagram).is_some_and(|partial| partial.until == *until));
        }
    }

    /// Whether this entry of the order speaks of a datagram that still waits.
    fn is_current(&self, until: Instant, datagram: &Datagram) -> bool {
        self.partials.get(datagram).is_some_and(|partial| partial.until == until)
    }

    /// Takes the next datagram that has waited too long: who sent it, and, if its first fragment is here, what an ICMP
    /// "time exceeded" quotes.
    pub fn poll_expired(&mut self, now: Instant) -> Option<(Datagram, Option<Vec<u8>>)> {
        loop {
            let &(until, datagram) = self.order.front()?;
            let current = self.is_current(until, &datagram);
            if current && until > now {
                return None;
            }
            self.order.pop_front();
            if current && let Some(partial) = self.remove(&datagram) {
                return Some((datagram, (!partial.quote.is_empty()).then_some(partial.quote)));
            }
        }
    }

    /// When [`Reassembly::poll_expired`] wants to be called; may be earlier than needed.
    pub fn poll_deadline(&self) -> Option<Instant> {
        self.order.front().map(|(until, _)| *until)
    }
}

impl Partial {
    fn new(until: Instant, poisoned: bool) -> Self {
        Self {
            until,
            pieces: Vec::new(),
            filled: 0,
            len: None,
            quote: Vec::new(),
            header_len: 0,
            footprint: OVERHEAD,
            poisoned,
        }
    }

    /// All fragments in one packet.
    fn join(self) -> Verdict {
        let mut bytes = Vec::with_capacity(self.header_len + self.filled);
        bytes.extend_from_slice(&self.quote[..self.header_len.min(self.quote.len())]);
        let mut meta = RxMeta { checksum_ok: true, ..RxMeta::default() };
        for (_, piece) in &self.pieces {
            bytes.extend_from_slice(piece.bytes());
            meta.checksum_ok &= piece.meta.checksum_ok;
            meta.link_broadcast |= piece.meta.link_broadcast;
        }
        let len = bytes.len();
        let mut packet = Packet::new(bytes.into(), 0..len);
        packet.meta = meta;
        Verdict::Complete(packet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Key, SeededRng};

    const SRC: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const DST: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));

    fn datagram(id: u32) -> Datagram {
        Datagram { src: SRC, dst: DST, protocol: 17, id }
    }

    fn setup() -> Reassembly {
        Reassembly::new(Key::random(&mut SeededRng::new([9, 9])))
    }

    fn feed(r: &mut Reassembly, id: u32, offset: usize, bytes: &[u8], more: bool) -> Verdict {
        let packet = Packet::copy_from(&[b"head", bytes].concat());
        r.on_fragment(datagram(id), offset, more, packet, 4, Instant::ZERO)
    }

    fn is_clean(r: &Reassembly) -> bool {
        r.partials.is_empty() && r.total == 0 && r.by_source.is_empty()
    }

    #[test]
    fn fragments_come_together_in_any_order() {
        let parts: [(usize, &[u8], bool); 3] = [(0, b"abcdefgh", true), (8, b"ijklmnop", true), (16, b"qr", false)];
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2], [2, 0, 1]] {
            let mut r = setup();
            let last = order.map(|i| feed(&mut r, 1, parts[i].0, parts[i].1, parts[i].2)).into_iter().next_back();
            let Some(Verdict::Complete(packet)) = last else { panic!("complete in order {order:?}") };
            assert_eq!(packet.bytes(), b"headabcdefghijklmnopqr");
            assert!(is_clean(&r));
        }
    }

    #[test]
    fn an_overlap_drops_the_datagram_with_the_fragments_still_to_come() {
        let mut r = setup();
        feed(&mut r, 1, 0, b"abcdefgh", true);
        assert!(matches!(feed(&mut r, 1, 0, b"ABCDEFGHIJKLMNOP", true), Verdict::Dropped));
        assert!(matches!(feed(&mut r, 1, 8, b"ij", false), Verdict::Dropped));
        assert!(matches!(feed(&mut r, 1, 0, b"abcdefgh", true), Verdict::Dropped));
        assert_eq!(r.poll_expired(Instant::ZERO + TIMEOUT), Some((datagram(1), None)));
        assert!(is_clean(&r));
    }

    #[test]
    fn an_exact_duplicate_changes_nothing() {
        let mut r = setup();
        feed(&mut r, 1, 0, b"abcdefgh", true);
        feed(&mut r, 1, 0, b"abcdefgh", true);
        assert!(matches!(feed(&mut r, 1, 8, b"ij", false), Verdict::Complete(..)));
    }

    #[test]
    fn impossible_fragments_are_refused() {
        let mut r = setup();
        assert!(matches!(feed(&mut r, 1, 0, b"", true), Verdict::Dropped));
        assert!(matches!(feed(&mut r, 1, 0, b"abc", true), Verdict::Dropped));
        assert!(matches!(feed(&mut r, 1, 65_528, &[0; 100], false), Verdict::Dropped));
        assert!(is_clean(&r));
        feed(&mut r, 2, 16, b"qr", false);
        assert!(matches!(feed(&mut r, 2, 24, b"beyond the end..", true), Verdict::Dropped));
        assert!(matches!(feed(&mut r, 2, 0, b"abcdefgh", true), Verdict::Dropped));
    }

    #[test]
    fn what_waits_too_long_is_told_with_its_first_fragment() {
        let mut r = setup();
        feed(&mut r, 1, 0, b"abcdefgh", true);
        feed(&mut r, 2, 8, b"abcdefgh", true);
        assert_eq!(r.poll_deadline(), Some(Instant::ZERO + TIMEOUT));
        assert_eq!(r.poll_expired(Instant::ZERO), None);
        let later = Instant::ZERO + TIMEOUT;
        assert_eq!(r.poll_expired(later), Some((datagram(1), Some(b"headabcdefgh".to_vec()))));
        assert_eq!(r.poll_expired(later), Some((datagram(2), None)));
        assert_eq!(r.poll_expired(later), None);
        assert!(is_clean(&r));
    }

    #[test]
    fn one_source_and_all_together_hold_bounded_memory() {
        let mut r = setup();
        (0..1000).for_each(|id| drop(feed(&mut r, id, 0, &[0; 1480], true)));
        assert!(r.total <= SOURCE_LIMIT);
        for host in 0..100u32 {
            let src = IpAddr::V4(std::net::Ipv4Addr::from(0x0b00_0000 + host));
            for id in 0..200 {
                let datagram = Datagram { src, dst: DST, protocol: 17, id };
                r.on_fragment(datagram, 0, true, Packet::copy_from(&[0; 1484]), 4, Instant::ZERO);
            }
        }
        assert!(r.total <= TOTAL_LIMIT && r.order.len() < 10_000);
        while r.poll_expired(Instant::FAR_FUTURE).is_some() {}
        assert!(is_clean(&r));
    }
}
