//! Which ports are taken, who may share them, and the choice of ephemeral ones.

use super::{Protocol, iface::IfaceId};
use crate::{
    rng::{Key, Rng},
    shrink,
};
use std::{collections::HashMap, hash::Hash, net::IpAddr, ops::RangeInclusive};

/// Ephemeral ports (Linux's net.ipv4.ip_local_port_range).
pub const EPHEMERAL: RangeInclusive<u16> = 32_768..=60_999;
/// Counters of the port choice (RFC 6056 section 3.3.4 and Linux).
const COUNTERS: usize = 256;

/// A claim on a port.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The port.
    pub port: u16,
    /// The address; unspecified means all.
    pub addr: IpAddr,
    /// Of IPv6 alone (IPV6_V6ONLY): claims on IPv4 addresses, mapped ones among them, are no matter.
    pub v6only: bool,
    /// The interface (SO_BINDTODEVICE); none means all.
    pub iface: Option<IfaceId>,
    /// SO_REUSEADDR was set.
    pub reuse_addr: bool,
    /// SO_REUSEPORT was set.
    pub reuse_port: bool,
    /// It is a listener's.
    pub listening: bool,
    /// The port was chosen by connect(2): other connections may share it.
    pub implicit: bool,
}

impl Binding {
    /// Whether both may not be at the same time: Linux's inet_bind_conflict (SO_REUSEADDR shares with all but
    /// listeners). `strict`: for a port we choose, sharing is out of the question.
    fn conflicts(&self, other: &Self, strict: bool) -> bool {
        let overlap = self.addr == other.addr || self.addr.is_unspecified() || other.addr.is_unspecified();
        let meets = |one: &Self, other: &Self| !one.v6only || other.addr.is_ipv6();
        let overlap = overlap && meets(self, other) && meets(other, self);
        let overlap = overlap && (self.iface == other.iface || self.iface.is_none() || other.iface.is_none());
        let shared_addr = self.reuse_addr && other.reuse_addr && !other.listening;
        let shared_port = self.reuse_port && other.reuse_port;
        overlap && (strict || !(shared_addr || shared_port))
    }
}

/// All claims: equal ones are counted, so that a listener's thousands of connections are one line.
pub struct Ports {
    by_port: HashMap<(Protocol, u16), Vec<(Binding, u32)>, Key>,
    key: Key,
    counters: Box<[u16; COUNTERS]>,
}

impl Ports {
    /// All ports are free.
    pub fn new(rng: &mut dyn Rng) -> Self {
        let mut counters = Box::new([0; COUNTERS]);
        counters.fill_with(|| rng.u32() as u16);
        Self { by_port: HashMap::with_hasher(Key::random(rng)), key: Key::random(rng), counters }
    }

    fn claims(&self, protocol: Protocol, port: u16) -> &[(Binding, u32)] {
        self.by_port.get(&(protocol, port)).map_or(&[], Vec::as_slice)
    }

    /// Whether `binding` can be added.
    pub fn admits(&self, binding: &Binding) -> bool {
        !self.claims(binding.protocol, binding.port).iter().any(|(other, _)| binding.conflicts(other, false))
    }

    /// Whether a new connection may use the port, if its flow is free: nobody bound it, other connections chose it.
    pub fn is_shareable(&self, protocol: Protocol, port: u16) -> bool {
        self.claims(protocol, port).iter().all(|(other, _)| other.implicit)
    }

    /// Adds a claim.
    pub fn add(&mut self, binding: Binding) {
        let claims = self.by_port.entry((binding.protocol, binding.port)).or_default();
        match claims.iter_mut().find(|(other, _)| *other == binding) {
            Some((_, count)) => *count += 1,
            None => claims.push((binding, 1)),
        }
    }

    /// Removes a claim.
    pub fn remove(&mut self, binding: &Binding) {
        let place = (binding.protocol, binding.port);
        let Some(claims) = self.by_port.get_mut(&place) else { return };
        if let Some(at) = claims.iter().position(|(other, _)| other == binding) {
            claims[at].1 -= 1;
            if claims[at].1 == 0 {
                claims.swap_remove(at);
            }
        }
        if claims.is_empty() {
            self.by_port.remove(&place);
            shrink::map(&mut self.by_port);
        }
    }

    /// A free port for bind(2) to port 0; `wanted.port` is ignored.
    pub fn choose(&self, wanted: &Binding, rng: &mut dyn Rng) -> Option<u16> {
        let start = rng.below(EPHEMERAL.len() as u32) as u16;
        candidates(start).find(|&port| {
            let binding = Binding { port, ..*wanted };
            !self.claims(wanted.protocol, port).iter().any(|(other, _)| binding.conflicts(other, true))
        })
    }

    /// A port for a connection to `destination`: RFC 6056 section 3.3.4 (algorithm 4, double hash), which Linux uses
    /// too: each destination sees its own sequence, and knows nothing of the others'.
    pub fn choose_for(&mut self, destination: &impl Hash, mut usable: impl FnMut(&Self, u16) -> bool) -> Option<u16> {
        let hash = self.key.hash(destination);
        let counter = (hash >> 32) as usize % COUNTERS;
        let offset = (hash as u16).wrapping_add(self.counters[counter]) % EPHEMERAL.len() as u16;
        let (tried, port) = candidates(offset).enumerate().find(|&(_, port)| usable(self, port))?;
        self.counters[counter] = self.counters[counter].wrapping_add(tried as u16 + 1);
        Some(port)
    }
}

