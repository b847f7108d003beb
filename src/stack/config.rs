//! The configuration of a stack, and the network specification it is read from:
//! `tap:t0,ip=10.0.0.2/24,gw=10.0.0.1,mtu=1500`.

pub mod impairment;
mod logging;
mod spec;
#[cfg(test)]
mod tests;

pub use impairment::Impairment;
pub use logging::{Logging, Whither};
pub use spec::SpecError;

use crate::{
    addr::Cidr,
    tcp::{Knobs, memory::Limits},
};
use std::{fmt, net::IpAddr, path::PathBuf};

/// The kind of device.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A TAP device: Ethernet frames.
    Tap,
    /// A TUN device: IP packets.
    Tun,
    /// No device: loopback only.
    Null,
}

impl Kind {
    /// As a specification has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tap => "tap",
            Self::Tun => "tun",
            Self::Null => "null",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A route from `route=NET@GW`.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct StaticRoute {
    /// The destination.
    pub to: Cidr,
    /// The gateway.
    pub via: IpAddr,
}

impl fmt::Display for StaticRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.to, self.via)
    }
}

/// The configuration of one stack. Its `Display` is the canonical specification.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Kind of device.
    pub kind: Kind,
    /// The device's name.
    pub name: String,
    /// Own addresses with their networks (`ip=`, `ip6=`).
    pub addresses: Vec<Cidr>,
    /// Default gateways, one per family at most (`gw=`, `gw6=`).
    pub gateways: Vec<IpAddr>,
    /// Further routes (`route=`).
    pub routes: Vec<StaticRoute>,
    /// Name servers (`dns=`).
    pub dns: Vec<IpAddr>,
    /// MTU if given (`mtu=`), else the device's.
    pub mtu: Option<u32>,
    /// MAC address if given (`mac=`), else derived.
    pub mac: Option<[u8; 6]>,
    /// Whether to use the device's offloads where it has them (`offload=`).
    pub offload: bool,
    /// Number of device queues (`queues=`).
    pub queues: usize,
    /// Memory of all TCP connections together if given (`mem=`), else what the process's own limits leave for it.
    pub memory: Option<Limits>,
    /// Impaired link (`link=`).
    pub link: Option<Impairment>,
    /// Capture file (`pcap=`).
    pub pcap: Option<PathBuf>,
    /// What is written of the log, and where to (`log=`).
    pub log: Option<Logging>,
    /// What Linux has as `net.ipv4.tcp_*` (`sysctl=`).
    pub sysctl: Knobs,
}

impl Config {
    /// The least memory a stack may be given, bytes: with less it could not even hold one connection's first flight in
    /// both directions.
    pub const LEAST_MEMORY: usize = 256 << 10;

    /// A device without an address, everything else at its default.
    pub fn new(kind: Kind, name: &str) -> Self {
        Self {
            kind,
            name: name.to_owned(),
            addresses: Vec::new(),
            gateways: Vec::new(),
            routes: Vec::new(),
            dns: Vec::new(),
            mtu: None,
            mac: None,
            offload: true,
            queues: 1,
            memory: None,
            link: None,
            pcap: None,
            log: None,
            sysctl: Knobs::default(),
        }
    }

    /// Reads a network specification, for example `tap:t0,ip=10.0.0.2/24,gw=10.0.0.1`.
    ///
    /// # Errors
    /// What is wrong, by the key it concerns, with the right form.
    pub fn parse(spec: &str) -> Result<Self, SpecError> {
        spec::parse(spec)
    }

    /// Fills what the specification left unset from `SOCKEYE_LINK`, `SOCKEYE_PCAP` and `SOCKEYE_LOG`, which `get` looks
    /// up. An empty variable is as good as none.
    ///
    /// # Errors
    /// What is wrong with a variable, by its name.
    pub fn fill_from_env(&mut self, get: impl Fn(&str) -> Option<String>) -> Result<(), SpecError> {
        spec::fill_from_env(self, get)
    }

    /// With the impairment, the capture and the log of `other` where this says nothing of them: they tell how a network
    /// is observed and not which one it is, so that who joins a stack may leave them out.
    #[must_use]
    pub fn observed_as(mut self, other: &Self) -> Self {
        self.link = self.link.or_else(|| other.link.clone());
        self.pcap = self.pcap.or_else(|| other.pcap.clone());
        self.log = self.log.or_else(|| other.log.clone());
        self
    }

