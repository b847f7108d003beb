//! What the network says of the path: its MTU (RFC 1191, RFC 8201) and other ICMP errors (RFC 5927, RFC 1122 section
//! 4.2.3.9).

use super::{Connection, IcmpVerdict, Path, State, congestion::Controller};
use crate::{cx::Cx, wire::seq::SeqNum};

impl Connection {
    /// An ICMP error came in that quotes our segment with sequence number `seq`. Returns whether it is believed: it is
    /// ignored unless `seq` is in flight.
    pub fn on_icmp(&mut self, verdict: IcmpVerdict, seq: SeqNum, cx: &mut Cx<'_>) -> bool {
        let opening = matches!(self.state, State::SynSent | State::SynReceived);
        // As Linux, what comes next is as good as what is in flight.
        let in_flight = if opening { seq == self.opening.iss } else { seq >= self.snd.una() && seq <= self.snd.nxt() };
        if self.state == State::Closed {
            return false;
        }
        if !in_flight {
            cx.mib.tcp_out_of_window_icmps += 1;
            return false;
        }
        match verdict {
            IcmpVerdict::Error(error) if opening => {
                cx.mib.tcp_attempt_fails += 1;
                self.fail(error);
            }
            // An established connection outlives it (RFC 5927 section 5.2); it is the reason given if it dies.
            IcmpVerdict::Error(error) => self.life.soft_error = Some(error),
            IcmpVerdict::PacketTooBig(mtu) if mtu < self.path.mtu => {
                let before = self.mss();
                let max_frame = if self.path.max_frame > self.path.mtu { self.path.max_frame } else { mtu };
                self.on_path_changed(Path { mtu, max_frame, ..self.path }, cx);
                if self.state == State::SynSent {
                    self.on_syn_too_big();
                } else if self.mss() < before && self.snd.unacked() > 0 {
                    // What is out does not fit: send it again at once.
                    self.snd.mark_oversized_lost(u32::from(self.mss()));
                    self.retransmit_simply();
                }
            }
            IcmpVerdict::PacketTooBig(_) => {}
        }
        true
    }

    /// The route or the device changed. As in Linux what is out stays out: a router that cannot pass it on will say so.
    pub fn on_path_changed(&mut self, path: Path, cx: &mut Cx<'_>) {
        self.path = path;
        self.on_path_changed_for_search();
        self.on_segment_size_changed();
        self.arm_timers(cx.now);
    }

    /// The size of segments may have changed.
    pub(super) fn on_segment_size_changed(&mut self) {
        self.cc.set_mss(self.segment_size());
    }
}
