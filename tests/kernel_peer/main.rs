//! End to end: C programs on the library, over a TAP, against the kernel's own TCP and UDP in a network namespace.
//!
//! A test tells a C program (`tests/programs/puppet.c`) what to call, and plays the kernel's part itself. Needs root,
//! iproute2, tcpdump, util-linux and a C compiler. `SOCKEYE_TEST_BYTES` scales the bulk transfers, 10 GB each by
//! default.
#![allow(clippy::disallowed_methods)]

#[path = "../netns/mod.rs"]
mod netns;

mod bad_input;
mod bulk;
mod bytes;
mod close;
mod connect;
mod crowds;
mod datagrams;
mod ecn;
mod events;
mod fastopen;
mod flow;
mod icmp;
mod kernel;
mod life;
mod links;
mod program;
mod stacks;
mod stream;
mod urgent;
