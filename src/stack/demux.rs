//! Which socket a segment or datagram is for.

use super::SocketId;
use crate::{
    addr::{Endpoint, Flow},
    rng::Key,
};
use std::{
    collections::HashMap,
    hash::{Hash, Hasher},
    net::IpAddr,
};

/// A flow as a key of a hash table: few writes to the hasher, because every received segment pays for them.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct FlowKey(pub Flow);

impl Hash for FlowKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Flow { local, remote } = self.0;
        match (local.addr, remote.addr) {
            (IpAddr::V4(l), IpAddr::V4(r)) => state.write_u64(u64::from(u32::from(l)) << 32 | u64::from(u32::from(r))),
            (l, r) => (l, r).hash(state),
        }
        state.write_u32(u32::from(local.port) << 16 | u32::from(remote.port));
    }
}

/// A listener's place.
#[derive(Copy, Clone, Debug)]
struct Listening {
    addr: IpAddr,
    reuse_port: bool,
    id: SocketId,
}

/// A datagram socket's place.
#[derive(Copy, Clone, Debug)]
struct Datagrams {
    addr: IpAddr,
    remote: Option<Endpoint>,
    reuse_port: bool,
    id: SocketId,
}

impl Datagrams {
    /// How well a datagram of `flow` fits, as Linux's compute_score; `None`: not at all.
    fn score(&self, flow: &Flow) -> Option<u8> {
        let exact = if self.addr == flow.local.addr {
            1
        } else if self.addr.is_unspecified() {
            0
        } else {
            return None;
        };
        match self.remote {
            Some(remote) if remote == flow.remote => Some(exact + 2),
            Some(_) => None,
            None => Some(exact),
        }
    }
}

/// The tables.
pub struct Demux {
    flows: HashMap<FlowKey, SocketId, Key>,
    listeners: HashMap<u16, Vec<Listening>, Key>,
    datagrams: HashMap<u16, Vec<Datagrams>, Key>,
    key: Key,
}

impl Demux {
    /// Empty tables.
    pub fn new(key: Key) -> Self {
        Self {
            flows: HashMap::with_hasher(key),
            listeners: HashMap::with_hasher(key),
            datagrams: HashMap::with_hasher(key),
            key,
        }
    }

    /// The connection of a flow.
    pub fn connection(&self, flow: &Flow) -> Option<SocketId> {
        self.flows.get(&FlowKey(*flow)).copied()
    }

    /// A connection begins.
    pub fn add_connection(&mut self, flow: Flow, id: SocketId) {
        self.flows.insert(FlowKey(flow), id);
    }

    /// The connection `id` is no more; a newer one of the same flow stays.
    pub fn remove_connection(&mut self, flow: &Flow, id: SocketId) {
        if self.connection(flow) == Some(id) {
            self.flows.remove(&FlowKey(*flow));
        }
    }

    /// A listener begins.
    pub fn add_listener(&mut self, local: Endpoint, reuse_port: bool, id: SocketId) {
        self.listeners.entry(local.port).or_default().push(Listening { addr: local.addr, reuse_port, id });
    }

    /// A listener ends.
    pub fn remove_listener(&mut self, port: u16, id: SocketId) {
        if let Some(listeners) = self.listeners.get_mut(&port) {
            listeners.retain(|listening| listening.id != id);
            if listeners.is_empty() {
                self.listeners.remove(&port);
            }
        }
    }

    /// The listener for a new flow: one on the address itself before one on all; of several that share the port one
    /// chosen by the flow's hash.
    pub fn listener(&self, flow: &Flow) -> Option<SocketId> {
        let listeners = self.listeners.get(&flow.local.port)?;
        let exact = |listening: &&Listening| listening.addr == flow.local.addr;
        let any = |listening: &&Listening| listening.addr.is_unspecified();
        let (best, wildcard) = match listeners.iter().rev().find(exact) {
            Some(best) => (best, false),
            None => (listeners.iter().rev().find(any)?, true),
        };
        if !best.reuse_port {
            return Some(best.id);
        }
        let group =
            |listening: &&Listening| listening.reuse_port && if wildcard { any(listening) } else { exact(listening) };
        self.pick(flow, listeners.iter().filter(group).map(|listening| listening.id))
    }

    /// One of `members`, always the same for one flow while the group does not change.
    fn pick(&self, flow: &Flow, members: impl Iterator<Item = SocketId> + Clone) -> Option<SocketId> {
        let count = members.clone().count();
        let hash = self.key.hash(&FlowKey(*flow)) & u64::from(u32::MAX);
        let mut members = members;
        members.nth(((hash * count as u64) >> 32) as usize)
    }

