//! Which socket a segment or datagram is for.

use super::{SocketId, iface::IfaceId};
use crate::{
    addr::{Endpoint, Flow},
    rng::Key,
    shrink,
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

/// A listener's or datagram socket's place.
#[derive(Copy, Clone, Debug)]
struct Place {
    addr: IpAddr,
    /// The connected peer.
    remote: Option<Endpoint>,
    /// The only interface it hears.
    iface: Option<IfaceId>,
    reuse_port: bool,
    id: SocketId,
}

impl Place {
    /// How well what came in by `iface` fits, as Linux's compute_score; `None`: not at all.
    fn score(&self, flow: &Flow, iface: IfaceId) -> Option<u8> {
        let fits = |is: bool| is.then_some(1);
        let exact = if self.addr.is_unspecified() { Some(0) } else { fits(self.addr == flow.local.addr) };
        let connected = self.remote.map_or(Some(0), |remote| fits(remote == flow.remote));
        let bound = self.iface.map_or(Some(0), |only| fits(only == iface));
        Some(exact? * 4 + connected? * 2 + bound?)
    }
}

/// The tables.
pub struct Demux {
    flows: HashMap<FlowKey, SocketId, Key>,
    listeners: HashMap<u16, Vec<Place>, Key>,
    datagrams: HashMap<u16, Vec<Place>, Key>,
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
    pub fn remove_connection(&mut self, flow: &Flow, id: SocketId) -> bool {
        let is_there = self.connection(flow) == Some(id);
        if is_there {
            self.flows.remove(&FlowKey(*flow));
            shrink::map(&mut self.flows);
        }
        is_there
    }

    /// A listener begins.
    pub fn add_listener(&mut self, local: Endpoint, iface: Option<IfaceId>, reuse_port: bool, id: SocketId) {
        let place = Place { addr: local.addr, remote: None, iface, reuse_port, id };
        self.listeners.entry(local.port).or_default().push(place);
    }

    /// A listener ends.
    pub fn remove_listener(&mut self, port: u16, id: SocketId) {
        if let Some(listeners) = self.listeners.get_mut(&port) {
            listeners.retain(|place| place.id != id);
            if listeners.is_empty() {
                self.listeners.remove(&port);
            }
        }
    }

    /// The listener for a new flow: the best fit; of several that share the port one chosen by the flow's hash.
    pub fn listener(&self, flow: &Flow, iface: IfaceId) -> Option<SocketId> {
        self.best(self.listeners.get(&flow.local.port)?, flow, iface)
    }

    /// The best fit; of equal ones that was bound last, or, if they share the port by SO_REUSEPORT, one chosen by the
    /// flow's hash.
    fn best(&self, places: &[Place], flow: &Flow, iface: IfaceId) -> Option<SocketId> {
        let (best, score) = places
            .iter()
            .rev()
            .filter_map(|place| place.score(flow, iface).map(|score| (place, score)))
            .reduce(|best, next| if next.1 > best.1 { next } else { best })?;
        if !best.reuse_port || best.remote.is_some() {
            return Some(best.id);
        }
        let group = places.iter().filter(|place| place.reuse_port && place.score(flow, iface) == Some(score));
        self.pick(flow, group.map(|place| place.id))
    }

    /// One of `members`, always the same for one flow while the group does not change.
    fn pick(&self, flow: &Flow, members: impl Iterator<Item = SocketId> + Clone) -> Option<SocketId> {
        let count = members.clone().count();
        let hash = self.key.hash(&FlowKey(*flow)) & u64::from(u32::MAX);
        let mut members = members;
        members.nth(((hash * count as u64) >> 32) as usize)
    }

    /// A datagram socket begins to receive.
    pub fn add_datagrams(
        &mut self,
        local: Endpoint,
        remote: Option<Endpoint>,
        iface: Option<IfaceId>,
        reuse_port: bool,
        id: SocketId,
    ) {
        let place = Place { addr: local.addr, remote, iface, reuse_port, id };
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

    /// The socket for a unicast datagram: the best fit.
    pub fn datagram(&self, flow: &Flow, iface: IfaceId) -> Option<SocketId> {
        self.best(self.datagrams.get(&flow.local.port)?, flow, iface)
    }

    /// All sockets for a broadcast or multicast datagram.
    pub fn datagram_to_many(&self, flow: &Flow, iface: IfaceId) -> Vec<SocketId> {
        let places = self.datagrams.get(&flow.local.port).map_or(&[][..], Vec::as_slice);
        places.iter().filter(|place| place.score(flow, iface).is_some()).map(|place| place.id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::SeededRng;

    const DEVICE: IfaceId = IfaceId::DEVICE;

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
        demux.add_listener(end("0.0.0.0:80"), None, false, id(1));
        demux.add_listener(end("10.0.0.2:80"), None, false, id(2));
        assert_eq!(demux.listener(&flow("10.0.0.2:80", "10.0.0.1:5"), DEVICE), Some(id(2)));
        assert_eq!(demux.listener(&flow("10.0.0.3:80", "10.0.0.1:5"), DEVICE), Some(id(1)));
        assert_eq!(demux.listener(&flow("10.0.0.3:81", "10.0.0.1:5"), DEVICE), None);
        demux.remove_listener(80, id(2));
        assert_eq!(demux.listener(&flow("10.0.0.2:80", "10.0.0.1:5"), DEVICE), Some(id(1)));
    }

    #[test]
    fn a_group_shares_flows_evenly_and_each_flow_keeps_its_member() {
        let mut demux = demux();
        (0..4).for_each(|i| demux.add_listener(end("0.0.0.0:80"), None, true, id(i)));
        let mut counts = [0; 4];
        for port in 1..=4000 {
            let flow = flow("10.0.0.2:80", &format!("10.0.0.1:{port}"));
            let chosen = demux.listener(&flow, DEVICE).unwrap();
            assert_eq!(demux.listener(&flow, DEVICE), Some(chosen));
            counts[chosen.index as usize] += 1;
        }
        assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
    }

    #[test]
    fn a_datagram_goes_to_the_best_fit_and_of_equals_to_the_last() {
        let mut demux = demux();
        demux.add_datagrams(end("0.0.0.0:53"), None, None, false, id(1));
        demux.add_datagrams(end("10.0.0.2:53"), None, None, false, id(2));
        demux.add_datagrams(end("10.0.0.2:53"), Some(end("10.0.0.9:9")), None, false, id(3));
        demux.add_datagrams(end("0.0.0.0:53"), None, None, false, id(4));
        assert_eq!(demux.datagram(&flow("10.0.0.2:53", "10.0.0.9:9"), DEVICE), Some(id(3)));
        assert_eq!(demux.datagram(&flow("10.0.0.2:53", "10.0.0.9:8"), DEVICE), Some(id(2)));
        assert_eq!(demux.datagram(&flow("10.0.0.7:53", "10.0.0.9:9"), DEVICE), Some(id(4)));
        let all = demux.datagram_to_many(&flow("10.0.0.255:53", "10.0.0.9:9"), DEVICE);
        assert_eq!(all, [id(1), id(4)]);
    }

    #[test]
    fn a_socket_bound_to_an_interface_hears_only_that_and_comes_before_one_that_hears_all() {
        let mut demux = demux();
        let lo = Some(IfaceId::LOOPBACK);
        demux.add_listener(end("0.0.0.0:80"), Some(DEVICE), false, id(1));
        demux.add_listener(end("0.0.0.0:80"), None, false, id(2));
        demux.add_datagrams(end("0.0.0.0:53"), None, lo, false, id(3));
        let (web, dns) = (flow("10.0.0.2:80", "10.0.0.9:9"), flow("10.0.0.2:53", "10.0.0.9:9"));
        assert_eq!([DEVICE, IfaceId::LOOPBACK].map(|iface| demux.listener(&web, iface)), [Some(id(1)), Some(id(2))]);
        assert_eq!([DEVICE, IfaceId::LOOPBACK].map(|iface| demux.datagram(&dns, iface)), [None, Some(id(3))]);
        assert!(demux.datagram_to_many(&dns, DEVICE).is_empty());
    }
}
