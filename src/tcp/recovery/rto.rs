//! The retransmission time-out (RFC 6298 section 5, RFC 5681 section 3.1, RFC 6675 section 5.1).

use super::{Eifel, Phase};
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
        cx.mib.tcp_timeouts += 1;
        self.stats.on_timeout(self.recovery.phase != Phase::Loss);
        let in_flight = self.pipe();
        // A peer that reported the first outstanding bytes and does not acknowledge them has dropped them.
        self.snd.mark_all_lost(self.snd.is_reneged());
        let reduced = self.recovery.phase == Phase::Cwr;
        self.recovery.phase = Phase::Loss;
        self.recovery.recover = self.snd.nxt();
        self.recovery.dup_acks = 0;
        self.recovery.departed = 0;
        self.recovery.retransmit_now = true;
        self.recovery.eifel = if reduced { Eifel::Decided } else { Eifel::Waiting };
        self.recovery.timeouts += 1;
        self.cc.on_rto(in_flight, cx.now);
        self.ecn.on_reduced();
        self.rtt.back_off();
        self.timers.set(Timer::Retransmit, cx.now + self.clamped_to_user_timeout(self.rtt.rto(), cx.now));
    }
}
