//! The handshake: whether both sides do Accurate ECN, whether its flags get through, and how the SYNs arrived (RFC 9768
//! sections 3.1 and 3.2.2).

use super::{AFTER_CHANGE, AccEcn, ace, counters::ByteCounters, failure, option};
use crate::{
    tcp::{Connection, State, ack::Owed, ecn::codepoint},
    wire::tcp::{Flags, Header, Options},
};

/// From its third SYN-ACK on a server sends them without the flags, should a box on the way drop them (RFC 9768 section
/// 3.1.4.2).
pub const HOPEFUL: u32 = 2;

/// Whether the flags of a SYN ask for Accurate ECN: all but none and those of RFC 3168 do (RFC 9768 section 3.1.2).
pub fn is_asking(flags: Flags) -> bool {
    !matches!(ace::of(flags), 0 | 3)
}

/// What a client that asked for Accurate ECN makes of the flags of a SYN-ACK (RFC 9768 table 2 and section 3.1.3).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The server does no ECN, or reflects what it does not understand.
    Nothing,
    /// That of RFC 3168.
    Classic,
    /// Yes, and the SYN came with this codepoint; `None`: that was not said, so it came as it was sent.
    Accurate(Option<u8>),
}

impl Answer {
    /// Judges the flags.
    pub fn of(flags: Flags) -> Self {
        match ace::of(flags) {
            0 | 7 => Self::Nothing,
            1 => Self::Classic,
            field => Self::Accurate(ace::reflected(field)),
        }
    }
}

impl AccEcn {
    /// A server that was asked, or a client that was asked while it asked, by a SYN with codepoint `field`.
    pub fn asked(field: u8) -> Self {
        Self { syn_field: field, ..Self::default() }
    }

    /// A client whose server agrees by a SYN-ACK with codepoint `arrived`; our SYN is said to have come with
    /// `reflected`. Our SYNs are never capable, so any other codepoint was put there on the way: then what else is told
    /// cannot be trusted (RFC 9768 section 3.2.2.3; Linux looks only at marked SYN-ACKs), unless `is_lenient`.
    pub fn agreed(syn_ack: &Header, reflected: Option<u8>, arrived: u8, is_lenient: bool) -> Self {
        let mut accecn = Self { syn_field: arrived, reflects: true, ..Self::default() };
        if reflected.is_some_and(|field| field != codepoint::NOT_ECT) && !is_lenient {
            accecn.failed |= failure::ACE_RECV;
        } else if arrived == codepoint::CE {
            accecn.received_ce = 1;
            accecn.untold = 1;
        }
        if let Some(option) = &syn_ack.options.accecn {
            accecn.see(option);
            accecn.demand = AFTER_CHANGE;
        }
        accecn
    }

    /// The flags of a SYN-ACK that is sent for the `retries`-th time again.
    pub fn syn_ack_flags(&self, retries: u32) -> Flags {
        if retries < HOPEFUL { ace::flags(ace::reflection(self.syn_field)) } else { Flags::default() }
    }

    /// The segment that ends the handshake of a server. Its flags tell how our SYN-ACK arrived, if it is an
    /// acknowledgement only (RFC 9768 table 4); says whether it was marked.
    fn on_third(&mut self, seg: &Header, is_bare: bool, is_lenient: bool) -> bool {
        if let Some(option) = &seg.options.accecn {
            self.see(option);
        }
        self.is_opening = true;
        self.last_field = self.syn_field;
        self.demand = 1;
        if !seg.options.sack.as_slice().is_empty() {
            return false;
        }
        match ace::of(seg.flags) {
            // RFC 9768 section 3.2.2.4: the flags were cleared on their way.
            0 => self.failed |= failure::ACE_RECV | failure::OPTION_RECV,
            field if is_bare => match ace::reflected(field) {
                None | Some(codepoint::NOT_ECT) => {}
                Some(_) if !is_lenient => self.failed |= failure::ACE_RECV,
                Some(field) => return field == codepoint::CE,
            },
            _ => {}
        }
        false
    }
}

