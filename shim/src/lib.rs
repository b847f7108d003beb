//! The program's side of a hosted stack.
//!
//! A hosted program's sockets are ends of AF_UNIX sockets whose other ends the host holds (`sockeye host`). This crate
//! is what both sides must agree on, and the operations that turn the socket API into it: each is a function of a
//! descriptor. It keeps nothing: which socket a descriptor is and what it is doing is in the kernel, in its [`tag`]
//! and in its [`name`]s. Nothing here allocates, locks, or has a symbol of its own.
#![cfg_attr(not(test), no_std)]
#![cfg_attr(not(test), warn(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_possible_wrap))]

pub mod accept;
pub mod address;
pub mod bind;
pub mod close;
pub mod connect;
pub mod control;
pub mod datagram;
pub mod fence;
pub mod format;
pub mod host;
pub mod interface;
pub mod judge;
pub mod kernel;
pub mod name;
pub mod names;
pub mod open;
pub mod options;
pub mod path;
pub mod report;
pub mod siphash;
pub mod sockaddr;
pub mod stderr;
pub mod tag;
pub mod variables;
mod width;

/// An error number of Linux, positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub i32);

/// What an operation comes to.
pub type Result<T> = core::result::Result<T, Errno>;
