//! The only host calls.

pub mod placeholder;
pub mod plain;
pub mod probe;
pub mod sigpipe;
pub mod user;
