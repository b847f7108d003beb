//! The configuration of a stack, and the network specification it is read from:
//! `tap:t0,ip=10.0.0.2/24,gw=10.0.0.1,mtu=1500`.

use crate::{addr::Cidr, time::Duration};
use std::{net::IpAddr, path::PathBuf};

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

/// A route from `route=NET@GW`.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct StaticRoute {
    /// The destination.
    pub to: Cidr,
    /// The gateway.
    pub via: IpAddr,
}

/// An impaired link (`link=`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Impairment {
    /// One-way delay in each direction.
    pub delay: Duration,
    /// Deviation of the delay, uniform in ±jitter.
    pub jitter: Duration,
    /// Probability that a frame is lost, 0 to 1.
    pub loss: f64,
    /// Probability that a frame overtakes those before it, 0 to 1.
    pub reorder: f64,
    /// Probability that a frame comes twice, 0 to 1.
    pub duplicate: f64,
    /// Probability that one bit of a frame flips, 0 to 1.
    pub corrupt: f64,
    /// Bits per second; 0 is unlimited.
    pub rate: u64,
    /// Bytes that wait for the rate at most before frames are dropped; 0 means the default.
    pub queue: usize,
    /// Seed of the random choices.
    pub seed: u64,
}

/// The configuration of one stack.
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
    /// Impaired link (`link=`).
    pub link: Option<Impairment>,
    /// Capture file (`pcap=`).
    pub pcap: Option<PathBuf>,
    /// Log level (`log=`).
    pub log: Option<log::LevelFilter>,
}
