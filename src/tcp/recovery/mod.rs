//! Loss recovery. What is lost is decided by [`super::sack`] or by duplicate acknowledgements ([`newreno`]); this
//! holds where recovery stands.

pub mod newreno;
pub mod rto;
pub mod undo;

pub use undo::Eifel;

use crate::{time::Instant, wire::seq::SeqNum};

/// Where recovery stands; the numbers are those of Linux's `tcp_info.tcpi_ca_state`.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Nothing is amiss.
    Open = 0,
    /// Something arrived out of order or twice.
    Disorder = 1,
    /// The window was reduced for a mark of congestion (RFC 3168 section 6.1.2).
    Cwr = 2,
    /// Fast recovery (RFC 5681 section 3.2).
    Recovery = 3,
    /// After a retransmission time-out (RFC 5681 section 3.1).
    Loss = 4,
}

/// The state of loss recovery.
#[derive(Debug)]
pub struct Recovery {
    /// Where it stands.
    pub phase: Phase,
    /// SND.NXT when recovery began: it ends when this is acknowledged (RFC 6582 section 3.2, RFC 6675 section 2).
    pub recover: SeqNum,
    /// Duplicate acknowledgements in a row.
    pub dup_acks: u32,
    /// Without SACK: bytes that have left the network, one segment for each duplicate acknowledgement.
    pub departed: u32,
    /// A retransmission is due that does not wait for the congestion window (RFC 6675 section 5, step 4.3).
    pub retransmit_now: bool,
    /// Sending stopped for lack of data rather than because of the congestion window.
    pub app_limited: bool,
    /// Whether the retransmissions of this recovery were needed.
    pub eifel: Eifel,
    /// The oldest outstanding segment was first sent then and timed out since.
    pub stalled_since: Option<Instant>,
    /// Time-outs in a row without progress.
    pub timeouts: u32,
}

impl Recovery {
    /// Nothing is amiss on a connection that begins at `iss`.
    pub fn new(iss: SeqNum) -> Self {
        Self {
            phase: Phase::Open,
            recover: iss,
            dup_acks: 0,
            departed: 0,
            retransmit_now: false,
            app_limited: true,
            eifel: Eifel::Waiting,
            stalled_since: None,
            timeouts: 0,
        }
    }

    /// New data was acknowledged: no time-out is pending over it.
    pub fn on_progress(&mut self) {
        self.stalled_since = None;
        self.timeouts = 0;
    }

    /// Something was sent again, with this time stamp.
    pub fn on_retransmitted(&mut self, val: u32) {
        if self.eifel == Eifel::Waiting {
            self.eifel = Eifel::Sent(val);
        }
    }

    /// Whether losses are being repaired.
    pub fn is_repairing(&self) -> bool {
        matches!(self.phase, Phase::Recovery | Phase::Loss)
    }
}

/// What an acknowledgement said that recovery cares for.
#[derive(Copy, Clone, Debug)]
pub struct AckNews {
    /// Bytes newly acknowledged.
    pub advanced: u32,
    /// Bytes newly reported by SACK.
    pub sacked: u32,
    /// It is a duplicate acknowledgement (RFC 5681 section 2).
    pub repeats: bool,
    /// Bytes in flight before it.
    pub in_flight: u32,
}
