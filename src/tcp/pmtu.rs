//! What the network says of the path: its MTU (RFC 1191, RFC 8201) and other ICMP errors (RFC 5927, RFC 1122 section
//! 4.2.3.9).

use super::{Connection, IcmpVerdict, Path, State, congestion::Controller};
use crate::{cx::Cx, wire::seq::SeqNum};

impl Connection {
    /// An ICMP error came in that quotes our segment with sequence number `seq`. Returns whether it is believed: it is
    /// ignored unless `seq` is in flight.
    pub fn on_icmp(&mut self, verdict: IcmpVerdict, seq: SeqNum, cx: &mut Cx<'_>) -> bool {
        let opening = matches!(self.state, State::SynSent | State::SynReceived);
        let in_flight = if opening { seq == self.opening.iss } else { seq >= self.snd.una() && seq < self.snd.nxt() };
        if !in_flight || self.state == State::Closed {
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
                let max_frame = if self.path.max_frame > self.path.mtu { self.path.max_frame } else { mtu };
                self.on_path_changed(Path { mtu, max_frame, ..self.path }, cx);
                self.on_syn_too_big();
            }
            IcmpVerdict::PacketTooBig(_) => {}
        }
        true
    }

    /// The route or the device changed.
    pub fn on_path_changed(&mut self, path: Path, cx: &mut Cx<'_>) {
        let before = self.mss();
        self.path = path;
        self.on_segment_size_changed();
        if self.mss() < before && self.snd.unacked() > 0 {
            // What is out does not fit: send it again at once. This is no sign of congestion (RFC 1191 section 6.5).
            self.snd.mark_oversized_lost(u32::from(self.mss()));
            self.recovery.retransmit_now = self.snd.lost() > 0;
        }
        self.arm_timers(cx.now);
    }

    /// The size of segments may have changed.
    pub(super) fn on_segment_size_changed(&mut self) {
        self.cc.set_mss(self.mss());
    }
}
