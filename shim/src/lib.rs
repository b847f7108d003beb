//! The program's side of a hosted stack.
//!
//! A hosted program's sockets are ends of AF_UNIX sockets whose other ends the host holds (`sockeye host`). This crate
//! is what both sides must agree on, and the operations that turn the socket API into it. It keeps nothing: which
//! socket a descriptor is and what it is doing is in the kernel, in its [`tag`] and in its [`name`]s.
#![cfg_attr(not(test), no_std)]

pub mod address;
pub mod format;
pub mod name;
pub mod tag;
