//! Queues in front of a link: what is admitted, marked and dropped.

use super::segment::Segment;
use sockeye::{
    tcp::ecn::codepoint,
    time::{Duration, Instant},
};
use std::collections::VecDeque;

/// Where CoDel wants the waiting time, and for how long it may be longer (RFC 8289 sections 4.2 and 4.3).
const TARGET: Duration = Duration::from_millis(5);
const INTERVAL: Duration = Duration::from_millis(100);

/// A bounded queue.
pub struct Queue {
    waiting: VecDeque<(Instant, Segment)>,
    bytes: usize,
    limit: usize,
    policy: Policy,
    /// Segments that were dropped, and marked instead.
    pub dropped: u64,
    pub marked: u64,
}

/// What the queue does before it is full.
enum Policy {
    Nothing,
    /// Marks what takes part in ECN once so many bytes wait.
    MarkAbove(usize),
    CoDel(CoDel),
}

/// The state of RFC 8289 section 5.
#[derive(Default)]
struct CoDel {
    /// Marks rather than drops what takes part in ECN.
    marks: bool,
    first_above: Option<Instant>,
    drop_next: Instant,
    count: u32,
    last_count: u32,
    dropping: bool,
}

impl Queue {
    fn new(limit: usize, policy: Policy) -> Self {
        Self { waiting: VecDeque::new(), bytes: 0, limit, policy, dropped: 0, marked: 0 }
    }

    /// Drops what does not fit.
    pub fn drop_tail(limit: usize) -> Self {
        Self::new(limit, Policy::Nothing)
    }

    /// Marks above a threshold, drops what does not fit.
    pub fn marking(threshold: usize, limit: usize) -> Self {
        Self::new(limit, Policy::MarkAbove(threshold))
    }

    /// CoDel (RFC 8289), with marks where the sender understands them.
    pub fn codel(limit: usize, marks: bool) -> Self {
        Self::new(limit, Policy::CoDel(CoDel { marks, ..CoDel::default() }))
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn push(&mut self, mut segment: Segment, now: Instant) {
        let len = segment.wire_len();
        if self.bytes + len > self.limit {
            self.dropped += 1;
            return;
        }
        if let Policy::MarkAbove(threshold) = self.policy
            && self.bytes > threshold
        {
            self.marked += u64::from(mark(&mut segment));
        }
        self.bytes += len;
        self.waiting.push_back((now, segment));
    }

    /// The next segment to leave.
    pub fn pop(&mut self, now: Instant) -> Option<Segment> {
        match &self.policy {
            Policy::CoDel(_) => self.pop_codel(now),
            _ => self.take().map(|(_, segment)| segment),
        }
    }

    fn take(&mut self) -> Option<(Instant, Segment)> {
        let (since, segment) = self.waiting.pop_front()?;
        self.bytes -= segment.wire_len();
        Some((since, segment))
    }

    /// The next segment, and whether it may be dropped (RFC 8289's dodequeue).
    fn take_judged(&mut self, now: Instant) -> Option<(Segment, bool)> {
        let taken = self.take();
        let left = self.bytes;
        let Policy::CoDel(codel) = &mut self.policy else { unreachable!("only CoDel judges") };
        let Some((since, segment)) = taken else {
            codel.first_above = None;
            return None;
        };
        let mut may_drop = false;
        if now.since(since) < TARGET || left <= 1514 {
            codel.first_above = None;
        } else {
            match codel.first_above {
                None => codel.first_above = Some(now + INTERVAL),
                Some(at) => may_drop = now >= at,
            }
        }
        Some((segment, may_drop))
    }

    /// Drops or marks; a marked segment is given back.
    fn punish(&mut self, mut segment: Segment) -> Option<Segment> {
        let Policy::CoDel(codel) = &mut self.policy else { unreachable!("only CoDel punishes") };
        codel.count += 1;
        if codel.marks && mark(&mut segment) {
            self.marked += 1;
            return Some(segment);
        }
        self.dropped += 1;
        None
    }

    fn state(&mut self) -> &mut CoDel {
        let Policy::CoDel(codel) = &mut self.policy else { unreachable!("it is CoDel's turn") };
        codel
    }

    /// RFC 8289 section 5.5.
    fn pop_codel(&mut self, now: Instant) -> Option<Segment> {
        let (mut segment, mut may_drop) = self.take_judged(now)?;
        if self.state().dropping {
            if !may_drop {
                self.state().dropping = false;
            }
            while self.state().dropping && now >= self.state().drop_next {
                if let Some(marked) = self.punish(segment) {
                    let codel = self.state();
                    codel.drop_next = control_law(codel.drop_next, codel.count);
                    return Some(marked);
                }
                (segment, may_drop) = self.take_judged(now)?;
                let codel = self.state();
                if may_drop {
                    codel.drop_next = control_law(codel.drop_next, codel.count);
                } else {
                    codel.dropping = false;
                }
            }
        } else if may_drop {
            let punished = self.punish(segment);
            let codel = self.state();
            codel.dropping = true;
            let delta = codel.count - codel.last_count;
            let recent = now.since(codel.drop_next) < 16 * INTERVAL;
            codel.count = if delta > 1 && recent { delta } else { 1 };
            codel.drop_next = control_law(now, codel.count);
            codel.last_count = codel.count;
            return match punished {
                Some(marked) => Some(marked),
                None => self.take_judged(now).map(|(segment, _)| segment),
            };
        }
        Some(segment)
    }
}

fn control_law(at: Instant, count: u32) -> Instant {
    at + INTERVAL.div_f64(f64::from(count).sqrt())
}

/// Marks a segment of a sender that takes part in ECN; says whether it does.
fn mark(segment: &mut Segment) -> bool {
    let takes_part = segment.ecn != codepoint::NOT_ECT;
    if takes_part {
        segment.ecn = codepoint::CE;
    }
    takes_part
}
