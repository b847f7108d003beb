//! Reductions of the window that turn out not to have been called for, and taking them back (RFC 4015; as Linux): each
//! retransmission was reported as a duplicate (RFC 2883, RFC 3708), or an acknowledgement echoes a time stamp from
//! before the first one (Eifel, RFC 3522).

use crate::{
    cx::Cx,
    tcp::{Connection, congestion::Controller, recovery::Phase},
    wire::{seq::SeqNum, tcp::Timestamps},
};

/// What would show the last reduction to be needless.
#[derive(Copy, Clone, Debug, Default)]
pub struct Undo {
    /// SND.UNA when the window was reduced; nothing is to be taken back without it.
    marker: Option<SeqNum>,
    /// Bytes sent again that were not reported as duplicates.
    outstanding: u32,
    /// Something was sent again.
    resent: bool,
    /// The time stamp of the first retransmission.
    stamp: Option<u32>,
}

impl Undo {
    /// The window is reduced, with `resent` bytes sent again already.
    pub fn on_reduced(&mut self, una: SeqNum, resent: u32) {
        *self = Self { marker: Some(una), outstanding: resent, resent: resent > 0, stamp: None };
    }

    /// Something is sent again, with the time stamp `val`.
    pub fn on_resent(&mut self, len: u32, val: u32) {
        self.outstanding = self.outstanding.saturating_add(len);
        self.resent = true;
        self.stamp.get_or_insert(val);
    }

    /// A duplicate was reported.
    pub fn on_duplicate(&mut self, start: SeqNum, end: SeqNum) {
        if self.marker.is_some_and(|marker| end > marker) {
            self.outstanding = self.outstanding.saturating_sub(end - start);
        }
    }

    /// Whether every retransmission arrived where its original had been already.
    pub fn is_all_duplicate(&self) -> bool {
        self.marker.is_some() && self.resent && self.outstanding == 0
    }

    /// Whether the acknowledgement of new data that echoes `stamps` was caused by an original: it was sent before the
    /// first retransmission (RFC 3522 section 3.2).
    pub fn is_late_original(&self, stamps: Option<Timestamps>) -> bool {
        match (self.marker, self.stamp, stamps) {
            (Some(_), Some(sent), Some(stamps)) => stamps.ecr != 0 && SeqNum(stamps.ecr) < SeqNum(sent),
            _ => false,
        }
    }
}

impl Connection {
    /// Takes the last reduction back: the window is as it was, and what was presumed lost is on its way.
    pub(in crate::tcp) fn undo_reduction(&mut self, cx: &mut Cx<'_>) {
        self.stats.on_timeouts_over(cx.now);
        self.snd.unmark_lost();
        let recovery = &mut self.recovery;
        recovery.phase = if self.snd.sacked() > 0 { Phase::Disorder } else { Phase::Open };
        recovery.recover = self.snd.una() - 1;
        recovery.departed = 0;
        recovery.retransmit_now = false;
        recovery.undo = Undo::default();
        recovery.frto.stop();
        self.cc.undo(cx.now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamps(ecr: u32) -> Option<Timestamps> {
        Some(Timestamps { val: 0, ecr })
    }

    #[test]
    fn every_retransmission_has_to_come_back_as_a_duplicate() {
        let mut undo = Undo::default();
        undo.on_reduced(SeqNum(100), 0);
        assert!(!undo.is_all_duplicate());
        undo.on_resent(100, 5);
        undo.on_resent(100, 6);
        undo.on_duplicate(SeqNum(100), SeqNum(200));
        assert!(!undo.is_all_duplicate());
        // What was sent before the reduction does not count.
        undo.on_duplicate(SeqNum(0), SeqNum(100));
        assert!(!undo.is_all_duplicate());
        undo.on_duplicate(SeqNum(200), SeqNum(300));
        assert!(undo.is_all_duplicate());
    }

    #[test]
    fn the_echo_of_a_time_before_the_first_retransmission_is_that_of_an_original() {
        let mut undo = Undo::default();
        undo.on_reduced(SeqNum(100), 0);
        assert!(!undo.is_late_original(stamps(1)));
        undo.on_resent(100, 10);
        undo.on_resent(100, 20);
        assert!(undo.is_late_original(stamps(9)));
        assert!(!undo.is_late_original(stamps(10)) && !undo.is_late_original(stamps(15)));
        assert!(!undo.is_late_original(stamps(0)) && !undo.is_late_original(None));
    }
}
