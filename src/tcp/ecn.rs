//! Explicit congestion notification (RFC 3168): how it is agreed upon, what the receiver echoes, what the sender does.
//! Where both sides do the accurate one (RFC 9768), `accecn` tells instead of the echo.

use super::{
    Connection,
    accecn::{self, AccEcn, Answer},
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

/// What our SYN asks for.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
enum Ask {
    #[default]
    Nothing,
    /// RFC 3168.
    Classic,
    /// RFC 9768, or else RFC 3168.
    Accurate,
}

impl Ask {
    /// What `tcp_ecn` says of those who ask.
    fn of(knob: u32) -> Self {
        match knob {
            1 | 4 => Self::Classic,
            3 => Self::Accurate,
            _ => Self::Nothing,
        }
    }
}

/// What `tcp_ecn` says of those who are asked: whether they do the accurate one.
const fn accepts_accurate(knob: u32) -> bool {
    knob >= 3
}

/// The mode as TCP_INFO shows it (tcpi_ecn_mode).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// None.
    Off,
    /// RFC 3168.
    Classic,
    /// RFC 9768.
    Accurate,
    /// Asked for, and not answered.
    Pending,
}

/// The ECN of one connection.
#[derive(Clone, Debug, Default)]
pub struct Ecn {
    asks: Ask,
    /// Both sides do it, as RFC 3168 has it.
    on: bool,
    /// A mark came in and the peer has not yet said that it slowed down: every acknowledgement echoes it.
    echoes: bool,
    /// We have slowed down, and the next new data tells the peer.
    owes_cwr: bool,
    /// The peer's data has been capable.
    pub(super) seen: bool,
    /// Both sides do the accurate one.
    pub(super) accecn: Option<Box<AccEcn>>,
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
        Self { asks: Ask::of(settings.knobs.ecn), ..Self::default() }
    }

    /// Which kind it is.
    pub fn mode(&self, is_answered: bool) -> Mode {
        match (self.asks, &self.accecn) {
            (_, Some(_)) => Mode::Accurate,
            (_, None) if self.on => Mode::Classic,
            (Ask::Accurate, None) if !is_answered => Mode::Pending,
            _ => Mode::Off,
        }
    }

    /// Whether every segment is capable: where marks are told accurately those of acknowledgements and of what is sent
    /// again are told, too (RFC 9768 section 3.1.5; RFC 8311).
    pub fn is_always_capable(&self) -> bool {
        self.accecn.as_ref().is_some_and(|accecn| accecn.is_capable())
    }

    /// Whether the peer's data has been capable (TCPI_OPT_ECN_SEEN).
    pub fn is_seen(&self) -> bool {
        self.seen
    }

    /// Whether the next new data has to carry CWR: it must be a single segment then, as devices that split leave the
    /// flag on the first one only. To the accurate kind it is a digit, which every segment needs.
    pub fn owes_cwr(&self) -> bool {
        self.owes_cwr || self.accecn.as_ref().is_some_and(|accecn| accecn.has_cwr())
    }

    /// The flags of a SYN sent for the `retries`-th time again (RFC 3168 section 6.1.1), or of a SYN-ACK.
    pub fn syn_flags(&self, passive: bool, retries: u32, settings: &Settings) -> Flags {
        // A box on the way may drop what it does not know (RFC 3168 section 6.1.1.1). The accurate one gets a second
        // try (RFC 9768 section 3.1.4.1).
        let may_drop = settings.knobs.ecn_fallback != 0;
        match (passive, self.asks) {
            (true, _) => match &self.accecn {
                Some(accecn) => accecn.syn_ack_flags(retries),
                None if self.on && retries < accecn::HOPEFUL => Flags::ECE,
                None => Flags::default(),
            },
            (false, Ask::Classic) if retries == 0 || !may_drop => ASKING,
            (false, Ask::Accurate) if retries < accecn::HOPEFUL || !may_drop => accecn::ace::ALL,
            (false, _) => Flags::default(),
        }
    }

    /// Takes the peer's SYN or SYN-ACK, which came with codepoint `field`; `passive` if it came to a listener.
    fn on_syn(&mut self, syn: &Header, field: u8, passive: bool, settings: &Settings) {
        let flags = syn.flags;
        if !passive && flags.contains(Flags::ACK) {
            let answer = match self.asks {
                Ask::Nothing => Answer::Nothing,
                Ask::Classic if flags.contains(Flags::ECE) && !flags.contains(Flags::CWR) => Answer::Classic,
                Ask::Classic => Answer::Nothing,
                Ask::Accurate => Answer::of(flags),
            };
            self.on = answer == Answer::Classic;
            if let Answer::Accurate(reflected) = answer {
                let is_lenient = settings.knobs.ecn_fallback == 0;
                self.accecn = Some(Box::new(AccEcn::agreed(syn, reflected, field, is_lenient)));
            }
            return;
        }
        // It came to a listener, or both opened at once, and both asked.
        let knob = settings.knobs.ecn;
        let accurate = if passive { accepts_accurate(knob) } else { self.asks == Ask::Accurate };
        let classic = if passive { knob != 0 } else { self.asks != Ask::Nothing };
        if accurate && accecn::is_asking(flags) {
            self.accecn = Some(Box::new(AccEcn::asked(field)));
        } else {
            self.on = classic && flags.contains(ASKING);
        }
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

    /// New data is leaving: its codepoint and the flag it has. Nothing else is capable: not what is sent again, not
    /// what has no data (RFC 3168 sections 6.1.4 and 6.1.5).
    pub fn on_new_data(&mut self) -> (u8, Flags) {
        let cwr = if std::mem::take(&mut self.owes_cwr) { Flags::CWR } else { Flags::default() };
        (if self.on { codepoint::ECT_0 } else { codepoint::NOT_ECT }, cwr)
    }

    /// The congestion window was reduced, for a mark or for a loss (RFC 3168 section 6.1.2).
    pub fn on_reduced(&mut self) {
        self.owes_cwr = self.on;
    }
}

