//! The states of a connection (RFC 9293 section 3.3.2).

use std::fmt;

/// A connection's state; the numbers are those of Linux's `tcp_info.tcpi_state`.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum State {
    /// Data flows both ways.
    Established = 1,
    /// Our SYN is out.
    SynSent = 2,
    /// A SYN came in and our SYN-ACK is out.
    SynReceived = 3,
    /// Our FIN is out, not acknowledged.
    FinWait1 = 4,
    /// Our FIN is acknowledged, the peer's has not come.
    FinWait2 = 5,
    /// Both sides have closed; old segments die out.
    TimeWait = 6,
    /// No connection.
    Closed = 7,
    /// The peer's FIN has come.
    CloseWait = 8,
    /// The peer's FIN has come and ours is out.
    LastAck = 9,
    /// Waiting for connections.
    Listen = 10,
    /// Both FINs are out, ours is not acknowledged.
    Closing = 11,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Established => "ESTABLISHED",
            Self::SynSent => "SYN-SENT",
            Self::SynReceived => "SYN-RECEIVED",
            Self::FinWait1 => "FIN-WAIT-1",
            Self::FinWait2 => "FIN-WAIT-2",
            Self::TimeWait => "TIME-WAIT",
            Self::Closed => "CLOSED",
            Self::CloseWait => "CLOSE-WAIT",
            Self::LastAck => "LAST-ACK",
            Self::Listen => "LISTEN",
            Self::Closing => "CLOSING",
        })
    }
}
