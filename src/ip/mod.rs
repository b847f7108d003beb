//! The Internet layer: what happens between an interface and a transport protocol.
//!
//! | file | what | source |
//! |---|---|---|
//! | `input.rs` | whether a received datagram is for us, and how it was addressed | RFC 1122 3.2.1, RFC 1812 5.3.7 |
//! | `fragment.rs` | splitting what is too large | RFC 791 3.2, RFC 6864 |
//! | `reassembly.rs` | putting it together again | RFC 815, RFC 5722 |
//! | `ident.rs` | choice of the identification field | RFC 6864, RFC 7739 |
//! | `pmtu.rs` | the path MTU of each destination | RFC 1191 |
#![forbid(unsafe_code)]

pub mod fragment;
pub mod ident;
pub mod input;
pub mod pmtu;
pub mod reassembly;

/// An interface of the stack.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct IfaceId(pub u8);

impl IfaceId {
    /// The loopback interface; its frames never leave the stack.
    pub const LOOPBACK: Self = Self(0);
    /// The device's interface.
    pub const DEVICE: Self = Self(1);
}
