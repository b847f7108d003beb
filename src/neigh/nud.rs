//! The neighbour cache: states and timers of RFC 4861 section 7.3, with Linux's names and times, for both families.

use crate::{
    buf::Frame,
    line::{Line, Links},
    rng::{Key, Rng},
    time::{Duration, Instant},
    wire::ethernet::MacAddr,
};
use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    net::IpAddr,
};

/// Neighbours remembered at most (Linux's gc_thresh3).
const MAX_ENTRIES: usize = 1024;
/// What waits for one neighbour at most, as [`weight`] has it: the oldest frame is dropped first (RFC 4861 section
/// 7.2.2). Linux's net.ipv4.neigh.default.unres_qlen_bytes.
const MAX_QUEUED_BYTES: usize = 212_992;
/// What waits for all neighbours together at most.
const MAX_QUEUED_TOTAL: usize = 16 << 20;
/// Requests sent before giving up (MAX_MULTICAST_SOLICIT, MAX_UNICAST_SOLICIT).
const MAX_SOLICITS: u8 = 3;
/// Time between requests (RETRANS_TIMER).
const RETRANS_TIME: Duration = Duration::from_secs(1);
/// How long a stale entry is used before it is probed (DELAY_FIRST_PROBE_TIME).
const DELAY_TIME: Duration = Duration::from_secs(5);
/// Mean time an entry stays reachable without a sign of life; each time is 0.5 to 1.5 times this (RFC 4861 6.3.2).
const REACHABLE_TIME: Duration = Duration::from_secs(30);
/// An entry that was just changed is not overwritten by another claim for this long: the first answer wins
/// (Linux's locktime).
const LOCK_TIME: Duration = Duration::from_secs(1);

/// What a frame counts for while it waits, bytes: about as much as Linux lets it count (`skb->truesize`, measured on
/// 6.18), so that as many datagrams wait as there: 256 of 100 bytes, 92 of 1472.
fn weight(frame: &Frame) -> usize {
    const DESCRIPTOR: usize = 256;
    /// Headroom, and what stands behind the data.
    const AROUND: usize = 352;
    const SMALLEST: usize = 576;
    const PAGE: usize = 4096;
    let block = frame.len() + AROUND;
    DESCRIPTOR + if block <= PAGE { block.next_power_of_two().max(SMALLEST) } else { block }
}

/// State of an entry.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Asked, no answer yet: frames wait.
    Incomplete,
    /// Known to work until the time given, then stale.
    Reachable(Instant),
    /// Worked once; used as it is, and checked when used.
    Stale,
    /// Used while stale: probed unless a sign of life comes first.
    Delay,
    /// Asked again, by unicast; used meanwhile.
    Probe,
    /// Nobody answered.
    Failed,
}

/// A handle to an entry. It stays good until [`Neighbours::epoch`] changes.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct NeighbourId(u32);

/// How an address became known (what an ARP or neighbour discovery message says).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It answered us.
    Answer,
    /// It asked for us: it will want an answer, so it is worth an entry.
    Asked,
    /// It told everybody: only what we know already is brought up to date.
    Announced,
}

/// A request to be sent.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Solicit {
    /// Whose link-layer address is wanted.
    pub target: IpAddr,
    /// Where the request goes; to all if absent.
    pub to: Option<MacAddr>,
}

struct Entry {
    addr: IpAddr,
    mac: MacAddr,
    state: State,
    /// When the state's timer fires.
    timer: Option<Instant>,
    solicits: u8,
    /// When a request was sent last: failing and starting again does not send faster.
    asked: Option<Instant>,
    changed: Instant,
    /// It stands among those being resolved.
    is_sought: bool,
    queue: VecDeque<Frame>,
    /// The [`weight`] of what is in it.
    queued_bytes: usize,
}

/// The neighbour cache of one interface.
pub struct Neighbours {
    entries: Vec<Entry>,
    by_addr: HashMap<IpAddr, u32, Key>,
    epoch: u32,
    /// Those being resolved, and the others, each the longer not used the further in front.
    sought: Line,
    others: Line,
    links: Links,
    /// When whose timer fires: each step takes little however many entries there are.
    timers: BTreeSet<(Instant, u32)>,
    /// The [`weight`] of what is in all queues.
    queued: usize,
    solicits: VecDeque<Solicit>,
    released: VecDeque<(Frame, MacAddr)>,
    failed: VecDeque<Frame>,
}

