//! The world: connections between two sites, the way between these, and the time.

use super::{
    chain::{Chain, Out},
    end::{End, Plan},
    segment::Segment,
};
use sockeye::{
    addr::{Endpoint, Flow},
    counters::Counters,
    cx::Cx,
    rng::{Key, Rng, SeededRng},
    time::{Duration, Instant},
};
use std::{cmp::Reverse, collections::BinaryHeap};

/// What happens at some time.
enum What {
    /// A segment comes to a box on the way to a site, or out of the last.
    Enter { to: usize, stage: usize, segment: Segment },
    /// A box asked for it.
    Serve { to: usize, stage: usize },
    /// A side of a connection has something to do.
    Wake { flow: usize, side: usize },
}

/// An event; the earlier comes first, and of those at the same time the one that was thought of first.
struct Event {
    at: Instant,
    order: u64,
    what: What,
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Event {}

impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Event {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// The device at either site.
#[derive(Copy, Clone, Debug)]
pub struct Device {
    pub mtu: u32,
    /// Super-frames stay whole from end to end, as over a TAP; otherwise the device cuts them.
    pub whole_frames: bool,
}

/// Everything there is. Site 0 opens the connections.
pub struct World {
    pub seed: u64,
    pub now: Instant,
    start: Instant,
    device: Device,
    /// What leads to site 0 and 1.
    ways: [Chain; 2],
    pub flows: Vec<[End; 2]>,
    /// When each side will be woken.
    wakes: Vec<[Option<Instant>; 2]>,
    events: BinaryHeap<Reverse<Event>>,
    order: u64,
    rng: SeededRng,
    secret: Key,
    /// The counters of either site.
    pub mib: [Counters; 2],
    /// Prints every segment.
    pub trace: bool,
    timers: u64,
    segments: u64,
}

/// The flow of connection `number`, seen from `side`.
fn flow(number: usize, side: usize) -> Flow {
    let client = Endpoint::new("10.0.0.1".parse().unwrap(), 20_000 + number as u16);
    let server = Endpoint::new("10.0.0.2".parse().unwrap(), 80);
    match side {
        0 => Flow { local: client, remote: server },
        _ => Flow { local: server, remote: client },
    }
}

impl World {
    /// A world of `seed`, with the ways from site 1 to 0 and from 0 to 1.
    pub fn new(seed: u64, device: Device, ways: [Chain; 2]) -> Self {
        let mut rng = SeededRng::new([seed, 0x50c4]);
        let secret = Key::random(&mut rng);
        let now = Instant::from_nanos(1_000_000_000 + rng.u64() % (1 << 50));
        Self {
            seed,
            now,
            start: now,
            device,
            ways,
            flows: Vec::new(),
            wakes: Vec::new(),
            events: BinaryHeap::new(),
            order: 0,
            rng,
            secret,
            mib: Default::default(),
            trace: false,
            timers: 0,
            segments: 0,
        }
    }

    /// Time that has passed.
    pub fn elapsed(&self) -> Duration {
        self.now.since(self.start)
    }

    /// Lets a connection begin after `wait`; returns its number.
    pub fn connect(&mut self, plans: [Plan; 2], wait: Duration) -> usize {
        let number = self.flows.len();
        let [client, server] = plans;
        let end = |name, side, plan| End::new(name, number, flow(number, side), plan, self.secret, self.device.mtu);
        self.flows.push([end("client", 0, client), end("server", 1, server)]);
        self.wakes.push([None; 2]);
        let at = self.now + wait;
        for side in 0..2 {
            self.wakes[number][side] = Some(at);
            self.push(at, What::Wake { flow: number, side });
        }
        number
    }

    fn push(&mut self, at: Instant, what: What) {
        self.order += 1;
        self.events.push(Reverse(Event { at, order: self.order, what }));
    }

    /// Goes on until `until`, or until all connections have ended.
    pub fn run_until(&mut self, until: Instant) {
        while let Some(Reverse(next)) = self.events.peek() {
            if next.at > until || self.flows.iter().flatten().all(End::is_over) {
                break;
            }
            let Some(Reverse(event)) = self.events.pop() else { break };
            self.now = event.at;
            self.happen(event.what);
        }
    }

    /// Goes on for so long.
    pub fn run_for(&mut self, time: Duration) {
        let until = self.now + time;
        self.run_until(until);
        self.now = until;
    }

    /// Runs until all connections have ended, and checks them.
    pub fn run_to_the_end(&mut self, longest: Duration) {
        self.run_until(self.start + longest);
        let over = self.flows.iter().flatten().all(End::is_over);
        assert!(
            over,
            "{}:\n{self}",
            if self.events.is_empty() { "nothing will ever happen" } else { "it takes too long" }
        );
        self.check_timers();
        for [client, server] in &self.flows {
            client.check(server);
            server.check(client);
        }
    }

    /// No more timers than segments and the time explain.
    pub fn check_timers(&self) {
        let Self { timers, segments, .. } = *self;
        let seconds = self.elapsed().as_secs();
        let allowed = 200 + 4 * segments + 10 * seconds * self.flows.len() as u64;
        assert!(timers < allowed, "{timers} timers, {segments} segments, {seconds} s:\n{self}");
    }

    fn happen(&mut self, what: What) {
        match what {
            What::Enter { to, stage, segment } => self.enter(to, stage, segment),
            What::Serve { to, stage } => {
                let mut out = Out::default();
                self.ways[to].boxes[stage].serve(self.now, &mut out);
                self.take_out(to, stage, out);
            }
            What::Wake { flow, side } => {
                if self.wakes[flow][side] == Some(self.now) {
                    self.wakes[flow][side] = None;
                    self.settle(flow, side);
                }
            }
        }
    }

    /// A segment comes to box `stage`, or to the site behind the last.
    fn enter(&mut self, to: usize, stage: usize, segment: Segment) {
        let Some(element) = self.ways[to].boxes.get_mut(stage) else { return self.arrive(to, segment) };
        let mut out = Out::default();
        element.enter(segment, self.now, &mut self.rng, &mut out);
        self.take_out(to, stage, out);
    }

    fn take_out(&mut self, to: usize, stage: usize, out: Out) {
        if let Some(at) = out.wake {
            self.push(at, What::Serve { to, stage });
        }
        for (at, segment) in out.leaves {
            if at > self.now {
                self.push(at, What::Enter { to, stage: stage + 1, segment });
            } else {
                self.enter(to, stage + 1, segment);
            }
        }
    }

    fn arrive(&mut self, side: usize, segment: Segment) {
        let number = segment.flow;
        if self.trace {
            println!("{:>16} {side} gets {segment}", self.now.as_micros());
        }
        let mut cx = Cx { now: self.now, rng: &mut self.rng, mib: &mut self.mib[side] };
        if let Some(reply) = self.flows[number][side].receive(segment, &mut cx) {
            self.send(side, reply);
        }
        self.settle(number, side);
    }

    /// Puts a segment of `side` on its way.
    fn send(&mut self, side: usize, segment: Segment) {
        self.segments += 1;
        if self.trace {
            println!("{:>16} {side} sends {segment}", self.now.as_micros());
        }
        // Through the queue of events, so that what follows from it does not happen within its cause.
        self.push(self.now, What::Enter { to: 1 - side, stage: 0, segment });
    }

    /// Does everything that a side has to do now.
    fn settle(&mut self, number: usize, side: usize) {
        let Device { mtu, whole_frames } = self.device;
        for round in 0.. {
            assert!(round < 10_000, "it does not come to rest:\n{self}");
            let mut cx = Cx { now: self.now, rng: &mut self.rng, mib: &mut self.mib[side] };
            let end = &mut self.flows[number][side];
            self.timers += u64::from(end.run_timers(&mut cx));
            let mut busy = end.run_application(&mut cx);
            for frame in end.transmit(&mut cx) {
                busy = true;
                for segment in Segment::of_frame(frame, number, flow(number, side), mtu, whole_frames) {
                    self.send(side, segment);
                }
            }
            if !busy {
                break;
            }
        }
        let Some(next) = self.flows[number][side].deadline() else { return };
        assert!(next > self.now, "a deadline is not in the future after it was served:\n{self}");
        if self.wakes[number][side].is_none_or(|at| at > next) {
            self.wakes[number][side] = Some(next);
            self.push(next, What::Wake { flow: number, side });
        }
    }
}

impl std::fmt::Display for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(
            f,
            "seed {} at {:?}, {:?} after the beginning, {:?}",
            self.seed,
            self.now,
            self.elapsed(),
            self.device
        )?;
        for (way, to) in self.ways.iter().zip(["client", "server"]) {
            writeln!(f, "to the {to}:{way}")?;
        }
        self.flows.iter().flatten().filter(|end| !end.is_over()).take(6).try_for_each(|end| writeln!(f, "{end:?}"))
    }
}
