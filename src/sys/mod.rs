//! The only host calls.

pub mod clock;
pub mod entropy;
pub mod env;
pub mod event;
pub mod fork;
pub mod ifreq;
pub mod log;
pub mod machine;
pub mod poll;
pub mod signals;
pub mod transfer;
pub mod tun;
pub mod wall;
