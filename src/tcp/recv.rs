//! The application's receive call (RFC 9293 section 3.10.3; results in the order of Linux's tcp_recvmsg) and the window
//! updates that follow from it.

use super::{Connection, RecvFlags, State, run::Run, urgent::OutOfBand};
use crate::{
    buf::Packet,
    cx::Cx,
    error::{Error, Result},
};
use std::io::IoSliceMut;

impl Connection {
    /// Copies received bytes to `out`; 0 means the peer has finished (or we shut our reading side down).
    ///
    /// # Errors
    /// As recv(2): `WouldBlock` when nothing is there, the pending error once; with MSG_OOB `Invalid` when there is no
    /// urgent byte.
    pub fn recv(&mut self, out: &mut [IoSliceMut<'_>], flags: RecvFlags, cx: &mut Cx<'_>) -> Result<usize> {
        if flags.oob {
            return self.recv_urgent(out, flags);
        }
        let n = self.take_in_order(out, flags);
        if n > 0 {
            if !flags.peek {
                self.after_read(n, cx);
            }
            return Ok(n);
        }
        let wanted = out.iter().any(|part| !part.is_empty());
        if self.life.peer_done || (!wanted && self.rcv.readable() > 0) {
            return Ok(0);
        }
        if let Some(error) = self.life.error.take() {
            return Err(error);
        }
        match self.state {
            _ if self.life.read_shut => Ok(0),
            State::Closed => Err(Error::NotConnected),
            _ => Err(Error::WouldBlock),
        }
    }

    /// As [`Connection::recv`], but the bytes stay in the packets they came in: whole ones, until there are `enough`.
    /// None at the end. Up to the urgent byte they are copied, `enough` at most.
    ///
    /// # Errors
    /// As [`Connection::recv`].
    pub fn recv_run(&mut self, enough: usize, cx: &mut Cx<'_>) -> Result<Run> {
        let mut run = Run::default();
        if self.urgent.mark().is_none() {
            run = self.rcv.take(enough);
        }
        if !run.is_empty() {
            self.after_read(run.len(), cx);
            return Ok(run);
        }
        let mut copy = vec![0; enough.min(self.rcv.readable())];
        let n = self.recv(&mut [IoSliceMut::new(&mut copy)], RecvFlags::default(), cx)?;
        if n > 0 {
            run.push(Packet::copy_from(&copy[..n]));
        }
        Ok(run)
    }

    /// Takes bytes off the queue. Reading stops before the urgent byte; a read that starts there leaves it out, unless
    /// it is to be read in line.
    fn take_in_order(&mut self, out: &mut [IoSliceMut<'_>], flags: RecvFlags) -> usize {
        let copied = self.copied_seq();
        let mark = self.urgent.mark().filter(|&mark| mark >= copied && mark < self.rcv.rcv_nxt());
        let n = match mark.map(|mark| (mark - copied) as usize) {
            Some(0) if !self.settings.oob_inline => {
                if flags.peek {
                    return self.rcv.read_at(1, out);
                }
                if out.iter().all(|part| part.is_empty()) || self.rcv.readable() <= 1 {
                    return self.skip_lone_mark();
                }
                self.rcv.skip(1);
                self.take(usize::MAX, out, flags)
            }
            Some(0) | None => self.take(usize::MAX, out, flags),
            Some(before) => self.take(before, out, flags),
        };
        if !flags.peek {
            self.urgent.on_read(self.copied_seq());
        }
        n
    }

    /// Nothing but the urgent byte is queued: it is passed over, as Linux does when it looks for what follows.
    fn skip_lone_mark(&mut self) -> usize {
        if self.rcv.readable() == 1 {
            self.rcv.skip(1);
            self.urgent.on_read(self.copied_seq());
        }
        0
    }

    /// Takes at most `limit` bytes; with MSG_TRUNC they go nowhere (tcp(7)).
    fn take(&mut self, limit: usize, out: &mut [IoSliceMut<'_>], flags: RecvFlags) -> usize {
        if !flags.trunc {
            return self.rcv.read_up_to(limit, out, flags.peek);
        }
        let room: usize = out.iter().map(|part| part.len()).sum();
        let n = room.min(limit).min(self.rcv.readable());
        if flags.peek { n } else { self.rcv.skip(n) }
    }

    /// MSG_OOB (Linux's tcp_recv_urg).
    fn recv_urgent(&mut self, out: &mut [IoSliceMut<'_>], flags: RecvFlags) -> Result<usize> {
        if self.settings.oob_inline {
            return Err(Error::Invalid);
        }
        if self.urgent.take(true) == OutOfBand::Nothing {
            return Err(Error::Invalid);
        }
        if self.state == State::Closed && !self.life.peer_done {
            return Err(Error::NotConnected);
        }
        match self.urgent.take(flags.peek) {
            OutOfBand::Byte(byte) => match out.iter_mut().find(|part| !part.is_empty()) {
                Some(part) => {
                    if !flags.trunc {
                        part[0] = byte;
                    }
                    Ok(1)
                }
                None => Ok(0),
            },
            _ if self.state == State::Closed || self.life.read_shut => Ok(0),
            _ => Err(Error::WouldBlock),
        }
    }

    /// The application has read `n` bytes: the window may open (RFC 9293 section 3.8.6.2.2).
    fn after_read(&mut self, n: usize, cx: &mut Cx<'_>) {
        let mss = u32::from(self.acks.rcv_mss());
        // As Linux, buffers do not grow while memory is short.
        if !self.share.is_short() {
            self.window.on_read(n, self.rcv.ahead(), &self.settings, mss, cx.now);
        }
        if self.life.peer_done || matches!(self.state, State::Closed | State::TimeWait) {
            return;
        }
        let rcv_nxt = self.rcv.rcv_nxt();
        self.acks.on_read(rcv_nxt, self.rcv.readable() == 0);
        // As Linux, the peer is told of a larger window when it has at least doubled.
        let (offered, next) = (self.window.offered(rcv_nxt), self.window.select(rcv_nxt, self.rcv.readable(), mss));
        if next > offered && next / 2 >= offered {
            self.acks.owe_now();
        }
    }

    /// What is left to be read, for TCP_INQ, if that is asked for. As in Linux the peer's FIN counts, for ever: who
    /// sees 1 there reads on and finds the end.
    pub fn inq(&self) -> Option<u32> {
        let left = || u32::try_from(self.rcv.readable()).unwrap_or(u32::MAX - 1) + u32::from(self.life.peer_done);
        self.settings.inq.then(left)
    }

    /// Bytes that can be read (SIOCINQ): those before the urgent byte, if one is ahead.
    pub fn readable(&self) -> usize {
        let copied = self.copied_seq();
        match self.urgent.mark() {
            Some(mark) if !self.settings.oob_inline && mark > copied && mark < self.rcv.rcv_nxt() => {
                (mark - copied) as usize
            }
            _ => self.rcv.readable(),
        }
    }
}
