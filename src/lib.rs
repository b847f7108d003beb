//! Sockeye: a TCP/IP stack outside the kernel, used through the BSD socket API.
//!
//! The layers, top down: `capi` (C functions), `socket` (what POSIX means), `engine` (locks, clock, threads), `device`
//! and `sys` (the host), `stack` (composition), `tcp`, `udp`, `ip`, `icmp`, `neigh` (protocols), `wire` (bytes), and
//! the base. ARCHITECTURE.md is the map.

pub mod addr;
pub mod buf;
pub mod capi;
pub mod counters;
pub mod cx;
pub mod device;
pub mod engine;
pub mod error;
pub mod host;
pub mod icmp;
pub mod ip;
pub mod line;
pub mod neigh;
pub mod ready;
pub mod rng;
pub mod shrink;
pub mod slab;
pub mod socket;
pub mod stack;
pub mod sys;
pub mod tcp;
pub mod time;
pub mod udp;
pub mod wire;
