//! The bytes of each protocol: one file each, with a plain value that is parsed from bytes and emitted to them.
//! Everything here is total: any input gives a value or `None`, never a panic.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_possible_wrap))]

pub mod arp;
pub mod checksum;
pub mod ethernet;
pub mod icmpv4;
pub mod ipv4;
pub mod protocol;
pub mod seq;
pub mod tcp;
pub mod udp;
pub mod virtio;
