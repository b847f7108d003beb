//! Resets: those we send (RFC 9293 sections 3.5.2 and 3.10.5) and the end they make.

use super::{Connection, State, handshake::Opening};
use crate::{
    cx::Cx,
    error::Error,
    ready::Ready,
    rng::Key,
    time::Instant,
    wire::{
        seq::SeqNum,
        tcp::{Flags, Header, Options},
    },
};

/// A reset of this connection, to be sent.
#[derive(Copy, Clone, Debug)]
pub(super) struct Reset {
    seq: SeqNum,
    ack: Option<SeqNum>,
    window: u16,
    /// It is of our own accord, and a segment of the connection like any other: with its time stamps (as Linux).
    active: bool,
}

/// The reset that answers a segment nobody wants (RFC 9293 section 3.10.7.1); none for a reset.
pub fn reset_for(seg: &Header, payload: usize) -> Option<Header> {
    let has = |flag| seg.flags.contains(flag);
    if has(Flags::RST) {
        return None;
    }
    let blank = Header { src_port: seg.dst_port, dst_port: seg.src_port, ..Header::default() };
    if has(Flags::ACK) {
        return Some(Header { seq: seg.ack, flags: Flags::RST, ..blank });
    }
    let len = payload as u32 + u32::from(has(Flags::SYN)) + u32::from(has(Flags::FIN));
    Some(Header { ack: seg.seq + len, flags: Flags::RST.with(Flags::ACK), ..blank })
}

impl Connection {
    /// Ends the connection with a reset (RFC 9293 section 3.10.5).
    pub fn abort(&mut self, _cx: &mut Cx<'_>) {
        let synchronized = !matches!(
            self.state,
            State::Closed | State::Listen | State::SynSent | State::TimeWait | State::LastAck | State::Closing
        );
        let reset = self.active_reset();
        // Whoever still holds the socket learns that the connection is gone, as when the peer had reset it.
        let error = if self.life.orphan { None } else { Some(Error::ConnectionReset) };
        self.end(error.filter(|_| self.state != State::Closed));
        if synchronized {
            self.pending.reset = Some(reset);
        }
    }

    /// A connection in the place of this one, which a mistake of ours has broken: it has failed with EIO, and knows
    /// nothing but what its socket needs.
    pub fn failed_successor(&self, is_orphan: bool, secret: &Key, now: Instant) -> Self {
        let opening = Opening::active(&self.flow, &self.settings, secret, now);
        let mut failed = Self::new(self.flow, self.settings.clone(), self.path, opening, secret, now);
        failed.life.orphan = is_orphan;
        failed.life.embryo = self.life.embryo;
        failed.end(if is_orphan { None } else { Some(Error::Io) });
        failed
    }

    /// The reset that tells the peer of it, if there is a peer to be told.
    pub fn parting_reset(&self, now: Instant) -> Option<Header> {
        let is_known = !matches!(self.state, State::Closed | State::Listen | State::SynSent | State::TimeWait);
        is_known.then(|| self.reset_header(&self.active_reset(), now))
    }

    /// The reset that we send of our own accord.
    pub(super) fn active_reset(&self) -> Reset {
        let seq = if self.state == State::SynReceived { self.opening.iss + 1 } else { self.snd.nxt() };
        let (rcv_nxt, unread) = (self.rcv.rcv_nxt(), self.rcv.readable());
        let window = self.window.select(rcv_nxt, unread, self.acks.rcv_mss().into()) >> self.window.shift();
        let window = u16::try_from(window).unwrap_or(u16::MAX);
        Reset { seq, ack: Some(rcv_nxt), window, active: true }
    }

    /// Answers a segment that cannot be for this connection.
    pub(super) fn refuse(&mut self, seg: &Header, payload: usize) {
        if let Some(header) = reset_for(seg, payload) {
            let ack = header.flags.contains(Flags::ACK).then_some(header.ack);
            self.pending.reset = Some(Reset { seq: header.seq, ack, window: 0, active: false });
        }
    }

    /// The header of a reset.
    pub(super) fn reset_header(&self, reset: &Reset, now: Instant) -> Header {
        let flags = if reset.ack.is_some() { Flags::RST.with(Flags::ACK) } else { Flags::RST };
        Header {
            src_port: self.flow.local.port,
            dst_port: self.flow.remote.port,
            seq: reset.seq,
            ack: reset.ack.unwrap_or_default(),
            flags,
            window: reset.window,
            options: Options { timestamps: self.clock.option(now).filter(|_| reset.active), ..Options::default() },
            ..Header::default()
        }
    }

    /// The connection is gone because of `error`, which the application is told once.
    pub(super) fn fail(&mut self, error: Error) {
        self.end(Some(error));
    }

    /// The connection is over, cleanly.
    pub(super) fn finish(&mut self) {
        self.end(None);
    }

    /// No connection any more. What was received stays readable (as Linux); what was not sent is gone.
    fn end(&mut self, error: Option<Error>) {
        self.state = State::Closed;
        self.timers.stop_all();
        self.snd.clear();
        self.pending = super::output::Pending::default();
        self.life.read_shut = true;
        self.life.write_shut = true;
        self.is_full = false;
        self.events |= Ready::IN | Ready::RDNORM | Ready::RDHUP | Ready::OUT | Ready::WRNORM | Ready::HUP;
        if let Some(error) = error {
            self.life.error = Some(error);
            self.events |= Ready::ERR;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seg(flags: Flags) -> Header {
        Header { src_port: 1, dst_port: 2, seq: SeqNum(100), ack: SeqNum(200), flags, ..Header::default() }
    }

    #[test]
    fn a_reset_takes_the_place_of_the_acknowledgement_or_acknowledges() {
        let reset = reset_for(&seg(Flags::ACK), 10).unwrap();
        assert_eq!((reset.flags, reset.seq, reset.src_port), (Flags::RST, SeqNum(200), 2));
        let reset = reset_for(&seg(Flags::SYN.with(Flags::FIN)), 10).unwrap();
        assert_eq!((reset.flags, reset.seq, reset.ack), (Flags::RST.with(Flags::ACK), SeqNum(0), SeqNum(112)));
        assert_eq!(reset_for(&seg(Flags::RST.with(Flags::ACK)), 0), None);
    }
}
