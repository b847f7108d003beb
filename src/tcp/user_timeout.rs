//! When to give a silent peer up (RFC 9293 section 3.8.3, R2; RFC 5482; TCP_USER_TIMEOUT; Linux's tcp_retries2).

use super::{
    Connection,
    rtt::{RTO_MAX, RTO_MIN},
};
use crate::{
    cx::Cx,
    error::Error,
    time::{Duration, Instant},
};

/// Retransmissions before a connection without an owner is given up, if tcp_orphan_retries does not say: 102.2 s.
const ORPHAN_RETRIES: u32 = 8;

/// How long so many retransmissions take, the first after `first` and each after twice the time of the one before:
/// Linux compares times rather than numbers, so that the limit does not depend on the round trip.
pub fn patience(first: Duration, retries: u32) -> Duration {
    let doublings = (RTO_MAX.as_millis() / first.as_millis()).ilog2();
    let rising = retries.min(doublings);
    first * ((2 << rising) - 1) + RTO_MAX * (retries - rising)
}

impl Connection {
    /// How often what is not answered is sent again.
    pub(super) fn retries(&self) -> u32 {
        let knobs = &self.settings.knobs;
        match (self.life.orphan, knobs.orphan_retries) {
            (false, _) => knobs.retries2,
            (true, 0) => ORPHAN_RETRIES,
            (true, retries) => retries,
        }
    }

    /// How long data may go unacknowledged.
    fn patience(&self) -> Duration {
        match self.settings.user_timeout {
            Duration::ZERO => patience(RTO_MIN, self.retries()),
            user => user,
        }
    }

    /// Whether the peer has been silent too long about what was sent. A peer that closed its window is alive as long as
    /// it answers (RFC 9293 section 3.8.6.1, MUST-37).
    pub(super) fn is_given_up(&self, now: Instant) -> bool {
        let since = match self.recovery.stalled_since {
            Some(stalled) if self.peer.size() == 0 => stalled.max(self.keepalive.heard),
            Some(stalled) => stalled,
            None => return false,
        };
        now.since(since) >= self.patience()
    }

    /// Shortens `wait` so that it does not go past the moment the user wants to give up.
    pub(super) fn clamped_to_user_timeout(&self, wait: Duration, now: Instant) -> Duration {
        let user = self.settings.user_timeout;
        match self.recovery.stalled_since.or(self.opening_since()) {
            Some(stalled) if !user.is_zero() => {
                let left = (stalled + user).since(now);
                if left.is_zero() { wait } else { wait.min(left) }
            }
            _ => wait,
        }
    }

    /// The time the user allows is over.
    pub(super) fn on_user_timeout(&mut self, cx: &mut Cx<'_>) {
        if self.is_given_up(cx.now) {
            self.time_out(cx);
        }
    }

    /// Gives the peer up; what ICMP said of it is the better reason.
    pub(super) fn time_out(&mut self, cx: &mut Cx<'_>) {
        cx.mib.tcp_abort_on_timeout += 1;
        self.fail(self.life.soft_error.unwrap_or(Error::TimedOut));
    }

    /// The same, and lets the peer know in case it lives (Linux does so for keep-alive).
    pub(super) fn time_out_with_reset(&mut self, cx: &mut Cx<'_>) {
        let reset = self.active_reset();
        self.time_out(cx);
        self.pending.reset = Some(reset);
    }
}

#[cfg(test)]
mod tests {
    use super::{super::rtt::RTO_INITIAL, *};

    #[test]
    fn patience_is_that_of_linux() {
        assert_eq!(patience(RTO_MIN, 15), Duration::from_millis(924_600));
        assert_eq!(patience(RTO_MIN, ORPHAN_RETRIES), Duration::from_millis(102_200));
        assert_eq!([1, 2, 3, 6].map(|retries| patience(RTO_INITIAL, retries).as_secs()), [3, 7, 15, 127]);
        assert_eq!(patience(RTO_INITIAL, 127).as_secs(), 127 + 120 * 121);
    }
}
