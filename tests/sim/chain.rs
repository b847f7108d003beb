//! A way through the network in one direction: boxes one behind the other, each put in by one call.

use super::{queue::Queue, segment::Segment};
use sockeye::{
    rng::{Rng, SeededRng},
    time::{Duration, Instant},
};

/// What a box does with a segment.
#[derive(Default)]
pub struct Out {
    /// Goes on to the next box, then.
    pub leaves: Vec<(Instant, Segment)>,
    /// The box wants to be served then.
    pub wake: Option<Instant>,
}

/// A box: takes segments, and lets them out when it likes.
pub trait Element {
    fn enter(&mut self, segment: Segment, now: Instant, rng: &mut SeededRng, out: &mut Out);

    /// The time it asked for has come.
    fn serve(&mut self, _now: Instant, _out: &mut Out) {}

    /// What it tells of itself at the end.
    fn describe(&self) -> String;
}

/// Boxes one behind the other.
#[derive(Default)]
pub struct Chain {
    pub boxes: Vec<Box<dyn Element + Send>>,
}

impl Chain {
    pub fn new() -> Self {
        Self::default()
    }

    fn with(mut self, element: impl Element + Send + 'static) -> Self {
        self.boxes.push(Box::new(element));
        self
    }

    /// Loses each segment with probability `p`.
    pub fn loss(self, p: f64) -> Self {
        self.with(Loss(p))
    }

    /// Loses in bursts (Gilbert and Elliott): a good time turns bad with probability `to_bad` at each segment, a bad
    /// one good with `to_good`; in a bad time segments are lost with probability `p`.
    pub fn burst_loss(self, to_bad: f64, to_good: f64, p: f64) -> Self {
        self.with(Burst { to_bad, to_good, p, bad: false })
    }

    /// Loses everything behind the first so many segments.
    pub fn cut_after(self, segments: u64) -> Self {
        self.with(Cut(segments))
    }

    /// Delays all by the same.
    pub fn delay(self, delay: Duration) -> Self {
        self.with(Delay(delay))
    }

    /// Delays each by anything up to `most`.
    pub fn jitter(self, most: Duration) -> Self {
        self.with(Jitter(most))
    }

    /// Holds some back by `late`, so that others overtake them.
    pub fn reorder(self, p: f64, late: Duration) -> Self {
        self.with(Reorder(p, late))
    }

    /// Sends some twice.
    pub fn duplicate(self, p: f64) -> Self {
        self.with(Duplicate(p))
    }

    /// Turns a bit of some over.
    pub fn corrupt(self, p: f64) -> Self {
        self.with(Corrupt(p))
    }

    /// A link of so many megabits a second with a queue in front of it.
    pub fn link(self, megabits: u64, queue: Queue) -> Self {
        self.link_of(megabits * 1_000_000, queue)
    }

    /// A link of so many bits a second.
    pub fn link_of(self, rate: u64, queue: Queue) -> Self {
        self.with(Link { nanos_per_kilobyte: 8_000_000_000_000 / rate, queue, busy: false })
    }
}

impl std::fmt::Display for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.boxes.iter().try_for_each(|element| write!(f, " -> {}", element.describe()))
    }
}

struct Loss(f64);

impl Element for Loss {
    fn enter(&mut self, segment: Segment, now: Instant, rng: &mut SeededRng, out: &mut Out) {
        if !rng.chance(self.0) {
            out.leaves.push((now, segment));
        }
    }

    fn describe(&self) -> String {
        format!("loss {}", self.0)
    }
}

struct Cut(u64);

impl Element for Cut {
    fn enter(&mut self, segment: Segment, now: Instant, _rng: &mut SeededRng, out: &mut Out) {
        if self.0 > 0 {
            self.0 -= 1;
            out.leaves.push((now, segment));
        }
    }

    fn describe(&self) -> String {
        format!("cut after {} more", self.0)
    }
}

struct Burst {
    to_bad: f64,
    to_good: f64,
    p: f64,
    bad: bool,
}

impl Element for Burst {
    fn enter(&mut self, segment: Segment, now: Instant, rng: &mut SeededRng, out: &mut Out) {
        self.bad ^= rng.chance(if self.bad { self.to_good } else { self.to_bad });
        if !(self.bad && rng.chance(self.p)) {
            out.leaves.push((now, segment));
        }
    }

    fn describe(&self) -> String {
        format!("burst loss {} {} {}", self.to_bad, self.to_good, self.p)
    }
}

struct Delay(Duration);

impl Element for Delay {
    fn enter(&mut self, segment: Segment, now: Instant, _rng: &mut SeededRng, out: &mut Out) {
        out.leaves.push((now + self.0, segment));
    }

    fn describe(&self) -> String {
        format!("delay {:?}", self.0)
    }
}

struct Jitter(Duration);

impl Element for Jitter {
    fn enter(&mut self, segment: Segment, now: Instant, rng: &mut SeededRng, out: &mut Out) {
        out.leaves.push((now + self.0.mul_f64(f64::from(rng.below(1000)) / 1000.0), segment));
    }

    fn describe(&self) -> String {
        format!("jitter {:?}", self.0)
    }
}

struct Reorder(f64, Duration);

impl Element for Reorder {
    fn enter(&mut self, segment: Segment, now: Instant, rng: &mut SeededRng, out: &mut Out) {
        let late = if rng.chance(self.0) { self.1 } else { Duration::ZERO };
        out.leaves.push((now + late, segment));
    }

    fn describe(&self) -> String {
        format!("reorder {} by {:?}", self.0, self.1)
    }
}

struct Duplicate(f64);

impl Element for Duplicate {
    fn enter(&mut self, segment: Segment, now: Instant, rng: &mut SeededRng, out: &mut Out) {
        if rng.chance(self.0) {
            out.leaves.push((now, segment.clone()));
        }
        out.leaves.push((now, segment));
    }

    fn describe(&self) -> String {
        format!("duplicate {}", self.0)
    }
}

struct Corrupt(f64);

impl Element for Corrupt {
    fn enter(&mut self, mut segment: Segment, now: Instant, rng: &mut SeededRng, out: &mut Out) {
        if rng.chance(self.0) {
            let at = rng.below(segment.bytes.len() as u32) as usize;
            segment.bytes[at] ^= 1 << rng.below(8);
        }
        out.leaves.push((now, segment));
    }

    fn describe(&self) -> String {
        format!("corrupt {}", self.0)
    }
}

/// Sends one segment after the other, as fast as its rate allows.
struct Link {
    nanos_per_kilobyte: u64,
    queue: Queue,
    busy: bool,
}

impl Link {
    fn start(&mut self, now: Instant, out: &mut Out) {
        let next = self.queue.pop(now);
        self.busy = next.is_some();
        if let Some(segment) = next {
            let done = now + Duration::from_nanos(segment.wire_len() as u64 * self.nanos_per_kilobyte / 1000);
            out.leaves.push((done, segment));
            out.wake = Some(done);
        }
    }
}

impl Element for Link {
    fn enter(&mut self, segment: Segment, now: Instant, _rng: &mut SeededRng, out: &mut Out) {
        self.queue.push(segment, now);
        if !self.busy {
            self.start(now, out);
        }
    }

    fn serve(&mut self, now: Instant, out: &mut Out) {
        self.start(now, out);
    }

    fn describe(&self) -> String {
        let Queue { dropped, marked, .. } = &self.queue;
        let rate = 8_000_000_000 / self.nanos_per_kilobyte;
        format!("link of {rate} kbit/s ({} bytes wait, {dropped} dropped, {marked} marked)", self.queue.bytes())
    }
}