    /// The first key in which `other` differs from this, with the two values as a specification has them.
    pub fn difference(&self, other: &Self) -> Option<(String, Option<String>, Option<String>)> {
        let (one, two) = (self.to_string(), other.to_string());
        let key = |part: &str| part.split_once('=').map_or("device", |(key, _)| key).to_owned();
        let find = |spec: &str, wanted: &str| spec.split(',').find(|part| key(part) == wanted).map(str::to_owned);
        let mut keys = one.split(',').chain(two.split(',')).map(key);
        keys.find_map(|key| {
            let (ours, theirs) = (find(&one, &key), find(&two, &key));
            (ours != theirs).then_some((key, ours, theirs))
        })
    }

    /// Sets the MAC address, if none was given, to one derived from the machine, the device and the first address:
    /// the same at every start, different for every stack of a link.
    pub fn fill_mac(&mut self, machine_id: &str) {
        if self.kind == Kind::Tap && self.mac.is_none() {
            self.mac = Some(default_mac(machine_id, &self.name, self.addresses.first().map(|cidr| cidr.addr)));
        }
    }
}

/// A locally administered unicast address (IEEE 802 section 8.2.2), hashed from what names a stack on its link.
pub fn default_mac(machine_id: &str, device: &str, address: Option<IpAddr>) -> [u8; 6] {
    let address = address.map(|address| address.to_string()).unwrap_or_default();
    // FNV-1a, with the murmur3 finisher to spread the last bytes: the address must not change with the compiler's
    // library, as the standard hasher's results may.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in [machine_id, device, &address].join("\0").bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    let [mut first, b, c, d, e, f, ..] = hash.to_be_bytes();
    first = (first & 0xfc) | 0x02;
    [first, b, c, d, e, f]
}

/// Writes `,key=a+b` unless `values` is empty.
fn joined<T: fmt::Display>(f: &mut fmt::Formatter<'_>, key: &str, values: impl IntoIterator<Item = T>) -> fmt::Result {
    let mut before = format!(",{key}=");
    for value in values {
        write!(f, "{before}{value}")?;
        "+".clone_into(&mut before);
    }
    Ok(())
}

impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kind,
            name,
            addresses,
            gateways,
            routes,
            dns,
            mtu,
            mac,
            offload,
            queues,
            memory,
            link,
            pcap,
            log,
            sysctl,
        } = self;
        write!(f, "{kind}:{name}")?;
        joined(f, "ip", addresses.iter().filter(|cidr| cidr.addr.is_ipv4()))?;
        joined(f, "gw", gateways.iter().filter(|addr| addr.is_ipv4()))?;
        joined(f, "ip6", addresses.iter().filter(|cidr| cidr.addr.is_ipv6()))?;
        joined(f, "gw6", gateways.iter().filter(|addr| addr.is_ipv6()))?;
        joined(f, "route", routes)?;
        joined(f, "dns", dns)?;
        joined(f, "mtu", mtu)?;
        joined(f, "mac", mac.map(|[a, b, c, d, e, g]| format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")))?;
        joined(f, "offload", (!offload).then_some("off"))?;
        joined(f, "queues", (*queues != 1).then_some(queues))?;
        joined(f, "mem", memory.map(|memory| memory.high))?;
        joined(f, "link", link)?;
        joined(f, "pcap", pcap.as_ref().map(|path| path.display()))?;
        joined(f, "log", log)?;
        let changed = sysctl.iter().zip(Knobs::default().iter()).filter(|(now, default)| now != default);
        let sizes = sysctl.sizes().into_iter().zip(Knobs::default().sizes()).filter(|(now, default)| now != default);
        let sizes = sizes.map(|((name, sizes), _)| format!("{name}:{sizes}"));
        joined(f, "sysctl", changed.map(|((name, value), _)| format!("{name}:{value}")).chain(sizes))
    }
}

impl std::str::FromStr for Config {
    type Err = SpecError;
    fn from_str(spec: &str) -> Result<Self, SpecError> {
        Self::parse(spec)
    }
}
