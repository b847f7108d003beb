//! The only host calls.

pub mod ifreq;
pub mod log;
pub mod machine;
pub mod transfer;
pub mod tun;
pub mod wall;