/// Every ephemeral port once, from the `start`th on.
fn candidates(start: u16) -> impl Iterator<Item = u16> {
    let count = EPHEMERAL.len() as u16;
    (0..count).map(move |i| EPHEMERAL.start() + ((u32::from(start) + u32::from(i)) % u32::from(count)) as u16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::SeededRng;
    use std::net::Ipv4Addr;

    const ANY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    const A: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
    const B: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));

    fn binding(addr: IpAddr, flags: &str) -> Binding {
        let has = |c| flags.contains(c);
        Binding {
            protocol: Protocol::Tcp,
            port: 80,
            addr,
            v6only: has('6'),
            iface: has('d').then_some(IfaceId::DEVICE).or(has('o').then_some(IfaceId::LOOPBACK)),
            reuse_addr: has('a'),
            reuse_port: has('p'),
            listening: has('l'),
            implicit: has('i'),
        }
    }

    fn ports() -> Ports {
        Ports::new(&mut SeededRng::new([5, 6]))
    }

    #[test]
    fn a_port_of_ipv6_alone_is_no_matter_to_ipv4() {
        let any6 = IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED);
        let [only, both] = [binding(any6, "6"), binding(any6, "")];
        for (first, second, admitted) in [
            (only, binding(ANY, ""), true),
            (binding(A, "l"), only, true),
            (only, both, false),
            (both, only, false),
            (only, only, false),
            (both, binding(A, ""), false),
            (binding(ANY, ""), both, false),
        ] {
            let mut ports = ports();
            ports.add(first);
            assert_eq!(ports.admits(&second), admitted, "{first:?} {second:?}");
        }
    }

    #[test]
    fn sharing_follows_linux() {
        // (who is there, who comes, may they share): a = SO_REUSEADDR, p = SO_REUSEPORT, l = listening,
        // d = SO_BINDTODEVICE to the device, o = to the loopback
        let table = [
            ((A, ""), (B, ""), true),
            ((A, ""), (A, ""), false),
            ((ANY, ""), (A, ""), false),
            ((A, ""), (ANY, ""), false),
            ((A, "a"), (A, "a"), true),
            ((A, "a"), (A, ""), false),
            ((A, ""), (A, "a"), false),
            ((A, "al"), (A, "a"), false),
            ((A, "al"), (B, "al"), true),
            ((A, "p"), (A, "p"), true),
            ((ANY, "pl"), (ANY, "pl"), true),
            ((A, "pl"), (A, "al"), false),
            ((A, "dl"), (A, "ol"), true),
            ((A, "dl"), (A, "d"), false),
            ((A, "dl"), (A, ""), false),
        ];
        for ((addr, flags), (addr2, flags2), shared) in table {
            let mut ports = ports();
            ports.add(binding(addr, flags));
            assert_eq!(ports.admits(&binding(addr2, flags2)), shared, "{addr}{flags} then {addr2}{flags2}");
        }
    }

    #[test]
    fn a_bound_socket_that_begins_to_listen_beside_a_listener_is_refused() {
        let mut ports = ports();
        ports.add(binding(A, "a"));
        assert!(ports.admits(&binding(A, "al")));
        ports.add(binding(A, "al"));
        assert!(!ports.admits(&binding(A, "al")));
    }

    #[test]
    fn equal_claims_are_counted() {
        let mut ports = ports();
        (0..3).for_each(|_| ports.add(binding(A, "")));
        assert_eq!(ports.by_port.values().map(Vec::len).sum::<usize>(), 1);
        (0..2).for_each(|_| ports.remove(&binding(A, "")));
        assert!(!ports.admits(&binding(A, "")));
        ports.remove(&binding(A, ""));
        assert!(ports.by_port.is_empty());
    }

    #[test]
    fn every_ephemeral_port_is_found_before_giving_up() {
        let mut ports = ports();
        let mut rng = SeededRng::new([1, 1]);
        for _ in 0..EPHEMERAL.len() {
            let port = ports.choose(&binding(ANY, ""), &mut rng).unwrap();
            assert!(EPHEMERAL.contains(&port));
            ports.add(Binding { port, ..binding(ANY, "") });
        }
        assert_eq!(ports.choose(&binding(ANY, ""), &mut rng), None);
        assert_eq!(ports.choose_for(&1, |ports, port| ports.is_shareable(Protocol::Tcp, port)), None);
    }

    #[test]
    fn connections_share_ports_that_connections_chose_and_each_destination_has_its_sequence() {
        let mut ports = ports();
        let first = ports.choose_for(&"x", |_, _| true).unwrap();
        let second = ports.choose_for(&"x", |_, _| true).unwrap();
        assert_eq!((second - EPHEMERAL.start()) as usize, (first - EPHEMERAL.start() + 1) as usize % EPHEMERAL.len());
        ports.add(Binding { port: 40_000, ..binding(A, "i") });
        assert!(ports.is_shareable(Protocol::Tcp, 40_000));
        assert!(!ports.admits(&Binding { port: 40_000, ..binding(A, "") }));
    }
}
