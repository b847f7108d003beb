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
        if !matches!(self.state, State::SynSent | State::SynReceived) {
            let at_mark = self.is_at_mark() && !self.settings.oob_inline;
            if self.rcv.readable() >= self.settings.recv_lowat.max(1) + usize::from(at_mark) {
                ready |= Ready::IN | Ready::RDNORM;
            }
            if self.life.write_shut || self.is_writable() {
                ready |= Ready::OUT | Ready::WRNORM;
            }
            if self.urgent.is_here() {
                ready |= Ready::PRI;
            }
        }
        if self.life.error.is_some() {
            ready |= Ready::ERR;
        }
        ready
    }
}