impl Neighbours {
    /// An empty cache.
    pub fn new(key: Key) -> Self {
        Self {
            entries: Vec::new(),
            by_addr: HashMap::with_hasher(key),
            epoch: 0,
            sought: Line::default(),
            others: Line::default(),
            links: Links::default(),
            timers: BTreeSet::new(),
            queued: 0,
            solicits: VecDeque::new(),
            released: VecDeque::new(),
            failed: VecDeque::new(),
        }
    }

    /// Counts the times a handle may have come to name another entry.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The entry of `addr`; makes one if there is none.
    pub fn entry(&mut self, addr: IpAddr, now: Instant) -> NeighbourId {
        if let Some(&index) = self.by_addr.get(&addr) {
            return NeighbourId(index);
        }
        let entry = Entry {
            addr,
            mac: MacAddr::UNSPECIFIED,
            state: State::Failed,
            timer: None,
            solicits: 0,
            asked: None,
            changed: now,
            is_sought: false,
            queue: VecDeque::new(),
            queued_bytes: 0,
        };
        // The entry that is missed least: the one used longest ago, those being resolved last.
        let victim = self.others.first().or(self.sought.first()).filter(|_| self.entries.len() >= MAX_ENTRIES);
        let index = match victim {
            None => {
                self.entries.push(entry);
                self.entries.len() as u32 - 1
            }
            Some(index) => {
                self.leave_line(index);
                let old = std::mem::replace(&mut self.entries[index as usize], entry);
                old.timer.inspect(|timer| _ = self.timers.remove(&(*timer, index)));
                self.by_addr.remove(&old.addr);
                self.queued -= old.queued_bytes;
                self.failed.extend(old.queue);
                self.epoch = self.epoch.wrapping_add(1);
                index
            }
        };
        self.join_line(index);
        self.by_addr.insert(addr, index);
        NeighbourId(index)
    }

    fn leave_line(&mut self, index: u32) {
        let is_sought = self.entries[index as usize].is_sought;
        let line = if is_sought { &mut self.sought } else { &mut self.others };
        self.links.remove(line, index);
    }

    /// An entry that stands in no line goes to the end of the one it belongs to.
    fn join_line(&mut self, index: u32) {
        let entry = &mut self.entries[index as usize];
        entry.is_sought = entry.state == State::Incomplete;
        let line = if entry.is_sought { &mut self.sought } else { &mut self.others };
        self.links.push(line, index);
    }

    /// An entry has changed, whose timer was to fire `before`.
    fn follow(&mut self, index: u32, before: Option<Instant>) {
        let entry = &self.entries[index as usize];
        if entry.timer != before {
            before.inspect(|timer| _ = self.timers.remove(&(*timer, index)));
            self.timers.extend(entry.timer.map(|timer| (timer, index)));
        }
        if entry.is_sought != (entry.state == State::Incomplete) {
            self.leave_line(index);
            self.join_line(index);
        }
    }

    /// The link-layer address to send to now. `None`: it is being asked for, and the frame belongs into
    /// [`Neighbours::enqueue`].
    pub fn resolve(&mut self, id: NeighbourId, now: Instant) -> Option<MacAddr> {
        // Used just now.
        self.leave_line(id.0);
        self.join_line(id.0);
        let entry = &mut self.entries[id.0 as usize];
        let before = entry.timer;
        match entry.state {
            State::Reachable(until) if now < until => return Some(entry.mac),
            State::Delay | State::Probe => return Some(entry.mac),
            State::Reachable(_) | State::Stale => {
                entry.state = State::Delay;
                entry.timer = Some(now + DELAY_TIME);
            }
            State::Incomplete => return None,
            State::Failed => {
                entry.state = State::Incomplete;
                entry.solicits = 0;
                entry.timer = Some(entry.asked.map_or(now, |asked| now.max(asked + RETRANS_TIME)));
            }
        }
        let usable = (entry.state == State::Delay).then_some(entry.mac);
        self.follow(id.0, before);
        self.on_timer(now);
        usable
    }

    /// A frame waits until its neighbour is known. Returns how many were dropped: older ones of the same neighbour, or
    /// this one if too much waits for others.
    pub fn enqueue(&mut self, id: NeighbourId, frame: Frame) -> usize {
        let weight_of_this = weight(&frame);
        if self.queued + weight_of_this > MAX_QUEUED_TOTAL {
            return 1;
        }
        let entry = &mut self.entries[id.0 as usize];
        self.queued += weight_of_this;
        entry.queued_bytes += weight_of_this;
        entry.queue.push_back(frame);
        let mut dropped = 0;
        while entry.queued_bytes > MAX_QUEUED_BYTES {
            let Some(oldest) = entry.queue.pop_front() else { break };
            entry.queued_bytes -= weight(&oldest);
            self.queued -= weight(&oldest);
            dropped += 1;
        }
        dropped
    }

