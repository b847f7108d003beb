//! TIME-WAIT in a few bytes (RFC 9293 section 3.3.2, RFC 6191, RFC 1337).

use crate::{time::Instant, wire::tcp::Header};

/// A connection in TIME-WAIT.
#[derive(Clone, Debug)]
pub struct TimeWait {
    /// When it may be forgotten.
    pub until: Instant,
}

/// What to do with a segment that came to a connection in TIME-WAIT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimeWaitVerdict {
    /// Nothing.
    Drop,
    /// Send this bare segment.
    Reply(Header),
    /// The SYN may open the flow anew (RFC 6191): forget the old connection and hand the SYN to the listener.
    Reopen,
}

#[allow(unused_variables, clippy::unimplemented)]
impl TimeWait {
    /// Judges a segment; may restart the timer.
    pub fn on_segment(&mut self, seg: &Header, payload_len: usize, now: Instant) -> TimeWaitVerdict {
        unimplemented!()
    }

    /// Whether a new connection from here may take over the flow now (Linux's tcp_tw_reuse rule, RFC 6191).
    pub fn may_be_reused(&self, now: Instant) -> bool {
        unimplemented!()
    }
}
