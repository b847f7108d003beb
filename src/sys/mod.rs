//! The only host calls.

pub mod clock;
pub mod daemon;
pub mod doorbell;
pub mod entropy;
pub mod env;
pub mod event;
pub mod file;
pub mod fork;
pub mod ifreq;
pub mod kernel;
pub mod log;
pub mod machine;
pub mod passwd;
pub mod placeholder;
pub mod plain;
pub mod poll;
pub mod probe;
pub mod process;
pub mod readiness;
pub mod signals;
pub mod sigpipe;
pub mod transfer;
pub mod tun;
pub mod unix;
pub mod user;
pub mod wall;
