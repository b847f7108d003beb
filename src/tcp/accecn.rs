//! Accurate ECN (RFC 9768): the receiver tells how many segments and bytes met congestion, not only that some did.
//!
//! | file | what | section |
//! |---|---|---|
//! | `accecn` | what one connection keeps, what comes in, what goes out | 3.1.5, 3.2.2.5, 3.2.3.3 |
//! | `ace` | the three flags of the header | 3.1.1, 3.1.2, 3.2.2 |
//! | `agree` | the handshake | 3.1, 3.2.2.1 to 3.2.2.4, 3.2.3.2 |
//! | `counters` | the byte counters of the option, both ways | 3.2.1, 3.2.3, A.3 |
//! | `feedback` | how many segments an acknowledgement tells of | 3.2.2.5.2, A.2 |
//! | `option` | when the option is sent, and where it fits | 3.2.3.3 |

pub(super) mod ace;
mod agree;
mod counters;
mod feedback;
mod option;

use super::{Connection, State, ecn::codepoint};
use crate::{
    buf::Packet,
    time::Instant,
    wire::{seq::SeqNum, tcp::Flags},
};
pub(super) use agree::is_asking;
pub(super) use agree::{Answer, HOPEFUL};
use counters::ByteCounters;
pub use counters::Seen;
pub(super) use feedback::Acked;

/// So many marks that were not told yet are told at once: one more, and the three bits of the header could be taken for
/// fewer (RFC 9768 section 3.2.2.5.1; the limit is Linux's).
const UNTOLD: u8 = 6;
/// After a change of the codepoint so many segments have the option, so that the later one can be told from the
/// earlier (Linux).
const AFTER_CHANGE: u8 = 2;

/// What does not work, as TCP_INFO shows it (tcpi_accecn_fail_mode).
pub mod failure {
    /// Our flags do not arrive.
    pub const ACE_SEND: u8 = 1;
    /// The peer's flags do not arrive, or are not as they were sent.
    pub const ACE_RECV: u8 = 2;
    /// Segments with our option do not arrive.
    pub const OPTION_SEND: u8 = 4;
    /// The peer's option does not arrive, or not as it was sent.
    pub const OPTION_RECV: u8 = 8;
}

/// What one connection keeps that has agreed on Accurate ECN.
#[derive(Clone, Debug, Default)]
pub struct AccEcn {
    /// The codepoint of the peer's last SYN, which is told once (RFC 9768 section 3.2.2.2).
    pub(super) syn_field: u8,
    /// SYN-ACKs sent.
    syn_acks: u8,
    /// The handshake has ended with the segment that is being handled: its flags are not a counter.
    is_opening: bool,
    /// The next acknowledgement tells of the peer's SYN instead of the counter.
    reflects: bool,
    /// See [`failure`].
    pub(super) failed: u8,
    /// Marked segments that came in.
    pub(super) received_ce: u32,
    /// Of them so many are not told yet.
    untold: u8,
    /// The codepoint that came last.
    last_field: u8,
    /// The next acknowledgement is not to wait.
    hurries: bool,
    /// Bytes that came in, by codepoint.
    pub(super) received: ByteCounters,
    /// Bytes of ours that arrived, as the peer tells.
    pub(super) delivered: ByteCounters,
    /// How much of the peer's option has been seen.
    pub(super) seen: Seen,
    /// The codepoint of what arrived last, if the options leave no doubt.
    expected: u8,
    /// The next so many segments have the option.
    demand: u8,
    /// Counters that the next option needs to tell what is new.
    needed: u8,
    /// When an option was sent last.
    option_at: Option<Instant>,
    /// A later time stamp came in.
    is_later: bool,
    /// The last segment had one.
    option_sent: bool,
    /// Where the last segment began that came twice.
    duplicate: Option<SeqNum>,
    /// How many segments an acknowledgement is usually of: an average in 64ths.
    usual: u32,
}

impl AccEcn {
    /// Whether segments may be capable: the peer hears us and we hear it (RFC 9768 sections 3.1.5 and 3.2.2.4).
    pub(super) fn is_capable(&self) -> bool {
        self.failed & (failure::ACE_SEND | failure::ACE_RECV) == 0
    }

