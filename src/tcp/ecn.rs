//! Explicit congestion notification (RFC 3168): how it is agreed upon, what the receiver echoes, what the sender does.

use super::{
    Connection,
    congestion::Controller,
    recovery::{Phase, prr::Prr, undo::Undo},
    settings::Settings,
};
use crate::{
    buf::Packet,
    cx::Cx,
    wire::tcp::{Flags, Header},
};

/// The codepoints of the IP header's ECN field (RFC 3168 section 5).
pub mod codepoint {
    /// The bits of the type of service that are ECN's.
    pub const MASK: u8 = 3;
    /// Not capable.
    pub const NOT_ECT: u8 = 0;
    /// Capable; for experiments (RFC 8311).
    pub const ECT_1: u8 = 1;
    /// Capable.
    pub const ECT_0: u8 = 2;
    /// Congestion was met.
    pub const CE: u8 = 3;
}

/// Acknowledgements sent at once after a mark (as Linux).
const QUICK: u8 = 2;
/// What a SYN that asks for ECN has (RFC 3168 section 6.1.1).
const ASKING: Flags = Flags(Flags::ECE.0 | Flags::CWR.0);

/// The ECN of one connection.
#[derive(Copy, Clone, Debug, Default)]
pub struct Ecn {
    /// Our SYN asks for it.
    asks: bool,
    /// Both sides do it.
    on: bool,
    /// A mark came in and the peer has not yet said that it slowed down: every acknowledgement echoes it.
    echoes: bool,
    /// We have slowed down, and the next new data tells the peer.
    owes_cwr: bool,
    /// The peer's data has been capable.
    seen: bool,
}

/// What data that came in says.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Arrival {
    /// Nothing of interest.
    Plain,
    /// Something has changed; the peer should know soon.
    News,
}

impl Ecn {
    /// What an active open does.
    pub fn active(settings: &Settings) -> Self {
        Self { asks: settings.knobs.ecn == 1, ..Self::default() }
    }

    /// Whether both sides do it.
    pub fn is_on(&self) -> bool {
        self.on
    }

    /// Whether the peer's data has been capable (TCPI_OPT_ECN_SEEN).
    pub fn is_seen(&self) -> bool {
        self.seen
    }

    /// Whether the next new data has to carry CWR: it must be a single segment then, as the flag is for one only.
    pub fn owes_cwr(&self) -> bool {
        self.owes_cwr
    }

    /// The flags of a SYN sent for the `retries`-th time again (RFC 3168 section 6.1.1), or of a SYN-ACK.
    pub fn syn_flags(&self, passive: bool, retries: u32, settings: &Settings) -> Flags {
        match passive {
            true if self.on => Flags::ECE,
            // A box on the way may drop what it does not know (RFC 3168 section 6.1.1.1).
            false if self.asks && (retries == 0 || settings.knobs.ecn_fallback == 0) => ASKING,
            _ => Flags::default(),
        }
    }

    /// Takes the peer's SYN or SYN-ACK; `passive` if it came to a listener.
    fn on_syn(&mut self, syn: Flags, passive: bool, settings: &Settings) {
        let asked = syn.contains(ASKING);
        self.on = if passive {
            settings.knobs.ecn != 0 && asked
        } else if syn.contains(Flags::ACK) {
            self.asks && syn.contains(Flags::ECE) && !syn.contains(Flags::CWR)
        } else {
            // Both opened at once, and both asked.
            self.asks && asked
        };
    }

    /// Data came in, with these flags and this codepoint (RFC 3168 section 6.1.3).
    fn on_data(&mut self, flags: Flags, field: u8) -> Arrival {
        if flags.contains(Flags::CWR) {
            self.echoes = false;
        }
        match field & codepoint::MASK {
            // Not capable, but others were: it was sent again, so something is amiss (as Linux).
            codepoint::NOT_ECT if self.seen => Arrival::News,
            codepoint::NOT_ECT => Arrival::Plain,
            codepoint::CE => {
                self.seen = true;
                if std::mem::replace(&mut self.echoes, true) { Arrival::Plain } else { Arrival::News }
            }
            _ => {
                self.seen = true;
                Arrival::Plain
            }
        }
    }

    /// The flags every segment has now.
    pub fn flags(&self) -> Flags {
        if self.echoes { Flags::ECE } else { Flags::default() }
    }

    /// New data is leaving: its codepoint and the flag it has. Nothing else is capable: not what is sent again, not what
    /// has no data (RFC 3168 sections 6.1.4 and 6.1.5).
    pub fn on_new_data(&mut self) -> (u8, Flags) {
        let cwr = if std::mem::take(&mut self.owes_cwr) { Flags::CWR } else { Flags::default() };
        (if self.on { codepoint::ECT_0 } else { codepoint::NOT_ECT }, cwr)
    }

    /// The congestion window was reduced, for a mark or for a loss (RFC 3168 section 6.1.2).
    pub fn on_reduced(&mut self) {
        self.owes_cwr = self.on;
    }
}

/// What a listener makes of the flags of a SYN whose IP header has ECN field `field`: a SYN is never capable (RFC 3168
/// section 6.1.1), so one that is does not mean what it seems to (as Linux).
pub fn sanitized(mut syn: Header, field: u8) -> Header {
    if field & codepoint::MASK != codepoint::NOT_ECT {
        syn.flags = Flags(syn.flags.0 & !ASKING.0);
    }
    syn
}

impl Connection {
    /// The peer's SYN or SYN-ACK tells whether it does ECN.
    pub(super) fn on_ecn_syn(&mut self, syn: &Header) {
        self.ecn.on_syn(syn.flags, self.life.embryo, &self.settings);
    }

    /// Data of an acceptable segment: whether it met congestion.
    pub(super) fn on_ecn_data(&mut self, flags: Flags, payload: &Packet) {
        if !self.ecn.on || payload.is_empty() {
            return;
        }
        if self.ecn.on_data(flags, payload.meta.ecn) == Arrival::News {
            self.acks.be_quick(QUICK);
        }
        if flags.contains(Flags::CWR) {
            // The peer's window may be very small now; it needs its acknowledgement (as Linux).
            self.acks.owe_now();
        }
    }

    /// An acknowledgement with `outstanding` bytes out before it: the congestion window is reduced for an echo as for a
    /// loss, once for each window of data (RFC 3168 section 6.1.2).
    pub(super) fn on_ecn_ack(&mut self, seg: &Header, outstanding: u32, in_flight: u32, cx: &mut Cx<'_>) {
        if self.recovery.phase == Phase::Cwr && self.snd.una() > self.recovery.recover {
            // Something sent after the reduction has arrived, and the CWR flag with it.
            self.leave_recovery(cx);
        }
        let echo = self.ecn.on && seg.flags.contains(Flags::ECE) && !seg.flags.contains(Flags::SYN);
        if !echo || outstanding == 0 {
            return;
        }
        // The reduction for this window holds, whatever becomes of a retransmission (as Linux).
        self.recovery.undo = Undo::default();
        if matches!(self.recovery.phase, Phase::Open | Phase::Disorder) {
            self.recovery.phase = Phase::Cwr;
            self.recovery.recover = self.snd.nxt();
            self.recovery.prr = Prr::new(in_flight);
            self.ecn.on_reduced();
            self.cc.on_ecn(in_flight, cx.now);
        }
    }

    /// Whether an acknowledgement tells of marks (for the count of marked segments).
    pub(super) fn is_echo(&self, seg: &Header) -> bool {
        self.ecn.on && seg.flags.contains(Flags::ECE) && !seg.flags.contains(Flags::SYN)
    }
}
