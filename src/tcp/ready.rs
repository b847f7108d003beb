//! Readiness, as Linux's tcp_poll computes it.

use super::{Connection, State};
use crate::ready::Ready;

impl Connection {
    /// Takes the readiness that came up since the last call, also where it was set before (edges, for EPOLLET: new
    /// data is a new IN; OUT only after the buffer had been too full to write).
    #[must_use]
    pub fn poll_events(&mut self) -> Ready {
        std::mem::take(&mut self.events)
    }

    /// Present readiness, as Linux's tcp_poll computes it.
    pub fn ready(&self) -> Ready {
        let mut ready = Ready::NONE;
        let gone = matches!(self.state, State::Closed | State::TimeWait);
        if gone || (self.life.read_shut && self.life.write_shut) {
            ready |= Ready::HUP;
        }
        if self.life.read_shut {
            ready |= Ready::IN | Ready::RDNORM | Ready::RDHUP;
        }
        if self.awaits_data() {
            ready |= Ready::OUT | Ready::WRNORM;
        }
        if !matches!(self.state, State::SynSent | State::SynReceived) || self.is_fast_passive() {
            if self.is_readable() {
                ready |= Ready::IN | Ready::RDNORM;
            }
            if self.life.write_shut || self.is_writable() {
                ready |= Ready::OUT | Ready::WRNORM;
            }
            if self.urgent.is_here() {
                ready |= Ready::PRI;
            }
        }
        if self.life.error.is_some() || self.has_reports() {
            ready |= Ready::ERR;
        }
        ready
    }

    /// Whether poll(2) says there is data: as much as SO_RCVLOWAT asks for, or as much as the window lets come.
    fn is_readable(&self) -> bool {
        let skipped = usize::from(self.is_at_mark() && !self.settings.oob_inline);
        let readable = self.rcv.readable();
        let is_window_shut = self.window.offered(self.rcv.rcv_nxt()) <= u32::from(self.acks.rcv_mss());
        readable >= self.settings.recv_lowat.max(1) + skipped || (readable > skipped && is_window_shut)
    }
}
