//! TCP: one connection as a pure state machine (RFC 9293 and the RFCs in the table).
#![forbid(unsafe_code)]

pub mod abort;
pub mod connection;
pub mod info;
pub mod settings;
pub mod state;
pub mod time_wait;

pub use connection::{Connection, IcmpVerdict, Path};
pub use settings::{BufferSize, RecvFlags, SendFlags, Settings, Shutdown};
pub use state::State;
pub use time_wait::{TimeWait, TimeWaitVerdict};