    /// Whether a frame waits for its neighbour.
    pub fn has_waiting(&self) -> bool {
        self.queued > 0
    }

    /// A message told us that `addr` has the link-layer address `mac`. True if that was not known.
    pub fn on_heard(&mut self, addr: IpAddr, mac: MacAddr, how: Heard, rng: &mut dyn Rng, now: Instant) -> bool {
        if how != Heard::Asked && !self.by_addr.contains_key(&addr) {
            return false;
        }
        let id = self.entry(addr, now);
        let entry = &mut self.entries[id.0 as usize];
        let known = !matches!(entry.state, State::Incomplete | State::Failed);
        if known && entry.mac != mac && now.since(entry.changed) < LOCK_TIME {
            return false;
        }
        if !known && how == Heard::Announced && entry.state == State::Failed {
            return false;
        }
        let (news, before) = (!known || entry.mac != mac, entry.timer);
        if news {
            entry.changed = now;
        }
        entry.mac = mac;
        if how == Heard::Answer {
            entry.state = State::Reachable(now + reachable_time(rng));
            entry.timer = None;
        } else if news {
            entry.state = State::Stale;
            entry.timer = None;
        }
        self.queued -= std::mem::take(&mut entry.queued_bytes);
        self.released.extend(std::mem::take(&mut entry.queue).into_iter().map(|frame| (frame, mac)));
        self.follow(id.0, before);
        news
    }

    /// A transport protocol saw the neighbour make progress (RFC 4861 section 7.3.1).
    pub fn confirm(&mut self, id: NeighbourId, rng: &mut dyn Rng, now: Instant) {
        let entry = &mut self.entries[id.0 as usize];
        match entry.state {
            State::Reachable(until) if until.since(now) > REACHABLE_TIME / 4 => {}
            State::Reachable(_) | State::Stale | State::Delay | State::Probe => {
                entry.state = State::Reachable(now + reachable_time(rng));
                let before = entry.timer.take();
                self.follow(id.0, before);
            }
            State::Incomplete | State::Failed => {}
        }
    }

    /// The time of [`Neighbours::poll_deadline`] has come.
    pub fn on_timer(&mut self, now: Instant) {
        while let Some(&(timer, index)) = self.timers.first()
            && timer <= now
        {
            let entry = &mut self.entries[index as usize];
            let queued = entry.queued_bytes;
            let (solicit, failed) = entry.on_timer(now);
            self.queued -= queued - entry.queued_bytes;
            self.solicits.extend(solicit);
            self.failed.extend(failed);
            self.follow(index, Some(timer));
        }
    }

    /// When [`Neighbours::on_timer`] wants to be called.
    pub fn poll_deadline(&self) -> Option<Instant> {
        self.timers.first().map(|(timer, _)| *timer)
    }

    /// Takes the next request to be sent.
    pub fn poll_solicit(&mut self) -> Option<Solicit> {
        self.solicits.pop_front()
    }

    /// Takes the next frame that waited for an address that is now known.
    pub fn poll_released(&mut self) -> Option<(Frame, MacAddr)> {
        self.released.pop_front()
    }

    /// Takes the next frame whose neighbour cannot be reached.
    pub fn poll_failed(&mut self) -> Option<Frame> {
        self.failed.pop_front()
    }

    /// Whether there is one.
    pub fn has_failed(&self) -> bool {
        !self.failed.is_empty()
    }

    /// The state of the entry of `addr`, if there is one.
    pub fn state(&self, addr: IpAddr) -> Option<State> {
        self.by_addr.get(&addr).map(|&index| self.entries[index as usize].state)
    }
}

impl Entry {
    /// The entry's timer fired: a request to be sent, or the frames that nobody will get.
    fn on_timer(&mut self, now: Instant) -> (Option<Solicit>, VecDeque<Frame>) {
        if self.state == State::Delay {
            self.state = State::Probe;
            self.solicits = 0;
        }
        if self.solicits >= MAX_SOLICITS {
            self.state = State::Failed;
            self.timer = None;
            self.queued_bytes = 0;
            return (None, std::mem::take(&mut self.queue));
        }
        self.solicits += 1;
        self.asked = Some(now);
        self.timer = Some(now + RETRANS_TIME);
        let to = (self.state == State::Probe).then_some(self.mac);
        (Some(Solicit { target: self.addr, to }), VecDeque::new())
    }
}

