//! Why a stack has no network any more.

use crate::error::Error;
use std::{fmt, net::IpAddr};

/// What took a stack's network away, for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Another host on the link has this own address: the one with this MAC.
    Address(IpAddr, [u8; 6]),
    /// The device is gone; what it said last.
    Device(String),
}

impl Loss {
    /// What a call that wants the stack fails with.
    pub fn error(&self) -> Error {
        match self {
            Self::Address(..) => Error::AddrInUse,
            Self::Device(_) => Error::NetDown,
        }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(addr, mac) => {
                let mac = mac.map(|byte| format!("{byte:02x}")).join(":");
                write!(f, "{addr} is in use on the link by {mac}; choose another address (ip=)")
            }
            Self::Device(said) => write!(f, "the device is gone: {said}"),
        }
    }
}
