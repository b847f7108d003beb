//! Bytes on their way through the stack: received packets ([`Packet`]), the send queue's bytes ([`Rope`]) and frames to
//! be sent ([`Frame`]).

pub mod frame;
pub mod packet;
pub mod pool;
pub mod rope;

pub use frame::{Frame, Gso};
pub use packet::{Packet, RxMeta};
pub use pool::{Buf, Pool};
pub use rope::{Rope, Slice};
