//! The congestion window of the algorithms that grow it until something is lost: slow start, the reductions and taking
//! them back, and what an unused window is worth (RFC 5681, RFC 3465, RFC 2861, RFC 7661). How it is avoided that the
//! next loss comes soon is each algorithm's own.

use super::{AckSample, MAX_WINDOW, initial_window};
use crate::time::Duration;

/// Where the connection stands after a loss.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// No loss is being repaired.
    Open,
    /// Fast recovery: the window stays as the loss set it.
    Recovery,
    /// After a time-out: slow start, while what was in flight is not yet acknowledged.
    Loss,
}

/// Congestion window and slow start threshold, bytes.
#[derive(Clone, Debug)]
pub struct Window {
    /// The congestion window.
    pub cwnd: u32,
    /// The slow start threshold; `u32::MAX` before the first loss.
    pub ssthresh: u32,
    /// The maximum segment size.
    pub mss: u16,
    /// Where recovery stands.
    pub phase: Phase,
    /// Window and threshold before the loss that is being repaired.
    before: (u32, u32),
}

impl Window {
    /// The window at the start of a connection.
    pub fn new(mss: u16) -> Self {
        let mss = mss.max(1);
        let cwnd = initial_window(mss);
        Self { cwnd, ssthresh: u32::MAX, mss, phase: Phase::Open, before: (cwnd, u32::MAX) }
    }

    /// The maximum segment size, in the width of the windows.
    pub fn segment(&self) -> u32 {
        u32::from(self.mss)
    }

    /// Whether slow start is under way.
    pub fn is_slow_start(&self) -> bool {
        self.cwnd < self.ssthresh
    }

    /// Whether this acknowledgement may make the window grow: none is being repaired, it acknowledges new data (reports
    /// of disorder do not count, as in Linux), and the window was in use (RFC 7661 section 4.1).
    pub fn may_grow(&self, ack: &AckSample) -> bool {
        self.phase != Phase::Recovery && ack.advanced && !ack.unused
    }

    /// Makes the window larger.
    pub fn grow(&mut self, bytes: u32) {
        self.cwnd = self.cwnd.saturating_add(bytes).min(MAX_WINDOW);
    }

    /// Slow start up to the threshold (RFC 5681 equation 2, RFC 3465 section 2.2, without the latter's limit of two
    /// segments an acknowledgement, as Linux: receivers that coalesce acknowledge dozens at once). Returns what is
    /// left.
    pub fn slow_start(&mut self, acked: u32) -> u32 {
        let slow = acked.min(self.ssthresh.saturating_sub(self.cwnd));
        self.grow(slow);
        acked - slow
    }

    /// Whether the loss or time-out that is coming is the first of its row: then what is taken back is what is now.
    fn remember(&mut self) {
        if self.phase == Phase::Open {
            self.before = (self.cwnd, self.ssthresh);
        }
    }

    /// A loss: the window becomes `ssthresh`, but two segments at least (RFC 5681 equation 4).
    pub fn on_loss(&mut self, ssthresh: u32) {
        self.remember();
        self.reduce(ssthresh);
        self.phase = Phase::Recovery;
    }

    /// The window becomes `ssthresh`, two segments at least, and growth goes on from there.
    pub fn reduce(&mut self, ssthresh: u32) {
        self.ssthresh = ssthresh.max(2 * self.segment());
        self.cwnd = self.ssthresh;
    }

    /// A time-out: slow start from one segment up to `ssthresh`. Of several in a row the first sets the threshold (RFC
    /// 5681 section 3.1), and one within recovery does not reduce again what the loss has reduced.
    pub fn on_rto(&mut self, ssthresh: u32) {
        self.remember();
        if self.phase == Phase::Open {
            self.ssthresh = ssthresh.max(2 * self.segment());
        }
        self.cwnd = self.segment();
        self.phase = Phase::Loss;
    }

    /// The reduction was not called for (RFC 4015 section 3.3).
    pub fn undo(&mut self) {
        let (cwnd, ssthresh) = self.before;
        self.cwnd = self.cwnd.max(cwnd);
        self.ssthresh = self.ssthresh.max(ssthresh);
        self.phase = Phase::Open;
    }

    /// Nothing was sent for `idle`. RFC 5681 section 4.1 restarts at once from the initial window; as Linux
    /// (tcp_slow_start_after_idle), the window is halved for each time-out of silence down to that, and the threshold
    /// remembers three quarters of it (RFC 2861 section 2.2).
    pub fn on_restart(&mut self, idle: Duration, rto: Duration) {
        if rto.is_zero() || idle <= rto {
            return;
        }
        let restart = initial_window(self.mss).min(self.cwnd);
        self.ssthresh = self.ssthresh.max(self.cwnd / 4 * 3);
        let halvings = (idle.as_nanos() / rto.as_nanos()).min(31) as u32;
        self.cwnd = (self.cwnd >> halvings).max(restart);
    }

    /// For a whole time-out no more than `used` bytes of the window were in flight: it moves half-way there, and the
    /// threshold remembers it (RFC 2861 section 2.3; Linux's tcp_cwnd_application_limited).
    pub fn on_unused(&mut self, used: u32) {
        let used = used.max(initial_window(self.mss));
        if self.phase == Phase::Open && used < self.cwnd {
            self.ssthresh = self.ssthresh.max(self.cwnd / 4 * 3);
            self.cwnd = used + (self.cwnd - used) / 2;
        }
    }

    /// The SYN or SYN-ACK was lost: one segment (RFC 6928 section 2).
    pub fn on_handshake_lost(&mut self) {
        self.cwnd = self.segment();
    }

    /// The maximum segment size is now `mss`. A window that is still the first one becomes that of the new size; any
    /// other keeps its bytes (a path MTU that shrinks says nothing about congestion, RFC 1191 section 6.4).
    pub fn set_mss(&mut self, mss: u16) {
        let mss = mss.max(1);
        if self.cwnd == initial_window(self.mss) && self.ssthresh == u32::MAX {
            self.cwnd = initial_window(mss);
        }
        self.mss = mss;
        self.cwnd = self.cwnd.max(u32::from(mss));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_unused_for_long_moves_half_way_to_what_was_used() {
        let mut window = Window::new(1000);
        window.grow(90_000);
        window.on_unused(40_000);
        assert_eq!((window.cwnd, window.ssthresh), (70_000, u32::MAX));
        window.ssthresh = 20_000;
        window.on_unused(1);
        assert_eq!((window.cwnd, window.ssthresh), (40_000, 52_500));
        window.phase = Phase::Recovery;
        window.on_unused(1);
        assert_eq!(window.cwnd, 40_000);
    }
}
