//! Connections in TIME-WAIT whose owner has gone, in a few bytes each (RFC 9293 section 3.3.2).

use super::{demux::FlowKey, ports::Binding};
use crate::{addr::Flow, rng::Key, shrink, tcp::TimeWait, time::Instant};
use std::collections::{HashMap, VecDeque};

/// One connection that waits.
pub struct Waiting {
    /// What judges its late segments.
    pub state: TimeWait,
    /// Its claim on the port.
    pub binding: Option<Binding>,
}

/// All of them.
pub struct TimeWaits {
    by_flow: HashMap<FlowKey, Waiting, Key>,
    /// In about the order of their ends; the real end is looked at when the time has come.
    order: VecDeque<(Instant, Flow)>,
}

impl TimeWaits {
    /// None waits.
    pub fn new(key: Key) -> Self {
        Self { by_flow: HashMap::with_hasher(key), order: VecDeque::new() }
    }

    /// A connection begins to wait; gives it back when `limit` wait already.
    pub fn add(&mut self, flow: Flow, waiting: Waiting, limit: usize) -> Result<(), Waiting> {
        if self.by_flow.len() >= limit {
            return Err(waiting);
        }
        self.order.push_back((waiting.state.until, flow));
        self.by_flow.insert(FlowKey(flow), waiting);
        Ok(())
    }

    /// The connection of `flow`.
    pub fn lookup(&mut self, flow: &Flow) -> Option<&mut Waiting> {
        if self.by_flow.is_empty() { None } else { self.by_flow.get_mut(&FlowKey(*flow)) }
    }

    /// Whether nobody waits on `flow`, or somebody who gives way to a new connection.
    pub fn admits(&self, flow: &Flow, now: Instant) -> bool {
        self.by_flow.get(&FlowKey(*flow)).is_none_or(|waiting| waiting.state.may_be_reused(now))
    }

    /// All of them.
    pub fn flows(&self) -> impl Iterator<Item = &Flow> {
        self.by_flow.keys().map(|key| &key.0)
    }

    /// Forgets the connection of `flow`.
    pub fn remove(&mut self, flow: &Flow) -> Option<Waiting> {
        let waiting = self.by_flow.remove(&FlowKey(*flow));
        shrink::map(&mut self.by_flow);
        waiting
    }

    /// Takes the next connection that has waited long enough.
    pub fn poll_expired(&mut self, now: Instant) -> Option<Waiting> {
        while self.order.front().is_some_and(|(until, _)| *until <= now) {
            let (_, flow) = self.order.pop_front()?;
            shrink::queue(&mut self.order);
            match self.by_flow.get(&FlowKey(flow)).map(|waiting| waiting.state.until) {
                Some(until) if until > now => self.order.push_back((until, flow)),
                Some(_) => return self.remove(&flow),
                None => {}
            }
        }
        None
    }

    /// When [`TimeWaits::poll_expired`] wants to be called.
    pub fn poll_deadline(&self) -> Option<Instant> {
        self.order.front().map(|(until, _)| *until)
    }
}
