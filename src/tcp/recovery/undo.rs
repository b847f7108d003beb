//! Retransmissions that turn out not to have been needed: the Eifel detection by time stamps (RFC 3522) and taking the
//! reduction back (RFC 4015).

use crate::{
    cx::Cx,
    tcp::{Connection, congestion::Controller, recovery::Phase, send_queue::Released},
    wire::{seq::SeqNum, tcp::Header},
};

/// How far the detection is in the present recovery.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Eifel {
    /// Nothing was sent again yet.
    Waiting,
    /// The first retransmission left with this time stamp.
    Sent(u32),
    /// The first acknowledgement after it has told.
    Decided,
}

impl Connection {
    /// If the first acknowledgement after a retransmission echoes a time stamp from before it, then the original
    /// arrived after all.
    pub(in crate::tcp) fn detect_undo(&mut self, seg: &Header, released: &Released, cx: &mut Cx<'_>) {
        if released.bytes == 0 || !released.retransmitted || !self.recovery.is_repairing() {
            return;
        }
        let (Eifel::Sent(sent), Some(stamps)) = (self.recovery.eifel, seg.options.timestamps) else { return };
        self.recovery.eifel = Eifel::Decided;
        if self.clock.is_on() && SeqNum(stamps.ecr) < SeqNum(sent) {
            self.snd.unmark_lost();
            self.recovery.phase = Phase::Open;
            self.recovery.recover = self.snd.una() - 1;
            self.recovery.departed = 0;
            self.recovery.retransmit_now = false;
            self.cc.undo(cx.now);
        }
    }
}