    /// Whether the counter in the header has CWR set now.
    pub(super) fn has_cwr(&self) -> bool {
        ace::flags(ace::counter(self.received_ce)).contains(Flags::CWR)
    }

    /// The flags of a segment sent now.
    fn take_flags(&mut self) -> Flags {
        self.hurries = false;
        self.reflects = false;
        self.untold = 0;
        ace::flags(ace::counter(self.received_ce))
    }

    /// Segments came in with this codepoint and so much payload (RFC 9768 section 3.2.1).
    fn on_arrival(&mut self, field: u8, segments: u32, bytes: u32) {
        let is_marked = field == codepoint::CE;
        if is_marked {
            self.received_ce = self.received_ce.wrapping_add(segments);
            self.untold = self.untold.saturating_add(segments.min(15) as u8).min(15);
        }
        if field != codepoint::NOT_ECT && bytes > 0 {
            self.needed = self.needed.max(counters::place(field));
            if self.received.add(field, bytes) {
                self.demand = self.demand.max(1);
            }
        }
        let changed = std::mem::replace(&mut self.last_field, field) != field;
        self.hurries |= changed;
        if changed || is_marked {
            self.demand = AFTER_CHANGE;
        }
    }
}

impl Connection {
    /// An acceptable segment came in, `is_later` by its time stamp: its codepoint counts, whether it has data or not.
    pub(super) fn on_accecn_arrival(&mut self, payload: &Packet, is_later: bool) {
        let field = payload.meta.ecn & codepoint::MASK;
        let Some(accecn) = &mut self.ecn.accecn else { return };
        accecn.is_later = is_later;
        self.ecn.seen |= field != codepoint::NOT_ECT;
        let segment = usize::from(payload.meta.gso_size);
        let segments = if segment == 0 { 1 } else { payload.len().div_ceil(segment).max(1) };
        accecn.on_arrival(field, segments as u32, payload.len() as u32);
    }

    /// Whether data that came in is to be acknowledged at once because of its codepoint (RFC 9768 section 3.2.2.5.1).
    pub(super) fn is_accecn_hurried(&self) -> bool {
        self.ecn.accecn.as_ref().is_some_and(|accecn| accecn.hurries)
    }

    /// The flags of a segment that leaves now.
    pub(super) fn take_accecn_flags(&mut self) -> Flags {
        // Of a connection that nobody holds Linux keeps no counters after its FIN is acknowledged.
        let is_over = self.state == State::TimeWait && self.life.orphan;
        match &mut self.ecn.accecn {
            Some(accecn) if !is_over => accecn.take_flags(),
            _ => Flags::default(),
        }
    }

    /// Data that begins at `seq` came twice. If all of it is `old`, was so the last time, and the acknowledgement
    /// before had the option, a box on the way may drop what has it (RFC 9768 section 3.2.3.2.2, as Linux).
    pub(super) fn on_accecn_duplicate(&mut self, seq: SeqNum, old: bool) {
        if let Some(accecn) = &mut self.ecn.accecn {
            if old && accecn.duplicate == Some(seq) && accecn.option_sent {
                accecn.failed |= failure::OPTION_SEND;
            }
            accecn.duplicate = Some(seq);
        }
    }

    /// An acknowledgement; says how many marked segments it tells of.
    pub(super) fn on_accecn_feedback(&mut self, acked: &Acked<'_>) -> u32 {
        let told = self.stats.delivered_ce;
        let Some(accecn) = &mut self.ecn.accecn else { return 0 };
        let seen = accecn.seen;
        let marked = if acked.is_new || accecn.is_later { accecn.judge(acked, told) } else { 0 };
        let is_changed = accecn.seen != seen;
        if accecn.untold >= UNTOLD {
            accecn.hurries = true;
        }
        accecn.is_opening = false;
        accecn.is_later = false;
        if is_changed {
            self.on_segment_size_changed();
        }
        marked
    }
}