/// A fresh random reachable time.
fn reachable_time(rng: &mut dyn Rng) -> Duration {
    REACHABLE_TIME / 2 + Duration::from_millis(u64::from(rng.below(REACHABLE_TIME.as_millis() as u32)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::SeededRng;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 9));
    const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 9]);
    const OTHER: MacAddr = MacAddr([2, 0, 0, 0, 0, 66]);

    fn at(ms: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(ms)
    }

    fn frame(bytes: usize) -> Frame {
        let mut frame = Frame::new();
        frame.push_bytes(&vec![0; bytes]);
        frame
    }

    fn setup() -> (Neighbours, SeededRng) {
        let mut rng = SeededRng::new([3, 4]);
        (Neighbours::new(Key::random(&mut rng)), rng)
    }

    fn solicits(cache: &mut Neighbours) -> Vec<Solicit> {
        std::iter::from_fn(|| cache.poll_solicit()).collect()
    }

    #[test]
    fn an_unknown_neighbour_is_asked_for_three_times_and_then_its_frames_fail() {
        let (mut cache, _) = setup();
        let id = cache.entry(PEER, at(0));
        assert_eq!(cache.resolve(id, at(0)), None);
        cache.enqueue(id, frame(100));
        assert_eq!(solicits(&mut cache), [Solicit { target: PEER, to: None }]);
        for ms in [1000, 2000] {
            assert_eq!(cache.poll_deadline(), Some(at(ms)));
            cache.on_timer(at(ms));
            assert_eq!(solicits(&mut cache).len(), 1);
        }
        cache.on_timer(at(3000));
        assert!(solicits(&mut cache).is_empty() && cache.poll_failed().is_some());
        assert_eq!(cache.state(PEER), Some(State::Failed));
        assert_eq!(cache.poll_deadline(), None);
    }

    #[test]
    fn a_failed_neighbour_is_asked_again_but_not_faster_than_once_a_second() {
        let (mut cache, _) = setup();
        let id = cache.entry(PEER, at(0));
        cache.resolve(id, at(0));
        (1..=3).for_each(|s| cache.on_timer(at(s * 1000)));
        solicits(&mut cache);
        assert_eq!(cache.resolve(id, at(3000)), None);
        assert_eq!(solicits(&mut cache).len(), 1, "the last request was a second ago");
        assert_eq!(cache.resolve(id, at(3001)), None);
        assert!(solicits(&mut cache).is_empty());
    }

    #[test]
    fn an_answer_releases_the_frames_in_order() {
        let (mut cache, mut rng) = setup();
        let id = cache.entry(PEER, at(0));
        cache.resolve(id, at(0));
        assert_eq!([1, 2, 3].map(|n| cache.enqueue(id, frame(n))), [0; 3]);
        cache.on_heard(PEER, MAC, Heard::Answer, &mut rng, at(5));
        let released: Vec<_> = std::iter::from_fn(|| cache.poll_released()).map(|(f, mac)| (f.len(), mac)).collect();
        assert_eq!(released, [(1, MAC), (2, MAC), (3, MAC)]);
        assert_eq!(cache.resolve(id, at(6)), Some(MAC));
    }

    #[test]
    fn the_queue_keeps_the_newest_frames_and_as_many_as_linux_keeps() {
        // Payloads of UDP, and how many of 1000 came on Linux 6.18 once the neighbour answered.
        for (payload, kept) in
            [(0, 256), (10, 256), (100, 256), (200, 166), (600, 166), (1000, 92), (1400, 92), (1472, 92)]
        {
            let (mut cache, mut rng) = setup();
            let id = cache.entry(PEER, at(0));
            cache.resolve(id, at(0));
            let dropped: usize = (0..1000).map(|_| cache.enqueue(id, frame(28 + payload))).sum();
            assert_eq!(dropped, 1000 - kept, "{payload}");
            cache.enqueue(id, frame(1));
            cache.on_heard(PEER, MAC, Heard::Answer, &mut rng, at(1));
            let released: Vec<_> = std::iter::from_fn(|| cache.poll_released()).map(|(frame, _)| frame.len()).collect();
            assert_eq!((released.last(), cache.queued), (Some(&1), 0), "{payload}");
        }
    }

    #[test]
    fn all_queues_together_are_bounded_and_their_bytes_accounted_for() {
        let (mut cache, mut rng) = setup();
        let addr = |i: u32| IpAddr::V4(std::net::Ipv4Addr::from(0x0a00_0000 + i));
        for i in 0..100 {
            let id = cache.entry(addr(i), at(0));
            cache.resolve(id, at(0));
            (0..3).for_each(|_| assert!(cache.enqueue(id, frame(60_000)) <= 1));
        }
        assert!(cache.queued <= MAX_QUEUED_TOTAL && cache.queued > MAX_QUEUED_TOTAL - 61_000);
        (0..20).for_each(|i| _ = cache.on_heard(addr(i), MAC, Heard::Answer, &mut rng, at(1)));
        (1..=3).for_each(|s| cache.on_timer(at(s * 1000)));
        assert_eq!(cache.queued, 0);
    }

    #[test]
    fn a_stale_neighbour_is_used_and_probed_by_unicast_five_seconds_later() {
        let (mut cache, mut rng) = setup();
        cache.on_heard(PEER, MAC, Heard::Asked, &mut rng, at(0));
        assert_eq!(cache.state(PEER), Some(State::Stale));
        let id = cache.entry(PEER, at(0));
        assert_eq!(cache.resolve(id, at(10)), Some(MAC));
        assert!(solicits(&mut cache).is_empty());
        cache.on_timer(at(5010));
        assert_eq!(solicits(&mut cache), [Solicit { target: PEER, to: Some(MAC) }]);
        assert_eq!(cache.resolve(id, at(5020)), Some(MAC));
        cache.on_heard(PEER, MAC, Heard::Answer, &mut rng, at(5030));
        assert!(matches!(cache.state(PEER), Some(State::Reachable(_))));
    }

    #[test]
    fn progress_of_a_transport_protocol_saves_the_probe() {
        let (mut cache, mut rng) = setup();
        cache.on_heard(PEER, MAC, Heard::Asked, &mut rng, at(0));
        let id = cache.entry(PEER, at(0));
        cache.resolve(id, at(10));
        cache.confirm(id, &mut rng, at(20));
        cache.on_timer(at(5010));
        assert!(solicits(&mut cache).is_empty());
    }

    #[test]
    fn an_announcement_changes_what_is_known_but_adds_nothing() {
        let (mut cache, mut rng) = setup();
        cache.on_heard(PEER, MAC, Heard::Announced, &mut rng, at(0));
        assert_eq!(cache.state(PEER), None);
        cache.on_heard(PEER, MAC, Heard::Asked, &mut rng, at(0));
        let id = cache.entry(PEER, at(0));
        cache.on_heard(PEER, OTHER, Heard::Announced, &mut rng, at(500));
        assert_eq!(cache.resolve(id, at(500)), Some(MAC), "the first claim wins for a second");
        cache.on_heard(PEER, OTHER, Heard::Announced, &mut rng, at(1500));
        assert_eq!(cache.resolve(id, at(1500)), Some(OTHER));
    }

    #[test]
    fn those_being_resolved_outlast_the_others_and_who_is_used_outlasts_who_is_not() {
        let (mut cache, mut rng) = setup();
        let addr = |i: u32| IpAddr::V4(std::net::Ipv4Addr::from(0x0a01_0000 + i));
        let sought = cache.entry(PEER, at(0));
        assert_eq!(cache.resolve(sought, at(0)), None);
        cache.on_heard(addr(0), MAC, Heard::Asked, &mut rng, at(0));
        let used = cache.entry(addr(0), at(0));
        for i in 1..5 * MAX_ENTRIES as u32 {
            cache.on_heard(addr(i), OTHER, Heard::Asked, &mut rng, at(1));
            assert_eq!(cache.resolve(used, at(1)), Some(MAC));
        }
        assert_eq!(cache.state(PEER), Some(State::Incomplete));
        assert_eq!((cache.entries.len(), cache.by_addr.len(), cache.timers.len()), (MAX_ENTRIES, MAX_ENTRIES, 2));
        // And when all are being resolved the oldest of them goes.
        for i in 0..MAX_ENTRIES as u32 {
            let id = cache.entry(IpAddr::V4(std::net::Ipv4Addr::from(0x0b00_0000 + i)), at(2));
            cache.resolve(id, at(2));
        }
        assert_eq!((cache.state(PEER), cache.timers.len()), (None, MAX_ENTRIES));
    }

    #[test]
    fn the_cache_is_bounded_and_its_epoch_tells_when_a_handle_went_bad() {
        let (mut cache, mut rng) = setup();
        for i in 0..MAX_ENTRIES as u32 {
            let addr = IpAddr::V4(std::net::Ipv4Addr::from(0x0a00_0000 + i));
            cache.on_heard(addr, MAC, Heard::Asked, &mut rng, at(u64::from(i)));
        }
        let epoch = cache.epoch();
        cache.entry(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)), at(5000));
        assert_eq!(cache.entries.len(), MAX_ENTRIES);
        assert_ne!(cache.epoch(), epoch);
        assert_eq!(cache.state("10.0.0.0".parse().unwrap()), None);
    }
}
