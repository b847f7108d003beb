//! Layers 0 to 3, and all tests that run on them in virtual time.
#![allow(dead_code, reason = "no engine is here to call it all")]

extern crate self as sockeye;

pub mod addr;
pub mod buf;
pub mod counters;
pub mod cx;
pub mod error;
pub mod icmp;
pub mod ip;
pub mod line;
pub mod neigh;
pub mod ready;
pub mod rng;
pub mod shrink;
pub mod slab;
pub mod stack;
pub mod tcp;
pub mod time;
pub mod udp;
pub mod wire;

/// What cuts frames where no device does.
pub mod device {
    pub mod segment;
}

/// What the scripts know errors by.
pub mod socket {
    pub mod errno;
}

#[cfg(test)]
#[path = "../tests/scripts/main.rs"]
mod scripts;
#[cfg(test)]
#[path = "../tests/stack_fastopen.rs"]
mod stack_fastopen;
#[cfg(test)]
#[path = "../tests/stack_syncookie.rs"]
mod stack_syncookie;
#[cfg(test)]
#[path = "../tests/stack_tcp.rs"]
mod stack_tcp;
#[cfg(test)]
#[path = "../tests/sim/main.rs"]
mod sim;

#[test]
fn the_scripts_pass() {
    assert_eq!(scripts::run(&["--quiet".into()]), std::process::ExitCode::SUCCESS);
}
