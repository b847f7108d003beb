//! The retransmission time-out (RFC 6298 section 5, RFC 5681 section 3.1, RFC 6675 section 5.1, RFC 8985 section 6.3).

use super::{Phase, undo::Undo};
use crate::{
    cx::Cx,
    tcp::{Connection, State, congestion::Controller, timer::Timer},
};

impl Connection {
    /// The retransmission timer ran out.
    pub(in crate::tcp) fn on_retransmit_timeout(&mut self, cx: &mut Cx<'_>) {
        if matches!(self.state, State::SynSent | State::SynReceived) {
            self.on_syn_timeout(cx);
            return;
        }
        let Some(first) = self.snd.first().copied() else { return };
        self.recovery.stalled_since.get_or_insert(first.at);
        if self.is_given_up(cx.now) {
            self.time_out(cx);
            return;
        }
        self.suspect_black_hole(cx.now);
        cx.mib.tcp_timeouts += 1;
        self.stats.on_timeout(self.recovery.timeouts == 0, cx.now);
        let (in_flight, resent) = (self.pipe(), self.snd.resent());
        self.presume_lost(cx);
        let fresh = !self.recovery.is_repairing() || self.recovery.timeouts > 0;
        // Of the time-outs over the same data the first is the one that may be taken back; a reduction for a mark is
        // not.
        if self.recovery.phase == Phase::Cwr {
            self.recovery.undo = Undo::default();
        } else if self.recovery.phase != Phase::Loss || self.snd.una() >= self.recovery.recover {
            self.recovery.undo.on_reduced(self.snd.una(), resent);
        }
        self.recovery.frto.on_timeout(fresh);
        self.recovery.phase = Phase::Loss;
        self.recovery.recover = self.snd.nxt();
        self.recovery.dup_acks = 0;
        self.recovery.departed = 0;
        self.recovery.retransmit_now = true;
        self.recovery.timeouts += 1;
        self.recovery.tlp.stop();
        self.timers.stop(Timer::Tlp);
        self.timers.stop(Timer::Reo);
        self.cc.on_rto(in_flight, cx.now);
        self.ecn.on_reduced();
        self.rtt.back_off();
        self.timers.set(Timer::Retransmit, cx.now + self.clamped_to_user_timeout(self.rtt.rto(), cx.now));
    }

    /// Decides what of the outstanding data is presumed lost.
    fn presume_lost(&mut self, cx: &mut Cx<'_>) {
        if self.snd.is_reneged() {
            // A peer that reported the first outstanding bytes and does not acknowledge them has dropped them.
            cx.mib.tcp_sack_reneging += 1;
            self.snd.mark_all_lost();
        } else {
            // With SACK what was sent only just now is left to RACK; without, nothing else would find it lost.
            let due = if self.opening.sack { self.overdue(cx.now) } else { cx.now };
            self.snd.mark_late_lost(due);
        }
    }
}
