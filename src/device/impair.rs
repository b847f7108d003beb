//! A link with the faults of a real one, around any device: delay, loss, reordering, duplicates, flipped bits, and a
//! rate with a queue in front of it. Both directions suffer alike and apart. The same seed gives the same faults to the
//! same frames. Frames are split to the link's MTU first, so that faults hit what would be on a wire; their size counts
//! with the Ethernet header, if they have one, and without a checksum trailer.

use super::{Device, segment};
use crate::{
    buf::{Frame, Packet},
    rng::{Rng, SeededRng},
    stack::{Capabilities, Medium, config::Impairment},
    time::{Duration, Instant},
};
use parking_lot::Mutex;
use std::{collections::BTreeMap, io, os::fd::RawFd};

/// Bytes that are under way in one direction at most, whatever delay and rate: more are dropped.
const UNDER_WAY: usize = 64 << 20;
/// Frames taken from the device, or handed to it, in one call at most: the rest waits there, or is due at once.
const BATCH: usize = 256;

/// A device behind an impaired link.
pub struct Impair {
    inner: Box<dyn Device>,
    link: Impairment,
    medium: Medium,
    sending: Mutex<Lane<Frame>>,
    receiving: Mutex<Lane<Packet>>,
}

/// What happens to one frame.
#[derive(Copy, Clone, Debug, PartialEq)]
struct Fate {
    lost: bool,
    overtakes: bool,
    twice: bool,
    /// A random number that says which bit flips.
    flips: Option<u64>,
    /// Delay with its deviation.
    delay: Duration,
}

/// Decides about the next frame. The same numbers are drawn whatever the settings, so that changing one of them leaves
/// what the others do as it was.
fn judge(link: &Impairment, rng: &mut SeededRng) -> Fate {
    let Impairment { delay, jitter, loss, reorder, duplicate, corrupt, rate: _, queue: _, seed: _ } = link;
    let lost = rng.chance(*loss);
    let overtakes = rng.chance(*reorder);
    let twice = rng.chance(*duplicate);
    let flips = (rng.chance(*corrupt), rng.u64());
    // Uniform in -jitter ..= +jitter; jitter is at most the delay.
    let spread = (2 * u128::from(rng.u64()) * jitter.as_nanos()) >> 64;
    let delay = (*delay + Duration::from_nanos(spread as u64)).saturating_sub(*jitter);
    Fate { lost, overtakes, twice, flips: flips.0.then_some(flips.1), delay }
}

/// Something that travels: a frame to be sent, or a packet that came.
trait Cargo: Sized {
    fn size(&self) -> usize;
    fn twin(&self) -> Self;
    /// The same with its checksum finished and then one bit flipped.
    fn damaged(self, medium: Medium, which: u64) -> Self;
}

/// Flips a bit behind the link's header, chosen by `which`: a wrong MAC address would be plain loss.
fn flip(bytes: &mut [u8], medium: Medium, which: u64) {
    let header = if medium == Medium::Ethernet { 14 } else { 0 };
    let Some(bytes) = bytes.get_mut(header..).filter(|bytes| !bytes.is_empty()) else { return };
    let bit = (which % (bytes.len() as u64 * 8)) as usize;
    bytes[bit / 8] ^= 1 << (bit % 8);
}

impl Cargo for Frame {
    fn size(&self) -> usize {
        self.len()
    }

    fn twin(&self) -> Self {
        self.clone()
    }

    fn damaged(mut self, medium: Medium, which: u64) -> Self {
        segment::complete(&mut self);
        let mut bytes = self.to_vec();
        flip(&mut bytes, medium, which);
        let mut frame = Self::new();
        frame.push_bytes(&bytes);
        frame
    }
}

impl Cargo for Packet {
    fn size(&self) -> usize {
        self.len()
    }

    fn twin(&self) -> Self {
        let mut twin = Self::copy_from(self.bytes());
        twin.meta = self.meta;
        twin
    }

    fn damaged(mut self, medium: Medium, which: u64) -> Self {
        if self.meta.checksum_ok {
            segment::complete_received(self.bytes_mut(), medium);
            self.meta.checksum_ok = false;
        }
        flip(self.bytes_mut(), medium, which);
        self
    }
}

/// One direction.
struct Lane<T> {
    rng: SeededRng,
    /// When the last frame admitted has left the queue at the link's rate.
    busy_until: Instant,
    /// What the time of the last frame at the link's rate was rounded down by, in nanoseconds times the rate.
    remainder: u128,
    /// When the last frame that keeps its place arrives.
    last: Instant,
    /// Frames under way by the time they arrive, and by their number.
    under_way: BTreeMap<(Instant, u64), T>,
    bytes: usize,
    count: u64,
}

impl<T: Cargo> Lane<T> {
    fn new(seed: u64, direction: u64) -> Self {
        Self {
            rng: SeededRng::new([seed, direction]),
            busy_until: Instant::ZERO,
            remainder: 0,
            last: Instant::ZERO,
            under_way: BTreeMap::new(),
            bytes: 0,
            count: 0,
        }
    }