    /// A datagram socket begins to receive.
    pub fn add_datagrams(&mut self, local: Endpoint, remote: Option<Endpoint>, reuse_port: bool, id: SocketId) {
        let place = Datagrams { addr: local.addr, remote, reuse_port, id };
        self.datagrams.entry(local.port).or_default().push(place);
    }

    /// A datagram socket receives no more.
    pub fn remove_datagrams(&mut self, port: u16, id: SocketId) {
        if let Some(sockets) = self.datagrams.get_mut(&port) {
            sockets.retain(|place| place.id != id);
            if sockets.is_empty() {
                self.datagrams.remove(&port);
            }
        }
    }

    /// The socket for a unicast datagram: the best fit; of equal ones that was bound last, or, if they share the port
    /// by SO_REUSEPORT, one chosen by the flow's hash.
    pub fn datagram(&self, flow: &Flow) -> Option<SocketId> {
        let sockets = self.datagrams.get(&flow.local.port)?;
        let (best, score) = sockets
            .iter()
            .rev()
            .filter_map(|place| place.score(flow).map(|score| (place, score)))
            .reduce(|best, next| if next.1 > best.1 { next } else { best })?;
        if !best.reuse_port || best.remote.is_some() {
            return Some(best.id);
        }
        let group = sockets.iter().filter(|place| place.reuse_port && place.score(flow) == Some(score));
        self.pick(flow, group.map(|place| place.id))
    }

    /// All sockets for a broadcast or multicast datagram.
    pub fn datagram_to_many(&self, flow: &Flow) -> Vec<SocketId> {
        let sockets = self.datagrams.get(&flow.local.port).map_or(&[][..], Vec::as_slice);
        sockets.iter().filter(|place| place.score(flow).is_some()).map(|place| place.id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::SeededRng;

    fn end(text: &str) -> Endpoint {
        let addr: std::net::SocketAddr = text.parse().unwrap();
        Endpoint::new(addr.ip(), addr.port())
    }

    fn id(index: u32) -> SocketId {
        SocketId { index, generation: 0 }
    }

    fn flow(local: &str, remote: &str) -> Flow {
        Flow { local: end(local), remote: end(remote) }
    }

    fn demux() -> Demux {
        Demux::new(Key::random(&mut SeededRng::new([4, 4])))
    }

    #[test]
    fn a_listener_on_the_address_comes_before_one_on_all() {
        let mut demux = demux();
        demux.add_listener(end("0.0.0.0:80"), false, id(1));
        demux.add_listener(end("10.0.0.2:80"), false, id(2));
        assert_eq!(demux.listener(&flow("10.0.0.2:80", "10.0.0.1:5")), Some(id(2)));
        assert_eq!(demux.listener(&flow("10.0.0.3:80", "10.0.0.1:5")), Some(id(1)));
        assert_eq!(demux.listener(&flow("10.0.0.3:81", "10.0.0.1:5")), None);
        demux.remove_listener(80, id(2));
        assert_eq!(demux.listener(&flow("10.0.0.2:80", "10.0.0.1:5")), Some(id(1)));
    }

    #[test]
    fn a_group_shares_flows_evenly_and_each_flow_keeps_its_member() {
        let mut demux = demux();
        (0..4).for_each(|i| demux.add_listener(end("0.0.0.0:80"), true, id(i)));
        let mut counts = [0; 4];
        for port in 1..=4000 {
            let flow = flow("10.0.0.2:80", &format!("10.0.0.1:{port}"));
            let chosen = demux.listener(&flow).unwrap();
            assert_eq!(demux.listener(&flow), Some(chosen));
            counts[chosen.index as usize] += 1;
        }
        assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
    }

    #[test]
    fn a_datagram_goes_to_the_best_fit_and_of_equals_to_the_last() {
        let mut demux = demux();
        demux.add_datagrams(end("0.0.0.0:53"), None, false, id(1));
        demux.add_datagrams(end("10.0.0.2:53"), None, false, id(2));
        demux.add_datagrams(end("10.0.0.2:53"), Some(end("10.0.0.9:9")), false, id(3));
        demux.add_datagrams(end("0.0.0.0:53"), None, false, id(4));
        assert_eq!(demux.datagram(&flow("10.0.0.2:53", "10.0.0.9:9")), Some(id(3)));
        assert_eq!(demux.datagram(&flow("10.0.0.2:53", "10.0.0.9:8")), Some(id(2)));
        assert_eq!(demux.datagram(&flow("10.0.0.7:53", "10.0.0.9:9")), Some(id(4)));
        let all = demux.datagram_to_many(&flow("10.0.0.255:53", "10.0.0.9:9"));
        assert_eq!(all, [id(1), id(4)]);
    }
}
