//! The only host calls.

pub mod clock;
pub mod entropy;
pub mod env;
pub mod event;
pub mod fork;
pub mod poll;
pub mod signals;
