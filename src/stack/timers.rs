//! The deadlines of all sockets: a heap with at most one entry for each. An entry is moved when a socket's deadline
//! comes nearer; when it moves away, as it does with every acknowledgement, nothing happens until the old time has come
//! and the real deadline is looked at.

use crate::time::Instant;

/// A socket without an entry in the heap.
const ABSENT: u32 = u32::MAX;

/// The heap. Sockets are known by the index of their slot.
#[derive(Default)]
pub struct Timers {
    heap: Vec<(Instant, u32)>,
    /// Where in the heap each slot's entry is.
    places: Vec<u32>,
}

impl Timers {
    /// The socket at `slot` wants to be called at `deadline`.
    pub fn arm(&mut self, slot: u32, deadline: Option<Instant>) {
        let Some(deadline) = deadline else { return };
        if self.places.len() <= slot as usize {
            self.places.resize(slot as usize + 1, ABSENT);
        }
        let place = self.places[slot as usize];
        if place == ABSENT {
            self.heap.push((deadline, slot));
            self.rise(self.heap.len() - 1);
        } else if deadline < self.heap[place as usize].0 {
            self.heap[place as usize].0 = deadline;
            self.rise(place as usize);
        }
    }

    /// The socket at `slot` is gone.
    pub fn disarm(&mut self, slot: u32) {
        let place = self.places.get(slot as usize).copied().unwrap_or(ABSENT);
        if place != ABSENT {
            self.take(place as usize);
        }
    }

    /// Takes a socket whose time may have come: the caller looks at its real deadline and arms it again.
    pub fn poll_due(&mut self, now: Instant) -> Option<u32> {
        let &(deadline, slot) = self.heap.first()?;
        (deadline <= now).then(|| {
            self.take(0);
            slot
        })
    }

    /// How many sockets have an entry.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// The earliest time.
    pub fn poll_deadline(&self) -> Option<Instant> {
        self.heap.first().map(|(deadline, _)| *deadline)
    }

    fn take(&mut self, place: usize) {
        let (_, slot) = self.heap.swap_remove(place);
        self.places[slot as usize] = ABSENT;
        if place < self.heap.len() {
            self.sink(place);
            self.rise(place);
        }
    }

    fn rise(&mut self, mut place: usize) {
        while place > 0 && self.heap[place].0 < self.heap[(place - 1) / 2].0 {
            self.heap.swap(place, (place - 1) / 2);
            self.places[self.heap[place].1 as usize] = place as u32;
            place = (place - 1) / 2;
        }
        self.places[self.heap[place].1 as usize] = place as u32;
    }

    fn sink(&mut self, mut place: usize) {
        loop {
            let children = 2 * place + 1..(2 * place + 3).min(self.heap.len());
            let Some(least) = children.min_by_key(|&child| self.heap[child].0) else { break };
            if self.heap[place].0 <= self.heap[least].0 {
                break;
            }
            self.heap.swap(place, least);
            self.places[self.heap[place].1 as usize] = place as u32;
            place = least;
        }
        self.places[self.heap[place].1 as usize] = place as u32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Rng, SeededRng};

    fn at(n: u64) -> Instant {
        Instant::from_nanos(n)
    }

    #[test]
    fn a_deadline_that_comes_nearer_moves_and_one_that_goes_away_stays() {
        let mut timers = Timers::default();
        timers.arm(3, Some(at(100)));
        timers.arm(3, Some(at(50)));
        timers.arm(3, Some(at(200)));
        assert_eq!((timers.poll_deadline(), timers.heap.len()), (Some(at(50)), 1));
        assert_eq!(timers.poll_due(at(49)), None);
        assert_eq!(timers.poll_due(at(50)), Some(3));
        assert_eq!(timers.poll_deadline(), None);
    }

    #[test]
    fn sockets_come_in_the_order_of_their_deadlines_whatever_happened_before() {
        let mut rng = SeededRng::new([6, 6]);
        let mut timers = Timers::default();
        let mut wanted = std::collections::BTreeMap::new();
        for _ in 0..5000 {
            let slot = rng.below(200);
            if rng.chance(0.2) {
                timers.disarm(slot);
                wanted.remove(&slot);
            } else {
                let deadline = at(rng.u64() >> 40);
                timers.arm(slot, Some(deadline));
                let queued = wanted.entry(slot).or_insert(deadline);
                *queued = deadline.min(*queued);
            }
        }
        let mut last = Instant::ZERO;
        while let Some(deadline) = timers.poll_deadline() {
            let slot = timers.poll_due(deadline).unwrap();
            assert_eq!(wanted.remove(&slot), Some(deadline));
            assert!(deadline >= last);
            last = deadline;
        }
        assert!(wanted.is_empty());
    }
}
