//! Closing: shutdown(2), close(2), SO_LINGER of zero and TCP_LINGER2 (RFC 9293 sections 3.6 and 3.10.4).

use super::{Connection, Shutdown, State, timer::Timer};
use crate::{
    cx::Cx,
    error::{Error, Result},
    ready::Ready,
    time::Duration,
};

impl Connection {
    /// shutdown(2).
    ///
    /// # Errors
    /// `NotConnected` when there is no connection.
    pub fn shutdown(&mut self, how: Shutdown, cx: &mut Cx<'_>) -> Result<()> {
        match self.state {
            State::Closed | State::Listen | State::TimeWait => return Err(Error::NotConnected),
            State::SynSent => {
                // As Linux, which disconnects the socket and shuts nothing down: who waits for the connection learns of
                // it.
                self.fail(Error::ConnectionReset);
                (self.life.read_shut, self.life.write_shut) = (false, false);
                return Ok(());
            }
            _ => {}
        }
        if matches!(how, Shutdown::Read | Shutdown::Both) {
            self.life.read_shut = true;
            self.events |= Ready::IN | Ready::RDNORM | Ready::RDHUP;
        }
        if matches!(how, Shutdown::Write | Shutdown::Both) {
            self.finish_sending();
        }
        if self.life.read_shut && self.life.write_shut {
            self.events |= Ready::HUP;
        }
        self.arm_timers(cx.now);
        Ok(())
    }

    /// The application has let go of the socket: sends what is queued and a FIN, or a reset if received data was left
    /// unread or SO_LINGER is zero. The connection lives on without an owner until [`Connection::is_finished`].
    pub fn close(&mut self, cx: &mut Cx<'_>) {
        self.life.orphan = true;
        self.life.read_shut = true;
        match self.state {
            State::Closed | State::Listen | State::TimeWait => return,
            State::SynSent => return self.finish(),
            _ => {}
        }
        if self.rcv.readable() > 0 {
            // RFC 9293 section 3.6.1, SHLD-3: the peer learns that data was lost.
            cx.mib.tcp_abort_on_close += 1;
            self.abort(cx);
        } else if self.settings.linger == Some(Duration::ZERO) {
            cx.mib.tcp_abort_on_linger += 1;
            self.abort(cx);
        } else {
            self.finish_sending();
            self.limit_fin_wait_2(cx);
        }
    }

    /// Queues the FIN behind the data.
    fn finish_sending(&mut self) {
        self.life.write_shut = true;
        self.pending.more = false;
        self.timers.stop(Timer::Cork);
        self.events |= Ready::OUT | Ready::WRNORM;
        match self.state {
            State::Established => self.state = State::FinWait1,
            State::CloseWait => self.state = State::LastAck,
            // The FIN follows the handshake.
            State::SynReceived => {}
            _ => return,
        }
        self.snd.push_fin();
    }

    /// An orphan does not wait for the peer's FIN for ever (TCP_LINGER2, Linux's tcp_fin_timeout).
    pub(super) fn limit_fin_wait_2(&mut self, cx: &mut Cx<'_>) {
        if self.state != State::FinWait2 || !self.life.orphan {
            return;
        }
        match self.settings.fin_wait(&self.settings.knobs) {
            Some(timeout) => self.timers.set(Timer::FinWait2, cx.now + timeout),
            None => self.abort(cx),
        }
    }
}