impl Connection {
    /// The codepoint of the SYN that made this connection.
    pub fn note_syn_field(&mut self, field: u8) {
        if let Some(accecn) = &mut self.ecn.accecn {
            accecn.syn_field = field & codepoint::MASK;
        }
    }

    /// The options of a SYN-ACK: that of Accurate ECN is on the first one only, as a box may drop what it does not know
    /// (RFC 9768 section 3.2.3.2.2).
    pub(in crate::tcp) fn add_syn_ack_option(&mut self, options: &mut Options) {
        let Some(accecn) = &mut self.ecn.accecn else { return };
        if self.settings.knobs.ecn_option > 0 && accecn.syn_acks == 0 {
            option::fit(options, ByteCounters::default().option(), 0);
        }
        accecn.syn_acks = accecn.syn_acks.saturating_add(1);
        if u32::from(accecn.syn_acks) > HOPEFUL {
            // One without the flags was sent: nothing may be capable any more (RFC 9768 section 3.1.5).
            accecn.failed |= failure::ACE_SEND;
        }
    }

    /// The SYN again, before the handshake has ended: the last one counts (RFC 9768 section 3.1.5).
    pub(in crate::tcp) fn on_accecn_syn_again(&mut self, syn: &Header, field: u8) {
        let Some(accecn) = &mut self.ecn.accecn else { return };
        accecn.syn_field = field & codepoint::MASK;
        if ace::of(syn.flags) == 0 {
            accecn.failed |= failure::ACE_RECV;
        }
    }

    /// A SYN on an open connection, which is challenged: the acknowledgement tells how it came.
    pub(in crate::tcp) fn on_accecn_challenge(&mut self, syn: &Header, field: u8) {
        let Some(accecn) = &mut self.ecn.accecn else { return };
        accecn.syn_field = field & codepoint::MASK;
        accecn.reflects = self.acks.owed() == Owed::Now;
        if let Some(option) = &syn.options.accecn {
            accecn.see(option);
            accecn.demand = accecn.demand.max(1);
        }
    }

    /// The segment that ends the handshake came to a server.
    pub(in crate::tcp) fn on_accecn_third(&mut self, seg: &Header, payload: usize) {
        let is_bare = payload == 0 && !seg.flags.contains(Flags::FIN);
        let is_lenient = self.settings.knobs.ecn_fallback == 0;
        let Some(accecn) = &mut self.ecn.accecn else { return };
        if accecn.on_third(seg, is_bare, is_lenient) && self.stats.delivered_ce == 0 {
            self.stats.delivered_ce = 1;
        }
        self.on_segment_size_changed();
    }

    /// The flags of the next acknowledgement, if it is to tell of the peer's SYN rather than of the counter.
    pub(in crate::tcp) fn accecn_reflection(&self) -> Option<Flags> {
        let accecn = self.ecn.accecn.as_ref().filter(|accecn| accecn.reflects && self.state != State::SynReceived)?;
        Some(ace::flags(ace::reflection(accecn.syn_field)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_flags_but_none_and_the_classic_ones_ask() {
        let asking: Vec<_> = (0..8).filter(|field| is_asking(ace::flags(*field))).collect();
        assert_eq!(asking, [1, 2, 4, 5, 6, 7]);
    }

    #[test]
    fn an_answer_is_judged_by_the_table() {
        use Answer::{Accurate, Classic, Nothing};
        let answers = (0..8).map(|field| Answer::of(ace::flags(field))).collect::<Vec<_>>();
        let accurate = |field| Accurate(Some(field));
        assert_eq!(
            answers,
            [
                Nothing,
                Classic,
                accurate(codepoint::NOT_ECT),
                accurate(codepoint::ECT_1),
                accurate(codepoint::ECT_0),
                Accurate(None),
                accurate(codepoint::CE),
                Nothing
            ]
        );
    }
}