    /// A frame enters the link.
    fn admit(&mut self, cargo: T, link: &Impairment, medium: Medium, now: Instant) {
        let fate = judge(link, &mut self.rng);
        if fate.lost {
            return;
        }
        let twin = fate.twice.then(|| cargo.twin());
        let cargo = match fate.flips {
            Some(which) => cargo.damaged(medium, which),
            None => cargo,
        };
        for cargo in [Some(cargo), twin].into_iter().flatten() {
            let size = cargo.size();
            if self.bytes + size > UNDER_WAY {
                continue;
            }
            let Some(leaves) = self.transmit(size, link, now) else { continue };
            let arrives = if fate.overtakes {
                leaves
            } else {
                // Jitter alone keeps the order, as it does in a router's queue.
                self.last = self.last.max(leaves + fate.delay);
                self.last
            };
            self.under_way.insert((arrives, self.count), cargo);
            self.count += 1;
            self.bytes += size;
        }
    }

    /// When a frame of `size` bytes has passed the link's rate; `None` when it finds the queue full.
    fn transmit(&mut self, size: usize, link: &Impairment, now: Instant) -> Option<Instant> {
        if link.rate == 0 {
            return Some(now);
        }
        let rate = u128::from(link.rate);
        if self.busy_until <= now {
            (self.busy_until, self.remainder) = (now, 0);
        }
        let waiting = self.busy_until.since(now).as_nanos() * rate / 8_000_000_000;
        if waiting + size as u128 > link.queue_bytes() as u128 {
            return None;
        }
        let work = size as u128 * 8_000_000_000 + self.remainder;
        self.busy_until += Duration::from_nanos(u64::try_from(work / rate).unwrap_or(u64::MAX));
        self.remainder = work % rate;
        Some(self.busy_until)
    }

    /// Takes the next frame that has arrived by `now`.
    fn arrived(&mut self, now: Instant) -> Option<T> {
        let entry = self.under_way.first_entry().filter(|entry| entry.key().0 <= now)?;
        let cargo = entry.remove();
        self.bytes -= cargo.size();
        Some(cargo)
    }

    fn next(&self) -> Option<Instant> {
        self.under_way.keys().next().map(|(at, _)| *at)
    }
}

impl Impair {
    /// `inner` behind `link`.
    pub fn new(inner: Box<dyn Device>, link: Impairment) -> Self {
        let medium = inner.capabilities().medium;
        let (sending, receiving) = (Lane::new(link.seed, 0), Lane::new(link.seed, 1));
        Self { inner, link, medium, sending: Mutex::new(sending), receiving: Mutex::new(receiving) }
    }

    /// Hands over what has passed the link. The first failure is reported, but only a device that is gone ends it.
    fn release(&self, lane: &mut Lane<Frame>, most: usize, now: Instant) -> io::Result<()> {
        let mut result = Ok(());
        for _ in 0..most {
            let Some(frame) = lane.arrived(now) else { break };
            result = result.and(self.inner.send(&frame, now));
        }
        result
    }
}

impl Device for Impair {
    fn capabilities(&self) -> Capabilities {
        let inner = self.inner.capabilities();
        Capabilities { max_frame: inner.mtu, ..inner }
    }

    fn recv(&self, now: Instant) -> io::Result<Option<Packet>> {
        let mut lane = self.receiving.lock();
        for _ in 0..BATCH {
            let Some(packet) = self.inner.recv(now)? else { break };
            let Some(whole) = segment::coalesced(&packet, self.medium) else {
                lane.admit(packet, &self.link, self.medium, now);
                continue;
            };
            let each = &mut |segment: &mut Frame| {
                lane.admit(segment.to_packet(), &self.link, self.medium, now);
                Ok(())
            };
            segment::split(&whole, self.medium, each)?;
        }
        Ok(lane.arrived(now))
    }

    fn send(&self, frame: &Frame, now: Instant) -> io::Result<()> {
        let mut lane = self.sending.lock();
        let each = &mut |segment: &mut Frame| {
            lane.admit(segment.clone(), &self.link, self.medium, now);
            Ok(())
        };
        let split = segment::split(frame, self.medium, each);
        split.and(self.release(&mut lane, BATCH, now))
    }

    fn poll_fd(&self) -> Option<RawFd> {
        self.inner.poll_fd()
    }

    fn deadline(&self) -> Option<Instant> {
        let (sending, receiving) = (self.sending.lock().next(), self.receiving.lock().next());
        [sending, receiving, self.inner.deadline()].into_iter().flatten().min()
    }

    fn on_timer(&self, now: Instant) -> io::Result<()> {
        self.inner.on_timer(now).and(self.release(&mut self.sending.lock(), BATCH, now))
    }

    fn is_up(&self) -> bool {
        self.inner.is_up()
    }

    fn holds_frames(&self) -> bool {
        self.sending.lock().next().is_some() || self.inner.holds_frames()
    }

    fn flush(&self) {
        // What is on the way when its sender is gone still arrives. Nobody is left to be told of a failure.
        let _ = self.release(&mut self.sending.lock(), usize::MAX, Instant::FAR_FUTURE);
        self.inner.flush();
    }
}

#[cfg(test)]
#[path = "impair/tests.rs"]
mod tests;
