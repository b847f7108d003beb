//! What the stack knows of an interface.

pub use crate::ip::IfaceId;

/// What a device's frames start with.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Medium {
    /// An Ethernet header.
    Ethernet,
    /// An IP header.
    Ip,
}

/// What a device can do. Offloads it does not have are done in software before frames reach it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// What frames start with.
    pub medium: Medium,
    /// Largest IP packet on the link, bytes.
    pub mtu: u32,
    /// Largest IP packet the device splits itself (TSO, USO), bytes; equal to `mtu` when it does not.
    pub max_frame: u32,
    /// The device finishes partial checksums.
    pub tx_checksum: bool,
}

/// The device's interface, as the application is told of it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Adapter {
    /// What frames start with.
    pub medium: Medium,
    /// Largest IP packet on the link, bytes.
    pub mtu: u32,
    /// The link-layer address; one that no frame carries without an Ethernet header.
    pub mac: [u8; 6],
}
