//! The application's send call (RFC 9293 section 3.10.2; errors in the order of Linux's tcp_sendmsg).

use super::{
    Connection, SendFlags, State,
    congestion::Controller,
    push::Queued,
    send_window::{buffer_limit, charge, is_writable, room},
    timer::Timer,
};
use crate::{
    buf::Rope,
    cx::Cx,
    error::{Error, Result},
    time::Instant,
};
use std::io::IoSlice;

/// The most Linux gathers in one buffer, bytes.
const MOST_GATHERED: usize = 65_215;

impl Connection {
    /// Queues as much of `data` as there is room for; returns how many bytes.
    ///
    /// # Errors
    /// As send(2): `WouldBlock` when there is no room or the handshake is not complete, `BrokenPipe` after our own
    /// shutdown or a reset, the pending error once.
    pub fn send(&mut self, data: &[IoSlice<'_>], flags: SendFlags, cx: &mut Cx<'_>) -> Result<usize> {
        self.admit()?;
        self.note_silence(false, cx.now);
        let wanted: usize = data.iter().map(|part| part.len()).sum();
        let mut room = self.send_room();
        let mut taken = 0;
        for part in data {
            let n = part.len().min(room);
            self.snd.push(&part[..n]);
            taken += n;
            room -= n;
        }
        self.on_written(taken, wanted, flags)
    }

    /// As [`Connection::send`], but moves the bytes off `data` without copying most of them.
    ///
    /// # Errors
    /// As [`Connection::send`].
    pub fn send_rope(&mut self, data: &mut Rope, cx: &mut Cx<'_>) -> Result<usize> {
        self.admit()?;
        self.note_silence(false, cx.now);
        let (wanted, room) = (data.len(), self.send_room());
        let taken = self.snd.take_from(data, room);
        self.on_written(taken, wanted, SendFlags::default())
    }

    /// Whether data may be sent at all.
    fn admit(&mut self) -> Result<()> {
        if let Some(error) = self.life.error.take() {
            return Err(error);
        }
        match self.state {
            _ if self.life.write_shut => Err(Error::BrokenPipe),
            State::SynSent if self.awaits_data() => Ok(()),
            State::SynReceived if self.is_fast_passive() => Ok(()),
            State::SynSent | State::SynReceived => Err(Error::WouldBlock),
            State::Established | State::CloseWait => {
                self.note_app_limited();
                Ok(())
            }
            _ => Err(Error::BrokenPipe),
        }
    }

    /// `taken` of `wanted` bytes found room.
    fn on_written(&mut self, taken: usize, wanted: usize, flags: SendFlags) -> Result<usize> {
        if taken < wanted || !self.is_writable() {
            self.is_full = true;
        }
        if self.awaits_data() {
            self.is_full = true;
            self.release_syn();
            return Ok(taken);
        }
        if taken == 0 && wanted > 0 {
            return Err(Error::WouldBlock);
        }
        self.pending.more = flags.more && taken == wanted;
        if taken > 0 {
            self.mark_queued(taken as u32);
        }
        if !self.pending.more && !self.settings.cork {
            self.timers.stop(Timer::Cork);
        }
        if flags.end_of_record && taken == wanted && taken > 0 {
            self.pending.push.end_here(self.snd.end());
        }
        // The urgent byte is the last one, if it found room.
        if flags.oob && taken == wanted && taken > 0 {
            self.urgent.on_written(self.snd.end());
        }
        Ok(taken)
    }

    /// The last `taken` bytes of the queue were written just now: marks what is pushed.
    fn mark_queued(&mut self, taken: u32) {
        let end = self.snd.end();
        self.pending.push.on_queued(&Queued {
            start: end - taken,
            end,
            nxt: self.snd.nxt(),
            chunk: self.chunk() as u32,
            max_window: self.peer.max(),
            more: self.pending.more,
        });
    }

    /// The application writes again, or the peer's window opens for what waits: after a silence the congestion window
    /// has to be won anew (RFC 2861 section 2.2; Linux's tcp_slow_start_after_idle_check).
    pub(super) fn note_silence(&mut self, opens: bool, now: Instant) {
        let decays = self.settings.knobs.slow_start_after_idle != 0;
        let is_silent = decays && self.snd.unacked() == 0 && (self.snd.unsent() > 0) == opens;
        if let Some(silent_for) = self.stats.silent_for(now).filter(|_| is_silent)
            && silent_for > self.rtt.rto()
        {
            self.cc.on_restart(silent_for, self.rtt.rto());
            self.window_use.reset(now);
        }
    }

    /// The application writes again: if everything it wrote before has left although more might have, the rate was its
    /// own (draft-ietf-ccwg-bbr section 4.1.2.4, CheckIfApplicationLimited).
    fn note_app_limited(&mut self) {
        let pipe = self.pipe();
        if self.snd.unsent() < u32::from(self.segment_size()) && pipe < self.cc.window() && self.snd.lost() == 0 {
            self.snd.rate.on_app_limited(pipe);
        }
    }

    /// Bytes that may be queued in all. What arrived behind a hole takes no room from what is to be sent while the hole
    /// is filled. What grew with the connection is not there while memory is short (as Linux's
    /// tcp_should_expand_sndbuf).
    fn send_limit(&self) -> usize {
        let window = if self.share.is_short() { 0 } else { self.cc.window().saturating_add(self.snd.sacked()) };
        self.share.send_limit(buffer_limit(&self.settings, window, self.rtt.min_rtt()))
    }

    /// What send and receive buffer are at present, as SO_SNDBUF and SO_RCVBUF tell it. Of a receive buffer that sizes
    /// itself Linux offers half and keeps as much again for its book-keeping.
    pub fn buffer_sizes(&self) -> (usize, usize) {
        (self.send_limit(), self.window.capacity() as usize * 2)
    }

    /// Bytes that may be queued now.
    fn send_room(&self) -> usize {
        if self.awaits_data() {
            return self.syn_room();
        }
        room(&self.settings, self.snd.held(), self.snd.unsent_data(), self.chunk(), self.send_limit())
    }

    /// Whether poll(2) says there is room.
    pub(super) fn is_writable(&self) -> bool {
        let queued = charge(&self.settings, self.snd.held(), self.chunk());
        is_writable(&self.settings, queued, self.snd.unsent_data(), self.send_limit())
    }

    /// What Linux would gather in one buffer: whole segments, no more than half of the peer's window
    /// (tcp_bound_to_half_wnd).
    fn chunk(&self) -> usize {
        let segment = usize::from(self.mss()).max(1);
        let window = self.peer.max() as usize;
        let most = match window {
            0 => MOST_GATHERED,
            1..=536 => window,
            _ => (window / 2).min(MOST_GATHERED),
        };
        (most - most % segment).max(segment)
    }
}
