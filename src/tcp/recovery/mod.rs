//! Loss recovery: what is lost ([`rack`], [`newreno`]), what is done about it ([`fast`], [`rto`], [`tlp`]), how fast
//! ([`prr`]), and whether it was called for ([`undo`], [`dsack`], [`frto`]).
//!
//! The congestion window is not inflated: instead, what is known to have left the network is taken out of the count of
//! what is in flight. The effect is the same, limited transmit (RFC 3042) comes out of it by itself, and peers with and
//! without SACK are handled alike.

pub mod dsack;
pub mod fast;
pub mod frto;
pub mod newreno;
pub mod prr;
pub mod rack;
pub mod reneging;
pub mod rto;
pub mod tlp;
pub mod undo;

use crate::{
    tcp::send_queue::by_time::Heard,
    time::Instant,
    wire::{seq::SeqNum, tcp::Timestamps},
};
use frto::Frto;
use prr::Prr;
use rack::Rack;
use tlp::Tlp;
use undo::Undo;

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
    /// Acknowledgements in a row that were duplicates or reported something out of order.
    pub dup_acks: u32,
    /// Without SACK: bytes that have left the network, one segment for each duplicate acknowledgement.
    pub departed: u32,
    /// A retransmission is due that does not wait for the congestion window (RFC 6675 section 5, step 4.3).
    pub retransmit_now: bool,
    /// Sending stopped for lack of data rather than because of the congestion window.
    pub app_limited: bool,
    /// The oldest outstanding segment was first sent then and timed out since.
    pub stalled_since: Option<Instant>,
    /// Time-outs in a row without progress.
    pub timeouts: u32,
    /// What is lost.
    pub rack: Rack,
    /// Probes for losses at the end.
    pub tlp: Tlp,
    /// How fast to send in fast recovery.
    pub prr: Prr,
    /// Whether the last reduction was called for.
    pub undo: Undo,
    /// Whether the last time-out was.
    pub frto: Frto,
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
            stalled_since: None,
            timeouts: 0,
            rack: Rack::new(iss),
            tlp: Tlp::default(),
            prr: Prr::default(),
            undo: Undo::default(),
            frto: Frto::Off,
        }
    }

    /// New data was acknowledged: no time-out is pending over it.
    pub fn on_progress(&mut self) {
        self.stalled_since = None;
        self.timeouts = 0;
    }

    /// Whether losses are being repaired.
    pub fn is_repairing(&self) -> bool {
        matches!(self.phase, Phase::Recovery | Phase::Loss)
    }
}

/// What an acknowledgement said that recovery cares for.
#[derive(Copy, Clone, Debug, Default)]
pub struct AckNews {
    /// Bytes newly acknowledged.
    pub advanced: u32,
    /// Of these, bytes that had not been reported by SACK.
    pub unsacked: u32,
    /// Bytes newly reported by SACK.
    pub sacked: u32,
    /// It is a duplicate acknowledgement (RFC 5681 section 2).
    pub repeats: bool,
    /// It reports that something we sent again arrived twice (RFC 2883).
    pub duplicate: bool,
    /// What was delivered.
    pub heard: Heard,
    /// Its time stamps, if both sides use them.
    pub echo: Option<Timestamps>,
    /// Bytes in flight before it.
    pub in_flight: u32,
}
