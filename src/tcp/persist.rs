//! Probing a closed window (RFC 9293 section 3.8.6.1): the peer may have opened it in a segment that was lost.

use super::{Connection, timer::Timer};
use crate::{
    cx::Cx,
    time::{Duration, Instant},
};

/// The state of probing.
#[derive(Debug, Default)]
pub(super) struct Persist {
    /// Probes sent since the window closed; each doubles the time to the next (SHLD-30).
    pub probes: u8,
    /// Probes since the peer was heard last.
    pub unanswered: u32,
    /// When the first of these was sent.
    unanswered_since: Option<Instant>,
}

impl Connection {
    /// The window takes nothing of what waits: unless something in flight will bring an answer, probe.
    pub(super) fn start_persist(&mut self, now: Instant) {
        if self.snd.unacked() == 0 && !self.timers.is_set(Timer::Persist) {
            self.timers.set(Timer::Persist, now + self.persist_interval());
        }
    }

    /// RFC 9293 section 3.8.6.1: the first probe after one retransmission time-out, then ever longer.
    fn persist_interval(&self) -> Duration {
        self.rtt.base_rto().saturating_mul(1 << self.persist.probes.min(16)).min(self.rtt.most())
    }

    /// A segment came: the peer lives. With an open window probing is over.
    pub(super) fn on_persist_answered(&mut self, window_moved: bool) {
        self.persist.unanswered = 0;
        self.persist.unanswered_since = None;
        if window_moved && self.peer.usable(self.snd.una(), self.snd.nxt()) > 0 {
            self.persist.probes = 0;
            self.timers.stop(Timer::Persist);
        }
    }

    /// The peer has taken data: should the window take too little of the rest again, that is a new beginning.
    pub(super) fn on_persist_progress(&mut self) {
        if self.persist.probes > 0 {
            self.persist.probes = 0;
            self.timers.stop(Timer::Persist);
        }
    }

    /// It is time for a probe. A peer that answers may keep its window closed for ever (MUST-37); one that does not is
    /// given up like one that does not acknowledge data.
    pub(super) fn on_persist_timeout(&mut self, cx: &mut Cx<'_>) {
        if self.snd.unacked() > 0 || self.snd.unsent() == 0 {
            return;
        }
        let since = *self.persist.unanswered_since.get_or_insert(cx.now);
        let user = self.settings.user_timeout;
        let limit = self.retries();
        if self.persist.unanswered >= limit || (!user.is_zero() && cx.now.since(since) >= user) {
            self.time_out(cx);
            return;
        }
        cx.mib.tcp_win_probe += 1;
        self.persist.unanswered += 1;
        self.persist.probes = self.persist.probes.saturating_add(1);
        // As Linux: if the window takes a little, that is sent; else a segment with an old number and no data, which
        // has to be answered and cannot be refused.
        if self.peer.usable(self.snd.una(), self.snd.nxt()) > 0 {
            self.pending.force = true;
        } else {
            self.pending.probe = true;
        }
        // The user's time ends when it ends, not with the probe after it.
        let left = if user.is_zero() { Duration::MAX } else { (since + user).since(cx.now) };
        self.timers.set(Timer::Persist, cx.now + self.persist_interval().min(left));
    }
}
