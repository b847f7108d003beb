//! TCP: one connection as a pure state machine (RFC 9293 and the RFCs in the table).
#![forbid(unsafe_code)]

pub mod assembler;
pub mod congestion;
pub mod connection;
pub mod info;
pub mod isn;
pub mod recv_queue;
pub mod rtt;
pub mod run;
pub mod settings;
pub mod state;
pub mod time_wait;
pub mod timer;

pub use connection::{Connection, IcmpVerdict, Path};
pub use settings::{BufferSize, RecvFlags, SendFlags, Settings, Shutdown};
pub use state::State;
pub use time_wait::{TimeWait, TimeWaitVerdict};