/// What a listener makes of the flags of a SYN whose IP header has ECN field `field`: a SYN that asks for what RFC 3168
/// has is never capable (section 6.1.1), so one that is does not mean what it seems to (as Linux). One that asks for
/// the accurate one may be.
pub fn sanitized(mut syn: Header, field: u8) -> Header {
    if field & codepoint::MASK != codepoint::NOT_ECT && !accecn::is_asking(syn.flags) {
        syn.flags = Flags(syn.flags.0 & !ASKING.0);
    }
    syn
}

/// Whether the flags of a SYN-ACK agree to any kind of ECN.
pub fn is_answer(syn_ack: Flags) -> bool {
    syn_ack.0 & accecn::ace::ALL.0 != 0
}

/// The flags of a SYN that asked for some kind of ECN and is forgotten, by those of the acknowledgement of its SYN-ACK:
/// only one who does the accurate one sets more than ECE (RFC 9768 section 5.1). `tcp_ecn` is `knob`.
pub fn asked_before(ack: Flags, knob: u32) -> Flags {
    if accepts_accurate(knob) && accecn::ace::of(ack) > 1 { accecn::ace::ALL } else { ASKING }
}

impl Connection {
    /// The peer's SYN or SYN-ACK tells whether it does ECN.
    pub(super) fn on_ecn_syn(&mut self, syn: &Header, field: u8) {
        self.ecn.on_syn(syn, field & codepoint::MASK, self.life.embryo, &self.settings);
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

    /// An acknowledgement with `outstanding` bytes out before it: the congestion window is reduced for an echo, or for
    /// marks that are told accurately, as for a loss, once for each window of data (RFC 3168 section 6.1.2).
    pub(super) fn on_ecn_ack(&mut self, echo: bool, outstanding: u32, in_flight: u32, cx: &mut Cx<'_>) {
        if self.recovery.phase == Phase::Cwr && self.snd.una() > self.recovery.recover {
            // Something sent after the reduction has arrived, and the CWR flag with it.
            self.leave_recovery(cx);
        }
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
