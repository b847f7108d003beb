//! Keep-alives (RFC 9293 section 3.8.4; SO_KEEPALIVE, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT).

use super::{Connection, State, timer::Timer};
use crate::{cx::Cx, time::Instant};

/// The state of keep-alive.
#[derive(Debug)]
pub(super) struct KeepAlive {
    /// When the peer was heard last.
    pub heard: Instant,
    /// Probes since.
    pub probes: u32,
}

impl KeepAlive {
    /// The peer counts as heard.
    pub fn new(now: Instant) -> Self {
        Self { heard: now, probes: 0 }
    }

    /// A segment came.
    pub fn on_heard(&mut self, now: Instant) {
        *self = Self::new(now);
    }
}

impl Connection {
    /// Whether the state is one in which the peer may be probed.
    fn may_keep_alive(&self) -> bool {
        self.settings.keepalive
            && matches!(
                self.state,
                State::Established
                    | State::CloseWait
                    | State::FinWait1
                    | State::FinWait2
                    | State::Closing
                    | State::LastAck
            )
    }

    /// The option was set or cleared, or the connection established.
    pub(super) fn on_keepalive_changed(&mut self, now: Instant) {
        if !self.may_keep_alive() {
            self.timers.stop(Timer::KeepAlive);
        } else {
            let wait = if self.keepalive.probes == 0 { self.settings.keep_idle } else { self.settings.keep_interval };
            self.timers.set(Timer::KeepAlive, (self.keepalive.heard + wait).max(now));
        }
    }

    /// The timer runs from the last time it was set: how long the peer has been silent is looked up only here.
    pub(super) fn on_keepalive_timeout(&mut self, cx: &mut Cx<'_>) {
        if !self.may_keep_alive() {
            return;
        }
        let silent = cx.now.since(self.keepalive.heard);
        if self.snd.unacked() > 0 || self.snd.unsent() > 0 {
            // Retransmissions and window probes find out as well.
            self.timers.set(Timer::KeepAlive, cx.now + self.settings.keep_idle);
        } else if silent < self.settings.keep_idle {
            self.timers.set(Timer::KeepAlive, self.keepalive.heard + self.settings.keep_idle);
        } else if self.is_silence_final(silent) {
            self.time_out_with_reset(cx);
        } else {
            cx.mib.tcp_keep_alive += 1;
            self.keepalive.probes += 1;
            self.pending.probe = true;
            self.timers.set(Timer::KeepAlive, cx.now + self.settings.keep_interval);
        }
    }

    /// TCP_USER_TIMEOUT overrides the number of probes (tcp(7)).
    fn is_silence_final(&self, silent: crate::time::Duration) -> bool {
        let user = self.settings.user_timeout;
        if user.is_zero() {
            self.keepalive.probes >= self.settings.keep_count
        } else {
            self.keepalive.probes > 0 && silent >= user
        }
    }
}
