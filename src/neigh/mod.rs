//! Neighbours on a link: which link-layer address an IP address has.
//!
//! | file | what | source |
//! |---|---|---|
//! | `nud.rs` | the cache and its states | RFC 4861 7.3 (Linux runs IPv4 through it too) |
//! | `arp.rs` | what an ARP message means, and our own messages | RFC 826 |
//! | `acd.rs` | probing for, announcing and defending our addresses | RFC 5227 |
#![forbid(unsafe_code)]

pub mod acd;
pub mod arp;
pub mod nud;
