//! Connections in TIME-WAIT whose owner has gone, in a few bytes each (RFC 9293 section 3.3.2).

use super::{demux::FlowKey, ports::Binding};
use crate::{
    addr::Flow,
    line::{Line, Links},
    rng::Key,
    shrink,
    slab::Slab,
    tcp::TimeWait,
    time::Instant,
};
use std::collections::HashMap;

/// One connection that waits.
pub struct Waiting {
    /// What judges its late segments.
    pub state: TimeWait,
    /// Its claim on the port.
    pub binding: Option<Binding>,
}

struct Slot {
    flow: Flow,
    waiting: Waiting,
    /// When it is looked at: its end, as it was when it was put into line.
    look_at: Instant,
}

/// All of them.
pub struct TimeWaits {
    by_flow: HashMap<FlowKey, u32, Key>,
    slots: Slab<Slot>,
    /// In about the order of their ends; the real end is looked at when the time has come.
    line: Line,
    links: Links,
}

impl TimeWaits {
    /// None waits.
    pub fn new(key: Key) -> Self {
        let by_flow = HashMap::with_hasher(key);
        Self { by_flow, slots: Slab::default(), line: Line::default(), links: Links::default() }
    }

    /// A connection begins to wait; gives it back when `limit` wait already.
    pub fn add(&mut self, flow: Flow, waiting: Waiting, limit: usize) -> Result<(), Waiting> {
        if self.by_flow.len() >= limit {
            return Err(waiting);
        }
        let look_at = waiting.state.until;
        let slot = self.slots.insert(Slot { flow, waiting, look_at });
        self.links.push(&mut self.line, slot);
        if let Some(old) = self.by_flow.insert(FlowKey(flow), slot) {
            self.vacate(old);
        }
        Ok(())
    }

    /// The connection of `flow`.
    pub fn lookup(&mut self, flow: &Flow) -> Option<&mut Waiting> {
        if self.by_flow.is_empty() {
            return None;
        }
        let slot = *self.by_flow.get(&FlowKey(*flow))?;
        self.slots.lookup_mut(slot).map(|slot| &mut slot.waiting)
    }

    /// Whether nobody waits on `flow`, or somebody who gives way to a new connection.
    pub fn admits(&self, flow: &Flow, now: Instant) -> bool {
        let slot = self.by_flow.get(&FlowKey(*flow)).and_then(|slot| self.slots.lookup(*slot));
        slot.is_none_or(|slot| slot.waiting.state.may_be_reused(now))
    }

    /// All of them.
    pub fn flows(&self) -> impl Iterator<Item = &Flow> {
        self.by_flow.keys().map(|key| &key.0)
    }

    /// Forgets the connection of `flow`.
    pub fn remove(&mut self, flow: &Flow) -> Option<Waiting> {
        let slot = self.by_flow.remove(&FlowKey(*flow))?;
        shrink::map(&mut self.by_flow);
        self.vacate(slot)
    }

    /// Empties a slot that no flow leads to any more.
    fn vacate(&mut self, slot: u32) -> Option<Waiting> {
        self.links.remove(&mut self.line, slot);
        let waiting = self.slots.remove(slot).map(|slot| slot.waiting);
        if self.line.is_empty() {
            // What the tables grew to is given back when the rush is over.
            (self.slots, self.links) = (Slab::default(), Links::default());
        }
        waiting
    }

    /// Takes the next connection that has waited long enough.
    pub fn poll_expired(&mut self, now: Instant) -> Option<Waiting> {
        while let Some(first) = self.line.first()
            && let Some(slot) = self.slots.lookup_mut(first)
            && slot.look_at <= now
        {
            let until = slot.waiting.state.until;
            if until <= now {
                let flow = slot.flow;
                return self.remove(&flow);
            }
            slot.look_at = until;
            self.links.remove(&mut self.line, first);
            self.links.push(&mut self.line, first);
        }
        None
    }

    /// When [`TimeWaits::poll_expired`] wants to be called.
    pub fn poll_deadline(&self) -> Option<Instant> {
        self.slots.lookup(self.line.first()?).map(|slot| slot.look_at)
    }
}
